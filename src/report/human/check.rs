//! `quell prepare check`, for a terminal: the verdict, then what is red, with what to do about it.

use std::fmt::Write as _;

use crate::readiness::{Finding, Severity};
use crate::report::check::{CheckReport, RightsReport};
use crate::report::human::{clean, practice, second, wrapped};

/// Where the text of a finding begins.
const INDENT: &str = "         ";

/// The check-up.
pub fn check(report: &CheckReport) -> String {
    let mut text = practice(report.practice.as_ref());
    let counts = format!(
        "{} red, {} amber, {} green",
        report.red, report.amber, report.green
    );
    let _ = match report.worst {
        Severity::Red => writeln!(text, "NOT READY for an incident: {counts}."),
        Severity::Amber => writeln!(text, "Ready for an incident, with reservations: {counts}."),
        Severity::Green => writeln!(text, "Ready for an incident: {counts}."),
    };
    let who = report
        .operator
        .as_deref()
        .unwrap_or("nobody that AWS knows");
    let _ = writeln!(
        text,
        "Checked {} as {}.\n",
        second(report.checked_at),
        clean(who)
    );
    for finding in &report.findings {
        text.push_str(&told(finding));
    }
    text
}

fn told(finding: &Finding) -> String {
    let severity = match finding.severity {
        Severity::Red => "RED",
        Severity::Amber => "amber",
        Severity::Green => "green",
    };
    let seen = format!("{}: {}", finding.item.says(), clean(&finding.seen));
    let mut text = format!("  {severity:<7}{}\n", wrapped(&seen, INDENT));
    if let Some(fix) = &finding.fix {
        let fix = format!("→ {}", clean(fix));
        let _ = writeln!(text, "{INDENT}{}", wrapped(&fix, &format!("{INDENT}  ")));
    }
    text
}

/// The rights, by what they are for.
pub fn rights(report: &RightsReport) -> String {
    let mut text = String::new();
    for half in ["read", "act"] {
        let _ = writeln!(
            text,
            "quell prepare rights --{half}    # these, as a policy\n"
        );
        for task in report.tasks.iter().filter(|task| task.policy == half) {
            let _ = writeln!(text, "  {}", wrapped(task.task, "  "));
            let _ = writeln!(
                text,
                "      {}\n",
                wrapped(&task.actions.join(", "), "      ")
            );
        }
    }
    text
}
