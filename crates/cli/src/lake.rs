//! What the commands that ask the lake have in common: where it is, what a query may use, how an answer is written.

use crate::failure::Failure;
use crate::output::Output;
use noroshi_model::Nanos;
use noroshi_store::format::{Format, WriteError};
use noroshi_store::{Enrich, Lake, Limits, Origin, QueryError, Rows};
use std::fs::File;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Where the data is.
#[derive(clap::Args, Clone)]
pub struct Place {
    /// Folder that the hub writes to; the lake is `lake` in it [default: ~/.local/share/noroshi].
    #[arg(long, value_name = "DIR", env = "NOROSHI_DATA")]
    data: Option<PathBuf>,
    /// Where the lake is instead: s3://BUCKET/PREFIX, or a folder.
    #[arg(long, value_name = "PLACE", env = "NOROSHI_LAKE")]
    lake: Option<PathBuf>,
}

impl Place {
    /// The data folder.
    pub fn data(&self) -> Result<PathBuf, Failure> {
        let home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".local/share/noroshi"));
        self.data.clone().or_else(home).ok_or_else(|| {
            Failure::usage("no place for the data: neither NOROSHI_DATA nor HOME is set").hint("name one with --data")
        })
    }

    /// Where the lake is, for that data folder.
    pub fn lake_at(&self, data: &Path) -> PathBuf {
        self.lake.clone().unwrap_or_else(|| data.join("lake"))
    }

    /// The data folder, which no hub may use until the lock is dropped. The folder is made when there is none.
    pub fn exclusive(&self) -> Result<(PathBuf, File), Failure> {
        let data = self.data()?;
        let at = |error: std::io::Error| Failure::from(error).at(data.display());
        std::fs::create_dir_all(&data).map_err(at)?;
        let lock = File::options().create(true).truncate(false).write(true).open(data.join("lock")).map_err(at)?;
        lock.try_lock().map_err(|_| {
            Failure::failed("a hub is using this folder").at(data.display()).hint("stop it first, then try again")
        })?;
        Ok((data, lock))
    }

    /// The lake, for reading, with what is known of addresses on this machine.
    pub fn lake(&self) -> Result<Lake, Failure> {
        let data = self.data()?;
        let dir = self.lake_at(&data);
        Lake::open_to_read(&dir, knowledge_beside(data.join("knowledge")))
            .map_err(|error| Failure::refused(error).at(dir.display()))
    }
}

/// Countries and networks from imported tables; without them `country` and `asn` are null.
pub fn knowledge() -> Enrich {
    knowledge_in(noroshi_enrich::default_dir())
}

/// The tables that the hub of a data folder uses; without them those of this person.
fn knowledge_beside(dir: PathBuf) -> Enrich {
    knowledge_in(Some(dir).filter(|dir| dir.is_dir()).or_else(noroshi_enrich::default_dir))
}

fn knowledge_in(dir: Option<PathBuf>) -> Enrich {
    let opened = dir.and_then(|dir| noroshi_enrich::Knowledge::open(&dir).ok());
    let Some(knowledge) = opened else { return Enrich::none() };
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = Nanos(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX));
    Enrich::new(move |addr| {
        let (country, asn) = knowledge.country_and_asn(addr, now);
        Origin { country: country.and_then(|code| code.as_str().as_bytes().try_into().ok()), asn }
    })
}

/// What a query may use.
#[derive(clap::Args, Clone)]
pub struct Use {
    /// Seconds that the query may take.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    time_limit: u64,
    /// Memory in MiB that the query may take.
    #[arg(long, value_name = "MIB", default_value_t = 1024)]
    memory_limit: usize,
    /// Rows that the answer may have.
    #[arg(long, value_name = "ROWS", default_value_t = 1_000_000)]
    row_limit: usize,
}

impl Use {
    /// As the store takes them.
    pub fn limits(&self) -> Limits {
        Limits {
            time: Duration::from_secs(self.time_limit),
            memory: self.memory_limit.saturating_mul(1 << 20),
            rows: self.row_limit,
        }
    }
}

/// How an answer is written.
#[derive(clap::Args, Clone)]
pub struct Style {
    /// How the answer is written.
    #[arg(long, short, value_enum, default_value_t = Shape::Table)]
    format: Shape,
    /// Write to a file instead of standard output; it appears when it is whole.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Forms of an answer.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Shape {
    /// Aligned columns.
    Table,
    /// One JSON document.
    Json,
    /// Comma-separated values with a header row.
    Csv,
    /// Apache Parquet.
    Parquet,
    /// An Arrow IPC stream.
    Arrow,
}

impl Style {
    /// That form, there.
    pub fn new(format: Shape, output: Option<PathBuf>) -> Self {
        Style { format, output }
    }

    /// Refuses binary formats on a terminal, before the question is asked.
    pub fn check(&self) -> Result<(), Failure> {
        let binary = matches!(self.format, Shape::Parquet | Shape::Arrow);
        if binary && Output::is_terminal(self.output.as_deref()) {
            return Err(
                Failure::usage("this format is not for a terminal").hint("name a file with --output, or pipe it")
            );
        }
        Ok(())
    }

    /// Writes the rows.
    pub async fn write(&self, rows: &mut Rows) -> Result<usize, Failure> {
        let mut output = Output::open(self.output.as_deref())?;
        let format = match self.format {
            Shape::Table => Format::Table,
            Shape::Json => Format::Json,
            Shape::Csv => Format::Csv,
            Shape::Parquet => Format::Parquet,
            Shape::Arrow => Format::Arrow,
        };
        let written = match noroshi_store::format::write(rows, format, &mut output).await {
            Ok(written) => written,
            Err(WriteError::Query(error)) => return Err(refused(error)),
            Err(WriteError::Io(error)) => return Err(error.into()),
            Err(error) => return Err(error.into()),
        };
        output.finish()?;
        Ok(written)
    }
}

/// A query without an answer: wrong questions are refused (3), a lake that fails is a failure (1).
pub fn refused(error: QueryError) -> Failure {
    match error {
        QueryError::Lake(error) => Failure::failed(error),
        QueryError::Unreachable(_) => Failure::failed(error),
        error => Failure::refused(error),
    }
}

/// Runs the work to its end on a runtime of its own.
pub fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::runtime::Runtime::new()?.block_on(work)
}
