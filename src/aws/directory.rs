//! The directory behind Identity Center (identity store): users, groups and who is in them.

use std::collections::BTreeMap;

use aws_sdk_identitystore::operation::create_group_membership::CreateGroupMembershipError;
use aws_sdk_identitystore::operation::delete_group_membership::DeleteGroupMembershipError;
use aws_sdk_identitystore::operation::delete_user::DeleteUserError;
use aws_sdk_identitystore::types::{
    AlternateIdentifier, ConflictExceptionReason, Email, ExternalId, MemberId, UniqueAttribute,
    UserStatus as SdkStatus,
};
use aws_smithy_types::Document;

use super::{Changer, Reader, trouble};
use crate::cloud::{Lookup, Trouble};
use crate::facts::{Instance, User, UserStatus};
use crate::ids::*;

impl Reader {
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
            .identity_center
            .directory
            .get_user_id()
            .identity_store_id(instance.store.as_str())
            .alternate_identifier(AlternateIdentifier::UniqueAttribute(attribute));
        match request
            .customize()
            .config_override(self.identity_center.directory_in(instance))
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
            .identity_center
            .directory
            .describe_user()
            .identity_store_id(instance.store.as_str())
            .user_id(id.as_str());
        match request
            .customize()
            .config_override(self.identity_center.directory_in(instance))
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
                    status: status(answer.user_status()),
                    external: external(answer.external_ids()),
                    email: email(answer.emails()),
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

    pub(super) async fn describe_group(
        &self,
        instance: &Instance,
        id: &GroupId,
    ) -> Result<Option<String>, Trouble> {
        let request = self
            .identity_center
            .directory
            .describe_group()
            .identity_store_id(instance.store.as_str())
            .group_id(id.as_str());
        let answer = request
            .customize()
            .config_override(self.identity_center.directory_in(instance))
            .send()
            .await;
        match answer {
            Ok(answer) => Ok(answer.display_name().map(str::to_owned)),
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(|error| error.is_resource_not_found_exception()) =>
            {
                Ok(None)
            }
            Err(error) => Err(trouble::of("identitystore:DescribeGroup", &error)),
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
                .identity_center
                .directory
                .list_users()
                .identity_store_id(instance.store.as_str())
                .set_next_token(next);
            let page = request
                .customize()
                .config_override(self.identity_center.directory_in(instance))
                .send()
                .await;
            let page = page.map_err(|error| trouble::of(CALL, &error))?;
            for user in page.users() {
                // A user without a name has no session of that name.
                if let Some(name) = user.user_name() {
                    users.push(User {
                        id: trouble::field(CALL, "UserId", Some(user.user_id()), UserId::parse)?,
                        username: Username::new(name),
                        status: status(user.user_status()),
                        external: external(user.external_ids()),
                        email: email(user.emails()),
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
    ) -> Result<BTreeMap<GroupId, MembershipId>, Trouble> {
        const CALL: &str = "identitystore:ListGroupMembershipsForMember";
        let mut memberships = BTreeMap::new();
        let mut next = None;
        // A loop by hand: the paginator cannot be sent to another Region than the client's.
        loop {
            let request = self
                .identity_center
                .directory
                .list_group_memberships_for_member()
                .identity_store_id(instance.store.as_str())
                .member_id(MemberId::UserId(user.as_str().to_owned()))
                .set_next_token(next);
            let page = request
                .customize()
                .config_override(self.identity_center.directory_in(instance))
                .send()
                .await;
            let page = page.map_err(|error| trouble::of(CALL, &error))?;
            for membership in page.group_memberships() {
                memberships.insert(
                    trouble::field(CALL, "GroupId", membership.group_id(), GroupId::parse)?,
                    trouble::field(
                        CALL,
                        "MembershipId",
                        Some(membership.membership_id()),
                        MembershipId::parse,
                    )?,
                );
            }
            match page.next_token() {
                Some(token) => next = Some(token.to_owned()),
                None => return Ok(memberships),
            }
        }
    }
}

impl Changer {
    pub(super) async fn delete_group_membership(
        &self,
        instance: &Instance,
        membership: &MembershipId,
    ) -> Result<(), Trouble> {
        let request = self
            .identity_center
            .directory
            .delete_group_membership()
            .identity_store_id(instance.store.as_str())
            .membership_id(membership.as_str());
        let answer = request
            .customize()
            .config_override(self.identity_center.directory_in(instance))
            .send()
            .await;
        trouble::made(
            "identitystore:DeleteGroupMembership",
            answer,
            DeleteGroupMembershipError::is_resource_not_found_exception,
        )
    }

    pub(super) async fn create_group_membership(
        &self,
        instance: &Instance,
        group: &GroupId,
        user: &UserId,
    ) -> Result<(), Trouble> {
        let request = self
            .identity_center
            .directory
            .create_group_membership()
            .identity_store_id(instance.store.as_str())
            .group_id(group.as_str())
            .member_id(MemberId::UserId(user.as_str().to_owned()));
        let answer = request
            .customize()
            .config_override(self.identity_center.directory_in(instance))
            .send()
            .await;
        trouble::made("identitystore:CreateGroupMembership", answer, is_a_member)
    }

    pub(super) async fn delete_directory_user(
        &self,
        instance: &Instance,
        user: &UserId,
    ) -> Result<(), Trouble> {
        let request = self
            .identity_center
            .directory
            .delete_user()
            .identity_store_id(instance.store.as_str())
            .user_id(user.as_str());
        let answer = request
            .customize()
            .config_override(self.identity_center.directory_in(instance))
            .send()
            .await;
        trouble::made(
            "identitystore:DeleteUser",
            answer,
            DeleteUserError::is_resource_not_found_exception,
        )
    }
}

/// The one conflict that means "already so"; every other is another change in progress.
fn is_a_member(error: &CreateGroupMembershipError) -> bool {
    matches!(
        error,
        CreateGroupMembershipError::ConflictException(conflict)
            if conflict.reason() == Some(&ConflictExceptionReason::UniquenessConstraintViolation)
    )
}

/// A status that AWS may add later says nothing to us.
fn status(told: Option<&SdkStatus>) -> Option<UserStatus> {
    match told {
        Some(SdkStatus::Enabled) => Some(UserStatus::Enabled),
        Some(SdkStatus::Disabled) => Some(UserStatus::Disabled),
        Some(_) | None => None,
    }
}

/// Only what another directory provisioned has an id there (aws-facts §9): a hint, there is no API that tells.
fn external(ids: &[ExternalId]) -> bool {
    !ids.is_empty()
}

/// The primary address, or the first where none is.
fn email(addresses: &[Email]) -> Option<String> {
    let primary = addresses.iter().find(|email| email.primary());
    let value = primary.or(addresses.first())?.value()?;
    (!value.is_empty()).then(|| value.to_owned())
}

#[cfg(test)]
mod tests {
    use aws_sdk_identitystore::types::error::ConflictException;

    use super::*;

    #[test]
    fn only_a_membership_that_exists_is_already_so() {
        let conflict = |reason| {
            let conflict = ConflictException::builder().set_reason(reason).build();
            CreateGroupMembershipError::ConflictException(conflict)
        };
        let exists = ConflictExceptionReason::UniquenessConstraintViolation;
        let other = ConflictExceptionReason::ConcurrentModification;
        assert!(is_a_member(&conflict(Some(exists))));
        assert!(!is_a_member(&conflict(Some(other))));
        assert!(!is_a_member(&conflict(None)));
    }

    #[test]
    fn the_primary_address_comes_before_the_first() {
        let address = |value: &str, primary| Email::builder().value(value).primary(primary).build();
        let (first, second) = (
            address("a@example.com", false),
            address("b@example.com", true),
        );
        assert_eq!(
            email(&[first.clone(), second]).as_deref(),
            Some("b@example.com")
        );
        assert_eq!(email(&[first]).as_deref(), Some("a@example.com"));
        assert_eq!(email(&[address("", true)]), None);
        assert_eq!(email(&[]), None);
    }

    #[test]
    fn a_status_that_is_new_to_us_is_none() {
        assert_eq!(status(Some(&SdkStatus::Enabled)), Some(UserStatus::Enabled));
        assert_eq!(
            status(Some(&SdkStatus::Disabled)),
            Some(UserStatus::Disabled)
        );
        assert_eq!(status(Some(&SdkStatus::from("SUSPENDED"))), None);
        assert_eq!(status(None), None);
    }
}
