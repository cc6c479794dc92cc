//! `cargo xtask tidy`: conventions as checks. Each message gives the place, the reason and what to do instead.

mod dependencies;
mod parsers;
mod sources;

use crate::Outcome;
use crate::run::{output, root, shared};
use std::path::PathBuf;
use std::process::Command;

pub(crate) const HELP: &str = "\
Conventions that can be checked by reading.

usage: cargo xtask tidy

  dependency table     who may depend on whom (ARCHITECTURE.md), compared with `cargo metadata`
  one of each          arrow, parquet, datafusion, deltalake stand once in Cargo.lock
  lean sensor          noroshi-sensor links neither the query engine nor the rule engine
  no clock             pure crates take time as a parameter
  no prints            libraries return what they have to say
  nothing left over    no notes of unfinished work in tracked files
  places               no paths of one machine, no private package hosts
  parsers              each reader of foreign bytes has a fuzz target
  report contract      docs/report.schema.json is the shared copy, where one is at hand
  long files           listed, not refused
";

/// One thing that is wrong.
pub(crate) type Complaints = Vec<String>;

pub(crate) fn run(_args: &[String]) -> Outcome {
    let files = tracked()?;
    let mut all = Complaints::new();
    let checks: [(&str, Complaints); 7] = [
        ("dependency table", dependencies::table()?),
        ("one of each", dependencies::one_of_each()?),
        ("lean sensor", dependencies::lean_sensor()?),
        ("sources", sources::rust(&files)),
        ("left over, places", sources::text(&files)),
        ("parsers", parsers::check()),
        ("report contract", contract()),
    ];
    for (name, complaints) in checks {
        println!("tidy: {name}: {}", if complaints.is_empty() { "fine".into() } else { complaints.len().to_string() });
        all.extend(complaints);
    }
    for line in sources::long(&files) {
        println!("tidy: long file: {line}");
    }
    if all.is_empty() { Ok(()) } else { Err(format!("{} to mend\n  {}", all.len(), all.join("\n  "))) }
}

/// Files under version control that are there, relative to the root.
fn tracked() -> Result<Vec<PathBuf>, String> {
    let list = output(Command::new("git").args(["ls-files", "-z"]).current_dir(root()))?;
    Ok(list
        .split('\0')
        .filter(|name| !name.is_empty())
        .map(PathBuf::from)
        .filter(|p| root().join(p).is_file())
        .collect())
}

/// The JSON report is a contract with others; both copies must say the same.
fn contract() -> Complaints {
    let Some(shared) = shared() else { return Complaints::new() };
    let (ours, theirs) = (root().join("docs/report.schema.json"), shared.join("report.schema.json"));
    match (std::fs::read(&ours), std::fs::read(&theirs)) {
        (_, Err(_)) => Complaints::new(),
        (Ok(a), Ok(b)) if a == b => Complaints::new(),
        _ => vec!["docs/report.schema.json differs from the shared contract: copy it over".to_owned()],
    }
}
