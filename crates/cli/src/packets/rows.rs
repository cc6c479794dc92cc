//! Rows as text: CSV and newline-delimited JSON.
//!
//! Times are seconds since 1970 UTC with nine decimals, addresses are text, bytes are hexadecimal. A bit set is its
//! number, followed by a column `<name>_names` with the names of its bits.
//!
//! CSV follows RFC 4180; a text cell that a spreadsheet would run as a formula (first character `=`, `+`, `-`, `@`, tab
//! or line break) is preceded by an apostrophe. In JSON a field that the packet lacks is left out.

use crate::terminal::escape;
use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, TimestampNanosecondType, UInt8Type, UInt16Type, UInt32Type};
use arrow_array::{Array, ArrayRef, StringArray};
use noroshi_model::columns::{Column, Type};
use noroshi_model::packet::{Oddities, PacketBatch, ToolBits, tcp};
use noroshi_model::rows::record_batch;
use noroshi_model::{Addr, Nanos};
use std::io::Write;

/// Which text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Text {
    /// RFC 4180 with a header row.
    Csv,
    /// One JSON object per line.
    Ndjson,
}

/// The header row of CSV; nothing for JSON.
pub fn head(text: Text, columns: &[&'static Column]) -> String {
    if text == Text::Ndjson {
        return String::new();
    }
    let mut names = Vec::new();
    for column in columns {
        names.push(column.name.to_owned());
        if bit_names(column.name).is_some() {
            names.push(format!("{}_names", column.name));
        }
    }
    names.join(",") + "\r\n"
}

/// Appends the rows of a batch.
pub fn write(text: Text, columns: &[&'static Column], batch: &PacketBatch, out: &mut Vec<u8>) {
    let arrays = record_batch(batch, columns.iter().copied());
    let cells: Vec<Cells> =
        columns.iter().zip(arrays.columns()).map(|(column, array)| Cells::new(column, array)).collect();
    for row in 0..batch.rows.len() {
        match text {
            Text::Csv => csv_row(&cells, row, out),
            Text::Ndjson => json_row(&cells, row, out),
        }
    }
}

/// The values of one column.
struct Cells<'a> {
    name: &'static str,
    array: &'a ArrayRef,
    values: Values<'a>,
    bits: Option<BitNames>,
}

enum Values<'a> {
    Time(&'a [i64]),
    Address(&'a ArrayRef),
    Keyword(&'a ArrayRef, &'a StringArray),
    U8(&'a [u8]),
    U16(&'a [u16]),
    U32(&'a [u32]),
    Bool(&'a ArrayRef),
    Bytes(&'a ArrayRef),
}

impl<'a> Cells<'a> {
    fn new(column: &'static Column, array: &'a ArrayRef) -> Self {
        let values = match column.kind {
            Type::Time => Values::Time(array.as_primitive::<TimestampNanosecondType>().values()),
            Type::Address => Values::Address(array),
            Type::Keyword => Values::Keyword(array, array.as_dictionary::<Int32Type>().values().as_string()),
            Type::U8 => Values::U8(array.as_primitive::<UInt8Type>().values()),
            Type::U16 => Values::U16(array.as_primitive::<UInt16Type>().values()),
            Type::U32 => Values::U32(array.as_primitive::<UInt32Type>().values()),
            Type::Bool => Values::Bool(array),
            Type::Bytes => Values::Bytes(array),
            #[allow(unreachable_patterns)] // table packets has no other type; a new one is written as nothing
            _ => Values::U8(&[]),
        };
        Cells { name: column.name, array, values, bits: bit_names(column.name) }
    }

    fn is_null(&self, row: usize) -> bool {
        self.array.is_null(row)
    }

    fn bits_at(&self, row: usize) -> u32 {
        match self.values {
            Values::U8(values) => values[row].into(),
            Values::U16(values) => values[row].into(),
            Values::U32(values) => values[row],
            _ => 0,
        }
    }
}

fn csv_row(cells: &[Cells], row: usize, out: &mut Vec<u8>) {
    for (i, cell) in cells.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        if !cell.is_null(row) {
            match &cell.values {
                Values::Keyword(array, texts) => {
                    csv_text(texts.value(array.as_dictionary::<Int32Type>().keys().value(row) as usize), out);
                }
                values => plain(values, row, out),
            }
        }
        if let Some(names) = cell.bits {
            out.push(b',');
            if !cell.is_null(row) {
                let mut space = false;
                names(cell.bits_at(row), &mut |name| {
                    if std::mem::replace(&mut space, true) {
                        out.push(b' ');
                    }
                    out.extend_from_slice(name.as_bytes());
                });
            }
        }
    }
    out.extend_from_slice(b"\r\n");
}

fn csv_text(text: &str, out: &mut Vec<u8>) {
    let text = escape(text);
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']);
    let quoted = formula || text.contains(['"', ',', '\r', '\n']);
    if !quoted {
        return out.extend_from_slice(text.as_bytes());
    }
    out.push(b'"');
    if formula {
        out.push(b'\'');
    }
    for c in text.chars() {
        if c == '"' {
            out.push(b'"');
        }
        out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
    }
    out.push(b'"');
}

fn json_row(cells: &[Cells], row: usize, out: &mut Vec<u8>) {
    out.push(b'{');
    let mut first = true;
    for cell in cells.iter().filter(|cell| !cell.is_null(row)) {
        if !std::mem::replace(&mut first, false) {
            out.push(b',');
        }
        out.push(b'"');
        out.extend_from_slice(cell.name.as_bytes());
        out.extend_from_slice(b"\":");
        json_value(cell, row, out);
        if let Some(names) = cell.bits {
            let _ = write!(out, ",\"{}_names\":[", cell.name);
            let mut comma = false;
            names(cell.bits_at(row), &mut |name| {
                if std::mem::replace(&mut comma, true) {
                    out.push(b',');
                }
                let _ = write!(out, "\"{name}\"");
            });
            out.push(b']');
        }
    }
    out.extend_from_slice(b"}\n");
}

fn json_value(cell: &Cells, row: usize, out: &mut Vec<u8>) {
    match &cell.values {
        Values::Keyword(array, texts) => {
            let text = texts.value(array.as_dictionary::<Int32Type>().keys().value(row) as usize);
            // Writing a string to memory cannot fail.
            let _ = serde_json::to_writer(out, text);
        }
        values @ (Values::Time(_) | Values::Address(_) | Values::Bytes(_)) => {
            out.push(b'"');
            plain(values, row, out);
            out.push(b'"');
        }
        values => plain(values, row, out),
    }
}

/// A value that is the same in both texts, without quotes.
fn plain(values: &Values, row: usize, out: &mut Vec<u8>) {
    match values {
        Values::Time(values) => {
            let _ = write!(out, "{}", Nanos(values[row]));
        }
        Values::Address(array) => {
            if let Ok(bytes) = array.as_fixed_size_binary().value(row).try_into() {
                push_address(Addr::from_bytes(bytes), out);
            }
        }
        Values::U8(values) => push_number(values[row].into(), out),
        Values::U16(values) => push_number(values[row].into(), out),
        Values::U32(values) => push_number(values[row], out),
        Values::Bool(array) => {
            out.extend_from_slice(if array.as_boolean().value(row) { b"true" } else { b"false" });
        }
        Values::Bytes(array) => {
            const DIGITS: &[u8; 16] = b"0123456789abcdef";
            for byte in array.as_binary::<i32>().value(row) {
                out.extend_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
            }
        }
        Values::Keyword(..) => {}
    }
}

fn push_address(addr: Addr, out: &mut Vec<u8>) {
    match addr.as_v4() {
        Some(bits) => {
            for (i, byte) in bits.to_be_bytes().into_iter().enumerate() {
                if i > 0 {
                    out.push(b'.');
                }
                push_number(byte.into(), out);
            }
        }
        None => {
            let _ = write!(out, "{addr}");
        }
    }
}

fn push_number(number: u32, out: &mut Vec<u8>) {
    let (mut digits, mut at, mut rest) = ([0u8; 10], 10, number);
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// Calls back with the name of each bit that is set.
type BitNames = fn(u32, &mut dyn FnMut(&'static str));

fn bit_names(column: &str) -> Option<BitNames> {
    match column {
        "tcp_flags" => Some(|bits, tell| {
            const NAMES: [(u8, &str); 8] = [
                (tcp::FIN, "FIN"),
                (tcp::SYN, "SYN"),
                (tcp::RST, "RST"),
                (tcp::PSH, "PSH"),
                (tcp::ACK, "ACK"),
                (tcp::URG, "URG"),
                (tcp::ECE, "ECE"),
                (tcp::CWR, "CWR"),
            ];
            NAMES.into_iter().filter(|(bit, _)| bits & u32::from(*bit) != 0).for_each(|(_, name)| tell(name));
        }),
        "tool_bits" => Some(|bits, tell| ToolBits(bits as u16).codes().for_each(tell)),
        "oddities" => Some(|bits, tell| Oddities(bits).codes().for_each(tell)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_safe_in_a_spreadsheet() {
        let cell = |text: &str| {
            let mut out = Vec::new();
            csv_text(text, &mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(cell("MSTNW"), "MSTNW");
        assert_eq!(cell("=1+1"), "\"'=1+1\"");
        assert_eq!(cell("@x,\"y\""), "\"'@x,\"\"y\"\"\"");
        assert_eq!(cell("a,b"), "\"a,b\"");
        assert_eq!(cell("\u{1b}[2J"), "\\u{1b}[2J");
    }

    #[test]
    fn numbers_and_addresses() {
        let text = |write: &dyn Fn(&mut Vec<u8>)| {
            let mut out = Vec::new();
            write(&mut out);
            String::from_utf8(out).unwrap()
        };
        for n in [0, 7, 10, 65_535, u32::MAX] {
            assert_eq!(text(&|out| push_number(n, out)), n.to_string());
        }
        for addr in ["0.0.0.0", "192.0.2.255", "2001:db8::1", "::"] {
            assert_eq!(text(&|out| push_address(addr.parse().unwrap(), out)), addr);
        }
    }
}
