//! `cargo xtask demo`: the first thing a newcomer runs.

use crate::Outcome;
use crate::run::{cargo, installed, root, step};
use std::path::Path;
use std::process::Command;

pub(crate) const HELP: &str = "\
Noroshi with a sample day on this machine.

usage: cargo xtask demo [--report-only] [--built] [-- OPTIONS OF `noroshi up`]

1. checks what the build needs (a C compiler, npm for the portal) and says how to get what is missing
2. builds the program in the dev profile: minutes, not the half hour that an optimised query engine takes
3. generates a day of darknet traffic from a scenario and analyses it: text here, and a page in target/demo/report.html
4. starts the hub with the sample day (`noroshi up --demo`) until Ctrl-C

--report-only   stops after step 3, and builds only the offline commands for it
--built         takes target/debug/noroshi as it is
";

/// Packets of the generated day: enough to show every finding, seconds to analyse.
const PACKETS: &str = "300000";

pub(crate) fn run(args: &[String]) -> Outcome {
    let (ours, theirs) = match args.iter().position(|arg| arg == "--") {
        Some(at) => (&args[..at], &args[at + 1..]),
        None => (args, &[][..]),
    };
    let asked = |name: &str| ours.iter().any(|arg| arg == name);
    if let Some(unknown) = ours.iter().find(|arg| *arg != "--report-only" && *arg != "--built") {
        return Err(format!("there is no option `{unknown}`; options of `noroshi up` stand after `--`"));
    }
    if !asked("--built") {
        build(asked("--report-only"))?;
    }
    let noroshi = target().join("debug/noroshi");
    let page = target().join("demo/report.html");
    report(&noroshi, &page)?;
    if asked("--report-only") {
        return Ok(());
    }
    let mut up = Command::new(&noroshi);
    step("noroshi up --demo (Ctrl-C ends it)", up.args(["up", "--demo"]).args(theirs).current_dir(root()))
}

fn target() -> std::path::PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), Into::into)
}

fn build(offline: bool) -> Outcome {
    if !installed("cc") {
        return Err("a C compiler is needed; Debian and Ubuntu: apt-get install build-essential".into());
    }
    if offline {
        return step("build", &mut cargo(&["build", "--locked", "-p", "noroshi-cli", "--no-default-features"]));
    }
    portal()?;
    step("build (the query engine takes most of it)", &mut cargo(&["build", "--locked", "--bin", "noroshi"]))
}

/// What the portal is built from; without npm the program shows a page that says how to get the portal.
fn portal() -> Outcome {
    let folder = root().join("portal");
    if !folder.join("package.json").is_file() || folder.join("node_modules/.package-lock.json").is_file() {
        return Ok(());
    }
    if !installed("npm") {
        println!("npm is not here: the portal is left out (Node 20 or newer brings it)");
        return Ok(());
    }
    step("npm ci", Command::new("npm").args(["ci", "--no-audit", "--no-fund"]).current_dir(folder))
}

fn report(noroshi: &Path, page: &Path) -> Outcome {
    let folder = page.parent().ok_or("a page needs a folder")?;
    std::fs::create_dir_all(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let day = folder.join("day");
    let mut simulate = Command::new(noroshi);
    simulate.args(["simulate", "darknet-day", "--seed", "1", "--packets", PACKETS, "--output"]).arg(&day);
    step("a generated day", simulate.current_dir(root()))?;
    for (name, format) in [("the day as text", "text"), ("the day as a page", "html")] {
        let mut analyze = Command::new(noroshi);
        analyze.arg("analyze").arg(&day).args(["--top", "5", "--format", format]);
        if format == "html" {
            analyze.arg("--output").arg(page);
        }
        step(name, analyze.current_dir(root()))?;
    }
    println!("\nThe page: {}", page.display());
    Ok(())
}
