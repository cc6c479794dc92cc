//! Determinism, exact counts, order of time, where packets go and come from.

use crate::bytes::{Seen, read_all};
use noroshi_model::Addr;
use noroshi_model::finding::{AttackKind, Victim};
use noroshi_simulate::scenario::BUILTIN;
use noroshi_simulate::truth::{Attack, Sent};
use noroshi_simulate::{Scenario, World, mix2};
use std::collections::{HashMap, HashSet};

fn hash_of(scenario: &str, seed: u64, packets: u64) -> (u64, u64) {
    let world = World::new(&Scenario::load(scenario).unwrap(), seed, packets);
    let (mut hash, mut count) = (0, 0);
    world.for_each(|time, frame| {
        hash = mix2(hash, time.0 as u64);
        for chunk in frame.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            hash = mix2(hash, u64::from_le_bytes(word));
        }
        count += 1;
    });
    (hash, count)
}

#[test]
fn the_same_arguments_give_the_same_bytes() {
    for (name, _) in BUILTIN {
        let first = hash_of(name, 7, 20_000);
        assert_eq!(first, hash_of(name, 7, 20_000), "{name}");
        assert_ne!(first.0, hash_of(name, 8, 20_000).0, "{name}: seed does nothing");
    }
}

#[test]
fn the_number_of_packets_is_exact() {
    for (name, _) in BUILTIN {
        for packets in [0, 1, 10, 1000, 30_000] {
            assert_eq!(hash_of(name, 1, packets).1, packets, "{name} with {packets}");
        }
    }
}

#[test]
fn times_and_addresses_are_in_order() {
    for (name, _) in BUILTIN {
        let scenario = Scenario::load(name).unwrap();
        let world = World::new(&scenario, 3, 30_000);
        let truth = world.truth();
        let mut before = truth.start;
        for packet in read_all(&world) {
            assert!(before <= packet.time && packet.time < truth.end, "{name}: {:?} after {before:?}", packet.time);
            before = packet.time;
            assert!(scenario.is_monitored(packet.dst), "{name}: {} is not monitored", packet.dst);
            assert!(!scenario.is_monitored(packet.src), "{name}: {} is monitored", packet.src);
            assert!(packet.ttl > 0 && packet.ttl < 255);
        }
    }
}

/// Whether a packet belongs to an attack, judged by the packet alone.
fn belongs(attack: &Attack, packet: &Seen, victims: &HashSet<Addr>) -> bool {
    let asked = packet.proto == 17 && attack.reflectors.is_some();
    let reply = packet.proto != 17 && attack.reflectors.is_none();
    let quoted = |packet: &Seen| {
        // Destination of the quoted IPv4 or IPv6 header.
        let quote = &packet.payload;
        match (packet.proto, packet.sport) {
            (1, 3) => Some(Addr::v4(u32::from_be_bytes(quote[16..20].try_into().unwrap()))),
            (58, 1) => Some(Addr::from_bytes(quote[24..40].try_into().unwrap())),
            _ => None,
        }
    };
    let victim = quoted(packet).unwrap_or(packet.src);
    victims.contains(&victim) && (reply || (asked && packet.dport == port_of(attack)))
}

fn port_of(attack: &Attack) -> u16 {
    use noroshi_model::finding::Vector::*;
    match attack.vector {
        Dns => 53,
        Ntp => 123,
        Ssdp => 1900,
        Cldap => 389,
        Memcached => 11_211,
        Snmp => 161,
        WsDiscovery => 3702,
        Coap => 5683,
        other => panic!("{other} is not in these scenarios"),
    }
}

fn check_sent(what: &str, sent: &Sent, found: &[&Seen]) {
    assert_eq!(sent.packets, found.len() as u64, "{what}: packets");
    assert_eq!(sent.start, found[0].time, "{what}: start");
    assert_eq!(sent.end, found[found.len() - 1].time, "{what}: end");
    let most = |nanos: i64| {
        let mut counts: HashMap<i64, u64> = HashMap::new();
        found.iter().for_each(|packet| *counts.entry(packet.time.0 / nanos).or_default() += 1);
        counts.into_values().max().unwrap()
    };
    assert_eq!(sent.peak_second_packets, most(1_000_000_000), "{what}: peak of a second");
    assert_eq!(sent.peak_minute_packets, most(60_000_000_000), "{what}: peak of a minute");
}

#[test]
fn planted_attacks_are_in_the_packets_exactly() {
    for name in ["precursors", "carpet-bombing", "backscatter-week", "ipv6-darknet"] {
        let world = World::new(&Scenario::load(name).unwrap(), 5, 60_000);
        let (truth, all) = (world.truth(), read_all(&world));
        assert!(truth.attacks.len() > 10, "{name}");
        let mut sweeps = 0;
        for attack in &truth.attacks {
            let victims: HashSet<Addr> = match attack.victim {
                Victim::Address(addr) => [addr].into(),
                Victim::Network(_) => attack.victims.iter().copied().collect(),
            };
            let tests = truth.precursors.iter().filter(|test| test.attack == attack.id);
            let times: Vec<_> = tests.map(|test| (test.sent.start, test.sent.end)).collect();
            let found: Vec<&Seen> = all
                .iter()
                .filter(|packet| belongs(attack, packet, &victims))
                .filter(|packet| !times.iter().any(|(start, end)| (*start..=*end).contains(&packet.time)))
                .collect();
            check_sent(&format!("{name} {}", attack.id), &attack.sent, &found);
            if attack.kind == AttackKind::Carpet {
                let hit: HashSet<Addr> = found.iter().map(|packet| packet.src).collect();
                assert_eq!(hit, victims, "{name} {}", attack.id);
                let prefix = match attack.victim {
                    Victim::Network(prefix) => prefix,
                    Victim::Address(addr) => panic!("a carpet on {addr}"),
                };
                assert!(hit.iter().all(|victim| prefix.contains(*victim)));
                // A sweep goes down once a pass; at random every second step goes down.
                let down = found.windows(2).filter(|pair| pair[1].src < pair[0].src).count();
                let passes = found.len().div_ceil(5 * attack.victims.len());
                sweeps += usize::from(down < passes);
            }
        }
        assert_eq!(sweeps, if name == "carpet-bombing" { 6 } else { 0 }, "{name}");
    }
}

#[test]
fn tests_come_before_their_attacks_and_decoys_do_not() {
    let world = World::new(&Scenario::load("precursors").unwrap(), 2, 200_000);
    let truth = world.truth();
    let share = truth.precursors.len() as f64 / truth.attacks.len() as f64;
    assert!((0.55..0.95).contains(&share), "{share}");
    let mut victims = HashSet::new();
    for test in &truth.precursors {
        let attack = truth.attacks.iter().find(|attack| attack.id == test.attack).unwrap();
        assert_eq!((test.victim, test.vector), (attack.victim, attack.vector));
        assert!(test.lead_seconds >= 240.0 && test.sent.packets <= 14, "{test:?}");
        assert!(attack.sent.packets >= 100, "{attack:?}");
        assert!(attack.sent.peak_minute_packets >= 10 * test.sent.peak_minute_packets, "{attack:?} after {test:?}");
    }
    truth.attacks.iter().for_each(|attack| assert!(victims.insert(attack.victim), "{:?} twice", attack.victim));
    assert_eq!(truth.decoys.len(), 56);
    truth.decoys.iter().for_each(|decoy| assert!(victims.insert(decoy.victim), "{:?} twice", decoy.victim));
}

#[test]
fn scanners_are_in_the_packets_exactly() {
    for name in ["darknet-day", "nmap-lab", "synchronised-botnets", "ipv6-darknet"] {
        let world = World::new(&Scenario::load(name).unwrap(), 9, 80_000);
        let truth = world.truth();
        let mut by_source: HashMap<Addr, Vec<Seen>> = HashMap::new();
        for packet in read_all(&world) {
            by_source.entry(packet.src).or_default().push(packet);
        }
        let of = |members: &[Addr]| {
            let mut found: Vec<&Seen> = members.iter().flat_map(|member| &by_source[member]).collect();
            found.sort_by_key(|packet| packet.time);
            found
        };
        for campaign in &truth.campaigns {
            let found = of(&campaign.members);
            check_sent(&format!("{name} {}", campaign.id), &campaign.sent, &found);
            assert!(found.iter().all(|packet| packet.flags == 2 && campaign.ports.contains(&packet.dport)));
        }
        for group in &truth.groups {
            let found = of(&group.members);
            check_sent(&format!("{name} {}", group.id), &group.sent, &found);
            let inside = |time| group.bursts.iter().any(|burst| burst.start <= time && time < burst.end);
            assert!(found.iter().all(|packet| inside(packet.time)));
        }
        for scan in &truth.scans {
            let found = of(&[scan.source]);
            check_sent(&format!("{name} {}", scan.id), &scan.sent, &found);
            let ports: HashSet<u16> = found.iter().map(|packet| packet.dport).collect();
            let targets: HashSet<Addr> = found.iter().map(|packet| packet.dst).collect();
            match scan.shape.as_str() {
                "vertical" => {
                    assert_eq!(targets, scan.target.into_iter().collect());
                    assert!(
                        ports.len() as u64 <= scan.ports_count
                            && ports.len() * 4 > (scan.ports_count as usize).min(found.len()) * 3
                    );
                }
                "horizontal" => assert_eq!(ports, scan.ports.iter().copied().collect()),
                _ => assert!(ports.len() > 1 && targets.len() > 1, "{scan:?}"),
            }
        }
        for research in &truth.research {
            check_sent(&format!("{name} {}", research.id), &research.sent, &of(&research.sources));
            assert!(research.sources.iter().all(|source| research.network.contains(*source)));
        }
        for sweep in &truth.sweeps {
            check_sent(&format!("{name} {}", sweep.id), &sweep.sent, &of(&[sweep.source]));
        }
    }
}

#[test]
fn members_hosts_do_what_the_truth_says() {
    let world = World::new(&Scenario::load("member-attacks").unwrap(), 1, 30_000);
    let (truth, all) = (world.truth(), read_all(&world));
    let home = |name: &str| truth.members.iter().find(|member| member.name == name).unwrap().prefix;
    let [infection] = truth.infections.as_slice() else { panic!("{:?}", truth.infections) };
    assert!(home(&infection.member).contains(infection.host));
    let found: Vec<&Seen> = all.iter().filter(|packet| packet.src == infection.host).collect();
    check_sent("infection", &infection.sent, &found);
    assert!(found.iter().all(|packet| packet.seq == packet.dst.0 as u32));
    let members: Vec<_> = truth.attacks.iter().map(|attack| attack.member.as_deref().unwrap()).collect();
    assert_eq!(members, ["Example Shop", "Example City"]);
    for attack in &truth.attacks {
        let Victim::Address(victim) = attack.victim else { panic!() };
        assert!(home(attack.member.as_deref().unwrap()).contains(victim));
    }
    assert_eq!(truth.precursors.len(), 1);
}

#[test]
fn nothing_is_planted_in_a_quiet_day() {
    let truth = World::new(&Scenario::load("quiet").unwrap(), 1, 50_000).truth();
    let planted = truth.attacks.len() + truth.campaigns.len() + truth.groups.len() + truth.scans.len();
    assert_eq!(planted + truth.decoys.len() + truth.precursors.len() + truth.sweeps.len(), 0);
}

#[test]
fn files_hold_what_the_world_holds() {
    let world = World::new(&Scenario::load("darknet-day").unwrap(), 4, 20_000);
    let directory = tempfile::tempdir().unwrap();
    let mut heard = Vec::new();
    let written = noroshi_simulate::write_day(&world, directory.path(), &mut |packets| heard.push(packets)).unwrap();
    assert_eq!((written.packets, heard.last()), (20_000, Some(&20_000)));
    let pcap = std::fs::read(&written.capture).unwrap();
    assert_eq!(pcap.len() as u64, written.capture_bytes);
    assert_eq!(pcap[..4], [0xd4, 0xc3, 0xb2, 0xa1]);
    let (mut at, mut frames) = (24, Vec::new());
    let word = |at: usize| u32::from_le_bytes(pcap[at..at + 4].try_into().unwrap());
    while at < pcap.len() {
        assert_eq!(word(at + 8), word(at + 12));
        let time = noroshi_model::Nanos::from_parts(word(at).into(), i64::from(word(at + 4)) * 1000);
        let length = word(at + 8) as usize;
        frames.push((time, pcap[at + 16..at + 16 + length].to_vec()));
        at += 16 + length;
    }
    let mut expected = frames.iter();
    world.for_each(|time, frame| assert_eq!(expected.next(), Some(&(time, frame.to_vec()))));
    let truth: noroshi_simulate::Truth = serde_json::from_slice(&std::fs::read(&written.truth_file).unwrap()).unwrap();
    assert_eq!(truth.schema, "noroshi.truth/1");
    assert_eq!(serde_json::to_string(&truth).unwrap(), serde_json::to_string(&written.truth).unwrap());
    check_sources(&std::fs::read_to_string(&written.sources_file).unwrap(), &read_all(&world));
}

/// Every SYN is in exactly one line of `sources.csv`.
fn check_sources(csv: &str, all: &[Seen]) {
    let mut lines = csv.lines();
    assert_eq!(lines.next(), Some("address,tool,planted,syn_packets,variant"));
    let mut listed: HashMap<Addr, u64> = HashMap::new();
    for line in lines {
        let columns: Vec<&str> = line.split(',').collect();
        *listed.entry(columns[0].parse().unwrap()).or_default() += columns[3].parse::<u64>().unwrap();
    }
    let mut counted: HashMap<Addr, u64> = HashMap::new();
    all.iter().filter(|packet| packet.flags == 2).for_each(|packet| *counted.entry(packet.src).or_default() += 1);
    assert_eq!(listed, counted);
}

#[test]
fn a_directory_that_cannot_be_made_is_an_error_with_its_path() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let world = World::new(&Scenario::load("quiet").unwrap(), 1, 10);
    let refused = noroshi_simulate::write_day(&world, &file.path().join("inside"), &mut |_| {}).unwrap_err();
    assert!(refused.to_string().contains("inside"), "{refused}");
}
