//! The sensor: captures, obeys two hands, keeps what it saw until the hub has it.
//!
//! ```text
//!  source ──▶ filter ──▶ decode ──▶ policy ──▶ batch ──▶ spool (synced) ──▶ uplink ──▶ hub
//!  (ring or file)        (packet)   (before disk)           ▲                  │
//!                                                           └──── acknowledged ┘
//! ```
//!
//! Lures ([`lure`]) answer visitors in processes of their own; their rows go the same way from the policy on.
//!
//! Every packet takes a sequence number, also one that policy leaves out or the kernel dropped; those are declared as
//! gaps. So the hub can check, batch by batch, that produced = stored + declared.
//!
//! Never here: the query engine, the rule engine, an opinion on what is an attack.

pub mod amplification;
pub mod capture;
pub mod ceiling;
pub mod command;
pub mod enrol;
pub mod error;
pub mod first;
mod fold;
pub mod iot;
pub mod lure;
pub mod policy;
pub mod run;
pub mod source;
pub mod spool;
pub mod state;
pub mod uplink;

mod trial;

pub use error::SensorError;
