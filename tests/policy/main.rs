//! The deny, judged: laws that must hold for every principal, a second evaluator written from AWS's words alone, and
//! somebody else's evaluator (`tests/oracle/run`). What is drawn here is in `cases`, and all three judges use it.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::wildcard_enum_match_arm,
    reason = "tests may"
)]

mod agreement;

mod cases;

mod guardrail;

mod laws;

mod naive;

mod oracle;
