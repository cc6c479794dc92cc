//! FlowTuple: what a telescope saw, summed up per interval (CAIDA's corsaro 3, versions 3 and 4, Avro).
//!
//! Version 3 (record `flowtuple`) counts packets per source, destination, ports, lifetime, flags, protocol and length;
//! version 4 (record `flowtuple4`) per source, destination /24, port and protocol. Addresses are numbers. In version 4
//! the length of packets is only known as far as lengths are common, so `bytes` is a lower bound there.

use crate::avro::Container;
use crate::detect::Format;
use crate::record::Record;
use noroshi_model::flow::{FlowCount, FlowKey, MINUTE};
use noroshi_model::packet::{Evidence, proto};
use noroshi_model::{Addr, Nanos};
use serde_json::{Map, Value};
use std::io;

/// Records of a container.
pub struct Tuples {
    container: Result<Container<Box<dyn io::Read + Send>>, Option<String>>,
}

impl Tuples {
    /// Reads the header; what is wrong with it is told as the first record.
    pub fn new(source: Box<dyn io::Read + Send>) -> Self {
        Tuples { container: Container::open(source).map_err(Some) }
    }

    /// The next record, or why the file cannot be read further.
    pub fn next_record(&mut self) -> Option<Result<Record, String>> {
        match &mut self.container {
            Err(reason) => reason.take().map(Err),
            Ok(container) => {
                let kind = container.name().to_owned();
                let next = container.next_record().transpose()?;
                Some(next.and_then(|fields| record(&kind, fields)))
            }
        }
    }
}

fn record(kind: &str, mut fields: Map<String, Value>) -> Result<Record, String> {
    let number = |name: &str| fields.get(name).and_then(Value::as_i64);
    let wanted = |name: &str| number(name).ok_or_else(|| format!("it has no number {name}"));
    let address = |name: &str| {
        let bits = wanted(name)?;
        u32::try_from(bits).map(Addr::v4).map_err(|_| format!("{name} is {bits}, which is no IPv4 address"))
    };
    let packets = wanted("packet_cnt")?;
    let packets = u64::try_from(packets).ok().filter(|count| *count > 0);
    let packets = packets.ok_or("it counts no packets")?;
    let seconds = wanted("time")?;
    let ts = seconds.checked_mul(1_000_000_000).ok_or("its time is beyond the calendar")?;
    let proto = u8::try_from(wanted("protocol")?).map_err(|_| "its protocol is no byte")?;
    let port = |bits: i64| u16::try_from(bits).map_err(|_| "a port is no number of 16 bits".to_owned());
    let aggregated = fields.contains_key("dst_net");
    // Type and code of ICMP share the port; in version 3 they have one each.
    let icmp = matches!(proto, proto::ICMP | proto::ICMPV6);
    let (sport, dport) = match (icmp, aggregated) {
        (true, true) => (None, wanted("dst_port")? >> 8),
        (true, false) => (None, wanted("src_port")?),
        (false, true) => (None, wanted("dst_port")?),
        (false, false) => (Some(port(wanted("src_port")?)?), wanted("dst_port")?),
    };
    let bytes = match number("ip_len") {
        Some(length) => u64::try_from(length).unwrap_or(0).saturating_mul(packets),
        None => common_bytes(&fields),
    };
    let record = Record {
        ts: Some(Nanos(ts)),
        format: Format::FlowTuple,
        kind: if kind.is_empty() { "flowtuple".to_owned() } else { kind.chars().take(64).collect() },
        src: Some(address("src_ip")?),
        dst: Some(address(if aggregated { "dst_net" } else { "dst_ip" })?),
        sport,
        dport: Some(port(dport)?),
        proto: Some(proto),
        packets: Some(packets),
        bytes: Some(bytes),
        ..Record::default()
    };
    for name in ["time", "src_ip", "dst_ip", "dst_net", "src_port", "protocol", "packet_cnt"] {
        fields.remove(name);
    }
    Ok(Record { extra: fields, ..record })
}

fn list(fields: &Map<String, Value>, name: &str) -> Vec<u64> {
    let items = fields.get(name).and_then(Value::as_array);
    items.map(|items| items.iter().map(|item| item.as_u64().unwrap_or(0)).collect()).unwrap_or_default()
}

fn common_bytes(fields: &Map<String, Value>) -> u64 {
    let (sizes, counts) = (list(fields, "common_pktsizes"), list(fields, "common_pktsize_freqs"));
    sizes.iter().zip(&counts).fold(0, |sum, (size, count)| sum.saturating_add(size.saturating_mul(*count)))
}

/// The record as a row of table `flows`; none of any other format. The interval counts at its first minute.
pub fn flow(record: &Record) -> Option<(FlowKey, FlowCount)> {
    if record.format != Format::FlowTuple {
        return None;
    }
    let flags = match record.extra.get("tcp_flags").and_then(Value::as_u64) {
        Some(flags) => Some(flags),
        None => match list(&record.extra, "common_tcpflags")[..] {
            [only] if record.extra.get("uniq_tcp_flags").and_then(Value::as_u64) == Some(1) => Some(only),
            _ => None,
        },
    };
    let minute = record.ts?.0.div_euclid(MINUTE) * MINUTE;
    let key = FlowKey {
        minute: Nanos(minute),
        addresses: record.src.zip(record.dst),
        proto: record.proto,
        dport: record.dport,
        tcp_flags: flags.filter(|_| record.proto == Some(proto::TCP)).and_then(|flags| u8::try_from(flags).ok()),
    };
    let count = FlowCount { packets: record.packets?, bytes: record.bytes.unwrap_or(0), evidence: Evidence::Spoofable };
    Some((key, count))
}
