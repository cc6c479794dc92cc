//! Who behaves as research scanners do is called one; who only shares a trait with them is not.

use noroshi_detect::Config;
use noroshi_detect::engine::Findings;
use noroshi_model::finding::Label;
use std::io::Write;
use std::path::Path;

/// 198.18.0.0/20
const DARKNET: u32 = 0xc612_0000;
const ADDRESSES: u32 = 4096;

/// One SYN of a capture in raw IP.
fn syn(source: u32, destination: u32, port: u16, seq: u32) -> Vec<u8> {
    let mut packet = vec![0x45, 0, 0, 40, 0x12, 0x34, 0, 0, 64, 6, 0, 0];
    packet.extend_from_slice(&source.to_be_bytes());
    packet.extend_from_slice(&destination.to_be_bytes());
    packet.extend_from_slice(&40_000u16.to_be_bytes());
    packet.extend_from_slice(&port.to_be_bytes());
    packet.extend_from_slice(&seq.to_be_bytes());
    packet.extend_from_slice(&[0, 0, 0, 0, 0x50, 0x02, 0xff, 0xff, 0, 0, 0, 0]);
    packet
}

fn write(path: &Path, packets: impl Iterator<Item = (u32, Vec<u8>)>) {
    let mut out = std::io::BufWriter::new(std::fs::File::create(path).expect("a file"));
    let mut words = |words: &[u32]| words.iter().try_for_each(|word| out.write_all(&word.to_le_bytes())).expect("room");
    words(&[0xa1b2_c3d4, 0x0004_0002, 0, 0, 65_535, 101]);
    for (second, packet) in packets {
        let length = packet.len() as u32;
        for word in [1_700_000_000 + second, 0, length, length] {
            out.write_all(&word.to_le_bytes()).expect("room");
        }
        out.write_all(&packet).expect("room");
    }
}

/// The port and the mark (0: Mirai's) of a source's probe by its number.
type Probe = fn(u32) -> (u16, u32);

/// Each source goes through the whole space once, in an order of its own.
fn day(path: &Path, sources: &[(u32, Probe)]) -> Findings {
    let packets = (0..ADDRESSES).flat_map(|n| {
        sources.iter().map(move |(source, probe)| {
            let destination = DARKNET + (n.wrapping_mul(2_654_435_761) % ADDRESSES);
            let (port, mark) = probe(n);
            let seq = if mark == 0 { destination } else { n.wrapping_mul(mark) };
            (n / 4, syn(*source, destination, port, seq))
        })
    });
    write(path, packets);
    let monitored = vec!["198.18.0.0/20".parse().expect("a prefix")];
    crate::findings_with(path, Config { monitored, ..Config::default() })
}

#[test]
fn many_ports_over_the_whole_space_without_marks_of_malware_is_research() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    const RANDOM: u32 = 2_246_822_519;
    let found = day(
        &folder.path().join("day.pcap"),
        &[
            (0x0b00_0001, |n| (1000 + (n % 40) as u16, RANDOM)), // a survey
            (0x0b00_0002, |n| (1000 + (n % 29) as u16, RANDOM)), // one port too few
            (0x0b00_0003, |_| (23, RANDOM)),                     // one port
            (0x0b00_0004, |n| (1000 + (n % 40) as u16, 0)),      // the mark of Mirai: sequence number is destination
        ],
    );
    let research: Vec<String> = found
        .sources
        .iter()
        .filter(|source| source.labels.contains(&Label::ResearchScanner))
        .map(|source| source.address.to_string())
        .collect();
    assert_eq!(found.sources.len(), 4);
    assert_eq!(research, ["11.0.0.1"]);
}
