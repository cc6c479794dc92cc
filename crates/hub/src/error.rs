//! What can go wrong in a hub.

use std::path::PathBuf;

/// The hub cannot do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// The system refused.
    #[error("{path}: {doing}: {source}{}", hint(source))]
    Io {
        /// File or folder.
        path: PathBuf,
        /// What was attempted.
        doing: &'static str,
        /// Cause.
        source: std::io::Error,
    },
    /// The sensor endpoint.
    #[error("cannot listen on {address}: {source}; is another hub running, or is the port taken?")]
    Listen {
        /// Address and port.
        address: String,
        /// Cause.
        source: std::io::Error,
    },
    /// Another hub uses the folder.
    #[error("{0} is in use by another hub; stop that one, or give this one its own --data folder")]
    InUse(PathBuf),
    /// The hub's own database.
    #[error("{path}: {source}; is the disk full or not writable? free space, then start again")]
    State {
        /// The file.
        path: PathBuf,
        /// Cause.
        source: sqlx::Error,
    },
    /// A stored document that this program cannot read.
    #[error("{path}: {what} is damaged")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What.
        what: &'static str,
    },
    /// Keys and certificates.
    #[error(transparent)]
    Identity(#[from] noroshi_wire::IdentityError),
    /// TLS.
    #[error(transparent)]
    Tls(#[from] noroshi_wire::tls::TlsError),
    /// The journal.
    #[error(transparent)]
    Journal(#[from] noroshi_store::JournalError),
    /// The lake.
    #[error(transparent)]
    Lake(#[from] noroshi_store::LakeError),
    /// Findings and places that the portal keeps.
    #[error("the portal's own records: {0}")]
    Portal(#[from] sqlx::Error),
    /// A policy setting.
    #[error(transparent)]
    Policy(#[from] noroshi_model::policy::PolicyError),
    /// No such sensor.
    #[error("there is no sensor \"{name}\"{}", known_names(.known))]
    UnknownSensor {
        /// As typed.
        name: String,
        /// What there is.
        known: Vec<String>,
    },
    /// No such revision.
    #[error("sensor \"{name}\" has no policy revision {revision} (it has 1 to {last})")]
    UnknownRevision {
        /// The sensor.
        name: String,
        /// As typed.
        revision: u64,
        /// The newest.
        last: u64,
    },
    /// A configuration file.
    #[error("configuration {path}: {text}")]
    Config {
        /// The file.
        path: PathBuf,
        /// What is wrong, with the place.
        text: String,
    },
    /// A service did not start.
    #[error("service {name} did not start: {text}")]
    Service {
        /// Its name.
        name: String,
        /// Why.
        text: String,
    },
    /// Nothing answers on the admin socket.
    #[error("no hub is running in {0}; start one with: noroshi up --data {0}")]
    NotRunning(PathBuf),
    /// The running hub's answer.
    #[error("{0}")]
    Answer(String),
}

fn known_names(names: &[String]) -> String {
    match names {
        [] => "; no sensor has enrolled yet (noroshi fleet token NAME)".into(),
        names => format!("; there are: {}", names.join(", ")),
    }
}

impl HubError {
    pub(crate) fn io(path: impl Into<PathBuf>, doing: &'static str) -> impl FnOnce(std::io::Error) -> HubError {
        let path = path.into();
        move |source| HubError::Io { path, doing, source }
    }
}

/// What helps against the system's refusal.
fn hint(source: &std::io::Error) -> &'static str {
    use std::io::ErrorKind::*;
    match source.kind() {
        StorageFull | QuotaExceeded => "; free space on that disk, then start again",
        PermissionDenied | ReadOnlyFilesystem => "; run it as the owner of that folder, or give another with --data",
        _ => "",
    }
}
