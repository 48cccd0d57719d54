//! Account access manager, asked as its SDK asks (aws-facts §9).

use bytes::Bytes;
use quell::ids::*;
use quell::range::build::HERO;
use quell::range::build::extras::ENTITLED_ROLE;
use serde_json::{Value, json};

use crate::practice::Practice;

fn ask_in(
    practice: &Practice,
    region: &str,
    method: &str,
    path: &str,
    body: &Value,
) -> (u16, Value) {
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential={}/20261122/{region}/account-access/aws4_request, SignedHeaders=host, Signature=0",
        quell::range::build::OPERATOR_KEY
    );
    let request = http::Request::builder()
        .method(method)
        .uri(path)
        .header("authorization", authorization)
        .body(Bytes::from(body.to_string()))
        .unwrap();
    let answer = practice.range.answer(&request).unwrap();
    let body = serde_json::from_slice(answer.body()).unwrap();
    (answer.status().as_u16(), body)
}

fn ask(practice: &Practice, method: &str, path: &str, body: &Value) -> (u16, Value) {
    ask_in(practice, "eu-west-1", method, path, body)
}

#[test]
fn entitlements_are_found_by_their_principal_and_go_for_good() {
    let practice = Practice::with(|blueprint| {
        blueprint.extras.entitled = true;
        blueprint.extras.portal = true;
    });
    let hero: UserId = practice.range.with(|state| {
        let mut users = state.directory.users.iter();
        users
            .find(|(_, user)| user.username == HERO)
            .unwrap()
            .0
            .clone()
    });
    let (_, elsewhere) = ask_in(
        &practice,
        "us-east-1",
        "POST",
        "/applications-list",
        &json!({}),
    );
    assert_eq!(elsewhere["applications"], json!([]));
    let (_, listed) = ask(&practice, "POST", "/applications-list", &json!({}));
    let application = listed["applications"][0]["applicationArn"]
        .as_str()
        .unwrap();
    let list = |filter: Value| {
        let body = json!({ "applicationArn": application, "filter": filter });
        let (status, listed) = ask(&practice, "POST", "/entitlements-list", &body);
        assert_eq!(status, 200, "{listed}");
        listed["entitlements"].as_array().unwrap().clone()
    };
    let of = |principal: Value| {
        list(json!({ "principalRole": { "principal": { "identityCenter": principal } } }))
    };
    assert_eq!(list(json!({})).len(), 2);
    let direct = of(json!({ "userId": hero }));
    assert_eq!(direct.len(), 1);
    let role = &direct[0]["entitlement"]["principalRole"];
    assert_eq!(role["account"], "123456789012");
    assert_eq!(role["accountName"], "data-lake");
    assert_eq!(role["principal"]["identityCenter"]["userId"], json!(hero));
    let arn = format!("arn:aws:iam::123456789012:role/{ENTITLED_ROLE}");
    assert_eq!(role["roleArn"], json!(arn));
    assert_eq!(
        list(json!({ "principalRole": { "account": "210987654321" } })).len(),
        1
    );
    let by_group = list(json!({ "principalRole": { "account": "210987654321" } }));
    let group = &by_group[0]["entitlement"]["principalRole"]["principal"]["identityCenter"];
    assert_eq!(of(group.clone()), by_group);
    assert_eq!(of(json!({ "groupId": hero })).len(), 0);

    let id = direct[0]["entitlementId"].as_str().unwrap();
    let one = format!(
        "/entitlements/{id}?applicationArn={}",
        application.replace('/', "%2F")
    );
    let (status, got) = ask(&practice, "GET", &one, &Value::Null);
    assert_eq!(status, 200);
    assert_eq!(got["entitlement"], direct[0]["entitlement"]);
    assert_eq!(got["createdAt"], direct[0]["createdAt"]);
    // Deleting it twice is deleting it.
    let ways = || practice.range.with(|state| state.ways_of(&hero).len());
    let before = ways();
    for _ in 0..2 {
        assert_eq!(ask(&practice, "DELETE", &one, &Value::Null).0, 200);
    }
    assert_eq!(ways(), before - 1);
    let (status, gone) = ask(&practice, "GET", &one, &Value::Null);
    assert_eq!(
        (status, &gone["__type"]),
        (404, &json!("ResourceNotFoundException"))
    );
    let create = |principal: Value| {
        let wanted = json!({ "principalRole": { "principal": { "identityCenter": principal }, "roleArn": arn } });
        let body = json!({ "applicationArn": application, "entitlement": wanted });
        ask(&practice, "POST", "/entitlements", &body)
    };
    let (status, created) = create(json!({ "userId": hero }));
    assert_eq!(status, 200, "{created}");
    assert_ne!(created["entitlementId"], json!(id));
    assert_eq!(
        create(json!({ "userId": hero })).1,
        created,
        "once more is the same"
    );
    assert_eq!(ways(), before);
    assert_eq!(create(json!({ "userId": "nobody" })).0, 404);
    assert_eq!(create(json!({})).0, 400);
}

#[test]
fn without_an_application_there_is_nothing() {
    let practice = Practice::new();
    let (status, listed) = ask(&practice, "POST", "/applications-list", &json!({}));
    assert_eq!((status, &listed["applications"]), (200, &json!([])));
    let body = json!({ "applicationArn": "arn:aws:account-access:eu-west-1:111122223333:application/none" });
    assert_eq!(ask(&practice, "POST", "/entitlements-list", &body).0, 404);
}
