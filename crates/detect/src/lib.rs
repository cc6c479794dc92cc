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
//! How it is fast: right after decoding, each packet is cut to one cache line per table that wants it and dealt to a fixed
//! number of shards by a hash of its source (and again by victim and by destination). Shards run in parallel without
//! locks. Within a shard packets are worked on source by source, and what the next ones will touch is asked for ahead:
//! the tables of a large day fit no cache, and one trip to memory after the other would be most of the time.

pub mod brute_force;
mod chunks;
pub mod config;
pub mod ddos;
mod deal;
pub mod engine;
pub mod forecast;
mod index;
pub mod lead;
pub mod learn;
pub mod locality;
pub mod monitored;
pub mod payload;
mod placed;
mod prefetch;
pub mod scan;
pub mod series;
mod set;
mod shard;
pub mod sightings;
pub mod similarity;
mod source;
pub mod synchrony;
mod tally;
pub mod vulnerability;

pub use config::Config;
pub use engine::Engine;
pub use shard::{Prepared, Preparer};

/// Name and version that findings carry.
pub(crate) fn detector(name: &str) -> String {
    format!("{name}/{}", env!("CARGO_PKG_VERSION"))
}
