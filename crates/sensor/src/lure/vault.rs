//! Recordings and files that visitors left, by hash, on the sensor's disk. Never executed, readable by the owner only.

use crate::SensorError;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Bytes kept in all; beyond, files are known by their hash alone.
const BYTES: u64 = 256 << 20;

/// A folder of files named by what they are.
pub struct Vault {
    dir: PathBuf,
    bytes: u64,
}

impl Vault {
    /// Opens or makes the folder.
    pub fn open(dir: &Path) -> Result<Vault, SensorError> {
        let wrong = |doing| move |source| SensorError::State { path: dir.to_owned(), doing, source };
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(wrong("make"))?;
        let entries = std::fs::read_dir(dir).map_err(wrong("read"))?;
        let bytes = entries.flatten().filter_map(|entry| entry.metadata().ok()).map(|meta| meta.len()).sum();
        Ok(Vault { dir: dir.to_owned(), bytes })
    }

    /// Keeps content under its hash and ending. The hash names a file, so anything but hexadecimal digits is refused.
    pub fn keep(&mut self, hash: &str, ending: &str, content: &[u8]) {
        let size = content.len() as u64;
        let named = hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !named || size == 0 || self.bytes + size > BYTES {
            return;
        }
        let path = self.dir.join(format!("{hash}{ending}"));
        let opened = std::fs::OpenOptions::new().create_new(true).write(true).mode(0o600).open(&path);
        match opened.and_then(|mut file| file.write_all(content)) {
            Ok(()) => self.bytes += size,
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            // The row names the hash; a full disk costs the file, not the row.
            Err(error) => tracing::warn!(path = %path.display(), %error, "a file that a visitor left was not kept"),
        }
    }
}
