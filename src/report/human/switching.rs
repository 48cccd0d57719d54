//! The roles that an IAM user may assume, for a terminal.

use std::fmt::Write as _;

use jiff::SignedDuration;

use crate::audit::switching::Sure;
use crate::report::human::{clean, duration, wrapped};
use crate::report::switching::{RoleReport, SwitchingReport, by_account};
use crate::report::trails::Fate;

/// What lets somebody look into an account.
const FIX: &str = "`quell prepare canary-template --with-audit` is the role that may be asked.";

/// The roles.
pub fn switching(report: &SwitchingReport) -> String {
    let mut text = "\nWhich roles they may assume\n".to_owned();
    let mut say = |told: &str| {
        let _ = writeln!(text, "  {}", wrapped(told, "    "));
    };
    say(match report.refused_new {
        true => {
            "While the deny stands the user can assume none of them: the call is refused in their own account. Sessions that were made before live on, unless they are denied."
        }
        false => {
            "NOT REFUSED: the user can go on assuming them, because the deny does not bind in their account."
        }
    });
    if report.named_everywhere {
        say("Their policies name roles in any account, so every account is looked at.");
    }
    if report.unread_policies > 0 {
        say(&format!(
            "UNKNOWN: {} of their policies cannot be read.",
            report.unread_policies
        ));
    }
    for missed in &report.missed {
        say(&format!(
            "NOT LOOKED AT: account {}: {}. {FIX}",
            missed.account,
            clean(missed.why.trim_end_matches('.'))
        ));
    }
    if report.roles.is_empty() {
        say(&format!(
            "None, in the {} accounts that were looked at.",
            report.looked_at.len()
        ));
    }
    for (account, roles) in by_account(&report.roles) {
        let _ = writeln!(text, "  account {account}");
        for role in roles {
            text.push_str(&told(role));
        }
    }
    text
}

/// One role.
fn told(role: &RoleReport) -> String {
    let switch = &role.switch;
    let mut text = String::new();
    let mfa = match switch.mfa {
        Sure::Yes => "only with MFA",
        Sure::No => "without MFA",
        Sure::Unknown => "with or without MFA is unknown",
    };
    let longest = duration(SignedDuration::from_secs(role.longest_session_s));
    let most = match role.longest_is_known {
        true => "",
        false => ", the most that AWS takes",
    };
    let _ = writeln!(text, "    {}", clean(&switch.role));
    let mut say = |told: &str| {
        let _ = writeln!(text, "      {}", wrapped(&clean(told), "        "));
    };
    match &switch.unknown {
        Some(why) => say(&format!("UNKNOWN whether it lets them in: {why}")),
        None => say(&format!("by {}", switch.by.join(" and "))),
    }
    say(&format!(
        "{mfa}; for {longest} at the longest{most}, and for an hour out of another role"
    ));
    say(match (switch.any_name, role.named_after_user) {
        (_, Fate::InManagement) => {
            "in the management account no service control policy applies: no session of it is denied"
        }
        (_, Fate::NotDenied | Fate::Ended) => {
            "NOT DENIED: the deny does not match their sessions in it, whatever their name is"
        }
        (Sure::Yes, Fate::Denied) => {
            "the deny matches sessions that have their name, as the console gives it; they may choose another"
        }
        (Sure::No, Fate::Denied) => {
            "the deny matches every session of theirs: it must have their name, or their source identity"
        }
        (Sure::Unknown, Fate::Denied) => {
            "the deny matches sessions that have their name; whether they may choose another is unknown"
        }
    });
    for session in &role.alive {
        say(&format!(
            "alive: {}  {}",
            session.userid,
            session.fate.says()
        ));
    }
    if !role.followed {
        say("NOT FOLLOWED: CloudTrail could not be read there, or not where they live");
    }
    text
}

/// What to do about roles whose sessions could not be followed.
pub fn next(report: &SwitchingReport) -> Vec<String> {
    let commands = report.roles.iter().filter_map(|role| role.contain.as_ref());
    commands
        .map(|command| {
            format!(
                "{}    # every session of it from before now, whoever has it",
                clean(command)
            )
        })
        .collect()
}
