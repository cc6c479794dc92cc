//! The list of what was imported, `manifest.json` in the knowledge directory. Its replacement is the moment at which
//! an import becomes true; table files that it does not name do not exist for anyone.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use noroshi_model::Nanos;

use crate::error::EnrichError;
use crate::kinds::Kinds;
use crate::load::Format;

/// Name and version of the manifest's format.
pub const SCHEMA: &str = "noroshi.knowledge/1";
pub(crate) const FILE_NAME: &str = "manifest.json";
/// A manifest line has about 500 bytes; this allows some 60,000 imports.
const MANIFEST_BYTES_MAX: u64 = 32 << 20;

/// Where the date of a table came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DatedBy {
    /// Given at import.
    Operator,
    /// Written in the content (build epoch, end date, version) or in the file's name.
    Publisher,
    /// When the file was last changed: no better date was found.
    FileTime,
}

/// One imported table.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct TableInfo {
    /// Tables of one name are versions of the same thing; a look-up uses one of them, by its time.
    pub name: String,
    /// What the publisher calls it.
    pub title: String,
    /// Format of the source.
    pub format: Format,
    /// From when on this was known.
    pub as_of: Nanos,
    /// Where `as_of` came from.
    pub dated_by: DatedBy,
    /// When it was imported.
    pub imported_at: Nanos,
    /// It gives countries.
    pub country: bool,
    /// It gives autonomous systems.
    pub network: bool,
    /// What being in it means; none for tables of countries and networks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kinds: Option<Kinds>,
    /// Entries of the source that speak of addresses, repeats included.
    pub entries: u64,
    /// Entries that were left out.
    pub skipped: u64,
    /// Name of the source file, without its folder.
    pub source_file: String,
    /// File in the knowledge directory.
    pub file: String,
}

#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Manifest {
    pub schema: String,
    pub tables: Vec<TableInfo>,
}

impl Default for Manifest {
    fn default() -> Self {
        Manifest { schema: SCHEMA.to_owned(), tables: Vec::new() }
    }
}

impl Manifest {
    /// The manifest of a directory; an absent directory or manifest is an empty one.
    pub fn read(dir: &Path) -> Result<Self, EnrichError> {
        let path = dir.join(FILE_NAME);
        let damaged = |reason: String| EnrichError::Damaged { path: path.clone(), reason };
        let size = match fs::metadata(&path) {
            Ok(metadata) => metadata.len(),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Manifest::default()),
            Err(error) => return Err(EnrichError::io("read", &path)(error)),
        };
        if size > MANIFEST_BYTES_MAX {
            return Err(damaged(format!("it has {size} bytes, more than {MANIFEST_BYTES_MAX}")));
        }
        let bytes = fs::read(&path).map_err(EnrichError::io("read", &path))?;
        let value: serde_json::Value = serde_json::from_slice(&bytes).map_err(|e| damaged(e.to_string()))?;
        match value.get("schema").and_then(|schema| schema.as_str()) {
            Some(SCHEMA) => {}
            Some(found) => {
                let found = crate::error::printable(found);
                return Err(EnrichError::TooNew { path: path.clone(), found, known: SCHEMA });
            }
            None => return Err(damaged("it names no schema".to_owned())),
        }
        let manifest: Manifest = serde_json::from_value(value).map_err(|e| damaged(e.to_string()))?;
        match manifest.tables.iter().find(|table| !is_plain_name(&table.file)) {
            Some(table) => Err(damaged(format!("\"{}\" is no file name", crate::error::printable(&table.file)))),
            None => Ok(manifest),
        }
    }

    pub fn encode(&self) -> Vec<u8> {
        let mut text = serde_json::to_vec_pretty(self).unwrap_or_default();
        text.push(b'\n');
        text
    }
}

/// No path may lead out of the directory.
fn is_plain_name(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('.') && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

/// Where knowledge lives unless the operator says otherwise: `$NOROSHI_DATA/knowledge`, else
/// `$XDG_DATA_HOME/noroshi/knowledge`, else `~/.local/share/noroshi/knowledge`; none without a home.
pub fn default_dir() -> Option<PathBuf> {
    default_dir_from(|name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from))
}

fn default_dir_from(variable: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    let data = variable("NOROSHI_DATA")
        .or_else(|| variable("XDG_DATA_HOME").filter(|dir| dir.is_absolute()).map(|dir| dir.join("noroshi")))
        .or_else(|| variable("HOME").map(|dir| dir.join(".local/share/noroshi")))?;
    Some(data.join("knowledge"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_in_order() {
        let from = |set: &[(&str, &str)]| {
            let find = |name: &str| set.iter().find(|(n, _)| *n == name).map(|(_, v)| PathBuf::from(v));
            default_dir_from(find).map(|dir| dir.to_string_lossy().into_owned())
        };
        let all = [("NOROSHI_DATA", "/d"), ("XDG_DATA_HOME", "/x"), ("HOME", "/h")];
        assert_eq!(from(&all).as_deref(), Some("/d/knowledge"));
        assert_eq!(from(&all[1..]).as_deref(), Some("/x/noroshi/knowledge"));
        assert_eq!(from(&all[2..]).as_deref(), Some("/h/.local/share/noroshi/knowledge"));
        assert_eq!(
            from(&[("XDG_DATA_HOME", "relative"), ("HOME", "/h")]).as_deref(),
            Some("/h/.local/share/noroshi/knowledge")
        );
        assert_eq!(from(&[]), None);
    }

    #[test]
    fn names_that_leave_the_directory_are_refused() {
        for bad in ["", "..", "../x", "a/b", ".hidden", "a\0b"] {
            assert!(!is_plain_name(bad), "{bad:?}");
        }
        assert!(is_plain_name("geolite2-asn-2026-01-01-0a0b0c0d.table"));
    }
}
