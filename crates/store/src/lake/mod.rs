//! The lake: Delta tables on local disk, filled from the journal, read by us and by other engines alike.

mod mover;
mod spec;
mod table;
pub mod types;

pub use mover::{Moved, Mover};
pub(crate) use spec::TableSpec;
pub(crate) use table::LakeTable;

use crate::rollup::{Enrich, Grouping};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Why the lake did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum LakeError {
    /// A file.
    #[error("{path}: {source}")]
    Io {
        /// Which.
        path: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
    /// The table format.
    #[error("cannot {doing} table {table}: {source}")]
    Delta {
        /// Which table.
        table: &'static str,
        /// What was attempted.
        doing: &'static str,
        /// The library's words.
        source: Box<deltalake::DeltaTableError>,
    },
    /// Rows that do not fit their table.
    #[error("cannot make rows of table {table}: {source}")]
    Rows {
        /// Which table.
        table: &'static str,
        /// The library's words.
        source: arrow::error::ArrowError,
    },
    /// The journal.
    #[error(transparent)]
    Journal(#[from] crate::journal::JournalError),
    /// There is no lake there.
    #[error("{path} holds no lake: give the folder that `noroshi up` or a hub writes to")]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
}

/// A handle on the lake; clones share it.
#[derive(Clone)]
pub struct Lake {
    pub(crate) shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub dir: PathBuf,
    pub tables: Vec<LakeTable>,
    pub enrich: Enrich,
}

impl Lake {
    /// Opens the lake in a folder, making the folder and the tables when they are missing.
    pub async fn open(dir: impl AsRef<Path>) -> Result<Lake, LakeError> {
        Self::open_with(dir, Enrich::none()).await
    }

    /// Opens the lake only when there is one.
    pub async fn open_existing(dir: impl AsRef<Path>) -> Result<Lake, LakeError> {
        let dir = dir.as_ref();
        if !dir.join("packets").join("_delta_log").is_dir() {
            return Err(LakeError::Missing { path: dir.to_owned() });
        }
        Self::open(dir).await
    }

    /// Opens the lake with knowledge of addresses, for the roll-ups by country and AS and for the functions `country`
    /// and `asn` of queries.
    pub async fn open_with(dir: impl AsRef<Path>, enrich: Enrich) -> Result<Lake, LakeError> {
        let dir = dir.as_ref().to_owned();
        let mut tables = Vec::new();
        for spec in spec::all() {
            tables.push(LakeTable::open(&dir, spec).await?);
        }
        Ok(Lake { shared: Arc::new(Shared { dir, tables, enrich }) })
    }

    /// Where it lies.
    pub fn dir(&self) -> &Path {
        &self.shared.dir
    }

    /// Names of the tables.
    pub fn tables(&self) -> impl Iterator<Item = &'static str> {
        self.shared.tables.iter().map(|table| table.spec.name)
    }

    /// Live files and bytes of each table.
    pub async fn sizes(&self) -> Result<Vec<TableSize>, LakeError> {
        let mut sizes = Vec::new();
        for table in &self.shared.tables {
            let (files, bytes) = table.size().await?;
            sizes.push(TableSize { table: table.spec.name, files, bytes });
        }
        Ok(sizes)
    }
}

/// Schema of a roll-up's table.
pub(crate) fn rollup_schema(grouping: Grouping) -> arrow::datatypes::SchemaRef {
    spec::rollup(grouping).schema
}

/// What a table occupies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct TableSize {
    /// Name of the table.
    pub table: &'static str,
    /// Live files.
    pub files: u64,
    /// Bytes in them.
    pub bytes: u64,
}
