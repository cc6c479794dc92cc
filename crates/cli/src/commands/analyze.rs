//! `noroshi analyze`: captures in, report out.

use crate::analysis::{self, Request};
use crate::failure::{Failure, REFUSED};
use crate::inputs::{self, Input};
use crate::ordered::default_threads;
use crate::output::Output;
use crate::progress::Progress;
use crate::report::{Top, cut, html, json, text};
use crate::terminal::{Paint, escape};
use noroshi_detect::Config;
use noroshi_enrich::{HOW_TO_GET_COUNTRIES, Knowledge, default_dir};
use noroshi_model::report::Report;
use noroshi_model::{Nanos, Prefix};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

const EXAMPLES: &str = "\
Examples:
  noroshi analyze capture.pcap.gz
  noroshi analyze captures/ --monitored 198.51.100.0/24 --format html --output report.html
  zstdcat day.pcap.zst | noroshi analyze - --format json --top all

Exit code 3 when an input was refused; the others are reported all the same.";

/// Smallest memory bound; below it the fixed tables alone would not fit.
const MEMORY_MIN: u64 = 64 << 20;

/// Captures in, report out: who attacked whom, how, from where, with what tool.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Captures (pcap or pcapng, also gzip or zstd), directories of them, or - for standard input.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// The monitored space; may be given several times [default: inferred from the data].
    #[arg(long, short, value_name = "CIDR")]
    monitored: Vec<Prefix>,
    /// A page for a terminal, the published contract (docs/report.schema.json), or a page for a browser.
    #[arg(long, short, value_enum, default_value = "text")]
    format: Format,
    /// Write to a file instead of standard output; it appears when it is whole.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Only packets from this time on: 2026-01-31, 2026-01-31T12:00:00Z, or seconds since 1970.
    #[arg(long, value_name = "TIME", allow_negative_numbers = true)]
    since: Option<Nanos>,
    /// Only packets before this time.
    #[arg(long, value_name = "TIME", allow_negative_numbers = true)]
    until: Option<Nanos>,
    /// Rows of each list, or all [default: 10 in text, 100 in html, 1000 in json]. Totals are never cut.
    #[arg(long, value_name = "N")]
    top: Option<Top>,
    /// Threads that decode and detect [default: one per core].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// Memory for tables; past it counts become estimates, and the report says so.
    #[arg(long, value_name = "SIZE", default_value = "1GiB", value_parser = parse_size)]
    memory: u64,
    /// Tables of countries, networks and known scanners made by `noroshi geo import` [default: as there].
    #[arg(long, value_name = "DIR")]
    knowledge: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// One page for a terminal.
    Text,
    /// For programs: noroshi.report/1.
    Json,
    /// One self-contained page for a browser or a printer.
    Html,
}

fn parse_size(text: &str) -> Result<u64, String> {
    let refused = || "expected a size such as 512MiB, 2GiB or 4GB".to_owned();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let factor: u64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kib" => 1 << 10,
        "kb" => 1000,
        "m" | "mib" => 1 << 20,
        "mb" => 1_000_000,
        "g" | "gib" => 1 << 30,
        "gb" => 1_000_000_000,
        "t" | "tib" => 1 << 40,
        "tb" => 1_000_000_000_000,
        _ => return Err(refused()),
    };
    let bytes = number.parse::<u64>().ok().and_then(|n| n.checked_mul(factor)).ok_or_else(refused)?;
    if bytes < MEMORY_MIN { Err("the least is 64MiB".to_owned()) } else { Ok(bytes) }
}

impl Args {
    fn rows(&self) -> Top {
        self.top.unwrap_or(match self.format {
            Format::Text => Top::Rows(10),
            Format::Html => Top::Rows(100),
            Format::Json => Top::Rows(1000),
        })
    }

    fn knowledge(&self) -> Result<Knowledge, Failure> {
        match self.knowledge.clone().or_else(default_dir) {
            Some(dir) if self.knowledge.is_none() || dir.is_dir() => Knowledge::open(&dir).map_err(|error| {
                Failure::from(error).at(dir.display()).hint("make the tables anew with noroshi geo import")
            }),
            Some(dir) => Err(Failure::refused("there is no such directory")
                .at(dir.display())
                .hint("name the directory that noroshi geo import wrote to")),
            None => Ok(Knowledge::empty()),
        }
    }
}

/// Runs the command.
pub fn run(args: Args) -> Result<ExitCode, Failure> {
    if let (Some(since), Some(until)) = (args.since, args.until)
        && since >= until
    {
        return Err(Failure::usage("--since is not before --until").hint("swap them, or leave one out"));
    }
    let knowledge = args.knowledge()?;
    let inputs = inputs::expand(&args.paths)?;
    let mut output = Output::open(args.output.as_deref())?;
    let mut report = analyze(&args, &inputs, &knowledge)?;
    cut(&mut report, args.rows());
    let refused = refused(&report);
    // Programs get their answer also when nothing could be read; a person gets the reason instead of an empty page.
    if args.format != Format::Json
        && refused == inputs.len()
        && let [file] = &report.capture.files[..]
        && let Some(problem) = file.problems.first()
    {
        return Err(Failure::refused(&problem.text).at(&file.path));
    }
    match args.format {
        Format::Text if args.output.is_none() => text::write(&report, text::Look::stdout(), &mut output)?,
        Format::Text => text::write(&report, text::Look { paint: Paint::PLAIN, width: 100 }, &mut output)?,
        Format::Json => json::write(&report, &mut output)?,
        Format::Html => html::write(&report, &mut output)?,
    }
    output.finish()?;
    if args.format == Format::Text && !knowledge.has_country() && report.totals.sources > 0 {
        eprintln!("{}", Paint::stderr().faint(format!("Countries are not known yet. {HOW_TO_GET_COUNTRIES}")));
    }
    Ok(conclude(&report, refused))
}

fn analyze(args: &Args, inputs: &[Input], knowledge: &Knowledge) -> Result<Report, Failure> {
    let threads = args.threads.map_or_else(default_threads, usize::from);
    let config = Config {
        monitored: args.monitored.clone(),
        since: args.since,
        until: args.until,
        memory_bytes: args.memory,
        threads,
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as i64);
    let request = Request { config, sources_max: args.rows().rows(), now: Nanos(now) };
    let progress = Progress::bytes(inputs::total_bytes(inputs));
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
    Ok(pool.install(|| analysis::analyze(inputs, request, knowledge, &progress)))
}

/// Inputs of which nothing could be read.
fn refused(report: &Report) -> usize {
    report.capture.files.iter().filter(|file| is_refused(file)).count()
}

fn is_refused(file: &noroshi_model::report::FileSummary) -> bool {
    file.format == noroshi_model::report::Format::Unknown
}

/// Says on standard error what could not be read, whatever the format, and gives the exit code.
fn conclude(report: &Report, refused: usize) -> ExitCode {
    let paint = Paint::stderr();
    for file in &report.capture.files {
        for problem in &file.problems {
            let place = problem.offset.map_or(String::new(), |offset| format!(" (at byte {offset})"));
            eprintln!("{} {}: {}{place}", paint.warn("noroshi:"), escape(&file.path), escape(&problem.text));
        }
    }
    if refused > 0 { ExitCode::from(REFUSED) } else { ExitCode::SUCCESS }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_as_people_write_them() {
        assert_eq!(parse_size("1GiB"), Ok(1 << 30));
        assert_eq!(parse_size("512m"), Ok(512 << 20));
        assert_eq!(parse_size("2 GB"), Ok(2_000_000_000));
        for wrong in ["", "GiB", "-1GiB", "1 parsec", "99999999999TiB", "1024"] {
            assert!(parse_size(wrong).is_err(), "{wrong}");
        }
    }
}
