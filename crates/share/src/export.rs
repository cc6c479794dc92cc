//! From a published report to files: what may leave, in the form that is asked for.
//!
//! [`select`] passes a report through the gate once and counts what it withheld, with the reason; every form is made
//! from that selection.

use crate::gate::{Cleared, Gate, Withheld};
use crate::lists::blocklist::{self, Entry, Form, Head};
use crate::lists::{flowspec, shadowserver};
use crate::stix::{self, Bundle, Producer};
use crate::{misp, safe};
use noroshi_model::finding::{Attack, Campaign, Label, Victim};
use noroshi_model::packet::Evidence;
use noroshi_model::report::{BruteForce, Report};
use noroshi_model::time::SECOND;
use noroshi_model::{Addr, Nanos};
use std::collections::BTreeMap;

/// Days that a blocklist entry lives after the source was last seen. Ours: most such addresses are leased.
pub const BLOCK_DAYS: i64 = 7;

/// What of a report may leave.
#[derive(Clone, Debug, Default)]
pub struct Selection<'r> {
    /// Attacks whose victims may be named.
    pub attacks: Vec<(&'r Attack, Cleared<Victim>)>,
    /// Campaigns, without their sources.
    pub campaigns: Vec<&'r Campaign>,
    /// Proven sources of logins.
    pub brute_force: Vec<(&'r BruteForce, Cleared<Addr>)>,
    /// Reason to number of findings that do not leave.
    pub withheld: BTreeMap<String, u64>,
}

impl Selection<'_> {
    fn withhold(&mut self, reason: &Withheld) {
        *self.withheld.entry(reason.to_string()).or_default() += 1;
    }
}

/// How far a report proves a source. A source that the report does not list, or lists as spoofable, is spoofable.
fn proof(report: &Report, source: Addr) -> Evidence {
    match report.sources.iter().find(|s| s.address == source) {
        Some(known) if !known.labels.contains(&Label::Spoofable) => Evidence::Handshake,
        _ => Evidence::Spoofable,
    }
}

/// Passes a report through the gate.
pub fn select<'r>(report: &'r Report, gate: &Gate) -> Selection<'r> {
    let mut selection = Selection { campaigns: report.campaigns.iter().collect(), ..Selection::default() };
    for attack in &report.attacks {
        match gate.victim(attack.victim) {
            Ok(victim) => selection.attacks.push((attack, victim)),
            Err(reason) => selection.withhold(&reason),
        }
    }
    for seen in &report.brute_force {
        match gate.attacker(seen.source, proof(report, seen.source)) {
            Ok(source) => selection.brute_force.push((seen, source)),
            Err(reason) => selection.withhold(&reason),
        }
    }
    for scan in &report.scans {
        // A scan without a dialogue names nobody; it is counted here so that the reader knows.
        if let Err(reason) = gate.attacker(scan.source, proof(report, scan.source)) {
            selection.withhold(&reason);
        }
    }
    selection
}

/// A STIX bundle.
pub fn stix(selection: &Selection<'_>, gate: &Gate, producer: Producer) -> Bundle {
    let mut exporter = stix::Exporter::new(producer);
    for (attack, victim) in &selection.attacks {
        exporter.attack(&Attack { reason: gate.text(&attack.reason), ..(*attack).clone() }, victim);
    }
    for campaign in &selection.campaigns {
        exporter.campaign(&Campaign { reason: gate.text(&campaign.reason), ..(*campaign).clone() });
    }
    for (seen, source) in &selection.brute_force {
        exporter.brute_force(source, seen);
    }
    let description = format!("{} attacks and {} campaigns", selection.attacks.len(), selection.campaigns.len());
    exporter.finish("Observations of Internet-wide attacks", &description)
}

/// A MISP event.
pub fn misp(selection: &Selection<'_>, gate: &Gate, producer: &Producer, title: &str) -> misp::event::File {
    let mut exporter = misp::export::Exporter::new(&producer.name, producer.tlp, producer.created);
    for (attack, victim) in &selection.attacks {
        exporter.attack(&Attack { reason: gate.text(&attack.reason), ..(*attack).clone() }, victim);
    }
    for (seen, source) in &selection.brute_force {
        exporter.brute_force(source, seen);
    }
    exporter.finish(title)
}

/// A blocklist.
pub fn blocklist(selection: &Selection<'_>, head: &Head, form: Form) -> String {
    let entries: Vec<Entry> = selection
        .brute_force
        .iter()
        .map(|(seen, source)| Entry {
            source: source.clone(),
            first: seen.first,
            last: seen.last,
            // Ours: ten attempts are the least that count, a thousand leave no doubt.
            score: (seen.attempts.min(1_000) / 20 + 50) as u8,
            reasons: vec![format!("{} login attempts on {}", seen.attempts, safe::line(&seen.service))],
            expires: Nanos(seen.last.0.saturating_add(BLOCK_DAYS * 86_400 * SECOND)),
        })
        .collect();
    blocklist::write(head, &entries, form)
}

/// Flowspec rules.
pub fn flowspec(selection: &Selection<'_>, guards: &flowspec::Guards, now: Nanos) -> flowspec::Rules {
    flowspec::write(selection.attacks.iter().map(|(attack, victim)| (*attack, victim.clone())), guards, now)
}

/// Shadowserver's files.
pub fn shadowserver(selection: &Selection<'_>, now: Nanos) -> Result<Vec<shadowserver::File>, csv::Error> {
    let mut files = shadowserver::targets(&selection.attacks, now)?;
    files.extend(shadowserver::brute_force(&selection.brute_force, now)?);
    Ok(files)
}
