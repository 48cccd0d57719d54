//! CloudTrail's record of a call, as a signal: whoever called is accused.

use super::claim::{Accusations, Claim};
use super::field::{At, first};
use super::guardduty::moment;
use super::{Accused, Finding, Form, Nobody, ReadError, Sure, Suspect, Whom};
use crate::ids::*;

/// Reads one record, an object with `userIdentity`.
pub(super) fn read(at: &At<'_>) -> Result<Finding, ReadError> {
    let mut found = Accusations::default();
    let recipient = AccountId::parse(at.text("recipientAccountId")?).ok();
    let mut account = recipient;
    if let Some(identity) = at.child("userIdentity")? {
        let own = AccountId::parse(identity.text("accountId")?).ok();
        account = account.or_else(|| own.clone());
        accuse(&mut found, at, &identity, own)?;
    }
    let (source, name) = (at.shown("eventSource")?, at.shown("eventName")?);
    let call = match (source, name) {
        (Some(source), Some(name)) => Some(format!("{source} {name}")),
        (source, name) => name.or(source),
    };
    Ok(Finding {
        form: Form::CloudTrail,
        id: at.shown("eventID")?.unwrap_or_default(),
        kind: call.clone().unwrap_or_default(),
        severity: None,
        account,
        region: Region::parse(at.text("awsRegion")?).ok(),
        last_seen: moment(&[at.text("eventTime")?]),
        remote_ip: at.shown("sourceIPAddress")?,
        call,
        sample: found.generated,
        who: found.or(Nobody::Unnamed),
    })
}

fn accuse(
    found: &mut Accusations,
    record: &At<'_>,
    identity: &At<'_>,
    account: Option<AccountId>,
) -> Result<(), ReadError> {
    let kind = identity.text("type")?;
    let issuer = match identity.descend(&["sessionContext", "sessionIssuer"])? {
        Some(issuer) => issuer.text("userName")?,
        None => "",
    };
    found.add(Claim {
        kind,
        principal_id: identity.text("principalId")?,
        name: first(&[issuer, identity.text("userName")?]),
        key: identity.text("accessKeyId")?,
        account,
        paths: identity.paths_of(["principalId", "userName", "accessKeyId"]),
    });
    if !found.is_empty() {
        return Ok(());
    }
    // Identity Center's own records name the person by id, inside the identity or beside it (aws-facts §3).
    for place in [identity, record] {
        if let Some(person) = place.child("onBehalfOf")?
            && let Ok(id) = UserId::parse(person.text("userId")?)
        {
            found.add_accused(Accused {
                whom: Whom::Suspect(Suspect::Named { name: id.into() }),
                from: person.path_of("userId"),
                sure: Sure::Id,
            });
            return Ok(());
        }
    }
    Ok(())
}
