//! The network breaks, answers are lost, AWS is busy: the end is the same.

use jiff::SignedDuration;
use quell::cli::exit::Exit;
use quell::ids::PolicyId;
use quell::range::state::Wrong;

use crate::practice::Practice;

fn error(status: u16, code: &str) -> Wrong {
    Wrong::Error {
        status,
        code: code.to_owned(),
    }
}

#[tokio::test]
async fn whatever_passes_by_itself_is_outlived_and_nothing_is_doubled() {
    let mut cases = 0;
    for action in ["organizations:CreatePolicy", "organizations:AttachPolicy"] {
        for (times, wrong) in [
            (1, Wrong::LoseAnswer),
            (1, Wrong::LoseRequest),
            (1, Wrong::GarbleAnswer),
            // Every attempt of the SDK loses its answer; only reading back tells.
            (6, Wrong::LoseAnswer),
            (6, Wrong::GarbleAnswer),
            (6, Wrong::LoseRequest),
            (3, error(400, "TooManyRequestsException")),
            (3, error(400, "ConcurrentModificationException")),
            (2, error(500, "ServiceException")),
        ] {
            let practice = Practice::new();
            practice.goes_wrong(action, times, wrong.clone());
            let ran = practice
                .quell("contain test-user --yes --output json")
                .await;
            assert_eq!(
                ran.exit,
                Exit::Done,
                "{action}, {times} × {wrong:?}: {}",
                ran.err
            );
            let left = practice.range.with(|state| state.mishaps[0].times);
            assert!(left < times, "{action}: {wrong:?} never came to pass");
            let ours = practice.ours();
            assert_eq!(ours.len(), 1, "{action}, {times} × {wrong:?}");
            assert_eq!(ours[0].1.len(), 1, "{action}, {times} × {wrong:?}");
            assert_eq!(practice.call_as(&practice.built.hero_sessions[0].1), 403);
            cases += 1;
        }
    }
    assert_eq!(cases, 18);
}

#[tokio::test]
async fn a_refused_creation_changes_nothing() {
    let practice = Practice::new();
    practice.goes_wrong(
        "organizations:CreatePolicy",
        1,
        error(400, "AccessDeniedException"),
    );
    practice
        .quell("contain test-user --yes")
        .await
        .expect(Exit::Failed)
        .says("Nothing was changed.")
        .says("AccessDenied");
    assert_eq!(practice.ours(), vec![]);
}

#[tokio::test]
async fn a_refused_attachment_leaves_a_policy_and_says_so_and_the_same_command_goes_on() {
    let practice = Practice::new();
    practice.goes_wrong(
        "organizations:AttachPolicy",
        1,
        error(400, "AccessDeniedException"),
    );
    let ran = practice
        .quell("contain test-user --yes")
        .await
        .expect(Exit::Partly);
    let ran = ran
        .says("was created")
        .says("NOT done")
        .says("type the same command again");
    assert!(ran.err.contains("--force"), "{}", ran.err);
    assert_eq!(practice.ours()[0].1, vec![]);
    practice
        .quell("status")
        .await
        .expect(Exit::Done)
        .says("NOT ATTACHED");

    practice
        .quell("contain test-user --yes")
        .await
        .expect(Exit::Done);
    assert_eq!(practice.ours().len(), 1);
    assert_eq!(practice.ours()[0].1.len(), 1);
}

#[tokio::test]
async fn a_policy_that_was_created_and_not_attached_can_be_taken_away() {
    let practice = Practice::new();
    practice.goes_wrong(
        "organizations:AttachPolicy",
        1,
        error(400, "AccessDeniedException"),
    );
    practice
        .quell("contain test-user --yes")
        .await
        .expect(Exit::Partly);
    let incident = practice.incident().await;
    practice
        .quell(&format!("release {incident} --force --yes"))
        .await
        .expect(Exit::Done);
    assert_eq!(practice.ours(), vec![]);
}

#[tokio::test]
async fn when_nobody_can_tell_it_says_unknown_and_not_failed() {
    let practice = Practice::new();
    practice.goes_wrong("organizations:AttachPolicy", 99, Wrong::LoseAnswer);
    practice.goes_wrong("organizations:ListTargetsForPolicy", 99, Wrong::LoseRequest);
    practice
        .quell("contain test-user --yes")
        .await
        .expect(Exit::Partly)
        .says("UNKNOWN whether")
        .says("quell status");
}

#[tokio::test]
async fn a_proof_that_could_not_be_written_down_is_said_and_verifying_again_writes_it() {
    let practice = Practice::new();
    practice.goes_wrong(
        "organizations:TagResource",
        1,
        error(400, "AccessDeniedException"),
    );
    let ran = practice
        .quell("contain test-user --yes")
        .await
        .expect(Exit::Partly)
        .says("could not be written on the policy");
    assert!(
        ran.out.contains("refused everywhere we looked"),
        "{}",
        ran.out
    );
    let incident = practice.incident().await;
    practice
        .quell(&format!("release {incident} --yes"))
        .await
        .expect(Exit::Refused)
        .says("never proven");
    practice
        .quell(&format!("verify {incident}"))
        .await
        .expect(Exit::Done);
    practice.evict(&incident).await;
    practice
        .quell(&format!("release {incident} --yes"))
        .await
        .expect(Exit::Refused)
        .says("may still be alive until");
}

#[tokio::test]
async fn without_a_record_nothing_is_called() {
    let practice = Practice::new();
    // A file where the directory should be.
    std::fs::create_dir_all(practice.state_dir.parent().unwrap()).unwrap();
    std::fs::write(&practice.state_dir, "").unwrap();
    practice
        .quell("contain test-user --yes")
        .await
        .expect(Exit::Failed)
        .says("cannot record")
        .says("--state-dir");
    assert_eq!(practice.mutations(), Vec::<String>::new());
}

#[tokio::test]
async fn a_second_quell_on_the_same_incident_waits_outside() {
    let practice = Practice::new();
    practice
        .quell("contain test-user --yes")
        .await
        .expect(Exit::Done);
    let incident = practice.incident().await;
    let held = std::fs::File::open(practice.state_dir.join(format!("{incident}.jsonl"))).unwrap();
    held.try_lock().unwrap();
    practice
        .quell(&format!("verify {incident}"))
        .await
        .expect(Exit::Failed)
        .says("another quell is working on this incident");
}

#[tokio::test]
async fn done_with_its_answer_lost_and_then_throttled_is_done() {
    // The SDK tries again by itself and reports the last attempt alone.
    for action in ["organizations:CreatePolicy", "organizations:AttachPolicy"] {
        let practice = Practice::new();
        practice.goes_wrong(action, 1, Wrong::LoseAnswer);
        practice.goes_wrong(action, 99, error(400, "TooManyRequestsException"));
        practice
            .quell("contain test-user --yes")
            .await
            .expect(Exit::Done);
        assert_eq!(practice.ours()[0].1.len(), 1, "{action}");
    }
}

/// Incidents of others, each with a policy of its own that is attached to nothing.
fn many_incidents(practice: &Practice, many: usize) {
    practice.range.with(|state| {
        let policy = state.policies.values().next().unwrap().clone();
        for i in 0..many {
            let own = quell::range::state::Policy {
                name: format!("quell-q-{i:06x}"),
                tags: [("quell:session-name".to_owned(), format!("somebody-{i}"))].into(),
                aws_managed: false,
                ..policy.clone()
            };
            let id = PolicyId::parse(format!("p-somebodys{i}")).unwrap();
            state.policies.insert(id, own);
        }
        state.policies_changed();
    });
}

#[tokio::test]
async fn aws_never_has_to_say_that_we_ask_too_fast() {
    let practice = Practice::new();
    many_incidents(&practice, 60);
    practice.range.with(|state| state.throttles = true);
    for line in [
        "prepare arm --yes",
        "plan test-user",
        "contain test-user alice@example.com dave --yes",
        "status",
    ] {
        practice.range.advance(SignedDuration::from_mins(1));
        practice.quell(line).await.expect(Exit::Done);
    }
    let calls = practice.calls();
    let refused: Vec<&str> = calls
        .iter()
        .filter(|call| call.status == 400)
        .map(|call| call.action.as_str())
        .collect();
    assert_eq!(refused, Vec::<&str>::new(), "of {} calls", calls.len());
    assert!(calls.len() > 400, "{}", calls.len());
}
