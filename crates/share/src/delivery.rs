//! Takes messages out of the outbox and hands them over, with retries.
//!
//! One recipient's messages go one after another; recipients go side by side, so that a dead receiver delays nobody
//! else. A message is marked as delivered after the other side accepted it: a crash in between sends it again under the
//! same Message-ID or idempotency key, which receivers recognise.

use crate::document;
use crate::gate::{Cleared, Gate};
use crate::mail::{self, Sender};
use crate::outbox::{Letter, Outbox, OutboxError};
use crate::stix::marking::Markings;
use crate::stix::{Exporter, Producer};
use crate::ticket::Links;
use crate::webhook::{self, Courier};
use crate::{safe, syslog};
use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor};
use noroshi_model::Nanos;
use noroshi_model::alert::Alert;
use noroshi_model::member::{Channel, Member, Registry, Target};
use noroshi_model::time::{Clock, SECOND};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinSet;

/// How the mail server is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SmtpServer {
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// How the connection is protected.
    pub security: SmtpSecurity,
    /// User and password.
    pub login: Option<(String, String)>,
}

/// Protection of the connection to the mail server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SmtpSecurity {
    /// None: for a server on this machine.
    Plain,
    /// STARTTLS, required.
    StartTls,
    /// TLS from the first byte.
    Tls,
}

/// Everything that delivery needs to know.
pub struct Settings {
    /// Who the members are and where their messages go.
    pub registry: Arc<Registry>,
    /// What may leave.
    pub gate: Arc<Gate>,
    /// Sender of mails.
    pub sender: Sender,
    /// Mail server; none leaves mails in the queue.
    pub smtp: Option<SmtpServer>,
    /// Folder that gets each mail as a file instead of a mail server: to try things out.
    pub mailbox: Option<PathBuf>,
    /// Guard and limits of webhooks.
    pub webhooks: Courier,
    /// Where messages lead; none without a public address.
    pub links: Option<Links>,
    /// Name of the organisation that publishes.
    pub producer: String,
}

/// Why a message was not accepted.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// Try again later.
    Later(String),
    /// Never.
    Never(String),
}

/// What one round did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Round {
    /// Accepted by the other side.
    pub delivered: u64,
    /// To be tried again.
    pub put_off: u64,
    /// Given up.
    pub failed: u64,
}

/// The outbox is looked through so often for messages whose next attempt is due.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Longest time between two attempts, seconds.
const BACKOFF_SECONDS_MAX: i64 = 900;
/// First wait, seconds.
const BACKOFF_SECONDS: i64 = 2;
/// A message that nobody took for so long is given up (interfaces 4.24: 24 h).
const GIVE_UP_SECONDS: i64 = 86_400;
/// Seconds that a mail server may take.
const SMTP_SECONDS: u64 = 30;
/// Messages taken out of the outbox at once.
const ROUND_MAX: u32 = 256;
/// Recipients served at the same time.
const LANES_MAX: usize = 32;
/// A STIX bundle is attached to mails with at most so many incidents.
const STIX_INCIDENTS_MAX: usize = 20;

/// Hands messages over.
pub struct Delivery {
    settings: Arc<Settings>,
    smtp: Option<AsyncSmtpTransport<Tokio1Executor>>,
}

/// What a courier said of a letter. It waits with its next letter until this one is noted, so that a hub that is killed
/// sends at most one letter of each recipient again.
struct Said {
    letter: Letter,
    result: Result<(), Refusal>,
    noted: oneshot::Sender<()>,
}

impl Delivery {
    /// Ready to work; opens no connection yet.
    pub fn new(settings: Settings) -> Result<Self, lettre::transport::smtp::Error> {
        let smtp = settings.smtp.as_ref().map(transport).transpose()?;
        Ok(Delivery { settings: Arc::new(settings), smtp })
    }

    /// Tries everything that is due once.
    pub async fn round(&self, outbox: &Outbox, clock: &dyn Clock) -> Result<Round, OutboxError> {
        let mut lanes: BTreeMap<String, Vec<Letter>> = BTreeMap::new();
        for letter in outbox.due(clock.now(), ROUND_MAX).await? {
            lanes.entry(letter.alert.recipient.0.clone()).or_default().push(letter);
        }
        let mut round = Round::default();
        let (say, mut said) = mpsc::channel(LANES_MAX);
        let mut tasks = JoinSet::new();
        let mut lanes = lanes.into_values();
        loop {
            while tasks.len() < LANES_MAX
                && let Some(letters) = lanes.next()
            {
                tasks.spawn(serve(self.settings.clone(), self.smtp.clone(), letters, say.clone()));
            }
            if tasks.is_empty() {
                return Ok(round);
            }
            tokio::select! {
                Some(one) = said.recv() => note(outbox, one, clock.now(), &mut round).await?,
                Some(_) = tasks.join_next() => {}
            }
        }
    }
}

impl Delivery {
    /// Hands over what becomes due, for ever: `news` tells that something was put in. A recipient that keeps its
    /// courier waiting delays nobody else.
    pub async fn run(&self, outbox: &Outbox, clock: &dyn Clock, news: &Notify) -> Result<(), OutboxError> {
        let mut busy: BTreeSet<String> = BTreeSet::new();
        let (say, mut said) = mpsc::channel(LANES_MAX);
        let mut tasks: JoinSet<String> = JoinSet::new();
        loop {
            let mut lanes: BTreeMap<String, Vec<Letter>> = BTreeMap::new();
            if tasks.len() < LANES_MAX {
                for letter in outbox.due_except(clock.now(), ROUND_MAX, &busy).await? {
                    lanes.entry(letter.alert.recipient.0.clone()).or_default().push(letter);
                }
            }
            for (recipient, letters) in lanes.into_iter().take(LANES_MAX.saturating_sub(tasks.len())) {
                busy.insert(recipient.clone());
                let serving = serve(self.settings.clone(), self.smtp.clone(), letters, say.clone());
                tasks.spawn(async move {
                    serving.await;
                    recipient
                });
            }
            tokio::select! {
                Some(one) = said.recv() => note(outbox, one, clock.now(), &mut Round::default()).await?,
                Some(done) = tasks.join_next(), if !tasks.is_empty() => match done {
                    Ok(recipient) => drop(busy.remove(&recipient)),
                    // A courier that panicked took its recipient's name with it: all are free again once every other
                    // one is back.
                    Err(_) if tasks.is_empty() => busy.clear(),
                    Err(_) => {}
                },
                () = news.notified() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }
}

/// One recipient's messages in order; after the first refusal the others wait for the next round.
async fn serve(
    settings: Arc<Settings>,
    smtp: Option<AsyncSmtpTransport<Tokio1Executor>>,
    letters: Vec<Letter>,
    say: mpsc::Sender<Said>,
) {
    for letter in letters {
        let result = hand_over(&settings, smtp.as_ref(), &letter).await;
        let stop = matches!(result, Err(Refusal::Later(_)));
        let (noted, wait) = oneshot::channel();
        let said = say.send(Said { letter, result, noted }).await.is_ok() && wait.await.is_ok();
        if stop || !said {
            return;
        }
    }
}

async fn note(outbox: &Outbox, said: Said, now: Nanos, round: &mut Round) -> Result<(), OutboxError> {
    let Said { letter, result, noted } = said;
    let alert = &letter.alert;
    match result {
        Ok(()) => {
            outbox.delivered(&alert.id, now).await?;
            round.delivered += 1;
        }
        Err(Refusal::Later(reason)) if now.seconds_since(letter.queued) < GIVE_UP_SECONDS as f64 => {
            let reason = safe::line(&reason);
            tracing::warn!(alert = %alert.id, recipient = %alert.recipient, %reason, "delivery put off");
            outbox.put_off(&alert.id, next_attempt(&letter, now), &reason).await?;
            round.put_off += 1;
        }
        Err(Refusal::Later(reason) | Refusal::Never(reason)) => {
            let reason = safe::line(&reason);
            tracing::error!(alert = %alert.id, recipient = %alert.recipient, %reason, "delivery failed");
            outbox.failed(&alert.id, now, &reason).await?;
            round.failed += 1;
        }
    }
    // The courier may have been stopped meanwhile.
    let _ = noted.send(());
    Ok(())
}

/// Exponential back-off with jitter that comes from the message's id, so that a test can foresee it.
fn next_attempt(letter: &Letter, now: Nanos) -> Nanos {
    let ceiling = BACKOFF_SECONDS.saturating_mul(1 << letter.attempts.min(20)).min(BACKOFF_SECONDS_MAX);
    let seed = letter.alert.id.bytes().fold(u64::from(letter.attempts), |sum, b| sum.wrapping_mul(31) + u64::from(b));
    let jitter = (seed % 1000) as i64 * ceiling * (SECOND / 2000);
    Nanos(now.0.saturating_add(ceiling * SECOND / 2 + jitter))
}

async fn hand_over(
    settings: &Settings,
    smtp: Option<&AsyncSmtpTransport<Tokio1Executor>>,
    letter: &Letter,
) -> Result<(), Refusal> {
    let alert = &letter.alert;
    let Some((member, channel)) = find_channel(&settings.registry, alert) else {
        return Err(Refusal::Never("the channel is not in the configuration any more".into()));
    };
    let cleared = settings.gate.alert(alert, member.tlp_ceiling).map_err(|why| Refusal::Never(why.to_string()))?;
    let document = document::write(&cleared, &member.name, settings.links.as_ref());
    match &channel.target {
        Target::Mail { to } => {
            let stix = bundle(settings, &cleared);
            let message = mail::write(&cleared, &document, &settings.sender, to, stix.as_deref())
                .map_err(|error| Refusal::Never(error.to_string()))?;
            if let Some(folder) = &settings.mailbox {
                return lay_down(folder, &alert.id, message.formatted()).await;
            }
            let Some(smtp) = smtp else { return Err(Refusal::Later("no mail server is configured".into())) };
            match tokio::time::timeout(Duration::from_secs(SMTP_SECONDS), smtp.send(message)).await {
                Ok(Ok(_)) => Ok(()),
                Ok(Err(error)) if error.is_permanent() => Err(Refusal::Never(chain(&error))),
                Ok(Err(error)) => Err(Refusal::Later(chain(&error))),
                Err(_) => Err(Refusal::Later(format!("the mail server took more than {SMTP_SECONDS} s"))),
            }
        }
        Target::Webhook { url, secret, shape } => {
            let body = webhook::body(&cleared, &document, *shape, settings.links.as_ref());
            settings.webhooks.post(url, secret.as_deref(), &cleared, body).await
        }
        Target::Syslog { address, transport } => {
            let lines = syslog::lines(&cleared, settings.links.as_ref());
            syslog::send(address, *transport, &lines).await.map_err(Refusal::Later)
        }
    }
}

/// Puts a mail into a folder, under a name that makes a second attempt the same file.
async fn lay_down(folder: &Path, id: &str, bytes: Vec<u8>) -> Result<(), Refusal> {
    let (part, whole) = (folder.join(format!("{id}.part")), folder.join(format!("{id}.eml")));
    let write = async {
        tokio::fs::create_dir_all(folder).await?;
        tokio::fs::write(&part, bytes).await?;
        tokio::fs::rename(&part, &whole).await
    };
    write.await.map_err(|error| Refusal::Later(format!("{}: {error}", whole.display())))
}

/// An error with its causes, since the outermost sentence of transports says little.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

fn find_channel<'r>(registry: &'r Registry, alert: &Alert) -> Option<(&'r Member, &'r Channel)> {
    let member = registry.get(&alert.member)?;
    let (_, name) = alert.recipient.parts();
    Some((member, member.channels.iter().find(|channel| channel.name == name)?))
}

fn bundle(settings: &Settings, alert: &Cleared<Alert>) -> Option<String> {
    if alert.incidents.is_empty() || alert.incidents.len() > STIX_INCIDENTS_MAX {
        return None;
    }
    let mut exporter = Exporter::new(Producer {
        name: settings.producer.clone(),
        tlp: alert.tlp,
        markings: Markings::Both,
        created: alert.created,
    });
    for incident in settings.gate.incidents_of(alert) {
        exporter.incident(&incident);
    }
    serde_json::to_string_pretty(&exporter.finish("Noroshi warning", "Incidents of one warning")).ok()
}

fn transport(server: &SmtpServer) -> Result<AsyncSmtpTransport<Tokio1Executor>, lettre::transport::smtp::Error> {
    type Smtp = AsyncSmtpTransport<Tokio1Executor>;
    let mut builder = match server.security {
        SmtpSecurity::Plain => Smtp::builder_dangerous(&server.host),
        SmtpSecurity::StartTls => Smtp::starttls_relay(&server.host)?,
        SmtpSecurity::Tls => Smtp::relay(&server.host)?,
    };
    if let Some((user, password)) = &server.login {
        let login = lettre::transport::smtp::authentication::Credentials::new(user.clone(), password.clone());
        builder = builder.credentials(login);
    }
    Ok(builder.port(server.port).timeout(Some(Duration::from_secs(SMTP_SECONDS))).build())
}
