//! `quell prepare check`: a look round before an incident. It reads, and sends canaries; it changes nothing anywhere, and
//! writes no journal.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use futures_util::FutureExt as _;

use crate::cli::contain;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::ui::Ui;
use crate::cli::{Common, Outside};
use crate::cloud::Cloud as _;
use crate::ids::RoleName;
use crate::readiness::{self, Severity};
use crate::report::check::CheckReport;
use crate::report::human;
use crate::survey::checkup::{self, Scope};

/// What `quell prepare check` takes.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Send canaries to so many member accounts, spread over the organizational units
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..))]
    sample: u16,
    /// Send canaries to every member account
    #[arg(long, conflicts_with = "sample")]
    all_accounts: bool,
    /// Enter member accounts with this role (default: the playbook's)
    #[arg(long, value_name = "NAME")]
    canary_role: Option<RoleName>,
    /// End with 3 from this severity on
    #[arg(long, value_name = "SEVERITY", default_value = "red")]
    fail_on: FailOn,
    /// Use this playbook's roles instead of those that come with quell
    #[arg(long, value_name = "NAME|FILE")]
    playbook: Option<PathBuf>,
}

/// From what on the exit code says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum FailOn {
    /// When something is red.
    Red,
    /// When something is amber or red.
    Amber,
}

/// Looks round, judges, tells.
pub(super) async fn check<O: Outside>(
    args: &CheckArgs,
    common: &Common,
    outside: &O,
    ui: &Ui<'_>,
) -> Result<Exit, Failure> {
    let verify = contain::playbook(args.playbook.as_ref())?.verify;
    let roles = match &args.canary_role {
        Some(role) => vec![role.clone()],
        None => verify.canary_roles,
    };
    let world = common.connect(outside).await?;
    let scope = Scope {
        roles: &roles,
        sample: (!args.all_accounts).then_some(usize::from(args.sample)),
        probes: &verify.probes,
        regions: &verify.regions,
    };
    ui.say("Looking round. This reads and sends canaries, and changes nothing.");
    // Without its type, which is too deep for the compiler.
    let mut facts = checkup::checkup(&world, &scope).boxed_local().await;
    let plan = readiness::to_simulate(&facts, &roles);
    checkup::simulate(world.read(), &mut facts, &plan).await;
    let report = CheckReport::of(&facts, readiness::judge(&facts, &roles), world.practice());
    ui.result(&report, human::check::check);
    let least = match args.fail_on {
        FailOn::Red => Severity::Red,
        FailOn::Amber => Severity::Amber,
    };
    Ok(if report.worst >= least {
        Exit::Refused
    } else {
        Exit::Done
    })
}
