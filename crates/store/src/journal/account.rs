//! Does a batch fit its stream? A pure decision, made inside the transaction that stores it.

use super::JournalBatch;
use noroshi_model::stream::Gap;

/// Gaps one batch may declare. A sensor that needs more sends a batch of gaps first.
const MAX_GAPS: usize = 4096;

/// Why a batch does not fit its stream.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Numbers are missing and nothing declares them lost.
    #[error("records {from}..={through} are missing and no gap declares them lost")]
    Hole {
        /// First missing number.
        from: u64,
        /// Last missing number.
        through: u64,
    },
    /// The same numbers with other content were stored before: a copied or forged sensor.
    #[error("forked stream: these numbers were stored before with different content (was the sensor copied?)")]
    Forked,
    /// It begins inside what is stored and ends outside, or cuts stored batches differently.
    #[error("it overlaps records already stored up to {watermark} without repeating a stored batch")]
    Overlap {
        /// Last stored number.
        watermark: u64,
    },
    /// The range is empty, inverted or too large.
    #[error("its sequence numbers are not a range")]
    Range,
    /// A gap that is inverted, empty, overlaps another or lies outside of hole and batch.
    #[error("gap {first_seq}..={last_seq} of {count} records does not fit the batch")]
    Gap {
        /// First number of the gap.
        first_seq: u64,
        /// Last number of the gap.
        last_seq: u64,
        /// Records it declares lost.
        count: u64,
    },
    /// More gaps than one batch may declare.
    #[error("{found} gaps in one batch (at most {MAX_GAPS})")]
    TooManyGaps {
        /// How many.
        found: usize,
    },
    /// Bytes without records or records without bytes.
    #[error("it declares {records} records and carries {bytes} bytes")]
    Content {
        /// Records left after the gaps.
        records: u64,
        /// Length of its bytes.
        bytes: usize,
    },
}

/// What a batch adds to its stream's account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    /// Where the stream starts, for its first batch.
    pub start_seq: u64,
    /// Records carried.
    pub stored: u64,
    /// Records declared lost.
    pub lost: u64,
}

/// How a batch stands to its stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It continues the stream.
    New(Entry),
    /// All its numbers were stored before; the hashes decide.
    Old,
}

/// Compares a batch with the last stored number of its stream.
pub(super) fn judge(watermark: Option<u64>, batch: &JournalBatch) -> Result<Verdict, Refusal> {
    let width = batch
        .last_seq
        .checked_sub(batch.first_seq)
        .and_then(|w| w.checked_add(1))
        .filter(|_| batch.last_seq < i64::MAX as u64)
        .ok_or(Refusal::Range)?;
    if batch.gaps.len() > MAX_GAPS {
        return Err(Refusal::TooManyGaps { found: batch.gaps.len() });
    }
    if let Some(watermark) = watermark {
        if batch.last_seq <= watermark {
            return Ok(Verdict::Old);
        }
        if batch.first_seq <= watermark {
            return Err(Refusal::Overlap { watermark });
        }
    }
    // A stream counts from 0 or from 1, whichever its first number is; a gap may come first.
    let lowest = batch.gaps.iter().map(|gap| gap.first_seq).min().unwrap_or(batch.first_seq).min(batch.first_seq);
    let expected = watermark.map_or(lowest.min(1), |w| w + 1);
    let before = fill_hole(expected, batch)?;
    let inside = lost_inside(width, batch)?;
    let stored = width - inside;
    if (stored == 0) != batch.bytes.is_empty() {
        return Err(Refusal::Content { records: stored, bytes: batch.bytes.len() });
    }
    Ok(Verdict::New(Entry { start_seq: expected, stored, lost: before + inside }))
}

fn refused(gap: &Gap) -> Refusal {
    Refusal::Gap { first_seq: gap.first_seq, last_seq: gap.last_seq, count: gap.count }
}

/// Gaps before the batch must cover the hole without overlap; returns its width.
fn fill_hole(expected: u64, batch: &JournalBatch) -> Result<u64, Refusal> {
    let mut before: Vec<&Gap> = batch.gaps.iter().filter(|gap| gap.first_seq < batch.first_seq).collect();
    before.sort_by_key(|gap| gap.first_seq);
    let mut next = expected;
    for gap in before {
        if gap.last_seq >= batch.first_seq || gap.width() != Some(gap.count) || gap.first_seq < next {
            return Err(refused(gap));
        }
        if gap.first_seq > next {
            return Err(Refusal::Hole { from: next, through: gap.first_seq - 1 });
        }
        next = gap.last_seq + 1;
    }
    if next < batch.first_seq {
        return Err(Refusal::Hole { from: next, through: batch.first_seq - 1 });
    }
    Ok(next - expected)
}

/// Records lost inside the batch's own range.
fn lost_inside(width: u64, batch: &JournalBatch) -> Result<u64, Refusal> {
    let mut lost = 0u64;
    for gap in batch.gaps.iter().filter(|gap| gap.first_seq >= batch.first_seq) {
        let fits = gap.width().is_some_and(|own| (1..=own).contains(&gap.count)) && gap.last_seq <= batch.last_seq;
        lost = lost.checked_add(gap.count).filter(|sum| fits && *sum <= width).ok_or_else(|| refused(gap))?;
    }
    Ok(lost)
}

#[cfg(test)]
mod tests {
    use super::*;
    use noroshi_model::stream::{GapReason, SchemaId};

    fn batch(first_seq: u64, last_seq: u64, gaps: &[(u64, u64, u64)]) -> JournalBatch {
        let gap = |&(first_seq, last_seq, count)| Gap { first_seq, last_seq, count, reason: GapReason::Kernel };
        JournalBatch {
            sensor: "s".into(),
            epoch: [0; 16],
            first_seq,
            last_seq,
            schema: SchemaId::PACKETS,
            bytes: bytes::Bytes::from_static(b"x"),
            gaps: gaps.iter().map(gap).collect(),
        }
    }

    #[test]
    fn a_batch_continues_its_stream_or_says_why_not() {
        let entry = |start_seq, stored, lost| Ok(Verdict::New(Entry { start_seq, stored, lost }));
        assert_eq!(judge(None, &batch(0, 9, &[])), entry(0, 10, 0));
        assert_eq!(judge(None, &batch(1, 9, &[])), entry(1, 9, 0));
        assert_eq!(judge(None, &batch(2, 9, &[])), Err(Refusal::Hole { from: 1, through: 1 }));
        assert_eq!(judge(None, &batch(2, 9, &[(0, 1, 2)])), entry(0, 8, 2));
        assert_eq!(judge(Some(9), &batch(10, 19, &[])), entry(10, 10, 0));
        assert_eq!(judge(Some(9), &batch(12, 19, &[])), Err(Refusal::Hole { from: 10, through: 11 }));
        assert_eq!(judge(Some(9), &batch(12, 19, &[(10, 11, 2)])), entry(10, 8, 2));
        assert_eq!(judge(Some(9), &batch(13, 19, &[(12, 12, 1), (10, 11, 2)])), entry(10, 7, 3));
        assert_eq!(judge(Some(9), &batch(13, 19, &[(12, 12, 1)])), Err(Refusal::Hole { from: 10, through: 11 }));
        assert_eq!(judge(Some(9), &batch(10, 19, &[(10, 19, 4)])), entry(10, 6, 4));
        assert_eq!(judge(Some(9), &batch(5, 9, &[])), Ok(Verdict::Old));
        assert_eq!(judge(Some(9), &batch(9, 10, &[])), Err(Refusal::Overlap { watermark: 9 }));
    }

    #[test]
    fn impossible_accounts_are_refused() {
        let gap = |first_seq, last_seq, count| Err(Refusal::Gap { first_seq, last_seq, count });
        assert_eq!(judge(None, &batch(5, 4, &[])), Err(Refusal::Range));
        assert_eq!(judge(None, &batch(0, u64::MAX, &[])), Err(Refusal::Range));
        assert_eq!(judge(Some(9), &batch(12, 19, &[(10, 11, 1)])), gap(10, 11, 1));
        assert_eq!(judge(Some(9), &batch(12, 19, &[(10, 12, 3)])), gap(10, 12, 3));
        assert_eq!(judge(Some(9), &batch(12, 19, &[(10, 11, 2), (11, 11, 1)])), gap(11, 11, 1));
        assert_eq!(judge(Some(9), &batch(10, 19, &[(18, 20, 3)])), gap(18, 20, 3));
        assert_eq!(judge(Some(9), &batch(10, 19, &[(10, 19, 6), (10, 19, 6)])), gap(10, 19, 6));
        assert_eq!(judge(Some(9), &batch(10, 19, &[(12, 11, 0)])), gap(12, 11, 0));
        assert_eq!(judge(Some(9), &batch(10, 19, &[(10, 19, 10)])), Err(Refusal::Content { records: 0, bytes: 1 }));
    }
}
