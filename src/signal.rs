//! What started it: a GuardDuty finding in any of its forms, read into the suspects it names.
//!
//! Arrives: text that a stranger wrote. Leaves: [`Finding`]s, each with the [`Suspect`]s it accuses or the reason
//! why nobody in it can be contained ([`Nobody`]). Goes wrong: [`ReadError`], which says where in the text.
//!
//! The forms differ by tool, not by meaning, and all are read by the same code: `GetFindings` output and CLI lists
//! (PascalCase), the finding itself (camelCase), the EventBridge envelope (`detail`, with either casing inside) and
//! an SNS notification around it. Keys are therefore compared without case; values never are. A finding's text is
//! untrusted: what becomes an identifier passes [`crate::ids`] first, and the rest is shown only through the
//! report's cleaning.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::ids::*;

/// More than any finding or page of 50 findings; a larger text is a mistake or an attack on our memory.
pub const MOST_BYTES: usize = 10 * 1024 * 1024;

/// Envelopes inside envelopes (SNS around EventBridge around a list) end here.
const MOST_ENVELOPES: usize = 4;

/// One finding, as far as quell needs it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
    /// The finding's id, as text: masked and test findings carry things that are no ids.
    pub id: String,
    /// `UnauthorizedAccess:IAMUser/TorIPCaller` and the like.
    #[serde(rename = "type")]
    pub kind: String,
    /// GuardDuty's severity, 1.0 to 10.0.
    pub severity: Option<f64>,
    /// The account it is about.
    pub account: Option<AccountId>,
    /// The Region that raised it.
    pub region: Option<Region>,
    /// When the activity was last seen.
    pub last_seen: Option<Timestamp>,
    /// Where the calls came from.
    pub remote_ip: Option<String>,
    /// Whom it accuses.
    pub who: Who,
}

/// Whom a finding accuses.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Who {
    /// At least one AWS principal.
    Suspects(Vec<Suspect>),
    /// No AWS principal that a deny could name.
    Nobody(Nobody),
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
        /// The role's name; empty where the signal has none.
        role: String,
        /// The account of the session, if the signal has a proper one.
        account: Option<AccountId>,
    },
    /// A role, whoever uses it: every session that it has now.
    Role {
        /// The account, if the signal has a proper one.
        account: Option<AccountId>,
        /// The role's name; empty where the signal has none.
        role: String,
        /// The role's unique id, if the signal has it.
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

    /// Whom an ARN names, as an operator types it: `arn:aws:iam::<account>:user/<path/name>`.
    ///
    /// # Errors
    /// [`NotAnId`] when it is not an IAM user's.
    pub fn of_arn(arn: &str) -> Result<Self, NotAnId> {
        let parts: Vec<&str> = arn.splitn(6, ':').collect();
        let user = match parts.as_slice() {
            ["arn", _, "iam", "", account, resource] => resource
                .strip_prefix("user/")
                .and_then(|user| user.rsplit('/').next())
                .map(|name| (*account, name)),
            _ => None,
        };
        let (account, name) = user.ok_or_else(|| NotAnId {
            what: "the ARN of an IAM user",
            shape: "arn:aws:iam::<account>:user/<path/name>",
            given: arn.to_owned(),
        })?;
        Ok(Suspect::IamUser {
            principal_id: None,
            name: IamUserName::parse(name)?,
            account: Some(AccountId::parse(account)?),
        })
    }
}

/// Why a finding accuses nobody whom an SCP could deny.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum Nobody {
    /// `CreateSampleFindings` made it up.
    #[error("it is a GuardDuty sample: its principal does not exist")]
    Sample,
    /// A user of a database.
    #[error("it accuses a database user, who is not an AWS principal")]
    DatabaseUser,
    /// A user of a Kubernetes cluster.
    #[error("it accuses a Kubernetes user, who is not an AWS principal")]
    KubernetesUser,
    /// Network activity of an instance.
    #[error("it is about an instance's network activity and names no AWS principal")]
    Instance,
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
            Nobody::Sample => "To practise with a whole organization, run `quell drill`.",
            Nobody::DatabaseUser => {
                "Lock the user in the database itself and close its security group."
            }
            Nobody::KubernetesUser => {
                "Remove the subject's role bindings in the cluster, and rotate its tokens."
            }
            Nobody::Instance => {
                "Isolate the instance with its security groups; if its role's credentials left it, GuardDuty raises an \
                 InstanceCredentialExfiltration finding, which names the session."
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
    /// Not JSON.
    #[error("the finding is not JSON: {0}")]
    NotJson(String),
    /// A list of findings without any.
    #[error("the list holds no finding")]
    NoFindings,
    /// JSON, but something else; the text says what.
    #[error("{0}")]
    NotAFinding(String),
    /// A field of another type than every finding has there.
    #[error("at {path}: expected {expected}")]
    WrongType {
        /// Where in the text.
        path: String,
        /// What should be there.
        expected: &'static str,
    },
}

/// Reads every finding in a text, whatever envelope it came in.
///
/// # Errors
/// [`ReadError`], when there is none or one of them has a field of the wrong type.
pub fn read(text: &str) -> Result<Vec<Finding>, ReadError> {
    if text.len() > MOST_BYTES {
        return Err(ReadError::TooLarge);
    }
    let text = text.trim_start_matches('\u{feff}').trim();
    if text.is_empty() {
        return Err(ReadError::Empty);
    }
    // serde_json refuses nesting deeper than 128, so no input can exhaust the stack here or below.
    let value: Value =
        serde_json::from_str(text).map_err(|error| ReadError::NotJson(error.to_string()))?;
    let mut findings = Vec::new();
    unwrap(&value, "$", 0, &mut findings)?;
    if findings.is_empty() {
        Err(ReadError::NoFindings)
    } else {
        Ok(findings)
    }
}

/// Takes envelopes off until findings are left.
fn unwrap(
    value: &Value,
    path: &str,
    depth: usize,
    found: &mut Vec<Finding>,
) -> Result<(), ReadError> {
    if depth > MOST_ENVELOPES {
        return Err(ReadError::NotAFinding(format!(
            "at {path}: more than {MOST_ENVELOPES} envelopes around the finding"
        )));
    }
    match value {
        Value::Array(list) => {
            for (i, item) in list.iter().enumerate() {
                unwrap(item, &format!("{path}[{i}]"), depth + 1, found)?;
            }
            Ok(())
        }
        Value::Object(object) => {
            if let Some(list @ Value::Array(_)) = get(object, "findings") {
                return unwrap(list, &format!("{path}.findings"), depth + 1, found);
            }
            if let Some(detail) = get(object, "detail") {
                return unwrap(detail, &format!("{path}.detail"), depth + 1, found);
            }
            if let (Some(Value::String(message)), Some(_)) =
                (get(object, "message"), get(object, "topicArn"))
            {
                let inner = serde_json::from_str(message)
                    .map_err(|error| ReadError::NotJson(format!("at {path}.Message: {error}")))?;
                return unwrap(&inner, &format!("{path}.Message"), depth + 1, found);
            }
            if get(object, "productArn").is_some() || get(object, "awsAccountId").is_some() {
                return Err(ReadError::NotAFinding(format!(
                    "at {path}: this is a Security Hub finding; give the GuardDuty finding it came from"
                )));
            }
            if get(object, "userIdentity").is_some() {
                return Err(ReadError::NotAFinding(format!(
                    "at {path}: this is a CloudTrail event, not a finding"
                )));
            }
            found.push(finding(object, path)?);
            Ok(())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            Err(ReadError::NotAFinding(format!(
                "at {path}: expected a finding, which is a JSON object"
            )))
        }
    }
}

fn finding(object: &Map<String, Value>, path: &str) -> Result<Finding, ReadError> {
    let Some(kind) = text(object, "type", path)? else {
        return Err(ReadError::NotAFinding(format!(
            "at {path}: this is not a GuardDuty finding: it has no `type`"
        )));
    };
    let service = child(object, "service", path)?;
    let severity = match get(object, "severity") {
        None | Some(Value::Null) => None,
        Some(value) => Some(
            value
                .as_f64()
                .ok_or_else(|| wrong(path, "severity", "a number"))?,
        ),
    };
    let account = text(object, "accountId", path)?;
    let last_seen = match service {
        Some(service) => text(service, "eventLastSeen", &format!("{path}.service"))?,
        None => None,
    };
    Ok(Finding {
        id: text(object, "id", path)?.unwrap_or_default().to_owned(),
        kind: kind.to_owned(),
        severity,
        account: account.and_then(|account| AccountId::parse(account).ok()),
        region: text(object, "region", path)?.and_then(|region| Region::parse(region).ok()),
        last_seen: last_seen.and_then(|moment| moment.parse().ok()),
        remote_ip: service.and_then(remote_ip).map(str::to_owned),
        who: who(object, path)?,
    })
}

/// `service.action.<any>Action.remoteIpDetails.ipAddressV4`.
fn remote_ip(service: &Map<String, Value>) -> Option<&str> {
    let action = get(service, "action")?.as_object()?;
    let details = action
        .values()
        .filter_map(Value::as_object)
        .find_map(|action| get(action, "remoteIpDetails"))?;
    get(details.as_object()?, "ipAddressV4")?.as_str()
}

/// Looks for the principal where findings carry one: the access key block wherever the resource has it (not only
/// under the resource type `AccessKey`), else the actors of an attack sequence.
fn who(object: &Map<String, Value>, path: &str) -> Result<Who, ReadError> {
    let account = get(object, "accountId")
        .and_then(Value::as_str)
        .and_then(|account| AccountId::parse(account).ok());
    let resource = child(object, "resource", path)?;
    let path = format!("{path}.resource");
    if let Some(resource) = resource
        && let Some(key) = child(resource, "accessKeyDetails", &path)?
    {
        let path = format!("{path}.accessKeyDetails");
        let claim = Claim {
            user_type: text(key, "userType", &path)?.unwrap_or_default(),
            principal_id: text(key, "principalId", &path)?.unwrap_or_default(),
            name: text(key, "userName", &path)?.unwrap_or_default(),
            account,
            path,
        };
        return Ok(match claim.suspect() {
            Ok(suspect) => Who::Suspects(vec![suspect]),
            Err(nobody) => Who::Nobody(nobody),
        });
    }
    if let Some(who) = actors(object, account)? {
        return Ok(who);
    }
    let has = |key: &str| {
        resource
            .and_then(|resource| get(resource, key))
            .is_some_and(|value| !value.is_null())
    };
    Ok(Who::Nobody(if has("rdsDbUserDetails") {
        Nobody::DatabaseUser
    } else if has("kubernetesDetails") {
        Nobody::KubernetesUser
    } else if has("instanceDetails") {
        Nobody::Instance
    } else {
        Nobody::Unnamed
    }))
}

/// The actors of an attack sequence. Which of `user.uid` and `user.name` holds the principal id is not documented
/// (aws-facts §3), so the one of the right shape is taken.
fn actors(
    object: &Map<String, Value>,
    account: Option<AccountId>,
) -> Result<Option<Who>, ReadError> {
    let sequence = ["service", "detection", "sequence"]
        .iter()
        .try_fold(object, |at, key| get(at, key)?.as_object());
    let Some(Value::Array(actors)) = sequence.and_then(|sequence| get(sequence, "actors")) else {
        return Ok(None);
    };
    let mut suspects = Vec::new();
    let mut nobody = Nobody::Unnamed;
    for (i, actor) in actors.iter().enumerate() {
        let path = format!("$.service.detection.sequence.actors[{i}]");
        let Some(actor) = actor.as_object() else {
            return Err(wrong(&path, "", "an object"));
        };
        let Some(user) = child(actor, "user", &path)? else {
            continue;
        };
        let path = format!("{path}.user");
        let uid = text(user, "uid", &path)?.unwrap_or_default();
        let name = text(user, "name", &path)?.unwrap_or_default();
        let issuer = match child(actor, "session", &path)? {
            Some(session) => text(session, "issuer", &path)?.and_then(|arn| arn.rsplit('/').next()),
            None => None,
        };
        let (principal_id, name) = if name.starts_with("AROA") {
            (name, uid)
        } else {
            (uid, name)
        };
        let claim = Claim {
            user_type: text(user, "type", &path)?.unwrap_or_default(),
            principal_id,
            name: issuer.unwrap_or(name),
            account: account.clone(),
            path,
        };
        match claim.suspect() {
            Ok(suspect) if suspects.contains(&suspect) => {}
            Ok(suspect) => suspects.push(suspect),
            Err(why) => nobody = why,
        }
    }
    Ok(Some(if suspects.is_empty() {
        Who::Nobody(nobody)
    } else {
        Who::Suspects(suspects)
    }))
}

/// What one block of a finding says about its principal, in CloudTrail's words.
struct Claim<'a> {
    user_type: &'a str,
    principal_id: &'a str,
    name: &'a str,
    account: Option<AccountId>,
    path: String,
}

impl Claim<'_> {
    fn suspect(self) -> Result<Suspect, Nobody> {
        let generated = |text: &str| text.starts_with("GeneratedFinding");
        if generated(self.principal_id) || generated(self.name) || generated(self.user_type) {
            return Err(Nobody::Sample);
        }
        match self.user_type {
            "AssumedRole" | "Role" => self.session(),
            "IAMUser" => self.iam_user(),
            "Root" => Ok(Suspect::Root {
                account: self.account,
            }),
            "FederatedUser" if self.principal_id.contains(':') => Ok(Suspect::FederatedUser {
                principal_id: self.principal_id.to_owned(),
            }),
            "FederatedUser" => Err(self.not_real("a federated user's id is <account>:<name>")),
            _ => Err(Nobody::Unnamed),
        }
    }

    fn session(self) -> Result<Suspect, Nobody> {
        let Some((role_id, session)) = self.principal_id.split_once(':') else {
            return Err(self.not_real("a role session's id is <role id>:<session name>"));
        };
        let role_id = RoleId::parse(role_id).map_err(|error| self.not_real(error))?;
        let session = SessionName::parse(session).map_err(|error| self.not_real(error))?;
        let role = self.name.to_owned();
        Ok(if role.starts_with("AWSReservedSSO_") {
            Suspect::PermissionSetSession {
                session,
                role_id,
                role,
                account: self.account,
            }
        } else {
            Suspect::RoleSession {
                session,
                role_id,
                role,
                account: self.account,
            }
        })
    }

    fn iam_user(self) -> Result<Suspect, Nobody> {
        let id = IamUserId::parse(self.principal_id).map_err(|error| self.not_real(error))?;
        let name = IamUserName::parse(self.name).map_err(|error| Nobody::NotReal {
            path: format!("{}.userName", self.path),
            why: error.to_string(),
        })?;
        Ok(Suspect::IamUser {
            principal_id: Some(id),
            name,
            account: self.account,
        })
    }

    fn not_real(&self, why: impl ToString) -> Nobody {
        Nobody::NotReal {
            path: format!("{}.principalId", self.path),
            why: why.to_string(),
        }
    }
}

/// A field by name, whatever the case of its letters: tools disagree on casing, findings mix them.
fn get<'a>(object: &'a Map<String, Value>, key: &str) -> Option<&'a Value> {
    object.get(key).or_else(|| {
        object
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(key))
            .map(|(_, value)| value)
    })
}

fn text<'a>(
    object: &'a Map<String, Value>,
    key: &str,
    path: &str,
) -> Result<Option<&'a str>, ReadError> {
    match get(object, key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(wrong(path, key, "a string")),
    }
}

fn child<'a>(
    object: &'a Map<String, Value>,
    key: &str,
    path: &str,
) -> Result<Option<&'a Map<String, Value>>, ReadError> {
    match get(object, key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(child)) => Ok(Some(child)),
        Some(_) => Err(wrong(path, key, "an object")),
    }
}

fn wrong(path: &str, key: &str, expected: &'static str) -> ReadError {
    let path = if key.is_empty() {
        path.to_owned()
    } else {
        format!("{path}.{key}")
    };
    ReadError::WrongType { path, expected }
}
