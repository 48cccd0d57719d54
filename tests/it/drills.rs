//! Drills: the whole story, on other organizations and on findings in every form.

use std::path::Path;

use quell::cli::exit::Exit;
use serde_json::{Value, json};

use crate::practice::Practice;

/// One finding about an `AWSReservedSSO_` session, in GuardDuty's camelCase.
fn finding(username: &str) -> Value {
    json!({
        "schemaVersion": "2.0", "accountId": "777766665555", "region": "ap-northeast-1", "id": "ab12", "severity": 8,
        "type": "UnauthorizedAccess:IAMUser/InstanceCredentialExfiltration.OutsideAWS",
        "resource": { "resourceType": "AccessKey", "accessKeyDetails": {
            "accessKeyId": "ASIAEXAMPLEEXAMPLE00", "principalId": format!("AROAEXAMPLEEXAMPLE123:{username}"),
            "userType": "AssumedRole", "userName": "AWSReservedSSO_DataScientist_0123456789abcdef",
        } },
        "service": { "eventLastSeen": "2026-11-20T10:20:00.000Z", "action": { "awsApiCallAction": { "remoteIpDetails": { "ipAddressV4": "198.51.100.7" } } } },
    })
}

/// The same with PascalCase keys, as the CLI and the SDKs print it.
fn pascal(value: &Value) -> Value {
    match value {
        Value::Object(object) => object
            .iter()
            .map(|(key, value)| {
                let (first, rest) = key.split_at(1);
                (format!("{}{rest}", first.to_uppercase()), pascal(value))
            })
            .collect(),
        Value::Array(list) => list.iter().map(pascal).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

#[tokio::test]
async fn a_finding_in_every_form_is_drilled_to_a_pass() {
    let finding = finding("mallory@example.com");
    let event =
        json!({ "source": "aws.guardduty", "detail-type": "GuardDuty Finding", "detail": finding });
    let sequence = json!({
        "id": "s1", "type": "AttackSequence:IAM/CompromisedCredentials", "accountId": "777766665555",
        "service": { "detection": { "sequence": { "actors": [{
            "user": { "name": "AWSReservedSSO_DataScientist_0123456789abcdef", "uid": "AROAEXAMPLEEXAMPLE123:mallory@example.com", "type": "AssumedRole" },
            "session": { "issuer": "arn:aws:iam::777766665555:role/aws-reserved/sso.amazonaws.com/AWSReservedSSO_DataScientist_0123456789abcdef" },
        }] } } },
    });
    let forms = [
        ("api", finding.clone()),
        ("get-findings", json!({ "findings": [finding] })),
        ("cli", json!({ "Findings": [pascal(&finding)] })),
        ("array", json!([finding])),
        ("eventbridge", event.clone()),
        (
            "eventbridge-pascal",
            json!({ "source": "aws.guardduty", "detail": pascal(&finding) }),
        ),
        (
            "sns",
            json!({ "Type": "Notification", "TopicArn": "arn:aws:sns:eu-west-1:222233334444:guardduty", "Message": event.to_string() }),
        ),
        ("sequence", sequence),
    ];
    for (name, form) in forms {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("drill-{name}.json"));
        std::fs::write(&path, form.to_string()).unwrap();
        let practice = Practice::new();
        let report = practice
            .quell(&format!(
                "drill --finding-file {} --output json",
                path.display()
            ))
            .await
            .expect(Exit::Done)
            .json();
        assert_eq!(
            (&report["verdict"], &report["principal"]),
            (&json!("pass"), &json!("mallory@example.com")),
            "{name}"
        );
        assert!(
            report["attacker"]["refused"].as_u64().unwrap() > 1000,
            "{report}"
        );
    }
}

#[tokio::test]
async fn drills_of_many_organizations_pass_and_the_same_seed_tells_the_same_story() {
    let practice = Practice::new();
    let mut incidents = Vec::new();
    for seed in [2, 3, 4, 2] {
        let report = practice
            .quell(&format!("drill --seed {seed} --output json"))
            .await
            .expect(Exit::Done)
            .json();
        assert_eq!(report["schema"], "quell.drill/1");
        assert_eq!(
            (
                &report["attacker"]["allowed_after_proven"],
                &report["bystanders_refused"],
                &report["policies_left"]
            ),
            (&json!(0), &json!(0), &json!(0))
        );
        assert!(
            report["accepted_ms"].as_i64().unwrap() < report["proven_ms"].as_i64().unwrap(),
            "attached is not enforced: {report}"
        );
        incidents.push(report);
    }
    assert_eq!(incidents[0], incidents[3]);
    assert_ne!(incidents[0]["proven_ms"], incidents[1]["proven_ms"]);
}

#[tokio::test]
async fn a_drill_whose_proof_comes_too_early_or_whose_wait_is_too_short_fails() {
    let practice = Practice::new();
    let text = quell::playbook::shelf::text_of("identity-center-user").unwrap();
    // No patience: some account has not seen the deny yet.
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("impatient.toml");
    std::fs::write(
        &path,
        text.replace("timeout = \"15m\"", "timeout = \"1s\"")
            .replace("every = \"2s\"", "every = \"100ms\""),
    )
    .unwrap();
    let report = practice
        .quell(&format!(
            "drill --output json --playbook {}",
            path.display()
        ))
        .await
        .expect(Exit::Failed)
        .json();
    assert_eq!(report["verdict"], "fail");
    assert!(
        report["faults"][0]
            .as_str()
            .unwrap()
            .contains("never proven"),
        "{report}"
    );
}

#[tokio::test]
async fn the_drill_in_the_readme_is_the_drill() {
    let readme =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let recorded = readme.split("$ quell drill\n").nth(1).unwrap();
    let recorded = recorded.split("\n```").next().unwrap();
    let ran = Practice::new().quell("drill").await.expect(Exit::Done);
    assert_eq!(ran.out.trim_end(), recorded, "record it again");
}

#[tokio::test]
async fn the_story_can_be_followed_by_somebody_who_never_saw_quell() {
    let ran = Practice::new().quell("drill").await.expect(Exit::Done);
    for part in [
        "PRACTICE",
        "stolen test-user's",
        "GuardDuty raises a finding",
        "ACCEPTED",
        "PROVEN",
        "Release now? Refused",
        "The gate is open",
        "Grade: PASS",
    ] {
        assert!(ran.out.contains(part), "no {part:?} in\n{}", ran.out);
    }
}
