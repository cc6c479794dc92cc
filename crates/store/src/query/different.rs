//! `count(distinct number)`: the engine's own aggregate keeps pairs of group and number in sixteen bytes and looks them up
//! one by one; this one is made for the sizes that packets have ([`Pairs`]).

use super::pairs::Pairs;
use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, ListArray};
use arrow::buffer::{OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, Field, FieldRef, Int64Type};
use datafusion::common::{Result, ScalarValue, resources_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{Accumulator, AggregateUDFImpl, EmitTo, GroupsAccumulator, Signature, Volatility};
use std::sync::Arc;

/// Name of the aggregate.
pub(super) const NAME: &str = "count_different";

/// The aggregate: numbers in, how many different ones out.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct CountDifferent {
    signature: Signature,
}

impl CountDifferent {
    pub fn new() -> Self {
        CountDifferent { signature: Signature::exact(vec![DataType::Int64], Volatility::Immutable) }
    }
}

/// Numbers of a group on their way from the first half of a divided aggregate to the second.
fn numbers_field() -> FieldRef {
    Arc::new(Field::new_list_field(DataType::Int64, true))
}

impl AggregateUDFImpl for CountDifferent {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int64)
    }

    fn is_nullable(&self) -> bool {
        false
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let name = datafusion::logical_expr::utils::format_state_name(args.name, "different");
        Ok(vec![Arc::new(Field::new(name, DataType::List(numbers_field()), false))])
    }

    fn accumulator(&self, _: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(Different::new()))
    }

    fn groups_accumulator_supported(&self, _: AccumulatorArgs) -> bool {
        true
    }

    fn create_groups_accumulator(&self, _: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(Different::new()))
    }

    fn default_value(&self, _: &DataType) -> Result<ScalarValue> {
        Ok(ScalarValue::Int64(Some(0)))
    }
}

/// Different numbers of all groups.
struct Different {
    pairs: Pairs,
    counts: Vec<i64>,
}

impl std::fmt::Debug for Different {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Different").field("groups", &self.counts.len()).finish_non_exhaustive()
    }
}

impl Different {
    fn new() -> Self {
        Different { pairs: Pairs::new(), counts: Vec::new() }
    }

    fn insert(&mut self, groups: usize, pairs: impl Iterator<Item = (usize, i64)>) {
        self.counts.resize(groups.max(self.counts.len()), 0);
        let counts = &mut self.counts;
        self.pairs.insert(pairs, |group| counts[group] += 1);
    }

    fn add(&mut self, values: &ArrayRef, of: &[usize], filter: Option<&BooleanArray>, groups: usize) {
        let numbers = values.as_primitive::<Int64Type>();
        let pairs = of.iter().copied().zip(numbers.values().iter().copied());
        if numbers.null_count() == 0 && filter.is_none() {
            return self.insert(groups, pairs);
        }
        let counted =
            |row: usize| numbers.is_valid(row) && filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row));
        self.insert(groups, pairs.enumerate().filter(|(row, _)| counted(*row)).map(|(_, pair)| pair));
    }

    fn merge(&mut self, states: &ArrayRef, of: &[usize], groups: usize) {
        let lists = states.as_list::<i32>();
        let (numbers, offsets) = (lists.values().as_primitive::<Int64Type>().values(), lists.value_offsets());
        let pairs = of.iter().zip(offsets.windows(2)).flat_map(|(group, ends)| {
            numbers[ends[0] as usize..ends[1] as usize].iter().map(|number| (*group, *number))
        });
        self.insert(groups, pairs);
    }

    /// Gives up the first `groups` of them, and numbers the others from 0.
    fn forget(&mut self, groups: usize) {
        let mut rest = Pairs::new();
        if groups == self.counts.len() {
            self.pairs = rest;
            return;
        }
        rest.insert(
            self.pairs.iter().filter(|(of, _)| *of >= groups).map(|(of, number)| (of - groups, number)),
            |_| {},
        );
        self.pairs = rest;
    }

    fn groups_of(&self, emit: EmitTo) -> usize {
        match emit {
            EmitTo::All => self.counts.len(),
            EmitTo::First(groups) => groups,
        }
    }

    /// The numbers of the first groups, as lists.
    fn lists(&self, groups: usize) -> Result<ListArray> {
        if self.counts[..groups].iter().sum::<i64>() > i64::from(i32::MAX) {
            return resources_err!("more than 2^31 different values");
        }
        let offsets = OffsetBuffer::<i32>::from_lengths(self.counts[..groups].iter().map(|count| *count as usize));
        let mut next: Vec<usize> = offsets[..groups].iter().map(|offset| *offset as usize).collect();
        let mut numbers = vec![0; offsets[groups] as usize];
        for (group, number) in self.pairs.iter().filter(|(group, _)| *group < groups) {
            numbers[next[group]] = number;
            next[group] += 1;
        }
        let numbers = Int64Array::new(ScalarBuffer::from(numbers), None);
        Ok(ListArray::try_new(numbers_field(), offsets, Arc::new(numbers), None)?)
    }

    fn bytes(&self) -> usize {
        size_of::<Self>() + self.pairs.size() + self.counts.capacity() * size_of::<i64>()
    }
}

impl GroupsAccumulator for Different {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        opt_filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        self.add(&values[0], group_indices, opt_filter, total_num_groups);
        Ok(())
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let groups = self.groups_of(emit_to);
        self.forget(groups);
        Ok(Arc::new(Int64Array::from(emit_to.take_needed(&mut self.counts))))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        let groups = self.groups_of(emit_to);
        let lists = self.lists(groups)?;
        self.forget(groups);
        emit_to.take_needed(&mut self.counts);
        Ok(vec![Arc::new(lists)])
    }

    fn merge_batch(&mut self, values: &[ArrayRef], group_indices: &[usize], total_num_groups: usize) -> Result<()> {
        self.merge(&values[0], group_indices, total_num_groups);
        Ok(())
    }

    fn convert_to_state(&self, values: &[ArrayRef], opt_filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let numbers = values[0].as_primitive::<Int64Type>();
        let counted = |row: &usize| {
            numbers.is_valid(*row) && opt_filter.is_none_or(|filter| filter.is_valid(*row) && filter.value(*row))
        };
        let offsets = OffsetBuffer::<i32>::from_lengths((0..numbers.len()).map(|row| usize::from(counted(&row))));
        let kept: Int64Array = (0..numbers.len()).filter(counted).map(|row| Some(numbers.value(row))).collect();
        Ok(vec![Arc::new(ListArray::try_new(numbers_field(), offsets, Arc::new(kept), None)?)])
    }

    fn size(&self) -> usize {
        self.bytes()
    }
}

/// One group: a question without `group by`.
impl Accumulator for Different {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.add(&values[0], &vec![0; values[0].len()], None, 1);
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.merge(&states[0], &vec![0; states[0].len()], 1);
        Ok(())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.counts.resize(1, 0);
        Ok(vec![ScalarValue::List(Arc::new(self.lists(1)?))])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::Int64(Some(self.counts.first().copied().unwrap_or(0))))
    }

    fn size(&self) -> usize {
        self.bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Groups that leave early keep their counts, and those behind them theirs.
    #[test]
    fn the_first_groups_can_be_given_up() {
        let mut different = Different::new();
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), Some(1), None, Some(2), Some(5), Some(-5)]));
        GroupsAccumulator::update_batch(&mut different, &[numbers], &[0, 0, 1, 2, 2, 2], None, 3).unwrap();
        let first = GroupsAccumulator::evaluate(&mut different, EmitTo::First(1)).unwrap();
        assert_eq!(first.as_primitive::<Int64Type>().values(), &[1]);
        let states = GroupsAccumulator::state(&mut different, EmitTo::All).unwrap();
        assert_eq!(states[0].as_list::<i32>().value_offsets(), &[0, 0, 3]);
        let mut other = Different::new();
        GroupsAccumulator::merge_batch(&mut other, &states, &[1, 1], 2).unwrap();
        GroupsAccumulator::merge_batch(&mut other, &states, &[0, 1], 2).unwrap();
        let merged = GroupsAccumulator::evaluate(&mut other, EmitTo::All).unwrap();
        assert_eq!(merged.as_primitive::<Int64Type>().values(), &[0, 3]);
    }

    /// A row is its own state when halves are skipped.
    #[test]
    fn rows_become_states() {
        let different = Different::new();
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None, Some(3)]));
        let keep = BooleanArray::from(vec![Some(true), Some(true), None]);
        let states = different.convert_to_state(&[numbers], Some(&keep)).unwrap();
        assert_eq!(states[0].as_list::<i32>().value_offsets(), &[0, 1, 1, 1]);
    }
}
