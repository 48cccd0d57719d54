//! The inline policies of permission sets, and how they get to the sets' roles (aws-facts §9, §11).

use serde_json::{Value, json};

use crate::ids::*;
use crate::range::directory::orders::{invalid, may_reach, set};
use crate::range::state::{Inline, Session, State};
use crate::range::wire::{Asked, Refusal, page, unsupported};

/// The most bytes of an inline policy.
const MOST_BYTES: usize = 32_768;

/// The most characters of one that are not white space.
const MOST_CHARACTERS: usize = 10_240;

/// Answers the operations about inline policies and where they have got to.
pub(super) fn perform(
    state: &mut State,
    session: &Session,
    asked: &Asked,
) -> Result<Value, Refusal> {
    match asked.operation.as_str() {
        "GetInlinePolicyForPermissionSet" => {
            let set = set(state, asked)?;
            let inline = state
                .directory
                .sets
                .get(&set)
                .and_then(|set| set.inline.as_ref());
            Ok(json!({ "InlinePolicy": inline.map_or("", |inline| inline.text.as_str()) }))
        }
        "PutInlinePolicyToPermissionSet" => {
            let set = changeable(state, session, asked)?;
            let inline = read(asked.text("InlinePolicy"))?;
            if let Some(set) = state.directory.sets.get_mut(&set) {
                set.inline = Some(inline);
            }
            Ok(json!({}))
        }
        "DeleteInlinePolicyFromPermissionSet" => {
            let set = changeable(state, session, asked)?;
            if let Some(set) = state.directory.sets.get_mut(&set) {
                set.inline = None;
            }
            Ok(json!({}))
        }
        "ListAccountsForProvisionedPermissionSet" => {
            let accounts = state.provisioned_to(&set(state, asked)?);
            let shown = accounts.iter().map(|account| json!(account));
            page(asked, "AccountIds", shown.collect(), 100)
        }
        "ListPermissionSetsProvisionedToAccount" => {
            let named = asked.text("AccountId");
            let there = |set: &&PermissionSetArn| {
                let mut accounts = state.provisioned_to(set).into_iter();
                accounts.any(|account| account.as_str() == named)
            };
            let sets = state.directory.sets.keys().filter(there);
            page(
                asked,
                "PermissionSets",
                sets.map(|set| json!(set)).collect(),
                100,
            )
        }
        _ => Err(unsupported(asked)),
    }
}

/// A set that is in use in the management account can be changed only from there (aws-facts §9).
fn changeable(
    state: &State,
    session: &Session,
    asked: &Asked,
) -> Result<PermissionSetArn, Refusal> {
    let set = set(state, asked)?;
    may_reach(state, session, &state.provisioned_to(&set))?;
    Ok(set)
}

fn read(text: &str) -> Result<Inline, Refusal> {
    if text.is_empty() || text.len() > MOST_BYTES {
        return Err(invalid("An inline policy has 1 to 32768 bytes."));
    }
    let characters = text.chars().filter(|c| !c.is_whitespace()).count();
    if characters > MOST_CHARACTERS {
        let message = format!(
            "The inline policy has {characters} characters that are not white space; {MOST_CHARACTERS} are allowed."
        );
        return Err(Refusal::new(400, "ServiceQuotaExceededException", &message));
    }
    let inline = Inline::parse(text).map_err(|error| invalid(&error.to_string()))?;
    let statements = inline.document.statements.iter();
    let mut unknown = inline
        .document
        .unknown
        .iter()
        .chain(statements.flat_map(|statement| &statement.unknown));
    match unknown.next() {
        Some(element) => Err(invalid(&format!(
            "The element {} is not supported.",
            element.name
        ))),
        None => Ok(inline),
    }
}

/// Brings a set's inline policy, as it is now, to the set's role in one account or in every account that has it.
pub(super) fn bring(
    state: &mut State,
    set: &PermissionSetArn,
    account: Option<&AccountId>,
) -> Result<(), &'static str> {
    let inline = state
        .directory
        .sets
        .get(set)
        .and_then(|set| set.inline.clone());
    let mut accounts = state.provisioned_to(set);
    if let Some(account) = account {
        accounts.retain(|it| it == account);
        if accounts.is_empty() {
            return Err("The permission set is not provisioned to the account.");
        }
    }
    for id in accounts {
        let Some(name) = state.reserved_role(&id, set) else {
            continue;
        };
        let account = state.accounts.get_mut(&id);
        if let Some(role) = account.and_then(|account| account.roles.get_mut(&name)) {
            role.inline = inline.clone();
        }
    }
    Ok(())
}
