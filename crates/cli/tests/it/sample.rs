//! Reports made by hand, for the renderers.

use noroshi_model::finding::*;
use noroshi_model::report::*;
use noroshi_model::{Addr, Nanos};
use std::collections::BTreeMap;

/// 2026-01-01T00:00:00Z.
const DAY: i64 = 1_767_225_600;

fn at(hour: f64) -> Nanos {
    Nanos::from_seconds(DAY + (hour * 3600.0) as i64)
}

fn addr(text: &str) -> Addr {
    text.parse().unwrap()
}

fn thresholds(pairs: &[(&str, f64)]) -> Thresholds {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect()
}

/// An empty report of nothing.
pub fn empty() -> Report {
    Report {
        schema: SCHEMA.to_owned(),
        generated: at(30.5),
        version: "0.1.0".to_owned(),
        capture: Capture::default(),
        monitored: vec![],
        monitored_inferred: false,
        approximate: false,
        totals: Totals::default(),
        ports: vec![],
        sources: vec![],
        scans: vec![],
        campaigns: vec![],
        attacks: vec![],
        payloads: vec![],
        brute_force: vec![],
        timeline: Timeline::default(),
        countries: BTreeMap::new(),
        oddities: BTreeMap::new(),
    }
}

/// A day of darknet traffic with something of everything.
pub fn day() -> Report {
    let mut report = empty();
    report.capture = Capture { packets: 10_000_004, files: files() };
    report.monitored = vec!["198.18.0.0/16".parse().unwrap(), "2001:db8:5::/48".parse().unwrap()];
    report.monitored_inferred = true;
    report.totals =
        Totals { sources: 759_837, destinations: 67_072, ports: 65_535, scans: 1204, campaigns: 18, attacks: 40 };
    report.ports = ports();
    report.sources = sources();
    report.scans = scans();
    report.campaigns = campaigns();
    report.attacks = attacks();
    report.payloads = payloads();
    report.brute_force = vec![BruteForce {
        source: addr("203.0.113.5"),
        victim: addr("198.18.0.22"),
        port: 22,
        service: "ssh".to_owned(),
        attempts: 1840,
        first: at(3.0),
        last: at(5.25),
        reason: "203.0.113.5 opened 1,840 connections to ssh on 198.18.0.22, each closed within two seconds."
            .to_owned(),
    }];
    report.timeline = timeline();
    report.countries = [
        ("CN", 2_900_000),
        ("US", 2_000_000),
        ("NL", 900_000),
        ("RU", 700_000),
        ("JP", 250_000),
        ("SG", 120_000),
        ("BR", 90_000),
        ("DE", 80_000),
        ("HK", 70_000),
        ("ZA", 4_000),
    ]
    .into_iter()
    .map(|(code, packets)| (code.to_owned(), packets))
    .collect();
    report.oddities = [("syn-payload", 120), ("fragment", 3480), ("tcp-flags", 17), ("bogus-source", 3)]
        .into_iter()
        .map(|(code, packets)| (code.to_owned(), packets))
        .collect();
    report
}

fn files() -> Vec<FileSummary> {
    let day = FileSummary {
        path: "day-2026-01-01.pcap.zst".to_owned(),
        format: Format::PcapNanos,
        compression: Compression::Zstd,
        packets: 10_000_000,
        bytes_on_wire: 671_000_000,
        bytes_captured: 671_000_000,
        first: Some(at(0.0)),
        last: Some(at(23.999)),
        earliest: Some(at(0.0)),
        latest: Some(at(23.999)),
        ipv4_packets: 9_990_000,
        ipv6_packets: 10_000,
        unique_sources: 759_837,
        unique_destinations: 67_072,
        transport: TransportCounts { tcp: 8_330_000, udp: 1_090_000, icmp: 575_000, icmpv6: 5_000, sctp: 0, other: 0 },
        problems: vec![],
    };
    let cut = FileSummary {
        path: "late.pcapng".to_owned(),
        format: Format::Pcapng,
        packets: 4,
        bytes_on_wire: 240,
        bytes_captured: 240,
        earliest: Some(at(12.0)),
        latest: Some(at(12.0)),
        transport: TransportCounts { tcp: 4, ..TransportCounts::default() },
        problems: vec![Problem {
            code: "truncated".to_owned(),
            offset: Some(412),
            text: "the file ends inside a record; every complete packet counts".to_owned(),
        }],
        ..FileSummary::default()
    };
    vec![day, cut]
}

fn ports() -> Vec<PortCount> {
    let port = |protocol, port, packets, sources| PortCount { protocol, port, packets, sources };
    vec![
        port(PortProtocol::Tcp, 23, 2_104_331, 120_331),
        port(PortProtocol::Tcp, 445, 980_412, 60_224),
        port(PortProtocol::Tcp, 22, 770_004, 9_120),
        port(PortProtocol::Tcp, 8080, 330_912, 7_751),
        port(PortProtocol::Udp, 53, 120_101, 1_204),
        port(PortProtocol::Udp, 11211, 5_210, 31),
        port(PortProtocol::Tcp, 40_123, 900, 12),
    ]
}

fn sources() -> Vec<SourceSummary> {
    let source = |text: &str, packets, tools: &[Tool], labels: &[Label], country: Option<&str>, asn| SourceSummary {
        address: addr(text),
        packets,
        ports: packets / 4000 + 1,
        destinations: packets / 8 + 1,
        tools: tools.to_vec(),
        labels: labels.to_vec(),
        country: country.map(str::to_owned),
        asn,
        first: Some(at(0.2)),
        last: Some(at(23.1)),
    };
    vec![
        source("192.0.2.17", 310_221, &[Tool::Zmap], &[Label::ResearchScanner], Some("US"), Some(64_496)),
        source("203.0.113.80", 120_002, &[], &[Label::Backscatter], Some("JP"), Some(64_500)),
        source("198.51.100.9", 88_110, &[Tool::Masscan, Tool::Nmap], &[], Some("NL"), None),
        source("2001:db8:77::1234:5678:9abc", 21_004, &[], &[Label::Spoofable], None, None),
        source("203.0.113.201", 9_312, &[Tool::Mirai], &[Label::Infected], Some("BR"), Some(64_511)),
    ]
}

fn scans() -> Vec<Scan> {
    let scan = |source: &str, port, kind, packets, destinations, tool, reason: &str| Scan {
        source: addr(source),
        protocol: ScanProtocol::Tcp,
        port,
        kind,
        packets,
        destinations,
        first: at(1.0),
        last: at(1.0 + packets as f64 / 50_000.0),
        tool,
        confidence: 0.97,
        thresholds: thresholds(&[("destinations_min", 64.0), ("gap_seconds_max", 3600.0)]),
        detector: "scan-horizontal/1".to_owned(),
        evidence: vec![Position { file: 0, packet: 1201 }, Position { file: 0, packet: 1310 }],
        reason: reason.to_owned(),
    };
    vec![
        scan(
            "192.0.2.17",
            Some(443),
            ScanType::Horizontal,
            310_221,
            65_536,
            Tool::Zmap,
            "192.0.2.17 probed tcp/443 on all of the monitored space once, in the manner of ZMap.",
        ),
        scan(
            "198.51.100.9",
            None,
            ScanType::Vertical,
            88_110,
            1,
            Tool::Nmap,
            "198.51.100.9 probed 1,000 ports of one host.",
        ),
        scan(
            "203.0.113.201",
            Some(23),
            ScanType::Horizontal,
            9_312,
            9_311,
            Tool::Mirai,
            "203.0.113.201 probed tcp/23 on 9,311 addresses; every sequence number equals the destination.",
        ),
    ]
}

fn campaigns() -> Vec<Campaign> {
    vec![Campaign {
        id: "c-7f3a91".to_owned(),
        ports: vec![23, 2323],
        tool: Tool::Mirai,
        sources: 41_880,
        packets: 1_900_223,
        first: at(2.0),
        last: at(20.5),
        members: (0..40).map(|i| Addr::v4(0xcb00_7100 + i)).collect(),
        confidence: 0.9,
        thresholds: thresholds(&[("sources_min", 10.0), ("similarity_min", 0.8)]),
        detector: "campaign/1".to_owned(),
        evidence: vec![Position { file: 0, packet: 88 }],
        reason:
            "41,880 sources probed ports 23 and 2323 in the ratio 9 to 1 with the mark of Mirai, within the same hours."
                .to_owned(),
    }]
}

fn attacks() -> Vec<Attack> {
    let attack =
        |kind, vector, victim: Victim, port, packets: u64, hours: (f64, f64), estimated, reason: &str| Attack {
            kind,
            vector,
            victim,
            victim_port: port,
            packets,
            bytes: packets * 60,
            sources: if kind == AttackKind::Backscatter { 1 } else { 312 },
            first: at(hours.0),
            last: at(hours.1),
            peak_pps: packets as f64 / 500.0,
            estimated_pps: estimated,
            confidence: 0.95,
            thresholds: thresholds(&[("packets_min", 25.0), ("seconds_min", 60.0), ("peak_pps_min", 0.5)]),
            detector: "backscatter/1".to_owned(),
            evidence: (0..20).map(|i| Position { file: 0, packet: 40_000 + 13 * i }).collect(),
            reason: reason.to_owned(),
        };
    vec![
        attack(
            AttackKind::Backscatter,
            Vector::TcpSyn,
            Victim::Address(addr("203.0.113.80")),
            Some(443),
            120_002,
            (9.1, 9.9),
            Some(183_000.0),
            "203.0.113.80 sent 120,002 SYN-ACK from port 443 to 41,220 addresses that never asked: somebody floods it with forged SYNs.",
        ),
        attack(
            AttackKind::Carpet,
            Vector::Dns,
            Victim::Network("192.0.2.0/24".parse().unwrap()),
            None,
            44_101,
            (14.0, 14.6),
            None,
            "DNS replies arrived at 201 of 256 addresses of 192.0.2.0/24 within ten minutes.",
        ),
        attack(
            AttackKind::Reflection,
            Vector::Memcached,
            Victim::Address(addr("2001:db8:5::7")),
            Some(41_000),
            5_210,
            (21.0, 21.02),
            None,
            "31 reflectors sent memcached replies to one address.",
        ),
    ]
}

fn payloads() -> Vec<PayloadCluster> {
    vec![PayloadCluster {
        id: "9d1f02aa".to_owned(),
        protocol: PortProtocol::Tcp,
        ports: vec![8080, 80, 81, 8081],
        packets: 4122,
        sources: 310,
        label: "HTTP command injection".to_owned(),
        sample: "POST /cgi-bin/luci;stok=/locale?form=country HTTP/1.1..Host: <a>&'\"".to_owned(),
    }]
}

fn timeline() -> Timeline {
    let wave = |height: f64, phase: f64| -> Vec<u64> {
        (0..1440).map(|minute| (height * (1.4 + (f64::from(minute) / 229.0 + phase).sin())) as u64).collect()
    };
    let mut backscatter = wave(40.0, 2.0);
    for slot in &mut backscatter[546..594] {
        *slot += 2500;
    }
    let series = [
        ("tcp-syn", wave(3600.0, 0.0)),
        ("udp", wave(520.0, 1.0)),
        ("icmp", wave(280.0, 4.0)),
        ("backscatter", backscatter),
        ("tcp-other", wave(60.0, 3.0)),
    ];
    Timeline {
        start: Some(at(0.0)),
        slot_seconds: 60,
        series: series.into_iter().map(|(name, slots)| (name.to_owned(), slots)).collect(),
    }
}

/// The same day with every text written by somebody who wants to break the page.
pub fn hostile() -> Report {
    let evil = || {
        "</code><script>alert(1)</script><img src=x onerror='a'>\"\u{1b}[31m\u{202e}\r\n=cmd|'/c calc'!A1".to_owned()
    };
    let mut report = day();
    report.version = evil();
    for file in &mut report.capture.files {
        file.path = evil();
        file.problems = vec![Problem { code: evil(), offset: None, text: evil() }];
    }
    for source in &mut report.sources {
        source.country = Some(evil());
    }
    for scan in &mut report.scans {
        (scan.detector, scan.reason) = (evil(), evil());
        scan.thresholds = thresholds(&[(&evil(), 1.0)]);
    }
    for campaign in &mut report.campaigns {
        (campaign.id, campaign.detector, campaign.reason) = (evil(), evil(), evil());
    }
    for attack in &mut report.attacks {
        (attack.detector, attack.reason) = (evil(), evil());
    }
    for cluster in &mut report.payloads {
        (cluster.id, cluster.label, cluster.sample) = (evil(), evil(), evil());
    }
    for case in &mut report.brute_force {
        (case.service, case.reason) = (evil(), evil());
    }
    report.countries.insert(evil(), 5);
    report.oddities.insert(evil(), 5);
    report.timeline.series.insert(evil(), vec![1; 1440]);
    report
}
