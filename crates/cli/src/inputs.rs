//! From the paths that were typed to captures that are read.
//!
//! What cannot be read is no reason to stop: it stays in the list with its problem, the others are read, and the exit
//! code tells.

use crate::failure::Failure;
use noroshi_model::report::Problem;
use noroshi_packet::capture::{CaptureError, Reader, discover};
use std::io;
use std::path::{Path, PathBuf};

/// One capture, or what stands where one should be.
pub struct Input {
    /// As typed; for a directory, joined.
    pub path: String,
    /// Size before decompression, when known; for progress.
    pub bytes: Option<u64>,
    source: Source,
}

enum Source {
    Stdin,
    File(PathBuf),
    Refused(Problem),
}

impl Input {
    /// Opens the capture; a problem says why it is refused.
    pub fn open(&self) -> Result<Reader, Problem> {
        let opened = match &self.source {
            Source::Stdin => Reader::new(io::stdin()),
            Source::File(path) => Reader::open(path),
            Source::Refused(problem) => return Err(problem.clone()),
        };
        opened.map_err(|error| match &error {
            CaptureError::Io(io) => io_problem(io),
            CaptureError::Refused(problem) => problem.clone(),
        })
    }
}

/// The captures that paths stand for, in the order given. A directory stands for the captures below it.
pub fn expand(paths: &[PathBuf]) -> Result<Vec<Input>, Failure> {
    if paths.iter().filter(|path| is_stdin(path)).count() > 1 {
        return Err(Failure::usage("standard input can be read only once").hint("give - once"));
    }
    Ok(paths.iter().flat_map(|path| expand_one(path)).collect())
}

fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

fn expand_one(path: &Path) -> Vec<Input> {
    let input = |path: &Path, bytes, source| Input { path: path.to_string_lossy().into_owned(), bytes, source };
    if is_stdin(path) {
        return vec![input(path, None, Source::Stdin)];
    }
    let refused = |problem| vec![input(path, Some(0), Source::Refused(problem))];
    let metadata = match path.metadata() {
        Ok(metadata) => metadata,
        Err(error) => return refused(io_problem(&error)),
    };
    if !metadata.is_dir() {
        // A pipe or a device has no size that progress could be measured by.
        let bytes = metadata.is_file().then_some(metadata.len());
        return vec![input(path, bytes, Source::File(path.to_owned()))];
    }
    match discover(path) {
        Err(error) => refused(io_problem(&error)),
        Ok(found) if found.is_empty() => refused(problem(
            "no-captures",
            "no file below this directory begins like a capture; expected pcap or pcapng, also inside gzip or zstd \
             (named .pcap.gz, .pcapng.zst and the like)",
        )),
        Ok(found) => found
            .into_iter()
            .map(|path| {
                let bytes = path.metadata().ok().map(|metadata| metadata.len());
                input(&path, bytes, Source::File(path.clone()))
            })
            .collect(),
    }
}

fn problem(code: &str, text: impl Into<String>) -> Problem {
    Problem { code: code.to_owned(), offset: None, text: text.into() }
}

fn io_problem(error: &io::Error) -> Problem {
    match error.kind() {
        io::ErrorKind::NotFound => problem(
            "missing",
            "there is no such file or directory; check the spelling (a relative path starts at the current directory)",
        ),
        io::ErrorKind::PermissionDenied => {
            problem("no-permission", "reading it is not permitted; ask its owner, or run as a user who may read it")
        }
        _ => problem("io", format!("cannot be read: {error}")),
    }
}

/// Bytes of all inputs, when all are known.
pub fn total_bytes(inputs: &[Input]) -> Option<u64> {
    inputs.iter().map(|input| input.bytes).sum()
}
