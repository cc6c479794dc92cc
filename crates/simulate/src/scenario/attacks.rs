//! Attacks of a world: floods and what they leave behind, amplification, carpet bombing, searches for reflectors.

use super::{IpVersion, Range, one};
use crate::requests;
use noroshi_model::finding::Vector;
use serde::Deserialize;

/// A flood with forged sources, and how its victim replies.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Flood {
    /// SYN flood on an open port: SYN-ACK.
    SynOpen,
    /// SYN flood on a closed port: RST-ACK.
    SynClosed,
    /// UDP flood: the victim says port unreachable.
    Udp,
    /// UDP flood: a router before the victim says host unreachable; only the quote names the victim.
    UdpRouter,
    /// ICMP echo flood: echo replies.
    Echo,
}

/// Rate over the time of an attack.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rate {
    /// The same throughout.
    #[default]
    Flat,
    /// Grows to the end.
    Ramp,
    /// One minute on, one minute off.
    Pulse,
}

/// Small events that come before large ones, and those that nothing follows.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tests {
    /// Percent of the attacks that a test precedes.
    pub before_percent: u64,
    /// Packets of a test.
    pub packets: Range,
    /// Length of a test.
    pub seconds: Range,
    /// Minutes from the test to the main attack.
    pub lead_minutes: Range,
    /// Tests that no attack follows.
    #[serde(default)]
    pub abandoned: u64,
    /// Small bursts of curious hosts that are no tests: one request to each target, ports drawn anew.
    #[serde(default)]
    pub lookalikes: u64,
}

/// Floods seen by their backscatter.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Backscatter {
    /// How many attacks.
    #[serde(default = "one")]
    pub count: u64,
    /// Part of all packets.
    pub percent: f64,
    /// IP version.
    #[serde(default)]
    pub ip: IpVersion,
    /// Floods, taken in turn.
    pub floods: Vec<Flood>,
    /// Length of each.
    pub minutes: Range,
    /// Rate over time.
    #[serde(default)]
    pub rate: Rate,
    /// Name of the member whose hosts are the victims.
    #[serde(default)]
    pub member: Option<String>,
    /// Tests before them.
    #[serde(default)]
    pub tests: Option<Tests>,
}

/// Requests in victims' names.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Amplification {
    /// How many attacks.
    #[serde(default = "one")]
    pub count: u64,
    /// Part of all packets.
    pub percent: f64,
    /// IP version.
    #[serde(default)]
    pub ip: IpVersion,
    /// Vectors, taken in turn.
    #[serde(deserialize_with = "vectors")]
    pub vectors: Vec<Vector>,
    /// Vectors used at once against each victim.
    #[serde(default = "one")]
    pub vectors_each: u64,
    /// Monitored addresses that the attacker takes for reflectors.
    pub reflectors: Range,
    /// Length of each.
    pub minutes: Range,
    /// Rate over time.
    #[serde(default)]
    pub rate: Rate,
    /// Name of the member whose hosts are the victims.
    #[serde(default)]
    pub member: Option<String>,
    /// Tests before them.
    #[serde(default)]
    pub tests: Option<Tests>,
}

/// Order in which the addresses of a prefix are attacked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// One after the other, in several passes.
    #[default]
    Sequential,
    /// At random.
    Random,
}

/// Attacks on many addresses of one prefix: requests in their names, or floods seen by backscatter.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Carpet {
    /// How many attacks.
    #[serde(default = "one")]
    pub count: u64,
    /// Part of all packets.
    pub percent: f64,
    /// Vector of the requests, or none for a flood.
    #[serde(default, deserialize_with = "vectors")]
    pub vectors: Vec<Vector>,
    /// Floods, when there is no vector.
    #[serde(default)]
    pub floods: Vec<Flood>,
    /// Length of the prefix, 22 to 24.
    #[serde(default = "twenty_four")]
    pub prefix_length: u8,
    /// Addresses attacked.
    pub victims: Range,
    /// Order.
    #[serde(default)]
    pub order: Order,
    /// Monitored addresses that the attacker takes for reflectors.
    #[serde(default = "default_reflectors")]
    pub reflectors: Range,
    /// Length of each.
    pub minutes: Range,
}

fn twenty_four() -> u8 {
    24
}
fn default_reflectors() -> Range {
    [20, 200]
}

/// Searches for reflectors: each target asked once or twice, from an address that is real.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sweep {
    /// How many sources.
    #[serde(default = "one")]
    pub count: u64,
    /// Part of all packets.
    pub percent: f64,
    /// IP version.
    #[serde(default)]
    pub ip: IpVersion,
    /// Vectors, taken in turn.
    #[serde(deserialize_with = "vectors")]
    pub vectors: Vec<Vector>,
    /// Length of each.
    pub minutes: Range,
}

fn vectors<'de, D: serde::Deserializer<'de>>(d: D) -> Result<Vec<Vector>, D::Error> {
    let given = Vec::<Vector>::deserialize(d)?;
    for vector in &given {
        if requests::port(*vector).is_none() {
            let known: Vec<_> = requests::VECTORS.iter().map(|(vector, _)| vector.name()).collect();
            return Err(serde::de::Error::custom(format!(
                "no request is known for vector \"{vector}\", expected one of {}",
                known.join(", ")
            )));
        }
    }
    Ok(given)
}
