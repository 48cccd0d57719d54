//! TEAM on the range: temporary elevated access, which gives out assignments at the time somebody asked for and takes
//! them away again (aws-facts §14).
//!
//! TEAM remembers requests in a DynamoDB table of its own account and Region (`dynamo` answers for it)
//! and watches that table: a request that is set to `revoked` there loses its assignment some seconds later.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use crate::ids::*;
use crate::range::clock::What;
use crate::range::state::{Assignment, State};

/// An item of a DynamoDB table: attributes by name, each as `{"S": "…"}`.
pub type Item = Map<String, Value>;

/// How long TEAM takes to hear of a change of its table, in seconds.
const HEARS: std::ops::RangeInclusive<i64> = 2..=10;

/// An installation of TEAM.
#[derive(Debug, Clone)]
pub struct Team {
    /// The account that it runs in.
    pub account: AccountId,
    /// The Region that it runs in.
    pub region: Region,
    /// Its table of requests: `requests-<26 letters>-<environment>`.
    pub table: String,
    /// The requests, by id.
    pub items: BTreeMap<String, Item>,
    /// Who may ask for what, by the id of the user or group.
    pub eligible: BTreeMap<String, Item>,
}

impl Team {
    /// An attribute that is a string; empty if there is none.
    pub fn text(&self, id: &str, attribute: &str) -> &str {
        let value = self.items.get(id).and_then(|item| item.get(attribute));
        value
            .and_then(|value| value.get("S")?.as_str())
            .unwrap_or_default()
    }

    pub(super) fn set(&mut self, id: &str, attribute: &str, value: &str) {
        if let Some(item) = self.items.get_mut(id) {
            item.insert(attribute.to_owned(), json!({ "S": value }));
        }
    }
}

/// What TEAM does by itself with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Does {
    /// Gives out the assignment of a scheduled one.
    Starts,
    /// Takes it away when its time is over.
    Ends,
    /// Takes it away because somebody revoked it.
    Revokes,
}

/// A request for TEAM's table.
#[derive(Debug, Clone)]
pub struct Wanted<'a> {
    /// A UUID.
    pub id: &'a str,
    /// Whose.
    pub user: &'a UserId,
    /// Where.
    pub account: &'a AccountId,
    /// What.
    pub set: &'a PermissionSetArn,
    /// From when.
    pub start: Timestamp,
    /// For how many hours.
    pub hours: i64,
    /// `scheduled`, `in progress`, `ended` and so on.
    pub status: &'a str,
}

/// An item of the table of eligibilities, as TEAM writes it.
pub fn eligible(name: &str, kind: &str, accounts: &[&str], permissions: &[&str]) -> Item {
    let list = |names: &[&str]| {
        let maps = names
            .iter()
            .map(|name| json!({ "M": { "name": { "S": name }, "id": { "S": name } } }));
        json!({ "L": maps.collect::<Vec<_>>() })
    };
    let mut item = Item::new();
    for (attribute, value) in [
        ("name", json!({ "S": name })),
        ("type", json!({ "S": kind })),
        ("accounts", list(accounts)),
        ("ous", list(&[])),
        ("permissions", list(permissions)),
        ("approvalRequired", json!({ "BOOL": true })),
    ] {
        item.insert(attribute.to_owned(), value);
    }
    item
}

impl State {
    /// Puts a request into TEAM's table as TEAM writes it, and arranges what follows from its status. Nothing without
    /// TEAM.
    pub fn ask_team(&mut self, wanted: &Wanted<'_>) {
        let directory = &self.directory;
        let user = directory.users.get(wanted.user);
        let email = user.map_or("", |user| user.email.as_str());
        let username = user.map_or("", |user| user.username.as_str());
        let account = self.accounts.get(wanted.account);
        let set = directory.sets.get(wanted.set);
        let end = wanted.start + SignedDuration::from_hours(wanted.hours);
        let attributes = [
            ("id", wanted.id.to_owned()),
            ("email", email.to_owned()),
            ("accountId", wanted.account.to_string()),
            ("accountName", account.map_or("", |it| &it.name).to_owned()),
            ("role", set.map_or("", |set| &set.name).to_owned()),
            ("roleId", wanted.set.to_string()),
            ("startTime", wanted.start.to_string()),
            ("duration", wanted.hours.to_string()),
            ("status", wanted.status.to_owned()),
            // As TEAM's sign-in spells it, which is not as the directory does (aws-facts §3).
            ("username", format!("idc_{}", username.to_lowercase())),
            ("endTime", end.to_string()),
            ("comment", "practice".to_owned()),
        ];
        let attributes = attributes
            .into_iter()
            .map(|(name, value)| (name.to_owned(), json!({ "S": value })));
        let Some(team) = &mut self.team else {
            return;
        };
        team.items
            .insert(wanted.id.to_owned(), attributes.collect());
        let id = wanted.id.to_owned();
        match wanted.status {
            "scheduled" => self.later(wanted.start, What::Team(Does::Starts, id)),
            "in progress" => self.later(end, What::Team(Does::Ends, id)),
            _ => {}
        }
    }

    /// What TEAM does with a request, if it is still to be done.
    pub(super) fn team_does(&mut self, does: Does, id: &str) {
        let Some(assignment) = self.elevation(id) else {
            return;
        };
        let Some(team) = &mut self.team else {
            return;
        };
        let now = self.now.to_string();
        match (does, team.text(id, "status")) {
            (Does::Starts, "scheduled") => {
                let hours = team.text(id, "duration").parse().unwrap_or(1);
                team.set(id, "status", "in progress");
                let end = self.now + SignedDuration::from_hours(hours);
                self.later(end, What::Team(Does::Ends, id.to_owned()));
                self.assign(assignment);
            }
            (Does::Ends, "in progress") => {
                team.set(id, "status", "ended");
                team.set(id, "endTime", &now);
                self.unassign(&assignment);
            }
            (Does::Revokes, "revoked") => {
                team.set(id, "endTime", &now);
                self.unassign(&assignment);
            }
            // Somebody was faster: it was revoked before it began, or is over.
            (Does::Starts | Does::Ends | Does::Revokes, _) => {}
        }
    }

    /// TEAM hears that an item has changed.
    pub(super) fn team_hears(&mut self, id: &str, before: &str) {
        let revoked = |team: &Team| team.text(id, "status") == "revoked" && before != "revoked";
        if self.team.as_ref().is_some_and(revoked) {
            let hears = SignedDuration::from_secs(self.dice.i64(HEARS));
            self.later(self.now + hears, What::Team(Does::Revokes, id.to_owned()));
        }
    }

    /// The assignment that a request is for; `None` for a person or an account that is not there.
    fn elevation(&self, id: &str) -> Option<Assignment> {
        let team = self.team.as_ref()?;
        let email = team.text(id, "email");
        let mut users = self.directory.users.iter();
        let (user, _) = users.find(|(_, user)| user.email.eq_ignore_ascii_case(email))?;
        Some(Assignment {
            account: AccountId::parse(team.text(id, "accountId")).ok()?,
            set: PermissionSetArn::parse(team.text(id, "roleId")).ok()?,
            kind: "USER",
            principal: user.to_string(),
        })
    }
}
