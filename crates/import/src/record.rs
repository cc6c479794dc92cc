//! One imported record: the fields that most formats share, and everything else under its own name.

use crate::detect::Format;
use arrow_array::{ArrayRef, RecordBatch};
use noroshi_model::columns::{Column, Type, optional, required, schema_of};
use noroshi_model::{Addr, Nanos, arrays};
use serde::Serialize;
use serde_json::{Map, Value};

/// One record of another program, one line of its file.
///
/// Every text here was chosen by a stranger: escape it wherever it is shown.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub struct Record {
    /// Line in its file, counted from 1.
    pub line: u64,
    /// When it happened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ts: Option<Nanos>,
    /// Which reader made it.
    pub format: Format,
    /// The format's own word for what happened: `cowrie.login.failed`, `conn`, `alert`, …
    pub kind: String,
    /// Sensor, where the record names one.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub sensor: String,
    /// Source address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub src: Option<Addr>,
    /// Destination address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dst: Option<Addr>,
    /// Source port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sport: Option<u16>,
    /// Destination port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dport: Option<u16>,
    /// IP protocol number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proto: Option<u8>,
    /// Application protocol.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// What ties records of one dialogue or flow together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// User name that was tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// Password that was tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// Whether the login was accepted; none for records that are no login.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accepted: Option<bool>,
    /// Line that was typed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// Place to fetch from, or that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Strongest hash given of a file: SHA-256, else SHA-1, else MD5; lower-case hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
    /// HASSH, JA4 or JA3 of the client.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// What the client calls itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// Seconds that it took.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration: Option<f64>,
    /// Packets, both directions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub packets: Option<u64>,
    /// Bytes, both directions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Header fields, where the record is one packet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header: Option<Box<Header>>,
    /// Everything else, under its own name.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub extra: Map<String, Value>,
}

/// Header fields of a record that is one packet.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Header {
    /// Time to live.
    pub ttl: u8,
    /// IPv4 identification.
    pub ip_id: Option<u16>,
    /// TCP flags as on the wire.
    pub tcp_flags: Option<u8>,
    /// TCP sequence number.
    pub seq: Option<u32>,
    /// TCP acknowledgement number.
    pub ack: Option<u32>,
    /// TCP window.
    pub window: Option<u16>,
    /// IP total length in bytes, where given.
    pub length: Option<u32>,
    /// Differentiated services byte.
    pub tos: u8,
    /// Payload, where given.
    pub payload: Vec<u8>,
}

/// Table of imported records.
pub const RECORDS: &[Column] = &[
    required("line", Type::U64, "", "line in its file, counted from 1"),
    optional("ts", Type::Time, "", "when it happened"),
    required("format", Type::Keyword, "", "which reader made it"),
    required("kind", Type::Keyword, "", "the format's own word for what happened"),
    required("sensor", Type::Keyword, "", "sensor, where the record names one"),
    optional("src", Type::Address, "", "source address"),
    optional("dst", Type::Address, "", "destination address"),
    optional("sport", Type::U16, "", "source port"),
    optional("dport", Type::U16, "", "destination port"),
    optional("proto", Type::U8, "IP protocol number", "transport"),
    optional("service", Type::Keyword, "", "application protocol"),
    optional("session", Type::Text, "", "ties records of one dialogue or flow together"),
    optional("username", Type::Text, "", "user name that was tried"),
    optional("password", Type::Text, "", "password that was tried"),
    optional("accepted", Type::Bool, "", "whether the login was accepted; null for records that are no login"),
    optional("command", Type::Text, "", "line that was typed"),
    optional("url", Type::Text, "", "place to fetch from, or that was asked for"),
    optional("hash", Type::Text, "", "SHA-256, else SHA-1, else MD5 of a file"),
    optional("fingerprint", Type::Keyword, "", "HASSH, JA4 or JA3 of the client"),
    optional("client", Type::Text, "", "what the client calls itself"),
    optional("duration", Type::F64, "seconds", "how long it took"),
    optional("packets", Type::U64, "packets", "both directions"),
    optional("bytes", Type::U64, "bytes", "both directions"),
    optional("header", Type::Text, "JSON", "header fields, where the record is one packet"),
    required("extra", Type::Text, "JSON", "everything else, under its own name"),
];

/// The records as one batch with the columns of [`RECORDS`].
pub fn record_batch(rows: &[Record]) -> RecordBatch {
    let all = || rows.iter();
    let extras: Vec<String> = all().map(|row| Value::Object(row.extra.clone()).to_string()).collect();
    let headers: Vec<Option<String>> = all()
        .map(|row| row.header.as_ref().map(|header| serde_json::to_string(header).expect("plain numbers and bytes")))
        .collect();
    let arrays: Vec<ArrayRef> = vec![
        arrays::u64s(all().map(|row| Some(row.line))),
        arrays::times(all().map(|row| row.ts)),
        arrays::keywords(all().map(|row| Some(row.format.name()))),
        arrays::keywords(all().map(|row| Some(&*row.kind))),
        arrays::keywords(all().map(|row| Some(&*row.sensor))),
        arrays::addresses(all().map(|row| row.src)),
        arrays::addresses(all().map(|row| row.dst)),
        arrays::u16s(all().map(|row| row.sport)),
        arrays::u16s(all().map(|row| row.dport)),
        arrays::u8s(all().map(|row| row.proto)),
        arrays::keywords(all().map(|row| row.service.as_deref())),
        arrays::texts(all().map(|row| row.session.as_deref())),
        arrays::texts(all().map(|row| row.username.as_deref())),
        arrays::texts(all().map(|row| row.password.as_deref())),
        arrays::bools(all().map(|row| row.accepted)),
        arrays::texts(all().map(|row| row.command.as_deref())),
        arrays::texts(all().map(|row| row.url.as_deref())),
        arrays::texts(all().map(|row| row.hash.as_deref())),
        arrays::keywords(all().map(|row| row.fingerprint.as_deref())),
        arrays::texts(all().map(|row| row.client.as_deref())),
        arrays::f64s(all().map(|row| row.duration)),
        arrays::u64s(all().map(|row| row.packets)),
        arrays::u64s(all().map(|row| row.bytes)),
        arrays::texts(headers.iter().map(Option::as_deref)),
        arrays::texts(extras.iter().map(|text| Some(&**text))),
    ];
    RecordBatch::try_new(schema_of(RECORDS), arrays).expect("arrays follow the declared columns")
}
