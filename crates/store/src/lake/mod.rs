//! The lake: Delta tables on local disk or on an S3-compatible store ([`remote`]), filled from the journal, read by us and
//! by other engines alike.

mod check;
mod keep;
mod maintain;
mod mover;
mod order;
mod rebuild;
mod remote;
mod spec;
mod table;
pub mod types;

pub use check::{Check, Damage};
pub use keep::{Keeping, Kept};
pub use maintain::{Compacted, Compaction, Freed};
pub(crate) use mover::app_of as position_app;
pub use mover::{Moved, Mover};
pub use rebuild::Rebuilt;
pub(crate) use spec::TableSpec;
pub(crate) use table::LakeTable;

use crate::rollup::{Enrich, Grouping, Span};
use datafusion::execution::cache::cache_manager::FileMetadataCache;
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
    /// The store of the lake does not answer, or refuses.
    #[error(
        "cannot {doing} table {table}: the store of the lake does not answer or refuses ({reason}); check \
         AWS_ENDPOINT_URL, the credentials and the network. What was acknowledged is in the journal and goes on from there"
    )]
    Unreachable {
        /// Which table.
        table: &'static str,
        /// What was attempted.
        doing: &'static str,
        /// The library's words.
        reason: String,
    },
    /// Rows could not be read back or rewritten.
    #[error("cannot rewrite table {table}: {reason}")]
    Rewrite {
        /// Which table.
        table: &'static str,
        /// What went wrong.
        reason: String,
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

impl LakeError {
    /// Whether there was no space left.
    pub fn is_full(&self) -> bool {
        let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(self);
        while let Some(error) = cause {
            let full = error.downcast_ref::<std::io::Error>().map(|io| io.kind());
            // Not every layer hands its cause on; the system's words come through.
            if full == Some(std::io::ErrorKind::StorageFull) || error.to_string().contains("No space left on device") {
                return true;
            }
            cause = error.source();
        }
        matches!(self, LakeError::Journal(crate::journal::JournalError::Full { .. }))
    }
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
    /// Footers of the files that were asked.
    pub footers: Arc<FileMetadataCache>,
}

impl Lake {
    /// Opens the lake in a folder, or at `s3://BUCKET/PREFIX`, making the folder and the tables when they are missing.
    pub async fn open(dir: impl AsRef<Path>) -> Result<Lake, LakeError> {
        Self::open_with(dir, Enrich::none()).await
    }

    /// Opens a lake that another process may be writing. Nothing is made, repaired or loaded before it is asked for.
    pub fn open_to_read(dir: impl AsRef<Path>, enrich: Enrich) -> Result<Lake, LakeError> {
        let dir = dir.as_ref().to_owned();
        if !remote::is_remote(&dir) && !dir.join("packets").join("_delta_log").is_dir() {
            return Err(LakeError::Missing { path: dir });
        }
        let tables = spec::all().into_iter().map(|spec| LakeTable::to_read(&dir, spec)).collect::<Result<_, _>>()?;
        Ok(Lake { shared: Arc::new(Shared { dir, tables, enrich, footers: crate::query::footers() }) })
    }

    /// Opens the lake with knowledge of addresses, for the roll-ups by country and AS and for the functions `country`
    /// and `asn` of queries.
    pub async fn open_with(dir: impl AsRef<Path>, enrich: Enrich) -> Result<Lake, LakeError> {
        let dir = dir.as_ref().to_owned();
        let mut tables = Vec::new();
        for spec in spec::all() {
            tables.push(LakeTable::open(&dir, spec).await?);
        }
        let lake = Lake { shared: Arc::new(Shared { dir, tables, enrich, footers: crate::query::footers() }) };
        for table in spec::RETIRED.iter().map(|name| lake.dir().join(name)).filter(|path| path.is_dir()) {
            tracing::warn!(table = %table.display(), "nothing reads or feeds this table any more: its folder may be deleted");
        }
        lake.inflate_ballast();
        Ok(lake)
    }

    /// Where it lies.
    pub fn dir(&self) -> &Path {
        &self.shared.dir
    }

    /// Names of the tables.
    pub fn tables(&self) -> impl Iterator<Item = &'static str> {
        self.shared.tables.iter().map(|table| table.spec.name)
    }

    /// Every table with its columns as the lake holds them.
    pub fn schemas(&self) -> impl Iterator<Item = (&'static str, arrow::datatypes::SchemaRef)> {
        self.shared.tables.iter().map(|table| (table.spec.name, table.spec.schema.clone()))
    }

    /// Removes everything that came from a sensor, roll-ups included.
    pub async fn forget_sensor(&self, sensor: &str) -> Result<(), LakeError> {
        for table in self.shared.tables.iter().filter(|table| table.spec.schema.field_with_name("sensor").is_ok()) {
            table.delete_sensor(sensor).await?;
        }
        Ok(())
    }

    /// Live files and bytes of each table.
    pub async fn sizes(&self) -> Result<Vec<TableSize>, LakeError> {
        let mut sizes = Vec::new();
        for table in &self.shared.tables {
            let live = table.files().await?;
            let partitions = || live.iter().map(|file| file.partition.as_str()).filter(|name| *name != types::NO_HOUR);
            sizes.push(TableSize {
                table: table.spec.name,
                files: live.len() as u64,
                bytes: live.iter().map(|file| file.size).sum(),
                rows: live.iter().map(|file| file.rows).sum(),
                oldest: partitions().min().map(str::to_owned),
                newest: partitions().max().map(str::to_owned),
                budget: table.spec.keep_bytes,
            });
        }
        Ok(sizes)
    }
}

/// Schema of a roll-up's table.
pub(crate) fn rollup_schema(grouping: Grouping, span: Span) -> arrow::datatypes::SchemaRef {
    spec::rollup(grouping, span).schema
}

/// What a table occupies.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct TableSize {
    /// Name of the table.
    pub table: &'static str,
    /// Live files.
    pub files: u64,
    /// Bytes in them.
    pub bytes: u64,
    /// Rows in them.
    pub rows: u64,
    /// The oldest partition (an hour or a day).
    pub oldest: Option<String>,
    /// The newest partition.
    pub newest: Option<String>,
    /// Bytes that it may occupy by its declaration; `None` is kept for ever.
    pub budget: Option<u64>,
}

impl TableSize {
    /// Days until the table reaches its budget at the rate at which it has grown so far, then the oldest hours go.
    /// `None` without a budget, or while there is less than an hour to tell the rate from.
    pub fn days_left(&self) -> Option<f64> {
        let at = |hour: &str| format!("{hour}:00:00Z").parse::<noroshi_model::Nanos>().ok();
        let (oldest, newest) = (at(self.oldest.as_deref()?)?, at(self.newest.as_deref()?)?);
        let days = newest.seconds_since(oldest) / 86_400.0;
        let left = self.budget?.saturating_sub(self.bytes) as f64;
        (days > 0.0 && self.bytes > 0).then(|| left / (self.bytes as f64 / days))
    }
}
