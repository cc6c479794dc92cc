//! Requests in the name of a whole network: carpet bombing (methods C3).

use super::talk::{Told, is_due};
use super::{CARPET_GAP_SECONDS, CARPET_VICTIMS_MIN, LOW, RequestAttack, kept};
use crate::config::thresholds;
use noroshi_model::finding::{Attack, AttackKind, Vector, Victim};
use noroshi_model::request::Request;
use noroshi_model::time::SECOND;
use noroshi_model::{Addr, Nanos, Prefix};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, HashMap};

/// What came in the name of one network, for carpet bombing.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Network {
    last: Nanos,
    first: Nanos,
    requests: u64,
    bytes: u64,
    #[serde(with = "kept")]
    per_unit: HashMap<Addr, BTreeSet<Addr>>,
    sensors: BTreeSet<String>,
    /// Steps to the next address upwards: the mark of a sweep (methods C3).
    ascending: u64,
    previous: Addr,
    told: Option<Told>,
}

impl Network {
    pub(super) fn new(request: &Request) -> Self {
        Network {
            last: request.ts,
            first: request.ts,
            requests: 0,
            bytes: 0,
            per_unit: HashMap::new(),
            sensors: BTreeSet::new(),
            ascending: 0,
            previous: request.src,
            told: None,
        }
    }

    pub(super) fn add(&mut self, request: &Request, units: usize) {
        if request.ts.0.saturating_sub(self.last.0) > CARPET_GAP_SECONDS * SECOND && self.told.is_none() {
            *self = Network::new(request);
        }
        self.last = self.last.max(request.ts);
        self.requests += 1;
        self.bytes += u64::from(request.request_bytes);
        self.ascending += u64::from(request.src.0 == self.previous.0.wrapping_add(1));
        self.previous = request.src;
        if self.sensors.len() < units {
            self.sensors.insert(request.sensor.clone());
        }
        if self.per_unit.len() < units || self.per_unit.contains_key(&request.dst) {
            let victims = self.per_unit.entry(request.dst).or_default();
            // A /24 has 256; of a /48 as many are enough.
            if victims.len() < 256 {
                victims.insert(request.src);
            }
        }
    }

    pub(super) fn is_carpet(&self) -> bool {
        self.told.is_some()
    }

    pub(super) fn last(&self) -> Nanos {
        self.last
    }

    /// Whether it is time to tell: true for the first time, false when it has grown.
    pub(super) fn tell(&mut self, now: Nanos) -> Option<(Told, bool)> {
        let new = match self.told {
            Some(told) if !is_due(&told, self.requests, now) => return None,
            Some(_) => false,
            None if self.victims() < CARPET_VICTIMS_MIN => return None,
            None => true,
        };
        let began = self.told.map_or(self.first, |told| told.began);
        let told = Told { began, at: now, before: 0, requests: self.requests };
        self.told = Some(told);
        Some((told, new))
    }

    /// Victims named at the address that heard of most. Scanners of one network share the work between them, so no
    /// single address hears of many.
    fn victims(&self) -> usize {
        self.per_unit.values().map(BTreeSet::len).max().unwrap_or(0)
    }
}

/// The finding of a bucket.
pub(super) fn carpet(key: (Prefix, Vector, u64), bucket: &Network) -> RequestAttack {
    let (network, vector, request_hash) = key;
    let all: BTreeSet<Addr> = bucket.per_unit.values().flatten().copied().collect();
    let sweep = bucket.ascending * 2 > bucket.requests;
    let attack = Attack {
        kind: AttackKind::Carpet,
        vector,
        victim: Victim::Network(network),
        victim_port: None,
        packets: bucket.requests,
        bytes: bucket.bytes,
        sources: all.len() as u64,
        first: bucket.first,
        last: bucket.last,
        peak_pps: bucket.requests as f64 / bucket.last.seconds_since(bucket.first).max(1.0),
        estimated_pps: None,
        confidence: if sweep { 0.95 } else { 0.85 },
        thresholds: thresholds([
            ("victims_min", CARPET_VICTIMS_MIN as f64),
            ("gap_seconds", CARPET_GAP_SECONDS as f64),
        ]),
        detector: crate::detector("requests"),
        evidence: Vec::new(),
        reason: format!(
            "{} {vector} requests, all alike, came in the names of {} addresses of {network}{}: carpet bombing.",
            bucket.requests,
            all.len(),
            if sweep { ", one after the other" } else { "" }
        ),
    };
    let sensors = bucket.sensors.iter().map(|sensor| (sensor.clone(), 0)).collect();
    let began = bucket.told.map_or(bucket.first, |told| told.began);
    RequestAttack { attack, rule: LOW.name, began, sensors, with: Vec::new(), request_hash }
}
