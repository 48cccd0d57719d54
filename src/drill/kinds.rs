//! An incident about somebody who is no person of the directory, graded like the other.

use super::{DrillError, Scene, Script, Split, WATCHED, blueprint, operator, sightings};
use crate::ids::*;
use crate::plan::Plan;
use crate::range::build::kinds::{self, Accusation, Kind};
use crate::range::build::{self, Built};
use crate::range::{Range, Time};
use crate::report::human;
use crate::signal::{self, Accused, ReadError, Suspect, Who};

/// An organization in which it has happened.
pub(super) fn scene(script: Script, kind: Kind, tell: &dyn Fn(&str)) -> Result<Scene, DrillError> {
    let mut blueprint = blueprint(script.seed, None)?;
    blueprint.extras.portal = false;
    // Whoever is not almost the suspect is in the other drill.
    blueprint.alive = false;
    let Built { mut state, .. } = build::build(&blueprint)?;
    let accusation = kinds::play(&mut state, kind, script.chains)?;
    let before: Vec<PolicyId> = state.policies.keys().cloned().collect();
    let range = Range::new(state, Time::Virtual);
    range.with(|state| state.throttles = true);
    let world = operator(&range, &Region::parse("us-east-1")?);
    tell(&format!(
        "PRACTICE. An organization drawn from seed {}, inside this process; its clock moves when we wait.",
        script.seed
    ));
    range.advance(WATCHED);
    tell(&format!("  {}", kind.story()));
    let so_far = sightings(&range, Split::default());
    tell(&format!(
        "  {} of their calls, all allowed; and others at work, whose names and ids are almost theirs.",
        so_far.allowed_before
    ));
    let suspect = accused(accusation)?;
    tell(&format!("\nIt accuses: {}.", human::suspect(&suspect)));
    Ok(Scene {
        range,
        world,
        before,
        suspect,
    })
}

/// What is planned about them.
pub(super) fn tell_plan(plan: &Plan, tell: &dyn Fn(&str)) {
    tell(&format!(
        "  The deny of {} refuses by {}; the longest session lives {}.",
        plan.principal.username,
        keys_of(&plan.document),
        plan.principal.session.because
    ));
    let workload = plan.principal.exact.as_ref();
    if let Some(workload) = workload.and_then(|exact| exact.workload.as_ref()) {
        tell(&format!(
            "  It stops a workload, {}, so it is asked about twice.",
            workload.says()
        ));
    }
}

/// The suspect of what accuses them, read as `quell contain` reads it.
fn accused(accusation: Accusation) -> Result<Suspect, DrillError> {
    let text = match accusation {
        Accusation::Finding(text) => text,
        Accusation::Role(account, name, id) => {
            return Ok(Suspect::Role {
                account: Some(account),
                role: name.to_owned(),
                role_id: Some(id),
            });
        }
    };
    let first = signal::read(&text)?.into_iter().next();
    match first.ok_or(ReadError::NoFindings)?.who {
        Who::Suspects(accused) => {
            let mut suspects = accused.into_iter().filter_map(Accused::suspect);
            Ok(suspects.next().ok_or(ReadError::NoFindings)?)
        }
        Who::Nobody(nobody) => Err(DrillError::Finding(nobody.to_string())),
    }
}

/// The condition keys that a deny goes by, for people.
fn keys_of(document: &crate::policy::document::Document) -> String {
    let statements = document.statements.iter();
    let keys = statements.flat_map(|statement| &statement.conditions);
    let keys: std::collections::BTreeSet<&str> =
        keys.map(|condition| condition.key.as_str()).collect();
    keys.into_iter().collect::<Vec<_>>().join(", ")
}
