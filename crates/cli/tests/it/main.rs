//! Commands as typed: output, failures, exit codes.

#[cfg(feature = "hub")]
mod alert;
mod analyze;
mod brief;
#[cfg(feature = "hub")]
mod fleet;
mod forecast;
mod geo;
mod help;
mod import;
mod packets;
mod report;
mod sample;
mod simulate;
mod support;
mod synchrony;
