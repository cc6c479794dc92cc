//! Rows from Parquet files into the lake, through the journal like everything else.
//!
//! A file is known by its content: its rows are a stream of their own, numbered from 0. Loading a file again loads
//! nothing, and a load that was killed goes on where it stopped. The hub must not run meanwhile.

use crate::journal::{Journal, JournalError, RecordError, Recorder};
use crate::lake::types::from_lake;
use crate::lake::{Lake, LakeError, Mover};
use arrow::array::RecordBatch;
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

/// Rows of one source on their way into a table. The same source begun again gives the same rows in the same order; those
/// that an earlier load brought in are passed over.
pub struct Loader {
    recorder: Recorder,
    mover: Mover,
    table: &'static Table,
    rows: u64,
    known: u64,
}

impl Loader {
    /// Begins with a source of this name: what the rows are made of, such as a hash of a file.
    pub async fn begin(journal: &Journal, lake: &Lake, source: &str, table: &'static Table) -> Result<Self, LoadError> {
        let recorder = journal.recorder(&format!("import:{source}"));
        let known = recorder.recorded().await?;
        let mover = Mover::new(lake.clone(), journal.clone()).await?;
        Ok(Loader { recorder, mover, table, rows: 0, known })
    }

    /// How many rows were seen.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Takes the next rows, in the columns of the table; returns once they are durable. [`Loader::step`] moves them.
    pub async fn take(&mut self, batch: &RecordBatch) -> Result<(), LoadError> {
        if let Some(fresh) = self.fresh(batch) {
            self.recorder.record(self.table, &fresh).await?;
        }
        Ok(())
    }

    /// What of the next rows is not known yet.
    fn fresh(&mut self, batch: &RecordBatch) -> Option<RecordBatch> {
        let before = self.rows;
        self.rows += batch.num_rows() as u64;
        (self.rows > self.known).then(|| {
            let skip = self.known.saturating_sub(before);
            batch.slice(skip as usize, (self.rows - before - skip) as usize)
        })
    }

    /// Moves some of what waits in the journal into the lake.
    pub async fn step(&mut self) -> Result<(), LoadError> {
        self.mover.step().await?;
        Ok(())
    }

    /// Moves the rest.
    pub async fn finish(mut self) -> Result<Loaded, LoadError> {
        while self.mover.step().await?.through != 0 {}
        Ok(Loaded { rows: self.rows, known: self.known.min(self.rows) })
    }
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
    let mut loader = Loader::begin(journal, lake, &content(path).map_err(io)?, table).await?;
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
    while let Some(batch) =
        guarded(&mut || reader.next().transpose().map_err(|error| error.to_string())).map_err(refused)?
    {
        if let Some(fresh) = loader.fresh(&batch) {
            let columns = |reason| LoadError::Columns { path: path.to_owned(), table: table.name, reason };
            loader.recorder.record(table, &from_lake(table.columns, &fresh).map_err(columns)?).await?;
            loader.step().await?;
        }
        seen(loader.rows);
    }
    loader.finish().await
}

/// The hash of a file's bytes, by which its rows are known.
pub fn content(path: &Path) -> std::io::Result<String> {
    let (mut file, mut hasher, mut buffer) = (File::open(path)?, blake3::Hasher::new(), vec![0; 1 << 20]);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hasher.finalize().to_hex().to_string()),
            length => hasher.update(&buffer[..length]),
        };
    }
}
