//! Requests in a victim's name that arrive at monitored addresses.
//!
//! Krämer et al., "AmpPot", RAID 2015 (100 requests, 3,600 s) and Thomas et al., "1000 days of UDP amplification DDoS
//! attacks", eCrime 2017 (5 requests, 900 s) differ in their thresholds; the high one decides here, because a darknet
//! answers nothing and a source that asks once per address is a scanner, not a victim.

use crate::config::thresholds;
use crate::ddos::vectors;
use noroshi_model::finding::{Attack, AttackKind, Position, Vector, Victim};
use noroshi_model::{Addr, Nanos};

/// Requests that make an attack (AmpPot).
pub const REQUESTS_MIN: u64 = 100;
/// Mean requests per asked address; scanners ask an address once or twice, attackers ask it over and over.
pub const REQUESTS_PER_DESTINATION_MIN: f64 = 5.0;

/// What one source asked of one UDP port.
pub(crate) struct Requests {
    pub(crate) source: Addr,
    pub(crate) port: u16,
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
    pub(crate) destinations: u64,
    pub(crate) first: Nanos,
    pub(crate) last: Nanos,
    pub(crate) peak_pps: u32,
    pub(crate) evidence: Vec<Position>,
}

impl Requests {
    /// The attack that these requests are part of, if they are.
    pub(crate) fn judge(self) -> Option<Attack> {
        let vector = vectors::amplifier(self.port)?;
        // No reply reaches a private address from outside: such requests are a network's own.
        if crate::monitored::is_private(self.source) {
            return None;
        }
        // Peers of one kind talk to one another on these ports: routers, IPsec gateways, phones.
        let peer_to_peer = matches!(vector, Vector::Ike | Vector::Rip | Vector::L2tp | Vector::Openvpn | Vector::Sip);
        let mean = self.packets as f64 / self.destinations.max(1) as f64;
        if self.packets < REQUESTS_MIN || mean < REQUESTS_PER_DESTINATION_MIN || peer_to_peer && self.destinations < 3 {
            return None;
        }
        Some(Attack {
            kind: AttackKind::Amplification,
            vector,
            victim: Victim::Address(self.source),
            victim_port: None,
            packets: self.packets,
            bytes: self.bytes,
            sources: 1,
            first: self.first,
            last: self.last,
            peak_pps: f64::from(self.peak_pps),
            estimated_pps: None,
            confidence: (0.5 + 0.1 * mean.log2().min(4.0)).min(0.9),
            thresholds: thresholds([
                ("requests_min", REQUESTS_MIN as f64),
                ("requests_per_destination_min", REQUESTS_PER_DESTINATION_MIN),
            ]),
            detector: crate::detector("amplification"),
            evidence: self.evidence,
            reason: format!(
                "{} {vector} requests in the name of {} came to {} monitored addresses, {mean:.0} to each: someone wants their \
                 replies to reach it.",
                self.packets, self.source, self.destinations
            ),
        })
    }
}
