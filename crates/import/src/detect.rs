//! Which program wrote this file: decided by its content, with the file's name as a tie breaker only.

use crate::fields::{self, Object};
use crate::formats::{shadowserver, zeek};
use serde::{Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

macro_rules! formats {
    ($($(#[$meta:meta])* $item:ident = $name:literal, $label:literal;)*) => {
        /// A format that can be read.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
        pub enum Format { $($(#[$meta])* $item,)* }
        impl Format {
            /// All formats.
            pub const ALL: &'static [Format] = &[$(Format::$item,)*];
            /// Name on the command line and in tables.
            pub const fn name(self) -> &'static str { match self { $(Format::$item => $name,)* } }
            /// Name for people.
            pub const fn label(self) -> &'static str { match self { $(Format::$item => $label,)* } }
        }
    };
}

formats! {
    /// Cowrie's JSON, one record per line.
    #[default]
    Cowrie = "cowrie", "Cowrie JSON";
    /// Cowrie's text log; only the lines that its JSON also has carry fields.
    CowrieText = "cowrie-text", "Cowrie text log";
    /// Dionaea: `log_json` (flat or nested), `log_incident`, or the hpfeeds shape.
    Dionaea = "dionaea", "Dionaea JSON";
    /// Glutton's producer.
    Glutton = "glutton", "Glutton JSON";
    /// OpenCanary's log.
    OpenCanary = "opencanary", "OpenCanary JSON";
    /// DDoSPot's per-pot log.
    Ddospot = "ddospot", "DDoSPot JSON";
    /// Suricata's extensible event format.
    Eve = "eve", "Suricata EVE JSON";
    /// Zeek's tab-separated logs.
    ZeekTsv = "zeek-tsv", "Zeek TSV";
    /// Zeek's JSON logs.
    ZeekJson = "zeek-json", "Zeek JSON";
    /// Shadowserver's reports.
    Shadowserver = "shadowserver", "Shadowserver CSV";
    /// Firewall log of a DShield sensor (netfilter's LOG lines).
    Dshield = "dshield", "DShield firewall log";
    /// Spoki: packets seen, and probes sent.
    Spoki = "spoki", "Spoki CSV";
    /// Argus flows as CSV or TSV.
    Binetflow = "binetflow", "Argus binetflow";
    /// Frames of hpfeeds as on the wire, saved.
    Hpfeeds = "hpfeeds", "hpfeeds frames";
    /// Sums of a telescope per interval, in Avro.
    FlowTuple = "flowtuple", "FlowTuple Avro";
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Serialize for Format {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl FromStr for Format {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Format::ALL.iter().copied().find(|format| format.name() == text).ok_or_else(|| {
            let names: Vec<_> = Format::ALL.iter().map(|format| format.name()).collect();
            format!("\"{text}\" is not a format; known are: {}", names.join(", "))
        })
    }
}

/// Lines that are looked at. A file whose first lines are all broken is refused rather than guessed.
const LINES_EXAMINED: usize = 64;

/// The format of a file that begins with `head` and is called `name` (without its folder).
pub fn detect(head: &[u8], name: &str) -> Option<Format> {
    if head.starts_with(&crate::avro::MAGIC) {
        return Some(Format::FlowTuple);
    }
    if crate::hpfeeds::looks_like(head) {
        return Some(Format::Hpfeeds);
    }
    let text = String::from_utf8_lossy(head);
    let lines = || text.lines().filter(|line| !line.trim().is_empty()).take(LINES_EXAMINED);
    if let Some(first) = lines().next()
        && let Some(format) = by_header(first)
    {
        return Some(format);
    }
    lines().find_map(|line| by_line(line, name))
}

/// Formats that open with a header line.
fn by_header(first: &str) -> Option<Format> {
    if first.starts_with("#separator ") || first.starts_with("#fields\t") {
        return Some(Format::ZeekTsv);
    }
    if first.starts_with("StartTime") && first.contains("SrcAddr") {
        return Some(Format::Binetflow);
    }
    if first.starts_with("ts|saddr|daddr|") || first.starts_with("start sec|start usec|") {
        return Some(Format::Spoki);
    }
    shadowserver::is_header(first).then_some(Format::Shadowserver)
}

fn by_line(line: &str, name: &str) -> Option<Format> {
    if line.starts_with('{') {
        return fields::object(line).ok().and_then(|object| by_object(&object, name));
    }
    if line.contains(" SRC=") && line.contains(" DST=") && line.contains(" PROTO=") {
        return Some(Format::Dshield);
    }
    crate::formats::cowrie_text::recognises(line).then_some(Format::CowrieText)
}

fn by_object(object: &Object, name: &str) -> Option<Format> {
    let text = |key: &str| object.get(key).and_then(|value| value.as_str());
    let has = |key: &str| object.contains_key(key);
    let all = |keys: &[&str]| keys.iter().all(|key| has(key));
    if text("eventid").is_some_and(|id| id.starts_with("cowrie.")) {
        return Some(Format::Cowrie);
    }
    if text("event_type").is_some() && has("timestamp") {
        return Some(Format::Eve);
    }
    if all(&["node_id", "logtype", "logdata"]) {
        return Some(Format::OpenCanary);
    }
    if all(&["timestamp", "srcHost", "dstPort"]) {
        return Some(Format::Glutton);
    }
    let incident = text("name") == Some("dionaea") && has("origin");
    let flat = has("connection") && all(&["timestamp", "src_ip"]);
    let nested = object.get("connection").is_some_and(|inner| inner.get("remote").is_some());
    if incident || flat || nested || all(&["connection_type", "connection_protocol", "remote_host"]) {
        return Some(Format::Dionaea);
    }
    if all(&["time", "src_ip", "req_size", "resp_size"]) || all(&["time", "src_ip", "req_pkt"]) {
        return Some(Format::Ddospot);
    }
    zeek::path_of(object, name).map(|_| Format::ZeekJson)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_their_own_inverse() {
        for format in Format::ALL {
            assert_eq!(format.name().parse::<Format>().as_ref(), Ok(format));
        }
        assert!("zeek".parse::<Format>().unwrap_err().contains("zeek-tsv"));
    }

    #[test]
    fn a_broken_first_line_does_not_hide_the_format() {
        let head = b"{\"eventid\": broken\n\n{\"eventid\":\"cowrie.log.open\",\"timestamp\":\"2026-01-01\"}\n";
        assert_eq!(detect(head, "x.json"), Some(Format::Cowrie));
    }

    #[test]
    fn strangers_are_not_guessed() {
        for head in ["", "\n\n", "{\"a\":1}", "[1,2]", "hello", "; comment\n1.2.3.0/24 ; x", "<html>", "\0\0\0\0\0\0"] {
            assert_eq!(detect(head.as_bytes(), "conn.txt"), None, "{head:?}");
        }
    }
}
