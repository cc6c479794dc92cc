//! Integration tests of the store, one binary.

mod backup;
mod concurrent;
mod findings;
mod golden;
mod interop;
mod journal;
mod kill;
mod lake;
mod maintain;
mod questions;
mod rankings;
mod remote;
mod rollups;
mod sample;
