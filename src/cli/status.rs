//! `quell status`: from AWS's memory alone, so any machine can ask.

use clap::Args;

use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::ui::Ui;
use crate::cli::{Common, Outside, given};
use crate::cloud::{Clock as _, Cloud as _, Read as _};
use crate::ids::IncidentId;
use crate::report::{IncidentReport, StatusReport, human};

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
    let world = common.connect(outside).await?;
    let found = match &args.incident {
        Some(id) => vec![given::incident(&world, id).await?],
        None => given::incidents(&world).await?,
    };
    let mut incidents = Vec::new();
    for (incident, policy) in found {
        let targets = world.read().targets(&policy.id).await?;
        incidents.push(IncidentReport::of(
            incident,
            policy.id,
            targets,
            world.clock().now(),
        ));
    }
    let report = StatusReport {
        schema: "quell.status/1",
        practice: world.practice(),
        incidents,
    };
    ui.result(&report, human::status);
    Ok(Exit::Done)
}
