//! DynamoDB on the range: TEAM's tables, in as much of its language as it takes to find requests and to revoke them
//! (aws-facts §14).
//!
//! Conditions are `name = :value`, `name <> :value`, `name IN (:a, :b)`, `attribute_exists(name)`,
//! `attribute_not_exists(name)` and `begins_with(name, :value)`, joined by `AND`; updates are `SET name = :value, …` and
//! `REMOVE name, …`. What is not understood is refused, and so is what DynamoDB refuses: reserved words, placeholders
//! that are used and not given, or given and not used.

mod expression;

use serde_json::{Value, json};

use crate::range::dynamo::expression::Expressions;
use crate::range::state::{Session, State};
use crate::range::team::{Item, Team};
use crate::range::wire::{Asked, Refusal, unsupported};

/// The most items of a page. DynamoDB's pages end after a megabyte; a caller that reads one page only sees too little
/// here, too.
const PAGE: usize = 10;

/// The tables that TEAM has beside that of its requests; nothing is in most of them here.
const OTHERS: [&str; 4] = ["Approvers", "Eligibility", "Settings", "sessions"];

/// Answers one operation.
pub(super) fn perform(
    state: &mut State,
    session: &Session,
    asked: &Asked,
) -> Result<Value, Refusal> {
    let here =
        |team: &&Team| team.account == session.account && team.region.as_str() == asked.region;
    let team = state.team.as_ref().filter(here);
    if asked.operation == "ListTables" {
        return Ok(json!({ "TableNames": team.map(tables).unwrap_or_default() }));
    }
    let given = asked.text("TableName");
    let name = given.split_once(":table/").map_or(given, |(_, name)| name);
    let team = team
        .filter(|team| tables(team).iter().any(|table| table == name))
        .ok_or_else(|| {
            let message = "Requested resource not found";
            Refusal::new(400, "ResourceNotFoundException", message)
        })?;
    let requests = name == team.table;
    let expressions = Expressions::of(asked)?;
    match asked.operation.as_str() {
        "DescribeTable" => Ok(json!({ "Table": {
            "TableName": name,
            "TableStatus": "ACTIVE",
            "ItemCount": if requests { team.items.len() } else { 0 },
            "KeySchema": [{ "AttributeName": "id", "KeyType": "HASH" }],
        }})),
        "GetItem" => {
            let items = match name {
                _ if requests => Some(&team.items),
                name if name.starts_with("Eligibility") => Some(&team.eligible),
                _ => None,
            };
            let id = key(asked)?;
            let item = items.and_then(|items| items.get(id));
            Ok(item.map_or_else(|| json!({}), |item| json!({ "Item": item })))
        }
        "Query" => {
            let keys = keys_of(asked.text("IndexName"))?;
            expressions.must_ask_for(keys)?;
            let range = keys.get(1).copied().unwrap_or("id");
            let items = team.items.values().filter(|_| requests);
            page(asked, &expressions, items.collect(), range)
        }
        "Scan" => {
            let items = team.items.values().filter(|_| requests);
            page(asked, &expressions, items.collect(), "id")
        }
        "UpdateItem" if requests => update(state, asked, &expressions),
        _ => Err(unsupported(asked)),
    }
}

pub(super) fn invalid(message: &str) -> Refusal {
    Refusal::new(400, "ValidationException", message)
}

/// TEAM's tables in alphabetical order. All have the same end: Amplify's id and the environment.
fn tables(team: &Team) -> Vec<String> {
    let end = team.table.strip_prefix("requests").unwrap_or_default();
    let others = OTHERS.iter().map(|name| format!("{name}{end}"));
    let mut tables: Vec<String> = others.chain([team.table.clone()]).collect();
    tables.sort();
    tables
}

/// The keys of the table or of one of its indexes: the one that must be given, and the one that orders.
fn keys_of(index: &str) -> Result<&'static [&'static str], Refusal> {
    match index {
        "" => Ok(&["id"]),
        "byEmailAndStatus" => Ok(&["email", "status"]),
        "byApproverAndStatus" => Ok(&["approverId", "status"]),
        "byStatus" => Ok(&["status"]),
        _ => Err(invalid(&format!(
            "The table does not have the specified index: {index}"
        ))),
    }
}

fn key(asked: &Asked) -> Result<&str, Refusal> {
    let key = asked.parameters.get("Key");
    key.and_then(|key| key.get("id")?.get("S")?.as_str())
        .ok_or_else(|| invalid("The provided key element does not match the schema"))
}

/// One page of the items that fit, in the order of an attribute. The filter comes after the page is cut, so a page can
/// be empty and not the last.
fn page(
    asked: &Asked,
    expressions: &Expressions<'_>,
    items: Vec<&Item>,
    range: &str,
) -> Result<Value, Refusal> {
    let text = |item: &Item, name: &str| {
        let value = item.get(name).and_then(|value| value.get("S")?.as_str());
        value.unwrap_or_default().to_owned()
    };
    let place = |item: &Item| (text(item, range), text(item, "id"));
    let mut found = Vec::new();
    for item in items {
        if expressions.hold("KeyConditionExpression", item)? {
            found.push(item);
        }
    }
    found.sort_by_key(|item| place(item));
    let after = asked.parameters.get("ExclusiveStartKey");
    if let Some(after) = after.and_then(Value::as_object).map(place) {
        found.retain(|item| place(item) > after);
    }
    let limit = asked.parameters.get("Limit").and_then(Value::as_u64);
    let size = limit.map_or(PAGE, |most| usize::try_from(most).unwrap_or(PAGE).min(PAGE));
    if size == 0 {
        return Err(invalid("Limit must be at least 1."));
    }
    let more = found.len() > size;
    found.truncate(size);
    let last = found.last().map(|item| {
        let names = ["id", "email", range];
        let keys = names
            .iter()
            .filter_map(|name| Some((*name, item.get(*name)?)));
        json!(keys.collect::<std::collections::BTreeMap<_, _>>())
    });
    let scanned = found.len();
    let mut shown = Vec::new();
    for item in found {
        if expressions.hold("FilterExpression", item)? {
            shown.push(item);
        }
    }
    let mut answer = json!({ "Items": shown, "Count": shown.len(), "ScannedCount": scanned });
    if let (true, Some(last), Some(object)) = (more, last, answer.as_object_mut()) {
        object.insert("LastEvaluatedKey".to_owned(), last);
    }
    Ok(answer)
}

fn update(
    state: &mut State,
    asked: &Asked,
    expressions: &Expressions<'_>,
) -> Result<Value, Refusal> {
    let id = key(asked)?.to_owned();
    let Some(team) = &mut state.team else {
        return Err(unsupported(asked));
    };
    let before = team.text(&id, "status").to_owned();
    let known = team.items.get(&id).cloned();
    if !expressions.hold(
        "ConditionExpression",
        known.as_ref().unwrap_or(&Item::new()),
    )? {
        let message = "The conditional request failed";
        return Err(Refusal::new(
            400,
            "ConditionalCheckFailedException",
            message,
        ));
    }
    // An item that is not there is made, as DynamoDB does.
    let mut item =
        known.unwrap_or_else(|| Item::from_iter([("id".to_owned(), json!({ "S": id }))]));
    expressions.update(&mut item)?;
    team.items.insert(id.clone(), item.clone());
    state.team_hears(&id, &before);
    match asked.text("ReturnValues") {
        "ALL_NEW" => Ok(json!({ "Attributes": item })),
        _ => Ok(json!({})),
    }
}
