//! What happened: events, the state they add up to, and the chain that shows that none is missing.
//!
//! Arrives: [`Event`]s, each recorded *before* the call it announces and *after* the call it reports (R8). Leaves: a
//! [`State`], made by the one transition function, so replaying a journal and recording it are the same thing. Goes
//! wrong: [`JournalError`]; then the call that was about to be made is not made.
//!
//! This module is pure; [`mod@file`] puts the lines on a disk.

pub mod file;

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::facts::{IamUser, Way, Ways};
use crate::ids::*;
use crate::plan::{PlanDigest, StepName};

/// The format of the entries. 2: each line carries its own hash, so that the last one can be checked too. 3: with what an
/// eviction does.
pub const FORMAT: u32 = 3;

/// The oldest that is read: whatever it has, this one has, too.
const OLDEST: u32 = 2;

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Event {
    /// A plan was approved; nothing has been called yet.
    Approved {
        /// The incident.
        incident: IncidentId,
        /// Whom it denies.
        principal: Username,
        /// Who approved, as an ARN.
        operator: String,
        /// `typed` or `flag`.
        how: String,
        /// The plan's digest.
        plan: PlanDigest,
        /// The deny, as it goes to AWS.
        document: String,
        /// In which organization; not in journals of before.
        #[serde(default)]
        organization: Option<OrganizationId>,
        /// Where it is to be attached; not in journals of before.
        #[serde(default)]
        target: Option<TargetId>,
        /// The host that answers, when it is not AWS.
        practice: Option<String>,
    },
    /// An incident was taken up again, to be verified or released; nothing has been called yet.
    TakenUp {
        /// The incident.
        incident: IncidentId,
        /// What for.
        purpose: Purpose,
        /// Who did, as an ARN.
        operator: String,
        /// The gate that was closed and overridden, if any.
        forced_past: Option<String>,
    },
    /// The armed policy or a guardrail is about to be made, or taken away; nothing has been called yet.
    Prepared {
        /// Which.
        purpose: Preparation,
        /// Where it is, or is to be, attached; nowhere, of one that was detached before.
        target: Option<TargetId>,
        /// Who asked, as an ARN.
        operator: String,
        /// The host that answers, when it is not AWS.
        practice: Option<String>,
    },
    /// A change is about to be asked for.
    Started {
        /// Which.
        step: StepName,
    },
    /// A change is so.
    Done {
        /// Which.
        step: StepName,
        /// The policy that it is about.
        policy: PolicyId,
        /// True when it was so already, or was found so by reading back.
        found: bool,
    },
    /// A change was refused, or not tried to the end: it is not so.
    Failed {
        /// Which.
        step: StepName,
        /// AWS's words.
        why: String,
    },
    /// No answer could be read, and reading back did not settle it.
    Unsettled {
        /// Which.
        step: StepName,
        /// The transport's words.
        why: String,
    },
    /// The canaries of one account settled, or ran out of time.
    Looked {
        /// The account.
        account: AccountId,
        /// The verdict, in the words of the reports.
        verdict: String,
        /// The first refusal that was not followed by an allowed call, counted from the first question.
        first_refusal: Option<SignedDuration>,
    },
    /// The canaries begin to be asked. Shown, and not recorded: it changes nothing.
    Asking {
        /// How many accounts.
        accounts: usize,
    },
    /// The canaries are still being asked. Shown, and not recorded: it changes nothing.
    Looking {
        /// Accounts that have settled.
        settled: usize,
        /// Of so many.
        of: usize,
        /// Until the time is up.
        left: SignedDuration,
        /// Why an account of them does not answer.
        why: Option<String>,
    },
    /// What the user can enter, whole, before the first of it is taken away. The first of an incident is what a release
    /// puts back.
    BackedUp {
        /// All of it.
        ways: Box<Ways>,
        /// What was given for a time, and is not to be given back for good.
        #[serde(default)]
        temporary: Vec<Way>,
    },
    /// The same of an IAM user.
    UserBackedUp {
        /// All there is of them.
        user: Box<IamUser>,
    },
    /// A way to new sessions is about to be closed.
    Closing {
        /// Which.
        way: Way,
    },
    /// It is closed.
    Closed {
        /// Which.
        way: Way,
        /// True when it was closed already, or was found so by reading back.
        found: bool,
    },
    /// It is about to be opened again.
    Reopening {
        /// Which.
        way: Way,
    },
    /// It is open again.
    Reopened {
        /// Which.
        way: Way,
        /// True when it was open already, or was found so by reading back.
        found: bool,
    },
    /// A way could not be closed, or not be opened again.
    Stuck {
        /// Which.
        way: Way,
        /// AWS's words.
        why: String,
        /// False when nobody can tell.
        certain: bool,
    },
    /// Something else of eviction's is about to be done.
    Doing {
        /// What.
        deed: Deed,
    },
    /// It is done, or not.
    Did {
        /// What.
        deed: Deed,
        /// Why not; none when it is done.
        why: Option<String>,
    },
    /// No way to new sessions is left.
    Evicted,
    /// The inline policy of a permission set is about to be written, and provisioned to the management account.
    Holding {
        /// Which set.
        permission_set: PermissionSetArn,
        /// Its inline policy as it is, byte for byte; none if it has none.
        from: Option<String>,
        /// As it is to be.
        to: Option<String>,
        /// True when it is to deny the user; false when it is to do so no more.
        denies: bool,
    },
    /// It is written and provisioned.
    Held {
        /// Which set.
        permission_set: PermissionSetArn,
        /// True when it denies the user; false when it does no more.
        denies: bool,
        /// True when it was so already.
        found: bool,
    },
    /// It is not.
    NotHeld {
        /// Which set.
        permission_set: PermissionSetArn,
        /// AWS's words.
        why: String,
    },
    /// Somebody says that they have done what AWS has no interface for.
    Attested {
        /// What, by the checklist's id.
        item: ItemId,
        /// Who says so.
        by: String,
        /// What AWS shows of it, if anything.
        evidence: Option<String>,
    },
    /// Sessions issued from a moment on are let through.
    Readmitted {
        /// The moment.
        sessions_after: Timestamp,
    },
    /// Sessions that the principal became are about to be denied, too.
    Chained {
        /// Which.
        sessions: BTreeSet<SessionUserId>,
    },
    /// Refused everywhere we looked.
    Proven,
    /// The deny is gone.
    Released,
}

/// What eviction does beside closing ways.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "deed", rename_all = "snake_case")]
pub enum Deed {
    /// A request of TEAM's is set to `revoked`, by which TEAM takes back what it gave.
    RevokeTeamRequest {
        /// TEAM's id of it.
        request: String,
    },
    /// SCIM's `active=false`.
    Deactivate {
        /// Whom.
        user: UserId,
    },
    /// `identitystore:DeleteUser`.
    DeleteUser {
        /// Whom.
        user: UserId,
    },
}

/// What an incident is taken up for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// To look again whether the deny holds.
    Verify,
    /// To take it away.
    Release,
    /// To close the ways to new sessions.
    Evict,
    /// To let the person's new sessions through.
    Readmit,
    /// To deny whom the principal became.
    Trace,
}

/// What is done to a policy that is no incident's own: the armed one, a guardrail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Preparation {
    /// `quell prepare arm`.
    Arm,
    /// `quell prepare disarm`.
    Disarm,
    /// `quell guardrail attach`.
    Guard,
    /// `quell guardrail remove`.
    Unguard,
}

/// How far a step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Asked for; no outcome recorded.
    Started,
    /// So.
    Done,
    /// Not so.
    Failed,
    /// Either.
    Unsettled,
}

/// What the events add up to.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct State {
    /// The incident, once approved or asked to release.
    pub incident: Option<IncidentId>,
    /// Whom it denies, once approved.
    pub principal: Option<Username>,
    /// In which organization, once approved.
    pub organization: Option<OrganizationId>,
    /// Where it is or was to be attached.
    pub target: Option<TargetId>,
    /// Whether the armed policy is what it is about.
    pub preparation: Option<Preparation>,
    /// The policy, once known.
    pub policy: Option<PolicyId>,
    /// What the incident was last taken up for; nothing, while it is being contained.
    pub purpose: Option<Purpose>,
    /// Each step that was begun since the incident was last approved or taken up.
    pub steps: Vec<(StepName, Status)>,
    /// Whether AWS has accepted the deny, and nobody here has taken it away since.
    pub contained: bool,
    /// Whether the deny was proven.
    pub proven: bool,
    /// Whether the deny is gone.
    pub released: bool,
    /// What else was or may have been changed since the incident was last taken up, for people.
    pub touched: Vec<String>,
    /// Whether the user was deleted.
    pub user_deleted: bool,
    /// What somebody said that they had done of the checklist.
    pub attested: BTreeSet<ItemId>,
    /// What the user could enter before anything of it was taken away.
    pub backup: Option<Backup>,
    /// The same of an IAM user.
    pub user_backup: Option<Box<IamUser>>,
    /// Each way that was begun to be closed or opened again since the incident was last taken up.
    pub ways: BTreeMap<Way, WayStatus>,
    /// The inline policies that were written to deny the user, each as it was before and as it was written.
    pub held: BTreeMap<PermissionSetArn, Hold>,
}

/// How far a way is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WayStatus {
    /// Asked for; no outcome recorded.
    Begun,
    /// Closed.
    Closed,
    /// Open again.
    Reopened,
    /// As it was.
    Stuck,
    /// Nobody can tell.
    Unsettled,
}

/// What a user could enter before any of it was taken away.
#[derive(Debug, Clone, PartialEq)]
pub struct Backup {
    /// All of it.
    pub ways: Ways,
    /// What of it is not to be given back.
    pub temporary: Vec<Way>,
}

/// An inline policy that was written for the management account's sake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// As it was before, byte for byte.
    pub before: Option<String>,
    /// As it was written last to deny the user.
    pub written: Option<String>,
}

/// An event that cannot follow what went before.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the journal cannot go on so: {0}")]
pub struct Impossible(String);

impl State {
    /// The one transition function.
    ///
    /// # Errors
    /// [`Impossible`], for an outcome of a step that was not started, or a step after the journal was closed.
    pub fn then(mut self, event: &Event) -> Result<Self, Impossible> {
        if let Event::Holding {
            permission_set,
            from,
            to,
            ..
        } = event
            && from != to
        {
            let what = format!("writing the inline policy of {permission_set}");
            self.touched.push(what);
        }
        match event {
            Event::Approved { incident, .. } | Event::TakenUp { incident, .. } => {
                if self
                    .incident
                    .as_ref()
                    .is_some_and(|known| known != incident)
                {
                    return Err(Impossible(format!(
                        "it is another incident's, not {incident}'s"
                    )));
                }
                self.incident = Some(incident.clone());
                if let Event::Approved {
                    principal,
                    organization,
                    target,
                    ..
                } = event
                {
                    self.principal = Some(principal.clone());
                    self.organization.clone_from(organization);
                    self.target.clone_from(target);
                    self.proven = false;
                }
                // What is told after a failure is what this run did: the steps of an earlier one are not its.
                self.steps.clear();
                self.ways.clear();
                self.touched.clear();
                self.purpose = if let Event::TakenUp { purpose, .. } = event {
                    Some(*purpose)
                } else {
                    None
                };
                self.released = false;
            }
            Event::Prepared {
                purpose, target, ..
            } => {
                self.preparation = Some(*purpose);
                self.policy = None;
                self.target.clone_from(target);
                self.steps.clear();
            }
            Event::Started { step } => {
                if self.incident.is_none() && self.preparation.is_none() {
                    return Err(Impossible(format!(
                        "{step:?} was started without an approval"
                    )));
                }
                self.steps.push((*step, Status::Started));
            }
            Event::Done { step, policy, .. } => {
                self.outcome(*step, Status::Done)?;
                self.policy = Some(policy.clone());
                match step {
                    StepName::AttachPolicy | StepName::UpdatePolicy => self.contained = true,
                    StepName::DetachPolicy | StepName::TakeOut => self.contained = false,
                    StepName::CreatePolicy
                    | StepName::RecordProof
                    | StepName::RecordEviction
                    | StepName::NarrowDeny
                    | StepName::RecordChained
                    | StepName::DenyChained
                    | StepName::DeletePolicy
                    | StepName::TagPolicy
                    | StepName::AlignPolicy
                    | StepName::MarkLeaving
                    | StepName::ClearTags => {}
                }
            }
            Event::Failed { step, .. } => self.outcome(*step, Status::Failed)?,
            Event::Unsettled { step, .. } => self.outcome(*step, Status::Unsettled)?,
            Event::BackedUp { ways, temporary } => {
                let backup = self.backup.get_or_insert_with(|| Backup {
                    ways: (**ways).clone(),
                    temporary: Vec::new(),
                });
                backup.temporary.extend(temporary.iter().cloned());
                // What could not be read the first time was there all the same.
                if backup.ways.access_manager.known().is_none() {
                    backup.ways.access_manager = ways.access_manager.clone();
                    backup.ways.entitlements.clone_from(&ways.entitlements);
                }
            }
            Event::Doing { deed } => self.touched.push(match deed {
                Deed::RevokeTeamRequest { request } => format!("revoking TEAM's request {request}"),
                Deed::Deactivate { user } => format!("disabling user {user} by SCIM"),
                Deed::DeleteUser { user } => format!("deleting user {user}"),
            }),
            Event::Did { deed, why } => {
                let deletes = matches!(deed, Deed::DeleteUser { .. });
                self.user_deleted |= deletes && why.is_none();
            }
            Event::UserBackedUp { user } => {
                self.user_backup.get_or_insert_with(|| user.clone());
            }
            Event::Closing { way } | Event::Reopening { way } => {
                self.ways.insert(way.clone(), WayStatus::Begun);
            }
            Event::Closed { way, .. } => self.way(way, WayStatus::Closed)?,
            Event::Reopened { way, .. } => self.way(way, WayStatus::Reopened)?,
            Event::Stuck { way, certain, .. } => {
                let status = match certain {
                    true => WayStatus::Stuck,
                    false => WayStatus::Unsettled,
                };
                self.way(way, status)?;
            }
            Event::Holding {
                permission_set,
                from,
                to,
                denies: true,
            } => match self.held.get_mut(permission_set) {
                Some(hold) if hold.written == *from => hold.written.clone_from(to),
                // It denied them already, by somebody's hand or by a run of which nothing is recorded here.
                _ if from == to => {}
                // Somebody else has written meanwhile: what they wrote is what is to be put back.
                _ => {
                    let hold = Hold {
                        before: from.clone(),
                        written: to.clone(),
                    };
                    self.held.insert(permission_set.clone(), hold);
                }
            },
            Event::Attested { item, .. } => {
                self.attested.insert(item.clone());
            }
            Event::Held { .. }
            | Event::NotHeld { .. }
            // What is put back was known before.
            | Event::Holding { denies: false, .. }
            | Event::Evicted
            | Event::Readmitted { .. }
            | Event::Chained { .. }
            | Event::Looked { .. }
            | Event::Asking { .. }
            | Event::Looking { .. } => {}
            Event::Proven => self.proven = true,
            Event::Released => {
                self.released = true;
                self.contained = false;
            }
        }
        Ok(self)
    }

    fn outcome(&mut self, step: StepName, status: Status) -> Result<(), Impossible> {
        match self.steps.last_mut() {
            Some((last, begun @ Status::Started)) if *last == step => {
                *begun = status;
                Ok(())
            }
            Some(_) | None => Err(Impossible(format!(
                "{step:?} has an outcome and was not started"
            ))),
        }
    }

    fn way(&mut self, way: &Way, status: WayStatus) -> Result<(), Impossible> {
        match self.ways.get_mut(way) {
            Some(begun @ WayStatus::Begun) => {
                *begun = status;
                Ok(())
            }
            Some(_) | None => Err(Impossible(format!(
                "{way:?} has an outcome and was not begun"
            ))),
        }
    }

    /// Whether anything was or may have been changed since then.
    pub fn changed(&self) -> bool {
        let step = self
            .steps
            .iter()
            .any(|(_, status)| *status != Status::Failed);
        let stuck = |status: &WayStatus| *status == WayStatus::Stuck;
        step || !self.ways.values().all(stuck) || !self.touched.is_empty()
    }
}

/// One line of the journal, but for the hash that closes it: the SHA-256 of the text before it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// [`FORMAT`].
    pub format: u32,
    /// Counted from 0, without a gap.
    pub seq: u64,
    /// When, on AWS's clock.
    pub at: Timestamp,
    /// What.
    pub event: Event,
    /// The hash of the line before, 64 hex digits; of nothing for the first.
    pub previous: String,
}

/// What every format of a line has.
#[derive(Deserialize)]
struct Format {
    format: u64,
}

/// Where lines go: a file, or a drill's memory.
pub trait Store {
    /// Makes one line durable. When this returns, a crash does not lose it.
    ///
    /// # Errors
    /// A lower-case fragment: what went wrong, and where.
    fn append(&mut self, line: &str) -> Result<(), String>;
}

impl Store for Vec<String> {
    fn append(&mut self, line: &str) -> Result<(), String> {
        self.push(line.to_owned());
        Ok(())
    }
}

/// The event was not recorded; what it announces must not be done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JournalError {
    /// It cannot follow what went before.
    #[error(transparent)]
    Impossible(#[from] Impossible),
    /// The store failed.
    #[error("the journal cannot be written: {0}")]
    Store(String),
    /// It was written by a newer quell: what it says is not understood, and not doubted either.
    #[error(
        "the journal is of a newer quell: line {line} has format {format}, and this quell reads {FORMAT}"
    )]
    Newer {
        /// The line, from 1.
        line: u64,
        /// Its format.
        format: u64,
    },
    /// What is there is no journal that this version can go on with.
    #[error("the journal cannot be read: {0}")]
    Unreadable(String),
}

/// A journal being written.
pub struct Journal<S> {
    store: S,
    state: State,
    next: u64,
    previous: String,
}

impl<S: Store> Journal<S> {
    /// A journal that goes on after these lines (none, for a new incident).
    ///
    /// # Errors
    /// [`JournalError`], when the lines are not a journal.
    pub fn after(lines: &[String], store: S) -> Result<Self, JournalError> {
        let mut journal = Self {
            store,
            state: State::default(),
            next: 0,
            previous: hash(""),
        };
        for line in lines {
            let number = journal.next + 1;
            let unreadable = |why: &str| JournalError::Unreadable(format!("line {number} {why}"));
            // Before anything else: a newer quell may close its lines in another way.
            let format = serde_json::from_str(line).map(|Format { format }| format);
            if let Ok(format) = format
                && format > u64::from(FORMAT)
            {
                return Err(JournalError::Newer {
                    line: number,
                    format,
                });
            }
            let (body, own) = opened(line).ok_or_else(|| unreadable("is not closed by a hash"))?;
            if hash(body) != own {
                return Err(unreadable("was changed after it was written"));
            }
            if let Ok(format) = format
                && format < u64::from(OLDEST)
            {
                return Err(unreadable(&format!(
                    "has format {format}, and this quell reads {OLDEST} to {FORMAT}"
                )));
            }
            let body = format!("{body}}}");
            let entry: Entry = serde_json::from_str(&body)
                .map_err(|error| unreadable(&format!("is none of this version's: {error}")))?;
            if entry.previous != journal.previous || entry.seq != journal.next {
                return Err(unreadable("does not follow the line before it"));
            }
            journal.state = std::mem::take(&mut journal.state).then(&entry.event)?;
            journal.next += 1;
            journal.previous = own.to_owned();
        }
        Ok(journal)
    }

    /// Records an event durably, and only then takes it into the state.
    ///
    /// # Errors
    /// [`JournalError`]; the state is as before.
    pub fn record(&mut self, at: Timestamp, event: Event) -> Result<(), JournalError> {
        let state = self.state.clone().then(&event)?;
        let entry = Entry {
            format: FORMAT,
            seq: self.next,
            at,
            event,
            previous: self.previous.clone(),
        };
        let body = serde_json::to_string(&entry)
            .map_err(|error| JournalError::Store(error.to_string()))?;
        let body = body.strip_suffix('}').unwrap_or(&body);
        let own = hash(body);
        let line = format!("{body}{CLOSED_BY}{own}\"}}");
        self.store.append(&line).map_err(JournalError::Store)?;
        self.state = state;
        self.next += 1;
        self.previous = own;
        Ok(())
    }

    /// How many entries there are.
    pub fn entries(&self) -> u64 {
        self.next
    }

    /// What happened so far.
    pub fn state(&self) -> &State {
        &self.state
    }
}

/// Checks a whole journal, byte by byte, and returns what it adds up to and how many entries it has. Lines that were cut
/// off its end leave no trace in it: compare the number with what was told elsewhere.
///
/// # Errors
/// [`JournalError`], with the first line that is not as it was written.
pub fn check(bytes: &[u8]) -> Result<(State, u64), JournalError> {
    let text = str::from_utf8(bytes)
        .map_err(|_| JournalError::Unreadable("it is not UTF-8 text".to_owned()))?;
    let whole = match text.strip_suffix('\n') {
        Some(whole) => whole,
        None if text.is_empty() => return Ok((State::default(), 0)),
        None => {
            return Err(JournalError::Unreadable(
                "its last line has no end: a crash cut it, or somebody did".to_owned(),
            ));
        }
    };
    let lines: Vec<String> = whole.split('\n').map(str::to_owned).collect();
    let journal = Journal::after(&lines, Vec::new())?;
    let entries = journal.entries();
    Ok((journal.state, entries))
}

/// A journal of this machine, as far as it can be read.
#[derive(Debug, Clone, PartialEq)]
pub struct Past {
    /// What it is about.
    pub incident: IncidentId,
    /// What it adds up to.
    pub state: Result<State, JournalError>,
}

fn hash(text: &str) -> String {
    hex::encode(Sha256::digest(text))
}

/// Stands between a line's text and its hash.
const CLOSED_BY: &str = ",\"hash\":\"";

/// A line's text and its hash. They are compared as text, so that no byte of a line can change unseen.
fn opened(line: &str) -> Option<(&str, &str)> {
    let (body, rest) = line.rsplit_once(CLOSED_BY)?;
    Some((body, rest.strip_suffix("\"}")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn story() -> Vec<Event> {
        let policy = PolicyId::parse("p-abcdefgh").unwrap();
        vec![
            Event::TakenUp {
                incident: IncidentId::from_bytes([1, 2, 3]),
                purpose: Purpose::Release,
                operator: "arn:x".to_owned(),
                forced_past: None,
            },
            Event::Started {
                step: StepName::DetachPolicy,
            },
            Event::Done {
                step: StepName::DetachPolicy,
                policy,
                found: false,
            },
            Event::Started {
                step: StepName::DeletePolicy,
            },
            Event::Failed {
                step: StepName::DeletePolicy,
                why: "in use".to_owned(),
            },
        ]
    }

    fn written() -> (Vec<String>, State) {
        let mut lines = Vec::new();
        let state = {
            let mut journal = Journal::after(&[], Vec::new()).unwrap();
            for event in story() {
                journal.record(Timestamp::UNIX_EPOCH, event).unwrap();
            }
            lines.append(&mut journal.store);
            journal.state.clone()
        };
        (lines, state)
    }

    #[test]
    fn replaying_a_journal_is_recording_it() {
        let (lines, state) = written();
        assert_eq!(Journal::after(&lines, Vec::new()).unwrap().state, state);
        assert_eq!(
            state.steps.last(),
            Some(&(StepName::DeletePolicy, Status::Failed))
        );
    }

    #[test]
    fn a_journal_from_before_evictions_is_read_and_gone_on_with() {
        let (lines, state) = written();
        let mut previous = hash("");
        let older: Vec<String> = lines
            .iter()
            .map(|line| {
                let (body, _) = opened(line).unwrap();
                let mut entry: Entry = serde_json::from_str(&format!("{body}}}")).unwrap();
                entry.format = OLDEST;
                entry.previous.clone_from(&previous);
                let body = serde_json::to_string(&entry).unwrap();
                let body = body.strip_suffix('}').unwrap();
                previous = hash(body);
                format!("{body}{CLOSED_BY}{previous}\"}}")
            })
            .collect();
        let mut journal = Journal::after(&older, Vec::new()).unwrap();
        assert_eq!(journal.state, state);
        let again = story().swap_remove(3);
        journal.record(Timestamp::UNIX_EPOCH, again).unwrap();
        let both = [older, journal.store].concat();
        assert!(Journal::after(&both, Vec::new()).is_ok());
    }

    #[test]
    fn an_edit_a_removal_and_a_swap_are_found() {
        let (lines, _) = written();
        let mut edited = lines.clone();
        edited[2] = edited[2].replace("abcdefgh", "abcdefgi");
        let mut shorter = lines.clone();
        shorter.remove(1);
        let mut swapped = lines.clone();
        swapped.swap(1, 3);
        for damaged in [edited, shorter, swapped] {
            assert!(Journal::after(&damaged, Vec::new()).is_err());
        }
    }

    /// Every byte of a journal, changed to something else, one at a time.
    #[test]
    fn no_byte_of_a_journal_can_be_changed_unseen() {
        let (lines, _) = written();
        let whole = lines.join("\n") + "\n";
        let found = |bytes: &[u8]| check(bytes).is_err();
        assert!(!found(whole.as_bytes()));
        for at in 0..whole.len() {
            for bit in 0..8 {
                let mut changed = whole.clone().into_bytes();
                changed[at] ^= 1 << bit;
                assert!(found(&changed), "byte {at}, bit {bit}");
            }
            let mut shorter = whole.clone().into_bytes();
            shorter.remove(at);
            assert!(found(&shorter), "without byte {at}");
        }
    }

    #[test]
    fn a_journal_of_another_version_is_said_to_be_one() {
        let (mut lines, _) = written();
        let (body, _) = opened(&lines[0]).unwrap();
        let newer = u64::from(FORMAT) + 1;
        let body = body.replace(
            &format!("\"format\":{FORMAT}"),
            &format!("\"format\":{newer}"),
        );
        lines[0] = format!("{body}{CLOSED_BY}{}\"}}", hash(&body));
        let error = Journal::after(&lines, Vec::new()).err().unwrap();
        let expected = JournalError::Newer {
            line: 1,
            format: newer,
        };
        assert_eq!(error, expected);
    }

    #[test]
    fn an_event_that_could_not_be_stored_did_not_happen() {
        struct Full;
        impl Store for Full {
            fn append(&mut self, _: &str) -> Result<(), String> {
                Err("no space left on device".to_owned())
            }
        }
        let mut journal = Journal::after(&[], Full).unwrap();
        let error = journal
            .record(Timestamp::UNIX_EPOCH, story().remove(0))
            .unwrap_err();
        assert!(error.to_string().contains("no space left"));
        assert_eq!(journal.state, State::default());
    }

    #[test]
    fn a_step_without_an_approval_and_an_outcome_without_a_start_are_impossible() {
        for event in [
            Event::Started {
                step: StepName::CreatePolicy,
            },
            Event::Failed {
                step: StepName::CreatePolicy,
                why: String::new(),
            },
        ] {
            assert!(State::default().then(&event).is_err());
        }
    }
}
