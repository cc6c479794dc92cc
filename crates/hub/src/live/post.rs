//! Messages to their recipients.

use super::{Settings, System};
use crate::services::{Context, ServiceResult};
use noroshi_alert::config::Config as Members;
use noroshi_enrich::{Kinds, Knowledge};
use noroshi_model::Prefix;
use noroshi_model::time::Clock;
use noroshi_share::delivery::{self, Delivery};
use noroshi_share::gate::Gate;
use noroshi_share::mail::Sender;
use noroshi_share::outbox::Outbox;
use noroshi_share::ssrf::Guard;
use noroshi_share::ticket::{KEY_BYTES, Tickets};
use noroshi_share::webhook::Courier;
use noroshi_wire::SensorName;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

type Problem = Box<dyn std::error::Error + Send + Sync>;

/// Pause after the outbox failed.
const RETRY: Duration = Duration::from_secs(1);
/// The gate is told of new sensors so often.
const LEARN: Duration = Duration::from_secs(30);

/// A gate that knows the sensors of today.
pub async fn gate(context: &Context) -> Result<Gate, Problem> {
    let folder = context.config.data.join("knowledge");
    let knowledge = if folder.is_dir() { Knowledge::open(&folder)? } else { Knowledge::empty() };
    let benign = move |addr| {
        let (kinds, list) = knowledge.kinds(addr, System.now());
        let harmless = kinds.has(Kinds::RESEARCH_SCANNER) || kinds.has(Kinds::KNOWN_BENIGN);
        harmless.then(|| list.unwrap_or("known to be harmless").to_owned())
    };
    let gate = Gate::new(context.config.warning.observed.clone(), Vec::new(), benign);
    learn(context, &gate).await?;
    Ok(gate)
}

/// Tells the gate the names of the sensors and the networks that their policies speak of.
async fn learn(context: &Context, gate: &Gate) -> Result<(), Problem> {
    let (mut prefixes, mut names): (Vec<Prefix>, Vec<String>) = (Vec::new(), Vec::new());
    for sensor in context.fleet.list().await? {
        let name: SensorName = sensor.name.parse()?;
        prefixes.extend(context.fleet.requests(&name).await?.borrow().1.prefixes.iter().flatten());
        names.push(sensor.name);
    }
    gate.learn(prefixes, names);
    Ok(())
}

/// The key of this hub's tickets, made on first start.
pub fn ticket_key(data: &Path) -> Result<[u8; KEY_BYTES], Problem> {
    let path = data.join("ticket.key");
    if !path.exists() {
        let mut key = [0; KEY_BYTES];
        rand::fill(&mut key);
        crate::run::write_private(&path, &key)?;
    }
    let key = std::fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let wrong = |_| format!("{}: not {KEY_BYTES} bytes; remove it, and links in older messages end", path.display());
    Ok(key.try_into().map_err(wrong)?)
}

/// What delivers, as configured.
pub fn delivery(
    settings: &Settings,
    members: &Members,
    gate: Arc<Gate>,
    tickets: Tickets,
) -> Result<Delivery, Problem> {
    let sender = Sender::parse(&settings.from).map_err(|error| format!("warning.from: {error}"))?;
    Ok(Delivery::new(delivery::Settings {
        registry: Arc::new(members.registry.clone()),
        gate,
        sender,
        smtp: settings.smtp_server()?,
        mailbox: settings.mailbox.clone(),
        webhooks: Courier { guard: Guard { allowed: settings.allow_webhooks.clone() } },
        links: settings.links(tickets),
        producer: settings.producer.clone(),
    })?)
}

/// One line for the person who started the hub.
pub fn notice(context: &Context, settings: &Settings, members: &Members) {
    let count = members.registry.members().len();
    if count == 0 {
        return;
    }
    let mails = match (&settings.mailbox, &settings.smtp) {
        (Some(folder), _) => format!("mails are laid down in {}", folder.display()),
        (None, Some(server)) => format!("mails go to {server}"),
        (None, None) => "mails are kept, not sent: no mail server is configured".to_owned(),
    };
    drop(context.notices.send(format!("warnings: {count} members; {mails}")));
}

/// Delivers until the hub stops.
pub async fn run(context: &Context, delivery: &Delivery, gate: &Gate, outbox: &Outbox, news: &Notify) -> ServiceResult {
    let learning = async {
        loop {
            tokio::time::sleep(LEARN).await;
            if let Err(error) = learn(context, gate).await {
                tracing::warn!(%error, "new sensors are not known to the gate yet");
            }
        }
    };
    let delivering = async {
        loop {
            if let Err(error) = delivery.run(outbox, &System, news).await {
                tracing::error!(%error, "messages wait; nothing is lost");
                tokio::time::sleep(RETRY).await;
            }
        }
    };
    tokio::select! {
        () = context.stop.cancelled() => Ok(()),
        () = learning => Ok(()),
        () = delivering => Ok(()),
    }
}
