//! Which incident a plan is about: one that is open, taken up where it stands, or a new one.
//!
//! Arrives: facts and principal, and what this machine has begun. Leaves: the open incidents of that person, the armed
//! policy if it can be used, an id, an incident. Pure.

use std::collections::BTreeSet;

use sha2::{Digest as _, Sha256};

use crate::facts::{Facts, Known, PolicySummary};
use crate::ids::*;
use crate::incident::armed::{Ledger, Standing};
use crate::incident::{Home, Incident};
use crate::plan::{Begun, Plan};
use crate::playbook::Playbook;
use crate::principal::{Identity, Principal};

/// An open incident of the person that a plan is about.
#[derive(Debug, Clone)]
pub(super) struct OpenIncident {
    pub(super) incident: Incident,
    pub(super) place: Open,
    /// Whether its deny is attached to the target.
    pub(super) in_force: bool,
}

/// What AWS has already of an incident that a plan takes up.
#[derive(Debug, Clone)]
pub(super) enum Open {
    /// Nothing.
    Nothing,
    /// A policy of its own.
    Own(PolicySummary),
    /// An entry in the armed policy.
    Armed,
}

/// Whether an open incident already denies this principal, under every name, on this target.
pub(super) fn is_of(
    incident: &Incident,
    principal: &Principal,
    target: &TargetId,
    lapsing: bool,
) -> bool {
    let named = !principal.session_names.is_empty();
    let same_person = match (&principal.iam_user, &principal.user_id) {
        _ if principal.exact.is_some() || incident.exact.is_some() => is_same(
            incident.exact.as_ref(),
            principal.exact.as_ref().map(|exact| &exact.identity),
        ),
        (Some(user), _) => {
            incident.iam_account.as_ref() == Some(&user.account)
                && match &user.id {
                    Known::Known(id) => incident.iam_user.as_ref() == Some(id),
                    Known::Unknown(_) => named,
                }
        }
        (None, _) if incident.is_of_iam_user() => false,
        (None, Known::Known(id)) => incident.user_id.as_ref() == Some(id),
        (None, Known::Unknown(_)) => incident.user_id.is_none() && named,
    };
    // One that lets the person's new sessions through, or ends by itself, is no denial of an attacker who is back.
    let whole = incident.sessions_after.is_none() && incident.lapses.is_some() == lapsing;
    same_person
        && whole
        && incident.target.as_ref() == Some(target)
        && incident.session_names.is_superset(&principal.session_names)
}

/// Whether two that are denied by ids alone are one, at whatever moment a role's sessions are denied.
fn is_same(incident: Option<&Identity>, principal: Option<&Identity>) -> bool {
    match (incident, principal) {
        (
            Some(Identity::RoleSession { role, session, .. }),
            Some(Identity::RoleSession {
                role: other,
                session: name,
                ..
            }),
        ) => (role, session) == (other, name),
        (
            Some(Identity::RoleBefore { role, .. }),
            Some(Identity::RoleBefore { role: other, .. }),
        ) => role == other,
        (incident, principal) => incident == principal,
    }
}

/// The open incidents of this person on the target, those with a policy of their own first.
pub(super) fn open_incidents(
    facts: &Facts,
    principal: &Principal,
    ledger: Option<&(PolicySummary, Ledger)>,
    lapsing: bool,
    resume: Option<&IncidentId>,
) -> Vec<OpenIncident> {
    let over = |incident: &Incident| incident.lapses.is_some_and(|end| end <= facts.asked_at);
    let is_its =
        |incident: &Incident| is_of(incident, principal, &facts.target, lapsing) && !over(incident);
    let own = facts.remembered.iter().filter_map(|policy| {
        let incident = Incident::recall(policy)?;
        let attached = |known: &PolicySummary| known.id == policy.summary.id;
        is_its(&incident).then(|| OpenIncident {
            incident,
            place: Open::Own(policy.summary.clone()),
            in_force: facts.attached.iter().any(attached),
        })
    });
    let entries = ledger.into_iter().flat_map(|(_, ledger)| ledger.entries());
    let entered = entries
        .filter(|entry| entry.standing == Standing::Open && is_its(&entry.incident))
        .map(|entry| OpenIncident {
            incident: entry.incident.clone(),
            place: Open::Armed,
            in_force: entry.is_denied(),
        });
    // Sessions that the role has given out since such a one began are for another incident, unless this one is to go on.
    let is_past = |open: &OpenIncident| {
        let of_role = matches!(open.incident.exact, Some(Identity::RoleBefore { .. }));
        let stands = open.in_force && open.incident.proven.is_some();
        of_role && stands && resume != Some(&open.incident.id)
    };
    own.chain(entered).filter(|open| !is_past(open)).collect()
}

/// The armed policy and its ledger, with what earlier plans of this command will have entered; or why it cannot be used.
pub(super) fn ledger(
    facts: &Facts,
    before: &[Plan],
) -> (Option<(PolicySummary, Ledger)>, Option<String>) {
    let because = |why: String| (None, Some(why));
    let armed = match &facts.armed {
        Known::Known(None) => return (None, None),
        Known::Known(Some(armed)) => armed,
        Known::Unknown(why) => return because(format!("the armed policy cannot be read ({why})")),
    };
    if !armed.targets.contains(&facts.target) {
        return because(format!(
            "the armed policy is not attached to {}",
            facts.target
        ));
    }
    match Ledger::read(armed) {
        Ok(ledger) => {
            let entered = before
                .iter()
                .map(|plan| &plan.incident)
                .filter(|incident| incident.home == Home::Armed);
            let ledger = entered.fold(ledger, |ledger, incident| ledger.with(incident));
            (Some((armed.summary.clone(), ledger)), None)
        }
        Err(error) => because(format!("the armed policy is not quell's any more: {error}")),
    }
}

/// Whether the armed policy, wherever it is attached, has or had an incident of this id; one that cannot be read may.
pub(super) fn is_entered(facts: &Facts, id: &IncidentId) -> bool {
    match &facts.armed {
        Known::Known(None) => false,
        Known::Known(Some(armed)) => match Ledger::read(armed) {
            Ok(ledger) => ledger.knows(id),
            Err(_) => armed.tags.keys().any(|key| key.contains(id.as_str())),
        },
        Known::Unknown(_) => false,
    }
}

/// The id of a new incident: one that this machine has begun already, or one drawn from who, where and when, and drawn
/// again while an incident of that id exists.
pub(super) fn id_of(
    facts: &Facts,
    principal: &Principal,
    begun: &[Begun],
    known: impl Fn(&IncidentId) -> bool,
) -> IncidentId {
    let same = |begun: &&Begun| {
        !begun.contained
            && begun.principal == principal.username
            && begun.organization == facts.organization.id
            && begun.target == facts.target
            && !known(&begun.incident)
    };
    // Of what cannot be read nobody knows whether the id is in it already.
    let readable = facts.armed.known().is_some();
    if let Some(begun) = begun.iter().find(same).filter(|_| readable) {
        return begun.incident.clone();
    }
    let seed = format!(
        "{}|{}|{}|{}",
        principal.username, facts.target, facts.caller.arn, facts.asked_at
    );
    let mut draw = 0_u32;
    loop {
        let [a, b, c, ..] = <[u8; 32]>::from(Sha256::digest(format!("{seed}|{draw}")));
        let id = IncidentId::from_bytes([a, b, c]);
        if !known(&id) {
            return id;
        }
        draw += 1;
    }
}

/// A new incident.
pub(super) fn opened(
    id: IncidentId,
    facts: &Facts,
    principal: &Principal,
    playbook: &Playbook,
) -> Incident {
    let new = Incident {
        principal: Some(principal.username.clone()),
        user_id: principal.user_id.known().cloned(),
        iam_user: principal
            .iam_user
            .as_ref()
            .and_then(|user| user.id.known().cloned()),
        iam_account: principal.iam_user.as_ref().map(|user| user.account.clone()),
        exact: principal.exact.as_ref().map(|exact| exact.identity.clone()),
        session_names: principal.session_names.clone(),
        operator: Some(facts.caller.arn.clone()),
        opened: Some(facts.asked_at),
        target: Some(facts.target.clone()),
        accounts: covered(facts, principal),
        reaches_management: principal.reaches_management,
        longest_session: Some(principal.session.longest),
        margin: Some(playbook.release.margin),
        playbook: Some(playbook.name.clone()),
        permission_sets: held(facts),
        in_management: held_in_management(facts),
        entitled_in_management: is_entitled_in_management(facts),
        ..Incident::bare(id, Home::Own)
    };
    // Whoever was evicted under another incident has nothing that could be read any more, and sessions all the same.
    let of_them = |other: &Incident| new.user_id.is_some() && other.user_id == new.user_id;
    let earlier = remembered(facts).into_iter().filter(of_them);
    let earlier: Vec<Incident> = earlier.collect();
    earlier.iter().fold(new, |mut new, other| {
        let here = |account: &&AccountId| {
            let under = facts.under_target.as_ref();
            under.is_none_or(|under| under.contains(*account))
        };
        new.accounts
            .extend(other.accounts.iter().filter(here).cloned());
        new.permission_sets
            .extend(other.permission_sets.iter().cloned());
        new.in_management
            .extend(other.in_management.iter().cloned());
        new.longest_session = new.longest_session.max(other.longest_session);
        new.reaches_management |= other.reaches_management;
        new.entitled_in_management |= other.entitled_in_management;
        new
    })
}

/// An open incident with what the new survey adds: a release must wait for whatever either of them saw. What a writer
/// who was interrupted could not tell any more is told now.
pub(super) fn taken_up(
    mut incident: Incident,
    facts: &Facts,
    principal: &Principal,
    playbook: &Playbook,
) -> Incident {
    // Once evicted they have nothing that could be read, and how long their sessions live was read before.
    if incident.evicted.is_none() || !has_nothing(facts) {
        incident.longest_session = incident
            .longest_session
            .max(Some(principal.session.longest));
    }
    incident.accounts.extend(covered(facts, principal));
    // The new survey saw every account again.
    incident.accounts_left_out = 0;
    incident.reaches_management |= principal.reaches_management;
    incident.permission_sets.extend(held(facts));
    incident.in_management.extend(held_in_management(facts));
    incident.entitled_in_management |= is_entitled_in_management(facts);
    incident
        .principal
        .get_or_insert_with(|| principal.username.clone());
    incident
        .operator
        .get_or_insert_with(|| facts.caller.arn.clone());
    incident.opened.get_or_insert(facts.asked_at);
    incident.margin.get_or_insert(playbook.release.margin);
    incident
        .playbook
        .get_or_insert_with(|| playbook.name.clone());
    incident
}

/// Every incident that AWS remembers.
fn remembered(facts: &Facts) -> Vec<Incident> {
    let own = facts.remembered.iter().filter_map(Incident::recall);
    let armed = facts.armed.known().and_then(Option::as_ref);
    let ledger = armed.and_then(|armed| Ledger::read(armed).ok());
    let entered = ledger.iter().flat_map(Ledger::entries);
    own.chain(entered.map(|entry| entry.incident.clone()))
        .collect()
}

/// Whether nothing lets the principal in now.
pub(super) fn has_nothing(facts: &Facts) -> bool {
    let directory = &facts.directory;
    let nothing = directory
        .assignments
        .known()
        .is_some_and(BTreeSet::is_empty);
    nothing
        && directory
            .entitlements
            .known()
            .is_some_and(BTreeSet::is_empty)
}

/// The permission sets that the principal holds.
fn held(facts: &Facts) -> BTreeSet<PermissionSetArn> {
    facts.directory.permission_sets.keys().cloned().collect()
}

/// Those with which they can enter the management account.
fn held_in_management(facts: &Facts) -> BTreeSet<PermissionSetArn> {
    let assignments = facts.directory.assignments.known().into_iter().flatten();
    let there = assignments
        .filter(|assignment| assignment.account == facts.organization.management)
        .map(|assignment| assignment.permission_set.clone());
    there.collect()
}

/// Whether account access manager lets them into the management account.
fn is_entitled_in_management(facts: &Facts) -> bool {
    let mut entitled = facts.directory.entitlements.known().into_iter().flatten();
    entitled.any(|entitlement| entitlement.account == facts.organization.management)
}

/// The accounts that the principal can enter and that the deny will cover.
pub(super) fn covered(facts: &Facts, principal: &Principal) -> BTreeSet<AccountId> {
    let under = |account: &&AccountId| {
        facts
            .under_target
            .as_ref()
            .is_none_or(|under| under.contains(*account))
    };
    principal
        .reach
        .iter()
        .filter(under)
        .filter(|account| **account != facts.organization.management)
        .cloned()
        .collect()
}
