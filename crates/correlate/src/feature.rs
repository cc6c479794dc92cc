//! What a profile is made of: tokens, each a value in one dimension of behaviour.

use noroshi_model::packet::{OptionKinds, ToolBits};
use std::fmt;

/// One dimension of behaviour. In each, the shares of a profile's values add up to at most one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Dimension {
    /// Protocol and destination port.
    Port,
    /// TCP window, where one value recurs.
    Window,
    /// TCP option kinds in order.
    Options,
    /// TCP maximum segment size.
    Mss,
    /// Hop limit at the start: 32, 64, 128 or 255.
    Ttl,
    /// Source port, where one recurs.
    SourcePort,
    /// Range that source ports are drawn from.
    SourceRange,
    /// Source port against the same source's packet before.
    SourceStep,
    /// IPv4 identification against the same source's packet before.
    IdStep,
    /// IPv4 identification where one recurs.
    Id,
    /// TCP sequence number against the same source's packet before.
    SequenceStep,
    /// Window against the same source's packet before.
    WindowStep,
    /// Destination port against the same source's packet before.
    PortStep,
    /// Destination address against the same source's packet before.
    TargetStep,
    /// Scanner fingerprints that single packets satisfy.
    Marks,
    /// Transport and TCP flags.
    Kind,
    /// Payload bytes.
    Length,
    /// First payload bytes.
    Payload,
    /// Differentiated services code point.
    Service,
    /// Probes per second of one source over the whole Internet, as a power of two.
    Rate,
    /// Seconds until the same probe is repeated, as a power of two.
    Retry,
    /// Irregularity of one source's gaps between packets.
    Rhythm,
}

/// Number of dimensions.
pub const DIMENSIONS: usize = 22;

/// The value that stands for all values that do not recur.
pub const VARIED: u32 = 0xff_ffff;

/// Steps, in the dimensions that compare with the packet before.
pub mod step {
    /// The same value.
    pub const SAME: u32 = 0;
    /// One to sixteen more.
    pub const UP: u32 = 1;
    /// One to sixteen less.
    pub const DOWN: u32 = 2;
    /// The same /24.
    pub const NEAR: u32 = 3;
    /// Anything else.
    pub const OTHER: u32 = 4;
    /// Names, in the order of the numbers.
    pub const NAMES: [&str; 5] = ["same", "next", "previous", "near", "other"];
}

/// Offset that makes the powers of two of [`Dimension::Rate`] and [`Dimension::Retry`] positive.
pub const POWER_OFFSET: u32 = 32;

impl Dimension {
    /// All, in the order of their numbers.
    pub const ALL: [Dimension; DIMENSIONS] = [
        Dimension::Port,
        Dimension::Window,
        Dimension::Options,
        Dimension::Mss,
        Dimension::Ttl,
        Dimension::SourcePort,
        Dimension::SourceRange,
        Dimension::SourceStep,
        Dimension::IdStep,
        Dimension::Id,
        Dimension::SequenceStep,
        Dimension::WindowStep,
        Dimension::PortStep,
        Dimension::TargetStep,
        Dimension::Marks,
        Dimension::Kind,
        Dimension::Length,
        Dimension::Payload,
        Dimension::Service,
        Dimension::Rate,
        Dimension::Retry,
        Dimension::Rhythm,
    ];

    /// Name in files.
    pub fn name(self) -> &'static str {
        match self {
            Dimension::Port => "port",
            Dimension::Window => "window",
            Dimension::Options => "options",
            Dimension::Mss => "mss",
            Dimension::Ttl => "ttl",
            Dimension::SourcePort => "source-port",
            Dimension::SourceRange => "source-range",
            Dimension::SourceStep => "source-step",
            Dimension::IdStep => "id-step",
            Dimension::Id => "id",
            Dimension::SequenceStep => "sequence-step",
            Dimension::WindowStep => "window-step",
            Dimension::PortStep => "port-step",
            Dimension::TargetStep => "target-step",
            Dimension::Marks => "marks",
            Dimension::Kind => "kind",
            Dimension::Length => "length",
            Dimension::Payload => "payload",
            Dimension::Service => "service",
            Dimension::Rate => "rate",
            Dimension::Retry => "retry",
            Dimension::Rhythm => "rhythm",
        }
    }

    /// In words, for reasons.
    pub fn words(self) -> &'static str {
        match self {
            Dimension::Port => "destination ports",
            Dimension::Window => "TCP window",
            Dimension::Options => "TCP options",
            Dimension::Mss => "maximum segment size",
            Dimension::Ttl => "hop limit at the start",
            Dimension::SourcePort => "source port",
            Dimension::SourceRange => "range of source ports",
            Dimension::SourceStep => "source port from packet to packet",
            Dimension::IdStep => "IP identification from packet to packet",
            Dimension::Id => "IP identification",
            Dimension::SequenceStep => "sequence number from packet to packet",
            Dimension::WindowStep => "window from packet to packet",
            Dimension::PortStep => "destination port from packet to packet",
            Dimension::TargetStep => "target from packet to packet",
            Dimension::Marks => "scanner fingerprints",
            Dimension::Kind => "kind of packet",
            Dimension::Length => "payload length",
            Dimension::Payload => "first payload bytes",
            Dimension::Service => "service code point",
            Dimension::Rate => "rate over the whole Internet",
            Dimension::Retry => "time until a probe is repeated",
            Dimension::Rhythm => "irregularity of the gaps",
        }
    }

    /// The dimension of a name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dimension| dimension.name() == name)
    }

    /// A value as files have it.
    pub fn write(self, value: u32) -> String {
        if value == VARIED {
            return "varied".to_owned();
        }
        match self {
            Dimension::Port => format!("{}/{}", TRANSPORTS[(value >> 16) as usize & 3], value & 0xffff),
            _ => value.to_string(),
        }
    }

    /// A value from a file.
    pub fn read(self, text: &str) -> Option<u32> {
        if text == "varied" {
            return Some(VARIED);
        }
        if self == Dimension::Port {
            let (transport, port) = text.split_once('/')?;
            let transport = TRANSPORTS.iter().position(|name| *name == transport)? as u32;
            return Some(transport << 16 | u32::from(port.parse::<u16>().ok()?));
        }
        text.parse().ok().filter(|value| *value < VARIED)
    }

    /// Whether single values say little until one recurs: then they are counted as varied.
    pub(crate) fn must_recur(self) -> bool {
        matches!(self, Dimension::Window | Dimension::SourcePort | Dimension::Id | Dimension::Payload | Dimension::Mss)
    }

    /// Values of a dimension that a profile keeps.
    pub(crate) fn kept(self) -> usize {
        if self == Dimension::Port { 12 } else { 4 }
    }
}

/// Transports of [`Dimension::Port`]; the last is for ICMP, whose type stands as the port.
pub const TRANSPORTS: [&str; 4] = ["tcp", "udp", "icmp", "other"];

/// A value in a dimension, in one word.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Token(pub u32);

impl Token {
    /// Packs; values past 24 bits are cut.
    #[inline]
    pub fn new(dimension: Dimension, value: u32) -> Self {
        Token((dimension as u32) << 24 | value & 0xff_ffff)
    }

    /// Number of the dimension.
    #[inline]
    pub fn dimension(self) -> usize {
        (self.0 >> 24) as usize
    }

    /// The value.
    #[inline]
    pub fn value(self) -> u32 {
        self.0 & 0xff_ffff
    }
}

/// Option kinds in 24 bits: as they are up to five of them, else a hash.
pub fn options_value(options: OptionKinds) -> u32 {
    if options.0 < 1 << 23 { options.0 as u32 } else { 1 << 23 | fold(options.0) & 0x7f_ffff }
}

/// Folds 64 bits to 24.
pub fn fold(value: u64) -> u32 {
    let mixed = (value ^ value >> 29).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    // The top value stands for "varied".
    ((mixed >> 40) as u32 & 0xff_ffff).min(VARIED - 1)
}

/// A value as a person reads it.
impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (value, Some(dimension)) = (self.value(), Dimension::ALL.get(self.dimension())) else {
            return write!(f, "unknown");
        };
        if value == VARIED {
            return write!(f, "varied");
        }
        match dimension {
            Dimension::Options if value == 0 => write!(f, "none"),
            Dimension::Options if value < 1 << 23 => write!(f, "{}", OptionKinds(u64::from(value))),
            Dimension::Options => write!(f, "a longer list ({value:06x})"),
            Dimension::Payload => write!(f, "{value:06x}"),
            Dimension::SourceRange => {
                write!(f, "{}", SOURCE_RANGES.get(value as usize).map_or("unknown", |range| range.1))
            }
            Dimension::SourceStep
            | Dimension::IdStep
            | Dimension::SequenceStep
            | Dimension::WindowStep
            | Dimension::PortStep
            | Dimension::TargetStep => write!(f, "{}", step::NAMES.get(value as usize).unwrap_or(&"unknown")),
            Dimension::Marks => {
                let names: Vec<&str> = ToolBits(value as u16).codes().collect();
                write!(f, "{}", if names.is_empty() { "none".to_owned() } else { names.join("+") })
            }
            Dimension::Kind => write!(f, "{} flags {:#04x}", TRANSPORTS[(value >> 8) as usize & 3], value & 0xff),
            Dimension::Rate => write!(f, "about {} per second", power(value)),
            Dimension::Retry => write!(f, "about {} s", power(value)),
            Dimension::Rhythm => write!(f, "{}", RHYTHMS.get(value as usize).unwrap_or(&"unknown")),
            Dimension::Length => write!(f, "{value} bytes"),
            other => write!(f, "{}", other.write(value)),
        }
    }
}

fn power(value: u32) -> String {
    let exact = f64::from(value as i32 - POWER_OFFSET as i32).exp2();
    if exact >= 1.0 { format!("{exact:.0}") } else { format!("{exact:.2}") }
}

/// Highest port of each range that source ports are drawn from, and its name: privileged, registered, the ephemeral
/// range of Linux, and above (RFC 6335, `ip_local_port_range`).
pub const SOURCE_RANGES: [(u16, &str); 4] =
    [(1023, "below 1024"), (32_767, "1024 to 32767"), (60_999, "32768 to 60999"), (65_535, "above 61000")];

/// Names of the classes of [`Dimension::Rhythm`], by the coefficient of variation in steps of a half: a clock has 0, a
/// Poisson process 1, bursts more.
pub const RHYTHMS: [&str; 6] = ["like a clock", "fairly even", "like chance", "uneven", "in bursts", "in rare bursts"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_in_the_order_of_the_numbers() {
        for (number, dimension) in Dimension::ALL.into_iter().enumerate() {
            assert_eq!(dimension as usize, number);
            assert_eq!(Dimension::named(dimension.name()), Some(dimension));
            for value in [0, 7, VARIED] {
                assert_eq!(dimension.read(&dimension.write(value)), Some(value), "{dimension:?}");
            }
        }
    }

    #[test]
    fn values_read_like_words() {
        assert_eq!(Token::new(Dimension::Port, 1 << 16 | 53).to_string(), "udp/53");
        assert_eq!(
            Token::new(Dimension::Options, options_value(OptionKinds::parse("MSTNW").unwrap())).to_string(),
            "MSTNW"
        );
        assert_eq!(Token::new(Dimension::Rate, POWER_OFFSET + 7).to_string(), "about 128 per second");
        assert_eq!(Token::new(Dimension::Marks, 1).to_string(), "mirai");
        assert_eq!(Token::new(Dimension::Window, VARIED).to_string(), "varied");
    }
}
