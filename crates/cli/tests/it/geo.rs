//! `noroshi geo` as typed.

use crate::support::run;
use serde_json::Value;
use std::fs;
use std::path::Path;

fn write(home: &Path, name: &str, text: &str) -> String {
    let path = home.join(name);
    fs::write(&path, text).unwrap();
    path.to_string_lossy().into_owned()
}

#[test]
fn import_show_look_up_remove() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("tables").to_string_lossy().into_owned();
    let land = write(home.path(), "land-20260101.csv", "192.0.2.0/24,JP\n");
    let net = write(home.path(), "net-20260101.csv", "192.0.2.0/25,64500,\"Example, Ltd\"\n");
    let scan = write(home.path(), "good-scanner.txt", "192.0.2.8/29\nnonsense\n");
    let (out, err, code) = run(&["geo", "import", &land, &net, &scan, "--dir", &dir]);
    assert_eq!((err.as_str(), code), ("", 0), "{out}");
    assert!(out.contains("added land: CSV, 1 entry\n  countries, known from 2026-01-01 (its own date)"), "{out}");
    assert!(out.contains("1 left out\n  list: research scanner"), "{out}");
    assert!(out.contains("left out: line 2"), "{out}");

    let (out, _, code) = run(&["geo", "show", "--dir", &dir]);
    assert_eq!(code, 0);
    assert!(["land ", "net ", "good-scanner ", "special-use "].iter().all(|name| out.contains(name)), "{out}");

    let (out, err, code) =
        run(&["geo", "lookup", "192.0.2.9", "--at", "2026-02-01", "--dir", &dir, "--format", "json"]);
    assert_eq!((err.as_str(), code), ("", 0));
    let value: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(value["schema"], "noroshi.geo-lookup/1");
    let answer = &value["answers"][0];
    assert_eq!(answer["country"], "JP");
    assert_eq!((&answer["asn"], &answer["prefix"]), (&Value::from(64500), &Value::from("192.0.2.0/25")));
    assert_eq!(answer["kinds"], serde_json::json!(["research scanner", "bogon"]));
    let (out, _, _) = run(&["geo", "lookup", "192.0.2.9", "--at", "2020-01-01", "--dir", &dir]);
    assert!(out.contains("AS64500 Example, Ltd, 192.0.2.0/25") && out.contains("learnt later"), "{out}");

    assert_eq!(run(&["geo", "remove", "land", "--dir", &dir]).2, 0);
    assert_eq!(run(&["geo", "remove", "land", "--dir", &dir]).2, 3);
}

#[test]
fn without_a_country_table_the_way_to_one_is_told() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().to_string_lossy().into_owned();
    let (out, err, code) = run(&["geo", "lookup", "8.8.8.8", "--dir", &dir]);
    assert_eq!(code, 0);
    assert!(out.contains("unknown") && err.contains("noroshi geo import FILE"), "{out}{err}");
    assert!(run(&["geo", "show", "--dir", &dir]).0.contains("noroshi geo import FILE"));
}

#[test]
fn a_directory_passes_over_what_is_no_table() {
    let home = tempfile::tempdir().unwrap();
    fs::create_dir(home.path().join("lists")).unwrap();
    write(&home.path().join("lists"), "README.md", "Words about lists.\n");
    write(&home.path().join("lists"), "land.csv", "192.0.2.0/24,JP\n");
    let (lists, dir) = (home.path().join("lists"), home.path().join("tables"));
    let (out, _, code) = run(&["geo", "import", &lists.to_string_lossy(), "--dir", &dir.to_string_lossy()]);
    assert_eq!(code, 0, "{out}");
    assert!(out.contains("1 other file in"), "{out}");
}

#[test]
fn refusals() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("tables").to_string_lossy().into_owned();
    let prose = write(home.path(), "prose.txt", "Words.\n");
    let land = write(home.path(), "land.csv", "192.0.2.0/24,JP\n");
    let (out, err, code) = run(&["geo", "import", &prose, &land, "--dir", &dir]);
    assert_eq!(code, 3);
    assert!(out.contains("added land") && err.contains("prose.txt: not a format that is understood"), "{out}{err}");
    assert_eq!(run(&["geo", "import", "/nonexistent/file", "--dir", &dir]).2, 3);
    assert_eq!(run(&["geo", "lookup", "not-an-address"]).2, 2);
    assert_eq!(run(&["geo", "import", &land, "--kind", "friend"]).2, 2);
    assert_eq!(run(&["geo", "import", &land, &prose, "--name", "x", "--dir", &dir]).2, 2);
    for sub in ["import", "show", "lookup", "remove"] {
        let (out, _, code) = run(&["geo", sub, "--help"]);
        assert!(code == 0 && out.contains(&format!("noroshi geo {sub}")), "{out}");
    }
}
