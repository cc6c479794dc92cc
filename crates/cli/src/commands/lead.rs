//! `noroshi lead`: which sensor or port sees it first.

use crate::failure::Failure;
use crate::output::TextOrJson;
use crate::sightings::{self, Source};
use crate::terminal::{Paint, escape};
use noroshi_detect::lead::{By, Lead, Leads, Settings, leads};
use serde_json::json;
use std::io::Write;
use std::process::ExitCode;

const EXAMPLES: &str = "\
Examples:
  noroshi lead packets.csv.gz
  noroshi lead tokyo.pcap.gz oslo.pcap.gz
  noroshi lead packets.csv.gz --by service --format json";

/// Name and version of the JSON contract.
const SCHEMA: &str = "noroshi.lead/1";

/// Which sensor or port sees it first, how long before, and whether that is more than chance.
///
/// Compares hourly series after taking out what each explains of itself, against all circular shifts, and the order in
/// which the same sources appear (sign test); both are corrected for the number of pairs. A lead counts as a predictor
/// only when it improved forecasts of the last quarter that were learned from the rest.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    source: Source,
    /// What is compared.
    #[arg(long, value_enum, default_value_t = What::Sensor)]
    by: What,
    /// Longest lead looked for, hours.
    #[arg(long, value_name = "HOURS", default_value_t = 24, value_parser = clap::value_parser!(u16).range(1..=168))]
    reach: u16,
    /// How to print.
    #[arg(long, value_enum, default_value_t = TextOrJson::Text)]
    format: TextOrJson,
}

/// What is compared.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum What {
    /// Sensors.
    Sensor,
    /// Ports and other services.
    Service,
}

/// Runs the command.
pub fn run(args: Args) -> Result<ExitCode, Failure> {
    let table = sightings::read(&args.source)?;
    let by = match args.by {
        What::Sensor => By::Sensor,
        What::Service => By::Service,
    };
    let found = leads(&table, by, &Settings { reach: usize::from(args.reach), ..Settings::default() });
    let mut out = std::io::stdout().lock();
    match args.format {
        TextOrJson::Json => {
            let value = json!({"schema": SCHEMA, "data": args.source.data.name(), "lead": found});
            writeln!(out, "{}", serde_json::to_string_pretty(&value)?)?;
        }
        TextOrJson::Text => text(&mut out, &found, args.source.data.name())?,
    }
    Ok(ExitCode::SUCCESS)
}

fn text(out: &mut impl Write, found: &Leads, origin: &str) -> Result<(), Failure> {
    let paint = Paint::stdout();
    writeln!(out, "{}", paint.heading("Who is early"))?;
    writeln!(out, "  {:<24} {:>10} {:>10} {:>12}", "", "place", "first", "of shared")?;
    for rank in &found.ranks {
        writeln!(out, "  {:<24} {:>10.2} {:>10} {:>12}", escape(&rank.name), rank.place, rank.first, rank.shared)?;
    }
    if found.ranks.is_empty() {
        writeln!(out, "  no source was seen at two of them after all were watching")?;
    }
    writeln!(out, "\n{}", paint.heading("Who leads whom"))?;
    for lead in &found.leads {
        writeln!(out, "  {}", escape(&sentence(lead)))?;
    }
    if found.leads.is_empty() {
        writeln!(out, "  no lead is more than chance among {} pairs", found.tested)?;
    }
    writeln!(
        out,
        "data: {origin}; place: 0 always first, 1 always last; probabilities corrected for {} pairs",
        found.tested
    )?;
    Ok(())
}

fn sentence(lead: &Lead) -> String {
    let mut text = format!("{} before {}:", lead.first, lead.second);
    if let (Some(slots @ 1..), Some(correlation), Some(probability)) =
        (lead.slots, lead.correlation, lead.series_probability.filter(|probability| *probability <= 0.05))
    {
        text.push_str(&format!(" series by {slots} h (correlation {correlation:.2}, p {probability:.3});"));
    }
    if lead.order_probability <= 0.05 {
        let median = match lead.median_seconds.unwrap_or(0.0) {
            short if short.abs() < 90.0 => format!("{short:.0} s"),
            short if short.abs() < 5_400.0 => format!("{:.0} min", short / 60.0),
            long => format!("{:.1} h", long / 3_600.0),
        };
        // Below what a double can tell from zero.
        let p = if lead.order_probability < 1e-300 {
            "below 1e-300".to_owned()
        } else {
            format!("{:.1e}", lead.order_probability)
        };
        text.push_str(&format!(
            " first for {} of {} shared sources, median {median} (p {p});",
            lead.earlier, lead.shared
        ));
    }
    match lead.predicts {
        Some(gain) if gain > 0.0 => text.push_str(&format!(" predicts: squared error {:.0} % smaller", gain * 100.0)),
        Some(_) => text.push_str(" no help in forecasts"),
        None => {}
    }
    text.trim_end_matches(';').to_owned()
}
