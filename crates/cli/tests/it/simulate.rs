//! `noroshi simulate` as typed.

use crate::support::run;
use std::collections::BTreeSet;

#[test]
fn a_scenario_becomes_three_files() {
    let directory = tempfile::tempdir().unwrap();
    let output = directory.path().join("day");
    let typed = |seed: &str, to: &str| {
        run(&["simulate", "member-attacks", "--seed", seed, "--packets", "5000", "--output", to])
    };
    let (out, err, code) = typed("3", output.to_str().unwrap());
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    assert!(out.contains("member-attacks (seed 3): 5000 packets"), "{out}");
    assert!(out.contains("planted: 1 infection, 2 attacks, 1 precursor"), "{out}");
    let again = directory.path().join("again");
    typed("3", again.to_str().unwrap());
    let other = directory.path().join("other");
    typed("4", other.to_str().unwrap());
    for file in ["day.pcap", "truth.json", "sources.csv"] {
        let read = |directory: &std::path::Path| std::fs::read(directory.join(file)).unwrap();
        assert_eq!(read(&output), read(&again), "{file}");
        assert_ne!(read(&output), read(&other), "{file}");
    }
}

#[test]
fn scenarios_are_listed() {
    let (out, _, code) = run(&["simulate", "list"]);
    assert_eq!(code, 0);
    assert!(out.contains("darknet-day") && out.contains("A quiet day"), "{out}");
}

#[test]
fn mistakes_say_what_to_do() {
    let (_, err, code) = run(&["simulate", "darknet-night", "--output", "x"]);
    assert_eq!(code, 3);
    assert!(err.contains("darknet-day") && err.contains("noroshi simulate list"), "{err}");
    let (_, err, code) = run(&["simulate", "quiet"]);
    assert_eq!(code, 2);
    assert!(err.contains("--output DIR"), "{err}");
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("mine.toml");
    std::fs::write(&path, "title = \"t\"\nabout = \"a\"\nmonitored = [\"198.18.0.0/16\"]\n[[grup]]\n").unwrap();
    let (_, err, code) = run(&["simulate", path.to_str().unwrap(), "--output", "x"]);
    assert_eq!(code, 3);
    assert!(err.contains("mine.toml, line 4") && err.contains("grup") && err.contains("campaign"), "{err}");
}

/// ZMap and masscan hide their old marks today; what names them is what their packets share.
#[test]
fn todays_tools_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let world = directory.path().to_str().unwrap();
    let simulated = run(&["simulate", "zmap-masscan-today", "--seed", "3", "--packets", "60000", "--output", world]);
    assert_eq!(simulated.2, 0, "{}", simulated.1);
    let capture = directory.path().join("day.pcap");
    let (report, err, code) = run(&["analyze", capture.to_str().unwrap(), "--format", "json", "--top", "all"]);
    assert_eq!(code, 0, "{err}");
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    let named = |tool: &str| -> BTreeSet<String> {
        let sources = report["sources"].as_array().unwrap().iter();
        let of = sources.filter(|source| source["tools"].as_array().unwrap().iter().any(|name| name == tool));
        of.map(|source| source["address"].as_str().unwrap().to_owned()).collect()
    };
    let table = std::fs::read_to_string(directory.path().join("sources.csv")).unwrap();
    let rows: Vec<Vec<&str>> = table.lines().skip(1).map(|line| line.split(',').collect()).collect();
    for (tool, least) in [("zmap", 0.99), ("masscan", 0.99), ("nmap", 0.9)] {
        let planted = |row: &&Vec<&str>| row[1] == tool;
        let all: BTreeSet<&str> = rows.iter().filter(planted).map(|row| row[0]).collect();
        let probed = |row: &&Vec<&str>| row[3].parse::<u64>().unwrap() >= 3;
        let sought: Vec<&str> = rows.iter().filter(planted).filter(probed).map(|row| row[0]).collect();
        let found = named(tool);
        let met = sought.iter().filter(|address| found.contains(**address)).count();
        let right = found.iter().filter(|address| all.contains(address.as_str())).count();
        assert!(sought.len() > 20, "{tool}: {} sources", sought.len());
        assert!(met as f64 >= least * sought.len() as f64, "{tool}: {met} of {} are named", sought.len());
        assert!(right as f64 >= least * found.len() as f64, "{tool}: {right} of {} named are right", found.len());
    }
}
