//! What CloudTrail has, for a terminal.

use std::fmt::Write as _;

use crate::ids::{IncidentId, Username};
use crate::report::human::{clean, practice, second, switching, wrapped};
use crate::report::next::tracing;
use crate::report::trails::*;

/// Calls that are shown; the rest is counted, and in the JSON.
const MOST_SHOWN: usize = 20;

/// What the principal's real calls show.
pub fn cloudtrail(id: &IncidentId, report: &CloudtrailReport) -> String {
    let mut text = "\nCloudTrail, the principal's own calls\n".to_owned();
    if report.names.is_empty() {
        text.push_str("  NOT LOOKED UP: no session can have the principal's name, and CloudTrail is asked by name.\n");
    }
    let _ = writeln!(
        text,
        "  {} refused by our policy, {} refused otherwise, {} that no policy is asked about; {} of our canaries",
        report.refused_by_us, report.refused_otherwise, report.not_asked, report.canaries
    );
    if let Some(until) = report.too_early_until {
        let _ = writeln!(
            text,
            "  TOO EARLY: records of what was called before the proof may still come. Ask again at {}.",
            second(until)
        );
    }
    match (report.allowed.len(), report.proven) {
        (0, Some(_)) if report.too_early_until.is_some() => {}
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
    let others = match report.chained.len() {
        0 => "Whom they became under other names".to_owned(),
        1 => "Whom they became under other names, one of whom is denied, too,".to_owned(),
        many => format!("Whom they became under other names, {many} of whom are denied, too,"),
    };
    let told = format!("{others} is not in this: `quell trace {id}`.");
    let _ = writeln!(text, "  {}", wrapped(&told, "    "));
    text.push_str(&portal(&report.portal));
    text.push_str(&read(&report.read));
    text
}

/// What they did at the portal, the last of it.
fn portal(report: &PortalReport) -> String {
    let mut text = String::new();
    if let Some(why) = &report.unread {
        let told = format!(
            "NOT READ: what they did at the access portal: {}",
            clean(why)
        );
        let _ = writeln!(text, "  {}", wrapped(&told, "    "));
    }
    if report.done.is_empty() {
        return text;
    }
    let told = format!(
        "At the portal they did {} things. No record there has the name of a session, and AWS documents none of account access manager's, whose sessions go by whatever name they asked for: look at roles that are no permission sets.",
        report.done.len()
    );
    let _ = writeln!(text, "  {}", wrapped(&told, "    "));
    let skipped = report.done.len().saturating_sub(MOST_SHOWN);
    for one in report.done.iter().skip(skipped) {
        let whereto = match one.account.as_str() {
            "" => String::new(),
            account => format!("  {} in {}", clean(&one.role), clean(account)),
        };
        let _ = writeln!(
            text,
            "    {}  {}{whereto}  from {}",
            second(one.at),
            clean(&one.event),
            clean(&one.source_ip)
        );
    }
    if skipped > 0 {
        let _ = writeln!(
            text,
            "    and {skipped} before: `--output json` has them all"
        );
    }
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

/// The line that says to trace somebody; an IAM user with the roles that they may assume.
pub(super) fn to_trace(id: &IncidentId, principal: Option<&Username>) -> String {
    // What people call an IAM user is an ARN.
    let is_user = |it: &Username| it.as_str().starts_with("arn:") && it.as_str().contains(":user/");
    let is_iam_user = principal.is_some_and(is_user);
    let (command, why) = tracing(id, is_iam_user);
    format!("  {command:<23} # {why}\n")
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
    let whom = clean(whom);
    let _ = match (chained, report.too_early_until) {
        (0, Some(_)) => writeln!(
            text,
            "Incident {id}: too early to say whom {whom} became{open}."
        ),
        _ => writeln!(text, "Incident {id}: {whom} {others}{open}."),
    };
    if let Some(until) = report.too_early_until {
        let told = format!(
            "TOO EARLY: records of what was called before all of it was refused may still come. Ask again at {}: `quell trace {id}`.",
            second(until)
        );
        let _ = writeln!(text, "{}", wrapped(&told, "  "));
    }
    let leaves: Vec<&SessionReport> = report
        .sessions
        .iter()
        .filter(|session| session.fate.is_open())
        .collect();
    if !leaves.is_empty() {
        text.push_str("\nNot denied\n");
        for session in leaves {
            let until = session.until.map(second);
            let until = until.map_or(String::new(), |at| format!(", until {at} at the latest"));
            let place = match session.fate {
                Fate::InManagement => ", in the management account",
                Fate::Denied | Fate::NotDenied | Fate::Ended => "",
            };
            let account = &session.account;
            let userid = clean(&session.userid);
            let _ = writeln!(text, "  {userid}  account {account}{place}{until}");
        }
    }
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
    text.push_str(&portal(&report.portal));
    text.push_str(&read(&report.read));
    if let Some(back) = &report.looked_back {
        let told = format!(
            "That is {back} before the incident was opened. Whoever chained before that is found with `--since 3d`."
        );
        let _ = writeln!(text, "  {}", wrapped(&told, "    "));
    }
    text.extend(report.may_assume.iter().map(switching::switching));
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
    if !report.left_out.is_empty() {
        text.push_str("\nNOT denied now\n");
        for left in &report.left_out {
            let told = format!("{}: {}", left.userid, left.why);
            let _ = writeln!(text, "  {}", wrapped(&clean(&told), "    "));
        }
    }
    text.push_str(&next(report));
    text
}

/// What to do about whoever is not denied.
fn next(report: &TraceReport) -> String {
    let id = &report.incident;
    let mut steps = Vec::new();
    let finished = report.offered.is_empty() && report.unfinished.is_empty();
    match report.left_out.as_slice() {
        [] if finished => {}
        [] => steps.push(format!(
            "quell trace {id} --deny-chained    # deny them, too"
        )),
        left => {
            let roles = left
                .iter()
                .filter_map(|it| it.userid.as_str().split_once(':'));
            let mut roles: Vec<&str> = roles.map(|(role, _)| role).collect();
            roles.sort_unstable();
            roles.dedup();
            let at = second(report.read.asked_at);
            steps.extend(roles.into_iter().filter(|it| it.starts_with("AROA")).map(|role| {
                format!("quell policy draft --role {role} --before {at}    # everybody who had a session of it; attaching it is yours")
            }));
            steps.push(format!(
                "quell trace {id} --deny-chained --only <aws:userid>    # when others have ended"
            ));
        }
    }
    steps.extend(report.may_assume.iter().flat_map(switching::next));
    let in_management = |it: &SessionReport| it.fate == Fate::InManagement;
    if report.sessions.iter().any(in_management) {
        steps.push(format!(
            "quell evict {id} --management    # no service control policy applies there: deny it in their permission sets"
        ));
    }
    if let Some(until) = report.too_early_until {
        steps.push(format!("quell trace {id}    # again at {}", second(until)));
    }
    match steps.as_slice() {
        [] => String::new(),
        steps => format!("\nNext\n  {}\n", steps.join("\n  ")),
    }
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
