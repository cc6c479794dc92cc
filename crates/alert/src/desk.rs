//! The desk where incidents are kept and messages decided.
//!
//! Promises, for any order and cutting of its input:
//! - a member hears only of its own incidents, and of none whose label exceeds its ceiling;
//! - each incident is told to each recipient exactly once (in an immediate message or in one digest); while it goes on
//!   it is mentioned again in a *continuing* message once a day;
//! - a recipient gets at most one immediate message a minute, ten more for critical incidents, and one digest a minute.
//!
//! Silence counts from when the desk last heard of an incident, so that data which arrives late does not open and close
//! one incident again and again.
//!
//! All state is plain data in [`Tracked`] and [`Mailbox`]. [`Desk::changes`] gives what changed since the last call:
//! the caller stores it in the transaction that stores the messages, and [`Desk::restore`]s from it after a crash.

mod limits;
mod state;

pub use limits::Limits;
pub use state::{Changes, Mailbox, Pending, Slot, Tracked};

use crate::rules::{self, Action, Rule, Suppression};
use crate::{Statement, quiet};
use noroshi_model::Nanos;
use noroshi_model::alert::{Alert, AlertKind, RecipientId, Severity};
use noroshi_model::incident::{IncidentKind, IncidentState};
use noroshi_model::member::{Channel, Member, Registry};
use noroshi_model::time::SECOND;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use uuid::Uuid;

/// Namespace of our UUIDs, itself the version 5 UUID of "noroshi" in the URL namespace.
const NAMESPACE: Uuid = Uuid::from_u128(0x0b1f_5c5e_8a0e_5a5d_9d2c_6e6f_726f_7368);

/// Decides who hears what, when.
#[derive(Clone, Debug)]
pub struct Desk {
    registry: Arc<Registry>,
    rules: Vec<Rule>,
    suppressions: Vec<Suppression>,
    limits: Limits,
    incidents: BTreeMap<Slot, Tracked>,
    mailboxes: BTreeMap<RecipientId, Mailbox>,
    changed_incidents: BTreeSet<Slot>,
    changed_mailboxes: BTreeSet<RecipientId>,
    closed: Vec<Tracked>,
    next_sweep: Nanos,
    refused: u64,
}

impl Desk {
    /// An empty desk. Without rules, [`rules::defaults`] hold.
    pub fn new(registry: Arc<Registry>, rules: Vec<Rule>, suppressions: Vec<Suppression>, limits: Limits) -> Self {
        let rules = if rules.is_empty() { rules::defaults() } else { rules };
        Desk {
            registry,
            rules,
            suppressions,
            limits,
            incidents: BTreeMap::new(),
            mailboxes: BTreeMap::new(),
            changed_incidents: BTreeSet::new(),
            changed_mailboxes: BTreeSet::new(),
            closed: Vec::new(),
            next_sweep: Nanos(i64::MIN),
            refused: 0,
        }
    }

    /// Takes back what [`Desk::changes`] gave.
    pub fn restore(
        &mut self,
        incidents: impl IntoIterator<Item = Tracked>,
        mailboxes: impl IntoIterator<Item = (RecipientId, Mailbox)>,
    ) {
        self.incidents = incidents.into_iter().map(|tracked| (tracked.slot(), tracked)).collect();
        self.mailboxes = mailboxes.into_iter().collect();
    }

    /// What changed since the last call.
    pub fn changes(&mut self) -> Changes {
        let incidents = std::mem::take(&mut self.changed_incidents);
        let mailboxes = std::mem::take(&mut self.changed_mailboxes);
        Changes {
            incidents: incidents.into_iter().map(|slot| (slot.clone(), self.incidents.get(&slot).cloned())).collect(),
            mailboxes: mailboxes
                .into_iter()
                .filter_map(|r| Some((r.clone(), self.mailboxes.get(&r)?.clone())))
                .collect(),
            closed: std::mem::take(&mut self.closed),
        }
    }

    /// Whether [`Desk::changes`] would give anything.
    pub fn changed(&self) -> bool {
        !self.changed_incidents.is_empty() || !self.changed_mailboxes.is_empty() || !self.closed.is_empty()
    }

    /// Open incidents.
    pub fn incidents(&self) -> impl Iterator<Item = &Tracked> {
        self.incidents.values()
    }

    /// How many tellings wait for a digest.
    pub fn waiting(&self) -> usize {
        self.mailboxes.values().map(|mailbox| mailbox.pending.len()).sum()
    }

    /// Statements that opened nothing because [`Limits::incidents_max`] was reached.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// Adds a suppression.
    pub fn suppress(&mut self, suppression: Suppression) {
        self.suppressions.push(suppression);
    }

    /// Takes in one statement; returns the messages that go out at once.
    pub fn hear(&mut self, statement: &Statement, now: Nanos) -> Vec<Alert> {
        let registry = self.registry.clone();
        let Some(member) = registry.get(&statement.member) else { return Vec::new() };
        let slot = Slot::of(statement);
        let full = self.incidents.len() >= self.limits.incidents_max;
        match self.incidents.get_mut(&slot) {
            Some(tracked) => tracked.hear(statement, now),
            None if full => {
                self.refused += 1;
                return Vec::new();
            }
            // Closing what was never opened concerns nobody.
            None if statement.over => return Vec::new(),
            None => {
                let seed = format!("{slot}|{}", statement.testimony.first.0);
                let id = Uuid::new_v5(&NAMESPACE, seed.as_bytes());
                self.incidents.insert(slot.clone(), Tracked::open(statement, id.to_string(), now));
            }
        }
        self.changed_incidents.insert(slot.clone());
        self.notify(member, &slot, now)
    }

    /// Lets time pass: digests fall due, silent incidents close, continuing ones are mentioned.
    pub fn tick(&mut self, now: Nanos) -> Vec<Alert> {
        let mut alerts = self.unsilenced(now);
        let recipients: Vec<RecipientId> = self.mailboxes.keys().cloned().collect();
        for recipient in recipients {
            alerts.extend(self.digest(&recipient, now));
            alerts.extend(self.continuing(&recipient, now));
        }
        if now >= self.next_sweep {
            self.next_sweep = Nanos(now.0.saturating_add(self.limits.sweep_seconds * SECOND));
            self.close_silent(now);
        }
        alerts
    }

    /// When [`Desk::tick`] has something to send at the earliest; closing does not count.
    pub fn due(&self) -> Option<Nanos> {
        self.mailboxes.values().filter_map(Mailbox::due).min()
    }

    /// Tells every channel of the member that has not been told, as rules and limits allow.
    fn notify(&mut self, member: &Member, slot: &Slot, now: Nanos) -> Vec<Alert> {
        let Some(tracked) = self.incidents.get(slot) else { return Vec::new() };
        let incident = &tracked.incident;
        if incident.tlp > member.tlp_ceiling || self.suppressions.iter().any(|s| s.covers(incident, now)) {
            return Vec::new();
        }
        let (action, rule) = rules::decide(&self.rules, incident);
        let (severity, rule) = (incident.severity, rule.to_owned());
        if action == Action::Ignore {
            return Vec::new();
        }
        let quiet = quiet::now(member, now).is_some_and(|hours| severity < hours.except);
        let mut alerts = Vec::new();
        for channel in member.channels.iter().filter(|c| severity >= c.severity_min) {
            let recipient = RecipientId::new(&member.id, &channel.name);
            let Some(tracked) = self.incidents.get_mut(slot) else { break };
            if tracked.told.contains(&recipient) {
                continue;
            }
            let mailbox = self.mailboxes.entry(recipient.clone()).or_default();
            self.changed_mailboxes.insert(recipient.clone());
            if action == Action::Alert && !quiet && mailbox.take_immediate(severity, now, &self.limits) {
                mailbox.pending.remove(slot);
                mailbox.told(now, &self.limits);
                tracked.waiting.remove(&recipient);
                tracked.told.insert(recipient.clone());
                self.changed_incidents.insert(slot.clone());
                let incidents = vec![tracked.incident.clone()];
                alerts.push(self.alert(recipient, member, AlertKind::Immediate, &rule, incidents, now));
                continue;
            }
            if tracked.waiting.insert(recipient) {
                self.changed_incidents.insert(slot.clone());
            }
            mailbox.wait(slot, action, &rule, now, &self.limits);
        }
        alerts
    }

    /// One digest of what waits and may be told now, worst first.
    fn digest(&mut self, recipient: &RecipientId, now: Nanos) -> Option<Alert> {
        let registry = self.registry.clone();
        let mailbox = self.mailboxes.get_mut(recipient)?;
        if mailbox.pending.is_empty() || now < mailbox.digest_next {
            return None;
        }
        let Some((member, channel)) = find_channel(&registry, recipient) else {
            // The channel was taken out of the configuration: nobody waits any more.
            let slots: Vec<Slot> = std::mem::take(&mut mailbox.pending).into_keys().collect();
            self.changed_mailboxes.insert(recipient.clone());
            for slot in slots {
                self.stop_waiting(&slot, recipient);
            }
            return None;
        };
        let quiet = quiet::now(member, now);
        let mut ready: Vec<(Severity, Slot, String)> = Vec::new();
        for (slot, pending) in &mailbox.pending {
            let Some(tracked) = self.incidents.get(slot) else { continue };
            let incident = &tracked.incident;
            let silent = quiet.is_some_and(|hours| incident.severity < hours.except)
                || self.suppressions.iter().any(|s| s.covers(incident, now));
            if pending.not_before <= now && !silent && incident.severity >= channel.severity_min {
                ready.push((incident.severity, slot.clone(), pending.rule.clone()));
            }
        }
        if ready.is_empty() {
            return None;
        }
        ready.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
        ready.truncate(self.limits.digest_incidents_max);
        mailbox.digest_next = Nanos(now.0.saturating_add(self.limits.digest_interval_seconds * SECOND));
        mailbox.told(now, &self.limits);
        let rule = ready[0].2.clone();
        let mut incidents = Vec::with_capacity(ready.len());
        for (_, slot, _) in ready {
            mailbox.pending.remove(&slot);
            if let Some(tracked) = self.incidents.get_mut(&slot) {
                tracked.waiting.remove(recipient);
                tracked.told.insert(recipient.clone());
                incidents.push(tracked.incident.clone());
            }
            self.changed_incidents.insert(slot);
        }
        self.changed_mailboxes.insert(recipient.clone());
        Some(self.alert(recipient.clone(), member, AlertKind::Digest, &rule, incidents, now))
    }

    /// Once a day, what was told before and still goes on.
    fn continuing(&mut self, recipient: &RecipientId, now: Nanos) -> Option<Alert> {
        let registry = self.registry.clone();
        let (member, channel) = find_channel(&registry, recipient)?;
        let mailbox = self.mailboxes.get_mut(recipient)?;
        let next = mailbox.continuing_next?;
        if now < next || quiet::now(member, now).is_some() {
            return None;
        }
        let since = Nanos(next.0.saturating_sub(self.limits.continuing_seconds * SECOND));
        let goes_on = |t: &&Tracked| {
            t.told.contains(recipient)
                && t.incident.state == IncidentState::Open
                && t.stirred() > since
                && t.incident.severity >= channel.severity_min
                && !self.suppressions.iter().any(|s| s.covers(&t.incident, now))
        };
        let mut incidents: Vec<_> = self
            .incidents
            .values()
            .filter(|t| t.incident.member == member.id)
            .filter(goes_on)
            .map(|t| t.incident.clone())
            .collect();
        incidents.sort_by(|a, b| b.severity.cmp(&a.severity).then_with(|| a.id.cmp(&b.id)));
        incidents.truncate(self.limits.digest_incidents_max);
        let ahead = Nanos(now.0.saturating_add(self.limits.continuing_seconds * SECOND));
        mailbox.continuing_next = (!incidents.is_empty()).then_some(ahead);
        self.changed_mailboxes.insert(recipient.clone());
        if incidents.is_empty() {
            return None;
        }
        Some(self.alert(recipient.clone(), member, AlertKind::Continuing, "continuing", incidents, now))
    }

    /// Drops suppressions that ended and tells what they had kept back.
    fn unsilenced(&mut self, now: Nanos) -> Vec<Alert> {
        let before = self.suppressions.len();
        self.suppressions.retain(|suppression| now < suppression.until);
        if self.suppressions.len() == before {
            return Vec::new();
        }
        let registry = self.registry.clone();
        let slots: Vec<Slot> = self.incidents.keys().cloned().collect();
        let mut alerts = Vec::new();
        for slot in slots {
            if let Some(member) = registry.get(&slot.member) {
                alerts.extend(self.notify(member, &slot, now));
            }
        }
        alerts
    }

    fn close_silent(&mut self, now: Nanos) {
        let silence = |kind: IncidentKind| match kind {
            IncidentKind::Attack => self.limits.attack_silence_seconds,
            IncidentKind::Infection | IncidentKind::Misconfiguration => self.limits.infection_silence_seconds,
            IncidentKind::Precursor => self.limits.precursor_silence_seconds,
        };
        let over = |tracked: &Tracked| {
            tracked.incident.state == IncidentState::Closed
                || now.seconds_since(tracked.stirred()) > silence(tracked.incident.kind) as f64
        };
        let slots: Vec<Slot> = self.incidents.iter().filter(|(_, t)| over(t)).map(|(s, _)| s.clone()).collect();
        for slot in slots {
            let Some(tracked) = self.incidents.get_mut(&slot) else { continue };
            if tracked.incident.state == IncidentState::Open {
                tracked.incident.state = IncidentState::Closed;
                self.changed_incidents.insert(slot.clone());
            }
            // What somebody still waits to hear is kept until they have heard it.
            if tracked.waiting.is_empty() {
                self.closed.extend(self.incidents.remove(&slot));
                self.changed_incidents.insert(slot);
            }
        }
    }

    fn stop_waiting(&mut self, slot: &Slot, recipient: &RecipientId) {
        if let Some(tracked) = self.incidents.get_mut(slot)
            && tracked.waiting.remove(recipient)
        {
            self.changed_incidents.insert(slot.clone());
        }
    }

    fn alert(
        &self,
        recipient: RecipientId,
        member: &Member,
        kind: AlertKind,
        rule: &str,
        incidents: Vec<noroshi_model::incident::Incident>,
        now: Nanos,
    ) -> Alert {
        let mut seed = format!("{recipient}|{kind}");
        for incident in &incidents {
            seed.push('|');
            seed.push_str(&incident.id);
        }
        if kind == AlertKind::Continuing {
            // The same incidents are mentioned every day.
            seed.push_str(&format!("|{}", now.0));
        }
        Alert {
            id: Uuid::new_v5(&NAMESPACE, seed.as_bytes()).to_string(),
            recipient,
            member: member.id.clone(),
            kind,
            severity: incidents.iter().map(|i| i.severity).max().unwrap_or(Severity::Info),
            tlp: incidents.iter().map(|i| i.tlp).max().unwrap_or(crate::statement::TLP_DEFAULT),
            language: member.language,
            created: now,
            rule: rule.to_owned(),
            incidents,
        }
    }
}

fn find_channel<'r>(registry: &'r Registry, recipient: &RecipientId) -> Option<(&'r Member, &'r Channel)> {
    let (member, channel) = recipient.parts();
    let member = registry.members().iter().find(|m| m.id.0 == member)?;
    Some((member, member.channels.iter().find(|c| c.name == channel)?))
}
