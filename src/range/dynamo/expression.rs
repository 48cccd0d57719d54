//! The expressions of DynamoDB's language that the range understands.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::range::dynamo::invalid;
use crate::range::team::Item;
use crate::range::wire::{Asked, Refusal};

/// Those of DynamoDB's reserved words that TEAM's attributes are called by.
const RESERVED: [&str; 6] = ["comment", "date", "name", "role", "status", "time"];

/// The parameters that hold an expression.
const PARAMETERS: [&str; 5] = [
    "KeyConditionExpression",
    "FilterExpression",
    "ConditionExpression",
    "UpdateExpression",
    "ProjectionExpression",
];

/// The expressions of one request, with what their placeholders stand for.
pub(super) struct Expressions<'a> {
    asked: &'a Asked,
    names: Map<String, Value>,
    values: Map<String, Value>,
}

impl<'a> Expressions<'a> {
    /// Takes them, if every placeholder that is given is used.
    pub(super) fn of(asked: &'a Asked) -> Result<Self, Refusal> {
        let given = |name: &str| {
            let given = asked.parameters.get(name).and_then(Value::as_object);
            given.cloned().unwrap_or_default()
        };
        let expressions = Self {
            asked,
            names: given("ExpressionAttributeNames"),
            values: given("ExpressionAttributeValues"),
        };
        let used: BTreeSet<&str> = PARAMETERS
            .iter()
            .flat_map(|parameter| words(asked.text(parameter)))
            .collect();
        let mut given = expressions.names.keys().chain(expressions.values.keys());
        match given.find(|placeholder| !used.contains(placeholder.as_str())) {
            Some(unused) => Err(invalid(&format!(
                "Value provided in ExpressionAttributeNames or ExpressionAttributeValues unused in expressions: keys: {{{unused}}}"
            ))),
            None => Ok(expressions),
        }
    }

    /// Refuses a query that asks for other keys than these: the first it must ask for, the others it may.
    pub(super) fn must_ask_for(&self, keys: &[&str]) -> Result<(), Refusal> {
        let mut asked = BTreeSet::new();
        for term in terms(self.asked.text("KeyConditionExpression")) {
            let name = words(term).next().unwrap_or_default();
            asked.insert(self.name(name)?);
        }
        let first = keys.first().is_some_and(|first| asked.contains(first));
        if first && asked.iter().all(|name| keys.contains(name)) {
            return Ok(());
        }
        Err(invalid(&format!(
            "Query condition missed key schema element: {}",
            keys.first().unwrap_or(&"id")
        )))
    }

    /// Whether the conditions of a parameter hold for an item. No condition always holds.
    pub(super) fn hold(&self, parameter: &str, item: &Item) -> Result<bool, Refusal> {
        for term in terms(self.asked.text(parameter)) {
            if !self.holds(term, item)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn holds(&self, term: &str, item: &Item) -> Result<bool, Refusal> {
        let unknown = || invalid(&format!("Invalid expression: Syntax error near: {term}"));
        if let Some((function, inside)) = term.strip_suffix(')').and_then(|it| it.split_once('(')) {
            let operands: Vec<&str> = inside.split(',').map(str::trim).collect();
            return match (function.trim(), operands.as_slice()) {
                ("attribute_exists", [name]) => Ok(item.contains_key(self.name(name)?)),
                ("attribute_not_exists", [name]) => Ok(!item.contains_key(self.name(name)?)),
                ("begins_with", [name, prefix]) => {
                    let text = |value: Option<&Value>| {
                        let text = value.and_then(|value| value.get("S")?.as_str());
                        text.map(str::to_owned)
                    };
                    let value = text(item.get(self.name(name)?));
                    let prefix = text(Some(self.value(prefix)?)).ok_or_else(unknown)?;
                    Ok(value.is_some_and(|value| value.starts_with(&prefix)))
                }
                (name, values) => {
                    let name = name.strip_suffix(" IN").ok_or_else(unknown)?;
                    let value = item.get(self.name(name.trim())?);
                    let mut found = false;
                    for other in values {
                        found |= value == Some(self.value(other)?);
                    }
                    Ok(found)
                }
            };
        }
        let (name, same, value) = match (term.split_once("<>"), term.split_once('=')) {
            (Some((name, value)), _) => (name, false, value),
            (None, Some((name, value))) => (name, true, value),
            (None, None) => return Err(unknown()),
        };
        let value = self.value(value.trim())?;
        Ok((item.get(self.name(name.trim())?) == Some(value)) == same)
    }

    /// Changes an item as the update expression says.
    pub(super) fn update(&self, item: &mut Item) -> Result<(), Refusal> {
        let expression = self.asked.text("UpdateExpression").trim();
        let (set, remove) = match expression.split_once("REMOVE ") {
            Some((set, remove)) => (set.trim(), remove),
            None => (expression, ""),
        };
        let assignments = match set {
            "" => "",
            set => set.strip_prefix("SET ").ok_or_else(|| {
                invalid("Invalid UpdateExpression: the practice range knows SET and REMOVE")
            })?,
        };
        for assignment in assignments.split(',').filter(|it| !it.trim().is_empty()) {
            let (name, value) = assignment
                .split_once('=')
                .ok_or_else(|| invalid("Invalid UpdateExpression: Syntax error"))?;
            let name = self.changeable(name)?;
            item.insert(name.to_owned(), self.value(value.trim())?.clone());
        }
        for name in remove.split(',').filter(|it| !it.trim().is_empty()) {
            item.remove(self.changeable(name)?);
        }
        Ok(())
    }

    fn changeable<'b>(&'b self, name: &'b str) -> Result<&'b str, Refusal> {
        match self.name(name.trim())? {
            "id" => Err(invalid(
                "Cannot update attribute id. This attribute is part of the key",
            )),
            name => Ok(name),
        }
    }

    /// The attribute that a name in an expression stands for.
    fn name<'b>(&'b self, name: &'b str) -> Result<&'b str, Refusal> {
        if name.starts_with('#') {
            let stands_for = self.names.get(name).and_then(Value::as_str);
            return stands_for.ok_or_else(|| {
                invalid(&format!("An expression attribute name used in the document path is not defined; attribute name: {name}"))
            });
        }
        if RESERVED.contains(&name.to_ascii_lowercase().as_str()) {
            return Err(invalid(&format!(
                "Attribute name is a reserved keyword; reserved keyword: {name}"
            )));
        }
        Ok(name)
    }

    fn value(&self, name: &str) -> Result<&Value, Refusal> {
        self.values.get(name).ok_or_else(|| {
            invalid(&format!("An expression attribute value used in expression is not defined; attribute value: {name}"))
        })
    }
}

/// The conditions that must all hold.
fn terms(expression: &str) -> impl Iterator<Item = &str> {
    expression
        .split(" AND ")
        .map(str::trim)
        .filter(|term| !term.is_empty())
}

/// The names and placeholders of an expression.
fn words(expression: &str) -> impl Iterator<Item = &str> {
    expression
        .split(|c: char| !(c.is_ascii_alphanumeric() || "_#:".contains(c)))
        .filter(|word| !word.is_empty())
}
