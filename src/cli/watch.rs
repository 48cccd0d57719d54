//! `quell watch`: waits for the gates of a release, and releases when they open.

use clap::Args;
use jiff::SignedDuration;

use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::release::{self, ReleaseArgs};
use crate::cli::ui::Ui;
use crate::cli::{Common, Outside, given};
use crate::cloud::{Clock as _, Cloud as _, Read as _};
use crate::release::{Closed, gate};
use crate::report::human;
use crate::respond::iam_users;

/// How often the gates are asked: what was opened again meanwhile is told soon, and AWS is asked little.
const ASK_EVERY: SignedDuration = SignedDuration::from_mins(10);

/// How often the wait is shown.
const SHOW_EVERY: SignedDuration = SignedDuration::from_secs(30);

/// What `quell watch` takes.
#[derive(Debug, Args)]
pub struct WatchArgs {
    #[command(flatten)]
    release: ReleaseArgs,
}

/// `quell watch`.
pub async fn watch<O: Outside>(
    args: &WatchArgs,
    common: &Common,
    outside: &O,
    ui: &Ui<'_>,
) -> Result<Exit, Failure> {
    let Some(id) = args.release.incident() else {
        return Err(Failure::usage("one incident is watched at a time")
            .hint("Name it: `quell watch <incident>`."));
    };
    if args.release.is_forced() {
        return Err(Failure::usage("what is forced is not waited for")
            .hint(format!("Release it now: `quell release {id} --force`.")));
    }
    // Nobody sits there when it is over.
    if !args.release.is_approved() {
        return Err(Failure::new(
            Exit::Refused,
            "not approved: what is released when the wait is over is approved now",
        )
        .hint(format!("Say that you mean it: `quell watch {id} --yes`.")));
    }
    let playbook = args.release.playbook()?;
    let roles = &playbook.verify.canary_roles;
    let world = common.connect(outside).await?;
    let (clock, began) = (world.clock(), world.clock().now());
    let mut looked = false;
    loop {
        let known = given::incident(&world, id).await?;
        let (incident, policy) = (&known.incident, &known.policy.id);
        let meanwhile = iam_users::meanwhile(&world, incident, policy, roles).await;
        let now = clock.now();
        let until = match gate(&known.incident, &meanwhile, now) {
            Ok(_) => break,
            Err(Closed::TooEarly { wait }) => wait.until,
            // It may pass: whoever watches for hours does not give up for a network that was away for a moment.
            Err(Closed::CannotLook { why } | Closed::SignInsUnknown { why }) if looked => {
                ui.say(&format!("note: {}; asking again.", human::clean(&why)));
                now + ASK_EVERY
            }
            Err(closed) => {
                let known = (&known.incident, &known.policy.id);
                let operator = world.read().caller().await?.arn;
                ui.progress_over();
                return Err(release::stays_contained(
                    &closed, known, &operator, &world, common, ui,
                )
                .await);
            }
        };
        looked = true;
        let ask_again = until.min(now + ASK_EVERY);
        while clock.now() < ask_again {
            let now = clock.now();
            let whole = until.duration_since(began).as_secs_f64();
            let part = now.duration_since(began).as_secs_f64() / whole.max(1.0);
            ui.progress(&human::waiting(id, part, until.duration_since(now)));
            let pause = if ui.is_terminal() {
                SHOW_EVERY
            } else {
                ASK_EVERY
            };
            clock.sleep(pause.min(ask_again.duration_since(now))).await;
        }
    }
    ui.progress_over();
    release::release(&args.release, common, outside, ui).await
}
