//! CloudTrail's records of the range, as a real SDK sees them (aws-facts §3, §7).

use aws_sdk_cloudtrail::Client;
use aws_sdk_cloudtrail::primitives::DateTime;
use aws_sdk_cloudtrail::types::{Event, LookupAttribute, LookupAttributeKey};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use aws_smithy_types::retry::RetryConfig;
use jiff::SignedDuration;
use quell::aws::retries;
use quell::cli::exit::Exit;
use quell::ids::*;
use quell::range::build::extras::CHAIN;
use quell::range::build::{HERO, SECRET};
use quell::range::state::Session;
use serde_json::Value;

use crate::practice::Practice;

/// Long enough for every record.
const DELIVERED: SignedDuration = SignedDuration::from_mins(8);

/// CloudTrail as somebody of this account sees it.
fn trail_in(practice: &Practice, account: &str, region: &str, retries: RetryConfig) -> Client {
    let key = format!("AKIARESPONDER{account}");
    let session = Session {
        account: AccountId::parse(account).unwrap(),
        ..practice.operator_session()
    };
    let insert = |state: &mut quell::range::state::State| {
        state.sessions.insert(key.clone(), session);
    };
    practice.range.with(insert);
    let region = Region::parse(region).unwrap();
    let config = practice
        .range
        .sdk_config(&key, SECRET, None, &region, retries);
    Client::new(&config)
}

fn by(key: LookupAttributeKey, value: &str) -> LookupAttribute {
    let builder = LookupAttribute::builder().attribute_key(key);
    builder.attribute_value(value).build().unwrap()
}

async fn all(client: &Client, key: LookupAttributeKey, value: &str) -> Vec<Event> {
    let request = client.lookup_events().lookup_attributes(by(key, value));
    let mut pages = request.into_paginator().send();
    let mut events = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.unwrap();
        assert!(page.events().len() <= 50);
        events.extend(page.events().to_vec());
    }
    events
}

fn text(event: &Event) -> Value {
    serde_json::from_str(event.cloud_trail_event().unwrap()).unwrap()
}

#[tokio::test]
async fn a_call_is_recorded_where_it_was_made_and_seen_minutes_later() {
    let practice = Practice::new();
    let (account, key, _) = practice.built.hero_sessions[0].clone();
    assert_eq!(practice.call_as(&key), 200);
    let trail = trail_in(&practice, account.as_str(), "us-east-1", retries());
    let username = LookupAttributeKey::Username;
    assert!(all(&trail, username.clone(), HERO).await.is_empty());
    practice.range.advance(DELIVERED);
    let found = all(&trail, username.clone(), HERO).await;
    let [event] = found.as_slice() else {
        panic!("{found:?}");
    };
    assert_eq!(event.access_key_id(), Some(key.as_str()));
    let told = text(event);
    let who = &told["userIdentity"];
    assert_eq!(who["type"], "AssumedRole");
    assert_eq!(who["accessKeyId"], key.as_str());
    let id = who["principalId"].as_str().unwrap();
    assert!(id.starts_with("AROA") && id.ends_with(":test-user"), "{id}");
    let issuer = &who["sessionContext"]["sessionIssuer"];
    assert_eq!(issuer["principalId"], id.split(':').next().unwrap());
    assert!(
        issuer["userName"]
            .as_str()
            .unwrap()
            .starts_with("AWSReservedSSO_")
    );
    assert_eq!(told["eventName"], "ListBuckets");
    assert_eq!(told["recipientAccountId"], account.as_str());
    assert!(told.get("errorCode").is_none(), "{told}");

    let elsewhere = trail_in(&practice, account.as_str(), "eu-west-1", retries());
    assert!(all(&elsewhere, username.clone(), HERO).await.is_empty());
    let other = trail_in(&practice, "456789012345", "us-east-1", retries());
    assert!(all(&other, username, HERO).await.is_empty());
}

#[tokio::test]
async fn a_refusal_is_recorded_in_awss_words() {
    let practice = Practice::new();
    practice
        .quell("contain test-user --yes")
        .await
        .expect(Exit::Done);
    let (account, key, _) = practice.built.hero_sessions[0].clone();
    assert_eq!(practice.call_as(&key), 403);
    practice.range.advance(DELIVERED);
    let trail = trail_in(&practice, account.as_str(), "us-east-1", retries());
    let found = all(&trail, LookupAttributeKey::AccessKeyId, &key).await;
    let told = text(found.first().unwrap());
    assert_eq!(told["errorCode"], "AccessDenied");
    let message = told["errorMessage"].as_str().unwrap();
    assert!(
        message.contains("explicit deny in a service control policy: arn:aws:organizations::"),
        "{message}"
    );
}

#[tokio::test]
async fn many_records_come_in_pages_of_fifty_newest_first_and_by_one_attribute_alone() {
    let practice = Practice::new();
    let (account, key, _) = practice.built.hero_sessions[0].clone();
    let begun = practice.range.now();
    for _ in 0..130 {
        practice.call_as(&key);
        practice.range.advance(SignedDuration::from_secs(1));
    }
    practice.range.advance(DELIVERED);
    let trail = trail_in(&practice, account.as_str(), "us-east-1", retries());
    let found = all(&trail, LookupAttributeKey::AccessKeyId, &key).await;
    assert_eq!(found.len(), 130);
    let times = found.iter().map(|event| event.event_time().unwrap().secs());
    assert!(times.is_sorted_by(|newer, older| newer >= older));
    let until = DateTime::from_secs(begun.as_second() + 9);
    let request = trail.lookup_events().end_time(until);
    let early = request
        .lookup_attributes(by(LookupAttributeKey::Username, HERO))
        .send();
    assert_eq!(early.await.unwrap().events().len(), 10);
    let two = trail
        .lookup_events()
        .lookup_attributes(by(LookupAttributeKey::Username, HERO))
        .lookup_attributes(by(LookupAttributeKey::EventName, "ListBuckets"));
    let error = two.send().await.unwrap_err();
    assert_eq!(error.code(), Some("InvalidLookupAttributesException"));
}

#[tokio::test]
async fn two_a_second_for_each_account_and_region_and_no_more() {
    let practice = Practice::new();
    practice.range.with(|state| state.throttles = true);
    let none = RetryConfig::disabled();
    let here = trail_in(&practice, "222233334444", "us-east-1", none.clone());
    let there = trail_in(&practice, "222233334444", "eu-west-1", none.clone());
    let other = trail_in(&practice, "333344445555", "us-east-1", none);
    assert!(here.lookup_events().send().await.is_ok());
    assert!(here.lookup_events().send().await.is_ok());
    let error = here.lookup_events().send().await.unwrap_err();
    assert_eq!(error.code(), Some("ThrottlingException"));
    assert!(there.lookup_events().send().await.is_ok());
    assert!(other.lookup_events().send().await.is_ok());
    practice.range.advance(SignedDuration::from_secs(1));
    assert!(here.lookup_events().send().await.is_ok());
}

#[tokio::test]
async fn whoever_chains_goes_round_under_other_names_and_both_accounts_have_a_record_of_it() {
    let practice = Practice::with(|blueprint| blueprint.extras.chains = true);
    practice.range.advance(SignedDuration::from_hours(2));
    let [(first, _, name), (second, role, other)] = CHAIN;
    let trail = trail_in(&practice, second, "us-east-1", retries());
    let assumed = all(&trail, LookupAttributeKey::EventName, "AssumeRole").await;
    assert!(assumed.len() >= 3, "{assumed:?}");
    let own = assumed
        .iter()
        .map(text)
        .find(|it| it["userIdentity"]["type"] == "AssumedRole");
    let own = own.unwrap();
    let by = own["userIdentity"]["principalId"].as_str().unwrap();
    assert!(by.ends_with(other), "{by}");
    let copy = assumed
        .iter()
        .map(text)
        .find(|it| it["userIdentity"]["type"] == "AWSAccount");
    let copy = copy.unwrap();
    let got = copy["responseElements"]["assumedRoleUser"]["arn"]
        .as_str()
        .unwrap();
    assert!(got.ends_with(&format!("{role}/{other}")), "{got}");
    // The account that it was assumed from has the same, and who did it.
    let trail = trail_in(&practice, first, "us-east-1", retries());
    let key = copy["responseElements"]["credentials"]["accessKeyId"]
        .as_str()
        .unwrap();
    let there = all(&trail, LookupAttributeKey::ResourceName, key).await;
    let there = text(there.first().unwrap());
    assert_eq!(there["sharedEventID"], copy["sharedEventID"]);
    let by = there["userIdentity"]["principalId"].as_str().unwrap();
    assert!(by.ends_with(name), "{by}");
    // No session in a chain lives longer than an hour.
    let longest = practice.range.with(|state| {
        let sessions = state.sessions.values();
        let chained =
            sessions.filter(|it| it.user_id.ends_with(name) || it.user_id.ends_with(other));
        let lives = chained.filter_map(|it| Some(it.expires?.duration_since(it.issued?)));
        lives.max()
    });
    assert_eq!(longest, Some(SignedDuration::from_hours(1)));
}
