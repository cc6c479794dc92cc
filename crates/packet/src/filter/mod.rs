//! tcpdump's filter language (pcap-filter(7)), read into a tree and asked of each frame.
//!
//! Meaning follows libpcap, its surprises included: `and` and `or` bind equally and from left to right; `vlan`, `mpls`
//! and `pppoes` shift what stands behind them; a load beyond the captured bytes rejects the packet, under `not` too;
//! `tcp[...]` asks only IPv4 packets that are no later fragments. Names of hosts are not looked up.

mod lex;
mod names;
mod parse;
mod run;

use crate::capture::LinkType;

/// Nested brackets, negations and operands, at most: the parser and the tree are recursive.
const DEPTH_MAX: usize = 120;

/// Why an expression is not a filter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// A word that does not fit.
    #[error("the filter cannot be understood at byte {0}")]
    Word(usize),
    /// Something is missing at the end.
    #[error("the filter ends too early")]
    EndsEarly,
    /// It asks for what no captured frame can answer.
    #[error("the filter cannot be used on captured packets: {0}")]
    NotHere(&'static str),
    /// Brackets within brackets.
    #[error("the filter is nested too deeply")]
    TooDeep,
}

/// A filter that was understood.
#[derive(Clone, Debug)]
pub struct Filter {
    root: Test,
}

impl Filter {
    /// Reads an expression. Work and memory grow with its length only.
    pub fn compile(expression: &str) -> Result<Filter, FilterError> {
        parse::parse(expression).map(|root| Filter { root })
    }

    /// Whether a frame matches; `None` when frames of this link type cannot be looked into. `wire_len` is the original
    /// length, which `len`, `less` and `greater` speak of.
    pub fn matches(&self, link: LinkType, frame: &[u8], wire_len: u32) -> Option<bool> {
        run::matches(&self.root, link, frame, wire_len)
    }
}

/// What a filter asks.
#[derive(Clone, Debug)]
enum Test {
    Not(Box<Test>),
    /// Left to right; each later operand is joined to the result so far.
    Chain(Box<Test>, Vec<(Join, Test)>),
    Compare(Relation, Box<Value>, Box<Value>),
    Packet(Place, Primitive),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Join {
    And,
    Or,
}

/// Headers that earlier words of the expression have stepped over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Place(Vec<Step>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Vlan,
    Mpls,
    Pppoe,
}

/// Which of two addresses or ports must fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Source,
    Destination,
    Either,
    Both,
}

/// Address families that an address is looked for in.
#[derive(Clone, Copy, Debug, Default)]
struct Families {
    ip: bool,
    arp: bool,
    rarp: bool,
}

/// Transports whose ports are compared.
#[derive(Clone, Copy, Debug)]
struct Transports {
    tcp: bool,
    udp: bool,
    sctp: bool,
}

#[derive(Clone, Debug)]
enum Primitive {
    /// Ethertype, or LLC service access point below 1,501.
    EtherType(u16),
    /// LLC frame of any kind.
    Llc,
    Ipx,
    AppleTalk(u16),
    /// LLC with both access points the same.
    Saps(u8),
    /// IP protocol: in IPv4, in IPv6 (a fragment header is looked behind).
    Protocol {
        number: u8,
        v4: bool,
        v6: bool,
    },
    /// As [`Primitive::Protocol`], behind any extension or authentication headers.
    Chain {
        number: u8,
        v4: bool,
        v6: bool,
    },
    Net4 {
        address: u32,
        mask: u32,
        side: Side,
        families: Families,
    },
    Net6 {
        address: u128,
        mask: u128,
        side: Side,
    },
    Mac([u8; 6], Side),
    Ports {
        low: u16,
        high: u16,
        side: Side,
        transports: Transports,
    },
    EtherMulticast,
    IpMulticast,
    Ip6Multicast,
    Vlan(Option<u16>),
    Mpls(Option<u32>),
    Pppoes(Option<u16>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Relation {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Clone, Debug)]
enum Value {
    Number(u32),
    /// Original length.
    Length,
    Load {
        place: Place,
        layer: Layer,
        at: Box<Value>,
        size: u8,
    },
    Binary(Operation, Box<Value>, Box<Value>),
    Negative(Box<Value>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    And,
    Or,
    Xor,
    Left,
    Right,
}

/// What an index counts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layer {
    Link,
    /// Header behind this ethertype.
    Network(u16),
    /// Header behind IPv4 with this protocol.
    Over4(u8),
    /// Header behind IPv6 with this protocol as its first.
    Over6(u8),
}
