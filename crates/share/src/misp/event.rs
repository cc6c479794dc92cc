//! The MISP core format: only the fields that feeds carry.

use serde::{Deserialize, Serialize};

/// A file of a feed: `{"Event": {…}}`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct File {
    /// The event.
    #[serde(rename = "Event")]
    pub event: Event,
}

/// An organisation.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Organisation {
    /// Name.
    pub name: String,
    /// UUID.
    pub uuid: String,
}

/// A tag.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Tag {
    /// Name, such as `tlp:amber`.
    pub name: String,
    /// Colour for screens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub colour: Option<String>,
}

/// An event.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Event {
    /// UUID.
    pub uuid: String,
    /// Title.
    pub info: String,
    /// 1 high to 4 undefined.
    pub threat_level_id: String,
    /// 0 initial, 1 ongoing, 2 complete.
    pub analysis: String,
    /// Day.
    pub date: String,
    /// Seconds since 1970; grows when the content changes.
    pub timestamp: String,
    /// Seconds since 1970.
    pub publish_timestamp: String,
    /// Whether it is published.
    pub published: bool,
    /// Who made it.
    #[serde(rename = "Orgc")]
    pub orgc: Organisation,
    /// Tags.
    #[serde(rename = "Tag", default)]
    pub tags: Vec<Tag>,
    /// Attributes outside objects.
    #[serde(rename = "Attribute", default)]
    pub attributes: Vec<Attribute>,
    /// Objects.
    #[serde(rename = "Object", default)]
    pub objects: Vec<Object>,
}

/// A value with its type.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Attribute {
    /// UUID.
    pub uuid: String,
    /// Type, such as `ip-src`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Category, such as `Network activity`.
    pub category: String,
    /// The value.
    pub value: String,
    /// Remark.
    #[serde(default)]
    pub comment: String,
    /// Whether it may be used to detect automatically.
    pub to_ids: bool,
    /// Whether it takes part in correlation.
    #[serde(default)]
    pub disable_correlation: bool,
    /// Seconds since 1970.
    pub timestamp: String,
    /// First seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_seen: Option<String>,
    /// Last seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<String>,
    /// Key of the template, inside objects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object_relation: Option<String>,
}

/// Attributes that belong together, after a template.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Object {
    /// UUID.
    pub uuid: String,
    /// Name of the template.
    pub name: String,
    /// Category of the template.
    #[serde(rename = "meta-category")]
    pub meta_category: String,
    /// What it describes.
    pub description: String,
    /// UUID of the template.
    pub template_uuid: String,
    /// Version of the template.
    pub template_version: String,
    /// Seconds since 1970.
    pub timestamp: String,
    /// Remark.
    #[serde(default)]
    pub comment: String,
    /// First seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_seen: Option<String>,
    /// Last seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<String>,
    /// Its attributes.
    #[serde(rename = "Attribute", default)]
    pub attributes: Vec<Attribute>,
}
