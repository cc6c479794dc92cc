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

/// A day in which one campaign behaves as the telnet bot does.
const DAY: &str = r#"
title = "A day with one botnet"
about = "Bots whose sequence number equals the destination, beside ordinary background."
packets = 30000
monitored = ["198.18.0.0/16"]
[[background]]
sources_per_1000 = 40
[[campaign]]
percent = 30.0
tools = ["mirai"]
ports = [23, 2323]
members = [40, 60]
minutes = [600, 900]
family = "telnet-bot"
"#;

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

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn write(path: PathBuf, content: &str) -> PathBuf {
    std::fs::write(&path, content).unwrap();
    path
}

#[test]
fn a_specimen_in_the_sandbox_is_recognised_in_a_darknet_day() {
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
    let (out, err, code) = run(&["simulate", text(&scenario), "--seed", "4", "--output", text(&place("day"))]);
    assert_eq!(code, 0, "{out}{err}");
    let day = place("day").join("day.pcap");
    let (out, err, code) =
        run(&["correlate", "campaign-1", "--in", text(&day), "--against", text(&place("runs")), "--format", "json"]);
    assert_eq!(code, 0, "{out}{err}");
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(json["schema"], "noroshi.correlate/1");
    let verdict = &json["results"][0]["verdict"];
    // One run of each sample is little to know a family by, so it may abstain; it never names another.
    assert!(verdict["family"] == "telnet-bot" || verdict["abstains"].is_string(), "{out}");
    let first = &verdict["candidates"][0];
    assert_eq!(first["family"], "telnet-bot", "which: {out}");
    let sure = |place: usize| verdict["candidates"][place]["probability"].as_f64().unwrap();
    assert!(sure(0) > 0.1 && sure(0) > 5.0 * sure(1), "how sure: {out}");
    let reasons: Vec<&str> =
        first["reasons"].as_array().unwrap().iter().filter_map(|one| one["dimension"].as_str()).collect();
    assert!(reasons.contains(&"port") || reasons.contains(&"marks"), "why: {out}");
    assert!(json["model"]["data"].as_str().unwrap().contains("generated data"));
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
