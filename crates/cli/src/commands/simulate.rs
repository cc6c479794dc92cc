//! `noroshi simulate`: a generated world into a directory, with its truth.

use crate::failure::Failure;
use crate::progress::Progress;
use noroshi_simulate::scenario::BUILTIN;
use noroshi_simulate::{Scenario, ScenarioError, World, Written, write_day};
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

const EXAMPLES: &str = "\
Examples:
  noroshi simulate darknet-day --seed 1 --packets 1000000 --output day/
  noroshi simulate my-scenario.toml --output day/
  noroshi simulate list

Writes day.pcap, truth.json (schema noroshi.truth/1) and sources.csv. The same scenario, seed and number of packets
give the same files on every machine. Nothing is sent on any network.";

/// Generate a day of darknet traffic with its ground truth, from a scenario and a seed.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// A scenario that ships with the program, the path of a .toml file, or "list" to see the scenarios.
    #[arg(value_name = "SCENARIO")]
    scenario: String,
    /// Seed; another one gives another world of the same kind.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Number of packets, planted and background; the scenario's own number if not given.
    #[arg(long)]
    packets: Option<u64>,
    /// Directory to write into; made if needed.
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
}

/// Runs the command.
pub fn run(args: Args) -> Result<ExitCode, Failure> {
    if args.scenario == "list" {
        return list();
    }
    let Some(output) = args.output else {
        return Err(Failure::usage("simulate needs a directory to write into").hint("add --output DIR"));
    };
    let scenario = Scenario::load(&args.scenario).map_err(|refused| match refused {
        ScenarioError::Unknown { .. } => Failure::refused(refused).hint("noroshi simulate list shows what each is for"),
        _ => Failure::refused(refused),
    })?;
    let world = World::new(&scenario, args.seed, args.packets.unwrap_or(scenario.packets));
    let started = Instant::now();
    let progress = Progress::bytes(Some(world.packets_total()));
    let mut before = 0;
    let written = write_day(&world, &output, &mut |packets| {
        progress.advance(packets - before, packets - before);
        before = packets;
    })
    .map_err(|refused| Failure::failed(refused).hint("is there space, and may you write there?"))?;
    progress.finish();
    summary(&written, started.elapsed().as_secs_f64())?;
    Ok(ExitCode::SUCCESS)
}

fn list() -> Result<ExitCode, Failure> {
    let mut out = std::io::stdout().lock();
    for (name, _) in BUILTIN {
        let scenario = Scenario::load(name)?;
        writeln!(out, "{name:<22} {:>9} packets  {}", scenario.packets, scenario.title)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn summary(written: &Written, seconds: f64) -> Result<(), Failure> {
    let (truth, mut out) = (&written.truth, std::io::stdout().lock());
    let rate = written.packets as f64 / seconds.max(0.001) / 1e6;
    writeln!(
        out,
        "{} (seed {}): {} packets in {seconds:.1} s, {rate:.1} M/s",
        truth.scenario, truth.seed, written.packets
    )?;
    let planted = [
        ("campaigns", truth.campaigns.len()),
        ("synchronised groups", truth.groups.len()),
        ("scans", truth.scans.len()),
        ("research scanners", truth.research.len()),
        ("infections", truth.infections.len()),
        ("attacks", truth.attacks.len()),
        ("precursors", truth.precursors.len()),
        ("decoys", truth.decoys.len()),
        ("sweeps", truth.sweeps.len()),
    ];
    let planted: Vec<String> = planted
        .iter()
        .filter(|(_, n)| *n > 0)
        .map(|(words, n)| format!("{n} {}", if *n == 1 { words.trim_end_matches('s') } else { *words }))
        .collect();
    writeln!(out, "planted: {}", if planted.is_empty() { "nothing".to_owned() } else { planted.join(", ") })?;
    for (path, what) in [
        (&written.capture, "the packets"),
        (&written.truth_file, "what is planted in them"),
        (&written.sources_file, "the tool of each source"),
    ] {
        writeln!(out, "  {:<40} {what}", path.display())?;
    }
    Ok(())
}
