//! The playbooks there are to choose from, and the choice.
//!
//! Arrives: what is known of an incident ([`Situation`]). Leaves: the one playbook that answers it, and why. Each situation
//! with a finding type that is published has one answer or a written reason for none (`playbooks/none.toml`); a test goes
//! through all of them.

use serde::Deserialize;

use super::{OPERATOR, Playbook, PlaybookError, glob_matches};
use crate::ids::*;
use crate::principal::{Principal, PrincipalKind};

macro_rules! embedded {
    ($name:literal) => {
        (
            $name,
            include_str!(concat!("../../playbooks/", $name, ".toml")),
        )
    };
}

/// The playbooks that come with quell, by name; the first is what is gone by before anybody is known.
const EMBEDDED: &[(&str, &str)] = &[
    embedded!("identity-center-user"),
    embedded!("identity-center-user-management-account"),
    embedded!("team-elevated-access"),
    embedded!("iam-user-jump-account"),
    embedded!("assumed-role"),
    embedded!("workload-role"),
    embedded!("root-user"),
    embedded!("console-login-persistence"),
];

/// Finding types that none of them answers, and why.
const NONE: &str = include_str!("../../playbooks/none.toml");

/// What a playbook is chosen by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Situation<'a> {
    /// The types of the findings, `service event` of records; none for a name that somebody typed.
    pub signals: &'a [String],
    /// What the principal is.
    pub principal: PrincipalKind,
    /// Whether they can enter the management account.
    pub management: bool,
    /// Whether a workload holds the session.
    pub workload: bool,
}

impl<'a> Situation<'a> {
    /// What is known when the plan is made.
    pub fn of(signals: &'a [String], principal: &Principal) -> Self {
        let exact = principal.exact.as_ref();
        Self {
            signals,
            principal: principal.identity().kind(),
            management: principal.reaches_management,
            workload: exact.is_some_and(|exact| exact.workload.is_some()),
        }
    }

    /// For people.
    fn says(&self) -> String {
        let who = match (self.workload, self.management) {
            (true, _) => format!("{} that a workload holds", self.principal.says()),
            (false, true) => format!(
                "{} who can enter the management account",
                self.principal.says()
            ),
            (false, false) => self.principal.says().to_owned(),
        };
        if self.signals.is_empty() {
            return format!("somebody gave the name of {who}");
        }
        format!("{} about {who}", shorten(&self.signals.join(", "), 120))
    }
}

/// The playbooks there are to choose from.
#[derive(Debug, Clone, PartialEq)]
pub struct Shelf {
    /// Never empty.
    first: Playbook,
    others: Vec<Playbook>,
    /// How somebody named the one that there is.
    named: Option<String>,
}

/// A playbook, chosen.
#[derive(Debug, Clone, PartialEq)]
pub struct Chosen {
    /// It.
    pub playbook: Playbook,
    /// Why, a fragment for people.
    pub because: String,
    /// How somebody named it, if it is none that comes with quell: the incident remembers its name, and not its file.
    pub file: Option<String>,
}

impl Shelf {
    /// Those that come with quell.
    ///
    /// # Errors
    /// Never for the texts that are embedded (a test parses each); the type says so rather than a panic.
    pub fn embedded() -> Result<Self, PlaybookError> {
        let mut playbooks = EMBEDDED.iter().map(|(_, text)| Playbook::parse(text));
        let none = || Err(PlaybookError("no playbook comes with quell".to_owned()));
        Ok(Self {
            first: playbooks.next().unwrap_or_else(none)?,
            others: playbooks.collect::<Result<_, _>>()?,
            named: None,
        })
    }

    /// The one that somebody named so.
    pub fn of(playbook: Playbook, named: &str) -> Self {
        Self {
            first: playbook,
            others: Vec::new(),
            named: Some(named.to_owned()),
        }
    }

    /// The same with each of them changed.
    pub fn each(self, change: impl Fn(Playbook) -> Playbook) -> Self {
        Self {
            first: change(self.first),
            others: self.others.into_iter().map(change).collect(),
            named: self.named,
        }
    }

    /// What is gone by before anybody is known: how accounts are entered, and where the deny goes.
    pub fn base(&self) -> &Playbook {
        &self.first
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &Playbook> {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// For people: of a signal that none of them takes.
    pub fn unanswering(&self) -> String {
        match self.named {
            Some(_) => format!("the playbook {} does not answer", self.first.name),
            None => "no playbook answers".to_owned(),
        }
    }

    /// Whether any of them is for such a signal.
    pub fn takes(&self, signal: &str) -> bool {
        self.all().any(|it| it.answers.takes(signal))
    }

    /// Those that answer a situation: of those that come with quell one or none.
    pub fn answering(&self, situation: &Situation<'_>) -> impl Iterator<Item = &Playbook> {
        self.all().filter(|it| answers(it, situation))
    }

    /// The one to go by. A situation that nobody has written one for is run as if its name had been typed.
    pub fn choose(&self, situation: &Situation<'_>) -> Chosen {
        if let Some(named) = &self.named {
            return Chosen {
                playbook: self.first.clone(),
                because: "you named it".to_owned(),
                file: text_of(named).is_none().then(|| named.clone()),
            };
        }
        let says = situation.says();
        let by_name = Situation {
            signals: &[],
            ..situation.clone()
        };
        // Of several findings, the one that asks for more, which stands later.
        let chosen = self.answering(situation).last();
        let (playbook, because) = match chosen {
            Some(playbook) => (playbook, says),
            None => {
                let other = self.answering(&by_name).next();
                let because = format!("none answers {says}, and this is for such a principal");
                (other.unwrap_or(&self.first), because)
            }
        };
        Chosen {
            playbook: playbook.clone(),
            because,
            file: None,
        }
    }

    /// The one that an incident was begun with, where it is another than would be chosen now. A finding that comes in later
    /// says more than a name that is typed again.
    pub fn resumed(
        &self,
        chosen: Chosen,
        begun_with: Option<&PlaybookName>,
        signals: &[String],
    ) -> Chosen {
        let begun_with = begun_with.filter(|_| signals.is_empty());
        let begun_with = begun_with.filter(|name| **name != chosen.playbook.name);
        let its = begun_with.and_then(|name| self.all().find(|it| it.name == *name));
        its.map_or(chosen, |playbook| Chosen {
            playbook: playbook.clone(),
            because: "the incident was begun with it".to_owned(),
            file: None,
        })
    }

    /// Whether an incident was begun with one that is not here.
    pub fn lacks(&self, name: Option<&PlaybookName>) -> bool {
        self.named.is_none() && name.is_some_and(|name| self.all().all(|it| it.name != *name))
    }

    /// The one that an incident was begun with, where it is here.
    pub fn of_incident(&self, name: Option<&PlaybookName>) -> &Playbook {
        let its = self.all().find(|it| Some(&it.name) == name);
        its.unwrap_or(&self.first)
    }
}

/// Whether a playbook is for a situation.
fn answers(playbook: &Playbook, situation: &Situation<'_>) -> bool {
    let answers = &playbook.answers;
    let takes = if situation.signals.is_empty() {
        answers.takes(OPERATOR)
    } else {
        situation.signals.iter().any(|signal| answers.takes(signal))
    };
    takes
        && answers.principals.contains(&situation.principal)
        && answers
            .management
            .is_none_or(|management| management == situation.management)
        && answers
            .workload
            .is_none_or(|workload| workload == situation.workload)
}

/// The names of the playbooks that come with quell.
pub fn names() -> impl Iterator<Item = &'static str> {
    EMBEDDED.iter().map(|(name, _)| *name)
}

/// The text of a playbook that comes with quell.
pub fn text_of(name: &str) -> Option<&'static str> {
    EMBEDDED
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, text)| *text)
}

/// Finding types without a playbook.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Unanswered {
    none: Vec<Reason>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Reason {
    signals: Vec<String>,
    because: String,
}

/// Why no playbook is for such a finding; `None` where nothing is written.
pub fn why_none(signal: &str) -> Option<String> {
    let written: Unanswered = toml::from_str(NONE).ok()?;
    let is_its = |reason: &Reason| reason.signals.iter().any(|glob| glob_matches(glob, signal));
    let reason = written.none.into_iter().find(is_its)?;
    Some(reason.because)
}
