//! How much time a row of a roll-up covers.

use crate::lake::types::{NO_HOUR, hour_name};
use noroshi_model::Nanos;
use noroshi_model::time::SECOND;

/// How much time a row of a roll-up covers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Span {
    /// 60 seconds.
    Minute,
    /// 60 minutes.
    Hour,
    /// 24 hours, UTC.
    Day,
}

impl Span {
    /// All, the finest first.
    pub const ALL: [Span; 3] = [Span::Minute, Span::Hour, Span::Day];

    /// Name of the time column.
    pub const fn word(self) -> &'static str {
        ["minute", "hour", "day"][self as usize]
    }

    /// Name of the partition column, which a file never mixes: about as many rows for each span.
    pub const fn partition(self) -> &'static str {
        ["day", "month", "year"][self as usize]
    }

    /// Its length.
    pub const fn nanos(self) -> i64 {
        [60 * SECOND, 3600 * SECOND, 86_400 * SECOND][self as usize]
    }

    /// The minute at which the span begins that holds a minute; both count from 1970.
    pub(crate) const fn floor(self, minute: i32) -> i32 {
        let minutes = (self.nanos() / Span::Minute.nanos()) as i32;
        minute.div_euclid(minutes) * minutes
    }

    /// The next finer one.
    pub const fn finer(self) -> Option<Span> {
        match self {
            Span::Minute => None,
            Span::Hour => Some(Span::Minute),
            Span::Day => Some(Span::Hour),
        }
    }

    /// Letters of an instant in RFC 3339 that name its partition.
    pub(crate) const fn partition_letters(self) -> usize {
        [10, 7, 4][self as usize]
    }

    /// The partition of an instant: `2026-01-31`, `2026-01` or `2026`.
    pub(crate) fn partition_name(self, at: Option<Nanos>) -> String {
        match at.map(hour_name) {
            Some(hour) if hour != NO_HOUR => hour[..self.partition_letters()].to_owned(),
            _ => NO_HOUR.to_owned(),
        }
    }
}
