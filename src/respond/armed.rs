//! The driver's part of the armed policy: bringing its document in line with its tags, and taking an incident out of it.
//!
//! Arrives: the policy as others leave it, at any moment. Leaves: a document that is what the tags say, read after the
//! last write. Goes wrong: [`Discord`].

use jiff::Timestamp;

use crate::cloud::{Clock as _, Cloud, Read, Trouble, TroubleKind};
use crate::contain;
use crate::facts::{ArmedPolicy, PolicySummary};
use crate::ids::*;
use crate::incident::armed::{self, Ledger, Standing};
use crate::incident::{Home, Incident};
use crate::journal::{Event, Preparation, Store};
use crate::plan::arming::{Arming, Disarming};
use crate::plan::{Step, StepName};
use crate::policy::MOST_CHARACTERS;
use crate::policy::document::Document;
use crate::respond::{Response, Stopped, split, whole_second};
use crate::survey;

pub use crate::incident::armed::first_key;

/// More rounds than responders who could be at it together: each writes at most once after the others.
pub(super) const MOST_ROUNDS: u32 = 40;

/// Why the armed policy and its tags do not come to agree.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Discord {
    /// Somebody took it away.
    #[error("was taken away meanwhile")]
    Gone,
    /// Somebody wrote what quell cannot read.
    #[error("has a document that quell did not write: {0}")]
    NotOurs(String),
    /// Somebody has released the incident.
    #[error("does not hold the incident any more: somebody has released it meanwhile")]
    Released,
    /// More incidents than it holds.
    #[error("has no room for all its incidents")]
    Full,
    /// Somebody has contained with it before it was taken away.
    #[error("was used meanwhile, and stays")]
    Used,
    /// Somebody has contained with it while it was being taken away.
    #[error("was used meanwhile, and is attached again")]
    UsedAndAttachedAgain,
    /// Others write again and again.
    #[error("was written by others again and again")]
    Restless,
}

/// Whether a document holds every statement of this deny.
pub fn holds(document: &str, deny: &Document) -> bool {
    Document::parse(document).is_ok_and(|document| {
        deny.statements
            .iter()
            .all(|statement| document.statements.contains(statement))
    })
}

impl<C: Cloud, S: Store> Response<'_, C, S> {
    /// Writes the document until it is what the tags say, and attaches the policy if it must be attached and is not. Where
    /// somebody was let through whom the principal became, the moment of their denial is taken back before, and noted anew
    /// once they were read back.
    pub(super) async fn align(
        &mut self,
        policy: &PolicyId,
        target: Option<&TargetId>,
    ) -> Result<Ledger, Stopped> {
        let (read, change, clock) = (self.cloud.read(), self.cloud.change(), self.cloud.clock());
        for _ in 0..MOST_ROUNDS {
            let (armed, ledger) = self.look_at(policy).await?;
            if let Some(target) = target.filter(|target| !armed.targets.contains(target)) {
                let step = StepName::AttachPolicy;
                self.record(Event::Started { step })?;
                let outcome = contain::attach(read, change, clock, policy, target).await;
                self.settled(step, outcome, policy)?;
                continue;
            }
            if ledger.agrees() {
                let unnoted = ledger.unnoted();
                if unnoted.is_empty() {
                    return Ok(ledger);
                }
                let now = Some(whole_second(clock.now()));
                self.note_chained(policy, unnoted, now).await?;
                continue;
            }
            self.stop_clocks(policy, ledger.let_in()).await?;
            self.note_chained(policy, ledger.overtaken(), None).await?;
            self.write(StepName::AlignPolicy, policy, &ledger).await?;
        }
        Err(Stopped::Armed(Discord::Restless))
    }

    /// Whoever was let in for a while has been proven for nothing: the wait begins anew with the next proof.
    pub(super) async fn stop_clocks(
        &mut self,
        policy: &PolicyId,
        let_in: Vec<Incident>,
    ) -> Result<(), Stopped> {
        let unproven = let_in.into_iter().map(|incident| Incident {
            proven: None,
            ..incident
        });
        self.note(StepName::RecordProof, policy, unproven).await
    }

    /// Since when whom they became is denied.
    pub(super) async fn note_chained(
        &mut self,
        policy: &PolicyId,
        incidents: Vec<Incident>,
        chained_at: Option<Timestamp>,
    ) -> Result<(), Stopped> {
        let noted = incidents.into_iter().map(|incident| Incident {
            chained_at,
            ..incident
        });
        self.note(StepName::RecordChained, policy, noted).await
    }

    /// Writes what is remembered of these, but for whether they are open.
    async fn note(
        &mut self,
        step: StepName,
        policy: &PolicyId,
        incidents: impl Iterator<Item = Incident>,
    ) -> Result<(), Stopped> {
        let (read, change, clock) = (self.cloud.read(), self.cloud.change(), self.cloud.clock());
        for incident in incidents {
            let mut tags = incident.tags();
            if incident.home == Home::Armed {
                tags.remove(&first_key(&incident.id));
            }
            self.record(Event::Started { step })?;
            let outcome = contain::tag(read, change, clock, policy, &tags).await;
            self.settled(step, outcome, policy)?;
        }
        Ok(())
    }

    /// Takes an incident out: first its tag, which everybody who writes the document goes by, then the document, then the
    /// rest of its tags.
    pub(super) async fn take_out(
        &mut self,
        incident: &Incident,
        policy: &PolicyId,
    ) -> Result<(), Stopped> {
        let (read, change, clock) = (self.cloud.read(), self.cloud.change(), self.cloud.clock());
        let id = &incident.id;
        for _ in 0..MOST_ROUNDS {
            let (_, ledger) = self.look_at(policy).await?;
            let leaving = ledger
                .entry(id)
                .is_none_or(|entry| entry.standing != Standing::Open);
            if !leaving {
                let step = StepName::MarkLeaving;
                self.record(Event::Started { step })?;
                let mut tags = armed::tags(incident, Standing::Leaving).unwrap_or_default();
                // Only the first, which says so; what else is remembered stays as it is until the end.
                tags.retain(|key, _| *key == first_key(id));
                tags.entry(first_key(id)).or_insert("leaving".to_owned());
                let outcome = contain::tag(read, change, clock, policy, &tags).await;
                self.settled(step, outcome, policy)?;
                continue;
            }
            if !ledger.agrees() {
                self.write(StepName::TakeOut, policy, &ledger).await?;
                continue;
            }
            let step = StepName::ClearTags;
            self.record(Event::Started { step })?;
            let now = clock.now();
            let outcome =
                contain::tag(read, change, clock, policy, &armed::tombstone(id, now)).await;
            self.settled(step, outcome, policy)?;
            let (_, ledger) = self.look_at(policy).await?;
            let outworn = ledger.outworn(now);
            if !outworn.is_empty() {
                self.record(Event::Started { step })?;
                let outcome = contain::untag(read, change, clock, policy, &outworn).await;
                self.settled(step, outcome, policy)?;
            }
            return Ok(());
        }
        Err(Stopped::Armed(Discord::Restless))
    }

    /// Arms the organization: create, attach.
    ///
    /// # Errors
    /// [`Stopped`]; doing it again goes on.
    pub async fn arm(&mut self, arming: &Arming, operator: &str) -> Result<PolicySummary, Stopped> {
        self.record(Event::Prepared {
            purpose: Preparation::Arm,
            target: Some(arming.target.clone()),
            operator: operator.to_owned(),
            practice: self.cloud.practice(),
        })?;
        let armed = self.make(&arming.steps).await?;
        armed.ok_or(Stopped::Armed(Discord::Gone))
    }

    /// Makes a policy that stands by itself: whatever of these steps is not so already. The policy, if they say which.
    pub(super) async fn make(&mut self, steps: &[Step]) -> Result<Option<PolicySummary>, Stopped> {
        let (read, change, clock) = (self.cloud.read(), self.cloud.change(), self.cloud.clock());
        let mut made = None;
        for step in steps {
            if let Step::CreatePolicy {
                already: Some(policy),
                ..
            } = step
            {
                made = Some(policy.clone());
            }
            if step.already() {
                continue;
            }
            self.record(Event::Started { step: step.name() })?;
            match (step, &made) {
                (Step::CreatePolicy { policy, .. }, _) => {
                    let (policy, outcome) =
                        split(contain::create(read, change, clock, policy).await);
                    match policy {
                        Some(policy) => {
                            self.settled(step.name(), outcome, &policy.id)?;
                            made = Some(policy);
                        }
                        None => self.unsettled(step.name(), outcome)?,
                    }
                }
                (Step::AttachPolicy { target, .. }, Some(policy)) => {
                    let outcome = contain::attach(read, change, clock, &policy.id, target).await;
                    self.settled(step.name(), outcome, &policy.id)?;
                }
                (Step::UpdatePolicy { content, .. }, Some(policy)) => {
                    let is_so = |there: &str| Document::parse(there) == Document::parse(content);
                    let again = async || Ok(content.clone());
                    let id = &policy.id;
                    let outcome =
                        contain::update(read, change, clock, id, content, again, is_so).await;
                    self.settled(step.name(), outcome, id)?;
                }
                // INVARIANT: a plan creates before it does anything else.
                (Step::AttachPolicy { .. } | Step::UpdatePolicy { .. }, None) => {}
                (Step::TagPolicy { policy, tags, .. }, _) => {
                    let outcome = contain::tag(read, change, clock, policy, tags).await;
                    self.settled(step.name(), outcome, policy)?;
                }
            }
        }
        Ok(made)
    }

    /// Disarms the organization: detach, look whether nobody has contained with it in between, delete.
    ///
    /// # Errors
    /// [`Stopped`]; doing it again goes on.
    pub async fn disarm(&mut self, disarming: &Disarming, operator: &str) -> Result<(), Stopped> {
        let (read, change, clock) = (self.cloud.read(), self.cloud.change(), self.cloud.clock());
        let policy = &disarming.policy.summary.id;
        self.record(Event::Prepared {
            purpose: Preparation::Disarm,
            target: disarming.policy.targets.first().cloned(),
            operator: operator.to_owned(),
            practice: self.cloud.practice(),
        })?;
        if let Some(target) = &disarming.put_back {
            return self.put_back(policy, target).await;
        }
        let (_, ledger) = self.look_at(policy).await?;
        if ledger.entries().next().is_some() {
            return Err(Stopped::Armed(Discord::Used));
        }
        for target in &disarming.policy.targets {
            let step = StepName::DetachPolicy;
            self.record(Event::Started { step })?;
            let outcome = contain::detach(read, change, clock, policy, target).await;
            self.settled(step, outcome, policy)?;
            let (_, ledger) = self.look_at(policy).await?;
            if ledger.entries().next().is_some() {
                return self.put_back(policy, target).await;
            }
        }
        let step = StepName::DeletePolicy;
        self.record(Event::Started { step })?;
        let outcome = contain::delete(read, change, clock, policy).await;
        self.settled(step, outcome, policy)
    }

    /// Somebody is in it who must not be let in.
    async fn put_back(&mut self, policy: &PolicyId, target: &TargetId) -> Result<(), Stopped> {
        let (read, change, clock) = (self.cloud.read(), self.cloud.change(), self.cloud.clock());
        let step = StepName::AttachPolicy;
        self.record(Event::Started { step })?;
        let outcome = contain::attach(read, change, clock, policy, target).await;
        self.settled(step, outcome, policy)?;
        Err(Stopped::Armed(Discord::UsedAndAttachedAgain))
    }

    async fn write(
        &mut self,
        step: StepName,
        policy: &PolicyId,
        ledger: &Ledger,
    ) -> Result<(), Stopped> {
        let whole = ledger.render();
        if whole.characters() > MOST_CHARACTERS {
            return Err(Stopped::Armed(Discord::Full));
        }
        let (read, change, clock) = (self.cloud.read(), self.cloud.change(), self.cloud.clock());
        // Ours or somebody else's: whoever calls this looks again.
        let is_so = |there: &str| Document::parse(there).as_ref() != Ok(ledger.document());
        let again = async || render(read, policy).await;
        self.record(Event::Started { step })?;
        let content = whole.minified();
        let outcome = contain::update(read, change, clock, policy, &content, again, is_so).await;
        self.settled(step, outcome, policy)
    }

    pub(super) async fn look_at(
        &self,
        policy: &PolicyId,
    ) -> Result<(ArmedPolicy, Ledger), Stopped> {
        look_at(self.cloud.read(), policy).await
    }
}

/// The document that the tags say now.
async fn render(read: &impl Read, policy: &PolicyId) -> Result<String, Trouble> {
    Ok(ledger_of(read, policy).await?.render().minified())
}

/// The document that the tags say now, with this incident in it.
pub(super) async fn render_with(
    read: &impl Read,
    policy: &PolicyId,
    incident: &Incident,
) -> Result<String, Trouble> {
    let ledger = ledger_of(read, policy).await?;
    Ok(ledger.with(incident).render().minified())
}

async fn ledger_of(read: &impl Read, policy: &PolicyId) -> Result<Ledger, Trouble> {
    let trouble = |detail: String| Trouble {
        operation: "organizations:DescribePolicy",
        kind: TroubleKind::Refused,
        detail,
    };
    let armed = survey::look_at(read, policy).await?;
    let armed = armed.ok_or_else(|| trouble("the armed policy is gone".to_owned()))?;
    Ledger::read(&armed).map_err(|error| trouble(error.to_string()))
}

/// The armed policy as it stands, read.
async fn look_at(read: &impl Read, policy: &PolicyId) -> Result<(ArmedPolicy, Ledger), Stopped> {
    let armed = survey::look_at(read, policy).await.map_err(Stopped::Read)?;
    let armed = armed.ok_or(Stopped::Armed(Discord::Gone))?;
    let ledger = Ledger::read(&armed)
        .map_err(|error| Stopped::Armed(Discord::NotOurs(error.to_string())))?;
    Ok((armed, ledger))
}
