//! `quell playbook`: what comes with quell, and whether a changed one is sound. No AWS needed.

use std::path::PathBuf;

use clap::Subcommand;
use serde::Serialize;

use crate::cli::contain;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::ui::Ui;
use crate::ids::PlaybookName;
use crate::playbook::{Playbook, shelf};

/// What `quell playbook` does.
#[derive(Debug, Subcommand)]
pub enum PlaybookVerb {
    /// List the playbooks that come with quell
    List,
    /// Print one, as TOML; identity-center-user explains every field
    Show {
        /// Its name
        #[arg(default_value = "identity-center-user")]
        name: String,
    },
    /// Say whether a file is a sound playbook
    Check {
        /// The file
        file: PathBuf,
    },
    /// Print a playbook to start from, under a name of yours
    New {
        /// The new name: lower-case letters, digits and dashes
        name: PlaybookName,
        /// The one to start from; identity-center-user explains every field
        #[arg(long, value_name = "NAME", default_value = "identity-center-user")]
        from: String,
    },
    /// Print the JSON Schema of a playbook, for editors
    Schema,
}

#[derive(Serialize)]
struct PlaybooksReport {
    schema: &'static str,
    playbooks: Vec<Playbook>,
}

/// `quell playbook`.
pub fn playbook(verb: &PlaybookVerb, ui: &Ui<'_>) -> Result<Exit, Failure> {
    let report = |playbooks| PlaybooksReport {
        schema: "quell.playbooks/2",
        playbooks,
    };
    match verb {
        PlaybookVerb::List => {
            let playbooks: Result<_, _> = shelf::names()
                .filter_map(shelf::text_of)
                .map(Playbook::parse)
                .collect();
            ui.result(&report(playbooks?), |report| {
                let playbooks = report.playbooks.iter();
                playbooks
                    .map(|it| format!("{:<40}{}\n", it.name.as_str(), it.summary))
                    .collect()
            });
        }
        PlaybookVerb::Show { name } => {
            let text = text_of(name)?;
            ui.result(&report(vec![Playbook::parse(text)?]), |_| text.to_owned());
        }
        PlaybookVerb::Check { file } => {
            let playbook = contain::playbook(Some(file))?;
            ui.result(&report(vec![playbook]), |report| {
                let playbooks = report.playbooks.iter();
                playbooks
                    .map(|it| format!("{}: sound\n", it.name))
                    .collect()
            });
        }
        PlaybookVerb::New { name, from } => {
            let line = |name: &str| format!("name = \"{name}\"\n");
            let text = text_of(from)?.replacen(&line(from), &line(name.as_str()), 1);
            ui.result(&report(vec![Playbook::parse(&text)?]), |_| text.clone());
        }
        PlaybookVerb::Schema => {
            let schema = schemars::schema_for!(Playbook);
            ui.result(&schema, |schema| {
                let text = serde_json::to_string_pretty(schema).unwrap_or_default();
                format!("{text}\n")
            });
        }
    }
    Ok(Exit::Done)
}

fn text_of(name: &str) -> Result<&'static str, Failure> {
    shelf::text_of(name).ok_or_else(|| {
        Failure::usage(format!("no playbook `{name}` comes with quell"))
            .hint("List them: `quell playbook list`.")
    })
}
