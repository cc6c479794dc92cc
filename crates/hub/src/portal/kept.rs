//! What the portal keeps beside the lake: findings as they were last shown, and where sensors stand. SQLite, in
//! `portal.db`; losing it loses no observation.

use noroshi_api::memory::Findings;
use noroshi_api::scope::Marking;
use noroshi_api::views::{AttackView, CampaignView, ScanView};
use noroshi_model::Nanos;
use noroshi_model::time::SECOND;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::Row;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions};
use std::collections::HashMap;
use std::path::Path;

const SCHEMA: [&str; 2] = [
    "CREATE TABLE IF NOT EXISTS findings (
        kind TEXT NOT NULL, id TEXT NOT NULL, owner TEXT NOT NULL, last INTEGER NOT NULL, value TEXT NOT NULL,
        PRIMARY KEY (kind, id)) STRICT, WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS places (
        sensor TEXT PRIMARY KEY, longitude REAL NOT NULL, latitude REAL NOT NULL) STRICT",
];
/// Findings older than this are forgotten, and of each kind all but so many.
const DAYS: i64 = 90;
const MOST: i64 = 20_000;
/// So many of each kind are read at a start.
const READ: i64 = 5_000;

/// The file.
pub struct Kept(SqlitePool);

/// Result of reading or writing the file.
pub type Stored<T> = Result<T, sqlx::Error>;

struct Line {
    kind: &'static str,
    id: String,
    owner: String,
    last: i64,
    value: String,
}

fn line(kind: &'static str, id: String, marking: &Marking, last: Nanos, value: &impl Serialize) -> Line {
    // Views hold only numbers and texts, which always serialise.
    let value = serde_json::to_string(value).unwrap_or_default();
    Line { kind, id, owner: marking.organisation.clone(), last: last.0, value }
}

impl Kept {
    /// Opens the file, or makes it.
    pub async fn open(path: &Path) -> Stored<Self> {
        let options =
            SqliteConnectOptions::new().filename(path).create_if_missing(true).journal_mode(SqliteJournalMode::Wal);
        let pool = SqlitePoolOptions::new().max_connections(1).connect_with(options).await?;
        for statement in SCHEMA {
            sqlx::query(statement).execute(&pool).await?;
        }
        Ok(Kept(pool))
    }

    /// Writes findings that are new or have changed, and forgets what is too old.
    pub async fn save(&self, found: &Findings, now: Nanos) -> Stored<()> {
        let attacks = found.attacks.iter().map(|one| line("attack", one.id.clone(), &one.marking, one.last, one));
        let campaigns = found.campaigns.iter().map(|one| line("campaign", one.id.clone(), &one.marking, one.last, one));
        let scans = found.scans.iter().map(|pair| {
            let one = &pair.1;
            let id = format!("{} {} {:?} {} {}", one.source, one.protocol, one.port, one.kind, one.first.0);
            line("scan", id, &pair.0, one.last, pair)
        });
        let mut transaction = self.0.begin().await?;
        for one in attacks.chain(campaigns).chain(scans) {
            let insert = "INSERT INTO findings (kind, id, owner, last, value) VALUES (?, ?, ?, ?, ?)
                          ON CONFLICT DO UPDATE SET owner = excluded.owner, last = excluded.last, value = excluded.value";
            let query = sqlx::query(insert).bind(one.kind).bind(one.id).bind(one.owner).bind(one.last).bind(one.value);
            query.execute(&mut *transaction).await?;
        }
        let oldest = now.0 - DAYS * 86_400 * SECOND;
        sqlx::query("DELETE FROM findings WHERE last < ?").bind(oldest).execute(&mut *transaction).await?;
        for kind in ["attack", "campaign", "scan"] {
            let cut = "DELETE FROM findings WHERE kind = ?1 AND last <
                       (SELECT last FROM findings WHERE kind = ?1 ORDER BY last DESC LIMIT 1 OFFSET ?2)";
            sqlx::query(cut).bind(kind).bind(MOST).execute(&mut *transaction).await?;
        }
        transaction.commit().await
    }

    /// The newest findings.
    pub async fn load(&self) -> Stored<Findings> {
        Ok(Findings {
            attacks: self.read::<AttackView>("attack").await?,
            campaigns: self.read::<CampaignView>("campaign").await?,
            scans: self.read::<(Marking, ScanView)>("scan").await?,
        })
    }

    async fn read<T: DeserializeOwned>(&self, kind: &str) -> Stored<Vec<T>> {
        let select = "SELECT value FROM findings WHERE kind = ? ORDER BY last DESC LIMIT ?";
        let rows = sqlx::query(select).bind(kind).bind(READ).fetch_all(&self.0).await?;
        // A finding that another version wrote in another form is found again, or is history that the lake has.
        Ok(rows.iter().filter_map(|row| serde_json::from_str(row.get(0)).ok()).collect())
    }

    /// Forgets findings under that owner's marking.
    pub async fn forget(&self, owner: &str) -> Stored<()> {
        sqlx::query("DELETE FROM findings WHERE owner = ?").bind(owner).execute(&self.0).await.map(drop)
    }

    /// Where sensors stand.
    pub async fn places(&self) -> Stored<HashMap<String, [f64; 2]>> {
        let rows = sqlx::query("SELECT sensor, longitude, latitude FROM places").fetch_all(&self.0).await?;
        Ok(rows.iter().map(|row| (row.get(0), [row.get(1), row.get(2)])).collect())
    }

    /// Says where a sensor stands.
    pub async fn place(&self, sensor: &str, place: [f64; 2]) -> Stored<()> {
        let insert = "INSERT INTO places (sensor, longitude, latitude) VALUES (?, ?, ?)
                      ON CONFLICT DO UPDATE SET longitude = excluded.longitude, latitude = excluded.latitude";
        sqlx::query(insert).bind(sensor).bind(place[0]).bind(place[1]).execute(&self.0).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use noroshi_api::scope::Tlp;

    fn scan(owner: &str, last: i64) -> (Marking, ScanView) {
        let view = serde_json::json!({
            "source": "192.0.2.7", "protocol": "tcp", "port": 23, "kind": "horizontal", "packets": 3,
            "destinations": 3, "first": Nanos(0), "last": Nanos(last), "tool": "unknown", "confidence": 0.5, "reason": "r",
        });
        (Marking { tlp: Tlp::Amber, organisation: owner.into() }, serde_json::from_value(view).unwrap())
    }

    #[tokio::test]
    async fn findings_stay_and_are_forgotten_by_owner_and_age() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("portal.db");
        let now = Nanos(100 * 86_400 * SECOND);
        let kept = Kept::open(&path).await.unwrap();
        let scans = vec![scan("hub", now.0)];
        kept.save(&Findings { scans: scans.clone(), ..Findings::default() }, now).await.unwrap();
        kept.place("a", [1.5, -2.5]).await.unwrap();
        drop(kept);
        let kept = Kept::open(&path).await.unwrap();
        assert_eq!(kept.load().await.unwrap().scans, scans, "after a start everything is still there");
        assert_eq!(kept.places().await.unwrap()["a"], [1.5, -2.5]);
        let later = Nanos(now.0 + 91 * 86_400 * SECOND);
        kept.save(&Findings { scans: vec![scan("sample", later.0)], ..Findings::default() }, now).await.unwrap();
        kept.forget("sample").await.unwrap();
        assert!(kept.load().await.unwrap().scans.is_empty(), "the same scan under another owner took its place");
        kept.save(&Findings { scans, ..Findings::default() }, later).await.unwrap();
        assert!(kept.load().await.unwrap().scans.is_empty(), "too old");
    }
}
