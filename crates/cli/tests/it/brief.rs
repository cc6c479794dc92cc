//! `noroshi brief` on real counts and on none.

use crate::support::{run, shared, workdir};
use serde_json::Value;

#[test]
fn a_real_day_is_told_in_both_languages() {
    let Some(root) = shared() else { return };
    let path = root.join("data/honeypot-timeseries/marx_until_2013-07-14.csv.gz");
    let path = path.to_str().unwrap();
    let (text, err, code) = run(&["brief", path]);
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(text.contains("Brief for 2013-07-1") && text.contains("real data") && text.contains("total"), "{text}");
    assert!(text.contains("in four of five cases"), "{text}");
    let (text, _, code) = run(&["brief", path, "--language", "ja"]);
    assert!(code == 0 && text.contains("の日報") && text.contains("実データ"), "{text}");
    let (json, _, _) = run(&["brief", path, "--format", "json", "--series", "3"]);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["schema"], "noroshi.brief/1");
    assert_eq!(json["brief"]["expected"].as_array().unwrap().len(), 3);
    // What came is what the file holds for that day: the checks and the expectations speak of one count.
    assert_eq!(json["brief"]["checked"][0]["count"], json["brief"]["expected"][0]["count"]);
    let (page, _, _) = run(&["brief", path, "--format", "html"]);
    assert!(page.contains("<svg") && !page.contains("<script") && !page.contains("http"));
}

#[test]
fn hostile_and_empty_counts() {
    let folder = workdir("brief");
    let path = folder.path().join("counts.csv");
    let mut text = "day,proto,dpt,packets\n".to_owned();
    for day in 1..=28 {
        text.push_str(&format!("2026-02-{day:02},TCP,23,{}\n2026-02-{day:02},<script>,7,9\n", 50 + day % 5));
    }
    std::fs::write(&path, text).unwrap();
    let (page, err, code) = run(&["brief", path.to_str().unwrap(), "--format", "html", "--data", "generated"]);
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(page.contains("generated data") && page.contains("tcp/23") && !page.contains("<script"));
    std::fs::write(&path, "day,proto,dpt,packets\n").unwrap();
    let (_, err, code) = run(&["brief", path.to_str().unwrap()]);
    assert!(code == 3 && err.contains("no row holds a time and a count"), "{err}");
}
