//! Inputs to batches of raw packets.

use super::pcap::{FILE_HEADER, Pcap};
use super::pcapng::Pcapng;
use super::stream::Stream;
use super::{CaptureError, RawBatch, RawRecord, Step, problem};
use noroshi_model::report::{Compression, Format, Problem};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Bytes that a batch aims at: large enough to make the work per batch small, small enough to stay in a core's cache
/// until it is decoded.
const BATCH_BYTES: usize = 1 << 18;
/// Directories below a given one that are walked.
const DIRECTORY_DEPTH_MAX: usize = 16;

enum Framer {
    Pcap(Pcap),
    Pcapng(Pcapng),
}

/// Reads one capture.
pub struct Reader {
    stream: Stream,
    framer: Framer,
    /// Bytes read but not yet framed.
    carry: Vec<u8>,
    /// Offset of `carry` in the decompressed input.
    offset: u64,
    position: u64,
    /// Packets framed while the start was checked.
    first: Option<RawBatch>,
    /// The stream gave all that it can.
    drained: bool,
    ended: bool,
    problems: Vec<Problem>,
    /// Batches that were given back, to be filled again.
    spare: Vec<RawBatch>,
}

/// Batches that are kept to be filled again, at most.
const SPARE_MAX: usize = 256;

impl Reader {
    /// Opens a file.
    pub fn open(path: &Path) -> Result<Self, CaptureError> {
        let file = File::open(path)?;
        if file.metadata()?.is_dir() {
            return Err(CaptureError::Refused(problem("directory", None, "this is a directory, not a capture")));
        }
        Reader::new(file)
    }

    /// Reads from any stream, such as standard input.
    pub fn new(source: impl Read + Send + 'static) -> Result<Self, CaptureError> {
        let mut stream = Stream::new(source)?;
        let mut head = vec![0; FILE_HEADER];
        let filled = match stream.fill(&mut head) {
            Ok(filled) | Err((filled @ FILE_HEADER.., _)) => filled,
            Err((_, error)) => return Err(error),
        };
        head.truncate(filled);
        let framer = framer_of(&head).map_err(CaptureError::Refused)?;
        let (carry, offset) = match framer {
            Framer::Pcap(_) => (Vec::new(), FILE_HEADER as u64),
            Framer::Pcapng(_) => (head, 0),
        };
        let mut reader = Reader {
            stream,
            framer,
            carry,
            offset,
            position: 0,
            first: None,
            drained: false,
            ended: false,
            problems: Vec::new(),
            spare: Vec::new(),
        };
        reader.check_start()?;
        Ok(reader)
    }

    /// A pcapng whose first section header is damaged is refused as a whole.
    fn check_start(&mut self) -> Result<(), CaptureError> {
        if matches!(self.framer, Framer::Pcap(_)) {
            return Ok(());
        }
        let first = self.fill_batch();
        if matches!(&self.framer, Framer::Pcapng(pcapng) if !pcapng.opened) {
            let found = self.problems.pop().unwrap_or_else(|| {
                problem("truncated-header", Some(self.offset), "the file ends inside its first section header")
            });
            return Err(CaptureError::Refused(found));
        }
        self.first = Some(first);
        Ok(())
    }

    /// File format.
    pub fn format(&self) -> Format {
        match &self.framer {
            Framer::Pcap(pcap) => pcap.format(),
            Framer::Pcapng(_) => Format::Pcapng,
        }
    }

    /// Compression around it.
    pub fn compression(&self) -> Compression {
        self.stream.compression
    }

    /// Bytes taken from the input so far, before decompression; for progress.
    pub fn bytes_taken(&self) -> u64 {
        self.stream.taken()
    }

    /// What could not be read so far, and from where on.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// The next packets in order, or `None` at the end. Never empty.
    pub fn next_batch(&mut self) -> Option<RawBatch> {
        loop {
            let batch = match self.first.take() {
                Some(batch) => batch,
                None if self.ended => return None,
                None => self.fill_batch(),
            };
            if !batch.records.is_empty() {
                return Some(batch);
            }
        }
    }

    /// Takes back a batch that is not needed any more: memory that was used a moment ago is the cheapest.
    pub fn give_back(&mut self, batch: RawBatch) {
        if self.spare.len() < SPARE_MAX {
            self.spare.push(batch);
        }
    }

    fn fill_batch(&mut self) -> RawBatch {
        let mut batch = self.spare.pop().unwrap_or_default();
        batch.first_position = self.position;
        batch.records.clear();
        // Old bytes stay behind what is filled until they are written over: to clear them would cost as much as to read.
        let (mut data, mut filled) = (std::mem::take(&mut batch.data), self.carry.len());
        if data.len() < filled {
            data.resize(filled, 0);
        }
        data[..filled].copy_from_slice(&self.carry);
        self.carry.clear();
        let (mut at, mut want) = (0, BATCH_BYTES);
        loop {
            let input_ended = self.read_until(&mut data, &mut filled, want);
            match self.framer.frame(&data[..filled], &mut at, self.offset, &mut batch.records) {
                Step::Took { used } => {
                    self.carry.extend_from_slice(&data[used..filled]);
                    self.offset += used as u64;
                    filled = used;
                    break;
                }
                Step::Need(bytes) if !input_ended => want = (at + bytes).max(BATCH_BYTES),
                Step::Need(_) => {
                    if filled > at && self.problems.is_empty() {
                        let text = "the file ends inside a record (cut short, or still being written); every complete packet counts";
                        self.problems.push(problem("truncated", Some(self.offset + at as u64), text));
                    }
                    self.ended = true;
                    break;
                }
                Step::Stop(problem) => {
                    self.problems.push(problem);
                    self.ended = true;
                    break;
                }
            }
        }
        self.position += batch.records.len() as u64;
        data.truncate(filled);
        batch.data = data;
        batch
    }

    /// Grows what is `filled` of `data` to `want` bytes as far as the input goes; says whether it ended.
    fn read_until(&mut self, data: &mut Vec<u8>, filled: &mut usize, want: usize) -> bool {
        if *filled >= want || self.drained {
            return self.drained;
        }
        if data.len() < want {
            data.resize(want, 0);
        }
        match self.stream.fill(&mut data[*filled..want]) {
            Ok(read) => {
                self.drained = *filled + read < want;
                *filled += read;
            }
            Err((read, error)) => {
                *filled += read;
                self.problems.push(error.problem());
                self.drained = true;
            }
        }
        self.drained
    }
}

impl Framer {
    fn frame(&mut self, bytes: &[u8], at: &mut usize, offset: u64, out: &mut Vec<RawRecord>) -> Step {
        match self {
            Framer::Pcap(pcap) => pcap.frame(bytes, at, offset, out),
            Framer::Pcapng(pcapng) => pcapng.frame(bytes, at, offset, out),
        }
    }
}

fn framer_of(head: &[u8]) -> Result<Framer, Problem> {
    let Some(magic) = head.first_chunk::<4>() else {
        return Err(if head.is_empty() {
            problem("empty-file", Some(0), "the file is empty; was the capture stopped before its header was written?")
        } else {
            problem("not-a-capture", Some(0), "the file is too short to be a capture")
        });
    };
    if Pcapng::recognises(*magic) {
        return Ok(Framer::Pcapng(Pcapng::default()));
    }
    if !Pcap::recognises(*magic) {
        if let Some((name, command)) = other_compression(*magic) {
            let text = format!("compressed with {name}, which is not read here; decompress it first: {command}");
            return Err(problem("compression", Some(0), text));
        }
        let text = "neither pcap nor pcapng (its first bytes are not theirs); other formats can be converted: \
                    editcap -F pcapng INPUT OUTPUT";
        return Err(problem("not-a-capture", Some(0), text));
    }
    if head.len() < FILE_HEADER {
        return Err(problem("truncated-header", Some(head.len() as u64), "the file ends inside its header"));
    }
    Pcap::new(head).map(Framer::Pcap)
}

/// Name of a compression that is not read, and how to undo it into standard input.
fn other_compression(magic: [u8; 4]) -> Option<(&'static str, &'static str)> {
    Some(match magic {
        [0xfd, b'7', b'z', b'X'] => ("xz", "xz -dc FILE | noroshi analyze -"),
        [b'B', b'Z', b'h', _] => ("bzip2", "bzip2 -dc FILE | noroshi analyze -"),
        [0x04, 0x22, 0x4d, 0x18] => ("lz4", "lz4 -dc FILE | noroshi analyze -"),
        [b'P', b'K', 3, 4] => ("zip", "unzip -p FILE | noroshi analyze -"),
        [b'7', b'z', 0xbc, 0xaf] => ("7-Zip", "7z x -so FILE | noroshi analyze -"),
        _ => return None,
    })
}

/// The captures that a path stands for: itself, or for a directory the files below it whose first bytes are those of a
/// capture, in order of their names. Links to directories are not followed.
pub fn discover(path: &Path) -> std::io::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut found = Vec::new();
    walk(path, 0, &mut found)?;
    Ok(found)
}

fn walk(directory: &Path, depth: usize, found: &mut Vec<PathBuf>) -> std::io::Result<()> {
    let mut entries: Vec<_> = std::fs::read_dir(directory)?.collect::<Result<_, _>>()?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let kind = entry.file_type()?;
        if kind.is_dir() && depth < DIRECTORY_DEPTH_MAX {
            walk(&entry.path(), depth + 1, found)?;
        } else if (kind.is_file() || kind.is_symlink()) && looks_like_capture(&entry.path()) {
            found.push(entry.path());
        }
    }
    Ok(())
}

fn looks_like_capture(path: &Path) -> bool {
    let Ok(mut file) = File::open(path) else { return false };
    let mut magic = [0; 4];
    if !file.metadata().is_ok_and(|metadata| metadata.is_file()) || file.read_exact(&mut magic).is_err() {
        return false;
    }
    let compressed = magic[..2] == [0x1f, 0x8b] || magic == [0x28, 0xb5, 0x2f, 0xfd];
    let named = |name: &str| path.to_string_lossy().to_ascii_lowercase().contains(name);
    Pcap::recognises(magic)
        || Pcapng::recognises(magic)
        || compressed && (named("pcap") || named(".cap") || holds_capture(path))
}

/// Whether what is compressed in a file begins as a capture does.
fn holds_capture(path: &Path) -> bool {
    let mut magic = [0; 4];
    let inside = File::open(path).ok().and_then(|file| Stream::new(file).ok());
    inside.is_some_and(|mut inside| inside.fill(&mut magic).is_ok_and(|read| read == magic.len()))
        && (Pcap::recognises(magic) || Pcapng::recognises(magic))
}
