//! Capture files and streams, framed into raw packets.
//!
//! A [`Reader`] takes pcap (either byte order, micro- or nanoseconds) and pcapng (any sections, interfaces and blocks),
//! plain or compressed with gzip or zstd, from a file or a stream, and yields [`RawBatch`]es of about a quarter of a mebibyte. It
//! frames only; headers are read by [`crate::decode`].
//!
//! A file that ends inside a record gives its complete packets and one [`Problem`]; a file whose start cannot be read
//! is [`CaptureError::Refused`].
//!
//! The framing is our own because it is the serial part of every run: on the 10-million-packet darknet day it takes
//! 10-15 ns per packet, where a general parser that allocates or copies per block takes several times as long (see
//! `BENCHMARKS.md`).

mod pcap;
mod pcapng;
mod reader;
mod stream;

pub use reader::{Reader, discover};

use noroshi_model::report::Problem;

/// Link-layer type as registered for pcap (`LINKTYPE_`).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, PartialOrd, Ord)]
pub struct LinkType(pub u16);

/// A packet record before any header is read.
#[derive(Clone, Copy, Debug)]
pub struct RawRecord {
    /// Nanoseconds since 1970; meaningless unless [`RawRecord::has_time`].
    pub ts: i64,
    /// Where the captured bytes start in [`RawBatch::data`].
    pub start: u32,
    /// Captured length.
    pub cap_len: u32,
    /// Original length, at most `i32::MAX`.
    pub wire_len: u32,
    /// Link-layer type.
    pub link: LinkType,
    /// Whether the record carries a time.
    pub has_time: bool,
    /// The sub-second part was a second or more, or the original length was out of range.
    pub odd: RecordOddity,
}

/// What is odd about the record itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct RecordOddity {
    /// Sub-second part of a second or more.
    pub subsecond: bool,
    /// Original length past `i32::MAX`, or below the captured length.
    pub wire_length: bool,
}

/// Raw packets of one input, in its order.
#[derive(Debug, Default)]
pub struct RawBatch {
    /// Ordinal of the first record in its input.
    pub first_position: u64,
    /// The bytes that records point into.
    pub data: Vec<u8>,
    /// The records.
    pub records: Vec<RawRecord>,
}

/// Why a capture cannot be read (any further).
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// The operating system refused.
    #[error("cannot read: {0}")]
    Io(#[from] std::io::Error),
    /// Nothing in it can be read.
    #[error("{}", .0.text)]
    Refused(Problem),
}

impl CaptureError {
    /// The problem as the report lists it.
    pub fn problem(&self) -> Problem {
        match self {
            CaptureError::Io(error) => problem("io", None, format!("cannot read: {error}")),
            CaptureError::Refused(problem) => problem.clone(),
        }
    }
}

/// Bytes captured of one packet, at most; libpcap's own ceiling (`MAXIMUM_SNAPLEN`).
pub const CAPTURED_BYTES_MAX: u32 = 262_144;

pub(crate) fn problem(code: &str, offset: Option<u64>, text: impl Into<String>) -> Problem {
    Problem { code: code.to_owned(), offset, text: text.into() }
}

/// What a framer says about the bytes it was given.
pub(crate) enum Step {
    /// A whole record or block ends `used` bytes in.
    Took { used: usize },
    /// More bytes are needed; at least this many from the start of the unfinished record.
    Need(usize),
    /// The rest cannot be framed.
    Stop(Problem),
}
