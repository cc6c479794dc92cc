//! Worker processes that look at foreign bytes, so that whatever those do happens to a process that can be spared.
//!
//! A worker lives for many batches of many sensors. One that dies or stalls costs the batch it was looking at, which is
//! refused; the next batch gets a fresh worker. Requests and answers travel over its standard input and output:
//! length (u32, little endian), JSON head, length, bytes; answered by length, JSON.

use crate::check::{Order, check};
use bytes::Bytes;
use noroshi_wire::Refusal;
use std::ffi::OsString;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::{Mutex, Semaphore};

/// Address space of a worker: the largest batch decoded, several times over.
const WORKER_BYTES_MAX: u64 = 1 << 30;
/// A batch that keeps a worker busy for longer is refused and the worker replaced.
const PATIENCE: Duration = Duration::from_secs(10);
/// Largest answer.
const ANSWER_BYTES_MAX: u32 = 64 << 10;

/// How to start a worker.
#[derive(Clone, Debug)]
pub struct WorkerCommand {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
}

/// Some workers.
pub struct Workers {
    /// `None` checks in this process.
    command: Option<WorkerCommand>,
    idle: Mutex<Vec<Worker>>,
    permits: Semaphore,
}

struct Worker {
    child: Child,
    input: ChildStdin,
    output: ChildStdout,
}

/// Why a worker gave no answer.
enum Failed {
    Start(std::io::Error),
    Died,
}

impl Workers {
    /// At most `count` at once; each is started when it is first needed.
    pub fn new(command: WorkerCommand, count: usize) -> Self {
        Workers { command: Some(command), idle: Mutex::new(Vec::new()), permits: Semaphore::new(count.max(1)) }
    }

    /// No workers: batches are checked in this process, where a panic is contained and a failing allocation is not.
    /// For tests, and for hubs whose sensors are all their own.
    pub fn in_process() -> Self {
        Workers { command: None, idle: Mutex::new(Vec::new()), permits: Semaphore::new(2) }
    }

    /// Checks a batch.
    pub async fn check(&self, order: Order, stream: Bytes) -> Result<(), Refusal> {
        let _permit = self.permits.acquire().await.expect("never closed");
        let Some(command) = &self.command else {
            let verdict = tokio::task::spawn_blocking(move || check(&order, &stream)).await;
            return verdict
                .unwrap_or_else(|_| Err("it makes the decoder fail".into()))
                .map_err(|what| Refusal::Batch { what });
        };
        let idle = self.idle.lock().await.pop();
        let answer = ask(command, idle, &order, &stream).await;
        match answer {
            Ok((worker, verdict)) => {
                self.idle.lock().await.push(worker);
                verdict.map_err(|what| Refusal::Batch { what })
            }
            Err(Failed::Died) => {
                tracing::error!(sensor = order.sensor, "a batch made the worker that checks it fail");
                Err(Refusal::Batch { what: "it made the program that checks it fail".into() })
            }
            Err(Failed::Start(error)) => {
                tracing::error!(program = %command.program.display(), %error, "cannot start a worker");
                Err(Refusal::Busy { what: "it cannot check batches".into(), retry_after_ms: 1_000 })
            }
        }
    }
}

async fn ask(
    command: &WorkerCommand,
    idle: Option<Worker>,
    order: &Order,
    stream: &[u8],
) -> Result<(Worker, Result<(), String>), Failed> {
    // One that died while idle is not this batch's fault.
    let alive = idle.and_then(|mut worker| matches!(worker.child.try_wait(), Ok(None)).then_some(worker));
    let mut worker = match alive {
        Some(worker) => worker,
        None => start(command).map_err(Failed::Start)?,
    };
    match tokio::time::timeout(PATIENCE, worker.ask(order, stream)).await {
        Ok(Ok(verdict)) => Ok((worker, verdict)),
        // Dropping a worker kills it.
        _ => Err(Failed::Died),
    }
}

fn start(command: &WorkerCommand) -> std::io::Result<Worker> {
    let mut child = Command::new(&command.program)
        .args(&command.arguments)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    let missing = || std::io::Error::other("a worker without pipes");
    let input = child.stdin.take().ok_or_else(missing)?;
    let output = child.stdout.take().ok_or_else(missing)?;
    Ok(Worker { child, input, output })
}

impl Worker {
    async fn ask(&mut self, order: &Order, stream: &[u8]) -> std::io::Result<Result<(), String>> {
        let head = serde_json::to_vec(order)?;
        self.input.write_all(&(head.len() as u32).to_le_bytes()).await?;
        self.input.write_all(&head).await?;
        self.input.write_all(&(stream.len() as u32).to_le_bytes()).await?;
        self.input.write_all(stream).await?;
        self.input.flush().await?;
        let length = self.output.read_u32_le().await?;
        if length > ANSWER_BYTES_MAX {
            return Err(std::io::Error::other("answer too long"));
        }
        let mut answer = vec![0; length as usize];
        self.output.read_exact(&mut answer).await?;
        Ok(serde_json::from_slice(&answer)?)
    }
}

/// The worker's side: answers until its input ends. Call it as the only work of a process.
pub fn serve() -> std::io::Result<()> {
    use nix::sys::resource::{Resource, setrlimit};
    setrlimit(Resource::RLIMIT_AS, WORKER_BYTES_MAX, WORKER_BYTES_MAX)?;
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    // No file can be opened and no process started from here on; the pipes stay open.
    setrlimit(Resource::RLIMIT_NOFILE, 0, 0)?;
    let (mut input, mut output) = (std::io::stdin().lock(), std::io::stdout().lock());
    while let Some(head) = read_part(&mut input)? {
        let Some(stream) = read_part(&mut input)? else { return Ok(()) };
        let order: Order = serde_json::from_slice(&head)?;
        let verdict = check(&order, &stream);
        let answer = serde_json::to_vec(&verdict)?;
        output.write_all(&(answer.len() as u32).to_le_bytes())?;
        output.write_all(&answer)?;
        output.flush()?;
    }
    Ok(())
}

fn read_part(input: &mut impl Read) -> std::io::Result<Option<Vec<u8>>> {
    let mut length = [0; 4];
    match input.read_exact(&mut length) {
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    }
    let mut bytes = vec![0; u32::from_le_bytes(length) as usize];
    input.read_exact(&mut bytes)?;
    Ok(Some(bytes))
}
