//! `cargo xtask check`: what a change must pass before it is shown to others.

use crate::run::{cargo, installed, step};
use crate::{Outcome, generate, tidy};

pub(crate) const HELP: &str = "\
Format, clippy, tests, tidy, in that order; stops at the first that fails.

usage: cargo xtask check [PACKAGE...]

With package names (`noroshi-detect`) clippy and tests look at those only. Without, at the whole workspace, with the one
profile that CI uses too.

example: cargo xtask check noroshi-detect noroshi-stats
";

pub(crate) fn run(args: &[String]) -> Outcome {
    let mut scope: Vec<&str> = args.iter().flat_map(|package| ["-p", package.as_str()]).collect();
    if scope.is_empty() {
        scope.push("--workspace");
    }
    step("format", &mut cargo(&["fmt", "--all", "--check"]))?;
    tidy::run(&[])?;
    generate::run(&["--check".to_owned()])?;
    let clippy = [&["clippy", "--locked", "--all-targets"], &scope[..], &["--", "-D", "warnings"]].concat();
    step("clippy", &mut cargo(&clippy))?;
    let tests: &[&str] = if installed("cargo-nextest") { &["nextest", "run"] } else { &["test"] };
    step("tests", &mut cargo(&[tests, &["--locked"], &scope[..]].concat()))
}
