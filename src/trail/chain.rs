//! Who became whom: sessions that were made with sessions, from the principal's own on.
//!
//! Arrives: the calls of the principal, and then those of each session that was made by a call that arrived before; which
//! are to be looked up next is said ([`Walk::to_ask`]). Leaves: every session as one of an identity ([`Session`]), with who
//! became it first. Pure.
//!
//! Sessions of one role and one name are one identity, however often they were made, so whoever goes round (A makes B, B
//! makes A again, because a chained session lives an hour at most) is found as a loop and not followed for ever.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use jiff::Timestamp;

use crate::ids::*;
use crate::policy::document::Document;
use crate::trail::{Bearer, Call, Gave};

/// At most so many access keys are followed; more is said.
pub const MOST_KEYS: usize = 400;

/// One identity that was reached.
#[derive(Debug, Clone, PartialEq)]
pub struct Session {
    /// Its `aws:userid`.
    pub userid: String,
    /// Its ARN, or empty.
    pub arn: String,
    /// The account that it is in.
    pub account: AccountId,
    /// Who became it first, and by which call; `None` of the principal's own.
    pub by: Option<(String, String)>,
    /// Others who became it.
    pub also_by: BTreeSet<String>,
    /// Whether somebody became it who had come from it: whoever does that lives on for as long as nobody refuses.
    pub juggled: bool,
    /// How many sessions of it were made.
    pub times: usize,
    /// When the first was made, or seen first.
    pub since: Timestamp,
    /// When the last was made, or seen last.
    pub last: Timestamp,
    /// When the last of them ends at the latest; `None` of a long-term key.
    pub until: Option<Timestamp>,
    /// Its source identity.
    pub source_identity: Option<String>,
}

impl Session {
    /// Whether it is one that the principal became, and not theirs from the beginning.
    pub fn is_chained(&self) -> bool {
        self.by.is_some()
    }

    /// Whether one of them can be alive.
    pub fn is_alive(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| until > now)
    }

    /// Whether a deny refuses them.
    pub fn is_denied_by(&self, deny: &Document, now: Timestamp) -> bool {
        let bearer = Bearer {
            userid: self.userid.clone(),
            source_identity: self.source_identity.clone(),
            issued: Some(self.last),
        };
        bearer.is_denied_by(deny, now)
    }
}

/// The walk.
#[derive(Debug, Clone, Default)]
pub struct Walk {
    sessions: BTreeMap<String, Session>,
    /// Whose each access key is.
    keys: BTreeMap<AccessKeyId, String>,
    /// Keys whose calls are to be looked up, and in which account.
    open: VecDeque<(AccountId, AccessKeyId)>,
    seen: BTreeSet<String>,
    /// Roles that were assumed, with the names of the sessions, where the record does not have the session.
    unresolved: BTreeSet<(String, String)>,
    cut: bool,
}

impl Walk {
    /// A call that the principal made in a session of their own.
    pub fn root(&mut self, call: &Call) {
        let who = &call.caller;
        if let Some(key) = &who.key {
            self.keys.insert(key.clone(), who.userid.clone());
        }
        let since = who.issued.unwrap_or(call.at);
        let entry = self.sessions.entry(who.userid.clone());
        let session = entry.or_insert_with(|| Session {
            userid: who.userid.clone(),
            arn: who.arn.clone(),
            account: call.account.clone(),
            by: None,
            also_by: BTreeSet::new(),
            juggled: false,
            times: 0,
            since,
            last: since,
            until: who.ends_by(),
            source_identity: who.source_identity.clone(),
        });
        session.until = session.until.max(who.ends_by());
        session.since = session.since.min(since);
        session.last = session.last.max(call.at);
        self.take(call);
    }

    /// A session of the principal's own, by the record of its giving out: Identity Center enters an account by
    /// `AssumeRoleWithSAML`, and whoever calls that is nobody with a session. Its access key is not the one that the session
    /// calls with, so nobody is followed by it.
    pub fn given(&mut self, call: &Call, gave: &Gave) {
        let Some(userid) = &gave.userid else { return };
        let entry = self.sessions.entry(userid.to_string());
        let session = entry.or_insert_with(|| Session {
            userid: userid.to_string(),
            arn: gave.arn.clone(),
            account: account_of(&gave.arn).unwrap_or_else(|| call.account.clone()),
            by: None,
            also_by: BTreeSet::new(),
            juggled: false,
            times: 0,
            since: call.at,
            last: call.at,
            until: Some(gave.until),
            source_identity: None,
        });
        session.until = session.until.map(|until| until.max(gave.until));
        session.since = session.since.min(call.at);
        session.last = session.last.max(call.at);
    }

    /// A call of whoever; it counts when its access key is one that is followed.
    pub fn take(&mut self, call: &Call) {
        let known = call.caller.key.as_ref().and_then(|key| self.keys.get(key));
        let Some(who) = known.cloned() else {
            return;
        };
        // A role that is assumed from elsewhere is in two accounts' records; the other has no key and did not get here.
        if !self.seen.insert(call.id.clone()) {
            return;
        }
        match &call.gave {
            _ if call.error.is_some() => {}
            Some(gave) => self.became(&who, call, gave),
            None if call.name.starts_with("AssumeRole") || call.name == "GetFederationToken" => {
                let told = |name: &str| call.parameters.get(name).cloned().unwrap_or_default();
                let names = [told("roleSessionName"), told("name")].concat();
                self.unresolved.insert((told("roleArn"), names));
            }
            None => {}
        }
    }

    /// Roles that were assumed and sessions that were made of which no record has the access key, so that nobody can be
    /// followed from there: role and name. Untrusted text.
    pub fn unresolved(&self) -> &BTreeSet<(String, String)> {
        &self.unresolved
    }

    fn became(&mut self, who: &str, call: &Call, gave: &Gave) {
        let userid = gave.userid.as_ref().map_or(who, SessionUserId::as_str);
        let account = account_of(&gave.arn).unwrap_or_else(|| call.account.clone());
        if !self.keys.contains_key(&gave.key) {
            if self.keys.len() >= MOST_KEYS {
                self.cut = true;
            } else {
                self.keys.insert(gave.key.clone(), userid.to_owned());
                self.open.push_back((account.clone(), gave.key.clone()));
            }
        }
        let goes_round = self.comes_from(who, userid);
        let source = call.parameters.get("sourceIdentity").cloned();
        let entry = self.sessions.entry(userid.to_owned());
        let session = entry.or_insert_with(|| Session {
            userid: userid.to_owned(),
            arn: gave.arn.clone(),
            account,
            by: Some((who.to_owned(), call.name.clone())),
            also_by: BTreeSet::new(),
            juggled: false,
            times: 0,
            since: call.at,
            last: call.at,
            until: Some(gave.until),
            source_identity: call.caller.source_identity.clone().or(source),
        });
        session.times += 1;
        session.since = session.since.min(call.at);
        session.last = session.last.max(call.at);
        session.until = session.until.map(|until| until.max(gave.until));
        session.juggled |= goes_round && session.is_chained();
        if session.by.as_ref().is_some_and(|(by, _)| by != who) {
            session.also_by.insert(who.to_owned());
        }
    }

    /// Whether somebody is an identity, or was reached from it.
    fn comes_from(&self, who: &str, userid: &str) -> bool {
        let mut at = who;
        // INVARIANT: who became somebody first was there before, so this ends.
        loop {
            if at == userid {
                return true;
            }
            let by = self.sessions.get(at).and_then(|it| it.by.as_ref());
            match by {
                Some((by, _)) => at = by,
                None => return false,
            }
        }
    }

    /// The access keys whose calls are to be looked up next, with the accounts that they are in; each once.
    pub fn to_ask(&mut self) -> Vec<(AccountId, AccessKeyId)> {
        self.open.drain(..).collect()
    }

    /// Whether there was more than is followed.
    pub fn is_cut(&self) -> bool {
        self.cut
    }

    /// Everybody who was reached, each after whoever became them first, and how deep: 0 for the principal's own.
    pub fn tree(&self) -> Vec<(usize, &Session)> {
        let mut tree = Vec::new();
        let mut roots: Vec<&Session> = self
            .sessions
            .values()
            .filter(|it| it.by.is_none())
            .collect();
        roots.sort_by_key(|it| (it.since, &it.userid));
        let mut open: Vec<(usize, &Session)> = roots.into_iter().rev().map(|it| (0, it)).collect();
        while let Some((depth, session)) = open.pop() {
            tree.push((depth, session));
            let is_theirs =
                |it: &&Session| it.by.as_ref().is_some_and(|(by, _)| *by == session.userid);
            let mut next: Vec<&Session> = self.sessions.values().filter(is_theirs).collect();
            next.sort_by_key(|it| (it.since, &it.userid));
            open.extend(next.into_iter().rev().map(|it| (depth + 1, it)));
        }
        tree
    }
}

/// The account in a session's ARN.
fn account_of(arn: &str) -> Option<AccountId> {
    AccountId::parse(arn.split(':').nth(4)?).ok()
}
