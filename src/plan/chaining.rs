//! Which of the sessions that somebody became are denied: those that fit, whoever lives longest first, and nobody whom we
//! must spare.
//!
//! Arrives: the sessions that are alive and not denied, in the order in which they are to be denied, and what keeps one of
//! them out. Leaves: a [`Choice`]. Pure.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::ids::*;
use crate::incident::armed::{Ledger, MOST_TAGS};
use crate::incident::{Incident, MOST_CHAINED};
use crate::plan::preflight::{Bystander, Refusal, Theorem};
use crate::playbook::Playbook;
use crate::policy::{MOST_CHARACTERS, NothingToDeny};
use crate::principal::Identity;

/// Why a session is left out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LeftOut {
    /// It is named as quell names its own sessions.
    #[error(
        "it is named as quell's own canaries are, so that it may be one of them and no proof would hold with it denied: look in CloudTrail who made it"
    )]
    NamedAsOurs,
    /// Whoever must be spared has it.
    #[error("{0} would be refused by it, too")]
    MustBeSpared(Bystander),
    /// The document would not refuse it.
    #[error("the deny would not refuse it ({0})")]
    NotDenied(String),
    /// There is no room left.
    #[error("there is no room for it: {0}")]
    NoRoom(String),
}

/// What is denied, and what is not.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Choice {
    /// These are.
    pub denied: BTreeSet<SessionUserId>,
    /// These are not, and why.
    pub left_out: Vec<(SessionUserId, LeftOut)>,
}

/// What a choice hangs on.
pub struct Chaining<'a> {
    /// The incident, as it is remembered.
    pub incident: &'a Incident,
    /// The keys of the tags that its own policy has.
    pub keys: BTreeSet<String>,
    /// The armed policy, of an incident that is in it.
    pub ledger: Option<&'a Ledger>,
    /// The operator's `aws:userid`.
    pub operator: &'a str,
    /// Whom else to spare.
    pub playbook: &'a Playbook,
    /// At which moment.
    pub at: Timestamp,
}

impl Chaining<'_> {
    /// Chooses among these, the most urgent first.
    ///
    /// # Errors
    /// [`NothingToDeny`], when no key can name the principal.
    pub fn choose(&self, sessions: &[SessionUserId]) -> Result<Choice, NothingToDeny> {
        let mut choice = Choice::default();
        for session in sessions {
            let mut with = self.incident.clone();
            with.chained.extend(choice.denied.iter().cloned());
            with.chained.insert(session.clone());
            with.chained_at = None;
            match self.keeps_out(&with, session)? {
                Some(why) => choice.left_out.push((session.clone(), why)),
                None => {
                    choice.denied.insert(session.clone());
                }
            }
        }
        Ok(choice)
    }

    fn keeps_out(
        &self,
        with: &Incident,
        session: &SessionUserId,
    ) -> Result<Option<LeftOut>, NothingToDeny> {
        if session.is_named_as_ours() {
            return Ok(Some(LeftOut::NamedAsOurs));
        }
        let own = with.deny()?;
        let theorem = Theorem {
            incident: &with.id,
            target: with.target.as_ref(),
            whole: &own,
            own: &own,
            operator: self.operator,
            at: self.at,
        };
        let one: Vec<Identity> = Identity::of_session(session).into_iter().collect();
        let refusals = theorem.refusals(&one, self.playbook);
        if let Some(refusal) = refusals.into_iter().next() {
            return Ok(Some(match refusal {
                Refusal::HitsSomebodyElse { who, .. } => LeftOut::MustBeSpared(who),
                other @ (Refusal::NoFeatures
                | Refusal::ScpsOff(_)
                | Refusal::NoSlot { .. }
                | Refusal::TooLong(_)
                | Refusal::ManagementTarget
                | Refusal::LapsesOnRoot
                | Refusal::NotDenied(_)) => LeftOut::NotDenied(other.to_string()),
            }));
        }
        Ok(self.no_room(with, own.characters()).map(LeftOut::NoRoom))
    }

    fn no_room(&self, with: &Incident, characters: usize) -> Option<String> {
        if with.chained.len() > MOST_CHAINED {
            return Some(format!("an incident takes {MOST_CHAINED} of them"));
        }
        if let Some(ledger) = self.ledger {
            return ledger.fits(with).err().map(|full| full.to_string());
        }
        if characters > MOST_CHARACTERS {
            return Some(format!(
                "the deny would have {characters} of {MOST_CHARACTERS} characters"
            ));
        }
        let there = self.keys.iter().map(|key| (key.clone(), String::new()));
        let outgrown = with.outgrown(&there.collect());
        let kept = self.keys.iter().filter(|key| !outgrown.contains(key));
        let keys: BTreeSet<String> = kept.cloned().chain(with.tags().into_keys()).collect();
        (keys.len() > MOST_TAGS).then(|| format!("its policy takes {MOST_TAGS} tags"))
    }
}
