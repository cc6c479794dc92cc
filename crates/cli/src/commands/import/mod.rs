//! `noroshi import`: other people's records in, rows and a summary out.

mod feed;
#[cfg(feature = "hub")]
mod foreign;
#[cfg(feature = "hub")]
mod lake;
mod output;
mod report;

use crate::failure::{Failure, REFUSED};
use crate::output::TextOrJson;
use crate::terminal::escape;
use noroshi_import::{Budget, Counts, Follow, Format, ImportError, Item, Reader, Record, Reject, Sessions, Summary};
use noroshi_model::session::Session;
use output::{Output, Table};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

/// Pause before a followed log is looked at again.
const FOLLOW_PAUSE: Duration = Duration::from_millis(200);
/// Lines of a followed log that may wait.
const FOLLOW_QUEUE: usize = 1_024;
/// Lines of a followed log after which what is held is given out although more comes.
const FOLLOW_LINES: u64 = 4_096;
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
  noroshi import telescope.avro --into flows
  noroshi import logs/ --into sessions && noroshi query 'select src, credentials from sessions limit 10'
  noroshi import cowrie.json --follow --output - --table sessions
  NOROSHI_HPFEEDS_SECRET=… noroshi import hpfeeds://cert@feeds.example.net:10000/cowrie.sessions --follow --output -
  NOROSHI_HPFEEDS_ACCOUNTS=accounts.json noroshi import hpfeeds-broker://192.0.2.1:10000 --follow --into sessions

Every line is accounted for: lines = rows + headers, comments and blanks + continued + rejected.
A line that is broken is reported with its number, the rest is kept.";

/// Other people's records in, rows and a summary out: Cowrie, Dionaea, Glutton, OpenCanary, DDoSPot, Suricata EVE,
/// Zeek, Shadowserver, DShield, Spoki, Argus, hpfeeds, FlowTuple. STIX bundles and MISP events are read and counted.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Logs (also gzip or zstd), directories of them, - for standard input, hpfeeds://IDENT@HOST:PORT/CHANNEL,CHANNEL to
    /// subscribe, or hpfeeds-broker://ADDR:PORT to let honeypots publish here.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// What the files are, instead of finding out from their content.
    #[arg(long, value_name = "FORMAT")]
    from: Option<Format>,
    /// Go on when the end is reached: rows are given out as lines are written, until Ctrl-C. For one file.
    #[arg(long)]
    follow: bool,
    /// How the summary is printed.
    #[arg(long, value_enum, default_value = "text")]
    format: TextOrJson,
    /// Where rows go: a file that ends in .ndjson or .parquet, or - for NDJSON on standard output (no summary then).
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Which rows go there: each record, dialogues put together, or packets (of logs that have packets).
    #[arg(long, value_enum, default_value = "records", requires = "output")]
    table: Table,
    /// Load into this table of the lake: Parquet files into any, of logs the dialogues into sessions or the packets into
    /// packets, of FlowTuple the sums into flows. A file that was loaded before brings nothing twice.
    #[cfg(feature = "hub")]
    #[arg(long, value_name = "TABLE", conflicts_with = "output")]
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
    args.paths.iter().filter(|path| feed::is_one(path)).try_for_each(|path| feed::check(path, args.follow))?;
    let inputs = inputs(&args.paths)?;
    if args.follow && (inputs.len() != 1 || args.paths[0].as_os_str() == "-" || args.paths[0].is_dir()) {
        return Err(Failure::usage("--follow takes one file").hint("run it once for each log"));
    }
    let mut sinks = Sinks::open(&args)?;
    let mut rejects = args.rejects.as_deref().map(output::create).transpose()?;
    let mut report = report::Report::default();
    let mut refused = false;
    #[cfg(feature = "hub")]
    let mut documents = foreign::Documents::default();
    for input in &inputs {
        #[cfg(feature = "hub")]
        if let Some(lake) = &sinks.lake
            && !feed::is_one(&input.path)
            && lake.parquet(&input.path)?
        {
            continue;
        }
        #[cfg(feature = "hub")]
        let file = input.path.as_os_str() != "-" && !feed::is_one(&input.path);
        #[cfg(feature = "hub")]
        if args.from.is_none() && file && foreign::looks_like_one(&input.path) {
            documents.read(&input.path);
            if sinks.lake.is_some() {
                eprintln!(
                    "{}: bundles and events are read and counted, not loaded",
                    escape(&input.path.to_string_lossy())
                );
            }
            continue;
        }
        match import(input, &args, &mut sinks, rejects.as_mut(), &mut report) {
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
    if let Some(output) = sinks.output {
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
    if report.any_unknown() {
        eprintln!("noroshi: name the format with --from if you know better than the content tells");
    }
    Ok(ExitCode::from(if refused { REFUSED } else { 0 }))
}

/// Files in the order given, those of a directory by name.
fn inputs(paths: &[PathBuf]) -> Result<Vec<Input>, Failure> {
    let mut out = Vec::new();
    for path in paths {
        if path.as_os_str() != "-" && !feed::is_one(path) && !path.exists() {
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

/// Where rows go beside the summary.
struct Sinks {
    output: Option<Output>,
    #[cfg(feature = "hub")]
    lake: Option<lake::Store>,
}

impl Sinks {
    fn open(args: &Args) -> Result<Sinks, Failure> {
        Ok(Sinks {
            output: args.output.as_deref().map(|path| Output::create(path, args.table)).transpose()?,
            #[cfg(feature = "hub")]
            lake: args.into.as_deref().map(|table| lake::Store::open(table, &args.place, args.format)).transpose()?,
        })
    }

    /// A log is read from here on.
    fn begin(&mut self, input: &Input, followed: bool) -> Result<(), Failure> {
        #[cfg(feature = "hub")]
        if let Some(lake) = &mut self.lake {
            return lake.begin(&input.path, followed);
        }
        let _ = (input, followed);
        Ok(())
    }

    fn session(&mut self, session: Session) -> Result<(), Failure> {
        #[cfg(feature = "hub")]
        if let Some(lake) = &mut self.lake {
            lake.session(&session)?;
        }
        self.output.as_mut().map_or(Ok(()), |output| output.session(session))
    }

    fn record(&mut self, record: Record) -> Result<(), Failure> {
        #[cfg(feature = "hub")]
        if let Some(lake) = &mut self.lake {
            lake.record(&record)?;
        }
        self.output.as_mut().map_or(Ok(()), |output| output.record(record))
    }

    /// Gives out what is held, while a log is followed and nothing comes.
    fn pause(&mut self) -> Result<(), Failure> {
        #[cfg(feature = "hub")]
        if let Some(lake) = &mut self.lake {
            lake.pause()?;
        }
        self.output.as_mut().map_or(Ok(()), Output::flush)
    }

    /// The log is read.
    fn end(&mut self, input: &Input) -> Result<(), Failure> {
        #[cfg(feature = "hub")]
        if let Some(lake) = &mut self.lake {
            return lake.end(&input.path);
        }
        let _ = input;
        Ok(())
    }
}

fn reader(input: &Input, format: Option<Format>) -> Result<Reader, ImportError> {
    if input.path.as_os_str() == "-" {
        return noroshi_import::open_bytes(std::io::stdin(), "standard input", format, Budget::default());
    }
    noroshi_import::open(&input.path, format, Budget::default())
}

fn following(path: &Path, format: Option<Format>) -> Result<Reader, ImportError> {
    if feed::is_one(path) {
        return feed::open(path);
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let wrong = |source| ImportError::Io { what: format!("{}: cannot be opened", path.display()), source };
    let follow = Follow::open(path, FOLLOW_PAUSE, Arc::default()).map_err(wrong)?;
    noroshi_import::open_bytes(follow, &name, format, Budget { file_bytes: u64::MAX, ..Budget::default() })
}

/// What is known of one log while it is read.
struct Reading<'r> {
    path: &'r Path,
    summary: Summary,
    sessions: Sessions,
    sinks: &'r mut Sinks,
    rejects: Option<&'r mut output::File>,
    report: &'r mut report::Report,
}

impl Reading<'_> {
    fn take(&mut self, item: Item, counts: Counts) -> Result<(), Failure> {
        match item {
            Item::Row(row) => {
                self.summary.add(&row);
                self.report.total.add(&row);
                if let Some(session) = self.sessions.push(&row) {
                    self.report.dialogues += 1;
                    self.sinks.session(session)?;
                }
                self.sinks.record(row)
            }
            Item::Reject(reject) => self.reject(reject, counts.rejects),
        }
    }

    fn reject(&mut self, reject: Reject, shown: u64) -> Result<(), Failure> {
        let path = self.path.to_string_lossy();
        if shown <= SHOWN_REJECTS {
            eprintln!("{}:{}: {}", escape(&path), reject.line, escape(&reject.reason));
        } else if shown == SHOWN_REJECTS + 1 {
            eprintln!("{}: more lines are rejected; --rejects FILE keeps all", escape(&path));
        }
        if let Some(file) = self.rejects.as_deref_mut() {
            let line = serde_json::json!({"path": path, "line": reject.line, "reason": reject.reason});
            writeln!(file, "{line}")?;
        }
        self.summary.reject(reject);
        Ok(())
    }
}

fn import(
    input: &Input,
    args: &Args,
    sinks: &mut Sinks,
    rejects: Option<&mut output::File>,
    report: &mut report::Report,
) -> Result<(), Refused> {
    let (summary, sessions) = (Summary::default(), Sessions::default());
    let mut reading = Reading { path: &input.path, summary, sessions, sinks, rejects, report };
    if args.follow {
        return follow(input, args.from, reading);
    }
    let mut reader = reader(input, args.from).map_err(Refused::Content)?;
    reading.sinks.begin(input, false)?;
    while let Some(item) = reader.next_item().map_err(Refused::Content)? {
        reading.take(item, reader.counts())?;
    }
    for session in std::mem::take(&mut reading.sessions).finish() {
        reading.report.dialogues += 1;
        reading.sinks.session(session)?;
    }
    reading.sinks.end(input)?;
    let Reading { mut summary, report, .. } = reading;
    summary.counts = reader.counts();
    report.add(&input.path, reader.format(), summary);
    Ok(())
}

/// Reads on a thread of its own, so that what is held is given out while nothing comes. Ends with the program.
fn follow(input: &Input, format: Option<Format>, mut reading: Reading<'_>) -> Result<(), Refused> {
    let (sender, items) = sync_channel(FOLLOW_QUEUE);
    let path = input.path.clone();
    std::thread::spawn(move || {
        let mut reader = match following(&path, format) {
            Ok(reader) => reader,
            Err(error) => return drop(sender.send(Err(error))),
        };
        while let Some(next) = reader.next_item().transpose() {
            // Nobody listens any more: the program ends.
            if sender.send(next.map(|item| (item, reader.counts()))).is_err() {
                return;
            }
        }
    });
    reading.sinks.begin(input, true)?;
    loop {
        match items.recv_timeout(FOLLOW_PAUSE) {
            Ok(Ok((item, counts))) => {
                reading.take(item, counts)?;
                // A log that never rests.
                if counts.lines.is_multiple_of(FOLLOW_LINES) {
                    reading.sinks.pause()?;
                }
            }
            Ok(Err(error)) => return Err(Refused::Content(error)),
            Err(RecvTimeoutError::Timeout) => reading.sinks.pause()?,
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        }
    }
}
