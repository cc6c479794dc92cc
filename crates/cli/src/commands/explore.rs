//! `noroshi explore`: statistics in the filter language that the API and the portal speak.

use crate::failure::Failure;
use crate::lake::{Place, Style, Use, block_on, refused};
use noroshi_api::query::{Measure, RawQuery};
use noroshi_model::Nanos;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

const EXAMPLES: &str = "\
Examples:
  noroshi explore --by dport --filter \"proto = tcp and not country = JP\" --from -24h
  noroshi explore --by kind,country --measure sources --from 2026-01-31 --to 2026-02-01 --format csv
  noroshi explore --by src --filter \"dport in (23, 2323)\" --sql

Fields and words of the filter language are the portal's: kind, country, src, network, dst, dport, sport, proto, tool,
sensor, tcp_flags, ttl, window, mss, ip_id, icmp_type, icmp_code, family, evidence, wire_len, payload_len, quoted_dst, seq.";

/// Statistics by any fields over any filter, as on the portal's page of that name.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Fields to group by, separated by commas; at most three.
    #[arg(long, value_name = "FIELDS", default_value = "dport")]
    by: String,
    /// What to count over.
    #[arg(long, value_name = "FILTER")]
    filter: Option<String>,
    /// What is counted and ordered by.
    #[arg(long, value_name = "WHAT", default_value = "packets", value_parser = ["packets", "bytes", "sources", "destinations"])]
    measure: String,
    /// Start: a time, or -24h before the end (also m, d).
    #[arg(long, value_name = "TIME", default_value = "-24h", allow_hyphen_values = true)]
    from: String,
    /// End [default: now].
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    to: Option<String>,
    /// Groups to show.
    #[arg(long, value_name = "N", default_value_t = 50)]
    groups: usize,
    /// Print the question in SQL, for `noroshi query`, and ask nothing.
    #[arg(long)]
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
    args.style.check()?;
    let measure = match args.measure.as_str() {
        "bytes" => Measure::Bytes,
        "sources" => Measure::Sources,
        "destinations" => Measure::Destinations,
        _ => Measure::Packets,
    };
    let raw = RawQuery {
        by: Some(args.by),
        filter: args.filter,
        measure: Some(measure),
        from: Some(args.from),
        to: args.to,
        groups: Some(args.groups),
        ..RawQuery::default()
    };
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = Nanos(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX));
    let sql = raw.check(now).map_err(Failure::refused)?.sql();
    if args.sql {
        use std::io::Write;
        writeln!(std::io::stdout(), "{sql}")?;
        return Ok(ExitCode::SUCCESS);
    }
    let lake = args.place.lake()?;
    block_on(async {
        let mut rows = lake.query(&sql, args.allowed.limits()).await.map_err(refused)?;
        args.style.write(&mut rows).await
    })?;
    Ok(ExitCode::SUCCESS)
}
