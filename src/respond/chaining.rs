//! The driver's part of denying whom the principal became: sessions under other names, each by its whole `aws:userid`.
//!
//! The tags come first, then the document, and last the moment: whoever finds the one without the other, this run again or
//! anybody who brings the armed policy in line, finishes what they say. While sessions are on the tags and no moment is, no
//! release counts: only that the document was read back with all of them in it says since when nobody of them makes others.

use std::collections::BTreeSet;

use crate::cloud::{Clock as _, Cloud, Read as _};
use crate::contain;
use crate::ids::*;
use crate::incident::armed::Standing;
use crate::incident::{Home, Incident};
use crate::journal::{Event, Store};
use crate::plan::StepName;
use crate::respond::{Response, Stopped, armed, whole_second};

/// What is written of whom they became.
const STEP: StepName = StepName::RecordChained;

impl<C: Cloud, S: Store> Response<'_, C, S> {
    /// Denies these sessions beside the incident's principal and whoever else its tags name, and remembers them, and since
    /// when all of them are denied. Without any it finishes what an earlier run had begun.
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
        incident.chained.extend(sessions.iter().cloned());
        for _ in 0..armed::MOST_ROUNDS {
            self.enter_chained(incident, policy).await?;
            self.redraft(incident, policy, StepName::DenyChained)
                .await?;
            // Of those the document was read back; whoever is entered now is not among them.
            let denied = incident.chained.clone();
            self.note_denied(incident, policy).await?;
            if incident.chained == denied {
                return Ok(());
            }
        }
        Err(Stopped::Restless)
    }

    /// Writes them on the policy, and takes back since when all are denied.
    async fn enter_chained(
        &mut self,
        incident: &mut Incident,
        policy: &PolicyId,
    ) -> Result<(), Stopped> {
        let (read, change, clock) = (self.cloud.read(), self.cloud.change(), self.cloud.clock());
        let there = read.tags(policy).await.map_err(Stopped::Read)?;
        *incident = incident.as_of(&Incident::of_tags(incident, &there));
        incident.chained_at = None;
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
        let outgrown = incident.outgrown(&there);
        if !outgrown.is_empty() {
            // Both do not fit. Accounts are counted before they are taken away, and never after.
            let counted = incident.counted_out(&there);
            self.record(Event::Started { step: STEP })?;
            let outcome = contain::tag(read, change, clock, policy, &counted).await;
            self.settled(STEP, outcome, policy)?;
            self.record(Event::Started { step: STEP })?;
            let outcome = contain::untag(read, change, clock, policy, &outgrown).await;
            self.settled(STEP, outcome, policy)?;
        }
        self.record(Event::Started { step: STEP })?;
        let outcome = contain::tag(read, change, clock, policy, &tags).await;
        self.settled(STEP, outcome, policy)
    }

    /// The document was read a moment ago with all of them in it: since then none of them makes others.
    async fn note_denied(
        &mut self,
        incident: &mut Incident,
        policy: &PolicyId,
    ) -> Result<(), Stopped> {
        let (read, clock) = (self.cloud.read(), self.cloud.clock());
        let now = whole_second(clock.now());
        let there = read.tags(policy).await.map_err(Stopped::Read)?;
        *incident = incident.as_of(&Incident::of_tags(incident, &there));
        self.note_chained(policy, vec![incident.clone()], Some(now))
            .await?;
        let there = read.tags(policy).await.map_err(Stopped::Read)?;
        *incident = incident.as_of(&Incident::of_tags(incident, &there));
        Ok(())
    }
}
