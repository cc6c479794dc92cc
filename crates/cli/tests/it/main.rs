//! Commands as typed: output, failures, exit codes.

mod analyze;
mod geo;
mod help;
mod import;
mod packets;
mod report;
mod sample;
mod simulate;
mod support;
