//! A whole incident on the range, told as it happens and graded at the end.
//!
//! Arrives: a seed, perhaps a finding. Leaves: a [`DrillReport`]. The incident runs through the very same stages and
//! the same AWS adapters as a real one; only the HTTP client under them and the clock are the range's. The grade comes
//! from what was seen inside the range, call by call, and not from what the stages say of themselves.

mod kinds;

use aws_smithy_runtime_api::client::http::SharedHttpClient;
use jiff::{SignedDuration, Timestamp};

use crate::aws::{self, Aws, wire};
use crate::cloud::{Clock as _, Cloud as _, Read as _};
use crate::facts::PolicySummary;
use crate::facts::Way;
use crate::ids::*;
use crate::incident::Incident;
use crate::journal::{Event, Journal, JournalError};
use crate::plan::approval::{Approval, NotApproved};
use crate::plan::eviction::{Eviction, each};
use crate::plan::preflight::Refusal;
use crate::playbook::Playbook;
use crate::range::build::extras::Extras;
pub use crate::range::build::kinds::Kind;
use crate::range::build::{self, Blueprint, Built, Hero, OPERATOR_KEY, SECRET};
use crate::range::state::Ended;
use crate::range::{Range, Time, serve as socket};
use crate::release;
use crate::report::trails::{ReadReport, Stands, TraceReport};
use crate::report::{AttackerReport, DrillReport, human, millis};
use crate::respond::{self, Asked, NotPrepared, Response, Stopped, evicting, iam_users, memory};
use crate::signal::{self, Accused, ReadError, Suspect, Who};
use crate::survey;
use crate::trace::{self, Places};
use crate::verify::{Aim, Overall};

/// How long the range is watched before the finding and after the release.
const WATCHED: SignedDuration = SignedDuration::from_mins(5);

/// An SCP reaches every account in its own time; up to half a minute here. AWS publishes none.
const PROPAGATION: SignedDuration = SignedDuration::from_secs(30);

/// Every record of CloudTrail's is there by then.
const DELIVERED: SignedDuration = SignedDuration::from_mins(8);

/// So far back the attacker is traced.
const TRACED: SignedDuration = SignedDuration::from_hours(24);

/// Why there was no drill to grade.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DrillError {
    /// The signal cannot be contained.
    #[error(transparent)]
    NotPrepared(#[from] NotPrepared),
    /// Preflight said no.
    #[error("preflight refuses: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Refused(Vec<Refusal>),
    /// The plan was not the approved one.
    #[error(transparent)]
    NotApproved(#[from] NotApproved),
    /// The driver stopped.
    #[error(transparent)]
    Stopped(#[from] Stopped),
    /// The record stopped.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The organization could not be drawn.
    #[error(transparent)]
    NotAnId(#[from] NotAnId),
    /// The range's own finding could not be fetched and read.
    #[error("the range's finding could not be read: {0}")]
    Finding(String),
}

impl From<ReadError> for DrillError {
    fn from(error: ReadError) -> Self {
        DrillError::Finding(error.to_string())
    }
}

/// What is played.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Script {
    /// The same seed plays the same story.
    pub seed: u64,
    /// The attacker chains into other accounts, under names that say nothing, before anybody finds out.
    pub chains: bool,
    /// Nobody traces whoever chains.
    pub untraced: bool,
    /// Whom it is about, if not about a person of the directory.
    pub of: Option<Kind>,
}

/// Runs the drill, telling it line by line.
///
/// # Errors
/// [`DrillError`], when there was nothing to grade. A drill that goes badly is graded `fail`, not an error.
pub async fn run(
    script: Script,
    suspect: Option<Suspect>,
    playbook: &Playbook,
    tell: &dyn Fn(&str),
) -> Result<DrillReport, DrillError> {
    if let Some(suspect) = &suspect {
        crate::principal::is_practised(suspect).map_err(NotPrepared::from)?;
    }
    if let Some(kind) = script.of {
        return kinds::run(script, kind, playbook, tell).await;
    }
    let Script { seed, chains, .. } = script;
    let mut blueprint = blueprint(seed, suspect.as_ref())?;
    blueprint.extras.chains = chains;
    let Built { state, finding, .. } = build::build(&blueprint)?;
    let hero = blueprint.hero.username.clone();
    let before: Vec<PolicyId> = state.policies.keys().cloned().collect();
    let range = Range::new(state, Time::Virtual);
    range.with(|state| state.throttles = true);
    let world = operator(&range, &Region::parse("us-east-1")?);

    tell(&format!(
        "PRACTICE. An organization drawn from seed {seed}, inside this process; its clock moves when we wait."
    ));
    range.with(|state| {
        tell(&format!(
            "  {} accounts in {} units, {} people in Identity Center, and a clock that says {}.",
            state.accounts.len(),
            state.units.len(),
            state.directory.users.len(),
            human::second(state.now)
        ));
    });
    range.advance(WATCHED);
    let so_far = sightings(&range, Split::default());
    tell(&format!(
        "  Somebody has stolen {hero}'s {} running sessions, and the portal session that gives out new ones. They call all\n  the time: {} calls, all allowed.",
        so_far.sessions, so_far.allowed_before
    ));

    let suspect = match suspect {
        Some(suspect) => {
            tell("\nA finding comes in.");
            suspect
        }
        None => {
            let (detector, id) = &finding;
            let text = world
                .read()
                .finding(detector, id)
                .await
                .map_err(|trouble| DrillError::Finding(trouble.to_string()))?;
            let found = signal::read(text.unwrap_or_default())?;
            let first = found.into_iter().next().ok_or(ReadError::NoFindings)?;
            tell(&format!(
                "\nGuardDuty raises a finding: {}, severity {}.",
                first.kind,
                first.severity.unwrap_or_default()
            ));
            match first.who {
                Who::Suspects(accused) => {
                    let mut suspects = accused.into_iter().filter_map(Accused::suspect);
                    suspects.next().ok_or(ReadError::NoFindings)?
                }
                Who::Nobody(nobody) => return Err(DrillError::Finding(nobody.to_string())),
            }
        }
    };

    tell(&format!("  It accuses: {}.", human::suspect(&suspect)));
    tell("\nSurvey: who is it, what can they reach, what stands on the root?");
    let prepared = respond::prepare(
        world.read(),
        world.clock(),
        std::slice::from_ref(&suspect),
        playbook,
        &Asked::default(),
    )
    .await?;
    let Some(prepared) = prepared.into_iter().next() else {
        return Err(ReadError::NoFindings.into());
    };
    let plan = &prepared.plan;
    tell(&format!(
        "  {} can enter {} accounts. The longest session lives {}.",
        plan.principal.username,
        plan.principal.reach.len(),
        plan.principal.session.because
    ));
    tell(&format!(
        "  The plan: one policy on the organization's root {} that refuses everything to whoever carries their user id,",
        plan.target
    ));
    tell(&format!(
        "  is in a session named {hero}, or has {hero} as source identity; nobody else."
    ));
    if !prepared.preflight.refusals.is_empty() {
        return Err(DrillError::Refused(prepared.preflight.refusals));
    }
    tell(
        "  Preflight: every session of theirs is refused; the operator and the canaries' control are not.",
    );

    let approved =
        Approval::flag(plan, world.clock().now()).of(plan.clone(), world.clock().now())?;
    tell(&format!("\nApproved. Incident {}.", plan.incident.id));
    let mut journal = Journal::after(&[], Vec::new())?;
    tell(
        "  (Canaries are sessions that quell mints itself: one named like the suspect's, which must be refused, and a",
    );
    tell("  neutral one beside it, the control, which must not.)");
    // Progress is for people who wait; here nobody does.
    let watch = |event: &Event| match human::event(event) {
        Some(line) if !matches!(event, Event::Looking { .. }) => tell(&format!("  {line}")),
        Some(_) | None => {}
    };
    let mut response = Response::new(&world, &mut journal, &watch);
    let accepted = response
        .contain(&approved, &prepared.facts.caller.arn)
        .await?;
    let mut incident = plan.incident.clone();
    let question = respond::question(&incident, &accepted.policy.arn, playbook, Aim::Refused);
    let proved = response
        .verify(&mut incident, &accepted.policy.id, &question)
        .await?;
    let proof = proved.proof;
    let proven = (proof.overall == Overall::Shown).then_some(proof.ended);
    let slipped = sightings(&range, Split::default())
        .allowed_before
        .saturating_sub(so_far.allowed_before);
    tell(&format!(
        "  Attached is not enforced: {slipped} of the attacker's calls got through before the proof. None may from now on."
    ));

    let mut chained = None;
    if chains && proven.is_some() {
        chained = follow(
            &mut response,
            &world,
            &mut incident,
            &accepted.policy,
            (script, playbook),
            tell,
        )
        .await?;
    }
    let split = Split { proven, chained };
    let faults = match proven {
        Some(_) => {
            evict(&mut response, &world, &mut incident, &accepted.policy, tell).await?;
            drain(
                &range,
                &world,
                (&incident, &accepted.policy.id),
                playbook,
                tell,
            )
            .await;
            release(
                &mut response,
                &world,
                &incident,
                &accepted.policy,
                &prepared.facts.caller.arn,
                playbook,
                tell,
            )
            .await?
        }
        None => vec!["The deny was never proven, so it was left in place.".to_owned()],
    };
    let released = range.now();
    range.advance(WATCHED);
    Ok(grade(
        &range,
        seed,
        &incident,
        approved.at,
        accepted.at,
        split,
        released,
        &before,
        faults,
    ))
}

/// Finds in CloudTrail whom the attacker became, and denies them; from when on that must hold. Nothing, where nobody does.
async fn follow(
    response: &mut Response<'_, Aws<Range>, Vec<String>>,
    world: &Aws<Range>,
    incident: &mut Incident,
    policy: &PolicySummary,
    (script, playbook): (Script, &Playbook),
    tell: &dyn Fn(&str),
) -> Result<Option<Timestamp>, DrillError> {
    let (read, clock) = (world.read(), world.clock());
    tell(
        "\nThe proof is of the names that we know. Before the finding came, the attacker had assumed roles in other accounts,",
    );
    tell("under names that say nothing, and calls with those sessions all the time.");
    if script.untraced {
        tell("  Nobody traces them.");
        return Ok(None);
    }
    clock.sleep(DELIVERED).await;
    tell("Trace: from the records of CloudTrail, which come some minutes late.");
    let organization = survey::organization(read).await;
    let organization = organization.map_err(NotPrepared::from)?;
    let caller = read.caller().await.map_err(Stopped::Read)?;
    let now = clock.now();
    let places = Places {
        own: caller.account,
        regions: trace::usual_regions("aws", &[]),
        roles: playbook.verify.canary_roles.clone(),
        session: incident.id.control_name(),
        from: incident.opened.unwrap_or(now) - TRACED,
    };
    let management = &organization.management;
    let walked = trace::walk(read, &places, incident, management).await;
    let (walk, gathered) = walked.map_err(NotPrepared::from)?;
    let deny = trace::deny_of(read, &policy.id, &incident.id).await;
    let stands = Stands {
        deny: deny.map_err(Stopped::Read)?,
        policy: policy.arn.clone(),
        under: None,
    };
    let told = ReadReport::of(&gathered, &places, clock.now());
    let (names, practice) = (
        trace::as_names(&trace::names_of(incident)),
        world.practice(),
    );
    let found = (&walk, &gathered);
    let report = TraceReport::of(incident, &stands, management, names, found, told, practice);
    for session in report
        .sessions
        .iter()
        .filter(|session| session.by.is_some())
    {
        tell(&format!(
            "  {} became {}: {}",
            session.by.as_deref().unwrap_or_default(),
            session.arn,
            session.fate.says()
        ));
    }
    response
        .deny_chained(incident, &policy.id, &report.offered)
        .await?;
    clock
        .sleep(PROPAGATION + SignedDuration::from_secs(1))
        .await;
    Ok(Some(clock.now()))
}

/// Closes the ways by which the attacker gets new sessions.
async fn evict(
    response: &mut Response<'_, Aws<Range>, Vec<String>>,
    world: &Aws<Range>,
    incident: &mut Incident,
    policy: &PolicySummary,
    tell: &dyn Fn(&str),
) -> Result<(), DrillError> {
    let (read, clock) = (world.read(), world.clock());
    let organization = survey::organization(read)
        .await
        .map_err(NotPrepared::from)?;
    let (instance, user) = evicting::user_of(read, incident)
        .await
        .map_err(NotPrepared::from)?;
    let ways = match &user {
        Some(user) => survey::ways(read, clock, &instance, user).await,
        None => Ok(None),
    };
    let Some(ways) = ways.map_err(Stopped::Read)? else {
        tell("\nThe directory has no such user, so nothing gives them new sessions.");
        response.evicted_by_word(incident, &policy.id).await?;
        return Ok(());
    };
    let own = each(&ways);
    let assigned = own
        .iter()
        .filter(|way| matches!(way, Way::Assignment { .. }));
    tell(
        "\nA lid on a boiling pot: the attacker keeps a portal session and gets new sessions under the deny. They are",
    );
    tell("refused, and would come alive with the release.");
    tell(&format!(
        "Evict: {} assignments of their own, and {} groups, which keep what they have.",
        assigned.count(),
        ways.memberships.len()
    ));
    let last = survey::last_ones(read, &instance, &ways)
        .await
        .map_err(Stopped::Read)?;
    let eviction = Eviction::of(ways, &last, &organization.management);
    response.back_up(&eviction)?;
    response
        .evict(incident, &policy.id, &instance, &eviction, false)
        .await?;
    tell(
        "  By hand, meanwhile: portal sessions, the identity provider, the password. `quell evict` has the checklist.",
    );
    Ok(())
}

/// Shows the gate closed, and waits until it opens.
async fn drain(
    range: &Range,
    world: &Aws<Range>,
    (incident, policy): (&Incident, &PolicyId),
    playbook: &Playbook,
    tell: &dyn Fn(&str),
) {
    let (now, roles) = (world.clock().now(), &playbook.verify.canary_roles);
    let meanwhile = iam_users::meanwhile(world, incident, policy, roles).await;
    if let Err(gate) = release::gate(incident, &meanwhile, now) {
        tell(&format!("\nRelease now? {}.", human::gate(&gate)));
    }
    let Some(until) = incident.release_not_before() else {
        return;
    };
    let wait = until.duration_since(now);
    tell(&format!("  Waiting {} for it…", human::duration(wait)));
    let refused = sightings(range, Split::default()).refused;
    world.clock().sleep(wait).await;
    let after = sightings(range, Split::default());
    tell(&format!(
        "  Meanwhile the attacker was refused {} times, then their sessions ended.",
        after.refused.saturating_sub(refused)
    ));
}

/// Takes the deny away, from what AWS remembers alone, and looks whether the person is let in again.
async fn release(
    response: &mut Response<'_, Aws<Range>, Vec<String>>,
    world: &Aws<Range>,
    incident: &Incident,
    policy: &PolicySummary,
    operator: &str,
    playbook: &Playbook,
    tell: &dyn Fn(&str),
) -> Result<Vec<String>, DrillError> {
    let remembered = memory::remembered(world.read())
        .await
        .map_err(Stopped::Read)?;
    let recalled = remembered
        .into_iter()
        .map(|known| known.incident)
        .find(|known| known.id == incident.id);
    let Some(incident) = recalled else {
        return Ok(vec![
            "AWS did not remember the incident, so it could not be released from there.".to_owned(),
        ]);
    };
    let roles = &playbook.verify.canary_roles;
    let meanwhile = iam_users::meanwhile(world, &incident, &policy.id, roles).await;
    if let Err(gate) = release::gate(&incident, &meanwhile, world.clock().now()) {
        return Ok(vec![format!(
            "The gate was closed when it should have been open: {gate}."
        )]);
    }
    tell("\nThe gate is open. Release, from what the policy's tags say:");
    response
        .release(&incident, &policy.id, operator, None, false)
        .await?;
    let proof = response
        .look(&respond::question(
            &incident,
            &policy.arn,
            playbook,
            Aim::Allowed,
        ))
        .await?;
    if proof.overall == Overall::Shown {
        tell(if incident.is_of_person() {
            "  The person can work again: the suspect's canary and the control are both allowed everywhere."
        } else {
            "  The policy is gone, and its canary and the control are both allowed everywhere."
        });
        Ok(Vec::new())
    } else {
        Ok(vec![
            "After the release the canaries were not all allowed.".to_owned(),
        ])
    }
}

/// The grade, from inside the range.
#[expect(
    clippy::too_many_arguments,
    reason = "moments of one story; a struct of them would be used once"
)]
fn grade(
    range: &Range,
    seed: u64,
    incident: &Incident,
    approved: Timestamp,
    accepted: Timestamp,
    split: Split,
    released: Timestamp,
    before: &[PolicyId],
    mut faults: Vec<String>,
) -> DrillReport {
    let (attacker, proven) = (sightings(range, split), split.proven);
    let (bystanders_refused, bystanders_allowed, policies_left) = range.with(|state| {
        let others = |ended: Ended| {
            let of_others =
                |actor: usize| state.actors.get(actor).is_some_and(|actor| !actor.attacker);
            state
                .seen
                .iter()
                .filter(|sighting| of_others(sighting.actor) && sighting.ended == ended)
                .count()
        };
        let left = state
            .policies
            .keys()
            .filter(|id| !before.contains(id))
            .count();
        (others(Ended::Refused), others(Ended::Allowed), left)
    });
    let mut fault = |bad: bool, text: String| {
        if bad {
            faults.push(text);
        }
    };
    fault(
        attacker.allowed_after_proven > 0,
        format!(
            "{} calls of the attacker were allowed after the proof.",
            attacker.allowed_after_proven
        ),
    );
    fault(
        attacker.refused == 0,
        "The attacker was never refused: the drill shows nothing.".to_owned(),
    );
    fault(
        bystanders_refused > 0,
        format!("{bystanders_refused} calls of other people were refused."),
    );
    fault(
        bystanders_allowed == 0,
        "Nobody else called: the drill shows nothing of them.".to_owned(),
    );
    fault(
        policies_left > 0,
        format!("{policies_left} policies were left behind."),
    );
    DrillReport {
        schema: "quell.drill/1",
        verdict: if faults.is_empty() { "pass" } else { "fail" },
        incident: incident.id.clone(),
        principal: incident
            .principal
            .clone()
            .unwrap_or_else(|| Username::new("")),
        seed,
        accepted_ms: millis(accepted.duration_since(approved)),
        proven_ms: proven.map(|proven| millis(proven.duration_since(approved))),
        denied_for_ms: proven.map(|proven| millis(released.duration_since(proven))),
        attacker,
        bystanders_refused,
        bystanders_allowed,
        policies_left,
        faults,
    }
}

/// From when on nothing of the attacker's may be allowed.
#[derive(Debug, Clone, Copy, Default)]
struct Split {
    /// In their own sessions.
    proven: Option<Timestamp>,
    /// In those that they chained into; where nobody traced them, the proof was meant to be of those, too.
    chained: Option<Timestamp>,
}

/// What the attacker's calls came to, split at the moment of the proof.
fn sightings(range: &Range, split: Split) -> AttackerReport {
    range.with(|state| {
        let mut report = AttackerReport {
            sessions: state
                .actors
                .iter()
                .filter(|actor| actor.attacker && actor.portal.is_none())
                .count(),
            ..AttackerReport::default()
        };
        for sighting in &state.seen {
            let actor = state.actors.get(sighting.actor);
            let Some(actor) = actor.filter(|actor| actor.attacker) else {
                continue;
            };
            let from = match &actor.chain {
                Some(_) => split.chained.or(split.proven),
                None => split.proven,
            };
            let after = from.is_some_and(|from| sighting.at > from);
            match sighting.ended {
                Ended::Allowed if after => report.allowed_after_proven += 1,
                Ended::Allowed => report.allowed_before += 1,
                Ended::Refused => report.refused += 1,
                Ended::Expired => report.expired += 1,
            }
        }
        report
    })
}

/// An organization that could have raised the finding.
fn blueprint(seed: u64, suspect: Option<&Suspect>) -> Result<Blueprint, DrillError> {
    let hero = match suspect {
        Some(Suspect::PermissionSetSession {
            session,
            role_id,
            role,
            account,
        }) => Hero {
            username: session.clone(),
            account: account.clone(),
            role: Some((role.clone(), role_id.clone())),
        },
        Some(_) | None => Hero::default(),
    };
    // Three in the morning, on a day of the range's own: the same drill tells the same story at any time.
    let now = Timestamp::from_second(1_795_316_400).unwrap_or(Timestamp::UNIX_EPOCH);
    // Identity Center lives in another Region than the operator works in, as it may.
    Ok(Blueprint {
        seed,
        now,
        hero,
        identity_center: Region::parse("eu-west-1")?,
        alive: true,
        propagation: PROPAGATION,
        // The attacker does not go by the sessions alone that the finding is about.
        extras: Extras {
            portal: true,
            ..Extras::default()
        },
    })
}

/// The operator's AWS: the real adapters, over the range.
pub fn operator(range: &Range, region: &Region) -> Aws<Range> {
    let config = range.sdk_config(OPERATOR_KEY, SECRET, None, region, aws::retries());
    Aws::over(
        config,
        SharedHttpClient::new(range.clone()),
        wire::Seen::default(),
        range.clone(),
    )
}

/// Serves a practice organization on the loopback interface until the task is dropped. `exports` gets the lines for a
/// shell, `say` the words around them.
///
/// # Errors
/// When the port is taken.
pub async fn serve(
    port: u16,
    seed: u64,
    propagation: SignedDuration,
    throttles: bool,
    exports: &dyn Fn(&str),
    say: &dyn Fn(&str),
) -> std::io::Result<()> {
    let region = Region::parse("us-east-1").map_err(std::io::Error::other)?;
    let blueprint = Blueprint {
        seed,
        now: Timestamp::now(),
        hero: Hero::default(),
        identity_center: region.clone(),
        alive: false,
        propagation,
        extras: Extras::default(),
    };
    let Built {
        state,
        hero_sessions,
        finding,
    } = build::build(&blueprint).map_err(std::io::Error::other)?;
    let (management, hero) = (state.management.clone(), blueprint.hero.username);
    let range = Range::new(state, Time::Real);
    range.with(|state| state.throttles = throttles);
    let (listener, address) = socket::bind(port).await?;

    let mut lines = format!(
        "# PRACTICE organization {address}: nothing here is AWS. The operator, in the management account {management}:\nunset AWS_SESSION_TOKEN AWS_PROFILE\nexport AWS_ENDPOINT_URL=http://{address}\nexport AWS_REGION={region}\nexport AWS_DEFAULT_REGION={region}\nexport AWS_ACCESS_KEY_ID={OPERATOR_KEY}\nexport AWS_SECRET_ACCESS_KEY={SECRET}\n"
    );
    lines.push_str(&format!("# A GuardDuty finding about {hero}: detector and id.\nexport QUELL_PRACTICE_DETECTOR={}\nexport QUELL_PRACTICE_FINDING={}\n", finding.0, finding.1));
    lines.push_str(&format!("# A running session of {hero} in each account, to be watched being refused:\n#   AWS_ACCESS_KEY_ID=$TEST_USER_<account>_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY={SECRET} AWS_SESSION_TOKEN=$TEST_USER_<account>_SESSION_TOKEN aws s3 ls\n"));
    for (account, key, token) in &hero_sessions {
        if *account == management {
            lines.push_str("# The management account, where no SCP applies: a session of an assignment that was taken away since.\n");
        }
        lines.push_str(&format!("export TEST_USER_{account}_ACCESS_KEY_ID={key}\nexport TEST_USER_{account}_SECRET_ACCESS_KEY={SECRET}\nexport TEST_USER_{account}_SESSION_TOKEN={token}\n"));
    }
    exports(&lines);
    say(&format!(
        "PRACTICE range on http://{address}, loopback only. Ctrl-C ends it, and everything in it is forgotten."
    ));
    socket::serve(&range, listener).await
}
