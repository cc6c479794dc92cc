//! Which malware is behind this source, session, campaign or capture: how sure, and why.
//!
//! A [`Profile`] says how something behaves on the network, and is made the same way for a darknet source, a campaign,
//! a honeypot session and the traffic of a sample in the sandbox ([`builder`], [`session`]). An [`Index`] holds labelled
//! profiles; [`Index::judge`] gives the five families that behave most alike, each with a calibrated probability and
//! with [`reason`]s, or abstains. What needs no judgement, equal hashes, addresses, places and credential lists, is
//! joined exactly ([`joins`]). [`live`] is what a hub calls for each new finding, and backwards for each new sample.
//!
//! Weights and calibration are learned ([`train`]) and stand with their card in the [`model`]. [`evaluate`] computes the
//! scores by which all of this is judged.
//!
//! Never: a clock, a socket, a file, randomness without a seed; a match without its reasons; a probability on data that
//! was seen in training.

pub mod builder;
mod calibrate;
pub mod evaluate;
pub mod feature;
mod index;
pub mod joins;
mod judge;
pub mod live;
pub mod model;
pub mod profile;
pub mod reason;
pub mod session;
pub mod train;

pub use builder::Builder;
pub use index::{Index, Near, Scratch};
pub use judge::{ABSTAIN_BELOW, Candidate, TOP, Verdict};
pub use model::Model;
pub use profile::{Origin, Profile};

/// Name and version that links carry.
pub fn detector() -> String {
    format!("correlate/{}", env!("CARGO_PKG_VERSION"))
}
