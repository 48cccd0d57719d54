//! quell cuts off a compromised AWS identity across a whole organization, proves that it is cut off, and lets the person
//! back in when it is safe.
//!
//! # One incident, end to end
//!
//! A GuardDuty finding arrives, or an operator types a username. That is the *signal*; [`signal`] reads it into a
//! *suspect*, which is only a claim. [`survey`] asks AWS, with the reading capability of [`cloud`] alone, who that is and
//! what stands in the organization; the answers are [`facts`]. [`principal`] joins claim and facts: every name that a
//! session of theirs can have, every account they can enter, how long their longest session lives.
//!
//! [`policy`] drafts the *deny*: one statement for each key that can name them. [`plan`] puts it into ordered steps, each
//! with its inverse, on an [`incident`] whose name, description and tags AWS will remember; how long to wait and what is
//! left to people comes from a [`playbook`]. [`plan::preflight`] proves on the very document that the suspect is refused
//! and that the operator is not. [`plan::approval`] binds a person's go-ahead to the plan's digest.
//!
//! Before anybody needs it, [`readiness`] judges what a check-up of the organization found ([`survey::checkup`]), and
//! [`rights`] is the one list of what whoever runs quell must be allowed. An organization can be *armed* ([`plan::arming`]): a policy that denies nobody yet is attached,
//! and a containment is one call that writes into it. [`incident::armed`] is how many incidents live in that one policy and
//! how responders who write at once come out with the union. A [`guardrail`] is a policy that stands whether there is an
//! incident or not; an [`audit`] finds, account by account, what would make one worse, and [`profiles`] is how the responders sign in.
//!
//! [`respond`] is the driver. It records in the [`journal`], calls, and records again: [`contain`] creates the policy and
//! attaches it, or updates the armed one, after which the deny is *accepted*. [`verify`] sends *canaries*, sessions of the suspect's name beside a
//! neutral control, until each is refused by our policy several times in a row: then it is *proven*, and the clock of
//! [`release`] starts. What the suspect's own calls got since is in CloudTrail: [`trace`] asks it account by account, [`trail`]
//! reads its records, judges them, and follows whoever the suspect became by assuming roles under other names; those that
//! are alive are added to the deny. Which roles an IAM user may assume at all [`audit::switching`] says. When no session can be alive any more, the same driver takes the deny away and asks the canaries
//! whether everybody is let through again. [`report`] says what happened.
//!
//! The world is behind the ports of [`cloud`]. [`aws`] implements them with the AWS SDK, no faster than [`rates`] says that
//! AWS takes it. [`range`] is a practice organization that answers the same HTTP requests, in memory or over a loopback
//! socket, so a [`drill`] runs the very same stages and adapters, with an attacker who calls all the time and a clock that
//! moves when somebody waits. [`cli`] is the door.
//!
//! Each module imports only from those above it in this list; `tests/it/layers.rs` reads the `use` lines and keeps it so.

// — what happened —

pub mod ids;

pub mod json;

pub mod signal;

pub mod facts;

pub mod cloud;

pub mod survey;

pub mod principal;

// — what we mean to do —

pub mod playbook;

pub mod policy;

pub mod incident;

pub mod trail;

pub mod plan;

pub mod rights;

pub mod readiness;

pub mod guardrail;

pub mod audit;

pub mod profiles;

// — doing it —

pub mod journal;

pub mod contain;

pub mod verify;

pub mod trace;

pub mod evict;

pub mod release;

pub mod respond;

// — telling —

pub mod report;

// — the world —

pub mod rates;

pub mod aws;

pub mod range;

pub mod drill;

// — the door —

pub mod cli;
