//! `quell verify`.

pub mod cloudtrail;

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::Args;

use crate::cli::contain::{CanaryArgs, ProbeArgs, exit_of, playbook};
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::ui::Ui;
use crate::cli::verify::cloudtrail::TrailArgs;
use crate::cli::{Common, Outside, do_or_say, given, open_journal};
use crate::cloud::{Cloud, Read as _};
use crate::ids::{AccountId, IncidentId, TargetId};
use crate::journal::{Event, Purpose};
use crate::report::{VerifyReport, human};
use crate::respond::{self, Response, evicting};
use crate::survey;
use crate::verify::{Aim, Question};

/// What `quell verify` takes.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// The incident, as in q-7f3a9c
    incident: IncidentId,
    /// Look in this account instead of those that the user can enter (repeatable); shows more, proves nothing
    #[arg(long, value_name = "ID")]
    account: Vec<AccountId>,
    /// Look in every account under the target, too, not only in those that the user can enter
    #[arg(long, conflicts_with = "account")]
    all_accounts: bool,
    /// Use this playbook's waits and roles instead of those that come with quell
    #[arg(long, value_name = "NAME|FILE")]
    playbook: Option<PathBuf>,
    #[command(flatten)]
    canary: CanaryArgs,
    #[command(flatten)]
    probes: ProbeArgs,
    /// Look also at the user's real calls since the deny, in CloudTrail's records
    #[arg(long)]
    cloudtrail: bool,
    #[command(flatten)]
    trail: TrailArgs,
}

/// `quell verify`: asks the canaries, and on the first proof writes it on the policy.
pub async fn verify<O: Outside>(
    args: &VerifyArgs,
    common: &Common,
    outside: &O,
    ui: &Ui<'_>,
) -> Result<Exit, Failure> {
    let playbook = args.canary.over(playbook(args.playbook.as_ref())?);
    let playbook = args.probes.over(playbook, &args.trail.regions);
    let regional = playbook.verify.asks_in_regions();
    if !args.cloudtrail && !regional && !args.trail.regions.is_empty() {
        let hint = format!(
            "Ask it: `quell verify {} --cloudtrail --regions …`; or name a probe that asks in a Region: `--probe dynamodb:ListTables`.",
            args.incident
        );
        let what = "--regions is about CloudTrail and about probes that ask in a Region, and none is asked";
        return Err(Failure::usage(what).hint(hint));
    }
    let world = common.connect(outside).await?;
    let operator = world.read().caller().await?;
    let known = given::incident(&world, &args.incident).await?;
    if let Some(moment) = known.incident.sessions_after {
        return Err(Failure::new(
            Exit::Refused,
            format!("{} was readmitted: sessions issued from {moment} on are let through, and so would a canary be that is minted now", args.incident),
        )
        .hint(format!("Contain the user again if they are an attacker's: `quell contain {}`.", known.incident.principal.as_ref().map_or("<user>", |name| name.as_str()))));
    }
    let attached = known.is_in_force(&known.attached_to(world.read()).await?);
    let (mut incident, policy) = (known.incident, known.policy);
    let mut question = respond::question(&incident, &policy.arn, &playbook, Aim::Refused);
    let chosen: BTreeSet<AccountId> = args.account.iter().cloned().collect();
    if incident.accounts_left_out > 0 {
        ui.say(&format!(
            "note: {} more accounts did not fit on the policy; typing the `quell contain` command again looks at all of them.",
            incident.accounts_left_out
        ));
    }
    if !attached {
        ui.say(&format!(
            "note: the deny is not attached where it belongs; `quell contain --resume {}` puts it back.",
            args.incident
        ));
    }
    // Accounts that were picked, or that happened to fit, are not everywhere; and what refuses while our policy is not
    // attached is not our policy. Neither proves, so neither starts the clock.
    let complete = chosen.is_empty() && incident.accounts_left_out == 0 && attached;
    if !chosen.is_empty() {
        question.accounts = chosen;
    }
    if args.all_accounts {
        look_everywhere(&mut question, incident.target.as_ref(), &world, ui).await;
    }
    let mut journal = open_journal(common, &args.incident, ui)?;
    let watch = |event: &Event| ui.event(event, None);
    let mut report = do_or_say(outside, &mut journal, &args.incident, async |journal| {
        let mut response = Response::new(&world, journal, &watch);
        response.take_up(&incident, Purpose::Verify, &operator.arn, None)?;
        Ok(if complete {
            let proved = response
                .verify(&mut incident, &policy.id, &question)
                .await?;
            VerifyReport::of(&incident, &proved, world.practice())
        } else {
            let proof = response.look(&question).await?;
            VerifyReport::of_some(&incident, &proof, world.practice())
        })
    })
    .await?;
    let undenied = evicting::undenied(world.read(), &incident, &policy.id).await;
    report = report.with_undenied(&incident, &undenied);
    let mut exit = exit_of(
        report.state,
        report.reaches_management,
        !report.proof_not_recorded,
    );
    if report.chained_note.is_some() && exit == Exit::Done {
        exit = Exit::NotProven;
    }
    if args.cloudtrail {
        let asked = (&args.trail, &operator);
        match cloudtrail::evidence(&world, &incident, &policy.arn, &playbook, asked, ui).await {
            Ok(shown) => {
                exit = cloudtrail::exit(exit, &shown);
                report.cloudtrail = Some(shown);
            }
            // What the canaries showed is told all the same.
            Err(failure) => {
                ui.say(&format!(
                    "CloudTrail could NOT be asked: {}",
                    human::clean(&failure.error)
                ));
                if exit == Exit::Done {
                    exit = Exit::NotProven;
                }
            }
        }
    }
    ui.result(&report, human::verify);
    Ok(exit)
}

/// Every other account of the organization, beside those that must show it. Where they cannot be listed that is said, and
/// keeps nothing from being shown.
pub(super) async fn look_everywhere<C: Cloud>(
    question: &mut Question,
    target: Option<&TargetId>,
    world: &C,
    ui: &Ui<'_>,
) {
    let read = world.read();
    let all = async {
        let organization = read
            .organization()
            .await
            .map_err(|error| error.to_string())?;
        let accounts = read.active_accounts().await;
        let accounts = accounts.map_err(|error| error.to_string())?;
        // Where the deny is not meant to be, nobody is refused, and that is no failure of it.
        let under = match target {
            Some(target) => survey::under(read, target).await,
            None => Ok(None),
        };
        let under = under.map_err(|error| error.to_string())?;
        let others = accounts.into_iter().filter(|account| {
            *account != organization.management
                && !question.accounts.contains(account)
                && under.as_ref().is_none_or(|under| under.contains(account))
        });
        Ok::<BTreeSet<AccountId>, String>(others.collect())
    };
    match all.await {
        Ok(others) => question.beside = others,
        Err(why) => ui.say(&format!(
            "note: the organization's accounts cannot be listed ({}): only those that the user can enter are asked.",
            human::clean(&why)
        )),
    }
}
