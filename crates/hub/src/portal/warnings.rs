//! Members, rules and messages, as the live warning keeps them: the members' file and the outbox in `warning.db`.
//! Nothing is written from here.

use crate::HubError;
use noroshi_alert::config::{self, Config};
use noroshi_alert::rules::{self, Action, Rule};
use noroshi_api::backend::{Answered, BackendError, Slice};
use noroshi_api::scope::{Scope, Tlp};
use noroshi_api::views::{ChannelView, IncidentLine, MemberView, MessageView, Page, RuleView, WarningView};
use noroshi_model::Nanos;
use noroshi_model::alert::Alert;
use noroshi_model::member::{Member, Target};
use noroshi_model::time::SECOND;
use noroshi_model::tlp::Tlp as Label;
use noroshi_share::outbox::RuleCounts;
use sqlx::Row;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions};
use std::path::{Path, PathBuf};
use tokio::sync::Mutex;

/// What was read is kept so long.
const KEEP_NANOS: i64 = 4 * SECOND;
/// Messages that are looked at: the newest.
const MOST: i64 = 2_000;
const WEEK: i64 = 7 * 86_400 * SECOND;

/// The desk, as the portal sees it.
pub struct Warnings {
    database: PathBuf,
    members: Vec<PathBuf>,
    pool: Mutex<Option<SqlitePool>>,
    kept: Mutex<Option<(Nanos, Vec<MessageView>)>>,
}

impl Warnings {
    /// Over the files in the hub's data folder.
    pub fn new(data: &Path) -> Self {
        Warnings {
            database: data.join("warning.db"),
            members: vec![data.join("members.toml"), data.join("sample/members.toml")],
            pool: Mutex::default(),
            kept: Mutex::default(),
        }
    }

    fn configuration(&self) -> Result<Option<Config>, HubError> {
        let Some(path) = self.members.iter().find(|path| path.exists()) else { return Ok(None) };
        let text = std::fs::read_to_string(path).map_err(HubError::io(path, "read"))?;
        let read = config::parse(&text);
        read.map(Some).map_err(|error| HubError::Config { path: path.clone(), text: error.to_string() })
    }

    /// The newest messages; none while there is no outbox.
    async fn all(&self, now: Nanos) -> Answered<Vec<MessageView>> {
        let mut kept = self.kept.lock().await;
        if let Some((at, messages)) = &*kept
            && now.0 - at.0 < KEEP_NANOS
        {
            return Ok(messages.clone());
        }
        let messages = self.read().await.map_err(|error| unavailable(&error))?;
        *kept = Some((now, messages.clone()));
        Ok(messages)
    }

    async fn read(&self) -> Result<Vec<MessageView>, sqlx::Error> {
        let mut pool = self.pool.lock().await;
        if pool.is_none() {
            if !self.database.exists() {
                return Ok(Vec::new());
            }
            let options = SqliteConnectOptions::new().filename(&self.database).read_only(true);
            *pool = Some(SqlitePoolOptions::new().max_connections(1).connect_with(options).await?);
        }
        let Some(pool) = pool.as_ref() else { return Ok(Vec::new()) };
        let select = "SELECT alert, state, attempts, last_error FROM outbox ORDER BY queued DESC, id LIMIT ?";
        let rows = sqlx::query(select).bind(MOST).fetch_all(pool).await?;
        let message = |row: &sqlx::sqlite::SqliteRow| {
            let alert: Alert = serde_json::from_str(row.get(0)).ok()?;
            Some(view(&alert, row.get(1), row.get::<i64, _>(2) as u32, row.get(3)))
        };
        Ok(rows.iter().filter_map(message).collect())
    }

    /// How warning goes.
    /// `answers` is what members said about each rule.
    pub async fn warning(&self, scope: &Scope, now: Nanos, answers: &[RuleCounts]) -> Answered<WarningView> {
        let mut notes = Vec::new();
        let configured = match self.configuration() {
            Ok(found) => found,
            Err(error) => {
                notes.push(error.to_string());
                None
            }
        };
        let messages = self.all(now).await?;
        let seen: Vec<_> = messages.iter().filter(|message| scope.sees_messages_to(&message.member)).collect();
        let state = |name: &str| seen.iter().filter(|message| message.state == name).count() as u64;
        let recent = |message: &&&MessageView| now.0 - message.created.0 < WEEK;
        let given = configured.as_ref().map(|found| found.rules.clone()).unwrap_or_default();
        let built_in = given.is_empty();
        let active = if built_in { rules::defaults() } else { given };
        let said = |rule: &str| answers.iter().find(|counts| counts.rule == rule);
        let rules = active
            .iter()
            .map(|rule| RuleView {
                name: rule.name.clone(),
                action: action(rule.action).to_owned(),
                conditions: conditions(rule),
                built_in,
                messages: seen.iter().filter(recent).filter(|message| message.rule == rule.name).count() as u64,
                confirmed: said(&rule.name).map_or(0, |said| said.right),
                false_alarms: said(&rule.name).map_or(0, |said| said.wrong),
                mitigated_seconds: said(&rule.name).and_then(|said| said.mitigated_seconds),
            })
            .collect();
        if messages.len() as i64 >= MOST {
            notes.push(format!("the newest {MOST} messages are counted"));
        }
        Ok(WarningView {
            configured: configured.is_some_and(|found| !found.registry.members().is_empty()),
            queued: state("queued"),
            delivered: state("delivered"),
            failed: state("failed"),
            withheld: state("withheld"),
            confirmed: answers.iter().map(|counts| counts.right).sum(),
            false_alarms: answers.iter().map(|counts| counts.wrong).sum(),
            rules,
            notes,
        })
    }

    /// Messages, newest first.
    pub async fn messages(&self, scope: &Scope, slice: Slice, now: Nanos) -> Answered<Page<MessageView>> {
        let all = self.all(now).await?;
        let seen: Vec<_> = all.into_iter().filter(|message| scope.sees_messages_to(&message.member)).collect();
        let total = seen.len() as u64;
        let items = seen.into_iter().skip(slice.skip).take(slice.take).collect();
        Ok(Page { items, total, complete: true, notes: Vec::new() })
    }

    /// Organisations that are warned.
    pub async fn members(&self, now: Nanos) -> Answered<Page<MemberView>> {
        let configured = self.configuration().map_err(|error| BackendError::Refused(error.to_string()))?;
        let messages = self.all(now).await?;
        let told = |id: &str| {
            let to = |message: &&MessageView| message.member == id && now.0 - message.created.0 < WEEK;
            messages.iter().filter(to).count() as u64
        };
        let members = configured.as_ref().map(|found| found.registry.members()).unwrap_or_default();
        let items: Vec<_> = members.iter().map(|member| member_view(member, told(&member.id.0))).collect();
        Ok(Page { total: items.len() as u64, items, complete: true, notes: Vec::new() })
    }
}

fn unavailable(error: &sqlx::Error) -> BackendError {
    BackendError::Unavailable { part: "outbox", cause: error.to_string() }
}

fn action(action: Action) -> &'static str {
    match action {
        Action::Alert => "alert",
        Action::Daily => "daily",
        Action::Ignore => "ignore",
    }
}

/// What must hold, in words.
fn conditions(rule: &Rule) -> Vec<String> {
    let join = |items: Vec<String>| items.join(", ");
    let mut all = Vec::new();
    if !rule.members.is_empty() {
        all.push(format!("member: {}", join(rule.members.iter().map(ToString::to_string).collect())));
    }
    if !rule.kinds.is_empty() {
        all.push(format!("kind: {}", join(rule.kinds.iter().map(ToString::to_string).collect())));
    }
    if rule.severity_min > noroshi_model::alert::Severity::Info {
        all.push(format!("severity ≥ {}", rule.severity_min));
    }
    if rule.packets_min > 0 {
        all.push(format!("packets ≥ {}", rule.packets_min));
    }
    if rule.confidence_min > 0.0 {
        all.push(format!("confidence ≥ {}", rule.confidence_min));
    }
    if !rule.networks.is_empty() {
        all.push(format!("in {}", join(rule.networks.iter().map(ToString::to_string).collect())));
    }
    all
}

fn tlp(label: Label) -> Tlp {
    match label {
        Label::Clear => Tlp::Clear,
        Label::Green => Tlp::Green,
        Label::Amber => Tlp::Amber,
        Label::AmberStrict => Tlp::AmberStrict,
        Label::Red => Tlp::Red,
    }
}

fn view(alert: &Alert, state: &str, attempts: u32, reason: Option<String>) -> MessageView {
    MessageView {
        id: alert.id.clone(),
        recipient: alert.recipient.to_string(),
        member: alert.member.to_string(),
        kind: alert.kind.to_string(),
        severity: alert.severity.to_string(),
        tlp: tlp(alert.tlp),
        created: alert.created,
        rule: alert.rule.clone(),
        state: state.to_owned(),
        attempts,
        reason,
        incidents: alert
            .incidents
            .iter()
            .take(20)
            .map(|incident| IncidentLine {
                id: incident.id.clone(),
                kind: incident.kind.to_string(),
                subject: incident.subject.to_string(),
                severity: incident.severity.to_string(),
                confidence: incident.confidence,
            })
            .collect(),
    }
}

fn member_view(member: &Member, messages: u64) -> MemberView {
    let texts = |prefixes: &[noroshi_model::Prefix]| prefixes.iter().map(ToString::to_string).collect::<Vec<_>>();
    let clock = |minute: u16| format!("{:02}:{:02}", minute / 60, minute % 60);
    MemberView {
        id: member.id.to_string(),
        name: member.name.clone(),
        prefixes: texts(&member.prefixes),
        dark: texts(&member.dark),
        asns: member.asns.clone(),
        contacts: member.contacts.iter().map(|contact| format!("{} <{}>", contact.name, contact.mail)).collect(),
        channels: member
            .channels
            .iter()
            .map(|channel| ChannelView {
                name: channel.name.clone(),
                kind: match channel.target {
                    Target::Mail { .. } => "mail",
                    Target::Webhook { .. } => "webhook",
                    Target::Syslog { .. } => "syslog",
                }
                .to_owned(),
                severity_min: channel.severity_min.to_string(),
            })
            .collect(),
        language: member.language.to_string(),
        time_zone: member.time_zone.clone(),
        quiet_hours: member.quiet_hours.map(|hours| format!("{}–{}", clock(hours.from_minute), clock(hours.to_minute))),
        tlp_ceiling: tlp(member.tlp_ceiling),
        messages,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use noroshi_api::scope::Role;

    #[tokio::test]
    async fn members_and_rules_are_shown_without_an_outbox_and_a_bad_file_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let (warnings, now) = (Warnings::new(folder.path()), Nanos::from_seconds(1_767_225_600));
        let scope = Scope::new(Role::Analyst, "hub", Vec::new());
        let empty = warnings.warning(&scope, now, &[]).await.unwrap();
        assert!(!empty.configured && !empty.rules.is_empty() && empty.rules[0].built_in);
        let text = "[[member]]\nid = \"isp\"\nname = \"ISP\"\nprefixes = [\"198.51.100.0/24\"]\n\
                    contacts = [{ name = \"NOC\", mail = \"noc@example.net\" }]\n";
        std::fs::write(folder.path().join("members.toml"), text).unwrap();
        let members = warnings.members(now).await.unwrap();
        assert_eq!((members.items[0].id.as_str(), members.items[0].channels[0].kind.as_str()), ("isp", "mail"));
        assert!(warnings.warning(&scope, now, &[]).await.unwrap().configured);
        assert_eq!(warnings.messages(&scope, Slice { skip: 0, take: 9 }, now).await.unwrap().total, 0);
        std::fs::write(folder.path().join("members.toml"), "[[member]]\nid = 3\n").unwrap();
        assert!(warnings.warning(&scope, now, &[]).await.unwrap().notes[0].contains("line"));
    }
}
