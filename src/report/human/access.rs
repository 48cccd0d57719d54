//! Eviction, restoring and an early return, for a terminal.

use std::fmt::Write as _;

use crate::facts::{TeamEligibility, Way};
use crate::ids::*;
use crate::plan::eviction::NO_WAY_LEFT;
use crate::report::access::*;
use crate::report::human::{accounts, clean, practice, second, section, trails, wrapped};

/// What an eviction is about to do.
pub fn eviction(report: &EvictionReport) -> String {
    let mut text = practice(report.practice.as_ref());
    let who = clean(report.principal.as_str());
    let _ = writeln!(
        text,
        "Evicting {who} (incident {}): these ways to new sessions will be closed",
        report.incident
    );
    for (i, way) in report.ways.iter().enumerate() {
        let _ = writeln!(text, "  {}. {}", i + 1, self::way(way));
    }
    if report.ways.is_empty() {
        text.push_str("  none is open\n");
    }
    if report.inherited > 0 {
        let _ = writeln!(
            text,
            "  Leaving the groups ends {} more that they have through them; the groups keep what they have.",
            report.inherited
        );
    }
    for set in &report.to_be_held {
        let _ = writeln!(
            text,
            "  The inline policy of {} will refuse them in the management account; everything else in it stays.",
            clean(set)
        );
    }
    for request in &report.team_requests {
        let what = if report.revokes_team {
            "will be revoked"
        } else {
            "stays; `--revoke-team` revokes it"
        };
        let _ = writeln!(
            text,
            "  TEAM's request {} ({} in {}, {}) {what}.",
            clean(&request.id),
            clean(&request.role),
            clean(&request.account),
            clean(&request.status)
        );
    }
    for eligible in &report.team_eligibility {
        let _ = writeln!(text, "  {}", may_ask(eligible));
    }
    if report.deletes_user {
        let _ = writeln!(
            text,
            "  The user {who} will be DELETED. That cannot be undone."
        );
    }
    section(&mut text, "Warning", &report.warnings);
    text
}

/// The end of an eviction.
pub fn evict(report: &EvictReport) -> String {
    let mut text = practice(report.practice.as_ref());
    let id = &report.incident;
    let who = named(report.principal.as_ref());
    if report.not_contained_in_management {
        let _ = writeln!(
            text,
            "{who} is NOT CONTAINED in the management account: no service control policy applies there. `quell evict {id} --management` refuses them there."
        );
    }
    let open = report.left.len();
    let _ = match report.evicted {
        Some(moment) if open == 0 && report.unread.is_none() => writeln!(
            text,
            "{who} is evicted: no way to new sessions is left (incident {id}, since {}).",
            second(moment)
        ),
        Some(_) | None if open == 0 => writeln!(
            text,
            "{who} has no way to new sessions that could be read, and NOT ALL could be (incident {id}): {}. Look there, then: quell evict {id} --attest {NO_WAY_LEFT} --by <your name>",
            clean(report.unread.as_deref().unwrap_or_default())
        ),
        Some(_) | None => writeln!(
            text,
            "{who} is NOT EVICTED: {open} ways to new sessions are open (incident {id})."
        ),
    };
    for way in &report.closed {
        let _ = writeln!(text, "  closed    {}", self::way(way));
    }
    for way in &report.stuck {
        let _ = writeln!(text, "  NOT       {}", self::way(way));
    }
    for way in &report.left {
        let _ = writeln!(text, "  OPEN      {}", self::way(way));
    }
    match report.user_disabled {
        Some(true) => text.push_str("  disabled  the user, by SCIM\n"),
        Some(false) => text.push_str("  NOT       disabled by SCIM: first end the user's sessions and note portal-sessions, for the console cannot end those of a disabled user; or see above why\n"),
        None => {}
    }
    if report.user_deleted {
        text.push_str("  deleted   the user\n");
    }
    for set in &report.held_by {
        let _ = writeln!(
            text,
            "  held      {} refuses them in the management account (provisioned and read back; no canary can be in that role)",
            clean(set.as_str())
        );
    }
    for not_held in &report.not_held {
        let _ = writeln!(
            text,
            "  NOT HELD  {}: {}",
            clean(not_held.permission_set.as_str()),
            clean(&not_held.why)
        );
    }
    for request in &report.team_requests {
        let _ = writeln!(
            text,
            "  TEAM      request {} ({} in {}) is {}: no automatic release while it is",
            clean(&request.id),
            clean(&request.role),
            clean(&request.account),
            clean(&request.status)
        );
    }
    for eligible in &report.team_eligibility {
        let _ = writeln!(
            text,
            "  TEAM      {} Take it away in TEAM, under Eligibility policy.",
            may_ask(eligible)
        );
    }
    if !report.commands.is_empty() {
        text.push_str("\nBy hand, with credentials of the user's account\n");
    }
    for command in &report.commands {
        let _ = writeln!(text, "  {}", clean(command));
    }
    text.push_str(&checklist(&report.by_hand, id));
    text.push_str("\nNext\n");
    if report.not_recorded || open > 0 || !report.stuck.is_empty() {
        let _ = writeln!(
            text,
            "  quell evict {id}    # again, until nothing is left; the wait for the release begins then"
        );
    }
    text.push_str(&trails::to_trace(id, report.principal.as_ref()));
    let _ = match (report.proven, report.release_not_before) {
        (None, _) => writeln!(
            text,
            "  quell verify {id}   # until it is proven; the wait for the release begins then"
        ),
        (Some(_), Some(until)) => {
            writeln!(text, "  quell release {id}  # not before {}", second(until))
        }
        (Some(_), None) => Ok(()),
    };
    text
}

/// The end of a readmission.
pub fn readmit(report: &ReadmitReport) -> String {
    let mut text = practice(report.practice.as_ref());
    let who = named(report.principal.as_ref());
    let since = second(report.sessions_after);
    let _ = match (report.newer_allowed, report.older_refused) {
        (true, true) => writeln!(
            text,
            "{who} may work again in sessions issued from {since} on; every older one stays refused. Both are shown."
        ),
        (newer, older) => writeln!(
            text,
            "{who} is readmitted in sessions issued from {since} on. That newer ones are allowed is {}; that older ones are refused is {}.",
            shown(newer),
            shown(older)
        ),
    };
    text.push_str(&accounts(&report.accounts));
    for older in &report.older {
        let says = match older.refused {
            Some(true) => "an older session is refused",
            Some(false) => "an older session is ALLOWED",
            None => "an older session could not be asked",
        };
        let _ = write!(text, "  {}  {says}", older.id);
        if let Some(detail) = &older.detail {
            let _ = write!(text, " ({})", clean(detail));
        }
        text.push('\n');
    }
    for held in &report.not_narrowed {
        let _ = writeln!(
            text,
            "  NOT done: {} refuses them in the management account as before: {}",
            clean(held.permission_set.as_str()),
            clean(&held.why)
        );
    }
    if let Some(restored) = &report.restored {
        text.push_str(&self::restored(restored));
    }
    if let Some(until) = report.release_not_before {
        let _ = writeln!(
            text,
            "\nNext\n  quell release {}    # not before {}",
            report.incident,
            second(until)
        );
    }
    text
}

/// What was put back.
pub fn restored(report: &RestoredReport) -> String {
    let mut text = String::new();
    for way in &report.reopened {
        let _ = writeln!(text, "  put back  {}", self::way(way));
    }
    for way in &report.stuck {
        let _ = writeln!(text, "  NOT       {}", self::way(way));
    }
    if report.reopened.is_empty() && report.stuck.is_empty() {
        text.push_str("  Nothing had to be put back.\n");
    }
    text
}

/// What only people can do, and what is noted as done.
pub fn checklist(items: &[ItemReport], incident: &IncidentId) -> String {
    let mut text = String::new();
    if items.is_empty() {
        return text;
    }
    text.push_str("\nBy hand, in this order (AWS has no interface for it)\n");
    for (i, item) in items.iter().enumerate() {
        let done = if item.done { "DONE: " } else { "" };
        let what = format!(
            "[{}] {done}{}",
            item.by_hand.item,
            clean(&item.by_hand.what)
        );
        let _ = writeln!(text, "  {}. {}", i + 1, wrapped(&what, "     "));
        let _ = writeln!(text, "     {}", clean(&item.by_hand.link));
        if let Some(evidence) = &item.evidence {
            let _ = writeln!(text, "     {}", clean(evidence));
        }
    }
    if let Some(open) = items.iter().find(|item| !item.done) {
        let _ = writeln!(
            text,
            "  Note what is done: quell evict {incident} --attest {} --by <your name>",
            open.by_hand.item
        );
    }
    text
}

/// A way, with what names it for people.
fn way(report: &WayReport) -> String {
    let mut text = match (&report.way, &report.name) {
        (Way::Assignment { account, .. }, Some(name)) => {
            format!("permission set {} in account {account}", clean(name))
        }
        (Way::Membership { group }, Some(name)) => {
            format!("place in group {} ({group})", clean(name))
        }
        (way, _) => clean(&super::way(way)),
    };
    if let Some(why) = &report.why {
        let _ = write!(text, ": {}", clean(why));
    }
    text
}

fn named(principal: Option<&Username>) -> String {
    principal.map_or("the user".to_owned(), |name| clean(name.as_str()))
}

fn shown(shown: bool) -> &'static str {
    if shown { "shown" } else { "NOT SHOWN" }
}

/// What somebody may ask TEAM for: a sentence.
fn may_ask(eligible: &TeamEligibility) -> String {
    let listed = |names: &[String]| match names {
        [] => "nothing that TEAM names".to_owned(),
        names => clean(&names.join(", ")),
    };
    let approval = match eligible.approval_required {
        Some(true) => "somebody must approve",
        Some(false) => "NOBODY must approve",
        None => "whether somebody must approve is not said",
    };
    let kind = eligible.kind.to_lowercase();
    format!(
        "As {} {} they may ask TEAM for {} in {}; {approval}.",
        clean(&kind),
        clean(&eligible.name),
        listed(&eligible.permissions),
        listed(&eligible.accounts)
    )
}
