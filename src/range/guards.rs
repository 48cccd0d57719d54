//! What stands guard on the range: CloudTrail's trails, and IAM's simulator.

use serde_json::{Value, json};

use crate::ids::*;
use crate::policy::document::Document;
use crate::policy::evaluate::{Decision, Level, Request, evaluate};
use crate::range::state::{Inline, Session, State};
use crate::range::wire::{Asked, Refusal, escape, unsupported};

/// A trail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trail {
    /// Its name.
    pub name: String,
    /// Where it was made.
    pub home: String,
    /// Whether it is the organization's.
    pub organization: bool,
    /// Whether it takes every Region's events.
    pub every_region: bool,
    /// Whether it is on.
    pub logging: bool,
    /// Whether it takes management events that read, and such that write.
    pub takes: (bool, bool),
    /// What S3 says to its files, where it does not take them.
    pub undelivered: Option<&'static str>,
}

impl Trail {
    /// What every organization should have.
    pub fn sound() -> Self {
        Self {
            name: "organization-trail".to_owned(),
            home: "us-east-1".to_owned(),
            organization: true,
            every_region: true,
            logging: true,
            takes: (true, true),
            undelivered: None,
        }
    }

    fn status(&self) -> Value {
        json!({ "IsLogging": self.logging, "LatestDeliveryError": self.undelivered })
    }

    fn selectors(&self, state: &State) -> Value {
        let takes = match self.takes {
            (true, false) => "ReadOnly",
            (false, true) => "WriteOnly",
            (true, true) | (false, false) => "All",
        };
        json!({ "TrailARN": self.arn(state), "EventSelectors": [{
            "ReadWriteType": takes,
            "IncludeManagementEvents": self.takes != (false, false),
            "DataResources": [], "ExcludeManagementEventSources": [],
        }]})
    }

    fn arn(&self, state: &State) -> String {
        let (home, name) = (&self.home, &self.name);
        format!(
            "arn:aws:cloudtrail:{home}:{}:trail/{name}",
            state.management
        )
    }
}

/// Answers one operation of CloudTrail's. A trail of the management account's alone is seen there only.
pub(super) fn cloudtrail(
    state: &mut State,
    session: &Session,
    asked: &Asked,
) -> Result<Value, Refusal> {
    let at_home = session.account == state.management;
    let seen = state
        .trails
        .iter()
        .filter(|trail| at_home || trail.organization);
    match asked.operation.as_str() {
        "DescribeTrails" => {
            let shown = seen.map(|trail| {
                json!({
                    "Name": trail.name, "TrailARN": trail.arn(state), "HomeRegion": trail.home,
                    "S3BucketName": "organization-logs", "IncludeGlobalServiceEvents": true,
                    "IsMultiRegionTrail": trail.every_region, "IsOrganizationTrail": trail.organization,
                })
            });
            Ok(json!({ "trailList": shown.collect::<Vec<Value>>() }))
        }
        operation @ ("GetTrailStatus" | "GetEventSelectors") => {
            let wanted = match operation {
                "GetTrailStatus" => asked.text("Name"),
                _ => asked.text("TrailName"),
            };
            let mut seen = seen;
            let found = seen.find(|trail| trail.name == wanted || trail.arn(state) == wanted);
            let unknown = || {
                let message = format!("Unknown trail: {wanted}");
                Refusal::new(400, "TrailNotFoundException", &message)
            };
            let trail = found.ok_or_else(unknown)?;
            Ok(match operation {
                "GetTrailStatus" => trail.status(),
                _ => trail.selectors(state),
            })
        }
        _ => Err(unsupported(asked)),
    }
}

/// The operations of IAM's that are answered here.
pub(super) const OF_IAM: [&str; 3] = ["GetRole", "SimulatePrincipalPolicy", "SimulateCustomPolicy"];

/// Answers one of them, in the account of whoever asks.
pub(super) fn iam(state: &State, session: &Session, asked: &Asked) -> Result<String, Refusal> {
    match asked.operation.as_str() {
        "GetRole" => {
            let name = asked.text("RoleName");
            let account = state.accounts.get(&session.account);
            let missing = || {
                let message = format!("The role with name {name} cannot be found.");
                Refusal::new(404, "NoSuchEntity", &message)
            };
            let role = account
                .and_then(|it| it.roles.get(name))
                .ok_or_else(missing)?;
            let trusted = role
                .trusts
                .iter()
                .map(|account| json!({"AWS": format!("arn:aws:iam::{account}:root")}));
            let service = role.service.map(|service| json!({"Service": service}));
            let statements: Vec<Value> = trusted
                .chain(service)
                .map(|who| json!({"Effect": "Allow", "Principal": who, "Action": "sts:AssumeRole"}))
                .collect();
            let trust = json!({"Version": "2012-10-17", "Statement": statements}).to_string();
            // IAM gives documents percent-encoded, spaces too; there is none in this one.
            let trust: String = form_urlencoded::byte_serialize(trust.as_bytes()).collect();
            let estate = state.estates.get(&session.account);
            let longest = estate.and_then(|it| it.longest.get(name)).unwrap_or(&3_600);
            Ok(format!(
                "<Role><Path>{path}</Path><RoleName>{name}</RoleName><RoleId>{}</RoleId><Arn>arn:aws:iam::{}:role{path}{name}</Arn><CreateDate>2026-01-01T00:00:00Z</CreateDate><AssumeRolePolicyDocument>{trust}</AssumeRolePolicyDocument><MaxSessionDuration>{longest}</MaxSessionDuration></Role>",
                role.id,
                session.account,
                path = escape(&role.path),
                name = escape(name),
            ))
        }
        "SimulatePrincipalPolicy" => simulate(state, session, asked),
        "SimulateCustomPolicy" => simulate_given(asked),
        _ => Err(unsupported(asked)),
    }
}

/// By the inline policies of the role or user, beside which everything is allowed here ([`super::gate`]).
fn simulate(state: &State, session: &Session, asked: &Asked) -> Result<String, Refusal> {
    let source = asked.text("PolicySourceArn");
    if !source.contains(&format!(":iam::{}:", session.account)) {
        let message = format!("Invalid Entity Arn: {source} is not a user, group or role.");
        return Err(Refusal::new(400, "InvalidInput", &message));
    }
    let policies = inline_of(state, &session.account, source);
    let (actions, resources) = (listed(asked, "ActionNames"), listed(asked, "ResourceArns"));
    let everything = Document::allow_all();
    let mut results = String::new();
    for action in &actions {
        for resource in &resources {
            let of_its_own = policies
                .iter()
                .map(|inline| ("inline policy", inline.document.as_ref()));
            let level = Level {
                name: "identity".to_owned(),
                policies: of_its_own.chain([("everything", &everything)]).collect(),
            };
            let request = Request::new(action, resource, []);
            results.push_str(&result(action, resource, &request, &[level]));
        }
    }
    Ok(evaluated(&results))
}

/// By the policies that are given, those of the organization among them, with the keys that are given (aws-facts §6).
fn simulate_given(asked: &Asked) -> Result<String, Refusal> {
    let own = parsed(listed(asked, "PolicyInputList"))?;
    let mut levels = vec![("identity".to_owned(), own)];
    let of_level = |number: usize| {
        let list = "ServiceControlPolicyInputList";
        let name = format!("OrderedOrganizationPolicyInputList.member.{number}.{list}");
        let given = listed(asked, &name);
        (!given.is_empty()).then_some((format!("level {number}"), given))
    };
    for (name, given) in (1..).map_while(of_level) {
        levels.push((name, parsed(given)?));
    }
    let levels: Vec<Level<'_>> = levels
        .iter()
        .map(|(name, documents)| Level {
            name: name.clone(),
            policies: documents.iter().map(|it| ("policy", it)).collect(),
        })
        .collect();
    let key = |number: usize| {
        let entry = format!("ContextEntries.member.{number}");
        let values = listed(asked, &format!("{entry}.ContextKeyValues"));
        match asked.text(&format!("{entry}.ContextKeyName")) {
            "" => None,
            name => Some((name, values.concat())),
        }
    };
    let keys: Vec<(&str, String)> = (1..).map_while(key).collect();
    let mut results = String::new();
    for action in listed(asked, "ActionNames") {
        let request = Request::new(action, "*", keys.clone());
        results.push_str(&result(action, "*", &request, &levels));
    }
    Ok(evaluated(&results))
}

fn parsed(given: Vec<&str>) -> Result<Vec<Document>, Refusal> {
    let parsed = given.into_iter().map(Document::parse);
    let parsed: Result<Vec<Document>, _> = parsed.collect();
    parsed.map_err(|error| Refusal::new(400, "InvalidInput", &error.to_string()))
}

/// What the simulator says of one action on one resource.
fn result(action: &str, resource: &str, request: &Request, levels: &[Level<'_>]) -> String {
    let decision = match evaluate(request, levels).decision {
        Decision::Allow => "allowed",
        Decision::ExplicitDeny => "explicitDeny",
        Decision::ImplicitDeny | Decision::Unknown => "implicitDeny",
    };
    format!(
        "<member><EvalActionName>{}</EvalActionName><EvalResourceName>{}</EvalResourceName><EvalDecision>{decision}</EvalDecision><MissingContextValues/></member>",
        escape(action),
        escape(resource)
    )
}

fn evaluated(results: &str) -> String {
    format!("<IsTruncated>false</IsTruncated><EvaluationResults>{results}</EvaluationResults>")
}

fn inline_of<'a>(state: &'a State, account: &AccountId, source: &str) -> Vec<&'a Inline> {
    let name = source.rsplit('/').next().unwrap_or_default();
    let Some(account) = state.accounts.get(account) else {
        return Vec::new();
    };
    if source.contains(":user/") {
        let user = account.users.get(name).into_iter();
        user.flat_map(|user| user.inline.values()).collect()
    } else {
        let role = account.roles.get(name).into_iter();
        role.filter_map(|role| role.inline.as_ref()).collect()
    }
}

/// The members of a list in a form: `ActionNames.member.1` and on.
fn listed<'a>(asked: &'a Asked, name: &str) -> Vec<&'a str> {
    let of = |number: usize| match asked.text(&format!("{name}.member.{number}")) {
        "" => None,
        text => Some(text),
    };
    (1..).map_while(of).collect()
}
