//! Packets in, findings out.
//!
//! [`engine::Engine`] takes batches of packets in order and gives, at the end or at any moment, what was seen: counts,
//! scans and campaigns ([`scan`]), denial of service ([`ddos`]), clusters of first payloads ([`payload`]) and repeated
//! logins ([`brute_force`]). Definitions and thresholds follow the literature named beside each; every finding carries
//! the thresholds it was judged by.
//!
//! Promises: the same packets in the same order give the same findings, byte for byte, with any number of threads;
//! memory is bounded by configuration. Never: a clock, a socket, a file; time is what packets carry.
//!
//! How it is fast: packets are split by a hash of their source (and again by victim and by destination) into a fixed
//! number of shards, so that the tables a shard touches stay in a core's cache and shards run in parallel without locks.

pub mod brute_force;
pub mod config;
pub mod ddos;
pub mod engine;
pub mod forecast;
pub mod monitored;
pub mod payload;
pub mod scan;
pub mod series;
mod set;
mod shard;
mod source;
pub mod synchrony;
mod tally;

pub use config::Config;
pub use engine::Engine;

/// Name and version that findings carry.
pub(crate) fn detector(name: &str) -> String {
    format!("{name}/{}", env!("CARGO_PKG_VERSION"))
}
