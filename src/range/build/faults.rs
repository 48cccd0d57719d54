//! What can be wrong with an organization before an incident, planted one by one for whoever looks.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::SignedDuration;

use crate::ids::*;
use crate::policy::document::Document;
use crate::range::build::{Blueprint, HERO, OPERATOR_KEY};
use crate::range::guards::Trail;
use crate::range::state::{Assignment, Inline, Policy, State, User};
use crate::range::users::IamUser;
use crate::range::wire::uuid;

/// The account that a fault of one account is in.
pub const FAULTY_ACCOUNT: &str = "444455556666";

/// The right that [`Fault::RightsMissing`] takes away.
pub const MISSING_RIGHT: &str = "organizations:AttachPolicy";

/// Something wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Service control policies are switched off.
    ScpsOff,
    /// Ten policies are attached to the root.
    NoPlace,
    /// [`FAULTY_ACCOUNT`] has no `quell-canary`; it has the role that Organizations makes.
    NoCanaryRole,
    /// [`FAULTY_ACCOUNT`] has both roles, and they trust nobody.
    CanaryTrustsNobody,
    /// An older SCP refuses the canaries' probe to everybody.
    ProbeRefused,
    /// The organization's trail is switched off.
    TrailOff,
    /// There is no trail.
    NoTrail,
    /// The trail is of one account and Region.
    TrailOfOneAccount,
    /// The organization's trail takes no management events.
    TrailOfDataAlone,
    /// It takes only those that write.
    TrailOfWritesAlone,
    /// Its bucket does not take its files.
    TrailUndelivered,
    /// GuardDuty has no detector.
    NoDetector,
    /// GuardDuty's detector is suspended.
    DetectorOff,
    /// The operator's credentials end in ten minutes.
    CredentialsEnding,
    /// An inline policy of the operator's denies [`MISSING_RIGHT`].
    RightsMissing,
    /// The group of administrators has a permission set in the management account.
    ManagementAccess,
    /// A user has a name that no session can have.
    Unnameable,
    /// A user's name differs from the hero's by case alone.
    Colliding,
    /// [`FAULTY_ACCOUNT`] is suspended.
    Suspended,
    /// The directory has more users than are looked at.
    Crowd,
}

/// Plants it.
pub(super) fn plant(state: &mut State, blueprint: &Blueprint, fault: Fault) -> Result<(), NotAnId> {
    let faulty = AccountId::parse(FAULTY_ACCOUNT)?;
    match fault {
        Fault::ScpsOff => state.scps_enabled = false,
        Fault::NoPlace => {
            for number in 0..9 {
                attach(state, &format!("guardrail-{number}"), Document::allow_all())?;
            }
        }
        Fault::NoCanaryRole => {
            if let Some(account) = state.accounts.get_mut(&faulty) {
                account.roles.remove("quell-canary");
            }
        }
        Fault::CanaryTrustsNobody => {
            if let Some(account) = state.accounts.get_mut(&faulty) {
                for role in ["quell-canary", "OrganizationAccountAccessRole"] {
                    if let Some(role) = account.roles.get_mut(role) {
                        role.trusts.clear();
                    }
                }
            }
        }
        Fault::ProbeRefused => attach(state, "no-reading-of-aliases", denying("iam:List*"))?,
        Fault::TrailOff => each_trail(state, |trail| trail.logging = false),
        Fault::NoTrail => state.trails.clear(),
        Fault::TrailOfOneAccount => each_trail(state, |trail| {
            (trail.organization, trail.every_region) = (false, false);
        }),
        Fault::TrailOfDataAlone => each_trail(state, |trail| trail.takes = (false, false)),
        Fault::TrailOfWritesAlone => each_trail(state, |trail| trail.takes = (false, true)),
        Fault::TrailUndelivered => {
            each_trail(state, |trail| trail.undelivered = Some("AccessDenied"));
        }
        Fault::NoDetector => state.detectors.clear(),
        Fault::DetectorOff => state.detectors_off = true,
        Fault::CredentialsEnding => {
            let end = state.now + SignedDuration::from_mins(10);
            if let Some(session) = state.sessions.get_mut(OPERATOR_KEY) {
                session.expires = Some(end);
            }
        }
        Fault::RightsMissing => without_a_right(state)?,
        Fault::ManagementAccess => in_management(state),
        Fault::Unnameable => add_user(state, "Grace Hopper")?,
        Fault::Colliding => {
            let hero = blueprint.hero.username.as_str();
            let other = hero.to_ascii_uppercase();
            add_user(state, if other == hero { HERO } else { &other })?;
        }
        Fault::Suspended => {
            state.suspended.insert(faulty);
        }
        Fault::Crowd => {
            for number in 0..5_100 {
                add_user(state, &format!("user-{number}"))?;
            }
        }
    }
    Ok(())
}

/// Everybody's name can be a session's.
pub(super) fn make_sound(state: &mut State) {
    let users = state.directory.users.values_mut();
    for user in users.filter(|user| SessionName::parse(user.username.clone()).is_err()) {
        let kept = user.username.chars();
        user.username = kept
            .filter(|c| c.is_ascii_alphanumeric() || *c == '.')
            .collect();
    }
}

fn each_trail(state: &mut State, change: impl FnMut(&mut Trail)) {
    state.trails.iter_mut().for_each(change);
}

fn denying(action: &str) -> Document {
    let mut document = Document::allow_all();
    for statement in &mut document.statements {
        statement.effect = crate::policy::document::Effect::Deny;
        statement.actions.patterns = vec![action.to_owned()];
    }
    document
}

/// Somebody's policy, attached to the root since long ago.
fn attach(state: &mut State, name: &str, document: Document) -> Result<(), NotAnId> {
    let id = PolicyId::parse(format!(
        "p-{}",
        state.draw(10, b"abcdefghijklmnopqrstuvwxyz")
    ))?;
    let policy = Policy {
        name: name.to_owned(),
        description: "A guardrail.".to_owned(),
        content: document.minified(),
        document: Arc::new(document),
        tags: BTreeMap::new(),
        aws_managed: false,
    };
    state.policies.insert(id.clone(), policy);
    let root = state.root.clone();
    state.attachments.entry(root).or_default().push(id);
    state.settle();
    Ok(())
}

/// The operator becomes a user whom the account knows of, with a policy that binds them.
fn without_a_right(state: &mut State) -> Result<(), NotAnId> {
    let document = denying(MISSING_RIGHT);
    let inline = Inline {
        text: document.minified(),
        document: Arc::new(document),
    };
    let user = IamUser {
        id: IamUserId::parse("AIDAQUELLRESPONDER000")?,
        keys: BTreeMap::from([(OPERATOR_KEY.to_owned(), true)]),
        login_profile: false,
        inline: BTreeMap::from([("too-careful".to_owned(), inline)]),
        attached: BTreeSet::new(),
    };
    if let Some(account) = state.accounts.get_mut(&state.management) {
        account.users.insert("responder".to_owned(), user);
    }
    if let Some(session) = state.sessions.get_mut(OPERATOR_KEY) {
        session.behind = Some("responder".to_owned());
    }
    Ok(())
}

fn in_management(state: &mut State) {
    let mut groups = state.directory.groups.iter();
    let group = groups.find(|(_, name)| *name == "administrators");
    let mut sets = state.directory.sets.iter();
    let set = sets.find(|(_, set)| set.name == "AdministratorAccess");
    let Some(((group, _), (set, _))) = group.zip(set) else {
        return;
    };
    let assignment = Assignment {
        account: state.management.clone(),
        set: set.clone(),
        kind: "GROUP",
        principal: group.to_string(),
    };
    state.assign(assignment);
}

fn add_user(state: &mut State, name: &str) -> Result<(), NotAnId> {
    let id = UserId::parse(uuid(state))?;
    let user = User {
        username: name.to_owned(),
        email: format!("{}@example.com", uuid(state)),
        ..User::default()
    };
    state.directory.users.insert(id, user);
    Ok(())
}
