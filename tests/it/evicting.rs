//! Closing the ways back, and letting the person in again.

use jiff::SignedDuration;
use quell::cli::exit::Exit;
use quell::range::build::HERO;
use serde_json::Value;

use crate::practice::Practice;

/// A contained user; the incident's id.
pub(crate) async fn contained(practice: &Practice) -> String {
    practice
        .quell(&format!("contain {HERO} --yes"))
        .await
        .expect(Exit::Done);
    practice.incident().await
}

#[tokio::test]
async fn eviction_takes_what_is_the_users_own_and_leaves_the_groups_what_they_have() {
    let practice = Practice::new();
    let id = contained(&practice).await;
    let before = practice.range.with(|state| state.directory.clone());
    let report = practice
        .quell(&format!("evict {id} --yes --output json"))
        .await
        .expect(Exit::Done)
        .json();
    assert_eq!(report["schema"], "quell.evict/1");
    assert!(report["evicted"].is_string() && report["release_not_before"].is_string());
    let kinds: Vec<&str> = report["closed"]
        .as_array()
        .unwrap()
        .iter()
        .map(|way| way["way"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, ["assignment", "membership", "membership"]);
    let after = practice.range.with(|state| state.directory.clone());
    let (hero, _) = before
        .users
        .iter()
        .find(|(_, user)| user.username == HERO)
        .unwrap();
    assert!(after.users[hero].groups.is_empty());
    let others = |directory: &quell::range::state::Directory| {
        let assignments = directory.assignments.iter();
        assignments
            .filter(|assignment| assignment.principal != hero.as_str())
            .count()
    };
    assert_eq!(others(&after), others(&before));
    assert_eq!(others(&after), after.assignments.len());
}

#[tokio::test]
async fn a_release_is_refused_until_the_ways_are_closed_and_the_wait_begins_with_that() {
    let practice = Practice::new();
    let id = contained(&practice).await;
    practice.range.advance(SignedDuration::from_hours(20));
    practice
        .quell(&format!("release {id} --yes"))
        .await
        .expect(Exit::Refused)
        .says("never closed")
        .says(&format!("quell evict {id}"));
    practice
        .quell(&format!("evict {id} --yes"))
        .await
        .expect(Exit::Done);
    practice
        .quell(&format!("release {id} --yes"))
        .await
        .expect(Exit::Refused)
        .says("12h from permission set PowerUserAccess, read twice");
    practice.range.advance(SignedDuration::from_hours(13));
    practice
        .quell(&format!("release {id} --yes"))
        .await
        .expect(Exit::Done)
        .says("is released");
}

#[tokio::test]
async fn what_eviction_took_is_given_back_exactly() {
    let practice = Practice::new();
    let id = contained(&practice).await;
    let before = practice.range.with(|state| state.identity_center());
    practice
        .quell(&format!("evict {id} --yes"))
        .await
        .expect(Exit::Done);
    assert_ne!(practice.range.with(|state| state.identity_center()), before);
    practice.range.advance(SignedDuration::from_hours(13));
    practice
        .quell(&format!("release {id} --yes --restore"))
        .await
        .expect(Exit::Refused)
        .says("nobody has noted as done: portal-sessions, credentials");
    practice
        .quell(&format!(
            "evict {id} --yes --attest portal-sessions --attest credentials --by alice"
        ))
        .await
        .expect(Exit::Done);
    let report = practice
        .quell(&format!("release {id} --yes --restore --output json"))
        .await
        .expect(Exit::Done)
        .json();
    let put_back = &report["released"][0]["restored"];
    assert_eq!(put_back["reopened"].as_array().map(Vec::len), Some(3));
    assert_eq!(put_back["stuck"], Value::Array(Vec::new()));
    assert_eq!(practice.range.with(|state| state.identity_center()), before);
}
