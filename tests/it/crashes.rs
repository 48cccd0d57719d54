//! The process dies, at every call it makes, before it and after it, or a call goes wrong in every way there is; then the
//! same command is typed again.
//!
//! A journal's lines are written between the calls, so a death before a call is a death after its record, and a death
//! after the call one before its outcome is recorded.

use std::collections::BTreeSet;

use jiff::SignedDuration;
use quell::cli::exit::Exit;
use quell::range::state::Wrong;

use crate::practice::{Moment, Practice};

const MOMENTS: [Moment; 2] = [Moment::BeforeTheCall, Moment::AfterTheCall];

/// Every call around a change, and every tenth of the others: asking canaries again and again is one moment, not many.
fn worth_dying_at(actions: &[String]) -> Vec<usize> {
    let changes = |action: &String| action.starts_with("organizations:") && !reads(action);
    let near = |at: usize| {
        let from = at.saturating_sub(1);
        actions.iter().skip(from).take(3).any(changes)
    };
    (0..actions.len())
        .filter(|at| near(*at) || at % 10 == 0)
        .map(|at| at + 1)
        .collect()
}

fn reads(action: &str) -> bool {
    [":List", ":Describe", ":Get"]
        .iter()
        .any(|verb| action.contains(verb))
}

/// The actions that quell asks for in one run, without the practice organization's own.
async fn actions_of(practice: &Practice, line: &str) -> Vec<String> {
    let before = practice.calls().len();
    practice.quell(line).await.expect(Exit::Done);
    let calls = practice.calls();
    calls
        .into_iter()
        .skip(before)
        .map(|call| call.action)
        .collect()
}

#[tokio::test]
async fn a_containment_that_died_anywhere_is_finished_by_the_same_command() {
    const CONTAIN: &str = "contain test-user --yes --output json";
    let actions = actions_of(&Practice::new(), CONTAIN).await;
    let mut cases = 0;
    for call in worth_dying_at(&actions) {
        for moment in MOMENTS {
            let practice = Practice::new();
            let died = practice.quell_until_death(CONTAIN, call, moment).await;
            let told = format!("died {moment:?} {call}, {}", actions[call - 1]);
            assert!(died.is_none(), "{told}: {died:?}");
            let report = practice.quell(CONTAIN).await.expect(Exit::Done).json();
            assert_eq!(report["state"], "proven", "{told}");
            // One policy, on the root, and nothing beside it.
            let ours = practice.ours();
            assert_eq!(ours.len(), 1, "{told}: {ours:?}");
            assert_eq!(ours[0].1.len(), 1, "{told}: {ours:?}");
            assert_eq!(ours[0].1[0].as_str(), "r-quel", "{told}");
            let incident = practice.incident().await;
            assert_eq!(report["incident"], *incident, "{told}");
            practice
                .quell(&format!("journal verify {incident}"))
                .await
                .expect(Exit::Done);
            for (account, key, _) in &practice.built.hero_sessions {
                let managed = account.as_str() == "111122223333";
                assert_eq!(
                    practice.call_as(key),
                    if managed { 200 } else { 403 },
                    "{told}"
                );
            }
            assert_eq!(
                practice.refused_bystanders(),
                Vec::<String>::new(),
                "{told}"
            );
            cases += 1;
        }
    }
    println!(
        "a containment died in {cases} ways, of {} calls",
        actions.len()
    );
    assert!(cases > 30, "{cases}");
}

#[tokio::test]
async fn a_release_that_died_anywhere_is_finished_by_the_same_command() {
    const RELEASE: &str = "release --due --yes";
    let contained = async || {
        let practice = Practice::new();
        practice
            .quell("contain test-user --yes")
            .await
            .expect(Exit::Done);
        practice.range.advance(SignedDuration::from_hours(13));
        practice
    };
    let actions = actions_of(&contained().await, RELEASE).await;
    let mut cases = 0;
    for call in worth_dying_at(&actions) {
        for moment in MOMENTS {
            let practice = contained().await;
            let died = practice.quell_until_death(RELEASE, call, moment).await;
            let told = format!("died {moment:?} {call}, {}", actions[call - 1]);
            assert!(died.is_none(), "{told}: {died:?}");
            practice.quell(RELEASE).await.expect(Exit::Done);
            assert_eq!(practice.ours(), [], "{told}");
            cases += 1;
        }
    }
    println!("a release died in {cases} ways, of {} calls", actions.len());
    assert!(cases > 10, "{cases}");
}

/// What AWS and the network can do to a call, with the errors that AWS documents for Organizations' changes.
fn everything_that_goes_wrong() -> Vec<Wrong> {
    let error = |status, code: &str| Wrong::Error {
        status,
        code: code.to_owned(),
    };
    vec![
        Wrong::LoseRequest,
        Wrong::LoseAnswer,
        Wrong::GarbleAnswer,
        error(400, "ConcurrentModificationException"),
        error(400, "PolicyChangesInProgressException"),
        error(400, "TooManyRequestsException"),
        error(400, "AccessDeniedException"),
        error(400, "ConstraintViolationException"),
        error(500, "ServiceException"),
    ]
}

/// Whatever goes wrong with a call, once or as long as the first run lasts: the same command ends as if nothing had.
#[tokio::test]
async fn a_call_that_went_wrong_in_any_way_is_made_good_by_the_same_command() {
    const CONTAIN: &str = "contain test-user --yes --output json --verify-timeout 2m";
    let actions: BTreeSet<String> = actions_of(&Practice::new(), CONTAIN)
        .await
        .into_iter()
        .collect();
    let mut cases = 0;
    for action in actions {
        for wrong in everything_that_goes_wrong() {
            for times in [1, 9_999] {
                // A question changes nothing, so which error it met does not matter.
                let enough = matches!(wrong, Wrong::LoseRequest | Wrong::GarbleAnswer) && times > 1;
                if reads(&action) && !enough {
                    continue;
                }
                let practice = Practice::new();
                practice.goes_wrong(&action, times, wrong.clone());
                let first = practice.quell(CONTAIN).await;
                practice.range.with(|state| state.mishaps.clear());
                let told = format!("{action}, {wrong:?}, {times} times, then {:?}", first.exit);
                let report = practice.quell(CONTAIN).await.expect(Exit::Done).json();
                assert_eq!(report["state"], "proven", "{told}");
                let ours = practice.ours();
                assert!(ours.len() == 1 && ours[0].1.len() == 1, "{told}: {ours:?}");
                let incident = practice.incident().await;
                practice
                    .quell(&format!("journal verify {incident}"))
                    .await
                    .expect(Exit::Done);
                cases += 1;
            }
        }
    }
    println!("{cases} ways in which a call went wrong");
    assert!(cases > 50, "{cases}");
}
