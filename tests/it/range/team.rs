//! TEAM and its table, asked as a DynamoDB client asks (aws-facts §14).

use bytes::Bytes;
use jiff::SignedDuration;
use quell::ids::*;
use quell::range::build::{HERO, OPERATOR_KEY};
use quell::range::state::State;
use quell::range::team::Wanted;
use serde_json::{Value, json};

use crate::practice::Practice;

const HOURS: fn(i64) -> SignedDuration = SignedDuration::from_hours;

fn ask(practice: &Practice, operation: &str, body: Value) -> Result<Value, String> {
    ask_in(practice, "eu-west-1", operation, body)
}

fn ask_in(
    practice: &Practice,
    region: &str,
    operation: &str,
    body: Value,
) -> Result<Value, String> {
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential={OPERATOR_KEY}/20261122/{region}/dynamodb/aws4_request, SignedHeaders=host, Signature=0"
    );
    let request = http::Request::post("/")
        .header("authorization", authorization)
        .header("x-amz-target", format!("DynamoDB_20120810.{operation}"))
        .body(Bytes::from(body.to_string()))
        .unwrap();
    let answer = practice.range.answer(&request).unwrap();
    assert_eq!(
        answer.headers()["content-type"],
        "application/x-amz-json-1.0"
    );
    let body: Value = serde_json::from_slice(answer.body()).unwrap();
    match answer.status().as_u16() {
        200 => Ok(body),
        _ => Err(body["__type"].as_str().unwrap().to_owned()),
    }
}

fn team() -> Practice {
    Practice::with(|blueprint| blueprint.extras.team = true)
}

fn table(practice: &Practice) -> String {
    let listed = ask(practice, "ListTables", json!({})).unwrap();
    let names = listed["TableNames"].as_array().unwrap().clone();
    assert_eq!(names.len(), 5);
    let mut names = names
        .into_iter()
        .filter_map(|name| name.as_str().map(str::to_owned));
    names.find(|name| name.starts_with("requests-")).unwrap()
}

/// The hero's requests of a status.
fn requests(practice: &Practice, status: &str) -> Vec<Value> {
    let query = json!({
        "TableName": table(practice),
        "IndexName": "byEmailAndStatus",
        "KeyConditionExpression": "email = :e AND #s = :s",
        "ExpressionAttributeNames": { "#s": "status" },
        "ExpressionAttributeValues": { ":e": { "S": "test-user@example.com" }, ":s": { "S": status } },
    });
    let found = ask(practice, "Query", query).unwrap();
    found["Items"].as_array().unwrap().clone()
}

fn update(practice: &Practice, id: &Value, status: &str) -> Value {
    json!({
        "TableName": table(practice),
        "Key": { "id": id },
        "UpdateExpression": "SET #status = :s, revokerId = :who",
        "ExpressionAttributeNames": { "#status": "status" },
        "ExpressionAttributeValues": { ":s": { "S": status }, ":who": { "S": "quell" } },
    })
}

/// Whether somebody has an assignment of their own in an account.
fn assigned(practice: &Practice, username: &str, account: &str) -> bool {
    practice.range.with(|state: &mut State| {
        let mut users = state.directory.users.iter();
        let (id, _) = users.find(|(_, user)| user.username == username).unwrap();
        let mut assignments = state.directory.assignments.iter();
        assignments.any(|it| it.account.as_str() == account && it.principal == id.as_str())
    })
}

#[test]
fn a_scheduled_request_comes_and_goes_by_itself() {
    let practice = team();
    let scheduled = requests(&practice, "scheduled");
    assert_eq!(scheduled.len(), 1);
    let item = &scheduled[0];
    assert_eq!(item["accountId"], json!({ "S": "444455556666" }));
    assert_eq!(item["accountName"], json!({ "S": "shop-production" }));
    assert_eq!(item["role"], json!({ "S": "AdministratorAccess" }));
    assert_eq!(item["duration"], json!({ "S": "2" }));
    assert_eq!(item["username"], json!({ "S": "idc_test-user" }));
    assert_eq!(requests(&practice, "ended").len(), 1);
    assert!(!assigned(&practice, HERO, "444455556666"));
    practice
        .range
        .advance(HOURS(3) + SignedDuration::from_secs(1));
    assert!(assigned(&practice, HERO, "444455556666"));
    assert!(assigned(&practice, "bob@example.com", "555566667777"));
    assert_eq!(requests(&practice, "in progress").len(), 1);
    practice.range.advance(HOURS(2));
    assert!(!assigned(&practice, HERO, "444455556666"));
    assert_eq!(requests(&practice, "ended").len(), 2);
}

#[test]
fn a_revoked_request_does_not_come_and_nobody_elses_is_touched() {
    let practice = team();
    let id = requests(&practice, "scheduled")[0]["id"].clone();
    let mut wanted = update(&practice, &id, "revoked");
    wanted["ReturnValues"] = json!("ALL_NEW");
    let updated = ask(&practice, "UpdateItem", wanted).unwrap();
    assert_eq!(updated["Attributes"]["status"], json!({ "S": "revoked" }));
    assert_eq!(updated["Attributes"]["revokerId"], json!({ "S": "quell" }));
    assert_eq!(
        updated["Attributes"]["accountId"],
        json!({ "S": "444455556666" })
    );
    practice.range.advance(HOURS(4));
    assert!(!assigned(&practice, HERO, "444455556666"));
    assert!(assigned(&practice, "bob@example.com", "555566667777"));
    let get = json!({ "TableName": table(&practice), "Key": { "id": id } });
    let got = ask(&practice, "GetItem", get).unwrap();
    assert_eq!(got["Item"]["status"], json!({ "S": "revoked" }));
}

#[test]
fn revoking_what_runs_takes_the_assignment_away_some_seconds_later() {
    let practice = team();
    practice
        .range
        .advance(HOURS(3) + SignedDuration::from_secs(1));
    let id = requests(&practice, "in progress")[0]["id"].clone();
    ask(&practice, "UpdateItem", update(&practice, &id, "revoked")).unwrap();
    assert!(assigned(&practice, HERO, "444455556666"));
    practice.range.advance(SignedDuration::from_secs(11));
    assert!(!assigned(&practice, HERO, "444455556666"));
    // What somebody gives them since then is not TEAM's to take.
    practice.range.advance(HOURS(3));
    assert_eq!(requests(&practice, "revoked").len(), 1);
}

#[test]
fn a_revoked_request_that_is_scheduled_again_comes_at_its_time() {
    let practice = team();
    let id = requests(&practice, "scheduled")[0]["id"].clone();
    ask(&practice, "UpdateItem", update(&practice, &id, "revoked")).unwrap();
    practice.range.advance(HOURS(1));
    let mut back = update(&practice, &id, "scheduled");
    back["UpdateExpression"] = json!("SET #status = :s REMOVE revokerId");
    back["ExpressionAttributeValues"]
        .as_object_mut()
        .unwrap()
        .remove(":who");
    ask(&practice, "UpdateItem", back).unwrap();
    assert_eq!(requests(&practice, "scheduled")[0].get("revokerId"), None);
    practice.range.advance(HOURS(3));
    assert!(assigned(&practice, HERO, "444455556666"));
}

#[test]
fn a_long_list_has_pages_and_a_filter_leaves_some_of_them_empty() {
    let practice = team();
    practice.range.with(|state| {
        let mut users = state.directory.users.iter();
        let (user, _) = users.find(|(_, user)| user.username == HERO).unwrap();
        let (user, set) = (
            user.clone(),
            state.directory.sets.keys().next().unwrap().clone(),
        );
        for number in 0..25 {
            state.ask_team(&Wanted {
                id: &format!("request-{number:02}"),
                user: &user,
                account: &AccountId::parse("222233334444").unwrap(),
                set: &set,
                start: state.now,
                hours: 1,
                status: "rejected",
            });
        }
    });
    let mut query = json!({
        "TableName": table(&practice),
        "IndexName": "byEmailAndStatus",
        "KeyConditionExpression": "email = :e",
        "FilterExpression": "#s IN (:a, :b)",
        "ExpressionAttributeNames": { "#s": "status" },
        "ExpressionAttributeValues": {
            ":e": { "S": "test-user@example.com" },
            ":a": { "S": "scheduled" },
            ":b": { "S": "in progress" },
        },
    });
    let (mut pages, mut found) = (Vec::new(), Vec::new());
    loop {
        let page = ask(&practice, "Query", query.clone()).unwrap();
        let items = page["Items"].as_array().unwrap();
        pages.push(items.len());
        found.extend(items.iter().cloned());
        match page.get("LastEvaluatedKey") {
            Some(last) => query["ExclusiveStartKey"] = last.clone(),
            None => break,
        }
    }
    assert_eq!(found, requests(&practice, "scheduled"));
    assert_eq!(pages, [0, 0, 1]);
}

#[test]
fn what_dynamodb_refuses() {
    let practice = team();
    let name = table(&practice);
    let id = requests(&practice, "scheduled")[0]["id"].clone();
    let not_found = "com.amazonaws.dynamodb.v20120810#ResourceNotFoundException";
    let invalid = "com.amazon.coral.validate#ValidationException";
    let get = |name: &str| json!({ "TableName": name, "Key": { "id": id } });
    assert_eq!(
        ask(&practice, "GetItem", get("requests")).unwrap_err(),
        not_found
    );
    assert_eq!(
        ask_in(&practice, "us-east-1", "GetItem", get(&name)).unwrap_err(),
        not_found
    );
    let nobody = json!({ "TableName": name, "Key": { "id": { "S": "nobody" } } });
    assert_eq!(ask(&practice, "GetItem", nobody).unwrap(), json!({}));
    let query = |condition: &str, values: Value| {
        let query = json!({
            "TableName": name, "IndexName": "byEmailAndStatus",
            "KeyConditionExpression": condition, "ExpressionAttributeValues": values,
        });
        ask(&practice, "Query", query)
    };
    let (email, other) = (json!({ "S": "a" }), json!({ "S": "b" }));
    query("email = :e", json!({ ":e": email })).unwrap();
    for (condition, values) in [
        (
            "email = :e AND status = :s",
            json!({ ":e": email, ":s": other }),
        ),
        ("email = :e", json!({ ":e": email, ":s": other })),
        ("email = :e", json!({})),
        ("accountId = :e", json!({ ":e": email })),
        (
            "email = :e AND accountId = :s",
            json!({ ":e": email, ":s": other }),
        ),
        ("email ~ :e", json!({ ":e": email })),
    ] {
        assert_eq!(
            query(condition, values).unwrap_err(),
            invalid,
            "{condition}"
        );
    }
    let mut stale = update(&practice, &id, "revoked");
    stale["ConditionExpression"] = json!("#status = :old AND attribute_exists(id)");
    stale["ExpressionAttributeValues"][":old"] = json!({ "S": "in progress" });
    assert_eq!(
        ask(&practice, "UpdateItem", stale.clone()).unwrap_err(),
        "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException"
    );
    assert_eq!(requests(&practice, "scheduled").len(), 1);
    stale["ExpressionAttributeValues"][":old"] = json!({ "S": "scheduled" });
    ask(&practice, "UpdateItem", stale).unwrap();
    let listed = ask(&Practice::new(), "ListTables", json!({})).unwrap();
    assert_eq!(listed["TableNames"], json!([]));
}
