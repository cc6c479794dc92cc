//! A report in every form.

use crate::first_end::validate;
use crate::scene::{self, at, gate};
use noroshi_model::finding::{Attack, AttackKind, Label, Thresholds, Vector, Victim};
use noroshi_model::report::{BruteForce, Capture, Report, SCHEMA, SourceSummary, Timeline, Totals};
use noroshi_model::tlp::Tlp;
use noroshi_model::{Addr, Prefix};
use noroshi_share::export::{self, select};
use noroshi_share::lists::blocklist::{Form, Head};
use noroshi_share::lists::flowspec::{Guards, Refused};
use noroshi_share::misp::feed;
use noroshi_share::stix::Producer;
use noroshi_share::stix::marking::Markings;
use std::collections::BTreeMap;

fn addr(text: &str) -> Addr {
    text.parse().unwrap()
}

fn attack(victim: Victim, vector: Vector) -> Attack {
    Attack {
        kind: AttackKind::Backscatter,
        vector,
        victim,
        victim_port: Some(443),
        packets: 1_000,
        bytes: 60_000,
        sources: 1,
        first: at(0),
        last: at(90),
        peak_pps: 30.0,
        estimated_pps: Some(1_966_080.0),
        confidence: 0.9,
        thresholds: Thresholds::new(),
        detector: "test/1".into(),
        evidence: Vec::new(),
        reason: "replies reached 198.18.3.7 and others, http://evil.example".into(),
    }
}

fn source(text: &str, labels: &[Label]) -> SourceSummary {
    SourceSummary {
        address: addr(text),
        packets: 500,
        ports: 1,
        destinations: 3,
        tools: Vec::new(),
        labels: labels.to_vec(),
        country: None,
        asn: None,
        first: Some(at(0)),
        last: Some(at(60)),
    }
}

fn logins(text: &str) -> BruteForce {
    BruteForce {
        source: addr(text),
        victim: addr("198.18.3.7"),
        port: 22,
        service: "=ssh".into(),
        attempts: 400,
        first: at(0),
        last: at(60),
        reason: "connections to 198.18.3.7".into(),
    }
}

pub fn report() -> Report {
    let network: Prefix = "203.0.113.0/24".parse().unwrap();
    Report {
        schema: SCHEMA.into(),
        generated: at(100),
        version: "0".into(),
        capture: Capture::default(),
        monitored: vec![scene::SENSOR.parse().unwrap()],
        monitored_inferred: false,
        approximate: false,
        totals: Totals::default(),
        ports: Vec::new(),
        sources: vec![source("192.88.99.1", &[Label::Spoofable]), source("192.88.99.2", &[])],
        scans: Vec::new(),
        campaigns: Vec::new(),
        attacks: vec![
            attack(Victim::Address(addr("203.0.113.7")), Vector::TcpSyn),
            attack(Victim::Address(addr("2001:db8::7")), Vector::Dns),
            attack(Victim::Network(network), Vector::Ntp),
            attack(Victim::Address(addr("198.18.3.7")), Vector::Dns),
        ],
        payloads: Vec::new(),
        brute_force: vec![logins("192.88.99.1"), logins("192.88.99.2"), logins("192.88.99.3")],
        timeline: Timeline::default(),
        countries: BTreeMap::new(),
        oddities: BTreeMap::new(),
    }
}

pub fn producer(tlp: Tlp, markings: Markings) -> Producer {
    Producer { name: "Noroshi test".into(), tlp, markings, created: at(100) }
}

fn leaks_nothing(text: &str) {
    for canary in
        ["198.18.", "192.88.99.1\"", "192.88.99.1'", "192.88.99.1/", "192.88.99.1,", "192.88.99.3", "http://evil"]
    {
        assert!(!text.contains(canary), "{canary}");
    }
}

#[test]
fn the_gate_counts_what_it_keeps() {
    let report = report();
    let selection = select(&report, &gate());
    assert_eq!((selection.attacks.len(), selection.brute_force.len()), (3, 1));
    let kept: Vec<(&str, u64)> = selection.withheld.iter().map(|(reason, n)| (reason.as_str(), *n)).collect();
    assert_eq!(kept, [("the address belongs to a sensor", 1), ("the source is known from spoofable evidence only", 2)]);
}

#[test]
fn stix_is_valid_for_every_label_and_the_same_every_time() {
    let report = report();
    let selection = select(&report, &gate());
    let mut bundles = Vec::new();
    for tlp in Tlp::ALL {
        for markings in [Markings::V1, Markings::V2, Markings::Both] {
            let make = || export::stix(&selection, &gate(), producer(*tlp, markings));
            let text = serde_json::to_string_pretty(&make()).unwrap();
            assert_eq!(text, serde_json::to_string_pretty(&make()).unwrap());
            leaks_nothing(&text);
            bundles.push(text);
        }
    }
    validate(&bundles, 3);
}

#[test]
fn misp_events_and_the_feed_are_read_by_pymisp() {
    let report = report();
    let event = export::misp(&select(&report, &gate()), &gate(), &producer(Tlp::Clear, Markings::Both), "Test");
    assert_eq!((event.event.objects.len(), event.event.attributes.len()), (3, 1));
    let files = feed::files(std::slice::from_ref(&event)).unwrap();
    assert_eq!(
        files.keys().collect::<Vec<_>>(),
        [&format!("{}.json", event.event.uuid), "hashes.csv", "manifest.json"]
    );
    for bytes in files.values() {
        leaks_nothing(std::str::from_utf8(bytes).unwrap());
    }
    let Some(mut python) = scene::python("pymisp") else { return };
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in &files {
        std::fs::write(folder.path().join(name), bytes).unwrap();
    }
    let output = python.arg(scene::script("misp_load.py")).arg(folder.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "1 events, 3 objects, 1 attributes");
}

#[test]
fn blocklists_name_the_proven_source_only() {
    let report = report();
    let selection = select(&report, &gate());
    let head = Head {
        name: "logins".into(),
        generated: at(100),
        tlp: Tlp::Green,
        contact: "noc@noroshi.example".into(),
        criteria: "completed dialogues".into(),
    };
    let plain = export::blocklist(&selection, &head, Form::Plain);
    assert_eq!(plain.lines().filter(|l| !l.starts_with('#')).collect::<Vec<_>>(), ["192.88.99.2/32"]);
    assert!(plain.contains("# tlp: TLP:GREEN\n") && plain.contains("# count: 1\n"));
    let csv = export::blocklist(&selection, &head, Form::Csv);
    assert_eq!(csv.lines().count(), 2);
    assert!(csv.lines().nth(1).unwrap().starts_with("192.88.99.2,2026-01-01T00:00:00Z,2026-01-01T00:01:00Z,70,"));
    let nft = export::blocklist(&selection, &head, Form::Nftables);
    assert!(nft.contains("192.88.99.2 timeout 604760s"), "{nft}");
    let lines = export::blocklist(&selection, &head, Form::JsonLines);
    let line: serde_json::Value = serde_json::from_str(lines.trim()).unwrap();
    assert_eq!(line["ip"], "192.88.99.2");
    let later = Head { generated: at(10 * 86_400), ..head };
    assert!(export::blocklist(&selection, &later, Form::Plain).contains("# count: 0\n"), "expired");
}

#[test]
fn flowspec_is_a_dry_run_until_two_people_agree() {
    let report = report();
    let selection = select(&report, &gate());
    let dry = export::flowspec(&selection, &Guards::default(), at(100));
    assert!(dry.dry_run && dry.text.lines().all(|line| line.starts_with('#')));
    assert_eq!(dry.refused, [(Victim::Address(addr("203.0.113.7")), Refused::NoMatch(Vector::TcpSyn))]);
    let one = Guards { approvals: ["ann".to_owned()].into(), ..Guards::default() };
    assert!(export::flowspec(&selection, &one, at(100)).dry_run);
    let two = Guards { approvals: ["ann".to_owned(), "ben".to_owned()].into(), seconds: 999_999, ..Guards::default() };
    let rules = export::flowspec(&selection, &two, at(100));
    assert_eq!(rules.count, 2);
    assert!(rules.text.contains("announce flow route { match { destination 2001:db8::7/128; protocol =udp; source-port =53; packet-length >512; } then { discard; } }"));
    assert!(rules.text.contains("withdraw flow route { match { destination 203.0.113.0/24;"));
    assert!(rules.text.contains("# at 2026-01-01T01:01:40Z at the latest"), "an hour at most");
    let guarded = Guards { protected: vec!["203.0.113.128/25".parse().unwrap()], ..two.clone() };
    assert!(
        export::flowspec(&selection, &guarded, at(100))
            .refused
            .iter()
            .any(|(_, r)| matches!(r, Refused::Protected(..)))
    );
    let wide = Victim::Network("203.0.112.0/23".parse().unwrap());
    let attacks = [attack(wide, Vector::Dns)];
    let cleared = gate().victim(wide).unwrap();
    let rules = noroshi_share::lists::flowspec::write([(&attacks[0], cleared)], &two, at(0));
    assert!(matches!(rules.refused[0].1, Refused::Wide(_)));
}

#[test]
fn shadowserver_columns_stand_where_readers_look() {
    let report = report();
    let files = export::shadowserver(&select(&report, &gate()), at(100)).unwrap();
    let names: Vec<&str> = files.iter().map(|f| f.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "2026-01-01-event4_honeypot_ddos_target-noroshi.csv",
            "2026-01-01-event6_honeypot_ddos_target-noroshi.csv",
            "2026-01-01-event4_honeypot_brute_force-noroshi.csv",
        ]
    );
    let mut reader = csv::Reader::from_reader(files[2].text.as_bytes());
    let columns = reader.headers().unwrap().clone();
    let row = reader.records().next().unwrap().unwrap();
    let cell = |name: &str| &row[columns.iter().position(|c| c == name).unwrap()];
    assert_eq!((cell("src_ip"), cell("dst_ip"), cell("service")), ("192.88.99.2", "", "'=ssh"));
    assert!(files[0].text.starts_with("timestamp,protocol,dst_ip,dst_port,"));
    for file in &files {
        leaks_nothing(&file.text);
    }
}
