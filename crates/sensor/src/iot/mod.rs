//! The device honeypot: what IoT malware takes for a router, a camera or a recorder.
//!
//! ```text
//!  client ⇄ telnet / ssh / http / adb / redis / upnp ⇄ Dialogue (limits, recording) ⇄ Shell (emulated: no process, no file, no connection)
//!                                        └────────▶ Session row, recording, files left behind
//! ```
//!
//! What a visitor does stays here: commands are emulated, files live in the session's memory and are kept by hash,
//! addresses to fetch from are written down and never contacted. No code below this module opens an outgoing
//! connection; a test reads the sources for it, and the process that runs the lures is denied the system call.

pub mod adb;
pub mod device;
pub mod dialogue;
pub mod files;
pub mod house;
pub mod http;
pub mod limits;
pub mod recording;
pub mod redis;
pub mod shell;
pub mod ssh;
pub mod telnet;
#[cfg(test)]
mod tests;
pub mod upnp;
pub mod urls;

pub use device::Device;
pub use dialogue::{Finished, Sample};
pub use house::{Bound, Config, ServeError, bind, serve};
pub use limits::Limits;
