//! Numbers in place of texts while rows are grouped.
//!
//! A /24 is a number of three bytes and a country one of two: rows are grouped by the number, and the few groups that come
//! out are given their texts.

use super::functions::{each_address, folded, refused, rows_of};
use crate::rollup::Enrich;
use arrow::array::{Array, ArrayRef, AsArray, Int64Array, StringViewBuilder};
use arrow::compute::cast;
use arrow::compute::kernels::arity::unary;
use arrow::datatypes::{DataType, Int64Type, TimeUnit, TimestampMicrosecondType};
use datafusion::common::{Result, internal_err};
use datafusion::logical_expr::{ScalarFunctionImplementation, ScalarUDF, Signature, SimpleScalarUDF, Volatility};
use noroshi_model::{Addr, Prefix};
use std::sync::Arc;

/// Marks the number of a /48, so that it is not that of a /24; all such numbers, and keys, are at least this.
pub(crate) const V6: i64 = 1 << 62;

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

/// `network_key` of networks as roll-ups keep them, as texts.
pub(super) fn network_keys() -> ScalarFunctionImplementation {
    Arc::new(|arguments| {
        let texts = cast(&arguments[0].to_array(rows_of(arguments))?, &DataType::Utf8View)?;
        let texts = texts.as_string_view();
        let mut keys = Vec::with_capacity(texts.len());
        for text in texts {
            keys.push(text.map_or(Ok(0), key_of_text)?);
        }
        folded(arguments, Arc::new(Int64Array::new(keys.into(), texts.nulls().cloned())))
    })
}

/// The same for every way to write the network of an address.
fn key_of_text(text: &str) -> Result<i64> {
    if let Some(key) = slash_24(text.as_bytes()) {
        return Ok(key);
    }
    let first = text.parse::<Prefix>().map_err(refused)?.first();
    match first.as_v4() {
        Some(_) => {
            slash_24(first.network().to_string().as_bytes()).ok_or_else(|| refused(format!("not a network: {text}")))
        }
        None => Ok(network_number(first)),
    }
}

/// `a.b.c.0/24` letter by letter, so that keys are in the order of texts, in which the tables are. Eleven letters at most,
/// four bits each.
fn slash_24(text: &[u8]) -> Option<i64> {
    let (mut key, mut dots, mut digits, mut part) = (0, 0, 0, 0);
    let text = text.strip_suffix(b".0/24").filter(|text| text.len() <= 11)?;
    for letter in text {
        match letter {
            b'.' if digits > 0 && dots < 2 => (dots, digits, part) = (dots + 1, 0, 0),
            // No part begins with a needless 0, and none is past 255.
            b'0'..=b'9' if digits == 0 || part > 0 => {
                (digits, part) = (digits + 1, part * 10 + u32::from(letter - b'0'))
            }
            _ => return None,
        }
        if part > 255 {
            return None;
        }
        key = key << 4 | if *letter == b'.' { 1 } else { i64::from(letter - b'0') + 2 };
    }
    (dots == 2 && digits > 0).then_some(key << (4 * (11 - text.len())))
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
    fn texts_have_keys_in_their_order() {
        let octets = [0u32, 1, 2, 9, 10, 19, 20, 25, 99, 100, 101, 199, 200, 249, 250, 255];
        let mut texts = Vec::new();
        for (a, b) in octets.iter().flat_map(|a| octets.iter().map(move |b| (a, b))) {
            texts.extend(octets.iter().map(|c| Addr::v4(a << 24 | b << 16 | c << 8).network().to_string()));
        }
        texts.sort();
        let keys: Vec<i64> = texts.iter().map(|text| key_of_text(text).unwrap()).collect();
        assert!(keys.is_sorted_by(|a, b| a < b) && keys.iter().all(|key| (0..V6).contains(key)));
        assert!(key_of_text("2001:db8:1::/48").unwrap() >= V6);
        for (text, other) in [("192.0.2.128/25", "192.0.2.0/24"), ("2001:db8:1:2::/64", "2001:db8:1::/48")] {
            assert_eq!(key_of_text(text).unwrap(), key_of_text(other).unwrap());
        }
        for text in ["", "256.0.0.0/24", "1.2.3.4.0/24", "1..3.0/24", "1.2.0/24", "1.2.3.0/33", "0001.2.3.0/24"] {
            assert!(key_of_text(text).is_err(), "{text}");
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
