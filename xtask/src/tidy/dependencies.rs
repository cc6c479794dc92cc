//! Who may depend on whom.

use super::Complaints;
use crate::run::{cargo, output, root};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Crates in flow order, each with the crates of ours that it may link. `*` is every other crate.
///
/// The same table stands in ARCHITECTURE.md with the reasons. It grows by a page in docs/decisions.
const TABLE: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("stats", &[]),
    ("packet", &["model"]),
    ("wire", &["model"]),
    ("enrich", &["model"]),
    ("import", &["model"]),
    ("simulate", &["model", "packet"]),
    ("sensor", &["model", "packet", "wire", "import"]),
    ("ingest", &["model", "wire", "enrich", "store"]),
    ("store", &["model", "stats"]),
    ("detect", &["model", "stats"]),
    ("malware", &["model", "packet", "stats"]),
    ("sandbox", &["model", "packet"]),
    ("correlate", &["model", "stats"]),
    ("alert", &["model", "enrich"]),
    ("share", &["model"]),
    ("api", &["model", "store", "share", "enrich"]),
    ("portal-assets", &[]),
    (
        "hub",
        &[
            "model",
            "stats",
            "packet",
            "wire",
            "enrich",
            "import",
            "simulate",
            "ingest",
            "store",
            "detect",
            "malware",
            "sandbox",
            "correlate",
            "alert",
            "share",
            "api",
            "portal-assets",
        ],
    ),
    ("cli", &["*"]),
    (
        "testkit",
        &[
            "model",
            "stats",
            "packet",
            "wire",
            "enrich",
            "import",
            "simulate",
            "malware",
            "correlate",
            "sandbox",
            "sensor",
            "share",
        ],
    ),
];

/// Crates that others build on: they are never tested with `testkit`, so that no crate is compiled twice.
const BASE: &[&str] = &["model", "stats", "packet", "wire", "enrich", "import", "simulate"];

/// Name prefixes of packages of which one version may exist. Two would mean two memory layouts for the same tables.
const ONCE: &[&str] = &["arrow", "parquet", "datafusion", "deltalake"];

/// What the program for the field never links.
const NOT_IN_SENSOR: &[&str] = &[
    "datafusion",
    "deltalake",
    "parquet",
    "yara-x",
    "sqlx",
    "noroshi-sandbox",
    "noroshi-store",
    "noroshi-api",
    "noroshi-portal-assets",
];

/// The table against what Cargo sees.
pub(crate) fn table() -> Result<Complaints, String> {
    let text = output(&mut cargo(&["metadata", "--format-version", "1", "--no-deps", "--locked"]))?;
    let metadata: Value = serde_json::from_str(&text).map_err(|e| format!("cargo metadata: {e}"))?;
    let table: BTreeMap<&str, &[&str]> = TABLE.iter().copied().collect();
    let mut complaints = Complaints::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let Some(name) = package["name"].as_str().and_then(|name| name.strip_prefix("noroshi-")) else { continue };
        let Some(allowed) = table.get(name) else {
            complaints.push(format!("crate {name} is not in the dependency table of xtask and ARCHITECTURE.md"));
            continue;
        };
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let Some(other) = dependency["name"].as_str().and_then(|n| n.strip_prefix("noroshi-")) else { continue };
            complaints.extend(judge(name, allowed, other, dependency["kind"].as_str() == Some("dev")));
        }
    }
    Ok(complaints)
}

fn judge(name: &str, allowed: &[&str], other: &str, dev: bool) -> Option<String> {
    if dev {
        let twice = BASE.contains(&name) && other == "testkit";
        return twice.then(|| format!("{name} is a base crate and tests itself without testkit"));
    }
    let fine = allowed.contains(&"*") || allowed.contains(&other);
    (!fine).then(|| {
        format!(
            "{name} may not depend on {other}: stages speak through model, hub puts them together (ARCHITECTURE.md)"
        )
    })
}

/// One version of each package whose types cross crates.
pub(crate) fn one_of_each() -> Result<Complaints, String> {
    let lock = std::fs::read_to_string(root().join("Cargo.lock")).map_err(|e| format!("Cargo.lock: {e}"))?;
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut name = "";
    for line in lock.lines() {
        if let Some(text) = line.strip_prefix("name = ") {
            name = text.trim_matches('"');
        } else if let Some(text) = line.strip_prefix("version = ")
            && ONCE.iter().any(|once| name == *once || name.strip_prefix(once).is_some_and(|r| r.starts_with('-')))
        {
            versions.entry(name).or_default().insert(text.trim_matches('"'));
        }
    }
    let twice = versions.into_iter().filter(|(_, found)| found.len() > 1);
    Ok(twice.map(|(name, found)| format!("{name} stands {} times in Cargo.lock: {found:?}", found.len())).collect())
}

/// The program for the field stays small.
pub(crate) fn lean_sensor() -> Result<Complaints, String> {
    let tree = output(&mut cargo(&["tree", "--locked", "-p", "noroshi-sensor", "-e", "normal", "--prefix", "none"]))?;
    let linked: BTreeSet<&str> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    let heavy = NOT_IN_SENSOR.iter().filter(|name| linked.contains(*name));
    Ok(heavy
        .map(|name| format!("noroshi-sensor links {name}; `cargo tree -p noroshi-sensor -i {name}` shows why"))
        .collect())
}
