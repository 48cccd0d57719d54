//! Asks, with the reading capability only, everything that the plan needs, and as little as possible (R11).
//!
//! Arrives: suspects and a target (the root, if none is named). Leaves: [`Facts`] for each. Goes wrong: [`SurveyError`];
//! nothing was changed then, because nothing here could have changed anything.
//!
//! The organization and the directory are asked at the same time, and within each whatever does not wait for an
//! earlier answer: the longest chain is instance → user → groups → their assignments → permission sets.

pub mod audit;

pub mod checkup;

pub mod whose;

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::{join_all, try_join_all};
use futures_util::join;

use crate::cloud::{Clock, Door, Lookup, OrganizationError, Read, Trouble, TroubleKind};
use crate::facts::*;
use crate::ids::*;
use crate::signal::Suspect;

/// Why the survey could not be finished. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SurveyError {
    /// The account is in no organization.
    #[error("account {account} is not part of an organization, so there is no SCP to attach")]
    NoOrganization {
        /// Ours.
        account: AccountId,
    },
    /// We are in a member account that may not manage policies.
    #[error(
        "account {account} is a member of the organization: it is neither the management account ({management}) nor a delegated administrator for policies"
    )]
    NotManagement {
        /// Ours.
        account: AccountId,
        /// The one to use.
        management: AccountId,
    },
    /// No Identity Center instance was seen.
    #[error("no IAM Identity Center instance of this organization can be seen from here")]
    NoIdentityCenter,
    /// The account has no such IAM user.
    #[error("account {account} has no IAM user {name}")]
    NoSuchIamUser {
        /// Where it was looked for.
        account: AccountId,
        /// As given.
        name: IamUserName,
    },
    /// The account has one of that name, and it is another.
    #[error(
        "IAM user {name} of account {account} is {there} now, and the signal is about {claimed}"
    )]
    AnotherIamUser {
        /// Where.
        account: AccountId,
        /// The name of both.
        name: IamUserName,
        /// Whom the signal is about.
        claimed: IamUserId,
        /// Whom the account has.
        there: IamUserId,
    },
    /// Somebody whom no SCP reaches.
    #[error(
        "{who} is in the management account {account}, where no service control policy applies"
    )]
    InManagement {
        /// The management account.
        account: AccountId,
        /// For people.
        who: String,
        /// What to do there, a full sentence.
        instead: String,
    },
    /// Somebody of another organization, or of none.
    #[error(
        "the signal is about account {account}, which is not of this organization: no service control policy of yours applies there"
    )]
    NotAMember {
        /// The account.
        account: AccountId,
    },
    /// A role of AWS's own services.
    #[error("role {role} is service-linked, and no service control policy reaches those")]
    ServiceLinked {
        /// The role.
        role: String,
    },
    /// A role whose id nobody told.
    #[error(
        "the id of role {name} of account {account} cannot be read ({why}), and its sessions are named by nothing else"
    )]
    NoRoleId {
        /// The account.
        account: AccountId,
        /// The role.
        name: String,
        /// Why not.
        why: String,
    },
    /// The directory has no such user.
    #[error("Identity Center has no user `{name}` (looked up as username{})", if *.email { " and as e-mail address" } else { "" })]
    NoSuchUser {
        /// As given.
        name: String,
        /// Whether it could be an address, too.
        email: bool,
    },
    /// A name that means several people.
    #[error("`{name}` means several users: {}", .users.iter().map(|user| format!("{} ({})", user.username, user.id)).collect::<Vec<_>>().join(", "))]
    SeveralUsers {
        /// As given.
        name: String,
        /// All of them.
        users: Vec<User>,
    },
    /// AWS did not answer.
    #[error(transparent)]
    Trouble(#[from] Trouble),
}

impl SurveyError {
    /// The same as trouble with a call.
    pub fn into_trouble(self) -> Trouble {
        match self {
            SurveyError::Trouble(trouble) => trouble,
            other @ (SurveyError::NoOrganization { .. }
            | SurveyError::NotManagement { .. }
            | SurveyError::NoIdentityCenter
            | SurveyError::NoSuchIamUser { .. }
            | SurveyError::AnotherIamUser { .. }
            | SurveyError::InManagement { .. }
            | SurveyError::NotAMember { .. }
            | SurveyError::ServiceLinked { .. }
            | SurveyError::NoRoleId { .. }
            | SurveyError::NoSuchUser { .. }
            | SurveyError::SeveralUsers { .. }) => Trouble {
                operation: "the survey",
                kind: TroubleKind::Refused,
                detail: other.to_string(),
            },
        }
    }
}

/// Asks everything, once for all the suspects: one answer for each, in their order. The roles are those by which the
/// accounts of IAM users may be entered.
///
/// # Errors
/// [`SurveyError`]; nothing was changed.
pub async fn survey(
    read: &impl Read,
    clock: &impl Clock,
    suspects: &[Suspect],
    target: Option<&TargetId>,
    roles: &[RoleName],
) -> Result<Vec<Facts>, SurveyError> {
    let (caller, organization) = who_and_where(read).await?;
    let iam_users = suspects
        .iter()
        .map(|suspect| iam_user(read, &organization, suspect, roles));
    let who = async {
        // An account of somebody else's is not entered: whoever it is would see who looks at them.
        let members = suspects.iter().map(|suspect| is_member(read, suspect));
        let members = join_all(members).await;
        let held = suspects.iter().zip(&members).map(async |(suspect, is)| {
            if *is == Some(Known::Known(false)) {
                return None;
            }
            role(read, suspect, roles).await
        });
        let held = join_all(held).await;
        // Who holds a session of an ordinary role, its account alone knows; the directory is asked about people.
        let directories = directories(read, &organization, suspects, &held).await;
        (members, held, directories)
    };
    let (estate, (members, held, directories), iam_users) = join!(
        estate(read, &caller, &organization, target),
        who,
        try_join_all(iam_users)
    );
    // What is wrong with the organization explains what is wrong with the directory, so it is said first.
    let estate = estate?;
    for ((suspect, role), is_member) in suspects.iter().zip(&held).zip(&members) {
        can_be_denied(&organization, suspect, role.as_ref(), is_member.as_ref())?;
    }
    let (directories, iam_users) = (directories?, iam_users?);
    let asked_at = clock.now();
    let facts = |(((directory, iam_user), role), is_member)| Facts {
        asked_at,
        caller: caller.clone(),
        organization: organization.clone(),
        root: estate.root.clone(),
        target: estate.target.clone(),
        under_target: estate.under_target.clone(),
        attached: estate.attached.clone(),
        remembered: estate.memory.own.clone(),
        armed: estate.memory.armed.clone(),
        directory,
        iam_user,
        role,
        is_member,
    };
    let each = directories.into_iter().zip(iam_users).zip(held);
    Ok(each.zip(members).map(facts).collect())
}

/// Whether the account that a suspect acts in is one of the organization's; `None` where none is named.
async fn is_member(read: &impl Read, suspect: &Suspect) -> Option<Known<bool>> {
    let account = suspect.account()?;
    Some(match read.is_member(&account).await {
        Ok(is) => Known::Known(is),
        Err(trouble) => Known::Unknown(trouble.to_string()),
    })
}

/// What a role's account says of it; `None` for who is no role's, and where the signal does not say which role it is.
async fn role(read: &impl Read, suspect: &Suspect, roles: &[RoleName]) -> Option<Known<Role>> {
    let (Suspect::RoleSession { account, role, .. } | Suspect::Role { account, role, .. }) =
        suspect
    else {
        return None;
    };
    let (account, name) = (account.as_ref()?, RoleName::parse(role.as_str()).ok()?);
    let doors = doors(account, roles, &SessionName::of_survey());
    let found = through(&doors, async |door| read.role(door, &name).await).await;
    Some(match found {
        Ok(Some(role)) => Known::Known(role),
        Ok(None) => Known::Unknown(format!("account {account} has no role {name}")),
        Err(trouble) => Known::Unknown(trouble.to_string()),
    })
}

/// No SCP reaches somebody in the management account; what does is on them, in that account (aws-facts §11, §12).
fn in_management(account: AccountId, suspect: &Suspect) -> SurveyError {
    let everything =
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"*","Resource":"*"}]}"#;
    let (who, instead) = match suspect {
        Suspect::IamUser { name, .. } => (
            format!("IAM user {name}"),
            format!(
                "Only the user's own policies bind them. With credentials of that account: `aws iam put-user-policy --user-name {name} --policy-name quell --policy-document '{everything}'`, then deactivate each key of theirs (`aws iam update-access-key`), and `aws iam delete-login-profile --user-name {name}`."
            ),
        ),
        Suspect::RoleSession { role, .. } | Suspect::Role { role, .. } => (
            format!("role {role}"),
            "Only the role's own policies bind its sessions. With credentials of that account, in IAM: the role, Revoke sessions; it refuses everybody's older sessions of the role. If a person of the directory holds the session, contain them: `quell contain <username>`.".to_owned(),
        ),
        Suspect::Root { .. } => (
            "the root user".to_owned(),
            "Nothing binds the management account's root user: recover it with its e-mail address, change the password, delete its access keys, and call AWS Support.".to_owned(),
        ),
        Suspect::FederatedUser { principal_id } => (
            format!("federated user {principal_id}"),
            "Only the policies of the IAM user who vouched for them bind them: find them in CloudTrail (GetFederationToken), and deny that user.".to_owned(),
        ),
        Suspect::Named { name } => (name.clone(), "Contain them by their username.".to_owned()),
        Suspect::PermissionSetSession { session, .. } => (
            session.to_string(),
            "Contain them by their username.".to_owned(),
        ),
    };
    SurveyError::InManagement {
        account,
        who,
        instead,
    }
}

/// What the names of service-linked roles begin with.
const SERVICE_LINKED: &str = "AWSServiceRoleFor";

/// Whether an SCP of the organization's reaches a suspect, and can name them.
fn can_be_denied(
    organization: &Organization,
    suspect: &Suspect,
    role: Option<&Known<Role>>,
    is_member: Option<&Known<bool>>,
) -> Result<(), SurveyError> {
    let account = suspect.account();
    if let (Some(account), Some(Known::Known(false))) = (&account, is_member) {
        let account = account.clone();
        return Err(SurveyError::NotAMember { account });
    }
    if let Suspect::RoleSession { role, .. } | Suspect::Role { role, .. } = suspect
        && role.starts_with(SERVICE_LINKED)
    {
        let role = role.clone();
        return Err(SurveyError::ServiceLinked { role });
    }
    let is_there = account.as_ref() == Some(&organization.management);
    if let Some(account) = account.clone().filter(|_| is_there)
        && suspect.is_exact()
        && !is_persons(suspect, role)
    {
        return Err(in_management(account, suspect));
    }
    match (suspect, account, role) {
        (
            Suspect::Role {
                role_id: None,
                role: name,
                ..
            },
            Some(account),
            Some(Known::Unknown(why)),
        ) => {
            let (name, why) = (name.clone(), why.clone());
            Err(SurveyError::NoRoleId { account, name, why })
        }
        _ => Ok(()),
    }
}

/// What arming and disarming an organization need to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ground {
    /// Who we are.
    pub caller: Caller,
    /// The organization.
    pub organization: Organization,
    /// Its root.
    pub root: Root,
    /// The root, or what was named instead.
    pub target: TargetId,
    /// The SCPs attached directly to the target.
    pub attached: Vec<PolicySummary>,
    /// The policy of the armed policy's name, read or not.
    pub named: Option<PolicySummary>,
    /// The armed policy.
    pub armed: Known<Option<ArmedPolicy>>,
}

/// Asks about the organization alone.
///
/// # Errors
/// [`SurveyError`]; nothing was changed.
pub async fn ground(read: &impl Read, target: Option<&TargetId>) -> Result<Ground, SurveyError> {
    let (caller, organization) = who_and_where(read).await?;
    let estate = estate(read, &caller, &organization, target).await?;
    Ok(Ground {
        caller,
        organization,
        root: estate.root,
        target: estate.target,
        attached: estate.attached,
        named: estate.memory.named,
        armed: estate.memory.armed,
    })
}

/// Who we are comes first: with no credentials every other question would only fail more slowly.
async fn who_and_where(read: &impl Read) -> Result<(Caller, Organization), SurveyError> {
    let (caller, organization) = join!(read.caller(), read.organization());
    let caller = caller?;
    let organization = organization.map_err(|error| match error {
        OrganizationError::NotInUse => SurveyError::NoOrganization {
            account: caller.account.clone(),
        },
        OrganizationError::Trouble(trouble) => SurveyError::Trouble(trouble),
    })?;
    Ok((caller, organization))
}

/// The organization of an incident that AWS remembers.
///
/// # Errors
/// [`SurveyError`].
pub async fn organization(read: &impl Read) -> Result<Organization, SurveyError> {
    Ok(who_and_where(read).await?.1)
}

/// What AWS remembers of incidents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Memory {
    /// Policies that are named like an incident's own, with their tags.
    pub own: Vec<TaggedPolicy>,
    /// The policy of the armed policy's name.
    pub named: Option<PolicySummary>,
    /// The armed policy, if there is one; unknown where it could not be read.
    pub armed: Known<Option<ArmedPolicy>>,
}

/// Everything that AWS remembers of incidents.
///
/// # Errors
/// [`Trouble`], when AWS did not answer.
pub async fn memory(read: &impl Read) -> Result<Memory, Trouble> {
    let policies = read.policies().await?;
    let named = policies.iter().find(|policy| policy.name == ARMED_POLICY);
    let ours = policies
        .iter()
        .filter(|policy| IncidentId::of_policy_name(&policy.name).is_some());
    let own = try_join_all(ours.map(|summary| async move {
        let tags = read.tags(&summary.id).await?;
        let summary = summary.clone();
        Ok(TaggedPolicy { summary, tags })
    }));
    let armed = async {
        match named {
            None => Known::Known(None),
            // Nobody is left in because of it: without it there are two calls instead of one.
            Some(summary) => match look_at(read, &summary.id).await {
                Ok(armed) => Known::Known(armed),
                Err(trouble) => Known::Unknown(trouble.to_string()),
            },
        }
    };
    let (own, armed) = join!(own, armed);
    Ok(Memory {
        own: own?,
        named: named.cloned(),
        armed,
    })
}

/// The policy of this name as it stands now; `None` if there is none.
///
/// # Errors
/// [`Trouble`], when AWS did not answer.
pub async fn named(read: &impl Read, name: &str) -> Result<Option<ArmedPolicy>, Trouble> {
    let policies = read.policies().await?;
    match policies.iter().find(|policy| policy.name == name) {
        Some(summary) => look_at(read, &summary.id).await,
        None => Ok(None),
    }
}

/// The armed policy, or another that stands by itself, as it is now; `None` if it is gone.
///
/// # Errors
/// [`Trouble`], when AWS did not answer.
pub async fn look_at(read: &impl Read, policy: &PolicyId) -> Result<Option<ArmedPolicy>, Trouble> {
    let (tags, described, targets) =
        join!(read.tags(policy), read.policy(policy), read.targets(policy));
    let Some((summary, content)) = described? else {
        return Ok(None);
    };
    Ok(Some(ArmedPolicy {
        summary,
        tags: tags?,
        content,
        targets: targets?,
    }))
}

/// The organization's half of the facts.
struct Estate {
    root: Root,
    target: TargetId,
    under_target: Option<BTreeSet<AccountId>>,
    attached: Vec<PolicySummary>,
    memory: Memory,
}

async fn estate(
    read: &impl Read,
    caller: &Caller,
    organization: &Organization,
    target: Option<&TargetId>,
) -> Result<Estate, SurveyError> {
    let (root, memory) = join!(read.root(), memory(read));
    let not_ours = |trouble: Trouble| {
        if trouble.kind == TroubleKind::Denied && caller.account != organization.management {
            SurveyError::NotManagement {
                account: caller.account.clone(),
                management: organization.management.clone(),
            }
        } else {
            SurveyError::Trouble(trouble)
        }
    };
    let root = root.map_err(not_ours)?;
    let memory = memory.map_err(not_ours)?;
    let target = target.unwrap_or(&root.id).clone();
    let (attached, under_target) = join!(read.attached(&target), under(read, &target));
    Ok(Estate {
        attached: attached?,
        under_target: under_target?,
        root,
        target,
        memory,
    })
}

/// The accounts under a target; `None` for the root, under which all are.
///
/// # Errors
/// [`Trouble`].
pub async fn under(
    read: &impl Read,
    target: &TargetId,
) -> Result<Option<BTreeSet<AccountId>>, Trouble> {
    Ok(match target.account() {
        Some(account) => Some(BTreeSet::from([account])),
        None if target.is_root() => None,
        None => Some(read.accounts_under(target).await?.into_iter().collect()),
    })
}

/// The organization's Identity Center.
///
/// # Errors
/// [`SurveyError`], when there is none that we can see.
pub async fn instance(
    read: &impl Read,
    organization: &Organization,
) -> Result<Instance, SurveyError> {
    // The organization's instance belongs to the management account; a member may have one of its own beside it, whose
    // users enter nothing but that member (aws-facts §9).
    let instances = read.instances().await?.into_iter();
    let of_ours = |owner: &AccountId| *owner == organization.management;
    let mut own = instances.filter(|instance| instance.owner.as_ref().is_none_or(of_ours));
    own.next().ok_or(SurveyError::NoIdentityCenter)
}

/// Everything by which a user gets new sessions; `None` if the directory has no such user.
///
/// # Errors
/// [`Trouble`]: of what cannot be read whole, nobody could say later what to put back.
pub async fn ways(
    read: &impl Read,
    clock: &impl Clock,
    instance: &Instance,
    user: &UserId,
) -> Result<Option<Ways>, Trouble> {
    let Some(found) = read.user(instance, user).await? else {
        return Ok(None);
    };
    let reach = reach(read, instance, user).await?;
    let sets = reach.assignments.iter();
    let sets = sets.map(|assigned| &assigned.permission_set);
    let permission_sets = permission_sets(read, instance, sets).await;
    // For people: of a group whose name cannot be read there is the id.
    let named = reach.memberships.keys().map(|group| async move {
        let name = read.group_name(instance, group).await.ok().flatten();
        name.map(|name| (group.clone(), name))
    });
    let group_names = join_all(named).await.into_iter().flatten().collect();
    Ok(Some(Ways {
        read_at: clock.now(),
        group_names,
        user: found,
        permission_sets,
        memberships: reach.memberships,
        assignments: reach.assignments,
        entitlements: reach.entitlements,
        inherited_entitlements: reach.inherited_entitlements,
        access_manager: reach.access_manager,
    }))
}

/// What a user can enter, and by what.
struct Reach {
    memberships: BTreeMap<GroupId, MembershipId>,
    assignments: BTreeSet<Assignment>,
    entitlements: BTreeSet<Entitled>,
    inherited_entitlements: BTreeSet<Entitled>,
    access_manager: Known<bool>,
}

/// Direct assignments and those of each group, asked one by one: whether AWS lists what a user inherits is not
/// documented (aws-facts §9). Account access manager must be asked so.
async fn reach(read: &impl Read, instance: &Instance, user: &UserId) -> Result<Reach, Trouble> {
    let own = Assignee::User(user.clone());
    let through_groups = async {
        let memberships = read.memberships(instance, user).await?;
        let groups = memberships.keys().map(|group| {
            let group = Assignee::Group(group.clone());
            async move {
                let (assignments, entitled) = join!(
                    read.assignments(instance, &group),
                    read.entitlements(instance, &group)
                );
                Ok::<_, Trouble>((assignments?, entitled))
            }
        });
        let inherited = try_join_all(groups).await?;
        Ok::<_, Trouble>((memberships, inherited))
    };
    let (direct, entitled, through_groups) = join!(
        read.assignments(instance, &own),
        read.entitlements(instance, &own),
        through_groups
    );
    let (memberships, inherited) = through_groups?;
    let mut assignments: BTreeSet<Assignment> = direct?.into_iter().collect();
    // The newest of the three, which fewer people have the rights for: what it does not tell keeps nobody from closing the
    // others.
    let mut access_manager = Known::Known(false);
    let mut entitled_by =
        |listed: Result<Option<BTreeMap<Entitlement, EntitlementId>>, Trouble>| match listed {
            Ok(None) => BTreeSet::new(),
            Ok(Some(listed)) => {
                if access_manager == Known::Known(false) {
                    access_manager = Known::Known(true);
                }
                let entitled = |(entitlement, id)| Entitled { entitlement, id };
                listed.into_iter().map(entitled).collect()
            }
            Err(trouble) => {
                access_manager = Known::Unknown(trouble.to_string());
                BTreeSet::new()
            }
        };
    let entitlements = entitled_by(entitled);
    let mut inherited_entitlements = BTreeSet::new();
    for (assigned, entitled) in inherited {
        assignments.extend(assigned);
        inherited_entitlements.extend(entitled_by(entitled));
    }
    Ok(Reach {
        memberships,
        assignments,
        entitlements,
        inherited_entitlements,
        access_manager,
    })
}

/// Permission sets; of one that cannot be read, how long its sessions live is unknown.
pub async fn permission_sets(
    read: &impl Read,
    instance: &Instance,
    sets: impl Iterator<Item = &PermissionSetArn>,
) -> BTreeMap<PermissionSetArn, PermissionSet> {
    let sets: BTreeSet<&PermissionSetArn> = sets.collect();
    let described = sets.into_iter().map(|arn| async move {
        let set = read.permission_set(instance, arn).await;
        let set = set.unwrap_or_else(|trouble| PermissionSet {
            name: arn.to_string(),
            session: Known::Unknown(trouble.to_string()),
        });
        (arn.clone(), set)
    });
    join_all(described).await.into_iter().collect()
}

/// The assignments of their own after which nobody has that permission set in that account any more: its role goes with
/// them, and comes back under another name (aws-facts §3).
///
/// # Errors
/// [`Trouble`], when AWS did not answer.
pub async fn last_ones(
    read: &impl Read,
    instance: &Instance,
    ways: &Ways,
) -> Result<BTreeSet<(AccountId, PermissionSetArn)>, Trouble> {
    let own = Assignee::User(ways.user.id.clone());
    let direct = ways
        .assignments
        .iter()
        .filter(|assignment| assignment.assignee == own);
    let asked = try_join_all(direct.map(|assignment| {
        let (account, set, own) = (&assignment.account, &assignment.permission_set, &own);
        async move {
            let assigned = read.assigned(instance, account, set).await?;
            let alone = assigned.iter().all(|assignee| assignee == own);
            Ok::<_, Trouble>(alone.then(|| (account.clone(), set.clone())))
        }
    }));
    Ok(asked.await?.into_iter().flatten().collect())
}

/// The directory's answers about each of the suspects.
async fn directories(
    read: &impl Read,
    organization: &Organization,
    suspects: &[Suspect],
    held: &[Option<Known<Role>>],
) -> Result<Vec<Directory>, SurveyError> {
    let each = || suspects.iter().zip(held.iter().map(Option::as_ref));
    let instance = match instance(read, organization).await {
        Ok(instance) => instance,
        // No directory has them, so none is missed but for the names in common.
        Err(error) if !each().any(|(suspect, role)| is_of_directory(suspect, role)) => {
            let unseen = nobody(Listed {
                users: Vec::new(),
                cut: Some(error.to_string()),
            });
            return Ok(vec![unseen; suspects.len()]);
        }
        Err(error) => return Err(error),
    };
    // The listing waits for nobody, and nobody's next question for it.
    let instance = &instance;
    let persons = each().map(|(suspect, role)| async move {
        if is_of_directory(suspect, role) {
            person(read, instance, suspect).await
        } else {
            Ok(nobody(Listed::default()))
        }
    });
    let (listed, persons) = join!(listed(read, instance), try_join_all(persons));
    let all = persons?.into_iter().map(|person| Directory {
        users: listed.clone(),
        ..person
    });
    Ok(all.collect())
}

/// Whether the directory has something to say about a suspect.
fn is_of_directory(suspect: &Suspect, role: Option<&Known<Role>>) -> bool {
    let is_iam_user = matches!(suspect, Suspect::IamUser { .. });
    is_persons(suspect, role) || !(is_iam_user || suspect.is_exact())
}

/// What a directory says about somebody whom it never had.
fn nobody(users: Listed) -> Directory {
    Directory {
        user: Known::Unknown("they are in no directory".to_owned()),
        assignments: Known::Known(BTreeSet::new()),
        entitlements: Known::Known(BTreeSet::new()),
        permission_sets: BTreeMap::new(),
        users,
    }
}

/// What an IAM user's account says is their id; `None` for everybody else. Not being let in is an unknown: their name
/// denies them without it.
async fn iam_user(
    read: &impl Read,
    organization: &Organization,
    suspect: &Suspect,
    roles: &[RoleName],
) -> Result<Option<Known<IamUserId>>, SurveyError> {
    let Suspect::IamUser {
        principal_id,
        name,
        account: Some(account),
    } = suspect
    else {
        return Ok(None);
    };
    let (account, name) = (account.clone(), name.clone());
    if account == organization.management {
        return Err(in_management(account, suspect));
    }
    let doors = doors(&account, roles, &SessionName::of_survey());
    let found = through(&doors, async |door| read.iam_user_id(door, &name).await).await;
    Ok(Some(match (found, principal_id) {
        (Ok(Some(there)), Some(claimed)) if there != *claimed => {
            return Err(SurveyError::AnotherIamUser {
                account,
                name,
                claimed: claimed.clone(),
                there,
            });
        }
        (Ok(Some(there)), _) => Known::Known(there),
        (Ok(None), None) => return Err(SurveyError::NoSuchIamUser { account, name }),
        // A finding's user was real: whoever deletes them does not end what they have begun.
        (Ok(None), Some(_)) => {
            Known::Unknown(format!("account {account} has no IAM user {name} any more"))
        }
        (Err(trouble), _) => Known::Unknown(trouble.to_string()),
    }))
}

/// The ways into a member account, in the order in which they are tried.
pub fn doors(account: &AccountId, roles: &[RoleName], session: &SessionName) -> Vec<Door> {
    let door = |role: &RoleName| Door {
        account: account.clone(),
        role: role.clone(),
        session: session.clone(),
    };
    roles.iter().map(door).collect()
}

/// Asks through one door after the other, until one lets us in and lets us do it.
///
/// # Errors
/// [`Trouble`]; where none does, with what each of them said.
pub async fn through<T>(
    doors: &[Door],
    ask: impl AsyncFn(&Door) -> Result<T, Trouble>,
) -> Result<T, Trouble> {
    let mut refused: Option<Trouble> = None;
    for door in doors {
        match ask(door).await {
            Err(trouble) if trouble.kind == TroubleKind::Denied => {
                let detail = match &refused {
                    Some(before) => format!("{}; {trouble}", before.detail),
                    None => trouble.detail.clone(),
                };
                let operation = refused.map_or(trouble.operation, |before| before.operation);
                refused = Some(Trouble {
                    operation,
                    detail,
                    ..trouble
                });
            }
            answered => return answered,
        }
    }
    Err(refused.unwrap_or(Trouble {
        operation: "sts:AssumeRole",
        kind: TroubleKind::Denied,
        detail: "there is no role to try".to_owned(),
    }))
}

/// The directory's answers about the suspect alone.
async fn person(
    read: &impl Read,
    instance: &Instance,
    suspect: &Suspect,
) -> Result<Directory, SurveyError> {
    let found = users(read, instance, suspect).await?;
    let mut users: Vec<User> = found.into_values().collect();
    let user = match (users.pop(), suspect) {
        (Some(user), _) if users.is_empty() => user,
        (Some(user), _) => {
            users.push(user);
            return Err(SurveyError::SeveralUsers {
                name: name_of(suspect).to_owned(),
                users,
            });
        }
        (None, Suspect::Named { name }) => {
            return Err(SurveyError::NoSuchUser {
                name: name.clone(),
                email: name.contains('@'),
            });
        }
        // A finding's session is real even when its user is gone: deleting a user does not end their sessions.
        (None, _) => {
            return Ok(Directory {
                user: Known::Unknown(format!("the directory has no user {}", name_of(suspect))),
                assignments: Known::Unknown("the directory has lost the user".to_owned()),
                entitlements: Known::Unknown("the directory has lost the user".to_owned()),
                permission_sets: BTreeMap::new(),
                users: Listed::default(),
            });
        }
    };
    // The deny does not need to know what they can enter; the proof and the wait do. So trouble here (a delegate may lack
    // the right) is an unknown in the plan, and never a reason to leave somebody in.
    let (assignments, entitlements) = match reach(read, instance, &user.id).await {
        Ok(reach) => (Known::Known(reach.assignments.clone()), entitled(reach)),
        Err(trouble) => {
            let why = trouble.to_string();
            (Known::Unknown(why.clone()), Known::Unknown(why))
        }
    };
    let sets = assignments.known().into_iter().flatten();
    let sets = sets.map(|assigned| &assigned.permission_set);
    let permission_sets = permission_sets(read, instance, sets).await;
    Ok(Directory {
        user: Known::Known(user),
        assignments,
        permission_sets,
        entitlements,
        users: Listed::default(),
    })
}

/// What account access manager gives, directly and through groups.
fn entitled(reach: Reach) -> Known<BTreeSet<Entitlement>> {
    match reach.access_manager {
        Known::Unknown(why) => Known::Unknown(why),
        Known::Known(_) => {
            let all = reach.entitlements.into_iter();
            let all = all.chain(reach.inherited_entitlements);
            Known::Known(all.map(|entitled| entitled.entitlement).collect())
        }
    }
}

/// The directory's users, for the names that the deny could confuse. Five pages take about as long as the other questions
/// beside them; more would keep the operator waiting (R11).
async fn listed(read: &impl Read, instance: &Instance) -> Listed {
    const PAGES: usize = 5;
    match read.users(instance, PAGES).await {
        Ok((users, true)) => Listed { users, cut: None },
        Ok((users, false)) => Listed {
            cut: Some(format!("the directory has more than {} users", users.len())),
            users,
        },
        Err(trouble) => Listed {
            users: Vec::new(),
            cut: Some(trouble.to_string()),
        },
    }
}

fn name_of(suspect: &Suspect) -> &str {
    match suspect {
        Suspect::Named { name } => name,
        Suspect::PermissionSetSession { session, .. } | Suspect::RoleSession { session, .. } => {
            session.as_str()
        }
        Suspect::IamUser { name, .. } => name.as_str(),
        Suspect::Role { role, .. } => role,
        Suspect::Root { .. } => "the root user",
        Suspect::FederatedUser { principal_id } => principal_id,
    }
}

/// Everybody whom the name can mean: by username, by e-mail address if it looks like one, by id if it is one. All are
/// asked, because a name that means two people must be refused rather than resolved by luck.
async fn users(
    read: &impl Read,
    instance: &Instance,
    suspect: &Suspect,
) -> Result<BTreeMap<UserId, User>, Trouble> {
    let name = name_of(suspect);
    let by_username = read.find_user(instance, Lookup::Username, name);
    let by_email = async {
        // A session is named after the username alone.
        let may_be_address = name.contains('@') && matches!(suspect, Suspect::Named { .. });
        if may_be_address {
            read.find_user(instance, Lookup::Email, name).await
        } else {
            Ok(None)
        }
    };
    let (by_username, by_email) = join!(by_username, by_email);
    let by_id = UserId::parse(name).ok();
    let ids: BTreeSet<UserId> = [by_username?, by_email?, by_id]
        .into_iter()
        .flatten()
        .collect();
    let users = try_join_all(ids.iter().map(|id| read.user(instance, id))).await?;
    Ok(users
        .into_iter()
        .flatten()
        .map(|user| (user.id.clone(), user))
        .collect())
}
