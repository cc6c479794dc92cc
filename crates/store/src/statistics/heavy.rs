//! The first keys of a ranking by packets, found without adding up all keys.
//!
//! A darknet hears from hundreds of thousands of networks and sources a day, nearly all of them with a handful of packets,
//! and a ranking shows ten. If no key has more than m rows in the table, and ten keys have at least L packets each, then
//! each of the first ten has a row of at least L / m: its rows could not add up to L otherwise. So the largest rows tell
//! which few keys have to be added up, and the answer is the same (the threshold argument of Fagin, Lotem and Naor,
//! "Optimal aggregation algorithms for middleware", 2003).
//!
//! L comes from the largest rows. m comes from the log and the smallest table: a file holds a key at most once for each day
//! and sensor. Keys from seven eighths of that on are taken, so that one that is on its way to the first ten meanwhile is
//! among them.

use super::catalogue::windows_of_newcomers;
use super::window::{Window, parts, rows};
use super::{Asked, Parameters};
use crate::format::hexadecimal;
use crate::lake::Lake;
use crate::query::{Answer, Limits, QueryError};
use crate::rollup::{Grouping, Span};
use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type, TimestampMicrosecondType};
use noroshi_model::Nanos;
use std::collections::{BTreeSet, HashMap};

/// Rows that are looked at, for each that a shown key may have.
const LOOK: u64 = 2;
/// So many times as many are looked at when that was not enough.
const MORE: u64 = 8;
/// Rows that are looked at in the end. More would be no quicker than adding up.
const LARGEST: u64 = 1 << 16;
/// Keys that may be left.
const KEYS: usize = 1_000;

/// What is ranked: grouping, its key, the window, and the past that no key may have.
fn ranked(name: &str, p: &Asked) -> Option<(Grouping, &'static str, Window, Option<Window>)> {
    Some(match name {
        "top-networks" => (Grouping::Network, "network", p.asked(), None),
        "top-sources" => (Grouping::Source, "source", p.asked(), None),
        "first-seen-networks" => {
            let [window, past] = windows_of_newcomers(p, Grouping::Network);
            (Grouping::Network, "network", window, Some(past))
        }
        _ => return None,
    })
}

/// One of the largest rows: its key as SQL writes it, its packets, and whether its key may be shown.
struct Row {
    key: String,
    packets: i64,
    counts: bool,
}

impl Lake {
    /// The keys that have to be added up for a ranking, as SQL writes them. `None` when that cannot be said.
    pub(super) async fn heavy_keys(
        &self,
        name: &str,
        p: &Asked,
        limits: Limits,
    ) -> Result<Option<Vec<String>>, QueryError> {
        let Some((grouping, key, window, past)) = ranked(name, p) else { return Ok(None) };
        let whole_days = parts(window, grouping.spans()).iter().all(|(span, _)| span.is_some());
        if !whole_days || p.limit == 0 {
            return Ok(None);
        }
        let Some(most) = self.most_rows(p, grouping, window, limits).await? else { return Ok(None) };
        let of_window = rows(p, grouping, &format!("{key}, packets"), window, Span::Day);
        let (counts, join) = match past {
            None => ("true".to_owned(), String::new()),
            Some(past) => {
                let before = rows(p, grouping, key, past, Span::Day);
                (
                    format!("b.{key} is null"),
                    format!(" left join (select distinct {key} from {before}) b on n.{key} = b.{key}"),
                )
            }
        };
        let mut look = (p.limit as u64).saturating_mul(most).saturating_mul(LOOK);
        while most > 0 && look <= LARGEST {
            // First from how many packets on, which the column of packets tells by itself.
            let sql = format!(
                "select count(*), min(packets) from (select packets from {of_window} order by packets desc limit {look})"
            );
            let [found, smallest] = numbers(&self.answer(&sql, limits).await?).unwrap_or([0, 0]);
            let complete = (found as u64) < look;
            let sql = format!(
                "select n.{key}, n.packets, {counts} from \
                 (select {key}, packets from {of_window} where packets >= {smallest}) n{join} limit {}",
                LARGEST + 1
            );
            let largest = self.answer(&sql, limits).await?.batches.iter().map(read).collect::<Option<Vec<_>>>();
            let largest: Vec<Row> = largest.into_iter().flatten().flatten().collect();
            if largest.len() as u64 > LARGEST {
                return Ok(None);
            }
            let total = total_of(&largest, p.limit);
            let least = (total - total / 8).div_euclid(i64::try_from(most).unwrap_or(i64::MAX));
            if least > 0 && (complete || least >= smallest) {
                let heavy = largest.into_iter().filter(|row| row.counts && row.packets >= least);
                let keys: BTreeSet<String> = heavy.map(|row| row.key).collect();
                return Ok((keys.len() <= KEYS).then(|| keys.into_iter().collect()));
            }
            if complete {
                break;
            }
            look = look.saturating_mul(MORE);
        }
        Ok(None)
    }

    /// How many rows a key may have in a window of whole days.
    async fn most_rows(
        &self,
        p: &Parameters,
        grouping: Grouping,
        window: Window,
        limits: Limits,
    ) -> Result<Option<u64>, QueryError> {
        let sensors = rows(p, Grouping::Tool, "sensor", window, Span::Day);
        let sql = format!("select t, count(distinct sensor) from {sensors} group by t");
        let answer = self.answer(&sql, limits).await?;
        let mut days: Vec<(Option<Nanos>, u64)> = Vec::new();
        for batch in &answer.batches {
            let (Some(times), Some(counts)) = (
                batch.column(0).as_primitive_opt::<TimestampMicrosecondType>(),
                batch.column(1).as_primitive_opt::<Int64Type>(),
            ) else {
                return Ok(None);
            };
            let time = |us: i64| Nanos(us.saturating_mul(1000));
            days.extend(times.iter().map(|us| us.map(time)).zip(counts.values().iter().map(|count| *count as u64)));
        }
        let files = self.days_of_files(grouping.table(Span::Day)).await?;
        let in_file = |file: &Option<(Nanos, Nanos)>| -> u64 {
            let holds = |day: Option<Nanos>| match (file, day) {
                (Some((first, last)), Some(day)) => *first <= day && day <= *last,
                _ => true,
            };
            days.iter().filter(|(day, _)| holds(*day)).map(|(_, sensors)| sensors).sum()
        };
        Ok(Some(files.iter().map(in_file).sum()))
    }
}

/// Two numbers of an answer's only row.
fn numbers(answer: &Answer) -> Option<[i64; 2]> {
    let batch = answer.batches.iter().find(|batch| batch.num_rows() > 0)?;
    let number = |column: usize| {
        let column = batch.column(column).as_primitive_opt::<Int64Type>()?;
        (!column.is_null(0)).then(|| column.value(0))
    };
    Some([number(0)?, number(1)?])
}

/// At least so many packets has the last key that is shown, by these rows; 0 when they have fewer keys.
fn total_of(largest: &[Row], shown: usize) -> i64 {
    let mut totals = HashMap::<&str, i64>::new();
    for row in largest.iter().filter(|row| row.counts) {
        let total = totals.entry(&row.key).or_default();
        *total = total.saturating_add(row.packets);
    }
    let mut totals: Vec<i64> = totals.into_values().collect();
    totals.sort_unstable_by(|a, b| b.cmp(a));
    totals.get(shown - 1).copied().unwrap_or(0)
}

/// Keys are texts of ours or bytes.
fn read(batch: &RecordBatch) -> Option<Vec<Row>> {
    let keys = batch.column(0);
    let literals: Option<Vec<String>> = match keys.data_type() {
        DataType::Utf8 | DataType::Utf8View => {
            let texts = cast(keys, &DataType::Utf8).ok()?;
            let literal = |text: &str| format!("'{}'", text.replace('\'', "''"));
            texts.as_string::<i32>().iter().map(|text| text.map(literal)).collect()
        }
        _ => {
            let bytes = cast(keys, &DataType::Binary).ok()?;
            let literal = |bytes: &[u8]| format!("X'{}'", hexadecimal(bytes));
            bytes.as_binary::<i32>().iter().map(|bytes| bytes.map(literal)).collect()
        }
    };
    let packets = batch.column(1).as_primitive_opt::<Int64Type>()?;
    let counts = batch.column(2).as_boolean_opt()?;
    let row = |(at, key)| Row { key, packets: packets.value(at), counts: counts.value(at) };
    Some(literals?.into_iter().enumerate().map(row).collect())
}

#[cfg(test)]
mod tests {
    use super::{Row, total_of};

    #[test]
    fn the_last_shown_key_has_what_its_rows_add_up_to() {
        let row = |key: &str, packets, counts| Row { key: key.to_owned(), packets, counts };
        let rows = [row("a", 9, true), row("b", 8, true), row("c", 7, false), row("b", 6, true), row("d", 5, true)];
        assert_eq!([1, 2, 3, 4].map(|shown| total_of(&rows, shown)), [14, 9, 5, 0]);
    }
}
