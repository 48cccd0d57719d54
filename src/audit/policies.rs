//! What the policies of an identity, and the trust policy of a role, let somebody do: by evaluating them.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::facts::audit::{Details, Grants};
use crate::ids::AccountId;
use crate::json;
use crate::policy::document::{Document, Effect, Statement};
use crate::policy::evaluate::{Decision, Level, Request, evaluate};

/// The policies of one identity, read; those that cannot be are counted and judge nothing.
#[derive(Debug, Clone, Default)]
pub(super) struct Policies {
    /// By name.
    documents: Vec<(String, Document)>,
    boundary: Option<(String, Document)>,
    /// How many could not be read.
    pub(super) unread: usize,
}

impl Policies {
    /// Those of several sets of grants together, within a boundary.
    pub(super) fn of<'a>(
        details: &Details,
        grants: impl IntoIterator<Item = &'a Grants>,
        boundary: Option<&String>,
    ) -> Self {
        let mut policies = Self::default();
        for grants in grants {
            let attached = grants.attached.iter();
            let attached = attached.map(|arn| (arn, details.managed.get(arn)));
            let inline = grants.inline.iter().map(|(name, text)| (name, Some(text)));
            for (name, text) in inline.chain(attached) {
                match text.map(|text| Document::parse(text)) {
                    Some(Ok(document)) => policies.documents.push((name.clone(), document)),
                    Some(Err(_)) | None => policies.unread += 1,
                }
            }
        }
        if let Some(arn) = boundary {
            let text = details.managed.get(arn);
            let document = text.and_then(|text| Document::parse(text).ok());
            policies.boundary = document.map(|document| (arn.clone(), document));
            policies.unread += usize::from(policies.boundary.is_none());
        }
        policies
    }

    /// Whether they let this request pass.
    pub(super) fn decide(&self, request: &Request) -> Decision {
        evaluate(request, &self.levels()).decision
    }

    /// Each level must allow, as a boundary must beside what it bounds.
    pub(super) fn levels(&self) -> Vec<Level<'_>> {
        [
            ("policies", self.documents.as_slice()),
            (BOUNDARY, self.boundary.as_slice()),
        ]
        .into_iter()
        .filter(|(name, documents)| *name != BOUNDARY || !documents.is_empty())
        .map(|(name, documents)| Level {
            name: name.to_owned(),
            policies: documents
                .iter()
                .map(|(name, document)| (name.as_str(), document))
                .collect(),
        })
        .collect()
    }

    /// All of their statements.
    pub(super) fn statements(&self) -> impl Iterator<Item = &Statement> {
        let documents = self.documents.iter().chain(self.boundary.as_slice());
        documents.flat_map(|(_, document)| &document.statements)
    }

    /// Their statements that refuse whoever has no MFA.
    pub(super) fn demands_mfa(&self) -> impl Iterator<Item = &Statement> {
        let statements = self.documents.iter();
        let statements = statements.flat_map(|(_, document)| &document.statements);
        statements.filter(|statement| {
            let mfa = |key: &str| key.eq_ignore_ascii_case(MFA);
            statement.effect == Effect::Deny && statement.conditions.iter().any(|one| mfa(&one.key))
        })
    }

    /// Whether anything in them could be about assuming roles: what is not, need not be kept.
    pub(super) fn may_assume(&self) -> bool {
        self.of_assuming(Effect::Allow).next().is_some()
    }

    /// The statements of this effect that could be about assuming roles.
    pub(super) fn of_assuming(&self, effect: Effect) -> impl Iterator<Item = &Statement> {
        let all = self.documents.iter();
        let all = all.flat_map(|(_, document)| &document.statements);
        all.filter(move |statement| {
            let about = |action: &String| {
                let action = action.to_ascii_lowercase();
                action.starts_with("sts:") || action.starts_with(['*', '?'])
            };
            statement.effect == effect
                && (statement.actions.negated || statement.actions.patterns.iter().any(about))
        })
    }
}

/// The name of the level that grants nothing.
pub(super) const BOUNDARY: &str = "boundary";

/// Whether somebody has shown an MFA device.
pub(super) const MFA: &str = "aws:MultiFactorAuthPresent";

/// Of which a trust policy can say that a session must be named after whoever assumes it.
pub(super) const SESSION_NAME: &str = "sts:RoleSessionName";

/// What can be required, and cannot be changed afterwards.
pub(super) const SOURCE_IDENTITY: &str = "sts:SourceIdentity";

/// A role's trust policy.
#[derive(Debug, Clone)]
pub(super) struct Trust {
    version: Option<String>,
    statements: Vec<(Vec<String>, Statement)>,
}

/// How somebody asks to be let in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asks<'a> {
    /// The ARN of the user.
    pub(super) user: &'a str,
    /// Their name.
    pub(super) name: &'a str,
    /// Their account.
    pub(super) account: &'a AccountId,
    /// Whether with MFA: it can be shown, not be shown, or (with a key) not be known.
    pub(super) mfa: Option<bool>,
    /// The session's name.
    pub(super) session: &'a str,
    /// The source identity that they set, if they set one.
    pub(super) source: Option<&'a str>,
}

impl Trust {
    /// Reads one; `None` where it is none that we know, or lets no account and no user in.
    pub(super) fn parse(text: &str) -> Option<Self> {
        Self::read(text).filter(|it| it.statements.iter().any(|(who, _)| !who.is_empty()))
    }

    /// Reads one; `None` where it is none that we know.
    pub(super) fn read(text: &str) -> Option<Self> {
        let value = json::read(text).ok()?;
        let version = match value.get("Version") {
            // As AWS takes a document that does not say.
            None => "2008-10-17",
            Some(version) => version.as_str()?,
        };
        let statement = value.get("Statement")?;
        let one = std::slice::from_ref(statement);
        let all = statement.as_array().map_or(one, Vec::as_slice).to_vec();
        let mut statements = Vec::new();
        for mut one in all {
            let object = one.as_object_mut()?;
            // A trust policy is about the role that has it.
            object.insert("Resource".to_owned(), Value::from("*"));
            let principals = match object.contains_key("NotPrincipal") {
                // Everybody but some; the element stays, and nobody can judge the statement.
                true => Some(vec!["*".to_owned()]),
                false => object.remove("Principal").map(|it| aws(&it)),
            };
            let whole: Value = serde_json::json!({ "Version": version, "Statement": [one] });
            let statement = Document::of(&whole).ok()?.statements.pop()?;
            statements.push((principals.unwrap_or_default(), statement));
        }
        Some(Self {
            version: Some(version.to_owned()),
            statements,
        })
    }

    /// Its statements about a user: those that name them, or also those that name their account.
    pub(super) fn about(&self, user: &str, account: &AccountId, account_too: bool) -> Document {
        let about = self.statements.iter().filter(|(principals, _)| {
            principals.iter().any(|principal| {
                principal == user
                    || account_too
                        && (principal == "*"
                            || principal == account.as_str()
                            || is_root_of(principal, account))
            })
        });
        Document {
            version: self.version.clone(),
            id: None,
            statements: about.map(|(_, statement)| statement.clone()).collect(),
            unknown: Vec::new(),
        }
    }

    /// Whether it has a statement that names nobody, and so everybody.
    pub(super) fn lets_everybody_in(&self) -> bool {
        self.statements.iter().any(|(principals, statement)| {
            statement.effect == Effect::Allow && principals.iter().any(|it| it == "*")
        })
    }

    /// Whether the role lets them in as far as it is for it to say, and whether it names them and not their account alone,
    /// which in one account is enough (aws-facts §12; IAM's page on cross-account evaluation).
    pub(super) fn lets_in(&self, asks: &Asks<'_>) -> Option<Named> {
        let mut keys = vec![
            ("aws:PrincipalArn", asks.user.to_owned()),
            ("aws:PrincipalAccount", asks.account.to_string()),
            ("aws:username", asks.name.to_owned()),
            (SESSION_NAME, asks.session.to_owned()),
        ];
        keys.extend(asks.mfa.map(|mfa| (MFA, mfa.to_string())));
        keys.extend(asks.source.map(|it| (SOURCE_IDENTITY, it.to_owned())));
        let request = Request::new("sts:AssumeRole", "*", keys);
        let named = |account_too: bool| {
            let document = self.about(asks.user, asks.account, account_too);
            let levels = [Level {
                name: "trust".to_owned(),
                policies: vec![("", &document)],
            }];
            evaluate(&request, &levels).decision == Decision::Allow
        };
        match (named(true), named(false)) {
            (true, true) => Some(Named::Themselves),
            (true, false) => Some(Named::TheirAccount),
            (false, _) => None,
        }
    }
}

/// Whom a trust policy names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Named {
    /// The user.
    Themselves,
    /// Their account: their own policies must allow it, too.
    TheirAccount,
}

fn is_root_of(principal: &str, account: &AccountId) -> bool {
    let parts: Vec<&str> = principal.splitn(6, ':').collect();
    matches!(parts.as_slice(), ["arn", _, "iam", "", of, "root"] if *of == account.as_str())
}

/// The AWS principals of a `Principal` element; services and providers are none of them.
fn aws(principal: &Value) -> Vec<String> {
    let texts = |value: &Value| match value {
        Value::String(one) => vec![one.clone()],
        Value::Array(many) => many
            .iter()
            .filter_map(|one| one.as_str().map(str::to_owned))
            .collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => Vec::new(),
    };
    match principal.get("AWS") {
        Some(aws) => texts(aws),
        None => texts(principal),
    }
}

/// The keys of a request of an IAM user's own.
pub(super) fn as_user<'a>(arn: &str, name: &str, mfa: Option<bool>) -> BTreeMap<&'a str, String> {
    let mut keys = BTreeMap::from([
        ("aws:PrincipalArn", arn.to_owned()),
        ("aws:username", name.to_owned()),
        ("aws:PrincipalType", "User".to_owned()),
    ]);
    keys.extend(mfa.map(|mfa| (MFA, mfa.to_string())));
    keys
}
