//! The commands, one file each.
//!
//! # How to add one
//!
//! 1. `commands/<verb>.rs` exports two things:
//!
//!    ```ignore
//!    /// One line that says what it does; `noroshi --help` shows it. More lines appear in `noroshi <verb> --help`.
//!    #[derive(clap::Args)]
//!    #[command(after_help = "Example:\n  noroshi <verb> …")]
//!    pub struct Args { … }
//!
//!    pub fn run(args: Args) -> Result<ExitCode, Failure> { … }
//!    ```
//!
//!    `run` is synchronous; a command that serves makes its own runtime. Values are parsed by types
//!    (`noroshi_model::Prefix`, `Nanos`, `Addr` have `FromStr`), so wrong ones are refused with exit code 2 before
//!    `run` starts.
//! 2. Below: a `mod` line, a variant, an arm, each in the order of the design's table. A command that needs the hub,
//!    the store or the query engine stands behind `#[cfg(feature = "hub")]` in all three places, and its crates are
//!    optional dependencies of that feature.
//! 3. `tests/it/<verb>.rs`: the command as typed, its failures and exit codes. `--help` with an example is checked for
//!    every command without further ado.
//!
//! Print results on standard output with `write!` (a closed pipe then ends the command quietly), everything else on
//! standard error, foreign text through [`crate::terminal::escape`].

use crate::failure::Failure;
pub(crate) use forecast::Origin;
use std::process::ExitCode;

#[cfg(feature = "hub")]
mod alert;
mod analyze;
#[cfg(feature = "hub")]
mod backup;
mod bench;
mod brief;
mod correlate;
#[cfg(feature = "hub")]
mod doctor;
#[cfg(feature = "hub")]
mod explore;
#[cfg(feature = "hub")]
mod export;
#[cfg(feature = "hub")]
mod fleet;
mod forecast;
#[cfg(feature = "hub")]
mod fsck;
mod geo;
#[cfg(feature = "hub")]
mod hub;
mod import;
mod lead;
mod locality;
mod malware;
mod malware_run;
mod packets;
#[cfg(feature = "hub")]
mod query;
#[cfg(feature = "hub")]
mod restore;
#[cfg(feature = "hub")]
mod sensor;
mod similar;
mod simulate;
#[cfg(feature = "hub")]
mod stats;
mod synchrony;
pub(crate) mod table;
mod train;
#[cfg(feature = "hub")]
mod up;
mod vulnerabilities;

/// One variant per command.
#[derive(clap::Subcommand)]
#[allow(clippy::large_enum_variant, missing_docs)] // built once; each command is documented by its arguments
pub enum Command {
    Analyze(analyze::Args),
    Packets(packets::Args),
    Simulate(simulate::Args),
    #[cfg(feature = "hub")]
    Up(up::Args),
    #[cfg(feature = "hub")]
    Hub(hub::Args),
    #[cfg(feature = "hub")]
    Fleet(fleet::Args),
    #[cfg(feature = "hub")]
    Sensor(sensor::Args),
    #[cfg(feature = "hub")]
    Doctor(doctor::Args),
    #[cfg(feature = "hub")]
    Query(query::Args),
    #[cfg(feature = "hub")]
    Explore(explore::Args),
    #[cfg(feature = "hub")]
    Stats(stats::Args),
    Import(import::Args),
    Malware(malware::Args),
    Correlate(correlate::Args),
    Forecast(forecast::Args),
    Synchrony(synchrony::Args),
    Locality(locality::Args),
    Similar(similar::Args),
    Lead(lead::Args),
    Train(train::Args),
    Vulnerabilities(vulnerabilities::Args),
    Brief(brief::Args),
    #[cfg(feature = "hub")]
    Export(export::Args),
    #[cfg(feature = "hub")]
    Alert(alert::Args),
    #[cfg(feature = "hub")]
    Fsck(fsck::Args),
    #[cfg(feature = "hub")]
    Backup(backup::Args),
    #[cfg(feature = "hub")]
    Restore(restore::Args),
    Geo(geo::Args),
    Bench(bench::Args),
}

impl Command {
    /// Runs the command that was typed.
    pub fn run(self) -> Result<ExitCode, Failure> {
        match self {
            Command::Analyze(args) => analyze::run(args),
            Command::Packets(args) => packets::run(args),
            Command::Simulate(args) => simulate::run(args),
            #[cfg(feature = "hub")]
            Command::Up(args) => up::run(args),
            #[cfg(feature = "hub")]
            Command::Hub(args) => hub::run(args),
            #[cfg(feature = "hub")]
            Command::Fleet(args) => fleet::run(args),
            #[cfg(feature = "hub")]
            Command::Sensor(args) => sensor::run(args),
            #[cfg(feature = "hub")]
            Command::Doctor(args) => doctor::run(args),
            #[cfg(feature = "hub")]
            Command::Query(args) => query::run(args),
            #[cfg(feature = "hub")]
            Command::Explore(args) => explore::run(args),
            #[cfg(feature = "hub")]
            Command::Stats(args) => stats::run(args),
            Command::Import(args) => import::run(args),
            Command::Malware(args) => malware::run(args),
            Command::Correlate(args) => correlate::run(args),
            Command::Forecast(args) => forecast::run(args),
            Command::Synchrony(args) => synchrony::run(args),
            Command::Locality(args) => locality::run(args),
            Command::Similar(args) => similar::run(args),
            Command::Lead(args) => lead::run(args),
            Command::Train(args) => train::run(args),
            Command::Vulnerabilities(args) => vulnerabilities::run(args),
            Command::Brief(args) => brief::run(args),
            #[cfg(feature = "hub")]
            Command::Export(args) => export::run(args),
            #[cfg(feature = "hub")]
            Command::Alert(args) => alert::run(args),
            #[cfg(feature = "hub")]
            Command::Fsck(args) => fsck::run(args),
            #[cfg(feature = "hub")]
            Command::Backup(args) => backup::run(args),
            #[cfg(feature = "hub")]
            Command::Restore(args) => restore::run(args),
            Command::Geo(args) => geo::run(args),
            Command::Bench(args) => bench::run(args),
        }
    }
}
