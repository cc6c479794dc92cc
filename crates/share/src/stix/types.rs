//! The objects we emit and take in, as the standard spells them.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A bundle: objects that travel together, without meaning of its own.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Bundle {
    /// Always `bundle`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Identifier.
    pub id: String,
    /// What travels.
    pub objects: Vec<Object>,
}

fn is_empty<T>(items: &[T]) -> bool {
    items.is_empty()
}

/// Properties that all domain and relationship objects share.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Domain<T> {
    /// Always `2.1`.
    pub spec_version: String,
    /// Identifier.
    pub id: String,
    /// Who made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_by_ref: Option<String>,
    /// When its first version was made.
    pub created: String,
    /// When this version was made.
    pub modified: String,
    /// 0 to 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confidence: Option<u8>,
    /// Free words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
    /// Where else it is described.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub external_references: Vec<ExternalReference>,
    /// Markings.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub object_marking_refs: Vec<String>,
    /// What is its own.
    #[serde(flatten)]
    pub body: T,
}

/// Properties that all cyber-observables share.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Observable<T> {
    /// Always `2.1`.
    pub spec_version: String,
    /// Deterministic identifier.
    pub id: String,
    /// Markings.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub object_marking_refs: Vec<String>,
    /// What is its own.
    #[serde(flatten)]
    pub body: T,
}

/// A pointer to another source.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ExternalReference {
    /// Name of the source.
    pub source_name: String,
    /// Identifier there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// Address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

/// Any object.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum Object {
    Identity(Domain<Identity>),
    AttackPattern(Domain<Named>),
    Campaign(Domain<Campaign>),
    Incident(Domain<Named>),
    Indicator(Domain<Indicator>),
    Malware(Domain<Malware>),
    ObservedData(Domain<ObservedData>),
    Report(Domain<Report>),
    Sighting(Domain<Sighting>),
    Relationship(Domain<Relationship>),
    MarkingDefinition(Marking),
    #[serde(rename = "ipv4-addr")]
    Ipv4Addr(Observable<Valued>),
    #[serde(rename = "ipv6-addr")]
    Ipv6Addr(Observable<Valued>),
    NetworkTraffic(Observable<NetworkTraffic>),
}

/// A person, organisation or system.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Identity {
    /// Name.
    pub name: String,
    /// `organization`, `system`, …
    pub identity_class: String,
}

/// Name, description and aliases: attack patterns and incidents.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Named {
    /// Name.
    pub name: String,
    /// In words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// Scans that belong together.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Campaign {
    /// Name.
    pub name: String,
    /// In words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// First seen.
    pub first_seen: String,
    /// Last seen.
    pub last_seen: String,
}

/// A value worth blocking or searching.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Indicator {
    /// Name.
    pub name: String,
    /// In words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// What it indicates.
    pub indicator_types: Vec<String>,
    /// STIX pattern.
    pub pattern: String,
    /// `stix`.
    pub pattern_type: String,
    /// `2.1`.
    pub pattern_version: String,
    /// From when.
    pub valid_from: String,
    /// Until when: always set.
    pub valid_until: String,
}

/// Malware.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Malware {
    /// Name.
    pub name: String,
    /// Whether it is a family.
    pub is_family: bool,
    /// What it does.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub malware_types: Vec<String>,
}

/// What was seen.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ObservedData {
    /// From.
    pub first_observed: String,
    /// To.
    pub last_observed: String,
    /// How often, 1 to 999,999,999.
    pub number_observed: u64,
    /// What.
    pub object_refs: Vec<String>,
}

/// Objects that are told together.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Report {
    /// Name.
    pub name: String,
    /// In words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// What kind.
    pub report_types: Vec<String>,
    /// When it was published.
    pub published: String,
    /// What it tells.
    pub object_refs: Vec<String>,
}

/// Something known was seen.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Sighting {
    /// In words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// From.
    pub first_seen: String,
    /// To.
    pub last_seen: String,
    /// How often.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// What.
    pub sighting_of_ref: String,
    /// The observations.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub observed_data_refs: Vec<String>,
    /// By whom.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub where_sighted_refs: Vec<String>,
}

/// How two objects relate.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Relationship {
    /// How.
    pub relationship_type: String,
    /// From.
    pub source_ref: String,
    /// To.
    pub target_ref: String,
}

/// A marking.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Marking {
    /// Always `2.1`.
    pub spec_version: String,
    /// Identifier.
    pub id: String,
    /// When it was defined.
    pub created: String,
    /// `tlp` for TLP 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub definition_type: Option<String>,
    /// Name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// For TLP 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub definition: Option<Value>,
    /// For TLP 2.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub extensions: Map<String, Value>,
}

/// A single value: addresses.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Valued {
    /// The value.
    pub value: String,
}

/// Traffic.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct NetworkTraffic {
    /// From.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start: Option<String>,
    /// To.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end: Option<String>,
    /// False when `end` is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_active: Option<bool>,
    /// Sender.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub src_ref: Option<String>,
    /// Receiver.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dst_ref: Option<String>,
    /// Port of the sender.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub src_port: Option<u16>,
    /// Port of the receiver.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dst_port: Option<u16>,
    /// Lowest layer first, lower case.
    #[serde(skip_serializing_if = "is_empty")]
    pub protocols: Vec<String>,
}

impl Object {
    /// The identifier.
    pub fn id(&self) -> &str {
        match self {
            Object::Identity(o) => &o.id,
            Object::AttackPattern(o) | Object::Incident(o) => &o.id,
            Object::Campaign(o) => &o.id,
            Object::Indicator(o) => &o.id,
            Object::Malware(o) => &o.id,
            Object::ObservedData(o) => &o.id,
            Object::Report(o) => &o.id,
            Object::Sighting(o) => &o.id,
            Object::Relationship(o) => &o.id,
            Object::MarkingDefinition(o) => &o.id,
            Object::Ipv4Addr(o) | Object::Ipv6Addr(o) => &o.id,
            Object::NetworkTraffic(o) => &o.id,
        }
    }
}
