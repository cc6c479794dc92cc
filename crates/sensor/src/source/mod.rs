//! Where packets come from: capture files, or live interfaces.

mod interface;
mod replay;
mod ring;

pub use interface::{Interfaces, Keep, drop_privileges};
pub use replay::{Progress, Replay, ReplayPlan};

use noroshi_packet::capture::RawBatch;
use std::path::PathBuf;
use std::time::Duration;

/// No packets can be had.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// A capture file.
    #[error("{path}: {source}")]
    Capture {
        /// The file.
        path: PathBuf,
        /// Cause.
        source: noroshi_packet::capture::CaptureError,
    },
    /// Nothing to replay.
    #[error("{0}: no capture in it")]
    Empty(PathBuf),
    /// The system refused.
    #[error("{place}: {doing}: {source}{}", hint(source))]
    Io {
        /// File or interface.
        place: String,
        /// What was attempted.
        doing: &'static str,
        /// Cause.
        source: std::io::Error,
    },
    /// No interface of that name.
    #[error("interface \"{name}\" does not exist; there are: {}", .known.join(", "))]
    Interface {
        /// As typed.
        name: String,
        /// What there is.
        known: Vec<String>,
    },
}

fn hint(source: &std::io::Error) -> &'static str {
    match source.kind() {
        std::io::ErrorKind::PermissionDenied => {
            "; capturing needs root or CAP_NET_RAW (setcap cap_net_raw+ep noroshi-sensor), dropped once the socket is open"
        }
        _ => "",
    }
}

impl SourceError {
    /// Whether the input was refused rather than the work failed.
    pub fn is_refusal(&self) -> bool {
        use noroshi_packet::capture::CaptureError;
        matches!(
            self,
            SourceError::Capture { source: CaptureError::Refused(_), .. }
                | SourceError::Empty(_)
                | SourceError::Interface { .. }
        )
    }
}

/// What a source gave.
#[derive(Debug)]
pub enum Taken {
    /// Packets, and how many the kernel dropped before the last of them.
    Packets {
        /// The packets.
        raw: RawBatch,
        /// Dropped by the kernel since the last call.
        kernel_drops: u64,
    },
    /// Nothing arrived in the time given.
    Idle,
    /// There will be no more.
    Ended,
}

/// Gives nothing, for sensors that only hold out lures.
pub struct Quiet;

impl Source for Quiet {
    fn next(&mut self, wait: Duration) -> Result<Taken, SourceError> {
        std::thread::sleep(wait);
        Ok(Taken::Idle)
    }

    fn describe(&self) -> String {
        "lures only".into()
    }
}

/// A source of packets.
pub trait Source: Send {
    /// Packets as soon as there are some, or [`Taken::Idle`] after `wait`.
    fn next(&mut self, wait: Duration) -> Result<Taken, SourceError>;
    /// For people.
    fn describe(&self) -> String;
    /// Whether packets are dated by this machine's clock.
    fn dated_here(&self) -> bool {
        false
    }
}
