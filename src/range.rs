//! The range: a practice organization that answers the very HTTP requests that the AWS SDKs send.
//!
//! Arrives: an HTTP request, signed by some access key. Leaves: an HTTP response of AWS's shape. In between, what AWS
//! does: the access key names a session ([`state::Session`]), a session of a member account passes through the service
//! control policies on its account's path and every session through its identity's own ([`gate`]), and the operation is
//! looked up by service and name ([`wire`]). The access portal alone is asked without a signature ([`portal`]).
//!
//! There is one range and two transports: in memory, as the HTTP client of our own SDK clients ([`memory`]), and over a
//! loopback socket for everybody else's ([`serve`]). In memory the clock is virtual: it moves when somebody waits, and as
//! it moves the actors (an attacker, everybody else) make their calls, and what was asked for or arranged happens
//! ([`clock`]).
//!
//! It enforces SCPs with our own evaluator, so nothing is proven by the range alone: the evaluator has other judges.

pub mod access;

pub mod build;

pub mod clock;

pub mod directory;

pub mod estate;

pub mod gate;

pub mod memory;

pub mod portal;

pub mod serve;

pub mod scim;

pub mod state;

pub mod team;

pub mod trails;

pub mod users;

pub mod wire;

mod waiting;

mod dynamo;

mod analyzer;

pub mod guards;

mod guardduty;

mod identity;

mod organizations;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};

use state::State;
use waiting::Alarms;

/// A practice organization, shared by whoever talks to it.
#[derive(Debug, Clone)]
pub struct Range {
    state: Arc<Mutex<State>>,
    time: Time,
    alarms: Alarms,
}

/// What moves the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Time {
    /// Waiting does, at once: whoever waits does so alone.
    Virtual,
    /// Waiting does, once everybody waits ([`Range::run`]).
    Together,
    /// It moves by itself.
    Real,
}

/// What was seen of one call, whoever made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// When.
    pub at: Timestamp,
    /// `organizations:AttachPolicy`.
    pub action: String,
    /// The access key that signed it.
    pub key: String,
    /// The HTTP status of the answer.
    pub status: u16,
}

impl Call {
    /// Whether it could have changed anything. `AssumeRole` gives out a session and changes nothing.
    pub fn mutates(&self) -> bool {
        let operation = self
            .action
            .split_once(':')
            .map_or("", |(_, operation)| operation);
        let asks = [
            "Get",
            "List",
            "Describe",
            "Lookup",
            "AssumeRole",
            "Query",
            "Scan",
            "Simulate",
            "Validate",
            "GenerateCredentialReport",
        ];
        !asks.iter().any(|prefix| operation.starts_with(prefix))
    }
}

impl Range {
    /// A range with this organization in it.
    pub fn new(state: State, time: Time) -> Self {
        Self {
            state: Arc::new(Mutex::new(state)),
            time,
            alarms: Alarms::default(),
        }
    }

    /// Looks at the organization from inside, or arranges something in it.
    pub fn with<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.lock())
    }

    /// What time it is there.
    pub fn now(&self) -> Timestamp {
        self.lock().now
    }

    /// Moves the virtual clock; everybody who meant to call meanwhile does.
    pub fn advance(&self, by: SignedDuration) {
        self.lock().advance(by);
    }

    /// Answers a request, or doesn't (`None`: the connection breaks).
    pub fn answer(&self, request: &http::Request<Bytes>) -> Option<http::Response<Bytes>> {
        let mut state = self.lock();
        if self.time == Time::Real {
            state.now = Timestamp::now();
        }
        wire::answer(&mut state, request)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere must not take the practice organization with it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
