//! Doing: one change at a time, each settled before the next.
//!
//! Arrives: a change and the two capabilities. Leaves: [`Outcome`]: it is so, it is not, or nobody can tell. An answer
//! that cannot be read is settled by reading the state back (R8b), and a name that is taken by an incident's own policy
//! is what a lost reply looks like the second time. Both directions live here, because the release runs the inverses by
//! the same rules.

use jiff::SignedDuration;

use crate::cloud::{Change, Clock, CreateError, NewPolicy, Read, Trouble, TroubleKind};
use crate::facts::PolicySummary;
use crate::ids::*;

/// How often a change is asked for again while AWS says that another one is in progress.
const PATIENCE: u32 = 8;

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
    let mut tries = 0;
    loop {
        tries += 1;
        let trouble = match change.create_policy(policy).await {
            Ok(summary) => return Outcome::Done(summary),
            Err(CreateError::Trouble(trouble))
                if trouble.kind == TroubleKind::Busy && tries < PATIENCE =>
            {
                clock.sleep(SignedDuration::from_secs(1)).await;
                continue;
            }
            Err(CreateError::Trouble(trouble)) if !trouble.may_have_happened() => {
                return Outcome::Failed(trouble);
            }
            Err(CreateError::Trouble(trouble)) => trouble,
            Err(CreateError::NameTaken) => Trouble {
                operation: "organizations:CreatePolicy",
                kind: TroubleKind::Refused,
                detail: format!("a policy named {} exists already", policy.name),
            },
        };
        // The name carries the incident's id, so a policy of that name is ours.
        return match read.policies().await {
            Ok(policies) => match policies.into_iter().find(|known| known.name == policy.name) {
                Some(summary) => Outcome::Found(summary),
                None if tries < AGAIN => continue,
                None => Outcome::Failed(trouble),
            },
            Err(_) => Outcome::Unsettled(trouble),
        };
    }
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
    settle(clock, call, || async {
        Ok(read.targets(policy).await?.contains(target))
    })
    .await
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
    settle(clock, call, || async {
        Ok(!read.targets(policy).await?.contains(target))
    })
    .await
}

/// Deletes the policy, unless it is gone.
pub async fn delete(
    read: &impl Read,
    change: &impl Change,
    clock: &impl Clock,
    policy: &PolicyId,
) -> Outcome<()> {
    let call = || change.delete_policy(policy);
    settle(clock, call, || async {
        Ok(read.content(policy).await?.is_none())
    })
    .await
}

/// Asks for a change; while AWS is busy with another, asks again; when the answer is lost, looks.
async fn settle<C, L>(clock: &impl Clock, call: impl Fn() -> C, look: impl Fn() -> L) -> Outcome<()>
where
    C: Future<Output = Result<(), Trouble>>,
    L: Future<Output = Result<bool, Trouble>>,
{
    let mut tries = 0;
    loop {
        tries += 1;
        match call().await {
            Ok(()) => return Outcome::Done(()),
            Err(trouble) if trouble.kind == TroubleKind::Busy && tries < PATIENCE => {
                clock.sleep(SignedDuration::from_secs(1)).await
            }
            Err(trouble) if !trouble.may_have_happened() => return Outcome::Failed(trouble),
            Err(trouble) => {
                return match look().await {
                    Ok(true) => Outcome::Found(()),
                    Ok(false) if tries < AGAIN => continue,
                    Ok(false) => Outcome::Failed(trouble),
                    Err(_) => Outcome::Unsettled(trouble),
                };
            }
        }
    }
}
