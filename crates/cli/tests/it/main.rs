//! Commands as typed: output, failures, exit codes.

mod help;
mod report;
mod sample;
mod support;
