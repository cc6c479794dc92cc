//! Requests at amplification honeypots: who is a victim, who a scanner, what is one attack.
//!
//! Definitions (methods C1, C3): at one honeypot address, a run of requests in one name and for one protocol is an
//! *attack* by the low rule with 5 requests at pauses of at most 900 s (Thomas et al., "1000 days of UDP amplification
//! DDoS attacks", eCrime 2017), and by the high rule with 100 requests at pauses of at most 3,600 s (Krämer et al.,
//! "AmpPot", RAID 2015). Both are kept: the low one warns, the high one reports. Runs at several addresses that overlap
//! or follow within 300 s are one attack. A source that asks many addresses at most three times each is a *scanner*.
//!
//! Memory is bounded by [`Limits`]; what had to leave early is counted in [`Requests::evicted`].

mod completeness;
pub(super) mod kept;
mod network;
mod talk;

pub use completeness::{chance_of_cover, chapman};

use crate::config::thresholds;
use network::{Network, carpet};
use noroshi_model::finding::{Attack, AttackKind, Thresholds, Vector, Victim};
use noroshi_model::request::Request;
use noroshi_model::time::SECOND;
use noroshi_model::{Addr, Nanos, Prefix};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, HashMap};
use talk::{Run, Talk};

/// When a run of requests is an attack.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Rule {
    /// Name in findings.
    pub name: &'static str,
    /// Requests at one honeypot address. Lower: scanners that retry look like attacks.
    pub requests_min: u64,
    /// Longest pause in seconds. Longer: separate attacks on one victim melt together.
    pub gap_seconds: i64,
}

/// Thomas et al. 2017: warns.
pub const LOW: Rule = Rule { name: "low", requests_min: 5, gap_seconds: 900 };
/// Krämer et al. 2015: reports.
pub const HIGH: Rule = Rule { name: "high", requests_min: 100, gap_seconds: 3_600 };
const RULES: [Rule; 2] = [LOW, HIGH];

/// Runs at different addresses this close, in seconds, are one attack (methods C1).
pub const MERGE_SECONDS: i64 = 300;
/// Addresses that a scanner touches at least, or this share of all honeypot addresses if that is more.
pub const SCANNER_ADDRESSES_MIN: usize = 5;
/// Share of all honeypot addresses.
pub const SCANNER_SHARE_MIN: f64 = 0.3;
/// Requests of a scanner to one address, at most.
pub const SCANNER_REQUESTS_MAX: u64 = 3;
/// Distinct victims of one network, at one address, with one request, that are carpet bombing (methods C3).
pub const CARPET_VICTIMS_MIN: usize = 8;
/// Longest pause between requests of a carpet, in seconds (methods C3).
pub const CARPET_GAP_SECONDS: i64 = 600;
/// An attack that goes on is told again after so many seconds, and each time it has doubled. Shorter than the silence
/// after which an incident counts as over (an hour); larger: fewer rows.
pub const AGAIN_SECONDS: i64 = 600;
/// Beginnings of one talk that are remembered until their attacks are over.
const BEGINNINGS: usize = 8;

/// Bounds of memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Limits {
    /// Pairs of source and protocol followed at once. One takes about 1 KiB. Default 200,000.
    pub talks: usize,
    /// Honeypot addresses followed per pair. Default 64.
    pub units: usize,
    /// Networks followed for carpet bombing. Default 50,000.
    pub networks: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { talks: 200_000, units: 64, networks: 50_000 }
    }
}

/// An attack seen through requests.
#[derive(Clone, PartialEq, Debug)]
pub struct RequestAttack {
    /// The finding.
    pub attack: Attack,
    /// `low` or `high`.
    pub rule: &'static str,
    /// When it began, as it was first told: the same for every telling of one attack.
    pub began: Nanos,
    /// Sensors that were asked, and how often.
    pub sensors: Vec<(String, u64)>,
    /// Other protocols asked for in the same name at the same time.
    pub with: Vec<Vector>,
    /// Hash of the request that was sent most.
    pub request_hash: u64,
}

/// A source that asks everywhere a little: looking for reflectors.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RequestScanner {
    /// Who; its address is honest, for it wants the replies.
    pub source: Addr,
    /// For which protocol.
    pub vector: Vector,
    /// Honeypot addresses asked.
    pub addresses: usize,
    /// Requests.
    pub requests: u64,
    /// First request.
    pub first: Nanos,
    /// Last request.
    pub last: Nanos,
}

/// What the engine has to say.
// Few are made, and each is taken apart at once.
#[allow(clippy::large_enum_variant)]
#[derive(Clone, PartialEq, Debug)]
pub enum Found {
    /// The low rule was reached just now: time to warn. Once per attack.
    Began(RequestAttack),
    /// An attack that began goes on and has grown.
    Grew(RequestAttack),
    /// An attack is over.
    Ended(RequestAttack),
    /// A scanner, once per talk.
    Scanner(RequestScanner),
}

/// The engine. Requests come in the order of their time, as far as sensors agree on it. Its state is plain data, to be
/// stored and taken up again: the same requests then give the same findings.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Requests {
    limits: Limits,
    addresses: BTreeSet<Addr>,
    #[serde(with = "kept")]
    talks: HashMap<(Addr, Vector), Talk>,
    #[serde(with = "kept")]
    networks: HashMap<(Prefix, Vector, u64), Network>,
    now: Nanos,
    /// Talks and networks that had to leave before they ended.
    pub evicted: u64,
}

impl Requests {
    /// An engine that has seen nothing.
    pub fn new(limits: Limits) -> Self {
        Requests {
            limits,
            addresses: BTreeSet::new(),
            talks: HashMap::new(),
            networks: HashMap::new(),
            now: Nanos(i64::MIN),
            evicted: 0,
        }
    }

    /// Takes a request; says what follows from it at once.
    pub fn push(&mut self, request: &Request) -> Vec<Found> {
        self.now = self.now.max(request.ts);
        // Honeypot addresses are the operator's own and few; the bound is against a hostile feed.
        if self.addresses.len() < 65_536 {
            self.addresses.insert(request.dst);
        }
        let mut found = Vec::new();
        let key = (request.src, request.vector);
        if self.talks.len() >= self.limits.talks && !self.talks.contains_key(&key) {
            self.make_room(&mut found);
        }
        let talk = self.talks.entry(key).or_insert_with(|| Talk::new(request));
        talk.add(request, self.limits.units);
        let told = talk.tell(request.ts);
        let carpet = self.push_network(request);
        if let Some(carpet) = carpet {
            found.push(carpet);
        } else if let Some((told, new)) = told
            && !self.under_carpet(request)
        {
            let talk = self.talks.get(&key).expect("it was just added");
            let runs = talk.open_runs(0);
            let attack = self.attack(key, talk, 0, &runs, told.began);
            found.push(if new { Found::Began(attack) } else { Found::Grew(attack) });
        }
        found
    }

    /// Whether nothing is followed: then nothing can end either.
    pub fn is_idle(&self) -> bool {
        self.talks.is_empty() && self.networks.is_empty()
    }

    /// Time passes: says what ended. To be called about once a minute of the requests' time.
    pub fn advance(&mut self, now: Nanos) -> Vec<Found> {
        self.now = self.now.max(now);
        let mut found = Vec::new();
        let keys: Vec<_> = self.talks.keys().copied().collect();
        for key in keys {
            self.settle(key, false, &mut found);
        }
        let now = self.now;
        self.talks.retain(|_, talk| now.0.saturating_sub(talk.last.0) <= HIGH.gap_seconds * SECOND);
        self.settle_networks(false, &mut found);
        sort(&mut found);
        found
    }

    /// The end of the data: everything ends.
    pub fn finish(&mut self) -> Vec<Found> {
        let mut found = Vec::new();
        let mut keys: Vec<_> = self.talks.keys().copied().collect();
        keys.sort();
        for key in keys {
            self.settle(key, true, &mut found);
        }
        self.talks.clear();
        self.settle_networks(true, &mut found);
        sort(&mut found);
        found
    }

    /// Closes what is silent and gives out what is complete. The talk stays: attacks of other protocols look for it.
    fn settle(&mut self, key: (Addr, Vector), all: bool, found: &mut Vec<Found>) {
        let now = self.now;
        let Some(mut talk) = self.talks.remove(&key) else { return };
        talk.close(now, all);
        // Judged when it has gone quiet: the first requests of an attack look like those of a scanner.
        if all || now.0.saturating_sub(talk.last.0) > MERGE_SECONDS * SECOND {
            found.extend(talk.scanner(key, scanner_addresses(self.addresses.len())).map(Found::Scanner));
        }
        let carpet = self
            .networks
            .iter()
            .any(|((network, vector, _), bucket)| *vector == key.1 && bucket.is_carpet() && network.contains(key.0));
        for (at, rule) in RULES.iter().enumerate() {
            for group in talk.complete(at, rule, all) {
                // Victims under a carpet are named by the carpet.
                if !carpet {
                    let began = talk.began(at, &group);
                    found.push(Found::Ended(self.attack(key, &talk, at, &group, began)));
                }
            }
        }
        self.talks.insert(key, talk);
    }

    /// The talk that was silent longest leaves, with the quarter that was silent almost as long: one sweep pays for many.
    fn make_room(&mut self, found: &mut Vec<Found>) {
        let mut lasts: Vec<_> = self.talks.iter().map(|(key, talk)| (talk.last, *key)).collect();
        lasts.sort();
        for (_, key) in lasts.into_iter().take((self.limits.talks / 4).max(1)) {
            self.settle(key, true, found);
            self.talks.remove(&key);
            self.evicted += 1;
        }
    }

    fn attack(
        &self,
        key: (Addr, Vector),
        talk: &Talk,
        at: usize,
        runs: &[(String, Run)],
        began: Nanos,
    ) -> RequestAttack {
        let (victim, vector) = key;
        let rule = &RULES[at];
        let first = runs.iter().map(|(_, run)| run.first).min().unwrap_or(talk.first);
        let last = runs.iter().map(|(_, run)| run.last).max().unwrap_or(talk.last);
        let packets: u64 = runs.iter().map(|(_, run)| run.requests).sum();
        let mut sensors: Vec<(String, u64)> = Vec::new();
        for (sensor, run) in runs {
            match sensors.iter_mut().find(|(name, _)| name == sensor) {
                Some((_, requests)) => *requests += run.requests,
                None => sensors.push((sensor.clone(), run.requests)),
            }
        }
        sensors.sort();
        let with: Vec<Vector> = Vector::ALL
            .iter()
            .copied()
            .filter(|other| *other != vector)
            .filter(|other| self.talks.get(&(victim, *other)).is_some_and(|talk| talk.overlaps(first, last)))
            .collect();
        let reason = format!(
            "{packets} {vector} requests in the name of {victim} came to {} of our reflectors within {:.0} s{}: someone \
             wants their replies to reach it.",
            runs.len(),
            last.seconds_since(first).max(1.0),
            if with.is_empty() { String::new() } else { format!(", together with {}", names(&with)) },
        );
        let attack = Attack {
            kind: AttackKind::Amplification,
            vector,
            victim: Victim::Address(victim),
            victim_port: (talk.port.1 * 2 > talk.requests as i64).then_some(talk.port.0),
            packets,
            bytes: runs.iter().map(|(_, run)| run.bytes).sum(),
            sources: 1,
            first,
            last,
            peak_pps: f64::from(talk.peak_pps),
            estimated_pps: None,
            confidence: confidence(packets, runs.len()),
            thresholds: used(rule),
            detector: crate::detector("requests"),
            evidence: Vec::new(),
            reason,
        };
        RequestAttack { attack, rule: rule.name, began, sensors, with, request_hash: talk.hash.0 }
    }

    fn under_carpet(&self, request: &Request) -> bool {
        let key = (request.src.network(), request.vector, request.request_hash);
        self.networks.get(&key).is_some_and(Network::is_carpet)
    }

    /// Adds to the network's bucket; says when it became a carpet just now, or a larger one.
    fn push_network(&mut self, request: &Request) -> Option<Found> {
        let key = (request.src.network(), request.vector, request.request_hash);
        if self.networks.len() >= self.limits.networks && !self.networks.contains_key(&key) {
            self.make_room_for_networks();
        }
        let units = self.limits.units;
        let bucket = self.networks.entry(key).or_insert_with(|| Network::new(request));
        bucket.add(request, units);
        let (_, new) = bucket.tell(request.ts)?;
        let carpet = carpet(key, bucket);
        Some(if new { Found::Began(carpet) } else { Found::Grew(carpet) })
    }

    /// The quarter of the networks that was quiet longest leaves, carpets last.
    fn make_room_for_networks(&mut self) {
        let mut lasts: Vec<_> = self.networks.iter().map(|(key, b)| (b.is_carpet(), b.last(), *key)).collect();
        lasts.sort();
        for (_, _, key) in lasts.into_iter().take((self.limits.networks / 4).max(1)) {
            self.networks.remove(&key);
            self.evicted += 1;
        }
    }

    fn settle_networks(&mut self, all: bool, found: &mut Vec<Found>) {
        let now = self.now;
        let over = |bucket: &Network| now.0.saturating_sub(bucket.last().0) > CARPET_GAP_SECONDS * SECOND;
        let mut ended: Vec<_> = self.networks.extract_if(|_, bucket| all || over(bucket)).collect();
        ended.sort_by_key(|(key, _)| *key);
        let carpets = ended.into_iter().filter(|(_, bucket)| bucket.is_carpet());
        found.extend(carpets.map(|(key, bucket)| Found::Ended(carpet(key, &bucket))));
    }
}

/// Addresses that make a scanner, among so many honeypot addresses.
fn scanner_addresses(addresses: usize) -> usize {
    SCANNER_ADDRESSES_MIN.max((SCANNER_SHARE_MIN * addresses as f64).ceil() as usize)
}

/// Ours: five requests at one reflector are more likely than not an attack; a hundred, or several reflectors, make sure.
fn confidence(requests: u64, runs: usize) -> f64 {
    (0.6 + 0.1 * (requests as f64 / 5.0).log10() + 0.1 * (runs as f64).log2()).clamp(0.6, 0.98)
}

fn used(rule: &Rule) -> Thresholds {
    thresholds([
        ("requests_min", rule.requests_min as f64),
        ("gap_seconds", rule.gap_seconds as f64),
        ("merge_seconds", MERGE_SECONDS as f64),
    ])
}

fn names(vectors: &[Vector]) -> String {
    vectors.iter().map(|vector| vector.name()).collect::<Vec<_>>().join(", ")
}

fn sort(found: &mut [Found]) {
    found.sort_by_key(|found| match found {
        Found::Began(attack) | Found::Grew(attack) | Found::Ended(attack) => {
            (attack.attack.first, attack.attack.victim, attack.attack.vector)
        }
        Found::Scanner(scanner) => (scanner.first, Victim::Address(scanner.source), scanner.vector),
    });
}

#[cfg(test)]
mod tests;
