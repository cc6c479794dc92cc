//! `noroshi restore`: a hub's folder from a backup.

use super::backup::{explain, tell};
use crate::failure::Failure;
use crate::lake::Place;
use std::path::PathBuf;
use std::process::ExitCode;

const EXAMPLES: &str = "\
Example:
  noroshi restore /mnt/backup/2026-01-31 --data /srv/noroshi

Every file is compared with the backup's list first. The folder must not exist; it appears when it is whole. Sensors go
on where the backup knows of them; what they delivered after it and no longer have is lost.";

/// A hub's folder from a backup.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The backup.
    #[arg(value_name = "FOLDER")]
    from: PathBuf,
    #[command(flatten)]
    place: Place,
}

/// Runs the command.
pub fn run(args: Args) -> Result<ExitCode, Failure> {
    let manifest = noroshi_store::backup::restore(&args.from, &args.place.data()?).map_err(explain)?;
    tell(&manifest)?;
    Ok(ExitCode::SUCCESS)
}
