//! `noroshi geo`: the tables that tell country, network and known scanners, each with its date.

use crate::failure::{Failure, REFUSED};
use crate::output::TextOrJson;
use crate::terminal::{Paint, escape};
use noroshi_enrich::{
    DatedBy, EnrichError, HOW_TO_GET_COUNTRIES, ImportOptions, ImportSummary, Kinds, Knowledge, Known, LoadError,
    Outcome, TableInfo,
};
use noroshi_model::{Addr, Nanos};
use serde_json::{Value, json};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

const EXAMPLES: &str = "\
Examples:
  noroshi geo import GeoLite2-Country.mmdb rib.20260101.0000.gz
  noroshi geo import misp-warninglists/lists/
  noroshi geo show
  noroshi geo lookup 203.0.113.7 --at 2026-01-31";

const IMPORT_EXAMPLES: &str = "\
What a file is, is found out from its content: MMDB of any publisher, MRT RIB dump, prefix-to-AS or country CSV, RIR
delegated file, MISP warninglist, ipset, Maltrail list, list of addresses and prefixes; also gzip or zstd.

Examples:
  noroshi geo import GeoLite2-Country.mmdb
  noroshi geo import rib.20260101.0000.gz routeviews-20260101.pfx2as.gz
  noroshi geo import acknowledged_scanners/ --as-of 2026-01-31
  noroshi geo import partners.txt --kind known-benign --name partners";

const LOOKUP_EXAMPLES: &str = "\
Examples:
  noroshi geo lookup 203.0.113.7
  noroshi geo lookup 2001:db8::1 --at 2025-06-30 --format json";

/// Tables of countries, networks and known scanners: import, show, look up.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES, arg_required_else_help = true)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    /// Take files into the tables; versions of the same table are kept side by side with their dates.
    #[command(after_help = IMPORT_EXAMPLES)]
    Import(Import),
    /// The tables at hand.
    #[command(after_help = "Example:\n  noroshi geo show --format json")]
    Show(Show),
    /// What was known of an address.
    #[command(after_help = LOOKUP_EXAMPLES)]
    Lookup(Lookup),
    /// Forget all versions of a table.
    #[command(after_help = "Example:\n  noroshi geo remove geolite2-country")]
    Remove(Remove),
}

#[derive(clap::Args)]
struct Place {
    /// Where the tables are kept; by default $NOROSHI_DATA/knowledge or ~/.local/share/noroshi/knowledge.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

#[derive(clap::Args)]
struct Import {
    /// Files, or directories of them.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// From when on this was known, instead of the date in the file.
    #[arg(long, value_name = "TIME")]
    as_of: Option<Nanos>,
    /// The name that all versions share, instead of one made from the title or the file's name.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// What being in the list means, instead of what its name tells; may be given several times.
    #[arg(long, value_name = "KIND", value_parser = parse_kind)]
    kind: Vec<Kinds>,
    #[command(flatten)]
    place: Place,
}

#[derive(clap::Args)]
struct Show {
    /// How it is printed.
    #[arg(long, value_enum, default_value = "text")]
    format: TextOrJson,
    #[command(flatten)]
    place: Place,
}

#[derive(clap::Args)]
struct Lookup {
    /// Addresses, IPv4 or IPv6.
    #[arg(required = true, value_name = "ADDR")]
    addrs: Vec<Addr>,
    /// What was known then, instead of now.
    #[arg(long, value_name = "TIME")]
    at: Option<Nanos>,
    /// How it is printed.
    #[arg(long, value_enum, default_value = "text")]
    format: TextOrJson,
    #[command(flatten)]
    place: Place,
}

#[derive(clap::Args)]
struct Remove {
    /// The name that `noroshi geo show` shows.
    name: String,
    #[command(flatten)]
    place: Place,
}

fn parse_kind(text: &str) -> Result<Kinds, String> {
    let names = || Kinds::all_names().map(|name| name.replace(' ', "-")).collect::<Vec<_>>().join(", ");
    Kinds::from_name(text).ok_or_else(|| format!("the kinds are {}", names()))
}

/// Runs the command.
pub fn run(args: Args) -> Result<ExitCode, Failure> {
    match args.what {
        What::Import(args) => import(&args),
        What::Show(args) => show(&args),
        What::Lookup(args) => lookup(&args),
        What::Remove(args) => remove(&args),
    }
}

impl Place {
    fn dir(&self) -> Result<PathBuf, Failure> {
        self.dir.clone().or_else(noroshi_enrich::default_dir).ok_or_else(|| {
            Failure::usage("no place for the tables: neither NOROSHI_DATA nor HOME is set").hint("name one with --dir")
        })
    }

    fn open(&self) -> Result<Knowledge, Failure> {
        Ok(Knowledge::open(&self.dir()?)?)
    }
}

fn now() -> Nanos {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Nanos(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}

fn import(args: &Import) -> Result<ExitCode, Failure> {
    let dir = args.place.dir()?;
    let files = files(&args.files)?;
    if args.name.is_some() && files.len() > 1 {
        return Err(Failure::usage("one name for several files: each would replace the one before")
            .hint("import them one by one, or leave --name out"));
    }
    let kinds = args.kind.iter().copied().reduce(Kinds::with);
    let options = ImportOptions { as_of: args.as_of, name: args.name.clone(), kinds, ..ImportOptions::default() };
    let (mut out, paint, mut refused, mut passed_over) = (io::stdout().lock(), Paint::stdout(), false, 0u64);
    for (path, named) in &files {
        match noroshi_enrich::import(&dir, path, &options, now()) {
            Ok(summary) => print_import(&mut out, paint, path, &summary)?,
            // Folders hold notes and checksums too.
            Err(EnrichError::Load { cause: LoadError::Unrecognised { .. }, .. }) if !named => passed_over += 1,
            Err(error @ EnrichError::Load { .. }) => {
                refused = true;
                eprintln!("{} {}", Paint::stderr().error("noroshi:"), escape(&error.to_string()));
            }
            Err(error) => return Err(error.into()),
        }
    }
    if passed_over > 0 {
        writeln!(out, "{} in the directories passed over", counted(passed_over, "other file", "other files"))?;
    }
    if !Knowledge::open(&dir)?.has_country() {
        eprintln!("noroshi: {HOW_TO_GET_COUNTRIES}");
    }
    Ok(ExitCode::from(if refused { REFUSED } else { 0 }))
}

fn print_import(out: &mut impl Write, paint: Paint, path: &Path, summary: &ImportSummary) -> io::Result<()> {
    let table = &summary.table;
    let outcome = match summary.outcome {
        Outcome::Added => paint.good("added"),
        Outcome::Replaced => paint.good("replaced"),
        Outcome::Unchanged => paint.faint("unchanged"),
        Outcome::NothingToKeep => paint.warn("not kept"),
    };
    let name = escape(&table.name).into_owned();
    writeln!(
        out,
        "{outcome} {}: {}, {}{}",
        paint.heading(name),
        table.format.name(),
        counted(table.entries, "entry", "entries"),
        skipped(table)
    )?;
    match summary.outcome {
        Outcome::NothingToKeep => writeln!(out, "  holds names and no addresses: {}", escape(&path.to_string_lossy()))?,
        _ => writeln!(out, "  {}, known from {}", holds(table), dated(table))?,
    }
    for problem in &summary.problems {
        writeln!(out, "  left out: {}", escape(problem))?;
    }
    Ok(())
}

fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

fn skipped(table: &TableInfo) -> String {
    if table.skipped == 0 { String::new() } else { format!(", {} left out", table.skipped) }
}

/// What a table is for, in words.
fn holds(table: &TableInfo) -> String {
    match (table.kinds, table.country, table.network) {
        (Some(kinds), ..) if kinds.is_none() => "list of unknown meaning (say it with --kind)".to_owned(),
        (Some(kinds), ..) => format!("list: {kinds}"),
        (None, true, true) => "countries and networks".to_owned(),
        (None, true, false) => "countries".to_owned(),
        (None, false, _) => "networks".to_owned(),
    }
}

fn dated(table: &TableInfo) -> String {
    let by = match table.dated_by {
        DatedBy::Operator => "as given",
        DatedBy::Publisher => "its own date",
        DatedBy::FileTime => "the file's date",
    };
    format!("{} ({by})", date(table.as_of))
}

fn date(time: Nanos) -> String {
    time.rfc3339().split('T').next().unwrap_or_default().to_owned()
}

/// The files named, and those of directories by name; true for the former.
fn files(paths: &[PathBuf]) -> Result<Vec<(PathBuf, bool)>, Failure> {
    let mut found = Vec::new();
    for path in paths {
        if !path.exists() {
            return Err(Failure::refused("there is no such file or directory")
                .at(path.display())
                .hint("check the spelling; a relative path starts at the current directory"));
        }
        if path.is_dir() { walk(path, &mut found)? } else { found.push((path.clone(), true)) }
    }
    if found.is_empty() {
        return Err(Failure::refused("there are no files").at(paths[0].display()).hint("name a directory with files"));
    }
    Ok(found)
}

fn walk(folder: &Path, found: &mut Vec<(PathBuf, bool)>) -> Result<(), Failure> {
    let entries = std::fs::read_dir(folder).map_err(|error| Failure::refused(error).at(folder.display()))?;
    let mut paths = entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>()?;
    paths.sort();
    for path in paths {
        // Links are not followed: a loop of directories would never end.
        let kind = path.symlink_metadata()?.file_type();
        if kind.is_dir() {
            walk(&path, found)?;
        } else if kind.is_file() {
            found.push((path, false));
        }
    }
    Ok(())
}

fn show(args: &Show) -> Result<ExitCode, Failure> {
    let knowledge = args.place.open()?;
    let mut out = io::stdout().lock();
    if args.format == TextOrJson::Json {
        let tables: Vec<_> = knowledge.tables().collect();
        let value = json!({
            "schema": "noroshi.geo-tables/1",
            "directory": args.place.dir()?.to_string_lossy(),
            "bytes_in_memory": knowledge.bytes(),
            "left_out": knowledge.left_out(),
            "tables": tables,
        });
        serde_json::to_writer_pretty(&mut out, &value)?;
        writeln!(out)?;
        return Ok(ExitCode::SUCCESS);
    }
    let paint = Paint::stdout();
    let width = knowledge.tables().map(|table| table.name.chars().count()).max().unwrap_or(0);
    let head = format!("{:width$}  {:10}  {:>10}  {:18}  holds", "name", "known from", "entries", "format");
    writeln!(out, "{}", paint.heading(head))?;
    for table in knowledge.tables() {
        let from = if table.file.is_empty() { "always".to_owned() } else { date(table.as_of) };
        let (name, format) = (escape(&table.name), table.format.name());
        writeln!(out, "{name:width$}  {from:10}  {:>10}  {format:18}  {}", table.entries, holds(table))?;
    }
    writeln!(out, "\nkept in {}", escape(&args.place.dir()?.to_string_lossy()))?;
    if !knowledge.left_out().is_empty() {
        writeln!(out, "{} older versions did not fit into memory and are left out", knowledge.left_out().len())?;
    }
    if !knowledge.has_country() {
        writeln!(out, "{HOW_TO_GET_COUNTRIES}")?;
    }
    Ok(ExitCode::SUCCESS)
}

fn lookup(args: &Lookup) -> Result<ExitCode, Failure> {
    let knowledge = args.place.open()?;
    let at = args.at.unwrap_or_else(now);
    let mut out = io::stdout().lock();
    if args.format == TextOrJson::Json {
        let answers: Vec<Value> = args.addrs.iter().map(|addr| answer(*addr, &knowledge.lookup(*addr, at))).collect();
        let value = json!({ "schema": "noroshi.geo-lookup/1", "at": at.rfc3339(), "answers": answers });
        serde_json::to_writer_pretty(&mut out, &value)?;
        writeln!(out)?;
        return Ok(ExitCode::SUCCESS);
    }
    for addr in &args.addrs {
        print_answer(&mut out, Paint::stdout(), *addr, &knowledge.lookup(*addr, at))?;
    }
    if !knowledge.has_country() {
        eprintln!("noroshi: {HOW_TO_GET_COUNTRIES}");
    }
    Ok(ExitCode::SUCCESS)
}

/// One address in the JSON contract `noroshi.geo-lookup/1`.
fn answer(addr: Addr, known: &Known<'_>) -> Value {
    let source = |table: &TableInfo| json!({ "name": table.name, "as_of": table.as_of.rfc3339() });
    let lists = known.lists.iter().map(|entry| {
        json!({
            "name": entry.list.name, "as_of": entry.list.as_of.rfc3339(), "organisation": entry.organisation,
            "prefix": entry.prefix, "later": entry.later,
        })
    });
    json!({
        "address": addr,
        "country": known.country.map(|country| country.to_string()),
        "country_source": known.country_source.map(source),
        "asn": known.asn,
        "as_name": known.as_name,
        "prefix": known.prefix,
        "network_source": known.network_source.map(source),
        "organisation": known.organisation,
        "kinds": known.kinds,
        "lists": lists.collect::<Vec<_>>(),
        "later": known.later,
    })
}

fn print_answer(out: &mut impl Write, paint: Paint, addr: Addr, known: &Known<'_>) -> io::Result<()> {
    writeln!(out, "{}", paint.heading(addr))?;
    let from = |table: Option<&TableInfo>| {
        table.map(|table| format!("({}, {})", escape(&table.name), date(table.as_of))).unwrap_or_default()
    };
    let unknown = || paint.faint("unknown");
    let country = known.country.map_or_else(unknown, |country| country.to_string());
    writeln!(out, "  country       {country}  {}", paint.faint(from(known.country_source)))?;
    let network = known.asn.map_or_else(unknown, |asn| {
        let name = known.as_name.map(|name| format!(" {}", escape(name))).unwrap_or_default();
        let prefix = known.prefix.map(|prefix| format!(", {prefix}")).unwrap_or_default();
        format!("AS{asn}{name}{prefix}")
    });
    writeln!(out, "  network       {network}  {}", paint.faint(from(known.network_source)))?;
    if let Some(organisation) = known.organisation {
        writeln!(out, "  organisation  {}", escape(organisation))?;
    }
    if !known.kinds.is_none() {
        writeln!(out, "  known as      {}", known.kinds)?;
    }
    for entry in known.lists.iter() {
        let prefix = entry.prefix.map(|prefix| format!("{prefix}  ")).unwrap_or_default();
        let since = if entry.list.file.is_empty() { "built in".to_owned() } else { date(entry.list.as_of) };
        writeln!(out, "  in list       {}  {prefix}{}", escape(&entry.list.name), paint.faint(since))?;
    }
    if known.later {
        writeln!(out, "  {}", paint.warn("part of this was learnt later than the time asked for"))?;
    }
    Ok(())
}

fn remove(args: &Remove) -> Result<ExitCode, Failure> {
    match noroshi_enrich::remove(&args.place.dir()?, &args.name)? {
        0 => {
            Err(Failure::refused("there is no table of that name").at(&args.name).hint("`noroshi geo show` lists them"))
        }
        versions => {
            let versions = counted(versions as u64, "version", "versions");
            writeln!(io::stdout(), "removed {} ({versions})", escape(&args.name))?;
            Ok(ExitCode::SUCCESS)
        }
    }
}
