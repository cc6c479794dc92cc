//! Fresh packets in the order of compacted ones, as nearly as one number can say it.
//!
//! Questions about one port or source skip the rest of a file only when its rows are in that order, and an hour that stays
//! small is never compacted. The key is one number of 128 bits (hour, protocol, destination port, the first four bytes of
//! the source, then order of arrival, which is nearly that of time), because sorting by columns costs ten times as much.

use arrow::array::{Array, AsArray, RecordBatch, UInt32Array};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::{Int16Type, Int32Type};
use arrow::error::ArrowError;
use std::collections::HashMap;

/// Rows that are put together at once, so that the sorted copy needs little memory.
const CHUNK: usize = 1 << 16;

/// Rows in order; `None` where the columns are not those of packets.
fn rows_in_order(batch: &RecordBatch) -> Option<UInt32Array> {
    let hour = batch.column_by_name("hour")?.as_string_opt::<i32>()?;
    let proto = batch.column_by_name("proto")?.as_primitive_opt::<Int16Type>()?;
    let dport = batch.column_by_name("dport")?.as_primitive_opt::<Int32Type>()?;
    let src = batch.column_by_name("src")?.as_binary_opt::<i32>()?;
    let mut keys = Vec::with_capacity(batch.num_rows());
    let mut hours = HashMap::<&str, u16>::new();
    let mut last = ("", 0);
    for row in 0..batch.num_rows() {
        let name = hour.value(row);
        if row == 0 || name != last.0 {
            let next = u16::try_from(hours.len()).unwrap_or(u16::MAX);
            last = (name, *hours.entry(name).or_insert(next));
        }
        let proto = if proto.is_null(row) { u8::MAX } else { proto.value(row) as u8 };
        let dport = if dport.is_null(row) { u16::MAX } else { dport.value(row) as u16 };
        let head = src.value(row).first_chunk().map_or(0, |head| u32::from_be_bytes(*head));
        let key = u128::from(last.1) << 112 | u128::from(proto) << 104 | u128::from(dport) << 88;
        keys.push(key | u128::from(head) << 56 | row as u128);
    }
    keys.sort_unstable();
    Some(keys.into_iter().map(|key| key as u32).collect())
}

/// The rows in order, some at a time.
pub(super) fn ordered(batches: Vec<RecordBatch>) -> Box<dyn Iterator<Item = Result<RecordBatch, ArrowError>> + Send> {
    let Some(schema) = batches.first().map(RecordBatch::schema) else { return Box::new(std::iter::empty()) };
    // One long batch: picking rows from one array takes half the time of picking them from many. Payloads of more than
    // 2 GiB fit in no array and stay as they came.
    let whole = concat_batches(&schema, &batches).ok();
    let ordered = whole.and_then(|whole| rows_in_order(&whole).map(|rows| (whole, rows)));
    let Some((whole, rows)) = ordered else { return Box::new(batches.into_iter().map(Ok)) };
    drop(batches);
    let chunks = rows.len().div_ceil(CHUNK);
    Box::new((0..chunks).map(move |chunk| {
        let begin = chunk * CHUNK;
        take_record_batch(&whole, &rows.slice(begin, CHUNK.min(rows.len() - begin)))
    }))
}

#[cfg(test)]
mod tests {
    use super::ordered;
    use arrow::array::{
        Array, ArrayRef, AsArray, BinaryArray, Int16Array, Int32Array, Int64Array, RecordBatch, StringArray,
    };
    use arrow::datatypes::{Int16Type, Int32Type, Int64Type};
    use std::collections::BTreeSet;
    use std::sync::Arc;

    fn batch(ids: std::ops::Range<i64>) -> RecordBatch {
        let mixed = |id: i64| id.wrapping_mul(0x9e37_79b9).rem_euclid(1 << 31);
        let hours = ids.clone().map(|id| format!("2026-01-01T{:02}", mixed(id) / 7 % 3));
        let proto = ids.clone().map(|id| (id % 11 != 0).then_some([1, 6, 17][(mixed(id) % 3) as usize]));
        let dport = ids.clone().map(|id| (id % 13 != 0).then_some((mixed(id) / 5 % 65_536) as i32));
        let src = ids.clone().map(|id| (id % 17 != 0).then(|| (mixed(id) as u32).to_be_bytes()));
        RecordBatch::try_from_iter([
            ("id", Arc::new(Int64Array::from_iter_values(ids.clone())) as ArrayRef),
            ("proto", Arc::new(proto.collect::<Int16Array>())),
            ("dport", Arc::new(dport.collect::<Int32Array>())),
            ("src", Arc::new(src.collect::<BinaryArray>())),
            ("hour", Arc::new(StringArray::from_iter_values(hours))),
        ])
        .unwrap()
    }

    #[test]
    fn every_row_is_there_once_and_in_order() {
        let batches = vec![batch(0..70_000), batch(70_000..70_001), batch(70_001..70_001), batch(70_001..90_000)];
        let all = batches.iter().map(RecordBatch::num_rows).sum::<usize>();
        let mut ids = BTreeSet::new();
        let mut hours = Vec::<String>::new();
        let mut last = None;
        for batch in ordered(batches) {
            let batch = batch.unwrap();
            let (proto, dport) =
                (batch.column(1).as_primitive::<Int16Type>(), batch.column(2).as_primitive::<Int32Type>());
            for row in 0..batch.num_rows() {
                ids.insert(batch.column(0).as_primitive::<Int64Type>().value(row));
                let hour = batch.column(4).as_string::<i32>().value(row).to_owned();
                if hours.last() != Some(&hour) {
                    assert!(!hours.contains(&hour), "{hour} comes twice");
                    (hours, last) = ([hours, vec![hour]].concat(), None);
                }
                let proto = if proto.is_null(row) { 255 } else { proto.value(row) };
                let dport = if dport.is_null(row) { 65_535 } else { dport.value(row) };
                let key = (proto, dport, batch.column(3).as_binary::<i32>().value(row).to_owned());
                assert!(last.as_ref() <= Some(&key), "{last:?} before {key:?}");
                last = Some(key);
            }
        }
        assert_eq!(ids.len(), all);
        assert_eq!(hours.len(), 3);
    }

    #[test]
    fn rows_without_those_columns_stay_as_they_are() {
        let other = batch(0..10).project(&[0, 3]).unwrap();
        let found: Vec<RecordBatch> = ordered(vec![other.clone()]).map(Result::unwrap).collect();
        assert_eq!(found, [other]);
    }
}
