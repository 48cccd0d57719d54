//! What CloudTrail has of a principal, and what it shows of the deny.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Serialize;

use crate::ids::*;
use crate::incident::Incident;
use crate::policy::NothingToDeny;
use crate::trace::{Gathered, Places};
use crate::trail::{Call, Ended, judge};

/// How late records come, for people. AWS promises nothing (aws-facts §7).
pub const DELAY: &str = "CloudTrail delivers a record some minutes after the call, commonly five, and AWS promises no time: calls of the last 15 minutes may be missing here. Ask again then.";

/// One call.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CallReport {
    /// When, to the second.
    pub at: Timestamp,
    /// The account.
    pub account: AccountId,
    /// The Region. Untrusted text, as everything below.
    pub region: String,
    /// `s3.amazonaws.com ListBuckets`.
    pub event: String,
    /// Where it came from.
    pub source_ip: String,
    /// The session's or user's ARN.
    pub arn: String,
    /// The error, of one that failed.
    pub error: Option<String>,
}

impl CallReport {
    /// Of a call.
    pub fn of(call: &Call) -> Self {
        Self {
            at: call.at,
            account: call.account.clone(),
            region: call.region.clone(),
            event: format!("{} {}", call.source, call.name),
            source_ip: call.address.clone(),
            arn: call.caller.arn.clone(),
            error: call.error.as_ref().map(|error| error.code.clone()),
        }
    }
}

/// Somewhere that could not be asked.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct UnaskedReport {
    /// The account.
    pub account: AccountId,
    /// The Regions; empty for all of them.
    pub regions: Vec<Region>,
    /// AWS's words, of the first.
    pub why: String,
}

/// What was read, and what could not be.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ReadReport {
    /// Since when.
    pub since: Timestamp,
    /// The moment of asking.
    pub asked_at: Timestamp,
    /// The newest record that was read, of whatever the principal called.
    pub newest: Option<Timestamp>,
    /// How late records come, a full sentence.
    pub delay: &'static str,
    /// The accounts that were asked.
    pub accounts: BTreeSet<AccountId>,
    /// The Regions.
    pub regions: Vec<Region>,
    /// How many records cannot be read.
    pub unreadable: usize,
    /// Where nobody could be asked.
    pub unasked: Vec<UnaskedReport>,
    /// Where there was more than is read.
    pub cut: Vec<(AccountId, Region)>,
    /// Whether everything was read that was asked for.
    pub whole: bool,
}

impl ReadReport {
    /// Of what was gathered.
    pub fn of(gathered: &Gathered, places: &Places, now: Timestamp) -> Self {
        let mut unasked: BTreeMap<&AccountId, UnaskedReport> = BTreeMap::new();
        for place in &gathered.unasked {
            let entry = unasked.entry(&place.account);
            let report = entry.or_insert_with(|| UnaskedReport {
                account: place.account.clone(),
                regions: Vec::new(),
                why: place.why.clone(),
            });
            report.regions.extend(place.region.clone());
        }
        Self {
            since: places.from,
            asked_at: now,
            newest: gathered.newest(),
            delay: DELAY,
            accounts: gathered.asked.clone(),
            regions: places.regions.clone(),
            unreadable: gathered.unreadable.values().sum(),
            unasked: unasked.into_values().collect(),
            cut: gathered.cut.iter().cloned().collect(),
            whole: gathered.is_whole(),
        }
    }
}

/// What the principal's real calls show of the deny. Of `quell verify --cloudtrail`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CloudtrailReport {
    /// What was read.
    #[serde(flatten)]
    pub read: ReadReport,
    /// The names that were looked up; none, where no session can have the principal's name.
    pub names: Vec<String>,
    /// When the deny was proven.
    pub proven: Option<Timestamp>,
    /// How many calls were refused by the deny.
    pub refused_by_us: usize,
    /// How many by something else.
    pub refused_otherwise: usize,
    /// How many no policy is asked about: `GetCallerIdentity`, sign-ins.
    pub not_asked: usize,
    /// How many are our own canaries'.
    pub canaries: usize,
    /// Calls that were allowed after the proof: the alarm.
    pub allowed: Vec<CallReport>,
    /// Calls after the proof that failed, and that may have got past the deny.
    pub unclear: Vec<CallReport>,
    /// Calls that were allowed before the proof, or of which that cannot be said because there is none: damage.
    pub allowed_before: Vec<CallReport>,
}

impl CloudtrailReport {
    /// Of what was gathered about an incident. `roles` are those of the canaries.
    ///
    /// # Errors
    /// [`NothingToDeny`].
    pub fn of(
        incident: &Incident,
        ours: &BTreeSet<PolicyArn>,
        roles: &[RoleName],
        names: Vec<String>,
        gathered: &Gathered,
        read: ReadReport,
    ) -> Result<Self, NothingToDeny> {
        let deny = incident.unbounded()?;
        let mut report = Self {
            read,
            names,
            proven: incident.proven,
            refused_by_us: 0,
            refused_otherwise: 0,
            not_asked: 0,
            canaries: 0,
            allowed: Vec::new(),
            unclear: Vec::new(),
            allowed_before: Vec::new(),
        };
        for call in gathered.in_order() {
            // Another principal may have the same name.
            if !call.caller.bearer().is_denied_by(&deny, call.at) {
                continue;
            }
            let is_after = incident.proven.is_some_and(|proven| call.at > proven);
            let is_canary = roles.iter().any(|role| role.as_str() == call.caller.issuer);
            let ended = judge(call, ours);
            match ended {
                // A canary that is allowed after the proof is an alarm like any call.
                _ if is_canary && !(is_after && ended == Ended::Allowed) => report.canaries += 1,
                Ended::RefusedByUs => report.refused_by_us += 1,
                Ended::RefusedOtherwise => report.refused_otherwise += 1,
                Ended::NotAsked => report.not_asked += 1,
                Ended::Allowed if is_after => report.allowed.push(CallReport::of(call)),
                Ended::Allowed => report.allowed_before.push(CallReport::of(call)),
                Ended::Unclear if is_after => report.unclear.push(CallReport::of(call)),
                Ended::Unclear => {}
            }
        }
        Ok(report)
    }

    /// Whether the records say that nothing got through, and all of them could be read.
    pub fn is_quiet(&self) -> bool {
        self.allowed.is_empty()
            && self.unclear.is_empty()
            && self.read.whole
            && !self.names.is_empty()
    }
}
