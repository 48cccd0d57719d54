//! How long it takes to look into ten thousand accounts, and how much memory: `cargo bench --bench organization`.
//!
//! A process of its own builds a practice organization of 10,012 member accounts, contains a user there and runs
//! `quell verify --all-accounts`, by the command line and the real SDK adapters. Every call takes 80 ms of the range's
//! clock, and the range refuses whatever comes faster than AWS publishes. That clock moves when everything waits
//! (`range::waiting`), so the time that is told is the same on every machine.
//!
//! What is possible ([`machine::bounds`]): every page of what is read beforehand, one after the other, at AWS's whole rates; then
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

mod machine;

use std::process::{Command, ExitCode};

use machine::{Machine, Traffic, bounds};
use quell::cli::exit::Exit;
use quell::playbook::shelf::Shelf;
use quell::verify::rounds::AT_ONCE;

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
    let machine = Machine::new(ACCOUNTS);
    let (without, began) = (memory("VmRSS"), cpu());
    let contained = "contain test-user --yes --output json";
    let report = runtime.block_on(machine.quell(contained, &[Exit::Done]));
    let incident = report["incident"].as_str().unwrap().to_owned();
    *machine.wire.0.lock().unwrap() = Traffic::default();
    let before = machine.range.now();
    let line = format!("verify {incident} --all-accounts --output json");
    let report = runtime.block_on(machine.quell(&line, &[Exit::Done]));
    let took = machine.range.now().duration_since(before).as_secs_f64();
    let proven = report["accounts"].as_array().unwrap().iter();
    let proven = proven.filter(|account| account["verdict"] == "refused_by_us");
    std::fs::remove_dir_all(&machine.state_dir).unwrap();

    let traffic = machine.wire.0.lock().unwrap();
    // An account that was entered last is still asked as often as the playbook says.
    let verify = Shelf::embedded().unwrap().base().verify.clone();
    let pauses = f64::from(verify.in_a_row) * verify.every.as_secs_f64();
    let (listed, asked) = bounds(&traffic.calls, AT_ONCE);
    let bound = listed.iter().sum::<f64>() + asked + pauses;
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
