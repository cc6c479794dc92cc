//! Collections in SQLite.
//!
//! One row per version of an object. The label is worked out when an object is taken in and is part of every reading
//! query, so that no caller can forget it.

use super::query::{Query, Versions};
use super::{Collection, Page, Pushed, Reader, Record, Status, Store, StoreError};
use crate::safe;
use crate::stix::marking;
use futures::TryStreamExt;
use noroshi_model::Nanos;
use noroshi_model::tlp::Tlp;
use serde_json::Value;
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row, Sqlite as Database, SqlitePool};
use std::sync::Arc;
use tokio::sync::Mutex;

/// The label of an object without one: the organisation and its clients, until its sender says otherwise.
const UNMARKED: Tlp = Tlp::Amber;
/// A page ends once it holds so many bytes of objects, however many were asked for.
const PAGE_BYTES_MAX: usize = 16 << 20;
/// Rows written by one statement: some hundred save most of the way to the database and back.
const ROWS: usize = 128;

const SCHEMA: [&str; 5] = [
    "CREATE TABLE IF NOT EXISTS taxii_collections (
        id TEXT PRIMARY KEY, title TEXT NOT NULL, description TEXT NOT NULL, alias TEXT)",
    "CREATE TABLE IF NOT EXISTS taxii_objects (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT, collection TEXT NOT NULL, added INTEGER NOT NULL, id TEXT NOT NULL,
        version TEXT NOT NULL, kind TEXT NOT NULL, spec_version TEXT NOT NULL, tlp INTEGER NOT NULL,
        sender TEXT NOT NULL, object TEXT NOT NULL, UNIQUE (collection, id, version))",
    "CREATE INDEX IF NOT EXISTS taxii_order ON taxii_objects (collection, added, sequence)",
    "CREATE TABLE IF NOT EXISTS taxii_status (
        id TEXT PRIMARY KEY, sender TEXT NOT NULL, requested INTEGER NOT NULL, objects TEXT NOT NULL)",
    // The table's own index of (collection, id, version) serves; a second one doubled what a push writes.
    "DROP INDEX IF EXISTS taxii_versions",
];

/// Collections in a database.
#[derive(Clone, Debug)]
pub struct Sqlite {
    pool: SqlitePool,
    /// One push at a time: those who wait do so in turn, where SQLite would have them try again and again.
    writing: Arc<Mutex<()>>,
}

impl Sqlite {
    /// Collections in a database that may hold other tables.
    pub async fn on(pool: SqlitePool) -> Result<Self, StoreError> {
        for statement in SCHEMA {
            sqlx::query(statement).execute(&pool).await?;
        }
        Ok(Sqlite { pool, writing: Arc::default() })
    }

    /// Adds a collection; one of that id is renamed.
    pub async fn add_collection(&self, collection: &Collection) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO taxii_collections (id, title, description, alias) VALUES (?, ?, ?, ?)
             ON CONFLICT (id) DO UPDATE SET title = excluded.title, description = excluded.description,
             alias = excluded.alias",
        )
        .bind(&collection.id)
        .bind(&collection.title)
        .bind(&collection.description)
        .bind(&collection.alias)
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}

fn record(row: &SqliteRow) -> Record {
    Record { sequence: row.get(0), added: Nanos(row.get(1)), id: row.get(2), version: row.get(3), object: row.get(4) }
}

/// What is asked for, as conditions; the ceiling is always among them.
fn conditions(builder: &mut QueryBuilder<Database>, reader: &Reader, collection: &str, query: &Query) {
    builder.push(" WHERE collection = ").push_bind(collection.to_owned());
    builder.push(" AND tlp <= ").push_bind(reader.ceiling as i64);
    for (column, values) in [("id", &query.ids), ("kind", &query.types), ("spec_version", &query.spec_versions)] {
        if !values.is_empty() {
            builder.push(" AND ").push(column).push(" IN (");
            let mut list = builder.separated(", ");
            for value in values {
                list.push_bind(value.clone());
            }
            builder.push(")");
        }
    }
    // Most objects have one version: then the index alone says that there is no other.
    let none = |beyond: &'static str, builder: &mut QueryBuilder<Database>| {
        builder.push(" AND NOT EXISTS (SELECT 1 FROM taxii_objects v WHERE v.collection = taxii_objects.collection");
        builder.push(" AND v.id = taxii_objects.id AND v.version ").push(beyond).push(" taxii_objects.version");
        builder.push(" AND v.tlp <= ").push_bind(reader.ceiling as i64).push(")");
    };
    match &query.versions {
        Versions::All => {}
        Versions::Last => none(">", builder),
        Versions::First => none("<", builder),
        Versions::At(versions) => {
            builder.push(" AND version IN (");
            let mut list = builder.separated(", ");
            for version in versions {
                list.push_bind(version.clone());
            }
            builder.push(")");
        }
    }
    if let Some(after) = query.added_after {
        builder.push(" AND added > ").push_bind(after.0);
    }
}

/// Statement that reads a page, with one row more than asked for when there are more.
fn select(reader: &Reader, collection: &str, query: &Query) -> QueryBuilder<Database> {
    let columns = "SELECT sequence, added, id, version, object FROM taxii_objects";
    let mut builder = QueryBuilder::<Database>::new(columns);
    conditions(&mut builder, reader, collection, query);
    if let Some((added, sequence)) = query.after {
        // What is left of the date, then what is later: of `(added, sequence) > (?, ?)` SQLite uses the date alone and
        // walks over everything that was added at that date and read before.
        builder.push(" AND added = ").push_bind(added).push(" AND sequence > ").push_bind(sequence);
        builder.push(" UNION ALL ").push(columns);
        conditions(&mut builder, reader, collection, query);
        builder.push(" AND added > ").push_bind(added);
    }
    builder.push(" ORDER BY added, sequence LIMIT ").push_bind(i64::from(query.limit) + 1);
    builder
}

impl Store for Sqlite {
    async fn collections(&self, _: &Reader) -> Result<Vec<Collection>, StoreError> {
        let select = "SELECT id, title, description, alias FROM taxii_collections ORDER BY title, id";
        let rows = sqlx::query(select).fetch_all(&self.pool).await?;
        let collection = |row: &SqliteRow| Collection {
            id: row.get(0),
            title: row.get(1),
            description: row.get(2),
            alias: row.get(3),
        };
        Ok(rows.iter().map(collection).collect())
    }

    async fn page(&self, reader: &Reader, collection: &str, query: &Query) -> Result<Page, StoreError> {
        let mut builder = select(reader, collection, query);
        let (mut page, mut bytes) = (Page::default(), 0);
        let mut rows = builder.build().fetch(&self.pool);
        while let Some(row) = rows.try_next().await? {
            if page.records.len() == query.limit as usize || bytes >= PAGE_BYTES_MAX {
                page.more = true;
                break;
            }
            let record = record(&row);
            bytes += record.object.len();
            page.records.push(record);
        }
        Ok(page)
    }

    async fn push(
        &self,
        reader: &Reader,
        collection: &str,
        objects: &[Value],
        now: Nanos,
    ) -> Result<Status, StoreError> {
        let markings = Markings::of(objects);
        let mut pushed = Vec::with_capacity(objects.len());
        let mut taken = Vec::with_capacity(objects.len());
        for object in objects {
            pushed.push(match Incoming::of(object, &markings, now) {
                Ok(incoming) => {
                    let outcome = Pushed { id: incoming.id.clone(), version: incoming.version.clone(), refused: None };
                    // Written anew, not kept as it came: names stand once and the page that holds it is sound.
                    taken.push((incoming, object.to_string()));
                    outcome
                }
                Err((id, reason)) => Pushed { id, version: String::new(), refused: Some(reason) },
            });
        }
        let status = Status { id: crate::outbox::fresh_id(), requested: now, objects: pushed };
        let body: Vec<(&str, &str, Option<&str>)> =
            status.objects.iter().map(|o| (o.id.as_str(), o.version.as_str(), o.refused.as_deref())).collect();
        let body = serde_json::to_string(&body)?;
        let _turn = self.writing.lock().await;
        let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        // Dates never go back, whoever waited and whatever the clock does: a reader's cursor may stand at the last one.
        let last: Option<i64> = sqlx::query_scalar("SELECT max(added) FROM taxii_objects WHERE collection = ?")
            .bind(collection)
            .fetch_one(&mut *transaction)
            .await?;
        // The protocol's dates have microseconds.
        let added = last.unwrap_or(i64::MIN).max(now.0 - now.0.rem_euclid(1_000));
        for rows in taken.chunks(ROWS) {
            let mut builder = QueryBuilder::<Database>::new(
                "INSERT INTO taxii_objects (collection, added, id, version, kind, spec_version, tlp, sender, object) ",
            );
            builder.push_values(rows, |mut row, (incoming, object)| {
                row.push_bind(collection).push_bind(added).push_bind(&incoming.id).push_bind(&incoming.version);
                row.push_bind(&incoming.kind).push_bind(&incoming.spec_version).push_bind(incoming.tlp as i64);
                row.push_bind(&reader.name).push_bind(object);
            });
            builder.push(" ON CONFLICT (collection, id, version) DO NOTHING");
            // Only the statement for a full number of rows is worth keeping.
            builder.build().persistent(rows.len() == ROWS).execute(&mut *transaction).await?;
        }
        sqlx::query("INSERT INTO taxii_status (id, sender, requested, objects) VALUES (?, ?, ?, ?)")
            .bind(&status.id)
            .bind(&reader.name)
            .bind(now.0)
            .bind(body)
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(status)
    }

    async fn status(&self, reader: &Reader, id: &str) -> Result<Option<Status>, StoreError> {
        let row = sqlx::query("SELECT requested, objects FROM taxii_status WHERE id = ? AND sender = ?")
            .bind(id)
            .bind(&reader.name)
            .fetch_optional(&self.pool)
            .await?;
        let Some(row) = row else { return Ok(None) };
        let body: Vec<(String, String, Option<String>)> = serde_json::from_str(row.get(1))?;
        let objects = body.into_iter().map(|(id, version, refused)| Pushed { id, version, refused }).collect();
        Ok(Some(Status { id: id.to_owned(), requested: Nanos(row.get(0)), objects }))
    }

    async fn delete(&self, reader: &Reader, collection: &str, query: &Query) -> Result<u64, StoreError> {
        let mut builder = QueryBuilder::<Database>::new("DELETE FROM taxii_objects");
        conditions(&mut builder, reader, collection, query);
        // Only what a partner sent itself may it take back.
        builder.push(" AND sender = ").push_bind(reader.name.clone());
        Ok(builder.build().execute(&self.pool).await?.rows_affected())
    }
}

/// Labels of the marking definitions that came along.
struct Markings(Vec<(String, Tlp)>);

impl Markings {
    fn of(objects: &[Value]) -> Self {
        let definitions = objects.iter().filter(|o| o["type"] == "marking-definition");
        Markings(definitions.filter_map(|o| Some((o["id"].as_str()?.to_owned(), marking::read(o)?))).collect())
    }

    /// The strictest label on an object; a reference that cannot be read counts as red.
    fn label(&self, object: &Value) -> Tlp {
        if object["type"] == "marking-definition" {
            return Tlp::Clear;
        }
        let Some(refs) = object["object_marking_refs"].as_array().filter(|refs| !refs.is_empty()) else {
            return UNMARKED;
        };
        let known = |reference: &Value| {
            let id = reference.as_str()?;
            let published = id.strip_prefix("marking-definition--").and_then(marking::by_id);
            published.or_else(|| self.0.iter().find(|(known, _)| known == id).map(|(_, tlp)| *tlp))
        };
        // Version 1 says red where version 2 says amber+strict: the newer marking is the sender's own word.
        let labels: Vec<Option<Tlp>> = refs.iter().map(known).collect();
        if labels.contains(&Some(Tlp::AmberStrict)) && labels.iter().all(|l| *l >= Some(Tlp::AmberStrict)) {
            return Tlp::AmberStrict;
        }
        labels.into_iter().map(|label| label.unwrap_or(Tlp::Red)).max().unwrap_or(UNMARKED)
    }
}

/// What is needed of an object to take it in.
struct Incoming {
    id: String,
    version: String,
    kind: String,
    spec_version: String,
    tlp: Tlp,
}

impl Incoming {
    fn of(object: &Value, markings: &Markings, now: Nanos) -> Result<Self, (String, String)> {
        let text = |name: &str| object.get(name).and_then(Value::as_str).map(str::to_owned);
        let id = text("id").unwrap_or_default();
        let refuse = |reason: &str| Err((safe::line(&id), reason.to_owned()));
        let Some(kind) = text("type") else { return refuse("no property \"type\"") };
        if kind == "bundle" {
            return refuse("bundles are not used inside TAXII; push their objects");
        }
        let valid = id.strip_prefix(&format!("{kind}--")).is_some_and(|uuid| uuid::Uuid::try_parse(uuid).is_ok());
        if !valid {
            return refuse("\"id\" is not the type, two hyphens and a UUID");
        }
        let spec_version = text("spec_version").unwrap_or_else(|| "2.0".into());
        if spec_version != "2.1" && spec_version != "2.0" {
            return refuse("\"spec_version\" is neither 2.0 nor 2.1");
        }
        let version = match text("modified").or_else(|| text("created")) {
            Some(version) if version.parse::<Nanos>().is_ok() => version,
            Some(_) => return refuse("\"modified\" is not a time"),
            None => crate::stix::export::timestamp(Nanos(now.0)),
        };
        Ok(Incoming { version, kind, spec_version, tlp: markings.label(object), id })
    }
}
