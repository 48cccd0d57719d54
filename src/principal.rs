//! Who it is: the suspect's claim and the directory's answer, joined into one principal.
//!
//! Arrives: a [`Suspect`] and the [`Facts`]. Leaves: a [`Principal`] with every spelling of its session name, every
//! account it can reach and how long a session of it can live. Goes wrong: [`NotCovered`], a principal that this
//! version cannot contain yet.
//!
//! Spellings come from `DescribeUser` and from the finding, never from what was typed (R2): session names are
//! compared with case by AWS, and the directory looks usernames up in ways that AWS does not document.

pub mod exact;

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::facts::{Directory, Facts, Known, PermissionSet, is_persons};
use crate::ids::*;
use crate::signal::Suspect;

use exact::Exact;

/// The longest session that Identity Center can give: a permission set's duration is 1 to 12 hours (aws-facts §10).
/// It is what we wait when anything is unknown.
pub const LONGEST_SESSION: SignedDuration = SignedDuration::from_hours(12);

/// A session chained from another lives at most an hour (aws-facts §2), so no shorter wait is ever enough.
pub const CHAINED_SESSION: SignedDuration = SignedDuration::from_hours(1);

/// The longest session that an IAM user can get for themselves or for somebody they vouch for (aws-facts §10).
pub const LONGEST_OF_IAM_USER: SignedDuration = SignedDuration::from_hours(36);

/// Somebody who can be contained, resolved: an Identity Center user, an IAM user, or whoever is denied by ids alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Principal {
    /// What people call them: the directory's spelling, or the session's name when the directory has lost them; of an IAM
    /// user, an ARN; of whoever is denied by ids alone, what [`Exact`] says.
    pub username: Username,
    /// The immutable id, which most statements of proof prefer.
    pub user_id: Known<UserId>,
    /// Every name that a session of theirs can have.
    pub session_names: BTreeSet<SessionName>,
    /// Set when the username cannot be a session name, with the reason: then the UserId statement carries the load.
    pub unspellable: Option<String>,
    /// The accounts they can enter.
    pub reach: BTreeSet<AccountId>,
    /// Set when AWS did not tell what they can enter, with the reason: then the accounts above are only some of them.
    pub reach_unknown: Option<String>,
    /// Whether the management account, where no SCP applies, is among what they can enter (R16).
    pub reaches_management: bool,
    /// How long a session of theirs can live.
    pub session: SessionLife,
    /// Set for an IAM user.
    pub iam_user: Option<IamPrincipal>,
    /// Set for whoever is denied by ids alone.
    pub exact: Option<Exact>,
}

/// What an IAM user is, beside the names of their sessions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct IamPrincipal {
    /// Their account.
    pub account: AccountId,
    /// Their name there.
    pub name: IamUserName,
    /// The immutable id.
    pub id: Known<IamUserId>,
}

/// What people call an IAM user: an ARN without the user's path, which findings do not have. The name is unique in the
/// account without it. `quell contain` takes it as it stands.
pub fn username_of(partition: &str, account: &AccountId, name: &IamUserName) -> Username {
    Username::new(format!("arn:{partition}:iam::{account}:user/{name}"))
}

/// Whom a deny refuses, by the keys that can name them (design §5). Every text in it is of an alphabet without
/// wildcards, so nothing in a document that is written from it needs an escape.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Identity {
    /// A person of the directory: their id, and every name a session of theirs can have.
    IdentityCenterUser {
        /// The immutable id, where the directory has one.
        user_id: Option<UserId>,
        /// Also the source identities that a chained session of theirs could carry.
        session_names: BTreeSet<SessionName>,
    },
    /// One name in one role, and nobody else who uses the role.
    RoleSession {
        /// The role.
        role: RoleId,
        /// The session.
        session: SessionName,
        /// What follows the session through role chains, if anybody set it.
        source_identity: Option<SessionName>,
    },
    /// Every session of a role that was issued before a moment, whoever holds it.
    RoleBefore {
        /// The role.
        role: RoleId,
        /// The moment.
        before: Timestamp,
    },
    /// An IAM user, with the roles they switch into in the console and the sessions they federate under their own name.
    IamUser {
        /// The immutable id, which `GetSessionToken` sessions carry too; where it is known.
        user: Option<IamUserId>,
        /// The user's name, if it can be a session's.
        name: Option<SessionName>,
        /// Their account and other names they have federated under.
        federated: BTreeSet<FederatedUser>,
    },
    /// The root user of a member account, sparing centralized root sessions (`sts:AssumeRoot`).
    Root {
        /// The partition of the organization.
        partition: Partition,
        /// The account.
        account: AccountId,
    },
    /// A `GetFederationToken` user.
    FederatedUser(FederatedUser),
}

/// `<account>:<name>`, the `aws:userid` of a `GetFederationToken` session.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct FederatedUser {
    /// The account of the IAM user who federated.
    pub account: AccountId,
    /// The name they gave.
    pub name: FederatedName,
}

impl FederatedUser {
    /// Reads `<account>:<name>`.
    pub fn parse(userid: &str) -> Option<Self> {
        let (account, name) = userid.split_once(':')?;
        Some(Self {
            account: AccountId::parse(account).ok()?,
            name: FederatedName::parse(name).ok()?,
        })
    }
}

/// What a principal is, as a playbook names it.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum PrincipalKind {
    /// A person of the directory.
    IdentityCenterUser,
    /// One session of a role.
    RoleSession,
    /// Every session of a role from before a moment.
    Role,
    /// An IAM user.
    IamUser,
    /// The root user of a member account.
    Root,
    /// Somebody whom an IAM user has vouched for.
    FederatedUser,
}

impl PrincipalKind {
    /// All of them.
    pub const ALL: [PrincipalKind; 6] = [
        Self::IdentityCenterUser,
        Self::RoleSession,
        Self::Role,
        Self::IamUser,
        Self::Root,
        Self::FederatedUser,
    ];

    /// For people, with its article.
    pub fn says(self) -> &'static str {
        match self {
            Self::IdentityCenterUser => "a user of Identity Center",
            Self::RoleSession => "a session of a role",
            Self::Role => "a role",
            Self::IamUser => "an IAM user",
            Self::Root => "a root user",
            Self::FederatedUser => "a federated user",
        }
    }
}

impl Identity {
    /// What they are.
    pub fn kind(&self) -> PrincipalKind {
        match self {
            Self::IdentityCenterUser { .. } => PrincipalKind::IdentityCenterUser,
            Self::RoleSession { .. } => PrincipalKind::RoleSession,
            Self::RoleBefore { .. } => PrincipalKind::Role,
            Self::IamUser { .. } => PrincipalKind::IamUser,
            Self::Root { .. } => PrincipalKind::Root,
            Self::FederatedUser(_) => PrincipalKind::FederatedUser,
        }
    }

    /// What a person types to approve that it is denied.
    pub fn called(&self) -> &'static str {
        match self {
            Self::IdentityCenterUser { .. } => "the username",
            Self::IamUser { .. } => "the user's ARN",
            Self::RoleSession { .. } => "the session's id",
            Self::RoleBefore { .. } => "the role's id",
            Self::Root { .. } => "the root user's ARN",
            Self::FederatedUser(_) => "the federated user's ARN",
        }
    }

    /// The one session that has this `aws:userid`, and whoever else takes its name in that role.
    pub fn of_session(userid: &SessionUserId) -> Option<Self> {
        let (of, name) = userid.as_str().split_once(':')?;
        let Ok(role) = RoleId::parse(of) else {
            return FederatedUser::parse(userid.as_str()).map(Self::FederatedUser);
        };
        Some(Self::RoleSession {
            role,
            session: SessionName::parse(name).ok()?,
            source_identity: None,
        })
    }
}

/// How long the longest session lives that could exist, and how we know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SessionLife {
    /// At most this long.
    pub longest: SignedDuration,
    /// For people: `8h from permission set Ops`.
    pub because: String,
}

/// A principal of whom too little is known to contain it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct NotCovered {
    /// Why not, a lower-case fragment.
    pub why: String,
    /// What to do instead, a full sentence.
    pub instead: &'static str,
}

/// Whether the signal has what containing takes; checked before anything is asked of AWS.
///
/// # Errors
/// [`NotCovered`] for an IAM user, a role and a root user of no account, and for whoever has no id that AWS gives.
pub fn is_covered(suspect: &Suspect) -> Result<(), NotCovered> {
    match suspect {
        Suspect::IamUser {
            name,
            account: None,
            ..
        } => Err(NotCovered {
            why: format!("the signal names IAM user {name} and no account, and that denies nobody"),
            instead: "Name them with their account: `quell contain arn:aws:iam::<account>:user/<name>`.",
        }),
        Suspect::Named { .. }
        | Suspect::PermissionSetSession { .. }
        | Suspect::IamUser { .. }
        | Suspect::RoleSession { .. }
        | Suspect::Role { .. }
        | Suspect::Root { .. }
        | Suspect::FederatedUser { .. } => exact::is_covered(suspect),
    }
}

/// Whether the drill about a person of the directory can practise it.
///
/// # Errors
/// [`NotCovered`].
pub fn is_practised(suspect: &Suspect) -> Result<(), NotCovered> {
    is_covered(suspect)?;
    if matches!(suspect, Suspect::IamUser { .. }) || suspect.is_exact() {
        return Err(NotCovered {
            why: "this drill is about a person of the directory, and the finding is not".to_owned(),
            instead: "Practise another kind of principal without a finding: `quell drill --of <kind>`; a real one is contained with `quell contain`.",
        });
    }
    Ok(())
}

/// An IAM user with the names that they give their sessions: switching roles in the console takes the user's name, and
/// people who federate themselves mostly do, too.
pub fn iam_identity(
    id: Option<&IamUserId>,
    account: Option<&AccountId>,
    names: &BTreeSet<SessionName>,
) -> Identity {
    let name = names.first();
    let federated = account.zip(name).and_then(|(account, name)| {
        Some(FederatedUser {
            account: account.clone(),
            name: FederatedName::parse(name.as_str()).ok()?,
        })
    });
    Identity::IamUser {
        user: id.cloned(),
        name: name.cloned(),
        federated: federated.into_iter().collect(),
    }
}

impl Principal {
    /// Whether they are a person of the directory.
    pub fn is_person(&self) -> bool {
        self.iam_user.is_none() && self.exact.is_none()
    }

    /// Whom the deny refuses.
    pub fn identity(&self) -> Identity {
        match (&self.exact, &self.iam_user) {
            (Some(exact), _) => exact.identity.clone(),
            (None, Some(user)) => {
                let (id, account) = (user.id.known(), Some(&user.account));
                iam_identity(id, account, &self.session_names)
            }
            (None, None) => Identity::IdentityCenterUser {
                user_id: self.user_id.known().cloned(),
                session_names: self.session_names.clone(),
            },
        }
    }

    /// An IAM user: they are in one account, and their id is what that says or, where it could not be asked, what the
    /// claim does.
    fn of_iam_user(
        claimed: Option<&IamUserId>,
        name: &IamUserName,
        account: &AccountId,
        facts: &Facts,
    ) -> Self {
        let id = match (&facts.iam_user, claimed) {
            (Some(Known::Known(id)), _) | (Some(Known::Unknown(_)) | None, Some(id)) => {
                Known::Known(id.clone())
            }
            (Some(Known::Unknown(why)), None) => Known::Unknown(why.clone()),
            (None, None) => Known::Unknown("nobody was asked".to_owned()),
        };
        let own_name = SessionName::parse(name.as_str());
        Self {
            username: username_of(facts.partition(), account, name),
            user_id: Known::Unknown("an IAM user is in no directory".to_owned()),
            session_names: own_name.iter().cloned().collect(),
            unspellable: own_name.err().map(|error| error.to_string()),
            reach: BTreeSet::from([account.clone()]),
            reach_unknown: None,
            reaches_management: *account == facts.organization.management,
            session: SessionLife {
                longest: LONGEST_OF_IAM_USER,
                because: format!("{LONGEST_OF_IAM_USER:#}, the most that an IAM user's can"),
            },
            iam_user: Some(IamPrincipal {
                account: account.clone(),
                name: name.clone(),
                id,
            }),
            exact: None,
        }
    }

    /// Whoever is denied by ids alone. They act in one account, and can enter no other without becoming somebody else.
    fn of_exact(exact: Exact, facts: &Facts) -> Self {
        let account = exact.account.as_ref();
        Self {
            username: exact.username(facts.partition()),
            user_id: Known::Unknown("they are in no directory".to_owned()),
            session_names: BTreeSet::new(),
            unspellable: None,
            reach: account.cloned().into_iter().collect(),
            reach_unknown: match account {
                Some(_) => None,
                None => Some("the signal does not say in which account they act".to_owned()),
            },
            reaches_management: account == Some(&facts.organization.management),
            session: exact.session(),
            iam_user: None,
            exact: Some(exact),
        }
    }

    /// Joins the claim with the facts. Total: what the directory did not tell stays unknown in the result.
    pub fn of(suspect: &Suspect, facts: &Facts) -> Self {
        if let Suspect::IamUser {
            principal_id,
            name,
            account: Some(account),
        } = suspect
        {
            return Self::of_iam_user(principal_id.as_ref(), name, account, facts);
        }
        if !is_persons(suspect, facts.role.as_ref())
            && let Some(exact) = Exact::of(
                suspect,
                facts.role.as_ref().and_then(Known::known),
                facts.partition(),
                facts.asked_at,
            )
        {
            return Self::of_exact(exact, facts);
        }
        let directory = &facts.directory;
        let claimed = match suspect {
            Suspect::PermissionSetSession { session, .. }
            | Suspect::RoleSession { session, .. } => Some(session),
            Suspect::Named { .. }
            | Suspect::Role { .. }
            | Suspect::IamUser { .. }
            | Suspect::Root { .. }
            | Suspect::FederatedUser { .. } => None,
        };
        let username = match (&directory.user, claimed, suspect) {
            (Known::Known(user), _, _) => user.username.clone(),
            (Known::Unknown(_), Some(session), _) => Username::new(session.as_str()),
            (Known::Unknown(_), None, Suspect::Named { name }) => Username::new(name.clone()),
            (Known::Unknown(_), None, _) => Username::new(""),
        };
        let own_name = SessionName::parse(username.as_str());
        let session_names = own_name.iter().chain(claimed).cloned().collect();
        let mut reach: BTreeSet<AccountId> = directory
            .assignments
            .known()
            .into_iter()
            .flatten()
            .map(|assignment| assignment.account.clone())
            .collect();
        let entitled = directory.entitlements.known().into_iter().flatten();
        reach.extend(entitled.map(|entitlement| entitlement.account.clone()));
        if let Suspect::PermissionSetSession {
            account: Some(account),
            ..
        }
        | Suspect::RoleSession {
            account: Some(account),
            ..
        } = suspect
        {
            reach.insert(account.clone());
        }
        Self {
            unspellable: own_name.err().map(|error| error.to_string()),
            user_id: match &directory.user {
                Known::Known(user) => Known::Known(user.id.clone()),
                Known::Unknown(why) => Known::Unknown(why.clone()),
            },
            reach_unknown: match &directory.assignments {
                Known::Known(_) => None,
                Known::Unknown(why) => Some(why.clone()),
            },
            reaches_management: reach.contains(&facts.organization.management),
            session: session_life(suspect, directory),
            username,
            session_names,
            reach,
            iam_user: None,
            exact: None,
        }
    }
}

/// The longest session that could exist: every permission set that the user holds, and twelve hours as soon as one
/// of them is unknown, or a session is seen of a set that they no longer hold (R18).
fn session_life(suspect: &Suspect, directory: &Directory) -> SessionLife {
    let unknown = |why: String| SessionLife {
        longest: LONGEST_SESSION,
        because: format!("12h, the most there is: {why}"),
    };
    if let Known::Unknown(why) = &directory.user {
        return unknown(why.clone());
    }
    if let Known::Unknown(why) = &directory.assignments {
        return unknown(format!("what they can enter is unknown ({why})"));
    }
    if let Suspect::PermissionSetSession { role, .. } | Suspect::RoleSession { role, .. } = suspect
    {
        let held = directory
            .permission_sets
            .values()
            .any(|set| is_role_of(role, &set.name));
        if !held {
            return unknown(format!(
                "the finding's session is of {role}, which none of their permission sets explains"
            ));
        }
    }
    match &directory.entitlements {
        Known::Unknown(why) => {
            return unknown(format!(
                "what account access manager lets them into is unknown ({why})"
            ));
        }
        Known::Known(entitled) => {
            if let Some(entitlement) = entitled.first() {
                return unknown(format!(
                    "account access manager lets them into {}, whose own limit is in its account",
                    entitlement.role
                ));
            }
        }
    }
    longest_of(&directory.permission_sets)
}

/// The longest session that any of these permission sets gives; twelve hours as soon as one of them does not say, and
/// when there are none: one may have been there until a moment ago.
pub fn longest_of(sets: &BTreeMap<PermissionSetArn, PermissionSet>) -> SessionLife {
    let unknown = |why: String| SessionLife {
        longest: LONGEST_SESSION,
        because: format!("12h, the most there is: {why}"),
    };
    if sets.is_empty() {
        return unknown(
            "no permission set is assigned now, and one may have been until a moment ago"
                .to_owned(),
        );
    }
    let mut life = SessionLife {
        longest: CHAINED_SESSION,
        because: "1h, the most that a chained session lives".to_owned(),
    };
    for set in sets.values() {
        match &set.session {
            Known::Unknown(why) => {
                return unknown(format!(
                    "the session duration of permission set {} is unknown ({why})",
                    set.name
                ));
            }
            Known::Known(duration) if *duration >= life.longest => {
                life = SessionLife {
                    longest: *duration,
                    because: format!("{duration:#} from permission set {}", set.name),
                };
            }
            Known::Known(_) => {}
        }
    }
    life
}

/// Whether `AWSReservedSSO_<set>_<16 hex>` is the role of the permission set with this name.
fn is_role_of(role: &str, set: &str) -> bool {
    let rest = role
        .strip_prefix("AWSReservedSSO_")
        .and_then(|rest| rest.strip_prefix(set));
    rest.and_then(|rest| rest.strip_prefix('_'))
        .is_some_and(|suffix| !suffix.is_empty() && !suffix.contains('_'))
}
