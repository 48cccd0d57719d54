//! The deny: from a principal to the document that refuses that principal everything.
//!
//! Arrives: a [`Principal`] and the incident. Leaves: a [`Document`] with one statement for each key that can name
//! the principal. Goes wrong: [`NothingToDeny`], when no key can, because a statement with an empty condition list
//! must never be written (R12).
//!
//! One statement per key and never two keys in one: the operators of one `Condition` are ANDed (aws-facts §1), and
//! an ordinary Identity Center session has no source identity, so a joined statement would let it through.

pub mod document;

pub mod pattern;

pub mod evaluate;

use crate::ids::*;
use crate::policy::document::{Condition, Document, Effect, Statement, Words};
use crate::principal::Principal;

/// The largest SCP, in characters, since May 2026 (aws-facts §0.1).
pub const MOST_CHARACTERS: usize = 10_240;

/// The key of a person's immutable id, carried by every session that the access portal gives out.
pub const USER_ID: &str = "identitystore:UserId";

/// The key of `<role id>:<session name>`, present in every request.
pub const USERID: &str = "aws:userid";

/// The key that follows a session through role chains, if anybody set it.
pub const SOURCE_IDENTITY: &str = "aws:SourceIdentity";

/// No key can name the principal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "nothing can name this principal in a policy: it has no user id, and its name cannot be a session's ({why})"
)]
pub struct NothingToDeny {
    /// Why the name is none.
    pub why: String,
}

/// Drafts the deny of R1: user id, session name, source identity, each statement's Sid naming the incident.
///
/// # Errors
/// [`NothingToDeny`] when the principal has neither a user id nor a name that could be a session's.
pub fn draft(principal: &Principal, incident: &IncidentId) -> Result<Document, NothingToDeny> {
    let user_ids: Vec<String> = principal
        .user_id
        .known()
        .map(|id| id.as_str().to_owned())
        .into_iter()
        .collect();
    let names: Vec<String> = principal
        .session_names
        .iter()
        .map(|name| name.as_str().to_owned())
        .collect();
    // INVARIANT: the only wildcard is ours. A SessionName holds none, so `*:<name>` matches that name in any role
    // and no other name.
    let any_role: Vec<String> = names.iter().map(|name| format!("*:{name}")).collect();
    let statements: Vec<Statement> = [
        ("UserId", "StringEquals", USER_ID, user_ids),
        ("SessionName", "StringLike", USERID, any_role),
        ("SourceIdentity", "StringEquals", SOURCE_IDENTITY, names),
    ]
    .into_iter()
    .filter(|(_, _, _, values)| !values.is_empty())
    .map(|(sid, operator, key, values)| Statement {
        sid: Some(format!("Quell{}{sid}", incident.sid_part())),
        effect: Effect::Deny,
        actions: Words::these(["*"]),
        resources: Words::these(["*"]),
        conditions: vec![Condition {
            operator: operator.to_owned(),
            key: key.to_owned(),
            values,
        }],
        unknown: Vec::new(),
    })
    .collect();
    if statements.is_empty() {
        return Err(NothingToDeny {
            why: principal.unspellable.clone().unwrap_or_default(),
        });
    }
    Ok(Document::new(statements))
}

/// The session names that a deny of ours refuses, read back from the document. Release needs them on a machine that
/// has nothing but what AWS remembers (R10).
pub fn session_names_in(document: &Document) -> Vec<SessionName> {
    let conditions = document
        .statements
        .iter()
        .flat_map(|statement| &statement.conditions);
    conditions
        .filter(|condition| condition.key.eq_ignore_ascii_case(USERID))
        .flat_map(|condition| &condition.values)
        .filter_map(|value| SessionName::parse(value.strip_prefix("*:")?).ok())
        .collect()
}
