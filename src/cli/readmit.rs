//! `quell readmit`: the person works again in fresh sessions, while every older one stays refused (R20).

use std::path::PathBuf;

use clap::Args;
use jiff::{SignedDuration, Timestamp};

use crate::cli::contain::{CanaryArgs, playbook};
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::release::{backup_of, restore, stays_contained};
use crate::cli::ui::Ui;
use crate::cli::word::Word;
use crate::cli::{Common, Outside, do_or_say, given, open_journal};
use crate::cloud::{Clock as _, Cloud, Read as _};
use crate::facts::Known;
use crate::ids::IncidentId;
use crate::incident::Incident;
use crate::journal::{Event, Purpose};
use crate::release;
use crate::report::access::ReadmitReport;
use crate::report::human;
use crate::respond::{Response, evicting};

/// A moment further ahead keeps everybody out until then, which nobody means.
const FURTHEST: SignedDuration = SignedDuration::from_mins(5);

/// What `quell readmit` takes.
#[derive(Debug, Args)]
pub struct ReadmitArgs {
    /// The incident, as in q-7f3a9c
    incident: IncidentId,
    /// Let through sessions issued from this moment on: now, or a time like 2026-11-22T04:00:00Z
    #[arg(long, value_name = "TIME", value_parser = moment)]
    sessions_after: Moment,
    /// Give back what eviction took away, from the backup in this machine's journal
    #[arg(long)]
    restore: bool,
    /// Do not ask, for scripts
    #[arg(long)]
    yes: bool,
    /// Use this playbook's waits and roles instead of those that come with quell
    #[arg(long, value_name = "NAME|FILE")]
    playbook: Option<PathBuf>,
    #[command(flatten)]
    canary: CanaryArgs,
}

/// From when on sessions are let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// AWS's next second.
    Now,
    /// This one.
    At(Timestamp),
}

fn moment(text: &str) -> Result<Moment, String> {
    if text == "now" {
        return Ok(Moment::Now);
    }
    let at = text.parse().map(Moment::At);
    at.map_err(|_| {
        format!("`{text}` is not a time: expected `now`, or one like 2026-11-22T04:00:00Z")
    })
}

/// `quell readmit`.
pub async fn readmit<O: Outside>(
    args: &ReadmitArgs,
    common: &Common,
    outside: &O,
    ui: &Ui<'_>,
) -> Result<Exit, Failure> {
    let playbook = args.canary.over(playbook(args.playbook.as_ref())?);
    let world = common.connect(outside).await?;
    let operator = world.read().caller().await?;
    let known = given::incident(&world, &args.incident).await?;
    let in_force = known.is_in_force(&known.attached_to(world.read()).await?);
    let (mut incident, policy) = (known.incident, known.policy);
    let id = incident.id.clone();
    let refused = |why: String| Failure::new(Exit::Refused, format!("{id} stays as it is: {why}"));
    if !in_force {
        return Err(
            refused("its deny is not attached where it belongs".to_owned())
                .hint(format!("See it: `quell status {id}`.")),
        );
    }
    if incident.lapses.is_some() {
        return Err(refused("its deny ends by itself".to_owned())
            .hint(format!("Release it: `quell release {id} --force`.")));
    }
    if !incident.is_of_person() {
        let (why, hint) = if incident.is_of_iam_user() {
            (
                "an IAM user's keys have no time of issue, so an older one cannot be told from a newer",
                "Make another user for the person meanwhile; this one comes back with the release.",
            )
        } else {
            (
                "it is not of a person whom the directory has",
                "A workload's role comes back with the release; give it another role meanwhile.",
            )
        };
        return Err(refused(why.to_owned()).hint(hint));
    }
    let roles = &playbook.verify.canary_roles;
    let meanwhile = evicting::meanwhile(&world, &incident, &policy.id, roles).await;
    if let Err(gate) = release::readmission(&incident, &meanwhile) {
        let known = (&incident, &policy.id);
        return Err(stays_contained(&gate, known, &operator.arn, &world, common, ui).await);
    }
    let sessions_after = match (args.sessions_after, incident.sessions_after) {
        // Typed again, it is the same moment, unless an earlier run came to nothing: nobody has got a session since.
        (Moment::Now, Some(_)) if meanwhile.open == Known::Known(Vec::new()) => None,
        (Moment::Now, before) => before,
        (Moment::At(at), Some(before)) if at != before => {
            return Err(refused(format!("it was readmitted from {before} on, and sessions of since then may be the attacker's"))
                .hint("If they are back, contain the user again: that is an incident of its own, with its own wait."));
        }
        (Moment::At(at), _) => Some(sound(at, &incident, world.clock().now()).map_err(refused)?),
    };
    let mut journal = open_journal(common, &id, ui)?;
    let backup = match args.restore {
        false => None,
        true => Some(backup_of(journal.state(), &id)?),
    };
    let whom = incident.principal.as_ref();
    let whom = whom.map_or("its principal", |name| name.as_str());
    let word = Word {
        word: id.as_str(),
        name: "the incident's id",
        purpose: format!("to let {whom} work again in fresh sessions"),
        practice: world.practice().is_some(),
    };
    word.confirmed(args.yes, ui)?;
    // Somebody may have sat in front of the prompt for an hour.
    let meanwhile = evicting::meanwhile(&world, &incident, &policy.id, roles).await;
    if let Err(gate) = release::readmission(&incident, &meanwhile) {
        let known = (&incident, &policy.id);
        return Err(stays_contained(&gate, known, &operator.arn, &world, common, ui).await);
    }
    ui.commit();
    let watch = |event: &Event| ui.event(event, None);
    let report = do_or_say(outside, &mut journal, &id, async |journal| {
        let mut response = Response::new(&world, journal, &watch);
        response.take_up(&incident, Purpose::Readmit, &operator.arn, None)?;
        let readmitted = response
            .readmit(&mut incident, &policy, &playbook, sessions_after)
            .await?;
        let restored = match &backup {
            Some(backup) => Some(restore(&mut response, &world, backup).await?),
            None => None,
        };
        Ok(ReadmitReport::of(
            &incident,
            &readmitted,
            restored,
            world.practice(),
        ))
    })
    .await?;
    ui.result(&report, human::access::readmit);
    let stuck = |report: &ReadmitReport| {
        let restored = report.restored.as_ref();
        restored.is_some_and(|restored| !restored.stuck.is_empty())
            || !report.not_narrowed.is_empty()
    };
    let older_got_through = report
        .older
        .iter()
        .any(|older| older.refused == Some(false));
    Ok(if older_got_through {
        Exit::GettingThrough
    } else if stuck(&report) {
        Exit::Partly
    } else if report.newer_allowed && report.older_refused {
        Exit::Done
    } else {
        Exit::NotProven
    })
}

/// Not before the last way was closed: until then sessions may have been the attacker's. Not far ahead either.
fn sound(at: Timestamp, incident: &Incident, now: Timestamp) -> Result<Timestamp, String> {
    match incident.clock_began() {
        Some(began) if at < began => Err(format!(
            "sessions issued before {began}, when the last way was closed and the deny proven, may be the attacker's, and {at} is before that"
        )),
        _ if at.duration_since(now) > FURTHEST => {
            Err(format!("{at} is more than 5 minutes ahead of AWS's clock"))
        }
        _ => Ok(at),
    }
}
