//! What our identity may do: by the calls that were answered, and by IAM's simulator for what only a change would show.

use std::collections::BTreeMap;

use crate::facts::checkup::{Checkup, Evidence};
use crate::facts::{Instance, Known};
use crate::ids::*;
use crate::readiness::{Finding, Item, some};
use crate::rights::{Half, Names, RIGHTS, Right, Task};
use crate::survey::checkup::Plan;

/// A name of what is not there: the simulator wants one, and does not look.
const EXAMPLE: &str = "quell-check";

/// What no call has shown or denied, on resources of this organization as they would be in an incident.
pub fn to_simulate(facts: &Checkup, roles: &[RoleName]) -> Plan {
    let mut plan = Plan::new();
    let Some(names) = names(facts, roles) else {
        return plan;
    };
    let open = RIGHTS
        .iter()
        .filter(|right| !facts.rights.contains_key(right.action));
    for right in open {
        for arn in right.on.arns(&names) {
            plan.entry(arn).or_default().push(right.action);
        }
    }
    plan
}

/// The names of this organization; those that could not be learned are invented, and of the right shape.
fn names(facts: &Checkup, roles: &[RoleName]) -> Option<Names> {
    let caller = facts.caller.known()?;
    let organization = facts.organization.known().and_then(Option::as_ref);
    let root = facts.root.known().map(|root| root.id.to_string());
    let instance = facts.instance.known().and_then(Option::as_ref);
    let id_of = |instance: &Instance| {
        let id = instance.arn.as_str().rsplit('/').next();
        id.unwrap_or_default().to_owned()
    };
    let example = || EXAMPLE.to_owned();
    let own = caller.account.to_string();
    Some(Names {
        partition: Partition::parse(caller.arn.split(':').nth(1)?).ok()?,
        management: organization.map_or(own.clone(), |it| it.management.to_string()),
        organization: organization.map_or("o-quellcheck".to_owned(), |it| it.id.to_string()),
        targets: vec![("root", root.unwrap_or("r-quel".to_owned()))],
        policy: "p-quellcheck".to_owned(),
        account: facts
            .canaries
            .keys()
            .next()
            .unwrap_or(&caller.account)
            .to_string(),
        own,
        region: facts
            .region
            .as_ref()
            .map_or("us-east-1", Region::as_str)
            .to_owned(),
        instance: instance.map_or_else(example, id_of),
        store: instance.map_or_else(example, |instance| instance.store.to_string()),
        any: example(),
        // One is enough, and the first is the one that should be there.
        roles: roles.iter().take(1).cloned().collect(),
    })
}

/// What is known of a right.
fn evidence(facts: &Checkup, right: &Right) -> Evidence {
    let known = facts.rights.get(right.action).cloned();
    let why_not = || {
        let why = facts.not_simulated.clone();
        Evidence::Unclear(why.unwrap_or_else(|| "nothing showed it".to_owned()))
    };
    let evidence = known.unwrap_or_else(why_not);
    let delegated = match (&facts.caller, &facts.organization) {
        (Known::Known(caller), Known::Known(Some(organization))) => {
            caller.account != organization.management
        }
        _ => false,
    };
    // What a member account may do in the organization, the management account decides, too.
    let by_others = ["organizations", "sso", "identitystore", "account-access"];
    if evidence == Evidence::Simulated && delegated && by_others.contains(&right.service()) {
        let why = "your own policies allow it, and whether it is delegated to your account is not in them";
        return Evidence::Unclear(why.to_owned());
    }
    evidence
}

pub(super) fn judge(facts: &Checkup) -> Vec<Finding> {
    let mut denied: BTreeMap<Task, (Vec<String>, String)> = BTreeMap::new();
    let mut unclear: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut held = 0;
    for right in RIGHTS {
        match evidence(facts, right) {
            Evidence::Shown | Evidence::Simulated => held += 1,
            Evidence::Denied(why) => {
                let (actions, _) = denied.entry(right.task).or_insert((Vec::new(), why));
                actions.push(right.action.to_owned());
            }
            Evidence::Unclear(why) => {
                unclear
                    .entry(why)
                    .or_default()
                    .push(right.action.to_owned());
            }
        }
    }
    let mut findings: Vec<Finding> = Vec::new();
    for (task, (actions, why)) in denied {
        findings.push(missing(task, actions, &why));
    }
    for (why, actions) in unclear {
        findings.push(not_known(actions, &why));
    }
    if findings.is_empty() {
        let seen = format!(
            "All {held} that quell can need are held, by the calls that were answered and by IAM's simulator."
        );
        return vec![Finding::green(Item::Rights, seen)];
    }
    findings
}

fn missing(task: Task, actions: Vec<String>, why: &str) -> Finding {
    let seen = format!("You may not {} ({}): {why}.", some(&actions), task.says());
    let policy = match task.half() {
        Half::Read => "quell prepare rights --read",
        Half::Act => "quell prepare rights --act",
    };
    let fix = format!(
        "Give your identity what `{policy}` prints, or use another: `--profile <profile>`."
    );
    let finding = if task.is_vital() {
        Finding::red(Item::Rights, seen, fix)
    } else {
        Finding::amber(Item::Rights, seen, fix)
    };
    finding.about(actions)
}

fn not_known(actions: Vec<String>, why: &str) -> Finding {
    Finding::amber(
        Item::Rights,
        format!("Not known whether you may {}: {why}.", some(&actions)),
        "Allow yourself iam:SimulatePrincipalPolicy and iam:GetRole, or compare by eye with `quell prepare rights --act`.",
    )
    .about(actions)
}
