//! `noroshi correlate --evaluate`: train on the first seven tenths of a generated half year, ask about the rest; once with
//! all that darknets saw before as the known, and once with nothing but a run of each sample in the sandbox.

use super::{Args, SCHEMA, page};
use crate::failure::Failure;
use crate::output::TextJsonOrHtml;
use noroshi_correlate::evaluate::{Answer, Score, score};
use noroshi_correlate::model::Card;
use noroshi_correlate::{Builder, Index, Model, Origin, Profile, Scratch, Verdict, train};
use noroshi_simulate::families::{Families, Settings};
use serde::Serialize;
use serde_json::json;
use std::collections::BTreeMap;
use std::io::Write;
use std::process::ExitCode;
use std::time::Instant;

/// Part of the half year that is known when questions begin.
const KNOWN_TENTHS: usize = 7;
/// Groups that are scored apart.
const GROUPS: [&str; 3] = ["/16", "/24", "forged"];

/// Runs in the sandbox of each variant of a family that was found before questions begin.
const RUNS: u64 = 1;

/// Times that each question is asked; the fastest counts, so that what else the machine does does not.
const ASKED: u32 = 3;

/// What an evaluation gives.
#[derive(Serialize)]
pub(super) struct Evaluation {
    pub(super) data: String,
    pub(super) profiles: usize,
    pub(super) packets: u64,
    pub(super) families: usize,
    pub(super) indexed: usize,
    pub(super) commonest: String,
    pub(super) scores: Vec<(String, Score)>,
    /// The same questions where families are known by runs of samples alone.
    pub(super) sandbox_scores: Vec<(String, Score)>,
    /// Runs that are known then.
    pub(super) sandbox_runs: usize,
    /// Milliseconds of a query, the fastest of three: median, 99 of 100, largest.
    pub(super) query_milliseconds: [f64; 3],
    pub(super) importance: Vec<(String, f32)>,
}

struct Observed {
    profile: Profile,
    group: &'static str,
    forged: bool,
}

/// Runs the evaluation.
pub(super) fn run(args: &Args) -> Result<ExitCode, Failure> {
    if args.profiles < 500 || args.families < 8 {
        return Err(Failure::usage("too little to score: at least 500 profiles of 8 families are needed"));
    }
    let settings = Settings { families: args.families, observations: args.profiles, ..Settings::default() };
    let all = observe(args.seed, settings);
    let split = all.len() * KNOWN_TENTHS / 10;
    let known: Vec<Profile> = all[..split].iter().map(|one| one.profile.clone()).collect();
    let mut families: BTreeMap<String, usize> = BTreeMap::new();
    for profile in &known {
        *families.entry(profile.label.clone().unwrap_or_default()).or_default() += 1;
    }
    let data = format!(
        "generated data: families of `noroshi-simulate`, seed {}, first {KNOWN_TENTHS} tenths of 182 days",
        args.seed
    );
    let card = Card {
        data: data.clone(),
        profiles: known.len() as u64,
        families: families.len() as u64,
        method: "logistic regression on pairs for similarity, conditional logit with weights of zero or more for \
                 evidence, isotonic calibration"
            .into(),
        limits: "scores on generated data say nothing certain about the Internet; train again on labelled \
                 observations before relying on the probabilities"
            .into(),
    };
    let runs = sandbox(args.seed, settings);
    let until = known.last().map(|profile| profile.first).unwrap_or_default();
    let runs: Vec<Profile> = runs.into_iter().filter(|profile| profile.first <= until).collect();
    let model = train::train(&[&known[..], &runs[..]].concat(), card);
    if let Some(path) = &args.write_model {
        std::fs::write(path, model.write()).map_err(|error| Failure::failed(error).at(path.display()))?;
    }
    let mut index = Index::new(model.similarity);
    for profile in &known {
        index.insert(profile);
    }
    let (answers, mut times) = ask(&index, &model, &all[split..], &families);
    let mut samples = Index::new(model.similarity);
    runs.iter().for_each(|run| _ = samples.insert(run));
    let (sample_answers, _) = ask(&samples, &model, &all[split..], &families);
    if args.crowd > 0 {
        crowd(&mut index, args, settings);
        times = ask(&index, &model, &all[split..], &families).1;
    }
    let commonest = families.iter().max_by_key(|(_, count)| **count).map(|(name, _)| name.clone()).unwrap_or_default();
    times.sort_by(f64::total_cmp);
    let at = |hundredths: usize| {
        times.get((times.len() * hundredths / 100).min(times.len().saturating_sub(1))).copied().unwrap_or(0.0)
    };
    let result = Evaluation {
        data: format!(
            "generated data (seed {}), split by time: first {KNOWN_TENTHS} tenths known, the rest asked",
            args.seed
        ),
        profiles: all.len(),
        packets: all.iter().map(|one| one.profile.packets).sum(),
        families: families.len(),
        indexed: index.len(),
        scores: scores(&answers, &commonest),
        sandbox_scores: scores(&sample_answers, &commonest),
        sandbox_runs: runs.len(),
        commonest,
        query_milliseconds: [at(50), at(99), at(100)],
        importance: train::importance(&model)
            .into_iter()
            .map(|(one, weight)| (one.words().to_owned(), weight))
            .collect(),
    };
    print(&result, args.format)
}

/// Scores of all answers and of each group.
fn scores(answers: &[(Answer, bool)], commonest: &str) -> Vec<(String, Score)> {
    let of = |group: &str| {
        let inside = |(answer, forged): &&(Answer, bool)| {
            group == "all" || answer.group == group || *forged && group == "forged"
        };
        let some: Vec<&Answer> = answers.iter().filter(inside).map(|(answer, _)| answer).collect();
        (group.to_owned(), score(&some, commonest))
    };
    std::iter::once("all").chain(GROUPS).map(of).collect()
}

/// Profiles of runs in the sandbox, in the order of time.
fn sandbox(seed: u64, settings: Settings) -> Vec<Profile> {
    let world = Families::new(seed, settings);
    let mut runs: Vec<Profile> = world
        .runs(RUNS)
        .enumerate()
        .map(|(number, run)| {
            let (mut builder, family) = (Builder::sandbox(), run.family.to_owned());
            run.for_each(|row, payload| builder.add(row, payload));
            let profile = builder.finish(&format!("run-{number}"), Origin::Sandbox);
            Profile { label: Some(family), ..profile }
        })
        .collect();
    runs.sort_by_key(|run| run.first);
    runs
}

fn observe(seed: u64, settings: Settings) -> Vec<Observed> {
    let world = Families::new(seed, settings);
    let profiles = world.observations().enumerate().map(|(number, one)| {
        let mut builder = Builder::new(one.telescope.addresses());
        let (family, group, forged) = (one.family.to_owned(), one.telescope.name(), one.forged);
        one.for_each(|row, payload| builder.add(row, payload));
        let profile = builder.finish(&format!("observation-{number}"), Origin::Darknet);
        Observed { profile: Profile { label: Some(family), ..profile }, group, forged }
    });
    profiles.collect()
}

/// Fills the index with further observations of the same families, each kept several times: what counts is how many
/// there are.
fn crowd(index: &mut Index, args: &Args, settings: Settings) {
    let more = observe(args.seed ^ 0x5eed, Settings { observations: 20_000.min(args.crowd), ..settings });
    for number in 0..args.crowd {
        index.insert(&more[number % more.len()].profile);
    }
}

fn ask(
    index: &Index,
    model: &Model,
    asked: &[Observed],
    families: &BTreeMap<String, usize>,
) -> (Vec<(Answer, bool)>, Vec<f64>) {
    let (mut scratch, mut times) = (Scratch::default(), Vec::new());
    let answer = |one: &Observed| {
        let (mut verdict, mut fastest) = (Verdict::default(), f64::INFINITY);
        for _ in 0..ASKED {
            let began = Instant::now();
            verdict = index.judge(model, &one.profile, &mut scratch);
            fastest = fastest.min(began.elapsed().as_secs_f64() * 1000.0);
        }
        times.push(fastest);
        let truth = one.profile.label.clone().unwrap_or_default();
        let answer = Answer {
            known: families.contains_key(&truth),
            truth,
            group: one.group.to_owned(),
            packets: one.profile.packets,
            candidates: verdict.candidates.into_iter().map(|one| (one.family, one.probability)).collect(),
        };
        (answer, one.forged)
    };
    let answers = asked.iter().map(answer).collect();
    (answers, times)
}

fn print(result: &Evaluation, style: TextJsonOrHtml) -> Result<ExitCode, Failure> {
    let mut out = std::io::stdout().lock();
    match style {
        TextJsonOrHtml::Json => {
            let whole = json!({"schema": SCHEMA, "kind": "evaluation", "evaluation": result});
            writeln!(out, "{}", serde_json::to_string_pretty(&whole)?)?;
        }
        TextJsonOrHtml::Html => out.write_all(page::render(result).as_bytes())?,
        TextJsonOrHtml::Text => text(&mut out, result)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn text(out: &mut impl Write, result: &Evaluation) -> Result<(), Failure> {
    writeln!(out, "{}", result.data)?;
    writeln!(
        out,
        "{} profiles of {} packets; {} families known; {} profiles in the index\n",
        result.profiles, result.packets, result.families, result.indexed
    )?;
    writeln!(out, "families known by what darknets saw of them before")?;
    rows(out, &result.scores)?;
    writeln!(out, "\nfamilies known by {} runs of samples in the sandbox, and nothing else", result.sandbox_runs)?;
    rows(out, &result.sandbox_scores)?;
    writeln!(out, "\naccuracy over packets seen (generated data)")?;
    for (group, one) in result.scores.iter().take(3) {
        let points: Vec<String> = one.curve.iter().map(|p| format!("{}+: {:.3}", p.packets_from, p.top1)).collect();
        writeln!(out, "  {group:<6} {}", points.join("  "))?;
    }
    let [median, p99, most] = result.query_milliseconds;
    writeln!(
        out,
        "\none query, the fastest of {ASKED}: median {median:.2} ms, 99 of 100 within {p99:.2} ms, longest {most:.2} ms"
    )?;
    writeln!(
        out,
        "\"majority\" always names {}; \"new kept\" is the share of families never seen before that was rightly left unnamed",
        result.commonest
    )?;
    Ok(())
}

fn rows(out: &mut impl Write, scores: &[(String, Score)]) -> Result<(), Failure> {
    writeln!(
        out,
        "{:<8} {:>9} {:>8} {:>6} {:>6} {:>8} {:>8} {:>8} {:>11} {:>11} {:>9}",
        "seen by",
        "questions",
        "families",
        "top-1",
        "top-5",
        "macro-F1",
        "majority",
        "coverage",
        "right named",
        "calibration",
        "new kept"
    )?;
    for (group, one) in scores {
        writeln!(
            out,
            "{group:<8} {:>9} {:>8} {:>6.3} {:>6.3} {:>8.3} {:>8.3} {:>8.3} {:>11.3} {:>11.3} {:>9.3}",
            one.questions,
            one.families,
            one.top1,
            one.top5,
            one.macro_f1,
            one.majority,
            one.coverage,
            one.named_right,
            one.calibration_error,
            one.unknown_abstained
        )?;
    }
    Ok(())
}
