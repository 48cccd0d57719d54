//! CloudTrail on the range: a record of every call that a session makes, delivered minutes later, and `LookupEvents`.
//!
//! Arrives: each call with its answer, as the wire knows them. Leaves: records of CloudTrail's shape, in the account and the
//! Region where the call was made; a role that is assumed from another account is in both accounts'
//! records, as with AWS. Calls without a session that AWS knows leave none.
//!
//! Each record takes its own minutes until it is seen, drawn from dice of its own, so that a seed tells the same story with
//! records and without. What is kept is bounded: the oldest is forgotten first.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use crate::ids::*;
use crate::range::portal::{Way, role_of};
use crate::range::state::{Session, State};
use crate::range::wire::{Asked, Refusal, page, unsupported};
use crate::rates::{self, Rate};

/// Records that are kept of one account and Region.
const MOST: usize = 10_000;

/// The most of a page.
const PAGE: usize = 50;

/// Records older than this are forgotten by AWS (aws-facts §7).
const KEPT_FOR: SignedDuration = SignedDuration::from_hours(90 * 24);

/// A record is seen after so many seconds: AWS gives no number, some five minutes are commonly quoted (aws-facts §7).
const DELIVERY: std::ops::Range<i64> = 90..420;

/// Where people call from.
pub const OPERATORS_ADDRESS: &str = "203.0.113.10";

/// Where those call from who call by themselves.
pub const ACTORS_ADDRESS: &str = "198.51.100.7";

/// Every account's records.
#[derive(Debug, Clone)]
pub struct Trails {
    records: BTreeMap<(AccountId, String), VecDeque<Arc<Record>>>,
    allowances: BTreeMap<(AccountId, String), (Timestamp, f64)>,
    dice: fastrand::Rng,
    /// Accounts that refuse to be asked, whoever asks.
    pub closed: Vec<AccountId>,
}

/// One record.
#[derive(Debug, Clone)]
struct Record {
    at: Timestamp,
    seen: Timestamp,
    id: String,
    event: Told,
}

/// What a record tells.
#[derive(Debug, Clone)]
enum Told {
    /// A call on the range.
    Call(Box<Observed>),
    /// A text that somebody has put there, found by these attributes.
    Planted {
        text: String,
        attributes: Vec<(String, String)>,
    },
}

/// A call and its answer.
#[derive(Debug, Clone)]
struct Observed {
    session: Session,
    key: String,
    source: String,
    name: String,
    region: String,
    address: String,
    /// In whose records: the target's of a role that is assumed from elsewhere.
    recipient: AccountId,
    shared: Option<String>,
    refused: Option<(String, String)>,
    asked: Map<String, Value>,
    answered: Value,
}

impl Trails {
    /// Nothing was recorded yet.
    pub(super) fn new(seed: u64) -> Self {
        Self {
            records: BTreeMap::new(),
            allowances: BTreeMap::new(),
            dice: fastrand::Rng::with_seed(seed ^ 0x7261_696c),
            closed: Vec::new(),
        }
    }

    /// Puts a text into an account's records as CloudTrail would have it, seen at once; attributes are those that it is
    /// found by: `Username`, `AccessKeyId`. For whoever wants to see what becomes of records that no call makes.
    pub fn plant(
        &mut self,
        account: &AccountId,
        region: &str,
        at: Timestamp,
        text: String,
        attributes: &[(&str, &str)],
    ) {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let event = Told::Planted {
            text,
            attributes: attributes.iter().map(owned).collect(),
        };
        let id = self.uuid();
        let record = Record {
            at,
            seen: at,
            id,
            event,
        };
        self.keep(account, region, record);
    }

    fn uuid(&mut self) -> String {
        let (high, low) = (self.dice.u64(..), self.dice.u64(..));
        let hex = format!("{high:016x}{low:016x}");
        let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
        let (one, two, three) = (part(0, 8), part(8, 12), part(12, 16));
        format!("{one}-{two}-{three}-{}-{}", part(16, 20), part(20, 32))
    }

    fn keep(&mut self, account: &AccountId, region: &str, record: Record) {
        let place = (account.clone(), region.to_owned());
        let records = self.records.entry(place).or_default();
        if records.len() >= MOST {
            records.pop_front();
        }
        records.push_back(Arc::new(record));
    }

    /// Whether an account is asked too fast in this Region: a bucket of its own for each.
    fn is_too_fast(
        &mut self,
        account: &AccountId,
        region: &str,
        rate: Rate,
        now: Timestamp,
    ) -> bool {
        let place = (account.clone(), region.to_owned());
        let allowance = self.allowances.entry(place);
        let (since, left) = allowance.or_insert((now, f64::from(rate.burst)));
        rate.is_spent(since, left, now)
    }
}

impl State {
    /// Records a session that somebody got at the portal: in the organization's own account that they got it, and in the
    /// account that it is of who was let in, by a permission set's `AssumeRoleWithSAML`. The access key in that record is
    /// another than the session's. What account access manager leaves in its place is not documented, so nothing is.
    pub(super) fn observe_portal(
        &mut self,
        user: &UserId,
        (account, role): (&AccountId, &str),
        way: &Way,
        key: &str,
    ) {
        let Some(session) = self.sessions.get(key).cloned() else {
            return;
        };
        let region = self.directory.region.to_string();
        let (now, management) = (self.now, self.management.clone());
        let store = format!(
            "arn:aws:identitystore::{management}:identitystore/{}",
            self.directory.store
        );
        let got = json!({
            "eventVersion": "1.11",
            "userIdentity": {
                "type": "IdentityCenterUser", "accountId": management,
                "onBehalfOf": { "userId": user, "identityStoreArn": store },
                "credentialId": "practice",
            },
            "eventSource": "sso.amazonaws.com", "eventName": "GetRoleCredentials",
            "requestParameters": null, "responseElements": null, "readOnly": true,
            "eventType": "AwsServiceEvent", "recipientAccountId": management,
            "serviceEventDetails": { "role_name": role, "account_id": account },
        });
        self.tell(
            &management,
            &region,
            got,
            &[("EventName", "GetRoleCredentials")],
        );
        if matches!(way, Way::Role(_)) {
            return;
        }
        let name = session.user_id.rsplit(':').next().unwrap_or_default();
        let expires = session.expires.unwrap_or(now);
        let entered = json!({
            "eventVersion": "1.11",
            "userIdentity": {
                "type": "SAMLUser", "principalId": format!("practice=:{name}"), "userName": name,
                "identityProvider": "practice=",
            },
            "eventSource": "sts.amazonaws.com", "eventName": "AssumeRoleWithSAML",
            "requestParameters": {
                "roleSessionName": name, "roleArn": session.principal_arn,
                "durationSeconds": expires.duration_since(now).as_secs(),
            },
            "responseElements": {
                "credentials": {
                    "accessKeyId": key.chars().rev().collect::<String>(), "sessionToken": "practice",
                    "expiration": expires.strftime("%b %-d, %Y, %-I:%M:%S %p").to_string(),
                },
                "assumedRoleUser": { "assumedRoleId": session.user_id, "arn": session.arn },
                "subject": name, "subjectType": "persistent",
            },
            "readOnly": true, "eventType": "AwsApiCall", "recipientAccountId": account,
        });
        let found_by = [("EventName", "AssumeRoleWithSAML"), ("Username", name)];
        self.tell(account, &region, entered, &found_by);
    }

    /// Puts a record of now into an account's, to be seen some minutes later.
    fn tell(
        &mut self,
        account: &AccountId,
        region: &str,
        mut told: Value,
        attributes: &[(&str, &str)],
    ) {
        let (now, id) = (self.now, self.records.uuid());
        let more = [
            ("eventID", json!(id)),
            ("eventTime", json!(second(now))),
            ("awsRegion", json!(region)),
            ("sourceIPAddress", json!(ACTORS_ADDRESS)),
            ("userAgent", json!("practice")),
            ("managementEvent", json!(true)),
            ("eventCategory", json!("Management")),
        ];
        if let Some(object) = told.as_object_mut() {
            object.extend(more.map(|(name, value)| (name.to_owned(), value)));
        }
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let record = Record {
            at: now,
            seen: now + SignedDuration::from_secs(self.records.dice.i64(DELIVERY)),
            id,
            event: Told::Planted {
                text: told.to_string(),
                attributes: attributes.iter().map(owned).collect(),
            },
        };
        self.records.keep(account, region, record);
    }

    /// Records a call that a session made.
    pub(super) fn observe(
        &mut self,
        session: Session,
        key: &str,
        asked: &Asked,
        address: &str,
        answered: &Value,
        refused: Option<&Refusal>,
    ) {
        if !self.recording {
            return;
        }
        let region = home_of(&asked.service, &asked.region);
        let observed = Observed {
            key: key.to_owned(),
            source: format!("{}.amazonaws.com", asked.service),
            name: asked.operation.clone(),
            region: region.clone(),
            address: address.to_owned(),
            recipient: session.account.clone(),
            shared: None,
            refused: refused.map(|refusal| (code_of(asked, refusal), refusal.message.clone())),
            asked: asked.recorded(),
            answered: answered.clone(),
            session,
        };
        let target = role_of(asked.text("RoleArn")).map(|(account, _)| account);
        let target = target.filter(|account| {
            *account != observed.recipient && self.accounts.contains_key(account)
        });
        let seen = |trails: &mut Trails, now: Timestamp| {
            now + SignedDuration::from_secs(trails.dice.i64(DELIVERY))
        };
        let (now, trails) = (self.now, &mut self.records);
        let both = target.map(|account| (account, trails.uuid()));
        let mut put = |observed: Observed| {
            let record = Record {
                at: now,
                seen: seen(trails, now),
                id: trails.uuid(),
                event: Told::Call(Box::new(observed.clone())),
            };
            trails.keep(&observed.recipient, &region, record);
        };
        let shared = both.as_ref().map(|(_, shared)| shared.clone());
        put(Observed {
            shared: shared.clone(),
            ..observed.clone()
        });
        // A refused call never got there.
        if let Some((recipient, _)) = both.filter(|_| observed.refused.is_none()) {
            put(Observed {
                recipient,
                shared,
                ..observed
            });
        }
    }
}

/// Answers one operation.
pub(super) fn perform(
    state: &mut State,
    session: &Session,
    asked: &Asked,
) -> Result<Value, Refusal> {
    if asked.operation != "LookupEvents" {
        return Err(unsupported(asked));
    }
    let (account, region, now) = (&session.account, asked.region.as_str(), state.now);
    if state.records.closed.contains(account) {
        let message = format!(
            "User: {} is not authorized to perform: cloudtrail:LookupEvents because no identity-based policy allows the cloudtrail:LookupEvents action",
            session.arn
        );
        return Err(Refusal::new(400, "AccessDeniedException", &message));
    }
    let rate = rates::published(rates::LOOKUP_EVENTS).filter(|_| state.throttles);
    if rate.is_some_and(|rate| state.records.is_too_fast(account, region, rate, now)) {
        return Err(Refusal::new(400, "ThrottlingException", "Rate exceeded"));
    }
    let attribute = attribute(asked)?;
    let moment = |name: &str| {
        let seconds = asked.parameters.get(name).and_then(Value::as_f64);
        seconds.and_then(|seconds| Timestamp::from_nanosecond((seconds * 1e9) as i128).ok())
    };
    let from = moment("StartTime").unwrap_or(Timestamp::MIN);
    let until = moment("EndTime").unwrap_or(Timestamp::MAX);
    if until < from {
        let message = "Start time must be before end time.";
        return Err(Refusal::new(400, "InvalidTimeRangeException", message));
    }
    let records = state
        .records
        .records
        .get(&(account.clone(), region.to_owned()));
    let is_wanted = |record: &&Arc<Record>| {
        record.seen <= now
            && record.at >= from
            && record.at <= until
            && now.duration_since(record.at) < KEPT_FOR
            && attribute.as_ref().is_none_or(|(name, value)| {
                record
                    .attributes()
                    .iter()
                    .any(|(own, is)| own == name && is == value)
            })
    };
    let found = records.into_iter().flatten().rev().filter(is_wanted);
    // Only those of the page are told: a record is long, and there are many.
    let found: Vec<Arc<Record>> = found.cloned().collect();
    let places = (0..found.len()).map(Value::from).collect();
    let mut page = page(asked, "Events", places, PAGE)?;
    if let Some(events) = page.get_mut("Events").and_then(Value::as_array_mut) {
        for event in events {
            let place = event.as_u64().and_then(|place| usize::try_from(place).ok());
            let record = place.and_then(|place| found.get(place));
            *event = record.map_or(Value::Null, |record| record.shown());
        }
    }
    Ok(page)
}

/// The one attribute that is asked by; AWS takes no more.
fn attribute(asked: &Asked) -> Result<Option<(String, String)>, Refusal> {
    let given = asked.parameters.get("LookupAttributes");
    let given = given.and_then(Value::as_array).map(Vec::as_slice);
    let text = |of: &Value, name: &str| {
        of.get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    match given.unwrap_or_default() {
        [] => Ok(None),
        [one] => Ok(Some((
            text(one, "AttributeKey"),
            text(one, "AttributeValue"),
        ))),
        [_, _, ..] => Err(Refusal::new(
            400,
            "InvalidLookupAttributesException",
            "Only one lookup attribute can be specified.",
        )),
    }
}

/// IAM and Organizations are recorded in their home Region, from wherever they are asked.
fn home_of(service: &str, region: &str) -> String {
    match service {
        "iam" | "organizations" => "us-east-1".to_owned(),
        _ => region.to_owned(),
    }
}

/// EC2's codes have a word before them in the records.
fn code_of(asked: &Asked, refusal: &Refusal) -> String {
    match asked.service.as_str() {
        "ec2" => format!("Client.{}", refusal.code),
        _ => refusal.code.clone(),
    }
}

/// The text between two marks.
fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    text.split_once(before)?
        .1
        .split_once(after)
        .map(|(inside, _)| inside)
}

/// The access key that an answer of STS gives.
pub(super) fn given_in(xml: &str) -> Option<&str> {
    between(xml, "<AccessKeyId>", "</AccessKeyId>")
}

/// What a record has of an answer in XML: of sessions who got them, of everything else nothing.
pub(super) fn answered_in(xml: &str) -> Value {
    let Some(key) = given_in(xml) else {
        return Value::Null;
    };
    let Some(expires) = between(xml, "<Expiration>", "</Expiration>") else {
        return Value::Null;
    };
    let expires = expires.parse::<Timestamp>().ok();
    // As CloudTrail writes it: `Nov 22, 2026, 4:00:00 AM`.
    let expires = expires.map(|at| at.strftime("%b %-d, %Y, %-I:%M:%S %p").to_string());
    let mut answered = json!({ "credentials": {
        "accessKeyId": key, "sessionToken": "practice", "expiration": expires,
    }});
    let part = |name: &str| between(xml, &format!("<{name}>"), &format!("</{name}>"));
    let role = part("AssumedRoleId").zip(part("Arn"));
    let federated = part("FederatedUserId").zip(part("Arn"));
    if let Some(object) = answered.as_object_mut() {
        if let Some((id, arn)) = role {
            let user = json!({ "assumedRoleId": id, "arn": arn });
            object.insert("assumedRoleUser".to_owned(), user);
        }
        if let Some((id, arn)) = federated {
            let user = json!({ "federatedUserId": id, "arn": arn });
            object.insert("federatedUser".to_owned(), user);
        }
    }
    answered
}

impl Record {
    fn attributes(&self) -> Vec<(String, String)> {
        match &self.event {
            Told::Planted { attributes, .. } => attributes.clone(),
            Told::Call(call) => call.attributes(&self.id),
        }
    }

    /// As `LookupEvents` shows it.
    fn shown(&self) -> Value {
        let attributes = self.attributes();
        let of = |name: &str| {
            let mut found = attributes.iter().filter(|(own, _)| own == name);
            found.next().map(|(_, value)| value.clone())
        };
        let resources = attributes.iter().filter(|(name, _)| name == "ResourceName");
        let resources: Vec<Value> = resources
            .map(|(_, name)| json!({ "ResourceName": name }))
            .collect();
        let text = match &self.event {
            Told::Planted { text, .. } => text.clone(),
            Told::Call(call) => call.told(self.at, &self.id).to_string(),
        };
        json!({
            "EventId": self.id,
            "EventName": of("EventName").unwrap_or_default(),
            "EventSource": of("EventSource").unwrap_or_default(),
            "ReadOnly": of("ReadOnly").unwrap_or_default(),
            "AccessKeyId": of("AccessKeyId"),
            "Username": of("Username"),
            "EventTime": self.at.as_second(),
            "Resources": resources,
            "CloudTrailEvent": text,
        })
    }
}

impl Observed {
    /// Whether it only reads. CloudTrail counts the giving out of sessions among reading.
    fn reads(&self) -> bool {
        let reading = [
            "Get",
            "List",
            "Describe",
            "Lookup",
            "AssumeRole",
            "Query",
            "Scan",
        ];
        reading.iter().any(|prefix| self.name.starts_with(prefix))
    }

    /// Whether this is the copy in the records of the account whose role was assumed.
    fn is_copy(&self) -> bool {
        self.recipient != self.session.account
    }

    fn username(&self) -> &str {
        let (_, last) = self.session.arn.rsplit_once('/').unwrap_or_default();
        last
    }

    fn attributes(&self, id: &str) -> Vec<(String, String)> {
        let mut attributes = vec![
            ("EventId", id.to_owned()),
            ("EventName", self.name.clone()),
            ("EventSource", self.source.clone()),
            ("ReadOnly", self.reads().to_string()),
        ];
        if !self.is_copy() {
            attributes.push(("Username", self.username().to_owned()));
            attributes.push(("AccessKeyId", self.key.clone()));
        }
        let given = self.answered.get("credentials");
        let given = given
            .and_then(|it| it.get("accessKeyId"))
            .and_then(Value::as_str);
        let role = self.asked.get("roleArn").and_then(Value::as_str);
        for resource in given.into_iter().chain(role) {
            attributes.push(("ResourceName", resource.to_owned()));
        }
        attributes
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    }

    /// The record's own text.
    fn told(&self, at: Timestamp, id: &str) -> Value {
        let (code, message) = self.refused.clone().unzip();
        let mut told = json!({
            "eventVersion": "1.11",
            "userIdentity": self.identity(),
            "eventTime": second(at),
            "eventSource": self.source,
            "eventName": self.name,
            "awsRegion": self.region,
            "sourceIPAddress": self.address,
            "userAgent": "practice",
            "requestParameters": self.asked,
            "responseElements": self.answered,
            "eventID": id,
            "readOnly": self.reads(),
            "eventType": "AwsApiCall",
            "managementEvent": true,
            "recipientAccountId": self.recipient,
            "eventCategory": "Management",
        });
        if let Some(object) = told.as_object_mut() {
            let more = [("errorCode", code), ("errorMessage", message)];
            for (name, value) in more
                .into_iter()
                .chain([("sharedEventID", self.shared.clone())])
            {
                if let Some(value) = value {
                    object.insert(name.to_owned(), Value::from(value));
                }
            }
        }
        told
    }

    /// Who called (aws-facts §3). The account whose role is assumed learns of the caller's account and id alone.
    fn identity(&self) -> Value {
        let session = &self.session;
        if self.is_copy() {
            return json!({
                "type": "AWSAccount", "principalId": session.user_id, "accountId": session.account,
            });
        }
        let (issuer, name) = session.principal_arn.rsplit_once('/').unwrap_or_default();
        let mut identity = json!({
            "type": "IAMUser", "principalId": session.user_id, "arn": session.arn,
            "accountId": session.account, "accessKeyId": self.key,
        });
        let role_id = session.user_id.split(':').next().unwrap_or_default();
        let federated = session.arn.contains(":federated-user/");
        let issued = session.issued.map(second);
        let attributes = json!({ "creationDate": issued, "mfaAuthenticated": "false" });
        let mut context = json!({ "attributes": attributes });
        let mut put = |name: &str, value: Value| {
            if let Some(object) = identity.as_object_mut() {
                object.insert(name.to_owned(), value);
            }
        };
        let issuer = match (&session.behind, session.issued) {
            _ if federated => {
                put("type", json!("FederatedUser"));
                let name = session.behind.as_deref().unwrap_or_default();
                json!({
                    "type": "IAMUser", "accountId": session.account, "userName": name,
                    "arn": format!("arn:aws:iam::{}:user/{name}", session.account),
                })
            }
            (None, Some(_)) => {
                put("type", json!("AssumedRole"));
                json!({
                    "type": "Role", "principalId": role_id, "arn": format!("{issuer}/{name}"),
                    "accountId": session.account, "userName": name,
                })
            }
            (Some(_), _) | (None, None) => {
                put("userName", json!(name));
                Value::Null
            }
        };
        if let Some(object) = context.as_object_mut() {
            if !issuer.is_null() {
                object.insert("sessionIssuer".to_owned(), issuer);
            }
            if let Some(source) = &session.source_identity {
                object.insert("sourceIdentity".to_owned(), json!(source));
            }
        }
        let person = session.directory_user.as_ref();
        let person = person.map(|id| json!({ "userId": id }));
        if session.issued.is_some() {
            put("sessionContext", context);
        }
        if let Some(person) = person {
            put("onBehalfOf", person);
        }
        identity
    }
}

/// A moment as CloudTrail writes it.
fn second(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
