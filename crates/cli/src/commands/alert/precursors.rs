//! How well small tests announce large attacks, on captures of generated worlds.

use super::Format;
use crate::failure::Failure;
use crate::inputs;
use crate::progress::Progress;
use noroshi_alert::precursor::{Event, Precursor, Precursors, Settings};
use noroshi_model::Nanos;
use noroshi_model::finding::Victim;
use noroshi_model::packet::Has;
use noroshi_packet::decode::decode;
use noroshi_simulate::Truth;
use serde_json::json;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(clap::Args)]
pub struct PrecursorArgs {
    /// Captures, in the order of time.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// What was planted: truth.json of noroshi simulate. With it announcements are scored.
    #[arg(long, value_name = "FILE")]
    truth: Option<PathBuf>,
    /// How it is printed.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

/// Figures of one run over a world whose truth is known.
#[derive(serde::Serialize)]
struct Score {
    generated: bool,
    announcements: usize,
    days: f64,
    per_day: f64,
    tests: usize,
    announced_tests: usize,
    recall: f64,
    precision: f64,
    base_rate: f64,
    median_lead_seconds: f64,
    median_lead_of_possible: f64,
}

/// `noroshi alert precursors`.
pub fn run(args: &PrecursorArgs) -> Result<ExitCode, Failure> {
    let inputs = inputs::expand(&args.paths)?;
    let progress = Progress::bytes(inputs::total_bytes(&inputs));
    let mut detector = Precursors::new(Settings::default());
    let (mut events, mut first, mut last) = (Vec::new(), Nanos(i64::MAX), Nanos(i64::MIN));
    for (file, input) in inputs.iter().enumerate() {
        let mut reader = input.open().map_err(|problem| Failure::refused(problem.text).at(&input.path))?;
        let mut taken = 0;
        while let Some(raw) = reader.next_batch() {
            let packets = raw.records.len() as u64;
            let batch = decode(raw, file as u32);
            for row in batch.rows.iter().filter(|row| row.has.has(Has::TIME)) {
                (first, last) = (first.min(row.ts), last.max(row.ts));
            }
            events.extend(detector.observe(&batch));
            let now = reader.bytes_taken();
            progress.advance(now - std::mem::replace(&mut taken, now), packets);
        }
    }
    events.extend(detector.finish());
    let announced: Vec<&Precursor> =
        events.iter().filter_map(|event| if let Event::Expected(found) = event { Some(found) } else { None }).collect();
    let score = match &args.truth {
        None => None,
        Some(path) => {
            let text = std::fs::read(path).map_err(|error| Failure::refused(error).at(path.display()))?;
            let truth = serde_json::from_slice(&text).map_err(|error| {
                Failure::refused(format!("not a truth of noroshi simulate: {error}")).at(path.display())
            })?;
            Some(judge(&announced, &truth, last.seconds_since(first) / 86_400.0))
        }
    };
    print(args.format, &announced, &detector, score.as_ref())
}

fn judge(announced: &[&Precursor], truth: &Truth, days: f64) -> Score {
    let (mut leads, mut shares, mut hits) = (Vec::new(), Vec::new(), 0);
    for planted in &truth.precursors {
        let found = announced.iter().find(|found| {
            Victim::Address(found.victim) == planted.victim
                && found.at >= planted.sent.start
                && found.at < planted.attack_start
        });
        if let Some(found) = found {
            hits += 1;
            let lead = planted.attack_start.seconds_since(found.at);
            leads.push(lead);
            shares.push(lead / planted.lead_seconds.max(1.0));
        }
    }
    let ratio = |a: usize, b: usize| if b == 0 { 0.0 } else { a as f64 / b as f64 };
    Score {
        generated: true,
        announcements: announced.len(),
        days,
        per_day: announced.len() as f64 / days.max(1.0),
        tests: truth.precursors.len(),
        announced_tests: hits,
        recall: ratio(hits, truth.precursors.len()),
        precision: ratio(hits, announced.len()),
        base_rate: ratio(truth.precursors.len(), truth.precursors.len() + truth.decoys.len()),
        median_lead_seconds: median(leads),
        median_lead_of_possible: median(shares),
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => 0.0,
        odd if odd % 2 == 1 => values[odd / 2],
        even => (values[even / 2 - 1] + values[even / 2]) / 2.0,
    }
}

fn print(
    format: Format,
    announced: &[&Precursor],
    detector: &Precursors,
    score: Option<&Score>,
) -> Result<ExitCode, Failure> {
    let mut out = std::io::stdout().lock();
    let scores = detector.scores();
    if format == Format::Json {
        let body = json!({
            "schema": "noroshi.precursors/1", "announced": announced, "scores": scores, "against_truth": score,
        });
        writeln!(out, "{body}")?;
        return Ok(ExitCode::SUCCESS);
    }
    for found in announced {
        writeln!(
            out,
            "{} {} {} {}: {} packets, probability {:.2}, about {:.0} packets/min expected",
            Nanos::from_seconds(found.at.seconds()).rfc3339(),
            found.victim,
            found.kind,
            found.vector,
            found.packets,
            found.probability,
            found.expected_ppm
        )?;
    }
    writeln!(
        out,
        "announced {}, came {}, stayed away {}, held back {}",
        scores.announced, scores.came, scores.stayed_away, scores.held_back
    )?;
    if let Some(score) = score {
        writeln!(out, "GENERATED DATA: scores against what was planted")?;
        writeln!(out, "recall {:.2} ({} of {} tests)", score.recall, score.announced_tests, score.tests)?;
        writeln!(
            out,
            "precision {:.2}, base rate of attacks after small events {:.2}",
            score.precision, score.base_rate
        )?;
        writeln!(out, "{:.1} announcements a day over {:.1} days", score.per_day, score.days)?;
        let minutes = score.median_lead_seconds / 60.0;
        writeln!(
            out,
            "median lead {minutes:.1} minutes, {:.0} % of the possible",
            score.median_lead_of_possible * 100.0
        )?;
    }
    Ok(ExitCode::SUCCESS)
}
