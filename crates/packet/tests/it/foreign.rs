//! Frames and files as other programs write them, byte by byte.

use noroshi_model::Nanos;
use noroshi_model::packet::{Has, Packet, Transport};
use noroshi_packet::capture::{CaptureError, LinkType, RawRecord, Reader, discover};
use noroshi_packet::decode::decode_frame;
use std::io::Write;

/// IPv4 and UDP, 192.0.2.1:1000 to 192.0.2.2:2000.
const DATAGRAM: [u8; 28] =
    [0x45, 0, 0, 28, 0, 1, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2, 3, 232, 7, 208, 0, 8, 0, 0];

fn decoded(link: u16, header: &[u8]) -> Packet {
    let frame = [header, &DATAGRAM].concat();
    decode_frame(&frame, Nanos(0), frame.len() as u32, LinkType(link), &mut Vec::new())
}

#[test]
fn a_datagram_is_found_behind_every_link_layer() {
    let ethernet: &[u8] = &[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0];
    let snap: &[u8] = &[0xaa, 0xaa, 3, 0, 0, 0, 8, 0];
    let wlan = [&[8u8, 0, 0, 0], &[0u8; 20][..], snap].concat();
    let after = |header: &[u8], rest: &[u8]| [header, rest].concat();
    let ppi = after(&[0, 0, 8, 0, 105, 0, 0, 0], &wlan);
    let avs = after(&[0x80, 0x21, 0x10, 1, 0, 0, 0, 8], &wlan);
    let pktap = after(&[12, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0], ethernet);
    let addresses: &[u8] = &[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
    let routed: &[u8] = &[0x10, 0x40, 2, 0, 0, 0, 0, 1, 0x82, 0, 0, 0, 0, 2, 4, 0, 0, 0];
    let plain_ring: &[u8] = &[0x10, 0x40, 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
    let cases: Vec<(u16, &str, Vec<u8>)> = vec![
        (0, "loopback with an ethertype", vec![0x0f, 0, 8, 0]),
        (0, "loopback that is PPP", vec![0xff, 3, 0, 0x21]),
        (9, "Cisco HDLC that was taken for PPP", vec![0x0f, 0, 8, 0]),
        (9, "the same, to everyone", vec![0x8f, 0, 8, 0]),
        (1, "FabricPath", [addresses, &[0x89, 3, 0x40, 0x20], ethernet].concat()),
        (1, "backbone bridge", [addresses, &[0x88, 0xe7, 0, 0, 0, 1], ethernet].concat()),
        (1, "MACsec, signed only", [addresses, &[0x88, 0xe5, 0, 28, 0, 0, 0, 1, 8, 0]].concat()),
        (1, "MACsec with channel", [addresses, &[0x88, 0xe5, 0x20, 28, 0, 0, 0, 1], &[0; 8], &[8, 0]].concat()),
        (1, "LLC with IP's own number", [addresses, &[0, 31, 6, 6, 3]].concat()),
        (1, "SNAP of IEEE 802.1H", [addresses, &[0, 36, 0xaa, 0xaa, 3, 0, 0, 0xf8, 8, 0]].concat()),
        (6, "token ring", after(plain_ring, snap)),
        (6, "token ring with a route", after(routed, snap)),
        (7, "ARCNET of RFC 1051", vec![1, 2, 0xf0]),
        (7, "ARCNET of RFC 1201", vec![1, 2, 0xd4, 0, 0, 1]),
        (7, "ARCNET, exception packet", vec![1, 2, 0xd4, 0xff, 0xff, 0xff, 0xff, 0, 0, 1]),
        (129, "ARCNET of Linux", vec![1, 2, 9, 9, 0xf0]),
        (10, "FDDI", [&[0x50], addresses, snap].concat()),
        (100, "ATM", snap.to_vec()),
        (106, "classical IP with LLC", snap.to_vec()),
        (106, "classical IP", Vec::new()),
        (107, "Frame Relay", vec![0x18, 0x41, 3, 0xcc]),
        (107, "Frame Relay with padding", vec![0x18, 0x41, 3, 0, 0xcc]),
        (107, "Frame Relay with SNAP", vec![0x18, 0x41, 3, 0, 0x80, 0, 0, 0, 8, 0]),
        (107, "Frame Relay, Cisco's way, three bytes of address", vec![0x80, 0xea, 0x9d, 8, 0]),
        (109, "enc", vec![2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        (117, "pflog", after(&[61, 2], &[0; 62])),
        (119, "Prism", after(&[0; 144], &wlan)),
        (119, "Prism that is AVS", avs.clone()),
        (163, "AVS", avs),
        (122, "IP over Fibre Channel", after(&[0; 16], snap)),
        (192, "PPI", ppi),
        (204, "PPP with direction, stripped by the reader", vec![0xff, 3, 0, 0x21]),
        (258, "PKTAP", pktap),
    ];
    for (link, name, header) in cases {
        let row = decoded(link, &header);
        assert_eq!(row.src, "192.0.2.1".parse().unwrap(), "{name}");
        assert_eq!((row.transport, row.sport, row.dport), (Transport::Udp, 1000, 2000), "{name}");
        assert!(link == 1 || LinkType(link).describe().1, "{name} counts as read");
    }
}

#[test]
fn what_carries_no_datagram_is_left_alone() {
    let cases: [(u16, &str, &[u8]); 6] = [
        (7, "a later piece of a split ARCNET packet", &[1, 2, 0xd4, 2, 0, 1]),
        (10, "an FDDI token", &[0x80, 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0xaa, 0xaa, 3, 0, 0, 0, 8, 0]),
        (107, "a Frame Relay address without end", &[0, 0, 0, 0, 8, 0]),
        (192, "a PPI header shorter than itself", &[0, 0, 4, 0, 1, 0, 0, 0]),
        (258, "a PKTAP header without end", &[0xff, 0xff, 0xff, 0xff, 1, 0, 0, 0, 1, 0, 0, 0]),
        (1, "encrypted MACsec", &[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x88, 0xe5, 0x0c, 28, 0, 0, 0, 1, 8, 0]),
    ];
    for (link, name, header) in cases {
        assert!(!decoded(link, header).has.has(Has::IP), "{name}");
    }
}

#[test]
fn a_link_layer_within_itself_ends() {
    // Each PKTAP header says that another one follows.
    let header: &[u8] = &[12, 0, 0, 0, 1, 0, 0, 0, 2, 1, 0, 0];
    let frame = header.repeat(5_000);
    let row = decode_frame(&frame, Nanos(0), frame.len() as u32, LinkType(258), &mut Vec::new());
    assert!(!row.has.has(Has::IP));
}

#[test]
fn link_types_that_are_not_read_are_named() {
    assert_eq!(LinkType(220).describe(), ("220 (USB (Linux, memory-mapped))".to_owned(), false));
    assert_eq!(LinkType(249).describe(), ("249 (USBPcap)".to_owned(), false));
    assert_eq!(LinkType(60_000).describe(), ("number 60000".to_owned(), false));
}

#[test]
fn a_hundred_extension_headers_are_walked_through() {
    let mut frame = vec![0x60, 0, 0, 0, 0, 0, 60, 64];
    frame.extend([0u8; 15].iter().chain(&[1]).chain(&[0; 15]).chain(&[2]));
    for n in 0..100 {
        frame.extend([if n == 99 { 17 } else { 60 }, 0, 1, 4, 0, 0, 0, 0]);
    }
    frame.extend([3, 232, 7, 208, 0, 8, 0, 0]);
    let length = (frame.len() - 40) as u16;
    frame[4..6].copy_from_slice(&length.to_be_bytes());
    let row = decode_frame(&frame, Nanos(0), frame.len() as u32, LinkType::RAW, &mut Vec::new());
    assert_eq!((row.transport, row.sport, row.dport), (Transport::Udp, 1000, 2000));
    assert!(row.oddities.has(noroshi_model::packet::Oddities::EXTENSION_CHAIN));
}

/// A pcap file of one version and link type; each record is its two lengths and its bytes.
fn pcap(version: (u16, u16), link: u32, records: &[(u32, u32, &[u8])]) -> Vec<u8> {
    let mut file = 0xa1b2_c3d4u32.to_le_bytes().to_vec();
    file.extend(version.0.to_le_bytes());
    file.extend(version.1.to_le_bytes());
    for word in [0, 0, 65_535, link] {
        file.extend(word.to_le_bytes());
    }
    for (first, second, bytes) in records {
        for word in [1_000, 1, *first, *second] {
            file.extend(word.to_le_bytes());
        }
        file.extend_from_slice(bytes);
    }
    file
}

fn records(file: Vec<u8>) -> (Vec<RawRecord>, Vec<String>) {
    let mut reader = Reader::new(std::io::Cursor::new(file)).unwrap();
    let mut records = Vec::new();
    while let Some(batch) = reader.next_batch() {
        records.extend(batch.records);
    }
    (records, reader.problems().iter().map(|problem| problem.code.clone()).collect())
}

#[test]
fn old_versions_write_the_original_length_first() {
    let bytes = [0u8; 20];
    let lengths = |version, record: (u32, u32)| {
        let (records, problems) = records(pcap(version, 1, &[(record.0, record.1, &bytes), (20, 20, &bytes)]));
        assert!(problems.is_empty(), "{version:?}: {problems:?}");
        records.iter().map(|record| (record.cap_len, record.wire_len)).collect::<Vec<_>>()
    };
    for minor in 0..=2 {
        assert_eq!(lengths((2, minor), (90, 20)), [(20, 90), (20, 20)]);
    }
    assert_eq!(lengths((2, 3), (90, 20)), [(20, 90), (20, 20)]);
    assert_eq!(lengths((2, 3), (20, 90)), [(20, 90), (20, 20)]);
    assert_eq!(lengths((2, 4), (20, 90)), [(20, 90), (20, 20)]);
}

#[test]
fn bytes_that_were_never_sent_do_not_count() {
    let bytes = [7u8; 30];
    for (link, pseudo) in [(123, 4), (139, 4), (144, 16), (177, 16), (201, 4), (204, 1), (245, 2), (254, 4), (1, 0)] {
        let (found, _) = records(pcap((2, 4), link, &[(30, 60, &bytes), (0, 0, &[])]));
        assert_eq!((found[0].cap_len, found[0].wire_len), (30 - pseudo, 60 - pseudo), "link type {link}");
        assert_eq!((found[1].cap_len, found[1].wire_len), (0, 0), "link type {link}");
    }
}

#[test]
fn other_compressions_are_named() {
    let starts: [(&[u8], &str); 5] = [
        (b"\xfd7zXZ\0", "xz"),
        (b"BZh91AY&SY", "bzip2"),
        (b"\x04\x22\x4d\x18", "lz4"),
        (b"PK\x03\x04", "zip"),
        (b"7z\xbc\xaf\x27\x1c", "7-Zip"),
    ];
    for (start, name) in starts {
        let file = [start, &[0; 40]].concat();
        let Err(CaptureError::Refused(problem)) = Reader::new(std::io::Cursor::new(file)) else {
            panic!("{name} was not refused");
        };
        assert!(problem.text.contains(&format!("compressed with {name},")), "{}", problem.text);
    }
}

#[test]
fn a_directory_shows_compressed_captures_of_any_name() {
    let folder = std::env::temp_dir().join(format!("noroshi-foreign-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let zipped = |name: &str, bytes: &[u8]| {
        let file = std::fs::File::create(folder.join(name)).unwrap();
        let mut encoder = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap();
    };
    zipped("trace.gz", &pcap((2, 4), 1, &[]));
    zipped("notes.gz", b"no capture at all");
    std::fs::write(folder.join("trace.zst"), zstd::encode_all(&pcap((2, 4), 1, &[])[..], 1).unwrap()).unwrap();
    let found = discover(&folder).unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    let names: Vec<_> = found.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(names, ["trace.gz", "trace.zst"]);
}
