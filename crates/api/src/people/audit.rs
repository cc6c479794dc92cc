//! Who did what: entries chained by hash, so that a change, a removal or a swap shows.

use super::records::{Records, RecordsError, Table};
use super::secret;
use noroshi_model::Nanos;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tokio::sync::Mutex;
use utoipa::ToSchema;

/// One entry.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct AuditEntry {
    /// Number, counted from 1 without gaps.
    pub number: u64,
    /// When.
    #[schema(value_type = String)]
    pub at: Nanos,
    /// Account that acted, or where the request came from.
    pub who: String,
    /// What was done.
    pub action: String,
    /// To what.
    pub object: String,
    /// Hash of the entry before.
    pub previous: String,
    /// Hash over all of the above.
    pub hash: String,
}

impl AuditEntry {
    fn expected_hash(&self) -> String {
        // Lengths stand before texts, so that no two entries read the same.
        let text = [&self.who, &self.action, &self.object, &self.previous]
            .iter()
            .fold(format!("{}|{}", self.number, self.at), |sum, part| format!("{sum}|{}:{part}", part.len()));
        secret::hash(&text)
    }
}

/// The log. An action whose entry cannot be written must not happen.
pub struct Audit {
    records: Arc<dyn Records>,
    last: Mutex<Option<(u64, String)>>,
}

impl Audit {
    /// The log in these records.
    pub fn new(records: Arc<dyn Records>) -> Self {
        Audit { records, last: Mutex::new(None) }
    }

    /// Appends an entry.
    pub async fn append(&self, at: Nanos, who: &str, action: &str, object: &str) -> Result<(), RecordsError> {
        let mut last = self.last.lock().await;
        let (number, previous) = match last.clone() {
            Some(known) => known,
            None => self.entries().await?.pop().map_or((0, String::new()), |entry| (entry.number, entry.hash)),
        };
        let mut entry = AuditEntry {
            number: number + 1,
            at,
            who: who.to_owned(),
            action: action.to_owned(),
            object: object.chars().take(200).collect(),
            previous,
            hash: String::new(),
        };
        entry.hash = entry.expected_hash();
        let json = serde_json::to_vec(&entry).map_err(|error| RecordsError(error.to_string()))?;
        if !self.records.insert(Table::Audit, &format!("{:020}", entry.number), json).await? {
            *last = None;
            return Err(RecordsError("another program appends to the same audit log".into()));
        }
        *last = Some((entry.number, entry.hash));
        Ok(())
    }

    /// All entries, oldest first.
    pub async fn entries(&self) -> Result<Vec<AuditEntry>, RecordsError> {
        let rows = self.records.list(Table::Audit).await?;
        rows.iter()
            .map(|(key, json)| {
                serde_json::from_slice(json).map_err(|error| RecordsError(format!("audit entry {key}: {error}")))
            })
            .collect()
    }
}

/// Number of the first entry that does not fit the chain.
pub fn first_broken(entries: &[AuditEntry]) -> Option<u64> {
    let mut previous = String::new();
    for (index, entry) in entries.iter().enumerate() {
        let number = index as u64 + 1;
        if entry.number != number || entry.previous != previous || entry.hash != entry.expected_hash() {
            return Some(number);
        }
        previous.clone_from(&entry.hash);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::records::MemoryRecords;
    use super::*;

    #[tokio::test]
    async fn every_change_shows() {
        let audit = Audit::new(Arc::new(MemoryRecords::default()));
        for n in 0..6 {
            audit.append(Nanos::from_seconds(n), "ann", "login", "portal").await.unwrap();
        }
        let entries = audit.entries().await.unwrap();
        assert_eq!(first_broken(&entries), None);
        for n in 0..5 {
            let mut edited = entries.clone();
            edited[n].who = "bob".into();
            assert!(first_broken(&edited).is_some(), "edit {n}");
            let mut removed = entries.clone();
            removed.remove(n);
            assert!(first_broken(&removed).is_some(), "removal {n}");
            let mut swapped = entries.clone();
            swapped.swap(n, n + 1);
            assert!(first_broken(&swapped).is_some(), "swap {n}");
        }
    }
}
