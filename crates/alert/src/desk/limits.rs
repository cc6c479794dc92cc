//! Limits of the desk, each with unit, source and what happens when it is changed.

use serde::{Deserialize, Serialize};

/// Limits of the desk.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Seconds between two immediate messages to one recipient below critical. Larger: fewer messages, later ones.
    pub immediate_interval_seconds: i64,
    /// Immediate messages about critical incidents per recipient and minute, beside the others, so that a flood of
    /// small incidents cannot delay a grave one.
    pub critical_per_minute: usize,
    /// Seconds between two digests to one recipient.
    pub digest_interval_seconds: i64,
    /// Seconds during which a digest gathers before it is sent. Smaller: more and smaller digests.
    pub digest_gather_seconds: i64,
    /// Incidents in one digest, at most; the rest follows in the next.
    pub digest_incidents_max: usize,
    /// Seconds between two mentions of what goes on (methods I: 24 h).
    pub continuing_seconds: i64,
    /// Silence in seconds after which an attack is over. The same victim attacked later is a new incident.
    pub attack_silence_seconds: i64,
    /// Silence in seconds after which an infection is over (methods I: 24 h).
    pub infection_silence_seconds: i64,
    /// Seconds after which a precursor's main attack is no longer expected (methods C4: 24 h).
    pub precursor_silence_seconds: i64,
    /// Seconds between two searches for silent incidents.
    pub sweep_seconds: i64,
    /// Open incidents kept. Past it, new ones are refused and counted.
    pub incidents_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            immediate_interval_seconds: 60,
            critical_per_minute: 10,
            digest_interval_seconds: 60,
            digest_gather_seconds: 10,
            digest_incidents_max: 2_000,
            continuing_seconds: 86_400,
            attack_silence_seconds: 3_600,
            infection_silence_seconds: 86_400,
            precursor_silence_seconds: 86_400,
            sweep_seconds: 60,
            incidents_max: 200_000,
        }
    }
}

/// Seconds in a day, the rhythm of daily digests.
pub const DAY_SECONDS: i64 = 86_400;
