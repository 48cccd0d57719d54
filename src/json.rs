//! JSON that a stranger wrote, read so that nothing in it is silently lost.
//!
//! JSON allows an object to name a member twice, and readers differ in which one they take. A policy that one reader
//! takes for a deny and another for an allow must not get through, so a member that is named twice is an error here. So is
//! a number that is not whole and stands without quotes: `1.10` and `1.1` are one number and two texts, and a policy
//! compares texts. Nesting is bounded by serde_json, and so is the stack.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// Reads one JSON text.
///
/// # Errors
/// What is wrong and where (line and column), a lower-case fragment.
pub fn read(text: &str) -> Result<Value, serde_json::Error> {
    serde_json::from_str::<Strict>(text).map(|strict| strict.0)
}

struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Anything).map(Strict)
    }
}

struct Anything;

impl<'de> Visitor<'de> for Anything {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Err(E::custom(format!(
            "the number {value} is not whole: put it in quotes as it is meant"
        )))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(Strict(value)) = list.next_element()? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some((name, Strict(value))) = object.next_entry::<String, Strict>()? {
            if members.contains_key(&name) {
                return Err(A::Error::custom(format!("`{name}` is named twice")));
            }
            members.insert(name, value);
        }
        Ok(Value::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_what_serde_json_reads() {
        for text in [
            "null",
            "true",
            "-1",
            "18446744073709551615",
            r#""a\u0041\n""#,
            r#"[1,[2],{"a":{}}]"#,
        ] {
            assert_eq!(
                read(text).unwrap(),
                serde_json::from_str::<Value>(text).unwrap(),
                "{text}"
            );
        }
    }

    #[test]
    fn a_member_named_twice_is_refused_with_its_place() {
        let error = read("{\"a\":{\"b\":1,\n\"b\":2}}").unwrap_err().to_string();
        assert!(
            error.contains("`b` is named twice") && error.contains("line 2"),
            "{error}"
        );
    }

    #[test]
    fn a_number_that_would_not_be_kept_as_it_is_written_is_refused() {
        for number in ["1.10", "1e3", "12345678901234567890123", "-0.0"] {
            let error = read(number).unwrap_err().to_string();
            assert!(error.contains("put it in quotes"), "{error}");
        }
    }

    #[test]
    fn a_text_that_nests_without_end_is_refused() {
        assert!(read(&"[".repeat(1_000_000)).is_err());
    }
}
