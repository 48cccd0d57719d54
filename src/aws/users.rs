//! IAM users, in their own account: entered with a role there, in a session that may do the one thing it is for.

use std::collections::{BTreeMap, BTreeSet};

use aws_config::SdkConfig;
use aws_sdk_iam::Client;
use aws_sdk_iam::error::SdkError;
use aws_sdk_iam::operation::delete_login_profile::DeleteLoginProfileError;
use aws_sdk_iam::operation::delete_user_policy::DeleteUserPolicyError;
use aws_sdk_iam::operation::get_login_profile::GetLoginProfileError;
use aws_sdk_iam::operation::get_user::GetUserError;
use aws_sdk_iam::operation::get_user_policy::GetUserPolicyError;
use aws_sdk_iam::operation::update_access_key::UpdateAccessKeyError;
use aws_sdk_iam::types::StatusType;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use super::sessions::{enter, partition_of};
use super::{Changer, trouble};
use crate::cloud::{ChangeUser, Door, Trouble};
use crate::facts::IamUser;
use crate::ids::*;
use crate::policy::document::{Document, Effect, Statement, Words};

const GET_USER: &str = "iam:GetUser";

/// Member accounts, as far as IAM users go.
#[derive(Clone)]
pub(super) struct Users {
    sts: aws_sdk_sts::Client,
    iam: Client,
    partition: &'static str,
}

impl Users {
    pub(super) fn new(config: &SdkConfig) -> Self {
        Self {
            sts: aws_sdk_sts::Client::new(config),
            iam: Client::new(config),
            partition: partition_of(config),
        }
    }

    /// IAM in the door's account, for these actions on this user and nothing else, whatever the role may.
    async fn enter<const N: usize>(
        &self,
        door: &Door,
        user: &IamUserName,
        actions: [&str; N],
    ) -> Result<Client, Trouble> {
        let account = &door.account;
        let users = format!("arn:{}:iam::{account}:user", self.partition);
        let only = Document::new(vec![Statement {
            sid: None,
            effect: Effect::Allow,
            actions: Words::these(actions),
            // A path is part of the ARN, and nobody knows it before it is asked for.
            resources: Words::these([&format!("{users}/{user}"), &format!("{users}/*/{user}")]),
            conditions: Vec::new(),
            unknown: Vec::new(),
        }]);
        let credentials = enter(&self.sts, self.partition, door, only.minified()).await?;
        let config = self.iam.config().to_builder();
        Ok(Client::from_conf(
            config.credentials_provider(credentials).build(),
        ))
    }

    pub(super) async fn id(
        &self,
        door: &Door,
        name: &IamUserName,
    ) -> Result<Option<IamUserId>, Trouble> {
        let iam = self.enter(door, name, [GET_USER]).await?;
        id(&iam, name).await
    }

    pub(super) async fn read(
        &self,
        door: &Door,
        name: &IamUserName,
    ) -> Result<Option<IamUser>, Trouble> {
        let actions = [
            GET_USER,
            "iam:ListAccessKeys",
            "iam:GetLoginProfile",
            "iam:ListUserPolicies",
            "iam:ListAttachedUserPolicies",
        ];
        let iam = self.enter(door, name, actions).await?;
        let Some(id) = id(&iam, name).await? else {
            return Ok(None);
        };
        let profile = iam.get_login_profile().user_name(name.as_str()).send();
        let profile = there_is(
            "iam:GetLoginProfile",
            profile.await,
            GetLoginProfileError::is_no_such_entity_exception,
        )?;
        Ok(Some(IamUser {
            account: door.account.clone(),
            name: name.clone(),
            id,
            keys: keys(&iam, name).await?,
            login_profile: profile.is_some(),
            inline: inline(&iam, name).await?,
            attached: attached(&iam, name).await?,
        }))
    }

    pub(super) async fn policy(
        &self,
        door: &Door,
        user: &IamUserName,
        policy: &str,
    ) -> Result<Option<String>, Trouble> {
        const CALL: &str = "iam:GetUserPolicy";
        let iam = self.enter(door, user, [CALL]).await?;
        let asked = iam.get_user_policy().user_name(user.as_str());
        let answer = asked.policy_name(policy).send().await;
        let answer = there_is(
            CALL,
            answer,
            GetUserPolicyError::is_no_such_entity_exception,
        )?;
        Ok(answer.map(|answer| decoded(answer.policy_document())))
    }
}

/// What was asked for; `None` where IAM says that there is none.
pub(super) fn there_is<T, E>(
    operation: &'static str,
    answer: Result<T, SdkError<E, HttpResponse>>,
    is_missing: impl FnOnce(&E) -> bool,
) -> Result<Option<T>, Trouble>
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if error.as_service_error().is_some_and(is_missing) => Ok(None),
        Err(error) => Err(trouble::of(operation, &error)),
    }
}

async fn id(iam: &Client, user: &IamUserName) -> Result<Option<IamUserId>, Trouble> {
    let answer = iam.get_user().user_name(user.as_str()).send().await;
    let Some(answer) = there_is(GET_USER, answer, GetUserError::is_no_such_entity_exception)?
    else {
        return Ok(None);
    };
    let user = answer
        .user()
        .ok_or_else(|| trouble::unreadable(GET_USER, "the answer has no User"))?;
    trouble::field(GET_USER, "UserId", Some(user.user_id()), IamUserId::parse).map(Some)
}

async fn keys(iam: &Client, user: &IamUserName) -> Result<BTreeMap<AccessKeyId, bool>, Trouble> {
    const CALL: &str = "iam:ListAccessKeys";
    let asked = iam.list_access_keys().user_name(user.as_str());
    let mut pages = asked.into_paginator().items().send();
    let mut keys = BTreeMap::new();
    while let Some(key) = pages.next().await {
        let key = key.map_err(|error| trouble::of(CALL, &error))?;
        let id = trouble::field(CALL, "AccessKeyId", key.access_key_id(), AccessKeyId::parse)?;
        // A status that we don't know may be one with which it signs.
        keys.insert(id, key.status() != Some(&StatusType::Inactive));
    }
    Ok(keys)
}

async fn inline(iam: &Client, user: &IamUserName) -> Result<BTreeSet<String>, Trouble> {
    let asked = iam.list_user_policies().user_name(user.as_str());
    let mut pages = asked.into_paginator().items().send();
    let mut names = BTreeSet::new();
    while let Some(name) = pages.next().await {
        names.insert(name.map_err(|error| trouble::of("iam:ListUserPolicies", &error))?);
    }
    Ok(names)
}

async fn attached(iam: &Client, user: &IamUserName) -> Result<BTreeSet<String>, Trouble> {
    let asked = iam.list_attached_user_policies().user_name(user.as_str());
    let mut pages = asked.into_paginator().items().send();
    let mut arns = BTreeSet::new();
    while let Some(policy) = pages.next().await {
        let policy = policy.map_err(|error| trouble::of("iam:ListAttachedUserPolicies", &error))?;
        arns.extend(policy.policy_arn().map(str::to_owned));
    }
    Ok(arns)
}

/// IAM gives documents percent-encoded (RFC 3986), where a plus is a plus.
pub(super) fn decoded(document: &str) -> String {
    let document = document
        .replace('+', "%2B")
        .replace('&', "%26")
        .replace('=', "%3D");
    // What means something in a form is not in it any more, so it is one name without a value.
    form_urlencoded::parse(document.as_bytes())
        .map(|(text, _)| text)
        .collect()
}

impl ChangeUser for Changer {
    async fn set_access_key(
        &self,
        door: &Door,
        user: &IamUserName,
        key: &AccessKeyId,
        active: bool,
    ) -> Result<(), Trouble> {
        const CALL: &str = "iam:UpdateAccessKey";
        let iam = self.users.enter(door, user, [CALL]).await?;
        let status = if active {
            StatusType::Active
        } else {
            StatusType::Inactive
        };
        let asked = iam.update_access_key().user_name(user.as_str());
        let asked = asked.access_key_id(key.as_str()).status(status);
        // A key that is gone signs nothing.
        trouble::made(CALL, asked.send().await, |error: &UpdateAccessKeyError| {
            !active && error.is_no_such_entity_exception()
        })
    }

    async fn delete_login_profile(&self, door: &Door, user: &IamUserName) -> Result<(), Trouble> {
        const CALL: &str = "iam:DeleteLoginProfile";
        let iam = self.users.enter(door, user, [CALL]).await?;
        let answer = iam.delete_login_profile().user_name(user.as_str()).send();
        trouble::made(
            CALL,
            answer.await,
            DeleteLoginProfileError::is_no_such_entity_exception,
        )
    }

    async fn put_user_policy(
        &self,
        door: &Door,
        user: &IamUserName,
        policy: &str,
        content: &str,
    ) -> Result<(), Trouble> {
        const CALL: &str = "iam:PutUserPolicy";
        let iam = self.users.enter(door, user, [CALL]).await?;
        let asked = iam.put_user_policy().user_name(user.as_str());
        let asked = asked.policy_name(policy).policy_document(content);
        let answer = asked.send().await;
        answer
            .map(|_| ())
            .map_err(|error| trouble::of(CALL, &error))
    }

    async fn delete_user_policy(
        &self,
        door: &Door,
        user: &IamUserName,
        policy: &str,
    ) -> Result<(), Trouble> {
        const CALL: &str = "iam:DeleteUserPolicy";
        let iam = self.users.enter(door, user, [CALL]).await?;
        let asked = iam.delete_user_policy().user_name(user.as_str());
        trouble::made(
            CALL,
            asked.policy_name(policy).send().await,
            DeleteUserPolicyError::is_no_such_entity_exception,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_read_as_they_were_written() {
        let written = r#"{"Sid":"a+b=c&d e","Action":"*"}"#;
        let encoded = "%7B%22Sid%22%3A%22a%2Bb%3Dc%26d%20e%22%2C%22Action%22%3A%22%2A%22%7D";
        assert_eq!(decoded(encoded), written);
        assert_eq!(decoded(written), written);
    }
}
