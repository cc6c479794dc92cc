//! `noroshi forecast` on real counts, and what it refuses.

use crate::support::{run, shared, workdir};
use serde_json::Value;

fn packets() -> Option<String> {
    let path = shared()?.join("data/honeypot-timeseries/marx_until_2013-07-14.csv.gz");
    Some(path.to_string_lossy().into_owned())
}

#[test]
fn real_forecasts_beat_the_naive_methods() {
    let Some(path) = packets() else { return };
    let (out, err, code) = run(&["forecast", &path, "--backtest", "--format", "json"]);
    assert_eq!((code, err.as_str()), (0, ""));
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(report["data"], "real");
    for key in ["total", "tcp/1433", "tcp/445", "tcp/3389", "tcp/22", "icmp"] {
        let score = report["scores"].as_array().unwrap().iter().find(|score| score["key"] == key).expect(key);
        let naive = score["naive"].as_array().unwrap();
        let best = naive
            .iter()
            .filter(|naive| !naive["method"].as_str().unwrap().starts_with("moving"))
            .map(|naive| naive["mae"].as_f64().unwrap())
            .fold(f64::INFINITY, f64::min);
        assert!(score["mae"].as_f64().unwrap() < best, "{key}: {} against {best}", score["mae"]);
    }
}

#[test]
fn real_bursts_are_reported_with_few_false_ones() {
    let Some(path) = packets() else { return };
    let (out, _, code) = run(&["forecast", &path, "--surges", "--format", "json"]);
    assert_eq!(code, 0);
    let report: Value = serde_json::from_str(&out).unwrap();
    let surges = report["surges"].as_array().unwrap();
    // 2,605 packets from one source on one day of May (the port's total in the facts beside the data).
    assert!(surges.iter().any(|surge| surge["series"] == "udp/1469" && surge["count"] == 2605.0));
    assert!(report["false_reports"].as_f64().unwrap() <= report["weeks"].as_f64().unwrap());
}

#[test]
fn the_page_is_self_contained_and_foreign_names_are_harmless() {
    let folder = workdir("forecast");
    let path = folder.path().join("counts.csv");
    let mut text = "day,proto,dpt,packets\n".to_owned();
    for day in 1..=28 {
        text.push_str(&format!("2026-02-{day:02},TCP,23,{}\n2026-02-{day:02},<script>,7,9\n", 50 + day % 5));
    }
    std::fs::write(&path, text).unwrap();
    let (page, err, code) =
        run(&["forecast", path.to_str().unwrap(), "--backtest", "--format", "html", "--data", "generated"]);
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(page.contains("<svg") && page.contains("generated") && page.contains("tcp/23"));
    assert!(!page.contains("<script") && !page.contains("http"));
}

#[test]
fn what_is_no_table_is_refused() {
    let folder = workdir("forecast");
    for (name, text) in
        [("empty.csv", ""), ("other.csv", "a,b\n1,2\n"), ("rows.csv", "day,port\nnever,x\n"), ("a.json", "{}")]
    {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        let (out, err, code) = run(&["forecast", path.to_str().unwrap()]);
        assert_eq!((code, out.as_str()), (3, ""), "{name}");
        assert!(err.contains(name), "{err}");
    }
}
