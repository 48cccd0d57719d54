//! The driver's part of an early return: the deny is narrowed to sessions that were issued before a moment (R20), so that
//! the person's fresh sessions work while every older token stays dead until the release.

use futures_util::stream::{self, StreamExt as _};
use jiff::{SignedDuration, Timestamp};

use crate::cloud::{Ask, Canaries, Clock as _, Cloud, Probed, Read as _};
use crate::contain;
use crate::facts::PolicySummary;
use crate::ids::*;
use crate::incident::armed::Standing;
use crate::incident::{Home, Incident};
use crate::journal::{Event, Store};
use crate::plan::StepName;
use crate::playbook::Playbook;
use crate::policy::document::Document;
use crate::respond::holding::NotHeld;
use crate::respond::{self, Response, Stopped, armed, whole_second};
use crate::verify::{Aim, Proof};

/// So many accounts are entered at once.
const AT_ONCE: usize = 16;

/// What an early return came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Readmitted {
    /// From when on sessions are let through.
    pub sessions_after: Timestamp,
    /// Permission sets in the management account that refuse them as before, and why.
    pub not_held: Vec<NotHeld>,
    /// What canaries that were minted after it show.
    pub newer: Proof,
    /// What canaries that were minted before it show.
    pub older: Vec<Older>,
}

/// What a canary of before the moment shows in one account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Older {
    /// The account.
    pub account: AccountId,
    /// Whether our policy, or an SCP that AWS does not name, refuses it; `None` where it could not be asked.
    pub refused: Option<bool>,
    /// Why not.
    pub detail: Option<String>,
}

impl<C: Cloud, S: Store> Response<'_, C, S> {
    /// Mints canaries, narrows the deny, mints others, and asks both.
    ///
    /// # Errors
    /// [`Stopped`]; running it again goes on.
    pub async fn readmit(
        &mut self,
        incident: &mut Incident,
        policy: &PolicySummary,
        playbook: &Playbook,
        sessions_after: Option<Timestamp>,
    ) -> Result<Readmitted, Stopped> {
        let clock = self.cloud.clock();
        let verify = &playbook.verify;
        let home = self.cloud.canaries().region();
        let asks = Ask::all(&verify.probes, &verify.regions, home);
        let older = self.mint_older(incident, playbook, &asks).await;
        let minted = clock.now();
        // Tokens are dated to the second: the next but one is after every session that there is.
        let now = whole_second(clock.now() + SignedDuration::from_secs(1));
        let sessions_after = sessions_after.unwrap_or(now);
        self.narrow(incident, &policy.id, sessions_after).await?;
        let not_held = self.narrow_holds(incident, &policy.id).await?;
        let ahead = sessions_after.duration_since(clock.now()) + SignedDuration::from_secs(1);
        clock.sleep(ahead.max(SignedDuration::ZERO)).await;
        let question = respond::question(incident, &policy.arn, playbook, Aim::Allowed);
        let newer = self.look(&question).await?;
        let unasked = |account, why: String| Older {
            account,
            refused: None,
            detail: Some(why),
        };
        let asked = older
            .into_iter()
            .map(async |(account, session)| match session {
                Ok(_) if minted >= sessions_after => {
                    unasked(account, "no canary is as old as that".to_owned())
                }
                Ok(session) => {
                    self.ask_older(account, &session, (playbook, &asks), &policy.arn)
                        .await
                }
                Err(why) => unasked(account, why),
            });
        let shown: Vec<Older> = stream::iter(asked).buffered(AT_ONCE).collect().await;
        Ok(Readmitted {
            sessions_after,
            not_held,
            newer,
            older: shown,
        })
    }

    /// What the deny is then is on the policy before any new session is let through.
    async fn narrow(
        &mut self,
        incident: &mut Incident,
        policy: &PolicyId,
        sessions_after: Timestamp,
    ) -> Result<(), Stopped> {
        let (read, change, clock) = (self.cloud.read(), self.cloud.change(), self.cloud.clock());
        let there = read.tags(policy).await.map_err(Stopped::Read)?;
        *incident = incident.as_of(&Incident::of_tags(incident, &there));
        incident.sessions_after = Some(sessions_after);
        let tags = incident.tags();
        if incident.home == Home::Armed {
            // Whom it denies is in the very tag that says whether it is open: a release meanwhile is not undone by it.
            let (_, ledger) = self.look_at(policy).await?;
            let entry = ledger.entry(&incident.id);
            if !entry.is_some_and(|entry| entry.standing == Standing::Open) {
                return Err(Stopped::Armed(armed::Discord::Released));
            }
            if tags.is_empty() {
                return Err(Stopped::Armed(armed::Discord::Full));
            }
        }
        let step = StepName::RecordEviction;
        self.record(Event::Started { step })?;
        let outcome = contain::tag(read, change, clock, policy, &tags).await;
        self.settled(step, outcome, policy)?;
        self.redraft(incident, policy, StepName::NarrowDeny).await?;
        self.record(Event::Readmitted { sessions_after })
    }

    /// Writes the deny until it is what the tags say: they are the truth, and the document follows from them, because
    /// whoever writes it at the same time knows of other tags.
    pub(super) async fn redraft(
        &mut self,
        incident: &mut Incident,
        policy: &PolicyId,
        step: StepName,
    ) -> Result<(), Stopped> {
        if incident.home == Home::Armed {
            self.align(policy, incident.target.as_ref()).await?;
            return Ok(());
        }
        let (read, change, clock) = (self.cloud.read(), self.cloud.change(), self.cloud.clock());
        for _ in 0..armed::MOST_ROUNDS {
            let there = read.tags(policy).await.map_err(Stopped::Read)?;
            *incident = incident.as_of(&Incident::of_tags(incident, &there));
            let Ok(deny) = incident.deny() else {
                return Ok(());
            };
            let is_so = |there: &str| Document::parse(there).as_ref() == Ok(&deny);
            let described = read.policy(policy).await.map_err(Stopped::Read)?;
            if described.is_some_and(|(_, there)| is_so(&there)) {
                return Ok(());
            }
            self.record(Event::Started { step })?;
            let content = deny.minified();
            let again = async || Ok(content.clone());
            let outcome =
                contain::update(read, change, clock, policy, &content, again, is_so).await;
            self.settled(step, outcome, policy)?;
        }
        Err(Stopped::Restless)
    }

    /// A canary in each account, of before the moment.
    async fn mint_older(
        &self,
        incident: &Incident,
        playbook: &Playbook,
        asks: &[Ask],
    ) -> Vec<(
        AccountId,
        Result<<C::Canaries as Canaries>::Session, String>,
    )> {
        let canaries = self.cloud.canaries();
        let accounts = incident.accounts.iter().map(|account| async move {
            let Some(name) = incident.session_names.first() else {
                let why = "the suspect has no name that a session can have".to_owned();
                return (account.clone(), Err(why));
            };
            let mut why = String::new();
            for role in &playbook.verify.canary_roles {
                match canaries.mint(account, role, name, None, asks).await {
                    Ok(session) => return (account.clone(), Ok(session)),
                    Err(error) => why = error.to_string(),
                }
            }
            (account.clone(), Err(why))
        });
        stream::iter(accounts).buffered(AT_ONCE).collect().await
    }

    /// Each question several times, as a proof does.
    async fn ask_older(
        &self,
        account: AccountId,
        session: &<C::Canaries as Canaries>::Session,
        (playbook, asks): (&Playbook, &[Ask]),
        ours: &PolicyArn,
    ) -> Older {
        let mut seen = (None, None);
        let rounds = (0..playbook.verify.in_a_row).flat_map(|_| asks);
        for ask in rounds {
            seen = match self.cloud.canaries().probe(session, ask).await {
                Probed::Refused {
                    policy: Some(policy),
                    ..
                } if policy == *ours => (Some(true), None),
                Probed::Refused {
                    policy: None,
                    by_scp: true,
                } => (Some(true), Some("AWS does not name the policy".to_owned())),
                Probed::Refused { .. } => (None, Some("refused by something else".to_owned())),
                Probed::Allowed => (Some(false), None),
                Probed::SessionExpired => (None, Some("the canary session expired".to_owned())),
                Probed::NoAnswer(why) => (None, Some(why)),
            };
            if seen.0 != Some(true) {
                break;
            }
            self.cloud.clock().sleep(playbook.verify.every).await;
        }
        let (refused, detail) = seen;
        Older {
            account,
            refused,
            detail,
        }
    }
}
