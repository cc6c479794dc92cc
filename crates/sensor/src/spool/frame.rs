//! One frame on disk: a batch with everything needed to send it and to notice damage.
//!
//! ```text
//! magic 4 | version 1 | zero 3 | schema 4 | gaps length 4 | body length 4 | rows 8 | first 8 | last 8 | epoch 16
//! | CRC32C of gaps and body 4 | CRC32C of the header 4 | gaps (JSON) | body (Arrow stream)
//! ```
//! Integers are little endian. Lengths are checked against their bounds and the file before anything is allocated.

use noroshi_model::stream::{Gap, SchemaId};
use noroshi_wire::message::{BatchHead, Epoch};

pub(super) const HEADER: usize = 68;
const MAGIC: [u8; 4] = *b"NRSF";
const VERSION: u8 = 1;
const GAPS_BYTES_MAX: usize = 256 << 10;
/// Arrow bytes of one frame; a little above what the hub takes, so that the hub's refusal is what decides.
const BODY_BYTES_MAX: usize = noroshi_wire::BATCH_BYTES_MAX * 2;

/// A header that was read back intact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub schema: SchemaId,
    pub gaps_length: usize,
    pub body_length: usize,
    pub rows: u64,
    pub first_seq: u64,
    pub last_seq: u64,
    pub epoch: Epoch,
    pub crc: u32,
}

impl Header {
    /// Bytes of the whole frame.
    pub fn frame_length(&self) -> usize {
        HEADER + self.gaps_length + self.body_length
    }

    /// Reads a header at the start of `bytes`; `None` when there is none or it is damaged.
    pub fn read(bytes: &[u8]) -> Option<Header> {
        let bytes: &[u8; HEADER] = bytes.get(..HEADER)?.try_into().ok()?;
        let u32_at = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
        let u64_at = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
        if bytes[..4] != MAGIC || bytes[4] != VERSION || crc32c::crc32c(&bytes[..HEADER - 4]) != u32_at(HEADER - 4) {
            return None;
        }
        let header = Header {
            schema: SchemaId(u32_at(8)),
            gaps_length: u32_at(12) as usize,
            body_length: u32_at(16) as usize,
            rows: u64_at(20),
            first_seq: u64_at(28),
            last_seq: u64_at(36),
            epoch: Epoch(bytes[44..60].try_into().expect("sixteen bytes")),
            crc: u32_at(60),
        };
        let sound = header.gaps_length <= GAPS_BYTES_MAX
            && header.body_length <= BODY_BYTES_MAX
            && header.first_seq >= 1
            && header.first_seq <= header.last_seq;
        sound.then_some(header)
    }

    /// The batch head, from the bytes that follow the header; `None` when they are damaged.
    pub fn open(&self, rest: &[u8]) -> Option<(BatchHead, std::ops::Range<usize>)> {
        let rest = rest.get(..self.gaps_length + self.body_length)?;
        if crc32c::crc32c(rest) != self.crc {
            return None;
        }
        let gaps: Vec<Gap> = serde_json::from_slice(&rest[..self.gaps_length]).ok()?;
        let head = BatchHead {
            epoch: self.epoch,
            first_seq: self.first_seq,
            last_seq: self.last_seq,
            schema: self.schema,
            rows: self.rows,
            gaps,
        };
        Some((head, self.gaps_length..rest.len()))
    }
}

/// The bytes of a frame.
pub(super) fn write(head: &BatchHead, body: &[u8]) -> Vec<u8> {
    let gaps = serde_json::to_vec(&head.gaps).expect("numbers and names");
    let mut out = Vec::with_capacity(HEADER + gaps.len() + body.len());
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&[VERSION, 0, 0, 0]);
    out.extend_from_slice(&head.schema.0.to_le_bytes());
    out.extend_from_slice(&(gaps.len() as u32).to_le_bytes());
    out.extend_from_slice(&(body.len() as u32).to_le_bytes());
    out.extend_from_slice(&head.rows.to_le_bytes());
    out.extend_from_slice(&head.first_seq.to_le_bytes());
    out.extend_from_slice(&head.last_seq.to_le_bytes());
    out.extend_from_slice(&head.epoch.0);
    let crc = crc32c::crc32c_append(crc32c::crc32c(&gaps), body);
    out.extend_from_slice(&crc.to_le_bytes());
    let header_crc = crc32c::crc32c(&out);
    out.extend_from_slice(&header_crc.to_le_bytes());
    out.extend_from_slice(&gaps);
    out.extend_from_slice(body);
    out
}

/// Where the next intact header starts at or after `from`; damage in the middle of a segment is skipped this way.
pub(super) fn resync(bytes: &[u8], from: usize) -> Option<usize> {
    (from..bytes.len().saturating_sub(HEADER - 1))
        .find(|at| bytes[*at..].starts_with(&MAGIC) && Header::read(&bytes[*at..]).is_some())
}
