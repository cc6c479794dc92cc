//! `noroshi train`: learns to tell backscatter from scans, and says how well.

use super::Origin;
use crate::failure::Failure;
use crate::inputs;
use crate::output::Output;
use crate::progress::Progress;
use crate::terminal::{Paint, escape};
use noroshi_detect::learn::model::Untrainable;
use noroshi_detect::learn::{Collector, Example, FEATURES, Model, Scores, train};
use noroshi_packet::decode::decode;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const EXAMPLES: &str = "\
Examples:
  noroshi train day.pcap.zst --output backscatter.json
  noroshi train --model backscatter.json other-day.pcap.zst     # how it does elsewhere, and on UDP
  noroshi train day.pcap.zst --examples examples.csv            # the same input for other programs";

/// Learns from captures to tell backscatter from scans where no flags tell, and scores itself.
///
/// TCP flags label the examples (one source in one minute), the features do not see them, so that the model can judge
/// UDP. Two models: features selected for a linear support vector machine, as published in 2014 and 2015, and boosted
/// stumps. Tested on later minutes of sources never learned from; macro-F1 beside the majority. A model is a file with a
/// card: data, dates, scores.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Captures, or directories of them.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Write the model here.
    #[arg(long, short, value_name = "FILE", conflicts_with = "model")]
    output: Option<PathBuf>,
    /// Do not learn: score this model on the captures, and apply it to UDP.
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// Write the examples as CSV.
    #[arg(long, value_name = "FILE")]
    examples: Option<PathBuf>,
    /// Where the data come from; stands on the card.
    #[arg(long, value_enum, default_value_t = Origin::Real)]
    data: Origin,
}

/// Runs the command.
pub fn run(args: Args) -> Result<ExitCode, Failure> {
    let examples = read(&args.paths)?;
    if let Some(path) = &args.examples {
        write_examples(path, &examples)?;
    }
    let mut out = std::io::stdout().lock();
    if let Some(path) = &args.model {
        return apply(&mut out, &load(path)?, &examples, args.data);
    }
    let names: Vec<String> =
        args.paths.iter().filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned())).collect();
    let model = train(&examples, &names.join(", "), args.data.name()).map_err(|why| match why {
        Untrainable::TooFew => Failure::refused(format!("{} examples are too few to learn from", examples.len()))
            .hint("give captures with at least fifty busy source-minutes of TCP"),
        Untrainable::OneClass => Failure::refused("the captures hold only scans, or only backscatter")
            .hint("give captures of a darknet, which has both"),
    })?;
    show(&mut out, &model)?;
    if let Some(path) = &args.output {
        let mut file = Output::open(Some(path))?;
        writeln!(file, "{}", serde_json::to_string_pretty(&model)?)?;
        file.finish()?;
    }
    Ok(ExitCode::SUCCESS)
}

fn read(paths: &[PathBuf]) -> Result<Vec<Example>, Failure> {
    let inputs = inputs::expand(paths)?;
    let progress = Progress::bytes(inputs::total_bytes(&inputs));
    let mut examples = Vec::new();
    for input in &inputs {
        let mut reader = input.open().map_err(|problem| Failure::refused(problem.text).at(&input.path))?;
        let (mut collector, mut taken) = (Collector::default(), 0);
        while let Some(raw) = reader.next_batch() {
            let batch = decode(raw, 0);
            batch.rows.iter().for_each(|packet| collector.observe(packet));
            let now = reader.bytes_taken();
            progress.advance(now - std::mem::replace(&mut taken, now), batch.rows.len() as u64);
        }
        examples.extend(collector.finish());
    }
    progress.finish();
    examples.sort_by(|a, b| a.at.cmp(&b.at).then(a.source.cmp(&b.source)));
    Ok(examples)
}

fn write_examples(path: &Path, examples: &[Example]) -> Result<(), Failure> {
    let mut out = Output::open(Some(path))?;
    writeln!(out, "minute,source,backscatter,{}", FEATURES.map(|name| name.replace(',', "")).join(","))?;
    for example in examples {
        let class = example.backscatter.map_or("", |class| if class { "1" } else { "0" });
        let values: Vec<String> = example.features.iter().map(f64::to_string).collect();
        writeln!(out, "{},{},{class},{}", example.at.rfc3339(), example.source, values.join(","))?;
    }
    out.finish()
}

fn load(path: &Path) -> Result<Model, Failure> {
    let refused =
        |why: String| Failure::refused(why).at(path.display()).hint("name a file that noroshi train --output wrote");
    let text = std::fs::read_to_string(path).map_err(|error| refused(error.to_string()))?;
    let model: Model = serde_json::from_str(&text).map_err(|error| refused(format!("not a model: {error}")))?;
    if model.sound() { Ok(model) } else { Err(refused("the model does not fit this version".to_owned())) }
}

fn show(out: &mut impl Write, model: &Model) -> Result<(), Failure> {
    let (paint, card) = (Paint::stdout(), &model.card);
    writeln!(out, "{}", paint.heading(&card.question))?;
    writeln!(out, "learned from {} examples of {} sources in {}", card.examples, card.sources, escape(&card.data))?;
    writeln!(out, "from {} to {}; data: {}", card.from.rfc3339(), card.until.rfc3339(), card.origin)?;
    match &card.scores {
        Some(scores) => print_scores(out, scores)?,
        None => writeln!(out, "not scored: the later part has no new sources of both kinds")?,
    }
    writeln!(out, "\n{:<40} {:>8} {:>10} {:>8}", "feature", "gain", "separation", "weight")?;
    for feature in &model.features {
        let weight = feature.weight.map_or("-".to_owned(), |weight| format!("{weight:.2}"));
        writeln!(
            out,
            "{:<40} {:>6.1} % {:>10.3} {:>8}",
            feature.feature,
            feature.gain * 100.0,
            feature.separation,
            weight
        )?;
    }
    writeln!(
        out,
        "gain: share in the stumps; weight: in the support vector machine, above zero speaks for backscatter"
    )?;
    Ok(())
}

fn print_scores(out: &mut impl Write, scores: &Scores) -> Result<(), Failure> {
    writeln!(
        out,
        "macro-F1 on {} examples of {} other sources ({:.0} % backscatter): stumps {:.4}, support vectors {:.4}, majority {:.4}",
        scores.examples,
        scores.sources,
        scores.backscatter * 100.0,
        scores.stumps,
        scores.support_vectors,
        scores.majority
    )?;
    Ok(())
}

fn apply(out: &mut impl Write, model: &Model, examples: &[Example], origin: Origin) -> Result<ExitCode, Failure> {
    match model.score(examples) {
        Some(scores) => print_scores(out, &scores)?,
        None => writeln!(out, "not scored: TCP of both kinds is needed")?,
    }
    let udp: Vec<&Example> = examples.iter().filter(|example| example.backscatter.is_none()).collect();
    let answers = udp.iter().filter(|example| model.probability(&example.features) > 0.5).count();
    writeln!(out, "UDP: {answers} of {} source-minutes look like backscatter", udp.len())?;
    writeln!(
        out,
        "data: {}; model learned from {} data ({})",
        origin.name(),
        escape(&model.card.origin),
        escape(&model.card.data)
    )?;
    Ok(ExitCode::SUCCESS)
}
