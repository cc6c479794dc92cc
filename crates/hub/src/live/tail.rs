//! The journal's newest rows through the watch and the desk, one transaction for each handful.

use super::decode::{Streams, plausible};
use super::lures::{Lures, LuresError};
use super::{Said, System};
use crate::services::{Context, ServiceResult};
use crate::warning::{Warner, WarningError};
use noroshi_alert::config::Config as Members;
use noroshi_model::time::Clock;
use noroshi_share::outbox::{Outbox, OutboxError};
use noroshi_store::journal::{Hold, JournalError, JournalRow};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc};

/// Name under which the outbox keeps how far the tail has come.
pub const READER: &str = "journal";
/// Bytes of the journal that are decided about in one transaction.
const STEP_BYTES: usize = 2 << 20;
/// Digests and ends of incidents are looked for so often.
const TICK: Duration = Duration::from_secs(1);
/// Pause after an error.
const RETRY: Duration = Duration::from_secs(1);

pub struct Tail {
    pub context: Context,
    pub members: Members,
    pub outbox: Outbox,
    pub hold: Hold,
    /// Keeps the rows since the checkpoint of the detectors over requests.
    pub lures_hold: Hold,
    pub inbox: mpsc::Receiver<Said>,
    pub news: Arc<Notify>,
}

/// Why a step did not become durable.
#[derive(Debug, thiserror::Error)]
enum StepError {
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Warning(#[from] WarningError),
    #[error("looking at packets failed: {0}")]
    Panic(#[from] tokio::task::JoinError),
}

/// What decides: over packets and what others say, and over requests at lures.
type Deciding = (Warner, Lures);

/// A position in the journal as text: which journal, which row.
pub fn position(context: &Context, row: i64) -> String {
    format!("{}:{row}", context.journal.id())
}

/// The row of a stored position; 0 when it is of another journal.
pub async fn stored_row(context: &Context, outbox: &Outbox, reader: &str) -> Result<i64, OutboxError> {
    let stored = outbox.cursor(reader).await?;
    Ok(stored.and_then(|text| row_of(context, &text)).unwrap_or(0))
}

/// The row of a position; none when it is of another journal.
pub fn row_of(context: &Context, position: &str) -> Option<i64> {
    let (_, row) = position.split_once(':').filter(|(id, _)| *id == context.journal.id())?;
    row.parse().ok()
}

impl Tail {
    pub async fn run(mut self, warner: Warner) -> ServiceResult {
        let mut durable = self.context.journal.subscribe();
        let mut row = stored_row(&self.context, &self.outbox, READER).await?;
        self.hold.release_through(row);
        let mut desk = Some(self.with_lures(warner, row).await?);
        loop {
            if self.context.stop.is_cancelled() {
                return Ok(());
            }
            // After an error what was decided in memory is not what is stored: everything is taken up from there.
            let ready = match desk.take() {
                Some(desk) => desk,
                None => {
                    row = stored_row(&self.context, &self.outbox, READER).await?;
                    let observed = self.context.config.warning.observed.clone();
                    let warner = Warner::open(&self.members, observed, self.outbox.clone()).await?.recording();
                    self.with_lures(warner, row).await?
                }
            };
            match self.step(ready, &mut row).await {
                Ok((back, true)) => desk = Some(back),
                Ok(((warner, lures), false)) => {
                    let mut warner = Some(warner);
                    let context = self.context.clone();
                    tokio::select! {
                        () = context.stop.cancelled() => return Ok(()),
                        changed = durable.changed() => if changed.is_err() { return Ok(()) },
                        said = self.inbox.recv() => warner = self.answer(warner, said).await,
                        () = tokio::time::sleep(TICK) => {}
                    }
                    desk = warner.map(|warner| (warner, lures));
                }
                Err(error) => {
                    tracing::error!(%error, "warnings wait; nothing is lost");
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    }

    async fn with_lures(&self, mut warner: Warner, row: i64) -> Result<Deciding, LuresError> {
        let lures = Lures::open(&self.context, &self.outbox, &self.lures_hold, row, &mut warner).await?;
        Ok((warner, lures))
    }

    async fn answer(&mut self, warner: Option<Warner>, said: Option<Said>) -> Option<Warner> {
        let (mut warner, mut said) = (warner?, said?);
        let now = System.now();
        if let Some(members) = said.campaign_members.take() {
            warner.campaign_members(members);
        }
        warner.attacks_at(&said.attacks, now);
        said.statements.iter().for_each(|statement| warner.hear_at(statement, now));
        warner.keep(said.kept);
        warner.tell_lake(said.rows);
        match warner.commit(now, None).await {
            Ok(committed) => {
                if !committed.alerts.is_empty() {
                    self.news.notify_one();
                }
                // Nobody waits for the answer any more: it is durable all the same.
                said.done.send(()).ok();
                Some(warner)
            }
            Err(error) => {
                tracing::error!(%error, "what was said to the desk is not kept; whoever said it is told so");
                None
            }
        }
    }

    /// Decides about what came and what is due; false when the journal had nothing new.
    async fn step(&mut self, (warner, lures): Deciding, row: &mut i64) -> Result<(Deciding, bool), StepError> {
        let (mut warner, mut lures) = (warner, lures);
        let rows = self.context.journal.read_after(*row, STEP_BYTES).await?;
        let newest = rows.last().map(|row| row.row);
        if !rows.is_empty() {
            (warner, lures) = tokio::task::spawn_blocking(move || observe(warner, lures, rows)).await?;
        }
        let now = System.now();
        let reached = newest.unwrap_or(*row);
        lures.pass(reached, now, &mut warner);
        lures.tell(&self.context, &mut warner, now);
        warner.tick(now);
        if newest.is_none() && !warner.changed() {
            return Ok(((warner, lures), false));
        }
        let checkpoint = lures.checkpoint(&self.context, reached, &warner);
        let checked = checkpoint.is_some();
        warner.keep(checkpoint.into_iter().flatten());
        let at = newest.map(|row| (READER, position(&self.context, row)));
        let committed = warner.commit(now, at).await?;
        if !committed.alerts.is_empty() {
            self.news.notify_one();
        }
        self.context.desk.publish(warner.precursors());
        *row = reached;
        self.hold.release_through(reached);
        if checked {
            self.lures_hold.release_through(reached);
        }
        Ok(((warner, lures), newest.is_some()))
    }
}

fn observe(mut warner: Warner, mut lures: Lures, rows: Vec<JournalRow>) -> Deciding {
    let now = System.now();
    let mut streams = Streams::default();
    for row in &rows {
        for mut batch in streams.packets(row) {
            plausible(&mut batch, now);
            warner.observe_at(&batch, now);
        }
        let requests = lures.observe(row, now);
        warner.requests_at(&requests, now);
    }
    (warner, lures)
}
