//! A jump account: which roles its user may assume, which of the sessions there the deny matches, and which it does not.

use std::collections::{BTreeMap, BTreeSet};

use quell::audit::switching::{Sure, Switch, Switcher, Where};
use quell::cli::exit::Exit;
use quell::facts::audit::{Details, Grants, RoleDetail, UserDetail};
use quell::ids::*;
use quell::range::build::kinds::{self, DEPLOY, INNOCENT, JUMP_ACCOUNT, JUMP_USER, Kind};
use quell::range::estate::Estate;
use quell::range::state::State;
use serde_json::{Value, json};

use crate::practice::Practice;
use crate::trailing::{DELIVERED, traced};

/// The account whose role trusts the user, and the one whose role trusts the user's account.
const NAMES_THE_USER: &str = "444455556666";
const NAMES_THE_ACCOUNT: &str = "666677778888";

fn account(id: &str) -> AccountId {
    AccountId::parse(id).unwrap()
}

fn estate<'a>(state: &'a mut State, id: &str) -> &'a mut Estate {
    state.estates.get_mut(&account(id)).unwrap()
}

/// The user has switched into two roles before the finding: in the console, and with the key.
fn attacked() -> Practice {
    let practice = Practice::new();
    practice.few_accounts();
    practice
        .range
        .with(|state| kinds::play(state, Kind::JumpUser, false))
        .unwrap();
    practice.range.advance(jiff::SignedDuration::from_mins(5));
    practice
}

/// They are contained, and every record has come.
async fn contained(practice: &Practice) -> String {
    practice
        .quell(&format!(
            "contain arn:aws:iam::{JUMP_ACCOUNT}:user/{JUMP_USER} --yes"
        ))
        .await
        .expect(Exit::Done)
        .says("--may-assume");
    practice.range.advance(DELIVERED);
    practice.incident().await
}

/// What is said of each role, by account and name.
fn roles(report: &Value) -> BTreeMap<(String, String), Value> {
    let roles = report["may_assume"]["roles"].as_array().unwrap().iter();
    roles
        .map(|role| {
            let (account, arn) = (role["account"].as_str(), role["role"].as_str());
            let name = arn.unwrap().rsplit('/').next().unwrap();
            ((account.unwrap().to_owned(), name.to_owned()), role.clone())
        })
        .collect()
}

fn key(account: &str, name: &str) -> (String, String) {
    (account.to_owned(), name.to_owned())
}

#[tokio::test]
async fn each_role_that_the_user_may_assume_is_found_with_the_sessions_there_and_no_other() {
    let practice = attacked();
    let id = contained(&practice).await;
    let report = traced(&practice, &id, "--may-assume", Exit::GettingThrough).await;
    let found = roles(&report);
    let (admin, console, innocent) = (
        key(JUMP_ACCOUNT, "admin"),
        key(NAMES_THE_USER, DEPLOY),
        key(NAMES_THE_ACCOUNT, DEPLOY),
    );
    let expected = BTreeSet::from([admin.clone(), console.clone(), innocent.clone()]);
    assert_eq!(found.keys().cloned().collect::<BTreeSet<_>>(), expected);
    assert_eq!(found[&admin]["mfa"], "yes");
    assert_eq!(found[&console]["mfa"], "no");
    assert_eq!(
        found[&innocent]["by"],
        json!([
            "statement LetsIn of its trust",
            "statement Deploys of switch-roles"
        ])
    );
    for role in found.values() {
        assert_eq!(
            (
                &role["any_name"],
                &role["named_after_user"],
                &role["longest_session_s"],
                &role["longest_is_known"],
                &role["followed"],
                &role["contain"],
                &role["unknown"],
            ),
            (
                &json!("yes"),
                &json!("denied"),
                &json!(43_200),
                &json!(true),
                &json!(true),
                &Value::Null,
                &Value::Null
            ),
            "{role}"
        );
    }
    let fate = |role: &Value, name: &str| {
        let alive = role["alive"].as_array().unwrap().iter();
        let mut ours = alive.filter(|it| it["userid"].as_str().unwrap().ends_with(name));
        ours.next().map(|it| it["fate"].clone())
    };
    assert_eq!(fate(&found[&console], JUMP_USER), Some(json!("denied")));
    assert_eq!(fate(&found[&innocent], INNOCENT), Some(json!("not_denied")));
    let looked_at = json!([NAMES_THE_USER, JUMP_ACCOUNT, NAMES_THE_ACCOUNT]);
    assert_eq!(report["may_assume"]["looked_at"], looked_at);
    assert_eq!(report["may_assume"]["refused_new"], true);
    // Once it is denied, too, it is said so here; and what an eviction puts on the user hides no role.
    practice.evict(&id).await;
    let more = "--may-assume --deny-chained --yes";
    let report = traced(&practice, &id, more, Exit::NotProven).await;
    let found = roles(&report);
    assert_eq!(found.keys().cloned().collect::<BTreeSet<_>>(), expected);
    assert_eq!(fate(&found[&innocent], INNOCENT), Some(json!("denied")));
    practice
        .quell(&format!("trace {id} --may-assume"))
        .await
        .says("the user can assume none of them")
        .says("by statement LetsIn of its trust and statement AdminWithMfa of switch-roles")
        .says("only with MFA; for 12h 0m at the longest");
}

#[tokio::test]
async fn what_cannot_be_looked_at_or_followed_is_said_with_what_to_type() {
    let practice = attacked();
    practice.range.with(|state| {
        let closed = account(NAMES_THE_ACCOUNT);
        state.records.closed.push(closed);
    });
    let id = contained(&practice).await;
    let line = format!("trace {id} --may-assume");
    let command = format!("quell contain arn:aws:iam::{NAMES_THE_ACCOUNT}:role/{DEPLOY}");
    practice
        .quell(&line)
        .await
        .expect(Exit::GettingThrough)
        .says("NOT FOLLOWED")
        .says(&command);
    let plan = command.replacen("quell contain", "plan", 1);
    practice.quell(&plan).await.expect(Exit::Done);
    practice
        .range
        .with(|state| state.suspended.insert(account(NAMES_THE_ACCOUNT)));
    let ran = practice.quell(&line).await;
    assert_ne!(ran.exit, Exit::Done);
    ran.says(&format!("NOT LOOKED AT: account {NAMES_THE_ACCOUNT}"))
        .says("--with-audit");
    practice
        .range
        .with(|state| state.suspended.insert(account(JUMP_ACCOUNT)));
    let ran = practice.quell(&line).await;
    assert_ne!(ran.exit, Exit::Done);
    ran.says(&format!("NOT LOOKED AT: account {JUMP_ACCOUNT}"));
}

#[tokio::test]
async fn a_policy_about_roles_anywhere_is_looked_for_everywhere() {
    let practice = attacked();
    practice.range.with(|state| {
        let anywhere = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"sts:AssumeRole","Resource":"*"}}"#;
        let groups = &mut estate(state, JUMP_ACCOUNT).groups;
        let grants = groups.get_mut("operators").unwrap();
        grants.inline.insert("anywhere".to_owned(), anywhere.to_owned());
    });
    let id = contained(&practice).await;
    let report = traced(&practice, &id, "--may-assume", Exit::GettingThrough).await;
    assert_eq!(report["may_assume"]["named_everywhere"], true);
    let looked_at = report["may_assume"]["looked_at"].as_array().unwrap();
    let accounts = practice.range.with(|state| state.accounts.len());
    assert_eq!(looked_at.len(), accounts);
    // Without a policy that names them, they are looked at when somebody asks for it.
    let all = traced(
        &practice,
        &id,
        "--may-assume --all-accounts",
        Exit::GettingThrough,
    )
    .await;
    assert_eq!(roles(&all), roles(&report));
}

#[tokio::test]
async fn the_roles_in_the_readme_are_the_roles() {
    let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    let readme = std::fs::read_to_string(readme).unwrap();
    let recorded = readme.split("sed -n '/^Which roles/,$p'\n").nth(1).unwrap();
    let recorded = recorded.split("\n```").next().unwrap();
    let practice = attacked();
    let id = contained(&practice).await;
    let ran = practice.quell(&format!("trace {id} --may-assume")).await;
    let (_, told) = ran.out.split_once("\nWhich roles").unwrap();
    let told = format!("Which roles{}", told.trim_end());
    assert_eq!(told, recorded, "record it again");
}

#[tokio::test]
async fn of_nobody_else_is_it_asked() {
    let practice = Practice::new();
    practice.few_accounts();
    practice
        .quell("contain test-user --yes")
        .await
        .expect(Exit::Done);
    let id = practice.incident().await;
    practice
        .quell(&format!("trace {id} --may-assume"))
        .await
        .expect(Exit::Refused)
        .says("is about IAM users")
        .says(&format!("quell trace {id}"));
}

/// A user of the jump account with one policy.
fn user_with(policy: &str, boundary: Option<&str>) -> Details {
    let grants = Grants {
        inline: BTreeMap::from([("own".to_owned(), policy.to_owned())]),
        attached: BTreeSet::new(),
    };
    let bounds = "arn:aws:iam::555566667777:policy/bounds".to_owned();
    let user = UserDetail {
        id: "AIDA0123456789ABCDEF".to_owned(),
        arn: USER.to_owned(),
        grants,
        groups: BTreeSet::new(),
        boundary: boundary.map(|_| bounds.clone()),
    };
    Details {
        users: BTreeMap::from([(JUMP_USER.to_owned(), user)]),
        managed: boundary
            .map(|text| (bounds, text.to_owned()))
            .into_iter()
            .collect(),
        ..Details::default()
    }
}

fn switcher(of_user: &Details) -> Switcher {
    let name = IamUserName::parse(JUMP_USER).unwrap();
    let organization = OrganizationId::parse("o-practice00").unwrap();
    Switcher::of(
        of_user,
        &account(JUMP_ACCOUNT),
        &name,
        &organization,
        "quell-q-1",
    )
    .unwrap()
}

/// What is said of the one role of an account.
fn into_the_role(of_user: &Details, home: &str, trust: &str) -> Option<Switch> {
    let there = account(home);
    let role = RoleDetail {
        id: "AROA0123456789ABCDEF".to_owned(),
        arn: format!("arn:aws:iam::{there}:role/elevated"),
        trust: trust.to_owned(),
        grants: Grants::default(),
        boundary: None,
    };
    let of_role = Details {
        roles: BTreeMap::from([("elevated".to_owned(), role)]),
        ..Details::default()
    };
    switcher(of_user).roles(&there, &of_role).pop()
}

fn switches(policy: &str, home: &str, trust: &str) -> Option<Switch> {
    into_the_role(&user_with(policy, None), home, trust)
}

/// A statement's conditions, if it has any.
fn on(condition: &str) -> String {
    match condition {
        "" => String::new(),
        condition => format!(r#","Condition":{{{condition}}}"#),
    }
}

fn allows(resource: &str, condition: &str) -> String {
    let condition = on(condition);
    format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Action":"sts:AssumeRole","Resource":"{resource}"{condition}}}]}}"#
    )
}

fn trusts(principal: &str, condition: &str) -> String {
    let condition = on(condition);
    format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Principal":{{"AWS":"{principal}"}},"Action":"sts:AssumeRole"{condition}}}]}}"#
    )
}

const USER: &str = "arn:aws:iam::555566667777:user/carol";
const ROOT: &str = "arn:aws:iam::555566667777:root";
const NOTHING: &str =
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}"#;
const DENIES_WITHOUT_MFA: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"},{"Effect":"Deny","NotAction":"iam:*","Resource":"*","Condition":{"BoolIfExists":{"aws:MultiFactorAuthPresent":"false"}}}]}"#;

#[test]
fn in_one_account_a_trust_that_names_the_user_suffices_and_across_accounts_it_does_not() {
    let any = allows("*", "");
    for (policy, home, trust, expected) in [
        (NOTHING, JUMP_ACCOUNT, trusts(USER, ""), true),
        (NOTHING, JUMP_ACCOUNT, trusts(ROOT, ""), false),
        (NOTHING, NAMES_THE_USER, trusts(USER, ""), false),
        (&any, JUMP_ACCOUNT, trusts(ROOT, ""), true),
        (&any, NAMES_THE_USER, trusts(USER, ""), true),
        (&any, NAMES_THE_USER, trusts(JUMP_ACCOUNT, ""), true),
        (&any, NAMES_THE_USER, trusts(NAMES_THE_ACCOUNT, ""), false),
        (
            &allows("arn:aws:iam::*:role/other", ""),
            NAMES_THE_USER,
            trusts(ROOT, ""),
            false,
        ),
    ] {
        let found = switches(policy, home, &trust);
        assert_eq!(found.is_some(), expected, "{policy} {home} {trust}");
        if let Some(found) = found {
            assert_eq!(found.unknown, None, "{policy} {home} {trust}");
        }
    }
}

#[test]
fn what_is_demanded_of_whoever_switches_is_told_and_what_nobody_can_judge_is_unknown() {
    use Sure::{No, Unknown, Yes};
    let any = allows("*", "");
    let mfa = r#""Bool":{"aws:MultiFactorAuthPresent":"true"}"#;
    let older = r#""NumericLessThan":{"aws:MultiFactorAuthAge":"3600"}"#;
    for (policy, condition, judged) in [
        (any.as_str(), "", (true, No, Yes)),
        (&any, mfa, (true, Yes, Yes)),
        (&allows("*", mfa), "", (true, Yes, Yes)),
        (DENIES_WITHOUT_MFA, "", (true, Yes, Yes)),
        (
            &any,
            r#""StringEquals":{"sts:RoleSessionName":"${aws:username}"}"#,
            (true, No, No),
        ),
        (
            &any,
            r#""StringLike":{"sts:RoleSessionName":"${aws:username}*"}"#,
            (true, No, Yes),
        ),
        (
            &any,
            r#""StringEquals":{"sts:RoleSessionName":"operations"}"#,
            (true, No, Yes),
        ),
        (
            &any,
            r#""StringEquals":{"sts:SourceIdentity":"${aws:username}"}"#,
            (true, No, No),
        ),
        (
            &any,
            r#""StringLike":{"sts:SourceIdentity":"*"}"#,
            (true, No, Yes),
        ),
        (
            &any,
            r#""StringEquals":{"aws:PrincipalOrgID":"o-practice00"}"#,
            (true, No, Yes),
        ),
        (&any, older, (false, Yes, Unknown)),
        (
            &any,
            r#""StringEquals":{"sts:ExternalId":"hush"}"#,
            (false, Unknown, Unknown),
        ),
        (
            &any,
            r#""IpAddress":{"aws:SourceIp":"203.0.113.0/24"}"#,
            (false, Unknown, Unknown),
        ),
        (
            &any,
            r#""StringEquals":{"aws:PrincipalTag/team":"ops"}"#,
            (false, Unknown, Unknown),
        ),
        (
            &allows("arn:aws:iam::*:role/${aws:PrincipalTag/team}", ""),
            "",
            (false, Unknown, Unknown),
        ),
    ] {
        let found = switches(policy, NAMES_THE_USER, &trusts(ROOT, condition));
        let found = found.unwrap_or_else(|| panic!("{policy} {condition}"));
        let told = (found.unknown.is_none(), found.mfa, found.any_name);
        assert_eq!(told, judged, "{policy} {condition} {found:?}");
    }
    // What is refused for certain is not unknown, whatever else nobody can judge.
    let other_org = r#""StringEquals":{"aws:PrincipalOrgID":"o-another000","sts:ExternalId":"x"}"#;
    assert_eq!(
        switches(&any, NAMES_THE_USER, &trusts(ROOT, other_org)),
        None
    );
    let everybody = trusts("*", "");
    for (policy, home, trust) in [
        (any.as_str(), NAMES_THE_USER, "none"),
        (NOTHING, JUMP_ACCOUNT, &everybody),
    ] {
        let found = switches(policy, home, trust).unwrap();
        assert!(found.unknown.is_some(), "{found:?}");
    }
    assert_eq!(switches(NOTHING, NAMES_THE_USER, &everybody), None);
}

#[test]
fn a_boundary_bounds_what_the_account_grants_and_a_policy_that_cannot_be_read_is_no_answer() {
    let any = allows("*", "");
    let bounded = user_with(&any, Some(NOTHING));
    assert_eq!(
        into_the_role(&bounded, JUMP_ACCOUNT, &trusts(ROOT, "")),
        None
    );
    // What a resource's own policy gives the user by name, a boundary takes only where it denies.
    let named = into_the_role(&bounded, JUMP_ACCOUNT, &trusts(USER, "")).unwrap();
    assert_eq!(named.by, ["statement 1 of its trust"]);
    for of_user in [
        user_with("none", None),
        user_with(
            &any.replace(
                r#""Statement":["#,
                r#""Statement":[{"Effect":"Deny","Action":"sts:*","Resource":"arn:aws:iam::*:role/${aws:PrincipalTag/team}"},"#,
            ),
            None,
        ),
    ] {
        let found = into_the_role(&of_user, NAMES_THE_USER, &trusts(ROOT, "")).unwrap();
        assert!(found.unknown.is_some() && found.by.is_empty(), "{found:?}");
    }
}

#[test]
fn where_roles_can_be_is_read_from_the_users_policies() {
    for (resource, expected) in [
        (
            "arn:aws:iam::444455556666:role/*",
            Where::These(BTreeSet::from([
                account(NAMES_THE_USER),
                account(JUMP_ACCOUNT),
            ])),
        ),
        ("arn:aws:iam::*:role/deploy", Where::Everywhere),
        ("*", Where::Everywhere),
    ] {
        let of_user = user_with(&allows(resource, ""), None);
        assert_eq!(switcher(&of_user).accounts(), expected, "{resource}");
    }
}
