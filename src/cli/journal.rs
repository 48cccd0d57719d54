//! `quell journal`: the record of an incident on this machine. No AWS needed.

use std::path::PathBuf;

use clap::Subcommand;
use serde::Serialize;

use crate::cli::Common;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::ui::Ui;
use crate::ids::IncidentId;
use crate::journal;
use crate::report::human::clean;

/// What `quell journal` does.
#[derive(Debug, Subcommand)]
pub enum JournalVerb {
    /// Check that no entry was changed, removed, added or moved since it was written
    Verify {
        /// The incident, or the journal's file
        #[arg(value_name = "INCIDENT|FILE")]
        which: String,
    },
}

#[derive(Serialize)]
struct Verified {
    schema: &'static str,
    file: String,
    entries: u64,
    incident: Option<IncidentId>,
    released: bool,
}

/// `quell journal`.
pub fn journal(verb: &JournalVerb, common: &Common, ui: &Ui<'_>) -> Result<Exit, Failure> {
    let JournalVerb::Verify { which } = verb;
    let path = match IncidentId::parse(which.clone()) {
        Ok(incident) => common.state_directory()?.join(format!("{incident}.jsonl")),
        Err(_) => PathBuf::from(which),
    };
    let file = clean(&path.display().to_string());
    let bytes = std::fs::read(&path).map_err(|error| Failure::file(&path, &error))?;
    let (state, entries) = journal::check(&bytes).map_err(|error| {
        Failure::new(Exit::Failed, format!("{file}: {error}")).hint(
            "Keep the file as it is: it is evidence. What AWS remembers does not hang on it: `quell status`.",
        )
    })?;
    let verified = Verified {
        schema: "quell.journal/1",
        file,
        entries,
        incident: state.incident,
        released: state.released,
    };
    ui.result(&verified, |verified| {
        format!(
            "{}: {} entries, each as it was written.\n",
            verified.file, verified.entries
        )
    });
    Ok(Exit::Done)
}
