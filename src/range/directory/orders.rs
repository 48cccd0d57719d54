//! What Identity Center is asked for and does later: assignments and provisionings (aws-facts §9).
//!
//! Arrives: a request. Leaves: at once a status with a request id, and a few virtual seconds later the deed, or the
//! reason why not. Goes wrong: more requests than are taken at a time, and two that touch the same set's role in the
//! same account, are refused with `ConflictException`.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::ids::*;
use crate::range::clock::What;
use crate::range::directory::{denied, missing, policies};
use crate::range::state::{Assignment, Session, State};
use crate::range::wire::{Asked, Refusal, uuid};

/// Assignment requests that may be under way (aws-facts §9).
const MOST_ASSIGNING: usize = 15;

/// Provisionings that may be under way (aws-facts §9).
const MOST_PROVISIONING: usize = 3;

/// How long one takes, in seconds: AWS publishes nothing.
const SECONDS: std::ops::RangeInclusive<i64> = 2..=20;

/// Orders that are remembered: a range that is served for a week must not eat the machine.
const MOST_ORDERS: usize = 10_000;

/// One asynchronous request.
#[derive(Debug, Clone)]
pub struct Order {
    /// A UUID.
    pub id: String,
    /// When it was asked for.
    pub asked: Timestamp,
    /// What was.
    pub what: Ordered,
    /// The accounts where it makes, deletes or changes the set's role.
    pub updates: BTreeSet<AccountId>,
    /// How it ended: `None` while it is under way, a reason when it failed.
    pub ended: Option<Result<(), String>>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
}

/// What an order is for.
#[derive(Debug, Clone)]
pub enum Ordered {
    /// To give out an assignment.
    Assign(Assignment),
    /// To take one away.
    Unassign(Assignment),
    /// To bring a set's inline policy to the set's role in one account; without one, in every account that has it.
    Provision(PermissionSetArn, Option<AccountId>),
}

impl Order {
    fn set(&self) -> &PermissionSetArn {
        match &self.what {
            Ordered::Assign(assignment) | Ordered::Unassign(assignment) => &assignment.set,
            Ordered::Provision(set, _) => set,
        }
    }

    fn provisions(&self) -> bool {
        matches!(self.what, Ordered::Provision(..))
    }

    /// Its status, in the shape of the operation that asked for it.
    fn status(&self) -> Value {
        let status = match &self.ended {
            None => "IN_PROGRESS",
            Some(Ok(())) => "SUCCEEDED",
            Some(Err(_)) => "FAILED",
        };
        let mut shown = match &self.what {
            Ordered::Assign(assignment) | Ordered::Unassign(assignment) => json!({
                "TargetId": assignment.account,
                "TargetType": "AWS_ACCOUNT",
                "PrincipalType": assignment.kind,
                "PrincipalId": assignment.principal,
            }),
            Ordered::Provision(_, Some(account)) => json!({ "AccountId": account }),
            Ordered::Provision(_, None) => json!({}),
        };
        if let Some(object) = shown.as_object_mut() {
            object.insert("Status".to_owned(), json!(status));
            object.insert("RequestId".to_owned(), json!(self.id));
            object.insert("PermissionSetArn".to_owned(), json!(self.set()));
            object.insert("CreatedDate".to_owned(), json!(self.asked.as_second()));
            if let Some(Err(reason)) = &self.ended {
                object.insert("FailureReason".to_owned(), json!(reason));
            }
        }
        shown
    }
}

/// Answers the operations that order something or ask how it went.
pub(super) fn perform(
    state: &mut State,
    session: &Session,
    asked: &Asked,
) -> Result<Value, Refusal> {
    const CREATION: &str = "AccountAssignmentCreationStatus";
    const DELETION: &str = "AccountAssignmentDeletionStatus";
    const PROVISIONING: &str = "PermissionSetProvisioningStatus";
    let (field, order) = match asked.operation.as_str() {
        "CreateAccountAssignment" => (CREATION, assign(state, session, asked)?),
        "DeleteAccountAssignment" => (DELETION, unassign(state, session, asked)?),
        "ProvisionPermissionSet" => (PROVISIONING, provision(state, session, asked)?),
        "DescribeAccountAssignmentCreationStatus" => {
            let of = |what: &Ordered| matches!(what, Ordered::Assign(_));
            let id = asked.text("AccountAssignmentCreationRequestId");
            (CREATION, known(state, id, of)?)
        }
        "DescribeAccountAssignmentDeletionStatus" => {
            let of = |what: &Ordered| matches!(what, Ordered::Unassign(_));
            let id = asked.text("AccountAssignmentDeletionRequestId");
            (DELETION, known(state, id, of)?)
        }
        "DescribePermissionSetProvisioningStatus" => {
            let of = |what: &Ordered| matches!(what, Ordered::Provision(..));
            let id = asked.text("ProvisionPermissionSetRequestId");
            (PROVISIONING, known(state, id, of)?)
        }
        _ => return policies::perform(state, session, asked),
    };
    Ok(json!({ field: order.status() }))
}

/// The permission set that a request names.
pub(super) fn set(state: &State, asked: &Asked) -> Result<PermissionSetArn, Refusal> {
    let named = asked.text("PermissionSetArn");
    let found = state
        .directory
        .sets
        .keys()
        .find(|arn| arn.as_str() == named);
    found
        .cloned()
        .ok_or_else(|| missing("PERMISSION_SET", "There is no such permission set."))
}

/// Whatever reaches into the management account can be asked for only from there (aws-facts §9).
pub(super) fn may_reach<'a>(
    state: &State,
    session: &Session,
    accounts: impl IntoIterator<Item = &'a AccountId>,
) -> Result<(), Refusal> {
    let outside = session.account != state.management;
    if outside && accounts.into_iter().any(|it| *it == state.management) {
        return Err(denied());
    }
    Ok(())
}

/// Ends an order: what it is for happens now, or turns out not to be possible.
pub(in crate::range) fn finish(state: &mut State, id: &str) {
    let found = state.directory.orders.iter().find(|order| order.id == id);
    let Some(order) = found.cloned() else {
        return;
    };
    let ended = match order.what {
        Ordered::Assign(assignment) if is_there(state, &assignment) => {
            state.assign(assignment);
            Ok(())
        }
        Ordered::Assign(_) => Err("The principal doesn't exist."),
        Ordered::Unassign(assignment) if state.unassign(&assignment) => Ok(()),
        Ordered::Unassign(_) => Err("The account assignment doesn't exist."),
        Ordered::Provision(set, account) => policies::bring(state, &set, account.as_ref()),
    };
    let found = state.directory.orders.iter_mut();
    for order in found.filter(|order| order.id == id) {
        order.ended = Some(ended.map_err(str::to_owned));
        order.ended_at = Some(state.now);
    }
}

fn known(state: &State, id: &str, of: fn(&Ordered) -> bool) -> Result<Order, Refusal> {
    let mut orders = state.directory.orders.iter();
    let found = orders.find(|order| order.id == id && of(&order.what));
    found
        .cloned()
        .ok_or_else(|| missing("REQUEST", "There is no such request."))
}

fn assign(state: &mut State, session: &Session, asked: &Asked) -> Result<Order, Refusal> {
    let wanted = assignment(state, session, asked)?;
    if !is_there(state, &wanted) {
        return Err(missing("PRINCIPAL", "There is no such principal."));
    }
    let makes = state.reserved_role(&wanted.account, &wanted.set).is_none();
    let updates = makes.then(|| wanted.account.clone());
    place(
        state,
        Ordered::Assign(wanted),
        updates.into_iter().collect(),
    )
}

fn unassign(state: &mut State, session: &Session, asked: &Asked) -> Result<Order, Refusal> {
    let wanted = assignment(state, session, asked)?;
    let assigned = &state.directory.assignments;
    // The assignments of somebody who was deleted stay until somebody takes them away.
    if !assigned.contains(&wanted) && !is_there(state, &wanted) {
        return Err(missing("PRINCIPAL", "There is no such principal."));
    }
    let leaving = |other: &Assignment| {
        let mut orders = state.directory.orders.iter();
        orders.any(|order| {
            order.ended.is_none() && matches!(&order.what, Ordered::Unassign(it) if it == other)
        })
    };
    let beside = |other: &&Assignment| {
        other.account == wanted.account && other.set == wanted.set && **other != wanted
    };
    let last = assigned.contains(&wanted) && assigned.iter().filter(beside).all(leaving);
    let updates = last.then(|| wanted.account.clone());
    place(
        state,
        Ordered::Unassign(wanted),
        updates.into_iter().collect(),
    )
}

fn provision(state: &mut State, session: &Session, asked: &Asked) -> Result<Order, Refusal> {
    let set = set(state, asked)?;
    let account = match asked.text("TargetType") {
        "AWS_ACCOUNT" => Some(account(state, asked)?),
        "ALL_PROVISIONED_ACCOUNTS" => None,
        _ => return Err(invalid("TargetType is not one of those that there are.")),
    };
    let updates = match &account {
        Some(account) => BTreeSet::from([account.clone()]),
        None => state.provisioned_to(&set),
    };
    may_reach(state, session, &updates)?;
    place(state, Ordered::Provision(set, account), updates)
}

/// The assignment that a request is about.
fn assignment(state: &State, session: &Session, asked: &Asked) -> Result<Assignment, Refusal> {
    if asked.text("TargetType") != "AWS_ACCOUNT" {
        return Err(invalid("TargetType must be AWS_ACCOUNT."));
    }
    let kind = match asked.text("PrincipalType") {
        "USER" => "USER",
        "GROUP" => "GROUP",
        _ => return Err(invalid("PrincipalType must be USER or GROUP.")),
    };
    let account = account(state, asked)?;
    may_reach(state, session, [&account])?;
    Ok(Assignment {
        account,
        set: set(state, asked)?,
        kind,
        principal: asked.text("PrincipalId").to_owned(),
    })
}

fn account(state: &State, asked: &Asked) -> Result<AccountId, Refusal> {
    let named = asked.text("TargetId");
    let found = state.accounts.keys().find(|id| id.as_str() == named);
    found
        .cloned()
        .ok_or_else(|| missing("ACCOUNT", "There is no such account in this organization."))
}

/// Whether the principal of an assignment is in the directory.
fn is_there(state: &State, assignment: &Assignment) -> bool {
    let (of, directory) = (assignment.principal.as_str(), &state.directory);
    match assignment.kind {
        "USER" => directory.users.keys().any(|id| id.as_str() == of),
        _ => directory.groups.keys().any(|id| id.as_str() == of),
    }
}

/// Takes an order, if nothing stands in its way, and arranges its end.
fn place(state: &mut State, what: Ordered, updates: BTreeSet<AccountId>) -> Result<Order, Refusal> {
    let order = Order {
        id: uuid(state),
        asked: state.now,
        what,
        updates,
        ended: None,
        ended_at: None,
    };
    let running = || {
        let orders = state.directory.orders.iter();
        orders.filter(|other| other.ended.is_none())
    };
    let alike = running().filter(|other| other.provisions() == order.provisions());
    let most = if order.provisions() {
        MOST_PROVISIONING
    } else {
        MOST_ASSIGNING
    };
    if alike.count() >= most {
        return Err(conflict("Too many requests of this kind are in progress."));
    }
    let mut touched: BTreeSet<&AccountId> = order.updates.iter().collect();
    if let Ordered::Assign(assignment) | Ordered::Unassign(assignment) = &order.what {
        touched.insert(&assignment.account);
    }
    let collides = |other: &Order| {
        other.set() == order.set() && other.updates.iter().any(|it| touched.contains(it))
    };
    if running().any(collides) {
        return Err(conflict(
            "The permission set's role in this account is being updated.",
        ));
    }
    let takes = SignedDuration::from_secs(state.dice.i64(SECONDS));
    state.later(state.now + takes, What::Finish(order.id.clone()));
    let orders = &mut state.directory.orders;
    if orders.len() >= MOST_ORDERS {
        orders.retain(|order| order.ended.is_none());
    }
    orders.push(order.clone());
    Ok(order)
}

fn conflict(message: &str) -> Refusal {
    Refusal::new(400, "ConflictException", message)
}

pub(super) fn invalid(message: &str) -> Refusal {
    Refusal::new(400, "ValidationException", message)
}
