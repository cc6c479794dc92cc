//! The reflector honeypot: services that attackers use to amplify, answering just enough to be believed.
//!
//! ```text
//!  datagram ──▶ one folder per protocol: parse, small reply ──▶ budget: may it leave? ──▶ reply
//!                                    └──────────── row of table `requests` ────────────────────▶ sink
//! ```
//!
//! A request's source may be forged, so every reply may hit someone who asked for nothing. Hence three layers, each
//! sufficient to keep a victim safe: replies are hardly larger than requests (`reply_cap`), [`budget`] bounds replies
//! and bytes per network and for the sensor as a whole, and the host limits the port once more
//! (`docs/operate/lures.md`). Nothing here connects to anything: answers are invented, never fetched.

pub mod ber;
pub mod budget;
pub mod cldap;
pub mod coap;
pub mod dns;
pub mod generic;
pub mod honeypot;
pub mod memcached;
pub mod ntp;
pub mod persona;
pub mod selective;
pub mod server;
pub mod snmp;
pub mod ssdp;
#[cfg(test)]
mod tests_support;
pub mod ws_discovery;

pub use budget::{Bounds, Budget};
pub use honeypot::{Arrival, Honeypot};
pub use persona::Persona;
pub use server::{Bound, Config, ServeError, Service, Tally, bind, serve};
pub use ssdp::server as upnp_server;

use noroshi_model::finding::Vector;
use noroshi_model::{Addr, Nanos};

/// A datagram as a protocol sees it.
#[derive(Clone, Copy)]
pub struct Question<'a> {
    /// What came.
    pub payload: &'a [u8],
    /// From where, by the packet's own account.
    pub src: Addr,
    /// Its port.
    pub sport: u16,
    /// The sensor's address that was asked.
    pub dst: Addr,
    /// The port that was asked.
    pub dport: u16,
    /// Wall-clock time, for replies that tell it.
    pub now: Nanos,
    /// Who the sensor pretends to be.
    pub persona: &'a Persona,
}

/// What a protocol made of a datagram.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Heard {
    /// Protocol, as named by the payload.
    pub vector: Vector,
    /// What was asked.
    pub method: String,
    /// Name in the question.
    pub name: String,
    /// Equal for requests that differ only in transaction numbers.
    pub hash: u64,
    /// What a real service would say, if it is small enough.
    pub answer: Answer,
}

/// The answer of a protocol, before the budget.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    /// These bytes.
    Reply(Vec<u8>),
    /// A real service says nothing to this either, or it is only recorded.
    Nothing,
    /// Not a well-formed request.
    Malformed,
}

impl Heard {
    fn malformed(vector: Vector, payload: &[u8]) -> Self {
        Heard {
            vector,
            method: "malformed".into(),
            name: String::new(),
            hash: hash(payload),
            answer: Answer::Malformed,
        }
    }
}

/// A service that can be listened for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// DNS, usually on port 53.
    Dns,
    /// NTP, usually on port 123: modes 3, 6 and 7.
    Ntp,
    /// SSDP, usually on port 1900.
    Ssdp,
    /// Connection-less LDAP, usually on port 389.
    Cldap,
    /// memcached, usually on port 11211.
    Memcached,
    /// SNMP versions 1 and 2c, usually on port 161.
    Snmp,
    /// CoAP, usually on port 5683.
    Coap,
    /// WS-Discovery, usually on port 3702.
    WsDiscovery,
    /// Anything: named by port and payload, recorded, never answered.
    Generic,
}

impl Protocol {
    /// All, the generic one last.
    pub const ALL: [Protocol; 9] = [
        Protocol::Dns,
        Protocol::Ntp,
        Protocol::Ssdp,
        Protocol::Cldap,
        Protocol::Memcached,
        Protocol::Snmp,
        Protocol::Coap,
        Protocol::WsDiscovery,
        Protocol::Generic,
    ];

    /// Its registered port; none for the generic one.
    pub const fn port(self) -> Option<u16> {
        Some(match self {
            Protocol::Dns => 53,
            Protocol::Ntp => 123,
            Protocol::Ssdp => 1900,
            Protocol::Cldap => 389,
            Protocol::Memcached => 11211,
            Protocol::Snmp => 161,
            Protocol::Coap => 5683,
            Protocol::WsDiscovery => 3702,
            Protocol::Generic => return None,
        })
    }

    /// Name in settings and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Protocol::Dns => "dns",
            Protocol::Ntp => "ntp",
            Protocol::Ssdp => "ssdp",
            Protocol::Cldap => "cldap",
            Protocol::Memcached => "memcached",
            Protocol::Snmp => "snmp",
            Protocol::Coap => "coap",
            Protocol::WsDiscovery => "ws-discovery",
            Protocol::Generic => "generic",
        }
    }

    /// The smallest reply that convinces, in bytes of payload. Up to here a reply may exceed twice its request; larger
    /// values make the lure more believable and a forged request worth more. Ours, measured against real services.
    const fn floor(self) -> usize {
        match self {
            Protocol::Dns | Protocol::Ntp | Protocol::Memcached => 128,
            Protocol::Snmp | Protocol::Coap => 160,
            Protocol::Cldap => 256,
            Protocol::Ssdp => 320,
            Protocol::WsDiscovery | Protocol::Generic => 0,
        }
    }

    /// Reads a datagram and says what a real service would answer.
    pub fn hear(self, question: &Question) -> Heard {
        match self {
            Protocol::Dns => dns::hear(question),
            Protocol::Ntp => ntp::hear(question),
            Protocol::Ssdp => ssdp::hear(question),
            Protocol::Cldap => cldap::hear(question),
            Protocol::Memcached => memcached::hear(question),
            Protocol::Snmp => snmp::hear(question),
            Protocol::Coap => coap::hear(question),
            Protocol::WsDiscovery => ws_discovery::hear(question),
            Protocol::Generic => generic::hear(question),
        }
    }
}

impl std::str::FromStr for Protocol {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Protocol::ALL.into_iter().find(|protocol| protocol.name() == text).ok_or_else(|| {
            let names: Vec<_> = Protocol::ALL.iter().map(|protocol| protocol.name()).collect();
            format!("\"{text}\" is no service; known are: {}", names.join(", "))
        })
    }
}

/// Most payload bytes of a reply: twice the request (methods C1), or the protocol's floor.
pub fn reply_cap(protocol: Protocol, request: usize) -> usize {
    (2 * request).max(protocol.floor()).min(MAX_REPLY)
}

/// No reply is ever larger: beyond the hourly bytes of a network there is nothing to gain.
const MAX_REPLY: usize = 1_200;

/// FNV-1a over the bytes, finished by a mixing step: stable across machines and releases, as tables need.
pub fn hash(bytes: &[u8]) -> u64 {
    let mut state = 0xcbf2_9ce4_8422_2325u64;
    for byte in bytes {
        state = (state ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    }
    persona::mix(state)
}

/// The hash of a payload in which one range is transaction numbers.
fn hash_without(payload: &[u8], range: std::ops::Range<usize>) -> u64 {
    let mut masked = payload.to_vec();
    if let Some(part) = masked.get_mut(range) {
        part.fill(0);
    }
    hash(&masked)
}

/// Text from foreign bytes: at most 255 characters, what is not printable ASCII escaped.
fn printable(bytes: &[u8]) -> String {
    bytes.iter().take(255).flat_map(|byte| std::ascii::escape_default(*byte)).map(char::from).take(255).collect()
}
