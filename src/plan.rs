//! What we mean to do: ordered steps, as data.
//!
//! Arrives: facts, a principal, a playbook. Leaves: a [`Plan`] that can be shown, weighed ([`preflight`]), approved
//! ([`approval`]) and only then carried out. Every effect that quell has on AWS while containing is a step of it; a dry
//! run renders the plan and stops. Each step says what it changes, whether that is already so, and what undoes it;
//! only `release` runs inverses (R9).

pub mod collision;

pub mod preflight;

pub mod approval;

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::cloud::NewPolicy;
use crate::facts::{Facts, Known, PolicySummary};
use crate::ids::*;
use crate::incident::Incident;
use crate::playbook::Playbook;
use crate::policy::document::Document;
use crate::policy::{self, NothingToDeny};
use crate::principal::Principal;

/// What we mean to do.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The incident as it will be remembered.
    pub incident: Incident,
    /// Whom it denies.
    pub principal: Principal,
    /// The deny.
    pub document: Document,
    /// Where it will be attached.
    pub target: TargetId,
    /// In this order.
    pub steps: Vec<Step>,
    /// Set when an earlier run's proof no longer holds, because its policy was detached since: the release's clock is
    /// stopped before the deny is attached again.
    pub stops_clock: bool,
    /// When the facts it rests on were asked for.
    pub surveyed_at: Timestamp,
}

/// One change.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Create the policy.
    CreatePolicy {
        /// What it is created with.
        policy: Box<NewPolicy>,
        /// The policy, when an earlier run has created it.
        already: Option<PolicySummary>,
    },
    /// Attach the policy.
    AttachPolicy {
        /// To what.
        target: TargetId,
        /// Whether it is attached there.
        already: bool,
    },
}

/// A step by name, as the journal writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepName {
    /// `organizations:CreatePolicy`.
    CreatePolicy,
    /// `organizations:AttachPolicy`.
    AttachPolicy,
    /// `organizations:TagResource`: the proof is written on the policy.
    RecordProof,
    /// `organizations:DetachPolicy`.
    DetachPolicy,
    /// `organizations:DeletePolicy`.
    DeletePolicy,
}

impl Step {
    /// Its name.
    pub fn name(&self) -> StepName {
        match self {
            Step::CreatePolicy { .. } => StepName::CreatePolicy,
            Step::AttachPolicy { .. } => StepName::AttachPolicy,
        }
    }

    /// What undoes it. Only a release does.
    pub fn inverse(&self) -> StepName {
        match self {
            Step::CreatePolicy { .. } => StepName::DeletePolicy,
            Step::AttachPolicy { .. } => StepName::DetachPolicy,
        }
    }

    /// Whether what it changes is so already.
    pub fn already(&self) -> bool {
        match self {
            Step::CreatePolicy { already, .. } => already.is_some(),
            Step::AttachPolicy { already, .. } => *already,
        }
    }
}

/// The fingerprint of a plan: the same for the same steps on the same incident, different for any other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct PlanDigest(String);

impl PlanDigest {
    /// The first twelve hex digits, for people.
    pub fn short(&self) -> &str {
        self.0.get(..12).unwrap_or(&self.0)
    }
}

impl Plan {
    /// Makes the plan. An incident of the same person on the same target is taken up where it stands rather than
    /// doubled, so typing the command again after an interruption goes on.
    ///
    /// # Errors
    /// [`NothingToDeny`] when no key can name the principal.
    pub fn containment(
        facts: &Facts,
        principal: Principal,
        playbook: &Playbook,
    ) -> Result<Self, NothingToDeny> {
        let open = facts.remembered.iter().find_map(|policy| {
            let incident = Incident::recall(policy)?;
            is_of(&incident, &principal, &facts.target).then(|| (incident, policy.summary.clone()))
        });
        let mut principal = principal;
        let (mut incident, already) = match open {
            Some((incident, summary)) => {
                // The policy names every spelling that was ever seen; what is judged is that document.
                principal
                    .session_names
                    .extend(incident.session_names.iter().cloned());
                (taken_up(incident, facts, &principal), Some(summary))
            }
            None => (opened(facts, &principal, playbook), None),
        };
        let document = policy::draft(&incident.id, [&principal.identity()]).map_err(|nothing| {
            NothingToDeny {
                why: principal.unspellable.clone().unwrap_or(nothing.why),
            }
        })?;
        let attached = already
            .as_ref()
            .is_some_and(|own| facts.attached.iter().any(|policy| policy.id == own.id));
        let stops_clock = !attached && incident.proven.take().is_some();
        let policy = Box::new(NewPolicy {
            name: incident.id.policy_name(),
            description: incident.description(),
            content: document.minified(),
            tags: incident.tags(),
        });
        let steps = vec![
            Step::CreatePolicy { policy, already },
            Step::AttachPolicy {
                target: facts.target.clone(),
                already: attached,
            },
        ];
        Ok(Self {
            incident,
            principal,
            document,
            target: facts.target.clone(),
            steps,
            stops_clock,
            surveyed_at: facts.asked_at,
        })
    }

    /// The plan's fingerprint, to which an approval is bound.
    pub fn digest(&self) -> PlanDigest {
        let mut hash = Sha256::new();
        let mut feed = |text: &str| {
            // Length first, so that no two lists of texts run into the same bytes.
            hash.update(text.len().to_be_bytes());
            hash.update(text.as_bytes());
        };
        feed(self.incident.id.as_str());
        for step in &self.steps {
            match step {
                Step::CreatePolicy { policy, already } => {
                    feed("create");
                    feed(&policy.name);
                    feed(&policy.content);
                    for (key, value) in &policy.tags {
                        feed(key);
                        feed(value);
                    }
                    feed(already.as_ref().map_or("", |policy| policy.id.as_str()));
                }
                Step::AttachPolicy { target, already } => {
                    feed("attach");
                    feed(target.as_str());
                    feed(if *already { "already" } else { "" });
                }
            }
        }
        PlanDigest(hex::encode(hash.finalize()))
    }
}

/// Whether an open incident already denies this principal, under every name, on this target.
fn is_of(incident: &Incident, principal: &Principal, target: &TargetId) -> bool {
    let same_person = match &principal.user_id {
        Known::Known(id) => incident.user_id.as_ref() == Some(id),
        Known::Unknown(_) => incident.user_id.is_none() && !principal.session_names.is_empty(),
    };
    same_person
        && incident.target.as_ref() == Some(target)
        && incident.session_names.is_superset(&principal.session_names)
}

/// A new incident. Its id is drawn from who, where and when, and drawn again while a policy of that name exists.
fn opened(facts: &Facts, principal: &Principal, playbook: &Playbook) -> Incident {
    let taken: Vec<&str> = facts
        .remembered
        .iter()
        .map(|policy| policy.summary.name.as_str())
        .collect();
    let seed = format!(
        "{}|{}|{}|{}",
        principal.username, facts.target, facts.caller.arn, facts.asked_at
    );
    let mut draw = 0_u32;
    let id = loop {
        let [a, b, c, ..] = <[u8; 32]>::from(Sha256::digest(format!("{seed}|{draw}")));
        let id = IncidentId::from_bytes([a, b, c]);
        if !taken.contains(&id.policy_name().as_str()) {
            break id;
        }
        draw += 1;
    };
    Incident {
        id,
        principal: Some(principal.username.clone()),
        user_id: principal.user_id.known().cloned(),
        session_names: principal.session_names.clone(),
        operator: Some(facts.caller.arn.clone()),
        opened: Some(facts.asked_at),
        target: Some(facts.target.clone()),
        accounts: covered(facts, principal),
        accounts_left_out: 0,
        reaches_management: principal.reaches_management,
        longest_session: Some(principal.session.longest),
        margin: Some(playbook.release.margin),
        proven: None,
    }
}

/// An open incident with what the new survey adds: a release must wait for whatever either of them saw.
fn taken_up(mut incident: Incident, facts: &Facts, principal: &Principal) -> Incident {
    incident.longest_session = incident
        .longest_session
        .max(Some(principal.session.longest));
    incident.accounts.extend(covered(facts, principal));
    // The new survey saw every account again.
    incident.accounts_left_out = 0;
    incident.reaches_management |= principal.reaches_management;
    incident
}

/// The accounts that the principal can enter and that the deny will cover.
fn covered(facts: &Facts, principal: &Principal) -> BTreeSet<AccountId> {
    let under = |account: &&AccountId| {
        facts
            .under_target
            .as_ref()
            .is_none_or(|under| under.contains(*account))
    };
    principal
        .reach
        .iter()
        .filter(under)
        .filter(|account| **account != facts.organization.management)
        .cloned()
        .collect()
}
