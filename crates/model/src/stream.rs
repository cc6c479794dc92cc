//! What a sensor's stream is made of: numbered records, and the exact account of those that were lost.
//!
//! Every record a sensor produces takes the next sequence number of its stream (sensor, epoch). A record either
//! reaches the hub or is declared in a [`Gap`], so `produced = stored + declared` holds for each stream, always.

use std::fmt;
use std::str::FromStr;

/// Which fixed schema a batch follows. Schemas are known by number on both ends and never taken from the sender.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, serde::Serialize, serde::Deserialize)]
pub struct SchemaId(pub u32);

impl SchemaId {
    /// Table `packets` as declared in [`crate::columns::PACKETS`], first version.
    pub const PACKETS: SchemaId = SchemaId(1);
    /// Table `sessions`, first version.
    pub const SESSIONS: SchemaId = SchemaId(2);
    /// Table `requests`, first version.
    pub const REQUESTS: SchemaId = SchemaId(3);
    /// Table `scans`, first version.
    pub const SCANS: SchemaId = SchemaId(4);
    /// Table `campaigns`, first version.
    pub const CAMPAIGNS: SchemaId = SchemaId(5);
    /// Table `attacks`, first version.
    pub const ATTACKS: SchemaId = SchemaId(6);
    /// Table `infections`, first version.
    pub const INFECTIONS: SchemaId = SchemaId(7);
    /// Table `alerts`, first version.
    pub const ALERTS: SchemaId = SchemaId(8);
    /// Table `flows`, first version.
    pub const FLOWS: SchemaId = SchemaId(16);
    /// Table `links`.
    pub const LINKS: SchemaId = SchemaId(17);
    /// A batch without rows: it only declares gaps.
    pub const NONE: SchemaId = SchemaId(0);
}

impl fmt::Display for SchemaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Why records were lost.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GapReason {
    /// The kernel dropped packets before the sensor saw them.
    Kernel,
    /// A ring or queue inside the sensor was full.
    Ring,
    /// The policy excludes the record.
    Filter,
    /// The policy samples, and the record was not drawn.
    Sampling,
    /// The spool reached its quota and the oldest, least important records were given up.
    Quota,
    /// Stored bytes were damaged and could not be read back.
    Corruption,
    /// The hub refused the batch: it did not decode, or did not fit the schema.
    Refused,
    /// The policy keeps sums only: the packet is counted in a row that stands for several.
    Folded,
}

impl GapReason {
    /// All reasons.
    pub const ALL: [GapReason; 8] = [
        GapReason::Kernel,
        GapReason::Ring,
        GapReason::Filter,
        GapReason::Sampling,
        GapReason::Quota,
        GapReason::Corruption,
        GapReason::Refused,
        GapReason::Folded,
    ];

    /// Stable name.
    pub const fn name(self) -> &'static str {
        match self {
            GapReason::Kernel => "kernel",
            GapReason::Ring => "ring",
            GapReason::Filter => "filter",
            GapReason::Sampling => "sampling",
            GapReason::Quota => "quota",
            GapReason::Corruption => "corruption",
            GapReason::Refused => "refused",
            GapReason::Folded => "folded",
        }
    }
}

impl fmt::Display for GapReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The text names no reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a reason for a gap")]
pub struct UnknownReason(pub String);

impl FromStr for GapReason {
    type Err = UnknownReason;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        GapReason::ALL.into_iter().find(|reason| reason.name() == text).ok_or_else(|| UnknownReason(text.to_owned()))
    }
}

/// Records that will never arrive: `count` of the numbers `first_seq..=last_seq`.
///
/// `count` equals the width of the range when all of it is lost. It is smaller when the lost records lie scattered in
/// the range of a batch that carries the others (a filter that let some through).
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct Gap {
    /// First sequence number of the range.
    pub first_seq: u64,
    /// Last sequence number of the range, inclusive.
    pub last_seq: u64,
    /// Records lost in it, at least one.
    pub count: u64,
    /// Why.
    pub reason: GapReason,
}

impl Gap {
    /// A range that is lost as a whole.
    pub const fn whole(first_seq: u64, last_seq: u64, reason: GapReason) -> Self {
        Gap { first_seq, last_seq, count: last_seq - first_seq + 1, reason }
    }

    /// Sequence numbers in the range; `None` when it ends before it starts or does not fit.
    pub const fn width(&self) -> Option<u64> {
        match self.last_seq.checked_sub(self.first_seq) {
            Some(width) => width.checked_add(1),
            None => None,
        }
    }
}
