//! The built binary, as a stranger runs it: pipes, wrong flags, a dead network, Ctrl-C, another process.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

const QUELL: &str = env!("CARGO_BIN_EXE_quell");

/// quell in an environment without AWS.
pub(crate) fn quell(arguments: &[&str]) -> Command {
    let mut command = Command::new(QUELL);
    let nowhere = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("nowhere");
    command
        .args(arguments)
        .env_clear()
        .env("HOME", &nowhere)
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .stdin(Stdio::null());
    command
}

pub(crate) fn ran(command: &mut Command) -> (i32, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().unwrap();
    (
        status.code().unwrap(),
        String::from_utf8(stdout).unwrap(),
        String::from_utf8(stderr).unwrap(),
    )
}

/// A served range, stopped when dropped.
struct Served {
    child: Child,
    env: Vec<(String, String)>,
}

impl Served {
    fn start(more: &[&str]) -> Self {
        let mut arguments = vec!["range", "serve", "--port", "0"];
        arguments.extend(more);
        let mut child = quell(&arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut env = Vec::new();
        for line in lines {
            let line = line.unwrap();
            if let Some((name, value)) = line
                .strip_prefix("export ")
                .and_then(|rest| rest.split_once('='))
            {
                env.push((name.to_owned(), value.to_owned()));
            }
            // The management account's session comes last.
            if line.starts_with("export TEST_USER_111122223333_SESSION_TOKEN") {
                break;
            }
        }
        Self { child, env }
    }

    fn quell(&self, arguments: &[&str]) -> Command {
        let mut command = quell(arguments);
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command.env(
            "QUELL_STATE_DIR",
            PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("served-{}", self.child.id())),
        );
        command
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn interrupt(child: &Child) {
    assert!(
        Command::new("kill")
            .args(["-INT", &child.id().to_string()])
            .status()
            .unwrap()
            .success()
    );
}

#[test]
fn the_bare_command_shows_what_there_is_and_changes_nothing() {
    let (code, out, err) = ran(&mut quell(&[]));
    assert_eq!(code, 2);
    assert!(
        out.is_empty() && err.contains("contain") && err.contains("Exit codes"),
        "{err}"
    );
    let (code, out, err) = ran(&mut quell(&["--help"]));
    assert!(
        code == 0 && err.is_empty() && out.contains("quell drill"),
        "{out}{err}"
    );
}

#[test]
fn without_aws_it_says_what_is_missing_and_what_to_type() {
    let (code, _, err) = ran(&mut quell(&["plan", "alice"]));
    assert!(
        code == 2 && err.contains("no AWS Region is set") && err.contains("--region"),
        "{err}"
    );
    let (code, _, err) = ran(quell(&["plan", "alice"]).env("AWS_REGION", "moon-1"));
    assert!(code == 2 && err.contains("moon-1"), "{err}");
    let (code, _, err) = ran(&mut quell(&["plan", "alice", "--region", "eu-west-1"]));
    assert!(
        code == 1
            && err.contains("credentials")
            && err.contains("aws sso login")
            && err.contains("Nothing was changed."),
        "{err}"
    );
    let (code, _, err) = ran(quell(&[
        "plan",
        "alice",
        "--region",
        "eu-west-1",
        "--profile",
        "nope",
    ])
    .env("AWS_MAX_ATTEMPTS", "0"));
    assert!(code == 1 && err.contains("Nothing was changed."), "{err}");
}

#[test]
fn a_dead_network_is_said_and_not_waited_for_forever() {
    let dead = |command: &mut Command| {
        command.envs([
            ("AWS_REGION", "eu-west-1"),
            ("AWS_ACCESS_KEY_ID", "AKIAEXAMPLEEXAMPLE00"),
            ("AWS_SECRET_ACCESS_KEY", "x"),
        ]);
        // A port that nobody listens on.
        command.env("AWS_ENDPOINT_URL", "http://127.0.0.1:9");
        ran(command)
    };
    let (code, _, err) = dead(&mut quell(&["contain", "alice", "--yes"]));
    assert!(
        code == 1 && err.contains("Check the network") && err.contains("Nothing was changed."),
        "{err}"
    );
}

#[test]
fn json_is_one_object_on_stdout_also_when_it_fails() {
    for arguments in [
        vec!["drill", "--output", "json"],
        vec!["plan", "alice", "--output", "json"],
        vec!["playbook", "list", "--output", "json"],
    ] {
        let (_, out, _) = ran(&mut quell(&arguments));
        assert_eq!(out.lines().count(), 1, "{out}");
        let value: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert!(
            value["schema"].as_str().unwrap().starts_with("quell."),
            "{out}"
        );
    }
}

#[test]
fn a_reader_that_goes_away_does_not_make_it_panic() {
    let mut child = quell(&["drill"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(
        !String::from_utf8_lossy(&output.stderr).contains("panicked"),
        "{output:?}"
    );
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn what_needs_no_aws_asks_for_none() {
    let (code, out, _) = ran(&mut quell(&[
        "policy",
        "draft",
        "--user",
        "alice@example.com",
        "--user-id",
        "94482488-3041-7026-18f3-be45837cd0e4",
    ]));
    assert!(
        code == 0
            && out.contains("\"aws:userid\": \"*:alice@example.com\"")
            && out.contains("94482488"),
        "{out}"
    );
    let (code, _, err) = ran(&mut quell(&["policy", "draft", "--user", "*"]));
    assert!(
        code == 3 && err.contains("nothing can name this principal"),
        "{err}"
    );
    let (code, out, _) = ran(&mut quell(&["playbook", "show", "identity-center-user"]));
    assert!(code == 0 && out.contains("canary_roles"), "{out}");
}

#[test]
fn contained_over_the_wire_by_one_process_and_released_by_another() {
    let served = Served::start(&[]);
    let (code, out, err) =
        ran(&mut served.quell(&["contain", "test-user", "--yes", "--output", "json"]));
    assert_eq!(code, 0, "{out}{err}");
    let report: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(report["state"], "proven");
    assert!(
        report["practice"]
            .as_str()
            .unwrap()
            .starts_with("127.0.0.1:")
    );
    let incident = report["incident"].as_str().unwrap();
    let other_machine = |arguments: &[&str]| {
        let mut command = served.quell(arguments);
        command.env(
            "QUELL_STATE_DIR",
            PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("other-{}", served.child.id())),
        );
        ran(&mut command)
    };
    let (code, _, err) = other_machine(&["release", incident, "--yes"]);
    assert!(code == 3 && err.contains("quell evict"), "{err}");
    let (code, out, err) = other_machine(&["evict", incident, "--yes"]);
    assert!(code == 0 && out.contains("is evicted"), "{out}{err}");
    let (code, _, err) = other_machine(&["release", incident, "--yes"]);
    assert!(code == 3 && err.contains("may still be alive"), "{err}");
    let (code, out, err) = other_machine(&["release", incident, "--yes", "--force"]);
    assert!(
        code == 0 && out.contains("PRACTICE") && out.contains("is released"),
        "{out}{err}"
    );
}

#[test]
fn ctrl_c_says_what_is_done_and_the_same_command_goes_on() {
    // The deny takes long to arrive, so the interruption comes while the canaries are asked.
    let served = Served::start(&["--propagation", "3s"]);
    let mut child = served
        .quell(&["contain", "test-user", "--yes"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap())
        .lines()
        .map(Result::unwrap);
    assert!(
        lines.any(|line| line.contains("ACCEPTED")),
        "it was never accepted"
    );
    interrupt(&child);
    let rest: Vec<String> = lines.collect();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{rest:?}");
    let rest = rest.join("\n");
    for part in [
        "interrupted",
        "was attached: the deny is in force",
        "type the same command again",
    ] {
        assert!(rest.contains(part), "no {part:?} in {rest}");
    }
    let (code, out, err) = ran(&mut served.quell(&[
        "contain",
        "test-user",
        "--yes",
        "--verify-timeout",
        "1m",
        "--output",
        "json",
    ]));
    assert_eq!(code, 0, "{out}{err}");
    let (_, out, _) = ran(&mut served.quell(&["status", "--output", "json"]));
    let status: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(status["incidents"].as_array().unwrap().len(), 1);
}

#[test]
fn the_range_listens_on_loopback_and_ends_with_ctrl_c() {
    let mut served = Served::start(&["--seed", "5"]);
    let endpoint = served
        .env
        .iter()
        .find(|(name, _)| name == "AWS_ENDPOINT_URL")
        .unwrap()
        .1
        .clone();
    assert!(endpoint.starts_with("http://127.0.0.1:"), "{endpoint}");
    interrupt(&served.child);
    assert_eq!(served.child.wait().unwrap().code(), Some(0));
    let port = endpoint.rsplit(':').next().unwrap();
    let taken = std::net::TcpListener::bind(format!("127.0.0.1:{port}")).unwrap();
    let (code, _, err) = ran(&mut quell(&["range", "serve", "--port", port]));
    assert!(code == 1 && err.contains("--port 0"), "{err}");
    drop(taken);
}
