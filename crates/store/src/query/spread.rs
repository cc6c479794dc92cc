//! `concentration(key, packets)`: how unevenly packets come from what the keys, whole numbers, stand for.
//!
//! | field | what |
//! |---|---|
//! | `networks` | different keys |
//! | `packets` | the sum |
//! | `gini` | Gini coefficient: 0 equal, 1 all from one |
//! | `entropy_bits` | Shannon entropy |
//! | `share_of_ten` | what the ten largest sent of all |
//!
//! Every key has to be added up for that, hundreds of thousands a day, and what is asked of them is only how many have how
//! many packets. Tables are in the order of their keys, so sums are kept in a list and sorted, which is one look at what is
//! in order already; a table of hashes would wait for the memory at each key.

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, ListArray};
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Int64Type};
use datafusion::common::scalar::ScalarStructBuilder;
use datafusion::common::utils::SingleRowListArrayBuilder;
use datafusion::common::{Result, ScalarValue, internal_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::format_state_name;
use datafusion::logical_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, Signature, Volatility};
use datafusion::prelude::SessionContext;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Rows that are kept before equal keys among them are sought.
const ROWS: usize = 1 << 20;

/// Makes the aggregate known to a session.
pub(super) fn register(context: &SessionContext) {
    let signature = Signature::exact(vec![DataType::Int64, DataType::Int64], Volatility::Immutable);
    context.register_udaf(AggregateUDF::new_from_impl(Concentration { signature }));
}

#[derive(PartialEq, Eq, Hash, Debug)]
struct Concentration {
    signature: Signature,
}

fn fields() -> Fields {
    let number = |name| Field::new(name, DataType::Float64, true);
    let names = ["packets", "gini", "entropy_bits", "share_of_ten"];
    std::iter::once(Field::new("networks", DataType::Int64, true)).chain(names.map(number)).collect()
}

fn list() -> FieldRef {
    Arc::new(Field::new_list_field(DataType::Int64, true))
}

impl AggregateUDFImpl for Concentration {
    fn name(&self) -> &str {
        "concentration"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Struct(fields()))
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let field = |name| Field::new(format_state_name(args.name, name), DataType::List(list()), true);
        Ok(["keys", "sums"].map(|name| Arc::new(field(name))).to_vec())
    }

    fn accumulator(&self, _: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(Sums::default()))
    }
}

/// A sum for each key. What adds up to less than one is left out: nothing came from there.
#[derive(Debug, Default)]
struct Sums {
    /// Keys and sums as they came; the first `settled` in order, each key once.
    rows: Vec<(i64, i64)>,
    settled: usize,
}

impl Sums {
    fn add(&mut self, keys: &Int64Array, sums: &Int64Array) {
        self.rows.reserve(keys.len());
        for row in (0..keys.len()).filter(|row| keys.is_valid(*row) && sums.is_valid(*row)) {
            let (key, sum) = (keys.value(row), sums.value(row).max(0));
            match self.rows.last_mut() {
                Some(last) if last.0 == key => last.1 = last.1.saturating_add(sum),
                _ => self.rows.push((key, sum)),
            }
        }
        if self.rows.len() > ROWS.max(2 * self.settled) {
            self.settle();
        }
    }

    /// Puts the keys in order, each once. The sort takes what is in order already as a whole.
    fn settle(&mut self) {
        self.rows.sort_by_key(|row| row.0);
        self.rows.dedup_by(|next, first| {
            let same = next.0 == first.0;
            if same {
                first.1 = first.1.saturating_add(next.1);
            }
            same
        });
        self.settled = self.rows.len();
    }

    /// How many keys have each sum, the smallest first.
    fn counts(&mut self) -> BTreeMap<i64, u64> {
        self.settle();
        // Most are small.
        let (mut small, mut large) = (vec![0u64; 1 << 12], BTreeMap::new());
        for (_, sum) in self.rows.iter().filter(|row| row.1 > 0) {
            match small.get_mut(*sum as usize) {
                Some(count) => *count += 1,
                None => *large.entry(*sum).or_default() += 1,
            }
        }
        large.extend(
            small.into_iter().enumerate().filter(|(_, count)| *count > 0).map(|(sum, count)| (sum as i64, count)),
        );
        large
    }
}

/// Networks, packets, Gini coefficient, entropy and share of the ten largest. The Gini coefficient comes from ranks:
/// 2 Σ i·x(i) / (n Σ x) − (n + 1) / n with x ascending (Gini 1912, in the form of Sen); equal sums have ranks one after the
/// other.
fn measures(counts: &BTreeMap<i64, u64>) -> (i64, [f64; 4]) {
    let networks: u64 = counts.values().sum();
    let total: f64 = counts.iter().map(|(sum, count)| *sum as f64 * *count as f64).sum();
    let (mut below, mut ranked, mut entropy, mut ten) = (0, 0.0, 0.0, 0.0);
    for (sum, count) in counts {
        let (sum, times) = (*sum as f64, *count as f64);
        let ranks = times * below as f64 + times * (times + 1.0) / 2.0;
        ranked += ranks * sum;
        entropy -= times * (sum / total) * (sum / total).log2();
        below += count;
        let of_ten = (below + 10).saturating_sub(networks.max(10)).min(*count);
        ten += of_ten as f64 * sum;
    }
    let n = networks as f64;
    (networks as i64, [total, 2.0 * ranked / (n * total) - (n + 1.0) / n, entropy, ten / total])
}

impl Accumulator for Sums {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.add(values[0].as_primitive::<Int64Type>(), values[1].as_primitive::<Int64Type>());
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let list = |array: &ArrayRef| -> ListArray { array.as_list::<i32>().clone() };
        let (keys, sums) = (list(&states[0]), list(&states[1]));
        for (keys, sums) in keys.iter().zip(sums.iter()) {
            let (Some(keys), Some(sums)) = (keys, sums) else {
                return internal_err!("a state of concentration is not there");
            };
            self.add(keys.as_primitive::<Int64Type>(), sums.as_primitive::<Int64Type>());
        }
        Ok(())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.settle();
        let list = |of: fn(&(i64, i64)) -> i64| {
            let values = Int64Array::from_iter_values(self.rows.iter().map(of));
            SingleRowListArrayBuilder::new(Arc::new(values)).build_list_scalar()
        };
        Ok(vec![list(|row| row.0), list(|row| row.1)])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let (networks, measures) = measures(&self.counts());
        let known = networks > 0;
        let mut found = ScalarStructBuilder::new();
        for (field, at) in fields().iter().zip(0usize..) {
            found = found.with_scalar(
                field.clone(),
                match at.checked_sub(1) {
                    None => ScalarValue::Int64(known.then_some(networks)),
                    Some(at) => ScalarValue::Float64(known.then_some(measures[at])),
                },
            );
        }
        found.build()
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.rows.capacity() * size_of::<(i64, i64)>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition, over all sums in order.
    fn plain(mut sums: Vec<f64>) -> [f64; 4] {
        sums.sort_by(f64::total_cmp);
        let (n, total) = (sums.len() as f64, sums.iter().sum::<f64>());
        let ranked: f64 = sums.iter().zip(1..).map(|(sum, rank)| sum * f64::from(rank)).sum();
        let entropy = -sums.iter().map(|sum| sum / total * (sum / total).log2()).sum::<f64>();
        let ten = sums.iter().rev().take(10).sum::<f64>();
        [total, 2.0 * ranked / (n * total) - (n + 1.0) / n, entropy, ten / total]
    }

    #[test]
    fn measures_are_those_of_the_definition() {
        for numbers in [1u64, 2, 9, 10, 11, 5_000, 300_000] {
            let packets = |n: u64| if n % 100 == 7 { 5_000 + n } else { 1 + n * n % 3 };
            let mut halves = [Sums::default(), Sums::default()];
            for (at, half) in halves.iter_mut().enumerate() {
                // Each number in both halves, as in two files, and some twice.
                let all = (0..numbers).chain(0..numbers / 3).filter(|n| !(n + at as u64).is_multiple_of(5));
                let all: Vec<i64> = all.map(|n| n as i64 * 77_777 - 5).collect();
                let sums: Int64Array =
                    all.iter().map(|key| Some(packets(((key + 5) / 77_777) as u64) as i64)).collect();
                half.add(&Int64Array::from(all), &sums);
            }
            let mut whole = Sums::default();
            for half in &mut halves {
                let states: Vec<ArrayRef> =
                    half.state().unwrap().iter().map(|state| state.to_array().unwrap()).collect();
                whole.merge_batch(&states).unwrap();
            }
            let mut expected = BTreeMap::<u64, f64>::new();
            for at in 0..2 {
                for n in (0..numbers).chain(0..numbers / 3).filter(|n| (n + at) % 5 != 0) {
                    *expected.entry(n).or_default() += packets(n) as f64;
                }
            }
            let (found, measured) = measures(&whole.counts());
            assert_eq!(found as usize, expected.len());
            for (found, expected) in measured.iter().zip(plain(expected.into_values().collect())) {
                assert!((found - expected).abs() <= 1e-9 * expected.abs().max(1.0), "{numbers}: {found} {expected}");
            }
        }
    }
}
