//! The summary of an import, for people and for programs.

use crate::failure::Failure;
use crate::output::TextOrJson;
use crate::terminal::{Paint, escape};
use noroshi_import::summary::Tally;
use noroshi_import::{Format, ImportError, Summary};
use serde_json::{Map, Value, json};
use std::hash::Hash;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Rows of a table shown to people.
const SHOWN: usize = 10;
/// Entries of a table given to programs.
const LISTED: usize = 1_000;

/// A file that was not read.
struct Refused {
    path: PathBuf,
    reason: String,
    /// The same in a few words.
    short: &'static str,
}

/// What no reader knows is worth a word about formats; what cannot be opened is not.
const UNKNOWN: &str = "no reader knows its content";

/// Everything that is said at the end.
#[derive(Default)]
pub struct Report {
    files: Vec<(PathBuf, Format, Summary)>,
    refused: Vec<Refused>,
    /// All files together; its `counts` are added up in [`Report::add`].
    pub total: Summary,
    /// Dialogues put together.
    pub dialogues: u64,
}

impl Report {
    /// Whether there is anything to say.
    pub fn any(&self) -> bool {
        !self.files.is_empty() || !self.refused.is_empty()
    }

    /// Whether a file was refused for its content.
    pub fn any_unknown(&self) -> bool {
        self.refused.iter().any(|file| file.short == UNKNOWN)
    }

    /// A file was read.
    pub fn add(&mut self, path: &Path, format: Format, summary: Summary) {
        let (total, counts) = (&mut self.total.counts, summary.counts);
        total.lines += counts.lines;
        total.rows += counts.rows;
        total.structure += counts.structure;
        total.continued += counts.continued;
        total.rejects += counts.rejects;
        total.stopped_at_budget |= counts.stopped_at_budget;
        self.files.push((path.to_owned(), format, summary));
    }

    /// A file was refused.
    pub fn refuse(&mut self, path: &Path, error: &ImportError) {
        let short = match error {
            ImportError::Unknown { .. } => UNKNOWN,
            ImportError::Empty { .. } => "it is empty",
            ImportError::Io { .. } => "it cannot be opened or read",
        };
        self.refused.push(Refused { path: path.to_owned(), reason: error.to_string(), short });
    }

    /// Prints on standard output.
    pub fn print(&self, style: TextOrJson) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        match style {
            TextOrJson::Text => self.text(&mut out)?,
            TextOrJson::Json => {
                serde_json::to_writer_pretty(&mut out, &self.json())?;
                writeln!(out)?;
            }
        }
        Ok(())
    }

    fn json(&self) -> Value {
        let files: Vec<Value> = self
            .files
            .iter()
            .map(|(path, format, summary)| {
                let mut file = figures(summary);
                file.insert("path".into(), path.to_string_lossy().into());
                file.insert("format".into(), format.name().into());
                file.insert("rejected".into(), json!(summary.rejects));
                Value::Object(file)
            })
            .collect();
        let refused =
            self.refused.iter().map(|file| json!({"path": file.path.to_string_lossy(), "reason": file.reason}));
        let mut total = figures(&self.total);
        total.insert("dialogues".into(), self.dialogues.into());
        json!({
            "schema": "noroshi.import/1",
            "version": env!("CARGO_PKG_VERSION"),
            "files": files,
            "refused": refused.collect::<Vec<_>>(),
            "total": total,
        })
    }

    fn text(&self, out: &mut impl Write) -> io::Result<()> {
        let paint = Paint::stdout();
        for (path, format, summary) in &self.files {
            let counts = summary.counts;
            let rejects = match counts.rejects {
                0 => "0 rejected".to_owned(),
                some => paint.warn(format!("{some} rejected")),
            };
            write!(
                out,
                "{}: {}; {} lines = {} rows + {} headers, comments, blanks",
                escape(&path.to_string_lossy()),
                format.label(),
                counts.lines,
                counts.rows,
                counts.structure
            )?;
            if counts.continued > 0 {
                write!(out, " + {} continued", counts.continued)?;
            }
            writeln!(out, " + {rejects}")?;
            if counts.stopped_at_budget {
                writeln!(out, "  {}", paint.warn("the file is larger than the budget; the rest was not read"))?;
            }
        }
        for Refused { path, short, .. } in &self.refused {
            let said = format!("not read: {short}");
            writeln!(out, "{}: {}", escape(&path.to_string_lossy()), paint.faint(&said))?;
        }
        if self.files.is_empty() {
            return Ok(());
        }
        self.figures(out, paint)
    }

    fn figures(&self, out: &mut impl Write, paint: Paint) -> io::Result<()> {
        let total = &self.total;
        writeln!(out)?;
        if let (Some(first), Some(last)) = (total.first, total.last) {
            writeln!(out, "{}  {} to {}", paint.heading("time    "), first.rfc3339(), last.rfc3339())?;
        }
        writeln!(
            out,
            "{}  {} sources, {} dialogues, {} sessions or flows named",
            paint.heading("who     "),
            total.sources.distinct(),
            self.dialogues,
            total.sessions.distinct()
        )?;
        if total.logins_accepted + total.logins_refused > 0 {
            writeln!(
                out,
                "{}  {} accepted, {} refused, {} distinct credentials",
                paint.heading("logins  "),
                total.logins_accepted,
                total.logins_refused,
                total.credentials.distinct()
            )?;
        }
        if total.commands_total > 0 {
            writeln!(out, "{}  {} typed", paint.heading("commands"), total.commands_total)?;
        }
        table(out, paint, "records", &total.kinds)?;
        table(out, paint, "sources", &total.sources)?;
        table(out, paint, "ports", &total.ports)?;
        table(out, paint, "credentials", &total.credentials)?;
        table(out, paint, "fingerprints", &total.fingerprints)?;
        table(out, paint, "clients", &total.clients)?;
        table(out, paint, "URLs", &total.urls)?;
        for hash in total.hashes.iter().take(SHOWN) {
            writeln!(out, "{}  {}", paint.heading("file    "), escape(hash))?;
        }
        Ok(())
    }
}

fn table<K: Eq + Hash + Clone + ToString>(
    out: &mut impl Write,
    paint: Paint,
    name: &str,
    tally: &Tally<K>,
) -> io::Result<()> {
    if tally.distinct() == 0 {
        return Ok(());
    }
    writeln!(out, "\n{} ({} distinct)", paint.heading(name), tally.distinct())?;
    for (key, count) in tally.top(SHOWN) {
        let key: String = key.to_string().chars().take(100).collect();
        writeln!(out, "  {count:>9}  {}", escape(&key))?;
    }
    Ok(())
}

fn figures(summary: &Summary) -> Map<String, Value> {
    fn counted<K: Eq + Hash + Clone + ToString>(tally: &Tally<K>) -> Value {
        let top = tally.top(LISTED).into_iter().map(|(key, count)| json!({"value": key.to_string(), "count": count}));
        json!({"distinct": tally.distinct(), "top": top.collect::<Vec<_>>(), "uncounted": tally.others})
    }
    let counts = summary.counts;
    let mut out = Map::new();
    out.insert("lines".into(), counts.lines.into());
    out.insert("rows".into(), counts.rows.into());
    out.insert("structure".into(), counts.structure.into());
    out.insert("continued".into(), counts.continued.into());
    out.insert("rejects".into(), counts.rejects.into());
    out.insert("stopped_at_budget".into(), counts.stopped_at_budget.into());
    out.insert("first".into(), json!(summary.first.map(|ts| ts.rfc3339())));
    out.insert("last".into(), json!(summary.last.map(|ts| ts.rfc3339())));
    out.insert("sessions".into(), summary.sessions.distinct().into());
    out.insert("logins_accepted".into(), summary.logins_accepted.into());
    out.insert("logins_refused".into(), summary.logins_refused.into());
    out.insert("commands_total".into(), summary.commands_total.into());
    out.insert("commands".into(), json!(summary.commands));
    out.insert("hashes".into(), json!(summary.hashes));
    out.insert("kinds".into(), counted(&summary.kinds));
    out.insert("sources".into(), counted(&summary.sources));
    out.insert("ports".into(), counted(&summary.ports));
    out.insert("credentials".into(), counted(&summary.credentials));
    out.insert("fingerprints".into(), counted(&summary.fingerprints));
    out.insert("clients".into(), counted(&summary.clients));
    out.insert("urls".into(), counted(&summary.urls));
    out
}
