//! The warning: packets and findings in, messages in the outbox.
//!
//! [`Warner`] joins the watch over members' hosts, the desk and the outbox. Decisions are made in memory, in the time of
//! the data, and become durable with [`Warner::commit`]: messages, the desk's state and the reader's position in one
//! transaction. A program that dies before it takes up again from the last commit and decides the same once more.

use crate::live::Telling;
use noroshi_alert::config::Config;
use noroshi_alert::daedalus::{KeptError, Outcome, Settings, Watch};
use noroshi_alert::desk::{Desk, Mailbox, Tracked};
use noroshi_alert::precursor::{self, Precursors};
use noroshi_alert::{Statement, statement};
use noroshi_model::alert::{Alert, AlertKind, RecipientId};
use noroshi_model::finding::Attack;
use noroshi_model::incident::Incident;
use noroshi_model::infection::{Infection, Phase};
use noroshi_model::member::Registry;
use noroshi_model::packet::PacketBatch;
use noroshi_model::request::Request;
use noroshi_model::time::SECOND;
use noroshi_model::{Addr, Nanos, Prefix};
use noroshi_share::outbox::{Commit, Outbox, OutboxError};
use std::sync::Arc;

/// A warning that cannot be made durable, or state that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum WarningError {
    /// The outbox says no.
    #[error(transparent)]
    Outbox(#[from] OutboxError),
    /// The desk's stored state does not read back.
    #[error("the stored state of the desk cannot be read: {0}")]
    State(#[from] serde_json::Error),
    /// The watch's stored state does not read back.
    #[error(transparent)]
    Watch(#[from] KeptError),
}

/// What became durable.
#[derive(Clone, Debug, Default)]
pub struct Committed {
    /// Messages that were put into the outbox.
    pub alerts: Vec<Alert>,
    /// Incidents that are over.
    pub closed: Vec<Incident>,
}

/// A replay goes on for at most so long after its data: quiet hours and a daily digest fit in.
const FINISH_SECONDS: i64 = 2 * 86_400;
/// Limits count in minutes.
const FINISH_STEP_SECONDS: i64 = 60;

/// Packets and findings in, messages out.
pub struct Warner {
    registry: Arc<Registry>,
    watch: Watch,
    precursors: Precursors,
    desk: Desk,
    outbox: Outbox,
    decided: Vec<Alert>,
    now: Nanos,
    /// Findings are told to the lake as well.
    records: bool,
    kept: Vec<(String, Option<String>)>,
    rows: Vec<(&'static str, String)>,
}

/// Prefix of the keys under which the watch's state is kept.
const WATCH: &str = "watch/";

impl Warner {
    /// Takes up where the outbox says that the last one stopped. `darknets` is the space observed for everyone; empty
    /// when the packets are all addressed to observed space.
    pub async fn open(config: &Config, darknets: Vec<Prefix>, outbox: Outbox) -> Result<Self, WarningError> {
        let registry = Arc::new(config.registry.clone());
        let mut desk = Desk::new(registry.clone(), config.rules.clone(), config.suppressions.clone(), config.limits);
        let stored = outbox.stored().await?;
        let incidents: Vec<Tracked> =
            stored.incidents.iter().map(|text| serde_json::from_str(text)).collect::<Result<_, _>>()?;
        let mailboxes: Vec<(RecipientId, Mailbox)> = stored
            .mailboxes
            .into_iter()
            .map(|(recipient, text)| Ok((RecipientId(recipient), serde_json::from_str(&text)?)))
            .collect::<Result<_, serde_json::Error>>()?;
        desk.restore(incidents, mailboxes);
        let mut watch = Watch::new(Settings::default(), registry.clone(), darknets);
        let kept = stored.kept.into_iter();
        watch.restore(kept.filter_map(|(key, value)| Some((key.strip_prefix(WATCH)?.to_owned(), value))))?;
        Ok(Warner {
            registry,
            watch,
            precursors: Precursors::new(precursor::Settings::default()),
            desk,
            outbox,
            decided: Vec::new(),
            now: Nanos(i64::MIN),
            records: false,
            kept: Vec::new(),
            rows: Vec::new(),
        })
    }

    /// Also puts infections and messages into the queue for the lake.
    pub fn recording(mut self) -> Self {
        self.records = true;
        self
    }

    /// The members.
    pub fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    /// Looks at packets that arrive at `now`: decisions are made at that time, whatever the packets' own.
    pub fn observe_at(&mut self, batch: &PacketBatch, now: Nanos) {
        self.now = self.now.max(now);
        let outcome = self.watch.observe(batch);
        if self.records {
            for infection in &outcome.infections {
                self.record("infections", infection.host, infection, now);
            }
        }
        for infection in &outcome.infections {
            self.decided.extend(self.desk.hear(&statement::of_infection(infection), self.now));
        }
        self.attacks_at(&outcome.attacks, now);
        let events = self.precursors.observe(batch);
        self.expect(&events, now);
    }

    /// Looks at requests at lures that arrive at `now`.
    pub fn requests_at(&mut self, requests: &[Request], now: Nanos) {
        let events = self.precursors.observe_requests(requests);
        self.expect(&events, now);
    }

    fn expect(&mut self, events: &[precursor::Event], now: Nanos) {
        for event in events {
            if let Some(said) = precursor::statement(event, &self.registry) {
                self.hear_at(&said, now);
            }
        }
    }

    /// The detector of small tests before large attacks, to be stored as it is.
    pub fn precursors(&self) -> &Precursors {
        &self.precursors
    }

    /// Takes the detector up as it was stored.
    pub fn resume(&mut self, precursors: Precursors) {
        self.precursors = precursors;
    }

    /// Packets since then, which were decided about before: they move the detector on and tell nobody anything.
    pub fn recall(&mut self, batch: &PacketBatch) {
        self.precursors.observe(batch);
    }

    /// The same for requests at lures.
    pub fn recall_requests(&mut self, requests: &[Request]) {
        self.precursors.observe_requests(requests);
    }

    /// Takes in what detectors found, at the present.
    pub fn attacks_at(&mut self, attacks: &[Attack], now: Nanos) {
        for attack in attacks {
            for said in statement::of_attack(attack, &self.registry) {
                self.hear_at(&said, now);
            }
        }
    }

    /// Takes in one statement, at the present.
    pub fn hear_at(&mut self, said: &Statement, now: Nanos) {
        self.now = self.now.max(now);
        self.decided.extend(self.desk.hear(said, self.now));
    }

    /// Lets the present come; what the watch follows goes by the time of packets alone, so that it can be taken up
    /// again exactly.
    pub fn tick(&mut self, now: Nanos) {
        self.now = self.now.max(now);
        self.decided.extend(self.desk.tick(self.now));
    }

    /// Whether there is something to make durable, beside the position and the watch's state.
    pub fn changed(&self) -> bool {
        !self.decided.is_empty() || !self.kept.is_empty() || !self.rows.is_empty() || self.desk.changed()
    }

    /// Something to be kept, or forgotten, with the next commit.
    pub fn keep(&mut self, kept: impl IntoIterator<Item = (String, Option<String>)>) {
        self.kept.extend(kept);
    }

    /// Rows for the lake, with the next commit.
    pub fn tell_lake(&mut self, rows: impl IntoIterator<Item = (&'static str, String)>) {
        self.rows.extend(rows);
    }

    fn record(&mut self, table: &'static str, host: Addr, infection: &Infection, at: Nanos) {
        let id = format!("{}-{}-{host}-{}", infection.member, infection.class, infection.first.0);
        let closed = infection.phase == Phase::Closed;
        // Plain data with text keys: it always has a JSON form.
        if let Ok(row) = serde_json::to_string(&Telling { at, id, closed, finding: infection }) {
            self.rows.push((table, row));
        }
    }

    /// The desk, to look at.
    pub fn desk(&self) -> &Desk {
        &self.desk
    }

    /// Looks at packets; their times move the clock of decisions.
    pub fn observe(&mut self, batch: &PacketBatch) {
        let outcome = self.watch.observe(batch);
        self.hear(&outcome);
        if let Some(latest) = batch.rows.iter().map(|row| row.ts).max() {
            self.now = self.now.max(latest);
        }
        self.decided.extend(self.desk.tick(self.now));
    }

    /// Takes in what detectors found.
    pub fn attacks(&mut self, attacks: &[Attack]) {
        for attack in attacks {
            self.now = self.now.max(attack.last);
            for said in statement::of_attack(attack, &self.registry) {
                self.decided.extend(self.desk.hear(&said, self.now));
            }
        }
    }

    /// Sources that take part in campaigns.
    pub fn campaign_members(&mut self, members: impl IntoIterator<Item = Addr>) {
        self.watch.campaign_members(members);
    }

    /// Lets time pass.
    pub fn advance(&mut self, now: Nanos) {
        self.now = self.now.max(now);
        let outcome = self.watch.advance(self.now);
        self.hear(&outcome);
        self.decided.extend(self.desk.tick(self.now));
    }

    /// Ends a replay: closes what the watch follows and sends the digests that were waiting for their time.
    pub fn finish(&mut self) {
        let outcome = self.watch.finish();
        self.hear(&outcome);
        // A recipient gets one digest a minute, of a bounded size, and none in quiet hours; a replay goes on in the
        // time of its data until everybody has been told. What is suppressed for longer stays in the stored state.
        let until = Nanos(self.now.0.saturating_add(FINISH_SECONDS * SECOND));
        while self.desk.waiting() > 0 && self.now < until {
            self.now = Nanos(self.now.0.saturating_add(FINISH_STEP_SECONDS * SECOND));
            // Nothing is known of these days, so nothing goes on in them.
            self.decided.extend(self.desk.tick(self.now).into_iter().filter(|a| a.kind != AlertKind::Continuing));
        }
    }

    /// Each statement is decided at the time of the packet that brought it, in the order of these times.
    fn hear(&mut self, outcome: &Outcome) {
        let infections =
            outcome.infections.iter().map(|infection| (infection.last, statement::of_infection(infection)));
        let attacks = outcome.attacks.iter().flat_map(|attack| {
            statement::of_attack(attack, &self.registry).into_iter().map(|said| (attack.last, said))
        });
        let mut said: Vec<(Nanos, Statement)> = infections.chain(attacks).collect();
        said.sort_by_key(|(at, _)| *at);
        for (at, statement) in said {
            self.now = self.now.max(at);
            self.decided.extend(self.desk.tick(self.now));
            self.decided.extend(self.desk.hear(&statement, self.now));
        }
    }

    /// Makes decisions durable, with how far `reader` has come; gives what was put into the outbox.
    pub async fn commit(&mut self, wall: Nanos, cursor: Option<(&str, String)>) -> Result<Committed, WarningError> {
        let changes = self.desk.changes();
        let alerts = std::mem::take(&mut self.decided);
        let mut commit = Commit { now: wall, alerts: &alerts, cursor, ..Commit::default() };
        commit.kept = std::mem::take(&mut self.kept);
        commit.rows = std::mem::take(&mut self.rows);
        if self.records {
            let state = self.watch.changes().into_iter();
            commit.kept.extend(state.map(|(key, value)| (format!("{WATCH}{key}"), value)));
            for alert in &alerts {
                commit.rows.push(("alerts", serde_json::to_string(alert)?));
            }
        }
        for (slot, tracked) in &changes.incidents {
            let text = tracked.as_ref().map(serde_json::to_string).transpose()?;
            commit.incidents.push((slot.to_string(), text));
        }
        for (recipient, mailbox) in &changes.mailboxes {
            commit.mailboxes.push((recipient.0.clone(), serde_json::to_string(mailbox)?));
        }
        for tracked in &changes.closed {
            commit.closed.push((tracked.incident.id.clone(), wall, serde_json::to_string(tracked)?));
        }
        self.outbox.commit(&commit).await?;
        Ok(Committed { alerts, closed: changes.closed.into_iter().map(|tracked| tracked.incident).collect() })
    }
}
