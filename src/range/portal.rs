//! The access portal: where a person who is signed in gets sessions of every role that is theirs.
//!
//! Arrives: a portal session's token, without any signature. Leaves: the accounts and roles of the person, or a role
//! session's credentials. What they may enter is looked up at that moment, so taking it away stops new sessions at once
//! and ends none that run. A person who was disabled keeps it all until then, a deleted one has nothing (aws-facts §2).

use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::ids::*;
use crate::range::build::SECRET;
use crate::range::directory::roles::session_of;
use crate::range::identity::{Minted, mint};
use crate::range::state::State;
use crate::range::wire::{Asked, Paging, Refusal, page_as, unsupported};

/// The header with a portal session's token.
pub(super) const BEARER: &str = "x-amz-sso_bearer_token";

/// The longest that a session of a role from account access manager lives (aws-facts §10): the role's own maximum is
/// not modelled, and the longest is the attacker's choice.
const LONGEST: SignedDuration = SignedDuration::from_hours(12);

const PAGING: Paging = Paging {
    size: "max_result",
    token: "next_token",
    next: "nextToken",
};

/// One way into an account.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// A permission set, from an assignment.
    Set(AccountId, PermissionSetArn),
    /// A role of the account's own, by ARN, from an entitlement of account access manager.
    Role(String),
}

impl State {
    /// A session of a permission set for somebody with a live portal session, if they have the set in this account
    /// directly or by a group: its access key.
    pub fn mint_by_portal(
        &mut self,
        user: &UserId,
        account: &AccountId,
        set: &PermissionSetArn,
    ) -> Option<String> {
        self.mint_on(user, &Way::Set(account.clone(), set.clone()))
    }

    /// A session on one of the ways that somebody with a live portal session has: its access key. `None` without a
    /// portal session, when the way is not theirs, and for a name that no session can have.
    pub fn mint_on(&mut self, user: &UserId, way: &Way) -> Option<String> {
        let signed_in = self.portals.values().any(|of| of == user);
        if !signed_in || !self.ways_of(user).contains(way) {
            return None;
        }
        self.mint_unasked(user, way)
    }

    /// The same for whoever has just asked which ways there are.
    pub(super) fn mint_unasked(&mut self, user: &UserId, way: &Way) -> Option<String> {
        let username = &self.directory.users.get(user)?.username;
        // What AWS makes of another name is not documented (aws-facts §3).
        let name = SessionName::parse(username.clone()).ok()?;
        let (account, role_name, lives) = match way {
            Way::Set(account, set) => {
                let role = self.reserved_role(account, set)?;
                (account.clone(), role, session_of(self, set))
            }
            Way::Role(arn) => {
                let (account, role) = role_of(arn)?;
                (account, role.to_owned(), LONGEST)
            }
        };
        let role = self.accounts.get(&account)?.roles.get(&role_name)?.clone();
        let minted = Minted {
            account,
            role_name: &role_name,
            role_id: &role.id,
            path: &role.path,
            name: &name,
            lives,
            directory_user: Some(user.clone()),
        };
        let minted = mint(self, &minted);
        if let Some((account, role)) = self.destination(way) {
            self.observe_portal(user, (&account, &role), way, &minted.key);
        }
        Some(minted.key)
    }

    /// Every way that somebody has now, directly or by a group; none for somebody who was deleted.
    pub fn ways_of(&self, user: &UserId) -> Vec<Way> {
        let Some(person) = self.directory.users.get(user) else {
            return Vec::new();
        };
        let theirs = |kind: &str, principal: &str| match kind {
            "USER" => principal == user.as_str(),
            _ => person.groups.iter().any(|it| it.as_str() == principal),
        };
        let sets = self.directory.assignments.iter();
        let sets = sets
            .filter(|assignment| theirs(assignment.kind, &assignment.principal))
            .map(|it| Way::Set(it.account.clone(), it.set.clone()));
        let roles = self.access.entitlements.values();
        let roles = roles
            .filter(|entitlement| theirs(entitlement.kind, &entitlement.principal))
            .map(|entitlement| Way::Role(entitlement.role.clone()));
        let mut ways: Vec<Way> = sets.chain(roles).collect();
        ways.sort();
        ways.dedup();
        ways
    }

    /// The account that a way leads to, and what the portal calls the role there.
    fn destination(&self, way: &Way) -> Option<(AccountId, String)> {
        match way {
            Way::Set(account, set) => {
                let set = self.directory.sets.get(set)?;
                Some((account.clone(), set.name.clone()))
            }
            Way::Role(arn) => role_of(arn).map(|(account, role)| (account, role.to_owned())),
        }
    }
}

/// The account and the name in a role's ARN.
pub(super) fn role_of(arn: &str) -> Option<(AccountId, &str)> {
    let mut parts = arn.splitn(6, ':').skip(4);
    let account = AccountId::parse(parts.next()?).ok()?;
    let role = parts.next()?.strip_prefix("role/")?;
    Some((account, role.rsplit('/').next()?))
}

/// The operation that a method and a path name.
pub(super) fn route(method: &http::Method, path: &str) -> String {
    match (method.as_str(), path) {
        ("GET", "/assignment/accounts") => "ListAccounts".to_owned(),
        ("GET", "/assignment/roles") => "ListAccountRoles".to_owned(),
        ("GET", "/federation/credentials") => "GetRoleCredentials".to_owned(),
        ("POST", "/logout") => "Logout".to_owned(),
        _ => format!("{method} {path}"),
    }
}

/// Answers one operation for whoever holds this token.
pub(super) fn perform(state: &mut State, token: &str, asked: &Asked) -> Result<Value, Refusal> {
    let user = state.portals.get(token).cloned();
    let user = user.filter(|user| state.directory.users.contains_key(user));
    let user = user.ok_or_else(|| {
        Refusal::new(
            401,
            "UnauthorizedException",
            "Session token not found or invalid",
        )
    })?;
    let ways = state.ways_of(&user);
    let ways: Vec<(Way, (AccountId, String))> = ways
        .into_iter()
        .filter_map(|way| state.destination(&way).map(|to| (way, to)))
        .collect();
    let wanted = asked.text("account_id");
    match asked.operation.as_str() {
        "ListAccounts" => {
            let mut accounts: Vec<&AccountId> = ways.iter().map(|(_, (id, _))| id).collect();
            accounts.sort();
            accounts.dedup();
            let shown = accounts.into_iter().map(|id| {
                let name = state.accounts.get(id).map_or("", |it| it.name.as_str());
                json!({ "accountId": id, "accountName": name, "emailAddress": format!("{name}@example.com") })
            });
            page_as(PAGING, asked, "accountList", shown.collect(), 100)
        }
        "ListAccountRoles" => {
            let there = ways.iter().filter(|(_, (id, _))| id.as_str() == wanted);
            let shown = there.map(|(_, (id, role))| json!({ "accountId": id, "roleName": role }));
            page_as(PAGING, asked, "roleList", shown.collect(), 100)
        }
        "GetRoleCredentials" => {
            let mut ways = ways.iter();
            let way = ways
                .find(|(_, (id, role))| id.as_str() == wanted && role == asked.text("role_name"));
            let key = way.and_then(|(way, _)| state.mint_on(&user, way));
            let session = key.as_ref().and_then(|key| state.sessions.get(key));
            let (Some(key), Some(session)) = (&key, session) else {
                return Err(Refusal::new(403, "ForbiddenException", "No access"));
            };
            let expires = session.expires.map_or(0, |at| at.as_millisecond());
            Ok(json!({ "roleCredentials": {
                "accessKeyId": key,
                "secretAccessKey": SECRET,
                "sessionToken": session.token,
                "expiration": expires,
            }}))
        }
        // It ends this portal session alone, and no role session.
        "Logout" => {
            state.portals.remove(token);
            Ok(json!({}))
        }
        _ => Err(unsupported(asked)),
    }
}
