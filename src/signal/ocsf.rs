//! OCSF: detection findings as Security Hub writes them since 2025, and what Security Lake keeps of GuardDuty and of
//! CloudTrail.
//!
//! Where the principal is differs: in `evidences[].actor` or the record's own `actor`, as ASFF's details inside
//! `resources[].data` (an object, or its text), or as `resources[].user.name` beside a key. All are looked at, and whatever
//! names the session itself is taken before what names a user or a role.

use serde_json::Value;

use super::claim::{Accusations, Claim};
use super::envelope::said;
use super::field::{At, first};
use super::guardduty::moment;
use super::securityhub::{accuse_of, better, is_key, kind_of};
use super::{Finding, Form, Nobody, ReadError};
use crate::ids::*;
use crate::json::Budget;

/// The class of a record of a call.
const API_ACTIVITY: u64 = 6003;

/// Reads one finding or record.
pub(super) fn read(at: &At<'_>, budget: &Budget) -> Result<Finding, ReadError> {
    let cloud = at.child("cloud")?;
    let account = match &cloud {
        Some(cloud) => account_of(cloud)?,
        None => None,
    };
    let mut found = Accusations::default();
    if let Some(actor) = at.child("actor")? {
        found.add(of_actor(&actor, account.as_ref())?);
    }
    let (mut call, mut remote_ip) = seen(at)?;
    for evidence in at.few("evidences")? {
        if let Some(actor) = evidence.child("actor")? {
            found.add(of_actor(&actor, account.as_ref())?);
        }
        let (api, ip) = seen(&evidence)?;
        call = call.or(api);
        remote_ip = remote_ip.or(ip);
    }
    let mut nobody = Nobody::Unnamed;
    for resource in at.few("resources")? {
        let kind = resource.text("type")?;
        nobody = better(nobody, kind);
        if found.is_empty() || is_key(kind) {
            of_resource(&mut found, &resource, account.as_ref(), budget)?;
        }
    }
    let info = at.child("finding_info")?;
    let (mut id, mut kind, mut seen_last) = (None, None, "");
    if let Some(info) = &info {
        id = info.shown("uid")?;
        seen_last = info.text("last_seen_time_dt")?;
        kind = match info.get("types")? {
            Some(Value::Array(types)) => types.iter().find_map(Value::as_str).map(kind_of),
            _ => None,
        };
    }
    let unmapped = at.child("unmapped")?;
    let unmapped = |key: &str| match &unmapped {
        Some(unmapped) => unmapped.get(key),
        None => Ok(None),
    };
    let sample = match unmapped("Sample")? {
        Some(Value::Bool(sample)) => *sample,
        Some(Value::String(text)) => text == "true",
        _ => false,
    };
    let metadata = at.child("metadata")?;
    let uid = match &metadata {
        Some(metadata) => metadata.shown("uid")?,
        None => None,
    };
    let is_record = at.get("class_uid")?.and_then(Value::as_u64) == Some(API_ACTIVITY);
    let product = match unmapped("Severity.Product")? {
        Some(Value::String(text)) => text.parse().ok().filter(|number: &f64| number.is_finite()),
        _ => None,
    };
    let region = match &cloud {
        Some(cloud) => cloud.text("region")?,
        None => "",
    };
    Ok(Finding {
        form: Form::Ocsf,
        id: id.or(uid).unwrap_or_default(),
        kind: kind
            .or_else(|| call.clone().filter(|_| is_record))
            .or(at.shown("type_name")?)
            .unwrap_or_default(),
        severity: product.or(least_of(at.number("severity_id")?)),
        account,
        region: Region::parse(region).ok(),
        last_seen: moment(&[seen_last, at.text("time_dt")?]),
        remote_ip,
        call,
        sample: sample || found.generated,
        who: found.or(nobody),
    })
}

/// `account.uid`, of the cloud, of a resource or of its owner.
fn account_of(at: &At<'_>) -> Result<Option<AccountId>, ReadError> {
    for way in [["account"].as_slice(), &["owner", "account"]] {
        if let Some(account) = at.descend(way)?
            && let Ok(account) = AccountId::parse(account.text("uid")?)
        {
            return Ok(Some(account));
        }
    }
    Ok(None)
}

/// An actor: in AWS's records `user.uid_alt` is the principal id and `user.uid` the ARN, in findings `user.uid` can be
/// either, so the one of the right shape is taken.
fn of_actor<'a>(actor: &At<'a>, account: Option<&AccountId>) -> Result<Claim<'a>, ReadError> {
    let Some(user) = actor.child("user")? else {
        return Ok(Claim::default());
    };
    let (uid, alternative, name) = (user.text("uid")?, user.text("uid_alt")?, user.text("name")?);
    let issuer = match actor.child("session")? {
        Some(session) => session.text("issuer")?,
        None => "",
    };
    let is_id = |text: &&str| !text.is_empty() && !text.starts_with("arn:");
    let (principal_id, field) = match (Some(alternative).filter(is_id), Some(uid).filter(is_id)) {
        (Some(id), _) => (id, "uid_alt"),
        (None, Some(id)) => (id, "uid"),
        (None, None) => ("", "uid"),
    };
    // arn:aws:sts::<account>:assumed-role/<role>/<session>
    let role = uid
        .split_once(":assumed-role/")
        .and_then(|(_, rest)| rest.split('/').next());
    let of_issuer = issuer.rsplit('/').next().unwrap_or_default();
    Ok(Claim {
        kind: user.text("type")?,
        principal_id,
        name: first(&[role.unwrap_or_default(), of_issuer, name]),
        key: user.text("credential_uid")?,
        account: account_of(&user)?.or_else(|| account.cloned()),
        paths: user.paths_of([field, "name", "credential_uid"]),
    })
}

fn of_resource(
    found: &mut Accusations,
    resource: &At<'_>,
    account: Option<&AccountId>,
    budget: &Budget,
) -> Result<(), ReadError> {
    let (kind, uid) = (resource.text("type")?, resource.text("uid")?);
    let own = account_of(resource)?.or_else(|| account.cloned());
    let read;
    let data = match resource.get("data")? {
        Some(Value::Object(object)) => Some(At::new(object, resource.path_of("data"))),
        Some(Value::String(text)) if is_key(kind) => {
            let path = resource.path_of("data");
            let inside = budget.read(text, &path);
            read = inside.map_err(|error| ReadError::NotJson(said(&error)))?;
            read.as_object().map(|object| At::new(object, path))
        }
        _ => None,
    };
    let details = match &data {
        Some(data) => data.child("AwsIamAccessKey")?,
        None => None,
    };
    if details.is_none()
        && is_key(kind)
        && let Some(user) = resource.child("user")?
        && !user.text("name")?.is_empty()
        // A temporary key is a session's, and a name beside it can be a role's: the key tells.
        && !uid.starts_with("ASIA")
    {
        found.add(Claim {
            kind: "IAMUser",
            name: user.text("name")?,
            account: own,
            paths: user.paths_of(["uid", "name", "uid"]),
            ..Claim::default()
        });
        return Ok(());
    }
    accuse_of(
        found,
        kind,
        uid,
        &resource.path_of("uid"),
        details.as_ref(),
        own.as_ref(),
    )
}

/// What was called, and from where.
fn seen(at: &At<'_>) -> Result<(Option<String>, Option<String>), ReadError> {
    let call = match at.child("api")? {
        Some(api) => {
            let service = match api.child("service")? {
                Some(service) => service.shown("name")?,
                None => None,
            };
            let operation = api.shown("operation")?;
            operation.map(|operation| match service {
                Some(service) => format!("{service} {operation}"),
                None => operation,
            })
        }
        None => None,
    };
    let ip = match at.child("src_endpoint")? {
        Some(endpoint) => endpoint.shown("ip")?,
        None => None,
    };
    Ok((call, ip))
}

/// The least that GuardDuty calls by the same word.
fn least_of(id: Option<f64>) -> Option<f64> {
    match id? {
        2.0 => Some(1.0),
        3.0 => Some(4.0),
        4.0 => Some(7.0),
        5.0.. => Some(9.0),
        _ => None,
    }
}
