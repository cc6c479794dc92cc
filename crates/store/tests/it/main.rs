//! Integration tests of the store, one binary.

mod journal;
mod kill;
mod lake;
mod maintain;
mod sample;
