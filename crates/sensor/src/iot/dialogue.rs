//! One dialogue, whatever its protocol: logins, lines, limits, recording; in the end a row of table `sessions`.

use super::device::Dressed;
use super::limits::Limits;
use super::recording::{Recording, sha256};
use super::shell::{Said, Shell};
use noroshi_model::session::Session;
use noroshi_model::time::SECOND;
use noroshi_model::{Addr, Nanos};
use serde_json::{Value, json};
use std::sync::Arc;

/// Steps kept in the row.
const STEPS: usize = 2_000;
/// Bytes of one text kept in the row; the recording has more.
const TEXT: usize = 8 << 10;
/// Characters of an answer kept in the row: enough to see what the visitor saw; the recording has all.
const ANSWER: usize = 1 << 10;
/// Bytes of all texts kept in the row: with its lists a row stays far below what one batch may carry.
const TEXTS: usize = 512 << 10;
/// Bytes kept of what is not of the protocol.
const MALFORMED: usize = 256;

/// Who talks to whom.
#[derive(Clone, Debug)]
pub struct Ends {
    /// Sensor name.
    pub sensor: String,
    /// Visitor.
    pub src: Addr,
    /// Its port.
    pub sport: u16,
    /// Our address.
    pub dst: Addr,
    /// Our port.
    pub dport: u16,
    /// `telnet`, `ssh`, `http`.
    pub protocol: &'static str,
}

/// A file that a visitor left.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sample {
    /// SHA-256.
    pub hash: String,
    /// Where it stood.
    pub path: String,
    /// Its content. Never executed.
    pub content: Arc<Vec<u8>>,
}

/// A dialogue that is over.
#[derive(Clone, PartialEq, Debug)]
pub struct Finished {
    /// The row.
    pub session: Session,
    /// The recording, asciicast version 2.
    pub recording: String,
    /// Files that were left.
    pub samples: Vec<Sample>,
}

/// A dialogue under way.
pub struct Dialogue {
    /// The device that the visitor sees.
    pub device: Arc<Dressed>,
    limits: Limits,
    shell: Shell,
    session: Session,
    steps: Vec<Value>,
    texts: usize,
    recording: Recording,
    lines: usize,
    /// Bytes that the shell has said; they may wait to be sent.
    said: u64,
    tried: usize,
}

impl Dialogue {
    /// A dialogue that begins now.
    pub fn new(device: Arc<Dressed>, limits: Limits, ends: &Ends, id: String, now: Nanos) -> Self {
        let session = Session {
            ts: now,
            end: now,
            sensor: ends.sensor.clone(),
            origin: "noroshi".into(),
            id,
            src: Some(ends.src),
            dst: Some(ends.dst),
            sport: Some(ends.sport),
            dport: Some(ends.dport),
            protocol: ends.protocol.into(),
            arch: Some(device.device.machine.clone()),
            extra: json!({"persona": device.device.name}).to_string(),
            ..Session::default()
        };
        Dialogue {
            shell: Shell::new(device.clone(), limits, "root"),
            device,
            limits,
            session,
            steps: Vec::new(),
            texts: 0,
            recording: Recording::new(now.seconds(), limits.recording_bytes),
            lines: 0,
            said: 0,
            tried: 0,
        }
    }

    fn seconds(&self, now: Nanos) -> f64 {
        (now.0 - self.session.ts.0).max(0) as f64 / SECOND as f64
    }

    fn step(&mut self, now: Nanos, kind: &str, mut fields: Value) {
        let size: usize =
            fields.as_object().into_iter().flatten().filter_map(|(_, value)| value.as_str()).map(str::len).sum();
        if self.steps.len() >= STEPS || self.texts + size > TEXTS {
            self.session.truncated = true;
            return;
        }
        self.texts += size;
        fields["t"] = json!((self.seconds(now) * 1e6).round() / 1e6);
        fields["k"] = json!(kind);
        self.steps.push(fields);
    }

    /// Bytes came from the visitor; false when there were too many and the dialogue must end.
    pub fn received(&mut self, bytes: &[u8], now: Nanos) -> bool {
        self.session.end = self.session.end.max(now);
        self.session.bytes_in += bytes.len() as u64;
        self.recording.add(self.seconds(now), "i", bytes);
        let fits = self.session.bytes_in <= self.limits.bytes_in;
        self.session.truncated |= !fits;
        fits
    }

    /// Bytes go to the visitor; false when there were too many and the dialogue must end.
    pub fn sent(&mut self, bytes: &[u8], now: Nanos) -> bool {
        self.session.bytes_out += bytes.len() as u64;
        self.recording.add(self.seconds(now), "o", bytes);
        let fits = self.session.bytes_out <= self.limits.bytes_out;
        self.session.truncated |= !fits;
        fits
    }

    /// Bytes that may still go to the visitor.
    pub fn room(&self) -> usize {
        self.limits.bytes_out.saturating_sub(self.session.bytes_out) as usize
    }

    /// Bytes that are not of the protocol; the first of them are kept.
    pub fn malformed(&mut self, bytes: &[u8], now: Nanos) {
        let text = String::from_utf8_lossy(&bytes[..bytes.len().min(MALFORMED)]).into_owned();
        self.note(now, "malformed", json!({"data": text}));
    }

    /// What the client calls itself.
    pub fn client(&mut self, name: &str, fingerprint: Option<String>) {
        self.session.client = Some(name.chars().take(255).collect());
        self.session.fingerprint = fingerprint;
    }

    /// Someone tries to log in.
    pub fn login(&mut self, user: &str, password: &str, now: Nanos) -> bool {
        self.tried += 1;
        let accepted = self.device.accepts(user, password, self.tried);
        let short = |text: &str| text.chars().take(255).collect::<String>();
        if accepted {
            self.session.logins_accepted += 1
        } else {
            self.session.logins_refused += 1
        }
        self.session.credentials.push(format!("{}:{}", short(user), short(password)));
        let fields = json!({"username": short(user), "password": short(password), "accepted": accepted});
        self.step(now, "login", fields);
        accepted
    }

    /// Whether another login may be tried.
    pub fn may_login(&self) -> bool {
        self.tried < self.limits.logins
    }

    /// A line was typed.
    pub fn line(&mut self, line: &[u8], now: Nanos) -> Said {
        self.lines += 1;
        if self.lines > self.limits.lines {
            self.session.truncated = true;
            return Said { exit: true, ..Said::default() };
        }
        let text: String = String::from_utf8_lossy(line).chars().take(TEXT).collect();
        let known = self.shell.urls.len();
        let mut said = self.shell.line(line, now);
        // Many lines may come in one piece, and nothing of what they say is sent before the last.
        self.said += said.output.len() as u64;
        if self.said > self.limits.bytes_out {
            self.session.truncated = true;
            said.exit = true;
        }
        if !text.trim().is_empty() && self.session.commands.len() < STEPS && self.texts < TEXTS {
            self.session.commands.push(text.clone());
            let answer: String = String::from_utf8_lossy(&said.output).chars().take(ANSWER).collect();
            let fields = match answer.is_empty() {
                true => json!({"command": text}),
                false => json!({"command": text, "answer": answer}),
            };
            self.step(now, "command", fields);
        }
        for at in known..self.shell.urls.len() {
            let url = self.shell.urls[at].clone();
            self.step(now, "url", json!({"url": url}));
        }
        said
    }

    /// A request of another protocol than a shell's: kept like a command, with the places it names.
    pub fn request(&mut self, summary: &str, fields: Value, text: &str, now: Nanos) -> bool {
        self.lines += 1;
        if self.lines > self.limits.lines {
            self.session.truncated = true;
            return false;
        }
        if self.session.commands.len() < STEPS && self.texts < TEXTS {
            self.session.commands.push(summary.chars().take(TEXT).collect());
        }
        self.step(now, "request", fields);
        super::urls::find(text).into_iter().for_each(|url| self.url(url, now));
        true
    }

    /// A place was named.
    pub fn url(&mut self, url: String, now: Nanos) {
        let known = self.shell.urls.len();
        self.shell.note_url(url);
        if let Some(url) = self.shell.urls.get(known).cloned() {
            self.step(now, "url", json!({"url": url}));
        }
    }

    /// Files as the visitor sees them.
    pub fn files(&mut self) -> &mut super::files::Files {
        &mut self.shell.files
    }

    /// Something of the client that has a fingerprint.
    pub fn fingerprint(&mut self, fingerprint: String) {
        self.session.fingerprint.get_or_insert(fingerprint);
    }

    /// The shell's prompt.
    pub fn prompt(&self) -> &str {
        self.shell.prompt()
    }

    /// Marks the dialogue as cut short.
    pub fn truncate(&mut self) {
        self.session.truncated = true;
    }

    /// Writes a place down that was named outside the shell.
    pub fn note(&mut self, now: Nanos, kind: &str, fields: Value) {
        self.step(now, kind, fields);
    }

    /// The dialogue is over.
    pub fn finish(mut self, now: Nanos) -> Finished {
        let left: Vec<Sample> = self
            .shell
            .files
            .left()
            .map(|(path, content)| Sample { hash: sha256(content), path: path.to_owned(), content: content.clone() })
            .collect();
        for sample in &left {
            if !self.session.hashes.contains(&sample.hash) {
                self.session.hashes.push(sample.hash.clone());
            }
            let fields = json!({"hash": sample.hash, "path": sample.path, "bytes": sample.content.len()});
            self.step(now, "file", fields);
        }
        self.session.end = self.session.end.max(now);
        self.session.urls = std::mem::take(&mut self.shell.urls);
        self.session.truncated |= self.shell.files.full || self.recording.cut;
        self.session.steps = Value::Array(std::mem::take(&mut self.steps)).to_string();
        let (recording, hash) = self.recording.finish();
        self.session.recording = Some(hash);
        Finished { session: self.session, recording, samples: left }
    }
}
