//! What an incident is run by, and what comes next of it.

use serde::Serialize;

use crate::ids::{IncidentId, PlaybookName};
use crate::incident::Incident;
use crate::playbook::shelf::Chosen;
use crate::playbook::{Guardrail, Playbook, Save, Step, Stop, Tell};

/// The playbook of an incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlaybookReport {
    /// Its name.
    pub name: PlaybookName,
    /// Why it is this one.
    pub because: String,
}

impl PlaybookReport {
    /// Of what was chosen.
    pub fn of(chosen: &Chosen) -> Self {
        Self {
            name: chosen.playbook.name.clone(),
            because: chosen.because.clone(),
        }
    }
}

/// What people do meanwhile, beside the checklist.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PeopleReport {
    /// Whom to tell.
    pub tell: Vec<Tell>,
    /// What to save.
    pub save: Vec<Save>,
    /// When not to go on.
    pub stop: Vec<Stop>,
}

impl PeopleReport {
    /// Of a playbook.
    pub fn of(playbook: &Playbook) -> Self {
        Self {
            tell: playbook.tell.clone(),
            save: playbook.save.clone(),
            stop: playbook.stop.clone(),
        }
    }
}

/// A command to type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NextReport {
    /// The playbook's steps that it takes.
    pub steps: Vec<Step>,
    /// It.
    pub command: String,
    /// What for, a fragment.
    pub why: String,
}

/// What is left to do of a contained incident, in its playbook's order.
pub fn steps(chosen: &Chosen, incident: &Incident, proven: bool) -> Vec<NextReport> {
    let playbook = &chosen.playbook;
    let by = chosen.file.as_ref();
    let by = by.map_or(String::new(), |file| {
        format!(" --playbook {}", quoted(file))
    });
    let mut all = Vec::new();
    let id = &incident.id;
    let mut next = |steps: Vec<Step>, command: String, why: String| {
        all.push(NextReport {
            steps,
            command: format!("{command}{by}"),
            why,
        });
    };
    // One command closes all that it is told to close, at once; the flags belong to steps of their own.
    let closing = [Step::Hold, Step::RevokeTeam, Step::Evict];
    let free_there = incident.is_free_in_management() && playbook.steps.contains(&Step::Hold);
    let mut closed = (incident.evicted.is_some() && !free_there) || !incident.needs_eviction();
    for step in &playbook.steps {
        match step {
            Step::Verify if !proven => next(
                vec![Step::Verify],
                format!("quell verify {id}"),
                "until it is proven".to_owned(),
            ),
            Step::Guardrail => next(
                vec![Step::Guardrail],
                guarding(playbook.guardrail.as_ref(), incident),
                "no console passwords until the release".to_owned(),
            ),
            Step::Hold | Step::RevokeTeam | Step::Evict if !closed => {
                closed = true;
                let steps = playbook.steps.iter().filter(|step| closing.contains(step));
                let steps: Vec<Step> = steps.copied().collect();
                let holds = steps.contains(&Step::Hold) && incident.is_free_in_management();
                let holds = if holds { " --management" } else { "" };
                let revokes = if steps.contains(&Step::RevokeTeam) && incident.is_of_person() {
                    " --revoke-team"
                } else {
                    ""
                };
                let why = match incident.wait_began() {
                    Some(_) => "close the ways to new sessions",
                    None => "close the ways to new sessions; the wait for the release begins then",
                };
                next(
                    steps,
                    format!("quell evict {id}{holds}{revokes}"),
                    why.to_owned(),
                );
            }
            Step::Trace => {
                let (command, why) = tracing(id, incident.is_of_iam_user());
                next(vec![Step::Trace], command, why.to_owned());
            }
            Step::Release => next(
                vec![Step::Wait, Step::Release],
                format!("quell release {id}"),
                match incident.release_not_before() {
                    Some(until) => format!("not before {until}"),
                    None => format!("when the wait is over: `quell status {id}` says when"),
                },
            ),
            Step::Contain
            | Step::Verify
            | Step::Hold
            | Step::RevokeTeam
            | Step::Evict
            | Step::Wait => {}
        }
    }
    all
}

/// As a shell takes it as one word.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+@:".contains(c);
    match word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

/// How it is found out whom somebody became; an IAM user with the roles that they may assume.
pub fn tracing(id: &IncidentId, is_iam_user: bool) -> (String, &'static str) {
    match is_iam_user {
        true => (
            format!("quell trace {id} --may-assume"),
            "in a quarter of an hour: which roles they may assume, and whom they became",
        ),
        false => (
            format!("quell trace {id}"),
            "in a quarter of an hour: whom they became under other names",
        ),
    }
}

/// How the guardrail is attached for an incident.
fn guarding(guardrail: Option<&Guardrail>, incident: &Incident) -> String {
    let mut command = format!(
        "quell guardrail attach no-console-users --incident {}",
        incident.id
    );
    let guardrail = guardrail.cloned().unwrap_or_default();
    for account in &guardrail.jump_accounts {
        command.push_str(&format!(" --jump-account {account}"));
    }
    for one in &guardrail.except {
        command.push_str(&format!(" --except '{one}'"));
    }
    if guardrail.access_keys {
        command.push_str(" --access-keys");
    }
    command
}
