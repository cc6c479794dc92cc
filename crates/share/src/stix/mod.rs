//! STIX 2.1 (OASIS Standard, 10 June 2021): the objects we emit, and bundles of them.
//!
//! [`types`] are the objects, [`id`] their deterministic identifiers, [`marking`] TLP 1 and 2, [`export`] the way from
//! findings and incidents to a [`Bundle`]. Everything an exporter is given has passed the [gate](crate::gate).

pub mod export;
pub mod id;
pub mod marking;
pub mod types;

pub use export::{Exporter, Producer};
pub use types::{Bundle, Object};
