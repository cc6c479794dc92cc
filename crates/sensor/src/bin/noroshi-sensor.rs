//! The lean program for the field: captures, obeys the policy of two hands, delivers to the hub.

use clap::Parser;
use std::process::ExitCode;

/// A sensor of Noroshi: observes, obeys two hands, keeps what it saw until the hub has it.
#[derive(Parser)]
#[command(
    version,
    after_help = "Example:\n  noroshi-sensor enroll kyoto-1@hub.example.net:7443 nrs1-…\n  noroshi-sensor run --replay day.pcap.gz"
)]
struct Args {
    #[command(subcommand)]
    command: noroshi_sensor::command::Command,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    let colours = std::io::IsTerminal::is_terminal(&std::io::stderr());
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    log.with_target(false).with_ansi(colours).init();
    match noroshi_sensor::command::execute(args.command, &mut std::io::stdout()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("noroshi-sensor: {error}");
            ExitCode::from(if error.is_refusal() { 3 } else { 1 })
        }
    }
}
