//! From the columns of `model` to those of the lake, and the price of a format that other engines read.
//!
//! Delta Lake has neither unsigned numbers, dictionaries, fixed-size bytes nor nanoseconds (the reasons for each choice
//! stand in `docs/decisions/0009-lake-types.md`):
//!
//! | here | in the lake |
//! |---|---|
//! | time, ns | `ts` timestamp in µs, UTC, and `ts_nanos` short: the 0 to 999 ns past it |
//! | address, 16 bytes | binary: 4 bytes for IPv4, 16 for IPv6, network order |
//! | uint8, uint16, uint32 | short, integer, long |
//! | uint64 | long with the same bits, so negative past 2^63 |
//! | keyword, text | string |
//! | list of text | array of string |

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryBuilder, FixedSizeBinaryBuilder, Int16Array, RecordBatch, RecordBatchOptions,
    StringArray, StringDictionaryBuilder, TimestampMicrosecondArray, TimestampNanosecondArray, new_null_array,
};
use arrow::compute::{CastOptions, cast, cast_with_options};
use arrow::datatypes::{
    DataType, Field, Int16Type, Int32Type, Int64Type, Schema, SchemaRef, TimeUnit, TimestampMicrosecondType,
    TimestampNanosecondType, UInt64Type,
};
use arrow::error::ArrowError;
use noroshi_model::columns::{Column, Type};
use noroshi_model::{Addr, Nanos};
use std::sync::Arc;

/// Partition of rows without a plausible time, and of those past [`MAX_HOURS`].
pub const NO_HOUR: &str = "unknown";

/// Distinct hours one batch may open. A sensor with a broken or hostile clock would otherwise make a file for each row;
/// the hours past this bound share the partition [`NO_HOUR`] and keep their `ts`.
const MAX_HOURS: usize = 64;

/// 1990-01-01 and 2100-01-01 in hours since 1970: a time outside is a broken clock, not an hour worth a folder.
const PLAUSIBLE_HOURS: std::ops::Range<i64> = 175_320..1_139_592;

/// Lake fields of one column; a time makes two.
fn fields_of(column: &Column) -> Vec<Field> {
    let field = |kind| vec![Field::new(column.name, kind, column.nullable)];
    match column.kind {
        Type::Time => vec![
            Field::new(column.name, timestamp(), column.nullable),
            Field::new(format!("{}_nanos", column.name), DataType::Int16, column.nullable),
        ],
        Type::Address | Type::Bytes => field(DataType::Binary),
        Type::Keyword | Type::Text => field(DataType::Utf8),
        Type::U8 => field(DataType::Int16),
        Type::U16 => field(DataType::Int32),
        Type::U32 | Type::U64 => field(DataType::Int64),
        Type::F64 => field(DataType::Float64),
        Type::Bool => field(DataType::Boolean),
        Type::Texts => field(DataType::List(Arc::new(Field::new("element", DataType::Utf8, false)))),
    }
}

/// Delta's timestamp.
pub(crate) fn timestamp() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// Lake schema of a table of `model`, the partition column `hour` last.
pub(crate) fn lake_schema(columns: &[Column]) -> SchemaRef {
    let mut fields: Vec<Field> = columns.iter().flat_map(fields_of).collect();
    fields.push(Field::new("hour", DataType::Utf8, false));
    Arc::new(Schema::new(fields))
}

/// A batch in the lake's types. `sensor` replaces what the batch says: identity comes from the certificate. Without it
/// the batch is the hub's own, and names the sensors that its rows speak of.
pub(crate) fn to_lake(
    columns: &[Column],
    batch: &RecordBatch,
    sensor: Option<&str>,
) -> Result<RecordBatch, ArrowError> {
    let rows = batch.num_rows();
    let mut arrays: Vec<ArrayRef> = Vec::with_capacity(columns.len() + 2);
    for column in columns {
        let array = batch
            .column_by_name(column.name)
            .ok_or_else(|| ArrowError::SchemaError(format!("column {} is missing", column.name)))?;
        match column.kind {
            Type::Keyword if column.name == "sensor" && sensor.is_some() => {
                arrays.push(repeated(sensor.unwrap_or_default(), rows));
            }
            Type::Time => arrays.extend(split_time(array)?),
            Type::Address => arrays.push(short_addresses(array)?),
            Type::U64 => arrays.push(same_bits(array)?),
            _ => arrays.push(cast(array, fields_of(column)[0].data_type())?),
        }
    }
    arrays.push(hours(columns.first().and_then(|first| batch.column_by_name(first.name)), rows));
    RecordBatch::try_new(lake_schema(columns), arrays)
}

/// The way back: a batch in the types of `model`, for the columns named. What the lake cannot hold (a `uint64` past
/// 2^63) comes back with the same bits. Columns that are in those types already stay; one that may be null and is not
/// there is null.
pub(crate) fn from_lake<'a>(
    columns: impl IntoIterator<Item = &'a Column>,
    batch: &RecordBatch,
) -> Result<RecordBatch, ArrowError> {
    let columns: Vec<&Column> = columns.into_iter().collect();
    let mut arrays: Vec<ArrayRef> = Vec::with_capacity(columns.len());
    for column in &columns {
        let kind = column.kind.arrow();
        let Some(array) = batch.column_by_name(column.name) else {
            if !column.nullable {
                return Err(ArrowError::SchemaError(format!("column {} is missing", column.name)));
            }
            arrays.push(new_null_array(&kind, batch.num_rows()));
            continue;
        };
        let named = |error: ArrowError| ArrowError::CastError(format!("column {}: {error}", column.name));
        let array = match column.kind {
            _ if *array.data_type() == kind => array.clone(),
            Type::Time => joined_time(array, batch.column_by_name(&format!("{}_nanos", column.name))).map_err(named)?,
            Type::Address => long_addresses(array).map_err(named)?,
            Type::U64 if *array.data_type() == DataType::Int64 => {
                let numbers = array.as_primitive::<Int64Type>();
                Arc::new(numbers.unary::<_, UInt64Type>(|number| number as u64))
            }
            Type::Keyword => strict(&strict(array, &DataType::Utf8).map_err(named)?, &kind).map_err(named)?,
            _ => strict(array, &kind).map_err(named)?,
        };
        if !column.nullable && array.null_count() > 0 {
            return Err(ArrowError::SchemaError(format!("column {} has nulls", column.name)));
        }
        arrays.push(array);
    }
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(noroshi_model::columns::schema_of(columns), arrays, &options)
}

/// A cast that refuses what does not fit, instead of making it null.
fn strict(array: &ArrayRef, kind: &DataType) -> Result<ArrayRef, ArrowError> {
    cast_with_options(array, kind, &CastOptions { safe: false, ..CastOptions::default() })
}

fn joined_time(times: &ArrayRef, nanos: Option<&ArrayRef>) -> Result<ArrayRef, ArrowError> {
    if matches!(times.data_type(), DataType::Timestamp(TimeUnit::Nanosecond, _)) {
        return strict(times, &Type::Time.arrow());
    }
    let micros = strict(times, &timestamp())?;
    let micros = micros.as_primitive::<TimestampMicrosecondType>();
    let nanos = match nanos {
        Some(nanos) => strict(nanos, &DataType::Int16)?,
        None => new_null_array(&DataType::Int16, times.len()),
    };
    let pairs = micros.iter().zip(nanos.as_primitive::<Int16Type>());
    let joined = pairs.map(|(micros, nanos)| micros.map(|us| us.saturating_mul(1000) + i64::from(nanos.unwrap_or(0))));
    Ok(Arc::new(joined.collect::<TimestampNanosecondArray>().with_timezone("UTC")))
}

fn long_addresses(array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let addresses = cast(array, &DataType::Binary)?;
    let mut builder = FixedSizeBinaryBuilder::with_capacity(addresses.len(), 16);
    for address in addresses.as_binary::<i32>() {
        let address = address.map(|bytes| match <[u8; 4]>::try_from(bytes) {
            Ok(v4) => Ok(Addr::v4(u32::from_be_bytes(v4)).bytes()),
            Err(_) => <[u8; 16]>::try_from(bytes)
                .map_err(|_| ArrowError::InvalidArgumentError(format!("an address of {} bytes", bytes.len()))),
        });
        match address.transpose()? {
            Some(bytes) => builder.append_value(bytes)?,
            None => builder.append_null(),
        }
    }
    Ok(Arc::new(builder.finish()))
}

fn repeated(text: &str, rows: usize) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(std::iter::repeat_n(text, rows)))
}

fn split_time(array: &ArrayRef) -> Result<[ArrayRef; 2], ArrowError> {
    let times = array
        .as_primitive_opt::<TimestampNanosecondType>()
        .ok_or_else(|| ArrowError::SchemaError("a time is not in nanoseconds".into()))?;
    let micros: TimestampMicrosecondArray = times.unary(|ns| ns.div_euclid(1000));
    let nanos: Int16Array = times.unary(|ns| ns.rem_euclid(1000) as i16);
    Ok([Arc::new(micros.with_timezone("UTC")), Arc::new(nanos)])
}

/// Past 2^63 the number is negative in the lake: hashes keep their bits, and no count comes that far.
fn same_bits(array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let numbers = array
        .as_primitive_opt::<UInt64Type>()
        .ok_or_else(|| ArrowError::SchemaError("a number does not have 64 bits".into()))?;
    Ok(Arc::new(numbers.unary::<_, Int64Type>(|number| number as i64)))
}

fn short_addresses(array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let addresses = array
        .as_fixed_size_binary_opt()
        .filter(|addresses| addresses.value_length() == 16)
        .ok_or_else(|| ArrowError::SchemaError("an address is not 16 bytes".into()))?;
    let mut builder = BinaryBuilder::with_capacity(addresses.len(), addresses.len() * 4);
    for address in addresses {
        match address {
            None => builder.append_null(),
            Some([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, v4 @ ..]) => builder.append_value(v4),
            Some(v6) => builder.append_value(v6),
        }
    }
    Ok(Arc::new(builder.finish()))
}

/// Name of the hour partition of an instant, such as `2026-01-31T12`.
pub fn hour_name(ts: Nanos) -> String {
    let hour = ts.seconds().div_euclid(3600);
    if PLAUSIBLE_HOURS.contains(&hour) { ts.rfc3339()[..13].to_owned() } else { NO_HOUR.to_owned() }
}

fn hours(times: Option<&ArrayRef>, rows: usize) -> ArrayRef {
    let Some(times) = times.and_then(|array| array.as_primitive_opt::<TimestampNanosecondType>()) else {
        return repeated(NO_HOUR, rows);
    };
    let mut builder = StringDictionaryBuilder::<Int32Type>::new();
    let mut seen = std::collections::BTreeMap::<i64, String>::new();
    for ts in times {
        let hour = ts.map(|ns| ns.div_euclid(3_600_000_000_000)).filter(|hour| PLAUSIBLE_HOURS.contains(hour));
        let known = hour.filter(|hour| seen.len() < MAX_HOURS || seen.contains_key(hour));
        match known {
            None => builder.append_value(NO_HOUR),
            Some(hour) => {
                builder.append_value(seen.entry(hour).or_insert_with(|| hour_name(Nanos::from_seconds(hour * 3600))))
            }
        }
    }
    let hours: ArrayRef = Arc::new(builder.finish());
    cast(&hours, &DataType::Utf8).expect("a dictionary of text casts to text")
}

#[cfg(test)]
mod tests {
    use super::*;
    use noroshi_model::columns::PACKETS;
    use noroshi_model::packet::{Has, Packet, PacketBatch};
    use noroshi_model::rows::packets_record_batch;

    fn lake(rows: Vec<Packet>) -> RecordBatch {
        let batch = packets_record_batch(&PacketBatch { rows, sensor: "claimed".into(), ..PacketBatch::default() });
        to_lake(PACKETS, &batch, Some("certified")).unwrap()
    }

    #[test]
    fn values_survive_and_identity_is_replaced() {
        let mut packet = Packet { ts: Nanos(1_767_225_600_123_456_789), seq: u32::MAX, ..Packet::BLANK };
        packet.has = Has(Has::IP.0 | Has::TIME.0 | Has::TCP.0);
        (packet.src, packet.dst) = ("192.0.2.7".parse().unwrap(), "2001:db8::1".parse().unwrap());
        let batch = lake(vec![packet, Packet::BLANK]);
        let text = |name: &str, i: usize| {
            let column = cast(batch.column_by_name(name).unwrap(), &DataType::Utf8).unwrap();
            (!column.is_null(i)).then(|| column.as_string::<i32>().value(i).to_owned())
        };
        assert_eq!(text("ts", 0).unwrap(), "2026-01-01T00:00:00.123456Z");
        assert_eq!(text("ts_nanos", 0).unwrap(), "789");
        assert_eq!(text("seq", 0).unwrap(), "4294967295");
        assert_eq!(text("sensor", 0).unwrap(), "certified");
        assert_eq!(text("hour", 0).unwrap(), "2026-01-01T00");
        assert_eq!((text("ts", 1), text("hour", 1).as_deref()), (None, Some(NO_HOUR)));
        let bytes = |name: &str| batch.column_by_name(name).unwrap().as_binary::<i32>().value(0).to_vec();
        let sent = packets_record_batch(&PacketBatch {
            rows: vec![packet, Packet::BLANK],
            sensor: "certified".into(),
            ..PacketBatch::default()
        });
        assert_eq!(from_lake(PACKETS, &batch).unwrap(), sent);
        assert_eq!(bytes("src"), [192, 0, 2, 7]);
        assert_eq!(bytes("dst"), "2001:db8::1".parse::<Addr>().unwrap().bytes());
    }

    #[test]
    fn a_broken_clock_opens_few_folders() {
        let packet = |hour: i64| Packet {
            ts: Nanos::from_seconds(1_767_225_600 + hour * 3600),
            has: Has::TIME,
            ..Packet::BLANK
        };
        let mut rows: Vec<Packet> = (0..1000).map(packet).collect();
        rows.push(Packet { ts: Nanos(5), has: Has::TIME, ..Packet::BLANK });
        let batch = lake(rows);
        let hours = batch.column_by_name("hour").unwrap().as_string::<i32>();
        let distinct: std::collections::BTreeSet<_> = hours.iter().flatten().collect();
        assert_eq!(distinct.len(), MAX_HOURS + 1);
        assert_eq!(hours.value(1000), NO_HOUR);
    }
}
