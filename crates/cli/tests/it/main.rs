//! Commands as typed: output, failures, exit codes.

mod help;
mod import;
mod report;
mod sample;
mod support;
