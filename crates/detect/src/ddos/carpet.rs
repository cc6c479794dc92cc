//! Many victims of one prefix at once: carpet bombing.
//!
//! After methods C3; Jonker et al. describe the practice, Corero and Netscout name it. Attacks of one vector on at least
//! [`VICTIMS_MIN`] addresses of one /24 (or /48), each starting within [`GAP`] of the one before, are one finding.

use crate::config::thresholds;
use noroshi_model::finding::{Attack, AttackKind, Vector, Victim};
use noroshi_model::{Nanos, Prefix};
use std::collections::BTreeMap;

/// Distinct victims in one prefix.
pub const VICTIMS_MIN: usize = 8;
/// Longest pause between two of them, nanoseconds.
pub const GAP: i64 = 600 * 1_000_000_000;

/// Replaces attacks on many addresses of one prefix by one carpet each.
pub(crate) fn join(attacks: Vec<Attack>) -> Vec<Attack> {
    let mut by_network: BTreeMap<(Prefix, AttackKind, Vector), Vec<Attack>> = BTreeMap::new();
    let mut out = Vec::new();
    for attack in attacks {
        match attack.victim {
            Victim::Address(addr) => {
                by_network.entry((addr.network(), attack.kind, attack.vector)).or_default().push(attack);
            }
            Victim::Network(_) => out.push(attack),
        }
    }
    for ((network, _, vector), mut group) in by_network {
        group.sort_by_key(|attack| (attack.first, attack.victim));
        for run in runs(group) {
            let mut victims: Vec<Victim> = run.iter().map(|attack| attack.victim).collect();
            victims.sort();
            victims.dedup();
            if victims.len() >= VICTIMS_MIN {
                out.push(carpet(network, vector, victims.len(), &run));
            } else {
                out.extend(run);
            }
        }
    }
    out
}

/// Splits attacks in order of their start where the pause since anything before is longer than [`GAP`].
fn runs(group: Vec<Attack>) -> Vec<Vec<Attack>> {
    let mut out: Vec<Vec<Attack>> = Vec::new();
    let mut until = Nanos(i64::MIN);
    for attack in group {
        if out.is_empty() || attack.first.0 > until.0.saturating_add(GAP) {
            out.push(Vec::new());
        }
        until = until.max(attack.last);
        out.last_mut().expect("one was pushed").push(attack);
    }
    out
}

fn carpet(network: Prefix, vector: Vector, victims: usize, run: &[Attack]) -> Attack {
    let sum = |field: fn(&Attack) -> u64| run.iter().map(field).sum::<u64>();
    let packets = sum(|attack| attack.packets);
    let mut thresholds = thresholds([("victims_min", VICTIMS_MIN as f64), ("gap_seconds", GAP as f64 / 1e9)]);
    thresholds.extend(run[0].thresholds.clone());
    Attack {
        kind: AttackKind::Carpet,
        vector,
        victim: Victim::Network(network),
        victim_port: run[0].victim_port.filter(|port| run.iter().all(|attack| attack.victim_port == Some(*port))),
        packets,
        bytes: sum(|attack| attack.bytes),
        sources: run.iter().map(|attack| attack.sources).max().unwrap_or(0),
        first: run.iter().map(|attack| attack.first).min().unwrap_or_default(),
        last: run.iter().map(|attack| attack.last).max().unwrap_or_default(),
        peak_pps: run.iter().map(|attack| attack.peak_pps).sum(),
        estimated_pps: None,
        confidence: run.iter().map(|attack| attack.confidence).fold(0.0, f64::max),
        thresholds,
        detector: crate::detector("carpet"),
        evidence: run.iter().filter_map(|attack| attack.evidence.first().copied()).take(5).collect(),
        reason: format!(
            "{victims} addresses of {network} were attacked together with {vector} ({}, {packets} packets): carpet bombing.",
            run[0].kind
        ),
    }
}
