//! Permission sets: what they are, what they deny, and bringing a change of theirs to an account (sso-admin).

use aws_sdk_ssoadmin::operation::delete_inline_policy_from_permission_set::DeleteInlinePolicyFromPermissionSetError;
use aws_sdk_ssoadmin::types::ProvisionTargetType;
use jiff::SignedDuration;

use super::progress::{Told, progress};
use super::{Changer, Reader, trouble};
use crate::cloud::Trouble;
use crate::facts::{Instance, Known, PermissionSet, Progress, RequestKind};
use crate::ids::*;

impl Reader {
    pub(super) async fn describe_permission_set(
        &self,
        instance: &Instance,
        arn: &PermissionSetArn,
    ) -> Result<PermissionSet, Trouble> {
        const CALL: &str = "sso:DescribePermissionSet";
        let request = self
            .identity_center
            .sso
            .describe_permission_set()
            .instance_arn(instance.arn.as_str())
            .permission_set_arn(arn.as_str());
        let answer = request
            .customize()
            .config_override(self.identity_center.sso_in(instance))
            .send()
            .await;
        let answer = answer.map_err(|error| trouble::of(CALL, &error))?;
        let set = answer
            .permission_set()
            .ok_or_else(|| trouble::unreadable(CALL, "the answer has no PermissionSet"))?;
        Ok(PermissionSet {
            name: set.name().unwrap_or_default().to_owned(),
            session: session_duration(set.session_duration()),
        })
    }

    pub(super) async fn list_permission_sets(
        &self,
        instance: &Instance,
    ) -> Result<Vec<PermissionSetArn>, Trouble> {
        const CALL: &str = "sso:ListPermissionSets";
        let mut sets = Vec::new();
        let mut next = None;
        // Loops by hand: a paginator cannot be sent to another Region than the client's.
        loop {
            let asked = self.identity_center.sso.list_permission_sets();
            let asked = asked.instance_arn(instance.arn.as_str());
            let asked = asked.max_results(100).set_next_token(next).customize();
            let there = self.identity_center.sso_in(instance);
            let page = asked.config_override(there).send().await;
            let page = page.map_err(|error| trouble::of(CALL, &error))?;
            for arn in page.permission_sets() {
                let arn = Some(arn.as_str());
                let set = trouble::field(CALL, "PermissionSets", arn, PermissionSetArn::parse)?;
                sets.push(set);
            }
            match page.next_token() {
                Some(token) => next = Some(token.to_owned()),
                None => return Ok(sets),
            }
        }
    }

    pub(super) async fn get_inline_policy(
        &self,
        instance: &Instance,
        set: &PermissionSetArn,
    ) -> Result<Option<String>, Trouble> {
        let request = self
            .identity_center
            .sso
            .get_inline_policy_for_permission_set()
            .instance_arn(instance.arn.as_str())
            .permission_set_arn(set.as_str());
        let answer = request
            .customize()
            .config_override(self.identity_center.sso_in(instance))
            .send()
            .await;
        let answer =
            answer.map_err(|error| trouble::of("sso:GetInlinePolicyForPermissionSet", &error))?;
        // A set without an inline policy has the empty one.
        let policy = answer.inline_policy().filter(|policy| !policy.is_empty());
        Ok(policy.map(str::to_owned))
    }
}

impl Changer {
    pub(super) async fn put_inline_policy(
        &self,
        instance: &Instance,
        set: &PermissionSetArn,
        content: &str,
    ) -> Result<(), Trouble> {
        let request = self
            .identity_center
            .sso
            .put_inline_policy_to_permission_set()
            .instance_arn(instance.arn.as_str())
            .permission_set_arn(set.as_str())
            .inline_policy(content);
        request
            .customize()
            .config_override(self.identity_center.sso_in(instance))
            .send()
            .await
            .map(|_| ())
            .map_err(|error| trouble::of("sso:PutInlinePolicyToPermissionSet", &error))
    }

    pub(super) async fn delete_inline_policy(
        &self,
        instance: &Instance,
        set: &PermissionSetArn,
    ) -> Result<(), Trouble> {
        let request = self
            .identity_center
            .sso
            .delete_inline_policy_from_permission_set()
            .instance_arn(instance.arn.as_str())
            .permission_set_arn(set.as_str());
        let answer = request
            .customize()
            .config_override(self.identity_center.sso_in(instance))
            .send()
            .await;
        trouble::made(
            "sso:DeleteInlinePolicyFromPermissionSet",
            answer,
            DeleteInlinePolicyFromPermissionSetError::is_resource_not_found_exception,
        )
    }

    pub(super) async fn provision_permission_set(
        &self,
        instance: &Instance,
        set: &PermissionSetArn,
        account: &AccountId,
    ) -> Result<Progress, Trouble> {
        const CALL: &str = "sso:ProvisionPermissionSet";
        let request = self
            .identity_center
            .sso
            .provision_permission_set()
            .instance_arn(instance.arn.as_str())
            .permission_set_arn(set.as_str())
            .target_type(ProvisionTargetType::AwsAccount)
            .target_id(account.as_str());
        let answer = request
            .customize()
            .config_override(self.identity_center.sso_in(instance))
            .send()
            .await;
        let answer = answer.map_err(|error| trouble::of(CALL, &error))?;
        let status = answer.permission_set_provisioning_status();
        progress(CALL, RequestKind::Provisioning, status.map(Told::from))
    }
}

/// AWS writes ISO 8601 between one and twelve hours. Anything else, and silence, is unknown: the wait is then the longest
/// there is (emulators say `3600`; oracles §2.10).
fn session_duration(text: Option<&str>) -> Known<SignedDuration> {
    let Some(text) = text else {
        return Known::Unknown("AWS does not say".to_owned());
    };
    let duration = text
        .strip_prefix('P')
        .and_then(|_| text.parse::<SignedDuration>().ok());
    match duration {
        Some(duration)
            if (SignedDuration::from_hours(1)..=SignedDuration::from_hours(12))
                .contains(&duration) =>
        {
            Known::Known(duration)
        }
        Some(_) | None => Known::Unknown(format!("AWS says `{text}`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_duration_that_aws_documents_is_believed() {
        assert_eq!(
            session_duration(Some("PT8H")),
            Known::Known(SignedDuration::from_hours(8))
        );
        assert_eq!(
            session_duration(Some("PT1H30M")),
            Known::Known(SignedDuration::from_mins(90))
        );
        for other in [
            None,
            Some("3600"),
            Some("-PT1H"),
            Some("PT0S"),
            Some("P1D"),
            Some("PT13H"),
            Some(""),
            Some("8h"),
        ] {
            assert!(
                matches!(session_duration(other), Known::Unknown(_)),
                "{other:?}"
            );
        }
    }
}
