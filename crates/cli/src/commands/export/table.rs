//! `noroshi export table`: a table of the lake, or a part of it, in forms that other programs read.

use crate::failure::Failure;
use crate::lake::{Place, Style, Use, block_on, refused};
use noroshi_model::Nanos;
use std::process::ExitCode;

const EXAMPLES: &str = "\
Examples:
  noroshi export table packets --since 2026-01-31 --until 2026-02-01 --format parquet --output day.parquet
  noroshi export table minutes_ports --format csv";

/// What to export.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Name of the table.
    #[arg(value_name = "NAME")]
    name: String,
    /// From this instant on.
    #[arg(long, value_name = "TIME")]
    since: Option<Nanos>,
    /// Before this instant.
    #[arg(long, value_name = "TIME")]
    until: Option<Nanos>,
    /// Only what this sensor sent.
    #[arg(long, value_name = "NAME")]
    sensor: Option<String>,
    #[command(flatten)]
    style: Style,
    #[command(flatten)]
    allowed: Use,
    #[command(flatten)]
    place: Place,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<ExitCode, Failure> {
    args.style.check()?;
    let lake = args.place.lake()?;
    let sql = lake.table_sql(&args.name, args.since, args.until, args.sensor.as_deref()).map_err(refused)?;
    block_on(async {
        let mut rows = lake.query(&sql, args.allowed.limits()).await.map_err(refused)?;
        args.style.write(&mut rows).await
    })?;
    Ok(ExitCode::SUCCESS)
}
