//! What is drawn, and must hold whatever is drawn: the person gets back exactly what they had, and an attacker who keeps a
//! portal session gets nothing through from the proof on, however the hours go.

use std::cell::Cell;

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use quell::cli::exit::Exit;
use quell::ids::*;
use quell::range::access::Entitlement;
use quell::range::build::extras::ENTITLED_ROLE;
use quell::range::clock::{Sync, What};
use quell::range::state::{Assignment, Inline, State};
use serde_json::Value;

use crate::crashes::ways::inlines;
use crate::practice::{Practice, runner};
use crate::stories::{answered_after, hero, refused_after};

/// Who can be contained and proven: a session can have each of these names.
const USERS: [&str; 6] = [
    "test-user",
    "alice@example.com",
    "bob@example.com",
    "carol@example.com",
    "dave",
    "frank+oncall@example.com",
];

/// How long a set's sessions may live, as Identity Center writes it, and in hours.
const DURATIONS: [(&str, i64); 5] = [
    ("PT1H", 1),
    ("PT2H", 2),
    ("PT4H", 4),
    ("PT8H", 8),
    ("PT12H", 12),
];

/// Inline policies as people, programs and nobody write them.
const INLINES: [&str; 4] = [
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"}]}"#,
    "{\n  \"Statement\": {\"Resource\": \"*\", \"Effect\": \"Deny\", \"Action\": [\"iam:CreateUser\"]},\n  \"Version\": \"2012-10-17\"\n}\n",
    r#"{ "Version":"2008-10-17", "Id":"of the platform team", "Statement":[ {"Sid":"Quell","Effect":"Deny","Action":"kms:*","Resource":"*"} ] }"#,
    r#"{"Statement":[{"Effect":"Deny","NotAction":["iam:*","organizations:*"],"Resource":["*"],"Condition":{"StringLike":{"aws:userid":"*:somebody-else"}}}],"Version":"2012-10-17"}"#,
];

fn wait_for<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.unwrap().block_on(future)
}

/// The member accounts.
fn members(state: &State) -> Vec<AccountId> {
    let member = |account: &&AccountId| **account != state.management;
    state.accounts.keys().filter(member).cloned().collect()
}

/// One of several, by a number that was drawn before anybody knew how many there are.
fn one_of<T: Clone>(all: impl IntoIterator<Item = T>, drawn: usize) -> T {
    let all: Vec<T> = all.into_iter().collect();
    all[drawn % all.len()].clone()
}

fn user(state: &State, name: &str) -> UserId {
    let mut users = state.directory.users.iter();
    let (id, _) = users.find(|(_, user)| user.username == name).unwrap();
    id.clone()
}

/// An organization, and somebody in it who has more than one thing.
#[derive(Debug, Clone)]
struct Drawn {
    seed: u64,
    user: usize,
    armed: bool,
    external: bool,
    /// Of their own: account and set.
    assignments: Vec<(usize, usize)>,
    /// Of groups, whosever these are: group, account and set.
    of_groups: Vec<(usize, usize, usize)>,
    /// Which they are in, beside those that they are in anyway.
    groups: Vec<usize>,
    /// Account access manager's roles: whether it is theirs or a group's.
    entitlements: Vec<bool>,
    durations: Vec<usize>,
    inlines: Vec<Option<usize>>,
    /// In the management account, too: alone, or beside a group.
    management: Option<bool>,
    /// Whether quell is told to deny them there.
    held: bool,
}

fn drawn() -> impl Strategy<Value = Drawn> {
    let n = || 0..1000_usize;
    let what = (
        prop::collection::vec((n(), n()), 0..5),
        prop::collection::vec((n(), n(), n()), 0..4),
        prop::collection::vec(n(), 0..3),
        prop::collection::vec(any::<bool>(), 0..3),
        prop::collection::vec(0..DURATIONS.len(), 3),
        prop::collection::vec(prop::option::of(0..INLINES.len()), 3),
    );
    let where_ = (prop::option::of(any::<bool>()), any::<bool>());
    let who = (0..10_000_u64, 0..USERS.len(), any::<bool>(), any::<bool>());
    (who, what, where_).prop_map(|(who, what, (management, held))| {
        let (seed, user, armed, external) = who;
        let (assignments, of_groups, groups, entitlements, durations, inlines) = what;
        Drawn {
            seed,
            user,
            armed,
            external,
            assignments,
            of_groups,
            groups,
            entitlements,
            durations,
            inlines,
            management,
            held,
        }
    })
}

impl Drawn {
    fn name(&self) -> &'static str {
        USERS[self.user]
    }

    fn practice(&self) -> Practice {
        let practice = Practice::with(|blueprint| {
            blueprint.seed = self.seed;
            blueprint.extras.external = self.external;
            blueprint.extras.entitled = !self.entitlements.is_empty();
            blueprint.propagation = SignedDuration::ZERO;
        });
        practice.few_accounts();
        practice.range.with(|state| self.arrange(state));
        practice
    }

    fn arrange(&self, state: &mut State) {
        let id = user(state, self.name());
        let sets: Vec<PermissionSetArn> = state.directory.sets.keys().cloned().collect();
        for (i, set) in sets.iter().enumerate() {
            let there = state.directory.sets.get_mut(set).unwrap();
            there.duration = Some(DURATIONS[self.durations[i]].0.to_owned());
            there.inline = self.inlines[i].map(|text| Inline::parse(INLINES[text]).unwrap());
            let inline = there.inline.clone();
            // It was provisioned everywhere long ago.
            for account in state.accounts.keys().cloned().collect::<Vec<_>>() {
                if let Some(name) = state.reserved_role(&account, set) {
                    let account = state.accounts.get_mut(&account).unwrap();
                    account.roles.get_mut(&name).unwrap().inline = inline.clone();
                }
            }
        }
        let (accounts, groups) = (members(state), state.directory.groups.clone());
        for (account, set) in &self.assignments {
            state.assign(Assignment {
                account: one_of(accounts.clone(), *account),
                set: one_of(sets.clone(), *set),
                kind: "USER",
                principal: id.to_string(),
            });
        }
        for (group, account, set) in &self.of_groups {
            state.assign(Assignment {
                account: one_of(accounts.clone(), *account),
                set: one_of(sets.clone(), *set),
                kind: "GROUP",
                principal: one_of(groups.keys(), *group).to_string(),
            });
        }
        for group in &self.groups {
            let group = one_of(groups.keys(), *group).clone();
            state
                .directory
                .users
                .get_mut(&id)
                .unwrap()
                .groups
                .insert(group);
        }
        for (i, own) in self.entitlements.iter().enumerate() {
            let group = state.directory.users[&id]
                .groups
                .first()
                .unwrap()
                .to_string();
            let (kind, principal) = match own {
                true => ("USER", id.to_string()),
                false => ("GROUP", group),
            };
            let entitlement = Entitlement {
                kind,
                principal,
                role: format!("arn:aws:iam::{}:role/{ENTITLED_ROLE}", accounts[i]),
                created: state.now,
            };
            let same = |it: &Entitlement| {
                (it.kind, &it.principal, &it.role)
                    == (entitlement.kind, &entitlement.principal, &entitlement.role)
            };
            // AWS has each of them once.
            if !state.access.entitlements.values().any(same) {
                let id = format!("drawn-{i}");
                state.access.entitlements.insert(id, entitlement);
            }
        }
        if let Some(alone) = self.management {
            let account = state.management.clone();
            let group = groups
                .iter()
                .find(|(_, name)| *name == "administrators")
                .unwrap();
            let group = (!alone).then(|| ("GROUP", group.0.to_string()));
            for (kind, principal) in [("USER", id.to_string())].into_iter().chain(group) {
                let set = sets[0].clone();
                let account = account.clone();
                state.assign(Assignment {
                    account,
                    set,
                    kind,
                    principal,
                });
            }
        }
    }
}

/// Contains, evicts, waits, releases, and gives back: the organization is then as it was.
async fn goes_and_comes_back(drawn: &Drawn) -> usize {
    let practice = drawn.practice();
    if drawn.armed {
        practice.quell("prepare arm --yes").await.expect(Exit::Done);
    }
    let look = |practice: &Practice| {
        let center: Value = practice.range.with(|state| state.identity_center());
        (center, inlines(practice))
    };
    let before = look(&practice);
    practice
        .quell(&format!("contain {} --yes", drawn.name()))
        .await;
    let id = practice.incident().await;
    let held = drawn.held && drawn.management.is_some();
    let flag = if held { " --management" } else { "" };
    let evicted = practice
        .quell(&format!(
            "evict {id} --yes --attest portal-sessions --attest credentials --by alice --output json{flag}"
        ))
        .await;
    let expected = match drawn.management {
        Some(_) if !held => Exit::GettingThrough,
        Some(_) | None => Exit::Done,
    };
    let closed = evicted.expect(expected).json()["closed"]
        .as_array()
        .map_or(0, Vec::len);
    let left = practice
        .range
        .with(|state| state.ways_of(&user(state, drawn.name())));
    assert_eq!(left, []);
    assert_ne!(look(&practice).0, before.0);
    practice.range.advance(SignedDuration::from_hours(13));
    practice
        .quell(&format!("release {id} --yes --restore"))
        .await
        .expect(Exit::Done);
    assert_eq!(look(&practice), before);
    closed
}

#[test]
fn the_person_gets_back_exactly_what_they_had_whatever_that_was() {
    let mut runner = runner(30);
    let cases = runner.config().cases;
    let closed = Cell::new(0);
    runner
        .run(&drawn(), |drawn| {
            closed.set(closed.get() + wait_for(goes_and_comes_back(&drawn)));
            Ok(())
        })
        .unwrap();
    println!(
        "{cases} people got back what they had: {} ways",
        closed.get()
    );
    assert!(closed.get() > 0);
}

/// How the hours go, while somebody sits at the portal and takes every session there is.
#[derive(Debug, Clone)]
struct Hours {
    seed: u64,
    armed: bool,
    /// Whether all their old sessions call, too, and everybody else.
    alive: bool,
    entitled: bool,
    durations: Vec<usize>,
    /// Minutes from the proof to the eviction.
    evicted_after: i64,
    /// The release is tried every so many minutes.
    tried_every: i64,
    /// At which of these tries somebody evicts once more, whether there is reason to or not.
    evicted_again: Vec<usize>,
    /// How many tries are refused because of open ways before somebody closes them.
    looks_away: usize,
    /// What happens, by minutes from the proof on.
    happens: Vec<(i64, Happens)>,
}

#[derive(Debug, Clone)]
enum Happens {
    /// Somebody gives the user an assignment: account and set.
    Given(usize, usize),
    /// Somebody gives one to a group: of the user, or not.
    GivenToGroup(usize, usize, usize),
    /// Somebody puts the user into a group.
    Joined(usize),
    /// Sessions of a set live longer from now on.
    Raised(usize),
    /// An identity provider begins to put the user back into their groups, every so many minutes.
    Synced(i64),
}

fn hours() -> impl Strategy<Value = Hours> {
    let n = || 0..1000_usize;
    let happens = prop_oneof![
        3 => (n(), n()).prop_map(|(account, set)| Happens::Given(account, set)),
        1 => (n(), n(), n()).prop_map(|(group, account, set)| Happens::GivenToGroup(group, account, set)),
        2 => n().prop_map(Happens::Joined),
        2 => n().prop_map(Happens::Raised),
        1 => (60..600_i64).prop_map(Happens::Synced),
    ];
    (
        (
            0..10_000_u64,
            any::<bool>(),
            prop::bool::weighted(0.1),
            prop::bool::weighted(0.2),
        ),
        prop::collection::vec(0..DURATIONS.len(), 3),
        (1..600_i64, 30..400_i64),
        prop::collection::vec(0..20_usize, 0..3),
        0..3_usize,
        prop::collection::vec((1..1200_i64, happens), 0..4),
    )
        .prop_map(
            |(who, durations, (evicted_after, tried_every), evicted_again, looks_away, happens)| {
                let (seed, armed, alive, entitled) = who;
                Hours {
                    seed,
                    armed,
                    alive,
                    entitled,
                    durations,
                    evicted_after,
                    tried_every,
                    evicted_again,
                    looks_away,
                    happens,
                }
            },
        )
}

fn minutes(many: i64) -> SignedDuration {
    SignedDuration::from_mins(many)
}

impl Hours {
    fn practice(&self) -> Practice {
        let practice = Practice::with(|blueprint| {
            blueprint.seed = self.seed;
            blueprint.alive = self.alive;
            blueprint.extras.portal = true;
            blueprint.extras.entitled = self.entitled;
        });
        practice.few_accounts();
        practice.range.with(|state| {
            let sets = state.directory.sets.values_mut();
            for (set, drawn) in sets.zip(&self.durations) {
                set.duration = Some(DURATIONS[*drawn].0.to_owned());
            }
            // It has been so for as long as anybody has had a session.
            let sets = state.directory.sets.values();
            let lives: Vec<(String, SignedDuration)> = sets
                .zip(&self.durations)
                .map(|(set, drawn)| {
                    let role = format!("/AWSReservedSSO_{}_", set.name);
                    (role, SignedDuration::from_hours(DURATIONS[*drawn].1))
                })
                .collect();
            for session in state.sessions.values_mut() {
                let of_set = |(role, _): &&(String, _)| session.principal_arn.contains(role);
                if let Some((_, lives)) = lives.iter().find(of_set) {
                    session.expires = session.issued.map(|issued| issued + *lives);
                }
            }
        });
        practice
    }

    fn arrange(&self, state: &mut State, from: Timestamp) {
        let id = hero(state);
        let sets: Vec<PermissionSetArn> = state.directory.sets.keys().cloned().collect();
        let groups: Vec<GroupId> = state.directory.groups.keys().cloned().collect();
        let accounts = members(state);
        let own = state.directory.users[&id].groups.clone();
        for (after, happens) in &self.happens {
            let assigned = |kind, principal, account, set| {
                What::AddAssignment(Assignment {
                    account: one_of(accounts.clone(), account),
                    set: one_of(sets.clone(), set),
                    kind,
                    principal,
                })
            };
            let what = match happens {
                Happens::Given(account, set) => assigned("USER", id.to_string(), *account, *set),
                Happens::GivenToGroup(group, account, set) => {
                    let group = one_of(groups.clone(), *group);
                    assigned("GROUP", group.to_string(), *account, *set)
                }
                Happens::Joined(group) => {
                    What::AddMembership(id.clone(), one_of(groups.clone(), *group))
                }
                Happens::Raised(set) => {
                    What::SetDuration(one_of(sets.clone(), *set), "PT12H".to_owned())
                }
                Happens::Synced(every) => What::Sync(Sync {
                    every: minutes(*every),
                    memberships: own
                        .iter()
                        .map(|group| (id.clone(), group.clone()))
                        .collect(),
                }),
            };
            state.later(from + minutes(*after), what);
        }
    }
}

/// Contained; the incident, when it was proven, and how long its longest session lives by what quell knows.
async fn contained(practice: &Practice, hours: &Hours) -> (String, Timestamp) {
    if hours.armed {
        practice.quell("prepare arm --yes").await.expect(Exit::Done);
    }
    practice
        .quell("contain test-user --yes")
        .await
        .expect(Exit::Done);
    let id = practice.incident().await;
    let status = practice
        .quell(&format!("status {id} --output json"))
        .await
        .json();
    let proven = status["incidents"][0]["proven"].as_str().unwrap();
    (id, proven.parse().unwrap())
}

/// Whether anything happens within the next ten minutes: who releases must not do it in the middle of that.
fn soon(state: &State) -> bool {
    let soon = state.now + minutes(10);
    state.agenda.range(..(soon, 0)).next().is_some()
}

fn nothing_more_happens(practice: &Practice) {
    practice.range.with(|state| state.agenda.clear());
}

/// How the story ended: when it was released, how often the release was tried, how often the user was evicted.
struct Ended {
    tries: usize,
    evictions: usize,
    refused: usize,
}

async fn attacker_waits(hours: &Hours) -> Ended {
    let practice = hours.practice();
    let (id, proven) = contained(&practice, hours).await;
    practice.range.with(|state| hours.arrange(state, proven));
    practice.range.advance(minutes(hours.evicted_after));
    practice.evict(&id).await;
    let (mut tries, mut evictions, mut open) = (0, 1, 0);
    loop {
        practice.range.advance(minutes(hours.tried_every));
        while practice.range.with(|state| soon(state)) {
            practice.range.advance(minutes(11));
        }
        if hours.evicted_again.contains(&tries) {
            practice.evict(&id).await;
            evictions += 1;
        }
        tries += 1;
        assert!(tries < 500, "it is never released");
        let ran = practice.quell(&format!("release {id} --yes")).await;
        if ran.exit == Exit::Done {
            break;
        }
        let ran = ran.expect(Exit::Refused);
        if !ran.err.contains("to new sessions") {
            continue;
        }
        open += 1;
        if open > hours.looks_away {
            // Whoever notices ends it at the source first, and then here.
            nothing_more_happens(&practice);
            practice.evict(&id).await;
            evictions += 1;
        }
    }
    let released = practice.range.now();
    nothing_more_happens(&practice);
    practice.range.advance(SignedDuration::from_hours(13));
    let answered = answered_after(&practice, proven);
    assert_eq!(
        answered.first(),
        None,
        "the first of {}; released {:?}",
        answered.len(),
        released
    );
    let refused = refused_after(&practice, proven);
    Ended {
        tries,
        evictions,
        refused,
    }
}

#[test]
fn an_attacker_at_the_portal_gets_nothing_through_however_the_hours_go() {
    let mut runner = runner(16);
    let cases = runner.config().cases;
    let totals = Cell::new((0, 0, 0));
    runner
        .run(&hours(), |hours| {
            let ended = wait_for(attacker_waits(&hours));
            assert!(ended.refused > 0, "nobody tried");
            let (tries, evictions, refused) = totals.get();
            totals.set((
                tries + ended.tries,
                evictions + ended.evictions,
                refused + ended.refused,
            ));
            Ok(())
        })
        .unwrap();
    let (tries, evictions, refused) = totals.get();
    println!(
        "{cases} courses of hours: {tries} releases tried, {evictions} evictions, {refused} calls refused, none allowed"
    );
    assert!(tries > evictions);
}

/// The same, but somebody counts from the proof, and forces: what gets through then.
async fn clock_from_the_proof(hours: &Hours) -> usize {
    let practice = hours.practice();
    let (id, proven) = contained(&practice, hours).await;
    practice.range.advance(minutes(hours.evicted_after));
    practice.evict(&id).await;
    let longest = match hours.entitled {
        true => 12,
        false => hours
            .durations
            .iter()
            .map(|drawn| DURATIONS[*drawn].1)
            .max()
            .unwrap(),
    };
    let until = proven + SignedDuration::from_hours(longest) + minutes(30);
    let left = until.duration_since(practice.range.now());
    practice.range.advance(left.max(SignedDuration::ZERO));
    practice
        .quell(&format!("release {id} --yes --force"))
        .await
        .expect(Exit::Done);
    practice.range.advance(SignedDuration::from_hours(13));
    answered_after(&practice, proven).len()
}

#[test]
fn a_clock_that_began_with_the_proof_would_let_them_through() {
    let mut runner = runner(6);
    let cases = runner.config().cases;
    let through = Cell::new((0, 0));
    // Whoever evicts within the margin is late by no more than it.
    let late = hours().prop_filter("evicted late", |hours| hours.evicted_after > 60);
    runner
        .run(&late, |hours| {
            let calls = wait_for(clock_from_the_proof(&hours));
            let (stories, all) = through.get();
            through.set((stories + usize::from(calls > 0), all + calls));
            Ok(())
        })
        .unwrap();
    let (stories, calls) = through.get();
    println!("in {stories} of {cases} stories {calls} calls would get through");
    assert!(stories > 0 && calls > 0);
}
