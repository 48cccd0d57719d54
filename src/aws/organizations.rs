//! AWS Organizations: the root, policies, attachments, tags.

use std::collections::BTreeMap;

use aws_sdk_organizations::operation::describe_account::DescribeAccountError;
use aws_sdk_organizations::types::{
    AccountState, OrganizationFeatureSet, PolicyType, PolicyTypeStatus, Tag,
};

use super::{Changer, Reader, trouble};
use crate::cloud::{Change, CreateError, NewPolicy, OrganizationError, Trouble};
use crate::facts::{Organization, PolicySummary, Root, ScpType};
use crate::ids::*;

const SCP: PolicyType = PolicyType::ServiceControlPolicy;

impl Reader {
    pub(super) async fn describe_organization(&self) -> Result<Organization, OrganizationError> {
        const CALL: &str = "organizations:DescribeOrganization";
        let answer = self
            .organizations
            .describe_organization()
            .send()
            .await
            .map_err(|error| {
                if error
                    .as_service_error()
                    .is_some_and(|error| error.is_aws_organizations_not_in_use_exception())
                {
                    OrganizationError::NotInUse
                } else {
                    OrganizationError::Trouble(trouble::of(CALL, &error))
                }
            })?;
        let organization = answer
            .organization()
            .ok_or_else(|| trouble::unreadable(CALL, "the answer has no Organization"))?;
        Ok(Organization {
            id: trouble::field(CALL, "Id", organization.id(), OrganizationId::parse)?,
            management: trouble::field(
                CALL,
                "MasterAccountId",
                organization.master_account_id(),
                AccountId::parse,
            )?,
            all_features: organization.feature_set() == Some(&OrganizationFeatureSet::All),
        })
    }

    pub(super) async fn list_roots(&self) -> Result<Root, Trouble> {
        const CALL: &str = "organizations:ListRoots";
        let mut pages = self.organizations.list_roots().into_paginator().send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| trouble::of(CALL, &error))?;
            if let Some(root) = page.roots().first() {
                let status = root
                    .policy_types()
                    .iter()
                    .find(|policy_type| policy_type.r#type() == Some(&SCP));
                return Ok(Root {
                    id: trouble::field(CALL, "Id", root.id(), TargetId::parse)?,
                    scps: match status.and_then(|policy_type| policy_type.status()) {
                        Some(PolicyTypeStatus::Enabled) => ScpType::Enabled,
                        Some(
                            PolicyTypeStatus::PendingEnable | PolicyTypeStatus::PendingDisable,
                        ) => ScpType::Pending,
                        Some(_) | None => ScpType::Disabled,
                    },
                });
            }
        }
        Err(trouble::unreadable(CALL, "the answer has no root"))
    }

    pub(super) async fn list_policies(&self) -> Result<Vec<PolicySummary>, Trouble> {
        const CALL: &str = "organizations:ListPolicies";
        let mut pages = self
            .organizations
            .list_policies()
            .filter(SCP)
            .into_paginator()
            .send();
        let mut policies = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| trouble::of(CALL, &error))?;
            for policy in page.policies() {
                policies.push(summary(CALL, policy)?);
            }
        }
        Ok(policies)
    }

    pub(super) async fn list_accounts(&self) -> Result<Vec<AccountId>, Trouble> {
        let mut accounts = Vec::new();
        self.each_account(|account| accounts.push(account)).await?;
        Ok(accounts)
    }

    /// Every account in use, page by page: of thousands the first are known long before the last.
    pub(super) async fn each_account(
        &self,
        mut each: impl FnMut(AccountId),
    ) -> Result<(), Trouble> {
        const CALL: &str = "organizations:ListAccounts";
        let mut pages = self.organizations.list_accounts().into_paginator().send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| trouble::of(CALL, &error))?;
            for account in page.accounts() {
                // `State` came beside `Status`, which goes away in 2026; not said is in use.
                let state = account.state().map(AccountState::as_str);
                if matches!(state, None | Some("ACTIVE")) {
                    let id = account.id();
                    each(trouble::field(CALL, "Id", id, AccountId::parse)?);
                }
            }
        }
        Ok(())
    }

    pub(super) async fn has_account(&self, account: &AccountId) -> Result<bool, Trouble> {
        const CALL: &str = "organizations:DescribeAccount";
        let asked = self.organizations.describe_account();
        match asked.account_id(account.as_str()).send().await {
            Ok(_) => Ok(true),
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(DescribeAccountError::is_account_not_found_exception) =>
            {
                Ok(false)
            }
            Err(error) => Err(trouble::of(CALL, &error)),
        }
    }

    pub(super) async fn list_policies_for_target(
        &self,
        target: &TargetId,
    ) -> Result<Vec<PolicySummary>, Trouble> {
        const CALL: &str = "organizations:ListPoliciesForTarget";
        let request = self
            .organizations
            .list_policies_for_target()
            .filter(SCP)
            .target_id(target.as_str());
        let mut pages = request.into_paginator().send();
        let mut policies = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| trouble::of(CALL, &error))?;
            for policy in page.policies() {
                policies.push(summary(CALL, policy)?);
            }
        }
        Ok(policies)
    }

    pub(super) async fn list_targets_for_policy(
        &self,
        policy: &PolicyId,
    ) -> Result<Vec<TargetId>, Trouble> {
        const CALL: &str = "organizations:ListTargetsForPolicy";
        let mut pages = self
            .organizations
            .list_targets_for_policy()
            .policy_id(policy.as_str())
            .into_paginator()
            .send();
        let mut targets = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| trouble::of(CALL, &error))?;
            for target in page.targets() {
                targets.push(trouble::field(
                    CALL,
                    "TargetId",
                    target.target_id(),
                    TargetId::parse,
                )?);
            }
        }
        Ok(targets)
    }

    pub(super) async fn describe_policy(
        &self,
        policy: &PolicyId,
    ) -> Result<Option<(PolicySummary, String)>, Trouble> {
        const CALL: &str = "organizations:DescribePolicy";
        match self
            .organizations
            .describe_policy()
            .policy_id(policy.as_str())
            .send()
            .await
        {
            Ok(answer) => {
                let policy = answer
                    .policy()
                    .ok_or_else(|| trouble::unreadable(CALL, "the answer has no Policy"))?;
                let described = policy
                    .policy_summary()
                    .ok_or_else(|| trouble::unreadable(CALL, "the answer has no PolicySummary"))?;
                let content = policy.content().unwrap_or_default().to_owned();
                Ok(Some((summary(CALL, described)?, content)))
            }
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(|error| error.is_policy_not_found_exception()) =>
            {
                Ok(None)
            }
            Err(error) => Err(trouble::of(CALL, &error)),
        }
    }

    pub(super) async fn list_tags(
        &self,
        policy: &PolicyId,
    ) -> Result<BTreeMap<String, String>, Trouble> {
        const CALL: &str = "organizations:ListTagsForResource";
        let mut pages = self
            .organizations
            .list_tags_for_resource()
            .resource_id(policy.as_str())
            .into_paginator()
            .send();
        let mut tags = BTreeMap::new();
        while let Some(page) = pages.next().await {
            let page = match page {
                // Gone since it was listed: somebody released it, and that is nobody else's trouble.
                Err(error)
                    if error
                        .as_service_error()
                        .is_some_and(|error| error.is_target_not_found_exception()) =>
                {
                    break;
                }
                page => page.map_err(|error| trouble::of(CALL, &error))?,
            };
            tags.extend(
                page.tags()
                    .iter()
                    .map(|tag| (tag.key().to_owned(), tag.value().to_owned())),
            );
        }
        Ok(tags)
    }
}

fn summary(
    call: &'static str,
    policy: &aws_sdk_organizations::types::PolicySummary,
) -> Result<PolicySummary, Trouble> {
    Ok(PolicySummary {
        id: trouble::field(call, "Id", policy.id(), PolicyId::parse)?,
        arn: trouble::field(call, "Arn", policy.arn(), PolicyArn::parse)?,
        name: policy.name().unwrap_or_default().to_owned(),
        description: policy.description().unwrap_or_default().to_owned(),
    })
}

fn sdk_tags(call: &'static str, tags: &BTreeMap<String, String>) -> Result<Vec<Tag>, Trouble> {
    tags.iter()
        .map(|(key, value)| {
            Tag::builder()
                .key(key)
                .value(value)
                .build()
                .map_err(|error| trouble::unreadable(call, error))
        })
        .collect()
}

impl Change for Changer {
    async fn create_policy(&self, policy: &NewPolicy) -> Result<PolicySummary, CreateError> {
        const CALL: &str = "organizations:CreatePolicy";
        let request = self
            .organizations
            .create_policy()
            .r#type(SCP)
            .name(&policy.name)
            .description(&policy.description)
            .content(&policy.content)
            .set_tags(Some(sdk_tags(CALL, &policy.tags)?));
        let answer = request.send().await.map_err(|error| {
            if error
                .as_service_error()
                .is_some_and(|error| error.is_duplicate_policy_exception())
            {
                CreateError::NameTaken
            } else {
                CreateError::Trouble(trouble::of(CALL, &error))
            }
        })?;
        let created = answer.policy().and_then(|policy| policy.policy_summary());
        let created =
            created.ok_or_else(|| trouble::unreadable(CALL, "the answer has no PolicySummary"))?;
        Ok(summary(CALL, created)?)
    }

    async fn attach_policy(&self, policy: &PolicyId, target: &TargetId) -> Result<(), Trouble> {
        match self
            .organizations
            .attach_policy()
            .policy_id(policy.as_str())
            .target_id(target.as_str())
            .send()
            .await
        {
            Ok(_) => Ok(()),
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(|error| error.is_duplicate_policy_attachment_exception()) =>
            {
                Ok(())
            }
            Err(error) => Err(trouble::of("organizations:AttachPolicy", &error)),
        }
    }

    async fn detach_policy(&self, policy: &PolicyId, target: &TargetId) -> Result<(), Trouble> {
        match self
            .organizations
            .detach_policy()
            .policy_id(policy.as_str())
            .target_id(target.as_str())
            .send()
            .await
        {
            Ok(_) => Ok(()),
            Err(error)
                if error.as_service_error().is_some_and(|error| {
                    error.is_policy_not_attached_exception()
                        || error.is_policy_not_found_exception()
                }) =>
            {
                Ok(())
            }
            Err(error) => Err(trouble::of("organizations:DetachPolicy", &error)),
        }
    }

    async fn delete_policy(&self, policy: &PolicyId) -> Result<(), Trouble> {
        match self
            .organizations
            .delete_policy()
            .policy_id(policy.as_str())
            .send()
            .await
        {
            Ok(_) => Ok(()),
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(|error| error.is_policy_not_found_exception()) =>
            {
                Ok(())
            }
            Err(error) => Err(trouble::of("organizations:DeletePolicy", &error)),
        }
    }

    async fn update_policy(&self, policy: &PolicyId, content: &str) -> Result<(), Trouble> {
        self.organizations
            .update_policy()
            .policy_id(policy.as_str())
            .content(content)
            .send()
            .await
            .map(|_| ())
            .map_err(|error| trouble::of("organizations:UpdatePolicy", &error))
    }

    async fn untag_policy(&self, policy: &PolicyId, keys: &[String]) -> Result<(), Trouble> {
        self.organizations
            .untag_resource()
            .resource_id(policy.as_str())
            .set_tag_keys(Some(keys.to_vec()))
            .send()
            .await
            .map(|_| ())
            .map_err(|error| trouble::of("organizations:UntagResource", &error))
    }

    async fn tag_policy(
        &self,
        policy: &PolicyId,
        tags: &BTreeMap<String, String>,
    ) -> Result<(), Trouble> {
        const CALL: &str = "organizations:TagResource";
        let request = self
            .organizations
            .tag_resource()
            .resource_id(policy.as_str())
            .set_tags(Some(sdk_tags(CALL, tags)?));
        request
            .send()
            .await
            .map(|_| ())
            .map_err(|error| trouble::of(CALL, &error))
    }
}
