//! Records of people in an SQLite file: write-ahead log, synced before a call returns, readable by its owner only.

use super::records::{Records, RecordsError, Table};
use async_trait::async_trait;
use sqlx::Row;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use std::path::Path;

const SCHEMA: &str = "CREATE TABLE IF NOT EXISTS records (
    kind TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL, PRIMARY KEY (kind, key)
) STRICT, WITHOUT ROWID";

/// Records in a file.
pub struct SqliteRecords(SqlitePool);

fn failed(error: sqlx::Error) -> RecordsError {
    RecordsError(error.to_string())
}

impl SqliteRecords {
    /// Opens the file, or makes it.
    pub async fn open(path: &Path) -> Result<Self, RecordsError> {
        make_private(path).map_err(|error| RecordsError(format!("{}: {error}", path.display())))?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full);
        // One connection: writes are few, and each then sees the one before.
        let pool = SqlitePoolOptions::new().max_connections(1).connect_with(options).await.map_err(failed)?;
        sqlx::query(SCHEMA).execute(&pool).await.map_err(failed)?;
        Ok(SqliteRecords(pool))
    }
}

/// The file holds password hashes, so it is made for its owner before anything is in it.
fn make_private(path: &Path) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}

#[async_trait]
impl Records for SqliteRecords {
    async fn get(&self, table: Table, key: &str) -> Result<Option<Vec<u8>>, RecordsError> {
        let query = sqlx::query("SELECT value FROM records WHERE kind = ? AND key = ?").bind(table.name()).bind(key);
        let row = query.fetch_optional(&self.0).await.map_err(failed)?;
        row.map(|row| row.try_get(0)).transpose().map_err(failed)
    }

    async fn insert(&self, table: Table, key: &str, value: Vec<u8>) -> Result<bool, RecordsError> {
        let query = sqlx::query("INSERT INTO records (kind, key, value) VALUES (?, ?, ?) ON CONFLICT DO NOTHING");
        let done = query.bind(table.name()).bind(key).bind(value).execute(&self.0).await.map_err(failed)?;
        Ok(done.rows_affected() == 1)
    }

    async fn put(&self, table: Table, key: &str, value: Vec<u8>) -> Result<(), RecordsError> {
        let query = sqlx::query(
            "INSERT INTO records (kind, key, value) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET value = excluded.value",
        );
        query.bind(table.name()).bind(key).bind(value).execute(&self.0).await.map_err(failed)?;
        Ok(())
    }

    async fn take(&self, table: Table, key: &str) -> Result<Option<Vec<u8>>, RecordsError> {
        let query = sqlx::query("DELETE FROM records WHERE kind = ? AND key = ? RETURNING value");
        let row = query.bind(table.name()).bind(key).fetch_optional(&self.0).await.map_err(failed)?;
        row.map(|row| row.try_get(0)).transpose().map_err(failed)
    }

    async fn list(&self, table: Table) -> Result<Vec<(String, Vec<u8>)>, RecordsError> {
        let query = sqlx::query("SELECT key, value FROM records WHERE kind = ? ORDER BY key").bind(table.name());
        let rows = query.fetch_all(&self.0).await.map_err(failed)?;
        rows.iter()
            .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
            .collect::<Result<_, sqlx::Error>>()
            .map_err(failed)
    }

    async fn count(&self, table: Table) -> Result<u64, RecordsError> {
        let query = sqlx::query("SELECT count(*) FROM records WHERE kind = ?").bind(table.name());
        let row = query.fetch_one(&self.0).await.map_err(failed)?;
        row.try_get::<i64, _>(0).map(|count| count as u64).map_err(failed)
    }
}
