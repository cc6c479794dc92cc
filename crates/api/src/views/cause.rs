//! Which malware may be behind a finding.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What known samples say about a finding.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct CauseView {
    /// The family that is named; none when it abstains.
    pub family: Option<String>,
    /// Why no family is named.
    pub abstains: Option<String>,
    /// Families that behave alike, most probable first.
    pub candidates: Vec<CandidateView>,
    /// Values that are equal.
    pub joins: Vec<JoinView>,
    /// Packets that it rests on.
    pub packets: u64,
    /// Profiles of samples that were compared.
    pub profiles: u64,
    /// What the probabilities were learned from.
    pub trained_on: String,
    /// Name and version of what judged.
    pub detector: String,
}

/// A family that may be behind it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct CandidateView {
    /// Family.
    pub family: String,
    /// How often such a candidate is right, by calibration.
    pub probability: f64,
    /// The nearest profile.
    pub nearest: String,
    /// Behaviour in common with it, 0 to 1.
    pub similarity: f64,
    /// Why, in words, most telling first; a minus begins what speaks against it.
    pub reasons: Vec<String>,
}

/// A value that a finding shares with a sample.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct JoinView {
    /// `hash`, `url`, `host` or `credentials`.
    pub kind: String,
    /// The value.
    pub value: String,
    /// The sample.
    pub sample: String,
    /// Its family, where it is known.
    pub family: Option<String>,
}
