//! The audit: what makes an incident worse, found before there is one.
//!
//! Arrives: [`Audited`] accounts, one by one, and Identity Center's [`People`]. Leaves: [`Finding`]s, worst first, each with
//! what, where, why it matters in an incident, and the command that mends it. Pure; what policies allow is decided by the
//! evaluator and never by looking for words in them.
//!
//! Five rules are AWS Config's, under its names and with its semantics (its developer guide, "List of AWS Config managed
//! rules"): `iam-group-has-users-check`, `iam-user-group-membership-check`, `iam-user-no-policies-check` (inline or managed),
//! `iam-password-policy` (with its default parameters; AWS's default password policy does not comply) and
//! `mfa-enabled-for-iam-console-access`. The others are ours.
//!
//! What spans accounts, who can switch into which role and which users share a name, is judged at the end
//! ([`Audit::finish`]), from what was kept of each account: the users who may assume roles, the roles that let users in.

mod policies;

mod rule;

pub mod switching;

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;
use serde::Serialize;

use crate::facts::Known;
use crate::facts::audit::{Audited, Credentials, Grants, PasswordPolicy, People, UserDetail};
use crate::facts::checkup::Holding;
use crate::ids::*;
use crate::policy::evaluate::{Decision, Request};
use policies::{Asks, Named, Policies, Trust, as_user};
pub use rule::{Rule, Severity};

/// How an audit judges.
#[derive(Debug, Clone)]
pub struct Limits {
    /// The longest that a permission set's sessions should live.
    pub longest_session: SignedDuration,
    /// `aws:userid` values that no deny may hit, as the playbook declares them.
    pub break_glass: BTreeSet<String>,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Finding {
    /// How bad.
    pub severity: Severity,
    /// Which rule.
    pub rule: Rule,
    /// Where; none of what is Identity Center's.
    pub account: Option<AccountId>,
    /// What: a user, group, role, permission set or account, by name.
    pub resource: String,
    /// What was seen, a lower-case fragment.
    pub seen: String,
    /// Why it matters in an incident, a full sentence.
    pub why: &'static str,
    /// What mends it: a command, or where in the console.
    pub fix: String,
}

/// An audit under way.
#[derive(Debug)]
pub struct Audit {
    limits: Limits,
    findings: Vec<Finding>,
    switchers: Vec<Switcher>,
    roles: Vec<SwitchRole>,
    sets: BTreeMap<String, SetPowers>,
    break_glass_seen: BTreeSet<String>,
    accounts: usize,
}

/// A user who may assume roles.
#[derive(Debug)]
struct Switcher {
    account: AccountId,
    name: String,
    arn: String,
    policies: Policies,
}

/// A role that lets users or accounts in.
#[derive(Debug)]
struct SwitchRole {
    account: AccountId,
    name: String,
    arn: String,
    trust: Trust,
}

/// What a permission set's roles may do of what makes identities.
#[derive(Debug, Default)]
struct SetPowers {
    actions: BTreeSet<&'static str>,
    accounts: BTreeSet<AccountId>,
}

/// What makes, keeps or empowers an identity: whoever may do one of these survives their own eviction.
const POWERS: [(&str, &str); 12] = [
    ("iam:CreateUser", "user/anybody"),
    ("iam:CreateAccessKey", "user/anybody"),
    ("iam:CreateLoginProfile", "user/anybody"),
    ("iam:UpdateLoginProfile", "user/anybody"),
    ("iam:AttachUserPolicy", "user/anybody"),
    ("iam:PutUserPolicy", "user/anybody"),
    ("iam:AddUserToGroup", "group/anybody"),
    ("iam:AttachRolePolicy", "role/any-role"),
    ("iam:PutRolePolicy", "role/any-role"),
    ("iam:UpdateAssumeRolePolicy", "role/any-role"),
    ("iam:CreatePolicyVersion", "policy/any-policy"),
    ("iam:SetDefaultPolicyVersion", "policy/any-policy"),
];

impl Audit {
    /// Nothing looked at yet.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            findings: Vec::new(),
            switchers: Vec::new(),
            roles: Vec::new(),
            sets: BTreeMap::new(),
            break_glass_seen: BTreeSet::new(),
            accounts: 0,
        }
    }

    /// How many accounts were judged.
    pub fn accounts(&self) -> usize {
        self.accounts
    }

    /// Takes an account that could not be asked: what is not known is not fine (R4).
    pub fn missed(&mut self, account: &AccountId, why: &str) {
        let found = Rule::NotAudited.found(
            Some(account),
            account.as_str(),
            why.to_owned(),
            "See which role lets whoever audits in: `quell prepare canary-template --with-audit`."
                .to_owned(),
        );
        self.findings.push(found);
    }

    /// Judges an account.
    pub fn take(&mut self, facts: &Audited) {
        self.accounts += 1;
        let account = &facts.account;
        self.groups(facts);
        if let Some(seen) = weakness(facts.passwords.as_ref()) {
            let fix = "aws iam update-account-password-policy --minimum-password-length 14 --require-symbols --require-numbers --require-uppercase-characters --require-lowercase-characters --max-password-age 90 --password-reuse-prevention 24 --allow-users-to-change-password";
            self.find(
                Rule::IamPasswordPolicy,
                account,
                account.as_str(),
                seen,
                fix.to_owned(),
            );
        }
        for (name, user) in &facts.details.users {
            self.user(facts, name, user);
        }
        for (name, role) in &facts.details.roles {
            if let Some(set) = set_of(&role.arn, name) {
                let policies = Policies::of(&facts.details, [&role.grants], role.boundary.as_ref());
                self.set(account, &set, &role.arn, &policies);
            } else if let Some(trust) = Trust::parse(&role.trust) {
                self.roles.push(SwitchRole {
                    account: account.clone(),
                    name: name.clone(),
                    arn: role.arn.clone(),
                    trust,
                });
            }
        }
    }

    fn find(&mut self, rule: Rule, account: &AccountId, resource: &str, seen: String, fix: String) {
        self.findings
            .push(rule.found(Some(account), resource, seen, fix));
    }

    fn groups(&mut self, facts: &Audited) {
        for name in facts.details.groups.keys() {
            let mut users = facts.details.users.values();
            if !users.any(|user| user.groups.contains(name)) {
                let fix = format!("aws iam delete-group --group-name {name}");
                let seen = "nobody is in it".to_owned();
                self.find(Rule::IamGroupHasUsers, &facts.account, name, seen, fix);
            }
        }
    }

    fn user(&mut self, facts: &Audited, name: &str, user: &UserDetail) {
        let account = &facts.account;
        let credentials = facts.credentials.get(name).copied().unwrap_or_else(|| {
            let seen = "the credential report does not have them: AWS makes one every four hours at the most, and they are newer".to_owned();
            let fix = format!("Look by hand whether you know them: `aws iam get-login-profile --user-name {name}`, `aws iam list-access-keys --user-name {name}`");
            self.find(Rule::NotAudited, account, name, seen, fix);
            Credentials::default()
        });
        if user.groups.is_empty() {
            let fix = format!("aws iam add-user-to-group --user-name {name} --group-name <group>");
            let seen = "they are in no group".to_owned();
            self.find(Rule::IamUserGroupMembership, account, name, seen, fix);
        }
        let own: Vec<&String> = user
            .grants
            .inline
            .keys()
            .chain(&user.grants.attached)
            .collect();
        if let Some(first) = own.first() {
            let fix = match user.grants.attached.first() {
                Some(arn) => {
                    format!("aws iam detach-user-policy --user-name {name} --policy-arn {arn}")
                }
                None => {
                    format!("aws iam delete-user-policy --user-name {name} --policy-name {first}")
                }
            };
            let all: Vec<&str> = own.iter().map(|one| one.as_str()).collect();
            let seen = format!("policies of their own: {}", all.join(", "));
            self.find(Rule::IamUserNoPolicies, account, name, seen, fix);
        }
        if credentials.password && !credentials.mfa {
            let fix = format!("aws iam delete-login-profile --user-name {name}");
            let fix = format!(
                "Have them enrol a device under Security credentials, or take the password away: `{fix}`"
            );
            let seen = "a console password, and no MFA device".to_owned();
            self.find(Rule::MfaEnabled, account, name, seen, fix);
        }
        if credentials.password && credentials.active_keys > 0 {
            let fix = format!(
                "aws iam update-access-key --user-name {name} --status Inactive --access-key-id <id>"
            );
            let seen = format!(
                "a console password, and {} active access keys",
                credentials.active_keys
            );
            self.find(Rule::ConsoleUserHasKeys, account, name, seen, fix);
        }
        let groups = user
            .groups
            .iter()
            .filter_map(|group| facts.details.groups.get(group));
        let grants: Vec<&Grants> = std::iter::once(&user.grants).chain(groups).collect();
        let policies = Policies::of(&facts.details, grants, user.boundary.as_ref());
        self.traps(account, name, user, credentials, &policies);
        if self.limits.break_glass.contains(&user.id) {
            self.break_glass_seen.insert(user.id.clone());
            if !credentials.mfa {
                let seen = "the playbook spares them, and they have no MFA device".to_owned();
                let fix = "Enrol a device for them, and keep it in a safe: IAM, Users, Security credentials.".to_owned();
                self.find(Rule::BreakGlassWithoutMfa, account, name, seen, fix);
            }
        }
        if policies.unread > 0 {
            let seen = format!(
                "{} policies of theirs could not be read, so what they may do is not known",
                policies.unread
            );
            let fix = format!("aws iam list-attached-user-policies --user-name {name}");
            self.find(Rule::NotAudited, account, name, seen, fix);
        }
        // Who is named by a role's trust needs no policy for it in the same account.
        let mut roles = facts.details.roles.values();
        if policies.may_assume() || roles.any(|role| role.trust.contains(&user.arn)) {
            self.switchers.push(Switcher {
                account: account.clone(),
                name: name.to_owned(),
                arn: user.arn.clone(),
                policies,
            });
        }
    }

    /// The traps of policies that demand MFA, of console users who are under one.
    fn traps(
        &mut self,
        account: &AccountId,
        name: &str,
        user: &UserDetail,
        credentials: Credentials,
        policies: &Policies,
    ) {
        if policies.demands_mfa().next().is_none() {
            return;
        }
        let may = |action: &str, resource: &str, mfa: Option<bool>| {
            let keys = as_user(&user.arn, name, mfa);
            policies.decide(&Request::new(action, resource, keys)) == Decision::Allow
        };
        let own = user.arn.as_str();
        let edit = "Add it to the NotAction of the statement that denies without MFA: IAM, Policies, Edit.";
        if credentials.password
            && may("iam:ChangePassword", own, Some(true))
            && !may("iam:ChangePassword", own, Some(false))
        {
            let seen = "iam:ChangePassword is refused without MFA, so nobody who must change their password at the next sign-in can".to_owned();
            self.find(
                Rule::MfaBlocksPasswordReset,
                account,
                name,
                seen,
                edit.to_owned(),
            );
        }
        let device = own.replacen(":user/", ":mfa/", 1);
        let enrols = [
            ("iam:CreateVirtualMFADevice", device.as_str()),
            ("iam:EnableMFADevice", own),
        ];
        if credentials.password
            && !credentials.mfa
            && enrols
                .iter()
                .any(|(action, on)| !may(action, on, Some(false)))
        {
            let seen = "without MFA they may not enrol a device of their own".to_owned();
            self.find(Rule::MfaBlocksEnrolment, account, name, seen, "Allow iam:CreateVirtualMFADevice and iam:EnableMFADevice on their own ARNs, and add both to the NotAction of the statement that denies without MFA.".to_owned());
        }
        // A request that an access key signs has no such key at all: `Bool` does not hold then, `BoolIfExists` does.
        let passes = |one: &&crate::policy::document::Statement| {
            one.conditions.iter().any(|condition| {
                condition.key.eq_ignore_ascii_case(policies::MFA) && condition.operator == "Bool"
            })
        };
        if credentials.active_keys > 0 && policies.demands_mfa().any(|one| passes(&one)) {
            let seen =
                "the demand for MFA does not hold for access keys: Bool in place of BoolIfExists"
                    .to_owned();
            let fix = "Write BoolIfExists for Bool in the statement that denies without MFA: IAM, Policies, Edit.".to_owned();
            self.find(Rule::MfaSparesKeys, account, name, seen, fix);
        }
    }

    /// What a permission set's role may do.
    fn set(&mut self, account: &AccountId, set: &str, role: &str, policies: &Policies) {
        let mut parts = role.splitn(6, ':');
        let partition = parts.nth(1).unwrap_or("aws");
        for (action, on) in POWERS {
            let resource = format!("arn:{partition}:iam::{account}:{on}");
            let keys = [
                ("aws:PrincipalArn", role.to_owned()),
                ("aws:PrincipalAccount", account.to_string()),
            ];
            if policies.decide(&Request::new(action, &resource, keys)) == Decision::Allow {
                let powers = self.sets.entry(set.to_owned()).or_default();
                powers.actions.insert(action);
                powers.accounts.insert(account.clone());
            }
        }
        if policies.unread > 0 {
            let seen = format!(
                "{} policies of its role could not be read, so what it allows is not known",
                policies.unread
            );
            let fix = "aws sso-admin list-managed-policies-in-permission-set --instance-arn <arn> --permission-set-arn <arn>".to_owned();
            self.find(Rule::NotAudited, account, set, seen, fix);
        }
    }

    /// Judges what spans accounts, and Identity Center's part. `whole` says that every account was looked at.
    pub fn finish(mut self, people: Option<&People>, whole: bool) -> Vec<Finding> {
        self.switching();
        for (set, powers) in std::mem::take(&mut self.sets) {
            let actions: Vec<&str> = powers.actions.into_iter().collect();
            let seen = format!(
                "it allows {} in {} accounts",
                actions.join(", "),
                powers.accounts.len()
            );
            let fix = "Take them out of its policies, or refuse them under it: `quell guardrail attach no-console-users --jump-account <account>` refuses passwords.".to_owned();
            self.findings
                .push(Rule::SetManagesIam.found(None, &set, seen, fix));
        }
        if let Some(people) = people {
            self.people(people);
        }
        let declared = self
            .limits
            .break_glass
            .iter()
            .filter(|id| id.starts_with("AIDA"));
        let gone: Vec<String> = declared
            .filter(|id| !self.break_glass_seen.contains(*id))
            .cloned()
            .collect();
        for id in gone.iter().filter(|_| whole) {
            let seen = "the playbook spares this user, and no account has them".to_owned();
            let fix =
                "Correct `break_glass` in the playbook: `quell playbook check --playbook <file>`."
                    .to_owned();
            self.findings
                .push(Rule::BreakGlassMissing.found(None, id, seen, fix));
        }
        self.findings.sort();
        self.findings.dedup();
        self.findings
    }

    /// Who can switch into which role, without MFA, and under what name.
    fn switching(&mut self) {
        let (roles, switchers) = (
            std::mem::take(&mut self.roles),
            std::mem::take(&mut self.switchers),
        );
        let mut names: BTreeMap<&str, BTreeSet<&AccountId>> = BTreeMap::new();
        for role in &roles {
            let mut no_mfa = Vec::new();
            let mut free = Vec::new();
            for user in &switchers {
                // Whoever may with MFA is somebody who switches into it.
                if !switches(user, role, Some(true), &user.name) {
                    continue;
                }
                names.entry(&user.name).or_default().insert(&user.account);
                if [Some(false), None]
                    .iter()
                    .any(|mfa| switches(user, role, *mfa, &user.name))
                {
                    no_mfa.push(who(user));
                }
                if switches(user, role, Some(true), ANOTHER_NAME) {
                    free.push(who(user));
                }
            }
            if !no_mfa.is_empty() {
                let seen = format!("without MFA it lets in {}", some(&no_mfa));
                let fix = format!(
                    "Add to its trust policy `\"Condition\":{{\"Bool\":{{\"aws:MultiFactorAuthPresent\":\"true\"}}}}`: aws iam update-assume-role-policy --role-name {} --policy-document <file>",
                    role.name
                );
                self.find(Rule::SwitchWithoutMfa, &role.account, &role.name, seen, fix);
            }
            if !free.is_empty() {
                let seen = format!(
                    "under whatever name they choose, without a source identity, it lets in {}",
                    some(&free)
                );
                let fix = format!(
                    "Add to its trust policy `\"Condition\":{{\"StringLike\":{{\"sts:RoleSessionName\":\"${{aws:username}}\"}}}}`: aws iam update-assume-role-policy --role-name {} --policy-document <file>",
                    role.name
                );
                self.find(Rule::SwitchNameFree, &role.account, &role.name, seen, fix);
            }
        }
        for (name, accounts) in names.into_iter().filter(|(_, accounts)| accounts.len() > 1) {
            let accounts: Vec<String> = accounts.into_iter().map(AccountId::to_string).collect();
            let seen = format!("users of this name switch roles from {}", some(&accounts));
            let fix =
                "Rename all but one: aws iam update-user --user-name <old> --new-user-name <new>"
                    .to_owned();
            self.findings
                .push(Rule::SwitchNamesInCommon.found(None, name, seen, fix));
        }
    }

    fn people(&mut self, people: &People) {
        let unknown = |what: &str, why: &str| {
            Rule::NotAudited.found(
                None,
                what,
                why.to_owned(),
                "`quell prepare check` says which rights you lack.".to_owned(),
            )
        };
        match &people.sets {
            Known::Known(sets) => {
                for (arn, set) in sets {
                    // AWS's default is an hour, so one that says nothing is short.
                    let Some(session) = set
                        .session
                        .known()
                        .filter(|it| **it > self.limits.longest_session)
                    else {
                        continue;
                    };
                    let seen = format!(
                        "sessions live {session:#}, and {:#} is the most",
                        self.limits.longest_session
                    );
                    let fix = format!(
                        "aws sso-admin update-permission-set --instance-arn <arn> --permission-set-arn {arn} --session-duration PT1H"
                    );
                    self.findings
                        .push(Rule::SetSessionTooLong.found(None, &set.name, seen, fix));
                }
            }
            Known::Unknown(why) => self.findings.push(unknown("permission sets", why)),
        }
        match &people.in_management {
            Known::Known(held) => {
                for Holding { set, who, group } in held {
                    let kind = if *group { "group" } else { "user" };
                    let seen = format!("{kind} {who} holds {set} in the management account");
                    let fix = "Take it away, or know who they are: IAM Identity Center, AWS accounts, the management account, Assigned users and groups.".to_owned();
                    self.findings
                        .push(Rule::ManagementAccess.found(None, who, seen, fix));
                }
            }
            Known::Unknown(why) => self.findings.push(unknown("the management account", why)),
        }
        match &people.users {
            Known::Known(listed) => {
                let external = listed.users.iter().any(|user| user.external);
                for user in listed
                    .users
                    .iter()
                    .filter(|user| external && !user.external)
                {
                    let seen =
                        "the directory's own, beside users whom an identity provider synchronizes"
                            .to_owned();
                    let fix = format!(
                        "Make them the provider's, or know that disabling there does not reach them: aws identitystore delete-user --identity-store-id <id> --user-id {}",
                        user.id
                    );
                    let name = user.username.as_str();
                    self.findings
                        .push(Rule::LocalUser.found(None, name, seen, fix));
                }
                if let Some(cut) = &listed.cut {
                    self.findings.push(unknown("the directory's users", cut));
                }
            }
            Known::Unknown(why) => self.findings.push(unknown("the directory's users", why)),
        }
    }
}

/// A name that nobody has.
const ANOTHER_NAME: &str = "quell-another-name";

/// Whether a user can switch into a role: both sides must let them, but for a trust in the same account that names them.
fn switches(user: &Switcher, role: &SwitchRole, mfa: Option<bool>, session: &str) -> bool {
    // With a source identity of the session's name, or none: a trust policy may require one.
    let mut ways = [None, Some(session)].into_iter().filter_map(|source| {
        role.trust.lets_in(&Asks {
            user: &user.arn,
            name: &user.name,
            account: &user.account,
            mfa,
            session,
            source,
        })
    });
    let Some(named) = ways.next() else {
        return false;
    };
    let request = Request::new(
        "sts:AssumeRole",
        &role.arn,
        as_user(&user.arn, &user.name, mfa),
    );
    match user.policies.decide(&request) {
        Decision::Allow => true,
        Decision::ImplicitDeny => named == Named::Themselves && user.account == role.account,
        Decision::ExplicitDeny | Decision::Unknown => false,
    }
}

fn who(user: &Switcher) -> String {
    format!("{} of {}", user.name, user.account)
}

/// A few by name, the rest by number.
fn some(all: &[String]) -> String {
    match all {
        [one, two, three, rest @ ..] if !rest.is_empty() => {
            format!("{one}, {two}, {three} and {} more", rest.len())
        }
        few => few.join(", "),
    }
}

/// What keeps a password policy from complying with Config's rule and its default parameters.
fn weakness(policy: Option<&PasswordPolicy>) -> Option<String> {
    let Some(policy) = policy else {
        return Some("AWS's default password policy".to_owned());
    };
    let lacks = [
        (policy.length < 14, "14 characters"),
        (!policy.symbols, "a symbol"),
        (!policy.numbers, "a digit"),
        (!policy.uppercase, "a capital letter"),
        (!policy.lowercase, "a small letter"),
        (
            policy.max_age.is_none_or(|days| days > 90),
            "an end after 90 days",
        ),
        (
            policy.reuse.is_none_or(|many| many < 24),
            "24 that must not be used again",
        ),
    ];
    let lacks: Vec<&str> = lacks
        .into_iter()
        .filter(|(lacks, _)| *lacks)
        .map(|(_, what)| what)
        .collect();
    (!lacks.is_empty()).then(|| format!("it does not demand {}", lacks.join(", ")))
}

/// The permission set that a role is of: `AWSReservedSSO_<name>_<sixteen hex digits>`, in AWS's own path.
fn set_of(arn: &str, role: &str) -> Option<String> {
    let (name, suffix) = role.strip_prefix("AWSReservedSSO_")?.rsplit_once('_')?;
    let hex = suffix.bytes().all(|b| b.is_ascii_hexdigit());
    (hex && arn.contains(":role/aws-reserved/sso.amazonaws.com/")).then(|| name.to_owned())
}
