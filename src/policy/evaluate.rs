//! Whether a request passes the service control policies on its path.
//!
//! Arrives: a [`Request`] and the [`Level`]s from the root down to the account. Leaves: a [`Verdict`] with the
//! statements that decided it. The rule (aws-facts §4): a deny on any level refuses; otherwise every level must allow.
//! What cannot be judged is [`Decision::Unknown`] and never folded into an answer (R4). Whether SCPs apply at all (the
//! management account, service-linked roles) is the caller's question, not ours.

use std::fmt;
use std::net::IpAddr;

use jiff::Timestamp;
use serde::Serialize;

use crate::policy::document::{Condition, Document, Effect, Statement, Words};
use crate::policy::pattern::{self, Context, Resolved};

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// `iam:ListAccountAliases`; compared without case.
    pub action: String,
    /// An ARN, or `*` for actions without a resource.
    pub resource: String,
    /// The request's condition keys, lower-cased, with their values.
    pub context: Context,
}

impl Request {
    /// A request with these keys; they are lower-cased here, because AWS compares keys without case.
    pub fn new<'a>(
        action: &str,
        resource: &str,
        keys: impl IntoIterator<Item = (&'a str, String)>,
    ) -> Self {
        let context = keys
            .into_iter()
            .map(|(key, value)| (key.to_ascii_lowercase(), vec![value]))
            .collect();
        Self {
            action: action.to_owned(),
            resource: resource.to_owned(),
            context,
        }
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
    /// The statement's Sid, if it has one.
    pub sid: Option<String>,
}

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.sid {
            Some(sid) => write!(f, "statement {sid} of {} on {}", self.policy, self.level),
            None => write!(f, "a statement of {} on {}", self.policy, self.level),
        }
    }
}

/// Whether something holds.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Holds {
    Yes,
    No,
    CannotJudge(String),
}

impl From<bool> for Holds {
    fn from(yes: bool) -> Self {
        if yes { Holds::Yes } else { Holds::No }
    }
}

/// Decides.
pub fn evaluate(request: &Request, levels: &[Level<'_>]) -> Verdict {
    let mut denied = Vec::new();
    let mut unsure_deny = None;
    let mut missing_allow = None;
    let mut unsure_allow = None;
    for level in levels {
        let mut allowed = false;
        let mut unsure_here = None;
        for (policy, document) in &level.policies {
            for statement in &document.statements {
                let holds = applies(statement, request, document.has_variables());
                let by = || By {
                    level: level.name.clone(),
                    policy: (*policy).to_owned(),
                    sid: statement.sid.clone(),
                };
                match (statement.effect, holds) {
                    (Effect::Deny, Holds::Yes) => denied.push(by()),
                    (Effect::Deny, Holds::CannotJudge(why)) => {
                        unsure_deny.get_or_insert((by(), why));
                    }
                    (Effect::Allow, Holds::Yes) => allowed = true,
                    (Effect::Allow, Holds::CannotJudge(why)) => {
                        unsure_here.get_or_insert((by(), why));
                    }
                    (Effect::Deny | Effect::Allow, Holds::No) => {}
                }
            }
        }
        if !allowed {
            match unsure_here {
                Some(unsure) => {
                    unsure_allow.get_or_insert(unsure);
                }
                None => {
                    missing_allow.get_or_insert(level.name.clone());
                }
            }
        }
    }
    if let Some(first) = denied.first() {
        let because = format!("{first} denies it");
        return Verdict {
            decision: Decision::ExplicitDeny,
            by: denied,
            because,
        };
    }
    // A level that certainly does not allow refuses, whatever the statements say that cannot be judged.
    if let Some(level) = missing_allow {
        return Verdict {
            decision: Decision::ImplicitDeny,
            by: Vec::new(),
            because: format!("nothing on {level} allows it"),
        };
    }
    if let Some((by, why)) = unsure_deny.or(unsure_allow) {
        let because = format!("{by} cannot be judged: {why}");
        return Verdict {
            decision: Decision::Unknown,
            by: vec![by],
            because,
        };
    }
    Verdict {
        decision: Decision::Allow,
        by: Vec::new(),
        because: "every level allows it and none denies it".to_owned(),
    }
}

fn applies(statement: &Statement, request: &Request, variables: bool) -> Holds {
    if let Some(unknown) = statement.unknown.first() {
        return Holds::CannotJudge(format!("the element {unknown} is not known"));
    }
    let action = |pattern: &str| match pattern::resolve(pattern, &request.context, false, true) {
        Resolved::Tokens(tokens) => pattern::matches(&tokens, &request.action, true),
        Resolved::NoValue => false,
    };
    let resource =
        |pattern: &str| match pattern::resolve(pattern, &request.context, variables, true) {
            Resolved::Tokens(tokens) if request.resource.starts_with("arn:") => {
                pattern::arn_matches(&tokens, &request.resource)
            }
            Resolved::Tokens(tokens) => pattern::matches(&tokens, &request.resource, false),
            Resolved::NoValue => false,
        };
    if !any(&statement.actions, action) || !any(&statement.resources, resource) {
        return Holds::No;
    }
    // All conditions must hold; one that certainly does not settles it, even beside one that cannot be judged.
    let mut unsure = None;
    for condition in &statement.conditions {
        match holds(condition, &request.context, variables) {
            Holds::Yes => {}
            Holds::No => return Holds::No,
            cannot @ Holds::CannotJudge(_) => unsure = Some(cannot),
        }
    }
    unsure.unwrap_or(Holds::Yes)
}

fn any(words: &Words, matches: impl Fn(&str) -> bool) -> bool {
    words.patterns.iter().any(|pattern| matches(pattern)) != words.negated
}

/// How a multi-valued key is asked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Quantifier {
    /// A plain operator.
    Plain,
    /// `ForAnyValue:`; false for a missing key.
    Any,
    /// `ForAllValues:`; true for a missing key.
    All,
}

fn holds(condition: &Condition, context: &Context, variables: bool) -> Holds {
    let (quantifier, name) = match condition.operator.split_once(':') {
        Some(("ForAnyValue", name)) => (Quantifier::Any, name),
        Some(("ForAllValues", name)) => (Quantifier::All, name),
        Some((other, _)) => {
            return Holds::CannotJudge(format!("the set operator {other} is not known"));
        }
        None => (Quantifier::Plain, condition.operator.as_str()),
    };
    let present = context
        .get(&condition.key.to_ascii_lowercase())
        .filter(|values| !values.is_empty());
    if name == "Null" {
        let expected = present.is_none().to_string();
        return condition
            .values
            .iter()
            .any(|value| value.eq_ignore_ascii_case(&expected))
            .into();
    }
    let (name, if_exists) = match name.strip_suffix("IfExists") {
        Some(name) => (name, true),
        None => (name, false),
    };
    let Some((test, negated)) = operator(name) else {
        return Holds::CannotJudge(format!("the operator {} is not known", condition.operator));
    };
    let Some(values) = present else {
        // Missing keys: a positive operator does not match, a negated one does (aws-facts §4).
        return (if_exists
            || quantifier == Quantifier::All
            || (quantifier == Quantifier::Plain && negated))
            .into();
    };
    let mut cannot = None;
    let mut one = |value: &str| {
        let mut hit = false;
        for pattern in &condition.values {
            match test(pattern, value, context, variables) {
                Ok(matched) => hit |= matched,
                Err(why) => cannot = Some(why),
            }
        }
        // A negated operator holds when none of its values matches.
        hit != negated
    };
    let verdict = match quantifier {
        // Several values without a quantifier: AWS documents the quantifiers for that case; any match counts, and
        // for a negated operator all of them must fail to match.
        Quantifier::Plain if negated => values
            .iter()
            .map(|value| one(value))
            .fold(true, |all, yes| all & yes),
        Quantifier::Plain | Quantifier::Any => values
            .iter()
            .map(|value| one(value))
            .fold(false, |any, yes| any | yes),
        Quantifier::All => values
            .iter()
            .map(|value| one(value))
            .fold(true, |all, yes| all & yes),
    };
    match cannot {
        Some(why) => Holds::CannotJudge(format!(
            "{} on {}: {why}",
            condition.operator, condition.key
        )),
        None => verdict.into(),
    }
}

/// Compares one value of the policy with one of the request, or says why it cannot.
type Test = fn(&str, &str, &Context, bool) -> Result<bool, String>;

/// The operator by name: its positive test, and whether the name negates it.
fn operator(name: &str) -> Option<(Test, bool)> {
    Some(match name {
        "StringEquals" => (string::<false, false>, false),
        "StringNotEquals" => (string::<false, false>, true),
        "StringEqualsIgnoreCase" => (string::<false, true>, false),
        "StringNotEqualsIgnoreCase" => (string::<false, true>, true),
        "StringLike" => (string::<true, false>, false),
        "StringNotLike" => (string::<true, false>, true),
        "ArnEquals" | "ArnLike" => (arn, false),
        "ArnNotEquals" | "ArnNotLike" => (arn, true),
        "Bool" => (
            |expected, value, _, _| Ok(expected.eq_ignore_ascii_case(value)),
            false,
        ),
        "NumericEquals" => (|p, v, _, _| number(p, v, |v, p| v == p), false),
        "NumericNotEquals" => (|p, v, _, _| number(p, v, |v, p| v == p), true),
        "NumericLessThan" => (|p, v, _, _| number(p, v, |v, p| v < p), false),
        "NumericLessThanEquals" => (|p, v, _, _| number(p, v, |v, p| v <= p), false),
        "NumericGreaterThan" => (|p, v, _, _| number(p, v, |v, p| v > p), false),
        "NumericGreaterThanEquals" => (|p, v, _, _| number(p, v, |v, p| v >= p), false),
        "DateEquals" => (|p, v, _, _| date(p, v, |v, p| v == p), false),
        "DateNotEquals" => (|p, v, _, _| date(p, v, |v, p| v == p), true),
        "DateLessThan" => (|p, v, _, _| date(p, v, |v, p| v < p), false),
        "DateLessThanEquals" => (|p, v, _, _| date(p, v, |v, p| v <= p), false),
        "DateGreaterThan" => (|p, v, _, _| date(p, v, |v, p| v > p), false),
        "DateGreaterThanEquals" => (|p, v, _, _| date(p, v, |v, p| v >= p), false),
        "IpAddress" => (address, false),
        "NotIpAddress" => (address, true),
        _ => return None,
    })
}

fn string<const WILD: bool, const FOLD: bool>(
    pattern: &str,
    value: &str,
    context: &Context,
    variables: bool,
) -> Result<bool, String> {
    Ok(match pattern::resolve(pattern, context, variables, WILD) {
        Resolved::Tokens(tokens) => pattern::matches(&tokens, value, FOLD),
        Resolved::NoValue => false,
    })
}

fn arn(pattern: &str, value: &str, context: &Context, variables: bool) -> Result<bool, String> {
    Ok(match pattern::resolve(pattern, context, variables, true) {
        Resolved::Tokens(tokens) => pattern::arn_matches(&tokens, value),
        Resolved::NoValue => false,
    })
}

fn number(pattern: &str, value: &str, compare: fn(f64, f64) -> bool) -> Result<bool, String> {
    let parse = |text: &str| {
        text.parse::<f64>()
            .map_err(|_| format!("`{text}` is not a number"))
    };
    Ok(compare(parse(value)?, parse(pattern)?))
}

fn date(
    pattern: &str,
    value: &str,
    compare: fn(Timestamp, Timestamp) -> bool,
) -> Result<bool, String> {
    let parse = |text: &str| match (text.parse::<Timestamp>(), text.parse::<i64>()) {
        (Ok(moment), _) => Ok(moment),
        (Err(_), Ok(seconds)) => {
            Timestamp::from_second(seconds).map_err(|_| format!("`{text}` is not a time"))
        }
        (Err(_), Err(_)) => Err(format!("`{text}` is not a time")),
    };
    Ok(compare(parse(value)?, parse(pattern)?))
}

fn address(pattern: &str, value: &str, _: &Context, _: bool) -> Result<bool, String> {
    let (network, bits) = pattern
        .split_once('/')
        .map_or((pattern, None), |(network, bits)| (network, Some(bits)));
    let parse = |text: &str| {
        text.parse::<IpAddr>()
            .map_err(|_| format!("`{text}` is not an IP address"))
    };
    let (network, value) = (parse(network)?, parse(value)?);
    let (whole, difference) = match (network, value) {
        (IpAddr::V4(n), IpAddr::V4(v)) => (32, u128::from(u32::from(n) ^ u32::from(v))),
        (IpAddr::V6(n), IpAddr::V6(v)) => (128, u128::from(n) ^ u128::from(v)),
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => return Ok(false),
    };
    let bits = bits
        .map_or(Ok(whole), |bits| bits.parse::<u32>())
        .ok()
        .filter(|bits| *bits <= whole);
    let bits = bits.ok_or_else(|| format!("`{pattern}` is not a range of IP addresses"))?;
    Ok(difference.checked_shr(whole - bits).unwrap_or(0) == 0)
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
