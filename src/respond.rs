//! The driver: next step → record → do → record. The only one that holds the changing capability.
//!
//! Arrives: an approved plan, or an incident to release. Leaves: what became so. Goes wrong: [`Stopped`]. On failure it
//! stays contained and stops (R9): nothing is unwound by reflex, and what remains to be done is said. From approval to
//! accepted there are two calls and nothing between them, or one when the organization is armed (R11).

pub mod armed;

pub mod chaining;

pub mod memory;

pub mod opinion;

pub mod evicting;

pub mod guarding;

pub mod holding;

pub mod iam_users;

pub mod readmitting;

mod preparing;

use std::collections::{BTreeMap, BTreeSet};

use jiff::{RoundMode, SignedDuration, Timestamp, TimestampRound, Unit};

use crate::cloud::{Clock, Cloud, Read, Trouble};
use crate::contain::{self, Outcome};
use crate::facts::PolicySummary;
use crate::ids::*;
use crate::incident::armed::Standing;
use crate::incident::{Home, Incident};
use crate::journal::{Event, Journal, JournalError, Purpose, Store};
use crate::plan::approval::{Approved, How};
use crate::plan::eviction::NO_WAY_LEFT;
use crate::plan::{Step, StepName};
use crate::playbook::Playbook;
use crate::principal::Identity;
use crate::respond::holding::NotHeld;
use crate::respond::memory::Remembered;
use crate::verify::rounds::{self, Told};
use crate::verify::{AccountProof, Aim, FEW_ACCOUNTS, Overall, Proof, Question};

pub use preparing::{Asked, NotPrepared, Prepared, Stale, look_again, prepare};

/// Nobody watches a silent screen for a quarter of an hour.
const TELL_EVERY: SignedDuration = SignedDuration::from_secs(10);

/// What the canaries are asked about an incident.
pub fn question(
    incident: &Incident,
    policy: &PolicyArn,
    playbook: &Playbook,
    aim: Aim,
) -> Question {
    Question {
        incident: incident.id.clone(),
        policies: [policy.clone()].into(),
        names: if incident.has_witness() {
            [incident.id.witness_name()].into()
        } else {
            incident.session_names.clone()
        },
        sources: match &incident.exact {
            Some(Identity::RoleSession {
                source_identity, ..
            }) => source_identity.iter().cloned().collect(),
            Some(_) => BTreeSet::new(),
            None => incident.session_names.clone(),
        },
        accounts: incident.accounts.clone(),
        beside: BTreeSet::new(),
        roles: playbook.verify.canary_roles.clone(),
        probes: playbook.verify.probes.clone(),
        regions: playbook.verify.regions.clone(),
        timeout: playbook.verify.timeout,
        every: playbook.verify.every,
        in_a_row: playbook.verify.in_a_row,
        aim,
        shows_nothing: incident.is_of_iam_user() && incident.iam_user.is_none(),
    }
}

fn looked(account: &AccountProof, began: Timestamp) -> Event {
    Event::Looked {
        account: account.id.clone(),
        verdict: account.verdict.word().to_owned(),
        first_refusal: account
            .first_refusal
            .map(|moment| moment.duration_since(began)),
    }
}

/// AWS has accepted the deny.
#[derive(Debug, Clone, PartialEq)]
pub struct Accepted {
    /// The policy.
    pub policy: PolicySummary,
    /// When it was attached.
    pub at: Timestamp,
}

/// What the canaries showed, and whether it could be written on the policy.
#[derive(Debug, Clone, PartialEq)]
pub struct Proved {
    /// What they showed.
    pub proof: Proof,
    /// Whether AWS remembers it.
    pub recorded: bool,
}

/// Why the driver stopped. What was and was not changed is in the journal's state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Stopped {
    /// The record could not be written, so the next call was not made.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A change was refused.
    #[error("{trouble}")]
    Failed {
        /// Which.
        step: StepName,
        /// Why.
        trouble: Trouble,
    },
    /// Nobody can tell whether a change was made.
    #[error("{trouble}; and asking AWS whether it happened did not work either")]
    Unsettled {
        /// Which.
        step: StepName,
        /// Why.
        trouble: Trouble,
    },
    /// Something that had to be read first could not be.
    #[error(transparent)]
    Read(Trouble),
    /// A change was made, and that could not be recorded; so nothing else was done.
    #[error("{error}; and {step:?} was done before, on {policy}")]
    Unrecorded {
        /// Which.
        step: StepName,
        /// The policy that was changed.
        policy: PolicyId,
        /// Why not.
        error: JournalError,
    },
    /// The armed policy and its tags do not come to agree.
    #[error("the armed policy {0}")]
    Armed(armed::Discord),
    /// Others write the incident's own policy again and again.
    #[error("the policy was written by others again and again")]
    Restless,
    /// A permission set in the management account could not be let go, and only the policy's tags know of it.
    #[error("the inline policy of {} could not be put back ({})", .0.0, .0.1)]
    Held(NotHeld),
    /// The inline deny on an IAM user could not be taken away, and only the policy's tags know of it.
    #[error("the inline deny on the user could not be taken away ({0})")]
    UserDenied(String),
}

/// What denies the principal still after a release.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StillDenied {
    /// Permission sets in the management account.
    pub held: Vec<NotHeld>,
    /// Why the inline deny on an IAM user is there still, if it is.
    pub user: Option<String>,
}

/// One incident being worked on: the world, its journal, and whoever watches.
pub struct Response<'a, C, S> {
    cloud: &'a C,
    journal: &'a mut Journal<S>,
    watch: &'a dyn Fn(&Event),
    roles: &'a [RoleName],
}

impl<'a, C: Cloud, S: Store> Response<'a, C, S> {
    /// Everything that happens is recorded in the journal first and shown to `watch` then.
    pub fn new(cloud: &'a C, journal: &'a mut Journal<S>, watch: &'a dyn Fn(&Event)) -> Self {
        Self {
            cloud,
            journal,
            watch,
            roles: &[],
        }
    }

    /// The same, entering member accounts by these roles: an IAM user is seen to in their own account.
    pub fn entering_by(self, roles: &'a [RoleName]) -> Self {
        Self { roles, ..self }
    }

    /// Carries out an approved plan: create and attach; or update, when the organization is armed, and then whatever
    /// brings the armed policy and its tags in line.
    ///
    /// # Errors
    /// [`Stopped`]; the journal's state says how far it came.
    pub async fn contain(
        &mut self,
        approved: &Approved,
        operator: &str,
    ) -> Result<Accepted, Stopped> {
        let plan = &approved.plan;
        self.record(Event::Approved {
            incident: plan.incident.id.clone(),
            principal: plan.principal.username.clone(),
            operator: operator.to_owned(),
            how: match approved.how {
                How::Typed => "typed".to_owned(),
                How::Flag => "flag".to_owned(),
            },
            plan: plan.digest(),
            document: plan.document.minified(),
            organization: Some(plan.organization.clone()),
            target: Some(plan.target.clone()),
            practice: self.cloud.practice(),
        })?;
        let (read, change, clock) = (self.cloud.read(), self.cloud.change(), self.cloud.clock());
        let mut created: Option<PolicySummary> = None;
        let mut accepted: Option<Accepted> = None;
        if plan.stops_clock {
            let policy = plan.steps.iter().find_map(Step::known_policy);
            if let Some(policy) = policy {
                let step = StepName::RecordProof;
                let mut incident = plan.incident.clone();
                self.remember(&mut incident, policy, step, |it| it.proven = None)
                    .await?;
            }
        }
        if plan.ways_open
            && let Some(policy) = plan.steps.iter().find_map(Step::known_policy)
        {
            self.stop_waiting(&mut plan.incident.clone(), policy)
                .await?;
        }
        for step in &plan.steps {
            self.record(Event::Started { step: step.name() })?;
            match step {
                Step::CreatePolicy {
                    already: Some(policy),
                    ..
                } => {
                    self.settled(step.name(), Outcome::Found(()), &policy.id)?;
                    created = Some(policy.clone());
                }
                Step::CreatePolicy {
                    policy,
                    already: None,
                } => {
                    let outcome = contain::create(read, change, clock, policy).await;
                    let (policy, outcome) = split(outcome);
                    match policy {
                        Some(policy) => {
                            self.settled(step.name(), outcome, &policy.id)?;
                            created = Some(policy);
                        }
                        None => self.unsettled(step.name(), outcome)?,
                    }
                }
                Step::AttachPolicy { target, already } => {
                    // INVARIANT: a plan creates before it attaches.
                    let Some(policy) = &created else { continue };
                    // Called also where the survey saw it attached: that was minutes ago, and it is safe to repeat.
                    let outcome = contain::attach(read, change, clock, &policy.id, target).await;
                    let outcome = match outcome {
                        Outcome::Done(()) if *already => Outcome::Found(()),
                        outcome @ (Outcome::Done(())
                        | Outcome::Found(())
                        | Outcome::Failed(_)
                        | Outcome::Unsettled(_)) => outcome,
                    };
                    self.settled(step.name(), outcome, &policy.id)?;
                    accepted = Some(Accepted {
                        policy: policy.clone(),
                        at: clock.now(),
                    });
                }
                Step::UpdatePolicy {
                    policy,
                    content,
                    already,
                    puts_back,
                    ..
                } => {
                    let is_so = |there: &str| armed::holds(there, &plan.document);
                    let again = async || armed::render_with(read, &policy.id, &plan.incident).await;
                    let outcome = if *already {
                        Outcome::Found(())
                    } else {
                        let id = &policy.id;
                        contain::update(read, change, clock, id, content, again, is_so).await
                    };
                    self.settled(step.name(), outcome, &policy.id)?;
                    accepted = Some(Accepted {
                        policy: policy.clone(),
                        at: clock.now(),
                    });
                    self.stop_clocks(&policy.id, puts_back.clone()).await?;
                }
                Step::TagPolicy {
                    policy,
                    tags,
                    already,
                } => {
                    let outcome = if *already {
                        Outcome::Found(())
                    } else {
                        let tags = now_with(read, policy, &plan.incident, tags).await;
                        contain::tag(read, change, clock, policy, &tags).await
                    };
                    self.settled(step.name(), outcome, policy)?;
                    let ledger = self.align(policy, Some(&plan.target)).await?;
                    let entry = ledger.entry(&plan.incident.id);
                    if !entry.is_some_and(|entry| entry.is_denied_by(&plan.document)) {
                        return Err(Stopped::Armed(armed::Discord::Released));
                    }
                }
            }
        }
        match accepted {
            Some(accepted) => Ok(accepted),
            None => Err(Stopped::Journal(JournalError::Store(
                "the plan has no step that denies anybody".to_owned(),
            ))),
        }
    }

    /// Asks the canaries, and writes what they showed on the policy: a first proof starts the release's clock, and
    /// getting through stops it.
    ///
    /// # Errors
    /// [`Stopped`]; the proof itself is then lost, and verifying again is safe.
    pub async fn verify(
        &mut self,
        incident: &mut Incident,
        policy: &PolicyId,
        question: &Question,
    ) -> Result<Proved, Stopped> {
        if incident.home == Home::Armed {
            // Somebody who wrote at the same time and was interrupted may have left it out of line.
            let ledger = self.align(policy, incident.target.as_ref()).await?;
            // Where it had to be put back, its proof is none any more.
            if let Some(entry) = ledger.entry(&incident.id).filter(|entry| entry.tagged) {
                incident.proven = entry.incident.proven;
            }
        }
        let mut question = question.clone();
        // Where several incidents deny the same person, AWS names one of their policies, whichever it likes.
        let others = others_that_deny(self.cloud.read(), &question).await;
        question
            .policies
            .extend(others.into_iter().map(|known| known.policy.arn));
        let proof = self.look(&question).await?;
        if proof.overall == Overall::Shown {
            self.record(Event::Proven)?;
        }
        let step = StepName::RecordProof;
        let shown = |incident: &mut Incident| match proof.overall {
            // The earliest proof counts, and proving again later does not move it. Up to the whole second: tags and people
            // read it.
            Overall::Shown => {
                let proven = whole_second(proof.ended);
                incident.proven.get_or_insert(proven);
            }
            Overall::Opposite => incident.proven = None,
            // Nothing new of the proof; what a later survey added is written all the same.
            Overall::Open => {}
        };
        let recorded = self.remember(incident, policy, step, shown).await?;
        if !recorded && proof.overall == Overall::Shown {
            incident.proven = None;
        }
        Ok(Proved { proof, recorded })
    }

    /// Changes what is remembered of the incident, as it stands on the policy now, and writes whatever is not there yet;
    /// whether it is there. Where it cannot be read nothing is written: what another run has written since would be undone.
    async fn remember(
        &mut self,
        incident: &mut Incident,
        policy: &PolicyId,
        step: StepName,
        apply: impl FnOnce(&mut Incident),
    ) -> Result<bool, Stopped> {
        let (read, change, clock) = (self.cloud.read(), self.cloud.change(), self.cloud.clock());
        let there = match read.tags(policy).await {
            Ok(there) => there,
            Err(trouble) => {
                self.record(Event::Started { step })?;
                let why = trouble.to_string();
                self.record(Event::Failed { step, why })?;
                return Ok(false);
            }
        };
        *incident = incident.as_of(&Incident::of_tags(incident, &there));
        apply(incident);
        let mut tags = incident.tags();
        if incident.home == Home::Armed {
            // It says whether the incident is open, and that is not for a proof to say.
            tags.remove(&armed::first_key(&incident.id));
        }
        if tags
            .iter()
            .all(|(key, value)| there.get(key) == Some(value))
        {
            return Ok(true);
        }
        self.record(Event::Started { step })?;
        match contain::tag(read, change, clock, policy, &tags).await {
            outcome @ (Outcome::Done(()) | Outcome::Found(())) => {
                self.settled(step, outcome, policy)?;
                Ok(true)
            }
            // Not written is no reason to stop: the deny stands, and whoever asked is told.
            Outcome::Failed(trouble) | Outcome::Unsettled(trouble) => {
                self.record(Event::Failed {
                    step,
                    why: trouble.to_string(),
                })?;
                Ok(false)
            }
        }
    }

    /// A way to new sessions is open again: whatever is minted now lives on, so the wait begins anew with the next eviction.
    /// Whether that is written.
    ///
    /// # Errors
    /// [`Stopped::Journal`].
    pub async fn stop_waiting(
        &mut self,
        incident: &mut Incident,
        policy: &PolicyId,
    ) -> Result<bool, Stopped> {
        let step = StepName::RecordEviction;
        let apply = |incident: &mut Incident| {
            incident.evicted = None;
            // It was said of what was then.
            incident
                .attested
                .retain(|item| item.as_str() != NO_WAY_LEFT);
        };
        self.remember(incident, policy, step, apply).await
    }

    /// Takes the deny away: lets go in the management account or on the IAM user, detaches from everything it is attached
    /// to, deletes. The gate is the caller's. What could not be let go is left only where it is forced.
    ///
    /// # Errors
    /// [`Stopped`]; the journal's state says how far it came, and running it again goes on.
    pub async fn release(
        &mut self,
        incident: &Incident,
        policy: &PolicyId,
        operator: &str,
        forced_past: Option<String>,
        force: bool,
    ) -> Result<StillDenied, Stopped> {
        let (read, change, clock) = (self.cloud.read(), self.cloud.change(), self.cloud.clock());
        self.take_up(incident, Purpose::Release, operator, forced_past)?;
        let still = StillDenied {
            held: self.let_go(incident).await?,
            user: self.let_user_go(incident).await?,
        };
        if let Some(held) = still.held.first().filter(|_| !force) {
            return Err(Stopped::Held(held.clone()));
        }
        // Whoever saw to the user by hand takes that policy off by hand, too.
        let by_hand = incident.attests(NO_WAY_LEFT);
        if let Some(why) = still.user.as_ref().filter(|_| !force && !by_hand) {
            return Err(Stopped::UserDenied(why.clone()));
        }
        if incident.home == Home::Armed {
            self.take_out(incident, policy).await?;
            self.record(Event::Released)?;
            return Ok(still);
        }
        let targets = read.targets(policy).await.map_err(Stopped::Read)?;
        for target in &targets {
            self.record(Event::Started {
                step: StepName::DetachPolicy,
            })?;
            let outcome = contain::detach(read, change, clock, policy, target).await;
            self.settled(StepName::DetachPolicy, outcome, policy)?;
        }
        self.record(Event::Started {
            step: StepName::DeletePolicy,
        })?;
        let outcome = contain::delete(read, change, clock, policy).await;
        self.settled(StepName::DeletePolicy, outcome, policy)?;
        self.record(Event::Released)?;
        Ok(still)
    }

    /// Opens the record of an incident that is there already.
    ///
    /// # Errors
    /// [`Stopped::Journal`], when the record cannot be written; nothing was called then.
    pub fn take_up(
        &mut self,
        incident: &Incident,
        purpose: Purpose,
        operator: &str,
        forced_past: Option<String>,
    ) -> Result<(), Stopped> {
        self.record(Event::TakenUp {
            incident: incident.id.clone(),
            purpose,
            operator: operator.to_owned(),
            forced_past,
        })
    }

    /// Asks the canaries round by round, and records each account as it settles.
    ///
    /// # Errors
    /// [`Stopped::Journal`], when the outcome could not be recorded.
    pub async fn look(&mut self, question: &Question) -> Result<Proof, Stopped> {
        let cloud = self.cloud;
        let clock = cloud.clock();
        let accounts = question.accounts.union(&question.beside).count();
        (self.watch)(&Event::Asking { accounts });
        let mut told_at = clock.now();
        rounds::prove(
            question,
            cloud.canaries(),
            clock,
            |began, told| match told {
                Told::Settled(account) => {
                    let event = looked(account, began);
                    if accounts > FEW_ACCOUNTS && account.verdict == question.aim.hoped() {
                        return Ok(self.journal.record(clock.now(), event)?);
                    }
                    self.record(event)
                }
                Told::Waiting {
                    settled,
                    of,
                    left,
                    why,
                } => {
                    if clock.now().duration_since(told_at) >= TELL_EVERY {
                        told_at = clock.now();
                        let why = why.map(str::to_owned);
                        (self.watch)(&Event::Looking {
                            settled,
                            of,
                            left,
                            why,
                        });
                    }
                    Ok(())
                }
            },
        )
        .await
    }

    fn record(&mut self, event: Event) -> Result<(), Stopped> {
        self.journal
            .record(self.cloud.clock().now(), event.clone())?;
        (self.watch)(&event);
        Ok(())
    }

    /// Records how a step on a known policy ended, and stops unless it is so.
    fn settled(
        &mut self,
        step: StepName,
        outcome: Outcome<()>,
        policy: &PolicyId,
    ) -> Result<(), Stopped> {
        let found = matches!(outcome, Outcome::Found(()));
        match outcome {
            Outcome::Done(()) | Outcome::Found(()) => {
                let done = Event::Done {
                    step,
                    policy: policy.clone(),
                    found,
                };
                self.record(done).map_err(|stopped| match stopped {
                    // Whoever reads it must be able to undo by hand what no file tells of.
                    Stopped::Journal(error) => Stopped::Unrecorded {
                        step,
                        policy: policy.clone(),
                        error,
                    },
                    stopped @ (Stopped::Failed { .. }
                    | Stopped::Unsettled { .. }
                    | Stopped::Read(_)
                    | Stopped::Unrecorded { .. }
                    | Stopped::Held(_)
                    | Stopped::UserDenied(_)
                    | Stopped::Restless
                    | Stopped::Armed(_)) => stopped,
                })
            }
            outcome @ (Outcome::Failed(_) | Outcome::Unsettled(_)) => self.unsettled(step, outcome),
        }
    }

    /// Records how a step ended that is not known to be so, and stops.
    fn unsettled(&mut self, step: StepName, outcome: Outcome<()>) -> Result<(), Stopped> {
        match outcome {
            Outcome::Done(()) | Outcome::Found(()) => Ok(()),
            Outcome::Failed(trouble) => {
                self.record(Event::Failed {
                    step,
                    why: trouble.to_string(),
                })?;
                Err(Stopped::Failed { step, trouble })
            }
            Outcome::Unsettled(trouble) => {
                self.record(Event::Unsettled {
                    step,
                    why: trouble.to_string(),
                })?;
                Err(Stopped::Unsettled { step, trouble })
            }
        }
    }
}

/// Other incidents that deny all these names, too. Not being able to ask leaves none.
pub async fn others_that_deny(read: &impl Read, question: &Question) -> Vec<Remembered> {
    let known = memory::remembered(read).await.unwrap_or_default();
    let names_all = |known: &Remembered| {
        let is_open = known
            .entered
            .as_ref()
            .is_none_or(|entered| entered.standing == Standing::Open);
        known.incident.id != question.incident
            && is_open
            && !question.names.is_empty()
            && known.incident.session_names.is_superset(&question.names)
    };
    known.into_iter().filter(names_all).collect()
}

/// An incident's tags with what another run has written of it since the plan was made.
async fn now_with(
    read: &impl Read,
    policy: &PolicyId,
    incident: &Incident,
    planned: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let there = read.tags(policy).await.unwrap_or_default();
    if !there.contains_key(&armed::first_key(&incident.id)) {
        return planned.clone();
    }
    let now = incident.as_of(&Incident::of_tags(incident, &there));
    match now.tags() {
        tags if tags.is_empty() => planned.clone(),
        tags => tags,
    }
}

/// The next whole second.
fn whole_second(moment: Timestamp) -> Timestamp {
    let up = TimestampRound::new()
        .smallest(Unit::Second)
        .mode(RoundMode::Ceil);
    moment.round(up).unwrap_or(moment)
}

/// The value of an outcome beside the outcome.
fn split<T>(outcome: Outcome<T>) -> (Option<T>, Outcome<()>) {
    match outcome {
        Outcome::Done(value) => (Some(value), Outcome::Done(())),
        Outcome::Found(value) => (Some(value), Outcome::Found(())),
        Outcome::Failed(trouble) => (None, Outcome::Failed(trouble)),
        Outcome::Unsettled(trouble) => (None, Outcome::Unsettled(trouble)),
    }
}
