//! `noroshi locality`, `similar`, `lead`, `train`, and the events of `forecast`, on real honeypot counts and generated
//! worlds.

use crate::support::{run, shared, workdir};
use serde_json::Value;
use std::process::{Command, Stdio};

fn packets() -> Option<String> {
    let path = shared()?.join("data/honeypot-timeseries/marx_until_2013-07-14.csv.gz");
    Some(path.to_string_lossy().into_owned())
}

fn json(args: &[&str]) -> Value {
    let (out, err, code) = run(args);
    assert_eq!(code, 0, "{args:?}: {err}");
    serde_json::from_str(&out).unwrap()
}

#[test]
fn real_sensors_have_things_of_their_own() {
    let Some(path) = packets() else { return };
    let found = json(&["locality", &path, "--format", "json"]);
    assert_eq!((&found["schema"], &found["data"]), (&"noroshi.locality/1".into(), &"real".into()));
    let sensors = found["locality"]["sensors"].as_array().unwrap();
    assert_eq!(sensors.len(), 9);
    // Unique sources of the table, counted with awk and sort -u.
    let tokyo = sensors.iter().find(|sensor| sensor["sensor"] == "groucho-tokyo").unwrap();
    assert_eq!(tokyo["sources"], 19_874);
    let local = found["locality"]["local"].as_array().unwrap();
    assert!(local.iter().all(|one| one["low"].as_f64() > Some(1.5) && one["sources"].as_u64() >= Some(20)));
    assert!(local.iter().any(|one| one["only_here"] == true));
    assert!(found["locality"]["fading"]["expiry_half"].as_f64().unwrap() > 1.0);
    let (page, _, code) = run(&["locality", &path, "--format", "html"]);
    assert!(code == 0 && page.contains("<svg") && !page.contains("<script") && !page.contains("http"));
}

#[test]
fn real_sensors_of_one_region_are_alike_and_one_is_early() {
    let Some(path) = packets() else { return };
    let found = json(&["similar", &path, "--format", "json"]);
    let first = &found["pairs"][0];
    // Both stand in northern California.
    assert_eq!((&first["a"], &first["b"]), (&"groucho-norcal".into(), &"zeppo-norcal".into()));
    let days = json(&["similar", &path, "--to", "2013-05-16", "--format", "json"]);
    assert!(!days["alike"].as_array().unwrap().is_empty());
    let ports = json(&["similar", &path, "--to", "tcp/8080", "--most", "3", "--format", "json"]);
    assert_eq!(ports["alike"].as_array().unwrap().len(), 3);
    let lead = json(&["lead", &path, "--format", "json"]);
    assert_eq!(lead["lead"]["tested"], 36);
    assert!(!lead["lead"]["leads"].as_array().unwrap().is_empty());
}

#[test]
fn what_cannot_be_meant_is_wrong_usage() {
    let Some(path) = packets() else { return };
    let (_, err, code) = run(&["similar", &path, "--to", "a house"]);
    assert!(code == 2 && err.contains("tcp/445"), "{err}");
    let folder = workdir("foresight");
    let notes = folder.path().join("notes.txt");
    std::fs::write(&notes, "neither packets nor a table").unwrap();
    for command in ["locality", "similar", "lead", "train"] {
        let (_, err, code) = run(&[command, notes.to_str().unwrap()]);
        assert!(code == 3 && err.contains("notes.txt"), "{command}: {err}");
    }
    let (_, err, code) = run(&["forecast", notes.to_str().unwrap(), "--blocklist"]);
    assert!(code == 3 && err.contains("notes.txt"), "{err}");
}

#[test]
fn every_horizon_is_scored_and_lists_beat_what_people_keep() {
    let Some(path) = packets() else { return };
    for horizon in ["1h", "7d"] {
        let found =
            json(&["forecast", &path, "--backtest", "--horizon", horizon, "--port", "1433", "--format", "json"]);
        let score = &found["scores"][0];
        assert_eq!(score["horizon"].as_str().unwrap().replace(' ', ""), horizon);
        assert!(score["scored"].as_u64().unwrap() > 20 && score["coverage80"].as_f64().unwrap() > 0.5, "{score}");
    }
    let found = json(&["forecast", &path, "--blocklist", "--format", "json"]);
    let methods = found["blocklist"]["methods"].as_array().unwrap();
    let hits = |index: usize| methods[index]["hits"].as_u64().unwrap();
    assert!((1..4).all(|other| hits(0) > hits(other)), "{methods:?}");
    let shown = !found["blocklist"]["lists"].as_array().unwrap().is_empty();
    assert_eq!(shown, found["blocklist"]["judged"]["skill"].as_f64().unwrap() > 0.0);
}

#[test]
fn a_generated_day_is_attributed_by_company_as_gensim_does() {
    let folder = workdir("foresight");
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (world, words, classes) = (at("world"), at("words.txt"), at("classes.csv"));
    let (_, err, code) = run(&["simulate", "darknet-day", "--seed", "3", "--packets", "60000", "--output", &world]);
    assert_eq!(code, 0, "{err}");
    let truth = format!("{world}/truth.json");
    let common = ["similar", &world, "--data", "generated", "--classes", &truth, "--least", "4", "--sentences", &words];
    let found = json(&[&common[..], &["--format", "json"]].concat());
    assert_eq!(found["data"], "generated");
    let scores = &found["scores"];
    let ours = scores["embedding"].as_f64().unwrap();
    assert!(ours > scores["majority"].as_f64().unwrap(), "{scores}");
    // The same sentences and classes for gensim.
    let truth: Value = serde_json::from_str(&std::fs::read_to_string(&truth).unwrap()).unwrap();
    let mut lines = String::new();
    for (kind, members, name) in
        [("campaigns", "members", "id"), ("groups", "members", "id"), ("research", "sources", "name")]
    {
        for one in truth[kind].as_array().into_iter().flatten() {
            for address in one[members].as_array().into_iter().flatten() {
                lines.push_str(&format!("{},{}\n", address.as_str().unwrap(), one[name].as_str().unwrap()));
            }
        }
    }
    std::fs::write(&classes, lines).unwrap();
    let python = std::env::var("NOROSHI_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../stats/tests/interop/skipgram.py");
    let output = Command::new(python)
        .args([script, "50", "5", "20", &classes])
        .stdin(Stdio::from(std::fs::File::open(&words).unwrap()))
        .output();
    let Ok(output) = output.map(|output| (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned()))
    else {
        return;
    };
    if output.0 != Some(0) {
        assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "gensim did not run: {output:?}");
        println!("skipped: gensim is not installed (crates/stats/tests/interop/requirements.txt)");
        return;
    }
    let theirs: f64 = output.1.split_whitespace().last().unwrap().parse().unwrap();
    assert!((ours - theirs).abs() < 0.05, "ours {ours}, gensim {theirs}");
}

#[test]
fn a_model_is_learned_kept_and_scored_on_another_day() {
    let folder = workdir("foresight");
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (one, two, model) = (at("one"), at("two"), at("model.json"));
    for (seed, world) in [("1", &one), ("2", &two)] {
        let (_, err, code) =
            run(&["simulate", "darknet-day", "--seed", seed, "--packets", "150000", "--output", world]);
        assert_eq!(code, 0, "{err}");
    }
    let (out, err, code) = run(&["train", &one, "--data", "generated", "--output", &model]);
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("majority") && out.contains("generated"), "{out}");
    let card: Value = serde_json::from_str(&std::fs::read_to_string(&model).unwrap()).unwrap();
    let scores = &card["card"]["scores"];
    assert!(scores["stumps"].as_f64() > scores["majority"].as_f64(), "{scores}");
    let (out, _, code) = run(&["train", "--model", &model, &two, "--data", "generated"]);
    assert!(code == 0 && out.contains("macro-F1") && out.contains("UDP"), "{out}");
    std::fs::write(&model, "{}").unwrap();
    let (_, err, code) = run(&["train", "--model", &model, &two]);
    assert!(code == 3 && err.contains("model.json"), "{err}");
}

#[test]
fn exploits_in_real_logs_are_named_and_dated() {
    let Some(shared) = shared() else { return };
    let kev = shared.join("data/kev/known_exploited_vulnerabilities.csv");
    let kev = kev.to_str().unwrap();
    let log = |name: &str| shared.join("data/honeypot-logs").join(name).to_str().unwrap().to_owned();
    let found = json(&[
        "vulnerabilities",
        "--kev",
        kev,
        &log("log4shell-poland/zeek/http.log"),
        &log("netgear-rce/zeek/http.log"),
        "--format",
        "json",
    ]);
    assert_eq!(found["catalogue"], 1_404);
    let exploited = found["exploited"].as_array().unwrap();
    let log4j = exploited.iter().find(|one| one["cve"] == "CVE-2021-44228").unwrap();
    // Listed on 2021-12-10, seen in December 2023.
    assert!((700.0..800.0).contains(&log4j["days_after_listing"].as_f64().unwrap()), "{log4j}");
    assert!(exploited.iter().any(|one| one["cve"] == "CVE-2024-12847"), "{exploited:?}");
    let folder = workdir("foresight");
    let other = folder.path().join("other.csv");
    std::fs::write(&other, "a,b\n").unwrap();
    let (_, err, code) = run(&["vulnerabilities", "--kev", other.to_str().unwrap(), kev]);
    assert!(code == 3 && err.contains("other.csv"), "{err}");
}

#[test]
fn a_small_day_passes_every_stage() {
    let (out, err, code) = run(&["bench", "seed", "--packets", "20000", "--profiles", "500", "--format", "json"]);
    assert_eq!(code, 0, "{err}");
    let found: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&found["data"], found["stages"].as_array().unwrap().len()), (&"generated".into(), 9));
    assert!(found["limits"].as_array().unwrap().iter().all(|row| row["seconds"].as_f64().is_some()), "{found}");
}
