//! The composition root: wires the real world to the command line, and exits.

use std::process::ExitCode;

use quell::aws::Aws;
use quell::aws::wire::ServerClock;
use quell::cli::{self, Outside, exit::Exit, ui::Terminal};
use quell::cloud::ConnectError;
use quell::ids::Region;

/// AWS as this machine's environment names it.
struct ThisMachine;

impl Outside for ThisMachine {
    type World = Aws<ServerClock>;

    async fn connect(
        &self,
        profile: Option<&str>,
        region: Option<&Region>,
    ) -> Result<Self::World, ConnectError> {
        Aws::connect(profile, region).await
    }

    async fn interrupted(&self) {
        if tokio::signal::ctrl_c().await.is_err() {
            // No handler could be installed: Ctrl-C then ends the process as it always did.
            std::future::pending::<()>().await;
        }
    }
}

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let exit = match runtime {
        Ok(runtime) => {
            let (mut out, mut err) = (std::io::stdout(), std::io::stderr());
            runtime.block_on(cli::run(
                std::env::args_os(),
                &ThisMachine,
                &Terminal,
                &mut out,
                &mut err,
            ))
        }
        Err(_) => Exit::Failed,
    };
    ExitCode::from(exit.code())
}
