//! Conditions: whether one key of a request is as a policy wants it.
//!
//! A condition is made ready once: its operator is looked up, its values are read as patterns, numbers, moments or
//! networks. What AWS's documentation does not decide is [`Holds::CannotJudge`] with the reason, and stays so until
//! something else decides the statement (R4). The rules are those of AWS's page on condition operators (aws-facts §4):
//! several values are ORed, for a negated operator NORed; a missing key makes a positive operator false and a negated
//! one true; `IfExists` makes a missing key true; keys are compared without case, values with it. A variable without a
//! value is like nothing, so a negated operator holds for it (AWS's page on variables).

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::policy::document::Condition;
use crate::policy::pattern::{Arn, Context, Folded, Glob, NoValue, Pattern, Rules};

/// Whether something holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holds {
    /// It does.
    Yes,
    /// It does not.
    No,
    /// AWS's documentation does not say, or the values cannot be read. A lower-case fragment.
    CannotJudge(String),
}

impl From<bool> for Holds {
    fn from(yes: bool) -> Self {
        if yes { Holds::Yes } else { Holds::No }
    }
}

impl Holds {
    /// Whether any of these holds. One that does decides, even beside one that cannot be judged.
    pub fn any(each: impl IntoIterator<Item = Self>) -> Self {
        let mut all = Holds::No;
        for one in each {
            match one {
                Holds::Yes => return Holds::Yes,
                Holds::No => {}
                unsure @ Holds::CannotJudge(_) => all = unsure,
            }
        }
        all
    }

    /// Whether all of these hold. One that does not decides, even beside one that cannot be judged.
    pub fn all(each: impl IntoIterator<Item = Self>) -> Self {
        Self::any(each.into_iter().map(Self::opposite)).opposite()
    }

    /// The opposite, if it is known.
    pub fn opposite(self) -> Self {
        match self {
            Holds::Yes => Holds::No,
            Holds::No => Holds::Yes,
            unsure @ Holds::CannotJudge(_) => unsure,
        }
    }
}

/// A condition, made ready.
#[derive(Debug)]
pub struct Test<'p> {
    /// As the policy has it.
    pub condition: &'p Condition,
    /// Lower-cased, as request keys are.
    key: String,
    form: Form,
}

#[derive(Debug)]
enum Form {
    /// `Null`: whether the key must be missing.
    Missing(bool),
    /// Everything else.
    Compare {
        quantifier: Quantifier,
        negated: bool,
        if_exists: bool,
        wanted: Vec<Wanted>,
    },
    /// AWS does not say what it means.
    Unclear(String),
}

/// How a multi-valued key is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quantifier {
    /// A plain operator, for keys with one value.
    Plain,
    /// `ForAnyValue:`; false for a missing key.
    Any,
    /// `ForAllValues:`; true for a missing key.
    All,
}

/// One value of a condition.
#[derive(Debug)]
enum Wanted {
    Text(Pattern<Glob>),
    Folded(Pattern<Folded>),
    Arn(Pattern<Arn>),
    Boolean(bool),
    Number(Order, f64),
    Moment(Order, Timestamp),
    Network(Network),
    /// It cannot be read as what the operator compares.
    Unclear(String),
}

/// How numbers and moments are compared.
#[derive(Debug, Clone, Copy)]
enum Order {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Order {
    fn holds<T: PartialOrd>(self, value: &T, wanted: &T) -> bool {
        match self {
            Order::Equal => value == wanted,
            Order::Less => value < wanted,
            Order::LessOrEqual => value <= wanted,
            Order::Greater => value > wanted,
            Order::GreaterOrEqual => value >= wanted,
        }
    }
}

/// What an operator compares.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Equals,
    EqualsIgnoreCase,
    Like,
    Arn,
    Bool,
    Number(Order),
    Moment(Order),
    Network,
}

/// The one documented operator that is not judged: no key that an SCP can name is binary.
const BINARY: &str = "BinaryEquals";

/// The operator by its documented name, and whether the name negates it.
fn operator(name: &str) -> Option<(Kind, bool)> {
    use Order::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual};
    Some(match name {
        "StringEquals" => (Kind::Equals, false),
        "StringNotEquals" => (Kind::Equals, true),
        "StringEqualsIgnoreCase" => (Kind::EqualsIgnoreCase, false),
        "StringNotEqualsIgnoreCase" => (Kind::EqualsIgnoreCase, true),
        "StringLike" => (Kind::Like, false),
        "StringNotLike" => (Kind::Like, true),
        "ArnEquals" | "ArnLike" => (Kind::Arn, false),
        "ArnNotEquals" | "ArnNotLike" => (Kind::Arn, true),
        "Bool" => (Kind::Bool, false),
        "NumericEquals" => (Kind::Number(Equal), false),
        "NumericNotEquals" => (Kind::Number(Equal), true),
        "NumericLessThan" => (Kind::Number(Less), false),
        "NumericLessThanEquals" => (Kind::Number(LessOrEqual), false),
        "NumericGreaterThan" => (Kind::Number(Greater), false),
        "NumericGreaterThanEquals" => (Kind::Number(GreaterOrEqual), false),
        "DateEquals" => (Kind::Moment(Equal), false),
        "DateNotEquals" => (Kind::Moment(Equal), true),
        "DateLessThan" => (Kind::Moment(Less), false),
        "DateLessThanEquals" => (Kind::Moment(LessOrEqual), false),
        "DateGreaterThan" => (Kind::Moment(Greater), false),
        "DateGreaterThanEquals" => (Kind::Moment(GreaterOrEqual), false),
        "IpAddress" => (Kind::Network, false),
        "NotIpAddress" => (Kind::Network, true),
        _ => return None,
    })
}

/// Whether this is an operator that the policy language documents, with its set operator and `IfExists`.
pub fn is_operator(written: &str) -> bool {
    let (_, name) = quantified(written);
    name.is_some_and(|name| {
        let name = name.strip_suffix("IfExists").unwrap_or(name);
        written == "Null" || name == BINARY || operator(name).is_some()
    })
}

/// The set operator, and the name after it unless the set operator is none.
fn quantified(written: &str) -> (Quantifier, Option<&str>) {
    match written.split_once(':') {
        None => (Quantifier::Plain, Some(written)),
        Some(("ForAnyValue", name)) => (Quantifier::Any, Some(name)),
        Some(("ForAllValues", name)) => (Quantifier::All, Some(name)),
        Some(_) => (Quantifier::Plain, None),
    }
}

impl<'p> Test<'p> {
    /// Makes a condition ready. `variables` as in [`Rules::variables`].
    pub fn new(condition: &'p Condition, variables: bool) -> Self {
        Self {
            condition,
            key: condition.key.to_ascii_lowercase(),
            form: form(condition, variables),
        }
    }

    /// Whether it asks for one of these keys, lower-cased.
    pub fn asks_for_any(&self, keys: &BTreeSet<String>) -> bool {
        keys.contains(&self.key)
    }

    /// Whether it holds.
    pub fn holds(&self, context: &Context) -> Holds {
        let found = self.found(context);
        match &self.form {
            Form::Unclear(why) => Holds::CannotJudge(why.clone()),
            Form::Missing(wanted) => match found {
                Some([empty]) if empty.is_empty() => Holds::CannotJudge(format!(
                    "AWS does not say whether an empty {} is there",
                    self.condition.key
                )),
                found => (found.is_none() == *wanted).into(),
            },
            Form::Compare {
                quantifier,
                negated,
                if_exists,
                wanted,
            } => match found {
                None => missing(*quantifier, *negated, *if_exists),
                Some(found) => compare(*quantifier, *negated, wanted, found, context),
            },
        }
    }

    /// The request's values of this key; none is the same as no key.
    pub fn found<'c>(&self, context: &'c Context) -> Option<&'c [String]> {
        let values = context.get(&self.key)?;
        (!values.is_empty()).then_some(values)
    }
}

fn form(condition: &Condition, variables: bool) -> Form {
    if condition.values.is_empty() {
        return Form::Unclear(format!(
            "{} on {} has no values",
            condition.operator, condition.key
        ));
    }
    if condition.operator == "Null" {
        let wanted: Vec<bool> = condition
            .values
            .iter()
            .filter_map(|value| value.parse().ok())
            .collect();
        return match wanted.as_slice() {
            [one] if condition.values.len() == 1 => Form::Missing(*one),
            _ => Form::Unclear(format!(
                "Null on {} is neither true nor false",
                condition.key
            )),
        };
    }
    let (quantifier, name) = quantified(&condition.operator);
    let (name, if_exists) = match name.map(|name| (name, name.strip_suffix("IfExists"))) {
        Some((_, Some(name))) => (name, true),
        Some((name, None)) => (name, false),
        None => ("", false),
    };
    match operator(name) {
        Some((kind, negated)) => Form::Compare {
            quantifier,
            negated,
            if_exists,
            wanted: condition
                .values
                .iter()
                .map(|value| wanted(kind, value, variables))
                .collect(),
        },
        None if name == BINARY => Form::Unclear(format!("{BINARY} is not judged")),
        None => Form::Unclear(format!("the operator {} is not known", condition.operator)),
    }
}

/// AWS documents no variables in numbers, dates, addresses and `Null`, and two things of them in booleans; there they are
/// text that cannot be read.
fn wanted(kind: Kind, value: &str, variables: bool) -> Wanted {
    let rules = |wildcards| Rules {
        variables,
        wildcards,
    };
    match kind {
        Kind::Equals => Wanted::Text(Pattern::new(value, rules(false))),
        Kind::Like => Wanted::Text(Pattern::new(value, rules(true))),
        Kind::EqualsIgnoreCase => Wanted::Folded(Pattern::new(value, rules(false))),
        Kind::Bool => boolean(value).map_or_else(Wanted::Unclear, Wanted::Boolean),
        // What a variable brings shows only when it has its value.
        Kind::Arn if value != "*" && !is_arn(value) && !value.contains("${") => {
            Wanted::Unclear(format!("`{value}` is not an ARN"))
        }
        Kind::Arn => Wanted::Arn(Pattern::new(value, rules(true))),
        Kind::Number(order) => {
            number(value).map_or_else(Wanted::Unclear, |n| Wanted::Number(order, n))
        }
        Kind::Moment(order) => {
            moment(value).map_or_else(Wanted::Unclear, |m| Wanted::Moment(order, m))
        }
        Kind::Network => Network::parse(value).map_or_else(Wanted::Unclear, Wanted::Network),
    }
}

fn missing(quantifier: Quantifier, negated: bool, if_exists: bool) -> Holds {
    match quantifier {
        Quantifier::Plain => (negated || if_exists).into(),
        Quantifier::All => Holds::Yes,
        Quantifier::Any if if_exists => Holds::CannotJudge(
            "AWS documents two answers for a missing key: true for IfExists, false for ForAnyValue"
                .to_owned(),
        ),
        Quantifier::Any => Holds::No,
    }
}

fn compare(
    quantifier: Quantifier,
    negated: bool,
    wanted: &[Wanted],
    found: &[String],
    context: &Context,
) -> Holds {
    let one = |value: &String| {
        let hit = Holds::any(wanted.iter().map(|wanted| wanted.is(value, context)));
        if negated { hit.opposite() } else { hit }
    };
    match (quantifier, found) {
        (Quantifier::All, [empty]) if empty.is_empty() => Holds::Yes,
        (Quantifier::Plain, [value]) => one(value),
        (Quantifier::Any, values) => Holds::any(values.iter().map(one)),
        (Quantifier::All, values) => Holds::all(values.iter().map(one)),
        (Quantifier::Plain, _) => Holds::CannotJudge(
            "AWS requires ForAnyValue or ForAllValues for a key with several values".to_owned(),
        ),
    }
}

impl Wanted {
    /// Whether the request's value is what is wanted.
    fn is(&self, value: &str, context: &Context) -> Holds {
        // Nothing equals or is like a variable without a value.
        let with = |hit: Result<bool, NoValue>| Holds::from(hit.unwrap_or(false));
        let read = |hit: Result<bool, String>| hit.map_or_else(Holds::CannotJudge, Holds::from);
        match self {
            Wanted::Text(pattern) => with(pattern.matches(value, context)),
            Wanted::Folded(pattern) => with(pattern.matches(value, context)),
            Wanted::Arn(_) if !is_arn(value) => {
                Holds::CannotJudge(format!("`{value}` is not an ARN"))
            }
            Wanted::Arn(pattern) => with(pattern.matches(value, context)),
            Wanted::Boolean(wanted) => read(boolean(value).map(|value| value == *wanted)),
            Wanted::Number(order, wanted) => read(number(value).map(|n| order.holds(&n, wanted))),
            Wanted::Moment(order, wanted) => read(moment(value).map(|m| order.holds(&m, wanted))),
            Wanted::Network(network) => network.has(value),
            Wanted::Unclear(why) => Holds::CannotJudge(why.clone()),
        }
    }
}

/// Six parts between colons.
fn is_arn(text: &str) -> bool {
    text.matches(':').count() >= 5
}

fn boolean(text: &str) -> Result<bool, String> {
    let known = [("true", true), ("false", false)];
    let found = known
        .iter()
        .find(|(word, _)| text.eq_ignore_ascii_case(word));
    found
        .map(|(_, boolean)| *boolean)
        .ok_or_else(|| format!("`{text}` is neither true nor false"))
}

/// An integer or a decimal. More digits than a double holds cannot be compared.
fn number(text: &str) -> Result<f64, String> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let plain = digits.len() <= 15
        && digits.starts_with(|c: char| c.is_ascii_digit())
        && digits.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let parsed = text.parse().ok().filter(|_| plain);
    parsed.ok_or_else(|| format!("`{text}` is not a number that can be compared"))
}

/// ISO 8601 with a zone, a date alone (its midnight in UTC), or seconds since 1970.
fn moment(text: &str) -> Result<Timestamp, String> {
    let cannot = || format!("`{text}` is not a time that can be compared");
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Ok(moment);
    }
    // Four digits are a year for ISO 8601, and seconds for whoever counts from 1970.
    if text.len() > 4
        && let Ok(seconds) = text.parse()
    {
        return Timestamp::from_second(seconds).map_err(|_| cannot());
    }
    let date = (text.len() == 10).then(|| text.parse::<Date>().ok());
    let midnight = date
        .flatten()
        .and_then(|date| date.to_zoned(TimeZone::UTC).ok());
    midnight.map(|zoned| zoned.timestamp()).ok_or_else(cannot)
}

/// A range of addresses.
#[derive(Debug, Clone, Copy)]
struct Network {
    address: IpAddr,
    /// How many of its bits count; absent where the policy gives a lone address.
    prefix: Option<u32>,
}

impl Network {
    fn parse(text: &str) -> Result<Self, String> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let cannot = || format!("`{text}` is not a range of IP addresses");
        let address: IpAddr = address.parse().map_err(|_| cannot())?;
        let prefix = prefix
            .map(str::parse::<u32>)
            .transpose()
            .map_err(|_| cannot())?;
        if prefix.is_some_and(|prefix| prefix > bits_of(address)) {
            return Err(cannot());
        }
        Ok(Self { address, prefix })
    }

    fn has(&self, value: &str) -> Holds {
        let Ok(value) = value.parse::<IpAddr>() else {
            return Holds::CannotJudge(format!("`{value}` is not an IP address"));
        };
        let common = match (self.address, value) {
            (IpAddr::V4(a), IpAddr::V4(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
            (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => return Holds::No,
        };
        match self.prefix {
            Some(prefix) => (common >= prefix).into(),
            // A lone address counts as a /32, AWS says, and that is all of a version 4 address and a quarter of a
            // version 6 one.
            None if common == bits_of(self.address) => Holds::Yes,
            None if common < 32 => Holds::No,
            None => Holds::CannotJudge(format!(
                "AWS reads the lone address {} as a /32",
                self.address
            )),
        }
    }
}

fn bits_of(address: IpAddr) -> u32 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

/// A condition in words: `StringLike aws:userid *:alice`.
pub struct InWords<'a>(pub &'a Condition);

impl fmt::Display for InWords<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {} {}",
            self.0.operator,
            self.0.key,
            Listed(&self.0.values)
        )
    }
}

/// At most three values, and how many more there are.
pub struct Listed<'a>(pub &'a [String]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 3;
        for (i, value) in self.0.iter().take(SHOWN).enumerate() {
            write!(f, "{}{value}", if i == 0 { "" } else { ", " })?;
        }
        match self.0.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}
