//! Sensors in memory: what they are asked, what they may, and what a policy would do to a record.

use super::row::Kept;
use crate::scope::Scope;
use crate::views::{Anonymise, Gap, PacketView, Policy, PolicyPreview, Rates, Records, SensorState, SensorView};
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
        }
    }

    pub(super) fn state(&self, now: Nanos) -> SensorState {
        match self.seen {
            None => SensorState::Waiting,
            Some(seen) if now.seconds_since(seen) > LATE_AFTER_SECONDS => SensorState::Late,
            Some(_) => SensorState::Online,
        }
    }
}

/// What a new sensor is asked for: headers and the first payload bytes, nothing that answers.
pub fn default_policy() -> Policy {
    Policy {
        sampling: 1.0,
        payload_bytes: 128,
        anonymise: Anonymise::None,
        records: Records::Packets,
        prefixes: Vec::new(),
        honeypots: Vec::new(),
        reply_bytes_per_second: 0,
    }
}

fn effective(record: &SensorRecord, requested: &Policy) -> Policy {
    record.ceiling.as_ref().map_or_else(|| requested.clone(), |ceiling| requested.stricter(ceiling))
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
        effective: record.seen.map(|_| effective(record, &record.requested)),
        sample,
    }
}

/// What a policy would make of a packet.
pub fn preview(record: &SensorRecord, policy: &Policy, newest: Option<&Kept>, scope: &Scope) -> PolicyPreview {
    let effective = effective(record, policy);
    let show = |mut view: PacketView| {
        if !scope.sensor_addresses() {
            view.dst = String::new();
        }
        view
    };
    PolicyPreview {
        before: newest.map(|row| show(row.view())),
        after: newest.and_then(|row| apply(&effective, row)).map(show),
        effective,
    }
}

fn apply(policy: &Policy, row: &Kept) -> Option<PacketView> {
    if policy.sampling == 0.0 || policy.records == Records::Minutes {
        return None;
    }
    let observed = policy.prefixes.is_empty()
        || policy
            .prefixes
            .iter()
            .filter_map(|text| text.parse::<noroshi_model::Prefix>().ok())
            .any(|p| p.contains(row.packet.dst));
    if !observed {
        return None;
    }
    let mut view = row.view();
    view.src = match policy.anonymise {
        Anonymise::None => view.src,
        Anonymise::Truncated => row.packet.src.network().first().to_string(),
        Anonymise::PrefixPreserving => pseudonym(row.packet.src).to_string(),
    };
    let kept = policy.payload_bytes as usize;
    view.payload = view.payload.map(|text| text.chars().take(kept).collect::<String>()).filter(|text| !text.is_empty());
    Some(view)
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
