//! What we mean to do: ordered steps, as data.
//!
//! Arrives: facts, a principal, a playbook. Leaves: a [`Plan`] that can be shown, weighed ([`preflight`]), approved
//! ([`approval`]) and only then carried out. Every effect that quell has on AWS while containing is a step of it; a dry
//! run renders the plan and stops. Each step says what it changes, whether that is already so, and what undoes it;
//! only `release` runs inverses (R9).

pub mod collision;

pub mod preflight;

pub mod approval;

pub mod arming;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::cloud::NewPolicy;
use crate::facts::{Facts, Glance, Known, PolicySummary, TaggedPolicy};
use crate::ids::*;
use crate::incident::armed::{Entry, Ledger, Standing};
use crate::incident::{Home, Incident};
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
    /// Write the deny into the armed policy, which is attached already.
    UpdatePolicy {
        /// The armed policy.
        policy: PolicySummary,
        /// Its whole document, with everybody else's denies.
        content: String,
        /// Whether this incident's deny is in it.
        already: bool,
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

/// An open incident of the person that a plan is about.
#[derive(Debug, Clone)]
struct OpenIncident {
    incident: Incident,
    place: Open,
    /// Whether its deny is attached to the target.
    in_force: bool,
}

/// What AWS has already of an incident that a plan takes up.
#[derive(Debug, Clone)]
enum Open {
    /// Nothing.
    Nothing,
    /// A policy of its own.
    Own(PolicySummary),
    /// An entry in the armed policy.
    Armed,
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
        let known = open_incidents(facts, &principal, ledger.as_ref());
        // Whatever this machine has begun is finished by this machine; else whatever is in force is added to.
        let resumed = |open: &&OpenIncident| Some(&open.incident.id) == wish.resume;
        let begun = |open: &&OpenIncident| {
            let same = |begun: &Begun| begun.incident == open.incident.id;
            wish.begun.iter().any(same)
        };
        let ids: BTreeSet<IncidentId> = known.iter().map(|open| open.incident.id.clone()).collect();
        let chosen = known.iter().find(resumed);
        let chosen = chosen.or_else(|| known.iter().find(begun));
        let chosen = chosen.or_else(|| known.iter().find(|open| open.in_force));
        let chosen = chosen.or(known.first()).cloned();
        let (mut incident, open) = match chosen.map(|open| (open.incident, open.place)) {
            Some((incident, open)) => {
                // The policy names every spelling that was ever seen; what is judged is that document.
                principal
                    .session_names
                    .extend(incident.session_names.iter().cloned());
                (taken_up(incident, facts, &principal, playbook), open)
            }
            None => {
                let known = |id: &IncidentId| {
                    let own = |policy: &TaggedPolicy| policy.summary.name == id.policy_name();
                    let entered = |(_, ledger): &(PolicySummary, Ledger)| ledger.knows(id);
                    facts.remembered.iter().any(own) || ledger.as_ref().is_some_and(entered)
                };
                let id = id_of(facts, &principal, wish.begun, known);
                (opened(id, facts, &principal, playbook), Open::Nothing)
            }
        };
        let document = policy::draft(&incident.id, [&principal.identity()]).map_err(|nothing| {
            NothingToDeny {
                why: principal.unspellable.clone().unwrap_or(nothing.why),
            }
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
        Ok(plan.beside(ids))
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
        let already = ledger.entry(&incident.id).is_some_and(Entry::is_denied)
            && ledger.with(&incident).agrees();
        let stops_clock = !already && incident.proven.take().is_some();
        let whole = ledger.with(&incident).render();
        let tags = incident.tags();
        let tagged = ledger
            .entry(&incident.id)
            .is_some_and(|entry| entry.tagged && entry.incident.tags() == tags);
        let steps = vec![
            Step::UpdatePolicy {
                policy: policy.clone(),
                content: whole.minified(),
                already,
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
            stops_clock,
            surveyed_at: facts.asked_at,
        }
    }

    fn because(mut self, why: String) -> Self {
        self.cold_because = Some(why);
        self
    }

    /// The same plan upon what was found at a last look, or why it is another one by now. Other incidents in the armed
    /// policy are no reason: their denies are carried over.
    ///
    /// # Errors
    /// [`Moved`].
    pub fn upon(mut self, seen: &Glance) -> Result<Self, Moved> {
        let is_its = |incident: &Incident| {
            incident.id != self.incident.id
                && !self.others.contains(&incident.id)
                && is_of(incident, &self.principal, &self.target)
        };
        let new = seen.remembered.iter().filter_map(Incident::recall);
        if let Some(other) = new.into_iter().find(is_its) {
            return Err(Moved::Contained(other.id));
        }
        let mut steps = Vec::new();
        for step in std::mem::take(&mut self.steps) {
            steps.push(match step {
                Step::UpdatePolicy {
                    policy, already, ..
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
                    if !already {
                        ledger
                            .room_for(&self.incident)
                            .map_err(|full| Moved::Full(full.to_string()))?;
                    }
                    self.whole = ledger.with(&self.incident).render();
                    Step::UpdatePolicy {
                        policy,
                        content: self.whole.minified(),
                        already: already && ledger.agrees(),
                    }
                }
                Step::AttachPolicy { target, already } => {
                    let own = |policy: &PolicySummary| policy.name == self.incident.policy_name();
                    let attached = seen.attached.iter().any(own);
                    if already && !attached {
                        return Err(Moved::Detached);
                    }
                    if !attached && seen.attached.len() >= preflight::MOST_ATTACHED {
                        return Err(Moved::NoSlot(target));
                    }
                    Step::AttachPolicy { target, already }
                }
                step @ (Step::CreatePolicy { .. } | Step::TagPolicy { .. }) => step,
            });
        }
        self.steps = steps;
        Ok(self)
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

/// Why a plan is another one by now: the world moved since the survey.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Moved {
    /// Somebody else has contained the same person.
    #[error("somebody has contained the same user meanwhile: incident {0}")]
    Contained(IncidentId),
    /// A policy that the plan goes by.
    #[error("the policy {0} was taken away or changed meanwhile")]
    Gone(String),
    /// The incident's own policy.
    #[error("the incident's policy was detached meanwhile")]
    Detached,
    /// The target is full.
    #[error("the last place on {0} was taken meanwhile")]
    NoSlot(TargetId),
    /// The armed policy is full.
    #[error("the armed policy was filled meanwhile: {0}")]
    Full(String),
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

/// The open incidents of this person on the target, those with a policy of their own first.
fn open_incidents(
    facts: &Facts,
    principal: &Principal,
    ledger: Option<&(PolicySummary, Ledger)>,
) -> Vec<OpenIncident> {
    let is_its = |incident: &Incident| is_of(incident, principal, &facts.target);
    let own = facts.remembered.iter().filter_map(|policy| {
        let incident = Incident::recall(policy)?;
        let attached = |known: &PolicySummary| known.id == policy.summary.id;
        is_its(&incident).then(|| OpenIncident {
            incident,
            place: Open::Own(policy.summary.clone()),
            in_force: facts.attached.iter().any(attached),
        })
    });
    let entries = ledger.into_iter().flat_map(|(_, ledger)| ledger.entries());
    let entered = entries
        .filter(|entry| entry.standing == Standing::Open && is_its(&entry.incident))
        .map(|entry| OpenIncident {
            incident: entry.incident.clone(),
            place: Open::Armed,
            in_force: entry.is_denied(),
        });
    own.chain(entered).collect()
}

/// The armed policy and its ledger, with what earlier plans of this command will have entered; or why it cannot be used.
fn ledger(facts: &Facts, before: &[Plan]) -> (Option<(PolicySummary, Ledger)>, Option<String>) {
    let because = |why: String| (None, Some(why));
    let armed = match &facts.armed {
        Known::Known(None) => return (None, None),
        Known::Known(Some(armed)) => armed,
        Known::Unknown(why) => return because(format!("the armed policy cannot be read ({why})")),
    };
    if !armed.targets.contains(&facts.target) {
        return because(format!(
            "the armed policy is not attached to {}",
            facts.target
        ));
    }
    match Ledger::read(armed) {
        Ok(ledger) => {
            let entered = before
                .iter()
                .map(|plan| &plan.incident)
                .filter(|incident| incident.home == Home::Armed);
            let ledger = entered.fold(ledger, |ledger, incident| ledger.with(incident));
            (Some((armed.summary.clone(), ledger)), None)
        }
        Err(error) => because(format!("the armed policy is not quell's any more: {error}")),
    }
}

/// The id of a new incident: one that this machine has begun already, or one drawn from who, where and when, and drawn
/// again while an incident of that id exists.
fn id_of(
    facts: &Facts,
    principal: &Principal,
    begun: &[Begun],
    known: impl Fn(&IncidentId) -> bool,
) -> IncidentId {
    let same = |begun: &&Begun| {
        !begun.contained
            && begun.principal == principal.username
            && begun.organization == facts.organization.id
            && begun.target == facts.target
            && !known(&begun.incident)
    };
    if let Some(begun) = begun.iter().find(same) {
        return begun.incident.clone();
    }
    let seed = format!(
        "{}|{}|{}|{}",
        principal.username, facts.target, facts.caller.arn, facts.asked_at
    );
    let mut draw = 0_u32;
    loop {
        let [a, b, c, ..] = <[u8; 32]>::from(Sha256::digest(format!("{seed}|{draw}")));
        let id = IncidentId::from_bytes([a, b, c]);
        if !known(&id) {
            return id;
        }
        draw += 1;
    }
}

/// A new incident.
fn opened(id: IncidentId, facts: &Facts, principal: &Principal, playbook: &Playbook) -> Incident {
    Incident {
        id,
        home: Home::Own,
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

/// An open incident with what the new survey adds: a release must wait for whatever either of them saw. What a writer
/// who was interrupted could not tell any more is told now.
fn taken_up(
    mut incident: Incident,
    facts: &Facts,
    principal: &Principal,
    playbook: &Playbook,
) -> Incident {
    incident.longest_session = incident
        .longest_session
        .max(Some(principal.session.longest));
    incident.accounts.extend(covered(facts, principal));
    // The new survey saw every account again.
    incident.accounts_left_out = 0;
    incident.reaches_management |= principal.reaches_management;
    incident
        .principal
        .get_or_insert_with(|| principal.username.clone());
    incident
        .operator
        .get_or_insert_with(|| facts.caller.arn.clone());
    incident.opened.get_or_insert(facts.asked_at);
    incident.margin.get_or_insert(playbook.release.margin);
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
