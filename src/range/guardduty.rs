//! GuardDuty on the range: detectors and findings, in REST-JSON.

use serde_json::{Map, Value, json};

use crate::range::state::State;
use crate::range::wire::{Asked, CAMEL, Refusal, page_as, unsupported};

/// The operation that a method and a path name, with the path's parameters.
pub(super) fn route(method: &http::Method, path: &str) -> (String, Map<String, Value>) {
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let with = |operation: &str, detector: &str| {
        (
            operation.to_owned(),
            Map::from_iter([("detectorId".to_owned(), json!(detector))]),
        )
    };
    match (method.as_str(), parts.as_slice()) {
        ("GET", ["detector"]) => ("ListDetectors".to_owned(), Map::new()),
        ("GET", ["detector", detector]) => with("GetDetector", detector),
        ("POST", ["detector", detector, "findings"]) => with("ListFindings", detector),
        ("POST", ["detector", detector, "findings", "get"]) => with("GetFindings", detector),
        _ => (format!("{method} {path}"), Map::new()),
    }
}

/// Answers one operation.
pub(super) fn perform(state: &mut State, asked: &Asked) -> Result<Value, Refusal> {
    if asked.operation == "ListDetectors" {
        let listed = page_as(
            CAMEL,
            asked,
            "detectorIds",
            state.detectors.keys().map(|id| json!(id)).collect(),
            50,
        )?;
        return Ok(listed);
    }
    let found = state
        .detectors
        .iter()
        .find(|(id, _)| id.as_str() == asked.text("detectorId"));
    let (_, findings) = found.ok_or_else(|| Refusal::new(400, "BadRequestException", "The request is rejected because the input detectorId is not owned by the current account."))?;
    match asked.operation.as_str() {
        "GetDetector" => {
            let status = if state.detectors_off {
                "DISABLED"
            } else {
                "ENABLED"
            };
            Ok(json!({ "status": status, "serviceRole": "", "createdAt": "2026-01-01T00:00:00Z" }))
        }
        "ListFindings" => page_as(
            CAMEL,
            asked,
            "findingIds",
            findings.keys().map(|id| json!(id)).collect(),
            50,
        ),
        "GetFindings" => {
            let ids: Vec<&str> = asked
                .parameters
                .get("findingIds")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .collect();
            let found: Vec<&Value> = ids.iter().filter_map(|id| findings.get(*id)).collect();
            Ok(json!({ "findings": found }))
        }
        _ => Err(unsupported(asked)),
    }
}
