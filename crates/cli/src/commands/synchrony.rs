//! `noroshi synchrony`: sources that act at the same moments, by three engines side by side.

mod truth;

use crate::failure::{Failure, REFUSED};
use crate::inputs::{self, Input};
use crate::output::TextOrJson;
use crate::progress::Progress;
use crate::terminal::{Paint, escape};
use noroshi_detect::synchrony::{Alert, glasso, knocks, nmf, pulses, ranked};
use noroshi_packet::decode::decode;
use serde_json::{Value, json};
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use truth::{Planted, Score, score};

const EXAMPLES: &str = "\
Examples:
  noroshi synchrony day.pcap.zst
  noroshi synchrony captures/ --engine all --format json
  noroshi simulate synchronised-botnets --seed 1 --output world
  noroshi synchrony world --engine all --truth world/truth.json";

/// Name and version of the JSON contract.
const SCHEMA: &str = "noroshi.synchrony/1";

/// Finds sources that knock in the same minutes, again and again: botnets, also small and on busy ports.
///
/// pulses is ours: every port and every source. glasso and nmf are Dark-GLASSO and Dark-NMF as published (Dark-TRACER,
/// 2022); they see networks of 65,536 addresses, and glasso needs a history before its first alert.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Captures (pcap or pcapng, also gzip or zstd), directories of them, or - for standard input.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Which engines read the captures.
    #[arg(long, value_enum, default_value_t = Choice::Pulses)]
    engine: Choice,
    /// Most alerts per engine and day, strongest first.
    #[arg(long, value_name = "N", default_value_t = 20)]
    per_day: usize,
    /// Members a group must have.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(2..))]
    members: u32,
    /// Ten-minute slots that glasso compares with; published: 432, which is three days.
    #[arg(long, value_name = "SLOTS", default_value_t = 432, value_parser = clap::value_parser!(u32).range(12..=100_000))]
    history: u32,
    /// What was planted in a generated world (truth.json): scores are added.
    #[arg(long, value_name = "FILE")]
    truth: Option<PathBuf>,
    /// How to print.
    #[arg(long, value_enum, default_value_t = TextOrJson::Text)]
    format: TextOrJson,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Choice {
    /// Coinciding visits of single sources.
    Pulses,
    /// Dark-GLASSO.
    Glasso,
    /// Dark-NMF.
    Nmf,
    /// All three on the same input.
    All,
}

/// The chosen engines.
struct Engines {
    pulses: Option<pulses::Engine>,
    glasso: Option<glasso::Engine>,
    nmf: Option<nmf::Engine>,
}

/// What an engine found.
struct Found {
    engine: &'static str,
    /// Alerts before the list was cut.
    all: usize,
    alerts: Vec<Alert>,
    score: Option<Score>,
}

impl Engines {
    fn new(args: &Args) -> Self {
        let wanted = |choice| args.engine == choice || args.engine == Choice::All;
        let settings = pulses::Settings { members_min: args.members as usize, ..Default::default() };
        let history = glasso::Settings { history: args.history as usize, ..Default::default() };
        Engines {
            pulses: wanted(Choice::Pulses).then(|| pulses::Engine::new(settings)),
            glasso: wanted(Choice::Glasso).then(|| glasso::Engine::new(history)),
            nmf: wanted(Choice::Nmf).then(|| nmf::Engine::new(nmf::Members::Active)),
        }
    }

    /// Reads one capture; a refused one gives its problem.
    fn read(&mut self, input: &Input, file: u32, progress: &Progress) -> Result<(), Failure> {
        let mut reader = input.open().map_err(|problem| Failure::refused(problem.text).at(escape(&input.path)))?;
        let mut taken = 0;
        while let Some(raw) = reader.next_batch() {
            let batch = decode(raw, file);
            for knock in knocks(&batch) {
                self.pulses.iter_mut().for_each(|engine| engine.observe(&knock));
                self.glasso.iter_mut().for_each(|engine| engine.observe(&knock));
                self.nmf.iter_mut().for_each(|engine| engine.observe(&knock));
            }
            let now = reader.bytes_taken();
            progress.advance(now - std::mem::replace(&mut taken, now), batch.rows.len() as u64);
        }
        for problem in reader.problems() {
            eprintln!("noroshi: {}: {}", escape(&input.path), escape(&problem.text));
        }
        Ok(())
    }

    fn finish(self, per_day: usize, planted: Option<&[Planted]>) -> Vec<Found> {
        if self.pulses.as_ref().is_some_and(pulses::Engine::approximate) {
            eprintln!("noroshi: there were more visits than memory for them; only a part of the sources was compared");
        }
        let found = |engine, alerts: Vec<Alert>| {
            let all = alerts.len();
            let alerts = ranked(alerts, per_day);
            Found { engine, all, score: planted.map(|planted| score(&alerts, planted)), alerts }
        };
        let mut list = Vec::new();
        list.extend(self.pulses.map(|engine| found("pulses", engine.finish())));
        list.extend(self.glasso.map(|engine| found("glasso", engine.finish())));
        list.extend(self.nmf.map(|engine| found("nmf", engine.finish())));
        list
    }
}

/// Runs the command.
pub fn run(args: Args) -> Result<ExitCode, Failure> {
    let planted = args.truth.as_deref().map(truth::read).transpose()?;
    let inputs = inputs::expand(&args.paths)?;
    let progress = Progress::bytes(inputs::total_bytes(&inputs));
    let mut engines = Engines::new(&args);
    let mut refused = 0;
    for (file, input) in inputs.iter().enumerate() {
        if let Err(failure) = engines.read(input, file as u32, &progress) {
            failure.report();
            refused += 1;
        }
    }
    progress.finish();
    if refused == inputs.len() {
        return Ok(ExitCode::from(REFUSED));
    }
    let found = engines.finish(args.per_day, planted.as_deref());
    let mut out = std::io::stdout().lock();
    match args.format {
        TextOrJson::Text => text(&mut out, &found)?,
        TextOrJson::Json => writeln!(out, "{}", serde_json::to_string_pretty(&json(&found, planted.is_some()))?)?,
    }
    Ok(if refused > 0 { ExitCode::from(REFUSED) } else { ExitCode::SUCCESS })
}

fn json(found: &[Found], generated: bool) -> Value {
    let engines: Vec<Value> = found
        .iter()
        .map(|found| {
            json!({"engine": found.engine, "alerts_before_cut": found.all, "alerts": found.alerts, "score": found.score})
        })
        .collect();
    json!({"schema": SCHEMA, "data": if generated { "generated" } else { "as given" }, "engines": engines})
}

/// Sources shown per alert.
const SOURCES_SHOWN: usize = 6;

fn text(out: &mut impl Write, found: &[Found]) -> Result<(), Failure> {
    let paint = Paint::stdout();
    for found in found {
        writeln!(out, "{} ({} alerts, {} shown)", paint.heading(found.engine), found.all, found.alerts.len())?;
        for (rank, alert) in found.alerts.iter().enumerate() {
            writeln!(out, "  {:>2}. {}", rank + 1, escape(&alert.reason))?;
            if !alert.sources.is_empty() {
                let shown: Vec<String> = alert.sources.iter().take(SOURCES_SHOWN).map(ToString::to_string).collect();
                let more = alert.sources.len().saturating_sub(SOURCES_SHOWN);
                let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
                writeln!(out, "      {}{rest}", paint.faint(shown.join(", ")))?;
            }
        }
    }
    if found.iter().any(|found| found.score.is_some()) {
        writeln!(
            out,
            "\n{:<8} {:>8} {:>8} {:>10} {:>8} {:>8}",
            "engine", "planted", "found", "recall", "alerts", "true"
        )?;
        for (found, score) in found.iter().filter_map(|found| Some((found, found.score.as_ref()?))) {
            let recall = score.recall.map_or("-".to_owned(), |recall| format!("{recall:.2}"));
            let alerts = found.alerts.len();
            writeln!(
                out,
                "{:<8} {:>8} {:>8} {:>10} {:>8} {:>8}",
                found.engine, score.planted, score.found, recall, alerts, score.true_alerts
            )?;
        }
        writeln!(out, "scores on generated data; an alert is true when it names a planted group or campaign")?;
    }
    Ok(())
}
