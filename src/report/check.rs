//! What `quell prepare check` and its neighbours tell.

use jiff::Timestamp;
use serde::Serialize;

use crate::facts::checkup::Checkup;
use crate::ids::*;
use crate::policy::document::Document;
use crate::readiness::{Finding, Severity};
use crate::rights::template::Template;
use crate::rights::{Task, of_task};

/// The end of `quell prepare check`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CheckReport {
    /// `quell.check/1`.
    pub schema: &'static str,
    /// The host that answered, when it is not AWS.
    pub practice: Option<String>,
    /// When, on AWS's clock.
    pub checked_at: Timestamp,
    /// The Region that was asked.
    pub region: Option<Region>,
    /// Who asked; `null` where AWS does not know.
    pub operator: Option<String>,
    /// The accounts that canaries were sent to.
    pub looked_at: Vec<AccountId>,
    /// The worst of all findings.
    pub worst: Severity,
    /// How many are red.
    pub red: usize,
    /// How many are amber.
    pub amber: usize,
    /// How many are green.
    pub green: usize,
    /// Worst first.
    pub findings: Vec<Finding>,
}

impl CheckReport {
    /// Of a check-up and its judgement.
    pub fn of(facts: &Checkup, findings: Vec<Finding>, practice: Option<String>) -> Self {
        let of = |severity| {
            findings
                .iter()
                .filter(|one| one.severity == severity)
                .count()
        };
        Self {
            schema: "quell.check/1",
            practice,
            checked_at: facts.asked_at,
            region: facts.region.clone(),
            operator: facts.caller.known().map(|caller| caller.arn.clone()),
            looked_at: facts.canaries.keys().cloned().collect(),
            worst: findings
                .iter()
                .map(|one| one.severity)
                .max()
                .unwrap_or(Severity::Green),
            red: of(Severity::Red),
            amber: of(Severity::Amber),
            green: of(Severity::Green),
            findings,
        }
    }
}

/// What `quell prepare rights` prints without naming a half: what each right is for.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RightsReport {
    /// `quell.rights/1`.
    pub schema: &'static str,
    /// What they are for, in the order of an incident.
    pub tasks: Vec<TaskReport>,
}

/// What one task takes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TaskReport {
    /// What it is, for people.
    pub task: &'static str,
    /// The half that it is in: `read` or `act`.
    pub policy: &'static str,
    /// The actions.
    pub actions: Vec<&'static str>,
}

impl RightsReport {
    /// All of them.
    pub fn all() -> Self {
        let of = |task: Task| TaskReport {
            task: task.says(),
            policy: task.half().word(),
            actions: of_task(task).map(|right| right.action).collect(),
        };
        Self {
            schema: "quell.rights/1",
            tasks: Task::ALL.into_iter().map(of).collect(),
        }
    }
}

/// What `quell prepare rights --read` and `--act` print.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RightsPolicyReport {
    /// `quell.rights-policy/1`.
    pub schema: &'static str,
    /// `read` or `act`.
    pub policy: &'static str,
    /// Its size as IAM counts it, of 6,144.
    pub characters: usize,
    /// The policy.
    pub document: Document,
}

/// What `quell prepare canary-template` prints.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TemplateReport {
    /// `quell.canary-template/1`.
    pub schema: &'static str,
    /// The role's name.
    pub role: RoleName,
    /// The template.
    pub template: Template,
}
