//! A whole incident on the range, told as it happens and graded at the end.
//!
//! Arrives: a seed, perhaps a finding. Leaves: a [`DrillReport`]. The incident runs through the very same stages and
//! the same AWS adapters as a real one; only the HTTP client under them and the clock are the range's. The grade comes
//! from what was seen inside the range, call by call, and not from what the stages say of themselves.

mod grade;

mod kinds;

mod steps;

use aws_smithy_runtime_api::client::http::SharedHttpClient;
use jiff::{SignedDuration, Timestamp};

use crate::aws::{self, Aws, wire};
use crate::cloud::{Cloud as _, Read as _};
use crate::guardrail::Unfit;
use crate::ids::*;
use crate::journal::{Event, Journal, JournalError};
use crate::plan::approval::{Approval, NotApproved};
use crate::plan::preflight::Refusal;
use crate::playbook::shelf::Shelf;
use crate::playbook::{Playbook, Step};
use crate::principal::PrincipalKind;
use crate::range::build::extras::Extras;
pub use crate::range::build::kinds::Kind;
use crate::range::build::{self, Blueprint, Built, Hero, OPERATOR_KEY, SECRET};
use crate::range::{Range, Time, serve as socket};
use crate::report::{DrillReport, human};
use crate::respond::{self, Asked, NotPrepared, Prepared, Response, Stopped};
use crate::signal::{self, Accused, ReadError, Suspect, Who};

use grade::{Moments, Split, grade, sightings};
use steps::Play;

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
    /// The guardrail cannot be attached.
    #[error(transparent)]
    Unfit(#[from] Unfit),
    /// The playbook never denied anybody.
    #[error("the playbook has no step that denies anybody")]
    NothingDenied,
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
    /// The person can enter the management account, and the attacker is there, too.
    pub management: bool,
    /// TEAM has open requests of the person's.
    pub team: bool,
    /// The attacker has made a user in order to stay, and wants a console password for them.
    pub persists: bool,
    /// Whom it is about, if not about a person of the directory.
    pub of: Option<Kind>,
}

impl Script {
    /// The story that a playbook is for: an attacker who does whatever it has a step against.
    pub fn of(playbook: &Playbook, seed: u64) -> Self {
        let (answers, has) = (&playbook.answers, |step| playbook.steps.contains(&step));
        let of = match answers.principals.first() {
            _ if answers.workload == Some(true) => Some(Kind::Instance),
            Some(PrincipalKind::IdentityCenterUser) | None => None,
            Some(PrincipalKind::RoleSession) => Some(Kind::RoleSession),
            Some(PrincipalKind::Role) => Some(Kind::Role),
            Some(PrincipalKind::IamUser) => Some(Kind::JumpUser),
            Some(PrincipalKind::Root) => Some(Kind::Root),
            Some(PrincipalKind::FederatedUser) => Some(Kind::FederatedUser),
        };
        Self {
            seed,
            chains: has(Step::Trace),
            management: answers.management == Some(true),
            team: has(Step::RevokeTeam),
            persists: has(Step::Guardrail),
            of,
        }
    }
}

/// A range on which it has happened, and whom it accuses.
struct Scene {
    range: Range,
    world: Aws<Range>,
    /// What stood before anybody did anything.
    before: Vec<PolicyId>,
    suspect: Suspect,
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
    let scene = match script.of {
        Some(kind) => kinds::scene(script, kind, tell)?,
        None => scene(script, suspect, tell).await?,
    };
    play(&scene, script, playbook, tell).await
}

/// A person of the directory, and whoever has their sessions.
async fn scene(
    script: Script,
    suspect: Option<Suspect>,
    tell: &dyn Fn(&str),
) -> Result<Scene, DrillError> {
    let seed = script.seed;
    let mut blueprint = blueprint(seed, suspect.as_ref())?;
    blueprint.extras.chains = script.chains;
    blueprint.extras.management = script.management;
    blueprint.extras.team = script.team;
    blueprint.extras.persists = script.persists;
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
    if script.chains {
        tell(
            "  Nobody knows yet that they have assumed roles in other accounts, under names that say nothing.",
        );
    }
    tell("\nSurvey: who is it, what can they reach, what stands on the root?");
    Ok(Scene {
        range,
        world,
        before,
        suspect,
    })
}

/// The whole incident, step by step.
async fn play(
    scene: &Scene,
    script: Script,
    playbook: &Playbook,
    tell: &dyn Fn(&str),
) -> Result<DrillReport, DrillError> {
    let Scene {
        range,
        world,
        before,
        suspect,
    } = scene;
    let got_through = sightings(range, Split::default()).allowed_before;
    let prepared = respond::prepare(
        world.read(),
        world.clock(),
        std::slice::from_ref(suspect),
        &Shelf::of(playbook.clone(), playbook.name.as_str()),
        &Asked::default(),
    )
    .await?;
    let Some(prepared) = prepared.into_iter().next() else {
        return Err(ReadError::NoFindings.into());
    };
    let plan = &prepared.plan;
    if plan.principal.is_person() {
        tell_plan(&prepared, tell);
    } else {
        kinds::tell_plan(plan, tell);
    }
    if !prepared.preflight.refusals.is_empty() {
        return Err(DrillError::Refused(prepared.preflight.refusals));
    }
    if plan.principal.is_person() {
        tell(
            "  Preflight: every session of theirs is refused; the operator and the canaries' control are not.",
        );
    }
    let approved =
        Approval::flag(plan, world.clock().now()).of(plan.clone(), world.clock().now())?;
    tell(&format!("\nApproved. Incident {}.", plan.incident.id));
    if plan.principal.is_person() {
        tell(
            "  (Canaries are sessions that quell mints itself: one named like the suspect's, which must be refused, and a",
        );
        tell("  neutral one beside it, the control, which must not.)");
    }
    let mut journal = Journal::after(&[], Vec::new())?;
    // Progress is for people who wait; here nobody does.
    let watch = |event: &Event| match human::event(event) {
        Some(line) if !matches!(event, Event::Looking { .. }) => tell(&format!("  {line}")),
        Some(_) | None => {}
    };
    let roles = &playbook.verify.canary_roles;
    let mut play = Play {
        script,
        range,
        world,
        playbook,
        response: Response::new(world, &mut journal, &watch).entering_by(roles),
        approved: &approved,
        operator: &prepared.facts.caller.arn,
        incident: plan.incident.clone(),
        accepted: None,
        split: Split::default(),
        got_through,
        faults: Vec::new(),
        tell,
    };
    for step in &playbook.steps {
        play.take(*step).await?;
    }
    let Play {
        incident,
        accepted,
        split,
        mut faults,
        ..
    } = play;
    let Some((_, accepted)) = accepted else {
        return Err(DrillError::NothingDenied);
    };
    if split.proven.is_none() && faults.is_empty() {
        faults.push("Nobody looked whether the deny holds.".to_owned());
    }
    let moments = Moments {
        approved: approved.at,
        accepted,
        split,
        released: range.now(),
    };
    range.advance(WATCHED);
    Ok(grade(
        range,
        script.seed,
        &incident,
        moments,
        before,
        faults,
    ))
}

/// What is planned about a person.
fn tell_plan(prepared: &Prepared, tell: &dyn Fn(&str)) {
    let plan = &prepared.plan;
    let who = &plan.principal.username;
    tell(&format!(
        "  {who} can enter {} accounts. The longest session lives {}.",
        plan.principal.reach.len(),
        plan.principal.session.because
    ));
    tell(&format!(
        "  The plan: one policy on the organization's root {} that refuses everything to whoever carries their user id,",
        plan.target
    ));
    tell(&format!(
        "  is in a session named {who}, or has {who} as source identity; nobody else."
    ));
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
