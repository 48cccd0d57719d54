//! A practice organization behind a network: every call takes 80 ms of a clock that moves when everything waits, and is counted.

use std::collections::BTreeMap;
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
use quell::range::build::extras::Extras;
use quell::range::build::{self, Blueprint, Hero, OPERATOR_KEY, SECRET};
use quell::range::memory::ROUND_TRIP;
use quell::range::{Range, Time};
use quell::rates::{self, Rate};
use serde_json::Value;

/// The seconds that these calls take at least, with AWS's rates taken whole and so many calls under way at once: each row of
/// what is read of the organization, one page after the other; and what is asked in its accounts, where either the rate of
/// the sessions binds, or how many calls may be under way.
pub(crate) fn bounds(calls: &Calls, at_once: usize) -> (Vec<f64>, f64) {
    let round_trip = ROUND_TRIP.as_secs_f64();
    let at_once = f64::from(u32::try_from(at_once).unwrap()) / round_trip;
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
    (read.collect(), asked)
}

/// The row of what AWS publishes no rate of: the canaries' own calls, each in its account.
pub(crate) const UNPUBLISHED: &str = "no published rate";

/// What was called, by rows of the published rates.
pub(crate) type Calls = BTreeMap<&'static str, (Option<Rate>, u32)>;

/// quell on a machine of its own, and the organization that it is pointed at.
pub(crate) struct Machine {
    pub(crate) range: Range,
    pub(crate) wire: Wire,
    pub(crate) state_dir: std::path::PathBuf,
}

impl Machine {
    /// `QUELL_ACCOUNTS` is by hand for so many accounts beside the dozen that every practice organization has.
    pub(crate) fn new(accounts: u32) -> Self {
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
                accounts: by_hand.unwrap_or(accounts),
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

    /// Runs a command line, which must end in one of these ways; its report.
    pub(crate) async fn quell(&self, line: &str, ends: &[Exit]) -> Value {
        let state_dir = self.state_dir.display().to_string();
        let all = ["quell", "--state-dir", &state_dir].into_iter();
        let all = all.chain(line.split_whitespace()).map(Into::into);
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let run = cli::run(all, self, self, &mut out, &mut err);
        let exit = self.range.run(run).await;
        if !ends.contains(&exit) {
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
pub(crate) struct Wire(pub(crate) Arc<Mutex<Traffic>>, Range);

#[derive(Debug, Default)]
pub(crate) struct Traffic {
    /// How many of each row of the published rates.
    pub(crate) calls: Calls,
    /// The first and the last of each.
    pub(crate) when: BTreeMap<&'static str, [Timestamp; 2]>,
    under_way: u32,
    /// The most that were under way at once.
    pub(crate) most: u32,
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
