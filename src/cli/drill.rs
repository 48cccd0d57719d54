//! `quell drill` and `quell range serve`: practice.

mod live;

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use jiff::SignedDuration;

use crate::cli::contain;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::given;
use crate::cli::ui::Ui;
use crate::cli::{Common, Outside};
use crate::drill::{self, DrillError, Kind, Script};
use crate::playbook::shelf::Shelf;
use crate::playbook::{Playbook, Step, parse_duration};
use crate::report::human;
use crate::signal::Suspect;
use crate::signal::operator::Given;

/// What `quell drill` takes.
#[derive(Debug, Args)]
pub struct DrillArgs {
    /// Drill on this finding: the organization is drawn so that it could have raised it
    #[arg(long, value_name = "FILE")]
    finding_file: Option<PathBuf>,
    /// Draw the organization from this number
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Let the attacker chain into other accounts under innocent names first; they are traced and denied
    #[arg(long, conflicts_with = "live")]
    chains: bool,
    /// Leave them untraced: the drill fails, and shows why
    #[arg(long, requires = "chains")]
    untraced: bool,
    /// Drill on somebody who is no person of the directory
    #[arg(long, value_name = "KIND", value_parser = kind, conflicts_with_all = ["finding_file", "chains", "live"])]
    of: Option<Kind>,
    /// Drill this playbook, by its name or a file: the attacker does whatever it has a step against
    #[arg(long, value_name = "NAME|FILE", conflicts_with_all = ["chains", "of"])]
    playbook: Option<PathBuf>,
    #[command(flatten)]
    live: live::LiveArgs,
}

/// What `quell range` does.
#[derive(Debug, Subcommand)]
pub enum RangeVerb {
    /// Serve a practice organization to any AWS SDK or CLI, on the loopback interface only
    Serve {
        /// The port; 0 for any that is free
        #[arg(long, value_name = "PORT", default_value_t = 4566)]
        port: u16,
        /// Draw the organization from this number
        #[arg(long, value_name = "N", default_value_t = 1)]
        seed: u64,
        /// How long a change of policies takes to reach the slowest account, as in 30s; AWS takes a while, too
        #[arg(long, value_name = "DURATION", value_parser = parse_duration, default_value = "0s")]
        propagation: SignedDuration,
        /// Refuse what comes faster than AWS publishes that it takes it
        #[arg(long)]
        throttle: bool,
    },
}

/// A kind of principal, by its word.
fn kind(word: &str) -> Result<Kind, String> {
    let known = Kind::ALL.into_iter().find(|(known, _)| *known == word);
    known.map(|(_, kind)| kind).ok_or_else(|| {
        let words: Vec<&str> = Kind::ALL.iter().map(|(word, _)| *word).collect();
        format!("it is one of {}", words.join(", "))
    })
}

/// `quell drill`.
pub async fn drill<O: Outside>(
    args: &DrillArgs,
    common: &Common,
    outside: &O,
    ui: &Ui<'_>,
) -> Result<Exit, Failure> {
    let mut playbook = match (&args.playbook, args.of) {
        (Some(named), _) => contain::playbook_of(named)?,
        (None, Some(kind)) => contain::playbook_of(Path::new(kind.playbook()))?,
        (None, None) => contain::playbook(None)?,
    };
    if args.live.live {
        return live::drill(&args.live, playbook, common, outside, ui).await;
    }
    let suspect = match &args.finding_file {
        Some(path) => Some(practised(path, &playbook, ui)?),
        None => None,
    };
    let script = match (&args.playbook, &suspect) {
        (Some(_), None) => Script::of(&playbook, args.seed),
        (Some(_), Some(_)) | (None, _) => Script {
            seed: args.seed,
            chains: args.chains || args.of == Some(Kind::JumpUser),
            of: args.of,
            ..Script::default()
        },
    };
    if args.playbook.is_some() {
        let steps: Vec<&str> = playbook.steps.iter().map(|step| step.word()).collect();
        let (name, steps) = (&playbook.name, steps.join(", "));
        ui.story(&format!("Playbook {name}: {steps}."));
    }
    if args.untraced {
        playbook.steps.retain(|step| *step != Step::Trace);
    }
    let report = drill::run(script, suspect, &playbook, &|line| ui.story(line))
        .await
        .map_err(|error| match error {
            DrillError::NotPrepared(error) => error.into(),
            DrillError::Refused(refusals) => Failure::refused(&refusals),
            other @ (DrillError::NotApproved(_)
            | DrillError::Stopped(_)
            | DrillError::Journal(_)
            | DrillError::NotAnId(_)
            | DrillError::Unfit(_)
            | DrillError::NothingDenied
            | DrillError::Finding(_)) => {
                Failure::new(Exit::Failed, format!("the drill could not be run: {other}"))
                    .hint("The organization of another seed may do: `quell drill --seed 2`.")
            }
        })?;
    ui.result(&report, human::drill);
    Ok(if report.verdict == "pass" {
        Exit::Done
    } else {
        Exit::Failed
    })
}

/// The one suspect of a finding; whose a key is, no range can know.
fn practised(path: &Path, playbook: &Playbook, ui: &Ui<'_>) -> Result<Suspect, Failure> {
    let shelf = Shelf::of(playbook.clone(), playbook.name.as_str());
    let choice = given::Choice {
        ui,
        shelf: &shelf,
        signals: RefCell::default(),
        all: false,
        allow_sample: false,
    };
    let chosen = choice.made(&given::findings_in(path)?)?;
    match chosen.as_slice() {
        [Given::Suspect(suspect)] => Ok(suspect.clone()),
        _ => Err(Failure::new(
            Exit::Refused,
            "a drill is about one user, and the finding does not name one by itself",
        )
        .hint("Run it without a finding: `quell drill`.")),
    }
}

/// `quell range serve`.
pub async fn range<O: Outside>(
    verb: &RangeVerb,
    outside: &O,
    ui: &Ui<'_>,
) -> Result<Exit, Failure> {
    let RangeVerb::Serve {
        port,
        seed,
        propagation,
        throttle,
    } = verb;
    let (exports, say) = (|lines: &str| ui.text(lines), |line: &str| ui.say(line));
    let serving = drill::serve(*port, *seed, *propagation, *throttle, &exports, &say);
    let served = tokio::select! {
        // First, so that Ctrl-C is listened for before anything begins.
        biased;
        // Ctrl-C is how it is meant to end.
        () = outside.interrupted() => Ok(()),
        served = serving => served,
    };
    served.map(|()| Exit::Done).map_err(|error| {
        Failure::new(
            Exit::Failed,
            format!("the range cannot be served on port {port}: {error}"),
        )
        .hint("Take another port: `quell range serve --port 0`.")
    })
}
