//! Packets folded into sums per minute, in memory only: what the policy hides never touches the disk.

use crate::policy::InForce;
use noroshi_model::Nanos;
use noroshi_model::flow::{FlowCount, FlowKey, MINUTE};
use noroshi_model::packet::{Has, Packet};
use noroshi_model::policy::Granularity;
use std::collections::HashMap;

/// Sums kept at once, about two mebibytes; more are stored before their minute is over, and stay exact.
const SUMS_MAX: usize = 16_384;

/// Sums of one minute, or of packets that came in between.
#[derive(Default)]
pub(crate) struct Fold {
    sums: HashMap<FlowKey, FlowCount>,
    packets: u64,
    newest: Option<Nanos>,
}

fn minute(row: &Packet) -> Nanos {
    Nanos(row.ts.0 - row.ts.0.rem_euclid(MINUTE))
}

fn key(row: &Packet, granularity: Granularity) -> FlowKey {
    let ip = row.has.has(Has::IP);
    let icmp = row.has.has(Has::ICMP).then_some(u16::from(row.icmp_type));
    FlowKey {
        minute: minute(row),
        addresses: (ip && granularity == Granularity::Flows).then_some((row.src, row.dst)),
        proto: ip.then_some(row.proto),
        dport: row.has.has(Has::PORTS).then_some(row.dport).or(icmp),
        tcp_flags: row.has.has(Has::TCP).then_some(row.tcp_flags),
    }
}

impl Fold {
    pub fn is_empty(&self) -> bool {
        self.packets == 0
    }

    /// Packets in it.
    pub fn packets(&self) -> u64 {
        self.packets
    }

    /// Time of the newest packet.
    pub fn newest(&self) -> Option<Nanos> {
        self.newest
    }

    /// Whether it must be stored before this packet is added: a later minute begins, or there is no more room.
    pub fn must_end_before(&self, row: &Packet) -> bool {
        self.newest.is_some_and(|newest| minute(row).0 > newest.0) || self.sums.len() >= SUMS_MAX
    }

    /// Adds a packet.
    pub fn add(&mut self, row: &Packet, granularity: Granularity) {
        let one = FlowCount { packets: 1, bytes: row.wire_len.into(), evidence: row.evidence };
        self.sums.entry(key(row, granularity)).and_modify(|sum| sum.add(&one)).or_insert(one);
        self.packets += 1;
        self.newest = self.newest.max(Some(row.ts));
    }

    /// The rows as the policy lets them leave, in an order that tells nothing of when packets came.
    pub fn rows(self, force: &InForce) -> Vec<(FlowKey, FlowCount)> {
        let mut hidden: HashMap<FlowKey, FlowCount> = HashMap::with_capacity(self.sums.len());
        for (key, sum) in self.sums {
            let addresses = key.addresses.map(|(src, dst)| (force.source(src), force.destination(dst)));
            hidden.entry(FlowKey { addresses, ..key }).and_modify(|known| known.add(&sum)).or_insert(sum);
        }
        let mut rows: Vec<_> = hidden.into_iter().collect();
        rows.sort_unstable_by_key(|(key, _)| *key);
        rows
    }
}
