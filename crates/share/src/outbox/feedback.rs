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
    /// Median seconds from the first message to being dealt with.
    pub mitigated_seconds: Option<f64>,
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

    /// What was said about the incidents of each rule.
    pub async fn precision(&self) -> Result<Vec<RuleCounts>, OutboxError> {
        let mut rules: BTreeMap<String, (RuleCounts, Vec<f64>)> = BTreeMap::new();
        let told = sqlx::query("SELECT rule, COUNT(DISTINCT incident) FROM told GROUP BY rule");
        for row in told.fetch_all(self.pool()).await? {
            let (rule, told): (String, i64) = (row.get(0), row.get(1));
            rules.insert(rule.clone(), (RuleCounts { rule, told: told as u64, ..RuleCounts::default() }, Vec::new()));
        }
        // An incident is wrong when the last word of everybody who answered is that it is.
        let select = "SELECT t.rule, a.incident,
                MAX(CASE WHEN a.verdict <> 'false' THEN a.said_at END),
                MAX(CASE WHEN a.verdict = 'false' THEN a.said_at END),
                MIN(CASE WHEN a.verdict = 'mitigated' THEN a.since END), MIN(t.at)
            FROM answers a JOIN told t ON t.incident = a.incident GROUP BY t.rule, a.incident";
        for row in sqlx::query(select).fetch_all(self.pool()).await? {
            let Some((counts, mitigated)) = rules.get_mut(row.get::<&str, _>(0)) else { continue };
            let (right, wrong): (Option<i64>, Option<i64>) = (row.get(2), row.get(3));
            counts.answered += 1;
            if right >= wrong {
                counts.right += 1
            } else {
                counts.wrong += 1
            }
            if let Some(since) = row.get::<Option<i64>, _>(4) {
                mitigated.push((since - row.get::<i64, _>(5)).max(0) as f64 / SECOND as f64);
            }
        }
        Ok(rules
            .into_values()
            .map(|(counts, mut mitigated)| {
                mitigated.sort_by(f64::total_cmp);
                let middle = mitigated.len() / 2;
                let median = match mitigated.len() {
                    0 => None,
                    odd if odd % 2 == 1 => Some(mitigated[middle]),
                    _ => Some((mitigated[middle - 1] + mitigated[middle]) / 2.0),
                };
                RuleCounts { mitigated_seconds: median, ..counts }
            })
            .collect())
    }
}
