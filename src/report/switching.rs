//! Which roles an IAM user may assume, and whether their sessions there are denied and were followed. Of
//! `quell trace --may-assume`.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::audit::switching::{Sure, Switch};
use crate::ids::*;
use crate::principal::LONGEST_SESSION;
use crate::report::trails::{Fate, ReadReport, SessionReport, Stands};
use crate::trace::switching::{Found, Role};
use crate::trail::Bearer;

/// An account that could not be looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MissedReport {
    /// The account.
    pub account: AccountId,
    /// Why: AWS's words.
    pub why: String,
}

/// A session in a role that CloudTrail shows, and that can be alive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AliveReport {
    /// Its `aws:userid`. Untrusted text.
    pub userid: String,
    /// What becomes of it.
    pub fate: Fate,
}

/// A role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RoleReport {
    /// Which, by what, and how.
    #[serde(flatten)]
    pub switch: Switch,
    /// What becomes of a session there that has the user's name, as the console gives it.
    pub named_after_user: Fate,
    /// How long a session there lives at the longest, in seconds; made with a session of another role, an hour.
    pub longest_session_s: i64,
    /// Whether that is what the role says; otherwise it is the most that AWS takes.
    pub longest_is_known: bool,
    /// The sessions there that were traced and can be alive.
    pub alive: Vec<AliveReport>,
    /// Whether the records were read by which sessions there are found.
    pub followed: bool,
    /// The command that denies every session of the role from before now, where sessions could not be followed.
    pub contain: Option<String>,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SwitchingReport {
    /// The user's account.
    pub account: AccountId,
    /// The user's name.
    pub user: IamUserName,
    /// Whether the user can make no new sessions while the deny stands; `false` while it is not attached, and of a user of
    /// the management account.
    pub refused_new: bool,
    /// Whether their policies name roles in any account, so that every one was to be looked at.
    pub named_everywhere: bool,
    /// How many of their policies cannot be read.
    pub unread_policies: usize,
    /// The accounts that were looked at.
    pub looked_at: BTreeSet<AccountId>,
    /// Those that could not be.
    pub missed: Vec<MissedReport>,
    /// The roles, by account. Sessions that were made in them before the deny live on unless they are denied.
    pub roles: Vec<RoleReport>,
}

/// What is known beside the roles.
#[derive(Debug, Clone, Copy)]
pub struct Beside<'a> {
    /// The user's account.
    pub account: &'a AccountId,
    /// Their name.
    pub user: &'a IamUserName,
    /// The organization's management account.
    pub management: &'a AccountId,
    /// How the deny stands.
    pub stands: &'a Stands,
    /// What CloudTrail was read.
    pub read: &'a ReadReport,
    /// Whom it shows.
    pub sessions: &'a [SessionReport],
}

impl SwitchingReport {
    /// Of what was found.
    pub fn of(found: Found, beside: &Beside<'_>) -> Self {
        let missed = found.missed.into_iter();
        let roles = found.roles.into_iter();
        Self {
            account: beside.account.clone(),
            user: beside.user.clone(),
            refused_new: beside.stands.binds_in(beside.account)
                && beside.account != beside.management,
            named_everywhere: found.named_everywhere,
            unread_policies: found.unread,
            looked_at: found.looked_at,
            missed: missed
                .map(|(account, why)| MissedReport { account, why })
                .collect(),
            roles: roles.map(|role| RoleReport::of(role, beside)).collect(),
        }
    }

    /// These sessions are denied now.
    pub(super) fn with_denied(&mut self, denied: &BTreeSet<SessionUserId>) {
        let alive = self.roles.iter_mut().flat_map(|role| &mut role.alive);
        for session in alive.filter(|it| it.fate == Fate::NotDenied) {
            if denied.iter().any(|it| it.as_str() == session.userid) {
                session.fate = Fate::Denied;
            }
        }
    }

    /// Whether every account was looked at, and every session in the roles could be found that the deny does not match.
    pub fn is_whole(&self) -> bool {
        self.missed.is_empty()
            && self.unread_policies == 0
            && self.roles.iter().all(|role| !role.may_hide())
    }

    /// The accounts with the roles.
    pub fn accounts(found: &Found) -> BTreeSet<AccountId> {
        let roles = found.roles.iter();
        roles.map(|role| role.switch.account.clone()).collect()
    }
}

impl RoleReport {
    fn of(role: Role, beside: &Beside<'_>) -> Self {
        let Role { switch, longest } = role;
        let now = beside.read.asked_at;
        let own = beside.sessions.iter().filter(|session| {
            let role = session.userid.split_once(':').map(|(role, _)| role);
            role == Some(switch.role_id.as_str()) && session.fate != Fate::Ended
        });
        let alive = own.map(|session| AliveReport {
            userid: session.userid.clone(),
            fate: session.fate,
        });
        let alive = alive.collect();
        let mut report = Self {
            named_after_user: fate_of(&switch, now, beside),
            longest_session_s: longest.unwrap_or(LONGEST_SESSION).as_secs(),
            longest_is_known: longest.is_some(),
            alive,
            // Who became whom stands in the records of the user's account; what they did then, in those of the role's.
            followed: [beside.account, &switch.account]
                .iter()
                .all(|account| was_read(beside.read, account)),
            contain: None,
            switch,
        };
        report.contain = report
            .may_hide()
            .then(|| format!("quell contain {}", report.switch.role))
            .filter(|_| report.switch.account != *beside.management);
        report
    }

    /// Whether a session there may be alive that neither the deny matches nor the records show.
    fn may_hide(&self) -> bool {
        !self.followed
            && (self.switch.any_name != Sure::No || self.named_after_user != Fate::Denied)
    }
}

/// What becomes of a session of a role that is named after the user.
fn fate_of(switch: &Switch, now: Timestamp, beside: &Beside<'_>) -> Fate {
    let bearer = Bearer {
        userid: format!("{}:{}", switch.role_id, beside.user),
        source_identity: None,
        issued: Some(now - SignedDuration::from_secs(1)),
    };
    if switch.account == *beside.management {
        return Fate::InManagement;
    }
    let denied =
        beside.stands.binds_in(&switch.account) && bearer.is_denied_by(&beside.stands.deny, now);
    if denied {
        Fate::Denied
    } else {
        Fate::NotDenied
    }
}

/// Whether an account's records were read whole.
fn was_read(read: &ReadReport, account: &AccountId) -> bool {
    let unasked = read.unasked.iter().map(|it| &it.account);
    let cut = read.cut.iter().map(|(account, _)| account);
    read.accounts.contains(account) && !unasked.chain(cut).any(|it| it == account)
}

/// The roles of each account.
pub fn by_account(roles: &[RoleReport]) -> BTreeMap<&AccountId, Vec<&RoleReport>> {
    let mut accounts: BTreeMap<&AccountId, Vec<&RoleReport>> = BTreeMap::new();
    for role in roles {
        accounts.entry(&role.switch.account).or_default().push(role);
    }
    accounts
}
