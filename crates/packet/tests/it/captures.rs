//! Every shared capture: what `expect` says must be what comes out.

use noroshi_model::packet::{Has, PacketBatch, Transport};
use noroshi_packet::capture::Reader;
use noroshi_packet::decode::decode;
use serde_json::{Value, json};
use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};

fn shared_captures() -> Option<PathBuf> {
    let root = std::env::var_os("NOROSHI_SHARED")
        .map(PathBuf::from)
        .unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"));
    let captures = root.join("data/captures");
    if captures.is_dir() {
        return Some(captures);
    }
    assert!(std::env::var_os("CI").is_none(), "the shared captures are required in CI: {}", captures.display());
    eprintln!("skipped: no shared captures at {}", captures.display());
    None
}

#[derive(Default)]
struct Tally {
    packets: u64,
    wire: u64,
    captured: u64,
    v4: u64,
    v6: u64,
    sources: HashSet<u128>,
    destinations: HashSet<u128>,
    transport: [u64; 6],
    times: Vec<i64>,
}

impl Tally {
    fn add(&mut self, batch: &PacketBatch) {
        for row in &batch.rows {
            self.packets += 1;
            self.wire += u64::from(row.wire_len);
            self.captured += u64::from(row.cap_len);
            self.transport[row.transport as usize] += 1;
            match row.family() {
                4 => self.v4 += 1,
                6 => self.v6 += 1,
                _ => {}
            }
            if row.has.has(Has::IP) {
                self.sources.insert(row.src.0);
                self.destinations.insert(row.dst.0);
            }
            if row.has.has(Has::TIME) {
                self.times.push(row.ts.0);
            }
        }
    }

    fn facts(&self, exit: u8, truncated: bool, times_compared: bool) -> Value {
        let names = ["tcp", "udp", "icmp", "icmpv6", "sctp", "other"];
        let transport: serde_json::Map<_, _> =
            names.iter().zip(self.transport).map(|(name, count)| ((*name).to_owned(), json!(count))).collect();
        let mut facts = json!({
            "packets": self.packets, "bytes_on_wire": self.wire, "bytes_captured": self.captured,
            "ipv4_packets": self.v4, "ipv6_packets": self.v6, "unique_sources": self.sources.len(),
            "unique_destinations": self.destinations.len(), "transport": transport, "exit": exit,
            "truncated": truncated, "times_compared": times_compared,
        });
        if times_compared {
            let text = |time: Option<&i64>| time.map(|nanos| noroshi_model::Nanos(*nanos).to_string());
            facts["first"] = json!(text(self.times.first()));
            facts["last"] = json!(text(self.times.last()));
            facts["earliest"] = json!(text(self.times.iter().min()));
            facts["latest"] = json!(text(self.times.iter().max()));
        }
        facts
    }
}

fn read(path: &Path, times_compared: bool) -> Value {
    let mut tally = Tally::default();
    let Ok(mut reader) = Reader::open(path) else { return tally.facts(3, false, times_compared) };
    while let Some(raw) = reader.next_batch() {
        tally.add(&decode(raw, 0));
    }
    let truncated = reader.problems().iter().any(|problem| problem.code == "truncated");
    tally.facts(0, truncated, times_compared)
}

#[test]
fn every_capture_gives_its_expected_facts() {
    let Some(captures) = shared_captures() else { return };
    let index: Value = serde_json::from_slice(&std::fs::read(captures.join("index.json")).unwrap()).unwrap();
    let listed = index["captures"].as_array().expect("a list of captures");
    assert!(listed.len() > 100, "the index lists the captures");
    let mut wrong = Vec::new();
    for entry in listed {
        let name = entry["file"].as_str().or(entry.as_str()).expect("a file name");
        let about: Value =
            serde_json::from_slice(&std::fs::read(captures.join(format!("{name}.json"))).unwrap()).unwrap();
        let expect = &about["expect"];
        let found = read(&captures.join(name), expect["times_compared"].as_bool().unwrap_or(true));
        let keys: BTreeSet<_> = expect.as_object().unwrap().keys().collect();
        for key in keys {
            if expect[key] != found[key] {
                wrong.push(format!("{name}: {key} is {}, expected {}", found[key], expect[key]));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn tallied_fields_agree_with_the_other_tool() {
    let Some(captures) = shared_captures() else { return };
    let about = |name: &str| -> Value {
        serde_json::from_slice(&std::fs::read(captures.join(format!("{name}.json"))).unwrap()).unwrap()
    };
    for name in [
        "scan/ndpi__synscan.pcap",
        "amplification_ddos/stopddos__amp.UDP.isakmp.pcap",
        "bruteforce_honeypot/ndpi__ssh.pcap",
    ] {
        let facts = about(name);
        let mut reader = Reader::open(&captures.join(name)).unwrap();
        let mut flags = std::collections::BTreeMap::<String, u64>::new();
        let mut ports = std::collections::BTreeMap::<String, u64>::new();
        while let Some(raw) = reader.next_batch() {
            for row in decode(raw, 0).rows {
                if row.has.has(Has::TCP) {
                    *flags.entry(format!("0x{:04x}", row.tcp_flags)).or_default() += 1;
                }
                if row.transport == Transport::Udp && row.has.has(Has::PORTS) {
                    *ports.entry(row.dport.to_string()).or_default() += 1;
                }
            }
        }
        for (port, count) in facts["udp_dstport"].as_object().unwrap() {
            assert_eq!(ports.get(port), count.as_u64().as_ref(), "{name}: udp destination port {port}");
        }
        for (flag, count) in facts["tcp_flags"].as_object().unwrap() {
            assert_eq!(flags.get(flag), count.as_u64().as_ref(), "{name}: tcp flags {flag}");
        }
    }
}
