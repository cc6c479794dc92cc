//! Is the lake whole? Every live file is read to its end; damaged ones can be set aside.

use super::table::LiveFile;
use super::{Lake, LakeError, LakeTable};
use deltalake::DeltaTableError;
use deltalake::protocol::DeltaOperation;
use object_store::ObjectStoreExt;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::reader::ChunkReader;
use std::fs::File;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};

/// Folder in the lake where damaged files go.
const QUARANTINE: &str = "quarantine";

/// The state of one table.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Check {
    /// Table.
    pub table: &'static str,
    /// Live files.
    pub files: u64,
    /// Rows by the log's account.
    pub rows: u64,
    /// Bytes by the log's account.
    pub bytes: u64,
    /// What is wrong.
    pub damage: Vec<Damage>,
}

/// One file that is not what the log says.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Damage {
    /// File, relative to its table.
    pub path: String,
    /// What is wrong with it.
    pub reason: String,
    /// Rows that it held by the log's account.
    pub rows: u64,
}

impl Lake {
    /// Reads every live file. With `repair`, damaged files go to `quarantine` in the lake and leave their table, in one
    /// commit per table; roll-ups keep what they counted of them.
    pub async fn check(&self, repair: bool) -> Result<Vec<Check>, LakeError> {
        let mut checks = Vec::new();
        for table in &self.shared.tables {
            checks.push(check_table(table, &self.shared.dir, repair).await?);
        }
        Ok(checks)
    }
}

async fn check_table(table: &LakeTable, lake: &Path, repair: bool) -> Result<Check, LakeError> {
    let files = table.files().await?;
    let root = table.root.clone();
    let examined = if table.remote {
        examine_objects(table, files).await
    } else {
        let work = tokio::task::spawn_blocking(move || {
            let examined = files.into_iter().map(|file| {
                let reason = examine(&root.join(&file.path), &file).err();
                (file, reason)
            });
            examined.collect::<Vec<_>>()
        });
        work.await.expect("examining contains its panics")
    };
    let mut check =
        Check { table: table.spec.name, files: examined.len() as u64, rows: 0, bytes: 0, damage: Vec::new() };
    let mut damaged = Vec::new();
    for (file, reason) in examined {
        check.rows += file.rows;
        check.bytes += file.size;
        if let Some(reason) = reason {
            check.damage.push(Damage { path: file.path.clone(), reason, rows: file.rows });
            damaged.push(file);
        }
    }
    if repair && !damaged.is_empty() {
        table.replace(&damaged, Vec::new(), false, DeltaOperation::FileSystemCheck {}).await?;
        for file in &damaged {
            if table.remote {
                set_object_aside(table, &file.path).await?;
                continue;
            }
            set_aside(&table.root.join(&file.path), &lake.join(QUARANTINE).join(table.spec.name))?;
        }
    }
    Ok(check)
}

/// Reads a file as a whole and compares it with the log's account.
fn examine(path: &Path, file: &LiveFile) -> Result<(), String> {
    let length = std::fs::metadata(path).map_err(|error| error.to_string())?.len();
    if length != file.size {
        return Err(format!("{length} bytes where the log says {}", file.size));
    }
    // Damaged Parquet makes the reader panic in places.
    let opened = File::open(path).map_err(|error| error.to_string())?;
    whole(opened, file)
}

fn whole(content: impl ChunkReader + 'static, file: &LiveFile) -> Result<(), String> {
    let read = std::panic::catch_unwind(AssertUnwindSafe(|| count_rows(content)));
    let rows = read.map_err(|_| "reading it panics".to_owned())?.map_err(|error| error.to_string())?;
    if rows == file.rows { Ok(()) } else { Err(format!("{rows} rows where the log says {}", file.rows)) }
}

/// The same for files on a store, which fit in memory one at a time.
async fn examine_objects(table: &LakeTable, files: Vec<LiveFile>) -> Vec<(LiveFile, Option<String>)> {
    let objects = table.objects().await;
    let mut examined = Vec::new();
    for file in files {
        let content = async { objects.get(&file.path.as_str().into()).await?.bytes().await }.await;
        let reason = match content {
            Ok(content) if content.len() as u64 != file.size => {
                Some(format!("{} bytes where the log says {}", content.len(), file.size))
            }
            Ok(content) => whole(content, &file).err(),
            Err(error) => Some(error.to_string()),
        };
        examined.push((file, reason));
    }
    examined
}

async fn set_object_aside(table: &LakeTable, path: &str) -> Result<(), LakeError> {
    let objects = table.objects().await;
    let aside = object_store::path::Path::from(format!("_{QUARANTINE}/{path}"));
    match objects.rename(&path.into(), &aside).await {
        Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
        Err(source) => {
            Err(super::table::failed(table.spec.name, "set aside files of")(DeltaTableError::ObjectStore { source }))
        }
    }
}

fn count_rows(content: impl ChunkReader + 'static) -> Result<u64, Box<dyn std::error::Error>> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(content)?.build()?;
    let mut rows = 0;
    for batch in reader {
        rows += batch?.num_rows() as u64;
    }
    Ok(rows)
}

fn set_aside(path: &Path, quarantine: &Path) -> Result<(), LakeError> {
    let io = |path: &Path| {
        let path = PathBuf::from(path);
        move |source| LakeError::Io { path, source }
    };
    if !path.exists() {
        return Ok(());
    }
    std::fs::create_dir_all(quarantine).map_err(io(quarantine))?;
    let name = path.file_name().unwrap_or(path.as_os_str());
    std::fs::rename(path, quarantine.join(name)).map_err(io(path))
}
