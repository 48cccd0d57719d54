//! The access portal and whoever keeps a session of it: what they get, and what ends it (aws-facts §2, §10).

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use quell::ids::*;
use quell::range::build::HERO;
use quell::range::clock::What;
use quell::range::portal::Way;
use quell::range::state::{Assignment, Ended, State};
use serde_json::{Value, json};

use crate::practice::Practice;

const HOURS: fn(i64) -> SignedDuration = SignedDuration::from_hours;

fn hero(state: &State) -> UserId {
    let mut users = state.directory.users.iter();
    let (id, _) = users.find(|(_, user)| user.username == HERO).unwrap();
    id.clone()
}

fn token(practice: &Practice) -> String {
    let mut tokens = practice
        .range
        .with(|state| state.portals.clone())
        .into_keys();
    tokens.next().unwrap()
}

fn ask(practice: &Practice, token: &str, path: &str) -> (u16, Value) {
    let request = http::Request::get(path)
        .header("x-amz-sso_bearer_token", token)
        .body(Bytes::new())
        .unwrap();
    let answer = practice.range.answer(&request).unwrap();
    let body = serde_json::from_slice(answer.body()).unwrap();
    (answer.status().as_u16(), body)
}

/// Takes everything away that the hero has of their own or by a group.
fn evict(state: &mut State) {
    let id = hero(state);
    let own: Vec<Assignment> = state
        .directory
        .assignments
        .iter()
        .filter(|it| it.principal == id.as_str())
        .cloned()
        .collect();
    for assignment in own {
        state.unassign(&assignment);
    }
    state.directory.users.get_mut(&id).unwrap().groups.clear();
    let entitlements = &mut state.access.entitlements;
    entitlements.retain(|_, it| it.principal != id.as_str());
}

/// The moments at which the portal's attacker was answered, or not.
fn seen(practice: &Practice, ended: Ended) -> Vec<Timestamp> {
    practice.range.with(|state| {
        let mut actors = state.actors.iter();
        let who = actors.position(|actor| actor.portal.is_some()).unwrap();
        let seen = state.seen.iter();
        seen.filter(|it| it.actor == who && it.ended == ended)
            .map(|it| it.at)
            .collect()
    })
}

#[test]
fn the_portal_gives_sessions_of_what_somebody_has_at_that_moment() {
    let practice = Practice::with(|blueprint| {
        blueprint.extras.portal = true;
        blueprint.extras.entitled = true;
    });
    let token = token(&practice);
    let (status, accounts) = ask(&practice, &token, "/assignment/accounts");
    assert_eq!(status, 200);
    assert_eq!(accounts["accountList"].as_array().unwrap().len(), 12);
    let (_, roles) = ask(
        &practice,
        &token,
        "/assignment/roles?account_id=123456789012",
    );
    let mut names: Vec<&str> = roles["roleList"]
        .as_array()
        .unwrap()
        .iter()
        .map(|role| role["roleName"].as_str().unwrap())
        .collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "AdministratorAccess",
            "PowerUserAccess",
            "ReadOnlyAccess",
            "incident-tooling"
        ]
    );
    let get = |role: &str| {
        let path = format!("/federation/credentials?role_name={role}&account_id=123456789012");
        ask(&practice, &token, &path)
    };
    for (role, hours) in [
        ("PowerUserAccess", 12),
        ("AdministratorAccess", 4),
        ("incident-tooling", 12),
    ] {
        let (status, given) = get(role);
        assert_eq!(status, 200, "{given}");
        let given = &given["roleCredentials"];
        let key = given["accessKeyId"].as_str().unwrap();
        assert_eq!(practice.call_as(key), 200);
        let (name, user, now) = practice.range.with(|state| {
            let session = &state.sessions[key];
            (
                session.user_id.clone(),
                session.directory_user.clone(),
                state.now,
            )
        });
        assert!(name.ends_with(":test-user"), "{name}");
        assert_eq!(user, Some(practice.range.with(|state| hero(state))));
        let until = given["expiration"].as_i64().unwrap();
        assert_eq!(until, (now + HOURS(hours)).as_millisecond());
    }
    assert_eq!(get("NoSuchAccess").0, 403);
    // Disabled, they lose nothing.
    practice.range.with(|state| {
        let id = hero(state);
        state.directory.users.get_mut(&id).unwrap().disabled = true;
    });
    assert_eq!(get("PowerUserAccess").0, 200);
    practice.range.with(evict);
    assert_eq!(get("PowerUserAccess").0, 403);
    assert_eq!(
        ask(&practice, &token, "/assignment/accounts").1["accountList"],
        json!([])
    );
}

#[test]
fn a_portal_session_ends_with_its_user_or_by_itself() {
    let practice = Practice::with(|blueprint| blueprint.extras.portal = true);
    let token = token(&practice);
    assert_eq!(
        ask(&practice, "somebody-elses", "/assignment/accounts").0,
        401
    );
    let (id, way) = practice.range.with(|state| {
        let id = hero(state);
        let way = state.ways_of(&id).swap_remove(0);
        (id, way)
    });
    let key = practice
        .range
        .with(|state| state.mint_on(&id, &way))
        .unwrap();
    let user = practice
        .range
        .with(|state| state.directory.users.remove(&id))
        .unwrap();
    assert_eq!(ask(&practice, &token, "/assignment/accounts").0, 401);
    assert_eq!(practice.range.with(|state| state.mint_on(&id, &way)), None);
    assert_eq!(
        practice.call_as(&key),
        200,
        "the role session is another matter"
    );
    practice
        .range
        .with(|state| state.directory.users.insert(id.clone(), user));
    let out = http::Request::post("/logout")
        .header("x-amz-sso_bearer_token", &token)
        .body(Bytes::new())
        .unwrap();
    assert_eq!(practice.range.answer(&out).unwrap().status(), 200);
    assert_eq!(ask(&practice, &token, "/assignment/accounts").0, 401);
    assert_eq!(practice.range.with(|state| state.mint_on(&id, &way)), None);
    let Way::Set(account, set) = &way else {
        panic!("the first way is an assignment");
    };
    let portal = practice
        .range
        .with(|state| state.mint_by_portal(&id, account, set));
    assert_eq!(portal, None);
    assert_eq!(practice.call_as(&key), 200);
}

#[test]
fn a_kept_portal_session_outlives_every_session_it_gave() {
    let practice = Practice::with(|blueprint| {
        blueprint.extras.portal = true;
        blueprint.extras.entitled = true;
        blueprint.extras.management = true;
    });
    let (start, many) = practice
        .range
        .with(|state| (state.now, state.sessions.len()));
    practice.range.advance(HOURS(14));
    let allowed = seen(&practice, Ended::Allowed);
    assert!(
        *allowed.last().unwrap() > start + HOURS(13),
        "no session lives that long"
    );
    assert_eq!(seen(&practice, Ended::Refused), []);
    // One session for each way, whatever they did before.
    let (ways, held, now_many) = practice.range.with(|state| {
        let ways = state.ways_of(&hero(state)).len();
        (ways, state.actors[0].held.len(), state.sessions.len())
    });
    assert_eq!((held, now_many), (ways, many + ways));

    practice.range.with(evict);
    let evicted = practice.range.now();
    practice.range.advance(HOURS(14));
    // What was given out before goes on, and nothing new comes.
    let last = *seen(&practice, Ended::Allowed).last().unwrap();
    assert!(last > evicted + HOURS(11), "{last}");
    assert!(last < evicted + HOURS(12), "{last}");
    assert_eq!(practice.range.with(|state| state.actors[0].held.len()), 0);
    // One forgotten door, and they are back.
    practice.range.with(|state| {
        let assignment = Assignment {
            account: AccountId::parse("222233334444").unwrap(),
            set: state.directory.sets.keys().next().unwrap().clone(),
            kind: "USER",
            principal: hero(state).to_string(),
        };
        state.later(state.now + HOURS(1), What::AddAssignment(assignment));
    });
    let before = practice.range.now();
    practice.range.advance(HOURS(2));
    assert!(*seen(&practice, Ended::Allowed).last().unwrap() > before + HOURS(1));
}

#[test]
fn who_keeps_a_portal_session_keeps_what_lives_longest() {
    let practice = Practice::with(|blueprint| blueprint.extras.portal = true);
    practice.range.advance(HOURS(1));
    practice.range.with(|state| {
        for set in state.directory.sets.values_mut() {
            set.duration = Some("PT1H".to_owned());
        }
    });
    let cut = practice.range.now();
    practice.range.advance(HOURS(1));
    practice.range.with(|state| state.portals.clear());
    practice.range.advance(HOURS(13));
    let last = *seen(&practice, Ended::Allowed).last().unwrap();
    assert!(last > cut + HOURS(11), "{last}");
}

#[test]
fn options_change_nothing_for_those_who_do_not_ask_for_them() {
    let plain = Practice::new();
    let more = Practice::with(|blueprint| {
        blueprint.extras.portal = true;
        blueprint.extras.entitled = true;
        blueprint.extras.external = true;
        blueprint.extras.management = true;
    });
    let center = |practice: &Practice| practice.range.with(|state| state.identity_center());
    let (before, after) = (center(&plain), center(&more));
    assert_eq!(before["users"], after["users"]);
    assert_eq!(before["sets"], after["sets"]);
    let count = |center: &Value, of: &str| center[of].as_array().unwrap().len();
    assert_eq!(
        count(&after, "assignments"),
        count(&before, "assignments") + 1
    );
    assert_eq!(
        (
            count(&before, "entitlements"),
            count(&after, "entitlements")
        ),
        (0, 2)
    );
    let keys = |practice: &Practice| practice.range.with(|state| state.sessions.clone());
    let management = plain.built.hero_sessions.last().unwrap();
    for key in keys(&plain).keys().filter(|key| **key != management.1) {
        assert!(keys(&more).contains_key(key), "{key}");
    }
    let (account, key, _) = more.built.hero_sessions.last().unwrap();
    assert_eq!(*account, management.0);
    let session = keys(&more)[key].clone();
    assert!(session.directory_user.is_some());
    assert_eq!(more.call_as(key), 200);
}

#[test]
fn a_snapshot_of_identity_center_sees_every_change_and_no_new_ids() {
    let practice = Practice::with(|blueprint| blueprint.extras.entitled = true);
    let center = || practice.range.with(|state| state.identity_center());
    let before = center();
    let (id, group, role) = practice.range.with(|state| {
        let id = hero(state);
        let mut groups = state.directory.users[&id].groups.iter();
        let group = groups.next().unwrap().clone();
        (id, group, state.access.entitlements.clone())
    });
    let assignment = practice
        .range
        .with(|state| state.directory.assignments[0].clone());
    let changes: [fn(&mut State, &UserId, &GroupId, &Assignment); 4] = [
        |state, _, _, assignment| assert!(state.unassign(assignment)),
        |state, id, group, _| {
            let user = state.directory.users.get_mut(id).unwrap();
            assert!(user.groups.remove(group));
        },
        |state, _, _, _| state.access.entitlements.clear(),
        |state, _, _, assignment| {
            let inline = quell::range::state::Inline::parse(
                r#"{"Statement":{"Effect":"Deny","Action":"*","Resource":"*"}}"#,
            );
            let set = state.directory.sets.get_mut(&assignment.set).unwrap();
            set.inline = Some(inline.unwrap());
        },
    ];
    for change in changes {
        practice
            .range
            .with(|state| change(state, &id, &group, &assignment));
        assert_ne!(center(), before);
        practice.range.with(|state| {
            let set = state.directory.sets.get_mut(&assignment.set).unwrap();
            set.inline = None;
            state.assign(assignment.clone());
            let user = state.directory.users.get_mut(&id).unwrap();
            user.groups.insert(group.clone());
            for (number, entitlement) in role.values().enumerate() {
                let id = format!("new-{number}");
                state.access.entitlements.insert(id, entitlement.clone());
            }
        });
        assert_eq!(center(), before);
    }
}
