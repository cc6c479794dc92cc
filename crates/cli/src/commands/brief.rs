//! `noroshi brief`: one page in the morning.

mod catalogue;
mod page;

use super::forecast::{Origin, read};
use crate::failure::Failure;
use crate::output::{Output, TextJsonOrHtml};
use crate::terminal::{Paint, escape};
use catalogue::{Catalogue, Language};
use noroshi_detect::forecast::brief::{Brief, Check, Expected, Rise, brief};
use noroshi_detect::series::slot_name;
use noroshi_model::Nanos;
use noroshi_model::time::SECOND;
use serde_json::json;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

const EXAMPLES: &str = "\
Examples:
  noroshi brief counts.csv.gz
  noroshi brief counts.csv --language ja --format html --output brief.html";

/// Name and version of the JSON contract.
const SCHEMA: &str = "noroshi.brief/1";

/// What is new, what grew, what to expect tomorrow, and how yesterday's forecast did.
///
/// Reads what `noroshi forecast` reads: packets or daily counts as CSV (also gzip), or the timeline of a JSON report.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// CSV of packets or counts, or a JSON report.
    path: PathBuf,
    /// Language of the brief.
    #[arg(long, value_enum, default_value_t = Language::En)]
    language: Language,
    /// Series forecast: the total and the largest.
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = clap::value_parser!(u16).range(1..=100))]
    series: u16,
    /// Where the data come from; shown in the brief.
    #[arg(long, value_enum, default_value_t = Origin::Real)]
    data: Origin,
    /// How to print.
    #[arg(long, value_enum, default_value_t = TextJsonOrHtml::Text)]
    format: TextJsonOrHtml,
    /// Write to a file instead of standard output; it appears when it is whole.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Runs the command.
pub fn run(args: Args) -> Result<ExitCode, Failure> {
    let data = read::read(&args.path, noroshi_detect::series::DAY_SECONDS)?;
    if data.rejected > 0 {
        eprintln!("noroshi: {} of {} rows could not be read and are left out", data.rejected, data.rows);
    }
    let brief = brief(&data.series, usize::from(args.series)).ok_or_else(|| {
        Failure::refused("nothing was counted, so there is nothing to tell")
            .at(args.path.display())
            .hint("give a file with at least one whole day of counts")
    })?;
    let source = args.path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let words = args.language.catalogue();
    let mut out = Output::open(args.output.as_deref())?;
    match args.format {
        TextJsonOrHtml::Text => {
            let paint = if args.output.is_none() { Paint::stdout() } else { Paint::PLAIN };
            text(&mut out, &brief, words, &source, args.data.name(), paint)?;
        }
        TextJsonOrHtml::Html => out.write_all(page::render(&brief, words, &source, args.data.name()).as_bytes())?,
        TextJsonOrHtml::Json => {
            let value = json!({"schema": SCHEMA, "data": args.data.name(), "source": source, "brief": brief});
            writeln!(out, "{}", serde_json::to_string_pretty(&value)?)?;
        }
    }
    out.finish()?;
    Ok(ExitCode::SUCCESS)
}

/// The slot that is forecast.
fn tomorrow(brief: &Brief) -> String {
    slot_name(Nanos(brief.day.0.saturating_add(i64::from(brief.slot_seconds) * SECOND)), brief.slot_seconds)
}

fn rise_line(rise: &Rise, words: &Catalogue) -> String {
    let usual = format!("{:.0}", rise.usual);
    words.rise.replace("{count}", &format!("{:.0}", rise.count)).replace("{usual}", &usual)
}

fn interval(ends: Option<(f64, f64)>, words: &Catalogue) -> String {
    ends.map_or_else(
        || words.no_interval.to_owned(),
        |(low, high)| words.interval.replace("{low}", &format!("{low:.0}")).replace("{high}", &format!("{high:.0}")),
    )
}

/// How a forecast did, as a word.
fn verdict(check: &Check, words: &Catalogue) -> &'static str {
    match check.within80 {
        Some(true) => words.within,
        Some(false) if check.count > check.expected => words.above,
        Some(false) => words.below,
        None => words.no_interval,
    }
}

fn text(
    out: &mut impl Write,
    brief: &Brief,
    words: &Catalogue,
    source: &str,
    origin: &str,
    paint: Paint,
) -> Result<(), Failure> {
    let day = slot_name(brief.day, brief.slot_seconds);
    writeln!(out, "{}", paint.heading(words.title.replace("{day}", &day)))?;
    writeln!(out, "{}: {} ({})", words.data, escape(source), words.origin(origin))?;
    for (heading, rises, none) in
        [(words.new, &brief.new, words.nothing_new), (words.grew, &brief.grew, words.nothing_grew)]
    {
        writeln!(out, "\n{}", paint.heading(heading))?;
        for rise in rises {
            writeln!(out, "  {:<14} {}", escape(&rise.key), rise_line(rise, words))?;
        }
        if rises.is_empty() {
            writeln!(out, "  {none}")?;
        }
    }
    if !brief.fell.is_empty() {
        writeln!(out, "\n{}", paint.heading(words.fell))?;
        for fall in &brief.fell {
            let line = words.rise.replace("{count}", &format!("{:.0}", fall.count));
            writeln!(out, "  {:<14} {}", escape(&fall.key), line.replace("{usual}", &format!("{:.0}", fall.usual)))?;
        }
    }
    writeln!(out, "\n{}", paint.heading(words.tomorrow.replace("{day}", &tomorrow(brief))))?;
    for Expected { key, forecast, .. } in &brief.expected {
        let about = words.expected.replace("{count}", &format!("{:.0}", forecast.point));
        writeln!(out, "  {:<14} {about}, {}", escape(key), interval(forecast.interval80, words))?;
    }
    if brief.expected.is_empty() {
        writeln!(out, "  {}", words.too_short)?;
    }
    writeln!(out, "\n{}", paint.heading(words.yesterday))?;
    for check in &brief.checked {
        let line = words
            .check
            .replace("{expected}", &format!("{:.0}", check.expected))
            .replace("{count}", &format!("{:.0}", check.count));
        writeln!(out, "  {:<14} {line}: {}", escape(&check.key), verdict(check, words))?;
    }
    if brief.checked.is_empty() {
        writeln!(out, "  {}", words.too_short)?;
    }
    Ok(())
}
