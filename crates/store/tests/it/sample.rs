//! Packets made by a rule, so that a test can count them by itself.

use arrow::ipc::writer::StreamWriter;
use bytes::Bytes;
use noroshi_model::packet::{Has, OptionKinds, Packet, PacketBatch, ToolBits, Transport, proto, tcp};
use noroshi_model::rows::packets_record_batch;
use noroshi_model::stream::SchemaId;
use noroshi_model::{Addr, Nanos};
use noroshi_store::JournalBatch;

/// Where the lake of a folder lies: in it, or where `NOROSHI_TEST_LAKE` says (`s3://BUCKET`), under the folder's name.
#[allow(dead_code)] // used by some of those who share this file
pub fn lake_at(folder: &std::path::Path) -> std::path::PathBuf {
    match (std::env::var("NOROSHI_TEST_LAKE"), folder.file_name()) {
        (Ok(store), Some(name)) => format!("{store}/{}", name.to_string_lossy()).into(),
        _ => folder.join("lake"),
    }
}

/// 2026-01-01T00:00:00Z.
pub const START: i64 = 1_767_225_600;

/// The `n`th packet: one each 100 ms, ports 0 to 6 times 10, 250 sources, every tenth IPv6, every fifth backscatter.
pub fn packet(n: u64) -> Packet {
    let mut row = Packet { ts: Nanos(START * 1_000_000_000 + n as i64 * 100_000_007), ..Packet::BLANK };
    row.has = Has(Has::IP.0 | Has::PORTS.0 | Has::TCP.0 | Has::TIME.0 | Has::IP_ID.0);
    let host = (n * 7919 % 250) as u32;
    row.src =
        if n.is_multiple_of(10) { Addr(0x2001_0db8 << 96 | u128::from(host)) } else { Addr::v4(0xc000_0200 | host) };
    row.dst = Addr::v4(0xcb00_7100 | (n % 256) as u32);
    (row.proto, row.transport) = (proto::TCP, Transport::Tcp);
    row.dport = (n % 7) as u16 * 10 + 20;
    row.sport = 40_000 + (n % 1000) as u16;
    row.tcp_flags = if n.is_multiple_of(5) { tcp::SYN | tcp::ACK } else { tcp::SYN };
    row.seq = (n as u32).wrapping_mul(2_654_435_761);
    (row.window, row.ttl, row.ip_id) = (1024, 50 + (n % 60) as u8, n as u16);
    row.options = OptionKinds::parse("M").expect("M is an option");
    (row.wire_len, row.cap_len) = (60, 60);
    if n.is_multiple_of(3) {
        row.tool_bits = ToolBits::MIRAI;
    }
    row
}

/// The packets `first..=last` as a sensor sends them.
pub fn journal_batch(sensor: &str, first: u64, last: u64) -> JournalBatch {
    let rows = (first..=last).map(packet).collect();
    let batch = packets_record_batch(&PacketBatch { rows, sensor: sensor.into(), ..PacketBatch::default() });
    JournalBatch {
        sensor: sensor.into(),
        epoch: [3; 16],
        first_seq: first,
        last_seq: last,
        schema: SchemaId::PACKETS,
        bytes: ipc(&batch),
        gaps: Vec::new(),
    }
}

/// Packets from the `start`th on that do not compress: a disk is full sooner.
#[allow(dead_code)] // used by the example alone
pub fn noisy_batch(sensor: &str, start: u64, first_seq: u64, count: u64) -> JournalBatch {
    let mut state = start | 1;
    let mut noise = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let noisy = |n| {
        let mut row = packet(n);
        (row.seq, row.ack) = (noise() as u32, noise() as u32);
        (row.sport, row.ip_id, row.window) = (noise() as u16, noise() as u16, noise() as u16);
        row
    };
    let rows = (start..start + count).map(noisy).collect();
    let batch = packets_record_batch(&PacketBatch { rows, sensor: sensor.into(), ..PacketBatch::default() });
    let last_seq = first_seq + count - 1;
    JournalBatch { first_seq, last_seq, bytes: ipc(&batch), ..journal_batch(sensor, 0, 0) }
}

/// An Arrow IPC stream of one batch.
pub fn ipc(batch: &arrow::array::RecordBatch) -> Bytes {
    let mut bytes = Vec::new();
    let mut writer = StreamWriter::try_new(&mut bytes, &batch.schema()).unwrap();
    writer.write(batch).unwrap();
    writer.finish().unwrap();
    drop(writer);
    bytes.into()
}
