//! From what was given to what there is to approve.

use std::time::Duration;

use futures_util::future::try_join_all;

use crate::cli::contain::PlanArgs;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::given::{self, Choice};
use crate::cli::ui::Ui;
use crate::cli::{Common, Outside};
use crate::cloud::Cloud;
use crate::ids::{IncidentId, Region};
use crate::journal::Past;
use crate::plan::Begun;
use crate::playbook::Playbook;
use crate::playbook::shelf::Shelf;
use crate::report::human;
use crate::respond::{self, Asked, Prepared};
use crate::signal::operator::Given;
use crate::signal::{self, Suspect};
use crate::survey::whose::whose;

/// So long all questions together may take: then it is said, instead of an operator waiting in front of a silent screen.
const SURVEY: Duration = Duration::from_secs(120);

pub(super) async fn prepare<O: Outside>(
    args: &PlanArgs,
    shelf: &Shelf,
    common: &Common,
    outside: &O,
    ui: &Ui<'_>,
) -> Result<(O::World, Vec<Prepared>), Failure> {
    // What can be said without AWS is said before AWS is asked.
    let choice = args.choice(ui, shelf);
    let offline = args.signal.offline(&choice)?;
    covered(offline.iter().flatten())?;
    if offline.is_none() && args.signal.resume.is_none() && !ui.is_terminal() {
        return Err(given::nobody_given());
    }
    let here = common.journals(ui);
    let region = offline.iter().flatten().find_map(region_of);
    let world = common.connect_in(outside, region).await?;
    let mut resumed = None;
    let given = match (offline, &args.signal.resume) {
        (Some(given), _) => given,
        (None, Some(which)) => {
            let found = given::interrupted(&world, which.as_ref(), &here);
            let found = within(found).await?;
            resumed = Some((found.incident, found.target));
            vec![Given::Suspect(found.suspect)]
        }
        // Whoever chooses takes their time: no question to AWS waits for it.
        (None, None) => choice.of_recent(within(given::recent(&world)).await, &world)?,
    };
    let given = fetched(given, args, &choice, &world).await?;
    covered(given.iter())?;
    let begun: Vec<Begun> = here.iter().filter_map(begun).collect();
    let (resumed, where_it_was) = resumed.unzip();
    let where_it_was = where_it_was.flatten();
    let signals: Vec<String> = choice.signals.borrow().iter().cloned().collect();
    let asked = Asked {
        signals: &signals,
        target: args.target.as_ref().or(where_it_was.as_ref()),
        cold: args.cold,
        begun: &begun,
        resume: resumed.as_ref(),
        lapses: args.lapses(),
    };
    let prepared = within(async {
        let (read, clock) = (world.read(), world.clock());
        let suspects = try_join_all(given.iter().map(|one| resolved(one, &world, shelf.base())));
        let suspects: Vec<Suspect> = suspects.await?;
        for suspect in &suspects {
            crate::principal::is_covered(suspect)?;
        }
        let prepared = respond::prepare(read, clock, &suspects, shelf, &asked).await?;
        goes_on(&prepared, resumed.as_ref())?;
        Ok(prepared)
    });
    let prepared = prepared.await?;
    Ok((world, prepared))
}

/// What AWS is asked for, as long as an operator can be kept waiting.
async fn within<T>(asking: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::time::timeout(SURVEY, asking).await.map_err(|_| {
        let why = format!("AWS did not answer all questions within {} s", SURVEY.as_secs());
        Failure::new(Exit::Failed, why).hint("Check the network, the proxy (HTTPS_PROXY), the Region and AWS_ENDPOINT_URL, then run it again.")
    })?
}

/// Whether all who are known already can be contained.
fn covered<'a>(given: impl Iterator<Item = &'a Given>) -> Result<(), Failure> {
    for one in given {
        if let Given::Suspect(suspect) = one {
            crate::principal::is_covered(suspect)?;
        }
    }
    Ok(())
}

/// GuardDuty knows a finding in its own Region alone.
fn region_of(given: &Given) -> Option<&Region> {
    match given {
        Given::Finding(reference) => reference.region.as_ref(),
        Given::Suspect(_) | Given::Unresolved(_) => None,
    }
}

/// With the suspects of findings in their place.
async fn fetched<C: Cloud>(
    given: Vec<Given>,
    args: &PlanArgs,
    choice: &Choice<'_, '_>,
    world: &C,
) -> Result<Vec<Given>, Failure> {
    let mut all = Vec::new();
    for one in given {
        match one {
            Given::Finding(reference) => {
                let findings = given::fetched(world, &reference, args.detector.as_deref());
                all.extend(choice.made(&within(findings).await?)?);
            }
            one @ (Given::Suspect(_) | Given::Unresolved(_)) => all.push(one),
        }
    }
    Ok(all)
}

/// Who it is, as far as a claim goes.
async fn resolved<C: Cloud>(
    given: &Given,
    world: &C,
    playbook: &Playbook,
) -> Result<Suspect, Failure> {
    let (read, clock) = (world.read(), world.clock());
    let roles = &playbook.verify.canary_roles;
    match given {
        Given::Suspect(suspect) => Ok(suspect.clone()),
        Given::Unresolved(unresolved) => Ok(whose(read, clock, unresolved, roles).await?),
        Given::Finding(_) => Err(signal::ReadError::NoFindings.into()),
    }
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
