//! `quell policy evaluate`: a judge for programs, one request and one decision a line.

use std::collections::BTreeSet;
use std::io::{BufRead, Read as _};

use serde::Serialize;
use serde_json::{Map, Value};

use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::ui::Ui;
use crate::json;
use crate::policy::PRINCIPAL_ARN;
use crate::policy::document::Document;
use crate::policy::evaluate::{self, By, Decision, Level, Reach, Request, Verdict};
use crate::signal::MOST_BYTES;

/// For `--help`.
pub(super) const ABOUT: &str = "\
Decide requests against the policies on their path, JSON lines in and out

Each line on standard input holds a request and the service control policies that apply to it: one list of policy \
documents for each level, the root's first, then each unit's, the account's last, with FullAWSAccess written out where \
it is attached. In the management account there is no level, and nothing is refused.

  {\"scps\":[[{\"Version\":\"2012-10-17\",\"Statement\":[…]}]],
   \"request\":{\"action\":\"s3:ListAllMyBuckets\",\"resource\":\"*\",
     \"principal_arn\":\"arn:aws:sts::111122223333:assumed-role/Ops/alice\",
     \"context\":{\"aws:userid\":\"AROA…:alice\",\"aws:TagKeys\":[\"a\",\"b\"]}}}

(on one line). Each line on standard output is the decision: allow, explicit_deny, implicit_deny, or unknown where AWS's \
documentation does not decide, or a policy is none that AWS could hold; by which statements (level, policy as \
scps[level][number] from 0, statement from 1, sid); and because of what. A line that cannot be read is answered by \
{\"error\":…}, and the exit code is then 2. Every answer has the number of its line; empty lines have none.

The context is taken as it is: a key that is not in it is missing from the request. Only aws:PrincipalArn is taken from \
principal_arn, where that is the ARN of a user, a role or a root user.";

#[derive(Serialize)]
struct Answer {
    line: usize,
    #[serde(flatten)]
    verdict: Verdict,
}

#[derive(Serialize)]
struct Unreadable {
    line: usize,
    error: String,
}

/// Decides every line of the input.
pub(super) fn evaluate(input: impl BufRead, ui: &Ui<'_>) -> Result<Exit, Failure> {
    let mut input = input;
    let mut exit = Exit::Done;
    for number in 1.. {
        let mut line = Vec::new();
        // One more than is allowed, so that a longer line is seen to be longer.
        let read = (&mut input)
            .take(MOST_BYTES as u64 + 1)
            .read_until(b'\n', &mut line)
            .map_err(|error| Failure::usage(format!("standard input: {error}")))?;
        if read == 0 {
            break;
        }
        if ui.is_closed() {
            break;
        }
        if line.trim_ascii().is_empty() {
            continue;
        }
        match answer(&line) {
            Ok(verdict) => ui.object(&Answer {
                line: number,
                verdict,
            }),
            Err(error) => {
                exit = Exit::Usage;
                ui.object(&Unreadable {
                    line: number,
                    error,
                });
                if read > MOST_BYTES {
                    // Where the next line begins is not known any more.
                    break;
                }
            }
        }
    }
    Ok(exit)
}

fn answer(line: &[u8]) -> Result<Verdict, String> {
    if line.len() > MOST_BYTES {
        return Err(format!("longer than {MOST_BYTES} bytes"));
    }
    let line = str::from_utf8(line).map_err(|_| "not UTF-8 text".to_owned())?;
    let line = json::read(line.trim_start_matches('\u{feff}'))
        .map_err(|error| format!("not JSON, one object on one line (`jq -c`): {error}"))?;
    let request = line.get("request").ok_or("expected `request`")?;
    for member in request
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, _)| name)
    {
        // A misspelt context would be no context, and the answer to another question.
        let known = ["action", "resource", "principal_arn", "context"];
        let meant = known
            .iter()
            .find(|known| known.eq_ignore_ascii_case(member));
        if let Some(meant) = meant.filter(|meant| *meant != member) {
            return Err(format!(
                "expected `request.{meant}`, and not `request.{member}`"
            ));
        }
    }
    let action = text(request, "action")?.ok_or("expected `request.action`")?;
    let resource = text(request, "resource")?.unwrap_or("*");
    let principal_arn = text(request, "principal_arn")?;
    let arn = principal_arn.filter(|arn| !arn.contains(":sts:"));
    let own = arn.map(|arn| (PRINCIPAL_ARN, arn.to_owned()));
    let mut asked = Request::new(action, resource, own);
    match request.get("context") {
        None => {}
        Some(Value::Object(context)) => give(&mut asked, context)?,
        Some(_) => return Err("expected an object at `request.context`".to_owned()),
    }
    let levels = line
        .get("scps")
        .and_then(Value::as_array)
        .ok_or("expected a list of levels at `scps`")?;
    match evaluate::reach(action, principal_arn) {
        _ if levels.is_empty() => Ok(without_statement(
            Decision::Allow,
            "no service control policy is on the path",
        )),
        Reach::Beyond(why) => Ok(without_statement(Decision::Allow, why)),
        Reach::Unclear(why) => Ok(without_statement(Decision::Unknown, why)),
        Reach::Decided => decide(&asked, levels),
    }
}

fn decide(request: &Request, levels: &[Value]) -> Result<Verdict, String> {
    let mut documents: Vec<(String, Vec<(String, Document)>)> = Vec::new();
    for (number, level) in levels.iter().enumerate() {
        let policies = level
            .as_array()
            .ok_or_else(|| format!("expected a list of policies at `scps[{number}]`"))?;
        let mut read = Vec::new();
        for (place, policy) in policies.iter().enumerate() {
            let name = format!("scps[{number}][{place}]");
            // AWS hands policies out as text.
            let document = match policy.as_str() {
                Some(text) => Document::parse(text),
                None => Document::of(policy),
            };
            match document {
                Ok(document) => read.push((name, document)),
                // No SCP that is attached anywhere looks so; what AWS would do with one, nobody knows.
                Err(error) => {
                    return Ok(Verdict {
                        decision: Decision::Unknown,
                        because: format!("{name} cannot be judged: {error}"),
                        by: vec![By {
                            level: name_of(number, levels.len()),
                            policy: name,
                            statement: 0,
                            sid: None,
                        }],
                    });
                }
            }
        }
        documents.push((name_of(number, levels.len()), read));
    }
    let path: Vec<Level<'_>> = documents
        .iter()
        .map(|(name, policies)| Level {
            name: name.clone(),
            policies: policies
                .iter()
                .map(|(name, document)| (name.as_str(), document))
                .collect(),
        })
        .collect();
    Ok(evaluate::evaluate(request, &path))
}

fn without_statement(decision: Decision, because: &str) -> Verdict {
    Verdict {
        decision,
        by: Vec::new(),
        because: because.to_owned(),
    }
}

/// What a level is called: the first is the root, the last the account, between them are units.
fn name_of(number: usize, levels: usize) -> String {
    match number {
        0 => "root".to_owned(),
        last if last + 1 == levels => "account".to_owned(),
        unit => format!("ou {unit}"),
    }
}

fn text<'a>(object: &'a Value, name: &str) -> Result<Option<&'a str>, String> {
    match object.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(format!("expected a string at `request.{name}`")),
    }
}

/// Gives the request its keys, each with one value or several. Two spellings of one key are a contradiction.
fn give(request: &mut Request, given: &Map<String, Value>) -> Result<(), String> {
    let one = |key: &str, value: &Value| match value {
        Value::String(text) => Ok(text.clone()),
        Value::Bool(_) | Value::Number(_) => Ok(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => Err(format!(
            "expected a value or a list of values at `request.context.{key}`"
        )),
    };
    let mut seen = BTreeSet::new();
    for (key, value) in given {
        if !seen.insert(key.to_ascii_lowercase()) {
            return Err(format!("`request.context.{key}` is named twice"));
        }
        let values = match value.as_array() {
            Some(list) => list.iter().map(|value| one(key, value)).collect(),
            None => one(key, value).map(|value| vec![value]),
        };
        request.set(key, values?);
    }
    Ok(())
}
