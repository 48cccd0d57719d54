//! Letting the person back in.

use jiff::SignedDuration;
use quell::cli::exit::Exit;
use serde_json::json;

use crate::practice::Practice;

#[tokio::test]
async fn not_before_the_longest_session_is_over_and_then_from_any_machine() {
    let here = Practice::new();
    here.quell("contain test-user --yes")
        .await
        .expect(Exit::Done);
    let incident = here.incident().await;
    here.evict(&incident).await;
    here.quell(&format!("release {incident} --yes"))
        .await
        .expect(Exit::Refused)
        .says("may still be alive until")
        .says("Nothing was changed.");
    // PowerUserAccess gives 12 hours, and the playbook half an hour of margin.
    here.range.advance(SignedDuration::from_hours(12));
    here.quell(&format!("release {incident} --yes"))
        .await
        .expect(Exit::Refused);
    here.range.advance(SignedDuration::from_mins(31));

    // Another machine: it has nothing but the organization.
    std::fs::remove_dir_all(&here.state_dir).unwrap();
    let status = here
        .quell(&format!("status {incident} --output json"))
        .await
        .expect(Exit::Done)
        .json();
    assert_eq!(
        (
            &status["incidents"][0]["due"],
            &status["incidents"][0]["principal"]
        ),
        (&json!(true), &json!("test-user"))
    );
    let report = here
        .quell(&format!("release {incident} --yes --output json"))
        .await
        .expect(Exit::Done)
        .json();
    assert_eq!(report["released"][0]["allowed_again"], true);
    assert_eq!(
        report["released"][0]["accounts"].as_array().unwrap().len(),
        12
    );
    assert_eq!(here.ours(), vec![]);
    here.quell("status")
        .await
        .expect(Exit::Done)
        .says("No incident");
}

#[tokio::test]
async fn the_incidents_id_is_typed_before_a_deny_goes() {
    let practice = Practice::new();
    practice
        .quell("contain test-user --yes")
        .await
        .expect(Exit::Done);
    let incident = practice.incident().await;
    practice.evict(&incident).await;
    practice.range.advance(SignedDuration::from_hours(13));
    practice
        .quell(&format!("release {incident}"))
        .await
        .expect(Exit::Refused)
        .says("no terminal");
    practice.types("yes");
    practice
        .quell(&format!("release {incident}"))
        .await
        .expect(Exit::Refused)
        .says("not the incident's id");
    assert_eq!(practice.ours().len(), 1);
    practice.types(&incident);
    practice
        .quell(&format!("release {incident}"))
        .await
        .expect(Exit::Done);
    assert_eq!(practice.ours(), vec![]);
}

#[tokio::test]
async fn due_releases_what_is_due_and_nothing_else() {
    let practice = Practice::new();
    practice
        .quell("release --due --yes")
        .await
        .expect(Exit::Done)
        .says("Nothing is due");
    practice
        .quell("contain test-user --yes")
        .await
        .expect(Exit::Done);
    let first = practice.incident().await;
    practice.evict(&first).await;
    practice.range.advance(SignedDuration::from_hours(10));
    let later = practice
        .quell("contain frank+oncall@example.com --yes --output json")
        .await
        .expect(Exit::Done)
        .json();
    practice.evict(later["incident"].as_str().unwrap()).await;
    practice.range.advance(SignedDuration::from_hours(3));
    let report = practice
        .quell("release --due --yes --output json")
        .await
        .expect(Exit::Done)
        .json();
    assert_eq!(report["released"].as_array().unwrap().len(), 1);
    assert_eq!(report["released"][0]["principal"], "test-user");
    assert_eq!(
        practice.incident().await,
        later["incident"].as_str().unwrap()
    );
}

#[tokio::test]
async fn a_deny_that_was_never_proven_goes_by_force_only_and_that_is_recorded() {
    let practice = Practice::new();
    // The SCP takes effect after quell has lost patience.
    practice
        .quell("contain test-user --yes --verify-timeout 1s")
        .await
        .expect(Exit::GettingThrough);
    let incident = practice.incident().await;
    practice
        .quell(&format!("release {incident} --yes"))
        .await
        .expect(Exit::Refused)
        .says("never proven")
        .says("quell verify");
    practice
        .quell(&format!("release {incident} --yes --force"))
        .await
        .expect(Exit::Done)
        .says("FORCED past a closed gate");
    let journal =
        std::fs::read_to_string(practice.state_dir.join(format!("{incident}.jsonl"))).unwrap();
    assert!(
        journal.contains("\"forced_past\":\"the deny was never proven"),
        "{journal}"
    );
}

#[tokio::test]
async fn a_release_that_was_interrupted_goes_on() {
    use quell::range::state::Wrong;
    let practice = Practice::new();
    practice
        .quell("contain test-user --yes")
        .await
        .expect(Exit::Done);
    let incident = practice.incident().await;
    practice.evict(&incident).await;
    practice.range.advance(SignedDuration::from_hours(13));
    practice.goes_wrong(
        "organizations:DeletePolicy",
        1,
        Wrong::Error {
            status: 400,
            code: "AccessDeniedException".to_owned(),
        },
    );
    practice
        .quell(&format!("release {incident} --yes"))
        .await
        .expect(Exit::Partly)
        .says("was detached");
    practice
        .quell(&format!("release {incident} --yes"))
        .await
        .expect(Exit::Done);
    assert_eq!(practice.ours(), vec![]);
}

#[tokio::test]
async fn of_several_that_are_due_one_that_cannot_be_released_keeps_no_other_in() {
    let practice = Practice::new();
    let stuck = practice
        .quell("contain test-user --yes --output json")
        .await
        .json();
    let other = practice
        .quell("contain test-user2 --yes --output json")
        .await
        .expect(Exit::Done)
        .json();
    for incident in [&stuck, &other] {
        practice.evict(incident["incident"].as_str().unwrap()).await;
    }
    practice.range.advance(SignedDuration::from_hours(13));
    let journal = format!("{}.jsonl", stuck["incident"].as_str().unwrap());
    let held = std::fs::File::open(practice.state_dir.join(journal)).unwrap();
    held.try_lock().unwrap();
    let report = practice
        .quell("release --due --yes --output json")
        .await
        .expect(Exit::Partly)
        .json();
    assert_eq!(report["released"][0]["principal"], "test-user2");
    assert_eq!(report["failed"][0]["incident"], stuck["incident"]);
    assert_eq!(
        practice.incident().await,
        stuck["incident"].as_str().unwrap()
    );
}

#[tokio::test]
async fn a_policy_that_is_attached_to_nothing_keeps_nobody_out_and_may_go() {
    let practice = Practice::new();
    practice
        .quell("contain test-user --yes")
        .await
        .expect(Exit::Done);
    let incident = practice.incident().await;
    practice.range.with(|state| {
        let root = state.root.clone();
        state.attachments.get_mut(&root).unwrap().truncate(1);
        state.settle();
    });
    practice
        .quell(&format!("release {incident} --yes"))
        .await
        .expect(Exit::Done);
    assert_eq!(practice.ours(), vec![]);
}
