//! Who we are, and sessions of other names: STS to mint them, IAM to ask as them.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;

use aws_config::{Region as SdkRegion, SdkConfig};
use aws_credential_types::Credentials;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use jiff::Timestamp;

use super::{Reader, trouble};
use crate::cloud::{
    Ask, AskGuarded, Canaries, Door, Lookup, MintError, OrganizationError, Probe, Probed, Read,
    Recorded, RecordedBy, Trouble, TroubleKind,
};
use crate::facts::*;
use crate::ids::*;
use crate::policy::document::{Document, Effect, Statement, Words};
use crate::trail;

/// The shortest that STS gives, long enough for a verification.
const SECONDS: i32 = 900;

/// What a guardrail refuses.
const LOGIN_PROFILE: &str = "iam:CreateLoginProfile";

/// The minting capability.
pub struct Sessions {
    sts: aws_sdk_sts::Client,
    iam: aws_sdk_iam::Client,
    guardduty: aws_sdk_guardduty::Client,
    cloudtrail: aws_sdk_cloudtrail::Client,
    dynamodb: aws_sdk_dynamodb::Client,
    region: Option<SdkRegion>,
    partition: &'static str,
}

impl Sessions {
    pub(super) fn new(config: &SdkConfig) -> Self {
        Self {
            sts: aws_sdk_sts::Client::new(config),
            iam: aws_sdk_iam::Client::new(config),
            guardduty: aws_sdk_guardduty::Client::new(config),
            cloudtrail: aws_sdk_cloudtrail::Client::new(config),
            dynamodb: aws_sdk_dynamodb::Client::new(config),
            region: config.region().cloned(),
            partition: partition_of(config),
        }
    }

    /// A session of a role in an account that may do what this policy allows and nothing else.
    async fn mint_for(
        &self,
        account: &AccountId,
        role: &RoleName,
        session: &SessionName,
        source_identity: Option<&SessionName>,
        only: impl Into<String>,
    ) -> Result<Credentials, MintError> {
        let arn = format!("arn:{}:iam::{account}:role/{role}", self.partition);
        let minted = assume(&self.sts, &arn, session, source_identity, only).await;
        minted.map_err(|trouble| match trouble.kind {
            TroubleKind::Denied | TroubleKind::Refused => {
                MintError::NoWay(format!("cannot assume {arn}: {}", trouble.detail))
            }
            TroubleKind::Credentials
            | TroubleKind::Expired
            | TroubleKind::Throttled
            | TroubleKind::Busy
            | TroubleKind::Unreachable
            | TroubleKind::Unreadable => MintError::Trouble(trouble),
        })
    }
}

/// The partition of the configured Region.
pub(super) fn partition_of(config: &SdkConfig) -> &'static str {
    let region = config.region().map(AsRef::as_ref).unwrap_or_default();
    match region {
        region if region.starts_with("cn-") => "aws-cn",
        region if region.starts_with("us-gov-") => "aws-us-gov",
        region if region.starts_with("eusc-") => "aws-eusc",
        region if region.starts_with("us-iso-") => "aws-iso",
        region if region.starts_with("us-isob-") => "aws-iso-b",
        region if region.starts_with("eu-isoe-") => "aws-iso-e",
        region if region.starts_with("us-isof-") => "aws-iso-f",
        _ => "aws",
    }
}

/// A session of a role that may do what this policy allows and nothing else, whatever the role may.
pub(super) async fn assume(
    sts: &aws_sdk_sts::Client,
    role: &str,
    session: &SessionName,
    source_identity: Option<&SessionName>,
    only: impl Into<String>,
) -> Result<Credentials, Trouble> {
    const CALL: &str = "sts:AssumeRole";
    let answer = sts
        .assume_role()
        .role_arn(role)
        .role_session_name(session.as_str())
        .set_source_identity(source_identity.map(SessionName::to_string))
        .duration_seconds(SECONDS)
        .policy(only)
        .send()
        .await
        .map_err(|error| trouble::of(CALL, &error))?;
    let minted = answer
        .credentials()
        .ok_or_else(|| trouble::unreadable(CALL, "the answer has no Credentials"))?;
    Ok(Credentials::new(
        minted.access_key_id(),
        minted.secret_access_key(),
        Some(minted.session_token().to_owned()),
        None,
        "quell",
    ))
}

/// A session behind a door, that may do what this policy allows and nothing else. [`TroubleKind::Denied`] where the door
/// does not let us in: what STS refuses of one role, it may allow of the next.
pub(super) async fn enter(
    sts: &aws_sdk_sts::Client,
    partition: &str,
    door: &Door,
    only: impl Into<String>,
) -> Result<Credentials, Trouble> {
    let arn = format!("arn:{partition}:iam::{}:role/{}", door.account, door.role);
    let entered = assume(sts, &arn, &door.session, None, only).await;
    entered.map_err(|trouble| match trouble.kind {
        TroubleKind::Denied | TroubleKind::Refused => Trouble {
            kind: TroubleKind::Denied,
            detail: format!("cannot assume {arn}: {}", trouble.detail),
            ..trouble
        },
        TroubleKind::Credentials
        | TroubleKind::Expired
        | TroubleKind::Throttled
        | TroubleKind::Busy
        | TroubleKind::Unreachable
        | TroubleKind::Unreadable => trouble,
    })
}

impl Canaries for Sessions {
    type Session = Credentials;

    fn region(&self) -> Option<Region> {
        Region::parse(self.region.as_ref()?.as_ref()).ok()
    }

    async fn mint(
        &self,
        account: &AccountId,
        role: &RoleName,
        session: &SessionName,
        source_identity: Option<&SessionName>,
        asks: &[Ask],
    ) -> Result<Credentials, MintError> {
        let actions: BTreeSet<&str> = asks.iter().map(|ask| ask.probe.action()).collect();
        let only = only(actions, "*");
        self.mint_for(account, role, session, source_identity, only)
            .await
    }

    async fn probe(&self, session: &Credentials, ask: &Ask) -> Probed {
        let named = ask.region.as_ref();
        let region = named.map(|region| SdkRegion::new(region.as_str().to_owned()));
        let region = region.or_else(|| self.region.clone());
        let (session, call) = (session.clone(), ask.probe.action());
        match ask.probe {
            Probe::AccountAliases => {
                let there = aws_sdk_iam::config::Builder::new().credentials_provider(session);
                let asked = self.iam.list_account_aliases().customize();
                answered(call, asked.config_override(there).send().await)
            }
            Probe::Detectors => {
                let there = aws_sdk_guardduty::config::Builder::new().region(region);
                let there = there.credentials_provider(session);
                let asked = self.guardduty.list_detectors().customize();
                answered(call, asked.config_override(there).send().await)
            }
            Probe::Trails => {
                let there = aws_sdk_cloudtrail::config::Builder::new().region(region);
                let there = there.credentials_provider(session);
                let asked = self.cloudtrail.describe_trails().customize();
                answered(call, asked.config_override(there).send().await)
            }
            Probe::Tables => {
                let there = aws_sdk_dynamodb::config::Builder::new().region(region);
                let there = there.credentials_provider(session);
                let asked = self.dynamodb.list_tables().limit(1).customize();
                answered(call, asked.config_override(there).send().await)
            }
        }
    }
}

/// A session policy that allows these actions on this resource and nothing else.
fn only<'a>(actions: impl IntoIterator<Item = &'a str>, resource: &str) -> String {
    let allow = Statement {
        sid: None,
        effect: Effect::Allow,
        actions: Words {
            negated: false,
            patterns: actions.into_iter().map(str::to_owned).collect(),
        },
        resources: Words::these([resource]),
        conditions: Vec::new(),
        unknown: Vec::new(),
    };
    Document::new(vec![allow]).minified()
}

/// How a probe ended.
fn answered<T, E>(call: &'static str, answer: Result<T, SdkError<E, HttpResponse>>) -> Probed
where
    E: ProvideErrorMetadata + Error + 'static,
{
    match answer {
        Ok(_) => Probed::Allowed,
        Err(error) => {
            let message = error.as_service_error().and_then(|error| error.message());
            probed(&trouble::of(call, &error), message.unwrap_or_default())
        }
    }
}

impl AskGuarded for Sessions {
    async fn mint_guarded(
        &self,
        account: &AccountId,
        role: &RoleName,
        session: &SessionName,
        user: &IamUserName,
    ) -> Result<Credentials, MintError> {
        let user = format!("arn:{}:iam::{account}:user/{user}", self.partition);
        let only = only([LOGIN_PROFILE], &user);
        self.mint_for(account, role, session, None, only).await
    }

    async fn probe_guarded(&self, session: &Credentials, user: &IamUserName) -> Probed {
        let as_session = aws_sdk_iam::config::Builder::new().credentials_provider(session.clone());
        // Of a length and kind that every password policy takes: only that there is no user may keep it from being set.
        let password = format!("Aa1!{}", fastrand::u128(..));
        let asked = self.iam.create_login_profile().user_name(user.as_str());
        let asked = asked.password(password).customize();
        match asked.config_override(as_session).send().await {
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(|error| error.is_no_such_entity_exception()) =>
            {
                Probed::Allowed
            }
            answer => answered(LOGIN_PROFILE, answer),
        }
    }
}

/// How a probe ended that AWS did not answer.
fn probed(trouble: &Trouble, message: &str) -> Probed {
    match trouble.kind {
        TroubleKind::Denied => refusal(message),
        TroubleKind::Expired => Probed::SessionExpired,
        TroubleKind::Credentials
        | TroubleKind::Throttled
        | TroubleKind::Busy
        | TroubleKind::Unreachable
        | TroubleKind::Unreadable
        | TroubleKind::Refused => Probed::NoAnswer(trouble.to_string()),
    }
}

/// What a refusal says of its reason.
fn refusal(message: &str) -> Probed {
    let (policy, by_scp) = trail::refuser(message);
    Probed::Refused { policy, by_scp }
}

impl Read for Reader {
    async fn caller(&self) -> Result<Caller, Trouble> {
        const CALL: &str = "sts:GetCallerIdentity";
        let expires = self.credentials_end().await?;
        let answer = self
            .sts
            .get_caller_identity()
            .send()
            .await
            .map_err(|error| trouble::of(CALL, &error))?;
        Ok(Caller {
            account: trouble::field(CALL, "Account", answer.account(), AccountId::parse)?,
            arn: answer.arn().unwrap_or_default().to_owned(),
            user_id: answer.user_id().unwrap_or_default().to_owned(),
            expires,
        })
    }

    async fn organization(&self) -> Result<Organization, OrganizationError> {
        self.describe_organization().await
    }

    async fn root(&self) -> Result<Root, Trouble> {
        self.list_roots().await
    }

    async fn policies(&self) -> Result<Vec<PolicySummary>, Trouble> {
        self.list_policies().await
    }

    async fn attached(&self, target: &TargetId) -> Result<Vec<PolicySummary>, Trouble> {
        self.list_policies_for_target(target).await
    }

    async fn targets(&self, policy: &PolicyId) -> Result<Vec<TargetId>, Trouble> {
        self.list_targets_for_policy(policy).await
    }

    async fn policy(&self, policy: &PolicyId) -> Result<Option<(PolicySummary, String)>, Trouble> {
        self.describe_policy(policy).await
    }

    async fn tags(&self, policy: &PolicyId) -> Result<BTreeMap<String, String>, Trouble> {
        self.list_tags(policy).await
    }

    async fn accounts_under(&self, unit: &TargetId) -> Result<Vec<AccountId>, Trouble> {
        let below = self.members_below(unit).await?;
        Ok(below.into_iter().map(|account| account.id).collect())
    }

    async fn active_accounts(&self) -> Result<Vec<AccountId>, Trouble> {
        self.list_accounts().await
    }

    async fn instances(&self) -> Result<Vec<Instance>, Trouble> {
        self.list_instances().await
    }

    async fn find_user(
        &self,
        instance: &Instance,
        by: Lookup,
        value: &str,
    ) -> Result<Option<UserId>, Trouble> {
        self.get_user_id(instance, by, value).await
    }

    async fn user(&self, instance: &Instance, id: &UserId) -> Result<Option<User>, Trouble> {
        self.describe_user(instance, id).await
    }

    async fn users(&self, instance: &Instance, pages: usize) -> Result<(Vec<User>, bool), Trouble> {
        self.list_users(instance, pages).await
    }

    async fn group_name(
        &self,
        instance: &Instance,
        group: &GroupId,
    ) -> Result<Option<String>, Trouble> {
        self.describe_group(instance, group).await
    }

    async fn memberships(
        &self,
        instance: &Instance,
        user: &UserId,
    ) -> Result<BTreeMap<GroupId, MembershipId>, Trouble> {
        self.list_memberships(instance, user).await
    }

    async fn assignments(
        &self,
        instance: &Instance,
        assignee: &Assignee,
    ) -> Result<Vec<Assignment>, Trouble> {
        self.list_assignments(instance, assignee).await
    }

    async fn permission_set(
        &self,
        instance: &Instance,
        arn: &PermissionSetArn,
    ) -> Result<PermissionSet, Trouble> {
        self.describe_permission_set(instance, arn).await
    }

    async fn assigned(
        &self,
        instance: &Instance,
        account: &AccountId,
        set: &PermissionSetArn,
    ) -> Result<Vec<Assignee>, Trouble> {
        self.list_assigned(instance, account, set).await
    }

    async fn inline_policy(
        &self,
        instance: &Instance,
        set: &PermissionSetArn,
    ) -> Result<Option<String>, Trouble> {
        self.get_inline_policy(instance, set).await
    }

    async fn entitlements(
        &self,
        instance: &Instance,
        assignee: &Assignee,
    ) -> Result<Option<BTreeMap<Entitlement, EntitlementId>>, Trouble> {
        self.list_entitlements(instance, assignee).await
    }

    async fn progress(&self, instance: &Instance, request: &Request) -> Result<Progress, Trouble> {
        self.describe_request(instance, request).await
    }

    async fn team_tables(&self, instance: &Instance) -> Result<Vec<String>, Trouble> {
        self.list_team_tables(instance).await
    }

    async fn team_requests(
        &self,
        instance: &Instance,
        table: &str,
        email: &str,
    ) -> Result<Vec<TeamRequest>, Trouble> {
        self.query_team_requests(instance, table, email).await
    }

    async fn team_eligibility(
        &self,
        instance: &Instance,
        table: &str,
        ids: &[String],
    ) -> Result<Vec<TeamEligibility>, Trouble> {
        self.get_team_eligibility(instance, table, ids).await
    }

    async fn is_member(&self, account: &AccountId) -> Result<bool, Trouble> {
        self.has_account(account).await
    }

    async fn role(&self, door: &Door, name: &RoleName) -> Result<Option<Role>, Trouble> {
        self.roles.read(door, name).await
    }

    async fn iam_user_id(
        &self,
        door: &Door,
        name: &IamUserName,
    ) -> Result<Option<IamUserId>, Trouble> {
        self.users.id(door, name).await
    }

    async fn iam_user(&self, door: &Door, name: &IamUserName) -> Result<Option<IamUser>, Trouble> {
        self.users.read(door, name).await
    }

    async fn user_policy(
        &self,
        door: &Door,
        user: &IamUserName,
        policy: &str,
    ) -> Result<Option<String>, Trouble> {
        self.users.policy(door, user, policy).await
    }

    async fn recorded(
        &self,
        door: Option<&Door>,
        region: &Region,
        by: &RecordedBy,
        from: Timestamp,
        pages: usize,
    ) -> Result<Recorded, Trouble> {
        self.trails.look_up(door, region, by, from, pages).await
    }

    async fn key_account(&self, key: &AccessKeyId) -> Result<AccountId, Trouble> {
        const CALL: &str = "sts:GetAccessKeyInfo";
        let request = self.sts.get_access_key_info().access_key_id(key.as_str());
        let answer = request.send().await;
        let answer = answer.map_err(|error| trouble::of(CALL, &error))?;
        trouble::field(CALL, "Account", answer.account(), AccountId::parse)
    }

    async fn detectors(&self) -> Result<Vec<DetectorId>, Trouble> {
        self.list_detectors().await
    }

    async fn recent_findings(&self, detector: &DetectorId) -> Result<Vec<String>, Trouble> {
        self.list_recent(detector).await
    }

    async fn finding(
        &self,
        detector: &DetectorId,
        id: &FindingId,
    ) -> Result<Option<String>, Trouble> {
        self.get_finding(detector, id).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_read_in_every_form_that_aws_has_used() {
        const OURS: &str = "arn:aws:organizations::111122223333:policy/o-abcdefghij/service_control_policy/p-abcdefgh";
        let start = "User: arn:aws:sts::222233334444:assumed-role/x/alice is not authorized to perform: iam:ListAccountAliases on resource: *";
        let named = Probed::Refused {
            policy: PolicyArn::parse(OURS).ok(),
            by_scp: true,
        };
        for (message, expected) in [
            (
                format!("{start} with an explicit deny in a service control policy"),
                Probed::Refused {
                    policy: None,
                    by_scp: true,
                },
            ),
            (
                format!("{start} with an explicit deny in a service control policy: {OURS}"),
                named.clone(),
            ),
            (
                format!(
                    "{start} with an explicit deny in a service control policy: {OURS}. Authorization ID: abc"
                ),
                named,
            ),
            (
                format!(
                    "{start} because no service control policy allows the iam:ListAccountAliases action"
                ),
                Probed::Refused {
                    policy: None,
                    by_scp: false,
                },
            ),
            (
                format!("{start} because no identity-based policy allows it"),
                Probed::Refused {
                    policy: None,
                    by_scp: false,
                },
            ),
            (
                String::new(),
                Probed::Refused {
                    policy: None,
                    by_scp: false,
                },
            ),
        ] {
            assert_eq!(refusal(&message), expected, "{message}");
        }
    }
}
