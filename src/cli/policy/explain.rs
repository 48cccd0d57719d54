//! `quell policy explain`: a judge for people.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::given;
use crate::cli::ui::Ui;
use crate::policy::document::{Document, Effect};
use crate::policy::evaluate::{
    Decision, Judged, Level, Outcome, Reach, Request, Scps, named, reach,
};
use crate::policy::lint::mistakes;
use crate::policy::{PRINCIPAL_ARN, SOURCE_IDENTITY, USER_ID, USERID};
use crate::report::human::{clean, section};

/// Which policies, and which request.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// A policy's file, `-` for standard input; several are judged as if attached together
    #[arg(long, value_name = "FILE", required = true)]
    policy: Vec<PathBuf>,
    /// Who asks: their aws:userid, as in AROA…:alice
    #[arg(long = "as", value_name = "USERID")]
    userid: String,
    /// Their id in Identity Center (identitystore:UserId)
    #[arg(long, value_name = "ID")]
    user_id: Option<String>,
    /// The source identity of their session (aws:SourceIdentity)
    #[arg(long, value_name = "NAME")]
    source_identity: Option<String>,
    /// The ARN of their user, role or root user (aws:PrincipalArn)
    #[arg(long, value_name = "ARN")]
    principal_arn: Option<String>,
    /// What they ask
    #[arg(long, value_name = "ACTION", default_value = "iam:ListAccountAliases")]
    action: String,
    /// Of what they ask it
    #[arg(long, value_name = "ARN", default_value = "*")]
    resource: String,
    /// Any other key of the request; give it again for a second value
    #[arg(long, value_name = "KEY=VALUE", value_parser = key)]
    key: Vec<(String, String)>,
}

fn key(given: &str) -> Result<(String, String), &'static str> {
    let (key, value) = given
        .split_once('=')
        .ok_or("expected KEY=VALUE, as in aws:RequestedRegion=eu-west-1")?;
    Ok((key.to_owned(), value.to_owned()))
}

#[derive(Serialize)]
struct Explanation {
    schema: &'static str,
    decision: Decision,
    because: String,
    /// Whether FullAWSAccess was put beside the policies, because none of them allows anything.
    beside_full_aws_access: bool,
    statements: Vec<Explained>,
    mistakes: Vec<Mistaken>,
}

#[derive(Serialize)]
struct Explained {
    policy: String,
    /// Its place in the policy, from 1.
    number: usize,
    sid: Option<String>,
    effect: Effect,
    applies: Option<bool>,
    because: String,
}

#[derive(Serialize)]
struct Mistaken {
    policy: String,
    mistake: String,
}

/// Tells.
pub(super) fn explain(args: &ExplainArgs, ui: &Ui<'_>) -> Result<Exit, Failure> {
    let mut policies = Vec::new();
    for path in &args.policy {
        let name = clean(&path.display().to_string());
        let document = Document::parse(&given::text_of(path)?)
            .map_err(|error| Failure::usage(format!("{name}: {error}")))?;
        policies.push((name, document));
    }
    let mistakes = policies
        .iter()
        .flat_map(|(name, document)| {
            mistakes(document).into_iter().map(|mistake| Mistaken {
                policy: name.clone(),
                mistake: mistake.to_string(),
            })
        })
        .collect();
    let full = Document::allow_all();
    let allows = |document: &Document| {
        let mut statements = document.statements.iter();
        statements.any(|statement| statement.effect == Effect::Allow)
    };
    let beside = !policies.iter().any(|(_, document)| allows(document));
    let own = policies
        .iter()
        .map(|(name, document)| (name.as_str(), document));
    let levels = [Level {
        name: "the root".to_owned(),
        policies: own
            .chain(beside.then_some(("FullAWSAccess", &full)))
            .collect(),
    }];
    let scps = Scps::of(&levels);
    let request = request(args);
    let (decision, judged) = scps.judge(&request);
    let verdict = match reach(&args.action, args.principal_arn.as_deref()) {
        Reach::Decided => (decision, scps.evaluate(&request).because),
        Reach::Beyond(why) => (Decision::Allow, why.to_owned()),
        Reach::Unclear(why) => (Decision::Unknown, why.to_owned()),
    };
    let (decision, because) = verdict;
    let explanation = Explanation {
        schema: "quell.explain/1",
        decision,
        because,
        beside_full_aws_access: beside,
        statements: judged
            .iter()
            .filter(|one| one.policy != "FullAWSAccess")
            .map(explained)
            .collect(),
        mistakes,
    };
    ui.result(&explanation, in_words);
    Ok(Exit::Done)
}

fn request(args: &ExplainArgs) -> Request {
    let named = [
        (USERID, Some(&args.userid)),
        (USER_ID, args.user_id.as_ref()),
        (SOURCE_IDENTITY, args.source_identity.as_ref()),
        (PRINCIPAL_ARN, args.principal_arn.as_ref()),
    ];
    let named = named
        .into_iter()
        .filter_map(|(key, value)| Some((key, value?.clone())));
    let mut request = Request::new(&args.action, &args.resource, named);
    let mut given: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (key, value) in &args.key {
        given
            .entry(key.to_ascii_lowercase())
            .or_default()
            .push(value.clone());
    }
    for (key, values) in given {
        request.set(&key, values);
    }
    request
}

fn explained(one: &Judged<'_>) -> Explained {
    Explained {
        policy: one.policy.to_owned(),
        number: one.number,
        sid: one.statement.sid.clone(),
        effect: one.statement.effect,
        applies: match one.outcome {
            Outcome::Applies => Some(true),
            Outcome::OtherAction | Outcome::OtherResource | Outcome::Fails { .. } => Some(false),
            Outcome::CannotJudge(_) => None,
        },
        because: one.outcome.to_string(),
    }
}

fn in_words(explanation: &Explanation) -> String {
    let headline = match explanation.decision {
        Decision::Allow => "Not refused",
        Decision::ExplicitDeny | Decision::ImplicitDeny => "Refused",
        Decision::Unknown => "Cannot be told",
    };
    let mut text = format!("{headline}: {}.\n", clean(&explanation.because));
    if explanation.beside_full_aws_access {
        text.push_str(
            "Judged beside FullAWSAccess, because these policies allow nothing by themselves.\n",
        );
    }
    let statements: Vec<String> = explanation
        .statements
        .iter()
        .map(|one| {
            let name = named(one.sid.as_deref(), one.number);
            let effect = match one.effect {
                Effect::Allow => "allow",
                Effect::Deny => "deny",
            };
            format!("{name} of {} ({effect}): {}", one.policy, one.because)
        })
        .collect();
    section(&mut text, "Statement by statement", &statements);
    let mistakes: Vec<String> = explanation
        .mistakes
        .iter()
        .map(|one| format!("{}: {}.", one.policy, one.mistake))
        .collect();
    section(&mut text, "Look at these", &mistakes);
    text
}
