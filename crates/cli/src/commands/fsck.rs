//! `noroshi fsck`: is the lake whole, and if not, make it so.

use crate::failure::{Failure, REFUSED};
use crate::lake::{Place, block_on};
use noroshi_store::lake::{Lake, TableSize};
use std::io::Write;
use std::process::ExitCode;

const EXAMPLES: &str = "\
Examples:
  noroshi fsck
  noroshi fsck --repair

Every live file of every table is read to its end: missing, cut, or damaged files and wrong row counts are found.
With --repair a damaged file is set aside in `quarantine` and leaves the table in one commit; the rows lost are named.
Stop the hub before a repair. Exit code: 0 whole (or made so), 3 damage found.";

/// Is the lake whole, and if not, make it so.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Set damaged files aside.
    #[arg(long)]
    repair: bool,
    #[command(flatten)]
    place: Place,
}

/// Runs the command.
pub fn run(args: Args) -> Result<ExitCode, Failure> {
    let dir = args.place.lake()?.dir().to_owned();
    let _lock = if args.repair { Some(args.place.exclusive()?.1) } else { None };
    block_on(async {
        let lake = Lake::open(&dir).await?;
        let checks = lake.check(args.repair).await?;
        let mut out = std::io::stdout().lock();
        let (mut damaged, sizes) = (0, lake.sizes().await?);
        for check in &checks {
            let state = if check.damage.is_empty() { "whole" } else { "DAMAGED" };
            writeln!(
                out,
                "{:20} {:8} {:>6} files {:>12} rows {:>14} bytes",
                check.table, state, check.files, check.rows, check.bytes
            )?;
            let size = sizes.iter().find(|size| size.table == check.table);
            if let Some(days) = size.and_then(TableSize::days_left) {
                writeln!(out, "  full in {days:.1} days at this rate, then the oldest hours go")?;
            }
            for damage in &check.damage {
                let done = if args.repair { "; set aside" } else { "" };
                writeln!(out, "  {}: {} ({} rows){done}", damage.path, damage.reason, damage.rows)?;
                damaged += 1;
            }
        }
        Ok(if damaged == 0 || args.repair { ExitCode::SUCCESS } else { ExitCode::from(REFUSED) })
    })
}
