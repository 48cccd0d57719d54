//! The only writer: results on stdout, everything else on stderr, prompts on the terminal.

use std::cell::{Cell, RefCell};
use std::io::{self, IsTerminal as _, Write};

use serde::Serialize;

use crate::cli::failure::Failure;
use crate::journal::Event;
use crate::report;
use crate::report::human::{self, clean, clean_lines};

/// How results are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    Human,
    /// One JSON object.
    Json,
}

/// Why nothing was typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoAnswer {
    /// Nobody could have been asked.
    NoTerminal,
    /// Ctrl-C, or the end of input.
    Interrupted,
}

/// Asks a person to type something.
pub trait Prompt {
    /// What was typed.
    ///
    /// # Errors
    /// [`NoAnswer`].
    fn ask(&self, question: &str) -> Result<String, NoAnswer>;

    /// Which of these was chosen, by its place.
    ///
    /// # Errors
    /// [`NoAnswer`].
    fn choose(&self, question: &str, items: &[String]) -> Result<usize, NoAnswer> {
        let (_, _) = (question, items);
        Err(NoAnswer::NoTerminal)
    }

    /// Whether a person watches.
    fn is_terminal(&self) -> bool {
        false
    }
}

/// A person at the terminal.
pub struct Terminal;

impl Prompt for Terminal {
    fn ask(&self, question: &str) -> Result<String, NoAnswer> {
        // With standard input piped (`--finding-file -`) dialoguer reads the controlling terminal instead, so a person
        // can still answer, and what a script pipes in is never taken for an approval.
        if !std::io::stderr().is_terminal() {
            return Err(NoAnswer::NoTerminal);
        }
        let answer = dialoguer::Input::<String>::new()
            .with_prompt(clean(question))
            .allow_empty(true)
            .interact_text();
        answer.map_err(|_| interrupted())
    }

    fn choose(&self, question: &str, items: &[String]) -> Result<usize, NoAnswer> {
        if !std::io::stderr().is_terminal() {
            return Err(NoAnswer::NoTerminal);
        }
        let items = items.iter().map(|item| clean(item));
        let chosen = dialoguer::FuzzySelect::new()
            .with_prompt(clean(question))
            .items(items)
            .default(0)
            .interact_opt();
        chosen.ok().flatten().ok_or_else(interrupted)
    }

    fn is_terminal(&self) -> bool {
        std::io::stderr().is_terminal()
    }
}

/// An interrupted prompt leaves the cursor hidden, and in the middle of a line.
fn interrupted() -> NoAnswer {
    let term = console::Term::stderr();
    let _ = term.show_cursor().and_then(|()| term.write_line(""));
    NoAnswer::Interrupted
}

/// Where a run of quell is seen.
pub struct Ui<'a> {
    out: RefCell<&'a mut dyn Write>,
    err: RefCell<&'a mut dyn Write>,
    prompt: &'a dyn Prompt,
    format: Format,
    /// Why the result could not be written, once it could not.
    unwritten: RefCell<Option<io::Error>>,
    committed: Cell<bool>,
}

impl<'a> Ui<'a> {
    /// Writes there, asks there.
    pub fn new(
        out: &'a mut dyn Write,
        err: &'a mut dyn Write,
        prompt: &'a dyn Prompt,
        format: Format,
    ) -> Self {
        Self {
            out: RefCell::new(out),
            err: RefCell::new(err),
            prompt,
            format,
            unwritten: RefCell::new(None),
            committed: Cell::new(false),
        }
    }

    /// Whether nobody reads the result any more: there is no use in going on.
    pub fn is_closed(&self) -> bool {
        self.unwritten.borrow().is_some()
    }

    /// Why the result is not where it should be; `None` where it is, and where whoever read it went away.
    pub fn unwritten(&self) -> Option<String> {
        let unwritten = self.unwritten.borrow();
        let error = unwritten.as_ref()?;
        (error.kind() != io::ErrorKind::BrokenPipe).then(|| error.to_string())
    }

    /// A result: the JSON object, or its text for people.
    pub fn result<R: Serialize>(&self, value: &R, human: impl Fn(&R) -> String) {
        match self.format {
            Format::Human => self.out(&human(value)),
            Format::Json => self.object(value),
        }
    }

    /// Text that is the result by itself, in either format.
    pub fn text(&self, text: &str) {
        self.out(text);
    }

    /// A story: part of the result for people, beside it for programs.
    pub fn story(&self, line: &str) {
        match self.format {
            Format::Human => self.out(&format!("{}\n", clean_lines(line))),
            Format::Json => self.say(line),
        }
    }

    /// What is going on.
    pub fn say(&self, line: &str) {
        let mut err = self.err.borrow_mut();
        // A closed stderr keeps nobody from containing.
        let _ = writeln!(err, "{}", clean_lines(line)).and_then(|()| err.flush());
    }

    /// How far a wait is: on a terminal one line that is written over, elsewhere a line now and then.
    pub fn progress(&self, line: &str) {
        let mut err = self.err.borrow_mut();
        let line = clean(line);
        let written = if self.is_terminal() {
            write!(err, "\r{line}")
        } else {
            writeln!(err, "{line}")
        };
        let _ = written.and_then(|()| err.flush());
    }

    /// The wait is over: what comes next begins a line of its own.
    pub fn progress_over(&self) {
        if self.is_terminal() {
            self.say("");
        }
    }

    /// Whether a person sees what is said as it is said.
    pub fn is_terminal(&self) -> bool {
        self.prompt.is_terminal()
    }

    /// An event of the driver, as it happens.
    pub fn event(&self, event: &Event, who: Option<&str>) {
        match (human::event(event), who) {
            (Some(line), Some(who)) => self.say(&format!("{}: {line}", human::clean(who))),
            (Some(line), None) => self.say(&line),
            (None, _) => {}
        }
    }

    /// From now on something may have been changed, so Ctrl-C is for the verb to answer, which knows what.
    pub fn commit(&self) {
        self.committed.set(true);
    }

    /// Whether something may have been changed.
    pub fn is_committed(&self) -> bool {
        self.committed.get()
    }

    /// What went wrong, for people.
    pub fn complain(&self, failure: &Failure) {
        self.say(&format!("error: {}", failure.error));
        self.say(&failure.changed);
        for hint in &failure.hints {
            self.say(&format!("hint: {hint}"));
        }
    }

    /// What went wrong, as the result.
    pub fn failure(&self, failure: &Failure) {
        self.complain(failure);
        if self.format == Format::Json {
            self.object(failure);
        }
    }

    /// A JSON object on stdout, whatever was said beside it.
    pub fn object<R: Serialize>(&self, value: &R) {
        self.out(&format!("{}\n", report::json(value)));
    }

    /// Asks a person to type something.
    ///
    /// # Errors
    /// [`NoAnswer`].
    pub fn ask(&self, question: &str) -> Result<String, NoAnswer> {
        self.prompt.ask(question)
    }

    /// Lets a person choose.
    ///
    /// # Errors
    /// [`NoAnswer`].
    pub fn choose(&self, question: &str, items: &[String]) -> Result<usize, NoAnswer> {
        self.prompt.choose(question, items)
    }

    fn out(&self, text: &str) {
        let mut out = self.out.borrow_mut();
        if let Err(error) = out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            self.unwritten.borrow_mut().get_or_insert(error);
        }
    }
}
