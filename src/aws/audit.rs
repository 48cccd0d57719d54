//! Whole accounts: who is in them and what they may do, in a session that may read that and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_iam::Client;
use aws_sdk_iam::operation::get_account_password_policy::GetAccountPasswordPolicyError;
use aws_sdk_iam::operation::get_credential_report::GetCredentialReportError;
use aws_sdk_iam::types::{
    AttachedPolicy, GroupDetail, ManagedPolicyDetail, PolicyDetail, ReportStateType, RoleDetail,
    UserDetail,
};

use super::sessions::{enter, partition_of};
use super::users::{decoded, there_is};
use super::{Reader, trouble};
use crate::cloud::{Audit, Door, Trouble};
use crate::facts::Instance;
use crate::facts::audit::{self, Details, Grants, PasswordPolicy};
use crate::ids::*;

/// All that our sessions may do, whatever the role may.
const ONLY: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["iam:GetAccountAuthorizationDetails","iam:GenerateCredentialReport","iam:GetCredentialReport","iam:GetAccountPasswordPolicy"],"Resource":"*"}]}"#;

/// The most of a page.
const PAGE: i32 = 1000;

const DETAILS: &str = "iam:GetAccountAuthorizationDetails";
const REPORT: &str = "iam:GetCredentialReport";

impl Audit for Reader {
    type Inside = Client;

    async fn inside(&self, door: Option<&Door>) -> Result<Client, Trouble> {
        let Some(door) = door else {
            return Ok(self.iam.clone());
        };
        let partition = partition_of(&self.config);
        let credentials = enter(&self.sts, partition, door, ONLY).await?;
        let config = self.iam.config().to_builder();
        Ok(Client::from_conf(
            config.credentials_provider(credentials).build(),
        ))
    }

    async fn authorization_details(&self, inside: &Client) -> Result<Details, Trouble> {
        let asked = inside.get_account_authorization_details().max_items(PAGE);
        let mut pages = asked.into_paginator().send();
        let mut details = Details::default();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| trouble::of(DETAILS, &error))?;
            details
                .users
                .extend(page.user_detail_list().iter().map(user));
            details
                .groups
                .extend(page.group_detail_list().iter().map(group));
            details
                .roles
                .extend(page.role_detail_list().iter().map(role));
            details
                .managed
                .extend(page.policies().iter().filter_map(managed));
        }
        Ok(details)
    }

    async fn credential_report(&self, inside: &Client) -> Result<Option<String>, Trouble> {
        let made = inside.generate_credential_report().send().await;
        let made = made.map_err(|error| trouble::of("iam:GenerateCredentialReport", &error))?;
        if made.state() != Some(&ReportStateType::Complete) {
            return Ok(None);
        }
        let answer = inside.get_credential_report().send().await;
        let answer = there_is(REPORT, answer, |error: &GetCredentialReportError| {
            error.is_credential_report_not_ready_exception()
                || error.is_credential_report_not_present_exception()
                || error.is_credential_report_expired_exception()
        })?;
        let Some(answer) = answer else {
            return Ok(None);
        };
        let content = answer.content().map(AsRef::as_ref).unwrap_or_default();
        let text = String::from_utf8(content.to_vec());
        text.map(Some)
            .map_err(|error| trouble::unreadable(REPORT, error))
    }

    async fn password_policy(&self, inside: &Client) -> Result<Option<PasswordPolicy>, Trouble> {
        const CALL: &str = "iam:GetAccountPasswordPolicy";
        let answer = inside.get_account_password_policy().send().await;
        let missing = GetAccountPasswordPolicyError::is_no_such_entity_exception;
        let Some(answer) = there_is(CALL, answer, missing)? else {
            return Ok(None);
        };
        let policy = answer
            .password_policy()
            .ok_or_else(|| trouble::unreadable(CALL, "the answer has no PasswordPolicy"))?;
        Ok(Some(PasswordPolicy {
            // The least that IAM takes.
            length: policy.minimum_password_length().unwrap_or(6),
            symbols: policy.require_symbols(),
            numbers: policy.require_numbers(),
            uppercase: policy.require_uppercase_characters(),
            lowercase: policy.require_lowercase_characters(),
            max_age: policy.max_password_age().filter(|days| *days > 0),
            reuse: policy.password_reuse_prevention(),
        }))
    }

    async fn each_active(&self, each: impl FnMut(AccountId)) -> Result<(), Trouble> {
        self.each_account(each).await
    }

    async fn permission_sets(&self, instance: &Instance) -> Result<Vec<PermissionSetArn>, Trouble> {
        self.list_permission_sets(instance).await
    }
}

fn user(user: &UserDetail) -> (String, audit::UserDetail) {
    let detail = audit::UserDetail {
        id: user.user_id().unwrap_or_default().to_owned(),
        arn: user.arn().unwrap_or_default().to_owned(),
        grants: grants(user.user_policy_list(), user.attached_managed_policies()),
        groups: user.group_list().iter().cloned().collect(),
        boundary: user
            .permissions_boundary()
            .and_then(|it| it.permissions_boundary_arn().map(str::to_owned)),
    };
    (user.user_name().unwrap_or_default().to_owned(), detail)
}

fn group(group: &GroupDetail) -> (String, Grants) {
    let grants = grants(group.group_policy_list(), group.attached_managed_policies());
    (group.group_name().unwrap_or_default().to_owned(), grants)
}

fn role(role: &RoleDetail) -> (String, audit::RoleDetail) {
    let detail = audit::RoleDetail {
        id: role.role_id().unwrap_or_default().to_owned(),
        arn: role.arn().unwrap_or_default().to_owned(),
        trust: decoded(role.assume_role_policy_document().unwrap_or_default()),
        grants: grants(role.role_policy_list(), role.attached_managed_policies()),
        boundary: role
            .permissions_boundary()
            .and_then(|it| it.permissions_boundary_arn().map(str::to_owned)),
    };
    (role.role_name().unwrap_or_default().to_owned(), detail)
}

fn grants(inline: &[PolicyDetail], attached: &[AttachedPolicy]) -> Grants {
    let inline: BTreeMap<String, String> = inline
        .iter()
        .map(|policy| {
            let name = policy.policy_name().unwrap_or_default().to_owned();
            (name, decoded(policy.policy_document().unwrap_or_default()))
        })
        .collect();
    let attached: BTreeSet<String> = attached
        .iter()
        .filter_map(|policy| policy.policy_arn().map(str::to_owned))
        .collect();
    Grants { inline, attached }
}

/// The default version of a managed policy.
fn managed(policy: &ManagedPolicyDetail) -> Option<(String, String)> {
    let mut versions = policy.policy_version_list().iter();
    let default = versions.find(|version| version.is_default_version())?;
    Some((policy.arn()?.to_owned(), decoded(default.document()?)))
}
