//! Stories of CloudTrail: what the principal's real calls show, whom they became, and what they left behind.

use jiff::SignedDuration;
use quell::aws::retries;
use quell::cli::exit::Exit;
use quell::ids::*;
use quell::range::build::extras::{CHAIN, IAM_USER, IAM_USER_ACCOUNT};
use quell::range::build::{HERO, SECRET};
use quell::range::state::Ended;
use serde_json::{Value, json};

use crate::practice::{Moment, Practice};

/// Long enough for every record.
pub(crate) const DELIVERED: SignedDuration = SignedDuration::from_mins(16);

/// Somebody is contained, and their sessions go on calling.
pub(crate) async fn contained(practice: &Practice) -> String {
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

pub(crate) async fn verified(practice: &Practice, incident: &str, exit: Exit) -> Value {
    let line = format!("verify {incident} --cloudtrail --output json");
    let ran = practice.quell(&line).await.expect(exit);
    ran.json()["cloudtrail"].clone()
}

/// A record of the hero's, as an attacker would like to have it.
pub(crate) fn record(account: &AccountId, at: jiff::Timestamp) -> Value {
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
pub(crate) fn plant(practice: &Practice, text: &str) {
    let (account, _, _) = practice.built.hero_sessions[0].clone();
    practice.range.with(|state| {
        let now = state.now;
        let found_by = [("Username", HERO)];
        let trails = &mut state.records;
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
        .with(|state| state.records.closed.push(closed));
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

/// Somebody has chained twice, under names that say nothing, before anybody contained them.
pub(crate) fn chaining() -> Practice {
    let practice = Practice::with(|blueprint| blueprint.extras.chains = true);
    practice.few_accounts();
    practice.range.advance(SignedDuration::from_mins(15));
    practice
}

/// How the chain's calls ended since a moment, from inside the range.
pub(crate) fn chained_calls(practice: &Practice, since: jiff::Timestamp) -> (usize, usize) {
    practice.range.with(|state| {
        let chain = state.actors.iter().position(|actor| actor.chain.is_some());
        let calls = state.seen.iter();
        let calls = calls.filter(|seen| Some(seen.actor) == chain && seen.at > since);
        let count = |ended| calls.clone().filter(|seen| seen.ended == ended).count();
        (count(Ended::Allowed), count(Ended::Refused))
    })
}

/// Somebody else's session in a role that the attacker went through, under another name: its access key.
fn a_neighbour(practice: &Practice) -> String {
    practice.range.with(|state| {
        let sessions = state.sessions.values();
        let mut chained = sessions.filter(|it| it.user_id.ends_with(CHAIN[0].2));
        let mut session = chained.next().unwrap().clone();
        session.user_id = session.user_id.replace(CHAIN[0].2, "weekly-report");
        session.expires = Some(state.now + SignedDuration::from_hours(1));
        let key = "ASIANEIGHBOUR0000000".to_owned();
        state.sessions.insert(key.clone(), session);
        key
    })
}

pub(crate) async fn traced(practice: &Practice, incident: &str, more: &str, exit: Exit) -> Value {
    let line = format!("trace {incident} {more} --output json");
    practice.quell(&line).await.expect(exit).json()
}

#[tokio::test]
async fn whoever_chained_under_innocent_names_lives_on_until_they_are_traced_and_denied() {
    let practice = chaining();
    let id = contained(&practice).await;
    let proven = practice.range.now();
    practice.range.advance(SignedDuration::from_mins(30));
    let (allowed, refused) = chained_calls(&practice, proven);
    assert!(allowed > 50 && refused == 0, "{allowed} {refused}");

    let told = practice.quell(&format!("trace {id}")).await;
    let told = told.expect(Exit::GettingThrough);
    let [(_, first, name), (_, second, other)] = CHAIN;
    for part in [first, name, second, other, "NOT DENIED", "--deny-chained"] {
        assert!(told.out.contains(part), "{part} is not in {}", told.out);
    }
    let report = traced(&practice, &id, "", Exit::GettingThrough).await;
    let depths = report["sessions"].as_array().unwrap().iter();
    let depths: Vec<u64> = depths.map(|it| it["depth"].as_u64().unwrap()).collect();
    assert!(depths.contains(&1) && depths.contains(&2), "{depths:?}");
    assert_eq!(report["offered"].as_array().unwrap().len(), 2, "{report}");

    let neighbour = a_neighbour(&practice);
    let report = traced(&practice, &id, "--deny-chained --yes", Exit::NotProven).await;
    assert_eq!(report["denied_now"].as_array().unwrap().len(), 2);
    practice.range.advance(SignedDuration::from_mins(2));
    let denied = practice.range.now();
    practice.range.advance(SignedDuration::from_mins(20));
    let (allowed, refused) = chained_calls(&practice, denied);
    assert!(allowed == 0 && refused > 3, "{allowed} {refused}");
    assert_eq!(practice.call_as(&neighbour), 200);
    let report = traced(&practice, &id, "", Exit::Done).await;
    assert_eq!(report["offered"], json!([]));
    // Their sessions end, and nobody makes others.
    practice.range.advance(SignedDuration::from_hours(2));
    traced(&practice, &id, "", Exit::Done).await;
    let (allowed, _) = chained_calls(&practice, denied);
    assert_eq!(allowed, 0);
}

#[tokio::test]
async fn going_round_in_roles_is_recognised_and_said() {
    let practice = chaining();
    practice.range.advance(SignedDuration::from_hours(2));
    let id = contained(&practice).await;
    practice.range.advance(DELIVERED);
    let told = practice.quell(&format!("trace {id}")).await;
    told.expect(Exit::GettingThrough).says("ROLE JUGGLING");
    let report = traced(&practice, &id, "--deny-chained --yes", Exit::NotProven).await;
    let sessions = report["sessions"].as_array().unwrap();
    let chained = sessions.iter().filter(|it| !it["by"].is_null());
    let chained: Vec<&Value> = chained.collect();
    assert_eq!(chained.len(), 2, "{report}");
    assert!(chained.iter().all(|it| it["times"].as_u64().unwrap() >= 2));
    practice.range.advance(SignedDuration::from_mins(2));
    let denied = practice.range.now();
    practice.range.advance(SignedDuration::from_hours(3));
    assert_eq!(chained_calls(&practice, denied).0, 0);
}

#[tokio::test]
async fn a_release_waits_from_the_moment_when_the_last_of_them_was_denied() {
    let practice = chaining();
    let id = contained(&practice).await;
    practice.evict(&id).await;
    let status = practice.quell(&format!("status {id} --output json")).await;
    let before = status.json()["incidents"][0]["release_not_before"].clone();
    practice.range.advance(SignedDuration::from_hours(3));
    let report = traced(&practice, &id, "--deny-chained --yes", Exit::NotProven).await;
    let at: jiff::Timestamp = report["chained_at"].as_str().unwrap().parse().unwrap();
    let until: jiff::Timestamp = before.as_str().unwrap().parse().unwrap();
    practice
        .range
        .advance(until.duration_since(practice.range.now()));
    practice
        .quell(&format!("release {id} --yes"))
        .await
        .expect(Exit::Refused)
        .says("counted from");
    // Another machine knows it, too.
    let elsewhere = practice.on_another_machine();
    let status = elsewhere.quell(&format!("status {id} --output json")).await;
    let after = status.json()["incidents"][0]["release_not_before"].clone();
    let after: jiff::Timestamp = after.as_str().unwrap().parse().unwrap();
    let wait = SignedDuration::from_mins(12 * 60 + 30);
    assert_eq!(after.duration_since(at), wait);
    assert!(
        after > until + SignedDuration::from_hours(2),
        "{after} {until}"
    );
    practice
        .range
        .advance(after.duration_since(practice.range.now()));
    elsewhere
        .quell(&format!("release {id} --yes"))
        .await
        .expect(Exit::Done);
    assert!(practice.ours().is_empty());
}

#[tokio::test]
async fn an_armed_organization_denies_whom_they_became_and_keeps_it() {
    let practice = chaining();
    practice.quell("prepare arm --yes").await.expect(Exit::Done);
    let id = contained(&practice).await;
    practice.range.advance(DELIVERED);
    traced(&practice, &id, "--deny-chained --yes", Exit::NotProven).await;
    // Somebody else is contained, the first is proven again, and the same command is typed again: nobody is lost.
    practice
        .quell("contain bob@example.com --yes")
        .await
        .expect(Exit::Done);
    let elsewhere = practice.on_another_machine();
    elsewhere
        .quell(&format!("verify {id}"))
        .await
        .expect(Exit::Done);
    practice
        .quell("contain test-user --yes")
        .await
        .expect(Exit::Done);
    let denied = practice.range.now();
    practice.range.advance(SignedDuration::from_hours(2));
    assert_eq!(chained_calls(&practice, denied).0, 0);
    let status = practice.quell("status --output json").await.json();
    assert_eq!(status["armed"]["agrees"], true, "{status}");
    // The release takes all of it away.
    elsewhere
        .quell(&format!("release {id} --force --yes"))
        .await
        .expect(Exit::Done);
    practice.range.with(|state| {
        let armed = state.policies.values().find(|it| it.name == "quell-armed");
        let armed = armed.unwrap();
        assert!(!armed.content.contains(CHAIN[0].2), "{}", armed.content);
        let left = armed.tags.keys().filter(|key| key.contains(":chained-"));
        assert_eq!(left.count(), 0, "{:?}", armed.tags);
    });
}

#[tokio::test]
async fn an_interrupted_deny_of_them_is_finished_by_the_same_command() {
    for arm in [false, true] {
        let practice = chaining();
        if arm {
            practice.quell("prepare arm --yes").await.expect(Exit::Done);
        }
        let id = contained(&practice).await;
        practice.range.advance(DELIVERED);
        let line = format!("trace {id} --deny-chained --yes --regions us-east-1");
        let before = practice.calls().len();
        let whole = practice.copy();
        whole.quell(&line).await.expect(Exit::NotProven);
        let calls = whole.calls();
        let calls = calls.get(before..).unwrap();
        let first = calls.iter().position(|call| call.mutates()).unwrap();
        for call in first..=calls.len() {
            for moment in [Moment::BeforeTheCall, Moment::AfterTheCall] {
                let crashed = practice.copy();
                crashed.quell_until_death(&line, call + 1, moment).await;
                // In between, somebody else does what they do.
                let here = "contain test-user --yes";
                crashed.quell(here).await.expect(Exit::Done);
                crashed.quell(&line).await;
                crashed.range.advance(SignedDuration::from_mins(2));
                let denied = crashed.range.now();
                crashed.range.advance(SignedDuration::from_mins(30));
                let (allowed, refused) = chained_calls(&crashed, denied);
                assert!(
                    allowed == 0 && refused > 0,
                    "armed {arm}, call {call}, {moment:?}: {allowed} {refused}"
                );
            }
        }
    }
}

#[tokio::test]
async fn nothing_is_denied_without_the_word_and_tracing_changes_nothing() {
    let practice = chaining();
    let id = contained(&practice).await;
    practice.range.advance(DELIVERED);
    let before = practice.mutations();
    traced(&practice, &id, "", Exit::GettingThrough).await;
    let line = format!("trace {id} --deny-chained");
    practice.quell(&line).await.expect(Exit::Refused);
    practice.types("yes");
    practice.quell(&line).await.expect(Exit::Refused);
    assert_eq!(practice.mutations(), before);
    practice.types(&id);
    practice.quell(&line).await.expect(Exit::NotProven);
    assert_ne!(practice.mutations(), before);
}

#[tokio::test]
async fn what_they_left_behind_is_listed_by_account_worst_first() {
    let practice = Practice::new();
    practice.few_accounts();
    let (account, key, _) = practice.built.hero_sessions[0].clone();
    assert_eq!(practice.call_as(&key), 200);
    let now = practice.range.now();
    for (second, (source, name)) in [
        ("ec2", "RunInstances"),
        ("iam", "CreateAccessKey"),
        ("cloudtrail", "StopLogging"),
        ("iam", "ListUsers"),
    ]
    .into_iter()
    .enumerate()
    {
        let at = now + SignedDuration::from_secs(second.try_into().unwrap());
        let mut record = record(&account, at);
        record["eventSource"] = json!(format!("{source}.amazonaws.com"));
        record["eventName"] = json!(name);
        plant(&practice, &record.to_string());
    }
    let id = contained(&practice).await;
    practice.range.advance(DELIVERED);
    let report = traced(&practice, &id, "", Exit::Done).await;
    let left = report["left_behind"].as_array().unwrap().iter();
    let left: Vec<&str> = left.map(|it| it["kind"].as_str().unwrap()).collect();
    assert_eq!(left, ["guardrail", "way_in", "runs"]);
    let told = practice.quell(&format!("trace {id}")).await;
    told.expect(Exit::Done)
        .says("userName backup")
        .says("Left behind, perhaps");
}

#[tokio::test]
async fn a_drill_with_an_attacker_who_chains_passes_with_a_trace_and_fails_without() {
    let practice = Practice::new();
    let report = practice.quell("drill --chains --output json").await;
    let report = report.expect(Exit::Done).json();
    assert_eq!(report["attacker"]["allowed_after_proven"], 0, "{report}");
    let report = practice
        .quell("drill --chains --untraced --output json")
        .await;
    let report = report.expect(Exit::Failed).json();
    assert_eq!(report["verdict"], "fail");
    let lived = report["attacker"]["allowed_after_proven"].as_u64();
    assert!(lived.unwrap() > 500, "{report}");
}

#[tokio::test]
async fn a_federated_session_under_another_name_is_traced_to_the_iam_user_who_made_it() {
    let practice = Practice::with(|blueprint| blueprint.extras.iam_user = true);
    let stolen = practice.range.with(|state| state.actors[0].key.clone());
    let region = Region::parse("us-east-1").unwrap();
    let config = practice
        .range
        .sdk_config(&stolen, SECRET, None, &region, retries());
    let sts = aws_sdk_sts::Client::new(&config);
    let everything =
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#;
    let asked = sts.get_federation_token().name("weather-report");
    let given = asked.policy(everything).send().await.unwrap();
    let key = given.credentials().unwrap().access_key_id().to_owned();
    assert_eq!(practice.call_as(&key), 200);
    let arn = format!("arn:aws:iam::{IAM_USER_ACCOUNT}:user/{IAM_USER}");
    practice
        .quell(&format!("contain {arn} --yes"))
        .await
        .expect(Exit::Done);
    let id = practice.incident().await;
    practice.range.advance(DELIVERED);
    // The id's statement does not match it, and the name's does not either.
    assert_eq!(practice.call_as(&key), 200);
    let report = traced(&practice, &id, "--deny-chained --yes", Exit::NotProven).await;
    let userid = format!("{IAM_USER_ACCOUNT}:weather-report");
    assert_eq!(report["denied_now"], json!([userid]), "{report}");
    practice.range.advance(SignedDuration::from_mins(1));
    assert_eq!(practice.call_as(&key), 403);
}

#[tokio::test]
async fn somebody_who_became_one_of_whom_no_record_tells_is_named() {
    let practice = Practice::new();
    practice.few_accounts();
    let (account, key, _) = practice.built.hero_sessions[0].clone();
    assert_eq!(practice.call_as(&key), 200);
    let mut assumed = record(&account, practice.range.now());
    assumed["eventSource"] = json!("sts.amazonaws.com");
    assumed["eventName"] = json!("AssumeRole");
    let role = "arn:aws:iam::999988887777:role/elsewhere";
    assumed["requestParameters"] = json!({ "roleArn": role, "roleSessionName": "x\u{1b}y" });
    plant(&practice, &assumed.to_string());
    let id = contained(&practice).await;
    practice.range.advance(DELIVERED);
    let told = practice.quell(&format!("trace {id}")).await;
    let told = told.expect(Exit::NotProven).says("NOT FOLLOWED").says(role);
    assert!(!told.out.contains('\u{1b}'), "{}", told.out);
}

#[tokio::test]
async fn a_session_in_the_management_account_is_getting_through_and_so_is_said() {
    let practice = Practice::with(|blueprint| blueprint.extras.management = true);
    practice.few_accounts();
    let management = practice.range.with(|state| state.management.clone());
    let mut sessions = practice.built.hero_sessions.iter();
    let (_, key, _) = sessions.find(|(it, _, _)| *it == management).unwrap();
    practice
        .quell("contain test-user --yes")
        .await
        .expect(Exit::GettingThrough);
    let id = practice.incident().await;
    practice.range.advance(SignedDuration::from_mins(1));
    assert_eq!(practice.call_as(key), 200);
    practice.range.advance(DELIVERED);
    let told = practice.quell(&format!("trace {id}")).await;
    told.expect(Exit::GettingThrough)
        .says("in the management account no service control policy applies");
    let shown = verified(&practice, &id, Exit::GettingThrough).await;
    assert_eq!(shown["allowed"][0]["account"], management.as_str());
}

#[tokio::test]
async fn nobody_is_called_denied_while_the_deny_is_attached_nowhere() {
    let practice = chaining();
    let id = contained(&practice).await;
    practice.range.advance(SignedDuration::from_mins(15));
    traced(&practice, &id, "--deny-chained --yes", Exit::NotProven).await;
    practice.range.with(|state| {
        let root = state.root.clone();
        state.attachments.get_mut(&root).unwrap().truncate(1);
        state.settle();
    });
    let report = traced(&practice, &id, "", Exit::GettingThrough).await;
    let sessions = report["sessions"].as_array().unwrap();
    let denied = sessions.iter().filter(|it| it["fate"] == "denied");
    assert_eq!(denied.count(), 0, "{report}");
    let before = practice.mutations();
    practice
        .quell(&format!("trace {id} --deny-chained --yes"))
        .await
        .expect(Exit::Refused)
        .says("is not attached where it belongs")
        .says(&format!("quell contain --resume {id}"));
    assert_eq!(practice.mutations(), before);
}

#[tokio::test]
async fn what_will_be_is_not_recorded() {
    let practice = Practice::new();
    let id = contained(&practice).await;
    practice
        .quell(&format!("trace {id} --since 2030-01-01T00:00:00Z"))
        .await
        .expect(Exit::Usage)
        .says("is not in the past");
}

#[tokio::test]
async fn a_minute_after_the_proof_no_records_are_no_all_clear() {
    let practice = Practice::new();
    practice.few_accounts();
    let report = practice
        .quell("contain test-user --yes --output json")
        .await
        .expect(Exit::Done)
        .json();
    let id = report["incident"].as_str().unwrap();
    practice.range.advance(SignedDuration::from_mins(1));
    let line = format!("verify {id} --cloudtrail");
    let early = practice.quell(&line).await;
    let early = early.expect(Exit::NotProven).says("TOO EARLY");
    assert!(!early.out.contains("none allowed"), "{}", early.out);
    practice.range.advance(SignedDuration::from_mins(15));
    practice
        .quell(&line)
        .await
        .expect(Exit::Done)
        .says("none allowed since the proof");
}
