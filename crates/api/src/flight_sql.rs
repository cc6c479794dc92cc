//! Flight SQL: the lake for programs that speak Arrow (ADBC, JDBC, Grafana, DBeaver, Python).
//!
//! Reading only. Every call shows an API token (`authorization: Bearer …`) of somebody who may see packets, findings and
//! sensors, because a question in SQL can reach all of them and no row filter can be put into a stranger's SQL. Nothing
//! is kept between calls: a ticket is the question itself, and the token is judged again when it is redeemed.

use crate::people::People;
use crate::scope::Right;
use arrow_array::RecordBatch;
use arrow_flight::encode::{DictionaryHandling, FlightDataEncoderBuilder};
use arrow_flight::error::FlightError;
use arrow_flight::flight_service_server::{FlightService, FlightServiceServer};
use arrow_flight::sql::metadata::{SqlInfoData, SqlInfoDataBuilder};
use arrow_flight::sql::server::FlightSqlService;
use arrow_flight::sql::{
    ActionClosePreparedStatementRequest, ActionCreatePreparedStatementRequest, ActionCreatePreparedStatementResult,
    CommandGetCatalogs, CommandGetDbSchemas, CommandGetSqlInfo, CommandGetTableTypes, CommandGetTables,
    CommandPreparedStatementQuery, CommandStatementQuery, ProstMessageExt, SqlInfo, TicketStatementQuery,
};
use arrow_flight::{Action, FlightDescriptor, FlightEndpoint, FlightInfo, IpcMessage, SchemaAsIpc, Ticket};
use arrow_ipc::writer::IpcWriteOptions;
use arrow_schema::{ArrowError, SchemaRef};
use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use noroshi_model::Nanos;
use prost::Message;
use std::sync::{Arc, LazyLock};
use tokio::sync::Semaphore;
use tonic::{Request, Response, Status};

/// Questions answered at once; more wait their turn, so that memory is bounded by this times the limit of one.
const AT_ONCE: usize = 2;
/// Bytes of a question.
const SQL_MAX: usize = 64 << 10;
/// Catalogue and schema that every table is in, as the query engine names them.
const CATALOG: &str = "datafusion";
const SCHEMA: &str = "public";

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// The question is wrong, or over its limits; the text says what to change.
    #[error("{0}")]
    Question(String),
    /// The lake failed; the text goes to the log.
    #[error("the lake is unavailable: {0}")]
    Lake(String),
}

impl From<Refused> for Status {
    fn from(refused: Refused) -> Status {
        match refused {
            Refused::Question(text) => Status::invalid_argument(text),
            Refused::Lake(cause) => {
                tracing::error!(cause, "a question to the lake failed");
                Status::unavailable("the lake is unavailable; the hub's log says why")
            }
        }
    }
}

/// The rows of an answer as they come.
pub type Answer = BoxStream<'static, Result<RecordBatch, Refused>>;

/// What answers: `hub` implements it over the lake, with limits for one caller.
#[async_trait]
pub trait Questions: Send + Sync + 'static {
    /// The present, for the life of tokens.
    fn now(&self) -> Nanos;
    /// The columns of the answer, without answering.
    async fn columns(&self, sql: &str) -> Result<SchemaRef, Refused>;
    /// Columns and rows. Only plain Arrow layouts: clients know no views.
    async fn ask(&self, sql: &str) -> Result<(SchemaRef, Answer), Refused>;
    /// Every table with its columns.
    async fn tables(&self) -> Result<Vec<(String, SchemaRef)>, Refused>;
}

/// The service; make it with [`server`].
#[derive(Clone)]
pub struct FlightSql {
    questions: Arc<dyn Questions>,
    people: Arc<People>,
    places: Arc<Semaphore>,
}

/// The service for a tonic server.
pub fn server(questions: Arc<dyn Questions>, people: Arc<People>) -> FlightServiceServer<FlightSql> {
    FlightServiceServer::new(FlightSql { questions, people, places: Arc::new(Semaphore::new(AT_ONCE)) })
}

type Info = Result<Response<FlightInfo>, Status>;
type Stream = Result<Response<<FlightSql as FlightService>::DoGetStream>, Status>;

static ABOUT: LazyLock<SqlInfoData> = LazyLock::new(|| {
    let mut about = SqlInfoDataBuilder::new();
    about.append(SqlInfo::FlightSqlServerName, "Noroshi");
    about.append(SqlInfo::FlightSqlServerVersion, env!("CARGO_PKG_VERSION"));
    about.append(SqlInfo::FlightSqlServerArrowVersion, "1.3");
    about.append(SqlInfo::FlightSqlServerReadOnly, true);
    about.append(SqlInfo::FlightSqlServerTransaction, 0i32);
    about.append(SqlInfo::SqlIdentifierQuoteChar, "\"");
    about.build().expect("the values have the types of their names")
});

fn broken(error: ArrowError) -> Status {
    Status::internal(error.to_string())
}

fn question(bytes: &[u8]) -> Result<&str, Status> {
    if bytes.len() > SQL_MAX {
        return Err(Status::invalid_argument(format!("a question has at most {SQL_MAX} bytes")));
    }
    std::str::from_utf8(bytes).map_err(|_| Status::invalid_argument("the question is not UTF-8"))
}

/// Where to get the answer: here, with the ticket.
fn info(schema: &SchemaRef, ticket: Bytes, descriptor: FlightDescriptor) -> Info {
    let endpoint = FlightEndpoint::new().with_ticket(Ticket { ticket });
    let info = FlightInfo::new().try_with_schema(schema).map_err(broken)?;
    Ok(Response::new(info.with_endpoint(endpoint).with_descriptor(descriptor)))
}

fn stream(schema: SchemaRef, rows: BoxStream<'static, Result<RecordBatch, Status>>) -> Stream {
    let rows = rows.map_err(|status| FlightError::Tonic(Box::new(status)));
    // Dictionaries stay: the rows must have the schema that was announced before them.
    let encoder = FlightDataEncoderBuilder::new().with_dictionary_handling(DictionaryHandling::Resend);
    let data = encoder.with_schema(schema).build(rows).map_err(Status::from);
    Ok(Response::new(Box::pin(data)))
}

fn one(batch: RecordBatch) -> Stream {
    stream(batch.schema(), futures::stream::iter([Ok(batch)]).boxed())
}

impl FlightSql {
    /// Lets in who shows a token with every right that SQL needs.
    async fn admit<T>(&self, request: &Request<T>) -> Result<(), Status> {
        let shown = request.metadata().get("authorization").and_then(|value| value.to_str().ok());
        let token = shown.and_then(|text| text.split_once(' ')).filter(|(kind, _)| kind.eq_ignore_ascii_case("bearer"));
        let (_, token) =
            token.ok_or_else(|| Status::unauthenticated("send an API token as \"authorization: Bearer …\""))?;
        let found = self.people.by_token(self.questions.now(), token).await.map_err(|error| {
            tracing::error!(%error, "tokens cannot be read");
            Status::unavailable("tokens cannot be read")
        })?;
        let principal = found.ok_or_else(|| Status::unauthenticated("this token is not known, or it expired"))?;
        let needed = [Right::Packets, Right::Findings, Right::Sensors];
        match needed.into_iter().find(|right| !principal.has(*right)) {
            None => Ok(()),
            Some(right) => Err(Status::permission_denied(format!("SQL sees everything; this token lacks {right:?}"))),
        }
    }

    async fn answer(&self, sql: &str) -> Stream {
        let place =
            self.places.clone().acquire_owned().await.map_err(|_| Status::unavailable("the hub is stopping"))?;
        let (schema, rows) = self.questions.ask(sql).await?;
        // The place is free again when the stream is read to its end or dropped.
        let rows = rows.map(move |batch| {
            let _ = &place;
            batch.map_err(Status::from)
        });
        stream(schema, rows.boxed())
    }

    async fn table_list(&self, query: CommandGetTables) -> Result<RecordBatch, Status> {
        let mut builder = query.into_builder();
        for (name, schema) in self.questions.tables().await? {
            builder.append(CATALOG, SCHEMA, name, "TABLE", &schema).map_err(Status::from)?;
        }
        builder.build().map_err(Status::from)
    }
}

#[tonic::async_trait]
impl FlightSqlService for FlightSql {
    type FlightService = FlightSql;

    async fn get_flight_info_statement(
        &self,
        query: CommandStatementQuery,
        request: Request<FlightDescriptor>,
    ) -> Info {
        self.admit(&request).await?;
        let schema = self.questions.columns(question(query.query.as_bytes())?).await?;
        let ticket = TicketStatementQuery { statement_handle: query.query.into() };
        info(&schema, ticket.as_any().encode_to_vec().into(), request.into_inner())
    }

    async fn do_get_statement(&self, ticket: TicketStatementQuery, request: Request<Ticket>) -> Stream {
        self.admit(&request).await?;
        self.answer(question(&ticket.statement_handle)?).await
    }

    async fn do_action_create_prepared_statement(
        &self,
        query: ActionCreatePreparedStatementRequest,
        request: Request<Action>,
    ) -> Result<ActionCreatePreparedStatementResult, Status> {
        self.admit(&request).await?;
        let schema = self.questions.columns(question(query.query.as_bytes())?).await?;
        let IpcMessage(dataset_schema) =
            SchemaAsIpc::new(&schema, &IpcWriteOptions::default()).try_into().map_err(broken)?;
        let prepared_statement_handle = query.query.into();
        Ok(ActionCreatePreparedStatementResult { prepared_statement_handle, dataset_schema, ..Default::default() })
    }

    async fn do_action_close_prepared_statement(
        &self,
        _: ActionClosePreparedStatementRequest,
        request: Request<Action>,
    ) -> Result<(), Status> {
        self.admit(&request).await
    }

    async fn get_flight_info_prepared_statement(
        &self,
        query: CommandPreparedStatementQuery,
        request: Request<FlightDescriptor>,
    ) -> Info {
        self.admit(&request).await?;
        let schema = self.questions.columns(question(&query.prepared_statement_handle)?).await?;
        info(&schema, query.as_any().encode_to_vec().into(), request.into_inner())
    }

    async fn do_get_prepared_statement(
        &self,
        query: CommandPreparedStatementQuery,
        request: Request<Ticket>,
    ) -> Stream {
        self.admit(&request).await?;
        self.answer(question(&query.prepared_statement_handle)?).await
    }

    async fn get_flight_info_catalogs(&self, query: CommandGetCatalogs, request: Request<FlightDescriptor>) -> Info {
        self.admit(&request).await?;
        let ticket = query.as_any().encode_to_vec().into();
        info(&query.into_builder().schema(), ticket, request.into_inner())
    }

    async fn do_get_catalogs(&self, query: CommandGetCatalogs, request: Request<Ticket>) -> Stream {
        self.admit(&request).await?;
        let mut builder = query.into_builder();
        builder.append(CATALOG);
        one(builder.build().map_err(Status::from)?)
    }

    async fn get_flight_info_schemas(&self, query: CommandGetDbSchemas, request: Request<FlightDescriptor>) -> Info {
        self.admit(&request).await?;
        let ticket = query.as_any().encode_to_vec().into();
        info(&query.into_builder().schema(), ticket, request.into_inner())
    }

    async fn do_get_schemas(&self, query: CommandGetDbSchemas, request: Request<Ticket>) -> Stream {
        self.admit(&request).await?;
        let mut builder = query.into_builder();
        builder.append(CATALOG, SCHEMA);
        one(builder.build().map_err(Status::from)?)
    }

    async fn get_flight_info_tables(&self, query: CommandGetTables, request: Request<FlightDescriptor>) -> Info {
        self.admit(&request).await?;
        let ticket = query.as_any().encode_to_vec().into();
        info(&query.into_builder().schema(), ticket, request.into_inner())
    }

    async fn do_get_tables(&self, query: CommandGetTables, request: Request<Ticket>) -> Stream {
        self.admit(&request).await?;
        one(self.table_list(query).await?)
    }

    async fn get_flight_info_table_types(
        &self,
        query: CommandGetTableTypes,
        request: Request<FlightDescriptor>,
    ) -> Info {
        self.admit(&request).await?;
        info(&table_types().schema(), query.as_any().encode_to_vec().into(), request.into_inner())
    }

    async fn do_get_table_types(&self, _: CommandGetTableTypes, request: Request<Ticket>) -> Stream {
        self.admit(&request).await?;
        one(table_types())
    }

    async fn get_flight_info_sql_info(&self, query: CommandGetSqlInfo, request: Request<FlightDescriptor>) -> Info {
        self.admit(&request).await?;
        let ticket = query.as_any().encode_to_vec().into();
        info(&query.into_builder(&ABOUT).schema(), ticket, request.into_inner())
    }

    async fn do_get_sql_info(&self, query: CommandGetSqlInfo, request: Request<Ticket>) -> Stream {
        self.admit(&request).await?;
        one(query.into_builder(&ABOUT).build().map_err(Status::from)?)
    }

    async fn register_sql_info(&self, _: i32, _: &SqlInfo) {}
}

fn table_types() -> RecordBatch {
    let types: arrow_array::StringArray = [Some("TABLE")].into_iter().collect();
    let field = arrow_schema::Field::new("table_type", arrow_schema::DataType::Utf8, false);
    RecordBatch::try_new(Arc::new(arrow_schema::Schema::new(vec![field])), vec![Arc::new(types)])
        .expect("one column of one row")
}
