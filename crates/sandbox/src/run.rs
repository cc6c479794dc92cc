//! One run, from the caller's side.

use crate::architecture::NotRunnable;
use crate::channel::{Order, Outcome, receive, receive_descriptor, send};
use crate::internet::{Internet, Seen};
use crate::trace::Trace;
use crate::{Architecture, Tools, cell};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// Bounds of a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct Limits {
    /// Seconds. Default 30.
    pub seconds: u64,
    /// Bytes of memory, all processes together. Default 512 MiB.
    pub memory_bytes: u64,
    /// Processes. Default 64.
    pub processes: u64,
    /// Bytes of files. Default 64 MiB.
    pub disk_bytes: u64,
    /// Files. Default 4,096.
    pub files: u64,
    /// Bytes of its output that are kept. Default 64 KiB.
    pub output_bytes: u64,
    /// Bytes of the trace of system calls that are kept. Default 32 MiB.
    pub trace_bytes: u64,
    /// Bytes of traffic that are kept; more is still answered. Default 64 MiB.
    pub traffic_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            seconds: 30,
            memory_bytes: 512 << 20,
            processes: 64,
            disk_bytes: 64 << 20,
            files: 4096,
            output_bytes: 64 << 10,
            trace_bytes: 32 << 20,
            traffic_bytes: 64 << 20,
        }
    }
}

/// How to run.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Settings {
    /// Bounds.
    pub limits: Limits,
    /// Arguments of the sample.
    pub arguments: Vec<String>,
    /// Further files inside, by path.
    pub files: Vec<(String, Vec<u8>)>,
    /// A word that the fake Internet proves itself by to specimens of ours, see `specimens/specimen.c`.
    pub token: Option<String>,
    /// The program that is the cell, and its arguments before [`cell::WORD`]; this one when none is given.
    pub cell: Option<PathBuf>,
}

/// Why nothing was run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file is not something that can be run.
    #[error("{0}")]
    NotRunnable(#[from] NotRunnable),
    /// Programs are missing.
    #[error("the sandbox needs programs that are not installed: apt install {}", .0.join(" "))]
    Missing(Vec<&'static str>),
    /// The cell could not be set up.
    #[error("the sandbox could not be set up: {0}")]
    Setup(String),
    /// The operating system refused.
    #[error("the sandbox failed: {0}")]
    Io(#[from] io::Error),
}

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Run {
    /// For which machine the sample is.
    pub architecture: Architecture,
    /// How it ended, and what it left.
    pub outcome: Outcome,
    /// What it sent, and to whom it spoke.
    pub seen: Seen,
    /// What it asked of the system.
    pub trace: Trace,
    /// The trace as the emulator wrote it, the beginning.
    pub trace_text: String,
}

/// First kernel user of sandboxes; a run takes one of the next million, so that runs beside each other share no limit.
const USERS_FROM: u32 = 1_900_000_000;
/// Kernel users that sandboxes take turns with.
const USERS: u32 = 1_000_000;

/// Runs of this process so far.
static RUNS: AtomicU32 = AtomicU32::new(0);

/// A kernel user for one run.
fn user() -> u32 {
    let number = RUNS.fetch_add(1, Ordering::Relaxed);
    USERS_FROM + std::process::id().wrapping_mul(64).wrapping_add(number) % USERS
}

/// Runs a sample to its end or its limits. Takes as long as that.
pub fn run(sample: &[u8], settings: &Settings) -> Result<Run, Error> {
    let architecture = Architecture::of(sample)?;
    let tools = Tools::find(architecture).map_err(Error::Missing)?;
    let (ours, theirs) = UnixStream::pair()?;
    let program = settings.cell.clone().map_or_else(std::env::current_exe, Ok)?;
    let mut child = Command::new(program)
        .arg(cell::WORD)
        .env_clear()
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    let result = talk(ours, sample, architecture, tools, settings);
    // The cell has said all it had to say, or never will.
    let _already_gone = child.kill();
    let output = child.wait_with_output()?;
    result.map_err(|error| match error {
        Error::Io(error) if !output.stderr.is_empty() => {
            Error::Setup(format!("{error}: {}", String::from_utf8_lossy(&output.stderr).trim()))
        }
        other => other,
    })
}

fn talk(
    mut cell: UnixStream,
    sample: &[u8],
    architecture: Architecture,
    tools: Tools,
    settings: &Settings,
) -> Result<Run, Error> {
    let root = nix::unistd::Uid::effective().is_root();
    let order = Order {
        bwrap: tools.bwrap,
        ip: tools.ip,
        emulator: tools.emulator,
        libraries: tools.libraries,
        arguments: settings.arguments.clone(),
        files: settings.files.clone(),
        limits: settings.limits,
        user: if root { user() } else { 0 },
    };
    send(&mut cell, &serde_json::to_vec(&order).map_err(io::Error::from)?)?;
    send(&mut cell, sample)?;
    let wire = File::from(receive_descriptor(&mut cell)?.map_err(Error::Setup)?);
    let internet = Internet::new(settings.token.clone(), settings.limits.traffic_bytes);
    let stop = Arc::new(AtomicBool::new(false));
    let server = {
        let stop = Arc::clone(&stop);
        std::thread::spawn(move || internet.serve(wire, &stop))
    };
    let outcome = receive(&mut cell);
    let trace = receive(&mut cell);
    stop.store(true, Ordering::Relaxed);
    let seen = server.join().map_err(|_| Error::Setup("the fake Internet failed".into()))?;
    let outcome: Outcome = serde_json::from_slice(&outcome?).map_err(io::Error::from)?;
    let trace_text = String::from_utf8_lossy(&trace?).into_owned();
    Ok(Run { architecture, outcome, seen, trace: Trace::read(&trace_text), trace_text })
}
