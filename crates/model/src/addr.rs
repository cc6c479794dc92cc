//! Addresses and prefixes, IPv4 and IPv6 alike.
//!
//! An [`Addr`] is 128 bits; IPv4 is held in the mapped block `::ffff:0:0/96` (RFC 4291, section 2.5.5.2), so that
//! tables, maps and files have one address type from the first day.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

const V4_MAPPED: u128 = 0xffff_0000_0000;

/// An IPv4 or IPv6 address. Ordered by its 128-bit value, hence all IPv4 together and in numeric order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Addr(pub u128);

impl Addr {
    /// The address with all bits zero; stands where a packet has no IP header.
    pub const NONE: Addr = Addr(0);

    /// From the 32-bit value of an IPv4 address.
    #[inline]
    pub const fn v4(bits: u32) -> Self {
        Addr(V4_MAPPED | bits as u128)
    }

    /// From 16 bytes in network order.
    #[inline]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Addr(u128::from_be_bytes(bytes))
    }

    /// 16 bytes in network order, IPv4 mapped.
    #[inline]
    pub const fn bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }

    /// True for addresses in the IPv4-mapped block.
    #[inline]
    pub const fn is_v4(self) -> bool {
        self.0 >> 32 == V4_MAPPED >> 32
    }

    /// The 32-bit value when this is IPv4.
    #[inline]
    pub const fn as_v4(self) -> Option<u32> {
        if self.is_v4() { Some(self.0 as u32) } else { None }
    }

    /// 4 or 6.
    #[inline]
    pub const fn family(self) -> u8 {
        if self.is_v4() { 4 } else { 6 }
    }

    /// The standard library's view of the address.
    pub fn ip(self) -> IpAddr {
        match self.as_v4() {
            Some(bits) => IpAddr::V4(Ipv4Addr::from(bits)),
            None => IpAddr::V6(Ipv6Addr::from(self.0)),
        }
    }

    /// The source network that statistics group by: the /24 of an IPv4 address, the /48 of an IPv6 one.
    pub fn network(self) -> Prefix {
        Prefix::new(self, if self.is_v4() { 24 } else { 48 })
    }
}

impl From<IpAddr> for Addr {
    fn from(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(v4) => Addr::v4(v4.into()),
            IpAddr::V6(v6) => Addr(v6.into()),
        }
    }
}

impl fmt::Display for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.ip().fmt(f)
    }
}

impl fmt::Debug for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not an address or a prefix.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseAddrError {
    /// Not an IPv4 or IPv6 address.
    #[error("\"{0}\" is not an IP address (expected a form like 192.0.2.1 or 2001:db8::1)")]
    Address(String),
    /// Not a prefix in CIDR notation.
    #[error("\"{0}\" is not a prefix (expected CIDR such as 192.0.2.0/24 or 2001:db8::/32)")]
    Prefix(String),
    /// The length does not fit the family.
    #[error("prefix length {length} of \"{text}\" is larger than {max}")]
    Length {
        /// What was given.
        text: String,
        /// The length in it.
        length: u32,
        /// The largest length of its family.
        max: u32,
    },
}

impl FromStr for Addr {
    type Err = ParseAddrError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse::<IpAddr>().map(Addr::from).map_err(|_| ParseAddrError::Address(text.to_owned()))
    }
}

/// A network prefix; `length` counts within its own family (0 to 32, or 0 to 128).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix {
    first: Addr,
    length: u8,
}

impl Prefix {
    /// The prefix of `length` bits that holds `addr`; host bits are cleared. `length` past the family's size is cut.
    pub fn new(addr: Addr, length: u8) -> Self {
        let bits = if addr.is_v4() { 96 + length.min(32) as u32 } else { length.min(128) as u32 };
        Prefix { first: Addr(addr.0 & mask(bits)), length: if addr.is_v4() { length.min(32) } else { length.min(128) } }
    }

    /// Lowest address.
    pub fn first(self) -> Addr {
        self.first
    }

    /// Highest address.
    pub fn last(self) -> Addr {
        Addr(self.first.0 | !mask(self.mapped_length()))
    }

    /// Length within its own family.
    pub fn length(self) -> u8 {
        self.length
    }

    /// Length counted over 128 bits.
    pub fn mapped_length(self) -> u32 {
        if self.first.is_v4() { 96 + self.length as u32 } else { self.length as u32 }
    }

    /// Number of addresses; saturates for `::/0`.
    pub fn size(self) -> u128 {
        1u128.checked_shl(128 - self.mapped_length()).unwrap_or(u128::MAX)
    }

    /// Whether the address lies inside.
    #[inline]
    pub fn contains(self, addr: Addr) -> bool {
        addr.0 & mask(self.mapped_length()) == self.first.0 && addr.is_v4() == self.first.is_v4()
    }
}

const fn mask(bits: u32) -> u128 {
    if bits == 0 { 0 } else { u128::MAX << (128 - bits) }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.length)
    }
}

impl fmt::Debug for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Prefix {
    type Err = ParseAddrError;
    /// A bare address is the prefix of that one address.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refused = || ParseAddrError::Prefix(text.to_owned());
        let (addr, length) = match text.split_once('/') {
            Some((addr, length)) => (addr, Some(length)),
            None => (text, None),
        };
        let addr: Addr = addr.parse().map_err(|_| refused())?;
        let max = if addr.is_v4() { 32 } else { 128 };
        let length = match length {
            None => max,
            Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => digits.parse().map_err(|_| refused())?,
            Some(_) => return Err(refused()),
        };
        if length > max {
            return Err(ParseAddrError::Length { text: text.to_owned(), length, max });
        }
        Ok(Prefix::new(addr, length as u8))
    }
}

macro_rules! serde_as_text {
    ($type:ty) => {
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(self)
            }
        }
        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(d)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}
serde_as_text!(Addr);
serde_as_text!(Prefix);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_round_trip() {
        for text in ["192.0.2.1", "0.0.0.0", "2001:db8::1", "::"] {
            assert_eq!(text.parse::<Addr>().unwrap().to_string(), text);
        }
        for text in ["192.0.2.0/24", "0.0.0.0/0", "2001:db8::/32", "::/0", "198.51.100.7/32"] {
            assert_eq!(text.parse::<Prefix>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn prefix_bounds() {
        let p: Prefix = "192.0.2.77/24".parse().unwrap();
        assert_eq!(p.to_string(), "192.0.2.0/24");
        assert_eq!(p.size(), 256);
        assert!(p.contains("192.0.2.255".parse().unwrap()));
        assert!(!p.contains("192.0.3.0".parse().unwrap()));
        assert!(!"::/0".parse::<Prefix>().unwrap().contains("192.0.2.1".parse().unwrap()));
        assert_eq!(p.last().to_string(), "192.0.2.255");
    }

    #[test]
    fn refusals_name_the_text() {
        for bad in ["", "1.2.3", "1.2.3.4/", "1.2.3.4/-1", "1.2.3.4/+8", "x/8", "1.2.3.4/99999999999"] {
            assert!(matches!(bad.parse::<Prefix>(), Err(ParseAddrError::Prefix(text)) if text == bad), "{bad}");
        }
        assert!(matches!("1.2.3.4/33".parse::<Prefix>(), Err(ParseAddrError::Length { max: 32, .. })));
    }
}
