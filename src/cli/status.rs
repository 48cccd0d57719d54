//! `quell status`: from AWS's memory, so any machine can ask; and where this machine's journals say otherwise, that.

use clap::Args;

use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::ui::Ui;
use crate::cli::{Common, Outside, given};
use crate::cloud::{Clock as _, Cloud as _, Read as _};
use crate::facts::Known;
use crate::ids::IncidentId;
use crate::report::{ArmedReport, DisagreementReport, IncidentReport, StatusReport, human};
use crate::respond::{evicting, memory};

/// What `quell status` takes.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Only this incident
    incident: Option<IncidentId>,
}

/// `quell status`.
pub async fn status<O: Outside>(
    args: &StatusArgs,
    common: &Common,
    outside: &O,
    ui: &Ui<'_>,
) -> Result<Exit, Failure> {
    let here = common.journals(ui);
    let world = common.connect(outside).await?;
    let is_asked_for = |id: &IncidentId| args.incident.as_ref().is_none_or(|asked| asked == id);
    let (mut found, armed) = memory::recalled(world.read()).await?;
    if let Some(id) = &args.incident
        // One that is known here alone is shown as that.
        && here.iter().all(|past| past.incident != *id)
    {
        found = vec![
            given::one_of(found, id).map_err(|failure| given::unread(&armed).unwrap_or(failure))?,
        ];
    }
    if let Known::Unknown(why) = &armed {
        ui.say(&format!(
            "note: the armed policy cannot be read, so its incidents are not listed: {}",
            human::clean(why)
        ));
    }
    let mut incidents = Vec::new();
    for known in &found {
        if is_asked_for(&known.incident.id) {
            let (read, now) = (world.read(), world.clock().now());
            let attached_to = known.attached_to(read).await?;
            let undenied = evicting::undenied(read, &known.incident, &known.policy.id).await;
            incidents.push(IncidentReport::of(known, attached_to, &undenied, now));
        }
    }
    let mut disagreements = Vec::new();
    if here.iter().any(|past| is_asked_for(&past.incident)) {
        let organization = world.read().organization().await.ok();
        let organization = organization.map(|organization| organization.id);
        for past in here.iter().filter(|past| is_asked_for(&past.incident)) {
            let there = incidents
                .iter()
                .find(|known| known.incident == past.incident);
            // What may be in a policy that cannot be read is not missed.
            if there.is_some() || armed.known().is_some() {
                disagreements.extend(DisagreementReport::of(past, organization.as_ref(), there));
            }
        }
    }
    let report = StatusReport {
        schema: "quell.status/1",
        practice: world.practice(),
        armed: armed.known().and_then(Option::as_ref).map(ArmedReport::of),
        incidents,
        disagreements,
    };
    ui.result(&report, human::status);
    Ok(Exit::Done)
}
