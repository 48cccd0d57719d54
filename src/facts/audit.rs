//! What an audit learned of accounts: their IAM users, groups, roles and policies, each account's in three answers.
//!
//! Policies stand here as they were written; whoever judges them reads them.

use std::collections::{BTreeMap, BTreeSet};

use crate::facts::checkup::Holding;
use crate::facts::{Known, Listed, PermissionSet};
use crate::ids::*;

/// One account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audited {
    /// The account.
    pub account: AccountId,
    /// From `iam:GetAccountAuthorizationDetails`.
    pub details: Details,
    /// What the credential report says of each user, by name.
    pub credentials: BTreeMap<String, Credentials>,
    /// The account's password policy; `None` where it has AWS's default.
    pub passwords: Option<PasswordPolicy>,
}

/// Who is in an account, and every policy that is theirs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Details {
    /// Its users, by name.
    pub users: BTreeMap<String, UserDetail>,
    /// Its groups, by name.
    pub groups: BTreeMap<String, Grants>,
    /// Its roles, by name.
    pub roles: BTreeMap<String, RoleDetail>,
    /// Managed policies that are in use, by ARN: the default version of each.
    pub managed: BTreeMap<String, String>,
}

/// The policies of one identity.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grants {
    /// Inline ones, by name.
    pub inline: BTreeMap<String, String>,
    /// The ARNs of managed ones.
    pub attached: BTreeSet<String>,
}

/// An IAM user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserDetail {
    /// `AIDA…`.
    pub id: String,
    /// With its path.
    pub arn: String,
    /// What is theirs directly.
    pub grants: Grants,
    /// The groups they are in.
    pub groups: BTreeSet<String>,
    /// The managed policy that bounds what they may do, if any.
    pub boundary: Option<String>,
}

/// A role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleDetail {
    /// `AROA…`, with which the `aws:userid` of each of its sessions begins.
    pub id: String,
    /// With its path.
    pub arn: String,
    /// Its trust policy.
    pub trust: String,
    /// What it may do.
    pub grants: Grants,
    /// The managed policy that bounds what it may do, if any.
    pub boundary: Option<String>,
}

/// What the credential report says of a user.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Credentials {
    /// Whether they have a console password.
    pub password: bool,
    /// Whether they have an MFA device.
    pub mfa: bool,
    /// How many of their access keys are active.
    pub active_keys: u8,
}

/// A password policy.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PasswordPolicy {
    /// The shortest password.
    pub length: i32,
    /// Whether it must have a symbol.
    pub symbols: bool,
    /// Whether it must have a digit.
    pub numbers: bool,
    /// Whether it must have a capital letter.
    pub uppercase: bool,
    /// Whether it must have a small letter.
    pub lowercase: bool,
    /// Days until it must be changed; none if never.
    pub max_age: Option<i32>,
    /// How many earlier ones it must not be; none if it may.
    pub reuse: Option<i32>,
}

/// What an audit learned of Identity Center.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct People {
    /// Every permission set.
    pub sets: Known<BTreeMap<PermissionSetArn, PermissionSet>>,
    /// What people hold in the management account.
    pub in_management: Known<Vec<Holding>>,
    /// The directory's users.
    pub users: Known<Listed>,
}

/// Reads a credential report: comma-separated, with a head line that names the columns.
///
/// # Errors
/// A lower-case fragment, when it has not the columns that AWS documents.
pub fn credential_report(text: &str) -> Result<BTreeMap<String, Credentials>, String> {
    let mut lines = text.lines();
    let head: Vec<&str> = lines.next().unwrap_or_default().split(',').collect();
    let column = |name: &str| {
        let at = head.iter().position(|column| *column == name);
        at.ok_or_else(|| format!("the credential report has no column {name}"))
    };
    let (password, mfa) = (column("password_enabled")?, column("mfa_active")?);
    let keys = [
        column("access_key_1_active")?,
        column("access_key_2_active")?,
    ];
    let mut users = BTreeMap::new();
    for line in lines.filter(|line| !line.is_empty()) {
        let mut cells: Vec<&str> = line.split(',').collect();
        // A user's name can have commas, twice in a line: what comes after the ARN has none.
        let extra = cells.len().saturating_sub(head.len());
        let name = cells.get(..=extra / 2).unwrap_or_default().join(",");
        cells.drain(..extra.min(cells.len()));
        let is = |at: usize| cells.get(at).is_some_and(|cell| *cell == "true");
        let credentials = Credentials {
            password: is(password),
            mfa: is(mfa),
            active_keys: keys.iter().map(|at| u8::from(is(*at))).sum(),
        };
        users.insert(name, credentials);
    }
    Ok(users)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_report_is_read_by_its_head_and_whatever_names_it_has() {
        let text = "user,arn,user_creation_time,password_enabled,mfa_active,access_key_1_active,access_key_2_active\n\
            <root_account>,arn:aws:iam::111122223333:root,2026-01-01T00:00:00+00:00,not_supported,true,false,false\n\
            alice,arn:aws:iam::111122223333:user/alice,2026-01-01T00:00:00+00:00,true,false,true,true\n\
            smith,bob,arn:aws:iam::111122223333:user/smith,bob,2026-01-01T00:00:00+00:00,false,true,true,false\n";
        let read = credential_report(text).unwrap();
        let alice = Credentials {
            password: true,
            mfa: false,
            active_keys: 2,
        };
        let bob = Credentials {
            password: false,
            mfa: true,
            active_keys: 1,
        };
        assert_eq!(read["alice"], alice);
        assert_eq!(read["smith,bob"], bob);
        assert!(credential_report("user,arn\n").is_err());
        assert!(credential_report("").is_err());
    }
}
