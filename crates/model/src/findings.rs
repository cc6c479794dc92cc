//! Tables of findings: `scans`, `campaigns`, `attacks`, `infections`, `links`, `alerts`, and their rows as Arrow columns.
//!
//! A finding is told of when it is found, when it has grown, and when it is over; each telling is a row ([`Told`]).

use crate::alert::Alert;
use crate::columns::{Column, Type, optional, required, schema_of};
use crate::finding::{Attack, Campaign, Scan, Thresholds, Victim, named};
use crate::infection::Infection;
use crate::packet::Evidence;
use crate::{Addr, Nanos, arrays};
use arrow_array::{ArrayRef, RecordBatch};
use serde::{Deserialize, Serialize};
use std::fmt::{self, Write};

named! {
    /// Whether a finding goes on.
    State {
        /// It may grow.
        Open = "open",
        /// It is over, as far as the detector can say.
        Closed = "closed",
    }
}

/// A finding as it is told of at one moment.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Told<'a, T> {
    /// When it is told.
    pub at: Nanos,
    /// The sensor that saw it; empty when several did.
    pub sensor: &'a str,
    /// The same for every telling of one finding.
    pub id: &'a str,
    /// Whether it goes on.
    pub state: State,
    /// What is told.
    pub finding: &'a T,
}

const AT: Column = required("ts", Type::Time, "", "when it was told; the newest row of an id stands");
const SENSOR: Column = required("sensor", Type::Keyword, "", "the sensor that saw it; empty when several did");
const ID: Column = required("id", Type::Text, "", "the same for every telling of one finding");
const STATE: Column = required("state", Type::Keyword, "", "open, or closed when it is over");
const PACKET_COUNT: Column = required("packets", Type::U64, "packets", "as seen, unscaled");
const FIRST: Column = required("first", Type::Time, "", "first packet");
const LAST: Column = required("last", Type::Time, "", "last packet");
const CONFIDENCE: Column = required("confidence", Type::F64, "", "how sure, 0 to 1");
const EVIDENCE: Column = required(
    "evidence",
    Type::U8,
    "",
    "best proof of the source address: 0 spoofable, 1 challenge verified, 2 handshake",
);
const DETECTOR: Column = required("detector", Type::Keyword, "", "name and version of the detector");
const THRESHOLDS: Column = required("thresholds", Type::Text, "JSON", "thresholds used");
const REASON: Column = required("reason", Type::Text, "", "one sentence");

/// Table `scans`.
pub const SCANS: &[Column] = &[
    AT,
    SENSOR,
    ID,
    STATE,
    required("src", Type::Address, "", "who"),
    required("protocol", Type::Keyword, "", "tcp, udp, icmp, icmpv6"),
    optional("port", Type::U16, "", "destination port; null for a vertical or block scan and for ICMP"),
    required("type", Type::Keyword, "", "horizontal, vertical or block"),
    PACKET_COUNT,
    required("destinations", Type::U64, "addresses", "distinct destinations"),
    FIRST,
    LAST,
    required("tool", Type::Keyword, "", "what made the probes"),
    CONFIDENCE,
    EVIDENCE,
    DETECTOR,
    THRESHOLDS,
    REASON,
];

/// Table `campaigns`.
pub const CAMPAIGNS: &[Column] = &[
    AT,
    SENSOR,
    ID,
    STATE,
    required("ports", Type::Texts, "", "destination ports, ascending"),
    required("tool", Type::Keyword, "", "what made the probes"),
    required("sources", Type::U64, "addresses", "number of sources"),
    PACKET_COUNT,
    FIRST,
    LAST,
    required("members", Type::Texts, "", "the sources as text, ascending"),
    CONFIDENCE,
    EVIDENCE,
    DETECTOR,
    THRESHOLDS,
    REASON,
];

/// Table `attacks`.
pub const ATTACKS: &[Column] = &[
    AT,
    SENSOR,
    ID,
    STATE,
    required("kind", Type::Keyword, "", "backscatter, reflection, amplification, flood, carpet"),
    required("vector", Type::Keyword, "", "how the attack is made: dns, ntp, tcp-syn, ..."),
    required("victim", Type::Address, "", "who suffers; the first address of a network"),
    required("victim_length", Type::U8, "bits", "length of the victim's prefix: 32 or 128 for one address"),
    optional("victim_port", Type::U16, "", "attacked port, where one stands out"),
    PACKET_COUNT,
    required("bytes", Type::U64, "bytes", "on the wire, as seen"),
    required("sources", Type::U64, "addresses", "distinct sources of those packets"),
    FIRST,
    LAST,
    required("peak_pps", Type::F64, "packets/s", "one-second peak at the sensor, unscaled"),
    optional("estimated_pps", Type::F64, "packets/s", "estimate at the victim; null when not meaningful"),
    CONFIDENCE,
    EVIDENCE,
    DETECTOR,
    THRESHOLDS,
    REASON,
];

/// Table `infections`.
pub const INFECTIONS: &[Column] = &[
    AT,
    SENSOR,
    ID,
    STATE,
    required("member", Type::Keyword, "", "whose host it is"),
    required("src", Type::Address, "", "the host"),
    required("class", Type::Keyword, "", "internal, external, misconfiguration"),
    required("severity", Type::Keyword, "", "info, low, medium, high, critical"),
    required("ports", Type::Texts, "", "protocol/port that met the condition, ascending"),
    required("tool", Type::Keyword, "", "recognised by its packets"),
    optional("payload", Type::Keyword, "", "name of the payload rule that matched; null when none did"),
    PACKET_COUNT,
    required("destinations", Type::U64, "addresses", "distinct destinations, at least"),
    FIRST,
    LAST,
    CONFIDENCE,
    EVIDENCE,
    DETECTOR,
    THRESHOLDS,
    REASON,
];

/// Table `alerts`.
pub const ALERTS: &[Column] = &[
    required("ts", Type::Time, "", "when it was decided"),
    required("sensor", Type::Keyword, "", "empty: a message may tell of several sensors"),
    required("id", Type::Text, "", "UUID of the message"),
    required("recipient", Type::Keyword, "", "member/channel"),
    required("member", Type::Keyword, "", "whose incidents these are"),
    required("kind", Type::Keyword, "", "immediate, digest, continuing, test"),
    required("severity", Type::Keyword, "", "the worst inside: info, low, medium, high, critical"),
    required("tlp", Type::Keyword, "", "the strictest label inside"),
    required("rule", Type::Keyword, "", "which rule decided it"),
    required("incidents", Type::Texts, "", "UUIDs of the incidents it tells of, worst first"),
    required("subjects", Type::Texts, "", "their addresses and networks, in the same order"),
    required("evidence", Type::U8, "", "best proof of an attacking address inside"),
];

/// Table `links`.
pub const LINKS: &[Column] = &[
    required("ts", Type::Time, "", "when it was judged; the newest row of an id stands"),
    SENSOR,
    ID,
    required("kind", Type::Keyword, "", "what was judged: campaign or session"),
    required("finding", Type::Text, "", "its id"),
    optional("family", Type::Keyword, "", "the family that is named; null when none is"),
    optional("probability", Type::F64, "", "calibrated probability of the first candidate; null when there is none"),
    required("samples", Type::Texts, "", "samples nearest to the candidates, and those that share a value exactly"),
    required("judgement", Type::Text, "JSON", "candidates with reasons, why none is named, exact joins"),
    required("detector", Type::Keyword, "", "name and version of what judged"),
];

/// A finding joined to samples.
#[derive(Clone, PartialEq, Debug)]
pub struct LinkRow {
    /// When it was judged.
    pub at: Nanos,
    /// What was judged: `campaign` or `session`.
    pub kind: &'static str,
    /// Its id.
    pub finding: String,
    /// The family that is named, if one is.
    pub family: Option<String>,
    /// Calibrated probability of the first candidate.
    pub probability: Option<f64>,
    /// Nearest samples.
    pub samples: Vec<String>,
    /// Candidates, reasons and joins as JSON.
    pub judgement: String,
    /// Name and version of what judged.
    pub detector: String,
}

/// Rows of table `links`.
pub fn links(rows: &[LinkRow]) -> RecordBatch {
    let ids: Vec<String> = rows.iter().map(|row| format!("{}-{}", row.kind, row.finding)).collect();
    let arrays = vec![
        arrays::times(rows.iter().map(|row| Some(row.at))),
        arrays::keywords(rows.iter().map(|_| Some(""))),
        arrays::texts(ids.iter().map(|id| Some(&**id))),
        arrays::keywords(rows.iter().map(|row| Some(row.kind))),
        arrays::texts(rows.iter().map(|row| Some(&*row.finding))),
        arrays::keywords(rows.iter().map(|row| row.family.as_deref())),
        arrays::f64s(rows.iter().map(|row| row.probability)),
        arrays::text_lists(rows.iter().map(|row| &*row.samples)),
        arrays::texts(rows.iter().map(|row| Some(&*row.judgement))),
        arrays::keywords(rows.iter().map(|row| Some(&*row.detector))),
    ];
    finished(LINKS, [arrays, vec![], vec![]])
}

type Rows<'a, 'b, T> = &'b [Told<'a, T>];

/// The four columns that every finding begins with.
fn head<T>(rows: Rows<'_, '_, T>) -> Vec<ArrayRef> {
    vec![
        arrays::times(rows.iter().map(|row| Some(row.at))),
        arrays::keywords(rows.iter().map(|row| Some(row.sensor))),
        arrays::texts(rows.iter().map(|row| Some(row.id))),
        arrays::keywords(rows.iter().map(|row| Some(row.state.name()))),
    ]
}

/// The five columns that every finding ends with.
fn tail<T>(rows: Rows<'_, '_, T>, of: impl Fn(&T) -> (f64, Evidence, &str, &Thresholds, &str) + Copy) -> Vec<ArrayRef> {
    let all = || rows.iter().map(|row| of(row.finding));
    let thresholds: Vec<String> = all().map(|row| json(row.3)).collect();
    vec![
        arrays::f64s(all().map(|row| Some(row.0))),
        arrays::u8s(all().map(|row| Some(row.1 as u8))),
        arrays::keywords(all().map(|row| Some(row.2))),
        arrays::texts(thresholds.iter().map(|text| Some(&**text))),
        arrays::texts(all().map(|row| Some(row.4))),
    ]
}

fn finished(columns: &'static [Column], parts: [Vec<ArrayRef>; 3]) -> RecordBatch {
    RecordBatch::try_new(schema_of(columns), parts.concat()).expect("arrays follow the declared columns")
}

/// Names of thresholds are plain words of this program, so only numbers need care: JSON has no infinities.
fn json(thresholds: &Thresholds) -> String {
    let mut text = String::from("{");
    for (name, value) in thresholds {
        let comma = if text.len() > 1 { "," } else { "" };
        let _ = match value.is_finite() {
            true => write!(text, "{comma}\"{name}\":{value}"),
            false => write!(text, "{comma}\"{name}\":null"),
        };
    }
    text + "}"
}

fn text_lists(values: impl Iterator<Item = Vec<String>>) -> ArrayRef {
    let values: Vec<Vec<String>> = values.collect();
    arrays::text_lists(values.iter().map(|list| &**list))
}

/// Rows of table `scans`. Packets to unused addresses prove no source, so the evidence is `spoofable`.
pub fn scans(rows: Rows<'_, '_, Scan>) -> RecordBatch {
    let all = || rows.iter().map(|row| row.finding);
    let body = vec![
        arrays::addresses(all().map(|scan| Some(scan.source))),
        arrays::keywords(all().map(|scan| Some(scan.protocol.name()))),
        arrays::u16s(all().map(|scan| scan.port)),
        arrays::keywords(all().map(|scan| Some(scan.kind.name()))),
        arrays::u64s(all().map(|scan| Some(scan.packets))),
        arrays::u64s(all().map(|scan| Some(scan.destinations))),
        arrays::times(all().map(|scan| Some(scan.first))),
        arrays::times(all().map(|scan| Some(scan.last))),
        arrays::keywords(all().map(|scan| Some(scan.tool.name()))),
    ];
    let end = tail(rows, |f| (f.confidence, Evidence::Spoofable, &f.detector, &f.thresholds, &f.reason));
    finished(SCANS, [head(rows), body, end])
}

/// Rows of table `campaigns`.
pub fn campaigns(rows: Rows<'_, '_, Campaign>) -> RecordBatch {
    let all = || rows.iter().map(|row| row.finding);
    let body = vec![
        text_lists(all().map(|campaign| campaign.ports.iter().map(u16::to_string).collect())),
        arrays::keywords(all().map(|campaign| Some(campaign.tool.name()))),
        arrays::u64s(all().map(|campaign| Some(campaign.sources))),
        arrays::u64s(all().map(|campaign| Some(campaign.packets))),
        arrays::times(all().map(|campaign| Some(campaign.first))),
        arrays::times(all().map(|campaign| Some(campaign.last))),
        text_lists(all().map(|campaign| campaign.members.iter().map(Addr::to_string).collect())),
    ];
    let end = tail(rows, |f| (f.confidence, Evidence::Spoofable, &f.detector, &f.thresholds, &f.reason));
    finished(CAMPAIGNS, [head(rows), body, end])
}

/// Rows of table `attacks`. The victim's address is the claim of whoever forged it; the attacker's is not known.
pub fn attacks(rows: Rows<'_, '_, Attack>) -> RecordBatch {
    let all = || rows.iter().map(|row| row.finding);
    let victim = |attack: &Attack| match attack.victim {
        Victim::Address(addr) => (addr, if addr.as_v4().is_some() { 32 } else { 128 }),
        Victim::Network(prefix) => (prefix.first(), prefix.length()),
    };
    let body = vec![
        arrays::keywords(all().map(|attack| Some(attack.kind.name()))),
        arrays::keywords(all().map(|attack| Some(attack.vector.name()))),
        arrays::addresses(all().map(|attack| Some(victim(attack).0))),
        arrays::u8s(all().map(|attack| Some(victim(attack).1))),
        arrays::u16s(all().map(|attack| attack.victim_port)),
        arrays::u64s(all().map(|attack| Some(attack.packets))),
        arrays::u64s(all().map(|attack| Some(attack.bytes))),
        arrays::u64s(all().map(|attack| Some(attack.sources))),
        arrays::times(all().map(|attack| Some(attack.first))),
        arrays::times(all().map(|attack| Some(attack.last))),
        arrays::f64s(all().map(|attack| Some(attack.peak_pps))),
        arrays::f64s(all().map(|attack| attack.estimated_pps)),
    ];
    let end = tail(rows, |f| (f.confidence, Evidence::Spoofable, &f.detector, &f.thresholds, &f.reason));
    finished(ATTACKS, [head(rows), body, end])
}

/// Rows of table `infections`.
pub fn infections(rows: Rows<'_, '_, Infection>) -> RecordBatch {
    let all = || rows.iter().map(|row| row.finding);
    let ports = |infection: &Infection| {
        let port = |used: &crate::infection::PortUse| format!("{}/{}", used.protocol, used.port);
        infection.ports.iter().map(port).collect()
    };
    let members: Vec<String> = all().map(|infection| infection.member.to_string()).collect();
    let body = vec![
        arrays::keywords(members.iter().map(|name| Some(&**name))),
        arrays::addresses(all().map(|infection| Some(infection.host))),
        arrays::keywords(all().map(|infection| Some(infection.class.name()))),
        arrays::keywords(all().map(|infection| Some(infection.severity.name()))),
        text_lists(all().map(ports)),
        arrays::keywords(all().map(|infection| Some(infection.tool.name()))),
        arrays::keywords(all().map(|infection| infection.payload.as_deref())),
        arrays::u64s(all().map(|infection| Some(infection.packets))),
        arrays::u64s(all().map(|infection| Some(infection.destinations))),
        arrays::times(all().map(|infection| Some(infection.first))),
        arrays::times(all().map(|infection| Some(infection.last))),
    ];
    let end = tail(rows, |f| (f.confidence, f.proof, &f.detector, &f.thresholds, &f.reason));
    finished(INFECTIONS, [head(rows), body, end])
}

/// Rows of table `alerts`.
pub fn alerts(rows: &[Alert]) -> RecordBatch {
    let all = || rows.iter();
    let members: Vec<String> = all().map(|alert| alert.member.to_string()).collect();
    let proof = |alert: &Alert| alert.incidents.iter().map(|i| i.proof).max().unwrap_or(Evidence::Spoofable);
    let arrays = vec![
        arrays::times(all().map(|alert| Some(alert.created))),
        arrays::keywords(all().map(|_| Some(""))),
        arrays::texts(all().map(|alert| Some(&*alert.id))),
        arrays::keywords(all().map(|alert| Some(&*alert.recipient.0))),
        arrays::keywords(members.iter().map(|name| Some(&**name))),
        arrays::keywords(all().map(|alert| Some(alert.kind.name()))),
        arrays::keywords(all().map(|alert| Some(alert.severity.name()))),
        arrays::keywords(all().map(|alert| Some(alert.tlp.label()))),
        arrays::keywords(all().map(|alert| Some(&*alert.rule))),
        text_lists(all().map(|alert| alert.incidents.iter().map(|i| i.id.clone()).collect())),
        text_lists(all().map(|alert| alert.incidents.iter().map(|i| i.subject.to_string()).collect())),
        arrays::u8s(all().map(|alert| Some(proof(alert) as u8))),
    ];
    RecordBatch::try_new(schema_of(ALERTS), arrays).expect("arrays follow the declared columns")
}
