//! Letting the person back in: the gates before the deny is taken away.
//!
//! Arrives: the incident as AWS remembers it and the time. Leaves: nothing, when the gates are open; [`Closed`] with
//! what opens them, when they are not. Pure; the driver does the detaching, with the steps of [`crate::contain`].
//!
//! A session minted under the deny is refused, and comes alive when the deny goes before it expires. So the deny stays
//! for the longest session that could exist, counted from the moment it was proven, and a margin (R18).

use jiff::Timestamp;
use serde::Serialize;

use crate::incident::Incident;

/// A gate that is closed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(tag = "gate", rename_all = "snake_case")]
pub enum Closed {
    /// The clock has not started.
    #[error("the deny was never proven, so the clock has not started")]
    NeverProven,
    /// The tags do not say how long to wait.
    #[error("the policy's tags do not say how long the longest session lives")]
    NoClock,
    /// The clock is running.
    #[error("a session of the user may still be alive until {until}")]
    TooEarly {
        /// When it has run out.
        until: Timestamp,
    },
}

impl Closed {
    /// What opens it, a full sentence.
    pub fn hint(&self, incident: &Incident) -> String {
        let id = &incident.id;
        match self {
            Closed::NeverProven => format!(
                "Prove it with `quell verify {id}`: the wait begins then. Where no canary can show it, wait 12 hours and use `quell release {id} --force`."
            ),
            Closed::NoClock => format!(
                "When you know that no session of the user can be alive: `quell release {id} --force`."
            ),
            Closed::TooEarly { until } => {
                format!(
                    "Run `quell release {id}` again after {until}, or let a scheduler run `quell release --due --yes`."
                )
            }
        }
    }
}

/// Whether the deny may be taken away now.
///
/// # Errors
/// The gate that is closed.
pub fn gate(incident: &Incident, now: Timestamp) -> Result<(), Closed> {
    if incident.proven.is_none() {
        return Err(Closed::NeverProven);
    }
    match incident.release_not_before() {
        None => Err(Closed::NoClock),
        Some(until) if now < until => Err(Closed::TooEarly { until }),
        Some(_) => Ok(()),
    }
}
