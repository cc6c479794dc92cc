//! Raw packets to rows.

use crate::capture::{LinkType, RawBatch, RawRecord};
use crate::fast;
use crate::fingerprint;
use crate::headers::Walk;
use noroshi_model::Nanos;
use noroshi_model::packet::{Has, Oddities, Packet, PacketBatch, Rare};

/// Packets before 1990 or after 2100 carry [`Oddities::TIME`].
const TIME_PLAUSIBLE: std::ops::Range<i64> = 631_152_000_000_000_000..4_102_444_800_000_000_000;

/// Decodes every record of a batch. `file` says which input of the run it is from. Cost: one pass, no copy of payloads.
pub fn decode(raw: RawBatch, file: u32) -> PacketBatch {
    let mut batch = PacketBatch::default();
    decode_into(raw, file, &mut batch);
    batch
}

/// Decodes every record into a batch whose memory is used again; what it held is gone. Gives back the other half of that
/// memory, for [`crate::capture::Reader::give_back`].
pub fn decode_into(mut raw: RawBatch, file: u32, batch: &mut PacketBatch) -> RawBatch {
    (batch.file, batch.first_position) = (file, raw.first_position);
    batch.rare.clear();
    batch.rows.clear();
    batch.rows.resize(raw.records.len(), Packet::BLANK);
    for (row, record) in batch.rows.iter_mut().zip(&raw.records) {
        decode_record(&raw.data, record, row, &mut batch.rare);
    }
    std::mem::swap(&mut batch.arena, &mut raw.data);
    raw
}

/// Rows that are decoded before they are handed over: they and what is made of them stay in the nearest cache.
const PIECE_ROWS: usize = 256;

/// Decodes a batch piece by piece, for a reader that looks at every row once: `each` sees a few rows at a time, whose
/// payloads lie where they were read. Gives back the raw batch's memory, for [`crate::capture::Reader::give_back`].
pub fn decode_pieces(
    mut raw: RawBatch,
    file: u32,
    batch: &mut PacketBatch,
    mut each: impl FnMut(&PacketBatch),
) -> RawBatch {
    std::mem::swap(&mut batch.arena, &mut raw.data);
    (batch.file, batch.first_position) = (file, raw.first_position);
    for records in raw.records.chunks(PIECE_ROWS) {
        batch.rare.clear();
        batch.rows.clear();
        batch.rows.resize(records.len(), Packet::BLANK);
        for (row, record) in batch.rows.iter_mut().zip(records) {
            decode_record(&batch.arena, record, row, &mut batch.rare);
        }
        each(batch);
        batch.first_position += records.len() as u64;
    }
    std::mem::swap(&mut batch.arena, &mut raw.data);
    raw
}

/// Decodes one frame that was captured elsewhere, such as from a live interface. The frame must be the whole `data`.
pub fn decode_frame(data: &[u8], ts: Nanos, wire_len: u32, link: LinkType, rare: &mut Vec<Rare>) -> Packet {
    let cap_len = data.len().min(u32::MAX as usize) as u32;
    let record = RawRecord { ts: ts.0, start: 0, cap_len, wire_len, link, has_time: true, odd: Default::default() };
    let mut row = Packet::BLANK;
    decode_record(data, &record, &mut row, rare);
    row
}

#[inline]
fn decode_record(data: &[u8], record: &RawRecord, row: &mut Packet, rare: &mut Vec<Rare>) {
    let start = record.start as usize;
    let frame = data.get(start..start + record.cap_len as usize).unwrap_or(&[]);
    about_record(record, row);
    if record.link != LinkType::ETHERNET || !fast::ethernet_ipv4(frame, record.start, row) {
        let mut walk = Walk::new(frame, record.start, row);
        walk.link(record.link);
        if let Some(extra) = walk.finish() {
            row.rare = rare.len() as u32;
            rare.push(extra);
        }
    }
    fingerprint::mark(row);
}

/// What the record says about itself.
#[inline]
fn about_record(record: &RawRecord, row: &mut Packet) {
    row.cap_len = record.cap_len;
    row.wire_len = record.wire_len;
    if record.has_time {
        row.has.set(Has::TIME);
        row.ts = Nanos(record.ts);
        if !TIME_PLAUSIBLE.contains(&record.ts) {
            row.oddities.set(Oddities::TIME);
        }
    }
    if record.cap_len < record.wire_len {
        row.oddities.set(Oddities::SNAPPED);
    }
    if record.odd.subsecond {
        row.oddities.set(Oddities::SUBSECOND);
    }
    if record.odd.wire_length {
        row.oddities.set(Oddities::WIRE_LENGTH);
    }
}
