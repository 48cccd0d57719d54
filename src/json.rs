//! JSON that a stranger wrote, read so that nothing in it is silently lost.
//!
//! JSON allows an object to name a member twice, and readers differ in which one they take. A policy that one reader
//! takes for a deny and another for an allow must not get through, so a member that is named twice is an error here. So is
//! a number of a policy that is not whole and stands without quotes: `1.10` and `1.1` are one number and two texts, and a
//! policy compares texts. Nesting is bounded by serde_json, and so is the stack; what the values take of memory is bounded
//! by a [`Budget`] where the text is not small by itself.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::ids::shorten;

/// What a value takes at most in a list or an object, which grow by doubling.
const VALUE: usize = 64;

/// What the first member of an object takes: a node has room for eleven, of a key and a value each.
const OBJECT: usize = 704;

/// What a further member takes, in nodes that are half full.
const MEMBER: usize = 128;

/// Reads one JSON text of a policy.
///
/// # Errors
/// What is wrong and where (path, line and column), a lower-case fragment.
pub fn read(text: &str) -> Result<Value, serde_json::Error> {
    of(text, &Path::Root("$"), None)
}

/// So many bytes of memory may what is read still take.
#[derive(Debug)]
pub struct Budget(Cell<usize>);

impl Budget {
    /// Nothing of it is spent.
    pub fn new(bytes: usize) -> Self {
        Self(Cell::new(bytes))
    }

    /// Reads one JSON text whose numbers are only looked at; its root is called this in errors.
    ///
    /// # Errors
    /// What is wrong and where (path, line and column), a lower-case fragment; also when the budget is spent.
    pub fn read(&self, text: &str, root: &str) -> Result<Value, serde_json::Error> {
        of(text, &Path::Root(root), Some(self))
    }

    fn spend<E: Error>(&self, bytes: usize, at: &Path<'_>) -> Result<(), E> {
        let left = self.0.get().checked_sub(bytes);
        self.0.set(left.unwrap_or_default());
        left.map(drop).ok_or_else(|| {
            E::custom(format!(
                "at {at}: it has more values than can be kept in memory"
            ))
        })
    }
}

fn of(text: &str, at: &Path<'_>, budget: Option<&Budget>) -> Result<Value, serde_json::Error> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let value = Anything { at, budget }.deserialize(&mut reader)?;
    reader.end()?;
    Ok(value)
}

/// Where in a text a value is.
enum Path<'a> {
    Root(&'a str),
    Member(&'a Path<'a>, &'a str),
    Item(&'a Path<'a>, usize),
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Path::Root(name) => f.write_str(name),
            Path::Member(of, name) => write!(f, "{of}.{}", shorten(name, 80)),
            Path::Item(of, i) => write!(f, "{of}[{i}]"),
        }
    }
}

/// A value at a place. Without a budget it is a policy's, whose numbers are texts.
struct Anything<'a> {
    at: &'a Path<'a>,
    budget: Option<&'a Budget>,
}

impl Anything<'_> {
    fn spend<E: Error>(&self, bytes: usize) -> Result<(), E> {
        self.budget
            .map_or(Ok(()), |budget| budget.spend(bytes, self.at))
    }
}

impl<'de> DeserializeSeed<'de> for Anything<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Anything<'_> {
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
        if self.budget.is_some() {
            return Ok(Value::from(value));
        }
        Err(E::custom(format!(
            "at {}: the number {value} is not whole: put it in quotes as it is meant",
            self.at
        )))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        self.spend(value.len())?;
        Ok(Value::String(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        loop {
            let item = Anything {
                at: &Path::Item(self.at, values.len()),
                budget: self.budget,
            };
            let Some(value) = list.next_element_seed(item)? else {
                return Ok(Value::Array(values));
            };
            self.spend(VALUE)?;
            values.push(value);
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some(name) = object.next_key::<String>()? {
            if members.contains_key(&name) {
                let (at, name) = (self.at, shorten(&name, 80));
                return Err(A::Error::custom(format!(
                    "at {at}: `{name}` is named twice"
                )));
            }
            let member = if members.is_empty() { OBJECT } else { MEMBER };
            self.spend(member + name.len())?;
            let value = object.next_value_seed(Anything {
                at: &Path::Member(self.at, &name),
                budget: self.budget,
            })?;
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
            error.contains("at $.a: `b` is named twice") && error.contains("line 2"),
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

    #[test]
    fn what_is_read_within_a_budget_keeps_fractions_and_ends_with_the_budget() {
        let budget = Budget::new(4_000);
        assert_eq!(
            budget.read(r#"{"severity":8.5}"#, "$").unwrap()["severity"],
            8.5
        );
        let many = format!("[{}0]", "{\"a\":0},".repeat(10));
        let error = budget.read(&many, "$").unwrap_err().to_string();
        assert!(error.contains("at $[4]: it has more values"), "{error}");
        assert!(budget.read(r#"{"a":1}"#, "$").is_err(), "a spent budget");
    }

    #[test]
    fn no_value_takes_more_memory_than_its_budget() {
        // What the constants promise: these are the sizes that they were taken from.
        assert!(size_of::<Value>() * 2 <= VALUE);
        let node = 11 * (size_of::<String>() + size_of::<Value>()) + 4 * size_of::<usize>();
        assert!(node <= OBJECT, "{node}");
        assert!(2 * (size_of::<String>() + size_of::<Value>()) <= MEMBER);
    }
}
