//! Blocklists (interfaces 4.22): plain text, CSV, nftables, JSON lines. Entries are [`Cleared`] addresses, so nothing
//! known from spoofable evidence only and nothing on a false-positive list can be in one.

use crate::gate::Cleared;
use crate::safe;
use noroshi_model::tlp::Tlp;
use noroshi_model::{Addr, Nanos};
use serde::Serialize;

/// Form of a blocklist.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// One address per line.
    Plain,
    /// With times, score and reasons.
    Csv,
    /// A script for `nft -f`.
    Nftables,
    /// One JSON object per line.
    JsonLines,
}

/// One address.
#[derive(Clone, PartialEq, Debug)]
pub struct Entry {
    /// Who.
    pub source: Cleared<Addr>,
    /// First seen.
    pub first: Nanos,
    /// Last seen.
    pub last: Nanos,
    /// 0 to 100.
    pub score: u8,
    /// Why.
    pub reasons: Vec<String>,
    /// Until when.
    pub expires: Nanos,
}

/// What stands at the head of a list.
#[derive(Clone, PartialEq, Debug)]
pub struct Head {
    /// Name of the list.
    pub name: String,
    /// When it was made.
    pub generated: Nanos,
    /// Label.
    pub tlp: Tlp,
    /// Who answers questions.
    pub contact: String,
    /// What puts an address on it.
    pub criteria: String,
}

#[derive(Serialize)]
struct Line<'e> {
    ip: Addr,
    first_seen: String,
    last_seen: String,
    score: u8,
    reasons: &'e [String],
    expires: String,
}

/// Writes the list. Entries that have expired are left out; addresses stand in order, each once.
pub fn write(head: &Head, entries: &[Entry], form: Form) -> String {
    let mut live: Vec<&Entry> = entries.iter().filter(|e| e.expires > head.generated).collect();
    live.sort_by_key(|e| (*e.source.get(), std::cmp::Reverse(e.expires)));
    live.dedup_by_key(|e| *e.source.get());
    match form {
        Form::Plain => plain(head, &live),
        Form::Csv => csv(&live),
        Form::Nftables => nftables(head, &live),
        Form::JsonLines => json_lines(&live),
    }
}

fn comment(head: &Head, count: usize, live: &[&Entry]) -> String {
    let expires = live.iter().map(|e| e.expires).min().unwrap_or(head.generated);
    let lines = [
        ("name", safe::line(&head.name)),
        ("generated", head.generated.rfc3339()),
        ("expires", expires.rfc3339()),
        ("tlp", head.tlp.label().to_owned()),
        ("count", count.to_string()),
        ("contact", safe::line(&head.contact)),
        ("criteria", safe::line(&head.criteria)),
    ];
    lines.iter().map(|(key, value)| format!("# {key}: {value}\n")).collect()
}

fn plain(head: &Head, live: &[&Entry]) -> String {
    let mut out = comment(head, live.len(), live);
    for entry in live {
        let addr = *entry.source.get();
        out.push_str(&format!("{addr}/{}\n", if addr.is_v4() { 32 } else { 128 }));
    }
    out
}

fn csv(live: &[&Entry]) -> String {
    let mut out = String::from("ip,first_seen,last_seen,score,reasons,expires\n");
    for entry in live {
        let reasons: Vec<String> = entry.reasons.iter().map(|r| safe::cell(r)).collect();
        let reasons = reasons.join("; ").replace('"', "\"\"");
        out.push_str(&format!(
            "{},{},{},{},\"{reasons}\",{}\n",
            entry.source.get(),
            entry.first.rfc3339(),
            entry.last.rfc3339(),
            entry.score,
            entry.expires.rfc3339()
        ));
    }
    out
}

fn nftables(head: &Head, live: &[&Entry]) -> String {
    let mut out = comment(head, live.len(), live);
    out.push_str("table inet noroshi {\n");
    for (set, kind, v4) in [("block4", "ipv4_addr", true), ("block6", "ipv6_addr", false)] {
        out.push_str(&format!("  set {set} {{\n    type {kind}\n    flags timeout\n"));
        let elements: Vec<String> = live
            .iter()
            .filter(|e| e.source.get().is_v4() == v4)
            .map(|e| {
                let seconds = (e.expires.seconds() - head.generated.seconds()).max(1);
                format!("{} timeout {seconds}s", e.source.get())
            })
            .collect();
        if !elements.is_empty() {
            out.push_str(&format!("    elements = {{\n      {}\n    }}\n", elements.join(",\n      ")));
        }
        out.push_str("  }\n");
    }
    out.push_str("}\n");
    out
}

fn json_lines(live: &[&Entry]) -> String {
    live.iter()
        .filter_map(|entry| {
            let line = Line {
                ip: *entry.source.get(),
                first_seen: entry.first.rfc3339(),
                last_seen: entry.last.rfc3339(),
                score: entry.score,
                reasons: &entry.reasons,
                expires: entry.expires.rfc3339(),
            };
            serde_json::to_string(&line).ok().map(|text| text + "\n")
        })
        .collect()
}
