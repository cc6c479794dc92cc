//! Batches between memory, disk and Flight messages.
//!
//! A batch is kept and journalled as one self-contained Arrow IPC stream (schema, dictionaries, rows, end). On the wire
//! its messages travel as Flight data; the schema message is left out, because the hub puts its own in front: a schema
//! is never taken from the sender.

use crate::message::Refusal;
use arrow_array::RecordBatch;
use arrow_flight::FlightData;
use arrow_ipc::CompressionType;
use arrow_ipc::writer::{IpcWriteOptions, StreamWriter};
use arrow_schema::{ArrowError, SchemaRef};
use bytes::Bytes;
use noroshi_model::stream::SchemaId;
use std::sync::LazyLock;

/// Marks the start of each message in a stream, Arrow format, section "Encapsulated message format".
const CONTINUATION: [u8; 4] = [0xff; 4];
const END: [u8; 8] = [0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0];

fn options() -> Result<IpcWriteOptions, ArrowError> {
    IpcWriteOptions::default().try_with_compression(Some(CompressionType::LZ4_FRAME))
}

/// The fixed schema of that number.
pub fn schema(id: SchemaId) -> Option<SchemaRef> {
    match id {
        SchemaId::PACKETS => Some(noroshi_model::columns::packets_schema()),
        SchemaId::SESSIONS => Some(noroshi_model::columns::schema_of(noroshi_model::session::SESSIONS)),
        SchemaId::REQUESTS => Some(noroshi_model::columns::schema_of(noroshi_model::request::REQUESTS)),
        SchemaId::FLOWS => Some(noroshi_model::columns::schema_of(noroshi_model::flow::FLOWS)),
        _ => None,
    }
}

/// One batch as an Arrow IPC stream, columns compressed with LZ4.
pub fn encode(batch: &RecordBatch) -> Result<Vec<u8>, ArrowError> {
    let mut out = Vec::with_capacity(batch.get_array_memory_size() / 2);
    let mut writer = StreamWriter::try_new_with_options(&mut out, &batch.schema(), options()?)?;
    writer.write(batch)?;
    writer.finish()?;
    drop(writer);
    Ok(out)
}

/// The bytes that the schema message of a fixed schema has in a stream.
fn schema_message(id: SchemaId) -> Option<&'static [u8]> {
    static KNOWN: LazyLock<Vec<(SchemaId, Vec<u8>)>> = LazyLock::new(|| {
        let known = [SchemaId::PACKETS, SchemaId::SESSIONS, SchemaId::REQUESTS, SchemaId::FLOWS];
        known.map(|id| (id, write_schema(&schema(id).expect("it has a schema")))).to_vec()
    });
    KNOWN.iter().find(|(known, _)| *known == id).map(|(_, message)| message.as_slice())
}

fn write_schema(schema: &SchemaRef) -> Vec<u8> {
    let mut out = Vec::new();
    let mut writer = StreamWriter::try_new_with_options(&mut out, schema, options().expect("compiled in"))
        .expect("writing to memory");
    writer.finish().expect("writing to memory");
    drop(writer);
    out.truncate(out.len() - END.len());
    out
}

/// Splits a stream made by [`encode`] into Flight messages, schema and end left out. The first of them is where the
/// caller puts its metadata.
pub fn to_flight(stream: Bytes) -> Result<Vec<FlightData>, Refusal> {
    let mut messages = Vec::new();
    let mut at = 0;
    let malformed = || Refusal::Malformed { what: "Arrow stream".into() };
    while at + 8 <= stream.len() {
        if stream[at..at + 4] != CONTINUATION {
            return Err(malformed());
        }
        let length = u32::from_le_bytes(stream[at + 4..at + 8].try_into().expect("four bytes")) as usize;
        if length == 0 {
            return Ok(messages);
        }
        let head_end = (at + 8).checked_add(length).filter(|end| *end <= stream.len()).ok_or_else(malformed)?;
        let head = stream.slice(at + 8..head_end);
        let body_length = body_length(&head).ok_or_else(malformed)?;
        let end = head_end.checked_add(body_length).filter(|end| *end <= stream.len()).ok_or_else(malformed)?;
        if at > 0 {
            let body = stream.slice(head_end..end);
            messages.push(FlightData { data_header: head, data_body: body, ..Default::default() });
        }
        at = end;
    }
    Err(malformed())
}

fn body_length(head: &[u8]) -> Option<usize> {
    arrow_ipc::root_as_message(head).ok()?.bodyLength().try_into().ok()
}

/// Puts received messages behind the hub's own schema message: the stream as it was encoded, unless the sender lied.
/// Nothing is decoded here.
pub fn to_stream(id: SchemaId, messages: &[FlightData]) -> Result<Vec<u8>, Refusal> {
    let schema = schema_message(id).ok_or_else(|| Refusal::Batch { what: format!("no schema has number {id}") })?;
    let total: usize = messages.iter().map(|m| m.data_header.len() + m.data_body.len() + 16).sum();
    let mut out = Vec::with_capacity(schema.len() + total + END.len());
    out.extend_from_slice(schema);
    for message in messages {
        // The writer aligns heads to eight bytes; keeping that makes both ends' streams equal, byte for byte.
        let padded = message.data_header.len().next_multiple_of(8);
        out.extend_from_slice(&CONTINUATION);
        out.extend_from_slice(&(padded as u32).to_le_bytes());
        out.extend_from_slice(&message.data_header);
        out.resize(out.len() + padded - message.data_header.len(), 0);
        out.extend_from_slice(&message.data_body);
    }
    out.extend_from_slice(&END);
    Ok(out)
}
