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

pub(crate) const TEST_HELP: &str = "\
The tests: unit and integration, with real captures and logs.

usage: cargo xtask test [PACKAGE...]

Tests on real captures and logs need the shared material (NOROSHI_SHARED, by default ../shared); without it they say
that they are skipped, and fail where CI=true.

example: cargo xtask test noroshi-packet
";

pub(crate) fn run(args: &[String]) -> Outcome {
    let scope = scope(args);
    step("format", &mut cargo(&["fmt", "--all", "--check"]))?;
    tidy::run(&[])?;
    generate::run(&["--check".to_owned()])?;
    let clippy = [&["clippy", "--locked", "--all-targets"], &scope[..], &["--", "-D", "warnings"]].concat();
    step("clippy", &mut cargo(&clippy))?;
    tests(&scope)
}

/// The tests, of everything or of the packages named.
pub(crate) fn test(args: &[String]) -> Outcome {
    tests(&scope(args))
}

fn scope(args: &[String]) -> Vec<&str> {
    if args.is_empty() {
        vec!["--workspace"]
    } else {
        args.iter().flat_map(|package| ["-p", package.as_str()]).collect()
    }
}

/// cargo-nextest runs test binaries side by side; without it cargo's own runner does the same work in turn.
fn tests(scope: &[&str]) -> Outcome {
    if !installed("cc") {
        return Err("a C compiler is needed; Debian and Ubuntu: apt-get install build-essential".into());
    }
    if installed("cargo-nextest") {
        step("tests", &mut cargo(&[&["nextest", "run", "--locked", "--no-fail-fast"], scope].concat()))?;
    } else {
        println!("cargo-nextest is not here (cargo install --locked cargo-nextest); cargo's own runner takes longer");
        step(
            "tests",
            &mut cargo(&[&["test", "--locked", "--no-fail-fast", "--lib", "--bins", "--tests"], scope].concat()),
        )?;
    }
    Ok(())
}
