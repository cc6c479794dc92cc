//! `noroshi correlate`: which malware is behind this, how sure, and why.

mod evaluate;
mod page;
pub(super) mod read;
pub(super) mod tell;

use crate::failure::Failure;
use crate::output::TextJsonOrHtml;
use crate::terminal::{Paint, escape};
use noroshi_correlate::joins::{Join, Joins, Owner};
use noroshi_correlate::{Index, Model, Profile, Scratch, Verdict};
use noroshi_model::Prefix;
use serde_json::json;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

const EXAMPLES: &str = "\
Examples:
  noroshi correlate campaign-1 --in day.pcap --against runs/
  noroshi correlate 198.51.100.7 --in day.pcap --against samples.ndjson
  noroshi correlate strange.pcap --against runs/ --format json
  noroshi correlate 5f2c1e9a --in cowrie.json --against runs/
  noroshi correlate sandbox.pcap --profile --label family-x > samples.ndjson
  noroshi correlate --evaluate --format html > scores.html

Profiles are one JSON object per line (schema noroshi.profile/1); `noroshi malware run` writes one for each run.";

/// Name and version of the JSON contract.
const SCHEMA: &str = "noroshi.correlate/1";

/// Match a source, a session, a campaign or a capture with the profiles of samples, or say that nothing matches.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// A capture or a profile file; or, within the inputs of --in, an address, a session, or campaign-1 for the largest
    /// campaign.
    #[arg(value_name = "WHAT", required_unless_present = "evaluate")]
    what: Option<String>,
    /// Where WHAT is found: captures, or a honeypot's log.
    #[arg(long = "in", value_name = "PATH")]
    inputs: Vec<PathBuf>,
    /// Profiles to match with: files, or directories with .ndjson files in them.
    #[arg(long, value_name = "PATH")]
    against: Vec<PathBuf>,
    /// Monitored prefixes, from which rates follow; inferred if not given. A capture of one source is taken for a sample's.
    #[arg(long, value_name = "PREFIX")]
    monitored: Vec<Prefix>,
    /// Print the profile instead of matching it.
    #[arg(long, conflicts_with = "against")]
    profile: bool,
    /// Family to write into the profile.
    #[arg(long, requires = "profile", value_name = "FAMILY")]
    label: Option<String>,
    /// A model to judge by, instead of the one that comes with the program.
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// Score correlation on generated families, split by time, beside the baseline.
    #[arg(long, conflicts_with_all = ["what", "profile", "against", "inputs"])]
    evaluate: bool,
    /// Seed of the generated families.
    #[arg(long, requires = "evaluate", default_value_t = 1)]
    seed: u64,
    /// Profiles in the generated world.
    #[arg(long, requires = "evaluate", default_value_t = 16_236)]
    profiles: usize,
    /// Families in the generated world.
    #[arg(long, requires = "evaluate", default_value_t = 128)]
    families: usize,
    /// Fill the index with so many more profiles of the same families before time is measured.
    #[arg(long, requires = "evaluate", value_name = "N", default_value_t = 0)]
    crowd: usize,
    /// Where to write the model that was trained for the evaluation.
    #[arg(long, requires = "evaluate", value_name = "FILE")]
    write_model: Option<PathBuf>,
    /// How to print.
    #[arg(long, value_enum, default_value_t = TextJsonOrHtml::Text)]
    format: TextJsonOrHtml,
}

/// Runs the command.
pub fn run(args: Args) -> Result<ExitCode, Failure> {
    if args.evaluate {
        return evaluate::run(&args);
    }
    if args.format == TextJsonOrHtml::Html {
        return Err(Failure::usage("a page is made of an evaluation").hint("add --evaluate"));
    }
    let what = args.what.as_deref().unwrap_or_default();
    let profiles = read::subject(what, &args.inputs, &args.monitored)?;
    let mut out = std::io::stdout().lock();
    if args.profile {
        for profile in profiles {
            writeln!(out, "{}", Profile { label: args.label.clone().or(profile.label.clone()), ..profile }.to_json())?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    if args.against.is_empty() {
        return Err(Failure::usage("there is nothing to match with")
            .hint("add --against with profiles; `noroshi malware run` makes them, and so does --profile"));
    }
    let model = model(args.model.as_deref())?;
    let known = read::known(&args.against)?;
    let (index, joins) = gather(&model, &known);
    let mut scratch = Scratch::default();
    let mut all = Vec::new();
    for profile in &profiles {
        let verdict = index.judge(&model, profile, &mut scratch);
        let found = joins.find(&profile.exact);
        if args.format == TextJsonOrHtml::Text {
            say(&mut out, profile, &verdict, &found, index.len(), &model)?;
        }
        all.push(json!({"what": profile.name, "packets": profile.packets, "sources": profile.sources,
            "verdict": verdict, "joins": found}));
    }
    if args.format == TextJsonOrHtml::Json {
        let whole = json!({"schema": SCHEMA, "detector": noroshi_correlate::detector(), "model": model.card,
            "profiles_known": index.len(), "results": all});
        writeln!(out, "{}", serde_json::to_string_pretty(&whole)?)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn model(path: Option<&std::path::Path>) -> Result<Model, Failure> {
    let Some(path) = path else { return Ok(Model::shipped()) };
    let bytes = std::fs::read(path).map_err(|error| Failure::refused(error).at(path.display()))?;
    Model::read(&bytes).map_err(|error| Failure::refused(error).at(path.display()))
}

fn gather(model: &Model, known: &[Profile]) -> (Index, Joins) {
    let (mut index, mut joins) = (Index::new(model.similarity), Joins::default());
    for profile in known {
        if !profile.features.is_empty() {
            index.insert(profile);
        }
        joins.add(&Owner { name: profile.name.clone(), label: profile.label.clone() }, &profile.exact);
    }
    (index, joins)
}

fn percent(part: f32) -> String {
    format!("{:.0} %", part * 100.0)
}

fn say(
    out: &mut impl Write,
    profile: &Profile,
    verdict: &Verdict,
    joins: &[Join],
    known: usize,
    model: &Model,
) -> Result<(), Failure> {
    let paint = Paint::stdout();
    let name = escape(&profile.name);
    writeln!(out, "{}", paint.heading(format!("{name}: {} packets, {} sources", profile.packets, profile.sources)))?;
    match (&verdict.family, &verdict.abstains) {
        (Some(family), _) => {
            let sure = percent(verdict.candidates[0].probability);
            writeln!(out, "behaves like {} ({sure} sure)", paint.good(escape(family)))?;
        }
        (None, why) => writeln!(out, "no family is named: {}", escape(why.as_deref().unwrap_or("no candidate")))?,
    }
    for (rank, one) in verdict.candidates.iter().enumerate() {
        writeln!(
            out,
            "  {}. {:<24} {:>5}  nearest {} ({} alike)",
            rank + 1,
            escape(&one.family),
            percent(one.probability),
            escape(&one.nearest),
            percent(one.similarity)
        )?;
        for reason in one.reasons.iter().take(if rank == 0 { 6 } else { 2 }) {
            let sign = if reason.weight > 0.0 { '+' } else { '-' };
            writeln!(out, "       {sign}{:.1}  {}", reason.weight.abs(), escape(&reason.text))?;
        }
    }
    for join in joins {
        let label = join.owner.label.as_deref().unwrap_or("no label is known");
        let value = join.value.replace('\n', ", ");
        writeln!(
            out,
            "  equal {:?}: {} with {} ({})",
            join.kind,
            escape(&value),
            escape(&join.owner.name),
            escape(label)
        )?;
    }
    if joins.is_empty() {
        writeln!(out, "  no hash, place, host or list of logins is equal")?;
    }
    writeln!(
        out,
        "{}",
        paint.faint(format!("{known} profiles known; model trained on: {}", escape(&model.card.data)))
    )?;
    Ok(())
}
