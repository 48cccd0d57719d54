//! `quell policy explain`: a judge for people.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::given;
use crate::cli::ui::Ui;
use crate::ids::*;
use crate::json;
use crate::policy::document::{Document, DocumentError, Effect};
use crate::policy::evaluate::{
    Decision, Judged, Level, Outcome, Reach, Request, Scps, named, reach,
};
use crate::policy::lint::mistakes;
use crate::policy::{PRINCIPAL_ARN, SOURCE_IDENTITY, TOKEN_ISSUE_TIME, USER_ID, USERID};
use crate::report::human::{clean, section};

/// Which policies, and which request.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// A policy's file, `-` for standard input; several are judged as if attached together
    #[arg(long, value_name = "FILE", required = true)]
    policy: Vec<PathBuf>,
    /// Who asks: their aws:userid, as in AROAEXAMPLE:alice
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
    /// Any other key of the request, as in aws:RequestedRegion=eu-west-1; give it again for a second value
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
        let name = if name == "-" {
            "standard input".to_owned()
        } else {
            name
        };
        let text = given::text_of(path)?;
        let document = read(text.trim_start_matches('\u{feff}'))
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
    let request = request(args)?;
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
            .filter(|one| !(beside && one.policy == "FullAWSAccess"))
            .map(explained)
            .collect(),
        mistakes,
    };
    ui.result(&explanation, in_words);
    Ok(Exit::Done)
}

/// Reads a policy: as it stands, as `describe-policy` prints it, or as `quell policy draft --output json` does.
fn read(text: &str) -> Result<Document, DocumentError> {
    let given = json::read(text).map_err(|error| DocumentError::NotJson(error.to_string()))?;
    if let Some(content) = given.pointer("/Policy/Content").and_then(Value::as_str) {
        return Document::parse(content);
    }
    Document::of(given.get("document").unwrap_or(&given))
}

/// Keys that every request has, and most people don't think of giving (AWS's page on global condition keys).
const ALWAYS: [&str; 7] = [
    PRINCIPAL_ARN,
    "aws:PrincipalAccount",
    "aws:PrincipalOrgID",
    "aws:PrincipalType",
    "aws:RequestedRegion",
    "aws:SecureTransport",
    "aws:UserAgent",
];

fn request(args: &ExplainArgs) -> Result<Request, Failure> {
    let userid = &args.userid;
    if userid.is_empty() || userid.starts_with("arn:") || !is_userid(userid) {
        return Err(Failure::usage(format!("`{}` is not an aws:userid", clean(userid)))
            .hint("A session's is its role's id and its name, an IAM user's their id: `--as AROAEXAMPLE:alice`, `--as AIDAEXAMPLE`. Where the policy names no role, any id serves."));
    }
    let arn = args.principal_arn.as_deref();
    if let Some(arn) = arn.filter(|arn| !arn.contains(":iam::")) {
        let problem = format!(
            "`{}` is not the ARN of a user, a role or a root user",
            clean(arn)
        );
        return Err(Failure::usage(problem)
            .hint("Where a session asks, aws:PrincipalArn is its role's ARN: `--principal-arn arn:aws:iam::<account>:role/<path and name>`."));
    }
    if !args.action.contains(':') {
        return Err(
            Failure::usage(format!("`{}` is not an action", clean(&args.action)))
                .hint("Name the service too: `--action ec2:RunInstances`."),
        );
    }
    let named = [
        (USERID, Some(userid)),
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
        let values = given.entry(key.to_ascii_lowercase()).or_default();
        values.push(value.clone());
    }
    for (key, values) in given {
        if request.set(&key, values).is_some() {
            let problem = format!("{} is given twice", clean(&key));
            return Err(Failure::usage(problem).hint("Leave out that `--key`."));
        }
    }
    let now = Timestamp::now();
    for (key, value) in [
        ("aws:CurrentTime", now.to_string()),
        ("aws:EpochTime", now.as_second().to_string()),
    ] {
        if !args
            .key
            .iter()
            .any(|(given, _)| given.eq_ignore_ascii_case(key))
        {
            request.set(key, vec![value]);
        }
    }
    for key in ALWAYS {
        request.leave_open(key);
    }
    // Every session has it, and nobody else.
    if userid.starts_with("AROA") {
        request.leave_open(TOKEN_ISSUE_TIME);
    }
    Ok(request)
}

/// Whether it has the form of one: with a session's name, or an IAM user's or a root user's id.
fn is_userid(text: &str) -> bool {
    text.contains(':') || text.starts_with("AIDA") || AccountId::parse(text).is_ok()
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
