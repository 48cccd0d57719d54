//! Playbooks: each is right about its own story, every step of it is needed, and each signal finds exactly one.

use std::collections::BTreeSet;
use std::path::Path;

use quell::cli::exit::Exit;
use quell::drill::{self, DrillError, Script};
use quell::playbook::shelf::{self, Shelf, Situation};
use quell::playbook::{Playbook, Step};
use quell::principal::PrincipalKind;

use crate::practice::Practice;

/// The finding types that GuardDuty publishes.
/// Source: <https://docs.aws.amazon.com/guardduty/latest/ug/guardduty_finding-types-active.html>, November 2026.
const PUBLISHED: &str = include_str!("finding_types.txt");

fn published() -> impl Iterator<Item = &'static str> {
    let lines = PUBLISHED.lines();
    lines.filter(|line| !line.is_empty() && !line.starts_with('#'))
}

fn parsed(name: &str) -> Playbook {
    Playbook::parse(shelf::text_of(name).unwrap()).unwrap()
}

/// Everything that can be so of somebody.
fn everybody() -> Vec<(PrincipalKind, bool, bool)> {
    let mut all = Vec::new();
    for principal in PrincipalKind::ALL {
        all.push((principal, false, false));
        match principal {
            PrincipalKind::IdentityCenterUser => all.push((principal, true, false)),
            PrincipalKind::RoleSession | PrincipalKind::Role => all.push((principal, false, true)),
            PrincipalKind::IamUser | PrincipalKind::Root | PrincipalKind::FederatedUser => {}
        }
    }
    all
}

#[tokio::test]
async fn the_drill_of_every_playbook_passes() {
    let practice = Practice::new();
    for name in shelf::names() {
        let ran = practice
            .quell(&format!("drill --playbook {name} --output json"))
            .await;
        let report = ran.json();
        assert_eq!(
            report["faults"],
            serde_json::json!([]),
            "{name}: {}",
            ran.err
        );
        assert_eq!(report["verdict"], "pass", "{name}");
        assert!(
            report["attacker"]["refused"].as_u64().unwrap() > 100,
            "{name}: {report}"
        );
        ran.expect(Exit::Done);
    }
}

#[tokio::test]
async fn a_playbook_without_any_one_of_its_steps_fails_its_drill() {
    let mut tried = BTreeSet::new();
    for name in shelf::names() {
        let whole = parsed(name);
        for step in &whole.steps {
            let mut playbook = whole.clone();
            playbook.steps.retain(|it| it != step);
            let ran = drill::run(Script::of(&whole, 1), None, &playbook, &|_| {}).await;
            let verdict = match ran {
                Ok(report) => report.verdict,
                Err(DrillError::NothingDenied) => "not graded",
                Err(other) => panic!("{name} without {}: {other}", step.word()),
            };
            assert_ne!(verdict, "pass", "{name} does not need {}", step.word());
            tried.insert(*step);
        }
    }
    // Whatever the engine can do, some playbook cannot do without.
    assert_eq!(tried, Step::ALL.into_iter().collect());
}

#[test]
fn every_finding_type_about_credentials_has_one_playbook_and_every_other_a_reason_for_none() {
    let shelf = Shelf::embedded().unwrap();
    let mut answered = BTreeSet::new();
    for kind in published() {
        let signals = [kind.to_owned()];
        for (principal, management, workload) in everybody() {
            let situation = Situation {
                signals: &signals,
                principal,
                management,
                workload,
            };
            let names: Vec<&str> = shelf
                .answering(&situation)
                .map(|playbook| playbook.name.as_str())
                .collect();
            let written = shelf::why_none(kind).is_some();
            match names.as_slice() {
                [] => assert!(written, "nothing is said of {kind}"),
                [one] => {
                    assert!(!written, "{kind} has a playbook, and a reason for none");
                    answered.insert((*one).to_owned());
                }
                [..] => panic!("{kind} about {situation:?}: {names:?}"),
            }
        }
    }
    // A centralized root session is spared by the deny of a root user: whoever asked for it is to be contained.
    let spared = "Policy:IAMUser/ShortTermRootCredentialUsage";
    assert!(shelf::why_none(spared).is_some_and(|why| why.contains("AssumeRoot")));
    let about =
        |text: &str| (text.contains(":IAMUser/") || text.contains(":IAM/")) && text != spared;
    let all: Vec<&str> = published().filter(|kind| about(kind)).collect();
    assert!(all.len() > 20 && all.iter().all(|kind| shelf::why_none(kind).is_none()));
    // TEAM is seen when it is read, which is after the deny: its playbook is chosen by name.
    let mut named: BTreeSet<String> = shelf::names().map(str::to_owned).collect();
    assert!(named.remove("team-elevated-access"));
    assert_eq!(answered, named);
}

#[test]
fn a_name_that_somebody_typed_has_one_playbook_whoever_it_is() {
    let shelf = Shelf::embedded().unwrap();
    for (principal, management, workload) in everybody() {
        let situation = Situation {
            signals: &[],
            principal,
            management,
            workload,
        };
        assert_eq!(shelf.answering(&situation).count(), 1, "{situation:?}");
    }
}

/// A finding of a type, about the user of the practice organization.
fn finding(kind: &str) -> String {
    let finding = serde_json::json!({
        "schemaVersion": "2.0", "accountId": "222233334444", "region": "us-east-1", "id": "ab12", "severity": 8, "type": kind,
        "resource": { "resourceType": "AccessKey", "accessKeyDetails": {
            "accessKeyId": "ASIAEXAMPLEEXAMPLE00", "principalId": "AROAEXAMPLEEXAMPLE123:test-user",
            "userType": "AssumedRole", "userName": "AWSReservedSSO_DataScientist_0123456789abcdef",
        } },
        "service": { "eventLastSeen": "2026-11-20T10:20:00.000Z" },
    });
    let file = format!("playbook-{}.json", kind.replace([':', '/'], "-"));
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(file);
    std::fs::write(&path, finding.to_string()).unwrap();
    path.display().to_string()
}

#[tokio::test]
async fn contain_chooses_the_playbook_and_says_which_and_why_and_what_comes_next() {
    let practice = Practice::new();
    let by_name = practice.quell("plan test-user").await.expect(Exit::Done);
    by_name.says("identity-center-user: somebody gave the name of a user of Identity Center");
    let persistence = finding("Persistence:IAMUser/AnomalousBehavior");
    let ran = practice
        .quell(&format!("contain --finding-file {persistence} --yes"))
        .await
        .expect(Exit::Done)
        .says("Whoever makes users: That nobody can be given a console password")
        .says("Next, by playbook console-login-persistence (Persistence:IAMUser/AnomalousBehavior about a user of Identity Center)");
    let next = ran.out.split("\nNext, by").nth(1).unwrap();
    let at = |text: &str| {
        next.find(text)
            .unwrap_or_else(|| panic!("no {text}: {}", ran.out))
    };
    assert!(at("quell guardrail attach no-console-users --incident q-") < at("quell evict q-"));
    assert!(at("quell evict q-") < at("quell trace q-"));
    assert!(at("quell trace q-") < at("quell release q-"));
}

#[tokio::test]
async fn a_user_of_the_management_account_is_told_to_be_held_there() {
    let practice = Practice::with(|blueprint| blueprint.extras.management = true);
    let ran = practice
        .quell("contain test-user --yes --output json")
        .await;
    let report = ran.json();
    assert_eq!(
        report["playbook"]["name"],
        "identity-center-user-management-account"
    );
    let next = report["next"].as_array().unwrap();
    let id = report["incident"].as_str().unwrap();
    assert_eq!(next[0]["command"], format!("quell evict {id} --management"));
    assert_eq!(next[0]["steps"], serde_json::json!(["hold", "evict"]));
    // The incident remembers it: the checklist is this playbook's, from whichever machine.
    let elsewhere = practice.on_another_machine();
    let evicted = elsewhere
        .quell(&format!("evict {id} --management --yes --output json"))
        .await;
    let items = evicted.json();
    let items = items["by_hand"].as_array().unwrap();
    assert!(
        items
            .iter()
            .any(|item| item["item"] == "management-account"),
        "{items:?}"
    );
}

#[tokio::test]
async fn a_finding_that_no_playbook_answers_says_why_and_goes_on() {
    let practice = Practice::new();
    let strange = finding("Execution:Runtime/ReverseShell");
    practice
        .quell(&format!("plan --finding-file {strange}"))
        .await
        .expect(Exit::Done)
        .says("no playbook answers findings of type Execution:Runtime/ReverseShell: it is about a machine and its traffic")
        .says("identity-center-user: none answers Execution:Runtime/ReverseShell about a user of Identity Center");
}

#[tokio::test]
async fn a_playbook_of_ones_own_is_begun_from_another_and_used() {
    let practice = Practice::new();
    let new = practice
        .quell("playbook new payments --from console-login-persistence")
        .await
        .expect(Exit::Done);
    let text = new
        .out
        .replace("jump_accounts = []", "jump_accounts = [\"222233334444\"]");
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("payments.toml");
    std::fs::write(&path, text).unwrap();
    let path = path.display();
    practice
        .quell(&format!("playbook check {path}"))
        .await
        .expect(Exit::Done)
        .says("payments: sound");
    practice
        .quell(&format!("contain test-user --yes --playbook {path}"))
        .await
        .expect(Exit::Done)
        .says("Next, by playbook payments (you named it)")
        .says(&format!("--jump-account 222233334444 --playbook {path}"));
    // The incident remembers its name, and no machine has the file.
    let status = practice.quell("status --output json").await.json();
    let id = status["incidents"][0]["incident"].as_str().unwrap();
    practice
        .quell(&format!("evict {id} --yes"))
        .await
        .expect(Exit::Done)
        .says("was begun with the playbook payments, which does not come with quell");
    practice
        .quell("plan test-user --playbook console-login")
        .await
        .expect(Exit::Usage)
        .says("no playbook `console-login` comes with quell")
        .says("console-login-persistence");
    practice
        .quell("playbook new Payments!")
        .await
        .expect(Exit::Usage);
}

#[tokio::test]
async fn the_schema_has_every_field_with_what_it_means() {
    let practice = Practice::new();
    let schema = practice.quell("playbook schema").await.expect(Exit::Done);
    let schema: serde_json::Value = serde_json::from_str(&schema.out).unwrap();
    let fields = schema["properties"].as_object().unwrap();
    let text: toml::Table =
        toml::from_str(shelf::text_of("console-login-persistence").unwrap()).unwrap();
    for (field, described) in fields {
        assert!(
            described.get("description").is_some(),
            "{field}: {described}"
        );
    }
    assert!(
        text.keys().all(|field| fields.contains_key(field)),
        "{fields:?}"
    );
    assert_eq!(schema["additionalProperties"], false);
}

#[tokio::test]
async fn whoever_is_in_no_directory_has_a_checklist_of_their_own() {
    let practice = Practice::with(|blueprint| blueprint.extras.iam_user = true);
    let contained = practice
        .quell("contain arn:aws:iam::555566667777:user/legacy-deploy --yes --output json")
        .await
        .expect(Exit::Done)
        .json();
    assert_eq!(contained["playbook"]["name"], "iam-user-jump-account");
    let id = contained["incident"].as_str().unwrap();
    let evicted = practice
        .quell(&format!(
            "evict {id} --yes --attest trust --by alice --output json"
        ))
        .await
        .expect(Exit::Done)
        .json();
    let items: Vec<(&str, bool)> = evicted["by_hand"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| {
            (
                item["item"].as_str().unwrap(),
                item["done"].as_bool().unwrap(),
            )
        })
        .collect();
    assert_eq!(items, [("credentials", false), ("trust", true)]);
}

#[tokio::test]
async fn whoever_knows_that_team_elevates_them_names_its_playbook() {
    let practice = Practice::with(|blueprint| blueprint.extras.team = true);
    let contained = practice
        .quell("contain test-user --yes --playbook team-elevated-access --output json")
        .await
        .expect(Exit::Done)
        .json();
    let id = contained["incident"].as_str().unwrap();
    let next = contained["next"][0].clone();
    assert_eq!(next["command"], format!("quell evict {id} --revoke-team"));
    assert_eq!(next["steps"], serde_json::json!(["revoke-team", "evict"]));
    let typed = next["command"].as_str().unwrap();
    let evicted = practice
        .quell(&format!(
            "{} --yes --output json",
            typed.replace("quell ", "")
        ))
        .await;
    let evicted = evicted.expect(Exit::Done).json();
    assert_eq!(evicted["team_requests"], serde_json::json!([]));
    let items = evicted["by_hand"].as_array().unwrap();
    assert!(items.iter().any(|item| item["item"] == "team-eligibility"));
    let status = practice
        .on_another_machine()
        .quell("status --output json")
        .await;
    assert_eq!(
        status.json()["incidents"][0]["playbook"],
        "team-elevated-access"
    );
}
