//! Proof, and what is not one.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_smithy_types::retry::RetryConfig;
use futures_util::future::try_join_all;
use jiff::SignedDuration;
use quell::aws::{Aws, wire};
use quell::cli::exit::Exit;
use quell::cloud::{Cloud as _, Read as _};
use quell::ids::*;
use quell::playbook::shelf;
use quell::policy::document::Document;
use quell::range::build::{OPERATOR_KEY, SECRET};
use quell::range::state::Policy;
use quell::range::{Range, Time};

use crate::practice::Practice;

/// Attaches somebody else's SCP to the root.
fn attach(practice: &Practice, content: &str) {
    practice.range.with(|state| {
        let id = PolicyId::parse("p-somebodyelse").unwrap();
        let policy = Policy {
            name: "somebody-else".to_owned(),
            description: String::new(),
            content: content.to_owned(),
            document: Arc::new(Document::parse(content).unwrap()),
            tags: Default::default(),
            aws_managed: false,
        };
        state.policies.insert(id.clone(), policy);
        let root = state.root.clone();
        state.attachments.entry(root).or_default().insert(0, id);
        state.settle();
    });
}

#[tokio::test]
async fn attached_and_not_enforced_is_getting_through() {
    let practice = Practice::new();
    let ran = practice
        .quell("contain test-user --yes --verify-timeout 1s --output json")
        .await
        .expect(Exit::GettingThrough);
    let report = ran.json();
    assert_eq!(report["state"], "getting_through");
    assert!(report["proven_ms"].is_null() && report["release_not_before"].is_null());
    assert_eq!(practice.ours().len(), 1, "it stays contained");
    let incident = practice.incident().await;
    practice
        .quell(&format!("verify {incident}"))
        .await
        .expect(Exit::Done)
        .says("refused everywhere we looked");
}

#[tokio::test]
async fn refused_by_somebody_elses_policy_is_no_proof() {
    let practice = Practice::new();
    attach(
        &practice,
        r#"{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"*","Resource":"*","Condition":{"StringLike":{"aws:userid":"*:test-user"}}}}"#,
    );
    let report = practice
        .quell("contain test-user --yes --verify-timeout 1m --output json")
        .await
        .expect(Exit::NotProven)
        .json();
    assert_eq!(report["accounts"][0]["verdict"], "refused_by_other");
    assert!(
        report["accounts"][0]["detail"]
            .as_str()
            .unwrap()
            .contains("p-somebodyelse"),
        "{report}"
    );
}

#[tokio::test]
async fn when_the_control_is_refused_too_nothing_is_shown() {
    let practice = Practice::new();
    attach(
        &practice,
        r#"{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"iam:*","Resource":"*"}}"#,
    );
    let report = practice
        .quell("contain test-user --yes --verify-timeout 1m --output json")
        .await
        .expect(Exit::NotProven)
        .json();
    assert_eq!(report["accounts"][0]["verdict"], "control_refused");
}

#[tokio::test]
async fn an_account_without_a_canary_role_is_could_not_ask_and_never_fine() {
    let practice = Practice::new();
    let lost = AccountId::parse("222233334444").unwrap();
    practice.range.with(|state| {
        state
            .accounts
            .get_mut(&lost)
            .unwrap()
            .roles
            .retain(|name, _| name.starts_with("AWSReserved"))
    });
    let report = practice
        .quell("contain test-user --yes --output json")
        .await
        .expect(Exit::NotProven)
        .json();
    for account in report["accounts"].as_array().unwrap() {
        let expected = if account["id"] == "222233334444" {
            "could_not_ask"
        } else {
            "refused_by_us"
        };
        assert_eq!(account["verdict"], expected, "{account}");
    }
}

#[tokio::test]
async fn the_second_role_is_tried_when_the_first_is_not_there() {
    let practice = Practice::new();
    practice.range.with(|state| {
        state
            .accounts
            .values_mut()
            .for_each(|account| account.roles.retain(|name, _| name != "quell-canary"))
    });
    let report = practice
        .quell("contain test-user --yes --output json")
        .await
        .expect(Exit::Done)
        .json();
    assert_eq!(
        report["accounts"][0]["role"],
        "OrganizationAccountAccessRole"
    );
    let incident = practice.incident().await;
    practice
        .quell(&format!("verify {incident} --canary-role quell-canary"))
        .await
        .expect(Exit::NotProven)
        .says("could not ask");
}

#[tokio::test]
async fn the_canary_asks_what_a_policy_can_refuse_under_the_users_name_and_a_neutral_one() {
    let practice = Practice::new();
    practice
        .quell("contain test-user --yes")
        .await
        .expect(Exit::Done);
    let probes = practice
        .calls()
        .iter()
        .filter(|call| call.action == "iam:ListAccountAliases")
        .count();
    assert!(probes >= 12 * 2 * 3, "{probes}");
    let identity = practice
        .calls()
        .iter()
        .filter(|call| call.action == "sts:GetCallerIdentity")
        .count();
    assert_eq!(
        identity, 1,
        "GetCallerIdentity is answered despite any deny: it says who we are, and proves nothing"
    );
    let incident = practice.incident().await;
    practice.range.with(|state| {
        let canaries: Vec<&str> = state
            .sessions
            .values()
            .filter(|session| session.policy.is_some())
            .map(|session| session.user_id.split(':').nth(1).unwrap())
            .collect();
        let control = format!("quell-control-{incident}");
        assert_eq!(
            canaries.iter().filter(|name| **name == "test-user").count(),
            12
        );
        assert_eq!(canaries.iter().filter(|name| **name == control).count(), 12);
    });
}

/// The deny as it is, without the statements whose Sid ends so.
fn without(practice: &Practice, sid: &str) {
    practice.range.with(|state| {
        let ours = state.policies.values_mut();
        for policy in ours.filter(|policy| policy.name.starts_with("quell-")) {
            let mut document: serde_json::Value = serde_json::from_str(&policy.content).unwrap();
            let statements = document["Statement"].as_array_mut().unwrap();
            let before = statements.len();
            statements.retain(|it| !it["Sid"].as_str().unwrap().ends_with(sid));
            assert_eq!(statements.len(), before - 1);
            policy.content = document.to_string();
            policy.document = Arc::new(Document::parse(&policy.content).unwrap());
        }
        state.settle();
    });
}

#[tokio::test]
async fn a_neutral_name_with_the_users_source_identity_is_refused_too_or_it_is_not_proven() {
    let practice = Practice::new();
    let report = practice
        .quell("contain test-user --yes --output json")
        .await
        .expect(Exit::Done)
        .json();
    for account in report["accounts"].as_array().unwrap() {
        assert_eq!(account["source_identity"], true, "{account}");
    }
    let incident = practice.incident().await;
    practice.range.with(|state| {
        let source = format!(":quell-source-{incident}");
        let sourced = state.sessions.values();
        let sourced: Vec<_> = sourced.filter(|it| it.user_id.ends_with(&source)).collect();
        assert_eq!(sourced.len(), 12);
        for session in sourced {
            assert_eq!(session.source_identity.as_deref(), Some("test-user"));
        }
    });
    // Somebody takes that statement out: the name alone is refused now.
    without(&practice, "SourceIdentity");
    let report = practice
        .quell(&format!(
            "verify {incident} --verify-timeout 30s --output json"
        ))
        .await
        .expect(Exit::GettingThrough)
        .json();
    assert_eq!(report["accounts"][0]["verdict"], "allowed");
}

#[tokio::test]
async fn where_no_source_identity_can_be_set_the_name_is_shown_and_the_rest_is_said() {
    let practice = Practice::new();
    let role = "--canary-role OrganizationAccountAccessRole";
    practice
        .quell(&format!("contain test-user --yes {role}"))
        .await
        .expect(Exit::Done)
        .says("in 12 of 12 the canary role does not let a source identity be set");
    let incident = practice.incident().await;
    without(&practice, "SourceIdentity");
    practice
        .quell(&format!("verify {incident} {role}"))
        .await
        .expect(Exit::Done);
}

#[tokio::test]
async fn every_account_is_looked_at_on_request_and_one_that_cannot_be_asked_keeps_nothing_open() {
    let practice = Practice::new();
    practice.few_accounts();
    let lost = AccountId::parse("888899990000").unwrap();
    practice.range.with(|state| {
        let lost = state.accounts.get_mut(&lost).unwrap();
        lost.roles.retain(|name, _| name.starts_with("AWSReserved"));
    });
    let few = practice
        .quell("contain test-user --yes --output json")
        .await
        .expect(Exit::Done)
        .json();
    let incident = practice.incident().await;
    let all = practice
        .quell(&format!("verify {incident} --all-accounts --output json"))
        .await
        .expect(Exit::Done)
        .json();
    let count = |report: &serde_json::Value| report["accounts"].as_array().unwrap().len();
    assert!(count(&few) < 6, "{few}");
    assert_eq!(count(&all), 12, "all but the management account: {all}");
    let lost = all["accounts"].as_array().unwrap().iter();
    let lost: Vec<_> = lost.filter(|it| it["verdict"] != "refused_by_us").collect();
    assert_eq!(lost.len(), 1, "{all}");
    assert_eq!(lost[0]["id"], "888899990000");
    let took = &all["enforcement"];
    assert!(took["p50_ms"].as_i64() <= took["max_ms"].as_i64() && took["p50_ms"].is_i64());
}

#[tokio::test]
async fn where_the_deny_has_not_come_yet_looking_everywhere_finds_it() {
    let practice = Practice::new();
    practice.few_accounts();
    let late = AccountId::parse("777788889999").unwrap();
    practice.range.with(|state| {
        state.accounts.get_mut(&late).unwrap().delay = jiff::SignedDuration::from_hours(9);
    });
    let contain = "contain test-user --yes --all-accounts --verify-timeout 1m --output json";
    let report = practice
        .quell(contain)
        .await
        .expect(Exit::GettingThrough)
        .json();
    let accounts = report["accounts"].as_array().unwrap().iter();
    let allowed: Vec<_> = accounts.filter(|it| it["verdict"] == "allowed").collect();
    assert_eq!(allowed.len(), 1, "{report}");
    assert_eq!(allowed[0]["id"], late.as_str());
    let incident = practice.incident().await;
    practice
        .quell(&format!("verify {incident}"))
        .await
        .expect(Exit::Done);
}

#[tokio::test]
async fn a_deny_that_somebody_detached_is_noticed() {
    let practice = Practice::new();
    practice
        .quell("contain test-user --yes")
        .await
        .expect(Exit::Done);
    let incident = practice.incident().await;
    practice.range.with(|state| {
        let root = state.root.clone();
        state.attachments.get_mut(&root).unwrap().truncate(1);
        state.settle();
    });
    practice
        .quell(&format!("verify {incident} --verify-timeout 10s"))
        .await
        .expect(Exit::GettingThrough)
        .says("STILL GETTING THROUGH");
    practice.quell("status").await.says("NOT ATTACHED");
}

#[tokio::test]
async fn a_look_at_one_account_proves_nothing_of_the_others() {
    let practice = Practice::new();
    practice
        .quell("contain test-user --yes --verify-timeout 1s")
        .await
        .expect(Exit::GettingThrough);
    practice.range.advance(jiff::SignedDuration::from_mins(1));
    let incident = practice.incident().await;
    let report = practice
        .quell(&format!(
            "verify {incident} --account 444455556666 --output json"
        ))
        .await
        .expect(Exit::NotProven)
        .json();
    assert_eq!(report["accounts"][0]["verdict"], "refused_by_us");
    assert_eq!(
        (&report["complete"], &report["state"]),
        (&false.into(), &"accepted".into())
    );
    let status = practice.quell("status --output json").await.json();
    assert!(
        status["incidents"][0]["proven"].is_null(),
        "it started the clock: {status}"
    );
}

/// Somebody cleaned up the policy's tags. The document still says whom it denies, so a canary can still be named so.
#[tokio::test]
async fn whom_a_deny_is_about_is_read_from_the_document_when_the_tags_are_lost() {
    let practice = Practice::new();
    practice
        .quell("contain test-user --yes")
        .await
        .expect(Exit::Done);
    let incident = practice.incident().await;
    practice.range.with(|state| {
        for policy in state.policies.values_mut() {
            policy.tags.retain(|key, _| !key.contains("session-name"));
        }
    });
    let report = practice
        .quell(&format!("verify {incident} --output json"))
        .await
        .expect(Exit::Done)
        .json();
    let accounts = report["accounts"].as_array().unwrap();
    assert!(!accounts.is_empty());
    for account in accounts {
        assert_eq!(account["verdict"], "refused_by_us", "{account}");
    }
}

#[tokio::test]
async fn everywhere_is_under_the_target_and_who_is_allowed_elsewhere_is_no_failure_of_the_deny() {
    let practice = Practice::new();
    let report = practice
        .quell("contain test-user --target ou-quel-sandboxs --yes --all-accounts --output json")
        .await
        .json();
    let accounts = report["accounts"].as_array().unwrap().iter();
    let accounts: Vec<_> = accounts.map(|it| (&it["id"], &it["verdict"])).collect();
    assert_eq!(accounts.len(), 2, "{accounts:?}");
    assert!(
        accounts
            .iter()
            .all(|(_, verdict)| *verdict == "refused_by_us")
    );
}

const TWO_BY_TWO: &str =
    "--probe guardduty:ListDetectors --probe dynamodb:ListTables --regions us-east-1,eu-west-1";

/// In how many accounts canaries asked this.
fn asked(practice: &Practice, action: &str) -> usize {
    let calls = practice.calls();
    let keys = calls.iter().filter(|it| it.action == action);
    practice.range.with(|state| {
        let sessions = keys.filter_map(|call| state.sessions.get(&call.key));
        let canaries = sessions.filter(|session| session.policy.is_some());
        let accounts: BTreeSet<&AccountId> = canaries.map(|it| &it.account).collect();
        accounts.len()
    })
}

#[tokio::test]
async fn two_services_in_two_regions_are_each_asked_and_each_refused() {
    let practice = Practice::new();
    practice
        .quell(&format!("contain test-user --yes {TWO_BY_TWO}"))
        .await
        .expect(Exit::Done)
        .says("asked in each: guardduty:ListDetectors in eu-west-1, us-east-1; dynamodb:ListTables in");
    for action in ["guardduty:ListDetectors", "dynamodb:ListTables"] {
        assert_eq!(asked(&practice, action), 12, "{action}");
    }
    let incident = practice.incident().await;
    let report = practice
        .quell(&format!("verify {incident} {TWO_BY_TWO} --output json"))
        .await
        .expect(Exit::Done)
        .json();
    let asked: Vec<_> = report["asked"].as_array().unwrap().iter().collect();
    assert_eq!(asked.len(), 4, "{report}");
    assert_eq!(asked[0]["action"], "guardduty:ListDetectors");
    assert_eq!(asked[0]["region"], "eu-west-1");
    let accounts = report["accounts"].as_array().unwrap();
    assert!(accounts.iter().all(|it| it["verdict"] == "refused_by_us"));
    // A session may ask what it is to ask, and nothing else.
    practice.range.with(|state| {
        let mut minted = state.sessions.values().filter_map(|it| it.policy.as_ref());
        let one = minted.next().unwrap().minified();
        assert!(one.contains("guardduty:ListDetectors") && one.contains("dynamodb:ListTables"));
        assert!(
            !one.contains("iam:") && !one.contains("cloudtrail:"),
            "{one}"
        );
    });
}

#[tokio::test]
async fn a_probe_that_another_policy_refuses_everybody_is_named_and_nothing_is_shown() {
    let practice = Practice::new();
    attach(
        &practice,
        r#"{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"guardduty:*","Resource":"*"}}"#,
    );
    let two = "--probe guardduty:ListDetectors --probe iam:ListAccountAliases";
    let report = practice
        .quell(&format!(
            "contain test-user --yes --verify-timeout 1m {two} --output json"
        ))
        .await
        .expect(Exit::NotProven)
        .json();
    let account = &report["accounts"][0];
    assert_eq!(account["verdict"], "control_refused", "{account}");
    let detail = account["detail"].as_str().unwrap();
    assert!(
        detail.starts_with("guardduty:ListDetectors in us-east-1: inconclusive")
            && detail.contains("p-somebodyelse")
            && !detail.contains("iam:"),
        "{detail}"
    );
    // The other alone shows it.
    let incident = practice.incident().await;
    practice
        .quell(&format!("verify {incident} --probe iam:ListAccountAliases"))
        .await
        .expect(Exit::Done);
}

#[tokio::test]
async fn a_deny_that_does_not_hold_in_one_region_is_not_called_proven() {
    let practice = Practice::new();
    practice
        .quell("contain test-user --yes")
        .await
        .expect(Exit::Done);
    practice.range.with(|state| {
        let ours = state.policies.values_mut();
        for policy in ours.filter(|policy| policy.name.starts_with("quell-")) {
            let mut document: serde_json::Value = serde_json::from_str(&policy.content).unwrap();
            for statement in document["Statement"].as_array_mut().unwrap() {
                statement["Condition"]["StringNotEquals"] =
                    serde_json::json!({"aws:RequestedRegion": "eu-west-1"});
            }
            policy.content = document.to_string();
            policy.document = Arc::new(Document::parse(&policy.content).unwrap());
        }
        state.settle();
    });
    practice.range.advance(SignedDuration::from_mins(1));
    let incident = practice.incident().await;
    let verify =
        |more: &str| format!("verify {incident} --verify-timeout 30s --output json {more}");
    // IAM alone does not see it.
    practice.quell(&verify("")).await.expect(Exit::Done);
    let report = practice
        .quell(&verify(TWO_BY_TWO))
        .await
        .expect(Exit::GettingThrough)
        .json();
    let account = &report["accounts"][0];
    assert_eq!(account["verdict"], "allowed", "{account}");
    let detail = account["detail"].as_str().unwrap();
    assert_eq!(
        detail,
        "guardduty:ListDetectors in eu-west-1: allowed; dynamodb:ListTables in eu-west-1: allowed"
    );
}

#[tokio::test]
async fn what_is_asked_can_stand_in_the_playbook_and_regions_for_nothing_are_refused() {
    let practice = Practice::new();
    let text = shelf::text_of("identity-center-user").unwrap();
    let asking =
        "in_a_row = 3\nprobes = [\"cloudtrail:DescribeTrails\"]\nregions = [\"eu-west-1\"]";
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("probes.toml");
    std::fs::write(&file, text.replacen("in_a_row = 3", asking, 1)).unwrap();
    let file = file.display();
    practice
        .quell(&format!("contain test-user --yes --playbook {file}"))
        .await
        .expect(Exit::Done)
        .says("asked in each: cloudtrail:DescribeTrails in eu-west-1");
    assert_eq!(asked(&practice, "iam:ListAccountAliases"), 0);
    practice
        .quell("contain test-user --yes --regions eu-west-1")
        .await
        .expect(Exit::Usage);
    practice
        .quell("contain test-user --yes --probe sts:GetCallerIdentity")
        .await
        .expect(Exit::Usage);
}

/// Its host says nothing of the service behind a custom endpoint; the signature does.
#[tokio::test]
async fn behind_an_endpoint_of_somebodys_own_sts_is_never_asked_too_fast_either() {
    let practice = Practice::new();
    let mut state = practice.range.with(|state| state.clone());
    state.throttles = true;
    let range = Range::new(state, Time::Together);
    // Being throttled once would be told at once.
    let never = RetryConfig::disabled();
    let region = Region::parse("us-east-1").unwrap();
    let config = range.sdk_config(OPERATOR_KEY, SECRET, None, &region, never);
    assert!(config.endpoint_url().is_some());
    let http = SharedHttpClient::new(range.clone());
    let world = Aws::over(config, http, wire::Seen::default(), range.clone());
    let began = range.now();
    let callers = (0..1_500).map(|_| world.read().caller());
    let callers = range.run(try_join_all(callers)).await;
    assert_eq!(callers.unwrap().len(), 1_500);
    // Six hundred at once, and as many again each second, of which we leave others a fifth.
    let took = range.now().duration_since(began);
    assert!(took >= SignedDuration::from_millis(1_500), "{took:?}");
    assert!(took < SignedDuration::from_millis(2_500), "{took:?}");
}
