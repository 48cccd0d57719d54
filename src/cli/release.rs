//! `quell release`.

use std::path::PathBuf;

use clap::Args;
use jiff::Timestamp;

use crate::cli::contain::{CanaryArgs, playbook};
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::ui::Ui;
use crate::cli::word::Word;
use crate::cli::{Common, Outside, do_or_say, given, guardrail, open_journal};
use crate::cloud::{Clock as _, Cloud, Read as _};
use crate::evict::account::UserInAccount;
use crate::facts::{IamUser, PolicySummary};
use crate::ids::{AccessKeyId, IncidentId, PolicyId};
use crate::incident::{Home, Incident};
use crate::journal::{Backup, Event, Past, Purpose, State, Store};
use crate::playbook::Playbook;
use crate::release;
use crate::report::access::{NotHeldReport, RestoredReport, WaitReport};
use crate::report::guardrail::GuardrailEnd;
use crate::report::{self, NotReleasedReport, PutBackReport, ReleaseReport, ReleasedReport, human};
use crate::respond::memory::{self, Remembered};
use crate::respond::{self, Response, Stopped, iam_users};
use crate::survey;
use crate::verify::{Aim, Overall};

/// Which incidents.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct WhichArgs {
    /// The incident, as in q-7f3a9c
    incident: Option<IncidentId>,
    /// Every incident whose wait is over; for a scheduler, with --yes
    #[arg(long)]
    due: bool,
}

/// What `quell release` takes.
#[derive(Debug, Args)]
pub struct ReleaseArgs {
    #[command(flatten)]
    which: WhichArgs,
    /// Do not ask, for scripts
    #[arg(long)]
    yes: bool,
    /// Release although a gate is closed: sessions of the attacker may come alive. Recorded
    #[arg(long, conflicts_with = "due")]
    force: bool,
    /// Give back what eviction took away, from the backup in this machine's journal
    #[arg(long)]
    restore: bool,
    /// Switch these access keys of an IAM user on again
    #[arg(
        long,
        value_name = "KEYID",
        value_delimiter = ',',
        conflicts_with = "due"
    )]
    restore_keys: Vec<AccessKeyId>,
    /// Use this playbook's waits and roles instead of those that come with quell
    #[arg(long, value_name = "NAME|FILE")]
    playbook: Option<PathBuf>,
    #[command(flatten)]
    canary: CanaryArgs,
}

impl ReleaseArgs {
    /// The incident, if one is named.
    pub(super) fn incident(&self) -> Option<&IncidentId> {
        self.which.incident.as_ref()
    }

    /// Whether closed gates are overridden.
    pub(super) fn is_forced(&self) -> bool {
        self.force
    }

    /// Whether anything that eviction took away is to be given back.
    fn gives_back(&self) -> bool {
        self.restore || !self.restore_keys.is_empty()
    }

    /// The playbook, and what the flags say otherwise.
    pub(super) fn playbook(&self) -> Result<Playbook, Failure> {
        Ok(self.canary.over(playbook(self.playbook.as_ref())?))
    }

    /// Whether nobody is to be asked.
    pub(super) fn is_approved(&self) -> bool {
        self.yes
    }
}

/// `quell release`: gate, approval, detach, delete, and the proof that everybody is let through again.
pub async fn release<O: Outside>(
    args: &ReleaseArgs,
    common: &Common,
    outside: &O,
    ui: &Ui<'_>,
) -> Result<Exit, Failure> {
    let playbook = args.playbook()?;
    let world = common.connect(outside).await?;
    let operator = world.read().caller().await?;
    let now = world.clock().now();
    let (mut gone, mut put_back) = (Vec::new(), Vec::new());
    let mut guardrail_gone = None;
    let (all, armed) = memory::recalled(world.read()).await?;
    let unread = given::unread(&armed);
    let chosen = match &args.which.incident {
        Some(id) => match (given::one_of(all, id), &unread) {
            (Ok(known), _) => vec![known],
            (Err(_), Some(unread)) => return Err(unread.clone()),
            // AWS has answered, and has no such incident.
            (Err(failure), None) => {
                let noted = noted_gone(id, failure, &operator.arn, &world, common, ui).await;
                // Whatever became of its deny, its guardrail is nobody's any more.
                if guardrail::is_wanted_by(id, &world).await? {
                    approve_by_id(args, id, "to give its guardrail up", &world, ui)?;
                    let given = guardrail::given_up(id, &operator.arn, &world, common, outside, ui);
                    guardrail_gone = given.await?;
                }
                match noted {
                    Ok(id) => gone.push(id),
                    Err(_) if guardrail_gone.is_some() => gone.push(id.clone()),
                    // Its deny was taken away, and what it had been evicted from was not given back, or not all of it.
                    Err(_) if args.gives_back() && has_backup(id, common, ui) => {}
                    Err(failure) => return Err(failure),
                }
                if args.gives_back() {
                    let put = put_back_of(args, id, &playbook, &world, common, outside, ui);
                    put_back.push(put.await?);
                }
                Vec::new()
            }
        },
        None => all
            .into_iter()
            .filter(|known| is_due(&known.incident, now))
            .collect(),
    };
    let (mut released, mut failed) = (Vec::new(), Vec::new());
    ui.commit();
    for known in chosen {
        let id = known.incident.id.clone();
        let one = One {
            args,
            playbook: &playbook,
            known,
            operator: &operator.arn,
        };
        match one.release(&world, common, outside, ui).await {
            Ok(report) => released.push(report),
            // Of many, one that fails keeps none of the others in.
            Err(failure) if args.which.due && failure.exit != Exit::Interrupted => {
                ui.complain(&failure);
                failed.push(NotReleasedReport {
                    incident: id,
                    failure: failure.error,
                    exit: failure.exit.code(),
                });
            }
            Err(failure) => return Err(failure),
        }
    }
    if let (true, Some(unread)) = (args.which.due, &unread) {
        // What is due in there is not known to anybody.
        ui.complain(unread);
    }
    let worst = failed.iter().map(|failed| failed.exit).max();
    let is_whole = |restored: &RestoredReport| restored.stuck.is_empty();
    let all_restored = put_back.iter().all(|one| is_whole(&one.restored));
    let is_shown = |released: &ReleasedReport| {
        let restored = released.restored.as_ref().is_none_or(is_whole);
        let held = !released.still_held.is_empty() || released.user_still_denied.is_some();
        let guardrail = released.guardrail != Some(GuardrailEnd::NotTakenAway);
        released.allowed_again && restored && !held && guardrail
    };
    let given_up = guardrail_gone != Some(GuardrailEnd::NotTakenAway);
    let all_shown = all_restored && given_up && released.iter().all(is_shown);
    let practice = world.practice();
    ui.result(
        &ReleaseReport {
            schema: "quell.release/1",
            practice,
            gone,
            put_back,
            released,
            failed,
        },
        human::release,
    );
    Ok(match worst {
        _ if args.which.due && unread.is_some() => Exit::Partly,
        None if all_shown => Exit::Done,
        None => Exit::NotProven,
        Some(_) => Exit::Partly,
    })
}

/// An incident that this machine's journal holds for open and that AWS has no trace of: the journal says so from now on.
async fn noted_gone<C: Cloud>(
    id: &IncidentId,
    failure: Failure,
    operator: &str,
    world: &C,
    common: &Common,
    ui: &Ui<'_>,
) -> Result<IncidentId, Failure> {
    let here = common.journals(ui);
    // Another organization never had it, and says nothing of it.
    let organization = world.read().organization().await.ok();
    let organization = organization.map(|organization| organization.id);
    let is_open = |past: &Past| {
        let open = |state: &State| {
            let ours = organization.is_some() && state.organization == organization;
            ours && state.principal.is_some() && !state.released
        };
        past.incident == *id && past.state.as_ref().is_ok_and(open)
    };
    if !here.iter().any(is_open) {
        return Err(failure);
    }
    let mut journal = open_journal(common, id, ui)?;
    let taken_up = Event::TakenUp {
        incident: id.clone(),
        purpose: Purpose::Release,
        operator: operator.to_owned(),
        forced_past: None,
    };
    for event in [taken_up, Event::Released] {
        journal.record(world.clock().now(), event)?;
    }
    Ok(id.clone())
}

/// A gate is closed. A way that is open again is not forgotten: whatever is minted now lives on, so the wait stops.
pub(super) async fn stays_contained<C: Cloud>(
    gate: &release::Closed,
    (incident, policy): (&Incident, &PolicyId),
    operator: &str,
    world: &C,
    common: &Common,
    ui: &Ui<'_>,
) -> Failure {
    let stays = format!("{} stays contained: {gate}", incident.id);
    let mut failure = Failure::new(Exit::Refused, stays);
    let opened_again = matches!(gate, release::Closed::WaysOpen { .. });
    if opened_again && incident.evicted.is_some() {
        let stopped = async {
            let mut journal = open_journal(common, &incident.id, ui).ok()?;
            let watch = |event: &Event| ui.event(event, None);
            let mut response = Response::new(world, &mut journal, &watch);
            let purpose = Purpose::Release;
            response.take_up(incident, purpose, operator, None).ok()?;
            let mut incident = incident.clone();
            response.stop_waiting(&mut incident, policy).await.ok()
        };
        failure.changed = match stopped.await {
            Some(true) => "The deny stands. The wait was stopped: it begins anew with the next eviction.",
            _ => "The deny stands. That the wait is to begin anew could NOT be written on the policy: do not release it before somebody has evicted them again.",
        }
        .to_owned();
    }
    failure.hint(gate.hint(incident))
}

/// Whether its wait is over by what AWS remembers; the gates are asked again before anything is done.
fn is_due(incident: &Incident, now: Timestamp) -> bool {
    let until = incident.release_not_before();
    until.is_some_and(|until| until <= now)
}

/// Whether this machine's journal has what the incident's user was evicted from.
fn has_backup(id: &IncidentId, common: &Common, ui: &Ui<'_>) -> bool {
    let has = |past: &Past| {
        past.incident == *id
            && past
                .state
                .as_ref()
                .is_ok_and(|state| state.backup.is_some() || state.user_backup.is_some())
    };
    common.journals(ui).iter().any(has)
}

/// What this machine's journal has to give back.
///
/// # Errors
/// [`Exit::Refused`], where there is nothing, or nobody to give it to.
pub(super) fn backup_of(state: &State, id: &IncidentId) -> Result<Backup, Failure> {
    if state.user_deleted {
        return Err(Failure::new(
            Exit::Refused,
            "the user was deleted under this incident, so there is nobody to give anything back to",
        )
        .hint("Without `--restore` it is released all the same. A new user is a new id: give them what `quell journal verify` has the record of."));
    }
    state.backup.clone().ok_or_else(|| no_backup(id))
}

/// There is nothing that could be put back.
fn no_backup(id: &IncidentId) -> Failure {
    Failure::new(
        Exit::Refused,
        format!("this machine's journal has no backup of incident {id}, so what to give back is not known"),
    )
    .hint("Run it on the machine that evicted, or with a copy of its journal: `--state-dir <directory>`. Without `--restore` it is released all the same.")
}

/// Gives back what the backup has, and says what.
pub(super) async fn restore<C: Cloud, S: Store>(
    response: &mut Response<'_, C, S>,
    world: &C,
    backup: &Backup,
) -> Result<RestoredReport, Stopped> {
    let organization = survey::organization(world.read()).await;
    let instance = match organization {
        Ok(organization) => survey::instance(world.read(), &organization).await,
        Err(error) => Err(error),
    };
    let instance = instance.map_err(|error| Stopped::Read(error.into_trouble()))?;
    let restored = response.restore(&instance, backup).await?;
    Ok(RestoredReport::of(&restored, Some(&backup.ways)))
}

/// An IAM user's keys are given back by name, because whoever has them has the user; a password cannot be.
fn keys_to_restore(
    args: &ReleaseArgs,
    backup: Option<&IamUser>,
    now: Option<&IamUser>,
    ui: &Ui<'_>,
) -> Result<(), Failure> {
    if args.restore {
        ui.say(
            "note: an IAM user's password cannot be given back, because AWS tells it to nobody: make a new one (`aws iam create-login-profile`). Keys are given back by name: `--restore-keys <key>[,<key>]`.",
        );
    }
    for key in &args.restore_keys {
        let was_on = backup.is_none_or(|user| user.keys.get(key) == Some(&true));
        let is_there = now.is_none_or(|user| user.keys.contains_key(key));
        if !was_on || !is_there {
            let why = if is_there {
                "was not active before the eviction"
            } else {
                "is none of the user's keys"
            };
            return Err(
                Failure::new(Exit::Refused, format!("nothing is released: {key} {why}")).hint(
                    "See them with credentials of the user's account: `aws iam list-access-keys --user-name <name>`.",
                ),
            );
        }
    }
    Ok(())
}

/// Access keys are an IAM user's.
fn no_keys() -> Failure {
    Failure::usage("--restore-keys is about an IAM user's access keys, and this incident is a person's of Identity Center")
        .hint("To give back what eviction took away: `--restore`.")
}

/// Gives back what the backup of an incident has whose deny is gone.
async fn put_back_of<O: Outside>(
    args: &ReleaseArgs,
    id: &IncidentId,
    playbook: &Playbook,
    world: &O::World,
    common: &Common,
    outside: &O,
    ui: &Ui<'_>,
) -> Result<PutBackReport, Failure> {
    let mut journal = open_journal(common, id, ui)?;
    if let Some(backup) = journal.state().user_backup.clone() {
        let roles = &playbook.verify.canary_roles;
        let user = UserInAccount::new(id, &backup.account, &backup.name, Some(&backup.id), roles);
        keys_to_restore(args, Some(&backup), None, ui)?;
        let same = |incident: &Incident| incident.iam_user.as_ref() == Some(&backup.id);
        denied_by_nobody_else(args, same, world).await?;
        approve_by_id(args, id, "to switch these keys on again", world, ui)?;
        ui.commit();
        let watch = |event: &Event| ui.event(event, None);
        let restored = do_or_say(outside, &mut journal, id, async |journal| {
            let mut response = Response::new(world, journal, &watch).entering_by(roles);
            response.restore_keys(&user, &args.restore_keys).await
        })
        .await?;
        return Ok(PutBackReport {
            incident: id.clone(),
            restored: RestoredReport::of(&restored, None),
        });
    }
    if !args.restore {
        return Err(no_keys());
    }
    let backup = backup_of(journal.state(), id)?;
    if let Err(gate) = release::resecured(&journal.state().attested)
        && !args.force
    {
        return Err(Failure::new(Exit::Refused, format!("nothing is given back: {gate}")).hint(
            "Do it, and say that it is done by giving access back all the same: `--force`. It is recorded.",
        ));
    }
    let user = &backup.ways.user;
    let same = |incident: &Incident| {
        incident.user_id.as_ref() == Some(&user.id)
            || incident.principal.as_ref() == Some(&user.username)
    };
    denied_by_nobody_else(args, same, world).await?;
    approve_by_id(args, id, "to give back what eviction took away", world, ui)?;
    ui.commit();
    let watch = |event: &Event| ui.event(event, None);
    let restored = do_or_say(outside, &mut journal, id, async |journal| {
        restore(&mut Response::new(world, journal, &watch), world, &backup).await
    })
    .await?;
    Ok(PutBackReport {
        incident: id.clone(),
        restored,
    })
}

/// Nothing is given back to whom another incident denies, unless it is forced.
async fn denied_by_nobody_else<C: Cloud>(
    args: &ReleaseArgs,
    is_same: impl Fn(&Incident) -> bool,
    world: &C,
) -> Result<(), Failure> {
    let open = memory::remembered(world.read()).await?;
    let other = open.iter().find(|known| is_same(&known.incident));
    match other.filter(|_| !args.force) {
        None => Ok(()),
        Some(other) => {
            let other = &other.incident.id;
            let denied = format!("nothing is given back: the same user is denied by {other} now");
            Err(Failure::new(Exit::Refused, denied)
                .hint(format!("Release that one first: `quell release {other}`.")))
        }
    }
}

/// One incident to be released.
struct One<'a> {
    args: &'a ReleaseArgs,
    playbook: &'a Playbook,
    known: Remembered,
    operator: &'a str,
}

impl One<'_> {
    /// Gate, approval, detach, delete, look.
    async fn release<O: Outside>(
        self,
        world: &O::World,
        common: &Common,
        outside: &O,
        ui: &Ui<'_>,
    ) -> Result<ReleasedReport, Failure> {
        let Self {
            args,
            playbook,
            known,
            operator,
        } = self;
        // What is attached to nothing keeps nobody out, so taking it away lets nobody in.
        let attached = known.keeps_somebody_out(world.read()).await?;
        let (incident, policy) = (known.incident, known.policy);
        let gate = if attached {
            let roles = &playbook.verify.canary_roles;
            let meanwhile = iam_users::meanwhile(world, &incident, &policy.id, roles).await;
            release::gate(&incident, &meanwhile, world.clock().now()).map(Some)
        } else {
            Ok(None)
        };
        let iam = incident.is_of_iam_user();
        if !iam && !args.restore_keys.is_empty() {
            return Err(no_keys());
        }
        let gate = gate.and_then(|waited| match args.restore && !iam {
            true => release::resecured(&incident.attested).map(|()| waited),
            false => Ok(waited),
        });
        let (waited, forced_past) = match gate {
            Ok(waited) => (waited, None),
            Err(gate) if args.force => (None, Some(gate)),
            Err(gate) => {
                let known = (&incident, &policy.id);
                return Err(stays_contained(&gate, known, operator, world, common, ui).await);
            }
        };
        let roles = &playbook.verify.canary_roles;
        let user = UserInAccount::of(&incident, roles).filter(|_| args.gives_back());
        let mut now = None;
        if let Some(user) = &user {
            now = user.ways(world.read()).await?.map(|(user, _)| user);
        }
        let mut journal = open_journal(common, &incident.id, ui)?;
        if iam {
            let before = journal.state().user_backup.as_deref();
            keys_to_restore(args, before, now.as_ref(), ui)?;
        }
        approve(args, &incident, &policy, forced_past.as_ref(), world, ui)?;
        let backup = match args.restore && !iam {
            false => None,
            true => Some(backup_of(journal.state(), &incident.id)?),
        };
        let watch = |event: &Event| ui.event(event, None);
        let (proof, still_denied_by, still, restored) =
            do_or_say(outside, &mut journal, &incident.id, async |journal| {
                let mut response = Response::new(world, journal, &watch).entering_by(roles);
                let past = forced_past.as_ref().map(ToString::to_string);
                let still = response
                    .release(&incident, &policy.id, operator, past, args.force)
                    .await?;
                let question = respond::question(&incident, &policy.arn, playbook, Aim::Allowed);
                let others = respond::others_that_deny(world.read(), &question).await;
                let others: Vec<IncidentId> =
                    others.into_iter().map(|known| known.incident.id).collect();
                // Whom another incident denies no canary can show let in again.
                let proof = match others.as_slice() {
                    [] => Some(response.look(&question).await?),
                    [_, ..] => None,
                };
                let restored = match (&backup, &user) {
                    (Some(backup), _) => Some(restore(&mut response, world, backup).await?),
                    (None, Some(user)) if !args.restore_keys.is_empty() => {
                        let restored = response.restore_keys(user, &args.restore_keys).await?;
                        Some(RestoredReport::of(&restored, None))
                    }
                    (None, _) => None,
                };
                Ok((proof, others, still, restored))
            })
            .await?;
        // What keeps the deny from being taken away leaves the guardrail, too.
        let id = &incident.id;
        let guardrail = guardrail::given_up(id, operator, world, common, outside, ui).await?;
        Ok(ReleasedReport {
            incident: incident.id,
            principal: incident.principal,
            policy_id: policy.id,
            armed: incident.home == Home::Armed,
            forced_past,
            waited: waited.map(|wait| WaitReport {
                derivation: wait.derivation(),
                wait,
            }),
            user_still_denied: still.user,
            still_held: still.held.iter().map(NotHeldReport::of).collect(),
            guardrail,
            restored,
            stays_closed: incident.evicted.is_some() && !args.gives_back(),
            allowed_again: proof
                .as_ref()
                .is_some_and(|it| it.overall == Overall::Shown),
            still_denied_by,
            accounts: proof.iter().flat_map(report::accounts).collect(),
        })
    }
}

/// The go-ahead: `--yes`, or the incident's id typed on a terminal.
fn approve<C: Cloud>(
    args: &ReleaseArgs,
    incident: &Incident,
    policy: &PolicySummary,
    gate: Option<&release::Closed>,
    world: &C,
    ui: &Ui<'_>,
) -> Result<(), Failure> {
    if let Some(gate) = gate {
        let gate = human::clean(&gate.to_string());
        ui.say(&format!("FORCING a closed gate: {gate}. Sessions minted while the deny was attached come alive when it goes."));
    }
    if let Err(release::Closed::NotResecured { items }) = release::resecured(&incident.attested) {
        ui.say(&format!(
            "note: nobody has noted as done: {}. While the attacker can sign in, whatever is given back is theirs.",
            items.join(", ")
        ));
    }
    if args.gives_back() {
        ui.say(
            "What eviction took away is given back: whoever holds the user's sign-in then has it.",
        );
    }
    let whom = incident
        .principal
        .as_ref()
        .map_or("its principal", |name| name.as_str());
    let what = format!("to let {whom} in again by deleting {}", policy.id);
    approve_by_id(args, &incident.id, &what, world, ui)
}

fn approve_by_id<C: Cloud>(
    args: &ReleaseArgs,
    id: &IncidentId,
    what: &str,
    world: &C,
    ui: &Ui<'_>,
) -> Result<(), Failure> {
    let word = Word {
        word: id.as_str(),
        name: "the incident's id",
        purpose: what.to_owned(),
        practice: world.practice().is_some(),
    };
    word.confirmed(args.yes, ui)
}
