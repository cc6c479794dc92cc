//! Table `requests`: one row per request that reached an amplification honeypot.
//!
//! The source is what the packet claims: for an attack it is the victim's address, so a row here never names an
//! attacker ([`crate::packet::Evidence::Spoofable`]).

use crate::columns::{Column, Type, optional, required, schema_of};
use crate::finding::Vector;
use crate::rows::RowsError;
use crate::{Addr, Nanos, arrays};
use arrow_array::{ArrayRef, RecordBatch};
use serde::{Deserialize, Serialize};

/// Why a request went without a reply.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Withheld {
    /// It was answered.
    #[default]
    No,
    /// The protocol has no reply to it, or it is only recorded.
    Nothing,
    /// It is not a well-formed request.
    Malformed,
    /// The destination's replies or bytes of this hour are used up.
    PrefixBudget,
    /// The sensor's byte rate is used up, or has not yet filled after a start.
    SensorBudget,
    /// The destination is muted: too many requests, or other sensors saw it too.
    Muted,
    /// The reply would be larger than is believable or allowed.
    TooLarge,
    /// The table of destinations is full: no new one is answered.
    TableFull,
    /// Never answered by address: port below 1024 other than the service's own, or an address that is not unicast.
    Forbidden,
    /// The socket did not take it.
    Unsent,
}

impl Withheld {
    /// All.
    pub const ALL: [Withheld; 10] = [
        Withheld::No,
        Withheld::Nothing,
        Withheld::Malformed,
        Withheld::PrefixBudget,
        Withheld::SensorBudget,
        Withheld::Muted,
        Withheld::TooLarge,
        Withheld::TableFull,
        Withheld::Forbidden,
        Withheld::Unsent,
    ];

    /// The published name.
    pub const fn name(self) -> &'static str {
        match self {
            Withheld::No => "no",
            Withheld::Nothing => "nothing",
            Withheld::Malformed => "malformed",
            Withheld::PrefixBudget => "prefix-budget",
            Withheld::SensorBudget => "sensor-budget",
            Withheld::Muted => "muted",
            Withheld::TooLarge => "too-large",
            Withheld::TableFull => "table-full",
            Withheld::Forbidden => "forbidden",
            Withheld::Unsent => "unsent",
        }
    }
}

/// One request at an amplification honeypot.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Request {
    /// When it arrived.
    pub ts: Nanos,
    /// Sensor name.
    pub sensor: String,
    /// The claimed source: the victim, when the packet is forged.
    pub src: Addr,
    /// The sensor's address that was asked.
    pub dst: Addr,
    /// Source port: the victim's port under attack.
    pub sport: u16,
    /// Port that was asked.
    pub dport: u16,
    /// Protocol, as named by what was asked.
    pub vector: Vector,
    /// What was asked: `monlist`, `ANY`, `M-SEARCH`, …
    pub method: String,
    /// Name in the question: domain, search target, community, key.
    pub name: String,
    /// Payload bytes of the request.
    pub request_bytes: u32,
    /// Payload bytes of the reply; 0 where there was none.
    pub reply_bytes: u32,
    /// Why there was no reply.
    pub withheld: Withheld,
    /// Equal for requests that differ only in transaction numbers.
    pub request_hash: u64,
    /// IP time to live on arrival, where the system tells.
    pub ttl: Option<u8>,
    /// First payload bytes, as policy allows.
    pub payload: Vec<u8>,
}

/// Table `requests`.
pub const REQUESTS: &[Column] = &[
    required("ts", Type::Time, "", "when it arrived"),
    required("sensor", Type::Keyword, "", "sensor name"),
    required("src", Type::Address, "", "claimed source: the victim, when the packet is forged"),
    required("dst", Type::Address, "", "the sensor's address that was asked"),
    required("family", Type::U8, "", "4 or 6"),
    required("sport", Type::U16, "", "source port: the victim's port under attack"),
    required("dport", Type::U16, "", "port that was asked"),
    required("vector", Type::Keyword, "", "protocol, as named by what was asked"),
    required("method", Type::Keyword, "", "what was asked: monlist, ANY, M-SEARCH, ..."),
    required("name", Type::Text, "", "name in the question: domain, search target, community, key"),
    required("request_bytes", Type::U32, "bytes", "payload of the request"),
    required("reply_bytes", Type::U32, "bytes", "payload of the reply; 0 where there was none"),
    required("withheld", Type::Keyword, "", "why there was no reply; no where there was one"),
    required("request_hash", Type::U64, "", "equal for requests that differ only in transaction numbers"),
    optional("ttl", Type::U8, "hops", "time to live on arrival"),
    optional("payload", Type::Bytes, "", "first payload bytes, as policy allows"),
    required("evidence", Type::U8, "", "always 0: the source may be forged"),
];

/// The rows as one batch with the columns of [`REQUESTS`].
pub fn record_batch(rows: &[Request]) -> RecordBatch {
    let all = || rows.iter();
    let arrays: Vec<ArrayRef> = vec![
        arrays::times(all().map(|row| Some(row.ts))),
        arrays::keywords(all().map(|row| Some(&*row.sensor))),
        arrays::addresses(all().map(|row| Some(row.src))),
        arrays::addresses(all().map(|row| Some(row.dst))),
        arrays::u8s(all().map(|row| Some(row.src.family()))),
        arrays::u16s(all().map(|row| Some(row.sport))),
        arrays::u16s(all().map(|row| Some(row.dport))),
        arrays::keywords(all().map(|row| Some(row.vector.name()))),
        arrays::keywords(all().map(|row| Some(&*row.method))),
        arrays::texts(all().map(|row| Some(&*row.name))),
        arrays::u32s(all().map(|row| Some(row.request_bytes))),
        arrays::u32s(all().map(|row| Some(row.reply_bytes))),
        arrays::keywords(all().map(|row| Some(row.withheld.name()))),
        arrays::u64s(all().map(|row| Some(row.request_hash))),
        arrays::u8s(all().map(|row| row.ttl)),
        arrays::bytes(all().map(|row| (!row.payload.is_empty()).then_some(&*row.payload))),
        arrays::u8s(all().map(|_| Some(crate::packet::Evidence::Spoofable as u8))),
    ];
    RecordBatch::try_new(schema_of(REQUESTS), arrays).expect("arrays follow the declared columns")
}

/// Requests from a batch with the columns of [`REQUESTS`]; the inverse of [`record_batch`].
pub fn requests(batch: &RecordBatch) -> Result<Vec<Request>, RowsError> {
    let read = arrays::Read::new(batch, REQUESTS)?;
    let (ts, sensor, src, dst) =
        (read.times("ts"), read.keywords("sensor"), read.addresses("src"), read.addresses("dst"));
    let (sport, dport, vector) = (read.u16s("sport"), read.u16s("dport"), read.keywords("vector"));
    let (method, name, withheld) = (read.keywords("method"), read.texts("name"), read.keywords("withheld"));
    let (request_bytes, reply_bytes) = (read.u32s("request_bytes"), read.u32s("reply_bytes"));
    let (request_hash, ttl, payload) = (read.u64s("request_hash"), read.u8s("ttl"), read.bytes("payload"));
    let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
    (0..batch.num_rows())
        .map(|row| {
            let impossible = |column| RowsError::Value { row, column };
            let named = vector(row).and_then(|name| Vector::ALL.iter().find(|vector| vector.name() == name));
            let why = withheld(row).and_then(|name| Withheld::ALL.into_iter().find(|why| why.name() == name));
            Ok(Request {
                ts: ts(row).ok_or(impossible("ts"))?,
                sensor: text(sensor(row)),
                src: src(row).ok_or(impossible("src"))?,
                dst: dst(row).ok_or(impossible("dst"))?,
                sport: sport(row).unwrap_or(0),
                dport: dport(row).unwrap_or(0),
                vector: *named.ok_or(impossible("vector"))?,
                method: text(method(row)),
                name: text(name(row)),
                request_bytes: request_bytes(row).unwrap_or(0),
                reply_bytes: reply_bytes(row).unwrap_or(0),
                withheld: why.ok_or(impossible("withheld"))?,
                request_hash: request_hash(row).unwrap_or(0),
                ttl: ttl(row),
                payload: payload(row),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_fit_the_declared_columns() {
        let row = Request {
            ts: Nanos(1),
            sensor: "s".into(),
            src: Addr::v4(1),
            dst: Addr::v4(2),
            sport: 80,
            dport: 53,
            vector: Vector::Dns,
            method: "ANY".into(),
            name: "example.".into(),
            request_bytes: 40,
            reply_bytes: 0,
            withheld: Withheld::SensorBudget,
            request_hash: 7,
            ttl: None,
            payload: Vec::new(),
        };
        let other = Request { ttl: Some(9), payload: vec![1, 2], withheld: Withheld::No, ..row.clone() };
        let rows = [row, other];
        let batch = record_batch(&rows);
        assert_eq!(batch.num_rows(), 2);
        assert_eq!(requests(&batch).unwrap(), rows);
        assert_eq!(batch.num_columns(), REQUESTS.len());
        assert!(batch.column_by_name("payload").unwrap().is_null(0));
    }
}
