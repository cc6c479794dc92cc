//! The first payload on every TCP port of a prefix: a handshake answered in user space, what comes then, and goodbye.
//!
//! ```text
//!  TUN device ──▶ segment: IP and TCP headers ──▶ responder: SYN-ACK by cookie, first payload, reset ──▶ TUN device
//!                                                       └──▶ guess: protocol, JA4, names ──▶ row of `sessions`
//! ```
//!
//! No kernel socket is involved, so every port is open and the kernel's own TCP stays out of it. Nothing is kept for a
//! source until it has shown, by acknowledging a cookie, that it receives what is sent to it (RFC 4987, section 3.6);
//! a SYN-ACK is no longer than the SYN it answers needs to be, sent once, and bounded per network and in all. Two-phase
//! scanners (stateless probe, then a real connection; Hiesgen et al., "Spoki", USENIX Security 2022) are recognised by
//! the two kinds of SYN of one source.

pub mod device;
pub mod guess;
pub mod ja4;
pub mod responder;
pub mod segment;
#[cfg(test)]
mod tests;

pub use guess::{Guess, guess};
pub use responder::{Bounds, Responder};
