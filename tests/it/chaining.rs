//! Stories of whom somebody became: what is denied of them, since when, and what nobody can say yet.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use quell::cli::exit::Exit;
use quell::ids::*;
use quell::policy::document::Document;
use quell::policy::session_user_ids_in;
use quell::range::build::HERO;
use quell::range::build::extras::CHAIN;
use quell::range::portal::Way;
use quell::range::state::Session;
use serde_json::{Value, json};

use crate::practice::{Moment, Practice};
use crate::trailing::{
    DELIVERED, chained_calls, chaining, contained, plant, record, traced, verified,
};

/// The wait for the hero's release.
const WAIT: SignedDuration = SignedDuration::from_mins(12 * 60 + 30);

/// The one policy of ours: its tags, and the sessions that its document denies by their whole ids.
fn ours(practice: &Practice) -> (Vec<(String, String)>, BTreeSet<String>) {
    practice.range.with(|state| {
        let mut policies = state.policies.values();
        let policy = policies.find(|it| it.name.starts_with("quell-")).unwrap();
        let tags = policy.tags.iter();
        let tags = tags.map(|(key, value)| (key.clone(), value.clone()));
        let denied = session_user_ids_in(&policy.document);
        let denied = denied.iter().map(SessionUserId::to_string);
        (tags.collect(), denied.collect())
    })
}

/// The sessions that the tags name.
fn named(practice: &Practice) -> usize {
    let (tags, _) = ours(practice);
    let is_session =
        |(key, value): &&(String, String)| key.contains("chained-") && value.starts_with("AROA");
    tags.iter().filter(is_session).count()
}

/// Somebody writes the document as it was before anybody was traced.
fn writes_the_old_document(practice: &Practice) {
    practice.range.with(|state| {
        let mut policies = state.policies.values_mut();
        let policy = policies.find(|it| it.name.starts_with("quell-")).unwrap();
        let mut document = Document::parse(&policy.content).unwrap();
        let names_them = |it: &quell::policy::document::Statement| {
            !session_user_ids_in(&Document::new(vec![it.clone()])).is_empty()
        };
        document.statements.retain(|it| !names_them(it));
        policy.content = document.minified();
        policy.document = std::sync::Arc::new(document);
        state.policies_changed();
        state.settle();
    });
}

async fn status(practice: &Practice, id: &str) -> Value {
    let ran = practice.quell(&format!("status {id} --output json")).await;
    ran.expect(Exit::Done).json()["incidents"][0].clone()
}

fn moment(of: &Value) -> Timestamp {
    of.as_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn no_release_counts_from_a_moment_when_somebody_whom_they_became_was_not_denied() {
    for arm in [false, true] {
        let practice = chaining();
        if arm {
            practice.quell("prepare arm --yes").await.expect(Exit::Done);
        }
        let id = contained(&practice).await;
        practice.evict(&id).await;
        practice.range.advance(DELIVERED);
        let line = format!("trace {id} --deny-chained --yes --regions us-east-1");
        let before = practice.calls().len();
        let whole = practice.copy();
        whole.quell(&line).await.expect(Exit::NotProven);
        let calls = whole.calls();
        let calls = calls.get(before..).unwrap();
        let first = calls.iter().position(|call| call.mutates()).unwrap();
        let mut refused = 0;
        for call in first..calls.len() {
            for side in [Moment::BeforeTheCall, Moment::AfterTheCall] {
                let crashed = practice.copy();
                crashed.quell_until_death(&line, call + 1, side).await;
                let ends = crashed.range.now();
                let (tags, denied) = ours(&crashed);
                let is_noted = |(key, value): &(String, String)| {
                    key.ends_with("chained-at") && !value.is_empty()
                        || value.contains("chained-at:2")
                };
                let noted = tags.iter().any(is_noted);
                assert!(
                    !noted || denied.len() == 2,
                    "arm {arm}, call {call}, {side:?}"
                );
                if named(&crashed) == 0 || noted {
                    continue;
                }
                // Hours later, on another machine: nobody remembers, and the tags do.
                let crashed = crashed.on_another_machine();
                crashed.range.with(|state| state.actors.clear());
                crashed.range.advance(WAIT + SignedDuration::from_mins(5));
                let told = crashed.quell(&format!("release {id} --yes")).await;
                told.expect(Exit::Refused)
                    .says(&format!("quell trace {id} --deny-chained"));
                let told = crashed.quell(&format!("status {id}")).await;
                told.says("No release counts meanwhile");
                crashed.quell(&line).await;
                assert_eq!(ours(&crashed).1.len(), 2);
                let until = moment(&status(&crashed, &id).await["release_not_before"]);
                let counted = until.duration_since(ends);
                assert!(
                    counted > WAIT + WAIT,
                    "arm {arm}, call {call}, {side:?}: {counted:#}"
                );
                refused += 1;
            }
        }
        assert!(refused > 2, "{refused}");
    }
}

#[tokio::test]
async fn whom_somebody_wrote_out_of_the_document_is_missed_by_every_verb_and_denied_again() {
    let practice = chaining();
    let id = contained(&practice).await;
    practice.evict(&id).await;
    practice.range.advance(DELIVERED);
    traced(&practice, &id, "--deny-chained --yes", Exit::NotProven).await;
    let before = status(&practice, &id).await;
    assert_eq!(before["chained"].as_array().unwrap().len(), 2, "{before}");
    let told = practice.quell(&format!("status {id}")).await;
    told.says(CHAIN[0].2)
        .says("denied, too, all of them since")
        .says(CHAIN[1].2);
    writes_the_old_document(&practice);
    let told = practice.quell(&format!("status {id}")).await;
    told.says("NOT DENIED")
        .says(&format!("quell trace {id} --deny-chained"));
    let told = practice.quell(&format!("verify {id}")).await;
    told.expect(Exit::NotProven)
        .says("NOT DENIED, although its tags say so");
    practice.range.advance(WAIT + SignedDuration::from_hours(1));
    let line = format!("release {id} --yes");
    let told = practice.quell(&line).await;
    told.expect(Exit::Refused).says("does not have them");
    practice
        .quell(&format!("trace {id} --deny-chained --yes"))
        .await;
    let told = practice.quell(&line).await;
    told.expect(Exit::Refused).says("counted from");
    let at = moment(&status(&practice, &id).await["chained_at"]);
    assert!(at > moment(&before["chained_at"]) + WAIT);
    practice.range.advance(WAIT + SignedDuration::from_mins(1));
    practice.quell(&line).await.expect(Exit::Done);
}

/// Beside the incident's accounts as many as fit on the policy, which nobody has.
fn fill_with_accounts(practice: &Practice) -> usize {
    practice.range.with(|state| {
        let mut policies = state.policies.values_mut();
        let policy = policies.find(|it| it.name.starts_with("quell-")).unwrap();
        let there = policy.tags["quell:accounts"].clone();
        let more = (0..360_u64).map(|i| format!("{:012}", 700_000_000_000 + i));
        let ids = there.split('/').map(str::to_owned).chain(more);
        let ids: Vec<String> = ids.take(360).collect();
        for (i, some) in ids.chunks(18).enumerate() {
            let key = match i {
                0 => "quell:accounts".to_owned(),
                _ => format!("quell:accounts-{}", i + 1),
            };
            policy.tags.insert(key, some.join("/"));
        }
        ids.len()
    })
}

/// How many accounts the tags name, and how many they say did not fit.
fn accounts(practice: &Practice) -> (usize, usize) {
    let (tags, _) = ours(practice);
    let mut counted = (0, 0);
    for (key, value) in &tags {
        match key.as_str() {
            "quell:accounts-left-out" => counted.1 = value.parse().unwrap(),
            key if key.starts_with("quell:accounts") => {
                counted.0 += value.split('/').filter(|id| !id.is_empty()).count();
            }
            _ => {}
        }
    }
    counted
}

#[tokio::test]
async fn accounts_that_make_room_for_whom_they_became_are_counted_before_they_go() {
    let practice = chaining();
    let id = contained(&practice).await;
    practice.range.advance(DELIVERED);
    let line = format!("trace {id} --deny-chained --yes --regions us-east-1");
    let ends = |practice: &Practice| {
        let (named, left_out) = accounts(practice);
        named + left_out
    };
    let all = fill_with_accounts(&practice);
    let before = practice.calls().len();
    let whole = practice.copy();
    whole.quell(&line).await.expect(Exit::NotProven);
    let (named, left_out) = accounts(&whole);
    assert!(
        left_out > 0 && named + left_out == all,
        "{named} {left_out}"
    );
    let calls = whole.calls();
    let calls = calls.get(before..).unwrap();
    for (call, _) in calls.iter().enumerate().filter(|(_, call)| call.mutates()) {
        let crashed = practice.copy();
        let after = Moment::AfterTheCall;
        crashed.quell_until_death(&line, call + 1, after).await;
        assert_eq!(ends(&crashed), all, "call {call}");
        crashed.quell(&line).await;
        assert_eq!(ends(&crashed), all, "call {call}, again");
    }
}

/// The hero assumes a role under this name, until then; and nobody sees the session again.
fn becomes(practice: &Practice, number: usize, name: &str, hours: i64) -> String {
    let (account, _, _) = practice.built.hero_sessions[0].clone();
    let now = practice.range.now();
    let userid = format!("AROACHAIN{number:012}:{name}");
    let mut assumed = record(&account, now);
    assumed["eventID"] = json!(format!("assumed-{number}"));
    assumed["eventSource"] = json!("sts.amazonaws.com");
    assumed["eventName"] = json!("AssumeRole");
    assumed["userIdentity"]["type"] = json!("IAMUser");
    let until = now + SignedDuration::from_hours(hours);
    assumed["responseElements"] = json!({
        "credentials": {
            "accessKeyId": format!("ASIACHAIN{number:011}"),
            "expiration": until.strftime("%b %-d, %Y, %-I:%M:%S %p").to_string(),
        },
        "assumedRoleUser": {
            "assumedRoleId": userid,
            "arn": format!("arn:aws:sts::{account}:assumed-role/chain-{number}/{name}"),
        },
    });
    plant(practice, &assumed.to_string());
    userid
}

#[tokio::test]
async fn of_more_than_there_is_room_for_the_longest_lived_are_denied_and_the_rest_is_named() {
    let practice = Practice::new();
    practice.few_accounts();
    for number in 0..15 {
        let hours = 2 + i64::try_from(number).unwrap() % 9;
        becomes(&practice, number, "nightly", hours);
    }
    let longest = becomes(&practice, 15, "weekly", 12);
    let id = contained(&practice).await;
    practice.range.advance(DELIVERED);
    let report = traced(&practice, &id, "", Exit::GettingThrough).await;
    assert_eq!(report["offered"].as_array().unwrap().len(), 16, "{report}");
    let line = format!("trace {id} --deny-chained --yes");
    let told = practice.quell(&line).await.expect(Exit::GettingThrough);
    let told = told.says("NOT denied now").says("there is no room for it");
    told.says("quell policy draft --role AROACHAIN");
    let (_, denied) = ours(&practice);
    assert_eq!(denied.len(), 12);
    assert!(denied.contains(&longest));
    let report = traced(&practice, &id, "", Exit::GettingThrough).await;
    let left = report["offered"].as_array().unwrap();
    assert_eq!(left.len(), 4, "{report}");
    let until = |userid: &str| {
        let mut sessions = report["sessions"].as_array().unwrap().iter();
        moment(&sessions.find(|it| it["userid"] == *userid).unwrap()["until"])
    };
    let last = left.iter().map(|it| until(it.as_str().unwrap())).max();
    assert!(
        denied.iter().all(|it| until(it) >= last.unwrap()),
        "{denied:?}"
    );
    // No room is left, and nothing is changed then.
    let before = practice.mutations();
    let told = practice.quell(&line).await.expect(Exit::Refused);
    told.says("an incident takes 12 of them");
    assert_eq!(practice.mutations(), before);
}

#[tokio::test]
async fn one_can_be_chosen_and_nobody_else_is_denied() {
    let practice = Practice::new();
    practice.few_accounts();
    let wanted = becomes(&practice, 1, "nightly", 3);
    becomes(&practice, 2, "weekly", 3);
    let id = contained(&practice).await;
    practice.range.advance(DELIVERED);
    let other = format!("trace {id} --deny-chained --yes --only AROANOBODY00000000000:x1");
    practice
        .quell(&other)
        .await
        .expect(Exit::Usage)
        .says("no session of that name");
    let line = format!("--deny-chained --yes --only {wanted}");
    traced(&practice, &id, &line, Exit::GettingThrough).await;
    assert_eq!(ours(&practice).1, BTreeSet::from([wanted]));
}

#[tokio::test]
async fn neither_the_operator_nor_what_is_named_as_a_canary_is_denied_and_the_others_are() {
    let practice = Practice::new();
    practice.few_accounts();
    let mine = becomes(&practice, 1, "operator@example.com", 9);
    let control = becomes(&practice, 2, "quell-control-q-0a0b0c", 9);
    let survey = becomes(&practice, 3, "quell-survey", 9);
    let theirs = becomes(&practice, 4, "nightly", 2);
    let id = contained(&practice).await;
    let management = practice.range.with(|state| state.management.clone());
    let arn = format!("arn:aws:sts::{management}:assumed-role/chain-1/operator@example.com");
    let me = Session {
        account: management.clone(),
        principal_arn: format!("arn:aws:iam::{management}:role/chain-1"),
        arn,
        user_id: mine.clone(),
        source_identity: None,
        directory_user: None,
        issued: Some(practice.range.now()),
        expires: None,
        token: Some("practice-token-me".to_owned()),
        policy: None,
        behind: None,
        assumed_root: false,
    };
    practice.signs_with("ASIAOPERATOR00000000", me);
    practice.range.advance(DELIVERED);
    let report = traced(&practice, &id, "--deny-chained --yes", Exit::GettingThrough).await;
    assert_eq!(ours(&practice).1, BTreeSet::from([theirs]));
    let left = report["left_out"].as_array().unwrap().iter();
    let left: BTreeSet<&str> = left.map(|it| it["userid"].as_str().unwrap()).collect();
    assert_eq!(
        left,
        BTreeSet::from([mine.as_str(), control.as_str(), survey.as_str()])
    );
    let told = practice
        .quell(&format!("trace {id} --deny-chained --yes"))
        .await
        .expect(Exit::Refused);
    told.says("you would be refused by it, too")
        .says("quell's own canaries");
}

#[tokio::test]
async fn minutes_after_containing_it_is_too_early_to_say_whom_they_became() {
    let practice = Practice::new();
    practice.few_accounts();
    let (_, key, _) = practice.built.hero_sessions[0].clone();
    assert_eq!(practice.call_as(&key), 200);
    let id = contained(&practice).await;
    let proven = moment(&status(&practice, &id).await["proven"]);
    practice.range.advance(SignedDuration::from_mins(8));
    let told = practice.quell(&format!("trace {id}")).await;
    let at = proven + SignedDuration::from_mins(15);
    let at = at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let told = told
        .expect(Exit::NotProven)
        .says("too early to say whom")
        .says(&at);
    assert!(!told.out.contains("nobody else"), "{}", told.out);
    let report = traced(&practice, &id, "", Exit::NotProven).await;
    let until = moment(&report["too_early_until"]);
    practice
        .range
        .advance(until.duration_since(practice.range.now()));
    let told = practice.quell(&format!("trace {id}")).await;
    told.expect(Exit::Done).says("became nobody else");
}

#[tokio::test]
async fn whoever_is_not_denied_stands_first_and_what_to_do_about_each_stands_last() {
    let practice = Practice::with(|blueprint| {
        blueprint.extras.chains = true;
        blueprint.extras.management = true;
    });
    practice.few_accounts();
    practice.range.advance(SignedDuration::from_mins(15));
    let told = practice.quell("contain test-user --yes").await;
    let told = told.expect(Exit::GettingThrough);
    let id = practice.incident().await;
    told.says(&format!("quell trace {id}"));
    let management = practice.range.with(|state| state.management.clone());
    let sessions = practice.built.hero_sessions.iter();
    let mut sessions = sessions.filter(|(account, _, _)| *account == management);
    let (_, key, _) = sessions.next().unwrap();
    assert_eq!(practice.call_as(key), 200);
    practice.range.advance(DELIVERED);
    let told = practice.quell(&format!("trace {id}")).await;
    let told = told.expect(Exit::GettingThrough);
    let place = |text: &str| {
        told.out
            .find(text)
            .unwrap_or_else(|| panic!("{text}: {}", told.out))
    };
    assert!(place("Not denied") < place(CHAIN[1].2));
    assert!(place(CHAIN[1].2) < place("Who became whom"));
    assert!(place("in the management account") < place("Who became whom"));
    let next = place("\nNext\n");
    let next = told.out.get(next..).unwrap();
    assert!(
        next.contains(&format!("quell evict {id} --management")),
        "{next}"
    );
    assert!(next.contains("--deny-chained"), "{next}");
    let told = practice.quell(&format!("verify {id} --cloudtrail")).await;
    told.says(&format!("is not in this: `quell trace {id}`"));
    let shown = verified(&practice, &id, Exit::GettingThrough).await;
    assert_eq!(shown["chained"], json!([]));
}

#[tokio::test]
async fn how_far_back_is_said_in_our_own_words_and_reaches_the_longest_session() {
    let practice = chaining();
    let id = contained(&practice).await;
    let before = practice.calls().len();
    for wrong in ["yesterday", "3w", "-2h", "0d", "h", "2026-11-22"] {
        let told = practice.quell(&format!("trace {id} --since={wrong}")).await;
        told.expect(Exit::Usage)
            .says("is neither a time nor how far back")
            .says("36h");
    }
    assert_eq!(practice.calls().len(), before);
    practice.range.advance(DELIVERED);
    let opened = moment(&status(&practice, &id).await["opened"]);
    let report = traced(&practice, &id, "", Exit::GettingThrough).await;
    let back = opened.duration_since(moment(&report["read"]["since"]));
    assert!(back >= SignedDuration::from_hours(24), "{back:#}");
    let report = traced(&practice, &id, "--since 90m", Exit::GettingThrough).await;
    let since = moment(&report["read"]["since"]);
    let back = moment(&report["read"]["asked_at"]).duration_since(since);
    assert_eq!(back.as_mins(), 90);
    let told = practice.quell(&format!("trace {id} --since 3d")).await;
    told.says("before the incident was opened");
    // Nobody of them is lost on the way.
    let (allowed, _) = chained_calls(&practice, opened);
    assert!(allowed > 0, "{HERO}");
}

#[tokio::test]
async fn an_iam_users_longest_session_is_looked_back_over() {
    let practice = Practice::with(|blueprint| blueprint.extras.iam_user = true);
    let account = quell::range::build::extras::IAM_USER_ACCOUNT;
    let name = quell::range::build::extras::IAM_USER;
    practice
        .quell(&format!("contain arn:aws:iam::{account}:user/{name} --yes"))
        .await
        .expect(Exit::Done);
    let id = practice.incident().await;
    practice.range.advance(DELIVERED);
    let opened = moment(&status(&practice, &id).await["opened"]);
    let ran = practice.quell(&format!("trace {id} --output json")).await;
    let back = opened.duration_since(moment(&ran.json()["read"]["since"]));
    assert!(back > SignedDuration::from_hours(36), "{back:#}");
}

/// A sign-in at the access portal, as AWS records it.
fn sign_in(practice: &Practice, minutes: i64, name: &str, person: &str) {
    let management = practice.range.with(|state| state.management.clone());
    let at = practice.range.now() + SignedDuration::from_mins(minutes);
    let role = match name {
        "UserAuthentication" => json!({ "UserAuthentication": "Success" }),
        _ => json!({ "account_id": "222233334444", "role_name": "Ops" }),
    };
    let event = json!({
        "eventVersion": "1.11", "eventID": format!("{name}-{minutes}-{person}"),
        "userIdentity": {
            "type": "IdentityCenterUser", "accountId": management,
            "onBehalfOf": { "userId": person, "identityStoreArn": "arn:aws:identitystore::111122223333:identitystore/d-0123456789" },
        },
        "eventTime": at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        "eventSource": "signin.amazonaws.com", "eventName": name, "awsRegion": "eu-west-1",
        "sourceIPAddress": "198.51.100.99", "requestParameters": null, "responseElements": null,
        "recipientAccountId": management, "serviceEventDetails": role,
    });
    practice.range.with(|state| {
        let found_by = [("EventName", name)];
        let text = event.to_string();
        state
            .records
            .plant(&management, "eu-west-1", at, text, &found_by);
    });
}

/// The hero's id in the directory.
fn hero(practice: &Practice) -> String {
    practice.range.with(|state| {
        let mut users = state.directory.users.iter();
        let (id, _) = users.find(|(_, user)| user.username == HERO).unwrap();
        id.to_string()
    })
}

#[tokio::test]
async fn a_sign_in_since_the_containment_keeps_the_gate_shut_until_somebody_answers_for_it() {
    for event in ["UserAuthentication", "GetRoleCredentials"] {
        let practice = Practice::new();
        practice.few_accounts();
        let theirs = hero(&practice);
        // Before it and somebody else's: neither is news.
        sign_in(&practice, 0, event, &theirs);
        practice.range.advance(SignedDuration::from_mins(1));
        let id = contained(&practice).await;
        practice.evict(&id).await;
        sign_in(
            &practice,
            5,
            event,
            "0123456789-00000000-0000-0000-0000-000000000000",
        );
        practice.range.advance(WAIT + SignedDuration::from_mins(2));
        let quiet = practice.copy();
        let line = format!("release {id} --yes");
        quiet.quell(&line).await.expect(Exit::Done);
        sign_in(&practice, -5, event, &theirs);
        let told = practice.quell(&line).await.expect(Exit::Refused);
        let told = told
            .says("somebody has signed in as the user")
            .says("198.51.100.99");
        told.says(&format!("quell evict {id} --attest sign-ins --by"));
        practice
            .quell(&format!("evict {id} --yes --attest sign-ins --by alice"))
            .await;
        practice.quell(&line).await.expect(Exit::Done);
    }
}

#[tokio::test]
async fn where_cloudtrail_cannot_be_asked_for_sign_ins_somebody_answers_for_that() {
    let practice = Practice::new();
    practice.few_accounts();
    let id = contained(&practice).await;
    practice.evict(&id).await;
    practice.range.advance(WAIT + SignedDuration::from_mins(2));
    practice.range.with(|state| {
        let management = state.management.clone();
        state.records.closed.push(management);
    });
    let line = format!("release {id} --yes");
    let told = practice.quell(&line).await.expect(Exit::Refused);
    told.says("could not be read in CloudTrail")
        .says("--attest sign-ins");
    practice
        .quell(&format!("evict {id} --yes --attest sign-ins --by alice"))
        .await;
    practice.quell(&line).await.expect(Exit::Done);
}

#[tokio::test]
async fn a_canary_role_that_trusts_everybody_is_warned_of() {
    let practice = Practice::new();
    let line =
        |trust: &str| format!("prepare canary-template --trust arn:aws:iam::111122223333:{trust}");
    for everybody in ["role/*", "user/*", "role/ops/*"] {
        let told = practice.quell(&line(everybody)).await;
        told.expect(Exit::Done)
            .says("WARNING")
            .says("everybody of that kind");
    }
    let told = practice.quell(&line("role/Responder*")).await;
    assert!(!told.expect(Exit::Done).err.contains("WARNING"));
    practice
        .quell("prepare canary-template --trust *")
        .await
        .expect(Exit::Usage);
    let told = practice.quell("prepare rights").await;
    told.expect(Exit::Done).says("trace --deny-chained");
}

#[tokio::test]
async fn sessions_that_were_got_at_the_portal_are_told_by_account_and_role() {
    let practice = Practice::with(|blueprint| blueprint.extras.entitled = true);
    practice.few_accounts();
    let id = UserId::parse(hero(&practice)).unwrap();
    practice
        .range
        .with(|state| state.portals.insert("signed-in".to_owned(), id.clone()));
    let ways = practice.range.with(|state| state.ways_of(&id));
    let of_set = ways.iter().find(|way| matches!(way, Way::Set(..))).unwrap();
    let of_role = ways.iter().find(|way| matches!(way, Way::Role(_))).unwrap();
    let got = [of_set, of_role].map(|way| practice.range.with(|state| state.mint_on(&id, way)));
    let [Some(by_set), Some(by_role)] = got else {
        panic!("{ways:?}");
    };
    let of = |key: &str| practice.range.with(|state| state.sessions[key].clone());
    let (by_set, by_role) = (of(&by_set), of(&by_role));
    practice.range.advance(SignedDuration::from_secs(5));
    let incident = contained(&practice).await;
    practice.range.advance(SignedDuration::from_secs(5));
    practice
        .range
        .with(|state| state.mint_on(&id, of_set))
        .unwrap();
    practice.range.advance(DELIVERED);
    let report = traced(&practice, &incident, "", Exit::Done).await;
    let done = report["portal"]["done"].as_array().unwrap();
    let accounts: BTreeSet<&str> = done
        .iter()
        .map(|it| it["account"].as_str().unwrap())
        .collect();
    let wanted = [by_set.account.as_str(), by_role.account.as_str()];
    assert_eq!(accounts, BTreeSet::from(wanted), "{report}");
    assert!(
        done.iter()
            .all(|it| it["event"] == "GetRoleCredentials" && it["kind"] == "session")
    );
    // Nobody has called with it yet, and it is known to be there; whoever let them in is none of their sessions.
    let sessions = report["sessions"].as_array().unwrap().iter();
    let theirs: BTreeSet<&str> = sessions.map(|it| it["userid"].as_str().unwrap()).collect();
    assert!(theirs.contains(by_set.user_id.as_str()), "{theirs:?}");
    assert!(theirs.iter().all(|it| it.starts_with("AROA")), "{theirs:?}");
    let told = practice.quell(&format!("trace {incident}")).await;
    told.says("At the portal they did 3 things")
        .says("account access manager");
    let shown = verified(&practice, &incident, Exit::Done).await;
    assert_eq!(
        shown["portal"]["done"].as_array().unwrap().len(),
        1,
        "{shown}"
    );
    // Where the portal's records cannot be read, that is no quiet.
    practice.range.with(|state| {
        let management = state.management.clone();
        state.records.closed.push(management);
    });
    let told = practice.quell(&format!("trace {incident}")).await;
    told.expect(Exit::NotProven)
        .says("what they did at the access portal");
}
