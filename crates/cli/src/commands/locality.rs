//! `noroshi locality`: what each sensor sees that others do not, and how long its sources stay.

mod page;

use super::Origin;
use crate::failure::Failure;
use crate::output::{Output, TextJsonOrHtml};
use crate::sightings::{self, Source};
use crate::terminal::{Paint, escape};
use noroshi_detect::locality::{Fading, Locality, Settings, locality};
use serde_json::json;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

const EXAMPLES: &str = "\
Examples:
  noroshi locality packets.csv.gz
  noroshi locality tokyo.pcap.gz oslo.pcap.gz --format html --output locality.html
  noroshi locality day.pcap.zst --sensors network --exclude scanners.txt";

/// Name and version of the JSON contract.
const SCHEMA: &str = "noroshi.locality/1";

/// What each sensor sees more than the others, or alone, and how long a blocklist of its sources stays good.
///
/// Counts unique sources: the location quotient says how much more frequent a service is at one sensor than everywhere,
/// with its 95 % interval; the divergence says how far a sensor's mix is from that of the others; the overlap of slots
/// says when a listed source may be dropped.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    source: Source,
    /// Least location quotient of what is called local.
    #[arg(long, value_name = "TIMES", default_value_t = 3.0)]
    quotient: f64,
    /// Least unique sources of what is called local.
    #[arg(long, value_name = "N", default_value_t = 20)]
    least: u64,
    /// How to print.
    #[arg(long, value_enum, default_value_t = TextJsonOrHtml::Text)]
    format: TextJsonOrHtml,
    /// Write to a file instead of standard output; it appears when it is whole.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Local services shown as text.
const SHOWN: usize = 40;

/// Runs the command.
pub fn run(args: Args) -> Result<ExitCode, Failure> {
    let table = sightings::read(&args.source)?;
    let settings = Settings { quotient_min: args.quotient, sources_min: args.least.max(1), ..Settings::default() };
    let found = locality(&table, &settings);
    let mut out = Output::open(args.output.as_deref())?;
    match args.format {
        TextJsonOrHtml::Text => text(&mut out, &found, args.source.data, Output::is_terminal(args.output.as_deref()))?,
        TextJsonOrHtml::Html => out.write_all(page::render(&found, args.source.data.name()).as_bytes())?,
        TextJsonOrHtml::Json => {
            let value = json!({"schema": SCHEMA, "data": args.source.data.name(), "locality": found,
                "thresholds": {"quotient": settings.quotient_min, "low": settings.low_min, "sources": settings.sources_min}});
            writeln!(out, "{}", serde_json::to_string_pretty(&value)?)?;
        }
    }
    out.finish()?;
    Ok(ExitCode::SUCCESS)
}

fn text(out: &mut impl Write, found: &Locality, origin: Origin, terminal: bool) -> Result<(), Failure> {
    let paint = if terminal { Paint::stdout() } else { Paint::PLAIN };
    writeln!(
        out,
        "{:<24} {:>9} {:>10} {:>9} {:>8} {:>11}",
        "sensor", "sources", "only here", "services", "entropy", "divergence"
    )?;
    for sensor in &found.sensors {
        let share = sensor.sources_only_here as f64 / sensor.sources.max(1) as f64 * 100.0;
        writeln!(
            out,
            "{:<24} {:>9} {:>8.0} % {:>9} {:>8.2} {:>11}",
            escape(&sensor.sensor),
            sensor.sources,
            share,
            sensor.services,
            sensor.entropy_bits,
            sensor.divergence.map_or("-".into(), |value| format!("{value:.3}"))
        )?;
    }
    writeln!(out, "\n{}", paint.heading("Seen mostly here"))?;
    for local in found.local.iter().take(SHOWN) {
        writeln!(out, "  {}", escape(&local.reason))?;
    }
    if found.local.len() > SHOWN {
        writeln!(out, "  and {} more; --format json prints all", found.local.len() - SHOWN)?;
    }
    if found.local.is_empty() {
        writeln!(out, "  nothing: the sensors see the same")?;
    }
    if let Some(pair) = found.pairs.first() {
        writeln!(out, "\nleast alike: {} and {} ({:.3} bits)", escape(&pair.a), escape(&pair.b), pair.divergence)?;
    }
    if let Some(pair) = found.pairs.last() {
        writeln!(out, "most alike:  {} and {} ({:.3} bits)", escape(&pair.a), escape(&pair.b), pair.divergence)?;
    }
    if let Some(fading) = &found.fading {
        writeln!(out, "\n{}", paint.heading("How long sources stay"))?;
        writeln!(out, "  {}", expiry(fading))?;
    }
    writeln!(out, "data: {}; entropy and divergence in bits, of unique sources over services", origin.name())?;
    Ok(())
}

/// When listed sources may be dropped, in a sentence.
fn expiry(fading: &Fading) -> String {
    let unit = match fading.slot_seconds {
        86_400 => "days",
        3_600 => "hours",
        _ => "slots of ten minutes",
    };
    let next = fading.again.first().copied().unwrap_or(0.0) * 100.0;
    match (fading.expiry_half, fading.expiry_tenth, fading.alpha, fading.beta) {
        (Some(half), Some(tenth), Some(alpha), Some(beta)) => format!(
            "{next:.1} % of the sources return in the next of the {unit}; after {half:.1} {unit} a listed source is half as likely \
             to return, after {tenth:.0} a tenth (curve: alpha {alpha:.2}, beta {beta:.3})."
        ),
        _ => format!("{next:.1} % of the sources return in the next of the {unit}; the share does not fall with time."),
    }
}
