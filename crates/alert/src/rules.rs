//! Rules: which incidents are told at once, which wait for a digest, which are nobody's concern.
//!
//! The first rule that matches decides. [`defaults`] serve without any configuration.

use noroshi_model::alert::Severity;
use noroshi_model::finding::Victim;
use noroshi_model::incident::{Incident, IncidentKind};
use noroshi_model::member::MemberId;
use noroshi_model::{Nanos, Prefix};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What a rule does.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Tell at once, within the recipient's limits.
    Alert,
    /// Tell once a day, together with others.
    Daily,
    /// Tell nobody; the incident is kept and looked at again when it grows.
    Ignore,
}

/// One rule. Every condition that is given must hold; a condition that is not given always holds.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Name for people, unique.
    pub name: String,
    /// Only these members.
    #[serde(default)]
    pub members: BTreeSet<MemberId>,
    /// Only these kinds of incident.
    #[serde(default)]
    pub kinds: BTreeSet<IncidentKind>,
    /// At least this bad.
    #[serde(default = "lowest")]
    pub severity_min: Severity,
    /// At least so many packets.
    #[serde(default)]
    pub packets_min: u64,
    /// At least so sure, 0 to 1.
    #[serde(default)]
    pub confidence_min: f64,
    /// Only subjects inside these networks.
    #[serde(default)]
    pub networks: Vec<Prefix>,
    /// What to do.
    pub action: Action,
}

fn lowest() -> Severity {
    Severity::Info
}

/// Below this confidence (0 to 1) an incident waits for the daily digest: as likely wrong as right is no reason to
/// wake anybody. Ours; lower means more mail and more false ones.
pub const CONFIDENCE_ALERT_MIN: f64 = 0.5;

/// Rules that serve without configuration.
pub fn defaults() -> Vec<Rule> {
    let any = Rule {
        name: String::new(),
        members: BTreeSet::new(),
        kinds: BTreeSet::new(),
        severity_min: Severity::Info,
        packets_min: 0,
        confidence_min: 0.0,
        networks: Vec::new(),
        action: Action::Daily,
    };
    vec![
        Rule { name: "mistyped-addresses-daily".into(), kinds: [IncidentKind::Misconfiguration].into(), ..any.clone() },
        Rule {
            name: "warn-at-once".into(),
            severity_min: Severity::Low,
            confidence_min: CONFIDENCE_ALERT_MIN,
            action: Action::Alert,
            ..any.clone()
        },
        Rule { name: "the-rest-daily".into(), ..any },
    ]
}

/// Whether a network, given as a prefix, holds the whole subject.
pub fn holds(network: Prefix, subject: Victim) -> bool {
    match subject {
        Victim::Address(addr) => network.contains(addr),
        Victim::Network(inner) => network.contains(inner.first()) && network.contains(inner.last()),
    }
}

impl Rule {
    /// Whether every condition holds.
    pub fn matches(&self, incident: &Incident) -> bool {
        (self.members.is_empty() || self.members.contains(&incident.member))
            && (self.kinds.is_empty() || self.kinds.contains(&incident.kind))
            && incident.severity >= self.severity_min
            && incident.packets >= self.packets_min
            && incident.confidence >= self.confidence_min
            && (self.networks.is_empty() || self.networks.iter().any(|n| holds(*n, incident.subject)))
    }
}

/// Which rule decides about an incident, and what it does; nothing matches means nobody is told.
pub fn decide<'r>(rules: &'r [Rule], incident: &Incident) -> (Action, &'r str) {
    rules.iter().find(|rule| rule.matches(incident)).map_or((Action::Ignore, ""), |r| (r.action, r.name.as_str()))
}

/// What a rule would have done with past incidents.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Preview {
    /// Incidents looked at.
    pub incidents: u64,
    /// This rule would have decided about.
    pub decided: u64,
    /// Of these, told at once.
    pub at_once: u64,
    /// Of these, told in a daily digest.
    pub daily: u64,
}

/// "This rule would have sent 12": puts `candidate` in front of the rules that are there.
pub fn preview<'i>(candidate: &Rule, past: impl IntoIterator<Item = &'i Incident>) -> Preview {
    let mut seen = Preview::default();
    for incident in past {
        seen.incidents += 1;
        if candidate.matches(incident) {
            seen.decided += 1;
            match candidate.action {
                Action::Alert => seen.at_once += 1,
                Action::Daily => seen.daily += 1,
                Action::Ignore => {}
            }
        }
    }
    seen
}

/// Silence about something, for a while, for a stated reason.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Suppression {
    /// About this member only.
    #[serde(default)]
    pub member: Option<MemberId>,
    /// About this kind only.
    #[serde(default)]
    pub kind: Option<IncidentKind>,
    /// About subjects inside this network only.
    #[serde(default)]
    pub network: Option<Prefix>,
    /// Until when. There is no silence for ever.
    pub until: Nanos,
    /// Why.
    pub comment: String,
}

impl Suppression {
    /// Whether it silences this incident now.
    pub fn covers(&self, incident: &Incident, now: Nanos) -> bool {
        now < self.until
            && self.member.as_ref().is_none_or(|m| *m == incident.member)
            && self.kind.is_none_or(|k| k == incident.kind)
            && self.network.is_none_or(|n| holds(n, incident.subject))
    }
}
