//! The go-ahead: a value bound to one plan's digest, that expires (R7).
//!
//! Only an [`Approved`] plan can be carried out, and only [`Approval::typed`] and [`Approval::flag`] make approvals.
//! A plan that changed after it was shown, and an approval given too long ago, are refused with the reason.

use jiff::{SignedDuration, Timestamp};

use crate::plan::{Plan, PlanDigest};

/// The world moves: after this long the survey is stale and the approval with it.
pub const GOOD_FOR: SignedDuration = SignedDuration::from_mins(15);

/// A go-ahead for one plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approval {
    digest: PlanDigest,
    given: Timestamp,
    how: How,
}

/// How it was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// The operator typed the username.
    Typed,
    /// `--yes`.
    Flag,
}

/// Why there is no go-ahead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotApproved {
    /// Another text was typed.
    #[error("what was typed is not {0}")]
    Mistyped(&'static str),
    /// The plan is not the one that was approved.
    #[error("the plan changed after it was approved")]
    OtherPlan,
    /// Given too long ago.
    #[error(
        "the approval is older than {GOOD_FOR:#}: the organization may have changed since the survey"
    )]
    Expired,
}

/// A plan with its go-ahead: what the driver takes.
#[derive(Debug, Clone, PartialEq)]
pub struct Approved {
    /// The plan.
    pub plan: Plan,
    /// When it was approved.
    pub at: Timestamp,
    /// How.
    pub how: How,
}

impl Approval {
    /// The operator typed something; it must be the username, letter for letter.
    ///
    /// # Errors
    /// [`NotApproved::Mistyped`].
    pub fn typed(plan: &Plan, typed: &str, now: Timestamp) -> Result<Self, NotApproved> {
        if typed.trim() == plan.principal.username.as_str() {
            Ok(Self {
                digest: plan.digest(),
                given: now,
                how: How::Typed,
            })
        } else {
            Err(NotApproved::Mistyped(plan.principal.identity().called()))
        }
    }

    /// `--yes` was given.
    pub fn flag(plan: &Plan, now: Timestamp) -> Self {
        Self {
            digest: plan.digest(),
            given: now,
            how: How::Flag,
        }
    }

    /// Joins the approval with its plan.
    ///
    /// # Errors
    /// [`NotApproved`], when it is another plan's or too old.
    pub fn of(self, plan: Plan, now: Timestamp) -> Result<Approved, NotApproved> {
        if self.digest != plan.digest() {
            return Err(NotApproved::OtherPlan);
        }
        if now.duration_since(plan.surveyed_at.min(self.given)) > GOOD_FOR {
            return Err(NotApproved::Expired);
        }
        Ok(Approved {
            plan,
            at: now,
            how: self.how,
        })
    }
}
