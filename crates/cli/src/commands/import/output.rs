//! Rows to a file: NDJSON or Parquet, by its name.

use crate::failure::Failure;
use arrow_array::RecordBatch;
use noroshi_import::{Record, packets, record};
use noroshi_model::columns::{PACKETS, schema_of};
use noroshi_model::packet::PacketBatch;
use noroshi_model::rows;
use noroshi_model::session::{self, SESSIONS, Session};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use serde::Serialize;
use std::io::{BufWriter, Write};
use std::path::Path;

/// A file, or standard output.
pub type File = BufWriter<Box<dyn Write + Send>>;

/// Rows gathered before they become one batch.
const BATCH: usize = 8_192;

/// Which rows are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Table {
    /// Each record as it stands in its log.
    Records,
    /// Dialogues with honeypots, put together from their records.
    Sessions,
    /// Packets, of logs whose lines are packets.
    Packets,
}

/// Opens a file for writing.
pub fn create(path: &Path) -> Result<File, Failure> {
    if path.as_os_str() == "-" {
        return Ok(BufWriter::new(Box::new(std::io::stdout())));
    }
    let file = std::fs::File::create(path).map_err(|error| {
        Failure::failed(format!("the file cannot be written: {error}"))
            .at(path.display())
            .hint("check that the directory exists and that you may write there")
    })?;
    Ok(BufWriter::new(Box::new(file)))
}

enum Sink {
    Ndjson(File),
    Parquet(Box<ArrowWriter<File>>),
}

/// Where rows go.
pub struct Output {
    table: Table,
    sink: Sink,
    records: Vec<Record>,
    sessions: Vec<Session>,
    packets: PacketBatch,
}

impl Output {
    /// A file whose ending decides how rows are written.
    pub fn create(path: &Path, table: Table) -> Result<Self, Failure> {
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        let sink = match ending {
            "parquet" => {
                let columns = match table {
                    Table::Records => record::RECORDS,
                    Table::Sessions => SESSIONS,
                    Table::Packets => PACKETS,
                };
                let level = ZstdLevel::try_new(3).expect("level 3 exists");
                let properties = WriterProperties::builder().set_compression(Compression::ZSTD(level)).build();
                Sink::Parquet(Box::new(ArrowWriter::try_new(create(path)?, schema_of(columns), Some(properties))?))
            }
            "ndjson" | "jsonl" => Sink::Ndjson(create(path)?),
            _ if path.as_os_str() == "-" => Sink::Ndjson(create(path)?),
            _ => {
                return Err(Failure::usage("the ending of the output file says how to write it")
                    .at(path.display())
                    .hint("end it in .ndjson or .parquet, or give - for NDJSON on standard output"));
            }
        };
        if table == Table::Packets && matches!(sink, Sink::Ndjson(_)) {
            return Err(Failure::usage("packets are written as Parquet only")
                .at(path.display())
                .hint("end the file in .parquet; --table records gives the header fields as NDJSON"));
        }
        Ok(Output { table, sink, records: Vec::new(), sessions: Vec::new(), packets: PacketBatch::default() })
    }

    /// Takes a record.
    pub fn record(&mut self, record: Record) -> Result<(), Failure> {
        match (self.table, &mut self.sink) {
            (Table::Records, Sink::Ndjson(file)) => line(file, &record),
            (Table::Records, Sink::Parquet(_)) => {
                self.records.push(record);
                self.write_when_full()
            }
            (Table::Packets, _) => {
                packets::push(&mut self.packets, &record);
                self.write_when_full()
            }
            (Table::Sessions, _) => Ok(()),
        }
    }

    /// Takes a dialogue.
    pub fn session(&mut self, session: Session) -> Result<(), Failure> {
        match (self.table, &mut self.sink) {
            (Table::Sessions, Sink::Ndjson(file)) => line(file, &session),
            (Table::Sessions, Sink::Parquet(_)) => {
                self.sessions.push(session);
                self.write_when_full()
            }
            _ => Ok(()),
        }
    }

    fn write_when_full(&mut self) -> Result<(), Failure> {
        let gathered = self.records.len().max(self.sessions.len()).max(self.packets.rows.len());
        if gathered >= BATCH { self.write() } else { Ok(()) }
    }

    fn write(&mut self) -> Result<(), Failure> {
        let batch: RecordBatch = match self.table {
            Table::Records => record::record_batch(&self.records),
            Table::Sessions => session::record_batch(&self.sessions),
            Table::Packets => rows::record_batch(&self.packets, PACKETS),
        };
        self.records.clear();
        self.sessions.clear();
        self.packets = PacketBatch::default();
        match &mut self.sink {
            Sink::Parquet(writer) => Ok(writer.write(&batch)?),
            Sink::Ndjson(_) => Ok(()),
        }
    }

    /// Writes lines out. Parquet has no lines: it is written when it is closed.
    pub fn flush(&mut self) -> Result<(), Failure> {
        match &mut self.sink {
            Sink::Ndjson(file) => Ok(file.flush()?),
            Sink::Parquet(_) => Ok(()),
        }
    }

    /// Writes what is left and closes the file.
    pub fn finish(mut self) -> Result<(), Failure> {
        if matches!(self.sink, Sink::Parquet(_)) {
            self.write()?;
        }
        match self.sink {
            Sink::Ndjson(mut file) => Ok(file.flush()?),
            Sink::Parquet(writer) => {
                writer.into_inner()?.flush()?;
                Ok(())
            }
        }
    }
}

fn line(file: &mut File, row: &impl Serialize) -> Result<(), Failure> {
    serde_json::to_writer(&mut *file, row)?;
    Ok(file.write_all(b"\n")?)
}
