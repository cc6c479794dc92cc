//! The policy of a sensor as the API speaks it: the very shape that sensors obey ([`noroshi_model::policy::Policy`]).

use super::PacketView;
use noroshi_model::Nanos;
use noroshi_model::policy::Policy;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Describes [`Policy`] in the API's document; a test holds both together. Of two policies the effective one is the
/// stricter in every field.
#[derive(Serialize, ToSchema)]
#[schema(as = Policy)]
pub struct PolicyShape {
    /// Capture filters in tcpdump syntax; a packet must pass all of them.
    pub filter: Vec<String>,
    /// Destinations that are observed; null for all that arrives, an empty list for none.
    pub prefixes: Option<Vec<String>>,
    /// One packet in this many is kept.
    #[schema(minimum = 1)]
    pub sample_one_in: u32,
    /// First bytes of payload that are kept.
    #[schema(maximum = 1500)]
    pub payload_bytes: u16,
    /// What becomes of source addresses.
    pub source_addresses: AnonymiseShape,
    /// What becomes of destination addresses.
    pub destination_addresses: AnonymiseShape,
    /// Bytes of disk that the sensor may use while the hub is away.
    #[schema(minimum = 16777216)]
    pub spool_bytes: u64,
    /// What a record is.
    pub granularity: GranularityShape,
    /// Lures that may run: `telnet`, `dns`, …; none unless both hands name it.
    pub lures: Vec<String>,
    /// Bytes of datagrams that all lures together may send in any second.
    #[schema(maximum = 2000)]
    pub lure_bytes: u32,
}

/// What becomes of addresses before anything is stored, from free to strict.
#[derive(Serialize, ToSchema)]
#[schema(as = Anonymise)]
#[serde(rename_all = "kebab-case")]
pub enum AnonymiseShape {
    /// Kept.
    None,
    /// Replaced under a key that never leaves the sensor; common prefixes stay common.
    PrefixPreserving,
    /// Cut to /24 or /48.
    Truncated,
}

/// What a record is, from fine to coarse.
#[derive(Serialize, ToSchema)]
#[schema(as = Granularity)]
#[serde(rename_all = "kebab-case")]
pub enum GranularityShape {
    /// One row per packet.
    Packets,
    /// One row per minute, source, destination, port and flags.
    Flows,
    /// One row per minute, port and flags; no addresses at all.
    Counters,
}

/// One record before and after a policy.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct PolicyPreview {
    /// Effective policy if this were requested.
    #[schema(value_type = PolicyShape)]
    pub effective: Policy,
    /// A real packet as it arrived; none when the sensor has not sent any.
    pub before: Option<PacketView>,
    /// What would be stored of it; none when it would not be.
    pub after: Option<PacketView>,
    /// What the preview cannot show, for a person.
    pub notes: Vec<String>,
}

/// A policy that was requested once.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct PolicyRevision {
    /// Counts up.
    pub revision: u64,
    /// When it was requested.
    #[schema(value_type = String)]
    pub at: Nanos,
    /// What was asked for, in words.
    pub reason: String,
    /// What differs from the one before, one line per setting.
    pub changes: Vec<String>,
    /// The whole policy.
    #[schema(value_type = PolicyShape)]
    pub policy: Policy,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_described_shape_is_the_one_that_sensors_obey() {
        let described = PolicyShape {
            filter: vec!["tcp".into()],
            prefixes: Some(vec!["192.0.2.0/24".into()]),
            sample_one_in: 3,
            payload_bytes: 9,
            source_addresses: AnonymiseShape::PrefixPreserving,
            destination_addresses: AnonymiseShape::Truncated,
            spool_bytes: 1 << 24,
            granularity: GranularityShape::Flows,
            lures: vec!["telnet".into()],
            lure_bytes: 1000,
        };
        let described = serde_json::to_value(described).unwrap();
        let policy: Policy = serde_json::from_value(described.clone()).unwrap();
        let names = |value: &serde_json::Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        let whole = serde_json::to_value(&policy).unwrap();
        for name in names(&described) {
            assert_eq!(whole[&name], described[&name]);
        }
        assert_eq!(names(&whole), names(&described), "describe the new setting here");
        for kind in [AnonymiseShape::None, AnonymiseShape::PrefixPreserving, AnonymiseShape::Truncated] {
            let text = serde_json::to_value(kind).unwrap();
            assert!(serde_json::from_value::<noroshi_model::policy::Anonymise>(text).is_ok());
        }
        for kind in [GranularityShape::Packets, GranularityShape::Flows, GranularityShape::Counters] {
            let text = serde_json::to_value(kind).unwrap();
            assert!(serde_json::from_value::<noroshi_model::policy::Granularity>(text).is_ok());
        }
    }
}
