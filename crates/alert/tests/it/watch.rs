//! Members' hosts, from packets to findings.

use noroshi_alert::daedalus::{Outcome, Settings, Watch};
use noroshi_model::alert::Severity;
use noroshi_model::finding::{AttackKind, Tool, Victim};
use noroshi_model::infection::{Infection, InfectionClass, Phase};
use noroshi_model::member::Registry;
use noroshi_model::packet::{Has, Packet, PacketBatch, ToolBits, Transport, proto, tcp};
use noroshi_model::time::SECOND;
use noroshi_model::{Addr, Nanos};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;

fn registry() -> Arc<Registry> {
    let text = r#"
[[member]]
id = "kaede"
name = "Kaede"
prefixes = ["198.51.100.0/24"]
dark = ["198.51.100.192/26"]
scanners = ["198.51.100.7"]
contacts = [{ name = "NOC", mail = "noc@kaede.example" }]

[[member]]
id = "momiji"
name = "Momiji"
prefixes = ["203.0.113.0/24"]
contacts = [{ name = "NOC", mail = "noc@momiji.example" }]
"#;
    Arc::new(noroshi_alert::config::parse(text).unwrap().registry)
}

fn addr(text: &str) -> Addr {
    text.parse().unwrap()
}

fn syn(second: i64, src: &str, dst: &str, dport: u16) -> Packet {
    let mut has = Has::IP;
    for bit in [Has::TIME, Has::PORTS, Has::TCP] {
        has.set(bit);
    }
    Packet {
        src: addr(src),
        dst: addr(dst),
        ts: Nanos(second * SECOND),
        sport: 40_000,
        dport,
        has,
        proto: proto::TCP,
        tcp_flags: tcp::SYN,
        transport: Transport::Tcp,
        wire_len: 60,
        ..Packet::BLANK
    }
}

fn batch(rows: Vec<Packet>) -> PacketBatch {
    PacketBatch { rows, ..PacketBatch::default() }
}

fn watch() -> Watch {
    Watch::new(Settings::default(), registry(), vec!["192.0.2.0/24".parse().unwrap()])
}

fn infections(rows: Vec<Packet>) -> Vec<Infection> {
    watch().observe(&batch(rows)).infections
}

#[test]
fn three_packets_to_two_destinations_open_an_external_infection() {
    let rows = |third: &str| {
        vec![
            syn(0, "198.51.100.20", "192.0.2.1", 23),
            syn(1, "198.51.100.20", "192.0.2.1", 23),
            syn(2, "198.51.100.20", third, 23),
        ]
    };
    let found = infections(rows("192.0.2.9"));
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].class, found[0].phase), (InfectionClass::External, Phase::Opened));
    assert_eq!((found[0].severity, found[0].packets, found[0].destinations), (Severity::Low, 3, 2));
    assert_eq!(found[0].evidence.len(), 3);
    assert!(infections(rows("192.0.2.1")).is_empty(), "one destination");
    assert!(infections(rows("192.0.2.9")[..2].to_vec()).is_empty(), "two packets");
}

#[test]
fn the_window_is_ten_minutes() {
    let rows = |third: i64| {
        vec![
            syn(0, "198.51.100.20", "192.0.2.1", 23),
            syn(300, "198.51.100.20", "192.0.2.2", 23),
            syn(third, "198.51.100.20", "192.0.2.3", 23),
        ]
    };
    assert_eq!(infections(rows(600)).len(), 1);
    assert!(infections(rows(601)).is_empty());
}

#[test]
fn one_packet_with_the_mark_of_mirai_is_enough() {
    let mut packet = syn(0, "198.51.100.20", "192.0.2.1", 23);
    packet.tool_bits = ToolBits::MIRAI;
    let found = infections(vec![packet]);
    assert_eq!((found[0].tool, found[0].severity), (Tool::Mirai, Severity::Critical));
}

#[test]
fn destinations_decide_the_class() {
    let to = |a: &str, b: &str, c: &str| {
        infections(vec![
            syn(0, "198.51.100.20", a, 445),
            syn(1, "198.51.100.20", b, 445),
            syn(2, "198.51.100.20", c, 445),
        ])
    };
    let internal = to("198.51.100.200", "198.51.100.201", "198.51.100.202");
    assert_eq!(internal[0].class, InfectionClass::Internal);
    let other_member = to("203.0.113.1", "203.0.113.2", "203.0.113.3");
    assert_eq!(other_member[0].class, InfectionClass::External);
    assert!(to("198.51.100.1", "198.51.100.2", "198.51.100.3").is_empty(), "own used addresses");
    assert!(to("8.8.8.8", "8.8.4.4", "1.1.1.1").is_empty(), "not observed space");
}

#[test]
fn strangers_and_registered_scanners_are_not_followed() {
    let from = |src: &str| (0..5).map(|i| syn(i, src, &format!("192.0.2.{i}"), 22)).collect::<Vec<_>>();
    assert!(infections(from("8.8.8.8")).is_empty());
    assert!(infections(from("198.51.100.7")).is_empty());
    assert!(!infections(from("198.51.100.8")).is_empty());
}

#[test]
fn requests_in_a_members_name_make_it_no_attacker() {
    let udp = |port: u16| {
        let request = |i: i64| {
            let mut packet = syn(i, "198.51.100.20", &format!("192.0.2.{i}"), port);
            (packet.proto, packet.transport, packet.tcp_flags) = (proto::UDP, Transport::Udp, 0);
            packet
        };
        infections((0..20).map(request).collect())
    };
    assert!(udp(53).is_empty(), "most likely forged in the victim's name");
    assert!(!udp(5_555).is_empty(), "nothing there reflects");
}

#[test]
fn a_mistyped_address_is_told_apart() {
    // .200 for .20: one character too many, and always the same address.
    let found = infections((0..4).map(|i| syn(i, "198.51.100.30", "198.51.100.200", 631)).collect());
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].class, found[0].severity), (InfectionClass::Misconfiguration, Severity::Info));
}

#[test]
fn growth_is_told_when_it_doubles_and_silence_closes() {
    let rows: Vec<Packet> = (0..100).map(|i| syn(i, "198.51.100.20", &format!("192.0.2.{i}"), 23)).collect();
    let mut watch = watch();
    let found = watch.observe(&batch(rows)).infections;
    assert_eq!(found.iter().map(|i| i.packets).collect::<Vec<_>>(), [3, 6, 12, 24, 48, 96]);
    assert!(watch.advance(Nanos(86_400 * SECOND)).infections.is_empty());
    let closed = watch.advance(Nanos((86_400 + 160) * SECOND)).infections;
    assert_eq!(closed.len(), 1);
    assert_eq!((closed[0].phase, closed[0].packets), (Phase::Closed, 100));
    assert_eq!(watch.hosts(), 0);
}

#[test]
fn five_replies_in_a_minute_mean_an_attack_on_a_member() {
    let reply = |i: i64| {
        let mut packet = syn(i, "203.0.113.80", &format!("192.0.2.{i}"), 5_000);
        packet.tcp_flags = tcp::SYN | tcp::ACK;
        packet.sport = 443;
        packet
    };
    let Outcome { infections, attacks } = watch().observe(&batch((0..5).map(reply).collect()));
    assert!(infections.is_empty());
    assert_eq!(attacks.len(), 1);
    assert_eq!(attacks[0].kind, AttackKind::Backscatter);
    assert_eq!(attacks[0].victim, Victim::Address(addr("203.0.113.80")));
    assert_eq!(attacks[0].victim_port, Some(443));
    let slow = watch().observe(&batch((0..5).map(|i| reply(i * 16)).collect()));
    assert!(slow.attacks.is_empty(), "five replies in 64 seconds");
}

#[test]
fn memory_is_bounded_and_what_is_refused_is_counted() {
    let settings = Settings { hosts_max: 2, ..Settings::default() };
    let mut watch = Watch::new(settings, registry(), Vec::new());
    let rows = (0..5).map(|i| syn(0, &format!("198.51.100.{}", 20 + i), "192.0.2.1", 23)).collect();
    watch.observe(&batch(rows));
    assert_eq!((watch.hosts(), watch.refused()), (2, 3));
}

proptest! {
    #[test]
    fn cutting_the_input_and_killing_the_watch_changes_nothing(
        raw in proptest::collection::vec((0i64..400, 20u8..24, 0u8..8, 0u16..3, any::<bool>()), 1..120),
        cuts in proptest::collection::vec(1usize..10, 1..40),
    ) {
        let mut at = 0;
        let rows: Vec<Packet> = raw.iter().map(|(gap, src, dst, port, reply)| {
            at += gap;
            let mut packet = syn(at, &format!("198.51.100.{src}"), &format!("192.0.2.{dst}"), *port);
            if *reply {
                packet.tcp_flags = tcp::SYN | tcp::ACK;
            }
            packet
        }).collect();
        let mut whole = watch();
        let mut expect = whole.observe(&batch(rows.clone()));
        let rest = whole.finish();
        expect.infections.extend(rest.infections);
        expect.attacks.extend(rest.attacks);
        let (mut pieces, mut found, mut from) = (watch(), Outcome::default(), 0);
        let mut kept = BTreeMap::new();
        for cut in cuts.into_iter().chain(std::iter::repeat(7)) {
            if from >= rows.len() {
                break;
            }
            let to = (from + cut).min(rows.len());
            let part = PacketBatch { first_position: from as u64, ..batch(rows[from..to].to_vec()) };
            let outcome = pieces.observe(&part);
            found.infections.extend(outcome.infections);
            found.attacks.extend(outcome.attacks);
            from = to;
            for (key, value) in pieces.changes() {
                match value {
                    Some(value) => drop(kept.insert(key, value)),
                    None => drop(kept.remove(&key)),
                }
            }
            pieces = watch();
            pieces.restore(kept.clone()).unwrap();
        }
        let rest = pieces.finish();
        found.infections.extend(rest.infections);
        found.attacks.extend(rest.attacks);
        prop_assert_eq!(found, expect);
    }
}
