//! The program `noroshi`: what a person types, sees and gets back.
//!
//! [`commands`] has one file per command; [`failure`] is how a command says what went wrong; [`terminal`] knows whether
//! a person is watching and makes foreign text harmless; [`progress`] shows that work goes on.
//!
//! Exit codes, for every command: 0 done, 1 failed, 2 wrong usage, 3 input refused.

pub mod analysis;
pub mod commands;
pub mod failure;
#[cfg(feature = "hub")]
mod heap;
pub mod inputs;
#[cfg(feature = "hub")]
pub mod lake;
pub mod ordered;
pub mod output;
pub mod packets;
pub mod progress;
pub mod report;
mod sightings;
pub mod terminal;

use clap::Parser;
use std::process::ExitCode;

/// Observe Internet-wide attacks, tell them apart, and warn those in their path.
#[derive(Parser)]
#[command(name = "noroshi", version, after_help = AFTER_HELP, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: commands::Command,
}

const AFTER_HELP: &str = "\
Exit codes: 0 done, 1 failed, 2 wrong usage, 3 input refused.

Example:
  noroshi analyze capture.pcap.gz";

/// Reads the command line, runs the command, reports a failure on standard error.
pub fn main() -> ExitCode {
    // The sandbox starts this program again as its cell, which is not a command for people.
    let words: Vec<String> = std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
    if words.get(1).is_some_and(|word| word == noroshi_sandbox::cell::WORD) {
        return match noroshi_sandbox::cell::serve(&words[2..]) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => failure::Failure::from(error).report(),
        };
    }
    match Cli::parse().command.run() {
        Ok(code) => code,
        Err(failure) => failure.report(),
    }
}
