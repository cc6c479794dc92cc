//! What can go wrong, said so that the host knows what to do.

use std::path::PathBuf;

/// The sensor cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum SensorError {
    /// The spool.
    #[error(transparent)]
    Spool(#[from] crate::spool::SpoolError),
    /// The honeypots alone, for trials.
    #[error(transparent)]
    Lure(#[from] crate::lure::LureError),
    /// The way to the hub.
    #[error(transparent)]
    Connect(#[from] noroshi_wire::ConnectError),
    /// Keys and certificates.
    #[error(transparent)]
    Identity(#[from] noroshi_wire::IdentityError),
    /// The pasted line.
    #[error(transparent)]
    Invitation(#[from] noroshi_wire::invitation::InvitationError),
    /// The host's ceiling file.
    #[error(transparent)]
    Ceiling(#[from] crate::ceiling::CeilingError),
    /// Where packets come from.
    #[error(transparent)]
    Source(#[from] crate::source::SourceError),
    /// Not enrolled.
    #[error("no identity in {0}: enrol first (ask the hub's operator for a line: noroshi fleet token NAME)")]
    NotEnrolled(PathBuf),
    /// Enrolled already.
    #[error("{dir} already belongs to sensor \"{name}\"; use another --state folder, or --replace to enrol it anew")]
    Enrolled {
        /// The state folder.
        dir: PathBuf,
        /// Its name.
        name: String,
    },
    /// A file of the state folder.
    #[error("{path}: {doing}: {source}{}", hint(source))]
    State {
        /// The file.
        path: PathBuf,
        /// What was attempted.
        doing: &'static str,
        /// Cause.
        source: std::io::Error,
    },
    /// A file of the state folder that is not what it should be.
    #[error("{path} is damaged ({what}); restore it, or enrol anew with --replace")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: &'static str,
    },
    /// The hub knows more of this stream than the spool does.
    #[error(
        "the hub has this stream up to {hub}, the spool only up to {spool}: the state folder was copied or restored. \
         Move its spool folder away, then start again"
    )]
    Behind {
        /// The hub's watermark.
        hub: u64,
        /// Ours.
        spool: u64,
    },
    /// A lure process could not be what it was told to be.
    #[error("lure process: {0}")]
    LureProcess(String),
    /// A worker thread ended unexpectedly.
    #[error("a part of the sensor stopped unexpectedly: {0}")]
    Stopped(&'static str),
}

impl SensorError {
    /// Whether the input was refused (exit code 3) rather than the work failed (1).
    pub fn is_refusal(&self) -> bool {
        matches!(self, SensorError::Invitation(_) | SensorError::Ceiling(_))
            || matches!(self, SensorError::Source(source) if source.is_refusal())
    }
}

/// What helps against the system's refusal.
fn hint(source: &std::io::Error) -> &'static str {
    use std::io::ErrorKind::*;
    match source.kind() {
        StorageFull | QuotaExceeded => "; free space on that disk, then try again: nothing was used up",
        PermissionDenied | ReadOnlyFilesystem => "; run it as the owner of that folder, or give another with --state",
        _ => "",
    }
}
