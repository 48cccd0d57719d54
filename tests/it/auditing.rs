//! The audit: every planted fault is found where it was planted, and nothing else is.

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;
use proptest::prelude::*;
use quell::cli::exit::Exit;
use quell::facts::audit::{Grants, PasswordPolicy};
use quell::ids::*;
use quell::range::estate::Estate;
use quell::range::state::{Assignment, Inline, Role, State, Wrong};
use quell::range::users::IamUser;
use serde_json::Value;

use crate::practice::{Practice, runner};

/// A finding, as the tests name it: rule, account, resource.
type Found = (String, String, String);

const AUDIT: &str = "audit --all-accounts --output json --fail-on low";

/// An organization in which nothing is wrong.
fn sound() -> Practice {
    let practice = Practice::with(|blueprint| {
        blueprint.identity_center = Region::parse("us-east-1").unwrap();
        blueprint.extras.sound = true;
    });
    practice.range.with(|state| {
        for set in state.directory.sets.values_mut() {
            set.duration = Some("PT4H".to_owned());
        }
    });
    practice
}

fn findings(report: &Value) -> BTreeSet<Found> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let all = report["findings"].as_array().unwrap().iter();
    all.map(|one| {
        (
            text(&one["rule"]),
            text(&one["account"]),
            text(&one["resource"]),
        )
    })
    .collect()
}

async fn audited(practice: &Practice) -> BTreeSet<Found> {
    let ran = practice.quell(AUDIT).await;
    let found = findings(&ran.json());
    ran.expect(match found.is_empty() {
        true => Exit::Done,
        false => Exit::Refused,
    });
    practice.nothing_happened();
    found
}

/// What can be planted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    EmptyGroup,
    UserInNoGroup,
    InlinePolicy,
    AttachedPolicy,
    DefaultPasswords,
    WeakPasswords,
    NoMfa,
    KeysOfAConsoleUser,
    ResetBlocked,
    EnrolmentBlocked,
    KeysSpared,
    SwitchWithoutMfa,
    SwitchAcrossWithoutMfa,
    SwitchNameFree,
    NamesInCommon,
    SetManagesIam,
    SetLong,
    ManagementAccess,
    LocalUser,
}

const FAULTS: [Fault; 19] = [
    Fault::EmptyGroup,
    Fault::UserInNoGroup,
    Fault::InlinePolicy,
    Fault::AttachedPolicy,
    Fault::DefaultPasswords,
    Fault::WeakPasswords,
    Fault::NoMfa,
    Fault::KeysOfAConsoleUser,
    Fault::ResetBlocked,
    Fault::EnrolmentBlocked,
    Fault::KeysSpared,
    Fault::SwitchWithoutMfa,
    Fault::SwitchAcrossWithoutMfa,
    Fault::SwitchNameFree,
    Fault::NamesInCommon,
    Fault::SetManagesIam,
    Fault::SetLong,
    Fault::ManagementAccess,
    Fault::LocalUser,
];

/// A user with nothing wrong: in a group, with this policy from it.
struct Person<'a> {
    account: &'a AccountId,
    name: String,
    password: bool,
    mfa: bool,
    keys: usize,
    policy: String,
}

impl<'a> Person<'a> {
    fn of(account: &'a AccountId, n: usize) -> Self {
        Self {
            account,
            name: format!("person-{n}"),
            password: true,
            mfa: true,
            keys: 0,
            policy: READ_ONLY.to_owned(),
        }
    }

    fn add(self, state: &mut State) {
        let keys = (0..self.keys).map(|n| (format!("AKIA{:014}{n:02}", self.name.len()), true));
        let user = IamUser {
            id: IamUserId::parse(format!(
                "AIDA{:0>16}",
                self.name.to_uppercase().replace('-', "")
            ))
            .unwrap(),
            keys: keys.collect(),
            login_profile: self.password,
            inline: BTreeMap::new(),
            attached: BTreeSet::new(),
        };
        let group = format!("group-of-{}", self.name);
        let estate = estate(state, self.account);
        if self.mfa {
            estate.mfa.insert(self.name.clone());
        }
        estate
            .members
            .insert(self.name.clone(), [group.clone()].into());
        let grants = Grants {
            inline: [("group".to_owned(), self.policy)].into(),
            attached: BTreeSet::new(),
        };
        estate.groups.insert(group, grants);
        let account = state.accounts.get_mut(self.account).unwrap();
        account.users.insert(self.name, user);
    }
}

fn estate<'a>(state: &'a mut State, account: &AccountId) -> &'a mut Estate {
    state.estates.entry(account.clone()).or_default()
}

const READ_ONLY: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:Get*","iam:ChangePassword","iam:CreateVirtualMFADevice","iam:EnableMFADevice"],"Resource":"*"}]}"#;

/// The source's policy, in which everything but this is refused without MFA.
fn demands_mfa(operator: &str, spared: &[&str]) -> String {
    let spared = serde_json::to_string(spared).unwrap();
    format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Action":"*","Resource":"*"}},{{"Effect":"Deny","NotAction":{spared},"Resource":"*","Condition":{{"{operator}":{{"aws:MultiFactorAuthPresent":"false"}}}}}}]}}"#
    )
}

const ENROL: [&str; 4] = [
    "iam:CreateVirtualMFADevice",
    "iam:EnableMFADevice",
    "iam:ListMFADevices",
    "sts:GetSessionToken",
];

fn assumes(role: &str) -> String {
    format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Action":"sts:AssumeRole","Resource":"{role}"}}]}}"#
    )
}

const MFA: &str = r#""Bool":{"aws:MultiFactorAuthPresent":"true"}"#;
const NAMED: &str = r#""StringEquals":{"sts:RoleSessionName":"${aws:username}"}"#;

/// A role that users of an account can switch into; its ARN.
fn role(
    state: &mut State,
    account: &AccountId,
    n: usize,
    trusted: &str,
    conditions: &[&str],
) -> String {
    let name = format!("Elevated-{n}");
    let trust = format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Principal":{{"AWS":"arn:aws:iam::{trusted}:root"}},"Action":"sts:AssumeRole","Condition":{{{}}}}}]}}"#,
        conditions.join(",")
    );
    estate(state, account).trusts.insert(name.clone(), trust);
    let role = Role {
        id: RoleId::parse(format!("AROA{n:017}")).unwrap(),
        path: "/".to_owned(),
        trusts: BTreeSet::new(),
        service: None,
        inline: None,
    };
    let roles = &mut state.accounts.get_mut(account).unwrap().roles;
    roles.insert(name.clone(), role);
    format!("arn:aws:iam::{account}:role/{name}")
}

/// Plants a fault, the n-th, in an account; what must be found of it. `other` is another account.
fn plant(
    state: &mut State,
    fault: Fault,
    n: usize,
    account: &AccountId,
    other: &AccountId,
) -> Vec<Found> {
    let mut person = Person::of(account, n);
    let name = person.name.clone();
    let here = |rule: &str, resource: &str| {
        vec![(rule.to_owned(), account.to_string(), resource.to_owned())]
    };
    let anywhere =
        |rule: &str, resource: &str| vec![(rule.to_owned(), String::new(), resource.to_owned())];
    match fault {
        Fault::EmptyGroup => {
            let group = format!("empty-{n}");
            estate(state, account)
                .groups
                .insert(group.clone(), Grants::default());
            here("iam-group-has-users-check", &group)
        }
        Fault::UserInNoGroup => {
            person.add(state);
            let estate = estate(state, account);
            estate.members.remove(&name);
            estate.groups.remove(&format!("group-of-{name}"));
            here("iam-user-group-membership-check", &name)
        }
        Fault::InlinePolicy | Fault::AttachedPolicy => {
            person.add(state);
            let arn = "arn:aws:iam::aws:policy/ReadOnlyAccess";
            estate(state, account)
                .managed
                .insert(arn.to_owned(), READ_ONLY.to_owned());
            let users = &mut state.accounts.get_mut(account).unwrap().users;
            let user = users.get_mut(&name).unwrap();
            if fault == Fault::InlinePolicy {
                let inline = Inline::parse(READ_ONLY).unwrap();
                user.inline.insert("own".to_owned(), inline);
            } else {
                user.attached.insert(arn.to_owned());
            }
            here("iam-user-no-policies-check", &name)
        }
        Fault::DefaultPasswords | Fault::WeakPasswords => {
            let weak = PasswordPolicy {
                length: 13,
                symbols: true,
                numbers: true,
                uppercase: true,
                lowercase: true,
                max_age: Some(90),
                reuse: Some(24),
            };
            let policy = (fault == Fault::WeakPasswords).then_some(weak);
            estate(state, account).passwords = Some(policy);
            here("iam-password-policy", account.as_str())
        }
        Fault::NoMfa => {
            person.mfa = false;
            person.add(state);
            here("mfa-enabled-for-iam-console-access", &name)
        }
        Fault::KeysOfAConsoleUser => {
            person.keys = 1;
            person.add(state);
            here("console-user-has-access-keys", &name)
        }
        Fault::ResetBlocked => {
            person.policy = demands_mfa("BoolIfExists", &ENROL);
            person.add(state);
            here("mfa-policy-blocks-password-reset", &name)
        }
        Fault::EnrolmentBlocked => {
            person.mfa = false;
            person.policy = demands_mfa("BoolIfExists", &["iam:ChangePassword"]);
            person.add(state);
            let mut both = here("mfa-policy-blocks-enrolment", &name);
            both.extend(here("mfa-enabled-for-iam-console-access", &name));
            both
        }
        Fault::KeysSpared => {
            person.password = false;
            person.keys = 2;
            person.policy = demands_mfa("Bool", &["iam:ChangePassword"]);
            person.add(state);
            here("mfa-policy-spares-access-keys", &name)
        }
        Fault::SwitchWithoutMfa | Fault::SwitchNameFree => {
            let (asks, rule) = if fault == Fault::SwitchWithoutMfa {
                (NAMED, "switch-role-without-mfa")
            } else {
                (MFA, "switch-role-session-name-free")
            };
            let arn = role(state, account, n, account.as_str(), &[asks]);
            person.policy = assumes(&arn);
            person.add(state);
            here(rule, &format!("Elevated-{n}"))
        }
        Fault::SwitchAcrossWithoutMfa => {
            let arn = role(state, other, n, account.as_str(), &[NAMED]);
            person.policy = assumes(&arn);
            person.add(state);
            let rule = "switch-role-without-mfa".to_owned();
            vec![(rule, other.to_string(), format!("Elevated-{n}"))]
        }
        Fault::NamesInCommon => {
            for place in [account, other] {
                let arn = role(state, place, n, place.as_str(), &[MFA, NAMED]);
                let mut person = Person::of(place, n);
                person.policy = assumes(&arn);
                person.add(state);
            }
            anywhere("switch-role-names-in-common", &name)
        }
        Fault::SetManagesIam => {
            let arn = "arn:aws:iam::aws:policy/AdministratorAccess";
            let roles = &mut state.accounts.get_mut(account).unwrap().roles;
            let set = format!("Admin{n}");
            let reserved = format!("AWSReservedSSO_{set}_{n:016x}");
            let role = Role {
                id: RoleId::parse(format!("AROA{n:017}")).unwrap(),
                path: "/aws-reserved/sso.amazonaws.com/".to_owned(),
                trusts: BTreeSet::new(),
                service: None,
                inline: None,
            };
            roles.insert(reserved.clone(), role);
            let everything = quell::policy::document::Document::allow_all().minified();
            let estate = estate(state, account);
            estate.managed.insert(arn.to_owned(), everything);
            estate.attached.insert(reserved, [arn.to_owned()].into());
            anywhere("permission-set-manages-iam", &set)
        }
        Fault::SetLong => {
            let sets = &mut state.directory.sets;
            let which = n % sets.len();
            let set = sets.values_mut().nth(which).unwrap();
            set.duration = Some("PT12H".to_owned());
            anywhere("permission-set-session-too-long", &set.name.clone())
        }
        Fault::ManagementAccess => {
            let users = &state.directory.users;
            let (id, user) = users.iter().nth(n % users.len()).unwrap();
            let found = anywhere("management-account-access", &user.username);
            let assignment = Assignment {
                account: state.management.clone(),
                set: state.directory.sets.keys().next().unwrap().clone(),
                kind: "USER",
                principal: id.to_string(),
            };
            state.assign(assignment);
            found
        }
        Fault::LocalUser => {
            // All are the provider's but one.
            let one = n % state.directory.users.len();
            let mut local = Vec::new();
            for (at, user) in state.directory.users.values_mut().enumerate() {
                user.external = (at != one).then(|| "https://idp.example.com".to_owned());
                if at == one {
                    local = anywhere("local-user-beside-provider", &user.username);
                }
            }
            local
        }
    }
}

#[tokio::test]
async fn a_sound_organization_has_nothing_to_find() {
    let practice = sound();
    assert_eq!(audited(&practice).await, BTreeSet::new());
    practice
        .quell("audit --all-accounts")
        .await
        .expect(Exit::Done)
        .says("Nothing was found in 13 accounts.");
}

#[tokio::test]
async fn people_with_nothing_wrong_are_not_found() {
    let practice = sound();
    practice.range.with(|state| {
        let account = AccountId::parse("444455556666").unwrap();
        let arn = role(state, &account, 1, account.as_str(), &[MFA, NAMED]);
        let mut one = Person::of(&account, 1);
        one.policy = assumes(&arn);
        one.add(state);
        let mut two = Person::of(&account, 2);
        two.policy = demands_mfa(
            "BoolIfExists",
            &[&ENROL[..], &["iam:ChangePassword"]].concat(),
        );
        two.add(state);
        let mut program = Person::of(&account, 3);
        (program.password, program.mfa, program.keys) = (false, false, 2);
        program.add(state);
    });
    assert_eq!(audited(&practice).await, BTreeSet::new());
}

#[tokio::test]
async fn each_fault_is_found_where_it_was_planted_and_nothing_else_is() {
    for (n, fault) in FAULTS.into_iter().enumerate() {
        let practice = sound();
        let planted = practice.range.with(|state| {
            let accounts: Vec<AccountId> = state.accounts.keys().cloned().collect();
            let (account, other) = (&accounts[1 + n % 12], &accounts[1 + (n + 1) % 12]);
            plant(state, fault, n, account, other)
        });
        let planted: BTreeSet<Found> = planted.into_iter().collect();
        assert_eq!(audited(&practice).await, planted, "{fault:?}");
    }
}

#[test]
fn random_plantings_are_found_and_nothing_else() {
    let planting = (
        prop::sample::select(FAULTS.to_vec()),
        any::<prop::sample::Index>(),
        any::<prop::sample::Index>(),
    );
    let drawn = prop::collection::vec(planting, 0..12);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runner(6)
        .run(&drawn, |plantings| {
            let practice = sound();
            let planted = practice.range.with(|state| {
                let accounts: Vec<AccountId> = state.accounts.keys().skip(1).cloned().collect();
                let mut planted = BTreeSet::new();
                let mut once = BTreeSet::new();
                for (n, (fault, account, other)) in plantings.iter().enumerate() {
                    let account = account.get(&accounts);
                    let other = accounts
                        .iter()
                        .cycle()
                        .skip(other.index(accounts.len()))
                        .find(|other| *other != account)
                        .unwrap();
                    // What is one thing for the whole directory can be planted once.
                    if *fault == Fault::LocalUser && !once.insert(*fault) {
                        continue;
                    }
                    planted.extend(plant(state, *fault, n, account, other));
                }
                planted
            });
            let found = runtime.block_on(audited(&practice));
            prop_assert_eq!(found, planted);
            Ok(())
        })
        .unwrap();
}

#[tokio::test]
async fn the_exit_code_says_how_bad_it_is() {
    let practice = sound();
    practice.range.with(|state| {
        let account = AccountId::parse("444455556666").unwrap();
        plant(state, Fault::EmptyGroup, 1, &account, &account);
    });
    let run = async |line: &str| practice.quell(line).await.exit;
    assert_eq!(run("audit --all-accounts").await, Exit::Done);
    assert_eq!(
        run("audit --all-accounts --fail-on medium").await,
        Exit::Done
    );
    assert_eq!(
        run("audit --all-accounts --fail-on low").await,
        Exit::Refused
    );
    // Only what was asked for is looked at.
    assert_eq!(
        run("audit --account 555566667777 --fail-on low").await,
        Exit::Done
    );
    assert_eq!(
        run("audit --account 444455556666 --fail-on low").await,
        Exit::Refused
    );
    assert_eq!(run("audit --fail-on low").await, Exit::Done);
    practice
        .quell("audit --account 444455556666")
        .await
        .says("aws iam delete-group --group-name empty-1");
}

#[tokio::test]
async fn an_account_that_cannot_be_entered_is_said_and_hides_no_other() {
    let practice = sound();
    let planted = practice.range.with(|state| {
        let away = AccountId::parse("555566667777").unwrap();
        state.suspended.insert(away.clone());
        let account = AccountId::parse("444455556666").unwrap();
        plant(state, Fault::NoMfa, 1, &account, &account)
    });
    // It is listed as suspended from now on, so it is named.
    let ran = practice
        .quell("audit --account 555566667777 --account 444455556666 --output json")
        .await
        .expect(Exit::Refused);
    let report = ran.json();
    assert_eq!(
        (report["accounts"].as_u64(), report["missed"].as_u64()),
        (Some(1), Some(1))
    );
    let found = findings(&report);
    assert!(found.contains(&planted[0]), "{found:?}");
    let missed = (
        "not-audited".to_owned(),
        "555566667777".to_owned(),
        "555566667777".to_owned(),
    );
    assert!(found.contains(&missed), "{found:?}");
}

#[tokio::test]
async fn identity_center_that_does_not_answer_is_not_fine() {
    let practice = sound();
    let denied = Wrong::Error {
        status: 400,
        code: "AccessDeniedException".to_owned(),
    };
    practice.goes_wrong("sso:ListPermissionSets", 9, denied);
    let found = audited(&practice).await;
    let expected = (
        "not-audited".to_owned(),
        String::new(),
        "permission sets".to_owned(),
    );
    assert_eq!(found, BTreeSet::from([expected]));
}

#[tokio::test]
async fn whoever_was_made_since_the_credential_report_is_not_fine() {
    let practice = sound();
    practice.range.with(|state| {
        let account = AccountId::parse("444455556666").unwrap();
        let mut backdoor = Person::of(&account, 1);
        backdoor.mfa = false;
        backdoor.add(state);
        estate(state, &account)
            .unreported
            .insert("person-1".to_owned());
    });
    let expected = (
        "not-audited".to_owned(),
        "444455556666".to_owned(),
        "person-1".to_owned(),
    );
    assert_eq!(audited(&practice).await, BTreeSet::from([expected]));
}

#[tokio::test]
async fn break_glass_users_of_the_playbook_must_be_there_and_have_mfa() {
    let practice = sound();
    practice.range.with(|state| {
        let account = AccountId::parse("444455556666").unwrap();
        let mut person = Person::of(&account, 1);
        (person.mfa, person.password, person.keys) = (false, false, 1);
        person.add(state);
    });
    let shown = practice
        .quell("playbook show identity-center-user")
        .await
        .out;
    let playbook = shown.replace(
        "break_glass = []",
        "break_glass = [\"AIDA000000000PERSON1\", \"AIDANOBODYHASTHISONE\"]",
    );
    assert_ne!(shown, playbook);
    std::fs::create_dir_all(&practice.state_dir).unwrap();
    let file = practice.state_dir.join("playbook.toml");
    std::fs::write(&file, playbook).unwrap();
    let line = format!("{AUDIT} --playbook {}", file.display());
    let report = practice.quell(&line).await.expect(Exit::Refused).json();
    let found = findings(&report);
    let expected = [
        ("break-glass-without-mfa", "444455556666", "person-1"),
        ("break-glass-missing", "", "AIDANOBODYHASTHISONE"),
    ];
    let expected = expected.map(|(rule, account, resource)| {
        (rule.to_owned(), account.to_owned(), resource.to_owned())
    });
    assert_eq!(found, BTreeSet::from(expected));
}

#[tokio::test]
async fn what_names_say_cannot_move_the_cursor() {
    let practice = sound();
    practice.range.with(|state| {
        for user in state.directory.users.values_mut() {
            user.username.push_str("\u{1b}[2J");
        }
        let account = AccountId::parse("444455556666").unwrap();
        plant(state, Fault::ManagementAccess, 1, &account, &account);
    });
    let ran = practice
        .quell("audit --all-accounts")
        .await
        .expect(Exit::Refused);
    assert!(!ran.out.contains('\u{1b}'), "{}", ran.out);
    assert!(ran.out.contains("management-account-access"), "{}", ran.out);
}

#[tokio::test]
async fn details_are_read_page_by_page() {
    let practice = sound();
    practice.range.with(|state| {
        let account = AccountId::parse("444455556666").unwrap();
        for n in 0..600 {
            Person::of(&account, n).add(state);
        }
        // On the second page.
        let group = estate(state, &account)
            .groups
            .insert("zzz".to_owned(), Grants::default());
        assert!(group.is_none());
    });
    let found = audited(&practice).await;
    let expected = (
        "iam-group-has-users-check".to_owned(),
        "444455556666".to_owned(),
        "zzz".to_owned(),
    );
    assert_eq!(found, BTreeSet::from([expected]));
    practice.range.advance(SignedDuration::from_secs(1));
}
