//! `quell playbook`: what comes with quell, and whether a changed one is sound. No AWS needed.

use std::path::PathBuf;

use clap::Subcommand;
use serde::Serialize;

use crate::cli::contain;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::ui::Ui;
use crate::playbook::Playbook;

/// What `quell playbook` does.
#[derive(Debug, Subcommand)]
pub enum PlaybookVerb {
    /// List the playbooks that come with quell
    List,
    /// Print one, as TOML
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
}

#[derive(Serialize)]
struct PlaybooksReport {
    schema: &'static str,
    playbooks: Vec<Playbook>,
}

/// `quell playbook`.
pub fn playbook(verb: &PlaybookVerb, ui: &Ui<'_>) -> Result<Exit, Failure> {
    let report = |playbooks| PlaybooksReport {
        schema: "quell.playbooks/1",
        playbooks,
    };
    match verb {
        PlaybookVerb::List => {
            let playbooks: Result<_, _> = Playbook::names()
                .filter_map(Playbook::text_of)
                .map(Playbook::parse)
                .collect();
            ui.result(&report(playbooks?), |report| {
                report
                    .playbooks
                    .iter()
                    .map(|playbook| format!("{}  {}\n", playbook.name, playbook.summary))
                    .collect()
            });
        }
        PlaybookVerb::Show { name } => {
            let text = Playbook::text_of(name).ok_or_else(|| {
                Failure::usage(format!("no playbook `{name}` comes with quell"))
                    .hint("List them: `quell playbook list`.")
            })?;
            ui.result(&report(vec![Playbook::parse(text)?]), |_| text.to_owned());
        }
        PlaybookVerb::Check { file } => {
            let playbook = contain::playbook(Some(file))?;
            ui.result(&report(vec![playbook]), |report| {
                report
                    .playbooks
                    .iter()
                    .map(|playbook| format!("{}: sound\n", playbook.name))
                    .collect()
            });
        }
    }
    Ok(Exit::Done)
}
