//! What rose unusually, and what is expected next.

use noroshi_model::Nanos;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A count that history does not explain.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct SurgeView {
    /// What was counted: `tcp/445`.
    pub key: String,
    /// Filter that selects its packets.
    pub filter: String,
    /// Start of the slot.
    #[schema(value_type = String)]
    pub start: Nanos,
    /// Length of the slot in seconds.
    pub slot_seconds: u64,
    /// What was counted in it.
    pub count: f64,
    /// What was usual.
    pub usual: f64,
    /// Adjusted probability of so much, were it as before.
    pub probability: f64,
    /// First seen in this slot.
    pub new: bool,
    /// One sentence.
    pub reason: String,
    /// The series up to now, oldest slot first; null is a gap.
    pub values: Vec<Option<f64>>,
}

/// Ends of an interval.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Interval {
    /// Low end.
    pub low: f64,
    /// High end.
    pub high: f64,
}

/// A slot that was or will be.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Expected {
    /// Start.
    #[schema(value_type = String)]
    pub start: Nanos,
    /// What came; null when it is still to come, or a gap.
    pub actual: Option<f64>,
    /// What was expected.
    pub point: Option<f64>,
    /// 80 % of what comes should lie in here.
    pub interval80: Option<Interval>,
    /// 95 % of what comes should lie in here.
    pub interval95: Option<Interval>,
}

/// How good past forecasts were.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Score {
    /// Slots scored.
    pub slots: u64,
    /// Mean absolute error.
    pub error: f64,
    /// Mean absolute error of the best naive method on the same slots.
    pub naive_error: Option<f64>,
    /// Its name.
    pub naive: Option<String>,
    /// Share of actual values inside the 80 % interval.
    pub inside80: Option<f64>,
}

/// The outlook for one series.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct OutlookView {
    /// What is counted: `total`, `tcp/445`.
    pub key: String,
    /// Length of a slot in seconds.
    pub slot_seconds: u64,
    /// Slots, oldest first; the last one is the next to come.
    pub slots: Vec<Expected>,
    /// How good such forecasts were.
    pub score: Option<Score>,
    /// Methods that took part in the next one.
    pub methods: Vec<String>,
}
