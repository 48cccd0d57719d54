//! What happens as time passes: everything arranged for a moment ([`What`]), and everybody who calls by themselves
//! ([`Actor`]), in the order of their moments.
//!
//! Things that were arranged come before calls of the same moment, and among themselves in the order in which they were
//! arranged, so the same seed always tells the same story.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::ids::*;
use crate::range::directory::orders;
use crate::range::portal::Way;
use crate::range::state::{Assignment, Session, State};
use crate::range::team::Does;
use crate::range::trails;
use crate::range::wire;

/// How long an actor waits after a call that was not answered.
const WHEN_REFUSED: SignedDuration = SignedDuration::from_mins(3);

/// A session that somebody keeps alive by chaining is given up for the next so long before it ends.
const BEFORE_THE_END: SignedDuration = SignedDuration::from_mins(20);

/// What can be arranged to happen by itself.
#[derive(Debug, Clone)]
pub enum What {
    /// Somebody gives out an assignment, its reserved role with it.
    AddAssignment(Assignment),
    /// Somebody takes one away.
    RemoveAssignment(Assignment),
    /// Somebody puts a user into a group.
    AddMembership(UserId, GroupId),
    /// Somebody changes how long a set's sessions live: ISO 8601, `PT12H`.
    SetDuration(PermissionSetArn, String),
    /// An identity provider puts users back into their groups, again and again.
    Sync(Sync),
    /// An asynchronous request to Identity Center ends: its id.
    Finish(String),
    /// TEAM does something with one of its requests: the request's id.
    Team(Does, String),
}

/// A SCIM synchronization: what the identity provider says overwrites what was done here (aws-facts §9).
#[derive(Debug, Clone)]
pub struct Sync {
    /// How often.
    pub every: SignedDuration,
    /// Who is in which group, if you ask the provider.
    pub memberships: Vec<(UserId, GroupId)>,
}

/// Somebody who calls by themselves.
#[derive(Debug, Clone)]
pub struct Actor {
    /// For the record.
    pub name: String,
    /// Whether they are whom the drill contains.
    pub attacker: bool,
    /// The session they call with.
    pub key: String,
    /// How often.
    pub every: SignedDuration,
    /// When next.
    pub next: Timestamp,
    /// Whether they get a fresh session when theirs has expired: honest people sign in again.
    pub renews: bool,
    /// The token of a portal session that they keep. Who has one gets a session there for every way they still have, at
    /// each of their moments, and calls with every session they hold; `every` is then the longest between two moments,
    /// which are drawn.
    pub portal: Option<String>,
    /// The sessions they got at the portal, one for each way: access keys.
    pub held: BTreeMap<Way, String>,
    /// The roles that they go through, if they chain.
    pub chain: Option<Chain>,
    /// What they call.
    pub calls: Calls,
}

/// What an actor calls.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Calls {
    /// The list of buckets.
    #[default]
    Buckets,
    /// `iam:CreateLoginProfile`, for the IAM user of this name in their own account: a console password.
    Password(String),
}

/// How somebody chains: each role is assumed with the session of the one before, and the first with the actor's own. After
/// the last comes the first again, for an hour each time, for as long as nobody refuses (aws-facts §2).
#[derive(Debug, Clone, Default)]
pub struct Chain {
    /// Role ARNs and the names that the sessions get.
    pub hops: Vec<(String, String)>,
    /// How many roles were assumed so far.
    pub done: usize,
}

/// How one call of an actor ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sighting {
    /// When.
    pub at: Timestamp,
    /// Which actor, by index.
    pub actor: usize,
    /// Whether it was with a session in the management account, where no SCP applies.
    pub in_management: bool,
    /// How.
    pub ended: Ended,
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Answered.
    Allowed,
    /// Refused by policy.
    Refused,
    /// The session was over.
    Expired,
}

impl State {
    /// Arranges something for a moment; for one that is over, it happens as soon as the clock moves or anybody calls.
    pub fn later(&mut self, at: Timestamp, what: What) {
        // Among what one moment holds, the last number is the newest.
        let number = self
            .agenda
            .range((at, 0)..=(at, u64::MAX))
            .next_back()
            .map_or(0, |((_, number), _)| number.saturating_add(1));
        self.agenda.insert((at, number), what);
    }

    /// Moves the clock to a moment; everything that was arranged meanwhile happens, and everybody who meant to call
    /// does, in order.
    pub fn advance(&mut self, by: SignedDuration) {
        let until = self.now + by;
        loop {
            let due = self.next_due().filter(|at| *at <= until);
            let actor = self.next_actor().filter(|(_, at)| *at <= until);
            match (due, actor) {
                (Some(due), actor) if actor.is_none_or(|(_, at)| due <= at) => {
                    self.happen_until(due)
                }
                (_, Some((i, at))) => {
                    self.now = self.now.max(at);
                    self.act(i);
                }
                (_, None) => break,
            }
        }
        self.now = until;
    }

    /// Everything that was arranged for this moment or earlier happens, each at its own moment. A clock that moves by
    /// itself has passed them.
    pub(super) fn happen_until(&mut self, until: Timestamp) {
        let now = self.now.max(until);
        while let Some(((at, _), what)) = self
            .agenda
            .first_key_value()
            .map(|(at, what)| (*at, what.clone()))
            && at <= until
        {
            self.agenda.pop_first();
            self.now = at;
            self.happen(what);
        }
        self.now = now;
    }

    fn next_due(&self) -> Option<Timestamp> {
        self.agenda.first_key_value().map(|((at, _), _)| *at)
    }

    fn happen(&mut self, what: What) {
        match what {
            What::AddAssignment(assignment) => self.assign(assignment),
            What::RemoveAssignment(assignment) => {
                self.unassign(&assignment);
            }
            What::AddMembership(user, group) => self.join(&user, &group),
            What::SetDuration(set, duration) => {
                if let Some(set) = self.directory.sets.get_mut(&set) {
                    set.duration = Some(duration);
                }
            }
            What::Sync(sync) => {
                for (user, group) in &sync.memberships {
                    self.join(user, group);
                }
                // Without a pause in between, the first of them would never be over.
                let pause = sync.every.max(SignedDuration::from_secs(1));
                self.later(self.now + pause, What::Sync(sync));
            }
            What::Finish(order) => orders::finish(self, &order),
            What::Team(does, request) => self.team_does(does, &request),
        }
    }

    /// Puts a user into a group, where both are there.
    fn join(&mut self, user: &UserId, group: &GroupId) {
        if let Some(user) = self.directory.users.get_mut(user)
            && self.directory.groups.contains_key(group)
        {
            user.groups.insert(group.clone());
        }
    }

    fn next_actor(&self) -> Option<(usize, Timestamp)> {
        self.actors
            .iter()
            .enumerate()
            .map(|(i, actor)| (i, actor.next))
            .min_by_key(|(_, at)| *at)
    }

    /// One call of one actor, through the same gate as everybody's.
    fn act(&mut self, i: usize) {
        let Some(actor) = self.actors.get(i).cloned() else {
            return;
        };
        if actor.renews {
            self.renew(&actor.key);
        }
        let actor = match actor.chain.clone() {
            Some(chain) => self.chained(actor, chain),
            None => actor,
        };
        let held = match &actor.portal {
            Some(token) => self.at_the_portal(token, actor.held),
            None => BTreeMap::new(),
        };
        let (key, chain) = (actor.key, actor.chain);
        let own = (!key.is_empty()).then_some(&key);
        let mut allowed = false;
        for key in own.into_iter().chain(held.values()) {
            let ended = self.call_as(key, &actor.calls);
            allowed |= ended == Ended::Allowed;
            let session = self.sessions.get(key);
            let in_management = session.is_some_and(|it| it.account == self.management);
            self.seen.push(Sighting {
                at: self.now,
                actor: i,
                in_management,
                ended,
            });
        }
        // Whoever is refused tries again, less often: a loop with a back-off, as attackers' tools have.
        let mut wait = if allowed {
            actor.every
        } else {
            actor.every.max(WHEN_REFUSED)
        };
        if actor.portal.is_some() {
            let most = i64::try_from(wait.as_millis()).unwrap_or(i64::MAX);
            wait = SignedDuration::from_millis(self.dice.i64(1..=most.max(1)));
        }
        if let Some(actor) = self.actors.get_mut(i) {
            actor.next = self.now + wait;
            actor.held = held;
            (actor.key, actor.chain) = (key, chain);
        }
    }

    /// A new session for every way that the portal session still has, beside those held before that still run: of two
    /// on the same way the one that lives longer, because a set's duration may be cut while they wait.
    fn at_the_portal(
        &mut self,
        token: &str,
        mut held: BTreeMap<Way, String>,
    ) -> BTreeMap<Way, String> {
        let now = self.now;
        held.retain(|_, key| {
            let session = self.sessions.get(key);
            let runs = session.is_some_and(|it| it.expires.is_none_or(|end| end > now));
            // What is over is of no use to anybody, and a week of it would fill the machine.
            if !runs {
                self.sessions.remove(key);
            }
            runs
        });
        let Some(user) = self.portals.get(token).cloned() else {
            return held;
        };
        for way in self.ways_of(&user) {
            let Some(fresh) = self.mint_unasked(&user, &way) else {
                continue;
            };
            let of = |key: &String| self.sessions.get(key);
            let better = |old: &Session, new: &Session| {
                old.user_id == new.user_id && old.expires > new.expires
            };
            let keeps = held
                .get(&way)
                .and_then(of)
                .zip(of(&fresh))
                .is_some_and(|(old, new)| better(old, new));
            let spare = if keeps {
                Some(fresh)
            } else {
                held.insert(way, fresh)
            };
            if let Some(spare) = spare {
                self.sessions.remove(&spare);
            }
        }
        held
    }

    /// Whoever chains, with the session that they go on with: the chain's last once it was gone through, and then a
    /// fresh one of the next role before each ends.
    fn chained(&mut self, mut actor: Actor, mut chain: Chain) -> Actor {
        loop {
            let ends = self.sessions.get(&actor.key).and_then(|it| it.expires);
            let ends_soon = ends.is_some_and(|end| end < self.now + BEFORE_THE_END);
            let begun = chain.done >= chain.hops.len();
            let place = chain.done.checked_rem(chain.hops.len());
            let hop = place.and_then(|place| chain.hops.get(place));
            let next = match hop {
                Some((role, name)) if !begun || ends_soon => self.assume_as(&actor.key, role, name),
                Some(_) | None => None,
            };
            let Some(next) = next else {
                actor.chain = Some(chain);
                return actor;
            };
            chain.done += 1;
            actor.key = next;
        }
    }

    /// Assumes a role with a session, over the wire; the new session's access key, if it was given.
    fn assume_as(&mut self, key: &str, role: &str, name: &str) -> Option<String> {
        let session = self.sessions.get(key);
        let token = session.and_then(|session| session.token.clone());
        let request = wire::assuming(key, token.as_deref(), role, name);
        let answer = wire::answer(self, &request)?;
        self.calls.pop();
        let text = String::from_utf8_lossy(answer.body()).into_owned();
        trails::given_in(&text).map(str::to_owned)
    }

    /// One call with one session.
    fn call_as(&mut self, key: &str, calls: &Calls) -> Ended {
        let token = self
            .sessions
            .get(key)
            .and_then(|session| session.token.clone());
        let request = match calls {
            Calls::Buckets => wire::as_actor(key, token.as_deref()),
            Calls::Password(user) => wire::wanting_a_password(key, token.as_deref(), user),
        };
        let answer = wire::answer(self, &request);
        let status = answer.as_ref().map_or(0, |answer| answer.status().as_u16());
        let error = answer
            .as_ref()
            .and_then(|answer| answer.headers().get("x-amzn-errortype"));
        let expired = error.is_some_and(|error| error == "ExpiredToken");
        // Actors would drown the record of everybody else's calls.
        self.calls.pop();
        match status {
            200 => Ended::Allowed,
            // Who has a password already was allowed to ask for one.
            409 => Ended::Allowed,
            _ if expired => Ended::Expired,
            _ => Ended::Refused,
        }
    }

    /// A fresh session under the same key, if the old one is over.
    fn renew(&mut self, key: &str) {
        let now = self.now;
        if let Some(session) = self.sessions.get_mut(key)
            && let (Some(issued), Some(expires)) = (session.issued, session.expires)
            && expires <= now
        {
            session.expires = Some(now + expires.duration_since(issued));
            session.issued = Some(now);
        }
    }
}
