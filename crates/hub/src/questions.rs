//! Flight SQL over the lake, on loopback.

use crate::services::{Context, ServiceResult};
use crate::{HubError, config};
use async_trait::async_trait;
use futures::StreamExt;
use noroshi_api::flight_sql::{self, Answer, Questions, Refused};
use noroshi_api::people::{People, SqliteRecords};
use noroshi_model::Nanos;
use noroshi_store::{Lake, Limits, QueryError};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

/// What one question of a program may use. Rows are more than for a person: they go into a data frame.
const LIMITS: Limits = Limits { time: Duration::from_secs(120), memory: 1 << 30, rows: 50_000_000 };

/// The present.
pub fn now() -> Nanos {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Nanos(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}

struct OverLake(Lake);

fn refused(error: QueryError) -> Refused {
    match error {
        QueryError::Lake(error) => Refused::Lake(error.to_string()),
        error => Refused::Question(error.to_string()),
    }
}

#[async_trait]
impl Questions for OverLake {
    fn now(&self) -> Nanos {
        now()
    }

    async fn columns(&self, sql: &str) -> Result<arrow_schema::SchemaRef, Refused> {
        Ok(self.0.query(sql, LIMITS).await.map_err(refused)?.plain_schema())
    }

    async fn ask(&self, sql: &str) -> Result<(arrow_schema::SchemaRef, Answer), Refused> {
        let rows = self.0.query(sql, LIMITS).await.map_err(refused)?;
        let schema = rows.plain_schema();
        Ok((schema, rows.into_plain().map(|batch| batch.map_err(refused)).boxed()))
    }

    async fn tables(&self) -> Result<Vec<(String, arrow_schema::SchemaRef)>, Refused> {
        Ok(self.0.schemas().map(|(name, schema)| (name.to_owned(), schema)).collect())
    }
}

/// Runs until the hub stops; without a lake there is nothing to ask.
pub async fn run(context: Context) -> ServiceResult {
    let Some(lake) = context.lake.clone() else { return Ok(()) };
    let listener = listen(context.config.flight_sql).await?;
    tracing::info!(address = %listener.local_addr()?, "Flight SQL listens");
    let records = SqliteRecords::open(&context.config.data.join("people.db")).await?;
    let people = Arc::new(People::new(Arc::new(records)));
    Ok(serve(listener, lake, people, context.stop.clone()).await?)
}

/// Answers on a listener until told to stop.
pub async fn serve(
    listener: TcpListener,
    lake: Lake,
    people: Arc<People>,
    stop: CancellationToken,
) -> Result<(), tonic::transport::Error> {
    let service = flight_sql::server(Arc::new(OverLake(lake)), people);
    let incoming = TcpIncoming::from(listener);
    Server::builder().add_service(service).serve_with_incoming_shutdown(incoming, stop.cancelled_owned()).await
}

async fn listen(wanted: SocketAddr) -> Result<TcpListener, HubError> {
    let refused = |source| HubError::Listen { address: wanted.to_string(), source };
    if !wanted.ip().is_loopback() {
        let text = "Flight SQL speaks without TLS and so listens on loopback only; reach it from elsewhere with ssh -L";
        return Err(refused(std::io::Error::new(std::io::ErrorKind::InvalidInput, text)));
    }
    match TcpListener::bind(wanted).await {
        Err(error)
            if error.kind() == std::io::ErrorKind::AddrInUse && wanted.to_string() == config::FLIGHT_SQL_LISTEN =>
        {
            TcpListener::bind(SocketAddr::new(wanted.ip(), 0)).await.map_err(refused)
        }
        bound => bound.map_err(refused),
    }
}
