//! Asks what an audit needs, with the reading capability only: of each account three answers, of Identity Center as few as
//! there are permission sets.
//!
//! Arrives: accounts, and the roles by which to enter them. Leaves: [`Audited`], one by one as they come, because an
//! organization has more than fits on a screen or in memory. Goes wrong: an account that cannot be asked is given on with
//! the reason, and hides no other.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::join;
use futures_util::stream::{self, StreamExt as _};
use jiff::SignedDuration;
use tokio::sync::mpsc;

use crate::cloud::{Audit, Clock, Cloud, Door, Trouble, TroubleKind};
use crate::facts::audit::{Audited, Details, People, credential_report};
use crate::facts::{Caller, Known, Organization};
use crate::ids::*;
use crate::survey::{self, checkup};

/// Accounts asked at the same time. With a round trip of 80 ms and six calls an account these are some 500 accounts a
/// second, about as many as AWS lets one account assume roles; memory holds as many accounts' policies at once.
pub const AT_ONCE: usize = 256;

/// The first pause until a credential report is asked for again, which doubles to the longest; and how often. AWS makes it
/// within seconds, and gives the same one for four hours.
const PAUSE: SignedDuration = SignedDuration::from_millis(250);
const LONGEST_PAUSE: SignedDuration = SignedDuration::from_secs(4);
const TRIES: u32 = 24;

/// Which accounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// Every one of the organization that is in use.
    All,
    /// These.
    These(BTreeSet<AccountId>),
}

/// Each account given on as it is answered, in no order. The first are asked while the last are still being listed.
///
/// # Errors
/// [`Trouble`], when they could not all be listed.
pub async fn accounts<C: Cloud>(
    cloud: &C,
    caller: &Caller,
    which: Which,
    roles: &[RoleName],
    each: impl FnMut(AccountId, Result<Audited, Trouble>),
) -> Result<(), Trouble> {
    let (read, clock) = (cloud.read(), cloud.clock());
    let ask = async |account: &AccountId| account_of(read, clock, caller, account, roles).await;
    each_of(read, which, ask, each).await
}

/// The same of who is in each account and of their policies alone: one question of each.
///
/// # Errors
/// [`Trouble`], when they could not all be listed.
pub async fn details<C: Cloud>(
    cloud: &C,
    caller: &Caller,
    which: Which,
    roles: &[RoleName],
    each: impl FnMut(AccountId, Result<Details, Trouble>),
) -> Result<(), Trouble> {
    let read = cloud.read();
    let ask = async |account: &AccountId| {
        let inside = enter(read, caller, account, roles).await?;
        read.authorization_details(&inside).await
    };
    each_of(read, which, ask, each).await
}

async fn each_of<R: Audit, T>(
    read: &R,
    which: Which,
    ask: impl AsyncFn(&AccountId) -> Result<T, Trouble>,
    mut each: impl FnMut(AccountId, Result<T, Trouble>),
) -> Result<(), Trouble> {
    let ask = &ask;
    let (known, mut listed) = mpsc::unbounded_channel();
    // Nobody listens any more only when this is over.
    let list = async move {
        match which {
            Which::All => read.each_active(|account| drop(known.send(account))).await,
            Which::These(accounts) => {
                accounts
                    .into_iter()
                    .for_each(|account| drop(known.send(account)));
                Ok(())
            }
        }
    };
    let answers = async {
        let mut asked = stream::poll_fn(|context| listed.poll_recv(context))
            .map(|account| async move {
                let answer = ask(&account).await;
                (account, answer)
            })
            .buffer_unordered(AT_ONCE);
        while let Some((account, answer)) = asked.next().await {
            each(account, answer);
        }
    };
    let (listed, ()) = join!(list, answers);
    listed
}

async fn account_of<R: Audit>(
    read: &R,
    clock: &impl Clock,
    caller: &Caller,
    account: &AccountId,
    roles: &[RoleName],
) -> Result<Audited, Trouble> {
    let inside = enter(read, caller, account, roles).await?;
    let report = async {
        let mut pause = PAUSE;
        for _ in 0..TRIES {
            if let Some(text) = read.credential_report(&inside).await? {
                return Ok(text);
            }
            clock.sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        Err(trouble("AWS did not finish it".to_owned()))
    };
    let (details, report, passwords) = join!(
        read.authorization_details(&inside),
        report,
        read.password_policy(&inside)
    );
    Ok(Audited {
        account: account.clone(),
        details: details?,
        credentials: credential_report(&report?).map_err(trouble)?,
        passwords: passwords?,
    })
}

/// The account, by the first role that lets us in; our own without one.
async fn enter<R: Audit>(
    read: &R,
    caller: &Caller,
    account: &AccountId,
    roles: &[RoleName],
) -> Result<R::Inside, Trouble> {
    if *account == caller.account {
        return read.inside(None).await;
    }
    let mut last = trouble("no role was named to enter it with".to_owned());
    for role in roles {
        let door = Door {
            account: account.clone(),
            role: role.clone(),
            session: SessionName::of_survey(),
        };
        match read.inside(Some(&door)).await {
            Err(refused) if refused.kind == TroubleKind::Denied => last = refused,
            other => return other,
        }
    }
    Err(last)
}

fn trouble(detail: String) -> Trouble {
    Trouble {
        operation: "iam:GetCredentialReport",
        kind: TroubleKind::Unreadable,
        detail,
    }
}

/// Identity Center; each fact for itself.
pub async fn people<C: Cloud>(cloud: &C, organization: &Organization) -> People {
    let read = cloud.read();
    let at = match survey::instance(read, organization).await {
        Ok(at) => at,
        Err(error) => {
            let why = error.to_string();
            return People {
                sets: Known::Unknown(why.clone()),
                in_management: Known::Unknown(why.clone()),
                users: Known::Unknown(why),
            };
        }
    };
    let sets = async {
        match read.permission_sets(&at).await {
            Ok(arns) => {
                let sets: BTreeMap<_, _> = survey::permission_sets(read, &at, arns.iter()).await;
                Known::Known(sets)
            }
            Err(trouble) => Known::Unknown(trouble.to_string()),
        }
    };
    let (sets, (in_management, users)) =
        join!(sets, checkup::held_and_listed(read, &at, organization));
    People {
        sets,
        in_management,
        users,
    }
}
