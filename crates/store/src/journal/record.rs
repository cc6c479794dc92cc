//! What the hub itself finds goes the way of what sensors send: numbered, journalled, moved into the lake, accounted for.
//!
//! Each part of the hub that writes has a stream of its own. Its name has a colon, which no sensor's name can have, so
//! a sensor cannot pass for the hub.

use super::{Appended, Journal, JournalBatch, JournalError};
use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use arrow::ipc::CompressionType;
use arrow::ipc::writer::{IpcWriteOptions, StreamWriter};
use noroshi_model::tables::Table;
use tokio::sync::Mutex;

/// What the names of the hub's own streams begin with.
const PREFIX: &str = "hub:";

/// Whether a stream is one of the hub's own.
pub(crate) fn is_recorder(stream: &str) -> bool {
    stream.starts_with(PREFIX)
}

/// Why rows were not recorded.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The batch does not have the columns of the table.
    #[error("rows for table {table} do not have its columns")]
    Columns {
        /// Which table.
        table: &'static str,
    },
    /// The batch cannot be encoded.
    #[error("rows for table {table}: {source}")]
    Encode {
        /// Which table.
        table: &'static str,
        /// The library's words.
        source: ArrowError,
    },
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

/// Writes rows for one part of the hub.
pub struct Recorder {
    journal: Journal,
    stream: String,
    epoch: [u8; 16],
    /// Next number of the stream; not known at first and after an error.
    next: Mutex<Option<u64>>,
}

impl Journal {
    /// A recorder for a part of the hub, such as `warning`. One at a time per name: two would take the same numbers.
    pub fn recorder(&self, part: &str) -> Recorder {
        let stream = format!("{PREFIX}{part}");
        let mut epoch = [0; 16];
        epoch.copy_from_slice(&blake3::hash(stream.as_bytes()).as_bytes()[..16]);
        Recorder { journal: self.clone(), stream, epoch, next: Mutex::new(None) }
    }
}

impl Recorder {
    /// How many rows this stream ever stored.
    pub async fn recorded(&self) -> Result<u64, RecordError> {
        Ok(self.journal.watermark(&self.stream, self.epoch).await?.map_or(0, |last| last + 1))
    }

    /// Appends rows of a table; returns once they are synced. A batch without rows is nothing to do. After an error the
    /// rows may be recorded again: none of them is stored unless this returned `Ok`.
    pub async fn record(&self, table: &'static Table, rows: &RecordBatch) -> Result<(), RecordError> {
        if rows.schema().fields() != table.arrow().fields() {
            return Err(RecordError::Columns { table: table.name });
        }
        if rows.num_rows() == 0 {
            return Ok(());
        }
        let bytes = encode(rows).map_err(|source| RecordError::Encode { table: table.name, source })?;
        let mut next = self.next.lock().await;
        let first_seq = match *next {
            Some(number) => number,
            None => self.recorded().await?,
        };
        *next = None;
        let last_seq = first_seq + rows.num_rows() as u64 - 1;
        let batch = JournalBatch {
            sensor: self.stream.clone(),
            epoch: self.epoch,
            first_seq,
            last_seq,
            schema: table.schema,
            bytes: bytes.into(),
            gaps: Vec::new(),
        };
        match self.journal.append(batch).await? {
            Appended::Stored { .. } | Appended::Duplicate { .. } => *next = Some(last_seq + 1),
        }
        Ok(())
    }
}

fn encode(rows: &RecordBatch) -> Result<Vec<u8>, ArrowError> {
    let options = IpcWriteOptions::default().try_with_compression(Some(CompressionType::LZ4_FRAME))?;
    let mut bytes = Vec::new();
    let mut writer = StreamWriter::try_new_with_options(&mut bytes, &rows.schema(), options)?;
    writer.write(rows)?;
    writer.finish()?;
    drop(writer);
    Ok(bytes)
}
