//! The guardrail: nobody gets a console password outside the jump account, and that is shown.

use jiff::SignedDuration;
use quell::cli::exit::Exit;
use quell::guardrail::POLICY;
use quell::ids::*;
use quell::range::state::Wrong;
use serde_json::Value;

use crate::practice::{Moment, Practice, Ran};

const ATTACH: &str = "guardrail attach no-console-users --jump-account 222233334444";
const PROVE: &str = "guardrail prove no-console-users";
const CHECK: &str = "guardrail check no-console-users";
const REMOVE: &str = "guardrail remove no-console-users --yes";

/// A call of somebody of an account, as the range answers it: its status.
fn asks(practice: &Practice, account: &str, role: &str, form: &str) -> u16 {
    let mut session = practice.operator_session();
    session.account = AccountId::parse(account).unwrap();
    session.arn = format!("arn:aws:iam::{account}:{role}");
    session.principal_arn.clone_from(&session.arn);
    session.user_id = "AROAAAAAAAAAAAAAAAAAA:somebody".to_owned();
    let key = format!("AKIASOMEBODYOF{account}");
    practice
        .range
        .with(|state| state.sessions.insert(key.clone(), session));
    let request = http::Request::builder()
        .method("POST")
        .uri("/")
        .header(
            "authorization",
            format!("AWS4-HMAC-SHA256 Credential={key}/20261122/us-east-1/iam/aws4_request, SignedHeaders=host, Signature=0"),
        )
        .body(bytes::Bytes::from(format!("Version=2010-05-08&{form}")))
        .unwrap();
    let answer = practice.range.answer(&request).unwrap();
    answer.status().as_u16()
}

/// What becomes of somebody who makes a user and gives them a password.
fn makes_a_console_user(practice: &Practice, account: &str, role: &str) -> (u16, u16) {
    let user = asks(
        practice,
        account,
        role,
        "Action=CreateUser&UserName=backdoor",
    );
    let form = "Action=CreateLoginProfile&UserName=backdoor&Password=Correct-Horse-9";
    (user, asks(practice, account, role, form))
}

/// What was asked of the organization that changes it; the probes ask for what nobody can be given.
fn changes(practice: &Practice) -> Vec<String> {
    let all = practice.mutations().into_iter();
    all.filter(|action| action.starts_with("organizations:"))
        .collect()
}

fn text(report: &Value, name: &str) -> String {
    report[name].as_str().unwrap().to_owned()
}

async fn guarded() -> Practice {
    let practice = Practice::new();
    practice
        .quell(&format!("{ATTACH} --yes"))
        .await
        .expect(Exit::Done);
    practice
}

#[tokio::test]
async fn an_attacker_leaves_no_console_user_behind_but_in_the_jump_account() {
    let practice = Practice::new();
    assert_eq!(
        makes_a_console_user(&practice, "444455556666", "role/Admin"),
        (200, 200)
    );
    practice.range.with(|state| {
        let account = state
            .accounts
            .get_mut(&AccountId::parse("444455556666").unwrap());
        account.unwrap().users.remove("backdoor");
    });
    let report = practice
        .quell(&format!("{ATTACH} --yes --all-accounts --output json"))
        .await
        .expect(Exit::Done)
        .json();
    assert_eq!(text(&report, "schema"), "quell.guardrail/1");
    assert_eq!(text(&report, "state"), "proven");
    // Everybody but the management account and the jump account, which is shown to be let through.
    assert_eq!(report["refused"].as_array().unwrap().len(), 11);
    assert_eq!(report["allowed"][0]["id"], "222233334444");
    assert_eq!(report["allowed"][0]["verdict"], "allowed");
    // As in the source: the user is made, the password is refused.
    assert_eq!(
        makes_a_console_user(&practice, "444455556666", "role/Admin"),
        (200, 403)
    );
    assert_eq!(
        makes_a_console_user(&practice, "222233334444", "role/Admin"),
        (200, 200)
    );
    assert_eq!(
        makes_a_console_user(&practice, "555566667777", "root"),
        (200, 200)
    );
    // The probe made nobody anything.
    let probed = practice.range.with(|state| {
        let mut users = state
            .accounts
            .values()
            .flat_map(|account| account.users.keys());
        users.any(|name| name == quell::guardrail::NOBODY)
    });
    assert!(!probed);
}

#[tokio::test]
async fn showing_and_rehearsing_change_nothing() {
    let practice = Practice::new();
    practice
        .quell("guardrail show no-console-users --jump-account 222233334444 --except arn:aws:iam::444455556666:role/Onboarding")
        .await
        .expect(Exit::Done)
        .says("ArnNotLike")
        .says("excepted, arn:aws:iam::444455556666:role/Onboarding: allowed");
    assert_eq!(practice.calls().len(), 0, "it needs no AWS");
    practice
        .quell(&format!("{ATTACH} --dry-run"))
        .await
        .expect(Exit::Done)
        .says("Attach it to r-quel");
    practice
        .quell(CHECK)
        .await
        .expect(Exit::Refused)
        .says("there is no guardrail");
    practice.quell(PROVE).await.expect(Exit::Refused);
    practice
        .quell(ATTACH)
        .await
        .expect(Exit::Refused)
        .says("--yes");
    practice.types("222233334444");
    practice
        .quell(ATTACH)
        .await
        .expect(Exit::Refused)
        .says("not approved");
    practice.nothing_happened();
    practice.types("r-quel");
    practice.quell(ATTACH).await.expect(Exit::Done);
}

#[tokio::test]
async fn attaching_again_adopts_what_is_there_and_brings_it_in_line() {
    let practice = guarded().await;
    practice.quell(CHECK).await.expect(Exit::Done);
    let before = changes(&practice).len();
    practice.quell(ATTACH).await.expect(Exit::Done);
    assert_eq!(changes(&practice).len(), before, "it was so already");
    practice
        .quell(&format!("{ATTACH} 333344445555 --yes"))
        .await
        .expect(Exit::Done)
        .says("it says something else");
    assert_eq!(changes(&practice)[before..], ["organizations:UpdatePolicy"]);
    assert_eq!(
        makes_a_console_user(&practice, "333344445555", "role/Admin"),
        (200, 200)
    );
    assert_eq!(practice.ours().len(), 1);
}

#[tokio::test]
async fn an_altered_or_detached_guardrail_is_none() {
    let practice = guarded().await;
    practice.range.with(|state| {
        let policy = state
            .policies
            .values_mut()
            .find(|policy| policy.name == POLICY);
        let policy = policy.unwrap();
        policy.content = policy.content.replace("222233334444", "*");
    });
    for line in [CHECK, PROVE] {
        practice
            .quell(line)
            .await
            .expect(Exit::Refused)
            .says("not the one that it must have");
    }
    practice
        .quell(&format!("{ATTACH} --yes"))
        .await
        .expect(Exit::Done);
    practice.range.with(|state| {
        state
            .attachments
            .values_mut()
            .for_each(|all| all.truncate(1));
        state.policies_changed();
        state.settle();
    });
    practice
        .quell(CHECK)
        .await
        .expect(Exit::Refused)
        .says("attached to nothing");
    practice.quell(PROVE).await.expect(Exit::Refused);
}

#[tokio::test]
async fn somebody_elses_policy_of_that_name_is_left_alone() {
    let practice = guarded().await;
    practice.range.with(|state| {
        let policy = state
            .policies
            .values_mut()
            .find(|policy| policy.name == POLICY);
        policy.unwrap().tags.clear();
    });
    let before = changes(&practice).len();
    let attach = format!("{ATTACH} --yes");
    for line in [CHECK, PROVE, REMOVE, &attach] {
        practice
            .quell(line)
            .await
            .expect(Exit::Refused)
            .says("quell did not make it");
    }
    assert_eq!(changes(&practice).len(), before);
}

#[tokio::test]
async fn where_it_cannot_be_attached_nothing_is_tried() {
    let practice = Practice::new();
    practice
        .quell("guardrail attach no-console-users --jump-account 121212121212 --yes")
        .await
        .expect(Exit::Refused)
        .says("not an active account of the organization");
    practice.fill_places(10);
    practice
        .quell(&format!("{ATTACH} --yes"))
        .await
        .expect(Exit::Refused)
        .says("and AWS allows 10");
    practice.nothing_happened();
    let many: Vec<String> = (0..200)
        .map(|n| format!("arn:aws:iam::444455556666:role/a-role-with-a-long-name-{n:03}"))
        .collect();
    let practice = Practice::new();
    practice
        .quell(&format!("{ATTACH} --yes --except {}", many.join(" ")))
        .await
        .expect(Exit::Refused)
        .says("and AWS takes 10240");
    practice.nothing_happened();
}

#[tokio::test]
async fn removing_takes_away_ours_and_nothing_else_and_is_safe_to_repeat() {
    let practice = guarded().await;
    practice.quell("prepare arm --yes").await.expect(Exit::Done);
    practice
        .quell(REMOVE)
        .await
        .expect(Exit::Done)
        .says("is gone");
    assert_eq!(practice.ours().len(), 1, "the armed policy stays");
    let before = changes(&practice).len();
    practice.quell(REMOVE).await.expect(Exit::Done);
    assert_eq!(changes(&practice).len(), before);
    assert_eq!(
        makes_a_console_user(&practice, "444455556666", "role/Admin"),
        (200, 403),
        "it takes a while until all accounts know"
    );
    practice.range.advance(jiff::SignedDuration::from_mins(1));
    let form = "Action=CreateLoginProfile&UserName=backdoor&Password=Correct-Horse-9";
    assert_eq!(asks(&practice, "444455556666", "role/Admin", form), 200);
}

#[tokio::test]
async fn a_guardrail_is_no_incident_and_no_incident_takes_it_away() {
    let practice = guarded().await;
    practice
        .quell("contain test-user --yes")
        .await
        .expect(Exit::Done);
    let incident = practice.incident().await;
    practice
        .quell(&format!("release {incident} --yes --force"))
        .await
        .expect(Exit::Done);
    practice
        .quell(PROVE)
        .await
        .expect(Exit::Done)
        .says("PROVEN");
}

/// Whoever was interrupted types the same command again.
async fn goes_on(practice: &Practice, line: &str) -> Ran {
    practice.quell(line).await.expect(Exit::Done)
}

#[tokio::test]
async fn however_attaching_ends_the_same_command_ends_with_one_policy() {
    let line = format!("{ATTACH} --yes");
    for (action, what) in [
        ("organizations:CreatePolicy", Wrong::LoseAnswer),
        ("organizations:AttachPolicy", Wrong::GarbleAnswer),
        ("organizations:AttachPolicy", Wrong::LoseRequest),
    ] {
        let practice = Practice::new();
        practice.goes_wrong(action, 1, what);
        goes_on(&practice, &line).await;
        assert_eq!(practice.ours().len(), 1, "{action}");
    }
    let whole = Practice::new();
    goes_on(&whole, &line).await;
    let at = |practice: &Practice| {
        let calls = practice.calls();
        let changed = calls.iter().enumerate().filter(|(_, call)| {
            call.action == "organizations:CreatePolicy"
                || call.action == "organizations:AttachPolicy"
        });
        changed.map(|(number, _)| number + 1).collect::<Vec<_>>()
    };
    for number in at(&whole) {
        for moment in [Moment::BeforeTheCall, Moment::AfterTheCall] {
            let practice = Practice::new();
            let died = practice.quell_until_death(&line, number, moment).await;
            assert!(died.is_none());
            goes_on(&practice, &line).await;
            assert_eq!(practice.ours().len(), 1, "{number} {moment:?}");
        }
    }
}

#[tokio::test]
async fn without_the_right_in_the_jump_account_it_says_what_it_cannot_show() {
    let practice = guarded().await;
    // Something else than the guardrail refuses there: the right is nobody's.
    practice.range.with(|state| {
        let account = AccountId::parse("222233334444").unwrap();
        let deny = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"iam:CreateLoginProfile","Resource":"*"}]}"#;
        let inline = quell::range::state::Inline::parse(deny).unwrap();
        let roles = &mut state.accounts.get_mut(&account).unwrap().roles;
        for role in roles.values_mut() {
            role.inline = Some(inline.clone());
        }
    });
    let report = practice
        .quell(&format!("{PROVE} --output json"))
        .await
        .expect(Exit::Done)
        .json();
    assert_eq!(report["allowed"][0]["verdict"], "refused_by_other");
    let said = report["not_covered"].to_string();
    assert!(said.contains("was not shown by a call"), "{said}");
}

#[tokio::test]
async fn an_account_that_the_guardrail_does_not_reach_is_found() {
    let practice = guarded().await;
    // It stands on the root, and somebody has switched service control policies off.
    practice.range.with(|state| state.scps_enabled = false);
    practice
        .quell(PROVE)
        .await
        .expect(Exit::GettingThrough)
        .says("STILL ALLOWED");
}

/// An open incident, by its id.
async fn contained(practice: &Practice, user: &str) -> String {
    let ran = practice
        .quell(&format!("contain {user} --yes --output json"))
        .await;
    text(&ran.expect(Exit::Done).json(), "incident")
}

async fn guarded_for(practice: &Practice, incident: &str) -> Ran {
    let attach = format!("guardrail attach no-console-users --incident {incident} --yes");
    practice.quell(&attach).await.expect(Exit::Done)
}

/// What becomes of the guardrail.
async fn released(practice: &Practice, incident: &str) -> Value {
    let ran = practice
        .quell(&format!("release {incident} --force --yes --output json"))
        .await;
    ran.expect(Exit::Done).json()["released"][0]["guardrail"].clone()
}

#[tokio::test]
async fn a_guardrail_of_an_incident_goes_with_it() {
    let practice = Practice::new();
    let incident = contained(&practice, "test-user").await;
    guarded_for(&practice, &incident).await;
    // There is no jump account: while this is open, nobody is given a password anywhere.
    assert_eq!(
        makes_a_console_user(&practice, "222233334444", "role/Admin"),
        (200, 403)
    );
    assert_eq!(released(&practice, &incident).await, "taken_away");
    practice.range.advance(SignedDuration::from_mins(5));
    assert_eq!(
        asks(
            &practice,
            "222233334444",
            "role/Admin",
            "Action=CreateLoginProfile&UserName=backdoor&Password=Correct-Horse-9"
        ),
        200
    );
    practice.quell(CHECK).await.expect(Exit::Refused);
}

#[tokio::test]
async fn two_incidents_share_a_guardrail_and_the_last_of_them_takes_it_away() {
    let practice = Practice::new();
    let first = contained(&practice, "test-user").await;
    let second = contained(&practice, "bob@example.com").await;
    guarded_for(&practice, &first).await;
    guarded_for(&practice, &second).await;
    // Typed twice is typed once.
    guarded_for(&practice, &second).await;
    practice
        .quell(REMOVE)
        .await
        .expect(Exit::Refused)
        .says(&format!(
            "`quell release {}`",
            first.clone().min(second.clone())
        ));
    assert_eq!(released(&practice, &first).await, "left");
    practice.quell(CHECK).await.expect(Exit::Done);
    // Another machine takes it away: the policy's tags say for whom it stands.
    let elsewhere = practice.on_another_machine();
    assert_eq!(released(&elsewhere, &second).await, "taken_away");
    practice.quell(CHECK).await.expect(Exit::Refused);
}

#[tokio::test]
async fn a_guardrail_that_stands_is_no_incidents_and_stays() {
    let practice = guarded().await;
    let incident = contained(&practice, "test-user").await;
    guarded_for(&practice, &incident).await;
    // Its jump account is still one.
    assert_eq!(
        makes_a_console_user(&practice, "222233334444", "role/Admin"),
        (200, 200)
    );
    assert_eq!(released(&practice, &incident).await, Value::Null);
    practice.quell(CHECK).await.expect(Exit::Done);
}

#[tokio::test]
async fn an_incidents_guardrail_that_somebody_attaches_for_good_stays() {
    let practice = Practice::new();
    let incident = contained(&practice, "test-user").await;
    guarded_for(&practice, &incident).await;
    practice
        .quell(&format!("{ATTACH} --yes"))
        .await
        .expect(Exit::Done)
        .says("its release will leave it");
    assert_eq!(released(&practice, &incident).await, "left");
    practice.quell(CHECK).await.expect(Exit::Done);
}

#[tokio::test]
async fn a_guardrail_without_a_jump_account_is_for_an_incident_that_there_is() {
    let practice = Practice::new();
    practice
        .quell("guardrail attach no-console-users --yes")
        .await
        .expect(Exit::Usage)
        .says("--incident <id>");
    practice
        .quell("guardrail attach no-console-users --incident q-7f3a9c --yes")
        .await
        .expect(Exit::Failed);
    practice.nothing_happened();
}

#[tokio::test]
async fn a_guardrail_that_stands_on_another_unit_is_not_mixed_up_with_an_incidents() {
    let practice = Practice::new();
    let units: Vec<String> = practice.range.with(|state| {
        state
            .units
            .keys()
            .take(2)
            .map(ToString::to_string)
            .collect()
    });
    let [here, elsewhere] = units.as_slice() else {
        panic!("there are units");
    };
    practice
        .quell(&format!("{ATTACH} --target {here} --yes"))
        .await
        .expect(Exit::Done);
    let incident = contained(&practice, "test-user").await;
    let attach = format!(
        "guardrail attach no-console-users --incident {incident} --target {elsewhere} --yes"
    );
    practice
        .quell(&attach)
        .await
        .expect(Exit::Refused)
        .says("stands already")
        .says(&format!("--jump-account <account> --target {elsewhere}"));
    assert_eq!(released(&practice, &incident).await, Value::Null);
    practice.quell(CHECK).await.expect(Exit::Done).says(here);
}

#[tokio::test]
async fn what_an_incident_left_that_somebody_deleted_by_hand_goes_with_its_release() {
    let practice = Practice::new();
    let incident = contained(&practice, "test-user").await;
    guarded_for(&practice, &incident).await;
    practice
        .quell(CHECK)
        .await
        .expect(Exit::Done)
        .says(&format!("It is there for {incident}"));
    practice.range.with(|state| {
        let mut all = state.policies.iter();
        let own = all.find(|(_, policy)| policy.name == format!("quell-{incident}"));
        let own = own.map(|(id, _)| id.clone()).unwrap();
        state.policies.remove(&own);
        for attached in state.attachments.values_mut() {
            attached.retain(|id| *id != own);
        }
    });
    // Another machine has never heard of it.
    practice
        .on_another_machine()
        .quell(&format!("release {incident} --yes"))
        .await
        .expect(Exit::Done);
    practice.quell(CHECK).await.expect(Exit::Refused);
}

#[tokio::test]
async fn an_incident_leaves_a_guardrail_alone_that_somebody_has_changed() {
    let practice = guarded().await;
    let changed = practice.range.with(|state| {
        let mut all = state.policies.values_mut();
        let policy = all.find(|policy| policy.name == POLICY).unwrap();
        policy.content = policy
            .content
            .replace("iam:CreateLoginProfile", "iam:Create*Profile");
        policy.content.clone()
    });
    let incident = contained(&practice, "test-user").await;
    practice
        .quell(&format!(
            "guardrail attach no-console-users --incident {incident} --yes"
        ))
        .await
        .expect(Exit::Refused)
        .says("somebody has changed its document");
    let there = practice.range.with(|state| {
        let mut all = state.policies.values();
        let policy = all.find(|policy| policy.name == POLICY).unwrap();
        policy.content.clone()
    });
    assert_eq!(there, changed);
}

#[tokio::test]
async fn an_incident_on_a_unit_has_its_guardrail_there() {
    let practice = Practice::new();
    let unit = practice
        .range
        .with(|state| state.units.keys().next().unwrap().to_string());
    let ran = practice
        .quell(&format!(
            "contain test-user --target {unit} --yes --output json"
        ))
        .await;
    let incident = text(&ran.json(), "incident");
    practice
        .quell(&format!(
            "guardrail attach no-console-users --incident {incident} --dry-run"
        ))
        .await
        .expect(Exit::Done)
        .says(&format!("Attach it to {unit}"));
}

#[tokio::test]
async fn a_release_that_stops_leaves_the_guardrail() {
    let practice = Practice::new();
    let incident = contained(&practice, "test-user").await;
    guarded_for(&practice, &incident).await;
    practice
        .quell(&format!("release {incident} --yes"))
        .await
        .expect(Exit::Refused);
    practice.quell(CHECK).await.expect(Exit::Done);
}
