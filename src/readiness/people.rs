//! Names of people: those that no session can have, and those that several may have.

use std::collections::BTreeMap;

use crate::facts::checkup::Checkup;
use crate::facts::{Known, Listed, User};
use crate::ids::*;
use crate::plan::collision::{With, collisions};
use crate::readiness::{Finding, Item, some};

pub(super) fn judge(facts: &Checkup) -> Vec<Finding> {
    let listed = match &facts.users {
        Known::Known(listed) => listed,
        Known::Unknown(why) => {
            return vec![
                Finding::unknown(Item::Usernames, why),
                Finding::unknown(Item::NamesInCommon, why),
            ];
        }
    };
    let mut findings = vec![nameless(&listed.users), in_common(listed)];
    if let Some(cut) = &listed.cut {
        let first = format!("{cut}, and no more were looked at");
        findings.push(Finding::unknown(Item::Usernames, &first));
    }
    findings
}

fn name_of(user: &User) -> Result<SessionName, NotAnId> {
    SessionName::parse(user.username.as_str())
}

fn nameless(users: &[User]) -> Finding {
    let item = Item::Usernames;
    let without = users.iter().filter(|user| name_of(user).is_err());
    let without: Vec<String> = without.map(|user| user.username.to_string()).collect();
    if without.is_empty() {
        let many = users.len();
        return Finding::green(
            item,
            format!("The names of all {many} users can be those of sessions."),
        );
    }
    Finding::amber(
        item,
        format!(
            "{} of {} users have names that no session can have: {}.",
            without.len(),
            users.len(),
            some(&without)
        ),
        "Rename them in the identity source, to 2 to 64 of A-Z a-z 0-9 _ + = , . @ -. Until then their user id alone denies them, which no canary can show.",
    )
    .about(without)
}

fn in_common(listed: &Listed) -> Finding {
    let (item, users) = (Item::NamesInCommon, &listed.users);
    let mut shared = alike_but_for_case(users);
    // Whose name is a session's is named so and not otherwise (aws-facts §3): only the others may be spelled like somebody.
    let others = users.iter().filter(|user| name_of(user).is_err());
    let others: Vec<User> = others.cloned().collect();
    for user in users {
        let Ok(name) = name_of(user) else { continue };
        let found = collisions([&name], Some(&user.id), &others);
        shared.extend(found.iter().map(|collision| match &collision.with {
            With::User(other) => format!("{name} and {}", other.username),
            With::Instance => format!("{name} and an EC2 instance"),
        }));
    }
    if let (Some(cut), true) = (&listed.cut, shared.is_empty()) {
        let so_far = format!("{cut}, and those that were looked at have no name in common");
        return Finding::unknown(item, &so_far);
    }
    if shared.is_empty() {
        return Finding::green(item, "No two users can have sessions of one name.");
    }
    Finding::amber(
        item,
        format!("A deny of one may refuse the other, or be taken for theirs: {}.", some(&shared)),
        "Rename one of each in the identity source; until then name them by user id: `quell contain <user id>`, and read what the plan says of names in common.",
    )
    .about(shared)
}

/// AWS does not say whether it looks names up by case (aws-facts §9).
fn alike_but_for_case(users: &[User]) -> Vec<String> {
    let mut alike: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for user in users {
        let name = user.username.as_str();
        alike.entry(name.to_lowercase()).or_default().push(name);
    }
    let several = alike.into_values().filter(|names| names.len() > 1);
    several.map(|names| names.join(" and ")).collect()
}
