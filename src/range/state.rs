//! What is in a practice organization.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::ids::*;
use crate::policy::document::{Document, DocumentError};
use crate::range::Call;
use crate::range::access::Access;
pub use crate::range::clock::{Actor, Calls, Ended, Sighting, What};
use crate::range::directory::orders::Order;
use crate::range::estate::Estate;
use crate::range::guards::Trail;
use crate::range::team::Team;
use crate::range::trails::Trails;
use crate::range::users::IamUser;
use crate::rates::Rate;

/// The organization, its directory, everybody's sessions, and what was called. A copy goes its own way: many ends of one
/// beginning.
#[derive(Debug, Clone)]
pub struct State {
    /// The time there.
    pub now: Timestamp,
    /// `o-…`.
    pub organization: OrganizationId,
    /// The account without SCPs.
    pub management: AccountId,
    /// `r-…`.
    pub root: TargetId,
    /// False for consolidated billing.
    pub all_features: bool,
    /// False where no organization was ever made.
    pub exists: bool,
    /// Whether the SCP type is on.
    pub scps_enabled: bool,
    /// Organizational units, with their parents.
    pub units: BTreeMap<TargetId, Unit>,
    /// Accounts, the management account among them.
    pub accounts: BTreeMap<AccountId, Account>,
    /// SCPs.
    pub policies: BTreeMap<PolicyId, Policy>,
    /// What is attached where, in order.
    pub attachments: BTreeMap<TargetId, Vec<PolicyId>>,
    /// Accounts that may manage policies beside the management account.
    pub delegated: BTreeSet<AccountId>,
    /// Identity Center.
    pub directory: Directory,
    /// Account access manager.
    pub access: Access,
    /// Who is signed in at the access portal, by the session's token. Removing one ends it, and no role session.
    pub portals: BTreeMap<String, UserId>,
    /// TEAM, where somebody has installed it.
    pub team: Option<Team>,
    /// CloudTrail's trails.
    pub trails: Vec<Trail>,
    /// Accounts that AWS has suspended: nobody gets in.
    pub suspended: BTreeSet<AccountId>,
    /// What IAM has in each account beside users and roles; an account that is not here has nothing wrong with it.
    pub estates: BTreeMap<AccountId, Estate>,
    /// Whether GuardDuty's detectors are suspended.
    pub detectors_off: bool,
    /// GuardDuty: detectors with their findings.
    pub detectors: BTreeMap<DetectorId, BTreeMap<String, Value>>,
    /// Everybody who can sign a request, by access key.
    pub sessions: BTreeMap<String, Session>,
    /// The session policies that roles were assumed with, by their text: thousands of canaries bring the same.
    pub session_policies: BTreeMap<String, Arc<Document>>,
    /// Every call that arrived, but for the actors'.
    pub calls: Vec<Call>,
    /// CloudTrail's records of every account.
    pub records: Trails,
    /// Whether calls are recorded, there and in `calls`; to be set before the first. A hundred thousand canaries fill the
    /// machine with records that nobody reads.
    pub recording: bool,
    /// Whether AWS's published rates are kept.
    pub throttles: bool,
    /// What is left of each allowance, and when that was so.
    pub allowances: BTreeMap<&'static str, (Timestamp, f64)>,
    /// Mishaps to come.
    pub mishaps: Vec<Mishap>,
    /// Who calls by themselves as time passes.
    pub actors: Vec<Actor>,
    /// What they saw: the observer's record, by which a drill is graded.
    pub seen: Vec<Sighting>,
    /// What will happen by itself, by moment and then in the order it was arranged in ([`State::later`]).
    pub agenda: BTreeMap<(Timestamp, u64), What>,
    /// The ids (`AROA…`) of reserved roles that were deleted: their sessions are refused everything (aws-facts §11).
    pub gone: BTreeSet<String>,
    /// Where ids come from.
    pub dice: fastrand::Rng,
    /// What each moment's policies were: an account goes by an older moment than now.
    history: Vec<(Timestamp, Arc<Enforced>)>,
}

/// An organizational unit.
#[derive(Debug, Clone)]
pub struct Unit {
    /// For people.
    pub name: String,
    /// A unit or the root.
    pub parent: TargetId,
}

/// An account.
#[derive(Debug, Clone)]
pub struct Account {
    /// For people.
    pub name: String,
    /// A unit or the root.
    pub parent: TargetId,
    /// How long a change of policies takes to reach it.
    pub delay: SignedDuration,
    /// Its roles.
    pub roles: BTreeMap<String, Role>,
    /// Its IAM users.
    pub users: BTreeMap<String, IamUser>,
}

/// A role.
#[derive(Debug, Clone)]
pub struct Role {
    /// `AROA…`.
    pub id: RoleId,
    /// `/` or a longer path.
    pub path: String,
    /// Whose principals may assume it.
    pub trusts: BTreeSet<AccountId>,
    /// The service that may, if one does: `ec2.amazonaws.com`.
    pub service: Option<&'static str>,
    /// The inline policy of its permission set as it was last provisioned; `None` for a role that is of no set, or of
    /// a set without one.
    pub inline: Option<Inline>,
}

/// An inline policy, of a permission set, of its role or of an IAM user.
#[derive(Debug, Clone, PartialEq)]
pub struct Inline {
    /// As it came.
    pub text: String,
    /// As it is read.
    pub document: Arc<Document>,
}

impl Inline {
    /// Reads one.
    ///
    /// # Errors
    /// [`DocumentError`] when it is no policy document.
    pub fn parse(text: &str) -> Result<Self, DocumentError> {
        Ok(Self {
            text: text.to_owned(),
            document: Arc::new(Document::parse(text)?),
        })
    }
}

/// An SCP.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Unique.
    pub name: String,
    /// Free text.
    pub description: String,
    /// As it came.
    pub content: String,
    /// As it is read.
    pub document: Arc<Document>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// AWS's own.
    pub aws_managed: bool,
}

/// The policies of one moment.
#[derive(Debug, Default)]
pub struct Enforced {
    /// Documents with names and ids.
    pub policies: BTreeMap<PolicyId, (String, Arc<Document>)>,
    /// What is attached where.
    pub attachments: BTreeMap<TargetId, Vec<PolicyId>>,
}

/// Identity Center.
#[derive(Debug, Clone)]
pub struct Directory {
    /// `arn:aws:sso:::instance/…`.
    pub instance: InstanceArn,
    /// `d-…`.
    pub store: IdentityStoreId,
    /// Where it lives.
    pub region: Region,
    /// Whether a member account has an instance of its own, which is listed first.
    pub account_instance: bool,
    /// Its users.
    pub users: BTreeMap<UserId, User>,
    /// Its groups, by id.
    pub groups: BTreeMap<GroupId, String>,
    /// Its permission sets.
    pub sets: BTreeMap<PermissionSetArn, PermissionSet>,
    /// Who has which set in which account.
    pub assignments: Vec<Assignment>,
    /// What was asked for and takes its time, oldest first; those that ended are kept for a while to be asked about.
    pub orders: Vec<Order>,
}

/// A user.
#[derive(Debug, Clone, Default)]
pub struct User {
    /// As the directory spells it.
    pub username: String,
    /// Primary.
    pub email: String,
    /// Groups they are in.
    pub groups: BTreeSet<GroupId>,
    /// Whether their access was switched off. It ends no session that they have (aws-facts §2).
    pub disabled: bool,
    /// The identity provider that provisioned them, if one did: the issuer in their `ExternalIds`.
    pub external: Option<String>,
}

/// A permission set.
#[derive(Debug, Clone)]
pub struct PermissionSet {
    /// For people, and in its role's name.
    pub name: String,
    /// ISO 8601, or not set.
    pub duration: Option<String>,
    /// Its inline policy. It binds in an account once it was provisioned there ([`Role::inline`]).
    pub inline: Option<Inline>,
}

/// One assignment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// Where.
    pub account: AccountId,
    /// What.
    pub set: PermissionSetArn,
    /// `USER` or `GROUP`.
    pub kind: &'static str,
    /// A user's or group's id.
    pub principal: String,
}

/// Somebody who can sign requests.
#[derive(Debug, Clone)]
pub struct Session {
    /// Where they are.
    pub account: AccountId,
    /// `arn:aws:sts::…:assumed-role/…` or an IAM user's.
    pub arn: String,
    /// `aws:PrincipalArn`: the role's or the user's.
    pub principal_arn: String,
    /// `aws:userid`.
    pub user_id: String,
    /// `aws:SourceIdentity`.
    pub source_identity: Option<String>,
    /// `identitystore:UserId`.
    pub directory_user: Option<UserId>,
    /// When it was given out; `None` for a long-term key.
    pub issued: Option<Timestamp>,
    /// When it ends; `None` for a long-term key.
    pub expires: Option<Timestamp>,
    /// The session token that must come with it; `None` for a long-term key.
    pub token: Option<String>,
    /// The session policy, if it was minted with one.
    pub policy: Option<Arc<Document>>,
    /// The IAM user of the account whose policies bind it: of whom it is a key, or who made the session; `None` for
    /// roles, and for the operator, who is no user that the account knows of.
    pub behind: Option<String>,
    /// `aws:AssumedRoot`: whether it is a centralized session of a root user (`sts:AssumeRoot`).
    pub assumed_root: bool,
}

/// Something that will go wrong.
#[derive(Debug, Clone)]
pub struct Mishap {
    /// `organizations:AttachPolicy`.
    pub action: String,
    /// How often.
    pub times: u32,
    /// What.
    pub what: Wrong,
}

/// What goes wrong with a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wrong {
    /// AWS refuses with this error; nothing was done.
    Error {
        /// HTTP status.
        status: u16,
        /// The error's code.
        code: String,
    },
    /// It is done, and the connection breaks before the answer.
    LoseAnswer,
    /// It is done, and something else's page comes back.
    GarbleAnswer,
    /// The connection breaks before anything is done.
    LoseRequest,
}

impl State {
    /// An organization with nothing in it but its root and `FullAWSAccess`.
    pub fn empty(
        management: AccountId,
        directory: Directory,
        organization: OrganizationId,
        root: TargetId,
        now: Timestamp,
        seed: u64,
    ) -> Self {
        let mut state = Self {
            now,
            organization,
            management,
            root,
            all_features: true,
            exists: true,
            scps_enabled: true,
            units: BTreeMap::new(),
            accounts: BTreeMap::new(),
            policies: BTreeMap::new(),
            attachments: BTreeMap::new(),
            delegated: BTreeSet::new(),
            directory,
            access: Access::default(),
            portals: BTreeMap::new(),
            team: None,
            trails: vec![Trail::sound()],
            suspended: BTreeSet::new(),
            estates: BTreeMap::new(),
            detectors_off: false,
            detectors: BTreeMap::new(),
            sessions: BTreeMap::new(),
            session_policies: BTreeMap::new(),
            calls: Vec::new(),
            records: Trails::new(seed),
            recording: true,
            throttles: false,
            allowances: BTreeMap::new(),
            mishaps: Vec::new(),
            actors: Vec::new(),
            seen: Vec::new(),
            agenda: BTreeMap::new(),
            gone: BTreeSet::new(),
            dice: fastrand::Rng::with_seed(seed),
            history: Vec::new(),
        };
        state.policies_changed();
        state
    }

    /// To be called after every change of policies or attachments: from now on accounts begin to see it.
    pub fn policies_changed(&mut self) {
        let policies = self
            .policies
            .iter()
            .map(|(id, policy)| (id.clone(), (policy.name.clone(), policy.document.clone())));
        let enforced = Enforced {
            policies: policies.collect(),
            attachments: self.attachments.clone(),
        };
        self.history.push((self.now, Arc::new(enforced)));
    }

    /// Whether this call comes too fast: each row of the published tables is a bucket of its burst, which its rate flows
    /// into.
    pub fn is_too_fast(&mut self, rate: Rate) -> bool {
        // What each account has of its own is counted where the account is known.
        if rate.by_account || !self.throttles {
            return false;
        }
        let (burst, now) = (f64::from(rate.burst), self.now);
        let (since, left) = self.allowances.entry(rate.row).or_insert((now, burst));
        rate.is_spent(since, left, now)
    }

    /// Forgets every earlier moment: what is attached now has always been.
    pub fn settle(&mut self) {
        self.history.clear();
        self.policies_changed();
    }

    /// The policies that an account goes by now.
    pub fn enforced_in(&self, account: &AccountId) -> Option<Arc<Enforced>> {
        let delay = self
            .accounts
            .get(account)
            .map_or(SignedDuration::ZERO, |account| account.delay);
        let visible = self
            .history
            .iter()
            .rev()
            .find(|(at, _)| *at + delay <= self.now);
        visible
            .or(self.history.first())
            .map(|(_, enforced)| enforced.clone())
    }

    /// The path of an account: root, units, account.
    pub fn path_of(&self, account: &AccountId) -> Vec<TargetId> {
        let mut path = vec![TargetId::from(account.clone())];
        let mut at = self
            .accounts
            .get(account)
            .map(|account| account.parent.clone());
        while let Some(target) = at {
            at = self.units.get(&target).map(|unit| unit.parent.clone());
            path.push(target);
        }
        path.reverse();
        path
    }

    /// Whether a policy can be attached to it.
    pub fn has_target(&self, target: &TargetId) -> bool {
        *target == self.root
            || self.units.contains_key(target)
            || target
                .account()
                .is_some_and(|account| self.accounts.contains_key(&account))
    }

    /// A new temporary access key.
    pub fn new_key(&mut self) -> String {
        format!("ASIA{}", self.draw(16, b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"))
    }

    /// Some characters of an alphabet.
    pub fn draw(&mut self, length: usize, alphabet: &[u8]) -> String {
        let dice = &mut self.dice;
        (0..length)
            .filter_map(|_| dice.choice(alphabet))
            .map(|byte| char::from(*byte))
            .collect()
    }

    /// What happens to the next call of this action, if anything was arranged.
    pub fn mishap(&mut self, action: &str) -> Option<Wrong> {
        let mishap = self
            .mishaps
            .iter_mut()
            .find(|mishap| mishap.action == action && mishap.times > 0)?;
        mishap.times -= 1;
        Some(mishap.what.clone())
    }
}
