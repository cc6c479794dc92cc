//! Shadowserver's reports: quoted CSV, columns by name. The schemas are data (`shadowserver.toml`); a column that no
//! schema knows is kept, so that new ones need no release of ours.

use super::{LineReader, Outcome};
use crate::fields::{self, Object, Refusal};
use crate::record::Record;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::LazyLock;

#[derive(Deserialize)]
struct Schemas {
    fields: BTreeMap<String, Vec<String>>,
    report: Vec<Report>,
}

#[derive(Deserialize)]
struct Report {
    #[serde(rename = "type")]
    kind: String,
    severity: String,
    signs: Vec<String>,
    #[serde(default)]
    without: Vec<String>,
}

static SCHEMAS: LazyLock<Schemas> =
    LazyLock::new(|| toml::from_str(include_str!("shadowserver.toml")).expect("a test reads this file"));

/// Whether a first line is the header of a report: `timestamp` and at least two of the columns that all reports share.
pub fn is_header(line: &str) -> bool {
    let Some(names) = cells(line) else { return false };
    let has = |name: &str| names.iter().any(|column| column == name);
    let shared = ["asn", "src_asn", "geo", "src_geo", "naics", "src_naics", "sector", "severity"];
    has("timestamp") && shared.iter().filter(|name| has(name)).count() >= 2
}

/// Cells of one CSV record; none when a quoted field does not end.
fn cells(text: &str) -> Option<Vec<String>> {
    let text = text.trim_start_matches('\u{feff}');
    if text.bytes().filter(|byte| *byte == b'"').count() % 2 == 1 {
        return None;
    }
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text.as_bytes());
    let record = reader.records().next()?.ok()?;
    Some(record.iter().map(str::to_owned).collect())
}

/// Rows under a header line.
pub struct Csv {
    named: Option<String>,
    header: Vec<String>,
    kind: String,
}

impl Csv {
    /// Of a file of that name: `YYYY-MM-DD-<type>-….csv` names the report type.
    pub fn new(name: &str) -> Self {
        let dated = name.len() > 11
            && name.is_char_boundary(11)
            && name[..11]
                .bytes()
                .enumerate()
                .all(|(at, byte)| if matches!(at, 4 | 7 | 10) { byte == b'-' } else { byte.is_ascii_digit() });
        let named = dated.then(|| &name[11..]).and_then(|rest| rest.split_once('-')).map(|(kind, _)| kind.to_owned());
        Csv { named, header: Vec::new(), kind: String::new() }
    }

    fn kind_of(&self, header: &[String]) -> String {
        let has = |name: &String| header.contains(name);
        let by_columns = || {
            let fits = |report: &&Report| report.signs.iter().all(has) && !report.without.iter().any(has);
            SCHEMAS.report.iter().find(fits).map(|report| report.kind.clone())
        };
        self.named.clone().or_else(by_columns).unwrap_or_else(|| "unknown".into())
    }

    fn record(&self, cells: Vec<String>) -> Result<Record, Refusal> {
        if cells.len() < self.header.len() {
            return Err(format!("{} cells where the header names {}", cells.len(), self.header.len()));
        }
        let mut object = Object::new();
        for (at, cell) in cells.into_iter().enumerate().filter(|(_, cell)| !cell.is_empty()) {
            // Trailing cells past the header have no name of their own.
            let name = self.header.get(at).cloned().unwrap_or_else(|| format!("column_{}", at + 1));
            object.insert(name, cell.into());
        }
        let column = |object: &Object, field: &str| {
            SCHEMAS.fields.get(field)?.iter().find(|name| object.contains_key(*name)).cloned()
        };
        let take =
            |object: &mut Object, field: &str| column(object, field).and_then(|name| fields::text(object, &name));
        let mut row = Record { ts: Some(fields::time(&mut object, "timestamp")?), ..Record::default() };
        let address = |object: &mut Object, field: &str| match column(object, field) {
            Some(name) => fields::address(object, &name),
            None => Ok(None),
        };
        let port = |object: &mut Object, field: &str| match column(object, field) {
            Some(name) => fields::port(object, &name),
            None => Ok(None),
        };
        (row.src, row.dst) = (address(&mut object, "src")?, address(&mut object, "dst")?);
        (row.sport, row.dport) = (port(&mut object, "sport")?, port(&mut object, "dport")?);
        row.proto = take(&mut object, "proto").and_then(|name| fields::proto_number(&name));
        row.service = take(&mut object, "service");
        row.session = take(&mut object, "session");
        row.username = take(&mut object, "username");
        row.password = take(&mut object, "password");
        row.url = take(&mut object, "url");
        row.hash = take(&mut object, "hash").map(|hash| hash.to_ascii_lowercase());
        row.client = take(&mut object, "client");
        row.sensor = take(&mut object, "sensor").unwrap_or_default();
        row.duration = column(&object, "duration").and_then(|name| fields::real(&mut object, &name));
        row.packets = column(&object, "packets").and_then(|name| fields::count(&mut object, &name));
        row.bytes = column(&object, "bytes").and_then(|name| fields::count(&mut object, &name));
        if !object.contains_key("severity") {
            let bare = self.kind.trim_start_matches("event4_").trim_start_matches("event6_");
            let known = SCHEMAS.report.iter().find(|report| report.kind == bare);
            object.extend(known.map(|report| ("severity".to_owned(), report.severity.clone().into())));
        }
        row.kind = self.kind.clone();
        row.extra = object;
        Ok(row)
    }
}

impl LineReader for Csv {
    fn line(&mut self, text: &str) -> Outcome {
        if text.trim().is_empty() {
            return Outcome::Structure;
        }
        let Some(cells) = cells(text) else { return Outcome::Unfinished };
        if self.header.is_empty() {
            if !cells.iter().any(|name| name == "timestamp") {
                return Outcome::Refused("the header names no timestamp".into());
            }
            self.kind = self.kind_of(&cells);
            self.header = cells;
            return Outcome::Structure;
        }
        self.record(cells).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "timestamp,protocol,src_ip,src_port,src_asn,src_geo,severity,dst_ip,dst_port,public_source,infection,tag,event_id,count,brand_new";

    #[test]
    fn unknown_and_trailing_columns_are_kept() {
        assert!(is_header(HEAD));
        let mut csv = Csv::new("x.csv");
        assert_eq!(csv.line(HEAD), Outcome::Structure);
        let Outcome::Row(row) = csv.line(
            r#""2026-01-02 03:04:05",tcp,192.0.2.9,4711,64512,ZZ,,198.51.100.8,23,me,"mirai, like",t,e1,17,n,more"#,
        ) else {
            panic!("refused")
        };
        assert_eq!((row.kind.as_str(), row.packets, row.dport), ("honeypot_darknet", Some(17), Some(23)));
        assert_eq!((&row.extra["brand_new"], &row.extra["column_16"]), (&"n".into(), &"more".into()));
        assert_eq!((&row.extra["severity"], &row.extra["infection"]), (&"high".into(), &"mirai, like".into()));
        assert!(matches!(csv.line("2026-01-02,tcp"), Outcome::Refused(_)));
    }

    #[test]
    fn the_file_name_tells_the_type() {
        let mut csv = Csv::new("2026-01-02-event4_honeypot_brute_force-isp-jp.csv");
        csv.line(HEAD);
        assert_eq!(csv.kind, "event4_honeypot_brute_force");
        for odd in ["", "2026", "日本語のファイル名です", "2026-01-02-x"] {
            assert_eq!(Csv::new(odd).named, None);
        }
    }
}
