//! A TAXII 2.1 server (OASIS Standard, 10 June 2021) as a function from request to response.
//!
//! [`respond`] knows paths, filters, paging, media types and errors; a [`Store`] knows objects and hides what a reader
//! must not see. Whoever serves HTTP mounts it: method, path, query, three headers and the body in; status, headers and
//! body out. Who the reader is has been decided before (interfaces 4.3: HTTP Basic or Bearer).
//!
//! Pages are cut by `(date added, sequence)`: a collection that grows while it is read neither repeats nor skips an
//! object, also when many were added in the same microsecond. `next` is the cursor, taken back as it was given; while it
//! is there, a moved `added_after` is ignored, as some clients send both.

mod query;
mod server;
pub mod sqlite;

pub use query::{Query, Versions};
pub use server::{CONTENT_MAX, MEDIA_TYPE, Request, Response, respond};
pub use sqlite::Sqlite;

use noroshi_model::Nanos;
use noroshi_model::tlp::Tlp;
use serde::Serialize;
use serde_json::Value;
use std::future::Future;

/// Who asks, and what they may do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reader {
    /// Name for provenance.
    pub name: String,
    /// Nothing stricter is shown.
    pub ceiling: Tlp,
    /// Collections that may be written to, by id.
    pub may_write: Vec<String>,
}

/// A collection.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Collection {
    /// UUID.
    pub id: String,
    /// Title.
    pub title: String,
    /// In words.
    pub description: String,
    /// Short name in paths.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alias: Option<String>,
}

/// One stored version of an object.
#[derive(Clone, PartialEq, Debug)]
pub struct Record {
    /// Ours; rises with every object taken in.
    pub sequence: i64,
    /// When it was taken in; at most six decimals are shown, so microseconds.
    pub added: Nanos,
    /// STIX id.
    pub id: String,
    /// `modified`, or `created`, or the time of taking in.
    pub version: String,
    /// The object as JSON, as it is stored and goes into pages.
    pub object: String,
}

/// A page.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Page {
    /// What is on it; fewer than asked for where they are large.
    pub records: Vec<Record>,
    /// Whether more follow.
    pub more: bool,
}

/// What became of one object that was pushed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pushed {
    /// STIX id, as far as it could be read.
    pub id: String,
    /// Version.
    pub version: String,
    /// Why it was refused; none when it was taken in or was there already.
    pub refused: Option<String>,
}

/// A push and what became of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Status {
    /// UUID.
    pub id: String,
    /// When it was asked for.
    pub requested: Nanos,
    /// Each object.
    pub objects: Vec<Pushed>,
}

/// The store says no.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database fails.
    #[error("the store fails: {0}")]
    Sql(#[from] sqlx::Error),
    /// What is stored does not read back.
    #[error("stored object cannot be read: {0}")]
    Stored(#[from] serde_json::Error),
}

/// Where objects are. Every reading call gets the reader and shows nothing above the ceiling.
pub trait Store: Send + Sync {
    /// All collections that the reader may know of.
    fn collections(&self, reader: &Reader) -> impl Future<Output = Result<Vec<Collection>, StoreError>> + Send;
    /// Objects of a collection.
    fn page(
        &self,
        reader: &Reader,
        collection: &str,
        query: &Query,
    ) -> impl Future<Output = Result<Page, StoreError>> + Send;
    /// Takes objects in; durable when it returns.
    fn push(
        &self,
        reader: &Reader,
        collection: &str,
        objects: &[Value],
        now: Nanos,
    ) -> impl Future<Output = Result<Status, StoreError>> + Send;
    /// An earlier push of this reader.
    fn status(&self, reader: &Reader, id: &str) -> impl Future<Output = Result<Option<Status>, StoreError>> + Send;
    /// Removes what matches; gives how many versions went.
    fn delete(
        &self,
        reader: &Reader,
        collection: &str,
        query: &Query,
    ) -> impl Future<Output = Result<u64, StoreError>> + Send;
}
