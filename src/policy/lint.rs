//! What is wrong with a policy that AWS would accept.
//!
//! Arrives: a [`Document`]. Leaves: [`Mistake`]s, for people. The linters that exist know misspelt operators and bad
//! dates at best; none knows the two mistakes that leave somebody in while everybody believes them out: a wildcard in an
//! operator that has none, and two keys of one person in one statement.

use crate::policy::condition::is_operator;
use crate::policy::document::{Condition, Document, Effect, Statement};
use crate::policy::evaluate::named;
use crate::policy::{MOST_CHARACTERS, PRINCIPAL_ARN, SOURCE_IDENTITY, USER_ID, USERID};

/// The keys of which each can name a person by itself.
const NAMING: [&str; 3] = [USER_ID, USERID, SOURCE_IDENTITY];

/// What is wrong with a policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Mistake {
    /// `StringEquals` with `*:alice` never matches anybody.
    #[error("{of} compares {key} with `{value}` by {operator}, which takes `*` and `?` for themselves: {}", if .operator.contains("Not") { "it exempts nobody. Use StringNotLike" } else { "it never matches. Use StringLike" })]
    WildcardInEquals {
        /// The statement.
        of: String,
        /// The operator.
        operator: String,
        /// The key.
        key: String,
        /// The value.
        value: String,
    },
    /// `aws:PrincipalArn` is a role's ARN also where a session of the role asks.
    #[error(
        "{of} compares aws:PrincipalArn with a session's ARN (`{value}`), and it never is one: write the role's, arn:aws:iam::<account>:role/<path and name>"
    )]
    SessionArn {
        /// The statement.
        of: String,
        /// The value.
        value: String,
    },
    /// Conditions of one statement are ANDed.
    #[error("{of} asks for {} at once, and a session seldom has them all: give each its own statement", .keys.join(" and "))]
    KeysTogether {
        /// The statement.
        of: String,
        /// The keys.
        keys: Vec<String>,
    },
    /// Whoever lacks the key is hit.
    #[error("{of} denies by {operator} on {key}: it hits everybody who does not have that key")]
    HitsWithoutKey {
        /// The statement.
        of: String,
        /// The operator.
        operator: String,
        /// The key.
        key: String,
    },
    /// Everybody is hit.
    #[error("{of} denies everything to everybody: it has no condition")]
    HitsEverybody {
        /// The statement.
        of: String,
    },
    /// AWS may take it, and nobody knows what for.
    #[error("{of} has the operator {operator}, which the policy language does not know")]
    UnknownOperator {
        /// The statement.
        of: String,
        /// The operator.
        operator: String,
    },
    /// An SCP has no such element.
    #[error("{of} has the element {element}, which no service control policy can have")]
    UnknownElement {
        /// The statement, or the policy.
        of: String,
        /// The element.
        element: String,
    },
    /// Before 2012, `${…}` was text.
    #[error(
        "the policy has variables or escapes, and without `\"Version\":\"2012-10-17\"` they are plain text"
    )]
    VariablesAreText,
    /// Too long.
    #[error("the policy has {0} characters, and AWS takes {MOST_CHARACTERS}")]
    TooLong(usize),
}

/// Everything that is wrong with a policy.
pub fn mistakes(document: &Document) -> Vec<Mistake> {
    let mut found = Vec::new();
    let elements = document.unknown.iter();
    found.extend(elements.map(|element| Mistake::UnknownElement {
        of: "the policy".to_owned(),
        element: element.name.clone(),
    }));
    for (number, statement) in (1..).zip(&document.statements) {
        let of = named(statement.sid.as_deref(), number);
        in_statement(&of, statement, &mut found);
    }
    let texts = document.statements.iter().flat_map(texts_of);
    if !document.has_variables() && texts.into_iter().any(|text| text.contains("${")) {
        found.push(Mistake::VariablesAreText);
    }
    let characters = document.characters();
    if characters > MOST_CHARACTERS {
        found.push(Mistake::TooLong(characters));
    }
    found
}

fn in_statement(of: &str, statement: &Statement, found: &mut Vec<Mistake>) {
    let of = || of.to_owned();
    let elements = statement.unknown.iter();
    found.extend(elements.map(|element| Mistake::UnknownElement {
        of: of(),
        element: element.name.clone(),
    }));
    for condition in &statement.conditions {
        if !is_operator(&condition.operator) {
            found.push(Mistake::UnknownOperator {
                of: of(),
                operator: condition.operator.clone(),
            });
        }
        if condition.key.eq_ignore_ascii_case(PRINCIPAL_ARN)
            && let Some(value) = condition
                .values
                .iter()
                .find(|value| value.contains(":sts:"))
        {
            found.push(Mistake::SessionArn {
                of: of(),
                value: value.clone(),
            });
        }
        if let Some(value) = wildcard_in_equals(condition) {
            found.push(Mistake::WildcardInEquals {
                of: of(),
                operator: condition.operator.clone(),
                key: condition.key.clone(),
                value: value.clone(),
            });
        }
    }
    if statement.effect == Effect::Deny {
        in_deny(&of, statement, found);
    }
}

fn in_deny(of: &impl Fn() -> String, statement: &Statement, found: &mut Vec<Mistake>) {
    let everything = |patterns: &[String]| patterns.iter().any(|pattern| pattern == "*");
    let all = everything(&statement.actions.patterns)
        && everything(&statement.resources.patterns)
        && !statement.actions.negated
        && !statement.resources.negated;
    if all && statement.conditions.is_empty() && statement.unknown.is_empty() {
        found.push(Mistake::HitsEverybody { of: of() });
    }
    let named_by = |key: &str| {
        let mut conditions = statement.conditions.iter();
        conditions.find(|condition| {
            condition.key.eq_ignore_ascii_case(key)
                && !condition.operator.contains("Not")
                && condition.operator != "Null"
        })
    };
    let keys: Vec<String> = NAMING
        .iter()
        .filter_map(|key| named_by(key))
        .map(|condition| condition.key.clone())
        .collect();
    if keys.len() > 1 {
        found.push(Mistake::KeysTogether { of: of(), keys });
    }
    // A negated operator is how an exemption is written, and on a key that every request has it exempts. On one that
    // most requests lack it refuses them all.
    let by_absence = statement.conditions.iter().filter(|condition| {
        let rare = [USER_ID, SOURCE_IDENTITY]
            .iter()
            .any(|key| condition.key.eq_ignore_ascii_case(key));
        let matches_missing = condition.operator.contains("Not")
            || condition.operator.ends_with("IfExists")
            || condition.operator.starts_with("ForAllValues:");
        rare && matches_missing
    });
    for condition in by_absence {
        found.push(Mistake::HitsWithoutKey {
            of: of(),
            operator: condition.operator.clone(),
            key: condition.key.clone(),
        });
    }
}

/// A value with a wildcard in an operator that has none. Escapes are wildcards made text on purpose.
fn wildcard_in_equals(condition: &Condition) -> Option<&String> {
    let plain = ["StringEquals", "StringNotEquals"]
        .iter()
        .any(|name| condition.operator.contains(name));
    let wild = |value: &&String| {
        let text = value.replace("${*}", "").replace("${?}", "");
        text.contains(['*', '?'])
    };
    condition.values.iter().find(wild).filter(|_| plain)
}

fn texts_of(statement: &Statement) -> Vec<&String> {
    let values = statement
        .conditions
        .iter()
        .flat_map(|condition| &condition.values);
    statement.resources.patterns.iter().chain(values).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(policy: &str) -> Vec<String> {
        let document = Document::parse(policy).unwrap();
        mistakes(&document)
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    fn deny(rest: &str) -> String {
        format!(
            r#"{{"Version":"2012-10-17","Statement":[{{"Sid":"S","Effect":"Deny","Action":"*","Resource":"*"{rest}}}]}}"#
        )
    }

    fn as_long_as_aws_takes() -> String {
        let of = |length: usize| {
            let value = "a".repeat(length);
            deny(&format!(
                r#","Condition":{{"StringLike":{{"aws:userid":"{value}"}}}}"#
            ))
        };
        let rest = Document::parse(&of(0)).unwrap().characters();
        of(MOST_CHARACTERS - rest)
    }

    #[test]
    fn each_mistake_is_found_and_named() {
        for (policy, words) in [
            (
                deny(r#","Condition":{"StringEquals":{"aws:userid":"*:alice"}}"#),
                "never matches",
            ),
            (
                deny(
                    r#","Condition":{"StringNotEquals":{"aws:PrincipalArn":"arn:aws:iam::*:role/BreakGlass"}}"#,
                ),
                "it exempts nobody. Use StringNotLike",
            ),
            (
                deny(
                    r#","Condition":{"ArnNotLike":{"aws:PrincipalArn":"arn:aws:sts::*:assumed-role/BreakGlass/*"}}"#,
                ),
                "it never is one",
            ),
            (deny(r#","Principal":"*""#), "Principal"),
            (
                deny(r#","Condition":{"StringEqualsIgnoreCaseIfExists":{"aws:userid":"a?"}}"#),
                "never matches",
            ),
            (
                deny(
                    r#","Condition":{"StringLike":{"aws:UserId":"*:alice"},"StringEquals":{"aws:SourceIdentity":"alice"}}"#,
                ),
                "aws:UserId and aws:SourceIdentity at once",
            ),
            (
                deny(r#","Condition":{"StringNotEquals":{"aws:SourceIdentity":"alice"}}"#),
                "everybody who does not have",
            ),
            (
                deny(r#","Condition":{"StringEqualsIfExists":{"identitystore:userid":"u"}}"#),
                "everybody who does not have",
            ),
            (deny(""), "to everybody"),
            (
                deny(r#","Condition":{"StringLikes":{"aws:userid":"*:alice"}}"#),
                "StringLikes",
            ),
            (
                deny(r#","Condition":{"ForSomeValue:StringLike":{"aws:userid":"*:alice"}}"#),
                "ForSomeValue",
            ),
            (
                deny(r#","Principal":"*","Condition":{"StringLike":{"aws:userid":"*:alice"}}"#),
                "Principal",
            ),
            (
                deny(r#","Condition":{"StringLike":{"aws:userid":"*:${aws:username}"}}"#)
                    .replace("2012", "2008"),
                "plain text",
            ),
            (
                deny(&format!(
                    r#","Condition":{{"StringLike":{{"aws:userid":"*:{}"}}}}"#,
                    "a".repeat(MOST_CHARACTERS)
                )),
                "AWS takes 10240",
            ),
        ] {
            let found = of(&policy);
            assert!(
                found.len() == 1 && found[0].contains(words),
                "{policy}: {found:?}"
            );
        }
    }

    #[test]
    fn a_sound_policy_has_none() {
        for policy in [
            deny(r#","Condition":{"StringLike":{"aws:userid":["*:alice","*:bob"]}}"#),
            deny(
                r#","Condition":{"ArnNotLike":{"aws:PrincipalArn":"arn:aws:iam::*:role/breakglass"}}"#,
            ),
            deny(r#","Condition":{"StringEquals":{"aws:userid":"${*}"}}"#),
            deny(
                r#","Condition":{"Null":{"aws:AssumedRoot":"true"},"StringEquals":{"aws:PrincipalArn":"a"}}"#,
            ),
            deny("").replace(r#""Action":"*""#, r#""NotAction":"iam:*""#),
            deny("").replace(r#""Resource":"*""#, r#""NotResource":"*""#),
            deny("").replace(r#""Resource":"*""#, r#""Resource":"arn:aws:s3:::a""#),
            deny("").replace(r#""Action":"*""#, r#""NotAction":"*""#),
            deny("").replace(r#""Action":"*""#, r#""Action":"iam:*""#),
            deny("").replace("Deny", "Allow"),
            deny(
                r#","Condition":{"Null":{"identitystore:UserId":"true"},"StringLike":{"aws:userid":"*:alice"}}"#,
            ),
            deny(r#","Condition":{"BinaryEquals":{"a:b":"QQ=="}}"#),
            as_long_as_aws_takes(),
        ] {
            assert_eq!(of(&policy), Vec::<String>::new(), "{policy}");
        }
    }
}
