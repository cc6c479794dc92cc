//! Journal rows to packets.

use arrow_ipc::reader::StreamReader;
use noroshi_model::Nanos;
use noroshi_model::packet::{Has, PacketBatch};
use noroshi_model::rows::packet_batch;
use noroshi_model::stream::SchemaId;
use noroshi_model::time::SECOND;
use noroshi_store::journal::JournalRow;
use std::collections::BTreeMap;

/// A packet that claims to be from so far in the future (seconds) has a broken or hostile clock; it must not make what
/// happens now look old.
const FUTURE_SECONDS: i64 = 3_600;

/// Numbers of the streams that were met, so that each packet of evidence has a place: which stream, which packet.
#[derive(Clone, Debug, Default)]
pub struct Streams(BTreeMap<(String, [u8; 16]), (u32, u64)>);

impl Streams {
    /// Packets of a row, in the order in which the sensor saw them. Rows of other tables have none.
    pub fn packets(&mut self, row: &JournalRow) -> Vec<PacketBatch> {
        if row.schema != SchemaId::PACKETS || row.bytes.is_empty() {
            return Vec::new();
        }
        let number = self.0.len() as u32;
        let key = (row.sensor.clone(), row.epoch);
        let (file, begin) = *self.0.entry(key).or_insert((number, row.first_seq));
        match read(row) {
            Ok(mut batches) => {
                let mut position = row.first_seq.saturating_sub(begin);
                for batch in &mut batches {
                    (batch.file, batch.first_position) = (file, position);
                    position += batch.rows.len() as u64;
                }
                batches
            }
            Err(error) => {
                tracing::warn!(row = row.row, sensor = row.sensor, %error, "a batch is not looked at");
                Vec::new()
            }
        }
    }
}

fn read(row: &JournalRow) -> Result<Vec<PacketBatch>, Box<dyn std::error::Error + Send + Sync>> {
    if row.damaged {
        return Err("the disk damaged it".into());
    }
    let mut found = Vec::new();
    for batch in StreamReader::try_new(&row.bytes[..], None)? {
        let mut batch = packet_batch(&batch?)?;
        batch.sensor = row.sensor.as_str().into();
        found.push(batch);
    }
    Ok(found)
}

/// Leaves out packets whose time is not to be believed.
pub fn plausible(batch: &mut PacketBatch, now: Nanos) {
    let latest = Nanos(now.0.saturating_add(FUTURE_SECONDS * SECOND));
    if batch.rows.iter().any(|row| row.has.has(Has::TIME) && row.ts > latest) {
        batch.rows.retain(|row| !row.has.has(Has::TIME) || row.ts <= latest);
    }
}
