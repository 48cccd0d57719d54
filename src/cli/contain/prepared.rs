//! From what was given to what there is to approve.

use std::time::Duration;

use crate::cli::contain::PlanArgs;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::ui::Ui;
use crate::cli::{Common, Outside, given};
use crate::cloud::Cloud as _;
use crate::ids::IncidentId;
use crate::journal::Past;
use crate::plan::Begun;
use crate::playbook::Playbook;
use crate::report::human;
use crate::respond::{self, Asked, Prepared};

/// So long all questions together may take: then it is said, instead of an operator waiting in front of a silent screen.
const SURVEY: Duration = Duration::from_secs(120);

pub(super) async fn prepare<O: Outside>(
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
                let found = given::interrupted(&world, which.as_ref(), &here).await?;
                resumed = Some((found.incident, found.target));
                vec![found.suspect]
            }
            (None, None) => {
                let detector = args.detector.as_deref();
                vec![args.signal.fetched(&world, detector, ui, playbook).await?]
            }
        };
        let begun: Vec<Begun> = here.iter().filter_map(begun).collect();
        let (resumed, where_it_was) = resumed.unzip();
        let where_it_was = where_it_was.flatten();
        let asked = Asked {
            target: args.target.as_ref().or(where_it_was.as_ref()),
            cold: args.cold,
            begun: &begun,
            resume: resumed.as_ref(),
            lapses: args.lapses(),
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
