//! An incident from its containment to the release, against attackers who try what real ones would. Graded from inside the
//! range: what counts is whether a call of theirs was answered.

use jiff::{SignedDuration, Timestamp};
use quell::cli::exit::Exit;
use quell::ids::*;
use quell::range::build::HERO;
use quell::range::clock::{Ended, Sync, What};
use quell::range::state::{Assignment, State, Wrong};
use serde_json::Value;

use crate::practice::Practice;

/// An organization where everybody calls by themselves, the attacker at the portal, too.
fn alive(arrange: impl FnOnce(&mut quell::range::build::Blueprint)) -> Practice {
    Practice::with(|blueprint| {
        blueprint.alive = true;
        blueprint.extras.portal = true;
        arrange(blueprint);
    })
}

/// The hero's id.
pub(crate) fn hero(state: &State) -> UserId {
    let mut users = state.directory.users.iter();
    users
        .find(|(_, user)| user.username == HERO)
        .map(|(id, _)| id.clone())
        .unwrap()
}

/// Contains; the incident, and when it was proven.
async fn contained(practice: &Practice) -> (String, Timestamp) {
    let report = practice
        .quell(&format!("contain {HERO} --yes --output json"))
        .await
        .json();
    let id = report["incident"].as_str().unwrap().to_owned();
    let status = practice
        .quell(&format!("status {id} --output json"))
        .await
        .json();
    let proven = status["incidents"][0]["proven"].as_str().unwrap();
    (id, proven.parse().unwrap())
}

/// The attacker's calls that were answered after a moment, in member accounts.
pub(crate) fn answered_after(practice: &Practice, moment: Timestamp) -> Vec<String> {
    practice.range.with(|state| {
        let sightings = state.seen.iter().filter(|sighting| {
            sighting.at > moment
                && sighting.ended == Ended::Allowed
                && state.actors[sighting.actor].attacker
        });
        sightings
            .map(|sighting| format!("{} at {}", state.actors[sighting.actor].name, sighting.at))
            .collect()
    })
}

/// How often the attacker was refused after a moment.
pub(crate) fn refused_after(practice: &Practice, moment: Timestamp) -> usize {
    practice.range.with(|state| {
        let refused = |sighting: &&quell::range::clock::Sighting| {
            sighting.at > moment
                && sighting.ended == Ended::Refused
                && state.actors[sighting.actor].attacker
        };
        state.seen.iter().filter(refused).count()
    })
}

/// The release is refused with these words.
async fn refused(practice: &Practice, id: &str, words: &str) {
    practice
        .quell(&format!("release {id} --yes"))
        .await
        .expect(Exit::Refused)
        .says(words);
}

async fn released(practice: &Practice, id: &str) {
    practice
        .quell(&format!("release {id} --yes"))
        .await
        .expect(Exit::Done);
    practice.range.advance(SignedDuration::from_hours(14));
}

#[tokio::test]
async fn a_portal_session_that_mints_under_the_deny_gets_nothing_through_then_or_later() {
    let practice = alive(|_| {});
    let (id, proven) = contained(&practice).await;
    // Hours pass before anybody evicts; sessions are minted all the time.
    practice.range.advance(SignedDuration::from_hours(5));
    let before = practice.range.with(|state| state.sessions.len());
    refused(&practice, &id, "never closed").await;
    practice.evict(&id).await;
    assert!(
        before > 60,
        "{before} sessions: the attacker minted none, so nothing is shown"
    );
    // Twelve and a half hours after the *eviction*, and not after the proof.
    practice.range.advance(SignedDuration::from_hours(8));
    refused(&practice, &id, "may still be alive").await;
    practice.range.advance(SignedDuration::from_hours(5));
    released(&practice, &id).await;
    assert_eq!(answered_after(&practice, proven), Vec::<String>::new());
    assert!(refused_after(&practice, proven) > 1000);
}

#[tokio::test]
async fn what_a_session_from_the_portal_would_do_if_the_clock_began_with_the_proof() {
    // The story above, with the wait counted from the proof: what R18 forbids. It must go wrong, or the story shows nothing.
    let practice = alive(|_| {});
    let (id, proven) = contained(&practice).await;
    practice.range.advance(SignedDuration::from_hours(5));
    practice.evict(&id).await;
    practice.range.advance(SignedDuration::from_hours(8));
    practice
        .quell(&format!("release {id} --yes --force"))
        .await
        .expect(Exit::Done);
    practice.range.advance(SignedDuration::from_hours(1));
    assert!(!answered_after(&practice, proven).is_empty());
}

#[tokio::test]
async fn what_an_identity_provider_puts_back_closes_the_gate_until_it_is_gone_for_good() {
    let practice = alive(|blueprint| blueprint.extras.external = true);
    let (id, proven) = contained(&practice).await;
    practice.range.with(|state| {
        let hero = hero(state);
        let groups = state.directory.users[&hero].groups.clone();
        let memberships = groups.into_iter().map(|group| (hero.clone(), group));
        let sync = Sync {
            every: SignedDuration::from_hours(2),
            memberships: memberships.collect(),
        };
        state.later(state.now + SignedDuration::from_hours(2), What::Sync(sync));
    });
    practice
        .quell(&format!("evict {id} --yes"))
        .await
        .expect(Exit::Done)
        .says("An identity provider keeps this user");
    practice.range.advance(SignedDuration::from_hours(13));
    let due = practice
        .quell("release --due --yes")
        .await
        .expect(Exit::Partly)
        .says("2 ways to new sessions are open");
    assert!(due.err.contains("The wait was stopped"), "{}", due.err);
    // And it is not forgotten when the provider takes them out again: what was minted meanwhile lives on.
    refused(&practice, &id, "never closed").await;
    // Somebody takes them out there, and then here again: the wait begins anew.
    practice.range.with(|state| {
        state
            .agenda
            .retain(|_, what| !matches!(what, What::Sync(_)));
    });
    practice.evict(&id).await;
    refused(&practice, &id, "may still be alive").await;
    practice.range.advance(SignedDuration::from_hours(13));
    released(&practice, &id).await;
    assert_eq!(answered_after(&practice, proven), Vec::<String>::new());
}

#[tokio::test]
async fn a_permission_set_raised_and_an_assignment_given_meanwhile_move_and_close_the_gate() {
    let practice = alive(|_| {});
    // Only sets of four hours at most, so that there is something to raise.
    let set = practice.range.with(|state| {
        let power = |set: &&quell::range::state::PermissionSet| set.name == "PowerUserAccess";
        let set = state.directory.sets.values_mut().find(|set| power(&&**set));
        set.unwrap().duration = Some("PT2H".to_owned());
        let mut sets = state.directory.sets.iter();
        let (arn, _) = sets
            .find(|(_, set)| set.name == "AdministratorAccess")
            .unwrap();
        arn.clone()
    });
    let (id, _) = contained(&practice).await;
    practice.evict(&id).await;
    practice.range.advance(SignedDuration::from_hours(1));
    refused(
        &practice,
        &id,
        "4h from permission set AdministratorAccess, read twice",
    )
    .await;
    practice.range.with(|state| {
        let raised = What::SetDuration(set.clone(), "PT12H".to_owned());
        state.later(state.now, raised);
    });
    practice.range.advance(SignedDuration::from_hours(4));
    refused(&practice, &id, "more than the 4h when it was contained").await;
    practice.range.with(|state| {
        let member = |account: &&AccountId| **account != state.management;
        let account = state.accounts.keys().find(member).unwrap().clone();
        let given = Assignment {
            account,
            set: set.clone(),
            kind: "USER",
            principal: hero(state).to_string(),
        };
        state.later(state.now, What::AddAssignment(given));
    });
    practice.range.advance(SignedDuration::from_hours(13));
    refused(&practice, &id, "one way to new sessions is open").await;
    practice.evict(&id).await;
    practice.range.advance(SignedDuration::from_hours(13));
    released(&practice, &id).await;
}

#[tokio::test]
async fn the_management_account_is_named_until_the_permission_sets_there_refuse_them() {
    let practice = alive(|blueprint| {
        blueprint.extras.management = true;
        blueprint.extras.portal = false;
    });
    let ran = practice
        .quell(&format!("contain {HERO} --yes"))
        .await
        .expect(Exit::GettingThrough)
        .says("NOT CONTAINED in the management account 111122223333");
    assert!(ran.out.contains("--management"), "{}", ran.out);
    let id = practice.incident().await;
    let key = practice.range.with(|state| {
        let mut sessions = practice.built.hero_sessions.iter();
        let there = sessions.find(|(account, _, _)| *account == state.management);
        there.unwrap().1.clone()
    });
    assert_eq!(practice.call_as(&key), 200, "no SCP reaches it");
    // The set's inline policy is somebody's, and stays so.
    let theirs = r#"{ "Version":"2012-10-17", "Statement":[{"Sid":"Theirs","Effect":"Deny","Action":"iam:CreateUser","Resource":"*"}] }"#;
    practice.range.with(|state| {
        let set = state
            .directory
            .sets
            .values_mut()
            .find(|set| set.name == "AdministratorAccess")
            .unwrap();
        set.inline = Some(quell::range::state::Inline::parse(theirs).unwrap());
        // A group has it there, too, so the role stays when the hero's assignment goes.
        let of_hero = |assignment: &&Assignment| assignment.account == state.management;
        let of_hero = state
            .directory
            .assignments
            .iter()
            .find(of_hero)
            .unwrap()
            .clone();
        let mut groups = state.directory.groups.iter();
        let (group, _) = groups.find(|(_, name)| *name == "administrators").unwrap();
        state.directory.assignments.push(Assignment {
            kind: "GROUP",
            principal: group.to_string(),
            ..of_hero
        });
    });
    // Closing the ways is not enough: the session there lives on, because a group still has the set in that account.
    let ran = practice
        .quell(&format!("evict {id} --yes"))
        .await
        .expect(Exit::GettingThrough);
    assert!(ran.out.contains("NOT CONTAINED"), "{}", ran.out);
    assert_eq!(practice.call_as(&key), 200);
    practice
        .quell(&format!("evict {id} --yes --management"))
        .await
        .expect(Exit::Done)
        .says("refuses them in the management account");
    assert_eq!(practice.call_as(&key), 403, "a running session is refused");
    let inline = inline_of_administrators(&practice).unwrap();
    assert!(
        inline.contains(
            r#"{"Sid":"Theirs","Effect":"Deny","Action":"iam:CreateUser","Resource":"*"}"#
        ),
        "{inline}"
    );
    let status = practice.quell("status").await.expect(Exit::Done);
    assert!(!status.out.contains("NOT CONTAINED"), "{}", status.out);
    practice.range.advance(SignedDuration::from_hours(13));
    released(&practice, &id).await;
    assert_eq!(inline_of_administrators(&practice).as_deref(), Some(theirs));
}

fn inline_of_administrators(practice: &Practice) -> Option<String> {
    practice.range.with(|state| {
        let mut sets = state.directory.sets.values();
        let set = sets.find(|set| set.name == "AdministratorAccess").unwrap();
        set.inline.as_ref().map(|inline| inline.text.clone())
    })
}

#[tokio::test]
async fn a_delegated_administrator_is_told_before_anything_is_changed() {
    let practice = alive(|blueprint| {
        blueprint.extras.management = true;
        blueprint.extras.portal = false;
    });
    practice.quell(&format!("contain {HERO} --yes")).await;
    let id = practice.incident().await;
    let security = AccountId::parse("333344445555").unwrap();
    practice.range.with(|state| {
        state.delegated.insert(security.clone());
    });
    let mut session = practice.operator_session();
    session.account = security;
    practice.signs_with("AKIADELEGATED", session);
    let before = practice.mutations().len();
    practice
        .quell(&format!("evict {id} --yes --management"))
        .await
        .expect(Exit::Refused)
        .says("can be changed from there alone")
        .says("Nothing was changed.");
    assert_eq!(practice.mutations().len(), before);
}

#[tokio::test]
async fn the_person_works_again_in_fresh_sessions_while_old_tokens_stay_dead() {
    let practice = alive(|_| {});
    let (id, proven) = contained(&practice).await;
    let readmit = format!("readmit {id} --sessions-after now --restore --yes");
    practice
        .quell(&readmit)
        .await
        .expect(Exit::Refused)
        .says("never closed");
    practice.evict(&id).await;
    practice
        .quell(&readmit)
        .await
        .expect(Exit::Refused)
        .says("portal-sessions, credentials")
        .says("--attest portal-sessions --attest credentials");
    // They are done in the console: the attacker's portal session is over.
    practice.range.with(|state| state.portals.clear());
    practice
        .quell(&format!(
            "evict {id} --yes --attest portal-sessions --attest credentials --by alice"
        ))
        .await
        .expect(Exit::Done);
    let report = practice
        .quell(&format!("{readmit} --output json"))
        .await
        .expect(Exit::Done)
        .json();
    assert_eq!(
        (&report["newer_allowed"], &report["older_refused"]),
        (&Value::Bool(true), &Value::Bool(true)),
        "{report}"
    );
    // The person signs in at the portal, and works.
    let fresh = practice.range.with(|state| {
        let hero = hero(state);
        state
            .portals
            .insert("signed-in-again".to_owned(), hero.clone());
        let way = state.ways_of(&hero).into_iter().next().unwrap();
        state.mint_on(&hero, &way).unwrap()
    });
    assert_eq!(practice.call_as(&fresh), 200);
    for (_, key, _) in &practice.built.hero_sessions {
        let refused = practice.call_as(key);
        let account = practice
            .range
            .with(|state| state.sessions[key].account.clone());
        assert!(
            refused != 200 || account.as_str() == "111122223333",
            "{account}"
        );
    }
    practice
        .quell("status")
        .await
        .expect(Exit::Done)
        .says("readmitted in sessions issued from");
    refused(&practice, &id, "may still be alive").await;
    practice.range.advance(SignedDuration::from_hours(13));
    released(&practice, &id).await;
    assert_eq!(answered_after(&practice, proven), Vec::<String>::new());
}

#[tokio::test]
async fn a_request_that_team_has_scheduled_closes_the_gate_until_it_is_revoked() {
    let practice = alive(|blueprint| blueprint.extras.team = true);
    let (id, proven) = contained(&practice).await;
    practice
        .quell(&format!("evict {id} --yes"))
        .await
        .expect(Exit::Done)
        .says("scheduled")
        .says("As group developers they may ask TEAM for PowerUserAccess in dev; somebody must approve.")
        .says("no automatic release while it is")
        .says("As user test-user they may ask TEAM for AdministratorAccess, ReadOnlyAccess in sandbox; somebody must approve. Take it away in TEAM");
    practice.range.advance(SignedDuration::from_hours(2));
    refused(&practice, &id, "TEAM may give access again").await;
    practice.goes_wrong("dynamodb:UpdateItem", 1, Wrong::LoseAnswer);
    practice
        .quell(&format!("evict {id} --yes --revoke-team"))
        .await
        .expect(Exit::Done);
    practice.range.advance(SignedDuration::from_hours(13));
    released(&practice, &id).await;
    assert_eq!(answered_after(&practice, proven), Vec::<String>::new());
}

#[tokio::test]
async fn what_team_gave_for_a_time_is_closed_and_not_given_back_for_good() {
    let practice = alive(|blueprint| {
        blueprint.extras.team = true;
        blueprint.extras.portal = false;
    });
    let before = practice.range.with(|state| state.identity_center());
    // The scheduled request has begun when the attack is seen.
    practice.range.advance(SignedDuration::from_hours(3));
    practice.range.advance(SignedDuration::from_mins(5));
    let with_grant = practice.range.with(|state| state.identity_center());
    assert_ne!(with_grant, before, "TEAM has given access");
    let (id, _) = contained(&practice).await;
    practice
        .quell(&format!(
            "evict {id} --yes --revoke-team --attest portal-sessions --attest credentials --by alice"
        ))
        .await
        .expect(Exit::Done)
        .says("permission set AdministratorAccess in account 444455556666");
    practice.range.advance(SignedDuration::from_hours(13));
    practice
        .quell(&format!("release {id} --yes --restore"))
        .await
        .expect(Exit::Done);
    assert_eq!(practice.range.with(|state| state.identity_center()), before);
}

#[tokio::test]
async fn a_table_of_teams_that_cannot_be_read_keeps_nothing_open_and_the_release_shut() {
    let practice = alive(|blueprint| {
        blueprint.extras.team = true;
        blueprint.extras.portal = false;
    });
    let (id, _) = contained(&practice).await;
    // It is in an account that the operator cannot look into.
    let table = practice.range.with(|state| {
        let team = state.team.as_mut().unwrap();
        team.account = AccountId::parse("333344445555").unwrap();
        team.table.clone()
    });
    practice
        .quell(&format!("evict {id} --yes --team-table {table}"))
        .await
        .expect(Exit::Done)
        .says("cannot be read")
        .says("is evicted");
    practice.range.advance(SignedDuration::from_hours(13));
    refused(&practice, &id, "could not be read").await;
    practice
        .quell(&format!("evict {id} --yes --attest no-way-left --by alice"))
        .await
        .expect(Exit::Done);
    released(&practice, &id).await;
}
