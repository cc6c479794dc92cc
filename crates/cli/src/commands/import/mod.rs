//! `noroshi import`: other people's records in, rows and a summary out.

#[cfg(feature = "hub")]
mod foreign;
#[cfg(feature = "hub")]
mod lake;
mod output;
mod report;

use crate::failure::{Failure, REFUSED};
use crate::terminal::escape;
use noroshi_import::{Budget, Format, ImportError, Item, Reader, Sessions, Summary};
use output::{Output, Table};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Rejected lines shown on standard error per file; `--rejects` keeps all.
const SHOWN_REJECTS: u64 = 100;

const EXAMPLES: &str = "\
Examples:
  noroshi import cowrie.json
  noroshi import logs/ --format json
  noroshi import cowrie.json --table sessions --output sessions.parquet
  zcat conn.log.gz | noroshi import - --from zeek-tsv --output - | head
  noroshi import bundle.stix.json event.misp.json --format json
  noroshi import day.parquet --into packets

Every line is accounted for: lines = rows + headers, comments and blanks + continued + rejected.
A line that is broken is reported with its number, the rest is kept.";

/// Other people's records in, rows and a summary out: Cowrie, Dionaea, Glutton, OpenCanary, DDoSPot, Suricata EVE,
/// Zeek, Shadowserver, DShield, Spoki, Argus, hpfeeds. STIX bundles and MISP events are read and counted.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Logs (also gzip or zstd), directories of them, or - for standard input.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// What the files are, instead of finding out from their content.
    #[arg(long, value_name = "FORMAT")]
    from: Option<Format>,
    /// How the summary is printed.
    #[arg(long, value_enum, default_value = "text")]
    format: report::Style,
    /// Where rows go: a file that ends in .ndjson or .parquet, or - for NDJSON on standard output (no summary then).
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Which rows go there: each record, dialogues put together, or packets (of logs that have packets).
    #[arg(long, value_enum, default_value = "records", requires = "output")]
    table: Table,
    /// Load Parquet files into this table of the lake; a file that was loaded before brings nothing twice.
    #[cfg(feature = "hub")]
    #[arg(long, value_name = "TABLE", conflicts_with_all = ["from", "output", "rejects"])]
    into: Option<String>,
    #[cfg(feature = "hub")]
    #[command(flatten)]
    place: crate::lake::Place,
    /// Where all rejected lines go, as NDJSON.
    #[arg(long, value_name = "FILE")]
    rejects: Option<PathBuf>,
}

/// One input, and whether it was named (rather than found in a directory).
struct Input {
    path: PathBuf,
    named: bool,
}

/// Runs the command.
pub fn run(args: Args) -> Result<ExitCode, Failure> {
    let inputs = inputs(&args.paths)?;
    #[cfg(feature = "hub")]
    if let Some(table) = &args.into {
        return lake::run(&inputs, table, &args.place);
    }
    let mut output = args.output.as_deref().map(|path| Output::create(path, args.table)).transpose()?;
    let mut rejects = args.rejects.as_deref().map(output::create).transpose()?;
    let mut report = report::Report::default();
    let mut refused = false;
    #[cfg(feature = "hub")]
    let mut documents = foreign::Documents::default();
    for input in &inputs {
        #[cfg(feature = "hub")]
        if args.from.is_none() && input.path.as_os_str() != "-" && foreign::looks_like_one(&input.path) {
            documents.read(&input.path);
            continue;
        }
        match import(input, args.from, output.as_mut(), rejects.as_mut(), &mut report) {
            Ok(()) => {}
            Err(Refused::Content(error)) => {
                refused |= input.named;
                report.refuse(&input.path, &error);
                // Folders hold notes and checksums too: those are listed in the summary, not complained about.
                if input.named || !matches!(error, ImportError::Unknown { .. } | ImportError::Empty { .. }) {
                    eprintln!("noroshi: {}", escape(&error.to_string()));
                }
            }
            Err(Refused::Failure(failure)) => return Err(failure),
        }
    }
    if let Some(output) = output {
        output.finish()?;
    }
    if let Some(mut rejects) = rejects {
        rejects.flush()?;
    }
    #[cfg(feature = "hub")]
    if documents.any() {
        documents.print(args.format)?;
        refused |= documents.refused();
    }
    if args.output.as_deref() != Some(Path::new("-")) && report.any() {
        report.print(args.format)?;
    }
    if report.any_refused() {
        eprintln!("noroshi: name the format with --from if you know better than the content tells");
    }
    Ok(ExitCode::from(if refused { REFUSED } else { 0 }))
}

/// Files in the order given, those of a directory by name.
fn inputs(paths: &[PathBuf]) -> Result<Vec<Input>, Failure> {
    let mut out = Vec::new();
    for path in paths {
        if path.as_os_str() != "-" && !path.exists() {
            return Err(Failure::refused("there is no such file or directory")
                .at(path.display())
                .hint("check the spelling; a relative path starts at the current directory"));
        }
        if path.is_dir() { walk(path, &mut out)? } else { out.push(Input { path: path.clone(), named: true }) }
    }
    Ok(out)
}

fn walk(folder: &Path, out: &mut Vec<Input>) -> Result<(), Failure> {
    let entries = std::fs::read_dir(folder).map_err(|error| Failure::refused(error).at(folder.display()))?;
    let mut paths = entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>()?;
    paths.sort();
    for path in paths {
        // Links are not followed: a loop of directories would never end.
        let kind = path.symlink_metadata()?.file_type();
        if kind.is_dir() {
            walk(&path, out)?;
        } else if kind.is_file() {
            out.push(Input { path, named: false });
        }
    }
    Ok(())
}

enum Refused {
    /// The file is not for us; the others are.
    Content(ImportError),
    /// Going on makes no sense.
    Failure(Failure),
}

impl<E: Into<Failure>> From<E> for Refused {
    fn from(error: E) -> Self {
        Refused::Failure(error.into())
    }
}

fn reader(input: &Input, format: Option<Format>) -> Result<Reader, ImportError> {
    if input.path.as_os_str() == "-" {
        return noroshi_import::open_bytes(std::io::stdin(), "standard input", format, Budget::default());
    }
    noroshi_import::open(&input.path, format, Budget::default())
}

fn import(
    input: &Input,
    format: Option<Format>,
    mut output: Option<&mut Output>,
    mut rejects: Option<&mut output::File>,
    report: &mut report::Report,
) -> Result<(), Refused> {
    let mut reader = reader(input, format).map_err(Refused::Content)?;
    let (mut summary, mut sessions) = (Summary::default(), Sessions::default());
    loop {
        match reader.next_item().map_err(Refused::Content)? {
            None => break,
            Some(Item::Row(row)) => {
                summary.add(&row);
                report.total.add(&row);
                if let Some(session) = sessions.push(&row) {
                    report.dialogues += 1;
                    output.as_deref_mut().map_or(Ok(()), |output| output.session(session))?;
                }
                output.as_deref_mut().map_or(Ok(()), |output| output.record(row))?;
            }
            Some(Item::Reject(reject)) => {
                let shown = reader.counts().rejects;
                if shown <= SHOWN_REJECTS {
                    eprintln!("{}:{}: {}", escape(&input.path.to_string_lossy()), reject.line, escape(&reject.reason));
                } else if shown == SHOWN_REJECTS + 1 {
                    eprintln!(
                        "{}: more lines are rejected; --rejects FILE keeps all",
                        escape(&input.path.to_string_lossy())
                    );
                }
                if let Some(file) = rejects.as_deref_mut() {
                    let path = input.path.to_string_lossy();
                    let line = serde_json::json!({"path": path, "line": reject.line, "reason": reject.reason});
                    writeln!(file, "{line}")?;
                }
                summary.reject(reject);
            }
        }
    }
    for session in sessions.finish() {
        report.dialogues += 1;
        output.as_deref_mut().map_or(Ok(()), |output| output.session(session))?;
    }
    summary.counts = reader.counts();
    report.add(&input.path, reader.format(), summary);
    Ok(())
}
