//! Different values are counted once, by one partition each.
//!
//! The engine divides an aggregate in two: each core keeps sets of its share of the rows, and then one core for each group
//! puts the sets together, which is the whole work a second time. Here rows go to the core that their value or their group
//! belongs to before they are counted, so each set is made once:
//!
//! - with several columns in `group by` there are many groups, and rows go by group;
//! - with one or none there may be few, and one of them large: rows go by value, and the counts of the cores add up.

use super::different::NAME as DIFFERENT;
use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::functions_aggregate::count::count_udaf;
use datafusion::physical_expr::aggregate::{AggregateExprBuilder, AggregateFunctionExpr};
use datafusion::physical_expr::expressions::{Column, Literal};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode, PhysicalGroupBy};
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::projection::{ProjectionExec, ProjectionExpr};
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties, InputOrderMode, Partitioning, PhysicalExpr};
use std::sync::Arc;

/// The rule of this module.
#[derive(Debug)]
pub(super) struct CountApart;

impl PhysicalOptimizerRule for CountApart {
    fn name(&self) -> &str {
        "count_apart"
    }

    fn schema_check(&self) -> bool {
        true
    }

    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|plan| match apart(&plan)? {
            Some(apart) => Ok(Transformed::yes(apart)),
            None => Ok(Transformed::no(plan)),
        })
        .data()
    }
}

/// The first half of an aggregate, below its second.
fn first_half(plan: &Arc<dyn ExecutionPlan>) -> Option<&AggregateExec> {
    let last = plan.downcast_ref::<AggregateExec>()?;
    let exchanged = match last.mode() {
        AggregateMode::FinalPartitioned => last.input().downcast_ref::<RepartitionExec>()?.input(),
        AggregateMode::Final => last.input().downcast_ref::<CoalescePartitionsExec>()?.input(),
        _ => return None,
    };
    let first = exchanged.downcast_ref::<AggregateExec>()?;
    let plain = *first.mode() == AggregateMode::Partial
        && last.limit_options().is_none()
        && first.limit_options().is_none()
        && *first.input_order_mode() == InputOrderMode::Linear
        && !first.group_expr().has_grouping_set()
        && first.filter_expr().iter().all(Option::is_none)
        && first.input().output_partitioning().partition_count() > 1;
    plain.then_some(first)
}

/// Rows with the columns that the aggregate needs and no others.
struct Prepared {
    rows: Arc<dyn ExecutionPlan>,
    groups: Vec<(Arc<dyn PhysicalExpr>, String)>,
    aggregates: Vec<Arc<AggregateFunctionExpr>>,
}

fn prepare(first: &AggregateExec) -> Result<Option<Prepared>> {
    let mut columns: Vec<ProjectionExpr> = Vec::new();
    let mut column = |expr: &Arc<dyn PhysicalExpr>| -> Arc<dyn PhysicalExpr> {
        let at = columns.iter().position(|known| known.expr.eq(expr)).unwrap_or_else(|| {
            columns.push(ProjectionExpr { expr: expr.clone(), alias: format!("column {}", columns.len()) });
            columns.len() - 1
        });
        Arc::new(Column::new(&columns[at].alias, at))
    };
    let groups: Vec<_> = first.group_expr().expr().iter().map(|(expr, alias)| (column(expr), alias.clone())).collect();
    let mut aggregates = Vec::new();
    for aggregate in first.aggr_expr() {
        if !aggregate.order_bys().is_empty() {
            return Ok(None);
        }
        let arguments = aggregate.expressions().into_iter().map(|argument| match argument.is::<Literal>() {
            true => argument,
            false => column(&argument),
        });
        let arguments = arguments.collect();
        let Some(aggregate) = aggregate.with_new_expressions(arguments, Vec::new()) else { return Ok(None) };
        aggregates.push(Arc::new(aggregate));
    }
    let rows = Arc::new(ProjectionExec::try_new(columns, first.input().clone())?);
    Ok(Some(Prepared { rows, groups, aggregates }))
}

fn exchange(
    rows: Arc<dyn ExecutionPlan>,
    by: Vec<Arc<dyn PhysicalExpr>>,
    partitions: usize,
) -> Result<Arc<dyn ExecutionPlan>> {
    Ok(Arc::new(RepartitionExec::try_new(rows, Partitioning::Hash(by, partitions))?))
}

/// The one value that is counted, if results of parts of the rows can be put together by adding them up.
fn value(aggregates: &[Arc<AggregateFunctionExpr>]) -> Option<Arc<dyn PhysicalExpr>> {
    let mut value: Option<Arc<dyn PhysicalExpr>> = None;
    for aggregate in aggregates {
        match aggregate.fun().name() {
            DIFFERENT => {
                let argument = aggregate.expressions().pop()?;
                if value.get_or_insert_with(|| argument.clone()) != &argument {
                    return None;
                }
            }
            "count" | "sum" | "min" | "max" if !aggregate.is_distinct() => {}
            _ => return None,
        }
    }
    value
}

fn apart(plan: &Arc<dyn ExecutionPlan>) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let Some(first) = first_half(plan) else { return Ok(None) };
    if !first.aggr_expr().iter().any(|aggregate| aggregate.fun().name() == DIFFERENT) {
        return Ok(None);
    }
    let Some(Prepared { rows, groups, aggregates }) = prepare(first)? else { return Ok(None) };
    let partitions = rows.output_partitioning().partition_count();
    let (schema, filters) = (rows.schema(), vec![None; aggregates.len()]);
    let by_value = if groups.len() < 2 { value(&aggregates) } else { None };
    let by = match &by_value {
        Some(value) => vec![value.clone()],
        None if groups.is_empty() => return Ok(None),
        None => groups.iter().map(|(group, _)| group.clone()).collect(),
    };
    let group_by = PhysicalGroupBy::new_single(groups);
    let counted: Arc<dyn ExecutionPlan> = Arc::new(AggregateExec::try_new(
        AggregateMode::SinglePartitioned,
        group_by.clone(),
        aggregates.clone(),
        filters.clone(),
        exchange(rows, by, partitions)?,
        schema.clone(),
    )?);
    if by_value.is_none() {
        return Ok(Some(counted));
    }
    // A count, sum, least and greatest value is its own state. So is a count of different values that no other partition
    // has: it is added up as any count is.
    let added = aggregates.iter().map(|aggregate| match aggregate.fun().name() {
        DIFFERENT => AggregateExprBuilder::new(count_udaf(), aggregate.expressions())
            .schema(schema.clone())
            .alias(aggregate.name())
            .build()
            .map(Arc::new),
        _ => Ok(aggregate.clone()),
    });
    let added = added.collect::<Result<Vec<_>>>()?;
    let last = group_by.as_final();
    let (mode, parts): (_, Arc<dyn ExecutionPlan>) = match last.is_empty() {
        true => (AggregateMode::Final, Arc::new(CoalescePartitionsExec::new(counted))),
        false => (AggregateMode::FinalPartitioned, exchange(counted, last.input_exprs(), partitions)?),
    };
    Ok(Some(Arc::new(AggregateExec::try_new(mode, last, added, filters, parts, schema)?)))
}
