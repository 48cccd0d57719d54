//! What an audit reads of an account on the range: `GetAccountAuthorizationDetails`, the credential report and the password
//! policy, of the users and roles that are there and of what an [`Estate`] says beside.

use std::collections::{BTreeMap, BTreeSet};

use aws_smithy_types::base64;

use crate::facts::audit::{Grants, PasswordPolicy};
use crate::ids::*;
use crate::range::state::{Account, Session, State};
use crate::range::users::IamUser;
use crate::range::wire::{Asked, Refusal, escape, unsupported};

/// What IAM has in an account beside users, their keys, passwords and inline policies, and roles.
#[derive(Debug, Clone, Default)]
pub struct Estate {
    /// Groups, with their policies.
    pub groups: BTreeMap<String, Grants>,
    /// The groups of each user, by name.
    pub members: BTreeMap<String, BTreeSet<String>>,
    /// Users with an MFA device.
    pub mfa: BTreeSet<String>,
    /// Managed policies, by ARN. What a user or role is attached that is not here is AWS's, and not shown.
    pub managed: BTreeMap<String, String>,
    /// What roles are attached, by name.
    pub attached: BTreeMap<String, BTreeSet<String>>,
    /// How long sessions of roles live, in seconds, where it is not AWS's default of an hour, by name.
    pub longest: BTreeMap<String, u32>,
    /// Trust policies of roles that are not AWS's usual, by name.
    pub trusts: BTreeMap<String, String>,
    /// The password policy, if it is not a sound one: AWS's default, or this.
    pub passwords: Option<Option<PasswordPolicy>>,
    /// Users who were made after the credential report, which AWS gives for four hours.
    pub unreported: BTreeSet<String>,
    /// Whether the credential report was asked for: AWS makes it then.
    pub reported: bool,
}

/// What is answered here.
pub(super) const OF_IAM: [&str; 4] = [
    "GetAccountAuthorizationDetails",
    "GenerateCredentialReport",
    "GetCredentialReport",
    "GetAccountPasswordPolicy",
];

/// What Config's rule asks for by default.
const SOUND: PasswordPolicy = PasswordPolicy {
    length: 14,
    symbols: true,
    numbers: true,
    uppercase: true,
    lowercase: true,
    max_age: Some(90),
    reuse: Some(24),
};

/// Answers one of them.
pub(super) fn perform(
    state: &mut State,
    session: &Session,
    asked: &Asked,
) -> Result<String, Refusal> {
    let id = &session.account;
    let Some(account) = state.accounts.get(id) else {
        return Err(unsupported(asked));
    };
    let estate = state.estates.entry(id.clone()).or_default();
    match asked.operation.as_str() {
        "GetAccountAuthorizationDetails" => Ok(details(id, account, estate, asked)),
        "GenerateCredentialReport" => {
            let state = match estate.reported {
                true => "COMPLETE",
                false => "STARTED",
            };
            estate.reported = true;
            Ok(format!("<State>{state}</State>"))
        }
        "GetCredentialReport" if estate.reported => {
            let report = base64::encode(report(id, account, estate));
            Ok(format!(
                "<Content>{report}</Content><ReportFormat>text/csv</ReportFormat><GeneratedTime>{}</GeneratedTime>",
                state.now
            ))
        }
        "GetCredentialReport" => Err(Refusal::new(410, "ReportNotPresent", "No report found.")),
        _ => match estate.passwords.unwrap_or(Some(SOUND)) {
            Some(policy) => Ok(format!(
                "<PasswordPolicy>{}</PasswordPolicy>",
                shown(&policy)
            )),
            None => Err(Refusal::new(
                404,
                "NoSuchEntity",
                &format!("The Password Policy with domain name {id} cannot be found."),
            )),
        },
    }
}

fn shown(policy: &PasswordPolicy) -> String {
    let PasswordPolicy {
        length,
        symbols,
        numbers,
        uppercase,
        lowercase,
        max_age,
        reuse,
    } = policy;
    let age = max_age.map_or(String::new(), |days| {
        format!("<MaxPasswordAge>{days}</MaxPasswordAge>")
    });
    let reuse = reuse.map_or(String::new(), |many| {
        format!("<PasswordReusePrevention>{many}</PasswordReusePrevention>")
    });
    format!(
        "<MinimumPasswordLength>{length}</MinimumPasswordLength><RequireSymbols>{symbols}</RequireSymbols><RequireNumbers>{numbers}</RequireNumbers><RequireUppercaseCharacters>{uppercase}</RequireUppercaseCharacters><RequireLowercaseCharacters>{lowercase}</RequireLowercaseCharacters><AllowUsersToChangePassword>true</AllowUsersToChangePassword>{age}{reuse}"
    )
}

/// The credential report, with the columns of AWS's that matter here among the others.
fn report(id: &AccountId, account: &Account, estate: &Estate) -> String {
    let line = |name: &str, arn: &str, password: &str, mfa: bool, keys: [bool; 2]| {
        let [one, two] = keys;
        format!(
            "{name},{arn},2026-01-01T00:00:00+00:00,{password},no_information,{mfa},{one},N/A,{two},N/A\n"
        )
    };
    let head = "user,arn,user_creation_time,password_enabled,password_last_used,mfa_active,access_key_1_active,access_key_1_last_used_date,access_key_2_active,access_key_2_last_used_date\n";
    let root = line(
        "<root_account>",
        &format!("arn:aws:iam::{id}:root"),
        "not_supported",
        true,
        [false, false],
    );
    let known = account
        .users
        .iter()
        .filter(|(name, _)| !estate.unreported.contains(*name));
    let users = known.map(|(name, user)| {
        let mut active = user.keys.values().filter(|active| **active);
        let keys = [active.next().is_some(), active.next().is_some()];
        let arn = format!("arn:aws:iam::{id}:user/{name}");
        let password = user.login_profile.to_string();
        line(name, &arn, &password, estate.mfa.contains(name), keys)
    });
    [head.to_owned(), root].into_iter().chain(users).collect()
}

/// Everything by pages, as AWS cuts it: users first, then groups, roles and policies.
fn details(id: &AccountId, account: &Account, estate: &Estate, asked: &Asked) -> String {
    let users = account
        .users
        .iter()
        .map(|(name, one)| ("UserDetailList", user(id, name, one, estate)));
    let groups = estate.groups.iter().map(|(name, grants)| {
        let shown = format!(
            "<Path>/</Path><GroupName>{0}</GroupName><GroupId>AGPAAAAAAAAAAAAAAAAA</GroupId><Arn>arn:aws:iam::{id}:group/{0}</Arn><CreateDate>2026-01-01T00:00:00Z</CreateDate>{1}{2}",
            escape(name),
            inline("GroupPolicyList", grants.inline.iter()),
            attached(&grants.attached)
        );
        ("GroupDetailList", shown)
    });
    let none = BTreeSet::new();
    let roles = account.roles.iter().map(|(name, role)| {
        let own = role.inline.iter().map(|policy| ("AwsSSOInlinePolicy".to_owned(), &policy.text));
        let own: Vec<(String, &String)> = own.collect();
        let trusted = role.trusts.iter().map(|it| format!("\"arn:aws:iam::{it}:root\""));
        let trusted: Vec<String> = trusted.collect();
        let usual = format!(
            r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Principal":{{"AWS":[{}]}},"Action":"sts:AssumeRole"}}]}}"#,
            trusted.join(",")
        );
        let trust = estate.trusts.get(name).unwrap_or(&usual);
        let shown = format!(
            "<Path>{path}</Path><RoleName>{0}</RoleName><RoleId>{1}</RoleId><Arn>arn:aws:iam::{id}:role{path}{0}</Arn><CreateDate>2026-01-01T00:00:00Z</CreateDate><AssumeRolePolicyDocument>{2}</AssumeRolePolicyDocument><InstanceProfileList/>{3}{4}",
            escape(name),
            role.id,
            encoded(trust),
            inline("RolePolicyList", own.iter().map(|(name, text)| (name, *text))),
            attached(estate.attached.get(name).unwrap_or(&none)),
            path = escape(&role.path),
        );
        ("RoleDetailList", shown)
    });
    let policies = estate.managed.iter().map(|(arn, text)| {
        let name = arn.rsplit('/').next().unwrap_or_default();
        let shown = format!(
            "<PolicyName>{}</PolicyName><PolicyId>ANPAAAAAAAAAAAAAAAAA</PolicyId><Arn>{}</Arn><Path>/</Path><DefaultVersionId>v2</DefaultVersionId><AttachmentCount>1</AttachmentCount><PolicyVersionList><member><Document>{}</Document><VersionId>v2</VersionId><IsDefaultVersion>true</IsDefaultVersion></member><member><Document>%7B%7D</Document><VersionId>v1</VersionId><IsDefaultVersion>false</IsDefaultVersion></member></PolicyVersionList>",
            escape(name),
            escape(arn),
            encoded(text)
        );
        ("Policies", shown)
    });
    let all: Vec<(&str, String)> = users.chain(groups).chain(roles).chain(policies).collect();
    let from: usize = asked.text("Marker").parse().unwrap_or(0);
    let most: usize = asked.text("MaxItems").parse().unwrap_or(100);
    let page = all.iter().skip(from).take(most);
    let lists = [
        "UserDetailList",
        "GroupDetailList",
        "RoleDetailList",
        "Policies",
    ]
    .map(|list| {
        let own = page.clone().filter(|(of, _)| *of == list);
        let own: String = own
            .map(|(_, shown)| format!("<member>{shown}</member>"))
            .collect();
        format!("<{list}>{own}</{list}>")
    });
    let next = from + most;
    let marker = match next < all.len() {
        true => format!("<IsTruncated>true</IsTruncated><Marker>{next}</Marker>"),
        false => "<IsTruncated>false</IsTruncated>".to_owned(),
    };
    format!("{marker}{}", lists.concat())
}

fn user(id: &AccountId, name: &str, user: &IamUser, estate: &Estate) -> String {
    let groups = estate.members.get(name).into_iter().flatten();
    let groups: String = groups
        .map(|group| format!("<member>{}</member>", escape(group)))
        .collect();
    let own = user
        .inline
        .iter()
        .map(|(name, policy)| (name, &policy.text));
    format!(
        "<Path>/</Path><UserName>{0}</UserName><UserId>{1}</UserId><Arn>arn:aws:iam::{id}:user/{0}</Arn><CreateDate>2026-01-01T00:00:00Z</CreateDate>{2}<GroupList>{groups}</GroupList>{3}",
        escape(name),
        user.id,
        inline("UserPolicyList", own),
        attached(&user.attached)
    )
}

fn inline<'a>(list: &str, policies: impl Iterator<Item = (&'a String, &'a String)>) -> String {
    let shown = policies.map(|(name, text)| {
        format!(
            "<member><PolicyName>{}</PolicyName><PolicyDocument>{}</PolicyDocument></member>",
            escape(name),
            encoded(text)
        )
    });
    format!("<{list}>{}</{list}>", shown.collect::<String>())
}

fn attached(arns: &BTreeSet<String>) -> String {
    let shown = arns.iter().map(|arn| {
        let name = arn.rsplit('/').next().unwrap_or_default();
        format!(
            "<member><PolicyName>{}</PolicyName><PolicyArn>{}</PolicyArn></member>",
            escape(name),
            escape(arn)
        )
    });
    format!(
        "<AttachedManagedPolicies>{}</AttachedManagedPolicies>",
        shown.collect::<String>()
    )
}

/// IAM gives documents percent-encoded, spaces too.
fn encoded(text: &str) -> String {
    let encoded: String = form_urlencoded::byte_serialize(text.as_bytes()).collect();
    encoded.replace('+', "%20")
}
