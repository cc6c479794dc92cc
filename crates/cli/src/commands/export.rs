//! `noroshi export`: what a report may tell others in their own format, and tables of the lake.

mod table;

use crate::failure::Failure;
use crate::output::Output;
use crate::terminal::{Paint, escape};
use noroshi_enrich::{Kinds, Knowledge, default_dir};
use noroshi_model::report::{Report, SCHEMA};
use noroshi_model::tlp::Tlp;
use noroshi_model::{Nanos, Prefix};
use noroshi_share::export::{self, Selection};
use noroshi_share::gate::Gate;
use noroshi_share::lists::blocklist::{Form, Head};
use noroshi_share::lists::flowspec::{Guards, SECONDS_MAX};
use noroshi_share::misp::feed;
use noroshi_share::stix::Producer;
use noroshi_share::stix::marking::Markings;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const EXAMPLES: &str = "\
Examples:
  noroshi analyze day.pcap.gz --format json --top all --output report.json
  noroshi export stix --report report.json --tlp green --output bundle.json
  noroshi export misp --report report.json --feed /srv/feed
  noroshi export flowspec --report report.json --protect 192.0.2.0/24

What is withheld, and why, stands on standard error. No source is named on evidence that can be forged, and no address
of the monitored space leaves unless --reveal-monitored says that it is no secret.";

/// A report in other people's formats (STIX 2.1, MISP, blocklists, Flowspec, Shadowserver's CSV), or a table of the lake.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// What to write.
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
#[allow(clippy::large_enum_variant)] // built once
enum What {
    /// A table of the lake, or a part of it: csv, parquet, arrow, json.
    Table(table::Args),
    /// A STIX 2.1 bundle.
    #[command(after_help = "Example:\n  noroshi export stix --report report.json --tlp green --output bundle.json")]
    Stix {
        #[command(flatten)]
        common: Common,
        /// TLP markings that the reader understands.
        #[arg(long, value_enum, default_value = "both")]
        markings: MarkingsArg,
    },
    /// A MISP event, or with --feed a directory of static files.
    #[command(after_help = "Example:\n  noroshi export misp --report report.json --output event.json")]
    Misp {
        #[command(flatten)]
        common: Common,
        /// Title of the event.
        #[arg(long, default_value = "Observations of Internet-wide attacks")]
        title: String,
        /// Write a feed into this directory instead; files of other events in it stay.
        #[arg(long, value_name = "DIR", conflicts_with = "output")]
        feed: Option<PathBuf>,
    },
    /// A list of proven attackers for filters.
    #[command(
        after_help = "Example:\n  noroshi export blocklist --report report.json --form nftables --output block.nft"
    )]
    Blocklist {
        #[command(flatten)]
        common: Common,
        /// How the list is written.
        #[arg(long, value_enum, default_value = "plain")]
        form: FormArg,
        /// Who answers questions about the list.
        #[arg(long, default_value = "")]
        contact: String,
    },
    /// BGP Flowspec rules as ExaBGP reads them. A dry run until two people approve.
    #[command(after_help = "Example:\n  noroshi export flowspec --report report.json --approve ann --approve ben")]
    Flowspec {
        #[command(flatten)]
        common: Common,
        /// Who approves; two different people are needed.
        #[arg(long, value_name = "NAME")]
        approve: Vec<String>,
        /// A network that is never filtered; may be given several times.
        #[arg(long, value_name = "CIDR")]
        protect: Vec<Prefix>,
        /// Seconds that a rule lives.
        #[arg(long, value_name = "SECONDS", default_value_t = SECONDS_MAX, value_parser = clap::value_parser!(i64).range(1..=SECONDS_MAX))]
        seconds: i64,
        /// Bytes per second that remain; 0 drops everything.
        #[arg(long, value_name = "BYTES", default_value_t = 0)]
        rate: u64,
    },
    /// CSV files with Shadowserver's columns.
    #[command(after_help = "Example:\n  noroshi export shadowserver --report report.json --directory reports/")]
    Shadowserver {
        #[command(flatten)]
        common: Common,
        /// Directory for the files; without it their text goes to standard output.
        #[arg(long, value_name = "DIR", conflicts_with = "output")]
        directory: Option<PathBuf>,
    },
}

#[derive(clap::Args)]
struct Common {
    /// A report of noroshi analyze --format json, or - for standard input.
    #[arg(long, value_name = "FILE")]
    report: PathBuf,
    /// Write to a file instead of standard output; it appears when it is whole.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Label of what is written: clear, green, amber, amber+strict or red.
    #[arg(long, default_value = "amber")]
    tlp: Tlp,
    /// Name of the organisation that publishes.
    #[arg(long, default_value = "Noroshi")]
    producer: String,
    /// A network of sensors that must not be named, beside the monitored space; may be given several times.
    #[arg(long, value_name = "CIDR")]
    sensor: Vec<Prefix>,
    /// The monitored space is no secret: victims in it are named.
    #[arg(long)]
    reveal_monitored: bool,
    /// Tables of known scanners and harmless addresses made by `noroshi geo import` [default: as there].
    #[arg(long, value_name = "DIR")]
    knowledge: Option<PathBuf>,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum MarkingsArg {
    /// TLP 1: clear becomes white, amber+strict becomes red.
    V1,
    /// TLP 2.0.
    V2,
    /// Both.
    Both,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum FormArg {
    /// One address per line.
    Plain,
    /// With times, score and reasons.
    Csv,
    /// A script for nft -f.
    Nftables,
    /// One JSON object per line.
    Jsonl,
}

/// Runs the command.
pub fn run(args: Args) -> Result<ExitCode, Failure> {
    match args.what {
        What::Table(args) => table::run(&args),
        What::Stix { common, markings } => {
            let markings = match markings {
                MarkingsArg::V1 => Markings::V1,
                MarkingsArg::V2 => Markings::V2,
                MarkingsArg::Both => Markings::Both,
            };
            write(&common, |report, gate, selection| {
                let bundle = export::stix(selection, gate, producer(&common, report, markings));
                Ok(serde_json::to_string_pretty(&bundle)? + "\n")
            })
        }
        What::Misp { common, title, feed: None } => write(&common, |report, gate, selection| {
            let file = export::misp(selection, gate, &producer(&common, report, Markings::Both), &title);
            Ok(serde_json::to_string_pretty(&file)? + "\n")
        }),
        What::Misp { common, title, feed: Some(directory) } => {
            let (report, gate) = open(&common)?;
            let selection = export::select(&report, &gate);
            let file = export::misp(&selection, &gate, &producer(&common, &report, Markings::Both), &title);
            write_feed(&directory, file)?;
            Ok(conclude(&selection))
        }
        What::Blocklist { common, form, contact } => write(&common, |report, _, selection| {
            let head = Head {
                name: "noroshi-proven-attackers".into(),
                generated: report.generated,
                tlp: common.tlp,
                contact: contact.clone(),
                criteria: "sources that completed a dialogue and attacked in it".into(),
            };
            let form = match form {
                FormArg::Plain => Form::Plain,
                FormArg::Csv => Form::Csv,
                FormArg::Nftables => Form::Nftables,
                FormArg::Jsonl => Form::JsonLines,
            };
            Ok(export::blocklist(selection, &head, form))
        }),
        What::Flowspec { common, approve, protect, seconds, rate } => write(&common, |report, _, selection| {
            let guards = Guards {
                approvals: approve.iter().map(|name| name.trim().to_lowercase()).filter(|n| !n.is_empty()).collect(),
                protected: protect.clone(),
                seconds,
                rate_bytes: rate,
                ..Guards::default()
            };
            let rules = export::flowspec(selection, &guards, report.generated);
            for (victim, reason) in &rules.refused {
                eprintln!("{} no rule for {victim}: {reason}", Paint::stderr().warn("noroshi:"));
            }
            Ok(rules.text)
        }),
        What::Shadowserver { common, directory: None } => write(&common, |report, _, selection| {
            let files = export::shadowserver(selection, report.generated)?;
            Ok(files.into_iter().map(|file| format!("# {}\n{}", file.name, file.text)).collect())
        }),
        What::Shadowserver { common, directory: Some(directory) } => {
            let (report, gate) = open(&common)?;
            let selection = export::select(&report, &gate);
            for file in export::shadowserver(&selection, report.generated)? {
                save(&directory, &file.name, file.text.as_bytes())?;
            }
            Ok(conclude(&selection))
        }
    }
}

/// Reads, selects, writes one text, and says what was withheld.
fn write(
    common: &Common,
    make: impl FnOnce(&Report, &Gate, &Selection<'_>) -> Result<String, Failure>,
) -> Result<ExitCode, Failure> {
    let (report, gate) = open(common)?;
    let selection = export::select(&report, &gate);
    let text = make(&report, &gate, &selection)?;
    let mut output = Output::open(common.output.as_deref())?;
    output.write_all(text.as_bytes())?;
    output.finish()?;
    Ok(conclude(&selection))
}

fn conclude(selection: &Selection<'_>) -> ExitCode {
    for (reason, count) in &selection.withheld {
        eprintln!("{} {count} findings withheld: {}", Paint::stderr().faint("noroshi:"), escape(reason));
    }
    ExitCode::SUCCESS
}

fn producer(common: &Common, report: &Report, markings: Markings) -> Producer {
    Producer { name: common.producer.clone(), tlp: common.tlp, markings, created: report.generated }
}

fn open(common: &Common) -> Result<(Report, Gate), Failure> {
    let report = read_report(&common.report)?;
    let mut sensors = common.sensor.clone();
    if !common.reveal_monitored {
        sensors.extend(&report.monitored);
    }
    let at = report.capture.files.iter().filter_map(|file| file.latest).max().unwrap_or(report.generated);
    Ok((report, gate(sensors, common.knowledge.as_deref(), at)?))
}

/// A gate that knows harmless addresses from the tables that were imported, as of a time.
pub(crate) fn gate(sensors: Vec<Prefix>, knowledge: Option<&Path>, at: Nanos) -> Result<Gate, Failure> {
    let known = match knowledge.map(Path::to_owned).or_else(default_dir) {
        Some(dir) if knowledge.is_some() || dir.is_dir() => {
            Knowledge::open(&dir).map_err(|error| Failure::from(error).at(dir.display()))?
        }
        _ => Knowledge::empty(),
    };
    Ok(Gate::new(sensors, Vec::new(), move |addr| {
        let (kinds, list) = known.kinds(addr, at);
        let harmless = kinds.has(Kinds::RESEARCH_SCANNER) || kinds.has(Kinds::KNOWN_BENIGN);
        harmless.then(|| list.unwrap_or("known to be harmless").to_owned())
    }))
}

/// Reads a report; what is wrong is said with its place.
pub(crate) fn read_report(path: &Path) -> Result<Report, Failure> {
    let mut text = String::new();
    let read = if path.as_os_str() == "-" {
        std::io::stdin().read_to_string(&mut text).map(|_| ())
    } else {
        std::fs::read_to_string(path).map(|found| text = found)
    };
    let hint = "make one with noroshi analyze --format json";
    read.map_err(|error| Failure::refused(format!("cannot read the report: {error}")).at(path.display()).hint(hint))?;
    let refused = |error: serde_json::Error| {
        Failure::refused(format!("not a report of noroshi analyze: {error}")).at(path.display()).hint(hint)
    };
    let report: Report = serde_json::from_str(&text).map_err(refused)?;
    if report.schema != SCHEMA {
        return Err(Failure::refused(format!("the report has schema \"{}\", expected {SCHEMA}", report.schema))
            .at(path.display()));
    }
    Ok(report)
}

/// Adds an event to a feed: the manifest and the hashes are made anew from every event in the directory.
fn write_feed(directory: &Path, file: noroshi_share::misp::event::File) -> Result<(), Failure> {
    std::fs::create_dir_all(directory).map_err(|error| Failure::from(error).at(directory.display()))?;
    let mut events = vec![file];
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
        if !name.ends_with(".json") || name == "manifest.json" || name == format!("{}.json", events[0].event.uuid) {
            continue;
        }
        let text = std::fs::read_to_string(&path)?;
        let known = serde_json::from_str(&text).map_err(|error| {
            Failure::refused(format!("not a MISP event: {error}"))
                .at(path.display())
                .hint("the feed's directory must hold nothing else")
        })?;
        events.push(known);
    }
    events.sort_by(|a, b| a.event.uuid.cmp(&b.event.uuid));
    for (name, bytes) in feed::files(&events)? {
        save(directory, &name, &bytes)?;
    }
    Ok(())
}

/// Writes a file that appears when it is whole.
fn save(directory: &Path, name: &str, bytes: &[u8]) -> Result<(), Failure> {
    std::fs::create_dir_all(directory).map_err(|error| Failure::from(error).at(directory.display()))?;
    let mut output = Output::open(Some(&directory.join(name)))?;
    output.write_all(bytes)?;
    output.finish()
}
