//! Findings that stay: what a new look of the detectors found, joined with what earlier looks had found.
//!
//! Detectors look at the packets of the last minutes or hours. A finding that was seen before keeps its id and its
//! first packet, whatever has left that window since.

use super::{Memory, PoisonError};
use crate::scope::Marking;
use crate::views::{AttackView, CampaignView, ScanView};
use noroshi_model::Nanos;
use noroshi_model::time::SECOND;

/// Findings of one kind kept in memory; past it the oldest go.
const KEPT: usize = 5_000;
/// Two findings about the same thing this close in time are one: the silence after which detectors close (ours).
const GAP: i64 = 3_600 * SECOND;

/// Findings, to be kept elsewhere.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    /// Attacks.
    pub attacks: Vec<AttackView>,
    /// Campaigns.
    pub campaigns: Vec<CampaignView>,
    /// Scans with their markings.
    pub scans: Vec<(Marking, ScanView)>,
}

fn near(a: (Nanos, Nanos), b: (Nanos, Nanos)) -> bool {
    a.0.0.saturating_sub(GAP) <= b.1.0 && b.0.0.saturating_sub(GAP) <= a.1.0
}

/// Joins `new` into `old`: the same thing takes the place of the old one; gives what is new or changed.
fn join<T: Clone + PartialEq>(
    old: &mut Vec<T>,
    new: Vec<T>,
    same: fn(&T, &T) -> bool,
    merge: fn(&T, T) -> T,
) -> Vec<T> {
    let mut changed = Vec::new();
    for one in new {
        match old.iter_mut().find(|known| same(known, &one)) {
            Some(known) => {
                let merged = merge(known, one);
                if merged != *known {
                    changed.push(merged.clone());
                    *known = merged;
                }
            }
            None => {
                changed.push(one.clone());
                old.push(one);
            }
        }
    }
    changed
}

fn same_attack(a: &AttackView, b: &AttackView) -> bool {
    a.victim == b.victim && a.kind == b.kind && a.vector == b.vector && near((a.first, a.last), (b.first, b.last))
}

fn merge_attack(old: &AttackView, new: AttackView) -> AttackView {
    AttackView {
        id: old.id.clone(),
        first: old.first.min(new.first),
        last: old.last.max(new.last),
        packets: old.packets.max(new.packets),
        bytes: old.bytes.max(new.bytes),
        sources: old.sources.max(new.sources),
        peak_pps: old.peak_pps.max(new.peak_pps),
        ..new
    }
}

fn same_campaign(a: &CampaignView, b: &CampaignView) -> bool {
    a.tool == b.tool
        && a.ports == b.ports
        && a.marking.organisation == b.marking.organisation
        && near((a.first, a.last), (b.first, b.last))
}

fn merge_campaign(old: &CampaignView, new: CampaignView) -> CampaignView {
    let wider = if old.members.len() > new.members.len() { old } else { &new };
    let (members, sources) = (wider.members.clone(), old.sources.max(new.sources));
    CampaignView {
        id: old.id.clone(),
        first: old.first.min(new.first),
        last: old.last.max(new.last),
        packets: old.packets.max(new.packets),
        members,
        sources,
        ..new
    }
}

type MarkedScan = (Marking, ScanView);

fn same_scan((_, a): &MarkedScan, (_, b): &MarkedScan) -> bool {
    a.source == b.source
        && a.port == b.port
        && a.kind == b.kind
        && a.protocol == b.protocol
        && near((a.first, a.last), (b.first, b.last))
}

fn merge_scan((_, old): &MarkedScan, (marking, new): MarkedScan) -> MarkedScan {
    let merged = ScanView {
        first: old.first.min(new.first),
        last: old.last.max(new.last),
        packets: old.packets.max(new.packets),
        destinations: old.destinations.max(new.destinations),
        ..new
    };
    (marking, merged)
}

impl Memory {
    /// Takes the findings of another house in, at once: nobody sees half of them. Gives what is new or changed.
    pub fn merge_findings(&self, other: Memory) -> Findings {
        let other = other.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        let (found, labels) =
            (Findings { attacks: other.attacks, campaigns: other.campaigns, scans: other.scans }, other.labels);
        let changed = self.restore_findings(found);
        self.write().labels.extend(labels);
        changed
    }

    /// Takes findings in that were kept elsewhere.
    pub fn restore_findings(&self, found: Findings) -> Findings {
        let mut state = self.write();
        let changed = Findings {
            attacks: join(&mut state.attacks, found.attacks, same_attack, merge_attack),
            campaigns: join(&mut state.campaigns, found.campaigns, same_campaign, merge_campaign),
            scans: join_scans(&mut state.scans, found.scans),
        };
        state.attacks.sort_by_key(|attack| std::cmp::Reverse(attack.last));
        state.campaigns.sort_by_key(|campaign| std::cmp::Reverse(campaign.last));
        state.scans.sort_by_key(|(_, scan)| std::cmp::Reverse(scan.last));
        state.attacks.truncate(KEPT);
        state.campaigns.truncate(KEPT);
        state.scans.truncate(KEPT);
        state.campaigns.sort_by_key(|campaign| std::cmp::Reverse(campaign.sources));
        state.scans.sort_by_key(|(_, scan)| std::cmp::Reverse(scan.packets));
        changed
    }
}

/// Scans are many: those of one source are found by it.
fn join_scans(old: &mut Vec<MarkedScan>, new: Vec<MarkedScan>) -> Vec<MarkedScan> {
    let mut places: std::collections::HashMap<String, Vec<usize>> = std::collections::HashMap::new();
    for (at, (_, scan)) in old.iter().enumerate() {
        places.entry(scan.source.clone()).or_default().push(at);
    }
    let mut changed = Vec::new();
    for one in new {
        let known = places.get(&one.1.source).into_iter().flatten().copied().find(|at| same_scan(&old[*at], &one));
        let at = known.unwrap_or_else(|| {
            places.entry(one.1.source.clone()).or_default().push(old.len());
            old.push(one.clone());
            old.len() - 1
        });
        let merged = merge_scan(&old[at], one);
        if known.is_none() || merged != old[at] {
            changed.push(merged.clone());
            old[at] = merged;
        }
    }
    changed
}
