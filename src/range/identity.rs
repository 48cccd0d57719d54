//! STS and IAM on the range, and as much of EC2 and S3 as it takes to see a call refused.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use crate::ids::*;
use crate::policy::document::Document;
use crate::range::state::{Session, State};
use crate::range::wire::{Asked, Refusal, escape, unsupported};
use crate::range::{estate, guards, users};

/// Answers one operation of STS.
pub(super) fn sts(state: &mut State, session: &Session, asked: &Asked) -> Result<String, Refusal> {
    match asked.operation.as_str() {
        "GetCallerIdentity" => Ok(format!(
            "<Arn>{}</Arn><UserId>{}</UserId><Account>{}</Account>",
            escape(&session.arn),
            escape(&session.user_id),
            session.account
        )),
        "GetAccessKeyInfo" => {
            let owner = state.sessions.get(asked.text("AccessKeyId"));
            let owner = owner.ok_or_else(|| {
                Refusal::new(400, "ValidationError", "Invalid value at 'accessKeyId'")
            })?;
            Ok(format!("<Account>{}</Account>", owner.account))
        }
        "AssumeRole" => assume(state, session, asked),
        "GetSessionToken" | "GetFederationToken" => users::temporary(state, session, asked),
        _ => Err(unsupported(asked)),
    }
}

fn assume(state: &mut State, caller: &Session, asked: &Asked) -> Result<String, Refusal> {
    let invalid = |message: String| Refusal::new(400, "ValidationError", &message);
    let arn = asked.text("RoleArn");
    let name = SessionName::parse(asked.text("RoleSessionName"))
        .map_err(|error| invalid(format!("roleSessionName: {error}")))?;
    let source = match asked.text("SourceIdentity") {
        "" => None,
        given => Some(
            SessionName::parse(given)
                .map_err(|error| invalid(format!("sourceIdentity: {error}")))?,
        ),
    };
    let seconds = match asked.text("DurationSeconds") {
        "" => 3600,
        given => given
            .parse::<i64>()
            .map_err(|_| invalid("durationSeconds: not a number".to_owned()))?,
    };
    // A session that assumes a role is chaining, and chains are cut to an hour (aws-facts §2).
    let most = if caller.issued.is_some() && caller.behind.is_none() {
        3600
    } else {
        43_200
    };
    if !(900..=most).contains(&seconds) {
        return Err(invalid(format!(
            "The requested DurationSeconds exceeds the limits: 900 to {most}."
        )));
    }
    let policy = match asked.text("Policy") {
        "" => None,
        text => Some(session_policy(state, text)?),
    };
    let denied = || {
        Refusal::new(
            403,
            "AccessDenied",
            &format!(
                "User: {} is not authorized to perform: sts:AssumeRole on resource: {arn}",
                caller.arn
            ),
        )
    };
    let mut parts = arn.splitn(6, ':').skip(4);
    let (account, resource) = (
        parts.next().unwrap_or_default(),
        parts.next().unwrap_or_default(),
    );
    let account = AccountId::parse(account).map_err(|_| invalid(format!("{arn} is invalid")))?;
    let role_name = resource.rsplit('/').next().unwrap_or_default();
    let role = state
        .accounts
        .get(&account)
        .and_then(|account| account.roles.get(role_name))
        .cloned();
    let role = role
        .filter(|role| role.trusts.contains(&caller.account))
        .filter(|_| !state.suspended.contains(&account))
        .ok_or_else(denied)?;
    // The trust policy that AWS writes allows `sts:AssumeRole` and nothing else, and a source identity takes another right,
    // also where the caller brings it along.
    if role_name == "OrganizationAccountAccessRole"
        && (source.is_some() || caller.source_identity.is_some())
    {
        return Err(Refusal::new(
            403,
            "AccessDenied",
            &format!(
                "User: {} is not authorized to perform: sts:SetSourceIdentity on resource: {arn}",
                caller.arn
            ),
        ));
    }
    // A source identity, once set, stays for the whole chain.
    if let (Some(set), Some(new)) = (&caller.source_identity, &source)
        && set != new.as_str()
    {
        return Err(denied());
    }
    let source_identity = caller.source_identity.clone().or(source.map(String::from));
    let lives = SignedDuration::from_secs(seconds);
    let minted = mint(
        state,
        &Minted {
            account,
            role_name,
            role_id: &role.id,
            path: &role.path,
            name: &name,
            lives,
            directory_user: None,
        },
    );
    let (key, token, expires) = (minted.key, minted.token, minted.expires);
    if let Some(session) = state.sessions.get_mut(&key) {
        session.source_identity = source_identity;
        session.policy = policy;
    }
    Ok(format!(
        "<Credentials><AccessKeyId>{key}</AccessKeyId><SecretAccessKey>practice</SecretAccessKey><SessionToken>{token}</SessionToken><Expiration>{expires}</Expiration></Credentials><AssumedRoleUser><AssumedRoleId>{}:{name}</AssumedRoleId><Arn>{}</Arn></AssumedRoleUser>",
        role.id,
        escape(&minted.arn),
    ))
}

/// A session policy, understood once for all the sessions that bring it.
fn session_policy(state: &mut State, text: &str) -> Result<Arc<Document>, Refusal> {
    if let Some(known) = state.session_policies.get(text) {
        return Ok(known.clone());
    }
    let policy = Document::parse(text)
        .map_err(|error| Refusal::new(400, "MalformedPolicyDocument", &error.to_string()))?;
    let policy = Arc::new(policy);
    state
        .session_policies
        .insert(text.to_owned(), policy.clone());
    Ok(policy)
}

/// A role session to be given out.
pub(super) struct Minted<'a> {
    pub(super) account: AccountId,
    pub(super) role_name: &'a str,
    pub(super) role_id: &'a RoleId,
    pub(super) path: &'a str,
    pub(super) name: &'a SessionName,
    pub(super) lives: SignedDuration,
    pub(super) directory_user: Option<UserId>,
}

/// What whoever asked for a session gets.
pub(super) struct Credentials {
    pub(super) key: String,
    pub(super) token: String,
    pub(super) expires: Timestamp,
    pub(super) arn: String,
}

/// Gives out a role session.
pub(super) fn mint(state: &mut State, wanted: &Minted<'_>) -> Credentials {
    let key = state.new_key();
    let token = format!("practice-token-{key}");
    let expires = state.now + wanted.lives;
    let arn = format!(
        "arn:aws:sts::{}:assumed-role/{}/{}",
        wanted.account, wanted.role_name, wanted.name
    );
    let session = Session {
        account: wanted.account.clone(),
        arn: arn.clone(),
        principal_arn: format!(
            "arn:aws:iam::{}:role{}{}",
            wanted.account, wanted.path, wanted.role_name
        ),
        user_id: format!("{}:{}", wanted.role_id, wanted.name),
        source_identity: None,
        directory_user: wanted.directory_user.clone(),
        issued: Some(state.now),
        expires: Some(expires),
        token: Some(token.clone()),
        policy: None,
        behind: None,
        assumed_root: false,
    };
    state.sessions.insert(key.clone(), session);
    Credentials {
        key,
        token,
        expires,
        arn,
    }
}

/// Answers one operation of IAM.
pub(super) fn iam(state: &mut State, session: &Session, asked: &Asked) -> Result<String, Refusal> {
    match asked.operation.as_str() {
        "ListAccountAliases" => {
            let name = state
                .accounts
                .get(&session.account)
                .map_or("", |account| account.name.as_str());
            Ok(format!(
                "<IsTruncated>false</IsTruncated><AccountAliases><member>{}</member></AccountAliases>",
                escape(name)
            ))
        }
        "GetAccountSummary" => {
            let users = users::count(state.accounts.get(&session.account));
            Ok(format!(
                "<SummaryMap><entry><key>Users</key><value>{users}</value></entry></SummaryMap>"
            ))
        }
        "ListRoles" => {
            let roles = state
                .accounts
                .get(&session.account)
                .map(|account| &account.roles);
            let shown = roles.into_iter().flatten().map(|(name, role)| {
                format!(
                    "<member><Path>{}</Path><RoleName>{}</RoleName><RoleId>{}</RoleId><Arn>arn:aws:iam::{}:role{}{}</Arn><CreateDate>2026-01-01T00:00:00Z</CreateDate></member>",
                    escape(&role.path), escape(name), role.id, session.account, escape(&role.path), escape(name)
                )
            });
            Ok(format!(
                "<IsTruncated>false</IsTruncated><Roles>{}</Roles>",
                shown.collect::<String>()
            ))
        }
        operation if guards::OF_IAM.contains(&operation) => guards::iam(state, session, asked),
        operation if estate::OF_IAM.contains(&operation) => estate::perform(state, session, asked),
        _ => users::perform(state, session, asked),
    }
}

/// Answers one operation of EC2.
pub(super) fn ec2(session: &Session, asked: &Asked) -> Result<String, Refusal> {
    match asked.operation.as_str() {
        "DescribeInstances" => Ok(format!(
            "<DescribeInstancesResponse xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\"><requestId>practice-{}</requestId><reservationSet/></DescribeInstancesResponse>",
            session.account
        )),
        "DescribeRegions" => Ok(format!(
            "<DescribeRegionsResponse xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\"><requestId>practice-{}</requestId><regionInfo><item><regionName>us-east-1</regionName><regionEndpoint>ec2.us-east-1.amazonaws.com</regionEndpoint></item></regionInfo></DescribeRegionsResponse>",
            session.account
        )),
        _ => Err(unsupported(asked)),
    }
}

/// Answers one operation of S3.
pub(super) fn s3(session: &Session, asked: &Asked) -> Result<String, Refusal> {
    match asked.operation.as_str() {
        "ListBuckets" => Ok(format!(
            "<ListAllMyBucketsResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Owner><ID>{}</ID></Owner><Buckets></Buckets></ListAllMyBucketsResult>",
            session.account
        )),
        _ => Err(unsupported(asked)),
    }
}
