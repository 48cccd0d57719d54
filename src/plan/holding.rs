//! The management account's deny: written into the inline policies of the permission sets that the person holds there.
//!
//! No SCP applies in the management account, and the role of a permission set cannot be edited in IAM; the set's inline
//! policy can, and binds running sessions once it is provisioned (aws-facts §11). `PutInlinePolicyToPermissionSet` replaces
//! the whole document, so the deny is merged into what is there: everybody else's statements stay as they are, byte for
//! byte. Pure.

use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::ids::IncidentId;
use crate::policy::document::Document;

/// The longest inline policy, in bytes (aws-facts §9).
const MOST_BYTES: usize = 32_768;

/// The most characters of one that are not white space (aws-facts §9).
const MOST_CHARACTERS: usize = 10_240;

/// Why an inline policy is left as it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotMerged {
    /// It is no policy document, so where to put a statement is not known.
    #[error("its inline policy cannot be read: {0}")]
    Unreadable(String),
    /// With the deny it would be longer than AWS takes.
    #[error(
        "its inline policy would have {0} characters with the deny, and AWS takes {MOST_CHARACTERS}"
    )]
    TooLong(usize),
}

/// The inline policy with the deny in it, in front of everything else.
///
/// # Errors
/// [`NotMerged`]; the policy is then to be left as it is.
pub fn merged(current: Option<&str>, deny: &Document) -> Result<String, NotMerged> {
    let ours = deny.minified();
    let merged = match current {
        None => ours,
        Some(current) => {
            let (mut policy, mut deny) = (read(current)?, read(&ours)?);
            deny.statements.append(&mut policy.statements);
            policy.statements = deny.statements;
            write(&policy)?
        }
    };
    let characters = merged.chars().filter(|c| !c.is_whitespace()).count();
    if merged.len() > MOST_BYTES || characters > MOST_CHARACTERS {
        return Err(NotMerged::TooLong(characters));
    }
    Ok(merged)
}

/// The inline policy without an incident's statements; `None` when nothing else was in it.
///
/// # Errors
/// [`NotMerged::Unreadable`].
pub fn without(current: &str, incident: &IncidentId) -> Result<Option<String>, NotMerged> {
    let mut policy = read(current)?;
    let before = policy.statements.len();
    policy
        .statements
        .retain(|statement| !is_of(statement, incident));
    match policy.statements.len() {
        0 => Ok(None),
        // Not even its white space is ours to change.
        left if left == before => Ok(Some(current.to_owned())),
        _ => write(&policy).map(Some),
    }
}

/// Whether the inline policy has every statement of the deny.
pub fn denies(current: Option<&str>, deny: &Document) -> bool {
    let document = current.and_then(|current| Document::parse(current).ok());
    document.is_some_and(|document| {
        deny.statements
            .iter()
            .all(|statement| document.statements.contains(statement))
    })
}

/// A policy whose elements and statements are kept as they were written.
struct Policy<'a> {
    /// In their order; the statements' place is marked by `None`.
    elements: Vec<(String, Option<&'a RawValue>)>,
    statements: Vec<&'a RawValue>,
}

fn unreadable(error: &serde_json::Error) -> NotMerged {
    NotMerged::Unreadable(error.to_string())
}

fn read(text: &str) -> Result<Policy<'_>, NotMerged> {
    // What the evaluator cannot read, AWS does not take either.
    Document::parse(text).map_err(|error| NotMerged::Unreadable(error.to_string()))?;
    let Elements(elements) = serde_json::from_str(text).map_err(|error| unreadable(&error))?;
    let mut policy = Policy {
        elements: Vec::new(),
        statements: Vec::new(),
    };
    for (key, value) in elements {
        if key != "Statement" {
            policy.elements.push((key, Some(value)));
            continue;
        }
        policy.elements.push((key, None));
        // One statement may stand without its list.
        policy.statements = if value.get().starts_with('[') {
            serde_json::from_str(value.get()).map_err(|error| unreadable(&error))?
        } else {
            vec![value]
        };
    }
    Ok(policy)
}

fn write(policy: &Policy<'_>) -> Result<String, NotMerged> {
    serde_json::to_string(policy).map_err(|error| unreadable(&error))
}

/// Whether a statement's Sid names the incident.
fn is_of(statement: &RawValue, incident: &IncidentId) -> bool {
    #[derive(Deserialize)]
    struct Named {
        #[serde(rename = "Sid")]
        sid: Option<String>,
    }
    let named = serde_json::from_str::<Named>(statement.get());
    let sid = named.ok().and_then(|named| named.sid);
    sid.is_some_and(|sid| sid.starts_with(&format!("Quell{}", incident.sid_part())))
}

impl Serialize for Policy<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.elements.len()))?;
        for (key, value) in &self.elements {
            match value {
                Some(value) => map.serialize_entry(key, value)?,
                None => map.serialize_entry(key, &self.statements)?,
            }
        }
        map.end()
    }
}

/// An object's members in their order.
struct Elements<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Elements<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Elements<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a policy document")
            }
            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
                let mut elements = Vec::new();
                while let Some(element) = map.next_entry()? {
                    elements.push(element);
                }
                Ok(Elements(elements))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{SessionName, UserId};
    use crate::policy;
    use crate::principal::Identity;

    fn incident() -> IncidentId {
        IncidentId::parse("q-7f3a9c").unwrap()
    }

    fn deny() -> Document {
        let identity = Identity::IdentityCenterUser {
            user_id: Some(UserId::parse("94482488-3041-7026-18f3-be45837cd0e4").unwrap()),
            session_names: [SessionName::parse("alice@example.com").unwrap()].into(),
        };
        policy::draft(&incident(), [&identity]).unwrap()
    }

    const THEIRS: &str = r#"{ "Statement": [ {"Resource":"*", "Effect" : "Allow","Action":["s3:*"]},
        {"Sid":"Quell1","Effect":"Deny","Action":"iam:*","Resource":"*"} ],
        "Version": "2012-10-17" }"#;

    #[test]
    fn everybody_elses_statements_stay_byte_for_byte() {
        let with = merged(Some(THEIRS), &deny()).unwrap();
        for theirs in [
            r#"{"Resource":"*", "Effect" : "Allow","Action":["s3:*"]}"#,
            r#"{"Sid":"Quell1","Effect":"Deny","Action":"iam:*","Resource":"*"}"#,
        ] {
            assert!(with.contains(theirs), "{with}");
        }
        assert!(denies(Some(&with), &deny()));
        assert!(!denies(Some(THEIRS), &deny()));
        let again = without(&with, &incident()).unwrap().unwrap();
        let same = |text: &str| Document::parse(text).unwrap();
        assert_eq!(same(&again), same(THEIRS));
        assert!(!again.contains("7f3a9c"), "{again}");
    }

    #[test]
    fn where_there_was_none_none_is_left_and_one_without_ours_is_not_touched() {
        let with = merged(None, &deny()).unwrap();
        assert_eq!(Document::parse(&with).unwrap(), deny());
        assert_eq!(without(&with, &incident()), Ok(None));
        assert_eq!(without(THEIRS, &incident()), Ok(Some(THEIRS.to_owned())));
    }

    #[test]
    fn a_statement_without_a_list_is_one_too() {
        let single = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}"#;
        let with = merged(Some(single), &deny()).unwrap();
        assert!(denies(Some(&with), &deny()));
        assert!(
            with.contains(r#"{"Effect":"Allow","Action":"*","Resource":"*"}"#),
            "{with}"
        );
    }

    #[test]
    fn what_is_no_policy_or_has_no_room_is_left_alone() {
        for text in ["", "[]", "{}", "{\"Statement\":7}"] {
            assert!(
                matches!(merged(Some(text), &deny()), Err(NotMerged::Unreadable(_))),
                "{text}"
            );
        }
        let long = format!(
            r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Action":"{}","Resource":"*"}}]}}"#,
            "s3:".to_owned() + &"x".repeat(10_000)
        );
        assert!(matches!(
            merged(Some(&long), &deny()),
            Err(NotMerged::TooLong(_))
        ));
    }
}
