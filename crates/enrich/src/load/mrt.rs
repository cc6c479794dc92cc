//! MRT RIB dumps (RFC 6396), as route collectors publish them: prefix to origin AS.
//!
//! The records are framed here, so that a length field cannot make anyone allocate, and decoded by the library. The
//! origin of a prefix is the one most peers report; of equally many the lowest number, so that the result does not
//! depend on the order of peers. A RIB of a collector with 50 peers costs about 50 decoded paths a prefix.

use std::io::Read;

use bgpkit_parser::models::{Attributes, MrtMessage, NetworkPrefix, TableDumpV2Message};
use bgpkit_parser::parser::mrt::mrt_record::parse_mrt_body;
use noroshi_model::{Addr, Nanos, Prefix};

use super::{Format, Limits, Parsed, Skipped};
use crate::error::LoadError;
use crate::table::{Builder, NO_NAME};

const NAME: &str = "MRT";
/// Common header: timestamp, type, subtype, length (RFC 6396, section 2).
pub(super) const HEADER_BYTES: usize = 12;
const TABLE_DUMP: u16 = 12;
const TABLE_DUMP_V2: u16 = 13;
/// Longest record accepted. A prefix seen by 1,000 peers with 1 KiB of attributes each has 1 MiB.
const RECORD_BYTES_MAX: usize = 16 << 20;

pub(super) fn is_mrt(bytes: &[u8]) -> bool {
    let Some((_, kind, subtype, length)) = header(bytes) else { return false };
    // The types of RFC 6396 section 4 and the subtypes that they have; text never has two zero bytes there.
    let known = matches!((kind, subtype), (TABLE_DUMP, 1..=2) | (TABLE_DUMP_V2, 1..=12) | (16 | 17, 0..=11));
    known && length <= RECORD_BYTES_MAX
}

fn header(bytes: &[u8]) -> Option<(u32, u16, u16, usize)> {
    let head: &[u8; HEADER_BYTES] = bytes.first_chunk()?;
    let word = |at: usize| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let half = |at: usize| u16::from_be_bytes([head[at], head[at + 1]]);
    Some((word(0), half(4), half(6), word(8) as usize))
}

/// Reads an MRT RIB dump (TABLE_DUMP and TABLE_DUMP_V2, unicast).
pub fn mrt(bytes: &[u8], name: &str, limits: &Limits) -> Result<Parsed, LoadError> {
    mrt_stream(bytes, name, limits)
}

/// As [`mrt`], record by record, so that a dump of gigabytes is never in memory whole.
pub fn mrt_stream(mut input: impl Read, name: &str, limits: &Limits) -> Result<Parsed, LoadError> {
    let mut routes = Routes { builder: Builder::new(limits.entries_max), ..Routes::default() };
    let (mut at, mut number, mut as_of) = (0u64, 0u64, None);
    loop {
        let place = |what: &str| format!("record {number} ({what} at byte {at})");
        let head = read_up_to(&mut input, HEADER_BYTES, &|| place("header"))?;
        if head.is_empty() {
            break;
        }
        let (seconds, kind, subtype, length) =
            header(&head).ok_or_else(|| LoadError::malformed(NAME, place("header"), "the file ends in it"))?;
        if length > RECORD_BYTES_MAX {
            return Err(LoadError::OverLimit { what: "bytes of an MRT record", limit: RECORD_BYTES_MAX as u64 });
        }
        let body = read_up_to(&mut input, length, &|| place("body"))?;
        if body.len() < length {
            return Err(LoadError::malformed(NAME, place("body"), "the file ends in it"));
        }
        as_of.get_or_insert(Nanos::from_seconds(i64::from(seconds)));
        routes.take(route(kind, subtype, body), number, at)?;
        at += (HEADER_BYTES + length) as u64;
        number += 1;
        if at > limits.bytes_max {
            return Err(LoadError::OverLimit { what: "decompressed bytes", limit: limits.bytes_max });
        }
    }
    routes.flush()?;
    if routes.entries == 0 {
        let reason = "no unicast route with an origin; a RIB dump is needed, not an update file".to_owned();
        return Err(LoadError::Empty { format: NAME, reason });
    }
    Ok(Parsed {
        format: Format::Mrt,
        title: name.to_owned(),
        as_of,
        kinds: None,
        entries: routes.entries,
        skipped: routes.skipped.count,
        problems: routes.skipped.problems,
        table: routes.builder.build(),
    })
}

/// So many bytes, or fewer at the end of the input. Memory grows with what is there, not with what is announced.
fn read_up_to(input: &mut impl Read, count: usize, place: &dyn Fn() -> String) -> Result<Vec<u8>, LoadError> {
    let mut bytes = Vec::with_capacity(count.min(4096));
    let read = input.take(count as u64).read_to_end(&mut bytes);
    read.map_err(|e| LoadError::malformed(NAME, place(), e))?;
    Ok(bytes)
}

/// Gathers routes; those of one prefix follow one another in the old TABLE_DUMP, one record for each peer.
#[derive(Default)]
struct Routes {
    builder: Builder,
    skipped: Skipped,
    entries: u64,
    pending: Option<(Prefix, Vec<u32>)>,
}

impl Routes {
    fn take(&mut self, route: Route, number: u64, at: u64) -> Result<(), LoadError> {
        match route {
            Route::To(prefix, asn) => self.add(prefix, asn)?,
            Route::OfPeer(prefix, asn) => match &mut self.pending {
                Some((pending, origins)) if *pending == prefix => origins.push(asn),
                _ => {
                    self.flush()?;
                    self.pending = Some((prefix, vec![asn]));
                }
            },
            Route::NoOrigin => self.skipped.foreign(),
            Route::Undecoded(reason) => self.skipped.wrong("record", number, &format!("byte {at}"), &reason),
            Route::OtherRecord => {}
        }
        Ok(())
    }

    fn add(&mut self, prefix: Prefix, asn: u32) -> Result<(), LoadError> {
        let fact = self.builder.fact(None, Some(asn), NO_NAME);
        self.entries += 1;
        self.builder.prefix(prefix, fact)
    }

    fn flush(&mut self) -> Result<(), LoadError> {
        let pending = self.pending.take().and_then(|(prefix, origins)| Some((prefix, majority(origins)?)));
        pending.map_or(Ok(()), |(prefix, asn)| self.add(prefix, asn))
    }
}

enum Route {
    To(Prefix, u32),
    /// What one of several peers says.
    OfPeer(Prefix, u32),
    /// Aggregates with an empty path, and default routes, which say nothing of an address.
    NoOrigin,
    Undecoded(String),
    /// Peer tables, multicast, updates.
    OtherRecord,
}

fn route(kind: u16, subtype: u16, body: Vec<u8>) -> Route {
    let unicast = matches!((kind, subtype), (TABLE_DUMP, 1 | 2) | (TABLE_DUMP_V2, 2 | 4 | 8 | 10));
    if !unicast {
        return Route::OtherRecord;
    }
    let (network, origin) = match parse_mrt_body(kind, subtype, body.into()) {
        Ok(MrtMessage::TableDumpV2Message(TableDumpV2Message::RibAfi(rib))) => {
            (rib.prefix, majority(rib.rib_entries.iter().filter_map(|entry| origin(&entry.attributes)).collect()))
        }
        Ok(MrtMessage::TableDumpMessage(route)) => (route.prefix, origin(&route.attributes)),
        Ok(_) => return Route::OtherRecord,
        Err(error) => return Route::Undecoded(error.to_string()),
    };
    match (prefix(&network), origin) {
        (Some(prefix), Some(asn)) if prefix.length() > 0 && kind == TABLE_DUMP => Route::OfPeer(prefix, asn),
        (Some(prefix), Some(asn)) if prefix.length() > 0 => Route::To(prefix, asn),
        _ => Route::NoOrigin,
    }
}

/// None for an IPv6 prefix within the IPv4-mapped block, which no router announces.
fn prefix(network: &NetworkPrefix) -> Option<Prefix> {
    let ip = network.prefix.network();
    let addr = Addr::from(ip);
    (addr.is_v4() == ip.is_ipv4()).then(|| Prefix::new(addr, network.prefix.prefix_len()))
}

/// The last AS of the path; of an AS set at its end, the lowest (RFC 6472 discourages such sets).
fn origin(attributes: &Attributes) -> Option<u32> {
    attributes.effective_as_path()?.iter_origins().map(|asn| asn.to_u32()).min().filter(|asn| *asn != 0)
}

fn majority(mut origins: Vec<u32>) -> Option<u32> {
    origins.sort_unstable();
    let runs = origins.chunk_by(|a, b| a == b);
    runs.map(|run| (run.len(), std::cmp::Reverse(run[0]))).max().map(|(_, asn)| asn.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn most_peers_win_and_ties_go_to_the_lowest() {
        assert_eq!(majority(vec![3, 1, 3, 2]), Some(3));
        assert_eq!(majority(vec![9, 4, 4, 9, 7]), Some(4));
        assert_eq!(majority(vec![]), None);
    }
}
