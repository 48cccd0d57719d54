//! IAM Identity Center: its instances, its directory (identity store) and its assignments (sso-admin).

use aws_sdk_identitystore::types::{AlternateIdentifier, MemberId, UniqueAttribute};
use aws_sdk_ssoadmin::types::{PrincipalType, RegionScope};
use aws_smithy_types::Document;
use jiff::SignedDuration;

use super::{Reader, trouble};
use crate::cloud::{Lookup, Trouble};
use crate::facts::{Assignee, Assignment, Instance, Known, PermissionSet, User};
use crate::ids::*;

impl Reader {
    pub(super) async fn list_instances(&self) -> Result<Vec<Instance>, Trouble> {
        const CALL: &str = "sso:ListInstances";
        let mut pages = self
            .sso
            .list_instances()
            .region_scope(RegionScope::AllRegions)
            .into_paginator()
            .send();
        let mut instances = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| trouble::of(CALL, &error))?;
            for instance in page.instances() {
                instances.push(Instance {
                    arn: trouble::field(
                        CALL,
                        "InstanceArn",
                        instance.instance_arn(),
                        InstanceArn::parse,
                    )?,
                    store: trouble::field(
                        CALL,
                        "IdentityStoreId",
                        instance.identity_store_id(),
                        IdentityStoreId::parse,
                    )?,
                    owner: instance
                        .owner_account_id()
                        .and_then(|id| AccountId::parse(id).ok()),
                    primary_region: instance
                        .primary_region()
                        .and_then(|region| Region::parse(region).ok()),
                });
            }
        }
        Ok(instances)
    }

    pub(super) async fn get_user_id(
        &self,
        instance: &Instance,
        by: Lookup,
        value: &str,
    ) -> Result<Option<UserId>, Trouble> {
        const CALL: &str = "identitystore:GetUserId";
        let path = match by {
            Lookup::Username => "userName",
            Lookup::Email => "emails.value",
        };
        let attribute = UniqueAttribute::builder()
            .attribute_path(path)
            .attribute_value(Document::String(value.to_owned()))
            .build();
        let attribute = attribute.map_err(|error| trouble::unreadable(CALL, error))?;
        let request = self
            .directory
            .get_user_id()
            .identity_store_id(instance.store.as_str())
            .alternate_identifier(AlternateIdentifier::UniqueAttribute(attribute));
        match request
            .customize()
            .config_override(self.directory_in(instance))
            .send()
            .await
        {
            Ok(answer) => {
                trouble::field(CALL, "UserId", Some(answer.user_id()), UserId::parse).map(Some)
            }
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(|error| error.is_resource_not_found_exception()) =>
            {
                Ok(None)
            }
            Err(error) => Err(trouble::of(CALL, &error)),
        }
    }

    pub(super) async fn describe_user(
        &self,
        instance: &Instance,
        id: &UserId,
    ) -> Result<Option<User>, Trouble> {
        const CALL: &str = "identitystore:DescribeUser";
        let request = self
            .directory
            .describe_user()
            .identity_store_id(instance.store.as_str())
            .user_id(id.as_str());
        match request
            .customize()
            .config_override(self.directory_in(instance))
            .send()
            .await
        {
            Ok(answer) => {
                let username = answer
                    .user_name()
                    .ok_or_else(|| trouble::unreadable(CALL, "the answer has no UserName"))?;
                Ok(Some(User {
                    id: id.clone(),
                    username: Username::new(username),
                }))
            }
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(|error| error.is_resource_not_found_exception()) =>
            {
                Ok(None)
            }
            Err(error) => Err(trouble::of(CALL, &error)),
        }
    }

    pub(super) async fn list_users(
        &self,
        instance: &Instance,
        pages: usize,
    ) -> Result<(Vec<User>, bool), Trouble> {
        const CALL: &str = "identitystore:ListUsers";
        let mut users = Vec::new();
        let mut next = None;
        for _ in 0..pages {
            let request = self
                .directory
                .list_users()
                .identity_store_id(instance.store.as_str())
                .set_next_token(next);
            let page = request
                .customize()
                .config_override(self.directory_in(instance))
                .send()
                .await;
            let page = page.map_err(|error| trouble::of(CALL, &error))?;
            for user in page.users() {
                // A user without a name has no session of that name.
                if let Some(name) = user.user_name() {
                    users.push(User {
                        id: trouble::field(CALL, "UserId", Some(user.user_id()), UserId::parse)?,
                        username: Username::new(name),
                    });
                }
            }
            match page.next_token() {
                Some(token) => next = Some(token.to_owned()),
                None => return Ok((users, true)),
            }
        }
        Ok((users, false))
    }

    pub(super) async fn list_memberships(
        &self,
        instance: &Instance,
        user: &UserId,
    ) -> Result<Vec<GroupId>, Trouble> {
        const CALL: &str = "identitystore:ListGroupMembershipsForMember";
        let mut groups = Vec::new();
        let mut next = None;
        // A loop by hand: the paginator cannot be sent to another Region than the client's.
        loop {
            let request = self
                .directory
                .list_group_memberships_for_member()
                .identity_store_id(instance.store.as_str())
                .member_id(MemberId::UserId(user.as_str().to_owned()))
                .set_next_token(next);
            let page = request
                .customize()
                .config_override(self.directory_in(instance))
                .send()
                .await;
            let page = page.map_err(|error| trouble::of(CALL, &error))?;
            for membership in page.group_memberships() {
                groups.push(trouble::field(
                    CALL,
                    "GroupId",
                    membership.group_id(),
                    GroupId::parse,
                )?);
            }
            match page.next_token() {
                Some(token) => next = Some(token.to_owned()),
                None => return Ok(groups),
            }
        }
    }

    pub(super) async fn list_assignments(
        &self,
        instance: &Instance,
        assignee: &Assignee,
    ) -> Result<Vec<Assignment>, Trouble> {
        const CALL: &str = "sso:ListAccountAssignmentsForPrincipal";
        let (principal_type, id) = match assignee {
            Assignee::User(id) => (PrincipalType::User, id.as_str()),
            Assignee::Group(id) => (PrincipalType::Group, id.as_str()),
        };
        let mut assignments = Vec::new();
        let mut next = None;
        loop {
            let request = self
                .sso
                .list_account_assignments_for_principal()
                .instance_arn(instance.arn.as_str())
                .principal_type(principal_type.clone())
                .principal_id(id)
                .set_next_token(next);
            let page = request
                .customize()
                .config_override(self.sso_in(instance))
                .send()
                .await;
            let page = page.map_err(|error| trouble::of(CALL, &error))?;
            for assignment in page.account_assignments() {
                assignments.push(Assignment {
                    account: trouble::field(
                        CALL,
                        "AccountId",
                        assignment.account_id(),
                        AccountId::parse,
                    )?,
                    permission_set: trouble::field(
                        CALL,
                        "PermissionSetArn",
                        assignment.permission_set_arn(),
                        PermissionSetArn::parse,
                    )?,
                    assignee: assignee.clone(),
                });
            }
            match page.next_token() {
                Some(token) => next = Some(token.to_owned()),
                None => return Ok(assignments),
            }
        }
    }

    pub(super) async fn describe_permission_set(
        &self,
        instance: &Instance,
        arn: &PermissionSetArn,
    ) -> Result<PermissionSet, Trouble> {
        const CALL: &str = "sso:DescribePermissionSet";
        let request = self
            .sso
            .describe_permission_set()
            .instance_arn(instance.arn.as_str())
            .permission_set_arn(arn.as_str());
        let answer = request
            .customize()
            .config_override(self.sso_in(instance))
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

    /// Identity Center answers in its primary Region, which need not be the operator's.
    fn sso_in(&self, instance: &Instance) -> aws_sdk_ssoadmin::config::Builder {
        let region = instance
            .primary_region
            .as_ref()
            .map(|region| aws_sdk_ssoadmin::config::Region::new(region.as_str().to_owned()));
        aws_sdk_ssoadmin::config::Builder::new()
            .region(region.or_else(|| self.config.region().cloned()))
    }

    fn directory_in(&self, instance: &Instance) -> aws_sdk_identitystore::config::Builder {
        let region = instance
            .primary_region
            .as_ref()
            .map(|region| aws_sdk_identitystore::config::Region::new(region.as_str().to_owned()));
        aws_sdk_identitystore::config::Builder::new()
            .region(region.or_else(|| self.config.region().cloned()))
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
