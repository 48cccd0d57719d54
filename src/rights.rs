//! The rights that quell needs: one list, from which the README, `quell prepare rights` and `quell prepare check` take
//! what they say.
//!
//! Arrives: nothing. Leaves: [`RIGHTS`] of whoever runs quell and [`CANARY`], [`CANARY_IAM_USERS`] of the role that it
//! enters member accounts with; policy documents that grant them ([`policy`]), the CloudFormation template of the role
//! ([`template`]), and the README's table ([`table`]). Pure. On what a right can be limited is the Service Authorization
//! Reference's word, and `tests/oracle/run` asks two linters that have read it.

pub mod template;

use std::collections::BTreeMap;

use crate::cloud::Probe;
use crate::ids::*;
use crate::policy::document::{Document, Effect, Statement, Words};

/// What a right is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Task {
    /// `plan`, `status`, and what every other verb asks first.
    Plan,
    /// To find names in common.
    Names,
    /// To know what account access manager gives.
    AccessManager,
    /// `--target ou-…`, and the sample of `prepare check`.
    Units,
    /// `--finding`, and what is recent.
    Findings,
    /// `plan --second-opinion`.
    Opinion,
    /// Access key ids.
    Keys,
    /// TEAM's requests.
    Team,
    /// To send canaries.
    Verify,
    /// `--all-accounts`.
    Everywhere,
    /// `verify --cloudtrail` and `trace`.
    Evidence,
    /// `prepare check` alone.
    Check,
    /// `audit`, in our own account.
    Audit,
    /// `contain`, `prepare arm`, and the notes of later verbs on the policy.
    Contain,
    /// `trace --deny-chained`: rights of other tasks, once more.
    DenyChained,
    /// `release`, `prepare disarm`.
    Release,
    /// `evict`.
    Evict,
    /// `release --restore`, `readmit --restore`.
    GiveBack,
    /// `evict --management`.
    Management,
    /// `evict --delete-user`.
    DeleteUser,
    /// `evict --revoke-team`.
    RevokeTeam,
}

impl Task {
    /// Every task, in the order of an incident.
    pub const ALL: [Task; 21] = [
        Task::Plan,
        Task::Names,
        Task::AccessManager,
        Task::Units,
        Task::Findings,
        Task::Opinion,
        Task::Keys,
        Task::Team,
        Task::Verify,
        Task::Everywhere,
        Task::Evidence,
        Task::Check,
        Task::Audit,
        Task::Contain,
        Task::DenyChained,
        Task::Release,
        Task::Evict,
        Task::GiveBack,
        Task::Management,
        Task::DeleteUser,
        Task::RevokeTeam,
    ];

    /// In which of the two policies it is.
    pub fn half(self) -> Half {
        match self {
            Task::Plan
            | Task::Names
            | Task::AccessManager
            | Task::Units
            | Task::Findings
            | Task::Opinion
            | Task::Keys
            | Task::Team
            | Task::Verify
            | Task::Everywhere
            | Task::Evidence
            | Task::Check
            | Task::Audit => Half::Read,
            Task::Contain
            | Task::DenyChained
            | Task::Release
            | Task::Evict
            | Task::GiveBack
            | Task::Management
            | Task::DeleteUser
            | Task::RevokeTeam => Half::Act,
        }
    }

    /// Whether a person cannot be cut off, or can come back, for whoever lacks it. Without any other, quell does less, or
    /// somebody else does it.
    pub fn is_vital(self) -> bool {
        match self {
            Task::Plan | Task::Verify | Task::Contain | Task::Evict => true,
            Task::Names
            | Task::AccessManager
            | Task::Units
            | Task::Findings
            | Task::Opinion
            | Task::Keys
            | Task::Team
            | Task::Everywhere
            | Task::Evidence
            | Task::Check
            | Task::DenyChained
            | Task::Audit
            | Task::Release
            | Task::GiveBack
            | Task::Management
            | Task::DeleteUser
            | Task::RevokeTeam => false,
        }
    }

    /// What it is for, for people, in Markdown.
    pub fn says(self) -> &'static str {
        match self {
            Task::Plan => "`plan`, `status`, and what every verb asks first",
            Task::Names => {
                "to find names in common; without it, that is said and nothing else changes"
            }
            Task::AccessManager => {
                "to know what account access manager gives; without it the wait is 12 hours, and somebody answers for the rest"
            }
            Task::Units => "`--target ou-…`; the sample of `prepare check`",
            Task::Findings => {
                "`--finding`; `contain` without an argument, which lists what is recent"
            }
            Task::Opinion => "`plan --second-opinion`; without it, that is said",
            Task::Keys => {
                "access key ids: whose account they are of, beside `cloudtrail:LookupEvents` below"
            }
            Task::Team => "TEAM's open requests; without it, that is said",
            Task::Verify => {
                "canaries: on the canary role in each member account; `evict` of an IAM user"
            }
            Task::Everywhere => "`--all-accounts`",
            Task::Evidence => {
                "`verify --cloudtrail`, `trace`, new sign-ins before a `release`: in your own account; in the others the canary role needs it"
            }
            Task::Check => "`prepare check`; names of groups in `evict`",
            Task::Audit => {
                "`audit`, and GetAccountAuthorizationDetails for `trace --may-assume`: in your own account; in the others the canary role needs them (`prepare canary-template --with-audit`)"
            }
            Task::Contain => {
                "`contain`, `guardrail attach`, `prepare arm`; to write the proof and the eviction on the policy"
            }
            Task::Release => {
                "`release`, `guardrail remove`, `prepare disarm`; better somebody else's right"
            }
            Task::DenyChained => {
                "`trace --deny-chained`; UntagResource where the policy's tags are full"
            }
            Task::Evict => "`evict`",
            Task::GiveBack => "`release --restore`, `readmit --restore`",
            Task::Management => {
                "`evict --management`, from the management account; those of `iam` for Identity Center, which asks in your name"
            }
            Task::DeleteUser => "`evict --delete-user`",
            Task::RevokeTeam => "`evict --revoke-team`",
        }
    }
}

/// Half of the rights: whoever looks does not need the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Half {
    /// To plan, see, verify and check.
    Read,
    /// To contain, evict and release, beside reading.
    Act,
}

impl Half {
    /// Its name in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Half::Read => "read",
            Half::Act => "act",
        }
    }
}

/// What a right can be limited to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum On {
    /// Nothing: AWS takes `*` alone.
    Everything,
    /// Service control policies.
    Policies,
    /// Service control policies and what they are attached to; AWS wants both.
    PoliciesAndTargets,
    /// What policies are attached to.
    Targets,
    /// The organization's accounts.
    Members,
    /// The root and organizational units.
    Parents,
    /// The Identity Center instance.
    Instance,
    /// The instance and its permission sets.
    PermissionSets,
    /// The instance and accounts.
    Accounts,
    /// The instance, its permission sets, and accounts.
    Assignments,
    /// The identity store and its users.
    Users,
    /// The identity store and its groups.
    Groups,
    /// The identity store, its users, groups and memberships.
    Memberships,
    /// Account access manager's applications.
    Applications,
    /// Trails.
    Trails,
    /// GuardDuty's detectors.
    Detectors,
    /// TEAM's tables and their indexes.
    TeamTables,
    /// The canary role in every account.
    CanaryRole,
    /// Roles and users: whoever runs quell is one of them.
    Identities,
    /// The roles of permission sets.
    ReservedRoles,
}

/// One right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Right {
    /// As policies write it: `organizations:AttachPolicy`.
    pub action: &'static str,
    /// To what it can be limited.
    pub on: On,
    /// What it is first needed for.
    pub task: Task,
}

const fn right(action: &'static str, on: On, task: Task) -> Right {
    Right { action, on, task }
}

/// What `trace --deny-chained` takes.
const DENY_CHAINED: [&str; 3] = [
    "organizations:TagResource",
    "organizations:UpdatePolicy",
    "organizations:UntagResource",
];

/// Every right that whoever runs quell can need, each once.
pub const RIGHTS: &[Right] = &[
    right(
        "organizations:DescribeOrganization",
        On::Everything,
        Task::Plan,
    ),
    right("organizations:DescribeAccount", On::Members, Task::Plan),
    right("organizations:ListRoots", On::Everything, Task::Plan),
    right("organizations:ListPolicies", On::Everything, Task::Plan),
    right(
        "organizations:ListPoliciesForTarget",
        On::Targets,
        Task::Plan,
    ),
    right(
        "organizations:ListTargetsForPolicy",
        On::Policies,
        Task::Plan,
    ),
    right(
        "organizations:ListTagsForResource",
        On::Policies,
        Task::Plan,
    ),
    right("organizations:DescribePolicy", On::Policies, Task::Plan),
    right("sso:ListInstances", On::Everything, Task::Plan),
    right(
        "sso:ListAccountAssignmentsForPrincipal",
        On::Instance,
        Task::Plan,
    ),
    right("sso:DescribePermissionSet", On::PermissionSets, Task::Plan),
    right("identitystore:GetUserId", On::Users, Task::Plan),
    right("identitystore:DescribeUser", On::Users, Task::Plan),
    right(
        "identitystore:ListGroupMembershipsForMember",
        On::Memberships,
        Task::Plan,
    ),
    right("identitystore:ListUsers", On::Users, Task::Names),
    right(
        "account-access:ListApplications",
        On::Everything,
        Task::AccessManager,
    ),
    right(
        "account-access:ListEntitlements",
        On::Applications,
        Task::AccessManager,
    ),
    right(
        "organizations:ListAccountsForParent",
        On::Parents,
        Task::Units,
    ),
    right(
        "organizations:ListOrganizationalUnitsForParent",
        On::Parents,
        Task::Units,
    ),
    right("guardduty:ListDetectors", On::Everything, Task::Findings),
    right("guardduty:GetFindings", On::Everything, Task::Findings),
    right("guardduty:ListFindings", On::Everything, Task::Findings),
    right("iam:SimulateCustomPolicy", On::Everything, Task::Opinion),
    right(
        "access-analyzer:ValidatePolicy",
        On::Everything,
        Task::Opinion,
    ),
    right("sts:GetAccessKeyInfo", On::Everything, Task::Keys),
    right("dynamodb:ListTables", On::Everything, Task::Team),
    right("dynamodb:Query", On::TeamTables, Task::Team),
    right("dynamodb:GetItem", On::TeamTables, Task::Team),
    right("sts:AssumeRole", On::CanaryRole, Task::Verify),
    right("sts:SetSourceIdentity", On::CanaryRole, Task::Verify),
    right(
        "organizations:ListAccounts",
        On::Everything,
        Task::Everywhere,
    ),
    right("cloudtrail:LookupEvents", On::Everything, Task::Evidence),
    right(
        "sso:ListPermissionSetsProvisionedToAccount",
        On::Accounts,
        Task::Check,
    ),
    right("sso:ListAccountAssignments", On::Assignments, Task::Check),
    right("identitystore:DescribeGroup", On::Groups, Task::Check),
    right("cloudtrail:DescribeTrails", On::Everything, Task::Check),
    right("cloudtrail:GetTrailStatus", On::Trails, Task::Check),
    right("cloudtrail:GetEventSelectors", On::Trails, Task::Check),
    right("guardduty:GetDetector", On::Detectors, Task::Check),
    right("iam:GetRole", On::Identities, Task::Check),
    right("iam:SimulatePrincipalPolicy", On::Identities, Task::Check),
    right("sso:ListPermissionSets", On::Instance, Task::Audit),
    right(
        "iam:GetAccountAuthorizationDetails",
        On::Everything,
        Task::Audit,
    ),
    right("iam:GenerateCredentialReport", On::Everything, Task::Audit),
    right("iam:GetCredentialReport", On::Everything, Task::Audit),
    right("iam:GetAccountPasswordPolicy", On::Everything, Task::Audit),
    right("organizations:CreatePolicy", On::Policies, Task::Contain),
    right("organizations:TagResource", On::Policies, Task::Contain),
    right(
        "organizations:AttachPolicy",
        On::PoliciesAndTargets,
        Task::Contain,
    ),
    right("organizations:UpdatePolicy", On::Policies, Task::Contain),
    right(
        "organizations:DetachPolicy",
        On::PoliciesAndTargets,
        Task::Release,
    ),
    right("organizations:DeletePolicy", On::Policies, Task::Release),
    right("organizations:UntagResource", On::Policies, Task::Release),
    right("sso:DeleteAccountAssignment", On::Assignments, Task::Evict),
    right(
        "sso:DescribeAccountAssignmentDeletionStatus",
        On::Instance,
        Task::Evict,
    ),
    right(
        "identitystore:DeleteGroupMembership",
        On::Memberships,
        Task::Evict,
    ),
    right(
        "account-access:DeleteEntitlement",
        On::Applications,
        Task::Evict,
    ),
    right(
        "sso:CreateAccountAssignment",
        On::Assignments,
        Task::GiveBack,
    ),
    right(
        "sso:DescribeAccountAssignmentCreationStatus",
        On::Instance,
        Task::GiveBack,
    ),
    right(
        "identitystore:CreateGroupMembership",
        On::Memberships,
        Task::GiveBack,
    ),
    right(
        "account-access:CreateEntitlement",
        On::Applications,
        Task::GiveBack,
    ),
    right(
        "sso:GetInlinePolicyForPermissionSet",
        On::PermissionSets,
        Task::Management,
    ),
    right(
        "sso:PutInlinePolicyToPermissionSet",
        On::PermissionSets,
        Task::Management,
    ),
    right(
        "sso:DeleteInlinePolicyFromPermissionSet",
        On::PermissionSets,
        Task::Management,
    ),
    right(
        "sso:ProvisionPermissionSet",
        On::Assignments,
        Task::Management,
    ),
    right(
        "sso:DescribePermissionSetProvisioningStatus",
        On::Instance,
        Task::Management,
    ),
    right("iam:PutRolePolicy", On::ReservedRoles, Task::Management),
    right("iam:DeleteRolePolicy", On::ReservedRoles, Task::Management),
    right("identitystore:DeleteUser", On::Users, Task::DeleteUser),
    right("dynamodb:UpdateItem", On::TeamTables, Task::RevokeTeam),
];

/// What quell asks in a member account as a canary, nothing that a policy could not refuse, and what CloudTrail recorded there.
/// Every probe, asked for or not: at 3 a.m. nobody rolls a role out again, and a session is let do only what it is to ask.
pub const CANARY: &[&str] = &[
    Probe::AccountAliases.action(),
    Probe::Detectors.action(),
    Probe::Trails.action(),
    Probe::Tables.action(),
    "iam:GetRole",
    "cloudtrail:LookupEvents",
];

/// What quell does there to contain and evict an IAM user, on that user.
pub const CANARY_IAM_USERS: &[&str] = &[
    "iam:GetUser",
    "iam:ListAccessKeys",
    "iam:GetLoginProfile",
    "iam:ListUserPolicies",
    "iam:ListAttachedUserPolicies",
    "iam:GetUserPolicy",
    "iam:UpdateAccessKey",
    "iam:DeleteLoginProfile",
    "iam:PutUserPolicy",
    "iam:DeleteUserPolicy",
];

/// What `audit` reads there.
pub const CANARY_AUDIT: &[&str] = &[
    "iam:GetAccountAuthorizationDetails",
    "iam:GenerateCredentialReport",
    "iam:GetCredentialReport",
    "iam:GetAccountPasswordPolicy",
];

/// What `guardrail prove` asks there so as to be refused it. No role needs to have it: an explicit deny is told before
/// whatever else would refuse.
pub const CANARY_REFUSED: &[&str] = &["iam:CreateLoginProfile"];

/// What AWS answers everybody: it needs no right (aws-facts §5).
pub const FREE: &[&str] = &["sts:GetCallerIdentity"];

/// The names that stand in ARNs: those of one organization, or `*` for whichever.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// The partition of every ARN.
    pub partition: Partition,
    /// The management account.
    pub management: String,
    /// The organization.
    pub organization: String,
    /// The ids of what a policy can be attached to, by their kind in an ARN: `root`, `ou`, `account`.
    pub targets: Vec<(&'static str, String)>,
    /// A policy.
    pub policy: String,
    /// An account.
    pub account: String,
    /// The account of whoever runs quell.
    pub own: String,
    /// A Region.
    pub region: String,
    /// The Identity Center instance, `ssoins-…`.
    pub instance: String,
    /// The identity store, `d-…`.
    pub store: String,
    /// A member of the store, a permission set, a trail: whatever else there can be many of.
    pub any: String,
    /// The roles that canaries enter with.
    pub roles: Vec<RoleName>,
}

impl Names {
    /// Those of every organization.
    pub fn whichever(partition: Partition, roles: Vec<RoleName>) -> Self {
        let any = || "*".to_owned();
        Self {
            partition,
            management: any(),
            organization: "o-*".to_owned(),
            targets: vec![("root", any()), ("ou", any()), ("account", any())],
            policy: any(),
            account: any(),
            own: any(),
            region: any(),
            instance: any(),
            store: any(),
            any: any(),
            roles,
        }
    }
}

impl On {
    /// The ARNs, or `*` where there is nothing to limit.
    pub fn arns(self, names: &Names) -> Vec<String> {
        let Names {
            partition: p,
            management,
            organization,
            account,
            own,
            region,
            instance,
            any,
            ..
        } = names;
        let policy = || {
            let id = &names.policy;
            format!(
                "arn:{p}:organizations::{management}:policy/{organization}/service_control_policy/{id}"
            )
        };
        let targets = |kinds: &[&str]| {
            let of = |(kind, id): &(&str, String)| {
                format!("arn:{p}:organizations::{management}:{kind}/{organization}/{id}")
            };
            let targets = names.targets.iter();
            let wanted = targets.filter(|(kind, _)| kinds.contains(kind));
            wanted.map(of).collect::<Vec<String>>()
        };
        let at = || format!("arn:{p}:sso:::instance/{instance}");
        let sets = || format!("arn:{p}:sso:::permissionSet/{instance}/{any}");
        let accounts = || format!("arn:{p}:sso:::account/{account}");
        let store = || {
            format!(
                "arn:{p}:identitystore::{management}:identitystore/{}",
                names.store
            )
        };
        let member = |kind: &str| format!("arn:{p}:identitystore:::{kind}/{any}");
        match self {
            On::Everything => vec!["*".to_owned()],
            On::Policies => vec![policy()],
            On::PoliciesAndTargets => {
                let mut both = vec![policy()];
                both.extend(targets(&["root", "ou", "account"]));
                both
            }
            On::Targets => targets(&["root", "ou", "account"]),
            On::Members => targets(&["account"]),
            On::Parents => targets(&["root", "ou"]),
            On::Instance => vec![at()],
            On::PermissionSets => vec![at(), sets()],
            On::Accounts => vec![at(), accounts()],
            On::Assignments => vec![at(), sets(), accounts()],
            On::Users => vec![store(), member("user")],
            On::Groups => vec![store(), member("group")],
            On::Memberships => vec![
                store(),
                member("user"),
                member("group"),
                member("membership"),
            ],
            On::Applications => vec![format!(
                "arn:{p}:account-access:{region}:{management}:application/{any}"
            )],
            On::Trails => vec![format!(
                "arn:{p}:cloudtrail:{region}:{management}:trail/{any}"
            )],
            On::Detectors => vec![format!("arn:{p}:guardduty:{region}:{own}:detector/{any}")],
            On::TeamTables => vec![
                format!("arn:{p}:dynamodb:{region}:{own}:table/requests-{any}"),
                format!("arn:{p}:dynamodb:{region}:{own}:table/requests-{any}/index/{any}"),
            ],
            On::CanaryRole => {
                let role = |role: &RoleName| format!("arn:{p}:iam::{account}:role/{role}");
                names.roles.iter().map(role).collect()
            }
            On::Identities => ["role", "user"]
                .iter()
                .map(|kind| format!("arn:{p}:iam::{own}:{kind}/{any}"))
                .collect(),
            On::ReservedRoles => vec![format!(
                "arn:{p}:iam::{management}:role/aws-reserved/sso.amazonaws.com/{any}"
            )],
        }
    }

    /// Its part of a Sid, behind the service's.
    fn sid(self) -> &'static str {
        match self {
            On::Everything => "",
            On::Policies => "Policies",
            On::PoliciesAndTargets => "Attachments",
            On::Targets => "Targets",
            On::Members => "Members",
            On::Parents => "Units",
            On::Instance => "Instance",
            On::PermissionSets => "PermissionSets",
            On::Accounts => "Accounts",
            On::Assignments => "Assignments",
            On::Users => "Users",
            On::Groups => "Groups",
            On::Memberships => "Memberships",
            On::Applications => "Applications",
            On::Trails => "Trails",
            On::Detectors => "Detectors",
            On::TeamTables => "Team",
            On::CanaryRole => "Canary",
            On::Identities => "Identities",
            On::ReservedRoles => "ReservedRoles",
        }
    }
}

impl Right {
    /// The service's part of the action.
    pub fn service(&self) -> &'static str {
        self.action
            .split_once(':')
            .map_or("", |(service, _)| service)
    }
}

/// A service's part of a Sid, which has letters and digits only.
fn sid_of(service: &str) -> &'static str {
    match service {
        "organizations" => "Organizations",
        "sso" => "IdentityCenter",
        "identitystore" => "IdentityStore",
        "account-access" => "AccountAccess",
        "guardduty" => "GuardDuty",
        "cloudtrail" => "CloudTrail",
        "dynamodb" => "DynamoDB",
        "sts" => "Sts",
        "iam" => "Iam",
        "access-analyzer" => "AccessAnalyzer",
        _ => "Other",
    }
}

/// The policy that grants one half of the rights, for an identity in the management account: one statement for each
/// service and what it can be limited to.
pub fn policy(half: Half, names: &Names) -> Document {
    let mut statements: BTreeMap<(&str, On), Vec<&str>> = BTreeMap::new();
    for right in RIGHTS.iter().filter(|right| right.task.half() == half) {
        let of = statements.entry((right.service(), right.on)).or_default();
        of.push(right.action);
    }
    let statement = |((service, on), actions): ((&str, On), Vec<&str>)| Statement {
        sid: Some(format!("Quell{}{}", sid_of(service), on.sid())),
        effect: Effect::Allow,
        actions: words(actions.iter().map(|action| (*action).to_owned())),
        resources: words(on.arns(names)),
        conditions: Vec::new(),
        unknown: Vec::new(),
    };
    Document::new(statements.into_iter().map(statement).collect())
}

fn words(patterns: impl IntoIterator<Item = String>) -> Words {
    Words {
        negated: false,
        patterns: patterns.into_iter().collect(),
    }
}

/// What one task takes: the rights that it is the first to need; of one that is the first to need none, those that it
/// needs beside what it takes to look.
pub fn of_task(task: Task) -> impl Iterator<Item = &'static Right> {
    let again =
        move |right: &&Right| task == Task::DenyChained && DENY_CHAINED.contains(&right.action);
    let rights = RIGHTS.iter();
    rights.filter(move |right| right.task == task || again(right))
}

/// The README's table of one half, in Markdown. A test holds the README to it.
pub fn table(half: Half) -> String {
    let mut text = "| for | rights |\n|---|---|\n".to_owned();
    for task in Task::ALL.into_iter().filter(|task| task.half() == half) {
        let mut services: Vec<(&str, Vec<&str>)> = Vec::new();
        for right in of_task(task) {
            let (service, action) = right.action.split_once(':').unwrap_or_default();
            match services.last_mut().filter(|(last, _)| *last == service) {
                Some((_, actions)) => actions.push(action),
                None => services.push((service, vec![action])),
            }
        }
        let shown = services
            .iter()
            .map(|(service, actions)| format!("`{service}:` {}", actions.join(", ")));
        let shown: Vec<String> = shown.collect();
        text.push_str(&format!("| {} | {} |\n", task.says(), shown.join("; ")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        let roles = vec![RoleName::parse("quell-canary").unwrap()];
        Names::whichever(Partition::parse("aws").unwrap(), roles)
    }

    #[test]
    fn every_right_is_in_exactly_one_statement_of_exactly_one_policy() {
        let granted = [Half::Read, Half::Act].map(|half| policy(half, &names()));
        for right in RIGHTS {
            let statements = granted.iter().flat_map(|document| &document.statements);
            let granting =
                statements.filter(|one| one.actions.patterns.iter().any(|it| it == right.action));
            assert_eq!(granting.count(), 1, "{}", right.action);
            assert_ne!(sid_of(right.service()), "Other", "{}", right.action);
        }
    }

    #[test]
    fn each_policy_fits_into_a_managed_policy() {
        for half in [Half::Read, Half::Act] {
            // AWS does not count white space, and minified there is none.
            let characters = policy(half, &names()).characters();
            assert!(characters <= 6_144, "{half:?}: {characters}");
        }
    }

    #[test]
    fn whoever_only_reads_can_change_nothing() {
        let changes = RIGHTS.iter().filter(|right| {
            let (_, operation) = right.action.split_once(':').unwrap();
            let reads = [
                "Describe",
                "List",
                "Get",
                "Query",
                "Simulate",
                "Validate",
                "AssumeRole",
                "SetSource",
                "Lookup",
                // AWS makes a list and changes nothing else.
                "GenerateCredentialReport",
            ];
            right.task.half() == Half::Read && !reads.iter().any(|it| operation.starts_with(it))
        });
        assert_eq!(
            changes.map(|right| right.action).collect::<Vec<_>>(),
            [""; 0]
        );
    }
}
