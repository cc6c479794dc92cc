//! What a message says, in the reader's language, before it becomes mail, chat or log.

use crate::catalogue::{self, Catalogue};
use crate::gate::Cleared;
use crate::safe;
use crate::ticket::{Links, Places};
use noroshi_model::Nanos;
use noroshi_model::alert::{Alert, AlertKind};
use noroshi_model::finding::Victim;
use noroshi_model::incident::{Incident, IncidentKind};
use noroshi_model::packet::Evidence;
use serde::Serialize;

/// Incidents of one message that are told in full; the others get one line each.
pub const FULL_MAX: usize = 20;

/// A message in words.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Document {
    /// BCP 47 language.
    pub language: &'static str,
    /// One line.
    pub subject: String,
    /// What this message is.
    pub lead: String,
    /// TLP label.
    pub tlp: &'static str,
    /// Incidents in full.
    pub items: Vec<Item>,
    /// One line for each further incident.
    pub more: Vec<String>,
    /// How many further ones, in words; empty when none.
    pub more_title: String,
    /// Titles of the parts.
    pub titles: Titles,
    /// Why the reader gets this.
    pub footer: String,
}

/// Titles of the parts of an item.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[allow(missing_docs)]
pub struct Titles {
    pub evidence: String,
    pub advice: String,
    pub feedback: String,
    pub programs: String,
}

/// One incident in words.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Item {
    /// What happens to whom.
    pub heading: String,
    /// Severity in words.
    pub severity: String,
    /// Severity by name, for colours.
    pub severity_name: &'static str,
    /// Label and value.
    pub facts: Vec<(String, String)>,
    /// What witnesses say.
    pub evidence: Vec<String>,
    /// What to do.
    pub advice: Vec<String>,
    /// Page that shows it and takes an answer; none without a public address.
    pub link: Option<String>,
    /// Where programs answer.
    pub api: Option<String>,
}

/// Writes an alert down.
pub fn write(alert: &Cleared<Alert>, member_name: &str, links: Option<&Links>) -> Document {
    let words = catalogue::of(alert.language);
    let member = safe::line(member_name);
    let count = alert.incidents.len().to_string();
    let severity = words.say(&format!("severity.{}", alert.severity));
    let first = alert.incidents.first();
    let kind = first.map(|i| words.say(&format!("kind.{}", i.kind))).unwrap_or_default();
    let subject = first.map(|i| i.subject.to_string()).unwrap_or_default();
    let values = [
        ("tlp", alert.tlp.label()),
        ("severity", severity.as_str()),
        ("kind", kind.as_str()),
        ("subject", subject.as_str()),
        ("count", count.as_str()),
        ("member", member.as_str()),
    ];
    let further = alert.incidents.len().saturating_sub(FULL_MAX).to_string();
    let more: Vec<String> = alert.incidents.iter().skip(FULL_MAX).map(|i| short(words, i)).collect();
    Document {
        language: alert.language.name(),
        subject: words.fill(&format!("subject.{}", alert.kind), &values),
        lead: words.fill(&format!("lead.{}", alert.kind), &values),
        tlp: alert.tlp.label(),
        items: alert.incidents.iter().take(FULL_MAX).map(|i| item(words, alert, i, links)).collect(),
        more_title: if more.is_empty() { String::new() } else { words.fill("word.more", &[("count", &further)]) },
        more,
        titles: Titles {
            evidence: words.say("word.evidence"),
            advice: words.say("word.advice"),
            feedback: words.say("word.feedback"),
            programs: words.say("word.programs"),
        },
        footer: words.fill("word.footer", &values),
    }
}

/// One line about an incident.
fn short(words: &Catalogue, incident: &Incident) -> String {
    let severity = words.say(&format!("severity.{}", incident.severity));
    let kind = words.say(&format!("kind.{}", incident.kind));
    format!("{severity}: {kind}: {} ({})", incident.subject, seconds(incident.first))
}

/// Whole seconds: finer times would tell single packets, and with them sensors, apart.
fn seconds(at: Nanos) -> String {
    Nanos::from_seconds(at.seconds()).rfc3339()
}

fn item(words: &Catalogue, alert: &Alert, incident: &Incident, links: Option<&Links>) -> Item {
    let places = links.map(|links| links.places(&alert.id, &incident.id, alert.created));
    let (link, api) = places.map(|Places { page, api }| (page, api)).unzip();
    let evidence = incident.testimonies.iter().map(|said| {
        let by = safe::shown(&said.by);
        format!("{} ({by})", safe::shown(&said.text))
    });
    Item {
        heading: format!("{}: {}", words.say(&format!("kind.{}", incident.kind)), incident.subject),
        severity: words.say(&format!("severity.{}", incident.severity)),
        severity_name: incident.severity.name(),
        facts: facts(words, incident),
        evidence: evidence.collect(),
        advice: match alert.kind {
            AlertKind::Continuing => Vec::new(),
            _ => words.list(&format!("advice.{}", incident.kind)).to_vec(),
        },
        link,
        api,
    }
}

fn joined<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    items.into_iter().map(|i| i.to_string()).collect::<Vec<_>>().join(", ")
}

fn facts(words: &Catalogue, incident: &Incident) -> Vec<(String, String)> {
    let rate = |pps: f64| words.fill("value.packets_per_second", &[("rate", &format!("{pps:.0}"))]);
    let named = |prefix: &str, name: &str| words.say(&format!("value.{prefix}_{name}"));
    let proof = match incident.proof {
        Evidence::Spoofable => "spoofable",
        Evidence::ChallengeVerified => "challenge_verified",
        Evidence::Handshake => "handshake",
    };
    let hurts = matches!(incident.kind, IncidentKind::Attack | IncidentKind::Precursor);
    let peers = if hurts { "peers_attack" } else { "peers_infection" };
    let attack = || {
        let kinds = joined(incident.attack_kinds.iter().map(|k| named("attack", k.name())));
        let vectors = joined(&incident.vectors);
        if vectors.is_empty() { kinds } else { format!("{vectors}: {kinds}") }
    };
    let facts = [
        ("subject", Some(incident.subject.to_string())),
        ("class", some_text(joined(incident.classes.iter().map(|c| named("class", c.name()))))),
        ("attack", (!incident.attack_kinds.is_empty()).then(attack)),
        ("ports", some_text(joined(&incident.ports))),
        ("tools", some_text(joined(&incident.tools))),
        ("packets", Some(incident.packets.to_string())),
        (peers, (incident.peers > 0).then(|| incident.peers.to_string())),
        ("rate", (incident.peak_pps > 0.0).then(|| rate(incident.peak_pps))),
        ("estimate", incident.estimated_pps.map(rate)),
        ("probability", incident.probability.map(|p| format!("{:.0} %", p * 100.0))),
        ("first", Some(seconds(incident.first))),
        ("last", Some(seconds(incident.last))),
        ("confidence", Some(format!("{:.0} %", incident.confidence * 100.0))),
        // A victim's address needs no proof; an attacking host's does.
        ("proof", (!hurts).then(|| named("proof", proof))),
        ("incident", Some(incident.id.clone())),
    ];
    facts.into_iter().filter_map(|(key, value)| Some((words.say(&format!("fact.{key}")), value?))).collect()
}

fn some_text(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

/// The subject as prefix or address, for those who need to know which.
pub fn subject_kind(subject: Victim) -> &'static str {
    match subject {
        Victim::Address(_) => "address",
        Victim::Network(_) => "network",
    }
}
