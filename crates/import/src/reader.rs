//! Reads one file as a stream of rows and rejects, and keeps count of every line.

use crate::detect::{Format, detect};
use crate::fields::{Refusal, shorten};
use crate::formats::{LineReader, Outcome, line_reader};
use crate::lines::{Budget, Line, Lines};
use crate::record::Record;
use serde::Serialize;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::Path;

/// Bytes looked at to name the format.
pub(crate) const HEAD_BYTES: usize = 64 << 10;

/// A file that could not be read, or was refused as a whole.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The system said no.
    #[error("{what}: {source}")]
    Io {
        /// File, and what was attempted.
        what: String,
        /// The system's reason.
        source: io::Error,
    },
    /// No reader knows it.
    #[error("{name}: no reader knows this content (it begins with \"{begins}\"); readable are {}", known())]
    Unknown {
        /// File name.
        name: String,
        /// Its first characters, escaped.
        begins: String,
    },
    /// Nothing in it.
    #[error("{name}: the file is empty")]
    Empty {
        /// File name.
        name: String,
    },
}

fn known() -> String {
    Format::ALL.iter().map(|format| format.label()).collect::<Vec<_>>().join(", ")
}

/// A line that no row could be made of.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Reject {
    /// Line in its file, counted from 1; for frames, the frame.
    pub line: u64,
    /// Why, for people; foreign text in it is escaped.
    pub reason: String,
}

/// What a reader yields.
// A row is the common case by far: boxing it would cost an allocation per line to save bytes on rejects.
#[allow(clippy::large_enum_variant)]
#[derive(Clone, PartialEq, Debug)]
pub enum Item {
    /// A record.
    Row(Record),
    /// A line that was refused.
    Reject(Reject),
}

/// Where every line went. `lines == rows + structure + continued + rejects`, always.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Counts {
    /// Lines in the file, the last one also when it lacks its line feed. For hpfeeds: frames; for Avro: records.
    pub lines: u64,
    /// Lines that became a row.
    pub rows: u64,
    /// Headers, comments, blank lines.
    pub structure: u64,
    /// Further lines of records that span several.
    pub continued: u64,
    /// Lines that were refused, each reported.
    pub rejects: u64,
    /// The last line lacks its line feed (so `wc -l` counts one less).
    pub unterminated: bool,
    /// Reading stopped at the budget for one file.
    pub stopped_at_budget: bool,
}

impl Counts {
    /// Whether every line is accounted for.
    pub fn balanced(&self) -> bool {
        self.lines == self.rows + self.structure + self.continued + self.rejects
    }
}

type Source = Box<dyn BufRead + Send>;

/// Opens a file; `.gz` and `.zst` content is unpacked on the way, whatever the name.
pub fn open(path: &Path, format: Option<Format>, budget: Budget) -> Result<Reader, ImportError> {
    let shown = path.display();
    let wrong = |what: &str| {
        let what = format!("{shown}: {what}");
        move |source| ImportError::Io { what, source }
    };
    let file = File::open(path).map_err(wrong("cannot be opened"))?;
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Reader::new(Box::new(BufReader::with_capacity(128 << 10, file)), &name, format, budget)
}

/// Reads from memory, or from anything else that can be read.
pub fn open_bytes(
    source: impl Read + Send + 'static,
    name: &str,
    format: Option<Format>,
    budget: Budget,
) -> Result<Reader, ImportError> {
    Reader::new(Box::new(BufReader::new(source)), name, format, budget)
}

/// Files that are not made of lines.
enum Frames {
    Hpfeeds(crate::hpfeeds::FileFrames),
    FlowTuple(crate::flowtuple::Tuples),
}

impl Frames {
    fn next_record(&mut self) -> io::Result<Option<Result<Record, Refusal>>> {
        match self {
            Frames::Hpfeeds(frames) => frames.next_record(),
            Frames::FlowTuple(tuples) => Ok(tuples.next_record()),
        }
    }
}

/// Rows and rejects of one file.
pub struct Reader {
    name: String,
    format: Format,
    budget: Budget,
    lines: Lines<Source>,
    frames: Option<Frames>,
    parser: Box<dyn LineReader + Send>,
    waiting: VecDeque<(u64, Line)>,
    next_number: u64,
    counts: Counts,
}

impl Reader {
    fn new(mut source: Source, name: &str, format: Option<Format>, budget: Budget) -> Result<Self, ImportError> {
        let wrong = |source| ImportError::Io { what: format!("{name}: cannot be read"), source };
        let magic = peek(&mut source, 4).map_err(wrong)?;
        let mut source: Source = match &magic[..] {
            [0x1f, 0x8b, ..] => Box::new(BufReader::new(flate2::bufread::MultiGzDecoder::new(rest(magic, source)))),
            [0x28, 0xb5, 0x2f, 0xfd] => Box::new(BufReader::new(zstd(rest(magic, source)).map_err(wrong)?)),
            _ => Box::new(rest(magic, source)),
        };
        let head = peek(&mut source, HEAD_BYTES).map_err(wrong)?;
        if head.is_empty() {
            return Err(ImportError::Empty { name: name.to_owned() });
        }
        let bare = name.trim_end_matches(".gz").trim_end_matches(".zst");
        let format = format.or_else(|| detect(&head, bare)).ok_or_else(|| ImportError::Unknown {
            name: name.to_owned(),
            begins: shorten(&String::from_utf8_lossy(&head[..head.len().min(200)])),
        })?;
        let source: Source = Box::new(rest(head, source));
        let nothing = || Box::new(io::empty()) as Source;
        let (lines, frames) = match format {
            Format::Hpfeeds => (nothing(), Some(Frames::Hpfeeds(crate::hpfeeds::FileFrames::new(source)))),
            Format::FlowTuple => {
                let bounded = source.take(budget.file_bytes);
                (nothing(), Some(Frames::FlowTuple(crate::flowtuple::Tuples::new(Box::new(bounded)))))
            }
            _ => (source, None),
        };
        Ok(Reader {
            name: name.to_owned(),
            format,
            budget,
            lines: Lines::new(lines, budget),
            frames,
            parser: line_reader(format, bare),
            waiting: VecDeque::new(),
            next_number: 1,
            counts: Counts::default(),
        })
    }

    /// The format that was found, or given.
    pub fn format(&self) -> Format {
        self.format
    }

    /// What has been counted so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// The next row or reject; none at the end of the file.
    pub fn next_item(&mut self) -> Result<Option<Item>, ImportError> {
        if self.frames.is_some() {
            return self.next_frame();
        }
        while let Some((number, line)) = self.next_line()? {
            match self.judge(number, &line)? {
                Outcome::Row(mut record) => {
                    record.line = number;
                    record.format = self.format;
                    self.counts.rows += 1;
                    return Ok(Some(Item::Row(*record)));
                }
                Outcome::Structure => self.counts.structure += 1,
                Outcome::Unfinished => return Ok(Some(self.reject(number, "a quoted field does not end".into()))),
                Outcome::Refused(reason) => return Ok(Some(self.reject(number, reason))),
            }
        }
        Ok(None)
    }

    fn next_frame(&mut self) -> Result<Option<Item>, ImportError> {
        let Some(frames) = &mut self.frames else { return Ok(None) };
        let wrong = |source| ImportError::Io { what: format!("{}: cannot be read", self.name), source };
        let Some(found) = frames.next_record().map_err(wrong)? else { return Ok(None) };
        self.counts.lines += 1;
        match found {
            Ok(record) => {
                self.counts.rows += 1;
                Ok(Some(Item::Row(Record { line: self.counts.lines, ..record })))
            }
            Err(reason) => Ok(Some(self.reject(self.counts.lines, reason))),
        }
    }

    fn reject(&mut self, line: u64, reason: Refusal) -> Item {
        self.counts.rejects += 1;
        Item::Reject(Reject { line, reason })
    }

    fn next_line(&mut self) -> Result<Option<(u64, Line)>, ImportError> {
        if let Some(waiting) = self.waiting.pop_front() {
            return Ok(Some(waiting));
        }
        let line = self.lines.next_line().map_err(|source| ImportError::Io {
            what: format!("{}: reading stopped after line {}", self.name, self.next_number - 1),
            source,
        })?;
        let Some(line) = line else {
            self.counts.stopped_at_budget = self.lines.exhausted;
            return Ok(None);
        };
        self.counts.lines += 1;
        self.counts.unterminated = self.lines.unterminated;
        self.next_number += 1;
        Ok(Some((self.next_number - 1, line)))
    }

    /// Judges a line, joining the following ones when it opens a record that spans several. When such a record does
    /// not end within the budget, only its first line is lost: the others are judged alone.
    fn judge(&mut self, number: u64, line: &Line) -> Result<Outcome, ImportError> {
        let mut text = match decode(line, &self.budget) {
            Ok(text) => text.to_owned(),
            Err(reason) => return Ok(Outcome::Refused(reason)),
        };
        let mut joined: Vec<(u64, Line)> = Vec::new();
        loop {
            match self.parser.line(&text) {
                Outcome::Unfinished => {}
                outcome => {
                    self.counts.continued += joined.len() as u64;
                    return Ok(outcome);
                }
            }
            let more = if joined.len() + 1 < self.budget.record_lines { self.next_line()? } else { None };
            let fits = match &more {
                Some((_, next)) => {
                    decode(next, &self.budget).ok().filter(|t| t.len() + text.len() < self.budget.line_bytes)
                }
                None => None,
            };
            match fits {
                Some(next) => {
                    text.push('\n');
                    text.push_str(next);
                    joined.extend(more);
                }
                None => {
                    let back = joined.into_iter().chain(more);
                    for line in back.rev_collect() {
                        self.waiting.push_front(line);
                    }
                    return Ok(Outcome::Refused(format!("line {number} opens a quoted field that does not end")));
                }
            }
        }
    }
}

trait RevCollect: Iterator + Sized {
    /// The items, last first.
    fn rev_collect(self) -> Vec<Self::Item> {
        let mut all: Vec<_> = self.collect();
        all.reverse();
        all
    }
}
impl<I: Iterator> RevCollect for I {}

impl Iterator for Reader {
    type Item = Result<Item, ImportError>;
    fn next(&mut self) -> Option<Self::Item> {
        self.next_item().transpose()
    }
}

fn decode<'a>(line: &'a Line, budget: &Budget) -> Result<&'a str, Refusal> {
    match line {
        Line::TooLong(length) => Err(format!("{length} bytes long; the longest allowed is {}", budget.line_bytes)),
        Line::Whole(bytes) => std::str::from_utf8(bytes).map_err(|error| format!("not UTF-8: {error}")),
    }
}

fn peek(source: &mut impl Read, most: usize) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    source.take(most as u64).read_to_end(&mut head)?;
    Ok(head)
}

fn rest(head: Vec<u8>, source: Source) -> impl BufRead + Send {
    Cursor::new(head).chain(source)
}

fn zstd(source: impl BufRead + Send + 'static) -> io::Result<impl Read + Send> {
    let mut decoder = zstd::stream::read::Decoder::with_buffer(source)?;
    // Frames that ask for more than 128 MiB of window are refused: memory stays bounded.
    decoder.window_log_max(27)?;
    Ok(decoder)
}
