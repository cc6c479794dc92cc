//! The crate as others use it, on published data.

mod hostile;
mod knowledge;
mod lists;
mod mmdb;
mod mrt;

use std::path::{Path, PathBuf};

/// A folder of the shared data, or none with a word on the screen. On the build server its absence is a failure.
fn shared(folder: &str) -> Option<PathBuf> {
    let root = std::env::var_os("NOROSHI_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"), PathBuf::from);
    let path = root.join("data").join(folder);
    if path.is_dir() {
        return Some(path);
    }
    assert!(std::env::var_os("CI").is_none(), "{} is missing; set NOROSHI_SHARED", path.display());
    eprintln!("skipped: {} is not there", path.display());
    None
}

/// All files below a folder, sorted.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}
