//! `noroshi synchrony` on generated worlds, and what it refuses.

use crate::support::{run, workdir};
use serde_json::Value;

#[test]
fn every_planted_group_is_found_and_nothing_else() {
    let folder = workdir("synchrony");
    let world = folder.path().join("world");
    let world = world.to_str().unwrap();
    let (_, err, code) =
        run(&["simulate", "synchronised-botnets", "--seed", "5", "--packets", "120000", "--output", world]);
    assert_eq!(code, 0, "{err}");
    let truth = format!("{world}/truth.json");
    let (out, err, code) = run(&["synchrony", world, "--truth", &truth, "--format", "json"]);
    assert_eq!((code, err.as_str()), (0, ""));
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&report["schema"], &report["data"]), (&"noroshi.synchrony/1".into(), &"generated".into()));
    let score = &report["engines"][0]["score"];
    assert!(score["planted"].as_u64().unwrap() >= 10);
    assert_eq!(score["found"], score["planted"]);
    let alerts = report["engines"][0]["alerts"].as_array().unwrap();
    assert_eq!(score["true_alerts"].as_u64().unwrap(), alerts.len() as u64);
    let (text, _, code) = run(&["synchrony", world, "--truth", &truth]);
    assert_eq!(code, 0);
    assert!(text.contains("sources knocked at port") && text.contains("generated data"));
}

#[test]
fn what_is_no_capture_or_no_truth_is_refused() {
    let folder = workdir("synchrony");
    let path = folder.path().join("notes.txt");
    std::fs::write(&path, "not a capture").unwrap();
    let path = path.to_str().unwrap();
    let (_, err, code) = run(&["synchrony", path]);
    assert_eq!(code, 3, "{err}");
    let (_, err, code) = run(&["synchrony", path, "--truth", path]);
    assert!(code == 3 && err.contains("truth.json"), "{err}");
    let (_, err, code) = run(&["synchrony", "/nowhere.pcap"]);
    assert!(code == 3 && err.contains("/nowhere.pcap"), "{err}");
}
