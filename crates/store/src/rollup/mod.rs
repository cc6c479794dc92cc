//! Roll-ups: packets counted per minute, hour or day and one key (marginal tables, never their cube).
//!
//! A move of the mover adds rows of its own; reading sums them, so the tables are as mergeable as their columns:
//! packets and bytes add exactly, distinct sources and destinations are HyperLogLog sketches
//! ([`sketch`]) that merge. Hours and days are added up from the minutes of the same move, so at any time the three
//! tables of a grouping say the same, and a question takes whichever fits its window.

mod grouping;
pub mod sketch;
mod span;

pub use grouping::Grouping;
pub(crate) use grouping::{PacketColumns, READ, tool_name};
pub use span::Span;

use arrow::array::{
    ArrayRef, BinaryArray, Int64Array, RecordBatch, StringArray, StringBuilder, TimestampMicrosecondArray,
};
use arrow::error::ArrowError;
use hashbrown::HashMap;
use noroshi_model::{Addr, Nanos};
use sketch::{Sketch, Union};
use std::sync::Arc;

/// Nanoseconds in a minute.
const MINUTE: i64 = 60 * noroshi_model::time::SECOND;

/// What is known of an address.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Origin {
    /// ISO 3166-1 alpha-2 code.
    pub country: Option<[u8; 2]>,
    /// Number of the autonomous system that announces it.
    pub asn: Option<u32>,
}

/// Knowledge of addresses, passed in by who has it.
#[derive(Clone)]
pub struct Enrich(Arc<dyn Fn(Addr) -> Origin + Send + Sync>);

impl Enrich {
    /// Knowledge from a function; it is called for each packet, so it should look up in memory.
    pub fn new(origin: impl Fn(Addr) -> Origin + Send + Sync + 'static) -> Self {
        Enrich(Arc::new(origin))
    }

    /// Nothing is known.
    pub fn none() -> Self {
        Enrich::new(|_| Origin::default())
    }

    /// What is known of the address.
    pub fn origin(&self, addr: Addr) -> Origin {
        (self.0)(addr)
    }
}

/// Counts of one key.
#[derive(Default)]
struct Count {
    packets: i64,
    bytes: i64,
    sources: Sketch,
    destinations: Sketch,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    /// Number of the minute since 1970; `None` for packets without a time.
    minute: Option<i64>,
    key: u64,
    sensor: u32,
}

type Counts = HashMap<Key, Count>;

/// Packets counted per minute for every grouping, in one pass.
#[derive(Default)]
pub(crate) struct Rollups {
    sensors: Vec<Arc<str>>,
    counts: [Counts; Grouping::ALL.len()],
}

impl Rollups {
    /// Counts the packets of a batch; `sensor` names who sent each.
    pub fn add<'a>(&mut self, sensor: impl Fn(usize) -> &'a str, packets: &PacketColumns, enrich: &Enrich) {
        let mut last: Option<(Addr, Origin)> = None;
        for row in 0..packets.rows() {
            let sensor = self.sensor(sensor(row));
            let minute = packets.ts(row).map(|ts| ts.0.div_euclid(MINUTE));
            let addresses = packets.addresses(row);
            let source = addresses.map(|(src, _)| src);
            let origin = match (source, last) {
                (None, _) => Origin::default(),
                (Some(source), Some((known, origin))) if known == source => origin,
                (Some(source), _) => last.insert((source, enrich.origin(source))).1,
            };
            let coupons = addresses.map(|(src, dst)| (sketch::coupon(src), sketch::coupon(dst)));
            for (grouping, counts) in Grouping::ALL.into_iter().zip(&mut self.counts) {
                for key in grouping.keys(packets, row, source, origin) {
                    let count = counts.entry(Key { minute, key, sensor }).or_default();
                    count.packets += 1;
                    count.bytes += i64::from(packets.wire_len(row));
                    if let Some((src, dst)) = coupons {
                        count.sources.add_coupon(src);
                        count.destinations.add_coupon(dst);
                    }
                }
            }
        }
    }

    /// Number of the sensor; there are few, and neighbouring packets come from the same.
    fn sensor(&mut self, name: &str) -> u32 {
        let known = self.sensors.iter().rposition(|known| **known == *name);
        known.unwrap_or_else(|| {
            self.sensors.push(name.into());
            self.sensors.len() - 1
        }) as u32
    }

    /// The counts of one grouping as rows of the table of that span, in the order of their keys. `None` when there are
    /// none.
    pub fn rows(&self, grouping: Grouping, span: Span) -> Result<Option<RecordBatch>, ArrowError> {
        let counts = &self.counts[grouping as usize];
        if counts.is_empty() {
            return Ok(None);
        }
        let per_span = span.nanos() / MINUTE;
        let at = |key: &Key| key.minute.map(|minute| minute.div_euclid(per_span) * per_span);
        let mut order: Vec<(&Key, &Count)> = counts.iter().collect();
        let name = |key: &Key| &*self.sensors[key.sensor as usize];
        order.sort_unstable_by(|(a, _), (b, _)| (at(a), a.key, name(a)).cmp(&(at(b), b.key, name(b))));
        let groups: Vec<&[(&Key, &Count)]> =
            order.chunk_by(|(a, _), (b, _)| (at(a), a.key, a.sensor) == (at(b), b.key, b.sensor)).collect();
        let heads = || groups.iter().map(|group| group[0].0);

        let times: TimestampMicrosecondArray =
            heads().map(|key| at(key).map(|minute| minute.saturating_mul(MINUTE / 1000))).collect();
        let sensors: StringArray = heads().map(|key| Some(name(key))).collect();
        let sum = |of: fn(&Count) -> i64| -> ArrayRef {
            Arc::new(groups.iter().map(|group| group.iter().map(|(_, c)| of(c)).sum::<i64>()).collect::<Int64Array>())
        };
        let union = |of: fn(&Count) -> &Sketch| -> ArrayRef {
            Arc::new(groups.iter().map(|group| Some(united(group, of))).collect::<BinaryArray>())
        };
        let partitions = partitions(heads().map(|key| key.minute), span);
        let mut arrays: Vec<ArrayRef> = vec![Arc::new(times.with_timezone("UTC")), Arc::new(sensors)];
        arrays.extend(grouping.key_arrays(heads().map(|key| key.key)));
        arrays.push(sum(|count| count.packets));
        arrays.push(sum(|count| count.bytes));
        arrays.push(union(|count| &count.sources));
        arrays.push(union(|count| &count.destinations));
        arrays.push(partitions);
        RecordBatch::try_new(crate::lake::rollup_schema(grouping, span), arrays).map(Some)
    }
}

fn united(group: &[(&Key, &Count)], of: fn(&Count) -> &Sketch) -> Vec<u8> {
    if let [(_, only)] = group {
        return of(only).bytes();
    }
    let mut union = Union::default();
    group.iter().for_each(|(_, count)| union.merge_sketch(of(count)));
    union.bytes()
}

/// Names of the partitions; equal minutes follow each other.
fn partitions(minutes: impl Iterator<Item = Option<i64>>, span: Span) -> ArrayRef {
    let mut last: Option<(Option<i64>, String)> = None;
    let mut builder = StringBuilder::new();
    for minute in minutes {
        let name = match &last {
            Some((known, name)) if *known == minute => name,
            _ => {
                let name = span.partition_name(minute.map(|minute| Nanos(minute.saturating_mul(MINUTE))));
                &last.insert((minute, name)).1
            }
        };
        builder.append_value(name);
    }
    Arc::new(builder.finish())
}
