//! Members under attack, seen by their replies to packets with forged sources, at a lower threshold than strangers:
//! five packets in a minute (methods I), so that a member hears early.

use super::Settings;
use noroshi_model::finding::{Attack, AttackKind, Position, Thresholds, Vector, Victim};
use noroshi_model::member::Registry;
use noroshi_model::packet::{Has, Packet, PacketBatch, Transport, proto, tcp};
use noroshi_model::time::SECOND;
use noroshi_model::{Addr, Nanos};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Name and version of the detector.
pub const DETECTOR: &str = "member-backscatter/1";
const EVIDENCE_MAX: usize = 8;
/// Victims followed at once; they are members' addresses, so a flood of forged ones is bounded by members' space only.
const VICTIMS_MAX: usize = 50_000;
/// Distinct darknet addresses counted per victim.
const DESTINATIONS_MAX: usize = 256;
/// One observed address that gets replies may have asked for them (a honeypot answers); two did not (ours).
const DESTINATIONS_MIN: usize = 2;

/// Whether a packet is a reply that nobody at a darknet asked for (methods B).
pub fn is_reply(packet: &Packet) -> bool {
    match packet.transport {
        Transport::Tcp => {
            let flags = packet.tcp_flags;
            flags & tcp::RST != 0 || flags & (tcp::SYN | tcp::ACK) == tcp::SYN | tcp::ACK
        }
        Transport::Icmp => matches!(packet.icmp_type, 0 | 3 | 4 | 5 | 11 | 12 | 14 | 16 | 18),
        Transport::Icmpv6 => matches!(packet.icmp_type, 1 | 2 | 3 | 4 | 129),
        // Answers of name and time servers: no attempt to reach anything.
        Transport::Udp => packet.has.has(Has::PORTS) && matches!(packet.sport, 53 | 123) && packet.dport >= 1024,
        _ => false,
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Victimhood {
    vector: Vector,
    port: Option<u16>,
    packets: u64,
    bytes: u64,
    first: Nanos,
    last: Nanos,
    times: VecDeque<Nanos>,
    second: (i64, u64),
    peak_pps: u64,
    destinations: BTreeSet<Addr>,
    evidence: Vec<Position>,
    told_packets: Option<u64>,
}

/// Replies of members' addresses.
#[derive(Clone, Debug, Default)]
pub struct Replies {
    pub victims: BTreeMap<Addr, Victimhood>,
    /// Victims whose state changed since somebody asked.
    pub touched: BTreeSet<Addr>,
}

impl Replies {
    pub fn see(
        &mut self,
        registry: &Registry,
        settings: &Settings,
        batch: &PacketBatch,
        packet: &Packet,
        position: Position,
        found: &mut Vec<Attack>,
    ) {
        let (victim, port, vector) = victim_of(batch, packet);
        if registry.owner(victim).is_none() {
            return;
        }
        if !self.victims.contains_key(&victim) && self.victims.len() >= VICTIMS_MAX {
            return;
        }
        self.touched.insert(victim);
        let state = self.victims.entry(victim).or_insert_with(|| Victimhood::new(vector, port, packet.ts));
        if packet.ts.seconds_since(state.last) > settings.backscatter_silence_seconds as f64 {
            if state.told_packets.is_some_and(|told| told < state.packets) {
                found.push(state.attack(victim, settings));
            }
            *state = Victimhood::new(vector, port, packet.ts);
        }
        if state.count(packet, position, settings) {
            found.push(state.attack(victim, settings));
        }
    }

    /// Gives the final counts of attacks that ended before `before`, and forgets them.
    pub fn close_before(&mut self, before: Nanos, settings: &Settings, found: &mut Vec<Attack>) {
        let touched = &mut self.touched;
        self.victims.retain(|victim, state| {
            let over = state.last < before;
            if over {
                touched.insert(*victim);
            }
            if over && state.told_packets.is_some_and(|told| told < state.packets) {
                found.push(state.attack(*victim, settings));
            }
            !over
        });
    }
}

/// Who replied, from which attacked port, and what kind of flood that suggests.
fn victim_of(batch: &PacketBatch, packet: &Packet) -> (Addr, Option<u16>, Vector) {
    let port = packet.has.has(Has::PORTS).then_some(packet.sport);
    match packet.transport {
        Transport::Tcp if packet.tcp_flags & tcp::RST != 0 => (packet.src, port, Vector::TcpOther),
        Transport::Tcp => (packet.src, port, Vector::TcpSyn),
        Transport::Udp if packet.sport == 123 => (packet.src, port, Vector::Ntp),
        Transport::Udp => (packet.src, port, Vector::Dns),
        Transport::Icmpv6 if packet.icmp_type == 129 => (packet.src, None, Vector::Icmpv6),
        Transport::Icmp if packet.icmp_type == 0 => (packet.src, None, Vector::IcmpEcho),
        _ => match batch.rare(packet).and_then(|rare| rare.quoted) {
            // A router answers in the victim's place: the quoted packet was addressed to the victim.
            Some(quoted) => {
                let vector = match quoted.proto {
                    proto::TCP => Vector::TcpOther,
                    proto::UDP => Vector::UdpOther,
                    proto::ICMP => Vector::IcmpOther,
                    proto::ICMPV6 => Vector::Icmpv6,
                    _ => Vector::Other,
                };
                (quoted.dst, quoted.ports.map(|(_, dport)| dport), vector)
            }
            None => (packet.src, None, Vector::IcmpOther),
        },
    }
}

impl Victimhood {
    fn new(vector: Vector, port: Option<u16>, at: Nanos) -> Self {
        Victimhood {
            vector,
            port,
            packets: 0,
            bytes: 0,
            first: at,
            last: at,
            times: VecDeque::new(),
            second: (at.seconds(), 0),
            peak_pps: 0,
            destinations: BTreeSet::new(),
            evidence: Vec::new(),
            told_packets: None,
        }
    }

    /// Takes in a packet; true when the attack is new or twice as large as when it was last told.
    fn count(&mut self, packet: &Packet, position: Position, settings: &Settings) -> bool {
        self.packets += 1;
        self.bytes += u64::from(packet.wire_len);
        self.first = self.first.min(packet.ts);
        self.last = self.last.max(packet.ts);
        if self.second.0 != packet.ts.seconds() {
            self.second = (packet.ts.seconds(), 0);
        }
        self.second.1 += 1;
        self.peak_pps = self.peak_pps.max(self.second.1);
        if self.destinations.len() < DESTINATIONS_MAX {
            self.destinations.insert(packet.dst);
        }
        if self.evidence.len() < EVIDENCE_MAX {
            self.evidence.push(position);
        }
        let from = Nanos(packet.ts.0.saturating_sub(settings.backscatter_seconds * SECOND));
        self.times.push_back(packet.ts);
        // So many packets lie within the window exactly when the newest so many do.
        while self.times.len() as u64 > settings.backscatter_packets_min.max(1)
            || self.times.front().is_some_and(|t| *t < from)
        {
            self.times.pop_front();
        }
        let due = match self.told_packets {
            None => {
                self.times.len() as u64 >= settings.backscatter_packets_min
                    && self.destinations.len() >= DESTINATIONS_MIN
            }
            Some(told) => self.packets >= told.saturating_mul(2),
        };
        if due {
            self.told_packets = Some(self.packets);
        }
        due
    }

    fn attack(&self, victim: Addr, settings: &Settings) -> Attack {
        Attack {
            kind: AttackKind::Backscatter,
            vector: self.vector,
            victim: Victim::Address(victim),
            victim_port: self.port,
            packets: self.packets,
            bytes: self.bytes,
            sources: 1,
            first: self.first,
            last: self.last,
            peak_pps: self.peak_pps as f64,
            estimated_pps: None,
            // Few packets leave room for forged replies; many spread over the darknet do not (ours).
            confidence: if self.packets >= 25 && self.destinations.len() >= 5 { 0.9 } else { 0.7 },
            thresholds: thresholds(settings),
            detector: DETECTOR.into(),
            evidence: self.evidence.clone(),
            reason: format!(
                "{} replies of the victim reached {} observed addresses that had asked for nothing",
                self.packets,
                self.destinations.len()
            ),
        }
    }
}

fn thresholds(settings: &Settings) -> Thresholds {
    [
        ("destinations_min_count", DESTINATIONS_MIN as f64),
        ("packets_min_count", settings.backscatter_packets_min as f64),
        ("silence_seconds", settings.backscatter_silence_seconds as f64),
        ("window_seconds", settings.backscatter_seconds as f64),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}
