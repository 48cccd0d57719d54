//! `quell policy`: the documents that quell writes, and a judge of anybody's. No AWS needed.

mod draft;

mod evaluate;

mod explain;

use clap::Subcommand;

use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::ui::Ui;

/// What `quell policy` does.
#[derive(Debug, Subcommand)]
pub enum PolicyVerb {
    /// Print the deny that would be attached for these principals
    Draft(draft::DraftArgs),
    /// Decide requests against the policies on their path, JSON lines in and out
    #[command(long_about = evaluate::ABOUT)]
    Evaluate,
    /// Tell whether a policy would refuse a request, and why
    Explain(explain::ExplainArgs),
}

/// `quell policy`.
pub fn policy(verb: &PolicyVerb, ui: &Ui<'_>) -> Result<Exit, Failure> {
    match verb {
        PolicyVerb::Draft(args) => draft::draft(args, ui),
        PolicyVerb::Evaluate => evaluate::evaluate(std::io::stdin().lock(), ui),
        PolicyVerb::Explain(args) => explain::explain(args, ui),
    }
}
