//! MRT RIB dumps, built here byte by byte after RFC 6396 and RFC 4271, so that writer and reader share no code.

use noroshi_enrich::LoadError;
use noroshi_enrich::load::{Format, Limits, Parsed, detect, read};
use noroshi_model::Addr;

const TIME: u32 = 1_767_225_600; // 2026-01-01

fn record(kind: u16, subtype: u16, body: &[u8]) -> Vec<u8> {
    let mut out = TIME.to_be_bytes().to_vec();
    out.extend(kind.to_be_bytes());
    out.extend(subtype.to_be_bytes());
    out.extend((body.len() as u32).to_be_bytes());
    out.extend(body);
    out
}

/// PEER_INDEX_TABLE with so many IPv4 peers (section 4.3.1).
fn peers(count: u16) -> Vec<u8> {
    let mut body = vec![192, 0, 2, 250, 0, 0];
    body.extend(count.to_be_bytes());
    for peer in 0..count {
        body.push(2); // IPv4, four-byte AS number
        body.extend([198, 51, 100, peer as u8, 203, 0, 113, peer as u8]);
        body.extend(u32::from(64_500 + peer).to_be_bytes());
    }
    record(13, 1, &body)
}

/// ORIGIN, AS_PATH of one sequence (or a set at its end), NEXT_HOP.
fn attributes(path: &[u32], set: &[u32]) -> Vec<u8> {
    let mut segments = Vec::new();
    for (kind, list) in [(2u8, path), (1u8, set)] {
        if !list.is_empty() {
            segments.extend([kind, list.len() as u8]);
            list.iter().for_each(|asn| segments.extend(asn.to_be_bytes()));
        }
    }
    let mut out = vec![0x40, 1, 1, 0, 0x40, 2, segments.len() as u8];
    out.extend(segments);
    out.extend([0x40, 3, 4, 192, 0, 2, 1]);
    out
}

/// RIB_IPV4_UNICAST or RIB_IPV6_UNICAST (section 4.3.2), one entry for each attribute block.
fn rib(subtype: u16, length: u8, prefix: &[u8], entries: &[Vec<u8>]) -> Vec<u8> {
    let mut body = vec![0, 0, 0, 1, length];
    body.extend(&prefix[..usize::from(length).div_ceil(8)]);
    body.extend((entries.len() as u16).to_be_bytes());
    for (peer, attributes) in entries.iter().enumerate() {
        body.extend((peer as u16).to_be_bytes());
        body.extend(TIME.to_be_bytes());
        body.extend((attributes.len() as u16).to_be_bytes());
        body.extend(attributes);
    }
    record(13, subtype, &body)
}

fn dump() -> Vec<u8> {
    let one = |path: &[u32]| attributes(path, &[]);
    let mut out = peers(3);
    out.extend(rib(2, 8, &[11], &[one(&[64500, 3])]));
    out.extend(rib(
        2,
        24,
        &[11, 1, 2],
        &[one(&[64500, 7]), one(&[64501, 4_200_000_001]), one(&[64502, 5, 4_200_000_001])],
    ));
    out.extend(rib(2, 25, &[11, 1, 2, 128], &[attributes(&[64500], &[9, 8])]));
    out.extend(rib(2, 0, &[], &[one(&[64500, 1])]));
    out.extend(rib(4, 32, &[0x2a, 0, 0x10, 0], &[one(&[64501, 64999])]));
    out
}

fn load(bytes: &[u8]) -> Result<Parsed, LoadError> {
    read(bytes, "rib.20260101.0000", &Limits::default())
}

fn asn(parsed: &Parsed, addr: &str) -> Option<(u32, String)> {
    let hit = parsed.table.find(addr.parse::<Addr>().unwrap())?;
    Some((hit.asn?, hit.prefix?.to_string()))
}

#[test]
fn origins_by_majority_and_longest_prefix() {
    let bytes = dump();
    assert_eq!(detect(&bytes), Ok(Format::Mrt));
    let parsed = load(&bytes).unwrap();
    let found = |addr: &str| asn(&parsed, addr);
    assert_eq!(found("11.9.9.9"), Some((3, "11.0.0.0/8".to_owned())));
    assert_eq!(found("11.1.2.5"), Some((4_200_000_001, "11.1.2.0/24".to_owned())));
    assert_eq!(found("11.1.2.200"), Some((8, "11.1.2.128/25".to_owned())));
    assert_eq!(found("2a00:1000::1"), Some((64999, "2a00:1000::/32".to_owned())));
    assert_eq!(found("12.0.0.1"), None, "a default route says nothing");
    assert_eq!((parsed.entries, parsed.skipped), (4, 1));
    assert_eq!(parsed.as_of, Some("2026-01-01".parse().unwrap()));
    assert!(parsed.has_network() && !parsed.has_country());
}

#[test]
fn gzip_and_zstd_give_the_same() {
    use std::io::Write;
    let bytes = dump();
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all(&bytes).unwrap();
    let plain = load(&bytes).unwrap();
    assert_eq!(load(&gz.finish().unwrap()).unwrap(), plain);
    assert_eq!(load(&zstd::encode_all(&bytes[..], 1).unwrap()).unwrap(), plain);
    let mut bz = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    bz.write_all(&bytes).unwrap();
    let bz = bz.finish().unwrap();
    assert_eq!(load(&bz).unwrap(), plain);
    assert!(matches!(load(&bz[..bz.len() / 2]), Err(LoadError::Malformed { .. })));
    let limits = Limits { bytes_max: 100, ..Limits::default() };
    assert!(matches!(read(&bz, "x", &limits), Err(LoadError::OverLimit { .. })));
}

/// The old TABLE_DUMP (section 4.2): one record for each peer, two-byte AS numbers.
#[test]
fn the_old_format_counts_peers_over_records() {
    let old = |prefix: [u8; 4], length: u8, asn: u16| {
        let mut body = vec![0, 0, 0, 1];
        body.extend(prefix);
        body.extend([length, 1]);
        body.extend(TIME.to_be_bytes());
        body.extend([198, 51, 100, 1]);
        body.extend(64_500u16.to_be_bytes());
        let mut attributes = vec![0x40, 1, 1, 0, 0x40, 2, 6, 2, 2];
        attributes.extend(64_500u16.to_be_bytes());
        attributes.extend(asn.to_be_bytes());
        attributes.extend([0x40, 3, 4, 192, 0, 2, 1]);
        body.extend((attributes.len() as u16).to_be_bytes());
        body.extend(attributes);
        record(12, 1, &body)
    };
    let dump = [old([11, 0, 0, 0], 8, 7), old([11, 0, 0, 0], 8, 7), old([11, 0, 0, 0], 8, 3), old([12, 0, 0, 0], 8, 9)];
    let parsed = load(&dump.concat()).unwrap();
    assert_eq!(parsed.entries, 2);
    assert_eq!(asn(&parsed, "11.0.0.1").unwrap().0, 7);
    assert_eq!(asn(&parsed, "12.0.0.1").unwrap().0, 9);
}

#[test]
fn a_dump_cut_short_is_refused_with_the_place() {
    let bytes = dump();
    let error = load(&bytes[..bytes.len() - 1]).unwrap_err();
    assert!(error.to_string().contains("record 5"), "{error}");
    let mut long = bytes.clone();
    long.extend(&[0, 0, 0, 0, 0, 13, 0, 2, 0xff, 0xff, 0xff, 0xff]);
    assert!(matches!(load(&long), Err(LoadError::OverLimit { .. })));
    assert!(matches!(load(&peers(2)), Err(LoadError::Empty { .. })));
}

#[test]
fn the_limit_on_entries_holds() {
    let limits = Limits { entries_max: 3, ..Limits::default() };
    assert_eq!(read(&dump(), "x", &limits), Err(LoadError::OverLimit { what: "entries", limit: 3 }));
}
