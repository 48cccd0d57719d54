//! How long it takes to look into ten thousand accounts, and how much memory: `cargo bench --bench organization`.
//!
//! A process of its own builds a practice organization of 10,012 member accounts, contains a user there and runs
//! `quell verify --all-accounts`, by the command line and the real SDK adapters. Every call takes 80 ms of the range's
//! clock, and the range refuses whatever comes faster than AWS publishes. That clock moves when everything waits
//! (`range::waiting`), so the time that is told is the same on every machine.
//!
//! What is possible ([`bound`]): every page of what is read beforehand, one after the other, at AWS's whole rates; then
//! the sessions at STS's whole rate, or all calls with so many under way at once, whichever takes longer; then the
//! playbook's pauses for the account that is entered last. quell takes four fifths of each rate and leaves the rest to
//! others in the account, so of what the rates bind it is 1.25 already, and has the bursts and the pauses to make good.
//!
//! It fails when the time is more than [`MOST_RATIO`] of what is possible, or the peak of the memory, the organization's
//! own included, is not under [`MOST_MEMORY`].

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "benchmarks may"
)]

use std::collections::BTreeMap;
use std::process::{Command, ExitCode};
use std::sync::{Arc, Mutex};

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use jiff::Timestamp;
use quell::aws::{Aws, retries, wire};
use quell::cli::exit::Exit;
use quell::cli::ui::{NoAnswer, Prompt};
use quell::cli::{self, Outside};
use quell::cloud::ConnectError;
use quell::ids::Region;
use quell::playbook::shelf::Shelf;
use quell::range::build::extras::Extras;
use quell::range::build::{self, Blueprint, Hero, OPERATOR_KEY, SECRET};
use quell::range::memory::ROUND_TRIP;
use quell::range::{Range, Time};
use quell::rates::{self, Rate};
use quell::verify::rounds::AT_ONCE;
use serde_json::Value;

/// Accounts beside the dozen that every practice organization has; fewer by hand, with `QUELL_ACCOUNTS`.
const ACCOUNTS: u32 = 10_000;

/// So many times what the rates and the concurrency allow.
const MOST_RATIO: f64 = 1.25;

/// In MB of a million bytes.
const MOST_MEMORY: f64 = 150.0;

/// Set in the process that is measured.
const CHILD: &str = "QUELL_BENCH_CHILD";

fn main() -> ExitCode {
    if std::env::var_os(CHILD).is_some() {
        return measured();
    }
    let own = std::env::current_exe().expect("a process has a file");
    let child = Command::new(own).env(CHILD, "1").status();
    match child.expect("it can be started again").success() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

fn measured() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.expect("a runtime can be built");
    let machine = Machine::new();
    let (without, began) = (memory("VmRSS"), cpu());
    let contained = "contain test-user --yes --output json";
    let report = runtime.block_on(machine.quell(contained));
    let incident = report["incident"].as_str().unwrap().to_owned();
    *machine.wire.0.lock().unwrap() = Traffic::default();
    let before = machine.range.now();
    let line = format!("verify {incident} --all-accounts --output json");
    let report = runtime.block_on(machine.quell(&line));
    let took = machine.range.now().duration_since(before).as_secs_f64();
    let proven = report["accounts"].as_array().unwrap().iter();
    let proven = proven.filter(|account| account["verdict"] == "refused_by_us");
    std::fs::remove_dir_all(&machine.state_dir).unwrap();

    let traffic = machine.wire.0.lock().unwrap();
    let bound = bound(&traffic.calls);
    let (peak, ratio) = (memory("VmHWM"), took / bound);
    println!("{} accounts proven by", proven.count());
    for (row, (_, calls)) in &traffic.calls {
        let [first, last] = traffic.when[row].map(|at| at.duration_since(before).as_secs_f64());
        println!("  {calls:>7} calls of {row}, from {first:.1} s to {last:.1} s");
    }
    println!("at most {} under way at once", traffic.most);
    println!(
        "time    {took:.1} s of {bound:.1} s that the rates and the concurrency allow: ratio {ratio:.3}, at most {MOST_RATIO}"
    );
    println!(
        "memory  {peak:.0} MB at the peak, under {MOST_MEMORY}; {without:.0} MB of it the practice organization before anything was asked"
    );
    println!(
        "work    {:.1} s of one core, the range's part included",
        cpu() - began
    );
    if ratio <= MOST_RATIO && peak < MOST_MEMORY {
        ExitCode::SUCCESS
    } else {
        println!("FAILED");
        ExitCode::FAILURE
    }
}

/// The seconds that these calls take at least, with AWS's rates taken whole.
///
/// What is read beforehand is read one after the other, page by page. Then either the rate of the sessions binds, or how
/// many calls may be under way; and an account that was entered last is still asked as often as the playbook says.
fn bound(calls: &BTreeMap<&'static str, (Option<Rate>, u32)>) -> f64 {
    let round_trip = ROUND_TRIP.as_secs_f64();
    let at_once = f64::from(u32::try_from(AT_ONCE).unwrap()) / round_trip;
    let asks = |row: &str| ["sts", UNPUBLISHED].contains(&row);
    let seconds = |rate: Option<Rate>, calls: u32, most: f64| {
        f64::from(calls) / rate.map_or(most, |rate| most.min(f64::from(rate.per_second)))
    };
    let (asking, reading): (Vec<_>, Vec<_>) = calls.iter().partition(|(row, _)| asks(row));
    let read = reading
        .into_iter()
        .map(|(_, (rate, calls))| seconds(*rate, *calls, 1.0 / round_trip));
    let all: u32 = asking.iter().map(|(_, (_, calls))| calls).sum();
    let minted = asking.iter().filter(|(row, _)| **row == "sts");
    let minted = minted.map(|(_, (rate, calls))| seconds(*rate, *calls, at_once));
    let asked = minted.fold(seconds(None, all, at_once), f64::max);
    let verify = Shelf::embedded().unwrap().base().verify.clone();
    let pauses = f64::from(verify.in_a_row) * verify.every.as_secs_f64();
    read.sum::<f64>() + asked + pauses
}

/// The row of what AWS publishes no rate of: the canaries' own calls, each in its account.
const UNPUBLISHED: &str = "no published rate";

/// quell on a machine of its own, and the organization that it is pointed at.
struct Machine {
    range: Range,
    wire: Wire,
    state_dir: std::path::PathBuf,
}

impl Machine {
    fn new() -> Self {
        let by_hand = std::env::var("QUELL_ACCOUNTS").ok();
        let by_hand = by_hand.map(|many| many.parse().expect("a number"));
        let blueprint = Blueprint {
            seed: 7,
            now: "2026-11-22T03:00:00Z".parse().unwrap(),
            hero: Hero::default(),
            identity_center: Region::parse("eu-west-1").unwrap(),
            alive: false,
            propagation: jiff::SignedDuration::from_secs(20),
            extras: Extras {
                accounts: by_hand.unwrap_or(ACCOUNTS),
                ..Extras::default()
            },
        };
        let mut state = build::build(&blueprint).unwrap().state;
        (state.throttles, state.recording) = (true, false);
        let range = Range::new(state, Time::Together);
        let number = std::process::id();
        Self {
            wire: Wire(Arc::new(Mutex::new(Traffic::default())), range.clone()),
            range,
            state_dir: std::env::temp_dir().join(format!("quell-bench-{number}")),
        }
    }

    /// Runs a command line, which must end well; its report.
    async fn quell(&self, line: &str) -> Value {
        let state_dir = self.state_dir.display().to_string();
        let all = ["quell", "--state-dir", &state_dir].into_iter();
        let all = all.chain(line.split_whitespace()).map(Into::into);
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let run = cli::run(all, self, self, &mut out, &mut err);
        let exit = self.range.run(run).await;
        if exit != Exit::Done {
            panic!("{line}: {exit:?}\n{}", String::from_utf8_lossy(&err));
        }
        serde_json::from_slice(&out).unwrap()
    }
}

impl Outside for Machine {
    type World = Aws<Range>;

    async fn connect(
        &self,
        _: Option<&str>,
        _: Option<&Region>,
    ) -> Result<Self::World, ConnectError> {
        let region = Region::parse("us-east-1")?;
        let config = self
            .range
            .sdk_config(OPERATOR_KEY, SECRET, None, &region, retries());
        let http = SharedHttpClient::new(self.wire.clone());
        Ok(Aws::over(
            config,
            http,
            wire::Seen::default(),
            self.range.clone(),
        ))
    }

    async fn interrupted(&self) {
        std::future::pending().await
    }
}

impl Prompt for Machine {
    fn ask(&self, _: &str) -> Result<String, NoAnswer> {
        Err(NoAnswer::NoTerminal)
    }
}

/// The way to the range, with everything on it counted.
#[derive(Debug, Clone)]
struct Wire(Arc<Mutex<Traffic>>, Range);

#[derive(Debug, Default)]
struct Traffic {
    /// How many of each row of the published rates.
    calls: BTreeMap<&'static str, (Option<Rate>, u32)>,
    /// The first and the last of each.
    when: BTreeMap<&'static str, [Timestamp; 2]>,
    under_way: u32,
    most: u32,
}

impl HttpClient for Wire {
    fn http_connector(
        &self,
        _: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Wire {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let headers = request.headers();
        let signed = headers.get("authorization").unwrap_or_default();
        let rate = rates::of_call(
            headers.get("x-amz-target"),
            signed.contains("/sts/aws4_request"),
        );
        let row = rate.map_or(UNPUBLISHED, |rate| rate.row);
        {
            let now = self.1.now();
            let mut traffic = self.0.lock().unwrap();
            traffic.when.entry(row).or_insert([now; 2])[1] = now;
            traffic.calls.entry(row).or_insert((rate, 0)).1 += 1;
            traffic.under_way += 1;
            traffic.most = traffic.most.max(traffic.under_way);
        }
        let (traffic, answer) = (self.0.clone(), HttpConnector::call(&self.1, request));
        HttpConnectorFuture::new(async move {
            let answer = answer.await;
            traffic.lock().unwrap().under_way -= 1;
            answer
        })
    }
}

/// A line of what Linux says of this process's memory, in MB.
fn memory(line: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux says");
    let line = status
        .lines()
        .find_map(|it| it.strip_prefix(line)?.strip_prefix(':'));
    let kilobytes = line.and_then(|it| it.trim().strip_suffix(" kB")?.parse::<f64>().ok());
    kilobytes.expect("the line is there") * 1024.0 / 1e6
}

/// The seconds that this process has worked. Linux counts them in hundredths.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux says");
    let (_, fields) = stat.rsplit_once(") ").expect("a name in brackets");
    let fields: Vec<&str> = fields.split(' ').collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}
