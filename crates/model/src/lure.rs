//! The lures a sensor can hold out. A policy names those that may run; the sensor's host says where they listen.

use std::fmt;
use std::str::FromStr;

/// A service that pretends.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lure {
    /// A device with a telnet login.
    Telnet,
    /// The same device over SSH.
    Ssh,
    /// The same device's web pages.
    Http,
    /// The same device's debug bridge (Android).
    Adb,
    /// A Redis server without a password.
    Redis,
    /// The same device's UPnP control endpoint (SOAP).
    Upnp,
    /// Any TCP port of a prefix: the handshake and the first payload, nothing more.
    Tcp,
    /// DNS.
    Dns,
    /// NTP, modes 3, 6 and 7.
    Ntp,
    /// SSDP.
    Ssdp,
    /// Connection-less LDAP.
    Cldap,
    /// memcached over UDP.
    Memcached,
    /// SNMP.
    Snmp,
    /// CoAP.
    Coap,
    /// WS-Discovery.
    WsDiscovery,
    /// Any UDP port: recorded, never answered.
    Generic,
}

impl Lure {
    /// All, by name.
    pub const ALL: [Lure; 16] = [
        Lure::Telnet,
        Lure::Ssh,
        Lure::Http,
        Lure::Adb,
        Lure::Redis,
        Lure::Upnp,
        Lure::Tcp,
        Lure::Dns,
        Lure::Ntp,
        Lure::Ssdp,
        Lure::Cldap,
        Lure::Memcached,
        Lure::Snmp,
        Lure::Coap,
        Lure::WsDiscovery,
        Lure::Generic,
    ];

    /// Name in policies and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Lure::Telnet => "telnet",
            Lure::Ssh => "ssh",
            Lure::Http => "http",
            Lure::Adb => "adb",
            Lure::Redis => "redis",
            Lure::Upnp => "upnp",
            Lure::Tcp => "tcp",
            Lure::Dns => "dns",
            Lure::Ntp => "ntp",
            Lure::Ssdp => "ssdp",
            Lure::Cldap => "cldap",
            Lure::Memcached => "memcached",
            Lure::Snmp => "snmp",
            Lure::Coap => "coap",
            Lure::WsDiscovery => "ws-discovery",
            Lure::Generic => "generic",
        }
    }

    /// Names of all, for messages.
    pub fn names() -> String {
        Lure::ALL.map(Lure::name).join(", ")
    }

    /// Whether visitors hold a dialogue over TCP (rather than send datagrams).
    pub const fn is_dialogue(self) -> bool {
        matches!(self, Lure::Telnet | Lure::Ssh | Lure::Http | Lure::Adb | Lure::Redis | Lure::Upnp)
    }
}

impl fmt::Display for Lure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The text names no lure.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a lure; there are: {names}", names = Lure::names())]
pub struct UnknownLure(pub String);

impl FromStr for Lure {
    type Err = UnknownLure;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Lure::ALL.into_iter().find(|lure| lure.name() == text).ok_or_else(|| UnknownLure(text.to_owned()))
    }
}
