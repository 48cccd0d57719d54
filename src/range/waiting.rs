//! Waiting together: everybody who waits does so at the same time, as in the world, and the clock moves from one moment
//! that somebody waits for to the next.
//!
//! Arrives: the work of a whole process, to be polled by [`Range::run`]. Leaves: what it came to. While anything in it
//! can go on, the clock stands still; when everything waits, the first alarm goes off. Nothing else moves the clock, so
//! thousands of calls that are under way together take the time of one.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use jiff::{SignedDuration, Timestamp};

use crate::range::{Range, Time};

/// Who waits for which moment, in the order in which they began to.
#[derive(Debug, Clone, Default)]
pub(super) struct Alarms(Arc<Mutex<Waiting>>);

#[derive(Debug, Default)]
struct Waiting {
    by_moment: BTreeMap<Place, Waker>,
    count: u64,
}

/// A moment, and which of those who wait for it.
type Place = (Timestamp, u64);

impl Alarms {
    fn with<T>(&self, look: impl FnOnce(&mut Waiting) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Somebody who waits. Nothing happens before it is polled, and nothing after it was dropped.
pub(super) struct Wait {
    range: Range,
    duration: SignedDuration,
    place: Option<Place>,
}

impl Range {
    /// Waits on the range's clock. Where waiting moves it, that is over at once.
    pub(super) fn wait(&self, duration: SignedDuration) -> Wait {
        Wait {
            range: self.clone(),
            duration,
            place: None,
        }
    }

    /// Does a process's work, and moves the clock whenever all of it waits. For [`Time::Together`].
    pub async fn run<F: Future>(&self, work: F) -> F::Output {
        let mut work = pin!(work);
        let woken = Arc::new(Woken::default());
        poll_fn(|outer| {
            woken.outside(outer.waker());
            let waker = Waker::from(woken.clone());
            woken.again.store(false, Ordering::Release);
            if let Poll::Ready(done) = work.as_mut().poll(&mut Context::from_waker(&waker)) {
                return Poll::Ready(done);
            }
            // Whoever wakes wakes us. What waits for something outside of the range is polled when that has come; and
            // tokio lets nobody go on for ever who does not return to it.
            if !woken.again.load(Ordering::Acquire) {
                self.ring();
            }
            Poll::Pending
        })
        .await
    }

    /// Moves the clock to the first moment that somebody waits for, if anybody does, and wakes them.
    fn ring(&self) {
        let first = self.alarms.with(|alarms| {
            let first = alarms.by_moment.first_key_value();
            first.map(|((at, _), waker)| (*at, waker.clone()))
        });
        if let Some((at, waker)) = first {
            self.advance(at.duration_since(self.now()).max(SignedDuration::ZERO));
            waker.wake();
        }
    }
}

impl Future for Wait {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let until = match (self.place, self.range.time) {
            (Some((until, _)), _) => until,
            (None, Time::Together) => self.range.now() + self.duration,
            (None, Time::Virtual | Time::Real) => {
                self.range.advance(self.duration);
                return Poll::Ready(());
            }
        };
        if self.range.now() >= until {
            return Poll::Ready(());
        }
        let (known, waker) = (self.place, context.waker().clone());
        let place = self.range.alarms.with(|alarms| {
            let place = known.unwrap_or_else(|| {
                alarms.count += 1;
                (until, alarms.count)
            });
            alarms.by_moment.insert(place, waker);
            place
        });
        self.place = Some(place);
        Poll::Pending
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            self.range
                .alarms
                .with(|alarms| alarms.by_moment.remove(&place));
        }
    }
}

/// Whether anything can go on.
#[derive(Default)]
struct Woken {
    again: AtomicBool,
    outer: Mutex<Option<Waker>>,
}

impl Woken {
    fn outside(&self, waker: &Waker) {
        let mut outer = self.outer.lock().unwrap_or_else(PoisonError::into_inner);
        *outer = Some(waker.clone());
    }
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.again.store(true, Ordering::Release);
        let outer = self.outer.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(outer) = outer.as_ref() {
            outer.wake_by_ref();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::future::join_all;

    use super::*;
    use crate::ids::Region;
    use crate::range::build::{self, Blueprint, Hero};

    #[tokio::test]
    async fn a_thousand_who_wait_together_wait_no_longer_than_one() {
        let built = build::build(&Blueprint {
            seed: 1,
            now: Timestamp::UNIX_EPOCH,
            hero: Hero::default(),
            identity_center: Region::parse("eu-west-1").unwrap(),
            alive: false,
            propagation: SignedDuration::ZERO,
            extras: Default::default(),
        });
        let range = Range::new(built.unwrap().state, Time::Together);
        let seconds = |many: i64| range.wait(SignedDuration::from_secs(many));
        let waits = (0..1_000).map(|number| seconds(number % 3 + 1));
        range
            .run(async {
                // What is given up does not move the clock.
                let _ = futures_util::poll!(seconds(60));
                join_all(waits).await;
                seconds(2).await;
            })
            .await;
        assert_eq!(
            range.now(),
            Timestamp::UNIX_EPOCH + SignedDuration::from_secs(5)
        );
    }
}
