//! Who is asking, and whether the service control policies on their path and the policies of their own identity let
//! them.

use std::sync::Arc;

use crate::policy::document::Document;
use crate::policy::evaluate::{Decision, Level, Request, evaluate};
use crate::range::state::{Inline, Session, State};
use crate::range::users;
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
    if session.token.as_deref() != token || !users::is_active(state, key, session) {
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

/// Whether the policies let this session do this: those of its account's path, its own session policy, and the inline
/// policies of the identity behind it.
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
    // AWS answers them whatever any policy says (aws-facts §5).
    if ["sts:GetCallerIdentity", "sts:GetSessionToken"].contains(&action) {
        return Ok(());
    }
    let question = Question {
        state,
        session,
        action,
        resource,
        request: request(state, session, action, resource, region),
    };
    question.session_policy()?;
    question.scps()?;
    question.identity()
}

/// One request before the policies.
struct Question<'a> {
    state: &'a State,
    session: &'a Session,
    action: &'a str,
    resource: &'a str,
    request: Request,
}

impl Question<'_> {
    fn session_policy(&self) -> Result<(), Refusal> {
        let Some(policy) = &self.session.policy else {
            return Ok(());
        };
        let levels = [Level {
            name: "session".to_owned(),
            policies: vec![("session policy", policy)],
        }];
        if evaluate(&self.request, &levels).decision == Decision::Allow {
            return Ok(());
        }
        let action = self.action;
        Err(self.denied(&format!(
            "because no session policy allows the {action} action"
        )))
    }

    fn scps(&self) -> Result<(), Refusal> {
        let (state, session, action) = (self.state, self.session, self.action);
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
        let verdict = evaluate(&self.request, &levels);
        match verdict.decision {
            Decision::Allow => Ok(()),
            Decision::ExplicitDeny => {
                let policy = verdict
                    .by
                    .first()
                    .map(|by| arn_of(state, &by.policy))
                    .unwrap_or_default();
                Err(self.denied(&format!(
                    "with an explicit deny in a service control policy: {policy}"
                )))
            }
            Decision::ImplicitDeny => Err(self.denied(&format!(
                "because no service control policy allows the {action} action"
            ))),
            Decision::Unknown => {
                Err(self.cannot_judge("a service control policy", &verdict.because))
            }
        }
    }

    /// What the identity's own policies refuse. What they allow is not asked: permission sets and users are taken to
    /// allow everything. They bind at once and in every account, also where no SCP applies (aws-facts §11).
    fn identity(&self) -> Result<(), Refusal> {
        let (state, session, action) = (self.state, self.session, self.action);
        let role_id = session.user_id.split(':').next().unwrap_or_default();
        if state.gone.contains(role_id) {
            return Err(self.denied(&format!(
                "because no identity-based policy allows the {action} action"
            )));
        }
        let account = state.accounts.get(&session.account);
        let name = session.principal_arn.rsplit('/').next().unwrap_or_default();
        let role = account.and_then(|account| account.roles.get(name));
        let of_role = role
            .filter(|role| role.id.as_str() == role_id)
            .and_then(|role| role.inline.as_ref());
        let user = users::user_behind(state, session);
        let of_user = user.into_iter().flat_map(|user| user.inline.values());
        let inline: Vec<&Inline> = of_role.into_iter().chain(of_user).collect();
        if inline.is_empty() {
            return Ok(());
        }
        let everything = Document::allow_all();
        let inline = inline
            .iter()
            .map(|inline| ("inline policy", Arc::as_ref(&inline.document)));
        let levels = [Level {
            name: "identity".to_owned(),
            policies: inline.chain([("everything", &everything)]).collect(),
        }];
        let verdict = evaluate(&self.request, &levels);
        match verdict.decision {
            // Everything is allowed beside it, so there is no implicit deny.
            Decision::Allow | Decision::ImplicitDeny => Ok(()),
            Decision::ExplicitDeny => {
                Err(self.denied("with an explicit deny in an identity-based policy"))
            }
            Decision::Unknown => {
                Err(self.cannot_judge("an identity-based policy", &verdict.because))
            }
        }
    }

    fn denied(&self, why: &str) -> Refusal {
        let message = format!(
            "User: {} is not authorized to perform: {} on resource: {} {why}",
            self.session.arn, self.action, self.resource
        );
        Refusal::new(403, "AccessDenied", &message)
    }

    fn cannot_judge(&self, policy: &str, because: &str) -> Refusal {
        let message = format!(
            "The practice range cannot judge whether {policy} refuses {}: {because}",
            self.action
        );
        Refusal::new(403, "AccessDenied", &message)
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
            if session.arn.contains(":federated-user/") {
                "FederatedUser"
            } else if session.issued.is_some() && session.behind.is_none() {
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
    if session.assumed_root {
        keys.push(("aws:AssumedRoot", "true".to_owned()));
    }
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
