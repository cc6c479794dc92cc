//! The sensor as a whole.

mod bots;
mod clients;
mod harmless;
mod lean;
mod live;
mod lures;
mod process;
mod replayed;
mod space;
