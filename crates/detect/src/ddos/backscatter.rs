//! Attacks inferred from what victims send back to forged sources.
//!
//! Moore, Voelker, Savage, "Inferring Internet Denial-of-Service Activity", USENIX Security 2001, with the thresholds of
//! CAIDA's Corsaro (25 packets, 60 s, 30 packets in a sliding minute, 300 s of silence), scaled to the size of the
//! monitored space ([`crate::config::Scale`]).

use super::Meter;
use crate::config::{Scale, thresholds};
use crate::set::{AddrSet, PortCounter, PortSet};
use crate::shard::{Answer, unpacked};
use noroshi_model::finding::{Attack, AttackKind, Vector, Victim};
use noroshi_model::packet::{Quoted, Transport, proto, tcp};
use noroshi_model::{Addr, Nanos};

/// Silence after which an attack is over, nanoseconds.
pub const SILENCE: i64 = 300 * 1_000_000_000;
/// Shortest attack, seconds; shorter bursts are misconfiguration as often as attack (Moore et al.).
pub const DURATION_SECONDS_MIN: f64 = 60.0;
/// An answer that goes on evenly through at least this share of a long observation has no onset that could be an
/// attack's: a permanently misconfigured or permanently probed host.
pub const CONTINUOUS_SHARE_MAX: f64 = 0.9;
/// Observation from which on that is judged, seconds.
pub const CONTINUOUS_SECONDS_MIN: f64 = 6.0 * 3_600.0;
/// Peak over mean rate below which a series counts as even.
const EVEN_PEAK_MAX: f64 = 3.0;
/// The minute over which the rate is judged slides by this, nanoseconds.
const SLIDE: i64 = 10 * 1_000_000_000;
const SLIDES: usize = 6;

/// Packets of one victim, until it falls silent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Victimised {
    pub(crate) meter: Meter,
    pub(crate) destinations: AddrSet,
    sources: AddrSet,
    /// A few of the destinations, to ask whether they ever sent.
    pub(crate) sampled: Vec<Addr>,
    /// Monitored ports that the forged packets came from.
    answered_ports: PortSet,
    ports: PortCounter,
    kinds: [u64; KINDS.len()],
    ring: [u32; SLIDES],
    slide: i64,
    pub(crate) ppm_max: u64,
    mismatches: u64,
}

/// What kinds of answers say about the attack.
const KINDS: [Vector; 7] = [
    Vector::TcpSyn,
    Vector::TcpAck,
    Vector::UdpOther,
    Vector::IcmpEcho,
    Vector::IcmpOther,
    Vector::Icmpv6,
    Vector::TcpOther,
];

/// Whom a backscatter packet speaks of: its source, or the destination that an ICMP error quotes.
#[inline]
pub(crate) fn victim(src: Addr, quoted: Option<&Quoted>) -> Addr {
    quoted.map_or(src, |quoted| quoted.dst)
}

impl Victimised {
    pub(crate) fn add(&mut self, row: &Answer, quoted: Option<&Quoted>) {
        self.meter.add(row.ts, row.wire_len, || unpacked(row.position));
        self.sources.insert(row.src);
        if self.destinations.insert(row.dst) && self.sampled.len() < 16 {
            self.sampled.push(row.dst);
        }
        if let Some(quoted) = quoted {
            self.mismatches += u64::from(quoted.src != row.dst);
        }
        let (vector, port) = told_by(row, quoted);
        let kind = KINDS.iter().position(|kind| *kind == vector).unwrap_or(KINDS.len() - 1);
        self.kinds[kind] += 1;
        if let Some(port) = port {
            self.ports.add(port, 1);
        }
        self.answered_ports.insert(row.dport);
        self.rate(row.ts);
    }

    /// Packets in the sliding minute, six slots of ten seconds.
    fn rate(&mut self, ts: Nanos) {
        let slide = ts.0.div_euclid(SLIDE);
        if slide > self.slide {
            let passed = (slide - self.slide).min(SLIDES as i64);
            for step in 1..=passed {
                self.ring[(self.slide + step).rem_euclid(SLIDES as i64) as usize] = 0;
            }
            self.slide = slide;
        }
        if self.slide - slide < SLIDES as i64 {
            self.ring[slide.rem_euclid(SLIDES as i64) as usize] += 1;
        }
        self.ppm_max = self.ppm_max.max(self.ring.iter().map(|count| u64::from(*count)).sum());
    }

    /// Whether the silence since the last packet ended it.
    pub(crate) fn over(&self, now: Nanos) -> bool {
        now.0.saturating_sub(self.meter.last.0) > SILENCE
    }

    /// Whether it is worth asking more about.
    pub(crate) fn qualifies(&self, scale: &Scale) -> bool {
        self.meter.packets >= scale.backscatter_packets_min
            && self.meter.seconds() >= DURATION_SECONDS_MIN
            && self.ppm_max >= scale.backscatter_ppm_min
            && self.destinations.len() >= spread_min(scale)
    }

    /// Whether it went on evenly through nearly all of an observation of so many seconds.
    pub(crate) fn continuous(&self, observed_seconds: f64) -> bool {
        let mean_ppm = self.meter.packets as f64 / (self.meter.seconds() / 60.0).max(1.0);
        observed_seconds >= CONTINUOUS_SECONDS_MIN
            && self.meter.seconds() >= observed_seconds * CONTINUOUS_SHARE_MAX
            && self.ppm_max as f64 <= mean_ppm * EVEN_PEAK_MAX
    }

    pub(crate) fn heap_bytes(&self) -> u64 {
        self.destinations.heap_bytes()
            + self.sources.heap_bytes()
            + self.answered_ports.heap_bytes()
            + self.ports.heap_bytes()
    }

    pub(crate) fn finding(&self, victim: Addr, scale: &Scale) -> Attack {
        let strongest = (0..KINDS.len()).max_by_key(|kind| (self.kinds[*kind], KINDS.len() - kind)).unwrap_or(0);
        let vector = KINDS[strongest];
        let port = self.ports.ranked().first().copied();
        let estimated = self.ppm_max as f64 / 60.0 * scale.factor();
        let spread = self.destinations.len();
        Attack {
            kind: AttackKind::Backscatter,
            vector,
            victim: Victim::Address(victim),
            victim_port: port,
            packets: self.meter.packets,
            bytes: self.meter.bytes,
            sources: self.sources.len(),
            first: self.meter.first,
            last: self.meter.last,
            peak_pps: f64::from(self.meter.peak_pps),
            estimated_pps: (scale.addresses >= 256).then_some(estimated),
            confidence: self.confidence(scale),
            thresholds: thresholds([
                ("packets_min", scale.backscatter_packets_min as f64),
                ("duration_seconds_min", DURATION_SECONDS_MIN),
                ("packets_per_minute_min", scale.backscatter_ppm_min as f64),
                ("destinations_min", spread_min(scale) as f64),
                ("silence_seconds", SILENCE as f64 / 1e9),
                ("continuous_share_max", CONTINUOUS_SHARE_MAX),
                ("monitored_addresses", scale.addresses as f64),
            ]),
            detector: crate::detector("backscatter"),
            evidence: self.meter.evidence.clone(),
            reason: format!(
                "{victim} answered {} packets that it was never sent from {spread} monitored addresses in {:.0} s{}: \
                 someone attacks it with forged sources ({vector}).",
                self.meter.packets,
                self.meter.seconds(),
                port.map_or_else(String::new, |port| format!(", mostly from port {port}")),
            ),
        }
    }

    /// Grows with the margin over the thresholds and with how widely the answers are spread, as random forgery spreads them.
    fn confidence(&self, scale: &Scale) -> f64 {
        let margin = (self.ppm_max as f64 / scale.backscatter_ppm_min as f64).log2().clamp(0.0, 4.0) / 4.0;
        let spread = self.destinations.len() as f64 / self.meter.packets.min(scale.addresses).max(1) as f64;
        let consistent = 1.0 - self.mismatches as f64 / self.meter.packets as f64;
        (0.6 + 0.2 * margin + 0.15 * spread.min(1.0)) * (0.7 + 0.3 * consistent)
    }
}

/// Distinct destinations that random forgery must have hit; one or two are a broken conversation.
fn spread_min(scale: &Scale) -> u64 {
    (scale.addresses / 2).clamp(1, 5)
}

/// The attack that this answer speaks of, and the attacked port.
fn told_by(row: &Answer, quoted: Option<&Quoted>) -> (Vector, Option<u16>) {
    if let Some(quoted) = quoted {
        let vector = match quoted.proto {
            proto::TCP => Vector::TcpSyn,
            proto::UDP => Vector::UdpOther,
            proto::ICMP => Vector::IcmpEcho,
            proto::ICMPV6 => Vector::Icmpv6,
            _ => Vector::IcmpOther,
        };
        return (vector, quoted.ports.map(|ports| ports.1));
    }
    match row.transport {
        // A closed port answers a SYN with RST-ACK, and anything that carries an ACK with a bare RST (RFC 9293, 3.10.7).
        Transport::Tcp if row.tcp_flags & tcp::RST != 0 && row.tcp_flags & tcp::ACK == 0 => {
            (Vector::TcpAck, Some(row.sport))
        }
        Transport::Tcp => (Vector::TcpSyn, Some(row.sport)),
        Transport::Icmp if row.icmp_type == 0 => (Vector::IcmpEcho, None),
        Transport::Icmp => (Vector::IcmpOther, None),
        Transport::Icmpv6 => (Vector::Icmpv6, None),
        _ => (Vector::TcpOther, Some(row.sport)),
    }
}
