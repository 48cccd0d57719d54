//! IAM Identity Center: its instances, and the clients of its services, sent where it answers.
//!
//! The adapters stand beside: [`super::directory`] for people and groups, [`super::permissionsets`] and
//! [`super::assignments`] for what they may do where, [`super::progress`] for how far that is, [`super::entitlements`]
//! for account access manager.

use aws_config::{Region as SdkRegion, SdkConfig};
use aws_sdk_ssoadmin::types::RegionScope;

use super::{Changer, Reader, trouble};
use crate::cloud::{ChangeAccess, Scim, Trouble};
use crate::facts::{Assignment, Entitlement, Instance, Progress};
use crate::ids::*;

/// The clients that reading and changing share.
#[derive(Clone)]
pub(super) struct IdentityCenter {
    pub(super) sso: aws_sdk_ssoadmin::Client,
    pub(super) directory: aws_sdk_identitystore::Client,
    pub(super) access: aws_sdk_accountaccess::Client,
    ours: Option<SdkRegion>,
    config: SdkConfig,
}

impl IdentityCenter {
    pub(super) fn new(config: &SdkConfig) -> Self {
        Self {
            sso: aws_sdk_ssoadmin::Client::new(config),
            directory: aws_sdk_identitystore::Client::new(config),
            access: aws_sdk_accountaccess::Client::new(config),
            ours: config.region().cloned(),
            config: config.clone(),
        }
    }

    /// Identity Center answers in its primary Region, which need not be the operator's.
    pub(super) fn region(&self, instance: &Instance) -> Option<SdkRegion> {
        let primary = instance.primary_region.as_ref();
        primary
            .map(|region| SdkRegion::new(region.as_str().to_owned()))
            .or_else(|| self.ours.clone())
    }

    pub(super) fn sso_in(&self, instance: &Instance) -> aws_sdk_ssoadmin::config::Builder {
        aws_sdk_ssoadmin::config::Builder::new().region(self.region(instance))
    }

    pub(super) fn directory_in(
        &self,
        instance: &Instance,
    ) -> aws_sdk_identitystore::config::Builder {
        aws_sdk_identitystore::config::Builder::new().region(self.region(instance))
    }

    pub(super) fn config(&self) -> &SdkConfig {
        &self.config
    }

    /// TEAM is deployed beside Identity Center; a table that is named by its ARN says itself where it is.
    pub(super) fn team_in(&self, instance: &Instance, table: &str) -> aws_sdk_dynamodb::Client {
        let named = table
            .strip_prefix("arn:")
            .and_then(|arn| arn.split(':').nth(2));
        let region = named
            .map(|region| SdkRegion::new(region.to_owned()))
            .or_else(|| self.region(instance));
        let config = aws_sdk_dynamodb::config::Builder::from(&self.config);
        aws_sdk_dynamodb::Client::from_conf(config.region(region).build())
    }

    pub(super) fn access_in(&self, instance: &Instance) -> aws_sdk_accountaccess::config::Builder {
        aws_sdk_accountaccess::config::Builder::new().region(self.region(instance))
    }
}

impl Reader {
    pub(super) async fn list_instances(&self) -> Result<Vec<Instance>, Trouble> {
        const CALL: &str = "sso:ListInstances";
        let mut pages = self
            .identity_center
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
}

impl ChangeAccess for Changer {
    async fn delete_assignment(
        &self,
        instance: &Instance,
        assignment: &Assignment,
    ) -> Result<Progress, Trouble> {
        self.delete_account_assignment(instance, assignment).await
    }

    async fn create_assignment(
        &self,
        instance: &Instance,
        assignment: &Assignment,
    ) -> Result<Progress, Trouble> {
        self.create_account_assignment(instance, assignment).await
    }

    async fn delete_membership(
        &self,
        instance: &Instance,
        membership: &MembershipId,
    ) -> Result<(), Trouble> {
        self.delete_group_membership(instance, membership).await
    }

    async fn create_membership(
        &self,
        instance: &Instance,
        group: &GroupId,
        user: &UserId,
    ) -> Result<(), Trouble> {
        self.create_group_membership(instance, group, user).await
    }

    async fn delete_entitlement(
        &self,
        instance: &Instance,
        entitlement: &Entitlement,
        id: &EntitlementId,
    ) -> Result<(), Trouble> {
        self.delete_entitlement_of(instance, &entitlement.application, id)
            .await
    }

    async fn create_entitlement(
        &self,
        instance: &Instance,
        entitlement: &Entitlement,
        user: &UserId,
    ) -> Result<(), Trouble> {
        self.create_entitlement_for(instance, entitlement, user)
            .await
    }

    async fn set_inline_policy(
        &self,
        instance: &Instance,
        set: &PermissionSetArn,
        content: Option<&str>,
    ) -> Result<(), Trouble> {
        match content {
            Some(content) => self.put_inline_policy(instance, set, content).await,
            None => self.delete_inline_policy(instance, set).await,
        }
    }

    async fn provision(
        &self,
        instance: &Instance,
        set: &PermissionSetArn,
        account: &AccountId,
    ) -> Result<Progress, Trouble> {
        self.provision_permission_set(instance, set, account).await
    }

    async fn delete_user(&self, instance: &Instance, user: &UserId) -> Result<(), Trouble> {
        self.delete_directory_user(instance, user).await
    }

    async fn deactivate(&self, scim: &Scim, user: &UserId) -> Result<(), Trouble> {
        self.patch_inactive(scim, user).await
    }

    async fn revoke_team_request(
        &self,
        instance: &Instance,
        table: &str,
        request: &str,
        by: &str,
    ) -> Result<(), Trouble> {
        self.update_team_request(instance, table, request, by).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_go_where_identity_center_writes() {
        let config = SdkConfig::builder()
            .region(SdkRegion::new("us-east-1"))
            .behavior_version(aws_config::BehaviorVersion::v2026_01_12())
            .build();
        let identity_center = IdentityCenter::new(&config);
        let region = |primary: Option<&str>| {
            let instance = Instance {
                arn: InstanceArn::parse("arn:aws:sso:::instance/ssoins-1111222233334444").unwrap(),
                store: IdentityStoreId::parse("d-1234567890").unwrap(),
                owner: None,
                primary_region: primary.map(|region| Region::parse(region).unwrap()),
            };
            identity_center.region(&instance).unwrap().to_string()
        };
        assert_eq!(region(Some("eu-west-1")), "eu-west-1");
        assert_eq!(region(None), "us-east-1");
    }
}
