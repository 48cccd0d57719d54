//! What CloudTrail has of a principal, and what it shows of the deny.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::ids::*;
use crate::incident::Incident;
use crate::plan::chaining::Choice;
use crate::policy::document::Document;
use crate::policy::{self, NothingToDeny};
use crate::report::human;
use crate::report::switching::SwitchingReport;
use crate::trace::{Gathered, Places};
use crate::trail::chain::{Session, Walk};
use crate::trail::left::{self, Kind};
use crate::trail::portal::AtPortal;
use crate::trail::{Call, Ended, is_canarys, judge};

/// How late records come, for people. AWS promises nothing (aws-facts §7).
pub const DELAY: &str = "CloudTrail delivers a record some minutes after the call, commonly five, and AWS promises no time: calls of the last 15 minutes may be missing here. Ask again then.";

/// So long after a moment the records of what was called until then are not taken to be whole. AWS promises no time; this
/// is three times what is commonly quoted (aws-facts §7).
pub const DELIVERED_WITHIN: SignedDuration = SignedDuration::from_mins(15);

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

/// What the principal did at the portal, or an IAM user at the console's door.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct PortalReport {
    /// Sign-ins, and sessions that they got there, oldest first. Untrusted text.
    pub done: Vec<AtPortal>,
    /// Why that is not known, if it is not.
    pub unread: Option<String>,
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
    /// Until then records of what was called before the proof may still come; `null` once it is over.
    pub too_early_until: Option<Timestamp>,
    /// What they did at the portal.
    pub portal: PortalReport,
    /// Sessions under other names that are denied beside the principal's, by the tags; their calls are not among these.
    pub chained: BTreeSet<SessionUserId>,
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
            too_early_until: too_early(incident, read.asked_at),
            read,
            names,
            proven: incident.proven,
            portal: PortalReport::default(),
            chained: incident.chained.clone(),
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
            let is_canary = is_canarys(call, roles);
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
            && self.portal.unread.is_none()
            && self.unclear.is_empty()
            && self.read.whole
            && !self.names.is_empty()
            && self.too_early_until.is_none()
    }
}

/// What becomes of a session that the principal had or became.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// The deny refuses it.
    Denied,
    /// The deny does not match it.
    NotDenied,
    /// It is in the management account, where no service control policy applies.
    InManagement,
    /// It has ended.
    Ended,
}

impl Fate {
    /// Whether it may be alive, and nothing refuses it.
    pub fn is_open(self) -> bool {
        matches!(self, Fate::NotDenied | Fate::InManagement)
    }

    /// For people.
    pub fn says(self) -> &'static str {
        match self {
            Fate::Denied => "denied",
            Fate::NotDenied => "NOT DENIED",
            Fate::InManagement => {
                "NOT DENIED: in the management account no service control policy applies"
            }
            Fate::Ended => "ended",
        }
    }
}

/// One identity that the principal had or became.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SessionReport {
    /// How many became one another from the principal's own on; 0 for those.
    pub depth: usize,
    /// Its `aws:userid`. Untrusted text, as the ARN.
    pub userid: String,
    /// Its ARN.
    pub arn: String,
    /// Its account.
    pub account: AccountId,
    /// Who became it first; `null` for the principal's own.
    pub by: Option<String>,
    /// By which call.
    pub event: Option<String>,
    /// Others who became it.
    pub also_by: BTreeSet<String>,
    /// Whether somebody became it who had come from it: role juggling.
    pub juggled: bool,
    /// How many sessions of it were made.
    pub times: usize,
    /// When the first was made, or seen.
    pub since: Timestamp,
    /// When the last one ends at the latest; `null` where no record tells.
    pub until: Option<Timestamp>,
    /// What becomes of it.
    pub fate: Fate,
    /// The last call of it that was allowed.
    pub last_allowed: Option<Timestamp>,
    /// The last call of it that was refused.
    pub last_refused: Option<Timestamp>,
}

/// A call that may have left something behind.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LeftReport {
    /// What may stay.
    pub kind: Kind,
    /// What it was about, from the call's parameters. Untrusted text.
    pub about: String,
    /// The call.
    #[serde(flatten)]
    pub call: CallReport,
}

/// A session that is alive and was not denied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LeftOutReport {
    /// Its `aws:userid`.
    pub userid: SessionUserId,
    /// Why not, a fragment.
    pub why: String,
}

/// Whom the principal became, and what they left behind. Of `quell trace`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TraceReport {
    /// `quell.trace/1`.
    pub schema: &'static str,
    /// The host that answered, when it is not AWS.
    pub practice: Option<String>,
    /// The incident.
    pub incident: IncidentId,
    /// Whose calls.
    pub principal: Option<Username>,
    /// What was read.
    pub read: ReadReport,
    /// The names that were looked up.
    pub names: Vec<String>,
    /// Everybody who was reached, each after whoever became them first.
    pub sessions: Vec<SessionReport>,
    /// Whether there was more than is followed.
    pub cut: bool,
    /// Roles and names of sessions that nobody can be followed from, because no record has the session. Untrusted text.
    pub unresolved: BTreeSet<(String, String)>,
    /// Until then it is too early to say whom else they became: records of what they called before the deny held may still
    /// come. `null` once it is not.
    pub too_early_until: Option<Timestamp>,
    /// How long before the incident was opened the records are read; for people.
    pub looked_back: Option<String>,
    /// Sessions that are alive and that the deny does not match: those that `--deny-chained` denies.
    pub offered: BTreeSet<SessionUserId>,
    /// Sessions that an earlier run was to deny and that the document does not have, or of which nobody has noted since when
    /// it does.
    pub unfinished: BTreeSet<SessionUserId>,
    /// Those of the offered that this run did not deny, and why.
    pub left_out: Vec<LeftOutReport>,
    /// Those that were denied by this run.
    pub denied_now: BTreeSet<SessionUserId>,
    /// Since when a release waits for those that were denied.
    pub chained_at: Option<Timestamp>,
    /// Before this a release is refused; `null` until proven and evicted.
    pub release_not_before: Option<Timestamp>,
    /// What they did at the portal.
    pub portal: PortalReport,
    /// The roles that an IAM user may assume, of `--may-assume`.
    pub may_assume: Option<SwitchingReport>,
    /// What may have been left behind, by account, worst first.
    pub left_behind: Vec<LeftReport>,
}

/// How the deny stands now.
#[derive(Debug, Clone, PartialEq)]
pub struct Stands {
    /// The incident's part of the policy's document.
    pub deny: Document,
    /// The policy.
    pub policy: PolicyArn,
    /// Where it binds: `None` in every member account; nowhere, while it is not attached where it belongs.
    pub under: Option<BTreeSet<AccountId>>,
}

impl Stands {
    /// Whether it binds in an account, if that is not the management account.
    pub fn binds_in(&self, account: &AccountId) -> bool {
        self.under
            .as_ref()
            .is_none_or(|under| under.contains(account))
    }
}

impl TraceReport {
    /// Of a walk through the records.
    pub fn of(
        incident: &Incident,
        stands: &Stands,
        management: &AccountId,
        names: Vec<String>,
        (walk, gathered): (&Walk, &Gathered),
        read: ReadReport,
        practice: Option<String>,
    ) -> Self {
        let now = read.asked_at;
        let fate = |session: &Session| match session.is_alive(now) {
            false => Fate::Ended,
            true if session.account == *management => Fate::InManagement,
            true if stands.binds_in(&session.account)
                && session.is_denied_by(&stands.deny, now) =>
            {
                Fate::Denied
            }
            true => Fate::NotDenied,
        };
        let tree = walk.tree();
        let calls: Vec<&Call> = gathered.in_order();
        let sessions: Vec<SessionReport> = tree
            .iter()
            .map(|(depth, session)| {
                SessionReport::of(*depth, session, fate(session), &calls, &stands.policy)
            })
            .collect();
        let is_open = |session: &&SessionReport| session.fate == Fate::NotDenied;
        // The principal's own are the deny's own business.
        let open = sessions.iter().filter(is_open).filter(|it| it.by.is_some());
        let offered = open.filter_map(|it| SessionUserId::parse(it.userid.as_str()).ok());
        let offered: BTreeSet<SessionUserId> = offered.collect();
        let there = policy::session_user_ids_in(&stands.deny);
        let missing = incident.chained.difference(&there).cloned();
        let unfinished = match incident.is_chaining_unfinished() {
            true => incident.chained.clone(),
            false => missing.collect(),
        };
        let known: BTreeSet<&str> = sessions.iter().map(|it| it.userid.as_str()).collect();
        let theirs = calls
            .iter()
            .filter(|call| known.contains(call.caller.userid.as_str()));
        let mut left_behind: Vec<LeftReport> = theirs
            .filter_map(|call| {
                Some(LeftReport {
                    kind: left::kind_of(call)?,
                    about: left::about(call),
                    call: CallReport::of(call),
                })
            })
            .collect();
        left_behind.sort_by(|one, other| {
            let key = |it: &LeftReport| (it.call.account.clone(), it.kind, it.call.at);
            key(one).cmp(&key(other))
        });
        Self {
            schema: "quell.trace/1",
            practice,
            incident: incident.id.clone(),
            principal: incident.principal.clone(),
            names,
            sessions,
            cut: walk.is_cut(),
            unresolved: walk.unresolved().clone(),
            too_early_until: too_early(incident, now),
            looked_back: incident
                .opened
                .map(|opened| human::duration(opened.duration_since(read.since))),
            offered,
            unfinished,
            left_out: Vec::new(),
            denied_now: BTreeSet::new(),
            chained_at: incident.chained_at,
            release_not_before: incident.release_not_before(),
            portal: PortalReport::default(),
            may_assume: None,
            left_behind,
            read,
        }
    }

    /// Those that are offered, in the order in which they are to be denied where not all can be: whoever lives longest
    /// first.
    pub fn by_urgency(&self) -> Vec<SessionUserId> {
        let parsed = |it: &SessionReport| SessionUserId::parse(it.userid.as_str()).ok();
        let offered = self
            .sessions
            .iter()
            .filter_map(|it| Some((it, parsed(it)?)));
        let mut offered: Vec<_> = offered
            .filter(|(_, id)| self.offered.contains(id))
            .collect();
        offered.sort_by_key(|(it, id)| (Reverse(it.until.unwrap_or(Timestamp::MAX)), id.clone()));
        offered.into_iter().map(|(_, id)| id).collect()
    }

    /// The same after this run has denied them.
    pub fn with_denied(mut self, choice: Choice, incident: &Incident) -> Self {
        let denied = choice.denied.union(&self.unfinished).cloned();
        let denied: BTreeSet<SessionUserId> = denied.collect();
        for session in &mut self.sessions {
            let is_denied = denied.iter().any(|it| it.as_str() == session.userid);
            if is_denied && session.fate == Fate::NotDenied {
                session.fate = Fate::Denied;
            }
        }
        if let Some(may_assume) = &mut self.may_assume {
            may_assume.with_denied(&denied);
        }
        self.offered.retain(|it| !denied.contains(it));
        self.unfinished.clear();
        let left_out = choice.left_out.into_iter();
        self.left_out = left_out
            .map(|(userid, why)| LeftOutReport {
                userid,
                why: why.to_string(),
            })
            .collect();
        self.denied_now = denied;
        self.too_early_until = too_early(incident, self.read.asked_at);
        self.chained_at = incident.chained_at;
        self.release_not_before = incident.release_not_before();
        self
    }

    /// Whether a session of the principal's, or of somebody whom they became, may be alive and nothing refuses it.
    pub fn is_getting_through(&self) -> bool {
        self.sessions.iter().any(|session| session.fate.is_open())
    }

    /// Whether everything was read, and everybody whom the principal became has ended, or was seen being refused last.
    pub fn is_quiet(&self) -> bool {
        let is_settled = |session: &SessionReport| {
            session.by.is_none()
                || session.fate == Fate::Ended
                || session.last_refused.is_some() && session.last_refused > session.last_allowed
        };
        self.read.whole
            && !self.cut
            && self.unresolved.is_empty()
            && self.unfinished.is_empty()
            && self.too_early_until.is_none()
            && self.portal.unread.is_none()
            && self
                .may_assume
                .as_ref()
                .is_none_or(SwitchingReport::is_whole)
            && !self.names.is_empty()
            && !self.is_getting_through()
            && self.sessions.iter().all(is_settled)
    }
}

/// Until when it is too early to say whom they became: whoever is not refused yet becomes others still, and what was called
/// until the proof, or until the last of them was denied, is recorded some minutes later.
fn too_early(incident: &Incident, now: Timestamp) -> Option<Timestamp> {
    let until_then = match incident.proven {
        Some(proven) => proven.max(incident.chained_at.unwrap_or(proven)),
        None => now,
    };
    let until = until_then.checked_add(DELIVERED_WITHIN).ok()?;
    Some(until).filter(|until| *until > now)
}

impl SessionReport {
    fn of(
        depth: usize,
        session: &Session,
        fate: Fate,
        calls: &[&Call],
        policy: &PolicyArn,
    ) -> Self {
        let own = calls
            .iter()
            .filter(|call| call.caller.userid == session.userid);
        let ours = BTreeSet::from([policy.clone()]);
        let last = |wanted: &[Ended]| {
            let ended = own
                .clone()
                .filter(|call| wanted.contains(&judge(call, &ours)));
            ended.map(|call| call.at).max()
        };
        let (by, event) = session.by.clone().unzip();
        Self {
            depth,
            userid: session.userid.clone(),
            arn: session.arn.clone(),
            account: session.account.clone(),
            by,
            event,
            also_by: session.also_by.clone(),
            juggled: session.juggled,
            times: session.times,
            since: session.since,
            until: session.until,
            fate,
            last_allowed: last(&[Ended::Allowed, Ended::Unclear]),
            // A right that they never had, or a token that is over, shows nothing of the deny.
            last_refused: last(&[Ended::RefusedByUs]),
        }
    }
}
