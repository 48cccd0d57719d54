//! The driver's part of eviction: what stands open is read whole and recorded, then closed, then read again.
//!
//! Arrives: an incident whose deny stands. Leaves: no way to new sessions, and that written on the policy, where the wait
//! for the release begins with it. A way that cannot be closed keeps none of the others open. Putting back what was
//! backed up is here, too, by the same rules.

use std::collections::BTreeSet;

use futures_util::FutureExt as _;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use jiff::Timestamp;

use crate::cloud::{
    ChangeAccess as _, Clock as _, Cloud, Lookup, Read, Scim, Trouble, TroubleKind,
};
use crate::contain::{Outcome, settle};
use crate::evict::{self, Person, Whose};
use crate::facts::{Instance, Known, TeamEligibility, TeamRequest, Way, Ways};
use crate::ids::*;
use crate::incident::Incident;
use crate::journal::{Backup, Deed, Event, Store};
use crate::plan::StepName;
use crate::plan::eviction::{Eviction, each};
use crate::policy;
use crate::release::Meanwhile;
use crate::respond::{Response, Stopped, whole_second};
use crate::survey::{self, SurveyError};
use crate::trace::{self, Places};
use crate::trail::portal::{self, AtPortal, is_new};

/// Who revokes, as TEAM shows it.
const BY: &str = "quell";

/// Why something is not done, or not known to be.
pub(super) fn not_done(outcome: &Outcome<()>) -> Option<String> {
    match outcome {
        Outcome::Done(()) | Outcome::Found(()) => None,
        Outcome::Failed(trouble) => Some(trouble.to_string()),
        Outcome::Unsettled(trouble) => {
            Some(format!("{trouble}; nobody can tell whether it was done"))
        }
    }
}

/// What an eviction came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Evicted {
    /// Each way that this run has closed.
    pub closed: Vec<Way>,
    /// Each that it could not, and why.
    pub stuck: Vec<(Way, String)>,
    /// Each that was found open afterwards.
    pub left: Vec<Way>,
    /// Why there may be more, if so.
    pub unread: Option<String>,
    /// Whether AWS remembers it.
    pub recorded: bool,
}

impl Evicted {
    /// Nothing was closed, because it could not be written down before.
    pub(super) fn nothing_closed(open: &[Way]) -> Self {
        Self {
            closed: Vec::new(),
            stuck: Vec::new(),
            left: open.to_vec(),
            unread: None,
            recorded: false,
        }
    }
}

/// What putting back came to.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Restored {
    /// Each way that is open again.
    pub reopened: Vec<Way>,
    /// Each that could not be opened, and why.
    pub stuck: Vec<(Way, String)>,
}

/// Which of the two is done to a way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    Close,
    Reopen,
}

/// Where the user of an incident is; `None` if the directory has nobody whom its deny is about. Somebody of the same name
/// under another id is whom a synchronization has made anew: their sessions are named alike.
///
/// # Errors
/// [`SurveyError`], also where nobody remembers whom the incident denies.
pub async fn user_of(
    read: &impl Read,
    incident: &Incident,
) -> Result<(Instance, Option<UserId>), SurveyError> {
    let organization = survey::organization(read).await?;
    let instance = survey::instance(read, &organization).await?;
    if let Some(id) = &incident.user_id
        && read.user(&instance, id).await?.is_some()
    {
        return Ok((instance, Some(id.clone())));
    }
    let mut names: Vec<&str> = incident
        .session_names
        .iter()
        .map(SessionName::as_str)
        .collect();
    names.extend(incident.principal.as_ref().map(Username::as_str));
    if names.is_empty() && incident.user_id.is_none() {
        return Err(SurveyError::Trouble(Trouble {
            operation: "organizations:ListTagsForResource",
            kind: TroubleKind::Refused,
            detail: "nobody remembers whom the incident denies".to_owned(),
        }));
    }
    for name in names {
        if let Some(id) = read.find_user(&instance, Lookup::Username, name).await? {
            return Ok((instance, Some(id)));
        }
    }
    Ok((instance, None))
}

/// What a release must know of the directory now. What cannot be read is unknown, and keeps a gate closed.
pub async fn meanwhile<C: Cloud>(
    cloud: &C,
    incident: &Incident,
    policy: &PolicyId,
    roles: &[RoleName],
) -> Meanwhile {
    let read = cloud.read();
    let undenied = undenied(read, incident, policy).await;
    let unknown = |why: String| Meanwhile {
        sign_ins: Known::Unknown(why.clone()),
        open: Known::Unknown(why),
        unread: None,
        permission_sets: Default::default(),
        grants: Vec::new(),
        undenied: undenied.clone(),
    };
    let (instance, user) = match user_of(read, incident).await {
        Ok(found) => found,
        Err(error) => return unknown(error.to_string()),
    };
    let ways = match &user {
        None => Ok(None),
        Some(user) => survey::ways(read, cloud.clock(), &instance, user).await,
    };
    let ways = match ways {
        Ok(ways) => ways,
        Err(trouble) => return unknown(trouble.to_string()),
    };
    let mut unread = ways.as_ref().and_then(unread);
    let grants = match (&ways, &incident.team_table) {
        (Some(ways), Some(table)) => team_requests(read, &instance, table, ways).await,
        (_, None) | (None, _) => Ok(Vec::new()),
    };
    let grants = grants.unwrap_or_else(|trouble| {
        unread.get_or_insert(trouble.to_string());
        Vec::new()
    });
    let sets = incident.permission_sets.iter();
    Meanwhile {
        open: Known::Known(ways.iter().flat_map(each).collect()),
        unread,
        permission_sets: survey::permission_sets(read, &instance, sets).await,
        grants: grants.into_iter().filter(TeamRequest::may_give).collect(),
        undenied,
        sign_ins: sign_ins(cloud, incident, &instance, roles).await,
    }
}

/// What is new at the portal since the person was contained.
async fn sign_ins<C: Cloud>(
    cloud: &C,
    incident: &Incident,
    instance: &Instance,
    roles: &[RoleName],
) -> Known<Vec<AtPortal>> {
    let unknown = |why: &str| Known::Unknown(why.to_owned());
    match (&instance.owner, &instance.primary_region) {
        (Some(owner), Some(region)) => {
            new_sign_ins(cloud, incident, owner, vec![region.clone()], roles).await
        }
        (None, _) => unknown("AWS does not say whose the Identity Center instance is"),
        (Some(_), None) => unknown("AWS does not say in which Region Identity Center is"),
    }
}

/// What is new of it in one account: sign-ins since the incident was opened, and sessions since the last way to them was
/// closed. Without Regions, in those that every account has. It takes its time, so it is not asked before the wait is over
/// by what is remembered: the gate is closed until then.
pub(super) async fn new_sign_ins<C: Cloud>(
    cloud: &C,
    incident: &Incident,
    account: &AccountId,
    regions: Vec<Region>,
    roles: &[RoleName],
) -> Known<Vec<AtPortal>> {
    let (read, now) = (cloud.read(), cloud.clock().now());
    let is_over = |until: Timestamp| until <= now;
    let (Some(opened), Some(evicted), true) = (
        incident.opened,
        incident.evicted,
        incident.release_not_before().is_some_and(is_over),
    ) else {
        return Known::Unknown("it is not asked before the wait is over".to_owned());
    };
    let caller = match read.caller().await {
        Ok(caller) => caller,
        Err(trouble) => return Known::Unknown(trouble.to_string()),
    };
    let partition = caller.arn.split(':').nth(1).unwrap_or("aws");
    let since_opened = Places {
        own: caller.account.clone(),
        regions: match regions.is_empty() {
            true => trace::usual_regions(partition, &[]),
            false => regions,
        },
        roles: roles.to_vec(),
        session: incident.id.control_name(),
        from: opened,
    };
    let since_evicted = Places {
        from: evicted,
        ..since_opened.clone()
    };
    let asked: &[(&Places, &[&str])] = match incident.is_of_iam_user() {
        true => &[(&since_opened, &[portal::CONSOLE_LOGIN])],
        false => &[
            (&since_opened, &portal::OF_SIGN_INS),
            (&since_evicted, &portal::OF_SESSIONS),
        ],
    };
    let mut new = Vec::new();
    for (places, events) in asked {
        match trace::at_portal(read, places, account, incident, events).await {
            Ok(found) => new.extend(found.into_iter().filter(|what| is_new(what, incident))),
            Err(why) => return Known::Unknown(why),
        }
    }
    Known::Known(new)
}

/// Sessions that an incident's principal became, by its tags, and that its policy's document does not deny; all of them,
/// where it cannot be read.
pub async fn undenied(
    read: &impl Read,
    incident: &Incident,
    policy: &PolicyId,
) -> BTreeSet<SessionUserId> {
    if incident.chained.is_empty() {
        return BTreeSet::new();
    }
    let deny = trace::deny_of(read, policy, &incident.id).await;
    let there = deny.map(|deny| policy::session_user_ids_in(&deny));
    let there = there.unwrap_or_default();
    incident.chained.difference(&there).cloned().collect()
}

/// Why there may be more ways than these, if so.
fn unread(ways: &Ways) -> Option<String> {
    match &ways.access_manager {
        Known::Known(_) => None,
        Known::Unknown(why) => Some(why.clone()),
    }
}

/// TEAM's requests of a user, of any status.
///
/// # Errors
/// [`Trouble`], when the table cannot be read; also without an e-mail address, by which TEAM knows people.
pub async fn team_requests(
    read: &impl Read,
    instance: &Instance,
    table: &str,
    ways: &Ways,
) -> Result<Vec<TeamRequest>, Trouble> {
    let Some(email) = &ways.user.email else {
        return Err(Trouble {
            operation: "dynamodb:Query",
            kind: TroubleKind::Refused,
            detail: "TEAM knows people by their e-mail address, and the user has none".to_owned(),
        });
    };
    let mut requests = read.team_requests(instance, table, email).await?;
    // TEAM spells what it got from its own sign-in, which writes some in lower case (aws-facts §3).
    let lower = email.to_lowercase();
    if lower != *email {
        requests.extend(read.team_requests(instance, table, &lower).await?);
    }
    Ok(requests)
}

/// What the user may ask TEAM for, as themselves or as one of a group.
///
/// # Errors
/// [`Trouble`], when the table cannot be read.
pub async fn team_eligibility(
    read: &impl Read,
    instance: &Instance,
    table: &str,
    ways: &Ways,
) -> Result<Vec<TeamEligibility>, Trouble> {
    let groups = ways.memberships.keys().map(GroupId::to_string);
    let ids: Vec<String> = [ways.user.id.to_string()]
        .into_iter()
        .chain(groups)
        .collect();
    read.team_eligibility(instance, table, &ids).await
}

impl<C: Cloud, S: Store> Response<'_, C, S> {
    /// Closes every way that was [backed up](Self::back_up), reads whether any is left, and writes that none is on the policy. Where not all could be read,
    /// somebody must answer for the rest.
    ///
    /// # Errors
    /// [`Stopped`]; the journal's state says how far it came, and running it again goes on.
    pub async fn evict(
        &mut self,
        incident: &mut Incident,
        policy: &PolicyId,
        instance: &Instance,
        eviction: &Eviction,
        answered_for: bool,
    ) -> Result<Evicted, Stopped> {
        let (read, clock) = (self.cloud.read(), self.cloud.clock());
        let user = &eviction.ways.user.id;
        let longest = eviction.session.as_ref().map(|session| session.longest);
        let learn = |incident: &mut Incident| {
            let sets = eviction.ways.permission_sets.keys().cloned();
            incident.permission_sets.extend(sets);
            incident.longest_session = incident.longest_session.max(longest);
        };
        let (mut closed, mut stuck) = (Vec::new(), Vec::new());
        if !eviction.steps.is_empty() {
            // Sessions may have been minted until now. And what their longest is cannot be read any more when it is done:
            // so both are written before.
            learn(incident);
            if !self.waits_no_more(incident, policy).await? {
                return Ok(Evicted::nothing_closed(&eviction.steps));
            }
            let whose = Whose::Directory(Person { instance, user });
            (closed, stuck) = self.walk(Direction::Close, whose, &eviction.steps).await?;
        }
        let ways = survey::ways(read, clock, instance, user).await;
        let ways = ways.map_err(Stopped::Read)?;
        let left: Vec<Way> = ways.iter().flat_map(each).collect();
        let unread = ways.as_ref().and_then(unread).filter(|_| !answered_for);
        let mut recorded = true;
        if left.is_empty() && unread.is_none() {
            let closed = !closed.is_empty();
            recorded = self.none_left(incident, policy, closed, learn).await?;
        }
        Ok(Evicted {
            closed,
            stuck,
            left,
            unread,
            recorded,
        })
    }

    /// Records what the user can enter, before anything of it is taken away.
    ///
    /// # Errors
    /// [`Stopped::Journal`].
    pub fn back_up(&mut self, eviction: &Eviction) -> Result<(), Stopped> {
        if eviction.steps.is_empty() {
            return Ok(());
        }
        self.record(Event::BackedUp {
            ways: Box::new(eviction.ways.clone()),
            temporary: eviction.temporary.clone(),
        })
    }

    /// Notes that no way is left where there is no user any more, or where somebody answers for it.
    ///
    /// # Errors
    /// [`Stopped::Journal`].
    pub async fn evicted_by_word(
        &mut self,
        incident: &mut Incident,
        policy: &PolicyId,
    ) -> Result<bool, Stopped> {
        self.none_left(incident, policy, false, |_| {}).await
    }

    /// Sessions may be minted while ways are being closed, so the wait that has begun is stopped before. Where that cannot be
    /// written, none may be closed: closed, nothing would keep a release from counting from the earlier eviction.
    ///
    /// # Errors
    /// [`Stopped::Journal`].
    pub(super) async fn waits_no_more(
        &mut self,
        incident: &mut Incident,
        policy: &PolicyId,
    ) -> Result<bool, Stopped> {
        let waiting = incident.evicted.is_some();
        let written = self.stop_waiting(incident, policy).await?;
        Ok(written || !waiting)
    }

    /// Notes that no way is left, and what was learned with it; whether that is on the policy. The wait begins anew where one
    /// was closed just now.
    ///
    /// # Errors
    /// [`Stopped::Journal`].
    pub(super) async fn none_left(
        &mut self,
        incident: &mut Incident,
        policy: &PolicyId,
        closed: bool,
        learn: impl FnOnce(&mut Incident),
    ) -> Result<bool, Stopped> {
        let now = whole_second(self.cloud.clock().now());
        self.record(Event::Evicted)?;
        let apply = |incident: &mut Incident| {
            learn(incident);
            match incident.evicted {
                Some(_) if !closed => {}
                // Of two who evicted at once, the later.
                before => incident.evicted = before.max(Some(now)),
            }
        };
        let step = StepName::RecordEviction;
        self.remember(incident, policy, step, apply).await
    }

    /// Sets TEAM's requests to `revoked`; those that can still give access afterwards. TEAM takes back what it gave in its
    /// own time, so what is assigned is closed all the same.
    ///
    /// # Errors
    /// [`Stopped::Journal`].
    pub async fn revoke_team(
        &mut self,
        instance: &Instance,
        table: &str,
        requests: &[TeamRequest],
    ) -> Result<Vec<TeamRequest>, Stopped> {
        let (change, clock) = (self.cloud.change(), self.cloud.clock());
        let mut left = Vec::new();
        for request in requests {
            let deed = Deed::RevokeTeamRequest {
                request: request.id.clone(),
            };
            self.record(Event::Doing { deed: deed.clone() })?;
            // Setting it twice is setting it once, so a lost answer is asked for again.
            let call = || change.revoke_team_request(instance, table, &request.id, BY);
            let outcome = settle(clock, call, || async { Ok(None) }).await;
            let why = not_done(&outcome);
            if why.is_some() {
                left.push(request.clone());
            }
            self.record(Event::Did { deed, why })?;
        }
        Ok(left)
    }

    /// Disables the user by SCIM; whether that was taken.
    ///
    /// # Errors
    /// [`Stopped::Journal`].
    pub async fn deactivate(&mut self, scim: &Scim, user: &UserId) -> Result<bool, Stopped> {
        let (change, clock) = (self.cloud.change(), self.cloud.clock());
        let deed = Deed::Deactivate { user: user.clone() };
        self.record(Event::Doing { deed: deed.clone() })?;
        // Saying it twice is saying it once.
        let outcome = settle(
            clock,
            || change.deactivate(scim, user),
            || async { Ok(None) },
        )
        .await;
        let why = not_done(&outcome);
        let taken = why.is_none();
        self.record(Event::Did { deed, why })?;
        Ok(taken)
    }

    /// Deletes the user; whether they are gone.
    ///
    /// # Errors
    /// [`Stopped::Journal`].
    pub async fn delete_user(
        &mut self,
        instance: &Instance,
        user: &UserId,
    ) -> Result<bool, Stopped> {
        let (read, change, clock) = (self.cloud.read(), self.cloud.change(), self.cloud.clock());
        let deed = Deed::DeleteUser { user: user.clone() };
        self.record(Event::Doing { deed: deed.clone() })?;
        let call = || change.delete_user(instance, user);
        let look = || async { Ok(read.user(instance, user).await?.is_none().then_some(())) };
        let outcome = settle(clock, call, look).await;
        let why = not_done(&outcome);
        let gone = why.is_none();
        self.record(Event::Did { deed, why })?;
        Ok(gone)
    }

    /// Records what somebody says that they have done.
    ///
    /// # Errors
    /// [`Stopped::Journal`].
    pub async fn attest(
        &mut self,
        incident: &mut Incident,
        policy: &PolicyId,
        item: &ItemId,
        by: &str,
        evidence: Option<String>,
    ) -> Result<bool, Stopped> {
        self.record(Event::Attested {
            item: item.clone(),
            by: by.to_owned(),
            evidence,
        })?;
        let step = StepName::RecordEviction;
        let apply = |incident: &mut Incident| {
            incident.attested.insert(item.clone());
        };
        self.remember(incident, policy, step, apply).await
    }

    /// Opens again what the backup has and is not open.
    ///
    /// # Errors
    /// [`Stopped`]; running it again goes on.
    pub async fn restore(
        &mut self,
        instance: &Instance,
        backup: &Backup,
    ) -> Result<Restored, Stopped> {
        let (read, clock) = (self.cloud.read(), self.cloud.clock());
        let user = &backup.ways.user.id;
        let now = survey::ways(read, clock, instance, user).await;
        let now: Vec<Way> = now.map_err(Stopped::Read)?.iter().flat_map(each).collect();
        let is_missing = |way: &Way| !now.contains(way) && !backup.temporary.contains(way);
        let missing: Vec<Way> = each(&backup.ways).into_iter().filter(is_missing).collect();
        let whose = Whose::Directory(Person { instance, user });
        let (reopened, stuck) = self.walk(Direction::Reopen, whose, &missing).await?;
        Ok(Restored { reopened, stuck })
    }

    /// Closes or reopens ways, some at a time, each recorded before and after.
    pub(super) async fn walk(
        &mut self,
        direction: Direction,
        whose: Whose<'_>,
        ways: &[Way],
    ) -> Result<(Vec<Way>, Vec<(Way, String)>), Stopped> {
        let cloud = self.cloud;
        let (read, change, clock) = (cloud.read(), cloud.change(), cloud.clock());
        let (mut done, mut stuck) = (Vec::new(), Vec::new());
        let mut under_way = FuturesUnordered::new();
        let mut next = ways.iter();
        loop {
            while under_way.len() < evict::AT_ONCE
                && let Some(way) = next.next()
            {
                let way = way.clone();
                self.record(match direction {
                    Direction::Close => Event::Closing { way: way.clone() },
                    Direction::Reopen => Event::Reopening { way: way.clone() },
                })?;
                let one = async move {
                    let outcome = match direction {
                        Direction::Close => evict::close(read, change, clock, whose, &way).await,
                        Direction::Reopen => evict::reopen(read, change, clock, whose, &way).await,
                    };
                    (way, outcome)
                };
                // Without its type, which is too deep for the compiler.
                under_way.push(one.boxed_local());
            }
            let Some((way, outcome)) = under_way.next().await else {
                return Ok((done, stuck));
            };
            let found = matches!(outcome, Outcome::Found(()));
            match outcome {
                Outcome::Done(()) | Outcome::Found(()) => {
                    done.push(way.clone());
                    self.record(match direction {
                        Direction::Close => Event::Closed { way, found },
                        Direction::Reopen => Event::Reopened { way, found },
                    })?;
                }
                Outcome::Failed(trouble) => self.stuck(way, &trouble, true, &mut stuck)?,
                Outcome::Unsettled(trouble) => self.stuck(way, &trouble, false, &mut stuck)?,
            }
        }
    }

    fn stuck(
        &mut self,
        way: Way,
        trouble: &Trouble,
        certain: bool,
        stuck: &mut Vec<(Way, String)>,
    ) -> Result<(), Stopped> {
        let why = trouble.to_string();
        stuck.push((way.clone(), why.clone()));
        self.record(Event::Stuck { way, why, certain })
    }
}
