//! Recordings in asciicast version 2: one JSON header line, then one line per piece of input or output.

use sha2::{Digest, Sha256};

/// A recording that grows up to a bound.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Recording {
    text: String,
    limit: usize,
    /// Whether something did not fit.
    pub cut: bool,
}

impl Recording {
    /// A recording that starts at a time in seconds since 1970.
    pub fn new(started: i64, limit: usize) -> Self {
        let header = serde_json::json!({"version": 2, "width": 80, "height": 24, "timestamp": started});
        Recording { text: format!("{header}\n"), limit, cut: false }
    }

    /// Adds a piece; `kind` is `i` for input and `o` for output.
    pub fn add(&mut self, seconds: f64, kind: &str, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let line = serde_json::json!([(seconds * 1e6).round() / 1e6, kind, String::from_utf8_lossy(bytes)]).to_string();
        if self.text.len() + line.len() + 1 > self.limit {
            self.cut = true;
            return;
        }
        self.text.push_str(&line);
        self.text.push('\n');
    }

    /// The file and its SHA-256.
    pub fn finish(self) -> (String, String) {
        let hash = sha256(self.text.as_bytes());
        (self.text, hash)
    }
}

/// SHA-256 in hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
