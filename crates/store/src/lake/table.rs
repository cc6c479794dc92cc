//! One table of the lake: made, appended to, synced, read.
//!
//! An append is one commit that holds the rows and, as Delta application transaction, how far the table has come in
//! the journal. Data files are synced before the commit names them, the commit before the journal forgets its rows.

use super::order::ordered;
use super::spec::Feed;
use super::{LakeError, TableSpec, remote};
use arrow::array::{Array, AsArray, RecordBatch};
use deltalake::kernel::engine::arrow_conversion::TryIntoKernel;
use deltalake::kernel::transaction::CommitBuilder;
use deltalake::kernel::transaction::{CommitProperties, TransactionError};
use deltalake::kernel::{Action, Add, Remove, StructType, Transaction};
use deltalake::parquet::basic::{Compression, Encoding, ZstdLevel};
use deltalake::parquet::file::properties::{WriterProperties, WriterVersion};
use deltalake::parquet::schema::types::ColumnPath;
use deltalake::protocol::{DeltaOperation, SaveMode};
use deltalake::writer::{DeltaWriter, RecordBatchWriter, WriteMode};
use deltalake::{DeltaTable, DeltaTableBuilder, DeltaTableError};
use futures::stream::{self, Stream, StreamExt};
use object_store::ObjectStore;
use std::collections::HashSet;
use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use tokio::sync::Mutex;

/// Rows of a Parquet row group: the unit that two cores share and that min/max statistics skip.
const ROW_GROUP: usize = 1 << 20;
/// The same for roll-ups, of which a day may be no more rows than this and is asked as a whole.
const ROLLUP_ROW_GROUP: usize = 1 << 16;

/// Rows of a page of a roll-up: what a question about a few keys skips within a row group.
const ROLLUP_PAGE: usize = 1 << 12;

/// Runs of rows of one partition in a batch; with more the rows are not in order.
const RUNS: usize = 128;

/// Tries of an append against other processes.
const APPEND_TRIES: usize = 16;

/// Whether another process committed something that stands against ours.
fn is_conflict(error: &LakeError) -> bool {
    matches!(error, LakeError::Delta { source, .. } if matches!(&**source, DeltaTableError::Transaction {
        source: TransactionError::CommitConflict(_) | TransactionError::MaxCommitAttempts(_)
    }))
}

pub(crate) struct LakeTable {
    pub spec: TableSpec,
    /// Its folder; on a store, the name that stands for it.
    pub root: PathBuf,
    /// Whether it lies on a store, where nothing is synced and no file has a path.
    pub remote: bool,
    delta: Mutex<DeltaTable>,
}

impl LakeTable {
    /// Opens the table to write, making it when the folder holds none.
    pub async fn open(lake: &Path, spec: TableSpec) -> Result<LakeTable, LakeError> {
        let table = Self::to_read(lake, spec)?;
        if !table.remote {
            let root = &table.root;
            std::fs::create_dir_all(root).map_err(|source| LakeError::Io { path: root.clone(), source })?;
            repair_torn_log(root)?;
        }
        let fail = failed(table.spec.name, "open");
        {
            let mut delta = table.delta.lock().await;
            match delta.load().await {
                Ok(()) => {}
                Err(DeltaTableError::NotATable(_)) => *delta = create(&delta, &table.spec).await.map_err(fail)?,
                Err(error) => return Err(fail(error)),
            }
        }
        Ok(table)
    }

    /// Opens the table to read; nothing is touched before it is asked for.
    pub fn to_read(lake: &Path, spec: TableSpec) -> Result<LakeTable, LakeError> {
        let root = lake.join(spec.name);
        let fail = failed(spec.name, "open");
        let remote = remote::is_remote(lake);
        let url = match remote {
            true => remote::table_url(&root),
            false => deltalake::ensure_table_uri(root.to_string_lossy()),
        };
        let url = url.map_err(fail)?;
        let delta = DeltaTableBuilder::from_url(url).and_then(|builder| builder.build()).map_err(fail)?;
        Ok(LakeTable { spec, root, remote, delta: Mutex::new(delta) })
    }

    /// The newest version, for reading. Later commits do not disturb who holds it.
    pub async fn snapshot(&self) -> Result<DeltaTable, LakeError> {
        let mut delta = self.delta.lock().await;
        let fail = failed(self.spec.name, "read the log of");
        if let Some(version) = delta.version() {
            if self.remote || self.is_committed(version + 1) {
                delta.update_state().await.map_err(fail)?;
            }
        } else {
            delta.load().await.map_err(fail)?;
        }
        Ok(delta.clone())
    }

    /// Whether the log has that version: versions follow one another, so without the next one there is none newer.
    fn is_committed(&self, version: u64) -> bool {
        self.root.join(format!("_delta_log/{version:020}.json")).exists()
    }

    /// How far the table has come in the journal `app`.
    pub async fn position(&self, app: &str) -> Result<i64, LakeError> {
        let delta = self.snapshot().await?;
        let state = delta.snapshot().map_err(failed(self.spec.name, "read"))?;
        let found = state
            .transaction_version(&*delta.log_store(), app)
            .await
            .map_err(failed(self.spec.name, "read the position of"))?;
        Ok(found.unwrap_or(0))
    }

    /// The newest version whose position in the journal `app` is at most `row`, and its files relative to the table:
    /// data, and the log up to it. `None` when there is no table.
    pub async fn files_up_to(&self, app: Option<&str>, row: i64) -> Result<Option<(u64, Vec<String>)>, LakeError> {
        let fail = failed(self.spec.name, "read the log of");
        let log = self.root.join("_delta_log");
        if !log.is_dir() {
            return Ok(None);
        }
        let mut delta = self.snapshot().await?;
        loop {
            let state = delta.snapshot().map_err(fail)?;
            let position = match app {
                Some(app) => state.transaction_version(&*delta.log_store(), app).await.map_err(fail)?.unwrap_or(0),
                None => 0,
            };
            let version = delta.version().unwrap_or_default();
            if position <= row || version == 0 {
                break;
            }
            delta.load_version(version - 1).await.map_err(fail)?;
        }
        let version = delta.version().unwrap_or_default();
        let mut files: Vec<String> = live_files(&delta, self.spec.name)?.into_iter().map(|file| file.path).collect();
        let io = |source| LakeError::Io { path: log.clone(), source };
        for entry in std::fs::read_dir(&log).map_err(io)? {
            let name = entry.map_err(io)?.file_name().to_string_lossy().into_owned();
            // Commits and checkpoints begin with their version; the hint at the last checkpoint may be ahead and is not
            // needed.
            let of = name.get(..20).and_then(|digits| digits.parse::<u64>().ok());
            if of.is_some_and(|of| of <= version as u64) && !name.ends_with(".torn") {
                files.push(format!("_delta_log/{name}"));
            }
        }
        Ok(Some((version as u64, files)))
    }

    /// Appends the rows and moves the position to `row`, both or neither; returns once synced.
    pub async fn append(&self, batches: Vec<RecordBatch>, app: &str, row: i64) -> Result<(), LakeError> {
        let mut delta = self.delta.lock().await;
        delta.update_state().await.map_err(failed(self.spec.name, "append to"))?;
        let rows = |source| LakeError::Rows { table: self.spec.name, source };
        let adds = match self.spec.name {
            "packets" => {
                let ordered = ordered(batches).map(|batch| batch.map_err(rows));
                self.write_files(&delta, stream::iter(ordered), 1).await?
            }
            _ => self.write_files(&delta, stream::iter(batches.into_iter().map(Ok)), 1).await?,
        };
        self.sync(&adds).await?;
        let operation = DeltaOperation::Write {
            mode: SaveMode::Append,
            partition_by: Some(vec![self.spec.partition.to_owned()]),
            predicate: None,
        };
        // The library settles races between appends by itself; that another process removed files meanwhile (retention)
        // does not concern rows that are only added, so they are committed on what is there now.
        let actions: Vec<Action> = adds.into_iter().map(Action::Add).collect();
        for _ in 1..APPEND_TRIES {
            let properties = CommitProperties::default().with_application_transaction(Transaction::new(app, row));
            match self.commit(&mut delta, actions.clone(), properties, operation.clone()).await {
                Err(error) if is_conflict(&error) => {
                    delta.update_state().await.map_err(failed(self.spec.name, "append to"))?;
                }
                done => return done,
            }
        }
        let properties = CommitProperties::default().with_application_transaction(Transaction::new(app, row));
        self.commit(&mut delta, actions, properties, operation).await
    }

    /// Replaces files by others, unless one of them is no longer live, or another process was quicker: then nothing is
    /// done and `false` comes back.
    pub async fn replace(
        &self,
        old: &[LiveFile],
        new: Vec<Add>,
        same_content: bool,
        operation: DeltaOperation,
    ) -> Result<bool, LakeError> {
        let mut delta = self.delta.lock().await;
        delta.update_state().await.map_err(failed(self.spec.name, "read the log of"))?;
        let live: HashSet<String> = live_files(&delta, self.spec.name)?.into_iter().map(|file| file.path).collect();
        if !old.iter().all(|file| live.contains(&file.path)) {
            return Ok(false);
        }
        self.sync(&new).await?;
        let removed =
            old.iter().map(|file| Action::Remove(Remove { data_change: !same_content, ..file.remove.clone() }));
        let added = new.into_iter().map(|add| Action::Add(Add { data_change: !same_content, ..add }));
        match self.commit(&mut delta, removed.chain(added).collect(), CommitProperties::default(), operation).await {
            Ok(()) => Ok(true),
            Err(error) if is_conflict(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn commit(
        &self,
        delta: &mut DeltaTable,
        actions: Vec<Action>,
        properties: CommitProperties,
        operation: DeltaOperation,
    ) -> Result<(), LakeError> {
        let fail = failed(self.spec.name, "commit to");
        let committed = CommitBuilder::from(properties)
            .with_actions(actions)
            .build(Some(delta.snapshot().map_err(fail)?), delta.log_store(), operation)
            .await
            .map_err(fail)?;
        let version = committed.version();
        delta.update_state().await.map_err(fail)?;
        if self.remote {
            return Ok(());
        }
        let log = self.root.join("_delta_log");
        blocking(move || sync_files(&log, &[log.join(format!("{version:020}.json"))])).await
    }

    /// Syncs files that a commit is about to name.
    async fn sync(&self, files: &[Add]) -> Result<(), LakeError> {
        if self.remote {
            return Ok(());
        }
        let paths: Vec<PathBuf> = files.iter().map(|add| self.root.join(&add.path)).collect();
        let root = self.root.clone();
        blocking(move || sync_files(&root, &paths)).await
    }

    /// The store that the table lies on, rooted at the table.
    pub async fn objects(&self) -> Arc<dyn ObjectStore> {
        self.delta.lock().await.log_store().object_store(None)
    }

    /// Removes the rows of a sensor. Their bytes go with the next clearing of dead files.
    pub async fn delete_sensor(&self, sensor: &str) -> Result<(), LakeError> {
        let mut delta = self.delta.lock().await;
        delta.update_state().await.map_err(failed(self.spec.name, "read the log of"))?;
        let predicate = format!("sensor = '{}'", sensor.replace('\'', "''"));
        let deleting = delta.clone().delete().with_predicate(predicate);
        (*delta, _) = deleting.await.map_err(failed(self.spec.name, "remove rows of"))?;
        Ok(())
    }

    /// Live files of the newest version.
    pub async fn files(&self) -> Result<Vec<LiveFile>, LakeError> {
        live_files(&self.snapshot().await?, self.spec.name)
    }

    /// Writes files that no version names yet.
    pub async fn write_aside(
        &self,
        batches: impl Stream<Item = Result<RecordBatch, LakeError>>,
        zstd: i32,
    ) -> Result<Vec<Add>, LakeError> {
        let delta = self.snapshot().await?;
        self.write_files(&delta, batches, zstd).await
    }

    async fn write_files(
        &self,
        delta: &DeltaTable,
        batches: impl Stream<Item = Result<RecordBatch, LakeError>>,
        zstd: i32,
    ) -> Result<Vec<Add>, LakeError> {
        let fail = failed(self.spec.name, "write files of");
        let mut writer =
            RecordBatchWriter::for_table(delta).map_err(fail)?.with_writer_properties(properties(&self.spec, zstd));
        let mut batches = pin!(batches);
        let column = self.spec.partition;
        while let Some(batch) = batches.next().await {
            let batch = batch?;
            let Some(runs) = runs(&batch, column) else {
                writer.write(batch).await.map_err(fail)?;
                continue;
            };
            for (partition, rows) in runs {
                let partition = std::iter::once((column.to_owned(), partition.into())).collect();
                let rows = batch.slice(rows.start, rows.len());
                writer.write_partition(rows, &partition, WriteMode::Default).await.map_err(fail)?;
            }
        }
        writer.flush().await.map_err(fail)
    }
}

/// Partitions and the rows that follow one another in each; the library would make row keys of the names, sort them, and
/// copy every column. `None` when the partitions are mixed.
fn runs(batch: &RecordBatch, column: &str) -> Option<Vec<(String, Range<usize>)>> {
    let names = batch.column_by_name(column)?.as_string_opt::<i32>().filter(|names| names.null_count() == 0)?;
    let mut runs: Vec<(String, Range<usize>)> = Vec::new();
    for (row, name) in names.iter().flatten().enumerate() {
        match runs.last_mut().filter(|(last, _)| last == name) {
            Some((_, rows)) => rows.end = row + 1,
            None => runs.push((name.to_owned(), row..row + 1)),
        }
        if runs.len() > RUNS {
            return None;
        }
    }
    Some(runs)
}

/// A file that the newest version names.
#[derive(Clone)]
pub(crate) struct LiveFile {
    /// Path relative to the table.
    pub path: String,
    /// Length.
    pub size: u64,
    /// What removes it.
    pub remove: Remove,
    /// Rows by the log's account.
    pub rows: u64,
    /// Value of the partition column.
    pub partition: String,
}

fn live_files(delta: &DeltaTable, table: &'static str) -> Result<Vec<LiveFile>, LakeError> {
    let state = delta.snapshot().map_err(failed(table, "read"))?;
    Ok(state
        .log_data()
        .iter()
        .map(|file| LiveFile {
            path: file.path().into_owned(),
            size: file.size() as u64,
            remove: file.remove_action(true),
            rows: file.num_records().unwrap_or(0) as u64,
            partition: file.partition_values_map().into_values().flatten().next().unwrap_or_default(),
        })
        .collect())
}

async fn create(delta: &DeltaTable, spec: &TableSpec) -> Result<DeltaTable, DeltaTableError> {
    let schema: StructType = spec.schema.as_ref().try_into_kernel()?;
    delta
        .create()
        .with_table_name(spec.name)
        .with_columns(schema.fields().cloned())
        .with_partition_columns([spec.partition])
        .with_configuration([
            // Statistics of the columns that questions narrow by; more would only lengthen the log.
            ("delta.dataSkippingStatsColumns", Some(spec.stats_columns.as_str())),
            ("delta.checkpointInterval", Some("50")),
        ])
        .await
}

/// How files are encoded: `zstd` 1 for fresh rows, more for compacted ones.
pub(crate) fn properties(spec: &TableSpec, zstd: i32) -> WriterProperties {
    let builder = match spec.feed {
        Feed::Rollup(..) => WriterProperties::builder()
            .set_max_row_group_row_count(Some(ROLLUP_ROW_GROUP))
            .set_data_page_row_count_limit(ROLLUP_PAGE),
        _ => WriterProperties::builder().set_max_row_group_row_count(Some(ROW_GROUP)),
    };
    let mut builder = builder
        .set_writer_version(WriterVersion::PARQUET_1_0)
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(zstd).unwrap_or_default()));
    for (name, encoding) in spec.encodings {
        builder = builder
            .set_column_dictionary_enabled(ColumnPath::from(*name), false)
            .set_column_encoding(ColumnPath::from(*name), *encoding);
    }
    builder.build()
}

/// Encodings of columns with many distinct values, for which a dictionary is built in vain.
pub(crate) type Encodings = &'static [(&'static str, Encoding)];

pub(crate) fn failed(table: &'static str, doing: &'static str) -> impl Fn(DeltaTableError) -> LakeError + Copy {
    move |source| {
        let words = source.to_string();
        match words.contains("Generic S3 error") {
            true => {
                LakeError::Unreachable { table, doing, reason: words.lines().next().unwrap_or_default().to_owned() }
            }
            false => LakeError::Delta { table, doing, source: Box::new(source) },
        }
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.expect("syncing files does not panic")
}

/// Syncs the files, then every folder between them and `root`, so that names are durable too.
fn sync_files(root: &Path, files: &[PathBuf]) -> Result<(), LakeError> {
    let sync = |path: &Path| {
        File::open(path)
            .and_then(|file| file.sync_all())
            .map_err(|source| LakeError::Io { path: path.to_owned(), source })
    };
    let mut folders = std::collections::BTreeSet::from([root.to_owned()]);
    for file in files {
        sync(file)?;
        folders.extend(file.ancestors().skip(1).take_while(|folder| folder.starts_with(root)).map(Path::to_owned));
    }
    folders.iter().try_for_each(|folder| sync(folder))
}

/// A power cut may leave the newest commit file named but not written. Its journal rows are still there, because the
/// journal forgets only after the sync; so the torn file is set aside and the move is done again.
fn repair_torn_log(root: &Path) -> Result<(), LakeError> {
    let log = root.join("_delta_log");
    let Ok(entries) = std::fs::read_dir(&log) else { return Ok(()) };
    let newest = entries
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name.len() == 25 && name.ends_with(".json"))
        .max();
    let Some(newest) = newest else { return Ok(()) };
    let path = log.join(newest);
    let io = |source| LakeError::Io { path: path.clone(), source };
    let text = std::fs::read(&path).map_err(io)?;
    let whole = |line: &[u8]| serde_json::from_slice::<serde::de::IgnoredAny>(line).is_ok();
    if !text.is_empty() && text.split(|byte| *byte == b'\n').all(|line| line.is_empty() || whole(line)) {
        return Ok(());
    }
    tracing::warn!(path = %path.display(), "a commit torn by a power cut is set aside");
    std::fs::rename(&path, path.with_extension("torn")).map_err(io)
}
