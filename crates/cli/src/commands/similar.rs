//! `noroshi similar`: more like this source, campaign, port, sensor or day.

use super::Origin;
use crate::failure::Failure;
use crate::output::TextOrJson;
use crate::sightings::{self, Source};
use crate::terminal::escape;
use noroshi_detect::sightings::{Service, Sightings};
use noroshi_detect::similarity::{
    Alike, Attribution, Senders, Settings, attribution, days_like, senders, sensor_pairs, sensors_like, services_like,
};
use noroshi_model::{Addr, Nanos, Prefix};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const EXAMPLES: &str = "\
Examples:
  noroshi similar packets.csv.gz                          # sensors, pair by pair
  noroshi similar packets.csv.gz --to 203.0.113.7         # sources that keep the same company
  noroshi similar packets.csv.gz --to 203.0.113.7,198.51.100.0/24   # more members of a campaign
  noroshi similar packets.csv.gz --to tcp/445
  noroshi similar packets.csv.gz --to 2013-05-16
  noroshi simulate darknet-day --seed 1 --output world
  noroshi similar world --classes world/truth.json --data generated";

/// Name and version of the JSON contract.
const SCHEMA: &str = "noroshi.similar/1";

/// More like this: sources that keep the same company, ports asked for by the same sources, days and sensors alike.
///
/// Sources are compared by an embedding: per service and hour, the order in which sources appear is a sentence, and a
/// skip-gram with negative sampling learns who appears with whom (i-DarkVec). Sensors are compared by their sources
/// (Jaccard), their ups and downs (Spearman) and the shape of these (dynamic time warping).
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    source: Source,
    /// Like what: addresses and prefixes with commas between (a source, a campaign), tcp/445, icmp, a day, a sensor.
    #[arg(long, value_name = "WHAT")]
    to: Option<String>,
    /// How many.
    #[arg(long, value_name = "N", default_value_t = 20)]
    most: usize,
    /// Classes of sources (CSV: address,class; or the truth.json of a simulation): scores the embedding on them.
    #[arg(long, value_name = "FILE", conflicts_with = "to")]
    classes: Option<PathBuf>,
    /// Learn day by day, each day going on from the one before.
    #[arg(long)]
    daily: bool,
    /// Observations a source needs to be embedded.
    #[arg(long, value_name = "N", default_value_t = 10)]
    least: usize,
    /// Values per source in the embedding.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u16).range(2..=1000))]
    width: u16,
    /// Neighbours to each side in a sentence.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=500))]
    window: u16,
    /// Write the sentences, one per line, so that other programs can learn from the same.
    #[arg(long, value_name = "FILE")]
    sentences: Option<PathBuf>,
    /// How to print.
    #[arg(long, value_enum, default_value_t = TextOrJson::Text)]
    format: TextOrJson,
}

/// Least members of a class that is scored: as many as neighbours vote.
const CLASS_MIN: usize = 8;

/// Runs the command.
pub fn run(args: Args) -> Result<ExitCode, Failure> {
    let table = sightings::read(&args.source)?;
    let mut out = std::io::stdout().lock();
    if let Some(path) = &args.classes {
        let classes = read_classes(path)?;
        let found = embed(&args, &table)?;
        let scores = attribution(&table, &found, &classes, CLASS_MIN).ok_or_else(|| {
            Failure::refused("fewer than two classes have enough sources in these data")
                .at(path.display())
                .hint("a class counts with eight sources that are seen often enough (--least)")
        })?;
        print_scores(&mut out, &scores, args.source.data, args.format)?;
        return Ok(ExitCode::SUCCESS);
    }
    let Some(wanted) = &args.to else {
        if args.sentences.is_some() {
            embed(&args, &table)?;
            return Ok(ExitCode::SUCCESS);
        }
        print_sensors(&mut out, &table, args.format, args.source.data)?;
        return Ok(ExitCode::SUCCESS);
    };
    let alike = like(&args, &table, wanted)?;
    match args.format {
        TextOrJson::Json => {
            let value = json!({"schema": SCHEMA, "kind": "alike", "data": args.source.data.name(), "to": wanted, "alike": alike});
            writeln!(out, "{}", serde_json::to_string_pretty(&value)?)?;
        }
        TextOrJson::Text => {
            for one in &alike {
                writeln!(out, "{:>6.3}  {:<24} {}", one.similarity, escape(&one.name), escape(&one.reason))?;
            }
            if alike.is_empty() {
                writeln!(out, "nothing is like {}", escape(wanted))?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn embed(args: &Args, table: &Sightings) -> Result<Senders, Failure> {
    let mut settings = Settings { sightings_min: args.least, ..Settings::default() };
    settings.skipgram.width = usize::from(args.width);
    settings.skipgram.window = usize::from(args.window);
    let found = senders(table, &settings, args.daily);
    if found.addresses.is_empty() {
        return Err(Failure::refused(format!("no source is seen {} times", args.least)).hint("lower --least"));
    }
    if let Some(path) = &args.sentences {
        let mut out = crate::output::Output::open(Some(path))?;
        for sentence in &found.sentences {
            let words: Vec<String> = sentence.iter().map(|word| found.addresses[*word as usize].to_string()).collect();
            writeln!(out, "{}", words.join(" "))?;
        }
        out.finish()?;
    }
    Ok(found)
}

/// What the word means decides what is compared.
fn like(args: &Args, table: &Sightings, wanted: &str) -> Result<Vec<Alike>, Failure> {
    if table.sensors().iter().any(|sensor| sensor == wanted) {
        return Ok(sensors_like(table, wanted, args.most));
    }
    if let Ok(service) = wanted.parse::<Service>() {
        return Ok(services_like(table, service, args.most));
    }
    let parts: Option<Vec<Prefix>> = wanted
        .split(',')
        .map(|part| {
            let part = part.trim();
            let single = |_| part.parse::<Addr>().map(|one| Prefix::new(one, if one.is_v4() { 32 } else { 128 }));
            part.parse::<Prefix>().or_else(single).ok()
        })
        .collect();
    if let Some(parts) = parts {
        let found = embed(args, table)?;
        let group: Vec<Addr> =
            found.addresses.iter().copied().filter(|one| parts.iter().any(|part| part.contains(*one))).collect();
        if group.is_empty() {
            return Err(Failure::failed(format!("no source of {wanted} is seen {} times", args.least))
                .hint("lower --least, or give more data"));
        }
        return Ok(found.like(&group, args.most));
    }
    if let Ok(day) = wanted.parse::<Nanos>() {
        return Ok(days_like(table, day, args.most));
    }
    Err(Failure::usage(format!("what is {wanted}?")).at("--to").hint(
        "give an address, a prefix, several with commas between, tcp/445, icmp, a day (2013-05-16), or a sensor's name",
    ))
}

fn print_scores(out: &mut impl Write, scores: &Attribution, origin: Origin, style: TextOrJson) -> Result<(), Failure> {
    if style == TextOrJson::Json {
        let value = json!({"schema": SCHEMA, "kind": "attribution", "data": origin.name(), "scores": scores});
        writeln!(out, "{}", serde_json::to_string_pretty(&value)?)?;
        return Ok(());
    }
    writeln!(
        out,
        "{} sources of {} classes, {} nearest neighbours, leaving one out",
        scores.senders, scores.classes, scores.neighbours
    )?;
    writeln!(
        out,
        "macro-F1: embedding {:.3}, services alone {:.3}, largest class {:.3}",
        scores.embedding, scores.services, scores.majority
    )?;
    writeln!(out, "data: {}", origin.name())?;
    Ok(())
}

fn print_sensors(out: &mut impl Write, table: &Sightings, style: TextOrJson, origin: Origin) -> Result<(), Failure> {
    let pairs = sensor_pairs(table);
    if style == TextOrJson::Json {
        let value = json!({"schema": SCHEMA, "kind": "sensors", "data": origin.name(), "pairs": pairs});
        writeln!(out, "{}", serde_json::to_string_pretty(&value)?)?;
        return Ok(());
    }
    if pairs.is_empty() {
        writeln!(out, "nothing to compare: {} sensors (2 to 64 are compared)", table.sensors().len())?;
        return Ok(());
    }
    writeln!(
        out,
        "{:<20} {:<20} {:>8} {:>12} {:>9} {:>7}",
        "sensor", "and", "Jaccard", "containment", "Spearman", "warped"
    )?;
    let number = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.3}"));
    for pair in &pairs {
        writeln!(
            out,
            "{:<20} {:<20} {:>8.4} {:>12.3} {:>9} {:>7}",
            escape(&pair.a),
            escape(&pair.b),
            pair.jaccard,
            pair.containment,
            number(pair.spearman),
            number(pair.warped)
        )?;
    }
    writeln!(
        out,
        "data: {}; Jaccard and containment of sources; Spearman and warping of unique sources per slot",
        origin.name()
    )?;
    Ok(())
}

/// Address and class per line, or what a simulation planted: campaigns, groups and research scanners are classes.
pub(super) fn read_classes(path: &Path) -> Result<BTreeMap<Addr, String>, Failure> {
    let refused = |why: String| {
        Failure::refused(why)
            .at(path.display())
            .hint("lines of address,class, or the truth.json that noroshi simulate wrote")
    };
    let text = std::fs::read_to_string(path).map_err(|error| refused(error.to_string()))?;
    if text.trim_start().starts_with('{') {
        let truth: Value = serde_json::from_str(&text).map_err(|error| refused(format!("not JSON: {error}")))?;
        return Ok(planted(&truth));
    }
    let mut classes = BTreeMap::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'))
    {
        let fields = super::table::split(line);
        match (fields.first().and_then(|field| field.trim().parse::<Addr>().ok()), fields.get(1)) {
            (Some(address), Some(class)) => {
                classes.insert(address, class.trim().to_owned());
            }
            // A header is no address.
            _ if number == 0 => {}
            _ => return Err(refused(format!("line {} is not address,class", number + 1))),
        }
    }
    Ok(classes)
}

fn planted(truth: &Value) -> BTreeMap<Addr, String> {
    let mut classes = BTreeMap::new();
    for (kind, members, name) in
        [("campaigns", "members", "id"), ("groups", "members", "id"), ("research", "sources", "name")]
    {
        for one in truth[kind].as_array().into_iter().flatten() {
            let Some(class) = one[name].as_str() else { continue };
            let addresses = one[members].as_array().into_iter().flatten();
            for address in addresses.filter_map(|address| address.as_str()?.parse::<Addr>().ok()) {
                classes.insert(address, class.to_owned());
            }
        }
    }
    classes
}
