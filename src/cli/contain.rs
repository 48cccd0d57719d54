//! `quell plan` and `quell contain`.

mod contained;

mod prepared;

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use clap::Args;
use futures_util::FutureExt as _;
use futures_util::future::join_all;
use jiff::SignedDuration;

use crate::cli::evict;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::given::{Choice, SignalArgs};
use crate::cli::ui::Ui;
use crate::cli::word::Word;
use crate::cli::{Common, Outside};
use crate::cloud::{Clock as _, Cloud, Probe};
use crate::ids::{Region, RoleName, TargetId};
use crate::plan::Lapse;
use crate::plan::approval::Approval;
use crate::plan::preflight::Refusal;
use crate::playbook::shelf::{self, Shelf};
use crate::playbook::{Playbook, parse_duration};
use crate::principal::Principal;
use crate::report::{
    ContainReport, ContainsReport, NotContainedReport, PlanReport, PlansReport, Stage, human,
};
use crate::respond::{Prepared, opinion};

use contained::Contained;
use prepared::prepare;

/// What `quell plan` takes.
#[derive(Debug, Args)]
pub struct PlanArgs {
    #[command(flatten)]
    signal: SignalArgs,
    /// The finding's detector, if there are several
    #[arg(long, value_name = "ID")]
    detector: Option<String>,
    /// Contain everybody whom a finding accuses, without choosing
    #[arg(long)]
    all_suspects: bool,
    /// Take a sample finding for a real one
    #[arg(long)]
    allow_sample: bool,
    /// Attach to this organizational unit or account instead of the root
    #[arg(long, value_name = "ID")]
    target: Option<TargetId>,
    /// Make a policy of its own, also where the organization is armed
    #[arg(long)]
    cold: bool,
    /// A deny that ends by itself after this long, as in 1h: for drills on a sandbox. It fails open
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    lapses_after: Option<SignedDuration>,
    /// Let it end by itself on the organization's root, too
    #[arg(long, requires = "lapses_after")]
    lapses_on_root: bool,
    /// Ask IAM's policy simulator and Access Analyzer about the deny, too. For plans alone: nothing slow stands before a containment
    #[arg(long)]
    second_opinion: bool,
    /// Use this playbook instead of the one that comes with quell
    #[arg(long, value_name = "NAME|FILE")]
    playbook: Option<PathBuf>,
}

impl PlanArgs {
    fn choice<'a, 'u>(&self, ui: &'a Ui<'u>, shelf: &'a Shelf) -> Choice<'a, 'u> {
        Choice {
            ui,
            shelf,
            signals: RefCell::default(),
            all: self.all_suspects,
            allow_sample: self.allow_sample,
        }
    }

    fn lapses(&self) -> Option<Lapse> {
        self.lapses_after.map(|after| Lapse {
            after,
            on_root: self.lapses_on_root,
        })
    }
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
    /// Deny also what stops a workload: an instance's session, a function's, a pod's. Said beside --yes
    #[arg(long, conflicts_with = "dry_run")]
    stops_workload: bool,
    /// Close the ways to new sessions, too, once the deny is attached: the same as `quell evict` afterwards
    #[arg(long)]
    evict: bool,
    /// Look in every account under the target, too, once the deny is attached
    #[arg(long)]
    all_accounts: bool,
    #[command(flatten)]
    what: evict::What,
    #[command(flatten)]
    canary: CanaryArgs,
    #[command(flatten)]
    probes: ProbeArgs,
    /// Let canaries ask in these Regions what a `--probe` asks in a Region (default: yours)
    #[arg(long, value_name = "REGION", value_delimiter = ',')]
    regions: Vec<Region>,
}

/// What canaries ask, where it is not as the playbook has it.
#[derive(Debug, Clone, Args)]
pub struct ProbeArgs {
    /// Let canaries ask this (repeatable): iam:ListAccountAliases (default), guardduty:ListDetectors, cloudtrail:DescribeTrails, dynamodb:ListTables; the last three in your Region, or in `--regions`
    #[arg(long = "probe", value_name = "SERVICE:ACTION")]
    probes: Vec<Probe>,
}

impl ProbeArgs {
    /// The playbook with these probes and Regions, where any are named.
    pub fn over(&self, mut playbook: Playbook, regions: &[Region]) -> Playbook {
        let verify = &mut playbook.verify;
        if !self.probes.is_empty() {
            verify.probes = self.probes.iter().copied().collect();
        }
        if !regions.is_empty() {
            verify.regions = regions.iter().cloned().collect();
        }
        playbook
    }
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
    pub fn over(&self, playbook: Playbook) -> Playbook {
        let mut playbook = entering_by(playbook, self.canary_role.as_ref());
        if let Some(timeout) = self.verify_timeout {
            playbook.verify.timeout = timeout;
        }
        playbook
    }
}

/// The playbook, with this role alone to enter accounts by, if one is named.
pub fn entering_by(mut playbook: Playbook, role: Option<&RoleName>) -> Playbook {
    if let Some(role) = role {
        playbook.verify.canary_roles = vec![role.clone()];
    }
    playbook
}

/// The playbook that was named, or those that come with quell.
pub fn shelf(named: Option<&PathBuf>) -> Result<Shelf, Failure> {
    match named {
        None => Ok(Shelf::embedded()?),
        Some(named) => Ok(Shelf::of(playbook_of(named)?, &named.to_string_lossy())),
    }
}

/// One that comes with quell, by its name, or a file.
pub fn playbook_of(named: &Path) -> Result<Playbook, Failure> {
    if let Some(text) = named.to_str().and_then(shelf::text_of) {
        return Ok(Playbook::parse(text)?);
    }
    // A bare word that is no file was meant for a name.
    if named.components().count() == 1 && named.extension().is_none() && !named.exists() {
        let names: Vec<&str> = shelf::names().collect();
        return Err(Failure::usage(format!(
            "no playbook `{}` comes with quell, and there is no such file",
            human::clean(&named.to_string_lossy())
        ))
        .hint(format!("It is one of {}, or a file.", names.join(", "))));
    }
    Playbook::parse(&crate::cli::given::text_of(named)?).map_err(|error| {
        let failure = Failure::from(error);
        Failure {
            error: format!("{}: {}", named.display(), failure.error),
            ..failure
        }
    })
}

/// The waits and roles of the playbook that was named, or of those that come with quell, which have the same.
pub fn playbook(named: Option<&PathBuf>) -> Result<Playbook, Failure> {
    Ok(shelf(named)?.base().clone())
}

/// `quell plan`: zero mutating calls, and no state.
pub async fn plan<O: Outside>(
    args: &PlanArgs,
    common: &Common,
    outside: &O,
    ui: &Ui<'_>,
) -> Result<Exit, Failure> {
    let shelf = shelf(args.playbook.as_ref())?;
    let (world, prepared) = prepare(args, &shelf, common, outside, ui).await?;
    let mut plans: Vec<PlanReport> = prepared
        .iter()
        .map(|prepared| PlanReport::of(prepared, world.practice()))
        .collect();
    if args.second_opinion {
        for (report, one) in plans.iter_mut().zip(&prepared) {
            let operator = &one.facts.caller.user_id;
            let opinion = opinion::second(world.read(), &one.plan, operator).await;
            report.second_opinion = Some(opinion);
        }
    }
    match plans.pop() {
        Some(plan) if plans.is_empty() => ui.result(&plan, human::plan),
        last => {
            plans.extend(last);
            let plans = PlansReport {
                schema: "quell.plans/1",
                plans,
            };
            ui.result(&plans, human::plans);
        }
    }
    match refusals(&prepared) {
        None => Ok(Exit::Done),
        // The plan is the result, refusals and all; what to do about them goes beside it.
        Some(failure) => {
            ui.complain(&failure);
            Ok(Exit::Refused)
        }
    }
}

/// What preflight refuses of any of them.
fn refusals(prepared: &[Prepared]) -> Option<Failure> {
    let refusals: Vec<Refusal> = prepared
        .iter()
        .flat_map(|prepared| prepared.preflight.refusals.clone())
        .collect();
    (!refusals.is_empty()).then(|| Failure::refused(&refusals))
}

/// `quell contain`: all of them are approved before the first is denied anything, and denied before any is proven.
pub async fn contain<O: Outside>(
    args: &ContainArgs,
    common: &Common,
    outside: &O,
    ui: &Ui<'_>,
) -> Result<Exit, Failure> {
    if args.dry_run {
        return plan(&args.plan, common, outside, ui).await;
    }
    if args.plan.second_opinion {
        return Err(Failure::usage(
            "--second-opinion is for plans: nothing slow stands before a containment",
        )
        .hint("Ask beforehand: `quell plan … --second-opinion`."));
    }
    if !args.evict && args.what.goes_further() {
        return Err(
            Failure::usage("--management and --revoke-team are part of the eviction")
                .hint("Add `--evict`, or use them with `quell evict` afterwards."),
        );
    }
    let shelf = shelf(args.plan.playbook.as_ref())?;
    let shelf = shelf.each(|playbook| args.canary.over(playbook));
    let shelf = shelf.each(|playbook| args.probes.over(playbook, &args.regions));
    if !shelf.base().verify.asks_in_regions() && !args.regions.is_empty() {
        return Err(Failure::usage(
            "--regions is about probes that ask in a Region, and none is asked",
        )
        .hint("Name one beside it: `--probe dynamodb:ListTables`."));
    }
    let (world, prepared) = prepare(&args.plan, &shelf, common, outside, ui).await?;
    if let Some((aws, other)) = world.mixed() {
        let both = format!(
            "some calls went to AWS ({aws}) and some to {other}: neither practice nor proof would be true"
        );
        return Err(Failure::new(Exit::Refused, both).hint("Unset AWS_ENDPOINT_URL and every AWS_ENDPOINT_URL_<SERVICE> (also in the profile), or set AWS_ENDPOINT_URL alone."));
    }
    for prepared in &prepared {
        ui.say(&human::plan(&PlanReport::of(prepared, world.practice())));
    }
    if let Some(failure) = refusals(&prepared) {
        return Err(failure);
    }
    let mut approvals = Vec::new();
    for prepared in &prepared {
        approvals.push(approve(prepared, &world, args, ui)?);
    }

    ui.commit();
    let several = prepared.len() > 1;
    let (mut contained, mut failed) = (Vec::new(), Vec::new());
    for (prepared, approval) in prepared.iter().zip(approvals) {
        let one = Contained::accept(prepared, approval, &world, common, outside, ui, several);
        match one.await {
            Ok(one) => contained.push(one),
            Err(failure) if several => {
                if failure.exit == Exit::Interrupted {
                    return Err(failure.with_before(&denied(&contained)));
                }
                ui.complain(&failure);
                failed.push(NotContainedReport::of(
                    &prepared.plan,
                    &failure.error,
                    failure.exit.code(),
                ));
            }
            Err(failure) => return Err(failure),
        }
    }
    let verifying = contained.into_iter().map(|one| {
        let everywhere = args.all_accounts;
        one.verify(&world, outside, ui, several, everywhere)
    });
    let (mut reports, mut exits) = (Vec::new(), Vec::new());
    for verified in join_all(verifying).await {
        match verified {
            Ok((report, exit)) if !args.evict || has_nothing_to_close(&prepared, &report) => {
                reports.push(report);
                exits.push(exit);
            }
            Ok((report, exit)) => {
                let evicting = evicted(args, &shelf, report, exit, &world, common, outside, ui);
                let (report, exit) = evicting.boxed_local().await?;
                reports.push(report);
                exits.push(exit);
            }
            Err((plan, failure)) if several => {
                ui.complain(&failure);
                failed.push(NotContainedReport::of(
                    &plan,
                    &failure.error,
                    failure.exit.code(),
                ));
            }
            Err((_, failure)) => return Err(failure),
        }
    }
    match reports.pop() {
        Some(report) if !several => ui.result(&report, human::contain),
        last => {
            reports.extend(last);
            let report = ContainsReport {
                schema: "quell.contains/1",
                practice: world.practice(),
                contained: reports,
                failed: failed.clone(),
            };
            ui.result(&report, human::contains);
        }
    }
    Ok(together(&exits, &failed))
}

/// Whether nothing has to be closed before a release: of a role, later sessions are let through.
fn has_nothing_to_close(prepared: &[Prepared], report: &ContainReport) -> bool {
    let incidents = prepared.iter().map(|prepared| &prepared.plan.incident);
    let mut its = incidents.filter(|incident| incident.id == report.incident);
    its.any(|incident| !incident.needs_eviction())
}

/// Closes the ways of a user who is denied. What goes wrong with that takes nothing of the containment back.
#[expect(
    clippy::too_many_arguments,
    reason = "everything that a run of quell has; it is passed on here and nowhere else"
)]
async fn evicted<O: Outside>(
    args: &ContainArgs,
    shelf: &Shelf,
    mut report: ContainReport,
    exit: Exit,
    world: &O::World,
    common: &Common,
    outside: &O,
    ui: &Ui<'_>,
) -> Result<(ContainReport, Exit), Failure> {
    let asked = evict::Asked {
        what: &args.what,
        attest: &[],
        by: None,
        delete_user: false,
        scim: None,
        yes: args.yes,
        shelf,
    };
    match evict::evict_one(&asked, &report.incident, world, common, outside, ui).await {
        Ok((eviction, done)) => {
            report.release_not_before = eviction.release_not_before;
            if !eviction.not_contained_in_management {
                report.not_contained_in = None;
            }
            report.eviction = Some(eviction);
            let exit = match (report.state, done) {
                (_, Exit::Partly) => Exit::Partly,
                (Stage::Proven, done) => done,
                _ => exit,
            };
            Ok((report, exit))
        }
        Err(failure) if failure.exit == Exit::Interrupted => {
            let denied = format!(
                "{} is denied (incident {})",
                report.principal, report.incident
            );
            Err(failure.with_before(&[denied]))
        }
        Err(failure) => {
            ui.complain(&failure);
            Ok((report, Exit::Partly))
        }
    }
}

/// Who was denied before an interruption, for people.
fn denied(contained: &[Contained<'_>]) -> Vec<String> {
    contained.iter().map(Contained::told).collect()
}

/// How several ended: as the worst of them, and partly when some were not contained and others were.
fn together(exits: &[Exit], failed: &[NotContainedReport]) -> Exit {
    let interrupted = Exit::Interrupted.code();
    if failed.iter().any(|failed| failed.exit == interrupted) {
        return Exit::Interrupted;
    }
    let same = |exit: &Exit| failed.iter().all(|failed| failed.exit == exit.code());
    if !failed.is_empty() {
        let nothing = [Exit::Failed, Exit::Refused];
        let nothing = nothing.into_iter().find(same);
        return nothing.filter(|_| exits.is_empty()).unwrap_or(Exit::Partly);
    }
    let worst = [Exit::Partly, Exit::GettingThrough, Exit::NotProven];
    worst
        .into_iter()
        .find(|exit| exits.contains(exit))
        .unwrap_or(Exit::Done)
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

/// What stops a workload is asked about twice: the second time by what it is that stops.
fn stop_workload(
    principal: &Principal,
    args: &ContainArgs,
    practice: bool,
    ui: &Ui<'_>,
) -> Result<(), Failure> {
    let workload = principal.exact.as_ref().and_then(|it| it.workload.as_ref());
    let Some(workload) = workload.filter(|_| !args.stops_workload) else {
        return Ok(());
    };
    let says = human::clean(&workload.says());
    if args.yes {
        return Err(Failure::new(
            Exit::Refused,
            format!(
                "not approved: it stops a workload ({says}), and --yes alone is not about that"
            ),
        )
        .hint("If it is to stop, say it twice: the same command with `--yes --stops-workload`."));
    }
    let word = Word {
        word: "stop",
        name: "the word stop",
        purpose: format!("because this stops {says}"),
        practice,
    };
    word.confirmed(false, ui)
}

/// The go-ahead: `--yes`, or the name typed on a terminal.
fn approve<C: Cloud>(
    prepared: &Prepared,
    world: &C,
    args: &ContainArgs,
    ui: &Ui<'_>,
) -> Result<Approval, Failure> {
    let plan = &prepared.plan;
    let principal = &plan.principal;
    let practice = world.practice().is_some();
    if args.yes {
        stop_workload(principal, args, practice, ui)?;
        return Ok(Approval::flag(plan, world.clock().now()));
    }
    ui.say(&match &principal.exact {
        Some(exact) => format!(
            "In short: {}; everything it does is to be refused under {}, and nobody else's.",
            human::clean(&exact.what),
            plan.target
        ),
        None => format!(
            "In short: {} can enter {} accounts; everything they do is to be refused under {}, and nobody else's.",
            human::clean(principal.username.as_str()),
            principal.reach.len(),
            plan.target
        ),
    });
    for warning in &prepared.preflight.warnings {
        ui.say(&format!("WARNING: {}", human::clean(warning)));
    }
    let word = Word {
        word: principal.username.as_str(),
        name: principal.identity().called(),
        purpose: format!("to deny it everything under {}", plan.target),
        practice,
    };
    let typed = word.typed(ui)?;
    stop_workload(principal, args, practice, ui)?;
    Ok(Approval::typed(plan, &typed, world.clock().now())?)
}
