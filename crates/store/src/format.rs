//! Answers as people and programs read them: table, JSON, CSV, Parquet, Arrow.
//!
//! Addresses are shown as text and other bytes in hexadecimal, except in Parquet and Arrow, which keep the types. Foreign
//! text is made harmless for where it goes: control characters are escaped in tables, and a CSV cell never starts a
//! formula in a spreadsheet (OWASP, "CSV Injection").

use crate::query::{QueryError, Rows};
use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, SchemaRef};
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use noroshi_model::Addr;
use parquet::arrow::ArrowWriter;
use std::io::{self, Write};

/// How an answer is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// Aligned columns for reading.
    Table,
    /// One document, `"schema": "noroshi.query/1"`.
    Json,
    /// Comma-separated values with a header row (RFC 4180).
    Csv,
    /// Apache Parquet.
    Parquet,
    /// An Arrow IPC stream.
    Arrow,
}

/// Why an answer could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The query ended early; what was written is incomplete.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// The output.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A value that the format cannot hold.
    #[error(transparent)]
    Arrow(#[from] ArrowError),
    /// A value that Parquet cannot hold.
    #[error(transparent)]
    Parquet(#[from] parquet::errors::ParquetError),
}

/// Writes the rows as they come (a table when all have come, because its columns are aligned); returns their number.
pub async fn write(rows: &mut Rows, format: Format, out: &mut (impl Write + Send)) -> Result<usize, WriteError> {
    let schema = rows.schema();
    match format {
        Format::Table => table(rows, &schema, out).await,
        Format::Json => json(rows, &schema, out).await,
        Format::Csv => csv(rows, &schema, out).await,
        Format::Parquet => {
            let mut writer = ArrowWriter::try_new(out, schema, None)?;
            let mut count = 0;
            while let Some(batch) = rows.next().await? {
                count += batch.num_rows();
                writer.write(&batch)?;
            }
            writer.close()?;
            Ok(count)
        }
        Format::Arrow => {
            let mut writer = arrow::ipc::writer::StreamWriter::try_new(out, &schema)?;
            let mut count = 0;
            while let Some(batch) = rows.next().await? {
                count += batch.num_rows();
                writer.write(&batch)?;
            }
            writer.finish()?;
            Ok(count)
        }
    }
}

async fn table(rows: &mut Rows, schema: &SchemaRef, out: &mut impl Write) -> Result<usize, WriteError> {
    let mut lines: Vec<Vec<String>> = Vec::new();
    while let Some(batch) = rows.next().await? {
        let cells = Cells::of(&batch)?;
        lines.extend(
            (0..batch.num_rows()).map(|row| cells.row(row).map(|text| escape(&text.unwrap_or_default())).collect()),
        );
    }
    let names: Vec<String> = schema.fields().iter().map(|field| escape(field.name())).collect();
    let width = |at: usize| {
        let cells = lines.iter().map(|line| line[at].chars().count());
        cells.chain([names[at].chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..names.len()).map(width).collect();
    let right: Vec<bool> = schema.fields().iter().map(|field| field.data_type().is_numeric()).collect();
    let mut line = |cells: &[String]| {
        let mut text = String::new();
        for ((cell, width), right) in cells.iter().zip(&widths).zip(&right) {
            let padding = " ".repeat(width.saturating_sub(cell.chars().count()));
            let (before, after) = if *right { (&*padding, "") } else { ("", &*padding) };
            text.extend([before, cell, after, "  "]);
        }
        writeln!(out, "{}", text.trim_end())
    };
    line(&names)?;
    for cells in &lines {
        line(cells)?;
    }
    Ok(lines.len())
}

async fn json(rows: &mut Rows, schema: &SchemaRef, out: &mut impl Write) -> Result<usize, WriteError> {
    let columns: Vec<_> = schema
        .fields()
        .iter()
        .map(|field| serde_json::json!({"name": field.name(), "type": field.data_type().to_string()}))
        .collect();
    write!(out, "{{\"schema\":\"noroshi.query/1\",\"columns\":{},\"rows\":[", serde_json::Value::from(columns))?;
    let mut count = 0;
    while let Some(batch) = rows.next().await? {
        let cells = Cells::of(&batch)?;
        for row in 0..batch.num_rows() {
            let values: Vec<_> = cells.values(row).collect();
            write!(out, "{}\n{}", if count == 0 { "" } else { "," }, serde_json::Value::from(values))?;
            count += 1;
        }
    }
    writeln!(out, "]}}")?;
    Ok(count)
}

async fn csv(rows: &mut Rows, schema: &SchemaRef, out: &mut impl Write) -> Result<usize, WriteError> {
    let names: Vec<String> = schema.fields().iter().map(|field| quoted(field.name(), true)).collect();
    writeln!(out, "{}", names.join(","))?;
    let mut count = 0;
    while let Some(batch) = rows.next().await? {
        let cells = Cells::of(&batch)?;
        let foreign: Vec<bool> = cells.0.iter().map(|cell| matches!(cell, Cell::Text(_))).collect();
        for row in 0..batch.num_rows() {
            let line: Vec<String> = cells
                .row(row)
                .zip(&foreign)
                .map(|(text, foreign)| text.map_or_else(String::new, |text| quoted(&text, *foreign)))
                .collect();
            writeln!(out, "{}", line.join(","))?;
        }
        count += batch.num_rows();
    }
    Ok(count)
}

/// A CSV cell. Foreign text that a spreadsheet would take for a formula gets an apostrophe before it.
fn quoted(text: &str, foreign: bool) -> String {
    let formula = foreign && text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let text = if formula { format!("'{text}") } else { text.to_owned() };
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

/// Control and direction-changing characters as `\u{…}`, so that foreign text moves no cursor.
fn escape(text: &str) -> String {
    let harmful = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    if !text.chars().any(harmful) {
        return text.to_owned();
    }
    text.chars().fold(String::new(), |mut out, c| {
        if harmful(c) {
            out.extend(c.escape_unicode())
        } else {
            out.push(c)
        }
        out
    })
}

/// Columns whose bytes are addresses, by their name in the data dictionary.
const ADDRESSES: [&str; 7] = ["src", "dst", "quoted_src", "quoted_dst", "inner_src", "inner_dst", "victim"];

enum Cell<'a> {
    Address(BinaryArray),
    Bytes(BinaryArray),
    /// Numbers and truth values: their text is their JSON.
    Plain(ArrayFormatter<'a>, &'a ArrayRef),
    Text(ArrayFormatter<'a>),
}

/// The columns of a batch, ready to be shown.
struct Cells<'a>(Vec<Cell<'a>>);

impl<'a> Cells<'a> {
    fn of(batch: &'a RecordBatch) -> Result<Self, ArrowError> {
        const OPTIONS: FormatOptions<'static> = FormatOptions::new().with_display_error(true);
        let mut cells = Vec::new();
        for (field, array) in batch.schema_ref().fields().iter().zip(batch.columns()) {
            cells.push(match array.data_type() {
                DataType::Binary | DataType::BinaryView | DataType::LargeBinary => {
                    let bytes = cast(array, &DataType::Binary)?.as_binary::<i32>().clone();
                    if ADDRESSES.contains(&field.name().as_str()) { Cell::Address(bytes) } else { Cell::Bytes(bytes) }
                }
                kind if kind.is_numeric() || *kind == DataType::Boolean => {
                    Cell::Plain(ArrayFormatter::try_new(array, &OPTIONS)?, array)
                }
                _ => Cell::Text(ArrayFormatter::try_new(array, &OPTIONS)?),
            });
        }
        Ok(Cells(cells))
    }

    /// The cells of a row as text; `None` is null.
    fn row(&self, row: usize) -> impl Iterator<Item = Option<String>> {
        self.0.iter().map(move |cell| match cell {
            Cell::Address(bytes) => (!bytes.is_null(row)).then(|| address(bytes.value(row))),
            Cell::Bytes(bytes) => (!bytes.is_null(row)).then(|| hexadecimal(bytes.value(row))),
            Cell::Plain(text, _) | Cell::Text(text) => {
                Some(text.value(row).to_string()).filter(|text| !text.is_empty())
            }
        })
    }

    /// The cells of a row as JSON.
    fn values(&self, row: usize) -> impl Iterator<Item = serde_json::Value> {
        self.0.iter().zip(self.row(row)).map(move |(cell, text)| match (cell, text) {
            (_, None) => serde_json::Value::Null,
            (Cell::Plain(_, array), Some(_)) if array.is_null(row) => serde_json::Value::Null,
            // Not a number and infinities have no JSON; they become text.
            (Cell::Plain(..), Some(text)) => serde_json::from_str(&text).unwrap_or(serde_json::Value::String(text)),
            (_, Some(text)) => serde_json::Value::String(text),
        })
    }
}

fn address(bytes: &[u8]) -> String {
    let addr = match (<[u8; 4]>::try_from(bytes), <[u8; 16]>::try_from(bytes)) {
        (Ok(v4), _) => Addr::v4(u32::from_be_bytes(v4)),
        (_, Ok(v6)) => Addr::from_bytes(v6),
        _ => return hexadecimal(bytes),
    };
    addr.to_string()
}

pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_is_harmless_in_cells_and_on_terminals() {
        assert_eq!(quoted("=1+1", true), "'=1+1");
        assert_eq!(quoted("-5", false), "-5");
        assert_eq!(quoted("a,\"b\"", true), "\"a,\"\"b\"\"\"");
        assert_eq!(escape("a\x1b[2J"), "a\\u{1b}[2J");
    }

    #[test]
    fn addresses_are_text() {
        assert_eq!(address(&[192, 0, 2, 7]), "192.0.2.7");
        assert_eq!(address(&"2001:db8::1".parse::<Addr>().unwrap().bytes()), "2001:db8::1");
        assert_eq!(address(&[1, 2]), "0102");
    }
}
