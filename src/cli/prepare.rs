//! `quell prepare`: what is better done before an incident.

mod arming;

mod canary_template;

mod check;

mod profiles;

mod rights;

use clap::Subcommand;

use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::ui::Ui;
use crate::cli::{Common, Outside};

/// What `quell prepare` does.
#[derive(Debug, Subcommand)]
pub enum PrepareVerb {
    /// Say what would go wrong in an incident, and what to do about it. Changes nothing
    Check(check::CheckArgs),
    /// Attach a policy that denies nobody yet, so that a containment is one call and needs no free place
    Arm(arming::ArmArgs),
    /// Take that policy away, when no incident is in it
    Disarm(arming::DisarmArgs),
    /// Print the canary role as a CloudFormation template, for a service-managed StackSet. Needs no AWS
    CanaryTemplate(canary_template::CanaryTemplateArgs),
    /// Write AWS CLI profiles for the responders, one for each account and permission set, into an existing file if need be
    Profiles(profiles::ProfilesArgs),
    /// Print the rights that quell needs, and the policies that grant them. Needs no AWS
    Rights(rights::RightsArgs),
}

/// `quell prepare`.
pub async fn prepare<O: Outside>(
    verb: &PrepareVerb,
    common: &Common,
    outside: &O,
    ui: &Ui<'_>,
) -> Result<Exit, Failure> {
    match verb {
        PrepareVerb::Check(args) => check::check(args, common, outside, ui).await,
        PrepareVerb::Arm(args) => arming::arm(args, common, outside, ui).await,
        PrepareVerb::Disarm(args) => arming::disarm(args, common, outside, ui).await,
        PrepareVerb::CanaryTemplate(args) => canary_template::canary_template(args, ui),
        PrepareVerb::Profiles(args) => profiles::profiles(args, common, outside, ui).await,
        PrepareVerb::Rights(args) => rights::rights(args, ui),
    }
}
