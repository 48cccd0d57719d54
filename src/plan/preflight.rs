//! Whether the plan may be carried out, judged before anybody is asked to approve it.
//!
//! Arrives: the facts, the plan, the playbook. Leaves: a [`Preflight`]: refusals, each with what would lift it,
//! warnings, and the list of what the deny will not cover. Pure: every proof here is our evaluator's on the very
//! document that will be attached (R3).

use std::fmt;

use jiff::{SignedDuration, Timestamp};

use crate::facts::{Facts, Known, ScpType};
use crate::ids::*;
use crate::plan::collision::{collisions, may_be_spelled};
use crate::plan::{Plan, Step};
use crate::playbook::Playbook;
use crate::policy::document::Document;
use crate::policy::evaluate::{Decision, Level, Request, Verdict, evaluate};
use crate::policy::{self, CURRENT_TIME, MOST_CHARACTERS, SessionKeys, TOKEN_ISSUE_TIME, USERID};
use crate::principal::exact::Exact;
use crate::principal::{IamPrincipal, Identity};

/// SCPs that can be attached directly to one root, unit or account since May 2026 (aws-facts §0.1). A hard limit.
pub const MOST_ATTACHED: usize = 10;

/// Credentials that live shorter than this are warned about: verifying alone may take as long.
const SHORT_CREDENTIALS: SignedDuration = SignedDuration::from_mins(20);

/// What the judgement is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preflight {
    /// Any of these forbids the plan.
    pub refusals: Vec<Refusal>,
    /// Full sentences.
    pub warnings: Vec<String>,
    /// What the deny will not cover, full sentences.
    pub not_covered: Vec<String>,
}

/// Why the plan may not be carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The organization has consolidated billing only.
    #[error(
        "the organization does not have all features enabled, so it has no service control policies"
    )]
    NoFeatures,
    /// The SCP type is off, or on its way.
    #[error("service control policies are {0} on the root")]
    ScpsOff(&'static str),
    /// No room.
    #[error(
        "{attached} service control policies are attached to {target}, and AWS allows {MOST_ATTACHED}"
    )]
    NoSlot {
        /// How many there are.
        attached: usize,
        /// Where.
        target: TargetId,
    },
    /// Too many names.
    #[error("the deny has {0} characters, and AWS allows {MOST_CHARACTERS}")]
    TooLong(usize),
    /// The target is the management account.
    #[error("the target is the management account, where no service control policy has any effect")]
    ManagementTarget,
    /// A deny that ends by itself, on the whole organization.
    #[error(
        "a deny that ends by itself lets the attacker in again when nobody looks, and the target is the root"
    )]
    LapsesOnRoot,
    /// A session of the suspect would get through.
    #[error("the deny would not refuse {0}: this is a fault in quell")]
    NotDenied(String),
    /// Somebody else would be refused.
    #[error("the deny would refuse {who} ({userid}): {by}")]
    HitsSomebodyElse {
        /// Whom, for people.
        who: Bystander,
        /// Their `aws:userid`.
        userid: String,
        /// The statement that would.
        by: String,
    },
}

/// Somebody whom the deny must spare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bystander {
    /// Whoever runs quell.
    Operator,
    /// Declared in the playbook.
    BreakGlass,
    /// The session that shows that only the suspect is refused.
    Control,
}

impl fmt::Display for Bystander {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Bystander::Operator => "you",
            Bystander::BreakGlass => "a break-glass identity",
            Bystander::Control => "the canary control",
        })
    }
}

impl Refusal {
    /// What would lift it, a full sentence.
    pub fn hint(&self) -> String {
        match self {
            Refusal::NoFeatures => "Enable all features in AWS Organizations.".to_owned(),
            Refusal::ScpsOff(_) => {
                "Enable them once, from the management account: `aws organizations enable-policy-type --root-id <root> --policy-type SERVICE_CONTROL_POLICY`.".to_owned()
            }
            Refusal::NoSlot { target, .. } => format!(
                "See what could go with `aws organizations list-policies-for-target --target-id {target} --filter SERVICE_CONTROL_POLICY`, or deny on the accounts concerned with `--target <account>`."
            ),
            Refusal::TooLong(_) => "Contain fewer names at once.".to_owned(),
            Refusal::ManagementTarget => "Attach the deny to the root, and take the user's permission sets in the management account away by hand.".to_owned(),
            Refusal::LapsesOnRoot => "For a drill, name a sandbox: `--target <unit or account>`. If you mean it on the root, say it twice: `--lapses-after <duration> --lapses-on-root`.".to_owned(),
            Refusal::NotDenied(_) => "Report it with the output of `quell policy draft`; meanwhile follow the checklist by hand.".to_owned(),
            Refusal::HitsSomebodyElse { who: Bystander::Operator, .. } => {
                "Run quell as another identity, with another session name: your own calls would be refused as the suspect's are.".to_owned()
            }
            Refusal::HitsSomebodyElse { who: Bystander::BreakGlass, .. } => "Change the break-glass identity's session name, or contain without that playbook.".to_owned(),
            Refusal::HitsSomebodyElse { who: Bystander::Control, .. } => "The suspect's name is the control's: rename the suspect's session.".to_owned(),
        }
    }
}

/// Judges a plan that will be carried out after others.
pub fn check(facts: &Facts, plan: &Plan, playbook: &Playbook, before: &[Plan]) -> Preflight {
    let mut refusals = Vec::new();
    if !facts.organization.all_features {
        refusals.push(Refusal::NoFeatures);
    }
    match facts.root.scps {
        ScpType::Enabled => {}
        ScpType::Pending => refusals.push(Refusal::ScpsOff("being switched on or off")),
        ScpType::Disabled => refusals.push(Refusal::ScpsOff("switched off")),
    }
    let takes_slot = |plan: &Plan| {
        let new = |step: &Step| matches!(step, Step::AttachPolicy { already: false, .. });
        plan.steps.iter().any(new)
    };
    let attached = facts.attached.len() + before.iter().filter(|plan| takes_slot(plan)).count();
    if takes_slot(plan) && attached >= MOST_ATTACHED {
        refusals.push(Refusal::NoSlot {
            attached,
            target: facts.target.clone(),
        });
    }
    if plan.whole.characters() > MOST_CHARACTERS {
        refusals.push(Refusal::TooLong(plan.whole.characters()));
    }
    if plan.incident.lapses.is_some() && facts.target.is_root() && !plan.lapses_on_root {
        refusals.push(Refusal::LapsesOnRoot);
    }
    if facts.target.account().as_ref() == Some(&facts.organization.management) {
        refusals.push(Refusal::ManagementTarget);
    }
    refusals.extend(proofs(facts, plan, playbook));
    Preflight {
        refusals,
        warnings: warnings(facts, plan),
        not_covered: not_covered(facts, plan),
    }
}

/// The theorem of R3 on the very document: every session of the suspect is refused, and nobody whom we must spare.
fn proofs(facts: &Facts, plan: &Plan, playbook: &Playbook) -> Vec<Refusal> {
    let theorem = Theorem {
        incident: &plan.incident.id,
        target: Some(&plan.target),
        whole: &plan.whole,
        own: &plan.document,
        operator: &facts.caller.user_id,
        at: plan.surveyed_at,
    };
    theorem.refusals(&[plan.principal.identity()], playbook)
}

/// What R3 is about: a document, and whom it must refuse and spare.
#[derive(Debug, Clone, Copy)]
pub struct Theorem<'a> {
    /// The incident.
    pub incident: &'a IncidentId,
    /// Where it is attached.
    pub target: Option<&'a TargetId>,
    /// The whole document as it will be.
    pub whole: &'a Document,
    /// The incident's part of it.
    pub own: &'a Document,
    /// The operator's `aws:userid`.
    pub operator: &'a str,
    /// At which moment.
    pub at: Timestamp,
}

impl Theorem<'_> {
    /// Where it does not hold: sessions of these identities that are not refused, and whoever is hit beside them.
    pub fn refusals(&self, identities: &[Identity], playbook: &Playbook) -> Vec<Refusal> {
        let neutral = self.incident.control_name();
        let is_let_through = |keys: &policy::SessionKeys| {
            let now = (CURRENT_TIME, self.at.to_string());
            let keys = keys.iter().cloned().chain([now]).collect();
            self.ask(self.whole, keys).decision != Decision::ExplicitDeny
        };
        let sessions = identities.iter();
        let sessions = sessions.flat_map(|identity| policy::sessions_of(identity, &neutral));
        let not_denied = sessions.filter(|(_, keys)| is_let_through(keys));
        let mut refusals: Vec<Refusal> = not_denied
            .map(|(session, _)| Refusal::NotDenied(session))
            .collect();
        let mut must_spare = |who: Bystander, userid: String| {
            // By this deny: whom another incident of the armed policy denies is not this one's doing.
            let verdict = self.ask(self.own, spared(userid.clone(), self.at));
            if verdict.decision != Decision::Allow {
                refusals.push(Refusal::HitsSomebodyElse {
                    who,
                    userid,
                    by: verdict.because,
                });
            }
        };
        must_spare(Bystander::Operator, self.operator.to_owned());
        for userid in &playbook.break_glass {
            must_spare(Bystander::BreakGlass, userid.clone());
        }
        let control = format!("AROAQUELLPREFLIGHT000:{neutral}");
        must_spare(Bystander::Control, control);
        refusals
    }

    fn ask(&self, document: &Document, keys: Vec<(&str, String)>) -> Verdict {
        let full = Document::allow_all();
        let name = self.incident.policy_name();
        let levels = [Level {
            name: self.target.map(TargetId::to_string).unwrap_or_default(),
            policies: vec![("FullAWSAccess", &full), (&name, document)],
        }];
        evaluate(&Request::new("iam:ListAccountAliases", "*", keys), &levels)
    }
}

/// The keys of a session of now, which every bound of a deny is about, of whoever is to be spared.
pub fn spared(userid: String, now: Timestamp) -> SessionKeys {
    vec![
        (USERID, userid),
        (CURRENT_TIME, now.to_string()),
        (TOKEN_ISSUE_TIME, now.to_string()),
    ]
}

fn warnings(facts: &Facts, plan: &Plan) -> Vec<String> {
    let mut warnings = Vec::new();
    if let Some(why) = &plan.cold_because {
        warnings.push(format!(
            "The armed policy is not used: {why}. The deny gets a policy of its own, which takes one more call and one of the {MOST_ATTACHED} places."
        ));
    }
    if let Some(exact) = &plan.principal.exact {
        warnings.extend(warnings_of_exact(facts, plan, exact));
    }
    if plan.principal.exact.is_some() && plan.principal.reach_unknown.is_some() {
        warnings.push(format!(
            "Whether this reaches them is unknown: the signal does not say in which account they act, and in the management account {} no service control policy applies.",
            facts.organization.management
        ));
    }
    if let Some(Known::Unknown(why)) = &facts.is_member {
        warnings.push(format!("Whether the signal's account is one of this organization's is unknown ({why}): no policy of yours applies in another."));
    }
    if !plan.others.is_empty() {
        let others: Vec<&str> = plan.others.iter().map(IncidentId::as_str).collect();
        warnings.push(format!(
            "The same user is denied by {} already: releasing one of them does not let the user in.",
            others.join(", ")
        ));
    }
    if let Some(moment) = plan.incident.lapses {
        warnings.push(format!("The deny ENDS BY ITSELF at {moment}, whether or not anybody looks: it is for a drill, and no containment."));
    }
    if plan.principal.reaches_management {
        warnings.push(format!(
            "NOT CONTAINED in the management account {}: the user can enter it, and no service control policy applies there. `quell evict {} --management` refuses them there.",
            facts.organization.management, plan.incident.id
        ));
    }
    if let Some(why) = &plan.principal.unspellable {
        warnings.push(format!(
            "The username cannot be a session name ({why}), and AWS does not document what it makes of one: the user id carries the deny, and canaries cannot show it."
        ));
    }
    if let Some(user) = &plan.principal.iam_user
        && let Known::Unknown(why) = &user.id
        && plan.incident.iam_user.is_none()
    {
        warnings.push(format!(
            "The id of the IAM user is unknown ({why}), and their keys are named by nothing else: sessions named {} are refused, and NOT their access keys and GetSessionToken sessions. `quell evict {}` must follow at once, or contain by a finding, which has the id.",
            user.name, plan.incident.id
        ));
    }
    if let Some(why) = &plan.principal.reach_unknown {
        warnings.push(format!("What the user can enter is unknown ({why}): only the accounts that are listed will be looked at, and the release waits for the longest session there is."));
    }
    if let Known::Unknown(why) = &plan.principal.user_id
        && plan.principal.is_person()
    {
        warnings.push(format!(
            "There is no user id to deny ({why}): the session name carries the deny."
        ));
    }
    let own = plan.principal.user_id.known();
    let users = &facts.directory.users.users;
    let (_, own_session) = facts.caller.user_id.rsplit_once(':').unwrap_or_default();
    if plan.principal.unspellable.is_some()
        && SessionName::parse(own_session)
            .is_ok_and(|name| may_be_spelled(&plan.principal.username, &name))
    {
        warnings.push(format!("You may be the user whom this denies: your session is named {own_session}. If so, every call of yours will be refused."));
    }
    let collisions = collisions(&plan.principal.session_names, own, users);
    warnings.extend(collisions.iter().map(ToString::to_string));
    if let Some(left) = facts
        .caller
        .expires
        .map(|expires| expires.duration_since(facts.asked_at))
        && left < SHORT_CREDENTIALS
    {
        warnings.push(format!(
            "Your own credentials end in {left:#}: renew them before you go on."
        ));
    }
    warnings
}

/// What is to be known of whoever is denied by ids alone.
fn warnings_of_exact(facts: &Facts, plan: &Plan, exact: &Exact) -> Vec<String> {
    let mut warnings = Vec::new();
    if let Some(workload) = &exact.workload {
        warnings.push(format!(
            "This STOPS A WORKLOAD: {} acts in it, and everything it asks of AWS is refused until the release.",
            workload.says()
        ));
    }
    let is_of_role = matches!(
        exact.identity,
        Identity::RoleSession { .. } | Identity::RoleBefore { .. }
    );
    match &facts.role {
        Some(Known::Unknown(why)) if exact.workload.is_none() => warnings.push(format!(
            "Whether a workload uses the role is unknown, because the role cannot be read ({why}): if one does, it stops."
        )),
        None if is_of_role && exact.workload.is_none() => warnings.push(
            "Whether a workload uses the role is unknown, because the signal does not say where the role is: if one does, it stops.".to_owned(),
        ),
        Some(_) | None => {}
    }
    match &exact.identity {
        Identity::RoleSession { session, .. } => {
            let users = facts.directory.users.users.iter();
            let namesakes = users.filter(|user| may_be_spelled(&user.username, session));
            warnings.extend(namesakes.map(|user| format!(
                "The directory has a user {} ({}): if account access manager lets them into this role, the session is theirs. Contain them, too: `quell contain {}`.",
                user.username, user.id, user.id
            )));
        }
        Identity::RoleBefore { before, .. } if *before < plan.surveyed_at => warnings.push(format!(
            "Sessions that were given out since {before} are let through, because this incident was begun then. Contain the role again when it is proven."
        )),
        Identity::RoleBefore { .. }
        | Identity::Root { .. }
        | Identity::FederatedUser(_)
        | Identity::IdentityCenterUser { .. }
        | Identity::IamUser { .. } => {}
    }
    warnings
}

/// The member accounts that the principal can enter and that the deny will not cover.
pub fn outside(facts: &Facts, plan: &Plan) -> Vec<AccountId> {
    let covered = |account: &AccountId| {
        facts
            .under_target
            .as_ref()
            .is_none_or(|under| under.contains(account))
    };
    let reach = plan.principal.reach.iter();
    reach
        .filter(|account| !covered(account) && **account != facts.organization.management)
        .cloned()
        .collect()
}

/// What the deny does not cover, with the reason (aws-facts §2, §5, §10).
fn not_covered(facts: &Facts, plan: &Plan) -> Vec<String> {
    match (&plan.principal.exact, &plan.principal.iam_user) {
        (Some(exact), _) => not_covered_of_exact(facts, plan, exact),
        (None, Some(user)) => not_covered_of_iam_user(facts, plan, user),
        (None, None) => not_covered_of_person(facts, plan),
    }
}

/// Of whoever is denied by ids alone (aws-facts §10, §12).
fn not_covered_of_exact(facts: &Facts, plan: &Plan, exact: &Exact) -> Vec<String> {
    let incident = &plan.incident.id;
    let mut list = vec![format!(
        "Management account {}: no service control policy applies there.",
        facts.organization.management
    )];
    if let [account, ..] = outside(facts, plan).as_slice() {
        list.push(format!(
            "Account {account}, in which they act: it is outside the target {}.",
            facts.target
        ));
    }
    if plan.principal.reach_unknown.is_some() {
        list.push("The account in which they act, which the signal does not say: the deny covers it where it is under the target, and no canary looks there. `quell verify --all-accounts` looks everywhere.".to_owned());
    }
    match &exact.identity {
        Identity::RoleSession { session, .. } => {
            list.push(format!("New sessions of the role under another name: whoever was given this one can ask for another until somebody closes that. `quell evict {incident}` says what to close."));
            list.push(format!("Others who name their session of this role {session}: they are refused, too. Programs that do not choose a name of their own often have the same."));
            list.push(format!("Sessions that it chained into before now, which have other ids: `quell trace {incident}` looks for them."));
        }
        Identity::RoleBefore { before, .. } => {
            list.push(format!("Sessions of the role that are given out after {before}: they are let through, whoever asks for them. Its trust policy says who may."));
            list.push("Sessions that its sessions chained into before now: they have other ids.".to_owned());
        }
        Identity::Root { .. } => {
            list.push(format!("The root user's password and keys: they work, and everything they are used for is refused while the deny is attached. `quell evict {incident}` says how to take them away."));
            list.push("Centralized root sessions (sts:AssumeRoot): they are spared, because the account is recovered with them.".to_owned());
        }
        Identity::FederatedUser(_) => list.push("The IAM user who vouched for them (sts:GetFederationToken): their keys, and whomever else they vouch for. Contain that user, too: `quell contain arn:aws:iam::<account>:user/<name>`.".to_owned()),
        Identity::IdentityCenterUser { .. } | Identity::IamUser { .. } => {}
    }
    list.extend([IN_OTHER_SERVICES, LEFT_BEHIND, NO_SCP].map(str::to_owned));
    list.push(format!("Proof of the statement about the ids: no canary can carry them. What is proven is that the policy is enforced: its witness, a session named {}, is refused by it.", incident.witness_name()));
    list
}

/// Of an IAM user (aws-facts §10, §12).
fn not_covered_of_iam_user(facts: &Facts, plan: &Plan, user: &IamPrincipal) -> Vec<String> {
    let (IamPrincipal { account, name, id }, incident) = (user, &plan.incident.id);
    let mut list = vec![format!(
        "Management account {}: no service control policy applies there.",
        facts.organization.management
    )];
    if !outside(facts, plan).is_empty() {
        list.push(format!(
            "Account {account}, which they are in: it is outside the target {}.",
            facts.target
        ));
    }
    list.push(format!(
        "Sessions that they federate under another name than {name}: they have an aws:userid of their own, and are bound by the user's own policies alone. The inline deny of `quell evict {incident}` refuses them."
    ));
    list.push(format!(
        "Roles that they have assumed before now, under another session name than {name} and without a source identity: which roles they may assume, here and in other accounts, was not looked for."
    ));
    list.push(format!(
        "Their keys and their password: they work until `quell evict {incident}`, and are refused everything while the deny is attached. Signing certificates, SSH keys and service credentials are refused likewise, and left as they are."
    ));
    list.push(IN_OTHER_SERVICES.to_owned());
    if !plan.principal.session_names.is_empty() {
        list.push(format!(
            "Others called {name}: any role session of that name is refused too, in any account: a person of Identity Center, a function, a pipeline. {}; functions and pipelines were not.",
            compared(facts)
        ));
    }
    list.extend([LEFT_BEHIND.to_owned(), NO_SCP.to_owned()]);
    list.push(match id {
        Known::Known(_) if plan.principal.session_names.is_empty() => "Proof: a canary cannot carry the user's id, which is all that this deny goes by. It can be attached, and not proven.".to_owned(),
        Known::Known(_) => "Proof of the statement about the user's id: no canary can carry it. The session name's statement, in the same policy, is proven alone.".to_owned(),
        Known::Unknown(_) => "Proof that their keys are refused: the deny does not name the user's id, which is unknown.".to_owned(),
    });
    list
}

const IN_OTHER_SERVICES: &str = "Other services and Regions than those that canaries ask (IAM, unless `--probe` or the playbook names others): AWS gives no time within which every service follows.";

const LEFT_BEHIND: &str = "What was left behind: users, keys, roles, functions and instances that the attacker created act under their own names.";

const NO_SCP: &str = "Service-linked roles, and principals of other organizations that your resource policies let in: no SCP reaches them.";

/// Whether everybody of the directory was compared with the names.
fn compared(facts: &Facts) -> String {
    match &facts.directory.users.cut {
        None => "The directory's users were compared".to_owned(),
        Some(why) => format!("Not all of the directory's users were compared ({why})"),
    }
}

fn not_covered_of_person(facts: &Facts, plan: &Plan) -> Vec<String> {
    let mut list = Vec::new();
    let management = &facts.organization.management;
    list.push(match (plan.principal.reaches_management, &plan.principal.reach_unknown) {
        (true, _) => format!("Management account {management}: the user can enter it, and no service control policy applies there. NOT CONTAINED THERE."),
        (false, Some(_)) => format!("Management account {management}: no service control policy applies there, and whether the user can enter it is unknown."),
        (false, None) => format!("Management account {management}: no service control policy applies there. No permission set of the user's was seen there; a session from an earlier assignment would live on."),
    });
    let outside = outside(facts, plan);
    if !outside.is_empty() {
        let outside: Vec<&str> = outside.iter().map(AccountId::as_str).collect();
        list.push(format!(
            "Outside the target {}: the user can also enter {}.",
            facts.target,
            outside.join(", ")
        ));
    }
    if plan.principal.reach_unknown.is_some() {
        list.push("Accounts that nobody could be asked about: the deny covers them, and no canary looks at them.".to_owned());
    }
    match &facts.directory.entitlements {
        Known::Known(entitled) if entitled.is_empty() => {}
        Known::Known(_) => list.push("Names of sessions in roles of account access manager: whoever asks for one may name it. The user id's statement refuses them all the same, and no canary can show that.".to_owned()),
        Known::Unknown(why) => list.push(format!("Roles given through account access manager, which could not be read ({why}): the deny covers their sessions, and no canary looks at their accounts.")),
    }
    list.push(IN_OTHER_SERVICES.to_owned());
    list.push(format!("New sessions: the user can still mint them until `quell evict {}`; they are refused while the deny is attached.", plan.incident.id));
    list.push("Sessions chained into other roles before now, under another name and without the user's source identity.".to_owned());
    if facts.caller.user_id.contains(':') {
        list.push("Yourself, beyond your session's name: AWS does not tell whether it carries the user's id or source identity. If you are that user or came through a session of theirs, contain as somebody else.".to_owned());
    }
    if let Some(name) = plan.principal.session_names.first() {
        let compared = compared(facts);
        list.push(format!("Others called {name}: any role session of that name is refused too, in any account: an IAM user who switches roles, a function, a pipeline. {compared}; those were not."));
    }
    list.extend([LEFT_BEHIND.to_owned(), NO_SCP.to_owned()]);
    match (&plan.principal.user_id, plan.principal.session_names.is_empty()) {
        (Known::Known(_), false) => list.push("Proof of the UserId statement, because a canary cannot carry the user's id; and of the SourceIdentity statement where the canary role's trust policy does not allow sts:SetSourceIdentity (AWS's own OrganizationAccountAccessRole does not).".to_owned()),
        (Known::Known(_), true) => list.push("Proof: a canary cannot carry the user's id, which is all that this deny goes by. It can be attached, and not proven.".to_owned()),
        (Known::Unknown(_), _) => list.push("Proof of the SourceIdentity statement where the canary role's trust policy does not allow sts:SetSourceIdentity (AWS's own OrganizationAccountAccessRole does not).".to_owned()),
    }
    list
}
