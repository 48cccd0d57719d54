//! Stories of quell, told against the range: in memory through the command line's own code, and over a socket with the
//! built binary. What the range itself says is judged elsewhere, by other people's clients and emulators
//! (`tests/peers`).

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may"
)]

mod practice;

mod arming;

mod auditing;

mod bad_input;

mod binary;

mod chaining;

mod checking;

mod containing;

mod crashes;

mod evicting;

mod guarding;

mod iam_users;

mod drills;

mod journals;

mod judging;

mod layers;

mod lapsing;
mod mishaps;

mod opinions;

mod playbooks;

mod principals;

mod profiles;

mod racing;

mod range;

mod releasing;

mod returning;

mod signals;

mod stories;

mod switching;

mod trailing;

mod verifying;
