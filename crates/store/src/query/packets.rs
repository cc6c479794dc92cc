//! Packets of the lake as the detectors take them.

use super::{Limits, QueryError};
use crate::lake::Lake;
use crate::lake::types::from_lake;
use noroshi_model::columns::PACKETS;
use noroshi_model::packet::PacketBatch;
use noroshi_model::rows::packet_batch;

impl Lake {
    /// The first `take` packets for which `conditions` hold, in the order of time.
    pub async fn packets(&self, conditions: &str, take: usize, limits: Limits) -> Result<Vec<PacketBatch>, QueryError> {
        let sql = format!("select * from packets where {conditions} order by ts limit {take}");
        let other = |error: &dyn std::fmt::Display| QueryError::Other(error.to_string());
        let answer = self.answer(&sql, limits).await?;
        let batch = |batch| {
            let batch = from_lake(PACKETS, batch).map_err(|error| other(&error))?;
            packet_batch(&batch).map_err(|error| other(&error))
        };
        answer.batches.iter().map(batch).collect()
    }
}
