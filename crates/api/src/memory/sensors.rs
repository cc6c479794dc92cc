//! Sensors in memory: what they are asked, what they may, and what a policy would do to a record.

use super::row::Kept;
use crate::scope::Scope;
use crate::views::{Anonymise, Gap, PacketView, Policy, PolicyPreview, PolicyRevision, Rates, SensorState, SensorView};
use noroshi_model::policy::Granularity;
use noroshi_model::time::SECOND;
use noroshi_model::{Addr, Nanos};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// A sensor is late after this silence, seconds.
pub const LATE_AFTER_SECONDS: f64 = 120.0;
const DAY_SLOT_SECONDS: i64 = 900;

/// What is known of a sensor beside its packets.
#[derive(Clone, Debug)]
pub struct SensorRecord {
    /// Name.
    pub name: String,
    /// Organisation that hosts it.
    pub organisation: String,
    /// Longitude and latitude.
    pub place: Option<[f64; 2]>,
    /// What the hub asks for.
    pub requested: Policy,
    /// What the host allows.
    pub ceiling: Option<Policy>,
    /// Packets that it produced.
    pub produced: u64,
    /// Packets stored.
    pub stored: u64,
    /// Last report.
    pub seen: Option<Nanos>,
    /// What is missing.
    pub gaps: Vec<Gap>,
    /// What was requested so far, oldest first.
    pub history: Vec<PolicyRevision>,
    /// Whether it was cut off for good.
    pub revoked: bool,
}

impl SensorRecord {
    /// A sensor that has not reported yet.
    pub fn new(name: impl Into<String>, organisation: impl Into<String>, place: Option<[f64; 2]>) -> Self {
        SensorRecord {
            name: name.into(),
            organisation: organisation.into(),
            place,
            requested: default_policy(),
            ceiling: None,
            produced: 0,
            stored: 0,
            seen: None,
            gaps: Vec::new(),
            history: Vec::new(),
            revoked: false,
        }
    }

    pub(super) fn request(&mut self, policy: Policy, now: Nanos) {
        let first = PolicyRevision {
            revision: 1,
            at: self.seen.unwrap_or(now),
            reason: "the default".into(),
            changes: Vec::new(),
            policy: self.requested.clone(),
        };
        if self.history.is_empty() {
            self.history.push(first);
        }
        let (revision, changes) = (self.history.len() as u64 + 1, policy.changes(&self.requested));
        let reason = changes.join("; ");
        self.history.push(PolicyRevision { revision, at: now, reason, changes, policy: policy.clone() });
        self.requested = policy;
    }

    pub(super) fn state(&self, now: Nanos) -> SensorState {
        match self.seen {
            _ if self.revoked => SensorState::Revoked,
            None => SensorState::Waiting,
            Some(seen) if now.seconds_since(seen) > LATE_AFTER_SECONDS => SensorState::Late,
            Some(_) => SensorState::Online,
        }
    }
}

/// What a new sensor is asked for: headers and the first payload bytes.
pub fn default_policy() -> Policy {
    Policy { payload_bytes: 128, ..Policy::default() }
}

fn effective(ceiling: Option<&Policy>, requested: &Policy) -> Policy {
    ceiling.map_or_else(|| requested.clone(), |ceiling| requested.stricter(ceiling))
}

/// The view of a sensor over its rows.
pub fn view<'a>(record: &SensorRecord, now: Nanos, sample: bool, rows: impl Iterator<Item = &'a Kept>) -> SensorView {
    let slots = (86_400 / DAY_SLOT_SECONDS) as usize;
    let slot_ns = DAY_SLOT_SECONDS * SECOND;
    let start = Nanos((now.0.div_euclid(slot_ns) + 1 - slots as i64) * slot_ns);
    let mut series: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    let mut minute = 0u64;
    for row in rows {
        minute += u64::from(now.seconds_since(row.packet.ts) < 60.0);
        let slot = (row.packet.ts.0 - start.0).div_euclid(slot_ns);
        if (0..slots as i64).contains(&slot) {
            series.entry(row.kind.name().to_owned()).or_insert_with(|| vec![0; slots])[slot as usize] += 1;
        }
    }
    SensorView {
        name: record.name.clone(),
        organisation: record.organisation.clone(),
        state: record.state(now),
        version: record.seen.map(|_| env!("CARGO_PKG_VERSION").to_owned()),
        place: record.place,
        seen: record.seen,
        packets_per_second: minute as f64 / 60.0,
        produced: record.produced,
        stored: record.stored,
        lost: record.gaps.iter().map(|gap| gap.packets).sum(),
        clock_offset_ms: None,
        certificate_days: None,
        rates: Rates { start, slot_seconds: DAY_SLOT_SECONDS as u64, series },
        gaps: record.gaps.clone(),
        requested: record.requested.clone(),
        ceiling: record.ceiling.clone(),
        effective: record.seen.map(|_| effective(record.ceiling.as_ref(), &record.requested)),
        remarks: Vec::new(),
        sample,
    }
}

/// What a policy would make of a packet, under that ceiling.
pub fn preview(ceiling: Option<&Policy>, policy: &Policy, packet: Option<PacketView>, scope: &Scope) -> PolicyPreview {
    let effective = effective(ceiling, policy);
    let (before, after, notes) = apply(&effective, packet);
    let show = |mut view: PacketView| {
        if !scope.sensor_addresses() {
            view.dst = String::new();
        }
        view
    };
    PolicyPreview { before: before.map(show), after: after.map(show), effective, notes }
}

/// A packet before and after a policy, and what cannot be shown here.
pub fn apply(policy: &Policy, before: Option<PacketView>) -> (Option<PacketView>, Option<PacketView>, Vec<String>) {
    let mut notes = Vec::new();
    if !policy.filter.is_empty() {
        notes.push("the capture filter is compiled on the sensor and not tried here".to_owned());
    }
    if policy.sample_one_in > 1 {
        notes.push(format!("one packet in {} is kept; this one stands for those", policy.sample_one_in));
    }
    if policy.granularity != Granularity::Packets {
        notes.push(format!(
            "records are {}: of a single packet nothing is stored but its part of a sum",
            policy.granularity
        ));
        return (before, None, notes);
    }
    let destination = before.as_ref().and_then(|view| view.dst.parse::<Addr>().ok());
    let observed = match (&policy.prefixes, destination) {
        (Some(prefixes), Some(addr)) => prefixes.iter().any(|prefix| prefix.contains(addr)),
        _ => true,
    };
    let after = before.clone().filter(|_| observed).map(|view| store(policy, view));
    (before, after, notes)
}

fn store(policy: &Policy, mut view: PacketView) -> PacketView {
    let hide = |text: String, how: Anonymise| match (text.parse::<Addr>(), how) {
        (Ok(addr), Anonymise::Truncated) => addr.network().first().to_string(),
        (Ok(addr), Anonymise::PrefixPreserving) => pseudonym(addr).to_string(),
        _ => text,
    };
    view.src = hide(view.src, policy.source_addresses);
    view.dst = hide(view.dst, policy.destination_addresses);
    let kept = usize::from(policy.payload_bytes);
    view.payload = view.payload.map(|text| text.chars().take(kept).collect::<String>()).filter(|text| !text.is_empty());
    view
}

/// An example of a keyed prefix-preserving pseudonym: each bit is flipped by a hash of the bits before it (Xu et al.,
/// ICNP 2002). The key here is for show; a sensor has its own and never tells it.
fn pseudonym(addr: Addr) -> Addr {
    let first = if addr.is_v4() { 96 } else { 0 };
    let mut out = addr.0;
    for bit in first..128u32 {
        let before = addr.0.checked_shr(128 - bit).unwrap_or(0);
        let digest = Sha256::new()
            .chain_update(b"preview")
            .chain_update(bit.to_be_bytes())
            .chain_update(before.to_be_bytes())
            .finalize();
        out ^= u128::from(digest[0] & 1) << (127 - bit);
    }
    Addr(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pseudonyms_keep_common_prefixes() {
        let shared = |a: &str, b: &str| (a.parse::<Addr>().unwrap().0 ^ b.parse::<Addr>().unwrap().0).leading_zeros();
        let hidden = |text: &str| pseudonym(text.parse().unwrap()).to_string();
        for (a, b) in [("192.0.2.1", "192.0.2.9"), ("192.0.2.1", "10.0.0.1"), ("2001:db8::1", "2001:db8:1::1")] {
            assert_eq!(shared(&hidden(a), &hidden(b)), shared(a, b), "{a} {b}");
        }
    }
}
