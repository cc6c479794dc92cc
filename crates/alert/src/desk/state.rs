//! The desk's state as plain data.

use super::limits::{DAY_SECONDS, Limits};
use crate::rules::Action;
use crate::statement::Statement;
use noroshi_model::Nanos;
use noroshi_model::alert::{RecipientId, Severity};
use noroshi_model::finding::Victim;
use noroshi_model::incident::{Incident, IncidentKind, IncidentState, PORTS_MAX};
use noroshi_model::member::MemberId;
use noroshi_model::time::SECOND;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;

/// What makes two statements be about the same thing.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Slot {
    /// Whose.
    pub member: MemberId,
    /// What happens.
    pub kind: IncidentKind,
    /// To which address or network.
    pub subject: Victim,
}

impl Slot {
    pub(super) fn of(statement: &Statement) -> Self {
        Slot { member: statement.member.clone(), kind: statement.kind, subject: statement.subject }
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}|{}|{}", self.member, self.kind, self.subject)
    }
}

impl serde::Serialize for Slot {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Slot {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        let bad = || serde::de::Error::custom(format!("\"{text}\" is not member|kind|subject"));
        let mut parts = text.splitn(3, '|');
        let (Some(member), Some(kind), Some(subject)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(bad());
        };
        let kind = IncidentKind::ALL.iter().copied().find(|k| k.name() == kind).ok_or_else(bad)?;
        let subject = match subject.contains('/') {
            true => Victim::Network(subject.parse().map_err(|_| bad())?),
            false => Victim::Address(subject.parse().map_err(|_| bad())?),
        };
        Ok(Slot { member: MemberId(member.to_owned()), kind, subject })
    }
}

/// An incident and who heard of it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Tracked {
    /// The incident.
    pub incident: Incident,
    /// Recipients that have been told.
    pub told: BTreeSet<RecipientId>,
    /// Recipients whose next digest will tell.
    pub waiting: BTreeSet<RecipientId>,
    /// When the desk last heard of it, which is later than it happened where data arrives late.
    #[serde(default)]
    pub heard: Option<Nanos>,
}

impl Tracked {
    /// What it is about.
    pub fn slot(&self) -> Slot {
        Slot { member: self.incident.member.clone(), kind: self.incident.kind, subject: self.incident.subject }
    }

    /// When it was last heard of, or last happened.
    pub(super) fn stirred(&self) -> Nanos {
        self.heard.map_or(self.incident.last, |heard| heard.max(self.incident.last))
    }

    pub(super) fn open(statement: &Statement, id: String, now: Nanos) -> Self {
        let said = &statement.testimony;
        let incident = Incident {
            id,
            member: statement.member.clone(),
            kind: statement.kind,
            subject: statement.subject,
            state: IncidentState::Open,
            severity: statement.severity,
            tlp: statement.tlp,
            first: said.first,
            last: said.last,
            packets: 0,
            peers: 0,
            ports: BTreeSet::new(),
            attack_kinds: BTreeSet::new(),
            vectors: BTreeSet::new(),
            tools: BTreeSet::new(),
            classes: BTreeSet::new(),
            peak_pps: 0.0,
            estimated_pps: None,
            confidence: said.confidence,
            proof: said.proof,
            probability: None,
            testimonies: Vec::new(),
        };
        let mut tracked = Tracked { incident, told: BTreeSet::new(), waiting: BTreeSet::new(), heard: None };
        tracked.hear(statement, now);
        tracked
    }

    /// Takes in one more statement. Nothing ever shrinks, so order does not matter, except for "it is over".
    pub(super) fn hear(&mut self, statement: &Statement, now: Nanos) {
        self.heard = Some(self.heard.map_or(now, |heard| heard.max(now)));
        let incident = &mut self.incident;
        incident.hear(statement.testimony.clone());
        incident.state = if statement.over { IncidentState::Closed } else { IncidentState::Open };
        incident.severity = incident.severity.max(statement.severity);
        incident.tlp = incident.tlp.join(statement.tlp);
        incident.peers = incident.peers.max(statement.peers);
        for port in &statement.ports {
            if incident.ports.len() < PORTS_MAX {
                incident.ports.insert(*port);
            }
        }
        if let Some((kind, vector)) = statement.attack {
            incident.attack_kinds.insert(kind);
            incident.vectors.insert(vector);
        }
        incident.tools.extend(statement.tool);
        incident.classes.extend(statement.class);
        incident.peak_pps = incident.peak_pps.max(statement.peak_pps);
        incident.estimated_pps = match (incident.estimated_pps, statement.estimated_pps) {
            (Some(a), Some(b)) => Some(a.max(b)),
            (a, b) => a.or(b),
        };
        incident.probability = match (incident.probability, statement.probability) {
            (Some(a), Some(b)) => Some(a.max(b)),
            (a, b) => a.or(b),
        };
    }
}

/// An incident that waits for a digest.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Pending {
    /// Not in a digest before.
    pub not_before: Nanos,
    /// The rule that put it there.
    pub rule: String,
}

/// What a recipient got and waits for.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Mailbox {
    /// The next immediate message below critical may go.
    pub immediate_next: Nanos,
    /// Times of the latest messages about critical incidents, at most as many as the allowance.
    pub criticals: VecDeque<Nanos>,
    /// The next digest may go.
    pub digest_next: Nanos,
    /// The next mention of what goes on is due; none when nothing has been told.
    pub continuing_next: Option<Nanos>,
    /// What waits.
    pub pending: BTreeMap<Slot, Pending>,
}

impl Mailbox {
    /// Uses the allowance for an immediate message, if there is one left.
    pub(super) fn take_immediate(&mut self, severity: Severity, now: Nanos, limits: &Limits) -> bool {
        if severity == Severity::Critical {
            let minute_ago = Nanos(now.0.saturating_sub(60 * SECOND));
            self.criticals.retain(|sent| *sent > minute_ago);
            if self.criticals.len() < limits.critical_per_minute {
                self.criticals.push_back(now);
                return true;
            }
            return false;
        }
        if now >= self.immediate_next {
            self.immediate_next = Nanos(now.0.saturating_add(limits.immediate_interval_seconds * SECOND));
            return true;
        }
        false
    }

    /// Puts an incident on the list for a digest. What waits for a daily one moves up when a rule now says "at once".
    pub(super) fn wait(&mut self, slot: &Slot, action: Action, rule: &str, now: Nanos, limits: &Limits) {
        let delay = match action {
            Action::Daily => DAY_SECONDS - now.seconds().rem_euclid(DAY_SECONDS),
            Action::Alert | Action::Ignore => limits.digest_gather_seconds,
        };
        let not_before = Nanos(now.0.saturating_add(delay * SECOND));
        let known = self.pending.entry(slot.clone());
        let pending = known.or_insert_with(|| Pending { not_before, rule: rule.to_owned() });
        if not_before < pending.not_before {
            *pending = Pending { not_before, rule: rule.to_owned() };
        }
    }

    /// Notes that something was told.
    pub(super) fn told(&mut self, now: Nanos, limits: &Limits) {
        self.continuing_next.get_or_insert(Nanos(now.0.saturating_add(limits.continuing_seconds * SECOND)));
    }

    /// When the next message may be due.
    pub(super) fn due(&self) -> Option<Nanos> {
        let digest = self.pending.values().map(|p| p.not_before).min().map(|at| at.max(self.digest_next));
        [digest, self.continuing_next].into_iter().flatten().min()
    }
}

/// What changed at the desk.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Changes {
    /// Incidents by slot; none when it is no longer kept.
    pub incidents: Vec<(Slot, Option<Tracked>)>,
    /// Recipients.
    pub mailboxes: Vec<(RecipientId, Mailbox)>,
    /// Incidents that are over, for history and statistics.
    pub closed: Vec<Tracked>,
}
