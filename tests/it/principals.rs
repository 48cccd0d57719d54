//! Principals who are no people of the directory: from the signal to the release, with whoever is almost them beside.

use quell::cli::exit::Exit;
use quell::ids::*;
use quell::range::build::kinds::{self, Accusation, Kind};
use quell::range::clock::Ended;
use quell::range::state::Wrong;
use serde_json::Value;

use crate::practice::{Practice, Ran};

/// An organization where an attacker of this kind calls, and the file of the finding that accuses them.
fn attacked_by(kind: Kind) -> (Practice, String) {
    let practice = Practice::new();
    let accusation = practice
        .range
        .with(|state| kinds::play(state, kind, false))
        .unwrap();
    let Accusation::Finding(text) = accusation else {
        panic!("no finding accuses them");
    };
    let path = practice.state_dir.with_extension("finding.json");
    std::fs::write(&path, text).unwrap();
    (practice, path.display().to_string())
}

/// A finding of the same kind with another account.
fn about_account(path: &str, account: &str) -> String {
    let text = std::fs::read_to_string(path).unwrap();
    let finding: Value = serde_json::from_str(&text).unwrap();
    let theirs = finding["accountId"].as_str().unwrap();
    std::fs::write(path, text.replace(theirs, account)).unwrap();
    path.to_owned()
}

fn denied() -> Wrong {
    Wrong::Error {
        status: 403,
        code: "AccessDeniedException".to_owned(),
    }
}

/// How the calls of the attacker and of everybody else ended since a moment.
fn calls(practice: &Practice, attacker: bool, ended: Ended, since: jiff::Timestamp) -> usize {
    practice.range.with(|state| {
        let theirs = |actor: usize| state.actors[actor].attacker == attacker;
        let seen = state.seen.iter();
        seen.filter(|it| it.at > since && it.ended == ended && theirs(it.actor))
            .count()
    })
}

fn statements(plan: &Value) -> Vec<String> {
    let statements = plan["document"]["Statement"].as_array().unwrap();
    let sids = statements.iter().map(|statement| &statement["Sid"]);
    sids.map(|sid| {
        let sid = sid.as_str().unwrap();
        sid.trim_start_matches("Quell").get(6..).unwrap().to_owned()
    })
    .collect()
}

#[tokio::test]
async fn every_kind_of_principal_is_practised_and_nobody_beside_them_is_hit() {
    let practice = Practice::new();
    for (word, _) in Kind::ALL {
        let ran = practice
            .quell(&format!("drill --of {word} --output json"))
            .await;
        let report = ran.expect(Exit::Done).json();
        assert_eq!(report["verdict"], "pass", "{word}");
        assert!(
            report["attacker"]["refused"].as_u64().unwrap() > 100,
            "{word}: {report}"
        );
        assert!(
            report["bystanders_allowed"].as_u64().unwrap() > 200,
            "{word}"
        );
        assert_eq!(report["bystanders_refused"], 0, "{word}");
    }
    let wrong = practice.quell("drill --of robot").await;
    wrong
        .expect(Exit::Usage)
        .says("role-session, role, instance");
}

#[tokio::test]
async fn a_stolen_session_of_a_role_is_denied_alone_and_another_machine_lets_it_go() {
    let (practice, finding) = attacked_by(Kind::RoleSession);
    let plan = practice
        .quell(&format!("plan --finding-file {finding} --output json"))
        .await;
    let plan = plan.expect(Exit::Done).json();
    assert_eq!(statements(&plan), ["PrincipalId", "Witness"]);
    assert_eq!(plan["exact"]["account"], "444455556666");
    let contained = practice
        .quell(&format!(
            "contain --finding-file {finding} --yes --output json"
        ))
        .await
        .expect(Exit::Done)
        .json();
    let id = contained["incident"].as_str().unwrap().to_owned();
    let proven = practice.range.now();
    practice.range.advance(jiff::SignedDuration::from_mins(10));
    assert!(calls(&practice, true, Ended::Refused, proven) > 0);
    assert_eq!(calls(&practice, true, Ended::Allowed, proven), 0);
    assert_eq!(calls(&practice, false, Ended::Refused, proven), 0);

    let there = practice.on_another_machine();
    there
        .quell(&format!("release {id} --yes"))
        .await
        .expect(Exit::Refused)
        .says("were never closed");
    there
        .quell(&format!("evict {id}"))
        .await
        .expect(Exit::Partly)
        .says("aws iam update-assume-role-policy")
        .says(&format!("quell evict {id} --attest no-way-left"));
    there
        .quell(&format!("evict {id} --attest no-way-left --by alice --yes"))
        .await
        .expect(Exit::Done);
    there
        .quell(&format!("release {id} --yes"))
        .await
        .expect(Exit::Refused)
        .says("12h");
    there
        .range
        .advance(jiff::SignedDuration::from_mins(12 * 60 + 31));
    there
        .quell(&format!("release {id} --yes"))
        .await
        .expect(Exit::Done);
    assert!(there.ours().is_empty());
}

#[tokio::test]
async fn what_stops_a_workload_takes_saying_it_twice() {
    for (kind, what) in [
        (Kind::Instance, "EC2 instance i-0a1b2c3d4e5f60718"),
        (Kind::Function, "Lambda function orders"),
    ] {
        let (practice, finding) = attacked_by(kind);
        let contain = format!("contain --finding-file {finding}");
        practice
            .quell(&format!("{contain} --yes"))
            .await
            .expect(Exit::Refused)
            .says(what)
            .says("--stops-workload");
        practice.nothing_happened();
        // On a terminal the same is asked, and what was typed for the one is no answer to the other.
        let plan = practice
            .quell(&format!("plan --finding-file {finding} --output json"))
            .await;
        let plan = plan.expect(Exit::Done).json();
        let session = plan["principal"].as_str().unwrap();
        practice.types_in_turn(&[session, "yes"]);
        practice
            .quell(&contain)
            .await
            .expect(Exit::Refused)
            .says("the word stop");
        practice.nothing_happened();
        practice.types_in_turn(&[session, "stop"]);
        practice.quell(&contain).await.expect(Exit::Done);
    }
    let (practice, finding) = attacked_by(Kind::Instance);
    let contain = format!("contain --finding-file {finding} --yes --stops-workload");
    practice.quell(&contain).await.expect(Exit::Done);
}

#[tokio::test]
async fn a_signal_about_an_account_of_somebody_else_denies_nobody() {
    for kind in [Kind::RoleSession, Kind::Root, Kind::IamUser] {
        let (practice, finding) = attacked_by(kind);
        let finding = about_account(&finding, "909090909090");
        practice
            .quell(&format!("contain --finding-file {finding} --yes"))
            .await
            .expect(Exit::Refused)
            .says("909090909090, which is not of this organization");
        practice.nothing_happened();
    }
    // Where nobody can tell, it is said, and the rest goes on.
    let (practice, finding) = attacked_by(Kind::RoleSession);
    practice.goes_wrong("organizations:DescribeAccount", 9, denied());
    practice
        .quell(&format!("plan --finding-file {finding}"))
        .await
        .expect(Exit::Done)
        .says("is one of this organization's is unknown");
}

#[tokio::test]
async fn in_the_management_account_nothing_is_promised() {
    for (kind, instead) in [
        (Kind::RoleSession, "Revoke sessions"),
        (Kind::Root, "recover it with its e-mail address"),
    ] {
        let (practice, finding) = attacked_by(kind);
        let finding = about_account(&finding, "111122223333");
        practice
            .quell(&format!("contain --finding-file {finding} --yes"))
            .await
            .expect(Exit::Refused)
            .says("management account 111122223333")
            .says(instead);
        practice.nothing_happened();
    }
}

#[tokio::test]
async fn a_session_of_an_ordinary_role_that_account_access_manager_gave_is_a_persons() {
    let (practice, finding) = attacked_by(Kind::RoleSession);
    let account = AccountId::parse("444455556666").unwrap();
    practice.range.with(|state| {
        let roles = &mut state.accounts.get_mut(&account).unwrap().roles;
        roles.get_mut("deploy").unwrap().service = Some("account-access.amazonaws.com");
    });
    let text = std::fs::read_to_string(&finding).unwrap();
    std::fs::write(&finding, text.replace("pipeline-7", "test-user")).unwrap();
    let plan = practice
        .quell(&format!("plan --finding-file {finding} --output json"))
        .await
        .expect(Exit::Done)
        .json();
    assert_eq!(plan["principal"], "test-user");
    assert_eq!(
        statements(&plan),
        ["UserId", "SessionName", "SourceIdentity"]
    );
    // Where the role cannot be read, the session is denied alone, and the namesake is named.
    practice.goes_wrong("iam:GetRole", 9, denied());
    practice
        .quell(&format!("plan --finding-file {finding}"))
        .await
        .expect(Exit::Done)
        .says("The directory has a user test-user")
        .says("Whether a workload uses the role is unknown");
}

/// The incident that a run left behind.
fn incident_of(ran: &Ran) -> String {
    let at = ran.err.find("q-").unwrap();
    ran.err.get(at..at + 8).unwrap().to_owned()
}

#[tokio::test]
async fn an_interrupted_containment_goes_on_under_the_same_incident() {
    for kind in [Kind::RoleSession, Kind::Root, Kind::FederatedUser] {
        let (practice, finding) = attacked_by(kind);
        practice.goes_wrong("organizations:AttachPolicy", 9, denied());
        let ran = practice
            .quell(&format!("contain --finding-file {finding} --yes"))
            .await
            .expect(Exit::Partly);
        let id = incident_of(&ran);
        practice.range.with(|state| state.mishaps.clear());
        // From what AWS remembers alone.
        let there = practice.on_another_machine();
        there
            .quell(&format!("contain --resume {id} --yes"))
            .await
            .expect(Exit::Done)
            .says(&id);
        assert_eq!(there.ours().len(), 1);
    }
}

#[tokio::test]
async fn an_armed_organization_denies_them_in_one_call_and_lets_them_go() {
    let (practice, finding) = attacked_by(Kind::FederatedUser);
    let since = async |practice: &Practice| {
        let now = practice.range.now();
        practice.range.advance(jiff::SignedDuration::from_mins(10));
        assert_eq!(calls(practice, true, Ended::Allowed, now), 0);
        assert!(calls(practice, true, Ended::Refused, now) > 0);
        assert_eq!(calls(practice, false, Ended::Refused, now), 0);
    };
    practice.quell("prepare arm --yes").await.expect(Exit::Done);
    let before = practice.mutations().len();
    let contained = practice
        .quell(&format!(
            "contain --finding-file {finding} --yes --output json"
        ))
        .await
        .expect(Exit::Done)
        .json();
    let id = contained["incident"].as_str().unwrap().to_owned();
    assert_eq!(practice.mutations()[before], "organizations:UpdatePolicy");
    since(&practice).await;
    practice
        .quell(&format!("evict {id} --attest no-way-left --by alice --yes"))
        .await
        .expect(Exit::Done);
    since(&practice).await;
    practice
        .range
        .advance(jiff::SignedDuration::from_mins(36 * 60 + 31));
    practice
        .quell(&format!("release {id} --yes"))
        .await
        .expect(Exit::Done);
    assert_eq!(practice.ours().len(), 1, "the armed policy stays");
}

/// The operator works in a role of a member account that manages the organization's policies.
fn works_in(practice: &Practice, account: &str, role: &str) -> String {
    let account = AccountId::parse(account).unwrap();
    let id = practice.range.with(|state| {
        state.delegated.insert(account.clone());
        state.accounts[&account].roles[role].id.to_string()
    });
    let session = quell::range::state::Session {
        account: account.clone(),
        arn: format!("arn:aws:sts::{account}:assumed-role/{role}/oncall"),
        principal_arn: format!("arn:aws:iam::{account}:role/{role}"),
        user_id: format!("{id}:oncall"),
        issued: Some(practice.range.now()),
        token: Some("practice-token-oncall".to_owned()),
        ..practice.operator_session()
    };
    practice.signs_with("ASIAONCALL0000000000", session);
    id
}

#[tokio::test]
async fn whoever_works_in_a_role_does_not_lock_themselves_out_with_it() {
    let (practice, _) = attacked_by(Kind::RoleSession);
    let id = works_in(&practice, "444455556666", "deploy");
    practice
        .quell(&format!("contain {id} --yes --stops-workload"))
        .await
        .expect(Exit::Refused)
        .says("would refuse you");
    practice.nothing_happened();
}

#[tokio::test]
async fn a_role_is_denied_up_to_the_moment_when_the_deny_stands() {
    let practice = Practice::new();
    let accusation = practice
        .range
        .with(|state| kinds::play(state, Kind::Role, false))
        .unwrap();
    let Accusation::Role(account, name, _) = accusation else {
        panic!("a finding accuses a role");
    };
    let role = format!("arn:aws:iam::{account}:role/{name}");
    let contained = practice
        .quell(&format!("contain {role} --yes --evict --output json"))
        .await
        .expect(Exit::Done)
        .json();
    let id = contained["incident"].as_str().unwrap().to_owned();
    let statements = practice.range.with(|state| {
        let ours = |policy: &&quell::range::state::Policy| policy.name.ends_with(&id);
        state.policies.values().find(ours).unwrap().content.clone()
    });
    // A session that is given out while the plan is read and approved is denied, too.
    let document: Value = serde_json::from_str(&statements).unwrap();
    let before = &document["Statement"][0]["Condition"]["DateLessThan"]["aws:TokenIssueTime"];
    let before: jiff::Timestamp = before.as_str().unwrap().parse().unwrap();
    assert!(before > practice.range.now() + jiff::SignedDuration::from_mins(15));
    let status = practice
        .quell(&format!("status {id} --output json"))
        .await
        .json();
    let until = status["incidents"][0]["release_not_before"]
        .as_str()
        .unwrap();
    let until: jiff::Timestamp = until.parse().unwrap();
    assert!(
        until > before + jiff::SignedDuration::from_hours(12),
        "{until} {before}"
    );
    practice
        .quell(&format!("evict {id}"))
        .await
        .expect(Exit::Refused)
        .says("nothing to close");
    // Detached by somebody, it goes on as what it was.
    practice.range.with(|state| {
        let policy = state
            .policies
            .iter()
            .find(|(_, policy)| policy.name.ends_with(&id));
        let policy = policy.unwrap().0.clone();
        for attached in state.attachments.values_mut() {
            attached.retain(|known| *known != policy);
        }
        state.policies_changed();
    });
    practice
        .quell(&format!("contain --resume {id} --yes"))
        .await
        .expect(Exit::Done)
        .says(&id);
    assert_eq!(practice.ours().len(), 1);
}

#[tokio::test]
async fn a_service_linked_role_is_refused_because_no_policy_reaches_it() {
    let (practice, finding) = attacked_by(Kind::RoleSession);
    let text = std::fs::read_to_string(&finding).unwrap();
    std::fs::write(
        &finding,
        text.replace("\"deploy\"", "\"AWSServiceRoleForExample\""),
    )
    .unwrap();
    practice
        .quell(&format!("contain --finding-file {finding} --yes"))
        .await
        .expect(Exit::Refused)
        .says("service-linked");
    practice.nothing_happened();
}
