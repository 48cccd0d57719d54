//! Whose key it is, or what session: asked of CloudTrail, for signals that name nobody otherwise.
//!
//! Arrives: [`Unresolved`]. Leaves: a [`Suspect`]. Goes wrong: [`WhoseError`]; nothing was changed.
//!
//! STS tells the account that a key is of, and that account's event history, which keeps 90 days by Region, tells who
//! signed with it. The account is entered by the roles that canaries use.

use futures_util::future::join_all;
use jiff::SignedDuration;
use serde_json::Value;

use super::{doors, through};
use crate::cloud::{Clock, Inspect, Read, Recorded, RecordedBy, Trouble};
use crate::ids::*;
use crate::signal::{self, Accused, Suspect, Unresolved, Who};

/// As long as an event history goes back (aws-facts §7).
const KEPT_FOR: SignedDuration = SignedDuration::from_hours(90 * 24);

/// Where IAM, STS and sign-ins outside of every Region are recorded.
const GLOBAL: &str = "us-east-1";

/// The most pages of 50: of a key one would do, of a session's name most are somebody else's.
const PAGES: usize = 4;

/// Why nobody knows who it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WhoseError {
    /// No record has it.
    #[error(
        "CloudTrail has no call of {what} in account {account}, in {looked}, in the last 90 days"
    )]
    NotRecorded {
        /// The key or the session.
        what: String,
        /// Where it was looked.
        account: AccountId,
        /// The Regions.
        looked: String,
    },
    /// AWS did not answer.
    #[error("whose {what} is cannot be told: {trouble}")]
    Trouble {
        /// The key or the session.
        what: String,
        /// What went wrong.
        trouble: Trouble,
    },
}

/// Who it is.
///
/// # Errors
/// [`WhoseError`]; nothing was changed.
pub async fn whose<R: Read + Inspect>(
    read: &R,
    clock: &impl Clock,
    unresolved: &Unresolved,
    roles: &[RoleName],
) -> Result<Suspect, WhoseError> {
    let (what, by) = match unresolved {
        Unresolved::AccessKey { key, .. } => (key.to_string(), RecordedBy::AccessKey(key.clone())),
        Unresolved::Session { role, session, .. } => (
            format!("session {session} of role {role}"),
            RecordedBy::Username(session.to_string()),
        ),
    };
    let trouble = |trouble| WhoseError::Trouble {
        what: what.clone(),
        trouble,
    };
    let account = match unresolved {
        Unresolved::Session { account, .. }
        | Unresolved::AccessKey {
            account: Some(account),
            ..
        } => account.clone(),
        Unresolved::AccessKey { key, account: None } => {
            read.key_account(key).await.map_err(trouble)?
        }
    };
    let caller = read.caller().await.map_err(trouble)?;
    let mut regions: Vec<Region> = read.region().into_iter().collect();
    regions.extend(Region::parse(GLOBAL).ok());
    regions.dedup();
    let from = clock.now() - KEPT_FOR;
    let doors = doors(&account, roles, &SessionName::of_survey());
    let asked = regions.iter().map(async |region| {
        if account == caller.account {
            read.recorded(None, region, &by, from, PAGES).await
        } else {
            let ask = async |door: &_| read.recorded(Some(door), region, &by, from, PAGES).await;
            through(&doors, ask).await
        }
    });
    let mut failed = None;
    for answer in join_all(asked).await {
        match answer {
            Ok(recorded) => {
                if let Some(suspect) = first_of(&recorded, unresolved) {
                    return Ok(suspect);
                }
            }
            Err(trouble) => failed = Some(trouble),
        }
    }
    // Where a Region did not answer, that nobody else has it proves nothing.
    match failed {
        Some(failed) => Err(trouble(failed)),
        None => Err(WhoseError::NotRecorded {
            looked: regions
                .iter()
                .map(Region::as_str)
                .collect::<Vec<_>>()
                .join(" and "),
            what,
            account,
        }),
    }
}

/// Who made the newest call that is truly of the key or the session: the records are looked up by texts that others can
/// have, too.
fn first_of(recorded: &Recorded, unresolved: &Unresolved) -> Option<Suspect> {
    let texts = recorded.events.iter();
    let mut texts = texts.filter(|text| is_of(text, unresolved));
    texts.find_map(|text| {
        let Who::Suspects(accused) = signal::read(text).ok()?.pop()?.who else {
            return None;
        };
        accused.into_iter().find_map(Accused::suspect)
    })
}

fn is_of(text: &str, unresolved: &Unresolved) -> bool {
    let record: Value = serde_json::from_str(text).unwrap_or_default();
    let identity = |field: &str| {
        let identity = record.get("userIdentity").and_then(|it| it.get(field));
        identity.and_then(Value::as_str).unwrap_or_default()
    };
    match unresolved {
        Unresolved::AccessKey { key, .. } => identity("accessKeyId") == key.as_str(),
        Unresolved::Session {
            account,
            role,
            session,
        } => identity("arn").ends_with(&format!(":sts::{account}:assumed-role/{role}/{session}")),
    }
}
