//! Suricata's EVE (`etc/schema.json`): one JSON object per line; `dns` in versions 2 and 3.

use crate::fields::{self, Object, Refusal};
use crate::record::Record;
use serde_json::Value;

/// One record of EVE. Sub-objects stay whole in `extra`; what is searched most is copied into columns.
pub fn record(mut object: Object) -> Result<Record, Refusal> {
    let kind = fields::text(&mut object, "event_type").ok_or("event_type is missing")?;
    let mut row = Record {
        ts: Some(fields::time(&mut object, "timestamp")?),
        src: fields::address(&mut object, "src_ip")?,
        dst: fields::address(&mut object, "dest_ip")?,
        sport: fields::port(&mut object, "src_port")?,
        dport: fields::port(&mut object, "dest_port")?,
        session: fields::text(&mut object, "flow_id"),
        service: fields::text(&mut object, "app_proto"),
        sensor: fields::text(&mut object, "host").unwrap_or_default(),
        ..Record::default()
    };
    if let Some(name) = fields::text(&mut object, "proto") {
        row.proto = fields::proto_number(&name);
        if row.proto.is_none() {
            object.insert("proto".into(), name.into());
        }
    }

    let text = |path: &[&str]| dig(&object, path).and_then(Value::as_str).map(str::to_owned);
    let sum = |table: &str, keys: &[&str]| {
        let parts: Vec<u64> = keys.iter().filter_map(|key| dig(&object, &[table, key])?.as_u64()).collect();
        (!parts.is_empty()).then(|| parts.iter().fold(0u64, |sum, part| sum.saturating_add(*part)))
    };
    row.packets = sum("flow", &["pkts_toserver", "pkts_toclient"]).or(sum("netflow", &["pkts"]));
    row.bytes = sum("flow", &["bytes_toserver", "bytes_toclient"]).or(sum("netflow", &["bytes"]));
    row.duration = dig(&object, &["flow", "age"]).and_then(Value::as_f64);
    row.url = match (text(&["http", "hostname"]), text(&["http", "url"])) {
        (Some(host), Some(path)) if path.starts_with('/') => Some(format!("http://{host}{path}")),
        (_, path) => path,
    };
    row.client = text(&["http", "http_user_agent"]).or_else(|| text(&["ssh", "client", "software_version"]));
    row.fingerprint = text(&["ssh", "client", "hassh", "hash"])
        .or_else(|| text(&["tls", "ja4"]))
        .or_else(|| text(&["tls", "ja3", "hash"]));
    row.hash = ["sha256", "sha1", "md5"].into_iter().find_map(|key| text(&["fileinfo", key]));
    row.kind = kind;
    row.extra = object;
    Ok(row)
}

fn dig<'a>(object: &'a Object, path: &[&str]) -> Option<&'a Value> {
    let (first, rest) = path.split_first()?;
    rest.iter().try_fold(object.get(*first)?, |value, key| value.get(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_copied_and_the_rest_is_whole() {
        let line = r#"{"timestamp":"2026-01-02T03:04:05.678901+0000","flow_id":1374195536821504,"event_type":"http","src_ip":"192.0.2.9","src_port":4711,"dest_ip":"198.51.100.8","dest_port":80,"proto":"TCP","http":{"hostname":"h.example","url":"/a?b","http_user_agent":"curl/8"},"flow":{"pkts_toserver":3,"pkts_toclient":2,"bytes_toserver":5,"bytes_toclient":7}}"#;
        let row = record(fields::object(line).unwrap()).unwrap();
        assert_eq!(row.url.as_deref(), Some("http://h.example/a?b"));
        assert_eq!((row.packets, row.bytes, row.session.as_deref()), (Some(5), Some(12), Some("1374195536821504")));
        assert_eq!(row.extra["http"]["http_user_agent"], "curl/8");
    }
}
