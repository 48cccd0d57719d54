//! An incident about somebody who is no person of the directory, graded like the other.

use super::{
    DrillError, Script, Split, WATCHED, blueprint, drain, follow, grade, operator, release,
    sightings,
};
use jiff::SignedDuration;

use crate::aws::Aws;
use crate::cloud::{Clock as _, Cloud as _};
use crate::evict::account::UserInAccount;
use crate::facts::PolicySummary;
use crate::ids::*;
use crate::incident::Incident;
use crate::journal::{Event, Journal};
use crate::plan::approval::Approval;
use crate::plan::eviction::NO_WAY_LEFT;
use crate::playbook::Playbook;
use crate::range::build::kinds::{self, Accusation, Kind};
use crate::range::build::{self, Built};
use crate::range::{Range, Time};
use crate::report::{DrillReport, human};
use crate::respond::{self, Asked, Response, Stopped};
use crate::signal::{self, Accused, ReadError, Suspect, Who};
use crate::verify::{Aim, Overall};

/// So long people take to close by hand what quell cannot.
const BY_HAND: SignedDuration = SignedDuration::from_hours(1);

/// Runs it.
pub(super) async fn run(
    script: Script,
    kind: Kind,
    playbook: &Playbook,
    tell: &dyn Fn(&str),
) -> Result<DrillReport, DrillError> {
    let mut blueprint = blueprint(script.seed, None)?;
    blueprint.extras.portal = false;
    // Whoever is not almost the suspect is in the other drill.
    blueprint.alive = false;
    let Built { mut state, .. } = build::build(&blueprint)?;
    let accusation = kinds::play(&mut state, kind)?;
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
    let prepared = respond::prepare(
        world.read(),
        world.clock(),
        std::slice::from_ref(&suspect),
        playbook,
        &Asked::default(),
    )
    .await?;
    let Some(prepared) = prepared.into_iter().next() else {
        return Err(ReadError::NoFindings.into());
    };
    let plan = &prepared.plan;
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
    if !prepared.preflight.refusals.is_empty() {
        return Err(DrillError::Refused(prepared.preflight.refusals));
    }
    let approved =
        Approval::flag(plan, world.clock().now()).of(plan.clone(), world.clock().now())?;
    tell(&format!("\nApproved. Incident {}.", plan.incident.id));
    let mut journal = Journal::after(&[], Vec::new())?;
    let watch = |event: &Event| match human::event(event) {
        Some(line) if !matches!(event, Event::Looking { .. }) => tell(&format!("  {line}")),
        Some(_) | None => {}
    };
    let roles = &playbook.verify.canary_roles;
    let operator = &prepared.facts.caller.arn;
    let mut response = Response::new(&world, &mut journal, &watch).entering_by(roles);
    let accepted = response.contain(&approved, operator).await?;
    let mut incident = plan.incident.clone();
    let question = respond::question(&incident, &accepted.policy.arn, playbook, Aim::Refused);
    let proved = response
        .verify(&mut incident, &accepted.policy.id, &question)
        .await?;
    let proof = proved.proof;
    let mut split = Split {
        proven: (proof.overall == Overall::Shown).then_some(proof.ended),
        chained: None,
    };
    if kind == Kind::JumpUser && split.proven.is_some() {
        let policy = &accepted.policy;
        let asked = (script, playbook);
        split.chained = follow(&mut response, &world, &mut incident, policy, asked, tell).await?;
    }
    let faults = match split.proven {
        Some(_) => {
            close(
                &mut response,
                (&range, &world),
                &mut incident,
                &accepted.policy,
                roles,
                tell,
            )
            .await?;
            if kind == Kind::IamUser {
                // Whom the user has vouched for has an id of their own: the inline deny is what refuses them.
                split.proven = Some(world.clock().now());
            }
            drain(
                &range,
                &world,
                (&incident, &accepted.policy.id),
                playbook,
                tell,
            )
            .await;
            release(
                &mut response,
                &world,
                &incident,
                &accepted.policy,
                operator,
                playbook,
                tell,
            )
            .await?
        }
        None => vec!["The deny was never proven, so it was left in place.".to_owned()],
    };
    let released = range.now();
    range.advance(WATCHED);
    Ok(grade(
        &range,
        script.seed,
        &incident,
        approved.at,
        accepted.at,
        split,
        released,
        &before,
        faults,
    ))
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

/// Closes what gives them sessions: quell does, of an IAM user; somebody else, of everybody else, and answers for it.
async fn close(
    response: &mut Response<'_, Aws<Range>, Vec<String>>,
    (range, world): (&Range, &Aws<Range>),
    incident: &mut Incident,
    policy: &PolicySummary,
    roles: &[RoleName],
    tell: &dyn Fn(&str),
) -> Result<(), DrillError> {
    if let Some(user) = UserInAccount::of(incident, roles) {
        tell(
            "\nEvict: the user's keys, password, and an inline deny for whomever they have vouched for.",
        );
        let found = user.ways(world.read()).await.map_err(Stopped::Read)?;
        if let Some((found, open)) = found {
            response
                .evict_iam_user(incident, &policy.id, &user, &found, &open)
                .await?;
        }
        return Ok(());
    }
    if !incident.needs_eviction() {
        tell("\nNothing is evicted: sessions that the role gives out from now on are let through.");
        return Ok(());
    }
    world.clock().sleep(BY_HAND).await;
    tell(
        "\nAn hour later somebody has closed by hand what gives them sessions (`quell evict` says what), and answers for it.",
    );
    range.with(kinds::recover);
    let item = ItemId::parse(NO_WAY_LEFT)?;
    response
        .attest(incident, &policy.id, &item, "the drill", None)
        .await?;
    response.evicted_by_word(incident, &policy.id).await?;
    Ok(())
}
