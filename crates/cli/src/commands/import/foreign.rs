//! STIX bundles and MISP events: what is in them, and what of it is about attackers or victims.

use crate::failure::Failure;
use crate::output::TextOrJson;
use crate::terminal::escape;
use noroshi_model::Nanos;
use noroshi_share::intake::{self, IntakeError, Taken};
use serde_json::json;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// Largest document, unpacked: a bundle is read whole, since its objects refer to each other.
const BYTES_MAX: u64 = 512 << 20;
/// What a gzip file begins with.
const GZIP: [u8; 2] = [0x1f, 0x8b];
/// Bytes in which a document shows what it is.
const HEAD: usize = 4_096;

/// What came of every document.
#[derive(Default)]
pub struct Documents {
    read: Vec<(PathBuf, Taken)>,
    refused: Vec<(PathBuf, String)>,
}

fn unpacked(path: &Path) -> std::io::Result<Box<dyn Read>> {
    let mut magic = [0; 2];
    let short = File::open(path)?.read(&mut magic)? < magic.len();
    let file = File::open(path)?;
    Ok(if !short && magic == GZIP { Box::new(flate2::read::MultiGzDecoder::new(file)) } else { Box::new(file) })
}

/// Whether a file looks like a bundle or an event: one JSON object over several lines, or one that says so at once.
pub fn looks_like_one(path: &Path) -> bool {
    let mut head = Vec::new();
    let read = unpacked(path).and_then(|reader| reader.take(HEAD as u64).read_to_end(&mut head));
    let text = String::from_utf8_lossy(&head);
    let text = text.trim_start_matches(['\u{feff}', '<']).trim_start();
    let plain: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    let says = [
        "\"type\":\"bundle\"",
        "\"id\":\"bundle--",
        "\"spec_version\":\"2",
        "\"Event\":{",
        "{\"response\":[{\"Event\"",
        "{\"response\":{\"Attribute\"",
        "{\"Attribute\":[{",
    ];
    read.is_ok() && plain.starts_with('{') && says.iter().any(|word| plain.contains(word))
}

impl Documents {
    /// Reads one document.
    pub fn read(&mut self, path: &Path) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as i64);
        let mut bytes = Vec::new();
        let read = unpacked(path).and_then(|reader| reader.take(BYTES_MAX + 1).read_to_end(&mut bytes));
        let outcome = match read {
            Err(error) => Err(error.to_string()),
            Ok(_) if bytes.len() as u64 > BYTES_MAX => Err(format!("larger than {BYTES_MAX} bytes: split it")),
            Ok(_) => intake::read(&bytes, Nanos(now)).map_err(|error: IntakeError| error.to_string()),
        };
        match outcome {
            Ok(taken) => self.read.push((path.to_owned(), taken)),
            Err(reason) => {
                eprintln!("noroshi: {}: {}", escape(&path.to_string_lossy()), escape(&reason));
                self.refused.push((path.to_owned(), reason));
            }
        }
    }

    /// Whether there was any.
    pub fn any(&self) -> bool {
        !self.read.is_empty() || !self.refused.is_empty()
    }

    /// Whether one was refused, whole or in part.
    pub fn refused(&self) -> bool {
        !self.refused.is_empty() || self.read.iter().any(|(_, taken)| !taken.refused.is_empty())
    }

    /// Prints what came of them.
    pub fn print(&self, style: TextOrJson) -> Result<(), Failure> {
        let mut out = std::io::stdout().lock();
        for (path, taken) in &self.read {
            let name = path.to_string_lossy();
            match style {
                TextOrJson::Json => {
                    let body = json!({ "schema": "noroshi.intake/1", "path": name, "taken": taken });
                    writeln!(out, "{body}")?;
                }
                TextOrJson::Text => {
                    let kinds: Vec<String> =
                        taken.by_type.iter().map(|(kind, count)| format!("{count} {}", escape(kind))).collect();
                    writeln!(
                        out,
                        "{}: {} objects, {} about attackers or victims, {} refused ({})",
                        escape(&name),
                        taken.objects,
                        taken.foreign.len(),
                        taken.refused.len(),
                        kinds.join(", ")
                    )?;
                    for (id, reason) in &taken.refused {
                        eprintln!("noroshi: {}: {}: {}", escape(&name), escape(id), escape(reason));
                    }
                }
            }
        }
        Ok(())
    }
}
