//! What detectors emit.
//!
//! Every finding carries who, what, when, how much, how sure, the evidence and the thresholds that were used, and one
//! sentence for a person. Names of kinds are the published ones (`docs/report.schema.json`).

use crate::{Addr, Nanos, Prefix};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// An enum whose variants have one published name each.
macro_rules! named {
    ($(#[$meta:meta])* $name:ident { $($(#[$item_meta:meta])* $item:ident = $text:literal,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
        pub enum $name { $($(#[$item_meta])* #[serde(rename = $text)] $item,)* }
        impl $name {
            /// All variants, in declared order.
            pub const ALL: &'static [$name] = &[$($name::$item,)*];
            /// The published name.
            pub const fn name(self) -> &'static str { match self { $($name::$item => $text,)* } }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.pad(self.name()) }
        }
    };
}
pub(crate) use named;

named! {
    /// What made the probes.
    Tool {
        /// ZMap, any age.
        Zmap = "zmap",
        /// masscan, any age.
        Masscan = "masscan",
        /// Mirai and its descendants.
        Mirai = "mirai",
        /// nmap's SYN scan.
        Nmap = "nmap",
        /// unicornscan.
        Unicornscan = "unicornscan",
        /// None of the known ones.
        Unknown = "unknown",
    }
}

named! {
    /// What a source is, beside what it sends.
    Label {
        /// Scans for research; on a list, or behaving so.
        ResearchScanner = "research-scanner",
        /// Infrastructure that is known to be harmless.
        KnownBenign = "known-benign",
        /// A victim answering packets that were forged in others' names.
        Backscatter = "backscatter",
        /// Carries the mark of self-spreading malware.
        Infected = "infected",
        /// Answers requests that were forged in a victim's name.
        Reflector = "reflector",
        /// The address may be forged.
        Spoofable = "spoofable",
    }
}

named! {
    /// Shape of a scan.
    ScanType {
        /// One port, many destinations.
        Horizontal = "horizontal",
        /// Many ports of one destination.
        Vertical = "vertical",
        /// Many ports of many destinations.
        Block = "block",
    }
}

named! {
    /// Protocol of a scan.
    ScanProtocol {
        /// TCP.
        Tcp = "tcp",
        /// UDP.
        Udp = "udp",
        /// ICMP.
        Icmp = "icmp",
        /// ICMPv6.
        Icmpv6 = "icmpv6",
    }
}

named! {
    /// Kind of a denial-of-service attack.
    AttackKind {
        /// Seen from the victim's replies to packets with forged sources.
        Backscatter = "backscatter",
        /// Replies of reflectors arrive at the victim.
        Reflection = "reflection",
        /// Requests in the victim's name seen at a sensor.
        Amplification = "amplification",
        /// Direct flood arriving at the victim.
        Flood = "flood",
        /// Many victims of one prefix.
        Carpet = "carpet",
    }
}

named! {
    /// How an attack is made.
    Vector {
        /// DNS.
        Dns = "dns",
        /// NTP.
        Ntp = "ntp",
        /// SSDP.
        Ssdp = "ssdp",
        /// Connection-less LDAP.
        Cldap = "cldap",
        /// memcached.
        Memcached = "memcached",
        /// SNMP.
        Snmp = "snmp",
        /// Character generator.
        Chargen = "chargen",
        /// Quote of the day.
        Qotd = "qotd",
        /// CoAP.
        Coap = "coap",
        /// TFTP.
        Tftp = "tftp",
        /// NetBIOS name service.
        Netbios = "netbios",
        /// RPC portmapper.
        Portmap = "portmap",
        /// Multicast DNS.
        Mdns = "mdns",
        /// Web Services Discovery.
        WsDiscovery = "ws-discovery",
        /// Apple Remote Management Service.
        Arms = "arms",
        /// Ubiquiti discovery.
        Ubiquiti = "ubiquiti",
        /// DHDiscover of DVRs on port 37810.
        Dvr37810 = "dvr-37810",
        /// BACnet.
        Bacnet = "bacnet",
        /// OpenVPN.
        Openvpn = "openvpn",
        /// STUN.
        Stun = "stun",
        /// SIP.
        Sip = "sip",
        /// Steam and Source engine queries.
        Steam = "steam",
        /// IKE and ISAKMP.
        Ike = "ike",
        /// Microsoft SQL Server browser.
        Mssql = "mssql",
        /// RIP version 1.
        Rip = "rip",
        /// Service Location Protocol.
        Slp = "slp",
        /// L2TP.
        L2tp = "l2tp",
        /// IPMI.
        Ipmi = "ipmi",
        /// Apple Remote Desktop.
        Ard = "ard",
        /// Plex media server discovery.
        Plex = "plex",
        /// RDP over UDP.
        RdpUdp = "rdp-udp",
        /// Reflected SYN-ACK.
        TcpSynAck = "tcp-syn-ack",
        /// TCP middlebox reflection.
        TcpMiddlebox = "tcp-middlebox",
        /// SYN flood.
        TcpSyn = "tcp-syn",
        /// ACK flood.
        TcpAck = "tcp-ack",
        /// RST flood.
        TcpRst = "tcp-rst",
        /// Any other TCP.
        TcpOther = "tcp-other",
        /// ICMP echo.
        IcmpEcho = "icmp-echo",
        /// Any other ICMP.
        IcmpOther = "icmp-other",
        /// ICMPv6.
        Icmpv6 = "icmpv6",
        /// UDP without a known service.
        UdpOther = "udp-other",
        /// IP fragments.
        Fragments = "fragments",
        /// Anything else.
        Other = "other",
    }
}

/// Where a packet of evidence stands: which input of the run, and which packet of it, both counted from 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Position {
    /// Index of the input.
    pub file: u32,
    /// Ordinal of the packet in it.
    pub packet: u64,
}

/// Thresholds as used for one finding: name to value. Names end in their unit.
pub type Thresholds = BTreeMap<String, f64>;

/// One source probing one port (or many ports of one host).
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Scan {
    /// Who.
    pub source: Addr,
    /// Protocol.
    pub protocol: ScanProtocol,
    /// Destination port; none for a vertical or block scan and for ICMP.
    pub port: Option<u16>,
    /// Shape.
    #[serde(rename = "type")]
    pub kind: ScanType,
    /// Packets that belong to it.
    pub packets: u64,
    /// Distinct destinations.
    pub destinations: u64,
    /// First packet.
    pub first: Nanos,
    /// Last packet.
    pub last: Nanos,
    /// What made the probes.
    pub tool: Tool,
    /// How sure, 0 to 1.
    pub confidence: f64,
    /// Thresholds used.
    pub thresholds: Thresholds,
    /// Name and version of the detector.
    pub detector: String,
    /// Packets to look at.
    pub evidence: Vec<Position>,
    /// One sentence.
    pub reason: String,
}

/// Scans that belong together.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Campaign {
    /// Stable for the same input.
    pub id: String,
    /// Destination ports.
    pub ports: Vec<u16>,
    /// What made the probes.
    pub tool: Tool,
    /// Number of sources.
    pub sources: u64,
    /// Packets of all of them.
    pub packets: u64,
    /// First packet.
    pub first: Nanos,
    /// Last packet.
    pub last: Nanos,
    /// The sources, ascending.
    pub members: Vec<Addr>,
    /// How sure, 0 to 1.
    pub confidence: f64,
    /// Thresholds used.
    pub thresholds: Thresholds,
    /// Name and version of the detector.
    pub detector: String,
    /// Packets to look at.
    pub evidence: Vec<Position>,
    /// One sentence.
    pub reason: String,
}

/// Who is attacked: one address, or a prefix under carpet bombing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Victim {
    /// One address.
    Address(Addr),
    /// Many addresses of one prefix.
    Network(Prefix),
}

impl fmt::Display for Victim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Victim::Address(addr) => addr.fmt(f),
            Victim::Network(prefix) => prefix.fmt(f),
        }
    }
}

/// Denial of service on a victim.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Attack {
    /// How it was seen.
    pub kind: AttackKind,
    /// How it is made.
    pub vector: Vector,
    /// Who suffers.
    pub victim: Victim,
    /// Attacked port, where one stands out.
    pub victim_port: Option<u16>,
    /// Packets seen.
    pub packets: u64,
    /// Bytes seen, on the wire.
    pub bytes: u64,
    /// Distinct sources of those packets.
    pub sources: u64,
    /// First packet.
    pub first: Nanos,
    /// Last packet.
    pub last: Nanos,
    /// One-second peak at the sensor, unscaled, in packets per second.
    pub peak_pps: f64,
    /// Estimate at the victim, scaled by the size of the monitored space; none when not meaningful.
    pub estimated_pps: Option<f64>,
    /// How sure, 0 to 1.
    pub confidence: f64,
    /// Thresholds used.
    pub thresholds: Thresholds,
    /// Name and version of the detector.
    pub detector: String,
    /// Packets to look at.
    pub evidence: Vec<Position>,
    /// One sentence.
    pub reason: String,
}
