//! Reading the journal: rows for the lake and the detectors, watermarks, and the account of each stream.

use super::{Journal, JournalError, failed};
use bytes::Bytes;
use futures::TryStreamExt;
use noroshi_model::stream::{Gap, GapReason, SchemaId};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

/// One stored batch.
#[derive(Clone, Debug)]
pub struct JournalRow {
    /// Row number, growing.
    pub row: i64,
    /// Name of the sensor.
    pub sensor: String,
    /// Which life of the sensor's spool.
    pub epoch: [u8; 16],
    /// First sequence number.
    pub first_seq: u64,
    /// Last sequence number, inclusive.
    pub last_seq: u64,
    /// Records it carries.
    pub records: u64,
    /// Schema of `bytes`.
    pub schema: SchemaId,
    /// An Arrow IPC stream; empty when there are no records.
    pub bytes: Bytes,
    /// What the batch declared lost.
    pub gaps: Vec<Gap>,
    /// The checksum does not fit: the disk damaged the bytes.
    pub damaged: bool,
}

/// The account of one stream. It balances when `produced = stored + lost`.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct StreamAccount {
    /// Name of the sensor.
    pub sensor: String,
    /// Which life of the sensor's spool, in hexadecimal.
    pub epoch: String,
    /// Records numbered so far.
    pub produced: u64,
    /// Records stored.
    pub stored: u64,
    /// Records declared lost.
    pub lost: u64,
}

impl StreamAccount {
    /// Whether nothing is unaccounted for.
    pub fn balances(&self) -> bool {
        self.produced == self.stored + self.lost
    }
}

impl Journal {
    /// Rows after `row`, in order, until their bytes reach `max_bytes`; at least one when there is one.
    pub async fn read_after(&self, row: i64, max_bytes: usize) -> Result<Vec<JournalRow>, JournalError> {
        let fail = failed(self.path(), "read");
        let mut found = Vec::new();
        let mut total = 0;
        {
            let mut rows = sqlx::query(
                "select row, sensor, epoch, first_seq, last_seq, records, schema, crc, bytes from batches \
                 where row > ? order by row",
            )
            .bind(row)
            .fetch(&self.shared.readers);
            while let Some(next) = rows.try_next().await.map_err(fail)? {
                let next = batch_row(&next);
                total += next.bytes.len();
                found.push(next);
                if total >= max_bytes {
                    break;
                }
            }
        }
        if let (Some(first), Some(last)) = (found.first(), found.last()) {
            let gaps = self.gaps_between(first.row, last.row).await?;
            for (row, gap) in gaps {
                if let Ok(at) = found.binary_search_by_key(&row, |r| r.row) {
                    found[at].gaps.push(gap);
                }
            }
        }
        Ok(found)
    }

    async fn gaps_between(&self, first: i64, last: i64) -> Result<Vec<(i64, Gap)>, JournalError> {
        let rows = sqlx::query(
            "select row, first_seq, last_seq, count, reason from gaps where row between ? and ? order by row, rowid",
        )
        .bind(first)
        .bind(last)
        .fetch_all(&self.shared.readers)
        .await
        .map_err(failed(self.path(), "read gaps"))?;
        let gap = |row: &SqliteRow| Gap {
            first_seq: row.get::<i64, _>(1) as u64,
            last_seq: row.get::<i64, _>(2) as u64,
            count: row.get::<i64, _>(3) as u64,
            // Only this program writes reasons; one that a damaged disk garbled is corruption.
            reason: row.get::<&str, _>(4).parse().unwrap_or(GapReason::Corruption),
        };
        Ok(rows.iter().map(|row| (row.get::<i64, _>(0), gap(row))).collect())
    }

    /// Last stored sequence number of a stream; `None` when it has none.
    pub async fn watermark(&self, sensor: &str, epoch: [u8; 16]) -> Result<Option<u64>, JournalError> {
        if super::trial::broken("watermark") {
            return Ok(None);
        }
        let found: Option<i64> = sqlx::query_scalar("select last_seq from streams where sensor = ? and epoch = ?")
            .bind(sensor)
            .bind(&epoch[..])
            .fetch_optional(&self.shared.readers)
            .await
            .map_err(failed(self.path(), "read watermark"))?;
        Ok(found.map(|seq| seq as u64))
    }

    /// The account of every stream, ordered by sensor.
    pub async fn conservation(&self) -> Result<Vec<StreamAccount>, JournalError> {
        let rows = sqlx::query(
            "select sensor, lower(hex(epoch)), last_seq - start_seq + 1, stored, lost from streams \
             order by sensor, stream",
        )
        .fetch_all(&self.shared.readers)
        .await
        .map_err(failed(self.path(), "read accounts"))?;
        let count = |row: &SqliteRow, at: usize| row.get::<i64, _>(at) as u64;
        Ok(rows
            .iter()
            .map(|row| StreamAccount {
                sensor: row.get(0),
                epoch: row.get(1),
                produced: count(row, 2),
                stored: count(row, 3),
                lost: count(row, 4),
            })
            .collect())
    }

    /// Batches and bytes that wait for the lake.
    pub async fn backlog(&self) -> Result<(u64, u64), JournalError> {
        let row = sqlx::query("select count(*), coalesce(sum(length(bytes)), 0) from batches")
            .fetch_one(&self.shared.readers)
            .await
            .map_err(failed(self.path(), "read backlog"))?;
        Ok((row.get::<i64, _>(0) as u64, row.get::<i64, _>(1) as u64))
    }
}

fn batch_row(row: &SqliteRow) -> JournalRow {
    let bytes = Bytes::copy_from_slice(row.get::<&[u8], _>(8));
    let number = |at: usize| row.get::<i64, _>(at);
    let epoch = <[u8; 16]>::try_from(row.get::<&[u8], _>(2));
    JournalRow {
        row: number(0),
        sensor: row.get(1),
        first_seq: number(3) as u64,
        last_seq: number(4) as u64,
        records: number(5) as u64,
        schema: SchemaId(number(6) as u32),
        damaged: i64::from(crc32c::crc32c(&bytes)) != number(7) || epoch.is_err(),
        epoch: epoch.unwrap_or_default(),
        bytes,
        gaps: Vec::new(),
    }
}
