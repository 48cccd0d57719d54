//! The wire: which operation a request asks for, and answers in its protocol.
//!
//! JSON names the operation in `x-amz-target` (Organizations, sso-admin, the identity store; DynamoDB in its own
//! version), the query protocol in the form field `Action` (STS, IAM, EC2), REST in method and path (GuardDuty, account
//! access manager, Access Analyzer, S3). The service is the one that the signature's credential scope names, as is the access key. The
//! access portal alone is asked without a signature: its bearer token says who asks.

mod pages;

mod reply;

pub use pages::{CAMEL, Paging, page, page_as};
pub use reply::{Answer, Refusal, escape, unsupported};

use bytes::Bytes;
use serde_json::{Map, Value, json};

use crate::range::state::{Session, State, Wrong};
use crate::range::{
    Call, access, analyzer, directory, dynamo, gate, guardduty, guards, identity, organizations,
    portal, scim, trails,
};
use crate::rates;

/// The header that says where a call comes from.
const ADDRESS: &str = "x-forwarded-for";

/// Calls that are remembered: a range that is served for a week must not eat the machine.
const MOST_CALLS: usize = 100_000;

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
    Dynamo,
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

    /// The parameters as CloudTrail writes them down: names begin with a small letter, and nothing secret is kept.
    pub fn recorded(&self) -> Map<String, Value> {
        let small = |name: &str| {
            let mut letters = name.chars();
            let first = letters.next().map(|first| first.to_ascii_lowercase());
            first.into_iter().chain(letters).collect::<String>()
        };
        let unsaid = ["Action", "Version", "Content", "PolicyDocument"];
        let parameters = self.parameters.iter();
        parameters
            .filter(|(name, _)| !unsaid.contains(&name.as_str()))
            .map(|(name, value)| (small(name), value.clone()))
            .collect()
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
    let bearer = header(portal::BEARER);
    let provider = header("authorization").and_then(|it| it.strip_prefix("Bearer "));
    let (key, asked) = match (bearer, provider, &scope) {
        (Some(token), _, _) => (token, from_portal(request)),
        (None, Some(token), _) => (token, from_provider(request)),
        (None, None, Some(scope)) => (scope.key, understand(request, scope)),
        (None, None, None) => {
            let refusal = Refusal::new(
                403,
                "MissingAuthenticationToken",
                "Request is missing Authentication Token",
            );
            let protocol = Protocol::Query;
            return Some(reply::respond(state, protocol, "Unknown", Err(refusal)));
        }
    };
    let action = asked.action();
    let mishap = state.mishap(&action);
    if mishap == Some(Wrong::LoseRequest) {
        return None;
    }
    let rate = rates::of_call(header("x-amz-target"), asked.service == "sts");
    let too_fast = rate.is_some_and(|rate| state.is_too_fast(rate));
    let result = match &mishap {
        _ if too_fast => {
            let code = match asked.service.as_str() {
                "organizations" => "TooManyRequestsException",
                "sts" => "Throttling",
                _ => "ThrottlingException",
            };
            Err(Refusal::new(400, code, "Rate exceeded"))
        }
        Some(Wrong::Error { status, code }) => {
            Err(Refusal::new(*status, code, "This was arranged."))
        }
        Some(Wrong::LoseAnswer | Wrong::GarbleAnswer | Wrong::LoseRequest) | None => {
            if bearer.is_some() {
                portal::perform(state, key, &asked).map(Answer::Json)
            } else if provider.is_some() {
                scim::perform(state, key, &asked).map(Answer::Json)
            } else {
                let address = header(ADDRESS).unwrap_or(trails::OPERATORS_ADDRESS);
                gate::authenticate(state, key, header("x-amz-security-token"))
                    .map_err(|refusal| reply::of_family(refusal, &asked))
                    .and_then(|session| {
                        let result = perform(state, &session, &asked);
                        let answered = result.as_ref().map_or(Value::Null, Answer::recorded);
                        let refused = result.as_ref().err();
                        state.observe(session, key, &asked, address, &answered, refused);
                        result
                    })
            }
        }
    };
    let response = reply::respond(state, asked.protocol, &asked.operation, result);
    if state.calls.len() >= MOST_CALLS {
        state.calls.drain(..MOST_CALLS / 2);
    }
    if state.recording {
        state.calls.push(Call {
            at: state.now,
            action,
            key: key.to_owned(),
            status: response.status().as_u16(),
        });
    }
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
    let (method, path) = (request.method(), request.uri().path());
    let (protocol, operation, parameters) = match (target, scope.service) {
        (Some(target), service) => {
            let operation = target.rsplit('.').next().unwrap_or(target).to_owned();
            let protocol = match service {
                "dynamodb" => Protocol::Dynamo,
                _ => Protocol::Json,
            };
            let parameters = serde_json::from_slice(request.body()).unwrap_or_default();
            (protocol, operation, parameters)
        }
        (None, service @ ("sts" | "iam" | "ec2")) => {
            let parameters = fields(request.body());
            let operation = parameters
                .get("Action")
                .and_then(Value::as_str)
                .unwrap_or("Unknown")
                .to_owned();
            let protocol = match service {
                "ec2" => Protocol::Ec2,
                _ => Protocol::Query,
            };
            (protocol, operation, parameters)
        }
        (None, "s3") if method == http::Method::GET && path == "/" => {
            (Protocol::RestXml, "ListBuckets".to_owned(), Map::new())
        }
        (None, "s3") => (Protocol::RestXml, format!("{method} {path}"), Map::new()),
        (None, service) => {
            let (operation, in_path) = match service {
                "guardduty" => guardduty::route(method, path),
                "access-analyzer" => analyzer::route(method, path),
                "account-access" => access::route(method, path),
                _ => (format!("{method} {path}"), Map::new()),
            };
            let mut parameters = in_query(request);
            if let Ok(Value::Object(body)) = serde_json::from_slice(request.body()) {
                parameters.extend(body);
            }
            parameters.extend(in_path);
            (Protocol::RestJson, operation, parameters)
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

/// A request to the access portal, which belongs to no Region's signature.
fn from_portal(request: &http::Request<Bytes>) -> Asked {
    Asked {
        service: "sso".to_owned(),
        operation: portal::route(request.method(), request.uri().path()),
        region: String::new(),
        parameters: in_query(request),
        protocol: Protocol::RestJson,
    }
}

/// A request of an identity provider's.
fn from_provider(request: &http::Request<Bytes>) -> Asked {
    let user = scim::user_of(request.uri().path());
    let operation = match (request.method(), user) {
        (&http::Method::PATCH, Some(_)) => "PatchUser".to_owned(),
        (method, _) => format!("{method} {}", request.uri().path()),
    };
    let mut parameters: Map<String, Value> =
        serde_json::from_slice(request.body()).unwrap_or_default();
    parameters.insert("UserId".to_owned(), json!(user.unwrap_or_default()));
    Asked {
        service: "scim".to_owned(),
        operation,
        region: String::new(),
        parameters,
        protocol: Protocol::RestJson,
    }
}

fn in_query(request: &http::Request<Bytes>) -> Map<String, Value> {
    fields(request.uri().query().unwrap_or_default().as_bytes())
}

/// The fields of a form, or of the part of an address behind its question mark.
fn fields(form: &[u8]) -> Map<String, Value> {
    form_urlencoded::parse(form)
        .map(|(name, value)| (name.into_owned(), Value::from(value.into_owned())))
        .collect()
}

/// The path of a role in the account of whoever asks, which is part of its ARN.
fn path_of_role<'a>(state: &'a State, session: &Session, name: &str) -> &'a str {
    let account = state.accounts.get(&session.account);
    let role = account.and_then(|account| account.roles.get(name));
    role.map_or("/", |role| role.path.as_str())
}

/// The gate, then the operation.
fn perform(state: &mut State, session: &Session, asked: &Asked) -> Result<Answer, Refusal> {
    let resource = match (asked.service.as_str(), asked.text("UserName")) {
        ("sts", _) if asked.operation == "AssumeRole" => asked.text("RoleArn").to_owned(),
        // Users here have no path.
        ("iam", name) if !name.is_empty() => {
            format!("arn:aws:iam::{}:user/{name}", session.account)
        }
        ("iam", _) if asked.operation == "GetRole" => {
            format!(
                "arn:aws:iam::{}:role{}{}",
                session.account,
                path_of_role(state, session, asked.text("RoleName")),
                asked.text("RoleName")
            )
        }
        _ => "*".to_owned(),
    };
    gate::authorize(state, session, &asked.action(), &resource, &asked.region)
        .map_err(|refusal| reply::of_family(refusal, asked))?;
    match asked.service.as_str() {
        "organizations" => organizations::perform(state, session, asked).map(Answer::Json),
        "sso" => directory::sso(state, session, asked).map(Answer::Json),
        "identitystore" => directory::store(state, session, asked).map(Answer::Json),
        "guardduty" => guardduty::perform(state, asked).map(Answer::Json),
        "access-analyzer" => analyzer::perform(asked).map(Answer::Json),
        "cloudtrail" if asked.operation == "LookupEvents" => {
            trails::perform(state, session, asked).map(Answer::Json)
        }
        "cloudtrail" => guards::cloudtrail(state, session, asked).map(Answer::Json),
        "account-access" => access::perform(state, session, asked).map(Answer::Json),
        "dynamodb" => dynamo::perform(state, session, asked).map(Answer::Json),
        "sts" => identity::sts(state, session, asked).map(Answer::Xml),
        "iam" => identity::iam(state, session, asked).map(Answer::Xml),
        "ec2" => identity::ec2(session, asked).map(Answer::Document),
        "s3" => identity::s3(session, asked).map(Answer::Document),
        _ => Err(unsupported(asked)),
    }
}

/// The call that actors make: something that a policy can refuse, of whichever service.
pub fn as_actor(key: &str, token: Option<&str>) -> http::Request<Bytes> {
    let builder = signed("GET", key, token, "s3");
    builder.body(Bytes::new()).unwrap_or_default()
}

/// The call of an actor who assumes a role.
pub fn assuming(key: &str, token: Option<&str>, role: &str, name: &str) -> http::Request<Bytes> {
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.extend_pairs([("Action", "AssumeRole"), ("Version", "2011-06-15")]);
    form.extend_pairs([("RoleArn", role), ("RoleSessionName", name)]);
    let builder = signed("POST", key, token, "sts");
    builder.body(Bytes::from(form.finish())).unwrap_or_default()
}

/// The call of an actor who wants a console password for an IAM user.
pub fn wanting_a_password(key: &str, token: Option<&str>, user: &str) -> http::Request<Bytes> {
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.extend_pairs([("Action", "CreateLoginProfile"), ("Version", "2010-05-08")]);
    form.extend_pairs([("UserName", user), ("Password", "Practice-1-Practice")]);
    let builder = signed("POST", key, token, "iam");
    builder.body(Bytes::from(form.finish())).unwrap_or_default()
}

fn signed(method: &str, key: &str, token: Option<&str>, service: &str) -> http::request::Builder {
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential={key}/20261122/us-east-1/{service}/aws4_request, SignedHeaders=host, Signature=0"
    );
    let mut builder = http::Request::builder()
        .method(method)
        .uri("/")
        .header("authorization", authorization)
        .header(ADDRESS, trails::ACTORS_ADDRESS);
    if let Some(token) = token {
        builder = builder.header("x-amz-security-token", token);
    }
    builder
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
