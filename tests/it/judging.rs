//! `quell policy`: drafts of every kind, and the judge for programs and for people.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::binary::{quell, ran};

/// What quell says to this input.
fn fed(arguments: &[&str], input: &str) -> (i32, String, String) {
    let mut command = quell(arguments);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    let writer = std::thread::spawn(move || {
        // Whoever stops reading has said why.
        let _ = stdin.write_all(input.as_bytes());
    });
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    (
        output.status.code().unwrap(),
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

fn drafted(arguments: &[&str]) -> Value {
    let all = [
        &[
            "policy",
            "draft",
            "--incident",
            "q-7f3a9c",
            "--output",
            "json",
        ],
        arguments,
    ]
    .concat();
    let (code, out, err) = ran(&mut quell(&all));
    assert_eq!(code, 0, "{err}");
    serde_json::from_str(&out).unwrap()
}

fn allow_all() -> Value {
    json!({"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]})
}

#[test]
fn every_kind_of_principal_has_its_exact_keys() {
    for (arguments, expected) in [
        (
            &[
                "--user",
                "alice",
                "--user-id",
                "94482488-3041-7026-18f3-be45837cd0e4",
            ][..],
            json!({
                "UserId": {"StringEquals": {"identitystore:UserId": "94482488-3041-7026-18f3-be45837cd0e4"}},
                "SessionName": {"StringLike": {"aws:userid": "*:alice"}},
                "SourceIdentity": {"StringEquals": {"aws:SourceIdentity": "alice"}},
            }),
        ),
        (
            &[
                "--role-session",
                "AROA0123456789ABCDEFG:ci",
                "--source-identity",
                "alice",
            ],
            json!({
                "PrincipalId": {"StringEquals": {"aws:userid": "AROA0123456789ABCDEFG:ci"}},
                "SourceIdentity": {"StringEquals": {"aws:SourceIdentity": "alice"}},
            }),
        ),
        (
            &[
                "--role",
                "AROA0123456789ABCDEFG",
                "--before",
                "2026-11-22T03:00:00Z",
            ],
            json!({
                "RoleBefore1": {
                    "DateLessThan": {"aws:TokenIssueTime": "2026-11-22T03:00:00Z"},
                    "StringLike": {"aws:userid": "AROA0123456789ABCDEFG:*"},
                },
            }),
        ),
        (
            &["--iam-user", "AIDA0123456789ABCDEFG:alice"],
            json!({
                "PrincipalId": {"StringEquals": {"aws:userid": "AIDA0123456789ABCDEFG"}},
                "SessionName": {"StringLike": {"aws:userid": "*:alice"}},
                "SourceIdentity": {"StringEquals": {"aws:SourceIdentity": "alice"}},
            }),
        ),
        (
            &["--root", "444455556666"],
            json!({
                "Root": {
                    "Null": {"aws:AssumedRoot": "true"},
                    "StringEquals": {"aws:PrincipalArn": "arn:aws:iam::444455556666:root"},
                },
            }),
        ),
        (
            &["--federated-user", "444455556666:alice"],
            json!({"PrincipalId": {"StringEquals": {"aws:userid": "444455556666:alice"}}}),
        ),
        (
            &[
                "--user",
                "alice",
                "--user",
                "bob",
                "--iam-user",
                "AIDA0123456789ABCDEFG",
            ],
            json!({
                "SessionName": {"StringLike": {"aws:userid": ["*:alice", "*:bob"]}},
                "PrincipalId": {"StringEquals": {"aws:userid": "AIDA0123456789ABCDEFG"}},
                "SourceIdentity": {"StringEquals": {"aws:SourceIdentity": ["alice", "bob"]}},
            }),
        ),
    ] {
        let report = drafted(arguments);
        let statements = report["document"]["Statement"].as_array().unwrap();
        let found: Value = statements
            .iter()
            .map(|statement| {
                assert_eq!(statement["Effect"], "Deny");
                assert_eq!(
                    (&statement["Action"], &statement["Resource"]),
                    (&json!("*"), &json!("*"))
                );
                let sid = statement["Sid"].as_str().unwrap();
                let sid = sid.strip_prefix("Quell7f3a9c").unwrap().to_owned();
                (sid, statement["Condition"].clone())
            })
            .collect();
        assert_eq!(found, expected, "{arguments:?}");
        assert_eq!(
            report["characters"],
            report["minified"].as_str().unwrap().chars().count()
        );
    }
}

#[test]
fn what_cannot_be_drafted_is_said() {
    let many: Vec<String> = (0..300)
        .flat_map(|number| {
            [
                "--user".to_owned(),
                format!("somebody.{number:03}@example.com"),
            ]
        })
        .collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    for (arguments, exit, says) in [
        (&[][..], 2, "--user <NAME>"),
        (&["--user", "alice*"], 3, "nothing can name this principal"),
        (&["--role", "AROA0123456789ABCDEFG"], 2, "--before"),
        (
            &["--role-session", "AROA0123456789ABCDEFG"],
            2,
            "a role session name",
        ),
        (
            &["--role-session", "AROA0123456789ABCDEFG:a*"],
            2,
            "a role session name",
        ),
        (&["--iam-user", "alice"], 2, "an IAM user id"),
        (&["--federated-user", "alice"], 2, "an account id"),
        (&["--root", "r-ab12"], 2, "an account id"),
        (&many, 3, "of them fit"),
    ] {
        let all = [&["policy", "draft"], arguments].concat();
        let (code, out, err) = ran(&mut quell(&all));
        assert_eq!((code, out.as_str()), (exit, ""), "{arguments:?}: {err}");
        assert!(err.contains(says), "{:?}: {err}", arguments.first());
    }
    // A name that cannot be a session's is a warning where an id can be theirs, and an end where there are too few.
    let id = "94482488-3041-7026-18f3-be45837cd0e4";
    let one = ["policy", "draft", "--user", "alice smith", "--user-id", id];
    let (code, _, err) = ran(&mut quell(&one));
    assert!(
        code == 0 && err.contains("one of the user ids must be theirs"),
        "{err}"
    );
    let (code, _, err) = ran(&mut quell(&[&one[..], &["--user", "carol jones"]].concat()));
    assert!(code == 3 && err.contains("--user-id <id>"), "{err}");
    let (code, _, err) = ran(&mut quell(&[
        "policy",
        "draft",
        "--iam-user",
        "AIDA0123456789ABCDEFG:alice",
    ]));
    assert!(
        code == 0 && err.contains("any role session named alice is refused too"),
        "{err}"
    );
}

/// As many as fit can be attached as they are printed: AWS counts every space.
#[test]
fn what_is_printed_can_be_attached() {
    let names: Vec<String> = (0..170)
        .map(|number| format!("--user=somebody.{number:03}@example.com"))
        .collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (code, out, err) = ran(&mut quell(&[&["policy", "draft"], &names[..]].concat()));
    assert_eq!(code, 0, "{err}");
    assert!(out.trim_end().chars().count() <= 10_240, "{}", out.len());
    let fits: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        fits["Statement"][0]["Condition"]["StringLike"]["aws:userid"]
            .as_array()
            .unwrap()
            .len(),
        170
    );
}

/// An empty file must not look like a deny.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_a_failure_and_a_closed_pipe_is_an_end() {
    let full = || std::fs::File::create("/dev/full").unwrap();
    let mut draft = quell(&["policy", "draft", "--user", "alice"]);
    let output = draft
        .stdout(full())
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{err}");
    assert!(err.contains("could not be written"), "{err}");
    // Lines without end are not judged for nobody.
    let line = json!({"scps": [], "request": {"action": "s3:ListAllMyBuckets"}});
    let command = format!("yes '{line}' | \"$0\" policy evaluate | head -n 1");
    let (code, out, err) =
        ran(std::process::Command::new("sh").args(["-c", &command, env!("CARGO_BIN_EXE_quell")]));
    assert!(code == 0 && out.lines().count() == 1, "{err}");
}

#[test]
fn a_program_asks_line_by_line_and_every_line_is_answered() {
    let deny = drafted(&["--user", "alice"])["document"].clone();
    let path = json!([[allow_all(), deny], [allow_all()], [allow_all()]]);
    let ask = |scps: &Value, userid: &str| {
        json!({"scps": scps, "request": {
            "action": "s3:ListAllMyBuckets",
            "resource": "*",
            "principal_arn": "arn:aws:sts::444455556666:assumed-role/Ops/x",
            "context": {"aws:userid": userid},
        }})
    };
    let with = |mut line: Value, pointer: &str, value: Value| {
        *line.pointer_mut(pointer).unwrap() = value;
        line
    };
    let alice = ask(&path, "AROA1:alice");
    let denied = json!([{"level": "root", "policy": "scps[0][1]", "statement": 1, "sid": "Quell7f3a9cSessionName"}]);
    let linked =
        "arn:aws:iam::444455556666:role/aws-service-role/ecs.amazonaws.com/AWSServiceRoleForECS";
    let by_arn = json!({"Version":"2012-10-17","Statement":[{"Sid":"Arn","Effect":"Deny","Action":"*","Resource":"*",
        "Condition":{"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::*:role/Ops"}}}]});
    let role = "arn:aws:iam::444455556666:role/Ops";
    let cases = [
        (alice.clone(), "explicit_deny", denied.clone()),
        (ask(&path, "AROA1:Alice"), "allow", json!([])),
        // A policy as AWS hands it out: as text.
        (
            with(alice.clone(), "/scps/0/1", json!(path[0][1].to_string())),
            "explicit_deny",
            denied,
        ),
        (
            with(alice.clone(), "/scps/2", json!([])),
            "explicit_deny",
            json!([{"level": "root", "policy": "scps[0][1]", "statement": 1, "sid": "Quell7f3a9cSessionName"}]),
        ),
        (
            with(ask(&path, "AROA1:bob"), "/scps/2", json!([])),
            "implicit_deny",
            json!([]),
        ),
        (with(alice.clone(), "/scps", json!([])), "allow", json!([])),
        (
            with(
                alice.clone(),
                "/request/action",
                json!("sts:GetCallerIdentity"),
            ),
            "allow",
            json!([]),
        ),
        (
            with(alice.clone(), "/request/principal_arn", json!(linked)),
            "allow",
            json!([]),
        ),
        (
            with(
                ask(&json!([[allow_all(), by_arn]]), "AROA1:x"),
                "/request/principal_arn",
                json!(role),
            ),
            "explicit_deny",
            json!([{"level": "root", "policy": "scps[0][1]", "statement": 1, "sid": "Arn"}]),
        ),
        (
            with(alice.clone(), "/scps/1/0", json!({"Statement": 7})),
            "unknown",
            json!([{"level": "ou 1", "policy": "scps[1][0]", "statement": 0, "sid": null}]),
        ),
        (
            with(
                alice.clone(),
                "/scps/2/0",
                json!({"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": {"StringLikes": {"a:b": "c"}}}}),
            ),
            "explicit_deny",
            json!([{"level": "root", "policy": "scps[0][1]", "statement": 1, "sid": "Quell7f3a9cSessionName"}]),
        ),
    ];
    let input: String = cases.iter().map(|(line, ..)| format!("{line}\n")).collect();
    let (code, out, err) = fed(&["policy", "evaluate"], &input);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    let answers: Vec<Value> = out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(answers.len(), cases.len());
    for ((line, decision, by), answer) in cases.iter().zip(&answers) {
        assert_eq!(
            (&answer["decision"], &answer["by"]),
            (&json!(decision), by),
            "{line}\n{answer}"
        );
        assert!(!answer["because"].as_str().unwrap().is_empty());
    }
    let lines: Vec<Value> = answers
        .iter()
        .map(|answer| answer["line"].clone())
        .collect();
    assert_eq!(
        lines,
        (1..=cases.len()).map(Value::from).collect::<Vec<_>>()
    );
}

#[test]
fn a_line_that_cannot_be_read_is_answered_and_the_others_too() {
    let good = json!({"scps": [], "request": {"action": "s3:ListAllMyBuckets"}}).to_string();
    let many = "[".repeat(100_000);
    let bad = [
        ("garbage", "not JSON"),
        (
            r#"{"scps":[],"scps":[],"request":{"action":"a"}}"#,
            "named twice",
        ),
        (r#"{"scps":[]}"#, "`request`"),
        (r#"{"scps":[],"request":{}}"#, "`request.action`"),
        (r#"{"scps":[],"request":{"action":1}}"#, "`request.action`"),
        (r#"{"request":{"action":"a"}}"#, "`scps`"),
        (r#"{"scps":[1],"request":{"action":"a"}}"#, "`scps[0]`"),
        (
            r#"{"scps":[],"request":{"action":"a","context":[]}}"#,
            "`request.context`",
        ),
        (
            r#"{"scps":[],"request":{"action":"a","context":{"k":{}}}}"#,
            "`request.context.k`",
        ),
        (
            r#"{"scps":[],"request":{"action":"a","context":{"K":"1","k":"2"}}}"#,
            "named twice",
        ),
        (
            r#"{"scps":[],"request":{"action":"a","Context":{}}}"#,
            "expected `request.context`, and not `request.Context`",
        ),
        (
            r#"{"scps":[],"request":{"action":"a","context":{"k":1.5}}}"#,
            "put it in quotes",
        ),
        (many.as_str(), "not JSON"),
    ];
    let input: String = bad
        .iter()
        .map(|(line, _)| format!("{line}\n{good}\n\n"))
        .collect();
    let (code, out, _) = fed(&["policy", "evaluate"], &input);
    assert_eq!(code, 2);
    let answers: Vec<Value> = out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(answers.len(), 2 * bad.len());
    for ((line, says), pair) in bad.iter().zip(answers.chunks(2)) {
        let error = pair[0]["error"].as_str().unwrap();
        assert!(
            error.contains(says) && pair[0]["line"].is_number(),
            "{line}: {error}"
        );
        assert_eq!(pair[1]["decision"], "allow");
    }
    assert_eq!(
        fed(&["policy", "evaluate"], ""),
        (0, String::new(), String::new())
    );
    // A line without an end is not read to its end.
    let (code, out, _) = fed(&["policy", "evaluate"], &"x".repeat(12 * 1024 * 1024));
    assert!(code == 2 && out.contains("longer than"), "{out}");
}

#[test]
fn a_person_is_told_who_would_be_refused_and_why() {
    let file = |name: &str, text: &str| {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let deny = drafted(&["--user", "alice"])["document"].to_string();
    let deny = file("deny.json", &deny);
    let explain = |arguments: &[&str]| {
        let all = [&["policy", "explain"], arguments].concat();
        let (code, out, err) = ran(&mut quell(&all));
        // Where lines are broken is for the eye.
        let flat = out.split_whitespace().collect::<Vec<_>>().join(" ");
        (code, flat, err)
    };
    let (code, out, _) = explain(&["--policy", &deny, "--as", "AROA1:alice"]);
    assert!(
        code == 0 && out.starts_with("Refused: statement Quell7f3a9cSessionName of "),
        "{out}"
    );
    let (code, out, _) = explain(&["--policy", &deny, "--as", "AROA1:bob"]);
    assert!(code == 0 && out.starts_with("Not refused: "), "{out}");
    assert!(
        out.contains("it wants StringLike aws:userid *:alice, and the request has AROA1:bob"),
        "{out}"
    );
    assert!(
        out.contains(
            "it wants StringEquals aws:SourceIdentity alice, and the request does not have that key"
        ),
        "{out}"
    );
    for more in [
        &["--source-identity", "alice"][..],
        &["--key", "AWS:SourceIdentity=alice"],
    ] {
        let (_, out, _) = explain(&[&["--policy", &deny, "--as", "AROA1:bob"], more].concat());
        assert!(
            out.starts_with("Refused: statement Quell7f3a9cSourceIdentity"),
            "{out}"
        );
    }
    // The two mistakes that no linter knows, and one that voids a policy.
    let trap = file(
        "trap.json",
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"*","Resource":"*","Condition":{
            "StringEquals":{"aws:userid":"*:alice"},"StringLikes":{"aws:SourceIdentity":"alice"}}}]}"#,
    );
    let (code, out, _) = explain(&["--policy", &trap, "--as", "AROA1:alice"]);
    assert!(code == 0 && out.starts_with("Not refused: "), "{out}");
    for mistake in ["never matches", "at once", "StringLikes"] {
        assert!(out.contains(mistake), "{mistake}: {out}");
    }
    let (_, out, _) = explain(&["--policy", &trap, "--as", "AROA1:bob", "--output", "json"]);
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (&report["schema"], &report["decision"]),
        (&json!("quell.explain/1"), &json!("allow"))
    );
    assert_eq!(report["mistakes"].as_array().unwrap().len(), 3);
    // A policy that allows some things stands for itself, without FullAWSAccess.
    let some = file(
        "some.json",
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}"#,
    );
    let (_, out, _) = explain(&["--policy", &some, "--as", "AROA1:alice"]);
    assert!(
        out.starts_with("Refused: nothing on the root allows it"),
        "{out}"
    );
    let (_, out, _) = explain(&[
        "--policy",
        &some,
        "--as",
        "AROA1:alice",
        "--action",
        "s3:GetObject",
    ]);
    assert!(out.starts_with("Not refused"), "{out}");
    // What every request has and nobody gave is not taken for missing.
    let exempt = file(
        "exempt.json",
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"*","Resource":"*","Condition":{"ArnNotLike":{"aws:PrincipalArn":"arn:aws:iam::*:role/BreakGlass"}}}]}"#,
    );
    let (_, out, _) = explain(&["--policy", &exempt, "--as", "AROA1:x"]);
    assert!(
        out.starts_with("Cannot be told: ") && out.contains("aws:PrincipalArn"),
        "{out}"
    );
    for (role, says) in [("BreakGlass", "Not refused"), ("Ops", "Refused")] {
        let arn = format!("arn:aws:iam::444455556666:role/{role}");
        let (_, out, _) = explain(&[
            "--policy",
            &exempt,
            "--as",
            "AROA1:x",
            "--principal-arn",
            &arn,
        ]);
        assert!(out.starts_with(says), "{out}");
    }
    // A deny that lapses by itself has lapsed.
    let lapsed = file(
        "lapsed.json",
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"*","Resource":"*","Condition":{"StringLike":{"aws:userid":"*:alice"},"DateLessThan":{"aws:CurrentTime":"2024-01-01T00:00:00Z"}}}]}"#,
    );
    let (_, out, _) = explain(&["--policy", &lapsed, "--as", "AROA1:alice"]);
    assert!(
        out.starts_with("Not refused") && out.contains("2024-01-01"),
        "{out}"
    );
    let (_, out, _) = explain(&[
        "--policy",
        &lapsed,
        "--as",
        "AROA1:alice",
        "--key",
        "aws:CurrentTime=2023-12-31T23:59:59Z",
    ]);
    assert!(out.starts_with("Refused"), "{out}");
    // As files come: with a mark in front, as describe-policy prints it, as our own draft's report.
    let text = std::fs::read_to_string(&deny).unwrap();
    for (name, text) in [
        ("bom.json", format!("\u{feff}{text}")),
        (
            "describe.json",
            json!({"Policy": {"Content": text, "PolicySummary": {}}}).to_string(),
        ),
        ("report.json", drafted(&["--user", "alice"]).to_string()),
    ] {
        let (_, out, err) = explain(&["--policy", &file(name, &text), "--as", "AROA1:alice"]);
        assert!(out.starts_with("Refused: "), "{name}: {out}{err}");
    }
    let hostile = file("hostile.json", "{\"Statement\":\u{1b}[31m");
    for (arguments, says) in [
        (
            &["--policy", "nowhere.json", "--as", "a"][..],
            "nowhere.json",
        ),
        (&["--policy", &hostile, "--as", "a"], "not JSON"),
        (&["--policy", &deny], "--as"),
        (
            &["--policy", &deny, "--as", "A:a", "--key", "x"],
            "KEY=VALUE",
        ),
    ] {
        let (code, out, err) = explain(arguments);
        assert_eq!((code, out.as_str()), (2, ""), "{arguments:?}: {err}");
        assert!(
            err.contains(says) && !err.contains('\u{1b}'),
            "{arguments:?}: {err}"
        );
    }
}

/// Each command of the README's section is run in an empty directory, and must say what stands there.
#[test]
fn the_readmes_examples_are_what_quell_says() {
    let readme = include_str!("../../README.md");
    let (_, section) = readme.split_once("## Policies, judged offline").unwrap();
    let (_, session) = section.split_once("```\n").unwrap();
    let (session, _) = session.split_once("\n```").unwrap();
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("readme");
    std::fs::create_dir_all(&directory).unwrap();
    let binary = PathBuf::from(env!("CARGO_BIN_EXE_quell"));
    let path = format!("{}:/usr/bin:/bin", binary.parent().unwrap().display());
    let mut said = Vec::new();
    for command in session.lines().filter_map(|line| line.strip_prefix("$ ")) {
        let mut shell = std::process::Command::new("sh");
        shell
            .args(["-c", command])
            .current_dir(&directory)
            .env("PATH", &path);
        let (code, out, err) = ran(&mut shell);
        assert_eq!(code, 0, "{command}: {err}");
        said.push(format!("$ {command}\n{out}{err}"));
    }
    assert!(said.len() > 3);
    assert_eq!(said.concat().trim_end(), session, "record it again");
}
