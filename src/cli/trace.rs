//! `quell trace`: whom the principal became by assuming roles, what they left behind, and the deny of the former.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::Args;
use jiff::{SignedDuration, Timestamp};

use crate::cli::contain::{entering_by, playbook};
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::ui::Ui;
use crate::cli::verify::cloudtrail::{TrailArgs, asked_by, says_what_is_left_out};
use crate::cli::word::Word;
use crate::cli::{Common, Outside, do_or_say, given, open_journal};
use crate::cloud::{Clock as _, Cloud, Read as _};
use crate::facts::{Caller, Organization, PolicySummary};
use crate::ids::{IncidentId, RoleName, SessionUserId};
use crate::incident::armed::MOST_TAGS;
use crate::incident::{Home, Incident, MOST_CHAINED};
use crate::journal::{Event, Purpose};
use crate::plan::preflight::{Refusal, Theorem};
use crate::playbook::Playbook;
use crate::policy::MOST_CHARACTERS;
use crate::principal::Identity;
use crate::report::human;
use crate::report::trails::{ReadReport, Stands, TraceReport};
use crate::respond::Response;
use crate::survey;
use crate::trace::{self, Places};

/// So long before the incident was opened the records are read if nobody says otherwise.
const BEFORE: SignedDuration = SignedDuration::from_hours(24);

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
    /// Read the records from this moment on, as in 2026-11-22T04:00:00Z (default: a day before the incident)
    #[arg(long, value_name = "TIME")]
    since: Option<Timestamp>,
    #[command(flatten)]
    trail: TrailArgs,
    /// Use this playbook's roles instead of those that come with quell
    #[arg(long, value_name = "FILE")]
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
    let attached = known.attached_to(world.read()).await?;
    let in_force = known.is_in_force(&attached);
    let (mut incident, policy) = (known.incident, known.policy);
    let traced = Traced {
        playbook: &playbook,
        operator: &operator,
        organization: &organization,
        incident: &incident,
        policy: &policy,
        in_force,
    };
    let mut report = traced.walk(args, &world, ui).await?;
    let sessions = report.offered.clone();
    if args.deny_chained && !in_force {
        return Err(Failure::not_attached(&incident.id));
    }
    if args.deny_chained && !sessions.is_empty() {
        traced.check(&sessions, &world).await?;
        approve(args, &report, &incident, &world, ui)?;
        let mut journal = open_journal(common, &incident.id, ui)?;
        ui.commit();
        let watch = |event: &Event| ui.event(event, None);
        let id = incident.id.clone();
        do_or_say(outside, &mut journal, &id, async |journal| {
            let mut response = Response::new(&world, journal, &watch);
            response.take_up(&incident, Purpose::Trace, &operator.arn, None)?;
            response
                .deny_chained(&mut incident, &policy.id, &sessions)
                .await
        })
        .await?;
        report = report.with_denied(sessions, &incident);
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

/// An incident whose principal is followed.
struct Traced<'a> {
    playbook: &'a Playbook,
    operator: &'a Caller,
    organization: &'a Organization,
    incident: &'a Incident,
    policy: &'a PolicySummary,
    /// Whether the policy is attached where it belongs.
    in_force: bool,
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
        let since = args.since.unwrap_or(opened - BEFORE);
        if since >= now {
            return Err(Failure::usage(format!(
                "--since {since} is not in the past: nothing is recorded of then"
            ))
            .hint("Without it, the day before the incident is read, too."));
        }
        let places = Places {
            own: self.operator.account.clone(),
            regions: asked_by(world, self.organization, self.operator, &args.trail).await,
            roles: self.playbook.verify.canary_roles.clone(),
            session: self.incident.id.control_name(),
            from: since,
        };
        let management = &self.organization.management;
        ui.say(&format!(
            "reading CloudTrail in {} accounts and {} Regions…",
            self.incident.accounts.len() + 1,
            places.regions.len()
        ));
        let (walk, gathered) = trace::walk(read, &places, self.incident, management).await?;
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
        Ok(TraceReport::of(
            self.incident,
            &stands,
            management,
            trace::as_names(&trace::names_of(self.incident)),
            (&walk, &gathered),
            told,
            world.practice(),
        ))
    }

    /// R3 on the document as it will be, and whether it fits.
    async fn check<C: Cloud>(
        &self,
        sessions: &BTreeSet<SessionUserId>,
        world: &C,
    ) -> Result<(), Failure> {
        let mut with = self.incident.clone();
        with.chained.extend(sessions.iter().cloned());
        let own = with.deny()?;
        let theorem = Theorem {
            incident: &with.id,
            target: with.target.as_ref(),
            whole: &own,
            own: &own,
            operator: &self.operator.user_id,
            at: world.clock().now(),
        };
        let chained = sessions.iter().filter_map(Identity::of_session);
        let chained: Vec<Identity> = chained.collect();
        let mut refusals = theorem.refusals(&chained, self.playbook);
        if own.characters() > MOST_CHARACTERS {
            refusals.push(Refusal::TooLong(own.characters()));
        }
        if !refusals.is_empty() {
            return Err(Failure::refused(&refusals));
        }
        let there = world.read().tags(&self.policy.id).await?;
        let outgrown = with.outgrown(&there);
        let keys = there.into_keys().filter(|key| !outgrown.contains(key));
        let keys: BTreeSet<String> = keys.chain(with.tags().into_keys()).collect();
        if with.chained.len() > MOST_CHAINED || keys.len() > MOST_TAGS {
            return Err(self.too_many(&with));
        }
        Ok(())
    }

    fn too_many(&self, with: &Incident) -> Failure {
        let many = with.chained.len();
        let id = &with.id;
        let home = match with.home {
            Home::Own => "its policy",
            Home::Armed => "the armed policy",
        };
        Failure::new(
            Exit::Refused,
            format!("{many} sessions do not fit: {home} has room for {MOST_TAGS} tags, and {id} for {MOST_CHAINED} of them"),
        )
        .hint("Deny their roles for everybody who had a session before now, in a policy of your own: `quell policy draft --role <AROA…> --before <time>`.")
    }
}

/// The go-ahead: `--yes`, or the incident's id typed on a terminal.
fn approve<C: Cloud>(
    args: &TraceArgs,
    report: &TraceReport,
    incident: &Incident,
    world: &C,
    ui: &Ui<'_>,
) -> Result<(), Failure> {
    ui.say("These are alive, and the deny does not match them:");
    for session in &report.offered {
        ui.say(&format!("  {session}"));
    }
    ui.say("Each is denied by its whole aws:userid: whoever else has that name in that role is refused, too.");
    let word = Word {
        word: incident.id.as_str(),
        name: "the incident's id",
        purpose: format!("to deny these {} sessions, too", report.offered.len()),
        practice: world.practice().is_some(),
    };
    word.confirmed(args.yes, ui)
}
