//! Who should hear what, when and how often. Decides; sends nothing, reads no clock, opens no file.
//!
//! ```text
//! packets ──▶ daedalus::Watch ──▶ Infection ┐
//!                                           ├──▶ statement ──▶ desk::Desk ──▶ Alert (one message, one recipient)
//! detectors ──▶ Attack, … ──────────────────┘
//! ```
//!
//! [`config`] reads members, rules and limits from one TOML text. [`daedalus`] watches members' own hosts (methods I).
//! [`precursor`] finds small tests that announce large attacks (methods C4).
//! [`statement`] turns findings into what is said about a member. [`desk`] keeps incidents, applies rules, quiet hours,
//! suppressions and limits, and promises that each incident reaches each recipient exactly once: its state is plain
//! data that the caller commits together with the messages.
//!
//! Same input, same alerts, a year later: time zones come from the bundled database, times are parameters, and every
//! map iterates in a fixed order.

pub mod config;
pub mod daedalus;
pub mod desk;
pub mod precursor;
pub mod quiet;
pub mod rules;
pub mod statement;

pub use config::{Config, ConfigError};
pub use desk::{Desk, Limits};
pub use statement::Statement;
