//! What we learned by asking: the organization, the directory and the caller, *as surveyed*.
//!
//! Plain values without behaviour of their own. A fact that AWS would not or could not tell is
//! [`Known::Unknown`] with the reason, never a default that looks like an answer (R4).

pub mod audit;

pub mod checkup;

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::ids::*;
use crate::signal::Suspect;

/// A fact, or the reason why we don't have it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// The immutable id.
    pub id: UserId,
    /// The true spelling, case kept.
    pub username: Username,
    /// Whether they can sign in. AWS tells it since 2026 and takes it from nobody (aws-facts §0.9).
    pub status: Option<UserStatus>,
    /// Whether somebody else's directory knows them, too: what we change here, its next sync may put back.
    pub external: bool,
    /// Their first e-mail address: TEAM's requests name people by it.
    pub email: Option<String>,
}

/// Whether a user of the directory can sign in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UserStatus {
    /// They can.
    Enabled,
    /// They cannot; what they have already is not ended by it.
    Disabled,
}

/// Whom an assignment names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Assignee {
    /// The user directly.
    User(UserId),
    /// A group that the user is in.
    Group(GroupId),
}

/// One way into one account: a permission set assigned there to the user or to a group of theirs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Assignment {
    /// The account it opens.
    pub account: AccountId,
    /// With which permission set.
    pub permission_set: PermissionSetArn,
    /// Assigned to whom.
    pub assignee: Assignee,
}

/// A permission set, from `sso:DescribePermissionSet`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PermissionSet {
    /// Its name, which is part of its role's name: `AWSReservedSSO_<name>_<suffix>`.
    pub name: String,
    /// How long a session lives. AWS writes ISO 8601 (`PT8H`); absence and nonsense are unknown.
    pub session: Known<SignedDuration>,
}

/// A role that account access manager lets a user or a group into, beside the permission sets (aws-facts §0.2).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Entitlement {
    /// The account access manager application that it is of.
    pub application: ApplicationArn,
    /// The account it opens.
    pub account: AccountId,
    /// The role.
    pub role: RoleArn,
}

/// An entitlement that there is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Entitled {
    /// What it lets into.
    pub entitlement: Entitlement,
    /// Its own id; another, when it is made again.
    pub id: EntitlementId,
}

/// Everything by which a user of the directory gets new sessions, read at one moment. What an eviction takes away, and
/// what it is put back from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ways {
    /// When it was read, on AWS's clock.
    pub read_at: Timestamp,
    /// The user, with whether they can sign in.
    pub user: User,
    /// What is assigned to them, and to the groups they are in.
    pub assignments: BTreeSet<Assignment>,
    /// The groups they are in, each with the membership's own id.
    pub memberships: BTreeMap<GroupId, MembershipId>,
    /// What people call those groups, as far as that could be read.
    #[serde(default)]
    pub group_names: BTreeMap<GroupId, String>,
    /// What account access manager gives to them directly.
    pub entitlements: BTreeSet<Entitled>,
    /// What account access manager gives to their groups.
    pub inherited_entitlements: BTreeSet<Entitled>,
    /// Whether there is account access manager in Identity Center's Region at all. Unknown where it could not be asked:
    /// then there may be entitlements that are not among these.
    pub access_manager: Known<bool>,
    /// The permission sets of the assignments.
    pub permission_sets: BTreeMap<PermissionSetArn, PermissionSet>,
}

/// An IAM user, as their account has them. What an eviction takes away, and what it is put back from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IamUser {
    /// The account.
    pub account: AccountId,
    /// Their name there.
    pub name: IamUserName,
    /// The immutable id; another, when the user is made again.
    pub id: IamUserId,
    /// Their access keys, and whether each is active.
    pub keys: BTreeMap<AccessKeyId, bool>,
    /// Whether they have a password for the console. What it is, AWS tells nobody.
    pub login_profile: bool,
    /// The names of their inline policies.
    pub inline: BTreeSet<String>,
    /// The ARNs of their managed policies.
    pub attached: BTreeSet<String>,
}

/// One thing by which a user gets new sessions, and that can be taken away without touching anybody else.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "way", rename_all = "snake_case")]
pub enum Way {
    /// A permission set that is assigned to the user directly.
    Assignment {
        /// Where.
        account: AccountId,
        /// What.
        permission_set: PermissionSetArn,
    },
    /// A place in a group, with everything that the group can enter.
    Membership {
        /// Which.
        group: GroupId,
    },
    /// A role that account access manager lets the user into directly.
    Entitlement(Entitlement),
    /// An access key of an IAM user. It is switched off, and not deleted.
    AccessKey {
        /// Which.
        key: AccessKeyId,
    },
    /// An IAM user's password for the console.
    LoginProfile,
    /// What an IAM user's policies let them do, and whoever they have vouched for: `GetFederationToken` sessions have an
    /// `aws:userid` of their own and the user's rights. An inline deny on the user closes it.
    Permissions,
}

/// Something that Identity Center does in its own time, and that is asked after by its id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Of which kind.
    pub kind: RequestKind,
    /// A UUID.
    pub id: String,
}

/// The kinds of such requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RequestKind {
    /// `sso:CreateAccountAssignment`.
    AssignmentCreation,
    /// `sso:DeleteAccountAssignment`.
    AssignmentDeletion,
    /// `sso:ProvisionPermissionSet`.
    Provisioning,
}

/// How far such a request is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// Under way: ask again.
    InProgress(Request),
    /// Done.
    Succeeded,
    /// Not done; AWS's reason, untrusted text.
    Failed(String),
}

/// A request in TEAM, the open-source just-in-time access for Identity Center (aws-facts §14).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TeamRequest {
    /// TEAM's id of it.
    pub id: String,
    /// What it asks for: an account and a permission set, as TEAM writes them.
    pub account: String,
    /// The permission set's name.
    pub role: String,
    /// `pending`, `approved`, `scheduled`, `in progress`, …
    pub status: String,
    /// When it begins, if TEAM says so.
    pub start: Option<Timestamp>,
    /// How long it grants.
    pub duration: Option<SignedDuration>,
    /// When it was ended.
    pub ended: Option<Timestamp>,
}

impl TeamRequest {
    /// The statuses, as TEAM spells them, of those that can still give access (aws-facts §14).
    pub const OPEN: [&str; 4] = ["pending", "approved", "scheduled", "in progress"];

    /// Whether it can still give access.
    pub fn may_give(&self) -> bool {
        Self::OPEN.contains(&self.status.as_str())
    }
}

/// What somebody may ask TEAM for, as themselves or as one of a group (aws-facts §14).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TeamEligibility {
    /// The id of the user or of the group.
    pub id: String,
    /// What TEAM calls them.
    pub name: String,
    /// `User` or `Group`.
    pub kind: String,
    /// The accounts and organizational units, by name.
    pub accounts: Vec<String>,
    /// The permission sets, by name.
    pub permissions: Vec<String>,
    /// Whether somebody must approve; `None` where TEAM does not say.
    pub approval_required: Option<bool>,
}

/// What the directory says about the suspect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directory {
    /// The user; unknown when a finding names somebody whom the directory no longer has.
    pub user: Known<User>,
    /// Every way into an account, direct and through groups.
    pub assignments: Known<BTreeSet<Assignment>>,
    /// The permission sets of those assignments.
    pub permission_sets: BTreeMap<PermissionSetArn, PermissionSet>,
    /// What account access manager gives to them and to their groups.
    pub entitlements: Known<BTreeSet<Entitlement>>,
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
    /// What an IAM user's account says is their id; none for everybody else.
    pub iam_user: Option<Known<IamUserId>>,
    /// What the account of a suspected role says of it; none for everybody else, and where the signal names no account.
    pub role: Option<Known<Role>>,
    /// Whether the account that the signal names is one of the organization's; none where it names none.
    pub is_member: Option<Known<bool>>,
}

impl Facts {
    /// The partition that we are in, which is the organization's.
    pub fn partition(&self) -> &str {
        self.caller.arn.split(':').nth(1).unwrap_or("aws")
    }
}

/// The service that gives people of the directory sessions of ordinary roles: account access manager (aws-facts §3).
pub const ACCESS_MANAGER: &str = "account-access.amazonaws.com";

/// Whether a session of an ordinary role is a person's: one whom account access manager lets into the role.
pub fn is_persons(suspect: &Suspect, role: Option<&Known<Role>>) -> bool {
    let given = |role: &Role| role.trusts.contains(ACCESS_MANAGER);
    matches!(suspect, Suspect::RoleSession { .. }) && role.and_then(Known::known).is_some_and(given)
}

/// A role, as its own account describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    /// The immutable id, with which the `aws:userid` of each of its sessions begins.
    pub id: RoleId,
    /// The services and identity providers that its trust policy lets assume it: `ec2.amazonaws.com`, and ARNs.
    pub trusts: BTreeSet<String>,
    /// Its `MaxSessionDuration`: how long a session of it can live that is not made with a role's session.
    pub longest: Option<SignedDuration>,
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
