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
use crate::survey::audit::Which;

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
    #[arg(long, value_name = "NAME|FILE")]
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
    let playbook = contain::entering_by(playbook, args.canary_role.as_ref());
    let roles = playbook.verify.canary_roles;
    let world = common.connect(outside).await?;
    let read = world.read();
    let caller = read.caller().await?;
    let which = if args.all_accounts {
        Which::All
    } else if args.account.is_empty() {
        Which::These(BTreeSet::from([caller.account.clone()]))
    } else {
        Which::These(args.account.iter().cloned().collect())
    };
    let mut audit = Audit::new(Limits {
        longest_session: args.longest_session,
        break_glass: playbook.break_glass.iter().cloned().collect(),
    });
    ui.say("Looking. This reads, and changes nothing.");
    let mut seen = 0_usize;
    let each = |account: AccountId, audited: Result<Audited, Trouble>| {
        match audited {
            Ok(facts) => audit.take(&facts),
            Err(trouble) => audit.missed(&account, &trouble.to_string()),
        }
        seen += 1;
        if seen.is_multiple_of(EVERY) {
            ui.progress(&format!("{seen} accounts…"));
        }
    };
    let people = async {
        match (args.all_accounts, read.organization().await) {
            (true, Ok(organization)) => {
                Ok(Some(survey::audit::people(&world, &organization).await))
            }
            (true, Err(OrganizationError::Trouble(trouble))) => Err(trouble),
            (true, Err(OrganizationError::NotInUse)) | (false, _) => Ok(None),
        }
    };
    // Without their types, which are too deep for the compiler.
    let accounts = survey::audit::accounts(&world, &caller, which, &roles, each).boxed_local();
    let (listed, people) = futures_util::join!(accounts, people.boxed_local());
    if seen >= EVERY {
        ui.progress_over();
    }
    listed?;
    let people = people?;
    let looked_at = audit.accounts();
    let whole = args.all_accounts && looked_at == seen;
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

/// After so many accounts it is said how far it is.
const EVERY: usize = 250;
