//! What we learned by asking: the organization, the directory and the caller, *as surveyed*.
//!
//! Plain values without behaviour of their own. A fact that AWS would not or could not tell is
//! [`Known::Unknown`] with the reason, never a default that looks like an answer (R4).

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::ids::*;

/// A fact, or the reason why we don't have it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Known<T> {
    /// AWS said so.
    Known(T),
    /// We could not learn it; the reason is a lower-case fragment.
    Unknown(String),
}

impl<T> Known<T> {
    /// The fact, if we have it.
    pub fn known(&self) -> Option<&T> {
        match self {
            Known::Known(fact) => Some(fact),
            Known::Unknown(_) => None,
        }
    }
}

/// Who we are: `sts:GetCallerIdentity`, and how long our credentials still live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The account our credentials belong to.
    pub account: AccountId,
    /// Our ARN, for people: `arn:aws:sts::…:assumed-role/Responder/alice`.
    pub arn: String,
    /// Our `aws:userid`, for the proof that we don't lock ourselves out.
    pub user_id: String,
    /// When our credentials end; `None` for long-term keys.
    pub expires: Option<Timestamp>,
}

/// The organization, from `organizations:DescribeOrganization`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Organization {
    /// `o-…`.
    pub id: OrganizationId,
    /// The account that SCPs never reach.
    pub management: AccountId,
    /// Whether all features are on; SCPs need it.
    pub all_features: bool,
}

/// Whether service control policies are switched on at the root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScpType {
    /// Attached SCPs are enforced.
    Enabled,
    /// Being switched on or off just now.
    Pending,
    /// Off: an SCP cannot be attached.
    Disabled,
}

/// The organization's one root, from `organizations:ListRoots`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    /// `r-…`.
    pub id: TargetId,
    /// The state of the SCP policy type there.
    pub scps: ScpType,
}

/// A policy without its content, as the list calls give it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicySummary {
    /// `p-…`.
    pub id: PolicyId,
    /// Its ARN, which refusals name.
    pub arn: PolicyArn,
    /// Unique in the organization.
    pub name: String,
    /// Free text, at most 512 characters.
    pub description: String,
}

/// A policy with its tags: how AWS remembers an incident (R10).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaggedPolicy {
    /// The policy.
    pub summary: PolicySummary,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
}

/// The armed policy as it stands: one policy that waits at its target, and the incidents in it (design §6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArmedPolicy {
    /// The policy.
    pub summary: PolicySummary,
    /// Its tags, which say who is denied.
    pub tags: BTreeMap<String, String>,
    /// Its document, which denies them.
    pub content: String,
    /// What it is attached to.
    pub targets: Vec<TargetId>,
}

/// An Identity Center instance, from `sso:ListInstances`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// `arn:aws:sso:::instance/…`.
    pub arn: InstanceArn,
    /// The directory behind it.
    pub store: IdentityStoreId,
    /// The owner: an organization's instance belongs to the management account.
    pub owner: Option<AccountId>,
    /// Where writes must go; `None` where AWS does not say (then it is the Region we asked).
    pub primary_region: Option<Region>,
}

/// A user of the directory, from `identitystore:DescribeUser`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The immutable id.
    pub id: UserId,
    /// The true spelling, case kept.
    pub username: Username,
}

/// Whom an assignment names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Assignee {
    /// The user directly.
    User(UserId),
    /// A group that the user is in.
    Group(GroupId),
}

/// One way into one account: a permission set assigned there to the user or to a group of theirs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Assignment {
    /// The account it opens.
    pub account: AccountId,
    /// With which permission set.
    pub permission_set: PermissionSetArn,
    /// Assigned to whom.
    pub assignee: Assignee,
}

/// A permission set, from `sso:DescribePermissionSet`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PermissionSet {
    /// Its name, which is part of its role's name: `AWSReservedSSO_<name>_<suffix>`.
    pub name: String,
    /// How long a session lives. AWS writes ISO 8601 (`PT8H`); absence and nonsense are unknown.
    pub session: Known<SignedDuration>,
}

/// What the directory says about the suspect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directory {
    /// The instance that was asked.
    pub instance: Instance,
    /// The user; unknown when a finding names somebody whom the directory no longer has.
    pub user: Known<User>,
    /// Every way into an account, direct and through groups.
    pub assignments: Known<BTreeSet<Assignment>>,
    /// The permission sets of those assignments.
    pub permission_sets: BTreeMap<PermissionSetArn, PermissionSet>,
    /// The directory's users, the suspect among them.
    pub users: Listed,
}

/// The users of a directory, as far as they were listed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Listed {
    /// Those we know of.
    pub users: Vec<User>,
    /// Why these are not all, if they are not.
    pub cut: Option<String>,
}

/// Everything the survey learned. A value of one moment: the plan says when it was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// When the survey was made, on AWS's clock.
    pub asked_at: Timestamp,
    /// Who we are.
    pub caller: Caller,
    /// The organization.
    pub organization: Organization,
    /// Its root.
    pub root: Root,
    /// Where the deny will be attached.
    pub target: TargetId,
    /// The member accounts under the target; `None` for the root, which has them all.
    pub under_target: Option<BTreeSet<AccountId>>,
    /// The SCPs attached directly to the target.
    pub attached: Vec<PolicySummary>,
    /// Every incident that AWS remembers: policies named like ours, with their tags.
    pub remembered: Vec<TaggedPolicy>,
    /// The armed policy; `None` where nobody armed the organization, unknown where it could not be read.
    pub armed: Known<Option<ArmedPolicy>>,
    /// What the directory says about the suspect.
    pub directory: Directory,
}

/// A last look before an approval counts: what of the survey a plan hangs on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glance {
    /// The SCPs attached directly to the target.
    pub attached: Vec<PolicySummary>,
    /// Incidents' own policies that were attached since the survey, with their tags.
    pub remembered: Vec<TaggedPolicy>,
    /// The armed policy, if the plan uses it and it is there.
    pub armed: Option<ArmedPolicy>,
}
