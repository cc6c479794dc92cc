//! Unusual rises and forecasts, from counts in the lake. Slots are days once there are enough of them, hours before.

use super::past::{Past, micros, number, text};
use noroshi_api::backend::{Answered, BackendError};
use noroshi_api::views::{Expected, Interval, OutlookView, Page, Score, SurgeView};
use noroshi_detect::forecast::{self, Forecast, WARM_UP, backtest};
use noroshi_detect::series::{DAY_SECONDS, Series, TOTAL, Table, surge};
use noroshi_model::Nanos;
use noroshi_model::time::SECOND;

/// Days that are read.
const DAYS: i64 = 120;
/// Series that are watched: the largest, which hold nearly everything.
const SERIES: usize = 300;
/// Series with an outlook.
const SHOWN: usize = 4;
/// Slots of a series that a page shows.
const SLOTS: usize = 96;
/// Surges that a page shows.
const SURGES: usize = 100;
const HOUR_SECONDS: u32 = 3600;

/// Both pages.
#[derive(Clone, serde::Serialize)]
pub struct Outlook {
    surges: Page<SurgeView>,
    outlook: Page<OutlookView>,
}

impl Past {
    /// Unusual rises, newest first.
    pub async fn surges(&self, now: Nanos) -> Answered<Page<SurgeView>> {
        Ok(self.looked(now).await?.surges)
    }

    /// What is expected next.
    pub async fn outlook(&self, now: Nanos) -> Answered<Page<OutlookView>> {
        Ok(self.looked(now).await?.outlook)
    }

    async fn looked(&self, now: Nanos) -> Answered<Outlook> {
        let past = self.clone();
        self.outlooks.get(String::new(), move || async move { past.looked_now(now).await }).await
    }

    async fn looked_now(&self, now: Nanos) -> Answered<Outlook> {
        let span = "SELECT cast(min(minute) AS bigint), cast(max(minute) AS bigint) FROM minutes_tools";
        let ends = self.rows(span).await?;
        let oldest = ends.first().and_then(|row| micros(&row[0])).unwrap_or(now);
        let days = (now.0 - oldest.0) / (86_400 * SECOND);
        let slot_seconds = if days >= WARM_UP as i64 { DAY_SECONDS } else { HOUR_SECONDS };
        let series = self.counts(now, slot_seconds).await?;
        let made = tokio::task::spawn_blocking(move || look(series, slot_seconds)).await;
        made.map_err(|error| BackendError::Unavailable { part: "outlook", cause: error.to_string() })
    }

    /// Packets per slot of the largest series; the slot that is not over yet is left out.
    async fn counts(&self, now: Nanos, slot_seconds: u32) -> Answered<Vec<Series>> {
        let unit = if slot_seconds == DAY_SECONDS { "day" } else { "hour" };
        let slot = i64::from(slot_seconds) * SECOND;
        let end = Nanos(now.0.div_euclid(slot) * slot);
        let range = format!(
            "minute >= timestamp '{}' AND minute < timestamp '{}'",
            Nanos(end.0 - DAYS * 86_400 * SECOND).rfc3339(),
            end.rfc3339()
        );
        let sql = format!(
            "SELECT cast(date_trunc('{unit}', minute) AS bigint), m.proto, m.port, sum(packets) FROM minutes_ports m \
             JOIN (SELECT proto, port FROM minutes_ports WHERE {range} AND port IS NOT NULL GROUP BY proto, port \
             ORDER BY sum(packets) DESC LIMIT {SERIES}) l ON m.proto = l.proto AND m.port = l.port \
             WHERE {range} GROUP BY 1, 2, 3"
        );
        let mut table = Table::new(slot_seconds);
        table.whole_slots();
        for row in self.rows(&sql).await? {
            let Some(at) = micros(&row[0]) else { continue };
            table.add(at, &key(number(&row[1]), &text(&row[2])), number(&row[3]) as f64);
        }
        Ok(table.finish())
    }
}

fn key(proto: u64, port: &str) -> String {
    match proto {
        6 => format!("tcp/{port}"),
        17 => format!("udp/{port}"),
        1 => format!("icmp/{port}"),
        58 => format!("icmpv6/{port}"),
        132 => format!("sctp/{port}"),
        other => format!("{other}/{port}"),
    }
}

fn filter_of(key: &str) -> String {
    match key.split_once('/') {
        Some((proto @ ("icmp" | "icmpv6"), kind)) => format!("proto = {proto} and icmp_type = {kind}"),
        Some((proto, port)) => format!("proto = {proto} and dport = {port}"),
        None => String::new(),
    }
}

fn known(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}

fn look(series: Vec<Series>, slot_seconds: u32) -> Outlook {
    let slots = series.first().map_or(0, |one| one.values.len());
    let mut notes = Vec::new();
    if slots < WARM_UP {
        let unit = if slot_seconds == DAY_SECONDS { "days" } else { "hours" };
        notes.push(format!("{WARM_UP} whole {unit} are needed before anything can be called usual; there are {slots}"));
    } else if slot_seconds == HOUR_SECONDS {
        notes
            .push("there are less than two weeks of data, so this is by the hour and knows nothing of weekdays".into());
    }
    fn page<T>(notes: &[String]) -> Page<T> {
        Page { items: Vec::new(), total: 0, complete: true, notes: notes.to_vec() }
    }
    let (mut surges, mut outlook) = (page::<SurgeView>(&notes), page::<OutlookView>(&notes));
    let found = surge::surges(&series, &surge::Settings::default());
    surges.total = found.len() as u64;
    let values = |key: &str| series.iter().find(|one| one.key == key).map(|one| one.values.as_slice());
    surges.items = found
        .iter()
        .rev()
        .take(SURGES)
        .map(|one| SurgeView {
            key: one.key.clone(),
            filter: filter_of(&one.key),
            start: one.start,
            slot_seconds: slot_seconds.into(),
            count: one.count,
            usual: one.usual,
            probability: one.probability,
            new: one.new,
            reason: one.reason.clone(),
            values: tail(values(&one.key).unwrap_or_default()).iter().copied().map(known).collect(),
        })
        .collect();
    let mut ranked: Vec<&Series> = series.iter().filter(|one| one.key != TOTAL).collect();
    ranked.sort_by(|a, b| b.total().total_cmp(&a.total()));
    let total = series.iter().find(|one| one.key == TOTAL);
    outlook.items = total.into_iter().chain(ranked).take(SHOWN).map(outlook_of).collect();
    outlook.total = outlook.items.len() as u64;
    Outlook { surges, outlook }
}

fn tail(values: &[f64]) -> &[f64] {
    &values[values.len().saturating_sub(SLOTS)..]
}

fn expected(start: Nanos, actual: Option<f64>, forecast: Option<&Forecast>) -> Expected {
    let interval = |ends: Option<(f64, f64)>| ends.map(|(low, high)| Interval { low, high });
    Expected {
        start,
        actual,
        point: forecast.map(|forecast| forecast.point),
        interval80: interval(forecast.and_then(|forecast| forecast.interval80)),
        interval95: interval(forecast.and_then(|forecast| forecast.interval95)),
    }
}

fn outlook_of(series: &Series) -> OutlookView {
    let (next, past) = (forecast::next(series), backtest::backtest(series));
    let first = series.values.len().saturating_sub(SLOTS);
    let scored = |at: Nanos| past.as_ref().and_then(|past| past.points.iter().find(|point| point.start == at));
    let mut slots: Vec<Expected> = (first..series.values.len())
        .map(|slot| {
            let at = series.time(slot);
            expected(at, known(series.values[slot]), scored(at).and_then(|point| point.forecast.as_ref()))
        })
        .collect();
    if next.is_some() {
        slots.push(expected(series.time(series.values.len()), None, next.as_ref()));
    }
    OutlookView {
        key: series.key.clone(),
        slot_seconds: series.slot_seconds.into(),
        slots,
        score: past.as_ref().map(|past| Score {
            slots: past.scored as u64,
            error: past.mae,
            naive_error: past.best_naive().map(|naive| naive.mae),
            naive: past.best_naive().map(|naive| naive.method.to_owned()),
            inside80: past.coverage80,
        }),
        methods: next.map_or_else(Vec::new, |next| next.methods.iter().map(|method| (*method).to_owned()).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_slots_say_what_is_missing_and_many_give_an_outlook() {
        let start = Nanos::from_seconds(1_767_225_600);
        let series = |values: Vec<f64>| {
            let one = |key: &str| Series { key: key.into(), start, slot_seconds: 86_400, values: values.clone() };
            vec![one(TOTAL), one("tcp/23")]
        };
        let few = look(series(vec![5.0; 3]), DAY_SECONDS);
        assert!(few.outlook.notes[0].contains("14 whole days"), "{:?}", few.outlook.notes);
        let weekly: Vec<f64> = (0..100).map(|day| 1000.0 + 100.0 * f64::from(day % 7)).collect();
        let mut raised = weekly.clone();
        raised.push(50_000.0);
        let many = look(series(weekly), DAY_SECONDS);
        let total = &many.outlook.items[0];
        let next = total.slots.last().unwrap();
        assert_eq!((total.key.as_str(), next.actual), (TOTAL, None));
        assert!((next.point.unwrap() - 1200.0).abs() < 100.0, "day 100 is the third of its week: {next:?}");
        assert!(total.score.is_some());
        let surges = look(series(raised), DAY_SECONDS).surges;
        assert_eq!(
            (surges.items[0].key.as_str(), surges.items[0].filter.as_str()),
            ("tcp/23", "proto = tcp and dport = 23")
        );
    }
}
