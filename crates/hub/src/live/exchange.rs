//! The house behind partners' and members' routes: TAXII collections, pushed findings, answers to warnings.

use super::System;
use super::foreign::{Foreigners, said};
use crate::services::Context;
use async_trait::async_trait;
use noroshi_api::BackendError;
use noroshi_api::backend::Answered;
use noroshi_api::exchange::{
    AnswerKind, AnswerPage, Exchange, Feedback, PrecursorScores, PushAnswer, Refused, RulePrecision, Sent, TaxiiAsk,
    Verdict,
};
use noroshi_api::scope::{Principal, Role};
use noroshi_model::Nanos;
use noroshi_model::alert::Alert;
use noroshi_model::member::Registry;
use noroshi_model::time::Clock;
use noroshi_model::tlp::Tlp;
use noroshi_share::Cleared;
use noroshi_share::answer;
use noroshi_share::intake::{self, Foreign, PartnerFinding, Taken};
use noroshi_share::outbox::Outbox;
use noroshi_share::taxii::{self, Collection, Reader, Sqlite, respond};
use noroshi_share::ticket::{Ticket, TicketError};
use serde_json::Value;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;

/// What partners push: version 5 UUIDs of "intake" and "shared" in the URL namespace.
const INTAKE: &str = "6ef4ef4d-26a6-5a35-9d0a-8a8f0f6e7a01";
const SHARED: &str = "6ef4ef4d-26a6-5a35-9d0a-8a8f0f6e7a02";

/// Memory of each of the collections' connections for pages of the database: this many KiB, by the sign.
const CACHE_KIB: &str = "-16384";
/// The write-ahead log goes into the database after so many pages of 4 KiB, not after each large push.
const CHECKPOINT_PAGES: &str = "8192";

/// Rows of a page that may wait to be taken over.
const ROWS_BUFFERED: usize = 128;

/// Seconds by which a member's clock may be ahead of ours.
const CLOCK_SECONDS: f64 = 300.0;

/// The exchange of a hub.
pub struct House {
    context: Context,
    store: Sqlite,
    registry: Arc<Registry>,
    foreigners: Mutex<Option<Foreigners>>,
}

fn unavailable(part: &'static str, cause: impl std::fmt::Display) -> BackendError {
    BackendError::Unavailable { part, cause: cause.to_string() }
}

async fn open(path: &Path) -> Result<Sqlite, taxii::StoreError> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(Duration::from_secs(30))
        // A push writes all over the indices: what does not fit here is written and read again within one transaction.
        .pragma("cache_size", CACHE_KIB)
        .pragma("temp_store", "memory")
        .pragma("wal_autocheckpoint", CHECKPOINT_PAGES)
        // A small page comes over at once; each wait for a row takes as long as reading several.
        .row_buffer_size(ROWS_BUFFERED);
    let store = Sqlite::on(SqlitePoolOptions::new().max_connections(4).connect_with(options).await?).await?;
    for (id, title, alias, description) in [
        (SHARED, "Shared findings", "shared", "What this hub shares with the community"),
        (INTAKE, "Intake", "intake", "What partners push; kept as it came, and shown with its label"),
    ] {
        let (title, description) = (title.to_owned(), description.to_owned());
        store.add_collection(&Collection { id: id.into(), title, description, alias: Some(alias.into()) }).await?;
    }
    Ok(store)
}

/// What a role may see at most. A member's own incidents reach it as warnings, not by this way.
fn ceiling(role: Role) -> Tlp {
    match role {
        Role::Administrator | Role::Analyst => Tlp::AmberStrict,
        Role::Member | Role::Reader => Tlp::Green,
        Role::SensorHost => Tlp::Clear,
    }
}

impl House {
    /// Opens the collections in the hub's data folder.
    pub async fn open(context: Context) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let store = open(&context.config.data.join("taxii.db")).await?;
        let members = context.config.warning.read_members(&context.config.data)?;
        Ok(House { context, store, registry: Arc::new(members.registry), foreigners: Mutex::new(None) })
    }

    /// Says to the desk what is new about members. The answer counts; it is given once everything is durable.
    async fn hear(&self, sender: &str, foreign: &[Foreign]) -> Answered<PushAnswer> {
        let now = System.now();
        let desk = &self.context.desk;
        let outbox = desk.outbox().ok_or_else(|| unavailable("desk", "it is not open yet"))?;
        let mut foreigners = self.foreigners.lock().await;
        let known = match foreigners.take() {
            Some(known) => known,
            None => Foreigners::load(outbox).await.map_err(|error| unavailable("desk", error))?,
        };
        let (mut known, mut answer) = (known, PushAnswer::default());
        let (mut statements, mut kept) = (Vec::new(), Vec::new());
        for one in foreign {
            let owners = self.registry.owners(one.subject);
            if owners.is_empty() {
                answer.about_nobody += 1;
            } else if !known.is_news(sender, one) {
                answer.duplicates += 1;
            } else if !one.holds(now) && !known.knows(sender, one) {
                answer.expired += 1;
            } else {
                answer.taken += 1;
                kept.push(known.note(sender, one));
                statements.extend(owners.into_iter().map(|member| said(one, sender, &member.id, now)));
            }
        }
        // Only what is durable is remembered; after an error everything is read anew.
        desk.say(statements, kept).await.map_err(|error| unavailable("desk", error))?;
        *foreigners = Some(known);
        Ok(answer)
    }

    /// What a TAXII push says about members, beside being stored.
    async fn hear_objects(&self, sender: &str, objects: &[Value]) {
        let Ok(Taken { foreign, .. }) = intake::stix_objects(objects, System.now()) else { return };
        if let Err(error) = self.hear(sender, &foreign).await {
            tracing::error!(%error, "pushed objects are stored, and nobody is warned of them");
        }
    }
}

/// What a ticket leads to.
struct Known<'d> {
    outbox: &'d Outbox,
    ticket: Ticket,
    alert: Cleared<Alert>,
    member_name: String,
    /// Who says what is said by this ticket.
    by: String,
}

/// Why a ticket leads nowhere.
enum NoAnswer {
    Ticket(TicketError),
    Failed(BackendError),
}

impl House {
    /// What a ticket leads to: its message as it passes the gate today.
    async fn known(&self, text: &str) -> Result<Known<'_>, NoAnswer> {
        let desk = &self.context.desk;
        let (Some(open), Some(outbox)) = (desk.open(), desk.outbox()) else {
            return Err(NoAnswer::Failed(unavailable("desk", "it is not open yet")));
        };
        let ticket = open.tickets.open(text, System.now()).map_err(NoAnswer::Ticket)?;
        let missing = || NoAnswer::Failed(BackendError::NotFound("message"));
        let found = outbox.message(&ticket.alert).await;
        let alert = found.map_err(|error| NoAnswer::Failed(unavailable("outbox", error)))?.ok_or_else(missing)?;
        let member = open.registry.get(&alert.member).ok_or_else(missing)?;
        let by = format!("link to {}", alert.recipient);
        let alert = open.gate.alert(&alert, member.tlp_ceiling).map_err(|_| missing())?;
        Ok(Known { outbox, ticket, alert, member_name: member.name.clone(), by })
    }

    async fn note(&self, known: &Known<'_>, said: Feedback) -> Answered<()> {
        let now = System.now();
        let (incident, at) = (&known.ticket.incident, since(&said, now)?);
        let noted = known.outbox.answer(incident, None, said.verdict.name(), at, now, &known.by).await;
        match noted.map_err(|error| unavailable("outbox", error))? {
            true => Ok(()),
            false => Err(BackendError::NotFound("incident")),
        }
    }
}

/// Since when what is said holds. Clocks of members may be a little ahead.
fn since(said: &Feedback, now: Nanos) -> Answered<Nanos> {
    let at = said.at.unwrap_or(now);
    if at.seconds_since(now) > CLOCK_SECONDS {
        return Err(BackendError::Refused("at: lies in the future".into()));
    }
    Ok(at)
}

/// What a form says. A browser writes `2026-01-31T12:30`.
fn said_by_form(sent: &Sent, now: Nanos) -> Result<Feedback, answer::Problem> {
    let verdict = Verdict::named(&sent.verdict).ok_or(answer::Problem::Unclear)?;
    let at = match sent.at.trim() {
        "" => None,
        text => {
            let zone = if text.len() == "2026-01-31T12:30".len() { ":00Z" } else { "Z" };
            Some(format!("{text}{zone}").parse::<Nanos>().map_err(|_| answer::Problem::Unclear)?)
        }
    };
    let said = Feedback { verdict, at };
    since(&said, now).map(|_| said).map_err(|_| answer::Problem::Future)
}

#[async_trait]
impl Exchange for House {
    async fn taxii(&self, who: &Principal, ask: TaxiiAsk) -> taxii::Response {
        let writes = matches!(who.role, Role::Administrator | Role::Analyst | Role::Member);
        let reader = Reader {
            name: who.organisation.clone(),
            ceiling: ceiling(who.role),
            may_write: if writes { vec![INTAKE.to_owned()] } else { Vec::new() },
        };
        let request = taxii::Request {
            method: &ask.method,
            path: &ask.path,
            query: &ask.query,
            accept: ask.accept.as_deref(),
            content_type: ask.content_type.as_deref(),
            body: &ask.body,
            reader: &reader,
            base: &ask.base,
            now: System.now(),
        };
        let response = respond(&self.store, &request).await;
        if !response.heard.is_empty() {
            self.hear_objects(&who.organisation, &response.heard).await;
        }
        response
    }

    async fn push(&self, who: &Principal, findings: Vec<PartnerFinding>) -> Answered<PushAnswer> {
        let read = intake::partner_findings(&findings, System.now());
        let mut refused = Vec::new();
        let mut foreign = Vec::new();
        for (index, one) in read.into_iter().enumerate() {
            match one {
                Ok(one) => foreign.push(one),
                Err(reason) => refused.push(Refused { index, reason }),
            }
        }
        let answer = self.hear(&who.organisation, &foreign).await?;
        Ok(PushAnswer { refused, ..answer })
    }

    async fn feedback(&self, who: &Principal, incident: &str, said: Feedback) -> Answered<()> {
        let outbox = self.context.desk.outbox().ok_or_else(|| unavailable("desk", "it is not open yet"))?;
        let member = match who.role {
            Role::Administrator | Role::Analyst => None,
            _ => Some(who.organisation.as_str()),
        };
        let now = System.now();
        let at = since(&said, now)?;
        let noted = outbox.answer(incident, member, said.verdict.name(), at, now, &who.name).await;
        match noted.map_err(|error| unavailable("outbox", error))? {
            true => Ok(()),
            false => Err(BackendError::NotFound("incident")),
        }
    }

    async fn answer_page(&self, ticket: &str, sent: Option<Sent>) -> Answered<AnswerPage> {
        let known = match self.known(ticket).await {
            Ok(known) => known,
            Err(NoAnswer::Ticket(why)) => {
                let kind = match why {
                    TicketError::Foreign => AnswerKind::Foreign,
                    TicketError::Expired => AnswerKind::Expired,
                };
                let html = answer::refused(why).map_err(|error| unavailable("pages", error))?;
                return Ok(AnswerPage { kind, html });
            }
            Err(NoAnswer::Failed(error)) => return Err(error),
        };
        let (mut kind, mut state) = (AnswerKind::Shown, answer::State::default());
        if let Some(sent) = sent {
            match said_by_form(&sent, System.now()) {
                Ok(said) => {
                    self.note(&known, said).await?;
                    kind = AnswerKind::Kept;
                }
                Err(problem) => (kind, state.problem) = (AnswerKind::Unfit, Some(problem)),
            }
        }
        let Known { outbox, ticket, alert, member_name, by } = known;
        let last = outbox.last_answer(&ticket.incident, &by).await;
        state.said = last.map_err(|error| unavailable("outbox", error))?;
        let html = answer::page(&alert, &member_name, &ticket, &state).map_err(|error| unavailable("pages", error))?;
        Ok(AnswerPage { kind, html: html.ok_or(BackendError::NotFound("incident"))? })
    }

    async fn answer(&self, ticket: &str, said: Feedback) -> Answered<()> {
        match self.known(ticket).await {
            Ok(known) => self.note(&known, said).await,
            Err(NoAnswer::Ticket(TicketError::Foreign)) => Err(BackendError::NotFound("link")),
            Err(NoAnswer::Ticket(why)) => Err(BackendError::Gone(why.to_string())),
            Err(NoAnswer::Failed(error)) => Err(error),
        }
    }

    async fn precursors(&self, _: &Principal) -> Answered<PrecursorScores> {
        let (scores, base_rate) = self.context.desk.precursors();
        let mut leads = scores.leads.clone();
        leads.sort_by(f64::total_cmp);
        let median = (!leads.is_empty()).then(|| (leads[(leads.len() - 1) / 2] + leads[leads.len() / 2]) / 2.0);
        Ok(PrecursorScores {
            announced: scores.announced,
            came: scores.came,
            stayed_away: scores.stayed_away,
            held_back: scores.held_back,
            precision: scores.precision(),
            base_rate,
            median_lead_seconds: median,
        })
    }

    async fn precision(&self, _: &Principal) -> Answered<Vec<RulePrecision>> {
        let outbox = self.context.desk.outbox().ok_or_else(|| unavailable("desk", "it is not open yet"))?;
        let rules = outbox.precision().await.map_err(|error| unavailable("outbox", error))?;
        let precision = |right: u64, wrong: u64| (right + wrong > 0).then(|| right as f64 / (right + wrong) as f64);
        Ok(rules
            .into_iter()
            .map(|rule| RulePrecision {
                precision: precision(rule.right, rule.wrong),
                rule: rule.rule,
                told: rule.told,
                answered: rule.answered,
                right: rule.right,
                wrong: rule.wrong,
                known: rule.known,
                mitigated_seconds: rule.mitigated_seconds,
            })
            .collect())
    }
}
