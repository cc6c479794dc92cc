//! Statistics over the packets in memory: one pass, bounded groups.

use super::row::{Kept, key_text};
use crate::query::{Answer, Group, MAX_FIELDS, Measure, Query, Series};
use noroshi_model::Nanos;
use noroshi_model::packet::Has;
use noroshi_model::time::SECOND;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// Groups counted at once. Past it new groups are summed into one, and the answer says so.
const MAX_COUNTED: usize = 200_000;

type Key = [u128; MAX_FIELDS];

struct Sum {
    packets: u64,
    bytes: u64,
    sources: HashSet<u128>,
    destinations: HashSet<u128>,
    first: Nanos,
    last: Nanos,
    slots: HashMap<u32, u64>,
}

impl Sum {
    fn new(at: Nanos) -> Self {
        Sum {
            packets: 0,
            bytes: 0,
            sources: HashSet::new(),
            destinations: HashSet::new(),
            first: at,
            last: at,
            slots: HashMap::new(),
        }
    }

    fn add(&mut self, row: &Kept, slot: u32) {
        let packet = &row.packet;
        self.packets += 1;
        self.bytes += u64::from(packet.wire_len);
        if packet.has.has(Has::IP) {
            self.sources.insert(packet.src.0);
            self.destinations.insert(packet.dst.0);
        }
        self.first = self.first.min(packet.ts);
        self.last = self.last.max(packet.ts);
        *self.slots.entry(slot).or_default() += 1;
    }

    fn by(&self, measure: Measure) -> u64 {
        match measure {
            Measure::Packets => self.packets,
            Measure::Bytes => self.bytes,
            Measure::Sources => self.sources.len() as u64,
            Measure::Destinations => self.destinations.len() as u64,
        }
    }
}

/// Answers a query over rows that the caller may see.
pub fn answer<'a>(query: &Query, rows: impl Iterator<Item = &'a Kept>, sensors: &[Arc<str>]) -> Answer {
    let (start, slot_ns) = (query.series_start(), query.slot_seconds as i64 * SECOND);
    let points = query.points();
    let mut groups: HashMap<Key, Sum> = HashMap::new();
    let mut total = vec![0u64; points];
    let (mut packets, mut beyond, mut newest) = (0u64, 0u64, None);
    for row in rows {
        newest = newest.max(Some(row.packet.ts));
        let fits = row.packet.ts >= query.from && row.packet.ts < query.to;
        if !fits || query.filter.as_ref().is_some_and(|filter| !filter.holds(row)) {
            continue;
        }
        let slot = ((row.packet.ts.0 - start.0) / slot_ns) as u32;
        packets += 1;
        total[slot as usize] += 1;
        let mut key = [0; MAX_FIELDS];
        for (place, field) in key.iter_mut().zip(&query.by) {
            *place = row.key(*field);
        }
        if groups.len() >= MAX_COUNTED && !groups.contains_key(&key) {
            beyond += 1;
            continue;
        }
        groups.entry(key).or_insert_with(|| Sum::new(row.packet.ts)).add(row, slot);
    }
    let mut ordered: Vec<_> = groups.into_iter().collect();
    ordered.sort_by(|(ka, a), (kb, b)| b.by(query.measure).cmp(&a.by(query.measure)).then(ka.cmp(kb)));
    let text = |key: &Key| -> Vec<String> {
        query.by.iter().zip(key).map(|(field, key)| key_text(*field, *key, sensors)).collect()
    };
    let mut notes = Vec::new();
    if beyond > 0 {
        notes.push(format!("{beyond} packets belong to groups past the first {MAX_COUNTED} and are not listed"));
    }
    Answer {
        by: query.by.iter().map(|field| field.name().to_owned()).collect(),
        measure: query.measure,
        from: query.from,
        to: query.to,
        start,
        slot_seconds: query.slot_seconds,
        groups_total: ordered.len() as u64,
        packets,
        series: series(query, &ordered, total, &text),
        groups: ordered.iter().take(query.groups).map(|(key, sum)| group(text(key), sum)).collect(),
        complete: beyond == 0,
        notes,
        sql: query.sql(),
        newest,
    }
}

fn group(key: Vec<String>, sum: &Sum) -> Group {
    Group {
        key,
        packets: sum.packets,
        bytes: sum.bytes,
        sources: sum.sources.len() as u64,
        destinations: sum.destinations.len() as u64,
        first: sum.first,
        last: sum.last,
    }
}

fn series(
    query: &Query,
    ordered: &[(Key, Sum)],
    mut rest: Vec<u64>,
    text: &dyn Fn(&Key) -> Vec<String>,
) -> Vec<Series> {
    let mut out = Vec::new();
    for (key, sum) in ordered.iter().take(query.series) {
        let mut values = vec![0; rest.len()];
        for (slot, count) in &sum.slots {
            values[*slot as usize] = *count;
            rest[*slot as usize] -= count;
        }
        out.push(Series { key: text(key), values });
    }
    if rest.iter().any(|count| *count > 0) {
        out.push(Series { key: Vec::new(), values: rest });
    }
    out
}
