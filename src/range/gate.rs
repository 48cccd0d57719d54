//! Who is asking, and whether the service control policies on their path let them.

use std::sync::Arc;

use crate::policy::evaluate::{Decision, Level, Request, evaluate};
use crate::range::state::{Session, State};
use crate::range::wire::Refusal;

/// The session of the access key that signed.
///
/// # Errors
/// AWS's error for a key it does not know, a token that is not its own, and a session that is over.
pub fn authenticate(state: &State, key: &str, token: Option<&str>) -> Result<Session, Refusal> {
    let invalid = || {
        Refusal::new(
            403,
            "InvalidClientTokenId",
            "The security token included in the request is invalid.",
        )
    };
    let session = state.sessions.get(key).ok_or_else(invalid)?;
    if session.token.as_deref() != token {
        return Err(invalid());
    }
    match session.expires {
        Some(expires) if expires <= state.now => Err(Refusal::new(
            403,
            "ExpiredToken",
            "The security token included in the request is expired",
        )),
        Some(_) | None => Ok(session.clone()),
    }
}

/// Whether the policies let this session do this.
///
/// # Errors
/// A 403 in AWS's words, with the ARN of the policy that refuses.
pub fn authorize(
    state: &State,
    session: &Session,
    action: &str,
    resource: &str,
    region: &str,
) -> Result<(), Refusal> {
    // AWS answers it whatever any policy says (aws-facts §5).
    if action == "sts:GetCallerIdentity" {
        return Ok(());
    }
    let request = request(state, session, action, resource, region);
    if let Some(policy) = &session.policy {
        let levels = [Level {
            name: "session".to_owned(),
            policies: vec![("session policy", policy)],
        }];
        if evaluate(&request, &levels).decision != Decision::Allow {
            return Err(denied(
                session,
                action,
                resource,
                &format!("because no session policy allows the {action} action"),
            ));
        }
    }
    if session.account == state.management || !state.exists || !state.scps_enabled {
        return Ok(());
    }
    let Some(enforced) = state.enforced_in(&session.account) else {
        return Ok(());
    };
    let levels: Vec<Level<'_>> = state
        .path_of(&session.account)
        .iter()
        .map(|target| {
            let ids = enforced
                .attachments
                .get(target)
                .map(Vec::as_slice)
                .unwrap_or_default();
            // The id rather than the name: the refusal names the policy's ARN.
            let policies = ids.iter().filter_map(|id| {
                enforced
                    .policies
                    .get(id)
                    .map(|(_, document)| (id.as_str(), Arc::as_ref(document)))
            });
            Level {
                name: target.to_string(),
                policies: policies.collect(),
            }
        })
        .collect();
    let verdict = evaluate(&request, &levels);
    match verdict.decision {
        Decision::Allow => Ok(()),
        Decision::ExplicitDeny => {
            let policy = verdict
                .by
                .first()
                .map(|by| arn_of(state, &by.policy))
                .unwrap_or_default();
            Err(denied(
                session,
                action,
                resource,
                &format!("with an explicit deny in a service control policy: {policy}"),
            ))
        }
        Decision::ImplicitDeny => Err(denied(
            session,
            action,
            resource,
            &format!("because no service control policy allows the {action} action"),
        )),
        Decision::Unknown => Err(Refusal::new(
            403,
            "AccessDenied",
            &format!(
                "The practice range cannot judge whether a service control policy refuses {action}: {}",
                verdict.because
            ),
        )),
    }
}

/// The request with the condition keys that AWS fills in (aws-facts §3).
fn request(
    state: &State,
    session: &Session,
    action: &str,
    resource: &str,
    region: &str,
) -> Request {
    let mut keys = vec![
        ("aws:userid", session.user_id.clone()),
        ("aws:PrincipalArn", session.principal_arn.clone()),
        ("aws:PrincipalAccount", session.account.to_string()),
        ("aws:PrincipalOrgID", state.organization.to_string()),
        (
            "aws:PrincipalType",
            if session.issued.is_some() {
                "AssumedRole"
            } else {
                "User"
            }
            .to_owned(),
        ),
        ("aws:CurrentTime", state.now.to_string()),
        ("aws:EpochTime", state.now.as_second().to_string()),
        ("aws:RequestedRegion", region.to_owned()),
        ("aws:SecureTransport", "true".to_owned()),
    ];
    keys.extend(
        session
            .source_identity
            .clone()
            .map(|name| ("aws:SourceIdentity", name)),
    );
    keys.extend(
        session
            .directory_user
            .clone()
            .map(|id| ("identitystore:UserId", id.to_string())),
    );
    keys.extend(
        session
            .issued
            .map(|moment| ("aws:TokenIssueTime", moment.to_string())),
    );
    Request::new(action, resource, keys)
}

fn denied(session: &Session, action: &str, resource: &str, why: &str) -> Refusal {
    let message = format!(
        "User: {} is not authorized to perform: {action} on resource: {resource} {why}",
        session.arn
    );
    Refusal::new(403, "AccessDenied", &message)
}

/// The ARN of a policy by id; AWS's own policies belong to no organization.
pub fn arn_of(state: &State, policy: &str) -> String {
    if policy == "p-FullAWSAccess" {
        return format!("arn:aws:organizations::aws:policy/service_control_policy/{policy}");
    }
    format!(
        "arn:aws:organizations::{}:policy/{}/service_control_policy/{policy}",
        state.management, state.organization
    )
}
