//! Signals of every form, from files and from what an operator types: who is understood, and what is refused, with why.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use quell::cli::exit::Exit;
use quell::ids::*;
use quell::range::build::OPERATOR_KEY;
use quell::signal::operator::{self, Given};
use quell::signal::{self, Accused, Finding, Suspect, Unresolved, Who, Whom};
use serde_json::{Value, json};
use std::io::Write as _;

use crate::practice::{Practice, runner};

/// The person in most of the fixtures.
const ALICE: &str = "person alice@example.com AROAEXAMPLEEXAMPLE123 AWSReservedSSO_ReadOnlyAccess_0123456789abcdef 222233334444";

/// Every fixture, and what is understood of it; a line for each finding.
const EXPECTED: &[(&str, &str)] = &[
    (
        "asff-details.json",
        "{alice} (id, $.Resources[0].Details.AwsIamAccessKey.PrincipalId)",
    ),
    (
        "asff-imported-event.json",
        "user ci-deploy - 222233334444 (name, $.detail.findings[0].Resources[0].Id)",
    ),
    (
        "asff-instance.json",
        "nobody: it is about an instance's network activity and names no AWS principal",
    ),
    (
        "asff-key-only.json",
        "key AKIAEXAMPLEEXAMPLE12 222233334444 (id, $.Findings[0].Resources[0].Id)",
    ),
    (
        "asff-sequence.json",
        "{alice} (id, $.Detection.Sequence.Actors[0].User.Uid)",
    ),
    (
        "bidi.json",
        "{alice} (id, $.resource.accessKeyDetails.principalId)",
    ),
    (
        "cloudtrail-event.json",
        "{alice} (id, $.detail.userIdentity.principalId)",
    ),
    (
        "cloudtrail-file.json",
        "{alice} (id, $.Records[0].userIdentity.principalId)\nuser ci-deploy AIDAEXAMPLEEXAMPLE123 222233334444 (id, $.Records[1].userIdentity.principalId)",
    ),
    (
        "cloudtrail-lookup.json",
        "{alice} (id, $.Events[0].CloudTrailEvent.userIdentity.principalId)",
    ),
    (
        "cloudtrail-other-account.json",
        "nobody: the caller is known as an account alone, and a whole account is nobody to deny",
    ),
    (
        "cloudtrail-portal.json",
        "named 94482488-3041-7026-18f3-be45837cd0e4 (id, $.userIdentity.onBehalfOf.userId)",
    ),
    (
        "cloudtrail-saml.json",
        "nobody: the caller is signing in through an identity provider and is no AWS principal yet",
    ),
    (
        "cloudtrail-service.json",
        "nobody: the caller is an AWS service, which no service control policy denies",
    ),
    (
        "cloudtrail-session.json",
        "{alice} (id, $.userIdentity.principalId)",
    ),
    (
        "container.json",
        "nobody: it is about a container, a task or a function and names no AWS principal",
    ),
    (
        "duplicate-by-case.json",
        "error: at $.resource.accessKeyDetails.PrincipalId: it is there twice, in different case",
    ),
    (
        "duplicate.json",
        "error: the finding is not JSON: at $.resource.accessKeyDetails: `principalId` is named twice at line 1 column 120",
    ),
    (
        "eks-role.json",
        "session deployer AROAEXAMPLEEXAMPLE456 eks-admin 222233334444 (id, $.resource.accessKeyDetails.principalId)",
    ),
    (
        "empty-get-findings.json",
        "error: the list holds no finding",
    ),
    (
        "federated.json",
        "federated 222233334444:carol (id, $.resource.accessKeyDetails.principalId)",
    ),
    (
        "guardduty-bare.json",
        "{alice} (id, $.resource.accessKeyDetails.principalId)",
    ),
    (
        "guardduty-cli-get-findings.json",
        "{alice} (id, $.Findings[0].Resource.AccessKeyDetails.PrincipalId)",
    ),
    (
        "guardduty-cli-list.json",
        "{alice} (id, $[0].Resource.AccessKeyDetails.PrincipalId)",
    ),
    (
        "guardduty-event-pascal-inside.json",
        "user ci-deploy AIDAEXAMPLEEXAMPLE123 222233334444 (id, $.detail.Resource.AccessKeyDetails.PrincipalId)",
    ),
    (
        "guardduty-event.json",
        "{alice} (id, $.detail.resource.accessKeyDetails.principalId)",
    ),
    (
        "guardduty-get-findings.json",
        "{alice} (id, $.findings[0].resource.accessKeyDetails.principalId)\nuser ci-deploy AIDAEXAMPLEEXAMPLE123 222233334444 (id, $.findings[1].resource.accessKeyDetails.principalId)",
    ),
    (
        "instance.json",
        "nobody: it is about an instance's network activity and names no AWS principal",
    ),
    (
        "kubernetes-anonymous.json",
        "nobody: it accuses an anonymous caller, who is no principal at all",
    ),
    (
        "kubernetes-user.json",
        "nobody: it accuses a Kubernetes user, who is not an AWS principal",
    ),
    (
        "lambda-sns.json",
        "{alice} (id, $.Records[0].Sns.Message.detail.resource.accessKeyDetails.principalId)",
    ),
    (
        "list-findings.json",
        "error: at $: these are ids of findings, as `list-findings` writes them; fetch one with `--finding <id>`",
    ),
    (
        "lone-surrogate.json",
        "error: the finding is not JSON: unexpected end of hex escape at line 1 column 29",
    ),
    ("no-resource.json", "nobody: it names no AWS principal"),
    (
        "ocsf-actor.json",
        "{alice} (id, $.evidences[0].actor.user.uid_alt)",
    ),
    (
        "ocsf-data-object.json",
        "{alice} (id, $.resources[0].data.AwsIamAccessKey.PrincipalId)",
    ),
    (
        "ocsf-data-text.json",
        "{alice} (id, $.resources[0].data.AwsIamAccessKey.PrincipalId)",
    ),
    (
        "ocsf-key-only.json",
        "key ASIAEXAMPLEEXAMPLE12 222233334444 (id, $.resources[0].uid)",
    ),
    (
        "ocsf-user-arn.json",
        "user ci-deploy - 222233334444 (name, $.resources[0].uid)",
    ),
    (
        "ocsf-user-name.json",
        "user ci-deploy - 222233334444 (name, $.detail.findings[0].resources[0].user.name)",
    ),
    (
        "placeholders.json",
        "nobody: its principal cannot be real: at $.detail.Resource.AccessKeyDetails.UserName, `${role_name}` is not a role name: expected 1 to 64 of the characters A-Z a-z 0-9 _ + = , . @ -",
    ),
    (
        "rds-user.json",
        "nobody: it accuses a database user, who is not an AWS principal",
    ),
    (
        "role-session.json",
        "session i-0123456789abcdef0 AROAEXAMPLEEXAMPLE456 web 222233334444 (id, $.resource.accessKeyDetails.principalId)",
    ),
    (
        "root.json",
        "root 222233334444 (id, $.resource.accessKeyDetails.principalId)",
    ),
    (
        "s3-anonymous.json",
        "nobody: it accuses an anonymous caller, who is no principal at all",
    ),
    (
        "s3-export.jsonl.gz",
        "{alice} (id, $(1).resource.accessKeyDetails.principalId)\nsession bob AROAEXAMPLEEXAMPLE456 web 222233334444 (id, $(2).resource.accessKeyDetails.principalId)\nnobody: it is about an instance's network activity and names no AWS principal",
    ),
    (
        "sample-generated.json",
        "sample, nobody: its principal cannot be real: at $.resource.accessKeyDetails.principalId, it is no principal id that AWS gives",
    ),
    (
        "sample-of-somebody.json",
        "sample, {alice} (id, $.resource.accessKeyDetails.principalId)",
    ),
    (
        "sequence-actors.json",
        "{alice} (id, $.detail.service.detection.sequence.actors[0].user.uid) + user ci-deploy AIDAEXAMPLEEXAMPLE123 222233334444 (id, $.detail.service.detection.sequence.actors[1].user.uid) + session i-0123456789abcdef0 AROAEXAMPLEEXAMPLE456 web 222233334444 (id, $.detail.service.detection.sequence.actors[2].user.uid)",
    ),
    (
        "sequence-described.json",
        "user ci-deploy AIDAEXAMPLEEXAMPLE123 222233334444 (told, $.description)",
    ),
    (
        "sequence-masked.json",
        "nobody: its principal cannot be real: at $[0].Service.Detection.Sequence.Actors[0].User.Name, `<redacted>` is not an IAM user's name: expected 1 to 64 of the characters A-Z a-z 0-9 _ + = , . @ -",
    ),
    (
        "sequence-no-actors.json",
        "nobody: it names no AWS principal",
    ),
    (
        "sequence-resources.json",
        "{alice} (id, $.service.detection.sequence.resources[0].data.accessKey.principalId)",
    ),
    (
        "session-star.json",
        "nobody: its principal cannot be real: at $.detail.resource.accessKeyDetails.principalId, `*` is not a role session name: expected 2 to 64 of the characters A-Z a-z 0-9 _ + = , . @ -",
    ),
    (
        "sns.json",
        "{alice} (id, $.Message.detail.resource.accessKeyDetails.principalId)",
    ),
    (
        "sqs-messages.json",
        "{alice} (id, $.Messages[0].Body.Message.detail.resource.accessKeyDetails.principalId)",
    ),
    (
        "types-wrong.json",
        "error: at $.accountId: expected a string",
    ),
];

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/signals")
}

fn fixture(name: &str) -> String {
    fixtures().join(name).display().to_string()
}

/// What was understood of one finding, in a line for each whom it accuses.
fn told(finding: &Finding) -> String {
    let sample = if finding.sample { "sample, " } else { "" };
    let who = match &finding.who {
        Who::Nobody(nobody) => format!("nobody: {nobody}"),
        Who::Suspects(accused) => accused.iter().map(of_one).collect::<Vec<_>>().join(" + "),
    };
    format!("{sample}{who}")
}

fn of_one(accused: &Accused) -> String {
    let dash = |text: Option<&str>| {
        text.filter(|text| !text.is_empty())
            .unwrap_or("-")
            .to_owned()
    };
    let of = |account: &Option<AccountId>| dash(account.as_ref().map(AccountId::as_str));
    let who = match &accused.whom {
        Whom::Suspect(Suspect::Named { name }) => format!("named {name}"),
        Whom::Suspect(Suspect::PermissionSetSession {
            session,
            role_id,
            role,
            account,
        }) => format!("person {session} {role_id} {role} {}", of(account)),
        Whom::Suspect(Suspect::RoleSession {
            session,
            role_id,
            role,
            account,
        }) => format!(
            "session {session} {role_id} {} {}",
            dash(Some(role)),
            of(account)
        ),
        Whom::Suspect(Suspect::Role {
            account,
            role,
            role_id,
        }) => {
            let id = dash(role_id.as_ref().map(RoleId::as_str));
            format!("role {} {id} {}", dash(Some(role)), of(account))
        }
        Whom::Suspect(Suspect::IamUser {
            principal_id,
            name,
            account,
        }) => {
            let id = dash(principal_id.as_ref().map(IamUserId::as_str));
            format!("user {name} {id} {}", of(account))
        }
        Whom::Suspect(Suspect::Root { account }) => format!("root {}", of(account)),
        Whom::Suspect(Suspect::FederatedUser { principal_id }) => {
            format!("federated {principal_id}")
        }
        Whom::Unresolved(Unresolved::AccessKey { key, account }) => {
            format!("key {key} {}", of(account))
        }
        Whom::Unresolved(Unresolved::Session {
            account,
            role,
            session,
        }) => format!("session {session} of {role} {account}"),
    };
    let sure = format!("{:?}", accused.sure).to_lowercase();
    format!("{who} ({sure}, {})", accused.from)
}

/// What reading a text comes to: a line for each finding, or the error.
fn answer(bytes: &[u8]) -> String {
    match signal::read(bytes) {
        Err(error) => format!("error: {error}"),
        Ok(findings) => findings.iter().map(told).collect::<Vec<_>>().join("\n"),
    }
}

#[test]
fn every_form_is_understood_or_refused_as_it_should_be() {
    let mut left: BTreeSet<String> = std::fs::read_dir(fixtures())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    for (name, expected) in EXPECTED {
        let bytes = std::fs::read(fixtures().join(name)).unwrap();
        assert_eq!(answer(&bytes), expected.replace("{alice}", ALICE), "{name}");
        left.remove(*name);
    }
    assert!(left.is_empty(), "nothing is expected of {left:?}");
}

/// For whoever has findings of their own: `QUELL_FINDINGS=<directory>` has each of its files read, and the answers printed.
#[test]
fn findings_of_your_own_are_answered() {
    let Ok(directory) = std::env::var("QUELL_FINDINGS") else {
        return;
    };
    let mut read = 0;
    for entry in std::fs::read_dir(&directory).unwrap() {
        let path = entry.unwrap().path();
        if !path
            .extension()
            .is_some_and(|it| it == "json" || it == "gz" || it == "jsonl")
        {
            continue;
        }
        let answer = answer(&std::fs::read(&path).unwrap());
        println!("{}: {answer}", path.display());
        assert!(!answer.is_empty(), "{}: no answer", path.display());
        read += 1;
    }
    assert!(read > 0, "{directory} has no finding");
}

#[test]
fn what_a_responder_wants_at_a_glance_is_read_from_each_form() {
    for (name, kind, severity) in [
        (
            "guardduty-event.json",
            "UnauthorizedAccess:IAMUser/TorIPCaller",
            Some(8.0),
        ),
        (
            "asff-details.json",
            "Stealth:IAMUser/CloudTrailLoggingDisabled",
            Some(2.0),
        ),
        (
            "ocsf-data-text.json",
            "UnauthorizedAccess:IAMUser/MaliciousIPCaller",
            Some(7.0),
        ),
        (
            "cloudtrail-session.json",
            "s3.amazonaws.com ListBuckets",
            None,
        ),
    ] {
        let found = signal::read(std::fs::read(fixtures().join(name)).unwrap()).unwrap();
        let finding = &found[0];
        assert_eq!(finding.kind, kind, "{name}");
        assert_eq!(finding.severity, severity, "{name}");
        assert_eq!(
            finding.account.as_ref().unwrap().as_str(),
            "222233334444",
            "{name}"
        );
        assert_eq!(
            finding.region.as_ref().unwrap().as_str(),
            "eu-west-1",
            "{name}"
        );
        assert_eq!(
            finding.last_seen.unwrap().to_string(),
            "2026-11-20T10:20:00Z",
            "{name}"
        );
        assert_eq!(finding.remote_ip.as_deref(), Some("198.51.100.7"), "{name}");
        assert!(finding.call.is_some(), "{name}");
    }
}

fn typed(text: &str) -> String {
    match operator::of_input(text) {
        Err(error) => format!("error: {error}"),
        Ok(Given::Finding(at)) => format!(
            "finding {} {} {}",
            at.id,
            at.detector.map_or("-".to_owned(), String::from),
            at.region.map_or("-".to_owned(), String::from)
        ),
        Ok(Given::Suspect(suspect)) => of_whom(Whom::Suspect(suspect)),
        Ok(Given::Unresolved(unresolved)) => of_whom(Whom::Unresolved(unresolved)),
    }
}

fn of_whom(whom: Whom) -> String {
    let sure = signal::Sure::Id;
    let from = String::new();
    of_one(&Accused { whom, from, sure }).replace(" (id, )", "")
}

#[test]
fn what_an_operator_types_is_told_by_its_shape() {
    let url = "https://eu-west-1.console.aws.amazon.com/guardduty/home?region=eu-west-1#/findings?macros=current&fId=a1b2c3d4";
    for (text, expected) in [
        ("alice@example.com", "named alice@example.com"),
        ("Alice Example", "named Alice Example"),
        (
            "94482488-3041-7026-18f3-be45837cd0e4",
            "named 94482488-3041-7026-18f3-be45837cd0e4",
        ),
        (
            "arn:aws:identitystore:::user/94482488-3041-7026-18f3-be45837cd0e4",
            "named 94482488-3041-7026-18f3-be45837cd0e4",
        ),
        (
            "arn:aws:iam::111122223333:user/ops/ci",
            "user ci - 111122223333",
        ),
        (
            "arn:aws-cn:iam::111122223333:role/web",
            "role web - 111122223333",
        ),
        ("arn:aws:iam::111122223333:root", "root 111122223333"),
        (
            "arn:aws:sts::111122223333:assumed-role/web/i-0123456789abcdef0",
            "session i-0123456789abcdef0 of web 111122223333",
        ),
        (
            "arn:aws:sts::111122223333:assumed-role/AWSReservedSSO_Ops_0123456789abcdef/alice@example.com",
            "named alice@example.com",
        ),
        (
            "arn:aws:sts::111122223333:federated-user/carol",
            "federated 111122223333:carol",
        ),
        ("111122223333:carol", "federated 111122223333:carol"),
        ("AROAEXAMPLEEXAMPLE123", "role - AROAEXAMPLEEXAMPLE123 -"),
        (
            "AROAEXAMPLEEXAMPLE123:bob",
            "session bob AROAEXAMPLEEXAMPLE123 - -",
        ),
        ("AKIAEXAMPLEEXAMPLE12", "key AKIAEXAMPLEEXAMPLE12 -"),
        ("ASIAEXAMPLEEXAMPLE12", "key ASIAEXAMPLEEXAMPLE12 -"),
        ("AKIAs-friend", "named AKIAs-friend"),
        (url, "finding a1b2c3d4 - eu-west-1"),
        (
            "https://console.aws.amazon.com/guardduty/home?region=us-east-2#/findings?search=id%3Da1b2c3d4&macros=current",
            "finding a1b2c3d4 - us-east-2",
        ),
        (
            "arn:aws:guardduty:eu-west-1:111122223333:detector/12abc34d/finding/a1b2c3d4",
            "finding a1b2c3d4 12abc34d eu-west-1",
        ),
    ] {
        assert_eq!(typed(text), expected, "{text}");
    }
    for (text, says) in [
        ("", "empty"),
        (&*"x".repeat(129), "at most 128"),
        ("AIDAEXAMPLEEXAMPLE123", "nobody up by it"),
        ("AGPAEXAMPLEEXAMPLE123", "an IAM group"),
        ("111122223333", "an account"),
        ("AROAEXAMPLEEXAMPLE123:*", "not a role session name"),
        (
            "arn:aws:iam::111122223333:user/${aws:username}",
            "not an IAM user's name",
        ),
        ("arn:aws:iam::1111:user/ci", "not an account id"),
        ("arn:aws:iam::111122223333:group/ops", "a group"),
        ("arn:aws:s3:::bucket", "calls nothing"),
        ("arn:aws", "is not the ARN"),
        (
            "https://console.aws.amazon.com.example.com/guardduty/?fId=a1",
            "no address of a finding",
        ),
        (
            "https://example.com/guardduty/home?fId=a1",
            "no address of a finding",
        ),
        (
            "https://eu-west-1.console.aws.amazon.com/guardduty/home",
            "no address of a finding",
        ),
    ] {
        let answer = typed(text);
        assert!(
            answer.starts_with("error: ") && answer.contains(says),
            "{text}: {answer}"
        );
    }
}

/// Any JSON at all, with the names that findings have so that it gets somewhere.
fn anything() -> impl Strategy<Value = Value> {
    let names = "findings|records|detail|message|topicArn|type|id|accountId|severity|service|resource|accessKeyDetails|principalId|userName|userType|accessKeyId|detection|sequence|actors|user|uid|session|issuer|productArn|awsAccountId|Resources|Details|AwsIamAccessKey|finding_info|class_uid|evidences|actor|resources|data|cloud|userIdentity|sessionContext|[a-z]{0,3}";
    let texts = prop_oneof![
        any::<String>(),
        "AROA[A-Z0-9]{12,20}(:[a-z*$@]{0,6})?|AIDA[A-Z0-9]{12,20}|A[KS]IA[A-Z0-9]{12,20}|[0-9]{12}(:[a-z]{0,3})?",
        "AssumedRole|IAMUser|Root|FederatedUser|GeneratedFindingX|AWSReservedSSO_a_0123456789abcdef",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        texts.prop_map(Value::from),
    ];
    leaf.prop_recursive(7, 60, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map(names, inner.clone(), 0..7).prop_map(|it| json!(it)),
            // A text that is JSON again.
            (inner.clone()).prop_map(|it| json!({ "Message": it.to_string(), "TopicArn": "x" })),
        ]
    })
}

/// A true signal in which one value, drawn by its number, is another.
fn changed() -> impl Strategy<Value = Value> {
    let names = EXPECTED.iter().map(|(name, _)| fixtures().join(name));
    let texts = names.filter_map(|path| std::fs::read_to_string(path).ok());
    let signals: Vec<Value> = texts
        .filter_map(|text| serde_json::from_str(&text).ok())
        .collect();
    assert!(signals.len() > 40, "only {} signals", signals.len());
    let drawn = (prop::sample::select(signals), 0_usize..120, anything());
    drawn.prop_map(|(mut signal, mut number, other)| {
        replace(&mut signal, &mut number, &other);
        signal
    })
}

fn replace(value: &mut Value, number: &mut usize, other: &Value) {
    if *number == 0 {
        value.clone_from(other);
    }
    *number = number.wrapping_sub(1);
    match value {
        Value::Array(items) => items.iter_mut().for_each(|it| replace(it, number, other)),
        Value::Object(members) => {
            let each = members.values_mut();
            each.for_each(|it| replace(it, number, other));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn any_json_whatsoever_is_answered_by_somebody_nobody_or_an_error() {
    let mut answers = [0; 3];
    runner(4_000)
        .run(&prop_oneof![anything(), changed()], |value| {
            match signal::read(value.to_string()) {
                Err(error) => prop_assert!(error.to_string().len() < 4_000),
                Ok(findings) => {
                    prop_assert!(!findings.is_empty());
                    for finding in findings {
                        let all = serde_json::to_string(&finding).unwrap();
                        prop_assert!(all.len() < 20_000);
                        if let Who::Suspects(accused) = finding.who {
                            prop_assert!(!accused.is_empty());
                            for one in accused {
                                let whom = serde_json::to_string(&one.whom).unwrap();
                                prop_assert!(!whom.contains(['*', '?', '$']), "{whom}");
                            }
                        }
                    }
                }
            }
            Ok(())
        })
        .unwrap();
    // The strategy gets everywhere, or it shows nothing.
    let mut runner = runner(1_000);
    let signals = prop_oneof![anything(), changed()];
    for _ in 0..1_000 {
        let value = signals.new_tree(&mut runner).unwrap().current();
        match signal::read(value.to_string()) {
            Err(_) => answers[0] += 1,
            Ok(found) => match found[0].who {
                Who::Nobody(_) => answers[1] += 1,
                Who::Suspects(_) => answers[2] += 1,
            },
        }
    }
    assert!(answers.iter().all(|many| *many > 0), "{answers:?}");
}

#[test]
fn no_error_and_no_path_is_as_long_as_what_it_is_about() {
    let long = "x".repeat(1_000_000);
    for text in [
        format!(r#"{{"type":"{long}","id":"{long}"}}"#),
        format!(
            r#"{{"type":"a:b/c","resource":{{"accessKeyDetails":{{"userType":"IAMUser","userName":"{long}"}}}}}}"#
        ),
        format!(r#"{{"{long}":1,"{long}":2}}"#),
        format!(
            r#"{{"type":"a:b/c","service":{{"action":{{"{long}":{{"remoteIpDetails":7}}}}}}}}"#
        ),
        "[".repeat(100_000),
    ] {
        assert!(answer(text.as_bytes()).len() < 3_000);
        if let Ok(found) = signal::read(&text) {
            assert!(found[0].kind.len() < 1_000 && found[0].id.len() < 1_000);
        }
    }
}

#[test]
fn what_is_too_much_is_refused_by_name() {
    let many = "{\"type\":\"a:b/c\"}\n".repeat(signal::MOST_FINDINGS + 1);
    assert!(answer(many.as_bytes()).contains("more than 5000 findings"));
    let actors = vec![json!({}); 101];
    let sequence = json!({ "type": "AttackSequence:x", "service": { "detection": { "sequence": { "actors": actors } } } });
    assert!(
        answer(sequence.to_string().as_bytes()).contains("$.service.detection.sequence.actors")
    );
    let mut message = json!([]).to_string();
    for _ in 0..16 {
        message = json!({ "Message": message, "TopicArn": "x" }).to_string();
    }
    assert!(answer(message.as_bytes()).contains("envelopes"));
    assert!(answer(b"\x1f\x8bnot gzip").contains("not sound gzip"));
}

fn gzipped(write: impl Fn(&mut GzEncoder<Vec<u8>>)) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    write(&mut encoder);
    encoder.finish().unwrap()
}

/// The address space that reading takes at most, beside nothing: the binary itself is in it.
const CEILING_KIB: u32 = 640 * 1024;

#[test]
fn bombs_and_floods_end_in_an_error_within_a_ceiling_of_memory() {
    let zeros = vec![b' '; 1024 * 1024];
    let bomb = gzipped(|encoder| {
        for _ in 0..1024 {
            encoder.write_all(&zeros).unwrap();
        }
    });
    let of_bombs = gzipped(|encoder| encoder.write_all(&bomb).unwrap());
    let dense = |unit: &str| {
        let many = unit.repeat(10_000_000 / unit.len());
        format!("[{many}0]").into_bytes()
    };
    let inside =
        json!({ "Message": format!("[{}0]", "{\"\":0},".repeat(700_000)), "TopicArn": "x" });
    for (name, content, says) in [
        ("bomb.json.gz", bomb, "once it is inflated"),
        ("bombs.json.gz", of_bombs, "not"),
        ("flood.json", vec![b'['; 200 * 1024 * 1024], "over 10 MiB"),
        (
            "objects.json",
            dense("{\"\":0},"),
            "more values than can be kept",
        ),
        ("lists.json", dense("[],"), "more values than can be kept"),
        ("numbers.json", dense("0,"), "more values than can be kept"),
        (
            "inside.json",
            inside.to_string().into_bytes(),
            "more values than can be kept",
        ),
        (
            "documents.json",
            b"0 ".repeat(5_000_000),
            "more than 5000 findings",
        ),
    ] {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("ceiling-{name}"));
        std::fs::write(&path, content).unwrap();
        let line = format!("ulimit -v {CEILING_KIB}; exec \"$@\"");
        let mut command = Command::new("sh");
        command.args([
            "-c",
            &line,
            "sh",
            env!("CARGO_BIN_EXE_quell"),
            "signal",
            "read",
        ]);
        let output = command.arg(&path).output().unwrap();
        let err = String::from_utf8_lossy(&output.stderr);
        std::fs::remove_file(&path).unwrap();
        // An allocation over the ceiling would have ended it by a signal.
        assert_eq!(output.status.code(), Some(2), "{name}: {err}");
        assert!(err.contains(says) && err.len() < 3_000, "{name}: {err}");
    }
}

#[tokio::test]
async fn a_sample_is_refused_unless_it_is_asked_for() {
    let practice = Practice::new();
    for name in ["sample-generated.json", "sample-of-somebody.json"] {
        practice
            .quell(&format!("contain --yes --finding-file {}", fixture(name)))
            .await
            .expect(Exit::Refused)
            .says("GuardDuty sample")
            .says("--allow-sample");
    }
    practice
        .quell(&format!(
            "plan --allow-sample --finding-file {}",
            fixture("sample-of-somebody.json")
        ))
        .await
        .expect(Exit::Done)
        .says("alice@example.com");
    // What GuardDuty made up is nobody, whatever is allowed.
    practice
        .quell(&format!(
            "plan --allow-sample --finding-file {}",
            fixture("sample-generated.json")
        ))
        .await
        .expect(Exit::Refused)
        .says("cannot be real");
    practice.nothing_happened();
}

/// A sequence of two people of the practice organization, and one of them twice.
fn two_people(practice: &Practice) -> String {
    let text = std::fs::read_to_string(fixtures().join("sequence-actors.json")).unwrap();
    let mut event: Value = serde_json::from_str(&text).unwrap();
    let actors = &mut event["detail"]["service"]["detection"]["sequence"]["actors"];
    let mut bob = actors[0].clone();
    bob["user"]["uid"] = json!("AROAEXAMPLEEXAMPLE123:bob@example.com");
    let again = actors[0].clone();
    *actors = json!([actors[0], bob, again]);
    let path = practice.state_dir.with_extension("two.json");
    std::fs::write(&path, event.to_string()).unwrap();
    path.display().to_string()
}

#[tokio::test]
async fn of_several_suspects_the_operator_chooses_or_takes_all() {
    let practice = Practice::new();
    practice.few_accounts();
    let path = two_people(&practice);
    practice
        .quell(&format!("contain --yes --finding-file {path}"))
        .await
        .expect(Exit::Usage)
        .says("accuses several")
        .says("--all-suspects");
    practice.nothing_happened();
    practice.chooses("bob@example.com");
    practice
        .quell(&format!("plan --finding-file {path}"))
        .await
        .expect(Exit::Done)
        .says("bob@example.com");
    let chosen = practice
        .quell(&format!("plan --output json --finding-file {path}"))
        .await;
    assert_eq!(chosen.expect(Exit::Done).json()["schema"], "quell.plan/1");
    let all = practice
        .quell(&format!(
            "plan --all-suspects --output json --finding-file {path}"
        ))
        .await
        .expect(Exit::Done)
        .json();
    assert_eq!(all["plans"].as_array().unwrap().len(), 2, "{all}");
}

#[tokio::test]
async fn words_of_a_description_accuse_nobody_by_themselves() {
    let practice = Practice::new();
    practice
        .quell(&format!(
            "contain --yes --finding-file {}",
            fixture("sequence-described.json")
        ))
        .await
        .expect(Exit::Refused)
        .says("description alone")
        .says("quell contain arn:aws:iam::222233334444:user/ci-deploy");
    practice
        .quell(&format!(
            "signal read {}",
            fixture("sequence-described.json")
        ))
        .await
        .expect(Exit::Done)
        .says("in words alone");
    practice.nothing_happened();
}

#[tokio::test]
async fn without_an_argument_a_person_chooses_from_what_guardduty_saw() {
    let practice = Practice::new();
    practice
        .quell("contain")
        .await
        .expect(Exit::Usage)
        .says("no terminal");
    assert_eq!(practice.calls().len(), 0, "AWS was asked in a pipe");
    practice.chooses("UnauthorizedAccess:IAMUser/TorIPCaller");
    practice
        .quell("plan")
        .await
        .expect(Exit::Done)
        .says("test-user");
    practice.chooses("type a name");
    practice.types("alice@example.com");
    practice
        .quell("plan")
        .await
        .expect(Exit::Done)
        .says("alice@example.com");
    practice.nothing_happened();
}

#[tokio::test]
async fn a_console_address_leads_to_the_finding() {
    let practice = Practice::new();
    let (_, id) = practice.built.finding.clone().unwrap();
    for line in [
        format!(
            "plan https://eu-west-1.console.aws.amazon.com/guardduty/home?region=eu-west-1#/findings?fId={id}"
        ),
        format!(
            "plan --finding https://eu-west-1.console.aws.amazon.com/guardduty/home#/findings?fId={id}"
        ),
    ] {
        practice
            .quell(&line)
            .await
            .expect(Exit::Done)
            .says("test-user");
    }
}

#[tokio::test]
async fn whose_key_it_is_cloudtrail_tells() {
    let practice = Practice::new();
    let account = practice.range.with(|state| state.management.clone());
    let now = practice.range.with(|state| state.now);
    // A key that nobody has called with yet.
    practice
        .quell(&format!("plan {OPERATOR_KEY}"))
        .await
        .expect(Exit::Failed)
        .says("CloudTrail has no call of");
    let text = std::fs::read_to_string(fixtures().join("cloudtrail-session.json")).unwrap();
    let text = text.replace("ASIAEXAMPLEEXAMPLE12", OPERATOR_KEY);
    practice.range.with(|state| {
        let found_by = [("AccessKeyId", OPERATOR_KEY)];
        state
            .records
            .plant(&account, "us-east-1", now, text, &found_by);
    });
    practice
        .quell(&format!("plan {OPERATOR_KEY}"))
        .await
        .expect(Exit::Done)
        .says("alice@example.com");
    practice
        .quell("plan AKIANOBODYKNOWSTHIS0")
        .await
        .expect(Exit::Failed)
        .says("GetAccessKeyInfo");
    practice.nothing_happened();
}

#[tokio::test]
async fn what_is_shown_of_a_signal_says_who_where_and_how_sure() {
    let practice = Practice::new();
    let ran = practice
        .quell(&format!("signal read {}", fixture("sequence-actors.json")))
        .await
        .expect(Exit::Done);
    for text in [
        "severity  9",
        "account   222233334444",
        "from      198.51.100.7",
        "Identity Center user alice@example.com",
        "session i-0123456789abcdef0 of role web",
        "at $.detail.service.detection.sequence.actors[1].user.uid",
        "sure, by an id",
    ] {
        assert!(ran.out.contains(text), "no {text:?} in {}", ran.out);
    }
    let hostile = practice
        .quell(&format!("signal read {}", fixture("bidi.json")))
        .await
        .expect(Exit::Done);
    let shown = hostile
        .out
        .chars()
        .find(|c| c.is_control() && *c != '\n' || *c == '\u{202e}');
    assert_eq!(shown, None, "{:?}", hostile.out);
}
