//! `quell signal read`: what is understood of a finding. No AWS needed.

use std::path::PathBuf;

use clap::Subcommand;
use serde::Serialize;

use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::given;
use crate::cli::ui::Ui;
use crate::report::human;
use crate::signal::Finding;

/// What `quell signal` does.
#[derive(Debug, Subcommand)]
pub enum SignalVerb {
    /// Show what is understood of a finding
    Read {
        /// A file with findings or records of CloudTrail's, also gzipped; `-` for standard input
        file: PathBuf,
    },
}

#[derive(Serialize)]
struct SignalReport {
    schema: &'static str,
    findings: Vec<Finding>,
}

/// `quell signal`.
pub fn signal(verb: &SignalVerb, ui: &Ui<'_>) -> Result<Exit, Failure> {
    let SignalVerb::Read { file } = verb;
    let report = SignalReport {
        schema: "quell.signal/2",
        findings: given::findings_in(file)?,
    };
    ui.result(&report, |report| {
        report
            .findings
            .iter()
            .map(human::finding)
            .collect::<Vec<_>>()
            .join("\n")
    });
    Ok(Exit::Done)
}
