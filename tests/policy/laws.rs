//! What must hold of the deny, for every identity of every kind.

use std::cell::RefCell;

use jiff::Timestamp;
use proptest::prelude::*;
use quell::facts::{ArmedPolicy, PolicySummary};
use quell::ids::*;
use quell::incident::armed::{self, Ledger};
use quell::incident::{Home, Incident};
use quell::policy::document::Document;
use quell::policy::evaluate::{Decision, Level, Request, evaluate};
use quell::policy::lint::mistakes;
use quell::policy::pattern::{Context, Folded, Glob, Pattern, Rules};
use quell::policy::{
    self, ASSUMED_ROOT, MOST_CHARACTERS, NoDraft, PRINCIPAL_ARN, SOURCE_IDENTITY, TOKEN_ISSUE_TIME,
    USER_ID, USERID,
};
use quell::principal::{FederatedUser, Identity};
use serde_json::Value;

use crate::agreement::Tally;
use crate::cases::{self, Reach, document, identity, person, request_near, runner, username};

fn incident(number: u8) -> IncidentId {
    IncidentId::from_bytes([0, 0, number])
}

type Keys = Vec<(&'static str, String)>;

fn decide(documents: &[&Document], keys: &Keys) -> Decision {
    let full = Document::allow_all();
    let policies = documents.iter().map(|document| ("deny", *document));
    let levels = [Level {
        name: "root".to_owned(),
        policies: policies.chain([("FullAWSAccess", &full)]).collect(),
    }];
    let request = Request::new("s3:ListAllMyBuckets", "*", keys.iter().cloned());
    evaluate(&request, &levels).decision
}

/// Whether a request is an identity's, said once more without any policy: the table of design §5.
pub(crate) fn is_of(identity: &Identity, keys: &Keys) -> bool {
    let get = |key: &str| {
        let found = keys.iter().find(|(name, _)| *name == key);
        found.map(|(_, value)| value.as_str())
    };
    let userid = get(USERID).unwrap();
    let federated = |user: &FederatedUser| userid == format!("{}:{}", user.account, user.name);
    let in_a_role = |name: &SessionName| {
        let (_, session) = userid.rsplit_once(':').unwrap_or_default();
        session == name.as_str() && userid.contains(':')
    };
    let sourced = |name: &SessionName| get(SOURCE_IDENTITY) == Some(name.as_str());
    match identity {
        Identity::IdentityCenterUser {
            user_id,
            session_names,
        } => {
            user_id
                .as_ref()
                .is_some_and(|id| get(USER_ID) == Some(id.as_str()))
                || session_names
                    .iter()
                    .any(|name| in_a_role(name) || sourced(name))
        }
        Identity::RoleSession {
            role,
            session,
            source_identity,
        } => userid == format!("{role}:{session}") || source_identity.as_ref().is_some_and(sourced),
        Identity::RoleBefore { role, before } => {
            let issued: Option<jiff::Timestamp> =
                get(TOKEN_ISSUE_TIME).map(|time| time.parse().unwrap());
            userid
                .split_once(':')
                .is_some_and(|(own, _)| own == role.as_str())
                && issued.is_some_and(|issued| issued < *before)
        }
        Identity::IamUser {
            user,
            name,
            federated: others,
        } => {
            user.as_ref().is_some_and(|user| userid == user.as_str())
                || name
                    .as_ref()
                    .is_some_and(|name| in_a_role(name) || sourced(name))
                || others.iter().any(federated)
        }
        Identity::Root { partition, account } => {
            get(PRINCIPAL_ARN) == Some(&format!("arn:{partition}:iam::{account}:root"))
                && get(ASSUMED_ROOT).is_none()
        }
        Identity::FederatedUser(user) => federated(user),
    }
}

fn hold<S: Strategy>(cases: u32, of: S, law: impl Fn(S::Value) -> Result<(), TestCaseError>) {
    let held = runner(7, cases).run(&of, law);
    held.unwrap_or_else(|broken| panic!("{broken}"));
}

#[test]
fn a_deny_refuses_every_session_of_its_identity() {
    hold(2_000, identity(), |identity| {
        let document = policy::draft(&incident(1), [&identity]).unwrap();
        let elsewhere = SessionName::parse("somebody-else").unwrap();
        for (what, keys) in policy::sessions_of(&identity, &elsewhere) {
            prop_assert_eq!(
                decide(&[&document], &keys),
                Decision::ExplicitDeny,
                "{}",
                what
            );
        }
        Ok(())
    });
}

#[test]
fn a_deny_refuses_nobody_who_differs_in_one_character_or_in_case() {
    let tally = RefCell::new(Tally::default());
    let drawn =
        identity().prop_flat_map(|identity| (Just(identity.clone()), request_near(identity)));
    hold(8_000, drawn, |(identity, keys)| {
        let document = policy::draft(&incident(1), [&identity]).unwrap();
        let expected = if is_of(&identity, &keys) {
            Decision::ExplicitDeny
        } else {
            Decision::Allow
        };
        prop_assert_eq!(decide(&[&document], &keys), expected);
        tally.borrow_mut().count(if expected == Decision::Allow {
            "spared"
        } else {
            "refused"
        });
        Ok(())
    });
    let tally = tally.into_inner();
    assert!(
        tally.of("spared") > 50 && tally.of("refused") > 50,
        "{tally:?}"
    );
}

#[test]
fn several_in_one_document_are_refused_as_each_would_be_alone() {
    let drawn = (
        prop::collection::vec(identity(), 1..6),
        any::<prop::sample::Index>(),
    )
        .prop_flat_map(|(several, which)| {
            let one = which.get(&several).clone();
            (Just(several), request_near(one))
        });
    hold(2_000, drawn, |(several, keys)| {
        let together = policy::draft(&incident(1), &several).unwrap();
        let alone: Vec<Document> = several
            .iter()
            .map(|identity| policy::draft(&incident(1), [identity]).unwrap())
            .collect();
        let alone: Vec<&Document> = alone.iter().collect();
        // Adding somebody never lets another through, and never refuses a third.
        prop_assert_eq!(decide(&[&together], &keys), decide(&alone, &keys));
        Ok(())
    });
}

#[test]
fn releasing_one_incident_leaves_the_other_as_if_it_had_been_alone() {
    let drawn = (identity(), identity()).prop_flat_map(|(a, b)| {
        let keys = prop_oneof![request_near(a.clone()), request_near(b.clone())];
        (Just(a), Just(b), keys)
    });
    hold(2_000, drawn, |(a, b, keys)| {
        let of_a = policy::draft(&incident(1), [&a]).unwrap();
        let of_b = policy::draft(&incident(2), [&b]).unwrap();
        // Two policies, two incidents: what is left after taking one away is the other's document, to the letter, and
        // no Sid of one is a Sid of the other.
        let refused = is_of(&a, &keys) || is_of(&b, &keys);
        prop_assert_eq!(
            decide(&[&of_a, &of_b], &keys) == Decision::ExplicitDeny,
            refused
        );
        prop_assert_eq!(
            decide(&[&of_b], &keys) == Decision::ExplicitDeny,
            is_of(&b, &keys)
        );
        for statement in &of_a.statements {
            prop_assert!(
                of_b.statements
                    .iter()
                    .all(|other| other.sid != statement.sid)
            );
        }
        Ok(())
    });
}

#[test]
fn no_draft_has_an_empty_list_a_wildcard_from_outside_or_a_mistake() {
    hold(2_000, prop::collection::vec(identity(), 1..6), |several| {
        let document = policy::draft(&incident(1), &several).unwrap();
        prop_assert_eq!(mistakes(&document), []);
        let mut sids: Vec<_> = document
            .statements
            .iter()
            .map(|statement| statement.sid.clone().unwrap())
            .collect();
        for statement in &document.statements {
            prop_assert!(!statement.conditions.is_empty());
            for condition in &statement.conditions {
                prop_assert!(!condition.values.is_empty());
                for value in &condition.values {
                    let own = if condition.operator == "StringLike" {
                        1
                    } else {
                        0
                    };
                    prop_assert_eq!(value.matches(['*', '?', '$']).count(), own, "{}", value);
                }
            }
        }
        prop_assert!(
            sids.iter().all(|sid| sid.starts_with("Quell000001")
                && sid.bytes().all(|b| b.is_ascii_alphanumeric()))
        );
        sids.sort();
        sids.dedup();
        prop_assert_eq!(sids.len(), document.statements.len());
        Ok(())
    });
}

#[test]
fn nobody_nameable_is_no_draft() {
    let nobody = Identity::IdentityCenterUser {
        user_id: None,
        session_names: Default::default(),
    };
    hold(50, identity(), |other| {
        prop_assert!(policy::draft(&incident(1), [&nobody]).is_err());
        // Not even beside somebody: who asked for both would believe both denied.
        prop_assert!(policy::draft(&incident(1), [&other, &nobody]).is_err());
        Ok(())
    });
    assert!(policy::draft(&incident(1), []).is_err());
}

#[test]
fn what_does_not_fit_is_said_with_how_many_would() {
    let person = |number: usize| Identity::IdentityCenterUser {
        user_id: Some(
            UserId::parse(format!("906717a7b4-94482488-3041-7026-18f3-{number:012x}")).unwrap(),
        ),
        session_names: [
            SessionName::parse(format!("somebody.with.a.{number:05}@example.com")).unwrap(),
        ]
        .into(),
    };
    let many = |count: usize| -> Vec<Identity> { (0..count).map(person).collect() };
    let fit = match policy::pack(&incident(1), &many(200)).unwrap_err() {
        NoDraft::DoesNotFit(error) => {
            assert_eq!(error.of, 200);
            assert!(error.characters > MOST_CHARACTERS);
            error.fit
        }
        NoDraft::Nothing(nothing) => panic!("{nothing}"),
    };
    let packed = policy::pack(&incident(1), &many(fit)).unwrap();
    assert!(
        packed.characters() <= MOST_CHARACTERS,
        "{}",
        packed.characters()
    );
    assert!(policy::pack(&incident(1), &many(fit + 1)).is_err());
    println!(
        "{fit} people fit into one policy, in {} characters",
        packed.characters()
    );
    // aws-facts §4 counts the same, for usernames of 33 characters and ids of an older store.
    assert_eq!(fit, 79);
}

/// A policy with single values and lists of one, numbers and their texts said in one way.
fn normalized(value: &Value) -> Value {
    match value {
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| (name.clone(), normalized(value)))
            .collect(),
        Value::Array(list) => match list.as_slice() {
            [one] => normalized(one),
            many => many.iter().map(normalized).collect(),
        },
        Value::Number(_) | Value::Bool(_) => Value::from(value.to_string()),
        Value::Null | Value::String(_) => value.clone(),
    }
}

/// A policy with elements that nobody knows, at the top and in its first statement.
fn with_unknown() -> impl Strategy<Value = Value> {
    (document(Reach::Everything), anything(), anything()).prop_map(|(mut policy, top, inside)| {
        policy["Extra"] = top;
        policy["Statement"][0]["Principal"] = inside;
        policy
    })
}

#[test]
fn nothing_of_a_policy_is_lost_by_reading_it() {
    let drawn = prop_oneof![document(Reach::Everything), with_unknown()];
    hold(2_000, drawn, |policy| {
        if let Ok(document) = Document::parse(&policy.to_string()) {
            let written: Value = serde_json::from_str(&document.minified()).unwrap();
            prop_assert_eq!(normalized(&written), normalized(&policy));
        }
        Ok(())
    });
}

#[test]
fn what_is_written_is_what_was_read() {
    hold(2_000, document(Reach::Everything), |policy| {
        let document = Document::parse(&policy.to_string()).unwrap();
        prop_assert_eq!(&Document::parse(&document.minified()).unwrap(), &document);
        prop_assert_eq!(&Document::parse(&document.pretty()).unwrap(), &document);
        prop_assert_eq!(document.characters(), document.minified().chars().count());
        Ok(())
    });
    hold(1_000, prop::collection::vec(identity(), 1..4), |several| {
        let document = policy::draft(&incident(1), &several).unwrap();
        let minified = document.minified();
        prop_assert_eq!(
            Document::parse(&minified).unwrap().minified(),
            minified.clone()
        );
        prop_assert_eq!(Document::parse(&minified).unwrap(), document);
        prop_assert!(!minified.contains(' '));
        Ok(())
    });
}

/// Any JSON, nested a little.
fn anything() -> impl Strategy<Value = Value> {
    let words = prop::sample::select(
        &[
            "Version",
            "Id",
            "Statement",
            "Sid",
            "Effect",
            "Action",
            "NotAction",
            "Resource",
            "NotResource",
            "Condition",
            "Principal",
            "Allow",
            "Deny",
            "*",
            "2012-10-17",
            "StringLike",
            "StringEquals",
            "aws:userid",
            "Null",
        ][..],
    );
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        words.clone().prop_map(Value::from),
        username().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 48, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((words.clone(), inner), 0..6).prop_map(|members| Value::Object(
                members
                    .into_iter()
                    .map(|(name, value)| (name.to_owned(), value))
                    .collect()
            )),
        ]
    })
}

/// A policy in which one value was replaced by anything.
fn damaged() -> impl Strategy<Value = Value> {
    let instead = prop_oneof![1 => anything(), 3 => username().prop_map(Value::from)];
    (
        document(Reach::Everything),
        instead,
        any::<prop::sample::Index>(),
    )
        .prop_map(|(mut policy, instead, at)| {
            let mut pointers = Vec::new();
            collect(&policy, String::new(), &mut pointers);
            let pointer: &String = at.get(&pointers);
            *policy.pointer_mut(pointer).unwrap() = instead;
            policy
        })
}

fn collect(value: &Value, at: String, pointers: &mut Vec<String>) {
    let escaped = |name: &str| name.replace('~', "~0").replace('/', "~1");
    match value {
        Value::Object(members) => members
            .iter()
            .for_each(|(name, inner)| collect(inner, format!("{at}/{}", escaped(name)), pointers)),
        Value::Array(list) => list
            .iter()
            .enumerate()
            .for_each(|(number, inner)| collect(inner, format!("{at}/{number}"), pointers)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    pointers.push(at);
}

#[test]
fn any_json_is_a_policy_that_can_be_judged_or_is_refused_with_its_place() {
    let tally = RefCell::new(Tally::default());
    let drawn = (
        prop_oneof![1 => anything(), 4 => damaged()],
        cases::context(Reach::Everything),
    );
    hold(8_000, drawn, |(policy, context)| {
        match Document::parse(&policy.to_string()) {
            Ok(document) => {
                let keys = context.as_object().unwrap().iter();
                let keys = keys
                    .map(|(key, value)| (key.as_str(), value.as_str().unwrap_or("a").to_owned()));
                let levels = [Level {
                    name: "root".to_owned(),
                    policies: vec![("policy", &document)],
                }];
                let verdict = evaluate(
                    &Request::new("s3:GetObject", "arn:aws:s3:::bucket/key", keys),
                    &levels,
                );
                prop_assert!(!verdict.because.is_empty());
                let _ = mistakes(&document);
                // Nothing that was not understood is lost by writing it down again.
                prop_assert_eq!(&Document::parse(&document.minified()).unwrap(), &document);
                tally.borrow_mut().count("judged");
            }
            Err(error) => {
                let error = error.to_string();
                prop_assert!(error.contains("$.") || error.contains(" at "), "{}", error);
                tally.borrow_mut().count("refused");
            }
        }
        Ok(())
    });
    let tally = tally.into_inner();
    assert!(
        tally.of("judged") > 50 && tally.of("refused") > 50,
        "{tally:?}"
    );
}

#[test]
fn any_pattern_matches_as_the_plain_table_says() {
    let drawn = ("[ab*?${}:]{0,12}", "[ab*?${}:]{0,12}", any::<bool>());
    let rules = Rules {
        variables: false,
        wildcards: true,
    };
    hold(20_000, drawn, |(pattern, text, upper)| {
        let symbols = crate::naive::symbols(&pattern, false, true);
        let expected = crate::naive::wild(&symbols, &text);
        let given = if upper {
            text.to_uppercase()
        } else {
            text.clone()
        };
        let none = Context::new();
        prop_assert_eq!(
            Pattern::<Glob>::new(&pattern, rules).matches(&text, &none),
            Ok(expected)
        );
        prop_assert_eq!(
            Pattern::<Folded>::new(&pattern, rules).matches(&given, &none),
            Ok(expected)
        );
        Ok(())
    });
}

/// Patterns that send a matcher which takes choices back into exponential time: there this test would not end.
#[test]
fn a_hostile_pattern_is_answered() {
    let rules = Rules {
        variables: true,
        wildcards: true,
    };
    let none = Context::new();
    for (pattern, text) in [
        ("*a".repeat(5_000) + "b", "a".repeat(10_000)),
        ("*a?".repeat(3_000) + "b", "a".repeat(10_000)),
        (
            "*".to_owned() + &"a".repeat(4_000) + "?b*",
            "a".repeat(10_000),
        ),
        ("*".repeat(10_000) + "b", "a".repeat(10_000)),
        ("${*}".repeat(2_500), "*".repeat(2_500)),
        ("${".repeat(5_000), "$".repeat(10_000)),
        (
            "a".repeat(5_000) + "*" + &"a".repeat(5_000) + "b",
            "a".repeat(10_000),
        ),
    ] {
        let matched = Pattern::<Glob>::new(&pattern, rules).matches(&text, &none);
        assert_eq!(
            matched,
            Ok(pattern.starts_with("${*}")),
            "{}",
            &pattern[..4]
        );
    }
}

/// An armed policy with these people in it, and its tags, as it would be read back.
pub(crate) fn armed_with(people: &[Identity]) -> (ArmedPolicy, Vec<Incident>) {
    let mut policy = ArmedPolicy {
        summary: PolicySummary {
            id: PolicyId::parse("p-abcdefgh").unwrap(),
            arn: PolicyArn::parse(
                "arn:aws:organizations::111122223333:policy/o-x/service_control_policy/p-abcdefgh",
            )
            .unwrap(),
            name: ARMED_POLICY.to_owned(),
            description: armed::DESCRIPTION.to_owned(),
        },
        tags: armed::marks(),
        content: armed::unwritten().minified(),
        targets: vec![TargetId::parse("r-ab12").unwrap()],
    };
    let mut incidents = Vec::new();
    for (number, identity) in (1..).zip(people) {
        let Identity::IdentityCenterUser {
            user_id,
            session_names,
        } = identity
        else {
            continue;
        };
        let one = Incident {
            user_id: user_id.clone(),
            session_names: session_names.clone(),
            ..Incident::bare(incident(number), Home::Armed)
        };
        // Names that do not fit into a tag go into a policy of their own.
        let ledger = Ledger::read(&policy).unwrap();
        if ledger.room_for(&one).is_ok() {
            policy.content = ledger.with(&one).render().minified();
            policy.tags.extend(one.tags());
            incidents.push(one);
        }
    }
    (policy, incidents)
}

#[test]
fn an_armed_policy_refuses_each_of_its_people_and_nobody_else_and_says_whom_in_its_tags() {
    let people = prop::collection::vec(prop_oneof![person(), identity()], 1..6);
    let drawn = (people, any::<prop::sample::Index>()).prop_flat_map(|(people, which)| {
        let one = which.get(&people).clone();
        (
            Just(people),
            request_near(one),
            any::<prop::sample::Index>(),
        )
    });
    hold(2_000, drawn, |(people, keys, which)| {
        let (policy, incidents) = armed_with(&people);
        let refused = |incidents: &[Incident]| {
            incidents
                .iter()
                .any(|incident| is_of(&incident.identity(), &keys))
        };
        let document = Document::parse(&policy.content).unwrap();
        prop_assert_eq!(
            decide(&[&document], &keys) == Decision::ExplicitDeny,
            refused(&incidents)
        );
        let ledger = Ledger::read(&policy).unwrap();
        prop_assert!(ledger.agrees());
        prop_assert!(document.characters() <= policy::MOST_CHARACTERS);
        prop_assert!(policy.tags.len() <= 50);
        // Without one of them: as if that one had never been.
        if incidents.is_empty() {
            return Ok(());
        }
        let released = which.get(&incidents);
        let mut left = policy.clone();
        left.tags
            .extend(armed::tombstone(&released.id, Timestamp::UNIX_EPOCH));
        let left = Ledger::read(&left).unwrap().render();
        let others: Vec<Incident> = incidents
            .iter()
            .filter(|incident| incident.id != released.id)
            .cloned()
            .collect();
        prop_assert_eq!(
            decide(&[&left], &keys) == Decision::ExplicitDeny,
            refused(&others)
        );
        Ok(())
    });
}
