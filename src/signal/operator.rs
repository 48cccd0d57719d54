//! What an operator types: whom it names, by its shape alone.
//!
//! Arrives: one argument. Leaves: [`Given`]. Goes wrong: [`NotUnderstood`], which says what the text is instead. Pure: what
//! has to be asked (whose key it is, what a finding says) is only named here.

use super::claim::RESERVED;
use super::{Suspect, Unresolved};
use crate::ids::*;

/// The longest username that Identity Center has.
const MOST_NAME: usize = 128;

/// What an operator gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Given {
    /// A claim that can be surveyed.
    Suspect(Suspect),
    /// Somebody whom CloudTrail's records alone can tell.
    Unresolved(Unresolved),
    /// A finding that GuardDuty has.
    Finding(Reference),
}

/// Where GuardDuty has a finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// The finding.
    pub id: FindingId,
    /// Its detector, where the reference has one.
    pub detector: Option<DetectorId>,
    /// Its Region, outside of which nobody knows it, where the reference has one.
    pub region: Option<Region>,
}

/// A text that names nobody.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotUnderstood {
    /// Nothing was typed.
    #[error("the username is empty")]
    Empty,
    /// Longer than any username.
    #[error("the username has {0} characters, and Identity Center's have at most {MOST_NAME}")]
    TooLong(usize),
    /// An identifier of something that is nobody, or that does not tell enough.
    #[error("`{}` is {what}", shorten(.given, 80))]
    Nobody {
        /// As typed.
        given: String,
        /// What it is.
        what: &'static str,
        /// What to type instead, a full sentence.
        instead: &'static str,
    },
    /// Something that is misspelt.
    #[error(transparent)]
    NotAnId(#[from] NotAnId),
}

/// Whom one argument names. Everything that has no shape of its own is an Identity Center username, e-mail address or
/// user id, which the directory tells apart.
///
/// # Errors
/// [`NotUnderstood`].
pub fn of_input(given: &str) -> Result<Given, NotUnderstood> {
    let text = given.trim();
    if text.is_empty() {
        return Err(NotUnderstood::Empty);
    }
    if let Some(rest) = text.strip_prefix("https://") {
        return of_url(text, rest).map(Given::Finding);
    }
    if text.starts_with("arn:") {
        return of_arn(text);
    }
    if let Some(given) = of_id(text) {
        return given;
    }
    let length = given.chars().count();
    if length > MOST_NAME {
        return Err(NotUnderstood::TooLong(length));
    }
    let name = given.to_owned();
    Ok(Given::Suspect(Suspect::Named { name }))
}

/// By the prefixes that IAM gives unique ids.
fn of_id(text: &str) -> Option<Result<Given, NotUnderstood>> {
    let (id, name) = match text.split_once(':') {
        Some((id, name)) => (id, Some(name)),
        None => (text, None),
    };
    let prefix = id.get(..4).unwrap_or_default();
    // A username can begin with the same letters; a unique id is all of capitals and digits, and long.
    let is_unique = id.len() >= 16
        && id
            .bytes()
            .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
    if is_unique && prefix == "AROA" {
        return Some(of_role_id(id, name));
    }
    if AccountId::parse(id).is_ok() {
        return Some(of_account(text, name));
    }
    if !is_unique || name.is_some() {
        return None;
    }
    let nobody = |what, instead| Some(Err(nobody(text, what, instead)));
    match prefix {
        "AKIA" | "ASIA" => Some(key(text)),
        "AIDA" => nobody(
            "the unique id of an IAM user, and AWS looks nobody up by it",
            "Name the user by ARN: `quell contain arn:aws:iam::<account>:user/<name>`, or give one of their access keys.",
        ),
        "AGPA" => nobody("the unique id of an IAM group, which signs nothing", OTHERS),
        "AIPA" => nobody(
            "the unique id of an instance profile, which signs nothing",
            ROLE,
        ),
        "ANPA" | "ANVA" => nobody("the unique id of a policy, which signs nothing", OTHERS),
        _ => None,
    }
}

const OTHERS: &str = "Name a user, a role or a session: `quell contain <username or ARN>`.";

const ROLE: &str = "Name its role: `quell contain arn:aws:iam::<account>:role/<name>`.";

fn nobody(given: &str, what: &'static str, instead: &'static str) -> NotUnderstood {
    NotUnderstood::Nobody {
        given: given.to_owned(),
        what,
        instead,
    }
}

/// `AROA…`, or `AROA…:<session>`.
fn of_role_id(id: &str, session: Option<&str>) -> Result<Given, NotUnderstood> {
    let role_id = RoleId::parse(id)?;
    let (account, role) = (None, String::new());
    Ok(Given::Suspect(match session {
        Some(session) => Suspect::RoleSession {
            session: SessionName::parse(session)?,
            role_id,
            role,
            account,
        },
        None => Suspect::Role {
            account,
            role,
            role_id: Some(role_id),
        },
    }))
}

/// `<account>:<name>`, the `aws:userid` of a federated user.
fn of_account(text: &str, name: Option<&str>) -> Result<Given, NotUnderstood> {
    if name.is_none() {
        return Err(nobody(
            text,
            "an account, and a whole account is nobody to deny",
            "Name its root user: `quell contain arn:aws:iam::<account>:root`; or whoever is meant in it, by ARN.",
        ));
    }
    let principal_id = SessionUserId::parse(text)?.into();
    Ok(Given::Suspect(Suspect::FederatedUser { principal_id }))
}

fn key(text: &str) -> Result<Given, NotUnderstood> {
    let (key, account) = (AccessKeyId::parse(text)?, None);
    Ok(Given::Unresolved(Unresolved::AccessKey { key, account }))
}

fn of_arn(arn: &str) -> Result<Given, NotUnderstood> {
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    let [_, partition, service, region, account, resource] = parts.as_slice() else {
        return Err(misspelt(arn));
    };
    Partition::parse(*partition)?;
    match *service {
        "iam" => of_iam(arn, account, resource).map(Given::Suspect),
        "sts" => of_sts(arn, account, resource),
        "identitystore" => match resource.strip_prefix("user/") {
            Some(id) => {
                let name = UserId::parse(id)?.into();
                Ok(Given::Suspect(Suspect::Named { name }))
            }
            None => Err(nobody(arn, "no user of Identity Center's", OTHERS)),
        },
        "guardduty" => {
            // detector/<detector>/finding/<id>
            let inside = resource.strip_prefix("detector/");
            let (detector, id) = inside
                .and_then(|inside| inside.split_once("/finding/"))
                .ok_or_else(|| misspelt(arn))?;
            Ok(Given::Finding(Reference {
                id: FindingId::parse(id)?,
                detector: Some(DetectorId::parse(detector)?),
                region: Some(Region::parse(*region)?),
            }))
        }
        _ => Err(nobody(
            arn,
            "the ARN of something that calls nothing",
            OTHERS,
        )),
    }
}

fn misspelt(arn: &str) -> NotUnderstood {
    NotUnderstood::NotAnId(NotAnId {
        what: "the ARN of a user, a role, a session or a finding",
        shape: "arn:aws:iam::<account>:user/<path/name>, …:role/<path/name>, …:root, \
                arn:aws:sts::<account>:assumed-role/<role>/<session> or …:federated-user/<name>",
        given: arn.to_owned(),
    })
}

/// Users, roles and root, whose paths are no part of their names.
fn of_iam(arn: &str, account: &str, resource: &str) -> Result<Suspect, NotUnderstood> {
    let last = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
    let whose = || AccountId::parse(account).map(Some);
    if resource == "root" {
        return Ok(Suspect::Root { account: whose()? });
    }
    match resource.split_once('/') {
        Some(("user", path)) => Ok(Suspect::IamUser {
            principal_id: None,
            name: IamUserName::parse(last(path))?,
            account: whose()?,
        }),
        Some(("role", path)) => Ok(Suspect::Role {
            account: whose()?,
            role: RoleName::parse(last(path))?.into(),
            role_id: None,
        }),
        Some(("group", _)) => Err(nobody(arn, "a group, which signs nothing", OTHERS)),
        Some(("instance-profile", _)) => Err(nobody(
            arn,
            "an instance profile, which signs nothing",
            ROLE,
        )),
        Some(("saml-provider" | "oidc-provider", _)) => Err(nobody(
            arn,
            "an identity provider, which signs nothing",
            OTHERS,
        )),
        Some(("policy", _)) => Err(nobody(arn, "a policy, which signs nothing", OTHERS)),
        _ => Err(misspelt(arn)),
    }
}

/// Sessions. A permission set's is named after the person, whom the directory knows; of any other role the ARN lacks the
/// id, which its sessions are denied by.
fn of_sts(arn: &str, account: &str, resource: &str) -> Result<Given, NotUnderstood> {
    let account = AccountId::parse(account)?;
    if let Some(name) = resource.strip_prefix("federated-user/") {
        let name = FederatedName::parse(name)?;
        let principal_id = format!("{account}:{name}");
        return Ok(Given::Suspect(Suspect::FederatedUser { principal_id }));
    }
    let (role, session) = resource
        .strip_prefix("assumed-role/")
        .and_then(|rest| rest.split_once('/'))
        .ok_or_else(|| misspelt(arn))?;
    let (role, session) = (RoleName::parse(role)?, SessionName::parse(session)?);
    if role.as_str().starts_with(RESERVED) {
        let name = session.into();
        return Ok(Given::Suspect(Suspect::Named { name }));
    }
    let whose = Unresolved::Session {
        account,
        role,
        session,
    };
    Ok(Given::Unresolved(whose))
}

/// Where the console is.
const CONSOLES: [&str; 3] = [
    "console.aws.amazon.com",
    "console.amazonaws-us-gov.com",
    "console.amazonaws.cn",
];

/// The address of a finding in GuardDuty's console. It is only read, never asked.
fn of_url(url: &str, rest: &str) -> Result<Reference, NotUnderstood> {
    let not = || {
        nobody(
            url,
            "no address of a finding in GuardDuty's console",
            "Open the finding in the console and copy its address, or give its ARN: `quell contain --finding <ARN>`.",
        )
    };
    let (host, path) = rest.split_once('/').ok_or_else(not)?;
    let is_console = |console: &&str| {
        let before = host.strip_suffix(*console);
        before.is_some_and(|before| before.is_empty() || before.ends_with('.'))
    };
    if !CONSOLES.iter().any(is_console) || !path.starts_with("guardduty/") {
        return Err(not());
    }
    // …/guardduty/home?region=<region>#/findings?macros=current&fId=<id>, or &search=id%3D<id>
    let (mut id, mut region) = (None, host.split('.').next());
    for pair in path.split(['?', '&', '#']) {
        let Some((key, value)) = pair.split_once('=') else {
            continue;
        };
        match key.to_ascii_lowercase().as_str() {
            "region" => region = Some(value),
            "fid" => id = Some(value),
            "search" => {
                let searched = ["id%3D", "id%3d", "id="];
                let of_search = searched.iter().find_map(|name| value.strip_prefix(name));
                id = id.or(of_search);
            }
            _ => {}
        }
    }
    Ok(Reference {
        id: FindingId::parse(id.ok_or_else(not)?)?,
        detector: None,
        region: region.and_then(|region| Region::parse(region).ok()),
    })
}
