//! How long it takes to audit a thousand accounts: `cargo bench --bench audit`.
//!
//! A practice organization in this process, by the command line and the real SDK adapters, on a real clock, with AWS's
//! published rates kept. It fails when it takes more than [`MOST_RATIO`] of what quell's share of those rates allows.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "benchmarks may"
)]

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Instant;

use aws_smithy_async::rt::sleep::{SharedAsyncSleep, TokioSleep};
use aws_smithy_async::time::{SharedTimeSource, SystemTimeSource};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use jiff::{SignedDuration, Timestamp};
use quell::aws::{Aws, retries, wire};
use quell::cli::exit::Exit;
use quell::cli::ui::{NoAnswer, Prompt};
use quell::cli::{self, Outside};
use quell::cloud::ConnectError;
use quell::ids::*;
use quell::range::build::extras::Extras;
use quell::range::build::{self, Blueprint, Hero, OPERATOR_KEY, SECRET};
use quell::range::{Range, Time};
use serde_json::Value;

/// Accounts; others by hand, with `QUELL_ACCOUNTS`.
const ACCOUNTS: usize = 1_000;

/// So many times what the rates allow.
const MOST_RATIO: f64 = 1.25;

/// What quell takes of a rate, as `aws::pace` has it.
const SHARE: f64 = 0.8;

struct Machine(Range);

impl Outside for Machine {
    type World = Aws<wire::ServerClock>;

    async fn connect(
        &self,
        _: Option<&str>,
        region: Option<&Region>,
    ) -> Result<Self::World, ConnectError> {
        let region = region.cloned().unwrap_or(Region::parse("us-east-1")?);
        let config = self
            .0
            .sdk_config(OPERATOR_KEY, SECRET, None, &region, retries())
            .into_builder()
            .sleep_impl(SharedAsyncSleep::new(TokioSleep::new()))
            .time_source(SharedTimeSource::new(SystemTimeSource::new()))
            .build();
        let seen = wire::Seen::default();
        let clock = wire::ServerClock::new(seen.clone());
        let http = SharedHttpClient::new(self.0.clone());
        Ok(Aws::over(config, http, seen, clock))
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

fn organization() -> Range {
    let built = build::build(&Blueprint {
        seed: 7,
        now: Timestamp::now(),
        hero: Hero::default(),
        identity_center: Region::parse("us-east-1").unwrap(),
        alive: false,
        propagation: SignedDuration::ZERO,
        extras: Extras::default(),
    });
    let mut state = built.unwrap().state;
    let (_, like) = state.accounts.iter().nth(1).expect("it has members");
    let like = like.clone();
    let given = std::env::var("QUELL_ACCOUNTS").ok();
    let accounts = given.map_or(ACCOUNTS, |many| many.parse().expect("a number"));
    for n in state.accounts.len()..accounts {
        let id = AccountId::parse(format!("7{n:011}")).unwrap();
        state.accounts.insert(id, like.clone());
    }
    state.throttles = true;
    Range::new(state, Time::Real)
}

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.expect("a runtime can be built");
    let machine = Machine(organization());
    let line = ["quell", "audit", "--all-accounts", "--output", "json"];
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let began = Instant::now();
    let run = cli::run(line.map(Into::into), &machine, &machine, &mut out, &mut err);
    let exit = runtime.block_on(run);
    let took = began.elapsed().as_secs_f64();
    assert!([Exit::Done, Exit::Refused].contains(&exit), "{exit:?}");
    let report: Value = serde_json::from_slice(&out).unwrap();
    let mut calls: BTreeMap<String, (f64, u32)> = BTreeMap::new();
    for call in machine.0.with(|state| state.calls.clone()) {
        let (called, refused) = calls.entry(call.action).or_default();
        *called += 1.0;
        *refused += u32::from(call.status == 400);
    }
    let of = |action: &str, rate: f64, burst: f64| {
        let called = calls.get(action).map_or(0.0, |(called, _)| *called);
        (called - burst).max(0.0) / (rate * SHARE)
    };
    let listing = of("organizations:ListAccounts", 8.0, 12.0);
    let bound = listing.max(of("sts:AssumeRole", 600.0, 600.0));
    for (action, (called, refused)) in &calls {
        println!("  {called:>7} calls of {action}, {refused} too fast");
    }
    let ratio = took / bound;
    println!(
        "{} accounts audited in {took:.2} s of {bound:.2} s that quell's share of the rates allows: ratio {ratio:.3}, at most {MOST_RATIO}",
        report["accounts"]
    );
    match ratio <= MOST_RATIO && report["missed"] == 0 {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}
