//! A service control policy as a value.
//!
//! Written minified, with the elements in the order AWS's own examples have, because every character counts against
//! the quota when a policy arrives through the API (aws-facts §4). Read as the full language that SCPs accept since
//! September 2025; an element that we don't know is kept by name in [`Statement::unknown`], so that the evaluator can
//! say that it cannot judge the statement. It is never dropped.

use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A policy document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// `2012-10-17`, or the old `2008-10-17` in which variables are plain text; absent means the old one.
    pub version: Option<String>,
    /// Its statements, in order.
    pub statements: Vec<Statement>,
}

/// One statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// Its name, letters and digits.
    pub sid: Option<String>,
    /// Allow or deny.
    pub effect: Effect,
    /// `Action` or `NotAction`.
    pub actions: Words,
    /// `Resource` or `NotResource`.
    pub resources: Words,
    /// All of them must hold.
    pub conditions: Vec<Condition>,
    /// Elements that we don't know, by name.
    pub unknown: Vec<String>,
}

/// What a statement does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Effect {
    /// Lets pass.
    Allow,
    /// Refuses.
    Deny,
}

/// A list of patterns that must match, or must not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words {
    /// True for `NotAction` and `NotResource`.
    pub negated: bool,
    /// The patterns.
    pub patterns: Vec<String>,
}

impl Words {
    /// Matching any of these.
    pub fn these<const N: usize>(patterns: [&str; N]) -> Self {
        Self {
            negated: false,
            patterns: patterns
                .iter()
                .map(|pattern| (*pattern).to_owned())
                .collect(),
        }
    }
}

/// One key of one operator, with the values of which one must match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// `StringLike`, `ForAllValues:StringEqualsIfExists`… as written.
    pub operator: String,
    /// The key, as written; keys are compared without case.
    pub key: String,
    /// The values; numbers and booleans as text.
    pub values: Vec<String>,
}

/// A text that is no policy document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// Not JSON.
    #[error("the policy is not JSON: {0}")]
    NotJson(String),
    /// JSON of another form.
    #[error("the policy is malformed at {path}: expected {expected}")]
    Malformed {
        /// Where.
        path: String,
        /// What should be there.
        expected: &'static str,
    },
}

impl Document {
    /// A document in the current version of the language.
    pub fn new(statements: Vec<Statement>) -> Self {
        Self {
            version: Some("2012-10-17".to_owned()),
            statements,
        }
    }

    /// Whether `${…}` means something in it.
    pub fn has_variables(&self) -> bool {
        self.version.as_deref() == Some("2012-10-17")
    }

    /// Reads a document.
    ///
    /// # Errors
    /// [`DocumentError`], when AWS would call it malformed too.
    pub fn parse(text: &str) -> Result<Self, DocumentError> {
        let value: Value = serde_json::from_str(text)
            .map_err(|error| DocumentError::NotJson(error.to_string()))?;
        let object = value
            .as_object()
            .ok_or_else(|| malformed("$", "an object"))?;
        let version = match object.get("Version") {
            None => None,
            Some(Value::String(version)) if version == "2012-10-17" || version == "2008-10-17" => {
                Some(version.clone())
            }
            Some(_) => return Err(malformed("$.Version", "\"2012-10-17\" or \"2008-10-17\"")),
        };
        let statements = match object.get("Statement") {
            Some(Value::Array(list)) if !list.is_empty() => list
                .iter()
                .enumerate()
                .map(|(i, item)| statement(item, &format!("$.Statement[{i}]")))
                .collect::<Result<_, _>>()?,
            Some(one @ Value::Object(_)) => vec![statement(one, "$.Statement")?],
            _ => return Err(malformed("$.Statement", "a statement or a list of them")),
        };
        Ok(Self {
            version,
            statements,
        })
    }

    /// The document as it goes to AWS: minified, elements in a fixed order.
    pub fn minified(&self) -> String {
        // Serializing a tree of strings into a String has no way to fail.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The document for people.
    pub fn pretty(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default()
    }

    /// Its size as AWS counts it: characters, not bytes.
    pub fn characters(&self) -> usize {
        self.minified().chars().count()
    }
}

fn statement(value: &Value, path: &str) -> Result<Statement, DocumentError> {
    let object = value
        .as_object()
        .ok_or_else(|| malformed(path, "an object"))?;
    let effect = match object.get("Effect").and_then(Value::as_str) {
        Some("Allow") => Effect::Allow,
        Some("Deny") => Effect::Deny,
        _ => {
            return Err(malformed(
                &format!("{path}.Effect"),
                "\"Allow\" or \"Deny\"",
            ));
        }
    };
    let sid = match object.get("Sid") {
        None => None,
        Some(Value::String(sid)) => Some(sid.clone()),
        Some(_) => return Err(malformed(&format!("{path}.Sid"), "a string")),
    };
    let known = [
        "Sid",
        "Effect",
        "Action",
        "NotAction",
        "Resource",
        "NotResource",
        "Condition",
    ];
    Ok(Statement {
        sid,
        effect,
        actions: words(object, path, "Action", "NotAction")?,
        resources: words(object, path, "Resource", "NotResource")?,
        conditions: conditions(object, path)?,
        unknown: object
            .keys()
            .filter(|key| !known.contains(&key.as_str()))
            .cloned()
            .collect(),
    })
}

fn words(
    object: &Map<String, Value>,
    path: &str,
    plain: &str,
    negated: &str,
) -> Result<Words, DocumentError> {
    match (object.get(plain), object.get(negated)) {
        (Some(value), None) => Ok(Words {
            negated: false,
            patterns: strings(value, &format!("{path}.{plain}"))?,
        }),
        (None, Some(value)) => Ok(Words {
            negated: true,
            patterns: strings(value, &format!("{path}.{negated}"))?,
        }),
        (Some(_), Some(_)) | (None, None) => Err(malformed(
            &format!("{path}.{plain}"),
            "exactly one of the element and its Not form",
        )),
    }
}

fn conditions(object: &Map<String, Value>, path: &str) -> Result<Vec<Condition>, DocumentError> {
    let path = format!("{path}.Condition");
    let operators = match object.get("Condition") {
        None => return Ok(Vec::new()),
        Some(Value::Object(operators)) => operators,
        Some(_) => return Err(malformed(&path, "an object of operators")),
    };
    let mut conditions = Vec::new();
    for (operator, keys) in operators {
        let path = format!("{path}.{operator}");
        let keys = keys
            .as_object()
            .ok_or_else(|| malformed(&path, "an object of keys"))?;
        for (key, values) in keys {
            let values = strings(values, &format!("{path}.{key}"))?;
            conditions.push(Condition {
                operator: operator.clone(),
                key: key.clone(),
                values,
            });
        }
    }
    Ok(conditions)
}

fn strings(value: &Value, path: &str) -> Result<Vec<String>, DocumentError> {
    let one = |value: &Value| match value {
        Value::String(text) => Ok(text.clone()),
        Value::Bool(_) | Value::Number(_) => Ok(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => {
            Err(malformed(path, "a string or a list of strings"))
        }
    };
    match value {
        Value::Array(list) => list.iter().map(one).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
            Ok(vec![one(value)?])
        }
    }
}

fn malformed(path: &str, expected: &'static str) -> DocumentError {
    DocumentError::Malformed {
        path: path.to_owned(),
        expected,
    }
}

impl Serialize for Document {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if let Some(version) = &self.version {
            map.serialize_entry("Version", version)?;
        }
        map.serialize_entry("Statement", &self.statements)?;
        map.end()
    }
}

impl Serialize for Statement {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if let Some(sid) = &self.sid {
            map.serialize_entry("Sid", sid)?;
        }
        map.serialize_entry("Effect", &self.effect)?;
        map.serialize_entry(
            if self.actions.negated {
                "NotAction"
            } else {
                "Action"
            },
            &OneOrMany(&self.actions.patterns),
        )?;
        map.serialize_entry(
            if self.resources.negated {
                "NotResource"
            } else {
                "Resource"
            },
            &OneOrMany(&self.resources.patterns),
        )?;
        if !self.conditions.is_empty() {
            map.serialize_entry("Condition", &Operators(&self.conditions))?;
        }
        map.end()
    }
}

/// A single value is written bare, which is shorter; AWS reads both.
struct OneOrMany<'a>(&'a [String]);

impl Serialize for OneOrMany<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            [one] => serializer.serialize_str(one),
            many => serializer.collect_seq(many),
        }
    }
}

/// Conditions grouped by operator, as the language has them.
struct Operators<'a>(&'a [Condition]);

impl Serialize for Operators<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut operators: Vec<&str> = Vec::new();
        for condition in self.0 {
            if !operators.contains(&condition.operator.as_str()) {
                operators.push(&condition.operator);
            }
        }
        let mut map = serializer.serialize_map(Some(operators.len()))?;
        for operator in operators {
            map.serialize_entry(operator, &Keys(self.0, operator))?;
        }
        map.end()
    }
}

struct Keys<'a>(&'a [Condition], &'a str);

impl Serialize for Keys<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let own = self
            .0
            .iter()
            .filter(|condition| condition.operator == self.1);
        serializer.collect_map(own.map(|condition| (&condition.key, OneOrMany(&condition.values))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_written_back_minified() {
        let text = r#"{"Version":"2012-10-17","Statement":[{"Sid":"A","Effect":"Deny","NotAction":["iam:*","sts:*"],"Resource":"*","Condition":{"StringLike":{"aws:userid":["*:a","*:b"]},"Bool":{"aws:SecureTransport":"false"}}},{"Effect":"Allow","Action":"*","NotResource":"arn:aws:s3:::x"}]}"#;
        let document = Document::parse(text).unwrap();
        let spaced = Document::parse(&document.pretty()).unwrap();
        assert_eq!(spaced, document);
        assert_eq!(Document::parse(&document.minified()).unwrap(), document);
        assert_eq!(document.characters(), document.minified().chars().count());
        assert!(!document.minified().contains(' '));
    }

    #[test]
    fn an_element_we_do_not_know_is_kept_by_name() {
        let document = Document::parse(
            r#"{"Statement":{"Effect":"Deny","Action":"*","Resource":"*","Principal":"*"}}"#,
        )
        .unwrap();
        assert_eq!(document.statements[0].unknown, ["Principal"]);
        assert!(!document.has_variables());
    }

    #[test]
    fn what_aws_calls_malformed_is_refused_with_its_place() {
        for (text, path) in [
            ("{not json", "JSON"),
            ("[]", "$"),
            (r#"{"Version":"2012-10-17"}"#, "$.Statement"),
            (r#"{"Statement":[]}"#, "$.Statement"),
            (
                r#"{"Statement":{"Effect":"deny","Action":"*","Resource":"*"}}"#,
                "$.Statement.Effect",
            ),
            (
                r#"{"Statement":{"Effect":"Deny","Resource":"*"}}"#,
                "$.Statement.Action",
            ),
            (
                r#"{"Statement":{"Effect":"Deny","Action":{},"Resource":"*"}}"#,
                "$.Statement.Action",
            ),
            (
                r#"{"Statement":{"Effect":"Deny","Action":"*","Resource":"*","Condition":{"Bool":"x"}}}"#,
                "$.Statement.Condition.Bool",
            ),
        ] {
            let error = Document::parse(text).unwrap_err().to_string();
            assert!(error.contains(path), "{text}: {error}");
        }
    }
}
