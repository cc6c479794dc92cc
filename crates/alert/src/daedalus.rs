//! Watches members' own hosts: one that sends to unused addresses attacks, or is badly configured (methods I; Inoue
//! et al., "DAEDALUS", 2012).
//!
//! Packets in, [`Infection`]s (opened, grew, closed) and early backscatter findings out. The class says where packets
//! went: *internal* to unused addresses of the host's own organisation, *external* to anybody else's observed space.
//! Time is that of the packets and of [`Watch::advance`]; the same packets give the same findings however they are cut
//! into batches.
//!
//! [`Watch::changes`] gives what changed as text, to be stored in the transaction that stores what was decided, and
//! [`Watch::restore`] takes it back: a watch that was killed goes on as if it had not been.
//!
//! Memory is bounded by [`Settings::hosts_max`]: past it, a new host pushes out nobody but is counted in
//! [`Watch::refused`] until silent hosts have been closed.

mod backscatter;
mod host;
pub(crate) mod kept;
mod typo;

pub use kept::KeptError;

use backscatter::Replies;
use host::{Host, Seen};
use noroshi_model::finding::{Attack, Position, ScanProtocol};
use noroshi_model::infection::{Infection, InfectionClass};
use noroshi_model::member::{Member, MemberId, Registry};
use noroshi_model::packet::{Evidence, Has, Packet, PacketBatch, Transport, tcp};
use noroshi_model::time::SECOND;
use noroshi_model::{Addr, Nanos, Prefix};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Name and version of the detector.
pub const DETECTOR: &str = "daedalus/1";

/// Thresholds and bounds. Sources: methods I unless stated.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Settings {
    /// Packets that open an infection; one suffices when a packet proves malware.
    pub packets_min: u64,
    /// Distinct destinations among them.
    pub destinations_min: u64,
    /// Within so many seconds.
    pub window_seconds: i64,
    /// Silence in seconds after which an infection is closed.
    pub silence_seconds: i64,
    /// Backscatter packets within [`Self::backscatter_seconds`] that mean an attack on a member.
    pub backscatter_packets_min: u64,
    /// Window for them, seconds.
    pub backscatter_seconds: i64,
    /// Silence in seconds after which an attack is over (methods B).
    pub backscatter_silence_seconds: i64,
    /// Hosts kept at once; ours. One takes at most about 12 KiB.
    pub hosts_max: usize,
    /// Distinct destinations counted exactly per host; ours.
    pub destinations_max: usize,
    /// Ports kept per host; ours.
    pub ports_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            packets_min: 3,
            destinations_min: 2,
            window_seconds: 600,
            silence_seconds: 86_400,
            backscatter_packets_min: 5,
            backscatter_seconds: 60,
            backscatter_silence_seconds: 300,
            hosts_max: 100_000,
            destinations_max: 256,
            ports_max: 64,
        }
    }
}

type HostKey = (MemberId, Addr, InfectionClass);

/// What a batch brought.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Outcome {
    /// Members' hosts that attack.
    pub infections: Vec<Infection>,
    /// Members under attack, seen by their replies, earlier than the general detector dares to say.
    pub attacks: Vec<Attack>,
}

/// The watch over members' hosts.
#[derive(Clone, Debug)]
pub struct Watch {
    settings: Settings,
    registry: Arc<Registry>,
    /// Observed space that belongs to nobody's organisation; empty when every destination is observed.
    darknets: Vec<Prefix>,
    hosts: BTreeMap<HostKey, Host>,
    replies: Replies,
    campaign_members: BTreeSet<Addr>,
    now: Nanos,
    next_sweep: Nanos,
    refused: u64,
    touched: BTreeSet<HostKey>,
}

/// Silent hosts are looked for at this interval; closing a minute late harms nobody.
const SWEEP_SECONDS: i64 = 60;

impl Watch {
    /// A watch that has seen nothing. `darknets` is the space observed for everyone; leave it empty when the input
    /// holds only packets to observed addresses, as captures of a darknet do.
    pub fn new(settings: Settings, registry: Arc<Registry>, darknets: Vec<Prefix>) -> Self {
        Watch {
            settings,
            registry,
            darknets,
            hosts: BTreeMap::new(),
            replies: Replies::default(),
            campaign_members: BTreeSet::new(),
            now: Nanos(i64::MIN),
            next_sweep: Nanos(i64::MIN),
            refused: 0,
            touched: BTreeSet::new(),
        }
    }

    /// Sources that take part in a campaign; their infections weigh more. Replaces what was said before.
    pub fn campaign_members(&mut self, members: impl IntoIterator<Item = Addr>) {
        self.campaign_members = members.into_iter().filter(|addr| self.registry.owner(*addr).is_some()).collect();
    }

    /// Packets of new hosts that were not followed because [`Settings::hosts_max`] was reached.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// Hosts followed now.
    pub fn hosts(&self) -> usize {
        self.hosts.len()
    }

    /// Looks at packets.
    pub fn observe(&mut self, batch: &PacketBatch) -> Outcome {
        let mut outcome = Outcome::default();
        for (at, packet) in batch.rows.iter().enumerate() {
            if !packet.has.has(Has::IP | Has::TIME) {
                continue;
            }
            if packet.ts > self.now {
                self.now = packet.ts;
                self.sweep(&mut outcome);
            }
            let position = Position { file: batch.file, packet: batch.first_position + at as u64 };
            if backscatter::is_reply(packet) {
                self.replies.see(&self.registry, &self.settings, batch, packet, position, &mut outcome.attacks);
            } else {
                outcome.infections.extend(self.see(batch, packet, position));
            }
        }
        outcome
    }

    /// Lets time pass without packets.
    pub fn advance(&mut self, now: Nanos) -> Outcome {
        self.now = self.now.max(now);
        let mut outcome = Outcome::default();
        self.sweep(&mut outcome);
        outcome
    }

    /// Closes everything, as at the end of a file.
    pub fn finish(&mut self) -> Outcome {
        let mut outcome = Outcome::default();
        for ((member, addr, class), mut host) in std::mem::take(&mut self.hosts) {
            self.touched.insert((member.clone(), addr, class));
            outcome.infections.extend(host.close(&member, addr, class, &self.settings));
        }
        self.replies.close_before(Nanos(i64::MAX), &self.settings, &mut outcome.attacks);
        outcome
    }

    fn see(&mut self, batch: &PacketBatch, packet: &Packet, position: Position) -> Option<Infection> {
        let port = attempt(packet)?;
        let (member, _) = self.registry.owner(packet.src)?;
        if member.scanners.iter().any(|network| network.contains(packet.src)) {
            return None;
        }
        let class = self.class_of(member, packet)?;
        let typo = class == InfectionClass::Internal && typo::is_neighbour_of_live(packet.dst, member);
        let seen = Seen {
            port,
            packet,
            position,
            payload: host::payload_rule(batch.payload(packet)),
            in_campaign: self.campaign_members.contains(&packet.src),
            typo,
        };
        let key = (member.id.clone(), packet.src, class);
        if !self.hosts.contains_key(&key) && self.hosts.len() >= self.settings.hosts_max {
            self.refused += 1;
            return None;
        }
        if !self.touched.contains(&key) {
            self.touched.insert(key.clone());
        }
        let host = self.hosts.entry(key.clone()).or_insert_with(|| Host::new(packet.ts));
        host.see(&seen, &self.settings).then(|| host.report(&key.0, key.1, key.2, &self.settings)).flatten()
    }

    /// Internal when the destination is an unused address of the same organisation; none when it is a used one, or
    /// not in observed space at all.
    fn class_of(&self, member: &Member, packet: &Packet) -> Option<InfectionClass> {
        if member.dark.iter().any(|dark| dark.contains(packet.dst)) {
            return Some(InfectionClass::Internal);
        }
        match self.registry.owner(packet.dst) {
            Some((owner, _)) if owner.id == member.id => None,
            Some(_) => Some(InfectionClass::External),
            None => {
                let observed = self.darknets.is_empty() || self.darknets.iter().any(|d| d.contains(packet.dst));
                observed.then_some(InfectionClass::External)
            }
        }
    }

    fn sweep(&mut self, outcome: &mut Outcome) {
        if self.now < self.next_sweep {
            return;
        }
        self.next_sweep = Nanos(self.now.0.saturating_add(SWEEP_SECONDS * SECOND));
        let silent = Nanos(self.now.0.saturating_sub(self.settings.silence_seconds * SECOND));
        let gone: Vec<HostKey> = self.hosts.iter().filter(|(_, h)| h.last() < silent).map(|(k, _)| k.clone()).collect();
        for key in gone {
            if let Some(mut host) = self.hosts.remove(&key) {
                outcome.infections.extend(host.close(&key.0, key.1, key.2, &self.settings));
            }
            self.touched.insert(key);
        }
        let over = Nanos(self.now.0.saturating_sub(self.settings.backscatter_silence_seconds * SECOND));
        self.replies.close_before(over, &self.settings, &mut outcome.attacks);
    }
}

/// UDP services that reflect. An unproven request to one more likely forges its victim's address than comes from it, so
/// it makes nobody an attacker; detectors of amplification look at it. The ports are those of the vectors in
/// [`noroshi_model::finding::Vector`].
const AMPLIFIERS: [u16; 30] = [
    17, 19, 53, 69, 111, 123, 137, 161, 177, 389, 427, 500, 520, 623, 1194, 1434, 1701, 1900, 3283, 3389, 3478, 3702,
    5060, 5353, 5683, 10_001, 11_211, 27_015, 32_414, 37_810,
];

/// Protocol and port when the packet tries to reach a service: a TCP opening, a datagram that is no answer, an echo
/// request.
fn attempt(packet: &Packet) -> Option<(ScanProtocol, u16)> {
    match packet.transport {
        Transport::Tcp => {
            let opening = packet.tcp_flags & (tcp::SYN | tcp::ACK | tcp::RST | tcp::FIN) == tcp::SYN;
            (packet.has.has(Has::PORTS | Has::TCP) && opening).then_some((ScanProtocol::Tcp, packet.dport))
        }
        Transport::Udp if packet.has.has(Has::PORTS) => {
            let abused = packet.evidence == Evidence::Spoofable && AMPLIFIERS.contains(&packet.dport);
            (!abused).then_some((ScanProtocol::Udp, packet.dport))
        }
        Transport::Icmp if packet.icmp_type == 8 => Some((ScanProtocol::Icmp, 0)),
        Transport::Icmpv6 if packet.icmp_type == 128 => Some((ScanProtocol::Icmpv6, 0)),
        _ => None,
    }
}
