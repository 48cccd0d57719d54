//! `quell guardrail`, for a terminal.

use std::fmt::Write as _;

use crate::guardrail::POLICY;
use crate::ids::{IncidentId, PolicyId, TargetId};
use crate::report::guardrail::{GuardrailReport, Standing};
use crate::report::human::{clean, clean_lines, practice, section, wrapped};
use crate::verify::{AccountProof, Verdict};

/// Any verb's end.
pub fn guardrail(report: &GuardrailReport) -> String {
    let mut text = practice(report.practice.as_ref());
    let policy = report.policy_id.as_ref().map_or(POLICY, PolicyId::as_str);
    let targets: Vec<&str> = report.targets.iter().map(TargetId::as_str).collect();
    let to = targets.join(", ");
    let said = match report.state {
        Standing::Drafted => "The policy that `quell guardrail attach` would attach:".to_owned(),
        Standing::Planned if report.changes.is_empty() => {
            format!("Nothing would be changed: {policy} is attached as it must be.")
        }
        Standing::Planned => "A dry run: nothing was changed. This would be:".to_owned(),
        Standing::Absent => "Console users can be made: there is no guardrail. `quell guardrail attach no-console-users --jump-account <account>`.".to_owned(),
        Standing::Attached => format!("{policy} is attached to {to}. Whether it is enforced: `quell guardrail prove no-console-users`."),
        Standing::Detached => format!("Console users can be made: {policy} is there, and attached to nothing. `quell guardrail attach no-console-users --jump-account <account>`."),
        Standing::Altered => format!("{policy} is attached to {to}, and its document is not the one that it must have. `quell guardrail attach no-console-users --jump-account <account>` puts it right."),
        Standing::Proven => format!("PROVEN: {policy}, attached to {to}, refuses console passwords everywhere we looked."),
        Standing::NotProven => format!("{policy} is attached to {to}, and NOT SHOWN to refuse everywhere we looked. `quell guardrail prove no-console-users` looks again."),
        Standing::GettingThrough => format!("STILL ALLOWED: {policy} is attached to {to}, and somewhere console passwords are given all the same."),
        Standing::RefusesTooMuch => format!("TOO MUCH: {policy}, attached to {to}, refuses console passwords in a jump account, too."),
        Standing::Removed => format!("{policy} is gone: console users can be made again everywhere."),
    };
    let _ = writeln!(text, "{}", wrapped(&said, ""));
    let wanted: Vec<&str> = report.wanted_by.iter().map(IncidentId::as_str).collect();
    if !wanted.is_empty() {
        let _ = writeln!(
            text,
            "It is there for {}, and goes with the release of the last of them.",
            wanted.join(", ")
        );
    }
    section(&mut text, "Changes", &report.changes);
    let accounts: Vec<String> = report
        .refused
        .iter()
        .map(|account| told(account, Verdict::RefusedByUs))
        .chain(
            report
                .allowed
                .iter()
                .map(|account| told(account, Verdict::Allowed)),
        )
        .collect();
    section(&mut text, "Account by account", &accounts);
    let judged: Vec<String> = report
        .judged
        .iter()
        .map(|case| {
            let word = if case.refused { "refused" } else { "allowed" };
            format!("{}, {}: {word}", case.place, case.who)
        })
        .collect();
    section(
        &mut text,
        "Who may give console passwords, by our evaluator on this document",
        &judged,
    );
    section(&mut text, "Not covered, and not shown", &report.not_covered);
    let shows = matches!(
        report.state,
        Standing::Drafted | Standing::Planned | Standing::Altered
    );
    if let Some(document) = report.document.as_ref().filter(|_| shows) {
        let _ = writeln!(text, "\n{}", clean_lines(&document.pretty()));
    }
    text
}

fn told(account: &AccountProof, hoped: Verdict) -> String {
    let detail = account
        .detail
        .as_deref()
        .map(|why| format!(" ({})", clean(why)));
    let detail = detail.unwrap_or_default();
    let jump = match hoped {
        Verdict::Allowed => " (jump account)",
        Verdict::RefusedByUs
        | Verdict::NotSettled
        | Verdict::RefusedByOther
        | Verdict::ControlRefused
        | Verdict::CouldNotAsk => "",
    };
    format!("{}{jump}: {}{detail}", account.id, account.verdict.says())
}
