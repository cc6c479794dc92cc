//! Plans of questions, made cheaper without another answer.
//!
//! - Rows grouped by what is known of an address (`country(src)`, `asn(src)`, `ip(src)`) are first grouped by the address:
//!   a source sends many packets, and is looked up once.
//! - Rows grouped by a text of an address (`network(dst)`) are grouped by its number ([`super::keys`]); hours and days of
//!   UTC are cut off without a calendar.
//! - The first rows of an order get their texts after the others are gone: `select ip(src) … order by n limit 20`.

use super::keys::{Parted, floor_time, utc};
use crate::rollup::Enrich;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, Result, ScalarValue};
use datafusion::functions::expr_fn::coalesce;
use datafusion::functions_aggregate::expr_fn::{count, sum};
use datafusion::logical_expr::expr::{AggregateFunction, ScalarFunction};
use datafusion::logical_expr::{Aggregate, Expr, ExprSchemable, LogicalPlan, Projection, Sort, lit};
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};
use std::sync::Arc;

/// Functions whose answer is looked up or written letter by letter.
const COSTLY: [&str; 3] = ["country", "asn", "ip"];

/// The rule of this module.
#[derive(Debug)]
pub(super) struct CheaperGroups {
    parted: Vec<Parted>,
}

impl CheaperGroups {
    pub fn new(enrich: &Enrich) -> Self {
        CheaperGroups { parted: super::keys::parted(enrich) }
    }
}

impl OptimizerRule for CheaperGroups {
    fn name(&self) -> &str {
        "cheaper_groups"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::TopDown)
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let cheaper = match &plan {
            LogicalPlan::Aggregate(aggregate) => match twice(aggregate)? {
                Some(plan) => Some(plan),
                None => self.by_keys(aggregate)?,
            },
            LogicalPlan::Sort(sort) => texts_last(sort)?,
            _ => None,
        };
        Ok(cheaper.map_or_else(|| Transformed::no(plan), Transformed::yes))
    }
}

fn call(expr: &Expr) -> Option<&ScalarFunction> {
    match expr {
        Expr::Alias(alias) => call(&alias.expr),
        Expr::ScalarFunction(function) => Some(function),
        _ => None,
    }
}

fn column_of(schema: &DFSchema, at: usize) -> Expr {
    Expr::Column(Column::from(schema.qualified_field(at)))
}

/// Gives the columns the names that the plan above knows.
fn renamed(exprs: Vec<Expr>, input: LogicalPlan, schema: &DFSchema) -> Result<LogicalPlan> {
    let named = exprs.into_iter().enumerate().map(|(at, expr)| {
        let (qualifier, field) = schema.qualified_field(at);
        match &expr {
            Expr::Column(column) if column.relation.as_ref() == qualifier && column.name == *field.name() => expr,
            _ => expr.alias_qualified(qualifier.cloned(), field.name()),
        }
    });
    Ok(LogicalPlan::Projection(Projection::try_new(named.collect(), Arc::new(input))?))
}

/// The only column of the expressions, if one of them is costly and none would give another answer when asked again.
fn costly_column(exprs: &[Expr]) -> Option<Column> {
    let mut columns = exprs.iter().flat_map(Expr::column_refs);
    let column = columns.next()?.clone();
    let is_costly = |expr: &Expr| {
        expr.exists(|part| Ok(call(part).is_some_and(|function| COSTLY.contains(&function.name())))).unwrap_or(false)
    };
    let fits = columns.all(|other| *other == column)
        && exprs.iter().all(|expr| !matches!(expr, Expr::GroupingSet(_)) && !expr.is_volatile())
        && exprs.iter().any(is_costly);
    fits.then_some(column)
}

fn is_grouped_by(plan: &LogicalPlan, column: &Column) -> bool {
    match plan {
        LogicalPlan::Aggregate(aggregate) => {
            matches!(&aggregate.group_expr[..], [Expr::Column(known)] if known == column)
        }
        LogicalPlan::Projection(projection) => is_grouped_by(&projection.input, column),
        _ => false,
    }
}

/// An aggregate in two steps: of the rows with one address, and of addresses. The first is missing where the addresses
/// themselves are counted.
struct Steps {
    first: Option<Expr>,
    second: Expr,
    is_count: bool,
}

fn steps(expr: &Expr, column: &Column, schema: &DFSchema, at: usize) -> Result<Option<Steps>> {
    let Expr::AggregateFunction(AggregateFunction { func, params }) = expr.clone().unalias() else { return Ok(None) };
    if params.distinct || params.filter.is_some() || !params.order_by.is_empty() {
        return Ok(None);
    }
    let name = format!("part {at}");
    let part = Expr::Column(Column::new_unqualified(&name));
    let is_number = || expr.get_type(schema).is_ok_and(|kind| kind.is_integer());
    let first = Some(expr.clone().unalias().alias(&name));
    let again = |func| {
        let mut params = params.clone();
        params.args = vec![part.clone()];
        Expr::AggregateFunction(AggregateFunction { func, params })
    };
    Ok(match func.name() {
        "count" => Some(Steps { first, second: sum(part), is_count: true }),
        "sum" if is_number() => Some(Steps { first, second: again(func.clone()), is_count: false }),
        "min" | "max" => Some(Steps { first, second: again(func.clone()), is_count: false }),
        "count_different" => match params.args.first().and_then(call) {
            Some(number) if number.name() == "number_of_bytes" && number.args == [Expr::Column(column.clone())] => {
                Some(Steps { first: None, second: count(Expr::Column(column.clone())), is_count: false })
            }
            _ => None,
        },
        _ => None,
    })
}

/// Groups by the address, then by what is known of it.
fn twice(aggregate: &Aggregate) -> Result<Option<LogicalPlan>> {
    let Some(column) = costly_column(&aggregate.group_expr) else { return Ok(None) };
    if is_grouped_by(&aggregate.input, &column) {
        return Ok(None);
    }
    let mut parts = Vec::new();
    for (at, expr) in aggregate.aggr_expr.iter().enumerate() {
        match steps(expr, &column, aggregate.input.schema(), at)? {
            Some(steps) => parts.push(steps),
            None => return Ok(None),
        }
    }
    let first = parts.iter().filter_map(|steps| steps.first.clone()).collect();
    let first = Aggregate::try_new(aggregate.input.clone(), vec![Expr::Column(column)], first)?;
    let second = parts.iter().map(|steps| steps.second.clone()).collect();
    let second = Aggregate::try_new(Arc::new(LogicalPlan::Aggregate(first)), aggregate.group_expr.clone(), second)?;
    let (groups, schema) = (aggregate.group_expr.len(), second.schema.clone());
    let found = (0..schema.fields().len()).map(|at| match at.checked_sub(groups) {
        // The sum of nothing would be null; there is no group of nothing, but the types do not know.
        Some(part) if parts[part].is_count => coalesce(vec![column_of(&schema, at), lit(0i64)]),
        _ => column_of(&schema, at),
    });
    Ok(Some(renamed(found.collect(), LogicalPlan::Aggregate(second), &aggregate.schema)?))
}

/// A time in UTC cut off to its minute, hour or day.
fn floored(function: &ScalarFunction, schema: &DFSchema) -> Option<Expr> {
    let [Expr::Literal(unit, _), time] = &function.args[..] else { return None };
    let unit = match unit {
        ScalarValue::Utf8(Some(unit)) | ScalarValue::Utf8View(Some(unit)) => unit.to_lowercase(),
        _ => return None,
    };
    let unit = ["minute", "hour", "day"].into_iter().find(|known| *known == unit)?;
    (time.get_type(schema).ok()? == utc()).then(|| floor_time(unit).map(|floor| floor.call(vec![time.clone()])))?
}

impl CheaperGroups {
    /// Groups by numbers where there is one for the text.
    fn by_keys(&self, aggregate: &Aggregate) -> Result<Option<LogicalPlan>> {
        let schema = aggregate.input.schema();
        let mut texts = Vec::new();
        let mut found = false;
        let mut cheaper = |expr: &Expr| {
            let function = call(expr);
            let parted = function.and_then(|function| self.parted.iter().find(|parted| parted.name == function.name()));
            let (key, text) = match (function, parted) {
                (Some(function), Some(parted)) => {
                    (Some(parted.key.call(function.args.clone())), Some(parted.text.clone()))
                }
                (Some(function), None) if function.name() == "date_trunc" => (floored(function, schema), None),
                _ => (None, None),
            };
            found |= key.is_some();
            texts.push(text);
            key.unwrap_or_else(|| expr.clone())
        };
        let keys = aggregate.group_expr.iter().map(&mut cheaper).collect();
        if !found {
            return Ok(None);
        }
        let keyed = Aggregate::try_new(aggregate.input.clone(), keys, aggregate.aggr_expr.clone())?;
        let schema = keyed.schema.clone();
        let found = (0..schema.fields().len()).map(|at| match texts.get(at).and_then(Option::as_ref) {
            Some(text) => text.call(vec![column_of(&schema, at)]),
            None => column_of(&schema, at),
        });
        Ok(Some(renamed(found.collect(), LogicalPlan::Aggregate(keyed), &aggregate.schema)?))
    }
}

/// Puts the first rows in order before the columns are made, if the order needs none that is made by a function.
fn texts_last(sort: &Sort) -> Result<Option<LogicalPlan>> {
    let LogicalPlan::Projection(projection) = &*sort.input else { return Ok(None) };
    if sort.fetch.is_none() || !projection.expr.iter().any(|expr| call(expr).is_some()) {
        return Ok(None);
    }
    let mut before = Vec::new();
    for key in &sort.expr {
        let Expr::Column(column) = &key.expr else { return Ok(None) };
        let made = projection.expr[projection.schema.index_of_column(column)?].clone().unalias();
        if made.exists(|part| Ok(call(part).is_some()))? || made.is_volatile() {
            return Ok(None);
        }
        let mut key = key.clone();
        key.expr = made;
        before.push(key);
    }
    let sorted = Sort { expr: before, input: projection.input.clone(), fetch: sort.fetch };
    let made = Projection::try_new_with_schema(
        projection.expr.clone(),
        Arc::new(LogicalPlan::Sort(sorted)),
        projection.schema.clone(),
    )?;
    Ok(Some(LogicalPlan::Projection(made)))
}
