//! `cargo xtask prove`: proofs that take minutes or hours, by name. Continuous integration runs their short form.

use crate::Outcome;
use crate::run::{cargo, option, root, step};
use std::process::Command;

pub(crate) const HELP: &str = "\
Long proofs.

usage: cargo xtask prove [NAME...] [--minutes N]      all of them by default
       cargo xtask prove --list

--minutes N   how long the whole of one proof that is measured in time may take; default 15

fuzz       every parser of foreign bytes, the minutes shared out evenly (at least 60 s each): mutated inputs, no panic, no hang
coverage   the same targets under cargo-fuzz, guided by coverage (needs nightly and cargo-fuzz)
days       generated days of 1 and 10 million packets, several seeds: recall, precision, purity, tool labels
kills      processes that are killed in the middle, again and again, and must lose nothing: the store; hub and sensors
power      power cuts on file systems of their own (needs root): nothing that was acknowledged is lost
full       disks that fill up: no false acknowledgement, recovery without a hand
writers    four writers, a compactor and a reader on one lake: no conflict surfaces, nobody waits, every packet counts once
flood      ten million forged sources at a live sensor, which takes no memory for them
crowd      10,000 simulated sensors come back after a restart; a change of policy reaches 1,000
storm      a million detections in a minute, ten thousand incidents, fifty kills: each is told once; a hub that is killed
           200 times while it warns: each mail arrives, and none says what another said
abuse      300 runs of programs that try the sandbox's walls: nothing outside changes, all limits hold, no process is left

example: cargo xtask prove fuzz --minutes 60
";

type Proof = fn(minutes: u64) -> Outcome;

const PROOFS: &[(&str, Proof)] = &[
    ("fuzz", fuzz),
    ("coverage", coverage),
    ("days", days),
    ("kills", kills),
    ("power", power),
    ("full", full),
    ("writers", writers),
    ("flood", flood),
    ("crowd", crowd),
    ("abuse", abuse),
    ("storm", storm),
];

/// About how long one kill, the start after it and the comparison take.
const KILL_SECONDS: u64 = 2;

pub(crate) fn run(args: &[String]) -> Outcome {
    if args.iter().any(|arg| arg == "--list") {
        PROOFS.iter().for_each(|(name, _)| println!("{name}"));
        return Ok(());
    }
    let minutes = match option(args, "--minutes") {
        Some(text) => text.parse().map_err(|_| format!("--minutes wants a whole number, not `{text}`"))?,
        None => 15,
    };
    let given = option(args, "--minutes");
    let names: Vec<&str> =
        args.iter().map(String::as_str).filter(|arg| !arg.starts_with("--") && Some(*arg) != given).collect();
    if let Some(unknown) = names.iter().find(|name| !PROOFS.iter().any(|(known, _)| known == *name)) {
        return Err(format!("there is no proof `{unknown}`; `cargo xtask prove --list` names them"));
    }
    let chosen = PROOFS.iter().filter(|(name, _)| names.is_empty() || names.contains(name));
    let failed: Vec<String> =
        chosen.filter_map(|(name, proof)| Some(format!("{name}: {}", proof(minutes).err()?))).collect();
    if failed.is_empty() { Ok(()) } else { Err(failed.join("\n  ")) }
}

/// Names of the fuzz targets, from the files that cargo-fuzz reads.
fn targets() -> Result<Vec<String>, String> {
    let folder = root().join("fuzz/fuzz_targets");
    let entries = std::fs::read_dir(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let mut names: Vec<String> =
        entries.flatten().filter_map(|e| Some(e.path().file_stem()?.to_str()?.to_owned())).collect();
    names.sort();
    Ok(names)
}

fn seconds_each(minutes: u64, targets: usize) -> String {
    (minutes * 60 / targets.max(1) as u64).max(60).to_string()
}

fn fuzz(minutes: u64) -> Outcome {
    let seconds = seconds_each(minutes, targets()?.len());
    let driver =
        ["run", "--release", "--locked", "-p", "noroshi-testkit", "--example", "fuzz", "--", "--seconds", &seconds];
    step("fuzz", &mut cargo(&driver))
}

fn coverage(minutes: u64) -> Outcome {
    let found =
        Command::new("cargo").args(["+nightly", "fuzz", "--version"]).output().is_ok_and(|o| o.status.success());
    if !found {
        println!("── coverage: left out, `cargo install cargo-fuzz` and a nightly toolchain are needed");
        return Ok(());
    }
    let targets = targets()?;
    let time = format!("-max_total_time={}", seconds_each(minutes, targets.len()));
    for target in targets {
        let (corpus, seeds) = (format!("fuzz/corpus-run/{target}"), format!("fuzz/seeds/{target}"));
        std::fs::create_dir_all(root().join(&corpus)).map_err(|e| format!("{corpus}: {e}"))?;
        let mut command = Command::new("cargo");
        command.args(["+nightly", "fuzz", "run", &target, &corpus, &seeds, "--", &time, "-rss_limit_mb=512"]);
        step(&format!("coverage {target}"), command.current_dir(root()))?;
    }
    Ok(())
}

/// The test of generated days reads its size from the environment.
fn days(_minutes: u64) -> Outcome {
    for (packets, seeds) in [("1000000", "1,2,3"), ("10000000", "2")] {
        let mut command = cargo(&[
            "test",
            "--release",
            "--locked",
            "-p",
            "noroshi-detect",
            "--test",
            "it",
            "--",
            "generated_day",
            "--nocapture",
        ]);
        step(
            &format!("day of {packets}"),
            command.env("NOROSHI_DAY_PACKETS", packets).env("NOROSHI_DAY_SEEDS", seeds),
        )?;
    }
    Ok(())
}

/// Twelve ways to abuse a sandbox, each so many times, on three architectures in turn; then all nine behave alike.
const ABUSE_ROUNDS: &str = "25";

fn abuse(_minutes: u64) -> Outcome {
    let test = ["test", "--locked", "-p", "noroshi-sandbox", "--test", "it", "--", "--nocapture"];
    step("300 runs of abuse, and nine architectures", cargo(&test).env("NOROSHI_ABUSE_ROUNDS", ABUSE_ROUNDS))
}

/// A storm of detections, and the desk killed in it again and again.
fn storm(_minutes: u64) -> Outcome {
    let mut command = cargo(&["test", "--locked", "-p", "noroshi-hub", "--test", "it", "--", "storm", "--nocapture"]);
    step("storm", command.env("NOROSHI_STORM", "1000000,10000,50"))?;
    fleet("warning::each_incident", "200 kills of a hub that warns", "NOROSHI_WARNING_KILLS", "200")
}

/// The store is killed at any moment, again and again, and must then count what it had acknowledged; so are hubs and
/// sensors under load.
fn kills(minutes: u64) -> Outcome {
    let kills = (minutes * 60 / KILL_SECONDS).max(24).to_string();
    let mut command = cargo(&["test", "--locked", "-p", "noroshi-store", "--test", "it", "--", "kill", "--nocapture"]);
    step(&format!("{kills} kills of the store"), command.env("NOROSHI_KILLS", &kills))?;
    fleet("kills::", &format!("{kills} kills of each of hub and sensors"), "NOROSHI_FLEET_KILLS", &kills)
}

/// A test of processes whose size is read from the environment.
fn fleet(filter: &str, name: &str, variable: &str, size: &str) -> Outcome {
    let mut command = cargo(&[
        "test",
        "--locked",
        "-p",
        "noroshi-cli",
        "--test",
        "it",
        "--",
        filter,
        "--nocapture",
        "--include-ignored",
    ]);
    step(name, command.env(variable, size))
}

/// About how long one power cut takes, with the mount after it.
const CUT_SECONDS: u64 = 2;
/// About how long a disk is full, and empty again.
const FULL_SECONDS: u64 = 6;

fn power(minutes: u64) -> Outcome {
    let cuts = (minutes * 60 / CUT_SECONDS).max(200).to_string();
    fleet("power::", &format!("{cuts} power cuts"), "NOROSHI_POWER_CUTS", &cuts)
}

fn full(minutes: u64) -> Outcome {
    let cycles = (minutes * 60 / FULL_SECONDS).max(100).to_string();
    fleet("full::", &format!("{cycles} full disks"), "NOROSHI_FULL_CYCLES", &cycles)
}

fn writers(minutes: u64) -> Outcome {
    let test = ["test", "--locked", "-p", "noroshi-store", "--test", "it", "--", "four_writers", "--nocapture"];
    let mut command = cargo(&test);
    step(&format!("{minutes} minutes of four writers"), command.env("NOROSHI_WRITERS_MINUTES", minutes.to_string()))
}

fn flood(_minutes: u64) -> Outcome {
    fleet("net::a_flood", "ten million forged sources", "NOROSHI_FLOOD", "10000000")
}

fn crowd(_minutes: u64) -> Outcome {
    for size in ["1000", "10000"] {
        // A hub and a crowd of ten thousand need that many open files each: a hard limit of 20,000 (`ulimit -Hn`).
        fleet("crowd::", &format!("a crowd of {size}"), "NOROSHI_CROWD", size)?;
    }
    Ok(())
}
