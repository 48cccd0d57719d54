//! Letting the person back in: the clock, and the gates before the deny is taken away.
//!
//! Arrives: the incident as AWS remembers it, what was read again just now ([`Meanwhile`]), and the time. Leaves: the
//! [`Wait`] that is over, when the gates are open; [`Closed`] with what opens them, when they are not. Pure; the driver
//! does the detaching, with the steps of [`crate::contain`].
//!
//! A session minted under the deny is refused, and comes alive when the deny goes before it expires. So the deny stays
//! for the longest session that could exist, counted from the later of proof and eviction, and a margin (R18). Chains of
//! refused sessions cannot begin, and one that began before ends within an hour.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::facts::{Known, PermissionSet, TeamRequest, Way};
use crate::ids::*;
use crate::incident::Incident;
use crate::plan::eviction::{NO_WAY_LEFT, SIGN_INS};
use crate::principal::{LONGEST_OF_IAM_USER, LONGEST_SESSION, SessionLife, longest_of};
use crate::trail::portal::AtPortal;

/// What must be noted as done before access is given back: without it the attacker may be the one who gets it.
pub const RESECURED: [&str; 2] = ["portal-sessions", "credentials"];

/// What is true of the directory now, some hours after the eviction.
#[derive(Debug, Clone, PartialEq)]
pub struct Meanwhile {
    /// Each way to new sessions that is open; unknown where that could not be read.
    pub open: Known<Vec<Way>>,
    /// Why there may be more: account access manager or TEAM could not be read. Somebody may have answered for that.
    pub unread: Option<String>,
    /// The permission sets that the user held, as far as the incident remembers them.
    pub permission_sets: BTreeMap<PermissionSetArn, PermissionSet>,
    /// TEAM's requests of the user that can still give access.
    pub grants: Vec<TeamRequest>,
    /// Sessions that the principal became, by the tags, and that the document was not read to deny.
    pub undenied: BTreeSet<SessionUserId>,
    /// New sign-ins, and sessions that were given out although no way should be left; unknown where that could not be read.
    pub sign_ins: Known<Vec<AtPortal>>,
}

impl Meanwhile {
    /// Nothing is open, and nothing is left to read.
    pub fn nothing() -> Self {
        Self {
            open: Known::Known(Vec::new()),
            unread: None,
            permission_sets: BTreeMap::new(),
            grants: Vec::new(),
            undenied: BTreeSet::new(),
            sign_ins: Known::Known(Vec::new()),
        }
    }
}

/// How long to wait, and how that comes about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Wait {
    /// When the wait began: proven and evicted.
    pub began: Timestamp,
    /// The longest session that could exist.
    pub longest: SignedDuration,
    /// For people: `8h from permission set Ops, read twice`.
    pub because: String,
    /// Added to it.
    pub margin: SignedDuration,
    /// When it is over.
    pub until: Timestamp,
}

impl Wait {
    /// For people: how it adds up.
    pub fn derivation(&self) -> String {
        format!(
            "{}, and {:#} for clocks and propagation, counted from {}",
            self.because,
            self.margin,
            self.began.strftime("%Y-%m-%dT%H:%M:%SZ")
        )
    }
}

/// A gate that is closed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(tag = "gate", rename_all = "snake_case")]
pub enum Closed {
    /// The clock has not started.
    #[error("the deny was never proven, so the clock has not started")]
    NeverProven,
    /// Nor has it while new sessions can be minted.
    #[error("the ways to new sessions were never closed, so the clock has not started")]
    NotEvicted,
    /// Nor has it while somebody whom the principal became may not be denied.
    #[error("{} under other names {} to be denied, and {}: {}", counted(.sessions.len(), "session"), if .sessions.len() == 1 { "was" } else { "were" }, if *.noted { "the deny's document does not have them" } else { "nobody has noted since when they are" }, list(.sessions))]
    NotAllDenied {
        /// Which.
        sessions: BTreeSet<SessionUserId>,
        /// Whether it was noted that they are denied.
        noted: bool,
    },
    /// The tags do not say how long to wait.
    #[error("the policy's tags do not say how long the longest session lives")]
    NoClock,
    /// Somebody has opened a way again.
    #[error("{} to new sessions {} open", counted(.ways.len(), "way"), if .ways.len() == 1 { "is" } else { "are" })]
    WaysOpen {
        /// Which.
        ways: Vec<Way>,
    },
    /// Whether one is open is not known.
    #[error("whether a way to new sessions is open could not be read: {why}")]
    CannotLook {
        /// AWS's words.
        why: String,
    },
    /// TEAM will put access back by itself.
    #[error("TEAM may give access again: {}", .requests.iter().map(|request| format!("request {} for {} in {} is {}", request.id, request.role, request.account, request.status)).collect::<Vec<_>>().join("; "))]
    Grants {
        /// By these.
        requests: Vec<TeamRequest>,
    },
    /// Somebody signs in as the user.
    #[error("somebody has signed in as the user since: {}", .sign_ins.iter().map(|one| format!("{} at {} from {}", one.event, one.at, one.source_ip)).collect::<Vec<_>>().join("; "))]
    SignedIn {
        /// When and where.
        sign_ins: Vec<AtPortal>,
    },
    /// Whether anybody does is not known.
    #[error(
        "whether anybody has signed in as the user since could not be read in CloudTrail: {why}"
    )]
    SignInsUnknown {
        /// AWS's words.
        why: String,
    },
    /// Access is to be given back, and the person may not be the one who has it then.
    #[error("nobody has noted as done: {}", .items.join(", "))]
    NotResecured {
        /// Of the checklist.
        items: Vec<&'static str>,
    },
    /// The clock is running.
    #[error("a session of the user may still be alive until {} ({})", .wait.until, .wait.derivation())]
    TooEarly {
        /// Until when, and why.
        #[serde(flatten)]
        wait: Wait,
    },
}

fn counted(many: usize, what: &str) -> String {
    match many {
        1 => format!("one {what}"),
        _ => format!("{many} {what}s"),
    }
}

fn list(sessions: &BTreeSet<SessionUserId>) -> String {
    let sessions: Vec<&str> = sessions.iter().map(SessionUserId::as_str).collect();
    sessions.join(", ")
}

impl Closed {
    /// What opens it, a full sentence.
    pub fn hint(&self, incident: &Incident) -> String {
        let id = &incident.id;
        match self {
            Closed::NeverProven => {
                let hours = if incident.is_of_iam_user() { 36 } else { 12 };
                format!(
                    "Prove it with `quell verify {id}`: the wait begins then. Where no canary can show it, wait {hours} hours and use `quell release {id} --force`."
                )
            }
            Closed::NotEvicted => {
                format!("Close them: `quell evict {id}`. The wait begins when nothing is left.")
            }
            Closed::NotAllDenied { .. } => {
                format!("Finish it, the wait begins anew then: `quell trace {id} --deny-chained`.")
            }
            Closed::NoClock => format!(
                "When you know that no session of the user can be alive: `quell release {id} --force`."
            ),
            Closed::WaysOpen { .. } if incident.is_of_iam_user() => {
                format!("Close them again: `quell evict {id}`. The wait begins anew.")
            }
            Closed::CannotLook { .. } if incident.is_of_iam_user() => format!(
                "Name a role in the user's account that may read them: `--canary-role <role>`. If you know that no key and no password works: `quell evict {id} --attest {NO_WAY_LEFT} --by <your name>`."
            ),
            Closed::WaysOpen { .. } => format!(
                "Close them again: `quell evict {id}` (it lists them, and the wait begins anew). If an identity provider or TEAM puts them back, end it there first."
            ),
            Closed::CannotLook { .. } => format!(
                "Ask again, with the rights to read Identity Center. Where it is account access manager or TEAM alone that cannot be read, somebody can answer for that: `quell evict {id} --attest {NO_WAY_LEFT} --by <your name>`."
            ),
            Closed::Grants { .. } => format!(
                "Revoke them in TEAM, or `quell evict {id} --revoke-team` where you have the right."
            ),
            Closed::SignedIn { .. } => format!(
                "If that was not the person: end the portal sessions, reset the credentials, and `quell evict {id}`. If it was: `quell evict {id} --attest {SIGN_INS} --by <your name>`."
            ),
            Closed::SignInsUnknown { .. } => format!(
                "It takes cloudtrail:LookupEvents in the account of Identity Center, or of the IAM user. If you know by other means that nobody has: `quell evict {id} --attest {SIGN_INS} --by <your name>`."
            ),
            Closed::NotResecured { items } => format!(
                "Do it, and note it: `quell evict {id} {} --by <your name>`.",
                items
                    .iter()
                    .map(|item| format!("--attest {item}"))
                    .collect::<Vec<_>>()
                    .join(" ")
            ),
            Closed::TooEarly { wait } => {
                let until = wait.until;
                format!(
                    "Run `quell release {id}` again after {until}, wait here with `quell watch {id} --yes`, or let a scheduler run `quell release --due --yes`."
                )
            }
        }
    }
}

/// How long the deny must stay, by everything that is known now; `None` where the clock does not run.
pub fn wait(incident: &Incident, meanwhile: &Meanwhile) -> Option<Wait> {
    let (began, margin) = (incident.wait_began()?, incident.margin?);
    let then = incident.longest_session?;
    let now = if incident.exact.is_some() {
        // The ids of a deny say nothing of how long; what was read when it was contained does.
        Some(SessionLife {
            longest: then,
            because: format!("{then:#}, as it was when contained"),
        })
    } else if incident.is_of_iam_user() {
        Some(SessionLife {
            longest: LONGEST_OF_IAM_USER,
            because: format!("{LONGEST_OF_IAM_USER:#}, the most that an IAM user's session lives"),
        })
    } else if incident.permission_sets_left_out > 0 {
        None
    } else {
        Some(longest_of(&meanwhile.permission_sets))
    };
    let (longest, because) = match now {
        None => (
            LONGEST_SESSION.max(then),
            "12h, the most there is: not all permission sets are remembered".to_owned(),
        ),
        Some(now) if now.longest > then => (
            now.longest,
            format!(
                "{}, more than the {then:#} when it was contained",
                now.because
            ),
        ),
        // Nothing of it could be read again: it is AWS's limit.
        Some(now) if now.longest == then && !incident.is_of_person() => (then, now.because),
        Some(now) if now.longest == then => (then, format!("{}, read twice", now.because)),
        Some(_) => (then, format!("{then:#}, as it was when contained")),
    };
    let until = began.checked_add(longest.checked_add(margin)?).ok()?;
    Some(Wait {
        began,
        longest,
        because,
        margin,
        until,
    })
}

/// Whether access may be given back: somebody has noted the checklist's items for it.
///
/// # Errors
/// [`Closed::NotResecured`].
pub fn resecured(attested: &BTreeSet<ItemId>) -> Result<(), Closed> {
    let is_open = |item: &&str| attested.iter().all(|done| done.as_str() != *item);
    let items: Vec<&'static str> = RESECURED.into_iter().filter(is_open).collect();
    if items.is_empty() {
        Ok(())
    } else {
        Err(Closed::NotResecured { items })
    }
}

/// Whether the person may work again before the wait is over: no way is open but to them, and older sessions stay refused.
///
/// # Errors
/// The first gate that is closed.
pub fn readmission(incident: &Incident, meanwhile: &Meanwhile) -> Result<(), Closed> {
    waited(incident, meanwhile, Timestamp::MAX)?;
    resecured(&incident.attested)
}

/// Whether the deny may be taken away now.
///
/// # Errors
/// The first gate that is closed.
pub fn gate(incident: &Incident, meanwhile: &Meanwhile, now: Timestamp) -> Result<Wait, Closed> {
    let wait = waited(incident, meanwhile, now)?;
    // Asked last: what is noted of it is noted when everything else is done. Once the person may work again, they sign in.
    if incident.sessions_after.is_some() || incident.attests(SIGN_INS) {
        return Ok(wait);
    }
    match &meanwhile.sign_ins {
        Known::Known(none) if none.is_empty() => Ok(wait),
        Known::Known(sign_ins) => Err(Closed::SignedIn {
            sign_ins: sign_ins.clone(),
        }),
        Known::Unknown(why) => Err(Closed::SignInsUnknown { why: why.clone() }),
    }
}

/// Whether no way is open and the wait is over.
fn waited(incident: &Incident, meanwhile: &Meanwhile, now: Timestamp) -> Result<Wait, Closed> {
    if incident.proven.is_none() {
        return Err(Closed::NeverProven);
    }
    if incident.evicted.is_none() && incident.needs_eviction() {
        return Err(Closed::NotEvicted);
    }
    let undenied = &meanwhile.undenied;
    if !undenied.is_empty() || incident.is_chaining_unfinished() {
        let sessions = match undenied.is_empty() {
            true => &incident.chained,
            false => undenied,
        };
        return Err(Closed::NotAllDenied {
            sessions: sessions.clone(),
            noted: !incident.is_chaining_unfinished(),
        });
    }
    // Once the person may work again, new sessions are theirs, and the deny is about older ones alone.
    if incident.sessions_after.is_none() {
        let attested = incident.attests(NO_WAY_LEFT);
        match &meanwhile.open {
            Known::Known(ways) if ways.is_empty() => {}
            Known::Known(ways) => return Err(Closed::WaysOpen { ways: ways.clone() }),
            Known::Unknown(why) => return Err(Closed::CannotLook { why: why.clone() }),
        }
        if let Some(why) = meanwhile.unread.as_ref().filter(|_| !attested) {
            return Err(Closed::CannotLook { why: why.clone() });
        }
        if !meanwhile.grants.is_empty() {
            return Err(Closed::Grants {
                requests: meanwhile.grants.clone(),
            });
        }
    }
    match wait(incident, meanwhile) {
        None => Err(Closed::NoClock),
        Some(wait) if now < wait.until => Err(Closed::TooEarly { wait }),
        Some(wait) => Ok(wait),
    }
}
