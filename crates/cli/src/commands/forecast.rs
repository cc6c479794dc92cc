//! `noroshi forecast`: what comes next, what rose, and how good such forecasts were.

mod events;
pub(crate) mod page;
pub(super) mod read;

use crate::failure::Failure;
use crate::output::TextJsonOrHtml;
use crate::terminal::escape;
use noroshi_detect::forecast::backtest::{Backtest, MethodScore, backtest_by};
use noroshi_detect::forecast::{Forecast, Plan, next_by};
use noroshi_detect::series::surge::{Settings, Surge, surges};
use noroshi_detect::series::{Series, TOTAL, slot_name};
use serde_json::{Value, json};
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

const EXAMPLES: &str = "\
Examples:
  noroshi forecast packets.csv.gz --port 1433
  noroshi forecast packets.csv.gz --all
  noroshi forecast packets.csv.gz --horizon 7d
  noroshi forecast packets.csv.gz --surges
  noroshi forecast packets.csv.gz --hazards
  noroshi forecast packets.csv.gz --blocklist --size 200
  noroshi forecast packets.csv.gz --backtest --format html > backtest.html";

/// Name and version of the JSON contract.
const SCHEMA: &str = "noroshi.forecast/1";

/// Forecasts of the next hour, day or week, surges and their probabilities, blocklists, and how good all of it was.
///
/// Reads packets as CSV (datetime, proto, dpt, ...), counts as CSV (day, proto, dpt, packets), both also in gzip, or
/// the timeline of a JSON report. Every forecast sees only what came before it.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// CSV of packets or counts, or a JSON report.
    path: PathBuf,
    /// Only the series of these destination ports.
    #[arg(long, value_name = "PORT", conflicts_with = "all")]
    port: Vec<u16>,
    /// Every series large enough, not only the largest.
    #[arg(long)]
    all: bool,
    /// How far ahead: the next hour, the next day, or the sum of the next seven days.
    #[arg(long, value_enum, default_value_t = Horizon::Day)]
    horizon: Horizon,
    /// Replay history and score every forecast beside the naive methods; as html, all scores on one page.
    #[arg(long, conflicts_with = "surges")]
    backtest: bool,
    /// What rose, ranked, day by day.
    #[arg(long)]
    surges: bool,
    /// How likely a surge is on each port within a day and a week; shown only where the back-test beats the base rate.
    #[arg(long, conflicts_with_all = ["surges", "backtest"])]
    hazards: bool,
    /// Who will hit each sensor tomorrow, with the back-test of such lists; needs packets with sources.
    #[arg(long, conflicts_with_all = ["surges", "backtest", "hazards"])]
    blocklist: bool,
    /// Entries of a blocklist.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    size: u32,
    /// Where the data come from; shown with every score.
    #[arg(long, value_enum, default_value_t = Origin::Real)]
    data: Origin,
    /// How to print.
    #[arg(long, value_enum, default_value_t = TextJsonOrHtml::Text)]
    format: TextJsonOrHtml,
}

/// How far ahead.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Horizon {
    /// The next hour.
    #[value(name = "1h")]
    Hour,
    /// The next day.
    #[value(name = "1d")]
    Day,
    /// The sum of the next seven days.
    #[value(name = "7d")]
    Week,
}

impl Horizon {
    fn plan(self) -> Plan {
        match self {
            Horizon::Hour => Plan::HOUR,
            Horizon::Day => Plan::DAY,
            Horizon::Week => Plan::WEEK,
        }
    }
}

/// Where data come from.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub(crate) enum Origin {
    /// Observed on the Internet.
    Real,
    /// Made by a simulation.
    Generated,
}

impl Origin {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Origin::Real => "real",
            Origin::Generated => "generated",
        }
    }
}

/// Series shown without `--all`: total and the largest.
const SHOWN: usize = 12;
/// Counts a series needs with `--all`; fewer say nothing about tomorrow.
const LARGE_ENOUGH: f64 = 100.0;

/// Runs the command.
pub fn run(args: Args) -> Result<ExitCode, Failure> {
    if args.blocklist {
        return events::blocklist(&args.path, args.size as usize, args.data, args.format == TextJsonOrHtml::Json);
    }
    let plan = args.horizon.plan();
    let data = read::read(&args.path, plan.slot_seconds)?;
    if data.rejected > 0 {
        eprintln!("noroshi: {} of {} rows could not be read and are left out", data.rejected, data.rows);
    }
    let source = args.path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let mut out = std::io::stdout().lock();
    if args.surges {
        let found = surges(&data.series, &Settings::default());
        return print_surges(&mut out, &found, &data.series, args.format, args.data);
    }
    if args.hazards {
        return events::hazards(&mut out, &data.series, args.data, args.format == TextJsonOrHtml::Json);
    }
    let chosen = choose(&args, &data.series)?;
    if args.backtest {
        let scores: Vec<Backtest> = chosen.iter().filter_map(|series| backtest_by(series, plan)).collect();
        if scores.is_empty() {
            return Err(Failure::refused("no series is long enough to be scored")
                .at(args.path.display())
                .hint("a back-test needs at least 14 slots before the last quarter"));
        }
        let found = surges(&data.series, &Settings::default());
        match args.format {
            TextJsonOrHtml::Text => text_backtest(&mut out, &scores, args.data)?,
            TextJsonOrHtml::Json => print_json(&mut out, &json_backtest(&scores, &source, args.data))?,
            TextJsonOrHtml::Html => {
                let more = events::everything(&args.path, &data.series, plan, args.size as usize);
                out.write_all(page::render(&scores, &found, &data.series, &source, args.data.name(), &more).as_bytes())?
            }
        }
        return Ok(ExitCode::SUCCESS);
    }
    if args.format == TextJsonOrHtml::Html {
        return Err(Failure::usage("a page is made of a back-test").hint("add --backtest"));
    }
    let forecasts: Vec<(&Series, Option<Forecast>)> =
        chosen.iter().map(|series| (*series, next_by(series, plan))).collect();
    print_forecasts(&mut out, &forecasts, plan, args.format, args.data)?;
    Ok(ExitCode::SUCCESS)
}

fn choose<'a>(args: &Args, series: &'a [Series]) -> Result<Vec<&'a Series>, Failure> {
    if args.port.is_empty() {
        let least = if args.all { LARGE_ENOUGH } else { 0.0 };
        let count = if args.all { series.len() } else { SHOWN };
        return Ok(series.iter().filter(|series| series.key == TOTAL || series.total() >= least).take(count).collect());
    }
    let wanted: Vec<String> = args.port.iter().map(u16::to_string).collect();
    let found: Vec<&Series> = series
        .iter()
        .filter(|series| wanted.iter().any(|port| series.key.rsplit('/').next() == Some(port.as_str())))
        .collect();
    if found.is_empty() {
        return Err(Failure::failed(format!("nothing was seen on port {}", wanted.join(", "))).at(args.path.display()));
    }
    Ok(found)
}

fn print_json(out: &mut impl Write, value: &Value) -> Result<(), Failure> {
    writeln!(out, "{}", serde_json::to_string_pretty(value)?)?;
    Ok(())
}

fn print_forecasts(
    out: &mut impl Write,
    forecasts: &[(&Series, Option<Forecast>)],
    plan: Plan,
    style: TextJsonOrHtml,
    origin: Origin,
) -> Result<(), Failure> {
    let slot = |series: &Series| slot_name(series.time(series.values.len()), series.slot_seconds);
    if style == TextJsonOrHtml::Json {
        let list: Vec<Value> = forecasts
            .iter()
            .map(|(series, forecast)| {
                json!({"series": series.key, "slot": slot(series), "slot_seconds": series.slot_seconds, "slots": plan.ahead,
                    "forecast": forecast})
            })
            .collect();
        return print_json(
            out,
            &json!({"schema": SCHEMA, "kind": "forecast", "data": origin.name(), "forecasts": list}),
        );
    }
    if plan.ahead > 1 {
        writeln!(out, "sums of {} days", plan.ahead)?;
    }
    writeln!(out, "{:<14} {:<10} {:>8} {:>17} {:>17}  methods", "series", "from", "expected", "80 %", "95 %")?;
    for (series, forecast) in forecasts {
        let Some(forecast) = forecast else {
            writeln!(out, "{:<14} {:<10} too few known slots for a forecast", escape(&series.key), slot(series))?;
            continue;
        };
        let interval =
            |ends: Option<(f64, f64)>| ends.map_or("-".into(), |(low, high)| format!("{low:.0} to {high:.0}"));
        writeln!(
            out,
            "{:<14} {:<10} {:>8.0} {:>17} {:>17}  {}",
            escape(&series.key),
            slot(series),
            forecast.point,
            interval(forecast.interval80),
            interval(forecast.interval95),
            forecast.methods.join(", ")
        )?;
    }
    Ok(())
}

fn percent(value: Option<f64>) -> String {
    value.map_or("-".into(), |value| format!("{:.0} %", value * 100.0))
}

fn number(value: Option<f64>) -> String {
    value.map_or("-".into(), |value| format!("{value:.3}"))
}

fn text_backtest(out: &mut impl Write, scores: &[Backtest], origin: Origin) -> Result<(), Failure> {
    writeln!(
        out,
        "{:<14} {:>5} {:>8} {:>6} {:>6} {:>8} {:>6} {:>6}  {:<23} {:>6}  {:<25} {:>6}",
        "series",
        "slots",
        "MAE",
        "MASE",
        "sMAPE",
        "CRPS",
        "in 80",
        "in 95",
        "best naive method (MAE)",
        "rel.",
        "best average (MAE)",
        "rel."
    )?;
    for score in scores {
        let named = |other: Option<&MethodScore>| {
            other.map_or("-".into(), |other| format!("{} ({:.1})", other.method, other.mae))
        };
        writeln!(
            out,
            "{:<14} {:>5} {:>8.1} {:>6} {:>6} {:>8} {:>6} {:>6}  {:<23} {:>6}  {:<25} {:>6}",
            escape(&score.key),
            score.scored,
            score.mae,
            number(score.mase),
            score.smape.map_or("-".into(), |value| format!("{value:.1}")),
            score.crps.map_or("-".into(), |value| format!("{value:.1}")),
            percent(score.coverage80),
            percent(score.coverage95),
            named(score.best_naive()),
            number(score.relative(score.best_naive())),
            named(score.best_average()),
            number(score.relative(score.best_average()))
        )?;
    }
    let better = |other: fn(&Backtest) -> Option<&MethodScore>| {
        scores.iter().filter(|score| score.relative(other(score)).is_some_and(|relative| relative < 1.0)).count()
    };
    writeln!(
        out,
        "\nof {} series, better than the best naive method, chosen after the fact: {}; than the best moving average: {}",
        scores.len(),
        better(Backtest::best_naive),
        better(Backtest::best_average)
    )?;
    let horizon = scores.first().map_or("", |score| score.horizon);
    writeln!(
        out,
        "data: {}; {horizon} ahead; last quarter of each series; every forecast saw only what came before it",
        origin.name()
    )?;
    Ok(())
}

fn json_backtest(scores: &[Backtest], source: &str, origin: Origin) -> Value {
    json!({"schema": SCHEMA, "kind": "backtest", "data": origin.name(), "source": source, "scores": scores})
}

fn print_surges(
    out: &mut impl Write,
    found: &[Surge],
    series: &[Series],
    style: TextJsonOrHtml,
    origin: Origin,
) -> Result<ExitCode, Failure> {
    let (judged, false_reports, weeks) = quality(found, series);
    match style {
        TextJsonOrHtml::Html => {
            return Err(Failure::usage("surges are printed as text or json").hint("the page of --backtest holds them"));
        }
        TextJsonOrHtml::Json => {
            let list: Vec<Value> = found
                .iter()
                .map(|surge| {
                    json!({"series": surge.key, "start": surge.start, "rank": surge.rank, "count": surge.count,
                        "usual": surge.usual, "probability": surge.probability, "new": surge.new,
                        "confirmed": surge.confirmed, "reason": surge.reason})
                })
                .collect();
            print_json(
                out,
                &json!({"schema": SCHEMA, "kind": "surges", "data": origin.name(), "surges": list,
                "judged": judged, "false_reports": false_reports, "weeks": weeks}),
            )?;
        }
        TextJsonOrHtml::Text => {
            for surge in found {
                let mark = if surge.confirmed == Some(false) { "?" } else { " " };
                writeln!(out, "{mark} {:>2}. {}", surge.rank, escape(&surge.reason))?;
            }
            writeln!(
                out,
                "\n{} surges; {false_reports} of {judged} judged afterwards were no bursts (marked ?): {:.2} a week; data: {}",
                found.len(),
                f64::from(false_reports) / weeks.max(1.0),
                origin.name()
            )?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Surges judged afterwards, those that were none, and weeks of data.
fn quality(found: &[Surge], series: &[Series]) -> (u32, u32, f64) {
    let count =
        |wanted: &dyn Fn(&Surge) -> bool| u32::try_from(found.iter().filter(|s| wanted(s)).count()).unwrap_or(u32::MAX);
    let weeks = series.first().map_or(0.0, |s| s.values.len() as f64 * f64::from(s.slot_seconds) / 604_800.0);
    (count(&|surge| surge.confirmed.is_some()), count(&|surge| surge.confirmed == Some(false)), weeks)
}
