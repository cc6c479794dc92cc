//! From a file to series: packets as CSV, daily counts as CSV, or the timeline of a report.

use crate::commands::table::split;
use crate::failure::Failure;
use noroshi_detect::series::{DAY_SECONDS, Series, Table};
use noroshi_import::lines::{Budget, Line};
use noroshi_model::{Nanos, report};
use std::collections::HashMap;
use std::path::Path;

/// What was read.
pub struct Data {
    /// Total first, then by size.
    pub series: Vec<Series>,
    /// Rows read.
    pub rows: u64,
    /// Rows that could not be read.
    pub rejected: u64,
}

/// Reads a file into slots of so many seconds; gzip is fine. A report has slots of its own.
pub fn read(path: &Path, slot_seconds: u32) -> Result<Data, Failure> {
    let place = path.display();
    let budget = Budget { line_bytes: 64 << 20, ..Budget::default() };
    let refused = |error: std::io::Error| {
        Failure::refused(format!("cannot be read: {error}"))
            .at(path.display())
            .hint("check the path and the permissions")
    };
    let mut lines = noroshi_import::text::open(path, budget).map_err(refused)?;
    let header = match lines.next_line().map_err(refused)? {
        Some(Line::Whole(line)) => String::from_utf8_lossy(&line).into_owned(),
        _ => return Err(Failure::refused("the file is empty").at(place)),
    };
    if header.trim_start().starts_with('{') {
        let mut text = header;
        while let Some(Line::Whole(line)) = lines.next_line().map_err(refused)? {
            text.push('\n');
            text.push_str(&String::from_utf8_lossy(&line));
            if text.len() > 256 << 20 {
                return Err(Failure::refused("the report is larger than 256 MiB").at(place));
            }
        }
        return timeline(&text).map_err(|failure| failure.at(place));
    }
    let columns = Columns::new(&header).map_err(|failure| failure.at(&place))?;
    let mut table = Table::new(slot_seconds);
    if columns.count.is_some() {
        if columns.daily && slot_seconds < DAY_SECONDS {
            return Err(Failure::refused("counts of days say nothing of hours")
                .at(place)
                .hint("give packets, or --horizon 1d"));
        }
        table.whole_slots();
    }
    let (mut rows, mut rejected) = (0, 0);
    while let Some(line) = lines.next_line().map_err(refused)? {
        let Line::Whole(line) = line else {
            rejected += 1;
            continue;
        };
        let line = String::from_utf8_lossy(&line);
        if line.trim().is_empty() {
            continue;
        }
        rows += 1;
        match columns.row(&line) {
            Some((at, key, count)) => table.add(at, &key, count),
            None => rejected += 1,
        }
    }
    let series = table.finish();
    if series.is_empty() {
        return Err(Failure::refused("no row holds a time and a count").at(place));
    }
    Ok(Data { series, rows, rejected: rejected + table.refused })
}

/// Where the fields stand.
struct Columns {
    time: usize,
    proto: Option<usize>,
    port: Option<usize>,
    sensor: Option<usize>,
    count: Option<usize>,
    /// Times are days.
    daily: bool,
}

impl Columns {
    fn new(header: &str) -> Result<Columns, Failure> {
        let names: HashMap<String, usize> = split(header.trim_start_matches('\u{feff}'))
            .into_iter()
            .enumerate()
            .map(|(index, name)| (name.trim().to_ascii_lowercase(), index))
            .collect();
        let find = |wanted: &[&str]| wanted.iter().find_map(|name| names.get(*name).copied());
        let time = find(&["datetime", "ts", "time", "timestamp", "day", "date"]).ok_or_else(|| {
            Failure::refused("no column of times in the first line").hint(
                "expected a CSV with a header: datetime,host,src,proto,type,spt,dpt for packets, or day,proto,dpt,packets for counts",
            )
        })?;
        Ok(Columns {
            time,
            proto: find(&["proto", "protocol"]),
            port: find(&["dpt", "dport", "port"]),
            sensor: find(&["sensor"]),
            count: find(&["packets", "count", "n"]),
            daily: names.contains_key("day") || names.contains_key("date"),
        })
    }

    fn row(&self, line: &str) -> Option<(Nanos, String, f64)> {
        let fields = split(line);
        let field = |index: Option<usize>| index.and_then(|index| fields.get(index)).map(|text| text.trim());
        let at: Nanos = field(Some(self.time))?.parse().ok()?;
        let count = match self.count {
            Some(index) => {
                field(Some(index))?.parse::<f64>().ok().filter(|count| count.is_finite() && *count >= 0.0)?
            }
            None => 1.0,
        };
        Some((at, key(field(self.proto), field(self.port), field(self.sensor))?, count))
    }
}

/// `tcp/445`, `icmp`; a port alone, a sensor alone, or `all`.
fn key(proto: Option<&str>, port: Option<&str>, sensor: Option<&str>) -> Option<String> {
    let port = port.filter(|port| !port.is_empty());
    if let Some(port) = port {
        port.parse::<u16>().ok()?;
    }
    let proto = match proto.map(str::to_ascii_lowercase) {
        Some(number) if number == "6" => Some("tcp".to_owned()),
        Some(number) if number == "17" => Some("udp".to_owned()),
        Some(number) if number == "1" => Some("icmp".to_owned()),
        other => other.filter(|name| !name.is_empty()),
    };
    // Names come from strangers and end in a terminal and a page: letters and digits only.
    let clean =
        |text: &str| text.chars().filter(|c| c.is_ascii_alphanumeric() || "-_.".contains(*c)).take(64).collect();
    let proto: Option<String> = proto.as_deref().map(clean);
    Some(match (proto, port, sensor) {
        (Some(proto), Some(port), _) => format!("{proto}/{port}"),
        (Some(proto), None, _) => proto,
        (None, Some(port), _) => port.to_owned(),
        (None, None, Some(sensor)) => clean(sensor),
        (None, None, None) => "all".to_owned(),
    })
}

/// The timeline of a report, slot by slot.
fn timeline(text: &str) -> Result<Data, Failure> {
    let report: report::Report = serde_json::from_str(text).map_err(|error| {
        Failure::refused(format!("not a {} report: {error}", report::SCHEMA))
            .hint("make one with: noroshi analyze --format json")
    })?;
    let timeline = &report.timeline;
    let (Some(start), Ok(width @ 1..)) = (timeline.start, u32::try_from(timeline.slot_seconds)) else {
        return Err(Failure::refused("the report has no timeline"));
    };
    let mut table = Table::new(width);
    table.whole_slots();
    for (name, counts) in &timeline.series {
        for (slot, count) in counts.iter().enumerate() {
            let offset = (slot as i64).saturating_mul(i64::from(width));
            table.add(Nanos::from_seconds(start.seconds().saturating_add(offset)), name, *count as f64);
        }
    }
    let series = table.finish();
    if series.is_empty() {
        return Err(Failure::refused("the timeline of the report is empty"));
    }
    Ok(Data { series, rows: report.capture.packets, rejected: table.refused })
}
