//! What others say: STIX objects, MISP events and partners' own findings, read into one form ([`Foreign`]).
//!
//! Nothing here is believed: a foreign finding keeps the name of who sent it, its label and its end; an unreadable label
//! counts as red; text is cut and harmless. What says nothing about a victim or an attacking host (a malware
//! description, an identity) is counted as kept, not turned into a finding.
//!
//! Bounds: [`OBJECTS_MAX`] objects in one input; patterns and texts are read to a fixed length.

mod misp;
mod partner;
mod stix;

pub use misp::misp_event;
pub use partner::{PartnerFinding, partner_findings};
pub use stix::stix_objects;

use noroshi_model::Nanos;
use noroshi_model::alert::Severity;
use noroshi_model::finding::Victim;
use noroshi_model::tlp::Tlp;
use serde::{Deserialize, Serialize};

/// Objects in one input. More is refused whole, so that nobody believes that all of them were read.
pub const OBJECTS_MAX: usize = 1_000_000;
/// Subjects that one object may name.
const SUBJECTS_MAX: usize = 1_000;
/// Longest text kept, in characters.
const TEXT_MAX: usize = 500;

/// What is said about a subject.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Claim {
    /// It attacks others.
    Infection,
    /// It suffers denial of service.
    Attack,
}

/// One thing that somebody else says.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Foreign {
    /// Their id of it: the same for every correction.
    pub id: String,
    /// When they last changed it: a correction is later.
    pub modified: Nanos,
    /// What is claimed.
    pub claim: Claim,
    /// About whom.
    pub subject: Victim,
    /// How bad.
    pub severity: Severity,
    /// How far it may travel.
    pub tlp: Tlp,
    /// First seen.
    pub first: Nanos,
    /// Last seen.
    pub last: Nanos,
    /// How often.
    pub count: u64,
    /// How sure they are, 0 to 1.
    pub confidence: f64,
    /// Not valid from then on.
    pub valid_until: Option<Nanos>,
    /// They took it back.
    pub revoked: bool,
    /// One sentence, harmless.
    pub text: String,
}

impl Foreign {
    /// Whether it holds at that time.
    pub fn holds(&self, now: Nanos) -> bool {
        !self.revoked && self.valid_until.is_none_or(|until| now < until)
    }
}

/// What an input held.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub struct Taken {
    /// Objects (of MISP: attributes and objects) in it.
    pub objects: u64,
    /// Objects by type.
    pub by_type: std::collections::BTreeMap<String, u64>,
    /// What says something about a victim or an attacking host.
    pub foreign: Vec<Foreign>,
    /// Objects that could not be read, with the reason.
    pub refused: Vec<(String, String)>,
}

/// The input cannot be read at all.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum IntakeError {
    /// It is no JSON.
    #[error("it is not JSON: {0}")]
    Json(String),
    /// It is neither of the things that are understood.
    #[error("{0}")]
    Shape(&'static str),
    /// It is too much.
    #[error("it holds {0} objects; at most {OBJECTS_MAX} are read at once: split it")]
    TooMany(usize),
}

/// Reads a STIX bundle, a TAXII envelope, or a MISP event, whichever it is.
pub fn read(bytes: &[u8], now: Nanos) -> Result<Taken, IntakeError> {
    let value: serde_json::Value =
        serde_json::from_slice(bytes).map_err(|error| IntakeError::Json(crate::safe::line(&error.to_string())))?;
    if let Some(objects) = value.get("objects") {
        let Some(objects) = objects.as_array() else { return Err(IntakeError::Shape("\"objects\" is not a list")) };
        if value.get("type").is_some_and(|kind| kind != "bundle") {
            return Err(IntakeError::Shape("\"type\" is not \"bundle\""));
        }
        return stix_objects(objects, now);
    }
    match value.get("type").and_then(serde_json::Value::as_str) {
        // A bundle may be empty: its list is optional in STIX 2.1.
        Some("bundle") => return stix_objects(&[], now),
        // One object without a bundle around it.
        Some(_) if value.get("id").is_some() => return stix_objects(std::slice::from_ref(&value), now),
        _ => {}
    }
    // A MISP server answers {"response": [{"Event": …}]}, or {"response": {"Attribute": […]}} to a search.
    let inner = value.get("response").unwrap_or(&value);
    let one = |item: &'_ serde_json::Value| item.get("Event").is_some() || item.get("Attribute").is_some();
    let events: Vec<&serde_json::Value> = match inner.as_array() {
        Some(list) => list.iter().filter(|item| one(item)).map(|item| item.get("Event").unwrap_or(item)).collect(),
        None if one(inner) || inner.get("Object").is_some() => vec![inner.get("Event").unwrap_or(inner)],
        None => Vec::new(),
    };
    if events.is_empty() {
        return Err(IntakeError::Shape(
            "it is neither a STIX bundle (\"type\": \"bundle\") nor a MISP event (\"Event\")",
        ));
    }
    let mut taken = Taken::default();
    for event in events {
        let one = misp_event(event, now)?;
        taken.objects += one.objects;
        for (kind, count) in one.by_type {
            *taken.by_type.entry(kind).or_default() += count;
        }
        taken.foreign.extend(one.foreign);
        taken.refused.extend(one.refused);
    }
    Ok(taken)
}

/// Foreign text, cut and harmless.
fn text(foreign: &str) -> String {
    let cut: String = foreign.chars().take(TEXT_MAX).collect();
    crate::safe::line(&cut)
}

/// An address or a prefix.
fn subject(value: &str) -> Option<Victim> {
    let value = value.trim();
    match value.contains('/') {
        true => value.parse::<noroshi_model::Prefix>().ok().map(|prefix| {
            let whole = if prefix.first().is_v4() { 32 } else { 128 };
            if prefix.length() == whole { Victim::Address(prefix.first()) } else { Victim::Network(prefix) }
        }),
        false => value.parse().ok().map(Victim::Address),
    }
}
