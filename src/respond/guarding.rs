//! The driver's part of a guardrail: making its policy hold, and taking it away.
//!
//! Arrives: what is to be done. Leaves: the policy, attached, or nothing. Goes wrong: [`Stopped`]; doing it again goes on.

use crate::cloud::Cloud;
use crate::contain;
use crate::facts::PolicySummary;
use crate::guardrail::{self, Giving, Lowering, POLICY, Raising};
use crate::journal::{Event, Preparation, Store};
use crate::plan::StepName;
use crate::respond::{Response, Stopped};
use crate::survey;

impl<C: Cloud, S: Store> Response<'_, C, S> {
    /// Creates or updates the guardrail's policy, and attaches it.
    ///
    /// # Errors
    /// [`Stopped`]; doing it again goes on.
    pub async fn guard(
        &mut self,
        raising: &Raising,
        operator: &str,
    ) -> Result<Option<PolicySummary>, Stopped> {
        self.record(Event::Prepared {
            purpose: Preparation::Guard,
            target: Some(raising.target.clone()),
            operator: operator.to_owned(),
            practice: self.cloud.practice(),
        })?;
        self.make(&raising.steps).await
    }

    /// What the release of an incident does with the guardrail that it has attached: notes that it wants it no more, looks
    /// who does, and takes it away if nobody does; whether it was.
    ///
    /// # Errors
    /// [`Stopped`]; doing it again goes on.
    pub async fn give_up_guardrail(
        &mut self,
        giving: &Giving,
        operator: &str,
    ) -> Result<bool, Stopped> {
        let (read, change, clock) = (self.cloud.read(), self.cloud.change(), self.cloud.clock());
        let Giving { policy, tags } = giving;
        self.record(Event::Prepared {
            purpose: Preparation::Guard,
            target: None,
            operator: operator.to_owned(),
            practice: self.cloud.practice(),
        })?;
        let step = StepName::TagPolicy;
        self.record(Event::Started { step })?;
        let outcome = contain::tag(read, change, clock, policy, tags).await;
        self.settled(step, outcome, policy)?;
        let there = survey::named(read, POLICY).await.map_err(Stopped::Read)?;
        let Some(there) = there else {
            return Ok(true);
        };
        match guardrail::unwanted(&there) {
            Some(lowering) => self.unguard(&lowering, operator).await.map(|()| true),
            None => Ok(false),
        }
    }

    /// Detaches the guardrail's policy from wherever it is attached, and deletes it.
    ///
    /// # Errors
    /// [`Stopped`]; doing it again goes on.
    pub async fn unguard(&mut self, lowering: &Lowering, operator: &str) -> Result<(), Stopped> {
        let (read, change, clock) = (self.cloud.read(), self.cloud.change(), self.cloud.clock());
        let policy = &lowering.policy.summary.id;
        self.record(Event::Prepared {
            purpose: Preparation::Unguard,
            target: lowering.policy.targets.first().cloned(),
            operator: operator.to_owned(),
            practice: self.cloud.practice(),
        })?;
        for target in &lowering.policy.targets {
            let step = StepName::DetachPolicy;
            self.record(Event::Started { step })?;
            let outcome = contain::detach(read, change, clock, policy, target).await;
            self.settled(step, outcome, policy)?;
        }
        let step = StepName::DeletePolicy;
        self.record(Event::Started { step })?;
        let outcome = contain::delete(read, change, clock, policy).await;
        self.settled(step, outcome, policy)
    }
}
