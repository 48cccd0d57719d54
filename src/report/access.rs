//! What eviction, restoring and an early return came to.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::Serialize;

use crate::facts::{TeamEligibility, TeamRequest, UserStatus, Way, Ways};
use crate::ids::*;
use crate::incident::Incident;
use crate::plan::eviction::Eviction;
use crate::playbook::{ByHand, Playbook};
use crate::release::Wait;
use crate::report::{self, AccountReport};
use crate::respond::evicting::{Evicted, Restored};
use crate::respond::holding::NotHeld;
use crate::respond::readmitting::{Older, Readmitted};
use crate::verify::Overall;

/// What an eviction is about to do. Shown before anybody approves it.
#[derive(Debug, Clone, PartialEq)]
pub struct EvictionReport {
    /// The host that answers, when it is not AWS.
    pub practice: Option<String>,
    /// The incident.
    pub incident: IncidentId,
    /// Whose ways are closed.
    pub principal: Username,
    /// What is to be closed, in order.
    pub ways: Vec<WayReport>,
    /// What they can enter through their groups, which leaving the groups ends.
    pub inherited: usize,
    /// Permission sets whose inline policy will deny them, for the management account's sake.
    pub to_be_held: Vec<String>,
    /// TEAM's requests that can still give access.
    pub team_requests: Vec<TeamRequest>,
    /// What they may ask TEAM for, as themselves or as one of a group.
    pub team_eligibility: Vec<TeamEligibility>,
    /// Whether they are to be revoked.
    pub revokes_team: bool,
    /// Whether the user is to be deleted, which cannot be undone.
    pub deletes_user: bool,
    /// Full sentences.
    pub warnings: Vec<String>,
}

/// A way to new sessions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WayReport {
    /// The way.
    #[serde(flatten)]
    pub way: Way,
    /// The permission set's name, of an assignment; the group's, of a membership.
    pub name: Option<String>,
    /// Why it could not be closed or opened, if so.
    pub why: Option<String>,
}

/// An item of the checklist, with whether somebody says that it is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ItemReport {
    /// The item.
    #[serde(flatten)]
    pub by_hand: ByHand,
    /// Whether it is noted as done.
    pub done: bool,
    /// What AWS shows of it, if anything.
    pub evidence: Option<String>,
}

/// A permission set in the management account that does not deny the user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NotHeldReport {
    /// Which.
    pub permission_set: PermissionSetArn,
    /// Why.
    pub why: String,
}

impl NotHeldReport {
    /// Of a set and why not.
    pub fn of((permission_set, why): &NotHeld) -> Self {
        Self {
            permission_set: permission_set.clone(),
            why: why.clone(),
        }
    }
}

/// The end of `quell evict`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EvictReport {
    /// `quell.evict/1`.
    pub schema: &'static str,
    /// The host that answered, when it is not AWS.
    pub practice: Option<String>,
    /// The incident.
    pub incident: IncidentId,
    /// Whose ways were closed.
    pub principal: Option<Username>,
    /// What this run has closed.
    pub closed: Vec<WayReport>,
    /// What it could not close.
    pub stuck: Vec<WayReport>,
    /// What was found open afterwards.
    pub left: Vec<WayReport>,
    /// Why there may be more that could not be read, if so.
    pub unread: Option<String>,
    /// When the last way was closed; `null` while one is open.
    pub evicted: Option<Timestamp>,
    /// When the deny was proven.
    pub proven: Option<Timestamp>,
    /// Before this a release is refused.
    pub release_not_before: Option<Timestamp>,
    /// Set when it could not be written on the policy: then no release clock runs.
    pub not_recorded: bool,
    /// Whether they can enter the management account, where nothing refuses them: NOT CONTAINED THERE.
    pub not_contained_in_management: bool,
    /// Permission sets whose inline policy denies them there, provisioned and read back.
    pub held_by: BTreeSet<PermissionSetArn>,
    /// Those that could not be written.
    pub not_held: Vec<NotHeldReport>,
    /// TEAM's requests that can still give access.
    pub team_requests: Vec<TeamRequest>,
    /// What they may ask TEAM for still.
    pub team_eligibility: Vec<TeamEligibility>,
    /// Whether something else that was asked for is not done: the user deleted, TEAM's requests revoked.
    pub undone: bool,
    /// Whether SCIM has disabled the user; `null` where it was not asked to.
    pub user_disabled: Option<bool>,
    /// Whether the user was deleted.
    pub user_deleted: bool,
    /// What only people can do, in AWS's order.
    pub by_hand: Vec<ItemReport>,
    /// What to type with credentials of an IAM user's account, where quell could not do it.
    pub commands: Vec<String>,
}

/// The end of `quell readmit`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ReadmitReport {
    /// `quell.readmit/1`.
    pub schema: &'static str,
    /// The host that answered, when it is not AWS.
    pub practice: Option<String>,
    /// The incident.
    pub incident: IncidentId,
    /// Who may work again.
    pub principal: Option<Username>,
    /// Sessions issued from then on are let through.
    pub sessions_after: Timestamp,
    /// Whether canaries of after it are allowed everywhere we looked.
    pub newer_allowed: bool,
    /// Whether canaries of before it are refused everywhere we looked.
    pub older_refused: bool,
    /// What the newer show, account by account.
    pub accounts: Vec<AccountReport>,
    /// What the older show, account by account.
    pub older: Vec<OlderReport>,
    /// Permission sets in the management account that refuse them as before, and why.
    pub not_narrowed: Vec<NotHeldReport>,
    /// What was put back.
    pub restored: Option<RestoredReport>,
    /// Before this a release is refused.
    pub release_not_before: Option<Timestamp>,
}

/// What a canary of before a readmission shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OlderReport {
    /// The account.
    pub id: AccountId,
    /// Whether it is refused; `null` where it could not be asked.
    pub refused: Option<bool>,
    /// Why not.
    pub detail: Option<String>,
}

/// What was put back from the backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RestoredReport {
    /// Each way that is open again.
    pub reopened: Vec<WayReport>,
    /// Each that could not be opened.
    pub stuck: Vec<WayReport>,
}

/// How a wait adds up, beside its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WaitReport {
    /// How long, and from when.
    #[serde(flatten)]
    pub wait: Wait,
    /// For people.
    pub derivation: String,
}

impl WayReport {
    /// Of a way, by the names that were read with it, if any were.
    pub fn of(way: &Way, ways: Option<&Ways>) -> Self {
        let name = ways.and_then(|ways| match way {
            Way::Assignment { permission_set, .. } => {
                let set = ways.permission_sets.get(permission_set);
                set.map(|set| set.name.clone())
            }
            Way::Membership { group } => ways.group_names.get(group).cloned(),
            Way::Entitlement(_) | Way::AccessKey { .. } | Way::LoginProfile | Way::Permissions => {
                None
            }
        });
        Self {
            way: way.clone(),
            name,
            why: None,
        }
    }

    fn stuck((way, why): &(Way, String), ways: Option<&Ways>) -> Self {
        Self {
            why: Some(why.clone()),
            ..Self::of(way, ways)
        }
    }
}

impl EvictionReport {
    /// Of what was prepared.
    pub fn of(incident: &Incident, eviction: &Eviction, practice: Option<String>) -> Self {
        let ways = &eviction.ways;
        let own = eviction.steps.len();
        Self {
            practice,
            incident: incident.id.clone(),
            principal: ways.user.username.clone(),
            ways: eviction
                .steps
                .iter()
                .map(|way| WayReport::of(way, Some(ways)))
                .collect(),
            inherited: (ways.assignments.len()
                + ways.entitlements.len()
                + ways.inherited_entitlements.len()
                + ways.memberships.len())
            .saturating_sub(own),
            to_be_held: Vec::new(),
            team_requests: Vec::new(),
            team_eligibility: Vec::new(),
            revokes_team: false,
            deletes_user: false,
            warnings: eviction.warnings.clone(),
        }
    }
}

impl EvictionReport {
    /// Of an IAM user.
    pub fn of_iam_user(
        incident: &Incident,
        principal: Username,
        open: &[Way],
        practice: Option<String>,
    ) -> Self {
        Self {
            practice,
            incident: incident.id.clone(),
            principal,
            ways: open.iter().map(|way| WayReport::of(way, None)).collect(),
            inherited: 0,
            to_be_held: Vec::new(),
            team_requests: Vec::new(),
            team_eligibility: Vec::new(),
            revokes_team: false,
            deletes_user: false,
            warnings: Vec::new(),
        }
    }
}

impl EvictReport {
    /// Of an incident after an eviction, before anything is known of what it did.
    pub fn of(incident: &Incident, practice: Option<String>) -> Self {
        Self {
            schema: "quell.evict/1",
            practice,
            incident: incident.id.clone(),
            principal: incident.principal.clone(),
            closed: Vec::new(),
            stuck: Vec::new(),
            left: Vec::new(),
            unread: None,
            evicted: incident.evicted,
            proven: incident.proven,
            release_not_before: incident.release_not_before(),
            not_recorded: false,
            not_contained_in_management: incident.is_free_in_management(),
            held_by: incident.held_by.clone(),
            not_held: Vec::new(),
            team_requests: Vec::new(),
            team_eligibility: Vec::new(),
            undone: false,
            user_disabled: None,
            user_deleted: false,
            by_hand: Vec::new(),
            commands: Vec::new(),
        }
    }

    /// With what was closed and what was not.
    pub fn with(mut self, evicted: &Evicted, ways: Option<&Ways>) -> Self {
        let each = |some: &[Way]| some.iter().map(|way| WayReport::of(way, ways)).collect();
        self.closed = each(&evicted.closed);
        self.left = each(&evicted.left);
        let stuck = evicted.stuck.iter();
        self.stuck = stuck.map(|stuck| WayReport::stuck(stuck, ways)).collect();
        self.unread.clone_from(&evicted.unread);
        self.not_recorded = !evicted.recorded;
        self
    }

    /// With what the management account's permission sets refuse, or do not.
    pub fn with_not_held(mut self, not_held: Vec<NotHeld>) -> Self {
        self.not_held = not_held.iter().map(NotHeldReport::of).collect();
        for not_held in &self.not_held {
            self.held_by.remove(&not_held.permission_set);
        }
        self
    }

    /// With the checklist, and what AWS shows of it.
    pub fn with_checklist(
        mut self,
        incident: &Incident,
        playbook: &Playbook,
        status: Option<UserStatus>,
    ) -> Self {
        self.by_hand = checklist(incident, playbook, status);
        self
    }
}

/// The checklist, with what is noted as done.
pub fn checklist(
    incident: &Incident,
    playbook: &Playbook,
    status: Option<UserStatus>,
) -> Vec<ItemReport> {
    let items = playbook.by_hand.iter().map(|item| ItemReport {
        by_hand: item.clone(),
        done: incident.attested.contains(&item.item),
        evidence: (item.item.as_str() == DISABLE_USER)
            .then(|| status_for_people(status))
            .flatten(),
    });
    items.collect()
}

/// The item that AWS shows something of.
const DISABLE_USER: &str = "disable-user";

/// What AWS says of a user, for the record.
pub fn status_for_people(status: Option<UserStatus>) -> Option<String> {
    status.map(|status| match status {
        UserStatus::Enabled => "AWS says that the user is ENABLED".to_owned(),
        UserStatus::Disabled => "AWS says that the user is DISABLED".to_owned(),
    })
}

impl RestoredReport {
    /// Of what was put back.
    pub fn of(restored: &Restored, ways: Option<&Ways>) -> Self {
        let reopened = restored.reopened.iter();
        let stuck = restored.stuck.iter();
        Self {
            reopened: reopened.map(|way| WayReport::of(way, ways)).collect(),
            stuck: stuck.map(|stuck| WayReport::stuck(stuck, ways)).collect(),
        }
    }
}

impl ReadmitReport {
    /// Of a readmission.
    pub fn of(
        incident: &Incident,
        readmitted: &Readmitted,
        restored: Option<RestoredReport>,
        practice: Option<String>,
    ) -> Self {
        let older = |older: &Older| OlderReport {
            id: older.account.clone(),
            refused: older.refused,
            detail: older.detail.clone(),
        };
        Self {
            schema: "quell.readmit/1",
            practice,
            incident: incident.id.clone(),
            principal: incident.principal.clone(),
            sessions_after: readmitted.sessions_after,
            newer_allowed: readmitted.newer.overall == Overall::Shown,
            older_refused: !readmitted.older.is_empty()
                && readmitted
                    .older
                    .iter()
                    .all(|older| older.refused == Some(true)),
            accounts: report::accounts(&readmitted.newer),
            older: readmitted.older.iter().map(older).collect(),
            not_narrowed: readmitted.not_held.iter().map(NotHeldReport::of).collect(),
            restored,
            release_not_before: incident.release_not_before(),
        }
    }
}
