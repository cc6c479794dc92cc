//! The outbox: messages that were decided and not yet delivered, in SQLite.
//!
//! [`write`] puts the desk's state, its messages and the reader's position into the caller's transaction: after a crash
//! either all of them are there or none, so that no message is lost and none is made twice. A message whose id is known
//! already is not put in again. [`crate::delivery`] takes them out.

mod feedback;

pub use feedback::{Answer, RuleCounts};

use noroshi_model::Nanos;
use noroshi_model::alert::Alert;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{QueryBuilder, Row, Sqlite, SqliteConnection, SqlitePool};
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

/// The outbox cannot do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum OutboxError {
    /// SQLite says no.
    #[error("outbox: {0}")]
    Sql(#[from] sqlx::Error),
    /// A stored message cannot be read.
    #[error("outbox: message {id} cannot be read: {source}")]
    Stored {
        /// Which one.
        id: String,
        /// Why.
        source: serde_json::Error,
    },
}

/// What becomes durable together.
#[derive(Clone, Debug, Default)]
pub struct Commit<'c> {
    /// When this happens; messages are due from then on.
    pub now: Nanos,
    /// Messages.
    pub alerts: &'c [Alert],
    /// Open incidents by slot, as text; none when gone.
    pub incidents: Vec<(String, Option<String>)>,
    /// Recipients' limits and what waits for them, as text.
    pub mailboxes: Vec<(String, String)>,
    /// Incidents that are over, by id, with the time.
    pub closed: Vec<(String, Nanos, String)>,
    /// How far the input has been read: name of the reader and position.
    pub cursor: Option<(&'c str, String)>,
    /// State of whoever decides, as text by key; none when gone.
    pub kept: Vec<(String, Option<String>)>,
    /// Findings for the lake: table and JSON.
    pub rows: Vec<(&'static str, String)>,
}

/// What the desk needs to go on after a start.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stored {
    /// Open incidents.
    pub incidents: Vec<String>,
    /// Recipients.
    pub mailboxes: Vec<(String, String)>,
    /// State of whoever decides, by key.
    pub kept: Vec<(String, String)>,
}

/// A finding on its way into the lake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LakeRow {
    /// Rises with each row; none is used twice.
    pub sequence: i64,
    /// Table.
    pub table: String,
    /// JSON.
    pub value: String,
}

/// A message on its way.
#[derive(Clone, Debug, PartialEq)]
pub struct Letter {
    /// The message.
    pub alert: Alert,
    /// Attempts so far.
    pub attempts: u32,
    /// When it was put in. Replayed data has decisions that are older.
    pub queued: Nanos,
}

/// How many messages are in which state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Waiting for their first or next attempt.
    pub queued: u64,
    /// Accepted by the other side.
    pub delivered: u64,
    /// Given up, with the reason kept.
    pub failed: u64,
}

/// The outbox in its database.
#[derive(Clone, Debug)]
pub struct Outbox {
    pool: SqlitePool,
}

const SCHEMA: [&str; 10] = [
    "CREATE TABLE IF NOT EXISTS outbox (
        id TEXT PRIMARY KEY, recipient TEXT NOT NULL, severity INTEGER NOT NULL, queued INTEGER NOT NULL,
        alert TEXT NOT NULL, state TEXT NOT NULL DEFAULT 'queued', attempts INTEGER NOT NULL DEFAULT 0,
        next_at INTEGER NOT NULL, done_at INTEGER, last_error TEXT)",
    "CREATE INDEX IF NOT EXISTS outbox_due ON outbox (state, next_at)",
    "CREATE TABLE IF NOT EXISTS desk_incidents (slot TEXT PRIMARY KEY, value TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS desk_mailboxes (recipient TEXT PRIMARY KEY, value TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS desk_closed (id TEXT PRIMARY KEY, closed_at INTEGER NOT NULL, value TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS desk_cursors (reader TEXT PRIMARY KEY, position TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS desk_kept (key TEXT PRIMARY KEY, value TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS lake_rows (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, value TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS told (
        incident TEXT NOT NULL, member TEXT NOT NULL, rule TEXT NOT NULL, at INTEGER NOT NULL,
        PRIMARY KEY (incident, member)) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS answers (
        incident TEXT NOT NULL, verdict TEXT NOT NULL, since INTEGER NOT NULL, said_at INTEGER NOT NULL,
        said_by TEXT NOT NULL, PRIMARY KEY (incident, said_by, verdict)) WITHOUT ROWID",
];

/// Puts everything into the caller's transaction.
pub async fn write(connection: &mut SqliteConnection, commit: &Commit<'_>) -> Result<(), OutboxError> {
    for alert in commit.alerts {
        let body =
            serde_json::to_string(alert).map_err(|source| OutboxError::Stored { id: alert.id.clone(), source })?;
        sqlx::query(
            "INSERT INTO outbox (id, recipient, severity, queued, alert, next_at) VALUES (?, ?, ?, ?, ?, ?)
             ON CONFLICT (id) DO NOTHING",
        )
        .bind(&alert.id)
        .bind(&alert.recipient.0)
        .bind(alert.severity as i64)
        .bind(commit.now.0)
        .bind(body)
        .bind(commit.now.0)
        .execute(&mut *connection)
        .await?;
        feedback::told(connection, alert).await?;
    }
    for (slot, value) in &commit.incidents {
        match value {
            Some(value) => {
                let insert = "INSERT INTO desk_incidents (slot, value) VALUES (?, ?)
                              ON CONFLICT (slot) DO UPDATE SET value = excluded.value";
                sqlx::query(insert).bind(slot).bind(value).execute(&mut *connection).await?;
            }
            None => {
                sqlx::query("DELETE FROM desk_incidents WHERE slot = ?").bind(slot).execute(&mut *connection).await?;
            }
        }
    }
    for (recipient, value) in &commit.mailboxes {
        let insert = "INSERT INTO desk_mailboxes (recipient, value) VALUES (?, ?)
                      ON CONFLICT (recipient) DO UPDATE SET value = excluded.value";
        sqlx::query(insert).bind(recipient).bind(value).execute(&mut *connection).await?;
    }
    for (id, at, value) in &commit.closed {
        let insert = "INSERT INTO desk_closed (id, closed_at, value) VALUES (?, ?, ?) ON CONFLICT (id) DO NOTHING";
        sqlx::query(insert).bind(id).bind(at.0).bind(value).execute(&mut *connection).await?;
    }
    for (key, value) in &commit.kept {
        match value {
            Some(value) => {
                let insert = "INSERT INTO desk_kept (key, value) VALUES (?, ?)
                              ON CONFLICT (key) DO UPDATE SET value = excluded.value";
                sqlx::query(insert).bind(key).bind(value).execute(&mut *connection).await?;
            }
            None => {
                sqlx::query("DELETE FROM desk_kept WHERE key = ?").bind(key).execute(&mut *connection).await?;
            }
        }
    }
    for (table, value) in &commit.rows {
        let insert = "INSERT INTO lake_rows (name, value) VALUES (?, ?)";
        sqlx::query(insert).bind(*table).bind(value).execute(&mut *connection).await?;
    }
    if let Some((reader, position)) = &commit.cursor {
        let insert = "INSERT INTO desk_cursors (reader, position) VALUES (?, ?)
                      ON CONFLICT (reader) DO UPDATE SET position = excluded.position";
        sqlx::query(insert).bind(*reader).bind(position).execute(&mut *connection).await?;
    }
    Ok(())
}

impl Outbox {
    /// Opens or makes the database. Commits are on disk when they return.
    pub async fn open(path: &Path) -> Result<Self, OutboxError> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(Duration::from_secs(30));
        let pool = SqlitePoolOptions::new().max_connections(4).connect_with(options).await?;
        Self::on(pool).await
    }

    /// An outbox that lives as long as the process: for tests and dry runs.
    pub async fn in_memory() -> Result<Self, OutboxError> {
        let options = SqliteConnectOptions::new().in_memory(true);
        // Each connection to memory is a database of its own: one, never dropped.
        let pool = SqlitePoolOptions::new()
            .max_connections(1)
            .min_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_with(options)
            .await?;
        Self::on(pool).await
    }

    /// An outbox in a database that holds other tables as well.
    pub async fn on(pool: SqlitePool) -> Result<Self, OutboxError> {
        for statement in SCHEMA {
            sqlx::query(statement).execute(&pool).await?;
        }
        Ok(Outbox { pool })
    }

    /// Makes everything durable in a transaction of its own.
    pub async fn commit(&self, commit: &Commit<'_>) -> Result<(), OutboxError> {
        let mut transaction = self.pool.begin().await?;
        write(&mut transaction, commit).await?;
        Ok(transaction.commit().await?)
    }

    /// What the desk left.
    pub async fn stored(&self) -> Result<Stored, OutboxError> {
        let incidents = sqlx::query("SELECT value FROM desk_incidents ORDER BY slot").fetch_all(&self.pool).await?;
        let mailboxes =
            sqlx::query("SELECT recipient, value FROM desk_mailboxes ORDER BY recipient").fetch_all(&self.pool).await?;
        let kept = sqlx::query("SELECT key, value FROM desk_kept ORDER BY key").fetch_all(&self.pool).await?;
        Ok(Stored {
            incidents: incidents.iter().map(|row| row.get(0)).collect(),
            mailboxes: mailboxes.iter().map(|row| (row.get(0), row.get(1))).collect(),
            kept: kept.iter().map(|row| (row.get(0), row.get(1))).collect(),
        })
    }

    /// Findings that wait for the lake, in order.
    pub async fn lake_rows(&self, limit: u32) -> Result<Vec<LakeRow>, OutboxError> {
        let select = "SELECT sequence, name, value FROM lake_rows ORDER BY sequence LIMIT ?";
        let rows = sqlx::query(select).bind(limit).fetch_all(&self.pool).await?;
        Ok(rows.iter().map(|r| LakeRow { sequence: r.get(0), table: r.get(1), value: r.get(2) }).collect())
    }

    /// Forgets findings that the lake holds.
    pub async fn forget_lake_rows(&self, through: i64) -> Result<(), OutboxError> {
        sqlx::query("DELETE FROM lake_rows WHERE sequence <= ?").bind(through).execute(&self.pool).await?;
        Ok(())
    }

    /// Incidents that are over and were closed since then, as text, newest first.
    pub async fn closed_since(&self, since: Nanos, limit: u32) -> Result<Vec<String>, OutboxError> {
        let select = "SELECT value FROM desk_closed WHERE closed_at >= ? ORDER BY closed_at DESC, id LIMIT ?";
        let rows = sqlx::query(select).bind(since.0).bind(limit).fetch_all(&self.pool).await?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    /// How far a reader had come.
    pub async fn cursor(&self, reader: &str) -> Result<Option<String>, OutboxError> {
        let row = sqlx::query("SELECT position FROM desk_cursors WHERE reader = ?")
            .bind(reader)
            .fetch_optional(&self.pool)
            .await?;
        Ok(row.map(|row| row.get(0)))
    }

    /// Messages whose next attempt is due, worst first.
    pub async fn due(&self, now: Nanos, limit: u32) -> Result<Vec<Letter>, OutboxError> {
        self.due_except(now, limit, &BTreeSet::new()).await
    }

    /// Messages whose next attempt is due and whose recipient is not among `busy`, worst first.
    pub async fn due_except(
        &self,
        now: Nanos,
        limit: u32,
        busy: &BTreeSet<String>,
    ) -> Result<Vec<Letter>, OutboxError> {
        let mut select = QueryBuilder::<Sqlite>::new(
            "SELECT id, alert, attempts, queued FROM outbox WHERE state = 'queued' AND next_at <= ",
        );
        select.push_bind(now.0);
        if !busy.is_empty() {
            select.push(" AND recipient NOT IN (");
            let mut list = select.separated(", ");
            for recipient in busy {
                list.push_bind(recipient.clone());
            }
            select.push(")");
        }
        select.push(" ORDER BY severity DESC, queued, id LIMIT ").push_bind(limit);
        let rows = select.build().fetch_all(&self.pool).await?;
        rows.iter()
            .map(|row| {
                let alert = serde_json::from_str(row.get::<&str, _>(1))
                    .map_err(|source| OutboxError::Stored { id: row.get(0), source })?;
                Ok(Letter { alert, attempts: row.get::<i64, _>(2) as u32, queued: Nanos(row.get(3)) })
            })
            .collect()
    }

    /// The database, for tables of others that change in the same transaction.
    pub fn pool(&self) -> &SqlitePool {
        &self.pool
    }

    /// When the next attempt is due, if anything waits.
    pub async fn next_due(&self) -> Result<Option<Nanos>, OutboxError> {
        let row = sqlx::query("SELECT MIN(next_at) FROM outbox WHERE state = 'queued'").fetch_one(&self.pool).await?;
        Ok(row.get::<Option<i64>, _>(0).map(Nanos))
    }

    /// The other side took it.
    pub async fn delivered(&self, id: &str, now: Nanos) -> Result<(), OutboxError> {
        let update = "UPDATE outbox SET state = 'delivered', attempts = attempts + 1, done_at = ?, last_error = NULL
                      WHERE id = ? AND state = 'queued'";
        sqlx::query(update).bind(now.0).bind(id).execute(&self.pool).await?;
        Ok(())
    }

    /// Not now; again at `next`.
    pub async fn put_off(&self, id: &str, next: Nanos, reason: &str) -> Result<(), OutboxError> {
        let update = "UPDATE outbox SET attempts = attempts + 1, next_at = ?, last_error = ?
                      WHERE id = ? AND state = 'queued'";
        sqlx::query(update).bind(next.0).bind(reason).bind(id).execute(&self.pool).await?;
        Ok(())
    }

    /// Never; the reason is kept for people to see.
    pub async fn failed(&self, id: &str, now: Nanos, reason: &str) -> Result<(), OutboxError> {
        let update = "UPDATE outbox SET state = 'failed', attempts = attempts + 1, done_at = ?, last_error = ?
                      WHERE id = ? AND state = 'queued'";
        sqlx::query(update).bind(now.0).bind(reason).bind(id).execute(&self.pool).await?;
        Ok(())
    }

    /// Messages by state.
    pub async fn counts(&self) -> Result<Counts, OutboxError> {
        let rows = sqlx::query("SELECT state, COUNT(*) FROM outbox GROUP BY state").fetch_all(&self.pool).await?;
        let mut counts = Counts::default();
        for row in rows {
            let number = row.get::<i64, _>(1) as u64;
            match row.get::<&str, _>(0) {
                "queued" => counts.queued = number,
                "delivered" => counts.delivered = number,
                _ => counts.failed = number,
            }
        }
        Ok(counts)
    }

    /// Recipient, state, attempts and last error of the latest messages, for people.
    pub async fn latest(&self, limit: u32) -> Result<Vec<(String, String, u32, Option<String>)>, OutboxError> {
        let select = "SELECT recipient, state, attempts, last_error FROM outbox ORDER BY queued DESC, id LIMIT ?";
        let rows = sqlx::query(select).bind(limit).fetch_all(&self.pool).await?;
        Ok(rows.iter().map(|r| (r.get(0), r.get(1), r.get::<i64, _>(2) as u32, r.get(3))).collect())
    }
}

/// The id of a message that is like no other.
pub fn fresh_id() -> String {
    uuid::Uuid::new_v4().to_string()
}
