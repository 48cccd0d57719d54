//! The guardrail against what the source says of it: refused outside the jump account, allowed in it and to root users,
//! and making a user is nowhere refused. A matrix of principals, accounts, actions and exceptions; judged by quell's
//! evaluator, by the plain one, and by somebody else's.

use quell::guardrail::Terms;
use quell::ids::*;
use quell::policy::evaluate::Decision;
use serde_json::{Value, json};

use crate::agreement::{ours, word};
use crate::cases::allow_all;
use crate::naive;
use crate::oracle::ask;

const JUMP: &str = "222233334444";
const SECOND_JUMP: &str = "333344445555";
const MEMBER: &str = "444455556666";

/// Each request with what the source's words say of it.
fn matrix() -> Vec<(Value, &'static str)> {
    let account = |id: &str| AccountId::parse(id).unwrap();
    let except =
        PrincipalPattern::parse(format!("arn:aws:iam::{MEMBER}:role/Onboarding*")).unwrap();
    let mut all = Vec::new();
    for (jump, excepted, access_keys) in [
        (vec![JUMP], false, false),
        (vec![JUMP, SECOND_JUMP], false, true),
        (vec![JUMP], true, false),
        (vec![JUMP, SECOND_JUMP], true, true),
    ] {
        let terms = Terms {
            partition: Partition::parse("aws").unwrap(),
            jump_accounts: jump.iter().map(|id| account(id)).collect(),
            except: excepted.then(|| except.clone()).into_iter().collect(),
            access_keys,
        };
        let scps = json!([[allow_all(), terms.document()]]);
        for place in [JUMP, SECOND_JUMP, MEMBER, "999999999999"] {
            for who in [
                "root",
                "user/alice",
                "user/team/alice",
                // Names that look like what is spared.
                "user/root",
                "user/222233334444",
                "role/Admin",
                "role/root",
                "role/Onboarding",
                "role/Onboarding-2",
                "role/x/Onboarding",
                "role/aws-reserved/sso.amazonaws.com/AWSReservedSSO_AdministratorAccess_0123456789abcdef",
            ] {
                for action in [
                    "iam:CreateLoginProfile",
                    "iam:UpdateLoginProfile",
                    "iam:CreateAccessKey",
                    "iam:CreateUser",
                    "iam:DeleteLoginProfile",
                    "iam:UpdateAccessKey",
                    "iam:ChangePassword",
                    "iam:GetLoginProfile",
                    "s3:ListAllMyBuckets",
                ] {
                    let arn = format!("arn:aws:iam::{place}:{who}");
                    let makes = match action {
                        "iam:CreateLoginProfile" | "iam:UpdateLoginProfile" => true,
                        "iam:CreateAccessKey" => access_keys,
                        _ => false,
                    };
                    let spared = who == "root"
                        || jump.contains(&place)
                        || (excepted && place == MEMBER && who.starts_with("role/Onboarding"));
                    let case = json!({
                        "scps": scps,
                        "request": {
                            "action": action,
                            "resource": "arn:aws:iam::111122223333:user/somebody",
                            // The judge knows one account; who asks is what the keys say.
                            "principal_arn": "arn:aws:sts::111122223333:assumed-role/Ops/alice",
                            "context": { "aws:PrincipalArn": arn, "aws:PrincipalAccount": place },
                        },
                    });
                    let expected = if makes && !spared {
                        "explicit_deny"
                    } else {
                        "allow"
                    };
                    all.push((case, expected));
                }
            }
        }
    }
    all
}

#[test]
fn the_guardrail_refuses_what_the_source_says_and_nothing_else() {
    let mut refused = 0;
    for (case, expected) in matrix() {
        let (verdict, _) = ours(&case);
        assert_eq!(word(verdict.decision), expected, "{case}");
        let plain = naive::decide(&case);
        assert_eq!(plain, expected, "{case}");
        refused += usize::from(verdict.decision == Decision::ExplicitDeny);
    }
    assert!(refused > 100, "{refused}");
}

#[test]
fn whoever_comes_without_an_arn_is_refused() {
    for (mut case, _) in matrix() {
        let request = case["request"].as_object_mut().unwrap();
        request.insert("context".to_owned(), json!({}));
        let refused = case["request"]["action"] == "iam:CreateLoginProfile";
        let (verdict, _) = ours(&case);
        assert!(
            !refused || verdict.decision == Decision::ExplicitDeny,
            "{case}"
        );
    }
}

#[test]
#[ignore = "needs Node: tests/oracle/run"]
fn iam_simulate_judges_the_guardrail_the_same() {
    let cases = matrix();
    let lines: Vec<String> = cases.iter().map(|(case, _)| case.to_string()).collect();
    for ((case, expected), theirs) in cases.iter().zip(ask("oracle.mjs", &lines)) {
        assert_eq!(theirs["decision"], *expected, "{case}");
    }
    println!(
        "iam-simulate on the guardrail: {} cases, disagreements: 0",
        cases.len()
    );
}
