//! Denial of service: what victims send back ([`backscatter`]), what arrives at them ([`arrival`]), what is asked in
//! their name ([`amplification`]), and many victims of one prefix ([`carpet`]).

pub mod amplification;
pub mod arrival;
pub mod backscatter;
pub mod carpet;
pub mod mute;
pub(crate) mod receivers;
pub mod requests;
pub mod vectors;
pub(crate) mod victims;

use noroshi_model::Nanos;
use noroshi_model::finding::Position;

/// Packets of evidence that a finding keeps, at most.
const EVIDENCE_MAX: usize = 5;

/// Counts, times, one-second peak and evidence of one stream of packets.
#[derive(Clone, Debug, Default)]
pub(crate) struct Meter {
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
    pub(crate) first: Nanos,
    pub(crate) last: Nanos,
    second: i64,
    in_second: u32,
    pub(crate) peak_pps: u32,
    pub(crate) evidence: Vec<Position>,
}

impl Meter {
    /// Adds one packet. Evidence is kept at the 1st, 10th, 100th … packet.
    #[inline]
    pub(crate) fn add(&mut self, ts: Nanos, wire_len: u32, position: impl FnOnce() -> Position) {
        if self.packets == 0 {
            (self.first, self.last) = (ts, ts);
        }
        self.packets += 1;
        self.bytes += u64::from(wire_len);
        self.first = self.first.min(ts);
        self.last = self.last.max(ts);
        let second = ts.seconds();
        if second == self.second {
            self.in_second += 1;
        } else {
            (self.second, self.in_second) = (second, 1);
        }
        self.peak_pps = self.peak_pps.max(self.in_second);
        if self.evidence.len() < EVIDENCE_MAX && self.packets == 10u64.pow(self.evidence.len() as u32) {
            self.evidence.push(position());
        }
    }

    /// Seconds from first to last.
    pub(crate) fn seconds(&self) -> f64 {
        self.last.seconds_since(self.first)
    }
}
