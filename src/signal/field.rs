//! An object of a signal and its place: fields are found whatever their case, and what is wrong with them is said with
//! where it is.

use serde_json::{Map, Value};

use super::{MOST_ACCUSED, MOST_TEXT, ReadError};
use crate::ids::shorten;

/// An object, and where it is.
#[derive(Debug, Clone)]
pub(super) struct At<'a> {
    object: &'a Map<String, Value>,
    /// `$.detail.resource`.
    pub(super) path: String,
}

impl<'a> At<'a> {
    pub(super) fn new(object: &'a Map<String, Value>, path: String) -> Self {
        Self { object, path }
    }

    /// The path of one of its fields, spelt as it is there.
    pub(super) fn path_of(&self, key: &str) -> String {
        let spelt = self
            .object
            .keys()
            .find(|name| name.eq_ignore_ascii_case(key));
        format!("{}.{}", self.path, spelt.map_or(key, String::as_str))
    }

    /// The paths of these of its fields.
    pub(super) fn paths_of(&self, keys: [&str; 3]) -> [String; 3] {
        keys.map(|key| self.path_of(key))
    }

    /// A field; one that is null is not there.
    pub(super) fn get(&self, key: &str) -> Result<Option<&'a Value>, ReadError> {
        let mut found = self.object.iter();
        let mut next = || found.find(|(name, _)| name.eq_ignore_ascii_case(key));
        let first = next();
        if next().is_some() {
            return Err(ReadError::Twice(self.path_of(key)));
        }
        Ok(first
            .map(|(_, value)| value)
            .filter(|value| !value.is_null()))
    }

    /// Whether there is something by any of these names.
    pub(super) fn has(&self, keys: &[&str]) -> Result<bool, ReadError> {
        for key in keys {
            if self.get(key)?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// A text, empty if there is none.
    pub(super) fn text(&self, key: &str) -> Result<&'a str, ReadError> {
        match self.get(key)? {
            None => Ok(""),
            Some(Value::String(text)) => Ok(text),
            Some(_) => Err(self.wrong(key, "a string")),
        }
    }

    /// A text that is only shown.
    pub(super) fn shown(&self, key: &str) -> Result<Option<String>, ReadError> {
        let text = self.text(key)?;
        Ok((!text.is_empty()).then(|| shorten(text, MOST_TEXT)))
    }

    pub(super) fn child(&self, key: &str) -> Result<Option<At<'a>>, ReadError> {
        match self.get(key)? {
            None => Ok(None),
            Some(Value::Object(child)) => Ok(Some(At::new(child, self.path_of(key)))),
            Some(_) => Err(self.wrong(key, "an object")),
        }
    }

    /// An object inside objects; `None` as soon as one of them is not there.
    pub(super) fn descend(&self, keys: &[&str]) -> Result<Option<At<'a>>, ReadError> {
        let mut at = self.clone();
        for key in keys {
            match at.child(key)? {
                Some(child) => at = child,
                None => return Ok(None),
            }
        }
        Ok(Some(at))
    }

    /// The objects of a list, none if there is no list.
    pub(super) fn list(&self, key: &str) -> Result<Vec<At<'a>>, ReadError> {
        let items = match self.get(key)? {
            None => return Ok(Vec::new()),
            Some(Value::Array(items)) => items,
            Some(_) => return Err(self.wrong(key, "a list")),
        };
        let path = self.path_of(key);
        let item = |(i, item): (usize, &'a Value)| match item {
            Value::Object(object) => Ok(At::new(object, format!("{path}[{i}]"))),
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_) => Err(ReadError::WrongType {
                path: format!("{path}[{i}]"),
                expected: "an object",
            }),
        };
        items.iter().enumerate().map(item).collect()
    }

    /// The objects of a list that is as short as every true one.
    pub(super) fn few(&self, key: &str) -> Result<Vec<At<'a>>, ReadError> {
        let list = self.list(key)?;
        if list.len() > MOST_ACCUSED {
            return Err(ReadError::TooMany(self.path_of(key)));
        }
        Ok(list)
    }

    pub(super) fn number(&self, key: &str) -> Result<Option<f64>, ReadError> {
        let number = |value: &Value| value.as_f64().ok_or_else(|| self.wrong(key, "a number"));
        self.get(key)?.map(number).transpose()
    }

    /// The objects that are its fields.
    pub(super) fn children(&self) -> impl Iterator<Item = At<'a>> {
        let path = self.path.clone();
        self.object.iter().filter_map(move |(name, value)| {
            let path = format!("{path}.{}", shorten(name, 80));
            Some(At::new(value.as_object()?, path))
        })
    }

    fn wrong(&self, key: &str, expected: &'static str) -> ReadError {
        ReadError::WrongType {
            path: self.path_of(key),
            expected,
        }
    }
}

/// The first of these that is not empty.
pub(super) fn first<'a>(texts: &[&'a str]) -> &'a str {
    texts.iter().find(|text| !text.is_empty()).unwrap_or(&"")
}
