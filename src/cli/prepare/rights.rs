//! `quell prepare rights`: what whoever runs quell must be allowed.

use clap::Args;

use crate::cli::contain;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::ui::Ui;
use crate::ids::{Partition, RoleName};
use crate::report::check::{RightsPolicyReport, RightsReport};
use crate::report::human;
use crate::rights::{Half, Names, policy};

/// What `quell prepare rights` takes.
#[derive(Debug, Args)]
pub struct RightsArgs {
    /// Print the IAM policy to plan, see, verify and check
    #[arg(long)]
    read: bool,
    /// Print the IAM policy to contain, evict and release; it goes beside that of --read
    #[arg(long, conflicts_with = "read")]
    act: bool,
    /// The role that canaries enter with, repeatable (default: the playbook's)
    #[arg(long, value_name = "NAME")]
    canary_role: Vec<RoleName>,
    /// The partition of the ARNs: aws, aws-cn, aws-us-gov
    #[arg(long, value_name = "PARTITION", default_value = "aws")]
    partition: Partition,
}

/// Prints them.
pub(super) fn rights(args: &RightsArgs, ui: &Ui<'_>) -> Result<Exit, Failure> {
    let half = match (args.read, args.act) {
        (true, _) => Half::Read,
        (false, true) => Half::Act,
        (false, false) => {
            ui.result(&RightsReport::all(), human::check::rights);
            return Ok(Exit::Done);
        }
    };
    let roles = if args.canary_role.is_empty() {
        contain::playbook(None)?.verify.canary_roles
    } else {
        args.canary_role.clone()
    };
    let document = policy(half, &Names::whichever(args.partition.clone(), roles));
    let report = RightsPolicyReport {
        schema: "quell.rights-policy/1",
        policy: half.word(),
        characters: document.characters(),
        document,
    };
    ui.result(&report, |report| format!("{}\n", report.document.pretty()));
    Ok(Exit::Done)
}
