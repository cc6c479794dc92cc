//! What members answer to warnings, and what that says about the rules.

use super::{Outbox, OutboxError};
use noroshi_model::Nanos;
use noroshi_model::alert::{Alert, AlertKind};
use noroshi_model::time::SECOND;
use sqlx::{Row, SqliteConnection};
use std::collections::BTreeMap;

/// What members said about one rule's incidents. The last word of each person counts.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct RuleCounts {
    /// The rule.
    pub rule: String,
    /// Incidents that it told of.
    pub told: u64,
    /// Incidents that somebody answered about.
    pub answered: u64,
    /// Said to be true, known before, or dealt with.
    pub right: u64,
    /// Said to be false, by everybody who answered.
    pub wrong: u64,
    /// Of the right ones: known before the message came.
    pub known: u64,
    /// Median seconds from the first message to being dealt with.
    pub mitigated_seconds: Option<f64>,
}

/// What somebody said about an incident.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer {
    /// True, false, already-known or mitigated.
    pub verdict: String,
    /// Since when it is so.
    pub since: Nanos,
    /// When it was said.
    pub said_at: Nanos,
}

/// Notes which rule told whom of what first.
pub(super) async fn told(connection: &mut SqliteConnection, alert: &Alert) -> Result<(), OutboxError> {
    if !matches!(alert.kind, AlertKind::Immediate | AlertKind::Digest) {
        return Ok(());
    }
    for incident in &alert.incidents {
        let insert = "INSERT INTO told (incident, member, rule, at) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING";
        let query = sqlx::query(insert).bind(&incident.id).bind(&alert.member.0).bind(&alert.rule);
        query.bind(alert.created.0).execute(&mut *connection).await?;
    }
    Ok(())
}

/// What was said about one incident.
struct Said {
    /// When it was told.
    told: Nanos,
    /// The last word of each person.
    last: BTreeMap<String, Answer>,
    /// Since when it is dealt with.
    mitigated: Option<Nanos>,
}

/// One rule while it is counted.
#[derive(Default)]
struct Counting {
    told: u64,
    /// By incident.
    answered: BTreeMap<String, Said>,
}

impl Counting {
    fn counts(self, rule: String) -> RuleCounts {
        let mut counts = RuleCounts { rule, told: self.told, ..RuleCounts::default() };
        let mut mitigated: Vec<f64> = Vec::new();
        for Said { told, last, mitigated: since } in self.answered.into_values() {
            counts.answered += 1;
            let right = last.values().any(|word| word.verdict != "false");
            counts.right += u64::from(right);
            counts.wrong += u64::from(!right);
            counts.known += u64::from(right && last.values().any(|word| word.verdict == "already-known"));
            if let (true, Some(since)) = (right, since) {
                mitigated.push((since.0 - told.0).max(0) as f64 / SECOND as f64);
            }
        }
        counts.mitigated_seconds = median(mitigated);
        counts
    }
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(values[middle]),
        _ => Some((values[middle - 1] + values[middle]) / 2.0),
    }
}

impl Outbox {
    /// Keeps what somebody says about an incident that was told; false when there is none that `member` (anybody, when
    /// not given) was told of.
    pub async fn answer(
        &self,
        incident: &str,
        member: Option<&str>,
        verdict: &str,
        since: Nanos,
        now: Nanos,
        by: &str,
    ) -> Result<bool, OutboxError> {
        let select = "SELECT 1 FROM told WHERE incident = ? AND (? IS NULL OR member = ?)";
        let known = sqlx::query(select).bind(incident).bind(member).bind(member).fetch_optional(self.pool()).await?;
        if known.is_none() {
            return Ok(false);
        }
        let insert = "INSERT INTO answers (incident, verdict, since, said_at, said_by) VALUES (?, ?, ?, ?, ?)
                      ON CONFLICT (incident, said_by, verdict)
                      DO UPDATE SET since = excluded.since, said_at = excluded.said_at";
        let query = sqlx::query(insert).bind(incident).bind(verdict).bind(since.0).bind(now.0).bind(by);
        query.execute(self.pool()).await?;
        Ok(true)
    }

    /// The last thing that `by` said about an incident.
    pub async fn last_answer(&self, incident: &str, by: &str) -> Result<Option<Answer>, OutboxError> {
        let select = "SELECT verdict, since, said_at FROM answers WHERE incident = ? AND said_by = ?
                      ORDER BY said_at DESC, verdict LIMIT 1";
        let row = sqlx::query(select).bind(incident).bind(by).fetch_optional(self.pool()).await?;
        let answer = |row: sqlx::sqlite::SqliteRow| Answer {
            verdict: row.get(0),
            since: Nanos(row.get(1)),
            said_at: Nanos(row.get(2)),
        };
        Ok(row.map(answer))
    }

    /// A message by its id.
    pub async fn message(&self, id: &str) -> Result<Option<Alert>, OutboxError> {
        let row = sqlx::query("SELECT alert FROM outbox WHERE id = ?").bind(id).fetch_optional(self.pool()).await?;
        let read =
            |text: &str| serde_json::from_str(text).map_err(|source| OutboxError::Stored { id: id.to_owned(), source });
        row.map(|row| read(row.get::<&str, _>(0))).transpose()
    }

    /// What was said about the incidents of each rule. An incident is wrong when the last word of everybody who answered
    /// is that it is.
    pub async fn precision(&self) -> Result<Vec<RuleCounts>, OutboxError> {
        let mut rules: BTreeMap<String, Counting> = BTreeMap::new();
        let told = sqlx::query("SELECT rule, COUNT(DISTINCT incident) FROM told GROUP BY rule");
        for row in told.fetch_all(self.pool()).await? {
            rules.entry(row.get(0)).or_default().told = row.get::<i64, _>(1) as u64;
        }
        let select = "SELECT t.rule, a.incident, t.at, a.said_by, a.verdict, a.since, a.said_at
            FROM answers a JOIN (SELECT rule, incident, MIN(at) AS at FROM told GROUP BY rule, incident) t
            ON t.incident = a.incident ORDER BY a.said_at, a.verdict";
        for row in sqlx::query(select).fetch_all(self.pool()).await? {
            let Some(rule) = rules.get_mut(row.get::<&str, _>(0)) else { continue };
            let (verdict, since): (String, Nanos) = (row.get(4), Nanos(row.get(5)));
            let fresh = || Said { told: Nanos(row.get(2)), last: BTreeMap::new(), mitigated: None };
            let said = rule.answered.entry(row.get(1)).or_insert_with(fresh);
            if verdict == "mitigated" {
                said.mitigated = Some(said.mitigated.map_or(since, |known| known.min(since)));
            }
            said.last.insert(row.get(3), Answer { verdict, since, said_at: Nanos(row.get(6)) });
        }
        Ok(rules.into_iter().map(|(rule, counting)| counting.counts(rule)).collect())
    }
}
