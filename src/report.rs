//! What is told: one value for each verb's result, ready to be shown to a person or written as JSON.
//!
//! Pure. Each value names its schema (`quell.contain/1`): fields may be added to a schema, and are never taken away or
//! given another meaning without a new number. [`human`] renders them for a terminal; JSON is the value itself.

pub mod human;

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::Value;

use crate::facts::Known;
use crate::ids::*;
use crate::incident::Incident;
use crate::plan::preflight;
use crate::playbook::{ByHand, Playbook};
use crate::policy::document::Document;
use crate::release::Closed;
use crate::respond::{Accepted, Prepared, Proved};
use crate::verify::{AccountProof, Overall, Proof};

/// The plan, before anybody approves it. Of `quell plan`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PlanReport {
    /// `quell.plan/1`.
    pub schema: &'static str,
    /// The host that answers, when it is not AWS.
    pub practice: Option<String>,
    /// The incident as it would be.
    pub incident: IncidentId,
    /// Whom it denies.
    pub principal: Username,
    /// Their immutable id, or why there is none.
    pub user_id: Known<UserId>,
    /// The names that their sessions can have.
    pub session_names: BTreeSet<SessionName>,
    /// The accounts they can enter.
    pub reach: BTreeSet<AccountId>,
    /// The longest that a session of theirs can live, and how we know.
    pub longest_session: String,
    /// Where the deny would be attached.
    pub target: TargetId,
    /// The organization.
    pub organization: OrganizationId,
    /// Who would do it.
    pub operator: String,
    /// The changes, in order.
    pub steps: Vec<StepReport>,
    /// The deny.
    pub document: Document,
    /// Its size, as AWS counts it.
    pub characters: usize,
    /// The plan's digest, to which an approval is bound.
    pub digest: String,
    /// Why it may not be carried out; empty if it may.
    pub refusals: Vec<String>,
    /// Full sentences.
    pub warnings: Vec<String>,
    /// Full sentences.
    pub not_covered: Vec<String>,
}

/// One change.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StepReport {
    /// What it does, for people.
    pub does: String,
    /// What undoes it.
    pub undone_by: &'static str,
    /// Whether it is so already.
    pub already: bool,
}

/// How far an incident is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// The policy exists and is attached nowhere.
    NotAttached,
    /// Attached, and not proven.
    Accepted,
    /// Attached, and the suspect still gets through somewhere.
    GettingThrough,
    /// Refused everywhere we looked.
    Proven,
    /// The deny is gone.
    Released,
}

/// The end of `quell contain`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ContainReport {
    /// `quell.contain/1`.
    pub schema: &'static str,
    /// The host that answered, when it is not AWS.
    pub practice: Option<String>,
    /// The incident.
    pub incident: IncidentId,
    /// Whom it denies.
    pub principal: Username,
    /// The policy.
    pub policy_id: PolicyId,
    /// Where it is attached.
    pub target: TargetId,
    /// How far it is.
    pub state: Stage,
    /// From approval to AWS having accepted the deny.
    pub accepted_ms: i64,
    /// From approval to the proof; `null` if not proven.
    pub proven_ms: Option<i64>,
    /// Account by account.
    pub accounts: Vec<AccountReport>,
    /// The management account, if the principal can enter it: NOT CONTAINED THERE.
    pub not_contained_in: Option<AccountId>,
    /// Member accounts that the principal can enter and that are not under the target.
    pub outside_target: Vec<AccountId>,
    /// Full sentences.
    pub not_covered: Vec<String>,
    /// What only people can do.
    pub by_hand: Vec<ByHand>,
    /// Before this a release is refused; `null` until proven.
    pub release_not_before: Option<Timestamp>,
    /// Set when what was shown could not be written on the policy: without it no release clock runs.
    pub proof_not_recorded: bool,
}

/// One account's part.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AccountReport {
    /// The account.
    pub id: AccountId,
    /// `refused_by_us`, `not_settled`, `allowed`, `refused_by_other`, `control_refused` or `could_not_ask`.
    pub verdict: &'static str,
    /// The same for people.
    pub says: &'static str,
    /// The canary role that was used.
    pub role: Option<RoleName>,
    /// From the first question to the first refusal that no allowed call followed.
    pub first_refusal_ms: Option<i64>,
    /// From the first question to the last call that was allowed.
    pub last_allowed_ms: Option<i64>,
    /// Why it could not be asked, or what else refused.
    pub detail: Option<String>,
}

/// The end of `quell verify`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct VerifyReport {
    /// `quell.verify/1`.
    pub schema: &'static str,
    /// The host that answered, when it is not AWS.
    pub practice: Option<String>,
    /// The incident.
    pub incident: IncidentId,
    /// How far it is.
    pub state: Stage,
    /// False when only some of the accounts were looked at.
    pub complete: bool,
    /// Account by account.
    pub accounts: Vec<AccountReport>,
    /// The management account is in reach, and not contained.
    pub reaches_management: bool,
    /// Before this a release is refused; `null` until proven.
    pub release_not_before: Option<Timestamp>,
    /// Set when the proof could not be written on the policy.
    pub proof_not_recorded: bool,
}

/// Of `quell status`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StatusReport {
    /// `quell.status/1`.
    pub schema: &'static str,
    /// The host that answered, when it is not AWS.
    pub practice: Option<String>,
    /// Every incident that AWS remembers, or the one that was asked for.
    pub incidents: Vec<IncidentReport>,
}

/// One incident, as AWS remembers it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct IncidentReport {
    /// The incident.
    pub incident: IncidentId,
    /// Whom it denies.
    pub principal: Option<Username>,
    /// Who contained.
    pub operator: Option<String>,
    /// When it began.
    pub opened: Option<Timestamp>,
    /// Its policy.
    pub policy_id: PolicyId,
    /// Where it is attached now.
    pub attached_to: Vec<TargetId>,
    /// How far it is.
    pub state: Stage,
    /// When it was proven.
    pub proven: Option<Timestamp>,
    /// Before this a release is refused.
    pub release_not_before: Option<Timestamp>,
    /// How long that is from now; zero when it is due.
    pub wait: Option<String>,
    /// Whether it can be released now.
    pub due: bool,
}

/// The end of `quell release`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ReleaseReport {
    /// `quell.release/1`.
    pub schema: &'static str,
    /// The host that answered, when it is not AWS.
    pub practice: Option<String>,
    /// Each that was released.
    pub released: Vec<ReleasedReport>,
    /// Each that was due and could not be.
    pub failed: Vec<NotReleasedReport>,
}

/// One release that did not happen.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NotReleasedReport {
    /// The incident.
    pub incident: IncidentId,
    /// Why.
    pub failure: String,
    /// The exit code that it would have had alone.
    pub exit: u8,
}

/// One release.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ReleasedReport {
    /// The incident.
    pub incident: IncidentId,
    /// Whom it denied.
    pub principal: Option<Username>,
    /// The policy, which is gone.
    pub policy_id: PolicyId,
    /// The gate that was closed and overridden.
    pub forced_past: Option<Closed>,
    /// Whether the suspect's canary and the control are allowed again everywhere we looked.
    pub allowed_again: bool,
    /// Account by account.
    pub accounts: Vec<AccountReport>,
}

/// The end of `quell drill`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DrillReport {
    /// `quell.drill/1`.
    pub schema: &'static str,
    /// `pass` or `fail`.
    pub verdict: &'static str,
    /// The incident.
    pub incident: IncidentId,
    /// Whom it was about.
    pub principal: Username,
    /// The seed that the organization was drawn from.
    pub seed: u64,
    /// From approval to AWS having accepted the deny, on the virtual clock.
    pub accepted_ms: i64,
    /// From approval to the proof, on the virtual clock; `null` if it was never proven.
    pub proven_ms: Option<i64>,
    /// From the proof to the release, on the virtual clock.
    pub denied_for_ms: Option<i64>,
    /// What the attacker's calls came to, as seen from inside the range.
    pub attacker: AttackerReport,
    /// Calls of everybody else that were refused, as seen from inside the range.
    pub bystanders_refused: usize,
    /// Calls of everybody else that were answered.
    pub bystanders_allowed: usize,
    /// Policies that were not there before.
    pub policies_left: usize,
    /// Why it failed, full sentences; empty for a pass.
    pub faults: Vec<String>,
}

/// What the attacker's calls came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct AttackerReport {
    /// Sessions they hold.
    pub sessions: usize,
    /// Answered before the deny was proven.
    pub allowed_before: usize,
    /// Answered after it was proven, also after it was taken away. Must be 0.
    pub allowed_after_proven: usize,
    /// Refused by policy.
    pub refused: usize,
    /// Made with a session that was over.
    pub expired: usize,
}

impl PlanReport {
    /// Of what was prepared.
    pub fn of(prepared: &Prepared, practice: Option<String>) -> Self {
        let Prepared {
            facts,
            plan,
            preflight,
        } = prepared;
        let name = plan.incident.id.policy_name();
        let steps = plan.steps.iter().map(|step| StepReport {
            does: match step {
                crate::plan::Step::CreatePolicy { .. } => format!("create the policy {name}"),
                crate::plan::Step::AttachPolicy { target, .. } => format!("attach it to {target}"),
            },
            undone_by: match step.inverse() {
                crate::plan::StepName::DetachPolicy => "detach it",
                crate::plan::StepName::DeletePolicy
                | crate::plan::StepName::CreatePolicy
                | crate::plan::StepName::AttachPolicy
                | crate::plan::StepName::RecordProof => "delete it",
            },
            already: step.already(),
        });
        Self {
            schema: "quell.plan/1",
            practice,
            incident: plan.incident.id.clone(),
            principal: plan.principal.username.clone(),
            user_id: plan.principal.user_id.clone(),
            session_names: plan.principal.session_names.clone(),
            reach: plan.principal.reach.clone(),
            longest_session: plan.principal.session.because.clone(),
            target: plan.target.clone(),
            organization: facts.organization.id.clone(),
            operator: facts.caller.arn.clone(),
            steps: steps.collect(),
            document: plan.document.clone(),
            characters: plan.document.characters(),
            digest: plan.digest().short().to_owned(),
            refusals: preflight.refusals.iter().map(ToString::to_string).collect(),
            warnings: preflight.warnings.clone(),
            not_covered: preflight.not_covered.clone(),
        }
    }
}

impl ContainReport {
    /// Of a containment that AWS accepted and the canaries were asked about.
    pub fn of(
        prepared: &Prepared,
        incident: &Incident,
        playbook: &Playbook,
        approved_at: Timestamp,
        accepted: &Accepted,
        proved: &Proved,
        practice: Option<String>,
    ) -> Self {
        let proof = &proved.proof;
        let proven = proof.overall == Overall::Shown;
        Self {
            schema: "quell.contain/1",
            practice,
            incident: incident.id.clone(),
            principal: prepared.plan.principal.username.clone(),
            policy_id: accepted.policy.id.clone(),
            target: prepared.plan.target.clone(),
            state: stage(proof),
            accepted_ms: millis(accepted.at.duration_since(approved_at)),
            proven_ms: proven.then(|| millis(proof.ended.duration_since(approved_at))),
            accounts: accounts(proof),
            not_contained_in: incident
                .reaches_management
                .then(|| prepared.facts.organization.management.clone()),
            outside_target: preflight::outside(&prepared.facts, &prepared.plan),
            not_covered: prepared.preflight.not_covered.clone(),
            by_hand: playbook.by_hand.clone(),
            release_not_before: incident.release_not_before(),
            proof_not_recorded: !proved.recorded,
        }
    }
}

impl VerifyReport {
    /// Of a proof of everywhere.
    pub fn of(incident: &Incident, proved: &Proved, practice: Option<String>) -> Self {
        Self {
            schema: "quell.verify/1",
            practice,
            incident: incident.id.clone(),
            state: stage(&proved.proof),
            complete: true,
            accounts: accounts(&proved.proof),
            reaches_management: incident.reaches_management,
            release_not_before: incident.release_not_before(),
            proof_not_recorded: !proved.recorded,
        }
    }

    /// Of a look at some accounts, which by itself proves nothing of the others.
    pub fn of_some(incident: &Incident, proof: &Proof, practice: Option<String>) -> Self {
        let state = match (stage(proof), incident.proven) {
            (Stage::Proven, None) => Stage::Accepted,
            (stage, _) => stage,
        };
        let proved = Proved {
            proof: proof.clone(),
            recorded: true,
        };
        Self {
            state,
            complete: false,
            ..Self::of(incident, &proved, practice)
        }
    }
}

impl IncidentReport {
    /// Of what AWS remembers, with where the policy is attached.
    pub fn of(
        incident: Incident,
        policy_id: PolicyId,
        attached_to: Vec<TargetId>,
        now: Timestamp,
    ) -> Self {
        let release_not_before = incident.release_not_before();
        let wait =
            release_not_before.map(|until| until.duration_since(now).max(SignedDuration::ZERO));
        // Attached to something else than where it belongs is not attached: the proof was made with it there.
        let attached = match &incident.target {
            Some(target) => attached_to.contains(target),
            None => !attached_to.is_empty(),
        };
        let state = match (attached, incident.proven) {
            (false, _) => Stage::NotAttached,
            (true, None) => Stage::Accepted,
            (true, Some(_)) => Stage::Proven,
        };
        Self {
            due: wait.is_some_and(|wait| wait.is_zero()),
            wait: wait.map(human::duration),
            incident: incident.id,
            principal: incident.principal,
            operator: incident.operator,
            opened: incident.opened,
            policy_id,
            attached_to,
            state,
            proven: incident.proven,
            release_not_before,
        }
    }
}

/// How far an incident is that was looked at just now.
fn stage(proof: &Proof) -> Stage {
    match proof.overall {
        Overall::Shown => Stage::Proven,
        Overall::Opposite => Stage::GettingThrough,
        Overall::Open => Stage::Accepted,
    }
}

/// A proof, account by account.
pub fn accounts(proof: &Proof) -> Vec<AccountReport> {
    let since =
        |moment: Option<Timestamp>| moment.map(|moment| millis(moment.duration_since(proof.began)));
    let one = |account: &AccountProof| AccountReport {
        id: account.id.clone(),
        verdict: account.verdict.word(),
        says: account.verdict.says(),
        role: account.role.clone(),
        first_refusal_ms: since(account.first_refusal),
        last_allowed_ms: since(account.last_allowed),
        detail: account.detail.clone(),
    };
    proof.accounts.iter().map(one).collect()
}

/// Whole milliseconds.
pub fn millis(duration: SignedDuration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// A report as one JSON object on one line.
pub fn json(report: &impl Serialize) -> String {
    // Our own types have string keys only, which is all that could fail.
    serde_json::to_string(&serde_json::to_value(report).unwrap_or(Value::Null)).unwrap_or_default()
}
