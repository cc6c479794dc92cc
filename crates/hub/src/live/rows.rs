//! Findings from the desk's database into the journal's tables, exactly once.
//!
//! Rows wait under numbers without holes, and the recorder numbers what it stores: so after a crash the journal itself
//! says which of the waiting rows it holds.

use super::Telling;
use super::tail::row_of;
use crate::services::{Context, ServiceResult};
use arrow_array::RecordBatch;
use noroshi_model::alert::Alert;
use noroshi_model::findings::{self, State, Told};
use noroshi_model::tables;
use noroshi_model::{finding, infection};
use noroshi_share::outbox::{Commit, LakeRow, Outbox, OutboxError};
use noroshi_store::journal::{RecordError, Recorder};
use serde::de::DeserializeOwned;
use std::time::Duration;

/// Name of the stream in the journal, and of the position in the outbox.
const PART: &str = "warning";
/// Rows that are brought over at once.
const ROWS: u32 = 5_000;
/// Waiting rows are looked for so often.
const EVERY: Duration = Duration::from_secs(1);

#[derive(Debug, thiserror::Error)]
enum RowsError {
    #[error(transparent)]
    Outbox(#[from] OutboxError),
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error("finding {0} cannot be read: {1}")]
    Finding(i64, serde_json::Error),
}

/// Brings findings over until the hub stops.
pub async fn run(context: &Context, outbox: &Outbox) -> ServiceResult {
    let recorder = context.journal.recorder(PART);
    loop {
        match bring(context, outbox, &recorder).await {
            Ok(true) => continue,
            Ok(false) => {}
            Err(error) => tracing::error!(%error, "findings wait for the lake; nothing is lost"),
        }
        tokio::select! {
            () = context.stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

/// One round; true when there may be more.
async fn bring(context: &Context, outbox: &Outbox, recorder: &Recorder) -> Result<bool, RowsError> {
    let waiting = outbox.lake_rows(ROWS).await?;
    let Some(first) = waiting.first().map(|row| row.sequence) else { return Ok(false) };
    let recorded = recorder.recorded().await? as i64;
    let base = match outbox.cursor(PART).await?.and_then(|text| row_of(context, &text)) {
        Some(base) => base,
        None => {
            // The first rows for this journal: from here on numbers there and here keep their distance.
            let base = first - recorded;
            let position = super::tail::position(context, base);
            outbox.commit(&Commit { cursor: Some((PART, position)), ..Commit::default() }).await?;
            base
        }
    };
    let held = base + recorded - 1;
    let mut rest: &[LakeRow] = &waiting[waiting.partition_point(|row| row.sequence <= held)..];
    while let Some(head) = rest.first() {
        let same = rest.iter().position(|row| row.table != head.table).unwrap_or(rest.len());
        let (now, later) = rest.split_at(same);
        let Some(table) = tables::named(&head.table) else { break };
        recorder.record(table, &batch(&head.table, now)?).await?;
        rest = later;
    }
    if let Some(last) = waiting.last() {
        outbox.forget_lake_rows(last.sequence).await?;
    }
    Ok(waiting.len() == ROWS as usize)
}

fn batch(table: &str, rows: &[LakeRow]) -> Result<RecordBatch, RowsError> {
    Ok(match table {
        "attacks" => findings::attacks(&told(&read::<Telling<finding::Attack>>(rows)?)),
        "campaigns" => findings::campaigns(&told(&read::<Telling<finding::Campaign>>(rows)?)),
        "scans" => findings::scans(&told(&read::<Telling<finding::Scan>>(rows)?)),
        "infections" => findings::infections(&told(&read::<Telling<infection::Infection>>(rows)?)),
        _ => findings::alerts(&read::<Alert>(rows)?),
    })
}

fn read<T: DeserializeOwned>(rows: &[LakeRow]) -> Result<Vec<T>, RowsError> {
    let one = |row: &LakeRow| serde_json::from_str(&row.value).map_err(|error| RowsError::Finding(row.sequence, error));
    rows.iter().map(one).collect()
}

fn told<T>(tellings: &[Telling<T>]) -> Vec<Told<'_, T>> {
    let state = |closed: bool| if closed { State::Closed } else { State::Open };
    tellings
        .iter()
        .map(|t| Told { at: t.at, sensor: "", id: &t.id, state: state(t.closed), finding: &t.finding })
        .collect()
}
