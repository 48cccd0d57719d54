//! `quell audit`: what would make an incident worse, account by account. It reads; it changes nothing anywhere, and writes no
//! journal.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use futures_util::FutureExt as _;
use jiff::SignedDuration;

use crate::audit::{Audit, Limits, Severity};
use crate::cli::contain;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::ui::Ui;
use crate::cli::{Common, Outside};
use crate::cloud::{Clock as _, Cloud as _, OrganizationError, Read as _, Trouble};
use crate::facts::audit::Audited;
use crate::ids::{AccountId, RoleName};
use crate::report::audit::AuditReport;
use crate::report::human;
use crate::survey;

/// What `quell audit` takes.
#[derive(Debug, Args)]
pub struct AuditArgs {
    /// Look at this account, repeatable (default: the one whose credentials these are)
    #[arg(long, value_name = "ID", conflicts_with = "all_accounts")]
    account: Vec<AccountId>,
    /// Look at every account of the organization, and at Identity Center
    #[arg(long)]
    all_accounts: bool,
    /// Enter other accounts with this role (default: the playbook's)
    #[arg(long, value_name = "NAME")]
    canary_role: Option<RoleName>,
    /// End with 3 from this severity on
    #[arg(long, value_name = "SEVERITY", default_value = "high")]
    fail_on: FailOn,
    /// The longest that the sessions of a permission set should live
    #[arg(long, value_name = "DURATION", default_value = "8h")]
    longest_session: SignedDuration,
    /// Take the roles and the break-glass identities from this playbook
    #[arg(long, value_name = "FILE")]
    playbook: Option<PathBuf>,
}

/// From what on the exit code says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum FailOn {
    /// When something is high.
    High,
    /// When something is medium or high.
    Medium,
    /// When anything was found.
    Low,
}

/// Asks, judges, tells.
pub async fn audit<O: Outside>(
    args: &AuditArgs,
    common: &Common,
    outside: &O,
    ui: &Ui<'_>,
) -> Result<Exit, Failure> {
    let playbook = contain::playbook(args.playbook.as_ref())?;
    let roles = match &args.canary_role {
        Some(role) => vec![role.clone()],
        None => playbook.verify.canary_roles,
    };
    let world = common.connect(outside).await?;
    let read = world.read();
    let caller = read.caller().await?;
    let accounts: BTreeSet<AccountId> = if args.all_accounts {
        read.active_accounts().await?.into_iter().collect()
    } else if args.account.is_empty() {
        BTreeSet::from([caller.account.clone()])
    } else {
        args.account.iter().cloned().collect()
    };
    let mut audit = Audit::new(Limits {
        longest_session: args.longest_session,
        break_glass: playbook.break_glass.iter().cloned().collect(),
    });
    let all = accounts.len();
    ui.say(&format!(
        "Looking at {all} {}. This reads, and changes nothing.",
        if all == 1 { "account" } else { "accounts" }
    ));
    let (mut seen, mut told) = (0_usize, 0);
    let each = |account: AccountId, audited: Result<Audited, Trouble>| {
        match audited {
            Ok(facts) => audit.take(&facts),
            Err(trouble) => audit.missed(&account, &trouble.to_string()),
        }
        seen += 1;
        // Twenty lines at the most, however many accounts there are.
        if seen * 20 / all > told && all >= MANY {
            told = seen * 20 / all;
            ui.progress(&format!("{seen} of {all} accounts…"));
        }
    };
    // Without its type, which is too deep for the compiler.
    survey::audit::accounts(
        &world,
        &caller,
        accounts.into_iter().collect(),
        &roles,
        each,
    )
    .boxed_local()
    .await;
    if all >= MANY {
        ui.progress_over();
    }
    let people = match (args.all_accounts, read.organization().await) {
        (true, Ok(organization)) => Some(
            survey::audit::people(&world, &organization)
                .boxed_local()
                .await,
        ),
        (true, Err(OrganizationError::Trouble(trouble))) => return Err(trouble.into()),
        (true, Err(OrganizationError::NotInUse)) | (false, _) => None,
    };
    let looked_at = audit.accounts();
    let whole = args.all_accounts && looked_at == all;
    let findings = audit.finish(people.as_ref(), whole);
    let now = world.clock().now();
    let report = AuditReport::of(findings, looked_at, &caller.arn, now, world.practice());
    ui.result(&report, human::audit::audit);
    let most = match args.fail_on {
        FailOn::High => Severity::High,
        FailOn::Medium => Severity::Medium,
        FailOn::Low => Severity::Low,
    };
    Ok(match report.worst {
        Some(worst) if worst <= most => Exit::Refused,
        Some(_) | None => Exit::Done,
    })
}

/// From so many accounts on it is said how far it is.
const MANY: usize = 50;
