//! Commands as typed: output, failures, exit codes.

#[cfg(feature = "hub")]
mod alert;
mod analyze;
mod brief;
mod correlate;
#[cfg(feature = "hub")]
mod crowd;
#[cfg(feature = "hub")]
mod fleet;
mod forecast;
mod foresight;
#[cfg(feature = "hub")]
mod full;
mod geo;
mod help;
mod import;
#[cfg(feature = "hub")]
mod intake;
#[cfg(feature = "hub")]
mod kills;
#[cfg(feature = "hub")]
mod lab;
#[cfg(feature = "hub")]
mod lake;
mod malware;
#[cfg(feature = "hub")]
mod net;
#[cfg(feature = "hub")]
mod oracle;
mod packets;
#[cfg(feature = "hub")]
mod poison;
#[cfg(feature = "hub")]
mod power;
#[cfg(feature = "hub")]
mod rate;
#[cfg(feature = "hub")]
mod refusals;
mod report;
mod sample;
mod simulate;
mod support;
mod synchrony;
#[cfg(feature = "hub")]
mod trial;
#[cfg(feature = "hub")]
mod warning;
