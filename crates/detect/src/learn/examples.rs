//! What one source did in one minute, as numbers that do not see TCP flags.

use noroshi_model::packet::{Has, Packet, Transport, tcp};
use noroshi_model::{Addr, Nanos};
use noroshi_stats::share;
use std::collections::BTreeMap;

/// The features, in order.
pub const FEATURES: [&str; 15] = [
    "packets",
    "destinations",
    "source ports",
    "destination ports",
    "largest share of a source port",
    "largest share of a destination port",
    "entropy of destinations, bits",
    "entropy of source ports, bits",
    "entropy of destination ports, bits",
    "share of source ports below 1024",
    "mean gap, seconds",
    "deviation of gaps, seconds",
    "mean length, bytes",
    "deviation of lengths, bytes",
    "mean step between destinations, log2",
];

/// Packets a source needs in a minute; fewer have no shares and no gaps.
pub const PACKETS_MIN: usize = 3;
/// Packets of a minute held; more are counted, not kept.
const MINUTE_MAX: usize = 4_000_000;
/// Examples kept; beyond, every second is dropped, then every fourth, and so on.
const EXAMPLES_MAX: usize = 400_000;

/// One source in one minute.
#[derive(Clone, PartialEq, Debug)]
pub struct Example {
    /// Who.
    pub source: Addr,
    /// Start of the minute.
    pub at: Nanos,
    /// Values of [`FEATURES`].
    pub features: Vec<f64>,
    /// Whether the flags say backscatter; none where no flags tell (UDP).
    pub backscatter: Option<bool>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Row {
    source: Addr,
    at: Nanos,
    destination: Addr,
    sport: u16,
    dport: u16,
    length: u32,
    class: u8,
}

/// Collects examples from packets in the order of time.
#[derive(Clone, Debug, Default)]
pub struct Collector {
    minute: i64,
    rows: Vec<Row>,
    found: Vec<Example>,
    thinned: u32,
    made: u64,
    /// Packets that came after their minute, or found it full.
    pub left_out: u64,
}

const SCAN: u8 = 0;
const BACKSCATTER: u8 = 1;
const UNKNOWN: u8 = 2;

/// What the flags say: an answer, a question, neither (not used), or nothing because there are none.
fn class(packet: &Packet) -> Option<u8> {
    match packet.transport {
        Transport::Tcp => {
            let flags = packet.tcp_flags & (tcp::SYN | tcp::ACK | tcp::RST | tcp::FIN);
            match flags {
                flags if flags & tcp::RST != 0 => Some(BACKSCATTER),
                flags if flags == tcp::SYN | tcp::ACK => Some(BACKSCATTER),
                tcp::SYN => Some(SCAN),
                _ => None,
            }
        }
        Transport::Udp => Some(UNKNOWN),
        _ => None,
    }
}

impl Collector {
    /// Takes one packet.
    pub fn observe(&mut self, packet: &Packet) {
        if !packet.has.has(Has::IP | Has::TIME | Has::PORTS) {
            return;
        }
        let Some(class) = class(packet) else { return };
        let minute = packet.ts.seconds().div_euclid(60);
        if minute > self.minute || self.rows.is_empty() {
            self.close();
            self.minute = minute;
        }
        if minute < self.minute || self.rows.len() >= MINUTE_MAX {
            self.left_out += 1;
            return;
        }
        self.rows.push(Row {
            source: packet.src,
            at: packet.ts,
            destination: packet.dst,
            sport: packet.sport,
            dport: packet.dport,
            length: packet.wire_len,
            class,
        });
    }

    fn close(&mut self) {
        let mut rows = std::mem::take(&mut self.rows);
        rows.sort_unstable();
        for one in rows.chunk_by(|a, b| a.source == b.source) {
            for class in [SCAN, BACKSCATTER, UNKNOWN] {
                let rows: Vec<Row> = one.iter().filter(|row| row.class == class).copied().collect();
                if rows.len() >= PACKETS_MIN {
                    self.keep(&rows, class);
                }
            }
        }
    }

    fn keep(&mut self, rows: &[Row], class: u8) {
        self.made += 1;
        if !self.made.is_multiple_of(1 << self.thinned) {
            return;
        }
        if self.found.len() >= EXAMPLES_MAX {
            let mut index = 0;
            self.found.retain(|_| {
                index += 1;
                index % 2 == 0
            });
            self.thinned += 1;
        }
        self.found.push(Example {
            source: rows[0].source,
            at: Nanos::from_seconds(self.minute * 60),
            features: features(rows),
            backscatter: (class != UNKNOWN).then_some(class == BACKSCATTER),
        });
    }

    /// The examples, by time.
    pub fn finish(mut self) -> Vec<Example> {
        self.close();
        self.found
    }
}

/// How often each value stands there.
fn tally<T: Ord>(values: impl Iterator<Item = T>) -> Vec<f64> {
    let mut counts: BTreeMap<T, f64> = BTreeMap::new();
    values.for_each(|value| *counts.entry(value).or_default() += 1.0);
    counts.into_values().collect()
}

fn mean_and_deviation(values: &[f64]) -> (f64, f64) {
    let count = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / count;
    (mean, (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt())
}

fn features(rows: &[Row]) -> Vec<f64> {
    let count = rows.len() as f64;
    let destinations = tally(rows.iter().map(|row| row.destination));
    let (sports, dports) = (tally(rows.iter().map(|row| row.sport)), tally(rows.iter().map(|row| row.dport)));
    let largest = |counts: &[f64]| counts.iter().copied().fold(0.0, f64::max) / count;
    let entropy = |counts: &[f64]| share::entropy(counts).unwrap_or(0.0);
    let gaps: Vec<f64> = rows.windows(2).map(|pair| pair[1].at.seconds_since(pair[0].at)).collect();
    let lengths: Vec<f64> = rows.iter().map(|row| f64::from(row.length)).collect();
    let steps: Vec<f64> = rows
        .windows(2)
        .map(|pair| (pair[0].destination.0.abs_diff(pair[1].destination.0) as f64 + 1.0).log2())
        .collect();
    let ((gap, gaps), (length, lengths), (step, _)) =
        (mean_and_deviation(&gaps), mean_and_deviation(&lengths), mean_and_deviation(&steps));
    vec![
        count.ln(),
        (destinations.len() as f64).ln(),
        (sports.len() as f64).ln(),
        (dports.len() as f64).ln(),
        largest(&sports),
        largest(&dports),
        entropy(&destinations),
        entropy(&sports),
        entropy(&dports),
        rows.iter().filter(|row| row.sport < 1_024).count() as f64 / count,
        gap,
        gaps,
        length,
        lengths,
        step,
    ]
}
