//! What a running hub does for its lake every minute, and what it does when the disk is full.
//!
//! When a commit finds no space, the oldest hour of all observations is given up and its files are deleted at once, the
//! grace of readers notwithstanding; the newest hour of a table is never given up. Deleting needs a commit, which needs
//! a little space itself: a ballast file in the lake is given up for it and made again.

use super::maintain::bytes;
use super::spec::Feed;
use super::table::LiveFile;
use super::types::NO_HOUR;
use super::{Compacted, Compaction, Freed, Lake, LakeError, LakeTable};
use deltalake::protocol::DeltaOperation;
use noroshi_model::Nanos;
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::time::Duration;

/// Space kept back so that giving up an hour works on a full disk: a commit that removes thousands of files fits, and
/// making it again eats little of what was freed.
const BALLAST_BYTES: usize = 256 << 10;

/// How a lake is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keeping {
    /// When and how to compact.
    pub compaction: Compaction,
    /// Bytes per table, where they differ from the table's declaration.
    pub budgets: HashMap<String, u64>,
    /// How long files that left their table stay for readers that have them open.
    pub grace: Duration,
}

impl Default for Keeping {
    /// Declared budgets, ten minutes of grace.
    fn default() -> Self {
        Keeping { compaction: Compaction::default(), budgets: HashMap::new(), grace: Duration::from_secs(600) }
    }
}

/// What one round did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// Partitions rewritten.
    pub compacted: Vec<Compacted>,
    /// Hours given up.
    pub freed: Vec<Freed>,
    /// Bytes of files that no version needs any more.
    pub vacuumed: u64,
}

impl Lake {
    /// One round: compaction, retention, removal of what nobody needs.
    pub async fn keep(&self, keeping: &Keeping, now: Nanos) -> Result<Kept, LakeError> {
        self.inflate_ballast();
        Ok(Kept {
            compacted: self.compact(keeping.compaction).await?,
            freed: self.retain(&keeping.budgets).await?,
            vacuumed: self.vacuum(keeping.grace, now).await?,
        })
    }

    /// Gives up the oldest hour among all tables of observations and deletes its files; `None` when every table is down
    /// to its newest.
    pub async fn make_room(&self) -> Result<Option<Freed>, LakeError> {
        let mut oldest: Option<(String, &LakeTable, Vec<LiveFile>)> = None;
        for table in &self.shared.tables {
            // A store has no disk that is full.
            if table.remote || !matches!(table.spec.feed, Feed::Base(_)) {
                continue;
            }
            let mut partitions = BTreeMap::<String, Vec<LiveFile>>::new();
            for file in table.files().await?.into_iter().filter(|file| file.partition != NO_HOUR) {
                partitions.entry(file.partition.clone()).or_default().push(file);
            }
            let first = (partitions.len() > 1).then(|| partitions.pop_first()).flatten();
            if let Some((hour, files)) = first
                && oldest.as_ref().is_none_or(|(known, _, known_files)| {
                    hour < *known || (hour == *known && bytes(&files) > bytes(known_files))
                })
            {
                oldest = Some((hour, table, files));
            }
        }
        let Some((hour, table, files)) = oldest else { return Ok(None) };
        drop(std::fs::remove_file(self.ballast()));
        let operation = DeltaOperation::Delete { predicate: None };
        if !table.replace(&files, Vec::new(), false, operation).await? {
            return Ok(None);
        }
        for file in &files {
            drop(std::fs::remove_file(table.root.join(&file.path)));
        }
        self.inflate_ballast();
        let rows = files.iter().map(|file| file.rows).sum();
        Ok(Some(Freed { table: table.spec.name, partitions: vec![hour], rows, bytes: bytes(&files) }))
    }

    /// The same, with what happened in the log.
    pub(super) async fn make_room_and_tell(&self) {
        match self.make_room().await {
            Ok(Some(freed)) => tracing::warn!(
                table = freed.table,
                hour = freed.partitions[0],
                rows = freed.rows,
                bytes = freed.bytes,
                "the disk is full: the oldest hour was given up"
            ),
            Ok(None) => {
                tracing::error!("the disk is full and only the newest hours are left: make room beside the lake")
            }
            Err(error) => tracing::error!(%error, "the disk is full and no hour can be given up"),
        }
    }

    fn ballast(&self) -> PathBuf {
        self.shared.dir.join("ballast")
    }

    /// Makes the ballast when there is room for it.
    pub(super) fn inflate_ballast(&self) {
        let path = self.ballast();
        if super::remote::is_remote(self.dir()) {
            return;
        }
        if std::fs::metadata(&path).is_ok_and(|about| about.len() == BALLAST_BYTES as u64) {
            return;
        }
        if std::fs::write(&path, vec![0; BALLAST_BYTES]).is_err() {
            drop(std::fs::remove_file(path));
        }
    }
}
