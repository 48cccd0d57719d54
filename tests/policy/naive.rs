//! A second evaluator, as slow and plain as possible, written from AWS's words alone (aws-facts §4 and the pages it
//! cites) over plain JSON. It shares nothing with quell's: no types, no matcher, no order of evaluation. It answers what
//! the documentation decides, and panics where a case asks for more.

use serde_json::Value;

/// `allow`, `explicit_deny` or `implicit_deny`.
pub(crate) fn decide(case: &Value) -> &'static str {
    let request = &case["request"];
    let levels = case["scps"].as_array().unwrap();
    let statements = |level: &Value| -> Vec<(Value, bool)> {
        let mut all = Vec::new();
        for policy in level.as_array().unwrap() {
            // Variables and escapes need the new version; without it they are taken literally.
            let new = policy["Version"] == "2012-10-17";
            for statement in list(&policy["Statement"]) {
                all.push((statement.clone(), new));
            }
        }
        all
    };
    // A deny anywhere wins.
    for level in levels {
        for (statement, new) in statements(level) {
            if statement["Effect"] == "Deny" && applies(&statement, new, request) {
                return "explicit_deny";
            }
        }
    }
    // Every level has to allow.
    for level in levels {
        let allowed = statements(level).iter().any(|(statement, new)| {
            statement["Effect"] == "Allow" && applies(statement, *new, request)
        });
        if !allowed {
            return "implicit_deny";
        }
    }
    "allow"
}

fn list(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(items) => items.iter().collect(),
        one => vec![one],
    }
}

fn texts(value: &Value) -> Vec<String> {
    let text = |item: &&Value| item.as_str().map_or(item.to_string(), str::to_owned);
    list(value).iter().map(text).collect()
}

fn applies(statement: &Value, new: bool, request: &Value) -> bool {
    let action = request["action"].as_str().unwrap().to_lowercase();
    let resource = request["resource"].as_str().unwrap();
    let action_is =
        |pattern: &String| wild(&symbols(&pattern.to_lowercase(), false, true), &action);
    let resource_is = |pattern: &String| {
        let pattern = symbols(pattern, new, true);
        if resource.starts_with("arn:") {
            arn(&pattern, resource)
        } else {
            wild(&pattern, resource)
        }
    };
    let actions = match statement.get("Action") {
        Some(actions) => texts(actions).iter().any(action_is),
        None => !texts(&statement["NotAction"]).iter().any(action_is),
    };
    let resources = match statement.get("Resource") {
        Some(resources) => texts(resources).iter().any(resource_is),
        None => !texts(&statement["NotResource"]).iter().any(resource_is),
    };
    let Some(conditions) = statement.get("Condition") else {
        return actions && resources;
    };
    let mut all = true;
    for (operator, keys) in conditions.as_object().unwrap() {
        for (key, wanted) in keys.as_object().unwrap() {
            all = all && holds(operator, key, &texts(wanted), new, &request["context"]);
        }
    }
    actions && resources && all
}

fn holds(operator: &str, key: &str, wanted: &[String], new: bool, context: &Value) -> bool {
    // Key names are compared without case.
    let found = context
        .as_object()
        .unwrap()
        .iter()
        .find(|(name, _)| name.to_lowercase() == key.to_lowercase())
        .map(|(_, value)| texts(value));
    if operator == "Null" {
        return wanted[0] == if found.is_none() { "true" } else { "false" };
    }
    let set = operator.split_once(':').map(|(set, _)| set);
    let name = operator.split(':').next_back().unwrap();
    let if_exists = name.ends_with("IfExists");
    let name = name.trim_end_matches("IfExists");
    let negated = name.contains("Not");
    // What the negated operator negates.
    let plain = match name {
        "NotIpAddress" => "IpAddress".to_owned(),
        other => other.replacen("Not", "", 1),
    };
    let is = |value: &String| wanted.iter().any(|wanted| same(&plain, wanted, value, new));
    match (set, found) {
        (Some("ForAllValues"), None) => true,
        (Some("ForAnyValue"), None) => false,
        (None, None) => negated || if_exists,
        (Some("ForAllValues"), Some(values)) => values.iter().all(|value| is(value) != negated),
        (Some("ForAnyValue"), Some(values)) => values.iter().any(|value| is(value) != negated),
        (None, Some(values)) => {
            assert_eq!(values.len(), 1, "AWS requires a set operator");
            is(&values[0]) != negated
        }
        (Some(other), _) => panic!("AWS documents no {other}"),
    }
}

fn same(operator: &str, wanted: &str, value: &str, new: bool) -> bool {
    match operator {
        "StringEquals" => wild(&symbols(wanted, new, false), value),
        "StringEqualsIgnoreCase" => wild(
            &symbols(&wanted.to_lowercase(), new, false),
            &value.to_lowercase(),
        ),
        "StringLike" => wild(&symbols(wanted, new, true), value),
        "ArnEquals" | "ArnLike" => arn(&symbols(wanted, new, true), value),
        "Bool" => wanted == value,
        "NumericEquals" => number(value) == number(wanted),
        "NumericLessThan" => number(value) < number(wanted),
        "NumericLessThanEquals" => number(value) <= number(wanted),
        "NumericGreaterThan" => number(value) > number(wanted),
        "NumericGreaterThanEquals" => number(value) >= number(wanted),
        "DateEquals" => moment(value) == moment(wanted),
        "DateLessThan" => moment(value) < moment(wanted),
        "DateLessThanEquals" => moment(value) <= moment(wanted),
        "DateGreaterThan" => moment(value) > moment(wanted),
        "DateGreaterThanEquals" => moment(value) >= moment(wanted),
        "IpAddress" => within(wanted, value),
        other => panic!("AWS documents no {other}"),
    }
}

/// A pattern as symbols: `Err` for the wildcards, `Ok` for characters.
pub(crate) fn symbols(text: &str, escapes: bool, wildcards: bool) -> Vec<Result<char, char>> {
    let mut symbols = Vec::new();
    let mut text = text.to_owned();
    while let Some(first) = text.chars().next() {
        if escapes
            && ["${*}", "${?}", "${$}"]
                .iter()
                .any(|escape| text.starts_with(escape))
        {
            symbols.push(Ok(text.chars().nth(2).unwrap()));
            text = text.chars().skip(4).collect();
            continue;
        }
        assert!(
            !escapes || !text.starts_with("${") || !text.contains('}'),
            "a variable: {text}"
        );
        symbols.push(if wildcards && "*?".contains(first) {
            Err(first)
        } else {
            Ok(first)
        });
        text = text.chars().skip(1).collect();
    }
    symbols
}

/// Whether the whole text matches: a table of which prefixes match which.
pub(crate) fn wild(pattern: &[Result<char, char>], text: &str) -> bool {
    let text: Vec<char> = text.chars().collect();
    let mut table = vec![vec![false; text.len() + 1]; pattern.len() + 1];
    table[0][0] = true;
    for p in 1..=pattern.len() {
        for t in 0..=text.len() {
            table[p][t] = match pattern[p - 1] {
                Err('*') => table[p - 1][t] || (t > 0 && table[p][t - 1]),
                Err(_) => t > 0 && table[p - 1][t - 1],
                Ok(c) => t > 0 && text[t - 1] == c && table[p - 1][t - 1],
            };
        }
    }
    table[pattern.len()][text.len()]
}

/// Each of the six colon-delimited components of an ARN is checked separately.
fn arn(pattern: &[Result<char, char>], text: &str) -> bool {
    if pattern == [Err('*')] {
        return true;
    }
    let mut components = vec![Vec::new()];
    for symbol in pattern {
        if *symbol == Ok(':') && components.len() < 6 {
            components.push(Vec::new());
        } else {
            components.last_mut().unwrap().push(*symbol);
        }
    }
    let texts: Vec<&str> = text.splitn(6, ':').collect();
    components.len() == 6
        && texts.len() == 6
        && components
            .iter()
            .zip(texts)
            .all(|(pattern, text)| wild(pattern, text))
}

fn number(text: &str) -> f64 {
    text.parse().unwrap()
}

/// Milliseconds since 1970, by counting.
fn moment(text: &str) -> i64 {
    let digits = |from: usize, to: usize| -> i64 { text[from..to].parse().unwrap() };
    let (year, month, day) = (digits(0, 4), digits(5, 7), digits(8, 10));
    let leap = |year: i64| (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    let lengths = [
        31,
        28 + i64::from(leap(year)),
        31,
        30,
        31,
        30,
        31,
        31,
        30,
        31,
        30,
        31,
    ];
    let years: i64 = (1970..year).map(|year| 365 + i64::from(leap(year))).sum();
    let months: i64 = lengths[..usize::try_from(month - 1).unwrap()].iter().sum();
    let days = years + months + day - 1;
    if text.len() == 10 {
        return days * 86_400_000;
    }
    let seconds = digits(11, 13) * 3600 + digits(14, 16) * 60 + digits(17, 19);
    let rest = &text[19..];
    let (fraction, zone) = rest.split_at(rest.find(['Z', '+']).unwrap());
    let fraction: f64 = format!("0{fraction}").parse().unwrap();
    let east: i64 = match zone.strip_prefix('+') {
        Some(zone) => zone[..2].parse::<i64>().unwrap() * 3600,
        None => 0,
    };
    (days * 86_400 + seconds - east) * 1000 + (fraction * 1000.0) as i64
}

/// Whether the address's first bits are the network's, bit by bit.
fn within(network: &str, address: &str) -> bool {
    let (base, length) = match network.split_once('/') {
        Some((base, length)) => (base, length.parse().unwrap()),
        // The default prefix is 32, which is a whole address of version 4.
        None => (network, 32),
    };
    let bits = |address: &str| -> Vec<u8> {
        let octets = match address.parse::<std::net::IpAddr>().unwrap() {
            std::net::IpAddr::V4(address) => address.octets().to_vec(),
            std::net::IpAddr::V6(address) => address.octets().to_vec(),
        };
        let bit = |octet: u8| (0..8).map(move |n| octet >> (7 - n) & 1);
        octets.into_iter().flat_map(bit).collect()
    };
    let (base, address) = (bits(base), bits(address));
    base.len() == address.len() && base[..length] == address[..length]
}
