//! What is around findings: gzip, lines of JSON, lists, EventBridge, SNS, SQS, CloudTrail's files and look-ups.

use std::io::Read as _;

use serde::de::IgnoredAny;
use serde_json::Value;

use super::field::At;
use super::{Finding, MOST_BYTES, MOST_FINDINGS, MOST_MEMORY, ReadError};
use super::{cloudtrail, guardduty, ocsf, securityhub};
use crate::ids::shorten;
use crate::json::Budget;

/// Envelopes inside envelopes (SQS around SNS around EventBridge around a list) end here.
const MOST_ENVELOPES: usize = 12;

/// The longest that an error of the JSON reader is shown.
const MOST_ERROR: usize = 600;

/// What gzip begins with.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Reads every finding in a text, whatever form and whatever envelope it came in.
///
/// # Errors
/// [`ReadError`], when there is none or one of them has a field of the wrong type.
pub fn read(given: impl AsRef<[u8]>) -> Result<Vec<Finding>, ReadError> {
    let given = given.as_ref();
    if given.len() > MOST_BYTES {
        return Err(ReadError::TooLarge);
    }
    if given.starts_with(&GZIP) {
        return of_bytes(&inflated(given)?);
    }
    of_bytes(given)
}

fn inflated(given: &[u8]) -> Result<Vec<u8>, ReadError> {
    let mut bytes = Vec::new();
    // A bomb is inflated as far as it is too large, and no further.
    flate2::read::MultiGzDecoder::new(given)
        .take(MOST_BYTES as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| ReadError::NotGzip(error.to_string()))?;
    if bytes.len() > MOST_BYTES {
        return Err(ReadError::TooLargeInside);
    }
    Ok(bytes)
}

fn of_bytes(bytes: &[u8]) -> Result<Vec<Finding>, ReadError> {
    let text = str::from_utf8(bytes).map_err(|error| ReadError::NotText(error.valid_up_to()))?;
    let text = text.trim_start_matches('\u{feff}').trim();
    if text.is_empty() {
        return Err(ReadError::Empty);
    }
    let mut reader = Reader {
        budget: Budget::new(MOST_MEMORY),
        found: Vec::new(),
    };
    let documents = documents(text)?;
    let several = documents.len() > 1;
    for (i, document) in documents.into_iter().enumerate() {
        let root = if several {
            format!("$({})", i + 1)
        } else {
            "$".to_owned()
        };
        let value = reader.budget.read(document, &root);
        let value = value.map_err(|error| {
            let why = said(&error);
            ReadError::NotJson(if several {
                format!("in document {}: {why}", i + 1)
            } else {
                why
            })
        })?;
        reader.unwrap(&value, &root, 0)?;
    }
    if reader.found.is_empty() {
        Err(ReadError::NoFindings)
    } else {
        Ok(reader.found)
    }
}

/// The JSON documents of a text: one, or as many as lines that are each by themselves, as S3 exports are.
fn documents(text: &str) -> Result<Vec<&str>, ReadError> {
    let mut each = serde_json::Deserializer::from_str(text).into_iter::<IgnoredAny>();
    let (mut documents, mut begin) = (Vec::new(), 0);
    while let Some(Ok(_)) = each.next() {
        if documents.len() == MOST_FINDINGS {
            return Err(ReadError::TooMany("$".to_owned()));
        }
        let end = each.byte_offset();
        documents.extend(text.get(begin..end));
        begin = end;
    }
    // What is left is wrong, and the reader says how.
    let rest = text.get(begin..).unwrap_or_default().trim();
    if !rest.is_empty() {
        documents.push(rest);
    }
    Ok(documents)
}

/// An error of the JSON reader, which can repeat what it read.
pub(super) fn said(error: &serde_json::Error) -> String {
    shorten(&error.to_string(), MOST_ERROR)
}

struct Reader {
    budget: Budget,
    found: Vec<Finding>,
}

impl Reader {
    /// Takes envelopes off until findings are left.
    fn unwrap(&mut self, value: &Value, path: &str, depth: usize) -> Result<(), ReadError> {
        if depth > MOST_ENVELOPES {
            return Err(ReadError::NotAFinding(format!(
                "at {path}: more than {MOST_ENVELOPES} envelopes around the finding"
            )));
        }
        match value {
            Value::Array(list) => {
                for (i, item) in list.iter().enumerate() {
                    self.unwrap(item, &format!("{path}[{i}]"), depth + 1)?;
                }
                Ok(())
            }
            Value::Object(object) => self.object(&At::new(object, path.to_owned()), depth),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
                Err(ReadError::NotAFinding(format!(
                    "at {path}: expected a finding, which is a JSON object"
                )))
            }
        }
    }

    fn object(&mut self, at: &At<'_>, depth: usize) -> Result<(), ReadError> {
        // Lists: of `GetFindings`, of CloudTrail's files and of Lambda's events, of CloudTrail's and SQS's answers.
        for key in ["findings", "records", "events", "messages"] {
            if let Some(list @ Value::Array(_)) = at.get(key)? {
                return self.unwrap(list, &at.path_of(key), depth + 1);
            }
        }
        // EventBridge's event, and SNS's inside of Lambda's.
        for key in ["detail", "sns"] {
            if let Some(inside @ (Value::Object(_) | Value::Array(_))) = at.get(key)? {
                return self.unwrap(inside, &at.path_of(key), depth + 1);
            }
        }
        // Texts that are JSON again: SNS's message, SQS's body, what CloudTrail's look-up gives.
        for (key, beside) in [
            ("message", "topicArn"),
            ("body", "messageId"),
            ("cloudTrailEvent", "eventId"),
        ] {
            if let (Some(Value::String(text)), Some(_)) = (at.get(key)?, at.get(beside)?) {
                let path = at.path_of(key);
                let inside = self
                    .budget
                    .read(text, &path)
                    .map_err(|error| ReadError::NotJson(format!("at {path}: {}", said(&error))))?;
                return self.unwrap(&inside, &path, depth + 1);
            }
        }
        let finding = self.finding(at)?;
        if self.found.len() == MOST_FINDINGS {
            return Err(ReadError::TooMany(at.path.clone()));
        }
        self.found.push(finding);
        Ok(())
    }

    /// By the fields that only one form has.
    fn finding(&self, at: &At<'_>) -> Result<Finding, ReadError> {
        if at.has(&["productArn", "awsAccountId"])? {
            return securityhub::read(at);
        }
        if at.has(&["finding_info", "class_uid"])? {
            return ocsf::read(at, &self.budget);
        }
        if at.has(&["userIdentity"])? {
            return cloudtrail::read(at);
        }
        if let Some(finding) = guardduty::read(at)? {
            return Ok(finding);
        }
        let what = if at.has(&["findingIds"])? {
            "these are ids of findings, as `list-findings` writes them; fetch one with `--finding <id>`"
        } else {
            "this is no finding of GuardDuty's or Security Hub's and no record of CloudTrail's: it has neither `type` nor \
             `ProductArn`, `finding_info` or `userIdentity`"
        };
        Err(ReadError::NotAFinding(format!("at {}: {what}", at.path)))
    }
}
