//! What is planted in a world: the contract `noroshi.truth/1`, written beside the packets.
//!
//! `start` and `end` are the times of the first and the last packet of a thing, `packets` is exact, and everything
//! counts only what the monitored space sees. Things too small to have a packet are left out.

use noroshi_model::finding::{AttackKind, Tool, Vector, Victim};
use noroshi_model::{Addr, Nanos, Prefix};
use serde::{Deserialize, Serialize};

/// The contract's name and version.
pub const SCHEMA: &str = "noroshi.truth/1";

/// Ground truth of one world.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Truth {
    /// `noroshi.truth/1`.
    pub schema: String,
    /// Name of the scenario.
    pub scenario: String,
    /// Seed.
    pub seed: u64,
    /// All packets.
    pub packets: u64,
    /// First instant of the world.
    pub start: Nanos,
    /// First instant after it.
    pub end: Nanos,
    /// Where packets go.
    pub monitored: Vec<Prefix>,
    /// Organisations whose hosts take part.
    pub members: Vec<Member>,
    /// Sources that scan together.
    pub campaigns: Vec<Campaign>,
    /// Botnets whose hosts act in the same minutes.
    pub groups: Vec<Group>,
    /// Single scans.
    pub scans: Vec<Scan>,
    /// Scanners of known organisations.
    pub research: Vec<Research>,
    /// Members' hosts that attack.
    pub infections: Vec<Infection>,
    /// Denial of service.
    pub attacks: Vec<Attack>,
    /// Tests that an attack follows.
    pub precursors: Vec<Precursor>,
    /// Small events that look like tests and that no attack follows.
    pub decoys: Vec<Decoy>,
    /// Searches for reflectors; their sources are no victims.
    pub sweeps: Vec<Sweep>,
}

/// What was sent, and when.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Sent {
    /// Packets.
    pub packets: u64,
    /// First packet.
    pub start: Nanos,
    /// Last packet.
    pub end: Nanos,
    /// Most packets in one second of the clock.
    pub peak_second_packets: u64,
    /// Most packets in one minute of the clock.
    pub peak_minute_packets: u64,
    /// Which planted thing; not part of the contract.
    #[serde(skip)]
    pub(crate) plant: usize,
}

impl Sent {
    pub(crate) fn by(plant: usize) -> Self {
        Sent { plant, ..Sent::default() }
    }
}

/// An organisation.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Member {
    /// Name.
    pub name: String,
    /// Its addresses.
    pub prefix: Prefix,
}

/// Sources that scan together.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Campaign {
    /// `campaign-1` and so on; the word in `sources.csv`.
    pub id: String,
    /// Tool.
    pub tool: Tool,
    /// Version of the tool, or the system whose stack it is.
    pub variant: String,
    /// Ports; empty for all.
    pub ports: Vec<u16>,
    /// Sources, ascending.
    pub members: Vec<Addr>,
    /// Network that holds them all, if they are neighbours.
    pub network: Option<Prefix>,
    /// Malware family.
    pub family: Option<String>,
    /// Packets and times.
    #[serde(flatten)]
    pub sent: Sent,
}

/// One burst of a group.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Burst {
    /// Planned first instant.
    pub start: Nanos,
    /// Planned first instant after it.
    pub end: Nanos,
}

/// A botnet whose hosts act in the same minutes.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Group {
    /// `group-1` and so on.
    pub id: String,
    /// Tool.
    pub tool: Tool,
    /// Version of the tool.
    pub variant: String,
    /// Ports.
    pub ports: Vec<u16>,
    /// Sources, ascending.
    pub members: Vec<Addr>,
    /// When they act.
    pub bursts: Vec<Burst>,
    /// Malware family.
    pub family: Option<String>,
    /// Packets and times.
    #[serde(flatten)]
    pub sent: Sent,
}

/// A single scan.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Scan {
    /// `scan-1` and so on.
    pub id: String,
    /// Source.
    pub source: Addr,
    /// Tool.
    pub tool: Tool,
    /// Version of the tool.
    pub variant: String,
    /// `horizontal`, `vertical` or `block`.
    #[serde(rename = "type")]
    pub shape: String,
    /// Ports of a horizontal scan; of others how many is in `ports_count`.
    pub ports: Vec<u16>,
    /// Distinct ports planned.
    pub ports_count: u64,
    /// The one target of a vertical scan.
    pub target: Option<Addr>,
    /// Packets and times.
    #[serde(flatten)]
    pub sent: Sent,
}

/// A scanner of a known organisation.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Research {
    /// `research-1` and so on.
    pub id: String,
    /// Organisation.
    pub name: String,
    /// Tool.
    pub tool: Tool,
    /// Its network.
    pub network: Prefix,
    /// Sources, ascending.
    pub sources: Vec<Addr>,
    /// Packets and times.
    #[serde(flatten)]
    pub sent: Sent,
}

/// A member's host that attacks.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Infection {
    /// `infection-1` and so on.
    pub id: String,
    /// Member.
    pub member: String,
    /// Host.
    pub host: Addr,
    /// Tool.
    pub tool: Tool,
    /// Ports; empty for many.
    pub ports: Vec<u16>,
    /// Malware family.
    pub family: Option<String>,
    /// Packets and times.
    #[serde(flatten)]
    pub sent: Sent,
}

/// Denial of service.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Attack {
    /// `attack-1` and so on.
    pub id: String,
    /// Attacks of several vectors on one victim at one time share it.
    pub incident: String,
    /// How it is seen: `backscatter`, `amplification`, `carpet`.
    pub kind: AttackKind,
    /// How it is made.
    pub vector: Vector,
    /// The address, or the prefix of a carpet.
    pub victim: Victim,
    /// Addresses of a carpet, ascending.
    pub victims: Vec<Addr>,
    /// Attacked port, where it is one.
    pub victim_port: Option<u16>,
    /// Member whose host is the victim.
    pub member: Option<String>,
    /// Monitored addresses that are asked; none for backscatter.
    pub reflectors: Option<u64>,
    /// Packets and times.
    #[serde(flatten)]
    pub sent: Sent,
}

/// A test that an attack follows.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Precursor {
    /// `precursor-1` and so on.
    pub id: String,
    /// The attack that follows.
    pub attack: String,
    /// How it is seen.
    pub kind: AttackKind,
    /// Vector.
    pub vector: Vector,
    /// Victim.
    pub victim: Victim,
    /// First packet of the attack.
    pub attack_start: Nanos,
    /// From the last packet of the test to the first of the attack: the most warning there can be.
    pub lead_seconds: f64,
    /// Packets and times of the test.
    #[serde(flatten)]
    pub sent: Sent,
}

/// A small event that no attack follows.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Decoy {
    /// `decoy-1` and so on.
    pub id: String,
    /// `abandoned-test` (made like a test) or `lookalike` (a curious host).
    pub reason: String,
    /// How it would be seen.
    pub kind: AttackKind,
    /// Vector.
    pub vector: Vector,
    /// The source.
    pub victim: Victim,
    /// Packets and times.
    #[serde(flatten)]
    pub sent: Sent,
}

/// A search for reflectors.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Sweep {
    /// `sweep-1` and so on.
    pub id: String,
    /// Source, which is real.
    pub source: Addr,
    /// Vector looked for.
    pub vector: Vector,
    /// Packets and times.
    #[serde(flatten)]
    pub sent: Sent,
}
