//! DDoSPot: one JSON object per source and pot, with counts and bytes of requests and responses.

use crate::fields::{self, Object, Refusal};
use crate::record::Record;
use noroshi_model::packet::proto;

/// One record of DDoSPot. The pot is told by the fields that only it has.
pub fn record(mut object: Object) -> Result<Record, Refusal> {
    let (pot, port) = if object.contains_key("dns_name") {
        ("dns", Some(53))
    } else if object.contains_key("mode") {
        ("ntp", Some(123))
    } else if object.contains_key("st") || object.contains_key("mx") {
        ("ssdp", Some(1900))
    } else if object.contains_key("dst_port") {
        ("generic", None)
    } else {
        ("chargen", Some(19))
    };
    let packets = [fields::count(&mut object, "req_pkt"), fields::count(&mut object, "resp_pkt")];
    let bytes = [fields::count(&mut object, "req_size"), fields::count(&mut object, "resp_size")];
    for (key, value) in
        [("req_pkt", packets[0]), ("resp_pkt", packets[1]), ("req_size", bytes[0]), ("resp_size", bytes[1])]
    {
        object.extend(value.map(|value| (key.to_owned(), value.into())));
    }
    let sum = |both: [Option<u64>; 2]| {
        both.iter().any(Option::is_some).then(|| both.iter().flatten().fold(0u64, |sum, n| sum.saturating_add(*n)))
    };
    Ok(Record {
        ts: Some(fields::time(&mut object, "time")?),
        kind: format!("request.{pot}"),
        src: fields::address(&mut object, "src_ip")?,
        sport: fields::port(&mut object, "src_port")?,
        dport: fields::port(&mut object, "dst_port")?.or(port),
        proto: Some(proto::UDP),
        service: Some(pot.to_owned()),
        packets: sum(packets),
        bytes: sum(bytes),
        extra: object,
        ..Record::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pots_are_told_apart() {
        let base = r#""time":"2026-01-02 03:04:05","src_ip":"192.0.2.9","src_port":80,"req_size":64,"resp_size":3000,"req_pkt":1,"resp_pkt":2"#;
        for (more, kind, dport) in [
            (r#""dns_name":"a.example","dns_type":"ANY","dns_cls":"IN","opcode":0"#, "request.dns", 53),
            (r#""mode":7"#, "request.ntp", 123),
            (r#""st":"ssdp:all","mx":2"#, "request.ssdp", 1900),
            (r#""dst_port":11211"#, "request.generic", 11211),
            (r#""x":1"#, "request.chargen", 19),
        ] {
            let line = format!("{{{base},{more}}}");
            assert_eq!(crate::detect::detect(line.as_bytes(), ""), Some(crate::Format::Ddospot));
            let row = record(fields::object(&line).unwrap()).unwrap();
            assert_eq!((row.kind.as_str(), row.dport, row.bytes), (kind, Some(dport), Some(3064)));
        }
    }
}
