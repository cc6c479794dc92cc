//! `noroshi stats`: the ready-made statistics.

use crate::failure::Failure;
use crate::lake::{Place, Style, Use, block_on, refused};
use noroshi_model::Nanos;
use noroshi_store::statistics::{Parameters, STATISTICS, find};
use std::io::Write;
use std::process::ExitCode;

const EXAMPLES: &str = "\
Examples:
  noroshi stats
  noroshi stats top-ports --since 2026-01-31 --until 2026-02-01
  noroshi stats backscatter-victims --sensor tokyo --limit 20 --format json";

/// The ready-made statistics; without a name they are listed with their definitions.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Which statistic.
    #[arg(value_name = "NAME")]
    name: Option<String>,
    /// From this instant on.
    #[arg(long, value_name = "TIME")]
    since: Option<Nanos>,
    /// Before this instant.
    #[arg(long, value_name = "TIME")]
    until: Option<Nanos>,
    /// Only what this sensor saw.
    #[arg(long, value_name = "NAME")]
    sensor: Option<String>,
    /// Rows of a ranking.
    #[arg(long, value_name = "ROWS", default_value_t = 10)]
    limit: usize,
    /// Print the SQL instead of asking it.
    #[arg(long, requires = "name")]
    sql: bool,
    #[command(flatten)]
    style: Style,
    #[command(flatten)]
    allowed: Use,
    #[command(flatten)]
    place: Place,
}

/// Runs the command.
pub fn run(args: Args) -> Result<ExitCode, Failure> {
    let Some(name) = &args.name else { return list() };
    let statistic = find(name).map_err(Failure::usage)?;
    let parameters =
        Parameters { since: args.since, until: args.until, sensor: args.sensor.clone(), limit: args.limit };
    let sql = statistic.sql(&parameters);
    if args.sql {
        writeln!(std::io::stdout(), "{sql}")?;
        return Ok(ExitCode::SUCCESS);
    }
    args.style.check()?;
    let lake = args.place.lake()?;
    block_on(async {
        let mut rows = lake.query(&sql, args.allowed.limits()).await.map_err(refused)?;
        args.style.write(&mut rows).await
    })?;
    Ok(ExitCode::SUCCESS)
}

fn list() -> Result<ExitCode, Failure> {
    let mut out = std::io::stdout().lock();
    let width = STATISTICS.iter().map(|statistic| statistic.name.len()).max().unwrap_or(0);
    for statistic in STATISTICS {
        writeln!(out, "{:width$}  {}", statistic.name, statistic.definition)?;
    }
    Ok(ExitCode::SUCCESS)
}
