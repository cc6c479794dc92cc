//! What a sensor may record: the policy with two hands.
//!
//! The hub *requests*, the file of the hosting organisation is the *ceiling*. [`Policy::stricter`] joins both; the
//! result is never looser than either (a property test holds it) and is computed on the sensor, before anything
//! touches its disk. No field names a command, a path or an outbound address, so a hub that was taken over can make a
//! sensor see less, never do more. Lures are the one thing that acts, so both hands must name each of them.

use crate::Prefix;
use crate::lure::Lure;
use std::fmt;
use std::str::FromStr;

/// What becomes of an address before it is stored. Ordered from loose to strict.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Anonymise {
    /// Kept as on the wire.
    #[default]
    None,
    /// Encrypted with a key that never leaves the sensor; equal prefixes stay equal (ipcrypt-pfx).
    PrefixPreserving,
    /// Host bits cleared: IPv4 to /24, IPv6 to /48.
    Truncated,
}

impl Anonymise {
    const ALL: [(Anonymise, &'static str); 3] = [
        (Anonymise::None, "none"),
        (Anonymise::PrefixPreserving, "prefix-preserving"),
        (Anonymise::Truncated, "truncated"),
    ];
}

impl fmt::Display for Anonymise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::ALL.iter().find(|(kind, _)| kind == self).map_or("", |(_, name)| name))
    }
}

impl FromStr for Anonymise {
    type Err = PolicyError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|(_, name)| *name == text).map(|(kind, _)| kind).ok_or_else(|| PolicyError::Value {
            key: "anonymisation".into(),
            value: text.into(),
            expected: "none, prefix-preserving or truncated",
        })
    }
}

/// What a record is. Ordered from loose to strict.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Granularity {
    /// One row per packet.
    #[default]
    Packets,
    /// One row per minute, source, destination, port and flags.
    Flows,
    /// One row per minute, port and flags; no addresses at all.
    Counters,
}

impl Granularity {
    const ALL: [(Granularity, &'static str); 3] =
        [(Granularity::Packets, "packets"), (Granularity::Flows, "flows"), (Granularity::Counters, "counters")];
}

impl fmt::Display for Granularity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::ALL.iter().find(|(kind, _)| kind == self).map_or("", |(_, name)| name))
    }
}

impl FromStr for Granularity {
    type Err = PolicyError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|(_, name)| *name == text).map(|(kind, _)| kind).ok_or_else(|| PolicyError::Value {
            key: "granularity".into(),
            value: text.into(),
            expected: "packets, flows or counters",
        })
    }
}

/// Bytes a spool may always use; a smaller quota could not hold two segments. Lower requests are raised to it.
pub const SPOOL_BYTES_MIN: u64 = 16 << 20;
/// Most bytes of payload a packet row may carry.
pub const PAYLOAD_BYTES_MAX: u16 = 1500;
/// Most characters of one capture filter; longer ones are refused before they are compiled.
pub const FILTER_LENGTH_MAX: usize = 1024;
/// Most monitored prefixes in one policy.
pub const PREFIXES_MAX: usize = 4096;

/// Most bytes a second that all lures of one sensor may send in datagrams: 16 kbit/s (`docs/operate/lures.md`).
pub const LURE_BYTES_MAX: u32 = 2_000;

/// One hand of the policy, or the effective policy. The default is the loosest policy there is, except that no lure runs.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Policy {
    /// Capture filters in tcpdump syntax; a packet must pass all of them.
    pub filter: Vec<String>,
    /// Destinations that are monitored; `None` means all, an empty list means none.
    pub prefixes: Option<Vec<Prefix>>,
    /// One packet in this many is kept, at least 1.
    pub sample_one_in: u32,
    /// First bytes of transport payload that are kept, at most [`PAYLOAD_BYTES_MAX`].
    pub payload_bytes: u16,
    /// What becomes of source addresses.
    pub source_addresses: Anonymise,
    /// What becomes of destination addresses.
    pub destination_addresses: Anonymise,
    /// What a record is: packets, or sums per minute.
    #[serde(skip_serializing_if = "is_packets")]
    pub granularity: Granularity,
    /// Bytes the spool may use on the sensor's disk, at least [`SPOOL_BYTES_MIN`].
    pub spool_bytes: u64,
    /// Lures that may run; none unless both hands name it. Sensors of before lures read policies without it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lures: Vec<Lure>,
    /// Bytes of datagrams that all lures together may send in any second, at most [`LURE_BYTES_MAX`].
    #[serde(skip_serializing_if = "is_most")]
    pub lure_bytes: u32,
}

fn is_most(bytes: &u32) -> bool {
    *bytes == LURE_BYTES_MAX
}

impl Default for Policy {
    fn default() -> Self {
        Policy {
            filter: Vec::new(),
            prefixes: None,
            sample_one_in: 1,
            payload_bytes: PAYLOAD_BYTES_MAX,
            source_addresses: Anonymise::None,
            destination_addresses: Anonymise::None,
            granularity: Granularity::Packets,
            spool_bytes: 16 << 30,
            lures: Vec::new(),
            lure_bytes: LURE_BYTES_MAX,
        }
    }
}

/// Left out where it says nothing, so that sensors from before it existed go on reading their policy.
fn is_packets(granularity: &Granularity) -> bool {
    *granularity == Granularity::Packets
}

/// A policy that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// No such setting.
    #[error("\"{key}\" is not a policy setting{} (settings: {})", suggestion(.key), Policy::KEYS.join(", "))]
    Key {
        /// What was given.
        key: String,
    },
    /// The value does not fit the setting.
    #[error("{key}: \"{value}\" is not {expected}")]
    Value {
        /// The setting.
        key: String,
        /// What was given.
        value: String,
        /// What is allowed.
        expected: &'static str,
    },
    /// Not `key=value`.
    #[error("\"{0}\" is not of the form key=value")]
    Form(String),
}

fn suggestion(key: &str) -> String {
    match nearest(key, Policy::KEYS) {
        Some(near) => format!("; did you mean \"{near}\"?"),
        None => String::new(),
    }
}

/// The candidate that differs from `word` by the fewest edits, when that is at most a third of its length.
pub fn nearest<'a>(word: &str, candidates: &[&'a str]) -> Option<&'a str> {
    let (distance, best) = candidates.iter().map(|c| (edits(word, c), *c)).min()?;
    (distance <= best.len().div_ceil(3)).then_some(best)
}

/// Levenshtein distance over characters; both words are short.
fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(64).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().take(64).enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let next = (diagonal + usize::from(x != *y)).min(row[j] + 1).min(row[j + 1] + 1);
            diagonal = std::mem::replace(&mut row[j + 1], next);
        }
    }
    row[b.len()]
}

impl Policy {
    /// Every setting, by the name used in files and on the command line.
    pub const KEYS: &'static [&'static str] = &[
        "filter",
        "prefixes",
        "sample_one_in",
        "payload_bytes",
        "source_addresses",
        "destination_addresses",
        "granularity",
        "spool_bytes",
        "lures",
        "lure_bytes",
    ];

    /// The stricter of both hands, field by field.
    pub fn stricter(&self, other: &Policy) -> Policy {
        let mut filter = self.filter.clone();
        filter.extend(other.filter.iter().filter(|f| !self.filter.contains(f)).cloned());
        Policy {
            filter,
            prefixes: match (&self.prefixes, &other.prefixes) {
                (None, one) | (one, None) => one.clone(),
                (Some(a), Some(b)) => Some(intersection(a, b)),
            },
            sample_one_in: self.sample_one_in.max(other.sample_one_in).max(1),
            payload_bytes: self.payload_bytes.min(other.payload_bytes).min(PAYLOAD_BYTES_MAX),
            source_addresses: self.source_addresses.max(other.source_addresses),
            destination_addresses: self.destination_addresses.max(other.destination_addresses),
            granularity: self.granularity.max(other.granularity),
            spool_bytes: self.spool_bytes.min(other.spool_bytes).max(SPOOL_BYTES_MIN),
            lures: sorted(self.lures.iter().copied().filter(|lure| other.lures.contains(lure)).collect()),
            lure_bytes: self.lure_bytes.min(other.lure_bytes).min(LURE_BYTES_MAX),
        }
    }

    /// Whether everything this policy lets through, `ceiling` lets through too.
    pub fn within(&self, ceiling: &Policy) -> bool {
        let prefixes_within = match (&self.prefixes, &ceiling.prefixes) {
            (_, None) => true,
            (None, Some(_)) => false,
            (Some(mine), Some(theirs)) => mine.iter().all(|m| theirs.iter().any(|t| covers(*t, *m))),
        };
        prefixes_within
            && ceiling.filter.iter().all(|f| self.filter.contains(f))
            && self.sample_one_in >= ceiling.sample_one_in
            && self.payload_bytes <= ceiling.payload_bytes
            && self.source_addresses >= ceiling.source_addresses
            && self.destination_addresses >= ceiling.destination_addresses
            && self.granularity >= ceiling.granularity
            && self.spool_bytes <= ceiling.spool_bytes.max(SPOOL_BYTES_MIN)
            && self.lures.iter().all(|lure| ceiling.lures.contains(lure))
            && self.lure_bytes <= ceiling.lure_bytes
    }

    /// Refuses values outside their bounds; filters are only measured here, the sensor compiles them.
    pub fn check(&self) -> Result<(), PolicyError> {
        let value = |key: &str, value: String, expected| PolicyError::Value { key: key.into(), value, expected };
        if self.sample_one_in == 0 {
            return Err(value("sample_one_in", "0".into(), "a number of at least 1"));
        }
        if self.payload_bytes > PAYLOAD_BYTES_MAX {
            return Err(value("payload_bytes", self.payload_bytes.to_string(), "a number from 0 to 1500"));
        }
        if self.spool_bytes < SPOOL_BYTES_MIN {
            return Err(value("spool_bytes", self.spool_bytes.to_string(), "at least 16777216 (16 MiB)"));
        }
        if self.lure_bytes > LURE_BYTES_MAX {
            return Err(value("lure_bytes", self.lure_bytes.to_string(), "a number from 0 to 2000"));
        }
        if let Some(long) = self.filter.iter().find(|f| f.len() > FILTER_LENGTH_MAX || f.contains(char::is_control)) {
            return Err(value("filter", long.chars().take(40).collect(), "one line of at most 1024 characters"));
        }
        if self.prefixes.as_ref().is_some_and(|p| p.len() > PREFIXES_MAX) {
            return Err(value("prefixes", "…".into(), "a list of at most 4096 prefixes"));
        }
        Ok(())
    }

    /// Applies one `key=value` as typed by a person. An empty `filter=` or `prefixes=` lifts the restriction.
    pub fn set(&mut self, assignment: &str) -> Result<(), PolicyError> {
        let (key, text) = assignment.split_once('=').ok_or_else(|| PolicyError::Form(assignment.into()))?;
        let (key, text) = (key.trim(), text.trim());
        let refused = |expected| PolicyError::Value { key: key.into(), value: text.into(), expected };
        let mut next = self.clone();
        match key {
            "filter" => next.filter = if text.is_empty() { vec![] } else { vec![text.to_owned()] },
            "prefixes" if text.is_empty() => next.prefixes = None,
            "prefixes" => {
                let list: Result<_, _> = text.split(',').map(|p| p.trim().parse()).collect();
                next.prefixes =
                    Some(list.map_err(|_| refused("a list of prefixes such as 192.0.2.0/24,2001:db8::/32"))?);
            }
            "sample_one_in" => next.sample_one_in = text.parse().map_err(|_| refused("a number of at least 1"))?,
            "payload_bytes" => next.payload_bytes = text.parse().map_err(|_| refused("a number from 0 to 1500"))?,
            "source_addresses" => next.source_addresses = text.parse()?,
            "destination_addresses" => next.destination_addresses = text.parse()?,
            "granularity" => next.granularity = text.parse()?,
            "spool_bytes" => next.spool_bytes = text.parse().map_err(|_| refused("a number of bytes"))?,
            "lures" if text.is_empty() || text == "none" => next.lures = Vec::new(),
            "lures" => {
                let list: Result<Vec<Lure>, _> = text.split(',').map(|name| name.trim().parse()).collect();
                next.lures = sorted(list.map_err(|_| refused(LURES_EXPECTED))?);
            }
            "lure_bytes" => next.lure_bytes = text.parse().map_err(|_| refused("a number from 0 to 2000"))?,
            _ => return Err(PolicyError::Key { key: key.into() }),
        }
        next.check()?;
        *self = next;
        Ok(())
    }

    /// What differs from `before`, one line per setting, for people.
    pub fn changes(&self, before: &Policy) -> Vec<String> {
        let (old, new) = (before.lines(), self.lines());
        old.iter().zip(&new).filter(|(a, b)| a != b).map(|((key, a), (_, b))| format!("{key}: {a} -> {b}")).collect()
    }

    /// Every setting as text, in the order of [`Policy::KEYS`].
    pub fn lines(&self) -> Vec<(&'static str, String)> {
        let list = |prefixes: &[Prefix]| prefixes.iter().map(Prefix::to_string).collect::<Vec<_>>().join(",");
        let values = [
            if self.filter.is_empty() { "all".into() } else { self.filter.join(" AND ") },
            match &self.prefixes {
                None => "all".into(),
                Some(none) if none.is_empty() => "none".into(),
                Some(some) => list(some),
            },
            self.sample_one_in.to_string(),
            self.payload_bytes.to_string(),
            self.source_addresses.to_string(),
            self.destination_addresses.to_string(),
            self.granularity.to_string(),
            self.spool_bytes.to_string(),
            match &self.lures[..] {
                [] => "none".into(),
                some => some.iter().map(|lure| lure.name()).collect::<Vec<_>>().join(","),
            },
            self.lure_bytes.to_string(),
        ];
        Policy::KEYS.iter().copied().zip(values).collect()
    }
}

const LURES_EXPECTED: &str = "none, or some of telnet, ssh, http, tcp, dns, ntp, ssdp, cldap, memcached, snmp, coap, \
                              ws-discovery, generic";

fn sorted(mut lures: Vec<Lure>) -> Vec<Lure> {
    lures.sort();
    lures.dedup();
    lures
}

fn covers(outer: Prefix, inner: Prefix) -> bool {
    outer.contains(inner.first()) && outer.mapped_length() <= inner.mapped_length()
}

fn intersection(a: &[Prefix], b: &[Prefix]) -> Vec<Prefix> {
    let mut both: Vec<Prefix> = a
        .iter()
        .flat_map(|x| b.iter().filter_map(|y| if covers(*x, *y) { Some(*y) } else { covers(*y, *x).then_some(*x) }))
        .collect();
    both.sort();
    both.dedup();
    both
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn prefix() -> impl Strategy<Value = Prefix> {
        // Few bits, so that containment is common.
        (0u32..8, 0u8..=4, any::<bool>()).prop_map(|(bits, length, v4)| {
            let addr = if v4 { crate::Addr::v4(bits << 29) } else { crate::Addr(u128::from(bits) << 125) };
            Prefix::new(addr, length)
        })
    }

    fn policy() -> impl Strategy<Value = Policy> {
        let anonymise =
            || prop_oneof![Just(Anonymise::None), Just(Anonymise::PrefixPreserving), Just(Anonymise::Truncated)];
        (
            proptest::collection::vec(prop_oneof!["tcp", "udp", "port 23"].prop_map(String::from), 0..3),
            proptest::option::of(proptest::collection::vec(prefix(), 0..4)),
            1u32..100,
            0u16..=PAYLOAD_BYTES_MAX,
            (anonymise(), anonymise()),
            prop_oneof![Just(Granularity::Packets), Just(Granularity::Flows), Just(Granularity::Counters)],
            SPOOL_BYTES_MIN..1 << 40,
            proptest::collection::vec(proptest::sample::select(Lure::ALL.to_vec()), 0..4),
            0u32..=LURE_BYTES_MAX,
        )
            .prop_map(
                |(
                    filter,
                    prefixes,
                    sample_one_in,
                    payload_bytes,
                    (source, destination),
                    granularity,
                    spool_bytes,
                    lures,
                    lure_bytes,
                )| {
                    Policy {
                        filter,
                        prefixes,
                        sample_one_in,
                        payload_bytes,
                        source_addresses: source,
                        destination_addresses: destination,
                        granularity,
                        spool_bytes,
                        lures,
                        lure_bytes,
                    }
                },
            )
    }

    proptest! {
        #[test]
        fn effective_is_never_looser_than_either_hand(a in policy(), b in policy()) {
            let effective = a.stricter(&b);
            prop_assert!(effective.within(&a) && effective.within(&b), "{effective:?}");
            prop_assert!(effective.check().is_ok());
        }

        #[test]
        fn intersection_is_exact(a in policy(), b in policy(), bits in any::<u32>(), v4 in any::<bool>()) {
            let addr = if v4 { crate::Addr::v4(bits) } else { crate::Addr(u128::from(bits) << 96) };
            let monitors = |p: &Policy| p.prefixes.as_ref().is_none_or(|list| list.iter().any(|p| p.contains(addr)));
            prop_assert_eq!(monitors(&a.stricter(&b)), monitors(&a) && monitors(&b));
        }

        #[test]
        fn joining_with_itself_changes_nothing(a in policy()) {
            prop_assert!(a.stricter(&a).within(&a) && a.within(&a.stricter(&a)));
        }
    }

    #[test]
    fn a_lure_runs_only_when_both_hands_name_it() {
        let named = |lures: &str| {
            let mut policy = Policy::default();
            policy.set(&format!("lures={lures}")).unwrap();
            policy
        };
        assert!(Policy::default().stricter(&named("telnet,dns")).lures.is_empty());
        assert!(named("telnet").stricter(&Policy::default()).lures.is_empty());
        assert_eq!(named("dns,telnet").stricter(&named("telnet,ntp")).lures, [Lure::Telnet]);
        assert!(named("none").lures.is_empty());
    }

    #[test]
    fn settings_are_typed_and_refusals_help() {
        let mut policy = Policy::default();
        policy.set("payload_bytes=64").unwrap();
        policy.set("prefixes=192.0.2.0/24, 2001:db8::/32").unwrap();
        policy.set("source_addresses=truncated").unwrap();
        assert_eq!(policy.payload_bytes, 64);
        assert_eq!(policy.prefixes.as_ref().unwrap().len(), 2);
        let refusal = policy.clone().set("payload_byte=0").unwrap_err().to_string();
        assert!(refusal.contains("did you mean \"payload_bytes\""), "{refusal}");
        for bad in [
            "lures=shell",
            "lure_bytes=99999",
            "command=/bin/sh",
            "payload_bytes=-1",
            "payload_bytes=70000",
            "sample_one_in=0",
            "filter",
            "spool_bytes=1",
        ] {
            assert!(policy.clone().set(bad).is_err(), "{bad}");
        }
        assert_eq!(policy.changes(&Policy::default()).len(), 3);
    }
}
