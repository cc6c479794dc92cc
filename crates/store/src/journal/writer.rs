//! The one writer: gathers what is waiting, commits it with one sync, then answers.

use super::account::{Refusal, Verdict, judge};
use super::{Appended, JournalBatch, JournalError, failed};
use sqlx::Row;
use sqlx::sqlite::SqliteConnection;
use std::io::Write;
use std::path::{Path, PathBuf};
use tokio::sync::{mpsc, oneshot, watch};

/// Bytes that one transaction gathers at most.
const GROUP_BYTES: usize = 16 << 20;
/// Batches that one transaction gathers at most.
const GROUP_BATCHES: usize = 512;
/// Hashes of past batches kept per stream, to tell an honest resend from a forked stream.
const HASHES_PER_STREAM: i64 = 256;
/// Space kept back so that deleting works on a full disk.
const BALLAST_BYTES: usize = 4 << 20;
/// Free pages given back to the file system after a delete, at 8 KiB each.
const VACUUM_PAGES: i64 = 4096;

type Reply<T> = oneshot::Sender<Result<T, JournalError>>;

pub(super) enum Command {
    Append { batch: Box<JournalBatch>, reply: Reply<Appended> },
    Delete { row: i64, reply: Reply<()> },
}

pub(super) struct Writer {
    pub path: PathBuf,
    pub connection: SqliteConnection,
    pub announce: watch::Sender<i64>,
    pub ballast: Ballast,
}

type Waiting = (Box<JournalBatch>, Reply<Appended>);

impl Writer {
    pub async fn run(mut self, mut inbox: mpsc::Receiver<Command>) {
        while let Some(first) = inbox.recv().await {
            let (mut group, mut deletes, mut bytes) = (Vec::new(), Vec::new(), 0);
            let mut next = Some(first);
            while let Some(command) = next {
                match command {
                    Command::Append { batch, reply } => {
                        bytes += batch.bytes.len();
                        group.push((batch, reply));
                    }
                    Command::Delete { row, reply } => deletes.push((row, reply)),
                }
                let room = bytes < GROUP_BYTES && group.len() < GROUP_BATCHES;
                next = if room { inbox.try_recv().ok() } else { None };
            }
            if !group.is_empty() {
                self.commit(group).await;
            }
            for (row, reply) in deletes {
                // The asker may have gone; the deletion stands.
                let _ = reply.send(self.delete_through(row).await);
            }
        }
    }

    /// One transaction for the group. A refused batch leaves no trace in it; a failing database fails all of it.
    async fn commit(&mut self, group: Vec<Waiting>) {
        let outcome = self.store(group.iter().map(|(batch, _)| &**batch)).await;
        match outcome {
            Ok(answers) => {
                let last = answers.iter().filter_map(|answer| match answer {
                    Ok(Appended::Stored { row }) => Some(*row),
                    _ => None,
                });
                if let Some(row) = last.max() {
                    self.announce.send_replace(row);
                }
                for ((batch, reply), answer) in group.into_iter().zip(answers) {
                    let _ = reply.send(answer.map_err(|reason| JournalError::Refused {
                        sensor: batch.sensor,
                        first_seq: batch.first_seq,
                        last_seq: batch.last_seq,
                        reason,
                    }));
                }
            }
            Err(error) => {
                tracing::error!(%error, batches = group.len(), "journal did not store; nothing was acknowledged");
                for (_, reply) in group {
                    let _ = reply.send(Err(failed(&self.path, "append")(copy(&error))));
                }
            }
        }
    }

    async fn store(
        &mut self,
        group: impl Iterator<Item = &JournalBatch>,
    ) -> Result<Vec<Result<Appended, Refusal>>, sqlx::Error> {
        let db = &mut self.connection;
        begin(db).await?;
        let stored = async {
            let mut answers = Vec::new();
            for batch in group {
                answers.push(append(db, batch).await?);
            }
            Ok(answers)
        };
        let stored = stored.await;
        finish(db, stored).await
    }

    async fn delete_through(&mut self, row: i64) -> Result<(), JournalError> {
        let fail = failed(&self.path, "delete");
        let mut outcome = delete(&mut self.connection, row).await.map_err(fail);
        if matches!(outcome, Err(JournalError::Full { .. })) {
            self.ballast.release();
            outcome = delete(&mut self.connection, row).await.map_err(fail);
        }
        outcome?;
        self.ballast.inflate();
        Ok(())
    }
}

/// Transactions are begun and ended by statement: on a full disk SQLite may roll back by itself, which the library's
/// own transaction object does not expect.
async fn begin(db: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    sqlx::raw_sql("begin immediate").execute(db).await.map(drop)
}

/// Commits what succeeded; otherwise rolls back and hands the error on.
async fn finish<T>(db: &mut SqliteConnection, outcome: Result<T, sqlx::Error>) -> Result<T, sqlx::Error> {
    let outcome = match outcome {
        Ok(value) => sqlx::raw_sql("commit").execute(&mut *db).await.map(|_| value),
        Err(error) => Err(error),
    };
    if outcome.is_err() {
        // Fails when SQLite has already rolled back, which is what is wanted.
        let _ = sqlx::raw_sql("rollback").execute(db).await;
    }
    outcome
}

/// sqlx errors cannot be cloned; every waiting sender gets the same words.
fn copy(error: &sqlx::Error) -> sqlx::Error {
    if super::is_full(error) {
        sqlx::Error::Io(std::io::ErrorKind::StorageFull.into())
    } else {
        sqlx::Error::Protocol(error.to_string())
    }
}

async fn append(db: &mut SqliteConnection, batch: &JournalBatch) -> Result<Result<Appended, Refusal>, sqlx::Error> {
    let stream = sqlx::query("select stream, last_seq, batches from streams where sensor = ? and epoch = ?")
        .bind(&batch.sensor)
        .bind(&batch.epoch[..])
        .fetch_optional(&mut *db)
        .await?
        .map(|row| (row.get::<i64, _>(0), row.get::<i64, _>(1) as u64, row.get::<i64, _>(2)));
    let entry = match judge(stream.map(|(_, last, _)| last), batch) {
        Err(refusal) => return Ok(Err(refusal)),
        Ok(Verdict::Old) if super::trial::broken("watermark") => {
            let row = insert_batch(db, batch, batch.last_seq + 1 - batch.first_seq).await?;
            return Ok(Ok(Appended::Stored { row }));
        }
        Ok(Verdict::Old) => {
            let (stream, watermark, _) = stream.expect("a batch is old only against a watermark");
            return compare(db, stream, watermark, batch).await;
        }
        Ok(Verdict::New(entry)) => entry,
    };
    let row = insert_batch(db, batch, entry.stored).await?;
    let (stream, ordinal) = match stream {
        Some((stream, _, batches)) => (stream, batches),
        None => (new_stream(db, batch, entry.start_seq).await?, 0),
    };
    sqlx::query(
        "update streams set last_seq = ?, stored = stored + ?, lost = lost + ?, batches = batches + 1 where stream = ?",
    )
    .bind(batch.last_seq as i64)
    .bind(entry.stored as i64)
    .bind(entry.lost as i64)
    .bind(stream)
    .execute(&mut *db)
    .await?;
    remember(db, stream, ordinal, batch).await?;
    Ok(Ok(Appended::Stored { row }))
}

async fn new_stream(db: &mut SqliteConnection, batch: &JournalBatch, start_seq: u64) -> Result<i64, sqlx::Error> {
    let made = sqlx::query(
        "insert into streams (sensor, epoch, start_seq, last_seq, stored, lost, batches) values (?, ?, ?, 0, 0, 0, 0)",
    )
    .bind(&batch.sensor)
    .bind(&batch.epoch[..])
    .bind(start_seq as i64)
    .execute(db)
    .await?;
    Ok(made.last_insert_rowid())
}

async fn insert_batch(db: &mut SqliteConnection, batch: &JournalBatch, records: u64) -> Result<i64, sqlx::Error> {
    let inserted = sqlx::query(
        "insert into batches (sensor, epoch, first_seq, last_seq, records, schema, crc, bytes) \
         values (?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(&batch.sensor)
    .bind(&batch.epoch[..])
    .bind(batch.first_seq as i64)
    .bind(batch.last_seq as i64)
    .bind(records as i64)
    .bind(i64::from(batch.schema.0))
    .bind(i64::from(crc32c::crc32c(&batch.bytes)))
    .bind(&batch.bytes[..])
    .execute(&mut *db)
    .await?;
    let row = inserted.last_insert_rowid();
    for gap in &batch.gaps {
        sqlx::query("insert into gaps (row, first_seq, last_seq, count, reason) values (?, ?, ?, ?, ?)")
            .bind(row)
            .bind(gap.first_seq as i64)
            .bind(gap.last_seq as i64)
            .bind(gap.count as i64)
            .bind(gap.reason.name())
            .execute(&mut *db)
            .await?;
    }
    Ok(row)
}

fn hash(batch: &JournalBatch) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&batch.schema.0.to_le_bytes());
    hasher.update(&batch.bytes);
    *hasher.finalize().as_bytes()
}

async fn remember(
    db: &mut SqliteConnection,
    stream: i64,
    ordinal: i64,
    batch: &JournalBatch,
) -> Result<(), sqlx::Error> {
    sqlx::query("insert into seen (stream, ordinal, first_seq, last_seq, hash) values (?, ?, ?, ?, ?)")
        .bind(stream)
        .bind(ordinal)
        .bind(batch.first_seq as i64)
        .bind(batch.last_seq as i64)
        .bind(&hash(batch)[..])
        .execute(&mut *db)
        .await?;
    sqlx::query("delete from seen where stream = ? and ordinal <= ?")
        .bind(stream)
        .bind(ordinal - HASHES_PER_STREAM)
        .execute(db)
        .await?;
    Ok(())
}

/// A batch whose numbers are all stored: an honest resend, a fork, or cut differently.
async fn compare(
    db: &mut SqliteConnection,
    stream: i64,
    watermark: u64,
    batch: &JournalBatch,
) -> Result<Result<Appended, Refusal>, sqlx::Error> {
    let known = sqlx::query(
        "select first_seq, last_seq, hash from seen where stream = ? and last_seq >= ? and first_seq <= ? \
         order by first_seq limit 1",
    )
    .bind(stream)
    .bind(batch.first_seq as i64)
    .bind(batch.last_seq as i64)
    .fetch_optional(db)
    .await?;
    let Some(known) = known else { return Ok(Ok(Appended::Duplicate { watermark, compared: false })) };
    let (first, last) = (known.get::<i64, _>(0) as u64, known.get::<i64, _>(1) as u64);
    Ok(if (first, last) != (batch.first_seq, batch.last_seq) {
        Err(Refusal::Overlap { watermark })
    } else if known.get::<&[u8], _>(2) != hash(batch) {
        Err(Refusal::Forked)
    } else {
        Ok(Appended::Duplicate { watermark, compared: true })
    })
}

async fn delete(db: &mut SqliteConnection, row: i64) -> Result<(), sqlx::Error> {
    begin(db).await?;
    let deleted = async {
        sqlx::query("delete from batches where row <= ?").bind(row).execute(&mut *db).await?;
        sqlx::query("delete from gaps where row <= ?").bind(row).execute(&mut *db).await?;
        Ok(())
    };
    let deleted = deleted.await;
    finish(db, deleted).await?;
    // Space goes back to the file system only when much is free, so a steady flow reuses its pages.
    let free: i64 = sqlx::query_scalar("pragma freelist_count").fetch_one(&mut *db).await?;
    if free > VACUUM_PAGES {
        sqlx::raw_sql("pragma incremental_vacuum(4096); pragma wal_checkpoint(passive)").execute(&mut *db).await?;
    }
    Ok(())
}

/// A file that occupies space until deleting needs it.
pub(super) struct Ballast(PathBuf);

impl Ballast {
    pub fn beside(journal: &Path) -> Self {
        let mut name = journal.as_os_str().to_owned();
        name.push(".ballast");
        Ballast(name.into())
    }

    /// Makes the file when there is room; on a full disk it is left for later.
    pub fn inflate(&self) {
        if std::fs::metadata(&self.0).is_ok_and(|meta| meta.len() == BALLAST_BYTES as u64) {
            return;
        }
        let written = std::fs::File::create(&self.0).and_then(|mut file| file.write_all(&vec![0; BALLAST_BYTES]));
        if written.is_err() {
            self.release();
        }
    }

    fn release(&self) {
        if let Err(error) = std::fs::remove_file(&self.0)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(%error, path = %self.0.display(), "ballast cannot be released");
        }
    }
}
