//! The detectors over everything since the beginning of their era, looked at every few seconds.
//!
//! A look finishes a copy of the engine, so that the engine itself goes on as in a run over the same packets at once:
//! the findings at the end of an era are those of such a run. Eras end when the journal would have to keep too much.
//! What the demo's sensor replays has detectors of its own, so that neither colours the other.

use super::decode::{Streams, plausible};
use super::ledger::{Ledger, News, campaign_members};
use super::tail::{position, row_of};
use super::{Said, System};
use crate::portal::SAMPLE_SENSOR;
use crate::services::{Context, ServiceResult};
use noroshi_detect::Engine;
use noroshi_detect::engine::Findings;
use noroshi_model::packet::Has;
use noroshi_model::time::Clock;
use noroshi_model::{Nanos, Prefix};
use noroshi_share::gate::Gate;
use noroshi_share::outbox::Outbox;
use noroshi_store::journal::{Hold, JournalRow};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// Key under which is kept where the era began.
const ERA: &str = "position/era";
/// Bytes of the journal that are read at once.
const STEP_BYTES: usize = 4 << 20;
/// Shortest pause between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// After a look the detectors rest so many times longer than it took, so that looking takes at most a fifth of a core.
const REST: u32 = 4;
/// Scans that are told of, the largest first.
pub const SCANS: usize = 10_000;
/// Pause after an error.
const RETRY: Duration = Duration::from_secs(1);

/// The detectors since the beginning of their era.
pub struct Era {
    engine: Engine,
    streams: Streams,
    bytes: u64,
    /// The latest packet.
    latest: Nanos,
}

/// Detectors over what was observed, and over what is replayed as a sample.
struct Eras([Era; 2]);

impl Eras {
    fn bytes(&self) -> u64 {
        self.0.iter().map(|era| era.bytes).sum()
    }

    fn latest(&self) -> Nanos {
        self.0[0].latest.max(self.0[1].latest)
    }

    fn observe(&mut self, rows: &[JournalRow], now: Nanos) {
        for (index, era) in self.0.iter_mut().enumerate() {
            era.observe(rows.iter().filter(|row| usize::from(row.sensor == SAMPLE_SENSOR) == index), now);
        }
    }

    fn look(&self) -> [Findings; 2] {
        // A copy of detectors that have seen nothing would cost as much as one of those that have.
        self.0.each_ref().map(|era| if era.bytes == 0 { Findings::default() } else { era.look() })
    }
}

/// What is told of both: recipients and tables know findings, not whose packets they are from.
fn together(found: &[Findings; 2]) -> Findings {
    let [observed, sample] = found;
    let mut all = observed.clone();
    all.monitored.extend(sample.monitored.iter().copied());
    all.approximate |= sample.approximate;
    all.totals.scans += sample.totals.scans;
    all.scans.extend(sample.scans.iter().cloned());
    all.campaigns.extend(sample.campaigns.iter().cloned());
    all.attacks.extend(sample.attacks.iter().cloned());
    all
}

pub struct Look {
    context: Context,
    hold: Hold,
    gate: Arc<Gate>,
    ledger: Ledger,
    /// Works on one thread, so that a look never takes the cores that take packets in.
    pool: Arc<rayon::ThreadPool>,
    row: i64,
}

impl Era {
    /// Detectors that have seen nothing, of this observed space; empty when it is inferred.
    pub fn new(monitored: Vec<Prefix>) -> Self {
        let engine = Engine::new(noroshi_detect::Config { monitored, ..noroshi_detect::Config::default() });
        Era { engine, streams: Streams::default(), bytes: 0, latest: Nanos(i64::MIN) }
    }

    /// Everything found so far; the detectors go on as if nobody had looked.
    pub fn look(&self) -> Findings {
        self.engine.clone().finish(SCANS)
    }

    /// The latest packet.
    pub fn latest(&self) -> Nanos {
        self.latest
    }

    /// Takes in journal rows, in their order.
    pub fn observe<'a>(&mut self, rows: impl IntoIterator<Item = &'a JournalRow>, now: Nanos) {
        for row in rows {
            self.bytes += row.bytes.len() as u64;
            for mut batch in self.streams.packets(row) {
                plausible(&mut batch, now);
                let times = batch.rows.iter().filter(|row| row.has.has(Has::TIME)).map(|row| row.ts);
                self.latest = times.max().map_or(self.latest, |latest| latest.max(self.latest));
                self.engine.observe(batch);
            }
        }
    }
}

impl Look {
    pub async fn open(
        context: Context,
        outbox: Outbox,
        hold: Hold,
        gate: Arc<Gate>,
    ) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let mut ledger = Ledger::new(context.config.warning.again_seconds);
        let stored = outbox.stored().await?;
        let began = stored.kept.iter().find(|(key, _)| key == ERA);
        let row = began.and_then(|(_, text)| row_of(&context, text)).unwrap_or(0);
        hold.release_through(row);
        ledger.restore(stored.kept.iter().map(|(key, value)| (key.as_str(), value.as_str())))?;
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).thread_name(|_| "detectors".into()).build()?;
        Ok(Look { context, hold, gate, ledger, pool: Arc::new(pool), row })
    }

    pub async fn run(mut self) -> ServiceResult {
        let mut durable = self.context.journal.subscribe();
        let mut era = self.eras();
        let (mut looked, mut pause, mut fresh) = (Instant::now(), LOOK_EVERY, false);
        while !self.context.stop.is_cancelled() {
            let rows = match self.context.journal.read_after(self.row, STEP_BYTES).await {
                Ok(rows) => rows,
                Err(error) => {
                    tracing::warn!(%error, "the detectors cannot read the journal");
                    tokio::time::sleep(RETRY).await;
                    continue;
                }
            };
            let more = !rows.is_empty();
            if let Some(newest) = rows.last().map(|row| row.row) {
                era = self
                    .work(move || {
                        era.observe(&rows, System.now());
                        era
                    })
                    .await?;
                (self.row, fresh) = (newest, true);
            }
            let full = era.bytes() >= self.context.config.warning.era_bytes;
            if fresh && (full || looked.elapsed() >= pause) {
                let began = Instant::now();
                (era, fresh) = self.look(era, full).await?;
                (looked, pause) = (Instant::now(), LOOK_EVERY.max(began.elapsed() * REST));
            }
            if more {
                continue;
            }
            tokio::select! {
                () = self.context.stop.cancelled() => {}
                changed = durable.changed() => if changed.is_err() { return Ok(()) },
                () = tokio::time::sleep(pause.saturating_sub(looked.elapsed())), if fresh => {}
            }
        }
        Ok(())
    }

    fn eras(&self) -> Eras {
        Eras([Era::new(self.context.config.warning.observed.clone()), Era::new(Vec::new())])
    }

    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, tokio::task::JoinError> {
        let pool = self.pool.clone();
        tokio::task::spawn_blocking(move || pool.install(work)).await
    }

    /// Looks at what was found, and tells what is new of it; gives the era to go on with, and whether something is still
    /// to be told.
    async fn look(&mut self, era: Eras, last: bool) -> Result<(Eras, bool), Box<dyn std::error::Error + Send + Sync>> {
        let latest = era.latest();
        let (era, found) = self
            .work(move || {
                let found = era.look();
                (era, found)
            })
            .await?;
        let all = together(&found);
        self.context.found.send_replace(Some(Arc::new(found)));
        let found = all;
        self.gate.learn(found.monitored.clone(), Vec::new());
        let before = self.ledger.clone();
        let news = self.ledger.look(&found, latest, System.now(), last);
        let untold = news.untold;
        if !self.tell(&found, news, last).await {
            // The tail stops, or starts anew after an error; the next look finds the same again.
            self.ledger = before;
            return Ok((era, true));
        }
        Ok((if last { self.eras() } else { era }, untold))
    }

    /// True once it is durable.
    async fn tell(&mut self, found: &Findings, mut news: News, last: bool) -> bool {
        let members = campaign_members(found);
        if last {
            news.kept.push((ERA.to_owned(), Some(position(&self.context, self.row))));
        }
        let (done, answer) = oneshot::channel();
        let said = Said {
            attacks: news.attacks,
            campaign_members: Some(members),
            statements: Vec::new(),
            rows: news.rows,
            kept: news.kept,
            done,
        };
        if self.context.desk.send(said).await.is_err() || answer.await.is_err() {
            return false;
        }
        if last {
            self.hold.release_through(self.row);
        }
        true
    }
}
