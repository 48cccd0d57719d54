//! Reports for a terminal. Pure: text in, text out; the caller writes it.
//!
//! Text from findings and from AWS is untrusted (R23): everything passes [`clean`] on its way out, so no name and no
//! error message can move the cursor, clear the screen or reverse what is read.

pub mod access;

pub mod audit;

pub mod check;

pub mod guardrail;

pub mod switching;

pub mod trails;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use jiff::SignedDuration;

use crate::cloud::{Ask, Probe};
use crate::facts::{Known, Way};
use crate::journal::{Deed, Event};
use crate::plan::StepName;
use crate::plan::opinion::{Opinion, SecondOpinion};
use crate::playbook::ByHand;
use crate::release::Closed;
use crate::report::next::PeopleReport;
use crate::report::*;
use crate::signal::{Accused, Finding, Sure, Suspect, Unresolved, Who, Whom};
use crate::verify::FEW_ACCOUNTS;

/// One value: text without control characters, line breaks, and the marks that reorder what is read.
pub fn clean(text: &str) -> String {
    clean_lines(text).replace('\n', "\\n")
}

/// Text that we composed of lines; each value in it has passed [`clean`] by itself.
pub fn clean_lines(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for c in text.chars() {
        let reorders = matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
        if c == '\n' || !(c.is_control() || reorders) {
            clean.push(c);
        } else {
            clean.extend(c.escape_unicode());
        }
    }
    clean
}

/// `11h 29m`, `4.1s`, `31ms`: two units at most, because nobody needs the milliseconds of a night.
pub fn duration(duration: SignedDuration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0 => format!("{}ms", duration.as_millis()),
        1..60 => format!("{:.1}s", duration.as_secs_f64()),
        60..3600 => format!("{}m {}s", seconds / 60, seconds % 60),
        _ => format!("{}h {}m", seconds / 3600, seconds % 3600 / 60),
    }
}

/// The banner over everything that did not happen on AWS.
pub fn practice(host: Option<&String>) -> String {
    host.map_or(String::new(), |host| {
        format!(
            "PRACTICE: {} is not AWS. Nothing here reaches a real organization.\n\n",
            clean(host)
        )
    })
}

/// The plan.
pub fn plan(report: &PlanReport) -> String {
    let mut text = practice(report.practice.as_ref());
    let user_id = match (&report.iam_user, &report.user_id) {
        (Some(user), _) => match &user.id {
            Known::Known(id) => format!("IAM user {id}"),
            Known::Unknown(why) => format!("an IAM user whose id is unknown: {why}"),
        },
        (None, Known::Known(id)) => format!("user {id}"),
        (None, Known::Unknown(why)) => format!("no user id: {why}"),
    };
    let names: Vec<&str> = report
        .session_names
        .iter()
        .map(SessionName::as_str)
        .collect();
    let user_id = report
        .exact
        .as_ref()
        .map_or(user_id, |exact| exact.what.clone());
    let put = |text: &mut String, label: &str, value: &str| {
        let _ = writeln!(text, "  {label:<10}{}", clean(value));
    };
    let _ = writeln!(
        text,
        "Plan {} (digest {}{})\n",
        report.incident,
        report.digest,
        match report.approve_before {
            Some(moment) => format!(", to be approved before {}", second(moment)),
            None => String::new(),
        }
    );
    put(
        &mut text,
        "who",
        &format!("{} ({user_id})", report.principal),
    );
    put(
        &mut text,
        "sessions",
        &format!(
            "{}{}; the longest lives {}",
            if report.exact.is_some() { "" } else { "named " },
            if report.exact.is_some() {
                "told by the ids alone".to_owned()
            } else if names.is_empty() {
                "in ways that no policy can match".to_owned()
            } else {
                names.join(", ")
            },
            report.longest_session
        ),
    );
    put(&mut text, "can enter", &listed(&report.reach));
    put(
        &mut text,
        "where",
        &format!("{} of organization {}", report.target, report.organization),
    );
    put(&mut text, "you", &report.operator);
    let playbook = &report.playbook;
    let by = format!("{}: {}", playbook.name, playbook.because);
    put(&mut text, "playbook", &by);
    text.push('\n');
    for (i, step) in report.steps.iter().enumerate() {
        let already = if step.already { " (already so)" } else { "" };
        let _ = writeln!(
            text,
            "  {}. {}{already}; a release will {}",
            i + 1,
            clean(&step.does),
            step.undone_by
        );
    }
    let _ = writeln!(
        text,
        "\nThe deny, {} of {} characters:\n\n{}",
        report.characters,
        crate::policy::MOST_CHARACTERS,
        clean_lines(&report.document.pretty())
    );
    section(&mut text, "Warning", &report.warnings);
    section(&mut text, "Not covered", &report.not_covered);
    if let Some(opinion) = &report.second_opinion {
        section(&mut text, "Second opinion", &second_opinion(opinion));
    }
    section(&mut text, "REFUSED", &report.refusals);
    text
}

fn second_opinion(opinion: &SecondOpinion) -> Vec<String> {
    let analyzer = match &opinion.analyzer {
        Opinion::Agrees { .. } => {
            vec!["Access Analyzer finds nothing wrong with the policy.".to_owned()]
        }
        Opinion::Differs { of } => of
            .iter()
            .map(|it| format!("Access Analyzer: {it}"))
            .collect(),
        Opinion::Unavailable { because } => vec![format!(
            "Access Analyzer could not be asked, which changes nothing: {because}."
        )],
    };
    simulator(&opinion.simulator)
        .into_iter()
        .chain(analyzer)
        .collect()
}

fn simulator(opinion: &Opinion) -> Vec<String> {
    match opinion {
        Opinion::Agrees { cases } => vec![format!(
            "IAM's policy simulator agrees in all {cases} cases: the suspect is refused; you and the canaries' control are not."
        )],
        Opinion::Differs { of } => {
            let last = "Believe neither before somebody has read the deny: `quell policy explain`.";
            of.iter().cloned().chain([last.to_owned()]).collect()
        }
        Opinion::Unavailable { because } => vec![format!(
            "IAM's policy simulator could not be asked, which changes nothing: {because}."
        )],
    }
}

/// Several plans, one after the other.
pub fn plans(report: &PlansReport) -> String {
    let plans: Vec<String> = report.plans.iter().map(plan).collect();
    plans.join("\n")
}

/// The end of several containments: first who is not contained.
pub fn contains(report: &ContainsReport) -> String {
    let mut text = String::new();
    for failed in &report.failed {
        let _ = writeln!(
            text,
            "{} (incident {}) did NOT come to the end: {}.",
            clean(failed.principal.as_str()),
            failed.incident,
            clean(&failed.failure)
        );
    }
    for contained in &report.contained {
        let _ = write!(
            text,
            "{}{}",
            if text.is_empty() { "" } else { "\n" },
            contain(contained)
        );
    }
    text
}

/// Armed or disarmed.
pub fn armed(report: &ArmReport) -> String {
    let mut text = practice(report.practice.as_ref());
    let already = if report.already { " already" } else { "" };
    let policy = report.policy_id.as_ref().map_or("", PolicyId::as_str);
    text.push_str(&match &report.target {
        Some(target) => format!(
            "Armed{already}: {policy} is attached to {target} and {}. `quell contain` is one call from now on.\n",
            match report.incidents {
                0 => "denies nobody".to_owned(),
                many => format!("denies the users of {many} incidents"),
            }
        ),
        None => format!(
            "Disarmed{already}. `quell contain` makes a policy of its own for each incident.\n"
        ),
    });
    text
}

/// The end of a containment.
pub fn contain(report: &ContainReport) -> String {
    let mut text = practice(report.practice.as_ref());
    let who = clean(report.principal.as_str());
    if let Some(management) = &report.not_contained_in {
        let _ = writeln!(
            text,
            "{who} is NOT CONTAINED in the management account {management}: `quell evict {} --management`, now.",
            report.incident
        );
    }
    let (id, target) = (&report.incident, &report.target);
    let _ = match report.state {
        Stage::Proven if !report.outside_target.is_empty() => writeln!(
            text,
            "PARTIAL: {who} is refused everywhere we looked under {target}, and can still enter {} accounts outside it. Incident {id}, proven {} after approval.",
            report.outside_target.len(),
            ms(report.proven_ms)
        ),
        Stage::Proven if report.witness.is_some() => writeln!(
            text,
            "The deny of {who} is enforced everywhere we looked: its witness is refused by it, and no canary can carry their ids. Incident {id}, proven {} after approval.",
            ms(report.proven_ms)
        ),
        Stage::Proven => writeln!(
            text,
            "{who} is refused everywhere we looked. Incident {id}, proven {} after approval.",
            ms(report.proven_ms)
        ),
        Stage::GettingThrough => writeln!(
            text,
            "{who} is STILL GETTING THROUGH. The deny is attached to {target} (incident {id}) and does not hold everywhere."
        ),
        Stage::Accepted | Stage::NotAttached | Stage::Released => {
            writeln!(
                text,
                "The deny is attached to {target} (incident {id}), and NOT PROVEN: see the accounts below."
            )
        }
    };
    let _ = writeln!(
        text,
        "\n  policy    {}\n  target    {target}\n  accepted  {} after approval",
        report.policy_id,
        ms(Some(report.accepted_ms))
    );
    text.push_str(&accounts(&report.accounts));
    text.push_str(&asked(&report.asked));
    section(&mut text, "Not covered", &report.not_covered);
    match &report.eviction {
        Some(eviction) => {
            text.push('\n');
            text.push_str(&access::evict(eviction));
            return text;
        }
        None => {
            text.push_str(&people(&report.people));
            text.push_str(&checklist(&report.by_hand));
        }
    }
    let playbook = &report.playbook;
    let _ = writeln!(
        text,
        "\nNext, by playbook {} ({})",
        playbook.name,
        clean(&playbook.because)
    );
    if report.proof_not_recorded {
        let _ = writeln!(
            text,
            "  quell verify {id}   # the proof could not be written on the policy; without it no release clock runs"
        );
    }
    for next in &report.next {
        let _ = writeln!(
            text,
            "  {:<23} # {}",
            clean(&next.command),
            clean(&next.why)
        );
    }
    text
}

/// The end of a verification.
pub fn verify(report: &VerifyReport) -> String {
    let mut text = practice(report.practice.as_ref());
    let id = &report.incident;
    if report.reaches_management {
        text.push_str(
            "NOT CONTAINED in the management account: no service control policy applies there.\n",
        );
    }
    let _ = match report.state {
        Stage::Proven => writeln!(text, "Incident {id}: refused everywhere we looked."),
        Stage::GettingThrough => writeln!(text, "Incident {id}: STILL GETTING THROUGH."),
        Stage::Accepted | Stage::NotAttached | Stage::Released if !report.complete => {
            writeln!(
                text,
                "Incident {id}: only some accounts were looked at, or the policy is not attached, which proves nothing."
            )
        }
        Stage::Accepted | Stage::NotAttached | Stage::Released => {
            writeln!(text, "Incident {id}: NOT PROVEN.")
        }
    };
    text.push_str(&accounts(&report.accounts));
    text.push_str(&asked(&report.asked));
    if let Some(cloudtrail) = &report.cloudtrail {
        text.push_str(&trails::cloudtrail(id, cloudtrail));
    }
    if let Some(note) = &report.chained_note {
        let _ = writeln!(text, "\n{}", wrapped(&clean(note), ""));
    }
    if report.proof_not_recorded {
        let _ = writeln!(
            text,
            "\nThe proof could not be written on the policy: run `quell verify {id}` again, for the wait begins with it."
        );
    }
    if let (Some(until), Stage::Proven) = (report.release_not_before, report.state) {
        let _ = writeln!(
            text,
            "\nNext\n  quell trace {id}    # whom they became under other names, which no canary shows\n  quell release {id}  # not before {}",
            second(until)
        );
    }
    text
}

/// Incidents.
pub fn status(report: &StatusReport) -> String {
    let mut text = practice(report.practice.as_ref());
    if let Some(armed) = &report.armed {
        let targets: Vec<&str> = armed.targets.iter().map(TargetId::as_str).collect();
        let where_to = if targets.is_empty() {
            "NOT ATTACHED: `quell prepare arm` attaches it".to_owned()
        } else {
            format!("attached to {}", targets.join(", "))
        };
        let _ = writeln!(
            text,
            "Armed: {}, {where_to}, with {} in it.",
            armed.policy_id,
            match armed.incidents {
                0 => "nobody".to_owned(),
                1 => "one incident".to_owned(),
                many => format!("{many} incidents"),
            }
        );
        if !armed.agrees {
            text.push_str("Its document is NOT what its tags say; whoever writes it next puts it right: see below.\n");
        }
        text.push('\n');
    }
    if report.incidents.is_empty() {
        text.push_str("No incident: no policy of this organization is one of quell's.\n");
    }
    for incident in &report.incidents {
        let who = incident
            .principal
            .as_ref()
            .map_or("an unknown principal".to_owned(), |name| {
                clean(name.as_str())
            });
        let targets: Vec<&str> = incident.attached_to.iter().map(TargetId::as_str).collect();
        let state = match incident.state {
            Stage::NotAttached => "NOT ATTACHED: contain it again, or release it".to_owned(),
            Stage::Accepted => format!("attached to {}, NOT PROVEN", targets.join(", ")),
            Stage::GettingThrough => format!("attached to {}, GETTING THROUGH", targets.join(", ")),
            Stage::Proven => format!("attached to {}, proven", targets.join(", ")),
            Stage::Released => "released".to_owned(),
        };
        let _ = writeln!(
            text,
            "{}  {who}\n  state     {state}\n  policy    {}{}",
            incident.incident,
            incident.policy_id,
            if incident.armed {
                ", the armed one"
            } else {
                ""
            }
        );
        if let Some(opened) = incident.opened {
            let _ = writeln!(
                text,
                "  opened    {}, {} ago, by {}",
                second(opened),
                incident.age.as_deref().unwrap_or("some time"),
                clean(incident.operator.as_deref().unwrap_or("somebody"))
            );
        }
        let id = &incident.incident;
        let _ = match incident.evicted {
            Some(moment) => writeln!(text, "  evicted   {}", second(moment)),
            None if !incident.needs_eviction => writeln!(
                text,
                "  evicted   nothing to close: later sessions of the role are let through"
            ),
            None => writeln!(
                text,
                "  evicted   NO: new sessions can be minted. `quell evict {id}`"
            ),
        };
        if let Some(moment) = incident.sessions_after {
            let _ = writeln!(
                text,
                "  readmitted in sessions issued from {} on",
                second(moment)
            );
        }
        if let Some(moment) = incident.lapses {
            let _ = writeln!(
                text,
                "  ends by itself at {}: it fails open",
                second(moment)
            );
        }
        if incident.not_contained_in_management {
            let _ = writeln!(
                text,
                "  management account: NOT CONTAINED THERE. `quell evict {id} --management`"
            );
        }
        if !incident.chained.is_empty() {
            let since = incident.chained_at.map(second);
            let since = since.map_or(String::new(), |at| format!(", all of them since {at}"));
            let _ = writeln!(
                text,
                "  chained   {} under other names denied, too{since}",
                incident.chained.iter().filter(|it| it.denied).count()
            );
            for session in &incident.chained {
                let denied = if session.denied { "" } else { "  NOT DENIED" };
                let _ = writeln!(text, "            {}{denied}", session.userid);
            }
        }
        for note in &incident.notes {
            let _ = writeln!(text, "  LOOK      {}", clean(note));
        }
        let _ = match (incident.release_not_before, incident.due, &incident.wait) {
            (Some(until), true, _) => writeln!(text, "  release   due since {}", second(until)),
            (Some(until), false, Some(wait)) => {
                writeln!(text, "  release   not before {}, in {wait}", second(until))
            }
            _ => writeln!(
                text,
                "  release   the wait begins when {}",
                match (incident.proven, incident.evicted) {
                    (None, None) => "the deny is proven and the user is evicted",
                    (None, Some(_)) => "the deny is proven",
                    (Some(_), Some(_)) => "the sessions under other names are denied",
                    (Some(_), None) => "the user is evicted",
                }
            ),
        };
    }
    for disagreement in &report.disagreements {
        let who = disagreement
            .principal
            .as_ref()
            .map_or("an unknown principal".to_owned(), |name| {
                clean(name.as_str())
            });
        let _ = writeln!(
            text,
            "\n{}  {who}: THIS MACHINE AND AWS DISAGREE\n  {}\n  {}",
            disagreement.incident,
            clean(&disagreement.says),
            clean(&disagreement.hint)
        );
    }
    text
}

/// Releases.
pub fn release(report: &ReleaseReport) -> String {
    let mut text = practice(report.practice.as_ref());
    for failed in &report.failed {
        let _ = writeln!(
            text,
            "Incident {} is NOT released: {}.",
            failed.incident,
            clean(&failed.failure)
        );
    }
    for id in &report.gone {
        let _ = writeln!(
            text,
            "Incident {id} was gone already: AWS has no trace of it. This machine's journal says so from now on."
        );
    }
    for put_back in &report.put_back {
        let _ = writeln!(text, "Incident {}:", put_back.incident);
        text.push_str(&access::restored(&put_back.restored));
    }
    if report.released.is_empty()
        && report.failed.is_empty()
        && report.gone.is_empty()
        && report.put_back.is_empty()
    {
        text.push_str("Nothing is due.\n");
    }
    for released in &report.released {
        let who = released
            .principal
            .as_ref()
            .map_or("the principal".to_owned(), |name| clean(name.as_str()));
        let id = &released.incident;
        let policy = &released.policy_id;
        let gone = if released.armed {
            format!("its deny is taken out of {policy}")
        } else {
            format!("the policy {policy} is gone")
        };
        let others: Vec<&str> = released
            .still_denied_by
            .iter()
            .map(IncidentId::as_str)
            .collect();
        let _ = match (released.allowed_again, others.as_slice()) {
            (true, _) => writeln!(
                text,
                "Incident {id} is released: {gone}, and {who} is allowed again."
            ),
            (false, []) => writeln!(
                text,
                "Incident {id} is released: {gone}. That {who} is allowed again is NOT SHOWN."
            ),
            (false, others) => writeln!(
                text,
                "Incident {id} is released: {gone}. {who} is STILL DENIED by {}.",
                others.join(", ")
            ),
        };
        if let Some(waited) = &released.waited {
            let _ = writeln!(text, "  It waited {}.", clean(&waited.derivation));
        }
        if let Some(guardrail) = released.guardrail {
            let _ = writeln!(text, "{}", guardrail.says());
        }
        for held in &released.still_held {
            let _ = writeln!(
                text,
                "  NOT done: {} still refuses them in the management account: {}",
                clean(held.permission_set.as_str()),
                clean(&held.why)
            );
        }
        if released.stays_closed {
            let _ = writeln!(
                text,
                "  What eviction took away stays closed. To give it back, on the machine that evicted: quell release {id} --restore"
            );
        }
        if let Some(why) = &released.user_still_denied {
            let _ = writeln!(
                text,
                "  NOT done: the inline policy {} on the user refuses them still: {}",
                id.policy_name(),
                clean(why)
            );
        }
        if let Some(restored) = &released.restored {
            text.push_str(&access::restored(restored));
        }
        if let Some(gate) = &released.forced_past {
            let gate = clean(&gate.to_string());
            let _ = writeln!(text, "FORCED past a closed gate: {gate}.");
        }
        text.push_str(&accounts(&released.accounts));
    }
    text
}

/// A drill's grade. The story was told while it happened.
pub fn drill(report: &DrillReport) -> String {
    let attacker = report.attacker;
    let mut text = format!(
        "\nGrade: {}\n\n  attacker, after the proof   {} calls allowed (must be 0)\n  everybody else              {} calls refused (must be 0), {} allowed\n  policies left behind        {} (must be 0)\n{}\n  The attacker's {} sessions: {} calls allowed before the proof, {} refused, {} made with sessions that were over.\n  On the clock of the range: accepted after {}, proven after {}, released {} later.\n",
        report.verdict.to_uppercase(),
        attacker.allowed_after_proven,
        report.bystanders_refused,
        report.bystanders_allowed,
        report.policies_left,
        match attacker.allowed_in_between {
            0 => String::new(),
            many => format!(
                "  until the steps after it    {many} calls allowed, in sessions that only those steps are against\n"
            ),
        },
        attacker.sessions,
        attacker.allowed_before,
        attacker.refused,
        attacker.expired,
        ms(Some(report.accepted_ms)),
        ms(report.proven_ms),
        ms(report.denied_for_ms),
    );
    section(&mut text, "Why it failed", &report.faults);
    text
}

/// A live drill's grade.
pub fn live_drill(report: &LiveDrillReport) -> String {
    let mut text = practice(report.practice.as_ref());
    let _ = writeln!(
        text,
        "Grade: {}\n\n  {} under {}: accepted after {}, proven after {}, and the deny is gone again (incident {}).\n  {}",
        report.verdict.to_uppercase(),
        clean(report.principal.as_str()),
        report.target,
        ms(Some(report.accepted_ms)),
        ms(report.proven_ms),
        report.incident,
        if report.allowed_again {
            "They are let in again everywhere we looked."
        } else {
            "That they are let in again is NOT SHOWN."
        }
    );
    text.push_str(&accounts(&report.accounts));
    text
}

/// What a finding says.
pub fn finding(finding: &Finding) -> String {
    let mut text = format!("{}  {}\n", clean(&finding.id), clean(&finding.kind));
    let mut put = |label: &str, value: Option<String>| {
        if let Some(value) = value {
            let _ = writeln!(text, "  {label:<10}{}", clean(&value));
        }
    };
    put(
        "severity",
        finding.severity.map(|severity| severity.to_string()),
    );
    put("account", finding.account.as_ref().map(ToString::to_string));
    put("region", finding.region.as_ref().map(ToString::to_string));
    put("last seen", finding.last_seen.map(second));
    put("from", finding.remote_ip.clone());
    put("call", finding.call.clone());
    if finding.sample {
        put("sample", Some("yes: nobody did anything".to_owned()));
    }
    match &finding.who {
        Who::Suspects(suspects) => {
            for each in suspects {
                put("suspect", Some(whom(&each.whom)));
                put("", Some(format!("{}, at {}", sure(each), each.from)));
            }
        }
        Who::Nobody(nobody) => {
            put("suspect", Some(format!("none: {nobody}")));
            put("", Some(nobody.instead().to_owned()));
        }
    }
    text
}

/// One line about a finding, for a person who chooses.
pub fn finding_in_short(finding: &Finding, now: Timestamp) -> String {
    let severity = finding
        .severity
        .map_or("  - ".to_owned(), |it| format!("{it:4.1}"));
    let age = finding.last_seen.map_or("at some time".to_owned(), |seen| {
        format!("{} ago", duration(now.duration_since(seen)))
    });
    let who: Vec<String> = match &finding.who {
        Who::Suspects(accused) => accused.iter().map(|each| whom(&each.whom)).collect(),
        Who::Nobody(_) => Vec::new(),
    };
    clean(&format!(
        "{severity}  {age}  {}  {}",
        who.join("; "),
        finding.kind
    ))
}

/// Somebody accused, for people.
pub fn whom(whom: &Whom) -> String {
    match whom {
        Whom::Suspect(one) => suspect(one),
        Whom::Unresolved(Unresolved::AccessKey { key, account }) => {
            format!(
                "whoever signs with access key {key}{}",
                of_account(account.as_ref())
            )
        }
        Whom::Unresolved(Unresolved::Session {
            account,
            role,
            session,
        }) => format!(
            "session {session} of role {role}{}",
            of_account(Some(account))
        ),
    }
}

fn of_account(account: Option<&AccountId>) -> String {
    account.map_or(String::new(), |account| format!(" in account {account}"))
}

/// How sure it is who somebody is, for people.
fn sure(accused: &Accused) -> &'static str {
    match (accused.sure, &accused.whom) {
        (Sure::Id, Whom::Unresolved(_)) => "for CloudTrail to tell",
        (Sure::Id, Whom::Suspect(_)) => "sure, by an id that nobody else has",
        (Sure::Name, _) => "by name alone",
        (Sure::Told, _) => "in words alone: name them yourself to contain them",
    }
}

/// A suspect for people.
pub fn suspect(suspect: &Suspect) -> String {
    match suspect {
        Suspect::Named { name } => format!("Identity Center user {name}"),
        Suspect::PermissionSetSession {
            session,
            role,
            account,
            ..
        } => {
            let place = of_account(account.as_ref());
            format!("Identity Center user {session}, in a session of {role}{place}")
        }
        Suspect::RoleSession {
            session,
            role,
            role_id,
            ..
        } if role.is_empty() => format!("session {session} of role {role_id}"),
        Suspect::RoleSession { session, role, .. } => format!("session {session} of role {role}"),
        Suspect::Role {
            account,
            role,
            role_id,
        } => {
            let id = role_id.as_ref().map(RoleId::as_str);
            let name = if role.is_empty() {
                id
            } else {
                Some(role.as_str())
            };
            let place = of_account(account.as_ref());
            format!("every session of role {}{place}", name.unwrap_or_default())
        }
        Suspect::IamUser {
            name,
            principal_id,
            account,
        } => {
            let id = principal_id
                .as_ref()
                .map_or(String::new(), |id| format!(" ({id})"));
            let place = of_account(account.as_ref());
            format!("IAM user {name}{id}{place}")
        }
        Suspect::Root { account } => format!(
            "root user of account {}",
            account.as_ref().map_or("unknown", AccountId::as_str)
        ),
        Suspect::FederatedUser { principal_id } => format!("federated user {principal_id}"),
    }
}

/// One event, as it happens; `None` for those that say nothing new to a person watching.
pub fn event(event: &Event) -> Option<String> {
    let text = match event {
        Event::Approved { .. } | Event::TakenUp { .. } | Event::Prepared { .. } => return None,
        Event::Started { step } => match step {
            StepName::CreatePolicy => "creating the policy…".to_owned(),
            StepName::AttachPolicy => "attaching it…".to_owned(),
            StepName::RecordProof => "writing the proof on the policy…".to_owned(),
            StepName::RecordEviction => "writing that on the policy…".to_owned(),
            StepName::NarrowDeny => "narrowing the deny to older sessions…".to_owned(),
            StepName::RecordChained => "writing on the policy whom they became…".to_owned(),
            StepName::DenyChained => "denying whom they became, too…".to_owned(),
            StepName::DetachPolicy => "detaching the policy…".to_owned(),
            StepName::DeletePolicy => "deleting it…".to_owned(),
            StepName::UpdatePolicy => "writing the deny into the policy…".to_owned(),
            StepName::TagPolicy => "entering the incident in its tags…".to_owned(),
            StepName::AlignPolicy => {
                "somebody else wrote, too: bringing the armed policy in line with its tags…"
                    .to_owned()
            }
            StepName::MarkLeaving => "marking the incident as leaving…".to_owned(),
            StepName::TakeOut => "taking the deny out of the armed policy…".to_owned(),
            StepName::ClearTags => "clearing the incident's tags…".to_owned(),
        },
        Event::Done {
            step,
            policy,
            found,
        } => {
            let found = if *found { " (found so)" } else { "" };
            match step {
                StepName::CreatePolicy => format!("created {policy}{found}"),
                StepName::AttachPolicy => format!("ACCEPTED: {policy} is attached{found}"),
                StepName::RecordProof => "the proof is written on the policy".to_owned(),
                StepName::RecordEviction => "written on the policy".to_owned(),
                StepName::RecordChained => "written on the policy".to_owned(),
                StepName::DenyChained => {
                    format!("ACCEPTED: {policy} denies whom they became, too{found}")
                }
                StepName::NarrowDeny => {
                    format!("NARROWED: {policy} refuses older sessions only{found}")
                }
                StepName::DetachPolicy => format!("detached {policy}{found}"),
                StepName::DeletePolicy => format!("deleted {policy}{found}"),
                StepName::UpdatePolicy => {
                    format!("ACCEPTED: the deny is in {policy}{found}, which is attached")
                }
                StepName::TagPolicy => format!("entered{found}"),
                StepName::AlignPolicy => {
                    format!("in line: {policy} denies all its incidents{found}")
                }
                StepName::MarkLeaving => format!("marked{found}"),
                StepName::TakeOut => format!("taken out of {policy}{found}"),
                StepName::ClearTags => format!("cleared{found}"),
            }
        }
        Event::Failed { why, .. } => format!("failed: {why}"),
        Event::Unsettled { why, .. } => format!("no answer that can be read: {why}"),
        Event::Looked {
            account,
            verdict,
            first_refusal,
        } => match first_refusal {
            Some(after) => format!(
                "{account}: {} (first refusal after {})",
                verdict.replace('_', " "),
                duration(*after)
            ),
            None => format!("{account}: {}", verdict.replace('_', " ")),
        },
        Event::BackedUp { ways, .. } => format!(
            "backed up in the journal: {} assignments, {} groups, {} entitlements",
            ways.assignments.len(),
            ways.memberships.len(),
            ways.entitlements.len()
        ),
        Event::UserBackedUp { user } => format!(
            "backed up in the journal: {} access keys, {}, {} policies",
            user.keys.len(),
            match user.login_profile {
                true => "a password",
                false => "no password",
            },
            user.inline.len() + user.attached.len()
        ),
        Event::Closing { .. } | Event::Reopening { .. } | Event::Holding { .. } => return None,
        Event::Closed { way, found } => {
            let found = if *found { " (found so)" } else { "" };
            format!("closed: {}{found}", self::way(way))
        }
        Event::Reopened { way, found } => {
            let found = if *found { " (found so)" } else { "" };
            format!("open again: {}{found}", self::way(way))
        }
        Event::Stuck { way, why, certain } => {
            let certain = if *certain {
                "NOT done"
            } else {
                "UNKNOWN whether done"
            };
            format!("{certain}: {}: {why}", self::way(way))
        }
        Event::Doing { .. } => return None,
        Event::Did { deed, why } => {
            let what = match deed {
                Deed::RevokeTeamRequest { request } => format!("TEAM's request {request} revoked"),
                Deed::Deactivate { user } => format!("user {user} disabled by SCIM"),
                Deed::DeleteUser { user } => format!("user {user} deleted"),
            };
            match why {
                None => what,
                Some(why) => format!("NOT done: {what}: {why}"),
            }
        }
        Event::Evicted => "EVICTED: no way to new sessions is left".to_owned(),
        Event::Held {
            permission_set,
            denies,
            ..
        } => match denies {
            true => format!(
                "HELD in the management account: {permission_set} refuses them, provisioned and read back"
            ),
            false => format!("let go: the inline policy of {permission_set} is without the deny"),
        },
        Event::NotHeld {
            permission_set,
            why,
        } => format!("NOT done in the management account: {permission_set}: {why}"),
        Event::Attested { item, by, .. } => format!("noted: {item}, done by {by}"),
        Event::Readmitted { sessions_after } => format!(
            "READMITTED: sessions issued from {} on are let through",
            second(*sessions_after)
        ),
        Event::Asking { accounts } => match accounts {
            1 => "asking the canaries of one account…".to_owned(),
            _ => format!("asking the canaries of {accounts} accounts…"),
        },
        Event::Looking {
            settled,
            of,
            left,
            why,
        } => {
            let why = why.as_ref().map(|why| format!(" (of one: {why})"));
            format!(
                "  {settled} of {of} accounts settled; asking for {} more at most…{}",
                duration(*left),
                why.unwrap_or_default()
            )
        }
        Event::Chained { sessions } => {
            let sessions: Vec<&str> = sessions.iter().map(SessionUserId::as_str).collect();
            format!("to be denied, too: {}", sessions.join(", "))
        }
        Event::Proven => "PROVEN: refused everywhere we looked".to_owned(),
        Event::Released => "released".to_owned(),
    };
    Some(clean(&text))
}

/// Why a release is refused, for a story.
pub fn gate(gate: &Closed) -> String {
    let text = format!("Refused: {gate}");
    wrapped(&clean(&text), "  ")
}

/// How far the wait for a release is, on one line.
pub fn waiting(incident: &IncidentId, part: f64, left: SignedDuration) -> String {
    const WIDTH: usize = 30;
    let full = (0..WIDTH).filter(|cell| (*cell as f64) < part * WIDTH as f64);
    let full = full.count();
    format!(
        "{incident} waits [{}{}] {:>3.0} %, {} left   ",
        "#".repeat(full),
        ".".repeat(WIDTH - full),
        part * 100.0,
        duration(left)
    )
}

/// A way to new sessions.
pub fn way(way: &Way) -> String {
    match way {
        Way::Assignment {
            account,
            permission_set,
        } => {
            let set = permission_set.as_str().rsplit('/').next();
            format!(
                "assignment of permission set {} in account {account}",
                set.unwrap_or_default()
            )
        }
        Way::Membership { group } => format!("membership of group {group}"),
        Way::Entitlement(entitlement) => format!("account access manager's {}", entitlement.role),
        Way::AccessKey { key } => format!("access key {key}"),
        Way::LoginProfile => "the password for the console (login profile)".to_owned(),
        Way::Permissions => {
            "what the user's policies allow (by an inline deny on the user)".to_owned()
        }
    }
}

/// What only people can do.
pub fn checklist(items: &[ByHand]) -> String {
    let mut text = String::new();
    if !items.is_empty() {
        text.push_str(
            "\nBy hand, in this order, after `quell evict` (AWS has no interface for it)\n",
        );
    }
    for (i, item) in items.iter().enumerate() {
        let _ = writeln!(
            text,
            "  {}. [{}] {}\n     {}",
            i + 1,
            item.item,
            wrapped(&clean(&item.what), "     "),
            clean(&item.link)
        );
    }
    text
}

/// What people do meanwhile, beside the checklist.
fn people(people: &PeopleReport) -> String {
    let mut text = String::new();
    let tell = people.tell.iter();
    let tell: Vec<String> = tell.map(|it| format!("{}: {}", it.who, it.what)).collect();
    let save = people.save.iter();
    let save: Vec<String> = save.map(|it| format!("{} {}", it.what, it.link)).collect();
    let stop = people.stop.iter();
    let stop: Vec<String> = stop
        .map(|it| format!("If {}: {}", it.when, it.what))
        .collect();
    section(&mut text, "Tell", &tell);
    section(&mut text, "Save", &save);
    section(&mut text, "Stop", &stop);
    text
}

fn accounts(accounts: &[AccountReport]) -> String {
    let mut text = "\nAccounts\n".to_owned();
    if accounts.is_empty() {
        text.push_str("  none could be looked at: the principal reaches no member account that the deny covers\n");
    }
    let many = accounts.len() > FEW_ACCOUNTS;
    let mut same: BTreeMap<&str, usize> = BTreeMap::new();
    for account in accounts {
        *same.entry(account.says).or_default() += 1;
    }
    if many {
        for (says, how_many) in &same {
            let _ = writeln!(text, "  {how_many} accounts: {says}");
        }
    }
    let told = |account: &&AccountReport| {
        !many || same.get(account.says).is_some_and(|it| *it <= FEW_ACCOUNTS)
    };
    for account in accounts.iter().filter(told) {
        let _ = write!(text, "  {}  {}", account.id, account.says);
        if let Some(after) = account.first_refusal_ms {
            let _ = write!(text, ", first refusal after {}", ms(Some(after)));
        }
        if let Some(detail) = &account.detail {
            let _ = write!(text, " ({})", clean(detail));
        }
        text.push('\n');
    }
    if let Some(took) = Enforcement::of(accounts).filter(|_| accounts.len() > 1) {
        let _ = writeln!(
            text,
            "  first refusals: half of them after {}, 95 of 100 after {}, the last after {}",
            ms(Some(took.p50_ms)),
            ms(Some(took.p95_ms)),
            ms(Some(took.max_ms))
        );
    }
    let asked: Vec<&AccountReport> = accounts.iter().filter(|it| it.role.is_some()).collect();
    let without = asked.iter().filter(|it| !it.source_identity).count();
    if without > 0 {
        let _ = writeln!(
            text,
            "  in {without} of {} the canary role does not let a source identity be set (sts:SetSourceIdentity): the name alone is shown",
            asked.len()
        );
    }
    text
}

/// What the canaries asked, where it is not the one thing that they ask unless told otherwise.
fn asked(asked: &[Ask]) -> String {
    let mut places: BTreeMap<Probe, Vec<&str>> = BTreeMap::new();
    for ask in asked {
        let regions = places.entry(ask.probe).or_default();
        regions.extend(ask.region.as_ref().map(Region::as_str));
    }
    if places.keys().eq(&[Probe::AccountAliases]) {
        return String::new();
    }
    let one = |(probe, regions): (Probe, Vec<&str>)| match regions.as_slice() {
        [] => probe.to_string(),
        regions => format!("{probe} in {}", regions.join(", ")),
    };
    let each: Vec<String> = places.into_iter().map(one).collect();
    let line = format!("asked in each: {}", each.join("; "));
    format!("  {}\n", wrapped(&line, "    "))
}

/// A title and its lines, if there are any.
pub fn section(text: &mut String, title: &str, lines: &[String]) {
    if !lines.is_empty() {
        let _ = writeln!(text, "\n{title}");
    }
    for line in lines {
        let _ = writeln!(text, "  - {}", wrapped(&clean(line), "    "));
    }
}

/// Text in lines that are easily read; all but the first are indented.
fn wrapped(text: &str, indent: &str) -> String {
    const WIDTH: usize = 96;
    let mut wrapped = String::new();
    let mut column = 0;
    for word in text.split(' ') {
        let length = word.chars().count();
        if column > 0 && column + 1 + length > WIDTH {
            wrapped.push('\n');
            wrapped.push_str(indent);
            column = 0;
        } else if column > 0 {
            wrapped.push(' ');
            column += 1;
        }
        wrapped.push_str(word);
        column += length;
    }
    wrapped
}

/// A few by name, many by number.
fn listed(accounts: &BTreeSet<AccountId>) -> String {
    let names: Vec<&str> = accounts.iter().map(AccountId::as_str).collect();
    match names.as_slice() {
        [] => "no account that we know of".to_owned(),
        few @ [_, ..] if few.len() <= 6 => few.join(", "),
        [first, second, ..] => format!("{} accounts: {first}, {second}, …", names.len()),
        [one] => (*one).to_owned(),
    }
}

fn ms(millis: Option<i64>) -> String {
    millis.map_or("never".to_owned(), |millis| {
        duration(SignedDuration::from_millis(millis))
    })
}

/// A moment to the second, in UTC.
pub fn second(moment: Timestamp) -> String {
    moment.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_from_outside_can_move_the_cursor_or_turn_the_text_around() {
        for hostile in [
            "\u{1b}[2J",
            "a\rb",
            "a\u{202e}b",
            "a\u{2066}b",
            "\u{9b}2J",
            "a\u{0}b",
            "tab\there",
        ] {
            let shown = clean(hostile);
            assert!(
                shown.chars().all(|c| !c.is_control()
                    && !('\u{202a}'..='\u{202e}').contains(&c)
                    && !('\u{2066}'..='\u{2069}').contains(&c)),
                "{shown:?}"
            );
        }
        assert_eq!(clean("Zoë O'Neil 日本"), "Zoë O'Neil 日本");
        // A line of its own would look like one of ours.
        assert_eq!(clean("x\nNothing was changed."), "x\\nNothing was changed.");
    }

    #[test]
    fn long_lines_break_between_words_and_lose_none() {
        let long = "word ".repeat(100);
        let shown = wrapped(long.trim_end(), "  ");
        assert!(
            shown.lines().all(|line| line.chars().count() <= 98),
            "{shown}"
        );
        assert_eq!(shown.split_whitespace().count(), 100);
        assert_eq!(wrapped(&"x".repeat(300), "  "), "x".repeat(300));
    }

    #[test]
    fn durations_have_two_units_at_most() {
        for (seconds, shown) in [
            (0.08, "80ms"),
            (4.12, "4.1s"),
            (61.0, "1m 1s"),
            (41_340.0, "11h 29m"),
        ] {
            assert_eq!(duration(SignedDuration::from_secs_f64(seconds)), shown);
        }
    }
}
