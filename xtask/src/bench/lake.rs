//! `cargo xtask bench lake`: the five questions of the shared workload on our lake, beside engines that people would pick
//! instead, on the same packets; what ingest costs; how fast the ready-made statistics are.
//!
//! Peers read one Parquet file that pyarrow wrote; we read the tables that the journal filled. Each program runs alone, one
//! after the other, and its CPU seconds are compared.

use super::{HELP, median};
use crate::Outcome;
use crate::run::{cargo, option, output, root, shared, step};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

const ENGINES: [&str; 3] = ["duckdb", "chdb", "polars"];
const QUESTIONS: [&str; 5] = ["q1", "q2", "q3", "q4", "q5"];
/// Questions that a roll-up answers, and which.
const ROLL_UPS: [(&str, &str); 2] = [("q1", "q1 from hours_ports"), ("q4", "q4 from minutes_ports")];

pub(super) fn run(args: &[String]) -> Outcome {
    let word = |name: &str, default: &str| option(args, name).unwrap_or(default).to_owned();
    let (packets, seed, runs) = (word("--packets", "10000000"), word("--seed", "2"), word("--runs", "5"));
    let count: u64 = packets.parse().map_err(|_| format!("--packets wants a whole number\n\n{HELP}"))?;
    let folder = option(args, "--keep").map_or_else(|| root().join("target/bench"), PathBuf::from);
    let shared = shared().ok_or("the workload generator is not here: set NOROSHI_SHARED to the shared folder")?;
    std::fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let python = std::env::var("NOROSHI_PYTHON").unwrap_or_else(|_| "python3".to_owned());

    let rows = folder.join(format!("day-{packets}-{seed}.rows"));
    let parquet = rows.with_extension("parquet");
    if !parquet.is_file() {
        let mut rustc = Command::new("rustc");
        rustc.args(["--edition", "2021", "-C", "opt-level=3", "-o"]).arg(folder.join("gen_darknet"));
        step("build the generator", rustc.arg(shared.join("bench/gen_darknet.rs")))?;
        let mut generator = Command::new(folder.join("gen_darknet"));
        generator.args(["--packets", &packets, "--seed", &seed, "--sources", &(count / 10).max(1_000).to_string()]);
        step("generate the day", generator.arg("--rows").arg(&rows))?;
        let mut writer = Command::new(&python);
        step("write it as Parquet", writer.arg(shared.join("bench/w2_make_parquet.py")).arg(&rows).arg(&parquet))?;
    }
    step(
        "build (release)",
        &mut cargo(&["build", "--release", "--locked", "-p", "noroshi-store", "--example", "figures"]),
    )?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    let figures = target.join("release/examples/figures");
    let lake = folder.join(format!("lake-{packets}-{seed}"));
    if !lake.join("lake").is_dir() {
        let loaded = lines(&figures, &[Path::new("load"), &rows, &lake])?;
        loaded.iter().for_each(|line| println!("{line}"));
    }
    let lookup = folder.join("lookup.parquet");
    let mut found = lines(&figures, &[Path::new("ask"), &lake, &lookup, Path::new(&runs)])?;
    for engine in ENGINES {
        for question in QUESTIONS {
            let script = shared.join("bench/w2_query.py");
            let asked = [&script, Path::new(engine), Path::new(question), &parquet, Path::new(&runs)];
            found.extend(lines(Path::new(&python), &asked)?);
        }
    }
    found.iter().for_each(|line| println!("{line}"));
    let statistics = lines(&figures, &[Path::new("statistics"), &lake, Path::new(&runs)])?;
    statistics.iter().for_each(|line| println!("{line}"));
    compare(&found)
}

/// What a program prints: a JSON value a line.
fn lines(program: &Path, words: &[&Path]) -> Result<Vec<Value>, String> {
    let text = output(Command::new(program).args(words))?;
    let value =
        |line: &str| serde_json::from_str(line).map_err(|error| format!("{}: {error}: {line}", program.display()));
    text.lines().map(value).collect()
}

fn seconds(found: &[Value], engine: &str, query: &str) -> Option<f64> {
    found.iter().find(|line| line["engine"] == engine && line["query"] == query)?["warm_cpu_s"].as_f64()
}

/// What stands in place of a figure: the reason why our engine gave no answer.
fn why_not<'a>(found: &'a [Value], query: &str) -> &'a str {
    let ours = found.iter().find(|line| line["engine"] == "noroshi" && line["query"] == query);
    ours.and_then(|line| line["error"].as_str()).unwrap_or("no figure")
}

fn compare(found: &[Value]) -> Outcome {
    println!("\nCPU seconds, warm.\n\n| question | noroshi | {} | against the best |", ENGINES.join(" | "));
    println!("|---|---|{}---|", "---|".repeat(ENGINES.len()));
    let mut ratios = Vec::new();
    let mut best_of = Vec::new();
    for question in QUESTIONS {
        let theirs: Vec<Option<f64>> = ENGINES.iter().map(|engine| seconds(found, engine, question)).collect();
        let best = theirs.iter().flatten().copied().fold(f64::INFINITY, f64::min);
        let shown = theirs.iter().map(|s| s.map_or("-".to_owned(), |s| format!("{s:.3}"))).collect::<Vec<_>>();
        best_of.push((question, best));
        let Some(ours) = seconds(found, "noroshi", question) else {
            println!("| {question} | {} | {} | |", why_not(found, question), shown.join(" | "));
            continue;
        };
        println!("| {question} | {ours:.3} | {} | {:.2} |", shown.join(" | "), ours / best);
        ratios.push((ours / best).ln());
    }
    let mean = (ratios.iter().sum::<f64>() / ratios.len() as f64).exp();
    let left_out = match QUESTIONS.len() - ratios.len() {
        0 => String::new(),
        count => format!(" ({count} questions without an answer are not in it)"),
    };
    println!("\ngeometric mean against the best of each question: {mean:.2}{left_out}");
    for (question, rolled) in ROLL_UPS {
        let Some(ours) = seconds(found, "noroshi", rolled) else {
            println!("{rolled}: {}", why_not(found, rolled));
            continue;
        };
        let best = best_of.iter().find(|(known, _)| *known == question).map_or(f64::NAN, |(_, best)| *best);
        println!("{rolled}: {ours:.4} CPU s, {:.0} times faster than the best engine on packets", best / ours);
    }
    println!("median of the ratios: {:.2}", median(&ratios).exp());
    Ok(())
}
