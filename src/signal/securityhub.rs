//! Security Hub's ASFF: GuardDuty's findings as `GetFindings` and EventBridge of Security Hub write them.
//!
//! In the wild an access key's resource names its principal in one of three ways: in `Details.AwsIamAccessKey`, by the ARN
//! of the user as the resource's id, or by the key alone, for CloudTrail to tell.

use serde_json::Value;

use super::claim::{Accusations, Claim};
use super::field::{At, first};
use super::guardduty::{accuse, endpoint, moment};
use super::operator::{self, Given};
use super::{Accused, Finding, Form, Nobody, ReadError, Sure, Whom};
use crate::ids::*;

/// Where GuardDuty's own fields are kept as texts by path.
const SERVICE: &str = "aws/guardduty/service/";

/// Reads one finding.
pub(super) fn read(at: &At<'_>) -> Result<Finding, ReadError> {
    let account = AccountId::parse(at.text("awsAccountId")?).ok();
    let mut found = Accusations::default();
    let mut nobody = Nobody::Unnamed;
    for resource in at.few("resources")? {
        let details = resource.child("details")?;
        let key = match &details {
            Some(details) => details.child("awsIamAccessKey")?,
            None => None,
        };
        let (kind, id) = (resource.text("type")?, resource.text("id")?);
        accuse_of(
            &mut found,
            kind,
            id,
            &resource.path_of("id"),
            key.as_ref(),
            account.as_ref(),
        )?;
        nobody = better(nobody, kind);
    }
    let sequence = at.descend(&["detection", "sequence"])?;
    let mut remote_ip = None;
    if let Some(sequence) = &sequence {
        accuse(&mut found, sequence, account.as_ref())?;
        remote_ip = endpoint(sequence);
    }
    let fields = at.child("productFields")?;
    let product = |end: &str| match &fields {
        Some(fields) => fields.shown(&format!("{SERVICE}{end}")),
        None => Ok(None),
    };
    let action = product("action/actionType")?.unwrap_or_default();
    let action = action_name(&action);
    let api = product(&format!("action/{action}/api"))?;
    let service = product(&format!("action/{action}/serviceName"))?;
    let from = product(&format!("action/{action}/remoteIpDetails/ipAddressV4"))?;
    let seen = product("eventLastSeen")?.unwrap_or_default();
    let database = product("rdsDbUserDetails/user")?.is_some();
    let sample = matches!(at.get("sample")?, Some(Value::Bool(true)));
    let severity = match at.child("severity")? {
        Some(severity) => of_product(&severity)?,
        None => None,
    };
    Ok(Finding {
        form: Form::SecurityHub,
        id: at.shown("id")?.unwrap_or_default(),
        kind: kind_of(types(at)?.first().copied().unwrap_or_default()),
        severity,
        account,
        region: Region::parse(at.text("region")?).ok(),
        last_seen: moment(&[&seen, at.text("lastObservedAt")?, at.text("updatedAt")?]),
        remote_ip: from.or(remote_ip),
        call: api.map(|api| service.map_or(api.clone(), |service| format!("{service} {api}"))),
        sample: sample || found.generated,
        who: found.or(if database {
            Nobody::DatabaseUser
        } else {
            nobody
        }),
    })
}

/// Whom a resource accuses, in ASFF and in OCSF, which keeps ASFF's details.
pub(super) fn accuse_of(
    found: &mut Accusations,
    kind: &str,
    id: &str,
    path: &str,
    details: Option<&At<'_>>,
    account: Option<&AccountId>,
) -> Result<(), ReadError> {
    let key = id.strip_prefix("AWS::IAM::AccessKey:").unwrap_or(id);
    if let Some(details) = details {
        let issuer = details.descend(&["sessionContext", "sessionIssuer"])?;
        let issuer = match &issuer {
            Some(issuer) => issuer.text("userName")?,
            None => "",
        };
        let own = AccountId::parse(details.text("accountId")?).ok();
        let name = first(&[
            issuer,
            details.text("principalName")?,
            details.text("userName")?,
        ]);
        let claim = Claim {
            kind: details.text("principalType")?,
            principal_id: details.text("principalId")?,
            name,
            key: first(&[details.text("accessKeyId")?, key]),
            account: own.or_else(|| account.cloned()),
            paths: details.paths_of(["PrincipalId", "PrincipalName", "AccessKeyId"]),
        };
        found.add(claim);
        return Ok(());
    }
    if !is_key(kind) {
        return Ok(());
    }
    match operator::of_input(id) {
        Ok(Given::Suspect(suspect)) if id.starts_with("arn:") => found.add_accused(Accused {
            whom: Whom::Suspect(suspect),
            from: path.to_owned(),
            sure: Sure::Name,
        }),
        _ => found.add(Claim {
            key,
            account: account.cloned(),
            paths: [path; 3].map(str::to_owned),
            ..Claim::default()
        }),
    }
    Ok(())
}

/// Whether a resource is an access key, in ASFF's word or in CloudFormation's.
pub(super) fn is_key(kind: &str) -> bool {
    matches!(
        kind,
        "AwsIamAccessKey" | "AWS::IAM::AccessKey" | "AwsIamUser" | "AWS::IAM::User"
    )
}

/// What is said instead of a principal, from the types of the resources.
pub(super) fn better(nobody: Nobody, kind: &str) -> Nobody {
    let kind = kind.replace("::", "").to_ascii_lowercase();
    let of = |names: &[&str]| names.iter().any(|name| kind.contains(name));
    if of(&["rdsdbinstance", "rdsdbcluster"]) {
        Nobody::DatabaseUser
    } else if of(&["ec2instance"]) && nobody == Nobody::Unnamed {
        Nobody::Instance
    } else if of(&["awsecs", "awseks", "container", "lambda"]) {
        Nobody::Workload
    } else {
        nobody
    }
}

fn types<'a>(at: &At<'a>) -> Result<Vec<&'a str>, ReadError> {
    match at.get("types")? {
        None => Ok(Vec::new()),
        Some(Value::Array(types)) => Ok(types.iter().filter_map(Value::as_str).collect()),
        Some(_) => Err(ReadError::WrongType {
            path: at.path_of("types"),
            expected: "a list",
        }),
    }
}

/// GuardDuty's name of a type that ASFF puts into a taxonomy: `TTPs/Defense Evasion/Stealth:IAMUser-TrailDisabled`.
pub(super) fn kind_of(taxonomy: &str) -> String {
    let kind = shorten(taxonomy, super::MOST_TEXT);
    match kind.split_once(':') {
        Some((purpose, threat)) if taxonomy.starts_with("TTPs/") || purpose.contains('/') => {
            let purpose = purpose.rsplit('/').next().unwrap_or_default();
            format!("{purpose}:{}", threat.replacen('-', "/", 1))
        }
        _ => kind,
    }
}

/// GuardDuty's number, or Security Hub's of 0 to 100.
fn of_product(severity: &At<'_>) -> Result<Option<f64>, ReadError> {
    let own = severity.number("product")?;
    let normalized = severity
        .number("normalized")?
        .map(|of_hundred| of_hundred / 10.0);
    Ok(own.or(normalized))
}

/// `AWS_API_CALL` as the path has it: `awsApiCallAction`.
fn action_name(kind: &str) -> String {
    let mut name = String::new();
    for (i, word) in kind.split('_').enumerate() {
        let word = word.to_ascii_lowercase();
        let mut letters = word.chars();
        match letters.next() {
            Some(first) if i > 0 => {
                name.push(first.to_ascii_uppercase());
                name.push_str(letters.as_str());
            }
            _ => name.push_str(&word),
        }
    }
    name.push_str("Action");
    name
}
