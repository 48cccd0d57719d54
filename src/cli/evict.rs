//! `quell evict`: the ways back are read, shown, backed up and closed; what AWS has no interface for is noted.

mod by_hand;
mod iam_user;

use std::path::PathBuf;

use std::collections::BTreeSet;

use clap::Args;
use jiff::Timestamp;

use crate::cli::contain::{entering_by, shelf};
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::ui::{NoAnswer, Ui};
use crate::cli::word::Word;
use crate::cli::{Common, Outside, do_or_say, given, open_journal};
use crate::cloud::{Clock as _, Cloud, Read as _, Scim, Secret};
use crate::facts::{Caller, Instance, TeamEligibility, TeamRequest};
use crate::ids::*;
use crate::incident::Incident;
use crate::journal::file::JournalFile;
use crate::journal::{Event, Journal, Purpose};
use crate::plan::eviction::{self, Eviction, NO_WAY_LEFT, SIGN_INS};
use crate::playbook::Playbook;
use crate::playbook::shelf::Shelf;
use crate::release::RESECURED;
use crate::report::access::{EvictReport, EvictionReport, status_for_people};
use crate::report::human;
use crate::respond::evicting;
use crate::respond::memory::Remembered;
use crate::respond::{Response, Stopped};
use crate::survey;

/// The item that comes before a user is disabled.
const PORTAL_SESSIONS: &str = "portal-sessions";

/// What `quell evict` takes.
#[derive(Debug, Args)]
pub struct EvictArgs {
    /// The incident, as in q-7f3a9c
    incident: IncidentId,
    /// Do not ask, for scripts
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    what: What,
    /// Note an item of the checklist as done (repeatable), or that no-way-left is open where AWS cannot be asked
    #[arg(long, value_name = "ITEM", requires = "by")]
    attest: Vec<ItemId>,
    /// Who did it
    #[arg(long, value_name = "NAME", requires = "attest")]
    by: Option<String>,
    #[command(flatten)]
    scim: ScimArgs,
    /// Delete the user, too, which ends every refresh of their portal session. Cannot be undone
    #[arg(long)]
    delete_user: bool,
    /// Use this playbook's checklist and roles instead of those that come with quell
    #[arg(long, value_name = "NAME|FILE")]
    playbook: Option<PathBuf>,
    /// Enter an IAM user's account with this role (default: the playbook's, as canaries do)
    #[arg(long, value_name = "NAME")]
    canary_role: Option<RoleName>,
}

/// Where a user is disabled by machine: SCIM is the only way that AWS documents.
#[derive(Debug, Clone, Default, Args)]
struct ScimArgs {
    /// Disable the user by this SCIM endpoint, once portal-sessions is noted; the token is in QUELL_SCIM_TOKEN
    #[arg(long, value_name = "URL", env = "QUELL_SCIM_ENDPOINT")]
    scim_endpoint: Option<String>,
    /// The SCIM token is in this file, instead of in QUELL_SCIM_TOKEN
    #[arg(long, value_name = "FILE", requires = "scim_endpoint")]
    scim_token_file: Option<PathBuf>,
}

impl ScimArgs {
    /// The endpoint and its token, if one is named.
    fn read(&self) -> Result<Option<Scim>, Failure> {
        let Some(endpoint) = &self.scim_endpoint else {
            return Ok(None);
        };
        let practice = ["http://127.0.0.1", "http://localhost"];
        let is_safe = endpoint.starts_with("https://")
            || practice.iter().any(|local| endpoint.starts_with(local));
        if !is_safe {
            return Err(Failure::usage(
                "the SCIM endpoint must begin with https://: a token goes there",
            )
            .hint("Identity Center shows it under Settings, Automatic provisioning."));
        }
        let token = match &self.scim_token_file {
            Some(path) => given::text_of(path)?,
            None => std::env::var("QUELL_SCIM_TOKEN").unwrap_or_default(),
        };
        let token = token.trim().to_owned();
        if token.is_empty() {
            return Err(Failure::usage("there is no SCIM token").hint(
                "Put it into QUELL_SCIM_TOKEN, or into a file: `--scim-token-file <file>`. It is never taken from the command line.",
            ));
        }
        Ok(Some(Scim {
            endpoint: endpoint.clone(),
            token: Secret::new(token),
        }))
    }
}

/// What is closed beside assignments, groups and entitlements.
#[derive(Debug, Clone, Default, Args)]
pub struct What {
    /// Refuse the user in the management account, too: in the inline policies of the permission sets they hold there
    #[arg(long)]
    management: bool,
    /// TEAM's table of requests, or its ARN (default: the one beside Identity Center, if this account has one)
    #[arg(long, value_name = "NAME", env = "QUELL_TEAM_TABLE")]
    team_table: Option<String>,
    /// Revoke the user's open requests in TEAM, by TEAM's own record
    #[arg(long)]
    revoke_team: bool,
}

impl What {
    /// Whether more is to be changed than the user's own ways.
    pub(super) fn goes_further(&self) -> bool {
        self.management || self.revoke_team
    }
}

/// How an eviction is asked for.
pub(super) struct Asked<'a> {
    pub(super) what: &'a What,
    pub(super) attest: &'a [ItemId],
    pub(super) by: Option<&'a str>,
    pub(super) delete_user: bool,
    pub(super) scim: Option<Scim>,
    pub(super) yes: bool,
    pub(super) shelf: &'a Shelf,
}

impl Asked<'_> {
    /// What an incident is run by.
    fn playbook_of(&self, incident: &Incident) -> &Playbook {
        self.shelf.of_incident(incident.playbook.as_ref())
    }

    /// With what only people can do for somebody who is in no directory.
    fn listed(&self, report: EvictReport, incident: &Incident) -> EvictReport {
        report.with_checklist(incident, self.playbook_of(incident), None)
    }
}

/// `quell evict`.
pub async fn evict<O: Outside>(
    args: &EvictArgs,
    common: &Common,
    outside: &O,
    ui: &Ui<'_>,
) -> Result<Exit, Failure> {
    let shelf = shelf(args.playbook.as_ref())?;
    let shelf = shelf.each(|playbook| entering_by(playbook, args.canary_role.as_ref()));
    let asked = Asked {
        what: &args.what,
        attest: &args.attest,
        by: args.by.as_deref(),
        delete_user: args.delete_user,
        scim: args.scim.read()?,
        yes: args.yes,
        shelf: &shelf,
    };
    let listed: BTreeSet<&str> = shelf
        .all()
        .flat_map(|playbook| &playbook.by_hand)
        .map(|listed| listed.item.as_str())
        .collect();
    for item in asked.attest {
        // What a release asks after can be noted under every playbook.
        let of_release = [NO_WAY_LEFT, SIGN_INS];
        let mut asked_after = of_release.iter().chain(&RESECURED);
        let asked_after = asked_after.any(|known| *known == item.as_str());
        if !asked_after && !listed.contains(item.as_str()) {
            let items: Vec<&str> = listed.into_iter().collect();
            return Err(Failure::usage(format!(
                "no checklist has an item {item}; there are {}",
                items.join(", ")
            ))
            .hint(format!(
                "Where AWS cannot be asked and you know that no way is open: `--attest {NO_WAY_LEFT}`."
            )));
        }
    }
    let world = common.connect(outside).await?;
    let (report, exit) = evict_one(&asked, &args.incident, &world, common, outside, ui).await?;
    ui.result(&report, human::access::evict);
    Ok(exit)
}

/// Evicts the user of one incident, which must deny them by now.
pub(super) async fn evict_one<O: Outside>(
    asked: &Asked<'_>,
    id: &IncidentId,
    world: &O::World,
    common: &Common,
    outside: &O,
    ui: &Ui<'_>,
) -> Result<(EvictReport, Exit), Failure> {
    let read = world.read();
    let caller = read.caller().await?;
    let known = given::incident(world, id).await?;
    if !known.is_in_force(&known.attached_to(read).await?) {
        return Err(Failure::not_attached(id));
    }
    if let (true, Some(name)) = (
        asked.shelf.lacks(known.incident.playbook.as_ref()),
        &known.incident.playbook,
    ) {
        ui.say(&format!(
            "note: {id} was begun with the playbook {name}, which does not come with quell. The checklist is another's; for its own: `--playbook <file>`."
        ));
    }
    let now = world.clock().now();
    if let Some(until) = known
        .incident
        .release_not_before()
        .filter(|until| now < *until)
        && asked.attest.iter().any(|item| item.as_str() == SIGN_INS)
    {
        return Err(Failure::new(
            Exit::Refused,
            format!("{SIGN_INS} can be answered for when the wait is over, at {until}: somebody may sign in until then"),
        )
        .hint(format!("See what there is until now: `quell verify {id} --cloudtrail`.")));
    }
    if let Some(why) = lets_through(&known.incident, now) {
        let whom = known.incident.principal.as_ref();
        let whom = whom.map_or("<user>", Username::as_str);
        return Err(Failure::new(
            Exit::Refused,
            format!("{id} {why}: whoever is evicted under it goes on working"),
        )
        .hint(format!(
            "Contain the user again, then evict under the new incident: `quell contain {whom} --evict`."
        )));
    }
    if known.incident.is_of_iam_user() {
        return iam_user::evict(asked, known, &caller, world, common, outside, ui).await;
    }
    if known.incident.exact.is_some() {
        return by_hand::evict(asked, known, &caller, world, common, outside, ui).await;
    }
    let eviction = prepare(asked, &known.incident, &caller, world, ui).await?;
    let evicting = Evicting {
        asked,
        known,
        eviction,
        caller: &caller,
    };
    evicting.run(world, common, outside, ui).await
}

/// Flags that mean nothing for whoever is in no directory are refused rather than passed over.
fn of_the_directory_alone(asked: &Asked<'_>, incident: &Incident) -> Result<(), Failure> {
    if asked.what.goes_further() || asked.what.team_table.is_some() || asked.delete_user {
        return Err(Failure::usage(
            "--management, --team-table, --revoke-team and --delete-user are about users of Identity Center, and this incident is not of one",
        )
        .hint(format!("Leave them out: `quell evict {}`.", incident.id)));
    }
    Ok(())
}

/// Why an incident's deny does not refuse the sessions that there are now, if so.
fn lets_through(incident: &Incident, now: Timestamp) -> Option<String> {
    let lapsed = incident.lapses.filter(|moment| *moment <= now);
    match (incident.sessions_after, lapsed) {
        (Some(moment), _) => Some(format!("lets sessions issued from {moment} on through")),
        (None, Some(moment)) => Some(format!("has ended by itself at {moment}")),
        (None, None) => None,
    }
}

/// What was read, and is to be done with it.
struct Prepared {
    instance: Instance,
    management: AccountId,
    /// `None` when the directory has no such user, or cannot be asked and somebody answers for it.
    eviction: Option<Eviction>,
    /// Permission sets to be held in the management account.
    hold: Vec<PermissionSetArn>,
    team: Option<Team>,
}

async fn prepare<C: Cloud>(
    asked: &Asked<'_>,
    incident: &Incident,
    caller: &Caller,
    world: &C,
    ui: &Ui<'_>,
) -> Result<Prepared, Failure> {
    let read = world.read();
    let organization = survey::organization(read).await?;
    let management = organization.management;
    let (instance, user) = evicting::user_of(read, incident).await?;
    let ways = match &user {
        None => Ok(None),
        Some(user) => survey::ways(read, world.clock(), &instance, user).await,
    };
    let attested = attests_no_way_left(asked);
    let ways = match ways {
        Err(trouble) if attested => {
            ui.say(&format!(
                "note: what they can enter cannot be read ({}); that no way is left is taken on your word.",
                human::clean(&trouble.to_string())
            ));
            None
        }
        ways => ways?,
    };
    let hold = if asked.what.management {
        if caller.account != management {
            return Err(Failure::new(
                Exit::Refused,
                format!("permission sets in the management account {management} can be changed from there alone, and your credentials are of {}", caller.account),
            )
            .hint("Use credentials of the management account: `--profile <profile>`. Everything else can be closed from here, without `--management`."));
        }
        // Also those that they held there before: a session of one that was taken away since lives on.
        let mut there = incident.in_management.clone();
        there.extend(incident.held_by.iter().cloned());
        if let Some(ways) = &ways {
            there.extend(eviction::sets_in(ways, &management));
        }
        there.into_iter().collect()
    } else {
        Vec::new()
    };
    let Some(ways) = ways else {
        if !attested {
            ui.say("The directory has no such user any more, so nothing gives them new sessions.");
        }
        return Ok(Prepared {
            instance,
            management,
            eviction: None,
            hold,
            team: None,
        });
    };
    let team = team(asked, incident, &instance, &ways, world, ui).await;
    let granted = team.as_ref().map(|team| team.given.clone());
    let granted = granted.unwrap_or_default();
    // It is for a warning, and keeps nothing open.
    let last = survey::last_ones(read, &instance, &ways).await;
    let last = last.unwrap_or_else(|trouble| {
        ui.say(&format!(
            "note: whether others have the same permission sets is not known ({}): AWS deletes the role of one that nobody has any more, and makes it anew with another suffix.",
            human::clean(&trouble.to_string())
        ));
        Default::default()
    });
    Ok(Prepared {
        eviction: Some(Eviction::of(ways, &last, &management).without_grants(&granted)),
        instance,
        management,
        hold,
        team,
    })
}

fn attests_no_way_left(asked: &Asked<'_>) -> bool {
    asked.attest.iter().any(|item| item.as_str() == NO_WAY_LEFT)
}

/// TEAM's table, if there is one, and what of it can still give access. One that cannot be read keeps nothing open, and the
/// release shut.
async fn team<C: Cloud>(
    asked: &Asked<'_>,
    incident: &Incident,
    instance: &Instance,
    ways: &crate::facts::Ways,
    world: &C,
    ui: &Ui<'_>,
) -> Option<Team> {
    let read = world.read();
    let named = asked
        .what
        .team_table
        .as_ref()
        .or(incident.team_table.as_ref());
    let table = match named {
        Some(table) => Some(table.clone()),
        None => match read.team_tables(instance).await {
            Ok(tables) => {
                if let [_, _, ..] = tables.as_slice() {
                    ui.say(&format!(
                        "note: TEAM seems to be here more than once ({}). The first is asked; name another with `--team-table`.",
                        human::clean(&tables.join(", "))
                    ));
                }
                tables.into_iter().next()
            }
            Err(trouble) => {
                ui.say(&format!(
                    "note: whether this account has TEAM is not known ({}). If it has one elsewhere, name its table: `--team-table`.",
                    human::clean(&trouble.to_string())
                ));
                None
            }
        },
    };
    let table = table?;
    let requests = evicting::team_requests(read, instance, &table, ways).await;
    let requests = requests.unwrap_or_else(|trouble| {
        ui.say(&format!(
            "WARNING: TEAM's table {} cannot be read ({}): a request there may give access again, and until it can be read a release is refused.",
            human::clean(&table),
            human::clean(&trouble.to_string())
        ));
        Vec::new()
    });
    let given = requests
        .iter()
        .filter(|request| has_given(request))
        .cloned();
    let eligible = evicting::team_eligibility(read, instance, &table, ways).await;
    let eligible = eligible.unwrap_or_else(|trouble| {
        ui.say(&format!(
            "note: what they may ask TEAM for cannot be read ({}). See it in TEAM, under Eligibility policy.",
            human::clean(&trouble.to_string())
        ));
        Vec::new()
    });
    Some(Team {
        eligible,
        given: given.collect(),
        grants: requests.into_iter().filter(TeamRequest::may_give).collect(),
        table,
    })
}

/// TEAM's table, and what of the user's requests there matters.
struct Team {
    table: String,
    /// Those that can still give access.
    grants: Vec<TeamRequest>,
    /// Those that have given it for a time: also one that was revoked a minute ago, whose assignment may still stand.
    given: Vec<TeamRequest>,
    /// What they may ask for again.
    eligible: Vec<TeamEligibility>,
}

/// Whether a request has given access.
fn has_given(request: &TeamRequest) -> bool {
    ["in progress", "revoked", "ended"].contains(&request.status.as_str())
}

/// One eviction, ready to be shown.
struct Evicting<'a> {
    asked: &'a Asked<'a>,
    known: Remembered,
    eviction: Prepared,
    caller: &'a Caller,
}

impl Evicting<'_> {
    async fn run<O: Outside>(
        self,
        world: &O::World,
        common: &Common,
        outside: &O,
        ui: &Ui<'_>,
    ) -> Result<(EvictReport, Exit), Failure> {
        let Self {
            asked,
            known,
            eviction: prepared,
            caller,
        } = self;
        let id = known.incident.id.clone();
        let policy = known.policy.id.clone();
        let mut changes = !prepared.hold.is_empty();
        if let Some(eviction) = &prepared.eviction {
            let shown = shown(asked, &known.incident, &prepared, eviction, world);
            ui.say(&human::access::eviction(&shown));
            changes |= !eviction.steps.is_empty()
                || asked.delete_user
                || asked.scim.is_some()
                || (asked.what.revoke_team && !shown.team_requests.is_empty());
        }
        if changes {
            approve(asked, &known.incident, world, ui)?;
        }
        ui.commit();
        let mut journal = open_journal(common, &id, ui)?;
        let watch = |event: &Event| ui.event(event, None);
        let mut incident = known.incident;
        let report = do_or_say(outside, &mut journal, &id, async |journal| {
            let mut response = Response::new(world, journal, &watch);
            response.take_up(&incident, Purpose::Evict, &caller.arn, None)?;
            carry_out(
                asked,
                &prepared,
                &mut incident,
                &policy,
                &mut response,
                world,
            )
            .await
        })
        .await?;
        let status = prepared
            .eviction
            .as_ref()
            .and_then(|it| it.ways.user.status);
        self::ask(
            asked,
            &mut incident,
            &policy,
            status,
            &mut journal,
            world,
            outside,
            ui,
        )
        .await?;
        let report = report.with_checklist(&incident, asked.playbook_of(&incident), status);
        let exit = exit_of(&report);
        Ok((report, exit))
    }
}

/// What is about to be done, for people.
fn shown<C: Cloud>(
    asked: &Asked<'_>,
    incident: &Incident,
    prepared: &Prepared,
    eviction: &Eviction,
    world: &C,
) -> EvictionReport {
    let name = |set: &PermissionSetArn| {
        let known = eviction.ways.permission_sets.get(set);
        known.map_or_else(|| set.to_string(), |known| known.name.clone())
    };
    EvictionReport {
        to_be_held: prepared.hold.iter().map(name).collect(),
        team_requests: grants_of(prepared),
        team_eligibility: eligibility_of(prepared),
        revokes_team: asked.what.revoke_team,
        deletes_user: asked.delete_user,
        ..EvictionReport::of(incident, eviction, world.practice())
    }
}

fn grants_of(prepared: &Prepared) -> Vec<TeamRequest> {
    let grants = prepared.team.iter().flat_map(|team| &team.grants);
    grants.cloned().collect()
}

fn eligibility_of(prepared: &Prepared) -> Vec<TeamEligibility> {
    let eligible = prepared.team.iter().flat_map(|team| &team.eligible);
    eligible.cloned().collect()
}

/// What they may ask TEAM for when they are out of their groups.
fn still_eligible(prepared: &Prepared) -> Vec<TeamEligibility> {
    let user = prepared.eviction.as_ref().map(|it| &it.ways.user.id);
    let own = |eligible: &TeamEligibility| user.is_some_and(|id| id.as_str() == eligible.id);
    let all = eligibility_of(prepared).into_iter();
    all.filter(own).collect()
}

/// Everything, in AWS's order: TEAM first, which looks at the person's groups before it revokes (aws-facts §14); then the
/// management account, where sessions still run; then each way; the user last of all.
async fn carry_out<C: Cloud, S: crate::journal::Store>(
    asked: &Asked<'_>,
    prepared: &Prepared,
    incident: &mut Incident,
    policy: &PolicyId,
    response: &mut Response<'_, C, S>,
    world: &C,
) -> Result<EvictReport, Stopped> {
    let (mut user_deleted, mut disabled) = (false, None);
    let (mut evicted, mut not_held) = (None, Vec::new());
    let mut grants = grants_of(prepared);
    if let Some(eviction) = &prepared.eviction {
        response.back_up(eviction)?;
    }
    if let Some(Team { table, .. }) = &prepared.team {
        incident.team_table = Some(table.clone());
        if asked.what.revoke_team {
            grants = response
                .revoke_team(&prepared.instance, table, &grants)
                .await?;
        }
    }
    let (instance, management) = (&prepared.instance, &prepared.management);
    if !prepared.hold.is_empty() {
        let sets = prepared.hold.iter().cloned();
        not_held = response
            .hold(incident, policy, instance, management, sets)
            .await?;
    }
    let mut recorded = true;
    match &prepared.eviction {
        Some(eviction) => {
            let ways = &eviction.ways;
            incident.reaches_management |= eviction::reach(ways).contains(management);
            incident.entitled_in_management |= eviction::is_entitled_in(ways, management);
            let there = eviction::sets_in(ways, management);
            incident.in_management.extend(there);
            let answered_for = attests_no_way_left(asked);
            let done = response
                .evict(incident, policy, instance, eviction, answered_for)
                .await?;
            let ended = ItemId::parse(PORTAL_SESSIONS).is_ok_and(|item| {
                incident.attested.contains(&item) || asked.attest.contains(&item)
            });
            match &asked.scim {
                Some(scim) if ended => {
                    let user = &eviction.ways.user.id;
                    disabled = Some(response.deactivate(scim, user).await?);
                }
                // AWS's console cannot end the sessions of a user who is disabled (aws-facts §2).
                Some(_) => disabled = Some(false),
                None => {}
            }
            if asked.delete_user && done.left.is_empty() {
                let user = &eviction.ways.user.id;
                user_deleted = response.delete_user(instance, user).await?;
            }
            recorded = done.recorded;
            evicted = Some((done, &eviction.ways));
        }
        None => recorded &= response.evicted_by_word(incident, policy).await?,
    }
    let status = prepared
        .eviction
        .as_ref()
        .and_then(|it| it.ways.user.status);
    for item in asked.attest {
        let evidence = status_for_people(status);
        let by = asked.by.unwrap_or_default();
        recorded &= response
            .attest(incident, policy, item, by, evidence)
            .await?;
    }
    let grants_left = grants.clone();
    let report = EvictReport::of(incident, world.practice());
    let report = match &evicted {
        Some((evicted, ways)) => report.with(evicted, Some(ways)),
        None => report,
    };
    Ok(EvictReport {
        not_recorded: !recorded,
        team_requests: grants,
        team_eligibility: still_eligible(prepared),
        undone: (asked.delete_user && !user_deleted)
            || (asked.what.revoke_team && !grants_left.is_empty()),
        user_deleted,
        user_disabled: disabled,
        ..report.with_not_held(not_held)
    })
}

/// The go-ahead: `--yes`, or whose ways they are, typed on a terminal.
fn approve<C: Cloud>(
    asked: &Asked<'_>,
    incident: &Incident,
    world: &C,
    ui: &Ui<'_>,
) -> Result<(), Failure> {
    let (word, name) = match &incident.principal {
        Some(principal) => (principal.as_str(), incident.identity().called()),
        None => (incident.id.as_str(), "the incident's id"),
    };
    let word = Word {
        word,
        name,
        purpose: "to close these ways".to_owned(),
        practice: world.practice().is_some(),
    };
    word.confirmed(asked.yes, ui)
}

/// On a terminal, each item of the checklist that is open: who has done it.
#[expect(
    clippy::too_many_arguments,
    reason = "everything that a run of quell has; it is passed on here and nowhere else"
)]
async fn ask<O: Outside>(
    asked: &Asked<'_>,
    incident: &mut Incident,
    policy: &PolicyId,
    status: Option<crate::facts::UserStatus>,
    journal: &mut Journal<JournalFile>,
    world: &O::World,
    outside: &O,
    ui: &Ui<'_>,
) -> Result<(), Failure> {
    if asked.yes || !asked.attest.is_empty() {
        return Ok(());
    }
    for item in &asked.playbook_of(incident).by_hand {
        if incident.attested.contains(&item.item) {
            continue;
        }
        ui.say(&format!("{}: {}\n  {}", item.item, item.what, item.link));
        let question = format!(
            "{}: when it is done, type who did it; Enter leaves it open",
            item.item
        );
        let by = match ui.ask(&question) {
            Ok(by) if by.trim().is_empty() => continue,
            Ok(by) => by,
            // What was closed is closed; the rest can be noted later.
            Err(NoAnswer::NoTerminal) => return Ok(()),
            Err(NoAnswer::Interrupted) => {
                return Err(Failure::interrupted(journal.state(), &incident.id));
            }
        };
        let watch = |event: &Event| ui.event(event, None);
        let id = incident.id.clone();
        let evidence = status_for_people(status);
        do_or_say(outside, journal, &id, async |journal| {
            let mut response = Response::new(world, journal, &watch);
            response
                .attest(incident, policy, &item.item, by.trim(), evidence)
                .await
        })
        .await?;
    }
    Ok(())
}

/// Partly, while a way is open; getting through, while nothing refuses them in the management account.
fn exit_of(report: &EvictReport) -> Exit {
    let whole = report.left.is_empty()
        && report.stuck.is_empty()
        && report.unread.is_none()
        && report.not_held.is_empty()
        && report.user_disabled != Some(false)
        && !report.undone
        && !report.not_recorded;
    if !whole {
        Exit::Partly
    } else if report.not_contained_in_management {
        Exit::GettingThrough
    } else if report.proven.is_none() {
        Exit::NotProven
    } else {
        Exit::Done
    }
}
