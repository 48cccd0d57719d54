//! Closing one way to new sessions, or opening it again, each settled before it counts.
//!
//! Arrives: a way and the two capabilities. Leaves: [`Outcome`], by the same rules as [`crate::contain`]. What Identity
//! Center does in its own time is asked after until it is done; a way that is closed already is success, and so is one
//! that AWS says does not exist. An IAM user's ways are in the user's own account ([`account`]).

pub mod account;

use std::collections::BTreeMap;

use jiff::SignedDuration;

use account::UserInAccount;

use crate::cloud::{ChangeAccess, ChangeUser, Clock, Read, Trouble, TroubleKind};
use crate::contain::{Outcome, settle};
use crate::facts::{Assignee, Assignment, Entitlement, Instance, Progress, Way};
use crate::ids::*;

/// So many ways at once. AWS documents 15 assignment calls that may be under way (aws-facts §9); TEAM and people at the
/// console use them, too.
pub const AT_ONCE: usize = 10;

/// The pause before asking again how far a request is. Ten of them are a quarter of the rate that all of the service's
/// operations share.
const ASK_EVERY: SignedDuration = SignedDuration::from_secs(2);

/// A request that is still under way after this long is not known to be done.
const LONGEST_REQUEST: SignedDuration = SignedDuration::from_mins(5);

/// So long a change may take whose answer was lost, before it is asked for again.
const LOST_REQUEST: SignedDuration = SignedDuration::from_secs(30);

/// Whose way it is.
#[derive(Debug, Clone, Copy)]
pub enum Whose<'a> {
    /// A user's of the directory.
    Directory(Person<'a>),
    /// An IAM user's.
    Account(&'a UserInAccount),
}

/// A user of the directory.
#[derive(Debug, Clone, Copy)]
pub struct Person<'a> {
    /// The directory.
    pub instance: &'a Instance,
    /// The user.
    pub user: &'a UserId,
}

impl<'a> Whose<'a> {
    fn person(self) -> Result<Person<'a>, Trouble> {
        match self {
            Whose::Directory(person) => Ok(person),
            Whose::Account(_) => Err(no_such_way("an IAM user is in no directory")),
        }
    }

    fn account(self) -> Result<&'a UserInAccount, Trouble> {
        match self {
            Whose::Account(user) => Ok(user),
            Whose::Directory(_) => Err(no_such_way("a user of the directory is in no account")),
        }
    }

    /// Whether the way is open now.
    async fn has(self, read: &impl Read, way: &Way) -> Result<bool, Trouble> {
        match way {
            Way::Assignment { .. } | Way::Membership { .. } | Way::Entitlement(_) => {
                self.person()?.has(read, way).await
            }
            Way::AccessKey { .. } | Way::LoginProfile | Way::Permissions => {
                let open = self.account()?.ways(read).await?;
                Ok(open.is_some_and(|(_, open)| open.contains(way)))
            }
        }
    }
}

fn no_such_way(why: &str) -> Trouble {
    Trouble {
        operation: "a way to new sessions",
        kind: TroubleKind::Refused,
        detail: why.to_owned(),
    }
}

impl Person<'_> {
    fn assignee(&self) -> Assignee {
        Assignee::User(self.user.clone())
    }

    fn assignment(&self, account: &AccountId, permission_set: &PermissionSetArn) -> Assignment {
        Assignment {
            account: account.clone(),
            permission_set: permission_set.clone(),
            assignee: self.assignee(),
        }
    }

    async fn entitlements(
        &self,
        read: &impl Read,
    ) -> Result<BTreeMap<Entitlement, EntitlementId>, Trouble> {
        let listed = read.entitlements(self.instance, &self.assignee()).await?;
        Ok(listed.unwrap_or_default())
    }

    /// What AWS took and whose answer was lost has no request that could be asked after, and one that cannot be asked after
    /// may be under way all the same: so the way itself is looked at, for as long as such a request takes.
    async fn comes_true(
        &self,
        read: &impl Read,
        clock: &impl Clock,
        way: &Way,
        open: bool,
        trouble: Trouble,
    ) -> Result<(), Trouble> {
        if !trouble.may_have_happened() {
            return Err(trouble);
        }
        let since = clock.now();
        while clock.now().duration_since(since) < LOST_REQUEST {
            match self.has(read, way).await {
                Ok(is) if is == open => return Ok(()),
                Ok(_) => {}
                // Nobody can tell; and that is what is to be said.
                Err(_) => return Err(trouble),
            }
            clock.sleep(ASK_EVERY).await;
        }
        Err(trouble)
    }

    /// Whether the way is open now.
    async fn has(&self, read: &impl Read, way: &Way) -> Result<bool, Trouble> {
        Ok(match way {
            Way::Assignment {
                account,
                permission_set,
            } => {
                let direct = read.assignments(self.instance, &self.assignee()).await?;
                direct.contains(&self.assignment(account, permission_set))
            }
            Way::Membership { group } => read
                .memberships(self.instance, self.user)
                .await?
                .contains_key(group),
            Way::Entitlement(entitlement) => {
                self.entitlements(read).await?.contains_key(entitlement)
            }
            Way::AccessKey { .. } | Way::LoginProfile | Way::Permissions => false,
        })
    }
}

/// Closes a way, unless it is closed.
pub async fn close(
    read: &impl Read,
    change: &(impl ChangeAccess + ChangeUser),
    clock: &impl Clock,
    whose: Whose<'_>,
    way: &Way,
) -> Outcome<()> {
    let call = || async {
        match way {
            Way::Assignment {
                account,
                permission_set,
            } => {
                const CALL: &str = "sso:DeleteAccountAssignment";
                let person = whose.person()?;
                let instance = person.instance;
                let assignment = person.assignment(account, permission_set);
                let done = match change.delete_assignment(instance, &assignment).await {
                    Ok(begun) => carried_out(read, clock, instance, CALL, begun).await,
                    Err(trouble) => Err(trouble),
                };
                match done {
                    Ok(()) => Ok(()),
                    Err(trouble) => person.comes_true(read, clock, way, false, trouble).await,
                }
            }
            // Places in groups and entitlements have ids of their own, which are others when they are made again.
            Way::Membership { group } => {
                let Person { instance, user } = whose.person()?;
                match read.memberships(instance, user).await?.get(group) {
                    Some(id) => change.delete_membership(instance, id).await,
                    None => Ok(()),
                }
            }
            Way::Entitlement(entitlement) => {
                let person = whose.person()?;
                match person.entitlements(read).await?.get(entitlement) {
                    Some(id) => {
                        let instance = person.instance;
                        change.delete_entitlement(instance, entitlement, id).await
                    }
                    None => Ok(()),
                }
            }
            Way::AccessKey { key } => whose.account()?.set_key(change, key, false).await,
            Way::LoginProfile => whose.account()?.delete_password(change).await,
            Way::Permissions => whose.account()?.deny(change).await,
        }
    };
    let look = || async { Ok((!whose.has(read, way).await?).then_some(())) };
    settle(clock, call, look).await
}

/// Opens a way again, unless it is open.
pub async fn reopen(
    read: &impl Read,
    change: &(impl ChangeAccess + ChangeUser),
    clock: &impl Clock,
    whose: Whose<'_>,
    way: &Way,
) -> Outcome<()> {
    let call = || async {
        match way {
            Way::Assignment {
                account,
                permission_set,
            } => {
                const CALL: &str = "sso:CreateAccountAssignment";
                let person = whose.person()?;
                let instance = person.instance;
                let assignment = person.assignment(account, permission_set);
                let done = match change.create_assignment(instance, &assignment).await {
                    Ok(begun) => carried_out(read, clock, instance, CALL, begun).await,
                    Err(trouble) => Err(trouble),
                };
                match done {
                    Ok(()) => Ok(()),
                    Err(trouble) => person.comes_true(read, clock, way, true, trouble).await,
                }
            }
            Way::Membership { group } => {
                let Person { instance, user } = whose.person()?;
                change.create_membership(instance, group, user).await
            }
            Way::Entitlement(entitlement) => {
                let Person { instance, user } = whose.person()?;
                change.create_entitlement(instance, entitlement, user).await
            }
            Way::AccessKey { key } => whose.account()?.set_key(change, key, true).await,
            Way::LoginProfile => Err(no_such_way(
                "nobody but the user knows the password, so it cannot be put back",
            )),
            Way::Permissions => whose.account()?.let_go(change).await,
        }
    };
    let look = || async { Ok(whose.has(read, way).await?.then_some(())) };
    settle(clock, call, look).await
}

/// Writes the inline policy of a permission set and provisions it to one account, where it binds the sessions that run.
pub async fn write_inline_policy(
    read: &impl Read,
    change: &impl ChangeAccess,
    clock: &impl Clock,
    instance: &Instance,
    set: &PermissionSetArn,
    content: Option<&str>,
) -> Outcome<()> {
    let call = || change.set_inline_policy(instance, set, content);
    let look = || async {
        let there = read.inline_policy(instance, set).await?;
        Ok((there.as_deref() == content).then_some(()))
    };
    settle(clock, call, look).await
}

/// Provisions a permission set to one account. Nothing that can be read shows whether it is, so it is asked for again where
/// the answer was lost.
pub async fn provision(
    read: &impl Read,
    change: &impl ChangeAccess,
    clock: &impl Clock,
    instance: &Instance,
    set: &PermissionSetArn,
    account: &AccountId,
) -> Outcome<()> {
    const CALL: &str = "sso:ProvisionPermissionSet";
    let call = || async {
        let begun = change.provision(instance, set, account).await?;
        carried_out(read, clock, instance, CALL, begun).await
    };
    settle(clock, call, || async { Ok(None) }).await
}

/// Asks after a request until it is done.
async fn carried_out(
    read: &impl Read,
    clock: &impl Clock,
    instance: &Instance,
    operation: &'static str,
    begun: Progress,
) -> Result<(), Trouble> {
    let trouble = |kind, detail| Trouble {
        operation,
        kind,
        detail,
    };
    let since = clock.now();
    let mut progress = begun;
    loop {
        let request = match progress {
            Progress::Succeeded => return Ok(()),
            Progress::Failed(why) => return Err(trouble(TroubleKind::Refused, why)),
            Progress::InProgress(request) => request,
        };
        if clock.now().duration_since(since) > LONGEST_REQUEST {
            let why = format!("request {} is still under way", request.id);
            return Err(trouble(TroubleKind::Unreachable, why));
        }
        clock.sleep(ASK_EVERY).await;
        progress = match read.progress(instance, &request).await {
            Ok(progress) => progress,
            Err(error) if matches!(error.kind, TroubleKind::Busy | TroubleKind::Throttled) => {
                Progress::InProgress(request)
            }
            // It may be done all the same.
            Err(error) => return Err(trouble(TroubleKind::Unreachable, error.to_string())),
        };
    }
}
