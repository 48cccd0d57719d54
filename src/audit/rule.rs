//! The rules: what each is called, how bad it is, and why it matters when there is an incident.

use serde::Serialize;

use crate::audit::Finding;
use crate::ids::AccountId;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Somebody could not be contained cleanly, or comes back afterwards.
    High,
    /// It makes containing slower, or a break-in likelier.
    Medium,
    /// Good order.
    Low,
}

/// A rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Rule {
    /// Config's: a group without users.
    #[serde(rename = "iam-group-has-users-check")]
    IamGroupHasUsers,
    /// Config's: a user in no group.
    #[serde(rename = "iam-user-group-membership-check")]
    IamUserGroupMembership,
    /// Config's: a user with policies of their own.
    #[serde(rename = "iam-user-no-policies-check")]
    IamUserNoPolicies,
    /// Config's: a weak password policy.
    #[serde(rename = "iam-password-policy")]
    IamPasswordPolicy,
    /// Config's: a console user without MFA.
    #[serde(rename = "mfa-enabled-for-iam-console-access")]
    MfaEnabled,
    /// A console user with access keys.
    #[serde(rename = "console-user-has-access-keys")]
    ConsoleUserHasKeys,
    /// A demand for MFA that refuses a forced change of password.
    #[serde(rename = "mfa-policy-blocks-password-reset")]
    MfaBlocksPasswordReset,
    /// A demand for MFA that keeps its user from enrolling a device.
    #[serde(rename = "mfa-policy-blocks-enrolment")]
    MfaBlocksEnrolment,
    /// A demand for MFA that access keys pass by.
    #[serde(rename = "mfa-policy-spares-access-keys")]
    MfaSparesKeys,
    /// A role that users switch into without MFA.
    #[serde(rename = "switch-role-without-mfa")]
    SwitchWithoutMfa,
    /// A role that users switch into under any name.
    #[serde(rename = "switch-role-session-name-free")]
    SwitchNameFree,
    /// Users of one name who switch roles.
    #[serde(rename = "switch-role-names-in-common")]
    SwitchNamesInCommon,
    /// A permission set that can make or empower identities.
    #[serde(rename = "permission-set-manages-iam")]
    SetManagesIam,
    /// A permission set whose sessions live long.
    #[serde(rename = "permission-set-session-too-long")]
    SetSessionTooLong,
    /// Access to the management account.
    #[serde(rename = "management-account-access")]
    ManagementAccess,
    /// A user of the directory's own beside a provider's.
    #[serde(rename = "local-user-beside-provider")]
    LocalUser,
    /// A break-glass user without MFA.
    #[serde(rename = "break-glass-without-mfa")]
    BreakGlassWithoutMfa,
    /// A break-glass user who is not there.
    #[serde(rename = "break-glass-missing")]
    BreakGlassMissing,
    /// What could not be looked at.
    #[serde(rename = "not-audited")]
    NotAudited,
}

impl Rule {
    /// How bad it is.
    pub fn severity(self) -> Severity {
        match self {
            Rule::MfaEnabled
            | Rule::SwitchWithoutMfa
            | Rule::SwitchNameFree
            | Rule::SetManagesIam
            | Rule::ManagementAccess
            | Rule::BreakGlassWithoutMfa
            | Rule::BreakGlassMissing => Severity::High,
            Rule::ConsoleUserHasKeys
            | Rule::IamPasswordPolicy
            | Rule::MfaBlocksEnrolment
            | Rule::MfaSparesKeys
            | Rule::SwitchNamesInCommon
            | Rule::SetSessionTooLong
            | Rule::LocalUser
            | Rule::NotAudited => Severity::Medium,
            Rule::IamGroupHasUsers
            | Rule::IamUserGroupMembership
            | Rule::IamUserNoPolicies
            | Rule::MfaBlocksPasswordReset => Severity::Low,
        }
    }

    /// Why it matters in an incident.
    pub fn why(self) -> &'static str {
        match self {
            Rule::IamGroupHasUsers => {
                "A group that nobody is in is one that nobody watches: whoever is put into it has its rights at once."
            }
            Rule::IamUserGroupMembership => {
                "Rights that no group gives are found user by user, while somebody waits."
            }
            Rule::IamUserNoPolicies => {
                "Rights of a user's own are where an attacker's additions are not noticed."
            }
            Rule::IamPasswordPolicy => {
                "A password that is guessed is a session that nobody minted by hand."
            }
            Rule::MfaEnabled => {
                "Whoever has the password has the console: this is the user whom the next incident is about."
            }
            Rule::ConsoleUserHasKeys => {
                "Two ways in, and both are to be closed: the keys work on when the password is gone."
            }
            Rule::MfaBlocksPasswordReset => {
                "After an incident passwords are reset, and whoever must change theirs cannot get in."
            }
            Rule::MfaBlocksEnrolment => {
                "Nobody can follow the demand by themselves, so it will be lifted for them in a hurry."
            }
            Rule::MfaSparesKeys => "A stolen key is asked for no device.",
            Rule::SwitchWithoutMfa => {
                "A stolen key or password is enough to be somebody with more rights."
            }
            Rule::SwitchNameFree => {
                "Containing the user denies the sessions that are named after them; these are named as the attacker likes, and must be traced one by one."
            }
            Rule::SwitchNamesInCommon => {
                "A deny of one of them is a deny of all: their sessions in roles have the same name."
            }
            Rule::SetManagesIam => {
                "Whoever holds it makes an IAM user, and comes back with that user's key when their own access is closed."
            }
            Rule::SetSessionTooLong => {
                "A deny must stay as long as the longest session could live."
            }
            Rule::ManagementAccess => {
                "No service control policy applies there: containing them takes another way, and more time."
            }
            Rule::LocalUser => "Disabling somebody at the identity provider does not reach them.",
            Rule::BreakGlassWithoutMfa => {
                "No deny will hit them, so nothing but the device stands between an attacker and everything."
            }
            Rule::BreakGlassMissing => {
                "When it is needed nobody is spared, because nobody has this id."
            }
            Rule::NotAudited => "What was not looked at is not fine.",
        }
    }

    pub(super) fn found(
        self,
        account: Option<&AccountId>,
        resource: &str,
        seen: String,
        fix: String,
    ) -> Finding {
        Finding {
            severity: self.severity(),
            rule: self,
            account: account.cloned(),
            resource: resource.to_owned(),
            seen,
            why: self.why(),
            fix,
        }
    }
}
