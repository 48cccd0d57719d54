//! Which roles an IAM user may assume: by the evaluator, on their policies and on each role's trust policy.
//!
//! Arrives: the [`Details`] of the user's account, and then those of each account that is looked at. Leaves: a [`Switch`]
//! for each role that lets them in or that cannot be judged (R4). Pure.
//!
//! In the user's own account a trust policy that names the user suffices, and one that names the account needs a policy of
//! the user's beside it; across accounts both are needed (IAM's page on cross-account evaluation). What the deny of an
//! incident refuses is not asked here, nor are other service control policies: whoever assumed a role before they stood is
//! who is looked for.

use std::collections::BTreeSet;

use serde::Serialize;

use super::policies::{BOUNDARY, MFA, Policies, SESSION_NAME, SOURCE_IDENTITY, Trust, as_user};
use super::{ANOTHER_NAME, set_of};
use crate::facts::audit::{Details, Grants, RoleDetail};
use crate::ids::*;
use crate::policy::document::{Document, Effect, Statement};
use crate::policy::evaluate::{Decision, Level, Outcome, Request, Scps, named};

/// What a policy calls the name of its user.
const USERNAME: &str = "${aws:username}";

/// How long ago somebody showed an MFA device.
const MFA_AGE: &str = "aws:MultiFactorAuthAge";

/// What no request of an IAM user's own has.
const NEVER: [&str; 2] = ["aws:SourceIdentity", "aws:FederatedProvider"];

/// An IAM user who may assume roles.
#[derive(Debug, Clone)]
pub struct Switcher {
    /// Their account.
    account: AccountId,
    name: IamUserName,
    /// With its path.
    arn: String,
    id: String,
    organization: OrganizationId,
    policies: Policies,
}

/// Where the roles can be that a user may assume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Where {
    /// Anywhere.
    Everywhere,
    /// In these accounts; the user's own is always among them.
    These(BTreeSet<AccountId>),
}

/// Yes, no, or neither (R4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Sure {
    /// It is so.
    Yes,
    /// It is not.
    No,
    /// It cannot be judged.
    Unknown,
}

/// A role that the user may assume, or of which that cannot be judged.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Switch {
    /// The role's account.
    pub account: AccountId,
    /// The role's ARN. Untrusted text, as everything below.
    pub role: String,
    /// `AROA…`.
    pub role_id: String,
    /// The statements that let the user in: `statement Deploys of switch-roles`. None where that cannot be judged.
    pub by: Vec<String>,
    /// Why it cannot be judged whether the role lets them in, a lower-case fragment; `null` where it does.
    pub unknown: Option<String>,
    /// Whether it lets them in only after they have shown an MFA device.
    pub mfa: Sure,
    /// Whether they may give the session a name, and no source identity, by which it cannot be told whose it is.
    pub any_name: Sure,
}

/// Whether one attempt to assume a role is let in.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Answer {
    /// By these statements.
    Yes(Vec<String>),
    No,
    /// For this reason it cannot be judged.
    Unknown(String),
}

/// What a request says of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Said {
    /// Nothing.
    Absent,
    /// This.
    Is(String),
    /// Something that nobody told us.
    Untold,
}

/// One way to ask.
#[derive(Debug, Clone)]
struct Attempt {
    /// An MFA device was shown, or was not; an access key says neither.
    mfa: Option<bool>,
    session: Said,
    source: Said,
}

impl Switcher {
    /// The user of this name in an account; `None` if there is none. `except` is the name of the incident's own policy on
    /// them, which refuses everything and was not there when they assumed roles.
    pub fn of(
        details: &Details,
        account: &AccountId,
        name: &IamUserName,
        organization: &OrganizationId,
        except: &str,
    ) -> Option<Self> {
        let user = details.users.get(name.as_str())?;
        let groups = user.groups.iter();
        let groups = groups.filter_map(|group| details.groups.get(group));
        let mut own = user.grants.clone();
        own.inline.remove(except);
        let grants: Vec<&Grants> = std::iter::once(&own).chain(groups).collect();
        Some(Self {
            account: account.clone(),
            name: name.clone(),
            arn: user.arn.clone(),
            id: user.id.clone(),
            organization: organization.clone(),
            policies: Policies::of(details, grants, user.boundary.as_ref()),
        })
    }

    /// How many of their policies cannot be read.
    pub fn unread(&self) -> usize {
        self.policies.unread
    }

    /// The accounts with roles that their policies can mean.
    pub fn accounts(&self) -> Where {
        let mut accounts = BTreeSet::from([self.account.clone()]);
        for statement in self.policies.of_assuming(Effect::Allow) {
            for pattern in &statement.resources.patterns {
                let account = pattern.split(':').nth(4).map(AccountId::parse);
                match account {
                    Some(Ok(account)) if !statement.resources.negated => {
                        accounts.insert(account);
                    }
                    Some(Ok(_) | Err(_)) | None => return Where::Everywhere,
                }
            }
        }
        match self.policies.unread {
            0 => Where::These(accounts),
            _ => Where::Everywhere,
        }
    }

    /// The roles of an account that they may assume, and those of which that cannot be judged.
    pub fn roles(&self, account: &AccountId, details: &Details) -> Vec<Switch> {
        let roles = details.roles.iter();
        // Identity Center's own let nobody in but itself.
        let roles = roles.filter(|(name, role)| set_of(&role.arn, name).is_none());
        roles
            .filter_map(|(_, role)| self.role(account, role))
            .collect()
    }

    fn role(&self, account: &AccountId, role: &RoleDetail) -> Option<Switch> {
        let trust = Trust::read(&role.trust);
        let trust = trust.as_ref();
        let names = self.names(trust);
        let ask = |names: &[(Said, Said)], mfa: &[Option<bool>]| {
            let attempts = names.iter().flat_map(|(session, source)| {
                mfa.iter().map(|mfa| Attempt {
                    mfa: *mfa,
                    session: session.clone(),
                    source: source.clone(),
                })
            });
            self.best(attempts, account, trust, &role.arn)
        };
        let (shown, not_shown) = ([Some(true)], [None, Some(false)]);
        let all = [names.theirs.as_slice(), names.others.as_slice()].concat();
        let (with, without) = (ask(&all, &shown), ask(&all, &not_shown));
        let (by, unknown) = match (&with, &without) {
            (Answer::No, Answer::No) => return None,
            (_, Answer::Yes(by)) | (Answer::Yes(by), _) => (by.clone(), None),
            (Answer::Unknown(why), _) | (_, Answer::Unknown(why)) => {
                (Vec::new(), Some(why.clone()))
            }
        };
        let mfa = match without {
            Answer::Yes(_) => Sure::No,
            // Then it is with one that they may, or might.
            Answer::No => Sure::Yes,
            Answer::Unknown(_) => Sure::Unknown,
        };
        let any_name = match ask(&names.others, &[None, Some(false), Some(true)]) {
            Answer::Yes(_) => Sure::Yes,
            Answer::No => Sure::No,
            Answer::Unknown(_) => Sure::Unknown,
        };
        Some(Switch {
            account: account.clone(),
            role: role.arn.clone(),
            role_id: role.id.clone(),
            by,
            unknown,
            mfa,
            any_name,
        })
    }

    /// The best of several attempts: who is let in once, is.
    fn best(
        &self,
        attempts: impl Iterator<Item = Attempt>,
        account: &AccountId,
        trust: Option<&Trust>,
        role: &str,
    ) -> Answer {
        let mut best = Answer::No;
        for attempt in attempts {
            match self.answer(&attempt, account, trust, role) {
                yes @ Answer::Yes(_) => return yes,
                unknown @ Answer::Unknown(_) if best == Answer::No => best = unknown,
                Answer::Unknown(_) | Answer::No => {}
            }
        }
        best
    }

    /// Whether one attempt is let in.
    fn answer(
        &self,
        attempt: &Attempt,
        account: &AccountId,
        trust: Option<&Trust>,
        role: &str,
    ) -> Answer {
        let own = self.judged(&self.policies.levels(), role, attempt);
        let here = *account == self.account;
        let Some(trust) = trust else {
            return match own.decision {
                Decision::ExplicitDeny => Answer::No,
                Decision::ImplicitDeny if !here && self.unjudged().is_none() => Answer::No,
                Decision::ImplicitDeny | Decision::Allow | Decision::Unknown => {
                    Answer::Unknown("its trust policy cannot be read".to_owned())
                }
            };
        };
        let let_in = |account_too: bool| {
            let about = trust.about(&self.arn, &self.account, account_too);
            self.judged(&[of_trust(&about)], "*", attempt)
        };
        let theirs = let_in(true);
        match (theirs.decision, own.decision) {
            (Decision::ExplicitDeny | Decision::ImplicitDeny, _) | (_, Decision::ExplicitDeny) => {
                Answer::No
            }
            (Decision::Allow, Decision::Allow) => match self.odd(Effect::Deny) {
                Some(why) => Answer::Unknown(why),
                None => Answer::Yes([theirs.by, own.by].concat()),
            },
            (Decision::Allow, Decision::ImplicitDeny)
                if here && let_in(false).decision == Decision::Allow =>
            {
                Answer::Yes(theirs.by)
            }
            // Both must let them in, and what is known of theirs does not.
            (_, Decision::ImplicitDeny) => match self.unjudged() {
                Some(why) => Answer::Unknown(why),
                None if here && let_in(false).decision == Decision::Unknown => {
                    Answer::Unknown(theirs.because)
                }
                None if here && trust.lets_everybody_in() => Answer::Unknown(
                    "its trust policy lets everybody in, and whether a user of the same account needs a policy of their own then is not known".to_owned(),
                ),
                None => Answer::No,
            },
            (Decision::Unknown, _) => Answer::Unknown(theirs.because),
            (Decision::Allow, Decision::Unknown) => Answer::Unknown(own.because),
        }
    }

    /// What of their own policies cannot be judged, and might let them in.
    fn unjudged(&self) -> Option<String> {
        if self.policies.unread > 0 {
            return Some(format!(
                "{} of the user's policies cannot be read",
                self.policies.unread
            ));
        }
        self.odd(Effect::Allow)
    }

    /// A resource of a statement of this effect with a variable that nobody told us: the evaluator finds that nothing is
    /// like it.
    fn odd(&self, effect: Effect) -> Option<String> {
        let mut patterns = self
            .policies
            .of_assuming(effect)
            .flat_map(|it| &it.resources.patterns);
        let odd = patterns.find(|pattern| pattern.replace(USERNAME, "").contains("${"))?;
        Some(format!("nobody told us what {odd} stands for"))
    }

    fn judged(&self, levels: &[Level<'_>], resource: &str, attempt: &Attempt) -> Judgement {
        let request = self.request(levels, resource, attempt);
        let scps = Scps::of(levels);
        let (decision, judged) = scps.judge(&request);
        let lets = judged.iter().filter(|one| {
            one.statement.effect == Effect::Allow
                && one.outcome == Outcome::Applies
                && one.level != BOUNDARY
        });
        let by = lets.map(|one| {
            let statement = named(one.statement.sid.as_deref(), one.number);
            format!("{statement} of {}", one.policy)
        });
        Judgement {
            decision,
            by: by.collect(),
            because: match decision {
                Decision::Unknown => scps.evaluate(&request).because,
                Decision::Allow | Decision::ExplicitDeny | Decision::ImplicitDeny => String::new(),
            },
        }
    }

    /// A request, with every key that the statements ask for and that is not known left open.
    fn request(&self, levels: &[Level<'_>], resource: &str, attempt: &Attempt) -> Request {
        let keys = as_user(&self.arn, self.name.as_str(), attempt.mfa);
        let mut request = Request::new("sts:AssumeRole", resource, keys);
        let mut absent = NEVER.to_vec();
        let known = [
            ("aws:PrincipalAccount", self.account.to_string()),
            ("aws:PrincipalOrgID", self.organization.to_string()),
            ("aws:userid", self.id.clone()),
            ("aws:PrincipalIsAWSService", "false".to_owned()),
            ("aws:ViaAWSService", "false".to_owned()),
            ("aws:SecureTransport", "true".to_owned()),
        ];
        for (key, value) in known {
            request.set(key, vec![value]);
        }
        let names = [
            (SESSION_NAME, &attempt.session),
            (SOURCE_IDENTITY, &attempt.source),
        ];
        for (key, said) in names {
            match said {
                Said::Absent => absent.push(key),
                Said::Is(name) => drop(request.set(key, vec![name.clone()])),
                Said::Untold => {}
            }
        }
        match attempt.mfa {
            None => absent.extend([MFA, MFA_AGE]),
            Some(false) => absent.push(MFA_AGE),
            Some(true) => {}
        }
        let documents = levels.iter().flat_map(|level| &level.policies);
        let statements = documents.flat_map(|(_, document)| &document.statements);
        for condition in statements.flat_map(|statement| &statement.conditions) {
            let key = condition.key.as_str();
            if !absent.iter().any(|it| it.eq_ignore_ascii_case(key)) {
                request.leave_open(key);
            }
        }
        request
    }

    /// The names under which they can ask: those by which the deny of an incident knows them, and others. Of what a policy
    /// prescribes one is made that fits.
    fn names(&self, trust: Option<&Trust>) -> Names {
        let about = trust.map(|trust| trust.about(&self.arn, &self.account, true));
        let trusted = about.iter().flat_map(|document| &document.statements);
        let statements: Vec<&Statement> = trusted.chain(self.policies.statements()).collect();
        let name = self.name.as_str();
        let sessions = self.prescribed(&statements, SESSION_NAME);
        let sources = self.prescribed(&statements, SOURCE_IDENTITY);
        let is = |name: &str| Said::Is(name.to_owned());
        let mut names = Names {
            theirs: vec![
                (is(name), Said::Absent),
                (is(name), is(name)),
                (is(ANOTHER_NAME), is(name)),
            ],
            others: Vec::new(),
        };
        let another = Said::Is(ANOTHER_NAME.to_owned());
        for session in sessions.iter().chain([&another]) {
            names.others.push((session.clone(), Said::Absent));
            names.others.push((session.clone(), session.clone()));
            for source in sources.iter().filter(|source| **source != is(name)) {
                names.others.push((session.clone(), source.clone()));
            }
        }
        // Whoever has their name is denied by it, whatever the source identity is.
        names
            .others
            .retain(|(session, source)| *session != is(name) && *source != is(name));
        for source in sources {
            names.theirs.push((is(name), source));
        }
        names
    }

    /// For each pattern that statements have for a key, a name that fits it.
    fn prescribed(&self, statements: &[&Statement], key: &str) -> Vec<Said> {
        let conditions = statements.iter().flat_map(|it| &it.conditions);
        let about = conditions.filter(|it| it.key.eq_ignore_ascii_case(key));
        let values = about.flat_map(|condition| &condition.values);
        let fitting = values.map(|value| {
            let name = value.replace(USERNAME, self.name.as_str());
            match name.contains("${") {
                true => Said::Untold,
                false => Said::Is(name.replace('*', "quell").replace('?', "q")),
            }
        });
        fitting.collect()
    }
}

/// Names of sessions, each with a source identity.
struct Names {
    /// By which the deny knows them.
    theirs: Vec<(Said, Said)>,
    others: Vec<(Said, Said)>,
}

/// What policies say of a request.
struct Judgement {
    decision: Decision,
    by: Vec<String>,
    /// Why nobody can tell; empty where somebody can.
    because: String,
}

fn of_trust(about: &Document) -> Level<'_> {
    Level {
        name: "the role".to_owned(),
        policies: vec![("its trust", about)],
    }
}
