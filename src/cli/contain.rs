//! `quell plan` and `quell contain`.

use std::path::PathBuf;

use clap::Args;
use jiff::SignedDuration;

use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::given::SignalArgs;
use crate::cli::ui::{NoAnswer, Ui};
use crate::cli::{Common, Outside, do_or_say, open_journal};
use crate::cloud::{Clock as _, Cloud};
use crate::ids::{RoleName, TargetId};
use crate::journal::Event;
use crate::plan::approval::Approval;
use crate::playbook::{Playbook, parse_duration};
use crate::report::{ContainReport, PlanReport, Stage, human};
use crate::respond::{self, Prepared, Response};
use crate::verify::Aim;

/// What `quell plan` takes.
#[derive(Debug, Args)]
pub struct PlanArgs {
    #[command(flatten)]
    signal: SignalArgs,
    /// The finding's detector, if there are several
    #[arg(long, value_name = "ID", requires = "finding")]
    detector: Option<String>,
    /// Attach to this organizational unit or account instead of the root
    #[arg(long, value_name = "ID")]
    target: Option<TargetId>,
    /// Use this playbook instead of the one that comes with quell
    #[arg(long, value_name = "FILE")]
    playbook: Option<PathBuf>,
}

/// What `quell contain` takes.
#[derive(Debug, Args)]
pub struct ContainArgs {
    #[command(flatten)]
    plan: PlanArgs,
    /// Show the plan and stop: the same as `quell plan`
    #[arg(long)]
    dry_run: bool,
    /// Approve the plan without being asked, for scripts
    #[arg(long, conflicts_with = "dry_run")]
    yes: bool,
    #[command(flatten)]
    canary: CanaryArgs,
}

/// How canaries are sent, where it is not as the playbook has it.
#[derive(Debug, Clone, Args)]
pub struct CanaryArgs {
    /// Enter member accounts with this role (default: quell-canary, then OrganizationAccountAccessRole)
    #[arg(long, value_name = "NAME")]
    canary_role: Option<RoleName>,
    /// Stop asking after this long (default: 15m)
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    verify_timeout: Option<SignedDuration>,
}

impl CanaryArgs {
    /// The playbook with these set.
    pub fn over(&self, mut playbook: Playbook) -> Playbook {
        if let Some(role) = &self.canary_role {
            playbook.verify.canary_roles = vec![role.clone()];
        }
        if let Some(timeout) = self.verify_timeout {
            playbook.verify.timeout = timeout;
        }
        playbook
    }
}

/// A playbook's file, or the one that comes with quell.
pub fn playbook(path: Option<&PathBuf>) -> Result<Playbook, Failure> {
    match path {
        None => Ok(Playbook::default_one()?),
        Some(path) => Playbook::parse(&crate::cli::given::text_of(path)?).map_err(|error| {
            let failure = Failure::from(error);
            Failure {
                error: format!("{}: {}", path.display(), failure.error),
                ..failure
            }
        }),
    }
}

/// `quell plan`: zero mutating calls, and no state.
pub async fn plan<O: Outside>(
    args: &PlanArgs,
    common: &Common,
    outside: &O,
    ui: &Ui<'_>,
) -> Result<Exit, Failure> {
    let playbook = playbook(args.playbook.as_ref())?;
    let (world, prepared) = prepare(args, &playbook, common, outside, ui).await?;
    ui.result(&PlanReport::of(&prepared, world.practice()), human::plan);
    if prepared.preflight.refusals.is_empty() {
        Ok(Exit::Done)
    } else {
        // The plan is the result, refusals and all; what to do about them goes beside it.
        ui.complain(&Failure::refused(&prepared.preflight.refusals));
        Ok(Exit::Refused)
    }
}

/// `quell contain`.
pub async fn contain<O: Outside>(
    args: &ContainArgs,
    common: &Common,
    outside: &O,
    ui: &Ui<'_>,
) -> Result<Exit, Failure> {
    if args.dry_run {
        return plan(&args.plan, common, outside, ui).await;
    }
    let playbook = args.canary.over(playbook(args.plan.playbook.as_ref())?);
    let (world, prepared) = prepare(&args.plan, &playbook, common, outside, ui).await?;
    if let Some((aws, other)) = world.mixed() {
        let both = format!(
            "some calls went to AWS ({aws}) and some to {other}: neither practice nor proof would be true"
        );
        return Err(Failure::new(Exit::Refused, both).hint("Unset AWS_ENDPOINT_URL and every AWS_ENDPOINT_URL_<SERVICE> (also in the profile), or set AWS_ENDPOINT_URL alone."));
    }
    ui.say(&human::plan(&PlanReport::of(&prepared, world.practice())));
    if !prepared.preflight.refusals.is_empty() {
        return Err(Failure::refused(&prepared.preflight.refusals));
    }
    let approval = approve(&prepared, &world, args.yes, ui)?;
    let approved = approval.of(prepared.plan.clone(), world.clock().now())?;

    let incident = &approved.plan.incident.id;
    let mut journal = open_journal(common, incident)?;
    let operator = &prepared.facts.caller.arn;
    let watch = |event: &Event| ui.event(event);
    let mut remembered = approved.plan.incident.clone();
    let (accepted, proved) = do_or_say(outside, &mut journal, incident, async |journal| {
        let mut response = Response::new(&world, journal, &watch);
        let accepted = response.contain(&approved, operator).await?;
        let question =
            respond::question(&remembered, &accepted.policy.arn, &playbook, Aim::Refused);
        let proved = response
            .verify(&mut remembered, &accepted.policy.id, &question)
            .await?;
        Ok((accepted, proved))
    })
    .await?;
    let report = ContainReport::of(
        &prepared,
        &remembered,
        &playbook,
        approved.at,
        &accepted,
        &proved,
        world.practice(),
    );
    ui.result(&report, human::contain);
    Ok(exit_of(
        report.state,
        remembered.reaches_management,
        proved.recorded,
    ))
}

/// How a run ended that looked whether a deny holds.
pub fn exit_of(state: Stage, reaches_management: bool, recorded: bool) -> Exit {
    match state {
        // No SCP applies in the management account: whoever can enter it still gets through there (R16).
        _ if reaches_management => Exit::GettingThrough,
        Stage::GettingThrough => Exit::GettingThrough,
        Stage::Proven if !recorded => Exit::Partly,
        Stage::Proven => Exit::Done,
        Stage::NotAttached | Stage::Accepted | Stage::Released => Exit::NotProven,
    }
}

async fn prepare<O: Outside>(
    args: &PlanArgs,
    playbook: &Playbook,
    common: &Common,
    outside: &O,
    ui: &Ui<'_>,
) -> Result<(O::World, Prepared), Failure> {
    // What can be said without AWS is said before AWS is asked.
    let offline = args.signal.offline(ui, playbook)?;
    if let Some(suspect) = &offline {
        crate::principal::is_covered(suspect)?;
    }
    let region = args.signal.finding_region();
    let world = common.connect_in(outside, region.as_ref()).await?;
    let suspect = match offline {
        Some(suspect) => suspect,
        None => {
            args.signal
                .fetched(&world, args.detector.as_deref(), ui, playbook)
                .await?
        }
    };
    let prepared = respond::prepare(
        world.read(),
        world.clock(),
        &suspect,
        playbook,
        args.target.as_ref(),
    )
    .await?;
    Ok((world, prepared))
}

/// The go-ahead: `--yes`, or the username typed on a terminal.
fn approve<C: Cloud>(
    prepared: &Prepared,
    world: &C,
    yes: bool,
    ui: &Ui<'_>,
) -> Result<Approval, Failure> {
    let plan = &prepared.plan;
    if yes {
        return Ok(Approval::flag(plan, world.clock().now()));
    }
    let principal = &plan.principal;
    ui.say(&format!(
        "In short: {} can enter {} accounts; everything they do is to be refused under {}, and nobody else's.",
        human::clean(principal.username.as_str()),
        principal.reach.len(),
        plan.target
    ));
    for warning in &prepared.preflight.warnings {
        ui.say(&format!("WARNING: {}", human::clean(warning)));
    }
    let practice = if world.practice().is_some() {
        "PRACTICE: type"
    } else {
        "Type"
    };
    let question = format!(
        "{practice} the username to deny it everything under {} ({})",
        plan.target, plan.principal.username
    );
    match ui.ask(&question) {
        Ok(typed) => Ok(Approval::typed(plan, &typed, world.clock().now())?),
        Err(NoAnswer::NoTerminal) => Err(Failure::new(
            Exit::Refused,
            "not approved: there is no terminal to type the username on",
        )
        .hint("In a script, say that you mean it: `quell contain … --yes`.")),
        Err(NoAnswer::Interrupted) => Err(Failure::new(
            Exit::Interrupted,
            "interrupted before the approval",
        )),
    }
}
