//! Answers and errors, in the shape of each protocol and with the codes of each family of services.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use crate::range::state::State;
use crate::range::trails;
use crate::range::wire::{Asked, Protocol, uuid};

/// An error answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Refusal {
    /// HTTP status.
    pub status: u16,
    /// The error's code.
    pub code: String,
    /// Its message.
    pub message: String,
    /// Further fields, `Reason` and the like.
    pub more: Map<String, Value>,
}

impl Refusal {
    /// An error with a code and a message.
    pub fn new(status: u16, code: &str, message: &str) -> Self {
        Self {
            status,
            code: code.to_owned(),
            message: message.to_owned(),
            more: Map::new(),
        }
    }

    /// The same with a `Reason`.
    pub fn because(mut self, reason: &str) -> Self {
        self.more.insert("Reason".to_owned(), json!(reason));
        self
    }
}

/// What a successful operation answers with.
pub enum Answer {
    /// A JSON object.
    Json(Value),
    /// The inside of `<OperationResult>`.
    Xml(String),
    /// A whole XML document, for the services that have no result element.
    Document(String),
}

impl Answer {
    /// What CloudTrail writes down of it: who got a session, and nothing else.
    pub(super) fn recorded(&self) -> Value {
        match self {
            Answer::Xml(inside) => trails::answered_in(inside),
            Answer::Json(_) | Answer::Document(_) => Value::Null,
        }
    }
}

/// The same refusal has another code in every family of services (aws-facts §6): what STS calls by one name, the JSON
/// services call by another.
pub(super) fn of_family(refusal: Refusal, asked: &Asked) -> Refusal {
    let json = matches!(
        asked.protocol,
        Protocol::Json | Protocol::Dynamo | Protocol::RestJson
    );
    let (status, code) = match (refusal.code.as_str(), asked.service.as_str()) {
        ("AccessDenied", "ec2") => (403, "UnauthorizedOperation"),
        ("AccessDenied", _) if json => (403, "AccessDeniedException"),
        ("InvalidClientTokenId", _) if json => (400, "UnrecognizedClientException"),
        ("ExpiredToken", _) if json => (400, "ExpiredTokenException"),
        ("InvalidClientTokenId", "s3") => (403, "InvalidAccessKeyId"),
        ("InvalidClientTokenId", "ec2") => (401, "AuthFailure"),
        _ => return refusal,
    };
    Refusal {
        status,
        code: code.to_owned(),
        ..refusal
    }
}

/// The error for what the range does not have, naming it.
pub fn unsupported(asked: &Asked) -> Refusal {
    let code = match asked.protocol {
        Protocol::Query | Protocol::Ec2 => "InvalidAction",
        Protocol::RestXml => "NotImplemented",
        Protocol::Json | Protocol::Dynamo | Protocol::RestJson => "UnknownOperationException",
    };
    let message = format!(
        "The practice range does not have {}:{}. It is not AWS.",
        asked.service, asked.operation
    );
    Refusal::new(400, code, &message)
}

pub(super) fn respond(
    state: &mut State,
    protocol: Protocol,
    operation: &str,
    result: Result<Answer, Refusal>,
) -> http::Response<Bytes> {
    let id = uuid(state);
    let status = result
        .as_ref()
        .map_or_else(|refusal| refusal.status, |_| 200);
    let code = result.as_ref().err().map(|refusal| refusal.code.clone());
    let body = match result {
        Ok(Answer::Json(value)) => value.to_string(),
        Ok(Answer::Xml(inside)) => format!(
            "<{operation}Response xmlns=\"https://quell.example/\"><{operation}Result>{inside}</{operation}Result><ResponseMetadata><RequestId>{id}</RequestId></ResponseMetadata></{operation}Response>"
        ),
        Ok(Answer::Document(document)) => document,
        Err(refusal) => match protocol {
            Protocol::Json | Protocol::Dynamo | Protocol::RestJson => {
                let mut object = refusal.more;
                let code = if protocol == Protocol::Dynamo {
                    of_dynamo(&refusal.code)
                } else {
                    refusal.code
                };
                object.insert("__type".to_owned(), json!(code));
                object.insert("Message".to_owned(), json!(refusal.message));
                object.insert("message".to_owned(), json!(refusal.message));
                Value::Object(object).to_string()
            }
            Protocol::Query => format!(
                "<ErrorResponse><Error><Type>Sender</Type><Code>{}</Code><Message>{}</Message></Error><RequestId>{id}</RequestId></ErrorResponse>",
                escape(&refusal.code),
                escape(&refusal.message)
            ),
            Protocol::Ec2 => format!(
                "<Response><Errors><Error><Code>{}</Code><Message>{}</Message></Error></Errors><RequestID>{id}</RequestID></Response>",
                escape(&refusal.code),
                escape(&refusal.message)
            ),
            Protocol::RestXml => format!(
                "<Error><Code>{}</Code><Message>{}</Message><RequestId>{id}</RequestId></Error>",
                escape(&refusal.code),
                escape(&refusal.message)
            ),
        },
    };
    let kind = match protocol {
        Protocol::Json => "application/x-amz-json-1.1",
        Protocol::Dynamo => "application/x-amz-json-1.0",
        Protocol::RestJson => "application/json",
        Protocol::Query | Protocol::Ec2 | Protocol::RestXml => "text/xml",
    };
    let mut builder = http::Response::builder()
        .status(status)
        .header("content-type", kind)
        .header("x-amzn-requestid", &id);
    if let Some(code) = code {
        builder = builder.header("x-amzn-errortype", code);
    }
    if let Ok(date) =
        jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&state.now)
    {
        builder = builder.header("date", date);
    }
    // Only a header that is none could fail here, and these are ours.
    builder.body(Bytes::from(body)).unwrap_or_default()
}

/// An error's code as DynamoDB writes it, behind the name of the part of AWS that it comes from.
fn of_dynamo(code: &str) -> String {
    let from = match code {
        "AccessDeniedException"
        | "UnrecognizedClientException"
        | "ExpiredTokenException"
        | "ThrottlingException"
        | "UnknownOperationException" => "com.amazon.coral.service",
        "ValidationException" => "com.amazon.coral.validate",
        _ => "com.amazonaws.dynamodb.v20120810",
    };
    format!("{from}#{code}")
}

/// Text inside XML.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
