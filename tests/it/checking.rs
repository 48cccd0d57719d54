//! Before an incident: what `quell prepare check` finds of each thing that can be wrong, the rights, and the canary role.

use std::collections::BTreeSet;

use jiff::SignedDuration;
use quell::cli::exit::Exit;
use quell::ids::*;
use quell::range::build::OPERATOR_KEY;
use quell::range::build::faults::{FAULTY_ACCOUNT, Fault};
use quell::rights::{
    CANARY, CANARY_AUDIT, CANARY_IAM_USERS, CANARY_REFUSED, FREE, Half, RIGHTS, table,
};
use serde_json::Value;

use crate::practice::{Practice, Ran};

/// An organization with nothing wrong but this, armed or not.
fn with(faults: &'static [Fault]) -> Practice {
    Practice::with(|blueprint| {
        blueprint.identity_center = Region::parse("us-east-1").unwrap();
        blueprint.extras.sound = true;
        blueprint.extras.faults = faults;
    })
}

/// The findings that are not green: severity, item, what was seen, what to do.
fn found(ran: &Ran) -> Vec<(String, String, String, String)> {
    let report = ran.json();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let findings = report["findings"].as_array().unwrap().iter();
    let bad = findings.filter(|finding| finding["severity"] != "green");
    bad.map(|one| {
        (
            text(&one["severity"]),
            text(&one["item"]),
            text(&one["seen"]),
            text(&one["fix"]),
        )
    })
    .collect()
}

/// The check-up of an organization with this wrong finds it, with its fix, and nothing else but that nobody armed it.
async fn is_found(fault: &'static [Fault], severity: &str, item: &str, seen: &str, fix: &str) {
    let practice = with(fault);
    let exit = match severity {
        "red" => Exit::Refused,
        _ => Exit::Done,
    };
    let ran = practice
        .quell("prepare check --all-accounts --output json")
        .await;
    let ran = ran.expect(exit);
    practice.nothing_happened();
    let mut found = found(&ran);
    let at = found.iter().position(|(_, it, _, _)| it == item);
    let at = at.unwrap_or_else(|| panic!("{fault:?}: no finding of {item} in {found:?}"));
    let (how_bad, _, says, to_do) = found.remove(at);
    assert_eq!(how_bad, severity, "{fault:?}: {says}");
    assert!(says.contains(seen), "{fault:?}: {says}");
    assert!(to_do.contains(fix), "{fault:?}: {to_do}");
    found.retain(|(_, item, _, _)| item != "armed");
    assert_eq!(found, [], "{fault:?}");
}

#[tokio::test]
async fn a_sound_and_armed_organization_is_green_throughout() {
    let practice = with(&[]);
    practice.quell("prepare arm --yes").await.expect(Exit::Done);
    let ran = practice
        .quell("prepare check --all-accounts --fail-on amber --output json")
        .await;
    assert_eq!(found(&ran), []);
    let report = ran.expect(Exit::Done).json();
    assert_eq!(report["schema"], "quell.check/1");
    assert_eq!(report["looked_at"].as_array().unwrap().len(), 12);
    assert_eq!(report["worst"], "green");
}

#[tokio::test]
async fn a_check_changes_nothing_and_writes_nothing() {
    let practice = with(&[]);
    practice
        .quell("prepare check")
        .await
        .expect(Exit::Done)
        .says("quell prepare arm");
    practice.nothing_happened();
}

#[tokio::test]
async fn amber_is_no_reason_to_fail_unless_asked_to() {
    let practice = with(&[]);
    practice.quell("prepare check").await.expect(Exit::Done);
    practice
        .quell("prepare check --fail-on amber")
        .await
        .expect(Exit::Refused);
}

#[tokio::test]
async fn what_is_wrong_with_the_organization_is_found() {
    let off = "switched off on root r-quel";
    is_found(
        &[Fault::ScpsOff],
        "red",
        "scp_type",
        off,
        "enable-policy-type --root-id r-quel",
    )
    .await;
    let full = "10 of 10 service control policies";
    is_found(
        &[Fault::NoPlace],
        "red",
        "places",
        full,
        "list-policies-for-target",
    )
    .await;
    let quiet = "444455556666 (shop-production, SUSPENDED)";
    is_found(
        &[Fault::Suspended],
        "amber",
        "accounts",
        quiet,
        "Take the assignments there away",
    )
    .await;
    let held = "group administrators has AdministratorAccess";
    let fix = "quell evict --management";
    is_found(
        &[Fault::ManagementAccess],
        "amber",
        "management_account",
        held,
        fix,
    )
    .await;
}

#[tokio::test]
async fn canaries_that_cannot_work_are_found() {
    let later =
        "by OrganizationAccountAccessRole alone, and not by quell-canary, in 1 of the 12 accounts";
    let fix = "quell prepare canary-template";
    is_found(&[Fault::NoCanaryRole], "amber", "canaries", later, fix).await;
    is_found(
        &[Fault::CanaryTrustsNobody],
        "red",
        "canaries",
        FAULTY_ACCOUNT,
        fix,
    )
    .await;
    let refused = "refused although nobody is contained (by arn:aws:organizations::111122223333:policy/o-quellrange1/service_control_policy/p-";
    let except = "Except quell-canary from that policy";
    is_found(&[Fault::ProbeRefused], "red", "canaries", refused, except).await;
}

#[tokio::test]
async fn what_should_watch_and_does_not_is_found() {
    let start = "aws cloudtrail start-logging --name organization-trail";
    is_found(
        &[Fault::TrailOff],
        "red",
        "trail",
        "No trail is logging",
        start,
    )
    .await;
    is_found(
        &[Fault::NoTrail],
        "red",
        "trail",
        "There is no trail",
        "multi-Region trail",
    )
    .await;
    let part = "not every account and Region";
    is_found(
        &[Fault::TrailOfOneAccount],
        "amber",
        "trail",
        part,
        "multi-Region trail",
    )
    .await;
    let create = "aws guardduty create-detector --enable --region us-east-1";
    is_found(
        &[Fault::NoDetector],
        "amber",
        "detector",
        "no detector in us-east-1",
        create,
    )
    .await;
    let on = "aws guardduty update-detector";
    is_found(
        &[Fault::DetectorOff],
        "amber",
        "detector",
        "is suspended",
        on,
    )
    .await;
}

#[tokio::test]
async fn a_trail_that_records_no_management_events_is_found() {
    let none = "logs no management events";
    let take = "Management events";
    is_found(&[Fault::TrailOfDataAlone], "red", "trail", none, take).await;
}

#[tokio::test]
async fn a_trail_that_records_writes_alone_is_found() {
    let writes = "only those that write";
    let take = "aws cloudtrail get-event-selectors --trail-name organization-trail";
    is_found(&[Fault::TrailOfWritesAlone], "amber", "trail", writes, take).await;
}

#[tokio::test]
async fn a_trail_whose_bucket_does_not_take_its_files_is_found() {
    let bucket = "cannot put its files into its bucket (AccessDenied)";
    let allow = "s3:PutObject";
    is_found(&[Fault::TrailUndelivered], "red", "trail", bucket, allow).await;
}

#[tokio::test]
async fn credentials_that_end_soon_are_found() {
    let soon = "less than 15 minutes";
    is_found(
        &[Fault::CredentialsEnding],
        "red",
        "credentials",
        soon,
        "aws sso login",
    )
    .await;
    let practice = with(&[]);
    let mut session = practice.operator_session();
    session.expires = Some("2026-11-22T03:40:00Z".parse().unwrap());
    practice.signs_with(OPERATOR_KEY, session);
    let ran = practice
        .quell("prepare check --output json")
        .await
        .expect(Exit::Done);
    let found = found(&ran);
    let ending = found
        .iter()
        .find(|(_, item, _, _)| item == "credentials")
        .unwrap();
    assert_eq!(ending.0, "amber");
    assert!(ending.2.contains("less than an hour"), "{}", ending.2);
}

#[tokio::test]
async fn a_right_that_is_missing_is_found_without_trying_it() {
    let cannot = "You may not organizations:AttachPolicy";
    let fix = "quell prepare rights --act";
    is_found(&[Fault::RightsMissing], "red", "rights", cannot, fix).await;
}

#[tokio::test]
async fn names_that_will_be_trouble_are_found() {
    let nameless = "1 of 10 users have names that no session can have: Grace Hopper";
    is_found(
        &[Fault::Unnameable],
        "amber",
        "usernames",
        nameless,
        "Rename",
    )
    .await;
    let alike = "test-user";
    is_found(
        &[Fault::Colliding],
        "amber",
        "names_in_common",
        alike,
        "quell contain <user id>",
    )
    .await;
}

#[tokio::test]
async fn of_a_directory_that_was_not_read_to_its_end_no_name_is_called_unique() {
    let practice = with(&[Fault::Crowd]);
    let ran = practice
        .quell("prepare check --output json")
        .await
        .expect(Exit::Done);
    let found = found(&ran);
    let common = found.iter().find(|(_, item, ..)| item == "names_in_common");
    let (how_bad, _, seen, _) = common.unwrap();
    assert_eq!(how_bad, "amber", "{seen}");
    assert!(seen.contains("the directory has more than"), "{seen}");
}

#[tokio::test]
async fn an_armed_policy_that_does_not_say_what_its_tags_say_is_found() {
    let practice = with(&[]);
    practice.quell("prepare arm --yes").await.expect(Exit::Done);
    let ready = practice.quell("prepare check").await.expect(Exit::Done);
    let said = ready.out.replace("\n         ", " ");
    assert!(said.contains("one call, with room for "), "{said}");
    practice
        .quell("contain test-user --yes")
        .await
        .expect(Exit::Done);
    let unwritten = quell::incident::armed::unwritten();
    practice.range.with(|state| {
        let mut policies = state.policies.values_mut();
        let armed = policies.find(|it| it.name == ARMED_POLICY).unwrap();
        armed.content = unwritten.minified();
        armed.document = std::sync::Arc::new(unwritten);
        state.policies_changed();
    });
    let ran = practice
        .quell("prepare check --output json")
        .await
        .expect(Exit::Refused);
    let found = found(&ran);
    assert_eq!(found[0].1, "armed", "{found:?}");
    assert!(found[0].2.contains("NOT what its tags say"), "{found:?}");
    assert!(found[0].3.contains("quell status"), "{found:?}");
}

#[tokio::test]
async fn a_dead_network_is_one_finding() {
    use quell::range::state::Wrong;
    let practice = with(&[]);
    practice.goes_wrong("sts:GetCallerIdentity", 100, Wrong::LoseRequest);
    let ran = practice
        .quell("prepare check --output json")
        .await
        .expect(Exit::Refused);
    let found = found(&ran);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((&*found[0].0, &*found[0].1), ("red", "credentials"));
    assert!(found[0].2.contains("nothing else was asked"), "{found:?}");
    assert!(found[0].3.contains("the network"), "{found:?}");
    assert_eq!(ran.json()["findings"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn one_thing_that_cannot_be_asked_hides_no_other() {
    use quell::range::state::Wrong;
    for (action, item) in [
        ("cloudtrail:DescribeTrails", "trail"),
        ("guardduty:ListDetectors", "detector"),
        (
            "sso:ListPermissionSetsProvisionedToAccount",
            "management_account",
        ),
        ("identitystore:ListUsers", "usernames"),
        ("organizations:ListPoliciesForTarget", "places"),
        ("organizations:ListAccountsForParent", "canaries"),
    ] {
        let practice = with(&[Fault::ScpsOff]);
        let wrong = Wrong::Error {
            status: 403,
            code: "AccessDeniedException".to_owned(),
        };
        practice.goes_wrong(action, 100, wrong);
        let ran = practice
            .quell("prepare check --output json")
            .await
            .expect(Exit::Refused);
        let found = found(&ran);
        let unknown = |(how_bad, it, seen, fix): &(String, String, String, String)| {
            it == item && how_bad == "amber" && seen.starts_with("Not known: ") && !fix.is_empty()
        };
        assert!(found.iter().any(unknown), "{action}: {found:?}");
        assert_eq!(found[0].1, "scp_type", "{action}: what is red comes first");
        let denied = found
            .iter()
            .any(|(_, it, seen, _)| it == "rights" && seen.contains(action));
        assert!(denied, "{action}: {found:?}");
    }
}

#[tokio::test]
async fn rights_that_nobody_can_tell_are_not_green() {
    use quell::range::state::Wrong;
    let practice = with(&[]);
    let wrong = Wrong::Error {
        status: 403,
        code: "AccessDenied".to_owned(),
    };
    practice.goes_wrong("iam:SimulatePrincipalPolicy", 100, wrong);
    let ran = practice
        .quell("prepare check --output json")
        .await
        .expect(Exit::Done);
    let found = found(&ran);
    let unknown = |(_, it, seen, _): &&(String, String, String, String)| {
        it == "rights" && seen.starts_with("Not known whether you may")
    };
    let unknown = found.iter().find(unknown).unwrap();
    assert!(
        unknown.3.contains("iam:SimulatePrincipalPolicy"),
        "{}",
        unknown.3
    );
}

#[tokio::test]
async fn whoever_is_nobody_hears_it_as_a_finding() {
    let practice = with(&[]);
    practice.signs_with_nothing_valid();
    let ran = practice
        .quell("prepare check --output json")
        .await
        .expect(Exit::Refused);
    assert!(ran.json()["operator"].is_null());
    let found = found(&ran);
    assert_eq!(found[0].1, "credentials", "{found:?}");
    assert!(
        found.iter().skip(1).all(|(how_bad, ..)| how_bad == "amber"),
        "{found:?}"
    );
}

#[tokio::test]
async fn a_member_account_that_manages_nothing_hears_which_would() {
    let practice = with(&[]);
    let mut session = practice.operator_session();
    session.account = AccountId::parse("444455556666").unwrap();
    session.arn = "arn:aws:iam::444455556666:user/responder".to_owned();
    practice.signs_with("AKIAOFAMEMBERACCOUNT", session);
    let ran = practice
        .quell("prepare check --output json")
        .await
        .expect(Exit::Refused);
    let found = found(&ran);
    assert_eq!(found[0].1, "organization", "{found:?}");
    assert!(found[0].2.contains("111122223333"), "{}", found[0].2);
}

#[tokio::test]
async fn a_sample_says_how_many_it_is() {
    let practice = with(&[]);
    let ran = practice
        .quell("prepare check --sample 5")
        .await
        .expect(Exit::Done);
    let said = ran.out.replace("\n         ", " ");
    assert!(
        said.contains("in 5 of the 5 accounts that were looked at (there are 12)"),
        "{said}"
    );
}

#[tokio::test]
async fn what_aws_says_cannot_move_the_cursor() {
    let practice = with(&[]);
    practice.range.with(|state| {
        for user in state.directory.users.values_mut() {
            user.username.push_str("\u{1b}[2J");
        }
    });
    let ran = practice.quell("prepare check").await.expect(Exit::Done);
    assert!(!ran.out.contains('\u{1b}'), "{}", ran.out);
}

// — rights —

/// The part of the README under a heading.
fn section_of_readme(heading: &str) -> String {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md"));
    let readme = readme.unwrap();
    let (_, rest) = readme.split_once(&format!("\n## {heading}\n")).unwrap();
    rest.split("\n## ").next().unwrap().to_owned()
}

#[test]
fn the_readme_has_the_rights_that_the_code_has() {
    let rights = section_of_readme("Rights");
    for half in [Half::Read, Half::Act] {
        let table = table(half);
        assert!(
            rights.contains(&table),
            "the README's Rights should have:\n{table}"
        );
    }
    let canary = CANARY.iter().chain(CANARY_IAM_USERS);
    for action in canary.chain(CANARY_REFUSED).chain(CANARY_AUDIT) {
        let (_, operation) = action.split_once(':').unwrap();
        assert!(
            rights.contains(operation),
            "the README's Rights lack {action}"
        );
    }
}

#[tokio::test]
async fn every_call_that_quell_makes_needs_a_right_of_the_list() {
    let practice = Practice::with(|blueprint| {
        blueprint.extras.entitled = true;
        blueprint.extras.team = true;
        blueprint.extras.management = true;
        blueprint.extras.iam_user = true;
    });
    practice.few_accounts();
    let (_, finding) = practice.built.finding.clone().unwrap();
    let run = async |line: &str| practice.quell(line).await;
    run("prepare check").await.expect(Exit::Done);
    run(&format!("plan --finding {finding}")).await;
    run("plan test-user --target ou-quel-sandboxs --second-opinion").await;
    run("prepare arm --yes").await.expect(Exit::Done);
    run("contain test-user --yes --evict --management --revoke-team").await;
    let armed = practice.incident().await;
    for line in [
        format!("verify {armed} --all-accounts"),
        format!("verify {armed} --cloudtrail"),
        format!("trace {armed}"),
        format!(
            "evict {armed} --yes --management --attest portal-sessions --attest credentials --by alice"
        ),
        format!("readmit {armed} --sessions-after now --restore --yes"),
    ] {
        run(&line).await;
    }
    practice.range.advance(SignedDuration::from_hours(13));
    run(&format!("release {armed} --yes --restore --force")).await;
    run("contain bob@example.com --cold --yes")
        .await
        .expect(Exit::Done);
    let cold = practice.incident().await;
    run(&format!("evict {cold} --yes --delete-user")).await;
    run(&format!("release {cold} --yes --force"))
        .await
        .expect(Exit::Done);
    run("prepare disarm --yes").await.expect(Exit::Done);
    run("guardrail attach no-console-users --jump-account 222233334444 --yes")
        .await
        .expect(Exit::Done);
    run("audit --all-accounts").await;
    run("guardrail remove no-console-users --yes")
        .await
        .expect(Exit::Done);
    run("contain arn:aws:iam::555566667777:user/legacy-deploy --yes").await;
    let user = practice.incident().await;
    run(&format!("evict {user} --yes")).await.expect(Exit::Done);
    practice.range.advance(SignedDuration::from_hours(40));
    run(&format!("release {user} --yes"))
        .await
        .expect(Exit::Done);

    run(&format!("plan {OPERATOR_KEY}")).await;
    practice.chooses("TorIPCaller");
    run("plan").await;

    let listed: BTreeSet<&str> = RIGHTS.iter().map(|right| right.action).collect();
    let canary = CANARY.iter().chain(CANARY_IAM_USERS);
    let canary = canary.chain(CANARY_REFUSED).chain(CANARY_AUDIT);
    let canary: BTreeSet<&str> = canary.copied().collect();
    let mut seen = BTreeSet::new();
    for call in practice.calls() {
        let action = call.action.as_str();
        let own = call.key == OPERATOR_KEY;
        let may = if own { &listed } else { &canary };
        let who = if own { "quell" } else { "a canary" };
        assert!(
            may.contains(action) || FREE.contains(&action),
            "{who} called {action}"
        );
        seen.insert(action.to_owned());
    }
    // What the story does not tell must not be thought tested; what is for Identity Center itself nobody here calls.
    let untold: Vec<&str> = listed
        .difference(&seen.iter().map(String::as_str).collect())
        .copied()
        .collect();
    // To set a source identity is a right of its own, and no call of its own.
    assert_eq!(
        untold,
        [
            "iam:DeleteRolePolicy",
            "iam:GetRole",
            "iam:PutRolePolicy",
            "sts:SetSourceIdentity"
        ]
    );
}

#[tokio::test]
async fn rights_are_printed_as_policies_that_iam_takes() {
    let practice = Practice::new();
    for half in ["read", "act"] {
        let ran = practice
            .quell(&format!("prepare rights --{half}"))
            .await
            .expect(Exit::Done);
        let policy = ran.json();
        let mut sids = BTreeSet::new();
        for statement in policy["Statement"].as_array().unwrap() {
            assert_eq!(statement["Effect"], "Allow");
            let sid = statement["Sid"].as_str().unwrap().to_owned();
            assert!(sid.bytes().all(|b| b.is_ascii_alphanumeric()), "{sid}");
            assert!(sids.insert(sid), "two statements of one Sid");
        }
    }
    practice
        .quell("prepare rights")
        .await
        .expect(Exit::Done)
        .says("organizations:AttachPolicy");
    practice
        .quell("prepare rights --read --act")
        .await
        .expect(Exit::Usage);
    assert_eq!(practice.calls().len(), 0, "it needs no AWS");
}

// — the canary role —

#[tokio::test]
async fn the_canary_role_may_do_what_canaries_do_and_no_more() {
    let practice = Practice::new();
    let line = "prepare canary-template --trust arn:aws:iam::111122223333:role/Responder";
    let template = practice.quell(line).await.expect(Exit::Done).json();
    let role = &template["Resources"]["CanaryRole"]["Properties"];
    let policies = role["Policies"].as_array().unwrap();
    assert_eq!(policies.len(), 1);
    let statement = &policies[0]["PolicyDocument"]["Statement"][0];
    assert_eq!(
        statement["Action"],
        serde_json::json!([
            "iam:ListAccountAliases",
            "guardduty:ListDetectors",
            "cloudtrail:DescribeTrails",
            "dynamodb:ListTables",
            "iam:GetRole",
            "cloudtrail:LookupEvents"
        ])
    );
    let trust = &role["AssumeRolePolicyDocument"]["Statement"][0];
    let actions = serde_json::json!(["sts:AssumeRole", "sts:SetSourceIdentity"]);
    assert_eq!(trust["Action"], actions);
    assert_eq!(
        trust["Condition"]["ArnLike"]["aws:PrincipalArn"]["Ref"],
        "ResponderPrincipal"
    );
    let responder = &template["Parameters"]["ResponderPrincipal"]["Default"];
    assert_eq!(responder, "arn:aws:iam::111122223333:role/Responder");
    assert_eq!(
        template["Parameters"]["RoleName"]["Default"],
        "quell-canary"
    );

    let line = "prepare canary-template --canary-role probe --with-iam-users";
    let template = practice.quell(line).await.expect(Exit::Done).json();
    assert_eq!(template["Parameters"]["RoleName"]["Default"], "probe");
    assert!(
        template["Parameters"]["ResponderPrincipal"]
            .get("Default")
            .is_none()
    );
    let of_users = &template["Resources"]["CanaryRole"]["Properties"]["Policies"][1];
    let actions = &of_users["PolicyDocument"]["Statement"][0]["Action"];
    assert_eq!(actions, &serde_json::json!(CANARY_IAM_USERS));
}

#[tokio::test]
async fn a_template_trusts_nobody_who_is_not_a_role_or_a_user() {
    let practice = Practice::new();
    for not in [
        "*",
        "111122223333",
        "arn:aws:iam::111122223333:root",
        "arn:aws:iam::*:role/Responder",
        "arn:aws:sts::111122223333:assumed-role/Responder/alice",
        "arn:aws:iam::111122223333:role/x\"y",
    ] {
        let arguments = ["prepare", "canary-template", "--trust", not];
        let ran = practice.run(arguments.map(str::to_owned).to_vec()).await;
        assert!(ran.expect(Exit::Usage).out.is_empty(), "{not}");
    }
}
