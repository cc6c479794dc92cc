//! `noroshi sensor`: the same as the program `noroshi-sensor`.

use crate::failure::Failure;
use std::process::ExitCode;

/// Be a sensor: enrol, run, show the policy, examine.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  noroshi sensor run --replay day.pcap.gz", arg_required_else_help = true)]
pub struct Args {
    #[command(subcommand)]
    command: noroshi_sensor::command::Command,
}

/// Runs the command.
pub fn run(args: Args) -> Result<ExitCode, Failure> {
    super::hub::log();
    noroshi_sensor::command::execute(args.command, &mut std::io::stdout())
        .map_err(|error| if error.is_refusal() { Failure::refused(error) } else { Failure::failed(error) })?;
    Ok(ExitCode::SUCCESS)
}
