//! The process dies while it closes the ways back, or opens them again; then the same command is typed again, as a person
//! would, and the end is that of a run that nothing disturbed.
//!
//! A way's record is on the disk before its call leaves. So a record that is missing or torn is, before a call, its
//! announcement; after a call, its outcome.

use std::collections::BTreeMap;
use std::io::Write as _;

use jiff::{SignedDuration, Timestamp};
use quell::cli::exit::Exit;
use quell::ids::{ARMED_POLICY, TargetId};
use quell::range::build::HERO;
use quell::range::directory::orders::Ordered;
use quell::range::state::{Assignment, Inline};
use serde_json::{Value, json};

use crate::crashes::{LastRecord, actions_of, cut_last_record, journals};
use crate::practice::{Moment, Practice};
use crate::stories::hero;

/// Somebody's inline policy, written as no program would write it.
const THEIRS: &str = r#"{ "Version":"2012-10-17",  "Statement":[{"Sid":"Theirs","Effect":"Deny","Action":"iam:CreateUser","Resource":"*"}] }"#;

/// What the user has, beside the rest of the practice organization.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Has {
    /// An assignment of their own, and two groups.
    Groups,
    /// An assignment in the management account, too, that nobody else has.
    Management,
    /// The same, and a group has it beside them, so that running sessions there do not end with the assignment.
    ManagementBesideOthers,
    /// Roles of account access manager, too.
    Entitlements,
}

/// A user who is contained, before anything is taken away from them.
struct Before {
    practice: Practice,
    id: String,
    /// Identity Center as it was.
    center: Value,
    inlines: Inlines,
    has: Has,
    armed: bool,
}

/// Every inline policy, byte for byte: of each permission set, and of its role in each account.
pub(crate) type Inlines = BTreeMap<String, String>;

pub(crate) fn inlines(practice: &Practice) -> Inlines {
    practice.range.with(|state| {
        let text = |inline: Option<&Inline>| inline.map(|inline| inline.text.clone());
        let mut all = Inlines::new();
        for (arn, set) in &state.directory.sets {
            all.extend(text(set.inline.as_ref()).map(|text| (arn.to_string(), text)));
            for (id, account) in &state.accounts {
                let role = state.reserved_role(id, arn);
                let role = role.and_then(|name| account.roles.get(&name));
                let there = role.and_then(|role| text(role.inline.as_ref()));
                all.extend(there.map(|text| (format!("{arn} in {id}"), text)));
            }
        }
        all
    })
}

fn center(practice: &Practice) -> Value {
    practice.range.with(|state| state.identity_center())
}

async fn before(has: Has, armed: bool) -> Before {
    let practice = Practice::with(|blueprint| {
        blueprint.extras.management = matches!(has, Has::Management | Has::ManagementBesideOthers);
        blueprint.extras.entitled = has == Has::Entitlements;
        // How long a policy takes to get everywhere is not what is tried here.
        blueprint.propagation = SignedDuration::ZERO;
    });
    practice.few_accounts();
    practice.range.with(|state| {
        let mut sets = state.directory.sets.iter_mut();
        let (set, administrators) = sets
            .find(|(_, set)| set.name == "AdministratorAccess")
            .unwrap();
        administrators.inline = Some(Inline::parse(THEIRS).unwrap());
        let (set, account) = (set.clone(), state.management.clone());
        for account in state.accounts.keys().cloned().collect::<Vec<_>>() {
            if let Some(role) = state.reserved_role(&account, &set) {
                let roles = &mut state.accounts.get_mut(&account).unwrap().roles;
                roles.get_mut(&role).unwrap().inline = Some(Inline::parse(THEIRS).unwrap());
            }
        }
        if has == Has::ManagementBesideOthers {
            let mut groups = state.directory.groups.iter();
            let (group, _) = groups.find(|(_, name)| *name == "administrators").unwrap();
            let principal = group.to_string();
            state.assign(Assignment {
                account,
                set,
                kind: "GROUP",
                principal,
            });
        }
    });
    if armed {
        practice.quell("prepare arm --yes").await.expect(Exit::Done);
    }
    let (center, inlines) = (center(&practice), inlines(&practice));
    practice.quell(&format!("contain {HERO} --yes")).await;
    let id = practice.incident().await;
    Before {
        practice,
        id,
        center,
        inlines,
        has,
        armed,
    }
}

impl Before {
    fn evict(&self) -> String {
        let management = match self.has {
            Has::Groups | Has::Entitlements => "",
            Has::Management | Has::ManagementBesideOthers => " --management",
        };
        let attested = "--attest portal-sessions --attest credentials --by alice";
        format!("evict {} --yes {attested}{management}", self.id)
    }

    fn release(&self) -> String {
        format!("release {} --restore --yes", self.id)
    }

    /// With everything taken away.
    async fn evicted(self) -> Self {
        self.practice.quell(&self.evict()).await.expect(Exit::Done);
        self
    }

    /// With the wait for the release over.
    async fn due(self) -> Self {
        let evicted = self.evicted().await;
        evicted
            .practice
            .range
            .advance(SignedDuration::from_hours(13));
        evicted
    }

    async fn dies_anywhere(
        &self,
        line: &str,
        is_as_it_should_be: impl AsyncFn(&Practice, &Practice, &str),
    ) -> usize {
        let armed = if self.armed { "armed" } else { "cold" };
        let about = format!("{armed}, {:?}", self.has);
        dies_anywhere(
            &self.practice,
            (self.armed, &about),
            line,
            is_as_it_should_be,
        )
        .await
    }
}

/// Whether a call changes anything. A session that is asked for, and a table that is read, do not.
fn changes(action: &str) -> bool {
    let reads = [
        ":List",
        ":Describe",
        ":Get",
        ":AssumeRole",
        ":Query",
        ":Scan",
    ];
    !reads.iter().any(|verb| action.contains(verb))
}

/// Every change and the call after it, and now and then one of the others.
fn worth_dying_at(actions: &[String]) -> Vec<usize> {
    let near = |at: usize| {
        let from = at.saturating_sub(1);
        actions[from..=at].iter().any(|action| changes(action))
    };
    (0..actions.len())
        .filter(|at| near(*at) || at % 40 == 20)
        .map(|at| at + 1)
        .collect()
}

/// Cold and armed runs make the same calls, so each has a part of what a death can leave behind.
fn ways_to_die(action: &str, armed: bool) -> Vec<(Moment, LastRecord)> {
    use LastRecord::{Missing, Torn, Whole};
    use Moment::{AfterTheCall, BeforeTheCall};
    match (changes(action), armed) {
        // It has no record of its own: it belongs to the policy that was written before.
        (true, _) if action == "sso:ProvisionPermissionSet" => {
            vec![(BeforeTheCall, Whole), (AfterTheCall, Whole)]
        }
        (true, false) => vec![
            (BeforeTheCall, Whole),
            (BeforeTheCall, Missing),
            (AfterTheCall, Torn),
        ],
        (true, true) => vec![(BeforeTheCall, Torn), (AfterTheCall, Missing)],
        // Nothing is recorded of a question.
        (false, _) => vec![(BeforeTheCall, Whole)],
    }
}

/// What is left of the last record: before a call of its announcement, after a call of its outcome.
fn lose(practice: &Practice, moment: Moment, last: LastRecord) {
    match (moment, last) {
        (Moment::BeforeTheCall, _) => cut_last_record(practice, last),
        (Moment::AfterTheCall, LastRecord::Torn) => {
            for (path, _) in journals(practice) {
                let mut journal = std::fs::OpenOptions::new().append(true).open(path).unwrap();
                journal.write_all(b"{\"format\":3,\"seq\":").unwrap();
            }
        }
        (Moment::AfterTheCall, LastRecord::Whole | LastRecord::Missing) => {}
    }
}

/// Dies at each call that is worth it, types the same again, and looks at the end. The number of deaths.
pub(crate) async fn dies_anywhere(
    before: &Practice,
    (armed, about): (bool, &str),
    line: &str,
    is_as_it_should_be: impl AsyncFn(&Practice, &Practice, &str),
) -> usize {
    let undisturbed = before.copy();
    let actions = actions_of(&undisturbed, line).await;
    is_as_it_should_be(&undisturbed, &undisturbed, "undisturbed").await;
    let mut cases = 0;
    for call in worth_dying_at(&actions) {
        let action = &actions[call - 1];
        for (moment, last) in ways_to_die(action, armed) {
            let practice = before.copy();
            let died = practice.quell_until_death(line, call, moment).await;
            let told =
                format!("{line}, {about}: died {moment:?} {call}, {action}, record {last:?}");
            assert!(died.is_none(), "{told}: {died:?}");
            lose(&practice, moment, last);
            let again = practice.quell(line).await;
            // Once the person has got sessions again the moment stays, and no canary is older than that any more.
            let too_late =
                again.exit == Exit::NotProven && again.out.contains("no canary is as old as that");
            assert!(again.exit == Exit::Done || too_late, "{told}: {again:?}");
            is_as_it_should_be(&practice, &undisturbed, &told).await;
            cases += 1;
        }
    }
    cases
}

/// One policy, where it belongs; one incident, proven, with nothing to be said of it; journals as they were written.
async fn is_denied_in_order(practice: &Practice, armed: bool, told: &str) -> Value {
    let ours = practice.ours();
    assert_eq!(ours.len(), 1, "{told}: {ours:?}");
    assert_eq!(ours[0].0 == ARMED_POLICY, armed, "{told}: {ours:?}");
    let targets: Vec<&str> = ours[0].1.iter().map(TargetId::as_str).collect();
    assert_eq!(targets, ["r-quel"], "{told}");
    let status = practice.quell("status --output json").await.json();
    let incidents = status["incidents"].as_array().unwrap();
    assert_eq!(incidents.len(), 1, "{told}: {status}");
    assert_eq!(incidents[0]["state"], "proven", "{told}: {status}");
    assert_eq!(incidents[0]["notes"], json!([]), "{told}: {status}");
    assert_eq!(status["disagreements"], json!([]), "{told}: {status}");
    incidents[0].clone()
}

pub(crate) async fn journals_are_as_they_were_written(practice: &Practice, told: &str) {
    for (path, _) in journals(practice) {
        let path = path.display();
        let verified = practice.quell(&format!("journal verify {path}")).await;
        assert_eq!(verified.exit, Exit::Done, "{told}: {verified:?}");
    }
}

/// Whether the hero's sessions of before are refused, in every account where anything can refuse them.
fn old_sessions_are_refused(practice: &Practice, has: Has, told: &str) {
    for (account, key, _) in &practice.built.hero_sessions {
        // Whoever has nothing there any more has one from an assignment that was taken away before.
        let reached = matches!(has, Has::Groups | Has::Entitlements);
        let expected = match account.as_str() {
            "111122223333" if reached => 200,
            _ => 403,
        };
        assert_eq!(practice.call_as(key), expected, "{told}: {account}");
    }
}

fn nobody_else_is_hit(practice: &Practice, told: &str) {
    let refused = practice.refused_bystanders();
    assert_eq!(refused, Vec::<String>::new(), "{told}");
}

/// When the last of the hero's ways was closed.
fn last_closing(practice: &Practice) -> Timestamp {
    practice.range.with(|state| {
        let at_once = [
            "identitystore:DeleteGroupMembership",
            "account-access:DeleteEntitlement",
        ];
        let called = state
            .calls
            .iter()
            .filter(|call| at_once.contains(&call.action.as_str()));
        let called = called.map(|call| call.at);
        let orders = state.directory.orders.iter();
        let done = orders.filter(|order| {
            matches!(order.what, Ordered::Unassign(_)) && order.ended == Some(Ok(()))
        });
        called
            .chain(done.filter_map(|order| order.ended_at))
            .max()
            .unwrap()
    })
}

async fn is_evicted(practice: &Practice, undisturbed: &Practice, before: &Before, told: &str) {
    let left = practice.range.with(|state| state.ways_of(&hero(state)));
    assert_eq!(left, [], "{told}");
    assert_eq!(center(practice), center(undisturbed), "{told}");
    assert_eq!(inlines(practice), inlines(undisturbed), "{told}");
    let incident = is_denied_in_order(practice, before.armed, told).await;
    let evicted: Timestamp = incident["evicted"].as_str().unwrap().parse().unwrap();
    let last = last_closing(practice);
    assert!(
        evicted >= last,
        "{told}: counted from {evicted}, closed at {last}"
    );
    let attested = json!(["credentials", "portal-sessions"]);
    assert_eq!(incident["attested"], attested, "{told}");
    assert_eq!(incident["not_contained_in_management"], false, "{told}");
    journals_are_as_they_were_written(practice, told).await;
    old_sessions_are_refused(practice, before.has, told);
    nobody_else_is_hit(practice, told);
    // What was backed up before the death is all that there is to give back.
    let later = practice.copy();
    later.range.advance(SignedDuration::from_hours(13));
    let released = later.quell(&before.release()).await;
    assert_eq!(released.exit, Exit::Done, "{told}: {released:?}");
    assert_eq!(center(&later), before.center, "{told}");
    assert_eq!(inlines(&later), before.inlines, "{told}");
}

async fn is_released(practice: &Practice, before: &Before, told: &str) {
    assert_eq!(center(practice), before.center, "{told}");
    assert_eq!(inlines(practice), before.inlines, "{told}");
    let ours = practice.ours();
    let own: Vec<_> = ours
        .iter()
        .filter(|(name, _)| name != ARMED_POLICY)
        .collect();
    assert!(own.is_empty(), "{told}: {own:?}");
    assert_eq!(ours.len(), usize::from(before.armed), "{told}");
    let status = practice.quell("status --output json").await.json();
    assert_eq!(status["incidents"], json!([]), "{told}: {status}");
    assert_eq!(status["disagreements"], json!([]), "{told}: {status}");
    journals_are_as_they_were_written(practice, told).await;
    let fresh = signs_in_again(practice);
    for (account, key) in &fresh {
        assert_eq!(practice.call_as(key), 200, "{told}: {account}");
    }
}

/// The person signs in at the portal again, and takes a session on every way; the account and the key of each.
fn signs_in_again(practice: &Practice) -> Vec<(String, String)> {
    practice.range.with(|state| {
        let hero = hero(state);
        state
            .portals
            .insert("signed-in-again".to_owned(), hero.clone());
        let ways = state.ways_of(&hero);
        let minted = ways.iter().map(|way| {
            let key = state.mint_on(&hero, way).unwrap();
            (state.sessions[&key].account.to_string(), key)
        });
        minted.collect()
    })
}

/// Identity Center, with the moment that the deny has now left out wherever it is.
async fn but_for_the_moment(practice: &Practice) -> String {
    let status = practice.quell("status --output json").await.json();
    let moment = status["incidents"][0]["sessions_after"].as_str().unwrap();
    center(practice).to_string().replace(moment, "the moment")
}

async fn is_readmitted(practice: &Practice, undisturbed: &Practice, before: &Before, told: &str) {
    let given_back =
        |center: &Value| ["users", "assignments", "entitlements"].map(|part| center[part].clone());
    let now = center(practice);
    assert_eq!(given_back(&now), given_back(&before.center), "{told}");
    // In the management account the inline policies refuse what is older than the same moment.
    let (one, other) = (
        but_for_the_moment(practice).await,
        but_for_the_moment(undisturbed).await,
    );
    assert_eq!(one, other, "{told}");
    let incident = is_denied_in_order(practice, before.armed, told).await;
    let from: Timestamp = incident["sessions_after"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!(from <= practice.range.now(), "{told}: {from}");
    journals_are_as_they_were_written(practice, told).await;
    old_sessions_are_refused(practice, before.has, told);
    nobody_else_is_hit(practice, told);
    let fresh = signs_in_again(practice);
    assert!(!fresh.is_empty());
    for (account, key) in &fresh {
        assert_eq!(practice.call_as(key), 200, "{told}: {account}");
    }
}

async fn evictions_die(has: Has) {
    let mut cases = 0;
    for armed in [false, true] {
        let before = before(has, armed).await;
        let check = async |practice: &Practice, undisturbed: &Practice, told: &str| {
            is_evicted(practice, undisturbed, &before, told).await;
        };
        cases += before.dies_anywhere(&before.evict(), check).await;
    }
    assert!(cases > 30, "{cases}");
}

#[tokio::test]
async fn an_eviction_that_died_anywhere_is_finished_by_the_same_command() {
    evictions_die(Has::Groups).await;
}

#[tokio::test]
async fn an_eviction_in_the_management_account_that_died_anywhere_is_finished_by_the_same_command()
{
    evictions_die(Has::Management).await;
    evictions_die(Has::ManagementBesideOthers).await;
}

#[tokio::test]
async fn an_eviction_from_account_access_manager_that_died_anywhere_is_finished_by_the_same_command()
 {
    evictions_die(Has::Entitlements).await;
}

#[tokio::test]
async fn a_release_that_died_anywhere_while_giving_back_is_finished_by_the_same_command() {
    let mut cases = 0;
    for (has, armed) in [
        (Has::Entitlements, false),
        (Has::Groups, true),
        (Has::ManagementBesideOthers, false),
        (Has::ManagementBesideOthers, true),
        (Has::Management, false),
    ] {
        let before = before(has, armed).await.due().await;
        let check = async |practice: &Practice, _: &Practice, told: &str| {
            is_released(practice, &before, told).await;
        };
        cases += before.dies_anywhere(&before.release(), check).await;
    }
    println!("a release that gives back died in {cases} ways");
    assert!(cases > 60, "{cases}");
}

#[tokio::test]
async fn an_early_return_that_died_anywhere_is_finished_by_the_same_command() {
    let mut cases = 0;
    for (has, armed) in [
        (Has::Groups, false),
        (Has::Groups, true),
        (Has::ManagementBesideOthers, false),
        (Has::Entitlements, true),
    ] {
        let before = before(has, armed).await.evicted().await;
        let line = format!("readmit {} --sessions-after now --restore --yes", before.id);
        let check = async |practice: &Practice, undisturbed: &Practice, told: &str| {
            is_readmitted(practice, undisturbed, &before, told).await;
        };
        cases += before.dies_anywhere(&line, check).await;
    }
    println!("an early return died in {cases} ways");
    assert!(cases > 60, "{cases}");
}
