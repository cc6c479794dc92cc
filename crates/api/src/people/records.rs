//! Where people, sessions, tokens and the audit log are kept: small records by table and key.
//!
//! The seam is this narrow so that every store gives the same two guarantees: `insert` never overwrites, and of many
//! callers of `take` exactly one gets the record.

use async_trait::async_trait;
use std::collections::BTreeMap;
use std::sync::Mutex;

/// A record could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("the records of people are unavailable: {0}")]
pub struct RecordsError(pub String);

/// A table of small records.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Table {
    /// Accounts by name.
    Accounts,
    /// One-time links by hash.
    Links,
    /// Sessions by hash.
    Sessions,
    /// API tokens by hash.
    Tokens,
    /// Audit entries by number.
    Audit,
}

impl Table {
    /// Name in a database.
    pub const fn name(self) -> &'static str {
        match self {
            Table::Accounts => "accounts",
            Table::Links => "links",
            Table::Sessions => "sessions",
            Table::Tokens => "tokens",
            Table::Audit => "audit",
        }
    }
}

/// A store of small records. Writes are durable when the call returns.
#[async_trait]
pub trait Records: Send + Sync + 'static {
    /// The record, when it is there.
    async fn get(&self, table: Table, key: &str) -> Result<Option<Vec<u8>>, RecordsError>;
    /// Writes a record that is not there yet; false when it is.
    async fn insert(&self, table: Table, key: &str, value: Vec<u8>) -> Result<bool, RecordsError>;
    /// Writes a record, there or not.
    async fn put(&self, table: Table, key: &str, value: Vec<u8>) -> Result<(), RecordsError>;
    /// Removes a record and returns it; one caller gets it.
    async fn take(&self, table: Table, key: &str) -> Result<Option<Vec<u8>>, RecordsError>;
    /// All records of a table by key.
    async fn list(&self, table: Table) -> Result<Vec<(String, Vec<u8>)>, RecordsError>;
    /// Number of records of a table.
    async fn count(&self, table: Table) -> Result<u64, RecordsError> {
        Ok(self.list(table).await?.len() as u64)
    }
}

/// Records that last as long as the process.
#[derive(Default)]
pub struct MemoryRecords(Mutex<BTreeMap<(Table, String), Vec<u8>>>);

impl MemoryRecords {
    fn with<T>(&self, act: impl FnOnce(&mut BTreeMap<(Table, String), Vec<u8>>) -> T) -> Result<T, RecordsError> {
        Ok(act(&mut self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())))
    }
}

#[async_trait]
impl Records for MemoryRecords {
    async fn get(&self, table: Table, key: &str) -> Result<Option<Vec<u8>>, RecordsError> {
        self.with(|all| all.get(&(table, key.to_owned())).cloned())
    }

    async fn insert(&self, table: Table, key: &str, value: Vec<u8>) -> Result<bool, RecordsError> {
        self.with(|all| match all.entry((table, key.to_owned())) {
            std::collections::btree_map::Entry::Occupied(_) => false,
            std::collections::btree_map::Entry::Vacant(free) => {
                free.insert(value);
                true
            }
        })
    }

    async fn put(&self, table: Table, key: &str, value: Vec<u8>) -> Result<(), RecordsError> {
        self.with(|all| drop(all.insert((table, key.to_owned()), value)))
    }

    async fn take(&self, table: Table, key: &str) -> Result<Option<Vec<u8>>, RecordsError> {
        self.with(|all| all.remove(&(table, key.to_owned())))
    }

    async fn list(&self, table: Table) -> Result<Vec<(String, Vec<u8>)>, RecordsError> {
        self.with(|all| {
            all.iter().filter(|((t, _), _)| *t == table).map(|((_, key), value)| (key.clone(), value.clone())).collect()
        })
    }
}
