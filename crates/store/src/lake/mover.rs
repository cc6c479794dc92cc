//! Journal rows to lake tables, in group commits.
//!
//! One step reads the journal from the table that is furthest behind, makes each table's rows, and commits each table
//! with its own position. Base tables come first, so a roll-up never counts what the base does not hold. Killed
//! anywhere, the next step goes on from the positions; what a table already holds is left out for it. The journal
//! forgets rows once every table has passed them and their commits are synced.

use super::spec::Feed;
use super::types::to_lake;
use super::{Lake, LakeError, LakeTable};
use crate::format::hexadecimal;
use crate::journal::{Journal, JournalRow, is_recorder};
use crate::rollup::{Enrich, PacketColumns, Rollup};
use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::error::ArrowError;
use arrow::ipc::reader::StreamReader;
use noroshi_model::stream::{Gap, GapReason, SchemaId};
use noroshi_model::tables::of_schema;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Journal bytes that one step takes.
const STEP_BYTES: usize = 64 << 20;

/// What one step did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    /// Journal rows that left the journal.
    pub batches: u64,
    /// Records in them.
    pub records: u64,
    /// The last of them; 0 when there was nothing to move.
    pub through: i64,
}

/// Moves a journal's rows into a lake.
pub struct Mover {
    lake: Lake,
    journal: Journal,
    app: String,
    /// Positions of the tables, in their order, as far as this mover knows. A table without rows in a step passes it
    /// without a commit: should the step be done again, it has no rows in it either.
    positions: Vec<i64>,
}

/// A journal row with its records decoded.
struct Decoded {
    row: JournalRow,
    batches: Vec<RecordBatch>,
}

impl Mover {
    /// Takes up where the tables' positions say.
    pub async fn new(lake: Lake, journal: Journal) -> Result<Mover, LakeError> {
        let app = format!("noroshi-journal-{}", journal.id());
        let mut positions = Vec::new();
        for table in &lake.shared.tables {
            positions.push(table.position(&app).await?);
        }
        Ok(Mover { lake, journal, app, positions })
    }

    /// Moves what the journal holds, at most a bounded number of bytes. Call again until nothing was moved.
    pub async fn step(&mut self) -> Result<Moved, LakeError> {
        let behind = self.positions.iter().copied().min().unwrap_or(0);
        let rows = self.journal.read_after(behind, STEP_BYTES).await?;
        let Some(through) = rows.last().map(|row| row.row) else { return Ok(Moved::default()) };
        let moved = Moved { batches: rows.len() as u64, records: rows.iter().map(|row| row.records).sum(), through };
        let decoded = tokio::task::spawn_blocking(move || rows.into_iter().map(decode).collect::<Vec<_>>())
            .await
            .expect("decoding contains its panics");
        let decoded = Arc::new(decoded);
        for at in 0..self.positions.len() {
            if self.positions[at] < through {
                self.feed(at, &decoded, through).await?;
                self.positions[at] = through;
            }
        }
        self.journal.delete_through(through).await?;
        Ok(moved)
    }

    /// Commits one table's share of the step.
    async fn feed(&self, at: usize, decoded: &Arc<Vec<Decoded>>, through: i64) -> Result<(), LakeError> {
        let table = &self.lake.shared.tables[at];
        let (after, decoded) = (self.positions[at], decoded.clone());
        let (feed, enrich) = (table.spec.feed, self.lake.shared.enrich.clone());
        let made = tokio::task::spawn_blocking(move || {
            let rows = decoded.iter().filter(|decoded| decoded.row.row > after);
            rows_for(feed, rows, &enrich)
        });
        let rows = made
            .await
            .expect("making rows does not panic")
            .map_err(|source| LakeError::Rows { table: table.spec.name, source })?;
        if rows.is_empty() {
            return Ok(());
        }
        self.append(table, rows, through).await
    }

    async fn append(&self, table: &LakeTable, rows: Vec<RecordBatch>, through: i64) -> Result<(), LakeError> {
        table.append(rows, &self.app, through).await
    }

    /// Moves whenever the journal has grown, at most once per `interval`, until `stop` turns true; then moves the rest.
    /// A step that fails is tried again after the interval.
    pub async fn run(mut self, interval: Duration, mut stop: watch::Receiver<bool>) {
        let mut grown = self.journal.subscribe();
        grown.mark_changed();
        loop {
            let stopping = *stop.borrow();
            loop {
                match self.step().await {
                    Ok(moved) if moved.through == 0 => break,
                    Ok(moved) => tracing::debug!(batches = moved.batches, records = moved.records, "moved to the lake"),
                    Err(error) => {
                        tracing::error!(%error, "the journal cannot be moved to the lake; trying again");
                        break;
                    }
                }
            }
            if stopping {
                return;
            }
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => {}
                _ = async {
                    let _ = grown.changed().await;
                    tokio::time::sleep(interval).await;
                } => {}
            }
        }
    }
}

/// Decodes the Arrow bytes of a row. What does not decode, or not to the records that the sensor numbered, is declared
/// lost by a gap, so the account stays whole and one bad batch costs one batch.
fn decode(mut row: JournalRow) -> Decoded {
    let batches = match std::panic::catch_unwind(AssertUnwindSafe(|| read_records(&row))) {
        Ok(Ok(batches)) => batches,
        Ok(Err(reason)) => {
            tracing::error!(row = row.row, sensor = row.sensor, ?reason, "a journal row cannot be read; declared lost");
            row.gaps.push(lost(&row, reason));
            Vec::new()
        }
        Err(_) => {
            tracing::error!(row = row.row, sensor = row.sensor, "decoding a journal row panicked; declared lost");
            row.gaps.push(lost(&row, GapReason::Refused));
            Vec::new()
        }
    };
    Decoded { row, batches }
}

fn lost(row: &JournalRow, reason: GapReason) -> Gap {
    Gap { first_seq: row.first_seq, last_seq: row.last_seq, count: row.records, reason }
}

fn read_records(row: &JournalRow) -> Result<Vec<RecordBatch>, GapReason> {
    if row.damaged {
        return Err(GapReason::Corruption);
    }
    if row.records == 0 {
        return Ok(Vec::new());
    }
    let schema = of_schema(row.schema).ok_or(GapReason::Refused)?.arrow();
    let reader = StreamReader::try_new(&row.bytes[..], None).map_err(|_| GapReason::Refused)?;
    let mut batches = Vec::new();
    for batch in reader {
        let batch = batch.map_err(|_| GapReason::Refused)?;
        if batch.schema().fields() != schema.fields() {
            return Err(GapReason::Refused);
        }
        batches.push(batch);
    }
    let found: usize = batches.iter().map(RecordBatch::num_rows).sum();
    if found as u64 == row.records { Ok(batches) } else { Err(GapReason::Refused) }
}

fn rows_for<'a>(
    feed: Feed,
    decoded: impl Iterator<Item = &'a Decoded>,
    enrich: &Enrich,
) -> Result<Vec<RecordBatch>, ArrowError> {
    match feed {
        Feed::Base(table) => decoded
            .filter(|decoded| decoded.row.schema == table.schema)
            .flat_map(|decoded| decoded.batches.iter().map(|batch| (&*decoded.row.sensor, batch)))
            .map(|(sender, batch)| to_lake(table.columns, batch, (!is_recorder(sender)).then_some(sender)))
            .collect(),
        Feed::Gaps => Ok(gap_rows(decoded)?.into_iter().collect()),
        Feed::Rollup(grouping) => {
            let mut rollup = Rollup::new(grouping);
            for decoded in decoded.filter(|decoded| decoded.row.schema == SchemaId::PACKETS) {
                let sensor: Arc<str> = decoded.row.sensor.as_str().into();
                for packets in decoded.batches.iter().filter_map(PacketColumns::of) {
                    rollup.add(&sensor, &packets, enrich);
                }
            }
            Ok(rollup.finish()?.into_iter().collect())
        }
    }
}

fn gap_rows<'a>(decoded: impl Iterator<Item = &'a Decoded>) -> Result<Option<RecordBatch>, ArrowError> {
    let gaps: Vec<(&JournalRow, &Gap)> =
        decoded.flat_map(|decoded| decoded.row.gaps.iter().map(|gap| (&decoded.row, gap))).collect();
    if gaps.is_empty() {
        return Ok(None);
    }
    let texts = |of: &dyn Fn(&JournalRow, &Gap) -> String| -> ArrayRef {
        Arc::new(gaps.iter().map(|(row, gap)| Some(of(row, gap))).collect::<StringArray>())
    };
    let numbers = |of: fn(&Gap) -> u64| -> ArrayRef {
        Arc::new(gaps.iter().map(|(_, gap)| of(gap) as i64).collect::<Int64Array>())
    };
    let arrays = vec![
        texts(&|row, _| row.sensor.clone()),
        texts(&|row, _| hexadecimal(&row.epoch)),
        numbers(|gap| gap.first_seq),
        numbers(|gap| gap.last_seq),
        numbers(|gap| gap.count),
        texts(&|_, gap| gap.reason.name().to_owned()),
    ];
    RecordBatch::try_new(super::spec::gaps().schema, arrays).map(Some)
}
