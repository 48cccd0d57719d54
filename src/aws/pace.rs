//! No call leaves faster than AWS publishes that it takes them: being throttled costs more than waiting.
//!
//! One allowance for each row of the published tables, shared by all our clients, the SDK's own second tries included;
//! where AWS gives each account its own in each Region, one for each session and Region.
//! Written here and not taken from a crate because its clock is the world's: on the range it is virtual.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use crate::rates::Rate;

/// Others in the account use the same allowance, so we leave them a fifth of it.
const SHARE: (u32, u32) = (4, 5);

/// Who has called when.
#[derive(Debug, Clone, Default)]
pub(super) struct Pace(Arc<Mutex<BTreeMap<(&'static str, String), Queue>>>);

/// One row's queue.
#[derive(Debug)]
struct Queue {
    /// When its next place is free.
    next: SystemTime,
    /// When it was last asked for: a moment before that is a clock that was set back.
    asked: SystemTime,
}

impl Pace {
    /// Takes a place in the row's queue: how long to wait for it. `whose` is whose allowance it is, where that is not
    /// everybody's.
    pub(super) fn take(&self, rate: Rate, whose: &str, now: SystemTime) -> Duration {
        let mut rows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (ours, of) = SHARE;
        let between = Duration::from_secs(1) * of / (rate.per_second * ours).max(1);
        let whose = if rate.by_account { whose } else { "" };
        let queue = rows.entry((rate.row, whose.to_owned())).or_insert(Queue {
            next: now,
            asked: now,
        });
        if now < queue.asked || queue.next < now {
            queue.next = now;
        }
        queue.asked = now;
        let ahead = queue.next.duration_since(now).unwrap_or_default();
        queue.next += between;
        ahead.saturating_sub(between * rate.burst.saturating_sub(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate {
        row: "x",
        per_second: 4,
        burst: 3,
        by_account: false,
    };

    #[test]
    fn a_burst_goes_at_once_and_then_each_waits_its_turn() {
        let (pace, now) = (Pace::default(), SystemTime::UNIX_EPOCH);
        let waits: Vec<u128> = (0..6)
            .map(|_| pace.take(RATE, "", now).as_millis())
            .collect();
        assert_eq!(waits, [0, 0, 0, 312, 625, 937]);
        // Seconds later the burst is there again.
        let later = now + Duration::from_secs(9);
        let waits: Vec<u128> = (0..4)
            .map(|_| pace.take(RATE, "", later).as_millis())
            .collect();
        assert_eq!(waits, [0, 0, 0, 312]);
    }

    #[test]
    fn never_more_in_any_second_than_aws_takes() {
        let pace = Pace::default();
        let mut at: Vec<Duration> = Vec::new();
        let mut now = Duration::from_secs(1000);
        for i in 0..200_u64 {
            now += Duration::from_millis(i * 37 % 150);
            at.push(now + pace.take(RATE, "", SystemTime::UNIX_EPOCH + now));
        }
        at.sort();
        for (i, from) in at.iter().enumerate() {
            // A bucket of 3 that 4 a second flow into.
            let within = |until: Duration| at[i..].iter().filter(|one| **one < until).count();
            for seconds in 1..10 {
                let most = 3 + 4 * seconds;
                let found = within(*from + Duration::from_secs(seconds));
                assert!(found as u64 <= most, "{found} in {seconds} s from {from:?}");
            }
        }
    }

    #[test]
    fn what_each_account_has_for_itself_nobody_else_takes() {
        let own = Rate {
            by_account: true,
            ..RATE
        };
        let (pace, now) = (Pace::default(), SystemTime::UNIX_EPOCH);
        let last = |whose: &str| (0..5).map(|_| pace.take(own, whose, now)).max();
        assert_eq!(last("one"), last("another"));
        assert!(last("one") > last("a third"));
    }

    #[test]
    fn a_clock_that_is_set_back_makes_nobody_wait_for_it() {
        let (pace, now) = (
            Pace::default(),
            SystemTime::UNIX_EPOCH + Duration::from_secs(9999),
        );
        for _ in 0..5 {
            pace.take(RATE, "", now);
        }
        assert_eq!(
            pace.take(RATE, "", now - Duration::from_secs(3600)),
            Duration::ZERO
        );
    }
}
