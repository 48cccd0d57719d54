//! The door: arguments, and one dispatch.
//!
//! Each verb is a file that returns a value or a [`Failure`]; [`ui`] alone writes, [`failure`] alone blames.

pub mod exit;

pub mod failure;

pub mod ui;

mod word;

pub mod given;

pub mod contain;

pub mod verify;

pub mod trace;

pub mod status;

pub mod evict;

pub mod readmit;

pub mod release;

pub mod watch;

pub mod drill;

pub mod signal;

pub mod policy;

pub mod playbook;

pub mod journal;

pub mod prepare;

pub mod guardrail;

pub mod audit;

use std::ffi::OsString;
use std::future::Future;
use std::io::Write;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use etcetera::BaseStrategy as _;
use futures_util::FutureExt as _;

use crate::cloud::{Cloud, ConnectError};
use crate::ids::{IncidentId, Region};
use crate::journal::file::{self, JournalFile};
use crate::journal::{FORMAT, Journal, JournalError, Past, Store};
use crate::respond::Stopped;
use exit::Exit;
use failure::Failure;
use ui::{Format, Prompt, Ui};

/// What the command line needs of the world; the composition root provides it.
pub trait Outside {
    /// AWS, or what stands in for it.
    type World: Cloud;
    /// Connects. Called by the verbs that need AWS, and not before.
    fn connect(
        &self,
        profile: Option<&str>,
        region: Option<&Region>,
    ) -> impl Future<Output = Result<Self::World, ConnectError>>;
    /// Returns when the operator presses Ctrl-C.
    fn interrupted(&self) -> impl Future<Output = ()>;
}

/// Cut off a compromised AWS identity across a whole organization, prove it, and let the person back in.
#[derive(Debug, Parser)]
#[command(name = "quell", version, arg_required_else_help = true, after_help = AFTER)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    common: Common,
}

const AFTER: &str = "\
Examples:
  quell drill                                practise the whole story in this process
  quell prepare check                        what would go wrong in an incident; changes nothing
  quell audit --all-accounts                 who could not be contained cleanly; changes nothing
  quell plan alice@example.com               show what containing would do
  quell contain --finding-file finding.json  deny everything, once you typed the name
  quell evict q-7f3a9c                       close the ways to new sessions
  quell status                               every incident, from any machine
  quell release q-7f3a9c                     let the person in again when it is safe

Exit codes:
  0 done and proven    1 failed, nothing changed    2 usage    3 refused
  4 changed, not proven    5 changed, still getting through    6 partly changed
  130 interrupted";

/// What every verb takes.
#[derive(Debug, Args)]
pub struct Common {
    /// Use this profile of the AWS configuration
    #[arg(long, global = true, value_name = "NAME")]
    profile: Option<String>,
    /// Use this Region (default: AWS_REGION or the profile's)
    #[arg(long, global = true, value_name = "REGION")]
    region: Option<Region>,
    /// Write results for people (human) or as one JSON object (json)
    #[arg(
        long,
        global = true,
        value_name = "FORMAT",
        default_value = "human",
        hide_possible_values = true
    )]
    output: Format,
    /// Keep journals in this directory (default: $XDG_STATE_HOME/quell, or ~/.local/state/quell)
    #[arg(long, global = true, value_name = "DIR", env = "QUELL_STATE_DIR")]
    state_dir: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show what containing would do: the deny, the steps, what is not covered. Changes nothing
    Plan(contain::PlanArgs),
    /// Deny a user everything across the organization, and prove it
    Contain(contain::ContainArgs),
    /// Prove with canary sessions that a deny holds
    Verify(verify::VerifyArgs),
    /// Find in CloudTrail whom a user became by assuming roles, and what they left behind; deny the former, too
    Trace(trace::TraceArgs),
    /// List the incidents that AWS remembers, or one
    Status(status::StatusArgs),
    /// Close the ways to new sessions: assignments, groups, account access manager; note what only people can do
    Evict(evict::EvictArgs),
    /// Let the person work again in fresh sessions, while every older one stays refused
    Readmit(readmit::ReadmitArgs),
    /// Wait until an incident can be released, then release it
    Watch(watch::WatchArgs),
    /// Take a deny away when no session of the user can be alive any more
    Release(release::ReleaseArgs),
    /// What is better done before an incident: check, arm, the canary role, the rights
    #[command(subcommand)]
    Prepare(prepare::PrepareVerb),
    /// A standing policy against console users whom an attacker would leave behind: show, check, attach, prove, remove
    #[command(subcommand)]
    Guardrail(guardrail::GuardrailVerb),
    /// Find what would make an incident worse: console users, keys, roles, permission sets. Changes nothing
    Audit(audit::AuditArgs),
    /// Practise a whole incident on the embedded range, 12 hours in a second
    Drill(drill::DrillArgs),
    /// The practice organization, for any AWS SDK or CLI
    #[command(subcommand)]
    Range(drill::RangeVerb),
    /// What is understood of a finding. Needs no AWS
    #[command(subcommand)]
    Signal(signal::SignalVerb),
    /// The policies that quell writes. Needs no AWS
    #[command(subcommand)]
    Policy(policy::PolicyVerb),
    /// How incidents are run. Needs no AWS
    #[command(subcommand)]
    Playbook(playbook::PlaybookVerb),
    /// The record of an incident on this machine. Needs no AWS
    #[command(subcommand)]
    Journal(journal::JournalVerb),
}

impl Common {
    async fn connect<O: Outside>(&self, outside: &O) -> Result<O::World, Failure> {
        self.connect_in(outside, None).await
    }

    /// Connects, in this Region if none was asked for.
    async fn connect_in<O: Outside>(
        &self,
        outside: &O,
        region: Option<&Region>,
    ) -> Result<O::World, Failure> {
        let region = self.region.as_ref().or(region);
        Ok(outside.connect(self.profile.as_deref(), region).await?)
    }

    /// What this machine's journals say, as far as they can be read; that a directory cannot be is no reason to stop.
    fn journals(&self, ui: &Ui<'_>) -> Vec<Past> {
        let listed = self
            .state_directory()
            .map(|directory| file::list(&directory));
        match listed {
            Ok(Ok(journals)) => journals,
            Ok(Err(error)) => {
                ui.say(&format!(
                    "note: this machine's journals cannot be read: {error}"
                ));
                Vec::new()
            }
            Err(_) => Vec::new(),
        }
    }

    fn state_directory(&self) -> Result<PathBuf, Failure> {
        if let Some(directory) = &self.state_dir {
            return Ok(directory.clone());
        }
        let base = etcetera::base_strategy::Xdg::new()
            .ok()
            .and_then(|xdg| xdg.state_dir());
        let base = base.ok_or_else(|| {
            Failure::usage("there is no home directory to keep the journal in")
                .hint("Name one: `--state-dir <directory>`.")
        })?;
        Ok(base.join("quell"))
    }
}

/// The journal of an incident on this machine, begun if there is none. Beside one of a newer quell, which is left as it
/// is, goes one of this version's: what cannot be read must not keep anybody from releasing.
fn open_journal(
    common: &Common,
    incident: &IncidentId,
    ui: &Ui<'_>,
) -> Result<Journal<JournalFile>, Failure> {
    let directory = common.state_directory()?;
    match file::open(&directory, incident) {
        Err(newer @ JournalError::Newer { .. }) => {
            let beside = format!("{incident}.format-{FORMAT}");
            ui.say(&format!(
                "note: {newer}. It is left as it is; what happens now is recorded beside it, in {beside}."
            ));
            Ok(file::open_named(&directory, &beside)?)
        }
        journal => Ok(journal?),
    }
}

/// Runs one command line. Results go to `out`, everything else to `err`.
pub async fn run<O: Outside>(
    arguments: impl IntoIterator<Item = OsString>,
    outside: &O,
    prompt: &dyn Prompt,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Exit {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let arguments = match Arguments::try_parse_from(&arguments) {
        Ok(parsed) => parsed,
        Err(error) => return misused(&error, &arguments, prompt, out, err),
    };
    let ui = Ui::new(out, err, prompt, arguments.common.output);
    let done = tokio::select! {
        // A verb that has changed something hears Ctrl-C by itself, and says what is and is not done.
        biased;
        // Without its type, which is too deep for the compiler.
        done = dispatch(&arguments, outside, &ui).boxed_local() => done,
        () = interrupted_before_anything(outside, &ui) => {
            Err(Failure::new(Exit::Interrupted, "interrupted"))
        }
    };
    let exit = match done {
        Ok(exit) => exit,
        Err(failure) => {
            ui.failure(&failure);
            failure.exit
        }
    };
    match ui.unwritten() {
        // What was done was done; but whoever relies on the result must hear that there is none.
        Some(why) => {
            ui.say(&format!("error: the result could not be written: {why}"));
            if exit == Exit::Done {
                Exit::Failed
            } else {
                exit
            }
        }
        None => exit,
    }
}

/// Returns at Ctrl-C, as long as nothing can have been changed; after that it never does.
async fn interrupted_before_anything<O: Outside>(outside: &O, ui: &Ui<'_>) {
    outside.interrupted().await;
    if ui.is_committed() {
        std::future::pending::<()>().await;
    }
}

/// Does an incident's work unless Ctrl-C comes first, and says in either case what is and is not done.
async fn do_or_say<O: Outside, S, T>(
    outside: &O,
    journal: &mut Journal<S>,
    incident: &IncidentId,
    work: impl AsyncFnOnce(&mut Journal<S>) -> Result<T, Stopped>,
) -> Result<T, Failure>
where
    S: Store,
{
    let done = unless_interrupted(outside, journal, work).await;
    done.map_err(|ended| match ended {
        Some(stopped) => Failure::stopped(&stopped, journal.state(), incident),
        None => Failure::interrupted(journal.state(), incident),
    })
}

/// Does the work of a verb that is about no incident, in the same way.
async fn do_or_say_of<O: Outside, S, T>(
    outside: &O,
    journal: &mut Journal<S>,
    verb: &str,
    work: impl AsyncFnOnce(&mut Journal<S>) -> Result<T, Stopped>,
) -> Result<T, Failure>
where
    S: Store,
{
    let done = unless_interrupted(outside, journal, work).await;
    done.map_err(|ended| Failure::of_verb(ended.as_ref(), journal.state(), verb))
}

/// Does the work; `None` when Ctrl-C came first.
async fn unless_interrupted<O: Outside, S, T>(
    outside: &O,
    journal: &mut Journal<S>,
    work: impl AsyncFnOnce(&mut Journal<S>) -> Result<T, Stopped>,
) -> Result<T, Option<Stopped>>
where
    S: Store,
{
    tokio::select! {
        // First, so that Ctrl-C is listened for before anything begins.
        biased;
        () = outside.interrupted() => Err(None),
        done = work(journal) => done.map_err(Some),
    }
}

async fn dispatch<O: Outside>(
    arguments: &Arguments,
    outside: &O,
    ui: &Ui<'_>,
) -> Result<Exit, Failure> {
    let common = &arguments.common;
    match &arguments.verb {
        Verb::Plan(args) => contain::plan(args, common, outside, ui).await,
        // Without its type: the deepest of all, with several users' futures in it.
        Verb::Contain(args) => {
            contain::contain(args, common, outside, ui)
                .boxed_local()
                .await
        }
        Verb::Verify(args) => verify::verify(args, common, outside, ui).await,
        Verb::Trace(args) => trace::trace(args, common, outside, ui).await,
        Verb::Status(args) => status::status(args, common, outside, ui).await,
        Verb::Evict(args) => evict::evict(args, common, outside, ui).boxed_local().await,
        Verb::Readmit(args) => {
            readmit::readmit(args, common, outside, ui)
                .boxed_local()
                .await
        }
        Verb::Watch(args) => watch::watch(args, common, outside, ui).boxed_local().await,
        Verb::Release(args) => release::release(args, common, outside, ui).await,
        Verb::Prepare(verb) => prepare::prepare(verb, common, outside, ui).await,
        Verb::Guardrail(verb) => {
            guardrail::guardrail(verb, common, outside, ui)
                .boxed_local()
                .await
        }
        Verb::Audit(args) => audit::audit(args, common, outside, ui).boxed_local().await,
        Verb::Drill(args) => drill::drill(args, common, outside, ui).boxed_local().await,
        Verb::Range(verb) => drill::range(verb, outside, ui).await,
        Verb::Signal(verb) => signal::signal(verb, ui),
        Verb::Policy(verb) => policy::policy(verb, ui),
        Verb::Playbook(verb) => playbook::playbook(verb, ui),
        Verb::Journal(verb) => journal::journal(verb, common, ui),
    }
}

/// Help and version on stdout, anything that was misspelt on stderr.
fn misused(
    error: &clap::Error,
    arguments: &[OsString],
    prompt: &dyn Prompt,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Exit {
    let text = error.render().to_string();
    if !error.use_stderr() {
        // Whoever closed the pipe does not want the rest.
        let _ = out.write_all(text.as_bytes());
        return Exit::Done;
    }
    let _ = err.write_all(text.as_bytes());
    let json = arguments
        .windows(2)
        .any(|pair| matches!(pair, [flag, value] if flag == "--output" && value == "json"))
        || arguments.iter().any(|argument| argument == "--output=json");
    if json {
        let first = text
            .lines()
            .next()
            .unwrap_or_default()
            .trim_start_matches("error: ");
        Ui::new(out, err, prompt, Format::Json)
            .object(&Failure::usage(first).hint("See `quell --help`."));
    }
    Exit::Usage
}
