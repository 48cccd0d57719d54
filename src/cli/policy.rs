//! `quell policy draft`: the deny that would be written. No AWS needed.

use std::collections::BTreeSet;

use clap::Subcommand;
use serde::Serialize;

use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::ui::Ui;
use crate::facts::Known;
use crate::ids::*;
use crate::policy::document::Document;
use crate::principal::{LONGEST_SESSION, Principal, SessionLife};

/// What `quell policy` does.
#[derive(Debug, Subcommand)]
pub enum PolicyVerb {
    /// Print the deny that would be attached for an Identity Center user
    Draft {
        /// The username, spelled as the directory spells it
        #[arg(long, value_name = "NAME")]
        user: String,
        /// The user's id in Identity Center
        #[arg(long, value_name = "ID")]
        user_id: Option<UserId>,
        /// The incident that the statements are named after
        #[arg(long, value_name = "ID", default_value = "q-000000")]
        incident: IncidentId,
    },
}

#[derive(Serialize)]
struct DraftReport {
    schema: &'static str,
    characters: usize,
    document: Document,
    minified: String,
    warning: Option<String>,
}

/// `quell policy`.
pub fn policy(verb: &PolicyVerb, ui: &Ui<'_>) -> Result<Exit, Failure> {
    let PolicyVerb::Draft {
        user,
        user_id,
        incident,
    } = verb;
    let name = SessionName::parse(user.clone());
    let principal = Principal {
        username: Username::new(user.clone()),
        user_id: user_id
            .clone()
            .map_or_else(|| Known::Unknown("not given".to_owned()), Known::Known),
        session_names: name.iter().cloned().collect(),
        unspellable: name.err().map(|error| error.to_string()),
        reach: BTreeSet::new(),
        reach_unknown: None,
        reaches_management: false,
        session: SessionLife {
            longest: LONGEST_SESSION,
            because: "nobody was asked".to_owned(),
        },
    };
    let document = crate::policy::draft(&principal, incident)?;
    let warning = principal
        .unspellable
        .map(|why| format!("{why}: only the user id can carry the deny"));
    if let Some(warning) = &warning {
        ui.say(&format!("warning: {warning}"));
    }
    let report = DraftReport {
        schema: "quell.draft/1",
        characters: document.characters(),
        minified: document.minified(),
        document,
        warning,
    };
    ui.result(&report, |report| format!("{}\n", report.document.pretty()));
    Ok(Exit::Done)
}
