//! Proof: canary sessions that the deny must refuse, beside a control that it must not.
//!
//! Arrives: a [`Question`] (which names, in which accounts, refused by which policy). Leaves: a [`Proof`], one verdict
//! an account. Goes wrong: nothing; an account that cannot be asked has a verdict of its own, and is never counted as
//! fine (R4).
//!
//! "Attached" is not "enforced" (R13): AWS gives no time within which an SCP takes effect, so the question is asked in
//! rounds ([`rounds::prove`]) until every account has settled or the time is up. In a round every open account is asked at once: first
//! as the control, then under each name of the suspect. An account is proven when the names were refused several rounds
//! in a row by our policy while the control was allowed each time; the control of the next round is the "after" of this
//! one, and a last one closes the row.

pub mod guarded;

pub mod rounds;

mod together;

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::cloud::{Ask, Canaries, Clock, MintError, Probe, Probed};
use crate::ids::*;
use crate::verify::together::{together, worst};

/// Of more accounts than these nobody reads a line each: they are counted, and those that are not as hoped are named.
pub const FEW_ACCOUNTS: usize = 30;

/// What is to be proven.
#[derive(Debug, Clone)]
pub struct Question {
    /// The incident, which names the control.
    pub incident: IncidentId,
    /// The policies of ours that refuse, or did until they were taken away: more than one where several incidents deny
    /// the same person, because AWS names one of them only.
    pub policies: BTreeSet<PolicyArn>,
    /// The suspect's session names; or the witness's, where a canary can play nobody whom the deny is about.
    pub names: BTreeSet<SessionName>,
    /// The source identities that a session of theirs could carry.
    pub sources: BTreeSet<SessionName>,
    /// Where the suspect can be: each of these must show what is hoped for.
    pub accounts: BTreeSet<AccountId>,
    /// Where else to look. One that shows the opposite is a failure; one that cannot be asked keeps nothing open, unless
    /// there is nowhere that must show it.
    pub beside: BTreeSet<AccountId>,
    /// Roles to enter with, in the order they are tried.
    pub roles: Vec<RoleName>,
    /// What they ask: [`Ask::all`] of these.
    pub probes: BTreeSet<Probe>,
    /// Where, of what has an answer of its own in every Region.
    pub regions: BTreeSet<Region>,
    /// When to stop asking.
    pub timeout: SignedDuration,
    /// The pause between two rounds.
    pub every: SignedDuration,
    /// So many answers in a row settle an account.
    pub in_a_row: u32,
    /// What is hoped for.
    pub aim: Aim,
    /// Set where the canaries' names are not what the suspect is denied by: an IAM user's key has no session name, and
    /// without the user's id nothing refuses it. However the canaries are refused, that shows nothing.
    pub shows_nothing: bool,
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
    /// Whether a canary with the suspect's source identity was asked, too, if they can have one. Where the role's trust policy does not allow
    /// `sts:SetSourceIdentity` there is none, and the session names show what they show.
    pub source_identity: bool,
    /// Why it could not be asked, or what else refused.
    pub detail: Option<String>,
    /// Whether it need not be asked again.
    #[serde(skip)]
    pub settled: bool,
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
    /// What each was asked, and where.
    pub asked: Vec<Ask>,
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
    sessions: Option<Sessions<S>>,
    in_a_row: u32,
    /// When it first answered.
    answered: Option<Timestamp>,
    proof: AccountProof,
}

/// Those sessions.
struct Sessions<S> {
    control: S,
    suspects: Vec<S>,
    role: RoleName,
    /// Whether one of them carries the source identity.
    source_identity: bool,
}

impl Aim {
    /// The verdict that is hoped for.
    pub fn hoped(self) -> Verdict {
        self.verdicts().0
    }

    /// The verdict that is hoped for, and its opposite.
    fn verdicts(self) -> (Verdict, Verdict) {
        match self {
            Aim::Refused => (Verdict::RefusedByUs, Verdict::Allowed),
            Aim::Allowed => (Verdict::Allowed, Verdict::RefusedByUs),
        }
    }
}

fn overall(question: &Question, accounts: &[AccountProof]) -> Overall {
    let (hoped, opposite) = question.aim.verdicts();
    let anywhere = question.accounts.is_empty();
    let must = |account: &&AccountProof| anywhere || question.accounts.contains(&account.id);
    let shows = |account: &AccountProof| account.verdict == hoped;
    if accounts.iter().any(|account| account.verdict == opposite) {
        Overall::Opposite
    } else if question.shows_nothing && question.aim == Aim::Refused {
        Overall::Open
    } else if !accounts.is_empty() && accounts.iter().filter(must).all(shows) {
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
            source_identity: false,
            detail: Some("no answer yet".to_owned()),
            settled: false,
        };
        Self {
            id: id.clone(),
            sessions: None,
            in_a_row: 0,
            answered: None,
            proof,
        }
    }

    async fn round<C: Canaries<Session = S>>(
        &mut self,
        canaries: &C,
        clock: &impl Clock,
        question: &Question,
        asks: &[Ask],
    ) {
        let (verdict, detail) = match self.look(canaries, question, asks).await {
            Seen::Shows(verdict, detail) => (verdict, detail),
            Seen::NoWay(why) => {
                self.proof.settled = true;
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
        let hoped = question.aim.hoped();
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
        self.proof.settled |= self.in_a_row >= enough;
        self.proof.verdict = if verdict == hoped && !self.proof.settled {
            Verdict::NotSettled
        } else {
            verdict
        };
        self.proof.detail = detail;
    }

    /// Asks each question as the control, then under each name, and reads the table.
    async fn look<C: Canaries<Session = S>>(
        &mut self,
        canaries: &C,
        question: &Question,
        asks: &[Ask],
    ) -> Seen {
        if question.names.is_empty() {
            return Seen::NoWay("the suspect has no name that a session can have".to_owned());
        }
        if self.sessions.is_none() {
            match mint(canaries, &self.id, question, asks).await {
                Ok(sessions) => {
                    self.proof.role = Some(sessions.role.clone());
                    self.proof.source_identity = sessions.source_identity;
                    self.sessions = Some(sessions);
                }
                Err(MintError::NoWay(why)) => return Seen::NoWay(why),
                Err(MintError::Trouble(trouble)) => {
                    return Seen::Shows(Verdict::CouldNotAsk, Some(trouble.to_string()));
                }
            }
        }
        let Some(Sessions {
            control, suspects, ..
        }) = &self.sessions
        else {
            return Seen::Shows(Verdict::CouldNotAsk, None);
        };
        let mut seen = Vec::new();
        let mut expired = false;
        for ask in asks {
            let control = canaries.probe(control, ask).await;
            expired |= control == Probed::SessionExpired;
            let mut shown = Vec::new();
            for suspect in suspects {
                let probed = canaries.probe(suspect, ask).await;
                expired |= probed == Probed::SessionExpired;
                shown.push(table(question.aim, &control, &probed, &question.policies));
            }
            seen.extend(worst(question.aim, shown).map(|shows| (ask, shows)));
        }
        if expired {
            self.sessions = None;
        }
        let (verdict, detail) = together(question.aim, seen).unwrap_or((
            Verdict::CouldNotAsk,
            Some("the suspect has no name that a session can have".to_owned()),
        ));
        Seen::Shows(verdict, detail)
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

/// The control, one session for each name and one for each name as source identity, with the first role that lets us in.
async fn mint<C: Canaries>(
    canaries: &C,
    account: &AccountId,
    question: &Question,
    asks: &[Ask],
) -> Result<Sessions<C::Session>, MintError> {
    let mut reasons = Vec::new();
    for role in &question.roles {
        let control = &question.incident.control_name();
        match canaries.mint(account, role, control, None, asks).await {
            Ok(control) => {
                let mut suspects = Vec::new();
                for name in &question.names {
                    suspects.push(canaries.mint(account, role, name, None, asks).await?);
                }
                let sourced = with_source(canaries, account, role, question, asks).await?;
                let source_identity = sourced.is_some();
                suspects.extend(sourced.into_iter().flatten());
                return Ok(Sessions {
                    control,
                    suspects,
                    role: role.clone(),
                    source_identity,
                });
            }
            Err(MintError::NoWay(why)) => reasons.push(why),
            Err(trouble @ MintError::Trouble(_)) => return Err(trouble),
        }
    }
    Err(MintError::NoWay(reasons.join("; ")))
}

/// Sessions of a neutral name with each source identity of the suspect's; `None` where the role does not let it be set.
async fn with_source<C: Canaries>(
    canaries: &C,
    account: &AccountId,
    role: &RoleName,
    question: &Question,
    asks: &[Ask],
) -> Result<Option<Vec<C::Session>>, MintError> {
    let neutral = &question.incident.source_name();
    let mut sessions = Vec::new();
    for source in &question.sources {
        let minted = canaries.mint(account, role, neutral, Some(source), asks);
        match minted.await {
            Ok(session) => sessions.push(session),
            Err(MintError::NoWay(_)) => return Ok(None),
            Err(trouble @ MintError::Trouble(_)) => return Err(trouble),
        }
    }
    Ok(Some(sessions))
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

    /// A question about these accounts, and others beside them.
    fn asked(accounts: &[&str]) -> Question {
        let accounts = accounts.iter().map(|id| AccountId::parse(*id).unwrap());
        Question {
            incident: IncidentId::from_bytes([1, 2, 3]),
            policies: BTreeSet::new(),
            names: BTreeSet::new(),
            sources: BTreeSet::new(),
            accounts: accounts.collect(),
            beside: BTreeSet::new(),
            roles: Vec::new(),
            probes: BTreeSet::new(),
            regions: BTreeSet::new(),
            timeout: SignedDuration::from_mins(15),
            every: SignedDuration::from_secs(2),
            in_a_row: 3,
            aim: Aim::Refused,
            shows_nothing: false,
        }
    }

    #[test]
    fn whoever_is_only_looked_at_beside_spoils_a_proof_and_does_not_make_one() {
        let account = |id: &str, verdict| AccountProof {
            id: AccountId::parse(id).unwrap(),
            verdict,
            ..Watch::<()>::new(&AccountId::parse(id).unwrap()).proof
        };
        let of = |beside| {
            let must = account("111122223333", Verdict::RefusedByUs);
            let accounts = [must, account("222233334444", beside)];
            overall(&asked(&["111122223333"]), &accounts)
        };
        assert_eq!(of(Verdict::RefusedByUs), Overall::Shown);
        assert_eq!(of(Verdict::CouldNotAsk), Overall::Shown);
        assert_eq!(of(Verdict::Allowed), Overall::Opposite);
    }

    #[test]
    fn together_they_show_it_only_when_every_account_does() {
        let account = |verdict| AccountProof {
            id: AccountId::parse("111122223333").unwrap(),
            verdict,
            role: None,
            first_refusal: None,
            last_allowed: None,
            source_identity: false,
            detail: None,
            settled: true,
        };
        let of = |verdicts: &[Verdict]| {
            let accounts: Vec<AccountProof> = verdicts.iter().copied().map(account).collect();
            overall(&asked(&[]), &accounts)
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
