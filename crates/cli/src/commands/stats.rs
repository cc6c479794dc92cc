//! `noroshi stats`: the ready-made statistics.

use crate::failure::Failure;
use crate::lake::{Place, Style, Use, block_on, knowledge, refused};
use noroshi_model::Nanos;
use noroshi_store::Lake;
use noroshi_store::statistics::{Parameters, STATISTICS, find};
use std::io::Write;
use std::process::ExitCode;

const EXAMPLES: &str = "\
Examples:
  noroshi stats
  noroshi stats top-ports --since 2026-01-31 --until 2026-02-01
  noroshi stats backscatter-victims --sensor tokyo --limit 20 --format json
  noroshi stats rebuild

Each part of a window is answered by the coarsest roll-up that covers it exactly. `rebuild` makes the roll-ups again
from the packets; stop the hub first.";

/// The ready-made statistics; without a name they are listed with their definitions.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Which statistic; or rebuild, to make the roll-ups again.
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
    if name == "rebuild" {
        return rebuild(&args.place);
    }
    find(name).map_err(Failure::usage)?;
    args.style.check()?;
    let parameters = Parameters {
        since: args.since,
        until: args.until,
        sensor: args.sensor.clone(),
        limit: args.limit,
        latest: None,
    };
    let lake = args.place.lake()?;
    block_on(async {
        let limits = args.allowed.limits();
        let sql = lake.statistic_sql(name, &parameters, limits).await.map_err(refused)?;
        if args.sql {
            writeln!(std::io::stdout(), "{sql}")?;
            return Ok(());
        }
        let mut rows = lake.query(&sql, limits).await.map_err(refused)?;
        args.style.write(&mut rows).await.map(drop)
    })?;
    Ok(ExitCode::SUCCESS)
}

fn rebuild(place: &Place) -> Result<ExitCode, Failure> {
    drop(place.lake()?);
    let (data, _lock) = place.exclusive()?;
    block_on(async {
        let lake = Lake::open_with(place.lake_at(&data), knowledge()).await?;
        let mut out = std::io::stdout().lock();
        let rebuilt = lake.rebuild_rollups().await?;
        for table in &rebuilt {
            writeln!(out, "{:20} {:>12} rows, from packets since {}", table.table, table.rows, table.since)?;
        }
        if rebuilt.is_empty() {
            writeln!(out, "there are no packets to make roll-ups from")?;
        }
        Ok(())
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
