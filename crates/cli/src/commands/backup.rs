//! `noroshi backup`: a consistent copy of a hub's folder, made while it runs.

use crate::failure::Failure;
use crate::lake::{Place, block_on};
use noroshi_store::backup::{BackupError, Manifest};
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

const EXAMPLES: &str = "\
Examples:
  noroshi backup /mnt/backup/2026-01-31
  noroshi restore /mnt/backup/2026-01-31 --data /srv/noroshi

The hub may run. The copy holds journal, lake, accounts and keys of one moment: keep it as safe as the hub itself.
It appears when it is whole.";

/// A consistent copy of everything a hub keeps, made while it runs.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Folder for the copy; it must not exist.
    #[arg(value_name = "FOLDER")]
    to: PathBuf,
    #[command(flatten)]
    place: Place,
}

/// Runs the command.
pub fn run(args: Args) -> Result<ExitCode, Failure> {
    let data = args.place.data()?;
    if !data.is_dir() {
        return Err(Failure::refused("there is no such folder").at(data.display()).hint("name the hub's with --data"));
    }
    let manifest = block_on(async { noroshi_store::backup::backup(&data, &args.to).await.map_err(explain) })?;
    tell(&manifest)?;
    Ok(ExitCode::SUCCESS)
}

/// What was copied, in one line.
pub(super) fn tell(manifest: &Manifest) -> Result<(), Failure> {
    let bytes: u64 = manifest.files.values().map(|file| file.bytes).sum();
    let (files, tables) = (manifest.files.len(), manifest.tables.len());
    writeln!(
        std::io::stdout(),
        "{files} files, {bytes} bytes; {tables} tables; journal through row {}",
        manifest.journal_row
    )?;
    Ok(())
}

/// A folder that is in the way or not whole is refused; what fails, failed.
pub(super) fn explain(error: BackupError) -> Failure {
    match error {
        BackupError::Exists(_) | BackupError::NotWhole { .. } => Failure::refused(error),
        error => Failure::failed(error),
    }
}
