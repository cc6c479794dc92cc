//! Tables of the journal file, and opening it.

use super::{JournalError, failed};
use sqlx::sqlite::{
    SqliteAutoVacuum, SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
    SqliteSynchronous,
};
use sqlx::{ConnectOptions, Connection, Row};
use std::path::Path;
use std::time::Duration;

/// Format of the journal file.
const VERSION: i64 = 1;

/// `seen` keeps the hash of the latest batches of each stream, also after their rows went to the lake, so that a
/// forked stream (a copied sensor) is told from an honest resend.
const TABLES: &str = "
create table if not exists meta (key text primary key, value text not null) without rowid;
create table if not exists batches (
    row integer primary key autoincrement,
    sensor text not null,
    epoch blob not null,
    first_seq integer not null,
    last_seq integer not null,
    records integer not null,
    schema integer not null,
    crc integer not null,
    bytes blob not null
);
create table if not exists gaps (
    row integer not null,
    first_seq integer not null,
    last_seq integer not null,
    count integer not null,
    reason text not null
);
create index if not exists gaps_row on gaps (row);
create table if not exists streams (
    stream integer primary key,
    sensor text not null,
    epoch blob not null,
    start_seq integer not null,
    last_seq integer not null,
    stored integer not null,
    lost integer not null,
    batches integer not null,
    unique (sensor, epoch)
);
create table if not exists seen (
    stream integer not null,
    ordinal integer not null,
    first_seq integer not null,
    last_seq integer not null,
    hash blob not null,
    primary key (stream, ordinal)
) without rowid;
create index if not exists seen_seq on seen (stream, last_seq);
";

pub(super) struct Opened {
    pub writer: SqliteConnection,
    pub readers: SqlitePool,
    pub id: String,
    pub last_row: i64,
}

/// Makes durable what a killed process left in the log file. SQLite will take those transactions for committed, and so
/// the watermarks in them are answered to sensors, which then forget: they must survive a power cut from here on.
fn settle(path: &Path) -> Result<(), JournalError> {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    match std::fs::File::open(&log) {
        Err(source) if source.kind() == std::io::ErrorKind::NotFound => Ok(()),
        opened => opened
            .and_then(|file| file.sync_all())
            .map_err(|source| JournalError::Io { path: std::path::PathBuf::from(log), source }),
    }
}

pub(super) async fn open(path: &Path, max_pages: u32) -> Result<Opened, JournalError> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(|source| JournalError::Io { path: folder.to_owned(), source })?;
    }
    settle(path)?;
    let fail = failed(path, "open");
    let synchronous = if super::trial::broken("sync") { SqliteSynchronous::Off } else { SqliteSynchronous::Full };
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .page_size(8192)
        .auto_vacuum(SqliteAutoVacuum::Incremental)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(synchronous)
        .busy_timeout(Duration::from_secs(10))
        // The log file is cut back to this after a checkpoint, so one burst does not keep its space.
        .pragma("journal_size_limit", "67108864")
        .disable_statement_logging();
    let options = if max_pages == 0 { options } else { options.pragma("max_page_count", max_pages.to_string()) };
    let mut writer = SqliteConnection::connect_with(&options).await.map_err(fail)?;
    let found: i64 = sqlx::query_scalar("pragma user_version").fetch_one(&mut writer).await.map_err(fail)?;
    if found > VERSION {
        return Err(JournalError::Version { path: path.to_owned(), found, known: VERSION });
    }
    if found == 0 {
        sqlx::raw_sql(TABLES).execute(&mut writer).await.map_err(fail)?;
        sqlx::query("insert or ignore into meta values ('id', ?)")
            .bind(uuid::Uuid::new_v4().to_string())
            .execute(&mut writer)
            .await
            .map_err(fail)?;
        sqlx::raw_sql("pragma user_version = 1").execute(&mut writer).await.map_err(fail)?;
    }
    let id = sqlx::query("select value from meta where key = 'id'").fetch_one(&mut writer).await.map_err(fail)?.get(0);
    let last_row = sqlx::query_scalar("select coalesce((select seq from sqlite_sequence where name = 'batches'), 0)")
        .fetch_one(&mut writer)
        .await
        .map_err(fail)?;
    let readers = SqlitePoolOptions::new().max_connections(4).connect_lazy_with(options);
    Ok(Opened { writer, readers, id, last_row })
}
