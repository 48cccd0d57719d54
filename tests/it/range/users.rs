//! IAM users and their sessions, as a real SDK sees them (aws-facts §10, §12).

use aws_sdk_iam::types::StatusType;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use jiff::SignedDuration;
use quell::aws::retries;
use quell::ids::*;
use quell::range::build::SECRET;
use quell::range::build::extras::{IAM_USER, IAM_USER_ACCOUNT};
use quell::range::state::{Ended, Session};

use crate::practice::Practice;

const DENY: &str =
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"*","Resource":"*"}]}"#;

/// A role session in the user's account, as a responder has it.
const RESPONDER: &str = "AKIARESPONDERTHERE00";

fn with_user() -> Practice {
    let practice = Practice::with(|blueprint| blueprint.extras.iam_user = true);
    let session = Session {
        account: AccountId::parse(IAM_USER_ACCOUNT).unwrap(),
        ..practice.operator_session()
    };
    practice
        .range
        .with(|state| state.sessions.insert(RESPONDER.to_owned(), session));
    practice
}

fn config(practice: &Practice, key: &str) -> aws_config::SdkConfig {
    let region = Region::parse("us-east-1").unwrap();
    let token = practice
        .range
        .with(|state| state.sessions[key].token.clone());
    practice
        .range
        .sdk_config(key, SECRET, token.as_deref(), &region, retries())
}

fn iam(practice: &Practice) -> aws_sdk_iam::Client {
    aws_sdk_iam::Client::new(&config(practice, RESPONDER))
}

/// The attacker's keys: the long-term one, the user's own session and the federated one.
fn stolen(practice: &Practice) -> Vec<String> {
    let actors = practice.range.with(|state| state.actors.clone());
    actors.into_iter().map(|actor| actor.key).collect()
}

#[tokio::test]
async fn switching_keys_off_stops_no_session_that_they_made() {
    let practice = with_user();
    let iam = iam(&practice);
    let stolen = stolen(&practice);
    let [long_term, own, federated] = stolen.as_slice() else {
        panic!("{stolen:?}");
    };
    let user = iam.get_user().user_name(IAM_USER).send().await.unwrap();
    let id = user.user().unwrap().user_id().to_owned();
    assert!(id.starts_with("AIDA"), "{id}");
    let told = iam
        .list_access_keys()
        .user_name(IAM_USER)
        .send()
        .await
        .unwrap();
    let keys = told.access_key_metadata();
    assert_eq!(keys.len(), 2);
    assert!(
        keys.iter()
            .any(|key| key.access_key_id() == Some(long_term.as_str()))
    );
    let switch = |key: &str, status: StatusType| {
        let update = iam.update_access_key().user_name(IAM_USER);
        update.access_key_id(key).status(status).send()
    };
    for key in keys {
        assert_eq!(key.status(), Some(&StatusType::Active));
        switch(key.access_key_id().unwrap(), StatusType::Inactive)
            .await
            .unwrap();
    }
    assert_eq!(practice.call_as(long_term), 403);
    let sts = aws_sdk_sts::Client::new(&config(&practice, long_term));
    assert_eq!(code!(sts.get_caller_identity()), "InvalidClientTokenId");
    assert_eq!(practice.call_as(own), 200);
    assert_eq!(practice.call_as(federated), 200);
    switch(long_term, StatusType::Active).await.unwrap();
    assert_eq!(practice.call_as(long_term), 200);
    let nobody = iam.update_access_key().user_name(IAM_USER);
    let nobody = nobody.access_key_id("AKIANOBODYSKEY000000");
    assert_eq!(code!(nobody.status(StatusType::Inactive)), "NoSuchEntity");
}

#[tokio::test]
async fn an_inline_deny_binds_the_user_and_whoever_they_vouch_for() {
    let practice = with_user();
    let iam = iam(&practice);
    let put = |name: &str, document: &str| {
        let put = iam.put_user_policy().user_name(IAM_USER);
        put.policy_name(name).policy_document(document)
    };
    let get = || {
        iam.get_user_policy()
            .user_name(IAM_USER)
            .policy_name("quell")
    };
    assert_eq!(code!(get()), "NoSuchEntity");
    assert_eq!(code!(put("quell", "{not json")), "MalformedPolicyDocument");
    let long = DENY.replace("Action\":\"*", &format!("Action\":\"{}", "x".repeat(2_048)));
    assert_eq!(code!(put("quell", &long)), "LimitExceeded");
    put("quell", DENY).send().await.unwrap();
    let document = get().send().await.unwrap().policy_document().to_owned();
    assert!(document.starts_with("%7B%22Version%22"), "{document}");
    let names = iam
        .list_user_policies()
        .user_name(IAM_USER)
        .send()
        .await
        .unwrap();
    assert_eq!(names.policy_names(), ["quell"]);
    for key in stolen(&practice) {
        assert_eq!(practice.call_as(&key), 403, "{key}");
    }
    // The user's own rights are the user's alone.
    assert_eq!(practice.call_as(RESPONDER), 200);
    let delete = || {
        iam.delete_user_policy()
            .user_name(IAM_USER)
            .policy_name("quell")
    };
    delete().send().await.unwrap();
    assert_eq!(code!(delete()), "NoSuchEntity");
    for key in stolen(&practice) {
        assert_eq!(practice.call_as(&key), 200, "{key}");
    }
}

#[tokio::test]
async fn passwords_go_and_are_gone() {
    let practice = with_user();
    let iam = iam(&practice);
    let get = || iam.get_login_profile().user_name(IAM_USER);
    let delete = || iam.delete_login_profile().user_name(IAM_USER);
    let told = get().send().await.unwrap();
    assert_eq!(told.login_profile().unwrap().user_name(), IAM_USER);
    delete().send().await.unwrap();
    assert_eq!(code!(get()), "NoSuchEntity");
    assert_eq!(code!(delete()), "NoSuchEntity");
    assert_eq!(code!(iam.get_user().user_name("nobody")), "NoSuchEntity");
    // It is no way to stop a key.
    assert_eq!(practice.call_as(&stolen(&practice)[0]), 200);
}

#[tokio::test]
async fn a_users_session_lives_for_36_hours_and_makes_no_others() {
    let practice = with_user();
    let stolen = stolen(&practice);
    let sts = aws_sdk_sts::Client::new(&config(&practice, &stolen[0]));
    let session = |seconds: i32| sts.get_session_token().duration_seconds(seconds);
    assert_eq!(code!(session(129_601)), "ValidationError");
    let made = session(129_600).send().await.unwrap();
    let own = made.credentials().unwrap().access_key_id().to_owned();
    let federate = |name: &str| {
        let federate = sts.get_federation_token().name(name);
        federate.duration_seconds(900)
    };
    assert_eq!(code!(federate("a*b")), "ValidationError");
    let made = federate("partner").send().await.unwrap();
    let user = made.federated_user().unwrap();
    assert_eq!(
        user.federated_user_id(),
        format!("{IAM_USER_ACCOUNT}:partner")
    );
    let nothing = made.credentials().unwrap().access_key_id().to_owned();
    assert_eq!(practice.call_as(&nothing), 403, "nothing was asked for");
    let sessions = practice.range.with(|state| state.sessions.clone());
    let of = |key: &str| sessions[key].user_id.clone();
    assert_eq!(of(&own), of(&stolen[0]));
    assert_eq!(of(&stolen[2]), format!("{IAM_USER_ACCOUNT}:ci-runner"));
    let again = aws_sdk_sts::Client::new(&config(&practice, &own));
    assert_eq!(code!(again.get_session_token()), "AccessDenied");

    practice.range.advance(SignedDuration::from_hours(35));
    assert_eq!(practice.call_as(&own), 200);
    practice.range.advance(SignedDuration::from_hours(2));
    assert_eq!(practice.call_as(&own), 403);
    let late = practice.range.with(|state| {
        let seen = state.seen.iter();
        let allowed = seen.filter(|it| it.ended == Ended::Allowed);
        let late = allowed.filter(|it| it.at > state.now - SignedDuration::from_mins(30));
        late.map(|it| it.actor)
            .collect::<std::collections::BTreeSet<_>>()
    });
    assert_eq!(late.into_iter().collect::<Vec<_>>(), [0], "the key goes on");
}
