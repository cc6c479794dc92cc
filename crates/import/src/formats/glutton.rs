//! Glutton's producer: one JSON object per connection; `srcPort` is text, `dstPort` a number.

use crate::fields::{self, Object, Refusal};
use crate::record::Record;

/// One record of Glutton. The payload stays in `extra`, in base64 as it came.
pub fn record(mut object: Object) -> Result<Record, Refusal> {
    Ok(Record {
        ts: Some(fields::time(&mut object, "timestamp")?),
        proto: fields::text(&mut object, "transport").and_then(|name| fields::proto_number(&name)),
        src: fields::address(&mut object, "srcHost")?,
        sport: fields::port(&mut object, "srcPort")?,
        dport: fields::port(&mut object, "dstPort")?,
        sensor: fields::text(&mut object, "sensorID").unwrap_or_default(),
        service: fields::text(&mut object, "handler"),
        kind: fields::text(&mut object, "rule").unwrap_or_else(|| "connection".into()),
        extra: object,
        ..Record::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn source_port_as_text() {
        let line = r#"{"timestamp":"2026-01-02T03:04:05.1Z","transport":"tcp","srcHost":"192.0.2.9","srcPort":"4711","dstPort":23,"sensorID":"g1","rule":"Rule: TCP","handler":"telnet","payload":"cm9vdA==","scanner":""}"#;
        assert_eq!(crate::detect::detect(line.as_bytes(), ""), Some(crate::Format::Glutton));
        let row = record(fields::object(line).unwrap()).unwrap();
        assert_eq!((row.sport, row.dport, row.proto), (Some(4711), Some(23), Some(6)));
        assert_eq!(row.extra["payload"], "cm9vdA==");
    }
}
