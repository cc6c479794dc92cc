//! hpfeeds: frames as on the wire, both ends of the conversation, saved streams, and both ends over TCP.
//!
//! A frame is a big-endian length that counts itself, one byte of operation, and a body. The broker speaks first.
//! [`Client`] and [`Broker`] open no socket: callers feed bytes and send what is returned. [`Subscription`], [`Publisher`]
//! and [`Server`] are those callers; what they receive is read like a saved stream.

mod broker;
mod client;
mod file;
mod frame;
mod live;
mod serve;

pub use broker::{Account, Broker, BrokerStep};
pub use client::{Client, ClientStep};
pub use file::{FileFrames, looks_like};
pub use frame::{Decoder, Frame, FrameError, MAX_PAYLOAD, secret_hash};
pub use live::{Feed, Publisher, Subscription};
pub use serve::{Accounts, Server, accounts};
