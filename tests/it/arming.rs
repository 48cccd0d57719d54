//! An organization that was armed: one call, many incidents in one policy, and what happens when several are at it.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use quell::cli::exit::Exit;
use quell::facts::ArmedPolicy;
use quell::ids::*;
use quell::incident::armed::Ledger;
use quell::range::gate::arn_of;
use quell::range::state::Wrong;

use crate::practice::Practice;

/// The armed policy as it stands in the range.
pub(crate) fn armed(practice: &Practice) -> Option<ArmedPolicy> {
    practice.range.with(|state| {
        let found = state.policies.iter().find(|(_, p)| p.name == ARMED_POLICY);
        let (id, policy) = found?;
        let attached = state.attachments.iter().filter(|(_, all)| all.contains(id));
        Some(ArmedPolicy {
            summary: quell::facts::PolicySummary {
                id: id.clone(),
                arn: PolicyArn::parse(arn_of(state, id.as_str())).unwrap(),
                name: policy.name.clone(),
                description: policy.description.clone(),
            },
            tags: policy.tags.clone(),
            content: policy.content.clone(),
            targets: attached.map(|(target, _)| target.clone()).collect(),
        })
    })
}

/// Whether each of these names' sessions, where there are any, is refused in a member account; `None` when they differ.
pub(crate) fn is_refused(practice: &Practice, name: &str) -> Option<bool> {
    let ending = format!(":{name}");
    let keys: Vec<String> = practice.range.with(|state| {
        let own = state.sessions.iter().filter(|(_, session)| {
            session.user_id.ends_with(&ending)
                && session.policy.is_none()
                && session.account != state.management
        });
        own.map(|(key, _)| key.clone()).collect()
    });
    assert!(!keys.is_empty(), "{name} has no session");
    let refused = |key: &String| practice.call_as(key) == 403;
    let all: Vec<bool> = keys.iter().map(refused).collect();
    all.iter().all(|one| *one == all[0]).then_some(all[0])
}

async fn armed_practice() -> Practice {
    let practice = Practice::new();
    practice
        .quell("prepare arm --yes")
        .await
        .expect(Exit::Done)
        .says("denies nobody");
    practice
}

/// The calls after the moment of approval until AWS had accepted the deny.
async fn calls_until_accepted(practice: &Practice, line: &str) -> Vec<String> {
    let report = practice.quell(line).await.expect(Exit::Done).json();
    let incident = report["incident"].as_str().unwrap();
    let journal = practice.state_dir.join(format!("{incident}.jsonl"));
    let text = std::fs::read_to_string(journal).unwrap();
    let approved: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    let approved: Timestamp = approved["at"].as_str().unwrap().parse().unwrap();
    let accepted = approved + SignedDuration::from_millis(report["accepted_ms"].as_i64().unwrap());
    let between = |at: Timestamp| at > approved && at <= accepted;
    let calls = practice.calls().into_iter();
    calls
        .filter(|call| between(call.at))
        .map(|call| call.action)
        .collect()
}

#[tokio::test]
async fn from_approval_to_accepted_there_are_two_calls_or_one_when_armed() {
    const CONTAIN: &str = "contain test-user --yes --output json";
    assert_eq!(
        calls_until_accepted(&Practice::new(), CONTAIN).await,
        ["organizations:CreatePolicy", "organizations:AttachPolicy"]
    );
    assert_eq!(
        calls_until_accepted(&armed_practice().await, CONTAIN).await,
        ["organizations:UpdatePolicy"]
    );
}

#[tokio::test]
async fn an_armed_containment_refuses_the_stolen_sessions_and_nobody_elses() {
    let practice = armed_practice().await;
    let before = practice.mutations().len();
    assert_eq!(practice.refused_bystanders(), Vec::<String>::new());
    let report = practice
        .quell("contain test-user --yes --output json")
        .await
        .expect(Exit::Done)
        .json();
    assert_eq!(report["state"], "proven");
    assert_eq!(is_refused(&practice, "test-user"), Some(true));
    assert_eq!(practice.refused_bystanders(), Vec::<String>::new());
    assert_eq!(
        practice.mutations()[before..],
        [
            "organizations:UpdatePolicy",
            "organizations:TagResource",
            // The proof.
            "organizations:TagResource"
        ]
    );
    // There is one policy of quell's, and it is the armed one.
    assert_eq!(practice.ours().len(), 1);
    assert_eq!(armed(&practice).unwrap().targets[0].as_str(), "r-quel");
}

#[tokio::test]
async fn any_machine_lists_an_armed_incident_and_releases_it_when_it_is_due() {
    let practice = armed_practice().await;
    practice
        .quell("contain test-user --yes")
        .await
        .expect(Exit::Done);
    let incident = practice.incident().await;
    practice.evict(&incident).await;
    let elsewhere = practice.on_another_machine();
    elsewhere
        .quell("status")
        .await
        .expect(Exit::Done)
        .says("Armed: p-")
        .says("with one incident in it")
        .says("test-user")
        .says("the armed one")
        .says("ago, by arn:aws:iam::111122223333:user/responder")
        .says("not before");
    elsewhere
        .quell(&format!("release {incident} --yes"))
        .await
        .expect(Exit::Refused)
        .says("may still be alive");
    assert_eq!(is_refused(&practice, "test-user"), Some(true));
    practice.range.advance(SignedDuration::from_hours(13));
    elsewhere
        .quell("release --due --yes")
        .await
        .expect(Exit::Done)
        .says("its deny is taken out of p-")
        .says("is allowed again");
    let left = armed(&practice).unwrap();
    assert_eq!(left.content, quell::incident::armed::unwritten().minified());
    // For an hour one tag says that it was released, and nothing else does.
    let of_it: Vec<&String> = left
        .tags
        .keys()
        .filter(|key| key.contains(&incident))
        .collect();
    assert_eq!(of_it.len(), 1, "{of_it:?}");
    practice
        .quell("status")
        .await
        .expect(Exit::Done)
        .says("with nobody in it")
        .says("THIS MACHINE AND AWS DISAGREE");
    // Noted, and then there is nothing to say any more.
    practice
        .quell(&format!("release {incident} --yes"))
        .await
        .expect(Exit::Done)
        .says("was gone already");
    let status = practice.quell("status --output json").await.json();
    assert_eq!(status["disagreements"], serde_json::json!([]));
}

#[tokio::test]
async fn several_users_in_one_command_are_several_incidents_and_releasing_one_leaves_the_others() {
    for practice in [Practice::new(), armed_practice().await] {
        let report = practice
            .quell("contain test-user alice@example.com test-user --yes --output json")
            .await
            .expect(Exit::Done)
            .json();
        assert_eq!(report["schema"], "quell.contains/1");
        let contained = report["contained"].as_array().unwrap();
        let who: Vec<&str> = contained
            .iter()
            .map(|one| one["principal"].as_str().unwrap())
            .collect();
        assert_eq!(
            who,
            ["test-user", "alice@example.com"],
            "the same one twice is one"
        );
        assert!(contained.iter().all(|one| one["state"] == "proven"));
        for name in ["test-user", "alice@example.com"] {
            assert_eq!(is_refused(&practice, name), Some(true), "{name}");
        }
        let first = contained[0]["incident"].as_str().unwrap();
        practice
            .quell(&format!("release {first} --yes --force"))
            .await
            .expect(Exit::Done);
        assert_eq!(is_refused(&practice, "test-user"), Some(false));
        assert_eq!(is_refused(&practice, "alice@example.com"), Some(true));
    }
}

#[tokio::test]
async fn all_are_denied_before_any_is_proven() {
    let practice = armed_practice().await;
    let before = practice.calls().len();
    practice
        .quell("contain test-user alice@example.com --yes")
        .await
        .expect(Exit::Done);
    let calls: Vec<String> = practice.calls()[before..]
        .iter()
        .map(|call| call.action.clone())
        .collect();
    let updates = calls
        .iter()
        .rposition(|action| action == "organizations:UpdatePolicy");
    let canaries = calls.iter().position(|action| action == "sts:AssumeRole");
    assert!(updates < canaries, "{calls:?}");
}

#[tokio::test]
async fn a_second_user_for_whom_there_is_no_place_keeps_the_first_back_too() {
    let practice = Practice::new();
    practice.fill_places(9);
    practice
        .quell("contain test-user alice@example.com --yes")
        .await
        .expect(Exit::Refused)
        .says("10 service control policies are attached");
    practice.nothing_happened();
    practice
        .quell("contain test-user --yes")
        .await
        .expect(Exit::Done);
    // Armed beforehand, it does not take a place at all.
    let practice = armed_practice().await;
    practice.fill_places(10);
    practice
        .quell("contain test-user alice@example.com --yes")
        .await
        .expect(Exit::Done);
}

#[tokio::test]
async fn arming_and_disarming_twice_is_arming_and_disarming() {
    let practice = armed_practice().await;
    let policy = armed(&practice).unwrap();
    practice
        .quell("prepare arm --yes")
        .await
        .expect(Exit::Done)
        .says("Armed already");
    assert_eq!(armed(&practice), Some(policy));
    practice
        .quell("contain test-user --yes")
        .await
        .expect(Exit::Done);
    practice
        .quell("prepare disarm --yes")
        .await
        .expect(Exit::Refused)
        .says("incidents are in the armed policy");
    let incident = practice.incident().await;
    practice
        .quell(&format!("release {incident} --yes --force"))
        .await
        .expect(Exit::Done);
    practice
        .quell("prepare disarm --yes")
        .await
        .expect(Exit::Done)
        .says("Disarmed.");
    assert_eq!(practice.ours(), []);
    practice
        .quell("prepare disarm --yes")
        .await
        .expect(Exit::Done)
        .says("Disarmed already");
}

#[tokio::test]
async fn arming_asks_and_is_refused_where_no_policy_could_be_attached() {
    let practice = Practice::new();
    practice
        .quell("prepare arm")
        .await
        .expect(Exit::Refused)
        .says("there is no terminal to type the target's id on");
    practice.nothing_happened();
    practice.types("r-quelx");
    practice.quell("prepare arm").await.expect(Exit::Refused);
    practice.nothing_happened();
    practice.fill_places(10);
    practice
        .quell("prepare arm --yes")
        .await
        .expect(Exit::Refused)
        .says("AWS allows 10");
    practice.nothing_happened();
    practice.range.with(|state| state.scps_enabled = false);
    practice
        .quell("prepare arm --yes")
        .await
        .expect(Exit::Refused)
        .says("enable-policy-type");
    practice.nothing_happened();
}

#[tokio::test]
async fn cold_on_request_on_another_target_and_when_the_armed_policy_is_full() {
    let practice = armed_practice().await;
    practice
        .quell("plan test-user --cold")
        .await
        .expect(Exit::Done)
        .says("create the policy quell-q-");
    practice
        .quell("plan test-user --target 444455556666")
        .await
        .expect(Exit::Done)
        .says("create the policy quell-q-")
        .says("the armed policy is not attached to 444455556666");
    // AWS allows 50 tags; somebody has used them for their own.
    let tags: BTreeMap<String, String> = (0..48)
        .map(|i| (format!("cost-center-{i}"), "4711".to_owned()))
        .collect();
    practice.range.with(|state| {
        let policy = state.policies.values_mut().find(|p| p.name == ARMED_POLICY);
        policy.unwrap().tags.extend(tags);
    });
    let report = practice
        .quell("contain test-user --yes --output json")
        .await
        .expect(Exit::Done)
        .says("the armed policy has no room: its tags do not fit")
        .json();
    assert_eq!(report["state"], "proven");
    assert_eq!(practice.ours().len(), 2);
}

#[tokio::test]
async fn a_deny_that_somebody_overwrote_is_seen_and_put_back() {
    let practice = armed_practice().await;
    practice
        .quell("contain test-user --yes")
        .await
        .expect(Exit::Done);
    let incident = practice.incident().await;
    let id = armed(&practice).unwrap().summary.id;
    let unwritten = quell::incident::armed::unwritten();
    practice.range.with(|state| {
        let policy = state.policies.get_mut(&id).unwrap();
        policy.content = unwritten.minified();
        policy.document = std::sync::Arc::new(unwritten);
        state.policies_changed();
    });
    practice.range.advance(SignedDuration::from_mins(1));
    assert_eq!(is_refused(&practice, "test-user"), Some(false));
    // Looking whether it holds does not make it hold.
    practice
        .quell(&format!("verify {incident} --verify-timeout 10s"))
        .await
        .expect(Exit::GettingThrough)
        .says(&format!("`quell contain --resume {incident}` puts it back"));
    practice
        .quell("status")
        .await
        .expect(Exit::Done)
        .says("NOT what its tags say")
        .says(&format!("`quell contain --resume {incident}` puts it back"));
    practice
        .quell(&format!("contain --resume {incident} --yes"))
        .await
        .expect(Exit::Done);
    assert_eq!(is_refused(&practice, "test-user"), Some(true));
    assert_eq!(practice.incident().await, incident);
}

#[tokio::test]
async fn whoever_wrote_the_document_and_died_is_taken_up_with_what_the_document_says() {
    let practice = armed_practice().await;
    // Everything that names it is lost but the statements.
    practice
        .quell("contain test-user --yes")
        .await
        .expect(Exit::Done);
    let incident = practice.incident().await;
    practice.range.with(|state| {
        let policy = state.policies.values_mut().find(|p| p.name == ARMED_POLICY);
        policy.unwrap().tags.retain(|key, _| !key.contains("q-"));
    });
    let elsewhere = practice.on_another_machine();
    elsewhere
        .quell("status")
        .await
        .expect(Exit::Done)
        .says("has no tags of it");
    let report = elsewhere
        .quell("contain test-user --yes --output json")
        .await
        .expect(Exit::Done)
        .json();
    assert_eq!(report["incident"], *incident, "taken up, not doubled");
    let policy = armed(&practice).unwrap();
    let ledger = Ledger::read(&policy).unwrap();
    let entries: Vec<_> = ledger.entries().collect();
    assert_eq!(entries.len(), 1);
    assert!(entries[0].tagged && ledger.agrees());
    assert!(entries[0].incident.proven.is_some());
}

#[tokio::test]
async fn what_somebody_else_wrote_into_the_armed_policy_stays_in_it() {
    let practice = armed_practice().await;
    let theirs = r#"{"Version":"2012-10-17","Statement":[{"Sid":"TheirOwn","Effect":"Deny","Action":"s3:DeleteBucket","Resource":"*"}]}"#;
    practice.range.with(|state| {
        let policy = state
            .policies
            .values_mut()
            .find(|p| p.name == ARMED_POLICY)
            .unwrap();
        policy.content = theirs.to_owned();
        policy.document =
            std::sync::Arc::new(quell::policy::document::Document::parse(theirs).unwrap());
        state.policies_changed();
    });
    practice
        .quell("contain test-user --yes")
        .await
        .expect(Exit::Done);
    assert!(armed(&practice).unwrap().content.contains("TheirOwn"));
    let incident = practice.incident().await;
    practice
        .quell(&format!("release {incident} --yes --force"))
        .await
        .expect(Exit::Done);
    assert!(armed(&practice).unwrap().content.contains("TheirOwn"));
    practice
        .quell("prepare disarm --yes")
        .await
        .expect(Exit::Refused)
        .says("statements that quell did not write");
}

#[tokio::test]
async fn an_armed_policy_that_cannot_be_read_leaves_nobody_in() {
    let practice = armed_practice().await;
    practice.goes_wrong(
        "organizations:DescribePolicy",
        9_999,
        Wrong::Error {
            status: 400,
            code: "AccessDeniedException".to_owned(),
        },
    );
    practice
        .quell("contain test-user --yes")
        .await
        .expect(Exit::Done)
        .says("the armed policy cannot be read");
    assert_eq!(is_refused(&practice, "test-user"), Some(true));
}

#[tokio::test]
async fn what_others_wrote_while_the_operator_was_typing_is_carried_over() {
    let practice = armed_practice().await;
    practice.types("test-user");
    practice.meanwhile(|other| {
        Box::pin(async move {
            // In a moment: the survey is as fresh as surveys are.
            let line = "contain alice@example.com --yes --verify-timeout 1s";
            other.quell(line).await.expect(Exit::GettingThrough);
        })
    });
    let before = practice.calls().len();
    practice.quell("contain test-user").await.expect(Exit::Done);
    for name in ["test-user", "alice@example.com"] {
        assert_eq!(is_refused(&practice, name), Some(true), "{name}");
    }
    // Not even for a moment was the other one let in: no document was written that had to be put right.
    let updates = practice.calls()[before..]
        .iter()
        .filter(|call| call.action == "organizations:UpdatePolicy")
        .count();
    assert_eq!(updates, 2, "one each");
}

#[tokio::test]
async fn somebody_who_contained_the_same_user_while_the_operator_was_typing_is_said() {
    for practice in [Practice::new(), armed_practice().await] {
        practice.types("test-user");
        practice.meanwhile(|other| {
            Box::pin(async move {
                other.range.advance(SignedDuration::from_mins(1));
                other
                    .quell("contain test-user --yes")
                    .await
                    .expect(Exit::Done);
            })
        });
        practice
            .quell("contain test-user")
            .await
            .expect(Exit::Refused)
            .says("somebody has contained the same user meanwhile: incident q-")
            .says("Nothing was changed.");
        practice
            .quell("contain test-user --yes")
            .await
            .expect(Exit::Done);
        assert_eq!(
            practice.quell("status --output json").await.json()["incidents"]
                .as_array()
                .unwrap()
                .len(),
            1
        );
    }
}

#[tokio::test]
async fn an_approval_that_came_too_late_and_a_place_that_was_taken_are_refused_with_the_reason() {
    let practice = Practice::new();
    practice.types("test-user");
    practice.meanwhile(|other| {
        Box::pin(async move {
            other.range.advance(SignedDuration::from_mins(16));
        })
    });
    practice
        .quell("contain test-user")
        .await
        .expect(Exit::Refused)
        .says("the approval is older than 15m");
    practice.types("test-user");
    practice.meanwhile(|other| {
        Box::pin(async move {
            other.range.advance(SignedDuration::from_mins(1));
            other.fill_places(10);
        })
    });
    practice
        .quell("contain test-user")
        .await
        .expect(Exit::Refused)
        .says("the last place on r-quel was taken meanwhile");
    practice.nothing_happened();
    let practice = armed_practice().await;
    let before = practice.mutations();
    practice.types("test-user");
    practice.meanwhile(|other| {
        Box::pin(async move {
            other.quell("prepare disarm --yes").await.expect(Exit::Done);
        })
    });
    practice
        .quell("contain test-user")
        .await
        .expect(Exit::Refused)
        .says("the policy quell-armed was taken away or changed meanwhile");
    assert_eq!(
        practice.mutations().len(),
        before.len() + 2,
        "the disarming's own"
    );
}

#[tokio::test]
async fn every_user_is_approved_before_the_first_is_denied_anything() {
    let practice = Practice::new();
    practice.types("test-user");
    practice
        .quell("contain test-user alice@example.com")
        .await
        .expect(Exit::Refused)
        .says("what was typed is not the username");
    practice.nothing_happened();
}

#[tokio::test]
async fn of_two_incidents_of_one_person_each_is_proven_and_releasing_one_says_who_still_denies() {
    let practice = Practice::new();
    practice
        .quell("contain test-user --yes")
        .await
        .expect(Exit::Done);
    let first = practice.incident().await;
    // AWS names one policy of the two that refuse, and here it is the other one's.
    let report = practice
        .quell("contain test-user --target 444455556666 --yes --output json")
        .await
        .json();
    assert_eq!(report["state"], "proven", "{report}");
    let second = report["incident"].as_str().unwrap();
    assert_ne!(second, first);
    practice
        .quell(&format!(
            "release {second} --yes --force --verify-timeout 10s"
        ))
        .await
        .expect(Exit::NotProven)
        .says(&format!("STILL DENIED by {first}"));
    assert_eq!(is_refused(&practice, "test-user"), Some(true));
}

#[tokio::test]
async fn an_armed_policy_that_somebody_used_while_it_was_to_be_taken_away_stays() {
    let practice = armed_practice().await;
    practice.types("quell-armed");
    practice.meanwhile(|other| {
        Box::pin(async move {
            other
                .quell("contain test-user --yes")
                .await
                .expect(Exit::Done);
        })
    });
    practice
        .quell("prepare disarm")
        .await
        .expect(Exit::Failed)
        .says("was used meanwhile")
        .says("Nothing was changed.");
    practice.range.advance(SignedDuration::from_mins(1));
    assert_eq!(is_refused(&practice, "test-user"), Some(true));
    assert_eq!(armed(&practice).unwrap().targets.len(), 1);
}

/// Replaces the armed policy's document, as anybody with the right can.
fn overwritten(practice: &Practice, document: &str) {
    let document = quell::policy::document::Document::parse(document).unwrap();
    practice.range.with(|state| {
        let policy = state
            .policies
            .values_mut()
            .find(|policy| policy.name == ARMED_POLICY)
            .unwrap();
        policy.content = document.minified();
        policy.document = std::sync::Arc::new(document);
        state.policies_changed();
    });
    practice.range.advance(SignedDuration::from_mins(1));
}

#[tokio::test]
async fn a_deny_that_somebody_has_edited_keeps_its_gate() {
    let practice = armed_practice().await;
    practice
        .quell("contain test-user --yes")
        .await
        .expect(Exit::Done);
    let incident = practice.incident().await;
    practice.evict(&incident).await;
    // The same statements, and somebody's note in one of them.
    let edited = armed(&practice)
        .unwrap()
        .content
        .replace("UserId\"", "UserIdEdited\"");
    overwritten(&practice, &edited);
    for document in [
        edited.as_str(),
        &quell::incident::armed::unwritten().minified(),
    ] {
        overwritten(&practice, document);
        practice
            .quell(&format!("release {incident} --yes"))
            .await
            .expect(Exit::Refused)
            .says("may still be alive");
    }
}

#[tokio::test]
async fn what_was_released_while_the_operator_was_typing_is_not_taken_for_denied() {
    let practice = armed_practice().await;
    practice
        .quell("contain test-user --yes")
        .await
        .expect(Exit::Done);
    let incident = practice.incident().await;
    practice.types("test-user");
    practice.meanwhile(move |other| {
        Box::pin(async move {
            let line = format!("release {incident} --yes --force --verify-timeout 1s");
            other.quell(&line).await;
        })
    });
    practice
        .quell("contain test-user")
        .await
        .expect(Exit::Refused)
        .says("the incident was released meanwhile");
    practice
        .quell("contain test-user --yes")
        .await
        .expect(Exit::Done);
    assert_eq!(is_refused(&practice, "test-user"), Some(true));
}

#[tokio::test]
async fn what_is_in_a_policy_that_cannot_be_read_is_not_called_gone() {
    let practice = armed_practice().await;
    practice
        .quell("contain test-user --yes")
        .await
        .expect(Exit::Done);
    let incident = practice.incident().await;
    practice.goes_wrong(
        "organizations:DescribePolicy",
        9_999,
        Wrong::Error {
            status: 400,
            code: "AccessDeniedException".to_owned(),
        },
    );
    practice
        .quell(&format!("release {incident} --yes"))
        .await
        .expect(Exit::Failed)
        .says("the armed policy cannot be read");
    practice
        .quell("release --due --yes")
        .await
        .expect(Exit::Partly)
        .says("what is in it is not known");
    let status = practice.quell("status --output json").await.json();
    assert_eq!(status["disagreements"], serde_json::json!([]));
}

#[tokio::test]
async fn whoever_was_let_in_for_a_while_waits_anew() {
    let practice = armed_practice().await;
    practice
        .quell("contain test-user --yes")
        .await
        .expect(Exit::Done);
    let proven = practice.quell("status --output json").await.json();
    assert_ne!(proven["incidents"][0]["proven"], serde_json::Value::Null);
    overwritten(&practice, &quell::incident::armed::unwritten().minified());
    // Somebody else's containment puts it back, and what was proven of it before is proven no more.
    practice
        .on_another_machine()
        .quell("contain alice@example.com --yes")
        .await
        .expect(Exit::Done);
    assert_eq!(is_refused(&practice, "test-user"), Some(true));
    let status = practice.quell("status --output json").await.json();
    let incidents = status["incidents"].as_array().unwrap();
    let of = |name: &str| {
        let found = incidents.iter().find(|one| one["principal"] == name);
        found.unwrap()["proven"].clone()
    };
    assert_eq!(of("test-user"), serde_json::Value::Null);
    assert_ne!(of("alice@example.com"), serde_json::Value::Null);
}

#[tokio::test]
async fn a_policy_of_its_own_on_request_also_for_whom_the_armed_one_denies() {
    let practice = armed_practice().await;
    practice
        .quell("contain test-user --yes")
        .await
        .expect(Exit::Done);
    practice
        .quell("contain test-user --yes --cold")
        .await
        .expect(Exit::Done)
        .says("The same user is denied by q-");
    assert_eq!(practice.ours().len(), 2);
}

#[tokio::test]
async fn what_nobody_has_seen_is_not_attached_in_the_name_of_arming() {
    let practice = armed_practice().await;
    overwritten(
        &practice,
        r#"{"Version":"2012-10-17","Statement":[{"Sid":"Everything","Effect":"Deny","Action":"*","Resource":"*"}]}"#,
    );
    practice.range.with(|state| {
        let root = state.root.clone();
        let attached = state.attachments.get_mut(&root).unwrap();
        attached.retain(|id| id.as_str() == "p-FullAWSAccess");
        state.policies_changed();
    });
    practice
        .quell("prepare arm --yes")
        .await
        .expect(Exit::Refused)
        .says("statements that quell did not write");
    assert_eq!(armed(&practice).unwrap().targets, []);
}
