//! What sensors send becomes durable, or is refused with a reason that tells the sensor what to do.
//!
//! For each batch, in this order: do its numbers account for themselves; do its bytes decode to rows of the fixed
//! schema, from this sensor (checked in a worker process, [`worker`], because the bytes are foreign); does it continue
//! its stream (decided in the journal's transaction); is it synced. Only then is it acknowledged.
//!
//! Never here: what an observation means, who may connect.

pub mod check;
pub mod worker;

use arrow_flight::FlightData;
use bytes::Bytes;
use noroshi_model::stream::SchemaId;
use noroshi_store::journal::Refusal as JournalRefusal;
use noroshi_store::{Appended, Journal, JournalBatch, JournalError};
use noroshi_wire::message::{Epoch, Outcome};
use noroshi_wire::{Ack, BatchHead, Refusal};
use std::sync::atomic::{AtomicU64, Ordering};
use worker::Workers;

/// A sensor whose batch met a full disk is asked to wait this long.
const FULL_RETRY_MS: u64 = 2_000;

/// What came in and what became of it: received = stored + duplicate + refused.
#[derive(Debug, Default)]
pub struct Counters {
    /// Batches that came in.
    pub received: AtomicU64,
    /// Batches stored.
    pub stored: AtomicU64,
    /// Records in them.
    pub records: AtomicU64,
    /// Batches that were stored before.
    pub duplicate: AtomicU64,
    /// Batches refused.
    pub refused: AtomicU64,
}

/// The way into the journal.
pub struct Ingest {
    journal: Journal,
    workers: Workers,
    /// What came in and what became of it.
    pub counters: Counters,
}

impl Ingest {
    /// Into this journal, with these workers to look at foreign bytes.
    pub fn new(journal: Journal, workers: Workers) -> Self {
        Ingest { journal, workers, counters: Counters::default() }
    }

    /// Everything up to this number is stored; 0 when nothing is.
    pub async fn watermark(&self, sensor: &str, epoch: Epoch) -> Result<u64, Refusal> {
        Ok(self.journal.watermark(sensor, epoch.0).await.map_err(refusal)?.unwrap_or(0))
    }

    /// Stores one batch of a sensor; returns when it is durable. A batch that can never be stored gets an ack that says
    /// so; an error ends the stream.
    pub async fn put(&self, sensor: &str, head: BatchHead, messages: Vec<FlightData>) -> Result<Ack, Refusal> {
        let count = |counter: &AtomicU64| counter.fetch_add(1, Ordering::Relaxed);
        count(&self.counters.received);
        let (epoch, first_seq, last_seq, rows) = (head.epoch, head.first_seq, head.last_seq, head.rows);
        let outcome = match self.store(sensor, head, messages).await {
            Ok(Appended::Stored { .. }) => {
                count(&self.counters.stored);
                self.counters.records.fetch_add(rows, Ordering::Relaxed);
                Outcome::Stored
            }
            Ok(Appended::Duplicate { .. }) => {
                count(&self.counters.duplicate);
                Outcome::Duplicate
            }
            Err(refusal) => {
                count(&self.counters.refused);
                tracing::warn!(sensor, first_seq, last_seq, %refusal, "batch refused");
                match refusal.remedy() {
                    noroshi_wire::message::Remedy::DropBatch => Outcome::Refused(refusal),
                    _ => return Err(refusal),
                }
            }
        };
        Ok(Ack { epoch, first_seq, last_seq, outcome })
    }

    async fn store(&self, sensor: &str, head: BatchHead, messages: Vec<FlightData>) -> Result<Appended, Refusal> {
        if !head.accounts() {
            return Err(Refusal::Unaccounted);
        }
        let bytes = if head.rows == 0 {
            if !messages.is_empty() || head.schema != SchemaId::NONE {
                return Err(Refusal::Batch { what: "a batch without rows carries data".into() });
            }
            Bytes::new()
        } else {
            let stream: Bytes = noroshi_wire::batch::to_stream(head.schema, &messages)?.into();
            drop(messages);
            let order = check::Order { schema: head.schema, sensor: sensor.to_owned(), rows: head.rows };
            self.workers.check(order, stream.clone()).await?;
            stream
        };
        let batch = JournalBatch {
            sensor: sensor.to_owned(),
            epoch: head.epoch.0,
            first_seq: head.first_seq,
            last_seq: head.last_seq,
            schema: head.schema,
            bytes,
            gaps: head.gaps,
        };
        self.journal.append(batch).await.map_err(refusal)
    }
}

/// The journal's reasons in the words of the protocol.
fn refusal(error: JournalError) -> Refusal {
    match error {
        JournalError::Refused { first_seq, reason, .. } => match reason {
            JournalRefusal::Hole { from, .. } => Refusal::Order { watermark: from.saturating_sub(1), got: first_seq },
            JournalRefusal::Overlap { watermark } => Refusal::Order { watermark, got: first_seq },
            JournalRefusal::Forked => Refusal::Forked,
            _ => Refusal::Unaccounted,
        },
        JournalError::Full { .. } => Refusal::Busy { what: "its disk is full".into(), retry_after_ms: FULL_RETRY_MS },
        other => {
            tracing::error!(error = %other, "the journal failed");
            Refusal::Internal { what: "its journal failed; see the hub's log".into() }
        }
    }
}
