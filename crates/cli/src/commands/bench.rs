//! `noroshi bench`: figures that anyone can repeat.

use crate::failure::Failure;
use crate::output::TextOrJson;
use crate::terminal::Paint;
use serde_json::{Value, json};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

const EXAMPLES: &str = "\
Example:
  noroshi bench seed
  noroshi bench seed --packets 10000000 --keep day/ --format json";

/// Name and version of the JSON contract.
const SCHEMA: &str = "noroshi.bench/1";

/// Runs a day through every stage and prints what it took.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    /// A generated day in; statistics, surges, campaigns, correlation, forecast, report out; beside the limits that the
    /// Japanese programme of 2011 to 2015 set itself.
    #[command(after_help = EXAMPLES)]
    Seed(Seed),
}

/// The day and how to print.
#[derive(clap::Args)]
struct Seed {
    /// Packets of the generated day.
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(10_000..=1_000_000_000))]
    packets: u64,
    /// Profiles among which a match is sought.
    #[arg(long, value_name = "N", default_value_t = 16_236, value_parser = clap::value_parser!(u64).range(500..=1_000_000))]
    profiles: u64,
    /// Seed of the generated day.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Make the day here and keep it, instead of in a temporary folder.
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// Print JSON.
    #[arg(long, value_enum, default_value_t = TextOrJson::Text)]
    format: TextOrJson,
}

/// What a stage took.
struct Stage {
    what: &'static str,
    seconds: f64,
    cpu_seconds: f64,
    peak_mebibytes: u64,
}

/// Seconds of the seed system, from the published reports of PRACTICE: analyses, statistics, matching, warning.
const ANALYSES: f64 = 1_800.0;
const STATISTICS: f64 = 10.0;
const MATCHING: f64 = 30.0;
/// Ours for a day of a hundred million packets.
const CYCLE: f64 = 60.0;
const CYCLE_PACKETS: f64 = 100e6;
const CYCLE_MEBIBYTES: u64 = 2_048;
/// How often the memory of a stage is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// Runs the command.
pub fn run(args: Args) -> Result<ExitCode, Failure> {
    let What::Seed(seed) = args.what;
    let folder =
        seed.keep.clone().unwrap_or_else(|| std::env::temp_dir().join(format!("noroshi-bench-{}", std::process::id())));
    std::fs::create_dir_all(&folder).map_err(|error| Failure::failed(error).at(folder.display()))?;
    let result = seed_bench(&seed, &folder);
    if seed.keep.is_none() {
        // A leftover in the temporary folder is no reason to lose the figures.
        let _ = std::fs::remove_dir_all(&folder);
    }
    result
}

fn seed_bench(seed: &Seed, folder: &Path) -> Result<ExitCode, Failure> {
    let path = |name: &str| folder.join(name).to_string_lossy().into_owned();
    let (world, report, page) = (path("world"), path("report.json"), path("report.html"));
    let (packets, number, profiles) = (seed.packets.to_string(), seed.seed.to_string(), seed.profiles.to_string());
    stage("the day", &["simulate", "darknet-day", "--seed", &number, "--packets", &packets, "--output", &world], None)?;
    let (matches, words) = (path("matches.json"), path("words.txt"));
    let stages = [
        stage(
            "statistics, scans, campaigns, attacks",
            &["analyze", &world, "--format", "json", "--output", &report],
            None,
        )?,
        stage("report", &["analyze", &world, "--format", "html", "--output", &page], None)?,
        stage("surges", &["forecast", &report, "--surges", "--data", "generated"], None)?,
        stage("forecast", &["forecast", &report, "--data", "generated"], None)?,
        stage("synchrony", &["synchrony", &world], None)?,
        stage("similarity", &["similar", &world, "--data", "generated", "--sentences", &words], None)?,
        stage("locality", &["locality", &world, "--data", "generated"], None)?,
        stage("lead and lag", &["lead", &world, "--data", "generated"], None)?,
        stage(
            "families: learn, index and match",
            &["correlate", "--evaluate", "--profiles", &profiles, "--format", "json"],
            Some(&matches),
        )?,
    ];
    let slowest = slowest_match(Path::new(&matches));
    let rows = compare(&stages, slowest, seed);
    let mut out = std::io::stdout().lock();
    match seed.format {
        TextOrJson::Text => text(&mut out, &stages, &rows, seed)?,
        TextOrJson::Json => {
            let stages: Vec<Value> = stages
                .iter()
                .map(|stage| {
                    json!({"stage": stage.what, "seconds": stage.seconds, "cpu_seconds": stage.cpu_seconds,
                    "peak_mebibytes": stage.peak_mebibytes})
                })
                .collect();
            let rows: Vec<Value> = rows
                .iter()
                .map(|row| json!({"what": row.what, "seed_seconds": row.limit, "seconds": row.ours, "note": row.note}))
                .collect();
            let value = json!({"schema": SCHEMA, "kind": "seed", "data": "generated", "packets": seed.packets,
                "stages": stages, "limits": rows});
            writeln!(out, "{}", serde_json::to_string_pretty(&value)?)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// One of the seed's limits beside ours.
struct Row {
    what: &'static str,
    limit: f64,
    ours: Option<f64>,
    note: String,
}

fn compare(stages: &[Stage], slowest: Option<f64>, seed: &Seed) -> Vec<Row> {
    let all: f64 = stages.iter().map(|stage| stage.seconds).sum();
    // Learning families is done once, not with every day.
    let cycle: f64 =
        stages[..stages.len() - 1].iter().filter(|stage| stage.what != "report").map(|stage| stage.seconds).sum();
    let peak = stages[..stages.len() - 1].iter().map(|stage| stage.peak_mebibytes).max().unwrap_or(0);
    let scale = CYCLE_PACKETS / seed.packets as f64;
    vec![
        Row {
            what: "all analyses of a day",
            limit: ANALYSES,
            ours: Some(all),
            note: format!("{} packets", seed.packets),
        },
        Row {
            what: "statistics",
            limit: STATISTICS,
            ours: Some(stages[0].seconds),
            note: "with scans, campaigns and attacks".to_owned(),
        },
        Row {
            what: "matching one profile",
            limit: MATCHING,
            ours: slowest,
            note: format!("slowest of all, among {} profiles", seed.profiles),
        },
        Row {
            what: "full cycle, 100 M packets",
            limit: CYCLE,
            ours: Some(cycle * scale),
            note: format!(
                "our own limit; {scale:.0} times what {} packets took; peak {peak} of {CYCLE_MEBIBYTES} MiB, not scaled",
                seed.packets
            ),
        },
    ]
}

fn slowest_match(path: &Path) -> Option<f64> {
    let value: Value = serde_json::from_str(&std::fs::read_to_string(path).ok()?).ok()?;
    Some(value["evaluation"]["query_milliseconds"][2].as_f64()? / 1_000.0)
}

fn text(out: &mut impl Write, stages: &[Stage], rows: &[Row], seed: &Seed) -> Result<(), Failure> {
    let paint = Paint::stdout();
    writeln!(out, "{}", paint.heading(format!("a generated day of {} packets, seed {}", seed.packets, seed.seed)))?;
    writeln!(out, "  {:<40} {:>9} {:>9} {:>10}", "stage", "seconds", "CPU s", "peak MiB")?;
    for stage in stages {
        writeln!(
            out,
            "  {:<40} {:>9.2} {:>9.2} {:>10}",
            stage.what, stage.seconds, stage.cpu_seconds, stage.peak_mebibytes
        )?;
    }
    writeln!(out, "\n{}", paint.heading("beside the limits"))?;
    writeln!(out, "  {:<28} {:>10} {:>10}  {:<6}", "", "limit, s", "ours, s", "")?;
    for row in rows {
        let ours = row.ours.map_or("-".to_owned(), |ours| format!("{ours:.3}"));
        let met = if row.ours.is_some_and(|ours| ours <= row.limit) { "met" } else { "not met" };
        writeln!(out, "  {:<28} {:>10.0} {ours:>10}  {met:<8} {}", row.what, row.limit, row.note)?;
    }
    writeln!(out, "generated data; each stage is a command of its own and reads the day again")?;
    Ok(())
}

/// Runs this program with arguments and measures it; its output is thrown away or kept.
fn stage(what: &'static str, arguments: &[&str], output: Option<&str>) -> Result<Stage, Failure> {
    let program = std::env::current_exe()?;
    let failed = |why: String| Failure::failed(format!("{what}: {why}")).at(format!("noroshi {}", arguments.join(" ")));
    let to = match output {
        Some(path) => Stdio::from(std::fs::File::create(path)?),
        None => Stdio::null(),
    };
    let before = children_cpu();
    let began = Instant::now();
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(to)
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| failed(error.to_string()))?;
    let mut peak = 0;
    let status = loop {
        peak = peak.max(peak_mebibytes(child.id()));
        match child.try_wait()? {
            Some(status) => break status,
            None => std::thread::sleep(LOOK),
        }
    };
    let seconds = began.elapsed().as_secs_f64();
    if !status.success() {
        let mut text = String::new();
        if let Some(mut errors) = child.stderr.take() {
            std::io::Read::read_to_string(&mut errors, &mut text)?;
        }
        return Err(failed(text.trim().to_owned()));
    }
    Ok(Stage { what, seconds, cpu_seconds: children_cpu() - before, peak_mebibytes: peak })
}

/// Largest resident memory of a process so far (VmHWM of proc_pid_status(5)); 0 where there is no such file.
fn peak_mebibytes(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) / 1_024
}

/// User and system time of the children that have ended, seconds (fields 16 and 17 of proc_pid_stat(5), in hundredths).
fn children_cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    after_name.split_whitespace().skip(13).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}
