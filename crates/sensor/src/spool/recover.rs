//! Opening a spool after anything.
//!
//! Torn bytes at the very end belong to an append that never returned: they are cut off. Damage elsewhere costs the
//! damaged frames only; their numbers go on the list of gaps.

use super::cursor::Cursor;
use super::frame::{self, HEADER, Header};
use super::{Entry, Inner, Segment, SpoolError, segment_path, sync_dir};
use noroshi_model::stream::{Gap, GapReason};
use noroshi_wire::message::Epoch;
use std::collections::{BTreeMap, VecDeque};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;

pub(super) fn recover(dir: &Path, quota: u64) -> Result<Inner, SpoolError> {
    let epoch = read_epoch(dir)?;
    let cursor_path = dir.join("cursor");
    let (cursor, acknowledged) = Cursor::open(&cursor_path).map_err(SpoolError::io(&cursor_path, "open"))?;
    let gaps = read_gaps(dir)?;
    let mut inner = Inner {
        epoch,
        next_seq: acknowledged + 1,
        acknowledged,
        quota,
        entries: BTreeMap::new(),
        gaps,
        segments: BTreeMap::new(),
        active: None,
        reading: VecDeque::new(),
        cursor,
        quota_losses: 0,
    };
    let names = segment_names(dir)?;
    let last = names.last().copied();
    for first_seq in names {
        inner.scan(dir, first_seq, Some(first_seq) == last)?;
    }
    let lost_end = inner.gaps.values().map(|gap| gap.last_seq + 1).max();
    inner.next_seq = inner.next_seq.max(lost_end.unwrap_or(0));
    inner.declare_holes(dir)?;
    inflate_ballast(dir);
    Ok(inner)
}

fn read_epoch(dir: &Path) -> Result<Epoch, SpoolError> {
    let path = dir.join("epoch");
    match std::fs::read_to_string(&path) {
        Ok(text) => Epoch::try_from(text.trim().to_owned())
            .map_err(|_| SpoolError::Damaged { path, what: "the epoch is not readable" }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let epoch = Epoch::generate();
            replace(dir, "epoch", epoch.to_string().as_bytes())?;
            Ok(epoch)
        }
        Err(error) => Err(SpoolError::io(&path, "read")(error)),
    }
}

/// Writes a small file so that it is either old or new.
fn replace(dir: &Path, name: &str, bytes: &[u8]) -> Result<(), SpoolError> {
    let (temporary, path) = (dir.join(format!("{name}.new")), dir.join(name));
    let write = || -> std::io::Result<()> {
        let mut file = File::create(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&temporary, &path)?;
        sync_dir(dir)
    };
    write().map_err(SpoolError::io(&path, "write"))
}

/// Writes the list of gaps. On a full disk the ballast makes room, because bytes can be given up only after this.
pub(super) fn write_gaps(dir: &Path, gaps: &BTreeMap<u64, Gap>) -> Result<(), SpoolError> {
    let list: Vec<&Gap> = gaps.values().collect();
    let bytes = serde_json::to_vec(&list).expect("numbers and names");
    match replace(dir, "gaps", &bytes) {
        Err(SpoolError::Full { .. }) => {
            release_ballast(dir);
            replace(dir, "gaps", &bytes)
        }
        other => other,
    }
}

/// Space kept back for the list of gaps: far more than it ever needs.
const BALLAST_BYTES: usize = 256 << 10;

/// Makes the ballast when there is room; on a full disk it is left for later.
pub(super) fn inflate_ballast(dir: &Path) {
    let path = dir.join("ballast");
    if std::fs::metadata(&path).is_ok_and(|meta| meta.len() == BALLAST_BYTES as u64) {
        return;
    }
    // Not zeros: a file system that compresses would keep nothing back.
    let filler: Vec<u8> =
        std::iter::repeat_with(rand::random::<u64>).take(BALLAST_BYTES / 8).flat_map(u64::to_le_bytes).collect();
    if std::fs::write(&path, filler).is_err() {
        release_ballast(dir);
    }
}

fn release_ballast(dir: &Path) {
    drop(std::fs::remove_file(dir.join("ballast")));
}

fn read_gaps(dir: &Path) -> Result<BTreeMap<u64, Gap>, SpoolError> {
    let path = dir.join("gaps");
    let bytes = match std::fs::read(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        other => other.map_err(SpoolError::io(&path, "read"))?,
    };
    let list: Option<Vec<Gap>> = serde_json::from_slice(&bytes).ok();
    let list = list.filter(|list| list.iter().all(|gap| gap.width().is_some()));
    let list = list.ok_or(SpoolError::Damaged { path, what: "the list of gaps is not readable" })?;
    Ok(list.into_iter().map(|gap| (gap.first_seq, gap)).collect())
}

fn segment_names(dir: &Path) -> Result<Vec<u64>, SpoolError> {
    let io = SpoolError::io(dir, "list");
    let mut names = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(io)? {
        let name = entry.map_err(io)?.file_name();
        let first_seq = name.to_str().and_then(|name| name.strip_suffix(".seg")).and_then(|n| n.parse().ok());
        names.extend(first_seq.filter(|first: &u64| *first >= 1));
    }
    names.sort_unstable();
    Ok(names)
}

impl Inner {
    /// Reads one segment. Segments are bounded, so reading one whole is cheap.
    fn scan(&mut self, dir: &Path, first_seq: u64, is_last: bool) -> Result<(), SpoolError> {
        let path = segment_path(dir, first_seq);
        let bytes = std::fs::read(&path).map_err(SpoolError::io(&path, "read"))?;
        let (mut at, mut good_end) = (0, 0);
        // An empty segment still says that everything before it was given out.
        let mut last_seq = first_seq - 1;
        while at + HEADER <= bytes.len() {
            let header = Header::read(&bytes[at..]).filter(|header| header.epoch == self.epoch);
            let intact = header.filter(|h| h.open(&bytes[at + HEADER..]).is_some());
            match intact {
                Some(header) => {
                    let length = header.frame_length();
                    self.found(&header, first_seq, at, length);
                    last_seq = last_seq.max(header.last_seq);
                    at += length;
                    good_end = at;
                }
                None => match frame::resync(&bytes, at + 1) {
                    Some(next) => at = next,
                    None => break,
                },
            }
        }
        if is_last {
            // Synced even when whole: after a kill these bytes may only be in the page cache. Once sent, their numbers
            // are taken, and a power cut must not bring the sensor to give them to other records.
            let file = OpenOptions::new().write(true).open(&path).map_err(SpoolError::io(&path, "open"))?;
            let whole = good_end == bytes.len();
            let cut = if whole { Ok(()) } else { file.set_len(good_end as u64) };
            cut.and_then(|()| file.sync_all()).map_err(SpoolError::io(&path, "sync"))?;
        }
        self.next_seq = self.next_seq.max(last_seq + 1);
        self.segments.insert(first_seq, Segment { bytes: good_end as u64, last_seq });
        Ok(())
    }

    fn found(&mut self, header: &Header, segment: u64, offset: usize, length: usize) {
        let lost = |gap: &Gap| gap.first_seq <= header.first_seq && header.last_seq <= gap.last_seq;
        let gone = header.last_seq <= self.acknowledged
            || self.gaps.range(..=header.first_seq).next_back().is_some_and(|(_, gap)| lost(gap));
        if !gone {
            let entry = Entry { last_seq: header.last_seq, segment, offset: offset as u64, length: length as u32 };
            self.entries.insert(header.first_seq, entry);
        }
    }

    /// Numbers that neither a frame nor a gap holds were in damaged frames.
    fn declare_holes(&mut self, dir: &Path) -> Result<(), SpoolError> {
        let mut covered: Vec<(u64, u64)> = self.entries.iter().map(|(first, entry)| (*first, entry.last_seq)).collect();
        covered.extend(self.gaps.iter().map(|(first, gap)| (*first, gap.last_seq)));
        covered.sort_unstable();
        let mut next = self.acknowledged + 1;
        let mut holes = Vec::new();
        for (first, last) in covered {
            if first > next {
                holes.push((next, first - 1));
            }
            next = next.max(last + 1);
        }
        if next < self.next_seq {
            holes.push((next, self.next_seq - 1));
        }
        holes.into_iter().try_for_each(|(first, last)| self.give_up(dir, first, last, GapReason::Corruption))
    }
}
