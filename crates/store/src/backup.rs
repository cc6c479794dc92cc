//! A copy of everything a hub keeps, made while it runs, and its way back.
//!
//! The journal is copied first (SQLite's `VACUUM INTO`: one consistent state). Every table of the lake is then copied
//! at the newest version whose position in the journal is not past that copy: what the lake lacks is still in the
//! journal, and what it has the journal knows to be numbered. Files of that version stay on disk for the grace of
//! readers, so copying disturbs nobody.
//!
//! A backup and a restored folder appear under their name when they are whole; a run that was killed leaves only
//! `NAME.partial`, which the next run clears.

use crate::lake::{Lake, LakeError, position_app};
use serde::{Deserialize, Serialize};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection, Row};
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Version of the backup's layout.
const SCHEMA: &str = "noroshi.backup/1";
/// The list of files; written last.
const MANIFEST: &str = "backup.json";

/// Why a backup or a restore did not happen.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// A file.
    #[error("cannot {doing} {path}: {source}")]
    Io {
        /// What was attempted.
        doing: &'static str,
        /// Which.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// A database could not be copied.
    #[error("cannot copy the database {path}: {source}")]
    Database {
        /// Which.
        path: PathBuf,
        /// The database's words.
        source: sqlx::Error,
    },
    /// The lake could not be read.
    #[error(transparent)]
    Lake(#[from] LakeError),
    /// There is something already.
    #[error("{0} exists: name a folder that does not")]
    Exists(PathBuf),
    /// Not a whole backup.
    #[error("{path} is no whole backup: {reason}")]
    NotWhole {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

/// What a backup holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// `noroshi.backup/1`.
    pub schema: String,
    /// Last row of the journal that the backup knows of.
    pub journal_row: i64,
    /// Version of each table of the lake.
    pub tables: BTreeMap<String, u64>,
    /// Every file: path with `/`, length, BLAKE3.
    pub files: BTreeMap<String, FileMark>,
}

/// How a file is known again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileMark {
    /// Length.
    pub bytes: u64,
    /// BLAKE3, hexadecimal.
    pub blake3: String,
}

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> BackupError {
    let path = path.to_owned();
    move |source| BackupError::Io { doing, path, source }
}

/// Copies the data folder of a hub, which may be running, to a folder that does not exist.
pub async fn backup(data: &Path, to: &Path) -> Result<Manifest, BackupError> {
    let partial = prepare(to)?;
    let mut manifest =
        Manifest { schema: SCHEMA.into(), journal_row: 0, tables: BTreeMap::new(), files: BTreeMap::new() };
    let mut app = None;
    // The journal first: see above. Other databases and small files follow.
    for path in top_files(data)? {
        let name = path.file_name().unwrap_or_default();
        let copy = partial.join(name);
        if path.extension().is_some_and(|extension| extension == "db" || extension == "sqlite") {
            if let Some((id, row)) = copy_database(&path, &copy).await? {
                (app, manifest.journal_row) = (Some(position_app(&id)), row);
            }
        } else {
            fs::copy(&path, &copy).map_err(failed("copy", &path))?;
        }
    }
    if data.join("lake").is_dir() {
        let lake = Lake::open_to_read(data.join("lake"), crate::Enrich::none())?;
        for table in &lake.shared.tables {
            let files = table.files_up_to(app.as_deref(), manifest.journal_row).await?;
            let Some((version, files)) = files else { continue };
            let folder = partial.join("lake").join(table.spec.name);
            for file in files {
                let (from, copy) = (table.root.join(&file), folder.join(&file));
                let parent = copy.parent().unwrap_or(&folder);
                fs::create_dir_all(parent).map_err(failed("make", parent))?;
                fs::copy(&from, &copy).map_err(failed("copy", &from))?;
            }
            manifest.tables.insert(table.spec.name.to_owned(), version);
        }
    }
    for path in all_files(&partial)? {
        manifest.files.insert(relative(&path, &partial), mark(&path)?);
    }
    let text = serde_json::to_vec_pretty(&manifest).expect("a manifest is plain data");
    fs::write(partial.join(MANIFEST), text).map_err(failed("write", &partial.join(MANIFEST)))?;
    finish(&partial, to)?;
    Ok(manifest)
}

/// Makes a data folder, which must not exist, from a backup, after checking every file.
pub fn restore(from: &Path, data: &Path) -> Result<Manifest, BackupError> {
    let manifest = check(from)?;
    let partial = prepare(data)?;
    for name in manifest.files.keys() {
        let copy = partial.join(name);
        let parent = copy.parent().unwrap_or(&partial);
        fs::create_dir_all(parent).map_err(failed("make", parent))?;
        fs::copy(from.join(name), &copy).map_err(failed("copy", &from.join(name)))?;
    }
    finish(&partial, data)?;
    Ok(manifest)
}

/// Reads a backup to its end and compares it with its list.
pub fn check(from: &Path) -> Result<Manifest, BackupError> {
    let refused = |reason: String| BackupError::NotWhole { path: from.to_owned(), reason };
    let text = fs::read(from.join(MANIFEST)).map_err(|error| refused(format!("{MANIFEST}: {error}")))?;
    let manifest: Manifest = serde_json::from_slice(&text).map_err(|error| refused(format!("{MANIFEST}: {error}")))?;
    if manifest.schema != SCHEMA {
        return Err(refused(format!("it has layout {:?}, this program knows {SCHEMA}", manifest.schema)));
    }
    for (name, expected) in &manifest.files {
        let plain = |part| matches!(part, std::path::Component::Normal(_));
        if !Path::new(name).components().all(plain) {
            return Err(refused(format!("{name:?} points out of it")));
        }
        let found = mark(&from.join(name)).map_err(|error| refused(error.to_string()))?;
        if found != *expected {
            return Err(refused(format!("{name} is not the file that was backed up")));
        }
    }
    Ok(manifest)
}

fn prepare(to: &Path) -> Result<PathBuf, BackupError> {
    if to.exists() && fs::read_dir(to).map_err(failed("read", to))?.next().is_some() {
        return Err(BackupError::Exists(to.to_owned()));
    }
    let mut name = to.as_os_str().to_owned();
    name.push(".partial");
    let partial = PathBuf::from(name);
    if partial.exists() {
        fs::remove_dir_all(&partial).map_err(failed("clear", &partial))?;
    }
    fs::create_dir_all(&partial).map_err(failed("make", &partial))?;
    private(&partial)?;
    Ok(partial)
}

#[cfg(unix)]
fn private(folder: &Path) -> Result<(), BackupError> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).map_err(failed("protect", folder))
}

#[cfg(not(unix))]
fn private(_: &Path) -> Result<(), BackupError> {
    Ok(())
}

/// Syncs everything, then gives it its name.
fn finish(partial: &Path, to: &Path) -> Result<(), BackupError> {
    let sync = |path: &Path| fs::File::open(path).and_then(|file| file.sync_all()).map_err(failed("sync", path));
    all_files(partial)?.iter().try_for_each(|path| sync(path))?;
    sync(partial)?;
    if to.exists() {
        fs::remove_dir(to).map_err(failed("replace", to))?;
    }
    fs::rename(partial, to).map_err(failed("name", to))?;
    match to.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => sync(parent),
        _ => Ok(()),
    }
}

/// Regular files of the folder itself, databases first: their own log files, locks, sockets and ballast stay.
fn top_files(data: &Path) -> Result<Vec<PathBuf>, BackupError> {
    let mut found = Vec::new();
    for entry in fs::read_dir(data).map_err(failed("read", data))? {
        let entry = entry.map_err(failed("read", data))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let skipped =
            name == "lock" || ["-wal", "-shm", "-journal", ".ballast", ".new"].iter().any(|end| name.ends_with(end));
        if entry.file_type().map_err(failed("read", data))?.is_file() && !skipped {
            found.push(entry.path());
        }
    }
    found.sort_by_key(|path| (!path.extension().is_some_and(|e| e == "db" || e == "sqlite"), path.clone()));
    Ok(found)
}

fn all_files(folder: &Path) -> Result<Vec<PathBuf>, BackupError> {
    let (mut found, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).map_err(failed("read", &folder))? {
            let path = entry.map_err(failed("read", &folder))?.path();
            if path.is_dir() { folders.push(path) } else { found.push(path) }
        }
    }
    Ok(found)
}

fn relative(path: &Path, root: &Path) -> String {
    let parts = path.strip_prefix(root).unwrap_or(path).components();
    parts.map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/")
}

fn mark(path: &Path) -> Result<FileMark, BackupError> {
    let mut file = fs::File::open(path).map_err(failed("read", path))?;
    let (mut hasher, mut buffer, mut bytes) = (blake3::Hasher::new(), vec![0; 1 << 20], 0);
    loop {
        match file.read(&mut buffer).map_err(failed("read", path))? {
            0 => return Ok(FileMark { bytes, blake3: hasher.finalize().to_hex().to_string() }),
            length => {
                hasher.update(&buffer[..length]);
                bytes += length as u64;
            }
        }
    }
}

/// Copies a database that may be in use; for a journal, its identity and last row come back.
async fn copy_database(from: &Path, to: &Path) -> Result<Option<(String, i64)>, BackupError> {
    let fail = |source| BackupError::Database { path: from.to_owned(), source };
    let options =
        SqliteConnectOptions::new().filename(from).busy_timeout(Duration::from_secs(30)).disable_statement_logging();
    let mut source = options.connect().await.map_err(fail)?;
    sqlx::query("vacuum into ?").bind(to.to_string_lossy().into_owned()).execute(&mut source).await.map_err(fail)?;
    source.close().await.map_err(fail)?;
    let copied = SqliteConnectOptions::new().filename(to).disable_statement_logging();
    let mut copied = copied.connect().await.map_err(fail)?;
    let found = journal_state(&mut copied).await.map_err(fail)?;
    copied.close().await.map_err(fail)?;
    Ok(found)
}

async fn journal_state(database: &mut SqliteConnection) -> Result<Option<(String, i64)>, sqlx::Error> {
    let tables = "select count(*) from sqlite_master where type = 'table' and name in ('batches', 'streams', 'meta')";
    let tables: i64 = sqlx::query_scalar(tables).fetch_one(&mut *database).await?;
    if tables != 3 {
        return Ok(None);
    }
    let last = "select coalesce((select seq from sqlite_sequence where name = 'batches'), 0)";
    let last: i64 = sqlx::query_scalar(last).fetch_one(&mut *database).await?;
    let id = sqlx::query("select value from meta where key = 'id'").fetch_optional(database).await?;
    Ok(id.map(|id| (id.get(0), last)))
}
