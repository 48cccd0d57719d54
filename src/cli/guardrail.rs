//! `quell guardrail`: a policy that stands whether there is an incident or not.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::ui::Ui;
use crate::cli::word::Word;
use crate::cli::{Common, Outside, do_or_say_of};
use crate::cli::{contain, given};
use crate::cloud::{Cloud, Inspect, Read, Trouble};
use crate::facts::{ArmedPolicy, Known};
use crate::guardrail::{self, Giving, Lowering, NOBODY, POLICY, Raising, Terms, Unfit};
use crate::ids::*;
use crate::journal::Event;
use crate::journal::file;
use crate::playbook::Verify;
use crate::policy::document::Document;
use crate::report::guardrail::{GuardrailEnd, GuardrailReport, Standing};
use crate::report::human;
use crate::respond::Response;
use crate::survey::{self, Ground, checkup};
use crate::verify::Aim;
use crate::verify::guarded::Guarded;
use crate::verify::rounds::Told;

/// What `quell guardrail` does.
#[derive(Debug, Subcommand)]
pub enum GuardrailVerb {
    /// Print the policy, and who may still do what it refuses. Needs no AWS
    Show(ShowArgs),
    /// Say whether it is attached, and with the document that it must have. Ends with 3 if not. Changes nothing
    Check(CheckArgs),
    /// Attach it, then prove it. What is there already is taken up, and brought in line
    Attach(AttachArgs),
    /// Show with canary sessions that it refuses outside the jump accounts and not in them. Changes nothing
    Prove(ProveArgs),
    /// Detach and delete it
    Remove(RemoveArgs),
}

/// Which guardrail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Which {
    /// Nobody gets a console password outside the jump accounts.
    NoConsoleUsers,
}

/// Whom the guardrail spares.
#[derive(Debug, Args)]
struct TermsArgs {
    /// The account that holds the users who may sign in to the console; several if need be
    #[arg(long, value_name = "ID", num_args = 1..)]
    jump_account: Vec<AccountId>,
    /// A role or user elsewhere who may give passwords all the same; `*` in its name stands for any text
    #[arg(long, value_name = "ARN", num_args = 1..)]
    except: Vec<PrincipalPattern>,
    /// Refuse new access keys, too: to programs as to people
    #[arg(long)]
    access_keys: bool,
}

impl TermsArgs {
    /// Whoever forbids passwords for good has an account where they are given; an incident's are forbidden for a while.
    fn terms(&self, partition: Partition, for_a_while: bool) -> Result<Terms, Failure> {
        if self.jump_account.is_empty() && !for_a_while {
            return Err(Failure::usage(
                "no --jump-account is named: nobody but root users could be given a console password anywhere",
            )
            .hint("Name the account that holds the users of the console: `--jump-account <ID>`. For as long as an incident is open, none is needed: `quell guardrail attach no-console-users --incident <id>`."));
        }
        Ok(Terms {
            partition,
            jump_accounts: self.jump_account.iter().cloned().collect(),
            except: self.except.iter().cloned().collect(),
            access_keys: self.access_keys,
        })
    }
}

/// Where canaries are sent.
#[derive(Debug, Args)]
struct LookArgs {
    /// Send canaries to so many member accounts beside the jump accounts, spread over the organizational units
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..))]
    sample: u16,
    /// Send canaries to every member account
    #[arg(long, conflicts_with = "sample")]
    all_accounts: bool,
    #[command(flatten)]
    canary: contain::CanaryArgs,
    /// Use this playbook's roles and waits instead of those that come with quell
    #[arg(long, value_name = "NAME|FILE")]
    playbook: Option<PathBuf>,
}

/// What `quell guardrail show` takes.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// The guardrail
    which: Which,
    #[command(flatten)]
    terms: TermsArgs,
    /// The partition of the ARNs: aws, aws-cn, aws-us-gov
    #[arg(long, value_name = "PARTITION", default_value = "aws")]
    partition: Partition,
}

/// What `quell guardrail check` takes.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// The guardrail
    which: Which,
}

/// What `quell guardrail attach` takes.
#[derive(Debug, Args)]
pub struct AttachArgs {
    /// The guardrail
    which: Which,
    #[command(flatten)]
    terms: TermsArgs,
    /// Only for as long as this incident is open: its release takes the guardrail away, unless it stands already. Needs no
    /// jump account
    #[arg(long, value_name = "INCIDENT")]
    incident: Option<IncidentId>,
    /// Attach it to this organizational unit or account instead of the root
    #[arg(long, value_name = "ID")]
    target: Option<TargetId>,
    /// Show what would be done, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Do not ask, for scripts
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    look: LookArgs,
}

/// What `quell guardrail prove` takes.
#[derive(Debug, Args)]
pub struct ProveArgs {
    /// The guardrail
    which: Which,
    #[command(flatten)]
    look: LookArgs,
}

/// What `quell guardrail remove` takes.
#[derive(Debug, Args)]
pub struct RemoveArgs {
    /// The guardrail
    which: Which,
    /// Do not ask, for scripts
    #[arg(long)]
    yes: bool,
    /// Also while open incidents want it
    #[arg(long)]
    force: bool,
}

/// `quell guardrail`.
pub async fn guardrail<O: Outside>(
    verb: &GuardrailVerb,
    common: &Common,
    outside: &O,
    ui: &Ui<'_>,
) -> Result<Exit, Failure> {
    let report = match verb {
        GuardrailVerb::Show(args) => show(args)?,
        GuardrailVerb::Check(_) => check(common.connect(outside).await?).await?,
        GuardrailVerb::Attach(args) => attach(args, common, outside, ui).await?,
        GuardrailVerb::Prove(args) => prove(args, common, outside, ui).await?,
        GuardrailVerb::Remove(args) => remove(args, common, outside, ui).await?,
    };
    ui.result(&report, human::guardrail::guardrail);
    Ok(match report.state {
        Standing::Drafted
        | Standing::Planned
        | Standing::Attached
        | Standing::Proven
        | Standing::Removed => Exit::Done,
        Standing::Absent | Standing::Detached | Standing::Altered => match verb {
            // It was to go, and is gone.
            GuardrailVerb::Remove(_) => Exit::Done,
            GuardrailVerb::Show(_)
            | GuardrailVerb::Check(_)
            | GuardrailVerb::Attach(_)
            | GuardrailVerb::Prove(_) => Exit::Refused,
        },
        Standing::NotProven | Standing::RefusesTooMuch => Exit::NotProven,
        Standing::GettingThrough => Exit::GettingThrough,
    })
}

fn show(args: &ShowArgs) -> Result<GuardrailReport, Failure> {
    let terms = args.terms.terms(args.partition.clone(), false)?;
    let mut report = GuardrailReport::of(Standing::Drafted, Some(&terms), None);
    report.judged = terms.shown().map_err(Unfit::Fault)?;
    report.not_covered = terms.not_covered(None);
    Ok(report)
}

async fn check<C: Cloud>(world: C) -> Result<GuardrailReport, Failure> {
    let read = world.read();
    let Some(there) = survey::named(read, POLICY).await? else {
        return Ok(GuardrailReport::of(
            Standing::Absent,
            None,
            world.practice(),
        ));
    };
    guardrail::ours(&there)?;
    let terms = terms_of(&there);
    let state = match (&terms, there.targets.is_empty()) {
        (_, true) => Standing::Detached,
        (None, false) => Standing::Altered,
        (Some(_), false) => Standing::Attached,
    };
    let mut report = GuardrailReport::of(state, terms.as_ref(), world.practice()).about(&there);
    if let Some(terms) = &terms {
        report.judged = terms.shown().map_err(Unfit::Fault)?;
        report.not_covered = terms.not_covered(None);
    }
    Ok(report)
}

/// The terms of a policy that is there; none of one that somebody has changed.
fn terms_of(there: &ArmedPolicy) -> Option<Terms> {
    Terms::of(&Document::parse(&there.content).ok()?)
}

/// What attaching takes.
struct Planned {
    ground: Ground,
    terms: Terms,
    raising: Raising,
    there: Option<ArmedPolicy>,
    /// Why the jump accounts could not be compared with the organization's, if so.
    unchecked: Option<String>,
}

/// Plans. It is handed the reading capability and cannot change anything (R6).
async fn planned(
    read: &impl Read,
    args: &AttachArgs,
    of_incident: Option<&TargetId>,
) -> Result<Planned, Failure> {
    let target = args.target.as_ref().or(of_incident);
    let ground = survey::ground(read, target).await?;
    let partition = ground.caller.arn.split(':').nth(1).unwrap_or("aws");
    let partition = Partition::parse(partition).map_err(Failure::usage)?;
    let terms = args.terms.terms(partition, args.incident.is_some())?;
    let (there, accounts) =
        futures_util::join!(survey::named(read, POLICY), read.active_accounts());
    let there = there?;
    let accounts = match accounts {
        Ok(accounts) => Known::Known(accounts),
        Err(trouble) => Known::Unknown(trouble.to_string()),
    };
    let there_now = there.as_ref();
    let raising = match &args.incident {
        None => Raising::of(&ground, there_now, &accounts, &terms)?,
        Some(incident) => Raising::for_incident(&ground, there_now, &accounts, &terms, incident)?,
    };
    // One that stands keeps its own terms.
    let terms = Terms::of(&raising.document).unwrap_or(terms);
    let unchecked = match accounts {
        Known::Known(_) => None,
        Known::Unknown(why) => Some(format!(
            "Whether the jump accounts are the organization's: its accounts cannot be listed ({why})."
        )),
    };
    Ok(Planned {
        ground,
        terms,
        raising,
        there,
        unchecked,
    })
}

async fn attach<O: Outside>(
    args: &AttachArgs,
    common: &Common,
    outside: &O,
    ui: &Ui<'_>,
) -> Result<GuardrailReport, Failure> {
    let verify = args.look.verify()?;
    let world = common.connect(outside).await?;
    let of_incident = match &args.incident {
        // One that is not there would never be released, and the guardrail never taken away.
        Some(incident) => given::incident(&world, incident).await?.incident.target,
        None => None,
    };
    let Planned {
        ground,
        terms,
        raising,
        there,
        unchecked,
    } = planned(world.read(), args, of_incident.as_ref()).await?;
    let mut plan = GuardrailReport::of(Standing::Planned, Some(&terms), world.practice());
    plan.policy_id = there.map(|there| there.summary.id);
    plan.targets = vec![raising.target.clone()];
    plan.changes = raising.says();
    plan.judged.clone_from(&raising.cases);
    plan.not_covered = terms.not_covered(Some(&ground.organization.management));
    plan.not_covered.extend(unchecked.clone());
    if args.dry_run {
        return Ok(plan);
    }
    if !raising.already() {
        // What is known already is not said twice: the result has it again.
        let shown = GuardrailReport {
            practice: None,
            ..plan.clone()
        };
        ui.say(&human::guardrail::guardrail(&shown).replacen(
            "A dry run: nothing was changed. This would be:",
            &format!("In organization {}:", ground.organization.id),
            1,
        ));
        let word = Word {
            word: raising.target.as_str(),
            name: "the target's id",
            purpose: "to attach it there".to_owned(),
            practice: world.practice().is_some(),
        };
        word.confirmed(args.yes, ui)?;
        let mut journal = file::open_named(&common.state_directory()?, JOURNAL)?;
        let watch = |event: &Event| ui.event(event, None);
        ui.commit();
        let again = "guardrail attach no-console-users …";
        do_or_say_of(outside, &mut journal, again, async |journal| {
            let mut response = Response::new(&world, journal, &watch);
            response.guard(&raising, &ground.caller.arn).await
        })
        .await?;
    }
    let mut report = look(&world, &args.look, &verify, ui)
        .await
        .map_err(|failure| {
            // It is attached, whatever keeps it from being shown.
            Failure {
                exit: Exit::NotProven,
                changed: format!("{POLICY} is attached to {}.", raising.target),
                ..failure
            }
            .hint("Look again: `quell guardrail prove no-console-users`.")
        })?;
    report.changes = plan.changes;
    report.judged = plan.judged;
    report.not_covered.extend(unchecked);
    Ok(report)
}

async fn prove<O: Outside>(
    args: &ProveArgs,
    common: &Common,
    outside: &O,
    ui: &Ui<'_>,
) -> Result<GuardrailReport, Failure> {
    let verify = args.look.verify()?;
    let world = common.connect(outside).await?;
    look(&world, &args.look, &verify, ui).await
}

impl LookArgs {
    /// The playbook's waits and roles, with what was said otherwise.
    fn verify(&self) -> Result<Verify, Failure> {
        let playbook = contain::playbook(self.playbook.as_ref())?;
        Ok(self.canary.over(playbook).verify)
    }
}

/// Whether there is a guardrail that was attached for an incident.
pub(super) async fn is_wanted_by<C: Cloud>(
    incident: &IncidentId,
    world: &C,
) -> Result<bool, Failure> {
    let there = survey::named(world.read(), POLICY).await?;
    Ok(there.is_some_and(|there| guardrail::wanted_by(&there).contains(incident)))
}

/// What the release of an incident does with the guardrail that was attached for it; `None` where there is none. What goes wrong with it is complained of, and keeps nobody denied.
pub(super) async fn given_up<O: Outside>(
    incident: &IncidentId,
    operator: &str,
    world: &O::World,
    common: &Common,
    outside: &O,
    ui: &Ui<'_>,
) -> Result<Option<GuardrailEnd>, Failure> {
    match give_up(incident, operator, world, common, outside, ui).await {
        Err(failure) if failure.exit != Exit::Interrupted => {
            ui.complain(&failure);
            Ok(Some(GuardrailEnd::NotTakenAway))
        }
        ended => ended,
    }
}

async fn give_up<O: Outside>(
    incident: &IncidentId,
    operator: &str,
    world: &O::World,
    common: &Common,
    outside: &O,
    ui: &Ui<'_>,
) -> Result<Option<GuardrailEnd>, Failure> {
    let there = survey::named(world.read(), POLICY).await?;
    let Some(giving) = there.and_then(|there| Giving::of(&there, incident)) else {
        return Ok(None);
    };
    let mut journal = file::open_named(&common.state_directory()?, JOURNAL)?;
    let watch = |event: &Event| ui.event(event, None);
    let again = format!("release {incident}");
    let gone = do_or_say_of(outside, &mut journal, &again, async |journal| {
        let mut response = Response::new(world, journal, &watch);
        response.give_up_guardrail(&giving, operator).await
    })
    .await?;
    Ok(Some(match gone {
        true => GuardrailEnd::TakenAway,
        false => GuardrailEnd::Left,
    }))
}

/// Asks canaries about the guardrail that is there.
async fn look<C: Cloud>(
    world: &C,
    args: &LookArgs,
    verify: &Verify,
    ui: &Ui<'_>,
) -> Result<GuardrailReport, Failure> {
    let read = world.read();
    let ground = survey::ground(read, None).await?;
    let management = &ground.organization.management;
    let there = survey::named(read, POLICY).await?;
    let Some(there) = there.filter(|there| !there.targets.is_empty()) else {
        return Ok(GuardrailReport::of(
            Standing::Absent,
            None,
            world.practice(),
        ));
    };
    guardrail::ours(&there)?;
    let Some(terms) = terms_of(&there) else {
        return Ok(GuardrailReport::of(Standing::Altered, None, world.practice()).about(&there));
    };
    let members = read.members(&ground.root.id).await?;
    let mut bound = BTreeSet::new();
    for target in &there.targets {
        bound.extend(reached(read, target, members.iter().map(|member| &member.id)).await?);
    }
    let bound: Vec<_> = members
        .into_iter()
        .filter(|member| bound.contains(&member.id) && !terms.jump_accounts.contains(&member.id))
        .collect();
    let sample = (!args.all_accounts).then_some(usize::from(args.sample));
    let accounts: BTreeSet<AccountId> = checkup::sampled(&bound, management, sample)
        .into_iter()
        .collect();
    let nobody = IamUserName::parse(NOBODY).map_err(Failure::usage)?;
    let guarded = Guarded {
        policy: &there.summary.arn,
        user: &nobody,
        verify,
    };
    let many = accounts.len();
    ui.say(&format!("asking canaries in {many} accounts…"));
    let tell = |_, told: Told<'_>| {
        if let Told::Waiting { settled, of, .. } = told {
            ui.progress(&format!("{settled} of {of} accounts have settled…"));
        }
    };
    let (canaries, clock) = (world.canaries(), world.clock());
    let refused = guarded
        .prove(accounts, Aim::Refused, canaries, clock, tell)
        .await;
    let jump: BTreeSet<AccountId> = terms
        .jump_accounts
        .iter()
        .filter(|account| *account != management)
        .cloned()
        .collect();
    let allowed = match jump.is_empty() {
        true => None,
        false => Some(
            guarded
                .prove(jump, Aim::Allowed, canaries, clock, |_, _| {})
                .await,
        ),
    };
    let mut report =
        GuardrailReport::of(Standing::Attached, Some(&terms), world.practice()).about(&there);
    report.not_covered = terms.not_covered(Some(management));
    Ok(report.shown(refused, allowed))
}

/// Those of the accounts that a policy attached there reaches.
async fn reached<'a>(
    read: &impl Read,
    target: &TargetId,
    accounts: impl Iterator<Item = &'a AccountId>,
) -> Result<Vec<AccountId>, Trouble> {
    let under = survey::under(read, target).await?;
    let is_under = |account: &&AccountId| under.as_ref().is_none_or(|it| it.contains(*account));
    Ok(accounts.filter(is_under).cloned().collect())
}

async fn remove<O: Outside>(
    args: &RemoveArgs,
    common: &Common,
    outside: &O,
    ui: &Ui<'_>,
) -> Result<GuardrailReport, Failure> {
    let world = common.connect(outside).await?;
    let caller = world.read().caller().await?;
    let there = survey::named(world.read(), POLICY).await?;
    let wanted = there.as_ref().map(guardrail::wanted_by).unwrap_or_default();
    if let (Some(first), false) = (wanted.first(), args.force) {
        let all: Vec<&str> = wanted.iter().map(IncidentId::as_str).collect();
        return Err(Failure::new(
            Exit::Refused,
            format!("open incidents want the guardrail: {}", all.join(", ")),
        )
        .hint(format!("It goes with the release of the last of them: `quell release {first}`. To take it away from them all the same: `--force`.")));
    }
    let Some(lowering) = Lowering::of(there.as_ref())? else {
        return Ok(GuardrailReport::of(
            Standing::Removed,
            None,
            world.practice(),
        ));
    };
    let id = &lowering.policy.summary.id;
    let targets: Vec<&str> = lowering
        .policy
        .targets
        .iter()
        .map(TargetId::as_str)
        .collect();
    let from = match targets.as_slice() {
        [] => "nothing".to_owned(),
        some => some.join(", "),
    };
    ui.say(&format!(
        "This detaches {id}, {POLICY}, from {from} and deletes it. From then on anybody with the right makes console users again."
    ));
    let word = Word {
        word: POLICY,
        name: "its name",
        purpose: "to delete it".to_owned(),
        practice: world.practice().is_some(),
    };
    word.confirmed(args.yes, ui)?;
    let mut journal = file::open_named(&common.state_directory()?, JOURNAL)?;
    let watch = |event: &Event| ui.event(event, None);
    ui.commit();
    let again = "guardrail remove no-console-users";
    do_or_say_of(outside, &mut journal, again, async |journal| {
        let mut response = Response::new(&world, journal, &watch);
        response.unguard(&lowering, &caller.arn).await
    })
    .await?;
    let mut report = GuardrailReport::of(Standing::Removed, None, world.practice());
    report.policy_id = Some(id.clone());
    report.changes = vec![format!("Detached {id} from {from}, and deleted it.")];
    Ok(report)
}

/// The journal of guardrails, beside the incidents'.
const JOURNAL: &str = "guardrail";

impl From<Unfit> for Failure {
    fn from(error: Unfit) -> Self {
        match error {
            Unfit::Unready(unready) => unready.into(),
            Unfit::Altered(_) => Self::new(Exit::Refused, &error)
                .hint("Put it right first: `quell guardrail attach no-console-users --jump-account <account>`. What it says now: `quell guardrail check no-console-users`."),
            Unfit::StandsElsewhere { ref target, .. } => Self::new(Exit::Refused, &error).hint(format!(
                "Let it stand there, too: `quell guardrail attach no-console-users --jump-account <account> --target {target}`."
            )),
            Unfit::Foreign(ref policy) => Self::new(Exit::Refused, &error).hint(format!(
                "Look at it: `aws organizations describe-policy --policy-id {policy}`. Rename it, or delete it, and run this again."
            )),
            Unfit::NoSuchAccount(_) => Self::new(Exit::Refused, &error)
                .hint("Nobody could be given a password anywhere. Name another with `--jump-account`: `aws organizations list-accounts` lists them."),
            Unfit::TooLong(_) => {
                Self::new(Exit::Refused, &error).hint("Name fewer exceptions: `*` in an ARN stands for any text.")
            }
            Unfit::Fault(_) => Self::new(Exit::Refused, &error)
                .hint("Report it with the output of `quell guardrail show no-console-users` and the same flags."),
        }
    }
}
