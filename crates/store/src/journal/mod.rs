//! The journal: what a sensor sent, durable before it is acknowledged, exactly once.
//!
//! One SQLite file in WAL mode with `synchronous=FULL`. A single writer takes whatever batches are waiting and commits
//! them in one transaction with one sync; while it syncs, the next group gathers. Nobody waits for a timer, and a busy
//! hub pays one sync for hundreds of batches. The watermark of each stream (sensor, epoch) is a row of the same
//! transaction as the data, so a batch that is sent twice is stored once, whatever was killed in between.
//!
//! A full disk makes [`Journal::append`] fail; it never answers falsely. Deleting needs a little space for SQLite's own
//! log: a ballast file beside the journal is given up for that, and made again when there is room.

mod account;
mod hold;
mod read;
mod record;
mod schema;
mod trial;
mod writer;

pub use account::Refusal;
pub use hold::Hold;
pub use read::{JournalRow, StreamAccount};
pub(crate) use record::is_recorder;
pub use record::{RecordError, Recorder};

use bytes::Bytes;
use noroshi_model::stream::{Gap, SchemaId};
use sqlx::SqlitePool;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot, watch};

/// Batches waiting for the writer; more senders than that wait their turn.
const QUEUE: usize = 1024;

/// What one append carries: the records `first_seq..=last_seq` of a stream, less those declared lost inside it.
#[derive(Clone, Debug)]
pub struct JournalBatch {
    /// Name of the sensor, as its certificate says.
    pub sensor: String,
    /// Which life of the sensor's spool.
    pub epoch: [u8; 16],
    /// Sequence number of the first record. A new stream starts at 0 or 1.
    pub first_seq: u64,
    /// Sequence number of the last record, inclusive.
    pub last_seq: u64,
    /// Schema of `bytes`.
    pub schema: SchemaId,
    /// An Arrow IPC stream; empty only when every record of the range is declared lost.
    pub bytes: Bytes,
    /// Records lost before the batch (they must fill the hole since the watermark exactly) or inside it.
    pub gaps: Vec<Gap>,
}

/// What became of a batch that was not refused. Either way the sensor may forget it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Appended {
    /// Synced to disk as this journal row.
    Stored {
        /// Rows only ever grow; none is used twice.
        row: i64,
    },
    /// It was stored before.
    Duplicate {
        /// Last sequence number of the stream.
        watermark: u64,
        /// Whether the bytes were compared; the hashes of very old batches are not kept.
        compared: bool,
    },
}

/// Why the journal did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The batch does not fit its stream; sending it again will not help.
    #[error("batch {first_seq}..={last_seq} of sensor \"{sensor}\" is refused: {reason}")]
    Refused {
        /// Whose batch.
        sensor: String,
        /// Its first sequence number.
        first_seq: u64,
        /// Its last sequence number.
        last_seq: u64,
        /// Why.
        reason: Refusal,
    },
    /// No space left. Nothing was acknowledged; send again later.
    #[error("the disk of journal {path} is full: free space or lower a table's byte budget; nothing was acknowledged")]
    Full {
        /// The journal.
        path: PathBuf,
    },
    /// The database failed. Nothing was acknowledged.
    #[error("journal {path}: {doing}: {source}")]
    Database {
        /// The journal.
        path: PathBuf,
        /// What was attempted.
        doing: &'static str,
        /// The database's words.
        source: sqlx::Error,
    },
    /// A file beside the journal could not be made.
    #[error("journal {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
    /// Written by a newer program.
    #[error("journal {path} has format {found}, this program knows up to {known}: use the newer program")]
    Version {
        /// The journal.
        path: PathBuf,
        /// Its format.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// The writer has stopped, because the runtime is shutting down.
    #[error("journal {path} is closed")]
    Closed {
        /// The journal.
        path: PathBuf,
    },
}

/// A handle on the journal; clones share one writer.
#[derive(Clone)]
pub struct Journal {
    shared: Arc<Shared>,
}

struct Shared {
    path: PathBuf,
    id: String,
    commands: mpsc::Sender<writer::Command>,
    readers: SqlitePool,
    durable: watch::Receiver<i64>,
    holds: hold::Holds,
}

impl Journal {
    /// Opens or makes the journal. Must be called inside a Tokio runtime, which then runs the writer.
    pub async fn open(path: impl AsRef<Path>) -> Result<Journal, JournalError> {
        Self::open_limited(path, 0).await
    }

    /// Like [`Journal::open`], with a limit on the file in pages of 8 KiB; 0 is none. At the limit the journal behaves
    /// as on a full disk.
    pub async fn open_limited(path: impl AsRef<Path>, max_pages: u32) -> Result<Journal, JournalError> {
        let path = path.as_ref().to_owned();
        let opened = schema::open(&path, max_pages).await?;
        let (commands, inbox) = mpsc::channel(QUEUE);
        let (announce, durable) = watch::channel(opened.last_row);
        let ballast = writer::Ballast::beside(&path);
        ballast.inflate();
        tokio::spawn(writer::Writer { path: path.clone(), connection: opened.writer, announce, ballast }.run(inbox));
        Ok(Journal {
            shared: Arc::new(Shared {
                path,
                id: opened.id,
                commands,
                readers: opened.readers,
                durable,
                holds: hold::Holds::default(),
            }),
        })
    }

    /// Stores a batch and returns once it is synced to disk. May be called from many tasks at once.
    pub async fn append(&self, batch: JournalBatch) -> Result<Appended, JournalError> {
        self.command(|reply| writer::Command::Append { batch: Box::new(batch), reply }).await
    }

    async fn delete(&self, row: i64) -> Result<(), JournalError> {
        self.command(|reply| writer::Command::Delete { row, reply }).await
    }

    /// The last durable row, and its changes.
    pub fn subscribe(&self) -> watch::Receiver<i64> {
        self.shared.durable.clone()
    }

    /// Identity of this journal file; row numbers mean something only together with it.
    pub fn id(&self) -> &str {
        &self.shared.id
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.shared.path
    }

    async fn command<T>(
        &self,
        make: impl FnOnce(oneshot::Sender<Result<T, JournalError>>) -> writer::Command,
    ) -> Result<T, JournalError> {
        let (reply, answer) = oneshot::channel();
        let closed = || JournalError::Closed { path: self.shared.path.clone() };
        self.shared.commands.send(make(reply)).await.map_err(|_| closed())?;
        answer.await.map_err(|_| closed())?
    }
}

/// Database errors with their place; a full disk gets its own name.
fn failed(path: &Path, doing: &'static str) -> impl Fn(sqlx::Error) -> JournalError + Copy {
    move |source| {
        if is_full(&source) {
            JournalError::Full { path: path.to_owned() }
        } else {
            JournalError::Database { path: path.to_owned(), doing, source }
        }
    }
}

/// SQLITE_FULL (13). A full disk inside an I/O call may also surface as a short write, SQLITE_IOERR_WRITE (778).
fn is_full(error: &sqlx::Error) -> bool {
    if let sqlx::Error::Io(io) = error {
        return io.kind() == std::io::ErrorKind::StorageFull;
    }
    let code = error.as_database_error().and_then(|e| e.code());
    matches!(code.as_deref(), Some("13" | "778"))
}
