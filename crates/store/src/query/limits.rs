//! What a query may use, and the stream that holds it to that.

use super::error::{QueryError, explain};
use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::execution::SendableRecordBatchStream;
use futures::{Stream, StreamExt};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// What a query may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Wall time from start to last row.
    pub time: Duration,
    /// Bytes of memory for sorting, grouping and joining; past it the query spills to disk where it can, else fails.
    pub memory: usize,
    /// Rows of the answer.
    pub rows: usize,
}

impl Default for Limits {
    /// What suits one person on one machine: a minute, 1 GiB, a million rows.
    fn default() -> Self {
        Limits { time: Duration::from_secs(60), memory: 1 << 30, rows: 1_000_000 }
    }
}

/// The rows of an answer, as they come.
pub struct Rows {
    stream: SendableRecordBatchStream,
    limits: Limits,
    deadline: Instant,
    sent: usize,
}

impl Rows {
    pub(super) fn new(stream: SendableRecordBatchStream, limits: Limits) -> Self {
        Rows { stream, limits, deadline: Instant::now() + limits.time, sent: 0 }
    }

    /// The columns.
    pub fn schema(&self) -> SchemaRef {
        self.stream.schema()
    }

    /// The columns in layouts that every reader of Arrow knows.
    pub fn plain_schema(&self) -> SchemaRef {
        plain_schema(&self.schema())
    }

    /// The rows as they come, in those layouts. It ends after an error.
    pub fn into_plain(self) -> impl Stream<Item = Result<RecordBatch, QueryError>> + Send {
        let schema = self.plain_schema();
        futures::stream::try_unfold((self, schema), |(mut rows, schema)| async move {
            let Some(batch) = rows.next().await? else { return Ok(None) };
            Ok(Some((plain(&batch, &schema)?, (rows, schema))))
        })
    }

    /// The next rows; `None` at the end. After an error the answer is incomplete and must not be shown as whole.
    pub async fn next(&mut self) -> Result<Option<RecordBatch>, QueryError> {
        let late = |_| QueryError::Time { limit: self.limits.time };
        let next = tokio::time::timeout_at(self.deadline, self.stream.next()).await.map_err(late)?;
        let Some(batch) = next.transpose().map_err(|error| explain(error, self.limits))? else { return Ok(None) };
        self.sent += batch.num_rows();
        if self.sent > self.limits.rows {
            return Err(QueryError::Rows { limit: self.limits.rows });
        }
        Ok(Some(batch))
    }
}

/// Columns in plain layouts: the engine works with views, which few other programs read.
fn plain_schema(schema: &SchemaRef) -> SchemaRef {
    let plain = |field: &Arc<Field>| match field.data_type() {
        DataType::Utf8View => Arc::new(field.as_ref().clone().with_data_type(DataType::Utf8)),
        DataType::BinaryView => Arc::new(field.as_ref().clone().with_data_type(DataType::Binary)),
        _ => field.clone(),
    };
    Arc::new(Schema::new(schema.fields().iter().map(plain).collect::<Vec<_>>()))
}

fn plain(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, QueryError> {
    let fail = |error: arrow::error::ArrowError| QueryError::Other(error.to_string());
    let columns = batch.columns().iter().zip(schema.fields());
    let columns = columns.map(|(column, field)| cast(column, field.data_type())).collect::<Result<Vec<_>, _>>();
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(schema.clone(), columns.map_err(fail)?, &options).map_err(fail)
}

/// The work, unless it takes longer.
pub(super) async fn within<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, QueryError>>,
) -> Result<T, QueryError> {
    tokio::time::timeout(limit, work).await.map_err(|_| QueryError::Time { limit })?
}
