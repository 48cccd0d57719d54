//! The wire: which operation a request asks for, and answers in its protocol.
//!
//! JSON 1.1 names the operation in `x-amz-target` (Organizations, sso-admin, the identity store), the query protocol in
//! the form field `Action` (STS, IAM, EC2), REST in method and path (GuardDuty, S3). The service is the one that the
//! signature's credential scope names, as is the access key.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use crate::range::state::{Session, State, Wrong};
use crate::range::{Call, directory, gate, guardduty, identity, organizations};

/// Calls that are remembered: a range that is served for a week must not eat the machine.
const MOST_CALLS: usize = 100_000;

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

/// One request, understood.
pub struct Asked {
    /// The service of the credential scope.
    pub service: String,
    /// `AttachPolicy`.
    pub operation: String,
    /// The Region of the credential scope.
    pub region: String,
    /// The parameters: the JSON body, or the form's fields.
    pub parameters: Map<String, Value>,
    protocol: Protocol,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Protocol {
    Json,
    Query,
    Ec2,
    RestJson,
    RestXml,
}

impl Asked {
    /// A parameter that is a string; empty if there is none.
    pub fn text(&self, name: &str) -> &str {
        self.parameters
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    /// `organizations:AttachPolicy`, as policies write it.
    pub fn action(&self) -> String {
        let operation = match (self.service.as_str(), self.operation.as_str()) {
            ("s3", "ListBuckets") => "ListAllMyBuckets",
            (_, operation) => operation,
        };
        format!("{}:{operation}", self.service)
    }
}

/// The signature's credential scope.
struct Scope<'a> {
    key: &'a str,
    region: &'a str,
    service: &'a str,
}

fn scope(header: &str) -> Option<Scope<'_>> {
    let credential = header
        .split("Credential=")
        .nth(1)?
        .split([',', ' '])
        .next()?;
    let mut parts = credential.split('/');
    let (key, _date, region, service) =
        (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    Some(Scope {
        key,
        region,
        service,
    })
}

/// Answers a request; `None` breaks the connection.
pub fn answer(state: &mut State, request: &http::Request<Bytes>) -> Option<http::Response<Bytes>> {
    state.happen_until(state.now);
    let header = |name: &str| {
        request
            .headers()
            .get(name)
            .and_then(|value| value.to_str().ok())
    };
    let scope = header("authorization").and_then(scope);
    let Some(scope) = scope else {
        let refusal = Refusal::new(
            403,
            "MissingAuthenticationToken",
            "Request is missing Authentication Token",
        );
        return Some(respond(state, Protocol::Query, "Unknown", Err(refusal)));
    };
    let asked = understand(request, &scope);
    let action = asked.action();
    let mishap = state.mishap(&action);
    if mishap == Some(Wrong::LoseRequest) {
        return None;
    }
    let too_fast = header("x-amz-target").is_some_and(|target| state.is_too_fast(target));
    let result = match &mishap {
        _ if too_fast => {
            let code = match asked.service.as_str() {
                "organizations" => "TooManyRequestsException",
                _ => "ThrottlingException",
            };
            Err(Refusal::new(400, code, "Rate exceeded"))
        }
        Some(Wrong::Error { status, code }) => {
            Err(Refusal::new(*status, code, "This was arranged."))
        }
        Some(Wrong::LoseAnswer | Wrong::GarbleAnswer | Wrong::LoseRequest) | None => {
            let session = gate::authenticate(state, scope.key, header("x-amz-security-token"));
            session
                .map_err(|refusal| of_family(refusal, &asked))
                .and_then(|session| perform(state, &session, &asked))
        }
    };
    let response = respond(state, asked.protocol, &asked.operation, result);
    if state.calls.len() >= MOST_CALLS {
        state.calls.drain(..MOST_CALLS / 2);
    }
    state.calls.push(Call {
        at: state.now,
        action,
        key: scope.key.to_owned(),
        status: response.status().as_u16(),
    });
    match mishap {
        Some(Wrong::LoseAnswer) => None,
        Some(Wrong::GarbleAnswer) => Some(http::Response::new(Bytes::from_static(
            b"<html><body>This network requires you to sign in.</body></html>",
        ))),
        Some(Wrong::Error { .. } | Wrong::LoseRequest) | None => Some(response),
    }
}

fn understand(request: &http::Request<Bytes>, scope: &Scope<'_>) -> Asked {
    let target = request
        .headers()
        .get("x-amz-target")
        .and_then(|value| value.to_str().ok());
    let (protocol, operation, parameters) = match (target, scope.service) {
        (Some(target), _) => {
            let operation = target.rsplit('.').next().unwrap_or(target).to_owned();
            (
                Protocol::Json,
                operation,
                serde_json::from_slice(request.body()).unwrap_or_default(),
            )
        }
        (None, "sts" | "iam" | "ec2") => {
            let form = form_urlencoded::parse(request.body())
                .map(|(name, value)| (name.into_owned(), Value::from(value.into_owned())));
            let parameters: Map<String, Value> = form.collect();
            let operation = parameters
                .get("Action")
                .and_then(Value::as_str)
                .unwrap_or("Unknown")
                .to_owned();
            (
                if scope.service == "ec2" {
                    Protocol::Ec2
                } else {
                    Protocol::Query
                },
                operation,
                parameters,
            )
        }
        (None, service) => {
            let (operation, mut parameters) =
                guardduty::route(request.method(), request.uri().path());
            if let Ok(Value::Object(body)) = serde_json::from_slice(request.body()) {
                parameters.extend(body);
            }
            match service {
                "s3" if request.method() == http::Method::GET && request.uri().path() == "/" => {
                    (Protocol::RestXml, "ListBuckets".to_owned(), parameters)
                }
                "s3" => (
                    Protocol::RestXml,
                    format!("{} {}", request.method(), request.uri().path()),
                    parameters,
                ),
                _ => (Protocol::RestJson, operation, parameters),
            }
        }
    };
    Asked {
        service: scope.service.to_owned(),
        operation,
        region: scope.region.to_owned(),
        parameters,
        protocol,
    }
}

/// The gate, then the operation.
fn perform(state: &mut State, session: &Session, asked: &Asked) -> Result<Answer, Refusal> {
    let resource = match asked.operation.as_str() {
        "AssumeRole" => asked.text("RoleArn"),
        _ => "*",
    };
    gate::authorize(state, session, &asked.action(), resource, &asked.region)
        .map_err(|refusal| of_family(refusal, asked))?;
    match asked.service.as_str() {
        "organizations" => organizations::perform(state, session, asked).map(Answer::Json),
        "sso" => directory::sso(state, session, asked).map(Answer::Json),
        "identitystore" => directory::store(state, session, asked).map(Answer::Json),
        "guardduty" => guardduty::perform(state, asked).map(Answer::Json),
        "sts" => identity::sts(state, session, asked).map(Answer::Xml),
        "iam" => identity::iam(state, session, asked).map(Answer::Xml),
        "ec2" => identity::ec2(session, asked).map(Answer::Document),
        "s3" => identity::s3(session, asked).map(Answer::Document),
        _ => Err(unsupported(asked)),
    }
}

/// The same refusal has another code in every family of services (aws-facts §6): what STS calls by one name, the JSON
/// services call by another.
fn of_family(refusal: Refusal, asked: &Asked) -> Refusal {
    let json = matches!(asked.protocol, Protocol::Json | Protocol::RestJson);
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
        Protocol::Json | Protocol::RestJson => "UnknownOperationException",
    };
    let message = format!(
        "The practice range does not have {}:{}. It is not AWS.",
        asked.service, asked.operation
    );
    Refusal::new(400, code, &message)
}

fn respond(
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
            Protocol::Json | Protocol::RestJson => {
                let mut object = refusal.more;
                object.insert("__type".to_owned(), json!(refusal.code));
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

/// The call that actors make: something that a policy can refuse, of whichever service.
pub fn as_actor(key: &str, token: Option<&str>) -> http::Request<Bytes> {
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential={key}/20261122/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0"
    );
    let mut builder = http::Request::get("/").header("authorization", authorization);
    if let Some(token) = token {
        builder = builder.header("x-amz-security-token", token);
    }
    builder.body(Bytes::new()).unwrap_or_default()
}

/// Text inside XML.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// One page of a list. A list longer than a page has an empty page in it, as AWS's may (aws-facts §8): a caller that
/// stops at the first empty page sees too little here, too.
pub fn page(asked: &Asked, name: &str, items: Vec<Value>, most: usize) -> Result<Value, Refusal> {
    let size = asked
        .parameters
        .get("MaxResults")
        .and_then(Value::as_u64)
        .map_or(most, |n| usize::try_from(n).unwrap_or(most));
    if size == 0 || size > most {
        return Err(
            Refusal::new(400, "InvalidInputException", "MaxResults is out of range.")
                .because("INVALID_PAGINATION_TOKEN"),
        );
    }
    let (start, empty) = match asked.text("NextToken") {
        "" => (0, false),
        token => {
            let (kind, at) = token.split_once('-').unwrap_or_default();
            let at = at.parse::<usize>().ok().filter(|at| *at <= items.len());
            let at = at.ok_or_else(|| {
                Refusal::new(
                    400,
                    "InvalidInputException",
                    "NextToken is not one of ours.",
                )
                .because("INVALID_NEXT_TOKEN")
            })?;
            (at, kind == "empty")
        }
    };
    if empty {
        return Ok(json!({ name: [], "NextToken": format!("page-{start}") }));
    }
    let more = start + size < items.len();
    let shown: Vec<Value> = items.into_iter().skip(start).take(size).collect();
    let mut answer = json!({ name: shown });
    if let (true, Some(object)) = (more, answer.as_object_mut()) {
        let kind = if start == 0 { "empty" } else { "page" };
        object.insert(
            "NextToken".to_owned(),
            json!(format!("{kind}-{}", start + size)),
        );
    }
    Ok(answer)
}

/// A random UUID.
pub fn uuid(state: &mut State) -> String {
    let hex = state.draw(32, b"0123456789abcdef");
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
    format!(
        "{}-{}-{}-{}-{}",
        part(0, 8),
        part(8, 12),
        part(12, 16),
        part(16, 20),
        part(20, 32)
    )
}
