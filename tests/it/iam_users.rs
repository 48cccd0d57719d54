//! IAM users, from the finding or their ARN to the release, against somebody who holds a key and every session that it can
//! make. Graded from inside the range.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use quell::cli::exit::Exit;
use quell::ids::*;
use quell::range::build::SECRET;
use quell::range::build::extras::{IAM_USER, IAM_USER_ACCOUNT};
use quell::range::clock::Ended;
use quell::range::state::{Session, Wrong};
use quell::range::users::IamUser;
use serde_json::{Value, json};

use crate::crashes::ways::{dies_anywhere, journals_are_as_they_were_written};
use crate::practice::{Moment, Practice};

const ARN: &str = "arn:aws:iam::555566667777:user/legacy-deploy";

/// An organization with the user in it, where the attacker calls all the time.
fn attacked() -> Practice {
    Practice::with(|blueprint| blueprint.extras.iam_user = true)
}

fn account() -> AccountId {
    AccountId::parse(IAM_USER_ACCOUNT).unwrap()
}

fn user(practice: &Practice) -> IamUser {
    practice
        .range
        .with(|state| state.accounts[&account()].users[IAM_USER].clone())
}

/// The attacker's keys: the long-term one, the user's own session and the federated one.
fn stolen(practice: &Practice) -> Vec<String> {
    let actors = practice.range.with(|state| state.actors.clone());
    let theirs = actors
        .into_iter()
        .filter(|actor| actor.name.starts_with(IAM_USER));
    theirs.map(|actor| actor.key).collect()
}

/// The attacker's calls after a moment that ended so.
fn calls_after(practice: &Practice, moment: Timestamp, ended: Ended) -> usize {
    practice.range.with(|state| {
        let theirs = |actor: usize| state.actors[actor].name.starts_with(IAM_USER);
        let seen = state.seen.iter();
        seen.filter(|it| it.at > moment && it.ended == ended && theirs(it.actor))
            .count()
    })
}

fn now(practice: &Practice) -> Timestamp {
    practice.range.now()
}

fn sts(practice: &Practice, key: &str) -> aws_sdk_sts::Client {
    let region = Region::parse("us-east-1").unwrap();
    let token = practice
        .range
        .with(|state| state.sessions[key].token.clone());
    let retries = quell::aws::retries();
    let range = &practice.range;
    aws_sdk_sts::Client::new(&range.sdk_config(key, SECRET, token.as_deref(), &region, retries))
}

/// Whoever has the key makes a session of the longest kind; its access key, if STS gives it.
async fn session_token(practice: &Practice, key: &str) -> Option<String> {
    let asked = sts(practice, key).get_session_token();
    let made = asked.duration_seconds(129_600).send().await.ok()?;
    Some(made.credentials()?.access_key_id().to_owned())
}

/// The same of somebody they vouch for.
async fn federated(practice: &Practice, key: &str, name: &str) -> Option<String> {
    let everything =
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#;
    let asked = sts(practice, key).get_federation_token().name(name);
    let asked = asked.duration_seconds(129_600).policy(everything);
    let made = asked.send().await.ok()?;
    Some(made.credentials()?.access_key_id().to_owned())
}

/// Another user of this name in another account, and one of another name beside the suspect; their access keys.
fn namesakes(practice: &Practice) -> Vec<String> {
    let mut keys = Vec::new();
    for (number, (account, name)) in [("444455556666", IAM_USER), (IAM_USER_ACCOUNT, "deploy")]
        .into_iter()
        .enumerate()
    {
        let account = AccountId::parse(account).unwrap();
        let (id, key) = (
            format!("AIDABYSTANDER0000000{number}"),
            format!("AKIABYSTANDER000000{number}"),
        );
        let arn = format!("arn:aws:iam::{account}:user/{name}");
        let session = Session {
            account: account.clone(),
            arn: arn.clone(),
            principal_arn: arn,
            user_id: id.clone(),
            behind: Some(name.to_owned()),
            ..practice.operator_session()
        };
        let user = IamUser {
            id: IamUserId::parse(id).unwrap(),
            keys: BTreeMap::from([(key.clone(), true)]),
            login_profile: false,
            inline: BTreeMap::new(),
            attached: BTreeSet::new(),
        };
        practice.range.with(|state| {
            let users = &mut state.accounts.get_mut(&account).unwrap().users;
            users.insert(name.to_owned(), user);
            state.sessions.insert(key.clone(), session);
        });
        keys.push(key);
    }
    keys
}

/// A finding that accuses the user.
fn finding(practice: &Practice, id: &str) -> String {
    let finding = json!({
        "id": "f1", "type": "UnauthorizedAccess:IAMUser/TorIPCaller", "accountId": IAM_USER_ACCOUNT,
        "resource": {"resourceType": "AccessKey", "accessKeyDetails": {
            "accessKeyId": stolen(practice)[0], "principalId": id, "userName": IAM_USER,
            "userType": "IAMUser"}}
    });
    let path = practice.state_dir.with_extension("finding.json");
    std::fs::write(&path, finding.to_string()).unwrap();
    path.display().to_string()
}

async fn contained(practice: &Practice) -> Value {
    practice
        .quell(&format!("contain {ARN} --yes --output json"))
        .await
        .expect(Exit::Done)
        .json()
}

fn denied() -> Wrong {
    Wrong::Error {
        status: 403,
        code: "AccessDenied".to_owned(),
    }
}

/// The release is refused with these words.
async fn refused(practice: &Practice, id: &str, words: &str) {
    practice
        .quell(&format!("release {id} --yes"))
        .await
        .expect(Exit::Refused)
        .says(words);
}

#[tokio::test]
async fn keys_sessions_and_whoever_they_vouch_for_stay_dead_then_and_after_the_release() {
    let practice = attacked();
    let bystanders = namesakes(&practice);
    let before = user(&practice);
    practice.range.advance(SignedDuration::from_mins(5));
    assert!(
        calls_after(
            &practice,
            "2026-11-22T03:00:00Z".parse().unwrap(),
            Ended::Allowed
        ) > 9
    );
    let report = contained(&practice).await;
    let id = report["incident"].as_str().unwrap().to_owned();
    assert_eq!(report["principal"], ARN);
    assert_eq!(report["accounts"].as_array().unwrap().len(), 1);

    let [key, own, ci] = <[String; 3]>::try_from(stolen(&practice)).unwrap();
    assert_eq!((practice.call_as(&key), practice.call_as(&own)), (403, 403));
    // Its aws:userid is another: what eviction is for.
    assert_eq!(practice.call_as(&ci), 200);
    // Hours pass. STS gives the user a session whatever any deny says; it is refused, and lives for 36 hours.
    practice.range.advance(SignedDuration::from_hours(5));
    let late = session_token(&practice, &key).await.unwrap();
    assert_eq!(practice.call_as(&late), 403);
    assert_eq!(federated(&practice, &key, "other").await, None);
    refused(&practice, &id, "never closed").await;

    practice.evict(&id).await;
    let evicted = now(&practice);
    let after = user(&practice);
    assert!(after.keys.values().all(|active| !active) && after.keys.len() == 2);
    assert!(!after.login_profile);
    assert_eq!((&after.id, &after.attached), (&before.id, &before.attached));
    assert_eq!(
        after.inline.keys().collect::<Vec<_>>(),
        [&format!("quell-{id}")]
    );
    for key in [&key, &own, &ci, &late] {
        assert_eq!(practice.call_as(key), 403, "{key}");
    }
    assert_eq!(session_token(&practice, &key).await, None);
    practice.range.advance(SignedDuration::from_hours(35));
    refused(
        &practice,
        &id,
        "36h, the most that an IAM user's session lives",
    )
    .await;
    assert_eq!(practice.call_as(&late), 403);
    practice.range.advance(SignedDuration::from_hours(2));
    practice
        .quell(&format!("release {id} --yes"))
        .await
        .expect(Exit::Done);
    assert_eq!(practice.ours(), []);
    assert!(user(&practice).inline.is_empty());
    practice.range.advance(SignedDuration::from_hours(40));
    assert_eq!(calls_after(&practice, evicted, Ended::Allowed), 0);
    assert!(calls_after(&practice, evicted, Ended::Refused) > 100);
    for key in [&key, &own, &ci, &late] {
        assert_eq!(practice.call_as(key), 403, "{key}");
    }
    for bystander in bystanders {
        assert_eq!(practice.call_as(&bystander), 200, "{bystander}");
    }
}

#[tokio::test]
async fn what_a_session_of_the_users_would_do_if_the_wait_were_a_persons() {
    // The story above, released after the 12 hours of a permission set. It must go wrong, or the story shows nothing.
    let practice = attacked();
    let report = contained(&practice).await;
    let id = report["incident"].as_str().unwrap();
    let late = session_token(&practice, &stolen(&practice)[0])
        .await
        .unwrap();
    practice.evict(id).await;
    practice.range.advance(SignedDuration::from_hours(13));
    practice
        .quell(&format!("release {id} --yes --force"))
        .await
        .expect(Exit::Done);
    practice.range.advance(SignedDuration::from_mins(5));
    assert_eq!(practice.call_as(&late), 200);
}

#[tokio::test]
async fn nobody_else_is_refused_while_it_stands() {
    let practice = attacked();
    let namesakes = namesakes(&practice);
    let report = contained(&practice).await;
    practice.evict(report["incident"].as_str().unwrap()).await;
    for key in &namesakes {
        assert_eq!(practice.call_as(key), 200, "{key}");
    }
    let refused = practice.refused_bystanders();
    let theirs = format!("arn:aws:iam::{IAM_USER_ACCOUNT}:user/{IAM_USER}");
    // Two keys and a session token.
    assert_eq!(refused, vec![theirs; 3]);
}

#[tokio::test]
async fn a_finding_names_the_user_and_the_account_must_agree() {
    let practice = attacked();
    let wrong = finding(&practice, "AIDASOMEBODYELSE00000");
    practice
        .quell(&format!("contain --finding-file {wrong} --yes"))
        .await
        .expect(Exit::Refused)
        .says("is AIDA")
        .says("AIDASOMEBODYELSE00000");
    practice.nothing_happened();
    let right = finding(&practice, user(&practice).id.as_str());
    let report = practice
        .quell(&format!(
            "contain --finding-file {right} --yes --evict --output json"
        ))
        .await
        .expect(Exit::Done)
        .json();
    assert_eq!(report["eviction"]["closed"].as_array().unwrap().len(), 4);
    assert_eq!(report["by_hand"][0]["item"], "credentials");
    practice
        .quell(&format!("drill --finding-file {right}"))
        .await
        .expect(Exit::Refused)
        .says("this drill is about a person of the directory");
    for key in stolen(&practice) {
        assert_eq!(practice.call_as(&key), 403, "{key}");
    }
    let status = practice.quell("status --output json").await.json();
    let there = &status["incidents"][0];
    assert_eq!(there["iam_user"], user(&practice).id.as_str());
    assert_eq!(there["iam_account"], IAM_USER_ACCOUNT);
    practice.quell("status").await.says(ARN);
    // The same incident, however they are named, and from any machine.
    let elsewhere = practice.on_another_machine();
    let again = elsewhere
        .quell(&format!(
            "contain {} --yes --output json",
            ARN.replace("user/", "user/a/path/")
        ))
        .await
        .expect(Exit::Done)
        .json();
    assert_eq!(again["incident"], there["incident"]);
}

#[tokio::test]
async fn the_plan_says_whom_it_is_about_and_whom_it_confuses() {
    let practice = attacked();
    practice.range.with(|state| {
        let users = &mut state.directory.users;
        let other = users.values_mut().find(|user| user.username == "dave");
        other.unwrap().username = IAM_USER.to_owned();
    });
    let plan = practice
        .quell(&format!("plan {ARN} --output json"))
        .await
        .expect(Exit::Done)
        .json();
    assert_eq!(plan["iam_user"]["id"]["known"], user(&practice).id.as_str());
    assert_eq!(plan["reach"], json!([IAM_USER_ACCOUNT]));
    let statements = plan["document"]["Statement"].as_array().unwrap();
    let denied: BTreeSet<String> = statements
        .iter()
        .map(|statement| statement["Condition"].to_string())
        .collect();
    let all = denied.into_iter().collect::<Vec<_>>().join("\n");
    for expected in [
        user(&practice).id.as_str(),
        "\"*:legacy-deploy\"",
        "\"555566667777:legacy-deploy\"",
        "aws:SourceIdentity",
    ] {
        assert!(all.contains(expected), "{expected}: {all}");
    }
    let said = plan["warnings"].to_string() + &plan["not_covered"].to_string();
    for expected in ["Name collision", "was not looked for", "another name than"] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
    practice.nothing_happened();
}

#[tokio::test]
async fn there_may_be_no_identity_center_at_all() {
    let practice = attacked();
    practice.goes_wrong("sso:ListInstances", u32::MAX, denied());
    let report = contained(&practice).await;
    practice.evict(report["incident"].as_str().unwrap()).await;
    practice
        .quell("contain alice@example.com --yes")
        .await
        .expect(Exit::Failed);
}

#[tokio::test]
async fn who_cannot_be_contained_is_refused_before_anything_is_changed() {
    let practice = attacked();
    for (arn, exit, says) in [
        (
            "arn:aws:iam::111122223333:user/responder",
            Exit::Refused,
            "where no service control policy applies",
        ),
        (
            "arn:aws:iam::555566667777:user/nobody",
            Exit::Failed,
            "has no IAM user nobody",
        ),
        (
            "arn:aws:iam::555566667777:role/x",
            Exit::Failed,
            "has no role x",
        ),
        ("arn:aws:iam::5555:user/x", Exit::Usage, "12 digits"),
        (
            "arn:aws:iam::555566667777:user/*",
            Exit::Usage,
            "IAM user's name",
        ),
        (
            "arn:aws:iam::555566667777:user/",
            Exit::Usage,
            "IAM user's name",
        ),
    ] {
        for verb in ["plan", "contain --yes"] {
            let ran = practice.quell(&format!("{verb} {arn}")).await;
            ran.expect(exit).says(says).says("hint:");
        }
    }
    let mut nowhere: Value = serde_json::from_str(
        &std::fs::read_to_string(finding(&practice, user(&practice).id.as_str())).unwrap(),
    )
    .unwrap();
    nowhere["accountId"] = Value::Null;
    let path = practice.state_dir.with_extension("nowhere.json");
    std::fs::write(&path, nowhere.to_string()).unwrap();
    practice
        .quell(&format!("contain --finding-file {} --yes", path.display()))
        .await
        .expect(Exit::Refused)
        .says("arn:aws:iam::<account>:user/<name>");
    practice.nothing_happened();
}

#[tokio::test]
async fn where_no_role_lets_us_in_the_name_is_denied_and_the_rest_is_said_with_its_commands() {
    let practice = attacked();
    practice.range.with(|state| {
        state.accounts.get_mut(&account()).unwrap().roles.clear();
    });
    let ran = practice
        .quell(&format!("contain {ARN} --yes"))
        .await
        .expect(Exit::NotProven)
        .says("NOT their access keys");
    assert!(ran.err.contains("cannot assume"), "{}", ran.err);
    let id = practice.incident().await;
    let ran = practice
        .quell(&format!("evict {id} --yes"))
        .await
        .expect(Exit::Partly);
    for command in [
        "aws iam list-access-keys --user-name legacy-deploy",
        "aws iam delete-login-profile --user-name legacy-deploy",
        &format!("aws iam put-user-policy --user-name legacy-deploy --policy-name quell-{id}"),
        &format!("quell evict {id} --attest no-way-left"),
    ] {
        assert!(ran.out.contains(command), "{command}: {}", ran.out);
    }
    practice
        .quell(&format!("evict {id} --yes --attest no-way-left --by alice"))
        .await
        .expect(Exit::NotProven)
        .says("is evicted");
}

#[tokio::test]
async fn only_the_keys_that_are_named_come_back_and_no_password() {
    let practice = attacked();
    let report = contained(&practice).await;
    let id = report["incident"].as_str().unwrap();
    practice.evict(id).await;
    practice.range.advance(SignedDuration::from_hours(37));
    let key = stolen(&practice)[0].clone();
    let other = user(&practice).keys.into_keys().find(|it| *it != key);
    practice
        .quell(&format!(
            "release {id} --yes --restore-keys AKIANOBODYSKEY000000"
        ))
        .await
        .expect(Exit::Refused)
        .says("nothing is released");
    assert_eq!(practice.ours().len(), 1);
    let released = practice
        .quell(&format!(
            "release {id} --yes --restore --restore-keys {}",
            other.as_ref().unwrap()
        ))
        .await
        .expect(Exit::Done)
        .says("password cannot be given back");
    assert!(released.out.contains(other.as_ref().unwrap()));
    let after = user(&practice);
    assert!(!after.keys[&key]);
    assert!(after.keys[other.as_ref().unwrap()]);
    assert!(!after.login_profile && after.inline.is_empty());
    // Once more, after the deny is gone: a key that was forgotten.
    practice
        .quell(&format!("release {id} --yes --restore-keys {key}"))
        .await
        .expect(Exit::Done);
    assert!(user(&practice).keys[&key]);
}

#[tokio::test]
async fn a_key_or_a_password_that_is_there_again_closes_the_gate() {
    let practice = attacked();
    let report = contained(&practice).await;
    let id = report["incident"].as_str().unwrap();
    practice.evict(id).await;
    practice.range.advance(SignedDuration::from_hours(37));
    for way in ["key", "password"] {
        practice.range.with(|state| {
            let users = &mut state.accounts.get_mut(&account()).unwrap().users;
            let user = users.get_mut(IAM_USER).unwrap();
            if way == "key" {
                user.keys.insert("AKIAMADEMEANWHILE000".to_owned(), true);
            } else {
                user.login_profile = true;
            }
        });
        refused(&practice, id, "one way to new sessions is open").await;
        practice.evict(id).await;
        refused(&practice, id, "may still be alive").await;
        practice.range.advance(SignedDuration::from_hours(37));
    }
    practice
        .quell(&format!("release {id} --yes"))
        .await
        .expect(Exit::Done);
}

#[tokio::test]
async fn somebody_who_was_given_the_name_since_is_left_alone() {
    let practice = attacked();
    let report = contained(&practice).await;
    let id = report["incident"].as_str().unwrap();
    practice.range.with(|state| {
        let users = &mut state.accounts.get_mut(&account()).unwrap().users;
        let user = users.get_mut(IAM_USER).unwrap();
        user.id = IamUserId::parse("AIDAMADEANEW00000000A").unwrap();
    });
    practice
        .quell(&format!("evict {id} --yes"))
        .await
        .expect(Exit::Done)
        .says("is evicted");
    let after = user(&practice);
    assert!(after.keys.values().all(|active| *active));
    assert!(after.login_profile && after.inline.is_empty());
    practice.range.advance(SignedDuration::from_hours(37));
    practice
        .quell(&format!("release {id} --yes"))
        .await
        .expect(Exit::Done);
}

#[tokio::test]
async fn a_deny_on_the_user_that_cannot_be_taken_off_keeps_everything_as_it_is() {
    let practice = attacked();
    let report = contained(&practice).await;
    let id = report["incident"].as_str().unwrap();
    practice.evict(id).await;
    practice.range.advance(SignedDuration::from_hours(37));
    practice.goes_wrong("iam:DeleteUserPolicy", 2, denied());
    practice
        .quell(&format!("release {id} --yes"))
        .await
        .expect(Exit::Partly)
        .says("aws iam delete-user-policy")
        .says("The deny stands");
    assert_eq!(practice.ours().len(), 1);
    practice.goes_wrong("iam:DeleteUserPolicy", 2, denied());
    practice
        .quell(&format!("release {id} --yes --force"))
        .await
        .expect(Exit::NotProven)
        .says(&format!("the inline policy quell-{id} on the user"));
    assert_eq!(practice.ours(), []);
}

#[tokio::test]
async fn a_release_that_stopped_half_way_goes_on() {
    let practice = attacked();
    let report = contained(&practice).await;
    let id = report["incident"].as_str().unwrap();
    practice.evict(id).await;
    practice.range.advance(SignedDuration::from_hours(37));
    practice.goes_wrong("organizations:DetachPolicy", 1, denied());
    let release = format!("release {id} --yes");
    practice.quell(&release).await.expect(Exit::Partly);
    assert!(user(&practice).inline.is_empty());
    practice.quell(&release).await.expect(Exit::Done);
    assert_eq!(practice.ours(), []);
}

#[tokio::test]
async fn an_eviction_that_dies_at_any_call_is_finished_by_the_same_command() {
    for moment in [Moment::BeforeTheCall, Moment::AfterTheCall] {
        for call in 1.. {
            let practice = attacked();
            let report = contained(&practice).await;
            let id = report["incident"].as_str().unwrap();
            let line = format!("evict {id} --yes");
            let whole = practice.quell_until_death(&line, call, moment).await;
            practice.evict(id).await;
            let after = user(&practice);
            assert!(after.keys.values().all(|active| !active), "{call}");
            assert!(!after.login_profile && after.inline.len() == 1, "{call}");
            // The wait is another story's; this one is about the backup.
            let line = format!(
                "release {id} --yes --force --restore-keys {}",
                stolen(&practice)[0]
            );
            practice.quell(&line).await.expect(Exit::Done);
            if whole.is_some() {
                break;
            }
        }
    }
}

#[tokio::test]
async fn an_armed_organization_denies_them_in_one_call_and_knows_them_again() {
    let practice = attacked();
    practice.quell("prepare arm --yes").await.expect(Exit::Done);
    let report = contained(&practice).await;
    let id = report["incident"].as_str().unwrap();
    let [key, own, _] = <[String; 3]>::try_from(stolen(&practice)).unwrap();
    assert_eq!((practice.call_as(&key), practice.call_as(&own)), (403, 403));
    let elsewhere = practice.on_another_machine();
    elsewhere
        .quell(&format!("contain --resume {id} --yes"))
        .await
        .expect(Exit::Done);
    assert_eq!(elsewhere.incident().await, id);
    elsewhere.evict(id).await;
    practice.range.advance(SignedDuration::from_hours(37));
    practice
        .quell(&format!("release {id} --yes"))
        .await
        .expect(Exit::Done);
    assert_eq!(practice.call_as(&key), 403, "its key is off");
    assert!(user(&practice).inline.is_empty());
}

#[tokio::test]
async fn what_is_a_persons_of_identity_center_is_not_an_iam_users() {
    let practice = attacked();
    let report = contained(&practice).await;
    let id = report["incident"].as_str().unwrap();
    for flags in ["--management", "--revoke-team", "--delete-user"] {
        practice
            .quell(&format!("evict {id} --yes {flags}"))
            .await
            .expect(Exit::Usage);
    }
    practice
        .quell(&format!("readmit {id} --sessions-after now --yes"))
        .await
        .expect(Exit::Refused)
        .says("no time of issue");
    let ran = practice.quell("contain test-user --yes").await;
    ran.expect(Exit::Done);
    let status = practice.quell("status --output json").await.json();
    let mut all = status["incidents"].as_array().unwrap().iter();
    let person = all.find(|it| it["iam_account"].is_null()).unwrap();
    let person = person["incident"].as_str().unwrap();
    practice
        .quell(&format!(
            "release {person} --yes --restore-keys AKIANOBODYSKEY000000"
        ))
        .await
        .expect(Exit::Usage);
}

/// Evicted, whatever died: every key off, no password, our one policy on the user, and one incident that says so.
async fn is_evicted(practice: &Practice, undisturbed: &Practice, told: &str) {
    assert_eq!(user(practice), user(undisturbed), "{told}");
    let status = practice.quell("status --output json").await.json();
    let incidents = status["incidents"].as_array().unwrap();
    assert_eq!(incidents.len(), 1, "{told}: {status}");
    assert!(incidents[0]["evicted"].is_string(), "{told}: {status}");
    assert_eq!(status["disagreements"], json!([]), "{told}: {status}");
    for key in stolen(practice) {
        assert_eq!(practice.call_as(&key), 403, "{told}: {key}");
    }
    journals_are_as_they_were_written(practice, told).await;
}

/// Released, whatever died: nothing of ours is left, on the user or anywhere, and one key works again.
async fn is_released(practice: &Practice, undisturbed: &Practice, told: &str) {
    assert_eq!(practice.ours(), [], "{told}");
    let now = user(practice);
    assert_eq!(now, user(undisturbed), "{told}");
    assert!(now.inline.is_empty(), "{told}: {now:?}");
    let active = now.keys.values().filter(|active| **active).count();
    assert_eq!(active, 1, "{told}: {now:?}");
    journals_are_as_they_were_written(practice, told).await;
}

#[tokio::test]
async fn an_eviction_and_a_release_that_died_anywhere_are_finished_by_the_same_command() {
    let mut cases = 0;
    for armed in [false, true] {
        let practice = Practice::with(|blueprint| {
            blueprint.extras.iam_user = true;
            blueprint.propagation = SignedDuration::ZERO;
        });
        practice.few_accounts();
        if armed {
            practice.quell("prepare arm --yes").await.expect(Exit::Done);
        }
        let told = if armed { "armed" } else { "cold" };
        let key = stolen(&practice).swap_remove(0);
        let report = contained(&practice).await;
        let id = report["incident"].as_str().unwrap();
        let evict = format!("evict {id} --yes");
        cases += dies_anywhere(&practice, (armed, told), &evict, is_evicted).await;
        practice.quell(&evict).await.expect(Exit::Done);
        practice.range.advance(SignedDuration::from_hours(37));
        let release = format!("release {id} --restore-keys {key} --yes");
        let check = async |practice: &Practice, undisturbed: &Practice, told: &str| {
            if armed {
                let ours = practice.ours();
                assert_eq!(ours.len(), 1, "{told}: {ours:?}");
                practice
                    .quell("prepare disarm --yes")
                    .await
                    .expect(Exit::Done);
                undisturbed.quell("prepare disarm --yes").await;
            }
            is_released(practice, undisturbed, told).await;
        };
        cases += dies_anywhere(&practice, (armed, told), &release, check).await;
    }
    assert!(cases > 40, "{cases}");
}

#[tokio::test]
async fn a_name_that_is_refused_proves_nothing_of_keys_that_have_none() {
    // The role lets canaries in, and may not ask for the user's id.
    let practice = attacked();
    practice.goes_wrong("iam:GetUser", 9_999, denied());
    practice
        .quell(&format!("contain {ARN} --yes"))
        .await
        .expect(Exit::NotProven)
        .says("NOT their access keys");
    let [key, _, _] = <[String; 3]>::try_from(stolen(&practice)).unwrap();
    practice.range.advance(SignedDuration::from_mins(5));
    assert_eq!(practice.call_as(&key), 200);
    let id = practice.incident().await;
    let report = practice
        .quell(&format!("verify {id} --output json"))
        .await
        .expect(Exit::NotProven)
        .json();
    assert_eq!(report["accounts"][0]["verdict"], "refused_by_us");
    let status = practice.quell("status --output json").await.json();
    assert!(status["incidents"][0]["proven"].is_null(), "{status}");
}

#[tokio::test]
async fn whoever_saw_to_the_user_by_hand_answers_for_it_and_is_told_what_is_theirs_to_undo() {
    let practice = attacked();
    let report = contained(&practice).await;
    let id = report["incident"].as_str().unwrap();
    // The canary role may do what canaries do, and nothing about users.
    for action in ["GetUser", "ListAccessKeys", "DeleteUserPolicy"] {
        practice.goes_wrong(&format!("iam:{action}"), 9_999, denied());
    }
    practice
        .quell(&format!("evict {id} --yes"))
        .await
        .expect(Exit::Partly);
    practice
        .quell(&format!("evict {id} --yes --attest no-way-left --by alice"))
        .await
        .expect(Exit::Done);
    practice.range.advance(SignedDuration::from_hours(35));
    refused(&practice, id, "36h").await;
    practice.range.advance(SignedDuration::from_hours(2));
    practice
        .quell(&format!("release {id} --yes"))
        .await
        .says(&format!("NOT done: the inline policy quell-{id}"));
    assert_eq!(practice.ours(), []);
}
