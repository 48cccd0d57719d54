//! Exit codes, in one place. They are documented in the README and never change their meaning.

use serde::{Serialize, Serializer};

/// How a run of quell ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done, and proven where there was something to prove.
    Done = 0,
    /// Failed; nothing was changed.
    Failed = 1,
    /// What was given is not usable: flags, names, findings, playbooks. Nothing was changed.
    Usage = 2,
    /// Refused by preflight, approval or a gate. Nothing was changed.
    Refused = 3,
    /// Changed, and not proven.
    NotProven = 4,
    /// Changed, and the principal still gets through somewhere.
    GettingThrough = 5,
    /// Partly changed: run it again.
    Partly = 6,
    /// Interrupted; what is and is not done was said.
    Interrupted = 130,
}

impl Serialize for Exit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(self.code())
    }
}

impl Exit {
    /// The number.
    pub fn code(self) -> u8 {
        self as u8
    }
}
