//! Requests at lures as soon as they are durable: attacks on others, and towards whom all lures fall silent.
//!
//! The detectors take every request in the order of the journal and are moved on by the requests' own time, so that the
//! same journal gives the same findings. Only when nothing arrives does the clock on the wall move them, and each such
//! move is kept. From a checkpoint, the rows after it and these moves the state is taken up again exactly.

use super::System;
use super::decode::{Streams, plausible};
use super::ledger::Telling;
use super::tail::{position, row_of};
use crate::services::Context;
use crate::warning::Warner;
use arrow_ipc::reader::StreamReader;
use noroshi_alert::precursor::Precursors;
use noroshi_detect::ddos::mute::{MUTE_SECONDS, Mutes};
use noroshi_detect::ddos::requests::{Found, Limits, RequestAttack, Requests};
use noroshi_model::finding::Attack;
use noroshi_model::request::{Request, requests};
use noroshi_model::stream::SchemaId;
use noroshi_model::time::{Clock, SECOND};
use noroshi_model::{Nanos, Prefix};
use noroshi_share::outbox::{Outbox, OutboxError};
use noroshi_store::JournalRow;
use noroshi_store::journal::{Hold, JournalError};
use serde::{Deserialize, Serialize};

/// Key of the checkpoint: a position and the state there, also that of the detector of small tests before large attacks.
const STATE: &str = "requests/state";
/// Key of the moves by the clock on the wall since the checkpoint.
const MOVES: &str = "requests/moves";
/// Journal bytes between two checkpoints. Larger: a start after a crash reads more, a busy hub writes less.
const CHECKPOINT_BYTES: u64 = 64 << 20;
/// Moves after which there is a checkpoint although little arrived: half a day of silence.
const MOVES_MAX: usize = 720;
/// The detectors are moved on once in so many seconds of the requests' time, or of silence.
const ADVANCE_SECONDS: i64 = 60;
/// Journal bytes read at once when the state is taken up again.
const STEP_BYTES: usize = 4 << 20;
/// A request that claims to be from so far in the future (seconds) comes from a clock that is not to be believed.
const FUTURE_SECONDS: i64 = 3_600;

/// Why the state was not taken up.
#[derive(Debug, thiserror::Error)]
pub enum LuresError {
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The outbox.
    #[error(transparent)]
    Outbox(#[from] OutboxError),
    /// What is stored does not read back.
    #[error("the stored state of the detectors over requests cannot be read: {0}")]
    State(#[from] serde_json::Error),
}

/// Requests of one journal row; none when it is of another table or its bytes are damaged.
pub fn requests_of(row: &JournalRow) -> Vec<Request> {
    if row.schema != SchemaId::REQUESTS || row.damaged || row.bytes.is_empty() {
        return Vec::new();
    }
    let Ok(batches) = StreamReader::try_new(&row.bytes[..], None) else { return Vec::new() };
    let read = batches.filter_map(|batch| requests(&batch.ok()?).ok());
    // Who asked is known from the certificate, not from what the rows say.
    read.flatten().map(|request| Request { sensor: row.sensor.clone(), ..request }).collect()
}

/// The time of detectors that have seen nothing.
const NOTHING: Nanos = Nanos(0);

/// Detectors over requests, moved on by the requests' own time.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RequestWatch {
    engine: Requests,
    mutes: Mutes,
    advanced: Nanos,
}

impl Default for RequestWatch {
    fn default() -> Self {
        let engine = Requests::new(Limits::default());
        RequestWatch { engine, mutes: Mutes::default(), advanced: NOTHING }
    }
}

/// What was noticed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Noticed {
    /// Attacks that began, grew or ended.
    pub found: Vec<Found>,
    /// Networks to mute, and until when.
    pub mutes: Vec<(Prefix, Nanos)>,
}

impl RequestWatch {
    /// Takes a request, in the order of the journal.
    pub fn take(&mut self, request: &Request, noticed: &mut Noticed) {
        if self.advanced == NOTHING {
            self.advanced = request.ts;
        }
        if request.ts.0.saturating_sub(self.advanced.0) >= ADVANCE_SECONDS * SECOND {
            self.advance(request.ts, noticed);
        }
        let until = Nanos(request.ts.0.saturating_add(i64::from(MUTE_SECONDS) * SECOND));
        noticed.mutes.extend(self.mutes.push(request).map(|network| (network, until)));
        noticed.found.extend(self.engine.push(request));
    }

    /// Time passes: what is over is told of.
    pub fn advance(&mut self, now: Nanos, noticed: &mut Noticed) {
        self.advanced = self.advanced.max(now);
        noticed.found.extend(self.engine.advance(self.advanced));
    }

    /// The end of the data.
    pub fn finish(&mut self) -> Vec<Found> {
        self.engine.finish()
    }
}

/// The same for every telling of one attack.
fn id(attack: &RequestAttack) -> String {
    let found = &attack.attack;
    format!("requests-{}-{}-{}-{}-{}", attack.rule, found.kind, found.vector, found.victim, attack.began.0)
}

#[derive(Serialize, Deserialize)]
struct Checkpoint {
    position: String,
    /// None when no request was seen.
    watch: Option<RequestWatch>,
    precursors: Precursors,
}

/// The detectors in their place beside the watch over packets.
pub struct Lures {
    watch: RequestWatch,
    /// Moves by the clock on the wall since the checkpoint: after which row, to when.
    moves: Vec<(i64, Nanos)>,
    bytes: u64,
    /// When the last requests came, by the clock on the wall; silence counts from there.
    moved_at: Nanos,
    noticed: Noticed,
}

impl Lures {
    /// Takes up the state as it was after `row`. `hold` keeps the rows that are needed for that.
    pub async fn open(
        context: &Context,
        outbox: &Outbox,
        hold: &Hold,
        row: i64,
        warner: &mut Warner,
    ) -> Result<Self, LuresError> {
        let now = System.now();
        let stored = outbox.stored().await?.kept;
        let text = |wanted: &str| stored.iter().find(|(key, _)| key == wanted).map(|(_, text)| text.as_str());
        let checkpoint: Option<Checkpoint> = text(STATE).map(serde_json::from_str).transpose()?;
        let (mut at, mut watch, mut streams) = (0, RequestWatch::default(), Streams::default());
        if let Some(known) = checkpoint
            && let Some(row) = row_of(context, &known.position)
        {
            (at, watch) = (row, known.watch.unwrap_or_default());
            warner.resume(known.precursors);
        }
        let moves: Vec<(i64, Nanos)> = text(MOVES).map(serde_json::from_str).transpose()?.unwrap_or_default();
        hold.release_through(at);
        let mut lures = Lures { watch, moves: Vec::new(), bytes: 0, moved_at: now, noticed: Noticed::default() };
        let mut due = moves.into_iter().peekable();
        while at < row {
            let rows = context.journal.read_after(at, STEP_BYTES).await?;
            let Some(last) = rows.last().map(|row| row.row) else { break };
            for next in rows.iter().filter(|next| next.row <= row) {
                while let Some((after, to)) = due.next_if(|(after, _)| *after < next.row) {
                    lures.advance(after, to);
                }
                let requests = lures.observe(next, now);
                warner.recall_requests(&requests);
                for mut batch in streams.packets(next) {
                    plausible(&mut batch, now);
                    warner.recall(&batch);
                }
            }
            at = last;
        }
        for (after, to) in due {
            lures.advance(after, to);
        }
        // All of this was told before; only silence towards networks is not kept by the fleet.
        let mutes = std::mem::take(&mut lures.noticed).mutes;
        mute(context, mutes, now);
        mute(context, lures.watch.mutes.muted(now), now);
        Ok(lures)
    }

    /// Looks at one row; gives its requests, but for those that no clock can be right about.
    pub fn observe(&mut self, row: &JournalRow, now: Nanos) -> Vec<Request> {
        self.bytes += row.bytes.len() as u64;
        let latest = Nanos(now.0.saturating_add(FUTURE_SECONDS * SECOND));
        let mut requests = requests_of(row);
        requests.retain(|request| request.ts <= latest);
        for request in &requests {
            self.watch.take(request, &mut self.noticed);
            self.moved_at = now;
        }
        requests
    }

    fn advance(&mut self, after: i64, to: Nanos) {
        self.watch.advance(to, &mut self.noticed);
        self.moves.push((after, to));
    }

    /// Nothing arrived: attacks that are over are closed, as long after the last request as it is now after its arrival.
    pub fn pass(&mut self, row: i64, now: Nanos, warner: &mut Warner) {
        let silent = now.0.saturating_sub(self.moved_at.0);
        if silent < ADVANCE_SECONDS * SECOND || self.watch.engine.is_idle() {
            return;
        }
        self.moved_at = now;
        self.advance(row, Nanos(self.watch.advanced.0.saturating_add(silent)));
        // Plain data: it always has a JSON form.
        warner.keep(serde_json::to_string(&self.moves).ok().map(|text| (MOVES.to_owned(), Some(text))));
    }

    /// Tells what was noticed to desk, lake and fleet.
    pub fn tell(&mut self, context: &Context, warner: &mut Warner, now: Nanos) {
        let noticed = std::mem::take(&mut self.noticed);
        mute(context, noticed.mutes, now);
        for found in noticed.found {
            let (attack, closed) = match found {
                Found::Began(attack) | Found::Grew(attack) => (attack, false),
                Found::Ended(attack) => (attack, true),
                Found::Scanner(_) => continue,
            };
            let telling = Telling { at: now, id: id(&attack), closed, finding: &attack.attack };
            warner.tell_lake(serde_json::to_string(&telling).ok().map(|row| ("attacks", row)));
            // That it ended is for the lake: incidents close when nobody says anything any more.
            if !closed {
                warner.attacks_at(std::slice::from_ref::<Attack>(&attack.attack), now);
            }
        }
    }

    /// What is to be stored for a state at `row`, when it is time.
    pub fn checkpoint(
        &mut self,
        context: &Context,
        row: i64,
        warner: &Warner,
    ) -> Option<Vec<(String, Option<String>)>> {
        if self.bytes < CHECKPOINT_BYTES && self.moves.len() < MOVES_MAX {
            return None;
        }
        (self.bytes, self.moves) = (0, Vec::new());
        let watch = (self.watch.advanced != NOTHING).then(|| self.watch.clone());
        let (position, precursors) = (position(context, row), warner.precursors().clone());
        let state = Checkpoint { position, watch, precursors };
        let text = serde_json::to_string(&state).ok()?;
        Some(vec![(STATE.to_owned(), Some(text)), (MOVES.to_owned(), None)])
    }
}

/// Silence towards networks, for as long as it still makes sense.
fn mute(context: &Context, mutes: Vec<(Prefix, Nanos)>, now: Nanos) {
    for (network, until) in mutes {
        let left = (until.0.saturating_sub(now.0) + SECOND - 1) / SECOND;
        if left > 0 {
            tracing::info!(%network, "asked for on several sensors; all lures are silent towards it");
            context.fleet.mute(network, u32::try_from(left).unwrap_or(MUTE_SECONDS).min(MUTE_SECONDS));
        }
    }
}
