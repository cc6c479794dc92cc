//! A report that a person can read: one sentence per fact, each with what it rests on.

use crate::Run;
use crate::behaviour::{Judgement, Kind, Verdict};
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// Parts of a report: what it is, what it does, whom it calls, what to block.
pub fn text(name: &str, run: &Run, judgement: &Judgement) -> String {
    let mut out = String::new();
    let verdict = match judgement.verdict {
        Verdict::Hostile => "hostile".to_owned(),
        Verdict::Inconclusive => format!("inconclusive: {}", judgement.because.join("; ")),
    };
    let _ = writeln!(out, "Sample {name}\n\nVerdict: {verdict}.");
    let _ = writeln!(out, "\nWhat it is");
    let _ = writeln!(out, "  A program for {} [ELF header].", run.architecture.name());
    let end = run.outcome.ended.clone().unwrap_or_else(|| {
        run.outcome
            .code
            .map_or_else(|| "it was ended by a signal".into(), |code| format!("it ended by itself with code {code}"))
    });
    let _ = writeln!(
        out,
        "  It ran for {:.1} s; {end} [{} system calls of {} processes, {} packets].",
        run.outcome.seconds,
        run.trace.counts.values().sum::<u64>(),
        run.trace.processes,
        run.seen.sent
    );
    let _ = writeln!(out, "\nWhat it does");
    if judgement.behaviours.is_empty() {
        let _ = writeln!(out, "  Nothing that a rule knows [all rules were tried].");
    }
    for one in &judgement.behaviours {
        let technique = one.technique.map_or(String::new(), |technique| format!(" ATT&CK {technique}."));
        let evasion = if one.kind == Kind::Evasion { " (evasion)" } else { "" };
        let _ = writeln!(out, "  {}{evasion}{technique} [{}]", one.text, printable(&one.evidence));
    }
    contacts(&mut out, run);
    block(&mut out, run);
    let _ = writeln!(out, "\nLimits of this report");
    let _ = writeln!(
        out,
        "  One run, in an emulator, facing a fake Internet: what it would do elsewhere or later was not seen."
    );
    out
}

fn contacts(out: &mut String, run: &Run) {
    let _ = writeln!(out, "\nWhom it calls");
    let named: Vec<_> = run.seen.conversations.iter().filter(|one| one.name.is_some()).collect();
    for one in named.iter().take(16) {
        let name = one.name.as_deref().unwrap_or_default();
        let _ = writeln!(
            out,
            "  {} {} port {} [{} connections, {} bytes].",
            printable(name),
            one.protocol,
            one.port,
            one.times,
            one.bytes
        );
    }
    for (name, times) in
        run.seen.names.iter().filter(|(name, _)| !named.iter().any(|one| one.name.as_ref() == Some(*name))).take(16)
    {
        let _ =
            writeln!(out, "  It asked for the name {} but did not speak to it [{times} questions].", printable(name));
    }
    if run.seen.names.is_empty() {
        let _ = writeln!(out, "  No name was asked for [0 questions].");
    }
}

fn block(out: &mut String, run: &Run) {
    let _ = writeln!(out, "\nWhat to block or search for");
    let mut lines = BTreeSet::new();
    lines.extend(
        run.seen
            .names
            .keys()
            .filter(|name| !name.ends_with(".sandbox.invalid"))
            .map(|name| format!("name {}", printable(name))),
    );
    lines.extend(run.seen.urls.iter().map(|url| format!("url {}", printable(url))));
    lines.extend(
        run.outcome
            .files
            .iter()
            .filter_map(|file| file.sha256.as_ref().map(|hash| format!("file {hash} ({})", printable(&file.path)))),
    );
    if lines.is_empty() {
        let _ = writeln!(out, "  Nothing.");
    }
    for line in lines.iter().take(64) {
        let _ = writeln!(out, "  {line}");
    }
}

/// Foreign text on one line, without control characters.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '.' } else { c }).take(400).collect()
}
