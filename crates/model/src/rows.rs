//! Packets to Arrow columns and back.
//!
//! [`record_batch`] makes the columns asked for; [`packet_batch`] rebuilds packets from all columns of table
//! `packets`. The pair is an identity for every batch whose payloads were kept whole (a property test holds it).

use crate::columns::{Column, PACKETS, packets_schema, schema_of};
use crate::packet::{
    Evidence, Has, NO_RARE, Oddities, OptionKinds, Packet, PacketBatch, Quoted, Rare, ToolBits, Transport, Tunnel,
    proto,
};
use crate::{Addr, Nanos};
use arrow_array::builder::{BinaryBuilder, StringDictionaryBuilder};
use arrow_array::cast::AsArray;
use arrow_array::types::{ArrowPrimitiveType, Int32Type, TimestampNanosecondType, UInt8Type, UInt16Type, UInt32Type};
use arrow_array::{
    Array, ArrayRef, BooleanArray, DictionaryArray, FixedSizeBinaryArray, PrimitiveArray, RecordBatch, StringArray,
};
use arrow_buffer::{BooleanBuffer, BooleanBufferBuilder, Buffer, NullBuffer, ScalarBuffer};
use std::sync::Arc;

/// A record batch that is not a batch of its table.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum RowsError {
    /// Schema differs from the declared one.
    #[error("the columns are not those of the table")]
    Schema,
    /// A value that no decoder makes.
    #[error("row {row}: {column} holds an impossible value")]
    Value {
        /// Row in the batch.
        row: usize,
        /// Column name.
        column: &'static str,
    },
}

fn nulls(rows: &[Packet], present: impl Fn(&Packet) -> bool) -> Option<NullBuffer> {
    let bits = BooleanBuffer::collect_bool(rows.len(), |i| present(&rows[i]));
    let nulls = NullBuffer::new(bits);
    (nulls.null_count() > 0).then_some(nulls)
}

fn primitive<T: ArrowPrimitiveType>(
    rows: &[Packet],
    present: Option<Has>,
    value: impl Fn(&Packet) -> T::Native,
) -> ArrayRef {
    let values: ScalarBuffer<T::Native> = rows.iter().map(value).collect::<Vec<_>>().into();
    let nulls = present.and_then(|bit| nulls(rows, |row| row.has.has(bit)));
    Arc::new(PrimitiveArray::<T>::new(values, nulls))
}

fn from_rare<T: ArrowPrimitiveType>(batch: &PacketBatch, value: impl Fn(&Rare) -> Option<T::Native>) -> ArrayRef {
    // Most batches hold nothing of the kind: a look at the few rare entries saves one at every row.
    if !batch.rare.iter().any(|rare| value(rare).is_some()) {
        return Arc::new(PrimitiveArray::<T>::new_null(batch.rows.len()));
    }
    Arc::new(batch.rows.iter().map(|row| batch.rare(row).and_then(&value)).collect::<PrimitiveArray<T>>())
}

fn addresses(rows: &[Packet], value: impl Fn(&Packet) -> Addr) -> ArrayRef {
    let mut bytes = vec![0; rows.len() * 16];
    for (row, slot) in rows.iter().zip(bytes.chunks_exact_mut(16)) {
        slot.copy_from_slice(&value(row).bytes());
    }
    let nulls = nulls(rows, |row| row.has.has(Has::IP));
    Arc::new(FixedSizeBinaryArray::new(16, Buffer::from_vec(bytes), nulls))
}

fn rare_addresses(batch: &PacketBatch, value: impl Fn(&Rare) -> Option<Addr>) -> ArrayRef {
    if !batch.rare.iter().any(|rare| value(rare).is_some()) {
        return Arc::new(FixedSizeBinaryArray::new_null(16, batch.rows.len()));
    }
    let mut bytes = vec![0; batch.rows.len() * 16];
    let mut present = BooleanBufferBuilder::new(batch.rows.len());
    for (row, slot) in batch.rows.iter().zip(bytes.chunks_exact_mut(16)) {
        let found = batch.rare(row).and_then(&value);
        present.append(found.is_some());
        if let Some(addr) = found {
            slot.copy_from_slice(&addr.bytes());
        }
    }
    let nulls = NullBuffer::new(present.finish());
    Arc::new(FixedSizeBinaryArray::new(16, Buffer::from_vec(bytes), Some(nulls)))
}

fn payloads(batch: &PacketBatch) -> ArrayRef {
    let total = batch.rows.iter().map(|row| row.payload_cap as usize).sum();
    let mut builder = BinaryBuilder::with_capacity(batch.rows.len(), total);
    for row in &batch.rows {
        match batch.payload(row) {
            [] => builder.append_null(),
            bytes => builder.append_value(bytes),
        }
    }
    Arc::new(builder.finish())
}

fn options(batch: &PacketBatch) -> ArrayRef {
    // Packets repeat few option lists: each is written as text once, and found again by its packed kinds.
    let (mut packed, mut texts) = (Vec::<OptionKinds>::new(), Vec::<String>::new());
    let mut place = |row: &Packet| {
        if row.options.is_text() || packed.len() >= OPTIONS_REMEMBERED {
            let text = batch.options_text(row);
            return texts.iter().position(|known| *known == text).unwrap_or_else(|| {
                // A text that only [`Rare`] holds is never found by its kinds.
                packed.push(OptionKinds::AS_TEXT);
                texts.push(text);
                texts.len() - 1
            });
        }
        packed.iter().position(|known| *known == row.options).unwrap_or_else(|| {
            packed.push(row.options);
            texts.push(row.options.to_string());
            texts.len() - 1
        })
    };
    let keys: Vec<i32> =
        batch.rows.iter().map(|row| if row.has.has(Has::TCP) { place(row) as i32 } else { 0 }).collect();
    let nulls = nulls(&batch.rows, |row| row.has.has(Has::TCP));
    keywords(keys, nulls, texts)
}

/// Option lists of a batch that are searched by their packed kinds; past that many the batch is no ordinary traffic.
const OPTIONS_REMEMBERED: usize = 256;

/// A column of few distinct texts.
fn keywords<S: AsRef<str>>(keys: Vec<i32>, nulls: Option<NullBuffer>, texts: Vec<S>) -> ArrayRef {
    let keys = PrimitiveArray::<Int32Type>::new(keys.into(), nulls);
    let texts = StringArray::from_iter_values(texts);
    Arc::new(DictionaryArray::new(keys, Arc::new(texts)))
}

fn sensors(batch: &PacketBatch) -> ArrayRef {
    keywords(vec![0; batch.rows.len()], None, if batch.rows.is_empty() { Vec::new() } else { vec![&*batch.sensor] })
}

fn tunnels(batch: &PacketBatch) -> ArrayRef {
    if !batch.rare.iter().any(|rare| rare.tunnel.is_some()) {
        let nulls = NullBuffer::new_null(batch.rows.len());
        return keywords(vec![0; batch.rows.len()], Some(nulls), Vec::<&str>::new());
    }
    let mut builder = StringDictionaryBuilder::<Int32Type>::new();
    for row in &batch.rows {
        builder.append_option(batch.rare(row).and_then(|rare| rare.tunnel).map(Tunnel::name));
    }
    Arc::new(builder.finish())
}

/// One column of a batch as an Arrow array. `name` must be a column of [`PACKETS`].
fn array(batch: &PacketBatch, name: &str) -> ArrayRef {
    let rows = &batch.rows[..];
    match name {
        "ts" => {
            let values: ScalarBuffer<i64> = rows.iter().map(|row| row.ts.0).collect::<Vec<_>>().into();
            let nulls = nulls(rows, |row| row.has.has(Has::TIME));
            Arc::new(PrimitiveArray::<TimestampNanosecondType>::new(values, nulls).with_timezone("UTC"))
        }
        "sensor" => sensors(batch),
        "src" => addresses(rows, |row| row.src),
        "dst" => addresses(rows, |row| row.dst),
        "family" => primitive::<UInt8Type>(rows, Some(Has::IP), Packet::family),
        "proto" => primitive::<UInt8Type>(rows, Some(Has::IP), |row| row.proto),
        "sport" => primitive::<UInt16Type>(rows, Some(Has::PORTS), |row| row.sport),
        "dport" => primitive::<UInt16Type>(rows, Some(Has::PORTS), |row| row.dport),
        "tcp_flags" => primitive::<UInt8Type>(rows, Some(Has::TCP), |row| row.tcp_flags),
        "seq" => primitive::<UInt32Type>(rows, Some(Has::TCP), |row| row.seq),
        "ack" => primitive::<UInt32Type>(rows, Some(Has::TCP), |row| row.ack),
        "window" => primitive::<UInt16Type>(rows, Some(Has::TCP), |row| row.window),
        "tcp_options" => options(batch),
        "mss" => primitive::<UInt16Type>(rows, Some(Has::MSS), |row| row.mss),
        "icmp_type" => primitive::<UInt8Type>(rows, Some(Has::ICMP), |row| row.icmp_type),
        "icmp_code" => primitive::<UInt8Type>(rows, Some(Has::ICMP), |row| row.icmp_code),
        "quoted_src" => rare_addresses(batch, |rare| rare.quoted.map(|quoted| quoted.src)),
        "quoted_dst" => rare_addresses(batch, |rare| rare.quoted.map(|quoted| quoted.dst)),
        "quoted_proto" => from_rare::<UInt8Type>(batch, |rare| rare.quoted.map(|quoted| quoted.proto)),
        "quoted_sport" => from_rare::<UInt16Type>(batch, |rare| rare.quoted?.ports.map(|ports| ports.0)),
        "quoted_dport" => from_rare::<UInt16Type>(batch, |rare| rare.quoted?.ports.map(|ports| ports.1)),
        "ttl" => primitive::<UInt8Type>(rows, Some(Has::IP), |row| row.ttl),
        "ip_id" => primitive::<UInt16Type>(rows, Some(Has::IP_ID), |row| row.ip_id),
        "dscp" => primitive::<UInt8Type>(rows, Some(Has::IP), |row| row.dscp),
        "fragment" => Arc::new(BooleanArray::new(
            BooleanBuffer::collect_bool(rows.len(), |i| rows[i].has.has(Has::FRAGMENT)),
            None,
        )),
        "vlan" => from_rare::<UInt16Type>(batch, |rare| rare.vlan),
        "tunnel" => tunnels(batch),
        "inner_src" => rare_addresses(batch, |rare| rare.inner.map(|inner| inner.0)),
        "inner_dst" => rare_addresses(batch, |rare| rare.inner.map(|inner| inner.1)),
        "wire_len" => primitive::<UInt32Type>(rows, None, |row| row.wire_len),
        "cap_len" => primitive::<UInt32Type>(rows, None, |row| row.cap_len),
        "payload_len" => primitive::<UInt32Type>(rows, Some(Has::IP), |row| row.payload_len),
        "payload" => payloads(batch),
        "tool_bits" => primitive::<UInt16Type>(rows, None, |row| row.tool_bits.0),
        "evidence" => primitive::<UInt8Type>(rows, None, |row| row.evidence as u8),
        "oddities" => primitive::<UInt32Type>(rows, None, |row| row.oddities.0),
        other => unreachable!("column {other} is not declared in PACKETS"),
    }
}

/// The columns asked for, in that order. Cost: one pass over the rows per column.
pub fn record_batch<'a>(batch: &PacketBatch, columns: impl IntoIterator<Item = &'a Column> + Clone) -> RecordBatch {
    let arrays = columns.clone().into_iter().map(|column| array(batch, column.name)).collect();
    RecordBatch::try_new(schema_of(columns), arrays).expect("arrays are made from the same declaration as the schema")
}

/// All columns of table `packets`.
pub fn packets_record_batch(batch: &PacketBatch) -> RecordBatch {
    record_batch(batch, PACKETS)
}

/// Packets from a record batch with the schema of table `packets`. The transport a packet counts under is derived
/// from `proto`, ports and flags as the decoder does. Values are checked, so foreign batches are safe to pass once
/// Arrow itself has validated them.
pub fn packet_batch(batch: &RecordBatch) -> Result<PacketBatch, RowsError> {
    if batch.schema().fields() != packets_schema().fields() {
        return Err(RowsError::Schema);
    }
    let column = |name: &str| batch.column_by_name(name).expect("schema was compared");
    let u8s = |name: &str| column(name).as_primitive::<UInt8Type>().clone();
    let u16s = |name: &str| column(name).as_primitive::<UInt16Type>().clone();
    let u32s = |name: &str| column(name).as_primitive::<UInt32Type>().clone();
    let addrs = |name: &str| column(name).as_fixed_size_binary().clone();
    let texts = |name: &str| column(name).as_dictionary::<Int32Type>().clone();
    let addr_at = |array: &FixedSizeBinaryArray, i: usize| {
        (!array.is_null(i)).then(|| Addr::from_bytes(array.value(i).try_into().expect("sixteen bytes by schema")))
    };
    let ts = column("ts").as_primitive::<TimestampNanosecondType>();
    let (src, dst) = (addrs("src"), addrs("dst"));
    let (proto_of, flags, ttl, dscp) = (u8s("proto"), u8s("tcp_flags"), u8s("ttl"), u8s("dscp"));
    let (sport, dport, window, mss, ip_id) = (u16s("sport"), u16s("dport"), u16s("window"), u16s("mss"), u16s("ip_id"));
    let (seq, ack) = (u32s("seq"), u32s("ack"));
    let (icmp_type, icmp_code) = (u8s("icmp_type"), u8s("icmp_code"));
    let (wire_len, cap_len, payload_len) = (u32s("wire_len"), u32s("cap_len"), u32s("payload_len"));
    let (tool_bits, evidence, oddities) = (u16s("tool_bits"), u8s("evidence"), u32s("oddities"));
    let fragment = column("fragment").as_boolean();
    let payload = column("payload").as_binary::<i32>();
    let (options, tunnel, sensor) = (texts("tcp_options"), texts("tunnel"), texts("sensor"));
    let option_texts = options.downcast_dict::<StringArray>().ok_or(RowsError::Schema)?;
    let tunnel_texts = tunnel.downcast_dict::<StringArray>().ok_or(RowsError::Schema)?;
    let sensor_texts = sensor.downcast_dict::<StringArray>().ok_or(RowsError::Schema)?;
    let (quoted_src, quoted_dst) = (addrs("quoted_src"), addrs("quoted_dst"));
    let (quoted_proto, quoted_sport, quoted_dport) = (u8s("quoted_proto"), u16s("quoted_sport"), u16s("quoted_dport"));
    let (inner_src, inner_dst, vlan) = (addrs("inner_src"), addrs("inner_dst"), u16s("vlan"));

    let mut out = PacketBatch { rows: Vec::with_capacity(batch.num_rows()), ..PacketBatch::default() };
    if batch.num_rows() > 0 && !sensor.is_null(0) {
        let values = sensor_texts.values();
        out.sensor = values.value(sensor.key(0).unwrap_or(0)).into();
    }
    for i in 0..batch.num_rows() {
        let mut row = Packet::BLANK;
        let mut rare = Rare::default();
        if !ts.is_null(i) {
            row.has.set(Has::TIME);
            row.ts = Nanos(ts.value(i));
        }
        if let (Some(s), Some(d)) = (addr_at(&src, i), addr_at(&dst, i)) {
            row.has.set(Has::IP);
            (row.src, row.dst) = (s, d);
            (row.proto, row.ttl, row.dscp, row.payload_len) =
                (proto_of.value(i), ttl.value(i), dscp.value(i), payload_len.value(i));
        }
        if !sport.is_null(i) {
            row.has.set(Has::PORTS);
            (row.sport, row.dport) = (sport.value(i), dport.value(i));
        }
        if !flags.is_null(i) {
            row.has.set(Has::TCP);
            (row.tcp_flags, row.seq, row.ack, row.window) =
                (flags.value(i), seq.value(i), ack.value(i), window.value(i));
        }
        if let Some(key) = options.key(i) {
            let text = option_texts.values().value(key);
            if text.len() > 512 {
                return Err(RowsError::Value { row: i, column: "tcp_options" });
            }
            row.options = OptionKinds::parse(text).unwrap_or_else(|| {
                rare.tcp_options = Some(text.into());
                OptionKinds::AS_TEXT
            });
        }
        if !mss.is_null(i) {
            row.has.set(Has::MSS);
            row.mss = mss.value(i);
        }
        if !icmp_type.is_null(i) {
            row.has.set(Has::ICMP);
            (row.icmp_type, row.icmp_code) = (icmp_type.value(i), icmp_code.value(i));
        }
        if !ip_id.is_null(i) {
            row.has.set(Has::IP_ID);
            row.ip_id = ip_id.value(i);
        }
        (row.wire_len, row.cap_len) = (wire_len.value(i), cap_len.value(i));
        row.tool_bits = ToolBits(tool_bits.value(i));
        row.oddities = Oddities(oddities.value(i));
        row.evidence = match evidence.value(i) {
            0 => Evidence::Spoofable,
            1 => Evidence::ChallengeVerified,
            2 => Evidence::Handshake,
            _ => return Err(RowsError::Value { row: i, column: "evidence" }),
        };
        if fragment.value(i) {
            row.has.set(Has::FRAGMENT);
            if !row.has.has(Has::PORTS) && !row.has.has(Has::ICMP) {
                row.has.set(Has::LATER_FRAGMENT);
            }
        }
        if !payload.is_null(i) {
            let bytes = payload.value(i);
            let kept = bytes.len().min(u16::MAX as usize);
            row.payload_at = out.arena.len() as u32;
            row.payload_cap = kept as u16;
            out.arena.extend_from_slice(&bytes[..kept]);
        }
        row.transport = transport_of(&row);
        rare.vlan = (!vlan.is_null(i)).then(|| vlan.value(i));
        rare.inner = addr_at(&inner_src, i).zip(addr_at(&inner_dst, i));
        if let Some(key) = tunnel.key(i) {
            let name = tunnel_texts.values().value(key);
            let kind = Tunnel::ALL.into_iter().find(|kind| kind.name() == name);
            rare.tunnel = Some(kind.ok_or(RowsError::Value { row: i, column: "tunnel" })?);
        }
        rare.quoted = addr_at(&quoted_src, i).zip(addr_at(&quoted_dst, i)).map(|(src, dst)| Quoted {
            src,
            dst,
            proto: quoted_proto.value(i),
            ports: (!quoted_sport.is_null(i)).then(|| (quoted_sport.value(i), quoted_dport.value(i))),
        });
        if rare != Rare::default() {
            row.rare = out.rare.len() as u32;
            out.rare.push(rare);
        } else {
            row.rare = NO_RARE;
        }
        out.rows.push(row);
    }
    Ok(out)
}

/// What a packet counts under, from its own fields.
pub fn transport_of(row: &Packet) -> Transport {
    if !row.has.has(Has::IP) || row.has.has(Has::LATER_FRAGMENT) {
        return Transport::Other;
    }
    match row.proto {
        proto::TCP => Transport::Tcp,
        proto::UDP => Transport::Udp,
        proto::ICMP => Transport::Icmp,
        proto::ICMPV6 => Transport::Icmpv6,
        proto::SCTP => Transport::Sctp,
        _ => Transport::Other,
    }
}
