//! Numbers in place of texts while rows are grouped.
//!
//! A /24 is a number of three bytes and a country one of two: rows are grouped by the number, and the few groups that come
//! out are given their texts.

use super::functions::{each_address, folded, rows_of};
use crate::rollup::Enrich;
use arrow::array::{Array, ArrayRef, AsArray, Int64Array, StringViewBuilder};
use arrow::compute::kernels::arity::unary;
use arrow::datatypes::{DataType, Int64Type, TimeUnit, TimestampMicrosecondType};
use datafusion::common::internal_err;
use datafusion::logical_expr::{ScalarFunctionImplementation, ScalarUDF, Signature, SimpleScalarUDF, Volatility};
use noroshi_model::Addr;
use std::sync::Arc;

/// Marks the number of a /48, so that it is not that of a /24.
const V6: i64 = 1 << 62;

/// A function of a text, parted: what to group by, and its text.
#[derive(Debug)]
pub(super) struct Parted {
    pub name: &'static str,
    pub key: Arc<ScalarUDF>,
    pub text: Arc<ScalarUDF>,
}

fn function(name: &str, output: DataType, work: ScalarFunctionImplementation) -> Arc<ScalarUDF> {
    let signature = Signature::any(1, Volatility::Immutable);
    Arc::new(SimpleScalarUDF::new_with_signature(name, signature, output, work).into())
}

/// `network` and `country`.
pub(super) fn parted(enrich: &Enrich) -> Vec<Parted> {
    let known = enrich.clone();
    let country = move |addr: Addr| known.origin(addr).country.map(|code| i64::from(u16::from_be_bytes(code)));
    vec![
        Parted {
            name: "network",
            key: function("network_number", DataType::Int64, number_of(|addr| Some(network_number(addr)))),
            text: function(
                "network_text",
                DataType::Utf8View,
                text_of(|number| network_of(number).network().to_string()),
            ),
        },
        Parted {
            name: "country",
            key: function("country_number", DataType::Int64, number_of(country)),
            text: function("country_text", DataType::Utf8View, text_of(country_text)),
        },
    ]
}

fn network_number(addr: Addr) -> i64 {
    match addr.as_v4() {
        Some(bits) => i64::from(bits >> 8),
        None => V6 | (addr.0 >> 80) as i64,
    }
}

fn network_of(number: i64) -> Addr {
    match number & V6 {
        0 => Addr::v4((number as u32) << 8),
        _ => Addr(((number ^ V6) as u128) << 80),
    }
}

fn country_text(number: i64) -> String {
    String::from_utf8_lossy(&(number as u16).to_be_bytes()).into_owned()
}

/// Sorted rows repeat their addresses: the last answer is kept.
fn number_of(number: impl Fn(Addr) -> Option<i64> + Send + Sync + 'static) -> ScalarFunctionImplementation {
    Arc::new(move |arguments| {
        let mut numbers = Vec::with_capacity(rows_of(arguments));
        let mut last: Option<(Addr, Option<i64>)> = None;
        each_address(arguments, |addr| {
            numbers.push(addr.and_then(|addr| match last {
                Some((known, number)) if known == addr => number,
                _ => last.insert((addr, number(addr))).1,
            }));
        })?;
        folded(arguments, Arc::new(Int64Array::from(numbers)))
    })
}

fn text_of(text: impl Fn(i64) -> String + Send + Sync + 'static) -> ScalarFunctionImplementation {
    Arc::new(move |arguments| {
        let numbers = arguments[0].to_array(rows_of(arguments))?;
        let mut texts = StringViewBuilder::with_capacity(numbers.len());
        numbers.as_primitive::<Int64Type>().iter().for_each(|number| texts.append_option(number.map(&text)));
        folded(arguments, Arc::new(texts.finish()))
    })
}

/// `date_trunc` for hours and days of times in UTC: the engine asks a calendar for each row.
pub(super) fn floor_time(unit: &'static str) -> Option<Arc<ScalarUDF>> {
    let micros: i64 = match unit {
        "minute" => 60_000_000,
        "hour" => 3_600_000_000,
        "day" => 86_400_000_000,
        _ => return None,
    };
    let floor: ScalarFunctionImplementation = Arc::new(move |arguments| {
        let times = arguments[0].to_array(rows_of(arguments))?;
        let Some(times) = times.as_primitive_opt::<TimestampMicrosecondType>() else {
            return internal_err!("a time is not in microseconds");
        };
        let floored = unary::<_, _, TimestampMicrosecondType>(times, |at| at.wrapping_sub(at.rem_euclid(micros)));
        let floored: ArrayRef = Arc::new(floored.with_data_type(times.data_type().clone()));
        folded(arguments, floored)
    });
    Some(function(&format!("floor_{unit}"), utc(), floor))
}

/// The type of the lake's times.
pub(super) fn utc() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_come_back_from_their_numbers() {
        for text in ["0.0.0.0", "192.0.2.7", "255.255.255.255", "::", "2001:db8:1:2::3", "ffff:ffff:ffff::1"] {
            let addr: Addr = text.parse().unwrap();
            assert_eq!(network_of(network_number(addr)).network(), addr.network(), "{text}");
        }
    }

    #[test]
    fn networks_of_both_families_have_numbers_of_their_own() {
        let of = |text: &str| network_number(text.parse().unwrap());
        assert_eq!(of("192.0.2.1"), of("192.0.2.254"));
        assert_ne!(of("0.0.2.1"), of("0:0:2::1"));
        assert_ne!(of("192.0.2.1"), of("192.0.3.1"));
    }
}
