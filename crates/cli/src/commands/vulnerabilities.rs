//! `noroshi vulnerabilities`: which known vulnerability is exploited, and did the knocking begin before it was known?

use super::Origin;
use crate::commands::table::split;
use crate::failure::Failure;
use crate::inputs;
use crate::output::TextOrJson;
use crate::terminal::{Paint, escape};
use noroshi_detect::series::{DAY_SECONDS, Table};
use noroshi_detect::sightings::service;
use noroshi_detect::vulnerability::{Exploit, Followed, Known, Requests, followed};
use noroshi_import::lines::{Budget, Line};
use noroshi_model::{Addr, Nanos};
use noroshi_packet::decode::decode;
use serde_json::{Value, json};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const EXAMPLES: &str = "\
Examples:
  noroshi vulnerabilities --kev known_exploited_vulnerabilities.csv day.pcap.zst
  noroshi vulnerabilities --kev known_exploited_vulnerabilities.csv zeek/http.log cowrie.json
  noroshi vulnerabilities --kev known_exploited_vulnerabilities.csv --counts counts.csv";

/// Name and version of the JSON contract.
const SCHEMA: &str = "noroshi.vulnerabilities/1";

/// Which known vulnerabilities are exploited, since when, and whether surges announce listings.
///
/// Requests (payloads of captures, lines of logs) that hold the distinctive words of an exploit name its CVE; the catalogue
/// of known exploited vulnerabilities (CISA's CSV) says when it was listed, so that it shows whether the exploitation
/// began before. Surges on the ports of listed products are scored against the same surges at every other time.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Captures, or logs with one request per line (Zeek, Cowrie, web servers), also gzip.
    #[arg(value_name = "PATH", required_unless_present = "counts")]
    paths: Vec<PathBuf>,
    /// The catalogue: CSV with cveID, vendorProject, product, vulnerabilityName, dateAdded.
    #[arg(long, value_name = "FILE")]
    kev: PathBuf,
    /// Packets or daily counts as CSV, for surges (see noroshi forecast).
    #[arg(long, value_name = "FILE")]
    counts: Option<PathBuf>,
    /// Where the data come from; shown with the results.
    #[arg(long, value_enum, default_value_t = Origin::Real)]
    data: Origin,
    /// How to print.
    #[arg(long, value_enum, default_value_t = TextOrJson::Text)]
    format: TextOrJson,
}

/// Runs the command.
pub fn run(args: Args) -> Result<ExitCode, Failure> {
    let catalogue = catalogue(&args.kev)?;
    let (mut requests, mut table) = (Requests::default(), Table::new(DAY_SECONDS));
    for path in &args.paths {
        read(path, &mut requests, &mut table)?;
    }
    let series = match &args.counts {
        Some(path) => super::forecast::read::read(path, DAY_SECONDS)?.series,
        None => table.finish(),
    };
    let seen = requests.seen;
    let exploits = requests.finish(&catalogue);
    let scores = followed(&series, &catalogue);
    let mut out = std::io::stdout().lock();
    match args.format {
        TextOrJson::Json => {
            let value = json!({"schema": SCHEMA, "data": args.data.name(), "catalogue": catalogue.len(),
                "requests": seen, "exploited": exploits, "surges": scores});
            writeln!(out, "{}", serde_json::to_string_pretty(&value)?)?;
        }
        TextOrJson::Text => text(&mut out, &exploits, &scores, seen, catalogue.len(), args.data)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn text(
    out: &mut impl Write,
    exploits: &[Exploit],
    scores: &[Followed],
    seen: u64,
    listed: usize,
    origin: Origin,
) -> Result<(), Failure> {
    let paint = Paint::stdout();
    let day = |at: Nanos| at.rfc3339().chars().take(10).collect::<String>();
    writeln!(out, "{}", paint.heading(format!("exploited, in {seen} requests")))?;
    for exploit in exploits {
        let product = if exploit.product.is_empty() { "not in the catalogue" } else { &exploit.product };
        writeln!(
            out,
            "  {:<15} {:>7} requests, {} sources  {}",
            exploit.cve,
            exploit.requests,
            exploit.sources,
            escape(product)
        )?;
        let span = exploit.first.zip(exploit.last).map(|(first, last)| format!("seen {} to {}", day(first), day(last)));
        let when = match (exploit.listed, exploit.days_after_listing) {
            (Some(listed), Some(days)) if days < 0.0 => {
                format!("{:.0} days BEFORE it was listed ({})", -days, day(listed))
            }
            (Some(listed), Some(days)) => format!("{days:.0} days after it was listed ({})", day(listed)),
            (Some(listed), None) => format!("listed {}", day(listed)),
            _ => String::new(),
        };
        let facts: Vec<String> = span.into_iter().chain((!when.is_empty()).then_some(when)).collect();
        writeln!(out, "      {}", facts.join(", "))?;
        writeln!(out, "      {}", paint.faint(escape(&exploit.example)))?;
    }
    if exploits.is_empty() {
        writeln!(out, "  none of the known words")?;
    }
    writeln!(out, "\n{}", paint.heading("do surges announce listings?"))?;
    for score in scores {
        writeln!(
            out,
            "  {} of {} surges on ports of listed products were followed by a listing within {} days: {:.0} %; at any other time {:.0} % (p {:.3})",
            score.followed,
            score.surges,
            score.days,
            score.share * 100.0,
            score.by_chance * 100.0,
            score.probability
        )?;
    }
    if scores.is_empty() {
        writeln!(out, "  not scored: no surge on a port of a product that was listed in the time of the data")?;
    }
    writeln!(out, "catalogue: {listed} vulnerabilities; data: {}", origin.name())?;
    Ok(())
}

/// Reads the catalogue; quoted fields may hold commas, not line breaks.
fn catalogue(path: &Path) -> Result<Vec<Known>, Failure> {
    let refused = |why: String| {
        Failure::refused(why).at(path.display()).hint(
            "expected CISA's known_exploited_vulnerabilities.csv (columns cveID, vendorProject, product, dateAdded)",
        )
    };
    let text = std::fs::read_to_string(path).map_err(|error| refused(error.to_string()))?;
    let mut lines = text.lines();
    let names = split(lines.next().unwrap_or_default().trim_start_matches('\u{feff}'));
    let column = |name: &str| names.iter().position(|one| one == name);
    let (Some(cve), Some(vendor), Some(product), Some(added)) =
        (column("cveID"), column("vendorProject"), column("product"), column("dateAdded"))
    else {
        return Err(refused("not the catalogue: its columns are missing".to_owned()));
    };
    let title = column("vulnerabilityName");
    let known: Vec<Known> = lines
        .filter_map(|line| {
            let fields = split(line);
            let field = |at: usize| fields.get(at).map(String::as_str);
            let words = [field(vendor)?, field(product)?, title.and_then(field).unwrap_or_default()];
            Some(Known { cve: field(cve)?.to_owned(), product: words.join(" "), listed: field(added)?.parse().ok()? })
        })
        .collect();
    if known.is_empty() { Err(refused("no line of it could be read".to_owned())) } else { Ok(known) }
}

/// A capture, or else a log; a directory stands for the captures below it.
fn read(path: &Path, requests: &mut Requests, table: &mut Table) -> Result<(), Failure> {
    let inputs = inputs::expand(&[path.to_owned()])?;
    for input in &inputs {
        let mut reader = match input.open() {
            Ok(reader) => reader,
            Err(_) if path.is_file() => return read_log(path, requests),
            Err(problem) => return Err(Failure::refused(problem.text).at(&input.path)),
        };
        while let Some(raw) = reader.next_batch() {
            let batch = decode(raw, 0);
            for row in &batch.rows {
                if let Some(service) = service(row, row.transport) {
                    table.add(row.ts, &service.to_string(), 1.0);
                }
                let payload = batch.payload(row);
                if !payload.is_empty() {
                    requests.observe(Some(row.ts), Some(row.src), &String::from_utf8_lossy(payload));
                }
            }
        }
    }
    Ok(())
}

fn read_log(path: &Path, requests: &mut Requests) -> Result<(), Failure> {
    let refused = |error: std::io::Error| Failure::refused(format!("cannot be read: {error}")).at(path.display());
    let mut lines = noroshi_import::text::open(path, Budget::default()).map_err(refused)?;
    while let Some(line) = lines.next_line().map_err(refused)? {
        let Line::Whole(line) = line else { continue };
        let line = String::from_utf8_lossy(&line);
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let (at, source) = facts(&line);
        requests.observe(at, source, &line);
    }
    Ok(())
}

/// When and from where, as far as a line tells: JSON (timestamp or ts, src_ip or id.orig_h), or Zeek's columns.
fn facts(line: &str) -> (Option<Nanos>, Option<Addr>) {
    if let Ok(value) = serde_json::from_str::<Value>(line) {
        let text = |name: &str| match &value[name] {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        };
        let at = text("timestamp").or_else(|| text("ts")).or_else(|| text("time")).and_then(|text| text.parse().ok());
        return (at, text("src_ip").or_else(|| text("id.orig_h")).and_then(|text| text.parse().ok()));
    }
    let fields: Vec<&str> = line.split('\t').collect();
    let at = fields.first().and_then(|field| field.trim().parse().ok());
    (at, fields.get(2).filter(|_| at.is_some()).and_then(|field| field.parse().ok()))
}
