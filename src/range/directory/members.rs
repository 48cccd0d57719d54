//! Users and memberships come and go (aws-facts §9).

use serde_json::{Value, json};

use crate::ids::*;
use crate::range::directory::missing;
use crate::range::state::State;
use crate::range::wire::{Asked, Refusal, page, unsupported};

/// Answers the operations of the identity store about memberships, and those that change anything.
pub(super) fn perform(state: &mut State, asked: &Asked) -> Result<Value, Refusal> {
    match asked.operation.as_str() {
        "ListGroupMemberships" => {
            let group = group(state, asked)?;
            let users = state.directory.users.iter();
            let members = users.filter(|(_, user)| user.groups.contains(&group));
            let shown = members.map(|(id, _)| listed(state, &group, id.as_str()));
            page(asked, "GroupMemberships", shown.collect(), 100)
        }
        "CreateGroupMembership" => create(state, asked),
        "DeleteGroupMembership" => {
            let wanted = asked.text("MembershipId");
            let mut users = state.directory.users.iter_mut();
            let left = users.any(|(id, user)| {
                let of = |group: &GroupId| membership(group, id.as_str()) == wanted;
                let before = user.groups.len();
                user.groups.retain(|group| !of(group));
                user.groups.len() < before
            });
            if left {
                Ok(json!({}))
            } else {
                Err(missing("GROUP_MEMBERSHIP", "MEMBERSHIP not found."))
            }
        }
        // Their assignments stay listed: Identity Center does not take them away with the user.
        "DeleteUser" => {
            let wanted = asked.text("UserId");
            let before = state.directory.users.len();
            state.directory.users.retain(|id, _| id.as_str() != wanted);
            if state.directory.users.len() < before {
                Ok(json!({}))
            } else {
                Err(missing("USER", "USER not found."))
            }
        }
        _ => Err(unsupported(asked)),
    }
}

/// A membership as lists show it.
pub(super) fn listed(state: &State, group: &GroupId, member: &str) -> Value {
    json!({
        "IdentityStoreId": state.directory.store,
        "MembershipId": membership(group, member),
        "GroupId": group,
        "MemberId": { "UserId": member },
    })
}

fn create(state: &mut State, asked: &Asked) -> Result<Value, Refusal> {
    let group = group(state, asked)?;
    let member = asked.parameters.get("MemberId");
    let member = member.and_then(|member| member.get("UserId")?.as_str());
    let mut users = state.directory.users.iter_mut();
    let (id, user) = users
        .find(|(id, _)| Some(id.as_str()) == member)
        .ok_or_else(|| missing("USER", "USER not found."))?;
    if !user.groups.insert(group.clone()) {
        let conflict = Refusal::new(400, "ConflictException", "The membership already exists.");
        return Err(conflict.because("UNIQUENESS_CONSTRAINT_VIOLATION"));
    }
    let id = membership(&group, id.as_str());
    Ok(json!({ "IdentityStoreId": state.directory.store, "MembershipId": id }))
}

fn group(state: &State, asked: &Asked) -> Result<GroupId, Refusal> {
    let wanted = asked.text("GroupId");
    let mut groups = state.directory.groups.keys();
    let found = groups.find(|id| id.as_str() == wanted);
    found
        .cloned()
        .ok_or_else(|| missing("GROUP", "GROUP not found."))
}

fn membership(group: &GroupId, member: &str) -> String {
    format!("{group}-{member}")
}
