//! Journal rows to lake tables, in group commits.
//!
//! One step reads the journal from the table that is furthest behind, makes each table's rows, and commits each table
//! with its own position. Base tables come first, so a roll-up never counts what the base does not hold. Killed
//! anywhere, the next step goes on from the positions; what a table already holds is left out for it. The journal
//! forgets rows once every table has passed them and their commits are synced.

use super::spec::Feed;
use super::types::to_lake;
use super::{Lake, LakeError};
use crate::format::hexadecimal;
use crate::journal::{Journal, JournalRow, is_recorder};
use crate::rollup::{Enrich, PacketColumns, Rollups};
use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::error::ArrowError;
use arrow::ipc::reader::StreamReader;
use futures::{StreamExt, TryStreamExt};
use noroshi_model::stream::{Gap, GapReason, SchemaId};
use noroshi_model::tables::of_schema;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// Journal bytes that one step takes.
const STEP_BYTES: usize = 24 << 20;
/// Tables that are written at once: their syncs wait for the same disk.
const COMMITS: usize = 4;

/// Name under which the tables keep how far they have come in a journal.
pub(crate) fn app_of(journal: &str) -> String {
    format!("noroshi-journal-{journal}")
}

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
    /// Positions of the tables, in their order; not known at first and after an error. A table without rows in a step
    /// passes it without a commit: should the step be done again, it has no rows in it either.
    positions: Option<Vec<i64>>,
}

/// A journal row with its records decoded.
struct Decoded {
    row: JournalRow,
    batches: Vec<RecordBatch>,
}

/// What one step works on.
struct Work {
    decoded: Vec<Decoded>,
    /// Counts of the rows after a position. Roll-ups stand at the same position unless a commit failed.
    counted: Mutex<Vec<(i64, Arc<Rollups>)>>,
    enrich: Enrich,
    through: i64,
}

impl Work {
    fn after(&self, position: i64) -> impl Iterator<Item = &Decoded> {
        self.decoded.iter().filter(move |decoded| decoded.row.row > position)
    }

    fn counts(&self, position: i64) -> Arc<Rollups> {
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, counts)) = counted.iter().find(|(after, _)| *after == position) {
            return counts.clone();
        }
        let mut counts = Rollups::default();
        for decoded in self.after(position).filter(|decoded| decoded.row.schema == SchemaId::PACKETS) {
            for packets in decoded.batches.iter().filter_map(PacketColumns::of) {
                counts.add(|_| &decoded.row.sensor, &packets, &self.enrich);
            }
        }
        let counts = Arc::new(counts);
        counted.push((position, counts.clone()));
        counts
    }

    /// One table's share of the step.
    fn rows(&self, feed: Feed, position: i64) -> Result<Vec<RecordBatch>, ArrowError> {
        match feed {
            Feed::Base(table) => self
                .after(position)
                .filter(|decoded| decoded.row.schema == table.schema)
                .flat_map(|decoded| decoded.batches.iter().map(|batch| (&*decoded.row.sensor, batch)))
                .map(|(sender, batch)| to_lake(table.columns, batch, (!is_recorder(sender)).then_some(sender)))
                .collect(),
            Feed::Gaps => Ok(gap_rows(self.after(position))?.into_iter().collect()),
            Feed::Rollup(grouping, span) => Ok(self.counts(position).rows(grouping, span)?.into_iter().collect()),
        }
    }
}

impl Mover {
    /// Takes up where the tables' positions say.
    pub async fn new(lake: Lake, journal: Journal) -> Result<Mover, LakeError> {
        let app = app_of(journal.id());
        Ok(Mover { lake, journal, app, positions: None })
    }

    /// Moves what the journal holds, at most a bounded number of bytes. Call again until nothing was moved.
    pub async fn step(&mut self) -> Result<Moved, LakeError> {
        let mut positions = match self.positions.take() {
            Some(positions) => positions,
            None => self.read_positions().await?,
        };
        let behind = positions.iter().copied().min().unwrap_or(0);
        let rows = self.journal.read_after(behind, STEP_BYTES).await?;
        let Some(through) = rows.last().map(|row| row.row) else {
            self.positions = Some(positions);
            return Ok(Moved::default());
        };
        let moved = Moved { batches: rows.len() as u64, records: rows.iter().map(|row| row.records).sum(), through };
        let decoded = tokio::task::spawn_blocking(move || rows.into_iter().map(decode).collect::<Vec<_>>())
            .await
            .expect("decoding contains its panics");
        let enrich = self.lake.shared.enrich.clone();
        let work = Arc::new(Work { decoded, counted: Mutex::default(), enrich, through });
        // Base tables first, so that a roll-up never counts what the base does not hold. An error forgets the positions:
        // the commit may have succeeded nevertheless, and the next step asks the tables.
        let is_rollup = |at: &usize| matches!(self.lake.shared.tables[*at].spec.feed, Feed::Rollup(..));
        for rollups in [false, true] {
            let behind = (0..positions.len()).filter(|at| positions[*at] < through && is_rollup(at) == rollups);
            let feeding = behind.map(|at| self.feed(at, work.clone(), positions[at])).collect::<Vec<_>>();
            futures::stream::iter(feeding).buffer_unordered(COMMITS).try_collect::<()>().await?;
        }
        positions.iter_mut().for_each(|position| *position = through.max(*position));
        self.positions = Some(positions);
        self.journal.delete_through(through).await?;
        Ok(moved)
    }

    async fn read_positions(&self) -> Result<Vec<i64>, LakeError> {
        let mut positions = Vec::new();
        for table in &self.lake.shared.tables {
            positions.push(table.position(&self.app).await?);
        }
        Ok(positions)
    }

    /// Commits one table's share of the step.
    async fn feed(&self, at: usize, work: Arc<Work>, position: i64) -> Result<(), LakeError> {
        let table = &self.lake.shared.tables[at];
        let (feed, through) = (table.spec.feed, work.through);
        let rows = tokio::task::spawn_blocking(move || work.rows(feed, position))
            .await
            .expect("making rows does not panic")
            .map_err(|source| LakeError::Rows { table: table.spec.name, source })?;
        if rows.is_empty() {
            return Ok(());
        }
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
                        if error.is_full() {
                            self.lake.make_room_and_tell().await;
                        }
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
