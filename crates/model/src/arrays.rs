//! Columns of rows that are structs: one function per [`crate::columns::Type`].
//!
//! Tables with many rows per second (packets) build their columns by hand in [`crate::rows`]; the others map a field
//! of each row through these.

use crate::{Addr, Nanos};
use arrow_array::builder::{
    BinaryBuilder, FixedSizeBinaryBuilder, ListBuilder, StringBuilder, StringDictionaryBuilder,
};
use arrow_array::types::{Int32Type, TimestampNanosecondType};
use arrow_array::{
    ArrayRef, BooleanArray, Float64Array, PrimitiveArray, UInt8Array, UInt16Array, UInt32Array, UInt64Array,
};
use arrow_schema::{DataType, Field};
use std::sync::Arc;

/// Instants.
pub fn times(values: impl Iterator<Item = Option<Nanos>>) -> ArrayRef {
    let array: PrimitiveArray<TimestampNanosecondType> = values.map(|value| value.map(|ts| ts.0)).collect();
    Arc::new(array.with_timezone("UTC"))
}

/// Addresses as 16 bytes.
pub fn addresses(values: impl Iterator<Item = Option<Addr>>) -> ArrayRef {
    let mut builder = FixedSizeBinaryBuilder::new(16);
    for value in values {
        match value {
            Some(addr) => builder.append_value(addr.bytes()).expect("an address has sixteen bytes"),
            None => builder.append_null(),
        }
    }
    Arc::new(builder.finish())
}

/// Texts of which few are distinct.
pub fn keywords<'a>(values: impl Iterator<Item = Option<&'a str>>) -> ArrayRef {
    let mut builder = StringDictionaryBuilder::<Int32Type>::new();
    values.for_each(|value| builder.append_option(value));
    Arc::new(builder.finish())
}

/// Texts.
pub fn texts<'a>(values: impl Iterator<Item = Option<&'a str>>) -> ArrayRef {
    let mut builder = StringBuilder::new();
    values.for_each(|value| builder.append_option(value));
    Arc::new(builder.finish())
}

/// Lists of texts.
pub fn text_lists<'a>(values: impl Iterator<Item = &'a [String]>) -> ArrayRef {
    let item = Field::new("item", DataType::Utf8, false);
    let mut builder = ListBuilder::new(StringBuilder::new()).with_field(item);
    for value in values {
        value.iter().for_each(|text| builder.values().append_value(text));
        builder.append(true);
    }
    Arc::new(builder.finish())
}

/// Bytes.
pub fn bytes<'a>(values: impl Iterator<Item = Option<&'a [u8]>>) -> ArrayRef {
    let mut builder = BinaryBuilder::new();
    values.for_each(|value| builder.append_option(value));
    Arc::new(builder.finish())
}

/// Numbers of 8 bits.
pub fn u8s(values: impl Iterator<Item = Option<u8>>) -> ArrayRef {
    Arc::new(values.collect::<UInt8Array>())
}

/// Numbers of 16 bits.
pub fn u16s(values: impl Iterator<Item = Option<u16>>) -> ArrayRef {
    Arc::new(values.collect::<UInt16Array>())
}

/// Numbers of 32 bits.
pub fn u32s(values: impl Iterator<Item = Option<u32>>) -> ArrayRef {
    Arc::new(values.collect::<UInt32Array>())
}

/// Numbers of 64 bits.
pub fn u64s(values: impl Iterator<Item = Option<u64>>) -> ArrayRef {
    Arc::new(values.collect::<UInt64Array>())
}

/// Real numbers.
pub fn f64s(values: impl Iterator<Item = Option<f64>>) -> ArrayRef {
    Arc::new(values.collect::<Float64Array>())
}

/// True or false.
pub fn bools(values: impl Iterator<Item = Option<bool>>) -> ArrayRef {
    Arc::new(values.collect::<BooleanArray>())
}
