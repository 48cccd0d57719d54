//! What a check-up learned before any incident: each fact for itself, so that one that cannot be had hides no other.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::facts::*;

/// Everything that a check-up learned. A value of one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkup {
    /// When it ended, on AWS's clock.
    pub asked_at: Timestamp,
    /// The Region that was asked.
    pub region: Option<Region>,
    /// Who we are.
    pub caller: Known<Caller>,
    /// The organization; `None` where the account is in none.
    pub organization: Known<Option<Organization>>,
    /// Its root.
    pub root: Known<Root>,
    /// The SCPs attached directly to the root.
    pub attached: Known<Vec<PolicySummary>>,
    /// The armed policy, if there is one.
    pub armed: Known<Option<ArmedPolicy>>,
    /// The Identity Center instance; `None` where none of this organization can be seen.
    pub instance: Known<Option<Instance>>,
    /// Whether Identity Center's Region has an account access manager, which answered.
    pub access_manager: Known<bool>,
    /// What people hold in the management account.
    pub in_management: Known<Vec<Holding>>,
    /// The directory's users.
    pub users: Known<Listed>,
    /// The organization's accounts, the management account among them.
    pub accounts: Known<Vec<MemberAccount>>,
    /// What the canaries showed, in the accounts that were looked at.
    pub canaries: BTreeMap<AccountId, Tried>,
    /// The trails that can be seen.
    pub trails: Known<Vec<Trail>>,
    /// GuardDuty's detectors in the Region.
    pub detectors: Known<Vec<Detector>>,
    /// The rights that were shown or simulated, by action.
    pub rights: BTreeMap<&'static str, Evidence>,
    /// Why the rights that no call showed could not be simulated, if they could not.
    pub not_simulated: Option<String>,
}

/// An account of the organization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberAccount {
    /// Its id.
    pub id: AccountId,
    /// What people call it.
    pub name: String,
    /// The unit or root that it is in.
    pub parent: TargetId,
    /// AWS's word for the state of it, `ACTIVE` or another.
    pub state: String,
}

impl MemberAccount {
    /// Whether anything can be asked there.
    pub fn is_active(&self) -> bool {
        self.state == "ACTIVE"
    }
}

/// A permission set that somebody has in an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holding {
    /// The set's name.
    pub set: String,
    /// What people call the user or group.
    pub who: String,
    /// Whether it is a group.
    pub group: bool,
}

/// What a canary showed in one account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tried {
    /// It was let in by this role, and its probe was allowed.
    Allowed(RoleName),
    /// It was let in by this role, and its probe was refused, although nobody is contained.
    Refused {
        /// The role.
        role: RoleName,
        /// The policy that AWS names, if it names one.
        policy: Option<PolicyArn>,
        /// What it asked, and where.
        asked: String,
    },
    /// No role let it in; what AWS said of each.
    NotLetIn(String),
    /// No answer; the reason.
    NoAnswer(String),
}

/// A trail of CloudTrail's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trail {
    /// Its name.
    pub name: String,
    /// Whether it takes the events of every account of the organization.
    pub organization: bool,
    /// Whether it takes those of every Region.
    pub every_region: bool,
    /// Whether it is switched on.
    pub logging: Known<bool>,
    /// What went wrong when CloudTrail last put a file into its bucket, in S3's word; `None` where nothing did.
    pub undelivered: Known<Option<String>>,
    /// Which management events it records.
    pub records: Known<ManagementEvents>,
}

/// Which management events a trail records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ManagementEvents {
    /// None: data events at most.
    None,
    /// Those that read.
    Reads,
    /// Those that write.
    Writes,
    /// Some of both: its selectors ask for more than a category and whether it reads.
    Some,
    /// All of them, but for those of services that are left out by name for their noise.
    All,
}

/// A detector of GuardDuty's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detector {
    /// Its id.
    pub id: DetectorId,
    /// Whether it is switched on; one that is suspended raises no finding.
    pub enabled: Known<bool>,
}

/// What is known of one right of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Evidence {
    /// A call that needs it was answered.
    Shown,
    /// IAM's simulator says that our identity's policies allow it.
    Simulated,
    /// A call that needs it was denied, or the simulator says that it would be; in whose words.
    Denied(String),
    /// Nothing shows it; the reason.
    Unclear(String),
}

/// Whether IAM's simulator lets an identity do something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Simulated {
    /// It does.
    Allowed,
    /// It does not; the decision in IAM's word.
    Denied(String),
    /// It hangs on what only a real request has.
    DependsOn(BTreeSet<String>),
}
