//! What the canaries came to, account by account.

use std::collections::BTreeMap;

use crate::facts::Known;
use crate::facts::checkup::{Checkup, Tried};
use crate::ids::*;
use crate::readiness::{Finding, Item, members, some};

/// What the canaries of one account come to, and of how many more.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Came<'a> {
    First,
    Later(&'a RoleName),
    Refused(&'a RoleName, Option<&'a PolicyArn>, &'a str),
    Outside,
    Silent,
}

/// One finding for each thing that the canaries ran into, however many accounts it is in.
pub(super) fn judge(facts: &Checkup, roles: &[RoleName]) -> Vec<Finding> {
    let item = Item::Canaries;
    if let Known::Unknown(why) = &facts.accounts {
        return vec![Finding::unknown(item, why)];
    }
    let mut groups: BTreeMap<Came<'_>, Vec<(&AccountId, &str)>> = BTreeMap::new();
    for (account, tried) in &facts.canaries {
        let (came, why) = match tried {
            Tried::Allowed(role) if Some(role) == roles.first() => (Came::First, ""),
            Tried::Allowed(role) => (Came::Later(role), ""),
            Tried::Refused {
                role,
                policy,
                asked,
            } => (Came::Refused(role, policy.as_ref(), asked), ""),
            Tried::NotLetIn(why) => (Came::Outside, why.as_str()),
            Tried::NoAnswer(why) => (Came::Silent, why.as_str()),
        };
        groups.entry(came).or_default().push((account, why));
    }
    if groups.is_empty() {
        let nobody = "there is no active member account to ask in";
        return vec![Finding::unknown(item, nobody)];
    }
    let looked = format!(
        "of the {} accounts that were looked at (there are {})",
        facts.canaries.len(),
        members(facts).len()
    );
    let found = groups.into_iter().map(|(came, accounts)| {
        let ids: Vec<String> = accounts.iter().map(|(id, _)| id.to_string()).collect();
        let why = accounts.first().map_or("", |(_, why)| *why);
        canary(came, &ids, why, &looked, roles).about(ids)
    });
    found.collect()
}

fn canary(came: Came<'_>, ids: &[String], why: &str, looked: &str, roles: &[RoleName]) -> Finding {
    let (item, many, some) = (Item::Canaries, ids.len(), some(ids));
    let first = roles.first().map_or("the canary role", RoleName::as_str);
    match came {
        Came::First => Finding::green(
            item,
            format!("{first} lets canaries in, and their probe is allowed, in {many} {looked}."),
        ),
        Came::Later(role) => Finding::amber(
            item,
            format!(
                "Canaries get in by {role} alone, and not by {first}, in {many} {looked}: {some}."
            ),
            "Roll the canary role out to these: `quell prepare canary-template`.",
        ),
        Came::Refused(role, policy, ask) => {
            let by = policy.map_or_else(
                || "AWS does not say by what".to_owned(),
                |policy| format!("by {policy}"),
            );
            Finding::red(
                item,
                format!(
                    "The probe of {role} is refused although nobody is contained ({by}), in {many} {looked}: {some}."
                ),
                format!(
                    "Except {role} from that policy for {ask}: while the control is refused, no deny can be shown to hold there."
                ),
            )
        }
        Came::Outside => Finding::red(
            item,
            format!("No canary gets in, in {many} {looked}: {some}. AWS says of the first: {why}"),
            "Roll the canary role out to these, or let it trust you: `quell prepare canary-template --trust <your role's ARN>`.",
        ),
        Came::Silent => Finding::unknown(
            item,
            &format!("no canary had an answer in {many} {looked} ({some}): {why}"),
        ),
    }
}
