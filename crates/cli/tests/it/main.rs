//! Commands as typed: output, failures, exit codes.

mod geo;
mod help;
mod import;
mod report;
mod sample;
mod simulate;
mod support;
