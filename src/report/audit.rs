//! What `quell audit` tells.

use jiff::Timestamp;
use serde::Serialize;

use crate::audit::{Finding, Rule, Severity};

/// The end of `quell audit`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AuditReport {
    /// `quell.audit/1`.
    pub schema: &'static str,
    /// The host that answered, when it is not AWS.
    pub practice: Option<String>,
    /// When it ended, on AWS's clock.
    pub audited_at: Timestamp,
    /// Who asked.
    pub operator: String,
    /// How many accounts were looked at.
    pub accounts: usize,
    /// How many accounts could not be.
    pub missed: usize,
    /// How bad the worst finding is; `null` where there is none.
    pub worst: Option<Severity>,
    /// How many are high.
    pub high: usize,
    /// How many are medium.
    pub medium: usize,
    /// How many are low.
    pub low: usize,
    /// Worst first.
    pub findings: Vec<Finding>,
}

impl AuditReport {
    /// Of findings, worst first.
    pub fn of(
        findings: Vec<Finding>,
        accounts: usize,
        operator: &str,
        at: Timestamp,
        practice: Option<String>,
    ) -> Self {
        let of = |severity| {
            let own = findings.iter().filter(|one| one.severity == severity);
            own.count()
        };
        let missed = findings.iter().filter(|one| {
            let whole = one.account.as_ref().map(|account| account.as_str());
            one.rule == Rule::NotAudited && whole == Some(one.resource.as_str())
        });
        Self {
            schema: "quell.audit/1",
            practice,
            audited_at: at,
            operator: operator.to_owned(),
            accounts,
            missed: missed.count(),
            worst: findings.iter().map(|one| one.severity).min(),
            high: of(Severity::High),
            medium: of(Severity::Medium),
            low: of(Severity::Low),
            findings,
        }
    }
}
