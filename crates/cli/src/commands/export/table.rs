//! `noroshi export table`: a table of the lake, or a part of it, in forms that other programs read.

use crate::failure::Failure;
use crate::lake::{Place, Shape, Style, Use, block_on, refused};
use crate::output::Output;
use noroshi_model::Nanos;
use noroshi_store::flowtuple::{self, FlowTupleError};
use std::path::PathBuf;
use std::process::ExitCode;

const EXAMPLES: &str = "\
Examples:
  noroshi export table packets --since 2026-01-31 --until 2026-02-01 --format parquet --output day.parquet
  noroshi export table minutes_ports --format csv
  noroshi export table packets --format flowtuple --output day.flowtuple.avro";

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
    /// How the rows are written.
    #[arg(long, short, value_enum, default_value_t = Form::Table)]
    format: Form,
    /// Write to a file instead of standard output; it appears when it is whole.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    allowed: Use,
    #[command(flatten)]
    place: Place,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Form {
    /// Aligned columns.
    Table,
    /// One JSON document.
    Json,
    /// Comma-separated values with a header row.
    Csv,
    /// Apache Parquet.
    Parquet,
    /// An Arrow IPC stream.
    Arrow,
    /// Packets summed up per five minutes, source, destination /24, port and protocol: FlowTuple version 4 in Avro.
    Flowtuple,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<ExitCode, Failure> {
    let shape = match args.format {
        Form::Table => Shape::Table,
        Form::Json => Shape::Json,
        Form::Csv => Shape::Csv,
        Form::Parquet => Shape::Parquet,
        Form::Arrow => Shape::Arrow,
        Form::Flowtuple => return sums(args),
    };
    let style = Style::new(shape, args.output.clone());
    style.check()?;
    let lake = args.place.lake()?;
    let sql = lake.table_sql(&args.name, args.since, args.until, args.sensor.as_deref()).map_err(refused)?;
    block_on(async {
        let mut rows = lake.query(&sql, args.allowed.limits()).await.map_err(refused)?;
        style.write(&mut rows).await
    })?;
    Ok(ExitCode::SUCCESS)
}

fn sums(args: &Args) -> Result<ExitCode, Failure> {
    if args.name != "packets" {
        return Err(Failure::usage(format!("FlowTuple sums up packets, not {}", args.name))
            .hint("noroshi export table packets --format flowtuple --output FILE"));
    }
    Style::new(Shape::Arrow, args.output.clone()).check()?;
    let lake = args.place.lake()?;
    let mut output = Output::open(args.output.as_deref())?;
    let (window, sensor, limits) = ((args.since, args.until), args.sensor.as_deref(), args.allowed.limits());
    let written = block_on(async {
        flowtuple::write(&lake, window, sensor, limits, &mut output).await.map_err(|error| match error {
            FlowTupleError::Query(error) => refused(error),
            FlowTupleError::Io(error) => error.into(),
        })
    })?;
    output.finish()?;
    eprintln!("{} records of {} packets", written.records, written.packets);
    if written.left_out > 0 {
        eprintln!("{} packets without a time or not of IPv4 are left out: the format has no place", written.left_out);
    }
    Ok(ExitCode::SUCCESS)
}
