//! CloudTrail's records, in our own words: who called what, how it ended, and who became whom by it.
//!
//! Arrives: the text of each record. Leaves: a [`Call`], judged against an incident ([`judge`]). Goes wrong:
//! [`Unreadable`]; such a record is counted and never dropped in silence (R4). Pure.
//!
//! AWS writes the records, and much of what is in them is an attacker's choice: names, user agents, parameters. Every text
//! is bounded, and a field of another type than CloudTrail's makes the whole record unreadable rather than another story.

pub mod chain;

pub mod left;

pub mod portal;

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::Value;

use crate::cloud::Probe;
use crate::ids::*;
use crate::policy::document::Document;
use crate::policy::evaluate::{Decision, Level, Request, evaluate};
use crate::policy::{CURRENT_TIME, SOURCE_IDENTITY, TOKEN_ISSUE_TIME, USERID};
use crate::principal::{CHAINED_SESSION, LONGEST_OF_IAM_USER, LONGEST_SESSION};

/// The largest record: CloudTrail's own limit.
pub const MOST_BYTES: usize = 256 * 1024;

/// The longest text that is kept of a field; an error's message is the longest that there is.
const MOST_TEXT: usize = 4_096;

/// The longest text that is kept of a parameter.
const MOST_PARAMETER: usize = 200;

/// How long a session lives if nobody says: of a role, and of what an IAM user asks for themselves (aws-facts §10).
const USUAL: SignedDuration = SignedDuration::from_hours(1);

/// See [`USUAL`].
const USUAL_OF_USER: SignedDuration = SignedDuration::from_hours(12);

/// Calls that AWS answers whatever any policy says (aws-facts §5).
const ALWAYS_ANSWERED: [&str; 2] = ["GetCallerIdentity", "GetSessionToken"];

/// Kinds of callers whose calls policies decide about. All others are services, or somebody who is about to get a session.
const DECIDED_FOR: [&str; 4] = ["AssumedRole", "IAMUser", "FederatedUser", "Root"];

/// A text that is no record of CloudTrail's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a record that cannot be read: {0}")]
pub struct Unreadable(String);

/// One call.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// CloudTrail's id of the record.
    pub id: String,
    /// When, to the second.
    pub at: Timestamp,
    /// The account whose records have it.
    pub account: AccountId,
    /// The Region, as the record has it.
    pub region: String,
    /// `iam.amazonaws.com`.
    pub source: String,
    /// `CreateUser`.
    pub name: String,
    /// Where it came from: an address, or a service's name.
    pub address: String,
    /// Who called.
    pub caller: Caller,
    /// Why it was not answered.
    pub error: Option<CallError>,
    /// The session that it gave out.
    pub gave: Option<Gave>,
    /// Parameters that are plain texts, by name.
    pub parameters: BTreeMap<String, String>,
    /// What a service tells beside them, of events that are no calls of an API: plain texts, by name.
    pub details: BTreeMap<String, String>,
}

/// Who called.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Caller {
    /// `AssumedRole`, `IAMUser`, …
    pub kind: String,
    /// `aws:userid`.
    pub userid: String,
    /// The session's or user's ARN.
    pub arn: String,
    /// The access key.
    pub key: Option<AccessKeyId>,
    /// The role or user that the session is of.
    pub issuer: String,
    /// `aws:SourceIdentity`.
    pub source_identity: Option<String>,
    /// When the session was given out.
    pub issued: Option<Timestamp>,
    /// The id of the person of Identity Center on whose behalf it is.
    pub person: Option<String>,
    /// What the record calls whoever signs in.
    pub names: BTreeSet<String>,
}

/// An error, as AWS gave it to the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallError {
    /// `AccessDenied`.
    pub code: String,
    /// AWS's words; empty where the service writes none.
    pub message: String,
}

/// A session that was given out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gave {
    /// Its access key.
    pub key: AccessKeyId,
    /// Its `aws:userid`; `None` for an IAM user's own session, which has theirs.
    pub userid: Option<SessionUserId>,
    /// Its ARN, or empty.
    pub arn: String,
    /// When it ends, at the latest.
    pub until: Timestamp,
}

/// How a call ended for a principal who is denied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// Refused by the deny.
    RefusedByUs,
    /// Refused by something else: another policy, or a session that was over.
    RefusedOtherwise,
    /// It was not refused.
    Allowed,
    /// It failed, and whether a policy let it through does not show.
    Unclear,
    /// No policy is asked: `GetCallerIdentity`, a sign-in, a session that is given out by a service.
    NotAsked,
}

/// Reads one record, from an account's records in a Region.
///
/// # Errors
/// [`Unreadable`].
pub fn read(text: &str, account: &AccountId, region: &Region) -> Result<Call, Unreadable> {
    if text.len() > MOST_BYTES {
        return Err(Unreadable(format!("it has {} bytes", text.len())));
    }
    let record: Value =
        serde_json::from_str(text).map_err(|error| Unreadable(error.to_string()))?;
    let needed =
        |name: &str| text_in(&record, name)?.ok_or_else(|| Unreadable(format!("it has no {name}")));
    let recipient = match text_in(&record, "recipientAccountId")? {
        Some(id) => AccountId::parse(id).map_err(|error| Unreadable(error.to_string()))?,
        None => account.clone(),
    };
    let mut caller = caller_in(object_in(&record, "userIdentity")?)?;
    if caller.person.is_none() {
        // One of AWS's examples has it beside the identity, another inside (aws-facts §3).
        caller.person = text_in(object_in(&record, "onBehalfOf")?, "userId")?;
    }
    let more = object_in(&record, "additionalEventData")?;
    caller.names.extend(text_in(more, "UserName")?);
    let mut details = parameters_in(object_in(&record, "serviceEventDetails")?);
    if name_is(&record, portal::CONSOLE_LOGIN) {
        details.extend(parameters_in(object_in(&record, "responseElements")?));
    }
    let code = text_in(&record, "errorCode")?;
    let message = text_in(&record, "errorMessage")?;
    let error = (code.is_some() || message.is_some()).then(|| CallError {
        code: code.unwrap_or_default(),
        message: message.unwrap_or_default(),
    });
    let at = moment(&needed("eventTime")?)?;
    let name = needed("eventName")?;
    let asked = object_in(&record, "requestParameters")?;
    Ok(Call {
        id: needed("eventID")?,
        at,
        account: recipient,
        region: text_in(&record, "awsRegion")?.unwrap_or_else(|| region.to_string()),
        source: needed("eventSource")?,
        address: text_in(&record, "sourceIPAddress")?.unwrap_or_default(),
        gave: gave_in(&record, at, asked, &caller, &name)?,
        parameters: parameters_in(asked),
        details,
        caller,
        error,
        name,
    })
}

fn name_is(record: &Value, name: &str) -> bool {
    record.get("eventName").and_then(Value::as_str) == Some(name)
}

/// A member that is a text, if it is there.
fn text_in(of: &Value, name: &str) -> Result<Option<String>, Unreadable> {
    match of.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.chars().take(MOST_TEXT).collect())),
        Some(_) => Err(Unreadable(format!("its {name} is not a text"))),
    }
}

/// A member that is an object; nothing where there is none.
fn object_in<'a>(of: &'a Value, name: &str) -> Result<&'a Value, Unreadable> {
    match of.get(name) {
        None | Some(Value::Null) => Ok(&Value::Null),
        Some(object @ Value::Object(_)) => Ok(object),
        Some(_) => Err(Unreadable(format!("its {name} is not an object"))),
    }
}

fn moment(text: &str) -> Result<Timestamp, Unreadable> {
    text.parse()
        .map_err(|_| Unreadable("a time in it is none".to_owned()))
}

fn caller_in(identity: &Value) -> Result<Caller, Unreadable> {
    let text = |name| Ok(text_in(identity, name)?.unwrap_or_default());
    let context = object_in(identity, "sessionContext")?;
    let issuer = object_in(context, "sessionIssuer")?;
    let attributes = object_in(context, "attributes")?;
    let key = text_in(identity, "accessKeyId")?.filter(|key| !key.is_empty());
    let key = key.map(AccessKeyId::parse).transpose();
    let issued = text_in(attributes, "creationDate")?;
    Ok(Caller {
        kind: text("type")?,
        userid: text("principalId")?,
        arn: text("arn")?,
        key: key.map_err(|error| Unreadable(error.to_string()))?,
        issuer: text_in(issuer, "userName")?.unwrap_or_default(),
        source_identity: text_in(context, "sourceIdentity")?,
        issued: issued.map(|at| moment(&at)).transpose()?,
        person: text_in(object_in(identity, "onBehalfOf")?, "userId")?,
        names: text_in(identity, "userName")?.into_iter().collect(),
    })
}

/// The session that was given out, of whichever call gives one (`AssumeRole` and its kin, `GetSessionToken`,
/// `GetFederationToken`, account access manager's).
fn gave_in(
    record: &Value,
    at: Timestamp,
    asked: &Value,
    caller: &Caller,
    name: &str,
) -> Result<Option<Gave>, Unreadable> {
    let answered = object_in(record, "responseElements")?;
    let credentials = object_in(answered, "credentials")?;
    let Some(key) = text_in(credentials, "accessKeyId")? else {
        return Ok(None);
    };
    let role = object_in(answered, "assumedRoleUser")?;
    let federated = object_in(answered, "federatedUser")?;
    let id = match text_in(role, "assumedRoleId")? {
        Some(id) => Some(id),
        None => text_in(federated, "federatedUserId")?,
    };
    let arn = match text_in(role, "arn")? {
        Some(arn) => Some(arn),
        None => text_in(federated, "arn")?,
    };
    let parsed = |text: String| SessionUserId::parse(text).map_err(|it| Unreadable(it.to_string()));
    let is_chained = caller.kind == "AssumedRole";
    let written = text_in(credentials, "expiration")?.and_then(|text| expiration(&text));
    let lives = asked.get("durationSeconds").and_then(Value::as_i64);
    let usual = match name {
        "GetSessionToken" | "GetFederationToken" => USUAL_OF_USER,
        _ => USUAL,
    };
    let lives = lives.map_or(usual, SignedDuration::from_secs);
    let until = written.or_else(|| at.checked_add(lives).ok()).unwrap_or(at);
    // Whatever was asked for: a chain is cut to an hour (aws-facts §2).
    let cut = at.checked_add(CHAINED_SESSION).unwrap_or(at);
    Ok(Some(Gave {
        key: AccessKeyId::parse(key).map_err(|error| Unreadable(error.to_string()))?,
        userid: id.map(parsed).transpose()?,
        arn: arn.unwrap_or_default(),
        until: if is_chained { until.min(cut) } else { until },
    }))
}

/// `Nov 22, 2026, 4:00:00 AM`, or without the second comma, as older records have it. In UTC.
fn expiration(text: &str) -> Option<Timestamp> {
    let formats = ["%b %d, %Y, %I:%M:%S %p", "%b %d, %Y %I:%M:%S %p"];
    // CloudTrail puts a narrow space before AM and PM.
    let plain: String = text
        .chars()
        .map(|c| if c.is_whitespace() { ' ' } else { c })
        .collect();
    let read = |format: &str| DateTime::strptime(format, &plain).ok();
    let civil = formats.into_iter().find_map(read)?;
    let zoned = civil.to_zoned(TimeZone::UTC).ok()?;
    Some(zoned.timestamp())
}

fn parameters_in(asked: &Value) -> BTreeMap<String, String> {
    let members = asked.as_object().into_iter().flatten();
    members
        .filter_map(|(name, value)| {
            let text: String = value.as_str()?.chars().take(MOST_PARAMETER).collect();
            Some((name.chars().take(MOST_PARAMETER).collect(), text))
        })
        .collect()
}

/// Which policy a refusal names, and whether it says that a service control policy refused explicitly (aws-facts §6):
/// `… with an explicit deny in a service control policy`, and since January 2026 the policy's ARN after it, followed by
/// whatever AWS appends next.
pub fn refuser(message: &str) -> (Option<PolicyArn>, bool) {
    let by_scp = message.contains("explicit deny in a service control policy");
    let mut words =
        message.split(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '(' | ')' | ','));
    let policy =
        words.find_map(|word| PolicyArn::parse(word.trim_end_matches(['.', ';', ':'])).ok());
    (policy, by_scp)
}

/// Whether a call is one of our canaries': by a role that they enter with, and one of the things that their session policy
/// allows. Whoever has the principal's name in such a role and asks for anything else is not ours.
pub fn is_canarys(call: &Call, roles: &[RoleName]) -> bool {
    let is_probe = |probe: &Probe| {
        let (service, operation) = probe.action().split_once(':').unwrap_or_default();
        call.name == operation && call.source.starts_with(service)
    };
    Probe::ALL.iter().any(is_probe) && roles.iter().any(|role| role.as_str() == call.caller.issuer)
}

/// How a call ended, where these policies are the deny.
pub fn judge(call: &Call, ours: &BTreeSet<PolicyArn>) -> Ended {
    let is_always_answered = ALWAYS_ANSWERED.contains(&call.name.as_str());
    if !call.caller.has_session() || is_always_answered || call.source == "signin.amazonaws.com" {
        return Ended::NotAsked;
    }
    let Some(error) = &call.error else {
        return Ended::Allowed;
    };
    // Codes differ by service for the same thing, so the words count (aws-facts §6).
    let denied = ["AccessDenied", "UnauthorizedOperation", "NotAuthorized"];
    let is_denied = denied.iter().any(|code| error.code.contains(code))
        || error.message.contains("is not authorized to perform");
    let over = ["ExpiredToken", "InvalidClientTokenId", "UnrecognizedClient"];
    match refuser(&error.message) {
        (Some(policy), _) if ours.contains(&policy) => Ended::RefusedByUs,
        (None, true) => Ended::RefusedByUs,
        (Some(_), _) => Ended::RefusedOtherwise,
        (None, false) if is_denied => Ended::RefusedOtherwise,
        (None, false) if over.iter().any(|code| error.code.contains(code)) => {
            Ended::RefusedOtherwise
        }
        (None, false) => Ended::Unclear,
    }
}

/// What a session is to a deny.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bearer {
    /// Its `aws:userid`.
    pub userid: String,
    /// Its source identity.
    pub source_identity: Option<String>,
    /// When it was given out; unknown of a long-term key.
    pub issued: Option<Timestamp>,
}

impl Gave {
    /// What a deny sees of the session.
    pub fn bearer(&self, at: Timestamp) -> Bearer {
        Bearer {
            userid: self
                .userid
                .as_ref()
                .map(SessionUserId::to_string)
                .unwrap_or_default(),
            source_identity: None,
            issued: Some(at),
        }
    }
}

impl Bearer {
    /// Whether a deny refuses it at a moment, by the evaluator. What is not in CloudTrail's records is not in the question:
    /// whether `identitystore:UserId` follows a session through a chain is not documented (aws-facts §2), so it is taken
    /// not to.
    pub fn is_denied_by(&self, deny: &Document, at: Timestamp) -> bool {
        let keys = [
            (USERID, self.userid.clone()),
            (CURRENT_TIME, at.to_string()),
        ];
        let source = self.source_identity.clone();
        let source = source.map(|name| (SOURCE_IDENTITY, name));
        let issued = self.issued.map(|at| (TOKEN_ISSUE_TIME, at.to_string()));
        let keys = keys.into_iter().chain(source).chain(issued);
        let everything = Document::allow_all();
        let levels = [Level {
            name: "the deny".to_owned(),
            policies: vec![("FullAWSAccess", &everything), ("the deny", deny)],
        }];
        let request = Request::new("iam:ListAccountAliases", "*", keys);
        evaluate(&request, &levels).decision == Decision::ExplicitDeny
    }
}

impl Caller {
    /// When their session ends at the latest, however long it was asked for (aws-facts §10); `None` of a long-term key.
    pub fn ends_by(&self) -> Option<Timestamp> {
        let longest = match self.kind.as_str() {
            "AssumedRole" => LONGEST_SESSION,
            _ => LONGEST_OF_IAM_USER,
        };
        self.issued?.checked_add(longest).ok()
    }

    /// Whether they are somebody with a session or a key, and not about to get one.
    pub fn has_session(&self) -> bool {
        DECIDED_FOR.contains(&self.kind.as_str())
    }

    /// What a deny sees of them.
    pub fn bearer(&self) -> Bearer {
        Bearer {
            userid: self.userid.clone(),
            source_identity: self.source_identity.clone(),
            issued: self.issued,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const OURS: &str =
        "arn:aws:organizations::111122223333:policy/o-abcdefghij/service_control_policy/p-abcdefgh";
    const OTHER: &str =
        "arn:aws:organizations::111122223333:policy/o-abcdefghij/service_control_policy/p-somebody";

    fn place() -> (AccountId, Region) {
        (
            AccountId::parse("222233334444").unwrap(),
            Region::parse("us-east-1").unwrap(),
        )
    }

    fn record() -> Value {
        json!({
            "eventVersion": "1.11",
            "userIdentity": {
                "type": "AssumedRole", "principalId": "AROA0123456789ABCDEFG:alice",
                "arn": "arn:aws:sts::222233334444:assumed-role/Ops/alice", "accountId": "222233334444",
                "accessKeyId": "ASIA0123456789ABCDEF",
                "sessionContext": {
                    "sessionIssuer": { "type": "Role", "userName": "Ops" },
                    "attributes": { "creationDate": "2026-11-22T02:00:00Z", "mfaAuthenticated": "false" },
                },
            },
            "eventTime": "2026-11-22T03:00:00Z", "eventSource": "sts.amazonaws.com", "eventName": "AssumeRole",
            "awsRegion": "us-east-1", "sourceIPAddress": "198.51.100.7",
            "requestParameters": {
                "roleArn": "arn:aws:iam::444455556666:role/deploy", "roleSessionName": "nightly", "durationSeconds": 7200,
            },
            "responseElements": {
                "credentials": { "accessKeyId": "ASIAFEDCBA9876543210", "expiration": "Nov 22, 2026, 5:00:00\u{202f}AM" },
                "assumedRoleUser": {
                    "assumedRoleId": "AROAFEDCBA9876543210A:nightly",
                    "arn": "arn:aws:sts::444455556666:assumed-role/deploy/nightly",
                },
            },
            "eventID": "11111111-2222-3333-4444-555555555555", "recipientAccountId": "222233334444",
        })
    }

    fn read_it(record: &Value) -> Result<Call, Unreadable> {
        let (account, region) = place();
        read(&record.to_string(), &account, &region)
    }

    #[test]
    fn a_record_says_who_became_whom_and_until_when() {
        let call = read_it(&record()).unwrap();
        assert_eq!(call.caller.userid, "AROA0123456789ABCDEFG:alice");
        assert_eq!(call.caller.issuer, "Ops");
        let gave = call.gave.unwrap();
        assert_eq!(gave.userid.unwrap().name(), "nightly");
        // Two hours were asked for, and a chain gets one.
        assert_eq!(gave.until, "2026-11-22T04:00:00Z".parse().unwrap());
        let mut by_a_user = record();
        by_a_user["userIdentity"]["type"] = json!("IAMUser");
        let gave = read_it(&by_a_user).unwrap().gave.unwrap();
        assert_eq!(gave.until, "2026-11-22T05:00:00Z".parse().unwrap());
    }

    #[test]
    fn what_is_no_record_is_unreadable_and_no_other_story() {
        for (name, value) in [
            ("eventTime", json!(17)),
            ("eventTime", json!("yesterday")),
            ("eventName", json!(["AssumeRole"])),
            ("eventID", Value::Null),
            ("userIdentity", json!("root")),
            ("errorMessage", json!({})),
            ("recipientAccountId", json!("nobody")),
            ("responseElements", json!([1])),
        ] {
            let mut hostile = record();
            hostile[name] = value.clone();
            assert!(read_it(&hostile).is_err(), "{name}: {value}");
        }
        let mut wildcard = record();
        wildcard["responseElements"]["assumedRoleUser"]["assumedRoleId"] = json!("AROA*:*");
        assert!(read_it(&wildcard).is_err());
        let (account, region) = place();
        let long = format!("{{\"eventName\":\"{}\"}}", "x".repeat(MOST_BYTES));
        let deep = "[".repeat(100_000);
        for text in ["", "null", "{}", "\u{0}", long.as_str(), deep.as_str()] {
            assert!(read(text, &account, &region).is_err());
        }
    }

    #[test]
    fn a_call_is_judged_by_the_words_of_its_refusal() {
        let ours = BTreeSet::from([PolicyArn::parse(OURS).unwrap()]);
        let start = "User: x is not authorized to perform: iam:ListUsers";
        let by_scp = "with an explicit deny in a service control policy";
        for (code, message, ended) in [
            (
                "AccessDenied",
                format!("{start} {by_scp}: {OURS}"),
                Ended::RefusedByUs,
            ),
            (
                "AccessDenied",
                format!("{start} {by_scp}"),
                Ended::RefusedByUs,
            ),
            (
                "AccessDenied",
                format!("{start} {by_scp}: {OTHER}"),
                Ended::RefusedOtherwise,
            ),
            ("AccessDenied", start.to_owned(), Ended::RefusedOtherwise),
            (
                "Client.UnauthorizedOperation",
                String::new(),
                Ended::RefusedOtherwise,
            ),
            ("ExpiredToken", String::new(), Ended::RefusedOtherwise),
            (
                "NoSuchEntityException",
                "no such user".to_owned(),
                Ended::Unclear,
            ),
            (
                "ThrottlingException",
                "Rate exceeded".to_owned(),
                Ended::Unclear,
            ),
        ] {
            let mut refused = record();
            refused["errorCode"] = json!(code);
            refused["errorMessage"] = json!(message);
            let call = read_it(&refused).unwrap();
            assert_eq!(judge(&call, &ours), ended, "{code}: {message}");
        }
        assert_eq!(judge(&read_it(&record()).unwrap(), &ours), Ended::Allowed);
        for (name, kind) in [
            ("GetCallerIdentity", "AssumedRole"),
            ("AssumeRole", "AWSAccount"),
        ] {
            let mut answered = record();
            answered["eventName"] = json!(name);
            answered["userIdentity"]["type"] = json!(kind);
            assert_eq!(judge(&read_it(&answered).unwrap(), &ours), Ended::NotAsked);
        }
    }

    fn assumes(number: u32, key: &str, who: &str, new: &str, becomes: &str) -> Call {
        let mut told = record();
        told["eventID"] = json!(format!("event-{number}"));
        told["eventTime"] = json!(format!("2026-11-22T03:{number:02}:00Z"));
        told["userIdentity"]["accessKeyId"] = json!(key);
        told["userIdentity"]["principalId"] = json!(who);
        let answered = &mut told["responseElements"];
        answered["credentials"]["accessKeyId"] = json!(new);
        answered["assumedRoleUser"]["assumedRoleId"] = json!(becomes);
        read_it(&told).unwrap()
    }

    #[test]
    fn whoever_goes_round_is_followed_once_and_told_as_a_loop() {
        let (root, a, b) = (
            "AROA0123456789ABCDEFG:alice",
            "AROAAAAAAAAAAAAAAAAAA:night",
            "AROABBBBBBBBBBBBBBBBB:agent",
        );
        let key = |number: u32| format!("ASIA{number:016}");
        let mut walk = chain::Walk::default();
        walk.root(&assumes(0, &key(0), root, &key(1), a));
        walk.take(&assumes(1, &key(1), a, &key(2), b));
        walk.take(&assumes(2, &key(2), b, &key(3), a));
        walk.take(&assumes(3, &key(3), a, &key(4), b));
        // Somebody else's, and the same again.
        walk.take(&assumes(4, &key(9), "AROACCCCCCCCCCCCCCCCC:x", &key(8), b));
        walk.take(&assumes(3, &key(3), a, &key(4), b));
        let tree = walk.tree();
        let told: Vec<(usize, &str, usize, bool)> = tree
            .iter()
            .map(|(depth, it)| (*depth, it.userid.as_str(), it.times, it.juggled))
            .collect();
        assert_eq!(
            told,
            [(0, root, 0, false), (1, a, 2, true), (2, b, 2, false)]
        );
        let last = tree[2].1;
        assert_eq!(last.until, Some("2026-11-22T04:03:00Z".parse().unwrap()));
        assert_eq!(walk.to_ask().len(), 4);
        assert!(walk.to_ask().is_empty());
    }

    #[test]
    fn what_is_left_behind_is_told_by_its_kind_and_only_when_it_was_done() {
        use left::{Kind, about, kind_of};
        for (source, name, kind) in [
            ("iam", "CreateAccessKey", Some(Kind::WayIn)),
            ("lambda", "CreateFunction20150331", Some(Kind::Runs)),
            ("cloudtrail", "StopLogging", Some(Kind::Guardrail)),
            ("ec2", "ModifySnapshotAttribute", Some(Kind::Shared)),
            ("iam", "ListUsers", None),
            ("iam", "StopLogging", None),
        ] {
            let mut done = record();
            done["eventSource"] = json!(format!("{source}.amazonaws.com"));
            done["eventName"] = json!(name);
            done["requestParameters"] = json!({ "userName": "backup", "other": 7 });
            let call = read_it(&done).unwrap();
            assert_eq!(kind_of(&call), kind, "{source}:{name}");
            assert_eq!(about(&call), "userName backup");
            done["errorCode"] = json!("AccessDenied");
            assert_eq!(kind_of(&read_it(&done).unwrap()), None);
        }
    }
}
