//! What can go wrong, said so that the person who sees it knows what to do.

use std::io;
use std::path::PathBuf;

/// Why bytes could not be read as a table of address knowledge; the caller adds which file they came from.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// None of the known formats.
    #[error(
        "not a format that is understood ({found}); expected an MMDB, an MRT RIB dump, prefix-to-AS or country CSV, an \
         RIR delegated file, a MISP warninglist, an ipset file or a list of addresses and prefixes"
    )]
    Unrecognised {
        /// What the bytes looked like.
        found: String,
    },
    /// The format is known and the content breaks it.
    #[error("{format} is malformed at {place}: {reason}; get the file again from its publisher")]
    Malformed {
        /// Which format.
        format: &'static str,
        /// Line, record or offset.
        place: String,
        /// What is wrong there.
        reason: String,
    },
    /// Reading on would cost more than allowed.
    #[error("{what} exceed the limit of {limit}; raise the limit if the file is trusted")]
    OverLimit {
        /// What was counted.
        what: &'static str,
        /// How much of it is allowed.
        limit: u64,
    },
    /// Read well, and nothing in it says anything of an address.
    #[error("{format} holds nothing to look up: {reason}")]
    Empty {
        /// Which format.
        format: &'static str,
        /// What it holds instead.
        reason: String,
    },
}

impl LoadError {
    pub(crate) fn malformed(format: &'static str, place: impl Into<String>, reason: impl ToString) -> Self {
        LoadError::Malformed { format, place: place.into(), reason: printable(&reason.to_string()) }
    }
}

/// Why the knowledge on disk could not be read or extended.
#[derive(Debug, thiserror::Error)]
pub enum EnrichError {
    /// The file could not be read as a table.
    #[error("{}: {cause}", path.display())]
    Load {
        /// The file as named by the caller.
        path: PathBuf,
        /// Why.
        #[source]
        cause: LoadError,
    },
    /// The operating system refused.
    #[error("cannot {action} {}: {cause}", path.display())]
    Io {
        /// What was attempted.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// A file of the knowledge directory does not hold what was written to it.
    #[error("{} is damaged ({reason}); import its source again, or remove the directory and import everything", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What does not fit.
        reason: String,
    },
    /// The directory was written by a newer program.
    #[error("{} is in format {found}, this program reads {known}; use the newer program", path.display())]
    TooNew {
        /// The manifest.
        path: PathBuf,
        /// Its format.
        found: String,
        /// The format this program knows.
        known: &'static str,
    },
}

impl EnrichError {
    pub(crate) fn io(action: &'static str, path: &std::path::Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |cause| EnrichError::Io { action, path, cause }
    }
}

/// Foreign text made safe for a terminal or a log: control characters become dots, and the length is bounded.
pub(crate) fn printable(text: &str) -> String {
    text.chars().take(200).map(|c| if c.is_control() { '.' } else { c }).collect()
}
