//! What started it: a finding in any of its forms, a record of CloudTrail, or what an operator typed, read into the
//! suspects that it names.
//!
//! Arrives: bytes that a stranger wrote. Leaves: [`Finding`]s, each with those whom it accuses ([`Accused`]) or the reason
//! why nobody in it can be contained ([`Nobody`]). Goes wrong: [`ReadError`], which says where in the text.
//!
//! The forms differ by tool, not by meaning. First comes off what is around them (gzip, JSON lines, lists,
//! EventBridge, SNS and SQS); then each has a reader of its own: GuardDuty's finding as `GetFindings`, the CLI or an event
//! writes it, Security Hub's ASFF, OCSF, CloudTrail's record. All of them end in one claim of who it is, which alone decides
//! what suspect that makes. Keys are compared without case, because tools disagree on it and mix it within one text;
//! values never are. What becomes an identifier passes [`crate::ids`] first, and the rest is bounded here and shown only
//! through the report's cleaning.
//!
//! Whatever the text is, reading it ends, within [`MOST_BYTES`] of text and [`MOST_MEMORY`] of values.

mod envelope;

mod field;

mod claim;

mod guardduty;

mod securityhub;

mod ocsf;

mod cloudtrail;

pub mod operator;

use jiff::Timestamp;
use serde::Serialize;

use crate::ids::*;

pub use envelope::read;

/// The most of a text, also after it was inflated. A page of 50 findings has under one; what is larger is a mistake or
/// an attack on our memory.
pub const MOST_BYTES: usize = 10 * 1024 * 1024;

/// The most memory, in bytes, that the values of a text may take: a thousand findings need about half of it.
pub const MOST_MEMORY: usize = 128 * 1024 * 1024;

/// The most findings in a text.
pub const MOST_FINDINGS: usize = 5_000;

/// The most actors or resources of one finding.
const MOST_ACCUSED: usize = 100;

/// The longest text that is kept of a field which is only shown.
const MOST_TEXT: usize = 200;

/// At most as much of a text as is kept of a field which is only shown.
pub fn shortened(text: &str) -> String {
    shorten(text, MOST_TEXT)
}

/// One finding, as far as quell needs it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
    /// In which form it came.
    pub form: Form,
    /// The finding's id, as text: masked and test findings carry things that are no ids.
    pub id: String,
    /// `UnauthorizedAccess:IAMUser/TorIPCaller` and the like; of a record, what was called.
    #[serde(rename = "type")]
    pub kind: String,
    /// GuardDuty's severity, 1.0 to 10.0. A form that has words alone gives the least of what GuardDuty calls so.
    pub severity: Option<f64>,
    /// The account it is about.
    pub account: Option<AccountId>,
    /// The Region that raised it.
    pub region: Option<Region>,
    /// When the activity was last seen.
    pub last_seen: Option<Timestamp>,
    /// Where the calls came from.
    pub remote_ip: Option<String>,
    /// What was called, `s3.amazonaws.com ListBuckets`.
    pub call: Option<String>,
    /// Whether it says of itself that it is a sample, or its principal does: nobody did anything then.
    pub sample: bool,
    /// Whom it accuses.
    pub who: Who,
}

/// The forms that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// GuardDuty's own.
    GuardDuty,
    /// Security Hub's ASFF.
    SecurityHub,
    /// OCSF: Security Hub's of 2025 and after, Security Lake's.
    Ocsf,
    /// A record of a call.
    CloudTrail,
}

/// Whom a finding accuses.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Who {
    /// At least one AWS principal.
    Suspects(Vec<Accused>),
    /// No AWS principal that a deny could name.
    Nobody(Nobody),
}

/// Somebody whom a finding accuses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Accused {
    /// Who.
    pub whom: Whom,
    /// Where the finding says so, as in `$.detail.resource.accessKeyDetails.principalId`.
    pub from: String,
    /// How sure that is.
    pub sure: Sure,
}

impl Accused {
    /// The suspect, if nobody has to be asked who it is.
    pub fn suspect(self) -> Option<Suspect> {
        match self.whom {
            Whom::Suspect(suspect) => Some(suspect),
            Whom::Unresolved(_) => None,
        }
    }
}

/// How sure it is who somebody is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Sure {
    /// A description tells it, which is made for people.
    Told,
    /// A name alone, which somebody else may have had or may get.
    Name,
    /// An id that never changes and is nobody else's.
    Id,
}

/// Somebody, as far as a signal tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Whom {
    /// A claim that can be surveyed.
    Suspect(Suspect),
    /// Not yet.
    Unresolved(Unresolved),
}

/// Somebody whom CloudTrail's records alone can tell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Unresolved {
    /// Whoever signs with this key.
    AccessKey {
        /// The key.
        key: AccessKeyId,
        /// The account that it is of, where the signal says so.
        account: Option<AccountId>,
    },
    /// A session of a role whose id is not known, as the ARN of an assumed role names it.
    Session {
        /// The account of the role.
        account: AccountId,
        /// The role's name.
        role: RoleName,
        /// The session's name.
        session: SessionName,
    },
}

/// A claim of who it is, before AWS was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Suspect {
    /// An Identity Center user whom the operator named: a username, an e-mail address or a user id.
    Named {
        /// As typed.
        name: String,
    },
    /// A session of a permission set's role: an Identity Center user, whose username is the session's name.
    PermissionSetSession {
        /// The name of the session.
        session: SessionName,
        /// The role's unique id.
        role_id: RoleId,
        /// The role's name, `AWSReservedSSO_<permission set>_<suffix>`.
        role: String,
        /// The account of the session, if the finding has a proper one.
        account: Option<AccountId>,
    },
    /// A session of any other role.
    RoleSession {
        /// The name of the session.
        session: SessionName,
        /// The role's unique id.
        role_id: RoleId,
        /// The role's name; empty where only the id is known.
        role: String,
        /// The account of the session, if the finding has a proper one.
        account: Option<AccountId>,
    },
    /// A whole role: every session of it.
    Role {
        /// The account that it is in, where it is known.
        account: Option<AccountId>,
        /// The role's name; empty where only the id is known.
        role: String,
        /// The role's unique id, where it is known.
        role_id: Option<RoleId>,
    },
    /// An IAM user.
    IamUser {
        /// `AIDA…`, if the claim has it.
        principal_id: Option<IamUserId>,
        /// The user's name.
        name: IamUserName,
        /// The account that they are in, if the finding has a proper one.
        account: Option<AccountId>,
    },
    /// The root user of an account.
    Root {
        /// The account, if the finding has a proper one.
        account: Option<AccountId>,
    },
    /// A `GetFederationToken` user.
    FederatedUser {
        /// `<account>:<name>`, its `aws:userid`.
        principal_id: String,
    },
}

impl Suspect {
    /// Whether they are denied by ids alone: no directory and no list of users has them.
    pub fn is_exact(&self) -> bool {
        match self {
            Suspect::RoleSession { .. }
            | Suspect::Role { .. }
            | Suspect::Root { .. }
            | Suspect::FederatedUser { .. } => true,
            Suspect::Named { .. }
            | Suspect::PermissionSetSession { .. }
            | Suspect::IamUser { .. } => false,
        }
    }

    /// The account that they act in, where the claim says it.
    pub fn account(&self) -> Option<AccountId> {
        match self {
            Suspect::Named { .. } => None,
            Suspect::PermissionSetSession { account, .. }
            | Suspect::RoleSession { account, .. }
            | Suspect::Role { account, .. }
            | Suspect::IamUser { account, .. }
            | Suspect::Root { account } => account.clone(),
            Suspect::FederatedUser { principal_id } => {
                let (account, _) = principal_id.split_once(':')?;
                AccountId::parse(account).ok()
            }
        }
    }
}

/// Why a finding accuses nobody whom an SCP could deny.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum Nobody {
    /// `CreateSampleFindings` or its like made it up.
    #[error("it is a GuardDuty sample: its principal does not exist, or did nothing")]
    Sample,
    /// A user of a database.
    #[error("it accuses a database user, who is not an AWS principal")]
    DatabaseUser,
    /// A user of a Kubernetes cluster.
    #[error("it accuses a Kubernetes user, who is not an AWS principal")]
    KubernetesUser,
    /// Whoever signed nothing.
    #[error("it accuses an anonymous caller, who is no principal at all")]
    Anonymous,
    /// Network activity of an instance.
    #[error("it is about an instance's network activity and names no AWS principal")]
    Instance,
    /// A container, a task or a function.
    #[error("it is about a container, a task or a function and names no AWS principal")]
    Workload,
    /// A service of AWS's own.
    #[error("the caller is an AWS service, which no service control policy denies")]
    Service,
    /// Somebody in an account whose records these are not.
    #[error("the caller is known as an account alone, and a whole account is nobody to deny")]
    WholeAccount,
    /// Somebody who signs in with another provider, before there is a session.
    #[error("the caller is signing in through an identity provider and is no AWS principal yet")]
    SigningIn,
    /// Nothing in it names anybody.
    #[error("it names no AWS principal")]
    Unnamed,
    /// A principal is named, but not by anything that AWS could have issued.
    #[error("its principal cannot be real: at {path}, {why}")]
    NotReal {
        /// Where in the finding.
        path: String,
        /// What is wrong with it.
        why: String,
    },
}

impl Nobody {
    /// What to do instead, a full sentence.
    pub fn instead(&self) -> &'static str {
        match self {
            Nobody::Sample => {
                "To practise with a whole organization, run `quell drill`; to go on with a sample that names somebody, add \
                 `--allow-sample`."
            }
            Nobody::DatabaseUser => {
                "Lock the user in the database itself and close its security group."
            }
            Nobody::KubernetesUser => {
                "Remove the subject's role bindings in the cluster, and rotate its tokens."
            }
            Nobody::Anonymous => {
                "Close what is open to everybody: the bucket's policy and Block Public Access, or the cluster's anonymous \
                 bindings."
            }
            Nobody::Instance => {
                "Isolate the instance with its security groups; if its role's credentials left it, GuardDuty raises an \
                 InstanceCredentialExfiltration finding, which names the session."
            }
            Nobody::Workload => {
                "Stop the task, or isolate the pod or the function; sessions of its role are contained by their finding, or \
                 with `quell contain <ARN of the role>`."
            }
            Nobody::Service => {
                "Change what lets the service act: the resource's policy, or the role that it was given."
            }
            Nobody::WholeAccount => {
                "Find the caller in that account's own CloudTrail, then run `quell contain <ARN or username>`."
            }
            Nobody::SigningIn => {
                "Lock the person at the identity provider, then contain the session that this call gave out: its ARN is in \
                 the record's `assumedRoleUser`."
            }
            Nobody::Unnamed => {
                "Find the principal in CloudTrail, then run `quell contain <username>`."
            }
            Nobody::NotReal { .. } => {
                "Fetch the finding afresh (`quell signal read` shows what is understood), or name the user yourself: \
                 `quell contain <username>`."
            }
        }
    }
}

/// A text that is not a finding.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// Nothing in it.
    #[error("the finding is empty")]
    Empty,
    /// Over [`MOST_BYTES`].
    #[error("the finding has over {} MiB; a page of 50 findings has under 1", MOST_BYTES / 1024 / 1024)]
    TooLarge,
    /// Over [`MOST_BYTES`], once inflated.
    #[error("the finding has over {} MiB once it is inflated; a page of 50 findings has under 1", MOST_BYTES / 1024 / 1024)]
    TooLargeInside,
    /// It begins like gzip, and is none.
    #[error("the finding is not sound gzip: {0}")]
    NotGzip(String),
    /// Not text.
    #[error("the finding is not UTF-8 text: the byte at {0} begins no character")]
    NotText(usize),
    /// Not JSON.
    #[error("the finding is not JSON: {0}")]
    NotJson(String),
    /// A list of findings without any.
    #[error("the list holds no finding")]
    NoFindings,
    /// More than any tool writes.
    #[error(
        "at {0}: more than {MOST_FINDINGS} findings in a text, or {MOST_ACCUSED} actors or resources in one"
    )]
    TooMany(String),
    /// JSON, but something else; the text says what.
    #[error("{0}")]
    NotAFinding(String),
    /// A field that is there twice, in different case: which one counts is for whoever wrote it to say.
    #[error("at {0}: it is there twice, in different case")]
    Twice(String),
    /// A field of another type than every finding has there.
    #[error("at {path}: expected {expected}")]
    WrongType {
        /// Where in the text.
        path: String,
        /// What should be there.
        expected: &'static str,
    },
}
