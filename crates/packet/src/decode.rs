//! Raw packets to rows.

use crate::capture::{LinkType, RawBatch, RawRecord};
use crate::fingerprint;
use crate::headers::Walk;
use noroshi_model::Nanos;
use noroshi_model::packet::{Has, NO_RARE, Oddities, Packet, PacketBatch, Rare};

/// Packets before 1990 or after 2100 carry [`Oddities::TIME`].
const TIME_PLAUSIBLE: std::ops::Range<i64> = 631_152_000_000_000_000..4_102_444_800_000_000_000;

/// Decodes every record of a batch. `file` says which input of the run it is from. Cost: one pass, no copy of payloads.
pub fn decode(raw: RawBatch, file: u32) -> PacketBatch {
    let RawBatch { first_position, data, records } = raw;
    let mut batch =
        PacketBatch { file, first_position, rows: Vec::with_capacity(records.len()), ..PacketBatch::default() };
    for record in &records {
        let row = decode_record(&data, record, &mut batch.rare);
        batch.rows.push(row);
    }
    batch.arena = data;
    batch
}

/// Decodes one frame that was captured elsewhere, such as from a live interface. The frame must be the whole `data`.
pub fn decode_frame(data: &[u8], ts: Nanos, wire_len: u32, link: LinkType, rare: &mut Vec<Rare>) -> Packet {
    let cap_len = data.len().min(u32::MAX as usize) as u32;
    let record = RawRecord { ts: ts.0, start: 0, cap_len, wire_len, link, has_time: true, odd: Default::default() };
    decode_record(data, &record, rare)
}

#[inline]
fn decode_record(data: &[u8], record: &RawRecord, rare: &mut Vec<Rare>) -> Packet {
    let start = record.start as usize;
    let frame = data.get(start..start + record.cap_len as usize).unwrap_or(&[]);
    let mut walk = Walk::new(frame, record.start);
    walk.row.cap_len = record.cap_len;
    walk.row.wire_len = record.wire_len;
    if record.has_time {
        walk.row.has.set(Has::TIME);
        walk.row.ts = Nanos(record.ts);
        if !TIME_PLAUSIBLE.contains(&record.ts) {
            walk.row.oddities.set(Oddities::TIME);
        }
    }
    if record.cap_len < record.wire_len {
        walk.row.oddities.set(Oddities::SNAPPED);
    }
    if record.odd.subsecond {
        walk.row.oddities.set(Oddities::SUBSECOND);
    }
    if record.odd.wire_length {
        walk.row.oddities.set(Oddities::WIRE_LENGTH);
    }
    walk.link(record.link);
    let (mut row, extra) = walk.finish();
    fingerprint::mark(&mut row);
    row.rare = match extra {
        None => NO_RARE,
        Some(extra) => {
            rare.push(extra);
            rare.len() as u32 - 1
        }
    };
    row
}
