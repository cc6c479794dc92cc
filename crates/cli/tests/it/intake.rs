//! `noroshi import` of other people's STIX and MISP: nothing is lost, broken files are refused with a reason.

use crate::support::{run, shared};
use serde_json::Value;
use std::path::Path;
use std::process::Command;

/// Counts objects and attributes with nothing of ours. Lines: path, count.
const COUNT: &str = r#"
import gzip, json, sys
for path in sys.argv[1:]:
    data = open(path, "rb").read()
    data = json.loads(gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data)
    if "objects" in data:
        count = len(data["objects"])
    elif data.get("type") and data["type"] != "bundle":
        count = 1
    else:
        inner = data.get("response", data)
        events = [i.get("Event", i) for i in (inner if isinstance(inner, list) else [inner])]
        count = 0
        for event in events:
            objects = event.get("Object", [])
            count += len(event.get("Attribute", [])) + len(objects) + sum(len(o.get("Attribute", [])) for o in objects)
    print(count)
"#;

fn files(folder: &Path) -> Vec<String> {
    let mut found: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path().to_str().unwrap().to_owned())
        .filter(|path| path.ends_with(".json") || path.ends_with(".json.gz"))
        // Answers to a search for objects alone are no events.
        .filter(|path| !path.ends_with("test_objects_collection_1.json"))
        .collect();
    found.sort();
    found
}

#[test]
fn held_bundles_and_events_keep_their_counts() {
    let Some(data) = shared().map(|shared| shared.join("data")) else { return };
    let folders = [
        "stix/oasis-examples",
        "stix/unit42-playbooks",
        "stix/attack",
        "stix/misp-stix-tests",
        "intel-feed-fixtures/misp",
    ];
    let paths: Vec<String> = folders.iter().flat_map(|folder| files(&data.join(folder))).collect();
    assert!(paths.len() > 25, "{paths:?}");
    let counted = Command::new("python3").args(["-c", COUNT]).args(&paths).output().unwrap();
    assert!(counted.status.success(), "{}", String::from_utf8_lossy(&counted.stderr));
    let expected: Vec<u64> = String::from_utf8(counted.stdout).unwrap().lines().map(|l| l.parse().unwrap()).collect();
    let typed: Vec<&str> = ["import", "--format", "json"].into_iter().chain(paths.iter().map(String::as_str)).collect();
    let (out, err, _) = run(&typed);
    let mut got: Vec<(String, u64, u64)> = out
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|line| line["schema"] == "noroshi.intake/1")
        .map(|line| {
            let taken = &line["taken"];
            let by_type: u64 = taken["by_type"].as_object().unwrap().values().map(|n| n.as_u64().unwrap()).sum();
            let refused = taken["refused"].as_array().unwrap().len() as u64;
            (line["path"].as_str().unwrap().to_owned(), taken["objects"].as_u64().unwrap(), by_type + refused)
        })
        .collect();
    got.sort();
    let wanted: Vec<(String, u64, u64)> =
        paths.into_iter().zip(expected).map(|(path, count)| (path, count, count)).collect();
    let mut wanted = wanted;
    wanted.sort();
    assert_eq!(got, wanted, "{err}");
}

#[test]
fn broken_files_are_refused_with_a_reason() {
    let Some(data) = shared().map(|shared| shared.join("data/stix/validator-examples")) else { return };
    for path in files(&data.join("v21/test_examples")) {
        let (out, err, code) = run(&["import", &path]);
        let broken = path.contains("/invalid_");
        assert_eq!(code, if broken { 3 } else { 0 }, "{path}: {out}{err}");
        if broken {
            let reasons = ["not JSON", "\"modified\"", "is before"];
            assert!(reasons.iter().any(|reason| err.contains(reason)), "{path}: {err}");
        }
    }
}
