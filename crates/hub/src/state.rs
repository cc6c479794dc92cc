//! The hub's own database: sensors, tokens, certificates, policies. SQLite, synced before anything is answered.

use crate::HubError;
use noroshi_model::policy::Policy;
use noroshi_wire::{Report, SensorName};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Row};
use std::path::{Path, PathBuf};
use std::time::Duration;

const TABLES: &str = "
create table if not exists sensors (
    name text primary key,
    enrolled_at integer not null,
    revoked_at integer,
    report text,
    reported_at integer
) without rowid;
create table if not exists tokens (
    hash text primary key,
    name text not null,
    expires_at integer not null,
    key_hash text,
    certificate blob,
    not_after integer
) without rowid;
create table if not exists certificates (
    serial text primary key,
    name text not null,
    not_after integer not null
) without rowid;
create table if not exists policies (
    name text not null,
    revision integer not null,
    request text not null,
    changed_at integer not null,
    reason text not null,
    primary key (name, revision)
) without rowid;
create table if not exists tags (
    tag text not null,
    name text not null,
    primary key (tag, name)
) without rowid;
create table if not exists silences (
    name text not null,
    since integer not null,
    until integer,
    primary key (name, since)
) without rowid;
";

/// A sensor as stored.
#[derive(Clone, Debug)]
pub struct SensorRow {
    /// Its name.
    pub name: String,
    /// When it enrolled, seconds since 1970.
    pub enrolled_at: i64,
    /// When it was revoked.
    pub revoked_at: Option<i64>,
    /// Its last report.
    pub report: Option<Report>,
    /// When that came.
    pub reported_at: Option<i64>,
}

/// A policy as requested once.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct PolicyRow {
    /// Counts up.
    pub revision: u64,
    /// What was requested.
    pub request: Policy,
    /// When, seconds since 1970.
    pub changed_at: i64,
    /// What was typed.
    pub reason: String,
}

/// A finding of the hub about its own fleet: a sensor that ought to report and does not.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct Silence {
    /// The sensor.
    pub name: String,
    /// Its last sign of life, seconds since 1970.
    pub since: i64,
    /// When it spoke again.
    pub until: Option<i64>,
}

/// What a token turned out to be.
#[derive(Debug, PartialEq, Eq)]
pub enum TokenState {
    /// Fresh, and now taken by this key.
    Taken,
    /// Taken before by the same key: the answer was lost on its way.
    Resumed {
        /// The certificate that was issued.
        certificate: Vec<u8>,
        /// Its end.
        not_after: i64,
    },
    /// No such token.
    Unknown,
    /// Taken by another key.
    Used,
    /// Too old.
    Expired,
    /// For another name.
    OtherName,
}

/// A certificate to be stored with the token that paid for it.
#[derive(Clone, Debug)]
pub struct NewCertificate {
    /// The certificate, DER.
    pub certificate: Vec<u8>,
    /// Its serial number.
    pub serial: String,
    /// Its end, seconds since 1970.
    pub not_after: i64,
}

/// The database.
#[derive(Clone)]
pub struct State {
    path: PathBuf,
    pool: SqlitePool,
}

impl State {
    /// Opens or makes it.
    pub async fn open(path: &Path) -> Result<State, HubError> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(Duration::from_secs(10))
            .disable_statement_logging();
        // One connection: writes are few, and one writer needs no retries.
        let pool = SqlitePoolOptions::new().max_connections(1).connect_lazy_with(options);
        let state = State { path: path.to_owned(), pool };
        sqlx::raw_sql(TABLES).execute(&state.pool).await.map_err(|source| state.failed(source))?;
        Ok(state)
    }

    fn failed(&self, source: sqlx::Error) -> HubError {
        HubError::State { path: self.path.clone(), source }
    }

    fn damaged(&self, what: &'static str) -> HubError {
        HubError::Damaged { path: self.path.clone(), what }
    }

    /// Keeps a token's hash.
    pub async fn add_token(&self, hash: &str, name: &SensorName, expires_at: i64) -> Result<(), HubError> {
        sqlx::query("insert into tokens (hash, name, expires_at) values (?, ?, ?)")
            .bind(hash)
            .bind(name.as_str())
            .bind(expires_at)
            .execute(&self.pool)
            .await
            .map_err(|source| self.failed(source))?;
        Ok(())
    }

    /// Turns a token into a certificate, once. Token, certificate, sensor and first policy are one transaction, so
    /// that there is never a used token without a certificate, or two certificates of one token.
    pub async fn redeem(
        &self,
        hash: &str,
        name: &SensorName,
        key_hash: &str,
        now: i64,
        new: &NewCertificate,
        policy: &Policy,
    ) -> Result<TokenState, HubError> {
        let fail = |source| self.failed(source);
        // The single connection of the pool makes transactions take turns.
        let mut transaction = self.pool.begin().await.map_err(fail)?;
        let row = sqlx::query("select name, expires_at, key_hash, certificate, not_after from tokens where hash = ?")
            .bind(hash)
            .fetch_optional(&mut *transaction)
            .await
            .map_err(fail)?;
        let Some(row) = row else { return Ok(TokenState::Unknown) };
        if row.get::<String, _>(0) != name.as_str() {
            return Ok(TokenState::OtherName);
        }
        if let Some(taken_by) = row.get::<Option<String>, _>(2) {
            let same = taken_by == key_hash;
            let (certificate, not_after) = (row.get(3), row.get(4));
            return Ok(if same { TokenState::Resumed { certificate, not_after } } else { TokenState::Used });
        }
        if row.get::<i64, _>(1) < now {
            return Ok(TokenState::Expired);
        }
        let statements = [
            sqlx::query("update tokens set key_hash = ?, certificate = ?, not_after = ? where hash = ?")
                .bind(key_hash)
                .bind(&new.certificate)
                .bind(new.not_after)
                .bind(hash),
            // A name that enrols again starts clean: the old certificates stop being accepted.
            sqlx::query("delete from certificates where name = ?").bind(name.as_str()),
            sqlx::query("insert into certificates (serial, name, not_after) values (?, ?, ?)")
                .bind(&new.serial)
                .bind(name.as_str())
                .bind(new.not_after),
            sqlx::query(
                "insert into sensors (name, enrolled_at) values (?, ?) \
                 on conflict (name) do update set enrolled_at = excluded.enrolled_at, revoked_at = null",
            )
            .bind(name.as_str())
            .bind(now),
            sqlx::query(
                "insert into policies (name, revision, request, changed_at, reason) values (?, 1, ?, ?, 'enrolment') \
                 on conflict do nothing",
            )
            .bind(name.as_str())
            .bind(json(policy))
            .bind(now),
        ];
        for statement in statements {
            statement.execute(&mut *transaction).await.map_err(fail)?;
        }
        transaction.commit().await.map_err(fail)?;
        Ok(TokenState::Taken)
    }

    /// Keeps a renewed certificate and forgets those that have ended.
    pub async fn add_certificate(&self, name: &SensorName, new: &NewCertificate, now: i64) -> Result<(), HubError> {
        let fail = |source| self.failed(source);
        let mut transaction = self.pool.begin().await.map_err(fail)?;
        sqlx::query("insert into certificates (serial, name, not_after) values (?, ?, ?)")
            .bind(&new.serial)
            .bind(name.as_str())
            .bind(new.not_after)
            .execute(&mut *transaction)
            .await
            .map_err(fail)?;
        sqlx::query("delete from certificates where not_after < ?")
            .bind(now)
            .execute(&mut *transaction)
            .await
            .map_err(fail)?;
        transaction.commit().await.map_err(fail)
    }

    /// Serial numbers that are accepted, by sensor. Revoked sensors have none.
    pub async fn serials(&self) -> Result<Vec<(String, String)>, HubError> {
        let rows = sqlx::query(
            "select serial, c.name from certificates c join sensors s on s.name = c.name where s.revoked_at is null",
        )
        .fetch_all(&self.pool)
        .await
        .map_err(|source| self.failed(source))?;
        Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
    }

    /// Revokes a sensor and forgets its certificates. False when there is none of that name.
    pub async fn revoke(&self, name: &str, now: i64) -> Result<bool, HubError> {
        let fail = |source| self.failed(source);
        let mut transaction = self.pool.begin().await.map_err(fail)?;
        let done = sqlx::query("update sensors set revoked_at = coalesce(revoked_at, ?) where name = ?")
            .bind(now)
            .bind(name)
            .execute(&mut *transaction)
            .await
            .map_err(fail)?;
        for statement in ["delete from certificates where name = ?", "delete from tokens where name = ?"] {
            sqlx::query(statement).bind(name).execute(&mut *transaction).await.map_err(fail)?;
        }
        transaction.commit().await.map_err(fail)?;
        Ok(done.rows_affected() > 0)
    }

    /// Every sensor, by name.
    pub async fn sensors(&self) -> Result<Vec<SensorRow>, HubError> {
        let rows = sqlx::query("select name, enrolled_at, revoked_at, report, reported_at from sensors order by name")
            .fetch_all(&self.pool)
            .await
            .map_err(|source| self.failed(source))?;
        let read = |row: &sqlx::sqlite::SqliteRow| SensorRow {
            name: row.get(0),
            enrolled_at: row.get(1),
            revoked_at: row.get(2),
            report: row.get::<Option<String>, _>(3).and_then(|text| serde_json::from_str(&text).ok()),
            reported_at: row.get(4),
        };
        Ok(rows.iter().map(read).collect())
    }

    /// Keeps last reports, all in one transaction: a fleet of ten thousand reports two thousand times a second.
    pub async fn set_reports(&self, reports: &[(SensorName, i64, Report)]) -> Result<(), HubError> {
        let fail = |source| self.failed(source);
        let mut transaction = self.pool.begin().await.map_err(fail)?;
        for (name, at, report) in reports {
            sqlx::query("update sensors set report = ?, reported_at = ? where name = ?")
                .bind(json(report))
                .bind(at)
                .bind(name.as_str())
                .execute(&mut *transaction)
                .await
                .map_err(fail)?;
        }
        transaction.commit().await.map_err(fail)
    }

    /// The newest request of every sensor.
    pub async fn newest_policies(&self) -> Result<Vec<(String, u64, Policy)>, HubError> {
        let query = "select name, max(revision), request from policies group by name";
        let rows = sqlx::query(query).fetch_all(&self.pool).await.map_err(|source| self.failed(source))?;
        rows.iter()
            .map(|row| {
                let request = serde_json::from_str(row.get(2)).map_err(|_| self.damaged("a policy"))?;
                Ok((row.get(0), row.get::<i64, _>(1) as u64, request))
            })
            .collect()
    }

    /// Every policy requested of a sensor, oldest first.
    pub async fn policies(&self, name: &str) -> Result<Vec<PolicyRow>, HubError> {
        let query = "select revision, request, changed_at, reason from policies where name = ? order by revision";
        let rows = sqlx::query(query).bind(name).fetch_all(&self.pool).await.map_err(|source| self.failed(source))?;
        rows.iter()
            .map(|row| {
                Ok(PolicyRow {
                    revision: row.get::<i64, _>(0) as u64,
                    request: serde_json::from_str(row.get(1)).map_err(|_| self.damaged("a policy"))?,
                    changed_at: row.get(2),
                    reason: row.get(3),
                })
            })
            .collect()
    }

    /// Adds revisions, all or none; fails when somebody else added one first.
    pub async fn add_policies(&self, rows: &[(SensorName, PolicyRow)]) -> Result<(), HubError> {
        let fail = |source| self.failed(source);
        let mut transaction = self.pool.begin().await.map_err(fail)?;
        for (name, row) in rows {
            sqlx::query("insert into policies (name, revision, request, changed_at, reason) values (?, ?, ?, ?, ?)")
                .bind(name.as_str())
                .bind(row.revision as i64)
                .bind(json(&row.request))
                .bind(row.changed_at)
                .bind(&row.reason)
                .execute(&mut *transaction)
                .await
                .map_err(fail)?;
        }
        transaction.commit().await.map_err(fail)
    }

    /// Puts a tag on a sensor, or takes it off.
    pub async fn tag(&self, name: &str, tag: &str, on: bool) -> Result<(), HubError> {
        let query = match on {
            true => "insert or ignore into tags (tag, name) values (?, ?)",
            false => "delete from tags where tag = ? and name = ?",
        };
        let done = sqlx::query(query).bind(tag).bind(name).execute(&self.pool).await;
        done.map(drop).map_err(|source| self.failed(source))
    }

    /// Tags with their sensors.
    pub async fn tags(&self) -> Result<Vec<(String, String)>, HubError> {
        let rows = sqlx::query("select tag, name from tags order by tag, name").fetch_all(&self.pool).await;
        Ok(rows.map_err(|source| self.failed(source))?.iter().map(|row| (row.get(0), row.get(1))).collect())
    }

    /// Notes that a sensor fell silent, or that it speaks again.
    pub async fn silence(&self, name: &str, since: i64, until: Option<i64>) -> Result<(), HubError> {
        sqlx::query(
            "insert into silences (name, since, until) values (?, ?, ?) \
             on conflict (name, since) do update set until = excluded.until",
        )
        .bind(name)
        .bind(since)
        .bind(until)
        .execute(&self.pool)
        .await
        .map(drop)
        .map_err(|source| self.failed(source))
    }

    /// When sensors fell silent and spoke again, newest first, at most `most`.
    pub async fn silences(&self, most: u32) -> Result<Vec<Silence>, HubError> {
        let query = "select name, since, until from silences order by until is not null, since desc limit ?";
        let rows = sqlx::query(query).bind(most).fetch_all(&self.pool).await.map_err(|source| self.failed(source))?;
        Ok(rows.iter().map(|row| Silence { name: row.get(0), since: row.get(1), until: row.get(2) }).collect())
    }
}

fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("plain data")
}
