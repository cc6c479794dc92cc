//! Packets of the lake as FlowTuple version 4 (CAIDA's corsaro 3): sums per five minutes, source, destination /24, port and
//! protocol, in an Avro object container (Avro 1.11).
//!
//! FlowTuple knows IPv4 alone: other packets, and those without a time, are left out and counted. Lengths are those on the
//! wire, as everywhere in the lake. What is not known here (continents, the NetAcuity columns) is empty; `prefix2asn` is 0
//! without a network. Packets are not judged as forged, so the column for that is absent; readers go by the schema.

use crate::lake::Lake;
use crate::query::{Limits, QueryError};
use arrow::array::{Array, ArrayRef, AsArray, PrimitiveArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type, TimestampMicrosecondType};
use noroshi_model::Nanos;
use noroshi_model::packet::{ToolBits, tcp};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

/// Seconds of an interval, as CAIDA publishes.
const INTERVAL: i64 = 300;
/// Most values that count as common, and from how many packets which share is asked (corsaro 3's documentation).
const COMMON: usize = 5;
const SHARES: [(u64, f64); 4] = [(15, 0.2), (7, 0.33), (5, 0.5), (1, 1.0)];
/// Records of a block.
const BLOCK: usize = 4_096;
/// Ends each block. Any sixteen bytes do; these make equal lakes equal files.
const SYNC: [u8; 16] = *b"noroshi flowtup4";

const LONGS: [&str; 3] = ["time", "src_ip", "dst_net"];
const INTS: [&str; 2] = ["dst_port", "protocol"];
const UNIQUE: [&str; 7] = [
    "uniq_dst_ips",
    "uniq_pkt_sizes",
    "uniq_ttls",
    "uniq_src_ports",
    "uniq_tcp_flags",
    "first_syn_length",
    "first_tcp_rwin",
];
const LISTS: [&str; 8] = [
    "common_pktsizes",
    "common_pktsize_freqs",
    "common_ttls",
    "common_ttl_freqs",
    "common_srcports",
    "common_srcport_freqs",
    "common_tcpflags",
    "common_tcpflag_freqs",
];
const PLACES: [&str; 4] = ["maxmind_continent", "maxmind_country", "netacq_continent", "netacq_country"];

/// Why nothing was written, or not all.
#[derive(Debug, thiserror::Error)]
pub enum FlowTupleError {
    /// The packets could not be read.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// The output.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// What was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Records.
    pub records: u64,
    /// Packets that they sum up.
    pub packets: u64,
    /// Packets that the format cannot hold.
    pub left_out: u64,
}

/// Writes the packets of a part of the lake.
pub async fn write(
    lake: &Lake,
    (since, until): (Option<Nanos>, Option<Nanos>),
    sensor: Option<&str>,
    limits: Limits,
    out: &mut (impl Write + Send),
) -> Result<Written, FlowTupleError> {
    let all = lake.table_sql("packets", since, until, sensor)?;
    let part = all.strip_prefix("select * ").and_then(|rest| rest.strip_suffix(" order by \"ts\"")).unwrap_or(&all);
    let fits = "in_prefix(src, '0.0.0.0/0') and in_prefix(dst, '0.0.0.0/0') and ts is not null";
    let other = lake.answer(&format!("select count(*) {part} and ({fits}) is not true"), limits).await?;
    let mut written = Written::default();
    if let Some(batch) = other.batches.first().filter(|batch| batch.num_rows() > 0) {
        written.left_out = batch.column(0).as_primitive::<Int64Type>().value(0) as u64;
    }
    let sql = format!(
        "select ts, src, dst, proto, coalesce(cast(dport as bigint), icmp_type * 256 + icmp_code, 0) port, wire_len, ttl, \
         coalesce(sport, 0) sport, coalesce(tcp_flags, 0) flags, \"window\", tool_bits, country(src) country, asn(src) asn \
         {part} and {fits} order by date_bin(interval '{INTERVAL} seconds', ts), src, dst, ts"
    );
    let mut rows = lake.query(&sql, limits).await?;
    let mut file = Container::begin(out)?;
    let mut group: Option<(Place, Group)> = None;
    while let Some(batch) = rows.next().await? {
        for packet in packets(&batch)? {
            let place = packet.place();
            if group.as_ref().is_none_or(|(known, _)| *known != place) {
                if let Some((place, group)) = group.take() {
                    file.group(place, group, &mut written)?;
                }
                group = Some((place, Group::default()));
            }
            if let Some((_, group)) = &mut group {
                group.entry((packet.port, packet.proto)).or_default().add(packet);
            }
        }
    }
    if let Some((place, group)) = group {
        file.group(place, group, &mut written)?;
    }
    file.finish()?;
    Ok(written)
}

/// Interval, source, destination /24.
type Place = (i64, u32, u32);
/// Sums by port and protocol.
type Group = BTreeMap<(i64, i64), Sum>;

struct Row {
    seconds: i64,
    src: u32,
    dst: u32,
    port: i64,
    proto: i64,
    length: i64,
    ttl: i64,
    sport: i64,
    flags: i64,
    window: i64,
    masscan: bool,
    country: String,
    asn: i64,
}

impl Row {
    fn place(&self) -> Place {
        (self.seconds.div_euclid(INTERVAL) * INTERVAL, self.src, self.dst & !0xff)
    }
}

fn packets(batch: &RecordBatch) -> Result<Vec<Row>, QueryError> {
    let fail = |error: arrow::error::ArrowError| QueryError::Other(error.to_string());
    let column = |at: usize, kind: &DataType| cast(batch.column(at), kind).map_err(fail);
    let times = column(0, &crate::lake::types::timestamp())?;
    let times = times.as_primitive::<TimestampMicrosecondType>();
    let (src, dst) = (column(1, &DataType::Binary)?, column(2, &DataType::Binary)?);
    let bits = |array: &ArrayRef, row: usize| {
        <[u8; 4]>::try_from(array.as_binary::<i32>().value(row)).map_or(0, u32::from_be_bytes)
    };
    let numbers: Vec<PrimitiveArray<Int64Type>> = [3, 4, 5, 6, 7, 8, 9, 10, 12]
        .into_iter()
        .map(|at| column(at, &DataType::Int64).map(|array| array.as_primitive::<Int64Type>().clone()))
        .collect::<Result<_, _>>()?;
    let number = |at: usize, row: usize| if numbers[at].is_null(row) { 0 } else { numbers[at].value(row) };
    let countries = column(11, &DataType::Utf8)?;
    let countries = countries.as_string::<i32>();
    let row = |row: usize| Row {
        seconds: times.value(row).div_euclid(1_000_000),
        src: bits(&src, row),
        dst: bits(&dst, row),
        proto: number(0, row),
        port: number(1, row),
        length: number(2, row),
        ttl: number(3, row),
        sport: number(4, row),
        flags: number(5, row),
        window: number(6, row),
        masscan: ToolBits(number(7, row) as u16).has(ToolBits::MASSCAN),
        country: if countries.is_null(row) { String::new() } else { countries.value(row).to_owned() },
        asn: number(8, row),
    };
    Ok((0..batch.num_rows()).map(row).collect())
}

/// The packets of one record.
#[derive(Default)]
struct Sum {
    packets: u64,
    masscan: i64,
    destinations: BTreeSet<u32>,
    /// Sizes, lifetimes, source ports, flags, each with how often.
    values: [BTreeMap<i64, i64>; 4],
    first_syn: Option<i64>,
    first_window: Option<i64>,
    country: String,
    asn: i64,
}

impl Sum {
    fn add(&mut self, packet: Row) {
        self.packets += 1;
        self.masscan += i64::from(packet.masscan);
        self.destinations.insert(packet.dst);
        for (values, value) in self.values.iter_mut().zip([packet.length, packet.ttl, packet.sport, packet.flags]) {
            *values.entry(value).or_default() += 1;
        }
        if packet.flags & i64::from(tcp::SYN) != 0 {
            self.first_syn.get_or_insert(packet.length);
            self.first_window.get_or_insert(packet.window);
        }
        (self.country, self.asn) = (packet.country, packet.asn);
    }

    /// Values that make up the share which counts as common, most frequent first.
    fn common(&self, values: &BTreeMap<i64, i64>) -> Vec<(i64, i64)> {
        let share = SHARES.iter().find(|(least, _)| self.packets >= *least).map_or(1.0, |(_, share)| *share);
        let least = share * self.packets as f64;
        let mut found: Vec<(i64, i64)> =
            values.iter().map(|(value, count)| (*value, *count)).filter(|(_, count)| *count as f64 >= least).collect();
        found.sort_by_key(|(value, count)| (-count, *value));
        found.truncate(COMMON);
        found
    }

    fn record(&self, (time, src, net): Place, (port, proto): (i64, i64), out: &mut Vec<u8>) {
        for value in [time, i64::from(src), i64::from(net), port, proto, self.packets as i64] {
            number(value, out);
        }
        number(self.destinations.len() as i64, out);
        self.values.iter().for_each(|values| number(values.len() as i64, out));
        number(self.first_syn.unwrap_or(0), out);
        number(self.first_window.unwrap_or(0), out);
        for values in &self.values {
            let common = self.common(values);
            list(common.iter().map(|(value, _)| *value), out);
            list(common.iter().map(|(_, count)| *count), out);
        }
        for place in ["", &self.country, "", ""] {
            text(place.as_bytes(), out);
        }
        number(self.asn, out);
        number(self.masscan, out);
    }
}

/// The file: blocks of records.
struct Container<'w, W> {
    out: &'w mut W,
    block: Vec<u8>,
    records: usize,
}

impl<'w, W: Write> Container<'w, W> {
    fn begin(out: &'w mut W) -> std::io::Result<Self> {
        let mut head = b"Obj\x01".to_vec();
        number(2, &mut head);
        for (key, value) in [("avro.schema", schema().as_str()), ("avro.codec", "null")] {
            text(key.as_bytes(), &mut head);
            text(value.as_bytes(), &mut head);
        }
        number(0, &mut head);
        head.extend_from_slice(&SYNC);
        out.write_all(&head)?;
        Ok(Container { out, block: Vec::new(), records: 0 })
    }

    fn group(&mut self, place: Place, group: Group, written: &mut Written) -> std::io::Result<()> {
        for (key, sum) in group {
            sum.record(place, key, &mut self.block);
            written.records += 1;
            written.packets += sum.packets;
            self.records += 1;
            if self.records == BLOCK {
                self.flush()?;
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        if self.records == 0 {
            return Ok(());
        }
        let mut head = Vec::new();
        number(self.records as i64, &mut head);
        number(self.block.len() as i64, &mut head);
        self.out.write_all(&head)?;
        self.out.write_all(&self.block)?;
        self.out.write_all(&SYNC)?;
        self.block.clear();
        self.records = 0;
        Ok(())
    }

    fn finish(mut self) -> std::io::Result<()> {
        self.flush()?;
        self.out.flush()
    }
}

fn schema() -> String {
    let field = |name: &str, kind: serde_json::Value| serde_json::json!({"name": name, "type": kind});
    let mut fields: Vec<serde_json::Value> = LONGS.map(|name| field(name, "long".into())).into();
    fields.extend(INTS.map(|name| field(name, "int".into())));
    fields.push(field("packet_cnt", "long".into()));
    fields.extend(UNIQUE.map(|name| field(name, "int".into())));
    fields.extend(LISTS.map(|name| field(name, serde_json::json!({"type": "array", "items": "long"}))));
    fields.extend(PLACES.map(|name| field(name, "string".into())));
    fields.extend(["prefix2asn", "masscan_packet_cnt"].map(|name| field(name, "long".into())));
    serde_json::json!({"namespace": "org.caida.corsaro", "type": "record", "name": "flowtuple4", "fields": fields})
        .to_string()
}

/// A zigzag number.
fn number(value: i64, out: &mut Vec<u8>) {
    let mut bits = (value << 1 ^ value >> 63) as u64;
    while bits > 127 {
        out.push(bits as u8 | 128);
        bits >>= 7;
    }
    out.push(bits as u8);
}

fn text(bytes: &[u8], out: &mut Vec<u8>) {
    number(bytes.len() as i64, out);
    out.extend_from_slice(bytes);
}

fn list(values: impl ExactSizeIterator<Item = i64>, out: &mut Vec<u8>) {
    if values.len() > 0 {
        number(values.len() as i64, out);
        values.for_each(|value| number(value, out));
    }
    number(0, out);
}
