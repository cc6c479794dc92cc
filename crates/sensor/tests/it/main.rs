//! The sensor as a whole.

mod harmless;
mod lean;
mod live;
mod lures;
