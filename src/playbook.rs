//! How an incident is run: a typed playbook, read from TOML.
//!
//! Data without expressions (design §8): the engine has the steps, a playbook says which signals and principals it answers,
//! chooses and orders the steps, sets waits, and has what only people can do. A field that we don't know, a duration that
//! is none, a role name that cannot be one is refused with line and column, because a typo found at 3 a.m. is found too
//! late.

pub mod shelf;

use std::collections::BTreeSet;

use jiff::SignedDuration;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use crate::cloud::Probe;
use crate::ids::*;
use crate::principal::PrincipalKind;

/// What stands among [`Answers::signals`] for a name that somebody typed, where there is no finding.
pub const OPERATOR: &str = "operator";

/// One playbook.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Playbook {
    /// Its name, as `quell playbook show` takes it: lower-case letters, digits and dashes.
    #[schemars(with = "String")]
    pub name: PlaybookName,
    /// One line for people.
    pub summary: String,
    /// Where the deny is attached: `root`, or an organizational unit or account by id.
    #[schemars(with = "String")]
    pub target: Target,
    /// `aws:userid` values that no deny may hit, beside the operator's own.
    #[serde(default, deserialize_with = "userids")]
    pub break_glass: Vec<String>,
    /// What quell does, in this order.
    pub steps: Vec<Step>,
    /// What it is for.
    pub answers: Answers,
    /// How the deny is proven.
    pub verify: Verify,
    /// When it is taken away.
    pub release: Release,
    /// What the step `guardrail` spares.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guardrail: Option<Guardrail>,
    /// Whom to tell.
    #[serde(default)]
    pub tell: Vec<Tell>,
    /// What to save before it is gone.
    #[serde(default)]
    pub save: Vec<Save>,
    /// When not to go on.
    #[serde(default)]
    pub stop: Vec<Stop>,
    /// What only people can do, in order.
    #[serde(default)]
    pub by_hand: Vec<ByHand>,
}

/// What a playbook is for: it is chosen when all of this holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Answers {
    /// GuardDuty's finding types, `operator` for a name that somebody typed, a CloudTrail record's `service event`. `*`
    /// stands for any text, `!` before one takes out again what an earlier one took in. None: chosen by its name alone.
    pub signals: Vec<String>,
    /// What the principal is.
    pub principals: BTreeSet<PrincipalKind>,
    /// Whether they can enter the management account; either, if not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub management: Option<bool>,
    /// Whether a workload holds the session: an instance, a function, a pod; either, if not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload: Option<bool>,
}

/// What the engine can do.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// Attach the deny: always the first.
    Contain,
    /// Prove it with canaries: always the second.
    Verify,
    /// Forbid console passwords everywhere while the incident is open.
    Guardrail,
    /// Deny the person in the management account, by their permission sets there.
    Hold,
    /// Revoke their open requests in TEAM.
    RevokeTeam,
    /// Close the ways to new sessions.
    Evict,
    /// Find in CloudTrail whom they became under other names, and deny those.
    Trace,
    /// Let the last session that could exist expire.
    Wait,
    /// Take the deny away, and prove that everybody is let through: always the last.
    Release,
}

impl Step {
    /// All of them, in the order in which they may stand.
    pub const ALL: [Step; 9] = [
        Self::Contain,
        Self::Verify,
        Self::Guardrail,
        Self::Hold,
        Self::RevokeTeam,
        Self::Evict,
        Self::Trace,
        Self::Wait,
        Self::Release,
    ];

    /// As a playbook has it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Contain => "contain",
            Self::Verify => "verify",
            Self::Guardrail => "guardrail",
            Self::Hold => "hold",
            Self::RevokeTeam => "revoke-team",
            Self::Evict => "evict",
            Self::Trace => "trace",
            Self::Wait => "wait",
            Self::Release => "release",
        }
    }

    /// Without which there is no incident, or one that never ends.
    fn is_needed(self) -> bool {
        matches!(
            self,
            Self::Contain | Self::Verify | Self::Wait | Self::Release
        )
    }

    /// Whether it is about people of the directory alone.
    fn is_about_people(self) -> bool {
        matches!(self, Self::Hold | Self::RevokeTeam)
    }
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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Verify {
    /// Roles to enter member accounts with, in the order they are tried.
    #[schemars(with = "Vec<String>")]
    pub canary_roles: Vec<RoleName>,
    /// What canaries ask: `iam:ListAccountAliases` if nothing is named, and `guardduty:ListDetectors`,
    /// `cloudtrail:DescribeTrails`, `dynamodb:ListTables`.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    #[schemars(with = "Vec<String>")]
    pub probes: BTreeSet<Probe>,
    /// Where they ask what has an answer in every Region; that of the configuration if none is named.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    #[schemars(with = "Vec<String>")]
    pub regions: BTreeSet<Region>,
    /// When to stop asking: `15m`.
    #[serde(with = "duration")]
    #[schemars(with = "String")]
    pub timeout: SignedDuration,
    /// The pause between two rounds: `2s`.
    #[serde(with = "duration")]
    #[schemars(with = "String")]
    pub every: SignedDuration,
    /// So many refusals in a row, each by our policy, make an account proven.
    #[serde(deserialize_with = "at_least_one")]
    pub in_a_row: u32,
}

impl Verify {
    /// Whether something is asked that has an answer in every Region.
    pub fn asks_in_regions(&self) -> bool {
        self.probes.iter().any(|probe| probe.is_regional())
    }
}

/// When the deny is taken away.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Release {
    /// Added to the longest session that could exist, for propagation and clocks that disagree: `30m`.
    #[serde(with = "duration")]
    #[schemars(with = "String")]
    pub margin: SignedDuration,
}

/// Whom the step `guardrail` spares. With nobody named, only root users of member accounts may give console passwords while the incident is open.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Guardrail {
    /// Accounts in which everybody may.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub jump_accounts: BTreeSet<AccountId>,
    /// Roles and users who may elsewhere: ARNs, in whose names `*` stands for any text.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub except: BTreeSet<PrincipalPattern>,
    /// Whether new access keys are refused, too.
    #[serde(default)]
    pub access_keys: bool,
}

/// Somebody to tell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tell {
    /// Whom.
    pub who: String,
    /// What, and by which way, a full sentence.
    pub what: String,
}

/// Something that an incident destroys, or that is gone after a while.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Save {
    /// What, a full sentence.
    pub what: String,
    /// Where it is, or how.
    pub link: String,
}

/// A moment at which to stop and ask somebody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Stop {
    /// If this is so.
    pub when: String,
    /// Then this, a full sentence.
    #[serde(rename = "do")]
    pub what: String,
}

/// One thing that AWS has no interface for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ByHand {
    /// By what it is noted as done: `quell evict … --attest <item>`.
    #[schemars(with = "String")]
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
        playbook.in_order().map_err(PlaybookError)?;
        Ok(playbook)
    }

    /// Whether its steps can be taken as they stand; a fragment that says why not.
    fn in_order(&self) -> Result<(), String> {
        let mut steps = self.steps.iter();
        if let Some(missing) = Step::ALL
            .iter()
            .find(|step| step.is_needed() && !self.steps.contains(step))
        {
            return Err(format!("`steps` has no `{}`", missing.word()));
        }
        let twice = steps.find(|step| self.steps.iter().filter(|it| it == step).count() > 1);
        if let Some(twice) = twice {
            return Err(format!("`steps` has `{}` twice", twice.word()));
        }
        let needed: Vec<Step> = self
            .steps
            .iter()
            .copied()
            .filter(|it| it.is_needed())
            .collect();
        let ends = self.steps.starts_with(&[Step::Contain, Step::Verify])
            && self.steps.ends_with(&[Step::Wait, Step::Release]);
        if !ends || needed.len() != 4 {
            return Err(
                "`steps` begins with `contain`, `verify` and ends with `wait`, `release`: nothing comes before the deny, and nothing is closed after the wait for it".to_owned(),
            );
        }
        let evicted = self.steps.iter().position(|step| *step == Step::Evict);
        let revoked = self.steps.iter().position(|step| *step == Step::RevokeTeam);
        if revoked.is_some_and(|revoked| evicted.is_none_or(|evicted| evicted < revoked)) {
            return Err(
                "`revoke-team` comes before an `evict`: TEAM looks at the person's groups before it revokes".to_owned(),
            );
        }
        let only_people = BTreeSet::from([PrincipalKind::IdentityCenterUser]);
        let about_people = self.steps.iter().find(|step| step.is_about_people());
        if let Some(step) = about_people
            && self.answers.principals != only_people
        {
            return Err(format!(
                "`{}` is about users of Identity Center alone, and the playbook answers others",
                step.word()
            ));
        }
        if self.guardrail.is_some() && !self.steps.contains(&Step::Guardrail) {
            return Err(
                "`guardrail` says how a step is done that `steps` does not have".to_owned(),
            );
        }
        Ok(())
    }
}

impl Answers {
    /// Whether it is for such a signal.
    pub fn takes(&self, signal: &str) -> bool {
        let mut takes = false;
        for glob in &self.signals {
            match glob.strip_prefix('!') {
                Some(glob) if glob_matches(glob, signal) => takes = false,
                None if glob_matches(glob, signal) => takes = true,
                Some(_) | None => {}
            }
        }
        takes
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
        let text = shelf::text_of("identity-center-user").unwrap();
        assert!(
            text.contains(from),
            "the playbook has no {from:?} to change"
        );
        Playbook::parse(&text.replacen(from, to, 1))
    }

    #[test]
    fn every_playbook_that_comes_with_quell_is_sound() {
        for name in shelf::names() {
            let playbook = Playbook::parse(shelf::text_of(name).unwrap()).unwrap();
            assert_eq!(playbook.name.as_str(), name);
        }
    }

    /// `line N`, where the text stands in the playbook.
    fn line_of(text: &str) -> String {
        let playbook = shelf::text_of("identity-center-user").unwrap();
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
    fn steps_that_cannot_be_taken_as_they_stand_are_refused() {
        let steps = r#"["contain", "verify", "evict", "trace", "wait", "release"]"#;
        for (to, why) in [
            (r#"["verify", "contain", "wait", "release"]"#, "begins with"),
            (
                r#"["contain", "evict", "verify", "wait", "release"]"#,
                "begins with",
            ),
            (
                r#"["contain", "verify", "wait", "release", "evict"]"#,
                "begins with",
            ),
            (r#"["contain", "wait", "release"]"#, "no `verify`"),
            (
                r#"["contain", "verify", "evict", "evict", "wait", "release"]"#,
                "`evict` twice",
            ),
            (
                r#"["contain", "verify", "revoke-team", "wait", "release"]"#,
                "before an `evict`",
            ),
            (
                r#"["contain", "verify", "evict", "revoke-team", "wait", "release"]"#,
                "before an `evict`",
            ),
            (
                r#"["contain", "verify", "dance", "wait", "release"]"#,
                "unknown variant `dance`",
            ),
        ] {
            let error = changed(steps, to).unwrap_err().to_string();
            assert!(error.contains(why), "{to}: {error}");
        }
        let hold = r#"["contain", "verify", "hold", "evict", "wait", "release"]"#;
        let text = shelf::text_of("identity-center-user").unwrap();
        let text = text.replace(steps, hold);
        Playbook::parse(&text).unwrap();
        let text = text.replace(
            r#"principals = ["identity-center-user"]"#,
            r#"principals = ["iam-user"]"#,
        );
        let error = Playbook::parse(&text).unwrap_err().to_string();
        assert!(error.contains("Identity Center alone"), "{error}");
        let error = changed("[release]", "[guardrail]\n\n[release]").unwrap_err();
        assert!(
            error.to_string().contains("that `steps` does not have"),
            "{error}"
        );
    }

    #[test]
    fn what_was_taken_in_can_be_taken_out_again() {
        let answers = |signals: &[&str]| Answers {
            signals: signals.iter().map(ToString::to_string).collect(),
            principals: BTreeSet::new(),
            management: None,
            workload: None,
        };
        let most = answers(&["*:IAMUser/*", "!Persistence:*"]);
        assert!(most.takes("UnauthorizedAccess:IAMUser/TorIPCaller"));
        assert!(!most.takes("Persistence:IAMUser/AnomalousBehavior"));
        assert!(!most.takes("CryptoCurrency:EC2/BitcoinTool.B"));
        assert!(!most.takes(OPERATOR));
        let again = answers(&["!Persistence:*", "*:IAMUser/*"]);
        assert!(again.takes("Persistence:IAMUser/AnomalousBehavior"));
    }
}
