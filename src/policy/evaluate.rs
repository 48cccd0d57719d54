//! Whether a request passes the service control policies on its path.
//!
//! Arrives: a [`Request`] and the [`Level`]s from the root down to the account. Leaves: a [`Verdict`] with the
//! statements that decided it, or every statement with what became of it ([`Scps::judge`]). The rule (aws-facts §4): a
//! deny on any level refuses; otherwise every level must allow. What cannot be judged is [`Decision::Unknown`] and
//! never folded into an answer (R4). Whether SCPs apply at all (the management account, service-linked roles) is
//! [`reach`] and the caller's knowledge of whose account it is.
//!
//! Policies are made ready once ([`Scps::of`]); deciding then allocates nothing but for variables, comparisons without
//! case and reasons.

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;

use crate::policy::condition::{Holds, InWords, Listed, Test};
use crate::policy::document::{Condition, Document, Effect, Statement, Words};
use crate::policy::pattern::{Context, Glob, NoValue, Pattern, Rules, folded};
use crate::policy::resource::Place;

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// `iam:listaccountaliases`: lower-cased, because actions are compared without case.
    action: String,
    /// An ARN, or `*` for actions without a resource.
    resource: String,
    /// The request's condition keys, lower-cased, with their values.
    context: Context,
    /// Keys that the request has, and nobody told us with which value.
    untold: BTreeSet<String>,
}

impl Request {
    /// A request whose keys have one value each.
    pub fn new<'a>(
        action: &str,
        resource: &str,
        keys: impl IntoIterator<Item = (&'a str, String)>,
    ) -> Self {
        let mut request = Self {
            action: folded(action),
            resource: resource.to_owned(),
            context: Context::new(),
            untold: BTreeSet::new(),
        };
        for (key, value) in keys {
            request.set(key, vec![value]);
        }
        request
    }

    /// Gives a key its values, and returns those it had: AWS compares keys without case.
    pub fn set(&mut self, key: &str, values: Vec<String>) -> Option<Vec<String>> {
        self.untold.remove(&key.to_ascii_lowercase());
        self.context.insert(key.to_ascii_lowercase(), values)
    }

    /// Says that the request has this key with a value that nobody told us. A condition on it cannot be judged.
    pub fn leave_open(&mut self, key: &str) {
        if !self.context.contains_key(&key.to_ascii_lowercase()) {
            self.untold.insert(key.to_ascii_lowercase());
        }
    }
}

/// Whether SCPs decide a request at all (aws-facts §5). Of the management account only the caller knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// They do.
    Decided,
    /// They don't, for this reason.
    Beyond(&'static str),
    /// It cannot be told, for this reason.
    Unclear(&'static str),
}

/// Whether SCPs decide this call of this principal.
pub fn reach(action: &str, principal_arn: Option<&str>) -> Reach {
    let always = ["sts:GetCallerIdentity", "sts:GetSessionToken"];
    if always.iter().any(|call| action.eq_ignore_ascii_case(call)) {
        return Reach::Beyond("AWS answers this call whatever any policy says");
    }
    match principal_arn.and_then(|arn| arn.splitn(6, ':').nth(5)) {
        // A path that only AWS can give.
        Some(role) if role.starts_with("role/aws-service-role/") => {
            Reach::Beyond("a service-linked role asks, and no SCP applies to those")
        }
        Some(session) if session.starts_with("assumed-role/AWSServiceRoleFor") => Reach::Unclear(
            "the ARN of a session does not show its role's path, so this may be a service-linked role, to which no SCP applies",
        ),
        Some(_) | None => Reach::Decided,
    }
}

/// The policies attached to one root, organizational unit or account.
#[derive(Debug, Clone)]
pub struct Level<'a> {
    /// For people: `root r-ab12`.
    pub name: String,
    /// Each policy's name and document.
    pub policies: Vec<(&'a str, &'a Document)>,
}

/// The answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// No SCP refuses it, and every level allows it.
    Allow,
    /// A statement refuses it.
    ExplicitDeny,
    /// Some level has no statement that allows it.
    ImplicitDeny,
    /// A statement that would decide cannot be judged.
    Unknown,
}

/// The answer with its reasons.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// The answer.
    pub decision: Decision,
    /// The statements that made it so.
    pub by: Vec<By>,
    /// A lower-case fragment for people.
    pub because: String,
}

/// One statement that decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct By {
    /// The level's name.
    pub level: String,
    /// The policy's name.
    pub policy: String,
    /// The statement's place in the policy, from 1; 0 for a policy that cannot be read.
    pub statement: usize,
    /// The statement's Sid, if it has one.
    pub sid: Option<String>,
}

/// What became of one statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged<'s> {
    /// The level's name.
    pub level: &'s str,
    /// The policy's name.
    pub policy: &'s str,
    /// The statement's place in the policy, from 1.
    pub number: usize,
    /// The statement.
    pub statement: &'s Statement,
    /// Whether it applies.
    pub outcome: Outcome<'s>,
}

/// Whether a statement applies to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome<'s> {
    /// It does.
    Applies,
    /// It is about other actions.
    OtherAction,
    /// It is about other resources.
    OtherResource,
    /// This condition of it does not hold.
    Fails {
        /// The condition.
        condition: &'s Condition,
        /// What the request has instead; absent if the request does not have the key.
        found: Option<&'s [String]>,
    },
    /// Nobody can tell. A lower-case fragment.
    CannotJudge(String),
}

impl fmt::Display for Outcome<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Applies => f.write_str("it applies"),
            Outcome::OtherAction => f.write_str("it is about other actions"),
            Outcome::OtherResource => f.write_str("it is about other resources"),
            Outcome::Fails {
                condition,
                found: Some(found),
            } => write!(
                f,
                "it wants {}, and the request has {}",
                InWords(condition),
                Listed(found)
            ),
            Outcome::Fails {
                condition,
                found: None,
            } => write!(
                f,
                "it wants {}, and the request does not have that key",
                InWords(condition)
            ),
            Outcome::CannotJudge(why) => write!(f, "it cannot be judged: {why}"),
        }
    }
}

impl fmt::Display for Judged<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = named(self.statement.sid.as_deref(), self.number);
        write!(f, "{name} of {} on {}", self.policy, self.level)
    }
}

/// What a statement is called: by its Sid, else by its place.
pub fn named(sid: Option<&str>, number: usize) -> String {
    match sid {
        Some(sid) => format!("statement {sid}"),
        None => format!("statement {number}"),
    }
}

impl Judged<'_> {
    fn by(&self) -> By {
        By {
            level: self.level.to_owned(),
            policy: self.policy.to_owned(),
            statement: self.number,
            sid: self.statement.sid.clone(),
        }
    }
}

/// Decides. Whoever decides often makes the policies ready once, with [`Scps::of`].
pub fn evaluate(request: &Request, levels: &[Level<'_>]) -> Verdict {
    Scps::of(levels).evaluate(request)
}

/// The policies on a path, made ready.
#[derive(Debug)]
pub struct Scps<'p>(Vec<ReadyLevel<'p>>);

#[derive(Debug)]
struct ReadyLevel<'p> {
    name: &'p str,
    rules: Vec<Rule<'p>>,
}

/// A statement, made ready.
#[derive(Debug)]
struct Rule<'p> {
    policy: &'p str,
    /// From 1.
    number: usize,
    statement: &'p Statement,
    /// Folded, as the request's action is.
    actions: Vec<Pattern<Glob>>,
    resources: Vec<Place>,
    tests: Vec<Test<'p>>,
    /// What else stands in the statement or its document that nobody can judge.
    unclear: Option<String>,
}

impl<'p> Scps<'p> {
    /// Makes the policies ready.
    pub fn of(levels: &'p [Level<'p>]) -> Self {
        let ready = |level: &'p Level<'p>| ReadyLevel {
            name: &level.name,
            rules: level
                .policies
                .iter()
                .flat_map(|(policy, document)| {
                    let statements = (1..).zip(&document.statements);
                    statements.map(move |(number, statement)| {
                        Rule::of(policy, document, number, statement)
                    })
                })
                .collect(),
        };
        Self(levels.iter().map(ready).collect())
    }

    /// Decides, without reasons.
    pub fn decide(&self, request: &Request) -> Decision {
        self.walk(request, |_| {})
    }

    /// Decides, with reasons.
    pub fn evaluate(&self, request: &Request) -> Verdict {
        let (decision, judged) = self.judge(request);
        let deciding = |effect: Effect, cannot: bool| {
            judged.iter().filter(move |one| {
                one.statement.effect == effect
                    && match &one.outcome {
                        Outcome::Applies => !cannot,
                        Outcome::CannotJudge(_) => cannot,
                        Outcome::OtherAction | Outcome::OtherResource | Outcome::Fails { .. } => {
                            false
                        }
                    }
            })
        };
        let (by, because) = match decision {
            Decision::Allow => (
                Vec::new(),
                "every level allows it and none denies it".to_owned(),
            ),
            Decision::ExplicitDeny => {
                let by: Vec<&Judged<'_>> = deciding(Effect::Deny, false).collect();
                let because = by.first().map(|first| format!("{first} denies it"));
                (by, because.unwrap_or_default())
            }
            Decision::ImplicitDeny => (Vec::new(), self.nothing_allows(&judged)),
            Decision::Unknown => {
                let by: Vec<&Judged<'_>> = deciding(Effect::Deny, true)
                    .chain(deciding(Effect::Allow, true))
                    .collect();
                let because = by
                    .first()
                    .map(|first| format!("{first}: {}", first.outcome));
                (by, because.unwrap_or_default())
            }
        };
        Verdict {
            decision,
            by: by.into_iter().map(Judged::by).collect(),
            because,
        }
    }

    /// Every statement with what became of it.
    pub fn judge<'s>(&'s self, request: &'s Request) -> (Decision, Vec<Judged<'s>>) {
        let mut judged = Vec::new();
        let decision = self.walk(request, |one| judged.push(one));
        (decision, judged)
    }

    /// The first level without an allow that applies or might, and what the nearest allow there lacks.
    fn nothing_allows(&self, judged: &[Judged<'_>]) -> String {
        let allows = |level: &&ReadyLevel<'_>| {
            judged.iter().any(|one| {
                one.level == level.name
                    && one.statement.effect == Effect::Allow
                    && matches!(one.outcome, Outcome::Applies | Outcome::CannotJudge(_))
            })
        };
        let Some(level) = self.0.iter().find(|level| !allows(level)) else {
            return String::new();
        };
        let nearest = judged
            .iter()
            .find(|one| one.level == level.name && one.statement.effect == Effect::Allow);
        match nearest {
            Some(nearest) => format!(
                "nothing on {} allows it: {nearest} does not, because {}",
                level.name, nearest.outcome
            ),
            None => format!("nothing on {} allows it", level.name),
        }
    }

    /// Shows every statement with what became of it, and decides.
    fn walk<'s>(&'s self, request: &'s Request, mut see: impl FnMut(Judged<'s>)) -> Decision {
        let (mut denied, mut unsure) = (false, false);
        let mut missing_allow = false;
        for level in &self.0 {
            let (mut allowed, mut perhaps) = (false, false);
            for rule in &level.rules {
                let outcome = rule.outcome(request);
                match (rule.statement.effect, &outcome) {
                    (Effect::Deny, Outcome::Applies) => denied = true,
                    (Effect::Deny, Outcome::CannotJudge(_)) => unsure = true,
                    (Effect::Allow, Outcome::Applies) => allowed = true,
                    (Effect::Allow, Outcome::CannotJudge(_)) => perhaps = true,
                    (
                        Effect::Deny | Effect::Allow,
                        Outcome::OtherAction | Outcome::OtherResource | Outcome::Fails { .. },
                    ) => {}
                }
                see(Judged {
                    level: level.name,
                    policy: rule.policy,
                    number: rule.number,
                    statement: rule.statement,
                    outcome,
                });
            }
            missing_allow |= !allowed && !perhaps;
            unsure |= !allowed && perhaps;
        }
        match (denied, missing_allow, unsure) {
            (true, _, _) => Decision::ExplicitDeny,
            // A level that certainly does not allow refuses, whatever the statements say that cannot be judged.
            (false, true, _) => Decision::ImplicitDeny,
            (false, false, true) => Decision::Unknown,
            (false, false, false) => Decision::Allow,
        }
    }
}

impl<'p> Rule<'p> {
    fn of(
        policy: &'p str,
        document: &'p Document,
        number: usize,
        statement: &'p Statement,
    ) -> Self {
        let variables = document.has_variables();
        // AWS documents variables in resources and conditions only.
        let action = |text: &String| {
            Pattern::new(
                &folded(text),
                Rules {
                    variables: false,
                    wildcards: true,
                },
            )
        };
        let negated = statement.resources.negated;
        let place = |text: &String| Place::of(text, variables, negated);
        let mut unclear = statement.unknown.iter().chain(&document.unknown);
        let unclear = unclear
            .next()
            .map(|element| format!("the element {} is not known", element.name));
        let empty =
            statement.actions.patterns.is_empty() || statement.resources.patterns.is_empty();
        let empty = empty.then(|| "it has an empty list of actions or resources".to_owned());
        Self {
            policy,
            number,
            statement,
            actions: statement.actions.patterns.iter().map(action).collect(),
            resources: statement.resources.patterns.iter().map(place).collect(),
            tests: statement
                .conditions
                .iter()
                .map(|condition| Test::new(condition, variables))
                .collect(),
            unclear: unclear.or(empty).or_else(|| twice(&statement.conditions)),
        }
    }

    fn outcome<'s>(&'s self, request: &'s Request) -> Outcome<'s> {
        // What is not known of a statement can only narrow it, so what fails without it fails with it.
        let mut unsure = self.unclear.clone();
        let context = &request.context;
        match matched(&self.statement.actions, &self.actions, |pattern| {
            pattern.matches(&request.action, context).map(Holds::from)
        }) {
            Holds::Yes => {}
            Holds::No => return Outcome::OtherAction,
            Holds::CannotJudge(why) => unsure = Some(why),
        }
        match matched(&self.statement.resources, &self.resources, |place| {
            place.has(&request.resource, context)
        }) {
            Holds::Yes => {}
            Holds::No => return Outcome::OtherResource,
            Holds::CannotJudge(why) => unsure = Some(why),
        }
        // All conditions must hold; one that certainly does not settles it, even beside one that cannot be judged.
        for test in &self.tests {
            if test.asks_for_any(&request.untold) {
                let key = &test.condition.key;
                unsure = Some(format!(
                    "the request has {key}, with a value that was not told"
                ));
                continue;
            }
            match test.holds(context) {
                Holds::Yes => {}
                Holds::No => {
                    return Outcome::Fails {
                        condition: test.condition,
                        found: test.found(context),
                    };
                }
                Holds::CannotJudge(why) => unsure = Some(why),
            }
        }
        unsure.map_or(Outcome::Applies, Outcome::CannotJudge)
    }
}

/// One key under one operator in two spellings: AWS's own checks call it an error.
fn twice(conditions: &[Condition]) -> Option<String> {
    let again = |(number, condition): &(usize, &Condition)| {
        conditions.iter().take(*number).any(|earlier| {
            earlier.operator == condition.operator
                && earlier.key.eq_ignore_ascii_case(&condition.key)
        })
    };
    let found = conditions.iter().enumerate().find(again);
    found.map(|(_, condition)| {
        format!(
            "{} stands twice under {}",
            condition.key, condition.operator
        )
    })
}

/// Whether `Action`, `NotAction`, `Resource` or `NotResource` matches.
fn matched<P>(
    words: &Words,
    patterns: &[P],
    matches: impl Fn(&P) -> Result<Holds, NoValue>,
) -> Holds {
    let any = Holds::any(patterns.iter().map(|pattern| match matches(pattern) {
        Ok(holds) => holds,
        // No resource is like a variable without a value; what `NotResource` then leaves out, AWS does not say.
        Err(NoValue(_)) if !words.negated => Holds::No,
        Err(NoValue(key)) => Holds::CannotJudge(format!("the variable {key} has no value")),
    }));
    if words.negated { any.opposite() } else { any }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: &str =
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#;

    fn decide(policy: &str, keys: &[(&str, &str)]) -> Decision {
        let (full, own) = (
            Document::parse(FULL).unwrap(),
            Document::parse(policy).unwrap(),
        );
        let levels = [Level {
            name: "root".to_owned(),
            policies: vec![("FullAWSAccess", &full), ("own", &own)],
        }];
        let keys = keys.iter().map(|(key, value)| (*key, (*value).to_owned()));
        evaluate(&Request::new("iam:ListAccountAliases", "*", keys), &levels).decision
    }

    fn deny_if(condition: &str) -> String {
        format!(
            r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Deny","Action":"*","Resource":"*","Condition":{condition}}}]}}"#
        )
    }

    #[test]
    fn conditions_one_by_one() {
        use Decision::{Allow, ExplicitDeny, Unknown};
        type Keys<'a> = &'a [(&'a str, &'a str)];
        let cases: &[(&str, Keys<'_>, Decision)] = &[
            (
                r#"{"StringLike":{"aws:userid":"*:alice"}}"#,
                &[("aws:userid", "AROA1:alice")],
                ExplicitDeny,
            ),
            (
                r#"{"StringLike":{"aws:userid":"*:alice"}}"#,
                &[("aws:userid", "AROA1:Alice")],
                Allow,
            ),
            (
                r#"{"StringLike":{"AWS:UserID":"*:alice"}}"#,
                &[("aws:userid", "AROA1:alice")],
                ExplicitDeny,
            ),
            (
                r#"{"StringEquals":{"aws:SourceIdentity":"alice"}}"#,
                &[("aws:userid", "AROA1:alice")],
                Allow,
            ),
            (
                r#"{"StringEquals":{"aws:userid":"*:alice"}}"#,
                &[("aws:userid", "AROA1:alice")],
                Allow,
            ),
            // Two operators in one condition are ANDed: the trap of aws-facts §1.
            (
                r#"{"StringLike":{"aws:userid":"*:alice"},"StringEquals":{"aws:SourceIdentity":"alice"}}"#,
                &[("aws:userid", "AROA1:alice")],
                Allow,
            ),
            (
                r#"{"StringNotLike":{"aws:userid":["*:bob","*:eve"]}}"#,
                &[("aws:userid", "AROA1:eve")],
                Allow,
            ),
            (
                r#"{"StringNotLike":{"aws:userid":["*:bob","*:eve"]}}"#,
                &[("aws:userid", "AROA1:alice")],
                ExplicitDeny,
            ),
            (
                r#"{"StringNotEquals":{"aws:SourceIdentity":"alice"}}"#,
                &[],
                ExplicitDeny,
            ),
            (
                r#"{"StringEqualsIfExists":{"aws:SourceIdentity":"alice"}}"#,
                &[],
                ExplicitDeny,
            ),
            (
                r#"{"ForAllValues:StringEquals":{"aws:SourceIdentity":"alice"}}"#,
                &[],
                ExplicitDeny,
            ),
            (
                r#"{"ForAnyValue:StringEquals":{"aws:SourceIdentity":"alice"}}"#,
                &[],
                Allow,
            ),
            (
                r#"{"Null":{"aws:SourceIdentity":"true"}}"#,
                &[],
                ExplicitDeny,
            ),
            (r#"{"Null":{"aws:SourceIdentity":"false"}}"#, &[], Allow),
            (
                r#"{"Bool":{"aws:SecureTransport":"false"}}"#,
                &[("aws:SecureTransport", "False")],
                ExplicitDeny,
            ),
            (
                r#"{"DateLessThan":{"aws:TokenIssueTime":"2026-11-22T00:00:00Z"}}"#,
                &[("aws:TokenIssueTime", "2026-11-21T23:59:59Z")],
                ExplicitDeny,
            ),
            (
                r#"{"DateLessThan":{"aws:TokenIssueTime":"2026-11-22T00:00:00Z"}}"#,
                &[("aws:TokenIssueTime", "soon")],
                Unknown,
            ),
            (
                r#"{"NumericLessThan":{"aws:MultiFactorAuthAge":"3600"}}"#,
                &[("aws:MultiFactorAuthAge", "60")],
                ExplicitDeny,
            ),
            (
                r#"{"IpAddress":{"aws:SourceIp":"203.0.113.0/24"}}"#,
                &[("aws:SourceIp", "203.0.113.9")],
                ExplicitDeny,
            ),
            (
                r#"{"NotIpAddress":{"aws:SourceIp":"203.0.113.0/24"}}"#,
                &[("aws:SourceIp", "203.0.114.9")],
                ExplicitDeny,
            ),
            (
                r#"{"IpAddress":{"aws:SourceIp":"0.0.0.0/0"}}"#,
                &[("aws:SourceIp", "203.0.113.9")],
                ExplicitDeny,
            ),
            (
                r#"{"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::*:role/x"}}"#,
                &[("aws:PrincipalArn", "arn:aws:iam::111122223333:role/x")],
                ExplicitDeny,
            ),
            // A misspelt operator must not make a deny silently void.
            (
                r#"{"StringLikes":{"aws:userid":"*:alice"}}"#,
                &[("aws:userid", "AROA1:alice")],
                Unknown,
            ),
            (
                r#"{"StringLikes":{"aws:userid":"*"},"Null":{"aws:userid":"true"}}"#,
                &[("aws:userid", "AROA1:alice")],
                Allow,
            ),
        ];
        for (condition, keys, expected) in cases {
            assert_eq!(
                decide(&deny_if(condition), keys),
                *expected,
                "{condition} {keys:?}"
            );
        }
    }

    #[test]
    fn each_comparison_below_at_and_above_its_value() {
        for (operator, holds) in [
            ("Equals", [false, true, false]),
            ("NotEquals", [true, false, true]),
            ("LessThan", [true, false, false]),
            ("LessThanEquals", [true, true, false]),
            ("GreaterThan", [false, false, true]),
            ("GreaterThanEquals", [false, true, true]),
        ] {
            let times = [
                "2026-11-22T02:59:59Z",
                "2026-11-22T04:00:00+01:00",
                "2026-11-22T03:00:01Z",
            ];
            for (kind, wanted, values) in [
                ("Numeric", "10", ["9.5", "10.0", "100"]),
                ("Date", "2026-11-22T03:00:00Z", times),
            ] {
                let policy = deny_if(&format!(r#"{{"{kind}{operator}":{{"aws:x":"{wanted}"}}}}"#));
                let found = values.map(|value| decide(&policy, &[("aws:x", value)]));
                let expected = holds.map(|holds| match holds {
                    true => Decision::ExplicitDeny,
                    false => Decision::Allow,
                });
                assert_eq!(found, expected, "{kind}{operator}");
            }
        }
    }

    /// What AWS's documentation leaves open is not answered, and what decides anyway is.
    #[test]
    fn what_aws_leaves_open_is_not_answered() {
        use Decision::{Allow, ExplicitDeny, Unknown};
        type Keys<'a> = &'a [(&'a str, &'a str)];
        let name: Keys<'_> = &[("aws:userid", "AROA1:alice")];
        let cases: &[(&str, Keys<'_>, Decision)] = &[
            // A variable without a value: nothing is like it.
            (
                r#"{"StringLike":{"aws:userid":"${aws:username}"}}"#,
                name,
                Allow,
            ),
            (
                r#"{"StringNotLike":{"aws:userid":"${aws:username}"}}"#,
                name,
                ExplicitDeny,
            ),
            (
                r#"{"StringNotLike":{"aws:userid":["${aws:username}","*:alice"]}}"#,
                name,
                Allow,
            ),
            (
                r#"{"StringLike":{"aws:userid":["${aws:username}","*:alice"]}}"#,
                name,
                ExplicitDeny,
            ),
            // Beside a condition that fails, one that cannot be judged decides nothing.
            (
                r#"{"StringNotLike":{"aws:userid":"${aws:username}"},"Bool":{"aws:x":"true"}}"#,
                name,
                Allow,
            ),
            (
                r#"{"NumericEquals":{"aws:x":"1"}}"#,
                &[("aws:x", "one")],
                Unknown,
            ),
            (
                r#"{"NumericEquals":{"aws:x":["one","1"]}}"#,
                &[("aws:x", "1.0")],
                ExplicitDeny,
            ),
            (
                r#"{"NumericEquals":{"aws:x":"9007199254740993"}}"#,
                &[("aws:x", "9007199254740992")],
                Unknown,
            ),
            (
                r#"{"NumericLessThan":{"aws:x":"1e3"}}"#,
                &[("aws:x", "7")],
                Unknown,
            ),
            (
                r#"{"DateEquals":{"aws:x":"2026-11-22"}}"#,
                &[("aws:x", "2026-11-22T00:00:00Z")],
                ExplicitDeny,
            ),
            (
                r#"{"DateEquals":{"aws:x":"1795305600"}}"#,
                &[("aws:x", "2026-11-22T00:00:00Z")],
                ExplicitDeny,
            ),
            (
                r#"{"DateLessThan":{"aws:x":"2026"}}"#,
                &[("aws:x", "2026-11-22T00:00:00Z")],
                Unknown,
            ),
            (
                r#"{"DateLessThan":{"aws:x":"2026-11-22T00:00:00"}}"#,
                &[("aws:x", "2026-11-21T00:00:00Z")],
                Unknown,
            ),
            (
                r#"{"IpAddress":{"aws:x":"2001:db8::1"}}"#,
                &[("aws:x", "2001:db8::1")],
                ExplicitDeny,
            ),
            (
                r#"{"IpAddress":{"aws:x":"2001:db8::1"}}"#,
                &[("aws:x", "2001:db8::2")],
                Unknown,
            ),
            (
                r#"{"IpAddress":{"aws:x":"2001:db8::1"}}"#,
                &[("aws:x", "2002:db8::2")],
                Allow,
            ),
            (
                r#"{"IpAddress":{"aws:x":"2001:db8::/32"}}"#,
                &[("aws:x", "2001:db8:1::2")],
                ExplicitDeny,
            ),
            (
                r#"{"IpAddress":{"aws:x":"203.0.113.0/33"}}"#,
                &[("aws:x", "203.0.113.1")],
                Unknown,
            ),
            (
                r#"{"IpAddress":{"aws:x":"203.0.113.7"}}"#,
                &[("aws:x", "203.0.113.8")],
                Allow,
            ),
            (
                r#"{"NotIpAddress":{"aws:x":"203.0.113.0/24"}}"#,
                &[("aws:x", "2001:db8::1")],
                ExplicitDeny,
            ),
            (
                r#"{"IpAddress":{"aws:x":"0.0.0.0/0"}}"#,
                &[("aws:x", "somewhere")],
                Unknown,
            ),
            (r#"{"Null":{"aws:userid":["true","false"]}}"#, name, Unknown),
            (
                r#"{"Null":{"aws:userid":["false","perhaps"]}}"#,
                name,
                Unknown,
            ),
            // As far from the lone address as a /32 reaches, and one bit nearer than that.
            (
                r#"{"IpAddress":{"aws:x":"2001:db8::1"}}"#,
                &[("aws:x", "2001:db8:8000::1")],
                Unknown,
            ),
            (
                r#"{"IpAddress":{"aws:x":"2001:db8::1"}}"#,
                &[("aws:x", "2001:db9::1")],
                Allow,
            ),
            (r#"{"Null":{"aws:x":"true"}}"#, &[("aws:x", "")], Unknown),
            (r#"{"NullIfExists":{"aws:x":"true"}}"#, &[], Unknown),
            (r#"{"ForAnyValue:Null":{"aws:x":"true"}}"#, &[], Unknown),
            (
                r#"{"ForSomeValue:StringEquals":{"aws:x":"a"}}"#,
                &[("aws:x", "a")],
                Unknown,
            ),
            (
                r#"{"ForAnyValue:StringEqualsIfExists":{"aws:x":"a"}}"#,
                &[],
                Unknown,
            ),
            (
                r#"{"ForAllValues:StringEquals":{"aws:x":"a"}}"#,
                &[("aws:x", "")],
                ExplicitDeny,
            ),
            (
                r#"{"StringEquals":{"aws:x":[]}}"#,
                &[("aws:x", "a")],
                Unknown,
            ),
            (r#"{"Bool":{"aws:x":"yes"}}"#, &[("aws:x", "yes")], Unknown),
            (r#"{"Bool":{"aws:x":"true"}}"#, &[("aws:x", "yes")], Unknown),
            (
                r#"{"Bool":{"aws:x":"${aws:userid}"}}"#,
                &[("aws:x", "true")],
                Unknown,
            ),
            (
                r#"{"ArnLike":{"aws:x":"arn:aws:iam::*"}}"#,
                &[("aws:x", "arn:aws:iam::1:role/a")],
                Unknown,
            ),
            (
                r#"{"ArnNotLike":{"aws:x":"arn:aws:iam::*"}}"#,
                &[("aws:x", "arn:aws:iam::1:role/a")],
                Unknown,
            ),
            (
                r#"{"ArnLike":{"aws:x":"arn:aws:iam::*:*"}}"#,
                &[("aws:x", "alice")],
                Unknown,
            ),
            (
                r#"{"ArnLike":{"aws:x":"*"}}"#,
                &[("aws:x", "arn:aws:iam::1:role/a")],
                ExplicitDeny,
            ),
            (
                r#"{"ArnLike":{"aws:x":"${aws:y}"}}"#,
                &[
                    ("aws:x", "arn:aws:iam::1:role/a"),
                    ("aws:y", "arn:aws:iam::1:role/a"),
                ],
                ExplicitDeny,
            ),
            (
                r#"{"StringEquals":{"aws:userid":"AROA1:alice","AWS:UserId":"AROA1:alice"}}"#,
                name,
                Unknown,
            ),
            (r#"{}"#, name, Unknown),
            (
                r#"{"BinaryEquals":{"aws:x":"QQ=="}}"#,
                &[("aws:x", "QQ==")],
                Unknown,
            ),
        ];
        for (condition, keys, expected) in cases {
            assert_eq!(
                decide(&deny_if(condition), keys),
                *expected,
                "{condition} {keys:?}"
            );
        }
    }

    #[test]
    fn a_key_with_several_values_needs_a_set_operator() {
        use Decision::{Allow, ExplicitDeny, Unknown};
        for (condition, values, expected) in [
            (
                r#"{"StringEquals":{"aws:TagKeys":"a"}}"#,
                ["a", "a"],
                Unknown,
            ),
            (
                r#"{"ForAnyValue:StringEquals":{"aws:TagKeys":"a"}}"#,
                ["a", "b"],
                ExplicitDeny,
            ),
            (
                r#"{"ForAllValues:StringEquals":{"aws:TagKeys":"a"}}"#,
                ["a", "b"],
                Allow,
            ),
            (
                r#"{"ForAllValues:StringEquals":{"aws:TagKeys":["b","a"]}}"#,
                ["a", "b"],
                ExplicitDeny,
            ),
            (
                r#"{"ForAnyValue:StringNotEquals":{"aws:TagKeys":"a"}}"#,
                ["a", "b"],
                ExplicitDeny,
            ),
            (
                r#"{"ForAllValues:StringNotEquals":{"aws:TagKeys":"a"}}"#,
                ["a", "b"],
                Allow,
            ),
            (
                r#"{"Null":{"aws:TagKeys":"false"}}"#,
                ["a", "b"],
                ExplicitDeny,
            ),
        ] {
            let own = Document::parse(&deny_if(condition)).unwrap();
            let full = Document::parse(FULL).unwrap();
            let levels = [Level {
                name: "root".to_owned(),
                policies: vec![("FullAWSAccess", &full), ("own", &own)],
            }];
            let mut request = Request::new("s3:PutObject", "*", []);
            let values = values.iter().map(|value| (*value).to_owned()).collect();
            request.set("aws:TagKeys", values);
            assert_eq!(
                evaluate(&request, &levels).decision,
                expected,
                "{condition}"
            );
        }
    }

    #[test]
    fn resources_actions_and_what_is_not_known_of_a_statement() {
        use Decision::{Allow, ExplicitDeny, Unknown};
        let user: &[(&str, &str)] = &[("aws:username", "alice")];
        for (statement, keys, expected) in [
            (r#""Action":"IAM:list*","Resource":"*""#, user, ExplicitDeny),
            (r#""Action":"iam:list","Resource":"*""#, user, Allow),
            (r#""NotAction":"iam:*","Resource":"*""#, user, Allow),
            (r#""NotAction":"s3:*","Resource":"*""#, user, ExplicitDeny),
            (
                r#""Action":"*","Resource":"arn:aws:iam::*:user/${aws:username}""#,
                user,
                ExplicitDeny,
            ),
            (
                r#""Action":"*","Resource":"arn:aws:iam::*:user/${aws:username}""#,
                &[],
                Allow,
            ),
            (
                r#""Action":"*","NotResource":"arn:aws:iam::*:user/${aws:username}""#,
                user,
                Allow,
            ),
            (
                r#""Action":"*","NotResource":"arn:aws:iam::*:user/${aws:username}""#,
                &[],
                Unknown,
            ),
            // A * at the end of a part can reach over the colon, AWS says, and not when.
            // A * at the end of a part can reach over the colon, AWS says, and not when.
            (
                r#""Action":"*","Resource":"arn:*:iam::*:user/alice:*""#,
                user,
                Allow,
            ),
            (
                r#""Action":"*","Resource":"arn:aws*:iam:::111122223333:user/alice""#,
                user,
                Allow,
            ),
            (
                r#""Action":"*","Resource":"arn:*:111122223333:*""#,
                user,
                Unknown,
            ),
            // No ARN.
            (
                r#""Action":"*","Resource":"arn:*:user/alice""#,
                user,
                Unknown,
            ),
            (r#""Action":"*","Resource":"user/*""#, user, Unknown),
            (r#""Action":"*","Resource":"arn:aws:s3""#, user, Unknown),
            (r#""Action":"*","Resource":"user/alice""#, user, Unknown),
            (r#""Action":"s3:*","Resource":"user/alice""#, user, Allow),
            (
                r#""Action":"*","Resource":"arn:aws:iam::*""#,
                user,
                ExplicitDeny,
            ),
            (
                r#""Action":"*","Resource":"arn:aws:iam::*:user/*""#,
                user,
                ExplicitDeny,
            ),
            (r#""Action":"*","Resource":"arn:aws:s3*""#, user, Allow),
            (r#""Action":"*","NotResource":"arn:aws:iam:*""#, user, Allow),
            (r#""Action":"*","NotResource":"arn:aws:s3*""#, user, Unknown),
            (
                r#""Action":"*","Resource":"arn:aws:*::111122223333:user/alice""#,
                user,
                Unknown,
            ),
            (r#""Action":"*","Resource":"arn:aws:i*:::x""#, user, Allow),
            // A variable brings colons of its own, and must not stand before the ARN's fifth.
            (
                r#""Action":"*","NotResource":"user/${aws:username}""#,
                user,
                Unknown,
            ),
            (
                r#""Action":"*","NotResource":"arn:aws:iam::${aws:username}*""#,
                user,
                Unknown,
            ),
            (
                r#""Action":"*","Resource":"arn:aws:iam::${aws:username}:user/*""#,
                user,
                Unknown,
            ),
            (
                r#""Action":"*","Resource":"arn:aws:iam::*:user/${*}""#,
                user,
                Allow,
            ),
            (r#""Action":[],"Resource":"*""#, user, Allow),
            (r#""NotAction":[],"Resource":"*""#, user, Unknown),
            (r#""Action":"*","NotResource":[]"#, user, Unknown),
            (
                r#""Action":"*","Resource":"*","Principal":"*""#,
                user,
                Unknown,
            ),
            // It can only narrow the statement, and this is about other actions anyway.
            (
                r#""Action":"s3:*","Resource":"*","Principal":"*""#,
                user,
                Allow,
            ),
        ] {
            let policy = format!(
                r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Deny",{statement}}}]}}"#
            );
            let own = Document::parse(&policy).unwrap();
            let full = Document::parse(FULL).unwrap();
            let levels = [Level {
                name: "root".to_owned(),
                policies: vec![("FullAWSAccess", &full), ("own", &own)],
            }];
            let keys = keys.iter().map(|(key, value)| (*key, (*value).to_owned()));
            let request = Request::new(
                "iam:ListUsers",
                "arn:aws:iam::111122223333:user/alice",
                keys,
            );
            assert_eq!(
                evaluate(&request, &levels).decision,
                expected,
                "{statement} {:?}",
                request.context
            );
        }
    }

    #[test]
    fn an_operator_that_nobody_judges_and_one_that_nobody_knows_are_told_apart() {
        let because = |operator: &str| {
            let own = Document::parse(&deny_if(&format!(r#"{{"{operator}":{{"a:b":"QQ=="}}}}"#)))
                .unwrap();
            let levels = [Level {
                name: "root".to_owned(),
                policies: vec![("own", &own)],
            }];
            let request = Request::new("s3:GetObject", "*", []);
            let scps = Scps::of(&levels);
            let (_, judged) = scps.judge(&request);
            judged[0].outcome.to_string()
        };
        assert!(because("BinaryEquals").ends_with("BinaryEquals is not judged"));
        assert!(because("StringLikes").ends_with("the operator StringLikes is not known"));
    }

    #[test]
    fn a_key_whose_value_was_not_told_decides_nothing() {
        let own = Document::parse(&deny_if(r#"{"ArnNotLike":{"aws:PrincipalArn":"arn:aws:iam::*:role/BreakGlass"},"StringLike":{"aws:userid":"*:alice"}}"#)).unwrap();
        let full = Document::parse(FULL).unwrap();
        let levels = [Level {
            name: "root".to_owned(),
            policies: vec![("FullAWSAccess", &full), ("own", &own)],
        }];
        let scps = Scps::of(&levels);
        let mut request = Request::new(
            "s3:GetObject",
            "*",
            [("aws:userid", "AROA1:alice".to_owned())],
        );
        assert_eq!(scps.decide(&request), Decision::ExplicitDeny);
        request.leave_open("AWS:PrincipalArn");
        assert_eq!(scps.decide(&request), Decision::Unknown);
        // Another condition that fails settles it all the same.
        request.set("aws:userid", vec!["AROA1:bob".to_owned()]);
        assert_eq!(scps.decide(&request), Decision::Allow);
        request.set("aws:userid", vec!["AROA1:alice".to_owned()]);
        request.set(
            "aws:principalarn",
            vec!["arn:aws:iam::444455556666:role/BreakGlass".to_owned()],
        );
        request.leave_open("aws:PrincipalArn");
        assert_eq!(scps.decide(&request), Decision::Allow);
    }

    #[test]
    fn the_reason_names_the_statement_and_the_condition_that_failed() {
        let own = Document::parse(
            r#"{"Version":"2012-10-17","Statement":[{"Sid":"Only","Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringEquals":{"aws:RequestedRegion":["eu-west-1","eu-west-2","eu-north-1","eu-south-1"]}}}]}"#,
        )
        .unwrap();
        let levels = [Level {
            name: "root".to_owned(),
            policies: vec![("regions", &own)],
        }];
        let ask = |keys: &[(&str, &str)]| {
            let keys = keys.iter().map(|(key, value)| (*key, (*value).to_owned()));
            evaluate(&Request::new("ec2:RunInstances", "*", keys), &levels)
        };
        let wants = "nothing on root allows it: statement Only of regions on root does not, because it wants StringEquals aws:RequestedRegion eu-west-1, eu-west-2, eu-north-1 and 1 more, and";
        let verdict = ask(&[("aws:RequestedRegion", "us-east-1")]);
        assert_eq!(verdict.decision, Decision::ImplicitDeny);
        assert_eq!(
            verdict.because,
            format!("{wants} the request has us-east-1")
        );
        assert_eq!(
            ask(&[]).because,
            format!("{wants} the request does not have that key")
        );
    }

    #[test]
    fn of_several_levels_the_one_that_does_not_allow_is_named() {
        let full = Document::allow_all();
        let s3 = Document::parse(
            r#"{"Statement":[{"Effect":"Deny","Action":"ec2:*","Resource":"*"},{"Sid":"S3","Effect":"Allow","Action":"s3:*","Resource":"*"}]}"#,
        )
        .unwrap();
        let level = |name: &str, policies| Level {
            name: name.to_owned(),
            policies,
        };
        let because = |levels: &[Level<'_>]| {
            let verdict = evaluate(&Request::new("iam:ListUsers", "*", []), levels);
            assert_eq!(verdict.decision, Decision::ImplicitDeny);
            verdict.because
        };
        let root = level("root", vec![("full", &full)]);
        let unit = level("ou", vec![("s3 only", &s3)]);
        let account = level("account", vec![("full", &full)]);
        assert_eq!(
            because(&[root.clone(), unit, account]),
            "nothing on ou allows it: statement S3 of s3 only on ou does not, because it is about other actions"
        );
        let nothing = level("ou", Vec::new());
        assert_eq!(because(&[root, nothing]), "nothing on ou allows it");
    }

    #[test]
    fn an_allow_that_cannot_be_judged_matters_only_where_no_other_allows() {
        let full = Document::allow_all();
        let open = Document::parse(
            r#"{"Statement":{"Sid":"Open","Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringLikes":{"a:b":"c"}}}}"#,
        )
        .unwrap();
        let verdict = |policies: Vec<(&'static str, &Document)>| {
            let levels = [
                Level {
                    name: "root".to_owned(),
                    policies: vec![("full", &full)],
                },
                Level {
                    name: "account".to_owned(),
                    policies,
                },
            ];
            evaluate(&Request::new("s3:GetObject", "*", []), &levels)
        };
        let alone = verdict(vec![("open", &open)]);
        assert_eq!(alone.decision, Decision::Unknown);
        assert_eq!(alone.by[0].sid.as_deref(), Some("Open"));
        let beside = verdict(vec![("open", &open), ("full", &full)]);
        assert_eq!((beside.decision, beside.by), (Decision::Allow, Vec::new()));
    }

    #[test]
    fn some_calls_and_some_roles_no_scp_decides() {
        let role = |name: &str| format!("arn:aws:iam::111122223333:role/{name}");
        let linked = role("aws-service-role/ecs.amazonaws.com/AWSServiceRoleForECS");
        let session = "arn:aws:sts::111122223333:assumed-role/AWSServiceRoleForECS/x";
        assert!(matches!(
            reach("sts:getcalleridentity", None),
            Reach::Beyond(_)
        ));
        assert!(matches!(
            reach("ec2:RunInstances", Some(&linked)),
            Reach::Beyond(_)
        ));
        assert!(matches!(
            reach("ec2:RunInstances", Some(session)),
            Reach::Unclear(_)
        ));
        // Anybody can name a role so.
        let named = role("AWSServiceRoleForECS");
        assert_eq!(reach("ec2:RunInstances", Some(&named)), Reach::Decided);
        assert_eq!(reach("sts:AssumeRole", None), Reach::Decided);
    }

    #[test]
    fn every_level_must_allow_and_any_level_may_deny() {
        let full = Document::parse(FULL).unwrap();
        let deny = Document::parse(&deny_if(r#"{"StringLike":{"aws:userid":"*:alice"}}"#)).unwrap();
        let request = |userid: &str| {
            Request::new(
                "s3:ListAllMyBuckets",
                "*",
                [("aws:userid", userid.to_owned())],
            )
        };
        let level = |name: &str, policies: Vec<(&'static str, &'static Document)>| Level {
            name: name.to_owned(),
            policies,
        };
        let (full, deny): (&'static Document, &'static Document) =
            (Box::leak(Box::new(full)), Box::leak(Box::new(deny)));
        let path = [
            level("root", vec![("full", full)]),
            level("ou", vec![("full", full), ("deny", deny)]),
            level("account", vec![("full", full)]),
        ];
        assert_eq!(
            evaluate(&request("AROA1:bob"), &path).decision,
            Decision::Allow
        );
        let verdict = evaluate(&request("AROA1:alice"), &path);
        assert_eq!(
            (verdict.decision, verdict.by[0].level.as_str()),
            (Decision::ExplicitDeny, "ou")
        );
        // A level that holds a deny only locks everybody out (oracles §2.5).
        let path = [
            level("root", vec![("full", full)]),
            level("ou", vec![("deny", deny)]),
        ];
        assert_eq!(
            evaluate(&request("AROA1:bob"), &path).decision,
            Decision::ImplicitDeny
        );
    }
}
