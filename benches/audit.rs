//! How long it takes to audit a thousand accounts: `cargo bench --bench audit`.
//!
//! A practice organization of 1,000 member accounts and a dozen, by the command line and the real SDK adapters. Every call
//! takes 80 ms of the range's clock, and the range refuses whatever comes faster than AWS publishes; the clock moves when
//! everything waits, so the time that is told is the same on every machine. What is possible ([`machine::bounds`]): the
//! accounts are asked while the last are still being listed, so whatever takes longest, at AWS's whole rates without their
//! bursts. quell takes four fifths of each.
//!
//! It fails when it takes more than [`MOST_RATIO`] of that.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "benchmarks may"
)]

mod machine;

use std::process::ExitCode;

use machine::{Machine, bounds};
use quell::cli::exit::Exit;
use quell::survey::audit::AT_ONCE;

/// Accounts beside the dozen that every practice organization has; others by hand, with `QUELL_ACCOUNTS`.
const ACCOUNTS: u32 = 1_000;

/// So many times what the rates and the concurrency allow.
const MOST_RATIO: f64 = 1.25;

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.expect("a runtime can be built");
    let machine = Machine::new(ACCOUNTS);
    let before = machine.range.now();
    // Something of a drawn organization is always as bad as that.
    let ends = [Exit::Done, Exit::Refused];
    let report = runtime.block_on(machine.quell("audit --all-accounts --output json", &ends));
    let took = machine.range.now().duration_since(before).as_secs_f64();
    let traffic = machine.wire.0.lock().unwrap();
    for (row, (_, calls)) in &traffic.calls {
        let [first, last] = traffic.when[row].map(|at| at.duration_since(before).as_secs_f64());
        println!("  {calls:>7} calls of {row}, from {first:.1} s to {last:.1} s");
    }
    let (listed, asked) = bounds(&traffic.calls, AT_ONCE);
    // All of it goes on at once: whatever takes longest.
    let bound = listed.into_iter().fold(asked, f64::max);
    let ratio = took / bound;
    println!("at most {} under way at once", traffic.most);
    println!(
        "{} accounts audited in {took:.1} s of {bound:.1} s that the rates and the concurrency allow: ratio {ratio:.3}, at most {MOST_RATIO}",
        report["accounts"]
    );
    if ratio <= MOST_RATIO && report["missed"] == 0 {
        ExitCode::SUCCESS
    } else {
        println!("FAILED");
        ExitCode::FAILURE
    }
}
