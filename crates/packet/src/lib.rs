//! Hostile bytes to typed packets.
//!
//! In: capture files and streams ([`capture`]) or single frames. Out: [`noroshi_model::packet::PacketBatch`]
//! ([`decode`]), with addresses, ports, flags, options, quoted and tunnelled headers, oddities, and which scanner
//! fingerprints each packet satisfies ([`fingerprint`]).
//!
//! Promises: no panic and no unbounded work on any input; a malformed packet yields what could be read plus its
//! oddities; the same bytes give the same rows. Never: a clock, a socket, an opinion on what is an attack.
//!
//! ```no_run
//! use noroshi_packet::{capture, decode};
//! let mut reader = capture::Reader::open("day.pcap".as_ref())?;
//! while let Some(raw) = reader.next_batch() {
//!     let batch = decode::decode(raw, 0);
//!     println!("{} packets", batch.rows.len());
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod capture;
pub mod decode;
mod fast;
pub mod filter;
pub mod fingerprint;
mod headers;
pub mod link;
mod link_rare;
mod transport;
mod tunnel;
