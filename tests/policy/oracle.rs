//! quell's evaluator and its drafts before judges that other people wrote. They need Node and Python, so these tests are
//! ignored until `tests/oracle/run` has provided both and names the place in `QUELL_ORACLE`.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use quell::ids::*;
use quell::incident::Incident;
use quell::policy;
use quell::rights::template::template;
use quell::rights::{self, Half, Names};
use serde_json::{Map, Value, json};

use crate::agreement::{Tally, ours, word};
use crate::cases::{Case, Reach, allow_all, case, identity, person, request_near, runner};
use crate::laws::{armed_with, is_of};

fn place() -> PathBuf {
    PathBuf::from(std::env::var("QUELL_ORACLE").expect("run tests/oracle/run"))
}

/// One answer for each line that the program is given.
pub(crate) fn ask(program: &str, lines: &[String]) -> Vec<Value> {
    let interpreter = match program.rsplit_once('.') {
        Some((_, "py")) => place().join("venv/bin/python"),
        _ => PathBuf::from("node"),
    };
    let mut child = Command::new(interpreter)
        .arg(place().join(program))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("tests/oracle/run has provided it");
    let mut input = child.stdin.take().unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    // Written beside the reading: either side would wait for the other when a pipe is full.
    let answers: Vec<Value> = std::thread::scope(|scope| {
        scope.spawn(move || {
            for line in lines {
                writeln!(input, "{line}").unwrap();
            }
        });
        let answers = output
            .lines()
            .map(|line| serde_json::from_str(&line.unwrap()).unwrap());
        answers.collect()
    });
    assert!(child.wait().unwrap().success());
    assert_eq!(answers.len(), lines.len());
    answers
}

/// Where iam-simulate reads the language otherwise than AWS's pages, the case is said to it in other words, which by
/// those pages mean the same. Each is counted. `None` for a case that cannot be said to it.
fn in_other_words(case: &Case, tally: &mut Tally) -> Option<Case> {
    let mut case = case.clone();
    let mut unspeakable = false;
    let mut changed = |what: &str| tally.count(what);
    // "ForAllValues also returns true … if the key value resolves to a null dataset, such as an empty string": as it
    // does for a missing key.
    let context = case["request"]["context"].as_object_mut().unwrap();
    let empty: Vec<String> = context
        .iter()
        .filter(|(_, value)| **value == "")
        .map(|(key, _)| key.to_lowercase())
        .collect();
    let keys_given: Vec<String> = context
        .iter()
        .filter(|(_, value)| value.is_string())
        .map(|(key, _)| key.to_lowercase())
        .collect();
    let address = context
        .get("aws:SourceIp")
        .and_then(Value::as_str)
        .map(str::to_owned);
    for policy in case["scps"]
        .as_array_mut()
        .unwrap()
        .iter_mut()
        .flat_map(|level| level.as_array_mut().unwrap())
    {
        let old = policy["Version"] != "2012-10-17";
        for statement in policy["Statement"].as_array_mut().unwrap() {
            let members = statement.as_object_mut().unwrap();
            for name in ["Resource", "NotResource"] {
                for text in texts(members.get_mut(name)) {
                    // "You can use wildcard characters within the individual segments of an ARN (the parts separated by
                    // colons)": it cuts the last part once more, at the slash. The one user drawn is alice.
                    if text.ends_with("*/alice") {
                        changed("a wildcard before a slash, as what it stands for");
                        *text = text.replace("*/alice", "user/alice");
                    }
                    // "If you don't include a Version element set to 2012-10-17, variables … are treated as literal
                    // strings": it fills them in under every version.
                    if old && text.contains("${") {
                        changed("variables of an old version, escaped");
                        *text = text.replace('$', "${$}");
                    }
                }
            }
            let Some(block) = members.get_mut("Condition").and_then(Value::as_object_mut) else {
                continue;
            };
            for (operator, keys) in block {
                let keys = keys.as_object_mut().unwrap();
                let absent: Vec<String> = keys
                    .keys()
                    .filter(|key| {
                        operator.starts_with("ForAllValues") && empty.contains(&key.to_lowercase())
                    })
                    .cloned()
                    .collect();
                for key in absent {
                    changed("an empty value under ForAllValues, as a missing key");
                    let values = keys.remove(&key).unwrap();
                    keys.insert(format!("aws:missing/{key}"), values);
                }
                for values in keys.values_mut() {
                    // "Inverted condition operators like StringNotEquals or StringNotLike do match against a null value":
                    // it lets a variable without a value decide them.
                    if operator.contains("Not") && !old {
                        let all = texts(Some(&mut *values)).len();
                        let mut valued: Vec<String> = texts(Some(&mut *values))
                            .iter()
                            .filter(|text| !has_unvalued(text, &keys_given))
                            .map(|text| (**text).clone())
                            .collect();
                        if valued.len() < all {
                            changed(
                                "a variable without a value under a negated operator, left out",
                            );
                            if valued.is_empty() {
                                valued.push("nobody's value".to_owned());
                            }
                            *values = json!(valued);
                        }
                    }
                    for text in texts(Some(values)) {
                        if old && text.contains("${") {
                            changed("variables of an old version, escaped");
                            *text = text.replace('$', "${$}");
                        }
                        // "Literal *, ? and $ are written ${*}, ${?}, ${$}": it does not read them in the operators
                        // that have no wildcards, where the characters are literal anyway.
                        if operator.contains("Equals") && !operator.contains("Arn") {
                            for (escape, plain) in [("${*}", "*"), ("${?}", "?"), ("${$}", "$")] {
                                if text.contains(escape) {
                                    changed("an escape under StringEquals, as its character");
                                    *text = text.replace(escape, plain);
                                    // A dollar of text before a brace of text would be a variable to it.
                                    unspeakable |= plain == "$" && text.contains("${");
                                }
                            }
                        }
                    }
                    if operator.contains("IpAddress") {
                        let networks: Vec<String> = texts(Some(&mut *values))
                            .iter()
                            .map(|text| (**text).clone())
                            .collect();
                        let said = addresses(&networks, address.as_deref());
                        if said != networks {
                            changed(
                                "networks, as their halves and without those of the other IP version",
                            );
                        }
                        *values = json!(said);
                    }
                }
            }
        }
    }
    (!unspeakable).then_some(case)
}

/// Whether a text has a variable, and no default, for which the request has no single value.
fn has_unvalued(text: &str, given: &[String]) -> bool {
    let mut rest = text;
    while let Some((_, tail)) = rest.split_once("${") {
        let Some((inside, after)) = tail.split_once('}') else {
            return false;
        };
        let variable = !matches!(inside, "*" | "?" | "$") && !inside.contains(", '");
        if variable && !given.contains(&inside.to_lowercase()) {
            return true;
        }
        rest = after;
    }
    false
}

/// "All IP addresses except the specified IP address or range": it lets no network of one version except an address of the
/// other. And a network of no bits is one for AWS; it takes that for a network of 32.
fn addresses(networks: &[String], address: Option<&str>) -> Vec<String> {
    let Some(address) = address else {
        return networks.to_vec();
    };
    let six = address.contains(':');
    let mut said: Vec<String> = networks
        .iter()
        .filter(|network| network.contains(':') == six)
        .flat_map(|network| match network.as_str() {
            "0.0.0.0/0" => vec!["0.0.0.0/1".to_owned(), "128.0.0.0/1".to_owned()],
            other => vec![other.to_owned()],
        })
        .collect();
    if said.is_empty() {
        // One where no address that is drawn lies.
        said.push(if six { "fe80::/64" } else { "10.0.0.0/8" }.to_owned());
    }
    said
}

fn texts(value: Option<&mut Value>) -> Vec<&mut String> {
    fn text(value: &mut Value) -> &mut String {
        match value {
            Value::String(text) => text,
            other => panic!("{other} is drawn as a text"),
        }
    }
    match value {
        None => Vec::new(),
        Some(Value::Array(list)) => list.iter_mut().map(text).collect(),
        Some(one) => vec![text(one)],
    }
}

fn draw<S: Strategy>(seed: u64, cases: usize, strategy: S) -> Vec<S::Value> {
    let mut runner = runner(seed, 0);
    (0..cases)
        .map(|_| strategy.new_tree(&mut runner).unwrap().current())
        .collect()
}

/// A seed that is always the same, one that never is, and how many cases of each.
fn draws() -> ([(&'static str, u64); 2], usize) {
    let fresh = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let many = std::env::var("QUELL_CASES").map_or(10_000, |many| many.parse().unwrap());
    ([("fixed", 1), ("fresh", fresh)], many)
}

#[test]
#[ignore = "needs Node: tests/oracle/run"]
fn iam_simulate_decides_the_same() {
    let (seeds, many) = draws();
    for (name, seed) in seeds {
        let cases = draw(seed, many, case(Reach::Everything));
        let mut tally = Tally::default();
        let (cases, lines): (Vec<Case>, Vec<String>) = cases
            .into_iter()
            .filter_map(|case| {
                let said = in_other_words(&case, &mut tally)?.to_string();
                Some((case, said))
            })
            .unzip();
        let theirs = ask("oracle.mjs", &lines);
        let mut open: BTreeMap<String, usize> = BTreeMap::new();
        let mut unexplained = Vec::new();
        for (case, theirs) in cases.iter().zip(&theirs) {
            let (verdict, open_deny) = ours(case);
            let (mine, theirs) = (
                word(verdict.decision),
                theirs["decision"].as_str().unwrap_or("error"),
            );
            if mine == "unknown" {
                tally.count("left open by AWS");
                let why = verdict
                    .because
                    .split(": ")
                    .last()
                    .unwrap_or_default()
                    .to_owned();
                *open.entry(why).or_default() += 1;
            } else if mine == "implicit_deny" && theirs == "explicit_deny" && open_deny {
                // Refused either way: what allows nothing refuses, whatever a deny says that cannot be judged.
                tally.count("refused, left open by which");
            } else if mine == theirs {
                tally.count(mine);
            } else {
                unexplained.push((case, mine, theirs, verdict.because));
            }
        }
        println!(
            "iam-simulate, {name} seed {seed}: {} of {many} cases asked: {tally:#?}",
            cases.len()
        );
        println!("left open by AWS because of: {open:#?}");
        println!("disagreements: {}", unexplained.len());
        unexplained.sort_by_key(|(case, ..)| case.to_string().len());
        for (case, mine, theirs, because) in unexplained.iter().take(8) {
            println!("quell {mine}, iam-simulate {theirs}: {because}\n{case}");
        }
        assert!(unexplained.is_empty());
        // An evaluator that knows nothing disagrees with nobody.
        for why in open.keys() {
            assert!(
                OPEN.iter().any(|reason| why.starts_with(reason)),
                "a new reason: {why}"
            );
        }
        assert!(tally.of("left open by AWS") * 20 < cases.len(), "{tally:?}");
        for decided in ["allow", "explicit_deny", "implicit_deny"] {
            assert!(tally.of(decided) * 20 > cases.len(), "{tally:?}");
        }
    }
}

/// What AWS's pages leave open, of what is drawn.
const OPEN: [&str; 6] = [
    "AWS does not say what a short ARN under NotResource leaves out",
    "AWS does not say whether an empty ",
    "AWS takes an ARN or * for a resource",
    "AWS takes no wildcard for an ARN's service",
    "AWS does not say how far a * reaches over a colon",
    // Under NotResource.
    "the variable ",
];

/// The deny itself: every kind of identity, and people with names that no session can have.
#[test]
#[ignore = "needs Node: tests/oracle/run"]
fn iam_simulate_judges_the_deny_the_same() {
    let incident = IncidentId::parse("q-000001").unwrap();
    let anybody = prop_oneof![identity(), person()];
    let drawn = anybody.prop_flat_map(|identity| (Just(identity.clone()), request_near(identity)));
    let (seeds, many) = draws();
    for (name, seed) in seeds {
        let cases = draw(seed, many, &drawn);
        let lines: Vec<String> = cases
            .iter()
            .map(|(identity, keys)| {
                let deny = policy::draft(&incident, [identity]).unwrap();
                let context: Map<String, Value> = keys
                    .iter()
                    .map(|(key, value)| ((*key).to_owned(), json!(value)))
                    .collect();
                let case = json!({
                    "scps": [[allow_all(), deny]],
                    "request": {
                        "action": "iam:ListAccountAliases",
                        "resource": "*",
                        "principal_arn": "arn:aws:sts::111122223333:assumed-role/Ops/alice",
                        "context": context,
                    },
                });
                case.to_string()
            })
            .collect();
        let mut tally = Tally::default();
        let theirs = ask("oracle.mjs", &lines);
        for (((identity, keys), line), theirs) in cases.iter().zip(&lines).zip(&theirs) {
            let expected = if is_of(identity, keys) {
                "explicit_deny"
            } else {
                "allow"
            };
            assert_eq!(theirs["decision"], expected, "{identity:?} {keys:?}");
            let (mine, _) = ours(&serde_json::from_str(line).unwrap());
            assert_eq!(word(mine.decision), expected, "{identity:?} {keys:?}");
            tally.count(expected);
        }
        println!(
            "iam-simulate on the deny, {name} seed {seed}: {} cases, {tally:?}, disagreements: 0",
            cases.len()
        );
    }
}

/// The armed policy, with several people in it.
#[test]
#[ignore = "needs Node: tests/oracle/run"]
fn iam_simulate_judges_the_armed_policy_the_same() {
    let people = prop::collection::vec(prop_oneof![identity(), person()], 1..6);
    let drawn = (people, any::<prop::sample::Index>()).prop_flat_map(|(people, which)| {
        let one = which.get(&people).clone();
        (Just(people), request_near(one))
    });
    let (seeds, many) = draws();
    for (name, seed) in seeds {
        let cases = draw(seed, many / 4, &drawn);
        let mut tally = Tally::default();
        let (lines, expected): (Vec<String>, Vec<&str>) = cases
            .iter()
            .map(|(people, keys)| {
                let (policy, incidents) = armed_with(people);
                let document: Value = serde_json::from_str(&policy.content).unwrap();
                let context: Map<String, Value> = keys
                    .iter()
                    .map(|(key, value)| ((*key).to_owned(), json!(value)))
                    .collect();
                let case = json!({
                    "scps": [[allow_all(), document]],
                    "request": {
                        "action": "iam:ListAccountAliases",
                        "resource": "*",
                        "principal_arn": "arn:aws:sts::111122223333:assumed-role/Ops/alice",
                        "context": context,
                    },
                });
                let of = |incident: &Incident| is_of(&incident.identity(), keys);
                let refused = incidents.iter().any(of);
                let expected = if refused { "explicit_deny" } else { "allow" };
                (case.to_string(), expected)
            })
            .unzip();
        let theirs = ask("oracle.mjs", &lines);
        for ((case, expected), theirs) in cases.iter().zip(&expected).zip(&theirs) {
            assert_eq!(theirs["decision"], *expected, "{case:?}");
            tally.count(expected);
        }
        println!(
            "iam-simulate on the armed policy, {name} seed {seed}: {} cases, {tally:?}, disagreements: 0",
            cases.len()
        );
    }
}

#[test]
#[ignore = "needs Node and Python: tests/oracle/run"]
fn linters_find_nothing_in_a_draft() {
    let incident = IncidentId::parse("q-000001").unwrap();
    let drafts: Vec<String> = draw(1, 500, prop::collection::vec(identity(), 1..6))
        .iter()
        .map(|several| policy::draft(&incident, several).unwrap().minified())
        .collect();
    let broken = allow_all().to_string().replace(
        "\"Action\"",
        "\"Principal\":\"*\",\"Condition\":{\"StringLikes\":{\"aws:userid\":\"a\"}},\"Action\"",
    );
    for linter in ["lint.mjs", "lint.py"] {
        let lines: Vec<String> = drafts.iter().cloned().chain([broken.clone()]).collect();
        let findings = ask(linter, &lines);
        let (of_broken, of_drafts) = findings.split_last().unwrap();
        assert_ne!(*of_broken, json!([]), "{linter} sleeps");
        for (draft, findings) in drafts.iter().zip(of_drafts) {
            assert_eq!(*findings, json!([]), "{linter}: {draft}");
        }
        println!("{linter}: nothing in {} drafts", drafts.len());
    }
}

/// Where parliament's data are older than the Service Authorization Reference, which rights.mjs has as of September 2026:
/// a service of that August, and CreatePolicy, which can be limited to a kind of policy since.
const OUTDATED: [&str; 2] = [
    "Unknown prefix account-access",
    "'organizations:CreatePolicy', 'required_format': '*'",
];

#[test]
#[ignore = "needs tests/oracle/run"]
fn other_peoples_linters_find_nothing_in_the_rights_that_are_printed() {
    let roles = ["quell-canary", "OrganizationAccountAccessRole"];
    let roles = roles.map(|role| RoleName::parse(role).unwrap());
    let names = Names::whichever(Partition::parse("aws").unwrap(), roles.to_vec());
    let policies = [Half::Read, Half::Act].map(|half| rights::policy(half, &names).minified());
    for (wrong, with) in [
        ("AttachPolicy", "AttachPolicies"),
        ("sso:::permissionSet/", "sso:::set/"),
    ] {
        let act = &policies[1];
        assert!(act.contains(wrong));
        let found = ask("rights.mjs", &[act.replace(wrong, with)]);
        assert_ne!(found[0], json!([]), "rights.mjs sleeps: {wrong}");
    }
    for linter in ["rights.mjs", "lint.py"] {
        for (policy, findings) in policies.iter().zip(ask(linter, &policies)) {
            let outdated = |found: &Value| OUTDATED.iter().any(|it| found.to_string().contains(it));
            let findings = findings.as_array().unwrap().iter();
            let findings: Vec<&Value> = findings.filter(|found| !outdated(found)).collect();
            assert_eq!(findings, [&json!(null); 0], "{linter}: {policy}");
        }
        println!("{linter}: nothing in {} policies of rights", policies.len());
    }
}

#[test]
#[ignore = "needs tests/oracle/run"]
fn cfn_lint_finds_nothing_in_the_canary_role() {
    let role = RoleName::parse("quell-canary").unwrap();
    let responder = PrincipalPattern::parse("arn:aws:iam::111122223333:role/Responder").unwrap();
    let mut templates = Vec::new();
    for trust in [None, Some(&responder)] {
        for iam_users in [false, true] {
            let template = template(&role, trust, iam_users, iam_users);
            templates.push(serde_json::to_string(&template).unwrap());
        }
    }
    let broken = templates[0].replace("MaxSessionDuration", "LongestSession");
    let lines: Vec<String> = templates.iter().cloned().chain([broken]).collect();
    let findings = ask("template.py", &lines);
    let (of_broken, of_templates) = findings.split_last().unwrap();
    assert_ne!(*of_broken, json!([]), "cfn-lint sleeps");
    for (template, findings) in templates.iter().zip(of_templates) {
        assert_eq!(*findings, json!([]), "{template}");
    }
    println!("cfn-lint: nothing in {} templates", templates.len());
}
