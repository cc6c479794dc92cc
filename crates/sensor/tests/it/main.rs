//! The sensor as a whole.

mod clients;
mod harmless;
mod lean;
mod live;
mod lures;
mod process;
mod space;
