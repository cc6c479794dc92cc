//! Developer commands in the language of the project: `cargo xtask --help`.
//!
//! It knows nothing of the crates it drives: it runs `cargo`, reads text and compares. So it builds in seconds, and a
//! broken crate never keeps its own checks from running.

mod bench;
mod check;
mod demo;
mod generate;
mod prove;
mod run;
mod tidy;

use std::process::ExitCode;

/// What a command ends with: nothing, or what went wrong in words for a person.
pub(crate) type Outcome = Result<(), String>;

const HELP: &str = "\
Developer commands of Noroshi.

usage: cargo xtask COMMAND [OPTIONS]

  demo     Noroshi with a sample day on this machine: start here
  test     the tests
  check    format, clippy, tests, tidy: what a change must pass
  tidy     conventions that can be checked by reading: dependencies, clocks, prints, sizes, licences
  gen      reference pages that are derived from the code
  prove    long proofs: fuzzing by the minute, kills, generated days
  bench    the figures of BENCHMARKS.md, measured again

`cargo xtask COMMAND --help` says more.
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (command, rest) = match args.split_first() {
        Some((command, rest)) => (command.as_str(), rest),
        None => ("--help", &[][..]),
    };
    let (help, work): (&str, fn(&[String]) -> Outcome) = match command {
        "demo" => (demo::HELP, demo::run),
        "test" => (check::TEST_HELP, check::test),
        "check" => (check::HELP, check::run),
        "tidy" => (tidy::HELP, tidy::run),
        "gen" => (generate::HELP, generate::run),
        "prove" => (prove::HELP, prove::run),
        "bench" => (bench::HELP, bench::run),
        "--help" | "-h" | "help" => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        other => {
            eprintln!("xtask: there is no command `{other}`\n\n{HELP}");
            return ExitCode::from(2);
        }
    };
    if rest.iter().any(|arg| arg == "--help" || arg == "-h") {
        print!("{help}");
        return ExitCode::SUCCESS;
    }
    match work(rest) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("xtask {command}: {why}");
            ExitCode::FAILURE
        }
    }
}
