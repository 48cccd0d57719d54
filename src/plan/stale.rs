//! Whether the world moved since the survey.
//!
//! Arrives: a plan, and a last look at what it hangs on. Leaves: the same plan upon what is there now, or [`Moved`]. Pure.

use crate::facts::{Glance, PolicySummary};
use crate::ids::*;
use crate::incident::Incident;
use crate::incident::armed::{Entry, Ledger, Standing};
use crate::plan::opening::is_of;
use crate::plan::preflight::MOST_ATTACHED;
use crate::plan::{Plan, Step};

/// Why a plan is another one by now: the world moved since the survey.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Moved {
    /// Somebody else has contained the same person.
    #[error("somebody has contained the same user meanwhile: incident {0}")]
    Contained(IncidentId),
    /// A policy that the plan goes by.
    #[error("the policy {0} was taken away or changed meanwhile")]
    Gone(String),
    /// The incident's own policy, or its deny in the armed one.
    #[error("the incident's deny was detached or taken out meanwhile")]
    Detached,
    /// The incident that the plan takes up.
    #[error("the incident was released meanwhile, or is being released")]
    Released,
    /// The target is full.
    #[error("the last place on {0} was taken meanwhile")]
    NoSlot(TargetId),
    /// The armed policy is full.
    #[error("the armed policy was filled meanwhile: {0}")]
    Full(String),
}

impl Plan {
    /// The same plan upon what was found at a last look, or why it is another one by now. Other incidents in the armed
    /// policy are no reason: their denies are carried over.
    ///
    /// # Errors
    /// [`Moved`].
    pub fn upon(mut self, seen: &Glance) -> Result<Self, Moved> {
        let is_its = |incident: &Incident| {
            incident.id != self.incident.id
                && !self.others.contains(&incident.id)
                && is_of(
                    incident,
                    &self.principal,
                    &self.target,
                    self.incident.lapses.is_some(),
                )
        };
        let new = seen.remembered.iter().filter_map(Incident::recall);
        if let Some(other) = new.into_iter().find(is_its) {
            return Err(Moved::Contained(other.id));
        }
        let mut tagged = false;
        let mut steps = Vec::new();
        for step in std::mem::take(&mut self.steps) {
            steps.push(match step {
                Step::UpdatePolicy {
                    policy,
                    already,
                    known,
                    ..
                } => {
                    let gone = || Moved::Gone(policy.name.clone());
                    let armed = seen.armed.as_ref().ok_or_else(gone)?;
                    if !armed.targets.contains(&self.target) {
                        return Err(gone());
                    }
                    let ledger = Ledger::read(armed).map_err(|_| gone())?;
                    let open = |entry: &&Entry| {
                        entry.standing == Standing::Open && is_its(&entry.incident)
                    };
                    if let Some(other) = ledger.entries().find(open) {
                        return Err(Moved::Contained(other.incident.id.clone()));
                    }
                    let entry = ledger.entry(&self.incident.id);
                    let still_open = entry.is_some_and(|entry| entry.standing == Standing::Open);
                    if known && !still_open {
                        return Err(Moved::Released);
                    }
                    let still = entry.is_some_and(|entry| entry.is_denied_by(&self.document));
                    // A deny that was there and is not: its proof is none any more, and the plan says it is.
                    if already && !still {
                        return Err(Moved::Detached);
                    }
                    if entry.is_none() {
                        ledger
                            .room_for(&self.incident)
                            .map_err(|full| Moved::Full(full.to_string()))?;
                    }
                    tagged = entry.is_some_and(|entry| entry.is_tagged_with(&self.incident.tags()));
                    self.whole = ledger.with(&self.incident).render();
                    Step::UpdatePolicy {
                        policy,
                        content: self.whole.minified(),
                        already: still,
                        known,
                        puts_back: ledger.with(&self.incident).let_in(),
                    }
                }
                Step::TagPolicy { policy, tags, .. } => Step::TagPolicy {
                    policy,
                    tags,
                    already: tagged,
                },
                Step::AttachPolicy { target, already } => {
                    let own = |policy: &PolicySummary| policy.name == self.incident.policy_name();
                    let attached = seen.attached.iter().any(own);
                    if already && !attached {
                        return Err(Moved::Detached);
                    }
                    if !attached && seen.attached.len() >= MOST_ATTACHED {
                        return Err(Moved::NoSlot(target));
                    }
                    Step::AttachPolicy { target, already }
                }
                step @ Step::CreatePolicy { .. } => step,
            });
        }
        self.steps = steps;
        Ok(self)
    }
}
