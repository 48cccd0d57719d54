//! Identity Center on the range: sso-admin and the identity store (aws-facts §9).

pub mod orders;

pub(crate) mod roles;

mod members;

mod policies;

mod snapshot;

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::ids::*;
use crate::range::state::{Assignment, Session, State, User};
use crate::range::wire::{Asked, Refusal, page};

/// Answers one operation of sso-admin.
pub(super) fn sso(state: &mut State, session: &Session, asked: &Asked) -> Result<Value, Refusal> {
    let directory = &state.directory;
    let here = asked.region == directory.region.as_str();
    if asked.operation == "ListInstances" {
        // Without a scope AWS tells of the Region that is asked alone.
        let seen = here || asked.text("RegionScope") == "ALL_REGIONS";
        let instance = json!({
            "InstanceArn": directory.instance,
            "IdentityStoreId": directory.store,
            "OwnerAccountId": state.management,
            "Status": "ACTIVE",
            "PrimaryRegion": directory.region,
        });
        let of_a_member = json!({
            "InstanceArn": "arn:aws:sso:::instance/ssoins-ofamember0000000",
            "IdentityStoreId": "d-0000000000",
            "OwnerAccountId": "333344445555",
            "Status": "ACTIVE",
            "PrimaryRegion": directory.region,
        });
        let member = directory.account_instance.then_some(of_a_member);
        let listed = member.into_iter().chain([instance]).filter(|_| seen);
        return page(asked, "Instances", listed.collect(), 100);
    }
    if session.account != state.management && !state.delegated.contains(&session.account) {
        return Err(denied());
    }
    if !here || asked.text("InstanceArn") != directory.instance.as_str() {
        return Err(missing(
            "INSTANCE",
            "There is no such instance in this Region.",
        ));
    }
    match asked.operation.as_str() {
        "ListPermissionSets" => page(
            asked,
            "PermissionSets",
            directory.sets.keys().map(|arn| json!(arn)).collect(),
            100,
        ),
        "DescribePermissionSet" => {
            let found = directory
                .sets
                .iter()
                .find(|(arn, _)| arn.as_str() == asked.text("PermissionSetArn"));
            let (arn, set) = found
                .ok_or_else(|| missing("PERMISSION_SET", "There is no such permission set."))?;
            let mut shown =
                json!({ "Name": set.name, "PermissionSetArn": arn, "CreatedDate": 1_700_000_000 });
            if let (Some(duration), Some(object)) = (&set.duration, shown.as_object_mut()) {
                object.insert("SessionDuration".to_owned(), json!(duration));
            }
            Ok(json!({ "PermissionSet": shown }))
        }
        // Direct assignments only: whether AWS also lists inherited ones is not documented, and who relies on it is
        // wrong here.
        "ListAccountAssignmentsForPrincipal" => {
            let own = directory.assignments.iter().filter(|assignment| {
                assignment.principal == asked.text("PrincipalId")
                    && assignment.kind == asked.text("PrincipalType")
            });
            let shown = own.map(listed);
            page(asked, "AccountAssignments", shown.collect(), 100)
        }
        "ListAccountAssignments" => {
            let there = directory.assignments.iter().filter(|assignment| {
                assignment.account.as_str() == asked.text("AccountId")
                    && assignment.set.as_str() == asked.text("PermissionSetArn")
            });
            let shown = there.map(listed);
            page(asked, "AccountAssignments", shown.collect(), 100)
        }
        "ListPermissionSetsProvisionedToAccount" => {
            let there = directory
                .assignments
                .iter()
                .filter(|assignment| assignment.account.as_str() == asked.text("AccountId"));
            let sets: BTreeSet<&PermissionSetArn> = there.map(|one| &one.set).collect();
            let shown = sets.into_iter().map(|set| json!(set));
            page(asked, "PermissionSets", shown.collect(), 100)
        }
        _ => orders::perform(state, session, asked),
    }
}

/// Answers one operation of the identity store.
pub(super) fn store(state: &mut State, session: &Session, asked: &Asked) -> Result<Value, Refusal> {
    let directory = &state.directory;
    if session.account != state.management && !state.delegated.contains(&session.account) {
        return Err(denied());
    }
    if asked.region != directory.region.as_str()
        || asked.text("IdentityStoreId") != directory.store.as_str()
    {
        return Err(missing(
            "IDENTITY_STORE",
            "There is no such identity store in this Region.",
        ));
    }
    match asked.operation.as_str() {
        "GetUserId" => {
            let attribute = asked
                .parameters
                .get("AlternateIdentifier")
                .and_then(|by| by.get("UniqueAttribute"));
            let field = |name: &str| {
                attribute
                    .and_then(|attribute| attribute.get(name))
                    .and_then(Value::as_str)
                    .unwrap_or_default()
            };
            let (path, value) = (field("AttributePath"), field("AttributeValue"));
            // Usernames are compared without case here, because a caller that relies on the spelling it typed is wrong.
            let matches = |user: &User| match path.to_ascii_lowercase().as_str() {
                "username" => user.username.eq_ignore_ascii_case(value),
                "emails.value" => user.email == value,
                _ => false,
            };
            let (id, _) = directory
                .users
                .iter()
                .find(|(_, user)| matches(user))
                .ok_or_else(|| missing("USER", "USER not found."))?;
            Ok(json!({ "IdentityStoreId": directory.store, "UserId": id }))
        }
        "DescribeUser" => {
            let found = directory
                .users
                .iter()
                .find(|(id, _)| id.as_str() == asked.text("UserId"));
            let (id, user) = found.ok_or_else(|| missing("USER", "USER not found."))?;
            Ok(described(state, id, user))
        }
        "ListUsers" => {
            let filters = asked.parameters.get("Filters").and_then(Value::as_array);
            let wanted = filters
                .and_then(|filters| filters.first())
                .and_then(|filter| filter.get("AttributeValue"))
                .and_then(Value::as_str);
            let users = directory
                .users
                .iter()
                .filter(|(_, user)| wanted.is_none_or(|wanted| user.username == wanted));
            page(
                asked,
                "Users",
                users.map(|(id, user)| described(state, id, user)).collect(),
                100,
            )
        }
        "ListGroups" => {
            let groups = directory.groups.iter().map(|(id, name)| json!({ "GroupId": id, "DisplayName": name, "IdentityStoreId": directory.store }));
            page(asked, "Groups", groups.collect(), 100)
        }
        "DescribeGroup" => {
            let found = directory
                .groups
                .iter()
                .find(|(id, _)| id.as_str() == asked.text("GroupId"));
            let (id, name) = found.ok_or_else(|| missing("GROUP", "GROUP not found."))?;
            Ok(json!({ "GroupId": id, "DisplayName": name, "IdentityStoreId": directory.store }))
        }
        "ListGroupMembershipsForMember" => {
            let member = asked
                .parameters
                .get("MemberId")
                .and_then(|member| member.get("UserId"))
                .and_then(Value::as_str)
                .unwrap_or_default();
            let (_, user) = directory
                .users
                .iter()
                .find(|(id, _)| id.as_str() == member)
                .ok_or_else(|| missing("USER", "USER not found."))?;
            let groups = user.groups.iter();
            let memberships = groups.map(|group| members::listed(state, group, member));
            page(asked, "GroupMemberships", memberships.collect(), 100)
        }
        _ => members::perform(state, asked),
    }
}

fn listed(assignment: &Assignment) -> Value {
    json!({
        "AccountId": assignment.account,
        "PermissionSetArn": assignment.set,
        "PrincipalId": assignment.principal,
        "PrincipalType": assignment.kind,
    })
}

fn described(state: &State, id: &UserId, user: &User) -> Value {
    let mut shown = json!({
        "IdentityStoreId": state.directory.store,
        "UserId": id,
        "UserName": user.username,
        "DisplayName": user.username,
        "Emails": [{ "Value": user.email, "Type": "work", "Primary": true }],
        "UserStatus": if user.disabled { "DISABLED" } else { "ENABLED" },
    });
    if let (Some(issuer), Some(object)) = (&user.external, shown.as_object_mut()) {
        let external = json!([{ "Issuer": issuer, "Id": format!("external-{id}") }]);
        object.insert("ExternalIds".to_owned(), external);
    }
    shown
}

fn denied() -> Refusal {
    Refusal::new(
        400,
        "AccessDeniedException",
        "You do not have sufficient access to perform this action.",
    )
}

fn missing(kind: &str, message: &str) -> Refusal {
    let mut refusal = Refusal::new(400, "ResourceNotFoundException", message);
    refusal.more.insert("ResourceType".to_owned(), json!(kind));
    refusal
}
