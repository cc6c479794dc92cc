//! The sandbox with specimens of ours: benign programs that look like bots, and ones that try to break out.

mod support;

use noroshi_sandbox::behaviour::{Verdict, judge};
use noroshi_sandbox::{Architecture, Error, Settings, report, run};
use support::{ready, run_specimen, settings};

const BOT: &str = "mode=raw\nports=23:9,2323:1\nsequence=target\nrate=100\nseconds=2\nbeacon=c2.example:6667\n\
                   beacon_seconds=1\nmarker=1";

/// A test for each architecture: the specimen runs, does what it is told, and is seen doing it.
macro_rules! architectures {
    ($($name:ident $architecture:ident)*) => {
        mod architectures {
            $(#[test]
            fn $name() {
                super::behaves_as_told(noroshi_sandbox::Architecture::$architecture);
            })*
        }

        #[test]
        fn no_architecture_is_left_out() {
            assert_eq!([$(Architecture::$architecture),*], Architecture::ALL);
        }
    };
}
architectures! {
    i386 I386
    amd64 Amd64
    arm Arm
    aarch64 Aarch64
    mips Mips
    mipsel Mipsel
    mips64el Mips64el
    powerpc Powerpc
    ppc64le Ppc64le
}

fn behaves_as_told(architecture: Architecture) {
    if !ready() {
        return;
    }
    let run = run_specimen(&format!("specimen-{}", architecture.name()), &settings(20, BOT));
    let said = format!("{}: {:?} {}", architecture.name(), run.outcome, run.trace_text);
    assert_eq!(run.architecture, architecture);
    assert_eq!(run.outcome.code, Some(0), "{said}");
    assert_eq!(run.outcome.orphans, 0, "{said}");
    let judged = judge(&run);
    let has = |name: &str| judged.behaviours.iter().any(|one| one.name == name);
    assert_eq!(judged.verdict, Verdict::Hostile, "{said}");
    assert!(has("scans") && has("beacons") && has("hidden-file"), "{:?}\n{said}", judged.behaviours);
    assert!(run.seen.names.contains_key("c2.example"));
    let probes = run.seen.packets.rows.iter().filter(|row| row.tool_bits.any() && row.dport % 100 == 23).count();
    assert!(probes > 50, "{probes} {said}");
    assert!(run.trace.count("socket") > 0, "{said}");
    // The capture is a file that any reader of captures takes: as many packets as were sent, and the answers to them.
    let mut reader = noroshi_packet::capture::Reader::new(std::io::Cursor::new(run.seen.pcap.clone())).unwrap();
    let mut packets = 0;
    while let Some(batch) = reader.next_batch() {
        packets += noroshi_packet::decode::decode(batch, 0).rows.len() as u64;
    }
    assert!(packets >= run.seen.sent, "{packets} of {}", run.seen.sent);
}

#[test]
fn a_report_has_evidence_for_each_sentence() {
    if !ready() {
        return;
    }
    let run = run_specimen("specimen-arm", &settings(20, BOT));
    let text = report::text("specimen-arm", &run, &judge(&run));
    assert!(text.contains("Verdict: hostile"), "{text}");
    for line in text.lines().filter(|line| line.starts_with("  ")) {
        assert!(line.contains('[') && line.ends_with(']'), "{line}");
    }
    assert!(text.contains("ATT&CK T1046") && text.contains("The name c2.example."), "{text}");
}

#[test]
fn specimens_refuse_to_start_anywhere_else() {
    if !ready() {
        return;
    }
    // Without a parameter file, and with one but without the fake Internet's proof.
    let bare = Settings { files: Vec::new(), ..settings(10, BOT) };
    let wrong = Settings { token: Some("another".into()), ..settings(10, BOT) };
    for settings in [bare, wrong] {
        let run = run_specimen("specimen-amd64", &settings);
        assert_eq!(run.outcome.code, Some(3), "{:?}", run.outcome);
        assert!(run.outcome.output.starts_with("refused"), "{:?}", run.outcome);
        assert!(!run.seen.packets.rows.iter().any(|row| row.tool_bits.any()));
        assert_eq!(judge(&run).verdict, Verdict::Inconclusive);
    }
}

#[test]
fn what_is_no_program_is_refused() {
    let settings = Settings::default();
    assert!(matches!(run(b"#!/bin/sh", &settings), Err(Error::NotRunnable(_))));
    assert!(matches!(run(b"", &settings), Err(Error::NotRunnable(_))));
}

/// What a hostile sample would try; each with what must be true afterwards.
const ATTEMPTS: [&str; 12] =
    ["fork", "disk", "sparse", "memory", "log", "sleep", "daemon", "network", "escape", "kill", "stop", "nothing"];

#[test]
fn abuse_stays_inside_and_ends() {
    if !ready() {
        return;
    }
    // The whole set is 300 runs; continuous integration does one round on one architecture.
    let rounds = std::env::var("NOROSHI_ABUSE_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    let before = host();
    for round in 0..rounds {
        for attempt in ATTEMPTS {
            let architecture = ["amd64", "aarch64", "mips"][round % 3];
            let mut settings = settings(3, "");
            settings.files = vec![("/etc/specimen.conf".into(), format!("try={attempt}\n").into_bytes())];
            let run = run_specimen(&format!("abuse-{architecture}"), &settings);
            let said = format!("{attempt} on {architecture}: {:?}", run.outcome);
            assert_eq!(run.outcome.orphans, 0, "{said}");
            assert!(run.outcome.seconds < 5.0, "ended two seconds past its time at the latest: {said}");
            assert!(!run.outcome.output.contains("went through"), "{said}");
            let left: u64 = run.outcome.files.iter().filter(|file| file.sha256.is_some()).map(|file| file.bytes).sum();
            assert!(left <= settings.limits.disk_bytes, "{said}");
            let inside = noroshi_sandbox::internet::SAMPLE_ADDRESS.to_string();
            assert!(run.seen.packets.rows.iter().all(|row| row.src.to_string() == inside), "{said}");
        }
    }
    assert_eq!(host(), before, "mounts, interfaces, users' processes and files of the host are as they were");
}

/// What a sample could change outside: mounts, interfaces and their counters, processes of sandbox users, files.
fn host() -> (String, Vec<(String, u64)>, usize, Vec<String>) {
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
    let devices = std::fs::read_to_string("/proc/net/dev").unwrap();
    // Packets sent by every interface but loopback, which other tests use.
    let sent = devices.lines().filter_map(|line| {
        let (name, counters) = line.split_once(':')?;
        let packets = counters.split_whitespace().nth(9)?.parse().ok()?;
        Some((name.trim().to_owned(), if name.trim().starts_with("tun") { packets } else { 0 }))
    });
    let processes = std::fs::read_dir("/proc").unwrap().flatten().filter(|entry| {
        use std::os::unix::fs::MetadataExt;
        entry.metadata().is_ok_and(|about| (1_900_000_000..1_901_000_000).contains(&about.uid()))
    });
    let files = ["/tmp/fill", "/tmp/sparse", "/tmp/.specimen", "/dev/shm/fill"];
    let files = files.iter().filter(|path| std::path::Path::new(path).exists()).map(|path| (*path).to_owned());
    (mounts, sent.collect(), processes.count(), files.collect())
}
