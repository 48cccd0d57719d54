//! Access Analyzer on the range: what is wrong with a policy, in REST-JSON, by what our own judge of policies knows.

use serde_json::{Map, Value, json};

use crate::policy::document::Document;
use crate::policy::lint::mistakes;
use crate::range::wire::{Asked, Refusal, unsupported};

/// The operation that a method and a path name.
pub(super) fn route(method: &http::Method, path: &str) -> (String, Map<String, Value>) {
    let operation = match (method.as_str(), path) {
        ("POST", "/policy/validation") => "ValidatePolicy".to_owned(),
        _ => format!("{method} {path}"),
    };
    (operation, Map::new())
}

/// Answers one operation.
pub(super) fn perform(asked: &Asked) -> Result<Value, Refusal> {
    if asked.operation != "ValidatePolicy" {
        return Err(unsupported(asked));
    }
    let finding = |kind: &str, code: &str, details: String| {
        json!({
            "findingType": kind, "issueCode": code, "findingDetails": details,
            "learnMoreLink": "https://docs.aws.amazon.com/IAM/latest/UserGuide/access-analyzer-reference-policy-checks.html",
            "locations": [],
        })
    };
    let findings: Vec<Value> = match Document::parse(asked.text("policyDocument")) {
        Err(error) => vec![finding("ERROR", "JSON_SYNTAX_ERROR", error.to_string())],
        Ok(document) => {
            let mistakes = mistakes(&document).into_iter();
            mistakes
                .map(|mistake| finding("WARNING", "MISTAKE", mistake.to_string()))
                .collect()
        }
    };
    Ok(json!({ "findings": findings }))
}
