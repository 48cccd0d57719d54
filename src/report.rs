//! What is told: one value for each verb's result, ready to be shown to a person or written as JSON.
//!
//! Pure. Each value names its schema (`quell.contain/1`): fields may be added to a schema, and are never taken away or
//! given another meaning without a new number. [`human`] renders them for a terminal; JSON is the value itself.

pub mod access;

pub mod audit;

pub mod check;

pub mod guardrail;

pub mod human;

pub mod next;

pub mod switching;

pub mod trails;

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::Value;

use crate::cloud::Ask;
use crate::facts::{ArmedPolicy, Known};
use crate::ids::*;
use crate::incident::armed::{Ledger, Standing};
use crate::incident::{Home, Incident};
use crate::journal::Past;
use crate::plan::opinion::SecondOpinion;
use crate::plan::{Plan, approval, preflight};
use crate::playbook::ByHand;
use crate::policy::document::Document;
use crate::principal::IamPrincipal;
use crate::principal::exact::Exact;
use crate::release::Closed;
use crate::respond::memory::Remembered;
use crate::respond::{Accepted, Prepared, Proved};
use crate::verify::{AccountProof, Overall, Proof};
use access::{EvictReport, NotHeldReport, RestoredReport, WaitReport};
use guardrail::GuardrailEnd;
use next::{NextReport, PeopleReport, PlaybookReport};

/// The plan, before anybody approves it. Of `quell plan`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PlanReport {
    /// `quell.plan/1`.
    pub schema: &'static str,
    /// The host that answers, when it is not AWS.
    pub practice: Option<String>,
    /// The incident as it would be.
    pub incident: IncidentId,
    /// What it would be run by.
    pub playbook: PlaybookReport,
    /// Whom it denies.
    pub principal: Username,
    /// Their immutable id in Identity Center, or why there is none.
    pub user_id: Known<UserId>,
    /// Account, name and id of an IAM user; `null` for everybody else.
    pub iam_user: Option<IamPrincipal>,
    /// Whoever is denied by ids alone: `null` for a person of the directory and for an IAM user.
    pub exact: Option<Exact>,
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
    /// An approval of it counts until then; `null` where no clock could say.
    pub approve_before: Option<Timestamp>,
    /// Why it may not be carried out; empty if it may.
    pub refusals: Vec<String>,
    /// Full sentences.
    pub warnings: Vec<String>,
    /// Full sentences.
    pub not_covered: Vec<String>,
    /// What IAM's policy simulator and Access Analyzer say of the deny; `null` where they were not asked.
    pub second_opinion: Option<SecondOpinion>,
}

/// The plans of several users. Of `quell plan` with more than one.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PlansReport {
    /// `quell.plans/1`.
    pub schema: &'static str,
    /// Each as it would be alone.
    pub plans: Vec<PlanReport>,
}

/// The end of `quell contain` with more than one user.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ContainsReport {
    /// `quell.contains/1`.
    pub schema: &'static str,
    /// The host that answered, when it is not AWS.
    pub practice: Option<String>,
    /// Each that AWS accepted, as it would be told alone.
    pub contained: Vec<ContainReport>,
    /// Each that was not, or not to the end.
    pub failed: Vec<NotContainedReport>,
}

/// One containment that did not come to its end.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NotContainedReport {
    /// The incident.
    pub incident: IncidentId,
    /// Whom it denies, or was to.
    pub principal: Username,
    /// Why.
    pub failure: String,
    /// The exit code that it would have had alone.
    pub exit: u8,
}

impl NotContainedReport {
    /// Of a plan and what went wrong with it.
    pub fn of(plan: &Plan, failure: &str, exit: u8) -> Self {
        Self {
            incident: plan.incident.id.clone(),
            principal: plan.principal.username.clone(),
            failure: failure.to_owned(),
            exit,
        }
    }
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
    /// The session that shows that the deny is enforced, where no canary can carry the ids that it goes by.
    pub witness: Option<SessionName>,
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
    /// What the canaries asked, and where.
    pub asked: Vec<Ask>,
    /// Account by account.
    pub accounts: Vec<AccountReport>,
    /// How long they took to refuse; `null` if none did.
    pub enforcement: Option<Enforcement>,
    /// The management account, if the principal can enter it: NOT CONTAINED THERE.
    pub not_contained_in: Option<AccountId>,
    /// Member accounts that the principal can enter and that are not under the target.
    pub outside_target: Vec<AccountId>,
    /// Full sentences.
    pub not_covered: Vec<String>,
    /// What it is run by.
    pub playbook: PlaybookReport,
    /// What to type next, in the playbook's order.
    pub next: Vec<NextReport>,
    /// What people do meanwhile.
    pub people: PeopleReport,
    /// What only people can do.
    pub by_hand: Vec<ByHand>,
    /// Before this a release is refused; `null` until proven.
    pub release_not_before: Option<Timestamp>,
    /// Set when what was shown could not be written on the policy: without it no release clock runs.
    pub proof_not_recorded: bool,
    /// What the eviction came to, of a containment with `--evict`.
    pub eviction: Option<EvictReport>,
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
    /// Whether a canary with the suspect's source identity showed the same.
    pub source_identity: bool,
    /// Why it could not be asked, or what else refused.
    pub detail: Option<String>,
}

/// How long it took until accounts refused, over those that did: from the first question on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Enforcement {
    /// Half of them had by then, in milliseconds.
    pub p50_ms: i64,
    /// 95 of a hundred had.
    pub p95_ms: i64,
    /// All of them had.
    pub max_ms: i64,
}

impl Enforcement {
    /// Of accounts; `None` if none has refused.
    pub fn of(accounts: &[AccountReport]) -> Option<Self> {
        let mut after: Vec<i64> = accounts
            .iter()
            .filter_map(|account| account.first_refusal_ms)
            .collect();
        after.sort_unstable();
        // The nearest rank: a value that was seen, never one between two.
        let rank = |percent: usize| {
            let rank = (after.len() * percent).div_ceil(100);
            after.get(rank.saturating_sub(1)).copied()
        };
        Some(Self {
            p50_ms: rank(50)?,
            p95_ms: rank(95)?,
            max_ms: rank(100)?,
        })
    }
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
    /// What the canaries asked, and where.
    pub asked: Vec<Ask>,
    /// Account by account.
    pub accounts: Vec<AccountReport>,
    /// How long they took to refuse; `null` if none did.
    pub enforcement: Option<Enforcement>,
    /// The management account is in reach, and not contained.
    pub reaches_management: bool,
    /// Before this a release is refused; `null` until proven.
    pub release_not_before: Option<Timestamp>,
    /// Set when the proof could not be written on the policy.
    pub proof_not_recorded: bool,
    /// What is not as it should be of sessions under other names, a full sentence with what to do.
    pub chained_note: Option<String>,
    /// What the principal's own calls show, where CloudTrail was asked.
    pub cloudtrail: Option<trails::CloudtrailReport>,
}

/// The end of `quell prepare arm` and `quell prepare disarm`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ArmReport {
    /// `quell.prepare/1`.
    pub schema: &'static str,
    /// The host that answered, when it is not AWS.
    pub practice: Option<String>,
    /// Whether the organization is armed now.
    pub armed: bool,
    /// The armed policy, or the one that was taken away.
    pub policy_id: Option<PolicyId>,
    /// Where it is attached.
    pub target: Option<TargetId>,
    /// Whether it was so already.
    pub already: bool,
    /// How many incidents are in it.
    pub incidents: usize,
}

/// Of `quell status`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StatusReport {
    /// `quell.status/1`.
    pub schema: &'static str,
    /// The host that answered, when it is not AWS.
    pub practice: Option<String>,
    /// The armed policy, where there is one.
    pub armed: Option<ArmedReport>,
    /// Every incident that AWS remembers, or the one that was asked for.
    pub incidents: Vec<IncidentReport>,
    /// Where this machine's journals say otherwise.
    pub disagreements: Vec<DisagreementReport>,
}

/// The armed policy.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ArmedReport {
    /// The policy.
    pub policy_id: PolicyId,
    /// What it is attached to.
    pub targets: Vec<TargetId>,
    /// How many incidents are in it.
    pub incidents: usize,
    /// Whether its document is what its tags say.
    pub agrees: bool,
}

impl ArmedReport {
    /// Of the policy as it stands. One that quell cannot read has no incidents that quell could tell of.
    pub fn of(armed: &ArmedPolicy) -> Self {
        let ledger = Ledger::read(armed);
        Self {
            policy_id: armed.summary.id.clone(),
            targets: armed.targets.clone(),
            incidents: ledger.as_ref().map_or(0, |ledger| ledger.entries().count()),
            agrees: ledger.is_ok_and(|ledger| ledger.agrees()),
        }
    }
}

/// An incident of which this machine's journal and AWS say different things.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DisagreementReport {
    /// The incident.
    pub incident: IncidentId,
    /// Whom it denies, where the journal says.
    pub principal: Option<Username>,
    /// What is said here and what there, a full sentence.
    pub says: String,
    /// What to do, a full sentence.
    pub hint: String,
}

impl DisagreementReport {
    /// Of a journal and what AWS has of its incident; `None` where they agree, and for an incident of another
    /// organization.
    pub fn of(
        past: &Past,
        organization: Option<&OrganizationId>,
        there: Option<&IncidentReport>,
    ) -> Option<Self> {
        let id = &past.incident;
        let say = |principal: Option<&Username>, says: &str, hint: String| {
            Some(Self {
                incident: id.clone(),
                principal: principal.cloned(),
                says: says.to_owned(),
                hint,
            })
        };
        let state = match &past.state {
            Ok(state) => state,
            Err(error) => {
                let hint =
                    "Leave it as it is: it is evidence. AWS remembers the incident without it.";
                return say(
                    None,
                    &format!("This machine's journal says nothing: {error}."),
                    hint.to_owned(),
                );
            }
        };
        let elsewhere = match (&state.organization, organization) {
            (Some(theirs), Some(ours)) => theirs != ours,
            // A journal that did not see the approval says nothing of what AWS must have.
            (None, _) => there.is_none(),
            (Some(_), None) => true,
        };
        if elsewhere {
            return None;
        }
        let who = state.principal.as_ref();
        match there {
            None if state.contained => say(
                who,
                "This machine contained it, and AWS has no trace of it any more: nobody is denied anything by it now.",
                format!(
                    "If somebody released it elsewhere, `quell release {id}` notes that here. If nobody did, somebody took the deny away: contain the user again."
                ),
            ),
            None if who.is_some() && !state.released => say(
                who,
                "It was approved on this machine, and AWS does not have it: nobody is denied anything by it.",
                format!(
                    "Go on with `quell contain --resume {id}`; to leave it, `quell release {id}` notes that here."
                ),
            ),
            Some(_) if state.released => say(
                who,
                "It was released on this machine, and AWS has it.",
                format!("If nobody contained the user again, `quell release {id}` takes it away."),
            ),
            // Its notes say why.
            Some(there) if !there.notes.is_empty() => None,
            Some(there) if state.contained && there.state == Stage::NotAttached => say(
                who,
                "This machine attached it, and it is not attached where it belongs: somebody has detached it.",
                if there.armed {
                    "`quell prepare arm` attaches the armed policy again.".to_owned()
                } else {
                    format!("`quell contain --resume {id}` attaches it again.")
                },
            ),
            Some(there) if state.proven && there.proven.is_none() => say(
                who,
                "It was proven on this machine, and its tags do not say so: the wait for the release has not begun.",
                format!("`quell verify {id}` proves it again and writes it down."),
            ),
            None | Some(_) => None,
        }
    }
}

/// One incident, as AWS remembers it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct IncidentReport {
    /// The incident.
    pub incident: IncidentId,
    /// Whom it denies.
    pub principal: Option<Username>,
    /// The id of an IAM user.
    pub iam_user: Option<IamUserId>,
    /// The account of an IAM user.
    pub iam_account: Option<AccountId>,
    /// Whether the ways to new sessions have to be closed before a release. Not of a role: its later sessions are let in.
    pub needs_eviction: bool,
    /// The playbook that it is run by.
    pub playbook: Option<PlaybookName>,
    /// Who contained.
    pub operator: Option<String>,
    /// When it began.
    pub opened: Option<Timestamp>,
    /// How long ago that is, for people.
    pub age: Option<String>,
    /// Whether it is in the armed policy, beside others.
    pub armed: bool,
    /// Its policy.
    pub policy_id: PolicyId,
    /// Where it is attached now.
    pub attached_to: Vec<TargetId>,
    /// How far it is.
    pub state: Stage,
    /// When it was proven.
    pub proven: Option<Timestamp>,
    /// When the last way to new sessions was closed.
    pub evicted: Option<Timestamp>,
    /// Sessions issued from then on are let through, of one whose person may work again.
    pub sessions_after: Option<Timestamp>,
    /// When the deny ends by itself, of one that does.
    pub lapses: Option<Timestamp>,
    /// Sessions under other names that the principal became, and that are to be denied, too.
    pub chained: Vec<ChainedReport>,
    /// Since when all of those are.
    pub chained_at: Option<Timestamp>,
    /// Whether they can enter the management account, and nothing refuses them there.
    pub not_contained_in_management: bool,
    /// What somebody has noted as done of the checklist.
    pub attested: BTreeSet<ItemId>,
    /// Before this a release is refused.
    pub release_not_before: Option<Timestamp>,
    /// How long that is from now; zero when it is due.
    pub wait: Option<String>,
    /// Whether it can be released now.
    pub due: bool,
    /// What is not as it should be, full sentences, each with what to do.
    pub notes: Vec<String>,
}

/// A session under another name that the principal became.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ChainedReport {
    /// Its `aws:userid`.
    pub userid: SessionUserId,
    /// Whether the document denies it.
    pub denied: bool,
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
    /// Each that AWS had no trace of any more; this machine's journal says so from now on.
    pub gone: Vec<IncidentId>,
    /// What was put back of each of those, with `--restore`.
    pub put_back: Vec<PutBackReport>,
    /// Each that was due and could not be.
    pub failed: Vec<NotReleasedReport>,
}

/// Access given back after the deny was gone already.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PutBackReport {
    /// The incident.
    pub incident: IncidentId,
    /// What was put back.
    #[serde(flatten)]
    pub restored: RestoredReport,
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
    /// The policy, which is gone; or the armed one, which stays.
    pub policy_id: PolicyId,
    /// Whether it was in the armed policy.
    pub armed: bool,
    /// The gate that was closed and overridden.
    pub forced_past: Option<Closed>,
    /// Whether the suspect's canary and the control are allowed again everywhere we looked.
    pub allowed_again: bool,
    /// How long the deny stayed, and how that came about; of one that was not forced.
    pub waited: Option<WaitReport>,
    /// Permission sets in the management account that deny them still, and why.
    pub still_held: Vec<NotHeldReport>,
    /// What became of the guardrail that the incident had attached; `null` where it had attached none.
    pub guardrail: Option<GuardrailEnd>,
    /// Why the inline deny on an IAM user is there still, if it is.
    pub user_still_denied: Option<String>,
    /// What was put back, with `--restore`.
    pub restored: Option<RestoredReport>,
    /// Whether what eviction took away stays closed.
    pub stays_closed: bool,
    /// Other incidents that deny the same person: then they are not let in again.
    pub still_denied_by: Vec<IncidentId>,
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

/// The end of `quell drill --live`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LiveDrillReport {
    /// `quell.drill-live/1`.
    pub schema: &'static str,
    /// The host that answered, when it is not AWS.
    pub practice: Option<String>,
    /// `pass` or `fail`.
    pub verdict: &'static str,
    /// The incident.
    pub incident: IncidentId,
    /// Who was denied for it.
    pub principal: Username,
    /// Where.
    pub target: TargetId,
    /// From approval to AWS having accepted the deny.
    pub accepted_ms: i64,
    /// From approval to the proof; `null` if it was never proven.
    pub proven_ms: Option<i64>,
    /// Whether they are let in again everywhere we looked.
    pub allowed_again: bool,
    /// How long each account took.
    pub accounts: Vec<AccountReport>,
}

/// What the attacker's calls came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct AttackerReport {
    /// Sessions they hold.
    pub sessions: usize,
    /// Answered before the deny was proven.
    pub allowed_before: usize,
    /// Answered after it was proven, in sessions that another step was against, until that step: under other names, in the
    /// management account.
    pub allowed_in_between: usize,
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
            playbook,
        } = prepared;
        let name = plan.incident.policy_name();
        let steps = plan.steps.iter().map(|step| StepReport {
            does: match step {
                crate::plan::Step::CreatePolicy { .. } => format!("create the policy {name}"),
                crate::plan::Step::AttachPolicy { target, .. } => format!("attach it to {target}"),
                crate::plan::Step::UpdatePolicy { .. } => format!(
                    "write the deny into the armed policy {name}, which is attached to {}",
                    plan.target
                ),
                crate::plan::Step::TagPolicy { .. } => "enter the incident in its tags".to_owned(),
            },
            undone_by: match step.inverse() {
                crate::plan::StepName::DetachPolicy => "detach it",
                crate::plan::StepName::TakeOut => "take it out",
                crate::plan::StepName::ClearTags => "take it out of them",
                crate::plan::StepName::DeletePolicy
                | crate::plan::StepName::CreatePolicy
                | crate::plan::StepName::AttachPolicy
                | crate::plan::StepName::RecordProof
                | crate::plan::StepName::RecordEviction
                | crate::plan::StepName::NarrowDeny
                | crate::plan::StepName::RecordChained
                | crate::plan::StepName::DenyChained
                | crate::plan::StepName::UpdatePolicy
                | crate::plan::StepName::TagPolicy
                | crate::plan::StepName::AlignPolicy
                | crate::plan::StepName::MarkLeaving => "delete it",
            },
            already: step.already(),
        });
        Self {
            schema: "quell.plan/1",
            practice,
            incident: plan.incident.id.clone(),
            playbook: PlaybookReport::of(playbook),
            principal: plan.principal.username.clone(),
            user_id: plan.principal.user_id.clone(),
            iam_user: plan.principal.iam_user.clone(),
            exact: plan.principal.exact.clone(),
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
            approve_before: plan.surveyed_at.checked_add(approval::GOOD_FOR).ok(),
            refusals: preflight.refusals.iter().map(ToString::to_string).collect(),
            warnings: preflight.warnings.clone(),
            not_covered: preflight.not_covered.clone(),
            second_opinion: None,
        }
    }
}

impl ContainReport {
    /// Of a containment that AWS accepted and the canaries were asked about.
    pub fn of(
        prepared: &Prepared,
        incident: &Incident,
        approved_at: Timestamp,
        accepted: &Accepted,
        proved: &Proved,
        practice: Option<String>,
    ) -> Self {
        let proof = &proved.proof;
        let proven = proof.overall == Overall::Shown;
        let playbook = &prepared.playbook.playbook;
        Self {
            schema: "quell.contain/1",
            practice,
            incident: incident.id.clone(),
            principal: prepared.plan.principal.username.clone(),
            witness: incident.has_witness().then(|| incident.id.witness_name()),
            policy_id: accepted.policy.id.clone(),
            target: prepared.plan.target.clone(),
            state: stage(proof),
            accepted_ms: millis(accepted.at.duration_since(approved_at)),
            proven_ms: proven.then(|| millis(proof.ended.duration_since(approved_at))),
            asked: proof.asked.clone(),
            enforcement: Enforcement::of(&accounts(proof)),
            accounts: accounts(proof),
            not_contained_in: incident
                .is_free_in_management()
                .then(|| prepared.facts.organization.management.clone()),
            outside_target: preflight::outside(&prepared.facts, &prepared.plan),
            not_covered: prepared.preflight.not_covered.clone(),
            by_hand: playbook.by_hand.clone(),
            next: next::steps(&prepared.playbook, incident, proven),
            people: PeopleReport::of(playbook),
            playbook: PlaybookReport::of(&prepared.playbook),
            release_not_before: incident.release_not_before(),
            proof_not_recorded: !proved.recorded,
            eviction: None,
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
            asked: proved.proof.asked.clone(),
            enforcement: Enforcement::of(&accounts(&proved.proof)),
            accounts: accounts(&proved.proof),
            reaches_management: incident.is_free_in_management(),
            release_not_before: incident.release_not_before(),
            proof_not_recorded: !proved.recorded,
            chained_note: None,
            cloudtrail: None,
        }
    }

    /// With what the document does not deny although the tags say so.
    pub fn with_undenied(
        mut self,
        incident: &Incident,
        undenied: &BTreeSet<SessionUserId>,
    ) -> Self {
        self.chained_note = unfinished(incident, undenied);
        self
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
    ///
    /// `undenied` are those whom the principal became and the document does not deny.
    pub fn of(
        known: &Remembered,
        attached_to: Vec<TargetId>,
        undenied: &BTreeSet<SessionUserId>,
        now: Timestamp,
    ) -> Self {
        let incident = known.incident.clone();
        let chained = incident.chained.iter().map(|userid| ChainedReport {
            userid: userid.clone(),
            denied: !undenied.contains(userid),
        });
        let mut notes = notes(known);
        notes.extend(unfinished(&incident, undenied));
        let release_not_before = incident.release_not_before();
        let wait =
            release_not_before.map(|until| until.duration_since(now).max(SignedDuration::ZERO));
        let state = match (known.is_in_force(&attached_to), incident.proven) {
            (false, _) => Stage::NotAttached,
            (true, None) => Stage::Accepted,
            (true, Some(_)) => Stage::Proven,
        };
        let free = incident.is_free_in_management();
        Self {
            due: wait.is_some_and(|wait| wait.is_zero()),
            wait: wait.map(human::duration),
            needs_eviction: incident.needs_eviction(),
            playbook: incident.playbook,
            incident: incident.id,
            principal: incident.principal,
            iam_user: incident.iam_user,
            iam_account: incident.iam_account,
            operator: incident.operator,
            opened: incident.opened,
            age: incident
                .opened
                .map(|opened| human::duration(now.duration_since(opened))),
            armed: incident.home == Home::Armed,
            policy_id: known.policy.id.clone(),
            notes,
            chained: chained.collect(),
            chained_at: incident.chained_at,
            attached_to,
            state,
            proven: incident.proven,
            evicted: incident.evicted,
            sessions_after: incident.sessions_after,
            lapses: incident.lapses,
            not_contained_in_management: free,
            attested: incident.attested,
            release_not_before,
        }
    }
}

/// What is not as it should be of an incident in the armed policy.
fn notes(known: &Remembered) -> Vec<String> {
    let id = &known.incident.id;
    let Some(entered) = &known.entered else {
        return Vec::new();
    };
    match (entered.standing, entered.denied, entered.tagged) {
        (Standing::Leaving, _, _) => vec![format!(
            "Its release was interrupted: `quell release {id}` goes on."
        )],
        (Standing::Released, _, _) => vec![format!(
            "It was released, and somebody has written an older document since: `quell release {id}` takes it out again."
        )],
        (Standing::Open, false, _) => vec![format!(
            "Its deny is NOT in the armed policy, although its tags are: somebody else wrote there and was interrupted. `quell contain --resume {id}` puts it back."
        )],
        (Standing::Open, true, false) => vec![format!(
            "The armed policy denies it and has no tags of it: who contained was interrupted. `quell contain --resume {id}` enters it."
        )],
        (Standing::Open, true, true) => Vec::new(),
    }
}

/// That a deny of whom somebody became was interrupted, or undone, with what to do.
fn unfinished(incident: &Incident, undenied: &BTreeSet<SessionUserId>) -> Option<String> {
    let id = &incident.id;
    let sessions: Vec<&str> = undenied.iter().map(SessionUserId::as_str).collect();
    let what = match sessions.as_slice() {
        [] if incident.is_chaining_unfinished() => {
            "Nobody has noted since when the sessions under other names are denied".to_owned()
        }
        [] => return None,
        [_, ..] => format!(
            "NOT DENIED, although its tags say so: {}",
            sessions.join(", ")
        ),
    };
    Some(format!(
        "{what}. No release counts meanwhile: `quell trace {id} --deny-chained` goes on."
    ))
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
        source_identity: account.source_identity,
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
