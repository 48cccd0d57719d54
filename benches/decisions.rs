//! How fast the evaluator decides, on one core: `cargo bench`. With `QUELL_ORACLE` naming the place that
//! `tests/oracle/run` has provided, iam-simulate decides the same cases in the same run, and the ratio is printed.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "benchmarks may"
)]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Instant;

use divan::Bencher;
use quell::ids::*;
use quell::policy::document::Document;
use quell::policy::evaluate::{Decision, Level, Request, Scps};
use quell::policy::{self, MOST_CHARACTERS};
use quell::principal::Identity;
use serde_json::{Value, json};

fn main() {
    beside_the_oracle();
    divan::main();
}

/// The deny of this many people, as one policy.
fn deny_of(people: usize) -> Document {
    let person = |number: usize| Identity::IdentityCenterUser {
        user_id: Some(
            UserId::parse(format!("906717a7b4-94482488-3041-7026-18f3-{number:012x}")).unwrap(),
        ),
        session_names: [
            SessionName::parse(format!("somebody.with.a.{number:05}@example.com")).unwrap(),
        ]
        .into(),
    };
    let people: Vec<Identity> = (0..people).map(person).collect();
    policy::pack(&IncidentId::parse("q-000001").unwrap(), &people).unwrap()
}

/// Three statements of one person, and as many people as AWS's quota lets in.
const SIZES: [usize; 2] = [1, 79];

/// The keys of a session of this name, on a path of root, unit and account with FullAWSAccess on each.
fn keys(name: &str) -> [(&'static str, String); 5] {
    [
        ("aws:userid", format!("AROA0123456789ABCDEFG:{name}")),
        (
            "identitystore:UserId",
            "906717a7b4-94482488-3041-7026-18f3-ffffffffffff".to_owned(),
        ),
        (
            "aws:PrincipalArn",
            "arn:aws:iam::444455556666:role/Ops".to_owned(),
        ),
        ("aws:PrincipalAccount", "444455556666".to_owned()),
        ("aws:RequestedRegion", "eu-west-1".to_owned()),
    ]
}

const BYSTANDER: &str = "somebody.else@example.com";

/// The first person who is denied.
const SUSPECT: &str = "somebody.with.a.00000@example.com";

fn request(name: &str) -> Request {
    Request::new("s3:ListAllMyBuckets", "*", keys(name))
}

fn path<'a>(full: &'a Document, deny: &'a Document) -> Vec<Level<'a>> {
    let level = |name: &str, policies| Level {
        name: name.to_owned(),
        policies,
    };
    vec![
        level("root", vec![("FullAWSAccess", full), ("deny", deny)]),
        level("ou", vec![("FullAWSAccess", full)]),
        level("account", vec![("FullAWSAccess", full)]),
    ]
}

#[divan::bench(args = SIZES)]
fn somebody_else_is_let_through(bencher: Bencher<'_, '_>, people: usize) {
    let (full, deny) = (Document::allow_all(), deny_of(people));
    let levels = path(&full, &deny);
    let (scps, request) = (Scps::of(&levels), request(BYSTANDER));
    bencher
        .counter(1_usize)
        .bench_local(|| black_box(&scps).decide(black_box(&request)));
}

#[divan::bench(args = SIZES)]
fn the_suspect_is_refused(bencher: Bencher<'_, '_>, people: usize) {
    let (full, deny) = (Document::allow_all(), deny_of(people));
    let levels = path(&full, &deny);
    let (scps, request) = (Scps::of(&levels), request(SUSPECT));
    bencher
        .counter(1_usize)
        .bench_local(|| black_box(&scps).decide(black_box(&request)));
}

#[divan::bench(args = SIZES)]
fn the_suspect_is_refused_with_reasons(bencher: Bencher<'_, '_>, people: usize) {
    let (full, deny) = (Document::allow_all(), deny_of(people));
    let levels = path(&full, &deny);
    let (scps, request) = (Scps::of(&levels), request(SUSPECT));
    bencher
        .counter(1_usize)
        .bench_local(|| black_box(&scps).evaluate(black_box(&request)));
}

#[divan::bench(args = SIZES)]
fn a_policy_is_read_and_made_ready(bencher: Bencher<'_, '_>, people: usize) {
    let (full, text) = (Document::allow_all(), deny_of(people).minified());
    bencher.bench_local(|| {
        let deny = Document::parse(black_box(&text)).unwrap();
        let levels = path(&full, &deny);
        black_box(Scps::of(&levels)).decide(&request(BYSTANDER))
    });
}

/// The same length of hostile pattern and text, doubled: time must double, not square.
#[divan::bench(args = [2_500, 5_000, 10_000])]
fn a_hostile_pattern(bencher: Bencher<'_, '_>, length: usize) {
    use quell::policy::pattern::{Context, Glob, Pattern, Rules};
    let rules = Rules {
        variables: true,
        wildcards: true,
    };
    let pattern = Pattern::<Glob>::new(&("*a".repeat(length / 2) + "*b*"), rules);
    let (text, none) = ("a".repeat(length), Context::new());
    bencher.bench_local(|| black_box(&pattern).matches(black_box(&text), &none));
}

/// Both judges on the same cases, in one run.
fn beside_the_oracle() {
    let Ok(place) = std::env::var("QUELL_ORACLE") else {
        return;
    };
    for people in SIZES {
        let (full, deny) = (Document::allow_all(), deny_of(people));
        assert!(deny.characters() <= MOST_CHARACTERS);
        let levels = path(&full, &deny);
        let scps = Scps::of(&levels);
        let requests = [request(BYSTANDER), request(SUSPECT)];
        assert_eq!(scps.decide(&requests[0]), Decision::Allow);
        assert_eq!(scps.decide(&requests[1]), Decision::ExplicitDeny);
        let (theirs, rounds) = (theirs(&place, &full, &deny), 200_000);
        let began = Instant::now();
        for _ in 0..rounds {
            for request in &requests {
                black_box(black_box(&scps).decide(black_box(request)));
            }
        }
        let ours = began.elapsed().as_secs_f64() * 1e9 / (rounds * requests.len()) as f64;
        println!(
            "{:>6} characters: quell {:.2} M decisions/s, iam-simulate {:.4} M decisions/s, ratio {:.0}",
            deny.characters(),
            1e3 / ours,
            1e3 / theirs,
            theirs / ours
        );
    }
}

/// The nanoseconds that iam-simulate takes for one decision, once its engine is warm.
fn theirs(place: &str, full: &Document, deny: &Document) -> f64 {
    let mut child = Command::new("node")
        .args([&format!("{place}/oracle.mjs"), "--time", "200"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("node runs");
    let mut input = child.stdin.take().unwrap();
    for name in [BYSTANDER, SUSPECT] {
        let context: BTreeMap<&str, String> = keys(name).into();
        let case = json!({
            "scps": [[full, deny], [full], [full]],
            "request": {
                "action": "s3:ListAllMyBuckets",
                "resource": "*",
                "principal_arn": "arn:aws:sts::444455556666:assumed-role/Ops/somebody",
                "context": context,
            },
        });
        writeln!(input, "{case}").unwrap();
    }
    drop(input);
    let output = child.wait_with_output().unwrap();
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    answer["nanoseconds"].as_f64().unwrap()
}
