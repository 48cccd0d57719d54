//! What `quell guardrail` tells.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::facts::ArmedPolicy;
use crate::guardrail::{Case, Terms, wanted_by};
use crate::ids::*;
use crate::policy::document::Document;
use crate::verify::{AccountProof, Overall, Proof};

/// The end of any verb of `quell guardrail`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GuardrailReport {
    /// `quell.guardrail/1`.
    pub schema: &'static str,
    /// The host that answered, when it is not AWS.
    pub practice: Option<String>,
    /// `no-console-users`.
    pub guardrail: &'static str,
    /// How it stands.
    pub state: Standing,
    /// Its policy, or the one that was taken away.
    pub policy_id: Option<PolicyId>,
    /// What that is attached to.
    pub targets: Vec<TargetId>,
    /// The open incidents that it was attached for, and with the last of which it goes; none of one that stands for good.
    pub wanted_by: BTreeSet<IncidentId>,
    /// Accounts in which everybody may; `null` where the document is not one that quell writes.
    pub jump_accounts: Option<BTreeSet<AccountId>>,
    /// Roles and users who may elsewhere.
    pub except: Option<BTreeSet<PrincipalPattern>>,
    /// Whether new access keys are refused, too.
    pub access_keys: Option<bool>,
    /// What was done, or of a dry run would be: full sentences.
    pub changes: Vec<String>,
    /// What our evaluator says of the document.
    pub judged: Vec<Case>,
    /// What the canaries showed where it must refuse.
    pub refused: Vec<AccountProof>,
    /// What they showed in the jump accounts, where it must not.
    pub allowed: Vec<AccountProof>,
    /// What it does not do, and what could not be shown: full sentences.
    pub not_covered: Vec<String>,
    /// The document.
    pub document: Option<Document>,
}

/// What a release did with the guardrail that its incident had attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum GuardrailEnd {
    /// Detached and deleted.
    TakenAway,
    /// Other incidents want it, or somebody wants it to stand.
    Left,
    /// What became of it is not known, or it is still there.
    NotTakenAway,
}

impl GuardrailEnd {
    /// For people.
    pub fn says(self) -> &'static str {
        match self {
            Self::TakenAway => "The guardrail that it had attached is taken away.",
            Self::Left => {
                "The guardrail that it had attached stays: `quell guardrail check no-console-users` says for whom."
            }
            Self::NotTakenAway => {
                "The guardrail that it had attached could NOT be given up: type the release again."
            }
        }
    }
}

/// How a guardrail stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Written, and nobody was asked about it.
    Drafted,
    /// A dry run: this would be changed.
    Planned,
    /// It is not there.
    Absent,
    /// Attached, with the document that it must have.
    Attached,
    /// There, and attached to nothing.
    Detached,
    /// Attached, with another document.
    Altered,
    /// Attached, and shown to refuse where it was looked at.
    Proven,
    /// Attached, and not shown to.
    NotProven,
    /// Attached, and somebody gets through.
    GettingThrough,
    /// Attached, and it refuses in a jump account, too.
    RefusesTooMuch,
    /// Taken away.
    Removed,
}

impl GuardrailReport {
    /// A report of these terms, with nothing shown yet.
    pub fn of(state: Standing, terms: Option<&Terms>, practice: Option<String>) -> Self {
        Self {
            schema: "quell.guardrail/1",
            practice,
            guardrail: "no-console-users",
            state,
            policy_id: None,
            targets: Vec::new(),
            wanted_by: BTreeSet::new(),
            jump_accounts: terms.map(|terms| terms.jump_accounts.clone()),
            except: terms.map(|terms| terms.except.clone()),
            access_keys: terms.map(|terms| terms.access_keys),
            changes: Vec::new(),
            judged: Vec::new(),
            refused: Vec::new(),
            allowed: Vec::new(),
            not_covered: Vec::new(),
            document: terms.map(Terms::document),
        }
    }

    /// The same, of this policy.
    pub fn about(mut self, there: &ArmedPolicy) -> Self {
        self.policy_id = Some(there.summary.id.clone());
        self.targets.clone_from(&there.targets);
        self.wanted_by = wanted_by(there);
        self.document = Document::parse(&there.content).ok();
        self
    }

    /// The same, with what the canaries showed.
    pub fn shown(mut self, refused: Proof, allowed: Option<Proof>) -> Self {
        let lets_in = allowed
            .as_ref()
            .is_none_or(|proof| proof.overall != Overall::Opposite);
        self.state = match refused.overall {
            Overall::Opposite => Standing::GettingThrough,
            _ if !lets_in => Standing::RefusesTooMuch,
            Overall::Shown => Standing::Proven,
            Overall::Open => Standing::NotProven,
        };
        if allowed
            .as_ref()
            .is_some_and(|proof| proof.overall == Overall::Open)
        {
            self.not_covered.push("That it lets the jump accounts through was not shown by a call: the role of the canaries has no right to give passwords there, so something else refuses first, or no answer came. It is not the guardrail that does.".to_owned());
        }
        self.not_covered.push("That iam:CreateUser stays allowed: our evaluator says so of the document. A call that shows it would make a user.".to_owned());
        self.refused = refused.accounts;
        self.allowed = allowed.map(|proof| proof.accounts).unwrap_or_default();
        self
    }
}
