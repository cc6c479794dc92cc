//! `noroshi query`: any question to the lake, in SQL.

use crate::failure::Failure;
use crate::lake::{Place, Style, Use, block_on, refused};
use std::process::ExitCode;

const EXAMPLES: &str = "\
Examples:
  noroshi query \"select proto, dport, count(*) n from packets group by 1, 2 order by n desc limit 10\"
  noroshi query \"select ip(src), country(src), count(*) from packets where in_prefix(src, '192.0.2.0/24')
                 and ts >= '2026-01-31' group by src\" --format csv
  noroshi query \"select date_trunc('hour', minute), sum(packets), distinct_of(sources) from minutes_ports
                 where port = 23 group by 1 order by 1\"

Functions beside those of SQL: ip, addr, in_prefix, network, country, asn, tool, hex, distinct_of, sketch_merge,
sketch_estimate. Addresses are bytes in the lake: show them with ip(src), compare with src = addr('192.0.2.7').";

/// Any question to the lake, in SQL.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The question; only reading is possible.
    #[arg(value_name = "SQL")]
    sql: String,
    #[command(flatten)]
    style: Style,
    #[command(flatten)]
    allowed: Use,
    #[command(flatten)]
    place: Place,
}

/// Runs the command.
pub fn run(args: Args) -> Result<ExitCode, Failure> {
    args.style.check()?;
    let lake = args.place.lake()?;
    block_on(async {
        let mut rows = lake.query(&args.sql, args.allowed.limits()).await.map_err(refused)?;
        args.style.write(&mut rows).await
    })?;
    Ok(ExitCode::SUCCESS)
}
