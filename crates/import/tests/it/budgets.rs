//! Broken, huge and hostile input stays in budget; what is whole is kept.

use noroshi_import::{Budget, Format, ImportError, Item, Reader, Summary, open_bytes};
use proptest::prelude::*;
use std::io::{Cursor, Read, Write};

fn all(mut reader: Reader) -> (Vec<u64>, Vec<(u64, String)>, noroshi_import::Counts) {
    let (mut rows, mut rejects) = (Vec::new(), Vec::new());
    while let Some(item) = reader.next_item().unwrap() {
        match item {
            Item::Row(row) => rows.push(row.line),
            Item::Reject(reject) => rejects.push((reject.line, reject.reason)),
        }
    }
    (rows, rejects, reader.counts())
}

fn from_text(text: &str) -> Reader {
    open_bytes(Cursor::new(text.as_bytes().to_vec()), "x.json", None, Budget::default()).unwrap()
}

const GOOD: &str = r#"{"eventid":"cowrie.log.open","timestamp":"2026-01-01T00:00:00Z","session":"a"}"#;

#[test]
fn a_broken_line_is_reported_with_its_number_and_the_rest_kept() {
    let text = format!("{GOOD}\n{{\"eventid\":\n\n[1]\n{GOOD}\r\n{GOOD}");
    let (rows, rejects, counts) = all(from_text(&text));
    assert_eq!(rows, [1, 5, 6]);
    assert_eq!(rejects.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [2, 4]);
    assert!(counts.balanced() && counts.lines == 6 && counts.structure == 1 && counts.unterminated);
}

#[test]
fn an_endless_line_is_skipped_without_being_held() {
    let long = std::io::repeat(b'x').take(300 << 20);
    let source = Cursor::new(format!("{GOOD}\n")).chain(long).chain(Cursor::new(format!("\n{GOOD}\n")));
    let reader = open_bytes(source, "x.json", None, Budget::default()).unwrap();
    let (rows, rejects, counts) = all(reader);
    assert_eq!(rows, [1, 3]);
    assert!(rejects[0].1.contains("314572800 bytes long"), "{rejects:?}");
    assert!(counts.balanced());
}

#[test]
fn a_decompression_bomb_stops_at_the_budget() {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    packed.write_all(format!("{GOOD}\n").as_bytes()).unwrap();
    for _ in 0..64 {
        packed.write_all(&vec![b'\n'; 1 << 20]).unwrap();
    }
    let budget = Budget { file_bytes: 1 << 20, ..Budget::default() };
    let reader = open_bytes(Cursor::new(packed.finish().unwrap()), "x.json.gz", None, budget).unwrap();
    let (rows, _, counts) = all(reader);
    assert!(rows == [1] && counts.stopped_at_budget && counts.balanced());
    assert!(counts.lines <= 1 << 20);
}

#[test]
fn zstandard_is_unpacked_whatever_the_name() {
    let packed = zstd::encode_all(format!("{GOOD}\n{GOOD}\n").as_bytes(), 3).unwrap();
    let reader = open_bytes(Cursor::new(packed), "x.json", None, Budget::default()).unwrap();
    assert_eq!(all(reader).0, [1, 2]);
}

#[test]
fn a_quoted_field_spans_lines_and_an_open_one_loses_only_its_line() {
    let head = "timestamp,ip,asn,geo,naics,tag\n";
    let whole = "2026-01-01,192.0.2.1,1,ZZ,0,\"a\nb\"\n";
    let text =
        format!("{head}{whole}2026-01-01,192.0.2.2,1,ZZ,0,\"open\n{}", "2026-01-01,192.0.2.3,1,ZZ,0,t\n".repeat(100));
    let (rows, rejects, counts) = all(from_text(&text));
    assert_eq!(rows[0], 2);
    assert_eq!(rejects.len(), 1, "{rejects:?}");
    assert_eq!(rejects[0].0, 4);
    assert_eq!((rows.len(), counts.continued), (101, 1));
    assert!(counts.balanced());
}

#[test]
fn strangers_are_refused_with_a_reason() {
    let refused = |text: &str| match open_bytes(Cursor::new(text.as_bytes().to_vec()), "a", None, Budget::default()) {
        Err(error) => error,
        Ok(reader) => panic!("read as {}", reader.format()),
    };
    assert!(matches!(refused(""), ImportError::Empty { .. }));
    let words = refused("\u{1b}[31mhello").to_string();
    assert!(words.contains("Cowrie JSON") && words.contains("begins with"), "{words}");
    assert!(!words.contains('\u{1b}'), "escape characters do not reach a terminal");
}

#[test]
fn hpfeeds_frames_become_the_honeypots_own_records() {
    let client = noroshi_import::hpfeeds::Client::new("pot1", "s", &[]);
    let mut wire = client.publish("cowrie.json", GOOD.as_bytes());
    wire.extend(client.publish("other", b"not json"));
    wire.extend(client.publish("dionaea.connections", br#"{"connection_type":"accept","connection_transport":"tcp","connection_protocol":"smbd","remote_host":"192.0.2.9","remote_port":5,"local_host":"198.51.100.1","local_port":445}"#));
    wire.extend([0, 0, 0, 99, 3]);
    let mut reader = open_bytes(Cursor::new(wire), "stream", None, Budget::default()).unwrap();
    assert_eq!(reader.format(), Format::Hpfeeds);
    let mut kinds = Vec::new();
    while let Some(item) = reader.next_item().unwrap() {
        match item {
            Item::Row(row) => kinds.push((row.kind, row.sensor)),
            Item::Reject(reject) => kinds.push((reject.reason, String::new())),
        }
    }
    assert_eq!(kinds[0], ("cowrie.log.open".into(), "pot1".into()));
    assert!(kinds[1].0.contains("not JSON"));
    assert_eq!(kinds[2].0, "connection.accept");
    assert!(kinds[3].0.contains("ends within a frame"));
    assert!(reader.counts().balanced());
}

proptest! {
    #[test]
    fn no_bytes_break_any_reader(bytes in proptest::collection::vec(any::<u8>(), 1..600), at in 0usize..14) {
        let format = Format::ALL[at % Format::ALL.len()];
        let budget = Budget { line_bytes: 200, file_bytes: 10_000, record_lines: 4 };
        if let Ok(mut reader) = open_bytes(Cursor::new(bytes), "conn.log", Some(format), budget) {
            let mut summary = Summary::default();
            while let Ok(Some(item)) = reader.next_item() {
                match item {
                    Item::Row(row) => summary.add(&row),
                    Item::Reject(reject) => summary.reject(reject),
                }
            }
            prop_assert!(reader.counts().balanced(), "{:?}", reader.counts());
        }
    }

    #[test]
    fn shuffled_fields_break_no_reader(
        words in proptest::collection::vec("(ts|uid|timestamp|src_ip|connection|id\\.orig_h|dns_name|eventid|IN=|SRC=|\\||\t|,|\"|\n|[0-9]{1,12}|[a-zé]{1,3})", 0..60),
        at in 0usize..14,
    ) {
        let text = words.concat();
        let format = Format::ALL[at % Format::ALL.len()];
        if let Ok(mut reader) = open_bytes(Cursor::new(text.into_bytes()), "dns.log", Some(format), Budget::default()) {
            while let Ok(Some(_)) = reader.next_item() {}
            prop_assert!(reader.counts().balanced(), "{:?}", reader.counts());
        }
    }
}
