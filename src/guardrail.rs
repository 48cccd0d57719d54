//! The guardrail: a standing policy by which nobody becomes a console user outside the jump accounts.
//!
//! Arrives: [`Terms`] (where it does not bind), the ground, and the policy that is there. Leaves: the document, a [`Raising`]
//! or a [`Lowering`]. Goes wrong: [`Unfit`], before anything was changed. Pure.
//!
//! Whoever has stolen a session makes an IAM user with a password, because that outlives every session. One jump account
//! holds the users who may sign in to the console; everywhere else the deny refuses `iam:CreateLoginProfile`, also for a
//! user who is there already, and `iam:UpdateLoginProfile`, by which somebody else's password becomes the attacker's.
//! `iam:CreateUser` stays allowed: a user for programs is legitimate, and is none of the console's. Each account's root user is
//! spared, as the emergency exit. `iam:CreateAccessKey` only if asked for; `iam:UpdateAccessKey` never, because switching a
//! key off is how an IAM user is evicted.
//!
//! The exceptions stand in one `ArnNotLike` on `aws:PrincipalArn`. It is refused to whoever is like none of them, and also
//! where the key is missing: what cannot be told apart is not let through. Not `ForAllValues:`, which is for keys with
//! several values and which this has one of; and not `StringNotLike`, whose `*` reaches over the colons of an ARN, so that
//! `arn:aws:iam::*:root` would be about more than accounts. For a role's session the key has the role's ARN and not the
//! session's, so a session name cannot pretend to be an exception.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::cloud::NewPolicy;
use crate::facts::{ArmedPolicy, Known};
use crate::ids::*;
use crate::plan::Step;
use crate::plan::arming::{Unready, takes_a_policy};
use crate::policy::document::{Condition, Document, Effect, Statement, Words};
use crate::policy::evaluate::{Decision, Level, Request, evaluate};
use crate::policy::{MOST_CHARACTERS, PRINCIPAL_ARN};
use crate::survey::Ground;

/// The name of its policy, unique in the organization: no incident's policy can be named so.
pub const POLICY: &str = "quell-guardrail-no-console-users";

/// The tag by which the policy is known to be ours.
const TAG: &str = "quell:guardrail";

/// Its value.
const NO_CONSOLE_USERS: &str = "no-console-users";

/// What the tag of an incident that it was attached for begins with; the incident's id follows. A tag for each: two
/// incidents that want it at once never write the same.
const FOR: &str = "quell:guardrail-for:";

/// The value while the incident wants it.
const WANTED: &str = "open";

/// The value once the incident is released.
const WANTED_NO_MORE: &str = "over";

/// The tag of one that somebody wants to stand whether there is an incident or not. It is written, and not told from nobody's
/// wanting it: two incidents that are released at once would leave that behind, too.
const STANDS: &str = "quell:guardrail-stands";

/// Its value.
const FOR_GOOD: &str = "yes";

/// For people who find the policy in the console.
const DESCRIPTION: &str = "Made by quell. Outside the jump accounts nobody gets a console password. Take it away with `quell guardrail remove no-console-users`.";

/// The Sid of its statement.
const SID: &str = "QuellNoConsoleUsers";

/// What is refused always.
const PASSWORDS: [&str; 2] = ["iam:CreateLoginProfile", "iam:UpdateLoginProfile"];

/// What is refused if asked for.
const ACCESS_KEYS: &str = "iam:CreateAccessKey";

/// The user whose password the probe asks for, and who is not to exist.
pub const NOBODY: &str = "quell-guardrail-probe";

/// Whom it does not bind, and what it refuses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Terms {
    /// Of every ARN.
    pub partition: Partition,
    /// Accounts in which everybody may.
    pub jump_accounts: BTreeSet<AccountId>,
    /// Roles and users who may elsewhere.
    pub except: BTreeSet<PrincipalPattern>,
    /// Whether new access keys are refused, too.
    pub access_keys: bool,
}

impl Terms {
    /// The document.
    pub fn document(&self) -> Document {
        let keys = self.access_keys.then_some(ACCESS_KEYS);
        let actions = PASSWORDS.into_iter().chain(keys).map(str::to_owned);
        Document::new(vec![Statement {
            sid: Some(SID.to_owned()),
            effect: Effect::Deny,
            actions: Words {
                negated: false,
                patterns: actions.collect(),
            },
            resources: Words::these(["*"]),
            conditions: vec![Condition {
                operator: "ArnNotLike".to_owned(),
                key: PRINCIPAL_ARN.to_owned(),
                values: self.spared(),
            }],
            unknown: Vec::new(),
        }])
    }

    /// The ARNs of those whom it does not bind.
    fn spared(&self) -> Vec<String> {
        let p = &self.partition;
        let accounts = self.jump_accounts.iter();
        let accounts = accounts.map(|account| format!("arn:{p}:iam::{account}:*"));
        let except = self.except.iter().map(|one| one.as_str().to_owned());
        let root = format!("arn:{p}:iam::*:root");
        std::iter::once(root)
            .chain(accounts)
            .chain(except)
            .collect()
    }

    /// The terms that a document was written from; `None` of one that quell would not write.
    pub fn of(document: &Document) -> Option<Self> {
        let statement = document.statements.first()?;
        let values = &statement.conditions.first()?.values;
        let root = values.first()?;
        let partition = Partition::parse(root.split(':').nth(1)?).ok()?;
        let mut terms = Self {
            partition,
            jump_accounts: BTreeSet::new(),
            except: BTreeSet::new(),
            access_keys: statement
                .actions
                .patterns
                .iter()
                .any(|action| action == ACCESS_KEYS),
        };
        for value in values.iter().skip(1) {
            let whole = value
                .strip_suffix(":*")
                .and_then(|arn| arn.rsplit(':').next());
            match whole.and_then(|account| AccountId::parse(account).ok()) {
                Some(account) => terms.jump_accounts.insert(account),
                None => terms
                    .except
                    .insert(PrincipalPattern::parse(value.as_str()).ok()?),
            };
        }
        (terms.document() == *document).then_some(terms)
    }

    /// What our evaluator says of the very document, for whoever approves it: each case as it must be.
    ///
    /// # Errors
    /// A case that is otherwise, a lower-case fragment: this is a fault in quell.
    pub fn shown(&self) -> Result<Vec<Case>, String> {
        let (document, p) = (self.document(), &self.partition);
        let somewhere = (0_u64..)
            .filter_map(|n| AccountId::parse(format!("{n:012}")).ok())
            .find(|account| !self.is_named(account));
        let somewhere = somewhere.ok_or("there is no other account")?;
        let elsewhere = "in any other account";
        let mut cases = vec![
            Case::of(
                elsewhere,
                format!("arn:{p}:iam::{somewhere}:role/Admin"),
                true,
            ),
            Case::of(elsewhere, format!("arn:{p}:iam::{somewhere}:root"), false),
        ];
        for account in &self.jump_accounts {
            let place = format!("in jump account {account}");
            let arn = format!("arn:{p}:iam::{account}:role/Admin");
            cases.push(Case::of(&place, arn, false));
        }
        for one in &self.except {
            let arn = one.as_str().replace('*', "x");
            cases.push(Case::of("excepted", arn, false));
        }
        for case in &cases {
            for action in PASSWORDS {
                if refuses(&document, action, &case.who) != case.refused {
                    return Err(format!("{action} by {}", case.who));
                }
            }
            if refuses(&document, "iam:CreateUser", &case.who) {
                return Err(format!("iam:CreateUser by {}", case.who));
            }
        }
        Ok(cases)
    }

    fn is_named(&self, account: &AccountId) -> bool {
        let excepted = |one: &PrincipalPattern| one.as_str().contains(account.as_str());
        self.jump_accounts.contains(account) || self.except.iter().any(excepted)
    }

    /// What it does not do, full sentences.
    pub fn not_covered(&self, management: Option<&AccountId>) -> Vec<String> {
        let mut all = Vec::new();
        if let Some(management) = management {
            all.push(format!(
                "The management account {management}: no service control policy applies there."
            ));
        }
        all.push(
            "Console users who are there already, and what they know: `quell audit` lists them."
                .to_owned(),
        );
        if !self.access_keys {
            all.push(
                "New access keys: `--access-keys` refuses them, too, to programs as to people."
                    .to_owned(),
            );
        }
        all.push("Consoles without a password: whoever has an IAM user's key can ask STS for a federated session and sign in with it.".to_owned());
        all.push("Root users: each account's is spared, as the emergency exit.".to_owned());
        all
    }
}

/// Whether a document refuses this to a principal, beside a policy that allows everything.
fn refuses(document: &Document, action: &str, principal: &str) -> bool {
    let everything = Document::allow_all();
    let levels = [Level {
        name: "root".to_owned(),
        policies: vec![("FullAWSAccess", &everything), (POLICY, document)],
    }];
    let keys = [(PRINCIPAL_ARN, principal.to_owned())];
    evaluate(&Request::new(action, "*", keys), &levels).decision != Decision::Allow
}

/// Somebody who asks for a password, and whether that is refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Case {
    /// Where, for people.
    pub place: String,
    /// `aws:PrincipalArn`.
    pub who: String,
    /// Whether it is refused.
    pub refused: bool,
}

impl Case {
    fn of(place: &str, who: String, refused: bool) -> Self {
        Self {
            place: place.to_owned(),
            who,
            refused,
        }
    }
}

/// Why the guardrail is left as it is. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
pub enum Unfit {
    /// No policy can be attached there.
    #[error(transparent)]
    Unready(#[from] Unready),
    /// A policy has its name, and is somebody else's.
    #[error("the policy {0} is named {POLICY}, and quell did not make it")]
    Foreign(PolicyId),
    /// It stands somewhere else for good: what an incident attached beside it, nobody could tell from that again.
    #[error(
        "the guardrail {policy} stands already, attached to {}, and does not cover {target}",
        .targets.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    )]
    StandsElsewhere {
        /// Its policy.
        policy: PolicyId,
        /// Where it is attached.
        targets: Vec<TargetId>,
        /// Where an incident wanted it.
        target: TargetId,
    },
    /// It stands for good, and says what quell would not write: no incident puts that right.
    #[error("the guardrail {0} stands already, and somebody has changed its document")]
    Altered(PolicyId),
    /// An account that is given out as a jump account, and is none of the organization's.
    #[error("jump account {0} is not an active account of the organization")]
    NoSuchAccount(AccountId),
    /// Too many exceptions.
    #[error("the guardrail has {0} characters, and AWS takes {MOST_CHARACTERS}")]
    TooLong(usize),
    /// The document does not do what it is for.
    #[error("the guardrail would not do as it must: {0}: this is a fault in quell")]
    Fault(String),
}

/// What is to be done so that it holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Raising {
    /// Where it will be attached.
    pub target: TargetId,
    /// What it will say.
    pub document: Document,
    /// The cases that were judged on it.
    pub cases: Vec<Case>,
    /// Create or update, attach.
    pub steps: Vec<Step>,
}

/// What is to be done to take it away: detached from wherever it is attached, and deleted.
#[derive(Debug, Clone, PartialEq)]
pub struct Lowering {
    /// The policy.
    pub policy: ArmedPolicy,
}

/// Whether a policy of its name is ours.
///
/// # Errors
/// [`Unfit::Foreign`].
pub fn ours(there: &ArmedPolicy) -> Result<&ArmedPolicy, Unfit> {
    if there.tags.get(TAG).map(String::as_str) == Some(NO_CONSOLE_USERS) {
        Ok(there)
    } else {
        Err(Unfit::Foreign(there.summary.id.clone()))
    }
}

/// Whether somebody wants it to stand for good: it says so, or was never any incident's.
pub fn stands(there: &ArmedPolicy) -> bool {
    let no_incidents = !there.tags.keys().any(|key| key.starts_with(FOR));
    no_incidents || there.tags.get(STANDS).map(String::as_str) == Some(FOR_GOOD)
}

/// The open incidents that a guardrail was attached for.
pub fn wanted_by(there: &ArmedPolicy) -> BTreeSet<IncidentId> {
    let wanted = there.tags.iter().filter(|(_, value)| *value == WANTED);
    let ids = wanted.filter_map(|(key, _)| key.strip_prefix(FOR));
    ids.filter_map(|id| IncidentId::parse(id).ok()).collect()
}

fn tag_for(incident: &IncidentId) -> String {
    format!("{FOR}{incident}")
}

impl Raising {
    /// What it takes for as long as an incident is open. A guardrail that stands already does as it is, whatever its terms:
    /// it is not the incident's, and stays.
    ///
    /// # Errors
    /// [`Unfit`].
    pub fn for_incident(
        ground: &Ground,
        there: Option<&ArmedPolicy>,
        accounts: &Known<Vec<AccountId>>,
        terms: &Terms,
        incident: &IncidentId,
    ) -> Result<Self, Unfit> {
        let there = there.map(ours).transpose()?;
        let attached = there.filter(|there| !there.targets.is_empty());
        let said = attached.and_then(|there| Terms::of(&Document::parse(&there.content).ok()?));
        let terms = said.as_ref().unwrap_or(terms);
        let mut raising = Self::of(ground, there, accounts, terms)?;
        let wanted = BTreeMap::from([(tag_for(incident), WANTED.to_owned())]);
        let is_the_incidents = attached.is_none_or(|there| !stands(there));
        if let Some(there) = attached.filter(|_| !is_the_incidents) {
            if said.is_none() {
                return Err(Unfit::Altered(there.summary.id.clone()));
            }
            let covers = |target: &TargetId| *target == ground.target || *target == ground.root.id;
            if !there.targets.iter().any(covers) {
                return Err(Unfit::StandsElsewhere {
                    policy: there.summary.id.clone(),
                    targets: there.targets.clone(),
                    target: ground.target.clone(),
                });
            }
            // Of what stands for good, an incident changes nothing.
            raising
                .steps
                .retain(|step| matches!(step, Step::CreatePolicy { .. }));
        }
        for step in &mut raising.steps {
            if let Step::CreatePolicy { policy, .. } = step {
                policy.tags.remove(STANDS);
                policy.tags.extend(wanted.clone());
            }
        }
        raising
            .steps
            .retain(|step| !matches!(step, Step::TagPolicy { .. }));
        if let Some(there) = there.filter(|_| is_the_incidents) {
            raising.steps.push(Step::TagPolicy {
                policy: there.summary.id.clone(),
                already: wanted_by(there).contains(incident),
                tags: wanted,
            });
        }
        Ok(raising)
    }

    /// What it takes, or why it cannot be. `accounts` are those of the organization. From then on it stands, also if an
    /// incident has attached it.
    ///
    /// # Errors
    /// [`Unfit`].
    pub fn of(
        ground: &Ground,
        there: Option<&ArmedPolicy>,
        accounts: &Known<Vec<AccountId>>,
        terms: &Terms,
    ) -> Result<Self, Unfit> {
        let there = there.map(ours).transpose()?;
        let attached = there.is_some_and(|there| there.targets.contains(&ground.target));
        takes_a_policy(ground, attached)?;
        if let Known::Known(accounts) = accounts
            && let Some(stranger) = terms
                .jump_accounts
                .iter()
                .find(|account| !accounts.contains(account))
        {
            return Err(Unfit::NoSuchAccount(stranger.clone()));
        }
        let document = terms.document();
        if document.characters() > MOST_CHARACTERS {
            return Err(Unfit::TooLong(document.characters()));
        }
        let cases = terms.shown().map_err(Unfit::Fault)?;
        let policy = Box::new(NewPolicy {
            name: POLICY.to_owned(),
            description: DESCRIPTION.to_owned(),
            content: document.minified(),
            tags: BTreeMap::from([
                (TAG.to_owned(), NO_CONSOLE_USERS.to_owned()),
                (STANDS.to_owned(), FOR_GOOD.to_owned()),
            ]),
        });
        let update = there.map(|there| Step::UpdatePolicy {
            policy: there.summary.clone(),
            content: document.minified(),
            already: Document::parse(&there.content).as_ref() == Ok(&document),
            known: true,
            puts_back: Vec::new(),
        });
        let create = Step::CreatePolicy {
            policy,
            already: there.map(|there| there.summary.clone()),
        };
        let attach = Step::AttachPolicy {
            target: ground.target.clone(),
            already: attached,
        };
        let for_good = (STANDS.to_owned(), FOR_GOOD.to_owned());
        let stays = there.map(|there| Step::TagPolicy {
            policy: there.summary.id.clone(),
            tags: BTreeMap::from([for_good.clone()]),
            already: stands(there),
        });
        Ok(Self {
            target: ground.target.clone(),
            document,
            cases,
            steps: [Some(create), update, Some(attach), stays]
                .into_iter()
                .flatten()
                .collect(),
        })
    }

    /// Whether there is nothing to do.
    pub fn already(&self) -> bool {
        self.steps.iter().all(Step::already)
    }

    /// What will be done, full sentences.
    pub fn says(&self) -> Vec<String> {
        let steps = self.steps.iter().filter(|step| !step.already());
        let said = steps.map(|step| match step {
            Step::CreatePolicy { policy, .. } => format!("Create the policy {}.", policy.name),
            Step::AttachPolicy { target, .. } => {
                format!("Attach it to {target}. It takes one place of ten there.")
            }
            Step::UpdatePolicy { policy, .. } => {
                format!(
                    "Replace the document of {}: it says something else.",
                    policy.id
                )
            }
            Step::TagPolicy { policy, tags, .. } => {
                let wanted = tags.values().any(|value| value == WANTED);
                match wanted {
                    true => format!("Note on {policy} that this incident wants it."),
                    false => format!(
                        "Note on {policy} that it stands: an incident has attached it, and its release will leave it."
                    ),
                }
            }
        });
        said.collect()
    }
}

/// What a release notes first on a guardrail that its incident has attached: that this one wants it no more. Only what is read
/// after that says whether anybody does, and of two who are released at once one reads that nobody does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Giving {
    /// The policy.
    pub policy: PolicyId,
    /// The note.
    pub tags: BTreeMap<String, String>,
}

impl Giving {
    /// `None` where the incident has attached none.
    pub fn of(there: &ArmedPolicy, incident: &IncidentId) -> Option<Self> {
        let there = ours(there).ok()?;
        wanted_by(there).contains(incident).then(|| Self {
            policy: there.summary.id.clone(),
            tags: BTreeMap::from([(tag_for(incident), WANTED_NO_MORE.to_owned())]),
        })
    }
}

/// How it is taken away once nobody wants it any more; `None` while somebody does.
pub fn unwanted(there: &ArmedPolicy) -> Option<Lowering> {
    let there = ours(there).ok()?;
    let nobody = !stands(there) && wanted_by(there).is_empty();
    nobody.then(|| Lowering {
        policy: there.clone(),
    })
}

impl Lowering {
    /// What taking it away takes; `None` when it is not there.
    ///
    /// # Errors
    /// [`Unfit::Foreign`].
    pub fn of(there: Option<&ArmedPolicy>) -> Result<Option<Self>, Unfit> {
        let there = there.map(ours).transpose()?;
        Ok(there.map(|there| Self {
            policy: there.clone(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::PolicySummary;

    fn terms(jump: &[&str], except: &[&str], access_keys: bool) -> Terms {
        let account = |id: &&str| AccountId::parse(*id).unwrap();
        let pattern = |arn: &&str| PrincipalPattern::parse(*arn).unwrap();
        Terms {
            partition: Partition::parse("aws").unwrap(),
            jump_accounts: jump.iter().map(account).collect(),
            except: except.iter().map(pattern).collect(),
            access_keys,
        }
    }

    #[test]
    fn the_document_is_the_one_of_the_source_in_its_sounder_form() {
        assert_eq!(
            terms(&["222233334444"], &[], false).document().minified(),
            r#"{"Version":"2012-10-17","Statement":[{"Sid":"QuellNoConsoleUsers","Effect":"Deny","Action":["iam:CreateLoginProfile","iam:UpdateLoginProfile"],"Resource":"*","Condition":{"ArnNotLike":{"aws:PrincipalArn":["arn:aws:iam::*:root","arn:aws:iam::222233334444:*"]}}}]}"#
        );
    }

    #[test]
    fn terms_are_read_back_from_the_document_and_from_no_other() {
        let all = terms(
            &["222233334444", "333344445555"],
            &[
                "arn:aws:iam::444455556666:role/aws-reserved/sso.amazonaws.com/*/AWSReservedSSO_Admin_*",
            ],
            true,
        );
        assert_eq!(Terms::of(&all.document()), Some(all.clone()));
        let mut altered = all.document();
        altered.statements[0].conditions[0]
            .values
            .push("*".to_owned());
        assert_eq!(Terms::of(&altered), None);
        assert_eq!(Terms::of(&Document::allow_all()), None);
    }

    #[test]
    fn the_policy_is_no_incidents() {
        assert_eq!(IncidentId::of_policy_name(POLICY), None);
        assert_ne!(POLICY, ARMED_POLICY);
    }

    #[test]
    fn of_two_incidents_that_are_released_at_once_the_later_reader_finds_that_nobody_wants_it() {
        let [one, other] = ["q-aaaaaa", "q-bbbbbb"].map(|id| IncidentId::parse(id).unwrap());
        let there = |tags: &[(String, &str)]| {
            ArmedPolicy {
            summary: PolicySummary {
                id: PolicyId::parse("p-12345678").unwrap(),
                arn: PolicyArn::parse("arn:aws:organizations::111122223333:policy/o-example1/service_control_policy/p-12345678").unwrap(),
                name: POLICY.to_owned(),
                description: String::new(),
            },
            content: terms(&[], &[], false).document().minified(),
            tags: tags
                .iter()
                .map(|(key, value)| (key.clone(), (*value).to_owned()))
                .chain([(TAG.to_owned(), NO_CONSOLE_USERS.to_owned())])
                .collect(),
            targets: Vec::new(),
        }
        };
        let both = there(&[(tag_for(&one), WANTED), (tag_for(&other), WANTED)]);
        assert!(Giving::of(&both, &one).is_some() && Giving::of(&both, &other).is_some());
        assert!(unwanted(&both).is_none());
        // Each has noted that it wants it no more, before either has read again.
        let over = [
            (tag_for(&one), WANTED_NO_MORE),
            (tag_for(&other), WANTED_NO_MORE),
        ];
        assert!(unwanted(&there(&over)).is_some());
        let for_good = [over.to_vec(), vec![(STANDS.to_owned(), FOR_GOOD)]].concat();
        assert!(unwanted(&there(&for_good)).is_none());
        // One that was never any incident's is somebody's.
        assert!(unwanted(&there(&[])).is_none());
    }

    #[test]
    fn what_is_shown_before_the_approval_was_judged() {
        let cases = terms(&["000000000000"], &[], false).shown().unwrap();
        let refused: Vec<&str> = cases
            .iter()
            .filter(|case| case.refused)
            .map(|case| case.who.as_str())
            .collect();
        assert_eq!(refused, ["arn:aws:iam::000000000001:role/Admin"]);
    }
}
