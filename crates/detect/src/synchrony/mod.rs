//! Synchrony: sources all over the Internet that act at the same moments are hands of one controller.
//!
//! Three engines read the same stream of first packets (pure SYNs). [`pulses`] is ours: every port and every single
//! source is kept, and a group is believed when its members share the minutes of their visits far more often than the
//! same visits shifted by a few minutes do. [`glasso`] and [`nmf`] are the published baselines, as their authors run
//! them (Han et al., "Dark-TRACER: Early Detection Framework for Malware Activity Based on Anomalous Spatiotemporal
//! Patterns", IEEE Access 10, 2022): they see networks of 65,536 addresses and name ports.

pub mod glasso;
pub mod nmf;
pub mod pulses;
mod slots;

use noroshi_model::packet::{Has, PacketBatch, tcp};
use noroshi_model::{Addr, Nanos};
use serde::Serialize;

/// A source knocking at a TCP port: a pure SYN.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Knock {
    /// When.
    pub at: Nanos,
    /// Who.
    pub source: Addr,
    /// At whom.
    pub destination: Addr,
    /// At which port.
    pub port: u16,
}

/// The knocks of a batch, in its order. Flags other than SYN exclude a packet (methods E and A1: pure flags only).
pub fn knocks(batch: &PacketBatch) -> impl Iterator<Item = Knock> + '_ {
    batch
        .rows
        .iter()
        .filter(|packet| packet.has.has(Has::TCP | Has::IP | Has::TIME) && packet.tcp_flags == tcp::SYN)
        .map(|packet| Knock { at: packet.ts, source: packet.src, destination: packet.dst, port: packet.dport })
}

/// How a port stands out among the hosts of an alert; Dark-TRACER's four levels.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// At least a tenth of the hosts, and 20 of them.
    Attack,
    /// At least a tenth of the hosts, fewer than 20.
    Survey,
    /// At least 20 hosts, less than a tenth.
    Weak,
    /// More than 70 % of hosts and of packets go to one address.
    Concentrated,
}

/// A port of an alert.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct PortShare {
    /// TCP port.
    pub port: u16,
    /// Hosts of the alert that knocked at it.
    pub hosts: usize,
    /// The same as a share.
    pub share: f64,
    /// How it stands out.
    pub level: Level,
}

/// Hosts that act together, by one engine.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Alert {
    /// `pulses`, `glasso` or `nmf`.
    pub engine: &'static str,
    /// First moment.
    pub start: Nanos,
    /// Last moment.
    pub end: Nanos,
    /// Ports, the one most of the hosts knock at first.
    pub ports: Vec<PortShare>,
    /// The single sources, ascending; empty for engines that see networks only.
    pub sources: Vec<Addr>,
    /// Hosts: sources, or networks.
    pub hosts: usize,
    /// Moments at which at least half of the members acted; for `pulses` only.
    pub bursts: Vec<Nanos>,
    /// How strong: for `pulses` members × bursts, otherwise hosts. Larger comes first in lists.
    pub weight: f64,
    /// One sentence.
    pub reason: String,
}

/// Sorts alerts by weight, largest first, and keeps `per_day` for each day that the data spans.
pub fn ranked(mut alerts: Vec<Alert>, per_day: usize) -> Vec<Alert> {
    let first = alerts.iter().map(|alert| alert.start).min();
    let last = alerts.iter().map(|alert| alert.end).max();
    let (Some(first), Some(last)) = (first, last) else { return alerts };
    let days = (last.seconds_since(first) / 86_400.0).ceil().max(1.0) as usize;
    alerts.sort_by(|a, b| b.weight.total_cmp(&a.weight).then(a.start.cmp(&b.start)).then(a.reason.cmp(&b.reason)));
    alerts.truncate(per_day.saturating_mul(days));
    alerts
}

/// `23`, or `23 and 2323`, or `23, 2323 and 5 more`.
fn port_list(ports: &[PortShare]) -> String {
    let names: Vec<String> = ports.iter().take(3).map(|port| port.port.to_string()).collect();
    match ports.len() {
        0 => "no port".to_owned(),
        1..=3 => names.join(" and "),
        more => format!("{} and {} more", names.join(", "), more - 3),
    }
}

#[cfg(test)]
mod tests;
