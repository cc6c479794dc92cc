//! What one dialogue, and all of them together, may cost.

/// Bounds of dialogues. At a bound the dialogue goes on without what does not fit, or ends; it is marked `truncated`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Dialogues at once; more are closed at once. 10,000 take about 250 MiB when all are busy.
    pub dialogues: usize,
    /// Dialogues at once of one source address.
    pub per_source: usize,
    /// Seconds that a dialogue may last. Loaders need minutes; a person rarely stays longer.
    pub seconds: u32,
    /// Seconds of silence that end it.
    pub idle_seconds: u32,
    /// Bytes taken from the client. Echo loaders send some hundred thousand.
    pub bytes_in: u64,
    /// Bytes sent to the client.
    pub bytes_out: u64,
    /// Longest line, in bytes.
    pub line_bytes: usize,
    /// Lines that are executed.
    pub lines: usize,
    /// Bytes of all files that a visitor writes.
    pub file_bytes: usize,
    /// Files that a visitor writes.
    pub files: usize,
    /// Bytes of the recording.
    pub recording_bytes: usize,
    /// Logins tried before the connection is closed.
    pub logins: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            dialogues: 10_000,
            per_source: 50,
            seconds: 600,
            idle_seconds: 120,
            bytes_in: 4 << 20,
            bytes_out: 2 << 20,
            line_bytes: 64 << 10,
            lines: 4_000,
            file_bytes: 2 << 20,
            files: 128,
            recording_bytes: 512 << 10,
            logins: 6,
        }
    }
}
