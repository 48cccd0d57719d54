//! From findings to those of their suspects whom the operator means.

use std::cell::RefCell;
use std::collections::BTreeSet;

use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::ui::{NoAnswer, Ui};
use crate::cloud::{Clock as _, Cloud, Read as _};
use crate::ids::DetectorId;
use crate::playbook::shelf::{self, Shelf};
use crate::report::human::{self, clean};
use crate::signal::operator::{self, Given, Reference};
use crate::signal::{self, Finding, Nobody, Sure, Suspect, Who, Whom};

/// How one chooses among several.
pub struct Choice<'a, 'u> {
    /// Who chooses.
    pub ui: &'a Ui<'u>,
    /// What the findings are to be answered with.
    pub shelf: &'a Shelf,
    /// The types of the findings that were chosen from, once they were.
    pub signals: RefCell<BTreeSet<String>>,
    /// All of them, without being asked.
    pub all: bool,
    /// Samples as if they were none.
    pub allow_sample: bool,
}

impl Choice<'_, '_> {
    /// The suspects of some findings, each person once.
    pub fn made(&self, findings: &[Finding]) -> Result<Vec<Given>, Failure> {
        let mut suspects: Vec<Whom> = Vec::new();
        let (mut nobody, mut told) = (None, None);
        for finding in findings {
            match &finding.who {
                _ if finding.sample && !self.allow_sample => nobody = Some(&Nobody::Sample),
                Who::Suspects(found) => {
                    for accused in found {
                        if accused.sure == Sure::Told {
                            told = Some(&accused.whom);
                        } else if suspects.iter().all(|known| !same(known, &accused.whom)) {
                            suspects.push(accused.whom.clone());
                        }
                    }
                }
                Who::Nobody(why) => nobody = Some(why),
            }
        }
        let chosen = match (suspects.as_slice(), told, nobody) {
            ([], Some(told), _) => return Err(only_told(told)),
            ([], None, Some(nobody)) => return Err(nobody.clone().into()),
            ([], None, None) => return Err(signal::ReadError::NoFindings.into()),
            ([_], _, _) => suspects,
            (several, _, _) if !self.all => self.of_several(several)?,
            _ => suspects,
        };
        self.note(findings);
        Ok(chosen.into_iter().map(Given::from).collect())
    }

    /// A person chooses; a script has to say.
    fn of_several(&self, several: &[Whom]) -> Result<Vec<Whom>, Failure> {
        let mut items: Vec<String> = several.iter().map(human::whom).collect();
        let names = items.join("; ");
        items.push(format!("all {}", several.len()));
        match self.ui.choose("Whom?", &items) {
            Ok(chosen) => Ok(match several.get(chosen) {
                Some(one) => vec![one.clone()],
                None => several.to_vec(),
            }),
            Err(NoAnswer::Interrupted) => Err(Failure::new(Exit::Interrupted, "interrupted")),
            Err(NoAnswer::NoTerminal) => {
                let names = signal::shortened(&names);
                Err(Failure::usage(format!("the finding accuses several: {names}"))
                    .hint("Contain all of them: add `--all-suspects`; or one by one: `quell contain <username>`."))
            }
        }
    }

    fn note(&self, findings: &[Finding]) {
        let kinds: BTreeSet<String> = findings.iter().map(|it| it.kind.clone()).collect();
        for kind in kinds.iter().filter(|kind| !self.shelf.takes(kind)) {
            let why = shelf::why_none(kind).map(|why| format!(": {why}"));
            self.ui.say(&format!(
                "note: {} findings of type {}{}; going on because you asked.",
                self.shelf.unanswering(),
                clean(kind),
                why.unwrap_or_default()
            ));
        }
        self.signals.borrow_mut().extend(kinds);
    }
}

impl From<Whom> for Given {
    fn from(whom: Whom) -> Self {
        match whom {
            Whom::Suspect(suspect) => Given::Suspect(suspect),
            Whom::Unresolved(unresolved) => Given::Unresolved(unresolved),
        }
    }
}

/// A description is made for people, so a person has to take it up.
fn only_told(whom: &Whom) -> Failure {
    let named = match whom {
        Whom::Suspect(Suspect::IamUser {
            name,
            account: Some(account),
            ..
        }) => format!("arn:aws:iam::{account}:user/{name}"),
        Whom::Suspect(_) | Whom::Unresolved(_) => "<username or ARN>".to_owned(),
    };
    let who = human::whom(whom);
    let why = format!("the finding names {who} in the words of its description alone");
    Failure::new(Exit::Refused, why)
        .hint(format!("If that is who is meant: `quell contain {named}`."))
}

/// Whether two claims mean one person: the same user in sessions of two roles is one user.
fn same(one: &Whom, other: &Whom) -> bool {
    match (one, other) {
        (
            Whom::Suspect(Suspect::PermissionSetSession { session: one, .. }),
            Whom::Suspect(Suspect::PermissionSetSession { session: other, .. }),
        ) => one == other,
        (one, other) => one == other,
    }
}

/// The finding that GuardDuty has.
pub async fn fetched<C: Cloud>(
    cloud: &C,
    reference: &Reference,
    detector: Option<&str>,
) -> Result<Vec<Finding>, Failure> {
    let id = &reference.id;
    let detectors = match (detector, &reference.detector) {
        (Some(detector), _) => vec![DetectorId::parse(detector)?],
        (None, Some(detector)) => vec![detector.clone()],
        (None, None) => cloud.read().detectors().await?,
    };
    for detector in &detectors {
        if let Some(text) = cloud.read().finding(detector, id).await? {
            return Ok(signal::read(&text)?);
        }
    }
    let looked = if detectors.is_empty() {
        "this account and Region have no detector".to_owned()
    } else {
        format!(
            "looked in {} detector(s) of this account and Region",
            detectors.len()
        )
    };
    Err(Failure::new(Exit::Failed, format!("GuardDuty has no finding {id} ({looked})")).hint("Name its Region and detector: `--region <region> --detector <id>`, or give the finding as a file: `--finding-file <file>`."))
}

/// What GuardDuty has seen of late, for a person who chooses one of it or types a name.
pub async fn recent<C: Cloud>(cloud: &C) -> Result<Vec<Finding>, Failure> {
    let mut findings = Vec::new();
    for detector in cloud.read().detectors().await? {
        for text in cloud.read().recent_findings(&detector).await? {
            findings.extend(signal::read(&text).unwrap_or_default());
        }
    }
    Ok(findings)
}

impl Choice<'_, '_> {
    /// Asks a person which of the recent findings they mean, or for a name.
    pub fn of_recent<C: Cloud>(
        &self,
        recent: Result<Vec<Finding>, Failure>,
        cloud: &C,
    ) -> Result<Vec<Given>, Failure> {
        // Without GuardDuty a name can be typed all the same.
        let recent = recent.unwrap_or_else(|failure| {
            let why = format!(
                "note: there are no findings to choose from: {}",
                failure.error
            );
            self.ui.say(&why);
            Vec::new()
        });
        let accuses = |finding: &&Finding| matches!(finding.who, Who::Suspects(_));
        let accusing: Vec<&Finding> = recent.iter().filter(accuses).collect();
        let others = recent.len() - accusing.len();
        if others > 0 {
            self.ui.say(&format!(
                "note: {others} more recent findings name no AWS principal."
            ));
        }
        let now = cloud.clock().now();
        let short = |finding: &&Finding| human::finding_in_short(finding, now);
        let mut items: Vec<String> = accusing.iter().map(short).collect();
        items.push("somebody else: type a name".to_owned());
        let chosen = self.ui.choose("Which finding?", &items);
        let chosen = chosen.map_err(unanswered)?;
        match accusing.get(chosen) {
            Some(finding) => self.made(std::slice::from_ref(*finding)),
            None => {
                let typed = self.ui.ask("Whom (username, ARN, access key id)?");
                Ok(vec![operator::of_input(&typed.map_err(unanswered)?)?])
            }
        }
    }
}

fn unanswered(why: NoAnswer) -> Failure {
    match why {
        NoAnswer::Interrupted => Failure::new(Exit::Interrupted, "interrupted"),
        NoAnswer::NoTerminal => nobody_given(),
    }
}

/// Nothing was given, and nobody is there to be asked.
pub fn nobody_given() -> Failure {
    Failure::usage("nobody is named, and there is no terminal to choose on").hint(
        "Name the user: `quell contain <username>`, or give a finding: `quell contain --finding-file <file>`.",
    )
}
