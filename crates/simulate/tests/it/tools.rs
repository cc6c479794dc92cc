//! The marks of each tool, as far as they are published, on every packet.

use crate::bytes::{Seen, option_letters, read, read_all};
use noroshi_model::Addr;
use noroshi_simulate::{Scenario, SourceTruth, Variant, World};
use std::collections::{HashMap, HashSet};

/// SYN packets by source with the truth about each.
fn by_source(scenario: &str, packets: u64) -> Vec<(SourceTruth, Vec<Seen>)> {
    let world = World::new(&Scenario::load(scenario).unwrap(), 11, packets);
    let mut walk = world.packets();
    let mut seen: HashMap<Addr, Vec<Seen>> = HashMap::new();
    while let Some((time, frame)) = walk.next_packet() {
        let packet = read(time, frame);
        if packet.flags == 2 {
            seen.entry(packet.src).or_default().push(packet);
        }
    }
    let mut truth: Vec<SourceTruth> = walk.sources().collect();
    let mut lines: HashMap<Addr, usize> = HashMap::new();
    truth.iter().for_each(|source| *lines.entry(source.address).or_default() += 1);
    truth.retain(|source| lines[&source.address] == 1);
    truth.into_iter().map(|source| (seen.remove(&source.address).unwrap(), source)).map(|(s, t)| (t, s)).collect()
}

fn constant<T: PartialEq>(packets: &[Seen], of: impl Fn(&Seen) -> T) -> bool {
    packets.iter().all(|packet| of(packet) == of(&packets[0]))
}

fn check_source(variant: Variant, packets: &[Seen]) {
    let all = |test: &dyn Fn(&Seen) -> bool| packets.iter().all(test);
    let letters = |packet: &Seen| option_letters(&packet.options);
    let mss = |packet: &Seen| packet.options.len() == 4 && packet.options[2..] == [5, 0xb4];
    assert!(constant(packets, |packet| packet.ttl), "one host, one distance");
    let ok = match variant {
        Variant::Mirai => {
            all(&|p| p.seq == p.dst.0 as u32 && p.options.is_empty() && p.ttl < 64)
                && constant(packets, |packet| packet.window)
        }
        Variant::ZmapOld => {
            all(&|p| p.ip_id == 54_321 && p.window == 65_535 && p.ttl > 200 && (32_768..=61_000).contains(&p.sport))
        }
        Variant::Zmap => {
            all(&|p| p.window == 65_535 && p.ttl > 200 && (32_768..=61_000).contains(&p.sport))
                && all(&|p| letters(p) == "MNWNNS" && p.options.len() == 12)
        }
        Variant::Masscan | Variant::MasscanOld => {
            let id = |p: &Seen| (p.dst.0 as u32 ^ u32::from(p.dport) ^ p.seq) as u16;
            all(&|p| p.ip_id == id(p) && p.window == 1024 && p.ttl > 200)
                && all(&|p| if variant == Variant::Masscan { mss(p) } else { p.options.is_empty() })
        }
        Variant::Nmap => all(&|p| p.window == 1024 && mss(p) && p.ttl < 60),
        Variant::NmapHalves => {
            let halves = |a: &Seen, b: &Seen| ((a.seq ^ b.seq) >> 16) as u16 == (a.seq ^ b.seq) as u16;
            all(&|p| p.window == 1024 && mss(p) && p.ttl < 60 && halves(p, &packets[0]))
        }
        Variant::Unicornscan => {
            constant(packets, |p| p.seq ^ p.src.0 as u32 ^ (u32::from(p.sport) << 16 | u32::from(p.dport)))
        }
        Variant::Linux => all(&|p| letters(p) == "MSTNW" && p.ttl < 64),
        Variant::Windows => all(&|p| letters(p) == "MNWNNS" && (64..128).contains(&p.ttl) && p.window != 65_535),
        Variant::Raw => all(&|p| p.window != 1024 && p.window != 65_535),
    };
    assert!(ok, "{variant:?}: {:?}", packets[0]);
}

#[test]
fn every_packet_carries_its_tools_marks() {
    let mut met: HashMap<Variant, usize> = HashMap::new();
    for scenario in ["zmap-masscan-today", "darknet-day", "unicornscan", "nmap-lab", "mirai-family"] {
        for (source, packets) in by_source(scenario, 60_000) {
            assert_eq!(source.syn_packets, packets.len() as u64);
            check_source(source.variant, &packets);
            *met.entry(source.variant).or_default() += 1;
        }
    }
    assert_eq!(met.len(), 11, "{met:?}");
    assert!(met.values().all(|sources| *sources >= 10), "{met:?}");
}

#[test]
fn todays_zmap_and_masscan_repeat_themselves_and_hide_their_old_marks() {
    let (mut pairs, mut zmap_ids) = (0, HashSet::new());
    for (source, packets) in by_source("zmap-masscan-today", 200_000) {
        if !matches!(source.variant, Variant::Zmap | Variant::Masscan) {
            continue;
        }
        let mut first: HashMap<(Addr, u16), (u32, u16, u16)> = HashMap::new();
        for packet in &packets {
            let made = (packet.seq, packet.ip_id, packet.sport);
            let known = *first.entry((packet.dst, packet.dport)).or_insert(made);
            pairs += usize::from(known == made && first.len() < packets.len());
            assert_eq!(known, made, "{:?} to {}", source.variant, packet.dst);
            if source.variant == Variant::Zmap {
                zmap_ids.insert(packet.ip_id);
            }
        }
    }
    assert!(pairs > 1000, "{pairs} repetitions");
    assert!(zmap_ids.len() > 20_000, "{} identifications", zmap_ids.len());
}

#[test]
fn nmap_draws_anew() {
    let numbers = |variant: Variant| {
        let sources = by_source("nmap-lab", 60_000);
        let scans = sources.into_iter().filter(|(source, packets)| source.variant == variant && packets.len() > 100);
        scans.map(|(_, p)| (p.iter().map(|p| p.seq).collect::<HashSet<_>>().len(), p.len())).collect::<Vec<_>>()
    };
    assert!(numbers(Variant::Nmap).iter().all(|(distinct, packets)| distinct * 100 > packets * 99));
    assert!(numbers(Variant::NmapHalves).iter().all(|(distinct, _)| *distinct <= 2));
}

#[test]
fn requests_are_what_their_services_expect() {
    let world = World::new(&Scenario::load("amplification").unwrap(), 1, 100_000);
    let mut first: HashMap<u16, Vec<u8>> = HashMap::new();
    let sources: HashSet<Addr> = world.truth().sweeps.iter().map(|sweep| sweep.source).collect();
    for packet in read_all(&world).into_iter().filter(|packet| packet.proto == 17) {
        if sources.contains(&packet.src) || !first.contains_key(&packet.dport) {
            first.insert(packet.dport, packet.payload);
        }
    }
    let has = |port: u16, part: &[u8]| {
        let payload = &first[&port];
        assert!(payload.windows(part.len()).any(|window| window == part), "{port}: {payload:02x?}");
    };
    has(53, b"\x07example\x00\x00\xff\x00\x01"); // ANY, class IN
    has(123, &[0x17, 0, 3, 0x2a]);
    has(1900, b"M-SEARCH * HTTP/1.1\r\n");
    has(389, b"objectClass");
    has(11_211, &[0, 0, 0, 0, 0, 1, 0, 0]);
    has(161, b"public\xa5");
    has(5683, b".well-known\x04core");
    has(3702, b"discovery/Probe");
    has(137, b"CKAAAA");
    has(111, &[0, 1, 0x86, 0xa0, 0, 0, 0, 2, 0, 0, 0, 4]);
    // Definite lengths of the two BER requests fit their bytes.
    assert_eq!(first[&389].len(), 2 + first[&389][1] as usize);
    assert_eq!(first[&161].len(), 2 + first[&161][1] as usize);
}
