//! `quell evict` of whoever is denied by ids alone: what gives them sessions is for people to close, and to answer for.

use crate::cli::evict::{Asked, approve, exit_of, of_the_directory_alone};
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::ui::Ui;
use crate::cli::{Common, Outside, do_or_say, open_journal};
use crate::cloud::Cloud;
use crate::facts::Caller;
use crate::journal::{Event, Purpose};
use crate::plan::eviction::{NO_WAY_LEFT, by_hand_of};
use crate::report::access::EvictReport;
use crate::respond::memory::Remembered;
use crate::respond::{Response, Stopped};

/// Why nobody counts as evicted before somebody says so.
const FOR_PEOPLE: &str = "what gives them sessions is for people to find and to close";

pub(super) async fn evict<O: Outside>(
    asked: &Asked<'_>,
    known: Remembered,
    caller: &Caller,
    world: &O::World,
    common: &Common,
    outside: &O,
    ui: &Ui<'_>,
) -> Result<(EvictReport, Exit), Failure> {
    of_the_directory_alone(asked, &known.incident)?;
    let mut incident = known.incident;
    let id = incident.id.clone();
    let mut report = EvictReport::of(&incident, world.practice());
    if !incident.needs_eviction() {
        return Err(Failure::new(
            Exit::Refused,
            format!("{id} denies the sessions that a role had, and later ones are let through: there is nothing to close under it"),
        )
        .hint(format!("The wait for the release began with the proof: `quell status {id}`. Who may assume the role, its trust policy says.")));
    }
    if asked.attest.is_empty() && incident.evicted.is_some() {
        let exit = exit_of(&report);
        return Ok((asked.listed(report, &incident), exit));
    }
    if asked.attest.is_empty() {
        let account = incident.accounts.first();
        report.unread = Some(FOR_PEOPLE.to_owned());
        report.commands = by_hand_of(&incident.identity(), account);
        report.commands.push(format!(
            "quell evict {id} --attest {NO_WAY_LEFT} --by <your name>"
        ));
        return Ok((asked.listed(report, &incident), Exit::Partly));
    }
    approve(asked, &incident, world, ui)?;
    ui.commit();
    let mut journal = open_journal(common, &id, ui)?;
    let watch = |event: &Event| ui.event(event, None);
    let policy = known.policy.id;
    let report = do_or_say(outside, &mut journal, &id, async |journal| {
        let mut response = Response::new(world, journal, &watch);
        response.take_up(&incident, Purpose::Evict, &caller.arn, None)?;
        let mut recorded = true;
        for item in asked.attest {
            let by = asked.by.unwrap_or_default();
            recorded &= response
                .attest(&mut incident, &policy, item, by, None)
                .await?;
        }
        let mut report = EvictReport::of(&incident, world.practice());
        if incident.attests(NO_WAY_LEFT) {
            recorded &= response.evicted_by_word(&mut incident, &policy).await?;
            report = EvictReport::of(&incident, world.practice());
        } else {
            report.unread = Some(FOR_PEOPLE.to_owned());
        }
        Ok::<_, Stopped>(EvictReport {
            not_recorded: !recorded,
            ..report
        })
    })
    .await?;
    let exit = exit_of(&report);
    Ok((asked.listed(report, &incident), exit))
}
