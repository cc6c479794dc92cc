//! The capture thread: source to spool, with the policy in between.

use crate::SensorError;
use crate::fold::Fold;
use crate::policy::InForce;
use crate::source::{Source, Taken};
use crate::spool::{NewBatch, Spool, SpoolError};
use noroshi_model::packet::{Oddities, PacketBatch};
use noroshi_model::policy::Granularity;
use noroshi_model::stream::{GapReason, SchemaId};
use noroshi_packet::capture::RawBatch;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// Rows of one batch, at most.
const BATCH_ROWS: usize = 8192;
/// Payload bytes of one batch, at most; with the other columns this stays below what the hub takes.
const BATCH_PAYLOAD_BYTES: usize = 1 << 20;
/// A batch waits for more rows no longer than this: a fifth of the latency target (p99 250 ms from wire to journal).
const BATCH_AGE: Duration = Duration::from_millis(50);
/// Sums are kept in memory for this long, at most.
const FOLD_AGE: Duration = Duration::from_secs(60);
/// Pause before a full disk is tried again.
const FULL_PAUSE: Duration = Duration::from_millis(200);

/// What the capture thread tells the rest.
pub struct Shared {
    /// The policy to apply from the next packets on.
    pub policy: watch::Receiver<Arc<InForce>>,
    /// The policy that is applied.
    pub adopted: watch::Sender<Arc<InForce>>,
    /// Losses declared since the start, by reason.
    pub losses: std::sync::Mutex<BTreeMap<GapReason, u64>>,
    /// Time of the newest packet, nanoseconds; `i64::MIN` before the first.
    pub newest: AtomicI64,
    /// The source is read to its end and all of it is in the spool.
    pub ended: watch::Sender<bool>,
    /// Asks the thread to stop.
    pub stop: AtomicBool,
    /// Name of this sensor.
    pub sensor: Arc<str>,
    /// This machine's clock is far from the hub's, and packets are dated by it.
    pub clock_suspect: AtomicBool,
}

/// Runs until the source ends or a stop is asked for.
pub fn run(mut source: Box<dyn Source>, spool: &Spool, shared: &Shared) -> Result<(), SensorError> {
    let mut pending = Pending::new(shared);
    while !shared.stop.load(Ordering::Relaxed) {
        pending.adopt(spool)?;
        let taken = match source.next(pending.patience()) {
            Ok(taken) => taken,
            Err(error) => {
                pending.flush(spool)?;
                return Err(error.into());
            }
        };
        match taken {
            Taken::Packets { raw, kernel_drops } => {
                pending.lost(GapReason::Kernel, kernel_drops);
                pending.take(raw, spool)?;
            }
            Taken::Idle => {}
            Taken::Ended => {
                pending.flush(spool)?;
                shared.ended.send_replace(true);
                return Ok(());
            }
        }
        if pending.is_due() {
            pending.flush(spool)?;
        }
    }
    pending.flush(spool)
}

/// Packets on their way to the spool. A kill here loses nothing that was numbered: numbers are given by the spool.
struct Pending<'a> {
    shared: &'a Shared,
    force: Arc<InForce>,
    batch: PacketBatch,
    payload_bytes: usize,
    fold: Fold,
    losses: BTreeMap<GapReason, u64>,
    since: Option<Instant>,
    sampled: u64,
}

impl<'a> Pending<'a> {
    fn new(shared: &'a Shared) -> Self {
        let force = shared.policy.borrow().clone();
        shared.adopted.send_replace(force.clone());
        let (batch, losses) = (PacketBatch::default(), BTreeMap::new());
        Pending { shared, force, batch, payload_bytes: 0, fold: Fold::default(), losses, since: None, sampled: 0 }
    }

    /// Takes over a changed policy. What was captured under the old one is stored first.
    fn adopt(&mut self, spool: &Spool) -> Result<(), SensorError> {
        let wanted = self.shared.policy.borrow().clone();
        if !Arc::ptr_eq(&wanted, &self.force) {
            self.flush(spool)?;
            spool.set_quota(wanted.policy.spool_bytes);
            self.force = wanted.clone();
            self.shared.adopted.send_replace(wanted);
        }
        Ok(())
    }

    fn patience(&self) -> Duration {
        self.since.map_or(BATCH_AGE, |since| BATCH_AGE.saturating_sub(since.elapsed()).max(Duration::from_millis(1)))
    }

    fn is_due(&self) -> bool {
        let age = if self.fold.is_empty() { BATCH_AGE } else { FOLD_AGE };
        self.since.is_some_and(|since| since.elapsed() >= age)
    }

    fn lost(&mut self, reason: GapReason, count: u64) {
        if count > 0 {
            *self.losses.entry(reason).or_default() += count;
            self.since.get_or_insert_with(Instant::now);
        }
    }

    fn take(&mut self, mut raw: RawBatch, spool: &Spool) -> Result<(), SensorError> {
        let filtered = self.force.filter(&mut raw);
        self.lost(GapReason::Filter, filtered);
        let decoded = noroshi_packet::decode::decode(raw, 0);
        for at in 0..decoded.rows.len() {
            let row = decoded.rows[at];
            if !self.force.monitors(&row) {
                self.lost(GapReason::Filter, 1);
                continue;
            }
            self.sampled += 1;
            if !self.sampled.is_multiple_of(u64::from(self.force.policy.sample_one_in)) {
                self.lost(GapReason::Sampling, 1);
                continue;
            }
            if self.force.policy.granularity != Granularity::Packets {
                if self.fold.must_end_before(&row) {
                    self.flush(spool)?;
                }
                self.fold.add(&row, self.force.policy.granularity);
                self.since.get_or_insert_with(Instant::now);
                continue;
            }
            self.push(&decoded, at);
            if self.batch.rows.len() >= BATCH_ROWS || self.payload_bytes >= BATCH_PAYLOAD_BYTES {
                self.flush(spool)?;
            }
        }
        Ok(())
    }

    fn push(&mut self, from: &PacketBatch, at: usize) {
        let mut row = from.rows[at];
        let payload = self.force.payload(from.payload(&row));
        row.payload_at = self.batch.arena.len() as u32;
        row.payload_cap = payload.len() as u16;
        if self.shared.clock_suspect.load(Ordering::Relaxed) {
            row.oddities = row.oddities | Oddities::CLOCK_SUSPECT;
        }
        self.batch.arena.extend_from_slice(payload);
        self.payload_bytes += payload.len();
        if let Some(rare) = from.rare(&row) {
            row.rare = self.batch.rare.len() as u32;
            self.batch.rare.push(rare.clone());
        }
        self.batch.rows.push(row);
        self.since.get_or_insert_with(Instant::now);
    }

    /// Stores what is pending. A full disk is waited out; meanwhile a live ring fills and the kernel counts its drops.
    fn flush(&mut self, spool: &Spool) -> Result<(), SensorError> {
        self.since = None;
        self.payload_bytes = 0;
        let mut batch = std::mem::take(&mut self.batch);
        let losses = std::mem::take(&mut self.losses);
        let fold = std::mem::take(&mut self.fold);
        if batch.rows.is_empty() && losses.is_empty() && fold.is_empty() {
            return Ok(());
        }
        if !fold.is_empty() {
            return self.flush_fold(fold, losses, spool);
        }
        if let Some(row) = batch.rows.last() {
            self.shared.newest.fetch_max(row.ts.0, Ordering::Relaxed);
        }
        batch.sensor = self.shared.sensor.clone();
        self.force.hide_addresses(&mut batch);
        let new = NewBatch {
            schema: Some(SchemaId::PACKETS),
            rows: batch.rows.len() as u64,
            losses: losses.iter().map(|(reason, count)| (*reason, *count)).collect(),
            body: encode(&batch)?,
        };
        self.store(&new, losses, spool)
    }

    /// Stores sums: their rows take numbers, and the other packets in them are declared as folded.
    fn flush_fold(
        &mut self,
        fold: Fold,
        mut losses: BTreeMap<GapReason, u64>,
        spool: &Spool,
    ) -> Result<(), SensorError> {
        if let Some(newest) = fold.newest() {
            self.shared.newest.fetch_max(newest.0, Ordering::Relaxed);
        }
        let packets = fold.packets();
        let rows = fold.rows(&self.force);
        let folded = packets - rows.len() as u64;
        if folded > 0 {
            *losses.entry(GapReason::Folded).or_default() += folded;
        }
        let body = noroshi_wire::batch::encode(&noroshi_model::flow::record_batch(&self.shared.sensor, &rows));
        let new = NewBatch {
            schema: Some(SchemaId::FLOWS),
            rows: rows.len() as u64,
            losses: losses.iter().map(|(reason, count)| (*reason, *count)).collect(),
            body: body.map_err(|_| SensorError::Stopped("the encoder"))?,
        };
        self.store(&new, losses, spool)
    }

    fn store(&self, new: &NewBatch, losses: BTreeMap<GapReason, u64>, spool: &Spool) -> Result<(), SensorError> {
        loop {
            match spool.append(new) {
                Err(SpoolError::Full { .. }) if !self.shared.stop.load(Ordering::Relaxed) => {
                    tracing::warn!("the disk is full; waiting for space, nothing is lost yet");
                    std::thread::sleep(FULL_PAUSE);
                }
                other => break other.map(drop)?,
            }
        }
        let mut totals = self.shared.losses.lock().expect("no panic while held");
        losses.into_iter().for_each(|(reason, count)| *totals.entry(reason).or_default() += count);
        Ok(())
    }
}

fn encode(batch: &PacketBatch) -> Result<Vec<u8>, SensorError> {
    if batch.rows.is_empty() {
        return Ok(Vec::new());
    }
    let record_batch = noroshi_model::rows::packets_record_batch(batch);
    noroshi_wire::batch::encode(&record_batch).map_err(|_| SensorError::Stopped("the encoder"))
}
