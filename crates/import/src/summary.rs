//! What a file holds, counted: the figures that `noroshi import` prints.

use crate::detect::Format;
use crate::reader::{Counts, Reject};
use crate::record::Record;
use noroshi_model::Nanos;
use std::collections::HashMap;
use std::hash::Hash;

/// Distinct values counted per table; beyond, new values only add to `others`. Memory per file stays below ~100 MiB.
const DISTINCT: usize = 100_000;
/// Commands and hashes listed; all are counted.
const LISTED: usize = 10_000;
/// Rejects kept for the report; all are counted.
const REJECTS: usize = 1_000;

/// Counts of distinct values, exact up to a bound.
#[derive(Clone, Debug)]
pub struct Tally<K> {
    counts: HashMap<K, (u64, u64)>,
    /// Occurrences of values that found no room.
    pub others: u64,
}

impl<K: Eq + Hash> Default for Tally<K> {
    fn default() -> Self {
        Tally { counts: HashMap::new(), others: 0 }
    }
}

impl<K: Eq + Hash + Clone> Tally<K> {
    fn add(&mut self, key: K) {
        let known = self.counts.len();
        if let Some(entry) = self.counts.get_mut(&key) {
            entry.0 += 1;
        } else if known < DISTINCT {
            self.counts.insert(key, (1, known as u64));
        } else {
            self.others += 1;
        }
    }

    /// Distinct values seen (a lower bound once `others` is not 0).
    pub fn distinct(&self) -> usize {
        self.counts.len()
    }

    /// The most frequent values, ties in the order of first appearance.
    pub fn top(&self, most: usize) -> Vec<(K, u64)> {
        let mut all: Vec<_> = self.counts.iter().collect();
        all.sort_by_key(|(_, (count, serial))| (std::cmp::Reverse(*count), *serial));
        all.into_iter().take(most).map(|(key, (count, _))| (key.clone(), *count)).collect()
    }

    /// How often a value was seen.
    pub fn get(&self, key: &K) -> u64 {
        self.counts.get(key).map_or(0, |entry| entry.0)
    }
}

/// Figures of one file, or of several together.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// Where every line went.
    pub counts: Counts,
    /// Rows of each format.
    pub formats: Tally<Format>,
    /// Earliest time.
    pub first: Option<Nanos>,
    /// Latest time.
    pub last: Option<Nanos>,
    /// Rows of each kind.
    pub kinds: Tally<String>,
    /// Distinct dialogues or flows.
    pub sessions: Tally<String>,
    /// Rows of each source address.
    pub sources: Tally<String>,
    /// Rows of each destination port.
    pub ports: Tally<u16>,
    /// Logins that were accepted.
    pub logins_accepted: u64,
    /// Logins that were refused.
    pub logins_refused: u64,
    /// `user:password`.
    pub credentials: Tally<String>,
    /// Lines that were typed, in order, repeats kept.
    pub commands: Vec<String>,
    /// Number of lines that were typed.
    pub commands_total: u64,
    /// Hashes of files, in order, each once.
    pub hashes: Vec<String>,
    /// Places named to fetch from.
    pub urls: Tally<String>,
    /// HASSH, JA4, JA3.
    pub fingerprints: Tally<String>,
    /// What clients call themselves.
    pub clients: Tally<String>,
    /// Lines that were refused, the first thousand.
    pub rejects: Vec<Reject>,
}

impl Summary {
    /// Counts a row.
    pub fn add(&mut self, row: &Record) {
        self.formats.add(row.format);
        if let Some(ts) = row.ts {
            self.first = Some(self.first.map_or(ts, |first| first.min(ts)));
            self.last = Some(self.last.map_or(ts, |last| last.max(ts)));
        }
        self.kinds.add(row.kind.clone());
        if let Some(session) = &row.session {
            self.sessions.add(session.clone());
        }
        if let Some(src) = row.src {
            self.sources.add(src.to_string());
        }
        if let Some(port) = row.dport {
            self.ports.add(port);
        }
        match row.accepted {
            Some(true) => self.logins_accepted += 1,
            Some(false) => self.logins_refused += 1,
            None => {}
        }
        if row.accepted.is_some() && (row.username.is_some() || row.password.is_some()) {
            let part = |text: &Option<String>| text.clone().unwrap_or_default();
            self.credentials.add(format!("{}:{}", part(&row.username), part(&row.password)));
        }
        if let Some(command) = &row.command {
            self.commands_total += 1;
            if self.commands.len() < LISTED {
                self.commands.push(command.clone());
            }
        }
        self.add_file(row);
        if let Some(fingerprint) = &row.fingerprint {
            self.fingerprints.add(fingerprint.clone());
        }
        if let Some(client) = &row.client {
            self.clients.add(client.clone());
        }
    }

    fn add_file(&mut self, row: &Record) {
        if let Some(url) = &row.url {
            self.urls.add(url.clone());
        }
        // The hash of a closed log is the recording's, not a file's.
        let recording = row.kind == "cowrie.log.closed";
        if let Some(hash) = row.hash.as_ref().filter(|_| !recording)
            && self.hashes.len() < LISTED
            && !self.hashes.contains(hash)
        {
            self.hashes.push(hash.clone());
        }
    }

    /// Keeps a reject for the report.
    pub fn reject(&mut self, reject: Reject) {
        if self.rejects.len() < REJECTS {
            self.rejects.push(reject);
        }
    }
}
