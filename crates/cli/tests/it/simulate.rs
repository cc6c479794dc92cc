//! `noroshi simulate` as typed.

use crate::support::run;

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
