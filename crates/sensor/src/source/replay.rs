//! Capture files as a source, at a chosen speed.
//!
//! A replay is exact across kills: how far it got is the spool's own numbering (one number per packet), so a restarted
//! replay skips what the spool already holds.

use super::{Source, SourceError, Taken};
use noroshi_packet::capture::{RawBatch, RawRecord, Reader, discover};
use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Packets of one paced batch come due within this time.
const SLICE: Duration = Duration::from_millis(20);

/// What to replay, and how.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct ReplayPlan {
    /// Files or folders, in order.
    pub paths: Vec<PathBuf>,
    /// Multiple of the captures' own pace; `None` is as fast as possible.
    pub speed: Option<f64>,
    /// Nanoseconds added to every capture time.
    pub shift: i64,
    /// After the end, these go round for ever at their own pace, moved to the present.
    #[serde(default)]
    pub then: Vec<PathBuf>,
}

/// How far a replay has come, kept beside the spool.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Progress {
    /// The replay that this is about.
    pub plan: ReplayPlan,
    /// Epoch of the spool.
    pub epoch: String,
    /// Last sequence number before its first packet.
    pub base: u64,
}

/// Replays captures.
pub struct Replay {
    files: VecDeque<PathBuf>,
    plan: ReplayPlan,
    reader: Option<(PathBuf, Reader)>,
    /// Paced packets not yet due, and the index of the next one.
    waiting: Option<(RawBatch, usize)>,
    /// When the pace started, and the capture time then.
    started: Option<(Instant, i64)>,
    skip: u64,
    problems: u64,
}

impl Replay {
    /// Opens a replay that leaves out the first `skip` packets. The first file is opened at once, so that a wrong path
    /// is an error now.
    pub fn open(plan: ReplayPlan, skip: u64) -> Result<Replay, SourceError> {
        let mut files = VecDeque::new();
        for path in &plan.paths {
            let io = |source| SourceError::Io { place: path.display().to_string(), doing: "look for captures", source };
            let found = discover(path).map_err(io)?;
            if found.is_empty() {
                return Err(SourceError::Empty(path.clone()));
            }
            files.extend(found);
        }
        let mut replay = Replay { files, plan, reader: None, waiting: None, started: None, skip, problems: 0 };
        replay.advance()?;
        Ok(replay)
    }

    /// Captures that ended inside a record, or had other trouble.
    pub fn problems(&self) -> u64 {
        self.problems
    }

    fn advance(&mut self) -> Result<bool, SourceError> {
        if let Some((path, reader)) = self.reader.take() {
            for problem in reader.problems() {
                self.problems += 1;
                tracing::warn!(file = %path.display(), problem = %problem.text, "capture is damaged; its complete packets were read");
            }
        }
        let Some(path) = self.files.pop_front() else { return Ok(false) };
        let reader = Reader::open(&path).map_err(|source| SourceError::Capture { path: path.clone(), source })?;
        self.reader = Some((path, reader));
        Ok(true)
    }

    /// Begins the next round of what goes on for ever; false when nothing does.
    fn go_round(&mut self) -> Result<bool, SourceError> {
        if self.plan.then.is_empty() {
            return Ok(false);
        }
        let paths = std::mem::take(&mut self.plan.then);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as i64);
        let mut round = Replay::open(ReplayPlan { paths: paths.clone(), speed: None, shift: 0, then: Vec::new() }, 0)?;
        let first = round.read()?.and_then(|raw| raw.records.iter().find(|record| record.has_time).map(|r| r.ts));
        let Some(first) = first else { return Ok(false) };
        // The round begins now, whatever was to be skipped before: a round is never taken up in its middle.
        let shift = now.saturating_sub(first);
        *self = Replay::open(ReplayPlan { speed: Some(1.0), shift, then: paths.clone(), paths }, 0)?;
        Ok(true)
    }

    fn read(&mut self) -> Result<Option<RawBatch>, SourceError> {
        loop {
            let Some((_, reader)) = &mut self.reader else { return Ok(None) };
            match reader.next_batch() {
                Some(mut raw) => {
                    let skipped = self.skip.min(raw.records.len() as u64);
                    self.skip -= skipped;
                    raw.records.drain(..skipped as usize);
                    if raw.records.is_empty() {
                        continue;
                    }
                    for record in raw.records.iter_mut().filter(|record| record.has_time) {
                        record.ts = record.ts.saturating_add(self.plan.shift);
                    }
                    return Ok(Some(raw));
                }
                None if !self.advance()? => return Ok(None),
                None => {}
            }
        }
    }

    /// When a packet is due, as time since the pace started.
    fn due(&mut self, record: &RawRecord, speed: f64) -> Instant {
        let now = Instant::now();
        let (start, first) = *self.started.get_or_insert((now, record.ts));
        if !record.has_time {
            return now;
        }
        let nanos = record.ts.saturating_sub(first).max(0) as f64 / speed;
        start.checked_add(Duration::from_secs_f64((nanos / 1e9).min(1e9))).unwrap_or(now)
    }

    fn paced(&mut self, speed: f64, wait: Duration) -> Result<Taken, SourceError> {
        if self.waiting.is_none() {
            let Some(raw) = self.read()? else { return Ok(Taken::Ended) };
            self.waiting = Some((raw, 0));
        }
        let (raw, from) = self.waiting.take().expect("just filled");
        let deadline = Instant::now() + wait;
        let first_due = self.due(&raw.records[from], speed);
        if first_due > deadline {
            std::thread::sleep(wait);
            self.waiting = Some((raw, from));
            return Ok(Taken::Idle);
        }
        let until = first_due.max(Instant::now()) + SLICE.min(wait);
        let mut to = from + 1;
        while to < raw.records.len() && self.due(&raw.records[to], speed) <= until {
            to += 1;
        }
        let slice = cut(&raw, from, to);
        let last_due = self.due(&raw.records[to - 1], speed);
        std::thread::sleep(last_due.saturating_duration_since(Instant::now()));
        if to < raw.records.len() {
            self.waiting = Some((raw, to));
        }
        Ok(Taken::Packets { raw: slice, kernel_drops: 0 })
    }
}

/// Records `from..to` with their bytes.
fn cut(raw: &RawBatch, from: usize, to: usize) -> RawBatch {
    let records = &raw.records[from..to];
    let mut data = Vec::with_capacity(records.iter().map(|record| record.cap_len as usize).sum());
    let moved = records.iter().map(|record| {
        let start = record.start as usize;
        let moved = RawRecord { start: data.len() as u32, ..*record };
        data.extend_from_slice(raw.data.get(start..start + record.cap_len as usize).unwrap_or(&[]));
        moved
    });
    let records = moved.collect();
    RawBatch { first_position: raw.first_position + from as u64, data, records }
}

impl Source for Replay {
    fn next(&mut self, wait: Duration) -> Result<Taken, SourceError> {
        let taken = match self.plan.speed {
            Some(speed) => self.paced(speed, wait)?,
            None => self.read()?.map_or(Taken::Ended, |raw| Taken::Packets { raw, kernel_drops: 0 }),
        };
        match taken {
            Taken::Ended if self.go_round()? => Ok(Taken::Idle),
            taken => Ok(taken),
        }
    }

    fn describe(&self) -> String {
        let paths: Vec<_> = self.plan.paths.iter().map(|path| path.display().to_string()).collect();
        format!("replay of {}", paths.join(", "))
    }
}
