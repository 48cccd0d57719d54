//! Identity Center's changes, as a real SDK sees them: what is asked for now and done later, roles that come and go, and
//! inline policies that bind once they are provisioned (aws-facts §3, §9, §11).

use aws_sdk_identitystore::types::MemberId;
use aws_sdk_ssoadmin::operation::create_account_assignment::CreateAccountAssignmentOutput;
use aws_sdk_ssoadmin::operation::delete_account_assignment::DeleteAccountAssignmentOutput;
use aws_sdk_ssoadmin::types::{PrincipalType, ProvisionTargetType, StatusValues, TargetType};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use jiff::SignedDuration;
use quell::aws::retries;
use quell::ids::*;
use quell::range::build::{HERO, OPERATOR_KEY, SECRET};
use quell::range::clock::{Sync, What};
use quell::range::state::{Assignment, Session};

use crate::practice::Practice;

/// An account where the directory's groups have sets, and the hero has one of their own.
const FIRST: &str = "123456789012";

/// Another one.
const SECOND: &str = "222233334444";

/// Longer than any request to Identity Center takes.
const DONE: SignedDuration = SignedDuration::from_secs(21);

struct Center<'a> {
    practice: &'a Practice,
    sso: aws_sdk_ssoadmin::Client,
    store: aws_sdk_identitystore::Client,
    instance: String,
    store_id: String,
}

fn center(practice: &Practice) -> Center<'_> {
    signed(practice, OPERATOR_KEY)
}

fn signed<'a>(practice: &'a Practice, key: &str) -> Center<'a> {
    let region = Region::parse("eu-west-1").unwrap();
    let token = practice
        .range
        .with(|state| state.sessions[key].token.clone());
    let range = &practice.range;
    let config = range.sdk_config(key, SECRET, token.as_deref(), &region, retries());
    let (instance, store_id) = range.with(|state| {
        let directory = &state.directory;
        (directory.instance.to_string(), directory.store.to_string())
    });
    Center {
        practice,
        sso: aws_sdk_ssoadmin::Client::new(&config),
        store: aws_sdk_identitystore::Client::new(&config),
        instance,
        store_id,
    }
}

impl Center<'_> {
    fn set(&self, name: &str) -> PermissionSetArn {
        self.practice.range.with(|state| {
            let mut sets = state.directory.sets.iter();
            sets.find(|(_, set)| set.name == name).unwrap().0.clone()
        })
    }

    fn user(&self, name: &str) -> UserId {
        self.practice.range.with(|state| {
            let mut users = state.directory.users.iter();
            users
                .find(|(_, user)| user.username == name)
                .unwrap()
                .0
                .clone()
        })
    }

    fn group(&self, name: &str) -> GroupId {
        self.practice.range.with(|state| {
            let mut groups = state.directory.groups.iter();
            groups.find(|(_, known)| *known == name).unwrap().0.clone()
        })
    }

    fn create(
        &self,
        account: &str,
        set: &str,
        user: &str,
    ) -> aws_sdk_ssoadmin::operation::create_account_assignment::builders::CreateAccountAssignmentFluentBuilder
    {
        self.sso
            .create_account_assignment()
            .instance_arn(&self.instance)
            .target_id(account)
            .target_type(TargetType::AwsAccount)
            .permission_set_arn(self.set(set).as_str())
            .principal_type(PrincipalType::User)
            .principal_id(user)
    }

    fn delete(
        &self,
        account: &str,
        set: &str,
        kind: PrincipalType,
        principal: &str,
    ) -> aws_sdk_ssoadmin::operation::delete_account_assignment::builders::DeleteAccountAssignmentFluentBuilder
    {
        self.sso
            .delete_account_assignment()
            .instance_arn(&self.instance)
            .target_id(account)
            .target_type(TargetType::AwsAccount)
            .permission_set_arn(self.set(set).as_str())
            .principal_type(kind)
            .principal_id(principal)
    }

    async fn created(&self, asked: &CreateAccountAssignmentOutput) -> (StatusValues, String) {
        let id = asked
            .account_assignment_creation_status()
            .unwrap()
            .request_id();
        let told = self
            .sso
            .describe_account_assignment_creation_status()
            .instance_arn(&self.instance)
            .account_assignment_creation_request_id(id.unwrap())
            .send()
            .await
            .unwrap();
        let status = told.account_assignment_creation_status().unwrap();
        let reason = status.failure_reason().unwrap_or_default().to_owned();
        (status.status().unwrap().clone(), reason)
    }

    async fn deleted(&self, asked: &DeleteAccountAssignmentOutput) -> (StatusValues, String) {
        let id = asked
            .account_assignment_deletion_status()
            .unwrap()
            .request_id();
        let told = self
            .sso
            .describe_account_assignment_deletion_status()
            .instance_arn(&self.instance)
            .account_assignment_deletion_request_id(id.unwrap())
            .send()
            .await
            .unwrap();
        let status = told.account_assignment_deletion_status().unwrap();
        let reason = status.failure_reason().unwrap_or_default().to_owned();
        (status.status().unwrap().clone(), reason)
    }

    fn put(
        &self,
        set: &str,
        policy: &str,
    ) -> aws_sdk_ssoadmin::operation::put_inline_policy_to_permission_set::builders::PutInlinePolicyToPermissionSetFluentBuilder
    {
        self.sso
            .put_inline_policy_to_permission_set()
            .instance_arn(&self.instance)
            .permission_set_arn(self.set(set).as_str())
            .inline_policy(policy)
    }

    fn provision(
        &self,
        set: &str,
        account: Option<&str>,
    ) -> aws_sdk_ssoadmin::operation::provision_permission_set::builders::ProvisionPermissionSetFluentBuilder
    {
        self.sso
            .provision_permission_set()
            .instance_arn(&self.instance)
            .permission_set_arn(self.set(set).as_str())
            .set_target_id(account.map(str::to_owned))
            .target_type(match account {
                Some(_) => ProvisionTargetType::AwsAccount,
                None => ProvisionTargetType::AllProvisionedAccounts,
            })
    }

    fn role(&self, account: &str, set: &str) -> Option<(String, RoleId)> {
        let (account, set) = (AccountId::parse(account).unwrap(), self.set(set));
        self.practice.range.with(|state| {
            let name = state.reserved_role(&account, &set)?;
            let id = state.accounts[&account].roles[&name].id.clone();
            Some((name, id))
        })
    }

    fn assigned(&self, account: &str, set: &str, principal: &str) -> bool {
        let set = self.set(set);
        self.practice.range.with(|state| {
            state.directory.assignments.iter().any(|it| {
                it.account.as_str() == account && it.set == set && it.principal == principal
            })
        })
    }
}

/// The running session of somebody in some account, and in a role of some set.
fn session_in(practice: &Practice, account: &str, set: &str, username: &str) -> String {
    practice.range.with(|state| {
        let role = format!("/AWSReservedSSO_{set}_");
        let mut sessions = state.sessions.iter();
        let found = sessions.find(|(_, session)| {
            session.account.as_str() == account
                && session.principal_arn.contains(&role)
                && session.user_id.ends_with(&format!(":{username}"))
        });
        found.unwrap().0.clone()
    })
}

/// What is refused, in AWS's words.
fn refusal(practice: &Practice, key: &str) -> String {
    let token = practice
        .range
        .with(|state| state.sessions[key].token.clone());
    let request = quell::range::wire::as_actor(key, token.as_deref());
    let answer = practice.range.answer(&request).unwrap();
    assert_eq!(answer.status(), 403);
    String::from_utf8(answer.body().to_vec()).unwrap()
}

fn deny(user: &UserId) -> String {
    format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Deny","Action":"*","Resource":"*","Condition":{{"StringEquals":{{"identitystore:userId":"{user}"}}}}}}]}}"#
    )
}

#[tokio::test]
async fn an_assignment_is_asked_for_now_and_made_later() {
    let practice = Practice::new();
    let center = center(&practice);
    let bob = center.user("bob@example.com");
    let asked = center.create(SECOND, "PowerUserAccess", bob.as_str());
    let asked = asked.send().await.unwrap();
    let status = asked.account_assignment_creation_status().unwrap();
    assert_eq!(status.status(), Some(&StatusValues::InProgress));
    assert_eq!(status.target_id(), Some(SECOND));
    assert_eq!(status.principal_id(), Some(bob.as_str()));
    assert!(status.created_date().is_some());
    assert_eq!(center.created(&asked).await.0, StatusValues::InProgress);
    assert!(!center.assigned(SECOND, "PowerUserAccess", bob.as_str()));
    practice.range.advance(DONE);
    assert_eq!(center.created(&asked).await.0, StatusValues::Succeeded);
    assert!(center.assigned(SECOND, "PowerUserAccess", bob.as_str()));
    // Once more is no failure, and no second assignment.
    let again = center.create(SECOND, "PowerUserAccess", bob.as_str());
    let again = again.send().await.unwrap();
    practice.range.advance(DONE);
    assert_eq!(center.created(&again).await.0, StatusValues::Succeeded);
    let delete = || {
        center
            .delete(SECOND, "PowerUserAccess", PrincipalType::User, bob.as_str())
            .send()
    };
    let gone = delete().await.unwrap();
    practice.range.advance(DONE);
    assert_eq!(center.deleted(&gone).await.0, StatusValues::Succeeded);
    assert!(!center.assigned(SECOND, "PowerUserAccess", bob.as_str()));
    // What is not there is looked for, too, and that takes its time.
    let nothing = delete().await.unwrap();
    assert_eq!(center.deleted(&nothing).await.0, StatusValues::InProgress);
    practice.range.advance(DONE);
    let (status, reason) = center.deleted(&nothing).await;
    assert_eq!(status, StatusValues::Failed);
    assert!(reason.contains("doesn't exist"), "{reason}");
}

#[tokio::test]
async fn requests_that_identity_center_does_not_take() {
    let practice = Practice::new();
    let center = center(&practice);
    let hero = center.user(HERO);
    let nobody = "94482488-3041-7026-18f3-0000000000aa";
    let create = |account: &str, user: &str| center.create(account, "ReadOnlyAccess", user);
    assert_eq!(code!(create(SECOND, nobody)), "ResourceNotFoundException");
    assert_eq!(
        code!(create("999999999999", hero.as_str())),
        "ResourceNotFoundException"
    );
    assert_eq!(
        code!(
            create(SECOND, hero.as_str())
                .permission_set_arn("arn:aws:sso:::permissionSet/ssoins-0/ps-0")
        ),
        "ResourceNotFoundException"
    );
    assert_eq!(
        code!(center.delete(SECOND, "ReadOnlyAccess", PrincipalType::User, nobody)),
        "ResourceNotFoundException"
    );
    // Fifteen may be under way at a time.
    let users: Vec<UserId> = practice
        .range
        .with(|state| state.directory.users.keys().cloned().collect());
    let mut accounts: Vec<String> = practice
        .range
        .with(|state| state.accounts.keys().map(ToString::to_string).collect());
    accounts.retain(|account| account != "111122223333");
    let mut taken = 0;
    let conflict = loop {
        let user = &users[taken % users.len()];
        let account = &accounts[taken / users.len()];
        match create(account, user.as_str()).send().await {
            Ok(_) => taken += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(conflict.code(), Some("ConflictException"));
    assert_eq!(taken, 15);
    practice.range.advance(DONE);
    create(SECOND, users[0].as_str()).send().await.unwrap();
}

#[tokio::test]
async fn the_management_account_is_not_a_delegates_business() {
    let practice = Practice::new();
    let delegate = AccountId::parse("333344445555").unwrap();
    let session = Session {
        account: delegate.clone(),
        ..practice.operator_session()
    };
    practice.range.with(|state| {
        state.delegated.insert(delegate.clone());
        state
            .sessions
            .insert("AKIADELEGATE00000000".to_owned(), session);
    });
    let (center, delegated) = (center(&practice), signed(&practice, "AKIADELEGATE00000000"));
    let bob = center.user("bob@example.com");
    let management = "111122223333";
    let ask = |by: &Center<'_>| by.create(management, "ReadOnlyAccess", bob.as_str());
    assert_eq!(code!(ask(&delegated)), "AccessDeniedException");
    let policy = deny(&bob);
    delegated
        .put("ReadOnlyAccess", &policy)
        .send()
        .await
        .unwrap();
    ask(&center).send().await.unwrap();
    practice.range.advance(DONE);
    // In use there, the set itself is the management account's, wherever else it is used.
    assert_eq!(
        code!(delegated.put("ReadOnlyAccess", &policy)),
        "AccessDeniedException"
    );
    assert_eq!(
        code!(delegated.provision("ReadOnlyAccess", None)),
        "AccessDeniedException"
    );
    delegated
        .provision("ReadOnlyAccess", Some(SECOND))
        .send()
        .await
        .unwrap();
    delegated
        .create(SECOND, "ReadOnlyAccess", bob.as_str())
        .send()
        .await
        .expect_err("its role is being updated there");
}

#[tokio::test]
async fn the_last_assignment_takes_the_role_with_it_and_the_next_makes_another() {
    let practice = Practice::new();
    let center = center(&practice);
    let set = "AdministratorAccess";
    let (hero, group) = (center.user(HERO), center.group("administrators"));
    let (old_name, old_id) = center.role(FIRST, set).unwrap();
    let key = session_in(&practice, FIRST, set, HERO);
    let elsewhere = session_in(&practice, FIRST, "PowerUserAccess", HERO);
    // The group still has it.
    let direct = center.delete(FIRST, set, PrincipalType::User, hero.as_str());
    direct.send().await.unwrap();
    practice.range.advance(DONE);
    assert_eq!(
        center.role(FIRST, set),
        Some((old_name.clone(), old_id.clone()))
    );
    assert_eq!(
        practice.call_as(&key),
        200,
        "no assignment is asked of a session"
    );
    let last = center.delete(FIRST, set, PrincipalType::Group, group.as_str());
    last.send().await.unwrap();
    // While the role is being deleted, nobody else touches it.
    assert_eq!(
        code!(center.create(FIRST, set, hero.as_str())),
        "ConflictException"
    );
    assert_eq!(
        code!(center.provision(set, Some(FIRST))),
        "ConflictException"
    );
    assert_eq!(practice.call_as(&key), 200);
    practice.range.advance(DONE);
    assert_eq!(center.role(FIRST, set), None);
    assert!(refusal(&practice, &key).contains("because no identity-based policy allows"));
    assert_eq!(practice.call_as(&elsewhere), 200);
    let back = center
        .create(FIRST, set, hero.as_str())
        .send()
        .await
        .unwrap();
    practice.range.advance(DONE);
    assert_eq!(center.created(&back).await.0, StatusValues::Succeeded);
    let (name, id) = center.role(FIRST, set).unwrap();
    assert!(name.starts_with("AWSReservedSSO_AdministratorAccess_"));
    assert_ne!((name, id), (old_name, old_id));
    assert_eq!(practice.call_as(&key), 403, "its role is another one");
}

#[tokio::test]
async fn an_inline_policy_binds_where_it_is_provisioned() {
    let practice = Practice::new();
    let center = center(&practice);
    let set = "PowerUserAccess";
    let hero = center.user(HERO);
    let (here, there) = (
        session_in(&practice, FIRST, set, HERO),
        session_in(&practice, SECOND, set, HERO),
    );
    let bystander = session_in(&practice, FIRST, set, "frank+oncall@example.com");
    let get = || async {
        let get = center.sso.get_inline_policy_for_permission_set();
        let get = get
            .instance_arn(&center.instance)
            .permission_set_arn(center.set(set).as_str());
        let told = get.send().await.unwrap();
        told.inline_policy().unwrap_or_default().to_owned()
    };
    assert_eq!(get().await, "");
    center.put(set, &deny(&hero)).send().await.unwrap();
    assert_eq!(get().await, deny(&hero));
    practice.range.advance(DONE);
    assert_eq!(practice.call_as(&here), 200, "nothing was provisioned");
    let asked = center.provision(set, Some(FIRST)).send().await.unwrap();
    let status = asked.permission_set_provisioning_status().unwrap();
    assert_eq!(status.status(), Some(&StatusValues::InProgress));
    assert_eq!(practice.call_as(&here), 200);
    practice.range.advance(DONE);
    let told = center
        .sso
        .describe_permission_set_provisioning_status()
        .instance_arn(&center.instance)
        .provision_permission_set_request_id(status.request_id().unwrap())
        .send()
        .await
        .unwrap();
    let status = told.permission_set_provisioning_status().unwrap();
    assert_eq!(status.status(), Some(&StatusValues::Succeeded));
    assert_eq!(status.account_id(), Some(FIRST));
    assert!(
        refusal(&practice, &here).contains("with an explicit deny in an identity-based policy")
    );
    assert_eq!(practice.call_as(&bystander), 200);
    assert_eq!(practice.call_as(&there), 200);
    center.provision(set, None).send().await.unwrap();
    practice.range.advance(DONE);
    assert_eq!(practice.call_as(&there), 403);
    // Taken from the set, it stays on the roles until they hear of it.
    let delete = center.sso.delete_inline_policy_from_permission_set();
    delete
        .instance_arn(&center.instance)
        .permission_set_arn(center.set(set).as_str())
        .send()
        .await
        .unwrap();
    assert_eq!(get().await, "");
    assert_eq!(practice.call_as(&here), 403);
    center.provision(set, None).send().await.unwrap();
    practice.range.advance(DONE);
    assert_eq!(practice.call_as(&here), 200);
    assert_eq!(practice.call_as(&there), 200);
}

#[tokio::test]
async fn an_inline_policy_binds_in_the_management_account_and_comes_with_a_new_role() {
    let practice = Practice::new();
    let center = center(&practice);
    let hero = center.user(HERO);
    let set = "ReadOnlyAccess";
    center.put(set, &deny(&hero)).send().await.unwrap();
    for account in [FIRST, "111122223333"] {
        let auditors = center.group("auditors");
        let developers = center.group("developers");
        // Where there is a role already, it goes first.
        for group in [auditors, developers] {
            let delete = center.delete(account, set, PrincipalType::Group, group.as_str());
            drop(delete.send().await);
            practice.range.advance(DONE);
        }
        assert_eq!(center.role(account, set), None);
        center
            .create(account, set, hero.as_str())
            .send()
            .await
            .unwrap();
        practice.range.advance(DONE);
        let (role, id) = center.role(account, set).unwrap();
        let session = Session {
            account: AccountId::parse(account).unwrap(),
            arn: format!("arn:aws:sts::{account}:assumed-role/{role}/{HERO}"),
            principal_arn: format!("arn:aws:iam::{account}:role/aws-reserved/{role}"),
            user_id: format!("{id}:{HERO}"),
            directory_user: Some(hero.clone()),
            ..practice.operator_session()
        };
        practice.range.with(|state| {
            state
                .sessions
                .insert("AKIAHEROHEROHEROHERO".to_owned(), session)
        });
        assert!(refusal(&practice, "AKIAHEROHEROHEROHERO").contains("in an identity-based policy"));
    }
}

#[tokio::test]
async fn no_scp_but_an_inline_policy_reaches_a_session_in_the_management_account() {
    let practice = Practice::with(|blueprint| blueprint.extras.management = true);
    let center = center(&practice);
    let (account, key, _) = practice.built.hero_sessions.last().unwrap();
    let (set, hero) = ("AdministratorAccess", center.user(HERO));
    assert_eq!(account.as_str(), "111122223333");
    assert!(center.assigned(account.as_str(), set, hero.as_str()));
    practice.range.with(|state| {
        let full = state.policies.values().next().unwrap().clone();
        let document = quell::policy::document::Document::parse(&deny(&hero)).unwrap();
        let policy = quell::range::state::Policy {
            document: std::sync::Arc::new(document),
            ..full
        };
        let id = PolicyId::parse("p-denyhero00").unwrap();
        state.policies.insert(id.clone(), policy);
        let root = state.root.clone();
        state.attachments.get_mut(&root).unwrap().push(id);
        state.settle();
    });
    let member = session_in(&practice, FIRST, set, HERO);
    assert!(refusal(&practice, &member).contains("in a service control policy"));
    assert_eq!(practice.call_as(key), 200);
    center.put(set, &deny(&hero)).send().await.unwrap();
    let provision = center.provision(set, Some(account.as_str()));
    provision.send().await.unwrap();
    practice.range.advance(DONE);
    assert!(refusal(&practice, key).contains("in an identity-based policy"));
}

#[tokio::test]
async fn inline_policies_that_aws_refuses() {
    let practice = Practice::new();
    let center = center(&practice);
    let put = |policy: &str| center.put("ReadOnlyAccess", policy);
    assert_eq!(code!(put("{not json")), "ValidationException");
    assert_eq!(
        code!(put(
            r#"{"Statement":{"Effect":"Deny","Action":"*","Resource":"*","Principal":"*"}}"#
        )),
        "ValidationException"
    );
    let of = |dense: usize, white: usize| {
        let empty = r#"{"Statement":[{"Effect":"Deny","Action":"","Resource":"*"}]}"#;
        let filled = "x".repeat(dense - empty.len());
        let policy = empty.replace(r#""Action":"""#, &format!(r#""Action":"{filled}""#));
        format!("{policy}{}", " ".repeat(white))
    };
    put(&of(10_240, 32_768 - 10_240)).send().await.unwrap();
    assert_eq!(code!(put(&of(10_241, 0))), "ServiceQuotaExceededException");
    assert_eq!(
        code!(put(&of(10_240, 32_769 - 10_240))),
        "ValidationException"
    );
    // Three provisionings at a time.
    for account in [FIRST, SECOND, "333344445555"] {
        let provision = center.provision("ReadOnlyAccess", Some(account));
        provision.send().await.unwrap();
    }
    assert_eq!(
        code!(center.provision("ReadOnlyAccess", Some("444455556666"))),
        "ConflictException"
    );
}

#[tokio::test]
async fn memberships_and_users_come_and_go() {
    let practice = Practice::new();
    let center = center(&practice);
    let (hero, group) = (center.user(HERO), center.group("auditors"));
    let join = || {
        center
            .store
            .create_group_membership()
            .identity_store_id(&center.store_id)
            .group_id(group.as_str())
            .member_id(MemberId::UserId(hero.to_string()))
    };
    let leave = |membership: &str| {
        center
            .store
            .delete_group_membership()
            .identity_store_id(&center.store_id)
            .membership_id(membership)
    };
    let members = || async {
        let list = center.store.list_group_memberships();
        let list = list.identity_store_id(&center.store_id);
        let told = list.group_id(group.as_str()).send().await.unwrap();
        told.group_memberships().len()
    };
    let before = members().await;
    let joined = join().send().await.unwrap();
    assert_eq!(members().await, before + 1);
    let again = join().send().await.expect_err("already a member");
    let again = again.into_service_error();
    assert!(again.is_conflict_exception());
    assert!(format!("{again:?}").contains("Uniqueness"), "{again:?}");
    leave(joined.membership_id()).send().await.unwrap();
    assert_eq!(members().await, before);
    assert_eq!(
        code!(leave(joined.membership_id())),
        "ResourceNotFoundException"
    );

    let describe = || {
        let describe = center.store.describe_user();
        let describe = describe.identity_store_id(&center.store_id);
        describe.user_id(hero.as_str())
    };
    let told = describe().send().await.unwrap();
    assert_eq!(told.user_status().unwrap().as_str(), "ENABLED");
    assert!(told.external_ids().is_empty());
    practice.range.with(|state| {
        let user = state.directory.users.get_mut(&hero).unwrap();
        user.disabled = true;
        user.external = Some("https://idp.example.com".to_owned());
    });
    let told = describe().send().await.unwrap();
    assert_eq!(told.user_status().unwrap().as_str(), "DISABLED");
    assert_eq!(told.external_ids()[0].issuer(), "https://idp.example.com");
    let delete = || {
        let delete = center.store.delete_user();
        let delete = delete.identity_store_id(&center.store_id);
        delete.user_id(hero.as_str())
    };
    delete().send().await.unwrap();
    assert_eq!(code!(delete()), "ResourceNotFoundException");
    assert_eq!(code!(describe()), "ResourceNotFoundException");
    // What they were given stays listed, and can be taken away.
    let set = "AdministratorAccess";
    assert!(center.assigned(FIRST, set, hero.as_str()));
    let left = center.delete(FIRST, set, PrincipalType::User, hero.as_str());
    left.send().await.unwrap();
    practice.range.advance(DONE);
    assert!(!center.assigned(FIRST, set, hero.as_str()));
}

#[tokio::test]
async fn others_put_back_what_was_taken_away_at_their_own_time() {
    let practice = Practice::new();
    let center = center(&practice);
    let (hero, group) = (center.user(HERO), center.group("auditors"));
    let now = practice.range.now();
    let minutes = SignedDuration::from_mins;
    let assignment = Assignment {
        account: AccountId::parse(SECOND).unwrap(),
        set: center.set("AdministratorAccess"),
        kind: "USER",
        principal: hero.to_string(),
    };
    let set = center.set("ReadOnlyAccess");
    practice.range.with(|state| {
        state.later(now + minutes(30), What::AddAssignment(assignment.clone()));
        state.later(now + minutes(45), What::RemoveAssignment(assignment));
        state.later(
            now + minutes(10),
            What::SetDuration(set.clone(), "PT12H".to_owned()),
        );
        let sync = Sync {
            every: minutes(40),
            memberships: vec![(hero.clone(), group.clone())],
        };
        state.later(now + minutes(5), What::Sync(sync));
    });
    let leave = || {
        practice.range.with(|state| {
            let user = state.directory.users.get_mut(&hero).unwrap();
            user.groups.remove(&group)
        })
    };
    assert!(!leave());
    practice.range.advance(minutes(4));
    assert!(!leave());
    practice.range.advance(minutes(2));
    assert!(leave(), "the first synchronization put them in");
    practice.range.advance(minutes(25));
    assert!(!leave());
    assert!(center.assigned(SECOND, "AdministratorAccess", hero.as_str()));
    practice.range.advance(minutes(15));
    assert!(!center.assigned(SECOND, "AdministratorAccess", hero.as_str()));
    assert!(leave(), "the second one");
    practice.range.advance(minutes(40));
    assert!(leave(), "and so on");
    let duration = practice
        .range
        .with(|state| state.directory.sets[&set].duration.clone());
    assert_eq!(duration.as_deref(), Some("PT12H"));
}
