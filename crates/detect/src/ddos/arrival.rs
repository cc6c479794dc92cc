//! Attacks whose packets arrive at a monitored address: reflected replies and direct floods.
//!
//! Every destination has a few slots for its latest packets. Only one that receives [`BURST_PACKETS`] within
//! [`BURST_NANOS`] gets a full account per vector, so that a darknet of any size costs little.

use super::{Meter, vectors};
use crate::config::thresholds;
use crate::set::{self, AddrSet, PortSet};
use crate::shard::unpacked;
use noroshi_model::finding::{Attack, AttackKind, Vector, Victim};
use noroshi_model::packet::{Has, Packet, Transport};
use noroshi_model::{Addr, Nanos};

/// Packets that open a full account when they arrive within [`BURST_NANOS`].
const BURST_PACKETS: usize = 4;
/// Time within which they must arrive.
const BURST_NANOS: i64 = 10 * 1_000_000_000;
/// Silence after which an account is closed, nanoseconds.
pub const SILENCE: i64 = 300 * 1_000_000_000;
/// Vectors told apart at one destination, at most; the rest count as `other`.
const VECTORS_MAX: usize = 12;

/// Packets that an attack must bring; below, even a burst of replies is no burden to anyone.
pub const PACKETS_MIN: u64 = 50;
/// Packets in the busiest second.
pub const PEAK_PPS_MIN: u32 = 10;
/// Reflectors that must take part. One or two chatty servers are not an attack.
pub const REFLECTORS_MIN: u64 = 5;
/// Sources of a distributed flood.
pub const FLOOD_SOURCES_MIN: u64 = 10;
/// Sources of a flood whose packets a busy server also receives (ACK, RST, UDP to any port).
pub const PLAIN_FLOOD_SOURCES_MIN: u64 = 100;
/// Rate in the busiest second past which a flood from fewer sources counts too.
pub const FLOOD_PPS_MIN: u32 = 1_000;
/// A destination that itself sent more than this share of what it received takes part in a conversation.
pub const CONVERSATION_SHARE: f64 = 0.1;

/// The few fields of a packet that an account needs; kept as they are, judged only when an account is opened.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Slot {
    pub(crate) ts: Nanos,
    pub(crate) position: u64,
    /// The source as a set keeps it.
    src: u32,
    wire_len: u32,
    sport: u16,
    dport: u16,
    transport: Transport,
    tcp_flags: u8,
    icmp_type: u8,
    marks: u8,
}

const _: () = assert!(size_of::<Slot>() == 32);

const LATER_FRAGMENT: u8 = 1;
/// Source and destination share a network.
const NEAR: u8 = 2;

impl Slot {
    #[inline]
    pub(crate) fn of(row: &Packet, position: u64) -> Self {
        let mark = |set: bool, bit: u8| if set { bit } else { 0 };
        Slot {
            ts: row.ts,
            position,
            src: set::key(row.src),
            wire_len: row.wire_len,
            sport: row.sport,
            dport: row.dport,
            transport: row.transport,
            tcp_flags: row.tcp_flags,
            icmp_type: row.icmp_type,
            marks: mark(row.has.has(Has::LATER_FRAGMENT), LATER_FRAGMENT) | mark(near(row.src, row.dst), NEAR),
        }
    }

    fn vector(&self) -> Vector {
        let later_fragment = self.marks & LATER_FRAGMENT != 0;
        vectors::arriving(self.transport, later_fragment, self.sport, self.tcp_flags, self.icmp_type)
    }
}

/// Whether two addresses share a /24, or a /48 of IPv6.
#[inline]
fn near(a: Addr, b: Addr) -> bool {
    (a.0 ^ b.0) >> 8 == 0 || !a.is_v4() && !b.is_v4() && (a.0 ^ b.0) >> 80 == 0
}

/// What arrives at one destination.
#[derive(Clone, Debug, Default)]
pub(crate) struct Arrival {
    slots: [Slot; BURST_PACKETS - 1],
    used: u8,
    /// The oldest slot once all are used.
    next: u8,
    account: Option<Box<Account>>,
}

/// Full account of a busy destination.
#[derive(Clone, Debug, Default)]
pub(crate) struct Account {
    pub(crate) last: Nanos,
    pub(crate) streams: Vec<Stream>,
}

/// Packets of one vector to one destination.
#[derive(Clone, Debug)]
pub(crate) struct Stream {
    pub(crate) vector: Vector,
    pub(crate) meter: Meter,
    pub(crate) sources: AddrSet,
    /// Packets from the destination's own network.
    near_packets: u64,
    sports: PortSet,
    dports: PortSet,
    /// Majority destination port (Boyer and Moore).
    port: u16,
    port_votes: u64,
}

impl Arrival {
    /// Adds a packet that arrived at an address which neither receives a burst nor begins to; false when it may do so, and
    /// the packet is left to [`Arrival::add`]. All but a few packets of a darknet go this way.
    #[inline]
    pub(crate) fn add_calm(&mut self, slot: &Slot) -> bool {
        let used = usize::from(self.used);
        let oldest = &mut self.slots[usize::from(self.next)];
        // An address without an account whose slots are all in use.
        let calm =
            used == BURST_PACKETS - 1 && self.account.is_none() && slot.ts.0.saturating_sub(oldest.ts.0) > BURST_NANOS;
        if calm {
            *oldest = *slot;
            self.next = if usize::from(self.next) == BURST_PACKETS - 2 { 0 } else { self.next + 1 };
        }
        calm
    }

    /// Adds a packet that arrived at an address; gives back the account that it closed by coming after a long silence.
    pub(crate) fn add(&mut self, slot: &Slot) -> Option<Box<Account>> {
        if self.add_calm(slot) {
            return None;
        }
        let ts = slot.ts;
        if let Some(account) = &mut self.account {
            if ts.0.saturating_sub(account.last.0) <= SILENCE {
                account.add(slot);
                return None;
            }
            let closed = self.account.take();
            (self.used, self.next, self.slots[0]) = (1, 0, *slot);
            return closed;
        }
        let used = usize::from(self.used);
        if used < self.slots.len() {
            self.slots[used] = *slot;
            self.used += 1;
        } else {
            let mut account = Box::<Account>::default();
            for earlier in 0..used {
                account.add(&self.slots[(usize::from(self.next) + earlier) % used]);
            }
            account.add(slot);
            self.account = Some(account);
            (self.used, self.next) = (0, 0);
        }
        None
    }

    /// The account, when it is over by `now`.
    pub(crate) fn expire(&mut self, now: Nanos) -> Option<Box<Account>> {
        self.account.take_if(|account| now.0.saturating_sub(account.last.0) > SILENCE)
    }

    pub(crate) fn account(&self) -> Option<&Account> {
        self.account.as_deref()
    }
}

impl Account {
    fn add(&mut self, slot: &Slot) {
        self.last = self.last.max(slot.ts);
        let vector = slot.vector();
        let at = match self.streams.iter().position(|stream| stream.vector == vector) {
            Some(at) => at,
            None if self.streams.len() < VECTORS_MAX => {
                self.streams.push(Stream::new(vector));
                self.streams.len() - 1
            }
            None => self.streams.iter().position(|stream| stream.vector == Vector::Other).unwrap_or(VECTORS_MAX - 1),
        };
        self.streams[at].add(slot);
    }

    pub(crate) fn heap_bytes(&self) -> u64 {
        self.streams
            .iter()
            .map(|s| {
                size_of::<Stream>() as u64 + s.sources.heap_bytes() + s.sports.heap_bytes() + s.dports.heap_bytes()
            })
            .sum()
    }

    fn stream(&self, vector: Vector) -> Option<&Stream> {
        self.streams.iter().find(|stream| stream.vector == vector)
    }

    /// Attacks in this account. `sent` is how many packets the destination itself sent in the whole input.
    pub(crate) fn findings(&self, victim: Addr, sent: u64) -> Vec<Attack> {
        if multicast(victim) {
            return Vec::new();
        }
        let received: u64 = self.streams.iter().map(|stream| stream.meter.packets).sum();
        let converses = sent as f64 > received as f64 * CONVERSATION_SHARE;
        let mut found: Vec<Attack> = self
            .streams
            .iter()
            .filter(|stream| stream.vector != Vector::Fragments && self.is_attack(stream, converses))
            .map(|stream| stream.finding(victim))
            .collect();
        self.join_fragments(victim, &mut found);
        join_side_effects(&mut found);
        found
    }

    fn is_attack(&self, stream: &Stream, converses: bool) -> bool {
        let meter = &stream.meter;
        let sources = stream.sources.len();
        if meter.packets < PACKETS_MIN || meter.peak_pps < PEAK_PPS_MIN || stream.near_packets * 2 > meter.packets {
            return false;
        }
        let packets_of = |vector| self.stream(vector).map_or(0, |stream| stream.meter.packets);
        let distributed = sources >= FLOOD_SOURCES_MIN;
        let fast = meter.peak_pps >= FLOOD_PPS_MIN;
        match stream.vector {
            // Half-open: hardly any ACK follows. One source on many ports is a scan.
            Vector::TcpSyn => {
                let scan = sources < FLOOD_SOURCES_MIN && stream.dports.len() * 4 > meter.packets.min(65_536);
                let half_open = packets_of(Vector::TcpAck) * 3 < meter.packets;
                half_open && !scan && (distributed || fast || meter.peak_pps >= 50 && meter.packets >= 100)
            }
            Vector::TcpSynAck => !converses && sources >= REFLECTORS_MIN,
            vector if vectors::reflected(vector) => !converses && sources >= REFLECTORS_MIN,
            Vector::IcmpEcho | Vector::Icmpv6 | Vector::IcmpOther => !converses && (distributed || fast),
            Vector::TcpAck | Vector::TcpRst | Vector::TcpOther | Vector::UdpOther | Vector::Other => {
                let wide = sources >= PLAIN_FLOOD_SOURCES_MIN && meter.peak_pps >= 50;
                !converses && (wide || fast && meter.packets >= 5_000)
            }
            _ => false,
        }
    }

    /// Later fragments carry no ports: they belong to the strongest reflection at the same victim, or stand alone.
    fn join_fragments(&self, victim: Addr, found: &mut Vec<Attack>) {
        let Some(fragments) = self.stream(Vector::Fragments) else { return };
        let strongest =
            found.iter_mut().filter(|attack| attack.kind == AttackKind::Reflection).max_by_key(|attack| attack.packets);
        match strongest {
            Some(attack) => {
                attack.packets += fragments.meter.packets;
                attack.bytes += fragments.meter.bytes;
                attack.first = attack.first.min(fragments.meter.first);
                attack.last = attack.last.max(fragments.meter.last);
                attack.peak_pps = attack.peak_pps.max(f64::from(fragments.meter.peak_pps));
            }
            None if fragments.meter.packets >= 200
                && fragments.meter.peak_pps >= 50
                && fragments.sources.len() >= REFLECTORS_MIN =>
            {
                found.push(fragments.finding(victim));
            }
            None => {}
        }
    }
}

/// Reflectors that do not answer with SYN-ACK answer with RST or an ICMP error: one attack, not three.
fn join_side_effects(found: &mut Vec<Attack>) {
    let Some(main) = found.iter().position(|attack| attack.vector == Vector::TcpSynAck) else { return };
    let side = |attack: &Attack| matches!(attack.vector, Vector::TcpRst | Vector::IcmpOther);
    let main_packets = found[main].packets;
    let (mut joined, mut rest): (Vec<Attack>, Vec<Attack>) =
        found.drain(..).partition(|attack| side(attack) && attack.packets < main_packets);
    let main = rest.iter_mut().find(|attack| attack.vector == Vector::TcpSynAck).expect("found above");
    for attack in joined.drain(..) {
        main.packets += attack.packets;
        main.bytes += attack.bytes;
        main.first = main.first.min(attack.first);
        main.last = main.last.max(attack.last);
    }
    *found = rest;
}

impl Stream {
    fn new(vector: Vector) -> Self {
        Stream {
            vector,
            meter: Meter::default(),
            sources: AddrSet::default(),
            near_packets: 0,
            sports: PortSet::default(),
            dports: PortSet::default(),
            port: 0,
            port_votes: 0,
        }
    }

    fn add(&mut self, slot: &Slot) {
        self.meter.add(slot.ts, slot.wire_len, || unpacked(slot.position));
        self.sources.insert_key(slot.src);
        self.near_packets += u64::from(slot.marks & NEAR != 0);
        self.sports.insert(slot.sport);
        self.dports.insert(slot.dport);
        if self.port_votes == 0 {
            (self.port, self.port_votes) = (slot.dport, 1);
        } else if self.port == slot.dport {
            self.port_votes += 1;
        } else {
            self.port_votes -= 1;
        }
    }

    fn finding(&self, victim: Addr) -> Attack {
        let reflected = vectors::reflected(self.vector);
        let sources = self.sources.len();
        // The votes that are left over say how far one port leads.
        let port = (self.port_votes * 4 > self.meter.packets && self.port != 0).then_some(self.port);
        let (who, what) =
            if reflected { ("reflectors", "replies that it never asked for") } else { ("sources", "packets") };
        Attack {
            kind: if reflected { AttackKind::Reflection } else { AttackKind::Flood },
            vector: self.vector,
            victim: Victim::Address(victim),
            victim_port: port,
            packets: self.meter.packets,
            bytes: self.meter.bytes,
            sources,
            first: self.meter.first,
            last: self.meter.last,
            peak_pps: f64::from(self.meter.peak_pps),
            estimated_pps: None,
            confidence: confidence(&self.meter, sources),
            thresholds: thresholds([
                ("packets_min", PACKETS_MIN as f64),
                ("peak_pps_min", f64::from(PEAK_PPS_MIN)),
                ("reflectors_min", REFLECTORS_MIN as f64),
                ("flood_sources_min", FLOOD_SOURCES_MIN as f64),
                ("flood_pps_min", f64::from(FLOOD_PPS_MIN)),
                ("conversation_share_max", CONVERSATION_SHARE),
                ("silence_seconds", SILENCE as f64 / 1e9),
            ]),
            detector: crate::detector("arrival"),
            evidence: self.meter.evidence.clone(),
            reason: format!(
                "{victim} received {} {} {what} from {sources} {who}, {} in the busiest second.",
                self.meter.packets, self.vector, self.meter.peak_pps
            ),
        }
    }
}

/// Grows with the number of sources and with the rate.
fn confidence(meter: &Meter, sources: u64) -> f64 {
    let spread = (sources as f64).log10().clamp(0.0, 3.0) / 3.0;
    let rate = f64::from(meter.peak_pps).log10().clamp(0.0, 4.0) / 4.0;
    (0.5 + 0.3 * spread + 0.2 * rate).min(0.99)
}

/// Group and broadcast addresses have no victim behind them.
fn multicast(addr: Addr) -> bool {
    match addr.as_v4() {
        Some(v4) => v4 >> 28 == 0xe || v4 == u32::MAX || v4 == 0,
        None => addr.0 >> 120 == 0xff,
    }
}
