//! Rows from Parquet files into the lake, through the journal like everything else.
//!
//! A file is known by its content: its rows are a stream of their own, numbered from 0. Loading a file again loads
//! nothing, and a load that was killed goes on where it stopped. The hub must not run meanwhile.

use crate::journal::{Journal, JournalError, RecordError};
use crate::lake::types::from_lake;
use crate::lake::{Lake, LakeError, Mover};
use arrow::error::ArrowError;
use noroshi_model::tables::Table;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use std::fs::File;
use std::io::Read;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};

/// Rows of one batch in the journal.
const BATCH_ROWS: usize = 65_536;

/// Why a file was not loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file cannot be read.
    #[error("{path}: {source}")]
    Io {
        /// Which.
        path: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
    /// It is no Parquet, or damaged.
    #[error("{path} is no Parquet file that can be read: {reason}")]
    NotParquet {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Its columns are not those of the table.
    #[error("{path} does not have the columns of table {table}: {reason}")]
    Columns {
        /// Which.
        path: PathBuf,
        /// Of which table.
        table: &'static str,
        /// What is wrong.
        reason: ArrowError,
    },
    /// The journal.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The lake.
    #[error(transparent)]
    Lake(#[from] LakeError),
}

/// What a load did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// Rows of the file.
    pub rows: u64,
    /// Rows of it that an earlier load had brought in.
    pub known: u64,
}

/// Loads a Parquet file into a table. `seen` is told how many rows are done.
pub async fn parquet(
    journal: &Journal,
    lake: &Lake,
    path: &Path,
    table: &'static Table,
    mut seen: impl FnMut(u64),
) -> Result<Loaded, LoadError> {
    let io = |source| LoadError::Io { path: path.to_owned(), source };
    let recorder = journal.recorder(&format!("import:{}", content(path).map_err(io)?));
    let known = recorder.recorded().await?;
    let refused = |reason: String| LoadError::NotParquet { path: path.to_owned(), reason };
    let file = File::open(path).map_err(io)?;
    // Damaged Parquet makes the reader panic in places.
    let guarded = |work: &mut dyn FnMut() -> Result<_, String>| {
        std::panic::catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err("reading it panics".to_owned()))
    };
    let open = || ParquetRecordBatchReaderBuilder::try_new(file)?.with_batch_size(BATCH_ROWS).build();
    let reader =
        std::panic::catch_unwind(AssertUnwindSafe(open)).map_err(|_| refused("reading it panics".to_owned()))?;
    let mut reader = reader.map_err(|error| refused(error.to_string()))?;
    let mut mover = Mover::new(lake.clone(), journal.clone()).await?;
    let mut rows = 0;
    while let Some(batch) =
        guarded(&mut || reader.next().transpose().map_err(|error| error.to_string())).map_err(refused)?
    {
        let before = rows;
        rows += batch.num_rows() as u64;
        if rows > known {
            let fresh = batch.slice(known.saturating_sub(before) as usize, (rows - known.max(before)) as usize);
            let fresh = from_lake(table.columns, &fresh).map_err(|reason| LoadError::Columns {
                path: path.to_owned(),
                table: table.name,
                reason,
            })?;
            recorder.record(table, &fresh).await?;
            mover.step().await?;
        }
        seen(rows);
    }
    while mover.step().await?.through != 0 {}
    Ok(Loaded { rows, known: known.min(rows) })
}

fn content(path: &Path) -> std::io::Result<String> {
    let (mut file, mut hasher, mut buffer) = (File::open(path)?, blake3::Hasher::new(), vec![0; 1 << 20]);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hasher.finalize().to_hex().to_string()),
            length => hasher.update(&buffer[..length]),
        };
    }
}
