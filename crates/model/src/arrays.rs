//! Columns of rows that are structs: one function per [`crate::columns::Type`].
//!
//! Tables with many rows per second (packets) build their columns by hand in [`crate::rows`]; the others map a field
//! of each row through these.

use crate::columns::{Column, schema_of};
use crate::rows::RowsError;
use crate::{Addr, Nanos};
use arrow_array::builder::{
    BinaryBuilder, FixedSizeBinaryBuilder, ListBuilder, StringBuilder, StringDictionaryBuilder,
};
use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Int32Type, TimestampNanosecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{
    Array, ArrayRef, BooleanArray, Float64Array, PrimitiveArray, RecordBatch, UInt8Array, UInt16Array, UInt32Array,
    UInt64Array,
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

/// Columns of a batch, to be read back row by row. Foreign batches must have been validated by Arrow first.
pub struct Read<'a> {
    batch: &'a RecordBatch,
}

impl<'a> Read<'a> {
    /// A batch whose columns are exactly these.
    pub fn new(batch: &'a RecordBatch, columns: &[Column]) -> Result<Self, RowsError> {
        if batch.schema().fields() != schema_of(columns).fields() { Err(RowsError::Schema) } else { Ok(Read { batch }) }
    }

    fn column(&self, name: &str) -> &'a ArrayRef {
        self.batch.column_by_name(name).expect("the schema was compared")
    }

    fn numbers<T: ArrowPrimitiveType>(&self, name: &str) -> impl Fn(usize) -> Option<T::Native> + 'a {
        let array = self.column(name).as_primitive::<T>();
        move |row| (!array.is_null(row)).then(|| array.value(row))
    }

    /// Instants.
    pub fn times(&self, name: &str) -> impl Fn(usize) -> Option<Nanos> + 'a {
        let values = self.numbers::<TimestampNanosecondType>(name);
        move |row| values(row).map(Nanos)
    }

    /// Addresses.
    pub fn addresses(&self, name: &str) -> impl Fn(usize) -> Option<Addr> + 'a {
        let array = self.column(name).as_fixed_size_binary();
        move |row| {
            (!array.is_null(row)).then(|| Addr::from_bytes(array.value(row).try_into().expect("sixteen by schema")))
        }
    }

    /// Texts of which few are distinct.
    pub fn keywords(&self, name: &str) -> impl Fn(usize) -> Option<&'a str> + 'a {
        let array = self.column(name).as_dictionary::<Int32Type>();
        let values = array.values().as_string::<i32>();
        move |row| array.key(row).map(|key| values.value(key))
    }

    /// Texts.
    pub fn texts(&self, name: &str) -> impl Fn(usize) -> Option<&'a str> + 'a {
        let array = self.column(name).as_string::<i32>();
        move |row| (!array.is_null(row)).then(|| array.value(row))
    }

    /// Lists of texts; one that is missing is empty.
    pub fn text_lists(&self, name: &str) -> impl Fn(usize) -> Vec<String> + 'a {
        let array = self.column(name).as_list::<i32>();
        move |row| match array.is_null(row) {
            true => Vec::new(),
            false => array.value(row).as_string::<i32>().iter().flatten().map(str::to_owned).collect(),
        }
    }

    /// Bytes; those that are missing are empty.
    pub fn bytes(&self, name: &str) -> impl Fn(usize) -> Vec<u8> + 'a {
        let array = self.column(name).as_binary::<i32>();
        move |row| if array.is_null(row) { Vec::new() } else { array.value(row).to_vec() }
    }

    /// Numbers of 8 bits.
    pub fn u8s(&self, name: &str) -> impl Fn(usize) -> Option<u8> + 'a {
        self.numbers::<UInt8Type>(name)
    }

    /// Numbers of 16 bits.
    pub fn u16s(&self, name: &str) -> impl Fn(usize) -> Option<u16> + 'a {
        self.numbers::<UInt16Type>(name)
    }

    /// Numbers of 32 bits.
    pub fn u32s(&self, name: &str) -> impl Fn(usize) -> Option<u32> + 'a {
        self.numbers::<UInt32Type>(name)
    }

    /// Numbers of 64 bits.
    pub fn u64s(&self, name: &str) -> impl Fn(usize) -> Option<u64> + 'a {
        self.numbers::<UInt64Type>(name)
    }

    /// True or false.
    pub fn bools(&self, name: &str) -> impl Fn(usize) -> Option<bool> + 'a {
        let array = self.column(name).as_boolean();
        move |row| (!array.is_null(row)).then(|| array.value(row))
    }
}
