//! A report that a person can read: one sentence per fact, each with what it rests on.

use crate::Run;
use crate::behaviour::{Judgement, Kind, Verdict};
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// Lines of one list; a person reads no more, and `run.json` has all.
const LISTED_MAX: usize = 64;
/// Contacts that are told one by one.
const CONTACTS_MAX: usize = 16;

/// A part of a report.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Part {
    /// Its heading.
    pub heading: &'static str,
    /// Sentences, each with its evidence; foreign texts in them have no control characters.
    pub sentences: Vec<(String, String)>,
}

/// The report in parts: what came of it, what it did, whom it called, what to block, what this cannot say.
pub fn parts(run: &Run, judgement: &Judgement) -> Vec<Part> {
    let part = |heading, sentences| Part { heading, sentences };
    vec![
        part("What came of its run", course(run, judgement)),
        part("What it did (ATT&CK)", deeds(judgement)),
        part("Whom it called", contacts(run)),
        part("What to block or search for", block(run)),
        part(
            "Limits of this report",
            vec![(
                "What it would do elsewhere, later, or against the real Internet was not seen.".into(),
                "one run, in an emulator, facing a fake Internet".into(),
            )],
        ),
    ]
}

/// The report as plain text.
pub fn text(name: &str, run: &Run, judgement: &Judgement) -> String {
    let mut out = format!("Sample {}\n", printable(name));
    for part in parts(run, judgement) {
        let _ = writeln!(out, "\n{}", part.heading);
        for (text, evidence) in part.sentences {
            let _ = writeln!(out, "  {text} [{evidence}]");
        }
    }
    out
}

fn course(run: &Run, judgement: &Judgement) -> Vec<(String, String)> {
    let verdict = match judgement.verdict {
        Verdict::Hostile => {
            let names: BTreeSet<&str> =
                judgement.behaviours.iter().filter(|one| one.kind == Kind::Hostile).map(|one| one.name).collect();
            let names: Vec<&str> = names.into_iter().collect();
            ("Verdict: hostile.".to_owned(), format!("rules that held: {}", names.join(", ")))
        }
        Verdict::Inconclusive => (
            "Verdict: inconclusive; nothing hostile was seen, and that proves nothing.".to_owned(),
            printable(&judgement.because.join("; ")),
        ),
    };
    let end = match (&run.outcome.ended, run.outcome.code) {
        (Some(ended), _) => printable(ended),
        (None, Some(code)) => format!("it ended by itself with code {code}"),
        (None, None) => "it was ended by a signal".into(),
    };
    let calls: u64 = run.trace.counts.values().sum();
    vec![
        verdict,
        (
            format!("A program for {}, it ran for {:.1} s; {end}.", run.architecture.name(), run.outcome.seconds),
            format!("ELF header; {calls} system calls of {} processes, {} packets", run.trace.processes, run.seen.sent),
        ),
    ]
}

fn deeds(judgement: &Judgement) -> Vec<(String, String)> {
    if judgement.behaviours.is_empty() {
        return vec![("Nothing that a rule knows.".into(), "all rules were tried".into())];
    }
    let said = judgement.behaviours.iter().map(|one| {
        let technique = one.technique.map_or(String::new(), |technique| format!(" ATT&CK {technique}."));
        let evasion = if one.kind == Kind::Evasion { " (evasion)" } else { "" };
        (format!("{}{evasion}{technique}", printable(&one.text)), printable(&one.evidence))
    });
    said.collect()
}

/// The name by which the fake Internet proves itself to specimens; nobody else's.
fn own_name(name: &str) -> bool {
    name.ends_with(".sandbox.invalid")
}

fn contacts(run: &Run) -> Vec<(String, String)> {
    let named: Vec<_> = run.seen.conversations.iter().filter(|one| one.name.is_some()).collect();
    let mut said: Vec<(String, String)> = Vec::new();
    for one in named.iter().take(CONTACTS_MAX) {
        let name = printable(one.name.as_deref().unwrap_or_default());
        let times = if one.times == 1 { "once".to_owned() } else { format!("{} times", one.times) };
        said.push((
            format!("It connected to {name}, {} port {}, {times}.", one.protocol, one.port),
            format!("{} bytes in the capture, beginning \"{}\"", one.bytes, cut(&printable(&one.said), 40)),
        ));
    }
    let silent = run.seen.names.iter().filter(|(name, _)| !own_name(name));
    let silent = silent.filter(|(name, _)| !named.iter().any(|one| one.name.as_ref() == Some(*name)));
    for (name, times) in silent.take(CONTACTS_MAX) {
        let said_of = format!("It asked for the name {} but did not speak to it.", printable(name));
        said.push((said_of, format!("{times} questions in the capture")));
    }
    let others = run.seen.conversations.iter().filter(|one| one.name.is_none()).count();
    if others > 0 {
        said.push((
            format!("It spoke to {others} addresses that it had not looked up, as scanners do."),
            "conversations in run.json".into(),
        ));
    }
    if said.is_empty() {
        said.push(("It called nobody.".into(), "0 conversations, and no name was asked for".into()));
    }
    said
}

fn block(run: &Run) -> Vec<(String, String)> {
    let mut lines: Vec<(String, String)> = Vec::new();
    let names = run.seen.names.keys().filter(|name| !own_name(name));
    lines.extend(names.map(|name| (format!("The name {}.", printable(name)), "asked for in the capture".into())));
    lines.extend(
        run.seen
            .urls
            .iter()
            .map(|url| (format!("The place {}.", printable(url)), "an HTTP request in the capture".into())),
    );
    lines.extend(run.outcome.files.iter().filter_map(|file| {
        let hash = file.sha256.as_ref()?;
        Some((format!("The file {hash}."), format!("left behind as {}", printable(&file.path))))
    }));
    lines.truncate(LISTED_MAX);
    if lines.is_empty() {
        lines.push(("Nothing that others would have too.".into(), "no name, no place, no file".into()));
    }
    lines
}

/// Foreign text on one line, without control characters.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '.' } else { c }).take(400).collect()
}

fn cut(text: &str, chars: usize) -> String {
    text.chars().take(chars).collect()
}
