//! Integration tests of the store, one binary.

mod findings;
mod interop;
mod journal;
mod kill;
mod lake;
mod maintain;
mod sample;
