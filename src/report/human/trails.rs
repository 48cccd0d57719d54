//! What CloudTrail has, for a terminal.

use std::fmt::Write as _;

use crate::report::human::{clean, practice, second, wrapped};
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

/// Whom the principal became, and what they left behind.
pub fn trace(report: &TraceReport) -> String {
    let mut text = practice(report.practice.as_ref());
    let id = &report.incident;
    let whom = report
        .principal
        .as_ref()
        .map_or("the principal", |name| name.as_str());
    let chained = report
        .sessions
        .iter()
        .filter(|session| session.by.is_some())
        .count();
    let others = match chained {
        0 => "became nobody else, as far as the records tell",
        _ => "became others",
    };
    let open = match (report.is_getting_through(), chained) {
        (true, _) => ", and NOT EVERYBODY IS DENIED",
        (false, 0) => "",
        (false, _) => "; all of them have ended or are denied",
    };
    let _ = writeln!(text, "Incident {id}: {} {others}{open}.", clean(whom));
    text.push_str("\nWho became whom\n");
    text.push_str(&tree(&report.sessions));
    if report.cut {
        text.push_str("  NOT FOLLOWED: there are more sessions than are followed at once\n");
    }
    for (role, name) in &report.unresolved {
        let told = format!(
            "NOT FOLLOWED: {role} was assumed as {name}, and no record has that session: look it up in its account"
        );
        let _ = writeln!(text, "  {}", wrapped(&clean(&told), "    "));
    }
    if report.names.is_empty() {
        text.push_str("  NOT LOOKED UP: no session can have the principal's name, and CloudTrail is asked by name.\n");
    }
    text.push_str(&read(&report.read));
    text.push_str(&left_behind(&report.left_behind));
    if !report.denied_now.is_empty() {
        let _ = writeln!(
            text,
            "\nDenied now, each by its whole aws:userid; whoever else has that name in that role is refused, too:"
        );
        for session in &report.denied_now {
            let _ = writeln!(text, "  {session}");
        }
        let _ = writeln!(
            text,
            "  No canary can show it: run `quell trace {id}` again in some minutes, which shows them refused."
        );
    }
    if let Some(until) = report
        .release_not_before
        .filter(|_| report.chained_at.is_some())
    {
        let _ = writeln!(
            text,
            "  The release counts from then: not before {}.",
            second(until)
        );
    }
    if !report.offered.is_empty() {
        let _ = writeln!(
            text,
            "\nNext\n  quell trace {id} --deny-chained    # deny them, too"
        );
    }
    text
}

/// Everybody who was reached, each under whoever became them first.
fn tree(sessions: &[SessionReport]) -> String {
    let mut text = String::new();
    if sessions.is_empty() {
        text.push_str("  no record of theirs was found\n");
    }
    for session in sessions {
        let indent = "  ".repeat(session.depth + 1);
        let until = match session.until {
            Some(until) => format!(", until {} at the latest", second(until)),
            None => String::new(),
        };
        let times = match session.times {
            0 | 1 => String::new(),
            many => format!(", {many} times"),
        };
        let _ = writeln!(
            text,
            "{indent}{}  {}",
            clean(&session.userid),
            session.fate.says()
        );
        let _ = writeln!(
            text,
            "{indent}  {}, since {}{until}{times}",
            clean(&session.arn),
            second(session.since)
        );
        if session.juggled {
            let _ = writeln!(
                text,
                "{indent}  ROLE JUGGLING: made again by whom it made, so it lives for as long as nobody refuses"
            );
        }
        let last = [
            ("allowed", session.last_allowed),
            ("refused", session.last_refused),
        ];
        let last = last
            .into_iter()
            .filter_map(|(how, at)| Some(format!("last {how} {}", second(at?))));
        let last: Vec<String> = last.collect();
        if !last.is_empty() {
            let _ = writeln!(text, "{indent}  {}", last.join(", "));
        }
    }
    text
}

/// What may have been left behind.
fn left_behind(left: &[LeftReport]) -> String {
    let mut text = String::new();
    if left.is_empty() {
        return text;
    }
    text.push_str("\nLeft behind, perhaps: look at each\n");
    let mut account = None;
    for one in left {
        if account != Some(&one.call.account) {
            account = Some(&one.call.account);
            let _ = writeln!(text, "  account {}", one.call.account);
        }
        let about = match one.about.as_str() {
            "" => String::new(),
            about => format!(" ({})", clean(about)),
        };
        let _ = writeln!(
            text,
            "    {}: {} {}{about}, {} in {}",
            one.kind.says(),
            second(one.call.at),
            clean(&one.call.event),
            clean(one.call.arn.rsplit('/').next().unwrap_or_default()),
            clean(&one.call.region)
        );
    }
    text
}
