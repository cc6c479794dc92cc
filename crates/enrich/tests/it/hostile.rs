//! Bytes of any kind into every loader: an answer or a refusal, never a panic, and no more entries than allowed.

use noroshi_enrich::load::{self, Limits};
use proptest::prelude::*;

use crate::{files, shared};

const LIMITS: Limits = Limits { bytes_max: 1 << 20, entries_max: 10_000, line_bytes_max: 4096 };

fn every_loader(bytes: &[u8]) {
    _ = noroshi_enrich::table::Table::from_bytes(bytes);
    _ = load::read(bytes, "x", &LIMITS);
    _ = load::mmdb(bytes, "x", &LIMITS);
    _ = load::mrt(bytes, "x", &LIMITS);
    _ = load::csv(bytes, "x", &LIMITS);
    _ = load::delegated(bytes, "x", &LIMITS);
    _ = load::warninglist(bytes, "x", &LIMITS);
    _ = load::ipset(bytes, "x", &LIMITS);
    _ = load::maltrail(bytes, "x", &LIMITS);
    _ = load::address_list(bytes, "x", &LIMITS);
}

/// Words that the formats are made of, so that random text reaches beyond the first test.
fn words() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "192.0.2.1",
        "10.0.0.0/8",
        "2001:db8::/32",
        "::/0",
        "0.0.0.0/0",
        "255.255.255.255",
        "\t",
        ",",
        "|",
        "\n",
        "\n",
        " ",
        "-",
        "#",
        "\"",
        "add ",
        "create ",
        "2|apnic|1|2|3|20260101|",
        "ipv4",
        "ipv6",
        "allocated",
        "AS1",
        "JP",
        "4294967295",
        "24",
        "129",
        "network",
        "asn",
        "{\"name\":\"\",\"type\":\"cidr\",\"version\":1,\"description\":\"\",\"list\":[",
        "]}",
        "_",
        "é",
        "\u{0}",
        "apnic",
    ]);
    prop::collection::vec(word, 0..60).prop_map(|words| words.concat())
}

proptest! {
    #[test]
    fn random_bytes(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        every_loader(&bytes);
    }

    #[test]
    fn random_words(text in words()) {
        every_loader(text.as_bytes());
    }

    #[test]
    fn random_records(kind in 11u16..18, subtype in 0u16..14, body in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut bytes = vec![0, 0, 0, 1];
        bytes.extend(kind.to_be_bytes());
        bytes.extend(subtype.to_be_bytes());
        bytes.extend((body.len() as u32).to_be_bytes());
        bytes.extend(body);
        every_loader(&bytes);
    }
}

/// Each test database with bytes changed in its tree, its data and its metadata.
#[test]
fn damaged_databases() {
    let Some(dir) = shared("geo/maxmind-tests") else { return };
    let mut tried = 0;
    for path in files(&dir).into_iter().filter(|path| path.extension().is_some_and(|ext| ext == "mmdb")) {
        let bytes = std::fs::read(&path).unwrap();
        for part in 0..24 {
            let mut damaged = bytes.clone();
            let at = damaged.len() * part / 24;
            for (i, byte) in damaged[at..].iter_mut().take(3).enumerate() {
                *byte = byte.wrapping_mul(167).wrapping_add((part * 31 + i) as u8);
            }
            _ = load::mmdb(&damaged, "x", &LIMITS);
            _ = load::mmdb(&damaged[..damaged.len() - at], "x", &LIMITS);
            tried += 1;
        }
    }
    assert!(tried > 1000, "{tried}");
}

/// A few hundred bytes that describe 2^128 networks: both branches of node n lead to node n + 1.
#[test]
fn a_folded_tree_is_refused_at_once() {
    let nodes: u32 = 128;
    let mut bytes = Vec::new();
    for node in 0..nodes {
        // The last node leads to "no data" on both sides.
        let next = node + 1;
        bytes.extend(&next.to_be_bytes()[1..]);
        bytes.extend(&next.to_be_bytes()[1..]);
    }
    bytes.extend([0u8; 16]);
    bytes.extend([0xe0]); // one empty map as data
    bytes.extend(b"\xab\xcd\xefMaxMind.com");
    let text = |text: &str| [&[0x40 | text.len() as u8], text.as_bytes()].concat();
    bytes.push(0xe9);
    for (key, value) in [
        ("binary_format_major_version", vec![0xa1, 2]),
        ("binary_format_minor_version", vec![0xa0]),
        ("build_epoch", vec![0x01, 0x02, 1]),
        ("database_type", text("x")),
        ("description", vec![0xe0]),
        ("ip_version", vec![0xa1, 6]),
        ("languages", vec![0x00, 0x04]),
        ("node_count", vec![0xc1, nodes as u8]),
        ("record_size", vec![0xa1, 24]),
    ] {
        bytes.extend(text(key));
        bytes.extend(value);
    }
    let error = load::mmdb(&bytes, "x", &LIMITS).unwrap_err();
    assert!(error.to_string().contains("reached twice"), "{error}");
}
