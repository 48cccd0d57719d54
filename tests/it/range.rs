//! The range's quotas and errors, as a real SDK sees them. What AWS documents: aws-facts §4, §8.

use aws_sdk_organizations::Client;
use aws_sdk_organizations::types::PolicyType;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use quell::aws::retries;
use quell::ids::*;
use quell::range::build::{OPERATOR_KEY, SECRET};

use crate::practice::Practice;

const SCP: PolicyType = PolicyType::ServiceControlPolicy;
const DENY: &str = r#"{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"*","Resource":"*","Condition":{"StringEquals":{"aws:userid":"x"}}}}"#;

fn organizations(practice: &Practice) -> Client {
    let region = Region::parse("us-east-1").unwrap();
    Client::new(
        &practice
            .range
            .sdk_config(OPERATOR_KEY, SECRET, None, &region, retries()),
    )
}

async fn create(client: &Client, name: &str) -> String {
    let created = client
        .create_policy()
        .r#type(SCP)
        .name(name)
        .description("")
        .content(DENY)
        .send()
        .await
        .unwrap();
    created
        .policy()
        .unwrap()
        .policy_summary()
        .unwrap()
        .id()
        .unwrap()
        .to_owned()
}

/// The code of an error that must have come.
macro_rules! code {
    ($call:expr) => {{
        let error = $call.send().await.expect_err("it was accepted");
        error.code().unwrap_or_default().to_owned()
    }};
}

mod access;

mod identity_center;

mod portal;

mod team;

mod trails;

mod users;

#[tokio::test]
async fn documents_and_names_that_aws_refuses() {
    let practice = Practice::new();
    let client = organizations(&practice);
    let new = |name: &str, content: &str| {
        client
            .create_policy()
            .r#type(SCP)
            .name(name)
            .description("")
            .content(content)
    };
    create(&client, "taken").await;
    assert_eq!(code!(new("taken", DENY)), "DuplicatePolicyException");
    assert_eq!(code!(new("", DENY)), "InvalidInputException");
    assert_eq!(
        code!(new("a", "{not json")),
        "MalformedPolicyDocumentException"
    );
    assert_eq!(
        code!(new(
            "a",
            r#"{"Statement":{"Effect":"Deny","Action":"*","Resource":"*","Principal":"*"}}"#
        )),
        "MalformedPolicyDocumentException"
    );
    // Every character counts, white space too.
    let room = 10_240 - DENY.chars().count();
    assert_eq!(
        code!(new("a", &format!("{DENY}{}", " ".repeat(room + 1)))),
        "ConstraintViolationException"
    );
    new("just-fits", &format!("{DENY}{}", " ".repeat(room)))
        .send()
        .await
        .unwrap();
    assert_eq!(
        code!(
            client
                .create_policy()
                .r#type(PolicyType::TagPolicy)
                .name("t")
                .description("")
                .content(DENY)
        ),
        "PolicyTypeNotAvailableForOrganizationException"
    );
}

#[tokio::test]
async fn attachments_that_aws_refuses() {
    let practice = Practice::new();
    let client = organizations(&practice);
    let policy = create(&client, "first").await;
    let attach =
        |policy: &str, target: &str| client.attach_policy().policy_id(policy).target_id(target);
    let detach =
        |policy: &str, target: &str| client.detach_policy().policy_id(policy).target_id(target);
    assert_eq!(
        code!(attach("p-doesnotexist", "r-quel")),
        "PolicyNotFoundException"
    );
    assert_eq!(code!(attach(&policy, "r-none")), "TargetNotFoundException");
    assert_eq!(
        code!(attach(&policy, "999999999999")),
        "TargetNotFoundException"
    );
    assert_eq!(
        code!(detach(&policy, "r-quel")),
        "PolicyNotAttachedException"
    );
    attach(&policy, "r-quel").send().await.unwrap();
    assert_eq!(
        code!(attach(&policy, "r-quel")),
        "DuplicatePolicyAttachmentException"
    );
    assert_eq!(
        code!(client.delete_policy().policy_id(&policy)),
        "PolicyInUseException"
    );
    for i in 2..10 {
        attach(&create(&client, &format!("policy-{i}")).await, "r-quel")
            .send()
            .await
            .unwrap();
    }
    let eleventh = create(&client, "eleventh").await;
    let full = attach(&eleventh, "r-quel")
        .send()
        .await
        .expect_err("ten is the most")
        .into_service_error();
    assert!(full.is_constraint_violation_exception());
    let reason = format!("{full:?}");
    assert!(
        reason.contains("MaxPolicyTypeAttachmentLimitExceeded"),
        "{reason}"
    );
    // At least one stays.
    assert_eq!(
        code!(detach("p-FullAWSAccess", "444455556666")),
        "ConstraintViolationException"
    );
    assert_eq!(
        code!(client.delete_policy().policy_id("p-FullAWSAccess")),
        "InvalidInputException"
    );
    client
        .disable_policy_type()
        .root_id("r-quel")
        .policy_type(SCP)
        .send()
        .await
        .unwrap();
    assert_eq!(
        code!(attach(&eleventh, "r-quel")),
        "PolicyTypeNotEnabledException"
    );
    client
        .delete_policy()
        .policy_id(&policy)
        .send()
        .await
        .expect("switching the type off dropped every attachment");
}

#[tokio::test]
async fn updating_has_no_version_and_the_last_writer_wins() {
    let practice = Practice::new();
    let client = organizations(&practice);
    let policy = create(&client, "shared").await;
    for content in [DENY, &DENY.replace("\"x\"", "\"y\"")] {
        client
            .update_policy()
            .policy_id(&policy)
            .content(content)
            .send()
            .await
            .unwrap();
    }
    let seen = client
        .describe_policy()
        .policy_id(&policy)
        .send()
        .await
        .unwrap();
    assert!(seen.policy().unwrap().content().unwrap().contains("\"y\""));
    assert_eq!(
        code!(
            client
                .update_policy()
                .policy_id(&policy)
                .name("FullAWSAccess")
        ),
        "DuplicatePolicyException"
    );
}

#[tokio::test]
async fn a_list_can_have_an_empty_page_in_it() {
    let practice = Practice::new();
    let client = organizations(&practice);
    let mut pages = client
        .list_accounts()
        .max_results(5)
        .into_paginator()
        .send();
    let (mut sizes, mut total) = (Vec::new(), 0);
    while let Some(page) = pages.next().await {
        let page = page.unwrap();
        sizes.push(page.accounts().len());
        total += page.accounts().len();
    }
    assert_eq!(total, 13);
    assert!(sizes.contains(&0), "{sizes:?}");
    assert_eq!(
        code!(client.list_accounts().max_results(5).next_token("nonsense")),
        "InvalidInputException"
    );
}

#[tokio::test]
async fn members_may_ask_for_the_organization_and_nothing_else() {
    let practice = Practice::new();
    let (account, key, token) = &practice.built.hero_sessions[0];
    assert_ne!(account.as_str(), "111122223333");
    let region = Region::parse("us-east-1").unwrap();
    let client =
        Client::new(
            &practice
                .range
                .sdk_config(key, SECRET, Some(token), &region, retries()),
        );
    client.describe_organization().send().await.unwrap();
    assert_eq!(code!(client.list_roots()), "AccessDeniedException");
    assert_eq!(code!(client.list_accounts()), "AccessDeniedException");
}

#[tokio::test]
async fn an_operation_that_is_not_there_is_an_error_that_names_it() {
    let practice = Practice::new();
    let client = organizations(&practice);
    let error = client
        .list_handshakes_for_account()
        .send()
        .await
        .expect_err("there are none here");
    assert!(
        error
            .message()
            .unwrap_or_default()
            .contains("ListHandshakesForAccount"),
        "{error:?}"
    );
}

#[tokio::test]
async fn assuming_a_role_follows_the_rules_of_sts() {
    let practice = Practice::new();
    let region = Region::parse("us-east-1").unwrap();
    let config = practice
        .range
        .sdk_config(OPERATOR_KEY, SECRET, None, &region, retries());
    let sts = aws_sdk_sts::Client::new(&config);
    let assume = |role: &str, name: &str| {
        sts.assume_role()
            .role_arn(format!("arn:aws:iam::222233334444:role/{role}"))
            .role_session_name(name)
    };
    assert_eq!(code!(assume("nobody", "alice")), "AccessDenied");
    assert_eq!(code!(assume("quell-canary", "a")), "ValidationError");
    assert_eq!(code!(assume("quell-canary", "a*b")), "ValidationError");
    assert_eq!(
        code!(assume("quell-canary", "alice").duration_seconds(60)),
        "ValidationError"
    );
    let minted = assume("quell-canary", "alice")
        .source_identity("carol")
        .duration_seconds(900)
        .send()
        .await
        .unwrap();
    assert!(
        minted
            .assumed_role_user()
            .unwrap()
            .assumed_role_id()
            .ends_with(":alice")
    );
    // A chain is cut to an hour and keeps the source identity.
    let key = minted.credentials().unwrap();
    practice.range.with(|state| {
        let own = state.sessions[key.access_key_id()].account.clone();
        let role = quell::range::state::Role {
            id: RoleId::parse("AROAEXAMPLEEXAMPLE123").unwrap(),
            path: "/".to_owned(),
            trusts: [own.clone()].into(),
            service: None,
            inline: None,
        };
        state
            .accounts
            .get_mut(&own)
            .unwrap()
            .roles
            .insert("next".to_owned(), role);
    });
    let chained = aws_sdk_sts::Client::new(&practice.range.sdk_config(
        key.access_key_id(),
        SECRET,
        Some(key.session_token()),
        &region,
        retries(),
    ));
    let next = || {
        chained
            .assume_role()
            .role_arn("arn:aws:iam::222233334444:role/next")
            .role_session_name("innocent")
    };
    assert_eq!(code!(next().duration_seconds(7200)), "ValidationError");
    let chained = next().send().await.unwrap();
    let key = chained.credentials().unwrap().access_key_id().to_owned();
    assert_eq!(
        practice
            .range
            .with(|state| state.sessions[&key].source_identity.clone())
            .as_deref(),
        Some("carol")
    );
}
