//! `quell prepare arm` and `quell prepare disarm`.

use clap::Args;

use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::ui::Ui;
use crate::cli::word::Word;
use crate::cli::{Common, Outside, do_or_say_of};
use crate::cloud::Cloud as _;
use crate::ids::{ARMED_POLICY, TargetId};
use crate::journal::Event;
use crate::journal::file;
use crate::plan::arming::{Arming, Disarming};
use crate::report::{ArmReport, human};
use crate::respond::Response;
use crate::survey;

/// What `quell prepare arm` takes.
#[derive(Debug, Args)]
pub struct ArmArgs {
    /// Attach it to this organizational unit or account instead of the root
    #[arg(long, value_name = "ID")]
    target: Option<TargetId>,
    /// Do not ask, for scripts
    #[arg(long)]
    yes: bool,
}

/// What `quell prepare disarm` takes.
#[derive(Debug, Args)]
pub struct DisarmArgs {
    /// Do not ask, for scripts
    #[arg(long)]
    yes: bool,
}

/// Attaches the policy.
pub(super) async fn arm<O: Outside>(
    args: &ArmArgs,
    common: &Common,
    outside: &O,
    ui: &Ui<'_>,
) -> Result<Exit, Failure> {
    let world = common.connect(outside).await?;
    let ground = survey::ground(world.read(), args.target.as_ref()).await?;
    let arming = Arming::of(&ground)?;
    let target = &arming.target;
    if !arming.already() {
        ui.say(&format!(
            "This creates the policy {ARMED_POLICY}, unless it is there, and attaches it to {target} of organization {}. It {}, and takes one place of ten:\n\n{}\n",
            ground.organization.id,
            match arming.incidents {
                0 => "denies nobody".to_owned(),
                many => format!("denies the users of {many} incidents that were detached with it"),
            },
            human::clean_lines(&arming.document.pretty())
        ));
        let word = Word {
            word: target.as_str(),
            name: "the target's id",
            purpose: "to attach it there".to_owned(),
            practice: world.practice().is_some(),
        };
        word.confirmed(args.yes, ui)?;
    }
    let mut journal = file::open_named(&common.state_directory()?, JOURNAL)?;
    let watch = |event: &Event| ui.event(event, None);
    let policy = do_or_say_of(outside, &mut journal, "prepare arm", async |journal| {
        let mut response = Response::new(&world, journal, &watch);
        response.arm(&arming, &ground.caller.arn).await
    })
    .await?;
    let report = ArmReport {
        schema: "quell.prepare/1",
        practice: world.practice(),
        armed: true,
        policy_id: Some(policy.id),
        target: Some(target.clone()),
        already: arming.already(),
        incidents: arming.incidents,
    };
    ui.result(&report, human::armed);
    Ok(Exit::Done)
}

/// Takes it away.
pub(super) async fn disarm<O: Outside>(
    args: &DisarmArgs,
    common: &Common,
    outside: &O,
    ui: &Ui<'_>,
) -> Result<Exit, Failure> {
    let world = common.connect(outside).await?;
    let ground = survey::ground(world.read(), None).await?;
    let disarming = Disarming::of(&ground)?;
    if let Some(disarming) = &disarming {
        let id = &disarming.policy.summary.id;
        let (what, purpose) = match &disarming.put_back {
            None => (
                format!(
                    "This detaches and deletes {id}, the armed policy. Nobody is in it; the next containment makes a policy of its own."
                ),
                "to delete it",
            ),
            Some(target) => (
                format!(
                    "Incidents are in {id}, the armed policy, and an earlier disarming has detached it: it will be attached to {target} again."
                ),
                "to attach it again",
            ),
        };
        ui.say(&what);
        let word = Word {
            word: ARMED_POLICY,
            name: "its name",
            purpose: purpose.to_owned(),
            practice: world.practice().is_some(),
        };
        word.confirmed(args.yes, ui)?;
        let mut journal = file::open_named(&common.state_directory()?, JOURNAL)?;
        let watch = |event: &Event| ui.event(event, None);
        do_or_say_of(outside, &mut journal, "prepare disarm", async |journal| {
            let mut response = Response::new(&world, journal, &watch);
            response.disarm(disarming, &ground.caller.arn).await
        })
        .await?;
    }
    let report = ArmReport {
        schema: "quell.prepare/1",
        practice: world.practice(),
        armed: false,
        already: disarming.is_none(),
        incidents: 0,
        policy_id: disarming.map(|disarming| disarming.policy.summary.id),
        target: None,
    };
    ui.result(&report, human::armed);
    Ok(Exit::Done)
}

/// The journal of arming and disarming, beside the incidents'.
const JOURNAL: &str = "armed";
