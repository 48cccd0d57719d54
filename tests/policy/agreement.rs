//! quell's evaluator beside the plain one, on what AWS's documentation decides.

use std::cell::RefCell;

use proptest::prelude::*;
use quell::policy::document::{Document, Effect};
use quell::policy::evaluate::{Decision, Level, Outcome, Request, Scps, Verdict};
use serde_json::Value;

use crate::cases::{Reach, case, runner};
use crate::naive;

/// What quell says of a case, and whether a deny in it could not be judged.
pub(crate) fn ours(case: &Value) -> (Verdict, bool) {
    let documents: Vec<Vec<Document>> = case["scps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|level| {
            let policies = level.as_array().unwrap().iter();
            policies
                .map(|policy| Document::parse(&policy.to_string()).unwrap())
                .collect()
        })
        .collect();
    let levels: Vec<Level<'_>> = documents
        .iter()
        .enumerate()
        .map(|(number, policies)| Level {
            name: number.to_string(),
            policies: policies
                .iter()
                .map(|document| ("policy", document))
                .collect(),
        })
        .collect();
    let request = request(&case["request"]);
    let scps = Scps::of(&levels);
    let (_, judged) = scps.judge(&request);
    let open = judged.iter().any(|one| {
        one.statement.effect == Effect::Deny && matches!(one.outcome, Outcome::CannotJudge(_))
    });
    (scps.evaluate(&request), open)
}

pub(crate) fn request(given: &Value) -> Request {
    let text = |name: &str| given[name].as_str().unwrap();
    let mut request = Request::new(text("action"), text("resource"), []);
    for (key, value) in given["context"].as_object().unwrap() {
        let values = match value.as_array() {
            Some(list) => list
                .iter()
                .map(|value| value.as_str().unwrap().to_owned())
                .collect(),
            None => vec![value.as_str().unwrap().to_owned()],
        };
        request.set(key, values);
    }
    request
}

pub(crate) fn word(decision: Decision) -> &'static str {
    match decision {
        Decision::Allow => "allow",
        Decision::ExplicitDeny => "explicit_deny",
        Decision::ImplicitDeny => "implicit_deny",
        Decision::Unknown => "unknown",
    }
}

/// How many of each answer there were, so that a draw which never meets its policies is seen.
#[derive(Debug, Default)]
pub(crate) struct Tally(std::collections::BTreeMap<String, usize>);

impl Tally {
    pub(crate) fn count(&mut self, what: &str) {
        *self.0.entry(what.to_owned()).or_default() += 1;
    }

    pub(crate) fn of(&self, what: &str) -> usize {
        self.0.get(what).copied().unwrap_or_default()
    }
}

#[test]
fn what_awss_documentation_decides_quell_decides_the_same() {
    let tally = RefCell::new(Tally::default());
    let agreed = runner(3, 4_000).run(&case(Reach::Documented), |case| {
        let (verdict, _) = ours(&case);
        prop_assert_eq!(
            word(verdict.decision),
            naive::decide(&case),
            "{}",
            verdict.because
        );
        tally.borrow_mut().count(word(verdict.decision));
        Ok(())
    });
    agreed.unwrap_or_else(|disagreed| panic!("{disagreed}"));
    println!("{tally:?}");
    for answer in ["allow", "explicit_deny", "implicit_deny"] {
        assert!(tally.borrow().of(answer) > 20, "{tally:?}");
    }
}
