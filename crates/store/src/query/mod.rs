//! Questions to the lake: SQL with limits, and functions that know addresses.
//!
//! Each query sees one version of each table it names, whatever is committed meanwhile. It may only read. Its time,
//! memory and rows are bounded; what breaks a bound ends with a message that says which and what to do.

mod addresses;
mod apart;
mod different;
mod distinct;
mod error;
mod functions;
mod grouping;
mod keys;
mod limits;
mod packets;
mod pairs;
mod sketches;
mod spread;

pub use error::QueryError;
pub(crate) use error::nearest;
pub(crate) use keys::V6 as V6_NETWORKS;
pub use limits::{Limits, Rows};

use crate::lake::{Lake, LakeTable};
use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, SchemaRef};
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::cache::cache_manager::{CacheManagerConfig, FileMetadataCache};
use datafusion::execution::cache::default_cache::DefaultCache;
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::logical_expr::registry::FunctionRegistry;
use datafusion::prelude::{SQLOptions, SessionConfig, SessionContext};
use datafusion::sql::parser::Statement;
use noroshi_model::Nanos;
use std::sync::Arc;

/// Bytes of footers of files that are kept between queries.
const FOOTERS: usize = 64 << 20;

/// A memory of footers.
pub(crate) fn footers() -> Arc<FileMetadataCache> {
    Arc::new(DefaultCache::new(FOOTERS).with_name("footers"))
}

/// A finished answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its columns.
    pub schema: SchemaRef,
    /// Its rows.
    pub batches: Vec<RecordBatch>,
}

impl Answer {
    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }
}

impl Lake {
    /// Starts a query and returns its rows as they come.
    pub async fn query(&self, sql: &str, limits: Limits) -> Result<Rows, QueryError> {
        limits::within(limits.time, self.start(sql, limits)).await
    }

    /// Answers a query as a whole.
    pub async fn answer(&self, sql: &str, limits: Limits) -> Result<Answer, QueryError> {
        let mut rows = self.query(sql, limits).await?;
        let mut batches = Vec::new();
        while let Some(batch) = rows.next().await? {
            batches.push(batch);
        }
        Ok(Answer { schema: rows.schema(), batches })
    }

    async fn start(&self, sql: &str, limits: Limits) -> Result<Rows, QueryError> {
        let fail = |error| error::explain(error, limits);
        let context = self.context(limits)?;
        let state = context.state();
        let dialect = state.config().options().sql_parser.dialect;
        let statement = state.sql_to_statement(sql, &dialect).map_err(fail)?;
        if !is_question(&statement) {
            return Err(QueryError::NotAQuestion);
        }
        for reference in state.resolve_table_references(&statement).map_err(fail)? {
            if reference.schema().is_none_or(|schema| schema == "public") {
                let table = self.table(reference.table())?;
                register(&context, table).await?;
            }
        }
        let plan = context.state().statement_to_plan(statement).await.map_err(fail)?;
        SQLOptions::new()
            .with_allow_ddl(false)
            .with_allow_dml(false)
            .with_allow_statements(false)
            .verify_plan(&plan)
            .map_err(|_| QueryError::NotAQuestion)?;
        let stream = context.execute_logical_plan(plan).await.map_err(fail)?.execute_stream().await.map_err(fail)?;
        Ok(Rows::new(stream, limits))
    }

    /// The question for a part of a table, in the order of time. Refused when there is no such table.
    pub fn table_sql(
        &self,
        table: &str,
        since: Option<Nanos>,
        until: Option<Nanos>,
        sensor: Option<&str>,
    ) -> Result<String, QueryError> {
        let spec = &self.table(table)?.spec;
        let is_time = |field: &&Arc<Field>| matches!(field.data_type(), DataType::Timestamp(..));
        let time = spec.schema.fields().iter().find(is_time).map(|field| format!("\"{}\"", field.name()));
        let time = time.as_deref();
        let mut conditions = vec!["true".to_owned()];
        if let Some(time) = time {
            conditions.extend(since.map(|at| format!("{time} >= timestamp '{}'", at.rfc3339())));
            conditions.extend(until.map(|at| format!("{time} < timestamp '{}'", at.rfc3339())));
        }
        conditions.extend(sensor.map(|name| format!("sensor = '{}'", name.replace('\'', "''"))));
        let order = time.map(|time| format!(" order by {time}")).unwrap_or_default();
        Ok(format!("select * from {} where {}{order}", spec.name, conditions.join(" and ")))
    }

    /// A session of its own for each query, so that limits are the query's own.
    pub(crate) fn context(&self, limits: Limits) -> Result<SessionContext, QueryError> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let mut config = SessionConfig::new().with_target_partitions(cores).with_information_schema(true);
        let options = config.options_mut();
        options.execution.parquet.pushdown_filters = true;
        options.execution.parquet.reorder_filters = true;
        // UTC, so that days and hours in questions are those of the tables.
        options.execution.time_zone = Some("+00:00".to_owned());
        // Footers of files, which never change, are read once for all queries.
        let files = CacheManagerConfig::default()
            .with_file_metadata_cache(Some(self.shared.footers.clone()))
            .with_metadata_cache_limit(FOOTERS);
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(FairSpillPool::new(limits.memory)))
            .with_cache_manager(files)
            .build_arc()
            .map_err(|error| error::explain(error, limits))?;
        let state = SessionStateBuilder::new()
            .with_config(config)
            .with_runtime_env(runtime)
            .with_default_features()
            .with_physical_optimizer_rule(Arc::new(apart::CountApart))
            .with_optimizer_rule(Arc::new(grouping::CheaperGroups::new(&self.shared.enrich)))
            .build();
        let mut context = SessionContext::new_with_state(state);
        let failed = |error| error::explain(error, limits);
        context.register_function_rewrite(Arc::new(addresses::WrittenAddresses)).map_err(failed)?;
        context.register_function_rewrite(Arc::new(distinct::CountNumbers::new())).map_err(failed)?;
        functions::register(&context, &self.shared.enrich);
        Ok(context)
    }

    /// First and last day in each file of a roll-up by the day, by the log's account, which may have none.
    pub(crate) async fn days_of_files(&self, table: &str) -> Result<Vec<Option<(Nanos, Nanos)>>, QueryError> {
        let table = self.table(table)?;
        let snapshot = table.snapshot().await?;
        let state = snapshot.snapshot().map_err(|source| lake_error(table, source))?;
        let days = |statistics: String| {
            let statistics: serde_json::Value = serde_json::from_str(&statistics).ok()?;
            let day = |of: &str| statistics[of]["day"].as_str()?.parse::<Nanos>().ok();
            // Days without a time are in no such range.
            (statistics["nullCount"]["day"].as_u64() == Some(0)).then_some(())?;
            day("minValues").zip(day("maxValues"))
        };
        Ok(state.log_data().iter().map(|file| file.stats().and_then(days)).collect())
    }

    /// The table of that name, or the error that names the nearest one. A name of the query itself (`with x as …`) is
    /// not asked for here.
    fn table(&self, name: &str) -> Result<&LakeTable, QueryError> {
        let found = self.shared.tables.iter().find(|table| table.spec.name == name);
        found.ok_or_else(|| QueryError::UnknownTable {
            name: name.to_owned(),
            nearest: error::nearest(name, self.tables()).map(str::to_owned),
            known: self.tables().map(str::to_owned).collect(),
        })
    }
}

/// Statements that only read. The plan is checked again once it is made.
fn is_question(statement: &Statement) -> bool {
    use datafusion::sql::sqlparser::ast::Statement as Sql;
    match statement {
        Statement::Explain(_) => true,
        Statement::Statement(sql) => {
            matches!(**sql, Sql::Query(_) | Sql::Explain { .. } | Sql::ExplainTable { .. } | Sql::ShowColumns { .. })
        }
        _ => false,
    }
}

async fn register(context: &SessionContext, table: &LakeTable) -> Result<(), QueryError> {
    let snapshot = table.snapshot().await?;
    // The snapshot's own list of files; a provider without it would read the whole log again at each question.
    let files = snapshot.snapshot().map_err(|source| lake_error(table, source))?.snapshot().clone();
    let provider = snapshot.table_provider().with_eager_snapshot(files).await;
    let provider = provider.map_err(|error| error::explain(error, Limits::default()))?;
    snapshot.update_datafusion_session(&context.state()).map_err(|source| lake_error(table, source))?;
    context.register_table(table.spec.name, provider).map_err(|error| error::explain(error, Limits::default()))?;
    Ok(())
}

fn lake_error(table: &LakeTable, source: deltalake::DeltaTableError) -> QueryError {
    QueryError::Lake(crate::lake::LakeError::Delta { table: table.spec.name, doing: "read", source: Box::new(source) })
}
