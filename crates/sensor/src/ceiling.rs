//! The host's ceiling: a TOML file that the hub can never exceed.
//!
//! ```toml
//! payload_bytes = 64
//! destination_addresses = "truncated"
//! prefixes = ["192.0.2.0/24"]
//! ```
//! An unknown setting is refused: a restriction that is misspelt would otherwise not restrict.

use noroshi_model::policy::{Policy, PolicyError};
use std::path::{Path, PathBuf};

/// A ceiling that cannot be honoured as written.
#[derive(Debug, thiserror::Error)]
pub enum CeilingError {
    /// The system refused.
    #[error("ceiling file {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Cause.
        source: std::io::Error,
    },
    /// Not TOML, or a value of the wrong type.
    #[error("ceiling file {path}: {text}")]
    Toml {
        /// The file.
        path: PathBuf,
        /// The reader's words, with line and column.
        text: String,
    },
    /// A setting or value that the policy does not know.
    #[error("ceiling file {path}: {source}")]
    Policy {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: PolicyError,
    },
    /// A filter that does not compile.
    #[error("ceiling file {path}: {source}")]
    Filter {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: crate::policy::FilterError,
    },
}

/// Reads a ceiling; `None` means no restriction.
pub fn load(path: Option<&Path>) -> Result<Policy, CeilingError> {
    let Some(path) = path else { return Ok(Policy::default()) };
    let text = std::fs::read_to_string(path).map_err(|source| CeilingError::Io { path: path.to_owned(), source })?;
    parse(path, &text)
}

fn parse(path: &Path, text: &str) -> Result<Policy, CeilingError> {
    let refused = |source| CeilingError::Policy { path: path.to_owned(), source };
    let toml = |error: toml::de::Error| CeilingError::Toml { path: path.to_owned(), text: error.to_string() };
    let table: toml::Table = toml::from_str(text).map_err(toml)?;
    if let Some(key) = table.keys().find(|key| !Policy::KEYS.contains(&key.as_str())) {
        return Err(refused(PolicyError::Key { key: key.clone() }));
    }
    let ceiling: Policy = toml::from_str(text).map_err(toml)?;
    ceiling.check().map_err(refused)?;
    for filter in &ceiling.filter {
        crate::policy::compile(filter).map_err(|source| CeilingError::Filter { path: path.to_owned(), source })?;
    }
    Ok(ceiling)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        parse(Path::new("ceiling.toml"), text).unwrap_err().to_string()
    }

    #[test]
    fn a_ceiling_says_what_it_does_not_understand() {
        let ceiling = parse(Path::new("c"), "payload_bytes = 64\ndestination_addresses = \"truncated\"").unwrap();
        assert_eq!(ceiling.payload_bytes, 64);
        assert!(refusal("payload_byte = 0").contains("did you mean \"payload_bytes\""));
        assert!(refusal("command = \"sh\"").contains("not a policy setting"));
        assert!(refusal("payload_bytes = \"x\"").contains("line 1"));
        assert!(refusal("sample_one_in = 0").contains("at least 1"));
        assert!(refusal("filter = [\"tcp and and\"]").contains("tcp and and"));
    }
}
