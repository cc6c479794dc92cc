//! What packets are counted by.

use super::{Origin, Span};
use arrow::array::{
    Array, ArrayRef, AsArray, FixedSizeBinaryArray, Int16Array, Int32Array, Int64Array, PrimitiveArray, RecordBatch,
    StringArray,
};
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Field, TimestampNanosecondType, UInt8Type, UInt16Type, UInt32Type,
};
use noroshi_model::packet::ToolBits;
use noroshi_model::{Addr, Nanos, Prefix};
use std::sync::Arc;

/// The key of a roll-up, packed in 64 bits while counting.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Grouping {
    /// Protocol and destination port (ICMP: its type).
    Port,
    /// Fingerprint of the sending tool.
    Tool,
    /// Source network: /24 or /48.
    Network,
    /// Source country.
    Country,
    /// Source autonomous system.
    As,
    /// Length, time to live, TCP flags: each packet counts once for each that it has.
    Profile,
}

/// Set in a network key for IPv6.
const V6: u64 = 1 << 63;
/// Set in a port key when there is a port.
const HAS_PORT: u64 = 1 << 24;

/// Kinds of a profile's keys, in the upper half of the key.
const PROFILES: [&str; 3] = ["size", "ttl", "flags"];

/// Least lengths of the classes of packet sizes, in bytes.
const SIZES: [u32; 7] = [0, 64, 128, 256, 512, 1024, 1536];

/// Tables by grouping and span.
const TABLES: [[&str; 3]; 6] = [
    ["minutes_ports", "hours_ports", "days_ports"],
    ["minutes_tools", "hours_tools", "days_tools"],
    ["minutes_networks", "hours_networks", "days_networks"],
    ["minutes_countries", "hours_countries", "days_countries"],
    ["minutes_asns", "hours_asns", "days_asns"],
    ["minutes_profiles", "hours_profiles", "days_profiles"],
];

impl Grouping {
    pub(crate) const ALL: [Grouping; 6] =
        [Grouping::Port, Grouping::Tool, Grouping::Network, Grouping::Country, Grouping::As, Grouping::Profile];

    /// Name of the table of that span.
    pub(crate) const fn table(self, span: Span) -> &'static str {
        TABLES[self as usize][span as usize]
    }

    /// Lake fields of the key.
    pub(crate) fn key_fields(self) -> Vec<Field> {
        match self {
            Grouping::Port => {
                vec![Field::new("proto", DataType::Int16, true), Field::new("port", DataType::Int32, true)]
            }
            Grouping::Tool => vec![Field::new("tool", DataType::Utf8, false)],
            Grouping::Network => vec![Field::new("network", DataType::Utf8, true)],
            Grouping::Country => vec![Field::new("country", DataType::Utf8, true)],
            Grouping::As => vec![Field::new("asn", DataType::Int64, true)],
            Grouping::Profile => {
                vec![Field::new("kind", DataType::Utf8, false), Field::new("value", DataType::Int32, false)]
            }
        }
    }

    /// The keys of a packet: none leaves the packet out.
    pub(crate) fn keys(
        self,
        packets: &PacketColumns,
        row: usize,
        source: Option<Addr>,
        origin: Origin,
    ) -> impl Iterator<Item = u64> {
        let one = |key: Option<u64>| [key, None, None];
        let keys = match self {
            Grouping::Port => one(Some(port_key(packets, row))),
            Grouping::Tool => one(Some(u64::from(tool_index(ToolBits(packets.tool_bits.value(row)))))),
            Grouping::Network => one(source.map(network_key)),
            Grouping::Country => {
                one(source.map(|_| origin.country.map_or(0, |code| u64::from(u16::from_be_bytes(code)))))
            }
            Grouping::As => one(source.map(|_| origin.asn.map_or(0, u64::from))),
            Grouping::Profile => profile_keys(packets, row),
        };
        keys.into_iter().flatten()
    }

    /// Keys as the columns of the table.
    pub(crate) fn key_arrays(self, keys: impl Iterator<Item = u64> + Clone) -> Vec<ArrayRef> {
        let known = |key: u64| (key != 0).then_some(key);
        match self {
            Grouping::Port => {
                let proto: Int16Array =
                    keys.clone().map(|key| (key >> 16 != 0xff_ffff).then_some(proto_of(key))).collect();
                let port: Int32Array = keys.map(|key| (key & HAS_PORT != 0).then_some(key as i32 & 0xffff)).collect();
                vec![Arc::new(proto), Arc::new(port)]
            }
            Grouping::Tool => vec![Arc::new(keys.map(|key| Some(TOOLS[key as usize].1)).collect::<StringArray>())],
            Grouping::Network => {
                vec![Arc::new(keys.map(|key| Some(network_of(key).to_string())).collect::<StringArray>())]
            }
            Grouping::Country => {
                let code = |key: u64| String::from_utf8_lossy(&(key as u16).to_be_bytes()).into_owned();
                vec![Arc::new(keys.map(|key| known(key).map(code)).collect::<StringArray>())]
            }
            Grouping::As => vec![Arc::new(keys.map(|key| known(key).map(|asn| asn as i64)).collect::<Int64Array>())],
            Grouping::Profile => {
                let kind = |key: u64| Some(PROFILES[(key >> 32) as usize]);
                let kinds: StringArray = keys.clone().map(kind).collect();
                vec![Arc::new(kinds), Arc::new(keys.map(|key| Some(key as i32)).collect::<Int32Array>())]
            }
        }
    }
}

/// Protocol (8 bits above the port), then the port; a packet without an IP header is all ones above the port.
fn port_key(packets: &PacketColumns, row: usize) -> u64 {
    if packets.proto.is_null(row) {
        return 0xff_ffff << 16;
    }
    let proto = u64::from(packets.proto.value(row)) << 16;
    if !packets.dport.is_null(row) {
        proto | HAS_PORT | u64::from(packets.dport.value(row))
    } else if !packets.icmp_type.is_null(row) {
        proto | HAS_PORT | u64::from(packets.icmp_type.value(row))
    } else {
        proto
    }
}

fn profile_keys(packets: &PacketColumns, row: usize) -> [Option<u64>; 3] {
    let class = SIZES.iter().rev().find(|least| packets.wire_len(row) >= **least).copied().unwrap_or(0);
    let ttl = (!packets.ttl.is_null(row)).then(|| 1 << 32 | u64::from(packets.ttl.value(row)));
    let flags = (!packets.tcp_flags.is_null(row)).then(|| 2 << 32 | u64::from(packets.tcp_flags.value(row)));
    [Some(u64::from(class)), ttl, flags]
}

fn proto_of(key: u64) -> i16 {
    (key >> 16 & 0xff) as i16
}

fn network_key(source: Addr) -> u64 {
    match source.as_v4() {
        Some(bits) => u64::from(bits >> 8),
        None => V6 | (source.0 >> 80) as u64,
    }
}

fn network_of(key: u64) -> Prefix {
    if key & V6 == 0 {
        Prefix::new(Addr::v4((key as u32) << 8), 24)
    } else {
        Prefix::new(Addr(u128::from(key & !V6) << 80), 48)
    }
}

/// Tools by the fingerprints of one packet, the most specific first. One packet proves nothing; shares over many do.
const TOOLS: [(ToolBits, &str); 6] = [
    (ToolBits::MIRAI, "mirai"),
    (ToolBits(ToolBits::ZMAP_OLD.0 | ToolBits::ZMAP_NEW.0), "zmap"),
    (ToolBits::MASSCAN, "masscan"),
    (ToolBits::NMAP_SYN, "nmap"),
    (ToolBits::IRREGULAR_SYN, "irregular"),
    (ToolBits::EMPTY, "unknown"),
];

fn tool_index(bits: ToolBits) -> u8 {
    TOOLS.iter().position(|(mark, _)| bits.0 & mark.0 != 0).unwrap_or(TOOLS.len() - 1) as u8
}

/// Name of the tool that the fingerprints of one packet point to.
pub(crate) fn tool_name(bits: ToolBits) -> &'static str {
    TOOLS[tool_index(bits) as usize].1
}

/// The columns of table `packets` that roll-ups read, in the types of `model`.
pub(crate) struct PacketColumns {
    ts: PrimitiveArray<TimestampNanosecondType>,
    src: FixedSizeBinaryArray,
    dst: FixedSizeBinaryArray,
    proto: PrimitiveArray<UInt8Type>,
    dport: PrimitiveArray<UInt16Type>,
    icmp_type: PrimitiveArray<UInt8Type>,
    wire_len: PrimitiveArray<UInt32Type>,
    tool_bits: PrimitiveArray<UInt16Type>,
    ttl: PrimitiveArray<UInt8Type>,
    tcp_flags: PrimitiveArray<UInt8Type>,
}

/// Columns that are read, by name.
pub(crate) const READ: [&str; 11] =
    ["ts", "sensor", "src", "dst", "proto", "dport", "icmp_type", "wire_len", "tool_bits", "ttl", "tcp_flags"];

impl PacketColumns {
    /// `None` when the batch is not one of table `packets`.
    pub fn of(batch: &RecordBatch) -> Option<Self> {
        fn column<T: ArrowPrimitiveType>(batch: &RecordBatch, name: &str) -> Option<PrimitiveArray<T>> {
            Some(batch.column_by_name(name)?.as_primitive_opt::<T>()?.clone())
        }
        let address = |name: &str| {
            Some(batch.column_by_name(name)?.as_fixed_size_binary_opt()?.clone()).filter(|a| a.value_length() == 16)
        };
        Some(PacketColumns {
            ts: column(batch, "ts")?,
            src: address("src")?,
            dst: address("dst")?,
            proto: column(batch, "proto")?,
            dport: column(batch, "dport")?,
            icmp_type: column(batch, "icmp_type")?,
            wire_len: column(batch, "wire_len")?,
            tool_bits: column(batch, "tool_bits")?,
            ttl: column(batch, "ttl")?,
            tcp_flags: column(batch, "tcp_flags")?,
        })
    }

    pub fn rows(&self) -> usize {
        self.ts.len()
    }

    pub fn ts(&self, row: usize) -> Option<Nanos> {
        (!self.ts.is_null(row)).then(|| Nanos(self.ts.value(row)))
    }

    pub fn wire_len(&self, row: usize) -> u32 {
        self.wire_len.value(row)
    }

    pub fn addresses(&self, row: usize) -> Option<(Addr, Addr)> {
        let addr = |array: &FixedSizeBinaryArray| -> Option<Addr> {
            (!array.is_null(row)).then(|| Addr::from_bytes(array.value(row).try_into().expect("sixteen bytes")))
        };
        addr(&self.src).zip(addr(&self.dst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_keys_round_trip() {
        for (addr, network) in [("192.0.2.77", "192.0.2.0/24"), ("2001:db8:1:2::3", "2001:db8:1::/48")] {
            assert_eq!(network_of(network_key(addr.parse().unwrap())).to_string(), network);
        }
    }
}
