//! The sensor as a whole.

mod lean;
mod live;
