//! Roles, in their own account: entered with a role there, in a session that may read the one it is for.

use std::collections::BTreeSet;

use aws_config::SdkConfig;
use aws_sdk_iam::operation::get_role::GetRoleError;
use jiff::SignedDuration;
use serde::Deserialize;
use serde_json::Value;

use super::sessions::{enter, partition_of};
use super::trouble;
use super::users::{decoded, there_is};
use crate::cloud::{Door, Trouble};
use crate::facts::Role;
use crate::ids::*;
use crate::policy::document::{Document, Effect, Statement, Words};

const GET_ROLE: &str = "iam:GetRole";

/// Member accounts, as far as roles go.
#[derive(Clone)]
pub(super) struct Roles {
    sts: aws_sdk_sts::Client,
    iam: aws_sdk_iam::Client,
    partition: &'static str,
}

impl Roles {
    pub(super) fn new(config: &SdkConfig) -> Self {
        Self {
            sts: aws_sdk_sts::Client::new(config),
            iam: aws_sdk_iam::Client::new(config),
            partition: partition_of(config),
        }
    }

    pub(super) async fn read(&self, door: &Door, name: &RoleName) -> Result<Option<Role>, Trouble> {
        let roles = format!("arn:{}:iam::{}:role", self.partition, door.account);
        let only = Document::new(vec![Statement {
            sid: None,
            effect: Effect::Allow,
            actions: Words::these([GET_ROLE]),
            // A path is part of the ARN, and nobody knows it before it is asked for.
            resources: Words::these([&format!("{roles}/{name}"), &format!("{roles}/*/{name}")]),
            conditions: Vec::new(),
            unknown: Vec::new(),
        }]);
        let credentials = enter(&self.sts, self.partition, door, only.minified()).await?;
        let config = self.iam.config().to_builder();
        let iam = aws_sdk_iam::Client::from_conf(config.credentials_provider(credentials).build());
        let answer = iam.get_role().role_name(name.as_str()).send().await;
        let missing = GetRoleError::is_no_such_entity_exception;
        let Some(answer) = there_is(GET_ROLE, answer, missing)? else {
            return Ok(None);
        };
        let role = answer
            .role()
            .ok_or_else(|| trouble::unreadable(GET_ROLE, "the answer has no Role"))?;
        let longest = role.max_session_duration().map(i64::from);
        Ok(Some(Role {
            longest: longest.map(SignedDuration::from_secs),
            id: trouble::field(GET_ROLE, "RoleId", Some(role.role_id()), RoleId::parse)?,
            trusts: trusted(&decoded(
                role.assume_role_policy_document().unwrap_or_default(),
            )),
        }))
    }
}

/// One thing, or a list of them, as policies write both.
#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMore<T> {
    One(T),
    More(Vec<T>),
}

impl<T> OneOrMore<T> {
    fn each(self) -> Vec<T> {
        match self {
            OneOrMore::One(one) => vec![one],
            OneOrMore::More(list) => list,
        }
    }
}

/// Of a trust policy, what says who may assume the role beside accounts.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Trust {
    statement: OneOrMore<TrustStatement>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TrustStatement {
    effect: String,
    /// An object, or the one word `*`.
    #[serde(default)]
    principal: Value,
}

/// The services and identity providers of a trust policy that may assume the role; none where it cannot be read.
fn trusted(policy: &str) -> BTreeSet<String> {
    let trust: Option<Trust> = serde_json::from_str(policy).ok();
    let statements = trust.map(|trust| trust.statement.each());
    let allowed = statements.into_iter().flatten();
    let allowed = allowed.filter(|statement| statement.effect == "Allow");
    let named = |who: &Value, kind: &str| -> Option<OneOrMore<String>> {
        serde_json::from_value(who.get(kind)?.clone()).ok()
    };
    allowed
        .flat_map(|statement| {
            let kinds = ["Service", "Federated"].into_iter();
            let both = kinds.filter_map(|kind| named(&statement.principal, kind));
            both.flat_map(OneOrMore::each).collect::<Vec<String>>()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_assume_a_role_is_read_in_every_form_that_a_trust_policy_has() {
        let ec2 = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole"}}"#;
        let several = r#"{"Statement":[{"Effect":"Allow","Principal":{"Service":["lambda.amazonaws.com","edgelambda.amazonaws.com"],"AWS":"arn:aws:iam::111122223333:root"}},{"Effect":"Deny","Principal":{"Service":"glue.amazonaws.com"}},{"Effect":"Allow","Principal":{"Federated":"arn:aws:iam::111122223333:saml-provider/corp"}},{"Effect":"Allow","Principal":"*"}]}"#;
        for (policy, expected) in [
            (ec2, &["ec2.amazonaws.com"][..]),
            (
                several,
                &[
                    "arn:aws:iam::111122223333:saml-provider/corp",
                    "edgelambda.amazonaws.com",
                    "lambda.amazonaws.com",
                ],
            ),
            ("", &[]),
            ("[]", &[]),
            ("{\"Statement\":7}", &[]),
        ] {
            let found: Vec<String> = trusted(policy).into_iter().collect();
            assert_eq!(found, expected, "{policy}");
        }
    }
}
