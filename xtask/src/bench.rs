//! `cargo xtask bench`: the figures of BENCHMARKS.md, measured again on this machine.
//!
//! CPU seconds (user and system) of whole processes, read from the accounts that the kernel keeps of children, are
//! compared, not wall time: they hold on a busy machine too. Every figure is the median of several runs; ours and a
//! peer's alternate, so that both see the same machine.

mod lake;
mod lures;

use crate::Outcome;
use crate::run::{cargo, installed, option, output, root, shared, step};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

pub(crate) const HELP: &str = "\
The figures of BENCHMARKS.md for captures in and answers out.

usage: cargo xtask bench [--packets N] [--seed N] [--runs N] [--keep DIR]
       cargo xtask bench warning [--trials N] [--load N] [--debug]
       cargo xtask bench portal [--viewers N] [--queries N] [--seconds N] [--rate N] [--built PROGRAM]
       cargo xtask bench lake [--packets N] [--seed N] [--runs N] [--keep DIR]
       cargo xtask bench taxii [--objects N] [--clients N] [--debug]
       cargo xtask bench fleet [--sensors N] [--debug]
       cargo xtask bench lures [--programs DIR] [--cowrie COMMAND --cowrie-at ADDR:PORT]

--packets N   size of the generated day; default 10000000
--seed N      seed of the generated day; default 2
--runs N      runs of each, of which the median counts; default 3
--keep DIR    where the generated day and the outputs are written (about 100 bytes a packet); default target/bench

warning       how long a warning takes: from the request at a lure that makes an attack of five to the moment at which a mail
              server (aiosmtpd, in NOROSHI_PYTHON) and a web server have accepted it, with hub and sensors as processes
--trials N    attacks, each on another member; default 100, at most 250
--load N      packets per second that another sensor sends meanwhile; default 50000
taxii         indicators per second that a whole hub takes (synced before it says so) and gives over TAXII, by size of POST and
              page, a token checked with each; with the processor time of hub and clients apart, and what was read compared
--objects N   indicators pushed for each of three sizes; default 50000
--clients N   connections at once; default 2
fleet         packets per second that one sensor replays into the hub's journal; how long a change of policy takes to be in
              force on many sensors, and how long they take to come back after the hub was killed
--sensors N   simulated sensors of the crowd; default 1000

--debug       with the test profile, which is built anyway; without it in release

portal        the portal in Chromium against a hub with its sample: the first page, every screen, changes of the filter, viewers and
              questions at once beside viewers who never read, the live view at many packets a second; ends with 1 when a
              goal is missed. Needs portal/node_modules, Chromium and the example `portal` of crate api (debug)
--viewers N   good viewers; default 200
--queries N   questions a second; default 50
--seconds N   how long both last, and each look at the live view; default 20
--rate N      packets a second of the live view; default 5000
--built P     this program instead of building one in release
lake          ingest, the five questions of the shared workload and the ready-made statistics on our lake, beside DuckDB, chdb and
              polars (in NOROSHI_PYTHON, with pyarrow) on one Parquet file of the same packets; some 60 bytes a packet of disk
lures         telnet dialogues and UDP requests per second of the server's processor time, beside Cowrie and a bare loop,
              and what 10,000 open dialogues take; ends with 1 when a goal is missed
--programs    folder with noroshi-sensor and its examples; without it they are built in release
--cowrie P    the Python of an environment with Cowrie (pip install cowrie), which is measured beside; else it is left out

Needs the shared workload generator (NOROSHI_SHARED, by default ../shared). Builds the offline program in release
without the hub. Peers (nfpcapd, argus, tshark) are measured where they are installed and named where they are not.

example: cargo xtask bench --packets 1000000 --runs 5
";

/// The bare flow table that others are compared with.
const FLOOR: &str = "floor flow";
/// All detectors, on one thread and on two.
const ANALYZE: &str = "noroshi analyze";
const TWO: &str = "noroshi analyze, two threads";

/// What is measured.
struct Contender {
    name: &'static str,
    command: Vec<String>,
    /// CPU seconds of each run.
    seconds: Vec<f64>,
    /// Seconds that each run took.
    elapsed: Vec<f64>,
    /// Most resident memory of a run, MiB.
    peak: f64,
}

/// Runs one test of the program, in release unless told otherwise.
fn test(args: &[String], name: &str) -> Command {
    test_of(args, "noroshi-cli", name)
}

/// Runs one test of a crate, in release unless told otherwise.
fn test_of(args: &[String], package: &str, name: &str) -> Command {
    let mut words = vec!["test", "--locked", "-p", package, "--test", "it"];
    if !args.iter().any(|arg| arg == "--debug") {
        words.push("--release");
    }
    words.extend(["--", name, "--include-ignored", "--nocapture"]);
    cargo(&words)
}

/// What the fleet does in a second, by tests: the first is left out of all others.
fn fleet(args: &[String]) -> Outcome {
    step("one sensor", &mut test(args, "rate::into_the_journal"))?;
    let sensors = option(args, "--sensors").unwrap_or("1000");
    step("a crowd", test(args, "crowd::a_crowd").env("NOROSHI_CROWD", sensors))
}

/// The latency of a warning is measured by a test that is left out of all others.
fn warning(args: &[String]) -> Outcome {
    let mut command = test(args, "warning::latency");
    for (name, variable) in [("--trials", "NOROSHI_LATENCY_TRIALS"), ("--load", "NOROSHI_LATENCY_LOAD")] {
        if let Some(text) = option(args, name) {
            command.env(variable, text);
        }
    }
    step("warning", &mut command)
}

/// The TAXII server is measured by a test that is left out of all others.
fn taxii(args: &[String]) -> Outcome {
    let mut command = test_of(args, "noroshi-hub", "taxii::throughput");
    for (name, variable) in [("--objects", "NOROSHI_TAXII_OBJECTS"), ("--clients", "NOROSHI_TAXII_CLIENTS")] {
        if let Some(text) = option(args, name) {
            command.env(variable, text);
        }
    }
    step("TAXII", &mut command)
}

/// The portal is measured by a script of its own, which drives a browser.
fn portal(args: &[String]) -> Outcome {
    let program = match option(args, "--built") {
        Some(path) => std::fs::canonicalize(path).map_err(|e| format!("{path}: {e}"))?,
        None => {
            step("build noroshi (release)", &mut cargo(&["build", "--release", "--locked", "-p", "noroshi-cli"]))?;
            let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
            target.join("release/noroshi")
        }
    };
    let mut command = Command::new("node");
    command.arg("tests/browser/bench.mjs").current_dir(root().join("portal")).env("NOROSHI", program);
    for name in ["--viewers", "--queries", "--seconds", "--rate"] {
        if let Some(text) = option(args, name) {
            command.args([name, text]);
        }
    }
    step("portal", &mut command)
}

pub(crate) fn run(args: &[String]) -> Outcome {
    match args.first().map(String::as_str) {
        Some("portal") => return portal(args),
        Some("warning") => return warning(args),
        Some("taxii") => return taxii(args),
        Some("fleet") => return fleet(args),
        Some("lake") => return lake::run(args),
        Some("lures") => return lures::run(args),
        _ => {}
    }
    let number = |name: &str, default: u64| match option(args, name) {
        Some(text) => text.parse::<u64>().map_err(|_| format!("{name} wants a whole number, not `{text}`")),
        None => Ok(default),
    };
    let (packets, seed) = (number("--packets", 10_000_000)?, number("--seed", 2)?);
    let runs = number("--runs", 3)?.max(1);
    let folder = option(args, "--keep").map_or_else(|| root().join("target/bench"), PathBuf::from);
    let shared = shared().ok_or("the workload generator is not here: set NOROSHI_SHARED to the shared folder")?;
    std::fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let day = generate(&folder, &shared, packets, seed)?;
    let build = ["build", "--release", "--locked", "-p", "noroshi-cli", "--no-default-features"];
    step("build noroshi (release, offline commands)", &mut cargo(&build))?;
    let mut contenders = contenders(&folder, &day)?;
    for _ in 0..runs {
        for contender in &mut contenders {
            measure(contender)?;
        }
    }
    report(&contenders, packets, seed, runs);
    Ok(())
}

/// Builds the generator and the floor, and writes the day unless it is there already.
fn generate(folder: &Path, shared: &Path, packets: u64, seed: u64) -> Result<PathBuf, String> {
    for program in ["gen_darknet", "floor"] {
        let mut rustc = Command::new("rustc");
        rustc.args(["--edition", "2021", "-C", "opt-level=3", "-C", "target-cpu=native", "-o"]);
        rustc.arg(folder.join(program)).arg(shared.join("bench").join(format!("{program}.rs")));
        step(&format!("build {program}"), &mut rustc)?;
    }
    let day = folder.join(format!("day-{packets}-{seed}.pcap"));
    if !day.is_file() {
        let mut generator = Command::new(folder.join("gen_darknet"));
        generator.args(["--packets", &packets.to_string(), "--seed", &seed.to_string()]);
        generator.args(["--sources", &(packets / 10).max(1_000).to_string()]);
        step("generate the day", generator.arg("--pcap").arg(&day))?;
    }
    Ok(day)
}

fn contenders(folder: &Path, day: &Path) -> Result<Vec<Contender>, String> {
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let day = text(day);
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    let noroshi = text(&target.join("release/noroshi"));
    let at = |name: &str| text(&folder.join(name));
    let flows = folder.join("nfpcapd");
    std::fs::create_dir_all(&flows).map_err(|e| format!("{}: {e}", flows.display()))?;
    let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let ours = |command: &str, arguments: &str, to: &str| {
        let mut words = owned(&[&noroshi, command, &day]);
        words.extend(arguments.split(' ').map(str::to_owned));
        words.extend(["--output".to_owned(), at(to)]);
        words
    };
    let mut list = vec![
        ("floor walk", owned(&[&at("floor"), "walk", &day])),
        (FLOOR, owned(&[&at("floor"), "flow", &day])),
        (ANALYZE, ours("analyze", "--format json --threads 1", "1.json")),
        (TWO, ours("analyze", "--format json --threads 2", "2.json")),
        ("noroshi packets", ours("packets", "--format parquet --threads 1", "day.parquet")),
    ];
    let peers = [
        ("nfpcapd", owned(&["nfpcapd", "-r", &day, "-l", &text(&flows)])),
        ("argus", owned(&["argus", "-r", &day, "-w", &at("day.argus")])),
        (
            "tshark",
            owned(&["tshark", "-n", "-r", &day, "-c", "200000", "-T", "fields", "-e", "ip.src", "-e", "tcp.dstport"]),
        ),
    ];
    for (name, command) in peers {
        if installed(name) {
            list.push((name, command));
        } else {
            println!("{name} is not installed and is left out");
        }
    }
    let contender = |(name, command)| Contender { name, command, seconds: Vec::new(), elapsed: Vec::new(), peak: 0.0 };
    Ok(list.into_iter().map(contender).collect())
}

/// One run: CPU seconds from bash's `times` of its children, peak memory from GNU time where it is installed.
fn measure(contender: &mut Contender) -> Outcome {
    let timer = Path::new("/usr/bin/time");
    let (program, rest) = contender.command.split_first().ok_or("nothing to run")?;
    let mut command = if timer.is_file() {
        let mut command = Command::new(timer);
        command.args(["-f", "%U %S %M %e", program]);
        command
    } else {
        let mut command = Command::new("bash");
        command.args(["-c", "TIMEFORMAT='%U %S 0 %R'; time \"$@\" 2>/dev/null", "bash", program]);
        command
    };
    let out = command.args(rest).current_dir(root()).stdin(Stdio::null()).stdout(Stdio::null()).output();
    let out = out.map_err(|e| format!("{}: {e}", contender.name))?;
    let said = String::from_utf8_lossy(&out.stderr);
    if !out.status.success() {
        return Err(format!("{} failed ({}): {}", contender.name, out.status, said.trim_end()));
    }
    let figures: Vec<f64> = said.lines().last().unwrap_or("").split(' ').filter_map(|word| word.parse().ok()).collect();
    let [user, system, peak, elapsed] = figures[..] else {
        return Err(format!("{}: no times in `{said}`", contender.name));
    };
    contender.seconds.push(user + system);
    contender.elapsed.push(elapsed);
    contender.peak = contender.peak.max(peak / 1024.0);
    Ok(())
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

fn report(contenders: &[Contender], packets: u64, seed: u64, runs: u64) {
    println!("\nDay of {packets} packets, seed {seed}; median of {runs} runs; CPU seconds, user and system.");
    for (name, program, args) in [("machine", "uname", &["-srm"][..]), ("rustc", "rustc", &["--version"])] {
        println!("{name}: {}", output(Command::new(program).args(args)).unwrap_or_default().trim());
    }
    let median_of = |name: &str, times: fn(&Contender) -> &Vec<f64>| {
        contenders.iter().find(|contender| contender.name == name).map(|contender| median(times(contender)))
    };
    let floor = median_of(FLOOR, |contender| &contender.seconds).unwrap_or(0.0).max(0.001);
    println!("\n| program | CPU s | of floor flow | M packets per CPU s | peak MiB | least to most |");
    println!("|---|---|---|---|---|---|");
    for contender in contenders {
        // tshark reads no more than its first packets here: all of them would take hours.
        let read = if contender.name == "tshark" { packets.min(200_000) } else { packets };
        let seconds = median(&contender.seconds).max(0.001);
        let least = contender.seconds.iter().copied().fold(f64::INFINITY, f64::min);
        let most = contender.seconds.iter().copied().fold(0.0, f64::max);
        let rate = read as f64 / seconds / 1e6;
        let peak = if contender.peak > 0.0 { format!("{:.0}", contender.peak) } else { "-".to_owned() };
        let ratio = seconds / floor * packets as f64 / read as f64;
        println!("| {} | {seconds:.2} | {ratio:.1} | {rate:.2} | {peak} | {least:.2} to {most:.2} |", contender.name);
    }
    let elapsed = |name: &str| median_of(name, |contender| &contender.elapsed);
    if let (Some(one), Some(two)) = (elapsed(ANALYZE), elapsed(TWO)) {
        let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let load = load.split(' ').next().unwrap_or("unknown");
        println!("\nTwo threads take {:.2} of the time of one (wall; the load is {load} now).", two / one.max(0.001));
    }
}
