//! hpfeeds: frames as on the wire, both ends of the conversation, and saved streams.
//!
//! A frame is a big-endian length that counts itself, one byte of operation, and a body. The broker speaks first.
//! Nothing here opens a socket: callers feed bytes and send what is returned.

mod broker;
mod client;
mod file;
mod frame;

pub use broker::{Account, Broker, BrokerStep};
pub use client::{Client, ClientStep};
pub use file::{FileFrames, looks_like};
pub use frame::{Decoder, Frame, FrameError, MAX_PAYLOAD, secret_hash};
