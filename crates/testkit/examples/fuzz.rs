//! Fuzzes the parsers without special tools: seeds replayed, then mutated for some seconds each.
//!
//! `cargo run -p noroshi-testkit --example fuzz -- [--seconds 5] [--seed 1] [TARGET...]`
//!
//! An input that panics, or takes longer than two seconds for a megabyte (and at least ten), is written to
//! `fuzz/artifacts/TARGET/` and ends the run with exit code 1. The first line printed says the seed.

use noroshi_testkit::fuzz::{Mutator, TARGETS, Target};
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// No input of a few kilobytes may take longer, on however busy a machine.
const HANG: Duration = Duration::from_secs(10);

/// Captures larger than this make a mutation per run too rare.
const SEED_BYTES_MAX: u64 = 32 << 10;

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let mut args: Vec<String> = std::env::args().skip(1).collect();
    let mut number = |name: &str, default: u64| -> Result<u64, Box<dyn Error>> {
        let Some(at) = args.iter().position(|arg| arg == name) else { return Ok(default) };
        let value = args.get(at + 1).ok_or_else(|| format!("{name} wants a number"))?.parse()?;
        args.drain(at..at + 2);
        Ok(value)
    };
    let (seconds, seed) = (number("--seconds", 5)?, number("--seed", 1)?);
    if let Some(unknown) = args.iter().find(|name| !TARGETS.iter().any(|target| target.name == **name)) {
        let names: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
        return Err(format!("there is no target `{unknown}`; there are: {}", names.join(", ")).into());
    }
    println!("seed {seed}, {seconds} s each");
    // A panic is expected work here; its place is printed with the input's file.
    let mut clean = true;
    for target in TARGETS.iter().filter(|target| args.is_empty() || args.iter().any(|name| name == target.name)) {
        clean &= fuzz(target, seconds, seed)?;
    }
    Ok(if clean { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Seeds of the repository, and for captures the shared ones that are small.
fn seeds(target: &Target) -> Result<Vec<Vec<u8>>, Box<dyn Error>> {
    let mut paths: Vec<PathBuf> = Vec::new();
    let mut folders = vec![root().join("fuzz/seeds").join(target.name)];
    if target.name == "capture" {
        let shared = std::env::var_os("NOROSHI_SHARED").map_or_else(|| root().join("../shared"), PathBuf::from);
        folders.push(shared.join("data/captures"));
    }
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten() {
            let path = entry?.path();
            let json = path.extension().is_some_and(|ext| ext == "json") && target.name == "capture";
            if path.is_dir() {
                folders.push(path);
            } else if !json && path.metadata()?.len() <= SEED_BYTES_MAX {
                paths.push(path);
            }
        }
    }
    paths.sort();
    Ok(paths.iter().map(std::fs::read).collect::<Result<_, _>>()?)
}

fn fuzz(target: &Target, seconds: u64, seed: u64) -> Result<bool, Box<dyn Error>> {
    let seeds = seeds(target)?;
    if seeds.is_empty() {
        return Err(format!("fuzz/seeds/{} is empty: give the target one small well-formed input", target.name).into());
    }
    for bytes in &seeds {
        if let Some(what) = attempt(target, bytes) {
            return report(target, bytes, what);
        }
    }
    let mut mutator = Mutator::new(seed);
    let started = Instant::now();
    let mut runs = 0_u64;
    while started.elapsed() < Duration::from_secs(seconds) {
        let bytes = mutator.input(&seeds);
        runs += 1;
        if let Some(what) = attempt(target, &bytes) {
            return report(target, &bytes, what);
        }
    }
    println!("{}: {} seeds, {runs} mutated inputs, nothing found", target.name, seeds.len());
    Ok(true)
}

/// Runs the target once; says what went wrong.
fn attempt(target: &Target, bytes: &[u8]) -> Option<&'static str> {
    let started = Instant::now();
    let ended = std::panic::catch_unwind(|| (target.run)(bytes));
    if ended.is_err() {
        return Some("panicked");
    }
    (started.elapsed() > HANG).then_some("took too long")
}

fn report(target: &Target, bytes: &[u8], what: &str) -> Result<bool, Box<dyn Error>> {
    let folder = root().join("fuzz/artifacts").join(target.name);
    std::fs::create_dir_all(&folder)?;
    let sum = bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3));
    let path = folder.join(format!("{sum:016x}"));
    std::fs::write(&path, bytes)?;
    println!("{}: {what}; the input is in {}", target.name, path.display());
    Ok(false)
}
