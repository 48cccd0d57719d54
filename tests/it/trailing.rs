//! Stories of CloudTrail: what the principal's real calls show, whom they became, and what they left behind.

use jiff::SignedDuration;
use quell::cli::exit::Exit;
use quell::ids::*;
use quell::range::build::HERO;
use serde_json::{Value, json};

use crate::practice::Practice;

/// Long enough for every record.
const DELIVERED: SignedDuration = SignedDuration::from_mins(8);

/// Somebody is contained, and their sessions go on calling.
async fn contained(practice: &Practice) -> String {
    practice
        .quell("contain test-user --yes")
        .await
        .expect(Exit::Done);
    practice.incident().await
}

/// Every stolen session in a member account makes a call.
fn all_call(practice: &Practice) -> Vec<u16> {
    let management = practice.range.with(|state| state.management.clone());
    let sessions = practice.built.hero_sessions.iter();
    let sessions = sessions.filter(|(account, _, _)| *account != management);
    sessions.map(|(_, key, _)| practice.call_as(key)).collect()
}

async fn verified(practice: &Practice, incident: &str, exit: Exit) -> Value {
    let line = format!("verify {incident} --cloudtrail --output json");
    let ran = practice.quell(&line).await.expect(exit);
    ran.json()["cloudtrail"].clone()
}

/// A record of the hero's, as an attacker would like to have it.
fn record(account: &AccountId, at: jiff::Timestamp) -> Value {
    json!({
        "eventID": format!("planted-{account}-{}", at.as_second()),
        "eventTime": at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        "eventSource": "iam.amazonaws.com", "eventName": "CreateAccessKey",
        "awsRegion": "us-east-1", "sourceIPAddress": "198.51.100.7",
        "recipientAccountId": account,
        "requestParameters": { "userName": "backup" },
        "userIdentity": {
            "type": "AssumedRole", "principalId": "AROA0123456789ABCDEFG:test-user",
            "arn": format!("arn:aws:sts::{account}:assumed-role/AWSReservedSSO_Ops_0123456789abcdef/test-user"),
            "accessKeyId": "ASIA0123456789ABCDEF",
        },
    })
}

/// Puts a text into the first account's records, found by the hero's name.
fn plant(practice: &Practice, text: &str) {
    let (account, _, _) = practice.built.hero_sessions[0].clone();
    practice.range.with(|state| {
        let now = state.now;
        let found_by = [("Username", HERO)];
        let trails = &mut state.trails;
        trails.plant(&account, "us-east-1", now, text.to_owned(), &found_by);
    });
}

#[tokio::test]
async fn when_every_real_call_is_refused_the_records_say_so() {
    let practice = Practice::new();
    practice.few_accounts();
    let id = contained(&practice).await;
    let refused = all_call(&practice);
    assert!(refused.iter().all(|status| *status == 403), "{refused:?}");
    practice.range.advance(DELIVERED);
    let shown = verified(&practice, &id, Exit::Done).await;
    assert!(shown["refused_by_us"].as_u64().unwrap() >= 3, "{shown}");
    assert_eq!(shown["allowed"], json!([]));
    assert_eq!(shown["unasked"], json!([]));
    assert_eq!(shown["whole"], true);
    let told = practice
        .quell(&format!("verify {id} --cloudtrail"))
        .await
        .expect(Exit::Done);
    told.says("none allowed since the proof")
        .says("commonly five");
}

#[tokio::test]
async fn a_deny_that_somebody_took_off_for_a_minute_is_found_in_the_records() {
    let practice = Practice::new();
    practice.few_accounts();
    // What they did before nobody can undo, and it is no alarm.
    let id = contained(&practice).await;
    practice.range.advance(SignedDuration::from_mins(30));
    let attachments = practice.range.with(|state| {
        let attachments = state.attachments.clone();
        let root = state.attachments.get_mut(&state.root).unwrap();
        root.retain(|policy| policy.as_str() == "p-FullAWSAccess");
        state.policies_changed();
        attachments
    });
    practice.range.advance(SignedDuration::from_mins(1));
    let (account, key, _) = practice.built.hero_sessions[0].clone();
    assert_eq!(practice.call_as(&key), 200);
    practice.range.with(|state| {
        state.attachments = attachments;
        state.policies_changed();
    });
    practice.range.advance(SignedDuration::from_mins(30));
    // The canaries see nothing of it any more.
    let line = format!("verify {id}");
    practice.quell(&line).await.expect(Exit::Done);
    let shown = verified(&practice, &id, Exit::GettingThrough).await;
    let allowed = shown["allowed"].as_array().unwrap();
    assert_eq!(allowed.len(), 1, "{shown}");
    assert_eq!(allowed[0]["account"], account.as_str());
    assert_eq!(allowed[0]["event"], "s3.amazonaws.com ListBuckets");
    assert_eq!(allowed[0]["source_ip"], "198.51.100.7");
    let told = practice.quell(&format!("verify {id} --cloudtrail")).await;
    told.expect(Exit::GettingThrough).says("ALARM: 1 ALLOWED");
}

#[tokio::test]
async fn what_was_allowed_before_the_proof_is_damage_and_no_alarm() {
    let practice = Practice::with(|blueprint| blueprint.alive = true);
    practice.few_accounts();
    practice.range.advance(SignedDuration::from_mins(2));
    let id = contained(&practice).await;
    practice.range.advance(DELIVERED);
    let shown = verified(&practice, &id, Exit::Done).await;
    assert!(!shown["allowed_before"].as_array().unwrap().is_empty());
    assert_eq!(shown["allowed"], json!([]));
    assert!(shown["canaries"].as_u64().unwrap() > 0, "{shown}");
}

#[tokio::test]
async fn an_account_that_cannot_be_read_is_named_and_never_fine() {
    let practice = Practice::new();
    practice.few_accounts();
    let id = contained(&practice).await;
    let (account, _, _) = practice.built.hero_sessions[0].clone();
    let closed = account.clone();
    practice
        .range
        .with(|state| state.trails.closed.push(closed));
    practice.range.advance(DELIVERED);
    let shown = verified(&practice, &id, Exit::NotProven).await;
    let unasked = shown["unasked"].as_array().unwrap();
    assert_eq!(unasked.len(), 1, "{shown}");
    assert_eq!(unasked[0]["account"], account.as_str());
    assert_eq!(shown["whole"], false);
}

#[tokio::test]
async fn records_that_are_none_are_counted_and_none_of_them_moves_the_cursor() {
    let practice = Practice::new();
    practice.few_accounts();
    let id = contained(&practice).await;
    practice.range.advance(SignedDuration::from_mins(1));
    let (account, _, _) = practice.built.hero_sessions[0].clone();
    let now = practice.range.now();
    let hostile = |change: &dyn Fn(&mut Value)| {
        let mut record = record(&account, now);
        change(&mut record);
        plant(&practice, &record.to_string());
    };
    hostile(&|it| it["eventTime"] = json!({ "deep": [1] }));
    hostile(&|it| it["userIdentity"] = json!("root"));
    hostile(&|it| it["requestParameters"] = json!("x".repeat(3_000_000)));
    plant(&practice, "not JSON at all");
    plant(&practice, &"[".repeat(50_000));
    hostile(&|it| it["sourceIPAddress"] = json!("\u{1b}[2J\u{202e}evil\nNothing was changed."));
    practice.range.advance(DELIVERED);
    let ran = practice.quell(&format!("verify {id} --cloudtrail")).await;
    let ran = ran.expect(Exit::GettingThrough);
    let odd = |c: char| c == '\u{1b}' || c == '\u{202e}';
    assert!(!ran.out.contains(odd), "{}", ran.out);
    assert!(!ran.out.contains("\nNothing was changed."), "{}", ran.out);
    ran.says("NOT READ: 5 records").says("ALARM: 1 ALLOWED");
}

#[tokio::test]
async fn many_records_and_a_slow_cloudtrail_are_read_to_the_end() {
    let practice = Practice::new();
    practice.few_accounts();
    let id = contained(&practice).await;
    practice.range.with(|state| state.throttles = true);
    let (_, key, _) = practice.built.hero_sessions[0].clone();
    for _ in 0..320 {
        assert_eq!(practice.call_as(&key), 403);
    }
    practice.range.advance(DELIVERED);
    let shown = verified(&practice, &id, Exit::Done).await;
    assert_eq!(shown["refused_by_us"], 320, "{shown}");
    // Nobody had to be told that they are too fast.
    let refused = practice.calls().into_iter();
    let refused =
        refused.filter(|call| call.action.starts_with("cloudtrail") && call.status != 200);
    let refused: Vec<_> = refused.collect();
    assert!(refused.is_empty(), "{refused:?}");
}

#[tokio::test]
async fn regions_are_cloudtrails_business() {
    let practice = Practice::new();
    practice
        .quell("verify q-0a0b0c --regions us-east-1")
        .await
        .expect(Exit::Usage)
        .says("--cloudtrail");
    practice.nothing_happened();
}
