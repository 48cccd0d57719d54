//! The access portal in CloudTrail: sign-ins of a person, and sessions that they got there.
//!
//! Arrives: the calls that the instance's account has in Identity Center's Region. Leaves: those of one person
//! ([`of_person`]). Pure.
//!
//! `UserAuthentication` is recorded once somebody has passed every challenge, with the person's id and, where they come
//! from an external identity provider, their name (AWS's user guide of Identity Center, "Understanding IAM Identity Center
//! sign-in events"). `Federate` and `GetRoleCredentials` are recorded when the portal gives out a session, to the console
//! and to programs, with account and role in `serviceEventDetails`; what session it was, and by which name, is in neither.
//! Which record account access manager's `account-access-runtime` leaves is not documented, so none is looked for.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::Serialize;

use crate::ids::*;
use crate::incident::Incident;
use crate::trail::Call;

/// A person has signed in.
const SIGNED_IN: &str = "UserAuthentication";

/// An IAM user has signed in, in their account.
pub const CONSOLE_LOGIN: &str = "ConsoleLogin";

/// The events of a person that are looked up, by name: those of signing in.
pub const OF_SIGN_INS: [&str; 1] = [SIGNED_IN];

/// Those of getting a session.
pub const OF_SESSIONS: [&str; 2] = ["Federate", "GetRoleCredentials"];

/// Services that record them.
const SOURCES: [&str; 2] = ["signin.amazonaws.com", "sso.amazonaws.com"];

/// What somebody did there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// They signed in.
    SignIn,
    /// They got a session of a role.
    Session,
}

/// One thing that somebody did at the portal, successfully.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct AtPortal {
    /// When, to the second.
    pub at: Timestamp,
    /// What.
    pub kind: Kind,
    /// `UserAuthentication`.
    pub event: String,
    /// The account that a session is of. Untrusted text, as everything below.
    pub account: String,
    /// The role or permission set.
    pub role: String,
    /// Where it came from.
    pub source_ip: String,
}

/// The names of an incident's person.
pub fn names_of(incident: &Incident) -> BTreeSet<String> {
    let sessions = incident.session_names.iter().map(SessionName::to_string);
    let principal = incident.principal.as_ref().map(Username::to_string);
    sessions.chain(principal).collect()
}

/// What a call is, if it is one at the portal that succeeded and is the person's: by their id, or by their
/// name.
pub fn of_person(call: &Call, id: Option<&UserId>, names: &BTreeSet<String>) -> Option<AtPortal> {
    let is_own = |name: &String| names.iter().any(|own| own.eq_ignore_ascii_case(name));
    let by_name = call.caller.names.iter().any(is_own);
    // Somebody who was made anew has another id, and the same name: no two have one at once.
    let is_theirs = match (&call.caller.person, id) {
        (Some(person), Some(id)) => person == id.as_str() || by_name,
        (Some(_) | None, _) => by_name,
    };
    let is_sign_in = call.name == SIGNED_IN || call.name == CONSOLE_LOGIN;
    let is_asked = is_sign_in || OF_SESSIONS.contains(&call.name.as_str());
    let said = call.details.get(&call.name).map(String::as_str);
    let failed = call.error.is_some() || said.is_some_and(|said| said != "Success");
    if !is_theirs || !is_asked || failed || !SOURCES.contains(&call.source.as_str()) {
        return None;
    }
    let told = |name: &str| call.details.get(name).cloned().unwrap_or_default();
    Some(AtPortal {
        at: call.at,
        kind: if is_sign_in {
            Kind::SignIn
        } else {
            Kind::Session
        },
        event: call.name.clone(),
        account: told("account_id"),
        role: told("role_name"),
        source_ip: call.address.clone(),
    })
}

/// What of it counts as new: a sign-in since the incident was opened, and a session that was given out since the last way
/// to sessions was closed.
pub fn is_new(what: &AtPortal, incident: &Incident) -> bool {
    let since = match what.kind {
        Kind::SignIn => incident.opened,
        Kind::Session => incident.evicted,
    };
    since.is_some_and(|since| what.at > since)
}
