//! Everything before the approval: survey, principal, plan, preflight; and the last look before an approval counts.
//!
//! It is handed the reading capability alone and cannot change anything (R6).

use futures_util::FutureExt as _;
use futures_util::future::try_join_all;
use futures_util::join;
use jiff::SignedDuration;

use crate::cloud::{Clock, Read, Trouble};
use crate::facts::{Facts, Glance, Known, PolicySummary, TaggedPolicy};
use crate::ids::*;
use crate::incident::Home;
use crate::plan::preflight::{self, Preflight};
use crate::plan::stale::Moved;
use crate::plan::{Begun, Lapse, Plan, Step, Wish};
use crate::playbook::Target;
use crate::playbook::shelf::{Chosen, Shelf, Situation};
use crate::policy::document::Document;
use crate::policy::{self, NothingToDeny};
use crate::principal::{self, NotCovered, Principal};
use crate::signal::Suspect;
use crate::survey::{self, SurveyError};

/// What there is to approve: the facts, the plan they lead to, and the judgement of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Prepared {
    /// What was learned.
    pub facts: Facts,
    /// What is meant to be done.
    pub plan: Plan,
    /// Whether it may be.
    pub preflight: Preflight,
    /// What it is run by.
    pub playbook: Chosen,
}

/// Why there is nothing to approve. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotPrepared {
    /// This version cannot contain such a principal.
    #[error(transparent)]
    NotCovered(#[from] NotCovered),
    /// The questions were not answered.
    #[error(transparent)]
    Survey(#[from] SurveyError),
    /// Nothing in a policy can name the principal.
    #[error(transparent)]
    NothingToDeny(#[from] NothingToDeny),
    /// The incident's policy is not what quell would write, so nothing that was proven of the one holds of the other.
    #[error(
        "the policy {policy} of incident {incident} was changed by somebody else: it is not the deny that quell writes"
    )]
    Altered {
        /// The incident.
        incident: IncidentId,
        /// Its policy.
        policy: PolicyId,
    },
    /// The incident's policy could not be read.
    #[error(transparent)]
    Trouble(#[from] Trouble),
}

/// How the plans are to be made, beside whom they are about.
#[derive(Debug, Clone, Copy, Default)]
pub struct Asked<'a> {
    /// The types of the findings that accuse them, if it was findings.
    pub signals: &'a [String],
    /// Where the deny is to be attached, if not where the playbook says.
    pub target: Option<&'a TargetId>,
    /// See [`Wish::cold`].
    pub cold: bool,
    /// See [`Wish::begun`].
    pub begun: &'a [Begun],
    /// See [`Wish::resume`].
    pub resume: Option<&'a IncidentId>,
    /// See [`Wish::lapses`].
    pub lapses: Option<Lapse>,
}

/// Survey → principal → plan → preflight, for each suspect; two that turn out to be one person are one. It is handed the
/// reading capability and cannot change anything (R6).
///
/// # Errors
/// [`NotPrepared`]; of several, one that cannot be prepared keeps the others back, because nobody has been asked yet.
pub async fn prepare(
    read: &impl Read,
    clock: &impl Clock,
    suspects: &[Suspect],
    shelf: &Shelf,
    asked: &Asked<'_>,
) -> Result<Vec<Prepared>, NotPrepared> {
    for suspect in suspects {
        principal::is_covered(suspect)?;
    }
    let target = asked.target.or(match &shelf.base().target {
        Target::Root => None,
        Target::Id(id) => Some(id),
    });
    // Without its type: what is joined and paged through is too deep for the compiler.
    let roles = &shelf.base().verify.canary_roles;
    let facts = survey::survey(read, clock, suspects, target, roles)
        .boxed_local()
        .await?;
    let mut all: Vec<Prepared> = Vec::new();
    for (suspect, facts) in suspects.iter().zip(facts) {
        let principal = Principal::of(suspect, &facts);
        let known = |prepared: &Prepared| {
            let other = &prepared.plan.principal;
            other.username == principal.username && other.user_id == principal.user_id
        };
        if all.iter().any(known) {
            continue;
        }
        let before: Vec<Plan> = all.iter().map(|prepared| prepared.plan.clone()).collect();
        let wish = Wish {
            cold: asked.cold,
            begun: asked.begun,
            resume: asked.resume,
            before: &before,
            lapses: asked.lapses,
        };
        let playbook = shelf.choose(&Situation::of(asked.signals, &principal));
        let plan = Plan::containment(&facts, principal, &playbook.playbook, &wish)?;
        unaltered(read, &plan).await?;
        let preflight = preflight::check(&facts, &plan, &playbook.playbook, &before);
        let playbook = shelf.resumed(playbook, plan.incident.playbook.as_ref(), asked.signals);
        all.push(Prepared {
            facts,
            plan,
            preflight,
            playbook,
        });
    }
    Ok(all)
}

/// Preflight and approval are about the very document that will be attached, so one that exists is read.
async fn unaltered(read: &impl Read, plan: &Plan) -> Result<(), NotPrepared> {
    let Some(Step::CreatePolicy {
        already: Some(policy),
        ..
    }) = plan.steps.first()
    else {
        return Ok(());
    };
    let described = read.policy(&policy.id).await?;
    let document = described.and_then(|(_, content)| Document::parse(&content).ok());
    if document.as_ref() == Some(&plan.document) {
        return Ok(());
    }
    // A run that was to deny whom they became was interrupted: `quell trace` goes on with it.
    let there = document.as_ref().map(policy::session_user_ids_in);
    let as_it_stands = plan.incident.as_far_as(&there.unwrap_or_default());
    if document.is_some() && document == as_it_stands.deny().ok() {
        return Ok(());
    }
    let (incident, policy) = (plan.incident.id.clone(), policy.id.clone());
    Err(NotPrepared::Altered { incident, policy })
}

/// A survey that is not older than this needs no last look, where a stale one could only be refused by AWS.
const FRESH: SignedDuration = SignedDuration::from_secs(10);

/// Why a plan that was shown cannot be approved any more. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Stale {
    /// It is another plan by now.
    #[error("the organization changed since the survey: {0}")]
    Moved(#[from] Moved),
    /// The last look was not answered.
    #[error(transparent)]
    Trouble(#[from] Trouble),
}

/// A last look at what a plan hangs on, before an approval of it counts: the plan upon what is there now. A plan for the
/// armed policy is always looked at again, because its one call replaces what everybody else has written there.
///
/// # Errors
/// [`Stale`].
pub async fn look_again(
    read: &impl Read,
    clock: &impl Clock,
    prepared: &Prepared,
) -> Result<Plan, Stale> {
    let Prepared { plan, facts, .. } = prepared;
    let uses_armed = plan.incident.home == Home::Armed;
    if !uses_armed && clock.now().duration_since(plan.surveyed_at) <= FRESH {
        return Ok(plan.clone());
    }
    let armed = async {
        match &facts.armed {
            Known::Known(Some(armed)) if uses_armed => {
                survey::look_at(read, &armed.summary.id).await
            }
            Known::Known(_) | Known::Unknown(_) => Ok(None),
        }
    };
    let new = async {
        let attached = read.attached(&plan.target).await?;
        let is_new = |policy: &&PolicySummary| {
            IncidentId::of_policy_name(&policy.name).is_some() && !facts.attached.contains(policy)
        };
        let new = attached.iter().filter(is_new).cloned();
        let new = try_join_all(new.map(|summary| async move {
            let tags = read.tags(&summary.id).await?;
            Ok::<_, Trouble>(TaggedPolicy { summary, tags })
        }));
        Ok::<_, Trouble>((new.await?, attached))
    };
    let (armed, new) = join!(armed, new);
    let (remembered, attached) = new?;
    let seen = Glance {
        attached,
        remembered,
        armed: armed?,
    };
    Ok(plan.clone().upon(&seen)?)
}
