//! Doing: one change at a time, each settled before the next.
//!
//! Arrives: a change and the two capabilities. Leaves: [`Outcome`]: it is so, it is not, or nobody can tell. An answer
//! that cannot be read is settled by reading the state back (R8b), and a name that is taken by an incident's own policy
//! is what a lost reply looks like the second time. Both directions live here, because the release runs the inverses by
//! the same rules.

use std::cell::Cell;
use std::collections::BTreeMap;

use jiff::SignedDuration;

use crate::cloud::{Change, Clock, CreateError, NewPolicy, Read, Trouble, TroubleKind};
use crate::facts::PolicySummary;
use crate::ids::*;

/// So long a change is asked for again while AWS says that another one is in progress, or that it is asked too much. What
/// takes longer is said, and typing the same command again goes on.
const PATIENCE: SignedDuration = SignedDuration::from_mins(2);

/// The longest pause between two tries.
const LONGEST_PAUSE: SignedDuration = SignedDuration::from_secs(8);

/// How often a change is asked for when its answer was lost and reading shows that it did not happen.
const AGAIN: u32 = 3;

/// How one change ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome<T> {
    /// It is so, by this call.
    Done(T),
    /// It is so, and was found so by reading.
    Found(T),
    /// It is not so.
    Failed(Trouble),
    /// Nobody can tell: the call's answer was lost and reading back did not work either.
    Unsettled(Trouble),
}

/// Creates the policy, unless it exists.
pub async fn create(
    read: &impl Read,
    change: &impl Change,
    clock: &impl Clock,
    policy: &NewPolicy,
) -> Outcome<PolicySummary> {
    // The name carries the incident's id, so a policy of that name is ours.
    let look = || async {
        let policies = read.policies().await?;
        Ok(policies.into_iter().find(|known| known.name == policy.name))
    };
    let call = || async {
        change
            .create_policy(policy)
            .await
            .map_err(|error| match error {
                CreateError::Trouble(trouble) => trouble,
                CreateError::NameTaken => Trouble {
                    operation: "organizations:CreatePolicy",
                    kind: TroubleKind::Refused,
                    detail: format!("a policy named {} exists already", policy.name),
                },
            })
    };
    settle(clock, call, look).await
}

/// Attaches the policy, unless it is attached.
pub async fn attach(
    read: &impl Read,
    change: &impl Change,
    clock: &impl Clock,
    policy: &PolicyId,
    target: &TargetId,
) -> Outcome<()> {
    let call = || change.attach_policy(policy, target);
    let look = || async { Ok(read.targets(policy).await?.contains(target).then_some(())) };
    settle(clock, call, look).await
}

/// Detaches the policy, unless it is not attached.
pub async fn detach(
    read: &impl Read,
    change: &impl Change,
    clock: &impl Clock,
    policy: &PolicyId,
    target: &TargetId,
) -> Outcome<()> {
    let call = || change.detach_policy(policy, target);
    let look = || async { Ok((!read.targets(policy).await?.contains(target)).then_some(())) };
    settle(clock, call, look).await
}

/// Deletes the policy, unless it is gone.
pub async fn delete(
    read: &impl Read,
    change: &impl Change,
    clock: &impl Clock,
    policy: &PolicyId,
) -> Outcome<()> {
    let call = || change.delete_policy(policy);
    let look = || async { Ok(read.policy(policy).await?.is_none().then_some(())) };
    settle(clock, call, look).await
}

/// Writes the policy's whole document. Whether it is so is for `is_so` to say of the document that is there: somebody
/// else may have written meanwhile. `again` is the document for every further try.
pub async fn update(
    read: &impl Read,
    change: &impl Change,
    clock: &impl Clock,
    policy: &PolicyId,
    content: &str,
    again: impl AsyncFn() -> Result<String, Trouble>,
    is_so: impl Fn(&str) -> bool,
) -> Outcome<()> {
    // What is said again would take out what others have written since: so every further try is written anew.
    let tries = Cell::new(0);
    let call = || async {
        tries.set(tries.get() + 1);
        match tries.get() {
            1 => change.update_policy(policy, content).await,
            _ => change.update_policy(policy, &again().await?).await,
        }
    };
    let look = || async {
        let there = read.policy(policy).await?;
        Ok(there.is_some_and(|(_, there)| is_so(&there)).then_some(()))
    };
    settle(clock, call, look).await
}

/// Takes tags off the policy, unless they are gone.
pub async fn untag(
    read: &impl Read,
    change: &impl Change,
    clock: &impl Clock,
    policy: &PolicyId,
    keys: &[String],
) -> Outcome<()> {
    let call = || change.untag_policy(policy, keys);
    let look = || async {
        let there = read.tags(policy).await?;
        Ok((!keys.iter().any(|key| there.contains_key(key))).then_some(()))
    };
    settle(clock, call, look).await
}

/// Writes tags on the policy, unless they are there.
pub async fn tag(
    read: &impl Read,
    change: &impl Change,
    clock: &impl Clock,
    policy: &PolicyId,
    tags: &BTreeMap<String, String>,
) -> Outcome<()> {
    let call = || change.tag_policy(policy, tags);
    let look = || async {
        let there = read.tags(policy).await?;
        Ok(tags
            .iter()
            .all(|(key, value)| there.get(key) == Some(value))
            .then_some(()))
    };
    settle(clock, call, look).await
}

/// Asks for a change; while AWS is busy with another, asks again; and looks before it calls anything failed.
///
/// Also a clear refusal is looked behind: the SDK tries again by itself, so what it reports is the *last* attempt's end,
/// and an earlier one may have been done with its answer lost.
pub(crate) async fn settle<T, C, L>(
    clock: &impl Clock,
    call: impl Fn() -> C,
    look: impl Fn() -> L,
) -> Outcome<T>
where
    C: Future<Output = Result<T, Trouble>>,
    L: Future<Output = Result<Option<T>, Trouble>>,
{
    let begun = clock.now();
    let mut tries = 0;
    loop {
        tries += 1;
        let trouble = match call().await {
            Ok(value) => return Outcome::Done(value),
            Err(trouble) => trouble,
        };
        let ambiguous = trouble.may_have_happened();
        let in_time = clock.now().duration_since(begun) < PATIENCE;
        match (look().await, trouble.kind) {
            (Ok(Some(value)), _) => return Outcome::Found(value),
            (_, TroubleKind::Busy | TroubleKind::Throttled) if in_time => {}
            (Ok(None), _) if ambiguous && tries < AGAIN && in_time => {}
            (Err(_), _) if ambiguous => return Outcome::Unsettled(trouble),
            // Read several times, with pauses: what was not there then did not happen.
            (Ok(None) | Err(_), _) => return Outcome::Failed(trouble),
        }
        clock.sleep(pause(tries, fastrand::f64())).await;
    }
}

/// The pause after so many tries: longer each time, and never the same for two who were refused together.
fn pause(tries: u32, dice: f64) -> SignedDuration {
    let longest = SignedDuration::from_millis(500)
        .checked_mul(1 << tries.min(8))
        .unwrap_or(LONGEST_PAUSE)
        .min(LONGEST_PAUSE);
    longest.mul_f64(0.5 + dice / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_ceiling_and_differ() {
        let of = |tries| (pause(tries, 0.0).as_millis(), pause(tries, 1.0).as_millis());
        assert_eq!(of(1), (500, 1000));
        assert_eq!(of(2), (1000, 2000));
        assert_eq!(of(40), (4000, 8000));
    }
}
