//! Argus flows as comma- or tab-separated text under a header line that begins with `StartTime`.

use super::{LineReader, Outcome};
use crate::fields::{self, Object, Refusal};
use crate::record::Record;

/// Flows under a header line.
#[derive(Default)]
pub struct Flows {
    header: Vec<String>,
    separator: char,
}

impl LineReader for Flows {
    fn line(&mut self, text: &str) -> Outcome {
        if text.trim().is_empty() {
            return Outcome::Structure;
        }
        if text.starts_with("StartTime") {
            self.separator = if text.contains('\t') { '\t' } else { ',' };
            self.header = text.split(self.separator).map(str::to_owned).collect();
            return Outcome::Structure;
        }
        self.record(text).into()
    }
}

impl Flows {
    fn record(&self, text: &str) -> Result<Record, Refusal> {
        if self.header.is_empty() {
            return Err("data before the header line".into());
        }
        let cells = text.split(self.separator).count();
        if cells != self.header.len() {
            return Err(format!("{cells} fields where the header names {}", self.header.len()));
        }
        let values = text.split(self.separator).map(|cell| cell.trim().into());
        let mut object: Object = self
            .header
            .iter()
            .cloned()
            .zip(values)
            .filter(|(_, value): &(String, serde_json::Value)| value != "")
            .collect();
        let time = fields::text(&mut object, "StartTime").ok_or("StartTime is missing")?.replace('/', "-");
        let ts = fields::parse_time(&time).ok_or_else(|| format!("\"{}\" is not a time", fields::shorten(&time)))?;
        let mut row = Record { ts: Some(ts), kind: "flow".into(), ..Record::default() };
        if let Some(name) = object.get("Proto").and_then(|value| value.as_str()) {
            row.proto = fields::proto_number(name);
        }
        // Link-layer flows have MAC addresses here, ICMP has type and code as ports: such text stays in `extra`.
        let address = |object: &mut Object, key: &str| {
            let addr = object.get(key).and_then(|value| fields::parse_address(value.as_str()?).ok());
            addr.inspect(|_| drop(object.remove(key)))
        };
        let port = |object: &mut Object, key: &str| {
            let port = object.get(key).and_then(|value| value.as_str()?.parse().ok());
            port.inspect(|_| drop(object.remove(key)))
        };
        (row.src, row.dst) = (address(&mut object, "SrcAddr"), address(&mut object, "DstAddr"));
        (row.sport, row.dport) = (port(&mut object, "Sport"), port(&mut object, "Dport"));
        row.duration = fields::real(&mut object, "Dur");
        row.packets = fields::count(&mut object, "TotPkts");
        row.bytes = fields::count(&mut object, "TotBytes");
        row.extra = object;
        Ok(row)
    }
}
