//! One plan carried out: the last look, the approval, the calls; then whether it holds.

use crate::cli::contain::exit_of;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::ui::Ui;
use crate::cli::verify::look_everywhere;
use crate::cli::{Common, Outside, do_or_say, open_journal};
use crate::cloud::{Clock as _, Cloud as _};
use crate::journal::file::JournalFile;
use crate::journal::{Event, Journal};
use crate::plan::Plan;
use crate::plan::approval::{Approval, Approved};
use crate::report::ContainReport;
use crate::respond::{self, Accepted, Prepared, Response};
use crate::verify::Aim;

/// A plan that AWS has accepted.
pub(super) struct Contained<'a> {
    prepared: &'a Prepared,
    approved: Approved,
    journal: Journal<JournalFile>,
    accepted: Accepted,
}

impl<'a> Contained<'a> {
    /// A last look, the approval, and the calls.
    pub(super) async fn accept<O: Outside>(
        prepared: &'a Prepared,
        approval: Approval,
        world: &O::World,
        common: &Common,
        outside: &O,
        ui: &Ui<'_>,
        several: bool,
    ) -> Result<Self, Failure> {
        let plan = tokio::select! {
            biased;
            () = outside.interrupted() => return Err(Failure::new(Exit::Interrupted, "interrupted")),
            plan = respond::look_again(world.read(), world.clock(), prepared) => plan?,
        };
        let approved = approval.of(plan, world.clock().now())?;
        let incident = &approved.plan.incident.id;
        let mut journal = open_journal(common, incident, ui)?;
        let operator = &prepared.facts.caller.arn;
        let watch = watch(ui, &approved.plan, several);
        let accepted = do_or_say(outside, &mut journal, incident, async |journal| {
            let mut response = Response::new(world, journal, &watch);
            response.contain(&approved, operator).await
        })
        .await?;
        Ok(Self {
            prepared,
            accepted,
            journal,
            approved,
        })
    }

    /// Whom it denies and how far it is, for people.
    pub(super) fn told(&self) -> String {
        let plan = &self.approved.plan;
        format!(
            "{} is denied by {} (incident {}), NOT PROVEN",
            plan.principal.username, self.accepted.policy.id, plan.incident.id
        )
    }

    /// Whether it holds.
    pub(super) async fn verify<O: Outside>(
        self,
        world: &O::World,
        outside: &O,
        ui: &Ui<'_>,
        several: bool,
        everywhere: bool,
    ) -> Result<(ContainReport, Exit), (Plan, Failure)> {
        let Self {
            prepared,
            approved,
            mut journal,
            accepted,
        } = self;
        let plan = &approved.plan;
        let playbook = &prepared.playbook.playbook;
        let watch = watch(ui, plan, several);
        let mut remembered = plan.incident.clone();
        let arn = &accepted.policy.arn;
        let mut question = respond::question(&remembered, arn, playbook, Aim::Refused);
        if everywhere {
            look_everywhere(&mut question, remembered.target.as_ref(), world, ui).await;
        }
        let proved = do_or_say(outside, &mut journal, &plan.incident.id, async |journal| {
            Response::new(world, journal, &watch)
                .verify(&mut remembered, &accepted.policy.id, &question)
                .await
        })
        .await
        .map_err(|failure| (plan.clone(), failure))?;
        let report = ContainReport::of(
            prepared,
            &remembered,
            approved.at,
            &accepted,
            &proved,
            world.practice(),
        );
        let exit = exit_of(
            report.state,
            remembered.is_free_in_management(),
            proved.recorded,
        );
        Ok((report, exit))
    }
}

/// Shows what happens as it does; of several, to whom.
fn watch<'a, 'b: 'a>(ui: &'a Ui<'b>, plan: &Plan, several: bool) -> impl Fn(&Event) + use<'a, 'b> {
    let who = several.then(|| plan.principal.username.to_string());
    move |event: &Event| ui.event(event, who.as_deref())
}
