//! `quell policy draft`: the deny of principals of any kind.

use std::collections::BTreeSet;
use std::str::FromStr;

use clap::{ArgGroup, Args};
use jiff::Timestamp;
use serde::Serialize;

use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::ui::Ui;
use crate::ids::*;
use crate::policy::document::Document;
use crate::policy::{self, MOST_CHARACTERS, NothingToDeny};
use crate::principal::{FederatedUser, Identity};

/// Whom to deny. Each can be given several times; all go into one document.
#[derive(Debug, Args)]
#[group(skip)]
#[command(group = ArgGroup::new("whom").required(true).multiple(true))]
pub struct DraftArgs {
    /// An Identity Center username, spelled as the directory spells it
    #[arg(long, value_name = "NAME", group = "whom")]
    user: Vec<String>,
    /// A user's id in Identity Center
    #[arg(long, value_name = "ID", group = "whom")]
    user_id: Vec<UserId>,
    /// One session of a role
    #[arg(long, value_name = "AROA…:NAME", group = "whom")]
    role_session: Vec<RoleSession>,
    /// The source identity that those sessions carry
    #[arg(long, value_name = "NAME", requires = "role_session")]
    source_identity: Option<SessionName>,
    /// All sessions of a role, issued before --before
    #[arg(long, value_name = "AROA…", group = "whom", requires = "before")]
    role: Vec<RoleId>,
    /// The moment for --role, as in 2026-11-22T03:00:00Z
    #[arg(long, value_name = "TIME", requires = "role", value_parser = moment)]
    before: Option<Timestamp>,
    /// An IAM user, with the roles they switch into if the name is given
    #[arg(long, value_name = "AIDA…[:NAME]", group = "whom")]
    iam_user: Vec<IamUser>,
    /// The root user of a member account
    #[arg(long, value_name = "ACCOUNT", group = "whom")]
    root: Vec<AccountId>,
    /// A GetFederationToken user
    #[arg(long, value_name = "ACCOUNT:NAME", group = "whom")]
    federated_user: Vec<FederatedUser>,
    /// The partition of that account: aws, aws-cn, aws-us-gov
    #[arg(long, value_name = "PARTITION", default_value = "aws")]
    partition: Partition,
    /// The incident that the statements are named after
    #[arg(long, value_name = "ID", default_value = "q-000000")]
    incident: IncidentId,
}

fn moment(given: &str) -> Result<Timestamp, &'static str> {
    let parsed = given.parse();
    parsed.map_err(|_| "expected a moment with its zone, as in 2026-11-22T03:00:00Z")
}

/// `AROA…:name`.
#[derive(Debug, Clone)]
struct RoleSession(RoleId, SessionName);

impl FromStr for RoleSession {
    type Err = NotAnId;
    fn from_str(given: &str) -> Result<Self, NotAnId> {
        let (role, session) = given.split_once(':').unwrap_or((given, ""));
        Ok(Self(RoleId::parse(role)?, SessionName::parse(session)?))
    }
}

/// `AIDA…` or `AIDA…:name`.
#[derive(Debug, Clone)]
struct IamUser(IamUserId, Option<SessionName>);

impl FromStr for IamUser {
    type Err = NotAnId;
    fn from_str(given: &str) -> Result<Self, NotAnId> {
        let (user, name) = match given.split_once(':') {
            Some((user, name)) => (user, Some(SessionName::parse(name)?)),
            None => (given, None),
        };
        Ok(Self(IamUserId::parse(user)?, name))
    }
}

impl FromStr for FederatedUser {
    type Err = NotAnId;
    fn from_str(given: &str) -> Result<Self, NotAnId> {
        let (account, name) = given.split_once(':').unwrap_or((given, ""));
        Ok(Self {
            account: AccountId::parse(account)?,
            name: FederatedName::parse(name)?,
        })
    }
}

#[derive(Serialize)]
struct DraftReport {
    schema: &'static str,
    characters: usize,
    document: Document,
    minified: String,
    warnings: Vec<String>,
}

/// Prints the deny.
pub(super) fn draft(args: &DraftArgs, ui: &Ui<'_>) -> Result<Exit, Failure> {
    let (identities, warnings) = identities(args)?;
    let document = policy::pack(&args.incident, &identities)?;
    for warning in &warnings {
        ui.say(&format!("warning: {warning}"));
    }
    let report = DraftReport {
        schema: "quell.draft/1",
        characters: document.characters(),
        minified: document.minified(),
        document,
        warnings,
    };
    ui.result(&report, |report| {
        let pretty = report.document.pretty();
        // Through the API AWS counts every space (aws-facts §4): what is printed can be attached as it is.
        let text = if pretty.chars().count() > MOST_CHARACTERS {
            &report.minified
        } else {
            &pretty
        };
        format!("{text}\n")
    });
    Ok(Exit::Done)
}

/// Everybody who is named, and what to say of them. A name that cannot be a session's needs an id beside it, each its own:
/// with fewer ids than such names, somebody would be thought denied who is not.
fn identities(args: &DraftArgs) -> Result<(Vec<Identity>, Vec<String>), Failure> {
    let mut identities = Vec::new();
    let mut unspellable = Vec::new();
    for name in &args.user {
        match SessionName::parse(name.clone()) {
            Ok(name) => identities.push(Identity::IdentityCenterUser {
                user_id: None,
                session_names: BTreeSet::from([name]),
            }),
            Err(why) => unspellable.push(why),
        }
    }
    if let Some(why) = unspellable.get(args.user_id.len()) {
        return Err(NothingToDeny {
            why: why.to_string(),
        }
        .into());
    }
    let mut warnings: Vec<String> = unspellable
        .iter()
        .map(|why| format!("{why}: one of the user ids must be theirs, and it alone denies them"))
        .collect();
    for IamUser(_, name) in &args.iam_user {
        warnings.extend(name.iter().map(|name| {
            format!(
                "any role session named {name} is refused too, in any account, whoever holds it"
            )
        }));
    }
    identities.extend(args.user_id.iter().map(|id| Identity::IdentityCenterUser {
        user_id: Some(id.clone()),
        session_names: BTreeSet::new(),
    }));
    identities.extend(args.role_session.iter().map(|RoleSession(role, session)| {
        Identity::RoleSession {
            role: role.clone(),
            session: session.clone(),
            source_identity: args.source_identity.clone(),
        }
    }));
    for (role, before) in args.role.iter().zip(std::iter::repeat(args.before)) {
        // INVARIANT: --role requires --before.
        identities.extend(before.map(|before| Identity::RoleBefore {
            role: role.clone(),
            before,
        }));
    }
    identities.extend(
        args.iam_user
            .iter()
            .map(|IamUser(user, name)| Identity::IamUser {
                user: Some(user.clone()),
                name: name.clone(),
                federated: BTreeSet::new(),
            }),
    );
    identities.extend(args.root.iter().map(|account| Identity::Root {
        partition: args.partition.clone(),
        account: account.clone(),
    }));
    identities.extend(
        args.federated_user
            .iter()
            .cloned()
            .map(Identity::FederatedUser),
    );
    Ok((identities, warnings))
}
