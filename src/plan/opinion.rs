//! A second opinion on a deny: what somebody else's judge says of the very cases that ours has proven.
//!
//! Arrives: a plan, and what IAM's simulator said of each [`Case`]. Leaves: an [`Opinion`]. Pure. It is asked for a plan
//! alone, where there is time (R11), and forbids nothing: what can be refused on the spot, preflight has refused.

use serde::Serialize;

use crate::facts::checkup::Simulated;
use crate::ids::SessionName;
use crate::plan::Plan;
use crate::plan::preflight::{Bystander, spared};
use crate::policy::document::Document;
use crate::policy::{self, CURRENT_TIME, SessionKeys};

/// The action that is judged: what canaries ask.
pub const ACTION: &str = "iam:ListAccountAliases";

/// A request that the deny must refuse, or must not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// Whose, for people.
    pub who: String,
    /// Its condition keys.
    pub keys: SessionKeys,
    /// Whether it is to be refused.
    pub refused: bool,
}

/// What two other judges say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SecondOpinion {
    /// IAM's policy simulator, of whom the deny refuses.
    pub simulator: Opinion,
    /// Access Analyzer, of how it is written.
    pub analyzer: Opinion,
}

/// What another judge says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Opinion {
    /// The same as ours.
    Agrees {
        /// Of so many cases; of a policy's text there is one.
        cases: usize,
    },
    /// Something else.
    Differs {
        /// Of what, full sentences.
        of: Vec<String>,
    },
    /// Nothing, and nothing changes for it.
    Unavailable {
        /// Why.
        because: String,
    },
}

/// Every way that a session of the suspect's can look, the operator, and the canaries' control.
pub fn cases(plan: &Plan, operator: &str) -> Vec<Case> {
    let neutral: SessionName = plan.incident.id.control_name();
    let at = plan.surveyed_at;
    let suspects = policy::sessions_of(&plan.principal.identity(), &neutral);
    let suspects = suspects.into_iter().map(|(who, mut keys)| {
        keys.push((CURRENT_TIME, at.to_string()));
        Case {
            who,
            keys,
            refused: true,
        }
    });
    let control = format!("AROAQUELLPREFLIGHT000:{neutral}");
    let bystanders = [
        (Bystander::Operator, operator.to_owned()),
        (Bystander::Control, control),
    ];
    let bystanders = bystanders.into_iter().map(|(who, userid)| Case {
        who: who.to_string(),
        keys: spared(userid, at),
        refused: false,
    });
    suspects.chain(bystanders).collect()
}

/// The service control policies of a case's account, from the root down: AWS's own, and the deny. A suspect meets the
/// whole document, a bystander the incident's part, as in preflight.
pub fn levels(plan: &Plan, case: &Case) -> Vec<Vec<String>> {
    let deny = if case.refused {
        &plan.whole
    } else {
        &plan.document
    };
    vec![vec![Document::allow_all().minified(), deny.minified()]]
}

/// What the simulator's word comes to, case by case.
pub fn of(said: &[(Case, Simulated)]) -> Opinion {
    let differs = said.iter().filter_map(|(case, said)| {
        let says = match said {
            Simulated::Allowed => "allowed".to_owned(),
            Simulated::Denied(decision) => decision.clone(),
            // Of what the request does not have: that it is missing is part of the case.
            Simulated::DependsOn(_) => return None,
        };
        let refused = *said != Simulated::Allowed;
        let wanted = if case.refused {
            "refused"
        } else {
            "let through"
        };
        (refused != case.refused).then(|| {
            format!(
                "IAM's policy simulator says {says} of {}, which is to be {wanted}.",
                case.who
            )
        })
    });
    let differs: Vec<String> = differs.collect();
    if differs.is_empty() {
        Opinion::Agrees { cases: said.len() }
    } else {
        Opinion::Differs { of: differs }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_let_through_and_should_not_be_is_named_and_the_other_way_round() {
        let case = |who: &str, refused| Case {
            who: who.to_owned(),
            keys: Vec::new(),
            refused,
        };
        let denied = || Simulated::Denied("explicitDeny".to_owned());
        let agree = [
            (case("a session named alice", true), denied()),
            (case("you", false), Simulated::Allowed),
        ];
        assert_eq!(of(&agree), Opinion::Agrees { cases: 2 });
        let differ = [
            (case("a session named alice", true), Simulated::Allowed),
            (case("you", false), denied()),
        ];
        let Opinion::Differs { of } = of(&differ) else {
            panic!("it agrees");
        };
        assert_eq!(
            of,
            [
                "IAM's policy simulator says allowed of a session named alice, which is to be refused.",
                "IAM's policy simulator says explicitDeny of you, which is to be let through."
            ]
        );
    }
}
