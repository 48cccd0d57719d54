//! Asking everywhere, again and again, until every account has settled or the time is up.
//!
//! Each account goes its own way: it is asked again so long after it has answered, whatever the others do. One that does
//! not answer delays nobody, and among thousands those that were entered first settle while the last are still entered.

use std::collections::{BTreeMap, VecDeque};
use std::pin::pin;

use futures_util::future::{Either, select};
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use jiff::{SignedDuration, Timestamp};

use crate::cloud::{Ask, Canaries, Clock};
use crate::ids::AccountId;
use crate::verify::{AccountProof, Proof, Question, Verdict, Watch, overall};

/// Accounts asked at the same time. With a round trip of 80 ms these are 3,200 calls a second: what limits the asking of
/// thousands of accounts is then AWS's rate for minting, and not we.
pub const AT_ONCE: usize = 256;

/// So long after the time is up whoever has never answered is waited for, and whatever comes then ends it.
const LATE: SignedDuration = SignedDuration::from_secs(10);

/// What happens meanwhile.
#[derive(Debug)]
pub enum Told<'a> {
    /// An account has settled, or is what it is because the time is up.
    Settled(&'a AccountProof),
    /// Some are asked again.
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
    /// Never asked so far.
    fresh: VecDeque<Watch<S>>,
    /// Asked, and open, by when again.
    resting: BTreeMap<(Timestamp, AccountId), Watch<S>>,
    /// How many there are.
    of: usize,
    /// What each that has answered has shown so far.
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
    let all = question.accounts.union(&question.beside);
    let fresh: VecDeque<Watch<C::Session>> = all.map(Watch::new).collect();
    let mut rounds = Rounds {
        question,
        began,
        of: fresh.len(),
        fresh,
        resting: BTreeMap::new(),
        proofs: BTreeMap::new(),
        settled: 0,
    };
    let asks = Ask::all(&question.probes, &question.regions, canaries.region());
    let each = asks.as_slice();
    let (mut asked, mut told) = (FuturesUnordered::new(), began);
    loop {
        while asked.len() < AT_ONCE
            && let Some(mut watch) = rounds.due(clock.now())
        {
            asked.push(async move {
                watch.round(canaries, clock, question, each).await;
                watch
            });
        }
        let now = clock.now();
        let answered = match rounds.next_due().filter(|_| asked.len() < AT_ONCE) {
            None if asked.is_empty() || rounds.can_end(now) => break,
            None => asked.next().await,
            Some(at) => {
                if now >= told + question.every {
                    told = now;
                    tell(began, rounds.waiting(now))?;
                }
                let pause = pin!(clock.sleep(at.duration_since(now)));
                match select(asked.next(), pause).await {
                    Either::Left((Some(watch), _)) => Some(watch),
                    Either::Left((None, pause)) => {
                        pause.await;
                        None
                    }
                    Either::Right(_) => None,
                }
            }
        };
        if let Some(watch) = answered
            && let Some(proof) = rounds.take(watch, clock.now())
        {
            tell(began, Told::Settled(proof))?;
        }
    }
    drop(asked);
    for unheard in question.accounts.union(&question.beside) {
        let nothing = || Watch::<C::Session>::new(unheard).proof;
        rounds.proofs.entry(unheard.clone()).or_insert_with(nothing);
    }
    let accounts: Vec<AccountProof> = rounds.proofs.into_values().collect();
    for open in accounts.iter().filter(|proof| !proof.settled) {
        tell(began, Told::Settled(open))?;
    }
    Ok(Proof {
        overall: overall(question, &accounts),
        accounts,
        asked: asks,
        began,
        ended: clock.now(),
    })
}

impl<S> Rounds<'_, S> {
    /// Who is to be asked next: those who are known before those who are still to be entered.
    fn due(&mut self, now: Timestamp) -> Option<Watch<S>> {
        let over = self.is_over(now);
        match self.resting.first_entry() {
            Some(first) if first.key().0 <= now => Some(first.remove()),
            Some(_) | None if over => None,
            Some(_) | None => self.fresh.pop_front(),
        }
    }

    /// When the next of those who rest is.
    fn next_due(&self) -> Option<Timestamp> {
        self.resting.first_key_value().map(|((at, _), _)| *at)
    }

    /// Whether whoever is asked just now need not be waited for: it has answered before.
    fn can_end(&self, now: Timestamp) -> bool {
        let late = self.is_over(now - LATE);
        let over = self.is_over(now + self.pause(self.began, now));
        over && (late || self.proofs.len() == self.of)
    }

    /// Whether the time is up at a moment.
    fn is_over(&self, at: Timestamp) -> bool {
        at.duration_since(self.began) > self.question.timeout
    }

    fn waiting(&self, now: Timestamp) -> Told<'_> {
        let left = self.question.timeout - now.duration_since(self.began);
        Told::Waiting {
            settled: self.settled,
            of: self.of,
            left: left.max(SignedDuration::ZERO),
            why: self
                .proofs
                .values()
                .find(|proof| !proof.settled && proof.verdict == Verdict::CouldNotAsk)
                .and_then(|proof| proof.detail.as_deref()),
        }
    }

    /// The pause before an account is asked again: what has not refused within a minute since it first answered is not
    /// asked as often. Of thousands the last are entered minutes after the first, and settle as soon.
    fn pause(&self, since: Timestamp, now: Timestamp) -> SignedDuration {
        let every = self.question.every;
        match now.duration_since(since) {
            spent if spent < SignedDuration::from_mins(1) => every,
            spent if spent < SignedDuration::from_mins(3) => every * 2,
            _ => every * 4,
        }
    }

    /// Notes an answer; what has settled by it.
    fn take(&mut self, mut watch: Watch<S>, now: Timestamp) -> Option<&AccountProof> {
        let id = watch.id.clone();
        let settled = watch.proof.settled;
        let since = *watch.answered.get_or_insert(now);
        let again = now + self.pause(since, now);
        let over = self.is_over(again);
        let proof = self.proofs.entry(id.clone());
        let proof = proof.insert_entry(watch.proof.clone()).into_mut();
        if !settled {
            if !over {
                self.resting.insert((again, id), watch);
            }
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

        fn region(&self) -> Option<Region> {
            None
        }

        async fn mint(
            &self,
            account: &AccountId,
            _: &RoleName,
            session: &SessionName,
            _: Option<&SessionName>,
            _: &[Ask],
        ) -> Result<Self::Session, MintError> {
            let is_control = session.as_str().starts_with("quell-control");
            Ok((account.clone(), is_control))
        }

        async fn probe(&self, (account, is_control): &Self::Session, _: &Ask) -> Probed {
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

    /// Sessions take their time.
    struct SlowToEnter<'a>(&'a Virtual);

    impl Canaries for SlowToEnter<'_> {
        /// Whether it is the control.
        type Session = bool;

        fn region(&self) -> Option<Region> {
            None
        }

        async fn mint(
            &self,
            _: &AccountId,
            _: &RoleName,
            session: &SessionName,
            _: Option<&SessionName>,
            _: &[Ask],
        ) -> Result<bool, MintError> {
            self.0.sleep(SignedDuration::from_secs(1)).await;
            Ok(session.as_str().starts_with("quell-control"))
        }

        async fn probe(&self, is_control: &bool, _: &Ask) -> Probed {
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
    async fn whoever_is_entered_last_settles_as_soon() {
        let clock = Virtual(Cell::new(Timestamp::UNIX_EPOCH));
        let (question, canaries) = (question(40), SlowToEnter(&clock));
        let mut settled = BTreeMap::new();
        let proof = prove(&question, &canaries, &clock, |_, told| {
            if let Told::Settled(account) = told {
                settled.insert(account.id.clone(), clock.now());
            }
            Ok::<(), Infallible>(())
        });
        let proof = proof.await.unwrap();
        let mut accounts = proof.accounts.iter();
        assert!(accounts.all(|account| account.verdict == Verdict::RefusedByUs));
        let last = proof.accounts.iter().max_by_key(|it| it.first_refusal);
        let (id, refused) = last.map(|it| (&it.id, it.first_refusal.unwrap())).unwrap();
        assert!(refused.duration_since(proof.began) > SignedDuration::from_secs(70));
        // Three pauses of two seconds.
        let took = settled[id].duration_since(refused);
        assert_eq!(took, SignedDuration::from_secs(6));
    }

    #[tokio::test]
    async fn an_account_that_does_not_answer_delays_nobody() {
        for many in [40, 3] {
            one_of(many).await;
        }
    }

    /// About so many accounts.
    fn question(many: usize) -> Question {
        let accounts = (0..many).map(|n| AccountId::parse(format!("{n:012}")).unwrap());
        Question {
            incident: IncidentId::from_bytes([1, 2, 3]),
            policies: [].into(),
            names: [SessionName::parse("alice").unwrap()].into(),
            sources: [].into(),
            accounts: accounts.collect(),
            beside: [].into(),
            roles: vec![RoleName::parse("quell-canary").unwrap()],
            probes: [].into(),
            regions: [].into(),
            timeout: SignedDuration::from_mins(15),
            every: SignedDuration::from_secs(2),
            in_a_row: 3,
            aim: Aim::Refused,
            shows_nothing: false,
        }
    }

    async fn one_of(many: usize) {
        let question = question(many);
        let dead = question.accounts.first().unwrap().clone();
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
