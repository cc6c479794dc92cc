//! The sensor's side of its lure processes: starts them as the policy says, puts what they say under the policy, and
//! stores it.

use super::message::{Kept, Order, Place, Said, Tell, read};
use super::vault::Vault;
use super::{Kind, LureOptions, worker};
use crate::SensorError;
use crate::capture::Shared;
use crate::policy::InForce;
use crate::spool::{NewBatch, Spool, SpoolError};
use noroshi_model::Prefix;
use noroshi_model::lure::Lure;
use noroshi_model::request::{self, Request};
use noroshi_model::session::{self, Session};
use noroshi_model::stream::{GapReason, SchemaId};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::{broadcast, mpsc, watch};
use tokio_util::sync::CancellationToken;

/// Rows of one batch, at most.
const BATCH_ROWS: usize = 4_096;
/// Bytes of one batch of sessions, by their texts: with its lists doubled this stays below what the hub takes.
const BATCH_BYTES: usize = 1 << 20;
/// Rows wait for more no longer than this.
const BATCH_AGE: Duration = Duration::from_millis(50);
/// Pause before a full disk is tried again.
const FULL_PAUSE: Duration = Duration::from_millis(200);
/// First and longest pause before a lure process that died is started again.
const RESTART: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// A lure process that is told to end gets this long to deliver its dialogues.
const FAREWELL: Duration = Duration::from_secs(5);
/// Frames read ahead of what is stored.
const FRAMES: usize = 64;

/// How lure processes are started.
#[derive(Clone, Debug, Default)]
pub enum Program {
    /// This program with the argument that makes it one.
    #[default]
    Own,
    /// Another program.
    Other(PathBuf, Vec<OsString>),
    /// None: inside this process, with all its rights. For tests.
    Inside,
}

/// Where rows go.
pub struct Recorder {
    spool: Arc<Spool>,
    shared: Arc<Shared>,
    policy: watch::Receiver<Arc<InForce>>,
    vault: Mutex<Vault>,
}

/// Rows on their way to the spool.
#[derive(Default)]
struct Pending {
    requests: Vec<Request>,
    sessions: Vec<Session>,
    session_bytes: usize,
    losses: BTreeMap<GapReason, u64>,
}

impl Pending {
    fn is_empty(&self) -> bool {
        self.requests.is_empty() && self.sessions.is_empty() && self.losses.is_empty()
    }

    fn is_full(&self) -> bool {
        self.requests.len() >= BATCH_ROWS || self.sessions.len() >= BATCH_ROWS || self.session_bytes >= BATCH_BYTES
    }

    fn lost(&mut self, reason: GapReason, count: u64) {
        if count > 0 {
            *self.losses.entry(reason).or_default() += count;
        }
    }
}

impl Recorder {
    /// Into this spool, under this policy; files that visitors leave go into `vault`.
    pub fn new(
        spool: Arc<Spool>,
        shared: Arc<Shared>,
        policy: watch::Receiver<Arc<InForce>>,
        vault: &Path,
    ) -> Result<Arc<Recorder>, SensorError> {
        Ok(Arc::new(Recorder { spool, shared, policy, vault: Mutex::new(Vault::open(vault)?) }))
    }

    fn take_requests(&self, rows: Vec<Request>, pending: &mut Pending) {
        let force = self.policy.borrow().clone();
        for mut row in rows {
            if !force.monitors_address(row.dst) {
                pending.lost(GapReason::Filter, 1);
                continue;
            }
            row.sensor = self.shared.sensor.to_string();
            row.payload.truncate(usize::from(force.policy.payload_bytes));
            row.src = force.source(row.src);
            row.dst = force.destination(row.dst);
            if force.policy.payload_bytes == 0 {
                row.name.clear();
            }
            pending.requests.push(row);
        }
    }

    fn take_dialogue(&self, kept: Kept, pending: &mut Pending) {
        let force = self.policy.borrow().clone();
        let mut row = kept.session;
        if row.dst.is_some_and(|dst| !force.monitors_address(dst)) {
            pending.lost(GapReason::Filter, 1);
            return;
        }
        row.sensor = self.shared.sensor.to_string();
        row.origin = "noroshi".into();
        row.src = row.src.map(|src| force.source(src));
        row.dst = row.dst.map(|dst| force.destination(dst));
        if force.policy.payload_bytes == 0 {
            forget_texts(&mut row);
        } else {
            let mut vault = self.vault.lock().expect("no panic while held");
            if let Some(hash) = &row.recording {
                vault.keep(hash, ".cast", kept.recording.as_bytes());
            }
            kept.left.iter().for_each(|left| vault.keep(&left.hash, "", &left.content));
        }
        pending.session_bytes += size(&row);
        pending.sessions.push(row);
    }

    /// Stores what is pending; waits out a full disk, while the lure process waits in turn.
    async fn flush(&self, pending: &mut Pending) -> Result<(), SensorError> {
        if pending.is_empty() {
            return Ok(());
        }
        let Pending { requests, sessions, losses, .. } = std::mem::take(pending);
        let broken = |_| SensorError::Stopped("the encoder");
        let mut batches = Vec::new();
        if !requests.is_empty() {
            let body = noroshi_wire::batch::encode(&request::record_batch(&requests)).map_err(broken)?;
            batches.push((SchemaId::REQUESTS, requests.len() as u64, body));
        }
        if !sessions.is_empty() {
            let body = noroshi_wire::batch::encode(&session::record_batch(&sessions)).map_err(broken)?;
            batches.push((SchemaId::SESSIONS, sessions.len() as u64, body));
        }
        if batches.is_empty() {
            batches.push((SchemaId::NONE, 0, Vec::new()));
        }
        let mut declared: Vec<(GapReason, u64)> = losses.iter().map(|(reason, count)| (*reason, *count)).collect();
        for (schema, rows, body) in batches {
            let new = Arc::new(NewBatch { schema: Some(schema), rows, losses: std::mem::take(&mut declared), body });
            loop {
                let (spool, batch) = (self.spool.clone(), new.clone());
                let appended = tokio::task::spawn_blocking(move || spool.append(&batch)).await;
                match appended.map_err(|_| SensorError::Stopped("the spool"))? {
                    Err(SpoolError::Full { .. }) => {
                        tracing::warn!("the disk is full; waiting for space, nothing is lost yet");
                        tokio::time::sleep(FULL_PAUSE).await;
                    }
                    other => break other.map(drop)?,
                }
            }
        }
        let mut totals = self.shared.losses.lock().expect("no panic while held");
        losses.into_iter().for_each(|(reason, count)| *totals.entry(reason).or_default() += count);
        Ok(())
    }
}

fn size(row: &Session) -> usize {
    let lists = [&row.credentials, &row.commands, &row.urls, &row.hashes];
    row.steps.len() + lists.into_iter().flatten().map(|text| text.len() + 4).sum::<usize>()
}

/// Texts that a visitor sent are payload. A policy without payload keeps the parties, times, counts and hashes; any other
/// keeps texts whole, because half a command or password says something else than the whole.
fn forget_texts(row: &mut Session) {
    [&mut row.credentials, &mut row.commands, &mut row.urls].into_iter().for_each(Vec::clear);
    row.client = None;
    row.steps = "[]".into();
    row.recording = None;
    row.truncated = true;
}

/// Keeps one lure process: the one for dialogues, or the one for datagrams.
pub struct Keeper {
    /// What the host allows.
    pub options: LureOptions,
    /// Which process.
    pub kind: Kind,
    /// Seed of the persona.
    pub seed: u64,
    /// The policy in force.
    pub policy: watch::Receiver<Arc<InForce>>,
    /// Mutes from the hub.
    pub mutes: broadcast::Receiver<Tell>,
    /// Where rows go.
    pub recorder: Arc<Recorder>,
    /// Which lures run, for reports.
    pub running: Arc<Mutex<BTreeMap<Kind, Vec<Place>>>>,
    /// Ends it; dialogues under way are delivered first.
    pub stop: CancellationToken,
}

/// Why a lure process is no more.
enum Ended {
    /// The policy wants another one, or none, or the sensor ends.
    Wanted,
    /// By itself.
    Died(String),
}

/// What one lure process is ordered to be; it is replaced when this changes.
#[derive(PartialEq)]
struct Wish {
    places: Vec<Place>,
    device: Option<(String, Option<Vec<Prefix>>)>,
    bytes: u32,
    payload_bytes: u16,
}

impl Keeper {
    /// Runs until `stop`, or until the spool fails.
    pub async fn run(mut self) -> Result<(), SensorError> {
        let mut pause = RESTART.0;
        while !self.stop.is_cancelled() {
            let wish = self.wish();
            if wish.places.is_empty() && wish.device.is_none() {
                tokio::select! {
                    changed = self.policy.changed() => if changed.is_err() { return Ok(()) },
                    () = self.stop.cancelled() => {}
                }
                continue;
            }
            let begun = tokio::time::Instant::now();
            let ended = self.keep(&wish).await?;
            self.running.lock().expect("no panic while held").remove(&self.kind);
            if let Ended::Died(reason) = ended {
                if begun.elapsed() > RESTART.1 {
                    pause = RESTART.0;
                }
                tracing::warn!(reason, seconds = pause.as_secs(), "a lure process ended; it is started again");
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    () = self.stop.cancelled() => {}
                }
                pause = (pause * 2).min(RESTART.1);
            }
        }
        Ok(())
    }

    fn wish(&self) -> Wish {
        let force = self.policy.borrow();
        // Before the hub has spoken there is one hand only.
        let allowed = if force.revision == 0 { &[][..] } else { &force.policy.lures[..] };
        let ours = |place: &&Place| Kind::of(place.lure) == self.kind && allowed.contains(&place.lure);
        let device =
            self.options.device.clone().filter(|_| self.kind == Kind::Segments && allowed.contains(&Lure::Tcp));
        Wish {
            places: self.options.places.iter().filter(ours).copied().collect(),
            device: device.map(|name| (name, force.policy.prefixes.clone())),
            bytes: force.policy.lure_bytes,
            payload_bytes: force.policy.payload_bytes,
        }
    }

    fn order(&self, wish: &Wish) -> Order {
        let mut bounds = self.options.bounds;
        bounds.second_bytes = bounds.second_bytes.min(u64::from(wish.bytes));
        Order {
            seed: self.seed,
            persona: self.options.persona.clone(),
            places: wish.places.clone(),
            device: wish.device.clone(),
            bounds,
            limits: self.options.limits,
            payload_bytes: usize::from(wish.payload_bytes),
            user: self.options.user.clone(),
        }
    }

    async fn keep(&mut self, wish: &Wish) -> Result<Ended, SensorError> {
        let order = self.order(wish);
        let (program, arguments) = match &self.options.program {
            Program::Inside => {
                let ((ours, theirs), (read, write)) = (tokio::io::duplex(1 << 20), tokio::io::duplex(1 << 20));
                let bound = match worker::bind(&order) {
                    Ok(bound) => bound,
                    Err(reason) => return Ok(Ended::Died(reason)),
                };
                let inside = tokio::spawn(worker::serve(bound, "not confined".into(), theirs, write));
                let ended = self.converse(wish, ours, read).await;
                inside.abort();
                return ended;
            }
            Program::Own => own()?,
            Program::Other(program, arguments) => (program.clone(), arguments.clone()),
        };
        let started = tokio::process::Command::new(&program)
            .args(&arguments)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn();
        let mut child = match started {
            Ok(child) => child,
            Err(error) => return Ok(Ended::Died(format!("{} does not start: {error}", program.display()))),
        };
        let (Some(mut input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Ok(Ended::Died("no pipes".into()));
        };
        let mut line = serde_json::to_vec(&order).expect("numbers and text");
        line.push(b'\n');
        if let Err(error) = input.write_all(&line).await {
            return Ok(Ended::Died(error.to_string()));
        }
        let ended = self.converse(wish, input, output).await;
        drop(tokio::time::timeout(FAREWELL, child.wait()).await);
        ended
    }

    /// Stores what a lure process says until it ends or the wish changes.
    async fn converse(
        &mut self,
        wish: &Wish,
        input: impl AsyncWrite + Unpin,
        output: impl AsyncRead + Unpin + Send + 'static,
    ) -> Result<Ended, SensorError> {
        let (frames, mut said) = mpsc::channel(FRAMES);
        let reader = tokio::spawn(async move {
            let mut output = output;
            loop {
                let frame = read(&mut output).await;
                let last = !matches!(frame, Ok(Some(_)));
                if frames.send(frame).await.is_err() || last {
                    return;
                }
            }
        });
        let _reader = AbortOnDrop(reader);
        let mut input = Some(input);
        let (mut pending, mut due, mut lost) = (Pending::default(), None, 0);
        let mut farewell = None;
        let mut outcome = Ended::Died("it went away".into());
        loop {
            let age = async |at: Option<tokio::time::Instant>| match at {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            };
            tokio::select! {
                frame = said.recv() => match frame {
                    Some(Ok(Some(frame))) => match frame {
                        Said::Failed(reason) => outcome = Ended::Died(reason),
                        Said::Ready { places, confined } => self.ready(places, &confined),
                        Said::Requests(rows) => self.recorder.take_requests(rows, &mut pending),
                        Said::Dialogue(kept) => self.recorder.take_dialogue(*kept, &mut pending),
                        Said::Lost(total) => {
                            pending.lost(GapReason::Ring, total.saturating_sub(lost));
                            lost = total.max(lost);
                        }
                    },
                    Some(Err(error)) => {
                        outcome = Ended::Died(error.to_string());
                        break;
                    }
                    _ => break,
                },
                () = age(due) => self.recorder.flush(&mut pending).await?,
                () = age(farewell) => break,
                changed = self.policy.changed(), if farewell.is_none() => {
                    if changed.is_err() || self.wish() != *wish {
                        farewell = Some(tokio::time::Instant::now() + FAREWELL);
                    }
                }
                () = self.stop.cancelled(), if farewell.is_none() => {
                    farewell = Some(tokio::time::Instant::now() + FAREWELL);
                }
                tell = self.mutes.recv() => if let (Ok(tell), Some(input)) = (tell, input.as_mut()) {
                    let mut line = serde_json::to_vec(&tell).expect("numbers and text");
                    line.push(b'\n');
                    // A process that is gone is noticed where its frames end.
                    drop(input.write_all(&line).await);
                    drop(input.flush().await);
                },
            }
            if farewell.is_some() && input.take().is_some() {
                outcome = Ended::Wanted;
            }
            if pending.is_full() {
                self.recorder.flush(&mut pending).await?;
            }
            due = (!pending.is_empty()).then(|| due.unwrap_or_else(|| tokio::time::Instant::now() + BATCH_AGE));
        }
        self.recorder.flush(&mut pending).await?;
        Ok(outcome)
    }

    fn ready(&self, places: Vec<Place>, confined: &str) {
        // What a lure process says is foreign: only places it was told of are believed.
        let known =
            |place: &Place| place.lure == Lure::Tcp || self.options.places.iter().any(|ours| ours.lure == place.lure);
        let places: Vec<Place> = places.into_iter().filter(known).collect();
        let confined: String = confined.chars().filter(|c| !c.is_control()).take(200).collect();
        for place in &places {
            tracing::info!(confined, "{} on {}", place.lure, place.listen);
        }
        self.running.lock().expect("no panic while held").insert(self.kind, places);
    }
}

struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// This program, and what makes it a lure process.
fn own() -> Result<(PathBuf, Vec<OsString>), SensorError> {
    let program = std::env::current_exe().map_err(|_| SensorError::Stopped("the path of this program"))?;
    let within = std::env::args_os().nth(1).filter(|first| first == "sensor");
    Ok((program, within.into_iter().chain(["lure-process".into()]).collect()))
}
