//! What is drawn: names as hostile as a directory allows, policies in the whole language, requests that come near them.
//!
//! Everything comes from small pools, so that policies and requests meet: a name drawn for a policy's value is likely the
//! request's name too, or that name with one character changed.

use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use quell::ids::*;
use quell::policy;
use quell::principal::{FederatedUser, Identity};
use serde_json::{Map, Value, json};

/// One question: `scps` and `request`, as `quell policy evaluate` reads them.
pub(crate) type Case = Value;

/// How far the cases go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// What AWS's documentation decides.
    Documented,
    /// Everything that a policy can say.
    Everything,
}

/// A runner of this many cases, each of which follows from the seed.
pub(crate) fn runner(seed: u64, cases: u32) -> TestRunner {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    // For a long run by hand.
    let many = std::env::var("QUELL_CASES")
        .ok()
        .and_then(|many| many.parse().ok());
    let config = Config {
        cases: many.unwrap_or(cases),
        failure_persistence: None,
        ..Config::default()
    };
    TestRunner::new_with_rng(config, rng)
}

/// Texts of this form.
fn of(form: &str) -> impl Strategy<Value = String> + use<> {
    proptest::string::string_regex(form).unwrap()
}

/// Usernames: what a directory takes is almost any character, 1 to 128 of them; and nothing, to be safe.
pub(crate) fn username() -> impl Strategy<Value = String> {
    let nasty = [
        "",
        "a",
        "alice",
        "Alice",
        "alice@example.com",
        "*",
        "?",
        "**",
        "al*",
        "al?ce",
        "$",
        "${*}",
        "${?}",
        "${$}",
        "${aws:username}",
        "${",
        "}",
        "a}b",
        "a:b",
        ":alice",
        "*:alice",
        "AROA1:alice",
        "alice smith",
        "\u{e4}lice",
        "\u{674e}\u{5c0f}\u{9f99}",
        "\u{1f600}",
        "e\u{301}",
        "\u{202e}ecila",
        "\"alice\"",
        "a\\b",
        "'alice'",
        "<b>",
    ];
    prop_oneof![
        6 => select(&["alice", "bob", "Alice", "alice2", "alic"][..]).prop_map(str::to_owned),
        4 => select(nasty.to_vec()).prop_map(str::to_owned),
        3 => of("[A-Za-z0-9_+=,.@-]{2,12}"),
        2 => of("[a-c*?$:{}]{0,6}"),
        1 => of("\\PC{0,24}"),
        1 => of("[a-z]{127,128}"),
    ]
}

/// Session names that STS takes: 2 to 64 of its alphabet.
pub(crate) fn session_name() -> impl Strategy<Value = String> {
    prop_oneof![
        select(&["alice", "bob", "Alice", "alice2", "alic", "al"][..]).prop_map(str::to_owned),
        of("[A-Za-z0-9_+=,.@-]{2,64}"),
    ]
}

fn keyed(key: &'static str) -> impl Strategy<Value = String> {
    prop_oneof![
        4 => Just(key.to_owned()),
        1 => Just(key.to_lowercase()),
        1 => Just(key.to_uppercase()),
    ]
}

/// The kinds of keys, with operators that suit them.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Text,
    Arn,
    Number,
    Moment,
    Address,
    Boolean,
    Several,
}

const KEYS: &[(&str, Kind)] = &[
    ("aws:userid", Kind::Text),
    ("aws:userid", Kind::Text),
    ("aws:userid", Kind::Text),
    ("aws:SourceIdentity", Kind::Text),
    ("aws:SourceIdentity", Kind::Text),
    ("identitystore:UserId", Kind::Text),
    ("aws:PrincipalTag/team", Kind::Text),
    ("aws:PrincipalArn", Kind::Arn),
    ("aws:MultiFactorAuthAge", Kind::Number),
    ("aws:TokenIssueTime", Kind::Moment),
    ("aws:SourceIp", Kind::Address),
    ("aws:SecureTransport", Kind::Boolean),
    ("aws:TagKeys", Kind::Several),
];

fn operators(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Text | Kind::Several => &[
            "StringEquals",
            "StringLike",
            "StringLike",
            "StringNotEquals",
            "StringNotLike",
            "StringEqualsIgnoreCase",
            "StringNotEqualsIgnoreCase",
        ],
        Kind::Arn => &[
            "ArnEquals",
            "ArnLike",
            "ArnNotEquals",
            "ArnNotLike",
            "StringLike",
        ],
        Kind::Number => &[
            "NumericEquals",
            "NumericNotEquals",
            "NumericLessThan",
            "NumericLessThanEquals",
            "NumericGreaterThan",
            "NumericGreaterThanEquals",
        ],
        Kind::Moment => &[
            "DateEquals",
            "DateNotEquals",
            "DateLessThan",
            "DateLessThanEquals",
            "DateGreaterThan",
            "DateGreaterThanEquals",
        ],
        Kind::Address => &["IpAddress", "NotIpAddress"],
        Kind::Boolean => &["Bool"],
    }
}

fn principal_arn() -> impl Strategy<Value = String> {
    select(
        &[
            "arn:aws:iam::111122223333:role/Ops",
            "arn:aws:iam::111122223333:role/path/Ops",
            "arn:aws:iam::444455556666:role/aws-reserved/sso.amazonaws.com/AWSReservedSSO_Ops_0123456789abcdef",
            "arn:aws:iam::111122223333:user/alice",
            "arn:aws:iam::111122223333:root",
        ][..],
    )
    .prop_map(str::to_owned)
}

fn resource() -> impl Strategy<Value = String> {
    select(
        &[
            "arn:aws:s3:::bucket",
            "arn:aws:s3:::bucket/key",
            "arn:aws:s3:::bucket/a:b",
            "arn:aws:iam::111122223333:user/alice",
            "arn:aws:iam::111122223333:role/Ops",
        ][..],
    )
    .prop_map(str::to_owned)
}

fn action() -> impl Strategy<Value = String> {
    select(
        &[
            "s3:GetObject",
            "s3:PutObject",
            "iam:ListUsers",
            "iam:CreateUser",
            "sts:AssumeRole",
        ][..],
    )
    .prop_map(str::to_owned)
}

fn team() -> impl Strategy<Value = String> {
    select(&["red", "blue", "Red", "r*d", "re?"][..]).prop_map(str::to_owned)
}

fn seconds() -> impl Strategy<Value = String> {
    select(&["0", "59", "60", "60.5", "3600", "-1"][..]).prop_map(str::to_owned)
}

fn moment() -> impl Strategy<Value = String> {
    select(
        &[
            "2026-11-22T03:00:00Z",
            "2026-11-22T02:59:59Z",
            "2026-11-22T04:00:00+01:00",
            "2026-11-22T03:00:00.500Z",
            "2026-11-22",
        ][..],
    )
    .prop_map(str::to_owned)
}

fn address() -> impl Strategy<Value = String> {
    select(
        &[
            "203.0.113.7",
            "203.0.113.8",
            "203.0.114.7",
            "2001:db8::7",
            "2001:db8:1::7",
        ][..],
    )
    .prop_map(str::to_owned)
}

fn network() -> impl Strategy<Value = String> {
    select(
        &[
            "203.0.113.0/24",
            "203.0.113.7/32",
            "203.0.113.7",
            "0.0.0.0/0",
            "203.0.112.0/23",
            "2001:db8::/32",
            "2001:db8:1::/48",
            "::/0",
        ][..],
    )
    .prop_map(str::to_owned)
}

/// A name as a policy's author may write it: as it is, behind a wildcard, with its letters made wildcards, escaped.
fn name_in_policy() -> impl Strategy<Value = String> {
    (username(), 0..8_u8).prop_map(|(name, how)| match how {
        0 | 1 => format!("*:{name}"),
        2 => format!("AROA1:{name}"),
        3 => name.replacen('l', "?", 1),
        4 => name.replacen('i', "*", 1),
        5 => format!(
            "*:{}",
            name.replace('$', "${$}")
                .replace("*", "${*}")
                .replace('?', "${?}")
        ),
        6 => format!("*:{name}*"),
        _ => name,
    })
}

/// One value of a condition, and whether AWS documents what it means.
fn value(kind: Kind, reach: Reach) -> BoxedStrategy<String> {
    let variable = prop_oneof![
        Just("${aws:username}".to_owned()),
        Just("*:${aws:PrincipalTag/team}".to_owned()),
        Just("${aws:PrincipalTag/team, 'red'}".to_owned()),
        Just("${aws:missing}".to_owned()),
    ];
    match kind {
        Kind::Text if reach == Reach::Everything => {
            prop_oneof![8 => name_in_policy(), 2 => team(), 1 => variable].boxed()
        }
        // Only what is a variable on purpose.
        Kind::Text => prop_oneof![8 => name_in_policy(), 2 => team()]
            .prop_map(|text| {
                let escapes = ["${*}", "${?}", "${$}"];
                let rest = escapes
                    .iter()
                    .fold(text.clone(), |text, escape| text.replace(escape, ""));
                if rest.contains("${") {
                    "alice".to_owned()
                } else {
                    text
                }
            })
            .boxed(),
        Kind::Several => team().boxed(),
        Kind::Arn => prop_oneof![
            principal_arn(),
            principal_arn().prop_map(|arn| arn.replace("111122223333", "*")),
            principal_arn().prop_map(|arn| arn.replace("Ops", "O?s*")),
            Just("arn:aws:iam::*:role/*".to_owned()),
            Just("arn:*:iam:*:*:root".to_owned()),
        ]
        .boxed(),
        Kind::Number => seconds().boxed(),
        Kind::Moment => moment().boxed(),
        Kind::Address => network().boxed(),
        Kind::Boolean => select(&["true", "false"][..])
            .prop_map(str::to_owned)
            .boxed(),
    }
}

/// `"StringLike": {"aws:userid": [...]}`, as a triple.
fn condition(reach: Reach) -> impl Strategy<Value = (String, String, Value)> {
    (select(KEYS), 0..12_u8, any::<bool>()).prop_flat_map(move |((key, kind), form, if_exists)| {
        let several = matches!(kind, Kind::Several);
        let operator = select(operators(kind)).prop_map(move |base| {
            let suffix = if if_exists && form > 7 {
                "IfExists"
            } else {
                ""
            };
            match form {
                0 => "Null".to_owned(),
                _ if several && form % 2 == 0 => format!("ForAnyValue:{base}"),
                _ if several => format!("ForAllValues:{base}"),
                // On a key with one value, AWS advises against it, and defines it.
                1 => format!("ForAnyValue:{base}"),
                2 => format!("ForAllValues:{base}"),
                _ => format!("{base}{suffix}"),
            }
        });
        let values = if form == 0 {
            select(&["true", "false"][..])
                .prop_map(|value| json!(value))
                .boxed()
        } else {
            prop::collection::vec(value(kind, reach), 1..4)
                .prop_map(|values| match values.as_slice() {
                    [one] => json!(one),
                    many => json!(many),
                })
                .boxed()
        };
        (operator, keyed(key), values)
    })
}

/// A word or a list of them under the element's name or its negation.
fn words(
    plain: &'static str,
    negated: &'static str,
    word: impl Strategy<Value = String> + 'static,
) -> impl Strategy<Value = (String, Value)> {
    (prop::collection::vec(word, 1..3), 0..6_u8).prop_map(move |(words, form)| {
        let name = if form == 0 { negated } else { plain };
        let value = match words.as_slice() {
            [one] if form % 2 == 0 => json!(one),
            many => json!(many),
        };
        (name.to_owned(), value)
    })
}

fn statement(reach: Reach) -> impl Strategy<Value = Value> {
    let actions = select(
        &[
            "*",
            "*",
            "*",
            "s3:*",
            "S3:get*",
            "iam:List?sers",
            "iam:*User*",
            "sts:AssumeRole",
        ][..],
    )
    .prop_map(str::to_owned);
    let only_open = if reach == Reach::Everything { 1 } else { 0 };
    let resources = prop_oneof![
        8 => Just("*".to_owned()),
        2 => resource(),
        1 => Just("arn:aws:s3:::*".to_owned()),
        1 => Just("arn:aws:s3:::bucket/*".to_owned()),
        only_open => Just("arn:aws:*:*:*:*".to_owned()),
        only_open => Just("arn:*:user/alice".to_owned()),
        only_open => Just("arn:aws:iam::*".to_owned()),
        1 => Just("arn:aws:iam::1111?2223333:*".to_owned()),
        1 => Just("arn:aws:iam::*:*/alice".to_owned()),
        only_open => Just("arn:aws:iam::*:user/${aws:username}".to_owned()),
    ];
    (
        select(&["Deny", "Deny", "Deny", "Allow"][..]),
        words("Action", "NotAction", actions),
        words("Resource", "NotResource", resources),
        prop::collection::vec(condition(reach), 0..3),
        prop::option::of(of("[A-Za-z0-9]{1,8}")),
    )
        .prop_map(|(effect, actions, resources, conditions, sid)| {
            let mut block = Map::new();
            for (operator, key, values) in conditions {
                let keys = block.entry(operator).or_insert_with(|| json!({}));
                let keys = keys.as_object_mut().unwrap();
                // Two spellings of one key in one operator are two conditions for us and one for a careless reader.
                if !keys.keys().any(|other| other.eq_ignore_ascii_case(&key)) {
                    keys.insert(key, values);
                }
            }
            let mut statement = json!({ "Effect": effect });
            let members = statement.as_object_mut().unwrap();
            members.insert(actions.0, actions.1);
            members.insert(resources.0, resources.1);
            if !block.is_empty() {
                members.insert("Condition".to_owned(), Value::Object(block));
            }
            if let Some(sid) = sid {
                members.insert("Sid".to_owned(), json!(sid));
            }
            statement
        })
}

pub(crate) fn allow_all() -> Value {
    json!({"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]})
}

/// A policy in the whole language.
pub(crate) fn document(reach: Reach) -> impl Strategy<Value = Value> {
    let drawn = (prop::collection::vec(statement(reach), 1..4), 0..8_u8).prop_map(
        |(statements, version)| match version {
            0 => json!({ "Version": "2008-10-17", "Statement": statements }),
            1 => json!({ "Statement": statements }),
            _ => json!({ "Version": "2012-10-17", "Statement": statements }),
        },
    );
    prop_oneof![1 => Just(allow_all()), 2 => drawn]
}

/// The keys of a request.
pub(crate) fn context(reach: Reach) -> impl Strategy<Value = Value> {
    let several = prop::collection::vec(team(), 2..4).prop_map(|teams| json!(teams));
    let text =
        |strategy: BoxedStrategy<String>| prop::option::of(strategy.prop_map(|text| json!(text)));
    let tags = if reach == Reach::Everything {
        prop::option::of(prop_oneof![
            several.boxed(),
            Just(json!("")).boxed(),
            team().prop_map(|team| json!(team)).boxed()
        ])
        .boxed()
    } else {
        prop::option::of(prop_oneof![
            several.boxed(),
            team().prop_map(|team| json!(team)).boxed()
        ])
        .boxed()
    };
    // What an empty value means is documented for ForAllValues alone.
    let name = move || {
        let filled = move |name: String| match reach {
            Reach::Documented if name.is_empty() => "nobody".to_owned(),
            Reach::Documented | Reach::Everything => name,
        };
        username().prop_map(filled).boxed()
    };
    (
        username(),
        text(name()),
        text(name()),
        text(team().boxed()),
        text(principal_arn().boxed()),
        text(seconds().boxed()),
        text(moment().boxed()),
        text(address().boxed()),
        text(
            select(&["true", "false"][..])
                .prop_map(str::to_owned)
                .boxed(),
        ),
        (tags, text(Just("alice".to_owned()).boxed())),
    )
        .prop_map(
            |(name, source, id, team, arn, age, issued, ip, secure, (tags, user))| {
                let mut keys = Map::new();
                keys.insert("aws:userid".to_owned(), json!(format!("AROA1:{name}")));
                for (key, value) in [
                    ("aws:SourceIdentity", source),
                    ("identitystore:UserId", id),
                    ("aws:PrincipalTag/team", team),
                    ("aws:PrincipalArn", arn),
                    ("aws:MultiFactorAuthAge", age),
                    ("aws:TokenIssueTime", issued),
                    ("aws:SourceIp", ip),
                    ("aws:SecureTransport", secure),
                    ("aws:TagKeys", tags),
                    ("aws:username", user),
                ] {
                    if let Some(value) = value {
                        keys.insert(key.to_owned(), value);
                    }
                }
                Value::Object(keys)
            },
        )
}

/// A request and the policies on its path, one to three levels deep.
pub(crate) fn case(reach: Reach) -> impl Strategy<Value = Case> {
    let level = prop_oneof![
        6 => prop::collection::vec(document(reach), 0..2).prop_map(|mut policies| {
            policies.push(allow_all());
            policies
        }),
        1 => prop::collection::vec(document(reach), 0..3),
    ];
    (
        prop::collection::vec(level, 1..4),
        action(),
        resource(),
        context(reach),
    )
        .prop_map(|(scps, action, resource, context)| {
            json!({
                "scps": scps,
                "request": {
                    "action": action,
                    "resource": resource,
                    "principal_arn": "arn:aws:sts::111122223333:assumed-role/Ops/alice",
                    "context": context,
                },
            })
        })
}

/// A text that is the given one or differs from it in one character or in case.
pub(crate) fn near(text: String) -> impl Strategy<Value = String> {
    (
        0..7_u8,
        any::<prop::sample::Index>(),
        select(&['a', 'x', '_', '*', '?', ':'][..]),
    )
        .prop_map(move |(how, at, letter)| {
            let mut letters: Vec<char> = text.chars().collect();
            let at = at.index(letters.len().max(1));
            match how {
                0 | 1 => {}
                2 => letters.insert(at, letter),
                3 => letters.push(letter),
                4 if at < letters.len() => {
                    letters.remove(at);
                }
                5 if at < letters.len() => letters[at] = letter,
                _ => {
                    for other in letters.iter_mut().skip(at).take(1) {
                        *other = if other.is_ascii_lowercase() {
                            other.to_ascii_uppercase()
                        } else {
                            other.to_ascii_lowercase()
                        };
                    }
                }
            }
            letters.into_iter().collect()
        })
}

fn of_pool<T: Clone + std::fmt::Debug + 'static>(
    texts: &[&str],
    parse: fn(&str) -> T,
) -> impl Strategy<Value = T> + use<T> {
    select(texts.iter().map(|text| parse(text)).collect::<Vec<T>>())
}

fn user_id() -> impl Strategy<Value = UserId> {
    of_pool(
        &[
            "94482488-3041-7026-18f3-be45837cd0e4",
            "94482488-3041-7026-18f3-be45837cd0e5",
            "906717a7b4-94482488-3041-7026-18f3-be45837cd0e4",
        ],
        |text| UserId::parse(text).unwrap(),
    )
}

fn role_id() -> impl Strategy<Value = RoleId> {
    of_pool(
        &["AROA0123456789ABCDEFG", "AROA0123456789ABCDEFH"],
        |text| RoleId::parse(text).unwrap(),
    )
}

fn account() -> impl Strategy<Value = AccountId> {
    of_pool(&["444455556666", "444455556667"], |text| {
        AccountId::parse(text).unwrap()
    })
}

fn name() -> impl Strategy<Value = SessionName> {
    session_name().prop_map(|name| SessionName::parse(name).unwrap())
}

fn federated() -> impl Strategy<Value = FederatedUser> {
    (account(), of("[A-Za-z0-9_+=,.@-]{2,32}")).prop_map(|(account, name)| FederatedUser {
        account,
        name: FederatedName::parse(name).unwrap(),
    })
}

/// An identity of any kind.
pub(crate) fn identity() -> impl Strategy<Value = Identity> {
    let person = (
        prop::option::of(user_id()),
        prop::collection::btree_set(name(), 0..3),
    );
    let before = select(&["2026-11-22T03:00:00Z", "2026-11-22T04:00:00Z"][..]);
    prop_oneof![
        4 => person
            .prop_filter("nobody", |(id, names)| id.is_some() || !names.is_empty())
            .prop_map(|(user_id, session_names)| Identity::IdentityCenterUser { user_id, session_names }),
        2 => (role_id(), name(), prop::option::of(name())).prop_map(|(role, session, source_identity)| {
            Identity::RoleSession { role, session, source_identity }
        }),
        1 => (role_id(), before).prop_map(|(role, before)| Identity::RoleBefore {
            role,
            before: before.parse().unwrap(),
        }),
        2 => (
            of_pool(&["AIDA0123456789ABCDEFG", "AIDA0123456789ABCDEFH"], |text| IamUserId::parse(text).unwrap()),
            prop::option::of(name()),
            prop::collection::btree_set(federated(), 0..2),
            any::<bool>(),
        )
            .prop_map(|(user, name, federated, knows_id)| Identity::IamUser {
                // Who has neither is nobody that a policy could name.
                user: (knows_id || name.is_none()).then_some(user),
                name,
                federated,
            }),
        1 => (
            of_pool(&["aws", "aws-cn"], |text| Partition::parse(text).unwrap()),
            account(),
        )
            .prop_map(|(partition, account)| Identity::Root { partition, account }),
        1 => federated().prop_map(Identity::FederatedUser),
    ]
}

/// A person of the directory with any username: a session of theirs is named so only if STS takes the name (R2).
pub(crate) fn person() -> impl Strategy<Value = Identity> {
    (user_id(), username()).prop_map(|(id, username)| Identity::IdentityCenterUser {
        user_id: Some(id),
        session_names: SessionName::parse(username).into_iter().collect(),
    })
}

/// The keys of a request that is an identity's, or nearly.
pub(crate) fn request_near(identity: Identity) -> BoxedStrategy<Vec<(&'static str, String)>> {
    let elsewhere = SessionName::parse("somebody-else").unwrap();
    let sessions = policy::sessions_of(&identity, &elsewhere);
    let keys: Vec<_> = sessions.into_iter().map(|(_, keys)| keys).collect();
    (
        select(keys),
        any::<bool>(),
        select(&["2026-11-22T02:00:00Z", "2026-11-22T03:30:00Z"][..]),
    )
        .prop_flat_map(|(keys, assumed, issued)| {
            let each: Vec<BoxedStrategy<(&'static str, String)>> = keys
                .into_iter()
                .map(|(key, value)| match key {
                    policy::TOKEN_ISSUE_TIME => Just((key, issued.to_owned())).boxed(),
                    key => near(value).prop_map(move |value| (key, value)).boxed(),
                })
                .collect();
            (each, Just(assumed))
        })
        .prop_map(|(mut keys, assumed)| {
            if assumed {
                keys.push((policy::ASSUMED_ROOT, "true".to_owned()));
            }
            keys
        })
        .boxed()
}
