//! The only way out: what leaves Noroshi leaves through here.
//!
//! ```text
//! Alert, Attack, Incident ──▶ gate ──▶ Cleared ──▶ document ──▶ mail, webhook, syslog   (delivery, from the outbox)
//!                                          └─────▶ stix, misp, lists                     (files and endpoints)
//! ```
//!
//! The [`gate`] redacts sensor addresses, holds to TLP 2.0 and names no attacker on evidence that can be forged; every
//! exporter takes [`gate::Cleared`] values, which only the gate makes. [`safe`] turns foreign text into text that may be
//! shown. The [`outbox`] keeps decided messages with the state that decided them; [`delivery`] hands them over.

pub mod answer;
pub mod catalogue;
pub mod delivery;
pub mod document;
pub mod export;
pub mod gate;
pub mod intake;
pub mod lists;
pub mod mail;
pub mod misp;
pub mod outbox;
pub mod safe;
pub mod ssrf;
pub mod stix;
pub mod syslog;
pub mod taxii;
pub mod ticket;
pub mod webhook;

pub use gate::{Cleared, Gate, Withheld};
