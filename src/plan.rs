//! What we mean to do: ordered steps, as data.
//!
//! Arrives: facts, a principal, a playbook. Leaves: a [`Plan`] that can be shown, weighed ([`preflight`]), approved
//! ([`approval`]) and only then carried out. Every effect that quell has on AWS while containing is a step of it; a dry
//! run renders the plan and stops. Each step says what it changes, whether that is already so, and what undoes it;
//! only `release` runs inverses (R9).

pub mod chaining;

pub mod collision;

pub mod preflight;

pub mod opinion;

pub mod approval;

pub mod arming;

pub mod eviction;

pub mod holding;

mod opening;

pub mod stale;

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::cloud::NewPolicy;
use crate::facts::{Facts, PolicySummary, TaggedPolicy};
use crate::ids::*;
use crate::incident::armed::Ledger;
use crate::incident::{Home, Incident};
use crate::plan::opening::{
    Open, OpenIncident, has_nothing, id_of, is_entered, ledger, open_incidents, opened, taken_up,
};
use crate::playbook::Playbook;
use crate::policy::NothingToDeny;
use crate::policy::document::Document;
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
    /// The whole document that its policy will have: in the armed policy other incidents are in it too.
    pub whole: Document,
    /// In which organization.
    pub organization: OrganizationId,
    /// Where it will be attached.
    pub target: TargetId,
    /// Other incidents that deny the same person already.
    pub others: BTreeSet<IncidentId>,
    /// Why the armed policy is not used although there is one, a lower-case fragment.
    pub cold_because: Option<String>,
    /// In this order.
    pub steps: Vec<Step>,
    /// Whether it was said twice that a deny that ends by itself may be on the root.
    pub lapses_on_root: bool,
    /// Set when an earlier run's proof no longer holds, because its policy was detached since: the release's clock is
    /// stopped before the deny is attached again.
    pub stops_clock: bool,
    /// Set when a way to new sessions is open again that an earlier run had closed: the release's clock is stopped.
    pub ways_open: bool,
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
    /// Write the deny into the armed policy, which is attached already.
    UpdatePolicy {
        /// The armed policy.
        policy: PolicySummary,
        /// Its whole document, with everybody else's denies.
        content: String,
        /// Whether this incident's deny is in it.
        already: bool,
        /// Whether the incident was there at all.
        known: bool,
        /// Other incidents that are put back by it.
        puts_back: Vec<Incident>,
    },
    /// Enter the incident in the armed policy's tags.
    TagPolicy {
        /// The armed policy.
        policy: PolicyId,
        /// The incident's tags.
        tags: BTreeMap<String, String>,
        /// Whether they are there.
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
    /// `organizations:TagResource`: what eviction came to is written on the policy.
    RecordEviction,
    /// `organizations:UpdatePolicy`: the deny is narrowed to sessions issued before a moment.
    NarrowDeny,
    /// `organizations:TagResource`: whom the principal became is written on the policy.
    RecordChained,
    /// `organizations:UpdatePolicy`: whom the principal became is denied, too.
    DenyChained,
    /// `organizations:DetachPolicy`.
    DetachPolicy,
    /// `organizations:DeletePolicy`.
    DeletePolicy,
    /// `organizations:UpdatePolicy`: the deny is written into the armed policy.
    UpdatePolicy,
    /// `organizations:TagResource`: the incident is entered in the armed policy's tags.
    TagPolicy,
    /// `organizations:UpdatePolicy`: the armed policy is brought in line with its tags.
    AlignPolicy,
    /// `organizations:TagResource`: the tags say that the incident is being released.
    MarkLeaving,
    /// `organizations:UpdatePolicy`: the deny is taken out of the armed policy.
    TakeOut,
    /// `organizations:TagResource` and `UntagResource`: the tags say that the incident was released, and no more.
    ClearTags,
}

impl StepName {
    /// Whether only a release does it.
    pub fn releases(self) -> bool {
        match self {
            StepName::DetachPolicy
            | StepName::DeletePolicy
            | StepName::MarkLeaving
            | StepName::TakeOut
            | StepName::ClearTags => true,
            StepName::CreatePolicy
            | StepName::AttachPolicy
            | StepName::RecordProof
            | StepName::RecordEviction
            | StepName::NarrowDeny
            | StepName::RecordChained
            | StepName::DenyChained
            | StepName::UpdatePolicy
            | StepName::TagPolicy
            | StepName::AlignPolicy => false,
        }
    }
}

impl Step {
    /// Its name.
    pub fn name(&self) -> StepName {
        match self {
            Step::CreatePolicy { .. } => StepName::CreatePolicy,
            Step::AttachPolicy { .. } => StepName::AttachPolicy,
            Step::UpdatePolicy { .. } => StepName::UpdatePolicy,
            Step::TagPolicy { .. } => StepName::TagPolicy,
        }
    }

    /// What undoes it. Only a release does.
    pub fn inverse(&self) -> StepName {
        match self {
            Step::CreatePolicy { .. } => StepName::DeletePolicy,
            Step::AttachPolicy { .. } => StepName::DetachPolicy,
            Step::UpdatePolicy { .. } => StepName::TakeOut,
            Step::TagPolicy { .. } => StepName::ClearTags,
        }
    }

    /// The policy that it is about, where there is one already.
    pub fn known_policy(&self) -> Option<&PolicyId> {
        match self {
            Step::CreatePolicy { already, .. } => already.as_ref().map(|policy| &policy.id),
            Step::AttachPolicy { .. } => None,
            Step::UpdatePolicy { policy, .. } => Some(&policy.id),
            Step::TagPolicy { policy, .. } => Some(policy),
        }
    }

    /// Whether what it changes is so already.
    pub fn already(&self) -> bool {
        match self {
            Step::CreatePolicy { already, .. } => already.is_some(),
            Step::AttachPolicy { already, .. }
            | Step::UpdatePolicy { already, .. }
            | Step::TagPolicy { already, .. } => *already,
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

/// How a plan is to be made, beside whom it is about.
#[derive(Debug, Clone, Default)]
pub struct Wish<'a> {
    /// A policy of its own, also where the armed policy could be used.
    pub cold: bool,
    /// What this machine's journals say was begun, and AWS may never have heard of.
    pub begun: &'a [Begun],
    /// The incident that is to go on, where somebody named it.
    pub resume: Option<&'a IncidentId>,
    /// Plans that will be carried out before this one.
    pub before: &'a [Plan],
    /// For a deny that ends by itself (R20b).
    pub lapses: Option<Lapse>,
}

/// A deny that ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lapse {
    /// So long after the survey.
    pub after: SignedDuration,
    /// Whether it may be on the root: it fails open.
    pub on_root: bool,
}

/// An incident that was approved on this machine and did not come to its end here. It is gone on with rather than another
/// one of the same person's, so that nothing of it is left over; and where AWS has nothing of it, its id is taken up, so
/// that a call of the earlier run that arrives late finds its own policy's name taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Begun {
    /// The incident.
    pub incident: IncidentId,
    /// Whom it denies.
    pub principal: Username,
    /// In which organization.
    pub organization: OrganizationId,
    /// Where.
    pub target: TargetId,
    /// Whether AWS had accepted its deny: then, where AWS has nothing of it, somebody has taken it away.
    pub contained: bool,
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
        wish: &Wish<'_>,
    ) -> Result<Self, NothingToDeny> {
        let (ledger, unusable) = ledger(facts, wish.before);
        let mut principal = principal;
        let lapsing = wish.lapses.is_some();
        let known = open_incidents(facts, &principal, ledger.as_ref(), lapsing, wish.resume);
        // Whatever this machine has begun is finished by this machine; else whatever is in force is added to.
        let resumed = |open: &&OpenIncident| Some(&open.incident.id) == wish.resume;
        let begun = |open: &&OpenIncident| {
            let same = |begun: &Begun| begun.incident == open.incident.id;
            wish.begun.iter().any(same)
        };
        let others = open_incidents(facts, &principal, ledger.as_ref(), !lapsing, wish.resume);
        let ids: BTreeSet<IncidentId> = known
            .iter()
            .chain(&others)
            .map(|open| open.incident.id.clone())
            .collect();
        // Whoever asks for a policy of its own has a reason not to write into the armed one.
        let cold = |open: &OpenIncident| !wish.cold || !matches!(open.place, Open::Armed);
        let chosen = known.iter().find(resumed);
        let known: Vec<&OpenIncident> = known.iter().filter(|open| cold(open)).collect();
        let chosen = chosen.or_else(|| known.iter().copied().find(begun));
        let chosen = chosen.or_else(|| known.iter().copied().find(|open| open.in_force));
        let chosen = chosen.or(known.first().copied()).cloned();
        let ways_open = chosen
            .as_ref()
            .is_some_and(|open| open.incident.evicted.is_some() && !has_nothing(facts));
        let (mut incident, open) = match chosen.map(|open| (open.incident, open.place)) {
            Some((incident, open)) => {
                // The policy names every spelling that was ever seen; what is judged is that document.
                principal
                    .session_names
                    .extend(incident.session_names.iter().cloned());
                if let (Some(exact), Some(known)) = (&mut principal.exact, &incident.exact) {
                    exact.identity.clone_from(known);
                }
                (taken_up(incident, facts, &principal, playbook), open)
            }
            None => {
                let known = |id: &IncidentId| {
                    let own = |policy: &TaggedPolicy| policy.summary.name == id.policy_name();
                    facts.remembered.iter().any(own) || is_entered(facts, id)
                };
                let id = id_of(facts, &principal, wish.begun, known);
                (opened(id, facts, &principal, playbook), Open::Nothing)
            }
        };
        if let Some(lapse) = wish.lapses {
            let end = facts.asked_at.saturating_add(lapse.after);
            // Up to the whole second, as AWS writes its dates.
            let end = end.and_then(|end| Timestamp::from_second(end.as_second() + 1));
            incident.lapses.get_or_insert(end.unwrap_or(Timestamp::MAX));
        }
        let document = incident.deny().map_err(|nothing| NothingToDeny {
            why: principal.unspellable.clone().unwrap_or(nothing.why),
        })?;
        let room = match (&open, ledger) {
            (Open::Own(_), _) | (_, None) => None,
            (Open::Armed, Some(armed)) => Some(armed),
            (Open::Nothing, _) if wish.cold => None,
            (Open::Nothing, Some((policy, ledger))) => match ledger.room_for(&incident) {
                Ok(()) => Some((policy, ledger)),
                Err(full) => {
                    return Ok(Self::cold(facts, principal, incident, document, None)
                        .beside(ids)
                        .lapsing(wish)
                        .because(format!("the armed policy has no room: {full}")));
                }
            },
        };
        let plan = match room {
            Some((policy, ledger)) => {
                incident.home = Home::Armed;
                Self::armed(facts, principal, incident, document, &policy, &ledger)
            }
            None => {
                let already = match open {
                    Open::Own(policy) => Some(policy),
                    Open::Nothing | Open::Armed => None,
                };
                let plan = Self::cold(facts, principal, incident, document, already);
                match unusable {
                    Some(why) if !wish.cold => plan.because(why),
                    Some(_) | None => plan,
                }
            }
        };
        let plan = Self { ways_open, ..plan };
        Ok(plan.beside(ids).lapsing(wish))
    }

    /// The plan, knowing whether it may lapse on the root.
    fn lapsing(mut self, wish: &Wish<'_>) -> Self {
        self.lapses_on_root = wish.lapses.is_some_and(|lapse| lapse.on_root);
        self
    }

    /// The plan, knowing all the open incidents of its person.
    fn beside(mut self, mut open: BTreeSet<IncidentId>) -> Self {
        open.remove(&self.incident.id);
        self.others = open;
        self
    }

    /// A policy of its own: create, attach.
    fn cold(
        facts: &Facts,
        principal: Principal,
        mut incident: Incident,
        document: Document,
        already: Option<PolicySummary>,
    ) -> Self {
        incident.home = Home::Own;
        let attached = already
            .as_ref()
            .is_some_and(|own| facts.attached.iter().any(|policy| policy.id == own.id));
        let stops_clock = !attached && incident.proven.take().is_some();
        let policy = Box::new(NewPolicy {
            name: incident.policy_name(),
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
        Self {
            incident,
            principal,
            whole: document.clone(),
            document,
            organization: facts.organization.id.clone(),
            target: facts.target.clone(),
            others: BTreeSet::new(),
            cold_because: None,
            steps,
            lapses_on_root: false,
            ways_open: false,
            stops_clock,
            surveyed_at: facts.asked_at,
        }
    }

    /// An entry in the armed policy: update, tag.
    fn armed(
        facts: &Facts,
        principal: Principal,
        mut incident: Incident,
        document: Document,
        policy: &PolicySummary,
        ledger: &Ledger,
    ) -> Self {
        let entry = ledger.entry(&incident.id);
        let already = entry.is_some_and(|entry| entry.is_denied_by(&document));
        let stops_clock = !already && incident.proven.take().is_some();
        let whole = ledger.with(&incident).render();
        let tags = incident.tags();
        let tagged = entry.is_some_and(|entry| entry.is_tagged_with(&tags));
        let steps = vec![
            Step::UpdatePolicy {
                policy: policy.clone(),
                content: whole.minified(),
                already,
                known: entry.is_some(),
                puts_back: ledger.with(&incident).let_in(),
            },
            Step::TagPolicy {
                policy: policy.id.clone(),
                tags,
                already: tagged,
            },
        ];
        Self {
            incident,
            principal,
            document,
            whole,
            organization: facts.organization.id.clone(),
            target: facts.target.clone(),
            others: BTreeSet::new(),
            cold_because: None,
            steps,
            lapses_on_root: false,
            ways_open: false,
            stops_clock,
            surveyed_at: facts.asked_at,
        }
    }

    fn because(mut self, why: String) -> Self {
        self.cold_because = Some(why);
        self
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
                // Without what others are denied for: that is not what this plan is approved for.
                Step::UpdatePolicy { policy, .. } => {
                    feed("update");
                    feed(policy.id.as_str());
                    feed(&self.document.minified());
                }
                Step::TagPolicy { policy, tags, .. } => {
                    feed("tag");
                    feed(policy.as_str());
                    for (key, value) in tags {
                        feed(key);
                        feed(value);
                    }
                }
            }
        }
        PlanDigest(hex::encode(hash.finalize()))
    }
}
