//! The columns of the tables, declared once.
//!
//! Arrow schema, data dictionary, query filters and the portal's column picker all come from here.

use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use std::sync::{Arc, LazyLock};

/// How a column is stored in Arrow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Type {
    /// Nanoseconds since 1970, UTC.
    Time,
    /// An address: 16 bytes in network order, IPv4 mapped.
    Address,
    /// Few distinct texts.
    Keyword,
    /// Unsigned, 8 bits.
    U8,
    /// Unsigned, 16 bits.
    U16,
    /// Unsigned, 32 bits.
    U32,
    /// Unsigned, 64 bits.
    U64,
    /// Real number, 64 bits.
    F64,
    /// True or false.
    Bool,
    /// Bytes.
    Bytes,
    /// UTF-8 text, many distinct.
    Text,
    /// A list of texts, in order.
    Texts,
}

impl Type {
    /// The Arrow type.
    pub fn arrow(self) -> DataType {
        match self {
            Type::Time => DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into())),
            Type::Address => DataType::FixedSizeBinary(16),
            Type::Keyword => DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)),
            Type::U8 => DataType::UInt8,
            Type::U16 => DataType::UInt16,
            Type::U32 => DataType::UInt32,
            Type::U64 => DataType::UInt64,
            Type::F64 => DataType::Float64,
            Type::Bool => DataType::Boolean,
            Type::Bytes => DataType::Binary,
            Type::Text => DataType::Utf8,
            Type::Texts => DataType::List(Arc::new(Field::new("item", DataType::Utf8, false))),
        }
    }

    /// The word used in the data dictionary.
    pub const fn word(self) -> &'static str {
        match self {
            Type::Time => "timestamp (ns, UTC)",
            Type::Address => "address (16 bytes)",
            Type::Keyword => "keyword",
            Type::U8 => "uint8",
            Type::U16 => "uint16",
            Type::U32 => "uint32",
            Type::U64 => "uint64",
            Type::F64 => "float64",
            Type::Bool => "bool",
            Type::Bytes => "bytes",
            Type::Text => "text",
            Type::Texts => "list of text",
        }
    }
}

/// One column of a table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Column {
    /// Name in schemas, queries and files.
    pub name: &'static str,
    /// How it is stored.
    pub kind: Type,
    /// Whether a row may have none.
    pub nullable: bool,
    /// Unit, or empty where there is none.
    pub unit: &'static str,
    /// What it means, and what null means.
    pub meaning: &'static str,
}

/// A column that every row fills.
pub const fn required(name: &'static str, kind: Type, unit: &'static str, meaning: &'static str) -> Column {
    Column { name, kind, nullable: false, unit, meaning }
}

/// A column that a row may leave empty.
pub const fn optional(name: &'static str, kind: Type, unit: &'static str, meaning: &'static str) -> Column {
    Column { name, kind, nullable: true, unit, meaning }
}

/// Table `packets`: one row per packet.
pub const PACKETS: &[Column] = &[
    optional("ts", Type::Time, "", "capture time; null where the file gives none"),
    required("sensor", Type::Keyword, "", "sensor name; empty for files"),
    optional("src", Type::Address, "", "outermost source address; null without an IP header"),
    optional("dst", Type::Address, "", "outermost destination address; null without an IP header"),
    optional("family", Type::U8, "", "4 or 6, of the outermost IP header"),
    optional("proto", Type::U8, "IP protocol number", "transport reached walking inward through tunnels"),
    optional("sport", Type::U16, "", "source port; null without ports"),
    optional("dport", Type::U16, "", "destination port; null without ports"),
    optional("tcp_flags", Type::U8, "bit set", "FIN 1, SYN 2, RST 4, PSH 8, ACK 16, URG 32, ECE 64, CWR 128"),
    optional("seq", Type::U32, "", "TCP sequence number"),
    optional("ack", Type::U32, "", "TCP acknowledgement number"),
    optional("window", Type::U16, "bytes", "TCP window as on the wire, not scaled"),
    optional(
        "tcp_options",
        Type::Keyword,
        "",
        "option kinds in order: M MSS, S SACK-permitted, T timestamp, N NOP, W window scale, E end, else [number]",
    ),
    optional("mss", Type::U16, "bytes", "TCP maximum segment size option"),
    optional("icmp_type", Type::U8, "", "ICMP or ICMPv6 type"),
    optional("icmp_code", Type::U8, "", "ICMP or ICMPv6 code"),
    optional("quoted_src", Type::Address, "", "source of the packet quoted by an ICMP error"),
    optional("quoted_dst", Type::Address, "", "destination of the quoted packet"),
    optional("quoted_proto", Type::U8, "IP protocol number", "protocol of the quoted packet"),
    optional("quoted_sport", Type::U16, "", "source port of the quoted packet"),
    optional("quoted_dport", Type::U16, "", "destination port of the quoted packet"),
    optional("ttl", Type::U8, "hops", "time to live or hop limit"),
    optional("ip_id", Type::U16, "", "IPv4 identification"),
    optional("dscp", Type::U8, "", "differentiated services code point"),
    required("fragment", Type::Bool, "", "any fragment, the first one included"),
    optional("vlan", Type::U16, "", "outermost VLAN id"),
    optional("tunnel", Type::Keyword, "", "outermost tunnel kind"),
    optional("inner_src", Type::Address, "", "first source address inside the tunnel"),
    optional("inner_dst", Type::Address, "", "first destination address inside the tunnel"),
    required("wire_len", Type::U32, "bytes", "length on the wire, link layer included"),
    required("cap_len", Type::U32, "bytes", "captured length"),
    optional("payload_len", Type::U32, "bytes", "transport payload by the headers' account"),
    optional("payload", Type::Bytes, "", "first captured payload bytes, as policy allows; null when empty"),
    required("tool_bits", Type::U16, "bit set", "scanner fingerprints this packet satisfies"),
    required("evidence", Type::U8, "", "0 spoofable, 1 challenge verified, 2 handshake"),
    required("oddities", Type::U32, "bit set", "what is odd about the packet"),
];

/// The column of that name.
pub fn find(table: &'static [Column], name: &str) -> Option<&'static Column> {
    table.iter().find(|column| column.name == name)
}

/// Arrow schema of some columns, in the order given.
pub fn schema_of<'a>(columns: impl IntoIterator<Item = &'a Column>) -> SchemaRef {
    let fields: Vec<Field> = columns.into_iter().map(|c| Field::new(c.name, c.kind.arrow(), c.nullable)).collect();
    Arc::new(Schema::new(fields))
}

/// Arrow schema of table `packets`.
pub fn packets_schema() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| schema_of(PACKETS));
    SCHEMA.clone()
}
