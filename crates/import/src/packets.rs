//! Records that are packets (DShield's firewall log, Spoki) as packets of the model.

use crate::record::Record;
use noroshi_model::packet::{Has, Packet, PacketBatch, proto};
use noroshi_model::rows::transport_of;

/// Appends the packet of a record; false when the record is no packet.
pub fn push(batch: &mut PacketBatch, record: &Record) -> bool {
    let (Some(header), Some(src), Some(dst)) = (&record.header, record.src, record.dst) else { return false };
    let mut row = Packet { src, dst, proto: record.proto.unwrap_or(u8::MAX), ttl: header.ttl, ..Packet::BLANK };
    row.has.set(Has::IP);
    row.dscp = header.tos >> 2;
    if let Some(ts) = record.ts {
        row.has.set(Has::TIME);
        row.ts = ts;
    }
    if let (Some(sport), Some(dport)) = (record.sport, record.dport) {
        row.has.set(Has::PORTS);
        (row.sport, row.dport) = (sport, dport);
    }
    if let Some(flags) = header.tcp_flags.filter(|_| row.proto == proto::TCP) {
        row.has.set(Has::TCP);
        row.tcp_flags = flags;
        row.seq = header.seq.unwrap_or(0);
        row.ack = header.ack.unwrap_or(0);
        row.window = header.window.unwrap_or(0);
    }
    if let Some(ip_id) = header.ip_id {
        row.has.set(Has::IP_ID);
        row.ip_id = ip_id;
    }
    let kept = header.payload.len().min(u16::MAX as usize);
    row.payload_at = batch.arena.len() as u32;
    row.payload_cap = kept as u16;
    batch.arena.extend_from_slice(&header.payload[..kept]);
    row.payload_len = header.payload.len() as u32;
    // Such logs give the length of the IP packet at best; there is no link layer to add.
    row.wire_len = header.length.unwrap_or(0);
    row.cap_len = row.wire_len;
    row.transport = transport_of(&row);
    batch.rows.push(row);
    true
}
