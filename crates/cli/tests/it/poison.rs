//! Forged packets that name resolvers, partners and our own sensors: nothing that leaves calls them attackers.

use crate::support::{run, workdir};
use serde_json::Value;
use std::net::Ipv4Addr;

/// In whose name packets are forged: a resolver, a partner, a sensor.
const NAMED: [Ipv4Addr; 3] = [Ipv4Addr::new(8, 8, 8, 8), Ipv4Addr::new(192, 88, 99, 9), Ipv4Addr::new(198, 18, 3, 7)];
const SYN: u8 = 2;
const PUSH_ACK: u8 = 24;

fn sum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0)));
    let total = words.sum::<u32>();
    let folded = (total & 0xffff) + (total >> 16);
    !((folded & 0xffff) + (folded >> 16)) as u16
}

/// A record of a capture: Ethernet, IPv4, TCP.
fn record(second: f64, src: Ipv4Addr, dst: Ipv4Addr, ports: (u16, u16), flags: u8, payload: &[u8]) -> Vec<u8> {
    let mut tcp = Vec::new();
    tcp.extend([ports.0.to_be_bytes(), ports.1.to_be_bytes()].concat());
    tcp.extend([0x1234_5678u32.to_be_bytes(), u32::from(flags == PUSH_ACK).to_be_bytes()].concat());
    tcp.extend([0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    tcp.extend(payload);
    let mut pseudo = [src.octets(), dst.octets()].concat();
    pseudo.extend([0, 6]);
    pseudo.extend((tcp.len() as u16).to_be_bytes());
    pseudo.extend(&tcp);
    tcp[16..18].copy_from_slice(&sum(&pseudo).to_be_bytes());
    let mut ip = vec![0x45, 0];
    ip.extend((20 + tcp.len() as u16).to_be_bytes());
    ip.extend([0, 1, 0, 0, 64, 6, 0, 0]);
    ip.extend([src.octets(), dst.octets()].concat());
    let checksum = sum(&ip);
    ip[10..12].copy_from_slice(&checksum.to_be_bytes());
    let frame = [&[2; 12][..], &[8, 0], &ip, &tcp].concat();
    let mut bytes = Vec::new();
    // An hour ago: lists forget what is old.
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() as u32;
    let (seconds, micros) = (now - 3_600 + second as u32, (second.fract() * 1e6) as u32);
    for word in [seconds, micros, frame.len() as u32, frame.len() as u32] {
        bytes.extend(word.to_le_bytes());
    }
    bytes.extend(frame);
    bytes
}

/// Scans of three ports, and logins tried over and over, in everybody's name.
fn capture() -> Vec<u8> {
    let mut bytes = Vec::new();
    for word in [0xa1b2_c3d4u32, 0x0004_0002, 0, 0, 65_535, 1] {
        bytes.extend(word.to_le_bytes());
    }
    let victim = Ipv4Addr::new(198, 18, 200, 1);
    for n in 0..600u32 {
        let second = f64::from(n) * 0.2;
        for src in NAMED {
            let place = Ipv4Addr::from(0xc612_0000 + n * 97 % 60_000);
            bytes.extend(record(second, src, place, (40_000, [23, 2323, 445][n as usize % 3]), SYN, b""));
            bytes.extend(record(second + 0.05, src, victim, (50_000 + n as u16, 22), SYN, b""));
            bytes.extend(record(second + 0.1, src, victim, (50_000 + n as u16, 22), PUSH_ACK, b"SSH-2.0-x\r\n"));
        }
    }
    bytes
}

/// Everything that `noroshi export` makes of a report, in every form.
fn exports(report: &str) -> Vec<(String, String)> {
    let mut made = Vec::new();
    for words in [
        vec!["stix", "--tlp", "red"],
        vec!["misp", "--tlp", "red"],
        vec!["blocklist", "--form", "plain"],
        vec!["blocklist", "--form", "csv"],
        vec!["blocklist", "--form", "nftables"],
        vec!["blocklist", "--form", "jsonl"],
        vec!["flowspec", "--approve", "ann", "--approve", "ben"],
        vec!["shadowserver"],
    ] {
        let (out, err, code) = run(&[&["export"][..], &words, &["--report", report]].concat());
        assert_eq!(code, 0, "{words:?}: {err}");
        made.push((words.join(" "), out));
    }
    made
}

#[test]
fn nobody_is_called_an_attacker_for_packets_that_others_forged() {
    let folder = workdir("poison");
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(path("forged.pcap"), capture()).unwrap();
    let report = path("report.json");
    let typed = ["analyze", &path("forged.pcap"), "--monitored", "198.18.0.0/16", "--format", "json"];
    let (_, err, code) = run(&[&typed[..], &["--output", &report]].concat());
    assert_eq!(code, 0, "{err}");
    let mut found: Value = serde_json::from_str(&std::fs::read_to_string(&report).unwrap()).unwrap();
    let named: Vec<&str> =
        found["brute_force"].as_array().unwrap().iter().map(|seen| seen["source"].as_str().unwrap()).collect();
    assert_eq!(named.len(), NAMED.len(), "the forgery deceives the detectors: {named:?}");
    assert!(found["scans"].as_array().unwrap().len() >= 6);
    for (what, text) in exports(&report) {
        for address in NAMED {
            assert!(!text.contains(&address.to_string()), "{what} names {address}:\n{text}");
        }
    }
    // The same report, if the resolver had been proven to speak: now lists name it, so the test can fail.
    for source in found["sources"].as_array_mut().unwrap() {
        if source["address"] == "8.8.8.8" {
            source["labels"] = serde_json::json!([]);
        }
    }
    std::fs::write(path("proven.json"), found.to_string()).unwrap();
    let names = exports(&path("proven.json")).into_iter().filter(|(_, text)| text.contains("8.8.8.8")).count();
    assert!(names >= 4, "{names} forms name a proven source");
}
