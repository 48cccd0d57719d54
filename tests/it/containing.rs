//! What an on-call engineer gets from `plan` and `contain`.

use quell::cli::exit::Exit;
use quell::ids::*;
use quell::range::build::HERO;
use quell::range::state::{Assignment, User, Wrong};
use serde_json::json;

use crate::practice::Practice;

#[tokio::test]
async fn the_stolen_sessions_are_refused_in_every_member_account_and_nobody_elses_are() {
    let practice = Practice::new();
    for (account, key, _) in &practice.built.hero_sessions {
        assert_eq!(practice.call_as(key), 200, "before: {account}");
    }
    let report = practice
        .quell("contain test-user --yes --output json")
        .await
        .expect(Exit::Done)
        .json();

    for (account, key, _) in &practice.built.hero_sessions {
        let expected = if account.as_str() == "111122223333" {
            200
        } else {
            403
        };
        assert_eq!(practice.call_as(key), expected, "after: {account}");
    }
    assert_eq!(practice.refused_bystanders(), Vec::<String>::new());
    assert_eq!(report["state"], "proven");
    assert_eq!(report["target"], "r-quel");
    let accounts = report["accounts"].as_array().unwrap();
    assert_eq!(accounts.len(), 12);
    assert!(
        accounts
            .iter()
            .all(|account| account["verdict"] == "refused_by_us"),
        "{accounts:?}"
    );
    assert!(
        report["not_covered"][0]
            .as_str()
            .unwrap()
            .contains("Management account 111122223333")
    );
}

#[tokio::test]
async fn from_approval_to_accepted_there_are_two_calls_and_nothing_between() {
    let practice = Practice::new();
    practice
        .quell("contain test-user --yes")
        .await
        .expect(Exit::Done);
    let calls: Vec<String> = practice
        .calls()
        .into_iter()
        .map(|call| call.action)
        .collect();
    let create = calls
        .iter()
        .position(|action| action == "organizations:CreatePolicy")
        .unwrap();
    assert_eq!(calls[create + 1], "organizations:AttachPolicy");
    assert!(
        calls[..create]
            .iter()
            .all(|action| action != "organizations:AttachPolicy")
    );
    // The proof is written on the policy afterwards.
    assert_eq!(
        practice.mutations(),
        [
            "organizations:CreatePolicy",
            "organizations:AttachPolicy",
            "organizations:TagResource"
        ]
    );
}

#[tokio::test]
async fn a_plan_changes_nothing_and_writes_nothing() {
    let practice = Practice::new();
    for line in ["plan test-user", "contain test-user --dry-run"] {
        let ran = practice
            .quell(line)
            .await
            .expect(Exit::Done)
            .says("a release will delete it")
            .says("to be approved before 2026-11-22T03:15:")
            .says("PRACTICE");
        for (key, value) in [
            ("identitystore:UserId", "StringEquals"),
            ("\"*:test-user\"", "StringLike"),
            ("aws:SourceIdentity", "\"test-user\""),
        ] {
            assert!(
                ran.out.contains(key) && ran.out.contains(value),
                "{key}: {}",
                ran.out
            );
        }
    }
    practice.nothing_happened();
}

#[tokio::test]
async fn the_operator_types_the_username_and_nothing_else_will_do() {
    let practice = Practice::new();
    practice
        .quell("contain test-user")
        .await
        .expect(Exit::Refused)
        .says("there is no terminal")
        .says("--yes");
    for typed in ["", "y", "yes", "TEST-USER", "test-user2"] {
        practice.types(typed);
        practice
            .quell("contain test-user")
            .await
            .expect(Exit::Refused)
            .says("not the username")
            .says("Nothing was changed.");
    }
    practice.nothing_happened();
    practice.types("test-user");
    practice.quell("contain test-user").await.expect(Exit::Done);
    assert_eq!(practice.ours().len(), 1);
}

#[tokio::test]
async fn however_the_user_is_named_the_directorys_spelling_is_denied() {
    let id = Practice::new().range.with(|state| {
        state
            .directory
            .users
            .iter()
            .find(|(_, user)| user.username == HERO)
            .unwrap()
            .0
            .to_string()
    });
    for name in [HERO, "TEST-USER", "test-user@example.com", &id] {
        let practice = Practice::new();
        let plan = practice
            .quell(&format!("plan {name} --output json"))
            .await
            .expect(Exit::Done)
            .json();
        assert_eq!(plan["session_names"], json!([HERO]), "{name}");
        assert_eq!(plan["principal"], HERO);
    }
}

#[tokio::test]
async fn accounts_that_are_reached_through_groups_are_reached() {
    let practice = Practice::new();
    // All but one of the hero's assignments are their groups'.
    let direct = practice.range.with(|state| {
        state
            .directory
            .assignments
            .iter()
            .filter(|assignment| assignment.kind == "USER")
            .count()
    });
    let plan = practice.quell("plan test-user --output json").await.json();
    assert_eq!((direct, plan["reach"].as_array().unwrap().len()), (1, 12));
}

#[tokio::test]
async fn a_finding_file_and_a_fetched_finding_lead_to_the_same_person() {
    let practice = Practice::new();
    let (detector, id) = practice.built.finding.as_ref().unwrap();
    for line in [
        format!("plan --finding {id} --output json"),
        format!("plan --finding {id} --detector {detector} --output json"),
        format!(
            "plan --finding arn:aws:guardduty:us-east-1:111122223333:detector/{detector}/finding/{id} --output json"
        ),
    ] {
        assert_eq!(
            practice.quell(&line).await.expect(Exit::Done).json()["principal"],
            HERO,
            "{line}"
        );
    }
    let finding = practice
        .range
        .with(|state| state.detectors[detector][id.as_str()].clone());
    let file = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("fetched-finding.json");
    std::fs::write(&file, finding.to_string()).unwrap();
    let plan = practice
        .quell(&format!(
            "plan --finding-file {} --output json",
            file.display()
        ))
        .await
        .expect(Exit::Done)
        .json();
    assert_eq!(plan["principal"], HERO);
    practice
        .quell("plan --finding 0123456789abcdef0123456789abcdef")
        .await
        .expect(Exit::Failed)
        .says("GuardDuty has no finding");
}

#[tokio::test]
async fn a_session_is_contained_although_its_user_was_deleted() {
    // Deleting a user does not end their sessions (sources A): the finding alone must do.
    let practice = Practice::new();
    let (_, id) = practice.built.finding.clone().unwrap();
    practice.range.with(|state| {
        state
            .directory
            .users
            .retain(|_, user| user.username != HERO)
    });
    let report = practice
        .quell(&format!("contain --finding {id} --yes --output json"))
        .await
        .expect(Exit::Done)
        .json();
    let account = report["accounts"][0]["id"].as_str().unwrap();
    let (_, key, _) = practice
        .built
        .hero_sessions
        .iter()
        .find(|(known, _, _)| known.as_str() == account)
        .unwrap();
    assert_eq!(practice.call_as(key), 403);
    practice
        .quell("plan test-user")
        .await
        .expect(Exit::Failed)
        .says("has no user");
}

#[tokio::test]
async fn typing_the_command_again_doubles_nothing() {
    let practice = Practice::new();
    let first = practice
        .quell("contain test-user --yes --output json")
        .await
        .expect(Exit::Done)
        .json();
    let again = practice
        .quell("contain test-user --yes --output json")
        .await
        .expect(Exit::Done)
        .json();
    assert_eq!(
        (first["incident"].clone(), first["policy_id"].clone()),
        (again["incident"].clone(), again["policy_id"].clone())
    );
    assert_eq!(practice.ours().len(), 1);
    let creations = practice
        .mutations()
        .iter()
        .filter(|action| *action == "organizations:CreatePolicy")
        .count();
    assert_eq!(creations, 1);
}

#[tokio::test]
async fn two_people_are_two_incidents_and_releasing_one_leaves_the_other() {
    let practice = Practice::new();
    let first = practice
        .quell("contain test-user --yes --output json")
        .await
        .expect(Exit::Done)
        .json();
    let second = practice
        .quell("contain test-user2 --yes --output json")
        .await
        .expect(Exit::Done)
        .json();
    assert_ne!(first["incident"], second["incident"]);
    let id = second["incident"].as_str().unwrap();
    practice
        .quell(&format!("release {id} --force --yes"))
        .await
        .expect(Exit::Done);
    let (_, key, _) = &practice.built.hero_sessions[0];
    assert_eq!(practice.call_as(key), 403);
    assert_eq!(practice.refused_bystanders(), Vec::<String>::new());
}

#[tokio::test]
async fn whoever_reaches_the_management_account_is_said_to_be_free_there() {
    let practice = Practice::new();
    practice.range.with(|state| {
        let set = state.directory.sets.keys().next().unwrap().clone();
        let user = state
            .directory
            .users
            .iter()
            .find(|(_, user)| user.username == HERO)
            .unwrap()
            .0
            .to_string();
        state.directory.assignments.push(Assignment {
            account: state.management.clone(),
            set,
            kind: "USER",
            principal: user,
        });
    });
    let ran = practice
        .quell("contain test-user --yes")
        .await
        .expect(Exit::GettingThrough);
    assert!(
        ran.out
            .contains("NOT CONTAINED in the management account 111122223333"),
        "{}",
        ran.out
    );
    let incident = practice.incident().await;
    practice
        .quell(&format!("verify {incident}"))
        .await
        .expect(Exit::GettingThrough)
        .says("NOT CONTAINED in the management account");
}

#[tokio::test]
async fn a_deny_on_one_unit_or_account_says_what_it_leaves_open() {
    for (target, covered) in [("ou-quel-workload", 7), ("444455556666", 1)] {
        let practice = Practice::new();
        let report = practice
            .quell(&format!(
                "contain test-user --target {target} --yes --output json"
            ))
            .await
            .expect(Exit::Done)
            .json();
        assert_eq!(
            report["accounts"].as_array().unwrap().len(),
            covered,
            "{target}"
        );
        assert!(
            report["not_covered"][1]
                .as_str()
                .unwrap()
                .contains("Outside the target"),
            "{report}"
        );
        for (account, key, _) in &practice.built.hero_sessions {
            let inside = report["accounts"]
                .as_array()
                .unwrap()
                .iter()
                .any(|looked| looked["id"] == account.as_str());
            assert_eq!(
                practice.call_as(key),
                if inside { 403 } else { 200 },
                "{target}: {account}"
            );
        }
    }
}

#[tokio::test]
async fn a_name_that_no_session_can_have_is_denied_by_user_id_alone() {
    let practice = Practice::new();
    let plan = practice
        .run(
            ["plan", "Erin.O'Neil", "--output", "json"]
                .map(str::to_owned)
                .to_vec(),
        )
        .await
        .expect(Exit::Done)
        .json();
    let statements = plan["document"]["Statement"].as_array().unwrap();
    assert_eq!(statements.len(), 1);
    assert!(statements[0]["Condition"]["StringEquals"]["identitystore:UserId"].is_string());
    assert!(
        plan["warnings"][0]
            .as_str()
            .unwrap()
            .contains("cannot be a session name"),
        "{plan}"
    );
    // What no canary can show is not called proven.
    practice
        .run(
            ["contain", "Erin.O'Neil", "--yes"]
                .map(str::to_owned)
                .to_vec(),
        )
        .await
        .expect(Exit::NotProven);
}

#[tokio::test]
async fn another_user_whose_sessions_may_be_named_alike_is_named_before_approval() {
    let practice = Practice::new();
    let plan = practice
        .quell("plan test-user --output json")
        .await
        .expect(Exit::Done)
        .json();
    assert_eq!(plan["warnings"], json!([]));
    practice.range.with(|state| {
        let id = UserId::parse("94482488-3041-7026-18f3-0000000000aa").unwrap();
        let user = User {
            username: "test user".to_owned(),
            email: "test.user@example.com".to_owned(),
            ..User::default()
        };
        state.directory.users.insert(id, user);
    });
    let plan = practice
        .quell("plan test-user --output json")
        .await
        .expect(Exit::Done)
        .json();
    let warning = plan["warnings"][0].as_str().unwrap();
    assert!(
        warning.starts_with("Name collision: the sessions of user `test user` (94482488-3041-7026-18f3-0000000000aa) may be named test-user too"),
        "{warning}"
    );
}

#[tokio::test]
async fn a_directory_that_may_not_be_listed_or_is_too_large_keeps_nobody_in() {
    let practice = Practice::new();
    practice.goes_wrong(
        "identitystore:ListUsers",
        1,
        Wrong::Error {
            status: 400,
            code: "AccessDeniedException".to_owned(),
        },
    );
    practice
        .quell("plan test-user --output json")
        .await
        .expect(Exit::Done)
        .says("Not all of the directory's users were compared (identitystore:ListUsers");
    practice.range.with(|state| {
        for number in 0..600_u32 {
            let id = UserId::parse(format!("94482488-3041-7026-18f3-{number:012x}")).unwrap();
            let user = User {
                username: format!("somebody-{number}"),
                email: String::new(),
                ..User::default()
            };
            state.directory.users.insert(id, user);
        }
    });
    practice
        .quell("plan test-user --output json")
        .await
        .expect(Exit::Done)
        // An empty page among the five is legal, and the range gives one.
        .says("Not all of the directory's users were compared (the directory has more than 400 users)");
    let pages = practice
        .calls()
        .into_iter()
        .filter(|call| call.action == "identitystore:ListUsers");
    assert_eq!(pages.count(), 6);
}

#[tokio::test]
async fn the_record_on_this_machine_can_be_checked_and_shows_every_change() {
    let practice = Practice::new();
    let report = practice
        .quell("contain test-user --yes --output json")
        .await
        .expect(Exit::Done)
        .json();
    let incident = report["incident"].as_str().unwrap();
    let verified = practice
        .quell(&format!("journal verify {incident} --output json"))
        .await
        .expect(Exit::Done)
        .json();
    assert_eq!(verified["incident"], *incident);
    // Approved; two steps and the proof begun and ended; twelve accounts; proven.
    assert_eq!(verified["entries"], 1 + 3 * 2 + 12 + 1);
    let file = practice.state_dir.join(format!("{incident}.jsonl"));
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replacen("test-user", "test-uses", 1)).unwrap();
    practice
        .quell(&format!("journal verify {}", file.display()))
        .await
        .expect(Exit::Failed)
        .says("line 1 was changed after it was written")
        .says("it is evidence");
    practice
        .quell("journal verify q-ffffff")
        .await
        .expect(Exit::Usage)
        .says("q-ffffff.jsonl");
    // What AWS remembers does not hang on the file.
    practice
        .quell("status")
        .await
        .expect(Exit::Done)
        .says(incident);
}

#[tokio::test]
async fn the_policy_carries_the_incident_for_whoever_meets_it_in_the_console() {
    let practice = Practice::new();
    let report = practice
        .quell("contain test-user --yes --output json")
        .await
        .json();
    let incident = report["incident"].as_str().unwrap();
    practice.range.with(|state| {
        let policy =
            &state.policies[&PolicyId::parse(report["policy_id"].as_str().unwrap()).unwrap()];
        assert_eq!(policy.name, format!("quell-{incident}"));
        assert!(
            policy
                .description
                .contains(&format!("quell release {incident}")),
            "{}",
            policy.description
        );
        for key in [
            "incident",
            "principal",
            "user-id",
            "session-name",
            "operator",
            "opened",
            "proven",
            "release-not-before",
            "longest-session",
        ] {
            assert!(
                policy.tags.contains_key(&format!("quell:{key}")),
                "no quell:{key} in {:?}",
                policy.tags
            );
        }
        let sid = format!("Quell{}SessionName", incident.trim_start_matches("q-"));
        assert!(policy.content.contains(&sid), "{}", policy.content);
    });
}

#[tokio::test]
async fn a_members_own_identity_center_is_not_the_organizations() {
    let practice = Practice::new();
    practice
        .range
        .with(|state| state.directory.account_instance = true);
    let plan = practice
        .quell("plan test-user --output json")
        .await
        .expect(Exit::Done)
        .json();
    assert_eq!(plan["reach"].as_array().unwrap().len(), 12);
}

#[tokio::test]
async fn what_the_deny_does_not_need_to_know_keeps_nobody_in() {
    use quell::range::state::Wrong;
    let practice = Practice::new();
    let denied = Wrong::Error {
        status: 400,
        code: "AccessDeniedException".to_owned(),
    };
    practice.goes_wrong("sso:ListAccountAssignmentsForPrincipal", 99, denied);
    practice
        .quell("contain test-user --yes")
        .await
        .expect(Exit::NotProven)
        .says("What the user can enter is unknown")
        .says("none could be looked at");
    practice.range.advance(jiff::SignedDuration::from_secs(60));
    assert_eq!(practice.call_as(&practice.built.hero_sessions[0].1), 403);
}

#[tokio::test]
async fn a_deny_that_was_detached_and_attached_again_waits_from_its_new_proof() {
    let practice = Practice::new();
    let first = practice
        .quell("contain test-user --yes --output json")
        .await
        .expect(Exit::Done)
        .json();
    practice.range.advance(jiff::SignedDuration::from_hours(10));
    practice.range.with(|state| {
        let root = state.root.clone();
        state.attachments.get_mut(&root).unwrap().truncate(1);
        state.policies_changed();
    });
    practice.range.advance(jiff::SignedDuration::from_hours(10));
    let again = practice
        .quell("contain test-user --yes --output json")
        .await
        .expect(Exit::Done)
        .json();
    assert_eq!(first["incident"], again["incident"]);
    // The old clock was stopped before the deny was attached, not after.
    let mutations = practice.mutations();
    let tail: Vec<&str> = mutations[3..].iter().map(String::as_str).collect();
    assert_eq!(
        tail,
        [
            "organizations:TagResource",
            "organizations:AttachPolicy",
            "organizations:TagResource"
        ]
    );
    let incident = again["incident"].as_str().unwrap();
    practice.evict(incident).await;
    practice
        .quell(&format!("release {incident} --yes"))
        .await
        .expect(Exit::Refused)
        .says("may still be alive");
}

#[tokio::test]
async fn a_policy_that_somebody_changed_is_not_taken_for_the_deny() {
    let practice = Practice::new();
    let report = practice
        .quell("contain test-user --yes --output json")
        .await
        .expect(Exit::Done)
        .json();
    practice.range.with(|state| {
        let id = PolicyId::parse(report["policy_id"].as_str().unwrap()).unwrap();
        let policy = state.policies.get_mut(&id).unwrap();
        policy.content = policy.content.replace("*:test-user", "*:*");
    });
    practice
        .quell("contain test-user --yes")
        .await
        .expect(Exit::Refused)
        .says("was changed by somebody else")
        .says("--force");
}

#[tokio::test]
async fn a_refused_plan_is_one_object_with_its_refusals() {
    let practice = Practice::new();
    practice.range.with(|state| state.scps_enabled = false);
    let plan = practice
        .quell("plan test-user --output json")
        .await
        .expect(Exit::Refused)
        .says("hint:")
        .json();
    assert!(
        plan["refusals"][0]
            .as_str()
            .unwrap()
            .contains("switched off")
    );
    let usage = practice
        .quell("contain --output json")
        .await
        .expect(Exit::Usage)
        .json();
    assert_eq!(
        (&usage["schema"], &usage["exit"]),
        (&json!("quell.error/1"), &json!(2))
    );
}
