//! Aggregates over sketches of distinct values ([`crate::rollup::sketch`]): `sketch`, `sketch_merge` and `distinct_of`.
//!
//! All groups of a question lie in one vector of unions, so a group of a handful of members costs no allocation.

use super::functions::{read_address, refused};
use crate::rollup::sketch::{Union, coupon, coupon_of_number};
use arrow::array::{Array, ArrayRef, AsArray, BinaryBuilder, BooleanArray, Int64Array};
use arrow::compute::{cast, filter};
use arrow::datatypes::{DataType, Field, FieldRef, Int64Type};
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, GroupsAccumulator, Signature, Volatility,
};
use datafusion::prelude::SessionContext;
use std::sync::Arc;

/// Makes the aggregates known to a session.
pub(super) fn register(context: &SessionContext) {
    for function in Function::ALL {
        let signature = Signature::any(1, Volatility::Immutable);
        context.register_udaf(AggregateUDF::new_from_impl(Sets { function, signature }));
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Function {
    /// A sketch of values: addresses as the lake holds them, or whole numbers.
    Sketch,
    /// The union of sketches as a sketch.
    Merge,
    /// The size of the union of sketches.
    DistinctOf,
}

impl Function {
    const ALL: [Function; 3] = [Function::Sketch, Function::Merge, Function::DistinctOf];

    fn output(self) -> DataType {
        match self {
            Function::Sketch | Function::Merge => DataType::Binary,
            Function::DistinctOf => DataType::Int64,
        }
    }
}

#[derive(PartialEq, Eq, Hash, Debug)]
struct Sets {
    function: Function,
    signature: Signature,
}

impl AggregateUDFImpl for Sets {
    fn name(&self) -> &str {
        ["sketch", "sketch_merge", "distinct_of"][self.function as usize]
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        // A text of four letters has the length of an address.
        let counted = |kind: &DataType| kind.is_integer() || kind.is_null() || kind.is_binary();
        if self.function == Function::Sketch && !arguments.iter().all(counted) {
            return Err(refused("sketch counts addresses and whole numbers, nothing else: count(distinct …) does"));
        }
        Ok(self.function.output())
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        Ok(vec![Arc::new(Field::new(format!("{}[union]", args.name), DataType::Binary, true))])
    }

    fn accumulator(&self, _: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(One(Groups::new(self.function, 1))))
    }

    fn groups_accumulator_supported(&self, _: AccumulatorArgs) -> bool {
        true
    }

    fn create_groups_accumulator(&self, _: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(Groups::new(self.function, 0)))
    }
}

/// The unions of all groups.
struct Groups {
    function: Function,
    unions: Vec<Union>,
    /// Bytes that the unions take beside the vector.
    bytes: usize,
}

impl Groups {
    fn new(function: Function, groups: usize) -> Self {
        let mut unions = Vec::new();
        unions.resize_with(groups, Union::default);
        Groups { function, unions, bytes: 0 }
    }

    /// Adds values, or with `stored` sketches, each to its group.
    fn add(&mut self, values: &ArrayRef, group: impl Fn(usize) -> usize, stored: bool) -> Result<()> {
        let Groups { unions, bytes, .. } = self;
        let mut to = |row: usize, add: &dyn Fn(&mut Union) -> Result<()>| -> Result<()> {
            let union = &mut unions[group(row)];
            let before = union.size();
            add(union)?;
            *bytes += union.size().saturating_sub(before);
            Ok(())
        };
        let mut each = |(row, value): (usize, Option<&[u8]>)| match (value, stored) {
            (None, _) => Ok(()),
            (Some(sketch), true) => to(row, &|union| union.merge(sketch).map_err(refused)),
            (Some(address), false) => to(row, &|union| {
                read_address(address).into_iter().for_each(|addr| union.add_coupon(coupon(addr)));
                Ok(())
            }),
        };
        match values.data_type() {
            DataType::BinaryView => values.as_binary_view().iter().enumerate().try_for_each(each),
            DataType::Binary => values.as_binary::<i32>().iter().enumerate().try_for_each(each),
            kind if kind.is_integer() && !stored => {
                let numbers = cast(values, &DataType::Int64)?;
                let numbers = numbers.as_primitive::<Int64Type>().iter().enumerate();
                for (row, number) in numbers.filter_map(|(row, number)| Some((row, number?))) {
                    to(row, &|union| {
                        union.add_coupon(coupon_of_number(number));
                        Ok(())
                    })?;
                }
                Ok(())
            }
            _ => cast(values, &DataType::Binary)?.as_binary::<i32>().iter().enumerate().try_for_each(&mut each),
        }
    }

    fn grow(&mut self, groups: usize) {
        self.unions.resize_with(groups.max(self.unions.len()), Union::default);
    }

    fn take(&mut self, emit_to: EmitTo) -> Vec<Union> {
        let taken = emit_to.take_needed(&mut self.unions);
        let left = self.bytes.saturating_sub(taken.iter().map(Union::size).sum());
        self.bytes = left;
        taken
    }

    fn stores(&self) -> bool {
        self.function != Function::Sketch
    }
}

fn stored(unions: Vec<Union>) -> ArrayRef {
    let mut sketches = BinaryBuilder::with_capacity(unions.len(), unions.len() * 16);
    let mut bytes = Vec::new();
    for union in unions {
        bytes.clear();
        union.write(&mut bytes);
        sketches.append_value(&bytes);
    }
    Arc::new(sketches.finish())
}

fn sizes(unions: Vec<Union>) -> ArrayRef {
    Arc::new(unions.into_iter().map(|union| union.estimate().round() as i64).collect::<Int64Array>())
}

impl GroupsAccumulator for Groups {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        opt_filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        self.grow(total_num_groups);
        let stored = self.stores();
        let Some(condition) = opt_filter else { return self.add(&values[0], |row| group_indices[row], stored) };
        let holds = |row: usize| condition.is_valid(row) && condition.value(row);
        let groups: Vec<usize> =
            group_indices.iter().enumerate().filter(|(row, _)| holds(*row)).map(|(_, group)| *group).collect();
        self.add(&filter(&values[0], condition)?, |row| groups[row], stored)
    }

    fn merge_batch(&mut self, values: &[ArrayRef], group_indices: &[usize], total_num_groups: usize) -> Result<()> {
        self.grow(total_num_groups);
        self.add(&values[0], |row| group_indices[row], true)
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let unions = self.take(emit_to);
        Ok(if self.function == Function::DistinctOf { sizes(unions) } else { stored(unions) })
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        Ok(vec![stored(self.take(emit_to))])
    }

    /// Each row as a group of its own.
    fn convert_to_state(&self, values: &[ArrayRef], opt_filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let mut alone = Groups::new(self.function, values[0].len());
        let rows: Vec<usize> = (0..values[0].len()).collect();
        alone.update_batch(values, &rows, opt_filter, rows.len())?;
        alone.state(EmitTo::All)
    }

    fn size(&self) -> usize {
        self.unions.capacity() * size_of::<Union>() + self.bytes
    }
}

/// A question without groups.
struct One(Groups);

impl std::fmt::Debug for One {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("One").field(&self.0.function).finish()
    }
}

impl Accumulator for One {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let stored = self.0.stores();
        self.0.add(&values[0], |_| 0, stored)
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.0.add(&states[0], |_| 0, true)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let bytes = self.0.unions[0].bytes();
        Ok(vec![ScalarValue::Binary(Some(bytes))])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let union = &self.0.unions[0];
        Ok(match self.0.function {
            Function::DistinctOf => ScalarValue::Int64(Some(union.estimate().round() as i64)),
            Function::Sketch | Function::Merge => ScalarValue::Binary(Some(union.bytes())),
        })
    }

    fn size(&self) -> usize {
        size_of_val(self) + size_of::<Union>() + self.0.bytes
    }
}
