//! `quell drill --live`: the real thing on a sandbox, against a user who is there for it. Its deny ends by itself, so a
//! drill that nobody comes back to locks nobody out for longer than that (R20b).

use clap::Args;
use jiff::SignedDuration;

use crate::cli::contain::CanaryArgs;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::ui::Ui;
use crate::cli::word::Word;
use crate::cli::{Common, Outside, do_or_say, given, open_journal};
use crate::cloud::{Clock as _, Cloud as _};
use crate::ids::TargetId;
use crate::journal::Event;
use crate::plan::Lapse;
use crate::plan::approval::Approval;
use crate::playbook::shelf::Shelf;
use crate::playbook::{Playbook, parse_duration};
use crate::report::{self, LiveDrillReport, PlanReport, human, millis};
use crate::respond::{self, Asked, Response};
use crate::verify::{Aim, Overall};

/// Long enough for a slow proof, short enough for a forgotten drill.
const LAPSES_AFTER: SignedDuration = SignedDuration::from_hours(1);

/// What a release of a drill is forced past, for the record.
const A_DRILL: &str = "a drill: nobody is evicted, so nothing is waited for";

/// What a live drill takes beside the rest.
#[derive(Debug, Args)]
pub(super) struct LiveArgs {
    /// Drill with real credentials: deny this user for as long as it takes to prove it, then let them in again
    #[arg(long, requires = "user", conflicts_with_all = ["finding_file", "seed"])]
    pub(super) live: bool,
    /// The user who is there for drills
    #[arg(requires = "live", value_name = "USER")]
    user: Option<String>,
    /// The sandbox: an organizational unit or an account
    #[arg(long, requires = "live", value_name = "ID")]
    target: Option<TargetId>,
    /// The deny ends by itself after this long (default: 1h)
    #[arg(long, requires = "live", value_name = "DURATION", value_parser = parse_duration)]
    lapses_after: Option<SignedDuration>,
    /// Drill on the organization's root, too
    #[arg(long, requires = "live")]
    lapses_on_root: bool,
    /// Do not ask, for scripts
    #[arg(long, requires = "live")]
    yes: bool,
    #[command(flatten)]
    canary: CanaryArgs,
}

/// Contains, proves, releases, proves again; with a grade.
pub(super) async fn drill<O: Outside>(
    args: &LiveArgs,
    playbook: Playbook,
    common: &Common,
    outside: &O,
    ui: &Ui<'_>,
) -> Result<Exit, Failure> {
    let playbook = args.canary.over(playbook);
    let suspect = given::named(args.user.as_deref().unwrap_or_default())?;
    let world = common.connect(outside).await?;
    let lapse = Lapse {
        after: args.lapses_after.unwrap_or(LAPSES_AFTER),
        on_root: args.lapses_on_root,
    };
    let shelf = Shelf::of(playbook.clone(), playbook.name.as_str());
    let asked = Asked {
        target: args.target.as_ref(),
        lapses: Some(lapse),
        ..Asked::default()
    };
    let (read, clock) = (world.read(), world.clock());
    let prepared = respond::prepare(read, clock, &[suspect], &shelf, &asked).await?;
    let Some(prepared) = prepared.into_iter().next() else {
        return Err(Failure::usage("a live drill needs a user"));
    };
    ui.say(&human::plan(&PlanReport::of(&prepared, world.practice())));
    if let Some(other) = prepared.plan.others.first() {
        return Err(Failure::new(
            Exit::Refused,
            format!("the user is denied by {other} already: a drill could not tell its deny from that one"),
        )
        .hint("Drill with a user who is there for it, and whom nobody has contained."));
    }
    if !prepared.preflight.refusals.is_empty() {
        return Err(Failure::refused(&prepared.preflight.refusals));
    }
    let approval = approve(
        args,
        &prepared.plan,
        clock.now(),
        world.practice().is_some(),
        ui,
    )?;
    ui.commit();
    let plan = respond::look_again(read, clock, &prepared).await?;
    let approved = approval.of(plan, clock.now())?;
    let mut incident = approved.plan.incident.clone();
    let id = incident.id.clone();
    let mut journal = open_journal(common, &id, ui)?;
    let watch = |event: &Event| ui.event(event, None);
    let operator = &prepared.facts.caller.arn;
    let report = do_or_say(outside, &mut journal, &id, async |journal| {
        let mut response = Response::new(&world, journal, &watch);
        let accepted = response.contain(&approved, operator).await?;
        let policy = &accepted.policy;
        let question = respond::question(&incident, &policy.arn, &playbook, Aim::Refused);
        let proved = response
            .verify(&mut incident, &policy.id, &question)
            .await?;
        let past = Some(A_DRILL.to_owned());
        response
            .release(&incident, &policy.id, operator, past, true)
            .await?;
        let question = respond::question(&incident, &policy.arn, &playbook, Aim::Allowed);
        let again = response.look(&question).await?;
        let proven = proved.proof.overall == Overall::Shown;
        let allowed_again = again.overall == Overall::Shown;
        Ok(LiveDrillReport {
            schema: "quell.drill-live/1",
            practice: world.practice(),
            verdict: if proven && allowed_again {
                "pass"
            } else {
                "fail"
            },
            incident: id.clone(),
            principal: approved.plan.principal.username.clone(),
            target: approved.plan.target.clone(),
            accepted_ms: millis(accepted.at.duration_since(approved.at)),
            proven_ms: proven.then(|| millis(proved.proof.ended.duration_since(approved.at))),
            allowed_again,
            accounts: report::accounts(&proved.proof),
        })
    })
    .await?;
    ui.result(&report, human::live_drill);
    Ok(match report.verdict {
        "pass" => Exit::Done,
        _ => Exit::Failed,
    })
}

/// The go-ahead: `--yes`, or the username typed on a terminal.
fn approve(
    args: &LiveArgs,
    plan: &crate::plan::Plan,
    now: jiff::Timestamp,
    practice: bool,
    ui: &Ui<'_>,
) -> Result<Approval, Failure> {
    if args.yes {
        return Ok(Approval::flag(plan, now));
    }
    let whom = &plan.principal.username;
    let word = Word {
        word: whom.as_str(),
        name: "the username",
        purpose: format!("to deny it everything under {} for a while", plan.target),
        practice,
    };
    Ok(Approval::typed(plan, &word.typed(ui)?, now)?)
}
