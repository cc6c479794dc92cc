//! Counts that need no table: per input, per slot of time, per oddity.

use noroshi_model::Nanos;
use noroshi_model::packet::{Has, Oddities, Packet, Transport, tcp};
use noroshi_model::report::{FileSummary, Timeline, TransportCounts};
use noroshi_model::time::SECOND;
use std::collections::BTreeMap;

/// Counts of one input.
#[derive(Clone, Debug)]
pub(crate) struct FileTally {
    pub(crate) packets: u64,
    wire: u64,
    captured: u64,
    v4: u64,
    v6: u64,
    transport: [u64; 6],
    first: Option<Nanos>,
    last: Option<Nanos>,
    /// After `latest` until a packet carried a time.
    earliest: Nanos,
    latest: Nanos,
}

impl Default for FileTally {
    fn default() -> Self {
        let (earliest, latest) = (Nanos(i64::MAX), Nanos(i64::MIN));
        let transport = [0; 6];
        FileTally {
            packets: 0,
            wire: 0,
            captured: 0,
            v4: 0,
            v6: 0,
            transport,
            first: None,
            last: None,
            earliest,
            latest,
        }
    }
}

impl FileTally {
    #[inline]
    fn add(&mut self, row: &Packet) {
        self.packets += 1;
        self.wire += u64::from(row.wire_len);
        self.captured += u64::from(row.cap_len);
        self.transport[row.transport as usize] += 1;
        let (ip, v4) = (row.has.has(Has::IP), row.src.is_v4());
        self.v4 += u64::from(ip & v4);
        self.v6 += u64::from(ip & !v4);
        if row.has.has(Has::TIME) {
            self.first = self.first.or(Some(row.ts));
            self.last = Some(row.ts);
            (self.earliest, self.latest) = (self.earliest.min(row.ts), self.latest.max(row.ts));
        }
    }

    /// Appends a later part of the same input.
    fn append(&mut self, later: &FileTally) {
        self.packets += later.packets;
        self.wire += later.wire;
        self.captured += later.captured;
        self.v4 += later.v4;
        self.v6 += later.v6;
        for (sum, count) in self.transport.iter_mut().zip(later.transport) {
            *sum += count;
        }
        self.first = self.first.or(later.first);
        self.last = later.last.or(self.last);
        (self.earliest, self.latest) = (self.earliest.min(later.earliest), self.latest.max(later.latest));
    }

    /// Writes the counts into a summary.
    pub(crate) fn write(&self, summary: &mut FileSummary) {
        let [tcp, udp, icmp, icmpv6, sctp, other] = self.transport;
        summary.packets = self.packets;
        summary.bytes_on_wire = self.wire;
        summary.bytes_captured = self.captured;
        summary.ipv4_packets = self.v4;
        summary.ipv6_packets = self.v6;
        summary.transport = TransportCounts { tcp, udp, icmp, icmpv6, sctp, other };
        (summary.first, summary.last) = (self.first, self.last);
        let timed = self.earliest <= self.latest;
        (summary.earliest, summary.latest) = (timed.then_some(self.earliest), timed.then_some(self.latest));
    }
}

/// Names of the series of the timeline.
const SERIES: [&str; 6] = ["tcp-syn", "tcp-other", "udp", "icmp", "backscatter", "other"];
/// Slot lengths that a timeline may have, seconds.
const SLOT_SECONDS: [i64; 8] = [1, 10, 60, 300, 600, 3_600, 21_600, 86_400];
/// Slots of a timeline, at most; past it the next longer slot is taken.
const SLOTS_MAX: usize = 1_500;

/// Which series a packet counts in. A table and sums where branches would do, as no branch predictor can follow them.
#[inline]
fn series_of(row: &Packet, answer: bool) -> usize {
    const OF: [usize; 8] = {
        let mut of = [5; 8];
        of[Transport::Tcp as usize] = 0;
        of[Transport::Udp as usize] = 2;
        of[Transport::Icmp as usize] = 3;
        of[Transport::Icmpv6 as usize] = 3;
        of
    };
    let other_tcp = (row.transport == Transport::Tcp) & (row.tcp_flags & (tcp::SYN | tcp::ACK) != tcp::SYN);
    if answer { 4 } else { OF[row.transport as usize & 7] + usize::from(other_tcp) }
}

/// Packets per slot; slots grow as the data does.
#[derive(Clone, Debug, Default)]
pub(crate) struct Slots {
    level: usize,
    counts: BTreeMap<i64, [u64; 6]>,
}

impl Slots {
    fn add(&mut self, slot_start: i64, counts: &[u64; 6]) {
        let key = slot_start.div_euclid(SLOT_SECONDS[self.level]);
        for (sum, count) in self.counts.entry(key).or_default().iter_mut().zip(counts) {
            *sum += count;
        }
        while self.too_many() && self.level + 1 < SLOT_SECONDS.len() {
            self.coarsen();
        }
        // Beyond the coarsest level only absurd times are left: the latest slot gives way.
        if self.counts.len() > SLOTS_MAX * 8 {
            self.counts.pop_last();
        }
    }

    /// Gaps count too, since plots show them.
    fn too_many(&self) -> bool {
        let span = match (self.counts.first_key_value(), self.counts.last_key_value()) {
            (Some((first, _)), Some((last, _))) => last - first,
            _ => 0,
        };
        span >= SLOTS_MAX as i64
    }

    fn coarsen(&mut self) {
        let old = SLOT_SECONDS[self.level];
        self.level += 1;
        let new = SLOT_SECONDS[self.level];
        let mut counts = BTreeMap::<i64, [u64; 6]>::new();
        for (key, values) in std::mem::take(&mut self.counts) {
            for (sum, count) in counts.entry((key * old).div_euclid(new)).or_default().iter_mut().zip(values) {
                *sum += count;
            }
        }
        self.counts = counts;
    }

    /// As the report shows it; empty slots are zeros.
    pub(crate) fn timeline(&self) -> Timeline {
        let (Some((first, _)), Some((last, _))) = (self.counts.first_key_value(), self.counts.last_key_value()) else {
            return Timeline::default();
        };
        let slot = SLOT_SECONDS[self.level];
        let count = (last - first + 1).min(SLOTS_MAX as i64 + 1) as usize;
        let mut series: BTreeMap<String, Vec<u64>> =
            SERIES.iter().map(|name| ((*name).to_owned(), vec![0; count])).collect();
        for (key, values) in &self.counts {
            let at = (key - first) as usize;
            for (name, value) in SERIES.iter().zip(values) {
                if let Some(cell) = series.get_mut(*name).and_then(|cells| cells.get_mut(at)) {
                    *cell += value;
                }
            }
        }
        Timeline { start: Some(Nanos::from_seconds(first * slot)), slot_seconds: slot as u64, series }
    }
}

/// Counts of one batch, made in parallel and added up in order.
#[derive(Clone)]
pub(crate) struct BatchTally {
    file: u32,
    tally: FileTally,
    slots: Vec<(i64, [u64; 6])>,
    oddities: [u32; 32],
    /// The second that is being counted: when it starts and ends, and its packets by series.
    second: std::ops::Range<i64>,
    counts: [u64; 6],
}

impl BatchTally {
    pub(crate) fn new(file: u32) -> Self {
        let (tally, slots) = (FileTally::default(), Vec::new());
        BatchTally { file, tally, slots, oddities: [0; 32], second: 0..0, counts: [0; 6] }
    }

    /// Adds a packet. `answer`: it is backscatter; `kept`: it lies within the time that was asked for.
    #[inline]
    pub(crate) fn add(&mut self, row: &Packet, answer: bool, kept: bool) {
        self.tally.add(row);
        if !kept {
            return;
        }
        let mut bits = row.oddities.0;
        while bits != 0 {
            self.oddities[bits.trailing_zeros() as usize] += 1;
            bits &= bits - 1;
        }
        if row.has.has(Has::TIME) {
            if !self.second.contains(&row.ts.0) {
                self.next_second(row.ts);
            }
            self.counts[series_of(row, answer)] += 1;
        }
    }

    #[cold]
    fn next_second(&mut self, ts: Nanos) {
        if !self.second.is_empty() {
            self.slots.push((Nanos(self.second.start).seconds(), std::mem::take(&mut self.counts)));
        }
        // At the ends of the range of times a second may be cut; what is left of it is counted as one of its own.
        let start = ts.seconds().saturating_mul(SECOND);
        self.second = start.min(ts.0)..start.saturating_add(SECOND).max(ts.0.saturating_add(1));
    }

    /// Time of the last packet that carried one.
    pub(crate) fn last(&self) -> Option<Nanos> {
        self.tally.last
    }

    /// Closes the second that is being counted.
    pub(crate) fn finish(&mut self) {
        if !self.second.is_empty() {
            self.slots.push((Nanos(self.second.start).seconds(), std::mem::take(&mut self.counts)));
        }
        self.second = 0..0;
    }
}

/// Counts of the whole run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) files: Vec<FileTally>,
    pub(crate) slots: Slots,
    oddities: [u64; 32],
}

impl Tally {
    pub(crate) fn add(&mut self, batch: &BatchTally) {
        let file = batch.file as usize;
        if self.files.len() <= file {
            self.files.resize(file + 1, FileTally::default());
        }
        self.files[file].append(&batch.tally);
        for (second, counts) in &batch.slots {
            self.slots.add(*second, counts);
        }
        for (sum, count) in self.oddities.iter_mut().zip(batch.oddities) {
            *sum += u64::from(count);
        }
    }

    /// Seconds from the first to the last slot in which anything was seen.
    pub(crate) fn observed_seconds(&self) -> f64 {
        let slot = SLOT_SECONDS[self.slots.level];
        match (self.slots.counts.first_key_value(), self.slots.counts.last_key_value()) {
            (Some((first, _)), Some((last, _))) => ((last - first) * slot) as f64,
            _ => 0.0,
        }
    }

    /// Oddity code to number of packets; only those that occurred.
    pub(crate) fn oddities(&self) -> BTreeMap<String, u64> {
        Oddities::NAMES
            .iter()
            .map(|(bit, code)| ((*code).to_owned(), self.oddities[bit.0.trailing_zeros() as usize]))
            .filter(|(_, count)| *count > 0)
            .collect()
    }
}
