//! Tests of the crate's behaviour.
mod config;
mod desk;
mod members;
mod precursor;
mod watch;
