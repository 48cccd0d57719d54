//! A service control policy as a value.
//!
//! Written minified, with the elements in the order AWS's own examples have, because every character counts against
//! the quota when a policy arrives through the API (aws-facts §4). Read as the full language that SCPs accept since
//! September 2025 (aws-facts §0.7). An element that we don't know is kept as it stands in `unknown`, so that the
//! evaluator can say that it cannot judge the statement and writing the policy again loses nothing. A text that says
//! two things (a member named twice, `Action` beside `NotAction`) is refused. What is empty is kept and judged unknown:
//! AWS calls it a mistake, and not what it does.

use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::json;

/// A policy document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// `2012-10-17`, or the old `2008-10-17` in which variables are plain text; absent means the old one.
    pub version: Option<String>,
    /// An id of the author's own, which decides nothing.
    pub id: Option<String>,
    /// Its statements, in order.
    pub statements: Vec<Statement>,
    /// Elements beside these that we don't know.
    pub unknown: Vec<Element>,
}

/// An element that we don't know, as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Element {
    /// `Principal`, for example, which no SCP can have.
    pub name: String,
    /// Whatever it holds.
    pub value: Value,
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
    /// All of them must hold. In the order of their operators and keys, which decides nothing.
    pub conditions: Vec<Condition>,
    /// Elements beside these that we don't know.
    pub unknown: Vec<Element>,
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
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
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
    pub fn new(mut statements: Vec<Statement>) -> Self {
        for statement in &mut statements {
            statement.conditions.sort();
        }
        Self {
            version: Some("2012-10-17".to_owned()),
            id: None,
            statements,
            unknown: Vec::new(),
        }
    }

    /// AWS's own policy that allows everything, which stands wherever nobody took it away.
    pub fn allow_all() -> Self {
        Self::new(vec![Statement {
            sid: None,
            effect: Effect::Allow,
            actions: Words::these(["*"]),
            resources: Words::these(["*"]),
            conditions: Vec::new(),
            unknown: Vec::new(),
        }])
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
        let value = json::read(text).map_err(|error| DocumentError::NotJson(error.to_string()))?;
        Self::of(&value)
    }

    /// Takes a document that has been read as JSON.
    ///
    /// # Errors
    /// [`DocumentError::Malformed`].
    pub fn of(value: &Value) -> Result<Self, DocumentError> {
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
            id: text(object, "$", "Id")?,
            statements,
            unknown: beside(object, &["Version", "Id", "Statement"]),
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
    let known = [
        "Sid",
        "Effect",
        "Action",
        "NotAction",
        "Resource",
        "NotResource",
        "Condition",
    ];
    let conditions = conditions(object, path)?;
    // A condition without operators is none that we know.
    let known = known
        .iter()
        .filter(|name| **name != "Condition" || !conditions.is_empty());
    let known: Vec<&str> = known.copied().collect();
    Ok(Statement {
        sid: text(object, path, "Sid")?,
        effect,
        actions: words(object, path, "Action", "NotAction")?,
        resources: words(object, path, "Resource", "NotResource")?,
        conditions,
        unknown: beside(object, &known),
    })
}

fn text(
    object: &Map<String, Value>,
    path: &str,
    name: &str,
) -> Result<Option<String>, DocumentError> {
    match object.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(malformed(&format!("{path}.{name}"), "a string")),
    }
}

/// The elements beside the known ones.
fn beside(object: &Map<String, Value>, known: &[&str]) -> Vec<Element> {
    let unknown = object
        .iter()
        .filter(|(name, _)| !known.contains(&name.as_str()));
    unknown
        .map(|(name, value)| Element {
            name: name.clone(),
            value: value.clone(),
        })
        .collect()
}

fn words(
    object: &Map<String, Value>,
    path: &str,
    plain: &str,
    negated: &str,
) -> Result<Words, DocumentError> {
    let (name, value, negated) = match (object.get(plain), object.get(negated)) {
        (Some(value), None) => (plain, value, false),
        (None, Some(value)) => (negated, value, true),
        (Some(_), Some(_)) | (None, None) => {
            return Err(malformed(
                &format!("{path}.{plain}"),
                "exactly one of the element and its Not form",
            ));
        }
    };
    let path = format!("{path}.{name}");
    let patterns = match value {
        Value::String(one) => vec![one.clone()],
        Value::Array(list) => list
            .iter()
            .map(|item| item.as_str().map(str::to_owned))
            .collect::<Option<_>>()
            .ok_or_else(|| malformed(&path, "a list of strings"))?,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => {
            return Err(malformed(&path, "a string or a list of strings"));
        }
    };
    Ok(Words { negated, patterns })
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
            .filter(|keys| !keys.is_empty())
            .ok_or_else(|| malformed(&path, "an object of keys"))?;
        for (key, values) in keys {
            let values = values_of(values, &format!("{path}.{key}"))?;
            conditions.push(Condition {
                operator: operator.clone(),
                key: key.clone(),
                values,
            });
        }
    }
    conditions.sort();
    Ok(conditions)
}

/// Numbers and booleans are written with and without quotes, and mean the same.
fn values_of(value: &Value, path: &str) -> Result<Vec<String>, DocumentError> {
    let one = |value: &Value| match value {
        Value::String(text) => Ok(text.clone()),
        Value::Bool(_) | Value::Number(_) => Ok(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => {
            Err(malformed(path, "a value or a list of values"))
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
        if let Some(id) = &self.id {
            map.serialize_entry("Id", id)?;
        }
        map.serialize_entry("Statement", &self.statements)?;
        for element in &self.unknown {
            map.serialize_entry(&element.name, &element.value)?;
        }
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
        for element in &self.unknown {
            map.serialize_entry(&element.name, &element.value)?;
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

/// Conditions grouped by operator, as the language has them. They stand in the order of their operators.
struct Operators<'a>(&'a [Condition]);

impl Serialize for Operators<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let groups = self.0.chunk_by(|one, next| one.operator == next.operator);
        serializer.collect_map(groups.filter_map(|group| {
            let first = group.first()?;
            Some((&first.operator, Keys(group)))
        }))
    }
}

/// The keys of one operator.
struct Keys<'a>(&'a [Condition]);

impl Serialize for Keys<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let keys = self.0.iter();
        serializer.collect_map(keys.map(|condition| (&condition.key, OneOrMany(&condition.values))))
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
    fn an_element_we_do_not_know_is_kept_and_written_back() {
        let text = r#"{"Statement":[{"Effect":"Deny","Action":"*","Resource":"*","Principal":{"AWS":["a","b"]}}],"Extra":[1,null]}"#;
        let document = Document::parse(text).unwrap();
        assert_eq!(document.statements[0].unknown[0].name, "Principal");
        assert_eq!(document.unknown[0].name, "Extra");
        assert_eq!(document.minified(), text);
        assert!(!document.has_variables());
    }

    #[test]
    fn what_is_empty_is_kept() {
        for text in [
            r#"{"Statement":[{"Effect":"Deny","Action":[],"Resource":"*"}]}"#,
            r#"{"Statement":[{"Effect":"Deny","Action":"*","Resource":[]}]}"#,
            r#"{"Statement":[{"Effect":"Deny","Action":"*","Resource":"*","Condition":{}}]}"#,
            r#"{"Statement":[{"Effect":"Deny","Action":"*","Resource":"*","Condition":{"StringLike":{"a:b":[]}}}]}"#,
        ] {
            assert_eq!(Document::parse(text).unwrap().minified(), text);
        }
    }

    #[test]
    fn numbers_and_booleans_are_the_text_they_are_written_as() {
        let document = Document::parse(
            r#"{"Statement":{"Effect":"Deny","Action":"*","Resource":"*","Condition":{"NumericLessThan":{"aws:MultiFactorAuthAge":3600},"Bool":{"aws:SecureTransport":[false,"true"]}}}}"#,
        )
        .unwrap();
        let values: Vec<&[String]> = document.statements[0]
            .conditions
            .iter()
            .map(|condition| condition.values.as_slice())
            .collect();
        assert_eq!(values, [["false", "true"].as_slice(), ["3600"].as_slice()]);
    }

    #[test]
    fn what_aws_calls_malformed_is_refused_with_its_place() {
        for (text, path) in [
            ("{not json", "JSON"),
            ("[]", "$"),
            (r#"{"Version":"2012-10-18","Statement":[]}"#, "$.Version"),
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
            (
                r#"{"Statement":{"Effect":"Deny","Action":"*","NotAction":"iam:*","Resource":"*"}}"#,
                "$.Statement.Action",
            ),
            (
                r#"{"Statement":{"Effect":"Deny","Action":"*","Resource":["*",1]}}"#,
                "$.Statement.Resource",
            ),
            (
                r#"{"Statement":{"Sid":1,"Effect":"Deny","Action":"*","Resource":"*"}}"#,
                "$.Statement.Sid",
            ),
            // One reader would take it for an allow, the next for a deny.
            (
                r#"{"Statement":{"Effect":"Allow","Effect":"Deny","Action":"*","Resource":"*"}}"#,
                "`Effect` is named twice",
            ),
        ] {
            let error = Document::parse(text).unwrap_err().to_string();
            assert!(error.contains(path), "{text}: {error}");
        }
    }
}
