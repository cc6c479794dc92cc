//! The JSON shapes that the API speaks beside [`crate::query`] and [`crate::live`].

mod cause;
mod outlook;
mod policy;
mod sessions;
mod warning;

pub use cause::*;
pub use noroshi_model::policy::{Anonymise, Policy};
pub use outlook::*;
pub use policy::*;
pub use sessions::*;
pub use warning::*;

use crate::scope::{Marking, Right, Role};
use noroshi_model::Nanos;
use noroshi_model::finding::{Attack, Campaign, Scan};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// What may be known before signing in.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct About {
    /// Always `noroshi`.
    pub name: String,
    /// Program version.
    pub version: String,
    /// Whether the first administrator is still to be made.
    pub setup_needed: bool,
}

/// Who is signed in.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Me {
    /// Account name.
    pub name: String,
    /// Role.
    pub role: Role,
    /// Organisation.
    pub organisation: String,
    /// What this role may do.
    pub rights: Vec<Right>,
    /// To be repeated in the header `X-Noroshi-Csrf` of every state change.
    pub csrf: String,
    /// Whether what is shown is a replayed sample and not today's traffic.
    pub sample: bool,
    /// Whether signing in needs a code from a second factor.
    pub second_factor: bool,
}

/// Packets per slot, by kind.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct Rates {
    /// Start of the first slot.
    #[schema(value_type = String)]
    pub start: Nanos,
    /// Length of a slot in seconds.
    pub slot_seconds: u64,
    /// Kind to packets per slot.
    pub series: BTreeMap<String, Vec<u64>>,
}

/// Something that was not there before.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct NewThing {
    /// `attack`, `campaign` or `port`.
    pub what: String,
    /// Id of the attack or campaign, or the port.
    pub value: String,
    /// Kind of the attack, tool of the campaign, protocol of the port.
    pub kind: String,
    /// Victim of the attack, ports of the campaign.
    pub subject: String,
    /// When it was first seen.
    #[schema(value_type = String)]
    pub first: Nanos,
    /// Packets so far.
    pub packets: u64,
    /// Distinct sources so far.
    pub sources: u64,
}

/// A value with its count.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Count {
    /// The value.
    pub value: String,
    /// Packets.
    pub packets: u64,
    /// Distinct sources.
    pub sources: u64,
}

/// The first page in figures.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct NowView {
    /// When this was computed.
    #[schema(value_type = String)]
    pub at: Nanos,
    /// Newest packet: the freshness of everything here.
    #[schema(value_type = Option<String>)]
    pub newest: Option<Nanos>,
    /// Packets of the last 24 hours.
    pub packets: u64,
    /// Distinct sources of the last 24 hours.
    pub sources: u64,
    /// Attacks that were seen in the last 24 hours.
    pub attacks: u64,
    /// Campaigns that were seen in the last 24 hours.
    pub campaigns: u64,
    /// Sensors that reported within their time.
    pub sensors_online: u64,
    /// All sensors.
    pub sensors: u64,
    /// The last hour, by minute.
    pub hour: Rates,
    /// First seen in the last 24 hours, newest first.
    pub new: Vec<NewThing>,
    /// Busiest destination ports of the last hour.
    pub ports: Vec<Count>,
    /// Countries of the sources of the last hour.
    pub countries: Vec<Count>,
    /// What is wrong or incomplete at the moment, for a person.
    pub notes: Vec<String>,
}

/// A field that can be filtered or grouped by.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct FieldView {
    /// Name.
    pub name: String,
    /// What it means.
    pub meaning: String,
    /// `number`, `address` or `word`.
    pub shape: String,
    /// Words or names that may stand for values.
    pub words: Vec<String>,
    /// Whether statistics can be grouped by it.
    pub groups: bool,
}

/// Where a packet of evidence stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct PositionView {
    /// Index of the input.
    pub file: u32,
    /// Ordinal of the packet in it, counted from 0.
    pub packet: u64,
}

/// A denial-of-service attack.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct AttackView {
    /// Stable id.
    pub id: String,
    /// How far it may travel.
    pub marking: Marking,
    /// How it was seen.
    pub kind: String,
    /// How it is made.
    pub vector: String,
    /// Address or prefix that suffers.
    pub victim: String,
    /// Country of the victim, when known.
    pub country: Option<String>,
    /// Attacked port, where one stands out.
    pub victim_port: Option<u16>,
    /// Packets seen.
    pub packets: u64,
    /// Bytes seen.
    pub bytes: u64,
    /// Distinct sources of those packets.
    pub sources: u64,
    /// First packet.
    #[schema(value_type = String)]
    pub first: Nanos,
    /// Last packet.
    #[schema(value_type = String)]
    pub last: Nanos,
    /// One-second peak at the sensors, packets per second.
    pub peak_pps: f64,
    /// Estimate at the victim, packets per second.
    pub estimated_pps: Option<f64>,
    /// How sure, 0 to 1.
    pub confidence: f64,
    /// Thresholds used; names end in their unit.
    pub thresholds: BTreeMap<String, f64>,
    /// Name and version of the detector.
    pub detector: String,
    /// Packets to look at.
    pub evidence: Vec<PositionView>,
    /// One sentence.
    pub reason: String,
}

/// Scans that belong together.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct CampaignView {
    /// Stable id.
    pub id: String,
    /// How far it may travel.
    pub marking: Marking,
    /// Destination ports.
    pub ports: Vec<u16>,
    /// What made the probes.
    pub tool: String,
    /// Number of sources.
    pub sources: u64,
    /// Packets of all of them.
    pub packets: u64,
    /// First packet.
    #[schema(value_type = String)]
    pub first: Nanos,
    /// Last packet.
    #[schema(value_type = String)]
    pub last: Nanos,
    /// The sources, ascending; in lists cut to ten.
    pub members: Vec<String>,
    /// How sure, 0 to 1.
    pub confidence: f64,
    /// Thresholds used; names end in their unit.
    pub thresholds: BTreeMap<String, f64>,
    /// Name and version of the detector.
    pub detector: String,
    /// Packets to look at.
    pub evidence: Vec<PositionView>,
    /// One sentence.
    pub reason: String,
}

/// One source probing one port, or many ports.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct ScanView {
    /// Who.
    pub source: String,
    /// Protocol.
    pub protocol: String,
    /// Destination port; none for a vertical or block scan.
    pub port: Option<u16>,
    /// Shape.
    pub kind: String,
    /// Packets.
    pub packets: u64,
    /// Distinct destinations.
    pub destinations: u64,
    /// First packet.
    #[schema(value_type = String)]
    pub first: Nanos,
    /// Last packet.
    #[schema(value_type = String)]
    pub last: Nanos,
    /// What made the probes.
    pub tool: String,
    /// How sure, 0 to 1.
    pub confidence: f64,
    /// One sentence.
    pub reason: String,
}

/// A page of a list.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Page<T> {
    /// Items of this page.
    pub items: Vec<T>,
    /// How many there are in all, as far as the caller may see them.
    pub total: u64,
    /// False when a part of the data could not be read; `notes` says which.
    pub complete: bool,
    /// What the reader should know.
    pub notes: Vec<String>,
}

/// One packet as a row.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct PacketView {
    /// Capture time.
    #[schema(value_type = String)]
    pub ts: Nanos,
    /// Sensor name.
    pub sensor: String,
    /// Source address.
    pub src: String,
    /// Destination address.
    pub dst: String,
    /// IP protocol.
    pub proto: u8,
    /// Source port.
    pub sport: Option<u16>,
    /// Destination port.
    pub dport: Option<u16>,
    /// TCP flags.
    pub tcp_flags: Option<u8>,
    /// Time to live or hop limit.
    pub ttl: u8,
    /// TCP window.
    pub window: Option<u16>,
    /// Bytes on the wire.
    pub wire_len: u32,
    /// Payload bytes.
    pub payload_len: u32,
    /// Start of the payload, unprintable bytes as dots, when policy kept it.
    pub payload: Option<String>,
    /// What the packet is.
    pub kind: String,
    /// Country of the source.
    pub country: Option<String>,
    /// How far the sender is proven: `spoofable`, `challenge_verified` or `handshake`.
    pub evidence: String,
    /// What is odd.
    pub oddities: Vec<String>,
}

/// How a sensor is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SensorState {
    /// A token was made; nobody has used it yet.
    Waiting,
    /// Reports in time.
    Online,
    /// Has not reported for longer than it should.
    Late,
    /// Its certificate is revoked.
    Revoked,
}

/// Observations that are missing, exactly.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Gap {
    /// Start.
    #[schema(value_type = String)]
    pub from: Nanos,
    /// End.
    #[schema(value_type = String)]
    pub to: Nanos,
    /// Packets lost.
    pub packets: u64,
    /// Why.
    pub reason: String,
}

/// A sensor.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct SensorView {
    /// Name.
    pub name: String,
    /// Organisation that hosts it.
    pub organisation: String,
    /// How it is.
    pub state: SensorState,
    /// Program version it runs.
    pub version: Option<String>,
    /// Longitude and latitude in degrees, as declared by the host.
    pub place: Option<[f64; 2]>,
    /// Last report.
    #[schema(value_type = Option<String>)]
    pub seen: Option<Nanos>,
    /// Packets per second over the last minute.
    pub packets_per_second: f64,
    /// Packets it produced since it was enrolled.
    pub produced: u64,
    /// Packets stored here.
    pub stored: u64,
    /// Packets declared lost. Produced = stored + lost, or something is wrong.
    pub lost: u64,
    /// Milliseconds its clock is ahead.
    pub clock_offset_ms: Option<f64>,
    /// Days until its certificate ends.
    pub certificate_days: Option<f64>,
    /// The last day, by slot.
    pub rates: Rates,
    /// What is missing, newest first.
    pub gaps: Vec<Gap>,
    /// What the hub asks for.
    #[schema(value_type = PolicyShape)]
    pub requested: Policy,
    /// What the host allows at most.
    #[schema(value_type = Option<PolicyShape>)]
    pub ceiling: Option<Policy>,
    /// What the sensor reported that it applies.
    #[schema(value_type = Option<PolicyShape>)]
    pub effective: Option<Policy>,
    /// What the host's ceiling leaves out of the request, as the sensor said.
    pub remarks: Vec<String>,
    /// Whether what it shows comes from replayed sample data.
    pub sample: bool,
}

/// How to add a sensor.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Enrolment {
    /// Name of the sensor.
    pub name: String,
    /// The line to paste on the machine that will observe.
    pub command: String,
    /// Until when the token in it works.
    #[schema(value_type = String)]
    pub expires: Nanos,
}

/// What a value is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ValueKind {
    /// IP address.
    Address,
    /// Prefix.
    Prefix,
    /// Destination port.
    Port,
    /// Autonomous system.
    Asn,
    /// Country.
    Country,
    /// Hash of a file.
    Hash,
    /// CVE number.
    Cve,
    /// URL.
    Url,
    /// None of these.
    Unknown,
}

/// The short answer about a value.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Under attack.
    Victim,
    /// Carries the mark of self-spreading malware.
    Infected,
    /// Scans.
    Scanner,
    /// Scans for research or is otherwise known.
    Benign,
    /// Seen, without a pattern that has a name.
    Noise,
    /// Attacked or probed here; for ports.
    Targeted,
    /// Not seen here.
    Unseen,
}

/// Everything known about a value, verdict first.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Known {
    /// As it was asked, in normal form.
    pub value: String,
    /// What it is.
    pub kind: ValueKind,
    /// The short answer.
    pub verdict: Verdict,
    /// How sure, 0 to 1.
    pub confidence: f64,
    /// Whether all of this could be forged by others.
    pub spoofable: bool,
    /// Reasons, strongest first; each names its figures.
    pub reasons: Vec<String>,
    /// Filter that selects its packets.
    pub filter: String,
    /// Country, when known.
    pub country: Option<String>,
    /// Labels and tools.
    pub labels: Vec<String>,
    /// First packet.
    #[schema(value_type = Option<String>)]
    pub first: Option<Nanos>,
    /// Last packet.
    #[schema(value_type = Option<String>)]
    pub last: Option<Nanos>,
    /// Packets.
    pub packets: u64,
    /// Distinct sources.
    pub sources: u64,
    /// Distinct destinations.
    pub destinations: u64,
    /// Its packets over time, by kind.
    pub rates: Rates,
    /// Ports that it probed, or sources that probed it.
    pub top: Vec<Count>,
    /// Field that `top` lists.
    pub top_by: String,
    /// Attacks that concern it.
    pub attacks: Vec<AttackView>,
    /// Campaigns that it belongs to.
    pub campaigns: Vec<CampaignView>,
    /// Scans by it or on it.
    pub scans: Vec<ScanView>,
}

fn positions(evidence: &[noroshi_model::finding::Position]) -> Vec<PositionView> {
    evidence.iter().map(|at| PositionView { file: at.file, packet: at.packet }).collect()
}

impl AttackView {
    /// The view of an attack under an id and a marking.
    pub fn new(id: String, marking: Marking, country: Option<String>, attack: &Attack) -> Self {
        AttackView {
            id,
            marking,
            kind: attack.kind.name().to_owned(),
            vector: attack.vector.name().to_owned(),
            victim: attack.victim.to_string(),
            country,
            victim_port: attack.victim_port,
            packets: attack.packets,
            bytes: attack.bytes,
            sources: attack.sources,
            first: attack.first,
            last: attack.last,
            peak_pps: attack.peak_pps,
            estimated_pps: attack.estimated_pps,
            confidence: attack.confidence,
            thresholds: attack.thresholds.clone(),
            detector: attack.detector.clone(),
            evidence: positions(&attack.evidence),
            reason: attack.reason.clone(),
        }
    }
}

impl CampaignView {
    /// The view of a campaign under a marking.
    pub fn new(marking: Marking, campaign: &Campaign) -> Self {
        CampaignView {
            id: campaign.id.clone(),
            marking,
            ports: campaign.ports.clone(),
            tool: campaign.tool.name().to_owned(),
            sources: campaign.sources,
            packets: campaign.packets,
            first: campaign.first,
            last: campaign.last,
            members: campaign.members.iter().map(ToString::to_string).collect(),
            confidence: campaign.confidence,
            thresholds: campaign.thresholds.clone(),
            detector: campaign.detector.clone(),
            evidence: positions(&campaign.evidence),
            reason: campaign.reason.clone(),
        }
    }
}

impl ScanView {
    /// The view of a scan.
    pub fn new(scan: &Scan) -> Self {
        ScanView {
            source: scan.source.to_string(),
            protocol: scan.protocol.name().to_owned(),
            port: scan.port,
            kind: scan.kind.name().to_owned(),
            packets: scan.packets,
            destinations: scan.destinations,
            first: scan.first,
            last: scan.last,
            tool: scan.tool.name().to_owned(),
            confidence: scan.confidence,
            reason: scan.reason.clone(),
        }
    }
}
