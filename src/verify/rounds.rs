//! Asking everywhere, round after round, until every account has settled or the time is up.

use std::collections::{BTreeMap, VecDeque};

use futures_util::future::{Either, select};
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use jiff::{SignedDuration, Timestamp};

use crate::cloud::{Canaries, Clock};
use crate::ids::AccountId;
use crate::verify::{AccountProof, Proof, Question, Verdict, Watch, overall};

/// Accounts asked at the same time. With a round trip of 80 ms these are 3,200 calls a second: what limits the asking of
/// thousands of accounts is then AWS's rate for minting, and not we.
const AT_ONCE: usize = 256;

/// A round is over when all but one in so many have answered, and all but one of fewer: an account that does not answer
/// delays none of those that do.
const LAGGARDS: usize = 10;

/// What happens meanwhile.
#[derive(Debug)]
pub enum Told<'a> {
    /// An account has settled, or is what it is because the time is up.
    Settled(&'a AccountProof),
    /// A round is over and there will be another.
    Waiting {
        /// Accounts that have settled.
        settled: usize,
        /// Of so many.
        of: usize,
        /// Until the time is up.
        left: SignedDuration,
        /// Why, of an account that does not answer.
        why: Option<&'a str>,
    },
}

/// The accounts of a question, each somewhere on its way.
struct Rounds<'q, S> {
    question: &'q Question,
    began: Timestamp,
    /// To be asked in this round.
    due: VecDeque<Watch<S>>,
    /// Asked in this round, and open.
    resting: Vec<Watch<S>>,
    /// What each has shown so far.
    proofs: BTreeMap<AccountId, AccountProof>,
    settled: usize,
}

/// Asks until it is proven, or not.
///
/// # Errors
/// Whatever `tell` ends it with.
pub async fn prove<C: Canaries, E>(
    question: &Question,
    canaries: &C,
    clock: &impl Clock,
    mut tell: impl FnMut(Timestamp, Told<'_>) -> Result<(), E>,
) -> Result<Proof, E> {
    let began = clock.now();
    let all = || question.accounts.union(&question.beside);
    let mut rounds = Rounds {
        question,
        began,
        due: all().map(Watch::new).collect(),
        resting: Vec::new(),
        proofs: all()
            .map(|id| (id.clone(), Watch::<()>::new(id).proof))
            .collect(),
        settled: 0,
    };
    let mut asked = FuturesUnordered::new();
    loop {
        while asked.len() < AT_ONCE
            && let Some(mut watch) = rounds.due.pop_front()
        {
            asked.push(async move {
                watch.round(canaries, clock, question).await;
                watch
            });
        }
        let answered = if rounds.is_under_way(asked.len()) {
            asked.next().await
        } else {
            let now = clock.now();
            if rounds.is_over(now) {
                break;
            }
            tell(began, rounds.waiting(now))?;
            // Those that lag are listened to meanwhile.
            let pause = std::pin::pin!(clock.sleep(rounds.pause(now)));
            match select(asked.next(), pause).await {
                Either::Left((Some(watch), _)) => Some(watch),
                Either::Left((None, pause)) => {
                    pause.await;
                    None
                }
                Either::Right(_) => None,
            }
        };
        match answered {
            Some(watch) => {
                if let Some(proof) = rounds.take(watch) {
                    tell(began, Told::Settled(proof))?;
                }
            }
            None => rounds.due.extend(rounds.resting.drain(..)),
        }
    }
    drop(asked);
    let accounts: Vec<AccountProof> = rounds.proofs.into_values().collect();
    for open in accounts.iter().filter(|proof| !proof.settled) {
        tell(began, Told::Settled(open))?;
    }
    Ok(Proof {
        overall: overall(question, &accounts),
        accounts,
        began,
        ended: clock.now(),
    })
}

impl<S> Rounds<'_, S> {
    /// Whether the round goes on, with so many accounts that have not answered.
    fn is_under_way(&self, asked: usize) -> bool {
        let in_round = asked + self.resting.len();
        let lagging_only = !self.resting.is_empty() && asked <= (in_round / LAGGARDS).max(1);
        !self.due.is_empty() || (asked > 0 && !lagging_only)
    }

    /// Whether there is nothing left to ask, or no time to ask it in.
    fn is_over(&self, now: Timestamp) -> bool {
        let spent = now.duration_since(self.began);
        self.settled == self.proofs.len() || spent + self.pause(now) > self.question.timeout
    }

    fn waiting(&self, now: Timestamp) -> Told<'_> {
        let left = self.question.timeout - now.duration_since(self.began);
        Told::Waiting {
            settled: self.settled,
            of: self.proofs.len(),
            left: left.max(SignedDuration::ZERO),
            why: self
                .proofs
                .values()
                .find(|proof| !proof.settled && proof.verdict == Verdict::CouldNotAsk)
                .and_then(|proof| proof.detail.as_deref()),
        }
    }

    /// The pause before the next round: what has not refused within a minute is not asked as often.
    fn pause(&self, now: Timestamp) -> SignedDuration {
        let every = self.question.every;
        match now.duration_since(self.began) {
            spent if spent < SignedDuration::from_mins(1) => every,
            spent if spent < SignedDuration::from_mins(3) => every * 2,
            _ => every * 4,
        }
    }

    /// Notes an answer; what has settled by it.
    fn take(&mut self, watch: Watch<S>) -> Option<&AccountProof> {
        let id = watch.id.clone();
        let settled = watch.proof.settled;
        let proof = self.proofs.entry(id);
        let proof = proof.insert_entry(watch.proof.clone()).into_mut();
        if !settled {
            self.resting.push(watch);
            return None;
        }
        self.settled += 1;
        Some(proof)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::convert::Infallible;

    use super::*;
    use crate::cloud::{MintError, Probed};
    use crate::ids::*;
    use crate::verify::Aim;

    /// Hours pass at once.
    struct Virtual(Cell<Timestamp>);

    impl Clock for Virtual {
        fn now(&self) -> Timestamp {
            self.0.get()
        }

        async fn sleep(&self, duration: SignedDuration) {
            self.0.set(self.0.get() + duration);
        }
    }

    /// Every account refuses all but the control, and one says nothing until its call times out.
    struct OneIsDead<'a>(AccountId, &'a Virtual);

    impl Canaries for OneIsDead<'_> {
        type Session = (AccountId, bool);

        async fn mint(
            &self,
            account: &AccountId,
            _: &RoleName,
            session: &SessionName,
            _: Option<&SessionName>,
        ) -> Result<Self::Session, MintError> {
            let is_control = session.as_str().starts_with("quell-control");
            Ok((account.clone(), is_control))
        }

        async fn probe(&self, (account, is_control): &Self::Session) -> Probed {
            if *account == self.0 {
                // Longer than all the others take to settle.
                for _ in 0..1_000 {
                    tokio::task::yield_now().await;
                }
                self.1.sleep(SignedDuration::from_secs(45)).await;
                return Probed::NoAnswer("timed out".to_owned());
            }
            match is_control {
                true => Probed::Allowed,
                false => Probed::Refused {
                    policy: None,
                    by_scp: true,
                },
            }
        }
    }

    #[tokio::test]
    async fn an_account_that_does_not_answer_delays_nobody() {
        for many in [40, 3] {
            one_of(many).await;
        }
    }

    async fn one_of(many: usize) {
        let accounts = (0..many).map(|n| AccountId::parse(format!("{n:012}")).unwrap());
        let accounts: std::collections::BTreeSet<AccountId> = accounts.collect();
        let dead = accounts.first().unwrap().clone();
        let question = Question {
            incident: IncidentId::from_bytes([1, 2, 3]),
            policies: [].into(),
            names: [SessionName::parse("alice").unwrap()].into(),
            sources: [].into(),
            accounts,
            beside: [].into(),
            roles: vec![RoleName::parse("quell-canary").unwrap()],
            timeout: SignedDuration::from_mins(15),
            every: SignedDuration::from_secs(2),
            in_a_row: 3,
            aim: Aim::Refused,
            shows_nothing: false,
        };
        let clock = Virtual(Cell::new(Timestamp::UNIX_EPOCH));
        let mut settled = BTreeMap::new();
        let canaries = OneIsDead(dead.clone(), &clock);
        let proof = prove(&question, &canaries, &clock, |began, told| {
            if let Told::Settled(account) = told {
                settled.insert(account.id.clone(), clock.now().duration_since(began));
            }
            Ok::<(), Infallible>(())
        });
        let proof = proof.await.unwrap();
        for account in &proof.accounts {
            let (verdict, soon) = match account.id == dead {
                true => (Verdict::CouldNotAsk, false),
                false => (Verdict::RefusedByUs, true),
            };
            assert_eq!(account.verdict, verdict, "{account:?}");
            assert_eq!(settled[&account.id] < SignedDuration::from_secs(10), soon);
        }
    }
}
