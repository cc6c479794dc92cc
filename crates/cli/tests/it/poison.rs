//! Forged packets that name resolvers, partners and our own sensors: nothing that leaves calls them attackers.

use crate::support::{run, workdir};
use noroshi_testkit::{PacketBuilder, pcap};
use serde_json::Value;
use std::net::Ipv4Addr;

/// In whose name packets are forged: a resolver, a partner, a sensor.
const NAMED: [Ipv4Addr; 3] = [Ipv4Addr::new(8, 8, 8, 8), Ipv4Addr::new(192, 88, 99, 9), Ipv4Addr::new(198, 18, 3, 7)];
const PUSH: u8 = 8;
const SECOND: i64 = 1_000_000_000;

/// Scans of three ports, and logins tried over and over, in everybody's name.
fn capture() -> Vec<u8> {
    let victim = Ipv4Addr::new(198, 18, 200, 1);
    // An hour ago: lists forget what is old.
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() as i64;
    let mut packets = Vec::new();
    for n in 0..600u32 {
        let ts = (now - 3_600) * SECOND + i64::from(n) * SECOND / 5;
        for src in NAMED {
            let place = Ipv4Addr::from(0xc612_0000 + n * 97 % 60_000);
            let login = PacketBuilder::ipv4(src, victim).tcp(50_000 + n as u16, 22).seq(0x1234_5678);
            let probe = PacketBuilder::ipv4(src, place).tcp(40_000, [23, 2323, 445][n as usize % 3]).seq(0x1234_5678);
            packets.push((ts, probe.syn().build()));
            packets.push((ts + SECOND / 20, login.clone().syn().build()));
            packets.push((ts + SECOND / 10, login.flags(PUSH).ack(1).payload(*b"SSH-2.0-x\r\n").build()));
        }
    }
    let records: Vec<_> = packets.iter().map(|(ts, bytes)| (*ts, &bytes[..])).collect();
    pcap(&records)
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
