//! What packets are counted by.

use super::{Origin, Span};
use arrow::array::{
    Array, ArrayRef, AsArray, BinaryBuilder, FixedSizeBinaryArray, Int16Array, Int32Array, Int64Array, PrimitiveArray,
    RecordBatch, StringArray,
};
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Field, TimestampNanosecondType, UInt8Type, UInt16Type, UInt32Type,
};
use noroshi_model::packet::ToolBits;
use noroshi_model::{Addr, Nanos, Prefix};
use std::sync::Arc;

/// What a roll-up counts by.
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
    /// Length, time to live, TCP flags, version of IP: each packet counts once for each that it has.
    Profile,
    /// Source address.
    Source,
    /// Address and port that answer over TCP what they never got from here.
    Victim,
}

/// What a packet is counted under, packed so that every grouping's fits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct Key {
    high: u64,
    low: u64,
    /// Port of a victim.
    port: u32,
}

impl Key {
    const fn small(low: u64) -> Key {
        Key { high: 0, low, port: 0 }
    }

    const fn address(addr: Addr, port: u32) -> Key {
        Key { high: (addr.0 >> 64) as u64, low: addr.0 as u64, port }
    }

    fn addr(self) -> Addr {
        Addr(u128::from(self.high) << 64 | u128::from(self.low))
    }
}

/// Set in a network key for IPv6.
const V6: u64 = 1 << 63;
/// Set in a port key when there is a port.
const HAS_PORT: u64 = 1 << 24;

/// Kinds of a profile's keys, in the upper half of the key.
const PROFILES: [&str; 4] = ["size", "ttl", "flags", "version"];

/// Least lengths of the classes of packet sizes, in bytes.
const SIZES: [u32; 7] = [0, 64, 128, 256, 512, 1024, 1536];

/// Tables by grouping and span, `{span}s_{subject}`.
macro_rules! tables {
    ($($subject:literal),*) => {
        [$([concat!("minutes_", $subject), concat!("hours_", $subject), concat!("days_", $subject)]),*]
    };
}
const TABLES: [[&str; 3]; 8] =
    tables!["ports", "tools", "networks", "countries", "asns", "profiles", "sources", "victims"];

impl Grouping {
    pub(crate) const ALL: [Grouping; 8] = [
        Grouping::Port,
        Grouping::Tool,
        Grouping::Network,
        Grouping::Country,
        Grouping::As,
        Grouping::Profile,
        Grouping::Source,
        Grouping::Victim,
    ];

    /// The spans that have a table, the finest first. On a darknet nearly every packet is its source's only one in that
    /// minute or hour, so a finer table than these would be as long as the packets themselves; the edges of a window are
    /// counted from those.
    pub(crate) const fn spans(self) -> &'static [Span] {
        match self {
            Grouping::Port | Grouping::Tool | Grouping::Country => &Span::ALL,
            Grouping::As | Grouping::Profile => &[Span::Hour, Span::Day],
            Grouping::Network | Grouping::Source => &[Span::Day],
            Grouping::Victim => &[Span::Hour],
        }
    }

    /// The finest of them, in which packets are counted.
    pub(crate) const fn finest(self) -> Span {
        self.spans()[0]
    }

    /// The span whose partitions the table of `span` lies in: as that of the span, unless a year would be too much to
    /// give up at once.
    pub(crate) const fn filed(self, span: Span) -> Span {
        match (self, span) {
            (Grouping::Source, Span::Day) => Span::Hour,
            _ => span,
        }
    }

    /// Name of the table of that span.
    pub(crate) const fn table(self, span: Span) -> &'static str {
        TABLES[self as usize][span as usize]
    }

    /// Name of the first of the two sets of a row: what sent, or, where that is the key, the ports that it sent to. The
    /// second are the destinations.
    pub(crate) const fn set(self) -> &'static str {
        if self.is_by_sender() { "ports" } else { "sources" }
    }

    /// Whether the key holds the address that sent.
    pub(crate) const fn is_by_sender(self) -> bool {
        matches!(self, Grouping::Source | Grouping::Victim)
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
            Grouping::Source => vec![Field::new("source", DataType::Binary, false)],
            Grouping::Victim => {
                vec![Field::new("victim", DataType::Binary, false), Field::new("victim_port", DataType::Int32, false)]
            }
        }
    }

    /// The keys of a packet: none leaves the packet out.
    #[inline]
    pub(crate) fn keys(
        self,
        packets: &PacketColumns,
        row: usize,
        source: Option<Addr>,
        origin: Origin,
    ) -> impl Iterator<Item = Key> {
        let one = |key: Option<u64>| [key.map(Key::small), None, None, None];
        let keys = match self {
            Grouping::Port => one(Some(port_key(packets, row))),
            Grouping::Tool => one(Some(u64::from(tool_index(ToolBits(packets.tool_bits.value(row)))))),
            Grouping::Network => one(source.map(network_key)),
            Grouping::Country => {
                one(source.map(|_| origin.country.map_or(0, |code| u64::from(u16::from_be_bytes(code)))))
            }
            Grouping::As => one(source.map(|_| origin.asn.map_or(0, u64::from))),
            Grouping::Profile => profile_keys(packets, row, source),
            Grouping::Source => [source.map(|source| Key::address(source, 0)), None, None, None],
            Grouping::Victim => {
                let port = packets.answers(row).then(|| u32::from(packets.sport.value(row)));
                [source.zip(port).map(|(source, port)| Key::address(source, port)), None, None, None]
            }
        };
        keys.into_iter().flatten()
    }

    /// Keys as the columns of the table.
    pub(crate) fn key_arrays(self, keys: impl Iterator<Item = Key> + Clone) -> Vec<ArrayRef> {
        let small = keys.clone().map(|key| key.low);
        let known = |key: u64| (key != 0).then_some(key);
        let addresses = || -> ArrayRef {
            let mut builder = BinaryBuilder::new();
            keys.clone().for_each(|key| match key.addr().as_v4() {
                Some(v4) => builder.append_value(v4.to_be_bytes()),
                None => builder.append_value(key.addr().bytes()),
            });
            Arc::new(builder.finish())
        };
        match self {
            Grouping::Port => {
                let proto: Int16Array =
                    small.clone().map(|key| (key >> 16 != 0xff_ffff).then_some(proto_of(key))).collect();
                let port: Int32Array = small.map(|key| (key & HAS_PORT != 0).then_some(key as i32 & 0xffff)).collect();
                vec![Arc::new(proto), Arc::new(port)]
            }
            Grouping::Tool => vec![Arc::new(small.map(|key| Some(TOOLS[key as usize].1)).collect::<StringArray>())],
            Grouping::Network => {
                vec![Arc::new(small.map(|key| Some(network_of(key).to_string())).collect::<StringArray>())]
            }
            Grouping::Country => {
                let code = |key: u64| String::from_utf8_lossy(&(key as u16).to_be_bytes()).into_owned();
                vec![Arc::new(small.map(|key| known(key).map(code)).collect::<StringArray>())]
            }
            Grouping::As => vec![Arc::new(small.map(|key| known(key).map(|asn| asn as i64)).collect::<Int64Array>())],
            Grouping::Profile => {
                let kind = |key: u64| Some(PROFILES[(key >> 32) as usize]);
                let kinds: StringArray = small.clone().map(kind).collect();
                vec![Arc::new(kinds), Arc::new(small.map(|key| Some(key as i32)).collect::<Int32Array>())]
            }
            Grouping::Source => vec![addresses()],
            Grouping::Victim => {
                let ports: Int32Array = keys.clone().map(|key| Some(key.port as i32)).collect();
                vec![addresses(), Arc::new(ports)]
            }
        }
    }

    /// Minutes of the packets in SQL, for the part of a window that no table of the grouping covers: `columns` (of the
    /// grouping's tables, or a part of them) and `t`, of packets that hold `condition`.
    pub(crate) fn packets_sql(self, columns: &str, condition: &str) -> String {
        let keys: &[[&str; 2]] = match self {
            Grouping::Port => &[["proto", "proto"], ["port", "coalesce(dport, icmp_type)"]],
            Grouping::Tool => &[["tool", "tool(tool_bits)"]],
            Grouping::Network => &[["network", "network(src)"]],
            Grouping::Country => &[["country", "country(src)"]],
            Grouping::As => &[["asn", "asn(src)"]],
            Grouping::Source => &[["source", "src"]],
            Grouping::Victim => &[["victim", "src"], ["victim_port", "sport"]],
            Grouping::Profile => {
                let size = SIZES[1..].iter().rev().map(|least| format!("when wire_len >= {least} then {least} "));
                let size = format!("case {}else 0 end", size.collect::<String>());
                let kinds = [
                    ("'size'", &*size, "true"),
                    ("'ttl'", "ttl", "ttl is not null"),
                    ("'flags'", "tcp_flags", "tcp_flags is not null"),
                    ("'version'", "case when in_prefix(src, '0.0.0.0/0') then 4 else 6 end", "src is not null"),
                ];
                let parts = kinds.map(|(kind, value, has)| {
                    minutes(&[["kind", kind], ["value", value]], self.set(), columns, &format!("{condition} and {has}"))
                });
                return parts.join(" union all ");
            }
        };
        let counted = match self {
            Grouping::Port | Grouping::Tool => "true",
            Grouping::Victim => ANSWERS,
            _ => "src is not null",
        };
        minutes(keys, self.set(), columns, &format!("{condition} and {counted}"))
    }
}

/// Packets that answer: SYN-ACK or RST.
const ANSWERS: &str = "src is not null and sport is not null and proto = 6 and \
                                  ((tcp_flags & 18) = 18 or (tcp_flags & 4) = 4)";

/// Packets that hold a condition, added up by minute and key.
fn minutes(keys: &[[&str; 2]], set: &str, columns: &str, condition: &str) -> String {
    let source = |column: &str| match column {
        "packets" => "count(*)".to_owned(),
        "bytes" => "sum(wire_len)".to_owned(),
        "destinations" => "sketch(dst)".to_owned(),
        _ if column == set => {
            if set == "ports" { "sketch(coalesce(dport, icmp_type))" } else { "sketch(src)" }.to_owned()
        }
        _ => keys.iter().find(|[name, _]| *name == column).map_or(column, |[_, sql]| sql).to_owned(),
    };
    let selected: Vec<String> = columns.split(", ").map(|column| format!("{} {column}", source(column))).collect();
    let group: String = keys.iter().map(|[_, sql]| format!(", {sql}")).collect();
    format!(
        "select date_trunc('minute', ts) t, {} from packets where {condition} group by date_trunc('minute', ts){group}",
        selected.join(", ")
    )
}

/// Protocol (8 bits above the port), then the port; a packet without an IP header is all ones above the port.
fn port_key(packets: &PacketColumns, row: usize) -> u64 {
    if packets.proto.is_null(row) {
        return 0xff_ffff << 16;
    }
    let proto = u64::from(packets.proto.value(row)) << 16;
    packets.port(row).map_or(proto, |port| proto | HAS_PORT | u64::from(port))
}

fn profile_keys(packets: &PacketColumns, row: usize, source: Option<Addr>) -> [Option<Key>; 4] {
    let class = SIZES.iter().rev().find(|least| packets.wire_len(row) >= **least).copied().unwrap_or(0);
    let ttl = (!packets.ttl.is_null(row)).then(|| 1 << 32 | u64::from(packets.ttl.value(row)));
    let flags = (!packets.tcp_flags.is_null(row)).then(|| 2 << 32 | u64::from(packets.tcp_flags.value(row)));
    let version = source.map(|source| 3 << 32 | u64::from(source.family()));
    [Some(u64::from(class)), ttl, flags, version].map(|key| key.map(Key::small))
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
    sport: PrimitiveArray<UInt16Type>,
    dport: PrimitiveArray<UInt16Type>,
    icmp_type: PrimitiveArray<UInt8Type>,
    wire_len: PrimitiveArray<UInt32Type>,
    tool_bits: PrimitiveArray<UInt16Type>,
    ttl: PrimitiveArray<UInt8Type>,
    tcp_flags: PrimitiveArray<UInt8Type>,
}

/// Columns that are read, by name.
pub(crate) const READ: [&str; 12] =
    ["ts", "sensor", "src", "dst", "proto", "sport", "dport", "icmp_type", "wire_len", "tool_bits", "ttl", "tcp_flags"];

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
            sport: column(batch, "sport")?,
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

    /// Destination port, or the type of an ICMP packet.
    pub fn port(&self, row: usize) -> Option<u16> {
        if !self.dport.is_null(row) {
            return Some(self.dport.value(row));
        }
        (!self.icmp_type.is_null(row)).then(|| u16::from(self.icmp_type.value(row)))
    }

    /// Whether the packet is a TCP answer ([`ANSWERS`]).
    fn answers(&self, row: usize) -> bool {
        let tcp = !self.proto.is_null(row) && self.proto.value(row) == 6;
        if !tcp || self.tcp_flags.is_null(row) || self.sport.is_null(row) {
            return false;
        }
        let flags = self.tcp_flags.value(row);
        flags & 18 == 18 || flags & 4 == 4
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
