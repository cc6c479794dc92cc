//! `noroshi hub`: the hub as a service, from a configuration file.

use crate::failure::Failure;
use noroshi_hub::{Config, Hub, services};
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};

/// Run the hub as a service, from a configuration file.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  noroshi hub --config /etc/noroshi/hub.toml")]
pub struct Args {
    /// Configuration, in TOML.
    #[arg(long, value_name = "FILE", required_unless_present = "check_worker")]
    config: Option<PathBuf>,
    /// Check batches for a hub, over standard input and output.
    #[arg(long, hide = true)]
    check_worker: bool,
}

/// Runs the command.
pub fn run(args: Args) -> Result<ExitCode, Failure> {
    if args.check_worker {
        noroshi_ingest::worker::serve()?;
        return Ok(ExitCode::SUCCESS);
    }
    crate::heap::one_arena_a_core();
    let Some(path) = args.config else { return Err(Failure::usage("--config FILE is missing")) };
    let config = Config::read(&path).map_err(Failure::refused)?;
    runtime()?.block_on(async { serve(Hub::start(config, services::standard()).await?).await })
}

/// What is logged unless RUST_LOG says otherwise: our own stages. The table format's library logs each snapshot it
/// reads, and calls a table that does not exist yet an error.
const LOG: &str = "warn,delta_kernel=off,buoyant_kernel=off,noroshi_hub=info,noroshi_ingest=info,noroshi_store=info,noroshi_wire=info,\
                   noroshi_sensor=info";

/// The log, on standard error.
pub(super) fn log() {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| LOG.into());
    let colours = std::io::stderr().is_terminal();
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second subscriber in one process is no reason to stop.
    drop(log.with_target(false).with_ansi(colours).try_init());
}

/// The runtime that hubs run on, with their log.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    log();
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build()?)
}

/// Says where the hub is, then serves until a signal.
pub(super) async fn serve(mut hub: Hub) -> Result<ExitCode, Failure> {
    let context = hub.context().clone();
    let mut out = std::io::stdout();
    writeln!(out, "hub is up: sensors at {}, data in {}", context.sensor_address, context.config.data.display())?;
    // Whoever read the first line may have gone; a hub does not stop for that.
    let data = context.config.data.display();
    drop(writeln!(out, "next: noroshi fleet token NAME --data {data}").and_then(|()| out.flush()));
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    loop {
        tokio::select! {
            Some(line) = hub.notice() => {
                drop(writeln!(out, "{line}").and_then(|()| out.flush()));
            }
            _ = interrupt.recv() => break,
            _ = terminate.recv() => break,
        }
    }
    hub.stop().await;
    Ok(ExitCode::SUCCESS)
}
