//! Suspects who are no people of the directory, each beside whoever is most easily hit by mistake.
//!
//! Arrives: a built organization and a [`Kind`]. Leaves: in it, an attacker of that kind and those bystanders, all
//! calling by themselves; and the signal that accuses the attacker.

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;
use serde_json::json;

use crate::facts::audit::Grants;
use crate::ids::*;
use crate::policy::document::Document;
use crate::range::build::{extras, open};
use crate::range::clock::Chain;
use crate::range::directory::roles::new_role_id;
use crate::range::state::{Actor, Calls, Role, Session, State};
use crate::range::users::{self, IamUser};

/// The account that they act in.
const ACCOUNT: &str = "444455556666";

/// Another one.
const ELSEWHERE: &str = "666677778888";

/// How long the sessions of roles live.
const LIVES: SignedDuration = SignedDuration::from_hours(12);

/// How often each of them calls.
const EVERY: SignedDuration = SignedDuration::from_mins(1);

/// When a session is given out that comes after the deny's moment: the finding comes five minutes after the beginning, and
/// the moment is twenty later.
const LATER: SignedDuration = SignedDuration::from_mins(30);

/// The account whose users switch into the others.
pub const JUMP_ACCOUNT: &str = "555566667777";

/// The jump account's user whose key was stolen.
pub const JUMP_USER: &str = "carol";

/// The role that the user switches into in two other accounts.
pub const DEPLOY: &str = "deploy";

/// The name under which the attacker switched with the key.
pub const INNOCENT: &str = "inventory-sync";

/// A condition that whoever has shown an MFA device fulfils.
const SHOWS_MFA: &str = r#""Bool":{"aws:MultiFactorAuthPresent":"true"}"#;

/// Who is the attacker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One session of a role that many use.
    RoleSession,
    /// A role, whoever uses it.
    Role,
    /// An EC2 instance whose role's credentials are used.
    Instance,
    /// A Lambda function whose role's credentials are used.
    Function,
    /// An IAM user.
    IamUser,
    /// The root user of a member account.
    Root,
    /// Somebody whom an IAM user has vouched for.
    FederatedUser,
    /// An IAM user of a jump account, who switches into roles.
    JumpUser,
}

impl Kind {
    /// Every kind, with the word for it.
    pub const ALL: [(&'static str, Kind); 8] = [
        ("role-session", Kind::RoleSession),
        ("role", Kind::Role),
        ("instance", Kind::Instance),
        ("function", Kind::Function),
        ("iam-user", Kind::IamUser),
        ("root", Kind::Root),
        ("federated-user", Kind::FederatedUser),
        ("jump-user", Kind::JumpUser),
    ];

    /// The playbook that is for them.
    pub fn playbook(self) -> &'static str {
        match self {
            Kind::RoleSession | Kind::Role | Kind::FederatedUser => "assumed-role",
            Kind::Instance | Kind::Function => "workload-role",
            Kind::IamUser | Kind::JumpUser => "iam-user-jump-account",
            Kind::Root => "root-user",
        }
    }

    /// What happened, for people.
    pub fn story(self) -> &'static str {
        match self {
            Kind::RoleSession => {
                "Somebody has stolen a pipeline's session of role deploy, which other pipelines use, too."
            }
            Kind::Role => {
                "Somebody has found a way into role deploy, and nobody knows which of its sessions are theirs."
            }
            Kind::Instance => {
                "Somebody has read an instance's credentials from its metadata service, and uses them elsewhere."
            }
            Kind::Function => {
                "Somebody has read a function's credentials from its environment, and uses them elsewhere."
            }
            Kind::IamUser => {
                "Somebody has stolen an IAM user's key, and made a session and a federated one with it."
            }
            Kind::Root => "Somebody has the root user of an account, and has made a key.",
            Kind::FederatedUser => {
                "Somebody has stolen the session that an IAM user got for a federated one."
            }
            Kind::JumpUser => {
                "Somebody has stolen the key and the password of an IAM user in a jump account, and has switched into roles of two other accounts: in the console, and with the key under a name that says nothing."
            }
        }
    }
}

/// What accuses the attacker.
#[derive(Debug, Clone, PartialEq)]
pub enum Accusation {
    /// A finding, as GuardDuty gives it.
    Finding(String),
    /// What a person types, because no finding accuses a whole role: its account, name and id.
    Role(AccountId, &'static str, RoleId),
}

/// Puts attacker and bystanders there; an attacker who `chains` has become others in other accounts, too. Whoever was the attacker of the story is a person at work.
///
/// # Errors
/// [`NotAnId`], if a literal here were not what it is written as; a test holds that none is.
pub fn play(state: &mut State, kind: Kind, chains: bool) -> Result<Accusation, NotAnId> {
    for actor in &mut state.actors {
        actor.attacker = false;
    }
    let here = AccountId::parse(ACCOUNT)?;
    let mut stage = Stage { state, here };
    let accusation = match kind {
        Kind::RoleSession => stage.role_session("pipeline-7", None),
        Kind::Instance => stage.role_session("i-0a1b2c3d4e5f60718", Some("ec2.amazonaws.com")),
        Kind::Function => stage.role_session("orders", Some("lambda.amazonaws.com")),
        Kind::Role => stage.role(),
        Kind::IamUser => stage.iam_user(),
        Kind::Root => stage.root(),
        Kind::FederatedUser => stage.federated_user(),
        Kind::JumpUser => stage.jump_user(),
    }?;
    let key = state.actors.iter().find(|actor| actor.attacker);
    // Whoever switches roles has become others already.
    let chains = chains && kind != Kind::JumpUser;
    let key = key.map(|actor| actor.key.clone()).filter(|_| chains);
    let session = key.and_then(|key| Some((state.sessions.get(&key)?.account.clone(), key)));
    if let Some((account, key)) = session {
        extras::chains(state, &account, &key)?;
    }
    Ok(accusation)
}

/// An account, as trust policies name it.
fn root_of(account: &str) -> String {
    format!("arn:aws:iam::{account}:root")
}

/// What people do by hand meanwhile: a root user whom somebody has taken over gets another password, and their keys go.
pub fn recover(state: &mut State) {
    let stolen: Vec<String> = state
        .actors
        .iter()
        .filter(|actor| actor.attacker)
        .map(|actor| actor.key.clone())
        .collect();
    state.sessions.retain(|key, session| {
        let lasting = session.expires.is_none() && session.arn.ends_with(":root");
        !(lasting && stolen.contains(key))
    });
}

struct Stage<'a> {
    state: &'a mut State,
    here: AccountId,
}

impl Stage<'_> {
    /// A session of a role; beside it another of the role, and its name in another role and in another account.
    fn role_session(
        &mut self,
        name: &str,
        service: Option<&'static str>,
    ) -> Result<Accusation, NotAnId> {
        let here = self.here.clone();
        let id = self.add_role(&here, "deploy", service)?;
        self.add_role(&here, "report", None)?;
        self.add_role(&AccountId::parse(ELSEWHERE)?, "deploy", service)?;
        self.session(true, &here, "deploy", name)?;
        self.session(false, &here, "deploy", &format!("{name}0"))?;
        self.session(false, &here, "report", name)?;
        self.session(false, &AccountId::parse(ELSEWHERE)?, "deploy", name)?;
        Ok(self.finding("AssumedRole", &format!("{id}:{name}"), "deploy"))
    }

    /// Two sessions of a role; beside them one that is given out later, and those names in another role.
    fn role(&mut self) -> Result<Accusation, NotAnId> {
        let here = self.here.clone();
        let id = self.add_role(&here, "deploy", None)?;
        self.add_role(&here, "report", None)?;
        for name in ["pipeline-7", "alice"] {
            self.session(true, &here, "deploy", name)?;
            self.session(false, &here, "report", name)?;
        }
        let key = self.session(false, &here, "deploy", "bob")?;
        let later = self.state.now + LATER;
        if let Some(session) = self.state.sessions.get_mut(&key) {
            session.issued = Some(later);
        }
        if let Some(actor) = self.state.actors.last_mut() {
            actor.next = later;
        }
        Ok(Accusation::Role(here, "deploy", id))
    }

    /// An IAM user with what they made of their key; beside them a user whose name begins alike, and one of the very name
    /// in another account.
    fn iam_user(&mut self) -> Result<Accusation, NotAnId> {
        extras::iam_user(self.state)?;
        let (here, there) = (
            AccountId::parse(extras::IAM_USER_ACCOUNT)?,
            AccountId::parse(ELSEWHERE)?,
        );
        self.user(&here, &format!("{}2", extras::IAM_USER))?;
        self.user(&there, extras::IAM_USER)?;
        let users = self.state.accounts.get(&here).map(|it| &it.users);
        let user = users.and_then(|users| users.get(extras::IAM_USER));
        let id = user.map_or(String::new(), |user| user.id.to_string());
        self.here = here;
        Ok(self.finding("IAMUser", &id, extras::IAM_USER))
    }

    /// A root user; beside it that of another account, and a centralized root session in the same.
    fn root(&mut self) -> Result<Accusation, NotAnId> {
        let here = self.here.clone();
        let there = AccountId::parse(ELSEWHERE)?;
        let root = |account: &AccountId| Session {
            account: account.clone(),
            arn: format!("arn:aws:iam::{account}:root"),
            principal_arn: format!("arn:aws:iam::{account}:root"),
            user_id: account.to_string(),
            source_identity: None,
            directory_user: None,
            issued: None,
            expires: None,
            token: None,
            policy: None,
            behind: None,
            assumed_root: false,
        };
        let own = users::give(self.state, root(&here));
        self.calls(true, "the root user", own);
        let other = users::give(self.state, root(&there));
        self.calls(false, "the root user of another account", other);
        let central = Session {
            issued: Some(self.state.now),
            expires: Some(self.state.now + SignedDuration::from_mins(15)),
            assumed_root: true,
            ..root(&here)
        };
        let central = users::give(self.state, central);
        self.calls(false, "a centralized root session", central);
        Ok(self.finding("Root", here.as_str(), "Root"))
    }

    /// A federated user; beside them the user who vouched, whomever else they vouched for, and the name in a role.
    fn federated_user(&mut self) -> Result<Accusation, NotAnId> {
        let here = self.here.clone();
        let voucher = self.user(&here, "voucher")?;
        self.add_role(&here, "report", None)?;
        let mut vouched = |attacker: bool, name: &str| {
            let Some(session) = self.state.sessions.get(&voucher).cloned() else {
                return Ok(());
            };
            let lives = SignedDuration::from_secs(users::LONGEST);
            let name = FederatedName::parse(name)?;
            let session = users::federated(
                &session,
                self.state.now,
                lives,
                &name,
                Document::allow_all(),
            );
            let key = users::give(self.state, session);
            self.calls(attacker, name.as_str(), key);
            Ok::<(), NotAnId>(())
        };
        vouched(true, "contractor")?;
        vouched(false, "contractor2")?;
        self.session(false, &here, "report", "contractor")?;
        Ok(self.finding("FederatedUser", &format!("{here}:contractor"), "contractor"))
    }

    /// An IAM user of a jump account, who is in a group that lets them switch. The attacker has their key, a session of
    /// [`DEPLOY`] as the console names it, and one in another account that the key made under another name. Beside them a
    /// user of almost the name, and colleagues in the very roles.
    fn jump_user(&mut self) -> Result<Accusation, NotAnId> {
        self.here = AccountId::parse(JUMP_ACCOUNT)?;
        let here = self.here.clone();
        let key = self.user(&here, JUMP_USER)?;
        if let Some(actor) = self.state.actors.last_mut() {
            actor.attacker = true;
        }
        self.user(&here, &format!("{JUMP_USER}2"))?;
        self.groups();
        let user = format!("arn:aws:iam::{here}:user/{JUMP_USER}");
        let (root, only_mfa) = (root_of(JUMP_ACCOUNT), Some(SHOWS_MFA));
        self.switch_role(JUMP_ACCOUNT, "admin", &root, only_mfa)?;
        self.switch_role(ACCOUNT, DEPLOY, &user, None)?;
        self.switch_role(ELSEWHERE, DEPLOY, &root, None)?;
        // Both let others in: another account, and another user.
        self.switch_role(ACCOUNT, "billing", &root_of(ELSEWHERE), None)?;
        self.switch_role(ELSEWHERE, "audit", &format!("{user}2"), None)?;
        let (there, elsewhere) = (AccountId::parse(ACCOUNT)?, AccountId::parse(ELSEWHERE)?);
        self.session(true, &there, DEPLOY, JUMP_USER)?;
        self.session(false, &there, DEPLOY, "colleague")?;
        self.session(false, &elsewhere, DEPLOY, "colleague")?;
        self.calls(true, INNOCENT, key);
        if let Some(actor) = self.state.actors.last_mut() {
            let role = format!("arn:aws:iam::{ELSEWHERE}:role/{DEPLOY}");
            let hops = vec![(role, INNOCENT.to_owned())];
            actor.chain = Some(Chain { hops, done: 0 });
        }
        let users = self.state.accounts.get_mut(&here).map(|it| &mut it.users);
        let user = users.and_then(|users| users.get_mut(JUMP_USER));
        let id = user.map_or(String::new(), |user| {
            user.login_profile = true;
            user.id.to_string()
        });
        Ok(self.finding("IAMUser", &id, JUMP_USER))
    }

    /// The jump account's group and whoever is in it.
    fn groups(&mut self) {
        let estate = self.state.estates.entry(self.here.clone()).or_default();
        let switches = format!(
            r#"{{"Version":"2012-10-17","Statement":[{{"Sid":"AdminWithMfa","Effect":"Allow","Action":"sts:AssumeRole","Resource":"arn:aws:iam::{JUMP_ACCOUNT}:role/admin","Condition":{{{SHOWS_MFA}}}}},{{"Sid":"Deploys","Effect":"Allow","Action":"sts:AssumeRole","Resource":["arn:aws:iam::{ACCOUNT}:role/{DEPLOY}","arn:aws:iam::{ELSEWHERE}:role/*"]}}]}}"#
        );
        let grants = Grants {
            inline: BTreeMap::from([("switch-roles".to_owned(), switches)]),
            attached: BTreeSet::new(),
        };
        estate.groups.insert("operators".to_owned(), grants);
        let group = BTreeSet::from(["operators".to_owned()]);
        estate.members.insert(JUMP_USER.to_owned(), group);
        estate.mfa.insert(JUMP_USER.to_owned());
    }

    /// A role that lets one principal in, on a condition or none.
    fn switch_role(
        &mut self,
        account: &str,
        name: &str,
        principal: &str,
        condition: Option<&str>,
    ) -> Result<(), NotAnId> {
        let account = AccountId::parse(account)?;
        self.add_role(&account, name, None)?;
        let lets_in = principal.split(':').nth(4).unwrap_or_default();
        let lets_in = AccountId::parse(lets_in)?;
        let roles = self
            .state
            .accounts
            .get_mut(&account)
            .map(|it| &mut it.roles);
        if let Some(role) = roles.and_then(|roles| roles.get_mut(name)) {
            role.trusts.insert(lets_in);
        }
        let condition = condition.map_or(String::new(), |it| format!(r#","Condition":{{{it}}}"#));
        let trust = format!(
            r#"{{"Version":"2012-10-17","Statement":[{{"Sid":"LetsIn","Effect":"Allow","Principal":{{"AWS":"{principal}"}},"Action":"sts:AssumeRole"{condition}}}]}}"#
        );
        let estate = self.state.estates.entry(account).or_default();
        estate.trusts.insert(name.to_owned(), trust);
        let longest = u32::try_from(LIVES.as_secs()).unwrap_or(u32::MAX);
        estate.longest.insert(name.to_owned(), longest);
        Ok(())
    }

    fn add_role(
        &mut self,
        account: &AccountId,
        name: &str,
        service: Option<&'static str>,
    ) -> Result<RoleId, NotAnId> {
        let id = new_role_id(self.state)?;
        let role = Role {
            id: id.clone(),
            path: "/".to_owned(),
            trusts: BTreeSet::new(),
            service,
            inline: None,
        };
        if let Some(account) = self.state.accounts.get_mut(account) {
            account.roles.insert(name.to_owned(), role);
        }
        Ok(id)
    }

    /// A session of a role, which calls from now on: its access key.
    fn session(
        &mut self,
        attacker: bool,
        account: &AccountId,
        role: &str,
        name: &str,
    ) -> Result<String, NotAnId> {
        let named = SessionName::parse(name)?;
        let key = open(self.state, account, role, &named, LIVES, None)?.key;
        self.calls(
            attacker,
            &format!("{role}/{name} in {account}"),
            key.clone(),
        );
        Ok(key)
    }

    /// An IAM user with a key, who calls from now on: the key.
    fn user(&mut self, account: &AccountId, name: &str) -> Result<String, NotAnId> {
        let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
        let user = IamUser {
            id: IamUserId::parse(format!("AIDA{}", self.state.draw(17, alphabet)))?,
            keys: BTreeMap::new(),
            login_profile: false,
            inline: BTreeMap::new(),
            attached: BTreeSet::new(),
        };
        if let Some(account) = self.state.accounts.get_mut(account) {
            account.users.insert(name.to_owned(), user);
        }
        let key = format!("AKIA{}", self.state.draw(16, alphabet));
        users::sign_with(self.state, account, name, &key);
        self.calls(false, &format!("{name} in {account}"), key.clone());
        Ok(key)
    }

    fn calls(&mut self, attacker: bool, name: &str, key: String) {
        let next = self.state.now + SignedDuration::from_millis(self.state.dice.i64(0..10_000));
        self.state.actors.push(Actor {
            name: name.to_owned(),
            attacker,
            key,
            every: EVERY,
            next,
            renews: false,
            portal: None,
            held: BTreeMap::new(),
            chain: None,
            calls: Calls::default(),
        });
    }

    /// A finding about anomalous behaviour of somebody, as GuardDuty gives it.
    fn finding(&self, user_type: &str, principal_id: &str, name: &str) -> Accusation {
        let finding = json!({
            "schemaVersion": "2.0",
            "accountId": self.here,
            "region": "us-east-1",
            "id": "0a1b2c3d4e5f60718293a4b5c6d7e8f9",
            "type": "Discovery:IAMUser/AnomalousBehavior",
            "severity": 5.0,
            "resource": {
                "resourceType": "AccessKey",
                "accessKeyDetails": {
                    "accessKeyId": "ASIARANGEFINDING",
                    "principalId": principal_id,
                    "userName": name,
                    "userType": user_type,
                },
            },
            "service": {
                "serviceName": "guardduty",
                "eventLastSeen": self.state.now.to_string(),
                "archived": false,
                "count": 7,
            },
        });
        Accusation::Finding(finding.to_string())
    }
}
