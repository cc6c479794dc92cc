//! The warning: packets and findings in, messages in the outbox.
//!
//! [`Warner`] joins the watch over members' hosts, the desk and the outbox. Decisions are made in memory, in the time of
//! the data, and become durable with [`Warner::commit`]: messages, the desk's state and the reader's position in one
//! transaction. A program that dies before it takes up again from the last commit and decides the same once more.

use noroshi_alert::config::Config;
use noroshi_alert::daedalus::{Outcome, Settings, Watch};
use noroshi_alert::desk::{Desk, Mailbox, Tracked};
use noroshi_alert::statement;
use noroshi_model::alert::{Alert, RecipientId};
use noroshi_model::finding::Attack;
use noroshi_model::member::Registry;
use noroshi_model::packet::PacketBatch;
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
}

/// Packets and findings in, messages out.
pub struct Warner {
    registry: Arc<Registry>,
    watch: Watch,
    desk: Desk,
    outbox: Outbox,
    decided: Vec<Alert>,
    now: Nanos,
}

impl Warner {
    /// Takes up where the outbox says that the last one stopped. `darknets` is the space observed for everyone; empty
    /// when the packets are all addressed to observed space.
    pub async fn open(config: &Config, darknets: Vec<Prefix>, outbox: Outbox) -> Result<Self, WarningError> {
        let registry = Arc::new(config.registry.clone());
        let mut desk =
            Desk::new(registry.clone(), config.rules.clone(), config.suppressions.clone(), config.limits);
        let stored = outbox.stored().await?;
        let incidents: Vec<Tracked> =
            stored.incidents.iter().map(|text| serde_json::from_str(text)).collect::<Result<_, _>>()?;
        let mailboxes: Vec<(RecipientId, Mailbox)> = stored
            .mailboxes
            .into_iter()
            .map(|(recipient, text)| Ok((RecipientId(recipient), serde_json::from_str(&text)?)))
            .collect::<Result<_, serde_json::Error>>()?;
        desk.restore(incidents, mailboxes);
        let watch = Watch::new(Settings::default(), registry.clone(), darknets);
        Ok(Warner { registry, watch, desk, outbox, decided: Vec::new(), now: Nanos(i64::MIN) })
    }

    /// The desk, to look at.
    pub fn desk(&self) -> &Desk {
        &self.desk
    }

    /// Looks at packets; their times move the clock of decisions.
    pub fn observe(&mut self, batch: &PacketBatch) {
        let outcome = self.watch.observe(batch);
        if let Some(latest) = batch.rows.iter().map(|row| row.ts).max() {
            self.now = self.now.max(latest);
        }
        self.hear(&outcome);
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
        // A recipient gets one digest a minute, of a bounded size; a replay does not wait for the next minute. Daily
        // digests wait for a day that a replay does not have, so they come with the last.
        while let Some(due) = self.desk.due() {
            let before = self.decided.len();
            self.now = self.now.max(due);
            self.decided.extend(self.desk.tick(self.now));
            let continuing = self.decided[before..].iter().all(|a| a.kind == noroshi_model::alert::AlertKind::Continuing);
            if continuing {
                self.decided.truncate(before);
                break;
            }
        }
    }

    fn hear(&mut self, outcome: &Outcome) {
        for infection in &outcome.infections {
            self.decided.extend(self.desk.hear(&statement::of_infection(infection), self.now));
        }
        for attack in &outcome.attacks {
            for said in statement::of_attack(attack, &self.registry) {
                self.decided.extend(self.desk.hear(&said, self.now));
            }
        }
    }

    /// Makes decisions durable, with how far `reader` has come; gives the messages that were put into the outbox.
    pub async fn commit(
        &mut self,
        wall: Nanos,
        cursor: Option<(&str, String)>,
    ) -> Result<Vec<Alert>, WarningError> {
        let changes = self.desk.changes();
        let alerts = std::mem::take(&mut self.decided);
        let mut commit = Commit { now: wall, alerts: &alerts, cursor, ..Commit::default() };
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
        Ok(alerts)
    }
}
