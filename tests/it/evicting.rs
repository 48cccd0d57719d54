//! Closing the ways back, and letting the person in again.

use jiff::SignedDuration;
use quell::cli::exit::Exit;
use quell::range::build::HERO;
use quell::range::state::{Inline, Wrong};
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

#[tokio::test]
async fn contained_and_evicted_in_one_command() {
    let practice = Practice::new();
    let report = practice
        .quell(&format!("contain {HERO} --evict --yes --output json"))
        .await
        .expect(Exit::Done)
        .json();
    assert_eq!(report["state"], "proven");
    assert_eq!(
        report["eviction"]["closed"].as_array().map(Vec::len),
        Some(3)
    );
    assert!(report["release_not_before"].is_string(), "{report}");
    // The deny comes first, whatever else is asked for.
    let mutations = practice.mutations();
    let place = |action: &str| {
        let place = mutations.iter().position(|done| done == action);
        place.unwrap_or_else(|| panic!("no {action} in {mutations:?}"))
    };
    assert!(place("organizations:AttachPolicy") < place("sso:DeleteAccountAssignment"));
    assert!(place("sso:DeleteAccountAssignment") < place("identitystore:DeleteGroupMembership"));
    practice
        .quell(&format!("contain {HERO} --management --yes"))
        .await
        .expect(Exit::Usage)
        .says("--evict");
}

#[tokio::test]
async fn nothing_is_closed_before_the_username_was_typed_and_nothing_before_the_deny_stands() {
    let practice = Practice::new();
    let id = contained(&practice).await;
    let before = practice.mutations();
    practice
        .quell(&format!("evict {id}"))
        .await
        .expect(Exit::Refused)
        .says("permission set AdministratorAccess in account")
        .says("there is no terminal")
        .says("Nothing was changed.");
    practice.types("somebody");
    practice
        .quell(&format!("evict {id}"))
        .await
        .expect(Exit::Refused)
        .says("not the username");
    assert_eq!(practice.mutations(), before);
    // Somebody detached the deny: closing the ways under nothing would warn the attacker, and leave them in.
    practice.range.with(|state| {
        let root = state.root.clone();
        state.attachments.get_mut(&root).unwrap().truncate(1);
        state.settle();
    });
    practice
        .quell(&format!("evict {id} --yes"))
        .await
        .expect(Exit::Refused)
        .says("it comes first")
        .says(&format!("quell contain --resume {id}"));
    practice
        .quell("evict q-000000 --yes")
        .await
        .expect(Exit::Failed)
        .says("the organization has no incident q-000000");
}

#[tokio::test]
async fn on_a_terminal_each_item_of_the_checklist_is_asked_for_and_who_did_it_is_noted() {
    let practice = Practice::new();
    let id = contained(&practice).await;
    practice.types(HERO);
    let ran = practice
        .quell(&format!("evict {id}"))
        .await
        .expect(Exit::Done)
        .says("noted: portal-sessions, done by test-user");
    assert!(ran.out.contains("DONE: Delete the user's active sessions"));
    let journal = std::fs::read_to_string(practice.state_dir.join(format!("{id}.jsonl"))).unwrap();
    assert!(
        journal.contains(r#""item":"disable-user","by":"test-user","evidence":"AWS says that the user is ENABLED""#),
        "{journal}"
    );
    // Any machine knows what is done.
    let elsewhere = practice.on_another_machine();
    let status = elsewhere.quell("status --output json").await.json();
    let attested = &status["incidents"][0]["attested"];
    assert_eq!(attested.as_array().map(Vec::len), Some(4), "{status}");
    practice
        .quell(&format!("evict {id} --yes --attest coffee --by alice"))
        .await
        .expect(Exit::Usage)
        .says("no checklist has an item coffee; there are credentials, disable-user, identity-provider");
    practice
        .quell(&format!("evict {id} --yes --attest credentials"))
        .await
        .expect(Exit::Usage)
        .says("--by");
}

#[tokio::test]
async fn roles_of_account_access_manager_are_found_and_closed_too() {
    let practice = Practice::with(|blueprint| blueprint.extras.entitled = true);
    let report = practice
        .quell(&format!("contain {HERO} --yes --output json"))
        .await
        .expect(Exit::Done)
        .json();
    assert!(
        report["not_covered"]
            .to_string()
            .contains("account access manager"),
        "{report}"
    );
    let id = report["incident"].as_str().unwrap().to_owned();
    let before = practice.range.with(|state| state.identity_center());
    let evicted = practice
        .quell(&format!("evict {id} --yes --output json"))
        .await
        .expect(Exit::Done)
        .json();
    let closed = evicted["closed"].to_string();
    assert!(closed.contains("role/incident-tooling"), "{closed}");
    let entitled = practice.range.with(|state| state.access.entitlements.len());
    assert_eq!(entitled, 1, "the group keeps its own");
    // The role says how long its sessions live, and quell does not ask it: so it waits for the longest there is.
    practice.range.advance(SignedDuration::from_hours(12));
    practice
        .quell(&format!("release {id} --yes"))
        .await
        .expect(Exit::Refused)
        .says("may still be alive");
    practice.range.advance(SignedDuration::from_hours(1));
    practice
        .quell(&format!(
            "evict {id} --yes --attest portal-sessions --attest credentials --by alice"
        ))
        .await
        .expect(Exit::Done);
    practice
        .quell(&format!("release {id} --yes --restore"))
        .await
        .expect(Exit::Done);
    assert_eq!(practice.range.with(|state| state.identity_center()), before);
}

#[tokio::test]
async fn what_account_access_manager_does_not_tell_is_somebodys_to_answer_for() {
    let practice = Practice::new();
    practice.goes_wrong(
        "account-access:ListApplications",
        9_999,
        Wrong::Error {
            status: 403,
            code: "AccessDeniedException".to_owned(),
        },
    );
    let id = contained(&practice).await;
    practice
        .quell(&format!("evict {id} --yes"))
        .await
        .expect(Exit::Partly)
        .says("NOT ALL could be")
        .says("--attest no-way-left --by <your name>");
    practice.range.advance(SignedDuration::from_hours(20));
    practice
        .quell(&format!("release {id} --yes"))
        .await
        .expect(Exit::Refused)
        .says("never closed");
    practice
        .quell(&format!("evict {id} --yes --attest no-way-left --by alice"))
        .await
        .expect(Exit::Done);
    practice
        .quell(&format!("release {id} --yes"))
        .await
        .expect(Exit::Refused)
        .says("may still be alive");
    practice.range.advance(SignedDuration::from_hours(13));
    practice
        .quell(&format!("release {id} --yes"))
        .await
        .expect(Exit::Done);
}

#[tokio::test]
async fn what_aws_calls_busy_or_loses_the_answer_of_is_closed_all_the_same() {
    for wrong in [
        Wrong::Error {
            status: 400,
            code: "ConflictException".to_owned(),
        },
        Wrong::LoseAnswer,
        Wrong::LoseRequest,
        Wrong::GarbleAnswer,
    ] {
        for action in [
            "sso:DeleteAccountAssignment",
            "sso:DescribeAccountAssignmentDeletionStatus",
            "identitystore:DeleteGroupMembership",
        ] {
            let practice = Practice::new();
            let id = contained(&practice).await;
            practice.goes_wrong(action, 7, wrong.clone());
            let ran = practice.quell(&format!("evict {id} --yes")).await;
            assert_eq!(ran.exit, Exit::Done, "{action} {wrong:?}: {}", ran.err);
            let left = practice.range.with(|state| {
                let mut users = state.directory.users.values();
                users
                    .find(|user| user.username == HERO)
                    .unwrap()
                    .groups
                    .len()
            });
            assert_eq!(left, 0, "{action} {wrong:?}");
        }
    }
}

#[tokio::test]
async fn one_way_that_cannot_be_closed_keeps_none_of_the_others_open() {
    let practice = Practice::new();
    let id = contained(&practice).await;
    practice.goes_wrong(
        "sso:DeleteAccountAssignment",
        9_999,
        Wrong::Error {
            status: 400,
            code: "AccessDeniedException".to_owned(),
        },
    );
    let report = practice
        .quell(&format!("evict {id} --yes --output json"))
        .await
        .expect(Exit::Partly)
        .json();
    assert_eq!(report["closed"].as_array().map(Vec::len), Some(2));
    assert_eq!(report["left"].as_array().map(Vec::len), Some(1));
    assert!(
        report["stuck"][0]["why"]
            .as_str()
            .unwrap()
            .contains("AccessDenied")
    );
    assert!(report["evicted"].is_null() && report["release_not_before"].is_null());
}

#[tokio::test]
async fn watching_releases_when_the_gates_open_and_says_which_one_does_not() {
    let practice = Practice::new();
    let id = contained(&practice).await;
    practice
        .quell(&format!("watch {id}"))
        .await
        .expect(Exit::Refused)
        .says("--yes");
    practice
        .quell(&format!("watch {id} --yes"))
        .await
        .expect(Exit::Refused)
        .says("never closed");
    practice.evict(&id).await;
    let began = practice.range.now();
    practice
        .quell(&format!("watch {id} --yes"))
        .await
        .expect(Exit::Done)
        .says("waits [")
        .says("is released");
    let waited = practice.range.now().duration_since(began);
    assert!(
        (SignedDuration::from_hours(12)..SignedDuration::from_hours(13)).contains(&waited),
        "{waited:?}"
    );
    assert_eq!(practice.ours(), []);
}

#[tokio::test]
async fn the_user_is_deleted_only_when_it_is_asked_for() {
    let practice = Practice::new();
    let id = contained(&practice).await;
    practice.evict(&id).await;
    let is_there = |practice: &Practice| {
        practice.range.with(|state| {
            let mut users = state.directory.users.values();
            users.any(|user| user.username == HERO)
        })
    };
    assert!(is_there(&practice));
    practice
        .quell(&format!("evict {id} --delete-user"))
        .await
        .expect(Exit::Refused)
        .says("will be DELETED. That cannot be undone.");
    assert!(is_there(&practice));
    practice
        .quell(&format!("evict {id} --delete-user --yes"))
        .await
        .expect(Exit::Done);
    assert!(!is_there(&practice));
    // Whoever is gone gets no new sessions; the old ones are waited for as ever.
    practice
        .quell(&format!("release {id} --yes"))
        .await
        .expect(Exit::Refused)
        .says("may still be alive");
    practice.range.advance(SignedDuration::from_hours(13));
    practice
        .quell(&format!("release {id} --yes"))
        .await
        .expect(Exit::Done);
}

#[tokio::test]
async fn scim_disables_the_user_after_their_sessions_are_ended_and_its_token_is_never_shown() {
    let practice = Practice::new();
    let id = contained(&practice).await;
    let token = practice.state_dir.with_extension("token");
    std::fs::write(&token, format!("{}\n", quell::range::scim::TOKEN)).unwrap();
    let evict = format!(
        "evict {id} --yes --scim-endpoint https://scim.eu-west-1.amazonaws.com/tenant/scim/v2/ --scim-token-file {}",
        token.display()
    );
    let is_disabled = || {
        practice.range.with(|state| {
            let mut users = state.directory.users.values();
            users.find(|user| user.username == HERO).unwrap().disabled
        })
    };
    practice
        .quell(&evict)
        .await
        .expect(Exit::Partly)
        .says("first end the user's sessions and note portal-sessions");
    assert!(!is_disabled());
    let ran = practice
        .quell(&format!("{evict} --attest portal-sessions --by alice"))
        .await
        .expect(Exit::Done)
        .says("disabled  the user, by SCIM");
    assert!(is_disabled());
    let journal = std::fs::read_to_string(practice.state_dir.join(format!("{id}.jsonl"))).unwrap();
    for told in [&ran.out, &ran.err, &journal] {
        assert!(!told.contains(quell::range::scim::TOKEN), "{told}");
    }
    practice
        .quell(&evict.replace("https://", "http://"))
        .await
        .expect(Exit::Usage)
        .says("must begin with https://");
    std::fs::write(&token, "somebody-elses").unwrap();
    practice
        .quell(&evict)
        .await
        .expect(Exit::Partly)
        .says("it answers with status 401");
}
/// The text of the inline policy that AdministratorAccess has.
fn inline(practice: &Practice) -> Option<String> {
    practice.range.with(|state| {
        let mut sets = state.directory.sets.values();
        let set = sets.find(|set| set.name == "AdministratorAccess").unwrap();
        set.inline.as_ref().map(|inline| inline.text.clone())
    })
}

fn write_inline(practice: &Practice, text: &str) {
    practice.range.with(|state| {
        let mut sets = state.directory.sets.values_mut();
        let set = sets.find(|set| set.name == "AdministratorAccess").unwrap();
        set.inline = Some(Inline::parse(text).unwrap());
    });
}

#[tokio::test]
async fn what_somebody_writes_into_the_inline_policy_meanwhile_is_there_after_the_release() {
    const FIRST: &str = r#"{"Statement":[{"Effect":"Deny","Action":"iam:*",  "Resource":"*"}],"Version":"2012-10-17"}"#;
    const SECOND: &str = r#"{"Statement":[{"Effect":"Deny","Action":"kms:*",  "Resource":"*"}],"Version":"2012-10-17"}"#;
    for ours_stays in [false, true] {
        let practice = Practice::with(|blueprint| blueprint.extras.management = true);
        write_inline(&practice, FIRST);
        practice.quell(&format!("contain {HERO} --yes")).await;
        let id = practice.incident().await;
        let evict = format!("evict {id} --yes --management");
        practice.quell(&evict).await.expect(Exit::Done);
        let held = inline(&practice).unwrap();
        assert_ne!(held, FIRST);
        // A deployment writes the whole policy anew; or somebody adds to what they find.
        let written = match ours_stays {
            true => held.replace("iam:*", "kms:*"),
            false => SECOND.to_owned(),
        };
        write_inline(&practice, &written);
        practice.quell(&evict).await.expect(Exit::Done);
        practice.range.advance(SignedDuration::from_hours(13));
        practice
            .quell(&format!("release {id} --yes"))
            .await
            .expect(Exit::Done);
        assert_eq!(inline(&practice).as_deref(), Some(SECOND), "{ours_stays}");
    }
}

/// Everything that is in TagResource's way, until it is said otherwise.
fn tags_cannot_be_written(practice: &Practice) {
    let code = "AccessDeniedException".to_owned();
    practice.goes_wrong(
        "organizations:TagResource",
        9_999,
        Wrong::Error { status: 400, code },
    );
}

#[tokio::test]
async fn a_way_that_opened_again_stays_open_while_the_clock_cannot_be_stopped() {
    let practice = Practice::new();
    let id = contained(&practice).await;
    practice.evict(&id).await;
    practice.range.advance(SignedDuration::from_hours(12));
    // Somebody gives access again, and half an hour later it is noticed.
    practice.range.with(|state| {
        let hero = crate::stories::hero(state);
        let mut groups = state.directory.groups.keys();
        let group = groups.next().unwrap().clone();
        let user = state.directory.users.get_mut(&hero).unwrap();
        user.groups.insert(group);
    });
    practice.range.advance(SignedDuration::from_mins(20));
    tags_cannot_be_written(&practice);
    practice
        .quell(&format!("evict {id} --yes"))
        .await
        .expect(Exit::Partly);
    practice.range.with(|state| state.mishaps.clear());
    // Sessions of until then may live for hours: the wait that began with the first eviction is not theirs.
    practice.range.advance(SignedDuration::from_mins(20));
    practice
        .quell(&format!("release {id} --yes"))
        .await
        .expect(Exit::Refused);
    practice.evict(&id).await;
    practice
        .quell(&format!("release {id} --yes"))
        .await
        .expect(Exit::Refused)
        .says("may still be alive");
}
