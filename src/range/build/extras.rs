//! What an organization can have beside the rest: each an option, and everything drawn for it is drawn after everything
//! else, so that a seed tells the same story without it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;

use crate::ids::*;
use crate::policy::document::Document;
use crate::range::access::{Entitlement, entitle};
use crate::range::build::faults::{self, Fault};
use crate::range::build::{self, Blueprint, act, open};
use crate::range::clock::Chain;
use crate::range::directory::roles::{new_role_id, session_of};
use crate::range::state::{Actor, Assignment, Calls, Role, State};
use crate::range::team::{self, Item, Team, Wanted};
use crate::range::users::{self, IamUser};
use crate::range::wire::uuid;

/// The role that account access manager gives the hero, in the first member account and, by a group, in the second.
pub const ENTITLED_ROLE: &str = "incident-tooling";

/// The IAM user whose key was stolen.
pub const IAM_USER: &str = "legacy-deploy";

/// The account that they are in.
pub const IAM_USER_ACCOUNT: &str = "555566667777";

/// The IAM user whom the attacker made in order to stay.
pub const LEFT_BEHIND: &str = "helpdesk2";

/// The account that they are in.
pub const LEFT_BEHIND_IN: &str = "666677778888";

/// When somebody begins to ask for their password: the finding comes five minutes after the beginning, and within some more
/// the incident is contained.
const PERSISTS_FROM: SignedDuration = SignedDuration::from_mins(8);

/// How often whoever stole the user's key calls.
const KEY_EVERY: SignedDuration = SignedDuration::from_mins(1);

/// How often somebody with a portal session goes through every way they have, at the most.
const PORTAL_EVERY: SignedDuration = SignedDuration::from_mins(5);

/// How often somebody calls who chains.
const CHAIN_EVERY: SignedDuration = SignedDuration::from_secs(20);

/// What else to build. Nothing, unless asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Extras {
    /// The hero has AdministratorAccess in the management account too, with a running session, instead of the session
    /// of an assignment that was taken away this morning.
    pub management: bool,
    /// The attacker keeps a portal session of the hero's, gets new sessions there and calls with them, at drawn moments.
    pub portal: bool,
    /// An identity provider provisions everybody.
    pub external: bool,
    /// Account access manager gives the hero [`ENTITLED_ROLE`] twice: directly, and by the group `developers`.
    pub entitled: bool,
    /// TEAM runs in the management account, so that the operator's key reaches its table, and in Identity Center's
    /// Region. Three requests are in it: one of the hero's that begins in three hours and lasts two, one of theirs that
    /// is over, and one of somebody else's that begins with the first.
    pub team: bool,
    /// [`IAM_USER`] is in [`IAM_USER_ACCOUNT`], with two active keys and a password, and somebody calls with the first
    /// of the keys, with a session token of 36 hours and with a federated session of 36 hours made by it.
    pub iam_user: bool,
    /// The attacker chains at once: from the hero's session in the first member account into [`CHAIN`], role after role,
    /// and round again before each session ends. Nothing of it has the hero's name.
    pub chains: bool,
    /// The attacker has made [`LEFT_BEHIND`] with a key in [`LEFT_BEHIND_IN`], and eight minutes after the beginning
    /// somebody begins to ask, with that key, for a console password for them.
    pub persists: bool,
    /// Nobody has a name that no session can have.
    pub sound: bool,
    /// So many member accounts more, spread over the units, each with the roles for responders.
    pub accounts: u32,
    /// What is wrong.
    pub faults: &'static [Fault],
}

/// The roles that the attacker goes through, each with its account and the name of the session there.
pub const CHAIN: [(&str, &str, &str); 2] = [
    ("444455556666", "deploy-automation", "nightly-report"),
    ("345678901234", "build-agent", "i-0fedcba9876543210"),
];

/// Adds them.
pub(super) fn add(
    state: &mut State,
    blueprint: &Blueprint,
    hero_sessions: &mut Vec<(AccountId, String, String)>,
) -> Result<(), NotAnId> {
    let extras = blueprint.extras;
    let hero = &blueprint.hero.username;
    let mut users = state.directory.users.iter();
    let Some(id) = users.find(|(_, user)| user.username == hero.as_str()) else {
        return Ok(());
    };
    let id = id.0.clone();
    if extras.management {
        in_management(state, blueprint, &id, hero_sessions)?;
    }
    if extras.external {
        for user in state.directory.users.values_mut() {
            user.external = Some("https://idp.example.com".to_owned());
        }
    }
    if extras.entitled {
        entitled(state, &id)?;
    }
    if extras.team {
        team(state, &id)?;
    }
    if extras.accounts > 0 {
        accounts(state, blueprint)?;
    }
    if extras.sound {
        faults::make_sound(state);
    }
    for fault in extras.faults {
        faults::plant(state, blueprint, *fault)?;
    }
    if extras.iam_user {
        iam_user(state)?;
    }
    if extras.persists {
        persists(state)?;
    }
    if extras.chains
        && let Some((account, key, _)) = hero_sessions.first()
    {
        chains(state, account, key)?;
    }
    if extras.portal {
        let token = format!("practice-portal-{}", state.draw(16, b"0123456789abcdef"));
        state.portals.insert(token.clone(), id);
        let name = format!("{hero} at the portal");
        attack(state, name, String::new(), PORTAL_EVERY, Some(token));
    }
    Ok(())
}

/// Somebody calls from now on, with a key or from a portal session.
fn attack(
    state: &mut State,
    name: String,
    key: String,
    every: SignedDuration,
    portal: Option<String>,
) {
    let next = state.now + SignedDuration::from_millis(state.dice.i64(0..10_000));
    state.actors.push(Actor {
        name,
        attacker: true,
        key,
        every,
        next,
        renews: false,
        portal,
        held: BTreeMap::new(),
        chain: None,
        calls: Calls::default(),
    });
}

/// Roles that trust each other's accounts, as roles do that grew over the years, and somebody who goes round in them.
/// It begins with a session, or an IAM user's key, in an account.
pub(super) fn chains(state: &mut State, first: &AccountId, key: &str) -> Result<(), NotAnId> {
    let mut trusts = BTreeSet::from([first.clone()]);
    for (account, _, _) in CHAIN {
        trusts.insert(AccountId::parse(account)?);
    }
    let mut hops = Vec::new();
    for (account, name, session) in CHAIN {
        let role = Role {
            id: new_role_id(state)?,
            path: "/".to_owned(),
            trusts: trusts.clone(),
            service: None,
            inline: None,
        };
        if let Some(account) = state.accounts.get_mut(&AccountId::parse(account)?) {
            account.roles.insert(name.to_owned(), role);
        }
        let arn = format!("arn:aws:iam::{account}:role/{name}");
        hops.push((arn, session.to_owned()));
    }
    let key = key.to_owned();
    attack(state, "the chain".to_owned(), key, CHAIN_EVERY, None);
    if let Some(actor) = state.actors.last_mut() {
        actor.chain = Some(Chain { hops, done: 0 });
    }
    Ok(())
}

/// An IAM user whom nobody knows, and somebody who wants a console password for them.
fn persists(state: &mut State) -> Result<(), NotAnId> {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let id = AccountId::parse(LEFT_BEHIND_IN)?;
    let user = IamUser {
        id: IamUserId::parse(format!("AIDA{}", state.draw(17, alphabet)))?,
        keys: BTreeMap::new(),
        login_profile: false,
        inline: BTreeMap::new(),
        attached: BTreeSet::from(["arn:aws:iam::aws:policy/AdministratorAccess".to_owned()]),
    };
    if let Some(account) = state.accounts.get_mut(&id) {
        account.users.insert(LEFT_BEHIND.to_owned(), user);
    }
    let key = format!("AKIA{}", state.draw(16, alphabet));
    users::sign_with(state, &id, LEFT_BEHIND, &key);
    attack(state, LEFT_BEHIND.to_owned(), key, KEY_EVERY, None);
    if let Some(actor) = state.actors.last_mut() {
        actor.calls = Calls::Password(LEFT_BEHIND.to_owned());
        actor.next = state.now + PERSISTS_FROM;
    }
    Ok(())
}

/// What people do by hand meanwhile: the user whom nobody knew is deleted.
pub fn clean_up(state: &mut State) {
    let ours = state.actors.iter();
    let ours = ours.filter(|actor| actor.calls != Calls::Buckets);
    for key in ours.map(|actor| actor.key.clone()).collect::<Vec<_>>() {
        state.sessions.remove(&key);
    }
    for account in state.accounts.values_mut() {
        account.users.remove(LEFT_BEHIND);
    }
}

/// An IAM user, and whoever stole their key.
pub(super) fn iam_user(state: &mut State) -> Result<(), NotAnId> {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let id = AccountId::parse(IAM_USER_ACCOUNT)?;
    let user = IamUser {
        id: IamUserId::parse(format!("AIDA{}", state.draw(17, alphabet)))?,
        keys: BTreeMap::new(),
        login_profile: true,
        inline: BTreeMap::new(),
        attached: BTreeSet::from(["arn:aws:iam::aws:policy/AdministratorAccess".to_owned()]),
    };
    if let Some(account) = state.accounts.get_mut(&id) {
        account.users.insert(IAM_USER.to_owned(), user);
    }
    let mut stolen = None;
    for _ in 0..2 {
        let key = format!("AKIA{}", state.draw(16, alphabet));
        users::sign_with(state, &id, IAM_USER, &key);
        stolen.get_or_insert(key);
    }
    let Some(key) = stolen else {
        return Ok(());
    };
    let session = state.sessions.get(&key).cloned();
    let made = session.map(|session| {
        let lives = SignedDuration::from_secs(users::LONGEST);
        let own = users::give(state, users::session_token(&session, state.now, lives));
        let name = FederatedName::parse("ci-runner")?;
        let everything = Document::allow_all();
        let other = users::federated(&session, state.now, lives, &name, everything);
        Ok([own, users::give(state, other)])
    });
    let made = made.transpose()?.unwrap_or_default();
    for key in [key].into_iter().chain(made) {
        attack(state, format!("{IAM_USER} by {key}"), key, KEY_EVERY, None);
    }
    Ok(())
}

/// An assignment in the management account, with its role and a session of it.
fn in_management(
    state: &mut State,
    blueprint: &Blueprint,
    id: &UserId,
    hero_sessions: &mut Vec<(AccountId, String, String)>,
) -> Result<(), NotAnId> {
    let management = state.management.clone();
    let mut sets = state.directory.sets.iter();
    let Some(set) = sets.find(|(_, set)| set.name == "AdministratorAccess") else {
        return Ok(());
    };
    let set = set.0.clone();
    // Two sessions there would be told apart by nobody.
    hero_sessions.retain(|(account, key, _)| {
        let other = *account != management;
        if !other {
            state.sessions.remove(key);
        }
        other
    });
    if let Some(old) = state.reserved_role(&management, &set) {
        state.delete_role(&management, &old);
    }
    state.assign(Assignment {
        account: management.clone(),
        set: set.clone(),
        kind: "USER",
        principal: id.to_string(),
    });
    if let Some(role) = state.reserved_role(&management, &set) {
        let lives = session_of(state, &set);
        let hero = &blueprint.hero.username;
        let key = open(state, &management, &role, hero, lives, Some(id.clone()))?;
        let name = format!("{hero} in {management}");
        act(state, blueprint, name, true, &key.key);
        hero_sessions.push((management, key.key, key.token));
    }
    Ok(())
}

/// TEAM, with requests.
fn team(state: &mut State, hero: &UserId) -> Result<(), NotAnId> {
    state.team = Some(Team {
        account: state.management.clone(),
        region: state.directory.region.clone(),
        table: "requests-abcdefghijklmnopqrstuvwxyz-main".to_owned(),
        items: BTreeMap::new(),
        eligible: eligible(state, hero),
    });
    let mut users = state.directory.users.iter();
    let other = users.find(|(_, user)| user.username == "bob@example.com");
    let other = other.map_or_else(|| hero.clone(), |(id, _)| id.clone());
    let mut sets = state.directory.sets.iter();
    let Some((set, _)) = sets.find(|(_, set)| set.name == "AdministratorAccess") else {
        return Ok(());
    };
    let (set, now) = (set.clone(), state.now);
    let (soon, long_ago) = (
        SignedDuration::from_hours(3),
        SignedDuration::from_hours(-30),
    );
    for (user, account, start, status) in [
        (hero, "444455556666", soon, "scheduled"),
        (hero, "444455556666", long_ago, "ended"),
        (&other, "555566667777", soon, "scheduled"),
    ] {
        let id = uuid(state);
        state.ask_team(&Wanted {
            id: &id,
            user,
            account: &AccountId::parse(account)?,
            set: &set,
            start: now + start,
            hours: 2,
            status,
        });
    }
    Ok(())
}

/// Whom TEAM lets ask: the hero, and a group of theirs.
fn eligible(state: &State, hero: &UserId) -> BTreeMap<String, Item> {
    let mut groups = state.directory.groups.iter();
    let group = groups.find(|(_, name)| *name == "developers");
    let user = state.directory.users.get(hero);
    let user = user.map(|user| {
        let roles = ["AdministratorAccess", "ReadOnlyAccess"];
        let item = team::eligible(&user.username, "User", &["sandbox"], &roles);
        (hero.to_string(), item)
    });
    let group = group.map(|(id, name)| {
        let item = team::eligible(name, "Group", &["dev"], &["PowerUserAccess"]);
        (id.to_string(), item)
    });
    user.into_iter().chain(group).collect()
}

/// More accounts than anybody can name.
fn accounts(state: &mut State, blueprint: &Blueprint) -> Result<(), NotAnId> {
    let units: Vec<TargetId> = state.units.keys().cloned().collect();
    for (number, parent) in (0..blueprint.extras.accounts).zip(units.iter().cycle()) {
        let id = AccountId::parse(format!("{:012}", 100_000_000_000 + u64::from(number)))?;
        build::member(state, blueprint, &id, &format!("account-{number}"), parent)?;
        let full = vec![PolicyId::parse(build::FULL)?];
        state.attachments.insert(TargetId::from(id), full);
    }
    state.settle();
    Ok(())
}

/// Account access manager, and what it gives the hero.
fn entitled(state: &mut State, id: &UserId) -> Result<(), NotAnId> {
    let (region, management) = (&state.directory.region, &state.management);
    state.access.application = Some(format!(
        "arn:aws:account-access:{region}:{management}:application/aam-7223a1b2c3d4e5f6"
    ));
    let mut groups = state.directory.groups.iter();
    let group = groups.find(|(_, name)| *name == "developers");
    let group = group.map(|(id, _)| ("GROUP", id.to_string()));
    let principals = [Some(("USER", id.to_string())), group];
    let accounts: Vec<AccountId> = state
        .accounts
        .keys()
        .filter(|id| **id != state.management)
        .cloned()
        .collect();
    for (account, principal) in accounts.into_iter().zip(principals) {
        let Some((kind, principal)) = principal else {
            continue;
        };
        let role = Role {
            id: new_role_id(state)?,
            path: "/".to_owned(),
            trusts: BTreeSet::new(),
            service: None,
            inline: None,
        };
        let entitlement = Entitlement {
            kind,
            principal,
            role: format!("arn:aws:iam::{account}:role/{ENTITLED_ROLE}"),
            created: state.now,
        };
        if let Some(account) = state.accounts.get_mut(&account) {
            account.roles.insert(ENTITLED_ROLE.to_owned(), role);
        }
        entitle(state, entitlement);
    }
    Ok(())
}
