//! The grade, from what was seen inside the range, call by call.

use jiff::Timestamp;

use crate::ids::*;
use crate::incident::Incident;
use crate::range::Range;
use crate::range::state::{Actor, Calls, Ended, Sighting};
use crate::report::{AttackerReport, DrillReport, millis};

/// The grade, from inside the range.
pub(super) fn grade(
    range: &Range,
    seed: u64,
    incident: &Incident,
    moments: Moments,
    before: &[PolicyId],
    mut faults: Vec<String>,
) -> DrillReport {
    let Moments {
        approved,
        accepted,
        split,
        released,
    } = moments;
    let (attacker, proven) = (sightings(range, split), split.proven);
    let (bystanders_refused, bystanders_allowed, policies_left) = range.with(|state| {
        let others = |ended: Ended| {
            let of_others =
                |actor: usize| state.actors.get(actor).is_some_and(|actor| !actor.attacker);
            state
                .seen
                .iter()
                .filter(|sighting| of_others(sighting.actor) && sighting.ended == ended)
                .count()
        };
        let left = state
            .policies
            .keys()
            .filter(|id| !before.contains(id))
            .count();
        (others(Ended::Refused), others(Ended::Allowed), left)
    });
    let mut fault = |bad: bool, text: String| {
        if bad {
            faults.push(text);
        }
    };
    fault(
        attacker.allowed_after_proven > 0,
        format!(
            "{} calls of the attacker were allowed after the proof.",
            attacker.allowed_after_proven
        ),
    );
    fault(
        attacker.refused == 0,
        "The attacker was never refused: the drill shows nothing.".to_owned(),
    );
    fault(
        bystanders_refused > 0,
        format!("{bystanders_refused} calls of other people were refused."),
    );
    fault(
        bystanders_allowed == 0,
        "Nobody else called: the drill shows nothing of them.".to_owned(),
    );
    fault(
        policies_left > 0,
        format!("{policies_left} policies were left behind."),
    );
    DrillReport {
        schema: "quell.drill/1",
        verdict: if faults.is_empty() { "pass" } else { "fail" },
        incident: incident.id.clone(),
        principal: incident
            .principal
            .clone()
            .unwrap_or_else(|| Username::new("")),
        seed,
        accepted_ms: millis(accepted.duration_since(approved)),
        proven_ms: proven.map(|proven| millis(proven.duration_since(approved))),
        denied_for_ms: proven.map(|proven| millis(released.duration_since(proven))),
        attacker,
        bystanders_refused,
        bystanders_allowed,
        policies_left,
        faults,
    }
}

/// When what happened.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moments {
    /// The plan was approved.
    pub(super) approved: Timestamp,
    /// AWS took the deny.
    pub(super) accepted: Timestamp,
    /// From when on nothing of the attacker's may be allowed.
    pub(super) split: Split,
    /// The deny was taken away.
    pub(super) released: Timestamp,
}

/// From when on nothing of the attacker's may be allowed. What no step was taken against was meant to be over with the
/// proof.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Split {
    /// In their own sessions.
    pub(super) proven: Option<Timestamp>,
    /// In those that they chained into.
    pub(super) chained: Option<Timestamp>,
    /// In the management account.
    pub(super) held: Option<Timestamp>,
    /// Where they ask for console passwords.
    pub(super) guarded: Option<Timestamp>,
    /// In those that an IAM user has vouched for, who have ids of their own: the user's inline deny refuses them.
    pub(super) vouched: Option<Timestamp>,
}

impl Split {
    /// Of one call.
    fn of(&self, sighting: &Sighting, actor: &Actor) -> Option<Timestamp> {
        let own = if actor.chain.is_some() {
            self.chained
        } else if actor.calls != Calls::Buckets {
            self.guarded
        } else if sighting.in_management {
            self.held
        } else {
            self.vouched
        };
        own.or(self.proven)
    }
}

/// What the attacker's calls came to, split at the moment of the proof.
pub(super) fn sightings(range: &Range, split: Split) -> AttackerReport {
    range.with(|state| {
        let mut report = AttackerReport {
            sessions: state
                .actors
                .iter()
                .filter(|actor| actor.attacker && actor.portal.is_none())
                .count(),
            ..AttackerReport::default()
        };
        for sighting in &state.seen {
            let actor = state.actors.get(sighting.actor);
            let Some(actor) = actor.filter(|actor| actor.attacker) else {
                continue;
            };
            let from = split.of(sighting, actor);
            let after = from.is_some_and(|from| sighting.at > from);
            let is_proven = split.proven.is_some_and(|proven| sighting.at > proven);
            match sighting.ended {
                Ended::Allowed if after => report.allowed_after_proven += 1,
                Ended::Allowed if is_proven => report.allowed_in_between += 1,
                Ended::Allowed => report.allowed_before += 1,
                Ended::Refused => report.refused += 1,
                Ended::Expired => report.expired += 1,
            }
        }
        report
    })
}
