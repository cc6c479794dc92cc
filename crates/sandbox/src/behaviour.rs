//! What a sample did, as rules over traffic, system calls and files, each with its technique in MITRE ATT&CK and its
//! evidence.
//!
//! There is no verdict "clean". A sample of which nothing hostile was seen may have noticed where it is, or wait for a
//! date: that is `inconclusive`, and so is one that hides *and* was seen to look for a sandbox.

use crate::Run;
use crate::trace::Call;
use noroshi_model::packet::{Packet, Transport, tcp};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// Distinct destinations on one port that make a scan: ten, as for darknets (Merit).
pub const SCAN_TARGETS_MIN: usize = 10;
/// Connections to one host that make a beacon.
pub const BEACONS_MIN: u64 = 2;
/// Part of its time that a sample may sleep in one call before it counts as waiting.
const LONG_SLEEP_PART: f64 = 0.5;
/// Packets to one destination that make a flood.
pub const FLOOD_PACKETS_MIN: usize = 500;

/// What kind of thing was seen.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// What malware does.
    Hostile,
    /// What malware and ordinary programs do.
    Notable,
    /// Looking for a sandbox, or waiting it out.
    Evasion,
}

/// One rule that held.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Behaviour {
    /// Short name.
    pub name: &'static str,
    /// Kind.
    pub kind: Kind,
    /// Technique in ATT&CK for Enterprise, where there is one.
    pub technique: Option<&'static str>,
    /// One sentence.
    pub text: String,
    /// What it rests on.
    pub evidence: String,
}

/// What can be said in one word.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It did what malware does.
    Hostile,
    /// Nothing hostile was seen, which proves nothing.
    Inconclusive,
}

/// Everything that follows from a run.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Judgement {
    /// In one word.
    pub verdict: Verdict,
    /// Why no more can be said; empty when hostile.
    pub because: Vec<String>,
    /// Rules that held, hostile ones first.
    pub behaviours: Vec<Behaviour>,
}

/// System calls by the paths they touch: rule, kind, technique, part of a path, sentence.
const PATHS: &[(&str, Kind, Option<&str>, &str, &str)] = &[
    ("machine", Kind::Evasion, Some("T1497.001"), "/sys/class/dmi", "It reads what machine it runs on."),
    ("machine", Kind::Evasion, Some("T1497.001"), "/proc/cpuinfo", "It reads what processor it runs on."),
    ("uptime", Kind::Evasion, Some("T1497.001"), "/proc/uptime", "It reads how long the system has been up."),
    ("debugger", Kind::Evasion, Some("T1622"), "/proc/self/status", "It looks whether it is being traced."),
    ("hypervisor", Kind::Evasion, Some("T1497.001"), "/sys/hypervisor", "It looks for a hypervisor."),
    ("scheduled", Kind::Hostile, Some("T1053.003"), "cron", "It touches the tables of scheduled jobs."),
    ("start-up", Kind::Hostile, Some("T1037.004"), "/etc/rc", "It touches scripts that run at start-up."),
    ("start-up", Kind::Hostile, Some("T1037.004"), "/etc/init.d", "It touches scripts that run at start-up."),
    (
        "watchdog",
        Kind::Hostile,
        Some("T1562.001"),
        "/dev/watchdog",
        "It opens the watchdog, to keep the device from restarting.",
    ),
    ("accounts", Kind::Notable, Some("T1087.001"), "/etc/passwd", "It reads the list of accounts."),
    ("secrets", Kind::Hostile, Some("T1003.008"), "/etc/shadow", "It tries to read password hashes."),
    ("keys", Kind::Hostile, Some("T1098.004"), "authorized_keys", "It touches the keys that may log in."),
    ("interfaces", Kind::Notable, Some("T1016"), "/proc/net", "It reads about the network."),
    ("escape", Kind::Hostile, Some("T1611"), "/proc/1/root", "It tries to reach files outside."),
    (
        "escape",
        Kind::Hostile,
        Some("T1611"),
        "/proc/sys/kernel/core_pattern",
        "It tries to change the kernel's settings.",
    ),
];

/// System calls by name: rule, kind, technique, names, sentence.
type CallRule = (&'static str, Kind, Option<&'static str>, &'static [&'static str], &'static str);
const CALLS: &[CallRule] = &[
    ("tracing", Kind::Evasion, Some("T1622"), &["ptrace"], "It uses the debugger's interface."),
    (
        "namespaces",
        Kind::Hostile,
        Some("T1611"),
        &["unshare", "setns", "mount", "pivot_root"],
        "It tries to change what it can see.",
    ),
    (
        "kernel",
        Kind::Hostile,
        Some("T1611"),
        &["bpf", "init_module", "finit_module", "kexec_load"],
        "It tries to put code into the kernel.",
    ),
    ("session", Kind::Notable, None, &["setsid"], "It detaches from its terminal."),
    ("name", Kind::Notable, Some("T1036"), &["prctl"], "It changes its own name or settings."),
];

/// Judges a run.
pub fn judge(run: &Run) -> Judgement {
    let mut found = Vec::new();
    scans(run, &mut found);
    contacts(run, &mut found);
    calls(run, &mut found);
    files(run, &mut found);
    waits(run, &mut found);
    found.sort_by_key(|one: &Behaviour| one.kind);
    let hostile = found.iter().any(|one| one.kind == Kind::Hostile);
    let mut because = Vec::new();
    if !hostile {
        because.push("nothing hostile was seen, which proves nothing".to_owned());
        because.extend(found.iter().filter(|one| one.kind == Kind::Evasion).map(|one| one.text.clone()));
        if run.seen.sent == 0 {
            because.push("it sent no packet".to_owned());
        }
        if run.outcome.code.is_some_and(|code| code != 0) {
            because.push(format!("it ended by itself with code {}", run.outcome.code.unwrap_or_default()));
        }
        if !run.trace.signals.is_empty() {
            let signals: Vec<&str> = run.trace.signals.keys().map(String::as_str).collect();
            because.push(format!("signals were delivered: {}", signals.join(", ")));
        }
        if run.trace.counts.is_empty() {
            because.push("it made no system call that was seen".to_owned());
        }
    }
    Judgement { verdict: if hostile { Verdict::Hostile } else { Verdict::Inconclusive }, because, behaviours: found }
}

fn opens(row: &Packet) -> bool {
    match row.transport {
        Transport::Tcp => row.tcp_flags & (tcp::SYN | tcp::ACK | tcp::RST) == tcp::SYN,
        Transport::Udp => row.dport != 53,
        _ => false,
    }
}

fn scans(run: &Run, found: &mut Vec<Behaviour>) {
    let mut ports: BTreeMap<(bool, u16), (BTreeSet<_>, usize)> = BTreeMap::new();
    let mut single: BTreeMap<_, usize> = BTreeMap::new();
    for row in run.seen.packets.rows.iter().filter(|row| opens(row)) {
        let port = ports.entry((row.transport == Transport::Udp, row.dport)).or_default();
        port.0.insert(row.dst);
        port.1 += 1;
        *single.entry(row.dst).or_default() += 1;
    }
    for ((udp, port), (targets, packets)) in ports.iter().filter(|(_, (targets, _))| targets.len() >= SCAN_TARGETS_MIN)
    {
        let protocol = if *udp { "UDP" } else { "TCP" };
        found.push(Behaviour {
            name: "scans",
            kind: Kind::Hostile,
            technique: Some("T1046"),
            text: format!("It scans {protocol} port {port}."),
            evidence: format!("{packets} packets to {} addresses", targets.len()),
        });
    }
    for (target, packets) in single.into_iter().filter(|(_, packets)| *packets >= FLOOD_PACKETS_MIN) {
        found.push(Behaviour {
            name: "floods",
            kind: Kind::Hostile,
            technique: Some("T1498.001"),
            text: format!("It floods {target}."),
            evidence: format!("{packets} packets"),
        });
    }
    if let Some(call) = run.trace.find(&["socket"], "SOCK_RAW") {
        found.push(of_call("raw-packets", Kind::Notable, Some("T1095"), "It builds packets of its own.", call));
    }
}

fn contacts(run: &Run, found: &mut Vec<Behaviour>) {
    for one in run.seen.conversations.iter().filter(|one| one.name.is_some()) {
        let name = one.name.as_deref().unwrap_or_default();
        let repeated = one.times >= BEACONS_MIN;
        found.push(Behaviour {
            name: if repeated { "beacons" } else { "calls" },
            kind: if repeated { Kind::Hostile } else { Kind::Notable },
            technique: Some("T1071"),
            text: format!(
                "It {} {name}, {} port {}.",
                if repeated { "calls again and again" } else { "calls" },
                one.protocol,
                one.port
            ),
            evidence: format!("{} connections, {} bytes, beginning \"{}\"", one.times, one.bytes, start(&one.said)),
        });
    }
    if !run.seen.credentials.is_empty() {
        found.push(Behaviour {
            name: "logins",
            kind: Kind::Hostile,
            technique: Some("T1110.001"),
            text: "It tries logins.".into(),
            evidence: format!("{} tries, the first {}", run.seen.credentials.len(), start(&run.seen.credentials[0])),
        });
    }
    for url in run.seen.urls.iter().take(8) {
        found.push(Behaviour {
            name: "fetches",
            kind: Kind::Notable,
            technique: Some("T1105"),
            text: format!("It asks for {url}."),
            evidence: "an HTTP request in the capture".into(),
        });
    }
}

fn start(text: &str) -> String {
    text.chars().take(40).collect()
}

fn of_call(name: &'static str, kind: Kind, technique: Option<&'static str>, text: &str, call: &Call) -> Behaviour {
    Behaviour { name, kind, technique, text: text.into(), evidence: format!("{}({}", call.name, start(&call.text)) }
}

fn calls(run: &Run, found: &mut Vec<Behaviour>) {
    const FILES: &[&str] =
        &["open", "openat", "stat", "stat64", "access", "faccessat", "readlink", "newfstatat", "statx"];
    for (name, kind, technique, path, text) in PATHS {
        if let Some(call) = run.trace.find(FILES, path) {
            found.push(of_call(name, *kind, *technique, text, call));
        }
    }
    for (name, kind, technique, names, text) in CALLS {
        if let Some(call) = run.trace.find(names, "") {
            found.push(of_call(name, *kind, *technique, text, call));
        }
    }
    if let Some(call) = run.trace.find(&["unlink", "unlinkat"], "/root/sample") {
        found.push(of_call("deletes-itself", Kind::Hostile, Some("T1070.004"), "It deletes its own file.", call));
    }
    if run.trace.processes > 1 {
        found.push(Behaviour {
            name: "processes",
            kind: Kind::Notable,
            technique: None,
            text: "It starts further processes.".into(),
            evidence: format!("{} processes in the trace", run.trace.processes),
        });
    }
}

fn files(run: &Run, found: &mut Vec<Behaviour>) {
    for file in run.outcome.files.iter().take(16) {
        let hidden = file.path.rsplit('/').next().is_some_and(|name| name.starts_with('.'));
        let hash = file.sha256.as_deref().map_or(String::new(), |hash| format!(", SHA-256 {hash}"));
        found.push(Behaviour {
            name: if hidden { "hidden-file" } else { "file" },
            kind: Kind::Notable,
            technique: hidden.then_some("T1564.001"),
            text: format!("It leaves {}{}.", if hidden { "the hidden file " } else { "" }, file.path),
            evidence: format!("{} bytes{}{hash}", file.bytes, if file.executable { ", executable" } else { "" }),
        });
    }
}

fn waits(run: &Run, found: &mut Vec<Behaviour>) {
    let Some(ended) = &run.outcome.ended else { return };
    // A call that never came back has no result in the trace.
    let last = run.trace.calls.last().filter(|call| call.name.contains("nanosleep") || call.name == "pause");
    let asleep = run.outcome.seconds > 0.0 && run.seen.sent == 0 && run.trace.calls.len() < 64;
    if let Some(call) = last.filter(|_| asleep && run.outcome.seconds * LONG_SLEEP_PART >= 0.5) {
        let mut one = of_call("waits", Kind::Evasion, Some("T1497.003"), "It sleeps until its time is over.", call);
        one.evidence = format!("{}; {ended}", one.evidence);
        found.push(one);
    }
}
