//! Proof: canary sessions that the deny must refuse, beside a control that it must not.
//!
//! Arrives: a [`Question`] (which names, in which accounts, refused by which policy). Leaves: a [`Proof`], one verdict
//! an account. Goes wrong: nothing; an account that cannot be asked has a verdict of its own, and is never counted as
//! fine (R4).
//!
//! "Attached" is not "enforced" (R13): AWS gives no time within which an SCP takes effect, so the question is asked in
//! rounds ([`Proving`]) until every account has settled or the time is up. In a round every open account is asked at once: first
//! as the control, then under each name of the suspect. An account is proven when the names were refused several rounds
//! in a row by our policy while the control was allowed each time; the control of the next round is the "after" of this
//! one, and a last one closes the row.

use std::collections::BTreeSet;

use futures_util::stream::{self, StreamExt as _};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::cloud::{Canaries, Clock, MintError, Probed};
use crate::ids::*;

/// Accounts asked at the same time.
const AT_ONCE: usize = 16;

/// What is to be proven.
#[derive(Debug, Clone)]
pub struct Question {
    /// The incident, which names the control.
    pub incident: IncidentId,
    /// The policies of ours that refuse, or did until they were taken away: more than one where several incidents deny
    /// the same person, because AWS names one of them only.
    pub policies: BTreeSet<PolicyArn>,
    /// The suspect's session names.
    pub names: BTreeSet<SessionName>,
    /// Where.
    pub accounts: BTreeSet<AccountId>,
    /// Roles to enter with, in the order they are tried.
    pub roles: Vec<RoleName>,
    /// When to stop asking.
    pub timeout: SignedDuration,
    /// The pause between two rounds.
    pub every: SignedDuration,
    /// So many answers in a row settle an account.
    pub in_a_row: u32,
    /// What is hoped for.
    pub aim: Aim,
}

/// What is hoped for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aim {
    /// The suspect is refused by our policy: after containing.
    Refused,
    /// The suspect is allowed: after releasing.
    Allowed,
}

/// What the canaries of one account showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Every name refused by our policy, often enough in a row, the control allowed throughout.
    RefusedByUs,
    /// As hoped, but not yet often enough in a row.
    NotSettled,
    /// A name is allowed.
    Allowed,
    /// A name is refused, and AWS names something other than our policy.
    RefusedByOther,
    /// The control is refused, so a refusal of the suspect shows nothing.
    ControlRefused,
    /// No session could be minted, or no answer came.
    CouldNotAsk,
}

impl Verdict {
    /// The sentence for people.
    pub fn says(self) -> &'static str {
        match self {
            Verdict::RefusedByUs => "refused by our policy; the control is allowed",
            Verdict::NotSettled => "not settled: as hoped, but not yet often enough in a row",
            Verdict::Allowed => "allowed",
            Verdict::RefusedByOther => "refused, but not by our policy",
            Verdict::ControlRefused => "inconclusive: the control is refused too",
            Verdict::CouldNotAsk => "could not ask",
        }
    }

    /// Its name in JSON and in the journal.
    pub fn word(self) -> &'static str {
        match self {
            Verdict::RefusedByUs => "refused_by_us",
            Verdict::NotSettled => "not_settled",
            Verdict::Allowed => "allowed",
            Verdict::RefusedByOther => "refused_by_other",
            Verdict::ControlRefused => "control_refused",
            Verdict::CouldNotAsk => "could_not_ask",
        }
    }
}

/// One account's part of the proof.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AccountProof {
    /// The account.
    pub id: AccountId,
    /// What was shown.
    pub verdict: Verdict,
    /// The role that the canaries entered with.
    pub role: Option<RoleName>,
    /// The first refusal that no allowed call followed.
    pub first_refusal: Option<Timestamp>,
    /// The last call that was allowed under a name of the suspect.
    pub last_allowed: Option<Timestamp>,
    /// Why it could not be asked, or what else refused.
    pub detail: Option<String>,
}

/// What all the accounts together show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Overall {
    /// The aim is reached in every account, and there is at least one.
    Shown,
    /// Some account shows the opposite.
    Opposite,
    /// Neither.
    Open,
}

/// The proof.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Proof {
    /// Account by account.
    pub accounts: Vec<AccountProof>,
    /// Together.
    pub overall: Overall,
    /// When the first question was asked.
    pub began: Timestamp,
    /// When the last account settled, or the time was up.
    pub ended: Timestamp,
}

/// One answer of one account in one round.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Seen {
    /// What the table says of the probes.
    Shows(Verdict, Option<String>),
    /// Nothing can ever be asked here.
    NoWay(String),
}

/// The canaries of one account.
struct Watch<S> {
    id: AccountId,
    sessions: Option<(S, Vec<S>, RoleName)>,
    in_a_row: u32,
    settled: bool,
    proof: AccountProof,
}

/// A proof in the making: the driver runs the rounds and records what settles.
pub struct Proving<S> {
    question: Question,
    watches: Vec<Watch<S>>,
    began: Timestamp,
}

impl<S> Proving<S> {
    /// Before the first round.
    pub fn begin(question: &Question, now: Timestamp) -> Self {
        Self {
            watches: question.accounts.iter().map(Watch::new).collect(),
            question: question.clone(),
            began: now,
        }
    }

    /// When it began.
    pub fn began(&self) -> Timestamp {
        self.began
    }

    /// Asks every open account once; the accounts that settled by it.
    pub async fn round<C: Canaries<Session = S>>(
        &mut self,
        canaries: &C,
        clock: &impl Clock,
    ) -> Vec<AccountProof> {
        let question = &self.question;
        let open = self.watches.iter_mut().filter(|watch| !watch.settled);
        let asked = stream::iter(open).map(|watch| async move {
            watch.round(canaries, clock, question).await;
            watch.settled.then(|| watch.proof.clone())
        });
        asked
            .buffer_unordered(AT_ONCE)
            .filter_map(std::future::ready)
            .collect()
            .await
    }

    /// Whether there is nothing left to ask, or no time to ask it in.
    pub fn is_over(&self, now: Timestamp) -> bool {
        let spent = now.duration_since(self.began);
        self.watches.iter().all(|watch| watch.settled)
            || spent + self.question.every > self.question.timeout
    }

    /// How many accounts have settled, of how many, and how long the others may still take.
    pub fn progress(&self, now: Timestamp) -> (usize, usize, SignedDuration) {
        let left = self.question.timeout - now.duration_since(self.began);
        (
            self.watches.len() - self.open().count(),
            self.watches.len(),
            left.max(SignedDuration::ZERO),
        )
    }

    /// The accounts that have not settled.
    pub fn open(&self) -> impl Iterator<Item = &AccountProof> {
        self.watches
            .iter()
            .filter(|watch| !watch.settled)
            .map(|watch| &watch.proof)
    }

    /// What it came to.
    pub fn end(self, now: Timestamp) -> Proof {
        let accounts: Vec<AccountProof> =
            self.watches.into_iter().map(|watch| watch.proof).collect();
        Proof {
            overall: overall(self.question.aim, &accounts),
            accounts,
            began: self.began,
            ended: now,
        }
    }
}

impl Aim {
    /// The verdict that is hoped for, and its opposite.
    fn verdicts(self) -> (Verdict, Verdict) {
        match self {
            Aim::Refused => (Verdict::RefusedByUs, Verdict::Allowed),
            Aim::Allowed => (Verdict::Allowed, Verdict::RefusedByUs),
        }
    }
}

fn overall(aim: Aim, accounts: &[AccountProof]) -> Overall {
    let (hoped, opposite) = aim.verdicts();
    if accounts.iter().any(|account| account.verdict == opposite) {
        Overall::Opposite
    } else if !accounts.is_empty() && accounts.iter().all(|account| account.verdict == hoped) {
        Overall::Shown
    } else {
        Overall::Open
    }
}

impl<S> Watch<S> {
    fn new(id: &AccountId) -> Self {
        let proof = AccountProof {
            id: id.clone(),
            verdict: Verdict::CouldNotAsk,
            role: None,
            first_refusal: None,
            last_allowed: None,
            detail: Some("no answer yet".to_owned()),
        };
        Self {
            id: id.clone(),
            sessions: None,
            in_a_row: 0,
            settled: false,
            proof,
        }
    }

    async fn round<C: Canaries<Session = S>>(
        &mut self,
        canaries: &C,
        clock: &impl Clock,
        question: &Question,
    ) {
        let (verdict, detail) = match self.look(canaries, question).await {
            Seen::Shows(verdict, detail) => (verdict, detail),
            Seen::NoWay(why) => {
                self.settled = true;
                (Verdict::CouldNotAsk, Some(why))
            }
        };
        let now = clock.now();
        match verdict {
            Verdict::Allowed => {
                self.proof.first_refusal = None;
                self.proof.last_allowed = Some(now);
            }
            Verdict::RefusedByUs => {
                self.proof.first_refusal.get_or_insert(now);
            }
            // Refused by another policy first: the time of that is not ours.
            Verdict::RefusedByOther => self.proof.first_refusal = None,
            Verdict::NotSettled | Verdict::ControlRefused | Verdict::CouldNotAsk => {}
        }
        let (hoped, _) = question.aim.verdicts();
        self.in_a_row = if verdict == hoped {
            self.in_a_row + 1
        } else {
            0
        };
        // The control of the round after the last refusal is asked too: it is the "after" of that refusal.
        let enough = match question.aim {
            Aim::Refused => question.in_a_row.saturating_add(1),
            Aim::Allowed => question.in_a_row,
        };
        self.settled |= self.in_a_row >= enough;
        self.proof.verdict = if verdict == hoped && !self.settled {
            Verdict::NotSettled
        } else {
            verdict
        };
        self.proof.detail = detail;
    }

    /// Asks as the control, then under each name, and reads the table.
    async fn look<C: Canaries<Session = S>>(&mut self, canaries: &C, question: &Question) -> Seen {
        if question.names.is_empty() {
            return Seen::NoWay("the suspect has no name that a session can have".to_owned());
        }
        if self.sessions.is_none() {
            match mint(canaries, &self.id, question).await {
                Ok((control, suspects, role)) => {
                    self.proof.role = Some(role.clone());
                    self.sessions = Some((control, suspects, role));
                }
                Err(MintError::NoWay(why)) => return Seen::NoWay(why),
                Err(MintError::Trouble(trouble)) => {
                    return Seen::Shows(Verdict::CouldNotAsk, Some(trouble.to_string()));
                }
            }
        }
        let Some((control, suspects, _)) = &self.sessions else {
            return Seen::Shows(Verdict::CouldNotAsk, None);
        };
        let control = canaries.probe(control).await;
        let mut expired = control == Probed::SessionExpired;
        let mut worst: Option<(Verdict, Option<String>)> = None;
        for suspect in suspects {
            let probed = canaries.probe(suspect).await;
            expired |= probed == Probed::SessionExpired;
            let seen = table(question.aim, &control, &probed, &question.policies);
            // The names of one account show what the worst of them shows.
            let outweighs = match &worst {
                None => true,
                Some((verdict, _)) => weight(question.aim, seen.0) > weight(question.aim, *verdict),
            };
            if outweighs {
                worst = Some(seen);
            }
        }
        if expired {
            self.sessions = None;
        }
        let (verdict, detail) = worst.unwrap_or((
            Verdict::CouldNotAsk,
            Some("the suspect has no name that a session can have".to_owned()),
        ));
        Seen::Shows(verdict, detail)
    }
}

/// How far a verdict is from what is hoped for: nothing weighs less than that, and the opposite weighs most.
fn weight(aim: Aim, verdict: Verdict) -> u8 {
    let (hoped, opposite) = aim.verdicts();
    match verdict {
        verdict if verdict == hoped => 0,
        verdict if verdict == opposite => 2,
        Verdict::RefusedByUs
        | Verdict::NotSettled
        | Verdict::Allowed
        | Verdict::RefusedByOther
        | Verdict::ControlRefused
        | Verdict::CouldNotAsk => 1,
    }
}

/// The decision table: what one probe of the suspect shows, beside the control's.
fn table(
    aim: Aim,
    control: &Probed,
    suspect: &Probed,
    ours: &BTreeSet<PolicyArn>,
) -> (Verdict, Option<String>) {
    match (suspect, control) {
        // After a release nobody may be refused, the control as little as the suspect (R21).
        (Probed::Allowed, Probed::Refused { .. }) if aim == Aim::Allowed => {
            (Verdict::ControlRefused, None)
        }
        (Probed::Allowed, Probed::NoAnswer(why)) if aim == Aim::Allowed => {
            (Verdict::CouldNotAsk, Some(why.clone()))
        }
        (Probed::Allowed, Probed::SessionExpired) if aim == Aim::Allowed => (
            Verdict::CouldNotAsk,
            Some("the canary session expired".to_owned()),
        ),
        // An allowed call is an allowed call, whatever the control says.
        (Probed::Allowed, _) => (Verdict::Allowed, None),
        (Probed::SessionExpired, _) | (_, Probed::SessionExpired) => (
            Verdict::CouldNotAsk,
            Some("the canary session expired".to_owned()),
        ),
        (Probed::NoAnswer(why), _) | (_, Probed::NoAnswer(why)) => {
            (Verdict::CouldNotAsk, Some(why.clone()))
        }
        (
            Probed::Refused {
                policy: Some(policy),
                ..
            },
            Probed::Allowed,
        ) if ours.contains(policy) => (Verdict::RefusedByUs, None),
        (
            Probed::Refused {
                policy: Some(policy),
                ..
            },
            Probed::Allowed,
        ) => (
            Verdict::RefusedByOther,
            Some(format!("refused by {policy}")),
        ),
        // AWS does not name the policy everywhere (aws-facts §6). The two sessions differ in their name alone, and an
        // SCP refuses the one and not the other.
        (
            Probed::Refused {
                policy: None,
                by_scp: true,
            },
            Probed::Allowed,
        ) => (
            Verdict::RefusedByUs,
            Some("AWS does not name the policy".to_owned()),
        ),
        (
            Probed::Refused {
                policy: None,
                by_scp: false,
            },
            Probed::Allowed,
        ) => (
            Verdict::RefusedByOther,
            Some("AWS does not say by what".to_owned()),
        ),
        (Probed::Refused { .. }, Probed::Refused { policy, .. }) => (
            Verdict::ControlRefused,
            policy
                .as_ref()
                .map(|policy| format!("the control is refused by {policy}")),
        ),
    }
}

/// The control and one session for each name, with the first role that lets us in.
async fn mint<C: Canaries>(
    canaries: &C,
    account: &AccountId,
    question: &Question,
) -> Result<(C::Session, Vec<C::Session>, RoleName), MintError> {
    let mut reasons = Vec::new();
    for role in &question.roles {
        match canaries
            .mint(account, role, &question.incident.control_name())
            .await
        {
            Ok(control) => {
                let mut suspects = Vec::new();
                for name in &question.names {
                    suspects.push(canaries.mint(account, role, name).await?);
                }
                return Ok((control, suspects, role.clone()));
            }
            Err(MintError::NoWay(why)) => reasons.push(why),
            Err(trouble @ MintError::Trouble(_)) => return Err(trouble),
        }
    }
    Err(MintError::NoWay(reasons.join("; ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arn(id: &str) -> PolicyArn {
        PolicyArn::parse(format!(
            "arn:aws:organizations::111122223333:policy/o-x/service_control_policy/{id}"
        ))
        .unwrap()
    }

    fn refused(policy: Option<&str>, by_scp: bool) -> Probed {
        Probed::Refused {
            policy: policy.map(arn),
            by_scp,
        }
    }

    #[test]
    fn the_decision_table_line_by_line() {
        let ours = [arn("p-ours")].into();
        let cases = [
            (Probed::Allowed, Probed::Allowed, Verdict::Allowed),
            (Probed::Allowed, refused(None, true), Verdict::Allowed),
            (
                refused(Some("p-ours"), true),
                Probed::Allowed,
                Verdict::RefusedByUs,
            ),
            (refused(None, true), Probed::Allowed, Verdict::RefusedByUs),
            (
                refused(None, false),
                Probed::Allowed,
                Verdict::RefusedByOther,
            ),
            (
                refused(Some("p-other"), true),
                Probed::Allowed,
                Verdict::RefusedByOther,
            ),
            (
                refused(Some("p-ours"), true),
                refused(Some("p-other"), true),
                Verdict::ControlRefused,
            ),
            (
                refused(Some("p-ours"), true),
                refused(Some("p-ours"), true),
                Verdict::ControlRefused,
            ),
            (
                refused(Some("p-ours"), true),
                Probed::NoAnswer("timeout".to_owned()),
                Verdict::CouldNotAsk,
            ),
            (
                Probed::NoAnswer("timeout".to_owned()),
                Probed::Allowed,
                Verdict::CouldNotAsk,
            ),
            (
                Probed::SessionExpired,
                Probed::Allowed,
                Verdict::CouldNotAsk,
            ),
            (
                refused(Some("p-ours"), true),
                Probed::SessionExpired,
                Verdict::CouldNotAsk,
            ),
        ];
        for (suspect, control, expected) in cases {
            assert_eq!(
                table(Aim::Refused, &control, &suspect, &ours).0,
                expected,
                "suspect {suspect:?}, control {control:?}"
            );
        }
    }

    #[test]
    fn together_they_show_it_only_when_every_account_does() {
        let account = |verdict| AccountProof {
            id: AccountId::parse("111122223333").unwrap(),
            verdict,
            role: None,
            first_refusal: None,
            last_allowed: None,
            detail: None,
        };
        let of = |verdicts: &[Verdict]| {
            overall(
                Aim::Refused,
                &verdicts.iter().copied().map(account).collect::<Vec<_>>(),
            )
        };
        assert_eq!(of(&[]), Overall::Open);
        assert_eq!(of(&[Verdict::RefusedByUs]), Overall::Shown);
        assert_eq!(
            of(&[Verdict::RefusedByUs, Verdict::CouldNotAsk]),
            Overall::Open
        );
        assert_eq!(
            of(&[Verdict::RefusedByUs, Verdict::NotSettled]),
            Overall::Open
        );
        assert_eq!(
            of(&[Verdict::CouldNotAsk, Verdict::Allowed]),
            Overall::Opposite
        );
    }
}
