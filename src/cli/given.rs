//! From what was given (a name, a finding's file, a finding's id) to one suspect; and the incident that an id means.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::ui::Ui;
use crate::cloud::{Cloud, Read};
use crate::facts::{ArmedPolicy, Known};
use crate::ids::*;
use crate::incident::Incident;
use crate::incident::armed::Standing;
use crate::journal::{Past, State};
use crate::playbook::Playbook;
use crate::principal::Identity;
use crate::report::human::{self, clean};
use crate::respond::memory::{self, Remembered};
use crate::signal::{self, Finding, Suspect, Who};

/// Who is to be contained.
#[derive(Debug, Clone, Args)]
#[group(required = true, multiple = false)]
pub struct SignalArgs {
    /// Identity Center usernames, e-mail addresses or user ids; ARNs of IAM users
    #[arg(value_name = "USER")]
    pub user: Vec<String>,
    /// File with a GuardDuty finding, `-` for standard input; any form that AWS's tools write
    #[arg(long, value_name = "FILE")]
    pub finding_file: Option<PathBuf>,
    /// Id or ARN of a finding, to be fetched from GuardDuty
    #[arg(long, value_name = "ID")]
    pub finding: Option<String>,
    /// Go on with an incident that was interrupted: this one, or the only one there is
    #[arg(long, value_name = "INCIDENT")]
    pub resume: Option<Option<IncidentId>>,
}

impl SignalArgs {
    /// The suspects, without AWS; `None` if AWS has to be asked who they are.
    pub fn offline(
        &self,
        ui: &Ui<'_>,
        playbook: &Playbook,
    ) -> Result<Option<Vec<Suspect>>, Failure> {
        if !self.user.is_empty() {
            return self
                .user
                .iter()
                .map(|name| named(name))
                .collect::<Result<_, _>>()
                .map(Some);
        }
        match &self.finding_file {
            Some(path) => {
                let suspect = one_suspect(&findings_in(path)?, ui, playbook)?;
                Ok(Some(vec![suspect]))
            }
            None => Ok(None),
        }
    }

    /// The Region in a finding's ARN: GuardDuty knows a finding there alone.
    pub fn finding_region(&self) -> Option<Region> {
        let arn = self.finding.as_deref()?.strip_prefix("arn:")?;
        Region::parse(arn.split(':').nth(2)?).ok()
    }

    /// The suspect of the finding that GuardDuty has.
    pub async fn fetched<C: Cloud>(
        &self,
        cloud: &C,
        detector: Option<&str>,
        ui: &Ui<'_>,
        playbook: &Playbook,
    ) -> Result<Suspect, Failure> {
        let given = self.finding.as_deref().unwrap_or_default();
        // arn:aws:guardduty:<region>:<account>:detector/<detector>/finding/<id>
        let (id, in_arn) = match given
            .split_once(":detector/")
            .and_then(|(_, rest)| rest.split_once("/finding/"))
        {
            Some((detector, id)) => (FindingId::parse(id)?, Some(detector)),
            None => (FindingId::parse(given)?, None),
        };
        let detectors = match detector.or(in_arn) {
            Some(detector) => vec![DetectorId::parse(detector)?],
            None => cloud.read().detectors().await?,
        };
        for detector in &detectors {
            if let Some(text) = cloud.read().finding(detector, &id).await? {
                return one_suspect(&signal::read(&text)?, ui, playbook);
            }
        }
        let looked = if detectors.is_empty() {
            "this account and Region have no detector".to_owned()
        } else {
            format!(
                "looked in {} detector(s) of this account and Region",
                detectors.len()
            )
        };
        Err(Failure::new(Exit::Failed, format!("GuardDuty has no finding {id} ({looked})")).hint("Name its Region and detector: `--region <region> --detector <id>`, or give the finding as a file: `--finding-file <file>`."))
    }
}

pub(super) fn named(name: &str) -> Result<Suspect, Failure> {
    if name.starts_with("arn:") {
        return Suspect::of_arn(name).map_err(|error| {
            Failure::usage(error)
                .hint("Of the principals that have an ARN, IAM users are contained; a role's session is named by a finding.")
        });
    }
    let length = name.chars().count();
    if name.trim().is_empty() {
        return Err(Failure::usage("the username is empty")
            .hint("Name the user: `quell contain <username>`."));
    }
    if length > 128 {
        return Err(Failure::usage(format!(
            "the username has {length} characters, and Identity Center's have at most 128"
        )));
    }
    Ok(Suspect::Named {
        name: name.to_owned(),
    })
}

/// The findings in a file, or in standard input for `-`. Never more is read than a finding can have.
pub fn findings_in(path: &Path) -> Result<Vec<Finding>, Failure> {
    Ok(signal::read(&text_of(path)?)?)
}

/// A file's text, or standard input's for `-`.
pub fn text_of(path: &Path) -> Result<String, Failure> {
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
    String::from_utf8(bytes)
        .map_err(|_| Failure::usage(format!("{}: not UTF-8 text", path.display())))
}

/// The one suspect of some findings; several are for the operator to choose from.
pub fn one_suspect(
    findings: &[Finding],
    ui: &Ui<'_>,
    playbook: &Playbook,
) -> Result<Suspect, Failure> {
    let mut suspects: Vec<&Suspect> = Vec::new();
    let mut nobody = None;
    for finding in findings {
        match &finding.who {
            Who::Suspects(found) => {
                for suspect in found {
                    if suspects.iter().all(|known| !same(known, suspect)) {
                        suspects.push(suspect);
                    }
                }
            }
            Who::Nobody(why) => nobody = Some(why),
        }
    }
    match (suspects.as_slice(), nobody) {
        ([one], _) => {
            for finding in findings
                .iter()
                .filter(|finding| !playbook.answers(&finding.kind))
            {
                ui.say(&format!(
                    "note: the playbook {} does not answer findings of type {}; going on because you asked.",
                    playbook.name, clean(&finding.kind)
                ));
            }
            Ok((*one).clone())
        }
        ([], Some(nobody)) => Err(nobody.clone().into()),
        ([], None) => Err(signal::ReadError::NoFindings.into()),
        (several, _) => {
            let names: Vec<String> = several
                .iter()
                .map(|suspect| human::suspect(suspect))
                .collect();
            Err(
                Failure::usage(format!("the finding accuses several: {}", names.join("; ")))
                    .hint("Contain them one by one: `quell contain <username>`."),
            )
        }
    }
}

/// Whether two claims mean one person: the same user in sessions of two roles is one user.
fn same(one: &Suspect, other: &Suspect) -> bool {
    match (one, other) {
        (
            Suspect::PermissionSetSession { session: one, .. },
            Suspect::PermissionSetSession { session: other, .. },
        ) => one == other,
        (one, other) => one == other,
    }
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
