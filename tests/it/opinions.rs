//! Second opinions on a plan: asked where there is time, reported, never required.

use quell::cli::exit::Exit;
use quell::range::state::Wrong;

use crate::practice::Practice;

const PLAN: &str = "plan test-user --second-opinion";

#[tokio::test]
async fn iams_simulator_says_the_same_of_the_suspect_and_of_the_operator() {
    let practice = Practice::new();
    practice
        .quell(PLAN)
        .await
        .expect(Exit::Done)
        .says("IAM's policy simulator agrees in all 5 cases")
        .says("Access Analyzer finds nothing wrong");
    let dry = "contain test-user --dry-run --second-opinion --output json";
    let report = practice.quell(dry).await.expect(Exit::Done).json();
    assert_eq!(report["second_opinion"]["simulator"]["verdict"], "agrees");
    practice.nothing_happened();
    // Each case is a question of its own.
    let calls = practice.calls();
    let asked = calls
        .iter()
        .filter(|call| call.action == "iam:SimulateCustomPolicy");
    assert_eq!(asked.count(), 10);
}

#[tokio::test]
async fn one_that_cannot_be_had_is_said_in_a_line_and_changes_nothing() {
    let practice = Practice::new();
    let without = practice.quell("plan test-user --output json").await.json();
    assert!(without["second_opinion"].is_null());
    let wrong = Wrong::Error {
        status: 403,
        code: "AccessDenied".to_owned(),
    };
    practice.goes_wrong("iam:SimulateCustomPolicy", 100, wrong);
    let ran = practice.quell(PLAN).await.expect(Exit::Done);
    let said = ran.out.replace("\n    ", " ");
    assert!(
        said.contains("IAM's policy simulator could not be asked"),
        "{said}"
    );
    let report = practice
        .quell(&format!("{PLAN} --output json"))
        .await
        .expect(Exit::Done)
        .json();
    assert_eq!(
        report["second_opinion"]["simulator"]["verdict"],
        "unavailable"
    );
    assert_eq!(report["second_opinion"]["analyzer"]["verdict"], "agrees");
    assert_eq!(report["characters"], without["characters"]);
    assert_eq!(report["warnings"], without["warnings"]);
}

#[tokio::test]
async fn nothing_slow_stands_before_a_containment() {
    let practice = Practice::new();
    practice
        .quell("contain test-user --yes --second-opinion")
        .await
        .expect(Exit::Usage)
        .says("quell plan");
    practice.nothing_happened();
}
