//! Spoki, the reactive telescope: packets seen with the answer given (`raw`), and the probes sent (`scamper`).

use super::{LineReader, Outcome};
use crate::fields::{self, Object, Refusal};
use crate::record::{Header, Record};
use noroshi_model::Nanos;
use noroshi_model::packet::tcp;

/// Pipe-separated values under a header line.
#[derive(Default)]
pub struct Csv {
    header: Vec<String>,
}

impl LineReader for Csv {
    fn line(&mut self, text: &str) -> Outcome {
        if text.is_empty() {
            return Outcome::Structure;
        }
        if text.starts_with("ts|") || text.starts_with("start sec|") {
            self.header = text.split('|').map(str::to_owned).collect();
            return Outcome::Structure;
        }
        self.record(text).into()
    }
}

impl Csv {
    fn record(&self, text: &str) -> Result<Record, Refusal> {
        if self.header.is_empty() {
            return Err("data before the header line".into());
        }
        let cells = text.split('|').count();
        if cells != self.header.len() {
            return Err(format!("{cells} fields where the header names {}", self.header.len()));
        }
        let mut object: Object =
            self.header.iter().cloned().zip(text.split('|').map(Into::into)).filter(|(_, value)| value != "").collect();
        let mut row = Record {
            src: fields::address(&mut object, "saddr")?,
            dst: fields::address(&mut object, "daddr")?,
            sport: fields::port(&mut object, "sport")?,
            dport: fields::port(&mut object, "dport")?,
            ..Record::default()
        };
        if object.contains_key("start sec") {
            let part = |object: &mut Object, key: &str| {
                fields::count(object, key).and_then(|n| i64::try_from(n).ok()).ok_or(format!("{key} is not a number"))
            };
            let (seconds, micros) = (part(&mut object, "start sec")?, part(&mut object, "start usec")?);
            row.ts = Some(Nanos::from_parts(seconds, micros.saturating_mul(1000)));
            row.kind = "probe".into();
        } else {
            packet(&mut row, &mut object)?;
        }
        row.extra = object;
        Ok(row)
    }
}

fn packet(row: &mut Record, object: &mut Object) -> Result<(), Refusal> {
    let millis = fields::count(object, "ts").and_then(|ms| i64::try_from(ms).ok()).ok_or("ts is not milliseconds")?;
    row.ts = Some(Nanos(millis.saturating_mul(1_000_000)));
    row.kind = "packet".into();
    row.packets = Some(1);
    row.proto = fields::text(object, "proto").and_then(|name| fields::proto_number(&name));
    let mut header = Header {
        ttl: small(object, "ttl")?.unwrap_or(0),
        ip_id: small(object, "ipid")?,
        seq: small(object, "snum")?,
        ack: small(object, "anum")?,
        window: small(object, "window size")?,
        ..Header::default()
    };
    let bits = [("syn", tcp::SYN), ("ack", tcp::ACK), ("rst", tcp::RST), ("fin", tcp::FIN)];
    if bits.iter().any(|(key, _)| object.contains_key(*key)) {
        let set = |object: &mut Object, key: &str| fields::text(object, key).as_deref() == Some("1");
        header.tcp_flags = Some(bits.iter().filter(|(key, _)| set(object, key)).fold(0, |all, (_, bit)| all | bit));
    }
    if let Some(hex) = fields::text(object, "payload") {
        header.payload = unhex(&hex).ok_or("payload is not hexadecimal")?;
    }
    row.header = Some(Box::new(header));
    Ok(())
}

fn small<T: TryFrom<u64>>(object: &mut Object, key: &str) -> Result<Option<T>, Refusal> {
    if !object.contains_key(key) {
        return Ok(None);
    }
    let number = fields::count(object, key).and_then(|number| T::try_from(number).ok());
    number.map(Some).ok_or_else(|| format!("{key} is not a number in range"))
}

/// Bytes of hexadecimal text.
fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| (byte as char).to_digit(16).map(|value| value as u8);
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| Some(digit(pair[0])? << 4 | digit(*pair.get(1)?)?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packet_and_probe() {
        let mut csv = Csv::default();
        assert!(matches!(csv.line("1|2"), Outcome::Refused(_)));
        assert_eq!(
            csv.line(
                "ts|saddr|daddr|ipid|ttl|proto|sport|dport|anum|snum|options|payload|syn|ack|rst|fin|window size|probed"
            ),
            Outcome::Structure
        );
        let line = "1634159076593|192.0.2.9|198.51.100.8|20378|117|tcp|40425|22|0|64476129|mss|4142|1|0|0|0|8192|true";
        let Outcome::Row(row) = csv.line(line) else { panic!("refused") };
        let header = row.header.unwrap();
        assert_eq!((header.tcp_flags, header.payload.as_slice()), (Some(tcp::SYN), b"AB".as_slice()));
        assert_eq!(row.ts, Some(Nanos(1_634_159_076_593_000_000)));
        assert!(matches!(csv.line("1|2|3"), Outcome::Refused(reason) if reason.contains("header names 18")));
    }
}
