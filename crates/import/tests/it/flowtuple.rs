//! FlowTuple as other people's writer makes it: files of fastavro, made by `tests/interop/flowtuple.py` with these counts.

use noroshi_import::flowtuple::flow;
use noroshi_import::{Budget, Format, Item, open_bytes};
use noroshi_model::Addr;
use std::path::Path;

fn file(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)).unwrap()
}

fn items(bytes: Vec<u8>) -> (Vec<Item>, noroshi_import::Counts) {
    let mut reader = open_bytes(std::io::Cursor::new(bytes), "day.avro", None, Budget::default()).unwrap();
    assert_eq!(reader.format(), Format::FlowTuple);
    let mut items = Vec::new();
    while let Some(item) = reader.next_item().unwrap() {
        items.push(item);
    }
    assert!(reader.counts().balanced());
    (items, reader.counts())
}

#[test]
fn both_versions_and_all_codecs_are_read() {
    for name in ["flowtuple4.null.avro", "flowtuple4.deflate.avro", "flowtuple3.deflate.avro"] {
        let (items, counts) = items(file(name));
        assert_eq!((counts.rows, counts.rejects), (200, 0), "{name}");
        let (mut packets, mut bytes) = (0, 0);
        for (at, item) in items.iter().enumerate() {
            let Item::Row(record) = item else { panic!("{item:?}") };
            packets += record.packets.unwrap();
            let (key, count) = flow(record).unwrap();
            bytes += count.bytes;
            assert_eq!(key.minute.seconds(), 1_767_225_600 + at as i64 / 100 * 300);
            let (src, dst) = key.addresses.unwrap();
            assert_eq!(src, Addr::v4(0xcb00_7100 + at as u32 % 250));
            assert_eq!(dst.as_v4().unwrap() >> 8, 0xc0_0002);
            // Every fourth is an echo request: type and code share the port.
            assert_eq!((key.proto, key.dport), if at % 4 == 0 { (Some(1), Some(8)) } else { (Some(6), Some(23)) });
        }
        assert_eq!((packets, bytes), (1_400, 84_000), "{name}");
    }
}

#[test]
fn what_is_broken_is_refused_where_it_breaks_and_the_rest_is_kept() {
    let whole = file("flowtuple4.null.avro");
    let (_, counts) = items(whole[..whole.len() / 2].to_vec());
    assert_eq!(counts.rejects, 1);
    let mut marked = whole.clone();
    let end = marked.len();
    marked[end - 1] ^= 1;
    let (found, counts) = items(marked);
    assert_eq!(counts.rejects, 1);
    let Some(Item::Reject(reject)) = found.last() else { panic!("{found:?}") };
    assert!(reject.reason.contains("mark"), "{}", reject.reason);
    let (found, _) = items(b"Obj\x01".to_vec());
    assert!(matches!(&found[..], [Item::Reject(_)]));
}
