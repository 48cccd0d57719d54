//! Newtypes for every identifier that AWS, an operator or quell itself hands around.
//!
//! Each is checked once, where it enters, against the shape AWS documents for it; after that a value of the
//! type *is* of that shape, and nothing downstream checks again. What is not of the shape is [`NotAnId`],
//! which says what was given and what was expected. Text that AWS leaves free ([`Username`]) is kept as it is.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A text that is not the identifier it was offered as.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not {what}: expected {shape}", shorten(.given, 80))]
pub struct NotAnId {
    /// The identifier it was offered as, with its article: `an account id`.
    pub what: &'static str,
    /// The shape that AWS documents for it.
    pub shape: &'static str,
    /// What was given, whole.
    pub given: String,
}

/// At most so many characters of a text that may be megabytes long, for a line that people read.
pub fn shorten(given: &str, most: usize) -> String {
    let mut shown: String = given.chars().take(most).collect();
    if shown.len() < given.len() {
        shown.push('…');
    }
    shown
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident: $what:literal, $shape:literal, $valid:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Takes a text that has the documented shape; refuses every other with [`NotAnId`].
            ///
            /// # Errors
            /// [`NotAnId`] when the text does not have the shape.
            pub fn parse(given: impl Into<String>) -> Result<Self, NotAnId> {
                let given = given.into();
                let valid: fn(&str) -> bool = $valid;
                if valid(&given) { Ok(Self(given)) } else { Err(NotAnId { what: $what, shape: $shape, given }) }
            }

            /// The identifier as AWS writes it.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = NotAnId;
            fn from_str(given: &str) -> Result<Self, NotAnId> {
                Self::parse(given)
            }
        }

        impl TryFrom<String> for $name {
            type Error = NotAnId;
            fn try_from(given: String) -> Result<Self, NotAnId> {
                Self::parse(given)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }
    )*};
}

ids! {
    /// An AWS account, 12 digits. Never changes.
    AccountId: "an account id", "12 digits", |s| s.len() == 12 && s.bytes().all(|b| b.is_ascii_digit());

    /// An organization, `o-` and 10 to 32 lower-case letters or digits.
    OrganizationId: "an organization id", "o- and 10 to 32 letters or digits", |s| tail(s, "o-", 10, 32, lower);

    /// What a policy is attached to: a root (`r-…`), an organizational unit (`ou-…`) or an account.
    TargetId: "an attachment target", "a root (r-…), an organizational unit (ou-…) or a 12-digit account",
        |s| AccountId::parse(s).is_ok() || is_root(s) || is_unit(s);

    /// An Organizations policy, `p-…`. Chosen by AWS at creation.
    PolicyId: "a policy id", "p- and 8 to 128 letters, digits or underscores",
        |s| tail(s, "p-", 8, 128, |b| b.is_ascii_alphanumeric() || b == b'_');

    /// The ARN of an Organizations policy, as it stands in AWS's refusals since January 2026.
    PolicyArn: "a policy ARN", "arn:…:organizations::…:policy/…",
        |s| s.starts_with("arn:") && s.contains(":organizations::") && s.contains(":policy/");

    /// An Identity Center identity store, `d-…` or a UUID. Only ever handed back to AWS, so wider than AWS's own
    /// ten hex digits: an unexpected letter is no reason to leave somebody in.
    IdentityStoreId: "an identity store id", "d- and letters or digits, or a UUID",
        |s| tail(s, "d-", 1, 62, lower) || is_uuid(s);

    /// The ARN of an Identity Center instance, `arn:…:sso:::instance/ssoins-…`. Only ever handed back to AWS.
    InstanceArn: "an Identity Center instance ARN", "arn:…:sso:…", |s| s.starts_with("arn:") && s.contains(":sso:");

    /// The ARN of a permission set, `arn:…:sso:::permissionSet/…`. A deleted and re-created set gets another. Only ever
    /// handed back to AWS.
    PermissionSetArn: "a permission set ARN", "arn:…:sso:…", |s| s.starts_with("arn:") && s.contains(":sso:");

    /// An Identity Center user: a UUID, with ten hex digits before it in older stores. The one name of a
    /// person that no renaming changes.
    UserId: "an Identity Center user id", "a UUID, in older stores with ten hex digits and a dash before it", is_store_member;

    /// An Identity Center group, shaped like [`UserId`].
    GroupId: "an Identity Center group id", "a UUID, in older stores with ten hex digits and a dash before it", is_store_member;

    /// A user's place in a group. Only ever handed back to AWS.
    MembershipId: "a membership id", "1 to 100 letters, digits or dashes",
        |s| tail(s, "", 1, 100, |b| b.is_ascii_alphanumeric() || b == b'-');

    /// An account access manager application. Only ever handed back to AWS.
    ApplicationArn: "an account access manager application ARN", "arn:…", |s| s.starts_with("arn:") && s.len() <= 2048;

    /// An account access manager entitlement. Only ever handed back to AWS.
    EntitlementId: "an entitlement id", "1 to 100 letters, digits, dashes or underscores",
        |s| tail(s, "", 1, 100, |b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');

    /// The ARN of a role, `arn:…:iam::<account>:role/…`.
    RoleArn: "a role ARN", "arn:…:iam::…:role/…",
        |s| s.starts_with("arn:") && s.contains(":iam::") && s.contains(":role/") && s.len() <= 2048;

    /// Whoever may enter a role: the ARN of a role or user, in whose name `*` stands for any text.
    PrincipalPattern: "the ARN of a role or user", "arn:aws:iam::<account>:role/<name> or …:user/<name>", is_principal;

    /// A playbook's name, as files, flags and tags have it.
    PlaybookName: "a playbook's name", "1 to 60 lower-case letters, digits and dashes",
        |s| tail(s, "", 1, 60, |b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');

    /// An item of the checklist of what only people can do: `portal-sessions`.
    ItemId: "a checklist item", "1 to 40 lower-case letters and dashes",
        |s| tail(s, "", 1, 40, |b| b.is_ascii_lowercase() || b == b'-');

    /// A role's unique id, `AROA…`: the first half of `aws:userid` in every session of the role.
    RoleId: "a role id", "AROA and 12 to 124 letters or digits",
        |s| tail(s, "AROA", 12, 124, |b| b.is_ascii_uppercase() || b.is_ascii_digit());

    /// A role session's name, or a source identity: 2 to 64 of `[A-Za-z0-9_+=,.@-]`. Nothing else can be
    /// one (STS refuses it), so a text of this type needs no escape in a policy and holds no wildcard.
    SessionName: "a role session name", "2 to 64 of the characters A-Z a-z 0-9 _ + = , . @ -",
        |s| (2..=64).contains(&s.len()) && s.bytes().all(nameable);

    /// An IAM user's unique id, `AIDA…`: the `aws:userid` of the user and of their `GetSessionToken` sessions.
    IamUserId: "an IAM user id", "AIDA and 12 to 124 letters or digits",
        |s| tail(s, "AIDA", 12, 124, |b| b.is_ascii_uppercase() || b.is_ascii_digit());

    /// The name of an IAM user, without its path: unique in the account whatever the path is.
    IamUserName: "an IAM user's name", "1 to 64 of the characters A-Z a-z 0-9 _ + = , . @ -",
        |s| (1..=64).contains(&s.len()) && s.bytes().all(nameable);

    /// The name of a `GetFederationToken` user, the second half of their `aws:userid`: `<account>:<name>`.
    FederatedName: "a federated user's name", "2 to 32 of the characters A-Z a-z 0-9 _ + = , . @ -",
        |s| (2..=32).contains(&s.len()) && s.bytes().all(nameable);

    /// The `aws:userid` of one session: `AROA…:<name>` of a role's, `<account>:<name>` of a `GetFederationToken` user's.
    SessionUserId: "a session's aws:userid", "AROA…:<session name> or <account>:<federated name>", is_session_user_id;

    /// An AWS partition, the second part of every ARN: `aws`, `aws-cn`, `aws-us-gov`.
    Partition: "a partition", "aws, or aws- and letters as in aws-us-gov",
        |s| s == "aws" || tail(s, "aws-", 2, 16, |b| b.is_ascii_lowercase() || b == b'-');

    /// An access key id, `AKIA…` (long-term) or `ASIA…` (temporary).
    AccessKeyId: "an access key id", "16 to 128 letters, digits or underscores",
        |s| tail(s, "", 16, 128, |b| b.is_ascii_alphanumeric() || b == b'_');

    /// A GuardDuty detector: one per account and Region.
    DetectorId: "a GuardDuty detector id", "1 to 300 letters or digits", |s| tail(s, "", 1, 300, |b| b.is_ascii_alphanumeric());

    /// A GuardDuty finding.
    FindingId: "a GuardDuty finding id", "1 to 300 letters or digits", |s| tail(s, "", 1, 300, |b| b.is_ascii_alphanumeric());

    /// An AWS Region such as `eu-west-1`. The SDK takes a misspelt one for real, so the shape is ours to check.
    Region: "an AWS Region", "letters, digits and dashes as in eu-west-1",
        |s| s.len() >= 9 && s.matches('-').count() >= 2 && s.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && s.as_bytes().last().is_some_and(u8::is_ascii_digit) && s.as_bytes().first().is_some_and(u8::is_ascii_lowercase);

    /// The name of an IAM role, without its path.
    RoleName: "a role name", "1 to 64 of the characters A-Z a-z 0-9 _ + = , . @ -",
        |s| (1..=64).contains(&s.len()) && s.bytes().all(nameable);

    /// One containment, from plan to release: `q-` and six hex digits, carried by everything it touches.
    IncidentId: "an incident id", "q- and six hex digits, as in q-7f3a9c", |s| tail(s, "q-", 6, 6, hex_digit);
}

impl SessionUserId {
    /// The session's name.
    pub fn name(&self) -> &str {
        self.0.split_once(':').map_or("", |(_, name)| name)
    }

    /// Whether its name is one of those that quell gives its own sessions.
    pub fn is_named_as_ours(&self) -> bool {
        let ours = [CONTROL, SOURCE, SURVEY];
        ours.iter().any(|prefix| self.name().starts_with(prefix))
    }
}

fn is_session_user_id(text: &str) -> bool {
    let role = |id: &str, name: &str| RoleId::parse(id).is_ok() && SessionName::parse(name).is_ok();
    let federated =
        |id: &str, name: &str| AccountId::parse(id).is_ok() && FederatedName::parse(name).is_ok();
    text.split_once(':')
        .is_some_and(|(id, name)| role(id, name) || federated(id, name))
}

impl PrincipalPattern {
    /// Whether it is everybody of a kind in the account: a name of `*` alone.
    pub fn is_anybody(&self) -> bool {
        let (_, name) = self.0.rsplit_once('/').unwrap_or_default();
        name.bytes().all(|b| b == b'*')
    }
}

impl TargetId {
    /// Whether this is the organization's root, where a policy reaches every member account.
    pub fn is_root(&self) -> bool {
        is_root(&self.0)
    }

    /// The account, if the target is one.
    pub fn account(&self) -> Option<AccountId> {
        AccountId::parse(self.0.clone()).ok()
    }
}

impl From<AccountId> for TargetId {
    fn from(account: AccountId) -> Self {
        Self(account.0)
    }
}

impl SessionName {
    /// The name of our own sessions before there is an incident to name them after.
    pub fn of_survey() -> Self {
        Self(SURVEY.to_owned())
    }

    /// Whether EC2 names the sessions of an instance so: `i-` and 8 or 17 hex digits.
    pub fn is_of_instance(&self) -> bool {
        self.0.strip_prefix("i-").is_some_and(|digits| {
            matches!(digits.len(), 8 | 17) && digits.bytes().all(|b| b.is_ascii_hexdigit())
        })
    }

    /// Whether it is a witness's, which is nobody's but ours.
    pub fn is_of_witness(&self) -> bool {
        self.0
            .strip_prefix(WITNESS)
            .is_some_and(|id| IncidentId::parse(id).is_ok())
    }
}

/// What the names of our own sessions begin with: of the control, of whoever carries a source identity of the suspect's,
/// and before there is an incident.
const CONTROL: &str = "quell-control-";

/// See [`CONTROL`].
const SOURCE: &str = "quell-source-";

/// See [`CONTROL`].
const SURVEY: &str = "quell-survey";

/// The name of the armed policy, unique in the organization: no incident's own policy can be named so.
pub const ARMED_POLICY: &str = "quell-armed";

/// What the names of witnesses begin with.
const WITNESS: &str = "quell-witness-";

impl IncidentId {
    /// The incident id that three bytes spell.
    pub fn from_bytes(bytes: [u8; 3]) -> Self {
        Self(format!("q-{}", hex::encode(bytes)))
    }

    /// The incident's part of a Sid, which may hold letters and digits only: `7f3a9c`.
    pub fn sid_part(&self) -> &str {
        self.0.strip_prefix("q-").unwrap_or(&self.0)
    }

    /// The name of the incident's policy, unique in the organization: `quell-q-7f3a9c`.
    pub fn policy_name(&self) -> String {
        format!("quell-{self}")
    }

    /// The session name of the canary control: neutral, and naming the incident in every log it appears in. Of a
    /// session name's alphabet and length by construction.
    pub fn control_name(&self) -> SessionName {
        SessionName(format!("{CONTROL}{self}"))
    }

    /// The session name of the canary that carries a source identity of the suspect's, and nothing else of theirs.
    pub fn source_name(&self) -> SessionName {
        SessionName(format!("{SOURCE}{self}"))
    }

    /// The session name of the witness: a canary that the deny refuses by this name and for nothing else, where whoever is
    /// denied has no name that a canary could take.
    pub fn witness_name(&self) -> SessionName {
        SessionName(format!("{WITNESS}{self}"))
    }

    /// The incident that a policy name belongs to, if it is one of ours.
    pub fn of_policy_name(name: &str) -> Option<Self> {
        name.strip_prefix("quell-")
            .and_then(|id| Self::parse(id).ok())
    }
}

/// An Identity Center username as the directory spells it: 1 to 128 characters of almost anything. Case is
/// kept. It is data: whether it can also be a session name is for [`SessionName`] to say.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Username(String);

impl Username {
    /// Takes the text as it is.
    pub fn new(given: impl Into<String>) -> Self {
        Self(given.into())
    }

    /// The username as the directory spells it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Username {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `arn:<partition>:iam::<account>:role/<name>`, or `user/<name>`.
fn is_principal(s: &str) -> bool {
    let mut parts = s.splitn(6, ':');
    let mut next = || parts.next().unwrap_or_default();
    let (arn, partition, iam, region, account) = (next(), next(), next(), next(), next());
    let name = next();
    let name = name.strip_prefix("role/").or(name.strip_prefix("user/"));
    let named =
        name.is_some_and(|name| tail(name, "", 1, 512, |b| nameable(b) || b == b'/' || b == b'*'));
    let partition = Partition::parse(partition).is_ok();
    let account = AccountId::parse(account).is_ok();
    arn == "arn" && iam == "iam" && region.is_empty() && partition && account && named
}

fn tail(s: &str, prefix: &str, least: usize, most: usize, of: fn(u8) -> bool) -> bool {
    s.strip_prefix(prefix)
        .is_some_and(|rest| (least..=most).contains(&rest.len()) && rest.bytes().all(of))
}

fn lower(b: u8) -> bool {
    b.is_ascii_lowercase() || b.is_ascii_digit()
}

/// What IAM and STS take in names: no wildcard, no `$`, no colon.
fn nameable(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"_+=,.@-".contains(&b)
}

fn hex_digit(b: u8) -> bool {
    b.is_ascii_digit() || (b'a'..=b'f').contains(&b)
}

fn is_root(s: &str) -> bool {
    tail(s, "r-", 4, 32, lower)
}

fn is_unit(s: &str) -> bool {
    let Some((root, unit)) = s.strip_prefix("ou-").and_then(|rest| rest.split_once('-')) else {
        return false;
    };
    tail(root, "", 4, 32, lower) && tail(unit, "", 8, 32, lower)
}

fn is_uuid(s: &str) -> bool {
    let lengths: Vec<usize> = s.split('-').map(str::len).collect();
    lengths == [8, 4, 4, 4, 12] && s.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit())
}

fn is_store_member(s: &str) -> bool {
    is_uuid(s)
        || s.split_once('-').is_some_and(|(store, rest)| {
            store.len() == 10 && store.bytes().all(hex_digit) && is_uuid(rest)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_can_never_be_a_session_name() {
        for hostile in [
            "*",
            "?",
            "a*",
            "${aws:username}",
            "a:b",
            "a b",
            "x",
            "",
            "ä",
            "a\u{0}b",
            &"a".repeat(65),
        ] {
            assert!(
                SessionName::parse(hostile).is_err(),
                "{hostile:?} was taken for a session name"
            );
        }
        for name in [
            "ab",
            "alice@example.com",
            "A+b=c,d.e@f-g_h",
            &"a".repeat(64),
        ] {
            assert_eq!(
                SessionName::parse(name).map(String::from).as_deref(),
                Ok(name)
            );
        }
    }

    #[test]
    fn targets_are_roots_units_and_accounts() {
        for target in ["r-ab12", "ou-ab12-12345678", "111122223333"] {
            assert!(TargetId::parse(target).is_ok(), "{target}");
        }
        for other in [
            "p-abcdefgh",
            "r-",
            "ou-ab12",
            "11112222333",
            "r-AB12",
            "everything",
        ] {
            assert!(TargetId::parse(other).is_err(), "{other}");
        }
    }

    #[test]
    fn a_policy_name_leads_back_to_its_incident_and_no_other_name_does() {
        let incident = IncidentId::parse("q-7f3a9c").unwrap();
        assert_eq!(
            IncidentId::of_policy_name(&incident.policy_name()),
            Some(incident)
        );
        for other in [
            "quell-",
            "quell-armed",
            "quell-q-7f3a9",
            "quell-q-7f3a9c-old",
            "FullAWSAccess",
            "q-7f3a9c",
        ] {
            assert_eq!(IncidentId::of_policy_name(other), None, "{other}");
        }
    }

    #[test]
    fn users_of_old_and_new_stores_are_known() {
        assert!(UserId::parse("94482488-3041-7026-18f3-be45837cd0e4").is_ok());
        assert!(UserId::parse("906717a7b4-94482488-3041-7026-18f3-be45837cd0e4").is_ok());
        assert!(UserId::parse("alice").is_err());
    }

    #[test]
    fn an_error_does_not_repeat_a_megabyte() {
        let error = AccountId::parse("9".repeat(1_000_000)).unwrap_err();
        assert!(error.to_string().len() < 200);
    }
}
