//! Assignments and the reserved roles that come and go with them (aws-facts §3).

use std::collections::BTreeSet;

use jiff::SignedDuration;

use crate::ids::*;
use crate::range::state::{Assignment, Role, State};

/// Identity Center's session of a set without a duration of its own (aws-facts §9).
const DEFAULT_SESSION: SignedDuration = SignedDuration::from_hours(1);

impl State {
    /// Gives out an assignment, at once. The first of a set in an account makes the set's role there, with the set's
    /// inline policy as it is now.
    pub fn assign(&mut self, assignment: Assignment) {
        let (account, set) = (assignment.account.clone(), assignment.set.clone());
        if !self.directory.sets.contains_key(&set) || !self.accounts.contains_key(&account) {
            return;
        }
        if !self.directory.assignments.contains(&assignment) {
            self.directory.assignments.push(assignment);
        }
        if self.reserved_role(&account, &set).is_none() {
            reserve(self, &account, &set);
        }
    }

    /// Takes an assignment away, at once; false if there is none. The last of a set in an account takes the set's role
    /// with it, and a later one makes another role with another id.
    pub fn unassign(&mut self, assignment: &Assignment) -> bool {
        let before = self.directory.assignments.len();
        self.directory
            .assignments
            .retain(|known| known != assignment);
        if self.directory.assignments.len() == before {
            return false;
        }
        let (account, set) = (&assignment.account, &assignment.set);
        let still = |known: &Assignment| known.account == *account && known.set == *set;
        if !self.directory.assignments.iter().any(still)
            && let Some(name) = self.reserved_role(account, set)
        {
            self.delete_role(account, &name);
        }
        true
    }

    /// The name of a set's role in an account, if it has one there: `AWSReservedSSO_<set>_<16 hex>`.
    pub fn reserved_role(&self, account: &AccountId, set: &PermissionSetArn) -> Option<String> {
        let of = self.directory.sets.get(set)?.name.as_str();
        let roles = &self.accounts.get(account)?.roles;
        roles.keys().find(|role| set_of(role) == Some(of)).cloned()
    }

    /// The accounts where somebody has the set, which are those that have its role.
    pub(crate) fn provisioned_to(&self, set: &PermissionSetArn) -> BTreeSet<AccountId> {
        let assigned = self.directory.assignments.iter();
        assigned
            .filter(|assignment| assignment.set == *set)
            .map(|assignment| assignment.account.clone())
            .collect()
    }

    /// Deletes a role; its sessions live on, and are refused everything.
    pub(crate) fn delete_role(&mut self, account: &AccountId, name: &str) {
        let roles = self.accounts.get_mut(account).map(|it| &mut it.roles);
        if let Some(role) = roles.and_then(|roles| roles.remove(name)) {
            self.gone.insert(role.id.into());
        }
    }
}

/// Makes a set's role in an account, with the set's inline policy as it is now.
pub(crate) fn reserve(state: &mut State, account: &AccountId, set: &PermissionSetArn) {
    let Some(set) = state.directory.sets.get(set).cloned() else {
        return;
    };
    let suffix = state.draw(16, b"0123456789abcdef");
    // A drawn id has an id's shape; if it had not, there would be no role, and nobody could enter.
    let Ok(id) = new_role_id(state) else {
        return;
    };
    let role = Role {
        id,
        path: path_in(&state.directory.region),
        trusts: BTreeSet::new(),
        service: None,
        inline: set.inline,
    };
    if let Some(account) = state.accounts.get_mut(account) {
        let name = format!("AWSReservedSSO_{}_{suffix}", set.name);
        account.roles.insert(name, role);
    }
}

/// The path of reserved roles (aws-facts §3).
pub(crate) fn path_in(region: &Region) -> String {
    match region.as_str() {
        "us-east-1" => "/aws-reserved/sso.amazonaws.com/".to_owned(),
        region => format!("/aws-reserved/sso.amazonaws.com/{region}/"),
    }
}

/// The permission set in the name of a reserved role.
pub(crate) fn set_of(role: &str) -> Option<&str> {
    role.strip_prefix("AWSReservedSSO_")?
        .rsplit_once('_')
        .map(|(set, _)| set)
}

/// How long a session of a set lives.
pub(crate) fn session_of(state: &State, set: &PermissionSetArn) -> SignedDuration {
    let set = state.directory.sets.get(set);
    set.and_then(|set| set.duration.as_ref()?.parse().ok())
        .unwrap_or(DEFAULT_SESSION)
}

/// A new role's id.
pub(crate) fn new_role_id(state: &mut State) -> Result<RoleId, NotAnId> {
    RoleId::parse(format!(
        "AROA{}",
        state.draw(17, b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567")
    ))
}
