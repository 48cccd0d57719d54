//! Identity Center at a moment, to be compared with itself at another: what an eviction takes away, a restoring must
//! bring back, and nothing else.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::range::state::{Inline, State};

impl State {
    /// Everything in Identity Center that decides who may enter what, in an order of its own. Ids that a restoring
    /// cannot bring back are not in it: those of entitlements, and the names and ids of reserved roles.
    pub fn identity_center(&self) -> Value {
        let directory = &self.directory;
        let users = directory.users.iter().map(|(id, user)| {
            json!({
                "id": id,
                "username": user.username,
                "groups": user.groups,
                "disabled": user.disabled,
            })
        });
        let sets = directory.sets.iter().map(|(arn, set)| {
            json!({
                "arn": arn,
                "name": set.name,
                "duration": set.duration,
                "inline": shown(set.inline.as_ref()),
            })
        });
        let assignments: BTreeSet<_> = directory
            .assignments
            .iter()
            .map(|it| (&it.account, &it.set, it.kind, &it.principal))
            .collect();
        let places: BTreeSet<_> = directory
            .assignments
            .iter()
            .map(|it| (&it.account, &it.set))
            .collect();
        let provisioned = places.into_iter().map(|(account, set)| {
            let role = self.reserved_role(account, set);
            let roles = self.accounts.get(account).map(|account| &account.roles);
            let role = role.and_then(|name| roles?.get(&name));
            json!({
                "account": account,
                "set": set,
                "role": role.is_some(),
                "inline": shown(role.and_then(|role| role.inline.as_ref())),
            })
        });
        let entitlements: BTreeSet<_> = self
            .access
            .entitlements
            .values()
            .map(|it| (it.kind, &it.principal, &it.role))
            .collect();
        json!({
            "users": users.collect::<Vec<_>>(),
            "sets": sets.collect::<Vec<_>>(),
            "assignments": assignments,
            "provisioned": provisioned.collect::<Vec<_>>(),
            "entitlements": entitlements,
        })
    }
}

/// A policy as JSON rather than text: white space and the order of its keys say nothing.
fn shown(inline: Option<&Inline>) -> Value {
    inline.map_or(Value::Null, |inline| {
        serde_json::from_str(&inline.text).unwrap_or_default()
    })
}
