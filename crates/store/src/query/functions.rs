//! Functions for questions: addresses, prefixes, knowledge of addresses, tools, sketches.
//!
//! | function | gives |
//! |---|---|
//! | `ip(address)` | the address as text |
//! | `addr(text)` | the address in the lake's form, to compare with |
//! | `in_prefix(address, prefix)` | whether it lies inside |
//! | `network(address)` | its /24 or /48 as text |
//! | `network_key(network)` | a number for that text, in the order of texts; from 2^62 on for IPv6 |
//! | `country(address)`, `asn(address)` | where it belongs, null when not known |
//! | `anonymize(address, secret)` | the address encrypted so that equal prefixes stay equal (ipcrypt-pfx) |
//! | `tool(tool_bits)` | what the fingerprints of the packet point to |
//! | `hex(bytes, n)` | the first n bytes in hexadecimal |
//! | `sketch(addresses)` | a sketch of the addresses or numbers, an aggregate |
//! | `distinct_of(sketches)` | size of the union, an aggregate |
//! | `sketch_merge(sketches)` | the union as a sketch, an aggregate |
//! | `sketch_estimate(sketch)` | size of one sketch |
//! | `concentration(key, packets)` | how unevenly packets come from what the keys stand for, an aggregate |

use crate::rollup::sketch::Union;
use crate::rollup::{Enrich, tool_name};
use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BinaryBuilder, BooleanArray, BooleanBuilder, Int64Array, Int64Builder,
    StringArray, StringViewBuilder, UInt16Array,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type, UInt16Type};
use datafusion::common::ScalarValue;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionImplementation, Signature, SimpleScalarUDF, Volatility};
use datafusion::prelude::SessionContext;
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use ipcrypt_rs::IpcryptPfx;
use noroshi_model::packet::ToolBits;
use noroshi_model::{Addr, Prefix};
use std::fmt::Write;
use std::sync::Arc;

/// Makes the functions known to a session.
pub(super) fn register(context: &SessionContext, enrich: &Enrich) {
    // Arguments of any type: the lake's binaries and texts arrive in several layouts, which the functions cast.
    let scalar = |name: &str, inputs: usize, output, function: ScalarFunctionImplementation| {
        let signature = Signature::any(inputs, Volatility::Immutable);
        context.register_udf(SimpleScalarUDF::new_with_signature(name, signature, output, function).into());
    };
    let ip = |addr: Addr, text: &mut String| write!(text, "{addr}").is_ok();
    scalar("ip", 1, DataType::Utf8View, text_of_address(|addr| addr, ip));
    let network = |addr: Addr, text: &mut String| write!(text, "{}", addr.network()).is_ok();
    scalar("network", 1, DataType::Utf8View, text_of_address(base_of_network, network));
    let known = enrich.clone();
    let country = move |addr, text: &mut String| match known.origin(addr).country {
        Some(code) => {
            text.push_str(&String::from_utf8_lossy(&code));
            true
        }
        None => false,
    };
    scalar("country", 1, DataType::Utf8View, text_of_address(|addr| addr, country));
    scalar("asn", 1, DataType::Int64, asn(enrich.clone()));
    scalar("addr", 1, DataType::Binary, Arc::new(addr));
    scalar("in_prefix", 2, DataType::Boolean, Arc::new(in_prefix));
    scalar("anonymize", 2, DataType::Binary, Arc::new(anonymize));
    scalar("tool", 1, DataType::Utf8, Arc::new(tool));
    scalar("hex", 2, DataType::Utf8, Arc::new(hex));
    scalar("sketch_estimate", 1, DataType::Int64, Arc::new(sketch_estimate));
    scalar("network_key", 1, DataType::Int64, super::keys::network_keys());
    super::sketches::register(context);
    super::spread::register(context);
}

/// The address in the lake's form: 4 bytes for IPv4, 16 for IPv6. Other lengths are no address.
pub(super) fn read_address(bytes: &[u8]) -> Option<Addr> {
    if let Ok(v4) = <[u8; 4]>::try_from(bytes) {
        return Some(Addr::v4(u32::from_be_bytes(v4)));
    }
    bytes.try_into().ok().map(Addr::from_bytes)
}

/// The lake's form of an address: four bytes, or sixteen.
pub(super) fn write_address(addr: Addr) -> Vec<u8> {
    addr.as_v4().map_or_else(|| addr.bytes().to_vec(), |bits| bits.to_be_bytes().to_vec())
}

fn array(value: &ColumnarValue, rows: usize, kind: &DataType) -> Result<ArrayRef> {
    Ok(cast(&value.to_array(rows)?, kind)?)
}

/// Rows of a call: those of its arrays, or one when all arguments are constants.
pub(super) fn rows_of(arguments: &[ColumnarValue]) -> usize {
    arguments
        .iter()
        .find_map(|value| match value {
            ColumnarValue::Array(array) => Some(array.len()),
            ColumnarValue::Scalar(_) => None,
        })
        .unwrap_or(1)
}

/// Gives a constant back for constants, so that the engine can fold it.
pub(super) fn folded(arguments: &[ColumnarValue], result: ArrayRef) -> Result<ColumnarValue> {
    if arguments.iter().all(|value| matches!(value, ColumnarValue::Scalar(_))) {
        return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&result, 0)?));
    }
    Ok(ColumnarValue::Array(result))
}

/// Calls for each row with its address. The engine's views are read as they are.
pub(super) fn each_address(arguments: &[ColumnarValue], mut row: impl FnMut(Option<Addr>)) -> Result<()> {
    let values = arguments[0].to_array(rows_of(arguments))?;
    match values.data_type() {
        DataType::BinaryView => {
            // A view holds its length in the low 32 bits and, up to twelve, the bytes after it.
            let values = values.as_binary_view();
            for (at, view) in values.views().iter().enumerate() {
                row(match *view as u32 {
                    _ if values.is_null(at) => None,
                    4 => Some(Addr::v4(((*view >> 32) as u32).swap_bytes())),
                    _ => read_address(values.value(at)),
                });
            }
        }
        _ => {
            let values = cast(&values, &DataType::Binary)?;
            values.as_binary::<i32>().iter().for_each(|bytes| row(bytes.and_then(read_address)));
        }
    }
    Ok(())
}

fn base_of_network(addr: Addr) -> Addr {
    let host_bits = if addr.is_v4() { 8 } else { 80 };
    Addr(addr.0 >> host_bits << host_bits)
}

/// A text for each address. Addresses with the same `key` have the same text, which is written once in a batch: rows are
/// views of it. `write` says whether there is one.
fn text_of_address(
    key: impl Fn(Addr) -> Addr + Send + Sync + 'static,
    write: impl Fn(Addr, &mut String) -> bool + Send + Sync + 'static,
) -> ScalarFunctionImplementation {
    Arc::new(move |arguments| {
        let mut block = String::new();
        let mut known = HashMap::<Addr, Option<(u32, u32)>, FixedState>::default();
        let mut places = Vec::with_capacity(rows_of(arguments));
        each_address(arguments, |addr| {
            places.push(addr.and_then(|addr| {
                *known.entry(key(addr)).or_insert_with(|| {
                    let from = block.len();
                    write(addr, &mut block).then(|| (from as u32, (block.len() - from) as u32))
                })
            }));
        })?;
        let mut views = StringViewBuilder::with_capacity(places.len());
        let block = views.append_block(block.into_bytes().into());
        for place in places {
            match place {
                Some((from, length)) => views.try_append_view(block, from, length)?,
                None => views.append_null(),
            }
        }
        folded(arguments, Arc::new(views.finish()))
    })
}

fn asn(known: Enrich) -> ScalarFunctionImplementation {
    Arc::new(move |arguments| {
        let mut found = Int64Builder::with_capacity(rows_of(arguments));
        let mut last: Option<(Addr, Option<u32>)> = None;
        each_address(arguments, |addr| {
            let number = addr.and_then(|addr| match last {
                Some((known, number)) if known == addr => number,
                _ => last.insert((addr, known.origin(addr).asn)).1,
            });
            found.append_option(number.map(i64::from));
        })?;
        folded(arguments, Arc::new(found.finish()))
    })
}

pub(super) fn refused(error: impl std::fmt::Display) -> DataFusionError {
    DataFusionError::Plan(error.to_string())
}

fn addr(arguments: &[ColumnarValue]) -> Result<ColumnarValue> {
    let values = array(&arguments[0], rows_of(arguments), &DataType::Utf8)?;
    let parsed = values.as_string::<i32>().iter().map(|text| text.map(str::parse::<Addr>).transpose());
    let found = parsed.map(|addr| Ok(addr.map_err(refused)?.map(write_address)));
    folded(arguments, Arc::new(found.collect::<Result<BinaryArray>>()?))
}

fn in_prefix(arguments: &[ColumnarValue]) -> Result<ColumnarValue> {
    let rows = rows_of(arguments);
    if let ColumnarValue::Scalar(ScalarValue::Utf8(Some(text)) | ScalarValue::Utf8View(Some(text))) = &arguments[1] {
        let prefix: Prefix = text.parse().map_err(refused)?;
        let mut found = BooleanBuilder::with_capacity(rows);
        each_address(arguments, |addr| found.append_option(addr.map(|addr| prefix.contains(addr))))?;
        return folded(arguments, Arc::new(found.finish()));
    }
    let addresses = array(&arguments[0], rows, &DataType::Binary)?;
    let prefixes = array(&arguments[1], rows, &DataType::Utf8)?;
    let mut last: Option<(String, Prefix)> = None;
    let mut found = Vec::with_capacity(rows);
    for (bytes, text) in addresses.as_binary::<i32>().iter().zip(prefixes.as_string::<i32>()) {
        let (Some(addr), Some(text)) = (bytes.and_then(read_address), text) else {
            found.push(None);
            continue;
        };
        let prefix = match &last {
            Some((known, prefix)) if known == text => *prefix,
            _ => last.insert((text.to_owned(), text.parse().map_err(refused)?)).1,
        };
        found.push(Some(prefix.contains(addr)));
    }
    folded(arguments, Arc::new(BooleanArray::from(found)))
}

/// Key material comes from the secret by BLAKE3's key derivation, so a word of any length will do.
fn anonymize(arguments: &[ColumnarValue]) -> Result<ColumnarValue> {
    let rows = rows_of(arguments);
    let addresses = array(&arguments[0], rows, &DataType::Binary)?;
    let secrets = array(&arguments[1], rows, &DataType::Utf8)?;
    let mut last: Option<(String, IpcryptPfx)> = None;
    let mut hidden = BinaryBuilder::new();
    for (bytes, secret) in addresses.as_binary::<i32>().iter().zip(secrets.as_string::<i32>()) {
        let (Some(addr), Some(secret)) = (bytes.and_then(read_address), secret) else {
            hidden.append_null();
            continue;
        };
        let cipher = match &last {
            Some((known, cipher)) if known == secret => cipher,
            _ => {
                let key = blake3::derive_key("noroshi anonymize 2026-01 ipcrypt-pfx", secret.as_bytes());
                &last.insert((secret.to_owned(), IpcryptPfx::new(key))).1
            }
        };
        hidden.append_value(write_address(cipher.encrypt_ipaddr(addr.ip()).into()));
    }
    folded(arguments, Arc::new(hidden.finish()))
}

fn tool(arguments: &[ColumnarValue]) -> Result<ColumnarValue> {
    let values = array(&arguments[0], rows_of(arguments), &DataType::UInt16)?;
    let values: &UInt16Array = values.as_primitive::<UInt16Type>();
    let names = values.iter().map(|bits| bits.map(|bits| tool_name(ToolBits(bits))));
    folded(arguments, Arc::new(names.collect::<StringArray>()))
}

fn hex(arguments: &[ColumnarValue]) -> Result<ColumnarValue> {
    let rows = rows_of(arguments);
    let values = array(&arguments[0], rows, &DataType::Binary)?;
    let lengths = array(&arguments[1], rows, &DataType::Int64)?;
    let lengths = lengths.as_primitive::<Int64Type>();
    let head = |(bytes, length): (Option<&[u8]>, Option<i64>)| -> Option<String> {
        let (bytes, length) = (bytes?, usize::try_from(length?).unwrap_or(0));
        Some(bytes.iter().take(length).map(|byte| format!("{byte:02x}")).collect())
    };
    let texts: StringArray = values.as_binary::<i32>().iter().zip(lengths.iter()).map(head).collect();
    folded(arguments, Arc::new(texts))
}

fn sketch_estimate(arguments: &[ColumnarValue]) -> Result<ColumnarValue> {
    let values = array(&arguments[0], rows_of(arguments), &DataType::Binary)?;
    let estimate = |bytes: Option<&[u8]>| -> Result<Option<i64>> {
        let Some(bytes) = bytes else { return Ok(None) };
        let mut union = Union::default();
        union.merge(bytes).map_err(refused)?;
        Ok(Some(union.estimate().round() as i64))
    };
    folded(arguments, Arc::new(values.as_binary::<i32>().iter().map(estimate).collect::<Result<Int64Array>>()?))
}
