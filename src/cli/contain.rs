//! `quell plan` and `quell contain`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use futures_util::future::join_all;
use jiff::SignedDuration;

use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::given::{self, SignalArgs};
use crate::cli::ui::{NoAnswer, Ui};
use crate::cli::{Common, Outside, do_or_say, open_journal};
use crate::cloud::{Clock as _, Cloud};
use crate::ids::{IncidentId, RoleName, TargetId};
use crate::journal::file::JournalFile;
use crate::journal::{Event, Journal, Past};
use crate::plan::approval::{Approval, Approved};
use crate::plan::preflight::Refusal;
use crate::plan::{Begun, Plan};
use crate::playbook::{Playbook, parse_duration};
use crate::report::{
    ContainReport, ContainsReport, NotContainedReport, PlanReport, PlansReport, Stage, human,
};
use crate::respond::{self, Accepted, Asked, Prepared, Response};
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
    /// Make a policy of its own, also where the organization is armed
    #[arg(long)]
    cold: bool,
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
    let mut plans: Vec<PlanReport> = prepared
        .iter()
        .map(|prepared| PlanReport::of(prepared, world.practice()))
        .collect();
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
    let playbook = args.canary.over(playbook(args.plan.playbook.as_ref())?);
    let (world, prepared) = prepare(&args.plan, &playbook, common, outside, ui).await?;
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
        approvals.push(approve(prepared, &world, args.yes, ui)?);
    }

    let several = prepared.len() > 1;
    let (mut contained, mut failed) = (Vec::new(), Vec::new());
    for (prepared, approval) in prepared.iter().zip(approvals) {
        let one = Contained::accept(prepared, approval, &world, common, outside, ui, several);
        match one.await {
            Ok(one) => contained.push(one),
            Err(failure) if several => {
                let stop = failure.exit == Exit::Interrupted;
                ui.complain(&failure);
                failed.push(NotContainedReport::of(
                    &prepared.plan,
                    &failure.error,
                    failure.exit.code(),
                ));
                if stop {
                    break;
                }
            }
            Err(failure) => return Err(failure),
        }
    }
    let verifying = contained
        .into_iter()
        .map(|one| one.verify(&playbook, &world, outside, ui, several));
    let (mut reports, mut exits) = (Vec::new(), Vec::new());
    for verified in join_all(verifying).await {
        match verified {
            Ok((report, exit)) => {
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

/// How several ended: as the worst of them, and partly when some were not contained and others were.
fn together(exits: &[Exit], failed: &[NotContainedReport]) -> Exit {
    let interrupted = Exit::Interrupted.code();
    if failed.iter().any(|failed| failed.exit == interrupted) {
        return Exit::Interrupted;
    }
    if !failed.is_empty() {
        return Exit::Partly;
    }
    let worst = [Exit::Partly, Exit::GettingThrough, Exit::NotProven];
    worst
        .into_iter()
        .find(|exit| exits.contains(exit))
        .unwrap_or(Exit::Done)
}

/// A plan that AWS has accepted.
struct Contained<'a> {
    prepared: &'a Prepared,
    approved: Approved,
    journal: Journal<JournalFile>,
    accepted: Accepted,
}

impl<'a> Contained<'a> {
    /// A last look, the approval, and the calls.
    async fn accept<O: Outside>(
        prepared: &'a Prepared,
        approval: Approval,
        world: &O::World,
        common: &Common,
        outside: &O,
        ui: &Ui<'_>,
        several: bool,
    ) -> Result<Self, Failure> {
        let plan = respond::look_again(world.read(), world.clock(), prepared).await?;
        let approved = approval.of(plan, world.clock().now())?;
        let incident = &approved.plan.incident.id;
        let mut journal = open_journal(common, incident, ui)?;
        let operator = &prepared.facts.caller.arn;
        let watch = watch(ui, &approved.plan, several);
        let accepted = do_or_say(outside, &mut journal, incident, async |journal| {
            let mut response = Response::new(world, journal, &watch);
            response.contain(&approved, operator).await
        })
        .await?;
        Ok(Self {
            prepared,
            accepted,
            journal,
            approved,
        })
    }

    /// Whether it holds.
    async fn verify<O: Outside>(
        self,
        playbook: &Playbook,
        world: &O::World,
        outside: &O,
        ui: &Ui<'_>,
        several: bool,
    ) -> Result<(ContainReport, Exit), (Plan, Failure)> {
        let Self {
            prepared,
            approved,
            mut journal,
            accepted,
        } = self;
        let plan = &approved.plan;
        let watch = watch(ui, plan, several);
        let mut remembered = plan.incident.clone();
        let proved = do_or_say(outside, &mut journal, &plan.incident.id, async |journal| {
            let arn = &accepted.policy.arn;
            let question = respond::question(&remembered, arn, playbook, Aim::Refused);
            Response::new(world, journal, &watch)
                .verify(&mut remembered, &accepted.policy.id, &question)
                .await
        })
        .await
        .map_err(|failure| (plan.clone(), failure))?;
        let report = ContainReport::of(
            prepared,
            &remembered,
            playbook,
            approved.at,
            &accepted,
            &proved,
            world.practice(),
        );
        let exit = exit_of(report.state, remembered.reaches_management, proved.recorded);
        Ok((report, exit))
    }
}

/// Shows what happens as it does; of several, to whom.
fn watch<'a, 'b: 'a>(ui: &'a Ui<'b>, plan: &Plan, several: bool) -> impl Fn(&Event) + use<'a, 'b> {
    let who = several.then(|| plan.principal.username.to_string());
    move |event: &Event| ui.event(event, who.as_deref())
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

/// So long all questions together may take: then it is said, instead of an operator waiting in front of a silent screen.
const SURVEY: Duration = Duration::from_secs(120);

async fn prepare<O: Outside>(
    args: &PlanArgs,
    playbook: &Playbook,
    common: &Common,
    outside: &O,
    ui: &Ui<'_>,
) -> Result<(O::World, Vec<Prepared>), Failure> {
    // What can be said without AWS is said before AWS is asked.
    let offline = args.signal.offline(ui, playbook)?;
    for suspect in offline.iter().flatten() {
        crate::principal::is_covered(suspect)?;
    }
    let here = common.journals(ui);
    let region = args.signal.finding_region();
    let world = common.connect_in(outside, region.as_ref()).await?;
    let asking = async {
        let mut resumed = None;
        let suspects = match (offline, &args.signal.resume) {
            (Some(suspects), _) => suspects,
            (None, Some(which)) => {
                let (suspect, id) = given::interrupted(&world, which.as_ref(), &here).await?;
                resumed = Some(id);
                vec![suspect]
            }
            (None, None) => {
                let detector = args.detector.as_deref();
                vec![args.signal.fetched(&world, detector, ui, playbook).await?]
            }
        };
        let begun: Vec<Begun> = here.iter().filter_map(begun).collect();
        let asked = Asked {
            target: args.target.as_ref(),
            cold: args.cold,
            begun: &begun,
            resume: resumed.as_ref(),
        };
        let (read, clock) = (world.read(), world.clock());
        let prepared = respond::prepare(read, clock, &suspects, playbook, &asked).await?;
        goes_on(&prepared, resumed.as_ref())?;
        Ok::<_, Failure>(prepared)
    };
    let prepared = tokio::time::timeout(SURVEY, asking).await.map_err(|_| {
        let why = format!("AWS did not answer all questions within {} s", SURVEY.as_secs());
        Failure::new(Exit::Failed, why).hint("Check the network, the proxy (HTTPS_PROXY), the Region and AWS_ENDPOINT_URL, then run it again.")
    })??;
    Ok((world, prepared))
}

/// Whether the plan goes on with the incident that was to be resumed.
fn goes_on(prepared: &[Prepared], resumed: Option<&IncidentId>) -> Result<(), Failure> {
    let is_another = |prepared: &&Prepared| Some(&prepared.plan.incident.id) != resumed;
    match (resumed, prepared.iter().find(is_another)) {
        (Some(id), Some(other)) => Err(Failure::new(
            Exit::Refused,
            format!(
                "{id} cannot go on: containing its user on {} now is incident {}",
                other.plan.target, other.plan.incident.id
            ),
        )
        .hint(format!(
            "See both with `quell status`; to contain the user: `quell contain {}`.",
            human::clean(other.plan.principal.username.as_str())
        ))),
        _ => Ok(()),
    }
}

/// What a journal of this machine says was begun, and AWS may never have heard of.
fn begun(past: &Past) -> Option<Begun> {
    let state = past.state.as_ref().ok()?;
    let open = !state.released && !state.proven;
    open.then_some(())?;
    Some(Begun {
        incident: past.incident.clone(),
        principal: state.principal.clone()?,
        organization: state.organization.clone()?,
        target: state.target.clone()?,
        contained: state.contained,
    })
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
