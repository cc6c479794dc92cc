//! What can be filtered and grouped by: columns of table `packets`, and what is derived from them.

use noroshi_model::columns;

/// What a field holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shape {
    /// An unsigned number with an upper bound.
    Number {
        /// Largest possible value.
        max: u64,
    },
    /// An address.
    Address,
    /// A word; the list is empty when any word may stand there.
    Word(&'static [&'static str]),
}

/// What a packet is to the eye, decided from its header alone. One colour each on every screen.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Kind {
    /// Opens a TCP connection: somebody looks for a service.
    Scan,
    /// Such a probe with the mark of Mirai and its kin.
    Infected,
    /// Answers something that we never sent: a victim of forged sources.
    Backscatter,
    /// A request to a service that amplifies.
    Amplification,
    /// Any other UDP.
    Udp,
    /// Everything else.
    Other,
}

impl Kind {
    /// All kinds, in the order of their numbers.
    pub const ALL: [Kind; 6] =
        [Kind::Scan, Kind::Infected, Kind::Backscatter, Kind::Amplification, Kind::Udp, Kind::Other];
    /// Their names, in the same order.
    pub const NAMES: [&'static str; 6] = ["scan", "infected", "backscatter", "amplification", "udp", "other"];

    /// The published name.
    pub const fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }
}

macro_rules! fields {
    ($($item:ident = $name:literal, $shape:expr, $group:literal, $meaning:expr;)*) => {
        /// A field of the filter language; groupable ones are also dimensions of Explore.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[allow(missing_docs)]
        pub enum Field { $($item,)* }
        impl Field {
            /// All fields, in the order they are offered.
            pub const ALL: &'static [Field] = &[$(Field::$item,)*];
            /// The name in filters, queries and the address bar.
            pub const fn name(self) -> &'static str { match self { $(Field::$item => $name,)* } }
            /// What it holds.
            pub const fn shape(self) -> Shape { match self { $(Field::$item => $shape,)* } }
            /// Whether statistics can be grouped by it.
            pub const fn groups(self) -> bool { match self { $(Field::$item => $group,)* } }
            const fn own_meaning(self) -> &'static str { match self { $(Field::$item => $meaning,)* } }
        }
    };
}

const U8: Shape = Shape::Number { max: u8::MAX as u64 };
const U16: Shape = Shape::Number { max: u16::MAX as u64 };
const U32: Shape = Shape::Number { max: u32::MAX as u64 };
const ANY: Shape = Shape::Word(&[]);

fields! {
    Kind = "kind", Shape::Word(&Kind::NAMES), true, "what the packet is, by its header: scan, backscatter, …";
    Country = "country", ANY, true, "country of the source (ISO 3166), by the installed table";
    Src = "src", Shape::Address, true, "";
    Network = "network", Shape::Address, true, "/24 of an IPv4 source, /48 of an IPv6 source";
    Dst = "dst", Shape::Address, true, "";
    QuotedDst = "quoted_dst", Shape::Address, true, "";
    Dport = "dport", U16, true, "";
    Sport = "sport", U16, true, "";
    Proto = "proto", U8, true, "";
    Tool = "tool", Shape::Word(&["zmap", "masscan", "mirai", "nmap"]), true, "scanner whose fingerprint this packet satisfies; one packet proves nothing";
    Sensor = "sensor", ANY, true, "";
    Flags = "tcp_flags", U8, true, "";
    Ttl = "ttl", U8, true, "";
    Window = "window", U16, true, "";
    Mss = "mss", U16, true, "";
    IpId = "ip_id", U16, true, "";
    IcmpType = "icmp_type", U8, true, "";
    IcmpCode = "icmp_code", U8, true, "";
    Family = "family", U8, true, "";
    Evidence = "evidence", U8, true, "";
    WireLen = "wire_len", U32, true, "";
    PayloadLen = "payload_len", U32, true, "";
    Seq = "seq", U32, false, "";
}

impl Field {
    /// The field of that name.
    pub fn find(name: &str) -> Option<Field> {
        Field::ALL.iter().copied().find(|field| field.name() == name)
    }

    /// What it means: from the column's declaration where there is one.
    pub fn meaning(self) -> &'static str {
        match self.own_meaning() {
            "" => columns::find(columns::PACKETS, self.name()).map_or("", |column| column.meaning),
            text => text,
        }
    }

    /// Whether values of it identify a sensor: its addresses, or the name that its host knows it by.
    pub const fn shows_sensor(self) -> bool {
        matches!(self, Field::Dst | Field::Sensor)
    }

    /// Names that may stand for numbers.
    pub const fn aliases(self) -> &'static [(&'static str, u64)] {
        match self {
            Field::Proto => &[("icmp", 1), ("tcp", 6), ("udp", 17), ("gre", 47), ("icmpv6", 58), ("sctp", 132)],
            Field::Flags => {
                &[("syn", 2), ("synack", 18), ("rst", 4), ("rstack", 20), ("ack", 16), ("fin", 1), ("pshack", 24)]
            }
            Field::Evidence => &[("spoofable", 0), ("challenge_verified", 1), ("handshake", 2)],
            _ => &[],
        }
    }
}
