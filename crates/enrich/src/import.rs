//! Taking a file into the knowledge directory.
//!
//! Before, during and after: the manifest names only table files that are complete and synced. An import writes its
//! table under a new name, syncs it, writes the new manifest beside the old one, syncs it, and renames it over the old
//! one; stopped anywhere, the old manifest and all its tables are untouched. What a stopped import left behind is
//! removed by the next one. Imports exclude each other through a lock file; readers need no lock.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::time::UNIX_EPOCH;

use noroshi_model::Nanos;

use crate::codec;
use crate::error::{EnrichError, LoadError};
use crate::kinds::Kinds;
use crate::load::{self, Format, Limits, Parsed};
use crate::manifest::{DatedBy, FILE_NAME, Manifest, TableInfo};

/// What the operator may say about a file.
#[derive(Debug, Clone, Default)]
pub struct ImportOptions {
    /// From when on its content was known; otherwise the publisher's date, otherwise the file's.
    pub as_of: Option<Nanos>,
    /// The name that its versions share; otherwise derived from the title or the file's name.
    pub name: Option<String>,
    /// What being in the list means; otherwise judged by its name.
    pub kinds: Option<Kinds>,
    /// What reading may cost.
    pub limits: Limits,
}

/// What became of an imported file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportSummary {
    /// The table as the manifest describes it.
    pub table: TableInfo,
    /// What became of it.
    pub outcome: Outcome,
    /// The first entries that could not be read, with their place.
    pub problems: Vec<String>,
}

/// What an import changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// A new table, or a new version of one.
    Added,
    /// It took the place of the version of the same date.
    Replaced,
    /// The same content of the same date was there already.
    Unchanged,
    /// It holds no address (names only), so nothing was kept.
    NothingToKeep,
}

/// The places between which an import can be stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    TableHalfWritten,
    TableWritten,
    TableSynced,
    ManifestHalfWritten,
    ManifestWritten,
    ManifestSynced,
    ManifestRenamed,
}

/// Called between steps; an error stops the import there, as a power cut would.
type Stop<'a> = &'a mut dyn FnMut(Step) -> io::Result<()>;

/// Imports one file into the knowledge directory, which is made when absent. `at` is the present.
pub fn import(dir: &Path, path: &Path, options: &ImportOptions, at: Nanos) -> Result<ImportSummary, EnrichError> {
    import_stoppable(dir, path, options, at, &mut |_| Ok(()))
}

fn import_stoppable(
    dir: &Path,
    path: &Path,
    options: &ImportOptions,
    at: Nanos,
    stop: Stop<'_>,
) -> Result<ImportSummary, EnrichError> {
    let (parsed, file_time) = read(path, &options.limits)?;
    let (mut info, bytes) = describe(&parsed, path, options, file_time, at);
    let summary = |table, outcome| ImportSummary { table, outcome, problems: parsed.problems.clone() };
    if parsed.table.v4.is_empty() && parsed.table.v6.is_empty() {
        info.file.clear();
        return Ok(summary(info, Outcome::NothingToKeep));
    }
    fs::create_dir_all(dir).map_err(EnrichError::io("create the directory", dir))?;
    let lock_path = dir.join("lock");
    let lock = File::create(&lock_path).map_err(EnrichError::io("create", &lock_path))?;
    lock.lock().map_err(EnrichError::io("lock", &lock_path))?;
    let mut manifest = Manifest::read(dir)?;
    let same = |table: &TableInfo| table.name == info.name && table.as_of == info.as_of;
    let outcome = match manifest.tables.iter().find(|table| same(table)) {
        Some(old) if old.file == info.file && old.kinds == info.kinds && dir.join(&old.file).exists() => {
            remove_unnamed(dir, &manifest);
            return Ok(summary(old.clone(), Outcome::Unchanged));
        }
        Some(_) => Outcome::Replaced,
        None => Outcome::Added,
    };
    if let Some(old) = repeated(&manifest, &info) {
        return Ok(summary(old.clone(), Outcome::Unchanged));
    }
    // A file that the present manifest names is complete, and writing it again would put it at risk.
    let written = manifest.tables.iter().any(|table| table.file == info.file) && dir.join(&info.file).exists();
    manifest.tables.retain(|table| !same(table));
    manifest.tables.push(info.clone());
    manifest.tables.sort_by(|a, b| (&a.name, a.as_of).cmp(&(&b.name, b.as_of)));
    if !written {
        let path = dir.join(&info.file);
        let steps = [Step::TableHalfWritten, Step::TableWritten, Step::TableSynced];
        write_synced(&path, &bytes, steps, stop).map_err(EnrichError::io("write", &path))?;
    }
    replace_manifest(dir, &manifest, stop)?;
    remove_unnamed(dir, &manifest);
    Ok(summary(info, outcome))
}

/// The newest version, when the same content merely has a younger file: that dates the copy, not the knowledge.
fn repeated<'a>(manifest: &'a Manifest, info: &TableInfo) -> Option<&'a TableInfo> {
    let newest = manifest.tables.iter().filter(|table| table.name == info.name).max_by_key(|table| table.as_of)?;
    fn sum(file: &str) -> Option<&str> {
        file.rsplit_once('-').map(|(_, sum)| sum)
    }
    let same = sum(&newest.file) == sum(&info.file) && newest.kinds == info.kinds;
    (same && info.dated_by == DatedBy::FileTime && newest.as_of <= info.as_of).then_some(newest)
}

/// Reads a file as a table without keeping it.
pub fn read_file(path: &Path, limits: &Limits) -> Result<Parsed, EnrichError> {
    read(path, limits).map(|(parsed, _)| parsed)
}

fn read(path: &Path, limits: &Limits) -> Result<(Parsed, Option<Nanos>), EnrichError> {
    let metadata = fs::metadata(path).map_err(EnrichError::io("read", path))?;
    let load = |cause| EnrichError::Load { path: path.to_owned(), cause };
    if metadata.is_dir() {
        let found = "a directory; name the files in it".to_owned();
        return Err(load(LoadError::Unrecognised { found }));
    }
    if metadata.len() > limits.bytes_max {
        return Err(load(LoadError::OverLimit { what: "bytes of the file", limit: limits.bytes_max }));
    }
    let bytes = fs::read(path).map_err(EnrichError::io("read", path))?;
    let parsed = load::read(&bytes, &title_of(path), limits).map_err(load)?;
    let changed = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    Ok((parsed, changed.map(|since| Nanos(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)))))
}

fn file_name(path: &Path) -> String {
    path.file_name().map_or_else(|| "file".to_owned(), |name| crate::error::printable(&name.to_string_lossy()))
}

/// The file's name, or its folder's when it is the `list.json` that every MISP warninglist is called.
fn title_of(path: &Path) -> String {
    match (file_name(path).as_str(), path.parent().and_then(Path::file_name)) {
        ("list.json", Some(folder)) => crate::error::printable(&folder.to_string_lossy()),
        (name, _) => name.to_owned(),
    }
}

fn describe(
    parsed: &Parsed,
    path: &Path,
    options: &ImportOptions,
    file_time: Option<Nanos>,
    at: Nanos,
) -> (TableInfo, Vec<u8>) {
    let (as_of, dated_by) = match (options.as_of, parsed.as_of, file_time) {
        (Some(given), _, _) => (given, DatedBy::Operator),
        (None, Some(published), _) => (published, DatedBy::Publisher),
        (None, None, file_time) => (file_time.unwrap_or(at), DatedBy::FileTime),
    };
    let base = if parsed.format == Format::Delegated { parsed.title.clone() } else { title_of(path) };
    let name = slug(options.name.as_deref().unwrap_or(&without_dates(&base)));
    let bytes = codec::encode(&parsed.table);
    let date = &as_of.rfc3339()[..10];
    // The table ends in its own checksum; a checksum over both would be the same for every table.
    let sum = bytes.last_chunk().map_or(0, |sum| u32::from_le_bytes(*sum));
    let info = TableInfo {
        file: format!("{name}-{date}-{sum:08x}.table"),
        name,
        title: parsed.title.clone(),
        format: parsed.format,
        as_of,
        dated_by,
        imported_at: at,
        country: parsed.has_country(),
        network: parsed.has_network(),
        kinds: parsed.kinds.map(|judged| options.kinds.unwrap_or(judged)),
        entries: parsed.entries,
        skipped: parsed.skipped,
        source_file: file_name(path),
    };
    (info, bytes)
}

/// The name without extensions and dates, so that next month's file is a version of the same table.
fn without_dates(name: &str) -> String {
    const EXTENSIONS: [&str; 14] = [
        ".gz", ".bz2", ".zst", ".json", ".csv", ".tsv", ".txt", ".mmdb", ".ipset", ".mrt", ".dump", ".pfx2as", ".list",
        ".netset",
    ];
    let mut name = name;
    while let Some(rest) = EXTENSIONS.iter().find_map(|ext| name.strip_suffix(ext)).filter(|rest| !rest.is_empty()) {
        name = rest;
    }
    let parts: Vec<&str> = name.split(['-', '_', '.', ' ']).collect();
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let is_year = |part: &str| digits(part) && part.len() == 4;
    // "20260131", "0000", "2026"; and behind a year the month and the day.
    let is_date = |at: usize| {
        let behind_year =
            (at >= 1 && is_year(parts[at - 1])) || (at >= 2 && is_year(parts[at - 2]) && digits(parts[at - 1]));
        digits(parts[at]) && (parts[at].len() >= 4 || (behind_year && parts[at].len() <= 2))
    };
    let kept: Vec<&str> = (0..parts.len()).filter(|at| !is_date(*at)).map(|at| parts[at]).collect();
    if kept.len() == parts.len() { name.to_owned() } else { kept.join("-") }
}

/// Lower case letters, digits, `-`, `_` and `.`; never empty, never longer than a file name may be.
fn slug(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars().map(|c| c.to_ascii_lowercase()).take(100) {
        match c {
            'a'..='z' | '0'..='9' | '_' | '.' => out.push(c),
            _ if out.ends_with('-') => {}
            _ => out.push('-'),
        }
    }
    let out = out.trim_matches(['-', '.']);
    if out.is_empty() { "table".to_owned() } else { out.to_owned() }
}

fn replace_manifest(dir: &Path, manifest: &Manifest, stop: Stop<'_>) -> Result<(), EnrichError> {
    let (path, temporary) = (dir.join(FILE_NAME), dir.join("manifest.json.new"));
    let steps = [Step::ManifestHalfWritten, Step::ManifestWritten, Step::ManifestSynced];
    write_synced(&temporary, &manifest.encode(), steps, stop).map_err(EnrichError::io("write", &temporary))?;
    // The table's name must be on disk before the manifest that refers to it.
    sync_dir(dir)?;
    fs::rename(&temporary, &path).map_err(EnrichError::io("replace", &path))?;
    stop(Step::ManifestRenamed).map_err(EnrichError::io("replace", &path))?;
    sync_dir(dir)
}

fn write_synced(path: &Path, bytes: &[u8], steps: [Step; 3], stop: Stop<'_>) -> io::Result<()> {
    let mut file = File::create(path)?;
    let (head, tail) = bytes.split_at(bytes.len() / 2);
    file.write_all(head)?;
    stop(steps[0])?;
    file.write_all(tail)?;
    stop(steps[1])?;
    file.sync_all()?;
    stop(steps[2])
}

fn sync_dir(dir: &Path) -> Result<(), EnrichError> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(EnrichError::io("sync", dir))
}

/// Removes table files that no manifest names. Failing to costs disk space only, so it is not an error.
fn remove_unnamed(dir: &Path, manifest: &Manifest) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    for path in entries.filter_map(|entry| entry.ok().map(|entry| entry.path())) {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if name.ends_with(".table") && !manifest.tables.iter().any(|table| table.file == name) {
            _ = fs::remove_file(&path);
        }
    }
}

/// Removes all versions of a table; returns how many there were.
pub fn remove(dir: &Path, name: &str) -> Result<usize, EnrichError> {
    let lock_path = dir.join("lock");
    let lock = File::create(&lock_path).map_err(EnrichError::io("create", &lock_path))?;
    lock.lock().map_err(EnrichError::io("lock", &lock_path))?;
    let mut manifest = Manifest::read(dir)?;
    let before = manifest.tables.len();
    manifest.tables.retain(|table| table.name != name);
    let removed = before - manifest.tables.len();
    if removed > 0 {
        replace_manifest(dir, &manifest, &mut |_| Ok(()))?;
        remove_unnamed(dir, &manifest);
    }
    Ok(removed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Knowledge;

    const ALL: [Step; 7] = [
        Step::TableHalfWritten,
        Step::TableWritten,
        Step::TableSynced,
        Step::ManifestHalfWritten,
        Step::ManifestWritten,
        Step::ManifestSynced,
        Step::ManifestRenamed,
    ];

    fn country(dir: &Path) -> Option<String> {
        let knowledge = Knowledge::open(dir).unwrap();
        knowledge.lookup("192.0.2.1".parse().unwrap(), Nanos(0)).country.map(|c| c.to_string())
    }

    /// Stops an import at each step in turn: whoever opens the directory then sees the old state whole, or after the
    /// rename the new one, and the next import succeeds and leaves no remains.
    #[test]
    fn an_import_stopped_anywhere_leaves_the_old_state() {
        for stop_at in ALL {
            let home = tempfile::tempdir().unwrap();
            let (dir, file) = (home.path().join("knowledge"), home.path().join("land.csv"));
            let options = ImportOptions { as_of: Some(Nanos(1)), ..ImportOptions::default() };
            fs::write(&file, "192.0.2.0/24,JP\n").unwrap();
            assert_eq!(import(&dir, &file, &options, Nanos(2)).unwrap().outcome, Outcome::Added);
            fs::write(&file, "192.0.2.0/24,KR\n").unwrap();
            let mut stop = |step| if step == stop_at { Err(io::Error::other("stopped")) } else { Ok(()) };
            let stopped = import_stoppable(&dir, &file, &options, Nanos(3), &mut stop);
            assert!(stopped.is_err(), "{stop_at:?}");
            let expect = if stop_at == Step::ManifestRenamed { "KR" } else { "JP" };
            assert_eq!(country(&dir).as_deref(), Some(expect), "{stop_at:?}");
            import(&dir, &file, &options, Nanos(4)).unwrap();
            assert_eq!(country(&dir).as_deref(), Some("KR"));
            let names = fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
            assert_eq!(names.filter(|name| name.ends_with(".table")).count(), 1, "{stop_at:?}");
        }
    }

    #[test]
    fn names_of_versions_agree() {
        for (name, expect) in [
            ("rib.20260131.0000.gz", "rib"),
            ("routeviews-rv2-20260131-1200.pfx2as.gz", "routeviews-rv2"),
            ("GeoLite2-ASN_20260131.mmdb", "GeoLite2-ASN"),
            ("dbip-country-lite-2026-01.mmdb.gz", "dbip-country-lite"),
            ("x-2026-01-31.csv", "x"),
            ("top-10-2.txt", "top-10-2"),
            ("acknowledged_scanners.ip6set", "acknowledged_scanners.ip6set"),
            ("censys-scanning.json", "censys-scanning"),
            ("nethash.censys.io.ipset", "nethash.censys.io"),
            ("20260131.csv", ""),
        ] {
            assert_eq!(without_dates(name), expect, "{name}");
        }
        assert_eq!(
            (slug("GeoLite2 ASN!").as_str(), slug("").as_str(), slug("../..").as_str()),
            ("geolite2-asn", "table", "table")
        );
    }
}
