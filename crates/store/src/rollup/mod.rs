//! Roll-ups: packets counted per minute, hour or day and one key (marginal tables, never their cube).
//!
//! A move of the mover adds rows of its own; reading sums them, so the tables are as mergeable as their columns:
//! packets and bytes add exactly, distinct sources and destinations are HyperLogLog sketches
//! ([`sketch`]) that merge. The spans of a grouping come from the same move, so at any time its tables say the same, and
//! a question takes whichever fits its window. Not every grouping has every span ([`Grouping`]): what its finest table
//! does not cover is counted from the packets.

mod grouping;
mod members;
pub mod sketch;
mod span;

pub use grouping::Grouping;
use grouping::Key;
pub(crate) use grouping::{PacketColumns, READ, tool_name};
pub use span::Span;

use arrow::array::{
    ArrayRef, BinaryBuilder, Int64Array, RecordBatch, StringArray, StringBuilder, TimestampMicrosecondArray,
};
use arrow::error::ArrowError;
use datasketches::hll::Coupon;
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
    /// Sources, or what [`Grouping::set`] says.
    members: Sketch,
    destinations: Sketch,
}

/// A key in a span of time at a sensor.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Cell {
    /// Number of the minute since 1970 at which the grouping's finest span begins; `None` for packets without a time.
    minute: Option<i32>,
    sensor: u32,
    key: Key,
}

type Counts = HashMap<Cell, Count>;

/// What every grouping needs of a packet.
struct Row {
    sensor: u32,
    minute: Option<i32>,
    sender: Option<Addr>,
    origin: Origin,
    bytes: i64,
    source: Option<Coupon>,
    destination: Option<Coupon>,
    port: Option<Coupon>,
}

/// Packets counted for every grouping in its finest span, in one pass.
#[derive(Default)]
pub(crate) struct Rollups {
    sensors: Vec<Arc<str>>,
    counts: [Counts; Grouping::ALL.len()],
}

impl Rollups {
    /// Counts the packets of a batch; `sensor` names who sent each.
    pub fn add<'a>(&mut self, sensor: impl Fn(usize) -> &'a str, packets: &PacketColumns, enrich: &Enrich) {
        self.add_for(Grouping::ALL, sensor, packets, enrich);
    }

    /// The same for some of the groupings.
    pub fn add_for<'a>(
        &mut self,
        groupings: impl IntoIterator<Item = Grouping>,
        sensor: impl Fn(usize) -> &'a str,
        packets: &PacketColumns,
        enrich: &Enrich,
    ) {
        let rows = self.read(sensor, packets, enrich);
        // A grouping after the other: its table stays in the cache, and the lookups of neighbouring rows overlap.
        for grouping in groupings {
            let (counts, finest, by_sender) =
                (&mut self.counts[grouping as usize], grouping.finest(), grouping.is_by_sender());
            for (at, row) in rows.iter().enumerate() {
                let minute = row.minute.map(|minute| finest.floor(minute));
                let member = if by_sender { row.port } else { row.source };
                for key in grouping.keys(packets, at, row.sender, row.origin) {
                    let count = counts.entry(Cell { minute, sensor: row.sensor, key }).or_default();
                    count.packets += 1;
                    count.bytes += row.bytes;
                    member.into_iter().for_each(|member| count.members.add_coupon(member));
                    row.destination.into_iter().for_each(|member| count.destinations.add_coupon(member));
                }
            }
        }
    }

    /// What every grouping needs of each packet.
    fn read<'a>(&mut self, sensor: impl Fn(usize) -> &'a str, packets: &PacketColumns, enrich: &Enrich) -> Vec<Row> {
        let mut last: Option<(Addr, Origin)> = None;
        let row = |row: usize| {
            let addresses = packets.addresses(row);
            let sender = addresses.map(|(src, _)| src);
            let origin = match (sender, last) {
                (None, _) => Origin::default(),
                (Some(sender), Some((known, origin))) if known == sender => origin,
                (Some(sender), _) => last.insert((sender, enrich.origin(sender))).1,
            };
            Row {
                sensor: self.sensor(sensor(row)),
                // A time in nanoseconds has fewer minutes than 31 bits.
                minute: packets.ts(row).map(|ts| ts.0.div_euclid(MINUTE) as i32),
                sender,
                origin,
                bytes: i64::from(packets.wire_len(row)),
                source: addresses.map(|(src, _)| sketch::coupon(src)),
                destination: addresses.map(|(_, dst)| sketch::coupon(dst)),
                port: packets.port(row).map(|port| sketch::coupon_of_number(port.into())),
            }
        };
        (0..packets.rows()).map(row).collect()
    }

    /// Number of the sensor; there are few, and neighbouring packets come from the same.
    fn sensor(&mut self, name: &str) -> u32 {
        let known = self.sensors.iter().rposition(|known| **known == *name);
        known.unwrap_or_else(|| {
            self.sensors.push(name.into());
            self.sensors.len() - 1
        }) as u32
    }

    /// The counts of one grouping as rows of the table of that span, in their order. `None` when there are none.
    pub fn rows(&self, grouping: Grouping, span: Span) -> Result<Option<RecordBatch>, ArrowError> {
        let counts = &self.counts[grouping as usize];
        if counts.is_empty() {
            return Ok(None);
        }
        let ranks = self.ranks();
        let place = |cell: &Cell| (cell.minute.map(|minute| span.floor(minute)), cell.key, ranks[cell.sensor as usize]);
        let mut order: Vec<(Place, &Count)> = counts.iter().map(|(cell, count)| (place(cell), count)).collect();
        // As compaction orders them: minutes hour by hour, and in each hour key by key.
        let chunk = span.max(Span::Hour);
        let hour = |minute: Option<i32>| minute.map(|minute| chunk.floor(minute));
        order.sort_unstable_by_key(|((minute, key, sensor), _)| (hour(*minute), *key, *minute, *sensor));
        let groups: Vec<&[(Place, &Count)]> = order.chunk_by(|(a, _), (b, _)| a == b).collect();
        let heads = || groups.iter().map(|group| group[0].0);
        let names: Vec<&str> = self.names();

        let micros = |minute: i32| i64::from(minute).saturating_mul(MINUTE / 1000);
        let times: TimestampMicrosecondArray = heads().map(|(minute, ..)| minute.map(micros)).collect();
        let sensors: StringArray = heads().map(|(_, _, rank)| Some(names[rank as usize])).collect();
        let sum = |of: fn(&Count) -> i64| -> ArrayRef {
            Arc::new(groups.iter().map(|group| group.iter().map(|(_, c)| of(c)).sum::<i64>()).collect::<Int64Array>())
        };
        let partitions = partitions(heads().map(|(minute, ..)| hour(minute)), grouping.filed(span));
        let mut arrays: Vec<ArrayRef> = vec![Arc::new(times.with_timezone("UTC")), Arc::new(sensors)];
        arrays.extend(grouping.key_arrays(heads().map(|(_, key, _)| key)));
        arrays.push(sum(|count| count.packets));
        arrays.push(sum(|count| count.bytes));
        arrays.push(united(&groups, |count| &count.members));
        arrays.push(united(&groups, |count| &count.destinations));
        arrays.push(partitions);
        RecordBatch::try_new(crate::lake::rollup_schema(grouping, span), arrays).map(Some)
    }

    /// The sensors in the order of their names.
    fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.sensors.iter().map(|name| &**name).collect();
        names.sort_unstable();
        names
    }

    /// The place of each sensor in [`Rollups::names`].
    fn ranks(&self) -> Vec<u32> {
        let names = self.names();
        let rank = |name: &Arc<str>| names.binary_search(&&**name).expect("one of them") as u32;
        self.sensors.iter().map(rank).collect()
    }
}

/// Where a row stands in its table: time, key, sensor.
type Place = (Option<i32>, Key, u32);

fn united(groups: &[&[(Place, &Count)]], of: fn(&Count) -> &Sketch) -> ArrayRef {
    let mut sets = BinaryBuilder::with_capacity(groups.len(), groups.len() * 16);
    let mut bytes = Vec::new();
    for group in groups {
        bytes.clear();
        if let [(_, only)] = group {
            of(only).write(&mut bytes);
        } else {
            let mut union = Union::default();
            group.iter().for_each(|(_, count)| union.merge_sketch(of(count)));
            union.write(&mut bytes);
        }
        sets.append_value(&bytes);
    }
    Arc::new(sets.finish())
}

/// Names of the partitions; equal times follow each other.
fn partitions(minutes: impl Iterator<Item = Option<i32>>, span: Span) -> ArrayRef {
    let mut last: Option<(Option<i32>, String)> = None;
    let mut builder = StringBuilder::new();
    for minute in minutes {
        let name = match &last {
            Some((known, name)) if *known == minute => name,
            _ => {
                let name = span.partition_name(minute.map(|minute| Nanos(i64::from(minute).saturating_mul(MINUTE))));
                &last.insert((minute, name)).1
            }
        };
        builder.append_value(name);
    }
    Arc::new(builder.finish())
}
