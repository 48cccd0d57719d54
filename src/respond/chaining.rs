//! The driver's part of denying whom the principal became: sessions under other names, each by its whole `aws:userid`.
//!
//! The tags come first, then the document: whoever finds the one without the other, this run again or anybody who brings
//! the armed policy in line, finishes what they say.

use std::collections::BTreeSet;

use crate::cloud::{Clock as _, Cloud, Read as _};
use crate::contain;
use crate::ids::*;
use crate::incident::armed::Standing;
use crate::incident::{Home, Incident};
use crate::journal::{Event, Store};
use crate::plan::StepName;
use crate::respond::{Response, Stopped, armed, whole_second};

impl<C: Cloud, S: Store> Response<'_, C, S> {
    /// Denies these sessions beside the incident's principal, and remembers them and the moment on the policy.
    ///
    /// # Errors
    /// [`Stopped`]; doing it again goes on.
    pub async fn deny_chained(
        &mut self,
        incident: &mut Incident,
        policy: &PolicyId,
        sessions: &BTreeSet<SessionUserId>,
    ) -> Result<(), Stopped> {
        self.record(Event::Chained {
            sessions: sessions.clone(),
        })?;
        let (read, change, clock) = (self.cloud.read(), self.cloud.change(), self.cloud.clock());
        let there = read.tags(policy).await.map_err(Stopped::Read)?;
        *incident = incident.as_of(&Incident::of_tags(incident, &there));
        incident.chained.extend(sessions.iter().cloned());
        incident.chained_at = incident.chained_at.max(Some(whole_second(clock.now())));
        let mut tags = incident.tags();
        if incident.home == Home::Armed {
            let (_, ledger) = self.look_at(policy).await?;
            let entry = ledger.entry(&incident.id);
            if !entry.is_some_and(|entry| entry.standing == Standing::Open) {
                return Err(Stopped::Armed(armed::Discord::Released));
            }
            if ledger.fits(incident).is_err() {
                return Err(Stopped::Armed(armed::Discord::Full));
            }
            // It says whether the incident is open, and that is not for this to say.
            tags.remove(&armed::first_key(&incident.id));
        }
        let step = StepName::RecordChained;
        let outgrown = incident.outgrown(&there);
        if !outgrown.is_empty() {
            // Both do not fit, and what is written next says how many accounts are left out.
            self.record(Event::Started { step })?;
            let outcome = contain::untag(read, change, clock, policy, &outgrown).await;
            self.settled(step, outcome, policy)?;
        }
        self.record(Event::Started { step })?;
        let outcome = contain::tag(read, change, clock, policy, &tags).await;
        self.settled(step, outcome, policy)?;
        self.redraft(incident, policy, StepName::DenyChained).await
    }
}
