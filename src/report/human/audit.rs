//! `quell audit`, for a terminal: rule by rule, worst first, with what mends it.

use std::fmt::Write as _;

use crate::audit::{Finding, Severity};
use crate::report::audit::AuditReport;
use crate::report::human::{clean, practice, second, wrapped};

/// Of more findings of a rule than these the rest is counted: `--output json` has them all.
const FEW: usize = 8;

/// Where the text of a finding begins.
const INDENT: &str = "          ";

/// The audit.
pub fn audit(report: &AuditReport) -> String {
    let mut text = practice(report.practice.as_ref());
    let counts = format!(
        "{} high, {} medium, {} low",
        report.high, report.medium, report.low
    );
    let accounts = match report.accounts {
        1 => "one account".to_owned(),
        many => format!("{many} accounts"),
    };
    let _ = match report.worst {
        None => writeln!(text, "Nothing was found in {accounts}."),
        Some(_) => writeln!(text, "Found in {accounts}: {counts}."),
    };
    if report.missed > 0 {
        let _ = writeln!(text, "NOT looked at: {} accounts.", report.missed);
    }
    let _ = writeln!(
        text,
        "Audited {} as {}.",
        second(report.audited_at),
        clean(&report.operator)
    );
    for group in report.findings.chunk_by(|one, next| one.rule == next.rule) {
        text.push_str(&told(group));
    }
    text
}

/// The findings of one rule.
fn told(findings: &[Finding]) -> String {
    let Some(first) = findings.first() else {
        return String::new();
    };
    let severity = match first.severity {
        Severity::High => "HIGH",
        Severity::Medium => "medium",
        Severity::Low => "low",
    };
    // The rule's name as JSON has it: one name for one rule.
    let rule = serde_json::to_value(first.rule).unwrap_or_default();
    let rule = rule.as_str().unwrap_or_default();
    let mut text = format!(
        "\n  {severity:<8}{rule}\n{INDENT}{}\n",
        wrapped(first.why, INDENT)
    );
    let deeper = format!("{INDENT}  ");
    for finding in findings.iter().take(FEW) {
        let place = finding
            .account
            .as_ref()
            .map(|account| format!("{account} "));
        let line = format!(
            "- {}{}: {}",
            place.unwrap_or_default(),
            clean(&finding.resource),
            clean(&finding.seen)
        );
        let fix = format!("→ {}", clean(&finding.fix));
        let _ = writeln!(text, "{INDENT}{}", wrapped(&line, &deeper));
        let _ = writeln!(text, "{deeper}{}", wrapped(&fix, &format!("{deeper}  ")));
    }
    if let Some(more) = findings.len().checked_sub(FEW).filter(|more| *more > 0) {
        let _ = writeln!(
            text,
            "{INDENT}- and {more} more: `quell audit --output json`"
        );
    }
    text
}
