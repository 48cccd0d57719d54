//! The deny: from identities to the document that refuses them everything.
//!
//! Arrives: an incident and the [`Identity`]s it is about, of any kind. Leaves: a [`Document`] with one statement for
//! each key that can name them, whose values name them all. Goes wrong: [`NothingToDeny`], when no key can, because a
//! statement with an empty condition list must never be written (R12); [`DoesNotFit`], when AWS would refuse the size.
//!
//! One statement per key and never two keys in one, unless both must hold: the operators of one `Condition` are ANDed
//! (aws-facts §1), and an ordinary Identity Center session has no source identity, so a joined statement would let it
//! through. [`evaluate`] judges documents, ours and other people's; [`lint`] finds in them what no linter knows.

pub mod document;

pub mod pattern;

pub mod condition;

pub mod resource;

pub mod evaluate;

pub mod lint;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::ids::*;
use crate::policy::document::{Condition, Document, Effect, Statement, Words};
use crate::principal::{FederatedUser, Identity};

/// The largest SCP, in characters, since May 2026 (aws-facts §0.1).
pub const MOST_CHARACTERS: usize = 10_240;

/// The key of a person's immutable id, carried by every session that the access portal gives out.
pub const USER_ID: &str = "identitystore:UserId";

/// The key of `<role id>:<session name>`, present in every request.
pub const USERID: &str = "aws:userid";

/// The key that follows a session through role chains, if anybody set it.
pub const SOURCE_IDENTITY: &str = "aws:SourceIdentity";

/// The key of the moment when a session's credentials were issued.
pub const TOKEN_ISSUE_TIME: &str = "aws:TokenIssueTime";

/// The key of the moment of a request.
pub const CURRENT_TIME: &str = "aws:CurrentTime";

/// The key of the user, role or root behind a request.
pub const PRINCIPAL_ARN: &str = "aws:PrincipalArn";

/// The key that a centralized root session carries, and a root user's own does not.
pub const ASSUMED_ROOT: &str = "aws:AssumedRoot";

/// No key can name one of them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("nothing can name this principal in a policy: {why}")]
pub struct NothingToDeny {
    /// A lower-case fragment.
    pub why: String,
}

/// The deny is longer than AWS takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a deny of these {of} principals has {characters} characters, and AWS takes {MOST_CHARACTERS}: some {fit} of them fit"
)]
pub struct DoesNotFit {
    /// How many there are.
    pub of: usize,
    /// How many of them, from the first, fit into one document.
    pub fit: usize,
    /// How long the document would be.
    pub characters: usize,
}

/// Why there is no deny.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoDraft {
    /// No key can name them.
    #[error(transparent)]
    Nothing(#[from] NothingToDeny),
    /// It is too long.
    #[error(transparent)]
    DoesNotFit(#[from] DoesNotFit),
}

/// Drafts the deny of these identities (R1, design §5), each statement's Sid naming the incident.
///
/// # Errors
/// [`NothingToDeny`] when nothing can name one of them, or there are none.
pub fn draft<'a>(
    incident: &IncidentId,
    identities: impl IntoIterator<Item = &'a Identity>,
) -> Result<Document, NothingToDeny> {
    let mut keys = Keys::default();
    for identity in identities {
        keys.add(identity)?;
    }
    let statements = keys.statements(incident);
    if statements.is_empty() {
        return Err(NothingToDeny {
            why: "nobody is named".to_owned(),
        });
    }
    Ok(Document::new(statements))
}

/// Refuses a session name that is nobody's but our canary's: by that it is seen whether the rest of the document is enforced,
/// where it names nobody whom a canary could play.
pub fn witness(incident: &IncidentId, bounds: &Bounds) -> Statement {
    let named = Condition {
        operator: "StringLike".to_owned(),
        key: USERID.to_owned(),
        values: vec![format!("*:{}", incident.witness_name())],
    };
    Statement {
        sid: Some(format!("Quell{}Witness", incident.sid_part())),
        effect: Effect::Deny,
        actions: Words::these(["*"]),
        resources: Words::these(["*"]),
        conditions: bounds.conditions().into_iter().chain([named]).collect(),
        unknown: Vec::new(),
    }
}

/// What narrows a deny beside whom it is about: each bound that is set must hold for the deny to apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bounds {
    /// Only sessions issued before this moment: later ones are let through.
    pub issued_before: Option<Timestamp>,
    /// Only until this moment: then it ends by itself.
    pub until: Option<Timestamp>,
}

impl Bounds {
    /// The conditions that say so. A long-term key has no time of issue, and is not refused by a deny of older sessions.
    fn conditions(&self) -> Vec<Condition> {
        let before = |key: &str, moment: Timestamp| Condition {
            operator: "DateLessThan".to_owned(),
            key: key.to_owned(),
            values: vec![moment.to_string()],
        };
        let issued = self.issued_before.map(|at| before(TOKEN_ISSUE_TIME, at));
        let until = self.until.map(|at| before(CURRENT_TIME, at));
        issued.into_iter().chain(until).collect()
    }
}

/// Drafts the deny of these identities, within bounds.
///
/// # Errors
/// As [`draft`].
pub fn draft_within<'a>(
    incident: &IncidentId,
    identities: impl IntoIterator<Item = &'a Identity>,
    bounds: &Bounds,
) -> Result<Document, NothingToDeny> {
    let mut document = draft(incident, identities)?;
    for statement in &mut document.statements {
        let mut conditions = bounds.conditions();
        conditions.append(&mut statement.conditions);
        statement.conditions = conditions;
    }
    Ok(document)
}

/// Drafts the deny of these identities if one document can hold them.
///
/// # Errors
/// [`NoDraft`]; what does not fit says how many from the first would.
pub fn pack(incident: &IncidentId, identities: &[Identity]) -> Result<Document, NoDraft> {
    let document = draft(incident, identities)?;
    let characters = document.characters();
    if characters <= MOST_CHARACTERS {
        return Ok(document);
    }
    let fits = |many: &usize| {
        draft(incident, identities.iter().take(*many))
            .is_ok_and(|document| document.characters() <= MOST_CHARACTERS)
    };
    // One more never makes it shorter.
    let sizes: Vec<usize> = (1..identities.len()).collect();
    Err(NoDraft::DoesNotFit(DoesNotFit {
        of: identities.len(),
        fit: sizes.partition_point(fits),
        characters,
    }))
}

fn nameless() -> NothingToDeny {
    NothingToDeny {
        why: "it has no id, and no name that a session could have".to_owned(),
    }
}

/// Values for each key that can name somebody.
#[derive(Debug, Default)]
struct Keys {
    user_ids: BTreeSet<String>,
    /// Whole `aws:userid`s.
    userids: BTreeSet<String>,
    /// Names of sessions in any role.
    session_names: BTreeSet<SessionName>,
    source_identities: BTreeSet<SessionName>,
    roots: BTreeSet<String>,
    /// Roles by the moment before which their sessions are refused.
    roles_before: BTreeMap<Timestamp, BTreeSet<RoleId>>,
}

impl Keys {
    fn add(&mut self, identity: &Identity) -> Result<(), NothingToDeny> {
        let federated = |user: &FederatedUser| format!("{}:{}", user.account, user.name);
        match identity {
            Identity::IdentityCenterUser {
                user_id,
                session_names,
            } => {
                if user_id.is_none() && session_names.is_empty() {
                    return Err(nameless());
                }
                self.user_ids.extend(user_id.iter().map(UserId::to_string));
                self.session_names.extend(session_names.iter().cloned());
                self.source_identities.extend(session_names.iter().cloned());
            }
            Identity::RoleSession {
                role,
                session,
                source_identity,
            } => {
                self.userids.insert(format!("{role}:{session}"));
                self.source_identities.extend(source_identity.clone());
            }
            Identity::RoleBefore { role, before } => {
                self.roles_before
                    .entry(*before)
                    .or_default()
                    .insert(role.clone());
            }
            Identity::IamUser {
                user,
                name,
                federated: others,
            } => {
                if user.is_none() && name.is_none() {
                    return Err(nameless());
                }
                self.userids.extend(user.iter().map(IamUserId::to_string));
                self.userids.extend(others.iter().map(federated));
                // The console names a switched session after the user, and so do people who federate themselves.
                self.session_names.extend(name.clone());
                self.source_identities.extend(name.clone());
            }
            Identity::Root { partition, account } => {
                self.roots
                    .insert(format!("arn:{partition}:iam::{account}:root"));
            }
            Identity::FederatedUser(user) => {
                self.userids.insert(federated(user));
            }
        }
        Ok(())
    }

    /// One statement per key, in a fixed order.
    fn statements(self, incident: &IncidentId) -> Vec<Statement> {
        let deny = |sid: &str, conditions: Vec<(&str, &str, Vec<String>)>| Statement {
            sid: Some(format!("Quell{}{sid}", incident.sid_part())),
            effect: Effect::Deny,
            actions: Words::these(["*"]),
            resources: Words::these(["*"]),
            conditions: conditions
                .into_iter()
                .map(|(operator, key, values)| Condition {
                    operator: operator.to_owned(),
                    key: key.to_owned(),
                    values,
                })
                .collect(),
            unknown: Vec::new(),
        };
        let texts = |names: BTreeSet<SessionName>| names.into_iter().map(String::from).collect();
        // INVARIANT: the only wildcards are ours. A SessionName and a RoleId hold none, so `*:<name>` matches that name
        // in any role and no other name, and `<id>:*` every name in that role and in no other.
        let any_role = self.session_names.iter().map(|name| format!("*:{name}"));
        let lists: [(&str, &str, &str, Vec<String>); 4] = [
            (
                "UserId",
                "StringEquals",
                USER_ID,
                self.user_ids.into_iter().collect(),
            ),
            ("SessionName", "StringLike", USERID, any_role.collect()),
            (
                "PrincipalId",
                "StringEquals",
                USERID,
                self.userids.into_iter().collect(),
            ),
            (
                "SourceIdentity",
                "StringEquals",
                SOURCE_IDENTITY,
                texts(self.source_identities),
            ),
        ];
        let mut statements: Vec<Statement> = lists
            .into_iter()
            .filter(|(_, _, _, values)| !values.is_empty())
            .map(|(sid, operator, key, values)| deny(sid, vec![(operator, key, values)]))
            .collect();
        if !self.roots.is_empty() {
            let spared = ("Null", ASSUMED_ROOT, vec!["true".to_owned()]);
            let roots = self.roots.into_iter().collect();
            statements.push(deny(
                "Root",
                vec![spared, ("StringEquals", PRINCIPAL_ARN, roots)],
            ));
        }
        for (number, (before, roles)) in (1..).zip(self.roles_before) {
            let sessions = roles.into_iter().map(|role| format!("{role}:*")).collect();
            statements.push(deny(
                &format!("RoleBefore{number}"),
                vec![
                    ("DateLessThan", TOKEN_ISSUE_TIME, vec![before.to_string()]),
                    ("StringLike", USERID, sessions),
                ],
            ));
        }
        statements
    }
}

/// The keys of one request that an identity could make.
pub type SessionKeys = Vec<(&'static str, String)>;

/// Requests that the deny of an identity must refuse, one for each way its sessions can look, each with what it is for
/// people. `elsewhere` is a session name that the deny is not about. What R3 proves, and what the tests hold.
pub fn sessions_of(identity: &Identity, elsewhere: &SessionName) -> Vec<(String, SessionKeys)> {
    // Any role's id serves where the deny names none.
    let in_any_role = |name: &SessionName| format!("AROAQUELLPREFLIGHT000:{name}");
    let named = |name: &SessionName| {
        (
            format!("a session named {name}"),
            vec![(USERID, in_any_role(name))],
        )
    };
    let sourced = |name: &SessionName| {
        (
            format!("a session with the source identity {name}"),
            vec![
                (USERID, in_any_role(elsewhere)),
                (SOURCE_IDENTITY, name.to_string()),
            ],
        )
    };
    let exactly = |userid: String| (userid.clone(), vec![(USERID, userid)]);
    let federated = |user: &FederatedUser| exactly(format!("{}:{}", user.account, user.name));
    match identity {
        Identity::IdentityCenterUser {
            user_id,
            session_names,
        } => {
            let by_id = user_id.iter().map(|id| {
                (
                    format!("a session of user {id}"),
                    vec![(USERID, in_any_role(elsewhere)), (USER_ID, id.to_string())],
                )
            });
            let by_name = session_names
                .iter()
                .flat_map(|name| [named(name), sourced(name)]);
            by_id.chain(by_name).collect()
        }
        Identity::RoleSession {
            role,
            session,
            source_identity,
        } => std::iter::once(exactly(format!("{role}:{session}")))
            .chain(source_identity.iter().map(sourced))
            .collect(),
        Identity::RoleBefore { role, before } => {
            let issued = before
                .checked_sub(jiff::SignedDuration::from_secs(1))
                .unwrap_or(*before);
            vec![(
                format!("a session of role {role} issued before {before}"),
                vec![
                    (USERID, format!("{role}:{elsewhere}")),
                    (TOKEN_ISSUE_TIME, issued.to_string()),
                ],
            )]
        }
        Identity::IamUser {
            user,
            name,
            federated: others,
        } => user
            .iter()
            .map(|user| exactly(user.to_string()))
            .chain(name.iter().flat_map(|name| [named(name), sourced(name)]))
            .chain(others.iter().map(federated))
            .collect(),
        Identity::Root { partition, account } => vec![(
            format!("the root user of {account}"),
            vec![
                (USERID, account.to_string()),
                (
                    PRINCIPAL_ARN,
                    format!("arn:{partition}:iam::{account}:root"),
                ),
            ],
        )],
        Identity::FederatedUser(user) => vec![federated(user)],
    }
}

/// The IAM user whom a deny of ours is about, read back likewise: their id, and their account from the name that they
/// have federated under.
pub fn iam_user_in(document: &Document) -> (Option<IamUserId>, Option<AccountId>) {
    let conditions = document
        .statements
        .iter()
        .flat_map(|statement| &statement.conditions)
        .filter(|condition| {
            condition.key.eq_ignore_ascii_case(USERID) && condition.operator == "StringEquals"
        });
    let values: Vec<&String> = conditions.flat_map(|condition| &condition.values).collect();
    let id = |value: &&String| IamUserId::parse(value.as_str()).ok();
    let account = |value: &&String| AccountId::parse(value.split_once(':')?.0).ok();
    (
        values.iter().copied().find_map(|value| id(&value)),
        values.iter().copied().find_map(|value| account(&value)),
    )
}

/// The whole `aws:userid`s of sessions that a deny of ours refuses, read back likewise.
pub fn session_user_ids_in(document: &Document) -> BTreeSet<SessionUserId> {
    let conditions = document
        .statements
        .iter()
        .flat_map(|statement| &statement.conditions);
    conditions
        .filter(|it| it.key.eq_ignore_ascii_case(USERID) && it.operator == "StringEquals")
        .flat_map(|condition| &condition.values)
        .filter_map(|value| SessionUserId::parse(value.as_str()).ok())
        .collect()
}

/// The statements of a document that are of an incident: whose Sids name it.
pub fn of_incident(document: &Document, incident: &IncidentId) -> Document {
    let own = format!("Quell{}", incident.sid_part());
    let is_own = |it: &&Statement| it.sid.as_ref().is_some_and(|sid| sid.starts_with(&own));
    let statements = document.statements.iter().filter(is_own);
    Document::new(statements.cloned().collect())
}

/// What is put on an IAM user themselves: it names nobody, because it is about whoever has it.
pub fn on_the_user(incident: &IncidentId) -> Document {
    Document::new(vec![Statement {
        sid: Some(format!("Quell{}", incident.sid_part())),
        effect: Effect::Deny,
        actions: Words::these(["*"]),
        resources: Words::these(["*"]),
        conditions: Vec::new(),
        unknown: Vec::new(),
    }])
}

/// The session names that a deny of ours refuses, read back from the document. Release needs them on a machine that
/// has nothing but what AWS remembers (R10).
pub fn session_names_in(document: &Document) -> Vec<SessionName> {
    let conditions = document
        .statements
        .iter()
        .flat_map(|statement| &statement.conditions);
    conditions
        .filter(|condition| condition.key.eq_ignore_ascii_case(USERID))
        .flat_map(|condition| &condition.values)
        .filter_map(|value| SessionName::parse(value.strip_prefix("*:")?).ok())
        .filter(|name| !name.is_of_witness())
        .collect()
}

/// Whoever a deny of ours is about who is denied by ids alone, read back likewise: only such a deny has a witness.
pub fn exact_in(document: &Document) -> Option<Identity> {
    let is = |statement: &&Statement, word: &str| {
        let sid = statement.sid.as_deref().unwrap_or_default();
        sid.trim_end_matches(|c: char| c.is_ascii_digit())
            .ends_with(word)
    };
    let first = |word: &str, key: &str| {
        let statement = document.statements.iter().find(|it| is(it, word))?;
        let mut conditions = statement.conditions.iter();
        let condition = conditions.find(|condition| condition.key.eq_ignore_ascii_case(key))?;
        condition.values.first().cloned()
    };
    document.statements.iter().find(|it| is(it, "Witness"))?;
    if let Some(arn) = first("Root", PRINCIPAL_ARN) {
        let parts: Vec<&str> = arn.split(':').collect();
        let ["arn", partition, "iam", "", account, "root"] = parts.as_slice() else {
            return None;
        };
        return Some(Identity::Root {
            partition: Partition::parse(*partition).ok()?,
            account: AccountId::parse(*account).ok()?,
        });
    }
    if let Some(sessions) = first("RoleBefore", USERID) {
        return Some(Identity::RoleBefore {
            role: RoleId::parse(sessions.strip_suffix(":*")?).ok()?,
            before: first("RoleBefore", TOKEN_ISSUE_TIME)?.parse().ok()?,
        });
    }
    Identity::of_session(&SessionUserId::parse(first("PrincipalId", USERID)?).ok()?)
}
