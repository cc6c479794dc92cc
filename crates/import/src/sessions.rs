//! Records of one dialogue, scattered over a log, become one row of table `sessions`.
//!
//! Memory is bounded: at most [`Limits::open`] dialogues are held, and of each at most [`Limits::steps`] steps. A
//! dialogue that had to leave early or was cut is marked `truncated`.

use crate::detect::Format;
use crate::record::Record;
use noroshi_model::Nanos;
use noroshi_model::session::Session;
use noroshi_model::time::SECOND;
use serde_json::{Map, Value, json};
use std::collections::{HashMap, VecDeque};

/// Bounds of the assembler.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Dialogues held at once; the oldest leaves when one more comes. Default 65,536.
    pub open: usize,
    /// Steps, commands, credentials, URLs and hashes kept of one dialogue, each. Default 4,096.
    pub steps: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { open: 65_536, steps: 4_096 }
    }
}

struct Open {
    session: Session,
    steps: Vec<Value>,
    serial: u64,
}

/// Puts dialogues together from records in the order of their log.
#[derive(Default)]
pub struct Sessions {
    limits: Limits,
    open: HashMap<(Format, String, String), Open>,
    order: VecDeque<(u64, (Format, String, String))>,
    serial: u64,
}

impl Sessions {
    /// An assembler within limits.
    pub fn new(limits: Limits) -> Self {
        Sessions { limits, ..Sessions::default() }
    }

    /// Takes a record; returns a dialogue that ended with it, or had to make room.
    pub fn push(&mut self, record: &Record) -> Option<Session> {
        match record.format {
            Format::Cowrie => self.push_cowrie(record),
            Format::Dionaea if record.kind.starts_with("connection") => Some(single(record, "dionaea")),
            Format::OpenCanary if record.src.is_some() => Some(single(record, "opencanary")),
            Format::Glutton => Some(single(record, "glutton")),
            _ => None,
        }
    }

    /// All dialogues that did not end, oldest first.
    pub fn finish(&mut self) -> Vec<Session> {
        let mut rest: Vec<Open> = self.open.drain().map(|(_, open)| open).collect();
        self.order.clear();
        rest.sort_by_key(|open| open.serial);
        rest.into_iter().map(|open| close(open, false)).collect()
    }

    fn push_cowrie(&mut self, record: &Record) -> Option<Session> {
        let id = record.session.clone()?;
        let key = (record.format, record.sensor.clone(), id);
        let mut made_room = None;
        if !self.open.contains_key(&key) {
            // What comes after the close (`late`, or the closing of the log) opens no second dialogue.
            if record.kind != "cowrie.session.connect" && record.extra.get("late").is_some() {
                return None;
            }
            if self.open.len() >= self.limits.open.max(1) {
                made_room = self.evict();
            }
            self.serial += 1;
            self.order.push_back((self.serial, key.clone()));
            let ts = record.ts.unwrap_or_default();
            let session = Session {
                ts,
                end: ts,
                sensor: record.sensor.clone(),
                origin: record.format.name().into(),
                id: key.2.clone(),
                ..Session::default()
            };
            self.open.insert(key.clone(), Open { session, steps: Vec::new(), serial: self.serial });
        }
        let limit = self.limits.steps;
        let open = self.open.get_mut(&key)?;
        add(open, record, limit);
        if record.kind == "cowrie.session.closed" {
            let open = self.open.remove(&key)?;
            let ended = close(open, false);
            // Making room happens at a connect, ending at a close: never both.
            return Some(ended);
        }
        made_room
    }

    fn evict(&mut self) -> Option<Session> {
        while let Some((serial, key)) = self.order.pop_front() {
            if self.open.get(&key).is_some_and(|open| open.serial == serial) {
                return self.open.remove(&key).map(|open| close(open, true));
            }
        }
        None
    }
}

fn close(open: Open, truncated: bool) -> Session {
    let mut session = open.session;
    session.steps = Value::Array(open.steps).to_string();
    session.truncated |= truncated;
    if session.extra.is_empty() {
        session.extra = "{}".into();
    }
    session
}

fn push_within(list: &mut Vec<String>, value: String, limit: usize) -> bool {
    let fits = list.len() < limit;
    if fits {
        list.push(value);
    }
    !fits
}

fn push_once(list: &mut Vec<String>, value: &str, limit: usize) -> bool {
    !list.iter().any(|kept| kept == value) && push_within(list, value.to_owned(), limit)
}

fn add(open: &mut Open, record: &Record, limit: usize) {
    let session = &mut open.session;
    fill_ends(session, record);
    if let Some(ts) = record.ts {
        session.ts = session.ts.min(ts);
        session.end = session.end.max(ts);
    }
    let mut cut = false;
    match record.accepted {
        Some(true) => session.logins_accepted += 1,
        Some(false) => session.logins_refused += 1,
        None => {}
    }
    if record.accepted.is_some() {
        cut |= push_within(&mut session.credentials, credential(record), limit);
    }
    if let Some(command) = &record.command {
        cut |= push_within(&mut session.commands, command.clone(), limit);
    }
    if let Some(url) = &record.url {
        cut |= push_once(&mut session.urls, url, limit);
    }
    // The hash of a closed log is the recording's, not a file's.
    match (&record.hash, &*record.kind) {
        (Some(hash), "cowrie.log.closed") => session.recording = Some(hash.clone()),
        (Some(hash), _) => cut |= push_once(&mut session.hashes, hash, limit),
        (None, _) => {}
    }
    session.client = session.client.take().or_else(|| record.client.clone());
    session.fingerprint = session.fingerprint.take().or_else(|| record.fingerprint.clone());
    if let Some(Value::String(arch)) = record.extra.get("arch") {
        session.arch = Some(arch.clone());
    }
    if open.steps.len() < limit {
        open.steps.push(step(session.ts, record));
    } else {
        cut = true;
    }
    session.truncated |= cut;
}

fn fill_ends(session: &mut Session, record: &Record) {
    // A forwarding request names other ends than the dialogue's own.
    if record.kind.starts_with("cowrie.direct-tcpip") {
        return;
    }
    session.src = session.src.or(record.src);
    session.dst = session.dst.or(record.dst);
    session.sport = session.sport.or(record.sport);
    session.dport = session.dport.or(record.dport);
    if session.protocol.is_empty() {
        session.protocol = record.service.clone().unwrap_or_default();
    }
}

fn credential(record: &Record) -> String {
    let part = |text: &Option<String>| text.clone().unwrap_or_default();
    format!("{}:{}", part(&record.username), part(&record.password))
}

/// One step of the dialogue: seconds from its start, kind, and what was said.
fn step(start: Nanos, record: &Record) -> Value {
    let mut step = Map::new();
    let seconds = record.ts.map_or(0.0, |ts| (ts.0.saturating_sub(start.0)) as f64 / SECOND as f64);
    step.insert("t".into(), json!(seconds));
    step.insert("k".into(), json!(record.kind));
    for (name, text) in [
        ("username", &record.username),
        ("password", &record.password),
        ("command", &record.command),
        ("url", &record.url),
        ("hash", &record.hash),
    ] {
        step.extend(text.as_ref().map(|text| (name.to_owned(), json!(text))));
    }
    Value::Object(step)
}

/// Honeypots that write one record per dialogue.
fn single(record: &Record, origin: &str) -> Session {
    let ts = record.ts.unwrap_or_default();
    let mut open = Open {
        session: Session {
            ts,
            end: ts,
            sensor: record.sensor.clone(),
            origin: origin.into(),
            id: record.session.clone().unwrap_or_else(|| format!("line-{}", record.line)),
            extra: Value::Object(record.extra.clone()).to_string(),
            ..Session::default()
        },
        steps: Vec::new(),
        serial: 0,
    };
    add(&mut open, record, Limits::default().steps);
    close(open, false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(id: &str, kind: &str, seconds: i64) -> Record {
        Record {
            format: Format::Cowrie,
            session: Some(id.into()),
            kind: kind.into(),
            ts: Some(Nanos::from_seconds(seconds)),
            ..Record::default()
        }
    }

    #[test]
    fn the_oldest_makes_room_and_says_so() {
        let mut sessions = Sessions::new(Limits { open: 2, steps: 10 });
        assert_eq!(sessions.push(&record("a", "cowrie.session.connect", 1)), None);
        assert_eq!(sessions.push(&record("b", "cowrie.session.connect", 2)), None);
        let left = sessions.push(&record("c", "cowrie.session.connect", 3)).unwrap();
        assert!(left.id == "a" && left.truncated);
        let ended = sessions.push(&record("b", "cowrie.session.closed", 9)).unwrap();
        assert!(ended.id == "b" && !ended.truncated && ended.end == Nanos::from_seconds(9));
        assert_eq!(sessions.finish().len(), 1);
    }

    #[test]
    fn a_dialogue_without_end_is_cut() {
        let mut sessions = Sessions::new(Limits { open: 2, steps: 3 });
        for n in 0..100 {
            let mut typed = record("a", "cowrie.command.input", n);
            typed.command = Some(format!("echo {n}"));
            sessions.push(&typed);
        }
        let [session] = &sessions.finish()[..] else { panic!("one dialogue") };
        assert_eq!(session.commands, ["echo 0", "echo 1", "echo 2"]);
        assert!(session.truncated);
    }
}
