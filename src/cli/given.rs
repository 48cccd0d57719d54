//! From what was given (names, a finding's file, a finding's id) to what it says; and the incident that an id means.

mod chosen;

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cloud::{Cloud, Read};
use crate::facts::{ArmedPolicy, Known};
use crate::ids::*;
use crate::incident::Incident;
use crate::incident::armed::Standing;
use crate::journal::{Past, State};
use crate::principal::Identity;
use crate::respond::memory::{self, Remembered};
use crate::signal::operator::{self, Given, Reference};
use crate::signal::{self, Finding, Suspect};

pub use chosen::{Choice, fetched, nobody_given, recent};

/// Who is to be contained.
#[derive(Debug, Clone, Args)]
#[group(multiple = false)]
pub struct SignalArgs {
    /// Identity Center usernames, e-mail addresses or user ids; ARNs of users, roles, sessions or root; access key ids; ids
    /// of roles and their sessions (AROA…); ARN or console address of a finding. Without: choose from recent findings
    #[arg(value_name = "USER")]
    pub user: Vec<String>,
    /// File with findings or CloudTrail records, `-` for standard input; any form that AWS's tools write, also gzipped
    #[arg(long, value_name = "FILE")]
    pub finding_file: Option<PathBuf>,
    /// Id, ARN or console address of a finding, to be fetched from GuardDuty
    #[arg(long, value_name = "ID")]
    pub finding: Option<String>,
    /// Go on with an incident that was interrupted: this one, or the only one there is
    #[arg(long, value_name = "INCIDENT")]
    pub resume: Option<Option<IncidentId>>,
}

impl SignalArgs {
    /// What was given, as far as no AWS is needed to read it; `None` where AWS has to be asked.
    pub fn offline(&self, choice: &Choice<'_, '_>) -> Result<Option<Vec<Given>>, Failure> {
        if !self.user.is_empty() {
            let given = self.user.iter().map(|text| Ok(operator::of_input(text)?));
            return given.collect::<Result<_, Failure>>().map(Some);
        }
        if let Some(path) = &self.finding_file {
            return Ok(Some(choice.made(&findings_in(path)?)?));
        }
        if let Some(text) = &self.finding {
            return Ok(Some(vec![Given::Finding(reference(text)?)]));
        }
        Ok(None)
    }
}

/// A finding's id, ARN or address in the console.
fn reference(text: &str) -> Result<Reference, Failure> {
    match operator::of_input(text) {
        Ok(Given::Finding(reference)) => Ok(reference),
        Err(error) if text.starts_with("arn:") || text.starts_with("https:") => Err(error.into()),
        Ok(Given::Suspect(_) | Given::Unresolved(_)) | Err(_) => Ok(Reference {
            id: FindingId::parse(text)?,
            detector: None,
            region: None,
        }),
    }
}

/// Somebody who is named by a claim that needs no look-up.
pub(super) fn named(name: &str) -> Result<Suspect, Failure> {
    match operator::of_input(name)? {
        Given::Suspect(suspect) => Ok(suspect),
        Given::Unresolved(_) | Given::Finding(_) => {
            Err(Failure::usage("this names nobody by itself")
                .hint("Name the user: `quell contain <username or ARN>`."))
        }
    }
}

/// The findings in a file, or in standard input for `-`. Never more is read than a finding can have.
pub fn findings_in(path: &Path) -> Result<Vec<Finding>, Failure> {
    Ok(signal::read(bytes_of(path)?)?)
}

/// A file's text, or standard input's for `-`.
pub fn text_of(path: &Path) -> Result<String, Failure> {
    String::from_utf8(bytes_of(path)?)
        .map_err(|_| Failure::usage(format!("{}: not UTF-8 text", path.display())))
}

fn bytes_of(path: &Path) -> Result<Vec<u8>, Failure> {
    let failed = |error: std::io::Error| Failure::file(path, &error);
    let most = signal::MOST_BYTES as u64 + 1;
    let mut bytes = Vec::new();
    if path == Path::new("-") {
        std::io::stdin()
            .lock()
            .take(most)
            .read_to_end(&mut bytes)
            .map_err(failed)?;
    } else {
        std::fs::File::open(path)
            .map_err(failed)?
            .take(most)
            .read_to_end(&mut bytes)
            .map_err(failed)?;
    }
    Ok(bytes)
}

/// What is to go on.
#[derive(Debug)]
pub struct Interrupted {
    /// The incident.
    pub incident: IncidentId,
    /// Whom it denies.
    pub suspect: Suspect,
    /// Where it is or was to be attached, where that is remembered.
    pub target: Option<TargetId>,
}

/// An incident that was interrupted: this one, or the only one that is open.
pub async fn interrupted<C: Cloud>(
    cloud: &C,
    which: Option<&IncidentId>,
    here: &[Past],
) -> Result<Interrupted, Failure> {
    let known = memory::remembered(cloud.read()).await?;
    let organization = cloud.read().organization().await.ok();
    let is_ours = |state: &State| match (&state.organization, &organization) {
        (Some(theirs), Some(ours)) => *theirs == ours.id,
        (None, _) | (_, None) => true,
    };
    let exact: BTreeMap<IncidentId, Suspect> = known
        .iter()
        .filter_map(|known| Some((known.incident.id.clone(), claimed(&known.incident)?)))
        .collect();
    let mut open: BTreeMap<IncidentId, (Option<String>, Option<TargetId>)> = BTreeMap::new();
    for past in here {
        let Ok(state) = &past.state else { continue };
        if state.principal.is_some() && !state.released && !state.proven && is_ours(state) {
            let name = state.principal.as_ref().map(Username::to_string);
            open.insert(past.incident.clone(), (name, state.target.clone()));
        }
    }
    for known in &known {
        let incident = &known.incident;
        let entered = known.entered.as_ref();
        if entered.is_some_and(|entered| entered.standing != Standing::Open) {
            // It is being released, and that goes on with `quell release`.
            open.remove(&incident.id);
            continue;
        }
        // What AWS has is surer than what was written here.
        if incident.proven.is_some() {
            open.remove(&incident.id);
        }
        if incident.proven.is_none() || which == Some(&incident.id) {
            let by_id = incident.user_id.as_ref().map(UserId::to_string);
            let by_name = || incident.principal.as_ref().map(Username::to_string);
            let name = by_id.or_else(by_name);
            open.insert(incident.id.clone(), (name, incident.target.clone()));
        }
    }
    let (incident, (name, target)) = match which {
        Some(id) => open.remove_entry(id).ok_or_else(|| {
            Failure::new(
                Exit::Failed,
                format!("neither this machine's journals nor the organization has an incident {id} that could go on"),
            )
            .hint("See what there is: `quell status`.")
        })?,
        None if open.len() > 1 => {
            let ids: Vec<String> = open.keys().map(IncidentId::to_string).collect();
            return Err(Failure::usage(format!(
                "several incidents were interrupted: {}",
                ids.join(", ")
            ))
            .hint("Name one: `quell contain --resume <incident>`."));
        }
        None => open.pop_first().ok_or_else(|| {
            Failure::new(
                Exit::Failed,
                "no incident was interrupted: each is proven, or released",
            )
            .hint("See them: `quell status`.")
        })?,
    };
    let suspect = exact.get(&incident).cloned().map(Ok);
    let suspect = suspect.or_else(|| name.map(|name| named(&name)));
    match suspect {
        Some(suspect) => Ok(Interrupted {
            suspect: suspect?,
            incident,
            target,
        }),
        None => Err(Failure::new(
            Exit::Failed,
            format!("nobody remembers whom incident {incident} denies"),
        )
        .hint("Name the user: `quell contain <username>`.")),
    }
}

/// Whom an incident denies by ids alone, as a signal would claim it.
fn claimed(incident: &Incident) -> Option<Suspect> {
    let account = incident.accounts.first().cloned();
    Some(match incident.exact.clone()? {
        Identity::RoleSession { role, session, .. } => Suspect::RoleSession {
            session,
            role_id: role,
            role: String::new(),
            account,
        },
        Identity::RoleBefore { role, .. } => Suspect::Role {
            account,
            role: String::new(),
            role_id: Some(role),
        },
        Identity::Root { account, .. } => Suspect::Root {
            account: Some(account),
        },
        Identity::FederatedUser(user) => Suspect::FederatedUser {
            principal_id: format!("{}:{}", user.account, user.name),
        },
        Identity::IdentityCenterUser { .. } | Identity::IamUser { .. } => return None,
    })
}

/// An incident that AWS remembers.
pub async fn incident<C: Cloud>(cloud: &C, id: &IncidentId) -> Result<Remembered, Failure> {
    let (all, armed) = memory::recalled(cloud.read()).await?;
    one_of(all, id).map_err(|failure| unread(&armed).unwrap_or(failure))
}

/// Why not everything that AWS remembers could be read, if so.
pub fn unread(armed: &Known<Option<ArmedPolicy>>) -> Option<Failure> {
    match armed {
        Known::Known(_) => None,
        Known::Unknown(why) => Some(
            Failure::new(
                Exit::Failed,
                format!("the armed policy cannot be read, so what is in it is not known: {why}"),
            )
            .hint("It takes organizations:DescribePolicy, ListTagsForResource and ListTargetsForPolicy. Run it again when they answer."),
        ),
    }
}

/// The incident of this id among all that AWS remembers.
pub fn one_of(all: Vec<Remembered>, id: &IncidentId) -> Result<Remembered, Failure> {
    let known: Vec<String> = all
        .iter()
        .map(|known| known.incident.id.to_string())
        .collect();
    let found = all.into_iter().find(|known| known.incident.id == *id);
    found.ok_or_else(|| {
        let known = if known.is_empty() {
            "it has none".to_owned()
        } else {
            format!("it has {}", known.join(", "))
        };
        Failure::new(
            Exit::Failed,
            format!("the organization has no incident {id}: {known}"),
        )
        .hint("List them: `quell status`.")
    })
}
