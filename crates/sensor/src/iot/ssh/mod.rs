//! SSH in front of the device's shell. The protocol is the library's (feature `ssh`); what the visitor may do is decided
//! here: log in, type, run, leave files. Forwarding is refused and written down. Nothing connects to anywhere.

#[cfg(feature = "ssh")]
mod handler;
mod hassh;
mod scp;
#[cfg(feature = "ssh")]
mod server;
mod sftp;
#[cfg(feature = "ssh")]
mod tap;
#[cfg(test)]
mod tests;

pub use hassh::hassh;
pub use scp::Sink as ScpSink;
#[cfg(feature = "ssh")]
pub use server::Identity;
#[cfg(feature = "ssh")]
pub(super) use server::visit;
pub use sftp::Server as SftpServer;

/// A dialogue that the library's task and ours share; taken out when it is over.
#[cfg(feature = "ssh")]
type Shared = std::sync::Arc<std::sync::Mutex<Option<super::dialogue::Dialogue>>>;
