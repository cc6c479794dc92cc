//! Everyday traffic that looks like an attack or a scan at first sight, each beside its like that is one.

use noroshi_detect::engine::Findings;
use noroshi_detect::{Config, Engine};
use noroshi_model::Nanos;
use noroshi_model::packet::PacketBatch;
use noroshi_packet::capture::LinkType;
use noroshi_packet::decode::decode_frame;

/// IPv4 without options around a payload.
fn ip(protocol: u8, source: [u8; 4], destination: [u8; 4], payload: &[u8]) -> Vec<u8> {
    let total = (20 + payload.len()) as u16;
    let head = [0x45, 0, total.to_be_bytes()[0], total.to_be_bytes()[1], 0, 1, 0, 0, 64, protocol, 0, 0];
    [&head[..], &source, &destination, payload].concat()
}

fn udp(source: u16, destination: u16) -> Vec<u8> {
    [source.to_be_bytes(), destination.to_be_bytes(), [0, 12], [0, 0], [1, 2], [3, 4]].concat()
}

/// What is found in packets of raw IP, each at its second.
fn found(packets: impl Iterator<Item = (u32, Vec<u8>)>) -> Findings {
    let mut engine = Engine::new(Config { threads: 1, ..Config::default() });
    let mut batch = PacketBatch::default();
    for (second, packet) in packets {
        let ts = Nanos::from_seconds(1_700_000_000 + i64::from(second));
        let length = packet.len() as u32;
        let before = batch.rare.len() as u32;
        let mut rare = Vec::new();
        let mut row = decode_frame(&packet, ts, length, LinkType::RAW, &mut rare);
        if !rare.is_empty() {
            row.rare = before;
        }
        row.payload_cap = 0;
        batch.rare.extend(rare);
        batch.rows.push(row);
    }
    engine.observe(batch);
    engine.finish(usize::MAX)
}

const VICTIM: [u8; 4] = [192, 0, 2, 9];
const HERE: [u8; 4] = [198, 51, 100, 1];

#[test]
fn echo_replies_inside_a_tunnel_are_not_answers_of_its_end() {
    let reply = [0, 0, 0, 0, 0, 1, 0, 1];
    let plain = found((0..120).map(|second| (second, ip(1, VICTIM, HERE, &reply))));
    assert_eq!(plain.attacks.len(), 1, "outside a tunnel they are backscatter");
    let inner = ip(1, [10, 0, 0, 1], [10, 0, 0, 2], &reply);
    let mirrored = [&[0, 0, 8, 0], &inner[..]].concat();
    let tunnelled = found((0..120).map(|second| (second, ip(47, VICTIM, HERE, &mirrored))));
    assert!(tunnelled.attacks.is_empty(), "{:?}", tunnelled.attacks);
}

#[test]
fn calls_to_groups_are_no_scan() {
    let calls = |group: [u8; 3]| {
        let to = move |n: u32| [group[0], group[1], group[2], n as u8 + 1];
        found((0..40u32).map(move |n| (n / 4, ip(17, VICTIM, to(n), &udp(1985, 1985)))))
    };
    assert_eq!(calls([198, 51, 100]).scans.len(), 1, "to hosts they are one");
    assert!(calls([224, 0, 0]).scans.is_empty());
}

#[test]
fn traceroute_is_no_scan() {
    let ports =
        |from: u16| found((0..30u16).map(move |n| (u32::from(n), ip(17, VICTIM, HERE, &udp(40_000, from + n)))));
    assert_eq!(ports(20_000).scans.len(), 1, "elsewhere so many ports are a scan");
    assert!(ports(33_434).scans.is_empty());
}

/// A host's calls to some peers, each on a port of its own, of which so many of a hundred answer.
fn calls(peers: u8, answering: u8) -> impl Iterator<Item = (u32, Vec<u8>)> {
    (0..peers).flat_map(move |n| {
        let (peer, port) = ([203, 0, 113, n + 1], 20_000 + u16::from(n) * 7);
        let call = ip(17, HERE, peer, &udp(40_000, port));
        let answers = u16::from(n) * 37 % 100 < u16::from(answering);
        let reply = answers.then(|| ip(17, peer, HERE, &udp(port, 40_000)));
        [call.clone(), call].into_iter().chain(reply).map(move |packet| (u32::from(n) / 4, packet))
    })
}

/// Unanswered calls on one port.
fn search(addresses: u8) -> impl Iterator<Item = (u32, Vec<u8>)> {
    (0..addresses).map(|n| (u32::from(n) / 8, ip(17, HERE, [192, 0, 2, n + 1], &udp(40_000, 27_019))))
}

#[test]
fn a_game_that_looks_for_a_server_is_no_scan() {
    assert!(found(calls(60, 90).chain(search(9))).scans.is_empty(), "beside sixty peers who talk");
    assert_eq!(found(search(9)).scans.len(), 1, "by itself");
    assert_eq!(found(calls(60, 20).chain(search(9))).scans.len(), 1, "beside peers who do not talk");
    assert_eq!(found(calls(200, 90).chain(search(90))).scans.len(), 1, "over many addresses");
}

#[test]
fn a_swarm_is_no_scan_of_many_ports() {
    assert!(found(calls(30, 40)).scans.is_empty(), "some peers answer");
    assert_eq!(found(calls(30, 0)).scans.len(), 1, "none answers");
}
