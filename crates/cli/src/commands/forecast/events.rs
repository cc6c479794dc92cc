//! Probabilities of surges, and who will come tomorrow.

use super::{Origin, SCHEMA, SHOWN, print_json};
use crate::failure::Failure;
use crate::sightings::{Sensors, Source, read};
use crate::terminal::escape;
use noroshi_detect::forecast::Plan;
use noroshi_detect::forecast::backtest::{Backtest, backtest_by};
use noroshi_detect::forecast::blocklist::{Blocklist, blocklist as lists};
pub(super) use noroshi_detect::forecast::hazard::Judged as Reliability;
use noroshi_detect::forecast::hazard::{Hazards, hazards as judge};
use noroshi_detect::series::Series;
use serde_json::json;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

/// What the page shows beside the forecasts of one horizon.
pub struct Everything {
    /// The other horizons.
    pub horizons: Vec<Vec<Backtest>>,
    pub hazards: Vec<Hazards>,
    pub blocklist: Option<Blocklist>,
}

/// Scores everything that the input allows. What it does not (hours from counts of days, lists without sources) is left
/// out, and the page says so.
pub(super) fn everything(path: &Path, series: &[Series], plan: Plan, size: usize) -> Everything {
    let score = |plan: Plan| {
        let data = super::read::read(path, plan.slot_seconds).ok()?;
        let scores: Vec<Backtest> =
            data.series.iter().take(SHOWN).filter_map(|series| backtest_by(series, plan)).collect();
        (!scores.is_empty()).then_some(scores)
    };
    let daily = series.first().is_some_and(|series| series.slot_seconds == Plan::DAY.slot_seconds);
    let others = [Plan::HOUR, Plan::DAY, Plan::WEEK].into_iter().filter(|other| *other != plan);
    Everything {
        horizons: others.filter_map(score).collect(),
        hazards: if daily { judge(series) } else { Vec::new() },
        blocklist: sightings(path).ok().map(|table| lists(&table, size)),
    }
}

fn sightings(path: &Path) -> Result<noroshi_detect::sightings::Sightings, Failure> {
    read(&Source { paths: vec![path.to_owned()], sensors: Sensors::Auto, exclude: None, data: Origin::Real })
}

fn skill(judged: Option<&Reliability>) -> String {
    judged.and_then(|judged| judged.skill).map_or("unknown".into(), |skill| format!("{skill:.3}"))
}

/// Prints probabilities of surges.
pub(super) fn hazards(
    out: &mut impl Write,
    series: &[Series],
    origin: Origin,
    as_json: bool,
) -> Result<ExitCode, Failure> {
    let found = judge(series);
    if as_json {
        print_json(out, &json!({"schema": SCHEMA, "kind": "hazards", "data": origin.name(), "hazards": found}))?;
        return Ok(ExitCode::SUCCESS);
    }
    for hazards in &found {
        writeln!(
            out,
            "surge within {} d: Brier skill against the base rate {} ({} data)",
            hazards.slots,
            skill(hazards.judged.as_ref()),
            origin.name()
        )?;
        for hazard in hazards.next.iter().take(SHOWN) {
            writeln!(out, "  {:<14} {:>6.1} %  {}", escape(&hazard.key), hazard.probability * 100.0, hazard.because)?;
        }
        if hazards.next.is_empty() {
            writeln!(
                out,
                "  no probabilities: they would not be better than the base rate, or too few surges were seen"
            )?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Entries shown per sensor as text.
const ENTRIES_SHOWN: usize = 5;

/// Prints who will come tomorrow.
pub(super) fn blocklist(path: &Path, size: usize, origin: Origin, as_json: bool) -> Result<ExitCode, Failure> {
    let table = sightings(path)?;
    let found = lists(&table, size);
    let mut out = std::io::stdout().lock();
    if found.methods.is_empty() {
        return Err(Failure::refused("too few days to learn who returns")
            .at(path.display())
            .hint("give at least three weeks"));
    }
    if as_json {
        print_json(
            &mut out,
            &json!({"schema": SCHEMA, "kind": "blocklist", "data": origin.name(), "blocklist": found}),
        )?;
        return Ok(ExitCode::SUCCESS);
    }
    writeln!(out, "lists of {} per sensor, {} days scored ({} data)", found.size, found.days, origin.name())?;
    writeln!(
        out,
        "{:<18} {:>8} {:>8} {:>10} {:>8} {:>14}",
        "list", "listed", "came", "precision", "recall", "observations"
    )?;
    for method in &found.methods {
        writeln!(
            out,
            "{:<18} {:>8} {:>8} {:>8.1} % {:>6.1} % {:>12.1} %",
            method.method,
            method.listed,
            method.hits,
            method.precision * 100.0,
            method.recall * 100.0,
            method.observations * 100.0
        )?;
    }
    writeln!(out, "Brier skill of the probabilities against the base rate: {}", skill(found.judged.as_ref()))?;
    if found.lists.is_empty() {
        writeln!(out, "no lists: the probabilities are not better than the base rate")?;
    }
    for list in &found.lists {
        writeln!(out, "\n{}", escape(&list.sensor))?;
        for entry in list.entries.iter().take(ENTRIES_SHOWN) {
            writeln!(
                out,
                "  {:<40} {:>6.1} %  here on {} of 14 days, at {} sensors",
                entry.source.to_string(),
                entry.probability * 100.0,
                entry.days_here,
                entry.sensors
            )?;
        }
        if list.entries.len() > ENTRIES_SHOWN {
            writeln!(out, "  and {} more; --format json prints all", list.entries.len() - ENTRIES_SHOWN)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
