//! Account access manager on the range, in REST-JSON: roles of an account's own, given to Identity Center's users and
//! groups beside the permission sets (aws-facts §0.2, §9).

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::ids::*;
use crate::range::portal::role_of;
use crate::range::state::{Session, State};
use crate::range::wire::{Asked, CAMEL, Refusal, page_as, unsupported, uuid};

/// What account access manager has given out.
#[derive(Debug, Clone, Default)]
pub struct Access {
    /// `arn:aws:account-access:<region>:<account>:application/…`; `None` where nobody has set it up.
    pub application: Option<String>,
    /// By id, a UUID.
    pub entitlements: BTreeMap<String, Entitlement>,
}

/// One entitlement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entitlement {
    /// `USER` or `GROUP`.
    pub kind: &'static str,
    /// A user's or group's id.
    pub principal: String,
    /// The ARN of a role of an account's own.
    pub role: String,
    /// When it was given out.
    pub created: Timestamp,
}

impl Entitlement {
    fn principal(&self) -> Value {
        let key = match self.kind {
            "USER" => "userId",
            _ => "groupId",
        };
        json!({ "identityCenter": { key: self.principal } })
    }

    /// As lists and answers show it.
    fn shown(&self, state: &State) -> Value {
        let account = role_of(&self.role).map(|(account, _)| account);
        let name = account
            .as_ref()
            .and_then(|account| state.accounts.get(account))
            .map(|account| account.name.as_str());
        json!({ "principalRole": {
            "principal": self.principal(),
            "roleArn": self.role,
            "account": account,
            "accountName": name,
        }})
    }
}

/// The operation that a method and a path name, with the path's parameters.
pub(super) fn route(method: &http::Method, path: &str) -> (String, Map<String, Value>) {
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let plain = |operation: &str| (operation.to_owned(), Map::new());
    let of = |operation: &str, id: &str| {
        let id = ("entitlementId".to_owned(), json!(id));
        (operation.to_owned(), Map::from_iter([id]))
    };
    match (method.as_str(), parts.as_slice()) {
        ("POST", ["applications-list"]) => plain("ListApplications"),
        ("POST", ["entitlements-list"]) => plain("ListEntitlements"),
        ("POST", ["entitlements"]) => plain("CreateEntitlement"),
        ("GET", ["entitlements", id]) => of("GetEntitlement", id),
        ("DELETE", ["entitlements", id]) => of("DeleteEntitlement", id),
        _ => (format!("{method} {path}"), Map::new()),
    }
}

/// Answers one operation.
pub(super) fn perform(
    state: &mut State,
    session: &Session,
    asked: &Asked,
) -> Result<Value, Refusal> {
    if session.account != state.management && !state.delegated.contains(&session.account) {
        return Err(Refusal::new(
            403,
            "AccessDeniedException",
            "You do not have sufficient access to perform this action.",
        ));
    }
    // It lives where Identity Center does.
    let here = asked.region == state.directory.region.as_str();
    let application = state.access.application.clone().filter(|_| here);
    if asked.operation == "ListApplications" {
        let shown = application.map(|arn| {
            json!({
                "applicationArn": arn,
                "tenantId": "practice",
                "createdAt": "2026-09-01T00:00:00Z",
                "updatedAt": "2026-09-01T00:00:00Z",
            })
        });
        return page_as(
            CAMEL,
            asked,
            "applications",
            shown.into_iter().collect(),
            100,
        );
    }
    let application = application
        .filter(|arn| arn == asked.text("applicationArn"))
        .ok_or_else(|| missing("There is no such application in this Region."))?;
    let id = asked.text("entitlementId");
    match asked.operation.as_str() {
        "ListEntitlements" => {
            let filter = asked.parameters.get("filter");
            let filter = filter.and_then(|filter| filter.get("principalRole"));
            let fits = |entitlement: &Entitlement| fits(entitlement, filter);
            let entitlements = state.access.entitlements.iter();
            let shown = entitlements.filter(|(_, it)| fits(it)).map(|(id, it)| {
                json!({
                    "entitlementId": id,
                    "entitlement": it.shown(state),
                    "createdAt": it.created.to_string(),
                })
            });
            page_as(CAMEL, asked, "entitlements", shown.collect(), 100)
        }
        "GetEntitlement" => {
            let found = state.access.entitlements.get(id);
            let found = found.ok_or_else(|| missing("There is no such entitlement."))?;
            Ok(json!({
                "applicationArn": application,
                "entitlementId": id,
                "entitlement": found.shown(state),
                "createdAt": found.created.to_string(),
            }))
        }
        "CreateEntitlement" => create(state, asked),
        // What is gone already is deleted.
        "DeleteEntitlement" => {
            state.access.entitlements.remove(id);
            Ok(json!({}))
        }
        _ => Err(unsupported(asked)),
    }
}

/// Whether an entitlement is one of those that are asked for: every field that the filter has must match.
fn fits(entitlement: &Entitlement, filter: Option<&Value>) -> bool {
    let field = |name: &str| filter.and_then(|filter| filter.get(name));
    let principal = field("principal").and_then(|it| it.get("identityCenter"));
    let account = role_of(&entitlement.role).map(|(account, _)| account);
    let has = |wanted: Option<&Value>, value: &str| {
        wanted
            .and_then(Value::as_str)
            .is_none_or(|wanted| wanted == value)
    };
    principal.is_none_or(|it| entitlement.principal().get("identityCenter") == Some(it))
        && has(field("roleArn"), &entitlement.role)
        && has(
            field("account"),
            account.as_ref().map_or("", AccountId::as_str),
        )
}

fn create(state: &mut State, asked: &Asked) -> Result<Value, Refusal> {
    let wanted = asked.parameters.get("entitlement");
    let wanted = wanted.and_then(|it| it.get("principalRole"));
    let principal = wanted.and_then(|it| it.get("principal")?.get("identityCenter"));
    let named = |key: &str| principal.and_then(|it| it.get(key)?.as_str());
    let (kind, principal) = match (named("userId"), named("groupId")) {
        (Some(user), None) => ("USER", user),
        (None, Some(group)) => ("GROUP", group),
        _ => {
            let message = "An entitlement has one principal, a user or a group.";
            return Err(Refusal::new(400, "ValidationException", message));
        }
    };
    let directory = &state.directory;
    let known = match kind {
        "USER" => directory.users.keys().any(|id| id.as_str() == principal),
        _ => directory.groups.keys().any(|id| id.as_str() == principal),
    };
    let role = wanted
        .and_then(|it| it.get("roleArn")?.as_str())
        .unwrap_or_default();
    let there = role_of(role).is_some_and(|(account, name)| {
        let account = state.accounts.get(&account);
        account.is_some_and(|account| account.roles.contains_key(name))
    });
    if !known || !there {
        return Err(missing("There is no such principal or no such role."));
    }
    let (principal, role) = (principal.to_owned(), role.to_owned());
    let entitlement = Entitlement {
        kind,
        principal,
        role,
        created: state.now,
    };
    Ok(json!({ "entitlementId": entitle(state, entitlement) }))
}

/// Gives out an entitlement, and returns its id: that of the one that says the same already, if there is one.
pub(super) fn entitle(state: &mut State, wanted: Entitlement) -> String {
    let mut known = state.access.entitlements.iter();
    let same = known.find(|(_, it)| {
        (it.kind, &it.principal, &it.role) == (wanted.kind, &wanted.principal, &wanted.role)
    });
    if let Some((id, _)) = same {
        return id.clone();
    }
    let id = uuid(state);
    state.access.entitlements.insert(id.clone(), wanted);
    id
}

fn missing(message: &str) -> Refusal {
    Refusal::new(404, "ResourceNotFoundException", message)
}
