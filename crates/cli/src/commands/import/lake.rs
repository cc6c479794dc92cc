//! Imported rows into a table of the lake: Parquet files as they are, dialogues and packets of logs as they are read.
//!
//! A file is known by its content: loading it again brings nothing twice, and a load that was killed goes on.

use crate::failure::Failure;
use crate::lake::{Place, knowledge};
use crate::output::TextOrJson;
use arrow_array::RecordBatch;
use noroshi_import::{Record, flowtuple, packets};
use noroshi_model::flow::{self, FlowCount, FlowKey};
use noroshi_model::packet::PacketBatch;
use noroshi_model::rows;
use noroshi_model::session::{self, Session};
use noroshi_model::tables::{TABLES, Table, named};
use noroshi_store::load::{self, LoadError, Loader};
use noroshi_store::{Journal, Lake};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

/// Rows of a log gathered before they become one batch.
const BATCH: usize = 4_096;
/// Bytes of dialogues, by their texts, before they become one batch.
const BATCH_BYTES: usize = 8 << 20;
/// While a log is followed, rows are moved from the journal into the lake so often, as a hub does.
const MOVE_EVERY: Duration = Duration::from_secs(2);
/// Whom rows of FlowTuple are said to be from: the files name nobody.
const FLOWTUPLE: &str = "flowtuple";
/// What a Parquet file begins with.
const PARQUET: [u8; 4] = *b"PAR1";

/// A table of the lake that rows go into.
pub struct Store {
    table: &'static Table,
    style: TextOrJson,
    runtime: tokio::runtime::Runtime,
    journal: Journal,
    lake: Lake,
    /// The log that is being read.
    log: Option<Log>,
    // Last, so that it is given up when everything else is closed.
    _lock: File,
}

struct Log {
    loader: Loader,
    sessions: Vec<Session>,
    bytes: usize,
    packets: PacketBatch,
    flows: Vec<(FlowKey, FlowCount)>,
    moved: Instant,
    waiting: bool,
}

impl Store {
    /// Opens the data folder, unless a hub writes to it.
    pub fn open(table: &str, place: &Place, style: TextOrJson) -> Result<Store, Failure> {
        let table = named(table).ok_or_else(|| {
            let known: Vec<&str> = TABLES.iter().map(|table| table.name).collect();
            let hint = format!("one of {}", known.join(", "));
            Failure::usage(format!("there is no table {table:?} to load into")).hint(hint)
        })?;
        let (data, lock) = place.exclusive()?;
        let runtime = tokio::runtime::Runtime::new()?;
        let (journal, lake) = runtime.block_on(async {
            let journal = Journal::open(data.join("journal.db")).await?;
            Ok::<_, Failure>((journal, Lake::open_with(place.lake_at(&data), knowledge()).await?))
        })?;
        Ok(Store { table, style, runtime, journal, lake, log: None, _lock: lock })
    }

    /// Loads the file when it is Parquet; false when it is something else.
    pub fn parquet(&self, path: &Path) -> Result<bool, Failure> {
        let mut magic = [0; 4];
        let short = path.as_os_str() == "-" || File::open(path)?.read(&mut magic)? < magic.len();
        if short || magic != PARQUET {
            return Ok(false);
        }
        let bar = crate::progress::rows(path);
        let loading = load::parquet(&self.journal, &self.lake, path, self.table, |rows| bar.set_position(rows));
        let loaded = self.runtime.block_on(loading).map_err(explain)?;
        bar.finish_and_clear();
        self.say(path, loaded)?;
        Ok(true)
    }

    fn say(&self, path: &Path, loaded: load::Loaded) -> Result<(), Failure> {
        let (path, fresh) = (crate::terminal::escape(&path.to_string_lossy()).into_owned(), loaded.rows - loaded.known);
        let table = self.table.name;
        let line = format!("{path}: {fresh} rows into {table}, {} known before", loaded.known);
        // A program reads the summary, and nothing else, on standard output.
        match self.style {
            TextOrJson::Text => Ok(writeln!(std::io::stdout(), "{line}")?),
            TextOrJson::Json => Ok(writeln!(std::io::stderr(), "{line}")?),
        }
    }

    /// Begins a log. One that is followed is known by its first line, for its content is not there yet; standard input
    /// by nothing, so that it is loaded each time.
    pub fn begin(&mut self, path: &Path, followed: bool) -> Result<(), Failure> {
        if !matches!(self.table.name, "sessions" | "packets" | "flows") {
            return Err(Failure::usage(format!("logs have no rows for table {}", self.table.name))
                .at(path.display())
                .hint(
                    "load dialogues with --into sessions, packets with --into packets, FlowTuple with --into flows, \
                     or name a Parquet file",
                ));
        }
        let nameless = path.as_os_str() == "-" || super::feed::is_one(path);
        let name = match (nameless, followed) {
            (true, _) => format!("{:?}", SystemTime::now()),
            (false, true) => first_line(path)?,
            (false, false) => load::content(path)?,
        };
        let source = format!("{}:{name}", self.table.name);
        let loader = Loader::begin(&self.journal, &self.lake, &source, self.table);
        let loader = self.runtime.block_on(loader).map_err(explain)?;
        let (packets, moved) = (PacketBatch::default(), Instant::now());
        let (sessions, flows) = (Vec::new(), Vec::new());
        self.log = Some(Log { loader, sessions, bytes: 0, packets, flows, moved, waiting: false });
        Ok(())
    }

    /// Takes a record that may be a packet, or a sum of packets.
    pub fn record(&mut self, record: &Record) -> Result<(), Failure> {
        let Some(log) = &mut self.log else { return Ok(()) };
        match self.table.name {
            "packets" => drop(packets::push(&mut log.packets, record)),
            "flows" => log.flows.extend(flowtuple::flow(record)),
            _ => return Ok(()),
        }
        if log.packets.rows.len().max(log.flows.len()) >= BATCH { self.write() } else { Ok(()) }
    }

    /// Takes a dialogue.
    pub fn session(&mut self, session: &Session) -> Result<(), Failure> {
        let Some(log) = self.log.as_mut().filter(|_| self.table.name == "sessions") else { return Ok(()) };
        let lists = [&session.credentials, &session.commands, &session.urls, &session.hashes];
        log.bytes += session.steps.len() + lists.into_iter().flatten().map(String::len).sum::<usize>();
        log.sessions.push(session.clone());
        if log.sessions.len() >= BATCH || log.bytes >= BATCH_BYTES { self.write() } else { Ok(()) }
    }

    fn write(&mut self) -> Result<(), Failure> {
        let Some(log) = &mut self.log else { return Ok(()) };
        let batch: RecordBatch = match self.table.name {
            "sessions" => session::record_batch(&log.sessions),
            "flows" => flow::record_batch(FLOWTUPLE, &log.flows),
            _ => rows::packets_record_batch(&log.packets),
        };
        (log.sessions, log.bytes, log.packets) = (Vec::new(), 0, PacketBatch::default());
        log.flows.clear();
        log.waiting |= batch.num_rows() > 0;
        self.runtime.block_on(log.loader.take(&batch)).map_err(explain)
    }

    /// Makes durable what is held, and moves it when it is time: the log is followed, and nothing comes just now.
    pub fn pause(&mut self) -> Result<(), Failure> {
        self.write()?;
        let Some(log) = self.log.as_mut().filter(|log| log.waiting && log.moved.elapsed() >= MOVE_EVERY) else {
            return Ok(());
        };
        (log.moved, log.waiting) = (Instant::now(), false);
        self.runtime.block_on(log.loader.step()).map_err(explain)
    }

    /// The end of a log: everything goes from the journal into the lake.
    pub fn end(&mut self, path: &Path) -> Result<(), Failure> {
        self.write()?;
        let Some(log) = self.log.take() else { return Ok(()) };
        let loaded = self.runtime.block_on(log.loader.finish()).map_err(explain)?;
        self.say(path, loaded)
    }
}

fn first_line(path: &Path) -> Result<String, Failure> {
    let mut line = Vec::new();
    let limit = noroshi_import::Budget::default().line_bytes as u64;
    BufReader::new(File::open(path)?.take(limit)).read_until(b'\n', &mut line)?;
    Ok(Sha256::digest(&line).iter().map(|byte| format!("{byte:02x}")).collect())
}

fn explain(error: LoadError) -> Failure {
    match error {
        LoadError::NotParquet { .. } | LoadError::Columns { .. } | LoadError::Io { .. } => Failure::refused(error),
        error => Failure::failed(error),
    }
}
