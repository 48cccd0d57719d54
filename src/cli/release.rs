//! `quell release`.

use std::path::PathBuf;

use clap::Args;

use crate::cli::contain::{CanaryArgs, playbook};
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::ui::{NoAnswer, Ui};
use crate::cli::{Common, Outside, do_or_say, given, open_journal};
use crate::cloud::{Clock as _, Cloud, Read as _};
use crate::facts::PolicySummary;
use crate::ids::IncidentId;
use crate::incident::{Home, Incident};
use crate::journal::{Event, Past, Purpose, State};
use crate::playbook::Playbook;
use crate::release;
use crate::report::{self, NotReleasedReport, ReleaseReport, ReleasedReport, human};
use crate::respond::memory::{self, Remembered};
use crate::respond::{self, Response};
use crate::verify::{Aim, Overall};

/// Which incidents.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct WhichArgs {
    /// The incident, as in q-7f3a9c
    incident: Option<IncidentId>,
    /// Every incident whose wait is over; for a scheduler, with --yes
    #[arg(long)]
    due: bool,
}

/// What `quell release` takes.
#[derive(Debug, Args)]
pub struct ReleaseArgs {
    #[command(flatten)]
    which: WhichArgs,
    /// Do not ask, for scripts
    #[arg(long)]
    yes: bool,
    /// Release although a gate is closed: sessions of the attacker may come alive. Recorded
    #[arg(long, conflicts_with = "due")]
    force: bool,
    /// Use this playbook's waits and roles instead of those that come with quell
    #[arg(long, value_name = "FILE")]
    playbook: Option<PathBuf>,
    #[command(flatten)]
    canary: CanaryArgs,
}

/// `quell release`: gate, approval, detach, delete, and the proof that everybody is let through again.
pub async fn release<O: Outside>(
    args: &ReleaseArgs,
    common: &Common,
    outside: &O,
    ui: &Ui<'_>,
) -> Result<Exit, Failure> {
    let playbook = args.canary.over(playbook(args.playbook.as_ref())?);
    let world = common.connect(outside).await?;
    let operator = world.read().caller().await?;
    let now = world.clock().now();
    let mut gone = Vec::new();
    let (all, armed) = memory::recalled(world.read()).await?;
    let unread = given::unread(&armed);
    let chosen = match &args.which.incident {
        Some(id) => match (given::one_of(all, id), &unread) {
            (Ok(known), _) => vec![known],
            (Err(_), Some(unread)) => return Err(unread.clone()),
            // AWS has answered, and has no such incident.
            (Err(failure), None) => {
                gone.push(noted_gone(id, failure, &operator.arn, &world, common, ui).await?);
                Vec::new()
            }
        },
        None => all
            .into_iter()
            .filter(|known| release::gate(&known.incident, now).is_ok())
            .collect(),
    };
    let (mut released, mut failed) = (Vec::new(), Vec::new());
    ui.commit();
    for known in chosen {
        let id = known.incident.id.clone();
        let one = One {
            args,
            playbook: &playbook,
            known,
            operator: &operator.arn,
        };
        match one.release(&world, common, outside, ui).await {
            Ok(report) => released.push(report),
            // Of many, one that fails keeps none of the others in.
            Err(failure) if args.which.due && failure.exit != Exit::Interrupted => {
                ui.complain(&failure);
                failed.push(NotReleasedReport {
                    incident: id,
                    failure: failure.error,
                    exit: failure.exit.code(),
                });
            }
            Err(failure) => return Err(failure),
        }
    }
    if let (true, Some(unread)) = (args.which.due, &unread) {
        // What is due in there is not known to anybody.
        ui.complain(unread);
    }
    let worst = failed.iter().map(|failed| failed.exit).max();
    let all_shown = released
        .iter()
        .all(|released: &ReleasedReport| released.allowed_again);
    let practice = world.practice();
    ui.result(
        &ReleaseReport {
            schema: "quell.release/1",
            practice,
            gone,
            released,
            failed,
        },
        human::release,
    );
    Ok(match worst {
        _ if args.which.due && unread.is_some() => Exit::Partly,
        None if all_shown => Exit::Done,
        None => Exit::NotProven,
        Some(_) => Exit::Partly,
    })
}

/// An incident that this machine's journal holds for open and that AWS has no trace of: the journal says so from now on.
async fn noted_gone<C: Cloud>(
    id: &IncidentId,
    failure: Failure,
    operator: &str,
    world: &C,
    common: &Common,
    ui: &Ui<'_>,
) -> Result<IncidentId, Failure> {
    let here = common.journals(ui);
    // Another organization never had it, and says nothing of it.
    let organization = world.read().organization().await.ok();
    let organization = organization.map(|organization| organization.id);
    let is_open = |past: &Past| {
        let open = |state: &State| {
            let ours = organization.is_some() && state.organization == organization;
            ours && state.principal.is_some() && !state.released
        };
        past.incident == *id && past.state.as_ref().is_ok_and(open)
    };
    if !here.iter().any(is_open) {
        return Err(failure);
    }
    let mut journal = open_journal(common, id, ui)?;
    let taken_up = Event::TakenUp {
        incident: id.clone(),
        purpose: Purpose::Release,
        operator: operator.to_owned(),
        forced_past: None,
    };
    for event in [taken_up, Event::Released] {
        journal.record(world.clock().now(), event)?;
    }
    Ok(id.clone())
}

/// One incident to be released.
struct One<'a> {
    args: &'a ReleaseArgs,
    playbook: &'a Playbook,
    known: Remembered,
    operator: &'a str,
}

impl One<'_> {
    /// Gate, approval, detach, delete, look.
    async fn release<O: Outside>(
        self,
        world: &O::World,
        common: &Common,
        outside: &O,
        ui: &Ui<'_>,
    ) -> Result<ReleasedReport, Failure> {
        let Self {
            args,
            playbook,
            known,
            operator,
        } = self;
        // What is attached to nothing keeps nobody out, so taking it away lets nobody in.
        let attached = known.keeps_somebody_out(world.read()).await?;
        let (incident, policy) = (known.incident, known.policy);
        let gate = if attached {
            release::gate(&incident, world.clock().now())
        } else {
            Ok(())
        };
        let forced_past = match gate {
            Ok(()) => None,
            Err(gate) if args.force => Some(gate),
            Err(gate) => {
                let stays = format!("{} stays contained: {gate}", incident.id);
                return Err(Failure::new(Exit::Refused, stays).hint(gate.hint(&incident)));
            }
        };
        approve(
            args,
            &incident,
            &policy,
            forced_past.as_ref(),
            world.practice().is_some(),
            ui,
        )?;
        let mut journal = open_journal(common, &incident.id, ui)?;
        let watch = |event: &Event| ui.event(event, None);
        let (proof, still_denied_by) =
            do_or_say(outside, &mut journal, &incident.id, async |journal| {
                let mut response = Response::new(world, journal, &watch);
                let past = forced_past.as_ref().map(ToString::to_string);
                response
                    .release(&incident, &policy.id, operator, past)
                    .await?;
                let question = respond::question(&incident, &policy.arn, playbook, Aim::Allowed);
                let others = respond::others_that_deny(world.read(), &question).await;
                let others = others.into_iter().map(|known| known.incident.id);
                Ok((response.look(&question).await?, others.collect()))
            })
            .await?;
        Ok(ReleasedReport {
            incident: incident.id,
            principal: incident.principal,
            policy_id: policy.id,
            armed: incident.home == Home::Armed,
            forced_past,
            allowed_again: proof.overall == Overall::Shown,
            still_denied_by,
            accounts: report::accounts(&proof),
        })
    }
}

/// The go-ahead: `--yes`, or the incident's id typed on a terminal.
fn approve(
    args: &ReleaseArgs,
    incident: &Incident,
    policy: &PolicySummary,
    gate: Option<&release::Closed>,
    practice: bool,
    ui: &Ui<'_>,
) -> Result<(), Failure> {
    if let Some(gate) = gate {
        ui.say(&format!("FORCING a closed gate: {gate}. Sessions minted while the deny was attached come alive when it goes."));
    }
    ui.say("quell does not close the ways back in yet: whoever still has the user's assignments can sign in again.");
    if args.yes {
        return Ok(());
    }
    let whom = incident
        .principal
        .as_ref()
        .map_or("its principal", |name| name.as_str());
    let practice = if practice { "PRACTICE: type" } else { "Type" };
    let question = format!(
        "{practice} the incident's id to let {whom} in again by deleting {} ({})",
        policy.id, incident.id
    );
    match ui.ask(&question) {
        Ok(typed) if typed.trim() == incident.id.as_str() => Ok(()),
        Ok(_) => Err(Failure::new(
            Exit::Refused,
            "not approved: what was typed is not the incident's id",
        )),
        Err(NoAnswer::NoTerminal) => Err(Failure::new(
            Exit::Refused,
            "not approved: there is no terminal to type the incident's id on",
        )
        .hint("In a script, say that you mean it: `quell release … --yes`.")),
        Err(NoAnswer::Interrupted) => Err(Failure::new(
            Exit::Interrupted,
            "interrupted before the approval",
        )),
    }
}
