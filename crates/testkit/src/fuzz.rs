//! Every parser of foreign bytes as a function over bytes, and inputs for it.
//!
//! One list serves three drivers: cargo-fuzz (`fuzz/`, guided by coverage), the plain driver of this crate (example
//! `fuzz`, any toolchain) and a test that replays the seeds with a few thousand mutations. A target must return for any
//! input: no panic, no unbounded work. `cargo xtask tidy` refuses a parser without a target.

mod lures;
mod samples;

use noroshi_enrich::LoadError;
use noroshi_enrich::load::{self, Limits, Parsed};
use noroshi_import::hpfeeds::{Broker, Client};
use noroshi_import::{Budget, Format};
use noroshi_malware::archive;
use noroshi_malware::{Features, labels};
use noroshi_model::Nanos;
use noroshi_packet::capture::{LinkType, Reader};
use noroshi_packet::decode::{decode, decode_frame};
use noroshi_share::intake::{self, PartnerFinding};
use std::io::Cursor;

/// One parser.
pub struct Target {
    /// Name of the target, of its file in `fuzz/fuzz_targets` and of its folder in `fuzz/seeds`.
    pub name: &'static str,
    /// Runs the parser to its end.
    pub run: fn(&[u8]),
}

/// All parsers.
pub const TARGETS: &[Target] = &[
    Target { name: "capture", run: capture },
    Target { name: "frame", run: frame },
    Target { name: "filter", run: filter },
    Target { name: "list-any", run: |bytes| list(load::read, bytes) },
    Target { name: "mmdb", run: |bytes| list(load::mmdb, bytes) },
    Target { name: "mrt", run: |bytes| list(load::mrt, bytes) },
    Target { name: "prefix-csv", run: |bytes| list(load::csv, bytes) },
    Target { name: "delegated", run: |bytes| list(load::delegated, bytes) },
    Target { name: "warninglist", run: |bytes| list(load::warninglist, bytes) },
    Target { name: "address-list", run: |bytes| list(load::address_list, bytes) },
    Target { name: "ipset", run: |bytes| list(load::ipset, bytes) },
    Target { name: "maltrail", run: |bytes| list(load::maltrail, bytes) },
    Target { name: "logs", run: logs },
    Target { name: "hpfeeds-client", run: hpfeeds_client },
    Target { name: "hpfeeds-broker", run: hpfeeds_broker },
    Target { name: "elf", run: |bytes| program(b"\x7fELF", bytes) },
    Target { name: "pe", run: |bytes| program(b"MZ", bytes) },
    Target { name: "archive", run: archive_walk },
    Target { name: "label-list", run: label_list },
    Target { name: "lure-telnet", run: lures::telnet },
    Target { name: "lure-http", run: lures::http },
    Target { name: "lure-adb", run: lures::adb },
    Target { name: "lure-redis", run: lures::redis },
    Target { name: "lure-upnp", run: lures::upnp },
    Target { name: "lure-ssh", run: lures::ssh },
    Target { name: "lure-datagram", run: lures::datagram },
    Target { name: "lure-segment", run: lures::segment },
    Target { name: "intake", run: intake },
    Target { name: "partner-finding", run: partner_finding },
    Target { name: "profile", run: samples::profiles },
    Target { name: "correlate-model", run: samples::correlate_model },
    Target { name: "sandbox-trace", run: samples::sandbox_trace },
    Target { name: "sandbox-packets", run: samples::sandbox_packets },
];

/// The target of this name.
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}

/// A STIX bundle or a MISP event: what is taken from it is harmless to show.
fn intake(bytes: &[u8]) {
    let Ok(taken) = intake::read(bytes, NOW) else { return };
    assert!(taken.foreign.len() as u64 <= taken.objects.saturating_mul(2), "more is said than there is");
    taken.foreign.iter().for_each(harmless);
    std::hint::black_box(taken.refused.len());
}

/// Findings as partners push them.
fn partner_finding(bytes: &[u8]) {
    let Ok(pushed) = serde_json::from_slice::<Vec<PartnerFinding>>(bytes) else { return };
    intake::partner_findings(&pushed, NOW).iter().flatten().for_each(harmless);
}

/// The time at which fuzz targets run.
const NOW: Nanos = Nanos(1_767_225_600_000_000_000);

fn harmless(said: &intake::Foreign) {
    assert!((0.0..=1.0).contains(&said.confidence), "{}", said.confidence);
    assert!(!said.text.chars().chain(said.id.chars()).any(noroshi_share::safe::is_hidden), "{said:?}");
}

/// Capture files of any format, compressed or not, decoded to rows.
fn capture(bytes: &[u8]) {
    let Ok(mut reader) = Reader::new(Cursor::new(bytes.to_vec())) else { return };
    while let Some(raw) = reader.next_batch() {
        let batch = decode(raw, 0);
        std::hint::black_box(batch.rows.len());
    }
}

/// One frame; its first two bytes choose the link type.
fn frame(bytes: &[u8]) {
    let Some((link, data)) = bytes.split_first_chunk::<2>() else { return };
    let wire_len = u32::try_from(data.len()).unwrap_or(u32::MAX);
    let mut rare = Vec::new();
    std::hint::black_box(decode_frame(data, Nanos(0), wire_len, LinkType(u16::from_be_bytes(*link)), &mut rare));
}

/// One expression, asked of its own bytes as a frame.
fn filter(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(filter) = noroshi_packet::filter::Filter::compile(text) {
        for link in [LinkType::ETHERNET, LinkType::RAW] {
            std::hint::black_box(filter.matches(link, bytes, 60));
        }
    }
}

/// Tables of addresses. Less may be unpacked than in earnest, so that a bomb costs a run little.
fn list(read: fn(&[u8], &str, &Limits) -> Result<Parsed, LoadError>, bytes: &[u8]) {
    let limits = Limits { bytes_max: 16 << 20, entries_max: 200_000, ..Limits::default() };
    let _refused_or_read = std::hint::black_box(read(bytes, "fuzz", &limits));
}

/// Other people's logs; the first byte chooses the format, and past the last format it is found out.
fn logs(bytes: &[u8]) {
    let Some((choice, data)) = bytes.split_first() else { return };
    let budget = Budget { line_bytes: 64 << 10, file_bytes: 16 << 20, record_lines: 64 };
    let format = Format::ALL.get(usize::from(*choice)).copied();
    let Ok(mut reader) = noroshi_import::open_bytes(Cursor::new(data.to_vec()), "fuzz", format, budget) else { return };
    while let Ok(Some(item)) = reader.next_item() {
        std::hint::black_box(&item);
    }
    let counts = reader.counts();
    std::hint::black_box(counts.balanced());
}

/// What a broker sends, in pieces of two sizes.
fn hpfeeds_client(bytes: &[u8]) {
    let mut client = Client::new("ident", "secret", &["channel"]);
    let (head, tail) = bytes.split_at(bytes.len() / 3);
    if client.feed(head).is_ok() {
        let _ended_or_not = client.feed(tail);
    }
}

/// What a client sends.
fn hpfeeds_broker(bytes: &[u8]) {
    let (mut broker, _hello) = Broker::greet("broker", [1, 2, 3, 4]);
    let (head, tail) = bytes.split_at(bytes.len() / 3);
    broker.feed(head, |_| None);
    broker.feed(tail, |_| None);
}

/// A program of one format: headers, sections, symbols, texts, opcodes.
fn program(magic: &[u8], bytes: &[u8]) {
    let mut bytes = bytes.to_vec();
    // Without its magic it is no program, and nothing is read.
    for (byte, magic) in bytes.iter_mut().zip(magic) {
        *byte = *magic;
    }
    let _refused_or_read = std::hint::black_box(Features::of(&bytes));
}

/// Archives of any format, within a smaller budget than in earnest.
fn archive_walk(bytes: &[u8]) {
    let budget = archive::Budget { decoded_bytes_max: 1 << 20, ..archive::Budget::default() };
    let _refused_or_read = std::hint::black_box(archive::walk("fuzz", bytes, "infected", 1 << 20, budget));
}

/// Lists of hashes with families.
fn label_list(bytes: &[u8]) {
    let _refused_or_read = std::hint::black_box(labels::read(bytes));
}

/// A small generator of pseudo-random numbers (splitmix64): the same seed gives the same inputs on every machine.
pub struct Mutator(u64);

/// Values at which length and offset fields go wrong.
const EDGES: [u64; 10] = [0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0xffff, 0x7fff_ffff, 0xffff_ffff, u64::MAX];

/// Mutated inputs grow no further than this.
const INPUT_BYTES_MAX: usize = 64 << 10;

impl Mutator {
    /// Starts from a seed.
    pub fn new(seed: u64) -> Self {
        Mutator(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    /// An input made from one of the seeds by a few changes, at times spliced with another.
    pub fn input(&mut self, seeds: &[Vec<u8>]) -> Vec<u8> {
        let Some(first) = seeds.get(self.below(seeds.len())) else { return Vec::new() };
        let mut bytes = first.clone();
        if self.below(8) == 0
            && let Some(other) = seeds.get(self.below(seeds.len()))
        {
            bytes.truncate(self.below(bytes.len() + 1));
            bytes.extend_from_slice(&other[self.below(other.len() + 1)..]);
        }
        for _ in 0..=self.below(6) {
            self.change(&mut bytes);
        }
        bytes.truncate(INPUT_BYTES_MAX);
        bytes
    }

    fn change(&mut self, bytes: &mut Vec<u8>) {
        if bytes.is_empty() {
            bytes.push(self.next() as u8);
            return;
        }
        let at = self.below(bytes.len());
        let run = 1 + self.below(16.min(bytes.len() - at));
        match self.below(8) {
            0 => bytes[at] ^= 1 << self.below(8),
            1 => bytes[at] = self.next() as u8,
            2 => self.edge(bytes, at),
            3 => drop(bytes.drain(at..at + run)),
            4 => {
                let copy = bytes[at..at + run].to_vec();
                let to = self.below(bytes.len());
                bytes.splice(to..to, copy);
            }
            5 => bytes.truncate(at),
            6 => bytes[at] = bytes[at].wrapping_add(if self.below(2) == 0 { 1 } else { 255 }),
            _ => {
                let noise = self.next().to_le_bytes();
                bytes.splice(at..at, noise[..1 + self.below(8)].iter().copied());
            }
        }
    }

    /// Writes an edge value over one, two, four or eight bytes, in either order.
    fn edge(&mut self, bytes: &mut [u8], at: usize) {
        let value = EDGES[self.below(EDGES.len())];
        let width = (1_usize << self.below(4)).min(bytes.len() - at);
        let (little, big) = (value.to_le_bytes(), value.to_be_bytes());
        let chosen = if self.below(2) == 0 { &little[..width] } else { &big[8 - width..] };
        bytes[at..at + width].copy_from_slice(chosen);
    }
}
