//! Dionaea: `log_json` as its code writes it (flat) and as its documentation shows it (nested), `log_incident`, and
//! what it publishes over hpfeeds.

use crate::fields::{self, Object, Refusal};
use crate::record::Record;
use serde_json::Value;

/// One record of Dionaea.
pub fn record(mut object: Object) -> Result<Record, Refusal> {
    if object.contains_key("connection_type") {
        return published(object);
    }
    if object.contains_key("origin") {
        return incident(object);
    }
    let ts = fields::time(&mut object, "timestamp")?;
    let mut row = Record { ts: Some(ts), kind: "connection".into(), ..Record::default() };
    if let Some(Value::Object(mut connection)) = object.remove("connection") {
        for (side, is_source) in [("remote", true), ("local", false)] {
            if let Some(Value::Object(mut end)) = connection.remove(side) {
                let (addr, port) = (first_address(&mut end, &["address", "host"])?, fields::port(&mut end, "port")?);
                if is_source {
                    (row.src, row.sport) = (addr, port)
                } else {
                    (row.dst, row.dport) = (addr, port)
                }
                keep(&mut object, side, end);
            }
        }
        describe(&mut row, &mut connection);
        keep(&mut object, "connection", connection);
    }
    row.src = row.src.or(fields::address(&mut object, "src_ip")?);
    row.dst = row.dst.or(fields::address(&mut object, "dst_ip")?);
    row.sport = row.sport.or(fields::port(&mut object, "src_port")?);
    row.dport = row.dport.or(fields::port(&mut object, "dst_port")?);
    first_credential(&mut row, &object);
    row.extra = object;
    Ok(row)
}

fn keep(object: &mut Object, key: &str, rest: Object) {
    if !rest.is_empty() {
        object.insert(key.to_owned(), Value::Object(rest));
    }
}

fn first_address(object: &mut Object, keys: &[&str]) -> Result<Option<noroshi_model::Addr>, Refusal> {
    for key in keys {
        if let Some(addr) = fields::address(object, key)? {
            return Ok(Some(addr));
        }
    }
    Ok(None)
}

fn describe(row: &mut Record, connection: &mut Object) {
    row.service = fields::text(connection, "protocol");
    row.proto = fields::text(connection, "transport").and_then(|name| fields::proto_number(&name));
    if let Some(kind) = fields::text(connection, "type") {
        row.kind = format!("connection.{kind}");
    }
}

/// Credentials come as a list of objects, or flattened to an object of lists. All stay in `extra`; the first one also
/// fills the columns.
fn first_credential(row: &mut Record, object: &Object) {
    let first = |key: &str| match object.get("credentials")? {
        Value::Array(list) => list.first()?.get(key)?.as_str(),
        Value::Object(lists) => lists.get(key)?.get(0)?.as_str(),
        _ => None,
    };
    let (username, password) = (first("username"), first("password"));
    if username.is_some() || password.is_some() {
        row.accepted = Some(true);
        row.username = username.map(str::to_owned);
        row.password = password.map(str::to_owned);
    }
}

fn incident(mut object: Object) -> Result<Record, Refusal> {
    let ts = fields::time(&mut object, "timestamp")?;
    let kind = fields::text(&mut object, "origin").ok_or("origin is not text")?;
    let mut row = Record { ts: Some(ts), kind, ..Record::default() };
    if let Some(Value::Object(mut data)) = object.remove("data") {
        if let Some(Value::Object(mut connection)) = data.remove("connection") {
            row.session = fields::text(&mut connection, "id");
            ends(&mut row, &mut connection, "remote_ip", "local_ip")?;
            describe_quietly(&mut row, &mut connection);
            keep(&mut data, "connection", connection);
        }
        row.url = fields::text(&mut data, "url");
        row.hash = ["sha256", "sha256hash", "md5hash", "md5"]
            .into_iter()
            .find(|key| data.get(*key).and_then(Value::as_str).is_some_and(fields::is_hash))
            .and_then(|key| fields::text(&mut data, key));
        if data.contains_key("username") || data.contains_key("password") {
            row.accepted = Some(true);
            row.username = fields::secret(&mut data, "username");
            row.password = fields::secret(&mut data, "password");
        }
        keep(&mut object, "data", data);
    }
    row.extra = object;
    Ok(row)
}

fn describe_quietly(row: &mut Record, connection: &mut Object) {
    row.service = fields::text(connection, "protocol");
    row.proto = fields::text(connection, "transport").and_then(|name| fields::proto_number(&name));
}

fn ends(row: &mut Record, object: &mut Object, remote: &str, local: &str) -> Result<(), Refusal> {
    row.src = fields::address(object, remote)?;
    row.dst = fields::address(object, local)?;
    row.sport = fields::port(object, "remote_port")?;
    row.dport = fields::port(object, "local_port")?;
    Ok(())
}

/// The hpfeeds shape carries no time; the receiver's clock is the caller's business.
fn published(mut object: Object) -> Result<Record, Refusal> {
    let ts = if object.contains_key("timestamp") { Some(fields::time(&mut object, "timestamp")?) } else { None };
    let kind = fields::text(&mut object, "connection_type").unwrap_or_default();
    let mut row = Record { ts, kind: format!("connection.{kind}"), ..Record::default() };
    ends(&mut row, &mut object, "remote_host", "local_host")?;
    row.service = fields::text(&mut object, "connection_protocol");
    row.proto = fields::text(&mut object, "connection_transport").and_then(|name| fields::proto_number(&name));
    row.extra = object;
    Ok(row)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::{Format, detect};

    fn read(text: &str) -> Record {
        assert_eq!(detect(text.as_bytes(), "dionaea.json"), Some(Format::Dionaea), "{text}");
        record(fields::object(text).unwrap()).unwrap()
    }

    #[test]
    fn flat_as_the_code_writes_it() {
        let row = read(
            r#"{"connection":{"protocol":"mssqld","transport":"tcp","type":"accept"},"dst_ip":"198.51.100.8","dst_port":1433,"src_hostname":"","src_ip":"192.0.2.9","src_port":4711,"timestamp":"2026-01-02T03:04:05.678901","credentials":{"username":["sa","x"],"password":["","y"]}}"#,
        );
        assert_eq!(
            (row.kind.as_str(), row.service.as_deref(), row.proto),
            ("connection.accept", Some("mssqld"), Some(6))
        );
        assert_eq!((row.username.as_deref(), row.password.as_deref()), (Some("sa"), Some("")));
        assert_eq!(row.dport, Some(1433));
    }

    #[test]
    fn nested_as_the_documentation_shows_it() {
        let row = read(
            r#"{"connection":{"local":{"address":"198.51.100.8","port":21},"protocol":"ftpd","remote":{"address":"192.0.2.9","port":5,"hostname":"h"},"transport":"tcp","type":"accept"},"timestamp":"2026-01-02T03:04:05"}"#,
        );
        assert_eq!((row.sport, row.dport), (Some(5), Some(21)));
        assert_eq!(row.extra["remote"]["hostname"], "h");
    }

    #[test]
    fn incident_and_published() {
        let row = read(
            r#"{"timestamp":"2026-01-02T03:04:05","name":"dionaea","origin":"dionaea.download.complete.hash","data":{"connection":{"id":"ab","protocol":"smbd","transport":"tcp","local_ip":"198.51.100.8","local_port":445,"remote_ip":"192.0.2.9","remote_port":5,"remote_hostname":""},"md5hash":"d41d8cd98f00b204e9800998ecf8427e","url":"http://192.0.2.9/x"}}"#,
        );
        assert_eq!(row.hash.as_deref(), Some("d41d8cd98f00b204e9800998ecf8427e"));
        assert_eq!(row.session.as_deref(), Some("ab"));
        let row = read(
            r#"{"connection_type":"accept","connection_transport":"udp","connection_protocol":"SipSession","remote_host":"192.0.2.9","remote_port":5060,"remote_hostname":"","local_host":"198.51.100.8","local_port":5060}"#,
        );
        assert_eq!((row.ts, row.proto), (None, Some(17)));
    }
}
