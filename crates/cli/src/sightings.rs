//! From paths to sightings: captures, or tables that other sensors wrote as CSV.

use crate::commands::table::split;
use crate::failure::Failure;
use crate::inputs::{self, Input};
use crate::progress::Progress;
use crate::terminal::escape;
use noroshi_detect::sightings::{Service, Sightings, service};
use noroshi_import::lines::{Budget, Line};
use noroshi_model::{Addr, Nanos, Prefix};
use noroshi_packet::decode::decode;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// What is read, and how sensors are told apart.
#[derive(clap::Args)]
pub struct Source {
    /// Captures, directories of them, or CSV with a header (datetime, host or sensor, src, proto, dpt), also gzip.
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// What is a sensor in captures: each file, or each /24 (IPv6: /48) of the destinations. A CSV names its sensors.
    #[arg(long, value_enum, default_value_t = Sensors::Auto)]
    pub sensors: Sensors,
    /// Leave out sources inside these prefixes, one per line: research scanners for example.
    #[arg(long, value_name = "FILE")]
    pub exclude: Option<PathBuf>,
    /// Where the data come from; shown with the results.
    #[arg(long, value_enum, default_value_t = crate::commands::Origin::Real)]
    pub data: crate::commands::Origin,
}

/// What is a sensor in captures.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Sensors {
    /// Files when there are several, networks otherwise.
    Auto,
    /// Each file.
    File,
    /// Each network of the destinations.
    Network,
}

/// Rows kept at most, 48 bytes each.
const ROWS_MAX: usize = 20_000_000;

/// Reads everything; what cannot be read is said on standard error. Refused when nothing could be.
pub fn read(source: &Source) -> Result<Sightings, Failure> {
    let inputs = inputs::expand(&source.paths)?;
    let by_file = match source.sensors {
        Sensors::Auto => inputs.len() > 1,
        Sensors::File => true,
        Sensors::Network => false,
    };
    let progress = Progress::bytes(inputs::total_bytes(&inputs));
    let mut table = Sightings::new(ROWS_MAX);
    let mut last = None;
    for input in &inputs {
        if let Err(failure) = read_one(input, by_file, &mut table, &progress) {
            if inputs.len() > 1 {
                failure.report();
            }
            last = Some(failure);
        }
    }
    progress.finish();
    if let Some(path) = &source.exclude {
        let prefixes = prefixes(path)?;
        table.without(|address| prefixes.iter().any(|prefix| prefix.contains(address)));
    }
    table.finish();
    if table.left_out > 0 {
        eprintln!("noroshi: {} observations beyond {ROWS_MAX} rows are left out", table.left_out);
    }
    if table.rows().is_empty() {
        return Err(last.unwrap_or_else(|| {
            Failure::refused("no source asks for anything in it").hint("give a capture or a table with requests in it")
        }));
    }
    Ok(table)
}

fn read_one(input: &Input, by_file: bool, table: &mut Sightings, progress: &Progress) -> Result<(), Failure> {
    let mut reader = match input.open() {
        Ok(reader) => reader,
        Err(problem) => {
            let path = Path::new(&input.path);
            if path.is_file() && looks_like_table(path) {
                return read_table(path, table);
            }
            return Err(Failure::refused(problem.text).at(&input.path));
        }
    };
    let stem = Path::new(&input.path).file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let file = if by_file { table.sensor(&clean(&stem)) } else { None };
    let mut networks: HashMap<Prefix, Option<u16>> = HashMap::new();
    let mut taken = 0;
    while let Some(raw) = reader.next_batch() {
        let batch = decode(raw, 0);
        for packet in &batch.rows {
            let Some(service) = service(packet, packet.transport) else { continue };
            let sensor = if by_file {
                file
            } else {
                *networks.entry(packet.dst.network()).or_insert_with_key(|network| table.sensor(&network.to_string()))
            };
            table.add(packet.ts, packet.src, service, sensor);
        }
        let now = reader.bytes_taken();
        progress.advance(now - std::mem::replace(&mut taken, now), batch.rows.len() as u64);
    }
    for problem in reader.problems() {
        eprintln!("noroshi: {}: {}", escape(&input.path), escape(&problem.text));
    }
    Ok(())
}

/// Names come from strangers and end in terminals and pages.
fn clean(text: &str) -> String {
    text.chars().filter(|c| c.is_ascii_alphanumeric() || "-_.:/".contains(*c)).take(64).collect()
}

fn looks_like_table(path: &Path) -> bool {
    first_line(path).is_some_and(|line| Columns::new(&line).is_some())
}

fn first_line(path: &Path) -> Option<String> {
    let mut lines = noroshi_import::text::open(path, Budget::default()).ok()?;
    match lines.next_line() {
        Ok(Some(Line::Whole(line))) => Some(String::from_utf8_lossy(&line).into_owned()),
        _ => None,
    }
}

/// Where the fields stand.
struct Columns {
    time: usize,
    sensor: Option<usize>,
    source: usize,
    proto: Option<usize>,
    port: Option<usize>,
}

impl Columns {
    fn new(header: &str) -> Option<Columns> {
        let names: HashMap<String, usize> = split(header.trim_start_matches('\u{feff}'))
            .into_iter()
            .enumerate()
            .map(|(index, name)| (name.trim().to_ascii_lowercase(), index))
            .collect();
        let find = |wanted: &[&str]| wanted.iter().find_map(|name| names.get(*name).copied());
        Some(Columns {
            time: find(&["datetime", "ts", "time", "timestamp"])?,
            sensor: find(&["sensor", "host"]),
            source: find(&["src", "source", "srcip", "src_ip"])?,
            proto: find(&["proto", "protocol"]),
            port: find(&["dpt", "dport", "dst_port", "port"]),
        })
    }

    fn row(&self, line: &str) -> Option<(Nanos, Addr, Service, String)> {
        let fields = split(line);
        let field = |index: usize| fields.get(index).map(|text| text.trim());
        let source = field(self.source)?;
        let source = match source.parse::<u32>() {
            Ok(number) => Addr::v4(number),
            Err(_) => source.parse().ok()?,
        };
        let proto = self.proto.and_then(field).filter(|text| !text.is_empty()).unwrap_or("tcp");
        let port = self.port.and_then(field).filter(|text| !text.is_empty());
        let service = port.map_or_else(|| proto.to_owned(), |port| format!("{proto}/{port}")).parse().ok()?;
        let sensor = clean(self.sensor.and_then(field).filter(|text| !text.is_empty()).unwrap_or("sensor"));
        Some((field(self.time)?.parse().ok()?, source, service, sensor))
    }
}

fn read_table(path: &Path, table: &mut Sightings) -> Result<(), Failure> {
    let refused = |error: std::io::Error| Failure::refused(format!("cannot be read: {error}")).at(path.display());
    let mut lines = noroshi_import::text::open(path, Budget::default()).map_err(refused)?;
    let header = match lines.next_line().map_err(refused)? {
        Some(Line::Whole(line)) => String::from_utf8_lossy(&line).into_owned(),
        _ => return Err(Failure::refused("the file is empty").at(path.display())),
    };
    let Some(columns) = Columns::new(&header) else {
        return Err(Failure::refused("no columns of times and sources in the first line").at(path.display()));
    };
    let (mut rows, mut rejected) = (0_u64, 0_u64);
    while let Some(line) = lines.next_line().map_err(refused)? {
        rows += 1;
        let row = match &line {
            Line::Whole(line) => columns.row(&String::from_utf8_lossy(line)),
            _ => None,
        };
        match row {
            Some((at, source, service, sensor)) => {
                let sensor = table.sensor(&sensor);
                table.add(at, source, service, sensor);
            }
            None => rejected += 1,
        }
    }
    if rejected > 0 {
        eprintln!("noroshi: {rejected} of {rows} rows could not be read and are left out");
    }
    Ok(())
}

/// Prefixes or addresses, one per line; `#` begins a comment.
pub fn prefixes(path: &Path) -> Result<Vec<Prefix>, Failure> {
    let refused = |why: String| Failure::refused(why).at(path.display()).hint("one prefix or address per line");
    let text = std::fs::read_to_string(path).map_err(|error| refused(error.to_string()))?;
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    lines
        .filter(|line| !line.is_empty())
        .map(|line| {
            let address =
                |_| line.parse::<Addr>().map(|address| Prefix::new(address, if address.is_v4() { 32 } else { 128 }));
            line.parse::<Prefix>().or_else(address).map_err(|_| refused(format!("not a prefix: {line}")))
        })
        .collect()
}
