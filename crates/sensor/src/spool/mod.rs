//! The spool: batches on the sensor's disk until the hub has them.
//!
//! What is true at any moment, also after a kill or a power cut:
//! - a batch whose [`Spool::append`] returned is on disk, synced, until the hub acknowledged its last number;
//! - every sequence number up to [`Spool::state`] is in a frame, in the list of gaps, or acknowledged;
//! - a gap is on disk before the bytes it stands for are deleted, and the cursor before acknowledged bytes are.
//!
//! A full disk never blocks giving up and forgetting: a ballast file is released for the list of gaps, and the cursor
//! has its blocks from the start.
//!
//! Layout: `epoch`, `cursor`, `gaps`, `ballast` and segments `<first sequence>.seg` of about 8 MiB each. One process at a time
//! (a lock file); several may append, numbers are given under the lock;
//! the uplink reads and acknowledges.

mod cursor;
mod frame;
mod recover;

use bytes::Bytes;
use frame::{HEADER, Header};
use noroshi_model::stream::{Gap, GapReason, SchemaId};
use noroshi_wire::message::{BatchHead, Epoch, StreamState};
use std::collections::{BTreeMap, VecDeque};
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use tokio::sync::watch;

/// A segment is closed when it has this many bytes.
const SEGMENT_BYTES: u64 = 8 << 20;

/// The spool cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// The system refused.
    #[error("spool {path}: {doing}: {source}")]
    Io {
        /// File or folder.
        path: PathBuf,
        /// What was attempted.
        doing: &'static str,
        /// Cause.
        source: std::io::Error,
    },
    /// Another sensor runs on it.
    #[error("spool {0} is in use by another noroshi-sensor; stop that one or give this one its own --state folder")]
    Locked(PathBuf),
    /// No space left; nothing was lost, appending again later may work.
    #[error("spool {path}: the disk is full; free space or lower spool_bytes in the policy")]
    Full {
        /// The spool.
        path: PathBuf,
    },
    /// A file that must be readable is not.
    #[error("spool {path} is damaged ({what}); move the folder away to start a new one, its batches are then lost")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: &'static str,
    },
}

impl SpoolError {
    fn io(path: &Path, doing: &'static str) -> impl Fn(std::io::Error) -> SpoolError + Copy {
        move |source| match source.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                SpoolError::Full { path: path.to_owned() }
            }
            _ => SpoolError::Io { path: path.to_owned(), doing, source },
        }
    }
}

/// A batch to append; it takes `rows + losses` sequence numbers.
#[derive(Debug, Default)]
pub struct NewBatch {
    /// Schema of `body`.
    pub schema: Option<SchemaId>,
    /// Rows in `body`.
    pub rows: u64,
    /// Records that were produced and are not in `body`, by reason.
    pub losses: Vec<(GapReason, u64)>,
    /// Arrow stream; empty when `rows` is 0.
    pub body: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    last_seq: u64,
    segment: u64,
    offset: u64,
    length: u32,
}

#[derive(Debug)]
struct Segment {
    bytes: u64,
    last_seq: u64,
}

struct Inner {
    epoch: Epoch,
    next_seq: u64,
    acknowledged: u64,
    quota: u64,
    /// Frames not yet acknowledged, by first sequence number.
    entries: BTreeMap<u64, Entry>,
    /// Lost ranges not yet acknowledged, by first sequence number.
    gaps: BTreeMap<u64, Gap>,
    /// Segments on disk, by first sequence number.
    segments: BTreeMap<u64, Segment>,
    /// The one being written.
    active: Option<(u64, File)>,
    reading: VecDeque<(u64, File)>,
    cursor: cursor::Cursor,
    quota_losses: u64,
}

/// The spool of one sensor.
pub struct Spool {
    dir: PathBuf,
    inner: Mutex<Inner>,
    produced: watch::Sender<u64>,
    _lock: File,
}

impl Spool {
    /// Opens or makes a spool, recovering whatever a crash left.
    pub fn open(dir: &Path, quota: u64) -> Result<Spool, SpoolError> {
        std::fs::create_dir_all(dir).map_err(SpoolError::io(dir, "make the folder"))?;
        let lock = lock(dir)?;
        let inner = recover::recover(dir, quota)?;
        let (produced, _) = watch::channel(inner.next_seq - 1);
        Ok(Spool { dir: dir.to_owned(), inner: Mutex::new(inner), produced, _lock: lock })
    }

    fn inner(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().expect("no panic while held")
    }

    /// The stream and the last number given out.
    pub fn state(&self) -> StreamState {
        let inner = self.inner();
        StreamState { epoch: inner.epoch, last_seq: inner.next_seq - 1 }
    }

    /// Last number the hub has.
    pub fn acknowledged(&self) -> u64 {
        self.inner().acknowledged
    }

    /// Bytes on disk.
    pub fn bytes(&self) -> u64 {
        self.inner().bytes()
    }

    /// Records given up for the quota since the spool was opened.
    pub fn quota_losses(&self) -> u64 {
        self.inner().quota_losses
    }

    /// Changes when a batch was appended; holds the last sequence number.
    pub fn produced(&self) -> watch::Receiver<u64> {
        self.produced.subscribe()
    }

    /// Bytes it may use from now on; takes effect with the next append.
    pub fn set_quota(&self, bytes: u64) {
        self.inner().quota = bytes;
    }

    /// Makes a batch durable and returns its last number. On [`SpoolError::Full`] nothing happened; try again.
    pub fn append(&self, batch: &NewBatch) -> Result<u64, SpoolError> {
        let lost: u64 = batch.losses.iter().map(|(_, count)| count).sum();
        let width = batch.rows + lost;
        let mut inner = self.inner();
        if width == 0 {
            return Ok(inner.next_seq - 1);
        }
        let (first_seq, last_seq) = (inner.next_seq, inner.next_seq + width - 1);
        let gap = |(reason, count): &(GapReason, u64)| Gap { first_seq, last_seq, count: *count, reason: *reason };
        let head = BatchHead {
            epoch: inner.epoch,
            first_seq,
            last_seq,
            schema: batch.schema.filter(|_| batch.rows > 0).unwrap_or(SchemaId::NONE),
            rows: batch.rows,
            gaps: batch.losses.iter().filter(|(_, count)| *count > 0).map(gap).collect(),
        };
        inner.write(&self.dir, &head, &frame::write(&head, &batch.body))?;
        // Before the lock is free: another append must not announce its number first.
        self.produced.send_replace(last_seq);
        drop(inner);
        Ok(last_seq)
    }

    /// The next batch to send after number `seq`: a stored frame, or a lost range that says so.
    pub fn next_after(&self, seq: u64) -> Result<Option<(BatchHead, Bytes)>, SpoolError> {
        let mut inner = self.inner();
        loop {
            let from = seq.max(inner.acknowledged) + 1;
            if from >= inner.next_seq {
                return Ok(None);
            }
            if let Some(gap) = inner.gap_at(from) {
                return Ok(Some((inner.gap_head(gap), Bytes::new())));
            }
            let Some((&first_seq, &entry)) = inner.entries.range(from..).next() else { return Ok(None) };
            match inner.read(&self.dir, entry)? {
                Some(found) => return Ok(Some(found)),
                None => inner.give_up(&self.dir, first_seq, entry.last_seq, GapReason::Corruption)?,
            }
        }
    }

    /// The hub has everything up to `seq`: forget it. Cursor first, bytes second.
    pub fn acknowledge(&self, seq: u64) -> Result<(), SpoolError> {
        let mut inner = self.inner();
        crate::trial::forgets(inner.epoch, seq);
        inner.acknowledge(&self.dir, seq)
    }

    /// Writes the cursor, so that a clean restart knows what was acknowledged without asking the hub.
    pub fn settle(&self) -> Result<(), SpoolError> {
        let inner = self.inner();
        inner.cursor.write(inner.acknowledged).map_err(SpoolError::io(&self.dir, "write the cursor"))
    }

    /// The hub will never take this batch: declare it lost, so that the stream can go on.
    pub fn refused(&self, first_seq: u64, last_seq: u64) -> Result<(), SpoolError> {
        self.inner().give_up(&self.dir, first_seq, last_seq, GapReason::Refused)
    }
}

fn lock(dir: &Path) -> Result<File, SpoolError> {
    let path = dir.join("lock");
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
    let file = file.map_err(SpoolError::io(&path, "open"))?;
    file.try_lock().map_err(|_| SpoolError::Locked(dir.to_owned()))?;
    Ok(file)
}

fn segment_path(dir: &Path, first_seq: u64) -> PathBuf {
    dir.join(format!("{first_seq:020}.seg"))
}

fn sync_dir(dir: &Path) -> std::io::Result<()> {
    File::open(dir)?.sync_all()
}

impl Inner {
    fn bytes(&self) -> u64 {
        self.segments.values().map(|segment| segment.bytes).sum()
    }

    fn write(&mut self, dir: &Path, head: &BatchHead, frame: &[u8]) -> Result<(), SpoolError> {
        self.make_room(dir, frame.len() as u64)?;
        let full = |(first, _): &(u64, File)| self.segments.get(first).is_none_or(|s| s.bytes >= SEGMENT_BYTES);
        if self.active.as_ref().is_none_or(full) {
            self.roll(dir, head.first_seq)?;
        }
        let (segment, file) = self.active.as_mut().expect("just made");
        let offset = self.segments[segment].bytes;
        let sync = |()| if crate::trial::broken("sync") { Ok(()) } else { file.sync_data() };
        let written = file.write_all_at(frame, offset).and_then(sync);
        if let Err(error) = written {
            // What a failed sync left on disk is unknown: cut it off and never write to this file again.
            drop(file.set_len(offset));
            let path = segment_path(dir, *segment);
            self.active = None;
            return Err(SpoolError::io(&path, "write")(error));
        }
        let entry = Entry { last_seq: head.last_seq, segment: *segment, offset, length: frame.len() as u32 };
        self.entries.insert(head.first_seq, entry);
        let segment = self.segments.get_mut(segment).expect("just made");
        segment.bytes += frame.len() as u64;
        segment.last_seq = head.last_seq;
        self.next_seq = head.last_seq + 1;
        Ok(())
    }

    fn roll(&mut self, dir: &Path, first_seq: u64) -> Result<(), SpoolError> {
        let path = segment_path(dir, first_seq);
        // A file of that name can only be left by an append that failed before anything in it counted.
        let file = OpenOptions::new().create(true).truncate(true).write(true).open(&path);
        let file = file.map_err(SpoolError::io(&path, "make a segment"))?;
        sync_dir(dir).map_err(SpoolError::io(dir, "sync the folder"))?;
        self.segments.insert(first_seq, Segment { bytes: 0, last_seq: first_seq - 1 });
        self.active = Some((first_seq, file));
        Ok(())
    }

    /// Gives up the oldest segments until `more` bytes fit the quota. The segment being written stays.
    fn make_room(&mut self, dir: &Path, more: u64) -> Result<(), SpoolError> {
        while self.bytes() + more > self.quota && self.segments.len() > 1 {
            let (&oldest, segment) = self.segments.first_key_value().expect("more than one");
            let last_seq = segment.last_seq;
            if last_seq > self.acknowledged {
                let first_seq = oldest.max(self.acknowledged + 1);
                self.quota_losses += last_seq + 1 - first_seq;
                self.give_up(dir, first_seq, last_seq, GapReason::Quota)?;
            }
            self.delete_segment(dir, oldest)?;
        }
        Ok(())
    }

    fn delete_segment(&mut self, dir: &Path, first_seq: u64) -> Result<(), SpoolError> {
        let path = segment_path(dir, first_seq);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(SpoolError::io(&path, "delete")(error));
            }
            _ => {}
        }
        self.segments.remove(&first_seq);
        self.reading.retain(|(segment, _)| *segment != first_seq);
        recover::inflate_ballast(dir);
        Ok(())
    }

    /// Puts a range on the list of gaps, durably, merging neighbours of the same reason.
    fn give_up(&mut self, dir: &Path, first_seq: u64, last_seq: u64, reason: GapReason) -> Result<(), SpoolError> {
        let before = self.gaps.clone();
        let mut first = first_seq;
        if let Some((&start, gap)) = self.gaps.range(..first_seq).next_back()
            && gap.last_seq + 1 == first_seq
            && gap.reason == reason
        {
            first = start;
        }
        self.gaps.retain(|start, _| *start < first || *start > last_seq);
        self.gaps.insert(first, Gap::whole(first, last_seq, reason));
        if let Err(error) = recover::write_gaps(dir, &self.gaps) {
            self.gaps = before;
            return Err(error);
        }
        self.entries.retain(|start, _| *start < first_seq || *start > last_seq);
        Ok(())
    }

    /// The gap that holds `seq`, cut to begin there: what lies before has been sent.
    fn gap_at(&self, seq: u64) -> Option<Gap> {
        let (_, gap) = self.gaps.range(..=seq).next_back()?;
        (gap.last_seq >= seq).then(|| Gap::whole(seq, gap.last_seq, gap.reason))
    }

    fn gap_head(&self, gap: Gap) -> BatchHead {
        BatchHead {
            epoch: self.epoch,
            first_seq: gap.first_seq,
            last_seq: gap.last_seq,
            schema: SchemaId::NONE,
            rows: 0,
            gaps: vec![gap],
        }
    }

    /// Reads a frame back; `None` when it is damaged.
    fn read(&mut self, dir: &Path, entry: Entry) -> Result<Option<(BatchHead, Bytes)>, SpoolError> {
        let path = segment_path(dir, entry.segment);
        let io = SpoolError::io(&path, "read");
        if !self.reading.iter().any(|(segment, _)| *segment == entry.segment) {
            let Ok(file) = File::open(&path) else { return Ok(None) };
            self.reading.push_front((entry.segment, file));
            self.reading.truncate(2);
        }
        let (_, file) = self.reading.iter().find(|(segment, _)| *segment == entry.segment).expect("just opened");
        let mut bytes = vec![0; entry.length as usize];
        match file.read_exact_at(&mut bytes, entry.offset) {
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(None),
            other => other.map_err(io)?,
        }
        let Some(header) = Header::read(&bytes) else { return Ok(None) };
        let Some((head, body)) = header.open(&bytes[HEADER..]) else { return Ok(None) };
        let body = HEADER + body.start..HEADER + body.end;
        Ok(Some((head, Bytes::from(bytes).slice(body))))
    }

    fn acknowledge(&mut self, dir: &Path, seq: u64) -> Result<(), SpoolError> {
        if seq <= self.acknowledged {
            return Ok(());
        }
        self.acknowledged = seq.min(self.next_seq - 1);
        self.entries.retain(|_, entry| entry.last_seq > self.acknowledged);
        let active = self.active.as_ref().map(|(first, _)| *first);
        let done = |(first, segment): (&u64, &Segment)| {
            (segment.last_seq <= self.acknowledged && Some(*first) != active).then_some(*first)
        };
        let done: Vec<u64> = self.segments.iter().filter_map(done).collect();
        let stale = self.gaps.values().any(|gap| gap.last_seq <= self.acknowledged);
        if done.is_empty() && !stale {
            return Ok(());
        }
        self.cursor.write(self.acknowledged).map_err(SpoolError::io(dir, "write the cursor"))?;
        if stale {
            let acknowledged = self.acknowledged;
            self.gaps.retain(|_, gap| gap.last_seq > acknowledged);
            // Old entries in the file do no harm, so a full disk may delay this.
            drop(recover::write_gaps(dir, &self.gaps));
        }
        done.into_iter().try_for_each(|first| self.delete_segment(dir, first))
    }
}

#[cfg(test)]
mod tests;
