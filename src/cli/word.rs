//! The word that a person types before anything is changed, or `--yes` in its place.

use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::ui::{NoAnswer, Ui};

/// What is to be typed, and for what.
pub(super) struct Word<'a> {
    /// The word itself.
    pub(super) word: &'a str,
    /// What it is: `the username`.
    pub(super) name: &'a str,
    /// What typing it does: `to close these ways`.
    pub(super) purpose: String,
    /// Whether something that is not AWS answers.
    pub(super) practice: bool,
}

impl Word<'_> {
    /// What was typed, whatever it is.
    ///
    /// # Errors
    /// [`Exit::Refused`] without a terminal, [`Exit::Interrupted`] at Ctrl-C.
    pub(super) fn typed(&self, ui: &Ui<'_>) -> Result<String, Failure> {
        let kind = if self.practice {
            "PRACTICE: type"
        } else {
            "Type"
        };
        let question = format!("{kind} {} {} ({})", self.name, self.purpose, self.word);
        ui.ask(&question).map_err(|none| match none {
            NoAnswer::NoTerminal => Failure::new(
                Exit::Refused,
                format!(
                    "not approved: there is no terminal to type {} on",
                    self.name
                ),
            )
            .hint("In a script, say that you mean it: the same command with `--yes`."),
            NoAnswer::Interrupted => {
                Failure::new(Exit::Interrupted, "interrupted before the approval")
            }
        })
    }

    /// Whether the very word was typed, or `yes` stands in for it.
    ///
    /// # Errors
    /// [`Exit::Refused`] for any other word, and as [`Self::typed`].
    pub(super) fn confirmed(&self, yes: bool, ui: &Ui<'_>) -> Result<(), Failure> {
        if yes || self.typed(ui)?.trim() == self.word {
            return Ok(());
        }
        let not = format!("not approved: what was typed is not {}", self.name);
        Err(Failure::new(Exit::Refused, not))
    }
}
