//! What was given is wrong, or the organization is: said clearly, with nothing changed and nothing left.

use std::path::{Path, PathBuf};

use quell::cli::exit::Exit;
use quell::range::state::{Session, Wrong};

use crate::practice::Practice;

fn file(name: &str, content: &[u8]) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, content).unwrap();
    path
}

fn finding(user_type: &str, principal: &str) -> String {
    format!(
        r#"{{"id":"f1","type":"UnauthorizedAccess:IAMUser/TorIPCaller","accountId":"222233334444","resource":{{"accessKeyDetails":{{"userType":"{user_type}","principalId":"{principal}","userName":"AWSReservedSSO_ReadOnlyAccess_0123456789abcdef"}}}}}}"#
    )
}

#[tokio::test]
async fn names_that_are_nobodys_or_several_peoples() {
    let practice = Practice::new();
    practice.range.with(|state| {
        // Somebody's username is somebody else's e-mail address.
        for user in state.directory.users.values_mut() {
            match user.username.as_str() {
                "dave" => user.email = "bob@example.com".to_owned(),
                "bob@example.com" => user.email = "robert@example.com".to_owned(),
                _ => {}
            }
        }
    });
    practice
        .quell("contain nobody --yes")
        .await
        .expect(Exit::Failed)
        .says("has no user `nobody`")
        .says("Nothing was changed.");
    practice
        .quell("contain bob@example.com --yes")
        .await
        .expect(Exit::Failed)
        .says("means several users")
        .says("dave")
        .says("by user id");
    practice
        .quell("contain --yes-please")
        .await
        .expect(Exit::Usage);
    practice
        .quell("contain -- --yes")
        .await
        .expect(Exit::Failed)
        .says("has no user `--yes`");
    practice
        .run(vec!["contain".to_owned(), "  ".to_owned()])
        .await
        .expect(Exit::Usage)
        .says("empty");
    practice
        .run(vec!["contain".to_owned(), "x".repeat(129)])
        .await
        .expect(Exit::Usage)
        .says("at most 128");
    practice.quell("contain").await.expect(Exit::Usage);
    practice
        .quell("contain test-user --finding-file x")
        .await
        .expect(Exit::Usage);
    practice
        .quell("contain test-user --target everything")
        .await
        .expect(Exit::Usage)
        .says("attachment target");
    practice
        .quell("contain test-user --verify-timeout -3m")
        .await
        .expect(Exit::Usage);
    practice
        .quell("contain test-user --region eu-west")
        .await
        .expect(Exit::Usage);
    practice.quell("release").await.expect(Exit::Usage);
    practice.quell("verify q-nothex").await.expect(Exit::Usage);
    practice
        .quell("verify q-000000")
        .await
        .expect(Exit::Failed)
        .says("has no incident q-000000");
    practice.nothing_happened();
}

#[tokio::test]
async fn findings_that_cannot_be_read() {
    let practice = Practice::new();
    let huge = vec![b' '; 11 * 1024 * 1024];
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    for (name, content, says) in [
        ("empty.json", b"".as_slice(), "empty"),
        ("spaces.json", b" \n ", "empty"),
        ("huge.json", &huge, "over 10 MiB"),
        ("not.json", b"{\"id\":", "not JSON"),
        ("deep.json", deep.as_bytes(), "not JSON"),
        ("binary.json", b"\xff\xfe\x00", "not UTF-8"),
        ("number.json", b"42", "expected a finding"),
        ("none.json", b"{\"Findings\":[]}", "no finding"),
        ("type.json", b"{\"id\":\"x\",\"type\":7}", "$.type"),
        (
            "resource.json",
            b"{\"id\":\"x\",\"type\":\"A\",\"resource\":[]}",
            "$.resource",
        ),
    ] {
        let path = file(name, content);
        practice
            .quell(&format!("contain --yes --finding-file {}", path.display()))
            .await
            .expect(Exit::Usage)
            .says(says)
            .says("Nothing was changed.");
    }
    practice
        .quell("contain --yes --finding-file /does/not/exist")
        .await
        .expect(Exit::Usage)
        .says("/does/not/exist");
    practice.nothing_happened();
    assert_eq!(
        practice.calls().len(),
        0,
        "AWS was asked about a finding that cannot be read"
    );
}

#[tokio::test]
async fn findings_about_somebody_whom_no_scp_can_name() {
    let practice = Practice::new();
    let resource = |inside: &str| format!(r#"{{"id":"x","type":"Y:Z/W","resource":{{{inside}}}}}"#);
    for (name, content, says) in [
        (
            "rds.json",
            resource(r#""rdsDbUserDetails":{"user":"postgres"}"#),
            "database user",
        ),
        (
            "k8s.json",
            resource(r#""kubernetesDetails":{"kubernetesUserDetails":{"username":"x"}}"#),
            "Kubernetes user",
        ),
        (
            "ec2.json",
            resource(r#""instanceDetails":{"instanceId":"i-1"}"#),
            "instance's network activity",
        ),
        ("nobody.json", resource(""), "names no AWS principal"),
        (
            "cloudtrail.json",
            r#"{"userIdentity":{},"eventName":"x"}"#.to_owned(),
            "names no AWS principal",
        ),
        (
            "securityhub.json",
            r#"{"ProductArn":"x","AwsAccountId":"1"}"#.to_owned(),
            "names no AWS principal",
        ),
        (
            "sample.json",
            finding("AssumedRole", "GeneratedFindingPrincipalId"),
            "GuardDuty sample",
        ),
        (
            "star.json",
            finding("AssumedRole", "AROAEXAMPLEEXAMPLE123:*"),
            "cannot be real",
        ),
        (
            "template.json",
            finding("AssumedRole", "${principal_id}"),
            "cannot be real",
        ),
        (
            "variable.json",
            finding("AssumedRole", "AROAEXAMPLEEXAMPLE123:${aws:username}"),
            "cannot be real",
        ),
        (
            "iamuser.json",
            finding("IAMUser", "AIDAEXAMPLEEXAMPLE123").replace("222233334444", ""),
            "IAM user",
        ),
        (
            "root.json",
            finding("Root", "AIDAROOT").replace("222233334444", ""),
            "a root user of no account",
        ),
        (
            "federated.json",
            finding("FederatedUser", "222233334444:"),
            "federated user",
        ),
    ] {
        let path = file(name, content.as_bytes());
        for verb in ["plan", "contain --yes", "drill"] {
            practice
                .quell(&format!("{verb} --finding-file {}", path.display()))
                .await
                .expect(Exit::Refused)
                .says(says)
                .says("hint:");
        }
    }
    practice.nothing_happened();
    assert_eq!(
        practice.calls().len(),
        0,
        "AWS was asked about somebody who cannot be contained"
    );
}

#[tokio::test]
async fn text_from_a_finding_cannot_play_with_the_terminal() {
    let practice = Practice::new();
    let path = file(
        "escape.json",
        br#"{"id":"\u001b[2J\u202e","type":"\u001b]0;owned\u0007"}"#,
    );
    let ran = practice
        .quell(&format!("signal read {}", path.display()))
        .await
        .expect(Exit::Done);
    assert!(
        !ran.out.contains('\u{1b}') && !ran.out.contains('\u{202e}') && !ran.out.contains('\u{7}'),
        "{:?}",
        ran.out
    );
    let ran = practice
        .run(vec![
            "contain".to_owned(),
            "\u{1b}[2Jx".to_owned(),
            "--yes".to_owned(),
        ])
        .await
        .expect(Exit::Failed);
    assert!(!ran.err.contains('\u{1b}'), "{:?}", ran.err);
}

#[tokio::test]
async fn an_organization_that_cannot_take_the_deny() {
    let practice = Practice::new();
    practice.range.with(|state| state.exists = false);
    practice
        .quell("contain test-user --yes")
        .await
        .expect(Exit::Refused)
        .says("not part of an organization");
    practice.nothing_happened();

    let practice = Practice::new();
    practice.range.with(|state| state.all_features = false);
    practice
        .quell("contain test-user --yes")
        .await
        .expect(Exit::Refused)
        .says("all features");
    practice.nothing_happened();

    let practice = Practice::new();
    practice.range.with(|state| state.scps_enabled = false);
    practice
        .quell("contain test-user --yes")
        .await
        .expect(Exit::Refused)
        .says("switched off")
        .says("enable-policy-type");
    practice.nothing_happened();

    let practice = Practice::new();
    practice.range.with(|state| {
        let full = state.policies.values().next().unwrap().clone();
        for i in 0..9 {
            let id = quell::ids::PolicyId::parse(format!("p-filler000{i}")).unwrap();
            state.policies.insert(
                id.clone(),
                quell::range::state::Policy {
                    name: format!("filler-{i}"),
                    ..full.clone()
                },
            );
            let root = state.root.clone();
            state.attachments.get_mut(&root).unwrap().push(id);
        }
    });
    practice
        .quell("contain test-user --yes")
        .await
        .expect(Exit::Refused)
        .says("10 service control policies are attached to r-quel");
    practice.nothing_happened();
}

#[tokio::test]
async fn from_a_member_account_it_says_where_to_go() {
    let practice = Practice::new();
    let member = quell::ids::AccountId::parse("333344445555").unwrap();
    let session = Session {
        account: member.clone(),
        arn: format!("arn:aws:iam::{member}:user/x"),
        ..practice.operator_session()
    };
    practice.signs_with("AKIAMEMBERMEMBER0000", session);
    practice
        .quell("contain test-user --yes")
        .await
        .expect(Exit::Refused)
        .says("neither the management account (111122223333) nor a delegated administrator");
    practice.nothing_happened();
    // Delegated, it works.
    practice.range.with(|state| {
        state.delegated.insert(member.clone());
        for account in state.accounts.values_mut() {
            account.roles.values_mut().for_each(|role| {
                role.trusts.insert(member.clone());
            });
        }
    });
    practice
        .quell("contain test-user --yes")
        .await
        .expect(Exit::Done);
}

#[tokio::test]
async fn credentials_that_are_missing_expired_or_without_rights() {
    let practice = Practice::new();
    practice.signs_with_nothing_valid();
    practice
        .quell("contain test-user --yes")
        .await
        .expect(Exit::Failed)
        .says("InvalidClientTokenId")
        .says("Sign in");
    let session = Session {
        issued: Some("2026-11-21T03:00:00Z".parse().unwrap()),
        expires: Some("2026-11-21T04:00:00Z".parse().unwrap()),
        token: Some("t".to_owned()),
        ..practice.operator_session()
    };
    practice.signs_with("ASIAEXPIREDEXPIRED00", session);
    practice
        .quell("contain test-user --yes")
        .await
        .expect(Exit::Failed)
        .says("expired")
        .says("Renew");
    practice.nothing_happened();

    let practice = Practice::new();
    practice.goes_wrong(
        "identitystore:GetUserId",
        1,
        Wrong::Error {
            status: 400,
            code: "AccessDeniedException".to_owned(),
        },
    );
    practice
        .quell("contain test-user --yes")
        .await
        .expect(Exit::Failed)
        .says("identitystore:GetUserId")
        .says("quell prepare rights");
    practice.nothing_happened();
}

#[tokio::test]
async fn throttled_and_broken_answers_while_asking() {
    for (wrong, says) in [
        (
            Wrong::Error {
                status: 400,
                code: "TooManyRequestsException".to_owned(),
            },
            "throttles",
        ),
        (Wrong::LoseRequest, "Check the network"),
        (Wrong::GarbleAnswer, "Something between here and AWS"),
        (
            Wrong::Error {
                status: 503,
                code: "ServiceUnavailable".to_owned(),
            },
            "Something between here and AWS",
        ),
    ] {
        let practice = Practice::new();
        practice.goes_wrong("organizations:ListRoots", 99, wrong);
        practice
            .quell("contain test-user --yes")
            .await
            .expect(Exit::Failed)
            .says(says)
            .says("Nothing was changed.");
        practice.nothing_happened();
    }
}

#[tokio::test]
async fn whoever_would_lock_themselves_out_is_refused_with_the_statement_that_would() {
    let practice = Practice::new();
    let session = Session {
        arn: "arn:aws:sts::111122223333:assumed-role/Responder/test-user".to_owned(),
        user_id: "AROARESPONDER0000000:test-user".to_owned(),
        ..practice.operator_session()
    };
    practice.signs_with("AKIASAMENAMESAMENAME", session);
    practice
        .quell("contain test-user --yes")
        .await
        .expect(Exit::Refused)
        .says("the deny would refuse you")
        .says("SessionName");
    practice.nothing_happened();
}

#[tokio::test]
async fn a_break_glass_identity_is_spared_or_the_plan_is_refused() {
    let practice = Practice::new();
    let text = quell::playbook::shelf::text_of("identity-center-user").unwrap();
    let path = file(
        "break-glass.toml",
        text.replace(
            "break_glass = []",
            "break_glass = [\"AROABREAKGLASS000000:test-user\"]",
        )
        .as_bytes(),
    );
    practice
        .quell(&format!(
            "contain test-user --yes --playbook {}",
            path.display()
        ))
        .await
        .expect(Exit::Refused)
        .says("break-glass");
    let path = file("typo.toml", text.replace("margin =", "margn =").as_bytes());
    practice
        .quell(&format!(
            "contain test-user --yes --playbook {}",
            path.display()
        ))
        .await
        .expect(Exit::Usage)
        .says("margn")
        .says("line ");
    practice.nothing_happened();
}
