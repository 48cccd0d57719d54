//! What the answers of one account show together: what the worst of them shows.

use crate::cloud::Ask;
use crate::verify::{Aim, Verdict};

/// Of more questions than these that went wrong in one account, the rest is counted.
const MOST_NAMED: usize = 5;

/// What the table says of one probe, and why.
pub(super) type Shows = (Verdict, Option<String>);

/// The worst, if there is any; the first of those that are as bad.
pub(super) fn worst(aim: Aim, seen: impl IntoIterator<Item = Shows>) -> Option<Shows> {
    let mut worst: Option<Shows> = None;
    for one in seen {
        let outweighs = |(verdict, _): &Shows| weight(aim, one.0) > weight(aim, *verdict);
        if worst.as_ref().is_none_or(outweighs) {
            worst = Some(one);
        }
    }
    worst
}

/// What an account shows that was asked several things: the worst, and where they differ, by which questions.
pub(super) fn together(aim: Aim, seen: Vec<(&Ask, Shows)>) -> Option<Shows> {
    let all = worst(aim, seen.iter().map(|(_, shows)| shows.clone()))?;
    if seen.iter().all(|(_, (verdict, _))| *verdict == all.0) {
        return Some(all);
    }
    let hoped = aim.hoped();
    // The worst first: of many, only the first are named.
    let mut apart: Vec<_> = seen.iter().filter(|(_, shows)| shows.0 != hoped).collect();
    apart.sort_by_key(|(_, (verdict, _))| std::cmp::Reverse(weight(aim, *verdict)));
    let named = apart.iter().take(MOST_NAMED).map(|(ask, (verdict, why))| {
        let why = why.as_deref().map(|why| format!(", {why}"));
        format!("{ask}: {}{}", verdict.says(), why.unwrap_or_default())
    });
    let mut named = named.collect::<Vec<String>>().join("; ");
    if apart.len() > MOST_NAMED {
        named.push_str(&format!(
            "; and {} more questions",
            apart.len() - MOST_NAMED
        ));
    }
    Some((all.0, Some(named)))
}

/// How far a verdict is from what is hoped for: nothing weighs less than that, and the opposite weighs most.
fn weight(aim: Aim, verdict: Verdict) -> u8 {
    let (hoped, opposite) = aim.verdicts();
    match verdict {
        verdict if verdict == hoped => 0,
        verdict if verdict == opposite => 2,
        Verdict::RefusedByUs
        | Verdict::NotSettled
        | Verdict::Allowed
        | Verdict::RefusedByOther
        | Verdict::ControlRefused
        | Verdict::CouldNotAsk => 1,
    }
}
