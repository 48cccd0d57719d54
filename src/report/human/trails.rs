//! What CloudTrail has, for a terminal.

use std::fmt::Write as _;

use crate::report::human::{clean, second, wrapped};
use crate::report::trails::*;

/// Calls that are shown; the rest is counted, and in the JSON.
const MOST_SHOWN: usize = 20;

/// What the principal's real calls show.
pub fn cloudtrail(report: &CloudtrailReport) -> String {
    let mut text = "\nCloudTrail, the principal's own calls\n".to_owned();
    if report.names.is_empty() {
        text.push_str("  NOT LOOKED UP: no session can have the principal's name, and CloudTrail is asked by name.\n");
    }
    let _ = writeln!(
        text,
        "  {} refused by our policy, {} refused otherwise, {} that no policy is asked about; {} of our canaries",
        report.refused_by_us, report.refused_otherwise, report.not_asked, report.canaries
    );
    match (report.allowed.len(), report.proven) {
        (0, Some(proven)) => {
            let _ = writeln!(text, "  none allowed since the proof at {}", second(proven));
        }
        (_, None) => {
            text.push_str("  the deny is not proven, so what was allowed is no alarm yet\n")
        }
        (many, Some(proven)) => {
            let _ = writeln!(
                text,
                "  ALARM: {many} ALLOWED after the proof at {}",
                second(proven)
            );
        }
    }
    text.push_str(&calls(&report.allowed, "    "));
    if !report.unclear.is_empty() {
        let _ = writeln!(
            text,
            "  {} failed after the proof, which does not show whether the deny held",
            report.unclear.len()
        );
        text.push_str(&calls(&report.unclear, "    "));
    }
    if !report.allowed_before.is_empty() {
        let _ = writeln!(
            text,
            "  {} allowed before the proof: what they did is done",
            report.allowed_before.len()
        );
        text.push_str(&calls(&report.allowed_before, "    "));
    }
    text.push_str(&read(&report.read));
    text
}

/// What was read, and what was not.
pub fn read(report: &ReadReport) -> String {
    let mut text = String::new();
    let _ = writeln!(
        text,
        "  read: {} accounts in {} Regions, from {} on",
        report.accounts.len(),
        report.regions.len(),
        second(report.since)
    );
    let newest = match report.newest {
        Some(newest) => format!("The newest record is of {}.", second(newest)),
        None => "There is no record.".to_owned(),
    };
    let _ = writeln!(
        text,
        "  {}",
        wrapped(&format!("{newest} {}", report.delay), "    ")
    );
    if report.unreadable > 0 {
        let _ = writeln!(
            text,
            "  NOT READ: {} records that are none of CloudTrail's shape",
            report.unreadable
        );
    }
    for place in &report.unasked {
        let regions = match place.regions.len() {
            0 => String::new(),
            1 => " in one Region".to_owned(),
            many => format!(" in {many} Regions"),
        };
        let told = format!(
            "NOT READ: account {}{regions}: {}",
            place.account,
            clean(&place.why)
        );
        let _ = writeln!(text, "  {}", wrapped(&told, "    "));
    }
    for (account, region) in &report.cut {
        let _ = writeln!(
            text,
            "  NOT READ: account {account} in {region} has more records than are read at once"
        );
    }
    text
}

/// Calls, the first of them.
pub fn calls(calls: &[CallReport], indent: &str) -> String {
    let mut text = String::new();
    for call in calls.iter().take(MOST_SHOWN) {
        let error = call
            .error
            .as_ref()
            .map(|error| format!(" ({})", clean(error)));
        let _ = writeln!(
            text,
            "{indent}{}  {} {}  {}  from {}{}",
            second(call.at),
            call.account,
            clean(&call.region),
            clean(&call.event),
            clean(&call.source_ip),
            error.unwrap_or_default()
        );
    }
    let more = calls.len().saturating_sub(MOST_SHOWN);
    if more > 0 {
        let _ = writeln!(
            text,
            "{indent}and {more} more: `--output json` has them all"
        );
    }
    text
}
