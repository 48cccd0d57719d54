//! A whole organization, drawn from a seed: units, a dozen accounts, people, groups, permission sets, roles, and
//! everybody's running sessions.
//!
//! The cast is chosen to be hit by mistake: names that contain the hero's, or differ in case; a workload beside the
//! people; the hero's own permission set in other people's hands.

pub mod extras;

pub mod faults;

pub mod kinds;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::ids::*;
use crate::policy::document::Document;
use crate::range::build::extras::Extras;
use crate::range::directory::roles::{new_role_id, path_in, session_of, set_of};
use crate::range::identity::{Credentials, Minted, mint};
use crate::range::state::{
    Account, Actor, Assignment, Calls, Directory, PermissionSet, Policy, Role, Session, State,
    Unit, User,
};
use crate::report::millis;

/// The operator's access key: fixed, so that it can be written in a README.
pub const OPERATOR_KEY: &str = "AKIARANGEOPERATOR";

/// The secret of every key of the range. Signatures are not checked.
pub const SECRET: &str = "practice";

/// AWS's own policy that allows everything.
const FULL: &str = "p-FullAWSAccess";

/// The user that is practised on.
pub const HERO: &str = "test-user";

/// What to build.
#[derive(Debug, Clone)]
pub struct Blueprint {
    /// The same seed builds the same organization.
    pub seed: u64,
    /// The time there.
    pub now: Timestamp,
    /// Whom the story is about.
    pub hero: Hero,
    /// Where Identity Center lives; the operator need not be there.
    pub identity_center: Region,
    /// Whether everybody calls by themselves as time passes.
    pub alive: bool,
    /// The longest that a change of policies takes to reach an account; each has its own time.
    pub propagation: SignedDuration,
    /// What it has beside the rest.
    pub extras: Extras,
}

/// Whom the story is about.
#[derive(Debug, Clone)]
pub struct Hero {
    /// Their username, which is their sessions' name.
    pub username: SessionName,
    /// An account that they must be able to enter: the finding's.
    pub account: Option<AccountId>,
    /// The role and its id that the finding has.
    pub role: Option<(String, RoleId)>,
}

impl Default for Hero {
    fn default() -> Self {
        // INVARIANT: the literal is a session name; a test builds from it.
        let username = SessionName::parse(HERO)
            .unwrap_or_else(|_| IncidentId::from_bytes([0; 3]).control_name());
        Self {
            username,
            account: None,
            role: None,
        }
    }
}

/// The organization, and who plays which part.
#[derive(Debug)]
pub struct Built {
    /// The organization.
    pub state: State,
    /// The hero's running sessions: account, access key, session token. The management account's, too: a session from an
    /// assignment that was taken away this morning, which no survey can see any more.
    pub hero_sessions: Vec<(AccountId, String, String)>,
    /// A finding about one of them.
    pub finding: (DetectorId, FindingId),
}

/// Builds.
///
/// # Errors
/// [`NotAnId`], if a literal here were not what it is written as; a test holds that none is.
pub fn build(blueprint: &Blueprint) -> Result<Built, NotAnId> {
    let mut state = ground(blueprint)?;
    people(&mut state, blueprint)?;
    let mut hero_sessions = sessions(&mut state, blueprint)?;
    let finding = raise_finding(&mut state, blueprint, &hero_sessions)?;
    extras::add(&mut state, blueprint, &mut hero_sessions)?;
    Ok(Built {
        state,
        hero_sessions,
        finding,
    })
}

/// Units, accounts, roles for responders, FullAWSAccess, the operator.
fn ground(blueprint: &Blueprint) -> Result<State, NotAnId> {
    // Whoever practises on a finding practises on its account as a member.
    let taken = blueprint
        .hero
        .account
        .as_ref()
        .is_some_and(|account| account.as_str() == "111122223333");
    let management = AccountId::parse(if taken {
        "999988887777"
    } else {
        "111122223333"
    })?;
    let root = TargetId::parse("r-quel")?;
    let directory = Directory {
        instance: InstanceArn::parse("arn:aws:sso:::instance/ssoins-7223a1b2c3d4e5f6")?,
        store: IdentityStoreId::parse("d-9067a1b2c3")?,
        region: blueprint.identity_center.clone(),
        account_instance: false,
        users: BTreeMap::new(),
        groups: BTreeMap::new(),
        sets: BTreeMap::new(),
        assignments: Vec::new(),
        orders: Vec::new(),
    };
    let organization = OrganizationId::parse("o-quellrange1")?;
    let mut state = State::empty(
        management.clone(),
        directory,
        organization,
        root.clone(),
        blueprint.now,
        blueprint.seed,
    );

    let (workloads, production, development) =
        ("ou-quel-workload", "ou-quel-products", "ou-quel-develops");
    for (id, name, parent) in [
        ("ou-quel-security", "Security", root.as_str()),
        (workloads, "Workloads", root.as_str()),
        (production, "Production", workloads),
        (development, "Development", workloads),
        ("ou-quel-sandboxs", "Sandbox", root.as_str()),
    ] {
        state.units.insert(
            TargetId::parse(id)?,
            Unit {
                name: name.to_owned(),
                parent: TargetId::parse(parent)?,
            },
        );
    }
    let mut accounts = vec![
        (management.as_str(), "management", root.as_str()),
        ("222233334444", "log-archive", "ou-quel-security"),
        ("333344445555", "security-tooling", "ou-quel-security"),
        ("444455556666", "shop-production", production),
        ("555566667777", "billing-production", production),
        ("666677778888", "search-production", production),
        ("777788889999", "shop-development", development),
        ("888899990000", "billing-development", development),
        ("999900001111", "search-development", development),
        ("123456789012", "data-lake", workloads),
        ("210987654321", "network", root.as_str()),
        ("345678901234", "sandbox-1", "ou-quel-sandboxs"),
        ("456789012345", "sandbox-2", "ou-quel-sandboxs"),
    ];
    let finding_account = blueprint.hero.account.clone();
    if let Some(account) = finding_account
        .as_ref()
        .filter(|account| accounts.iter().all(|(id, ..)| id != &account.as_str()))
    {
        accounts.push((account.as_str(), "finding-account", production));
    }
    for (id, name, parent) in accounts {
        let (id, parent) = (AccountId::parse(id)?, TargetId::parse(parent)?);
        member(&mut state, blueprint, &id, name, &parent)?;
    }

    let full = PolicyId::parse(FULL)?;
    let document = Document::allow_all();
    let policy = Policy {
        name: "FullAWSAccess".to_owned(),
        description: "Allows access to every operation".to_owned(),
        content: document.minified(),
        document: Arc::new(document),
        tags: BTreeMap::new(),
        aws_managed: true,
    };
    state.policies.insert(full.clone(), policy);
    let targets = state
        .units
        .keys()
        .cloned()
        .chain(state.accounts.keys().cloned().map(TargetId::from))
        .chain([root]);
    state.attachments = targets.map(|target| (target, vec![full.clone()])).collect();
    state.settle();

    let operator = Session {
        account: management.clone(),
        arn: format!("arn:aws:iam::{management}:user/responder"),
        principal_arn: format!("arn:aws:iam::{management}:user/responder"),
        user_id: "AIDAQUELLRESPONDER000".to_owned(),
        source_identity: None,
        directory_user: None,
        issued: None,
        expires: None,
        token: None,
        policy: None,
        behind: None,
        assumed_root: false,
    };
    state.sessions.insert(OPERATOR_KEY.to_owned(), operator);
    Ok(state)
}

/// An account, with roles for responders unless it is the management account.
fn member(
    state: &mut State,
    blueprint: &Blueprint,
    id: &AccountId,
    name: &str,
    parent: &TargetId,
) -> Result<(), NotAnId> {
    let delay = SignedDuration::from_millis(state.dice.i64(0..=millis(blueprint.propagation)));
    let mut roles = BTreeMap::new();
    let is_member = *id != state.management;
    let names = ["OrganizationAccountAccessRole", "quell-canary"];
    for role in names.into_iter().filter(|_| is_member) {
        let id = new_role_id(state)?;
        let trusts = BTreeSet::from([state.management.clone()]);
        roles.insert(
            role.to_owned(),
            Role {
                id,
                path: "/".to_owned(),
                trusts,
                service: None,
                inline: None,
            },
        );
    }
    let account = Account {
        name: name.to_owned(),
        parent: parent.clone(),
        delay,
        roles,
        users: BTreeMap::new(),
    };
    state.accounts.insert(id.clone(), account);
    Ok(())
}

/// The directory: groups, permission sets, people, who may enter what.
fn people(state: &mut State, blueprint: &Blueprint) -> Result<(), NotAnId> {
    let hero = &blueprint.hero;
    let mut groups = BTreeMap::new();
    for name in ["administrators", "developers", "operators", "auditors"] {
        let id = GroupId::parse(member_id(state))?;
        state.directory.groups.insert(id.clone(), name.to_owned());
        groups.insert(name, id);
    }
    let finding_set = hero.role.as_ref().and_then(|(role, _)| set_of(role));
    let mut sets = BTreeMap::new();
    let known = [
        ("AdministratorAccess", Some("PT4H")),
        ("PowerUserAccess", Some("PT12H")),
        ("ReadOnlyAccess", Some("PT1H")),
    ];
    let extra = finding_set
        .filter(|name| known.iter().all(|(known, _)| known != name))
        .map(|name| (name, Some("PT8H")));
    for (name, duration) in known.into_iter().chain(extra) {
        let arn = format!(
            "arn:aws:sso:::permissionSet/ssoins-7223a1b2c3d4e5f6/ps-{}",
            state.draw(16, b"0123456789abcdef")
        );
        let arn = PermissionSetArn::parse(arn)?;
        state.directory.sets.insert(
            arn.clone(),
            PermissionSet {
                name: name.to_owned(),
                duration: duration.map(str::to_owned),
                inline: None,
            },
        );
        sets.insert(name, arn);
    }
    let mut cast = vec![
        (
            hero.username.as_str().to_owned(),
            vec!["developers", "operators"],
        ),
        (format!("{}2", hero.username), vec!["developers"]),
        (format!("x{}", hero.username), vec!["auditors"]),
    ];
    for (name, groups) in [
        ("alice@example.com", vec!["administrators"]),
        ("bob@example.com", vec!["developers"]),
        ("carol@example.com", vec!["operators", "auditors"]),
        ("dave", vec!["developers"]),
        ("Erin.O'Neil", vec!["auditors"]),
        ("frank+oncall@example.com", vec!["operators"]),
    ] {
        if !name.eq_ignore_ascii_case(hero.username.as_str()) {
            cast.push((name.to_owned(), groups));
        }
    }
    for (username, member_of) in cast {
        let id = UserId::parse(member_id(state))?;
        let email = if username.contains('@') {
            username.clone()
        } else {
            format!("{}@example.com", username.to_ascii_lowercase())
        };
        let groups = member_of
            .iter()
            .filter_map(|name| groups.get(name).cloned())
            .collect();
        state.directory.users.insert(
            id,
            User {
                username,
                email,
                groups,
                ..User::default()
            },
        );
    }
    let accounts: Vec<AccountId> = state
        .accounts
        .keys()
        .filter(|id| **id != state.management)
        .cloned()
        .collect();
    let assign = |state: &mut State,
                  account: &AccountId,
                  set: &str,
                  kind: &'static str,
                  principal: String| {
        if let Some(set) = sets.get(set) {
            state.directory.assignments.push(Assignment {
                account: account.clone(),
                set: set.clone(),
                kind,
                principal,
            });
        }
    };
    for account in &accounts {
        for (group, set) in [
            ("administrators", "AdministratorAccess"),
            ("developers", "ReadOnlyAccess"),
            ("operators", "PowerUserAccess"),
            ("auditors", "ReadOnlyAccess"),
        ] {
            if let Some(group) = groups.get(group) {
                assign(state, account, set, "GROUP", group.to_string());
            }
        }
    }
    let hero_id = state
        .directory
        .users
        .iter()
        .find(|(_, user)| user.username == hero.username.as_str())
        .map(|(id, _)| id.clone());
    if let (Some(id), Some(account)) = (&hero_id, accounts.first()) {
        assign(
            state,
            account,
            "AdministratorAccess",
            "USER",
            id.to_string(),
        );
    }
    if let (Some(id), Some(account), Some(set)) = (&hero_id, &hero.account, finding_set) {
        assign(state, account, set, "USER", id.to_string());
    }
    Ok(())
}

/// A reserved role for every set in every account where it is assigned, and everybody's sessions.
fn sessions(
    state: &mut State,
    blueprint: &Blueprint,
) -> Result<Vec<(AccountId, String, String)>, NotAnId> {
    let hero = &blueprint.hero;
    let assigned: BTreeSet<(AccountId, PermissionSetArn)> = state
        .directory
        .assignments
        .iter()
        .map(|assignment| (assignment.account.clone(), assignment.set.clone()))
        .collect();
    let mut reserved: BTreeMap<(AccountId, PermissionSetArn), String> = BTreeMap::new();
    for (account, set) in assigned {
        let set_name = state
            .directory
            .sets
            .get(&set)
            .map(|set| set.name.clone())
            .unwrap_or_default();
        let of_finding = hero.role.as_ref().filter(|(role, _)| {
            hero.account.as_ref() == Some(&account) && set_of(role) == Some(&set_name)
        });
        let (name, id) = match of_finding {
            Some((name, id)) => (name.clone(), id.clone()),
            None => (
                format!(
                    "AWSReservedSSO_{set_name}_{}",
                    state.draw(16, b"0123456789abcdef")
                ),
                new_role_id(state)?,
            ),
        };
        let path = path_in(&state.directory.region);
        if let Some(account) = state.accounts.get_mut(&account) {
            account.roles.insert(
                name.clone(),
                Role {
                    id,
                    path,
                    trusts: BTreeSet::new(),
                    service: None,
                    inline: None,
                },
            );
        }
        reserved.insert((account, set), name);
    }

    let mut hero_sessions = Vec::new();
    let people: Vec<(UserId, User)> = state
        .directory
        .users
        .iter()
        .map(|(id, user)| (id.clone(), user.clone()))
        .collect();
    for (id, user) in people {
        // A name that STS does not take gets no session: what AWS makes of one is not documented (aws-facts §3).
        let Ok(name) = SessionName::parse(user.username.clone()) else {
            continue;
        };
        let is_hero = name == hero.username;
        let mine = |assignment: &&Assignment| {
            assignment.principal == id.as_str()
                || user
                    .groups
                    .iter()
                    .any(|group| assignment.principal == group.as_str())
        };
        let own: BTreeSet<(AccountId, PermissionSetArn)> = state
            .directory
            .assignments
            .iter()
            .filter(mine)
            .map(|assignment| (assignment.account.clone(), assignment.set.clone()))
            .collect();
        // Everybody else has one session somewhere; the attacker has one of every kind everywhere.
        for (account, set) in own.into_iter().take(if is_hero { usize::MAX } else { 1 }) {
            let Some(role) = reserved.get(&(account.clone(), set.clone())) else {
                continue;
            };
            let lives = session_of(state, &set);
            let key = open(state, &account, role, &name, lives, Some(id.clone()))?;
            act(
                state,
                blueprint,
                format!("{} in {account}", user.username),
                is_hero,
                &key.key,
            );
            if is_hero && hero_sessions.iter().all(|(known, _, _)| *known != account) {
                hero_sessions.push((account, key.key, key.token));
            }
        }
    }
    bystanders(state, blueprint)?;

    // The hero's session in the management account, of an assignment that nobody sees any more.
    let management = state.management.clone();
    let role = format!(
        "AWSReservedSSO_AdministratorAccess_{}",
        state.draw(16, b"0123456789abcdef")
    );
    let id = new_role_id(state)?;
    if let Some(account) = state.accounts.get_mut(&management) {
        account.roles.insert(
            role.clone(),
            Role {
                id,
                path: "/aws-reserved/sso.amazonaws.com/".to_owned(),
                trusts: BTreeSet::new(),
                service: None,
                inline: None,
            },
        );
    }
    let key = open(
        state,
        &management,
        &role,
        &hero.username,
        SignedDuration::from_hours(12),
        None,
    )?;
    hero_sessions.push((management, key.key, key.token));
    Ok(hero_sessions)
}

/// Role sessions that are no directory user's: workloads, and names that almost are the hero's.
fn bystanders(state: &mut State, blueprint: &Blueprint) -> Result<(), NotAnId> {
    let hero = &blueprint.hero.username;
    let mut shouting = hero.as_str().to_ascii_uppercase();
    if shouting == hero.as_str() {
        shouting = hero.as_str().to_ascii_lowercase();
    }
    let accounts: Vec<AccountId> = state
        .accounts
        .keys()
        .filter(|id| **id != state.management)
        .take(4)
        .cloned()
        .collect();
    for account in accounts {
        for (role, name) in [
            ("web-server", "i-0123456789abcdef0"),
            ("nightly-report", "report-runner"),
            ("legacy-admin", shouting.as_str()),
        ] {
            let Ok(name) = SessionName::parse(name) else {
                continue;
            };
            let id = new_role_id(state)?;
            if let Some(account) = state.accounts.get_mut(&account) {
                account.roles.insert(
                    role.to_owned(),
                    Role {
                        id,
                        path: "/".to_owned(),
                        trusts: BTreeSet::new(),
                        service: None,
                        inline: None,
                    },
                );
            }
            let key = open(
                state,
                &account,
                role,
                &name,
                SignedDuration::from_hours(6),
                None,
            )?;
            act(
                state,
                blueprint,
                format!("{role}/{name} in {account}"),
                false,
                &key.key,
            );
        }
    }
    Ok(())
}

fn open(
    state: &mut State,
    account: &AccountId,
    role: &str,
    name: &SessionName,
    lives: SignedDuration,
    user: Option<UserId>,
) -> Result<Credentials, NotAnId> {
    let known = state
        .accounts
        .get(account)
        .and_then(|account| account.roles.get(role))
        .map(|role| (role.id.clone(), role.path.clone()));
    let (id, path) = match known {
        Some(known) => known,
        None => (new_role_id(state)?, "/".to_owned()),
    };
    let wanted = Minted {
        account: account.clone(),
        role_name: role,
        role_id: &id,
        path: &path,
        name,
        lives,
        directory_user: user,
    };
    Ok(mint(state, &wanted))
}

/// Makes a session call by itself from now on: the attacker often, everybody else now and then.
fn act(state: &mut State, blueprint: &Blueprint, name: String, attacker: bool, key: &str) {
    if !blueprint.alive {
        return;
    }
    let every = if attacker {
        SignedDuration::from_secs(10)
    } else {
        SignedDuration::from_secs(300)
    };
    let next = state.now + SignedDuration::from_millis(state.dice.i64(0..10_000));
    state.actors.push(Actor {
        name,
        attacker,
        key: key.to_owned(),
        every,
        next,
        renews: !attacker,
        portal: None,
        held: BTreeMap::new(),
        chain: None,
        calls: Calls::default(),
    });
}

fn raise_finding(
    state: &mut State,
    blueprint: &Blueprint,
    hero_sessions: &[(AccountId, String, String)],
) -> Result<(DetectorId, FindingId), NotAnId> {
    let detector = DetectorId::parse("12abc34d567e8fa901bc2d34e56789f0")?;
    let id = state.draw(32, b"0123456789abcdef");
    let (account, key) = hero_sessions
        .first()
        .map(|(account, key, _)| (account.clone(), key.clone()))
        .unwrap_or((state.management.clone(), String::new()));
    let session = state.sessions.get(&key);
    let role = session
        .and_then(|session| session.principal_arn.rsplit('/').next())
        .unwrap_or_default();
    let principal = session
        .map(|session| session.user_id.clone())
        .unwrap_or_default();
    let finding: Value = json!({
        "schemaVersion": "2.0", "accountId": account, "region": "us-east-1", "partition": "aws", "id": id,
        "arn": format!("arn:aws:guardduty:us-east-1:{}:detector/{detector}/finding/{id}", state.management),
        "type": "UnauthorizedAccess:IAMUser/TorIPCaller",
        "resource": {
            "resourceType": "AccessKey",
            "accessKeyDetails": { "accessKeyId": key, "principalId": principal, "userType": "AssumedRole", "userName": role },
        },
        "service": {
            "serviceName": "guardduty", "detectorId": detector, "resourceRole": "TARGET", "archived": false, "count": 3,
            "eventFirstSeen": blueprint.now.to_string(), "eventLastSeen": blueprint.now.to_string(),
            "action": {
                "actionType": "AWS_API_CALL",
                "awsApiCallAction": {
                    "api": "ListBuckets", "serviceName": "s3.amazonaws.com", "callerType": "Remote IP",
                    "remoteIpDetails": { "ipAddressV4": "198.51.100.7" },
                },
            },
        },
        "severity": 8.0, "createdAt": blueprint.now.to_string(), "updatedAt": blueprint.now.to_string(),
        "title": "API ListBuckets was invoked from a Tor exit node.", "description": "A practice finding.",
    });
    state
        .detectors
        .insert(detector.clone(), BTreeMap::from([(id.clone(), finding)]));
    Ok((detector, FindingId::parse(id)?))
}

fn member_id(state: &mut State) -> String {
    crate::range::wire::uuid(state)
}
