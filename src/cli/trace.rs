//! `quell trace`: whom the principal became by assuming roles, what they left behind, and the deny of the former.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::Args;
use futures_util::FutureExt as _;
use jiff::{SignedDuration, Timestamp};

use crate::cli::contain::{entering_by, playbook};
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::ui::Ui;
use crate::cli::verify::cloudtrail::{TrailArgs, asked_by, at_portal, says_what_is_left_out};
use crate::cli::word::Word;
use crate::cli::{Common, Outside, do_or_say, given, open_journal};
use crate::cloud::{Clock as _, Cloud, Read as _};
use crate::facts::{Caller, Organization, PolicySummary};
use crate::ids::{AccountId, IamUserName, IncidentId, RoleName, SessionUserId};
use crate::incident::Incident;
use crate::incident::armed::Ledger;
use crate::journal::{Event, Purpose};
use crate::plan::chaining::{Chaining, Choice};
use crate::playbook::Playbook;
use crate::principal::{LONGEST_OF_IAM_USER, LONGEST_SESSION};
use crate::report::human;
use crate::report::switching::{Beside, SwitchingReport};
use crate::report::trails::{ReadReport, Stands, TraceReport};
use crate::respond::Response;
use crate::respond::memory::Entered;
use crate::survey;
use crate::trace::switching::{self, About, Found};
use crate::trace::{self, Places};

/// So long before the incident was opened the records are read at least, if nobody says otherwise. Whoever had a longer
/// session can have chained before that.
const BEFORE: SignedDuration = SignedDuration::from_hours(24);

/// Added to the longest session, where the incident does not say: clocks differ.
const MARGIN: SignedDuration = SignedDuration::from_mins(30);

/// What `quell trace` takes.
#[derive(Debug, Args)]
pub struct TraceArgs {
    /// The incident, as in q-7f3a9c
    incident: IncidentId,
    /// Deny also the sessions under other names that are alive and that the deny does not match
    #[arg(long)]
    deny_chained: bool,
    /// Do not ask, for scripts
    #[arg(long, requires = "deny_chained")]
    yes: bool,
    /// Of those, deny these (repeatable; default: all that fit, whoever lives longest first)
    #[arg(
        long,
        value_name = "USERID",
        value_delimiter = ',',
        requires = "deny_chained"
    )]
    only: Vec<SessionUserId>,
    /// Read the records from this moment on, as in 2026-11-22T04:00:00Z, or so far back: 90m, 36h, 3d (default: the longest
    /// session that they can have had, and at least a day, before the incident)
    #[arg(long, value_name = "TIME", value_parser = since)]
    since: Option<Since>,
    /// Of an IAM user: say also which roles they may assume, in their account and in those that their policies name
    #[arg(long)]
    may_assume: bool,
    /// Look for such roles in every account of the organization
    #[arg(long, requires = "may_assume")]
    all_accounts: bool,
    #[command(flatten)]
    trail: TrailArgs,
    /// Use this playbook's roles instead of those that come with quell
    #[arg(long, value_name = "NAME|FILE")]
    playbook: Option<PathBuf>,
    /// Enter member accounts with this role (default: quell-canary, then OrganizationAccountAccessRole)
    #[arg(long, value_name = "NAME")]
    canary_role: Option<RoleName>,
}

/// `quell trace`.
pub async fn trace<O: Outside>(
    args: &TraceArgs,
    common: &Common,
    outside: &O,
    ui: &Ui<'_>,
) -> Result<Exit, Failure> {
    let playbook = entering_by(playbook(args.playbook.as_ref())?, args.canary_role.as_ref());
    let world = common.connect(outside).await?;
    let operator = world.read().caller().await?;
    let organization = survey::organization(world.read()).await?;
    let known = given::incident(&world, &args.incident).await?;
    has_a_name(&known.incident)?;
    let user = iam_user(args, &known.incident)?;
    let attached = known.attached_to(world.read()).await?;
    let in_force = known.is_in_force(&attached);
    let (mut incident, policy) = (known.incident, known.policy);
    let entered = known.entered;
    let traced = Traced {
        playbook: &playbook,
        operator: &operator,
        organization: &organization,
        incident: &incident,
        policy: &policy,
        in_force,
        user: user.as_ref(),
    };
    let mut report = traced.walk(args, &world, ui).await?;
    if args.deny_chained && !in_force {
        return Err(Failure::not_attached(&incident.id));
    }
    if args.deny_chained && !(report.offered.is_empty() && report.unfinished.is_empty()) {
        let choice = traced
            .choose(args, &report, entered.as_ref(), &world)
            .await?;
        approve(args, &choice, &report, &world, ui)?;
        let mut journal = open_journal(common, &incident.id, ui)?;
        ui.commit();
        let watch = |event: &Event| ui.event(event, None);
        let id = incident.id.clone();
        do_or_say(outside, &mut journal, &id, async |journal| {
            let mut response = Response::new(&world, journal, &watch);
            response.take_up(&incident, Purpose::Trace, &operator.arn, None)?;
            response
                .deny_chained(&mut incident, &policy.id, &choice.denied)
                .await
        })
        .await?;
        report = report.with_denied(choice, &incident);
    }
    ui.result(&report, human::trails::trace);
    Ok(if report.is_getting_through() {
        Exit::GettingThrough
    } else if report.is_quiet() {
        Exit::Done
    } else {
        Exit::NotProven
    })
}

/// CloudTrail's event history is asked by name.
///
/// # Errors
/// [`Exit::Refused`] for whoever has none: nothing that was not asked is quiet.
pub(super) fn has_a_name(incident: &Incident) -> Result<(), Failure> {
    if !trace::names_of(incident).is_empty() {
        return Ok(());
    }
    Err(Failure::new(
        Exit::Refused,
        format!("{} denies a role, whoever uses it, and CloudTrail's event history cannot be asked for all sessions of a role", incident.id),
    )
    .hint("Look into a trail's own records (Athena, CloudTrail Lake), by `userIdentity.sessionContext.sessionIssuer.arn`."))
}

/// The account and the name of the IAM user whose roles are asked for, if they are.
///
/// # Errors
/// [`Exit::Refused`], when the incident is about nobody of whom that can be asked.
fn iam_user(
    args: &TraceArgs,
    incident: &Incident,
) -> Result<Option<(AccountId, IamUserName)>, Failure> {
    if !args.may_assume {
        return Ok(None);
    }
    let user = incident.iam_account.clone().zip(incident.iam_name());
    user.map(Some).ok_or_else(|| {
        Failure::new(
            Exit::Refused,
            format!("--may-assume is about IAM users, and {} denies somebody else, or an IAM user of no known account", incident.id),
        )
        .hint(format!("Whom they became is found without it: `quell trace {}`.", incident.id))
    })
}

/// An incident whose principal is followed.
struct Traced<'a> {
    playbook: &'a Playbook,
    operator: &'a Caller,
    organization: &'a Organization,
    incident: &'a Incident,
    policy: &'a PolicySummary,
    /// Whether the policy is attached where it belongs.
    in_force: bool,
    /// The IAM user whose roles are asked for, if they are.
    user: Option<&'a (AccountId, IamUserName)>,
}

impl Traced<'_> {
    /// Follows them through the records. Changes nothing.
    async fn walk<C: Cloud>(
        &self,
        args: &TraceArgs,
        world: &C,
        ui: &Ui<'_>,
    ) -> Result<TraceReport, Failure> {
        let (read, now) = (world.read(), world.clock().now());
        let opened = self.incident.opened.unwrap_or(now);
        let since = match args.since {
            Some(Since::At(at)) => at,
            Some(Since::Ago(ago)) => now.checked_sub(ago).map_err(|_| {
                Failure::usage("--since is further back than time goes")
                    .hint("CloudTrail keeps 90 days: `--since 90d`.")
            })?,
            None => opened - looks_back(self.incident),
        };
        if since >= now {
            return Err(Failure::usage(format!(
                "--since {since} is not in the past: nothing is recorded of then"
            ))
            .hint("Without it, the longest session that they can have had before the incident is read, too."));
        }
        let places = Places {
            own: self.operator.account.clone(),
            regions: asked_by(world, self.organization, self.operator, &args.trail).await,
            roles: self.playbook.verify.canary_roles.clone(),
            session: self.incident.id.control_name(),
            from: since,
        };
        let management = &self.organization.management;
        let found = self.may_assume(args, world, ui).await?;
        let mut incident = self.incident.clone();
        // Sessions that are named after the user are looked up where they can be.
        incident
            .accounts
            .extend(found.iter().flat_map(SwitchingReport::accounts));
        ui.say(&format!(
            "reading CloudTrail in {} accounts and {} Regions…",
            incident.accounts.len() + 1,
            places.regions.len()
        ));
        let (walk, gathered) = trace::walk(read, &places, &incident, management).await?;
        let under = match &self.incident.target {
            _ if !self.in_force => Some(BTreeSet::new()),
            Some(target) => survey::under(read, target).await?,
            None => None,
        };
        let stands = Stands {
            deny: trace::deny_of(read, &self.policy.id, &self.incident.id).await?,
            policy: self.policy.arn.clone(),
            under,
        };
        let mut told = ReadReport::of(&gathered, &places, world.clock().now());
        told.whole &= says_what_is_left_out(self.incident, ui);
        let portal = at_portal(world, self.organization, &places, self.incident).await;
        let report = TraceReport::of(
            self.incident,
            &stands,
            management,
            trace::as_names(&trace::names_of(self.incident)),
            (&walk, &gathered),
            told,
            world.practice(),
        );
        let may_assume = found.zip(self.user).map(|(found, (account, user))| {
            let beside = Beside {
                account,
                user,
                management,
                stands: &stands,
                read: &report.read,
                sessions: &report.sessions,
            };
            SwitchingReport::of(found, &beside)
        });
        Ok(TraceReport {
            portal,
            may_assume,
            ..report
        })
    }

    /// The roles that the IAM user may assume, if they are asked for.
    async fn may_assume<C: Cloud>(
        &self,
        args: &TraceArgs,
        world: &C,
        ui: &Ui<'_>,
    ) -> Result<Option<Found>, Failure> {
        let Some((account, name)) = self.user else {
            return Ok(None);
        };
        ui.say("looking for the roles that the user may assume…");
        let about = About {
            incident: self.incident,
            account,
            name,
            everywhere: args.all_accounts,
        };
        let roles = &self.playbook.verify.canary_roles;
        let found = switching::find(world, self.operator, self.organization, &about, roles);
        // Without its type, which is too deep for the compiler.
        Ok(Some(found.boxed_local().await?))
    }

    /// Whom to deny: those who fit, and nobody whom we must spare.
    async fn choose<C: Cloud>(
        &self,
        args: &TraceArgs,
        report: &TraceReport,
        entered: Option<&Entered>,
        world: &C,
    ) -> Result<Choice, Failure> {
        let mut sessions = report.by_urgency();
        let unknown = args.only.iter().find(|it| !report.offered.contains(it));
        if let Some(unknown) = unknown {
            return Err(Failure::usage(format!(
                "--only {unknown}: no session of that name is alive and not denied"
            ))
            .hint(format!("See who is: `quell trace {}`.", self.incident.id)));
        }
        if !args.only.is_empty() {
            sessions.retain(|it| args.only.contains(it));
        }
        let ledger = entered.map(|entered| Ledger::read(&entered.armed));
        let ledger = ledger.transpose().ok().flatten();
        let there = world.read().tags(&self.policy.id).await?;
        let chaining = Chaining {
            incident: self.incident,
            keys: there.into_keys().collect(),
            ledger: ledger.as_ref(),
            operator: &self.operator.user_id,
            playbook: self.playbook,
            at: world.clock().now(),
        };
        let choice = chaining.choose(&sessions)?;
        if choice.denied.is_empty() && report.unfinished.is_empty() {
            return Err(nobody(&choice, report));
        }
        Ok(choice)
    }
}

/// None of them can be denied.
fn nobody(choice: &Choice, report: &TraceReport) -> Failure {
    let why = choice.left_out.iter();
    let why: Vec<String> = why
        .map(|(userid, why)| format!("{userid}: {why}"))
        .collect();
    let failure = Failure::new(
        Exit::Refused,
        format!("none of them is denied: {}", why.join("; ")),
    );
    let roles = choice.left_out.iter();
    let role = roles.map(|(userid, _)| userid.as_str()).find_map(|it| {
        let (role, _) = it.split_once(':')?;
        role.starts_with("AROA").then_some(role)
    });
    failure.hint(format!(
        "Deny their roles for everybody who had a session before now, in a policy of your own: `quell policy draft --role {} --before {}`.",
        role.unwrap_or("<AROA…>"),
        report.read.asked_at.strftime("%Y-%m-%dT%H:%M:%SZ")
    ))
}

/// From when on records are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    /// This moment.
    At(Timestamp),
    /// So long before now.
    Ago(SignedDuration),
}

fn since(text: &str) -> Result<Since, String> {
    if let Ok(at) = text.parse() {
        return Ok(Since::At(at));
    }
    let ago = || {
        let unit = text.chars().last()?;
        let seconds: i64 = match unit {
            'm' => 60,
            'h' => 3_600,
            'd' => 86_400,
            _ => return None,
        };
        let many: i64 = text.strip_suffix(unit)?.parse().ok()?;
        let seconds = many.checked_mul(seconds).filter(|_| many > 0)?;
        Some(Since::Ago(SignedDuration::from_secs(seconds)))
    };
    ago().ok_or_else(|| {
        format!("`{text}` is neither a time nor how far back: expected one like 2026-11-22T04:00:00Z, or minutes, hours or days as in 90m, 36h, 3d")
    })
}

/// How far before the incident: whoever had the longest session can have chained all along.
fn looks_back(incident: &Incident) -> SignedDuration {
    let longest = match incident.is_of_iam_user() {
        true => LONGEST_OF_IAM_USER,
        false => incident.longest_session.unwrap_or(LONGEST_SESSION),
    };
    (longest + incident.margin.unwrap_or(MARGIN)).max(BEFORE)
}

/// The go-ahead: `--yes`, or the incident's id typed on a terminal.
fn approve<C: Cloud>(
    args: &TraceArgs,
    choice: &Choice,
    report: &TraceReport,
    world: &C,
    ui: &Ui<'_>,
) -> Result<(), Failure> {
    ui.say("These are alive, and the deny does not match them:");
    for session in choice.denied.union(&report.unfinished) {
        ui.say(&format!("  {session}"));
    }
    if !choice.left_out.is_empty() {
        ui.say("These are alive, too, and are left as they are:");
    }
    for (session, why) in &choice.left_out {
        ui.say(&format!("  {session}: {why}"));
    }
    ui.say("Each is denied by its whole aws:userid: whoever else has that name in that role is refused, too.");
    let word = Word {
        word: report.incident.as_str(),
        name: "the incident's id",
        purpose: format!(
            "to deny these {} sessions, too",
            choice.denied.union(&report.unfinished).count()
        ),
        practice: world.practice().is_some(),
    };
    word.confirmed(args.yes, ui)
}
