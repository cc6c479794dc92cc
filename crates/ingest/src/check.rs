//! Is this foreign Arrow stream one batch of rows of the fixed schema, from the sensor that sent it?
//!
//! A pure function over bytes, with budgets. It runs in a worker process: arrow-rs validates what it reads, but panics
//! and large allocations on malformed input have been reported, and an allocation that fails aborts a process.

use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use arrow_array::{Array, RecordBatch};
use arrow_ipc::reader::StreamReader;
use noroshi_model::stream::SchemaId;
use noroshi_wire::{BATCH_BYTES_MAX, DECODED_BYTES_MAX};

/// What a batch claims to be.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct Order {
    /// The fixed schema.
    pub schema: SchemaId,
    /// Who sent it, by its certificate.
    pub sensor: String,
    /// Rows it claims.
    pub rows: u64,
}

/// Messages that one batch may consist of.
const MESSAGES_MAX: usize = 32;

/// `Ok` when the bytes are what the order says; otherwise why not. The decoder panics on some malformed messages: a panic
/// is an answer too. What cannot be caught ends the worker process that calls this, which is the outer wall.
pub fn check(order: &Order, stream: &[u8]) -> Result<(), String> {
    std::panic::catch_unwind(|| judge(order, stream)).unwrap_or_else(|_| Err("it makes the decoder fail".into()))
}

fn judge(order: &Order, stream: &[u8]) -> Result<(), String> {
    let schema = noroshi_wire::batch::schema(order.schema).ok_or("no such schema")?;
    // The hub's own schema message stands in front of what was sent.
    if stream.len() > BATCH_BYTES_MAX + (64 << 10) {
        return Err("it is too large".into());
    }
    budget(stream)?;
    let mut reader = StreamReader::try_new(std::io::Cursor::new(stream), None).map_err(|error| text(&error))?;
    if reader.schema() != schema {
        return Err("its schema differs".into());
    }
    let batch = reader.next().ok_or("it has no rows")?.map_err(|error| text(&error))?;
    if reader.next().is_some() {
        return Err("it has more than one batch".into());
    }
    if batch.num_rows() as u64 != order.rows {
        return Err(format!("it has {} rows and claims {}", batch.num_rows(), order.rows));
    }
    for column in batch.columns() {
        column.to_data().validate_full().map_err(|error| text(&error))?;
    }
    if batch.get_array_memory_size() > DECODED_BYTES_MAX {
        return Err("it decodes to too many bytes".into());
    }
    sender(&batch, &order.sensor)?;
    match order.schema {
        SchemaId::PACKETS => noroshi_model::rows::packet_batch(&batch).map(drop).map_err(|error| text(&error)),
        SchemaId::SESSIONS => noroshi_model::session::sessions(&batch).map(drop).map_err(|error| text(&error)),
        SchemaId::REQUESTS => noroshi_model::request::requests(&batch).map(drop).map_err(|error| text(&error)),
        SchemaId::FLOWS => noroshi_model::flow::flows(&batch).map(drop).map_err(|error| text(&error)),
        _ => Err("no such schema".into()),
    }
}

/// Errors of the decoder may quote the sender's bytes; only their printable start is kept.
fn text(error: &dyn std::fmt::Display) -> String {
    error.to_string().chars().filter(|c| !c.is_control()).take(160).collect()
}

/// Every row names the sensor whose certificate was shown.
fn sender(batch: &RecordBatch, sensor: &str) -> Result<(), String> {
    let column = batch.column_by_name("sensor").ok_or("no sensor column")?;
    let column = column.as_dictionary_opt::<Int32Type>().ok_or("sensor column has another type")?;
    let names = column.values().as_string_opt::<i32>().ok_or("sensor column has another type")?;
    let good =
        |key: Option<i32>| key.is_some_and(|key| usize::try_from(key).is_ok_and(|key| names.value(key) == sensor));
    if column.keys().iter().all(good) { Ok(()) } else { Err("rows name another sensor".into()) }
}

/// Adds up what the messages say they decode to, before anything is allocated for them.
fn budget(stream: &[u8]) -> Result<(), String> {
    let (mut at, mut total, mut messages) = (0usize, 0u64, 0);
    loop {
        let Some(prefix) = stream.get(at..at + 8) else { return Err("it ends early".into()) };
        if prefix[..4] != [0xff; 4] {
            return Err("it is not an Arrow stream".into());
        }
        let length = u32::from_le_bytes(prefix[4..].try_into().expect("four bytes")) as usize;
        if length == 0 {
            return if at + 8 == stream.len() { Ok(()) } else { Err("bytes follow its end".into()) };
        }
        messages += 1;
        if messages > MESSAGES_MAX {
            return Err("it has too many messages".into());
        }
        let head = stream.get(at + 8..at + 8 + length).ok_or("it ends early")?;
        let message = arrow_ipc::root_as_message(head).map_err(|error| text(&error))?;
        let body_at = at + 8 + length;
        let body_length = usize::try_from(message.bodyLength()).map_err(|_| "a message has a negative length")?;
        let body_end = body_at.checked_add(body_length).ok_or("a message has an impossible length")?;
        let body = stream.get(body_at..body_end).ok_or("it ends early")?;
        let rows = message.header_as_record_batch();
        let dictionary = message.header_as_dictionary_batch().and_then(|dictionary| dictionary.data());
        for batch in rows.into_iter().chain(dictionary) {
            total += decoded_bytes(&batch, body)?;
        }
        if total > DECODED_BYTES_MAX as u64 {
            return Err("it decodes to too many bytes".into());
        }
        at = body_end;
    }
}

fn decoded_bytes(batch: &arrow_ipc::RecordBatch<'_>, body: &[u8]) -> Result<u64, String> {
    let mut total = u64::try_from(batch.length()).map_err(|_| "a message has a negative length")?;
    for buffer in batch.buffers().into_iter().flatten() {
        let place = usize::try_from(buffer.offset()).ok().zip(usize::try_from(buffer.length()).ok());
        let (offset, length) = place.ok_or("a buffer has a negative place")?;
        let bytes = offset.checked_add(length).and_then(|end| body.get(offset..end)).ok_or("a buffer lies outside")?;
        total += match batch.compression() {
            // A compressed buffer starts with its decoded length; -1 means that it is not compressed.
            Some(_) if length >= 8 => {
                let decoded = i64::from_le_bytes(bytes[..8].try_into().expect("eight bytes"));
                if decoded < 0 { length as u64 } else { decoded as u64 }
            }
            _ => length as u64,
        };
        if total > DECODED_BYTES_MAX as u64 {
            return Err("it decodes to too many bytes".into());
        }
    }
    Ok(total)
}
