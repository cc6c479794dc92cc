//! Scans and the campaigns that they belong to.

pub mod campaign;
pub(crate) mod probe;
pub(crate) mod probes;
pub mod survey;

use crate::config::{Scale, thresholds};
use crate::ddos::amplification::Requests;
use crate::ddos::vectors;
use crate::source::Source;
use noroshi_model::finding::{Position, Scan, ScanProtocol, ScanType, Tool};
use noroshi_model::packet::{ToolBits, Transport};
use noroshi_model::{Addr, Nanos};
use probe::{FewAddrs, Probe, ProbeKey, ProbeType};

/// Rate over the whole Internet that a scan must reach (Merit), packets per second.
pub const RATE_PPS_MIN: f64 = 10.0;
/// Ports of one destination that make a vertical scan.
pub const VERTICAL_PORTS_MIN: u64 = 10;
/// Ports that suffice when the destination refused and never spoke.
pub const VERTICAL_PORTS_REFUSED_MIN: u64 = 5;
/// Probes per port of a vertical scan, at most; more is a conversation.
pub const VERTICAL_PACKETS_PER_PORT_MAX: u64 = 6;
/// First port of traceroute, and how many it goes through at most: three for each of 64 hops.
const TRACEROUTE_PORTS: std::ops::Range<u16> = 33_434..33_434 + 3 * 64;
/// Ports and destinations that make a block scan when no single port does.
pub const BLOCK_PORTS_MIN: u64 = 5;
/// Destinations of a block scan.
pub const BLOCK_DESTINATIONS_MIN: u64 = 10;

/// A finished run of probes that may be a scan, a series of requests or a series of logins.
#[derive(Clone, Debug)]
pub(crate) struct Closed {
    pub(crate) source: Addr,
    pub(crate) kind: ProbeType,
    pub(crate) port: u16,
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
    pub(crate) destinations: u64,
    pub(crate) first: Nanos,
    pub(crate) last: Nanos,
    pub(crate) tool: Tool,
    pub(crate) samples: FewAddrs,
    pub(crate) peak_pps: u32,
    pub(crate) evidence: Vec<Position>,
}

/// The tool that a set of fingerprints speaks for.
pub(crate) fn tool_of(bits: ToolBits) -> Tool {
    if bits.has(ToolBits::MIRAI) {
        Tool::Mirai
    } else if bits.has(ToolBits::ZMAP_OLD) || bits.has(ToolBits::ZMAP_NEW) {
        Tool::Zmap
    } else if bits.has(ToolBits::MASSCAN) {
        Tool::Masscan
    } else if bits.has(ToolBits::NMAP_SYN) {
        Tool::Nmap
    } else {
        Tool::Unknown
    }
}

impl Closed {
    /// Keeps what may become a finding; drops the rest.
    pub(crate) fn of(source: Addr, key: ProbeKey, probe: Probe, last: Nanos, scale: &Scale) -> Option<Self> {
        let destinations = probe.destinations.len();
        let packets = u64::from(probe.packets);
        let wide = key.kind().can_scan() && destinations >= scale.scan_destinations_min;
        let insistent = packets >= 10 && packets >= destinations * 3;
        let kept = match key.kind() {
            ProbeType::Syn => wide || insistent,
            ProbeType::Udp => wide || insistent && vectors::amplifier(key.port()).is_some(),
            ProbeType::Data => insistent && crate::brute_force::service(key.port()).is_some(),
            _ => wide,
        };
        kept.then(|| Closed {
            source,
            kind: key.kind(),
            port: key.port(),
            packets,
            bytes: probe.bytes,
            destinations,
            first: probe.first,
            last,
            tool: tool_of(probe.consistent),
            peak_pps: probe.peak_pps(),
            evidence: probe.evidence(),
            samples: probe.long.map(|long| long.samples).unwrap_or_default(),
        })
    }

    /// Bytes behind its lists.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.samples.heap_bytes() + self.evidence.capacity() * size_of::<Position>()
    }

    /// As requests to a service that amplifies.
    pub(crate) fn requests(&self) -> Option<Requests> {
        (self.kind == ProbeType::Udp).then(|| Requests {
            source: self.source,
            port: self.port,
            packets: self.packets,
            bytes: self.bytes,
            destinations: self.destinations,
            first: self.first,
            last: self.last,
            peak_pps: self.peak_pps,
            evidence: self.evidence.clone(),
        })
    }

    /// Whether it is wide and fast enough for a horizontal scan.
    pub(crate) fn is_scan(&self, scale: &Scale) -> bool {
        let rate = rate_internet(self.packets, self.first, self.last, scale);
        self.kind.can_scan() && self.destinations >= scale.scan_destinations_min && rate >= RATE_PPS_MIN
    }

    /// As a horizontal scan. `named` are the tools of its source.
    pub(crate) fn scan(&self, scale: &Scale, named: &[Tool]) -> Scan {
        let tool = match self.tool {
            Tool::Unknown if named.len() == 1 && self.kind == ProbeType::Syn => named[0],
            tool => tool,
        };
        let (protocol, port) = match self.kind {
            ProbeType::Udp => (ScanProtocol::Udp, Some(self.port)),
            ProbeType::Icmp => (ScanProtocol::Icmp, None),
            ProbeType::Icmpv6 => (ScanProtocol::Icmpv6, None),
            _ => (ScanProtocol::Tcp, Some(self.port)),
        };
        let target = port.map_or_else(|| format!("with {protocol}"), |port| format!("on {protocol}/{port}"));
        Scan {
            source: self.source,
            protocol,
            port,
            kind: ScanType::Horizontal,
            packets: self.packets,
            destinations: self.destinations,
            first: self.first,
            last: self.last,
            tool,
            confidence: horizontal_confidence(self.destinations, scale),
            thresholds: thresholds([
                ("destinations_min", scale.scan_destinations_min as f64),
                ("rate_pps_min", RATE_PPS_MIN),
                ("gap_seconds", scale.scan_gap as f64 / 1e9),
                ("monitored_addresses", scale.addresses as f64),
            ]),
            detector: crate::detector("scan"),
            evidence: self.evidence.clone(),
            reason: format!(
                "{} probed {} monitored addresses {target} with {} packets in {:.0} s.",
                self.source,
                self.destinations,
                self.packets,
                self.last.seconds_since(self.first)
            ),
        }
    }
}

/// Packets per second over the whole Internet, as if the monitored space were a fair sample of it.
fn rate_internet(packets: u64, first: Nanos, last: Nanos, scale: &Scale) -> f64 {
    packets as f64 / last.seconds_since(first).max(1.0) * scale.factor()
}

fn horizontal_confidence(destinations: u64, scale: &Scale) -> f64 {
    let margin = (destinations as f64 / scale.scan_destinations_min as f64).log2().clamp(0.0, 5.0) / 5.0;
    0.7 + 0.29 * margin
}

/// Ports that one destination must have been asked on.
fn vertical_ports_min(refused: bool) -> u64 {
    if refused { VERTICAL_PORTS_REFUSED_MIN } else { VERTICAL_PORTS_MIN }
}

/// Whether what a source sent to its main destination is a vertical scan.
pub(crate) fn is_vertical(source: &Source, refused: bool) -> bool {
    source.vertical.as_ref().is_some_and(|vertical| {
        let ports = vertical.ports.len();
        let (low, high) = vertical.port_range;
        let traces =
            vertical.protocol == Transport::Udp && TRACEROUTE_PORTS.contains(&low) && TRACEROUTE_PORTS.contains(&high);
        ports >= vertical_ports_min(refused) && vertical.packets <= ports * VERTICAL_PACKETS_PER_PORT_MAX && !traces
    })
}

/// The vertical scan of a source that [`is_vertical`].
pub(crate) fn vertical(source: &Source, refused: bool) -> Option<Scan> {
    let vertical = source.vertical.as_ref()?;
    let (ports, ports_min) = (vertical.ports.len(), vertical_ports_min(refused));
    Some(Scan {
        source: source.addr,
        protocol: if vertical.protocol == Transport::Udp { ScanProtocol::Udp } else { ScanProtocol::Tcp },
        port: None,
        kind: ScanType::Vertical,
        packets: vertical.packets,
        destinations: 1,
        first: vertical.first,
        last: vertical.last,
        tool: only_tool(source),
        confidence: 0.7 + 0.29 * (ports as f64 / ports_min as f64).log2().clamp(0.0, 5.0) / 5.0,
        thresholds: thresholds([
            ("ports_min", ports_min as f64),
            ("packets_per_port_max", VERTICAL_PACKETS_PER_PORT_MAX as f64),
        ]),
        detector: crate::detector("scan"),
        evidence: vertical.position.into_iter().collect(),
        reason: format!(
            "{} probed {ports} ports of {} with {} packets.",
            source.addr, vertical.destination, vertical.packets
        ),
    })
}

/// Packets of a source that asked rather than answered.
pub(crate) fn asked(source: &Source) -> u64 {
    source.packets - source.answers
}

/// Whether a source whose ports are each too narrow to count alone scans a block. A scan spends few packets on each pair
/// of port and destination; whoever talks spends more.
pub(crate) fn is_block(source: &Source) -> bool {
    let (ports, destinations) = (source.port_count(), source.destinations.len());
    ports >= BLOCK_PORTS_MIN
        && destinations >= BLOCK_DESTINATIONS_MIN
        && asked(source) <= ports.max(destinations) * VERTICAL_PACKETS_PER_PORT_MAX
}

/// The block scan of a source that [`is_block`].
pub(crate) fn block(source: &Source) -> Option<Scan> {
    let (first, last) = source.times()?;
    let (ports, destinations) = (source.port_count(), source.destinations.len());
    Some(Scan {
        source: source.addr,
        protocol: if source.tcp_ports.len() >= source.udp_port_count() { ScanProtocol::Tcp } else { ScanProtocol::Udp },
        port: None,
        kind: ScanType::Block,
        packets: asked(source),
        destinations,
        first,
        last,
        tool: only_tool(source),
        confidence: 0.7,
        thresholds: thresholds([
            ("ports_min", BLOCK_PORTS_MIN as f64),
            ("destinations_min", BLOCK_DESTINATIONS_MIN as f64),
        ]),
        detector: crate::detector("scan"),
        evidence: source.vertical.as_ref().and_then(|vertical| vertical.position).into_iter().collect(),
        reason: format!(
            "{} probed {ports} ports of {destinations} monitored addresses with {} packets.",
            source.addr,
            asked(source)
        ),
    })
}

fn only_tool(source: &Source) -> Tool {
    match source.tools.tools()[..] {
        [tool] => tool,
        _ => Tool::Unknown,
    }
}
