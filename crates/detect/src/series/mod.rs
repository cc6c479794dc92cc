//! Counts over time, with what was not observed kept apart from what was zero.
//!
//! A [`Table`] collects (time, key, count) into slots; [`Table::finish`] gives one [`Series`] per key, all over the
//! same slots. A slot in which nothing at all was counted, and a first or last slot that the data covers only in part,
//! is a gap: NaN in every series. [`surge`] ranks what rose.

pub mod surge;

use noroshi_model::{Nanos, time::SECOND};
use std::collections::BTreeMap;

/// Seconds of a day, the usual slot.
pub const DAY_SECONDS: u32 = 86_400;
/// Most slots of a table; times beyond are refused, so that one wrong clock cannot fill the memory.
const SLOTS_MAX: i64 = 100_000;
/// Most cells held; keys that would need more are counted in the total only.
const CELLS_MAX: usize = 4_000_000;
/// Share of a slot at its open end that may be missing before the slot counts as covered in part.
const PART_MAX: f64 = 0.05;
/// Name of the series of all keys together.
pub const TOTAL: &str = "total";

/// One series.
#[derive(Clone, PartialEq, Debug)]
pub struct Series {
    /// What is counted: `total`, `tcp/445`, `icmp`.
    pub key: String,
    /// Start of the first slot.
    pub start: Nanos,
    /// Length of a slot.
    pub slot_seconds: u32,
    /// Count per slot; NaN is a gap.
    pub values: Vec<f64>,
}

impl Series {
    /// Start of slot `index`.
    pub fn time(&self, index: usize) -> Nanos {
        let offset = i64::try_from(index).unwrap_or(i64::MAX).saturating_mul(i64::from(self.slot_seconds));
        Nanos::from_seconds(self.start.seconds().saturating_add(offset))
    }

    /// Sum of the known slots.
    pub fn total(&self) -> f64 {
        self.values.iter().filter(|value| value.is_finite()).sum()
    }
}

/// Collects counts.
#[derive(Clone, Debug)]
pub struct Table {
    slot_seconds: u32,
    cells: BTreeMap<String, BTreeMap<i64, f64>>,
    total: BTreeMap<i64, f64>,
    held: usize,
    range: Option<(i64, i64)>,
    whole_slots: bool,
    /// Counts refused: negative or not finite, or a time too far from the others.
    pub refused: u64,
    /// Counts that are only in the total because the table was full.
    pub folded: u64,
}

impl Table {
    /// An empty table; a slot has at least one second.
    pub fn new(slot_seconds: u32) -> Self {
        Table {
            slot_seconds: slot_seconds.max(1),
            cells: BTreeMap::new(),
            total: BTreeMap::new(),
            held: 0,
            range: None,
            whole_slots: false,
            refused: 0,
            folded: 0,
        }
    }

    /// Says that the counts are of whole slots already: the first and the last are then not cut.
    pub fn whole_slots(&mut self) {
        self.whole_slots = true;
    }

    /// Adds a count at an instant.
    pub fn add(&mut self, at: Nanos, key: &str, count: f64) {
        let second = at.seconds();
        let width = i64::from(self.slot_seconds);
        let (low, high) = self.range.map_or((second, second), |(low, high)| (low.min(second), high.max(second)));
        if !count.is_finite() || count < 0.0 || (high.saturating_sub(low)) / width >= SLOTS_MAX {
            self.refused += 1;
            return;
        }
        self.range = Some((low, high));
        let slot = second.div_euclid(width);
        *self.total.entry(slot).or_default() += count;
        let full = self.held >= CELLS_MAX;
        if let Some(row) = self.cells.get_mut(key) {
            if let Some(cell) = row.get_mut(&slot) {
                *cell += count;
                return;
            }
            if !full {
                row.insert(slot, count);
                self.held += 1;
                return;
            }
        } else if !full {
            self.cells.insert(key.to_owned(), BTreeMap::from([(slot, count)]));
            self.held += 1;
            return;
        }
        self.folded += 1;
    }

    /// The series: first the total, then the keys by size, largest first.
    pub fn finish(&self) -> Vec<Series> {
        let (Some((low, high)), Some(first), Some(last)) =
            (self.range, self.total.keys().next(), self.total.keys().next_back())
        else {
            return Vec::new();
        };
        let width = i64::from(self.slot_seconds);
        let slots = (last - first + 1) as usize;
        let mut gaps: Vec<bool> =
            (0..slots).map(|slot| self.total.get(&(first + slot as i64)).is_none_or(|count| *count <= 0.0)).collect();
        if !self.whole_slots {
            let late = low.rem_euclid(width) as f64 / width as f64;
            let early = (width - 1 - high.rem_euclid(width)) as f64 / width as f64;
            gaps[0] |= late > PART_MAX;
            gaps[slots - 1] |= early > PART_MAX;
        }
        let start = Nanos::from_seconds(first.saturating_mul(width));
        let build = |key: &str, row: &BTreeMap<i64, f64>| {
            let mut values: Vec<f64> = gaps.iter().map(|gap| if *gap { f64::NAN } else { 0.0 }).collect();
            for (slot, count) in row {
                values[(slot - first) as usize] += count;
            }
            Series { key: key.to_owned(), start, slot_seconds: self.slot_seconds, values }
        };
        let mut series: Vec<Series> = self.cells.iter().map(|(key, row)| build(key, row)).collect();
        series.sort_by(|a, b| b.total().total_cmp(&a.total()).then_with(|| a.key.cmp(&b.key)));
        series.insert(0, build(TOTAL, &self.total));
        series
    }
}

/// Text of a day, or of an instant when slots are shorter.
pub fn slot_name(at: Nanos, slot_seconds: u32) -> String {
    let text = at.rfc3339();
    if slot_seconds.is_multiple_of(DAY_SECONDS) && at.0 % (i64::from(DAY_SECONDS) * SECOND) == 0 {
        text.chars().take(10).collect()
    } else {
        text
    }
}

#[cfg(test)]
mod tests;
