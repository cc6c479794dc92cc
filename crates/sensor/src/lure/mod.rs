//! The lures in service: processes of their own, with as few rights as can be, under the policy of two hands.
//!
//! ```text
//!  sensor process                                   │ lure process (no files, no connections, no programs)
//!  Keeper ── order, mutes ─────── pipe ────────────▶│ worker: sockets, dialogues, reflector
//!     ▲  └── policy: what may be kept               │    │
//!     └───────── rows, recordings ── pipe ──────────│◀───┘
//!     │
//!     └──▶ spool ──▶ hub        vault: recordings and files that visitors left, by hash
//! ```
//!
//! Dialogues, the reflector and the first payload run in three processes, because their rights differ ([`Kind`]). What
//! comes out of them is read as foreign.

pub mod confine;
pub mod keeper;
pub mod message;
pub mod trial;
mod vault;
pub mod worker;

pub use keeper::{Keeper, Program, Recorder};
pub use message::{Order, Place};
pub use trial::{LureArgs, LureError, run};

use crate::amplification::Bounds;
use crate::iot::Limits;
use noroshi_model::lure::Lure;

/// Lure processes: their rights differ, so each kind has its own.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Answers connections that it accepted.
    Dialogues,
    /// Sends datagrams from the sockets it was started with.
    Datagrams,
    /// Reads and writes the packets of one TUN device.
    Segments,
}

impl Kind {
    /// All.
    pub const ALL: [Kind; 3] = [Kind::Dialogues, Kind::Datagrams, Kind::Segments];

    /// Which process holds out a lure.
    pub fn of(lure: Lure) -> Kind {
        match lure {
            Lure::Tcp => Kind::Segments,
            lure if lure.is_dialogue() => Kind::Dialogues,
            _ => Kind::Datagrams,
        }
    }
}

/// What a sensor's host lets lures be. Without a place nothing runs, whatever the hub asks for.
#[derive(Clone, Debug, Default)]
pub struct LureOptions {
    /// Which lures, and where they listen.
    pub places: Vec<Place>,
    /// TUN device for whose traffic the lure `tcp` answers.
    pub device: Option<String>,
    /// Device persona: one that ships, or the text of a TOML file.
    pub persona: String,
    /// User that lure processes become when the sensor is started by root.
    pub user: Option<String>,
    /// How lure processes are started.
    pub program: Program,
    /// Bounds of replies; the policy may lower the rate.
    pub bounds: Bounds,
    /// Bounds of dialogues.
    pub limits: Limits,
}
