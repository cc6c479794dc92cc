//! The protocol between sensor and hub, both ends.
//!
//! One connection, one protocol: Arrow Flight over mutual TLS 1.3. Record batches travel in `DoPut`; enrolment, the
//! long-lived policy stream and reports are `DoAction` calls with JSON bodies ([`message`]). Who a sensor is comes from
//! its certificate alone ([`identity`]); nothing it writes in a message can change that.
//!
//! ```text
//!  sensor                                   hub
//!    │── enrol (token, signing request) ──▶ │   server-side TLS, hub known by pin
//!    │◀──────────── certificate ─────────── │
//!    │── attach (epoch, versions) ────────▶ │   mutual TLS from here on
//!    │◀── welcome (watermark), policy… ──── │   stays open; a change arrives here
//!    │── put (numbered batches) ──────────▶ │
//!    │◀──────── acks, after sync ────────── │
//!    │── report (counters, policy hash) ──▶ │
//! ```
//!
//! Never here: what a batch means, where it is stored, what a policy does.

pub mod batch;
pub mod client;
pub mod descriptors;
pub mod identity;
pub mod invitation;
pub mod message;
pub mod server;
pub mod tls;

pub use client::{ConnectError, Connection};
pub use descriptors::raise_descriptors;
pub use identity::{Authority, CaPin, IdentityError, SensorKey, SensorName};
pub use invitation::{Invitation, Token};
pub use message::{Ack, BatchHead, Control, Hello, Refusal, Report, StreamState, Welcome};

/// Version of the messages. A hub speaks its own and the one before.
pub const PROTOCOL: u32 = 1;
/// Oldest version a hub still speaks.
pub const PROTOCOL_OLDEST: u32 = 1;
/// Most bytes of one encoded batch (its Arrow messages together).
pub const BATCH_BYTES_MAX: usize = 4 << 20;
/// Most bytes of one decoded batch.
pub const DECODED_BYTES_MAX: usize = 64 << 20;
/// Most records one batch may number.
pub const BATCH_RECORDS_MAX: u64 = 1 << 32;
/// Name that hub certificates carry. Sensors check it instead of an address, so a hub may move or sit behind NAT.
pub const HUB_NAME: &str = "hub.noroshi.internal";
