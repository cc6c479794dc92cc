//! What one source asked of one protocol: runs at each address, under both rules.

use super::{AGAIN_SECONDS, BEGINNINGS, LOW, MERGE_SECONDS, RULES, RequestScanner, Rule, SCANNER_REQUESTS_MAX, kept};
use noroshi_model::finding::Vector;
use noroshi_model::request::Request;
use noroshi_model::time::SECOND;
use noroshi_model::{Addr, Nanos};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// One run at one honeypot address under one rule.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Run {
    pub(super) first: Nanos,
    pub(super) last: Nanos,
    pub(super) requests: u64,
    pub(super) bytes: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Unit {
    pub(super) sensor: String,
    pub(super) runs: [Run; 2],
    pub(super) total: u64,
}

/// What was told of an attack that goes on.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Told {
    pub(super) began: Nanos,
    pub(super) at: Nanos,
    /// Requests of the talk before this attack, and when it was told last.
    pub(super) before: u64,
    pub(super) requests: u64,
}

/// Everything one source asked of one protocol.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Talk {
    #[serde(with = "kept")]
    pub(super) units: HashMap<Addr, Unit>,
    pub(super) closed: [Vec<(String, Run)>; 2],
    pub(super) first: Nanos,
    pub(super) last: Nanos,
    pub(super) requests: u64,
    /// Requests at addresses beyond the limit of units.
    pub(super) beyond: u64,
    pub(super) hash: (u64, i64),
    pub(super) port: (u16, i64),
    pub(super) second: (i64, u32),
    pub(super) peak_pps: u32,
    pub(super) told: Option<Told>,
    /// Beginnings that were told, for the ends to come.
    pub(super) beginnings: Vec<Nanos>,
    pub(super) is_scanner: bool,
}

impl Run {
    pub(super) fn new(ts: Nanos) -> Self {
        Run { first: ts, last: ts, requests: 0, bytes: 0 }
    }

    pub(super) fn is_over(&self, now: Nanos, rule: &Rule) -> bool {
        now.0.saturating_sub(self.last.0) > rule.gap_seconds * SECOND
    }
}

impl Talk {
    pub(super) fn new(request: &Request) -> Self {
        Talk {
            units: HashMap::new(),
            closed: [Vec::new(), Vec::new()],
            first: request.ts,
            last: request.ts,
            requests: 0,
            beyond: 0,
            hash: (request.request_hash, 0),
            port: (request.sport, 0),
            second: (i64::MIN, 0),
            peak_pps: 0,
            told: None,
            beginnings: Vec::new(),
            is_scanner: false,
        }
    }

    pub(super) fn add(&mut self, request: &Request, units: usize) {
        let ts = request.ts;
        self.first = self.first.min(ts);
        self.last = self.last.max(ts);
        self.requests += 1;
        // Majority vote (Boyer and Moore): the most frequent value, if there is one over half.
        vote(&mut self.hash, request.request_hash);
        vote(&mut self.port, request.sport);
        let second = ts.seconds();
        self.second = if self.second.0 == second { (second, self.second.1 + 1) } else { (second, 1) };
        self.peak_pps = self.peak_pps.max(self.second.1);
        if self.units.len() >= units && !self.units.contains_key(&request.dst) {
            self.beyond += 1;
            return;
        }
        let unit = self.units.entry(request.dst).or_insert_with(|| Unit {
            sensor: request.sensor.clone(),
            runs: [Run::new(ts), Run::new(ts)],
            total: 0,
        });
        unit.total += 1;
        let mut ended = false;
        for (at, rule) in RULES.iter().enumerate() {
            if unit.runs[at].requests > 0 && unit.runs[at].is_over(ts, rule) {
                let run = std::mem::replace(&mut unit.runs[at], Run::new(ts));
                if run.requests >= rule.requests_min {
                    self.closed[at].push((unit.sensor.clone(), run));
                }
                ended |= at == 0;
            }
            let run = &mut unit.runs[at];
            run.last = run.last.max(ts);
            run.requests += 1;
            run.bytes += u64::from(request.request_bytes);
        }
        if ended {
            self.forget_when_over(ts);
        }
    }

    /// What is told is over when no run of it goes on; the next one is a new attack.
    pub(super) fn forget_when_over(&mut self, now: Nanos) {
        let goes_on = |unit: &Unit| unit.runs[0].requests >= LOW.requests_min && !unit.runs[0].is_over(now, &LOW);
        if !self.units.values().any(goes_on) {
            self.told = None;
        }
    }

    /// Whether it is time to tell: true for the first time in this attack, false when it has grown.
    pub(super) fn tell(&mut self, now: Nanos) -> Option<(Told, bool)> {
        let (new, began) = match self.told {
            Some(told) if !is_due(&told, self.requests, now) => return None,
            Some(told) => (false, told.began),
            None => {
                let reached = self.units.values().map(|unit| &unit.runs[0]).filter(|r| r.requests >= LOW.requests_min);
                (true, reached.map(|run| run.first).min()?)
            }
        };
        let mut before = self.told.map_or(0, |told| told.before);
        if new {
            before = self.requests - self.units.values().map(|unit| unit.runs[0].requests).sum::<u64>();
            if self.beginnings.len() == BEGINNINGS {
                self.beginnings.remove(0);
            }
            self.beginnings.push(began);
        }
        let told = Told { began, at: now, before, requests: self.requests };
        self.told = Some(told);
        Some((told, new))
    }

    /// When an attack that is over began, as it was told; what was never told began with its first request.
    pub(super) fn began(&self, at: usize, runs: &[(String, Run)]) -> Nanos {
        let first = runs.iter().map(|(_, run)| run.first).min().unwrap_or(self.first);
        let last = runs.iter().map(|(_, run)| run.last).max().unwrap_or(self.last);
        let told = self.beginnings.iter().copied().find(|began| at == 0 && (first..=last).contains(began));
        told.unwrap_or(first)
    }

    pub(super) fn open_runs(&self, at: usize) -> Vec<(String, Run)> {
        let reached = |unit: &&Unit| unit.runs[at].requests >= RULES[at].requests_min;
        self.units.values().filter(reached).map(|unit| (unit.sensor.clone(), unit.runs[at].clone())).collect()
    }

    pub(super) fn overlaps(&self, first: Nanos, last: Nanos) -> bool {
        let near = MERGE_SECONDS * SECOND;
        self.requests >= LOW.requests_min
            && self.first.0 <= last.0.saturating_add(near)
            && self.last.0.saturating_add(near) >= first.0
    }

    pub(super) fn scanner(&mut self, key: (Addr, Vector), addresses_min: usize) -> Option<RequestScanner> {
        let gentle = self.units.values().all(|unit| unit.total <= SCANNER_REQUESTS_MAX);
        if self.is_scanner || !gentle || self.units.len() < addresses_min {
            return None;
        }
        self.is_scanner = true;
        Some(RequestScanner {
            source: key.0,
            vector: key.1,
            addresses: self.units.len(),
            requests: self.requests,
            first: self.first,
            last: self.last,
        })
    }

    /// Closes runs that are silent, or all.
    pub(super) fn close(&mut self, now: Nanos, all: bool) {
        for unit in self.units.values_mut() {
            for (at, rule) in RULES.iter().enumerate() {
                if unit.runs[at].requests == 0 || !(all || unit.runs[at].is_over(now, rule)) {
                    continue;
                }
                let run = std::mem::replace(&mut unit.runs[at], Run::new(now));
                if run.requests >= rule.requests_min {
                    self.closed[at].push((unit.sensor.clone(), run));
                }
            }
        }
        self.forget_when_over(now);
    }

    /// Groups of closed runs that nothing can join any more.
    pub(super) fn complete(&mut self, at: usize, rule: &Rule, all: bool) -> Vec<Vec<(String, Run)>> {
        let mut closed = std::mem::take(&mut self.closed[at]);
        closed.sort_by(|a, b| (a.1.first, &a.0).cmp(&(b.1.first, &b.0)));
        let mut groups: Vec<(i64, Vec<(String, Run)>)> = Vec::new();
        for (sensor, run) in closed {
            match groups.last_mut() {
                Some((until, group)) if run.first.0 <= until.saturating_add(MERGE_SECONDS * SECOND) => {
                    *until = (*until).max(run.last.0);
                    group.push((sensor, run));
                }
                _ => groups.push((run.last.0, vec![(sensor, run)])),
            }
        }
        let reaching = |unit: &&Unit| unit.runs[at].requests >= rule.requests_min;
        let open = self.units.values().filter(reaching).map(|unit| unit.runs[at].first.0).min();
        let mut out = Vec::new();
        for (until, group) in groups {
            let joined = open.is_some_and(|first| first <= until.saturating_add(MERGE_SECONDS * SECOND));
            if all || !joined { out.push(group) } else { self.closed[at].extend(group) }
        }
        out
    }
}

pub(super) fn is_due(told: &Told, requests: u64, now: Nanos) -> bool {
    let late = now.0.saturating_sub(told.at.0) >= AGAIN_SECONDS * SECOND;
    requests - told.before >= (told.requests - told.before).saturating_mul(2) || late && requests > told.requests
}

pub(super) fn vote<T: PartialEq + Copy>(candidate: &mut (T, i64), value: T) {
    if candidate.0 == value {
        candidate.1 += 1;
    } else if candidate.1 == 0 {
        *candidate = (value, 1);
    } else {
        candidate.1 -= 1;
    }
}
