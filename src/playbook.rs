//! How an incident is run: a typed playbook, read from TOML.
//!
//! Data without expressions (design §8): the engine has the steps, a playbook sets targets, waits and the checklist
//! of what only people can do. A field that we don't know, a duration that is none, a role name that cannot be one
//! is refused with line and column, because a typo found at 3 a.m. is found too late.

use std::collections::BTreeSet;

use jiff::SignedDuration;
use serde::{Deserialize, Deserializer, Serialize};

use crate::cloud::Probe;
use crate::ids::*;

/// The playbooks that come with quell, by name.
const EMBEDDED: &[(&str, &str)] = &[(
    "identity-center-user",
    include_str!("../playbooks/identity-center-user.toml"),
)];

/// One playbook.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Playbook {
    /// Its name, as `quell playbook show` takes it.
    pub name: String,
    /// One line for people.
    pub summary: String,
    /// The GuardDuty finding types it answers; `*` stands for any text.
    pub answers: Vec<String>,
    /// Where the deny is attached.
    pub target: Target,
    /// `aws:userid` values that no deny may hit.
    #[serde(default, deserialize_with = "userids")]
    pub break_glass: Vec<String>,
    /// How the deny is proven.
    pub verify: Verify,
    /// When it is taken away.
    pub release: Release,
    /// What only people can do, in order.
    #[serde(default)]
    pub by_hand: Vec<ByHand>,
}

/// Where the deny is attached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Target {
    /// The organization's root, whatever its id: every member account.
    Root,
    /// A root, organizational unit or account by id.
    Id(TargetId),
}

/// How the deny is proven.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verify {
    /// Roles to enter member accounts with, in the order they are tried.
    pub canary_roles: Vec<RoleName>,
    /// What canaries ask; [`Probe::AccountAliases`] if nothing is named.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub probes: BTreeSet<Probe>,
    /// Where they ask what has an answer in every Region; that of the configuration if none is named.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub regions: BTreeSet<Region>,
    /// When to stop asking.
    #[serde(with = "duration")]
    pub timeout: SignedDuration,
    /// The pause between two rounds.
    #[serde(with = "duration")]
    pub every: SignedDuration,
    /// So many refusals in a row make an account proven.
    #[serde(deserialize_with = "at_least_one")]
    pub in_a_row: u32,
}

/// When the deny is taken away.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Release {
    /// Added to the longest session that could exist.
    #[serde(with = "duration")]
    pub margin: SignedDuration,
}

/// One thing that AWS has no interface for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ByHand {
    /// By what it is noted as done: `quell evict … --attest <item>`.
    pub item: ItemId,
    /// What to do, a full sentence.
    #[serde(rename = "do")]
    pub what: String,
    /// Where to do it, or how.
    pub link: String,
}

/// A text that is no playbook; the message has line, column and the line itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PlaybookError(String);

impl Playbook {
    /// Reads a playbook.
    ///
    /// # Errors
    /// [`PlaybookError`] with line and column, on anything that is not exactly a playbook.
    pub fn parse(text: &str) -> Result<Self, PlaybookError> {
        let playbook: Self = toml::from_str(text)
            .map_err(|error| PlaybookError(error.to_string().trim_end().to_owned()))?;
        if playbook.verify.canary_roles.is_empty() {
            return Err(PlaybookError(
                "`verify.canary_roles` is empty: without a role nothing can be proven".to_owned(),
            ));
        }
        let row =
            playbook.verify.every * i32::try_from(playbook.verify.in_a_row).unwrap_or(i32::MAX);
        if playbook.verify.every.is_zero() || row > playbook.verify.timeout {
            return Err(PlaybookError(
                "`verify` can never prove anything: `in_a_row` rounds, one each `every`, must fit into `timeout`, and `every` must be more than nothing".to_owned(),
            ));
        }
        Ok(playbook)
    }

    /// The names of the playbooks that come with quell.
    pub fn names() -> impl Iterator<Item = &'static str> {
        EMBEDDED.iter().map(|(name, _)| *name)
    }

    /// The text of a playbook that comes with quell.
    pub fn text_of(name: &str) -> Option<&'static str> {
        EMBEDDED
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, text)| *text)
    }

    /// The playbook for an Identity Center user, which every verb uses unless told otherwise.
    ///
    /// # Errors
    /// Never for the text that is embedded (a test parses each); the type says so rather than a panic.
    pub fn default_one() -> Result<Self, PlaybookError> {
        let (_, text) = EMBEDDED.first().copied().unwrap_or_default();
        Self::parse(text)
    }

    /// Whether it answers a finding of this type.
    pub fn answers(&self, finding_type: &str) -> bool {
        self.answers
            .iter()
            .any(|glob| glob_matches(glob, finding_type))
    }
}

/// Whether `text` is `glob` with every `*` standing for any text.
fn glob_matches(glob: &str, text: &str) -> bool {
    let Some((head, tail)) = glob.split_once('*') else {
        return glob == text;
    };
    let Some(mut rest) = text.strip_prefix(head) else {
        return false;
    };
    let mut pieces = tail.split('*').peekable();
    while let Some(piece) = pieces.next() {
        if pieces.peek().is_none() {
            return rest.ends_with(piece);
        }
        let Some((_, after)) = rest.split_once(piece) else {
            return false;
        };
        rest = after;
    }
    true
}

impl TryFrom<String> for Target {
    type Error = NotAnId;
    fn try_from(text: String) -> Result<Self, NotAnId> {
        if text == "root" {
            Ok(Target::Root)
        } else {
            TargetId::parse(text).map(Target::Id)
        }
    }
}

impl From<Target> for String {
    fn from(target: Target) -> String {
        match target {
            Target::Root => "root".to_owned(),
            Target::Id(id) => id.into(),
        }
    }
}

/// `aws:userid` values. An ARN or a bare name is never one, and would spare nobody in silence.
fn userids<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let values = Vec::<String>::deserialize(deserializer)?;
    for value in &values {
        let session = value.split_once(':').is_some_and(|(id, name)| {
            (RoleId::parse(id).is_ok() || AccountId::parse(id).is_ok())
                && SessionName::parse(name).is_ok()
        });
        let user = value.starts_with("AIDA") && value.bytes().all(|b| b.is_ascii_alphanumeric());
        if !(session || user || AccountId::parse(value.clone()).is_ok()) {
            let error = format!(
                "`{value}` is not an aws:userid: expected AROA…:session-name, AIDA…, or an account id for its root"
            );
            return Err(serde::de::Error::custom(error));
        }
    }
    Ok(values)
}

fn at_least_one<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    match u32::deserialize(deserializer)? {
        0 => Err(serde::de::Error::custom(
            "expected at least 1: no refusal at all proves nothing",
        )),
        n => Ok(n),
    }
}

/// Durations as people write them: `15m`, `1h 30m`.
mod duration {
    use jiff::SignedDuration;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(
        duration: &SignedDuration,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{duration:#}"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<SignedDuration, D::Error> {
        super::parse_duration(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// Reads a duration as people write it, `15m` or `1h 30m`. Negative ones are refused: a wait cannot be one.
///
/// # Errors
/// A lower-case fragment that says what was expected.
pub fn parse_duration(text: &str) -> Result<SignedDuration, String> {
    let duration: SignedDuration = text
        .parse()
        .map_err(|_| format!("`{text}` is not a duration: expected one like 15m or 1h 30m"))?;
    // A year is longer than any wait quell has, and far from where adding to a date could overflow.
    if duration.is_negative() || duration > SignedDuration::from_hours(24 * 366) {
        return Err(format!(
            "`{text}` is not a duration between nothing and a year"
        ));
    }
    Ok(duration)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(from: &str, to: &str) -> Result<Playbook, PlaybookError> {
        let text = Playbook::text_of("identity-center-user").unwrap();
        assert!(
            text.contains(from),
            "the playbook has no {from:?} to change"
        );
        Playbook::parse(&text.replacen(from, to, 1))
    }

    #[test]
    fn every_playbook_that_comes_with_quell_is_sound() {
        for name in Playbook::names() {
            let playbook = Playbook::parse(Playbook::text_of(name).unwrap()).unwrap();
            assert_eq!(playbook.name, name);
        }
    }

    /// `line N`, where the text stands in the playbook.
    fn line_of(text: &str) -> String {
        let playbook = Playbook::text_of("identity-center-user").unwrap();
        format!(
            "line {}",
            playbook.split(text).next().unwrap().lines().count()
                + usize::from(text.starts_with(|c: char| c != '['))
        )
    }

    #[test]
    fn a_misspelt_field_is_refused_where_it_stands() {
        let error = changed("in_a_row = 3", "in_row = 3")
            .unwrap_err()
            .to_string();
        assert!(
            error.contains(&format!("{}, column 1", line_of("in_a_row")))
                && error.contains("in_row"),
            "{error}"
        );
    }

    #[test]
    fn a_wrong_type_a_bad_duration_and_a_bad_role_are_refused_where_they_stand() {
        for (from, to) in [
            ("in_a_row = 3", "in_a_row = \"three\""),
            ("in_a_row = 3", "in_a_row = 0"),
            ("timeout = \"15m\"", "timeout = \"soon\""),
            ("timeout = \"15m\"", "timeout = \"-15m\""),
            ("[\"quell-canary\"", "[\"quell canary\""),
            ("target = \"root\"", "target = \"everywhere\""),
            ("break_glass = []", "break_glass = [\"*\"]"),
            (
                "break_glass = []",
                "break_glass = [\"arn:aws:iam::111122223333:role/BreakGlass\"]",
            ),
        ] {
            let error = changed(from, to).unwrap_err().to_string();
            assert!(error.contains(&line_of(from)), "{to}: {error}");
        }
    }

    #[test]
    fn a_playbook_without_a_canary_role_is_refused() {
        let error = changed(
            "[\"quell-canary\", \"OrganizationAccountAccessRole\"]",
            "[]",
        )
        .unwrap_err();
        assert!(
            error.to_string().contains("nothing can be proven"),
            "{error}"
        );
    }

    #[test]
    fn waits_in_which_nothing_can_be_proven_are_refused() {
        for (from, to) in [
            ("every = \"2s\"", "every = \"0s\""),
            ("every = \"2s\"", "every = \"1h\""),
            ("in_a_row = 3", "in_a_row = 99999"),
            ("timeout = \"15m\"", "timeout = \"0s\""),
        ] {
            let error = changed(from, to).unwrap_err().to_string();
            assert!(error.contains("can never prove"), "{to}: {error}");
        }
    }

    #[test]
    fn it_answers_the_finding_types_it_names() {
        let playbook = Playbook::default_one().unwrap();
        assert!(playbook.answers("UnauthorizedAccess:IAMUser/TorIPCaller"));
        assert!(playbook.answers("AttackSequence:IAM/CompromisedCredentials"));
        assert!(!playbook.answers("CryptoCurrency:EC2/BitcoinTool.B"));
    }
}
