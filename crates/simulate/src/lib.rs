//! Generated worlds with ground truth.
//!
//! A [`Scenario`] (a readable TOML file) plus a seed and a number of packets make a [`World`]: packets in time order
//! as Ethernet frames, and a [`truth::Truth`] that says exactly what is planted in them. Detectors are scored against
//! it, and such a score is labelled "generated data" wherever it is shown.
//!
//! Promises: the same arguments give the same bytes on every machine (whole numbers only, own generator); planted
//! counts are exact; times never decrease; checksums are right; memory grows with things, sources and the packets of
//! one minute, not with the length of the world. Monitored addresses are documentation and benchmark ranges; sources
//! are hashes. Nothing is ever sent: packets go into files or to a visitor.
//!
//! ```
//! use noroshi_simulate::{Scenario, World};
//! let scenario = Scenario::load("quiet")?;
//! let world = World::new(&scenario, 1, 1000);
//! let mut bytes = 0;
//! world.for_each(|_time, frame| bytes += frame.len());
//! assert!(bytes >= 60 * 1000);
//! assert!(world.truth().attacks.is_empty());
//! # Ok::<(), noroshi_simulate::ScenarioError>(())
//! ```

mod emit;
pub mod families;
mod frame;
mod plan;
mod requests;
mod rng;
pub mod scenario;
mod space;
mod tools;
pub mod truth;
mod world;
mod write;

pub use rng::{Rng, mix, mix2};
pub use scenario::{Scenario, ScenarioError};
pub use tools::Variant;
pub use truth::Truth;
pub use world::{Packets, SourceTruth, World};
pub use write::{PcapWriter, WriteError, Written, write_day};
