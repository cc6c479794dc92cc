//! Roll-ups: packets counted per minute and one key (marginal tables, never their cube).
//!
//! A move of the mover adds rows of its own; reading sums them, so the tables are as mergeable as their columns:
//! packets and bytes add exactly, distinct sources and destinations are HyperLogLog sketches
//! ([`sketch`]) that merge.

mod grouping;
pub mod sketch;

pub(crate) use grouping::{Grouping, PacketColumns, tool_name};

use arrow::array::{
    ArrayRef, BinaryArray, Int64Array, RecordBatch, StringArray, StringBuilder, TimestampMicrosecondArray,
};
use arrow::error::ArrowError;
use noroshi_model::{Addr, Nanos};
use sketch::Sketch;
use std::collections::HashMap;
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

#[derive(Default)]
struct Count {
    packets: i64,
    bytes: i64,
    sources: Sketch,
    destinations: Sketch,
}

/// Counts of one move for one grouping.
pub(crate) struct Rollup {
    grouping: Grouping,
    counts: HashMap<(Arc<str>, Option<i64>, u64), Count>,
}

impl Rollup {
    pub fn new(grouping: Grouping) -> Self {
        Rollup { grouping, counts: HashMap::new() }
    }

    /// Counts the packets of a batch that the sensor sent.
    pub fn add(&mut self, sensor: &Arc<str>, packets: &PacketColumns, enrich: &Enrich) {
        for i in 0..packets.rows() {
            let Some(key) = self.grouping.key(packets, i, enrich) else { continue };
            let minute = packets.ts(i).map(|ts| ts.0.div_euclid(MINUTE));
            let count = self.counts.entry((sensor.clone(), minute, key)).or_default();
            count.packets += 1;
            count.bytes += i64::from(packets.wire_len(i));
            if let Some((src, dst)) = packets.addresses(i) {
                count.sources.add(src);
                count.destinations.add(dst);
            }
        }
    }

    /// The counts as rows of the roll-up's table, in the order of their keys. `None` when there are none.
    pub fn finish(self) -> Result<Option<RecordBatch>, ArrowError> {
        if self.counts.is_empty() {
            return Ok(None);
        }
        let mut counts: Vec<_> = self.counts.into_iter().collect();
        counts.sort_unstable_by(|(a, _), (b, _)| (a.1, a.2, &a.0).cmp(&(b.1, b.2, &b.0)));
        let minutes: TimestampMicrosecondArray =
            counts.iter().map(|((_, minute, _), _)| minute.map(|minute| minute * (MINUTE / 1000))).collect();
        let mut days = StringBuilder::new();
        for ((_, minute, _), _) in &counts {
            days.append_value(day_name(*minute));
        }
        let mut arrays: Vec<ArrayRef> = vec![
            Arc::new(minutes.with_timezone("UTC")),
            Arc::new(counts.iter().map(|((sensor, ..), _)| Some(&**sensor)).collect::<StringArray>()),
        ];
        arrays.extend(self.grouping.key_arrays(counts.iter().map(|((.., key), _)| *key)));
        arrays.push(Arc::new(counts.iter().map(|(_, count)| count.packets).collect::<Int64Array>()));
        arrays.push(Arc::new(counts.iter().map(|(_, count)| count.bytes).collect::<Int64Array>()));
        let sketches = |of: fn(&Count) -> &Sketch| -> ArrayRef {
            Arc::new(counts.iter().map(|(_, count)| Some(of(count).bytes())).collect::<BinaryArray>())
        };
        arrays.push(sketches(|count| &count.sources));
        arrays.push(sketches(|count| &count.destinations));
        arrays.push(Arc::new(days.finish()));
        let schema = crate::lake::rollup_schema(self.grouping);
        RecordBatch::try_new(schema, arrays).map(Some)
    }
}

/// Partition of a minute, such as `2026-01-31`.
fn day_name(minute: Option<i64>) -> String {
    let hour = minute.map(|minute| crate::lake::types::hour_name(Nanos(minute.saturating_mul(MINUTE))));
    match hour {
        Some(hour) if hour.len() > 10 => hour[..10].to_owned(),
        _ => crate::lake::types::NO_HOUR.to_owned(),
    }
}
