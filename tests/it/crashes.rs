//! The process dies, at every call it makes, before it and after it, or a call goes wrong in every way there is; then the
//! same command is typed again.
//!
//! A journal's lines are written between the calls, so a death before a call is a death after its record, and a death
//! after the call one before its outcome is recorded.

pub(crate) mod ways;

use std::collections::BTreeSet;
use std::path::PathBuf;

use jiff::SignedDuration;
use quell::cli::exit::Exit;
use quell::ids::{ARMED_POLICY, TargetId};
use quell::range::state::Wrong;
use serde_json::json;

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

/// The ways to die at a call: on either side of it, and at a change with the last record whole, torn or missing.
fn ways_to_die(action: &str) -> Vec<(Moment, LastRecord)> {
    let records: &[LastRecord] = if action.starts_with("organizations:") && !reads(action) {
        &[LastRecord::Whole, LastRecord::Missing, LastRecord::Torn]
    } else {
        &[LastRecord::Whole]
    };
    let ways = MOMENTS
        .iter()
        .flat_map(|moment| records.iter().map(|last| (*moment, *last)));
    ways.collect()
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

/// Whether an incident was begun and is not proven: before there is a record, and once the proof is written, there is none.
async fn has_something_to_resume(practice: &Practice) -> bool {
    let status = practice.quell("status --output json").await.json();
    let proven = status["incidents"]
        .as_array()
        .unwrap()
        .iter()
        .any(|incident| incident["state"] == "proven");
    let begun = |(_, text): &(PathBuf, String)| text.contains('\n');
    !proven && journals(practice).iter().any(begun)
}

/// What is left of the journal's last record when the process dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LastRecord {
    /// It was written, and then the process died.
    Whole,
    /// The process died before it was written: so before a call its announcement, after a call its outcome.
    Missing,
    /// The process died while it was being written.
    Torn,
}

/// Cuts the last record of every journal of this machine.
fn cut_last_record(practice: &Practice, last: LastRecord) {
    for (path, text) in journals(practice) {
        let lines: Vec<&str> = text.lines().collect();
        let keep = |lines: &[&str]| {
            lines
                .iter()
                .map(|line| format!("{line}\n"))
                .collect::<String>()
        };
        let all_but_last = &lines[..lines.len().saturating_sub(1)];
        let cut = match last {
            LastRecord::Whole => keep(&lines),
            LastRecord::Missing => keep(all_but_last),
            LastRecord::Torn => {
                let half = |line: &&str| line.chars().take(line.len() / 2).collect::<String>();
                keep(all_but_last) + &lines.last().map(half).unwrap_or_default()
            }
        };
        std::fs::write(path, cut).unwrap();
    }
}

/// The incidents' journals of this machine, with what is in them.
fn journals(practice: &Practice) -> Vec<(PathBuf, String)> {
    let Ok(entries) = std::fs::read_dir(&practice.state_dir) else {
        return Vec::new();
    };
    let paths = entries.map(|entry| entry.unwrap().path());
    let of_incident = |path: &PathBuf| {
        path.file_name()
            .unwrap()
            .to_str()
            .unwrap()
            .starts_with("q-")
    };
    paths
        .filter(of_incident)
        .map(|path| (path.clone(), std::fs::read_to_string(path).unwrap()))
        .collect()
}

/// A practice organization, armed or not.
async fn organization(armed: bool) -> Practice {
    let practice = Practice::new();
    if armed {
        practice.quell("prepare arm --yes").await.expect(Exit::Done);
    }
    practice
}

/// Every end state that counts: who is denied, by what, and that nothing is left over or said twice.
async fn is_as_if_nothing_had_happened(practice: &Practice, armed: bool, told: &str) {
    let ours = practice.ours();
    assert_eq!(ours.len(), 1, "{told}: {ours:?}");
    assert_eq!(ours[0].0 == ARMED_POLICY, armed, "{told}: {ours:?}");
    let targets: Vec<&str> = ours[0].1.iter().map(TargetId::as_str).collect();
    assert_eq!(targets, ["r-quel"], "{told}");
    let status = practice
        .quell("status --output json")
        .await
        .expect(Exit::Done)
        .json();
    let incidents = status["incidents"].as_array().unwrap();
    assert_eq!(incidents.len(), 1, "{told}: {status}");
    assert_eq!(incidents[0]["state"], "proven", "{told}: {status}");
    assert_eq!(incidents[0]["notes"], json!([]), "{told}: {status}");
    assert_eq!(status["disagreements"], json!([]), "{told}: {status}");
    for (path, _) in journals(practice) {
        let path = path.display();
        practice
            .quell(&format!("journal verify {path}"))
            .await
            .expect(Exit::Done);
    }
    for (account, key, _) in &practice.built.hero_sessions {
        let expected = if account.as_str() == "111122223333" {
            200
        } else {
            403
        };
        assert_eq!(practice.call_as(key), expected, "{told}");
    }
    assert_eq!(
        practice.refused_bystanders(),
        Vec::<String>::new(),
        "{told}"
    );
}

const CONTAIN: &str = "contain test-user --yes --output json";

async fn dies_anywhere_while_containing(armed: bool, again: &str) -> usize {
    let actions = actions_of(&organization(armed).await, CONTAIN).await;
    let mut cases = 0;
    for call in worth_dying_at(&actions) {
        for (moment, last) in ways_to_die(&actions[call - 1]) {
            let practice = organization(armed).await;
            let died = practice.quell_until_death(CONTAIN, call, moment).await;
            let told = format!(
                "died {moment:?} {call}, {}, record {last:?}",
                actions[call - 1]
            );
            assert!(died.is_none(), "{told}: {died:?}");
            cut_last_record(&practice, last);
            let resumes = again != CONTAIN;
            if resumes && !has_something_to_resume(&practice).await {
                continue;
            }
            let report = practice.quell(again).await.expect(Exit::Done).json();
            assert_eq!(report["state"], "proven", "{told}");
            is_as_if_nothing_had_happened(&practice, armed, &told).await;
            cases += 1;
        }
    }
    cases
}

#[tokio::test]
async fn a_containment_that_died_anywhere_is_finished_by_the_same_command() {
    let cases = dies_anywhere_while_containing(false, CONTAIN).await;
    println!("a containment died in {cases} ways");
    assert!(cases > 40, "{cases}");
}

#[tokio::test]
async fn an_armed_containment_that_died_anywhere_is_finished_by_the_same_command() {
    let cases = dies_anywhere_while_containing(true, CONTAIN).await;
    println!("an armed containment died in {cases} ways");
    assert!(cases > 40, "{cases}");
}

#[tokio::test]
async fn a_containment_that_died_anywhere_is_resumed_without_naming_anybody() {
    let mut cases = 0;
    for armed in [false, true] {
        cases +=
            dies_anywhere_while_containing(armed, "contain --resume --yes --output json").await;
    }
    println!("a containment was resumed after {cases} deaths");
    assert!(cases > 40, "{cases}");
}

#[tokio::test]
async fn a_release_that_died_anywhere_is_finished_by_the_same_command() {
    const RELEASE: &str = "release --due --yes";
    let contained = async |armed| {
        let practice = organization(armed).await;
        practice.quell(CONTAIN).await.expect(Exit::Done);
        practice.evict(&practice.incident().await).await;
        practice.range.advance(SignedDuration::from_hours(13));
        practice
    };
    let mut cases = 0;
    for armed in [false, true] {
        let actions = actions_of(&contained(armed).await, RELEASE).await;
        for call in worth_dying_at(&actions) {
            for (moment, last) in ways_to_die(&actions[call - 1]) {
                let practice = contained(armed).await;
                let died = practice.quell_until_death(RELEASE, call, moment).await;
                let told = format!(
                    "died {moment:?} {call}, {}, record {last:?}",
                    actions[call - 1]
                );
                assert!(died.is_none(), "{told}: {died:?}");
                cut_last_record(&practice, last);
                practice.quell(RELEASE).await.expect(Exit::Done);
                let own = practice
                    .ours()
                    .into_iter()
                    .filter(|(name, _)| name != ARMED_POLICY);
                assert_eq!(own.count(), 0, "{told}");
                let status = practice.quell("status --output json").await.json();
                assert_eq!(status["incidents"], json!([]), "{told}: {status}");
                for (_, key, _) in &practice.built.hero_sessions {
                    // Their sessions are over; whoever signs in again is let in.
                    assert_ne!(practice.call_as(key), 200, "{told}");
                }
                assert_eq!(is_refused_as_new(&practice), 200, "{told}");
                cases += 1;
            }
        }
    }
    println!("a release died in {cases} ways");
    assert!(cases > 30, "{cases}");
}

/// What a new session named like the hero's is answered.
fn is_refused_as_new(practice: &Practice) -> u16 {
    let (account, key, _) = practice.built.hero_sessions[0].clone();
    assert_ne!(account.as_str(), "111122223333");
    practice.range.advance(SignedDuration::from_mins(5));
    practice.range.with(|state| {
        let mut session = state.sessions[&key].clone();
        session.expires = None;
        state
            .sessions
            .insert("ASIANEWSESSION000000".to_owned(), session);
    });
    practice.call_as("ASIANEWSESSION000000")
}

#[tokio::test]
async fn arming_and_disarming_that_died_anywhere_are_finished_by_the_same_command() {
    let mut cases = 0;
    for (armed, line) in [(false, "prepare arm --yes"), (true, "prepare disarm --yes")] {
        let actions = actions_of(&organization(armed).await, line).await;
        for call in worth_dying_at(&actions) {
            for (moment, last) in ways_to_die(&actions[call - 1]) {
                let practice = organization(armed).await;
                let died = practice.quell_until_death(line, call, moment).await;
                let told = format!(
                    "{line} died {moment:?} {call}, {}, record {last:?}",
                    actions[call - 1]
                );
                assert!(died.is_none(), "{told}: {died:?}");
                cut_last_record(&practice, last);
                practice.quell(line).await.expect(Exit::Done);
                let ours = practice.ours();
                assert_eq!(ours.len(), usize::from(!armed), "{told}: {ours:?}");
                assert!(ours.iter().all(|(_, targets)| targets.len() == 1), "{told}");
                cases += 1;
            }
        }
    }
    println!("arming and disarming died in {cases} ways");
    assert!(cases > 30, "{cases}");
}

/// A journal that lost its end, wherever it was cut: what AWS has counts, and the same command ends as if nothing had.
#[tokio::test]
async fn a_journal_that_was_cut_at_any_record_keeps_nobody_from_going_on() {
    let mut cases = 0;
    for armed in [false, true] {
        let whole = organization(armed).await;
        whole.quell(CONTAIN).await.expect(Exit::Done);
        let incident = whole.incident().await;
        let path = |practice: &Practice| practice.state_dir.join(format!("{incident}.jsonl"));
        let text = std::fs::read_to_string(path(&whole)).unwrap();
        let records = text.lines().count();
        for keep in 0..=records {
            let practice = organization(armed).await;
            practice.quell(CONTAIN).await.expect(Exit::Done);
            let cut: String = text
                .lines()
                .take(keep)
                .map(|line| format!("{line}\n"))
                .collect();
            std::fs::write(path(&practice), cut).unwrap();
            let told = format!("cut after {keep} of {records} records, armed {armed}");
            practice.quell(CONTAIN).await.expect(Exit::Done);
            is_as_if_nothing_had_happened(&practice, armed, &told).await;
            practice.evict(&incident).await;
            practice.range.advance(SignedDuration::from_hours(13));
            practice
                .quell("release --due --yes")
                .await
                .expect(Exit::Done);
            cases += 1;
        }
    }
    println!("{cases} journals were cut at a record");
    assert!(cases > 30, "{cases}");
}

/// Every command typed twice is as the same typed once: each of its steps finds itself done.
#[tokio::test]
async fn what_is_done_twice_is_done_once() {
    for armed in [false, true] {
        let practice = organization(armed).await;
        for _ in 0..2 {
            practice.quell(CONTAIN).await.expect(Exit::Done);
            is_as_if_nothing_had_happened(&practice, armed, "typed again").await;
        }
        let incident = practice.incident().await;
        for _ in 0..2 {
            practice.evict(&incident).await;
        }
        practice.range.advance(SignedDuration::from_hours(13));
        practice
            .quell("release --due --yes")
            .await
            .expect(Exit::Done);
        practice
            .quell("release --due --yes")
            .await
            .expect(Exit::Done)
            .says("Nothing is due.");
    }
}

fn error(status: u16, code: &str) -> Wrong {
    Wrong::Error {
        status,
        code: code.to_owned(),
    }
}

/// What AWS and the network can do to a call, with the errors that AWS documents for Organizations' changes.
fn everything_that_goes_wrong() -> Vec<Wrong> {
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
async fn goes_wrong_anywhere(armed: bool) -> usize {
    const CONTAIN: &str = "contain test-user --yes --output json --verify-timeout 2m";
    let actions: BTreeSet<String> = actions_of(&organization(armed).await, CONTAIN)
        .await
        .into_iter()
        .collect();
    let mut cases = 0;
    for action in actions {
        for wrong in everything_that_goes_wrong() {
            for times in [1, 9_999] {
                // A question changes nothing, so which error it met does not matter; but being asked to wait does.
                let throttled = error(400, "TooManyRequestsException");
                let enough = times > 1 && matches!(wrong, Wrong::LoseRequest | Wrong::GarbleAnswer)
                    || times == 1 && wrong == throttled;
                if reads(&action) && !enough {
                    continue;
                }
                let practice = organization(armed).await;
                practice.goes_wrong(&action, times, wrong.clone());
                let first = practice.quell(CONTAIN).await;
                practice.range.with(|state| state.mishaps.clear());
                let told = format!("{action}, {wrong:?}, {times} times, then {:?}", first.exit);
                if wrong == throttled && times == 1 {
                    assert_eq!(first.exit, Exit::Done, "{told}: {}", first.err);
                }
                let report = practice.quell(CONTAIN).await.expect(Exit::Done).json();
                assert_eq!(report["state"], "proven", "{told}");
                // Where the armed policy could not be read, the deny went into a policy of its own.
                if !(armed && reads(&action)) {
                    is_as_if_nothing_had_happened(&practice, armed, &told).await;
                }
                cases += 1;
            }
        }
    }
    cases
}

#[tokio::test]
async fn a_call_that_went_wrong_in_any_way_is_made_good_by_the_same_command() {
    let cases = goes_wrong_anywhere(false).await;
    println!("{cases} ways in which a call went wrong");
    assert!(cases > 50, "{cases}");
}

#[tokio::test]
async fn an_armed_call_that_went_wrong_in_any_way_is_made_good_by_the_same_command() {
    let cases = goes_wrong_anywhere(true).await;
    println!("{cases} ways in which an armed call went wrong");
    assert!(cases > 50, "{cases}");
}
