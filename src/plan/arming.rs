//! Arming an organization: a policy that denies nobody, attached before anybody needs it.
//!
//! Arrives: the ground. Leaves: an [`Arming`], or why not. Pure. Its inverse is a [`Disarming`].

use serde::Serialize;

use crate::cloud::NewPolicy;
use crate::facts::{ArmedPolicy, Known, ScpType};
use crate::ids::*;
use crate::incident::armed::{self, Ledger};
use crate::plan::Step;
use crate::plan::preflight::{MOST_ATTACHED, Refusal};
use crate::policy::document::Document;
use crate::survey::Ground;

/// What is to be done to arm.
#[derive(Debug, Clone, PartialEq)]
pub struct Arming {
    /// Where it will be attached.
    pub target: TargetId,
    /// The document that will be attached: it denies nobody, or the incidents of an armed policy that was detached.
    pub document: Document,
    /// The incidents in it.
    pub incidents: usize,
    /// Create, attach.
    pub steps: Vec<Step>,
}

/// What is to be done to disarm.
#[derive(Debug, Clone, PartialEq)]
pub struct Disarming {
    /// The policy, which will be detached and deleted.
    pub policy: ArmedPolicy,
    /// Set when an earlier disarming detached it from there, died, and incidents are in it: then all there is to do is
    /// to attach it again.
    pub put_back: Option<TargetId>,
}

/// Why the organization is not armed or disarmed. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
pub enum Unready {
    /// What keeps any deny from being attached.
    #[error("{0}")]
    Refused(String, String),
    /// It is attached, and not where it was asked for.
    #[error("the armed policy is attached to {}", .0.iter().map(TargetId::as_str).collect::<Vec<_>>().join(", "))]
    Elsewhere(Vec<TargetId>),
    /// It cannot be read.
    #[error("the armed policy cannot be read: {0}")]
    Unread(String),
    /// Incidents are in it.
    #[error("incidents are in the armed policy: {}", .0.iter().map(IncidentId::as_str).collect::<Vec<_>>().join(", "))]
    InUse(Vec<IncidentId>),
    /// Somebody else's statements are in it.
    #[error("the armed policy has {0} statements that quell did not write")]
    Foreign(usize),
}

impl From<Refusal> for Unready {
    fn from(refusal: Refusal) -> Self {
        Unready::Refused(refusal.to_string(), refusal.hint())
    }
}

/// Whether the target can have a policy more, or has it already.
///
/// # Errors
/// [`Unready::Refused`].
pub fn takes_a_policy(ground: &Ground, attached: bool) -> Result<(), Unready> {
    if !ground.organization.all_features {
        return Err(Refusal::NoFeatures.into());
    }
    match ground.root.scps {
        ScpType::Enabled => {}
        ScpType::Pending => return Err(Refusal::ScpsOff("being switched on or off").into()),
        ScpType::Disabled => return Err(Refusal::ScpsOff("switched off").into()),
    }
    if ground.target.account().as_ref() == Some(&ground.organization.management) {
        return Err(Refusal::ManagementTarget.into());
    }
    if !attached && ground.attached.len() >= MOST_ATTACHED {
        let (attached, target) = (ground.attached.len(), ground.target.clone());
        return Err(Refusal::NoSlot { attached, target }.into());
    }
    Ok(())
}

impl Arming {
    /// What arming takes, or why it cannot be.
    ///
    /// # Errors
    /// [`Unready`].
    pub fn of(ground: &Ground) -> Result<Self, Unready> {
        let armed = match &ground.armed {
            Known::Known(armed) => armed.as_ref(),
            Known::Unknown(why) => return Err(Unready::Unread(why.clone())),
        };
        let attached = armed.is_some_and(|armed| armed.targets.contains(&ground.target));
        if let Some(armed) = armed.filter(|armed| !attached && !armed.targets.is_empty()) {
            return Err(Unready::Elsewhere(armed.targets.clone()));
        }
        takes_a_policy(ground, attached)?;
        let unwritten = armed::unwritten();
        let there = armed.map(Ledger::read).transpose();
        let there = there.map_err(|error| Unready::Unread(error.to_string()))?;
        if let Some(foreign) = there
            .as_ref()
            .map(Ledger::foreign)
            .filter(|many| *many > 0 && !attached)
        {
            return Err(Unready::Foreign(foreign));
        }
        let document = there.as_ref().map_or(&unwritten, Ledger::document).clone();
        let policy = Box::new(NewPolicy {
            name: ARMED_POLICY.to_owned(),
            description: armed::DESCRIPTION.to_owned(),
            content: unwritten.minified(),
            tags: armed::marks(),
        });
        Ok(Self {
            target: ground.target.clone(),
            document,
            incidents: there.map_or(0, |ledger| ledger.entries().count()),
            steps: vec![
                Step::CreatePolicy {
                    policy,
                    already: armed.map(|armed| armed.summary.clone()),
                },
                Step::AttachPolicy {
                    target: ground.target.clone(),
                    already: attached,
                },
            ],
        })
    }

    /// Whether there is nothing to do.
    pub fn already(&self) -> bool {
        self.steps.iter().all(Step::already)
    }
}

impl Disarming {
    /// What disarming takes; `None` when the organization is not armed.
    ///
    /// # Errors
    /// [`Unready`], while an incident is in the policy.
    pub fn of(ground: &Ground) -> Result<Option<Self>, Unready> {
        let armed = match &ground.armed {
            Known::Known(None) => return Ok(None),
            Known::Known(Some(armed)) => armed,
            Known::Unknown(why) => return Err(Unready::Unread(why.clone())),
        };
        let ledger = Ledger::read(armed).map_err(|error| Unready::Unread(error.to_string()))?;
        let in_use: Vec<IncidentId> = ledger
            .entries()
            .map(|entry| entry.incident.id.clone())
            .collect();
        let belongs = ledger
            .entries()
            .filter_map(|entry| entry.incident.target.clone());
        let detached = belongs
            .into_iter()
            .find(|target| !armed.targets.contains(target));
        if !in_use.is_empty() && detached.is_none() {
            return Err(Unready::InUse(in_use));
        }
        if ledger.foreign() > 0 {
            return Err(Unready::Foreign(ledger.foreign()));
        }
        Ok(Some(Self {
            policy: armed.clone(),
            put_back: detached,
        }))
    }
}
