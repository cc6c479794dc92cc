//! The published report, `noroshi.report/1`: what `noroshi analyze --format json` prints.
//!
//! Field names, order and meaning are the contract in `docs/report.schema.json`.

use crate::finding::{Attack, Campaign, Label, Scan, Tool};
use crate::{Addr, Nanos, Prefix};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Name and version of the contract.
pub const SCHEMA: &str = "noroshi.report/1";

/// The whole report.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Report {
    /// Always [`SCHEMA`].
    pub schema: String,
    /// When the report was made.
    pub generated: Nanos,
    /// Program version.
    pub version: String,
    /// What was read.
    pub capture: Capture,
    /// The monitored space, given or inferred.
    pub monitored: Vec<Prefix>,
    /// Whether the monitored space was inferred from the data.
    pub monitored_inferred: bool,
    /// True when a memory bound replaced exact counts by sketches.
    pub approximate: bool,
    /// Full counts; the lists below may be cut.
    pub totals: Totals,
    /// Destination ports, by packets.
    pub ports: Vec<PortCount>,
    /// Sources, by packets.
    pub sources: Vec<SourceSummary>,
    /// Scans, by packets.
    pub scans: Vec<Scan>,
    /// Campaigns, by sources.
    pub campaigns: Vec<Campaign>,
    /// Attacks, by packets.
    pub attacks: Vec<Attack>,
    /// First payloads, clustered by normalised content, by packets.
    pub payloads: Vec<PayloadCluster>,
    /// Logins tried over and over.
    pub brute_force: Vec<BruteForce>,
    /// Packets per slot of time.
    pub timeline: Timeline,
    /// Packets per country of the source; empty without a country table.
    pub countries: BTreeMap<String, u64>,
    /// Oddity code to number of packets.
    pub oddities: BTreeMap<String, u64>,
}

/// What was read.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Capture {
    /// Packet records over all files.
    pub packets: u64,
    /// In the order given; a refused file appears with its problem.
    pub files: Vec<FileSummary>,
}

/// File format of a capture.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum Format {
    /// pcap with microseconds.
    #[serde(rename = "pcap")]
    Pcap,
    /// pcap with nanoseconds.
    #[serde(rename = "pcap-ns")]
    PcapNanos,
    /// pcapng.
    #[serde(rename = "pcapng")]
    Pcapng,
    /// None of these.
    #[default]
    #[serde(rename = "unknown")]
    Unknown,
}

/// Compression around a capture.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// None.
    #[default]
    None,
    /// gzip.
    Gzip,
    /// zstd.
    Zstd,
}

/// Packets by transport.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct TransportCounts {
    pub tcp: u64,
    pub udp: u64,
    pub icmp: u64,
    pub icmpv6: u64,
    pub sctp: u64,
    pub other: u64,
}

/// Counts of one input.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct FileSummary {
    /// As given; for a directory, joined.
    pub path: String,
    /// File format.
    pub format: Format,
    /// Compression.
    pub compression: Compression,
    /// Packet records.
    pub packets: u64,
    /// Sum of original lengths.
    pub bytes_on_wire: u64,
    /// Sum of captured lengths.
    pub bytes_captured: u64,
    /// Time of the first packet in file order that has one.
    pub first: Option<Nanos>,
    /// Time of the last packet in file order that has one.
    pub last: Option<Nanos>,
    /// Smallest time.
    pub earliest: Option<Nanos>,
    /// Largest time.
    pub latest: Option<Nanos>,
    /// Packets whose outermost IP header is IPv4.
    pub ipv4_packets: u64,
    /// Packets whose outermost IP header is IPv6.
    pub ipv6_packets: u64,
    /// Distinct outermost sources.
    pub unique_sources: u64,
    /// Distinct outermost destinations.
    pub unique_destinations: u64,
    /// Packets by transport.
    pub transport: TransportCounts,
    /// What could not be read, and from where on.
    pub problems: Vec<Problem>,
}

/// Something that could not be read.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Problem {
    /// Stable, kebab-case.
    pub code: String,
    /// Byte in the file, after decompression.
    pub offset: Option<u64>,
    /// For a person: what, where and what to do.
    pub text: String,
}

/// Full counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Totals {
    pub sources: u64,
    pub destinations: u64,
    pub ports: u64,
    pub scans: u64,
    pub campaigns: u64,
    pub attacks: u64,
}

/// Protocol of a port.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum PortProtocol {
    Tcp,
    Udp,
    Sctp,
}

/// Packets to one destination port.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PortCount {
    /// Protocol.
    pub protocol: PortProtocol,
    /// Destination port.
    pub port: u16,
    /// Packets.
    pub packets: u64,
    /// Distinct sources.
    pub sources: u64,
}

/// One source.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SourceSummary {
    /// Address.
    pub address: Addr,
    /// Packets sent.
    pub packets: u64,
    /// Distinct destination ports.
    pub ports: u64,
    /// Distinct destinations.
    pub destinations: u64,
    /// Tools recognised with three or more consistent probes.
    pub tools: Vec<Tool>,
    /// What else is known.
    pub labels: Vec<Label>,
    /// ISO 3166 alpha-2, when a country table is there.
    pub country: Option<String>,
    /// Origin AS, when a prefix table is there.
    pub asn: Option<u32>,
    /// First packet.
    pub first: Option<Nanos>,
    /// Last packet.
    pub last: Option<Nanos>,
}

/// First payloads that are alike once addresses, numbers and random parts are taken out.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct PayloadCluster {
    /// Hash of the normalised content, in hexadecimal.
    pub id: String,
    /// Transport.
    pub protocol: PortProtocol,
    /// Destination ports, commonest first, at most ten.
    pub ports: Vec<u16>,
    /// Packets.
    pub packets: u64,
    /// Distinct sources, counted up to a bound.
    pub sources: u64,
    /// What the payload looks like: a protocol, or an exploit by name.
    pub label: String,
    /// The start of one payload, printable characters only.
    pub sample: String,
}

/// Repeated login attempts.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct BruteForce {
    /// Who tries.
    pub source: Addr,
    /// Where.
    pub victim: Addr,
    /// Destination port.
    pub port: u16,
    /// Service by port.
    pub service: String,
    /// Connections opened.
    pub attempts: u64,
    /// First packet.
    pub first: Nanos,
    /// Last packet.
    pub last: Nanos,
    /// One sentence.
    pub reason: String,
}

/// Packets per slot of time, for plots.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Timeline {
    /// Start of the first slot.
    pub start: Option<Nanos>,
    /// Length of a slot in seconds.
    pub slot_seconds: u64,
    /// Series name (`tcp-syn`, `tcp-other`, `udp`, `icmp`, `backscatter`, `other`) to packets per slot.
    pub series: BTreeMap<String, Vec<u64>>,
}
