//! The live path: what becomes durable in the journal is looked at at once, and who must know is told.
//!
//! ```text
//! journal ──┬─▶ tail: watch over members' hosts, requests at lures, desk ──▶ one transaction: messages, findings, state, position
//!           └─▶ look: the detectors, every few seconds ──▶ what is new, to the tail
//! the same database ──┬─▶ post: messages to their recipients, again and again until they are taken
//!                     └─▶ rows: findings into the journal's tables, and from there into the lake
//! ```
//!
//! Killed anywhere it takes up from the last commit. The watch over hosts needs no replay: its state is part of the
//! transaction. Requests at lures go on from a checkpoint and the few rows after it. The detectors start anew at the beginning of their era (a bounded number of journal bytes), whose rows
//! the journal keeps; the ledger of what was told makes sure that nothing is told twice.

mod config;
mod decode;
mod exchange;
mod foreign;
mod ledger;
mod look;
mod lures;
mod post;
mod rows;
mod tail;

pub use config::{MEMBERS, Security, Settings};
pub use decode::Streams;
pub use exchange::House as Exchange;
pub use foreign::said;
pub use ledger::{Ledger, News, OVER_SECONDS, Telling};
pub use look::{Era, SCANS};
pub use lures::{Noticed, RequestWatch, requests_of};

use crate::fleet;
use crate::services::{Context, ServiceResult};
use crate::warning::Warner;
use noroshi_alert::Statement;
use noroshi_alert::precursor::{Precursors, Scores};
use noroshi_model::finding::Attack;
use noroshi_model::member::Registry;
use noroshi_model::time::Clock;
use noroshi_model::{Addr, Nanos};
use noroshi_share::Gate;
use noroshi_share::outbox::Outbox;
use noroshi_share::ticket::Tickets;
use noroshi_store::journal::Hold;
use std::sync::{Arc, PoisonError};
use tokio::sync::{Mutex, Notify, OnceCell, mpsc, oneshot};

/// Messages to the tail that may wait.
const QUEUE: usize = 64;

/// The hub's clock.
pub(crate) struct System;

impl Clock for System {
    fn now(&self) -> Nanos {
        Nanos(fleet::nanos(fleet::now()))
    }
}

/// What the tail is told by others than the journal.
pub(crate) struct Said {
    /// Attacks by the detectors that are new or have grown.
    pub attacks: Vec<Attack>,
    /// Sources that take part in campaigns; none when nothing is said about them.
    pub campaign_members: Option<Vec<Addr>>,
    /// What others say about members.
    pub statements: Vec<Statement>,
    /// Rows for the lake.
    pub rows: Vec<(&'static str, String)>,
    /// What is to be kept.
    pub kept: Vec<(String, Option<String>)>,
    /// Answered when all of it is durable.
    pub done: oneshot::Sender<()>,
}

/// The way to the desk for whoever is not the journal: detectors, partners, the API.
#[derive(Clone)]
pub struct DeskDoor {
    sender: mpsc::Sender<Said>,
    inbox: Arc<Mutex<Option<mpsc::Receiver<Said>>>>,
    outbox: Arc<OnceCell<Outbox>>,
    open: Arc<OnceCell<Open>>,
    precursors: Arc<std::sync::Mutex<(Scores, Option<f64>)>>,
}

/// What whoever writes to members needs, once the live service runs.
#[derive(Clone)]
pub(crate) struct Open {
    /// What may leave.
    pub gate: Arc<Gate>,
    /// Who the members are.
    pub registry: Arc<Registry>,
    /// Tickets of this hub.
    pub tickets: Tickets,
}

/// The live service is not running.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the desk is closed: the hub runs without its live service, or stops")]
pub struct DeskClosed;

impl DeskDoor {
    pub(crate) fn new() -> Self {
        let (sender, inbox) = mpsc::channel(QUEUE);
        DeskDoor {
            sender,
            inbox: Arc::new(Mutex::new(Some(inbox))),
            outbox: Arc::default(),
            open: Arc::default(),
            precursors: Arc::default(),
        }
    }

    /// Tells the desk what others say; returns once it is durable. `kept` is stored in the same transaction.
    pub async fn say(&self, statements: Vec<Statement>, kept: Vec<(String, Option<String>)>) -> Result<(), DeskClosed> {
        let (done, answer) = oneshot::channel();
        let (attacks, rows) = (Vec::new(), Vec::new());
        self.send(Said { attacks, campaign_members: None, statements, rows, kept, done }).await?;
        answer.await.map_err(|_| DeskClosed)
    }

    pub(crate) async fn send(&self, said: Said) -> Result<(), DeskClosed> {
        self.sender.send(said).await.map_err(|_| DeskClosed)
    }

    /// Announcements of attacks and what became of them, for everybody to see.
    pub(crate) fn publish(&self, precursors: &Precursors) {
        let scores = (precursors.scores().clone(), precursors.base_rate());
        *self.precursors.lock().unwrap_or_else(PoisonError::into_inner) = scores;
    }

    /// What was published last.
    pub(crate) fn precursors(&self) -> (Scores, Option<f64>) {
        self.precursors.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn open(&self) -> Option<&Open> {
        self.open.get()
    }

    /// The outbox, once the live service runs.
    pub fn outbox(&self) -> Option<&Outbox> {
        self.outbox.get()
    }
}

/// Takes its hold on the journal, then gives the service.
pub(crate) fn start(context: Context) -> impl Future<Output = ServiceResult> + Send {
    let holds = [context.journal.hold(), context.journal.hold(), context.journal.hold()];
    run(context, holds)
}

async fn run(context: Context, [tail_hold, lures_hold, look_hold]: [Hold; 3]) -> ServiceResult {
    let settings = context.config.warning.clone();
    let members = settings.read_members(&context.config.data)?;
    let outbox = Outbox::open(&context.config.data.join("warning.db")).await?;
    let warner = Warner::open(&members, settings.observed.clone(), outbox.clone()).await?.recording();
    let Some(inbox) = context.desk.inbox.lock().await.take() else {
        return Err("the live service runs already".into());
    };
    let gate = Arc::new(post::gate(&context).await?);
    let tickets = Tickets::new(post::ticket_key(&context.config.data)?);
    let delivery = post::delivery(&settings, &members, gate.clone(), tickets.clone())?;
    post::notice(&context, &settings, &members);
    let news = Arc::new(Notify::new());
    // From here on the desk can be asked and told.
    let registry = Arc::new(members.registry.clone());
    drop(context.desk.open.set(Open { gate: gate.clone(), registry, tickets }));
    drop(context.desk.outbox.set(outbox.clone()));
    let tail = tail::Tail {
        context: context.clone(),
        members,
        outbox: outbox.clone(),
        hold: tail_hold,
        lures_hold,
        inbox,
        news: news.clone(),
    };
    let looking = look::Look::open(context.clone(), outbox.clone(), look_hold, gate.clone()).await?;
    tokio::try_join!(
        tail.run(warner),
        looking.run(),
        post::run(&context, &delivery, &gate, &outbox, &news),
        rows::run(&context, &outbox),
    )?;
    Ok(())
}
