//! `noroshi packets`: captures decoded to rows.

use crate::failure::{Failure, REFUSED};
use crate::inputs;
use crate::ordered::{default_threads, ordered};
use crate::output::Output;
use crate::packets::filter::Filter;
use crate::packets::rows::{self, Text};
use crate::packets::{Fill, Groups, columnar};
use crate::progress::Progress;
use crate::terminal::{Paint, escape};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use noroshi_model::columns::{Column, PACKETS, find};
use noroshi_model::packet::PacketBatch;
use noroshi_packet::decode::decode_into;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const EXAMPLES: &str = "\
Examples:
  noroshi packets capture.pcap.gz --columns ts,src,dport | head
  noroshi packets captures/ --format ndjson --where 'tcp dst port 23 and src net 192.0.2.0/24'
  noroshi packets day.pcap.zst --output day.parquet

Times are seconds since 1970 UTC, addresses text, payloads hexadecimal; Parquet holds the types themselves.
The columns are explained in the data dictionary.";

/// Captured bytes or packets that make one piece of text; small, so that the first lines appear at once.
const TEXT_PIECE: Fill = Fill { bytes: 1 << 20, packets: 1 << 14 };

/// Captures decoded to rows: one row per packet, as CSV, JSON lines or Parquet.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Captures (pcap or pcapng, also gzip or zstd), directories of them, or - for standard input.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// How rows are written [default: as the name of the output ends, else csv].
    #[arg(long, short, value_enum)]
    format: Option<Format>,
    /// Columns to write, in this order, separated by commas [default: all].
    #[arg(long, value_name = "NAMES", value_delimiter = ',', hide_possible_values = false, value_parser = column_parser())]
    columns: Vec<&'static Column>,
    /// Only packets that match, in tcpdump's filter language (man pcap-filter).
    #[arg(long = "where", value_name = "EXPR")]
    filter: Option<String>,
    /// Write to a file instead of standard output; it appears when it is whole.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Threads that decode and encode [default: one per core].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// Comma-separated values with a header row.
    Csv,
    /// One JSON object per line.
    Ndjson,
    /// Apache Parquet.
    Parquet,
}

impl Format {
    /// What the name of a file promises.
    fn of(output: Option<&Path>) -> Format {
        match output.and_then(Path::extension).and_then(|extension| extension.to_str()) {
            Some("parquet") => Format::Parquet,
            Some("ndjson" | "jsonl" | "json") => Format::Ndjson,
            _ => Format::Csv,
        }
    }
}

fn column_parser() -> impl TypedValueParser<Value = &'static Column> {
    PossibleValuesParser::new(PACKETS.iter().map(|column| column.name))
        .try_map(|name| find(PACKETS, &name).ok_or("unknown column"))
}

/// Runs the command.
pub fn run(args: Args) -> Result<ExitCode, Failure> {
    let filter = args.filter.as_deref().map(Filter::compile).transpose()?;
    let columns = columns(&args)?;
    let format = args.format.unwrap_or_else(|| Format::of(args.output.as_deref()));
    if format == Format::Parquet && Output::is_terminal(args.output.as_deref()) {
        return Err(Failure::usage("Parquet is not for a terminal").hint("name a file with --output, or pipe it"));
    }
    let inputs = inputs::expand(&args.paths)?;
    let progress = Progress::bytes(inputs::total_bytes(&inputs));
    let threads = args.threads.map_or_else(default_threads, usize::from);
    let mut output = Output::open(args.output.as_deref())?;
    let text = match format {
        Format::Csv => Some(Text::Csv),
        Format::Ndjson => Some(Text::Ndjson),
        Format::Parquet => None,
    };
    let fill = if text.is_some() { TEXT_PIECE } else { columnar::ROW_GROUP };
    let mut groups = Groups::new(&inputs, filter, &progress, fill);
    match text {
        Some(text) => write_text(&mut groups, text, &columns, threads, &mut output)?,
        None => {
            columnar::write(&mut groups, &columns, threads, &mut output)?;
        }
    }
    progress.finish();
    let code = conclude(&groups, inputs.len());
    match code {
        // Nothing could be read: no file is left behind that looks like an answer.
        Some(failure) => return Err(failure),
        None => output.finish()?,
    }
    Ok(if groups.refused > 0 { ExitCode::from(REFUSED) } else { ExitCode::SUCCESS })
}

fn columns(args: &Args) -> Result<Vec<&'static Column>, Failure> {
    if args.columns.is_empty() {
        return Ok(PACKETS.iter().collect());
    }
    for (i, column) in args.columns.iter().enumerate() {
        if args.columns[..i].iter().any(|before| before.name == column.name) {
            return Err(Failure::usage("a column is named twice").at(column.name).hint("name each column once"));
        }
    }
    Ok(args.columns.clone())
}

fn write_text(
    groups: &mut Groups,
    text: Text,
    columns: &[&'static Column],
    threads: usize,
    output: &mut Output,
) -> Result<(), Failure> {
    let mut head = Some(rows::head(text, columns));
    let shelf = groups.shelf();
    ordered(
        threads,
        &mut *groups,
        |group| {
            let mut bytes = Vec::new();
            let mut packets = PacketBatch::default();
            for raw in group {
                shelf.put(decode_into(raw, 0, &mut packets));
                rows::write(text, columns, &packets, &mut bytes);
            }
            bytes
        },
        |bytes| -> Result<(), Failure> {
            output.write_all(head.take().unwrap_or_default().as_bytes())?;
            Ok(output.write_all(&bytes)?)
        },
    )?;
    // A capture without packets is an answer too, but a refused one is not.
    if groups.problems.is_empty() {
        output.write_all(head.take().unwrap_or_default().as_bytes())?;
    }
    Ok(())
}

/// Says what could not be read; a failure when that is everything.
fn conclude(groups: &Groups, inputs: usize) -> Option<Failure> {
    if groups.refused == inputs
        && let [(path, problem)] = &groups.problems[..]
    {
        return Some(Failure::refused(&problem.text).at(path));
    }
    let paint = Paint::stderr();
    for (path, problem) in &groups.problems {
        let place = problem.offset.map_or(String::new(), |offset| format!(" (at byte {offset})"));
        eprintln!("{} {}: {}{place}", paint.warn("noroshi:"), escape(path), escape(&problem.text));
    }
    if groups.unfiltered() > 0 {
        let count = groups.unfiltered();
        eprintln!("{} --where left out {count} packets of link types that it cannot look into", paint.warn("noroshi:"));
    }
    (groups.refused == inputs).then(|| Failure::refused("none of the inputs could be read"))
}
