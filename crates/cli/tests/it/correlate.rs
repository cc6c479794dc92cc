//! `noroshi correlate` and `noroshi malware run` as typed; together, from a specimen in the sandbox to a darknet day.

use crate::support::run;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Parameters of four specimens: name, architecture, what they do.
const SPECIMENS: [(&str, &str, &str); 4] = [
    (
        "telnet-bot",
        "mips",
        "mode=raw\nports=23:9,2323:1\nsequence=target\nrate=160\nseconds=4\nbeacon=c2.example:6667\nbeacon_seconds=1",
    ),
    ("store-bot", "arm", "mode=raw\nports=6379:1,2375:1\nsequence=masscan\nwindow=1024\nttl=255\nrate=160\nseconds=4"),
    ("shell-bot", "amd64", "mode=connect\nports=22:1,2222:1\nrate=80\nseconds=4"),
    ("plug-bot", "aarch64", "mode=udp\nports=1900:1\nrate=160\nseconds=4"),
];

/// A day with three campaigns that behave as specimens do, one that behaves as none of them, and a cousin of one: the
/// same scanner, knocking on other doors.
const DAY: &str = r#"
title = "A day with five botnets"
about = "Three behave as samples do that were run before, two do not, beside ordinary background."
packets = 40000
monitored = ["198.18.0.0/16"]
[[background]]
sources_per_1000 = 40
[[campaign]]
percent = 24.0
tools = ["mirai"]
ports = [23, 2323]
members = [40, 60]
minutes = [600, 900]
family = "telnet-bot"
[[campaign]]
percent = 16.0
tools = ["masscan-old"]
ports = [6379, 2375]
members = [40, 60]
minutes = [600, 900]
family = "store-bot"
[[campaign]]
percent = 12.0
tools = ["linux"]
ports = [22, 2222]
members = [40, 60]
minutes = [600, 900]
family = "shell-bot"
[[campaign]]
percent = 8.0
tools = ["raw"]
ports = [8291, 5555]
members = [40, 60]
minutes = [600, 900]
family = "never-run"
[[campaign]]
percent = 8.0
tools = ["mirai"]
ports = [37215, 52869]
members = [40, 60]
minutes = [600, 900]
family = "cousin"
"#;

/// Seeds of the days.
const SEEDS: [&str; 3] = ["4", "5", "6"];
/// Which family is behind a campaign, by a port that only it probes.
const TRUTH: [(&str, &str); 5] = [
    ("tcp/2323", "telnet-bot"),
    ("tcp/2375", "store-bot"),
    ("tcp/2222", "shell-bot"),
    ("tcp/8291", "never-run"),
    ("tcp/52869", "cousin"),
];

fn ready() -> bool {
    let needed = [
        ("bwrap", "bubblewrap"),
        ("qemu-mips", "qemu-user"),
        ("clang", "clang"),
        ("ld.lld", "lld"),
        ("ip", "iproute2"),
    ];
    let missing: Vec<&str> = needed
        .iter()
        .filter(|(program, _)| Command::new(program).arg("--version").output().is_err())
        .map(|(_, package)| *package)
        .collect();
    if missing.is_empty() && Path::new("/dev/net/tun").exists() {
        return true;
    }
    let text = format!("skipped: the sandbox needs {} and /dev/net/tun", missing.join(", "));
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{text}");
    println!("{text}");
    false
}

/// What is behind a campaign in truth, and the verdict on it.
fn asked(campaign: &str, day: &Path, runs: &Path) -> (String, serde_json::Value) {
    let (profile, err, code) = run(&["correlate", campaign, "--in", text(day), "--profile"]);
    assert_eq!(code, 0, "{profile}{err}");
    let profile: serde_json::Value = serde_json::from_str(&profile).unwrap();
    let has = |port: &str| profile["behaviour"]["port"].get(port).is_some();
    let truth = TRUTH.iter().find(|(port, _)| has(port)).map_or("unknown", |(_, family)| family);
    let (out, err, code) =
        run(&["correlate", campaign, "--in", text(day), "--against", text(runs), "--format", "json"]);
    assert_eq!(code, 0, "{out}{err}");
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(json["schema"], "noroshi.correlate/1");
    assert!(json["model"]["data"].as_str().unwrap().contains("generated data"));
    let verdict = json["results"][0]["verdict"].clone();
    if verdict["family"] == truth {
        let reasons = verdict["candidates"][0]["reasons"].as_array().unwrap();
        assert!(reasons.iter().any(|one| one["weight"].as_f64() > Some(0.0)), "why: {out}");
    }
    (truth.to_owned(), verdict)
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn write(path: PathBuf, content: &str) -> PathBuf {
    std::fs::write(&path, content).unwrap();
    path
}

#[test]
fn specimens_in_the_sandbox_are_recognised_in_darknet_days() {
    if !ready() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sandbox/specimens/build.sh");
    let built = Command::new("sh").arg(script).arg(place("programs")).output().unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    for (name, architecture, parameters) in SPECIMENS {
        let program = place("programs").join(format!("specimen-{architecture}"));
        let conf = write(place(&format!("{name}.conf")), parameters);
        let output = place("runs").join(name);
        let (out, err, code) = run(&[
            "malware",
            "run",
            text(&program),
            "--time",
            "30",
            "--output",
            text(&output),
            "--label",
            name,
            "--parameters",
            text(&conf),
        ]);
        assert_eq!(code, 0, "{name}: {out}{err}");
        assert!(out.contains("Verdict: hostile") && out.contains("ATT&CK T1046"), "{name}: {out}");
        for file in ["report.txt", "run.json", "traffic.pcap", "trace.txt", "profile.ndjson"] {
            assert!(output.join(file).metadata().unwrap().len() > 100, "{name}: {file}");
        }
    }
    let scenario = write(place("day.toml"), DAY);
    let mut told = Vec::new();
    for seed in SEEDS {
        let folder = place(&format!("day-{seed}"));
        let (out, err, code) = run(&["simulate", text(&scenario), "--seed", seed, "--output", text(&folder)]);
        assert_eq!(code, 0, "{out}{err}");
        for campaign in ["campaign-1", "campaign-2", "campaign-3", "campaign-4", "campaign-5"] {
            told.push((seed, asked(campaign, &folder.join("day.pcap"), &place("runs"))));
        }
    }
    for (seed, (truth, verdict)) in &told {
        let first = &verdict["candidates"][0];
        println!("seed {seed}: {truth}: {} ({} first at {})", verdict["family"], first["family"], first["probability"]);
    }
    let of = |test: &dyn Fn(&str, &Option<String>) -> bool| {
        told.iter().filter(|(_, (truth, verdict))| test(truth, &verdict["family"].as_str().map(str::to_owned))).count()
    };
    let wrong = of(&|truth, family| family.as_ref().is_some_and(|family| family != truth));
    assert_eq!(wrong, 0, "none is named wrongly, the one that was never run is not named: {told:#?}");
    for (_, family) in &TRUTH[..3] {
        let named = of(&|truth, said| truth == *family && said.as_deref() == Some(truth));
        assert_eq!(named, SEEDS.len(), "{family} is named on every day: {told:#?}");
    }
    for unknown in ["never-run", "cousin"] {
        assert_eq!(of(&|truth, said| truth == unknown && said.is_none()), SEEDS.len(), "{unknown}: {told:#?}");
    }
    // The capture that the sandbox wrote gives the family back, and in words.
    let traffic = place("runs").join("store-bot").join("traffic.pcap");
    let (out, err, code) = run(&["correlate", text(&traffic), "--against", text(&place("runs"))]);
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("1. store-bot") && out.contains("model trained on: generated data"), "{out}");
}

#[test]
fn sessions_join_by_what_is_equal() {
    let folder = tempfile::tempdir().unwrap();
    let hash = "ab".repeat(32);
    let line = |kind: &str, rest: &str| {
        format!(
            r#"{{"eventid":"cowrie.{kind}","session":"s1","src_ip":"192.0.2.7","timestamp":"2026-01-01T00:00:00.000000Z","sensor":"x"{rest}}}"#
        )
    };
    let log = [
        line("session.connect", r#","src_port":4000,"dst_ip":"192.0.2.1","dst_port":23,"protocol":"telnet""#),
        line("session.file_download", &format!(r#","url":"http://198.51.100.9/a.sh","shasum":"{hash}","outfile":"x""#)),
        line("session.closed", r#","duration":1.0"#),
    ];
    let log = write(folder.path().join("cowrie.json"), &(log.join("\n") + "\n"));
    let sample = format!(
        r#"{{"schema":"noroshi.profile/1","name":"{hash}","label":"family-x","origin":"sandbox","exact":{{"hashes":["{}"]}}}}"#,
        hash.to_uppercase()
    );
    let known = write(folder.path().join("known.ndjson"), &sample);
    let (out, err, code) = run(&["correlate", "s1", "--in", text(&log), "--against", text(&known)]);
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("equal Hash") && out.contains("family-x") && out.contains("no family is named"), "{out}");
    let (_, err, code) = run(&["correlate", "s2", "--in", text(&log), "--against", text(&known)]);
    assert_eq!(code, 3, "{err}");
}

#[test]
fn an_evaluation_says_that_its_data_are_generated() {
    let small = ["correlate", "--evaluate", "--profiles", "900", "--families", "16"];
    let (out, err, code) = run(&small);
    assert_eq!(code, 0, "{err}");
    assert!(out.starts_with("generated data") && out.contains("majority"), "{out}");
    let (page, _, code) = run(&[&small[..], &["--format", "html"]].concat());
    assert_eq!(code, 0);
    assert!(page.matches("generated data").count() >= 4 && page.contains("<svg") && !page.contains("http"), "{page}");
}

#[test]
fn mistakes_say_what_to_do() {
    let (_, err, code) = run(&["correlate", "198.51.100.7"]);
    assert_eq!(code, 2);
    assert!(err.contains("--in PATH"), "{err}");
    let folder = tempfile::tempdir().unwrap();
    let bad = write(folder.path().join("bad.ndjson"), "{\"schema\":\"noroshi.profile/1\"}\n");
    let (_, err, code) = run(&["correlate", text(&bad), "--against", text(&bad)]);
    assert_eq!(code, 3);
    assert!(err.contains("line 1") && err.contains("name"), "{err}");
    let script = write(folder.path().join("script"), "#!/bin/sh\necho this is no program\n");
    let (_, err, code) = run(&["malware", "run", text(&script), "--output", text(folder.path())]);
    assert_eq!(code, 3);
    assert!(err.contains("no ELF program"), "{err}");
}
