//! A deny that ends by itself, and the drill on real accounts that is built on it.

use jiff::SignedDuration;
use quell::cli::exit::Exit;
use quell::ids::AccountId;

use crate::practice::{Moment, Practice};

/// A session of the hero's in the sandbox account that outlives any drill.
fn in_sandbox(practice: &Practice) -> String {
    practice.range.with(|state| {
        let mut users = state.directory.users.iter();
        let (hero, _) = users
            .find(|(_, user)| user.username == "test-user")
            .unwrap();
        let hero = hero.clone();
        let mut sets = state.directory.sets.iter();
        let (set, _) = sets.find(|(_, set)| set.name == "PowerUserAccess").unwrap();
        let set = set.clone();
        state.portals.insert("signed-in".to_owned(), hero.clone());
        let sandbox = AccountId::parse("345678901234").unwrap();
        state.mint_by_portal(&hero, &sandbox, &set).unwrap()
    })
}

const SANDBOX: &str = "ou-quel-sandboxs";

#[tokio::test]
async fn a_deny_that_ends_by_itself_is_refused_on_the_root_unless_it_is_said_twice() {
    let practice = Practice::new();
    for verb in ["contain", "plan"] {
        let yes = if verb == "contain" { "--yes" } else { "" };
        practice
            .quell(&format!("{verb} test-user --lapses-after 1h {yes}"))
            .await
            .expect(Exit::Refused)
            .says("lets the attacker in again when nobody looks")
            .says("--lapses-on-root");
    }
    practice
        .quell("drill --live test-user --yes")
        .await
        .expect(Exit::Refused)
        .says("lets the attacker in again when nobody looks");
    practice.nothing_happened();
    practice
        .quell("contain test-user --lapses-after 1h --lapses-on-root --yes")
        .await
        .expect(Exit::Done);
}

#[tokio::test]
async fn it_ends_by_itself_and_one_that_does_not_end_is_another_incident() {
    for armed in [false, true] {
        let practice = Practice::new();
        if armed {
            practice
                .quell(&format!("prepare arm --target {SANDBOX} --yes"))
                .await
                .expect(Exit::Done);
        }
        let key = in_sandbox(&practice);
        practice
            .quell(&format!(
                "contain test-user --target {SANDBOX} --lapses-after 1h --yes"
            ))
            .await;
        assert_eq!(practice.call_as(&key), 403);
        let lapsing = practice.incident().await;
        // Typed again, it is the same one, and does not last longer for it.
        practice.range.advance(SignedDuration::from_mins(40));
        practice
            .quell(&format!(
                "contain test-user --target {SANDBOX} --lapses-after 1h --yes"
            ))
            .await;
        assert_eq!(practice.incident().await, lapsing);
        practice
            .quell("status")
            .await
            .expect(Exit::Done)
            .says("ends by itself");
        practice.range.advance(SignedDuration::from_mins(21));
        assert_eq!(
            practice.call_as(&key),
            200,
            "armed {armed}: nobody did anything"
        );
        // For an attacker who is back, one that ends by itself is no containment.
        practice
            .quell(&format!("contain test-user --target {SANDBOX} --yes"))
            .await;
        assert_eq!(practice.call_as(&key), 403, "armed {armed}");
        practice.range.advance(SignedDuration::from_hours(2));
        assert_ne!(practice.call_as(&key), 200, "armed {armed}");
    }
}

#[tokio::test]
async fn a_live_drill_proves_the_deny_on_a_sandbox_and_leaves_nothing() {
    let practice = Practice::new();
    let report = practice
        .quell(&format!(
            "drill --live test-user --target {SANDBOX} --yes --output json"
        ))
        .await
        .expect(Exit::Done)
        .json();
    assert_eq!(report["verdict"], "pass");
    assert_eq!(report["allowed_again"], true);
    assert!(
        report["accepted_ms"].as_i64().unwrap() < report["proven_ms"].as_i64().unwrap(),
        "{report}"
    );
    assert_eq!(practice.ours(), []);
    assert_eq!(practice.call_as(&in_sandbox(&practice)), 200);
}

#[tokio::test]
async fn a_live_drill_that_nobody_comes_back_to_ends_by_itself() {
    let practice = Practice::new();
    let line = format!("drill --live test-user --target {SANDBOX} --yes");
    let attach = {
        let other = Practice::new();
        other.quell(&line).await.expect(Exit::Done);
        let calls = other.calls();
        let attach = |call: &quell::range::Call| call.action == "organizations:AttachPolicy";
        calls.iter().position(attach).unwrap() + 1
    };
    let died = practice
        .quell_until_death(&line, attach, Moment::AfterTheCall)
        .await;
    assert!(died.is_none(), "{died:?}");
    let key = in_sandbox(&practice);
    practice.range.advance(SignedDuration::from_mins(1));
    assert_eq!(practice.call_as(&key), 403);
    practice.range.advance(SignedDuration::from_mins(60));
    assert_eq!(practice.call_as(&key), 200);
}

#[tokio::test]
async fn a_live_drill_is_typed_before_anything_is_denied() {
    let practice = Practice::new();
    practice
        .quell(&format!("drill --live test-user --target {SANDBOX}"))
        .await
        .expect(Exit::Refused)
        .says("there is no terminal");
    practice
        .quell("drill --live --yes")
        .await
        .expect(Exit::Usage);
    practice.quell("drill test-user").await.expect(Exit::Usage);
    practice.nothing_happened();
}
