//! Principals that are denied by their ids alone: a session of a role, a role, a root user, a federated user.
//!
//! Arrives: a [`Suspect`] that is no person of the directory and no IAM user, and what its account says of the role.
//! Leaves: an [`Exact`], with what stops when it is denied. Goes wrong: [`NotCovered`], when the signal lacks the id.
//!
//! Nobody else has such an id (design §5), so none of them collides with anybody by name; and no canary can carry one.

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::{
    FederatedUser, Identity, LONGEST_OF_IAM_USER, LONGEST_SESSION, NotCovered, SessionLife,
};
use crate::facts::{ACCESS_MANAGER, Role};
use crate::ids::*;
use crate::signal::Suspect;

/// So long after the survey the sessions of a role are denied that were given out by then: whoever is at it makes new ones
/// until the deny is there, and that is after the plan was read, approved (for which there is a quarter of an hour) and
/// enforced.
const AHEAD: SignedDuration = SignedDuration::from_mins(20);

/// A principal that is denied by ids alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Exact {
    /// Whom the deny refuses.
    pub identity: Identity,
    /// The account that they act in, where the signal says it.
    pub account: Option<AccountId>,
    /// For people: `session nightly of role app in account 444455556666`.
    pub what: String,
    /// What stops with the deny, where no person holds the session.
    pub workload: Option<Workload>,
}

/// What holds a session that no person holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", content = "name", rename_all = "snake_case")]
pub enum Workload {
    /// An EC2 instance.
    Instance(String),
    /// A Lambda function.
    Function(String),
    /// A pod of a Kubernetes cluster.
    Pod(String),
    /// A task of ECS.
    Task(String),
    /// Whatever another service runs in the role, by the service's name.
    Service(String),
}

impl Workload {
    /// For people: `EC2 instance i-0123456789abcdef0`.
    pub fn says(&self) -> String {
        match self {
            Workload::Instance(name) => format!("EC2 instance {name}"),
            Workload::Function(name) => format!("Lambda function {name}"),
            Workload::Pod(name) => format!("Kubernetes pod {name}"),
            Workload::Task(name) => format!("ECS task {name}"),
            Workload::Service(name) => format!("what {name} runs"),
        }
    }

    /// What a session holds, by its name and by who may assume its role. EC2 names the sessions of an instance after it,
    /// and EKS those of a pod after cluster and pod; of everything else the role's trust policy tells (aws-facts §3).
    fn of(session: Option<&SessionName>, role: Option<&Role>) -> Option<Self> {
        let name = session.map_or("of the role", SessionName::as_str);
        let trusts = |who: &str| role.is_some_and(|role| role.trusts.contains(who));
        let in_cluster = |provider: &String| provider.contains(":oidc-provider/oidc.eks.");
        if session.is_some_and(SessionName::is_of_instance) {
            return Some(Workload::Instance(name.to_owned()));
        }
        if name.starts_with("eks-")
            || trusts("pods.eks.amazonaws.com")
            || role.is_some_and(|role| role.trusts.iter().any(in_cluster))
        {
            return Some(Workload::Pod(name.to_owned()));
        }
        let name = name.to_owned();
        if trusts("lambda.amazonaws.com") {
            return Some(Workload::Function(name));
        }
        if trusts("ecs-tasks.amazonaws.com") {
            return Some(Workload::Task(name));
        }
        if trusts("ec2.amazonaws.com") {
            return Some(Workload::Instance(name));
        }
        let other = |who: &&String| who.ends_with(".amazonaws.com") && *who != ACCESS_MANAGER;
        let other = role.and_then(|role| role.trusts.iter().find(other));
        other.map(|service| Workload::Service(service.clone()))
    }
}

impl Exact {
    /// Whom a suspect is, at the moment of the survey; `None` for everybody who is denied by more than ids.
    pub(super) fn of(
        suspect: &Suspect,
        role: Option<&Role>,
        partition: &str,
        now: Timestamp,
    ) -> Option<Self> {
        let of_account = |account: &Option<AccountId>| match account {
            Some(account) => format!(" in account {account}"),
            None => String::new(),
        };
        match suspect {
            Suspect::RoleSession {
                session,
                role_id,
                role: name,
                account,
            } => Some(Self {
                identity: Identity::RoleSession {
                    role: role_id.clone(),
                    session: session.clone(),
                    source_identity: None,
                },
                what: format!(
                    "session {session} of role {}{}",
                    named(name, Some(role_id)),
                    of_account(account)
                ),
                workload: Workload::of(Some(session), role),
                account: account.clone(),
            }),
            Suspect::Role {
                account,
                role: name,
                role_id,
            } => {
                let id = role_id.as_ref().or(role.map(|role| &role.id))?.clone();
                let before = now.saturating_add(AHEAD).unwrap_or(now);
                // Up to the whole second, as AWS writes its dates.
                let before = Timestamp::from_second(before.as_second() + 1).unwrap_or(before);
                Some(Self {
                    what: format!(
                        "every session of role {}{} that was given out before {before}",
                        named(name, Some(&id)),
                        of_account(account)
                    ),
                    identity: Identity::RoleBefore { role: id, before },
                    workload: Workload::of(None, role),
                    account: account.clone(),
                })
            }
            Suspect::Root { account } => {
                let account = account.clone()?;
                Some(Self {
                    what: format!("the root user of account {account}"),
                    identity: Identity::Root {
                        partition: Partition::parse(partition).ok()?,
                        account: account.clone(),
                    },
                    workload: None,
                    account: Some(account),
                })
            }
            Suspect::FederatedUser { principal_id } => {
                let user = FederatedUser::parse(principal_id)?;
                Some(Self {
                    what: format!("federated user {} of account {}", user.name, user.account),
                    account: Some(user.account.clone()),
                    identity: Identity::FederatedUser(user),
                    workload: None,
                })
            }
            Suspect::Named { .. }
            | Suspect::PermissionSetSession { .. }
            | Suspect::IamUser { .. } => None,
        }
    }

    /// What people call them, which `quell contain` takes as it stands: an `aws:userid`, or an ARN where there is no one id.
    pub(super) fn username(&self, partition: &str) -> Username {
        Username::new(match (&self.identity, &self.account) {
            (Identity::Root { partition, account }, _) => {
                format!("arn:{partition}:iam::{account}:root")
            }
            (Identity::FederatedUser(FederatedUser { account, name }), _) => {
                format!("arn:{partition}:sts::{account}:federated-user/{name}")
            }
            (Identity::RoleSession { role, session, .. }, _) => format!("{role}:{session}"),
            (Identity::RoleBefore { role, .. }, _) => role.to_string(),
            (Identity::IdentityCenterUser { .. } | Identity::IamUser { .. }, _) => {
                self.what.clone()
            }
        })
    }

    /// How long a session of theirs can live. A role's own limit is none: it binds neither an instance's credentials nor
    /// a console session that is made of the role's (IAM API, `UpdateRole`; aws-facts §10).
    pub(super) fn session(&self) -> SessionLife {
        let (longest, whose) = match &self.identity {
            Identity::FederatedUser(_) => (LONGEST_OF_IAM_USER, "a federated user's"),
            Identity::Root { .. } => (LONGEST_SESSION, "a console session"),
            Identity::RoleSession { .. }
            | Identity::RoleBefore { .. }
            | Identity::IdentityCenterUser { .. }
            | Identity::IamUser { .. } => (LONGEST_SESSION, "a role's session"),
        };
        SessionLife {
            longest,
            because: format!("{longest:#}, the most that {whose} can"),
        }
    }
}

/// A role's name, or its id where there is no name.
fn named(name: &str, id: Option<&RoleId>) -> String {
    match (name, id) {
        ("", Some(id)) => id.to_string(),
        (name, _) => name.to_owned(),
    }
}

/// Whether the signal has what a deny of such a principal takes.
///
/// # Errors
/// [`NotCovered`].
pub(super) fn is_covered(suspect: &Suspect) -> Result<(), NotCovered> {
    let lacks = |what: String, instead| {
        let why = format!("the signal names {what}, and that denies nobody");
        Err(NotCovered { why, instead })
    };
    match suspect {
        Suspect::Root { account: None } => lacks(
            "a root user of no account".to_owned(),
            "Name the account: `quell contain arn:aws:iam::<account>:root`.",
        ),
        Suspect::FederatedUser { principal_id } if FederatedUser::parse(principal_id).is_none() => {
            lacks(
                format!("federated user {principal_id}, which is no <account>:<name>"),
                "Name them with their account: `quell contain arn:aws:sts::<account>:federated-user/<name>`.",
            )
        }
        Suspect::Role {
            account: None,
            role,
            role_id: None,
        } => lacks(
            format!("role {role} of no account"),
            "Name it with its account: `quell contain arn:aws:iam::<account>:role/<name>`.",
        ),
        Suspect::Role { .. }
        | Suspect::RoleSession { .. }
        | Suspect::Root { .. }
        | Suspect::FederatedUser { .. }
        | Suspect::Named { .. }
        | Suspect::PermissionSetSession { .. }
        | Suspect::IamUser { .. } => Ok(()),
    }
}

/// What a tag says of an identity that is denied by ids alone: `session/<role id>/<name>[/<source identity>]`,
/// `role/<role id>/<moment>`, `root/<partition>/<account>`, `federated/<account>/<name>`. None of these texts has a slash.
pub fn written(identity: &Identity) -> Option<String> {
    match identity {
        Identity::RoleSession {
            role,
            session,
            source_identity,
        } => Some(match source_identity {
            Some(source) => format!("session/{role}/{session}/{source}"),
            None => format!("session/{role}/{session}"),
        }),
        Identity::RoleBefore { role, before } => Some(format!("role/{role}/{before}")),
        Identity::Root { partition, account } => Some(format!("root/{partition}/{account}")),
        Identity::FederatedUser(FederatedUser { account, name }) => {
            Some(format!("federated/{account}/{name}"))
        }
        Identity::IdentityCenterUser { .. } | Identity::IamUser { .. } => None,
    }
}

/// The identity that such a tag means; `None` for one that is damaged.
pub fn of_written(text: &str) -> Option<Identity> {
    let session = |role: &str, session: &str, source_identity| {
        Some(Identity::RoleSession {
            role: RoleId::parse(role).ok()?,
            session: SessionName::parse(session).ok()?,
            source_identity,
        })
    };
    match text.split('/').collect::<Vec<_>>().as_slice() {
        ["session", role, name] => session(role, name, None),
        ["session", role, name, source] => session(role, name, SessionName::parse(*source).ok()),
        ["role", role, before] => Some(Identity::RoleBefore {
            role: RoleId::parse(*role).ok()?,
            before: before.parse().ok()?,
        }),
        ["root", partition, account] => Some(Identity::Root {
            partition: Partition::parse(*partition).ok()?,
            account: AccountId::parse(*account).ok()?,
        }),
        ["federated", account, name] => {
            FederatedUser::parse(&format!("{account}:{name}")).map(Identity::FederatedUser)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn role(trusts: &[&str]) -> Role {
        Role {
            id: RoleId::parse("AROA0123456789ABCDEFG").unwrap(),
            trusts: trusts.iter().map(|who| (*who).to_owned()).collect(),
            longest: None,
        }
    }

    fn session(name: &str) -> Suspect {
        Suspect::RoleSession {
            session: SessionName::parse(name).unwrap(),
            role_id: RoleId::parse("AROA0123456789ABCDEFG").unwrap(),
            role: "app".to_owned(),
            account: AccountId::parse("444455556666").ok(),
        }
    }

    fn exact(suspect: &Suspect, role: Option<&Role>) -> Exact {
        Exact::of(suspect, role, "aws", Timestamp::UNIX_EPOCH).unwrap()
    }

    #[test]
    fn what_stops_with_a_session_is_told_from_its_name_and_from_who_may_assume_its_role() {
        for (name, trusts, expected) in [
            (
                "i-0123456789abcdef0",
                &[][..],
                Some("EC2 instance i-0123456789abcdef0"),
            ),
            ("i-alice", &[], None),
            (
                "eks-shop-checkout-7f3a",
                &[],
                Some("Kubernetes pod eks-shop-checkout-7f3a"),
            ),
            (
                "botocore-session-1",
                &["arn:aws:iam::444455556666:oidc-provider/oidc.eks.eu-west-1.amazonaws.com/id/0"],
                Some("Kubernetes pod botocore-session-1"),
            ),
            (
                "nightly",
                &["lambda.amazonaws.com"],
                Some("Lambda function nightly"),
            ),
            (
                "nightly",
                &["ecs-tasks.amazonaws.com"],
                Some("ECS task nightly"),
            ),
            (
                "nightly",
                &["glue.amazonaws.com"],
                Some("what glue.amazonaws.com runs"),
            ),
            ("alice", &["account-access.amazonaws.com"], None),
            (
                "alice",
                &["arn:aws:iam::444455556666:saml-provider/corp"],
                None,
            ),
        ] {
            let role = role(trusts);
            let workload = exact(&session(name), Some(&role)).workload;
            let says = workload.as_ref().map(Workload::says);
            assert_eq!(says.as_deref(), expected, "{name} {trusts:?}");
        }
    }

    #[test]
    fn what_a_tag_says_of_them_is_what_another_machine_reads() {
        let suspects = [
            session("a,b=c@example.com"),
            Suspect::Role {
                account: None,
                role: "app".to_owned(),
                role_id: RoleId::parse("AROA0123456789ABCDEFG").ok(),
            },
            Suspect::Root {
                account: AccountId::parse("444455556666").ok(),
            },
            Suspect::FederatedUser {
                principal_id: "444455556666:ci@x".to_owned(),
            },
        ];
        let mut seen = BTreeSet::new();
        for suspect in suspects {
            let identity = exact(&suspect, None).identity;
            let text = written(&identity).unwrap();
            assert_eq!(of_written(&text), Some(identity), "{text}");
            assert!(seen.insert(text));
        }
        for damaged in [
            "",
            "session/x/y",
            "root/aws",
            "role/AROA0123456789ABCDEFG/soon",
            "person/alice",
        ] {
            assert_eq!(of_written(damaged), None, "{damaged}");
        }
    }
}
