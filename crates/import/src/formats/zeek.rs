//! Zeek's logs, tab-separated or JSON, of any path: the path is named by the file's own header, by `_path`, by the
//! file's name, or by the fields that only one log has.

use super::{LineReader, Outcome};
use crate::fields::{self, Object, Refusal};
use crate::record::Record;
use serde_json::Value;

/// Logs that a file may be named after (`conn.log`, `conn.2026-01-01.log`).
const PATHS: &[&str] = &[
    "analyzer",
    "arp",
    "bacnet",
    "broker",
    "capture_loss",
    "cluster",
    "config",
    "conn",
    "conn_long",
    "dce_rpc",
    "dhcp",
    "dnp3",
    "dns",
    "dpd",
    "files",
    "ftp",
    "http",
    "intel",
    "irc",
    "kerberos",
    "known_certs",
    "known_hosts",
    "known_services",
    "ldap",
    "ldap_search",
    "loaded_scripts",
    "login",
    "modbus",
    "mqtt_connect",
    "mqtt_publish",
    "mysql",
    "netcontrol",
    "notice",
    "notice_alarm",
    "ntlm",
    "ntp",
    "ocsp",
    "packet_filter",
    "pe",
    "postgresql",
    "quic",
    "radius",
    "rdp",
    "redis",
    "reporter",
    "rfb",
    "signatures",
    "sip",
    "smb_cmd",
    "smb_files",
    "smb_mapping",
    "smtp",
    "snmp",
    "socks",
    "software",
    "ssh",
    "ssl",
    "stats",
    "syslog",
    "telemetry",
    "traceroute",
    "tunnel",
    "unknown_protocols",
    "weird",
    "websocket",
    "x509",
];

/// Fields that together appear in one log only; for files that are named after nothing.
const SIGNS: &[(&str, &[&str])] = &[
    ("conn", &["uid", "conn_state"]),
    ("http", &["uid", "trans_depth", "method"]),
    ("http", &["uid", "trans_depth", "status_code"]),
    ("dns", &["uid", "trans_id"]),
    ("ssh", &["uid", "auth_attempts"]),
    ("ssl", &["uid", "established"]),
    ("smtp", &["uid", "helo"]),
    ("snmp", &["uid", "community"]),
    ("tunnel", &["uid", "tunnel_type"]),
    ("files", &["fuid", "seen_bytes"]),
    ("x509", &["id", "certificate.version"]),
    ("pe", &["id", "machine", "is_exe"]),
    ("notice", &["note", "actions"]),
    ("software", &["host", "software_type"]),
    ("weird", &["name", "notice", "peer"]),
    ("dhcp", &["uids", "msg_types"]),
    ("arp", &["operation", "src_mac"]),
    ("packet_filter", &["node", "filter", "init"]),
];

/// Which log a JSON object belongs to; none if it is not Zeek's.
pub fn path_of(object: &Object, name: &str) -> Option<String> {
    if !object.contains_key("ts") {
        return None;
    }
    if let Some(path) = object.get("_path").and_then(Value::as_str) {
        return Some(path.to_owned());
    }
    if let Some(path) = named_path(name) {
        return Some(path.to_owned());
    }
    let signed = SIGNS.iter().find(|(_, keys)| keys.iter().all(|key| object.contains_key(*key)));
    let flow = ["uid", "id.orig_h", "id.resp_h"].iter().all(|key| object.contains_key(*key));
    signed.map(|(path, _)| *path).or(flow.then_some("unknown")).map(str::to_owned)
}

fn named_path(name: &str) -> Option<&'static str> {
    let (stem, rest) = name.split_once('.')?;
    let is_log = rest.split('.').any(|part| part == "log" || part == "json");
    PATHS.iter().copied().find(|path| is_log && *path == stem)
}

/// JSON logs.
pub struct Json {
    name: String,
}

impl Json {
    /// Of a file of that name.
    pub fn new(name: &str) -> Self {
        Json { name: name.to_owned() }
    }

    fn record(&self, text: &str) -> Result<Record, Refusal> {
        let mut object = fields::object(text)?;
        let path = path_of(&object, &self.name).ok_or("no log of Zeek has these fields")?;
        object.remove("_path");
        record(&path, object)
    }
}

impl LineReader for Json {
    fn line(&mut self, text: &str) -> Outcome {
        // A file may join logs of both kinds.
        if text.trim().is_empty() || text.starts_with('#') {
            return Outcome::Structure;
        }
        self.record(text).into()
    }
}

/// Tab-separated logs; the header may repeat when files were joined.
pub struct Tsv {
    separator: char,
    set_separator: String,
    empty: String,
    unset: String,
    path: String,
    names: Vec<String>,
    types: Vec<String>,
}

impl Default for Tsv {
    fn default() -> Self {
        Tsv {
            separator: '\t',
            set_separator: ",".into(),
            empty: "(empty)".into(),
            unset: "-".into(),
            path: "unknown".into(),
            names: Vec::new(),
            types: Vec::new(),
        }
    }
}

impl LineReader for Tsv {
    fn line(&mut self, text: &str) -> Outcome {
        if text.is_empty() {
            return Outcome::Structure;
        }
        if let Some(rest) = text.strip_prefix('#') {
            self.header(rest);
            return Outcome::Structure;
        }
        self.record(text).into()
    }
}

impl Tsv {
    fn header(&mut self, rest: &str) {
        if let Some(value) = rest.strip_prefix("separator ") {
            self.separator = unescape(value).chars().next().unwrap_or('\t');
            return;
        }
        let mut cells = rest.split(self.separator);
        match (cells.next(), cells.next()) {
            (Some("set_separator"), Some(value)) => self.set_separator = value.to_owned(),
            (Some("empty_field"), Some(value)) => self.empty = value.to_owned(),
            (Some("unset_field"), Some(value)) => self.unset = value.to_owned(),
            (Some("path"), Some(value)) => self.path = value.to_owned(),
            (Some("fields"), _) => self.names = rest.split(self.separator).skip(1).map(str::to_owned).collect(),
            (Some("types"), _) => self.types = rest.split(self.separator).skip(1).map(str::to_owned).collect(),
            _ => {}
        }
    }

    fn record(&self, text: &str) -> Result<Record, Refusal> {
        if self.names.is_empty() {
            return Err("data before any #fields line".into());
        }
        let cells = text.split(self.separator).count();
        if cells != self.names.len() {
            return Err(format!("{cells} fields where #fields names {}", self.names.len()));
        }
        let mut object = Object::new();
        for (at, (name, cell)) in self.names.iter().zip(text.split(self.separator)).enumerate() {
            if cell != self.unset {
                object.insert(name.clone(), self.value(cell, self.types.get(at).map_or("", String::as_str)));
            }
        }
        record(&self.path, object)
    }

    /// A cell by its declared type; what does not fit its type stays text.
    fn value(&self, cell: &str, kind: &str) -> Value {
        if kind.starts_with("set[") || kind.starts_with("vector[") {
            if cell == self.empty {
                return Value::Array(Vec::new());
            }
            return cell.split(&*self.set_separator).map(|part| Value::from(unescape(part))).collect();
        }
        let typed = match kind {
            "bool" => match cell {
                "T" => Some(true.into()),
                "F" => Some(false.into()),
                _ => None,
            },
            "count" | "port" => cell.parse::<u64>().ok().map(Value::from),
            "int" => cell.parse::<i64>().ok().map(Value::from),
            "double" | "interval" => cell.parse::<f64>().ok().filter(|n| n.is_finite()).map(Value::from),
            _ => None,
        };
        typed.unwrap_or_else(|| if cell == self.empty { "".into() } else { unescape(cell).into() })
    }
}

/// `\xNN` to the byte; bytes that make no UTF-8 become U+FFFD.
fn unescape(text: &str) -> String {
    if !text.contains("\\x") {
        return text.to_owned();
    }
    let (bytes, mut out, mut at) = (text.as_bytes(), Vec::with_capacity(text.len()), 0);
    while at < bytes.len() {
        let hex = bytes.get(at + 2..at + 4).filter(|_| bytes[at] == b'\\' && bytes.get(at + 1) == Some(&b'x'));
        match hex.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                at += 4;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// The record of one row of log `path`.
fn record(path: &str, mut object: Object) -> Result<Record, Refusal> {
    let ts = if object.contains_key("ts") { Some(fields::time(&mut object, "ts")?) } else { None };
    let mut row = Record {
        ts,
        kind: path.to_owned(),
        src: fields::address(&mut object, "id.orig_h")?,
        dst: fields::address(&mut object, "id.resp_h")?,
        sport: fields::port(&mut object, "id.orig_p")?,
        dport: fields::port(&mut object, "id.resp_p")?,
        session: fields::text(&mut object, "uid"),
        duration: fields::real(&mut object, "duration"),
        ..Record::default()
    };
    if let Some(name) = object.get("proto").and_then(Value::as_str) {
        row.proto = fields::proto_number(name);
        if row.proto.is_some() {
            object.remove("proto");
        }
    }
    by_path(path, &mut row, &mut object)?;
    row.extra = object;
    Ok(row)
}

fn by_path(path: &str, row: &mut Record, object: &mut Object) -> Result<(), Refusal> {
    let sum = |object: &Object, keys: [&str; 2]| {
        let parts: Vec<u64> = keys.iter().filter_map(|key| object.get(*key)?.as_u64()).collect();
        (!parts.is_empty()).then(|| parts.iter().fold(0u64, |sum, part| sum.saturating_add(*part)))
    };
    match path {
        "conn" | "conn_long" => {
            row.service = fields::text(object, "service");
            row.packets = sum(object, ["orig_pkts", "resp_pkts"]);
            row.bytes = sum(object, ["orig_ip_bytes", "resp_ip_bytes"]);
        }
        "http" => {
            row.service = Some("http".into());
            let text = |key: &str| object.get(key).and_then(Value::as_str);
            row.url = match (text("host"), text("uri")) {
                (Some(host), Some(uri)) if uri.starts_with('/') => Some(format!("http://{host}{uri}")),
                (_, uri) => uri.map(str::to_owned),
            };
            row.client = fields::text(object, "user_agent");
            row.username = fields::text(object, "username");
            row.password = fields::text(object, "password");
        }
        "ssh" => {
            row.service = Some("ssh".into());
            row.client = fields::text(object, "client");
            row.fingerprint = fields::text(object, "hassh");
            row.accepted = object.get("auth_success").and_then(Value::as_bool);
        }
        "ssl" => {
            row.service = Some("tls".into());
            row.fingerprint = fields::text(object, "ja4").or_else(|| fields::text(object, "ja3"));
        }
        "files" => {
            row.session = row.session.take().or_else(|| fields::text(object, "fuid"));
            row.hash = fields::hash(object);
            row.bytes = object.get("seen_bytes").and_then(Value::as_u64);
        }
        "notice" => {
            row.src = row.src.or(fields::address(object, "src")?);
            row.dst = row.dst.or(fields::address(object, "dst")?);
        }
        "dhcp" => row.src = fields::address(object, "client_addr")?,
        "software" => row.src = fields::address(object, "host")?,
        "arp" => {
            row.src = fields::address(object, "orig_h")?;
            row.dst = fields::address(object, "resp_h")?;
        }
        "dns" | "snmp" | "smtp" | "ntp" | "sip" | "rdp" | "ftp" => row.service = Some(path.to_owned()),
        _ => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_may_repeat_with_other_fields() {
        let mut tsv = Tsv::default();
        for line in ["#separator \\x09", "#path\tconn", "#fields\tts\tuid\tid.orig_h", "#types\ttime\tstring\taddr"] {
            assert_eq!(tsv.line(line), Outcome::Structure);
        }
        let Outcome::Row(row) = tsv.line("1591367999.305988\tC1\t192.0.2.9") else { panic!("refused") };
        assert_eq!(row.ts.unwrap().0, 1_591_367_999_305_988_000);
        assert!(matches!(tsv.line("1\tC1"), Outcome::Refused(reason) if reason.starts_with("2 fields")));
        tsv.line("#path\tnotice");
        tsv.line("#fields\tts\tmsg\ttags\tsrc");
        tsv.line("#types\ttime\tstring\tset[string]\taddr");
        let Outcome::Row(row) = tsv.line("1\ta\\x09b\\xff\tx,y\t-") else { panic!("refused") };
        assert_eq!((row.kind.as_str(), &row.extra["tags"][1]), ("notice", &"y".into()));
        assert_eq!(row.extra["msg"], "a\tb\u{fffd}");
    }

    #[test]
    fn paths_by_name_field_and_sign() {
        let path = |text: &str, name: &str| path_of(&fields::object(text).unwrap(), name);
        assert_eq!(path(r#"{"ts":1,"_path":"x"}"#, "conn.log").as_deref(), Some("x"));
        assert_eq!(path(r#"{"ts":1}"#, "dns.2026.log").as_deref(), Some("dns"));
        assert_eq!(path(r#"{"ts":1,"uid":"C","conn_state":"S0"}"#, "a").as_deref(), Some("conn"));
        assert_eq!(path(r#"{"ts":1}"#, "conn.csv"), None);
        assert_eq!(path(r#"{"uid":"C","conn_state":"S0"}"#, "conn.log"), None);
    }
}
