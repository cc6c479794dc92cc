//! Keeping the lake small and quick: compaction, retention by bytes, removal of files that no version needs.
//!
//! Fresh files are many, small and in order of arrival. Compaction rewrites a partition's fresh files into one that is
//! sorted by the table's order, which makes it smaller and lets questions about one port skip the rest; rows of
//! roll-ups with equal keys become one. Readers keep what they have opened until the grace time is over.

use super::spec::Feed;
use super::table::LiveFile;
use super::types::NO_HOUR;
use super::{Lake, LakeError, LakeTable};
use crate::query::Limits;
use crate::rollup::Span;
use arrow::array::RecordBatch;
use arrow::compute::cast;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use deltalake::DeltaTableError;
use deltalake::protocol::DeltaOperation;
use futures::{StreamExt, TryStreamExt};
use noroshi_model::Nanos;
use object_store::ObjectStoreExt;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// When and how to compact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compaction {
    /// Fresh files a partition must have; fewer are left for later, so that a row is not rewritten again and again.
    pub fresh_files: usize,
    /// A file of at least this many bytes counts as compacted already.
    pub target_bytes: u64,
    /// Bytes of memory for sorting; more spills to disk.
    pub memory: usize,
}

impl Default for Compaction {
    /// Eight files, 128 MiB, 512 MiB of memory.
    fn default() -> Self {
        Compaction { fresh_files: 8, target_bytes: 128 << 20, memory: 512 << 20 }
    }
}

/// What was rewritten in one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compacted {
    /// Table.
    pub table: &'static str,
    /// Partition.
    pub partition: String,
    /// Files before and after.
    pub files: (usize, usize),
    /// Bytes before and after.
    pub bytes: (u64, u64),
}

/// What retention gave up in one table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Freed {
    /// Table.
    pub table: &'static str,
    /// Partitions given up, oldest first.
    pub partitions: Vec<String>,
    /// Rows in them.
    pub rows: u64,
    /// Bytes in them.
    pub bytes: u64,
}

impl Lake {
    /// Compacts every partition that has enough fresh files. A partition that changes meanwhile is left as it is.
    pub async fn compact(&self, settings: Compaction) -> Result<Vec<Compacted>, LakeError> {
        let mut done = Vec::new();
        for table in &self.shared.tables {
            let mut partitions = BTreeMap::<String, Vec<LiveFile>>::new();
            for file in table.files().await? {
                if file.size < settings.target_bytes {
                    partitions.entry(file.partition.clone()).or_default().push(file);
                }
            }
            for (partition, files) in partitions {
                let files = worth_rewriting(files);
                if files.len() >= settings.fresh_files.max(2) {
                    done.extend(self.compact_partition(table, partition, files, settings).await?);
                }
            }
        }
        Ok(done)
    }

    pub(super) async fn compact_partition(
        &self,
        table: &LakeTable,
        partition: String,
        files: Vec<LiveFile>,
        settings: Compaction,
    ) -> Result<Option<Compacted>, LakeError> {
        let fail = |reason: String| LakeError::Rewrite { table: table.spec.name, reason };
        let limits = Limits { memory: settings.memory, ..Limits::default() };
        let context = self.context(limits).map_err(|error| fail(error.to_string()))?;
        let snapshot = table.snapshot().await?;
        let engine = |error: datafusion::error::DataFusionError| fail(error.to_string());
        let provider = snapshot.table_provider().with_file_paths(files.iter().map(|file| file.path.clone()));
        let provider = provider.await.map_err(engine)?;
        snapshot.update_datafusion_session(&context.state()).map_err(|error| fail(error.to_string()))?;
        context.register_table("fresh", provider).map_err(engine)?;
        let stream = context.sql(&rewrite_sql(table)).await.map_err(engine)?.execute_stream().await.map_err(engine)?;
        let name = table.spec.name;
        let mut after = 0;
        let rows = stream.map(|batch| {
            let batch = conform(&batch.map_err(engine)?, &table.spec.schema);
            let batch = batch.map_err(|source| LakeError::Rows { table: name, source })?;
            after += batch.num_rows() as u64;
            Ok(batch)
        });
        // What is written is no part of the table before the commit below.
        let adds = table.write_aside(rows, 3).await?;
        let same_rows = !matches!(table.spec.feed, Feed::Rollup(..));
        let before = files.iter().map(|file| file.rows).sum::<u64>();
        if same_rows && before != after {
            return Err(fail(format!("partition {partition} has {before} rows and {after} were read")));
        }
        let compacted = Compacted {
            table: table.spec.name,
            partition,
            files: (files.len(), adds.len()),
            bytes: (bytes(&files), adds.iter().map(|add| add.size as u64).sum()),
        };
        let operation = DeltaOperation::Optimize { predicate: None, target_size: settings.target_bytes as i64 };
        // Roll-ups too: equal keys become one row, and every sum over them stays.
        Ok(table.replace(&files, adds, true, operation).await?.then_some(compacted))
    }

    /// Gives up the oldest partitions of each table that is over its budget in bytes, never the newest one. A table
    /// without a budget here has the one of its declaration.
    pub async fn retain(&self, budgets: &HashMap<String, u64>) -> Result<Vec<Freed>, LakeError> {
        let mut freed = Vec::new();
        for table in &self.shared.tables {
            let budget = budgets.get(table.spec.name).copied().or(table.spec.keep_bytes);
            if let (Some(budget), false) = (budget, matches!(table.spec.feed, Feed::Gaps)) {
                freed.extend(retain_table(table, budget).await?);
            }
        }
        Ok(freed)
    }

    /// Deletes files that left their table at least `grace` ago, and files of commits that never came to be. Returns
    /// the bytes freed.
    pub async fn vacuum(&self, grace: Duration, now: Nanos) -> Result<u64, LakeError> {
        let mut freed = 0;
        for table in &self.shared.tables {
            freed += vacuum_table(table, grace, now).await?;
        }
        Ok(freed)
    }
}

pub(super) fn bytes(files: &[LiveFile]) -> u64 {
    files.iter().map(|file| file.size).sum()
}

/// Without the files that are larger than all smaller ones together: those wait until the others have caught up, so that a
/// row is written again a number of times that grows with the logarithm of the partition, not with its age.
fn worth_rewriting(mut files: Vec<LiveFile>) -> Vec<LiveFile> {
    files.sort_by_key(|file| file.size);
    while files.split_last().is_some_and(|(largest, others)| largest.size > bytes(others)) {
        files.pop();
    }
    files
}

/// How the fresh rows become the compacted ones: sorted, and for roll-ups added up. Minutes lie hour by hour and in each key
/// by key, so that a question about one port reads a page of each hour, and one about an hour that hour's.
fn rewrite_sql(table: &LakeTable) -> String {
    let names: Vec<String> = table.spec.schema.fields().iter().map(|field| format!("\"{}\"", field.name())).collect();
    let Feed::Rollup(grouping, span) = table.spec.feed else {
        return format!("select {} from fresh order by {}", names.join(", "), table.spec.order);
    };
    let set = format!("\"{}\"", grouping.set());
    let columns = names.iter().map(|name| match name.as_str() {
        "\"packets\"" | "\"bytes\"" => format!("sum({name}) {name}"),
        "\"destinations\"" => format!("sketch_merge({name}) {name}"),
        _ if *name == set => format!("sketch_merge({name}) {name}"),
        _ => name.clone(),
    });
    let columns: Vec<String> = columns.collect();
    let keys = grouping.key_fields().iter().map(|field| format!("\"{}\"", field.name())).collect::<Vec<_>>().join(", ");
    let (time, partition) = (span.word(), grouping.filed(span).partition());
    let order = match span {
        Span::Minute => format!("date_trunc('hour', \"{time}\"), {keys}, \"{time}\""),
        Span::Hour | Span::Day => format!("\"{time}\", {keys}"),
    };
    format!(
        "select {} from fresh group by \"{time}\", {keys}, sensor, \"{partition}\" order by {order}, sensor",
        columns.join(", ")
    )
}

/// The engine reads texts and bytes in other layouts than the table declares.
pub(super) fn conform(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let arrays = schema
        .fields()
        .iter()
        .map(|field| {
            let array = batch
                .column_by_name(field.name())
                .ok_or_else(|| ArrowError::SchemaError(format!("column {} is missing", field.name())))?;
            cast(array, field.data_type())
        })
        .collect::<Result<Vec<_>, _>>()?;
    RecordBatch::try_new(schema.clone(), arrays)
}

async fn retain_table(table: &LakeTable, budget: u64) -> Result<Option<Freed>, LakeError> {
    let files = table.files().await?;
    let mut total = bytes(&files);
    let mut partitions = BTreeMap::<(bool, String), Vec<LiveFile>>::new();
    for file in files {
        // Rows without a time have no age: they go last.
        partitions.entry((file.partition == NO_HOUR, file.partition.clone())).or_default().push(file);
    }
    let mut freed = Freed { table: table.spec.name, partitions: Vec::new(), rows: 0, bytes: 0 };
    let mut victims = Vec::new();
    let newest = partitions.len().saturating_sub(1);
    for ((_, partition), files) in partitions.into_iter().take(newest) {
        if total <= budget {
            break;
        }
        total -= bytes(&files);
        freed.bytes += bytes(&files);
        freed.rows += files.iter().map(|file| file.rows).sum::<u64>();
        freed.partitions.push(partition);
        victims.extend(files);
    }
    if victims.is_empty() {
        return Ok(None);
    }
    let operation = DeltaOperation::Delete { predicate: None };
    Ok(table.replace(&victims, Vec::new(), false, operation).await?.then_some(freed))
}

async fn vacuum_table(table: &LakeTable, grace: Duration, now: Nanos) -> Result<u64, LakeError> {
    let snapshot = table.snapshot().await?;
    let fail = super::table::failed(table.spec.name, "read the log of");
    let state = snapshot.snapshot().map_err(fail)?;
    let store = snapshot.log_store();
    let mut removed = HashMap::new();
    let mut tombstones = state.all_tombstones(&*store);
    while let Some(tombstone) = tombstones.try_next().await.map_err(fail)? {
        // Milliseconds since 1970, by the protocol.
        removed.insert(tombstone.path().to_string(), tombstone.deletion_timestamp().unwrap_or(0));
    }
    let live: HashSet<String> = table.files().await?.into_iter().map(|file| file.path).collect();
    let grace_ms = i64::try_from(grace.as_millis()).unwrap_or(i64::MAX);
    let now_ms = now.0.div_euclid(1_000_000);
    // A file that no version ever named may belong to a commit under way: an hour is ample for one.
    let since = move |name: &str, modified: i64| {
        removed.get(name).map_or((modified, grace_ms.max(3_600_000)), |at: &i64| (*at, grace_ms))
    };
    if table.remote {
        return vacuum_store(table, &live, now_ms, since).await;
    }
    let root = table.root.clone();
    let work = tokio::task::spawn_blocking(move || {
        let mut freed = 0;
        for (name, path) in parquet_files(&root)? {
            if live.contains(&name) {
                continue;
            }
            let io = |source| LakeError::Io { path: path.clone(), source };
            let about = match std::fs::metadata(&path) {
                Ok(about) => about,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => return Err(io(error)),
            };
            let (left, wait) = since(&name, modified_ms(&about));
            if now_ms.saturating_sub(left) >= wait {
                std::fs::remove_file(&path).map_err(io)?;
                freed += about.len();
            }
        }
        Ok(freed)
    });
    work.await.expect("removing files does not panic")
}

/// The same on a store.
async fn vacuum_store(
    table: &LakeTable,
    live: &HashSet<String>,
    now_ms: i64,
    since: impl Fn(&str, i64) -> (i64, i64),
) -> Result<u64, LakeError> {
    let objects = table.objects().await;
    let fail = |source| super::table::failed(table.spec.name, "clear")(DeltaTableError::ObjectStore { source });
    let mut freed = 0;
    let mut found = objects.list(None);
    while let Some(object) = found.try_next().await.map_err(fail)? {
        let name = object.location.to_string();
        // The log and what fsck has set aside begin with an underscore, as the format wants.
        if live.contains(&name) || name.starts_with('_') || !name.ends_with(".parquet") {
            continue;
        }
        let (left, wait) = since(&name, object.last_modified.timestamp_millis());
        if now_ms.saturating_sub(left) >= wait {
            objects.delete(&object.location).await.map_err(fail)?;
            freed += object.size;
        }
    }
    Ok(freed)
}

fn modified_ms(about: &std::fs::Metadata) -> i64 {
    let since = about.modified().ok().and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
    since.map_or(i64::MAX, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// Parquet files of a table: name relative to it, and path.
fn parquet_files(root: &Path) -> Result<Vec<(String, PathBuf)>, LakeError> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        let io = |source| LakeError::Io { path: folder.clone(), source };
        for entry in std::fs::read_dir(&folder).map_err(io)? {
            let path = entry.map_err(io)?.path();
            if path.is_dir() {
                if path.file_name().is_none_or(|name| name != "_delta_log") {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|extension| extension == "parquet")
                && let Ok(name) = path.strip_prefix(root)
            {
                found.push((name.to_string_lossy().into_owned(), path));
            }
        }
    }
    Ok(found)
}
