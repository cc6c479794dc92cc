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
use std::process::ExitCode;

mod analyze;
mod geo;
mod simulate;
mod import;
mod packets;

/// One variant per command.
#[derive(clap::Subcommand)]
#[allow(clippy::large_enum_variant, missing_docs)] // built once; each command is documented by its arguments
pub enum Command {
    Analyze(analyze::Args),
    Packets(packets::Args),
    Simulate(simulate::Args),
    Import(import::Args),
    Geo(geo::Args),
}

impl Command {
    /// Runs the command that was typed.
    pub fn run(self) -> Result<ExitCode, Failure> {
        match self {
            Command::Analyze(args) => analyze::run(args),
            Command::Packets(args) => packets::run(args),
            Command::Simulate(args) => simulate::run(args),
            Command::Import(args) => import::run(args),
            Command::Geo(args) => geo::run(args),
        }
    }
}
