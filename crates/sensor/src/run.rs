//! A running sensor: capture thread, uplink, and an end when there is one.

use crate::capture;
use crate::enrol::now_nanos;
use crate::lure::message::Tell;
use crate::lure::{Keeper, Kind, LureOptions, Place, Recorder};
use crate::policy::{InForce, pseudonyms};
use crate::source::{Quiet, Replay, ReplayPlan, Source};
use crate::spool::Spool;
use crate::state::StateDir;
use crate::uplink::Uplink;
use crate::{SensorError, ceiling};
use noroshi_model::policy::Policy;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::{broadcast, oneshot, watch};
use tokio_util::sync::CancellationToken;

/// How often a waiting capture thread looks whether the hub has spoken.
const FIRST_POLICY_POLL: Duration = Duration::from_millis(20);

/// Mutes that wait for a lure process; one that falls behind misses the oldest.
const MUTES: usize = 1_024;

/// What to run.
pub struct RunOptions {
    /// The state folder.
    pub state: PathBuf,
    /// Where packets come from.
    pub source: SourceOptions,
    /// The host's ceiling file.
    pub ceiling: Option<PathBuf>,
    /// Go on when a replay has ended.
    pub stay: bool,
    /// What lures may be; nothing runs unless the policy names it too.
    pub lures: LureOptions,
}

/// Where packets come from.
pub enum SourceOptions {
    /// A source that is open already: interfaces are opened before privileges are given up.
    Open(Box<dyn Source>),
    /// Nothing is captured: a sensor of lures only.
    Nothing,
    /// Capture files.
    Replay {
        /// Files or folders.
        paths: Vec<PathBuf>,
        /// Multiple of their own pace; `None` is as fast as possible.
        speed: Option<f64>,
        /// How capture times are moved.
        retime: Retime,
        /// From the start, even if this replay was done before.
        again: bool,
        /// After the end, these go round for ever at their own pace, moved to the present.
        then: Vec<PathBuf>,
    },
}

/// How capture times are moved.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Retime {
    /// Not at all.
    Keep,
    /// So that the first packet is now.
    FirstIsNow,
    /// So that the latest packet is now.
    LastIsNow,
}

/// What a run did, for people.
#[derive(Clone, Copy, Debug)]
pub struct Summary {
    /// Records this stream has numbered.
    pub produced: u64,
    /// Of those, how many the hub has.
    pub acknowledged: u64,
    /// Seconds from the start of this run to the hub's first acknowledgement.
    pub first_ack_seconds: Option<f64>,
}

/// Runs until the replay is delivered, `stop` is asked for, or something that waiting cannot cure.
pub async fn run(options: RunOptions, stop: CancellationToken) -> Result<Summary, SensorError> {
    let started = Instant::now();
    let state = StateDir::open(&options.state)?;
    let identity = state.identity()?.ok_or_else(|| SensorError::NotEnrolled(options.state.clone()))?;
    let ceiling = ceiling::load(options.ceiling.as_deref())?;
    let pseudonyms = pseudonyms(state.pseudonym_key()?).ok_or(SensorError::Stopped("the pseudonym key"))?;
    let (revision, request) = state.request()?.unwrap_or_default();
    // A stored request was compiled before it was stored; should it no longer compile, the hub sends it again.
    let force = InForce::join(revision, &request, &ceiling, pseudonyms.clone())
        .or_else(|_| InForce::join(0, &Policy::default(), &ceiling, pseudonyms.clone()))
        .map_err(|_| SensorError::Stopped("the policy"))?;
    let spool = Arc::new(Spool::open(&state.spool(), force.policy.spool_bytes)?);
    let source = open_source(options.source, &state, &spool)?;
    let (describe, dated_here) = (source.describe(), source.dated_here());

    let (policy, policy_changes) = watch::channel(Arc::new(force));
    let adopted = watch::channel(policy.borrow().clone()).0;
    let shared = Arc::new(capture::Shared {
        policy: policy_changes,
        adopted,
        losses: std::sync::Mutex::new(BTreeMap::new()),
        newest: AtomicI64::new(i64::MIN),
        ended: watch::channel(false).0,
        stop: AtomicBool::new(false),
        sensor: identity.name.as_str().into(),
        clock_suspect: AtomicBool::new(false),
    });
    let (thread, ending) = capture_thread(source, spool.clone(), shared.clone());
    let acknowledged = watch::channel(spool.acknowledged()).0;
    let (mutes, running) = (broadcast::channel(MUTES).0, Arc::default());
    let lures = Lures::start(options.lures, &state, &spool, &shared, &policy, &mutes, &running)?;
    let uplink = Uplink {
        state,
        spool: spool.clone(),
        capture: shared.clone(),
        policy,
        ceiling,
        pseudonyms,
        source: describe,
        dated_here,
        acknowledged,
        mutes,
        lures: running,
    };
    let mut first_ack_seconds = None;
    let outcome = tokio::select! {
        outcome = uplink.run(identity) => outcome,
        outcome = thread_end(ending) => outcome,
        outcome = lures.end() => outcome,
        outcome = delivered(&uplink, started, &mut first_ack_seconds, options.stay) => outcome,
        () = stop.cancelled() => Ok(()),
    };
    lures.finish().await;
    shared.stop.store(true, Ordering::Relaxed);
    // What the thread still holds goes into the spool; the next run sends it.
    drop(tokio::task::spawn_blocking(move || thread.join()).await);
    drop(spool.settle());
    outcome?;
    let state = spool.state();
    Ok(Summary { produced: state.last_seq, acknowledged: spool.acknowledged(), first_ack_seconds })
}

/// The two lure processes and who keeps them.
struct Lures {
    stop: CancellationToken,
    keepers: tokio::sync::Mutex<tokio::task::JoinSet<Outcome>>,
}

impl Lures {
    fn start(
        options: LureOptions,
        state: &StateDir,
        spool: &Arc<Spool>,
        shared: &Arc<capture::Shared>,
        policy: &watch::Sender<Arc<InForce>>,
        mutes: &broadcast::Sender<Tell>,
        running: &Arc<Mutex<BTreeMap<Kind, Vec<Place>>>>,
    ) -> Result<Lures, SensorError> {
        let (stop, mut keepers) = (CancellationToken::new(), tokio::task::JoinSet::new());
        if !options.places.is_empty() || options.device.is_some() {
            state.forget_replay();
            let recorder = Recorder::new(spool.clone(), shared.clone(), policy.subscribe(), &state.vault())?;
            for kind in Kind::ALL {
                let keeper = Keeper {
                    options: options.clone(),
                    kind,
                    seed: state.lure_seed()?,
                    policy: policy.subscribe(),
                    mutes: mutes.subscribe(),
                    recorder: recorder.clone(),
                    running: running.clone(),
                    stop: stop.clone(),
                };
                keepers.spawn(keeper.run());
            }
        }
        Ok(Lures { stop, keepers: tokio::sync::Mutex::new(keepers) })
    }

    /// Ends when a keeper fails.
    async fn end(&self) -> Outcome {
        let mut keepers = self.keepers.lock().await;
        match keepers.join_next().await {
            Some(Ok(outcome)) => outcome,
            Some(Err(_)) => Err(SensorError::Stopped("a keeper of lures")),
            None => std::future::pending().await,
        }
    }

    /// Lets visitors' dialogues be delivered into the spool.
    async fn finish(&self) {
        self.stop.cancel();
        let mut keepers = self.keepers.lock().await;
        while keepers.join_next().await.is_some() {}
    }
}

fn open_source(options: SourceOptions, state: &StateDir, spool: &Spool) -> Result<Box<dyn Source>, SensorError> {
    match options {
        SourceOptions::Open(source) => Ok(source),
        SourceOptions::Nothing => Ok(Box::new(Quiet)),
        SourceOptions::Replay { paths, speed, retime, again, then } => {
            let stream = spool.state();
            let shift = shift(&paths, retime)?;
            let absolute = |path: &PathBuf| std::path::absolute(path).unwrap_or_else(|_| path.clone());
            let all = |paths: &[PathBuf]| paths.iter().map(absolute).collect();
            let plan = ReplayPlan { paths: all(&paths), speed, shift, then: all(&then) };
            let progress = state.replay_base(&plan, &stream.epoch.to_string(), stream.last_seq, again)?;
            // A resumed replay keeps the shift it began with.
            let plan = ReplayPlan { shift: progress.plan.shift, ..plan };
            Ok(Box::new(Replay::open(plan, stream.last_seq - progress.base)?))
        }
    }
}

/// What must be added to capture times.
fn shift(paths: &[PathBuf], retime: Retime) -> Result<i64, SensorError> {
    if retime == Retime::Keep {
        return Ok(0);
    }
    let plan = ReplayPlan { paths: paths.to_vec(), speed: None, shift: 0, then: Vec::new() };
    let mut replay = Replay::open(plan, 0)?;
    let mut latest = None;
    while let crate::source::Taken::Packets { raw, .. } = replay.next(Duration::ZERO)? {
        let mut times = raw.records.iter().filter(|record| record.has_time).map(|record| record.ts);
        if retime == Retime::FirstIsNow
            && let Some(first) = times.next()
        {
            return Ok(now_nanos().saturating_sub(first));
        }
        latest = latest.max(times.max());
    }
    Ok(latest.map_or(0, |latest| now_nanos().saturating_sub(latest)))
}

type Outcome = Result<(), SensorError>;

fn capture_thread(
    source: Box<dyn Source>,
    spool: Arc<Spool>,
    shared: Arc<capture::Shared>,
) -> (JoinHandle<()>, oneshot::Receiver<Outcome>) {
    let (sender, receiver) = oneshot::channel();
    let thread = std::thread::spawn(move || {
        // Before the hub has spoken once there is only one hand; nothing is recorded until there are two.
        while shared.policy.borrow().revision == 0 && !shared.stop.load(Ordering::Relaxed) {
            std::thread::sleep(FIRST_POLICY_POLL);
        }
        drop(sender.send(capture::run(source, &spool, &shared)));
    });
    (thread, receiver)
}

/// Ends with the thread's error; a thread that has done its work is waited for elsewhere.
async fn thread_end(thread: oneshot::Receiver<Outcome>) -> Outcome {
    match thread.await {
        Ok(Ok(())) => std::future::pending().await,
        Ok(Err(error)) => Err(error),
        Err(_) => Err(SensorError::Stopped("the capture thread")),
    }
}

/// Ends when the source has ended and the hub has everything.
async fn delivered(uplink: &Uplink, started: Instant, first_ack_seconds: &mut Option<f64>, stay: bool) -> Outcome {
    let closed = |_| SensorError::Stopped("the uplink");
    let (mut acknowledged, mut ended) = (uplink.acknowledged.subscribe(), uplink.capture.ended.subscribe());
    let before = *acknowledged.borrow();
    let mut first = |acknowledged: u64| {
        if first_ack_seconds.is_none() && acknowledged > before {
            let seconds = started.elapsed().as_secs_f64();
            *first_ack_seconds = Some(seconds);
            tracing::info!(seconds = format_args!("{seconds:.3}"), "the hub has stored the first observation");
        }
    };
    tokio::select! {
        seq = acknowledged.wait_for(|seq| *seq > before) => first(*seq.map_err(closed)?),
        ended = ended.wait_for(|ended| *ended) => drop(ended.map_err(closed)?),
    }
    ended.wait_for(|ended| *ended).await.map_err(closed)?;
    let last = uplink.spool.state().last_seq;
    first(*acknowledged.wait_for(|seq| *seq >= last).await.map_err(closed)?);
    tracing::info!(records = last, "the source has ended and the hub has everything");
    if stay { std::future::pending().await } else { Ok(()) }
}
