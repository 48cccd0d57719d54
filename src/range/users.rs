//! IAM users on the range: their keys, passwords and inline policies, and the temporary sessions that STS gives them
//! (aws-facts §10, §12).
//!
//! A user's inline policies bind them and every session that they made: those of `GetSessionToken` are the user's own,
//! those of `GetFederationToken` have another `aws:userid` and are held by the user's policies all the same. Switching a
//! key off ends neither.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use crate::ids::*;
use crate::policy::document::Document;
use crate::range::build::SECRET;
use crate::range::state::{Account, Inline, Session, State};
use crate::range::wire::{Asked, Refusal, escape, unsupported};

/// The most characters of all inline policies of a user together, white space not counted.
const MOST_CHARACTERS: usize = 2_048;

/// The longest that a user's temporary session lives, in seconds: 36 hours (aws-facts §10).
pub(super) const LONGEST: i64 = 129_600;

/// How long it lives if nobody says, in seconds.
const USUAL: i64 = 43_200;

/// An IAM user.
#[derive(Debug, Clone, PartialEq)]
pub struct IamUser {
    /// `AIDA…`.
    pub id: IamUserId,
    /// Their access keys, and whether each is active.
    pub keys: BTreeMap<String, bool>,
    /// Whether they have a password.
    pub login_profile: bool,
    /// Their inline policies, by name.
    pub inline: BTreeMap<String, Inline>,
    /// The ARNs of their managed policies, which are listed and decide nothing here.
    pub attached: BTreeSet<String>,
}

/// Adds a user's long-term key to those that can sign.
pub(super) fn sign_with(state: &mut State, account: &AccountId, name: &str, key: &str) {
    let users = state.accounts.get_mut(account).map(|it| &mut it.users);
    let Some(user) = users.and_then(|users| users.get_mut(name)) else {
        return;
    };
    user.keys.insert(key.to_owned(), true);
    let arn = format!("arn:aws:iam::{account}:user/{name}");
    let session = Session {
        account: account.clone(),
        arn: arn.clone(),
        principal_arn: arn,
        user_id: user.id.to_string(),
        source_identity: None,
        directory_user: None,
        issued: None,
        expires: None,
        token: None,
        policy: None,
        behind: Some(name.to_owned()),
        assumed_root: false,
    };
    state.sessions.insert(key.to_owned(), session);
}

/// Whether a long-term key is one that its user may sign with.
pub(super) fn is_active(state: &State, key: &str, session: &Session) -> bool {
    let user = user_behind(state, session);
    // A key that belongs to no user of ours, as the operator's, is always good.
    session.token.is_some() || user.is_none_or(|user| user.keys.get(key) == Some(&true))
}

/// The user whose policies bind a session, if one is behind it.
pub(super) fn user_behind<'a>(state: &'a State, session: &Session) -> Option<&'a IamUser> {
    let name = session.behind.as_ref()?;
    state.accounts.get(&session.account)?.users.get(name)
}

/// The operations about one user. What else there is must not be answered as if the user were missing.
const OF_ONE: [&str; 12] = [
    "GetUser",
    "ListAccessKeys",
    "UpdateAccessKey",
    "GetLoginProfile",
    "CreateLoginProfile",
    "UpdateLoginProfile",
    "DeleteLoginProfile",
    "ListAttachedUserPolicies",
    "ListUserPolicies",
    "GetUserPolicy",
    "PutUserPolicy",
    "DeleteUserPolicy",
];

/// Answers the operations of IAM about users, in the account of whoever asks.
pub(super) fn perform(
    state: &mut State,
    session: &Session,
    asked: &Asked,
) -> Result<String, Refusal> {
    let account = session.account.clone();
    let now = state.now;
    // Drawn for whoever needs one, so that no other call changes what is drawn next.
    let id = match asked.operation.as_str() {
        "CreateUser" => state.draw(16, b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"),
        _ => String::new(),
    };
    let users = state.accounts.get_mut(&account).map(|it| &mut it.users);
    let Some(users) = users else {
        return Err(unsupported(asked));
    };
    if asked.operation == "CreateUser" {
        return create(
            users,
            &account,
            asked.text("UserName"),
            &format!("AIDA{id}"),
        );
    }
    if asked.operation == "ListUsers" {
        let shown = users
            .iter()
            .map(|(name, user)| format!("<member>{}</member>", described(&account, name, user)));
        let shown: String = shown.collect();
        return Ok(format!(
            "<IsTruncated>false</IsTruncated><Users>{shown}</Users>"
        ));
    }
    if !OF_ONE.contains(&asked.operation.as_str()) {
        return Err(unsupported(asked));
    }
    // Without a name it is about the caller, if they are a user.
    let name = match asked.text("UserName") {
        "" => session.behind.as_deref().unwrap_or_default(),
        name => name,
    };
    let user = users
        .get_mut(name)
        .ok_or_else(|| missing(&format!("The user with name {name} cannot be found.")))?;
    let shown_name = escape(name);
    match asked.operation.as_str() {
        "GetUser" => Ok(format!("<User>{}</User>", described(&account, name, user))),
        "ListAccessKeys" => {
            let keys = user.keys.iter().map(|(key, active)| {
                let status = if *active { "Active" } else { "Inactive" };
                format!("<member><UserName>{shown_name}</UserName><AccessKeyId>{key}</AccessKeyId><Status>{status}</Status><CreateDate>2026-01-01T00:00:00Z</CreateDate></member>")
            });
            let keys: String = keys.collect();
            Ok(format!(
                "<IsTruncated>false</IsTruncated><AccessKeyMetadata>{keys}</AccessKeyMetadata>"
            ))
        }
        "UpdateAccessKey" => {
            let active = match asked.text("Status") {
                "Active" => true,
                "Inactive" => false,
                _ => return Err(invalid("Status is Active or Inactive.")),
            };
            let key = user.keys.get_mut(asked.text("AccessKeyId"));
            *key.ok_or_else(|| missing("The Access Key cannot be found."))? = active;
            Ok(String::new())
        }
        "GetLoginProfile" if user.login_profile => Ok(format!(
            "<LoginProfile><UserName>{shown_name}</UserName><CreateDate>2026-01-01T00:00:00Z</CreateDate><PasswordResetRequired>false</PasswordResetRequired></LoginProfile>"
        )),
        "DeleteLoginProfile" if user.login_profile => {
            user.login_profile = false;
            Ok(String::new())
        }
        "CreateLoginProfile" if user.login_profile => Err(Refusal::new(
            409,
            "EntityAlreadyExists",
            &format!("Login Profile for User {name} already exists."),
        )),
        "CreateLoginProfile" => {
            user.login_profile = true;
            Ok(format!(
                "<LoginProfile><UserName>{shown_name}</UserName><CreateDate>{now}</CreateDate><PasswordResetRequired>false</PasswordResetRequired></LoginProfile>"
            ))
        }
        "UpdateLoginProfile" if user.login_profile => Ok(String::new()),
        "GetLoginProfile" | "UpdateLoginProfile" | "DeleteLoginProfile" => Err(missing(&format!(
            "Login Profile for User {name} cannot be found."
        ))),
        "ListAttachedUserPolicies" => {
            let policies = user.attached.iter().map(|arn| {
                let name = arn.rsplit('/').next().unwrap_or_default();
                format!(
                    "<member><PolicyName>{}</PolicyName><PolicyArn>{}</PolicyArn></member>",
                    escape(name),
                    escape(arn)
                )
            });
            let policies: String = policies.collect();
            Ok(format!(
                "<IsTruncated>false</IsTruncated><AttachedPolicies>{policies}</AttachedPolicies>"
            ))
        }
        _ => inline(name, user, asked),
    }
}

/// Answers `CreateUser`: somebody without keys, password or policies.
fn create(
    users: &mut BTreeMap<String, IamUser>,
    account: &AccountId,
    name: &str,
    id: &str,
) -> Result<String, Refusal> {
    let (Ok(_), Ok(id)) = (IamUserName::parse(name), IamUserId::parse(id)) else {
        return Err(invalid("userName: 1 to 64 of A-Z a-z 0-9 _ + = , . @ -"));
    };
    if users.contains_key(name) {
        let message = format!("User with name {name} already exists.");
        return Err(Refusal::new(409, "EntityAlreadyExists", &message));
    }
    let user = IamUser {
        id,
        keys: BTreeMap::new(),
        login_profile: false,
        inline: BTreeMap::new(),
        attached: BTreeSet::new(),
    };
    let shown = format!("<User>{}</User>", described(account, name, &user));
    users.insert(name.to_owned(), user);
    Ok(shown)
}

/// Answers the operations about a user's inline policies.
fn inline(name: &str, user: &mut IamUser, asked: &Asked) -> Result<String, Refusal> {
    let policy = asked.text("PolicyName");
    let none = || {
        missing(&format!(
            "The user policy with name {policy} cannot be found."
        ))
    };
    match asked.operation.as_str() {
        "ListUserPolicies" => {
            let names = user.inline.keys();
            let names: String = names
                .map(|name| format!("<member>{}</member>", escape(name)))
                .collect();
            Ok(format!(
                "<IsTruncated>false</IsTruncated><PolicyNames>{names}</PolicyNames>"
            ))
        }
        "GetUserPolicy" => {
            let inline = user.inline.get(policy).ok_or_else(none)?;
            // IAM gives documents percent-encoded, spaces too.
            let document: String =
                form_urlencoded::byte_serialize(inline.text.as_bytes()).collect();
            let document = document.replace('+', "%20");
            Ok(format!(
                "<UserName>{}</UserName><PolicyName>{}</PolicyName><PolicyDocument>{document}</PolicyDocument>",
                escape(name),
                escape(policy)
            ))
        }
        "PutUserPolicy" => {
            let text = asked.text("PolicyDocument");
            let malformed = |message: &str| Refusal::new(400, "MalformedPolicyDocument", message);
            let new = Inline::parse(text).map_err(|error| malformed(&error.to_string()))?;
            if !(1..=128).contains(&policy.len()) {
                return Err(invalid("A policy's name has 1 to 128 characters."));
            }
            let others = user.inline.iter().filter(|(name, _)| *name != policy);
            let all = others.map(|(_, inline)| inline.text.as_str()).chain([text]);
            let characters = all.flat_map(str::chars).filter(|c| !c.is_whitespace());
            if characters.count() > MOST_CHARACTERS {
                let message = format!(
                    "Maximum policy size of {MOST_CHARACTERS} bytes exceeded for user {name}"
                );
                return Err(Refusal::new(409, "LimitExceeded", &message));
            }
            user.inline.insert(policy.to_owned(), new);
            Ok(String::new())
        }
        "DeleteUserPolicy" => match user.inline.remove(policy) {
            Some(_) => Ok(String::new()),
            None => Err(none()),
        },
        _ => Err(unsupported(asked)),
    }
}

/// `GetSessionToken` and `GetFederationToken`: a user's temporary sessions.
pub(super) fn temporary(
    state: &mut State,
    caller: &Session,
    asked: &Asked,
) -> Result<String, Refusal> {
    if caller.issued.is_some() {
        let message = format!("Cannot call {} with session credentials", asked.operation);
        return Err(Refusal::new(403, "AccessDenied", &message));
    }
    let seconds = match asked.text("DurationSeconds") {
        "" => Some(USUAL),
        given => given.parse().ok(),
    };
    let seconds = seconds
        .filter(|seconds| (900..=LONGEST).contains(seconds))
        .ok_or_else(|| invalid("durationSeconds: 900 to 129600."))?;
    let lives = SignedDuration::from_secs(seconds);
    let mut about = String::new();
    let session = if asked.operation == "GetFederationToken" {
        let name = FederatedName::parse(asked.text("Name"))
            .map_err(|error| invalid(&format!("name: {error}")))?;
        // What is asked for is all they get, and without asking they get nothing.
        let policy = match asked.text("Policy") {
            "" => Document::new(Vec::new()),
            text => Document::parse(text).map_err(|error| {
                Refusal::new(400, "MalformedPolicyDocument", &error.to_string())
            })?,
        };
        let session = federated(caller, state.now, lives, &name, policy);
        about = format!(
            "<FederatedUser><FederatedUserId>{}</FederatedUserId><Arn>{}</Arn></FederatedUser>",
            session.user_id, session.arn
        );
        session
    } else {
        session_token(caller, state.now, lives)
    };
    let key = give(state, session);
    let expires = state.now + lives;
    Ok(format!(
        "<Credentials><AccessKeyId>{key}</AccessKeyId><SecretAccessKey>{SECRET}</SecretAccessKey><SessionToken>{}</SessionToken><Expiration>{expires}</Expiration></Credentials>{about}",
        token_of(&key)
    ))
}

/// A user's own temporary session.
pub(super) fn session_token(caller: &Session, now: Timestamp, lives: SignedDuration) -> Session {
    Session {
        issued: Some(now),
        expires: Some(now + lives),
        ..caller.clone()
    }
}

/// The session of somebody that a user vouches for.
pub(super) fn federated(
    caller: &Session,
    now: Timestamp,
    lives: SignedDuration,
    name: &FederatedName,
    policy: Document,
) -> Session {
    let arn = format!("arn:aws:sts::{}:federated-user/{name}", caller.account);
    Session {
        arn: arn.clone(),
        principal_arn: arn,
        user_id: format!("{}:{name}", caller.account),
        policy: Some(Arc::new(policy)),
        ..session_token(caller, now, lives)
    }
}

/// Gives out a temporary session: its access key.
pub(super) fn give(state: &mut State, session: Session) -> String {
    let key = state.new_key();
    let session = Session {
        token: Some(token_of(&key)),
        ..session
    };
    state.sessions.insert(key.clone(), session);
    key
}

fn token_of(key: &str) -> String {
    format!("practice-token-{key}")
}

/// How many users an account has, for its summary.
pub(super) fn count(account: Option<&Account>) -> usize {
    account.map_or(0, |account| account.users.len())
}

fn described(account: &AccountId, name: &str, user: &IamUser) -> String {
    let (name, id) = (escape(name), &user.id);
    format!(
        "<Path>/</Path><UserName>{name}</UserName><UserId>{id}</UserId><Arn>arn:aws:iam::{account}:user/{name}</Arn><CreateDate>2026-01-01T00:00:00Z</CreateDate>"
    )
}

fn missing(message: &str) -> Refusal {
    Refusal::new(404, "NoSuchEntity", message)
}

fn invalid(message: &str) -> Refusal {
    Refusal::new(400, "ValidationError", message)
}
