//! This machine's record of an incident: what it is good for, and what it is never in the way of.

use std::path::PathBuf;

use jiff::SignedDuration;
use quell::cli::exit::Exit;
use serde_json::Value;

use crate::practice::{Moment, Practice};

fn journal_of(practice: &Practice, incident: &str) -> PathBuf {
    practice.state_dir.join(format!("{incident}.jsonl"))
}

async fn contained() -> (Practice, String) {
    let practice = Practice::new();
    practice
        .quell("contain test-user --yes")
        .await
        .expect(Exit::Done);
    let incident = practice.incident().await;
    (practice, incident)
}

async fn disagreements(practice: &Practice) -> Vec<Value> {
    let status = practice
        .quell("status --output json")
        .await
        .expect(Exit::Done)
        .json();
    status["disagreements"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_journal_of_a_newer_quell_is_left_as_it_is_and_keeps_nobody_in() {
    let (practice, incident) = contained().await;
    let path = journal_of(&practice, &incident);
    let newer = "{\"format\":99,\"whatever\":\"comes\",\"sealed\":\"otherwise\"}\n";
    std::fs::write(&path, newer).unwrap();
    practice
        .quell("status")
        .await
        .expect(Exit::Done)
        .says("has format 99, and this quell reads 3");
    practice.evict(&incident).await;
    practice.range.advance(SignedDuration::from_hours(13));
    practice
        .quell(&format!("release {incident} --yes"))
        .await
        .expect(Exit::Done)
        .says("It is left as it is");
    assert_eq!(practice.ours(), []);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), newer);
    let beside = practice
        .state_dir
        .join(format!("{incident}.format-3.jsonl"));
    practice
        .quell(&format!("journal verify {}", beside.display()))
        .await
        .expect(Exit::Done)
        .says("each as it was written");
}

#[tokio::test]
async fn what_aws_and_this_machine_agree_on_is_not_talked_about() {
    let (practice, incident) = contained().await;
    assert_eq!(disagreements(&practice).await, Vec::<Value>::new());
    practice
        .quell(&format!("release {incident} --yes --force"))
        .await
        .expect(Exit::Done);
    assert_eq!(disagreements(&practice).await, Vec::<Value>::new());
}

#[tokio::test]
async fn where_aws_and_this_machine_disagree_it_is_said_with_what_to_do() {
    // Somebody released it elsewhere, or took it away.
    let (practice, incident) = contained().await;
    practice
        .on_another_machine()
        .quell(&format!("release {incident} --yes --force"))
        .await
        .expect(Exit::Done);
    practice
        .quell("status")
        .await
        .expect(Exit::Done)
        .says("AWS has no trace of it any more")
        .says("THIS MACHINE AND AWS DISAGREE");
    practice
        .quell(&format!("status {incident}"))
        .await
        .expect(Exit::Done)
        .says("AWS has no trace of it any more");

    // Somebody detached it.
    let (practice, incident) = contained().await;
    practice.range.with(|state| {
        let root = state.root.clone();
        let attached = state.attachments.get_mut(&root).unwrap();
        attached.retain(|id| id.as_str() == "p-FullAWSAccess");
        state.policies_changed();
    });
    practice
        .quell("status")
        .await
        .expect(Exit::Done)
        .says("NOT ATTACHED")
        .says("somebody has detached it")
        .says(&format!(
            "`quell contain --resume {incident}` attaches it again"
        ));
    practice
        .quell(&format!("contain --resume {incident} --yes"))
        .await
        .expect(Exit::Done);
    assert_eq!(disagreements(&practice).await, Vec::<Value>::new());

    // It was begun here, and never came to AWS.
    let practice = Practice::new();
    let died = practice
        .quell_until_death(
            "contain test-user --yes",
            call_of("organizations:CreatePolicy").await,
            Moment::BeforeTheCall,
        )
        .await;
    assert!(died.is_none());
    practice
        .quell("status")
        .await
        .expect(Exit::Done)
        .says("It was approved on this machine, and AWS does not have it")
        .says("`quell contain --resume q-");

    // The proof was lost.
    let (practice, incident) = contained().await;
    practice.range.with(|state| {
        let own = state
            .policies
            .values_mut()
            .find(|policy| policy.name.ends_with(&incident));
        own.unwrap()
            .tags
            .insert("quell:proven".to_owned(), String::new());
    });
    practice
        .quell("status")
        .await
        .expect(Exit::Done)
        .says(&format!("`quell verify {incident}` proves it again"));
}

/// The number of the first call of this action in a containment.
async fn call_of(action: &str) -> usize {
    let practice = Practice::new();
    practice
        .quell("contain test-user --yes")
        .await
        .expect(Exit::Done);
    let calls = practice.calls();
    calls.iter().position(|call| call.action == action).unwrap() + 1
}

#[tokio::test]
async fn an_incident_of_another_organization_is_not_missed_in_this_one() {
    let (elsewhere, incident) = contained().await;
    let practice = Practice::with(|blueprint| blueprint.seed = 8);
    practice.range.with(|state| {
        state.organization = quell::ids::OrganizationId::parse("o-anotherone").unwrap();
    });
    std::fs::create_dir_all(&practice.state_dir).unwrap();
    std::fs::copy(
        journal_of(&elsewhere, &incident),
        journal_of(&practice, &incident),
    )
    .unwrap();
    assert_eq!(disagreements(&practice).await, Vec::<Value>::new());
    // And it is not called gone because this organization never had it.
    practice
        .quell(&format!("release {incident} --yes"))
        .await
        .expect(Exit::Failed)
        .says("the organization has no incident");
}

#[tokio::test]
async fn the_id_of_what_was_begun_is_taken_up_so_that_a_late_call_doubles_nothing() {
    let practice = Practice::new();
    let died = practice
        .quell_until_death(
            "contain test-user --yes",
            call_of("organizations:CreatePolicy").await,
            Moment::BeforeTheCall,
        )
        .await;
    assert!(died.is_none());
    let journal = std::fs::read_dir(&practice.state_dir)
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    let begun = journal.file_name().to_str().unwrap().replace(".jsonl", "");
    practice.range.advance(SignedDuration::from_mins(3));
    let report = practice
        .quell("contain test-user --yes --output json")
        .await
        .expect(Exit::Done)
        .json();
    assert_eq!(report["incident"], *begun);
}

#[tokio::test]
async fn what_cannot_be_resumed_is_said_with_what_to_do() {
    let practice = Practice::new();
    practice
        .quell("contain --resume --yes")
        .await
        .expect(Exit::Failed)
        .says("no incident was interrupted");
    practice
        .quell("contain --resume q-123456 --yes")
        .await
        .expect(Exit::Failed)
        .says("has an incident q-123456 that could go on");
    practice
        .quell("contain --resume q-12345x --yes")
        .await
        .expect(Exit::Usage);
    practice
        .quell("contain test-user --resume --yes")
        .await
        .expect(Exit::Usage);
    practice.nothing_happened();
    // Two were interrupted: which?
    for (user, state) in [("test-user", "one"), ("alice@example.com", "two")] {
        let call = call_of("organizations:AttachPolicy").await;
        let died = practice
            .quell_until_death(
                &format!("contain {user} --yes"),
                call,
                Moment::BeforeTheCall,
            )
            .await;
        assert!(died.is_none(), "{state}: {died:?}");
    }
    let ran = practice
        .quell("contain --resume --yes")
        .await
        .expect(Exit::Usage)
        .says("several incidents were interrupted: q-");
    let ids: Vec<&str> = ran
        .err
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '-')
        .filter(|word| word.starts_with("q-"))
        .collect();
    assert_eq!(ids.len(), 2, "{ids:?}");
    for id in ids {
        // On any machine: the policy says whom it denies.
        practice
            .on_another_machine()
            .quell(&format!("contain --resume {id} --yes"))
            .await
            .expect(Exit::Done)
            .says(id);
    }
    assert_eq!(practice.ours().len(), 2);
}

#[tokio::test]
async fn a_plan_to_resume_changes_nothing() {
    let practice = Practice::new();
    let call = call_of("organizations:AttachPolicy").await;
    let died = practice
        .quell_until_death("contain test-user --yes", call, Moment::BeforeTheCall)
        .await;
    assert!(died.is_none());
    let before = practice.mutations();
    practice
        .quell("plan --resume")
        .await
        .expect(Exit::Done)
        .says("(already so)")
        .says("attach it to r-quel; a release will detach it");
    assert_eq!(practice.mutations(), before);
}

#[tokio::test]
async fn what_was_to_be_denied_in_a_part_of_the_organization_is_resumed_there() {
    const ONE: &str = "contain test-user --target 444455556666 --yes";
    let call = |practice: &Practice| {
        let calls = practice.calls();
        let attach = |call: &quell::range::Call| call.action == "organizations:AttachPolicy";
        calls.iter().position(attach).unwrap() + 1
    };
    let whole = Practice::new();
    whole.quell(ONE).await;
    let practice = Practice::new();
    let died = practice
        .quell_until_death(ONE, call(&whole), Moment::BeforeTheCall)
        .await;
    assert!(died.is_none());
    for machine in [practice.on_another_machine(), practice.on_another_machine()] {
        machine.quell("contain --resume --yes").await;
        let ours = practice.ours();
        assert_eq!(ours.len(), 1, "{ours:?}");
        assert_eq!(ours[0].1[0].as_str(), "444455556666");
    }
}
