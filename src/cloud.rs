//! The ports: what the stages ask of the world, in our own words.
//!
//! Reading, changing, minting canaries and telling the time are four capabilities. Planning is handed [`Read`] and
//! cannot change anything (R6); only the driver holds [`Change`]. No SDK type crosses a port. Errors: what every AWS
//! call can answer is a [`Trouble`]; an answer that a stage decides by (a name taken, no organization) is modelled
//! beside the one call that gives it; everything else is [`TroubleKind::Refused`] with AWS's code and message.

mod probe;

use std::collections::BTreeMap;
use std::future::Future;

use jiff::{SignedDuration, Timestamp};

use crate::facts::audit::{Details, PasswordPolicy};
use crate::facts::checkup::{MemberAccount, Simulated, Trail};
use crate::facts::*;
use crate::ids::*;

pub use probe::{Ask, NotAProbe, Probe};

/// AWS, or something that says so, did not do what we asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{operation}: {detail}")]
pub struct Trouble {
    /// `organizations:AttachPolicy`.
    pub operation: &'static str,
    /// What to make of it.
    pub kind: TroubleKind,
    /// AWS's code and message and the request id, or the transport's words. Untrusted text.
    pub detail: String,
}

/// What to make of a call that did not succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TroubleKind {
    /// We have no credentials, or AWS does not know them.
    Credentials,
    /// Our credentials have expired.
    Expired,
    /// Our credentials do not have the right.
    Denied,
    /// Too many requests, also after all retries.
    Throttled,
    /// Another change is in progress (`ConcurrentModificationException` and its kin): ask again in a moment.
    Busy,
    /// No connection, or it broke: whether AWS got the request is not known.
    Unreachable,
    /// An answer came that cannot be read (a proxy's page, a cut line, a server error): not known either.
    Unreadable,
    /// AWS refused with an error that no stage decides by.
    Refused,
}

impl Trouble {
    /// Whether a change that ended so may have happened all the same (R8b).
    pub fn may_have_happened(&self) -> bool {
        match self.kind {
            TroubleKind::Unreachable | TroubleKind::Unreadable => true,
            TroubleKind::Credentials
            | TroubleKind::Expired
            | TroubleKind::Denied
            | TroubleKind::Throttled
            | TroubleKind::Busy
            | TroubleKind::Refused => false,
        }
    }
}

/// Why there is no connection. Nothing was asked yet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// Neither flag, environment nor profile names a Region.
    #[error("no AWS Region is set")]
    NoRegion,
    /// The Region is none: the SDK would silently ask a host that does not exist.
    #[error(transparent)]
    BadRegion(#[from] NotAnId),
    /// The HTTP client could not be built.
    #[error("{0}")]
    Http(String),
}

/// Why the organization could not be described.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OrganizationError {
    /// The account is in none: `AWSOrganizationsNotInUseException`.
    #[error("this account is not part of an organization")]
    NotInUse,
    /// Anything else.
    #[error(transparent)]
    Trouble(#[from] Trouble),
}

/// By what a user is looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lookup {
    /// `userName`.
    Username,
    /// `emails.value`.
    Email,
}

/// A way into a member account: a role there that may let us in, and the name of our session in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Door {
    /// The account.
    pub account: AccountId,
    /// The role.
    pub role: RoleName,
    /// Our name.
    pub session: SessionName,
}

/// By what records of calls are looked up: AWS takes one attribute at a time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum RecordedBy {
    /// The access key that signed.
    AccessKey(AccessKeyId),
    /// The name of the session or the user who called.
    Username(String),
    /// The name of the event: `UserAuthentication`.
    Event(&'static str),
}

/// Records of calls.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recorded {
    /// Each as JSON text for [`crate::trail::read`], newest first. Untrusted.
    pub events: Vec<String>,
    /// Whether those are all.
    pub whole: bool,
}

/// Reading. Nothing here changes anything anywhere.
pub trait Read {
    /// Who we are.
    fn caller(&self) -> impl Future<Output = Result<Caller, Trouble>>;
    /// The organization we are in.
    fn organization(&self) -> impl Future<Output = Result<Organization, OrganizationError>>;
    /// Its root. Denied to an account that is neither management nor delegated.
    fn root(&self) -> impl Future<Output = Result<Root, Trouble>>;
    /// Every SCP of the organization.
    fn policies(&self) -> impl Future<Output = Result<Vec<PolicySummary>, Trouble>>;
    /// The SCPs attached directly to a target.
    fn attached(
        &self,
        target: &TargetId,
    ) -> impl Future<Output = Result<Vec<PolicySummary>, Trouble>>;
    /// The targets that a policy is attached to.
    fn targets(&self, policy: &PolicyId) -> impl Future<Output = Result<Vec<TargetId>, Trouble>>;
    /// A policy and its content; `None` if there is no such policy.
    fn policy(
        &self,
        policy: &PolicyId,
    ) -> impl Future<Output = Result<Option<(PolicySummary, String)>, Trouble>>;
    /// The tags of a policy.
    fn tags(
        &self,
        policy: &PolicyId,
    ) -> impl Future<Output = Result<BTreeMap<String, String>, Trouble>>;
    /// The accounts under an organizational unit, at any depth.
    fn accounts_under(
        &self,
        unit: &TargetId,
    ) -> impl Future<Output = Result<Vec<AccountId>, Trouble>>;
    /// Every account of the organization that is in use.
    fn active_accounts(&self) -> impl Future<Output = Result<Vec<AccountId>, Trouble>>;
    /// The Identity Center instances that we can see, in every Region.
    fn instances(&self) -> impl Future<Output = Result<Vec<Instance>, Trouble>>;
    /// The user with exactly this username or e-mail address; `None` if there is none.
    fn find_user(
        &self,
        instance: &Instance,
        by: Lookup,
        value: &str,
    ) -> impl Future<Output = Result<Option<UserId>, Trouble>>;
    /// A user by id; `None` if there is none.
    fn user(
        &self,
        instance: &Instance,
        id: &UserId,
    ) -> impl Future<Output = Result<Option<User>, Trouble>>;
    /// The users of a directory, at most this many pages of 100; whether those are all of them.
    fn users(
        &self,
        instance: &Instance,
        pages: usize,
    ) -> impl Future<Output = Result<(Vec<User>, bool), Trouble>>;
    /// The groups that a user is in, each with the membership's own id.
    fn memberships(
        &self,
        instance: &Instance,
        user: &UserId,
    ) -> impl Future<Output = Result<BTreeMap<GroupId, MembershipId>, Trouble>>;
    /// What people call a group; `None` if there is none.
    fn group_name(
        &self,
        instance: &Instance,
        group: &GroupId,
    ) -> impl Future<Output = Result<Option<String>, Trouble>>;
    /// What is assigned to a user or to a group. For a user AWS may or may not list what they inherit.
    fn assignments(
        &self,
        instance: &Instance,
        assignee: &Assignee,
    ) -> impl Future<Output = Result<Vec<Assignment>, Trouble>>;
    /// A permission set.
    fn permission_set(
        &self,
        instance: &Instance,
        arn: &PermissionSetArn,
    ) -> impl Future<Output = Result<PermissionSet, Trouble>>;
    /// Everybody who is assigned a permission set in an account, directly.
    fn assigned(
        &self,
        instance: &Instance,
        account: &AccountId,
        set: &PermissionSetArn,
    ) -> impl Future<Output = Result<Vec<Assignee>, Trouble>>;
    /// The inline policy of a permission set, byte for byte; `None` if it has none.
    fn inline_policy(
        &self,
        instance: &Instance,
        set: &PermissionSetArn,
    ) -> impl Future<Output = Result<Option<String>, Trouble>>;
    /// The roles that account access manager lets a user or a group into, each with the entitlement's own id. `None`
    /// where Identity Center's Region has no account access manager.
    fn entitlements(
        &self,
        instance: &Instance,
        assignee: &Assignee,
    ) -> impl Future<Output = Result<Option<BTreeMap<Entitlement, EntitlementId>>, Trouble>>;
    /// How far a request is that Identity Center does in its own time.
    fn progress(
        &self,
        instance: &Instance,
        request: &Request,
    ) -> impl Future<Output = Result<Progress, Trouble>>;
    /// TEAM's tables of requests that we can see beside Identity Center: DynamoDB tables named
    /// `requests-<26 letters or digits>-<environment>`.
    fn team_tables(
        &self,
        instance: &Instance,
    ) -> impl Future<Output = Result<Vec<String>, Trouble>>;
    /// What a person has asked TEAM for, by their e-mail address, of any status. A table of another account or Region is
    /// named by its ARN.
    fn team_requests(
        &self,
        instance: &Instance,
        table: &str,
        email: &str,
    ) -> impl Future<Output = Result<Vec<TeamRequest>, Trouble>>;
    /// What these users and groups may ask TEAM for, by their ids, from the table of eligibilities beside this table of
    /// requests.
    fn team_eligibility(
        &self,
        instance: &Instance,
        table: &str,
        ids: &[String],
    ) -> impl Future<Output = Result<Vec<TeamEligibility>, Trouble>>;
    /// Whether an account is one of the organization's.
    fn is_member(&self, account: &AccountId) -> impl Future<Output = Result<bool, Trouble>>;
    /// A role, asked in its account; `None` if that has none of this name. [`TroubleKind::Denied`] where the door does not
    /// let us in, or does not let us ask.
    fn role(
        &self,
        door: &Door,
        name: &RoleName,
    ) -> impl Future<Output = Result<Option<Role>, Trouble>>;
    /// The id of an IAM user, asked in their account; `None` if it has none of that name. [`TroubleKind::Denied`] where
    /// the door does not let us in, or does not let us ask.
    fn iam_user_id(
        &self,
        door: &Door,
        name: &IamUserName,
    ) -> impl Future<Output = Result<Option<IamUserId>, Trouble>>;
    /// All there is of an IAM user, likewise.
    fn iam_user(
        &self,
        door: &Door,
        name: &IamUserName,
    ) -> impl Future<Output = Result<Option<IamUser>, Trouble>>;
    /// An inline policy of an IAM user, as it was written; `None` if they have none of that name.
    fn user_policy(
        &self,
        door: &Door,
        user: &IamUserName,
        policy: &str,
    ) -> impl Future<Output = Result<Option<String>, Trouble>>;
    /// What CloudTrail has recorded in an account and Region since a moment, at most so many pages of 50; in our own account
    /// without a door. [`TroubleKind::Denied`] where the door does not let us in, or does not let us ask.
    fn recorded(
        &self,
        door: Option<&Door>,
        region: &Region,
        by: &RecordedBy,
        from: Timestamp,
        pages: usize,
    ) -> impl Future<Output = Result<Recorded, Trouble>>;
    /// The account that an access key is of, whether the key is still there or not.
    fn key_account(&self, key: &AccessKeyId) -> impl Future<Output = Result<AccountId, Trouble>>;
    /// The detectors of our account and Region.
    fn detectors(&self) -> impl Future<Output = Result<Vec<DetectorId>, Trouble>>;
    /// A finding as JSON text for [`crate::signal::read`]; `None` if the detector has no such finding.
    fn finding(
        &self,
        detector: &DetectorId,
        id: &FindingId,
    ) -> impl Future<Output = Result<Option<String>, Trouble>>;
    /// The findings of a detector that were seen last and are not archived, at most 50, newest first, each as
    /// [`Read::finding`] gives it.
    fn recent_findings(
        &self,
        detector: &DetectorId,
    ) -> impl Future<Output = Result<Vec<String>, Trouble>>;
}

/// Reading that a check-up alone needs, and no incident does.
pub trait Inspect {
    /// The Region that is asked.
    fn region(&self) -> Option<Region>;
    /// Every account under a root, the management account among them, unit by unit.
    fn members(&self, root: &TargetId)
    -> impl Future<Output = Result<Vec<MemberAccount>, Trouble>>;
    /// The permission sets that anybody has in an account.
    fn provisioned(
        &self,
        instance: &Instance,
        account: &AccountId,
    ) -> impl Future<Output = Result<Vec<PermissionSetArn>, Trouble>>;
    /// The trails of our account and Region, and those of the organization that are seen from here.
    fn trails(&self) -> impl Future<Output = Result<Vec<Trail>, Trouble>>;
    /// Whether a detector of ours is switched on.
    fn is_enabled(&self, detector: &DetectorId) -> impl Future<Output = Result<bool, Trouble>>;
    /// The ARN of the role or user that we are, which a session's does not tell whole; `None` for a root user and for a
    /// federated one.
    fn identity(&self, caller: &Caller) -> impl Future<Output = Result<Option<String>, Trouble>>;
    /// Whether the policies of a role or user let it do these things to this resource, as IAM's simulator says. Of what
    /// another account must allow too, it knows nothing.
    fn simulated(
        &self,
        identity: &str,
        actions: &[&'static str],
        resource: &str,
    ) -> impl Future<Output = Result<BTreeMap<&'static str, Simulated>, Trouble>>;
    /// Whether a request with these condition keys and no others is let through by these service control policies, level
    /// by level from the root down, as IAM's simulator says; everything else about it is taken to allow it. Never
    /// [`Simulated::DependsOn`]: that a key is missing is part of the question.
    fn simulated_under(
        &self,
        levels: &[Vec<String>],
        keys: &[(&'static str, String)],
        action: &'static str,
    ) -> impl Future<Output = Result<Simulated, Trouble>>;
    /// What Access Analyzer finds in a service control policy, each in its words: kind, code and details.
    fn validated(&self, document: &str) -> impl Future<Output = Result<Vec<String>, Trouble>>;
}

/// Reading whole accounts, which an audit needs and no incident does.
pub trait Audit {
    /// An account that was entered.
    type Inside;
    /// Enters an account; our own without a door. [`TroubleKind::Denied`] where the door does not let us in.
    fn inside(&self, door: Option<&Door>) -> impl Future<Output = Result<Self::Inside, Trouble>>;
    /// Everybody there, and every policy in use.
    fn authorization_details(
        &self,
        inside: &Self::Inside,
    ) -> impl Future<Output = Result<Details, Trouble>>;
    /// The account's credential report; `None` while AWS makes it, which it begins to when it is asked.
    fn credential_report(
        &self,
        inside: &Self::Inside,
    ) -> impl Future<Output = Result<Option<String>, Trouble>>;
    /// The account's password policy; `None` where it has AWS's default.
    fn password_policy(
        &self,
        inside: &Self::Inside,
    ) -> impl Future<Output = Result<Option<PasswordPolicy>, Trouble>>;
    /// Every account of the organization that is in use, each as soon as it is known.
    fn each_active(&self, each: impl FnMut(AccountId))
    -> impl Future<Output = Result<(), Trouble>>;
    /// Every permission set of an instance.
    fn permission_sets(
        &self,
        instance: &Instance,
    ) -> impl Future<Output = Result<Vec<PermissionSetArn>, Trouble>>;
}

/// What a policy is created with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPolicy {
    /// Unique in the organization.
    pub name: String,
    /// At most 512 characters.
    pub description: String,
    /// The document, minified.
    pub content: String,
    /// At most 50, of a restricted alphabet.
    pub tags: BTreeMap<String, String>,
}

/// Why a policy was not created.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CreateError {
    /// A policy of this name exists: also what a lost reply looks like on the second try.
    #[error("a policy of this name exists already")]
    NameTaken,
    /// Anything else.
    #[error(transparent)]
    Trouble(#[from] Trouble),
}

/// Changing. Each is safe to call again: "already so" is success.
pub trait Change {
    /// `organizations:CreatePolicy`.
    fn create_policy(
        &self,
        policy: &NewPolicy,
    ) -> impl Future<Output = Result<PolicySummary, CreateError>>;
    /// `organizations:AttachPolicy`.
    fn attach_policy(
        &self,
        policy: &PolicyId,
        target: &TargetId,
    ) -> impl Future<Output = Result<(), Trouble>>;
    /// `organizations:DetachPolicy`.
    fn detach_policy(
        &self,
        policy: &PolicyId,
        target: &TargetId,
    ) -> impl Future<Output = Result<(), Trouble>>;
    /// `organizations:DeletePolicy`.
    fn delete_policy(&self, policy: &PolicyId) -> impl Future<Output = Result<(), Trouble>>;
    /// `organizations:UpdatePolicy`: the whole document is replaced, whatever it was.
    fn update_policy(
        &self,
        policy: &PolicyId,
        content: &str,
    ) -> impl Future<Output = Result<(), Trouble>>;
    /// `organizations:UntagResource`.
    fn untag_policy(
        &self,
        policy: &PolicyId,
        keys: &[String],
    ) -> impl Future<Output = Result<(), Trouble>>;
    /// `organizations:TagResource`.
    fn tag_policy(
        &self,
        policy: &PolicyId,
        tags: &BTreeMap<String, String>,
    ) -> impl Future<Output = Result<(), Trouble>>;
}

/// A SCIM endpoint of Identity Center's, and the token for it.
#[derive(Debug, Clone)]
pub struct Scim {
    /// `https://scim.<region>.amazonaws.com/<tenant>/scim/v2/`.
    pub endpoint: String,
    /// The bearer token.
    pub token: Secret,
}

/// A text that is never shown.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// Takes it.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The text, for the one place that sends it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("…")
    }
}

/// Changing who can enter what. Each is safe to call again; those that Identity Center does in its own time say how far
/// they are, and [`Read::progress`] is asked after that.
pub trait ChangeAccess {
    /// `sso:DeleteAccountAssignment`, of the user alone: what their groups are assigned is not touched.
    fn delete_assignment(
        &self,
        instance: &Instance,
        assignment: &Assignment,
    ) -> impl Future<Output = Result<Progress, Trouble>>;
    /// `sso:CreateAccountAssignment`.
    fn create_assignment(
        &self,
        instance: &Instance,
        assignment: &Assignment,
    ) -> impl Future<Output = Result<Progress, Trouble>>;
    /// `identitystore:DeleteGroupMembership`.
    fn delete_membership(
        &self,
        instance: &Instance,
        membership: &MembershipId,
    ) -> impl Future<Output = Result<(), Trouble>>;
    /// `identitystore:CreateGroupMembership`.
    fn create_membership(
        &self,
        instance: &Instance,
        group: &GroupId,
        user: &UserId,
    ) -> impl Future<Output = Result<(), Trouble>>;
    /// `account-access:DeleteEntitlement`.
    fn delete_entitlement(
        &self,
        instance: &Instance,
        entitlement: &Entitlement,
        id: &EntitlementId,
    ) -> impl Future<Output = Result<(), Trouble>>;
    /// `account-access:CreateEntitlement`, for the user.
    fn create_entitlement(
        &self,
        instance: &Instance,
        entitlement: &Entitlement,
        user: &UserId,
    ) -> impl Future<Output = Result<(), Trouble>>;
    /// `sso:PutInlinePolicyToPermissionSet`, or `sso:DeleteInlinePolicyFromPermissionSet` for none: the whole document is
    /// replaced. It binds nobody before it is provisioned.
    fn set_inline_policy(
        &self,
        instance: &Instance,
        set: &PermissionSetArn,
        content: Option<&str>,
    ) -> impl Future<Output = Result<(), Trouble>>;
    /// `sso:ProvisionPermissionSet`, to one account.
    fn provision(
        &self,
        instance: &Instance,
        set: &PermissionSetArn,
        account: &AccountId,
    ) -> impl Future<Output = Result<Progress, Trouble>>;
    /// `identitystore:DeleteUser`. Cannot be undone: a new user has a new id.
    fn delete_user(
        &self,
        instance: &Instance,
        user: &UserId,
    ) -> impl Future<Output = Result<(), Trouble>>;
    /// SCIM's `PATCH active=false`: the user is disabled, until the identity provider's next synchronization says otherwise.
    fn deactivate(&self, scim: &Scim, user: &UserId) -> impl Future<Output = Result<(), Trouble>>;
    /// Sets a request of TEAM's to `revoked` in its table, which is how its own revocation starts.
    fn revoke_team_request(
        &self,
        instance: &Instance,
        table: &str,
        request: &str,
        by: &str,
    ) -> impl Future<Output = Result<(), Trouble>>;
}

/// Changing an IAM user, in their account. Each is safe to call again.
pub trait ChangeUser {
    /// `iam:UpdateAccessKey`.
    fn set_access_key(
        &self,
        door: &Door,
        user: &IamUserName,
        key: &AccessKeyId,
        active: bool,
    ) -> impl Future<Output = Result<(), Trouble>>;
    /// `iam:DeleteLoginProfile`. Cannot be undone: nobody but the user knows the password.
    fn delete_login_profile(
        &self,
        door: &Door,
        user: &IamUserName,
    ) -> impl Future<Output = Result<(), Trouble>>;
    /// `iam:PutUserPolicy`: the whole inline policy of that name is replaced.
    fn put_user_policy(
        &self,
        door: &Door,
        user: &IamUserName,
        policy: &str,
        content: &str,
    ) -> impl Future<Output = Result<(), Trouble>>;
    /// `iam:DeleteUserPolicy`.
    fn delete_user_policy(
        &self,
        door: &Door,
        user: &IamUserName,
        policy: &str,
    ) -> impl Future<Output = Result<(), Trouble>>;
}

/// Why a canary session was not minted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MintError {
    /// The role is not there or does not trust us; asking again will not help.
    #[error("{0}")]
    NoWay(String),
    /// Anything that may pass.
    #[error(transparent)]
    Trouble(#[from] Trouble),
}

/// How a probe ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Probed {
    /// AWS answered it.
    Allowed,
    /// AWS refused it.
    Refused {
        /// The policy that AWS names, if it names one.
        policy: Option<PolicyArn>,
        /// Whether AWS says that a service control policy refused explicitly.
        by_scp: bool,
    },
    /// The session has expired: mint another.
    SessionExpired,
    /// No answer; the reason.
    NoAnswer(String),
}

/// Minting sessions that the deny must refuse, and asking as them.
pub trait Canaries {
    /// A session that can be asked as.
    type Session;
    /// The Region that is asked where none is named.
    fn region(&self) -> Option<Region>;
    /// `sts:AssumeRole` for 900 s with a session policy that allows these questions only. A source identity can be set where the
    /// role's trust policy allows `sts:SetSourceIdentity`.
    fn mint(
        &self,
        account: &AccountId,
        role: &RoleName,
        session: &SessionName,
        source_identity: Option<&SessionName>,
        asks: &[Ask],
    ) -> impl Future<Output = Result<Self::Session, MintError>>;
    /// Asks one of them.
    fn probe(&self, session: &Self::Session, ask: &Ask) -> impl Future<Output = Probed>;
}

/// Asking what a guardrail must refuse, in a way that changes nothing where it is allowed.
pub trait AskGuarded: Canaries {
    /// `sts:AssumeRole` for 900 s with a session policy that allows `iam:CreateLoginProfile` for one user, whom no account
    /// has, and nothing else.
    fn mint_guarded(
        &self,
        account: &AccountId,
        role: &RoleName,
        session: &SessionName,
        user: &IamUserName,
    ) -> impl Future<Output = Result<Self::Session, MintError>>;
    /// Asks for that user's password. Allowed is whatever comes after the policies: that there is no such user.
    fn probe_guarded(
        &self,
        session: &Self::Session,
        user: &IamUserName,
    ) -> impl Future<Output = Probed>;
}

/// AWS's clock.
pub trait Clock {
    /// Now, as AWS's answers date it.
    fn now(&self) -> Timestamp;
    /// Waits.
    fn sleep(&self, duration: SignedDuration) -> impl Future<Output = ()>;
}

/// The whole world, as the composition root hands it to the verbs.
pub trait Cloud {
    /// Reads.
    type Read: Read + Inspect + Audit;
    /// Changes.
    type Change: Change + ChangeAccess + ChangeUser;
    /// Mints.
    type Canaries: AskGuarded;
    /// Tells the time.
    type Clock: Clock;
    /// The reading capability.
    fn read(&self) -> &Self::Read;
    /// The changing capability.
    fn change(&self) -> &Self::Change;
    /// The minting capability.
    fn canaries(&self) -> &Self::Canaries;
    /// The clock.
    fn clock(&self) -> &Self::Clock;
    /// The host that answered, when it is not AWS: then everything is PRACTICE.
    fn practice(&self) -> Option<String>;
    /// A host of AWS's and one that is none, when both answered: then nothing may be called practice, and nothing
    /// proven.
    fn mixed(&self) -> Option<(String, String)>;
}
