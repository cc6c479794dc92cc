//! Commands as typed: output, failures, exit codes.

mod help;
mod support;
