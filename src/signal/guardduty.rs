//! GuardDuty's own findings, as its API, the CLI and EventBridge write them.

use jiff::Timestamp;
use serde_json::Value;

use super::claim::{Accusations, Claim};
use super::field::{At, first};
use super::{Accused, Finding, Form, MOST_TEXT, Nobody, ReadError, Sure, Whom};
use crate::ids::*;

/// Reads one finding; `None` if it is none, having no `type`.
pub(super) fn read(at: &At<'_>) -> Result<Option<Finding>, ReadError> {
    let Some(kind) = at.shown("type")? else {
        return Ok(None);
    };
    let account = AccountId::parse(at.text("accountId")?).ok();
    let service = at.child("service")?;
    let (mut last_seen, mut remote_ip, mut call) = (String::new(), None, None);
    if let Some(service) = &service {
        service.text("eventLastSeen")?.clone_into(&mut last_seen);
        (remote_ip, call) = action(service);
    }
    let updated = at.text("updatedAt")?;
    let mut found = Accusations::default();
    let resource = at.child("resource")?;
    if let Some(resource) = &resource
        && let Some(key) = resource.child("accessKeyDetails")?
    {
        found.add(of_key(&key, account.clone())?);
    }
    let sequence = at.descend(&["service", "detection", "sequence"])?;
    if let Some(sequence) = &sequence {
        accuse(&mut found, sequence, account.as_ref())?;
        remote_ip = remote_ip.or_else(|| endpoint(sequence));
    }
    if found.is_empty() && kind.starts_with("AttackSequence:") {
        told(&mut found, at)?;
    }
    let sample = match &service {
        Some(service) => is_sample(service)?,
        None => false,
    };
    Ok(Some(Finding {
        form: Form::GuardDuty,
        id: at.shown("id")?.unwrap_or_default(),
        kind,
        severity: at.number("severity")?,
        account,
        region: Region::parse(at.text("region")?).ok(),
        last_seen: moment(&[&last_seen, updated]),
        remote_ip,
        call,
        sample: sample || found.generated,
        who: match &resource {
            Some(resource) => found.or(instead(resource)?),
            None => found.or(Nobody::Unnamed),
        },
    }))
}

/// The block `accessKeyDetails`, wherever a resource has it: not only under the resource type `AccessKey`.
fn of_key<'a>(key: &At<'a>, account: Option<AccountId>) -> Result<Claim<'a>, ReadError> {
    Ok(Claim {
        kind: key.text("userType")?,
        principal_id: key.text("principalId")?,
        name: key.text("userName")?,
        key: key.text("accessKeyId")?,
        account,
        paths: key.paths_of(["principalId", "userName", "accessKeyId"]),
    })
}

/// The actors of an attack sequence, else the access keys among its resources. Which of `user.uid` and `user.name` holds
/// the principal id is not documented (aws-facts §3), so the one of the right shape is taken.
pub(super) fn accuse(
    found: &mut Accusations,
    sequence: &At<'_>,
    account: Option<&AccountId>,
) -> Result<(), ReadError> {
    for actor in sequence.few("actors")? {
        let Some(user) = actor.child("user")? else {
            continue;
        };
        let issuer = match actor.child("session")? {
            Some(session) => session
                .text("issuer")?
                .rsplit('/')
                .next()
                .unwrap_or_default(),
            None => "",
        };
        let own = match user.child("account")? {
            Some(account) => AccountId::parse(account.text("uid")?).ok(),
            None => None,
        };
        let (uid, name) = (user.text("uid")?, user.text("name")?);
        let is_id = |text: &str| text.starts_with("AROA") || text.starts_with("AIDA");
        let (principal_id, name, field) = if is_id(name) && !is_id(uid) {
            (name, uid, "name")
        } else {
            (uid, name, "uid")
        };
        found.add(Claim {
            kind: user.text("type")?,
            principal_id,
            name: first(&[issuer, name]),
            key: user.text("credentialUid")?,
            account: own.or_else(|| account.cloned()),
            paths: user.paths_of([field, "name", "credentialUid"]),
        });
    }
    if found.is_empty() {
        for resource in sequence.few("resources")? {
            let own = AccountId::parse(resource.text("accountId")?).ok();
            if let Some(key) = resource.descend(&["data", "accessKey"])? {
                let mut claim = of_key(&key, own.or_else(|| account.cloned()))?;
                claim.key = resource.text("uid")?;
                found.add(claim);
            }
        }
    }
    Ok(())
}

/// The principal of a sequence that names it in its description alone, which GuardDuty writes as
/// `… for IAMUser/<name> with principalId <id> in account <account> …`.
fn told(found: &mut Accusations, at: &At<'_>) -> Result<(), ReadError> {
    let Some((before, after)) = at.text("description")?.split_once(" with principalId ") else {
        return Ok(());
    };
    let named = before.rsplit(' ').next().unwrap_or_default();
    let Some((kind, name)) = named.split_once('/') else {
        return Ok(());
    };
    let mut words = after.split_whitespace();
    let principal_id = words.next().unwrap_or_default();
    let account = match (words.next(), words.next(), words.next()) {
        (Some("in"), Some("account"), Some(account)) => AccountId::parse(account).ok(),
        _ => None,
    };
    let claim = Claim {
        kind,
        principal_id,
        name,
        account,
        paths: ["description"; 3].map(|key| at.path_of(key)),
        ..Claim::default()
    };
    if let Ok(Accused {
        whom: whom @ Whom::Suspect(_),
        from,
        ..
    }) = claim.accused()
    {
        found.add_accused(Accused {
            whom,
            from,
            sure: Sure::Told,
        });
    }
    Ok(())
}

/// Who it is about when no principal is named.
fn instead(resource: &At<'_>) -> Result<Nobody, ReadError> {
    let anonymous = match resource.descend(&["kubernetesDetails", "kubernetesUserDetails"]) {
        Ok(Some(user)) => user.text("username")? == "system:anonymous",
        Ok(None) | Err(_) => false,
    };
    Ok(if resource.has(&["rdsDbUserDetails"])? {
        Nobody::DatabaseUser
    } else if anonymous {
        Nobody::Anonymous
    } else if resource
        .descend(&["kubernetesDetails"])?
        .is_some_and(|it| has_user(&it))
    {
        Nobody::KubernetesUser
    } else if resource.has(&[
        "ecsClusterDetails",
        "containerDetails",
        "lambdaDetails",
        "kubernetesDetails",
        "eksClusterDetails",
    ])? {
        Nobody::Workload
    } else if resource.has(&["instanceDetails"])? {
        Nobody::Instance
    } else {
        Nobody::Unnamed
    })
}

fn has_user(kubernetes: &At<'_>) -> bool {
    kubernetes.has(&["kubernetesUserDetails"]).unwrap_or(true)
}

/// Where the calls came from and what they were, from `action.<any>Action`. Only shown, so what is of another shape is not.
fn action(service: &At<'_>) -> (Option<String>, Option<String>) {
    let Ok(Some(action)) = service.child("action") else {
        return (None, None);
    };
    let (mut remote_ip, mut call) = (None, None);
    for action in action.children() {
        if let Ok(Some(remote)) = action.child("remoteIpDetails") {
            let addresses = ["ipAddressV4", "ipAddressV6"];
            let address = addresses
                .iter()
                .find_map(|key| remote.shown(key).ok().flatten());
            remote_ip = remote_ip.or(address);
        }
        if let Ok(Some(api)) = action.shown("api") {
            let service = action.shown("serviceName").ok().flatten();
            let named = service.map_or(api.clone(), |service| format!("{service} {api}"));
            call = call.or(Some(named));
        }
    }
    (remote_ip, call)
}

/// The first address that a sequence was seen from.
pub(super) fn endpoint(sequence: &At<'_>) -> Option<String> {
    let endpoints = sequence.few("endpoints").ok()?;
    endpoints
        .iter()
        .find_map(|endpoint| endpoint.shown("ip").ok().flatten())
}

/// `additionalInfo.sample`, which the API has inside a text, too: `{"value":"{\"sample\":true}"}`.
fn is_sample(service: &At<'_>) -> Result<bool, ReadError> {
    let Some(info) = service.child("additionalInfo")? else {
        return Ok(false);
    };
    let stated = matches!(info.get("sample")?, Some(Value::Bool(true)));
    let inside = match info.get("value")? {
        Some(Value::String(text)) => {
            let kept = text.chars().take(MOST_TEXT).filter(|c| !c.is_whitespace());
            kept.collect::<String>().contains("\"sample\":true")
        }
        _ => false,
    };
    Ok(stated || inside)
}

/// The first of these that is a moment.
pub(super) fn moment(texts: &[&str]) -> Option<Timestamp> {
    texts.iter().find_map(|text| text.parse().ok())
}
